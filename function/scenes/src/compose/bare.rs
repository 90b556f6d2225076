//! Scenes without a wow board.

use super::{NOTE_HEIGHTS, enter, in_view};
use crate::{
    camera::Frame,
    clutter::{self, solid},
    layout,
    light::Light,
    maths::TAU,
    note::{self, Pack},
    random::Random,
    rooms::Room,
    scene::{Class, Family},
    stage::Stage,
};

/// A note's side where there is no board to measure it by, in units of a board's height.
const SIDE: f32 = 0.1;

pub(super) fn notes(mut random: Random, family: Family, size: [u32; 2], light: Light) -> Stage {
    let note = random.log_range(NOTE_HEIGHTS[0], NOTE_HEIGHTS[1]);
    let height = SIDE / note;
    let room = if random.chance(0.5) {
        Room::Wall
    } else {
        Room::Table
    };
    let mut stage = enter(random, family, size, light, room, height, [0.0, 0.0], -9.0);
    clutter::behind(&mut stage, room);
    let ground = if stage.random.chance(0.5) {
        clutter::board_below(&mut stage, room, height)
    } else {
        Frame::MAIN
    };
    let pack = Pack::random(&mut stage.random, family);
    let [w, h] = [SIDE, SIDE * pack.tall()];
    let wide = height * size[0] as f32 / size[1] as f32;
    let area = [-0.5 * wide, -0.5 * height, 0.5 * wide, 0.5 * height];
    let fit = (wide * height / (w * h)) as usize;
    let turn = match room {
        Room::Wall => 0.0,
        Room::Table => stage.random.range(0.0, TAU),
    };
    if stage.random.chance(0.22) {
        // A dense wall, group after group of one colour.
        let most = (fit as f32 * stage.random.range(0.4, 1.0)) as usize;
        let mut left = most.clamp(2, 150);
        while left > 0 {
            let group = stage.random.count(1, 14).min(left);
            left -= group;
            let corner = stage.random.point(area);
            let reach = 4.5 * SIDE;
            let around = [
                corner[0] - reach,
                corner[1] - reach,
                corner[0] + reach,
                corner[1] + reach,
            ];
            let tidy = stage.random.pick(&[0.02, 0.1]);
            let spots = layout::grid(&mut stage.random, around, [w, h], group, tidy);
            let one = if stage.random.chance(0.6) {
                pack.one_colour(&mut stage.random)
            } else {
                pack.clone()
            };
            for (at, turn) in spots {
                note::put(&mut stage, &one, &ground, at, turn, SIDE, None);
            }
        }
    } else {
        let most = (fit as f32 * 0.5).clamp(1.0, 24.0);
        let count = stage.random.log_range(1.0, most + 0.99) as usize;
        let inner = area.map(|edge| edge * 0.85);
        let spots = layout::spots(&mut stage.random, inner, [w, h], count);
        for (at, own) in spots {
            note::put(&mut stage, &pack, &ground, at, turn + own, SIDE, None);
        }
    }
    clutter::strew(&mut stage, room, SIDE);
    clutter::before(&mut stage, room);
    stage
}

/// Cups on a table.
pub(super) fn cups(mut random: Random, family: Family, size: [u32; 2], light: Light) -> Stage {
    let height = SIDE / random.log_range(0.06, 0.4);
    let room = Room::Table;
    let mut stage = enter(random, family, size, light, room, height, [0.0, 0.0], -9.0);
    clutter::behind(&mut stage, room);
    clutter::strew(&mut stage, room, SIDE);
    let wide = height * size[0] as f32 / size[1] as f32;
    let area = [-0.4 * wide, -0.4 * height, 0.4 * wide, 0.4 * height];
    let most = (wide * height / (4.0 * SIDE * SIDE)).clamp(1.0, 8.0);
    let count = stage.random.log_range(1.0, most + 0.99) as usize;
    for (at, _) in layout::spots(&mut stage.random, area, [SIDE, SIDE], count) {
        let turn = stage.random.range(0.0, TAU);
        let frame = Frame::MAIN.at(at, turn, 0.5 * SIDE / solid::CUP);
        let role = stage.object(Class::Cup, None, &frame, [solid::CUP, solid::CUP]);
        solid::cup(&mut stage, &frame, role);
    }
    clutter::before(&mut stage, room);
    stage
}

pub(super) fn nothing(mut random: Random, family: Family, size: [u32; 2], light: Light) -> Stage {
    if random.chance(0.4) {
        return clutter::nature::stage(random, family, size, light);
    }
    let height = random.log_range(0.25, 3.0);
    let room = if random.chance(0.5) {
        Room::Wall
    } else {
        Room::Table
    };
    let mut stage = enter(random, family, size, light, room, height, [0.0, 0.0], -9.0);
    clutter::behind(&mut stage, room);
    if stage.random.chance(0.65) {
        clutter::board_below(&mut stage, room, height);
    }
    let side = height * stage.random.log_range(0.06, 0.35);
    for _ in 0..stage.random.count(1, 3) {
        clutter::strew(&mut stage, room, side);
    }
    if stage.random.chance(0.3)
        && let Some(at) = in_view(&stage, [0.5, 0.5])
    {
        clutter::heap(&mut stage, at, side);
    }
    clutter::before(&mut stage, room);
    stage
}
