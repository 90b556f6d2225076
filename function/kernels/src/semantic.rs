//! From coarse logits to the class of every pixel.

use crate::{
    arena::Buffer,
    isa::Task,
    map::Map,
    resize::{Corners, Tap, taps},
    shared::Shared,
    simd::{LANES, Simd},
};

/// Enlarges logits bilinearly and takes the most probable class of every pixel, the first of equals, with
/// its softmax probability.
///
/// `logits` are `[1, classes, rows, columns]`. Both results are `[height, width]`: classes, and
/// probabilities 0..=1, or NaN where a logit is. The enlarged logits never exist as a whole.
///
/// # Panics
/// If `logits` are of another batch than 1, have no pixels or no class, or more than 256 of them.
pub fn argmax_softmax(
    logits: &Map,
    [height, width]: [usize; 2],
    corners: Corners,
) -> (Vec<u8>, Vec<f32>) {
    let [batch, classes, rows, columns] = logits.shape();
    assert_eq!(batch, 1, "batch of logits");
    assert!((1..=256).contains(&classes), "{classes} classes");
    assert!(rows > 0 && columns > 0, "nothing to enlarge");
    let shape = [1, classes, height, width];
    let _timed = logits.context().timed(|| "classes".to_owned(), shape, 0);
    let mut ids = vec![0; height * width];
    let mut confidence = vec![0.0; height * width];
    let task = Argmax {
        logits,
        taps: [taps(rows, height, corners), taps(columns, width, corners)],
        ids: Shared::new(&mut ids),
        confidence: Shared::new(&mut confidence),
    };
    let tasks = if width > 0 { height.div_ceil(ROWS) } else { 0 };
    logits.context().isa.run_all(tasks, &task);
    (ids, confidence)
}

/// Rows of a task: a few times as many as usually lie between two rows of logits, which are enlarged once
/// in each task.
const ROWS: usize = 32;

struct Argmax<'a> {
    logits: &'a Map,
    /// Of every row and of every column.
    taps: [Vec<Tap>; 2],
    ids: Shared<'a, u8>,
    confidence: Shared<'a, f32>,
}

/// A row of logits, enlarged along its columns: `[classes, width]`, the width rounded up to vectors.
struct Line {
    /// None before the first.
    row: Option<usize>,
    values: Buffer<f32>,
}

impl Task for Argmax<'_> {
    #[inline(always)]
    fn run<S: Simd>(&self, index: usize) {
        let [_, classes, ..] = self.logits.shape();
        let [rows, columns] = &self.taps;
        let width = columns.len();
        let stride = width.next_multiple_of(LANES);
        let line = || Line {
            row: None,
            values: self.logits.context().arena.take(classes * stride),
        };
        let (mut low, mut high) = (line(), line());

        let first = index * ROWS;
        for (row, tap) in rows.iter().enumerate().skip(first).take(ROWS) {
            if low.row != Some(tap.low) && high.row == Some(tap.low) {
                std::mem::swap(&mut low, &mut high);
            }
            self.enlarge::<S>(tap.low, stride, &mut low);
            self.enlarge::<S>(tap.high, stride, &mut high);
            // SAFETY: rows are apart, and each is in one task.
            let (ids, confidence) = unsafe {
                let start = row * width;
                (
                    self.ids.part(start, width),
                    self.confidence.part(start, width),
                )
            };
            let pixels = ids.chunks_mut(LANES).zip(confidence.chunks_mut(LANES));
            for (index, (ids, confidence)) in pixels.enumerate() {
                let start = index * LANES;
                let logits = Between {
                    tap,
                    lines: [&low.values[start..], &high.values[start..]],
                    stride,
                };
                let (best, probability) = logits.most_probable::<S>(classes);
                ids.copy_from_slice(&best[..ids.len()]);
                confidence.copy_from_slice(&probability[..confidence.len()]);
            }
        }
    }
}

