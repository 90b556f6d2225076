//! Paper, cards, screens and other flat things, in a frame whose unit is about their size.

use super::pictures::{self, any_colour};
use crate::{
    bend::Bend,
    camera::Frame,
    ink::{Ink, Stroke},
    layer::{Layer, Paint, Role, plain},
    maths::{TAU, floor, grey, hsv, length, mix, scale},
    noise::fractal,
    random::Random,
    shapes::{self, Limb, Shape},
    stage::Stage,
    writing::Hand,
};

pub(super) fn put(stage: &mut Stage, frame: &Frame, role: Role) {
    match stage.random.count(0, 15) {
        0..3 => sheet(stage, frame, role),
        3 => strip(stage, frame, role),
        4 => cut(stage, frame, role),
        5 | 6 => card(stage, frame, role),
        7 => envelope(stage, frame, role),
        8 | 9 => photo(stage, frame, role),
        10 => screen(stage, frame, role),
        11 => book(stage, frame, role),
        12 => keyboard(stage, frame, role),
        13 => pen(stage, frame, role),
        14 => label(stage, frame, role),
        _ => rug(stage, frame, role),
    }
}

fn lay(stage: &mut Stage, frame: &Frame, shape: Shape, role: Role, paint: Paint, thick: f32) {
    let strength = stage.light.shadow * 0.9;
    let soft = stage.light.softness;
    let lift = 0.01 + thick;
    let unit = frame.unit();
    let layer = Layer::new(frame.lifted(lift * unit), shape, role, paint);
    stage.add(
        layer
            .rough()
            .shadow(lift, 0.015 + 2.0 * lift * soft, strength),
    );
}

/// A sheet of paper, never square: square coloured paper is a note to anybody who looks.
fn sheet(stage: &mut Stage, frame: &Frame, role: Role) {
    let blank = stage.random.chance(0.2);
    let aspect = if blank {
        stage.random.range(1.7, 2.6)
    } else {
        stage.random.range(1.38, 1.5)
    };
    let half = if stage.random.chance(0.7) {
        [0.5 / aspect, 0.5]
    } else {
        [0.5, 0.5 / aspect]
    };
    let detail = stage.pixels(frame);
    let family = stage.family;
    let random = &mut stage.random;
    let paint = if blank {
        plain(any_colour(random))
    } else if random.chance(0.6) {
        pictures::page(random, half, detail)
    } else {
        pictures::any(random, family, half, detail)
    };
    let bend = stage.random.chance(0.3).then(|| {
        let bend = Bend::new(
            stage.random.range(0.0, TAU),
            stage.random.range(0.0, 0.3),
            stage.random.range(0.05, 0.4),
            false,
        );
        stage.bend(frame, bend)
    });
    let strength = stage.light.shadow * 0.8;
    let layer = Layer::new(
        frame.lifted(0.004 * frame.unit()),
        Shape::block(half, 0.002),
        role,
        paint,
    );
    stage.add(layer.bend(bend).shadow(0.008, 0.03, strength));
}

fn strip(stage: &mut Stage, frame: &Frame, role: Role) {
    let thin = stage.random.log_range(0.03, 0.28);
    let colour = if stage.random.chance(0.5) {
        any_colour(&mut stage.random)
    } else {
        pictures::paper(&mut stage.random)
    };
    let mut strokes = Vec::new();
    if stage.random.chance(0.5) {
        let hand = Hand::print(&mut stage.random, grey(0.12));
        hand.lines(
            &mut stage.random,
            [-0.45, -thin * 0.4, 0.45, thin * 0.4],
            1,
            &mut strokes,
        );
    }
    let ink = Ink::new(strokes);
    let paint: Paint = Box::new(move |at, footprint| ink.over(at, footprint, colour));
    lay(
        stage,
        frame,
        Shape::block([0.5, 0.5 * thin], 0.0),
        role,
        paint,
        0.0,
    );
}

