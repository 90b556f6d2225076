//! Convolution with 3x3 kernels by a quarter of the multiplications.
//!
//! Lavin and Gray, "Fast algorithms for convolutional neural networks", 2015: F(4x4, 3x3), with the points of
//! interpolation that Barabasz et al., "Error analysis and improving the accuracy of Winograd convolution for
//! deep neural networks", 2018, lead to: close around 1. Tiles of 6x6 inputs and the kernels are brought to another basis, multiplied there, each of the 36 places a matrix
//! product over the channels, and brought back as 4x4 outputs.
//!
//! With a dilation of `d`, every `d`-th pixel of every `d`-th row is a map of its own that the kernel lies on
//! without gaps; tiles are taken from those. Where they are small, so are the tiles: F(3x3, 3x3), 25 places.

mod basis;
#[cfg(feature = "training")]
mod gradient;

use std::marker::PhantomData;

use self::basis::{Basis, Four, Three};
#[cfg(feature = "training")]
pub(crate) use self::gradient::weight_gradient;
use super::{
    Conv, Geometry,
    direct::groups,
    source::Source,
    tile::{Place, Stretch},
};
use crate::{
    arena::{Arena, Buffer},
    isa::{Isa, Task},
    map::Context,
    rows::{Rows, tasks},
    shared::Shared,
    simd::{LANES, Simd},
    threads,
};

/// Floats of inputs and outputs in the other basis that there are at a time, at the most: they stay in the
/// third-level cache. All tiles that fit go through a step before any goes through the next, so that the weights are
/// read rarely, each by one processor.
const BETWEEN: usize = 2 << 20;

/// Channels under which the two changes of basis cost more than they save.
const LEAST_CHANNELS: usize = 32;

/// Dilation above which tiles are small.
const MOST_DILATION_OF_FOUR: usize = 4;

/// Dilation above which the maps that tiles are taken from are so small that most of a tile lies beside
/// them, and so do many taps, which the direct way leaves out.
const MOST_DILATION: usize = 12;

/// Which tiles.
#[derive(Clone, Copy)]
enum Size {
    /// Of 4x4 outputs.
    Four,
    /// Of 3x3 outputs.
    Three,
}

/// A dense 3x3 convolution of stride 1.
pub(super) struct Winograd {
    size: Size,
    /// `[places, groups, input blocks, LANES, blocks of the group, LANES]`.
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

    /// Keeps its weights in `arena`.
    pub(super) fn new(
        isa: Isa,
        arena: &Arena,
        geometry: &Geometry,
        weight: &[f32],
        bias: &[f32],
    ) -> Self {
        let Geometry {
            inputs, outputs, ..
        } = *geometry;
        let blocks = outputs.div_ceil(LANES);
        let inputs_padded = inputs.next_multiple_of(LANES);
        let size = if geometry.dilation > MOST_DILATION_OF_FOUR {
            Size::Three
        } else {
            Size::Four
        };
        let places = match size {
            Size::Four => 36,
            Size::Three => 25,
        };
        let place = inputs_padded * blocks * LANES;
        let groups: Vec<_> = groups(blocks, isa.most_blocks()).collect();
        // The first weight of each block of outputs, and how far those of its next input are.
        let blocks_at = groups.iter().flat_map(|&(first, count)| {
            let group = first * LANES * inputs_padded;
            (0..count).map(move |block| (group + block * LANES, count * LANES))
        });
        let blocks_at: Vec<_> = blocks_at.collect();
        let mut weights = arena.take(places * place);
        let shared = Shared::new(&mut weights);
        // Sixteen inputs of a block of outputs.
        threads::for_each(blocks * inputs_padded / LANES, |task| {
            let (block, first_input) = (task % blocks, task / blocks * LANES);
            let (start, step) = blocks_at[block];
            let output = block * LANES;
            for input in first_input..first_input + LANES {
                let mut kernel = [[0.0; LANES]; 9];
                // What is beyond the last input is filled with zeros, as what is beyond the last output.
                let lanes = if input < inputs {
                    LANES.min(outputs - output)
                } else {
                    0
                };
                for lane in 0..lanes {
                    let from = &weight[((output + lane) * inputs + input) * 9..][..9];
                    for (tap, value) in kernel.iter_mut().zip(from) {
                        tap[lane] = f64::from(*value);
                    }
                }
                let mut at = start + input * step;
                let mut put = |values: &[f64; LANES]| {
                    // SAFETY: there are as many places, and these lanes of each are this task's alone.
                    let to = unsafe { shared.part(at, LANES) };
                    for (to, &from) in to.iter_mut().zip(values) {
                        *to = from as f32;
                    }
                    at += place;
                };
                match size {
                    Size::Four => transform::<Four, 6, 4>(&kernel, &mut put),
                    Size::Three => transform::<Three, 5, 3>(&kernel, &mut put),
                }
            }
        });
        let mut padded = vec![0.0; blocks * LANES];
        padded[..outputs].copy_from_slice(bias);
        Self {
            size,
            weights,
            groups,
            bias: padded,
        }
    }

