//! Photographs of the world: streets, rooms, food, people, animals, leaves. None of them is right in any detail; all
//! of them have what a detector could stumble over, saturated colours, straight edges and squares among them.

use super::{
    body,
    pictures::{self, any_colour},
    solid,
};
use crate::{
    camera::{Camera, Frame, Pose},
    grounds::{self, Use},
    layer::{Layer, Paint, Role, plain},
    light::Light,
    maths::{Point, TAU, fract, grey, hsv, mix, scale},
    noise::{cell, fractal},
    random::Random,
    scene::Family,
    shapes::{self, Shape},
    stage::Stage,
};

/// What is far behind everything: as wide as the picture and more.
pub(crate) fn backdrop(stage: &mut Stage) {
    let frame = stage.camera.facing(60.0);
    let paint = far(stage);
    let blur = stage.random.pick(&[0.0, 0.02, 0.06]);
    stage.add(Layer::new(frame, Shape::everywhere(), Role::Cover, paint).blur(blur));
}

fn far(stage: &mut Stage) -> Paint {
    let family = stage.family;
    let random = &mut stage.random;
    match random.count(0, 8) {
        7 | 8 => pictures::pieces(random),
        5 => pictures::shelf(random, [1.0, 0.6]),
        6 => pictures::patchwork(random),
        0 | 1 => pictures::landscape(random),
        2 => pictures::blobs(random),
        3 => grounds::random(random, family, Use::Cloth),
        _ => grounds::random(random, family, Use::Wall),
    }
}

/// A picture with nothing to find.
pub(crate) fn stage(mut random: Random, family: Family, size: [u32; 2], light: Light) -> Stage {
    let pose = Pose {
        target: [0.0, 0.0],
        height: 1.0,
        tilt: 0.0,
        azimuth: 0.0,
        roll: random.bell() * 0.06,
        lens: 0.8,
        distortion: random.bell() * 0.05,
    };
    let camera = Camera::new(size, &pose);
    let mut stage = Stage::new(random, family, size, camera, light);
    let paint = far(&mut stage);
    let blur = stage.random.pick(&[0.0, 0.0, 0.01, 0.03, 0.08]);
    let layer = Layer::new(Frame::MAIN, Shape::everywhere(), Role::Cover, paint);
    stage.add(layer.blur(blur));
    let level = stage.random.range(-0.1, 0.3);
    match stage.random.count(0, 4) {
        0 => street(&mut stage, level),
        1 => crowd(&mut stage, level),
        2 => animals(&mut stage, level),
        3 => food(&mut stage),
        _ => jumble(&mut stage),
    }
    stage
}

fn put(stage: &mut Stage, at: Point, size: f32, shape: Shape, paint: Paint) -> Frame {
    let lean = stage.random.bell() * 0.05;
    let frame = Frame::MAIN.at(at, lean, size);
    stage.add(Layer::new(frame, shape, Role::Cover, paint).rough());
    frame
}

fn ground(stage: &mut Stage, level: f32) {
    let family = stage.family;
    let use_ = if stage.random.chance(0.5) {
        Use::Cloth
    } else {
        Use::Table
    };
    let paint = grounds::random(&mut stage.random, family, use_);
    let frame = Frame::MAIN.floor(level);
    let shape = Shape::new([-6.0, -2.0, 6.0, 0.9], |[_, y]| y - 0.9);
    // It reaches from behind the main plane to the camera's feet.
    stage.add(Layer::new(frame, shape, Role::Cover, paint));
}

