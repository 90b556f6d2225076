//! A front: a rainbow around a white disk.

use super::{Placed, Side, Slot};
use crate::{
    camera::Frame,
    ink::Ink,
    layer::Paint,
    maths::{
        Colour, Point, TAU, dot, fract, grey, hsv, length, mix, polar, scale, smooth, sub, turns,
    },
    noise,
    random::Random,
    scene::{Class, Family},
    shapes,
    stage::Stage,
    writing::Hand,
};

struct Disk {
    at: Point,
    radius: f32,
    colour: Colour,
    rings: Vec<(f32, f32)>,
    ink: Colour,
    hub: (f32, Colour),
    /// The normals of the lines across.
    lines: Vec<Point>,
    line: f32,
    /// Squares and dots: where, half side, whether round, how strong.
    marks: Vec<(Point, f32, bool, f32)>,
    small: (Point, f32, Colour),
}

struct Rainbow {
    colours: [Colour; 6],
    phase: f32,
    /// Turns along the edge for one run through the colours; 0 for straight bands in `direction`.
    around: f32,
    direction: Point,
    /// How much paler it is towards the disk and the edge.
    pale: [f32; 2],
    stepped: f32,
}

/// Puts one on a surface, whose unit is the board's height.
pub(crate) fn put(stage: &mut Stage, ground: &Frame) -> Placed {
    let side = Side {
        class: Class::WowboardFront,
        usual: 0.85,
        widths: [[0.84, 0.96], [0.7, 1.1]],
        corners: [0.02, 0.085],
        gloss: [0.2, 1.0],
        paint,
    };
    side.put(stage, ground)
}

fn paint(stage: &mut Stage, half: Point) -> Paint {
    let slot = Slot::random(stage, 2.0 * half[0]);
    let family = stage.family;
    let random = &mut stage.random;
    let rainbow = Rainbow::random(random, family);
    let disk = Disk::random(random, half);
    let lettering = lettering(random, half);
    let border = if random.chance(0.25) {
        (random.range(0.006, 0.02), grey(random.range(0.85, 1.0)))
    } else {
        (-1.0, [0.0; 3])
    };
    let worn = random.range(0.0, 0.06);
    let seed = random.seed();
    Box::new(move |at, footprint| {
        let mut colour = rainbow.at(at, half, &disk);
        if border.0 > 0.0 {
            let inner = shapes::block(at, [half[0] - border.0, half[1] - border.0], 0.04);
            colour = mix(colour, border.1, (0.5 + inner / footprint).clamp(0.0, 1.0));
        }
        colour = disk.over(at, footprint, colour);
        colour = lettering.over(at, footprint, colour);
        colour = slot.over(at, footprint, colour);
        if worn > 0.02 {
            let stain = noise::fractal([at[0] * 4.0, at[1] * 4.0], footprint * 4.0, 2, seed);
            colour = scale(colour, 1.0 + worn * stain);
        }
        colour
    })
}

impl Rainbow {
    fn random(random: &mut Random, family: Family) -> Self {
        let strength = random.range(0.5, 1.0);
        let value = random.range(0.78, 1.0);
        let shift = random.bell() * 0.03;
        let mut colours = [0.0, 0.075, 0.15, 0.34, 0.59, 0.77].map(|hue: f32| {
            let saturation = (strength * random.range(0.75, 1.0)).min(0.92);
            hsv(
                hue + shift + random.bell() * 0.02,
                saturation,
                value * random.range(0.85, 1.0),
            )
        });
        if random.chance(0.08) {
            let (a, b) = (random.count(0, 5), random.count(0, 5));
            colours.swap(a, b);
        }
        Self {
            colours,
            phase: random.unit(),
            around: if random.chance(0.82) {
                random.sign()
            } else {
                0.0
            },
            direction: polar(random.range(0.0, TAU)),
            pale: [random.range(-0.1, 0.5), random.range(-0.25, 0.3)]
                .map(|pale| if random.chance(0.6) { pale } else { 0.0 }),
            stepped: match family {
                Family::Training => random.pick(&[0.0, 0.0, 0.3, 0.6]),
                Family::HeldOut => random.pick(&[0.15, 0.45, 0.85]),
            },
        }
    }

    fn at(&self, at: Point, half: Point, disk: &Disk) -> Colour {
        let turn = if self.around != 0.0 {
            self.around * turns([at[0] / half[0], at[1] / half[1]])
        } else {
            dot(at, self.direction) * 0.75
        };
        let t = fract(turn + self.phase) * 6.0;
        let band = t as usize % 6;
        let step = t - band as f32;
        let step = step + self.stepped * (smooth((step - 0.5) * 3.0 + 0.5) - step);
        let colour = mix(self.colours[band], self.colours[(band + 1) % 6], step);
        let out = (length(sub(at, disk.at)) / disk.radius - 1.0).clamp(0.0, 1.0);
        let pale = self.pale[0] * (1.0 - out) + self.pale[1] * out;
        if pale >= 0.0 {
            mix(colour, [0.95; 3], pale)
        } else {
            scale(colour, 1.0 + pale)
        }
    }
}

