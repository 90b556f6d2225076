//! Everything that is none of the three classes.

mod boards;
pub(crate) mod body;
mod flat;
pub(crate) mod nature;
mod pictures;
pub(crate) mod solid;

use crate::{
    board::Placed,
    camera::Frame,
    compose::in_view,
    layer::{Layer, Role, plain},
    maths::{Point, TAU, polar, scale},
    rooms::Room,
    shapes::{Limb, Shape},
    stage::Stage,
};

/// A thing of about this size that lies on a surface.
pub(crate) fn thing(stage: &mut Stage, ground: &Frame, at: Point, size: f32, role: Role) {
    let turn = if stage.random.chance(0.5) {
        stage.random.bell() * 0.3
    } else {
        stage.random.range(0.0, TAU)
    };
    let frame = ground.at(at, turn, size);
    if !stage.sees(&frame, 1.5) {
        return;
    }
    if stage.random.chance(0.68) {
        flat::put(stage, &frame, role);
    } else {
        solid::put(stage, &frame, role);
    }
}

/// Large things that boards and notes are put before.
pub(crate) fn behind(stage: &mut Stage, room: Room) {
    if !stage.random.chance(0.6) {
        return;
    }
    for _ in 0..stage.random.count(1, 6) {
        let place = stage.random.point([0.0, 0.0, 1.0, 1.0]);
        let Some(at) = in_view(stage, place) else {
            continue;
        };
        let size = stage.random.log_range(0.15, 0.9);
        if stage.random.chance(0.4) {
            let turn = if room == Room::Wall {
                stage.random.bell() * 0.03
            } else {
                stage.random.bell() * 0.6
            };
            boards::put(stage, &Frame::MAIN.at(at, turn, size));
        } else {
            thing(stage, &Frame::MAIN, at, size * 0.6, Role::Cover);
        }
    }
}

/// What sticks or lies on a board.
pub(crate) fn on_board(stage: &mut Stage, placed: &Placed, side: f32) {
    if !stage.random.chance(0.45) {
        return;
    }
    let [w, h] = placed.half;
    for _ in 0..stage.random.count(1, 6) {
        let at = stage.random.point([-w * 0.9, -h * 0.9, w * 0.9, h * 0.9]);
        if stage.random.chance(0.5) {
            let size = stage.random.log_range(0.02, 0.05);
            flat::magnet(stage, &placed.frame.at(at, 0.0, size), Role::Stuck);
        } else {
            let size = side * stage.random.log_range(0.4, 1.3);
            thing(stage, &placed.frame, at, size, Role::Stuck);
        }
    }
}

/// Things all over what is in view.
pub(crate) fn strew(stage: &mut Stage, room: Room, side: f32) {
    if !stage.random.chance(0.75) {
        return;
    }
    let count = stage.random.log_range(1.0, 14.0) as usize;
    for _ in 0..count {
        let place = stage.random.point([0.0, 0.0, 1.0, 1.0]);
        let Some(at) = in_view(stage, place) else {
            continue;
        };
        let size = side
            * stage
                .random
                .log_range(0.5, if room == Room::Wall { 3.5 } else { 2.5 });
        thing(stage, &Frame::MAIN, at, size, Role::Cover);
    }
}

/// Many small things in one place.
pub(crate) fn heap(stage: &mut Stage, at: Point, side: f32) {
    for _ in 0..stage.random.count(6, 30) {
        let off = [
            stage.random.bell() * 3.0 * side,
            stage.random.bell() * 3.0 * side,
        ];
        let size = side * stage.random.range(0.3, 1.1);
        thing(
            stage,
            &Frame::MAIN,
            [at[0] + off[0], at[1] + off[1]],
            size,
            Role::Cover,
        );
    }
}

/// Another board, which fills much of the picture.
pub(crate) fn board_below(stage: &mut Stage, room: Room, height: f32) -> Frame {
    let size = height * stage.random.range(0.6, 1.5);
    let at = [
        stage.random.bell() * 0.3 * height,
        stage.random.bell() * 0.3 * height,
    ];
    let turn = if room == Room::Wall {
        stage.random.bell() * 0.04
    } else {
        stage.random.bell() * 0.6
    };
    let frame = boards::put(stage, &Frame::MAIN.at(at, turn, size));
    // The same coordinates as before, a little nearer.
    let lift = crate::maths::dot3(frame.origin, frame.normal);
    Frame::MAIN.lifted(lift)
}