impl Argmax<'_> {
    /// Makes a line be of a row, if it is not.
    #[inline(always)]
    fn enlarge<S: Simd>(&self, row: usize, stride: usize, line: &mut Line) {
        if line.row == Some(row) {
            return;
        }
        line.row = Some(row);
        let [_, classes, rows, columns] = self.logits.shape();
        let blocks = line.values.chunks_mut(LANES * stride);
        for (block, planes) in blocks.enumerate() {
            let pixels = (block * rows + row) * columns * LANES;
            let pixels = self.logits.values[pixels..][..columns * LANES]
                .as_chunks()
                .0;
            let classes = LANES.min(classes - block * LANES);
            for (column, tap) in self.taps[1].iter().enumerate() {
                let (low, high): (&[f32; LANES], &[f32; LANES]) =
                    (&pixels[tap.low], &pixels[tap.high]);
                let mut between = [0.0; LANES];
                // SAFETY: all three are a vector long.
                unsafe {
                    let value = tap.blend::<S>(S::load(low.as_ptr()), S::load(high.as_ptr()));
                    S::store(between.as_mut_ptr(), value);
                }
                let places = planes[column..].iter_mut().step_by(stride);
                places
                    .zip(&between[..classes])
                    .for_each(|(to, logit)| *to = *logit);
            }
        }
    }
}

/// The logits of a vector of pixels between two lines.
struct Between<'a> {
    tap: &'a Tap,
    /// From the first pixel on.
    lines: [&'a [f32]; 2],
    /// From a class to the next, in floats.
    stride: usize,
}

impl Between<'_> {
    /// Of one class.
    #[inline(always)]
    fn of<S: Simd>(&self, class: usize) -> S::Floats {
        let start = class * self.stride;
        let [low, high] = self.lines;
        let (low, high) = (&low[start..][..LANES], &high[start..][..LANES]);
        // SAFETY: both are a vector long.
        unsafe {
            self.tap
                .blend::<S>(S::load(low.as_ptr()), S::load(high.as_ptr()))
        }
    }

    /// The classes of the greatest, and their probabilities.
    #[inline(always)]
    fn most_probable<S: Simd>(&self, classes: usize) -> ([u8; LANES], [f32; LANES]) {
        let mut greatest = S::splat(f32::NEG_INFINITY);
        let mut best = S::splat(0.0);
        for class in 0..classes {
            let logits = self.of::<S>(class);
            best = S::if_greater(logits, greatest, S::splat(class as f32), best);
            greatest = S::if_greater(logits, greatest, logits, greatest);
        }
        let mut sums = S::splat(0.0);
        for class in 0..classes {
            sums = S::add(sums, exp::<S>(S::sub(self.of::<S>(class), greatest)));
        }
        let (mut classes, mut probabilities) = ([0.0; LANES], [0.0; LANES]);
        // SAFETY: both are a vector long.
        unsafe {
            S::store(classes.as_mut_ptr(), best);
            S::store(probabilities.as_mut_ptr(), sums);
        }
        (
            classes.map(|class: f32| class as u8),
            probabilities.map(|sum: f32| 1.0 / sum),
        )
    }
}