/// Fronts of houses with windows, signs, and boxes on wheels.
fn street(stage: &mut Stage, level: f32) {
    let mut x = -1.0;
    while x < 1.0 {
        let wide = stage.random.range(0.12, 0.5);
        let high = stage.random.range(0.3, 1.0);
        let wall = if stage.random.chance(0.6) {
            hsv(
                0.08,
                stage.random.range(0.0, 0.5),
                stage.random.range(0.3, 0.9),
            )
        } else {
            any_colour(&mut stage.random)
        };
        let glass = mix(hsv(0.58, 0.3, 0.5), grey(0.1), stage.random.unit());
        let (pitch, rows) = (
            stage.random.range(0.05, 0.16),
            stage.random.range(0.05, 0.16),
        );
        let lit = if stage.random.chance(0.3) {
            hsv(0.13, 0.5, 1.0)
        } else {
            any_colour(&mut stage.random)
        };
        let seed = stage.random.seed();
        let paint: Paint = Box::new(move |[x, y], footprint| {
            let [u, v] = [fract(x / pitch) - 0.5, fract(y / rows) - 0.5];
            let off = (u.abs() - 0.3).max(v.abs() - 0.33) * pitch;
            let own = cell((x / pitch + 50.0) as i32, (y / rows + 50.0) as i32, seed);
            let pane = if own > 0.85 {
                lit
            } else {
                scale(glass, 0.5 + own)
            };
            let stain = fractal([x * 9.0, y * 9.0], footprint * 9.0, 3, seed);
            mix(
                scale(wall, 1.0 + 0.3 * stain),
                pane,
                (0.5 - off / footprint).clamp(0.0, 1.0),
            )
        });
        put(
            stage,
            [x + wide * 0.5, level - high * 0.5],
            1.0,
            Shape::block([wide * 0.5, high * 0.5], 0.0),
            paint,
        );
        x += wide;
    }
    ground(stage, level);
    for _ in 0..stage.random.count(1, 5) {
        car(stage, level);
    }
    for _ in 0..stage.random.count(0, 5) {
        let at = [
            stage.random.range(-0.7, 0.7),
            level - stage.random.range(0.1, 0.4),
        ];
        let size = stage.random.range(0.06, 0.25);
        let frame = Frame::MAIN
            .at(at, stage.random.bell() * 0.05, size)
            .lifted(0.02);
        super::flat::put(stage, &frame, Role::Cover);
    }
    people(stage, level, 3);
}

fn car(stage: &mut Stage, level: f32) {
    let at = [
        stage.random.range(-0.7, 0.7),
        level + stage.random.range(0.0, 0.15),
    ];
    let size = stage.random.range(0.15, 0.5);
    let colour = any_colour(&mut stage.random);
    let shape = Shape::new([-0.55, -0.35, 0.55, 0.25], |[x, y]| {
        let body = shapes::block([x, y], [0.5, 0.12], 0.05);
        let cabin = shapes::block(
            [x + 0.05, y + 0.17],
            [0.28 - 0.2 * (-y - 0.1).max(0.0), 0.12],
            0.06,
        );
        let wheel = shapes::ellipse([x.abs() - 0.3, y - 0.12], [0.09, 0.09]);
        body.min(cabin).min(wheel)
    });
    let paint: Paint = Box::new(move |[x, y], _| {
        if shapes::ellipse([x.abs() - 0.3, y - 0.12], [0.09, 0.09]) < 0.0 {
            grey(0.1)
        } else if shapes::block([x + 0.05, y + 0.16], [0.24, 0.08], 0.03) < 0.0 {
            hsv(0.57, 0.3, 0.3)
        } else {
            scale(colour, 1.0 - 1.6 * y.max(-0.1))
        }
    });
    put(stage, at, size, shape, paint);
}

fn people(stage: &mut Stage, level: f32, most: usize) {
    for _ in 0..stage.random.count(0, most) {
        let size = stage.random.log_range(0.2, 1.2);
        let at = [
            stage.random.range(-0.7, 0.7),
            level - 0.4 * size + stage.random.range(0.0, 0.25),
        ];
        let (limbs, parts) = body::figure(&mut stage.random);
        let paint = body::clothes(&mut stage.random, parts);
        let frame = Frame::MAIN
            .at(at, stage.random.bell() * 0.15, size)
            .lifted(0.05);
        stage.add(Layer::new(frame, Shape::limbs(limbs, 0.02), Role::Cover, paint).relief(0.05));
    }
}

