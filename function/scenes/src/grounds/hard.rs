//! Walls, wood and stone.

use super::{Axes, direction, loud};
use crate::{
    layer::Paint,
    maths::{Colour, floor, fract, grey, hsv, mix, scale, sin, smooth, triangle},
    noise::{cell, fractal, strewn},
    random::Random,
};

/// How much of a line of this half width, at this distance from its middle, a pixel sees.
fn groove(distance: f32, half: f32, footprint: f32) -> f32 {
    let wide = half.max(0.5 * footprint);
    (0.5 + (wide - distance) / footprint).clamp(0.0, 1.0) * (2.0 * half / footprint).min(1.0)
}

pub(super) fn plaster(random: &mut Random, [base, near, _]: [Colour; 3]) -> Paint {
    let size = random.log_range(0.02, 0.3);
    let (rough, stains) = (random.log_range(0.01, 0.12), random.range(0.0, 0.2));
    let seed = random.seed();
    Box::new(move |[x, y], footprint| {
        let fine = fractal([x / size, y / size], footprint / size, 3, seed);
        let wide = fractal([x * 0.8, y * 0.8], footprint, 2, seed ^ 7);
        scale(
            mix(base, near, (0.5 + wide) * stains * 2.0),
            1.0 + rough * fine,
        )
    })
}

pub(super) fn roughcast(random: &mut Random, [base, near, _]: [Colour; 3]) -> Paint {
    let size = random.log_range(0.01, 0.06);
    let depth = random.range(0.0, 0.35);
    let seed = random.seed();
    Box::new(move |[x, y], footprint| {
        let wide = fractal([x * 0.5, y * 0.5], footprint, 2, seed ^ 7);
        let colour = mix(base, near, 0.5 + wide);
        let fade = (2.0 - 2.0 * footprint / size).clamp(0.0, 1.0);
        if fade <= 0.0 {
            return scale(colour, 1.0 - depth * 0.4);
        }
        let (near, _, bits) = strewn([x / size, y / size], seed);
        let grain =
            1.0 - depth * (near * 0.9 + 0.2 * ((bits & 255) as f32 / 255.0 - 0.5) - 0.4) * fade;
        scale(colour, grain - depth * 0.4)
    })
}

pub(super) fn brick(random: &mut Random, [base, near, _]: [Colour; 3]) -> Paint {
    let high = random.log_range(0.07, 0.16);
    let wide = high * random.range(2.4, 3.4);
    let joint = high * random.range(0.03, 0.09);
    let red = random.chance(0.5);
    let (a, b) = if red {
        (
            hsv(
                random.range(0.01, 0.06),
                random.range(0.35, 0.65),
                random.range(0.4, 0.7),
            ),
            hsv(0.04, 0.5, 0.5),
        )
    } else {
        (base, near)
    };
    let mortar = grey(random.range(0.4, 0.85));
    let seed = random.seed();
    Box::new(move |[x, y], footprint| {
        let row = floor(y / high);
        let x = x / wide + if row & 1 == 0 { 0.0 } else { 0.5 };
        let column = floor(x);
        let [u, v] = [
            (x - column as f32 - 0.5).abs() * wide,
            (y / high - row as f32 - 0.5).abs() * high,
        ];
        let edge = (wide * 0.5 - u).min(high * 0.5 - v);
        let own = cell(column, row, seed);
        let colour = mix(a, b, own);
        let grain = fractal(
            [x * wide / high * 4.0, y / high * 4.0],
            footprint / high * 4.0,
            3,
            seed,
        );
        // Light comes from above: the upper edge is lit.
        let lit = (y / high - row as f32 - 0.5) * -0.16;
        let brick = scale(colour, 1.0 + 0.25 * (own - 0.5) + 0.25 * grain + lit);
        mix(
            brick,
            scale(mortar, 1.0 + 0.2 * grain),
            groove(edge, joint, footprint),
        )
    })
}

