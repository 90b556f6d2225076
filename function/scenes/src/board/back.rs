//! A back: white, with a table to fill in.

use super::{Placed, Side, Slot};
use crate::{
    camera::Frame,
    ink::Ink,
    layer::Paint,
    maths::{Colour, Point, grey, hsv, length, mix, scale},
    noise,
    random::Random,
    scene::Class,
    shapes,
    stage::Stage,
    writing::Hand,
};

struct Table {
    /// Where the lines between the cells are, the outermost with them.
    columns: Vec<f32>,
    rows: Vec<f32>,
    pen: f32,
    ink: Colour,
    cells: Vec<Cell>,
}

#[derive(Clone, Copy)]
struct Cell {
    tint: Colour,
    /// Radius, pen (0 for a filled one), colour.
    circle: Option<(f32, f32, Colour)>,
    dots: u32,
    dot: f32,
}

/// Puts one on a surface, whose unit is the board's height.
pub(crate) fn put(stage: &mut Stage, ground: &Frame) -> Placed {
    let side = Side {
        class: Class::WowboardBack,
        usual: 0.8,
        widths: [[0.84, 0.96], [0.68, 1.2]],
        corners: [0.015, 0.08],
        gloss: [0.1, 0.7],
        paint,
    };
    side.put(stage, ground)
}

fn paint(stage: &mut Stage, half: Point) -> Paint {
    let slot = Slot::random(stage, 2.0 * half[0]);
    let random = &mut stage.random;
    let white = mix(
        grey(random.range(0.9, 1.0)),
        hsv(random.unit(), 0.12, 0.95),
        random.range(0.0, 0.5),
    );
    let margin = random.range(0.02, 0.07);
    let top = random.range(-0.4, -0.3);
    let field = field(random, half, margin);
    let bottom = if field.1[1] > 0.0 && random.chance(0.5) {
        field.0[1] - field.1[1] - 0.02
    } else {
        0.5 - margin
    };
    let area = [
        -half[0] + margin,
        top,
        half[0] - margin,
        bottom.max(top + 0.3),
    ];
    let table = Table::random(random, area);
    let ink = texts(random, half, &table);
    let outline = (random.log_range(0.001, 0.004), table.ink);
    let worn = random.range(0.0, 0.05);
    let seed = random.seed();
    Box::new(move |at, footprint| {
        let mut colour = table.over(at, footprint, white);
        let [x, y] = [at[0] - field.0[0], at[1] - field.0[1]];
        let off = shapes::block([x, y], field.1, field.2);
        if off < footprint {
            let inside = (0.5 - off / footprint).clamp(0.0, 1.0);
            colour = mix(colour, white, inside);
            let rim =
                (0.5 + (outline.0.max(0.5 * footprint) - off.abs()) / footprint).clamp(0.0, 1.0);
            colour = mix(
                colour,
                outline.1,
                rim * (2.0 * outline.0 / footprint).min(1.0),
            );
        }
        colour = ink.over(at, footprint, colour);
        colour = slot.over(at, footprint, colour);
        let stain = noise::fractal([at[0] * 3.0, at[1] * 3.0], footprint * 3.0, 2, seed);
        scale(colour, 1.0 + worn * stain)
    })
}

/// A rounded empty field: middle, half sides, corner.
fn field(random: &mut Random, half: Point, margin: f32) -> (Point, Point, f32) {
    if random.chance(0.2) {
        return ([0.0, 2.0], [0.0, 0.0], 0.0);
    }
    let wide = half[0] * random.range(0.3, 1.0) - margin;
    let high = random.range(0.05, 0.16);
    let x = random.pick(&[-1.0, 0.0, 1.0, 1.0]) * (half[0] - margin - wide);
    let y = if random.chance(0.75) {
        0.5 - margin - high
    } else {
        random.range(-0.2, 0.2)
    };
    (
        [x, y],
        [wide.max(0.05), high],
        high * random.range(0.2, 0.8),
    )
}

impl Table {
    fn random(random: &mut Random, area: [f32; 4]) -> Self {
        let mut split = |from: f32, to: f32, parts: usize| {
            let uneven = random.pick(&[0.0, 0.2, 0.7]);
            let mut lines = vec![from];
            let widths: Vec<f32> = (0..parts)
                .map(|_| 1.0 + uneven * random.unit() * 1.5)
                .collect();
            let sum: f32 = widths.iter().sum();
            let mut at = from;
            for width in widths {
                at += width / sum * (to - from);
                lines.push(at);
            }
            lines
        };
        let (across, down) = (4, 6);
        let columns = split(area[0], area[2], across);
        let rows = split(area[1], area[3], down);
        let (columns, rows) = thin(random, columns, rows);
        let count = (columns.len() - 1) * (rows.len() - 1);
        let tints = [
            (0.57, 0.17),
            (0.15, 0.25),
            (0.94, 0.15),
            (0.57, 0.08),
            (0.12, 0.12),
        ];
        let tinted = random.range(0.1, 0.6);
        let by_row = random.chance(0.4);
        let across = columns.len() - 1;
        let mut row_tint = [1.0; 3];
        let ink = mix(
            grey(random.range(0.3, 0.75)),
            hsv(0.6, 0.4, 0.6),
            random.range(0.0, 0.5),
        );
        let (circles, dots) = (random.range(0.0, 0.4), random.range(0.0, 0.5));
        let cells = (0..count).map(|index| {
            let tint = if random.chance(tinted) {
                let (hue, saturation) = random.pick(&tints);
                hsv(hue, saturation * random.range(0.6, 1.3), 1.0)
            } else {
                [1.0; 3]
            };
            if index % across == 0 {
                row_tint = tint;
            }
            let width = columns[index % across + 1] - columns[index % across];
            let row = index / across;
            let least = 0.5 * width.min(rows[row + 1] - rows[row]);
            Cell {
                tint: if by_row { row_tint } else { tint },
                circle: random.chance(circles).then(|| {
                    let pen = if random.chance(0.6) { 0.002 } else { 0.0 };
                    (
                        least * random.range(0.4, 0.9),
                        pen,
                        mix(ink, [0.9; 3], random.range(0.1, 0.8)),
                    )
                }),
                dots: if random.chance(dots) {
                    random.count(1, 5) as u32
                } else {
                    0
                },
                dot: (least * 0.25).min(random.range(0.006, 0.015)),
            }
        });
        Self {
            cells: cells.collect(),
            pen: random.log_range(0.0008, 0.0035),
            ink,
            columns,
            rows,
        }
    }

