//! Things with a body, in a frame whose unit is about their size.

use super::pictures::any_colour;
use crate::{
    camera::Frame,
    layer::{Layer, Paint, Role, plain},
    maths::{Colour, Point, TAU, floor, fract, grey, hsv, length, mix, polar, scale},
    noise::{self, fractal},
    shapes::{Limb, Shape},
    stage::Stage,
};

pub(super) fn put(stage: &mut Stage, frame: &Frame, role: Role) {
    match stage.random.count(0, 9) {
        0 | 1 => blocks(stage, frame, role),
        2 => plate(stage, frame, role),
        3 => cup(stage, frame, role),
        4 | 5 => ball(stage, frame, role),
        6 => plant(stage, frame, role),
        7 => toy(stage, frame, role),
        8 => dice(stage, frame, role),
        _ => bottle(stage, frame, role),
    }
}

fn strength(stage: &Stage) -> f32 {
    stage.light.shadow
}

/// Toy bricks with studs.
fn blocks(stage: &mut Stage, frame: &Frame, role: Role) {
    let colour = any_colour(&mut stage.random);
    let (across, down) = stage.random.pick(&[
        (2.0, 1.0),
        (4.0, 2.0),
        (3.0, 2.0),
        (6.0, 2.0),
        (2.0, 2.0),
        (8.0, 1.0),
    ]);
    let half: Point = [0.5, 0.5 * down / across];
    let thick = stage.random.range(0.2, 0.5) / across;
    let shadow = strength(stage);
    let unit = frame.unit();
    for part in 0..4 {
        let lift = thick * part as f32 / 4.0;
        let layer = Layer::new(
            frame.lifted(lift * unit),
            Shape::block(half, 0.01),
            role,
            plain(scale(colour, 0.55)),
        );
        stage.add(if part == 0 {
            layer.shadow(thick * 0.6, thick, shadow)
        } else {
            layer
        });
    }
    let paint: Paint = Box::new(move |[x, y], footprint| {
        let [u, v] = [
            fract((x + 0.5) * across) - 0.5,
            fract((y + half[1]) * across) - 0.5,
        ];
        let off = (length([u, v]) - 0.3) / across;
        let stud = (0.5 - off / footprint).clamp(0.0, 1.0);
        let rim = (1.0 - (off.abs() * across - 0.02).max(0.0) * 14.0).clamp(0.0, 1.0);
        let side = (u + v) * 0.7;
        scale(colour, 1.0 + 0.1 * stud + 0.35 * rim * -side)
    });
    let top = frame.lifted(thick * unit);
    stage.add(Layer::new(top, Shape::block(half, 0.01), role, paint).gloss(0.3));
}

fn plate(stage: &mut Stage, frame: &Frame, role: Role) {
    let china = if stage.random.chance(0.6) {
        grey(0.93)
    } else {
        any_colour(&mut stage.random)
    };
    let food = super::pictures::blobs(&mut stage.random);
    let full = stage.random.chance(0.6);
    let seed = stage.random.seed();
    let paint: Paint = Box::new(move |at, footprint| {
        let far = length(at);
        let rim = (far - 0.34).abs() * 14.0;
        let base = scale(
            china,
            1.0 - 0.18 * (1.0 - rim).max(0.0) - if far < 0.34 { 0.05 } else { 0.0 },
        );
        let off = far - 0.27 - 0.16 * fractal([at[0] * 5.0, at[1] * 5.0], 0.0, 3, seed);
        if full {
            mix(
                base,
                food(at, footprint),
                (0.5 - off / footprint.max(0.006)).clamp(0.0, 1.0),
            )
        } else {
            base
        }
    });
    let shadow = strength(stage);
    let layer = Layer::new(
        frame.lifted(0.04 * frame.unit()),
        Shape::ellipse([0.5, 0.5]),
        role,
        paint,
    );
    stage.add(layer.relief(0.04).gloss(0.4).shadow(0.04, 0.08, shadow));
}

/// What a cup covers of its frame, to all sides, but for its handle.
pub(crate) const CUP: f32 = 0.4;

