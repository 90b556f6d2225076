//! Painting by formulas: a shape is the distance to its edge, a paint the colour at a point.

use segmenter_imaging::Image;

/// A point in pixels, `x` to the right and `y` down from the top left corner.
pub(super) type Point = [f32; 2];
/// Red, green and blue, 0 to 1, as they are encoded.
pub(super) type Colour = [f32; 3];

/// A picture that shapes are painted on, one over the other.
pub(super) struct Canvas {
    width: u32,
    pixels: Vec<Colour>,
}

/// Shapes are looked at in squares of so many pixels a side first.
const TILE: u32 = 16;

impl Canvas {
    pub(super) fn new(width: u32, height: u32, background: impl Fn(Point) -> Colour) -> Self {
        let pixels = (0..height).flat_map(|y| (0..width).map(move |x| centre([x, y])));
        Self {
            width,
            pixels: pixels.map(background).collect(),
        }
    }

    /// Paints a shape with a sharp edge.
    pub(super) fn fill(&mut self, shape: impl Fn(Point) -> f32, paint: impl Fn(Point) -> Colour) {
        self.blend(shape, 1.0, 1.0, paint);
    }

    /// Darkens the shape with an edge that is `blur` pixels wide, most where it is deepest.
    pub(super) fn shade(&mut self, shape: impl Fn(Point) -> f32, blur: f32, strength: f32) {
        self.blend(shape, blur, strength, plain([0.05, 0.06, 0.1]));
    }

    /// Lightens the same way.
    pub(super) fn light(&mut self, shape: impl Fn(Point) -> f32, blur: f32, strength: f32) {
        self.blend(shape, blur, strength, plain([1.0; 3]));
    }

    fn blend(
        &mut self,
        shape: impl Fn(Point) -> f32,
        edge: f32,
        strength: f32,
        paint: impl Fn(Point) -> Colour,
    ) {
        for (tile, rows) in (0..).zip(self.pixels.chunks_mut((self.width * TILE) as usize)) {
            for left in (0..self.width).step_by(TILE as usize) {
                let middle = [left + TILE / 2, tile * TILE + TILE / 2].map(|at| at as f32);
                // No formula grows faster than the distance.
                if shape(middle) > edge / 2.0 + TILE as f32 {
                    continue;
                }
                for (y, row) in (tile * TILE..).zip(rows.chunks_mut(self.width as usize)) {
                    for (x, pixel) in (0..).zip(row).skip(left as usize).take(TILE as usize) {
                        let point = centre([x, y]);
                        let cover = strength * smooth(0.5 - shape(point) / edge);
                        if cover > 0.0 {
                            *pixel = mix(*pixel, paint(point), cover);
                        }
                    }
                }
            }
        }
    }

    /// The picture, with a grain as that of a camera: flat colours do not look like any photograph.
    pub(super) fn finish(self) -> Option<Image> {
        let height = u32::try_from(self.pixels.len()).ok()? / self.width;
        let samples = (0..).zip(&self.pixels).flat_map(|(index, colour)| {
            let grain = (noise([index, 0]) - 0.5) * 0.03;
            colour.map(|channel| ((channel + grain) * 255.0).round() as u8)
        });
        Image::new(self.width, height, samples.collect())
    }
}

/// The middle of a pixel.
fn centre(pixel: [u32; 2]) -> Point {
    pixel.map(|at| at as f32 + 0.5)
}

