//! What lights a scene: one direction, a sky from everywhere, lamps' pools and their reflections.

use crate::{
    camera::Frame,
    maths::{Colour, Point, Vector, along, dot3, exp, lerp, mix, polar, scale, times, unit3},
    random::Random,
    scene::Family,
};

pub(crate) struct Light {
    /// Towards the key light.
    pub(crate) sun: Vector,
    key: Colour,
    fill: Colour,
    /// How much darker a shadow is, 0 to 1, and how sharp its edge.
    pub(crate) shadow: f32,
    pub(crate) softness: f32,
    /// What grows brighter across the picture, by picture heights, about its middle.
    slope: Point,
    pools: Vec<Pool>,
    reflections: Vec<Reflection>,
}

struct Pool {
    at: Point,
    width: f32,
    strength: f32,
    tint: Colour,
}

/// A lamp or window seen in what is glossy; lengths in picture heights.
struct Reflection {
    at: Point,
    half: Point,
    /// Its axes' cosine and sine.
    axes: Point,
    blur: f32,
    strength: f32,
}

/// A family's warm and cold light.
fn tints(family: Family) -> (Colour, Colour) {
    match family {
        Family::Training => ([1.0, 0.86, 0.66], [0.84, 0.93, 1.0]),
        Family::HeldOut => ([1.0, 0.8, 0.72], [0.88, 1.0, 0.97]),
    }
}

/// How much of a family's light comes from one direction: little where a sky is about, much from a lamp.
fn hardness(family: Family) -> &'static [f32] {
    match family {
        Family::Training => &[0.15, 0.3, 0.45, 0.7],
        Family::HeldOut => &[0.22, 0.38, 0.57],
    }
}

impl Light {
    pub(crate) fn random(random: &mut Random, family: Family) -> Self {
        let (warm, cold) = tints(family);
        let hard = random.pick(hardness(family));
        let sun = unit3([
            random.range(-1.0, 1.0),
            random.range(-1.3, 0.5),
            random.range(0.45, 1.6),
        ]);
        let white = [1.0; 3];
        let [key, fill] = match random.count(0, 4) {
            0 => [
                mix(white, warm, random.range(0.3, 1.0)),
                mix(white, cold, random.range(0.0, 0.8)),
            ],
            1 => [
                mix(white, warm, random.range(0.3, 1.0)),
                mix(white, warm, random.range(0.0, 0.8)),
            ],
            2 => [
                mix(white, cold, random.range(0.2, 1.0)),
                mix(white, cold, random.range(0.0, 0.8)),
            ],
            _ => [mix(white, warm, random.range(0.0, 0.3)), white],
        };
        let ambient = 1.0 - hard;
        let mut light = Self {
            sun,
            key: scale(key, hard / sun[2].max(0.45)),
            fill: scale(fill, ambient),
            shadow: lerp(0.25, 0.8, hard) * random.range(0.7, 1.1),
            softness: lerp(1.6, 0.3, hard) * random.log_range(0.6, 1.6),
            slope: [random.bell() * 0.5, random.bell() * 0.45],
            pools: Vec::new(),
            reflections: Vec::new(),
        };
        for _ in 0..random.pick(&[0, 0, 1, 1, 2]) {
            light.pools.push(Pool {
                at: [random.range(-0.9, 0.9), random.range(-0.8, 0.5)],
                width: random.log_range(0.25, 1.0),
                strength: random.range(-0.4, 0.9),
                tint: mix(warm, cold, random.unit()),
            });
        }
        for _ in 0..random.pick(&[0, 1, 2, 2, 3]) {
            let square = (family == Family::HeldOut) == random.chance(0.7);
            let size = random.log_range(0.02, 0.2);
            light.reflections.push(Reflection {
                at: [random.bell() * 0.45, random.bell() * 0.35],
                half: if square {
                    [size, size * random.log_range(0.5, 2.0)]
                } else {
                    [size * 0.2, size * 0.2]
                },
                axes: polar(random.range(-0.4, 0.4)),
                blur: size
                    * if square {
                        random.log_range(0.1, 1.0)
                    } else {
                        random.log_range(0.5, 2.0)
                    },
                strength: random.log_range(0.25, 2.0),
            });
        }
        light
    }

    /// Daylight from the upper left.
    pub(crate) fn calm() -> Self {
        Self {
            sun: unit3([-0.5, -0.8, 1.0]),
            key: scale([1.0, 0.95, 0.86], 0.45 / 0.72),
            fill: [0.53, 0.56, 0.6],
            shadow: 0.5,
            softness: 0.8,
            slope: [-0.22, -0.2],
            pools: Vec::new(),
            reflections: vec![Reflection {
                at: [0.16, -0.02],
                half: [0.01, 0.012],
                axes: polar(0.3),
                blur: 0.09,
                strength: 0.4,
            }],
        }
    }

    /// What reaches a surface of this frame whose own normal it is given in.
    pub(crate) fn on(&self, frame: &Frame, normal: Vector) -> Colour {
        let sun = frame.direction(self.sun);
        let facing = dot3(sun, unit3(normal)).max(0.0);
        along(self.fill, self.key, facing)
    }

    /// What the place in the picture, in heights from its middle, makes of it.
    pub(crate) fn at(&self, at: Point) -> Colour {
        let even = 1.0 + self.slope[0] * at[0] + self.slope[1] * at[1];
        let mut colour = [even.max(0.35); 3];
        for pool in &self.pools {
            let off = [at[0] - pool.at[0], at[1] - pool.at[1]];
            let near = (off[0] * off[0] + off[1] * off[1]) / (pool.width * pool.width);
            let strength = pool.strength / ((1.0 + near) * (1.0 + near));
            colour = times(colour, along([1.0; 3], pool.tint, strength));
        }
        colour
    }

    /// What lamps add to a mirror there.
    pub(crate) fn glare(&self, at: Point) -> f32 {
        let each = self.reflections.iter().map(|lamp| {
            let [x, y] = [at[0] - lamp.at[0], at[1] - lamp.at[1]];
            let reach = lamp.half[0] + lamp.half[1] + 3.0 * lamp.blur;
            if x * x + y * y > reach * reach {
                return 0.0;
            }
            let [c, s] = lamp.axes;
            let [x, y] = [x * c - y * s, x * s + y * c];
            let far = crate::shapes::block([x, y], lamp.half, 0.3 * lamp.half[0].min(lamp.half[1]));
            let far = (far / lamp.blur).max(0.0);
            if far > 3.0 {
                0.0
            } else {
                lamp.strength * exp(-far * far)
            }
        });
        each.sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_lit_differently() {
        let training = hardness(Family::Training);
        assert!(
            hardness(Family::HeldOut)
                .iter()
                .all(|hard| !training.contains(hard))
        );
        assert_ne!(tints(Family::Training), tints(Family::HeldOut));
    }
}