/// Stone slabs of many sizes in rows, two rows together as high as any other two.
pub(super) fn slabs(random: &mut Random, [base, near, other]: [Colour; 3]) -> Paint {
    let high = random.log_range(0.12, 0.7);
    let wide = high * random.range(0.5, 1.4);
    let turn = direction(random);
    let joint = high * random.range(0.004, 0.03);
    let (rough, uneven) = (random.range(0.05, 0.3), random.range(0.05, 0.4));
    let strange = random.pick(&[0.0, 0.0, 0.15]);
    let mortar = grey(random.range(0.3, 0.9));
    let seed = random.seed();
    let axes = Axes::new(turn, 1.0);
    Box::new(move |at, footprint| {
        let [x, y] = axes.at(at);
        let pair = floor(y / high);
        let down = y / high - pair as f32;
        let split = 0.3 + 0.4 * cell(pair, 1, seed);
        let (row, v) = if down < split {
            (2 * pair, down.min(split - down))
        } else {
            (2 * pair + 1, (down - split).min(1.0 - down))
        };
        let wide = wide * (0.6 + 0.8 * cell(row, 2, seed));
        let x = x / wide + cell(row, 3, seed);
        let column = floor(x);
        let u = fract(x).min(1.0 - fract(x));
        let edge = (u * wide).min(v * high);
        let own = cell(column, row, seed ^ 4);
        let stone = if cell(column, row, seed ^ 5) < strange {
            other
        } else {
            mix(base, near, own)
        };
        let grain = fractal(
            [at[0] / high * 5.0 + 40.0 * own, at[1] / high * 5.0],
            footprint / high * 5.0,
            3,
            seed,
        );
        mix(
            scale(stone, 1.0 + uneven * (own - 0.5) + rough * grain),
            mortar,
            groove(edge, joint, footprint),
        )
    })
}

pub(super) fn tiles(random: &mut Random, [base, near, other]: [Colour; 3]) -> Paint {
    let size = random.log_range(0.1, 0.45);
    let turn = direction(random);
    let joint = size * random.range(0.008, 0.03);
    let chess = random.chance(0.2);
    let shade = grey(random.range(0.35, 0.9));
    let seed = random.seed();
    let axes = Axes::new(turn, size);
    Box::new(move |at, footprint| {
        let [x, y] = axes.at(at);
        let (column, row) = (floor(x), floor(y));
        let [u, v] = [
            (x - column as f32 - 0.5).abs(),
            (y - row as f32 - 0.5).abs(),
        ];
        let edge = (0.5 - u.max(v)) * size;
        let own = cell(column, row, seed);
        let colour = if chess && (column + row) & 1 == 0 {
            other
        } else {
            mix(base, near, own)
        };
        let veil = fractal(
            [x * 3.0 + 40.0 * own, y * 3.0],
            footprint / size * 3.0,
            3,
            seed,
        );
        let tile = scale(colour, 1.0 + 0.1 * (own - 0.5) + 0.12 * veil);
        mix(tile, shade, groove(edge, joint, footprint))
    })
}

/// The light and the dark of a wood.
fn wood(random: &mut Random) -> [Colour; 2] {
    let hue = random.range(0.055, 0.105);
    let value = random.log_range(0.2, 0.88);
    let saturation = random.range(0.2, 0.62);
    [
        hsv(hue, saturation, value),
        hsv(
            hue - 0.012,
            (saturation * 1.2).min(0.8),
            value * random.range(0.55, 0.85),
        ),
    ]
}

/// A board's grain, `x` along it.
fn grain(x: f32, y: f32, footprint: f32, seed: u32) -> f32 {
    let bow = fractal([x * 0.7, y * 2.0], footprint * 2.0, 2, seed);
    let rings = triangle(y * 2.2 + bow * 2.5 + 3.0 * cell(seed as i32, 1, 9));
    let fade = (1.5 - 3.0 * footprint).clamp(0.0, 1.0);
    let fibre = fractal([x * 1.5, y * 38.0], footprint * 38.0, 2, seed ^ 5);
    0.5 + (smooth(rings) - 0.5) * 0.7 * fade + 0.5 * fibre
}

pub(super) fn planks(random: &mut Random) -> Paint {
    let [light, dark] = wood(random);
    let wide = random.log_range(0.08, 0.6);
    let turn = direction(random);
    let joint = wide * random.pick(&[0.0, 0.004, 0.012, 0.02]);
    let long = random.range(6.0, 14.0);
    let uneven = random.range(0.0, 0.35);
    let strength = random.range(0.3, 1.0);
    let seed = random.seed();
    let axes = Axes::new(turn, wide);
    Box::new(move |at, footprint| {
        let [x, y] = axes.at(at);
        let row = floor(y);
        let x = x + long * cell(row, 3, seed);
        let column = floor(x / long);
        let own = cell(column, row, seed);
        let edge = (y - row as f32)
            .min(row as f32 + 1.0 - y)
            .min((x - column as f32 * long).min((column + 1) as f32 * long - x))
            * wide;
        let g = grain(
            x + 31.0 * own,
            y - row as f32,
            footprint / wide,
            seed.wrapping_add((own * 1e6) as u32),
        );
        let colour = scale(mix(light, dark, g * strength), 1.0 + uneven * (own - 0.5));
        if joint == 0.0 {
            colour
        } else {
            mix(colour, scale(dark, 0.25), groove(edge, joint, footprint))
        }
    })
}

