//! Where things are in the room and where the camera sees them.

use crate::maths::{Point, Vector, along, cos, cross, dot3, polar, scale, sin, unit3};

/// A plane's coordinates in the room.
#[derive(Clone, Copy)]
pub(crate) struct Frame {
    pub(crate) origin: Vector,
    /// Where `x` grows by one; `y`, just as long, at a right angle.
    pub(crate) x: Vector,
    pub(crate) y: Vector,
    /// Out of the plane towards who looks at it, of length 1.
    pub(crate) normal: Vector,
}

impl Frame {
    /// The plane that everything is about.
    pub(crate) const MAIN: Self = Self {
        origin: [0.0; 3],
        x: [1.0, 0.0, 0.0],
        y: [0.0, 1.0, 0.0],
        normal: [0.0, 0.0, 1.0],
    };

    /// How long its unit is.
    pub(crate) fn unit(&self) -> f32 {
        dot3(self.x, self.x).sqrt()
    }

    /// The point of the room at these coordinates and so far (in the room's units) above the plane.
    pub(crate) fn point(&self, [x, y]: Point, lift: f32) -> Vector {
        let at = along(along(self.origin, self.x, x), self.y, y);
        along(at, self.normal, lift)
    }

    /// The frame about a point of this one, turned clockwise and with another unit.
    pub(crate) fn at(&self, middle: Point, turn: f32, size: f32) -> Self {
        let [c, s] = polar(turn);
        Self {
            origin: self.point(middle, 0.0),
            x: scale(along(scale(self.x, c), self.y, s), size),
            y: scale(along(scale(self.y, c), self.x, -s), size),
            normal: self.normal,
        }
    }

    /// So much (in the room's units) nearer to who looks.
    pub(crate) fn lifted(&self, lift: f32) -> Self {
        Self {
            origin: along(self.origin, self.normal, lift),
            ..*self
        }
    }

    /// The plane through this one's line at `y`, at a right angle to it and towards the viewer: the table before a
    /// wall, seen in coordinates whose `y` grows away from the wall.
    pub(crate) fn floor(&self, y: f32) -> Self {
        let unit = self.unit();
        Self {
            origin: self.point([0.0, y], 0.0),
            x: self.x,
            y: scale(self.normal, unit),
            normal: scale(self.y, -1.0 / unit),
        }
    }

    /// The foot, and the height above the plane, of a point of the room, in the plane's units.
    pub(crate) fn local(&self, point: Vector) -> Vector {
        let from = along(point, self.origin, -1.0);
        let square = dot3(self.x, self.x);
        [
            dot3(from, self.x) / square,
            dot3(from, self.y) / square,
            dot3(from, self.normal) / square.sqrt(),
        ]
    }

    /// A direction of the room as this plane has it.
    pub(crate) fn direction(&self, direction: Vector) -> Vector {
        let unit = self.unit();
        [
            dot3(direction, self.x) / unit,
            dot3(direction, self.y) / unit,
            dot3(direction, self.normal),
        ]
    }
}

/// A pinhole with a slightly bent picture.
pub(crate) struct Camera {
    pub(crate) position: Vector,
    right: Vector,
    down: Vector,
    forward: Vector,
    focal: f32,
    centre: Point,
    /// How far what is one pixel from the centre is off, as a share of that; it grows with the square.
    bend: f32,
}

/// How a camera is held.
pub(crate) struct Pose {
    /// What is in the picture's middle, on the main plane.
    pub(crate) target: Point,
    /// How much of the main plane, seen from the front, is as high as the picture.
    pub(crate) height: f32,
    /// From the main plane's normal.
    pub(crate) tilt: f32,
    /// To which side, clockwise from the right.
    pub(crate) azimuth: f32,
    pub(crate) roll: f32,
    /// The focal length by the picture's longer side: 0.55 for a wide angle, 1.2 for a portrait.
    pub(crate) lens: f32,
    /// How far the corners are off, as a share of their distance from the centre.
    pub(crate) distortion: f32,
}