/// What is between the camera and the boards.
pub(crate) fn before(stage: &mut Stage, room: Room) {
    if stage.random.chance(0.14) {
        body::hand(stage, room);
    }
    if stage.random.chance(0.08) {
        near(stage);
    }
    if room == Room::Wall && stage.random.chance(0.06) {
        body::person(stage);
    }
    if room == Room::Table && stage.random.chance(0.2) {
        let place = stage.random.point([0.0, 0.0, 1.0, 1.0]);
        if let Some(at) = in_view(stage, place) {
            let size = stage.random.log_range(0.06, 0.25);
            let frame = Frame::MAIN
                .at(at, stage.random.range(0.0, TAU), size)
                .lifted(0.02);
            solid::put(stage, &frame, Role::Cover);
        }
    }
}

/// Something far out of focus that reaches into the picture from a side: a shoulder, a chair, a plant.
fn near(stage: &mut Stage) {
    let facing = stage.camera.facing(0.05);
    let wide = stage.size[0] as f32 / stage.size[1] as f32;
    let out = stage.random.range(0.42, 0.6);
    let [x, y] = polar(stage.random.range(0.0, TAU));
    let frame = facing.at([x * out * wide, y * out], stage.random.range(0.0, TAU), 1.0);
    let radii = [stage.random.range(0.08, 0.3), stage.random.range(0.08, 0.3)];
    let shape = match stage.random.count(0, 2) {
        0 => Shape::ellipse(radii),
        1 => Shape::block(radii, 0.05),
        _ => {
            let from = [-0.5, stage.random.bell() * 0.3];
            let to = [0.5, stage.random.bell() * 0.3];
            let radii = [0.05, stage.random.range(0.02, 0.12)];
            Shape::limbs(vec![Limb { from, to, radii }], 0.01)
        }
    };
    let colour = scale(
        pictures::any_colour(&mut stage.random),
        stage.random.range(0.2, 1.0),
    );
    let soft = stage.random.log_range(0.02, 0.12);
    stage.add(
        Layer::new(frame, shape, Role::Cover, plain(colour))
            .soft(soft)
            .relief(0.12),
    );
}

/// Shadows of what is not in the picture.
pub(crate) fn shadows(stage: &mut Stage) {
    if !stage.random.chance(0.4) {
        return;
    }
    let height = stage.camera.facing(1.0).unit();
    let distance = crate::maths::dot3(stage.camera.position, stage.camera.position)
        .sqrt()
        .max(0.1);
    let reach = height * distance;
    let dark = stage.light.shadow * stage.random.range(0.4, 0.95);
    let soft = reach * stage.random.log_range(0.01, 0.4);
    let at = [
        stage.random.bell() * 0.6 * reach,
        stage.random.bell() * 0.6 * reach,
    ];
    let frame = Frame::MAIN
        .at(at, stage.random.range(0.0, TAU), reach)
        .lifted(0.03);
    let soft = soft / reach;
    let tint = [0.02, 0.025, 0.04];
    match stage.random.count(0, 3) {
        0 => {
            // A window's bars, or a blind's.
            let (wide, gap) = (stage.random.range(0.05, 0.25), stage.random.range(0.1, 0.5));
            let count = stage.random.count(1, 5);
            for bar in 0..count {
                let frame = frame.at([bar as f32 * (wide + gap), 0.0], 0.0, 1.0);
                let shape = Shape::block([0.5 * wide, 3.0], 0.0);
                let veil = Layer::new(frame, shape, Role::Veil, plain(tint));
                stage.add(veil.opacity(dark).soft(soft.min(0.1)));
            }
        }
        1 => {
            // All but a patch of sun.
            let shape = Shape::block([4.0, 4.0], 0.0);
            let half = [stage.random.range(0.1, 0.6), stage.random.range(0.1, 0.6)];
            let shape = shape.without(move |point| crate::shapes::block(point, half, 0.0));
            let veil = Layer::new(frame, shape, Role::Veil, plain(tint));
            stage.add(veil.opacity(dark * 0.8).soft(soft.min(0.15)));
        }
        2 => {
            // Half of the picture, from whoever takes it or a wall beside.
            let shape = Shape::block([1.5, 3.0], 0.2);
            let veil = Layer::new(
                frame.at([1.4, 0.0], 0.0, 1.0),
                shape,
                Role::Veil,
                plain(tint),
            );
            stage.add(veil.opacity(dark).soft(soft));
        }
        _ => {
            let (shape, _) = body::arm(&mut stage.random);
            let veil = Layer::new(
                frame.at([0.0, 0.0], 0.0, 0.5),
                shape,
                Role::Veil,
                plain(tint),
            );
            stage.add(veil.opacity(dark).soft((soft * 2.0).clamp(0.04, 0.4)));
        }
    }
}