    fn over(&self, at: Point, footprint: f32, below: Colour) -> Colour {
        let (left, right) = (self.columns[0], self.columns[self.columns.len() - 1]);
        let (top, bottom) = (self.rows[0], self.rows[self.rows.len() - 1]);
        let pen = self.pen;
        if at[0] < left - pen || at[0] > right + pen || at[1] < top - pen || at[1] > bottom + pen {
            return below;
        }
        let find = |lines: &[f32], x: f32| {
            let cell = lines
                .partition_point(|line| *line <= x)
                .clamp(1, lines.len() - 1)
                - 1;
            let near = (x - lines[cell]).abs().min((lines[cell + 1] - x).abs());
            (cell, 0.5 * (lines[cell] + lines[cell + 1]), near)
        };
        let (column, x, near_x) = find(&self.columns, at[0]);
        let (row, y, near_y) = find(&self.rows, at[1]);
        let cell = &self.cells[row * (self.columns.len() - 1) + column];
        let mut colour = crate::maths::times(below, cell.tint);
        let line = |distance: f32, radius: f32| {
            let wide = radius.max(0.5 * footprint);
            (0.5 + (wide - distance) / footprint).clamp(0.0, 1.0)
                * (2.0 * radius / footprint).min(1.0)
        };
        if let Some((radius, pen, shade)) = cell.circle {
            let off = length([at[0] - x, at[1] - y]) - radius;
            let cover = if pen > 0.0 {
                line(off.abs(), pen)
            } else {
                (0.5 - off / footprint).clamp(0.0, 1.0)
            };
            colour = mix(colour, shade, cover);
        }
        for dot in 0..cell.dots {
            let place = x + (dot as f32 - 0.5 * (cell.dots - 1) as f32) * 3.0 * cell.dot;
            let off = length([at[0] - place, at[1] - y]) - cell.dot;
            colour = mix(colour, grey(0.66), (0.5 - off / footprint).clamp(0.0, 1.0));
        }
        mix(colour, self.ink, line(near_x.min(near_y), pen))
    }
}

/// Fewer lines: each but the outermost may go.
fn thin(random: &mut Random, mut columns: Vec<f32>, mut rows: Vec<f32>) -> (Vec<f32>, Vec<f32>) {
    for lines in [&mut columns, &mut rows] {
        // Some tables have narrow cells: each is cut in two.
        if random.chance(0.4) {
            let halves: Vec<f32> = lines
                .windows(2)
                .flat_map(|pair| [pair[0], 0.5 * (pair[0] + pair[1])])
                .collect();
            let last = lines[lines.len() - 1];
            *lines = halves;
            lines.push(last);
        }
        let most = lines.len() - 1;
        let rate = random.range(0.0, 0.35);
        let mut index = 0;
        lines.retain(|_| {
            index += 1;
            index == 1 || index == most + 1 || !random.chance(rate)
        });
    }
    (columns, rows)
}

/// Lettering beside the slot and words in the table's cells.
fn texts(random: &mut Random, half: Point, table: &Table) -> Ink {
    let mut strokes = Vec::new();
    let dark = grey(random.range(0.08, 0.4));
    let hand = Hand::print(random, dark);
    for side in [-1.0, 1.0] {
        if random.chance(0.35) {
            continue;
        }
        let high = random.range(0.016, 0.036);
        let letters = random
            .count(3, 8)
            .min((half[0] * 0.6 / (high * 0.8)) as usize)
            .max(2);
        let x = if side < 0.0 {
            -half[0] + 0.05
        } else {
            half[0] - 0.05 - letters as f32 * high * 0.8
        };
        let y = random.range(-0.46, -0.44);
        hand.word(random, [x, y], high, letters, &mut strokes);
    }
    let pale = mix(dark, grey(0.6), random.unit());
    let small = Hand::print(random, pale);
    let often = random.range(0.1, 0.8);
    for row in table.rows.windows(2) {
        for column in table.columns.windows(2) {
            if !random.chance(often) {
                continue;
            }
            let high = (0.3 * (row[1] - row[0])).min(random.range(0.008, 0.016));
            let fit = ((column[1] - column[0]) * 0.9 / (high * 0.85)) as usize;
            if fit > 1 {
                let letters = random.count(2, 9).min(fit);
                small.word(
                    random,
                    [column[0] + 0.006, row[0] + 0.008],
                    high,
                    letters,
                    &mut strokes,
                );
            }
        }
    }
    Ink::new(strokes)
}