impl Camera {
    /// For a picture of this width and height.
    pub(crate) fn new(size: [u32; 2], pose: &Pose) -> Self {
        let [width, height] = size.map(|side| side as f32);
        let target = Frame::MAIN.point(pose.target, 0.0);
        let focal = width.max(height) * pose.lens;
        let distance = pose.height * focal / height;
        let [across, away] = polar(pose.azimuth);
        let leaned = sin(pose.tilt);
        let from = [leaned * across, leaned * away, cos(pose.tilt)];
        let forward = scale(from, -1.0);
        let right = unit3(cross(forward, [0.0, 1.0, 0.0]));
        let down = cross(right, forward);
        let [c, s] = polar(pose.roll);
        Self {
            position: along(target, from, distance),
            right: along(scale(right, c), down, s),
            down: along(scale(down, c), right, -s),
            forward,
            focal,
            centre: [width / 2.0, height / 2.0],
            bend: pose.distortion * 4.0 / (width * width + height * height),
        }
    }

    /// Where a point of the room is in the picture, in pixels; `None` behind the camera.
    pub(crate) fn project(&self, point: Vector) -> Option<Point> {
        let from = along(point, self.position, -1.0);
        let depth = dot3(from, self.forward);
        (depth > 1e-3 * dot3(from, from).sqrt()).then(|| {
            let undistorted = [
                self.focal * dot3(from, self.right) / depth,
                self.focal * dot3(from, self.down) / depth,
            ];
            // The inverse of `straighten`, to the first order.
            let bend = 1.0 - self.bend(undistorted);
            [
                self.centre[0] + undistorted[0] * bend,
                self.centre[1] + undistorted[1] * bend,
            ]
        })
    }

    /// Where the pixel would be through a pinhole.
    pub(crate) fn straighten(&self, [x, y]: Point) -> Point {
        let off = [x - self.centre[0], y - self.centre[1]];
        let bend = 1.0 + self.bend(off);
        [
            self.centre[0] + off[0] * bend,
            self.centre[1] + off[1] * bend,
        ]
    }

    fn bend(&self, [x, y]: Point) -> f32 {
        ((x * x + y * y) * self.bend).clamp(-0.2, 0.2)
    }

    /// How many pixels the distortion moves anything at most, and some more.
    pub(crate) fn margin(&self) -> f32 {
        let [x, y] = self.centre;
        2.0 + 0.5 * self.bend.abs() * (x * x + y * y) * (x + y)
    }

    /// The plane that faces the camera at this distance: things that stand free. Its unit is the
    /// picture's height, its origin the middle.
    pub(crate) fn facing(&self, distance: f32) -> Frame {
        let unit = distance * 2.0 * self.centre[1] / self.focal;
        Frame {
            origin: along(self.position, self.forward, distance),
            x: scale(self.right, unit),
            y: scale(self.down, unit),
            normal: scale(self.forward, -1.0),
        }
    }

    /// From straightened pixels to a plane's coordinates.
    pub(crate) fn homography(&self, frame: &Frame) -> Homography {
        let from = along(frame.origin, self.position, -1.0);
        let columns = [frame.x, frame.y, from].map(|column| {
            let [x, y, depth] =
                [self.right, self.down, self.forward].map(|axis| dot64(column, axis));
            let [focal, cx, cy] = [self.focal, self.centre[0], self.centre[1]].map(f64::from);
            [focal * x + cx * depth, focal * y + cy * depth, depth]
        });
        let [a, b, c] = columns;
        // The rows of the inverse but for the determinant, whose sign tells the side that is seen.
        let rows = [cross64(b, c), cross64(c, a), cross64(a, b)];
        let determinant = a[0] * rows[0][0] + a[1] * rows[0][1] + a[2] * rows[0][2];
        let determinant = if determinant.abs() < 1e-30 {
            1e-30
        } else {
            determinant
        };
        Homography {
            rows: rows.map(|row| row.map(|entry| (entry / determinant) as f32)),
        }
    }
}