fn crowd(stage: &mut Stage, level: f32) {
    ground(stage, level);
    for _ in 0..stage.random.count(2, 9) {
        people(stage, level, 2);
    }
    for _ in 0..stage.random.count(0, 4) {
        let at = [stage.random.range(-0.7, 0.7), stage.random.range(-0.5, 0.5)];
        let size = stage.random.range(0.08, 0.4);
        super::thing(stage, &Frame::MAIN.lifted(0.06), at, size, Role::Cover);
    }
}

fn animals(stage: &mut Stage, level: f32) {
    if stage.random.chance(0.7) {
        ground(stage, level);
    }
    for _ in 0..stage.random.count(1, 4) {
        let size = stage.random.log_range(0.25, 1.4);
        let at = [
            stage.random.range(-0.5, 0.5),
            level - stage.random.range(-0.2, 0.1),
        ];
        let limbs = solid::creature(stage);
        let furs = [
            hsv(0.08, 0.5, 0.5),
            hsv(0.06, 0.6, 0.25),
            grey(0.9),
            grey(0.15),
            hsv(0.09, 0.3, 0.8),
        ];
        let (a, b) = (stage.random.pick(&furs), stage.random.pick(&furs));
        let seed = stage.random.seed();
        let coarse = stage.random.range(1.5, 12.0);
        let paint: Paint = Box::new(move |[x, y], footprint| {
            let coat = fractal([x * coarse, y * coarse], footprint * coarse, 2, seed);
            let hair = fractal([x * 20.0, y * 50.0], footprint * 50.0, 2, seed ^ 1);
            scale(
                mix(a, b, (0.5 + 4.0 * coat).clamp(0.0, 1.0)),
                1.0 + 0.5 * hair,
            )
        });
        let turn = if stage.random.chance(0.5) {
            0.0
        } else {
            stage.random.bell() * 0.5
        };
        let frame = Frame::MAIN.at(at, turn, size).lifted(0.05);
        let shape = Shape::limbs(limbs, 0.08);
        stage.add(
            Layer::new(frame, shape, Role::Cover, paint)
                .relief(0.14)
                .shadow(0.05, 0.2, 0.5),
        );
    }
}

fn food(stage: &mut Stage) {
    let family = stage.family;
    let paint = grounds::random(&mut stage.random, family, Use::Table);
    stage.add(Layer::new(
        Frame::MAIN,
        Shape::everywhere(),
        Role::Cover,
        paint,
    ));
    for _ in 0..stage.random.count(1, 8) {
        let at = stage.random.point([-0.7, -0.5, 0.7, 0.5]);
        let size = stage.random.log_range(0.15, 1.0);
        let frame = Frame::MAIN.at(at, stage.random.range(0.0, TAU), size);
        solid::put(stage, &frame, Role::Cover);
    }
}

/// Anything over anything.
fn jumble(stage: &mut Stage) {
    let family = stage.family;
    for _ in 0..stage.random.count(3, 14) {
        let at = stage.random.point([-0.8, -0.6, 0.8, 0.6]);
        let size = stage.random.log_range(0.1, 1.0);
        let turn = stage.random.range(0.0, TAU);
        let frame = Frame::MAIN.at(at, turn, size);
        if stage.random.chance(0.5) {
            super::thing(stage, &Frame::MAIN, at, size, Role::Cover);
            continue;
        }
        let corners = shapes::star(
            stage.random.count(5, 9),
            0.5,
            stage.random.range(0.6, 1.3),
            turn,
        );
        let paint = match stage.random.count(0, 3) {
            0 => plain(any_colour(&mut stage.random)),
            1 => pictures::blobs(&mut stage.random),
            _ => grounds::random(&mut stage.random, family, Use::Cloth),
        };
        let shape = if stage.random.chance(0.5) {
            Shape::ellipse([0.5, stage.random.range(0.2, 0.5)])
        } else {
            Shape::polygon(corners)
        };
        let relief = stage.random.pick(&[0.0, 0.1, 0.3]);
        stage.add(
            Layer::new(frame, shape, Role::Cover, paint)
                .relief(relief)
                .shadow(0.03, 0.1, 0.5),
        );
    }
}
