//! Boards, doors, windows and posters: what wow boards are taken for.

use super::pictures::{self, any_colour};
use crate::{
    camera::Frame,
    ink::Ink,
    layer::{Layer, Paint, Role},
    maths::{Colour, Point, floor, fract, grey, hsv, length, mix, scale, turns},
    noise::{cell, fractal, hash},
    random::Random,
    scene::Family,
    shapes::{self, Shape},
    stage::Stage,
    writing::Hand,
};

/// Half sides, whether round, how glossy, and the paint.
struct Board {
    half: Point,
    round: f32,
    gloss: f32,
    paint: Paint,
    /// Whether the paint's edges do not mind the pixels' width.
    rough: bool,
}

/// Puts a board of about this frame's unit and answers the frame of its face.
pub(super) fn put(stage: &mut Stage, frame: &Frame) -> Frame {
    let detail = stage.pixels(frame);
    let board = random(&mut stage.random, stage.family, detail);
    let thick = stage.random.log_range(0.004, 0.04);
    let strength = stage.light.shadow * 0.9;
    let soft = stage.light.softness;
    let unit = frame.unit();
    let rim = stage.random.chance(0.5).then(|| {
        let colour = match stage.random.count(0, 3) {
            0 => hsv(
                stage.random.range(0.05, 0.1),
                0.5,
                stage.random.range(0.25, 0.75),
            ),
            1 => any_colour(&mut stage.random),
            _ => grey(stage.random.range(0.05, 0.9)),
        };
        (stage.random.range(0.008, 0.03), colour)
    });
    let shape = move |half: Point, round: f32| {
        if round >= 1.0 {
            Shape::ellipse(half)
        } else {
            Shape::block(half, round)
        }
    };
    let (wide, colour) = rim.unwrap_or((0.0, grey(0.6)));
    let outer = board.half.map(|side| side + wide);
    let layer = Layer::new(
        frame.lifted(0.002 * unit),
        shape(outer, board.round),
        Role::Cover,
        crate::layer::plain(colour),
    );
    stage.add(layer.shadow(thick, 0.015 + 2.0 * thick * soft, strength));
    let face = frame.lifted(thick * unit);
    if rim.is_some() {
        let paint = crate::layer::plain(colour);
        stage.add(Layer::new(
            face,
            shape(outer, board.round),
            Role::Cover,
            paint,
        ));
    }
    let mut layer = Layer::new(
        face,
        shape(board.half, board.round),
        Role::Cover,
        board.paint,
    )
    .gloss(board.gloss);
    layer.rough = board.rough;
    stage.add(layer);
    face
}

fn random(random: &mut Random, family: Family, detail: f32) -> Board {
    let aspect = random.range(0.6, 1.7);
    let half = if aspect > 1.0 {
        [0.5, 0.5 / aspect]
    } else {
        [0.5 * aspect, 0.5]
    };
    let board = |half, round, gloss, paint| Board {
        half,
        round,
        gloss,
        paint,
        rough: false,
    };
    let rough = |board: Board| Board {
        rough: true,
        ..board
    };
    match random.count(0, 18) {
        18 => board(half, 0.0, 0.05, pictures::shelf(random, half)),
        0..3 => board(
            half,
            random.range(0.0, 0.04),
            random.range(0.2, 1.0),
            whiteboard(random, family, half, detail),
        ),
        3 => board(half, 0.0, 0.0, cork(random)),
        4 => rough(board(half, 0.0, 0.05, calendar(random, half))),
        5 => rough(board([0.45, 0.45], 0.0, 0.2, chess(random))),
        6 => rough(board([0.48, 0.48], 1.0, 0.05, darts(random))),
        7 => board([0.48, 0.48], 1.0, 0.4, pictures::clock(random)),
        8 => {
            let round = if random.chance(0.5) { 1.0 } else { 0.03 };
            board(
                if round == 1.0 { [0.48, 0.48] } else { half },
                round,
                0.2,
                pictures::rainbow(random, half),
            )
        }
        9 => rough(board(half, 0.0, 0.05, table(random, half, detail))),
        10 => rough(board([0.47, 0.47], 0.02, 0.1, game(random))),
        11 => board(
            [0.36, 0.5],
            0.0,
            0.02,
            pictures::page(random, [0.36, 0.5], detail),
        ),
        12 => rough(board(half, 0.02, 0.3, kanban(random, half))),
        13 => board([0.24, 0.5], 0.0, 0.1, door(random)),
        14 | 15 => board(half, 0.0, 0.5, window(random)),
        _ => rough(board(
            half,
            0.0,
            0.15,
            pictures::any(random, family, half, detail),
        )),
    }
}

