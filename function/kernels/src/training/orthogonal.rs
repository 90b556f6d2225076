//! What Muon makes of the gradients of kernels.

use super::{Amx, Convolution, floats};
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
    let places = if rows < columns {
        Places::new(rows, columns, [columns, 1])
    } else {
        Places::new(columns, rows, [1, columns])
    };
    let mut x = vec![0.0; places.values()];
    places.each(|at, from| x[at] = matrix[from] * factor);
    for _ in 0..TIMES {
        x = closer(context, amx, &places, &x);
    }
    let mut made = vec![0.0; matrix.len()];
    places.each(|from, at| made[at] = x[from]);
    made
}

/// The polynomial of a map's matrix, `x (a + b xᵀx + c (xᵀx)²)`: a convolution of the map.
fn closer(context: &Context, amx: Option<Amx>, places: &Places, x: &[f32]) -> Vec<f32> {
    let [a, b, c] = COEFFICIENTS;
    let channels = places.channels;
    let on = |pixels: usize| {
        let geometry = Geometry::new(channels, channels, 1).padding(0, 0);
        Convolution::new(context, geometry, [1, channels, 1, pixels]).with(amx)
    };
    let none = vec![0.0; channels];
    let mut weight = on(places.pixels).weight_gradient(x, x);

    let square = Places::new(channels, channels, [1, channels]);
    let mut map = vec![0.0; square.values()];
    square.each(|at, from| map[at] = weight[from]);
    let squared = on(channels).forward([&weight, &none], Activation::Identity, &map, None);
    square.each(|from, at| weight[at] = b * weight[at] + c * squared[from]);

    let linear: Vec<f32> = x.iter().map(|value| a * value).collect();
    let parameters = [weight.as_slice(), &none];
    on(places.pixels).forward(parameters, Activation::Identity, x, Some(&linear))
}

/// Where the values of a map are in a matrix.
struct Places {
    channels: usize,
    pixels: usize,
    /// How far the next channel and the next pixel are away there.
    steps: [usize; 2],
}

impl Places {
    fn new(channels: usize, pixels: usize, steps: [usize; 2]) -> Self {
        Self {
            channels,
            pixels,
            steps,
        }
    }

    /// Of the map.
    fn values(&self) -> usize {
        floats([1, self.channels, 1, self.pixels])
    }

    /// Of every value, its place in the map and that in the matrix.
    fn each(&self, mut visit: impl FnMut(usize, usize)) {
        let [channel, pixel] = self.steps;
        for first in (0..self.channels).step_by(LANES) {
            for at in 0..self.pixels {
                for lane in 0..LANES.min(self.channels - first) {
                    let in_map = first * self.pixels + at * LANES + lane;
                    visit(in_map, (first + lane) * channel + at * pixel);
                }
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
