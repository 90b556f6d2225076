//! Forward.

use std::arch::x86_64::{
    _mm512_add_ps, _mm512_loadu_ps, _mm512_max_ps, _mm512_setzero_ps, _mm512_storeu_ps,
};

use super::{
    Amx, DEEP, Grid,
    layout::{Deep, Weights},
    tile::{ROWS, Sums, TILE, Tiles},
};
use crate::{Arena, Geometry, shared::Shared, simd::LANES, threads, training::Forward};

/// Pixels of two tiles.
const PIXELS: usize = 2 * ROWS;

impl Amx {
    /// Makes `y`, all of it, which lies as in a map.
    pub(crate) fn forward(self, arena: &Arena, conv: &Forward<'_>, y: Shared<'_, f32>) {
        let shape = conv.geometry.output_shape(conv.shape);
        let grid = Grid::new(conv.geometry, conv.shape, shape);
        let Geometry {
            inputs, outputs, ..
        } = conv.geometry;
        let x = Deep::new(self, arena, &grid, conv.x, inputs);
        let weight = Weights::new(self, arena, &conv.geometry, conv.weight);
        let pixels = (0..inputs.div_ceil(DEEP)).flat_map(|deep| {
            let map = deep * grid.batch * grid.map();
            grid.taps().map(move |tap| map + tap)
        });
        let blocks = outputs.div_ceil(LANES);
        let mut bias = conv.bias.to_vec();
        bias.resize(blocks * LANES, 0.0);
        let task = Task {
            conv,
            grid,
            x: &x.words,
            offsets: pixels
                .map(|pixel| pixel * LANES * size_of::<u32>())
                .collect(),
            weight: &weight.words,
            bias,
            y,
        };
        threads::for_each(grid.batch * blocks.div_ceil(2), |index| {
            let tiles = Tiles::of_this_thread(self);
            // SAFETY: the processor has the instructions, as there is an `Amx`.
            unsafe { task.run(&tiles, index) };
        });
    }
}

/// A task is two blocks of outputs of a map.
struct Task<'a> {
    conv: &'a Forward<'a>,
    grid: Grid,
    x: &'a [u32],
    /// In bytes, from a pixel to all that its output is a sum of.
    offsets: Vec<usize>,
    weight: &'a [u32],
    bias: Vec<f32>,
    y: Shared<'a, f32>,
}

impl Task<'_> {
    #[target_feature(enable = "avx512f")]
    fn run(&self, tiles: &Tiles, index: usize) {
        let grid = &self.grid;
        let (pair, n) = (index / grid.batch, index % grid.batch);
        let words = self.offsets.len() * 2 * TILE / size_of::<u32>();
        let weight = &self.weight[pair * words..][..words];
        let mut sums: Sums = [[0.0; ROWS * LANES]; 4];
        let blocks = self.bias.len() / LANES;
        let blocks = 2 * pair..blocks.min(2 * pair + 2);
        let [height, width] = grid.output;
        let (mut row, mut column) = (0, 0);
        for start in (0..grid.outputs()).step_by(PIXELS) {
            let x = &self.x[(n * grid.map() + start) * LANES..];
            // SAFETY: behind the last of `outputs` there are pixels for a whole tile, through whatever tap.
            unsafe { tiles.of_pixels(x.as_ptr(), &self.offsets, weight.as_ptr(), &mut sums) };
            for pixel in 0..PIXELS {
                if column < width && row < height {
                    for block in blocks.clone() {
                        let sums = &sums[pixel / ROWS * 2 + block - blocks.start];
                        let sums = &sums[pixel % ROWS * LANES..][..LANES];
                        let plane = (block * grid.batch + n) * height * width;
                        self.finish(block, (plane + row * width + column) * LANES, sums);
                    }
                }
                column += 1;
                if column == grid.columns {
                    (row, column) = (row + 1, 0);
                }
            }
        }
    }

    /// Makes the values of a pixel of their sums.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn finish(&self, block: usize, at: usize, sums: &[f32]) {
        let bias = &self.bias[block * LANES..][..LANES];
        // SAFETY: all are as long as the vectors, and a pixel is one task's.
        unsafe {
            let mut y = _mm512_add_ps(
                _mm512_loadu_ps(sums.as_ptr()),
                _mm512_loadu_ps(bias.as_ptr()),
            );
            if let Some(residual) = self.conv.residual {
                y = _mm512_add_ps(y, _mm512_loadu_ps(residual[at..][..LANES].as_ptr()));
            }
            if self.conv.rectifies {
                y = _mm512_max_ps(y, _mm512_setzero_ps());
            }
            _mm512_storeu_ps(self.y.at(at), y);
        }
    }
}