/// Herringbone.
pub(super) fn parquet(random: &mut Random) -> Paint {
    let [light, dark] = wood(random);
    let wide = random.log_range(0.05, 0.2);
    let turn = direction(random) + 0.785;
    let seed = random.seed();
    let strength = random.range(0.3, 1.0);
    let uneven = random.range(0.1, 0.4);
    let axes = Axes::new(turn, wide);
    Box::new(move |at, footprint| {
        let [x, y] = axes.at(at);
        // Blocks of 4 by 1: the diagonal tells whether one lies or stands here.
        let (i, j) = (floor(x), floor(y));
        let step = (i - j).rem_euclid(8);
        let (u, v, id) = if step < 4 {
            (x - (i - step) as f32, y - j as f32, [i - step, j])
        } else {
            let down = (j - i).rem_euclid(8) - 1;
            let down = down.clamp(0, 3);
            (y - (j - down) as f32, x - i as f32, [i, j - down + 977])
        };
        let own = cell(id[0], id[1], seed);
        let g = grain(
            u + 31.0 * own,
            v,
            footprint / wide,
            seed.wrapping_add((own * 1e6) as u32),
        );
        let colour = scale(mix(light, dark, g * strength), 1.0 + uneven * (own - 0.5));
        let edge = v.min(1.0 - v).min(u).min(4.0 - u).abs() * wide;
        mix(
            colour,
            scale(dark, 0.3),
            groove(edge, wide * 0.012, footprint),
        )
    })
}

pub(super) fn concrete(random: &mut Random, [base, _, _]: [Colour; 3]) -> Paint {
    let base = mix(base, grey(random.range(0.35, 0.75)), 0.7);
    let seed = random.seed();
    let panel = random.range(0.8, 2.5);
    let pores = random.range(0.0, 0.12);
    Box::new(move |[x, y], footprint| {
        let cloud = fractal([x * 2.5, y * 2.5], footprint * 2.5, 4, seed);
        let mut light = 1.0 + 0.28 * cloud;
        if pores > 0.02 && footprint < 0.02 {
            let (near, _, bits) = strewn([x * 14.0, y * 14.0], seed);
            let pore = near < pores * 2.0 && bits & 3 == 0;
            light *= if pore { 0.6 } else { 1.0 };
        }
        let edge = (triangle(x / panel) - 1.0)
            .abs()
            .min((triangle(y / panel) - 1.0).abs())
            * panel
            * 0.5;
        scale(base, light * (1.0 - 0.5 * groove(edge, 0.004, footprint)))
    })
}

pub(super) fn marble(random: &mut Random, [base, _, other]: [Colour; 3]) -> Paint {
    let size = random.log_range(0.15, 0.8);
    let turn = direction(random);
    let vein = mix(other, grey(random.range(0.2, 0.8)), 0.6);
    let seed = random.seed();
    let sharp = random.range(3.0, 9.0);
    let axes = Axes::new(turn, size);
    Box::new(move |at, footprint| {
        let [x, y] = axes.at(at);
        let bow = fractal([x, y], footprint / size, 4, seed);
        let line = (x * 0.6 + bow * 2.4).abs();
        let veins = triangle(line * 1.3);
        let strength = (1.0 - sharp * veins.min(1.0 - veins)).max(0.0);
        scale(
            mix(base, vein, 0.7 * strength * (0.6 + bow)),
            1.0 + 0.12 * bow,
        )
    })
}

pub(super) fn terrazzo(random: &mut Random, [base, near, other]: [Colour; 3]) -> Paint {
    let size = random.log_range(0.02, 0.1);
    let chips = [
        near,
        other,
        grey(random.range(0.1, 0.95)),
        if random.chance(0.3) {
            loud(random)
        } else {
            near
        },
    ];
    let seed = random.seed();
    let share = random.range(0.2, 0.42);
    Box::new(move |[x, y], footprint| {
        let (near, next, bits) = strewn([x / size, y / size], seed);
        let radius = share * (0.5 + ((bits >> 7) & 255) as f32 / 255.0);
        let cover = ((radius.min(next - near) - near) * size / footprint.max(0.05 * size) + 0.5)
            .clamp(0.0, 1.0);
        let fade = (1.6 - 1.5 * footprint / size).clamp(0.3, 1.0);
        mix(base, chips[(bits & 3) as usize], cover * fade)
    })
}

/// The wall of a container or a shutter.
pub(super) fn ribs(x: f32) -> f32 {
    0.5 + 0.5 * sin(x * crate::maths::TAU) * (1.0 - 0.3 * fract(x))
}
