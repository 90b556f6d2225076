//! Sticky notes.

use crate::{
    bend::Bend,
    camera::Frame,
    ink::{Ink, Stroke},
    layer::{Layer, Paint, Role},
    maths::{Colour, Point, TAU, dot, fract, grey, hsv, mix, polar, scale, smooth},
    noise,
    random::Random,
    scene::{Class, Family},
    shapes::{self, Shape},
    stage::Stage,
    writing::Hand,
};

/// What the notes of one scene have in common.
#[derive(Clone)]
pub(crate) struct Pack {
    colours: Vec<Colour>,
    hands: Vec<Hand>,
    /// What is written; if nothing is said, anything.
    texts: Vec<&'static str>,
    /// How many carry no writing.
    blank: f32,
    marks: bool,
    /// How far their corners rise, 0 to 1.
    curl: f32,
    /// Height by width.
    tall: f32,
    rounded: f32,
}

/// Hue, saturation and value of the papers that are sold, and how often.
const PAPERS: [(f32, f32, f32, f32); 16] = [
    (0.155, 0.45, 0.98, 2.0),
    (0.165, 0.72, 0.99, 2.5),
    (0.215, 0.66, 0.95, 1.6),
    (0.27, 0.5, 0.88, 1.0),
    (0.09, 0.6, 1.0, 1.4),
    (0.055, 0.72, 1.0, 1.4),
    (0.93, 0.42, 0.99, 1.4),
    (0.92, 0.68, 0.98, 1.4),
    (0.53, 0.42, 0.95, 1.6),
    (0.55, 0.6, 0.9, 0.9),
    (0.76, 0.3, 0.92, 0.6),
    (0.56, 0.13, 0.97, 1.2),
    (0.15, 0.2, 0.98, 0.9),
    (0.995, 0.6, 0.96, 0.5),
    (0.46, 0.45, 0.87, 0.6),
    (0.1, 0.03, 0.96, 0.4),
];

impl Pack {
    pub(crate) fn random(random: &mut Random, family: Family) -> Self {
        let weights = PAPERS.map(|paper| paper.3);
        let pastel = if random.chance(0.25) {
            random.range(0.35, 0.8)
        } else {
            1.0
        };
        let colours = (0..random.pick(&[1, 2, 3, 4, 5, 6])).map(|_| {
            let (hue, saturation, value, _) = PAPERS[random.weighted(&weights)];
            let saturation = saturation * pastel * random.range(0.8, 1.15);
            hsv(
                hue + random.bell() * 0.016,
                saturation.min(0.95),
                value * random.range(0.93, 1.01),
            )
        });
        Self {
            colours: colours.collect(),
            hands: (0..random.count(1, 3))
                .map(|_| Hand::random(random, family))
                .collect(),
            texts: Vec::new(),
            blank: random.pick(&[0.05, 0.25, 0.6, 1.0]),
            marks: random.chance(0.4),
            curl: random.pick(&[0.1, 0.4, 0.7, 1.0]),
            tall: if random.chance(0.85) {
                random.range(0.95, 1.05)
            } else {
                random.range(0.8, 1.22)
            },
            rounded: if random.chance(0.1) {
                random.range(0.02, 0.08)
            } else {
                0.004
            },
        }
    }

    /// Neon papers and a fat pen.
    pub(crate) fn neon(random: &mut Random) -> Self {
        Self {
            colours: [
                (0.165, 0.7),
                (0.22, 0.66),
                (0.07, 0.62),
                (0.925, 0.55),
                (0.53, 0.45),
            ]
            .map(|(hue, saturation)| hsv(hue, saturation, 0.99))
            .to_vec(),
            texts: Vec::new(),
            blank: 0.0,
            marks: false,
            curl: 0.6,
            tall: 1.0,
            rounded: 0.004,
            hands: vec![Hand::marker(random)],
        }
    }

    pub(crate) fn tall(&self) -> f32 {
        self.tall
    }

    /// A note of the colour of this number, with this text.
    pub(crate) fn saying(&self, colour: usize, text: &'static str) -> Self {
        Self {
            texts: vec![text],
            colours: vec![self.colours[colour % self.colours.len()]],
            ..self.clone()
        }
    }

    /// Only these colours of it from now on: a row or a column is often of one.
    pub(crate) fn one_colour(&self, random: &mut Random) -> Self {
        Self {
            colours: vec![random.pick(&self.colours)],
            ..self.clone()
        }
    }
}