fn whiteboard(random: &mut Random, family: Family, half: Point, detail: f32) -> Paint {
    let white = grey(random.range(0.85, 1.0));
    let mut strokes = Vec::new();
    let colours = [
        grey(0.12),
        hsv(0.62, 0.8, 0.6),
        hsv(0.99, 0.8, 0.75),
        hsv(0.38, 0.7, 0.5),
    ];
    for _ in 0..random.count(0, 6) {
        let at = random.point([-half[0] * 0.8, -half[1] * 0.8, half[0] * 0.7, half[1] * 0.7]);
        let start = strokes.len();
        let mut hand = Hand::random(random, family).fat(0.06);
        hand.colour = random.pick(&colours);
        if random.chance(0.5) {
            let radius = random.range(0.04, 0.12);
            hand.doodle(random, [0.0, 0.0], radius, &mut strokes);
        } else if detail > 80.0 {
            let (w, h) = (random.range(0.1, 0.3), random.range(0.04, 0.12));
            hand.lines(random, [0.0, 0.0, w, h], random_lines(h), &mut strokes);
        }
        for stroke in &mut strokes[start..] {
            for end in [&mut stroke.from, &mut stroke.to] {
                *end = [end[0] + at[0], end[1] + at[1]];
            }
        }
    }
    let ink = Ink::new(strokes);
    let seed = random.seed();
    Box::new(move |at, footprint| {
        let smear = fractal([at[0] * 3.0, at[1] * 7.0], footprint * 7.0, 4, seed);
        ink.over(at, footprint, scale(white, 1.0 - 0.12 * smear.abs()))
    })
}

fn random_lines(height: f32) -> usize {
    1 + (height * 30.0) as usize
}

fn cork(random: &mut Random) -> Paint {
    let (light, dark) = (hsv(0.085, 0.5, 0.76), hsv(0.07, 0.6, 0.45));
    let size = random.log_range(0.008, 0.025);
    let seed = random.seed();
    Box::new(move |[x, y], footprint| {
        let grain = fractal([x / size, y / size], footprint / size, 3, seed);
        mix(light, dark, (0.3 + 1.2 * grain).clamp(0.0, 1.0))
    })
}

fn line(distance: f32, radius: f32, footprint: f32) -> f32 {
    let wide = radius.max(0.5 * footprint);
    (0.5 + (wide - distance) / footprint).clamp(0.0, 1.0) * (2.0 * radius / footprint).min(1.0)
}

fn calendar(random: &mut Random, half: Point) -> Paint {
    let top = -half[1] + half[1] * random.range(0.2, 0.9);
    let picture = pictures::landscape(random);
    let (columns, rows) = (7.0, random.pick(&[5.0, 6.0]));
    let red = any_colour(random);
    let seed = random.seed();
    Box::new(move |at, footprint| {
        if at[1] < top {
            return picture(at, footprint);
        }
        let [x, y] = [
            (at[0] / half[0] * 0.5 + 0.5) * columns,
            (at[1] - top) / (half[1] - top) * rows,
        ];
        let near = (fract(x + 0.5) - 0.5).abs() * 2.0 * half[0] / columns;
        let near = near.min((fract(y + 0.5) - 0.5).abs() * (half[1] - top) / rows);
        let [u, v] = [fract(x), fract(y)];
        let number = u > 0.1
            && u < 0.4
            && v > 0.12
            && v < 0.4
            && cell(
                floor(u * 14.0) + 20 * floor(x),
                floor(v * 16.0) + 20 * floor(y),
                seed,
            ) > 0.45;
        let ink = if x > 6.0 { red } else { grey(0.2) };
        let day = if number && footprint < 0.02 {
            ink
        } else {
            grey(0.96)
        };
        mix(day, grey(0.5), line(near, 0.002, footprint))
    })
}

fn chess(random: &mut Random) -> Paint {
    let colours = if random.chance(0.6) {
        [hsv(0.09, 0.3, 0.85), hsv(0.06, 0.6, 0.35)]
    } else {
        [grey(0.95), any_colour(random)]
    };
    let men = random.range(0.0, 0.5);
    let seed = random.seed();
    Box::new(move |at, footprint| {
        let [x, y] = at.map(|side| (side / 0.41 * 0.5 + 0.5) * 8.0);
        if !(0.0..8.0).contains(&x) || !(0.0..8.0).contains(&y) {
            return scale(colours[1], 0.7);
        }
        let base = colours[((floor(x) + floor(y)) & 1) as usize];
        let off = (length([fract(x) - 0.5, fract(y) - 0.5]) - 0.32) * 0.1;
        let man = cell(floor(x), floor(y), seed) < men;
        let colour = if hash(floor(x), floor(y), seed ^ 1) & 1 == 0 {
            grey(0.12)
        } else {
            grey(0.85)
        };
        mix(
            base,
            colour,
            if man {
                (0.5 - off / footprint).clamp(0.0, 1.0)
            } else {
                0.0
            },
        )
    })
}

fn darts(random: &mut Random) -> Paint {
    let colours = [
        grey(0.1),
        hsv(0.12, 0.25, 0.9),
        any_colour(random),
        any_colour(random),
    ];
    Box::new(move |at, _| {
        let far = length(at) / 0.48;
        let sector = (floor(turns(at) * 20.0) & 1) as usize;
        match far {
            0.0..0.06 => colours[2],
            0.06..0.12 => colours[3],
            0.47..0.54 | 0.76..0.83 => colours[2 + sector],
            0.83.. => colours[0],
            _ => colours[sector],
        }
    })
}

