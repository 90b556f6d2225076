//! Textures' chance: a value for each place, the same whenever it is asked for.

use crate::maths::{Point, floor};

/// All 32 bits depend on all of the input.
pub(crate) const fn hash(x: i32, y: i32, seed: u32) -> u32 {
    let mut bits =
        (x as u32).wrapping_mul(0x9e37_79b9) ^ (y as u32).wrapping_mul(0x85eb_ca6b) ^ seed;
    bits = (bits ^ (bits >> 16)).wrapping_mul(0x7feb_352d);
    bits = (bits ^ (bits >> 15)).wrapping_mul(0x846c_a68b);
    bits ^ (bits >> 16)
}

/// 0 to 1 for each cell of a grid.
pub(crate) fn cell(x: i32, y: i32, seed: u32) -> f32 {
    (hash(x, y, seed) >> 8) as f32 / (1u32 << 24) as f32
}

/// The corners' values: hashing each anew would cost most of a scene's time.
static VALUES: [f32; SIDE * SIDE] = values();
const SIDE: usize = 64;

const fn values() -> [f32; SIDE * SIDE] {
    let mut values = [0.0; SIDE * SIDE];
    let mut index = 0;
    while index < values.len() {
        values[index] = (hash(index as i32, 71, 0x51ed) >> 8) as f32 / (1u32 << 24) as f32;
        index += 1;
    }
    values
}

/// Smooth between the corners of a grid of squares of side 1, 0 to 1. It is the same again after 64 squares, and
/// elsewhere for every seed.
#[inline]
pub(crate) fn value([x, y]: Point, seed: u32) -> f32 {
    let (left, top) = (floor(x), floor(y));
    let (s, t) = (x - left as f32, y - top as f32);
    let (s, t) = (s * s * (3.0 - 2.0 * s), t * t * (3.0 - 2.0 * t));
    let seed = seed.wrapping_mul(0x9e37_79b9);
    let left = (left as u32).wrapping_add(seed >> 26) as usize;
    let top = (top as u32).wrapping_add((seed >> 20) & 63) as usize;
    let corner = |column: usize, row: usize| VALUES[(row % SIDE) * SIDE + column % SIDE];
    let (a, b) = (corner(left, top), corner(left.wrapping_add(1), top));
    let below = top.wrapping_add(1);
    let (c, d) = (corner(left, below), corner(left.wrapping_add(1), below));
    let (upper, lower) = (a + (b - a) * s, c + (d - c) * s);
    upper + (lower - upper) * t
}

/// Sums of ever finer noise, about 0, each half as strong as the last. What is finer than the pixel's footprint
/// (in the same units as the point) fades out, as it does in a camera.
pub(crate) fn fractal(point: Point, footprint: f32, octaves: u32, seed: u32) -> f32 {
    let (mut frequency, mut strength, mut sum) = (1.0, 0.5, 0.0);
    for octave in 0..octaves {
        let fade = 2.0 - 2.5 * frequency * footprint;
        if fade <= 0.0 {
            break;
        }
        // Turned at each step, so that the grids' axes do not add up.
        let turned = [
            (0.8 * point[0] - 0.6 * point[1]) * frequency + 17.3 * octave as f32,
            (0.6 * point[0] + 0.8 * point[1]) * frequency,
        ];
        let at = if octave % 2 == 0 {
            [point[0] * frequency, point[1] * frequency]
        } else {
            turned
        };
        sum += (value(at, seed.wrapping_add(octave)) - 0.5) * strength * fade.min(1.0);
        frequency *= 2.1;
        strength *= 0.5;
    }
    sum * 2.0
}

/// The nearest of points strewn one to a cell: its distance, the distance to the next nearest, and its hash.
pub(crate) fn strewn(point: Point, seed: u32) -> (f32, f32, u32) {
    let (column, row) = (floor(point[0]), floor(point[1]));
    let (mut nearest, mut next, mut which) = (f32::MAX, f32::MAX, 0);
    for y in row - 1..=row + 1 {
        for x in column - 1..=column + 1 {
            let bits = hash(x, y, seed);
            let at = [
                x as f32 + (bits & 0xffff) as f32 / 65_536.0 - point[0],
                y as f32 + (bits >> 16) as f32 / 65_536.0 - point[1],
            ];
            let distance = at[0] * at[0] + at[1] * at[1];
            if distance < nearest {
                (nearest, next, which) = (distance, nearest, bits);
            } else if distance < next {
                next = distance;
            }
        }
    }
    (nearest.sqrt(), next.sqrt(), which)
}
