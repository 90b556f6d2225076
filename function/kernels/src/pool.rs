//! Pooling.

use std::ops::Range;

use crate::{
    isa::Task,
    map::Map,
    rows::Rows,
    shared::Shared,
    simd::{LANES, Simd},
};

/// The greatest value under a square window of odd side, padded by half of it with minus infinity:
/// `[batch, channels, h, w]` to `[batch, channels, ceil(h / stride), ceil(w / stride)]`.
///
/// # Panics
/// If `kernel` is even or `stride` is 0.
pub fn max_pool(x: &Map, kernel: usize, stride: usize) -> Map {
    let _timed = x
        .context()
        .timed(|| format!("max pool {kernel}x{kernel}"), x.shape(), 0);
    assert!(kernel % 2 == 1, "a window of side {kernel} has no centre");
    assert!(stride > 0, "a window has to move");
    let [batch, channels, height, width] = x.shape();
    let shape = [
        batch,
        channels,
        height.div_ceil(stride),
        width.div_ceil(stride),
    ];
    let mut y = Map::any(x.context(), shape);
    let rows = Rows::of(&y);
    let task = MaxPool {
        x,
        kernel,
        stride,
        output: [shape[2], shape[3]],
        rows,
        y: Shared::new(&mut y.values),
    };
    x.context().isa.run_all(rows.tasks(), &task);
    y
}

struct MaxPool<'a> {
    x: &'a Map,
    kernel: usize,
    stride: usize,
    /// `[height, width]`.
    output: [usize; 2],
    rows: Rows,
    y: Shared<'a, f32>,
}

impl MaxPool<'_> {
    /// The inputs under the window of one output. Never empty: its centre is one.
    #[inline(always)]
    fn window(&self, output: usize, inputs: usize) -> Range<usize> {
        let centre = output * self.stride;
        let reach = self.kernel / 2;
        centre.saturating_sub(reach)..inputs.min(centre + reach + 1)
    }

    /// One row of outputs. `K` is the side of the window, where it is known.
    #[inline(always)]
    fn row<S: Simd, const K: usize>(&self, row: usize) {
        let [_, _, height, width] = self.x.shape();
        let (image, row_of_image) = (row / self.output[0], row % self.output[0]);
        let under = self.window(row_of_image, height);
        let lines = (image * height + under.start) * width * LANES;
        let lines = &self.x.values[lines..][..under.len() * width * LANES];
        let length = self.output[1] * LANES;
        // SAFETY: rows are apart, and each is in one task.
        let y = unsafe { self.y.part(row * length, length) };

        for (column, y) in y.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
            let columns = self.window(column, width);
            let mut greatest = S::splat(f32::NEG_INFINITY);
            for line in lines.chunks_exact(width * LANES) {
                let line = line[columns.start * LANES..].as_ptr();
                // A count that is a constant is a loop less.
                let count = if K > 0 && columns.len() == K {
                    K
                } else {
                    columns.len()
                };
                for pixel in 0..count {
                    // SAFETY: the window is clipped to the map, and so is its count.
                    greatest = S::max(greatest, unsafe { S::load(line.add(pixel * LANES)) });
                }
            }
            // SAFETY: it is a vector long.
            unsafe { S::store(y.as_mut_ptr(), greatest) };
        }
    }
}

impl Task for MaxPool<'_> {
    #[inline(always)]
    fn run<S: Simd>(&self, index: usize) {
        for row in self.rows.of_task(index) {
            match self.kernel {
                1 => self.row::<S, 1>(row),
                3 => self.row::<S, 3>(row),
                _ => self.row::<S, 0>(row),
            }
        }
    }
}

/// The mean of every channel: `[batch, channels, h, w]` to `[batch, channels, 1, 1]`; of no pixels, NaN.
///
/// Sums are compensated (Kahan, "Further remarks on reducing truncation errors", 1965): the error of a
/// mean does not grow with the map, as it would if millions of floats were summed one after the other.
pub fn global_mean(x: &Map) -> Map {
    let _timed = x.context().timed(|| "global mean".to_owned(), x.shape(), 0);
    let [batch, channels, height, width] = x.shape();
    let mut y = Map::any(x.context(), [batch, channels, 1, 1]);
    let pixels = height * width;
    let rows = Rows::new(x.blocks() * batch, pixels * LANES);
    let task = GlobalMean {
        x,
        pixels,
        rows,
        y: Shared::new(&mut y.values),
    };
    x.context().isa.run_all(rows.tasks(), &task);
    y
}

struct GlobalMean<'a> {
    x: &'a Map,
    pixels: usize,
    /// A row is an image of a block.
    rows: Rows,
    y: Shared<'a, f32>,
}

/// Sums that are added to independently, so that an addition need not wait for the one before.
const SUMS: usize = 4;

/// Pixels that are summed without compensation: few, for the error, and enough that it costs little.
const STRETCH: usize = 64;

