//! What Muon makes of the gradients of kernels.

use super::{Amx, Convolution};
use crate::{Activation, Context, Geometry, simd::LANES};

/// Of the polynomial `a x + b x³ + c x⁵` that is applied so many times to singular values of at most 1: all but the very
/// small ones are between 0.65 and 1.25 then (Jordan, "Muon: An optimizer for hidden layers in neural networks", 2024).
const COEFFICIENTS: [f32; 3] = [3.4445, -4.7750, 2.0315];
const TIMES: usize = 5;

/// A matrix of `[rows, columns]`, row by row, with the singular vectors of this one, and singular values near 1. Zeros stay
/// zeros. With [`Amx`], products are of numbers of 16 bits, as Muon's own are.
///
/// # Panics
/// If a length is another.
pub fn orthogonal(
    context: &Context,
    amx: Option<Amx>,
    matrix: &[f32],
    [rows, columns]: [usize; 2],
) -> Vec<f32> {
    assert_eq!(matrix.len(), rows * columns);
    let squares: f32 = matrix.iter().map(|value| value * value).sum();
    let factor = squares.sqrt().max(f32::MIN_POSITIVE).recip();
    // What there are fewer of, rows or columns, are channels of a map, and the others its pixels.
    let (channels, pixels) = (rows.min(columns), rows.max(columns));
    let across = if rows < columns {
        [columns, 1]
    } else {
        [1, columns]
    };
    let on = |pixels: usize| {
        let geometry = Geometry::new(channels, channels, 1).padding(0, 0);
        Convolution::new(context, geometry, [1, channels, 1, pixels]).with(amx)
    };
    let product = |pixels: usize, x: &[f32], weight: &[f32], more: Option<&[f32]>| {
        let none = vec![0.0; channels];
        on(pixels).forward([weight, &none], Activation::Identity, x, more)
    };
    let mut x = vec![0.0; channels.div_ceil(LANES) * pixels * LANES];
    each(&mut x, channels, across, pixels, |value, at| {
        *value = matrix[at] * factor
    });
    let [a, b, c] = COEFFICIENTS;
    for _ in 0..TIMES {
        let squared = on(pixels).weight_gradient(&x, &x);
        let mut map = vec![0.0; channels.div_ceil(LANES) * channels * LANES];
        each(&mut map, channels, [1, channels], channels, |value, at| {
            *value = squared[at]
        });
        let fourth = product(channels, &map, &squared, None);
        let mut weight = squared;
        weight.iter_mut().for_each(|value| *value *= b);
        let mut fourth = fourth;
        each(
            &mut fourth,
            channels,
            [1, channels],
            channels,
            |value, at| weight[at] += c * *value,
        );
        let linear: Vec<f32> = x.iter().map(|value| a * value).collect();
        x = product(pixels, &x, &weight, Some(&linear));
    }
    let mut made = vec![0.0; rows * columns];
    each(&mut x, channels, across, pixels, |value, at| {
        made[at] = *value
    });
    made
}

/// All values of a map of so many channels and pixels, and the place that each has in a matrix where the next channel and
/// the next pixel are so far away.
fn each(
    map: &mut [f32],
    channels: usize,
    [channel, pixel]: [usize; 2],
    pixels: usize,
    mut visit: impl FnMut(&mut f32, usize),
) {
    for (block, values) in map.chunks_exact_mut(pixels * LANES).enumerate() {
        let first = block * LANES;
        let there = (channels - first).min(LANES);
        for (at, values) in values.chunks_exact_mut(LANES).enumerate() {
            for (lane, value) in values[..there].iter_mut().enumerate() {
                visit(value, (first + lane) * channel + at * pixel);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Isa;

    /// Of any shape: nothing is left of the lengths along the axes, and the axes are the same.
    #[test]
    fn singular_values_come_near_one() {
        let context = Context::new(Isa::best());
        for amx in [None, Amx::get()] {
            for [rows, columns] in [[1, 1], [3, 40], [24, 36], [40, 27], [20, 20], [65, 130]] {
                let mut state = 7_u32;
                let matrix: Vec<f32> = (0..rows * columns)
                    .map(|_| {
                        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
                    })
                    .collect();
                let made = orthogonal(&context, amx, &matrix, [rows, columns]);
                // The trace of its product with the matrix is the sum of the matrix's singular values, each times what
                // became of it; and that of its product with itself the sum of the squares of these.
                let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
                let least = rows.min(columns) as f32;
                let squares = dot(&made, &made) / least;
                assert!(
                    (0.42..1.5).contains(&squares),
                    "{rows} x {columns}: {squares}"
                );
                let cosine =
                    dot(&made, &matrix) / (dot(&made, &made) * dot(&matrix, &matrix)).sqrt();
                assert!(cosine > 0.6, "{rows} x {columns}: {cosine}");
            }
            assert_eq!(orthogonal(&context, amx, &[0.0; 6], [2, 3]), [0.0; 6]);
        }
    }
}
