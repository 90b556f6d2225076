//! The gradient by the weight.

use super::{
    Amx, DEEP, Grid,
    layout::{Across, Pairs},
    tile::{ROWS, Sums, Tiles},
};
use crate::{Arena, Geometry, shared::Shared, simd::LANES, threads};

impl Amx {
    /// The gradient by the weight of a convolution, in the order of the weight, from its input, of `[batch, channels,
    /// height, width]`, and the gradient by its sums. Both lie as in maps.
    pub(crate) fn weight_gradient(
        self,
        arena: &Arena,
        geometry: Geometry,
        x: &[f32],
        shape: [usize; 4],
        gradient: &[f32],
    ) -> Vec<f32> {
        let Geometry {
            inputs, outputs, ..
        } = geometry;
        let grid = Grid::new(geometry, shape, geometry.output_shape(shape));
        let x = Pairs::new(self, arena, &grid, x, inputs);
        let gradient = Across::new(self, arena, &grid, gradient, outputs);
        let taps: Vec<_> = grid.taps().collect();
        let mut weight = vec![0.0; geometry.weight_shape().iter().product()];
        let to = Shared::new(&mut weight);
        let pairs = [outputs, inputs].map(|channels| channels.div_ceil(DEEP));
        threads::for_each(pairs[0] * pairs[1] * taps.len(), |task| {
            let (tap, task) = (task % taps.len(), task / taps.len());
            let (input, output) = (task % pairs[1], task / pairs[1]);
            let blocks = |pair: usize, channels: usize| {
                let last = channels.div_ceil(LANES) - 1;
                [2 * pair, (2 * pair + 1).min(last)]
            };
            let (left, right) = (blocks(output, outputs), blocks(input, inputs));
            let tiles = Tiles::of_this_thread(self);
            let mut sums: Sums = [[0.0; ROWS * LANES]; 4];
            for n in 0..grid.batch {
                let left = left.map(|block| {
                    let at = (block * grid.batch + n) * LANES * gradient.channel;
                    gradient.words[at..].as_ptr()
                });
                let right = right.map(|block| {
                    let parity = (block * grid.batch + n) * 2 + taps[tap] % 2;
                    x.words[(parity * x.pairs + taps[tap] / 2) * LANES..].as_ptr()
                });
                let row = gradient.channel * size_of::<u32>();
                let count = grid.outputs().div_ceil(DEEP);
                // SAFETY: a row has as many tiles; so have the pairs, from whatever tap.
                unsafe { tiles.over_pixels(left, row, right, count, &mut sums) };
            }
            for (half, sums) in sums.iter().enumerate() {
                for (i, sum) in sums.iter().enumerate() {
                    let output = output * DEEP + half / 2 * LANES + i / LANES;
                    let input = input * DEEP + half % 2 * LANES + i % LANES;
                    if output < outputs && input < inputs {
                        // SAFETY: a weight that is this task's alone.
                        unsafe { *to.at((output * inputs + input) * taps.len() + tap) = *sum };
                    }
                }
            }
        });
        weight
    }
}