/// Puts a note of this side on a surface, in the surface's units.
pub(crate) fn put(
    stage: &mut Stage,
    pack: &Pack,
    ground: &Frame,
    at: Point,
    turn: f32,
    side: f32,
    on: Option<u16>,
) {
    let lying = ground.at(at, turn, side);
    if !stage.sees(&lying, 1.0) {
        return;
    }
    let thick = if stage.random.chance(0.06) {
        stage.random.log_range(0.03, 0.3)
    } else {
        0.0
    };
    let unit = lying.unit();
    let half = [0.5, 0.5 * pack.tall];
    let random = &mut stage.random;
    let corners: [Point; 4] = [[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]].map(|[x, y]| {
        let off = [random.bell() * 0.008, random.bell() * 0.008];
        [x * half[0] + off[0], y * half[1] + off[1]]
    });
    let rounded = pack.rounded;
    let shape = move || {
        let bounds = [-0.52, -half[1] - 0.02, 0.52, half[1] + 0.02];
        Shape::new(bounds, move |point| {
            // Far inside, where most pixels are, the corners do not matter.
            let rough = shapes::block(point, half, rounded);
            if rough < -0.04 || rounded > 0.01 {
                return rough;
            }
            quad(point, &corners)
        })
    };
    let colour = stage.random.pick(&pack.colours);
    let role = stage.object(Class::StickyNote, on, &lying, half);
    let shade = stage.light.shadow;
    let soft = stage.light.softness;
    if thick > 0.0 {
        pad(stage, &lying, &shape, role, colour, thick);
    }
    let frame = lying.lifted(thick * unit + 0.004 * unit);
    let bend = (thick == 0.0)
        .then(|| random_bend(stage, pack, &frame))
        .flatten();
    let detail = stage.pixels(&frame);
    let paint = paper(stage, pack, colour, half, detail);
    let contact = if thick > 0.0 { 0.0 } else { 0.9 * shade };
    let lift = 0.008 + stage.random.unit() * 0.02;
    let mut layer = Layer::new(frame, shape(), role, paint).bend(bend);
    if contact > 0.0 {
        layer = layer.shadow(lift, lift * 2.5 * soft + 0.012, contact);
    }
    stage.add(layer);
}

/// A convex quadrilateral.
fn quad([x, y]: Point, corners: &[Point; 4]) -> f32 {
    let mut distance = f32::MIN;
    for index in 0..4 {
        let ([ax, ay], [bx, by]) = (corners[index], corners[(index + 1) % 4]);
        let (wx, wy) = (bx - ax, by - ay);
        let length = (wx * wx + wy * wy).sqrt();
        distance = distance.max(((x - ax) * -wy + (y - ay) * wx) / -length);
    }
    distance
}

fn random_bend(stage: &mut Stage, pack: &Pack, frame: &Frame) -> Option<Bend> {
    let random = &mut stage.random;
    if !random.chance(0.35 + 0.6 * pack.curl) {
        return None;
    }
    let curve = pack.curl * random.range(0.15, 1.0);
    // The glue is at the top: the lower edge rises, or a lower corner, or both sides a little.
    let (direction, start, both) = match random.count(0, 9) {
        0..5 => (
            TAU / 4.0 + random.bell() * 0.2,
            random.range(-0.45, 0.1),
            false,
        ),
        5..7 => (
            TAU / 4.0 + random.sign() * random.range(0.3, 0.8),
            random.range(-0.1, 0.35),
            false,
        ),
        7..9 => (random.bell() * 0.2, random.range(0.0, 0.2), true),
        _ => (random.range(0.0, TAU), random.range(-0.2, 0.3), false),
    };
    Some(stage.bend(frame, Bend::new(direction, start, curve, both)))
}

/// The sheets below the first.
fn pad(
    stage: &mut Stage,
    lying: &Frame,
    shape: &dyn Fn() -> Shape,
    role: Role,
    colour: Colour,
    thick: f32,
) {
    let sheets = 5;
    let unit = lying.unit();
    for sheet in 0..sheets {
        let shade = scale(colour, if sheet % 2 == 0 { 0.62 } else { 0.75 });
        let lift = thick * sheet as f32 / sheets as f32;
        let layer = Layer::new(
            lying.lifted(lift * unit),
            shape(),
            role,
            crate::layer::plain(shade),
        );
        let strength = stage.light.shadow;
        stage.add(if sheet == 0 {
            layer.shadow(
                0.6 * thick,
                0.03 + 0.8 * thick * stage.light.softness,
                strength,
            )
        } else {
            layer
        });
    }
}

