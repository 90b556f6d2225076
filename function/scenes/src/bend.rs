//! Paper that does not lie flat: from a line on it bends away from its ground as a parabola.

use crate::maths::{Point, dot, polar};

/// Along a direction of the paper, beyond a line, its height grows with the square of the way.
#[derive(Clone, Copy)]
pub(crate) struct Bend {
    /// In which direction of the paper it rises.
    axis: Point,
    /// From where on, along the axis.
    start: f32,
    /// The height at the way 1.
    curve: f32,
    /// Whether it rises to the other side, too.
    both: bool,
}

/// The steepest that the shading sees; beyond, paper would hide its own ground.
const LEAST_SLOPE: f32 = 0.15;

impl Bend {
    pub(crate) fn new(direction: f32, start: f32, curve: f32, both: bool) -> Self {
        Self {
            axis: polar(direction),
            start,
            curve,
            both,
        }
    }

    /// As strong as it may be for the paper, of half side 0.5, to hide no part of itself from there: see
    /// [`Bend::unbend`] for the drift.
    pub(crate) fn seen(mut self, drift: Point) -> Self {
        let reach = (0.72 - self.start).max(0.05);
        let across = dot(drift, self.axis);
        let worst = if self.both { -across.abs() } else { across };
        while self.curve > 0.01 {
            let steep = self.curve * reach;
            if 1.0 - 2.0 * steep * steep + 2.0 * steep * worst.min(0.0) > LEAST_SLOPE && steep < 0.6
            {
                break;
            }
            self.curve *= 0.8;
        }
        self
    }

    /// The point of the paper that is seen where the ground's point would be, and the paper's slope there. `drift`
    /// is how far a unit of height moves what is seen along the ground.
    pub(crate) fn unbend(&self, point: Point, drift: Point) -> (Point, Point) {
        let [c, s] = self.axis;
        let aside = point[1] * c - point[0] * s;
        let ahead = dot(point, self.axis);
        let (side, ahead) = if self.both && ahead < 0.0 {
            (-1.0, -ahead)
        } else {
            (1.0, ahead)
        };
        let way = ahead - self.start;
        if way <= 0.0 {
            return (point, [0.0; 2]);
        }
        let across = side * dot(drift, self.axis);
        let sideways = drift[1] * c - drift[0] * s;
        let k = self.curve;
        let mut t = way.min(1.5);
        for _ in 0..3 {
            let height = k * t * t;
            let value = t - height * k * t * (2.0 / 3.0) + height * across - way;
            let slope = 1.0 - 2.0 * k * k * t * t + 2.0 * k * t * across;
            t = (t - value / slope.max(LEAST_SLOPE)).clamp(0.0, 2.0);
        }
        let b = side * (self.start + t);
        let a = aside - k * t * t * sideways;
        let rise = side * 2.0 * k * t;
        ([b * c - a * s, b * s + a * c], [rise * c, rise * s])
    }

    /// How high the paper reaches.
    pub(crate) fn height(&self) -> f32 {
        let reach = (0.72 - self.start).max(0.0);
        self.curve * reach * reach
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unbending_finds_what_was_bent() {
        let bend = Bend::new(0.0, -0.2, 0.4, false);
        let drift = [0.3, -0.5];
        for way in [0.1f32, 0.3, 0.6] {
            let height = 0.4 * way * way;
            let across = -0.2 + way - 0.16 * way * way * way * (2.0 / 3.0) + height * drift[0];
            let aside = 0.1 + height * drift[1];
            let (at, slope) = bend.unbend([across, aside], drift);
            assert!((at[0] - (way - 0.2)).abs() < 1e-3, "{at:?}");
            assert!((at[1] - 0.1).abs() < 1e-3, "{at:?}");
            assert!((slope[0] - 0.8 * way).abs() < 3e-3, "{slope:?}");
        }
        assert_eq!(bend.unbend([-0.4, 0.0], drift), ([-0.4, 0.0], [0.0; 2]));
    }
}
