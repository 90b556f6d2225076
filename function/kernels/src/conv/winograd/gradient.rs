//! The gradient by the weight, by a quarter of the multiplications, too.
//!
//! Outputs are `Aᵀ [(G w Gᵀ) ⊙ (Bᵀ x B)] A`, tile by tile, so that the gradient by `w` is
//! `Gᵀ [sum of (A g Aᵀ) ⊙ (Bᵀ x B)] G`, where `g` is that by a tile's outputs: what is summed over the tiles is, at each
//! of the 36 places, a matrix product of the channels.

use std::marker::PhantomData;

use super::{
    BETWEEN, LEAST_TILES, There, Tile, across,
    basis::{Basis, Four},
    tiles,
};
use crate::{
    conv::{Source, groups},
    isa::Task,
    map::Context,
    rows::Rows,
    shared::Shared,
    simd::{LANES, Simd},
    training::weight::{Pixels, products},
};

const PLACES: usize = 36;

/// Of a 3x3 convolution that keeps the size of its map, with so many outputs: `[outputs, inputs, 3, 3]`. `gradient` is
/// that by the outputs; it and `x` lie as in maps.
pub(crate) fn weight_gradient(
    context: &Context,
    outputs: usize,
    x: Source<'_>,
    gradient: &[f32],
) -> Vec<f32> {
    let Context { isa, arena, .. } = context;
    let [batch, channels, height, width] = x.shape;
    let tiles = tiles::<4>([batch, height, width], 1);
    let (blocks, g_blocks) = (x.blocks(), outputs.div_ceil(LANES));
    let groups: Vec<_> = groups(g_blocks, isa.most_blocks()).collect();
    let of_tile = PLACES * LANES * (blocks + g_blocks);
    let passes = tiles.len().div_ceil((BETWEEN / of_tile).max(LEAST_TILES));
    let tiles_of_pass = tiles.len().div_ceil(passes.max(1));
    let mut between = arena.take::<f32>(tiles_of_pass * of_tile);
    let (of_inputs, of_gradients) = between.split_at_mut(tiles_of_pass * PLACES * blocks * LANES);
    let (of_inputs, of_gradients) = (Shared::new(of_inputs), Shared::new(of_gradients));
    let mut sums = arena.take::<f32>(PLACES * blocks * LANES * g_blocks * LANES);
    sums.fill(0.0);
    let sums = Shared::new(&mut sums);
    for tiles in tiles.chunks(tiles_of_pass.max(1)) {
        let there = There::<Four, 6, 4> {
            x,
            tiles,
            dilation: 1,
            rows: Rows::new(blocks * tiles.len(), PLACES * LANES),
            inputs: of_inputs,
            basis: PhantomData,
        };
        isa.run_all(there.rows.tasks(), &there);
        let there = Gradients {
            values: gradient,
            shape: [batch, height, width],
            tiles,
            rows: Rows::new(g_blocks * tiles.len(), PLACES * LANES),
            units: g_blocks * tiles.len(),
            to: of_gradients,
        };
        isa.run_all(there.rows.tasks(), &there);
        let task = Products {
            inputs: of_inputs,
            gradients: of_gradients,
            tiles: tiles.len(),
            blocks,
            g_blocks,
            groups: &groups,
            sums,
        };
        isa.run_all(PLACES * blocks, &task);
    }
    let mut weight = vec![0.0; outputs * channels * 9];
    let task = Back {
        sums,
        blocks,
        groups: &groups,
        channels: [outputs, channels],
        weight: Shared::new(&mut weight),
    };
    isa.run_all(blocks * groups.len(), &task);
    weight
}

/// Brings gradients to the other basis.
struct Gradients<'a> {
    values: &'a [f32],
    /// Maps, and the size of each.
    shape: [usize; 3],
    tiles: &'a [Tile],
    rows: Rows,
    /// Tiles of all blocks.
    units: usize,
    /// `[PLACES, blocks, tiles, LANES]`.
    to: Shared<'a, f32>,
}

impl Task for Gradients<'_> {
    #[inline(always)]
    fn run<S: Simd>(&self, index: usize) {
        for unit in self.rows.of_task(index) {
            self.transform::<S>(unit);
        }
    }
}

impl Gradients<'_> {
    /// `A tile Aᵀ` of a tile of sixteen channels; what is beside the map counts for nothing.
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
        let [batch, height, width] = self.shape;
        let plane = (block * batch + tile.map) * height * width * LANES;
        let plane = &self.values[plane..][..height * width * LANES];
        let zero = S::splat(0.0);
        let mut half = [[zero; 6]; 4];
        for j in 0..4 {
            let mut column = [zero; 4];
            for i in 0..4 {
                let (row, at) = (tile.row + i, tile.column + j);
                if row < height && at < width {
                    let pixel = &plane[(row * width + at) * LANES..][..LANES];
                    // SAFETY: a pixel has LANES values.
                    column[i] = unsafe { S::load(pixel.as_ptr()) };
                }
            }
            half[j] = Four::of_gradients::<S>(column);
        }
        for i in 0..6 {
            let row = Four::of_gradients::<S>(across(&half, i));
            for j in 0..6 {
                let at = ((i * 6 + j) * self.units + unit) * LANES;
                // SAFETY: there are as many places, and this unit of each is its task's alone.
                unsafe { S::store(self.to.at(at), row[j]) };
            }
        }
    }
}