/// Circles, hearts, stars, arrows and clouds of paper.
fn cut(stage: &mut Stage, frame: &Frame, role: Role) {
    let colour = any_colour(&mut stage.random);
    let random = &mut stage.random;
    let shape = match random.count(0, 4) {
        0 => Shape::ellipse([0.5, 0.5]),
        1 => {
            let limb = |from, to| Limb {
                from,
                to,
                radii: [0.24, 0.02],
            };
            Shape::limbs(
                vec![
                    limb([-0.2, -0.2], [0.0, 0.4]),
                    limb([0.2, -0.2], [0.0, 0.4]),
                ],
                0.02,
            )
        }
        2 => Shape::polygon(shapes::star(10, 0.5, random.range(0.4, 0.7), random.unit())),
        3 => Shape::polygon(vec![
            [-0.5, -0.15],
            [0.1, -0.15],
            [0.1, -0.35],
            [0.5, 0.0],
            [0.1, 0.35],
            [0.1, 0.15],
            [-0.5, 0.15],
        ]),
        _ => Shape::polygon(shapes::star(
            random.pick(&[3, 5, 6]),
            0.5,
            1.0,
            random.unit(),
        )),
    };
    let hand = Hand::print(random, grey(0.12));
    let mut strokes = Vec::new();
    if random.chance(0.4) {
        hand.word(random, [-0.22, -0.08], 0.14, 4, &mut strokes);
    }
    let ink = Ink::new(strokes);
    lay(
        stage,
        frame,
        shape,
        role,
        Box::new(move |at, footprint| ink.over(at, footprint, colour)),
        0.0,
    );
}

/// Index, playing, business and bank cards.
fn card(stage: &mut Stage, frame: &Frame, role: Role) {
    let aspect = stage.random.range(1.4, 1.75);
    let half = if stage.random.chance(0.5) {
        [0.5, 0.5 / aspect]
    } else {
        [0.5 / aspect, 0.5]
    };
    let round = stage.random.range(0.0, 0.06);
    let detail = stage.pixels(frame);
    let family = stage.family;
    let inner = pictures::any(&mut stage.random, family, half, detail);
    let rim = if stage.random.chance(0.5) {
        stage.random.range(0.02, 0.06)
    } else {
        0.0
    };
    let white = pictures::paper(&mut stage.random);
    let paint: Paint = Box::new(move |at, footprint| {
        let off = shapes::block(at, [half[0] - rim, half[1] - rim], round);
        if rim > 0.0 && off > 0.0 {
            white
        } else {
            inner(at, footprint)
        }
    });
    lay(stage, frame, Shape::block(half, round), role, paint, 0.002);
}

fn envelope(stage: &mut Stage, frame: &Frame, role: Role) {
    let half = [0.5, stage.random.range(0.22, 0.36)];
    let colour = pictures::paper(&mut stage.random);
    let paint: Paint = Box::new(move |[x, y], footprint| {
        let flap = y - (0.15 - x.abs() * 0.5 / half[0] * half[1] * 1.4);
        let line = (1.0 - (flap.abs() - 0.003) / footprint.max(0.004)).clamp(0.0, 1.0);
        scale(
            colour,
            1.0 - 0.25 * line - if flap < 0.0 { 0.04 } else { 0.0 },
        )
    });
    lay(stage, frame, Shape::block(half, 0.005), role, paint, 0.003);
}

/// Prints with a white rim: instant pictures are nearly square.
fn photo(stage: &mut Stage, frame: &Frame, role: Role) {
    let instant = stage.random.chance(0.3);
    let half = if instant { [0.41, 0.5] } else { [0.5, 0.34] };
    let family = stage.family;
    let detail = stage.pixels(frame);
    let inner = match stage.random.count(0, 2) {
        0 => pictures::landscape(&mut stage.random),
        1 => pictures::blobs(&mut stage.random),
        _ => pictures::any(&mut stage.random, family, half, detail),
    };
    let rim = if instant {
        0.04
    } else {
        stage.random.pick(&[0.0, 0.02])
    };
    let low = if instant { 0.13 } else { 0.0 };
    let paint: Paint = Box::new(move |at, footprint| {
        let [x, y] = [at[0], at[1] + low * 0.5];
        let inside = x.abs() < half[0] - rim && y.abs() < half[1] - rim - low * 0.5;
        if inside {
            inner(at, footprint)
        } else {
            grey(0.94)
        }
    });
    lay(stage, frame, Shape::block(half, 0.0), role, paint, 0.0);
}