impl Disk {
    fn random(random: &mut Random, half: Point) -> Self {
        let radius = half[0] * random.range(0.66, 0.93);
        let at = [
            random.bell() * 0.02,
            random.range(0.0, 0.9) * (half[1] - radius).max(0.0) + random.bell() * 0.01,
        ];
        let ink = mix(
            grey(random.range(0.35, 0.8)),
            hsv(random.unit(), 0.5, 0.7),
            random.range(0.0, 0.4),
        );
        let mut rings = Vec::new();
        for ring in 0..random.count(2, 3) {
            let r = (0.3 + 0.24 * ring as f32 + random.bell() * 0.08) * radius;
            rings.push((r, random.log_range(0.001, 0.004)));
        }
        if random.chance(0.5) {
            rings.push((radius * 0.985, random.log_range(0.001, 0.006)));
        }
        let spokes = random.count(1, 5);
        let turn = random.range(0.0, TAU);
        let lines = (0..spokes)
            .map(|line| polar(turn + line as f32 / spokes as f32 * TAU / 2.0))
            .collect();
        let mut marks = Vec::new();
        for _ in 0..random.count(0, 14) {
            let way = random.range(0.2, 0.92) * radius;
            let [x, y] = polar(random.range(0.0, TAU));
            marks.push((
                [x * way, y * way],
                random.log_range(0.006, 0.035),
                random.chance(0.5),
                random.range(0.04, 0.35),
            ));
        }
        let angle = TAU / 8.0 + random.bell() * 0.25;
        let [x, y] = polar(angle);
        let away = radius * random.range(0.85, 1.08);
        Self {
            at,
            radius,
            colour: mix(
                grey(random.range(0.9, 1.0)),
                hsv(random.unit(), 0.1, 1.0),
                random.range(0.0, 0.4),
            ),
            rings,
            ink,
            hub: (
                radius * random.range(0.08, 0.22),
                grey(random.range(0.5, 0.82)),
            ),
            lines,
            line: random.log_range(0.0008, 0.003),
            marks,
            small: (
                [x * away, y * away],
                radius * random.range(0.12, 0.26),
                grey(random.range(0.55, 0.85)),
            ),
        }
    }

    fn over(&self, at: Point, footprint: f32, below: Colour) -> Colour {
        let at = sub(at, self.at);
        let far = length(at);
        let cover = |distance: f32| (0.5 - distance / footprint).clamp(0.0, 1.0);
        let line = |distance: f32, radius: f32| {
            let wide = radius.max(0.5 * footprint);
            (0.5 + (wide - distance) / footprint).clamp(0.0, 1.0)
                * (2.0 * radius / footprint).min(1.0)
        };
        let mut colour = below;
        let inside = cover(far - self.radius);
        if inside > 0.0 {
            let mut face = self.colour;
            for (place, half, round, strength) in &self.marks {
                let [x, y] = sub(at, *place);
                if x.abs().max(y.abs()) > half + footprint {
                    continue;
                }
                let distance = if *round {
                    length([x, y]) - half
                } else {
                    x.abs().max(y.abs()) - half
                };
                face = mix(face, self.ink, strength * cover(distance));
            }
            let mut drawn = 0.0f32;
            for (radius, pen) in &self.rings {
                drawn = drawn.max(line((far - radius).abs(), *pen));
            }
            for normal in &self.lines {
                drawn = drawn.max(line(dot(at, *normal).abs(), self.line));
            }
            face = mix(face, self.ink, drawn);
            face = mix(face, self.hub.1, cover(far - self.hub.0));
            colour = mix(colour, face, inside);
        }
        let (place, radius, shade) = self.small;
        let off = length(sub(at, place)) - radius;
        colour = mix(
            colour,
            mix(shade, [0.9; 3], 0.6 * line(off.abs(), 0.003)),
            cover(off),
        );
        colour
    }
}

/// Dark on one side, white on the other.
fn lettering(random: &mut Random, half: Point) -> Ink {
    let mut strokes = Vec::new();
    let high = random.range(0.018, 0.04);
    let dark = grey(random.range(0.05, 0.3));
    let white = grey(0.98);
    let swap = random.chance(0.3);
    for (side, colour) in [
        (-1.0, if swap { white } else { dark }),
        (1.0, if swap { dark } else { white }),
    ] {
        if random.chance(0.1) {
            continue;
        }
        let mut y = -half[1] + random.range(0.03, 0.06);
        for line in 0..random.count(1, 3) {
            let hand = Hand::print(random, colour);
            let high = if line == 0 {
                high * random.range(1.0, 1.5)
            } else {
                high * random.range(0.4, 0.8)
            };
            let letters = random
                .count(3, 9)
                .min((half[0] * 0.62 / (high * 0.8)) as usize)
                .max(2);
            let x = if side < 0.0 {
                -half[0] + 0.045
            } else {
                half[0] - 0.045 - letters as f32 * high * 0.8
            };
            hand.word(random, [x, y], high, letters, &mut strokes);
            y += high * 1.6;
        }
    }
    Ink::new(strokes)
}
