//! Changing the size of feature maps.

use crate::{
    isa::Task,
    map::Map,
    rows::Rows,
    shared::Shared,
    simd::{LANES, Simd},
};

/// Which points of input and output lie on each other (torch's `align_corners`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Corners {
    /// The centres of the corner pixels: `align_corners=True`.
    Aligned,
    /// The corners of the corner pixels: `align_corners=False`.
    Free,
}

/// Every pixel repeated, or left out: `[batch, channels, h, w]` to `[batch, channels, height, width]`, as
/// torch's `interpolate(mode="nearest")`.
///
/// # Panics
/// If `x` has no pixels.
pub fn nearest(x: &Map, [height, width]: [usize; 2]) -> Map {
    let [batch, channels, rows, columns] = x.shape();
    assert!(rows > 0 && columns > 0, "nothing to repeat");
    let shape = [batch, channels, height, width];
    let _timed = x.context().timed(|| "nearest".to_owned(), shape, 0);
    let mut y = Map::any(x.context(), shape);
    let task_rows = Rows::of(&y);
    let task = Nearest {
        x,
        sources: [sources(rows, height), sources(columns, width)],
        rows: task_rows,
        y: Shared::new(&mut y.values),
    };
    x.context().isa.run_all(task_rows.tasks(), &task);
    y
}

/// `nearest_neighbor_compute_source_index` of ATen's `UpSample.h`, for every output along an axis.
fn sources(inputs: usize, outputs: usize) -> Vec<usize> {
    let scale = inputs as f32 / outputs as f32;
    (0..outputs)
        .map(|output| ((output as f32 * scale) as usize).min(inputs - 1))
        .collect()
}

struct Nearest<'a> {
    x: &'a Map,
    /// The input of every row and of every column.
    sources: [Vec<usize>; 2],
    rows: Rows,
    y: Shared<'a, f32>,
}

impl Task for Nearest<'_> {
    #[inline(always)]
    fn run<S: Simd>(&self, index: usize) {
        let [_, _, height, width] = self.x.shape();
        let [rows, columns] = &self.sources;
        for row in self.rows.of_task(index) {
            let (image, source) = (row / rows.len(), rows[row % rows.len()]);
            let line = (image * height + source) * width * LANES;
            let line = self.x.values[line..][..width * LANES].as_ptr();
            let length = columns.len() * LANES;
            // SAFETY: rows are apart, and each is in one task.
            let y = unsafe { self.y.part(row * length, length) };
            for (y, &source) in y.as_chunks_mut::<LANES>().0.iter_mut().zip(columns) {
                // SAFETY: a source is less than the width, and a pixel a vector long.
                unsafe { S::store(y.as_mut_ptr(), S::load(line.add(source * LANES))) };
            }
        }
    }
}

/// Interpolated between the four nearest pixels: `[batch, channels, h, w]` to
/// `[batch, channels, height, width]`, as torch's `interpolate(mode="bilinear", align_corners=False)`.
///
/// # Panics
/// If `x` has no pixels.
pub fn bilinear(x: &Map, [height, width]: [usize; 2]) -> Map {
    let [batch, channels, rows, columns] = x.shape();
    assert!(rows > 0 && columns > 0, "nothing to interpolate");
    let shape = [batch, channels, height, width];
    let _timed = x.context().timed(|| "bilinear".to_owned(), shape, 0);
    let mut y = Map::any(x.context(), shape);
    let task_rows = Rows::of(&y);
    let task = Bilinear {
        x,
        taps: [
            taps(rows, height, Corners::Free),
            taps(columns, width, Corners::Free),
        ],
        rows: task_rows,
        y: Shared::new(&mut y.values),
    };
    x.context().isa.run_all(task_rows.tasks(), &task);
    y
}

/// The two inputs that make one output.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tap {
    /// The first input.
    pub(crate) low: usize,
    /// The second, which is the first again at the end.
    pub(crate) high: usize,
    /// The weight of the second, 0..=1; the first has the rest.
    pub(crate) weight: f32,
}

impl Tap {
    /// Both by their weights.
    #[inline(always)]
    pub(crate) fn blend<S: Simd>(&self, low: S::Floats, high: S::Floats) -> S::Floats {
        let low = S::mul(S::splat(1.0 - self.weight), low);
        S::mul_add(S::splat(self.weight), high, low)
    }
}

/// `area_pixel_compute_source_index` of ATen's `UpSample.h`, for every output along an axis of `inputs`,
/// at least 1.
pub(crate) fn taps(inputs: usize, outputs: usize, corners: Corners) -> Vec<Tap> {
    let last = inputs - 1;
    let scale = match corners {
        Corners::Aligned if outputs > 1 => last as f32 / (outputs - 1) as f32,
        Corners::Aligned => 0.0,
        Corners::Free => inputs as f32 / outputs as f32,
    };
    (0..outputs)
        .map(|output| {
            let source = match corners {
                Corners::Aligned => output as f32 * scale,
                Corners::Free => ((output as f32 + 0.5) * scale - 0.5).max(0.0),
            };
            let low = (source as usize).min(last);
            Tap {
                low,
                high: (low + 1).min(last),
                weight: (source - low as f32).clamp(0.0, 1.0),
            }
        })
        .collect()
}

