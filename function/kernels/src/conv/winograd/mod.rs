//! Convolution with 3x3 kernels by a quarter of the multiplications.
//!
//! Lavin and Gray, "Fast algorithms for convolutional neural networks", 2015: F(4x4, 3x3), with the points of
//! interpolation that Barabasz et al., "Error analysis and improving the accuracy of Winograd convolution for
//! deep neural networks", 2018, lead to: close around 1. Tiles of 6x6
//! inputs and the kernels are brought to another basis, multiplied there, each of the 36 places a matrix
//! product over the channels, and brought back as 4x4 outputs.
//!
//! With a dilation of `d`, every `d`-th pixel of every `d`-th row is a map of its own that the kernel lies on
//! without gaps; tiles are taken from those.

use super::{
    Conv, Geometry,
    direct::groups,
    tile::{Place, Stretch},
};
use crate::{
    arena::{Arena, Buffer},
    isa::{Isa, Task},
    map::Map,
    shared::Shared,
    simd::{LANES, Simd},
};

/// Sides of a tile: of inputs, of outputs.
const IN: usize = 6;
const OUT: usize = 4;

/// Places of the basis that multiplications happen in.
const PLACES: usize = IN * IN;

/// Tiles that go through all three steps together: so many that the weights are read rarely, so few that a
/// place of the tiles stays in the second-level cache.
const TILES: usize = 48;

/// Channels under which the two changes of basis cost more than they save.
const LEAST_CHANNELS: usize = 32;

/// Dilation above which the maps that tiles are taken from are so small that most of a tile lies beside
/// them, and so do many taps, which the direct way leaves out.
const MOST_DILATION: usize = 4;

/// A dense 3x3 convolution of stride 1.
pub(super) struct Winograd {
    /// `[PLACES, groups, input blocks, LANES, blocks of the group, LANES]`.
    weights: Buffer<f32>,
    /// First block and blocks of each group of output channels.
    groups: Vec<(usize, usize)>,
    bias: Vec<f32>,
}

impl Winograd {
    pub(super) fn suits(geometry: &Geometry) -> bool {
        let Geometry {
            inputs,
            outputs,
            kernel,
            stride,
            padding,
            dilation,
            groups,
        } = *geometry;
        (kernel, stride, groups) == (3, 1, 1)
            && padding == [dilation; 2]
            && dilation <= MOST_DILATION
            && inputs.min(outputs) >= LEAST_CHANNELS
    }

    pub(super) fn new(isa: Isa, geometry: &Geometry, weight: &[f32], bias: &[f32]) -> Self {
        let Geometry {
            inputs, outputs, ..
        } = *geometry;
        let blocks = outputs.div_ceil(LANES);
        let inputs_padded = inputs.next_multiple_of(LANES);
        let place = inputs_padded * blocks * LANES;
        let mut weights = Arena::default().take(PLACES * place);
        weights.fill(0.0);
        let groups: Vec<_> = groups(blocks, isa.most_blocks()).collect();
        for (output, kernels) in weight.chunks_exact(inputs * 9).enumerate() {
            let block = output / LANES;
            let of_group = |&&(first, blocks): &&(usize, usize)| block < first + blocks;
            let Some(&(first, blocks)) = groups.iter().find(of_group) else {
                continue;
            };
            let lanes = blocks * LANES;
            let group = first * LANES * inputs_padded;
            for (input, kernel) in kernels.as_chunks::<9>().0.iter().enumerate() {
                let at = group + input * lanes + output - first * LANES;
                for (index, value) in transformed(kernel).into_iter().enumerate() {
                    weights[index * place + at] = value;
                }
            }
        }
        let mut padded = vec![0.0; blocks * LANES];
        padded[..outputs].copy_from_slice(bias);
        Self {
            weights,
            groups,
            bias: padded,
        }
    }