/// A phone, a tablet, a monitor.
fn screen(stage: &mut Stage, frame: &Frame, role: Role) {
    let half = stage
        .random
        .pick(&[[0.25, 0.5], [0.37, 0.5], [0.5, 0.3], [0.5, 0.36]]);
    let on = stage.random.chance(0.7);
    let family = stage.family;
    let detail = stage.pixels(frame);
    let shown = if stage.random.chance(0.35) {
        pictures::icons(&mut stage.random, half)
    } else {
        pictures::any(&mut stage.random, family, half, detail)
    };
    let light = stage.random.range(0.7, 1.5);
    let rim = stage.random.range(0.01, 0.04);
    let body = grey(stage.random.pick(&[0.06, 0.1, 0.5, 0.85]));
    let paint: Paint = Box::new(move |at, footprint| {
        if shapes::block(at, [half[0] - rim, half[1] - rim], 0.01) > 0.0 {
            body
        } else if on {
            scale(shown(at, footprint), light)
        } else {
            grey(0.08)
        }
    });
    let shape = Shape::block(half, stage.random.range(0.01, 0.08));
    let layer = Layer::new(frame.lifted(0.03 * frame.unit()), shape, role, paint)
        .gloss(0.5)
        .rough();
    let strength = stage.light.shadow;
    stage.add(layer.shadow(0.03, 0.06, strength));
}

fn book(stage: &mut Stage, frame: &Frame, role: Role) {
    let half = [0.5 / stage.random.range(1.3, 1.55), 0.5];
    let thick = stage.random.range(0.03, 0.15);
    let family = stage.family;
    let detail = stage.pixels(frame);
    let cover = pictures::any(&mut stage.random, family, half, detail);
    let strength = stage.light.shadow;
    let unit = frame.unit();
    for part in 0..4 {
        let edge = plain(grey(if part % 2 == 0 { 0.72 } else { 0.85 }));
        let layer = Layer::new(
            frame.lifted(thick * unit * part as f32 / 4.0),
            Shape::block(half, 0.01),
            role,
            edge,
        );
        stage.add(if part == 0 {
            layer.shadow(thick * 0.7, 0.05 + thick, strength)
        } else {
            layer
        });
    }
    let frame = frame.lifted(thick * unit);
    stage.add(Layer::new(frame, Shape::block(half, 0.01), role, cover).gloss(0.2));
}

fn keyboard(stage: &mut Stage, frame: &Frame, role: Role) {
    let body = grey(stage.random.pick(&[0.1, 0.2, 0.6, 0.9]));
    let key = mix(body, grey(stage.random.pick(&[0.05, 0.95])), 0.5);
    let paint: Paint = Box::new(move |[x, y], footprint| {
        let pitch = 0.06;
        let [u, v] = [
            x / pitch - floor(x / pitch) as f32 - 0.5,
            y / pitch - floor(y / pitch) as f32 - 0.5,
        ];
        let off = (u.abs().max(v.abs()) - 0.4) * pitch;
        let inside = x.abs() < 0.48 && y.abs() < 0.155;
        mix(
            body,
            key,
            if inside {
                (0.5 - off / footprint).clamp(0.0, 1.0)
            } else {
                0.0
            },
        )
    });
    lay(
        stage,
        frame,
        Shape::block([0.5, 0.175], 0.02),
        role,
        paint,
        0.02,
    );
}