    /// `x`, `residual` and `y` are in the layout of a map.
    pub(super) fn forward(
        &self,
        conv: &Conv,
        context: &Context,
        x: Source<'_>,
        residual: Option<&[f32]>,
        y: &mut [f32],
    ) {
        assert_eq!(x.pixel, LANES, "layout of the input");
        match self.size {
            Size::Four => self.forward_in::<Four, 6, 4>(conv, context, x, residual, y),
            Size::Three => self.forward_in::<Three, 5, 3>(conv, context, x, residual, y),
        }
    }

    fn forward_in<B: Basis<IN, OUT>, const IN: usize, const OUT: usize>(
        &self,
        conv: &Conv,
        context: &Context,
        x: Source<'_>,
        residual: Option<&[f32]>,
        y: &mut [f32],
    ) {
        let [batch, _, height, width] = x.shape;
        let tiles = tiles::<OUT>([batch, height, width], conv.geometry.dilation);
        if tiles.is_empty() {
            return;
        }
        let (inputs, outputs) = (x.blocks(), self.bias.len() / LANES);
        // A tile of sixteen channels, which the changes of basis take one by one.
        let of_unit = IN * IN * LANES;
        let of_tile = of_unit * (inputs + outputs);
        let passes = tiles.len().div_ceil((BETWEEN / of_tile).max(LEAST_TILES));
        let tiles_of_pass = tiles.len().div_ceil(passes);
        let isa = context.isa;
        let mut between = context.arena.take::<f32>(tiles_of_pass * of_tile);
        let (of_inputs, of_outputs) =
            between.split_at_mut(tiles_of_pass * IN * IN * inputs * LANES);
        let (of_inputs, of_outputs) = (Shared::new(of_inputs), Shared::new(of_outputs));
        for tiles in tiles.chunks(tiles_of_pass) {
            let pass = Pass::<B, IN, OUT> {
                winograd: self,
                conv,
                x,
                tiles,
                residual,
                inputs: of_inputs,
                outputs: of_outputs,
                y: Shared::new(y),
                basis: PhantomData,
            };
            let there = There::<B, IN, OUT> {
                x,
                tiles,
                dilation: conv.geometry.dilation,
                rows: Rows::new(inputs * tiles.len(), of_unit),
                inputs: of_inputs,
                basis: PhantomData,
            };
            isa.run_all(there.rows.tasks(), &there);
            let product = Product(&pass, self.parts(IN * IN, tiles.len()));
            isa.run_all(IN * IN * product.1, &product);
            let back = Back(&pass, Rows::new(outputs * tiles.len(), of_unit));
            isa.run_all(back.1.tasks(), &back);
        }
    }