    pub(super) fn forward(&self, conv: &Conv, x: &Map, residual: Option<&Map>, y: &mut Map) {
        let [batch, _, height, width] = x.shape();
        let tiles = tiles([batch, height, width], conv.geometry.dilation);
        if tiles.is_empty() {
            return;
        }
        let bands = tiles
            .len()
            .div_ceil(TILES)
            .max(rayon::current_num_threads());
        let band = tiles.len().div_ceil(bands);
        let isa = y.context().isa;
        let arena = y.context().arena.clone();
        let task = Run {
            winograd: self,
            conv,
            x,
            tiles: &tiles,
            band,
            arena: &arena,
            residual: residual.map(|residual| &residual.values[..]),
            y: Shared::new(&mut y.values),
        };
        isa.run_all(tiles.len().div_ceil(band), &task);
    }
}

/// The points, beside 0 and infinity, at which the polynomials that stand behind the basis are taken:
/// `±A` and `±B`. With the 1 and 2 of the paper, sums of some hundred channels are off by 1e-5 of the largest;
/// with these, which lie closer around 1, by a fifth of that. All that is made of them is exact in binary.
const A: f32 = 0.75;
const B: f32 = 1.5;

/// `G kernel Gᵀ`, computed in double precision. A row of `G` is `[1, p, p²]` for its point `p`, divided by the
/// product of the point's distances from the others.
fn transformed(kernel: &[f32; 9]) -> [f32; PLACES] {
    const A2: f64 = A as f64 * A as f64;
    const B2: f64 = B as f64 * B as f64;
    const fn row(point: f32, divisor: f64) -> [f64; 3] {
        let point = point as f64;
        [1.0 / divisor, point / divisor, point * point / divisor]
    }
    const G: [[f64; 3]; IN] = [
        row(0.0, A2 * B2),
        row(A, 2.0 * A2 * (A2 - B2)),
        row(-A, 2.0 * A2 * (A2 - B2)),
        row(B, 2.0 * B2 * (B2 - A2)),
        row(-B, 2.0 * B2 * (B2 - A2)),
        [0.0, 0.0, 1.0],
    ];
    std::array::from_fn(|place| {
        let (row, column) = (&G[place / IN], &G[place % IN]);
        let taps = kernel.iter().enumerate();
        taps.map(|(tap, &value)| row[tap / 3] * column[tap % 3] * f64::from(value))
            .sum::<f64>() as f32
    })
}

/// A tile's first output: which map, and its row and column there.
#[derive(Clone, Copy)]
struct Tile {
    map: usize,
    row: usize,
    column: usize,
}

fn tiles([batch, height, width]: [usize; 3], dilation: usize) -> Vec<Tile> {
    // The first outputs of tiles along an axis.
    let starts = |length: usize| {
        let starts = (0..dilation.min(length))
            .flat_map(move |phase| (phase..length).step_by(OUT * dilation));
        starts.collect::<Vec<_>>()
    };
    let (rows, columns) = (starts(height), starts(width));
    let mut tiles = Vec::with_capacity(batch * rows.len() * columns.len());
    for map in 0..batch {
        for &row in &rows {
            tiles.extend(columns.iter().map(|&column| Tile { map, row, column }));
        }
    }
    tiles
}

/// One call.
struct Run<'a> {
    winograd: &'a Winograd,
    conv: &'a Conv,
    x: &'a Map,
    tiles: &'a [Tile],
    /// Tiles of a task.
    band: usize,
    arena: &'a Arena,
    residual: Option<&'a [f32]>,
    y: Shared<'a, f32>,
}

impl Task for Run<'_> {
    #[inline(always)]
    fn run<S: Simd>(&self, index: usize) {
        let start = index * self.band;
        let tiles = &self.tiles[start..self.tiles.len().min(start + self.band)];
        let (inputs, outputs) = (self.x.blocks(), self.winograd.bias.len() / LANES);
        // `[PLACES, blocks, tiles, LANES]`, of the inputs and of the outputs.
        let of_block = tiles.len() * LANES;
        let mut scratch = self
            .arena
            .take::<f32>(PLACES * (inputs + outputs) * of_block);
        let (transformed, products) = scratch.split_at_mut(PLACES * inputs * of_block);
        for block in 0..inputs {
            for (index, tile) in tiles.iter().enumerate() {
                let to = block * of_block + index * LANES;
                self.transform_input::<S>(block, tile, &mut transformed[to..], inputs * of_block);
            }
        }
        self.multiply::<S>(transformed, products, tiles.len());
        for block in 0..outputs {
            for (index, tile) in tiles.iter().enumerate() {
                let from = block * of_block + index * LANES;
                self.transform_output::<S>(block, tile, &products[from..], outputs * of_block);
            }
        }
    }
}