/// From above: a rim with a drink in it, and a handle.
pub(crate) fn cup(stage: &mut Stage, frame: &Frame, role: Role) {
    let china = if stage.random.chance(0.5) {
        grey(0.92)
    } else {
        any_colour(&mut stage.random)
    };
    let drink = hsv(
        stage.random.range(0.02, 0.1),
        stage.random.range(0.3, 0.9),
        stage.random.range(0.1, 0.6),
    );
    let shadow = strength(stage);
    let unit = frame.unit();
    let handle = Limb {
        from: [0.3, 0.0],
        to: [0.55, 0.0],
        radii: [0.06, 0.05],
    };
    let raised = frame.lifted(0.3 * unit);
    stage
        .add(Layer::new(raised, Shape::limbs(vec![handle], 0.01), role, plain(china)).relief(0.05));
    for part in 0..5 {
        let layer = Layer::new(
            frame.lifted(0.13 * part as f32 * unit),
            Shape::ellipse([0.3 + 0.02 * part as f32, 0.3 + 0.02 * part as f32]),
            role,
            plain(scale(china, 0.75)),
        );
        stage.add(if part == 0 {
            layer.shadow(0.3, 0.3, shadow)
        } else {
            layer
        });
    }
    let paint: Paint = Box::new(move |at, footprint| {
        let off = length(at) - 0.35;
        mix(
            china,
            scale(drink, 0.8 + 0.5 * at[1]),
            (0.5 - off / footprint).clamp(0.0, 1.0),
        )
    });
    stage.add(
        Layer::new(
            frame.lifted(0.6 * unit),
            Shape::ellipse([CUP, CUP]),
            role,
            paint,
        )
        .gloss(0.3),
    );
}

/// Balls and fruit.
fn ball(stage: &mut Stage, frame: &Frame, role: Role) {
    let colour = any_colour(&mut stage.random);
    let other = any_colour(&mut stage.random);
    let striped = stage.random.chance(0.3);
    let seed = stage.random.seed();
    let radii = [0.5, stage.random.range(0.36, 0.5)];
    let paint: Paint = Box::new(move |[x, y], footprint| {
        let base = if striped && floor(x * 5.0 + 0.6 * y) & 1 == 0 {
            other
        } else {
            colour
        };
        scale(
            base,
            1.0 + 0.25 * fractal([x * 8.0, y * 8.0], footprint * 8.0, 3, seed),
        )
    });
    let shadow = strength(stage);
    let layer = Layer::new(
        frame.lifted(0.1 * frame.unit()),
        Shape::ellipse(radii),
        role,
        paint,
    );
    stage.add(layer.relief(0.48).gloss(0.25).shadow(0.2, 0.4, shadow));
}

/// Leaves around a middle.
fn plant(stage: &mut Stage, frame: &Frame, role: Role) {
    let hue = stage.random.range(0.22, 0.38);
    let count = stage.random.count(5, 11);
    let wide = stage.random.range(0.05, 0.14);
    let shadow = strength(stage);
    for leaf in 0..count {
        let [x, y] = polar(leaf as f32 / count as f32 * TAU + stage.random.bell() * 0.5);
        let far = stage.random.range(0.3, 0.55);
        let limbs = vec![
            Limb {
                from: [0.0, 0.0],
                to: [x * far * 0.6, y * far * 0.6],
                radii: [0.02, wide],
            },
            Limb {
                from: [x * far * 0.6, y * far * 0.6],
                to: [x * far, y * far],
                radii: [wide, 0.01],
            },
        ];
        let colour = hsv(
            hue + stage.random.bell() * 0.03,
            stage.random.range(0.4, 0.8),
            stage.random.range(0.25, 0.7),
        );
        let lifted = frame.lifted(0.02 * leaf as f32 * frame.unit());
        let layer = Layer::new(lifted, Shape::limbs(limbs, 0.02), role, plain(colour));
        stage.add(layer.relief(wide * 1.4).shadow(0.08, 0.12, shadow * 0.7));
    }
}

/// A soft animal: limbs that flow into each other.
fn toy(stage: &mut Stage, frame: &Frame, role: Role) {
    let limbs = creature(stage);
    let colour = any_colour(&mut stage.random);
    let other = any_colour(&mut stage.random);
    let spotted = stage.random.chance(0.4);
    let seed = stage.random.seed();
    let paint: Paint = Box::new(move |[x, y], footprint| {
        let fur = fractal([x * 20.0, y * 20.0], footprint * 20.0, 3, seed);
        let spot = fractal([x * 4.0, y * 4.0], footprint * 4.0, 2, seed ^ 1) > 0.15;
        scale(
            if spotted && spot { other } else { colour },
            1.0 + 0.4 * fur,
        )
    });
    let shadow = strength(stage);
    let layer = Layer::new(
        frame.lifted(0.1 * frame.unit()),
        Shape::limbs(limbs, 0.08),
        role,
        paint,
    );
    stage.add(layer.relief(0.16).shadow(0.12, 0.25, shadow));
}