/// Lines and words on paper.
fn table(random: &mut Random, half: Point, detail: f32) -> Paint {
    let (columns, rows) = (random.range(2.0, 9.0), random.range(3.0, 14.0));
    let head = any_colour(random);
    let headed = random.chance(0.6);
    let page = pictures::page(random, half, detail);
    let ink = grey(random.range(0.1, 0.6));
    Box::new(move |at, footprint| {
        let [x, y] = [
            at[0] / (2.0 * half[0]) * columns,
            at[1] / (2.0 * half[1]) * rows,
        ];
        let near = ((fract(x) - 0.5).abs() - 0.5).abs() * 2.0 * half[0] / columns;
        let near = near.min(((fract(y) - 0.5).abs() - 0.5).abs() * 2.0 * half[1] / rows);
        let below = page(at, footprint);
        let below = if headed && at[1] < -half[1] * (1.0 - 2.0 / rows) {
            mix(below, head, 0.7)
        } else {
            below
        };
        mix(below, ink, line(near, 0.002, footprint))
    })
}

/// Fields around a middle.
fn game(random: &mut Random) -> Paint {
    let colours: [Colour; 5] = std::array::from_fn(|_| any_colour(random));
    let fields = random.count(5, 11) as f32;
    let seed = random.seed();
    let middle = pictures::blobs(random);
    Box::new(move |at, footprint| {
        let ring = at[0].abs().max(at[1].abs()) / 0.47;
        if ring > 0.72 {
            let t = if at[0].abs() > at[1].abs() {
                at[1]
            } else {
                at[0]
            };
            let place = floor((t / 0.94 + 0.5) * fields);
            let side = i32::from(at[0] > at[1]) * 2 + i32::from(at[0] > -at[1]);
            let edge = (fract((t / 0.94 + 0.5) * fields) - 0.5).abs();
            let colour = colours[(hash(place, side, seed) % 5) as usize];
            return mix(
                grey(0.95),
                colour,
                ((0.45 - edge) * 0.1 / footprint).clamp(0.0, 1.0),
            );
        }
        let off = length(at) - 0.22;
        mix(
            colours[0],
            middle(at, footprint),
            (0.5 - off / footprint).clamp(0.0, 1.0),
        )
    })
}

fn kanban(random: &mut Random, half: Point) -> Paint {
    let columns = random.count(3, 6) as f32;
    let white = grey(random.range(0.85, 1.0));
    let colours: [Colour; 6] = std::array::from_fn(|_| {
        if random.chance(0.5) {
            grey(0.3)
        } else {
            any_colour(random)
        }
    });
    let head = random.range(0.08, 0.2);
    Box::new(move |at, footprint| {
        let x = (at[0] / half[0] * 0.5 + 0.5) * columns;
        let near = (fract(x + 0.5) - 0.5).abs() * 2.0 * half[0] / columns;
        let below = if at[1] < -half[1] * (1.0 - head) {
            colours[(floor(x).max(0) % 6) as usize]
        } else {
            white
        };
        mix(below, grey(0.2), line(near, 0.003, footprint))
    })
}

fn door(random: &mut Random) -> Paint {
    let colour = if random.chance(0.6) {
        hsv(0.08, random.range(0.0, 0.6), random.range(0.4, 0.95))
    } else {
        any_colour(random)
    };
    let rows = random.count(1, 3) as f32;
    Box::new(move |[x, y], footprint| {
        let v = fract((y + 0.5) * rows) - 0.5;
        let off = shapes::block([x, v / rows], [0.16, 0.38 / rows], 0.005);
        let groove = line(off.abs(), 0.006, footprint);
        let knob = length([x - 0.19, y - 0.03]) - 0.014;
        let base = scale(
            colour,
            1.0 - 0.35 * groove * if v < 0.0 { 1.0 } else { -0.4 },
        );
        mix(base, grey(0.7), (0.5 - knob / footprint).clamp(0.0, 1.0))
    })
}

fn window(random: &mut Random) -> Paint {
    let out = if random.chance(0.6) {
        pictures::landscape(random)
    } else {
        pictures::blobs(random)
    };
    let frame = grey(random.pick(&[0.15, 0.6, 0.9, 0.95]));
    let (columns, rows) = (random.count(1, 3) as f32, random.count(1, 3) as f32);
    let light = random.range(0.5, 2.2);
    Box::new(move |[x, y], footprint| {
        let [u, v] = [
            (fract((x + 0.5) * columns) - 0.5).abs() / columns,
            (fract((y + 0.5) * rows) - 0.5).abs() / rows,
        ];
        let off = (u - 0.5 / columns).abs().min((v - 0.5 / rows).abs());
        mix(
            scale(out([x, y], footprint), light),
            frame,
            line(off, 0.018, footprint),
        )
    })
}