impl Run<'_> {
    /// `Bᵀ tile B` of a tile of sixteen channels, to every `stride`-th place of `to`.
    #[inline(always)]
    fn transform_input<S: Simd>(&self, block: usize, tile: &Tile, to: &mut [f32], stride: usize) {
        let [batch, _, height, width] = self.x.shape();
        let dilation = self.conv.geometry.dilation;
        let plane = (block * batch + tile.map) * height * width * LANES;
        let plane = &self.x.values[plane..][..height * width * LANES];
        // Rows and columns of the tile, as far as they lie on the map.
        let on = |start: usize, index: usize, length: usize| {
            let position = (start + index * dilation).checked_sub(dilation);
            position.filter(|&position| position < length)
        };
        let zero = S::splat(0.0);
        let mut half = [[zero; IN]; IN];
        for j in 0..IN {
            let mut column = [zero; IN];
            if let Some(x) = on(tile.column, j, width) {
                for i in 0..IN {
                    if let Some(y) = on(tile.row, i, height) {
                        let pixel = &plane[(y * width + x) * LANES..][..LANES];
                        // SAFETY: a pixel has LANES values.
                        column[i] = unsafe { S::load(pixel.as_ptr()) };
                    }
                }
            }
            half[j] = input_basis::<S>(column);
        }
        assert!(to.len() >= (PLACES - 1) * stride + LANES);
        for i in 0..IN {
            let row = input_basis::<S>([
                half[0][i], half[1][i], half[2][i], half[3][i], half[4][i], half[5][i],
            ]);
            for j in 0..IN {
                // SAFETY: asserted above.
                unsafe { S::store(to.as_mut_ptr().add((i * IN + j) * stride), row[j]) };
            }
        }
    }

    /// The matrix product at each place.
    #[inline(always)]
    fn multiply<S: Simd>(&self, transformed: &[f32], products: &mut [f32], tiles: usize) {
        const NO_BIAS: [f32; 4 * LANES] = [0.0; 4 * LANES];
        let inputs = self.conv.geometry.inputs;
        let of_block = tiles * LANES;
        let outputs = self.winograd.bias.len();
        let place_of_weights = self.x.blocks() * LANES * outputs;
        for index in 0..PLACES {
            for &(first, blocks) in &self.winograd.groups {
                let stretch = Stretch {
                    inputs,
                    taps: [1, 1],
                    x_pixel: LANES,
                    x_tap: [0, 0],
                    x_block: of_block,
                    w_tap: [0, 0],
                    w_block: LANES * blocks * LANES,
                    y_block: of_block,
                    resume: false,
                    finish: None,
                };
                let weights = index * place_of_weights + first * LANES * self.x.blocks() * LANES;
                let y = index * outputs * tiles + first * of_block;
                let y = &mut products[y..][..blocks * of_block];
                let place = Place {
                    x: transformed[index * self.x.blocks() * of_block..].as_ptr(),
                    w: self.winograd.weights[weights..].as_ptr(),
                    bias: NO_BIAS.as_ptr(),
                    residual: std::ptr::null(),
                    y: y.as_mut_ptr(),
                };
                // SAFETY: the place has `tiles` pixels in each block of inputs and outputs.
                unsafe { stretch.run::<S>(blocks, tiles, place) };
            }
        }
    }

    /// `Aᵀ tile A` of the products of a tile at every `stride`-th place of `from`, finished and written to
    /// the outputs that lie on the map.
    #[inline(always)]
    fn transform_output<S: Simd>(&self, block: usize, tile: &Tile, from: &[f32], stride: usize) {
        let [batch, _, height, width] = self.x.shape();
        let dilation = self.conv.geometry.dilation;
        assert!(from.len() >= (PLACES - 1) * stride + LANES);
        let mut half = [[S::splat(0.0); OUT]; IN];
        for j in 0..IN {
            let mut column = [S::splat(0.0); IN];
            for i in 0..IN {
                // SAFETY: asserted above.
                column[i] = unsafe { S::load(from.as_ptr().add((i * IN + j) * stride)) };
            }
            half[j] = output_basis::<S>(column);
        }
        let bias = &self.winograd.bias[block * LANES..][..LANES];
        // SAFETY: it has LANES values.
        let bias = unsafe { S::load(bias.as_ptr()) };
        let plane = (block * batch + tile.map) * height * width;
        for i in 0..OUT {
            let row = tile.row + i * dilation;
            if row >= height {
                break;
            }
            let mut outputs = [output_basis::<S>([
                half[0][i], half[1][i], half[2][i], half[3][i], half[4][i], half[5][i],
            ])];
            let count = (width - tile.column).div_ceil(dilation).min(OUT);
            let at = |j: usize| (plane + row * width + tile.column + j * dilation) * LANES;
            for j in 0..OUT {
                outputs[0][j] = S::add(outputs[0][j], bias);
                if let (Some(residual), true) = (self.residual, j < count) {
                    let residual = &residual[at(j)..][..LANES];
                    // SAFETY: it has LANES values.
                    outputs[0][j] = S::add(outputs[0][j], unsafe { S::load(residual.as_ptr()) });
                }
            }
            self.conv.activation.of_vectors::<S, OUT, 1>(&mut outputs);
            for j in 0..OUT {
                if j < count {
                    // SAFETY: an output on the map, which is this tile's alone.
                    unsafe { S::store(self.y.at(at(j)), outputs[0][j]) };
                }
            }
        }
    }
}

