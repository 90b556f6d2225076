//! What is around the main plane.

use crate::{
    camera::{Frame, Pose},
    clutter,
    grounds::{self, Use},
    layer::{self, Layer, Role},
    maths::{Colour, Point, grey, scale},
    noise,
    shapes::Shape,
    stage::Stage,
};

/// What the main plane is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// Upright, seen from the front or the side.
    Wall,
    /// Lying, seen from above.
    Table,
}

/// The floor below a wall, but not above `lowest`, or around a table, and what is far away.
pub(crate) fn build(stage: &mut Stage, room: Room, pose: &Pose, lowest: f32) {
    let family = stage.family;
    let open = pose.tilt > 0.45 && stage.random.chance(0.8);
    if open {
        clutter::nature::backdrop(stage);
    }
    match room {
        Room::Wall => {
            let use_ = if stage.random.chance(0.9) {
                Use::Wall
            } else {
                Use::Cloth
            };
            let paint = grounds::random(&mut stage.random, family, use_);
            let end = if open { wall_end(stage, pose) } else { None };
            let shape = end.map_or_else(Shape::everywhere, |(at, side)| beyond(at, side));
            stage.add(Layer::new(Frame::MAIN, shape, Role::Cover, paint));
            if stage.random.chance(0.35) {
                floor(stage, pose, lowest);
            }
        }
        Room::Table => {
            let edge = stage.random.chance(0.3);
            if edge {
                let paint = grounds::random(&mut stage.random, family, Use::Cloth);
                let ground = Frame::MAIN.lifted(-stage.random.range(0.2, 1.0));
                stage.add(Layer::new(ground, Shape::everywhere(), Role::Cover, paint));
            }
            let use_ = if stage.random.chance(0.5) {
                Use::Table
            } else {
                Use::Cloth
            };
            let paint = grounds::random(&mut stage.random, family, use_);
            let (turn, reach) = (
                stage.random.bell() * 0.3,
                stage.random.range(0.6, 1.2) * pose.height.max(0.5),
            );
            let frame = Frame::MAIN.at(pose.target, turn, 1.0);
            let shape = if edge {
                Shape::block([reach * 1.3, reach], 0.04)
            } else {
                Shape::everywhere()
            };
            let gloss = if use_ == Use::Table && stage.random.chance(0.3) {
                0.25
            } else {
                0.0
            };
            let mut layer = Layer::new(frame, shape, Role::Cover, paint).gloss(gloss);
            if edge {
                layer = layer.shadow(0.2, 0.3, 0.6);
            }
            stage.add(layer);
            if pose.tilt > 0.5 && stage.random.chance(0.4) {
                wall_behind(stage, pose);
            }
        }
    }
}

/// Everything but what is beyond a vertical line to this side.
fn beyond(at: f32, side: f32) -> Shape {
    Shape::everywhere().without(move |[x, _]: Point| side * (at - x))
}

/// Where the wall ends for who looks along it.
fn wall_end(stage: &mut Stage, pose: &Pose) -> Option<(f32, f32)> {
    let away = if crate::maths::cos(pose.azimuth) > 0.0 {
        -1.0
    } else {
        1.0
    };
    let far = pose.target[0] + away * pose.height * stage.random.range(0.8, 3.0);
    stage.random.chance(0.6).then_some((far, away))
}

/// The floor that a wall stands on, with a skirting.
fn floor(stage: &mut Stage, pose: &Pose, lowest: f32) {
    let family = stage.family;
    let y = pose.target[1] + pose.height * stage.random.range(0.25, 0.9);
    let y = y.max(lowest);
    let high = stage.random.range(0.05, 0.14);
    let colour = grey(stage.random.range(0.2, 0.95));
    let skirting = Frame::MAIN
        .at([pose.target[0], y - 0.5 * high], 0.0, 1.0)
        .lifted(0.01);
    let shape = Shape::block([20.0, 0.5 * high], 0.0);
    stage.add(
        Layer::new(skirting, shape, Role::Cover, layer::plain(colour)).shadow(0.01, 0.02, 0.5),
    );
    let paint = grounds::random(&mut stage.random, family, Use::Table);
    let frame = Frame::MAIN.floor(y);
    let shape = Shape::new([-20.0, 0.0, 20.0, 20.0], |[_, y]| -y);
    stage.add(Layer::new(frame, shape, Role::Cover, paint));
    let dark = Shape::new([-20.0, -0.3, 20.0, 0.3], |[_, y]| y.abs() - 0.1);
    let veil = Layer::new(frame, dark, Role::Veil, layer::plain([0.0; 3]))
        .opacity(0.35)
        .soft(0.25);
    stage.add(veil);
}

/// What stands behind the far edge of a table.
fn wall_behind(stage: &mut Stage, pose: &Pose) {
    let family = stage.family;
    let y = pose.target[1] - pose.height * stage.random.range(0.7, 1.6);
    let foot = Frame::MAIN.floor(y);
    // Upwards from the table, facing the viewer.
    let frame = Frame {
        origin: foot.origin,
        x: foot.x,
        y: scale(Frame::MAIN.normal, -1.0),
        normal: [0.0, 1.0, 0.0],
    };
    let paint = grounds::random(&mut stage.random, family, Use::Wall);
    let shape = Shape::new([-20.0, -20.0, 20.0, 0.0], |[_, y]| y);
    stage.add(Layer::new(frame, shape, Role::Cover, paint));
}

/// A wall of this colour with nothing else.
pub(crate) fn plain_wall(colour: Colour) -> crate::layer::Paint {
    Box::new(move |[x, y], footprint| {
        let fine = noise::fractal([x * 90.0, y * 90.0], footprint * 90.0, 3, 5);
        let wide = noise::fractal([x, y], footprint, 3, 6);
        scale(colour, 1.0 + 0.05 * fine + 0.05 * wide)
    })
}

/// Only such a wall.
pub(crate) fn plain(stage: &mut Stage, colour: Colour) {
    stage.add(Layer::new(
        Frame::MAIN,
        Shape::everywhere(),
        Role::Cover,
        plain_wall(colour),
    ));
}