/// A body, a head, legs, ears and a tail, somewhere.
pub(super) fn creature(stage: &mut Stage) -> Vec<Limb> {
    let random = &mut stage.random;
    let (fat, long) = (random.range(0.12, 0.22), random.range(0.15, 0.3));
    let head = [long + random.range(0.0, 0.15), random.range(-0.3, -0.05)];
    let r = random.range(0.1, 0.16);
    let mut limbs = vec![
        Limb {
            from: [-long, 0.0],
            to: [long, 0.0],
            radii: [fat, fat * random.range(0.7, 1.1)],
        },
        Limb {
            from: [long, 0.0],
            to: head,
            radii: [fat * 0.6, r],
        },
        Limb {
            from: head,
            to: [head[0] + r * 1.1, head[1] + 0.03],
            radii: [r, r * 0.6],
        },
    ];
    for side in [-1.0, 1.0] {
        let ear = [
            head[0] + side * r * 0.7,
            head[1] - r * random.range(1.0, 1.8),
        ];
        limbs.push(Limb {
            from: head,
            to: ear,
            radii: [r * 0.6, r * 0.2],
        });
        for lean in [-0.04, 0.08] {
            let top = [side * long * 0.85 + lean, fat * 0.4];
            let foot = [top[0] + random.bell() * 0.1, fat + random.range(0.1, 0.25)];
            limbs.push(Limb {
                from: top,
                to: foot,
                radii: [0.06, 0.04],
            });
        }
    }
    let tail = [-long - random.range(0.1, 0.3), random.range(-0.3, 0.1)];
    limbs.push(Limb {
        from: [-long, 0.0],
        to: tail,
        radii: [0.05, 0.02],
    });
    limbs
}

/// Cubes and boxes seen from above, with a lit top.
fn dice(stage: &mut Stage, frame: &Frame, role: Role) {
    let colour = any_colour(&mut stage.random);
    let pips = if colour[1] > 0.3 {
        grey(0.08)
    } else {
        grey(0.95)
    };
    let count = stage.random.count(1, 6) as u32;
    let thick = stage.random.range(0.5, 0.9);
    let shadow = strength(stage);
    let unit = frame.unit();
    for part in 0..8 {
        let shade = plain(scale(colour, 0.45 + 0.02 * part as f32));
        let layer = Layer::new(
            frame.lifted(thick * part as f32 / 8.0 * unit),
            Shape::block([0.3, 0.3], 0.05),
            role,
            shade,
        );
        stage.add(if part == 0 {
            layer.shadow(0.4, 0.3, shadow)
        } else {
            layer
        });
    }
    let paint: Paint = Box::new(move |at, footprint| {
        let mut off = f32::MAX;
        for pip in 0..count {
            let [x, y] = [
                (pip % 2) as f32 - 0.5,
                (pip / 2) as f32 - 0.5 * ((count - 1) / 2) as f32,
            ];
            off = off.min(length([at[0] - x * 0.26, at[1] - y * 0.18]) - 0.045);
        }
        mix(colour, pips, (0.5 - off / footprint).clamp(0.0, 1.0))
    });
    let top = frame.lifted(thick * unit);
    stage.add(Layer::new(top, Shape::block([0.3, 0.3], 0.05), role, paint).gloss(0.3));
}

/// Lying or standing bottles and vases: one outline, round all along.
fn bottle(stage: &mut Stage, frame: &Frame, role: Role) {
    let colour = any_colour(&mut stage.random);
    let label = if stage.random.chance(0.6) {
        grey(0.9)
    } else {
        any_colour(&mut stage.random)
    };
    let fat = stage.random.range(0.1, 0.2);
    let limbs = vec![
        Limb {
            from: [0.0, 0.45],
            to: [0.0, -0.05],
            radii: [fat, fat],
        },
        Limb {
            from: [0.0, -0.05],
            to: [0.0, -0.45],
            radii: [fat * 0.5, fat * 0.35],
        },
    ];
    let band: (f32, f32) = (stage.random.range(0.0, 0.15), stage.random.range(0.2, 0.4));
    let seed: u32 = stage.random.seed();
    let paint: Paint = Box::new(move |[x, y], footprint| {
        let paper = y > band.0 && y < band.1;
        let text =
            paper && noise::cell(floor(x * 40.0), floor(y * 24.0), seed) > 0.72 && footprint < 0.02;
        let base: Colour = if paper { label } else { colour };
        if text { scale(base, 0.35) } else { base }
    });
    let shadow = strength(stage);
    let layer = Layer::new(
        frame.lifted(0.1 * frame.unit()),
        Shape::limbs(limbs, 0.08),
        role,
        paint,
    );
    stage.add(layer.relief(fat * 0.95).gloss(0.5).shadow(0.1, 0.2, shadow));
}