/// 0 to 1 without corners.
fn smooth(t: f32) -> f32 {
    let t = t.clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// From one colour to another.
pub(super) fn mix(from: Colour, to: Colour, t: f32) -> Colour {
    let t = t.clamp(0.0, 1.0);
    std::array::from_fn(|channel| from[channel] + (to[channel] - from[channel]) * t)
}

/// The same everywhere.
pub(super) fn plain(colour: Colour) -> impl Fn(Point) -> Colour {
    move |_| colour
}

/// One colour at `from`, another at `to`, and all between.
pub(super) fn gradient(
    from: Point,
    to: Point,
    [first, last]: [Colour; 2],
) -> impl Fn(Point) -> Colour {
    let way = sub(to, from);
    move |point| mix(first, last, dot(sub(point, from), way) / dot(way, way))
}

/// A ball that the sun shines on from the upper left.
pub(super) fn ball(middle: Point, radius: f32, colour: Colour) -> impl Fn(Point) -> Colour {
    move |point| {
        let [x, y] = sub(point, middle).map(|d| d / radius);
        let z = (1.0 - x * x - y * y).max(0.0).sqrt();
        let light = (-0.5 * x - 0.6 * y + 0.62 * z).max(0.0);
        let lit = colour.map(|channel| channel * (0.42 + 0.66 * light));
        mix(lit, [1.0; 3], 0.75 * light.powi(24))
    }
}

pub(super) fn circle(middle: Point, radius: f32) -> impl Fn(Point) -> f32 + Copy {
    move |point| length(sub(point, middle)) - radius
}

pub(super) fn ellipse(middle: Point, radii: Point) -> impl Fn(Point) -> f32 + Copy {
    move |point| {
        let [x, y] = sub(point, middle);
        let scaled = length([x / radii[0], y / radii[1]]);
        (scaled - 1.0) * radii[0].min(radii[1])
    }
}

/// A line of circles of this radius.
pub(super) fn stroke(from: Point, to: Point, radius: f32) -> impl Fn(Point) -> f32 + Copy {
    move |point| {
        let (along, way) = (sub(point, from), sub(to, from));
        let t = (dot(along, way) / dot(way, way)).clamp(0.0, 1.0);
        length([along[0] - way[0] * t, along[1] - way[1] * t]) - radius
    }
}

/// From the top left to the bottom right corner, with round corners.
pub(super) fn block([x0, y0]: Point, [x1, y1]: Point, radius: f32) -> impl Fn(Point) -> f32 + Copy {
    move |[x, y]| {
        let out = [
            (x - (x0 + x1) / 2.0).abs() - (x1 - x0) / 2.0 + radius,
            (y - (y0 + y1) / 2.0).abs() - (y1 - y0) / 2.0 + radius,
        ];
        length(out.map(|d| d.max(0.0))) + out[0].max(out[1]).min(0.0) - radius
    }
}

/// A polygon of these corners.
pub(super) fn polygon<const N: usize>(corners: [Point; N]) -> impl Fn(Point) -> f32 + Copy {
    move |point| {
        let mut inside = false;
        let mut nearest = f32::INFINITY;
        for (index, &from) in corners.iter().enumerate() {
            let to = corners[(index + 1) % N];
            nearest = nearest.min(stroke(from, to, 0.0)(point));
            if (from[1] > point[1]) != (to[1] > point[1]) {
                let x = from[0] + (point[1] - from[1]) / (to[1] - from[1]) * (to[0] - from[0]);
                inside ^= point[0] < x;
            }
        }
        if inside { -nearest } else { nearest }
    }
}

/// A polygon with `N` equal sides.
pub(super) fn regular<const N: usize>(middle: Point, radius: f32, turn: f32) -> [Point; N] {
    std::array::from_fn(|corner| {
        around(
            middle,
            radius,
            turn + corner as f32 / N as f32 * std::f32::consts::TAU,
        )
    })
}

/// The point at an angle, clockwise from the top.
pub(super) fn around(middle: Point, radius: f32, angle: f32) -> Point {
    [
        middle[0] + radius * angle.sin(),
        middle[1] - radius * angle.cos(),
    ]
}

/// What both shapes cover.
pub(super) fn both(
    a: impl Fn(Point) -> f32 + Copy,
    b: impl Fn(Point) -> f32 + Copy,
) -> impl Fn(Point) -> f32 + Copy {
    move |point| a(point).max(b(point))
}

/// What the first covers and the second does not.
pub(super) fn without(
    a: impl Fn(Point) -> f32 + Copy,
    b: impl Fn(Point) -> f32 + Copy,
) -> impl Fn(Point) -> f32 + Copy {
    move |point| a(point).max(-b(point))
}

/// 0 to 1, the same at each run, and as if by chance.
pub(super) fn noise([x, y]: [u32; 2]) -> f32 {
    let mut bits = x.wrapping_mul(0x9e37_79b9) ^ y.wrapping_mul(0x85eb_ca6b);
    bits = (bits ^ (bits >> 16)).wrapping_mul(0x7feb_352d);
    bits = (bits ^ (bits >> 15)).wrapping_mul(0x846c_a68b);
    (bits ^ (bits >> 16)) as f32 / u32::MAX as f32
}

fn sub(a: Point, b: Point) -> Point {
    [a[0] - b[0], a[1] - b[1]]
}

fn dot(a: Point, b: Point) -> f32 {
    a[0] * b[0] + a[1] * b[1]
}

fn length(a: Point) -> f32 {
    dot(a, a).sqrt()
}
