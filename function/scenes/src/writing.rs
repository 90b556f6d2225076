//! What people write and draw on paper, within a square about the origin whose half side is given.

use crate::{
    ink::Stroke,
    letters,
    maths::{Colour, Point, TAU, cos, grey, hsv, polar, sin},
    random::Random,
    scene::Family,
};

/// Somebody's way to write.
#[derive(Clone, Copy)]
pub(crate) struct Hand {
    style: Style,
    slant: f32,
    jitter: f32,
    /// A letter's width by its height.
    narrow: f32,
    /// A stroke's radius by a letter's height.
    weight: f32,
    capitals: bool,
    pub(crate) colour: Colour,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    /// Letters one by one.
    Print,
    /// Corners that only look like letters.
    Scrawl,
    /// Loops in one line.
    Loops,
    /// Uprights and bows in one line.
    Joined,
}

/// A family's ways to write.
fn styles(family: Family) -> &'static [Style] {
    match family {
        Family::Training => &[Style::Print, Style::Print, Style::Print, Style::Scrawl],
        Family::HeldOut => &[Style::Loops, Style::Joined],
    }
}

impl Hand {
    pub(crate) fn random(random: &mut Random, family: Family) -> Self {
        let style = random.pick(styles(family));
        let colour = match random.count(0, 9) {
            0..6 => grey(random.range(0.05, 0.3)),
            6..8 => hsv(
                random.range(0.58, 0.66),
                random.range(0.5, 0.9),
                random.range(0.3, 0.65),
            ),
            8 => hsv(random.range(0.97, 1.03), 0.85, random.range(0.5, 0.85)),
            _ => hsv(
                random.unit(),
                random.range(0.5, 1.0),
                random.range(0.2, 0.6),
            ),
        };
        Self {
            style,
            slant: random.bell() * 0.3,
            jitter: random.range(0.3, 1.0),
            narrow: random.range(0.4, 0.75),
            weight: random.log_range(0.035, 0.13),
            capitals: random.chance(0.45),
            colour,
        }
    }

    /// Set by a machine.
    pub(crate) fn print(random: &mut Random, colour: Colour) -> Self {
        Self {
            style: Style::Print,
            slant: 0.0,
            jitter: 0.0,
            narrow: random.range(0.5, 0.65),
            weight: random.range(0.05, 0.1),
            capitals: random.chance(0.5),
            colour,
        }
    }

    /// Neat capitals of a fat pen.
    pub(crate) fn marker(random: &mut Random) -> Self {
        Self {
            jitter: 0.35,
            slant: 0.06,
            narrow: 0.56,
            capitals: true,
            ..Self::print(random, grey(0.13)).fat(0.065)
        }
    }

    pub(crate) fn fat(self, weight: f32) -> Self {
        Self { weight, ..self }
    }

    /// A word of so many letters, of a language that nobody speaks, from the left end of its top line; answers how
    /// wide it is.
    pub(crate) fn word(
        &self,
        random: &mut Random,
        at: Point,
        height: f32,
        letters: usize,
        to: &mut Vec<Stroke>,
    ) -> f32 {
        let word: Vec<char> = (0..letters)
            .map(|letter| {
                let capital = self.capitals || letter == 0 && random.chance(0.4);
                self.letter(random, capital)
            })
            .collect();
        self.write(random, at, height, &word, to)
    }

    /// These letters from the left end of their top line; answers how wide they are.
    pub(crate) fn write(
        &self,
        random: &mut Random,
        at: Point,
        height: f32,
        word: &[char],
        to: &mut Vec<Stroke>,
    ) -> f32 {
        let letters = word.len();
        let step = height * (self.narrow + 0.22);
        let mut pen = |from: Point, to_: Point| {
            let place = |[x, y]: Point| {
                [
                    at[0] + x * height + self.slant * (1.0 - y) * height,
                    at[1] + y * height,
                ]
            };
            to.push(Stroke {
                from: place(from),
                to: place(to_),
                radius: self.weight * height,
                colour: self.colour,
            });
        };
        match self.style {
            Style::Print => {
                for (letter, &glyph) in word.iter().enumerate() {
                    let rise = random.bell() * self.jitter * 0.15;
                    let x = letter as f32 * step / height;
                    for line in letters::lines(glyph) {
                        let mut last = None;
                        for [gx, gy] in line {
                            let [dx, dy] = [
                                random.bell() * self.jitter * 0.09,
                                random.bell() * self.jitter * 0.12,
                            ];
                            let point = [x + (gx / 4.0 + dx) * self.narrow, gy / 6.0 + dy + rise];
                            if let Some(last) = last {
                                pen(last, point);
                            }
                            last = Some(point);
                        }
                    }
                }
            }
            Style::Scrawl => {
                let mut last = [0.0, random.range(0.4, 1.0)];
                for corner in 1..=letters * 2 {
                    let high = if random.chance(0.2) {
                        random.range(-0.1, 0.3)
                    } else {
                        random.range(0.4, 0.6)
                    };
                    let y = if corner % 2 == 0 {
                        random.range(0.9, 1.05)
                    } else {
                        high
                    };
                    let next = [corner as f32 * 0.5 * step / height, y];
                    pen(last, next);
                    last = next;
                }
            }
            Style::Loops | Style::Joined => {
                let loops = if self.style == Style::Loops {
                    0.55
                } else {
                    -0.12
                };
                let mut last = [0.0, 0.9];
                for letter in 0..letters {
                    let most = if random.chance(0.25) { 1.0 } else { 0.6 };
                    let tall = random.range(0.35, most);
                    for part in 1..=7 {
                        let t = part as f32 / 7.0;
                        let swing = loops * self.narrow * sin(t * TAU);
                        let x = (letter as f32 + t) * step / height - swing;
                        let next = [x, 1.0 - tall * (0.5 - 0.5 * cos(t * TAU))];
                        pen(last, next);
                        last = next;
                    }
                }
            }
        }
        letters as f32 * step
    }

