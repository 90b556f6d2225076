//! Transposed convolution.

use super::{Conv, Geometry};
use crate::{
    Activation,
    isa::{Isa, Task},
    map::Map,
    rows::Rows,
    shared::Shared,
    simd::{LANES, Simd},
};

/// A transposed convolution that doubles the sides of its map (kernel and stride 2), its bias, and the
/// activation after it.
///
/// Every input pixel becomes four of the output, each by a pointwise convolution of its own.
#[derive(Debug)]
pub struct ConvTranspose {
    /// To the outputs of the four pixels, one after the other, each padded to whole blocks.
    pointwise: Conv,
    outputs: usize,
}

impl ConvTranspose {
    /// `weight` is `[inputs, outputs, 2, 2]`, `bias` has one value an output channel.
    ///
    /// # Panics
    /// If the lengths are others.
    pub fn new(
        isa: Isa,
        [inputs, outputs]: [usize; 2],
        weight: &[f32],
        bias: &[f32],
        activation: Activation,
    ) -> Self {
        assert_eq!(weight.len(), inputs * outputs * 4);
        assert_eq!(bias.len(), outputs);
        let padded = outputs.next_multiple_of(LANES);
        let mut weight_of_four = vec![0.0; 4 * padded * inputs];
        let mut bias_of_four = vec![0.0; 4 * padded];
        for tap in 0..4 {
            for (output, &bias) in bias.iter().enumerate() {
                bias_of_four[tap * padded + output] = bias;
                for input in 0..inputs {
                    weight_of_four[(tap * padded + output) * inputs + input] =
                        weight[(input * outputs + output) * 4 + tap];
                }
            }
        }
        let geometry = Geometry::new(inputs, 4 * padded, 1);
        Self {
            pointwise: Conv::new(isa, geometry, &weight_of_four, &bias_of_four, activation),
            outputs,
        }
    }

    /// `[batch, inputs, h, w]` to `[batch, outputs, 2h, 2w]`.
    ///
    /// # Panics
    /// If `x` has other channels.
    pub fn forward(&self, x: &Map) -> Map {
        let [batch, _, height, width] = x.shape();
        let four = self.pointwise.forward(x, None);
        let shape = [batch, self.outputs, 2 * height, 2 * width];
        let _timed = x.context().timed(|| "interleave".to_owned(), shape, 0);
        let mut y = Map::any(x.context(), shape);
        let rows = Rows::of(&y);
        let task = Interleave {
            four: &four.values,
            plane: y.blocks() * batch * height * width * LANES,
            width,
            rows,
            y: Shared::new(&mut y.values),
        };
        x.context().isa.run_all(rows.tasks(), &task);
        y
    }
}

/// Brings the four pixels of every input to their places.
struct Interleave<'a> {
    /// `[2, 2, blocks, batch, height, width, LANES]`.
    four: &'a [f32],
    /// Values of one of the four.
    plane: usize,
    /// Of the input.
    width: usize,
    rows: Rows,
    y: Shared<'a, f32>,
}

impl Task for Interleave<'_> {
    #[inline(always)]
    fn run<S: Simd>(&self, index: usize) {
        let row_length = 2 * self.width * LANES;
        for row in self.rows.of_task(index) {
            // SAFETY: every row is one task's.
            let y = unsafe { self.y.part(row * row_length, row_length) };
            // Heights of outputs are even, so that this holds for the rows of all maps together.
            let (odd, row_of_input) = (row % 2, row / 2);
            for (column, pixel) in y.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
                let from = (odd * 2 + column % 2) * self.plane
                    + (row_of_input * self.width + column / 2) * LANES;
                pixel.copy_from_slice(&self.four[from..][..LANES]);
            }
        }
    }
}