/// Adds up the products; a task is a place and sixteen channels of the input.
struct Products<'a> {
    /// `[PLACES, blocks, tiles, LANES]`.
    inputs: Shared<'a, f32>,
    gradients: Shared<'a, f32>,
    tiles: usize,
    blocks: usize,
    g_blocks: usize,
    groups: &'a [(usize, usize)],
    /// `[PLACES, blocks, groups, LANES, blocks of the group, LANES]`.
    sums: Shared<'a, f32>,
}

impl Task for Products<'_> {
    #[inline(always)]
    fn run<S: Simd>(&self, index: usize) {
        let place = index / self.blocks;
        let plane = self.tiles * LANES;
        let at = Pixels {
            rows: 1,
            columns: self.tiles,
            x_pixel: LANES,
            x_row: 0,
            g_row: 0,
            g_block: plane,
        };
        let of_task = LANES * self.g_blocks * LANES;
        // SAFETY: nobody writes inputs and gradients meanwhile, there are as many, and these sums are this task's alone.
        unsafe {
            let x = self.inputs.at(index * plane);
            for &(first, blocks) in self.groups {
                let g = self.gradients.at((place * self.g_blocks + first) * plane);
                let sums = index * of_task + first * LANES * LANES;
                let sums = self.sums.part(sums, LANES * blocks * LANES);
                products::<S>(&at, blocks, x, g, sums);
            }
        }
    }
}

/// Brings the sums back; a task is sixteen channels of the input and a group of blocks of outputs.
struct Back<'a> {
    /// As [`Products`] leaves them.
    sums: Shared<'a, f32>,
    blocks: usize,
    groups: &'a [(usize, usize)],
    /// Outputs and inputs.
    channels: [usize; 2],
    /// `[outputs, inputs, 3, 3]`.
    weight: Shared<'a, f32>,
}

impl Task for Back<'_> {
    #[inline(always)]
    fn run<S: Simd>(&self, index: usize) {
        let (block, group) = (index / self.groups.len(), index % self.groups.len());
        let (first, blocks) = self.groups[group];
        let g_blocks: usize = self.groups.iter().map(|&(_, blocks)| blocks).sum();
        let of_block = LANES * g_blocks * LANES;
        let [outputs, inputs] = self.channels;
        for input in 0..LANES.min(inputs - block * LANES) {
            for j in 0..blocks {
                let from = block * of_block + first * LANES * LANES + (input * blocks + j) * LANES;
                let mut taps = [[0.0; LANES]; 9];
                // SAFETY: there are sums for every place, and nobody writes to them any more.
                unsafe {
                    let from = self.sums.at(from);
                    transform_back::<S>(from, self.blocks * of_block, &mut taps);
                }
                let output = (first + j) * LANES;
                for lane in 0..LANES.min(outputs.saturating_sub(output)) {
                    let at = ((output + lane) * inputs + block * LANES + input) * 9;
                    // SAFETY: these are this task's alone.
                    let kernel = unsafe { self.weight.part(at, 9) };
                    for (to, tap) in kernel.iter_mut().zip(&taps) {
                        *to = tap[lane];
                    }
                }
            }
        }
    }
}

/// `Gᵀ sums G` of sixteen kernels, to their nine taps.
///
/// # Safety
/// At `from`, and at every `place` floats behind it, so many as there are places, are [`LANES`] values.
#[inline(always)]
#[expect(
    clippy::needless_range_loop,
    reason = "iterators would keep the sums in memory"
)]
unsafe fn transform_back<S: Simd>(from: *const f32, place: usize, taps: &mut [[f32; LANES]; 9]) {
    let factor = |row: usize, tap: usize| S::splat(<Four as Basis<6, 4>>::KERNEL[row][tap] as f32);
    let mut half = [[S::splat(0.0); 6]; 3];
    for i in 0..6 {
        for j in 0..6 {
            // SAFETY: the caller's.
            let sum = unsafe { S::load(from.add((i * 6 + j) * place)) };
            for tap in 0..3 {
                half[tap][j] = S::mul_add(factor(i, tap), sum, half[tap][j]);
            }
        }
    }
    for row in 0..3 {
        for column in 0..3 {
            let mut tap = S::splat(0.0);
            for j in 0..6 {
                tap = S::mul_add(factor(j, column), half[row][j], tap);
            }
            // SAFETY: a tap has LANES values.
            unsafe { S::store(taps[row * 3 + column].as_mut_ptr(), tap) };
        }
    }
}