    fn letter(&self, random: &mut Random, capital: bool) -> char {
        let often = b"eeeeaaaiiooutttnnnrrssddllhhccmmppgbkfvwyzjxq";
        let letter = char::from(random.pick(often));
        match random.count(0, 30) {
            0 => random.pick(&['1', '2', '3', '5', '8', '0', '4', '7', '?', '!', '+']),
            _ if capital => letter.to_ascii_uppercase(),
            _ => letter,
        }
    }

    /// Lines of words within `x0, y0, x1, y1`.
    pub(crate) fn lines(
        &self,
        random: &mut Random,
        [x0, y0, x1, y1]: [f32; 4],
        lines: usize,
        to: &mut Vec<Stroke>,
    ) {
        let pitch = (y1 - y0) / lines as f32;
        let height = pitch * random.range(0.5, 0.68);
        let centred = random.chance(0.4);
        for line in 0..lines {
            let start = to.len();
            let step = height * (self.narrow + 0.22);
            let y = y0 + (line as f32 + 0.2 + random.bell() * 0.08 * self.jitter) * pitch;
            let mut x = x0;
            let end = x1
                - if line + 1 == lines {
                    random.range(0.0, 0.6) * (x1 - x0)
                } else {
                    0.0
                };
            loop {
                let fit = ((end - x) / step) as usize;
                if fit == 0 || (fit < 2 && x > x0) {
                    break;
                }
                let letters = random.count(2, 8).min(fit);
                x += self.word(random, [x, y], height, letters, to) + 0.6 * step;
            }
            if centred {
                let shift = 0.5 * (x1 - x + 0.6 * step).max(0.0);
                for stroke in &mut to[start..] {
                    stroke.from[0] += shift;
                    stroke.to[0] += shift;
                }
            }
        }
    }

    fn curve(&self, points: impl Iterator<Item = Point>, radius: f32, to: &mut Vec<Stroke>) {
        let mut last = None;
        for point in points {
            if let Some(from) = last {
                to.push(Stroke {
                    from,
                    to: point,
                    radius,
                    colour: self.colour,
                });
            }
            last = Some(point);
        }
    }