fn dot64(a: Vector, b: Vector) -> f64 {
    let [a, b] = [a, b].map(|vector| vector.map(f64::from));
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

fn cross64(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    [
        a[1] * b[2] - a[2] * b[1],
        a[2] * b[0] - a[0] * b[2],
        a[0] * b[1] - a[1] * b[0],
    ]
}

/// A map from pixels to a plane.
pub(crate) struct Homography {
    rows: [[f32; 3]; 3],
}

/// What a pixel sees of a plane.
#[derive(Clone, Copy)]
pub(crate) struct Sight {
    pub(crate) at: Point,
    /// How wide the pixel is there.
    pub(crate) footprint: f32,
}

impl Homography {
    /// `None` beyond the horizon.
    pub(crate) fn sight(&self, [x, y]: Point) -> Option<Sight> {
        let [a, b, c] = self.rows;
        let w = c[0] * x + c[1] * y + c[2];
        if w <= 0.0 {
            return None;
        }
        let near = 1.0 / w;
        let at = [
            (a[0] * x + a[1] * y + a[2]) * near,
            (b[0] * x + b[1] * y + b[2]) * near,
        ];
        let [right, down] = self.steps(at);
        let footprint = (0.7 * right.max(down) + 0.3 * right.min(down)).sqrt() * near;
        Some(Sight { at, footprint })
    }

    /// The squares of how far the plane's point moves with a pixel to the right and with one down, by the depth.
    fn steps(&self, at: Point) -> [f32; 2] {
        let [a, b, c] = self.rows;
        [0, 1].map(|axis| {
            let (x, y) = (a[axis] - at[0] * c[axis], b[axis] - at[1] * c[axis]);
            x * x + y * y
        })
    }

    /// Only the point that a pixel sees.
    pub(crate) fn point(&self, [x, y]: Point) -> Option<Point> {
        let [a, b, c] = self.rows;
        let w = c[0] * x + c[1] * y + c[2];
        if w <= 0.0 {
            return None;
        }
        let near = 1.0 / w;
        Some([
            (a[0] * x + a[1] * y + a[2]) * near,
            (b[0] * x + b[1] * y + b[2]) * near,
        ])
    }

    /// How wide a pixel is all over so many pixels around this one; `None` where that is not all the same.
    pub(crate) fn footprint(&self, pixel: Point, pixels: f32) -> Option<f32> {
        let [x, y] = pixel;
        let c = self.rows[2];
        let w = c[0] * x + c[1] * y + c[2];
        let change = (c[0].abs() + c[1].abs()) * pixels;
        if w <= 25.0 * change {
            return None;
        }
        self.sight(pixel).map(|sight| sight.footprint)
    }

    /// The plane's point at a pixel, and how far from it on the plane what so many pixels around shows may be;
    /// `None` near the horizon.
    pub(crate) fn reach(&self, pixel: Point, pixels: f32) -> Option<(Point, f32)> {
        let [x, y] = pixel;
        let c = self.rows[2];
        let w = c[0] * x + c[1] * y + c[2];
        let change = (c[0].abs() + c[1].abs()) * pixels;
        if w <= 4.0 * change {
            return None;
        }
        let Sight { at, .. } = self.sight(pixel)?;
        let [right, down] = self.steps(at);
        Some((at, (right + down).sqrt() * pixels / w))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pixel_sees_what_is_projected_there() {
        let pose = Pose {
            target: [0.3, -0.1],
            height: 1.4,
            tilt: 0.9,
            azimuth: 0.6,
            roll: 0.3,
            lens: 0.8,
            distortion: 0.0,
        };
        let camera = Camera::new([400, 300], &pose);
        let frame = Frame::MAIN.lifted(0.02).at([0.1, 0.2], 0.7, 0.3);
        let homography = camera.homography(&frame);
        for point in [[0.0, 0.0], [0.5, -0.4], [-0.6, 0.2]] {
            let pixel = camera.project(frame.point(point, 0.0)).unwrap();
            let sight = homography.sight(pixel).unwrap();
            assert!(
                (sight.at[0] - point[0]).abs() < 1e-3,
                "{sight:?}",
                sight = sight.at
            );
            assert!(
                (sight.at[1] - point[1]).abs() < 1e-3,
                "{sight:?}",
                sight = sight.at
            );
        }
        let middle = camera.project(Frame::MAIN.point([0.3, -0.1], 0.0)).unwrap();
        assert!((middle[0] - 200.0).abs() < 0.01 && (middle[1] - 150.0).abs() < 0.01);
    }
}