fn paper(stage: &mut Stage, pack: &Pack, colour: Colour, half: Point, detail: f32) -> Paint {
    let random = &mut stage.random;
    let mut strokes = Vec::new();
    if !random.chance(pack.blank) {
        let hand = random.pick(&pack.hands);
        let margin = random.range(0.72, 0.9);
        let turn = random.bell() * 0.08;
        if let Some(text) = pack.texts.first() {
            let room = [half[0] * 0.8, half[1] * 0.72];
            hand.sign(random, room, text, &mut strokes);
        } else if detail < 14.0 {
            for line in 0..random.count(1, 3) {
                let y = (line as f32 - 1.0) * 0.22;
                let width = random.range(0.1, 0.38);
                strokes.push(Stroke {
                    from: [-0.38, y],
                    to: [-0.38 + 2.0 * width, y],
                    radius: 0.03,
                    colour: hand.colour,
                });
            }
        } else {
            hand.page(
                random,
                [half[0] * margin, half[1] * margin],
                detail,
                &mut strokes,
            );
        }
        for stroke in &mut strokes {
            stroke.from = crate::maths::turned(stroke.from, turn);
            stroke.to = crate::maths::turned(stroke.to, turn);
        }
    }
    if pack.marks && detail > 16.0 {
        marks(random, half, &mut strokes);
    }
    let ink = Ink::new(strokes);
    let seed = random.seed();
    let mottle = random.range(0.01, 0.05);
    let strip = if random.chance(0.3) {
        random.range(0.02, 0.07)
    } else {
        0.0
    };
    let fade = [random.bell() * 0.16, random.bell() * 0.16];
    let crease = (random.chance(0.1)).then(|| (random.range(-0.3, 0.3), random.range(-0.6, 0.6)));
    // A note half in the shadow, or folded: a line beyond which there is less light.
    let shaded = (pack.texts.is_empty() && random.chance(0.12)).then(|| {
        let across = polar(random.range(0.0, TAU));
        let offset = random.range(-0.25, 0.25);
        (
            across,
            offset,
            random.range(0.2, 0.55),
            random.log_range(0.02, 0.4),
        )
    });
    Box::new(move |at: Point, footprint| {
        let mut light = 1.0 + mottle * (noise::value([at[0] * 6.0, at[1] * 6.0], seed) - 0.5);
        light += fade[0] * at[0] + fade[1] * at[1];
        if at[1] < -0.5 * half[1] {
            light -= strip;
        }
        if let Some((across, offset, dark, soft)) = shaded {
            let beyond = (dot(at, across) - offset) / soft.max(footprint);
            light *= 1.0 - dark * smooth(0.5 + beyond);
        }
        if let Some((offset, lean)) = crease {
            let d = at[1] - offset - lean * at[0];
            light += 0.12 * (d * 60.0).clamp(-1.0, 1.0) / (1.0 + 60.0 * d * d * 8.0);
        }
        ink.over(at, footprint, scale(colour, light))
    })
}

/// The marks that let an app find a note's corners, and the maker's line.
fn marks(random: &mut Random, half: Point, to: &mut Vec<Stroke>) {
    let free = random.count(0, 3);
    let size = random.range(0.02, 0.045);
    for (index, [x, y]) in [[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0f32]]
        .into_iter()
        .enumerate()
    {
        if index == free {
            continue;
        }
        let from = [x * (half[0] - size * 1.6), y * (half[1] - size * 1.6)];
        let colour = grey(0.1);
        for part in [[-x * size * 1.6, 0.0], [0.0, -y * size * 1.6]] {
            let to_ = [from[0] + part[0], from[1] + part[1]];
            to.push(Stroke {
                from,
                to: to_,
                radius: size * 0.55,
                colour,
            });
        }
    }
    let shade = mix(grey(0.2), grey(0.6), random.unit());
    let hand = Hand::print(random, shade);
    let y = random.sign() * half[1] * 0.88;
    let x = -0.3 + fract(size * 77.0) * 0.2;
    hand.word(random, [x, y - 0.015], 0.03, random_letters(free), to);
}

fn random_letters(bits: usize) -> usize {
    9 + bits * 2
}