    /// A little drawing in the circle of this radius.
    pub(crate) fn doodle(&self, random: &mut Random, [x, y]: Point, r: f32, to: &mut Vec<Stroke>) {
        let pen = r * random.range(0.04, 0.09);
        let ring = |cx: f32, cy: f32, radius: f32, from: f32, until: f32| {
            (0..=14).map(move |part| {
                let [px, py] = polar(from + (until - from) * part as f32 / 14.0);
                [x + (cx + px * radius) * r, y + (cy + py * radius) * r]
            })
        };
        let at = move |points: Vec<Point>| {
            points
                .into_iter()
                .map(move |[px, py]| [x + px * r, y + py * r])
        };
        match random.count(0, 8) {
            0 => {
                self.curve(ring(0.0, 0.0, 0.9, 0.1, 6.5), pen, to);
                self.curve(ring(0.0, 0.1, 0.5, 0.4, 2.7), pen, to);
                self.curve(at(vec![[-0.3, -0.3], [-0.3, -0.2]]), pen * 1.5, to);
                self.curve(at(vec![[0.3, -0.3], [0.3, -0.2]]), pen * 1.5, to);
            }
            1 => {
                self.curve(at(vec![[-0.9, 0.1], [0.9, -0.1]]), pen, to);
                self.curve(at(vec![[0.5, -0.5], [0.9, -0.1], [0.6, 0.3]]), pen, to);
            }
            2 => self.curve(
                at(vec![[-0.7, 0.0], [-0.2, 0.6], [0.8, -0.7]]),
                pen * 1.4,
                to,
            ),
            3 => {
                let points = (0..=5)
                    .map(|corner| polar(corner as f32 * 2.0 * TAU / 5.0 - TAU / 4.0))
                    .collect();
                self.curve(at(points), pen, to);
            }
            4 => {
                self.curve(at(vec![[-0.8, -0.8], [-0.8, 0.8], [0.9, 0.8]]), pen, to);
                self.curve(
                    at(vec![[-0.6, 0.5], [-0.2, 0.1], [0.1, 0.3], [0.8, -0.6]]),
                    pen,
                    to,
                );
            }
            5 => {
                self.curve(ring(0.0, -0.6, 0.25, 0.0, 6.4), pen, to);
                self.curve(at(vec![[0.0, -0.35], [0.0, 0.3], [-0.4, 0.9]]), pen, to);
                self.curve(at(vec![[0.0, 0.3], [0.4, 0.9]]), pen, to);
                self.curve(at(vec![[-0.5, -0.1], [0.5, -0.1]]), pen, to);
            }
            6 => {
                let square = vec![
                    [-0.8, -0.6],
                    [0.8, -0.6],
                    [0.8, 0.6],
                    [-0.8, 0.6],
                    [-0.8, -0.6],
                ];
                self.curve(at(square), pen, to);
                self.curve(at(vec![[-0.8, -0.6], [0.0, -1.0], [0.8, -0.6]]), pen, to);
            }
            7 => {
                self.curve(at(vec![[-0.7, -0.7], [0.7, 0.7]]), pen * 1.5, to);
                self.curve(at(vec![[0.7, -0.7], [-0.7, 0.7]]), pen * 1.5, to);
            }
            _ => {
                self.curve(ring(-0.3, -0.2, 0.35, 2.6, 6.0), pen, to);
                self.curve(ring(0.3, -0.2, 0.35, 3.4, 6.8), pen, to);
                self.curve(
                    at(vec![[-0.62, -0.05], [0.0, 0.75], [0.62, -0.05]]),
                    pen,
                    to,
                );
            }
        }
    }

    /// One word to a line, as large as fits.
    pub(crate) fn sign(
        &self,
        random: &mut Random,
        [w, h]: Point,
        text: &str,
        to: &mut Vec<Stroke>,
    ) {
        let words: Vec<Vec<char>> = text.split(' ').map(|word| word.chars().collect()).collect();
        let longest = words.iter().map(Vec::len).max().unwrap_or(1) as f32;
        let pitch = 2.0 * h / words.len() as f32;
        let step = self.narrow + 0.22;
        let high = (2.0 * w / (longest * step)).min(0.62 * pitch);
        for (line, word) in words.iter().enumerate() {
            let x = -0.5 * high * (step * word.len() as f32 - 0.22);
            let y = -h + (line as f32 + 0.5) * pitch - 0.5 * high;
            self.write(random, [x, y], high, word, to);
        }
    }

    /// A page about the origin; `detail` is its side in pixels, below which letters would be lost.
    pub(crate) fn page(
        &self,
        random: &mut Random,
        [w, h]: Point,
        detail: f32,
        to: &mut Vec<Stroke>,
    ) {
        let area = [-w, -h, w, h];
        let most = (detail / 9.0).clamp(1.0, 6.0) as usize;
        match random.count(0, 9) {
            0..4 => {
                let lines = random.count(1, most);
                self.lines(random, area, lines, to);
            }
            4..6 => {
                // One word or two with a fat pen.
                let hand = self.fat(random.range(0.06, 0.12));
                let letters = random.count(2, 6);
                let high = (2.0 * w / (letters as f32 * (self.narrow + 0.22))).min(0.8 * h);
                let lines = random.count(1, 2);
                for line in 0..lines {
                    let y = (line as f32 - 0.5 * lines as f32) * high * 1.4 + 0.2 * high;
                    hand.word(random, [-w, y], high, letters, to);
                }
            }
            6..8 if detail > 30.0 => {
                let lines = random.count(2, most.max(2));
                let pitch = 2.0 * h / lines as f32;
                for line in 0..lines {
                    let y = -h + (line as f32 + 0.5) * pitch;
                    let dot = [-w + 0.03, y];
                    to.push(Stroke {
                        from: dot,
                        to: dot,
                        radius: 0.1 * pitch,
                        colour: self.colour,
                    });
                    let row = [-w + 0.15 * w + 0.06, y - 0.45 * pitch, w, y + 0.45 * pitch];
                    self.lines(random, row, 1, to);
                }
            }
            8 => {
                self.doodle(random, [0.0, 0.15 * h], 0.75 * w.min(h), to);
            }
            _ => {
                self.doodle(random, [0.0, 0.3 * h], 0.5 * w.min(h), to);
                self.lines(random, [-w, -h, w, -0.3 * h], 1, to);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_write_differently() {
        let training = styles(Family::Training);
        assert!(
            styles(Family::HeldOut)
                .iter()
                .all(|style| !training.contains(style))
        );
    }
}