/// `e` to the power of numbers not above 0, to 2e-7 relative; below -87, as of -87, which is nearly nothing.
///
/// As in Moshier's Cephes (`expf.c`): `exp(x) = 2^n * exp(r)` with `n` the whole number nearest to
/// `x / ln 2`, and a polynomial for `exp(r)`.
#[inline(always)]
fn exp<S: Simd>(x: S::Floats) -> S::Floats {
    /// `ln 2` in two parts, of which the first is exact in few bits: `n` times it is exact, too.
    const LN_2: [f32; 2] = [355.0 / 512.0, -2.121_944_4e-4];
    /// Of the square of `r` upwards, the last coefficient first.
    const COEFFICIENTS: [f32; 6] = [
        1.987_569_1e-4,
        1.398_199_9e-3,
        8.333_452e-3,
        4.166_579_6e-2,
        1.666_666_5e-1,
        0.5,
    ];
    /// Added to a small number, leaves no bits for a fraction.
    const WHOLE: f32 = 12_582_912.0;

    // In this order, NaN stays NaN.
    let x = S::max(S::splat(-87.0), x);
    let shifted = S::mul_add(x, S::splat(std::f32::consts::LOG2_E), S::splat(WHOLE));
    let n = S::sub(shifted, S::splat(WHOLE));
    let r = S::neg_mul_add(n, S::splat(LN_2[0]), x);
    let r = S::neg_mul_add(n, S::splat(LN_2[1]), r);
    let mut polynomial = S::splat(0.0);
    for coefficient in COEFFICIENTS {
        polynomial = S::mul_add(polynomial, r, S::splat(coefficient));
    }
    let of_r = S::mul_add(S::mul(r, r), polynomial, S::add(r, S::splat(1.0)));
    S::mul_power(of_r, n)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{argmax_softmax, exp};
    use crate::{
        isa::{Isa, Task},
        resize::{Corners, Tap, taps},
        shared::Shared,
        simd::{LANES, Simd},
        testing::{contexts, map, noise},
    };

    proptest! {
        #[test]
        fn the_most_probable_class_wins(
            classes in 1..70_usize, rows in 1..7_usize, columns in 1..7_usize,
            height in 0..20_usize, width in 0..20_usize, aligned: bool, seed: u32,
        ) {
            let corners = if aligned { Corners::Aligned } else { Corners::Free };
            let shape = [1, classes, rows, columns];
            let logits: Vec<_> =
                noise(shape.iter().product(), seed).iter().map(|v| 20.0 * v).collect();
            let blend = |tap: &Tap, low: f64, high: f64| {
                (1.0 - f64::from(tap.weight)) * low + f64::from(tap.weight) * high
            };
            let mut expected = Vec::new();
            for row in taps(rows, height, corners) {
                for column in taps(columns, width, corners) {
                    let pixel: Vec<_> = logits.chunks_exact(rows * columns).map(|plane| {
                        let at = |i: usize, j: usize| f64::from(plane[i * columns + j]);
                        let along =
                            |i: usize| blend(&column, at(i, column.low), at(i, column.high));
                        blend(&row, along(row.low), along(row.high))
                    }).collect();
                    let sum: f64 = pixel.iter().map(|v| v.exp()).sum();
                    expected.push(pixel.into_iter().map(|v| v.exp() / sum).collect::<Vec<_>>());
                }
            }
            for context in contexts() {
                let (ids, confidence) =
                    argmax_softmax(&map(&context, &logits, shape), [height, width], corners);
                prop_assert_eq!([ids.len(), confidence.len()], [height * width; 2]);
                for ((&id, confidence), expected) in ids.iter().zip(confidence).zip(&expected) {
                    let greatest = expected.iter().copied().fold(0.0, f64::max);
                    // One of those that rounding cannot tell apart.
                    prop_assert!(expected[usize::from(id)] > greatest * (1.0 - 1e-4));
                    prop_assert!((f64::from(confidence) - greatest).abs() < 1e-5);
                }
            }
        }
    }

    #[test]
    fn the_first_of_equals_wins() {
        // Two classes on a grid of one row: class 1 grows to the right, from -1 to 1 over 5 pixels.
        let logits = [0.0, 0.0, -1.0, 1.0];
        for context in contexts() {
            let logits = map(&context, &logits, [1, 2, 1, 2]);
            let (ids, confidence) = argmax_softmax(&logits, [2, 5], Corners::Aligned);
            // In the middle both are 0.
            assert_eq!(ids, [0, 0, 0, 1, 1, 0, 0, 0, 1, 1]);
            let expected = 1.0 / (1.0 + (-1.0_f32).exp());
            assert!((confidence[0] - expected).abs() < 1e-6);
            assert!((confidence[2] - 0.5).abs() < 1e-6);
        }
    }

    #[test]
    fn no_number_is_never_greatest() {
        for context in contexts() {
            for (logits, expected) in [
                ([f32::NAN; 3], 0),
                ([f32::NEG_INFINITY; 3], 0),
                ([f32::NAN, -1.0, 1.0], 2),
            ] {
                let logits = map(&context, &logits, [1, 3, 1, 1]);
                let (ids, confidence) = argmax_softmax(&logits, [1, 1], Corners::Free);
                assert_eq!(ids, [expected]);
                assert!(confidence[0].is_nan());
            }
        }
    }

    struct Exp<'a> {
        x: &'a [f32],
        y: Shared<'a, f32>,
    }

    impl Task for Exp<'_> {
        #[inline(always)]
        fn run<S: Simd>(&self, index: usize) {
            let x = self.x[index * LANES..][..LANES].as_ptr();
            // SAFETY: there is a vector for each index.
            unsafe { S::store(self.y.at(index * LANES), exp::<S>(S::load(x))) };
        }
    }

    #[test]
    fn powers_are_those_of_64_bits() {
        let x: Vec<f32> = (0..88 * 1600).map(|i| -(i as f32) / 1600.0).collect();
        for isa in Isa::available() {
            let mut y = vec![0.0; x.len()];
            isa.run_all(
                x.len() / LANES,
                &Exp {
                    x: &x,
                    y: Shared::new(&mut y),
                },
            );
            for (x, y) in x.iter().zip(y) {
                let expected = f64::from(x.max(-87.0)).exp();
                assert!((f64::from(y) / expected - 1.0).abs() < 2e-7, "{isa} {x}");
            }
        }
    }
}