fn pen(stage: &mut Stage, frame: &Frame, role: Role) {
    let colour = any_colour(&mut stage.random);
    let cap = if stage.random.chance(0.5) {
        grey(0.1)
    } else {
        any_colour(&mut stage.random)
    };
    let thick = stage.random.range(0.025, 0.06);
    let limb = Limb {
        from: [-0.5, 0.0],
        to: [0.5, 0.0],
        radii: [thick, thick * 0.8],
    };
    let split = stage.random.range(-0.3, 0.3);
    let paint: Paint = Box::new(move |[x, _], _| if x > split { cap } else { colour });
    let strength = stage.light.shadow;
    let layer = Layer::new(
        frame.lifted(thick * frame.unit()),
        Shape::limbs(vec![limb], 0.001),
        role,
        paint,
    );
    stage.add(
        layer
            .relief(thick)
            .gloss(0.3)
            .shadow(thick, thick * 2.0, strength),
    );
}

/// A magnet or a token: a disk that is small, in a frame whose unit it is.
pub(super) fn magnet(stage: &mut Stage, frame: &Frame, role: Role) {
    let colour = any_colour(&mut stage.random);
    let strength = stage.light.shadow;
    let shape = if stage.random.chance(0.8) {
        Shape::ellipse([0.5, 0.5])
    } else {
        Shape::block([0.5, 0.3], 0.1)
    };
    let layer = Layer::new(frame.lifted(0.2 * frame.unit()), shape, role, plain(colour));
    stage.add(layer.relief(0.18).gloss(0.4).shadow(0.2, 0.35, strength));
}

/// A road sign's or a shop's way to say something.
fn label(stage: &mut Stage, frame: &Frame, role: Role) {
    let half = [0.5, stage.random.range(0.12, 0.33)];
    let colour = any_colour(&mut stage.random);
    let ink = if stage.random.chance(0.6) {
        grey(0.97)
    } else {
        grey(0.05)
    };
    let hand = Hand::print(&mut stage.random, ink).fat(0.09);
    let mut strokes: Vec<Stroke> = Vec::new();
    let lines = stage.random.count(1, 2);
    hand.lines(
        &mut stage.random,
        [-0.44, -half[1] * 0.85, 0.44, half[1] * 0.85],
        lines,
        &mut strokes,
    );
    let letters = Ink::new(strokes);
    let rim = stage.random.pick(&[0.0, 0.015]);
    let paint: Paint = Box::new(move |at, footprint| {
        let off = shapes::block(at, [half[0] - 0.02, half[1] - 0.02], 0.04).abs() - rim;
        let below = if rim > 0.0 {
            mix(colour, ink, (0.5 - off / footprint).clamp(0.0, 1.0))
        } else {
            colour
        };
        letters.over(at, footprint, below)
    });
    let shape = Shape::block(half, stage.random.range(0.0, 0.1));
    lay(stage, frame, shape, role, paint, 0.01);
}

/// A piece of cloth with uneven edges.
fn rug(stage: &mut Stage, frame: &Frame, role: Role) {
    let family = stage.family;
    let inner = cloth(&mut stage.random, family);
    let seed = stage.random.seed();
    let wild = stage.random.range(0.05, 0.25);
    let stretch = stage.random.range(1.0, 2.5);
    let shape = Shape::new([-0.8, -0.8, 0.8, 0.8], move |[x, y]| {
        let bow = wild * fractal([x * 3.0, y * 3.0], 0.0, 3, seed);
        (length([x, y * stretch]) - 0.45 + bow) * 0.6
    });
    let fold = stage.random.range(0.1, 0.6);
    let paint: Paint = Box::new(move |at, footprint| {
        let crease = fractal([at[0] * 4.0, at[1] * 4.0], footprint * 4.0, 3, seed ^ 8);
        scale(inner(at, footprint), 1.0 + fold * crease)
    });
    lay(stage, frame, shape, role, paint, 0.02);
}

fn cloth(random: &mut Random, family: crate::scene::Family) -> Paint {
    if random.chance(0.5) {
        let colour = hsv(
            random.unit(),
            random.range(0.2, 0.95),
            random.range(0.2, 0.95),
        );
        return plain(colour);
    }
    crate::grounds::random(random, family, crate::grounds::Use::Cloth)
}