    /// Into how many parts the output channels of a place are cut, so that each thread has something to do.
    fn parts(&self, places: usize, tiles: usize) -> usize {
        let multiplications = tiles * self.weights.len() / LANES;
        tasks(multiplications)
            .div_ceil(places)
            .min(self.groups.len())
    }
}

/// `G kernel Gᵀ` of the kernels of sixteen outputs, in double precision; gives its places row by row.
fn transform<B: Basis<IN, OUT>, const IN: usize, const OUT: usize>(
    kernel: &[[f64; LANES]; 9],
    put: &mut impl FnMut(&[f64; LANES]),
) {
    let sum = |factors: &[f64; 3], of: [&[f64; LANES]; 3]| -> [f64; LANES] {
        let [a, b, c] = *factors;
        std::array::from_fn(|lane| a * of[0][lane] + b * of[1][lane] + c * of[2][lane])
    };
    for row in &B::KERNEL {
        let half: [_; 3] = std::array::from_fn(|column| {
            sum(row, std::array::from_fn(|tap| &kernel[tap * 3 + column]))
        });
        for column in &B::KERNEL {
            put(&sum(column, half.each_ref()));
        }
    }
}

/// A tile's first output: which map, and its row and column there.
#[derive(Clone, Copy)]
struct Tile {
    map: usize,
    row: usize,
    column: usize,
}

fn tiles<const OUT: usize>([batch, height, width]: [usize; 3], dilation: usize) -> Vec<Tile> {
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

/// Tiles of a pass at the least: several of the innermost loop's.
const LEAST_TILES: usize = 48;

/// Some tiles of a call.
struct Pass<'a, B, const IN: usize, const OUT: usize> {
    winograd: &'a Winograd,
    conv: &'a Conv,
    x: Source<'a>,
    tiles: &'a [Tile],
    residual: Option<&'a [f32]>,
    /// Inputs in the other basis, `[IN * IN, blocks, tiles, LANES]`.
    inputs: Shared<'a, f32>,
    /// Outputs in the other basis, `[IN * IN, blocks, tiles, LANES]`.
    outputs: Shared<'a, f32>,
    y: Shared<'a, f32>,
    basis: PhantomData<fn() -> B>,
}

/// Brings inputs to the other basis.
struct There<'a, B, const IN: usize, const OUT: usize> {
    x: Source<'a>,
    tiles: &'a [Tile],
    dilation: usize,
    rows: Rows,
    /// As in a [`Pass`].
    inputs: Shared<'a, f32>,
    basis: PhantomData<fn() -> B>,
}

impl<B: Basis<IN, OUT>, const IN: usize, const OUT: usize> Task for There<'_, B, IN, OUT> {
    #[inline(always)]
    fn run<S: Simd>(&self, index: usize) {
        for unit in self.rows.of_task(index) {
            self.transform::<S>(unit);
        }
    }
}

impl<B: Basis<IN, OUT>, const IN: usize, const OUT: usize> There<'_, B, IN, OUT> {
    /// `Bᵀ tile B` of a tile of sixteen channels; tiles of a block lie side by side.
    #[inline(always)]
    #[expect(
        clippy::needless_range_loop,
        reason = "iterators would keep the tile in memory"
    )]
    fn transform<S: Simd>(&self, unit: usize) {
        let (block, tile) = (
            unit / self.tiles.len(),
            &self.tiles[unit % self.tiles.len()],
        );
        let [batch, _, height, width] = self.x.shape;
        let dilation = self.dilation;
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
            half[j] = B::of_inputs::<S>(column);
        }
        let stride = self.x.blocks() * self.tiles.len() * LANES;
        for i in 0..IN {
            let row = B::of_inputs::<S>(across(&half, i));
            for j in 0..IN {
                // SAFETY: there are as many places, and this unit of each is its task's alone.
                unsafe { S::store(self.inputs.at((i * IN + j) * stride + unit * LANES), row[j]) };
            }
        }
    }
}