struct Bilinear<'a> {
    x: &'a Map,
    /// Of every row and of every column.
    taps: [Vec<Tap>; 2],
    rows: Rows,
    y: Shared<'a, f32>,
}

impl Task for Bilinear<'_> {
    #[inline(always)]
    fn run<S: Simd>(&self, index: usize) {
        let [_, _, height, width] = self.x.shape();
        let [rows, columns] = &self.taps;
        for row in self.rows.of_task(index) {
            let (image, between) = (row / rows.len(), &rows[row % rows.len()]);
            let line = |source: usize| {
                let line = (image * height + source) * width * LANES;
                self.x.values[line..][..width * LANES].as_ptr()
            };
            let (above, below) = (line(between.low), line(between.high));
            let length = columns.len() * LANES;
            // SAFETY: rows are apart, and each is in one task.
            let y = unsafe { self.y.part(row * length, length) };
            for (y, tap) in y.as_chunks_mut::<LANES>().0.iter_mut().zip(columns) {
                let (left, right) = (tap.low * LANES, tap.high * LANES);
                // SAFETY: both inputs of a tap are less than the width, and a pixel is a vector long.
                unsafe {
                    let above = tap.blend::<S>(S::load(above.add(left)), S::load(above.add(right)));
                    let below = tap.blend::<S>(S::load(below.add(left)), S::load(below.add(right)));
                    S::store(y.as_mut_ptr(), between.blend::<S>(above, below));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Corners, bilinear, nearest, sources, taps};
    use crate::testing::{assert_close, contexts, map, noise};

    /// Every plane by a function of the plane, a row and a column.
    fn by_plane(
        x: &[f32],
        pixels: usize,
        [height, width]: [usize; 2],
        of: impl Fn(&[f32], usize, usize) -> f32,
    ) -> Vec<f32> {
        let mut y = Vec::new();
        for plane in x.chunks_exact(pixels) {
            for row in 0..height {
                y.extend((0..width).map(|column| of(plane, row, column)));
            }
        }
        y
    }

    /// The interpolated value at a place of 64 bits.
    fn between(plane: &[f32], [rows, columns]: [usize; 2], [row, column]: [f64; 2]) -> f32 {
        let at =
            |i: usize, j: usize| f64::from(plane[i.min(rows - 1) * columns + j.min(columns - 1)]);
        let (i, j) = (row as usize, column as usize);
        let (down, right) = (row - i as f64, column - j as f64);
        let along = |i: usize| at(i, j) * (1.0 - right) + at(i, j + 1) * right;
        (along(i) * (1.0 - down) + along(i + 1) * down) as f32
    }

    proptest! {
        #[test]
        fn sizes_change(
            batch in 0..3_usize, channels in 1..40_usize, rows in 1..9_usize, columns in 1..9_usize,
            height in 0..20_usize, width in 0..20_usize, seed: u32,
        ) {
            let shape = [batch, channels, rows, columns];
            let x = noise(shape.iter().product(), seed);
            let size = [height, width];
            let repeated = by_plane(&x, rows * columns, size, |plane, row, column| {
                plane[row * rows / height * columns + column * columns / width]
            });
            let source = |output: usize, inputs: usize, outputs: usize| {
                ((output as f64 + 0.5) * inputs as f64 / outputs as f64 - 0.5).max(0.0)
            };
            let interpolated = by_plane(&x, rows * columns, size, |plane, row, column| {
                let place = [source(row, rows, height), source(column, columns, width)];
                between(plane, [rows, columns], place)
            });
            for context in contexts() {
                let x = map(&context, &x, shape);
                let y = nearest(&x, size);
                prop_assert_eq!(y.shape(), [batch, channels, height, width]);
                prop_assert_eq!(y.to_planar(), &repeated[..]);
                let y = bilinear(&x, size);
                prop_assert_eq!(y.shape(), [batch, channels, height, width]);
                assert_close(&y.to_planar(), &interpolated, 4e-6);
            }
        }
    }

    #[test]
    fn sources_round_as_torchs() {
        for (inputs, outputs) in [(7, 14), (25, 50), (13, 13), (39, 13), (50, 25)] {
            for (output, source) in sources(inputs, outputs).into_iter().enumerate() {
                assert_eq!(source, output * inputs / outputs);
            }
        }
        // In 32 bits, 41 * (2 / 82) is a little less than 1.
        assert_eq!(sources(2, 82)[40..43], [0, 0, 1]);
    }

    #[test]
    fn taps_meet_the_corners() {
        for (inputs, outputs) in [(5, 13), (13, 5), (1, 4), (4, 1), (65, 513)] {
            let aligned = taps(inputs, outputs, Corners::Aligned);
            assert_eq!((aligned[0].low, aligned[0].weight), (0, 0.0));
            let end = aligned[outputs - 1];
            let end = end.low as f32 + end.weight;
            let last = if outputs > 1 { inputs - 1 } else { 0 };
            assert!((end - last as f32).abs() < 1e-4);
            for tap in aligned
                .into_iter()
                .chain(taps(inputs, outputs, Corners::Free))
            {
                assert!(tap.low <= tap.high && tap.high < inputs);
                assert!((0.0..=1.0).contains(&tap.weight));
            }
        }
    }
}
