//! Strokes of a pen on a square, found quickly.

use crate::{
    maths::{Colour, Point, floor, mix},
    shapes::to_segment,
};

#[derive(Clone, Copy)]
pub(crate) struct Stroke {
    pub(crate) from: Point,
    pub(crate) to: Point,
    pub(crate) radius: f32,
    pub(crate) colour: Colour,
}

/// Strokes, by the cells of a grid that they are seen in.
pub(crate) struct Ink {
    strokes: Vec<Stroke>,
    bounds: [f32; 4],
    side: usize,
    /// Where each cell's strokes begin in `members`, and where the last one's end.
    starts: Vec<u32>,
    members: Vec<u16>,
}

impl Ink {
    pub(crate) fn new(strokes: Vec<Stroke>) -> Self {
        let mut bounds = [f32::MAX, f32::MAX, f32::MIN, f32::MIN];
        for stroke in &strokes {
            for [x, y] in [stroke.from, stroke.to] {
                let r = stroke.radius * 1.5;
                let [x0, y0, x1, y1] = bounds;
                bounds = [x0.min(x - r), y0.min(y - r), x1.max(x + r), y1.max(y + r)];
            }
        }
        let side = match strokes.len() {
            0..8 => 1,
            8..32 => 6,
            32..150 => 14,
            _ => 28,
        };
        let mut ink = Self {
            strokes,
            bounds,
            side,
            starts: Vec::new(),
            members: Vec::new(),
        };
        ink.sort();
        ink
    }

    fn sort(&mut self) {
        let mut cells: Vec<Vec<u16>> = vec![Vec::new(); self.side * self.side];
        for (index, stroke) in (0..u16::MAX).zip(&self.strokes) {
            let margin =
                stroke.radius * 1.5 + 0.15 * (self.bounds[2] - self.bounds[0]) / self.side as f32;
            let low = [0, 1].map(|axis| stroke.from[axis].min(stroke.to[axis]) - margin);
            let high = [0, 1].map(|axis| stroke.from[axis].max(stroke.to[axis]) + margin);
            let [left, top] = self.cell(low);
            let [right, bottom] = self.cell(high);
            for row in top..=bottom {
                for column in left..=right {
                    cells[row * self.side + column].push(index);
                }
            }
        }
        for cell in cells {
            self.starts.push(self.members.len() as u32);
            self.members.extend(cell);
        }
        self.starts.push(self.members.len() as u32);
    }

    fn cell(&self, [x, y]: Point) -> [usize; 2] {
        let [x0, y0, x1, y1] = self.bounds;
        let place = |at: f32, from: f32, to: f32| {
            let cell = floor((at - from) / (to - from).max(1e-9) * self.side as f32);
            cell.clamp(0, self.side as i32 - 1) as usize
        };
        [place(x, x0, x1), place(y, y0, y1)]
    }

    /// What is seen through a pixel of this width over what lies below.
    pub(crate) fn over(&self, at: Point, footprint: f32, below: Colour) -> Colour {
        let [x0, y0, x1, y1] = self.bounds;
        if at[0] < x0 || at[1] < y0 || at[0] > x1 || at[1] > y1 {
            return below;
        }
        let [column, row] = self.cell(at);
        let cell = row * self.side + column;
        let (mut most, mut colour) = (0.0, below);
        for &index in &self.members[self.starts[cell] as usize..self.starts[cell + 1] as usize] {
            let stroke = &self.strokes[index as usize];
            let (_, distance) = to_segment(at, stroke.from, stroke.to);
            // A line that is thinner than the pixel only tints it.
            let thin = (2.0 * stroke.radius / footprint).min(1.0);
            let wide = stroke.radius.max(0.5 * footprint);
            let cover = (0.5 + (wide - distance) / footprint).clamp(0.0, 1.0) * thin;
            if cover > most {
                (most, colour) = (cover, stroke.colour);
            }
        }
        mix(below, colour, most)
    }
}