/// Multiplies there: a task is a place and some of the output channels.
struct Product<'a, B, const IN: usize, const OUT: usize>(&'a Pass<'a, B, IN, OUT>, usize);

impl<B: Basis<IN, OUT>, const IN: usize, const OUT: usize> Task for Product<'_, B, IN, OUT> {
    #[inline(always)]
    fn run<S: Simd>(&self, index: usize) {
        let Self(pass, parts) = *self;
        let groups = &pass.winograd.groups;
        let of = |part| part * groups.len() / parts;
        let (place, part) = (index / parts, index % parts);
        for &group in &groups[of(part)..of(part + 1)] {
            pass.multiply::<S>(place, group);
        }
    }
}

/// Brings outputs back.
struct Back<'a, B, const IN: usize, const OUT: usize>(&'a Pass<'a, B, IN, OUT>, Rows);

impl<B: Basis<IN, OUT>, const IN: usize, const OUT: usize> Task for Back<'_, B, IN, OUT> {
    #[inline(always)]
    fn run<S: Simd>(&self, index: usize) {
        for unit in self.1.of_task(index) {
            self.0.transform_output::<S>(unit);
        }
    }
}

impl<B: Basis<IN, OUT>, const IN: usize, const OUT: usize> Pass<'_, B, IN, OUT> {
    /// The matrix product at a place, for a group of output blocks: the first, and how many.
    #[inline(always)]
    fn multiply<S: Simd>(&self, place: usize, (first, blocks): (usize, usize)) {
        const NO_BIAS: [f32; 4 * LANES] = [0.0; 4 * LANES];
        let tiles = self.tiles.len();
        let (inputs, outputs) = (self.x.blocks(), self.winograd.bias.len() / LANES);
        let of_block = tiles * LANES;
        let stretch = Stretch {
            inputs: self.conv.geometry.inputs,
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
        let weights = (place * outputs + first) * inputs * LANES * LANES;
        // SAFETY: nobody writes inputs meanwhile, and these outputs are this task's alone; the place has `tiles`
        // pixels in each block of either.
        unsafe {
            let at = Place {
                x: self.inputs.at(place * inputs * of_block),
                w: self.winograd.weights[weights..].as_ptr(),
                bias: NO_BIAS.as_ptr(),
                residual: std::ptr::null(),
                y: self.outputs.at((place * outputs + first) * of_block),
            };
            stretch.run::<S>(blocks, tiles, at);
        }
    }

    /// `Aᵀ tile A` of the products of a tile of sixteen channels, finished and written to the outputs that lie on the
    /// map.
    #[inline(always)]
    #[expect(
        clippy::needless_range_loop,
        reason = "iterators would keep the tile in memory"
    )]
    fn transform_output<S: Simd>(&self, unit: usize) {
        let (block, tile) = (
            unit / self.tiles.len(),
            &self.tiles[unit % self.tiles.len()],
        );
        let [batch, _, height, width] = self.x.shape;
        let dilation = self.conv.geometry.dilation;
        let stride = self.winograd.bias.len() * self.tiles.len();
        let mut half = [[S::splat(0.0); OUT]; IN];
        for j in 0..IN {
            let mut column = [S::splat(0.0); IN];
            for i in 0..IN {
                // SAFETY: there are as many places, and nobody writes to them any more.
                column[i] =
                    unsafe { S::load(self.outputs.at((i * IN + j) * stride + unit * LANES)) };
            }
            half[j] = B::outputs::<S>(column);
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
            let mut outputs = [B::outputs::<S>(across(&half, i))];
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

/// A row of a matrix that is held by columns.
#[inline(always)]
fn across<T: Copy, const ROWS: usize, const COLUMNS: usize>(
    columns: &[[T; ROWS]; COLUMNS],
    row: usize,
) -> [T; COLUMNS] {
    let mut values = [columns[0][row]; COLUMNS];
    for column in 0..COLUMNS {
        values[column] = columns[column][row];
    }
    values
}
