//! Shapes as distances to their edges: negative inside.

use crate::maths::{Point, dot, length, polar, sub};

/// A shape of a surface's plane.
pub(crate) struct Shape {
    /// `x0, y0, x1, y1` around it; `None` if it has no end.
    pub(crate) bounds: Option<[f32; 4]>,
    distance: Box<dyn Fn(Point) -> f32>,
}

impl Shape {
    pub(crate) fn new(bounds: [f32; 4], distance: impl Fn(Point) -> f32 + 'static) -> Self {
        Self {
            bounds: Some(bounds),
            distance: Box::new(distance),
        }
    }

    /// The distance to the edge, or less.
    pub(crate) fn distance(&self, point: Point) -> f32 {
        (self.distance)(point)
    }

    /// The whole plane.
    pub(crate) fn everywhere() -> Self {
        Self {
            bounds: None,
            distance: Box::new(|_| -1e9),
        }
    }

    /// With these half sides, about the origin.
    pub(crate) fn block(half: Point, radius: f32) -> Self {
        let bounds = [-half[0], -half[1], half[0], half[1]];
        Self::new(bounds, move |point| block(point, half, radius))
    }

    pub(crate) fn ellipse(radii: Point) -> Self {
        let bounds = [-radii[0], -radii[1], radii[0], radii[1]];
        Self::new(bounds, move |point| ellipse(point, radii))
    }

    /// These corners, in order around it.
    pub(crate) fn polygon(corners: Vec<Point>) -> Self {
        Self::new(around(&corners, 0.0), move |point| polygon(point, &corners))
    }

    /// Limbs that flow into each other over the width `blend`.
    pub(crate) fn limbs(limbs: Vec<Limb>, blend: f32) -> Self {
        let ends: Vec<Point> = limbs.iter().flat_map(|limb| [limb.from, limb.to]).collect();
        let thickest: f32 = limbs.iter().flat_map(|limb| limb.radii).fold(0.0, f32::max);
        let bounds = around(&ends, thickest + blend);
        let bones: Vec<Bone> = limbs.into_iter().map(Bone::new).collect();
        let soft = 1.0 / blend.max(1e-6);
        Self::new(bounds, move |point| {
            let mut distance = f32::MAX;
            for bone in &bones {
                // Too far to matter: that is cheaper to see than how far.
                let off = sub(point, bone.middle);
                let least = distance + blend + bone.reach;
                if distance < f32::MAX && least > 0.0 && dot(off, off) > least * least {
                    continue;
                }
                let other = bone.distance(point);
                let h = (blend - (distance - other).abs()).max(0.0) * soft;
                distance = distance.min(other) - h * h * blend * 0.25;
            }
            distance
        })
    }

    /// This one but for what the other covers.
    pub(crate) fn without(self, other: impl Fn(Point) -> f32 + 'static) -> Self {
        Self {
            bounds: self.bounds,
            distance: Box::new(move |point| (self.distance)(point).max(-other(point))),
        }
    }
}

/// A line between two circles of these radii.
#[derive(Clone, Copy)]
pub(crate) struct Limb {
    pub(crate) from: Point,
    pub(crate) to: Point,
    pub(crate) radii: [f32; 2],
}

/// A limb and what is the same for all points.
struct Bone {
    limb: Limb,
    way: Point,
    /// The inverse of its length's square.
    inverse: f32,
    middle: Point,
    /// How far it reaches from its middle.
    reach: f32,
}

impl Bone {
    fn new(limb: Limb) -> Self {
        let way = sub(limb.to, limb.from);
        Self {
            way,
            inverse: 1.0 / dot(way, way).max(1e-12),
            middle: [limb.from[0] + 0.5 * way[0], limb.from[1] + 0.5 * way[1]],
            reach: 0.5 * length(way) + limb.radii[0].max(limb.radii[1]),
            limb,
        }
    }

    fn distance(&self, point: Point) -> f32 {
        let at = sub(point, self.limb.from);
        let t = (dot(at, self.way) * self.inverse).clamp(0.0, 1.0);
        let off = [at[0] - self.way[0] * t, at[1] - self.way[1] * t];
        let [near, far] = self.limb.radii;
        length(off) - near - (far - near) * t
    }
}

fn around(points: &[Point], margin: f32) -> [f32; 4] {
    let start = [f32::MAX, f32::MAX, f32::MIN, f32::MIN];
    points.iter().fold(start, |[x0, y0, x1, y1], &[x, y]| {
        [
            x0.min(x - margin),
            y0.min(y - margin),
            x1.max(x + margin),
            y1.max(y + margin),
        ]
    })
}

/// How far along the segment (0 to 1) the nearest point is, and how far away.
pub(crate) fn to_segment(point: Point, from: Point, to: Point) -> (f32, f32) {
    let (at, way) = (sub(point, from), sub(to, from));
    let t = (dot(at, way) / dot(way, way).max(1e-12)).clamp(0.0, 1.0);
    (t, length([at[0] - way[0] * t, at[1] - way[1] * t]))
}

pub(crate) fn block([x, y]: Point, half: Point, radius: f32) -> f32 {
    let (x, y) = (x.abs() - half[0] + radius, y.abs() - half[1] + radius);
    if x <= 0.0 || y <= 0.0 {
        return x.max(y) - radius;
    }
    length([x, y]) - radius
}

/// Right at the edge and near it.
pub(crate) fn ellipse([x, y]: Point, [a, b]: Point) -> f32 {
    let scaled = length([x / a, y / b]);
    let gradient = length([x / (a * a), y / (b * b)]);
    if gradient < 1e-6 {
        return -a.min(b);
    }
    scaled * (scaled - 1.0) / gradient
}

pub(crate) fn polygon(point: Point, corners: &[Point]) -> f32 {
    let (mut inside, mut nearest) = (false, f32::MAX);
    let mut from = corners[corners.len() - 1];
    for &to in corners {
        let (at, way) = (sub(point, from), sub(to, from));
        let t = (dot(at, way) / dot(way, way).max(1e-12)).clamp(0.0, 1.0);
        let off = [at[0] - way[0] * t, at[1] - way[1] * t];
        nearest = nearest.min(dot(off, off));
        if (from[1] > point[1]) != (to[1] > point[1]) {
            let x = from[0] + (point[1] - from[1]) / (to[1] - from[1]) * (to[0] - from[0]);
            inside ^= point[0] < x;
        }
        from = to;
    }
    if inside {
        -nearest.sqrt()
    } else {
        nearest.sqrt()
    }
}

/// The corners of a regular polygon, or of a star if every second is nearer by `inner`.
pub(crate) fn star(corners: usize, radius: f32, inner: f32, turn: f32) -> Vec<Point> {
    (0..corners)
        .map(|corner| {
            let [x, y] = polar(turn + corner as f32 / corners as f32 * crate::maths::TAU);
            let radius = if corner % 2 == 1 {
                radius * inner
            } else {
                radius
            };
            [x * radius, y * radius]
        })
        .collect()
}
