//! The gradient by the input of a convolution, which is a transposed convolution.
//!
//! With a stride of `s`, an input is seen through every `s`-th tap only, and through which depends on its place modulo
//! `s`. All inputs of one remainder, along both axes, are a map that is a convolution of stride 1 of the outputs. Those
//! of all remainders are computed as one, behind one another along the channels (Shi et al., "Is the deconvolution
//! layer the same as a convolutional layer?", 2016), and put in between one another.

use super::{Convolution, OutputGradient, output::output_gradient};
use crate::{
    Activation, Geometry,
    conv::Source,
    isa::Task,
    rows::Rows,
    shared::{Shared, filled},
    simd::{LANES, Simd},
};

/// Along one axis, what the inputs of one remainder see.
struct Phase {
    /// The output at the same place, counted in strides, is seen through this tap, plus a stride for each before it.
    tap: usize,
    /// Places that the first tap's output is behind that.
    ahead: isize,
    /// How many.
    taps: usize,
}

impl Phase {
    /// Of the input `i`, output `(i + padding - tap) / stride` is seen through `tap`, if that is whole.
    fn all(geometry: &Geometry) -> Vec<Self> {
        let Geometry { kernel, stride, .. } = *geometry;
        let phases = (0..stride).map(|phase| {
            let from = phase + geometry.padding[0];
            let tap = from % stride;
            Self {
                tap,
                ahead: (from / stride) as isize,
                taps: kernel.saturating_sub(tap).div_ceil(stride),
            }
        });
        phases.collect()
    }
}

impl Convolution<'_> {
    /// The gradient by the input, in its layout, from that by the [sums](OutputGradient::sums).
    ///
    /// # Panics
    /// If a length is another.
    pub fn input_gradient(&self, weight: &[f32], gradient: &[f32]) -> Vec<f32> {
        let bias = vec![0.0; self.geometry.inputs];
        self.transposed([weight, &bias], Activation::Identity, gradient)
    }

    /// As [`input_gradient`](Self::input_gradient), with a bias, one value an input channel, and an activation behind
    /// it: what is called a transposed convolution, from a map of the shape of the output to one of the input's.
    ///
    /// # Panics
    /// If a length is another.
    pub fn transposed(
        &self,
        [weight, bias]: [&[f32]; 2],
        activation: Activation,
        y: &[f32],
    ) -> Vec<f32> {
        let Geometry {
            inputs,
            outputs,
            stride,
            kernel,
            ..
        } = self.geometry;
        assert_eq!(bias.len(), inputs);
        assert_eq!(weight.len(), outputs * inputs * kernel * kernel);
        let phases = Phase::all(&self.geometry);
        let first = phases.iter().map(|p| p.ahead + 1 - p.taps as isize).min();
        let last = phases.iter().map(|phase| phase.ahead).max();
        let (first, last) = (first.unwrap_or(0).min(0), last.unwrap_or(0).max(0));

        let [batch, _, height, width] = self.shape;
        let [_, _, rows, _] = self.output_shape();
        // Behind its last output, as far as the last input sees.
        let after = height.div_ceil(stride) + last as usize;
        let padded = if stride == 1 {
            inputs
        } else {
            inputs.next_multiple_of(LANES)
        };
        let one = Geometry {
            inputs: outputs,
            outputs: stride * stride * padded,
            kernel: (last - first) as usize + 1,
            stride: 1,
            padding: [first.unsigned_abs(), after.saturating_sub(rows)],
            dilation: 1,
            groups: 1,
        };
        let mut weight_of_one = vec![0.0; one.outputs * one.inputs * one.kernel * one.kernel];
        let mut bias_of_one = vec![0.0; one.outputs];
        for (row, at_row) in phases.iter().enumerate() {
            for (column, at_column) in phases.iter().enumerate() {
                let channel = (row * stride + column) * padded;
                bias_of_one[channel..][..inputs].copy_from_slice(bias);
                let taps = (0..at_row.taps).flat_map(|i| (0..at_column.taps).map(move |j| (i, j)));
                for (i, j) in taps {
                    let tap = |phase: &Phase, m: usize| {
                        let there = phase.ahead - m as isize - first;
                        (phase.tap + m * stride, there as usize)
                    };
                    let ((from_row, to_row), (from_column, to_column)) =
                        (tap(at_row, i), tap(at_column, j));
                    for output in 0..outputs {
                        for input in 0..inputs {
                            let from = (output * inputs + input) * kernel + from_row;
                            let to = ((channel + input) * outputs + output) * one.kernel + to_row;
                            weight_of_one[to * one.kernel + to_column] =
                                weight[from * kernel + from_column];
                        }
                    }
                }
            }
        }
        let y = Source::of(y, self.output_shape());
        let shape = one.output_shape(y.shape);
        let parameters = [weight_of_one.as_slice(), &bias_of_one];
        let x = self.run(one, parameters, activation, y, None);
        let [_, _, rows, columns] = shape;
        if stride == 1 && [rows, columns] == [height, width] {
            return x;
        }
        let blocks = padded.div_ceil(LANES);
        let lines = Rows::new(blocks * batch * height, width * LANES);
        let interleave = |to: Shared<'_, f32>| {
            let task = Interleave {
                phases: &x,
                stride,
                plane: blocks * batch * rows * columns * LANES,
                size: [rows, columns],
                to_size: [height, width],
                lines,
                to,
            };
            self.context.isa.run_all(lines.tasks(), &task);
        };
        // SAFETY: every pixel of every row is written.
        unsafe { filled(blocks * batch * height * width * LANES, interleave) }
    }

    /// As [`output_gradient`](Self::output_gradient), behind a [transposed](Self::transposed) convolution: its output
    /// has the shape of the input.
    ///
    /// # Panics
    /// If a length is another.
    pub fn transposed_output_gradient(
        &self,
        rectified: Option<&[f32]>,
        gradient: &[f32],
    ) -> OutputGradient {
        output_gradient(self, self.shape, rectified, gradient)
    }
}

/// Brings the inputs of all remainders to their places.
struct Interleave<'a> {
    /// `[stride, stride, blocks, batch, rows, columns, LANES]`.
    phases: &'a [f32],
    stride: usize,
    /// Values of one remainder.
    plane: usize,
    /// Rows and columns of one.
    size: [usize; 2],
    /// Of what is made.
    to_size: [usize; 2],
    lines: Rows,
    to: Shared<'a, f32>,
}

impl Task for Interleave<'_> {
    #[inline(always)]
    fn run<S: Simd>(&self, index: usize) {
        let ([rows, columns], [height, width]) = (self.size, self.to_size);
        for line in self.lines.of_task(index) {
            let (map, row) = (line / height, line % height);
            let from = (map * rows + row / self.stride) * columns;
            for column in 0..width {
                let phase = row % self.stride * self.stride + column % self.stride;
                let from = phase * self.plane + (from + column / self.stride) * LANES;
                // SAFETY: every row is one task's, and a pixel has LANES values.
                unsafe {
                    let pixel = S::load(self.phases[from..][..LANES].as_ptr());
                    S::store(self.to.at((line * width + column) * LANES), pixel);
                }
            }
        }
    }
}
