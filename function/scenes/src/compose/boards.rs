//! Scenes with wow boards.

use super::{NOTE_HEIGHTS, enter, in_view};
use crate::{
    board::{self, Placed},
    camera::{Camera, Frame, Pose},
    clutter, layout,
    light::Light,
    maths::{Point, TAU, hsv},
    note::{self, Pack},
    random::Random,
    rooms::{self, Room},
    scene::Family,
    stage::Stage,
};

pub(super) fn stage(
    mut random: Random,
    family: Family,
    size: [u32; 2],
    light: Light,
    front: bool,
) -> Stage {
    // The note's height in the picture and by the board's give the board's height in the picture.
    let note = random.log_range(NOTE_HEIGHTS[0], NOTE_HEIGHTS[1]);
    let near = if front { 1.6 } else { 2.6 };
    let by_board = random.log_range(0.05, 0.28);
    let board = (note / by_board).clamp(0.35, near);
    let side = (note / board).clamp(0.04, 0.34);
    let height = 1.0 / board;
    let room = if random.chance(0.55) {
        Room::Wall
    } else {
        Room::Table
    };
    let free = (0.62 - 0.35 * board).max(0.3);
    let target = [random.bell() * 0.5 * free, random.bell() * 0.5 * free];
    let mut stage = enter(random, family, size, light, room, height, target, 0.52);
    clutter::behind(&mut stage, room);

    let mut boards = vec![put_board(&mut stage, &Frame::MAIN, front, room)];
    // Others beside the first, mostly in a row.
    let more = [0, 1, 2, 3][stage.random.weighted(&[0.78, 0.15, 0.04, 0.03])];
    let way = stage.random.sign() * stage.random.range(1.0, 1.25);
    let row = stage.random.chance(0.75);
    for index in 1..=more {
        let along = way * index as f32;
        let at = if row {
            [along, stage.random.bell() * 0.3]
        } else {
            [stage.random.bell() * 0.3, along * 1.05]
        };
        let turn = stage.random.bell() * 0.1;
        let grow = stage.random.range(0.9, 1.1);
        let same = stage.random.chance(0.6);
        let ground = Frame::MAIN.at(at, turn, grow);
        boards.push(put_board(&mut stage, &ground, front == same, room));
    }
    let pack = Pack::random(&mut stage.random, family);
    for placed in &boards {
        let count = if stage.random.chance(0.13) {
            0
        } else {
            stage.random.log_range(1.0, if front { 26.0 } else { 17.0 }) as usize
        };
        notes_on(&mut stage, placed, &pack, side, count);
    }
    // Beside the boards, on what is around.
    if stage.random.chance(0.25) {
        for _ in 0..stage.random.count(1, 5) {
            let place = stage.random.point([0.0, 0.0, 1.0, 1.0]);
            let Some(at) = in_view(&stage, place) else {
                continue;
            };
            let clear = |placed: &Placed| {
                let [x, y, _] = placed.frame.local(Frame::MAIN.point(at, 0.0));
                x.abs() > placed.half[0] + 0.6 * side || y.abs() > placed.half[1] + 0.6 * side
            };
            if boards.iter().all(clear) {
                let turn = stage.random.bell() * 0.4;
                note::put(&mut stage, &pack, &Frame::MAIN, at, turn, side, None);
            }
        }
    }
    for placed in &boards {
        clutter::on_board(&mut stage, placed, side);
    }
    clutter::before(&mut stage, room);
    stage
}

fn put_board(stage: &mut Stage, ground: &Frame, front: bool, room: Room) -> Placed {
    let turn = match room {
        Room::Wall => stage.random.bell() * 0.06,
        Room::Table if stage.random.chance(0.6) => stage.random.bell() * 0.3,
        Room::Table => stage.random.range(0.0, TAU),
    };
    let ground = ground.at([0.0, 0.0], turn, 1.0);
    if front {
        board::front::put(stage, &ground)
    } else {
        board::back::put(stage, &ground)
    }
}

fn notes_on(stage: &mut Stage, placed: &Placed, pack: &Pack, side: f32, count: usize) {
    let [w, h] = placed.half;
    // Some hang over the edge.
    let over = if stage.random.chance(0.25) {
        0.2
    } else {
        -0.55
    };
    let (x, y) = ((w + over * side).max(0.02), (h + over * side).max(0.02));
    let base = stage.random.pick(&[0.0, 0.0, 0.0, 0.3, -0.3, TAU / 4.0]);
    let spots = layout::spots(
        &mut stage.random,
        [-x, -y, x, y],
        [side, side * pack.tall()],
        count,
    );
    for (at, turn) in spots {
        let size = side * stage.random.range(0.97, 1.03);
        let at = [at[0].clamp(-x, x), at[1].clamp(-y, y)];
        note::put(
            stage,
            pack,
            &placed.frame,
            at,
            turn + base,
            size,
            Some(placed.id),
        );
    }
}

/// A front on a wall with notes in three rows and some strewn.
pub(crate) fn demo(size: [u32; 2]) -> Stage {
    let [width, height] = size.map(|side| side as f32);
    let random = Random::new(22);
    let pose = Pose {
        target: [0.02, 0.0],
        height: 1.22f32.max(1.2 * height / width),
        tilt: 0.2,
        azimuth: 0.3,
        roll: -0.015,
        lens: 0.9,
        distortion: 0.0,
    };
    let camera = Camera::new(size, &pose);
    let mut stage = Stage::new(random, Family::Training, size, camera, Light::calm());
    rooms::plain(&mut stage, hsv(0.11, 0.07, 0.86));
    let placed = board::front::put(&mut stage, &Frame::MAIN);
    let pack = Pack::neon(&mut stage.random);
    let places: [(Point, f32, &'static str); 9] = [
        ([-0.29, -0.2], -0.06, "ASK USERS"),
        ([-0.1, -0.22], 0.04, "IDEA!"),
        ([0.1, -0.2], -0.02, "DRAW IT"),
        ([0.29, -0.16], 0.09, "TEST EARLY"),
        ([-0.25, 0.02], 0.06, "SMALL STEPS"),
        ([0.02, 0.03], -0.05, "WOW"),
        ([-0.31, 0.25], 0.03, "WHY?"),
        ([-0.1, 0.25], -0.08, "SHIP"),
        ([-0.01, 0.35], 0.13, "LEARN"),
    ];
    for (index, (at, turn, text)) in places.into_iter().enumerate() {
        let note = pack.saying(index, text);
        note::put(
            &mut stage,
            &note,
            &placed.frame,
            at,
            turn,
            0.155,
            Some(placed.id),
        );
    }
    stage
}