/// `Bᵀ` times a column of inputs. A row holds the coefficients of `x (x² - A²) (x² - B²)` without the factor
/// of its own point; the last row holds all of them.
#[inline(always)]
fn input_basis<S: Simd>(d: [S::Floats; IN]) -> [S::Floats; IN] {
    let (a, b) = (S::splat(A), S::splat(B));
    let (a2, b2) = (S::splat(A * A), S::splat(B * B));
    let (sum, product) = (S::splat(A * A + B * B), S::splat(A * A * B * B));
    let even_a = S::neg_mul_add(b2, d[2], d[4]);
    let odd_a = S::neg_mul_add(b2, d[1], d[3]);
    let even_b = S::neg_mul_add(a2, d[2], d[4]);
    let odd_b = S::neg_mul_add(a2, d[1], d[3]);
    [
        S::mul_add(product, d[0], S::neg_mul_add(sum, d[2], d[4])),
        S::mul_add(a, odd_a, even_a),
        S::neg_mul_add(a, odd_a, even_a),
        S::mul_add(b, odd_b, even_b),
        S::neg_mul_add(b, odd_b, even_b),
        S::mul_add(product, d[1], S::neg_mul_add(sum, d[3], d[5])),
    ]
}

/// `Aᵀ` times a column of products: row `i` holds the points to the power of `i`, and infinity's 1 in the last.
#[inline(always)]
fn output_basis<S: Simd>(m: [S::Floats; IN]) -> [S::Floats; OUT] {
    let (sum_a, difference_a) = (S::add(m[1], m[2]), S::sub(m[1], m[2]));
    let (sum_b, difference_b) = (S::add(m[3], m[4]), S::sub(m[3], m[4]));
    let odd =
        |a: f32, b: f32| S::mul_add(S::splat(b), difference_b, S::mul(S::splat(a), difference_a));
    [
        S::add(m[0], S::add(sum_a, sum_b)),
        odd(A, B),
        S::mul_add(S::splat(B * B), sum_b, S::mul(S::splat(A * A), sum_a)),
        S::add(m[5], odd(A * A * A, B * B * B)),
    ]
}
