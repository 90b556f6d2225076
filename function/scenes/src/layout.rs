//! Where people put notes.

use crate::{
    maths::{Point, TAU, length, polar, sub},
    random::Random,
};

/// A note's middle and how it is turned.
pub(crate) type Spot = (Point, f32);

/// So many spots for notes of this width and height within `x0, y0, x1, y1`, which are the bounds of their middles.
pub(crate) fn spots(random: &mut Random, area: [f32; 4], [w, h]: Point, count: usize) -> Vec<Spot> {
    let tidy = random.pick(&[0.01, 0.03, 0.08, 0.2]);
    match random.count(0, 9) {
        0..3 => grid(random, area, [w, h], count, tidy),
        3..7 => scattered(random, area, [w, h], count, tidy),
        7..9 => heap(random, area, [w, h], count, tidy),
        _ => line(random, area, [w, h], count, tidy),
    }
}

/// Rows and columns, with gaps.
pub(crate) fn grid(
    random: &mut Random,
    [x0, y0, x1, y1]: [f32; 4],
    [w, h]: Point,
    count: usize,
    tidy: f32,
) -> Vec<Spot> {
    let gap = random.pick(&[0.01, 0.08, 0.25, 0.6]);
    let [dx, dy] = [w * (1.0 + gap), h * (1.0 + gap * random.range(0.5, 1.2))];
    let columns = (((x1 - x0) / dx) as usize + 1).min(count.max(1));
    let rows = (((y1 - y0) / dy) as usize + 1).min(count / columns + 1);
    let left = random.range(x0, (x1 - (columns - 1) as f32 * dx).max(x0));
    let top = random.range(y0, (y1 - (rows - 1) as f32 * dy).max(y0));
    let missing = random.pick(&[0.0, 0.1, 0.35]);
    let mut spots = Vec::new();
    for row in 0..rows {
        for column in 0..columns {
            if spots.len() < count && !random.chance(missing) {
                let jitter = [random.bell() * tidy * w, random.bell() * tidy * h];
                let at = [
                    left + column as f32 * dx + jitter[0],
                    top + row as f32 * dy + jitter[1],
                ];
                spots.push((at, random.bell() * tidy * 1.2));
            }
        }
    }
    spots
}

/// Anywhere, seldom one over the other.
fn scattered(
    random: &mut Random,
    area: [f32; 4],
    [w, h]: Point,
    count: usize,
    tidy: f32,
) -> Vec<Spot> {
    let any = random.chance(0.3);
    let mut spots: Vec<Spot> = Vec::new();
    for _ in 0..count {
        let mut at = random.point(area);
        for _ in 0..6 {
            if spots
                .iter()
                .all(|(other, _)| length(sub(at, *other)) > 0.9 * w.max(h))
            {
                break;
            }
            at = random.point(area);
        }
        let turn = if any {
            random.range(0.0, TAU)
        } else {
            random.bell() * tidy * 2.5
        };
        spots.push((at, turn));
    }
    spots
}

/// About a place, one over the other.
fn heap(random: &mut Random, area: [f32; 4], [w, h]: Point, count: usize, tidy: f32) -> Vec<Spot> {
    let middle = random.point(area);
    let spread = random.range(0.35, 0.8) * (count as f32).sqrt();
    let turn = random.bell();
    let spots = (0..count).map(|_| {
        let way = random.unit().sqrt() * spread;
        let [x, y] = polar(random.range(0.0, TAU));
        let at = [
            (middle[0] + x * way * w).clamp(area[0], area[2]),
            (middle[1] + y * way * h).clamp(area[1], area[3]),
        ];
        (at, turn + random.bell() * (tidy * 4.0 + 0.1))
    });
    spots.collect()
}

/// A row or a column, often as tight as shingles.
fn line(random: &mut Random, area: [f32; 4], [w, h]: Point, count: usize, tidy: f32) -> Vec<Spot> {
    let start = random.point(area);
    let pitch = random.pick(&[0.35, 0.7, 1.05, 1.2]);
    let step = if random.chance(0.5) {
        [pitch * w, 0.0]
    } else {
        [0.0, pitch * h]
    };
    let spots = (0..count).map(|index| {
        let along = index as f32 * random.range(0.95, 1.05);
        let at = [
            start[0] + step[0] * along + random.bell() * tidy * w,
            start[1] + step[1] * along + random.bell() * tidy * h,
        ];
        (at, random.bell() * tidy * 1.5)
    });
    spots
        .filter(|([x, y], _)| *x < area[2] && *y < area[3])
        .collect()
}