/// The sum of at most [`STRETCH`] pixels.
#[inline(always)]
fn sum<S: Simd>(pixels: &[[f32; LANES]]) -> S::Floats {
    let mut sums = [S::splat(0.0); SUMS];
    let (groups, rest) = pixels.as_chunks::<SUMS>();
    for group in groups {
        for (sum, pixel) in sums.iter_mut().zip(group) {
            // SAFETY: a pixel is a vector long.
            *sum = S::add(*sum, unsafe { S::load(pixel.as_ptr()) });
        }
    }
    for (sum, pixel) in sums.iter_mut().zip(rest) {
        // SAFETY: as above.
        *sum = S::add(*sum, unsafe { S::load(pixel.as_ptr()) });
    }
    let [a, b, c, d] = sums;
    S::add(S::add(a, b), S::add(c, d))
}

impl Task for GlobalMean<'_> {
    #[inline(always)]
    fn run<S: Simd>(&self, index: usize) {
        let share = S::splat(1.0 / self.pixels as f32);
        for image in self.rows.of_task(index) {
            let length = self.pixels * LANES;
            let pixels = self.x.values[image * length..][..length].as_chunks::<LANES>();
            let (mut total, mut excess) = (S::splat(0.0), S::splat(0.0));
            for stretch in pixels.0.chunks(STRETCH) {
                let addend = S::sub(sum::<S>(stretch), excess);
                let next = S::add(total, addend);
                excess = S::sub(S::sub(next, total), addend);
                total = next;
            }
            // SAFETY: there is one vector an image, and each image is in one task.
            unsafe { S::store(self.y.at(image * LANES), S::mul(total, share)) };
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{global_mean, max_pool};
    use crate::testing::{assert_close, contexts, map, noise};

    fn max_pool_of_planes(
        x: &[f32],
        [planes, height, width]: [usize; 3],
        kernel: usize,
        stride: usize,
    ) -> Vec<f32> {
        let mut y = Vec::new();
        for plane in 0..planes {
            for row in (0..height).step_by(stride) {
                for column in (0..width).step_by(stride) {
                    let mut greatest = f32::NEG_INFINITY;
                    for (i, j) in (0..kernel).flat_map(|i| (0..kernel).map(move |j| (i, j))) {
                        let (i, j) = (row + i, column + j);
                        let reach = kernel / 2;
                        if (reach..height + reach).contains(&i)
                            && (reach..width + reach).contains(&j)
                        {
                            let place = (plane * height + i - reach) * width + j - reach;
                            greatest = greatest.max(x[place]);
                        }
                    }
                    y.push(greatest);
                }
            }
        }
        y
    }

    proptest! {
        #[test]
        fn the_greatest_is_found(
            batch in 0..3_usize, channels in 1..40_usize, height in 0..9_usize, width in 0..9_usize,
            reach in 0..3_usize, stride in 1..4_usize, seed: u32,
        ) {
            let shape = [batch, channels, height, width];
            let kernel = 2 * reach + 1;
            // All below zero, so that padding with zeros would show.
            let x: Vec<_> = noise(shape.iter().product(), seed).iter().map(|v| v - 1.0).collect();
            let expected = max_pool_of_planes(&x, [batch * channels, height, width], kernel, stride);
            for context in contexts() {
                let y = max_pool(&map(&context, &x, shape), kernel, stride);
                let [rows, columns] = [height.div_ceil(stride), width.div_ceil(stride)];
                prop_assert_eq!(y.shape(), [batch, channels, rows, columns]);
                prop_assert_eq!(y.to_planar(), &expected[..]);
            }
        }

        #[test]
        fn means_are_those_of_64_bits(
            batch in 0..3_usize, channels in 1..40_usize, height in 1..40_usize, width in 1..40_usize,
            seed: u32,
        ) {
            let shape = [batch, channels, height, width];
            let x: Vec<_> = noise(shape.iter().product(), seed).iter().map(|v| v + 1.0).collect();
            let expected = means(&x, height * width);
            for context in contexts() {
                let y = global_mean(&map(&context, &x, shape));
                prop_assert_eq!(y.shape(), [batch, channels, 1, 1]);
                assert_close(&y.to_planar(), &expected, 1e-6);
            }
        }
    }

    #[test]
    fn the_mean_of_a_large_map_is_as_precise() {
        let shape = [1, 2, 900, 1000];
        let mut x = noise(shape.iter().product(), 1);
        // One is far from zero, the other cancels.
        x[..900_000].iter_mut().for_each(|v| *v += 100.0);
        let expected = means(&x, 900_000);
        for context in contexts() {
            let y = global_mean(&map(&context, &x, shape)).to_planar();
            assert!((y[0] / expected[0] - 1.0).abs() < 2e-6);
            assert!((y[1] - expected[1]).abs() < 2e-6);
        }
    }

    fn means(x: &[f32], pixels: usize) -> Vec<f32> {
        let sum = |plane: &[f32]| plane.iter().map(|&v| f64::from(v)).sum::<f64>();
        let means = x
            .chunks_exact(pixels)
            .map(|plane| sum(plane) / pixels as f64);
        means.map(|mean| mean as f32).collect()
    }
}
