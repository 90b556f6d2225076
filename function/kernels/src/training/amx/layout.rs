//! Maps and weights as tiles take them, in numbers of 16 bits.

use std::arch::x86_64::{
    __m256i, __m512, __m512i, __mmask16, _mm256_loadu_si256, _mm256_storeu_si256,
    _mm512_cvtepu16_epi32, _mm512_cvtneps_pbh, _mm512_loadu_si512, _mm512_mask_i32gather_ps,
    _mm512_maskz_loadu_ps, _mm512_or_si512, _mm512_setzero_ps, _mm512_setzero_si512,
    _mm512_slli_epi32, _mm512_storeu_si512,
};

use super::{Amx, DEEP, Grid, tile::ROWS};
use crate::{Arena, Buffer, Geometry, shared::Shared, simd::LANES, threads};

/// Words of a pixel's sixteen channels.
const HALF: usize = LANES / 2;

/// Pixels of a map that follow one another in a grid.
#[derive(Clone, Copy)]
struct Line {
    /// Where in the grid the first one goes.
    to: usize,
    /// Which of the map it is; the next one is a stride behind it.
    from: usize,
    count: usize,
}

/// All pixels of the input that are seen, in the order of the grid.
fn inputs(grid: &Grid) -> Vec<Line> {
    let (stride, padding) = (grid.geometry.stride, grid.geometry.padding[0]);
    let [height, width] = grid.input;
    let mut lines = Vec::new();
    for phase in 0..stride * stride {
        let (down, right) = (phase / stride, phase % stride);
        let start = padding.saturating_sub(right).div_ceil(stride);
        let column = start * stride + right - padding;
        if start >= grid.columns || column >= width {
            continue;
        }
        let count = (width - column).div_ceil(stride).min(grid.columns - start);
        for row in 0..grid.rows {
            let input = (row * stride + down).checked_sub(padding);
            if let Some(input) = input.filter(|&input| input < height) {
                lines.push(Line {
                    to: phase * grid.plane() + row * grid.columns + start,
                    from: input * width + column,
                    count,
                });
            }
        }
    }
    lines
}

/// Makes zeros of what lies between lines in a grid with so many words a pixel.
fn clear_between(lines: &[Line], words: usize, to: &mut [u32]) {
    let mut end = 0;
    for line in lines {
        to[end..line.to * words].fill(0);
        end = (line.to + line.count) * words;
    }
    to[end..].fill(0);
}

/// All outputs.
fn outputs(grid: &Grid) -> Vec<Line> {
    let [height, width] = grid.output;
    let line = |row: usize| Line {
        to: row * grid.columns,
        from: row * width,
        count: width,
    };
    (0..height).map(line).collect()
}

/// Sixteen floats, to the nearest numbers of 8 bits of mantissa.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
fn rounded(floats: __m512) -> __m256i {
    // SAFETY: both are 32 bytes of any values.
    unsafe { std::mem::transmute(_mm512_cvtneps_pbh(floats)) }
}

/// Which of the sixteen channels of a block there are.
fn lanes(channels: usize, block: usize) -> __mmask16 {
    let there = channels.saturating_sub(block * LANES).min(LANES);
    ((1_u32 << there) - 1) as __mmask16
}

/// Pixels of a [`Deep`] map that are behind its last one.
const BEHIND: usize = 2 * ROWS;

/// A map with 32 channels of a pixel side by side, `[ceil(channels / 32), batch, grid, 32]`; what is not there is zero,
/// but for 32 pixels behind the last one, which are anything.
pub(super) struct Deep {
    /// Two numbers each.
    pub(super) words: Buffer<u32>,
}

impl Deep {
    /// From values that lie as in a map.
    pub(super) fn new(amx: Amx, arena: &Arena, grid: &Grid, x: &[f32], channels: usize) -> Self {
        let deep = channels.div_ceil(DEEP);
        let map = grid.map() * LANES;
        let mut words = arena.take(deep * grid.batch * map + BEHIND * LANES);
        let to = Shared::new(&mut words);
        let lines = inputs(grid);
        threads::for_each(deep * grid.batch, |task| {
            // SAFETY: every map is one task's; the processor has the instructions, as there is an `Amx`.
            unsafe {
                let to = to.part(task * map, map);
                deepen(amx, grid, &lines, x, channels, task, to);
            }
        });
        Self { words }
    }
}

/// One map of `[deep, batch]`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
fn deepen(
    _: Amx,
    grid: &Grid,
    lines: &[Line],
    x: &[f32],
    channels: usize,
    task: usize,
    to: &mut [u32],
) {
    let (deep, n) = (task / grid.batch, task % grid.batch);
    let [height, width] = grid.input;
    let size = height * width * LANES;
    clear_between(lines, LANES, to);
    for half in 0..2 {
        let block = 2 * deep + half;
        let there = lanes(channels, block);
        if there == 0 {
            for pixel in to.as_chunks_mut::<LANES>().0 {
                pixel[half * HALF..][..HALF].fill(0);
            }
            continue;
        }
        let x = &x[(block * grid.batch + n) * size..][..size];
        for line in lines {
            let pixels = x[line.from * LANES..].chunks(grid.geometry.stride * LANES);
            let to = to[line.to * LANES..].as_chunks_mut::<LANES>().0;
            for (pixel, to) in pixels.take(line.count).zip(to) {
                let (pixel, to) = (&pixel[..LANES], &mut to[half * HALF..][..HALF]);
                // SAFETY: as long as the vectors.
                unsafe {
                    let floats = _mm512_maskz_loadu_ps(there, pixel.as_ptr());
                    _mm256_storeu_si256(to.as_mut_ptr().cast(), rounded(floats));
                }
            }
        }
    }
}

/// Sixteen channels of a map, `[pixels, 16]`, and zeros.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
fn flatten(_: Amx, lines: &[Line], stride: usize, x: &[f32], there: __mmask16, to: &mut [u32]) {
    clear_between(lines, HALF, to);
    for line in lines {
        let pixels = x[line.from * LANES..].chunks(stride * LANES);
        let to = to[line.to * HALF..].as_chunks_mut::<HALF>().0;
        for (pixel, to) in pixels.take(line.count).zip(to) {
            // SAFETY: as long as the vectors.
            unsafe {
                let floats = _mm512_maskz_loadu_ps(there, pixel[..LANES].as_ptr());
                _mm256_storeu_si256(to.as_mut_ptr().cast(), rounded(floats));
            }
        }
    }
}

/// The sixteen channels of two pixels, by twos.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
fn pair(pixels: &[u32; 2 * HALF]) -> __m512i {
    // SAFETY: as long as the vectors.
    let [first, second] = [0, HALF].map(|at| unsafe {
        _mm512_cvtepu16_epi32(_mm256_loadu_si256(pixels[at..][..HALF].as_ptr().cast()))
    });
    _mm512_or_si512(first, _mm512_slli_epi32::<16>(second))
}

/// A map with two pixels side by side, those at even places with those behind them, and those at odd ones:
/// `[ceil(channels / 16), batch, 2, pairs, 16, 2]`.
pub(super) struct Pairs {
    pub(super) words: Buffer<u32>,
    /// Of each.
    pub(super) pairs: usize,
}

impl Pairs {
    /// From values that lie as in a map.
    pub(super) fn new(amx: Amx, arena: &Arena, grid: &Grid, x: &[f32], channels: usize) -> Self {
        let blocks = channels.div_ceil(LANES);
        // A tile may go on behind the last pixel.
        let pairs = grid.map().div_ceil(2) + ROWS + 1;
        let mut words = arena.take(blocks * grid.batch * 2 * pairs * LANES);
        let to = Shared::new(&mut words);
        let [height, width] = grid.input;
        let size = height * width * LANES;
        let lines = inputs(grid);
        threads::for_each(blocks * grid.batch, |task| {
            let there = lanes(channels, task / grid.batch);
            let mut flat = arena.take(2 * (pairs + 1) * HALF);
            // SAFETY: every map is one task's; the processor has the instructions, as there is an `Amx`.
            unsafe {
                let x = &x[task * size..][..size];
                flatten(amx, &lines, grid.geometry.stride, x, there, &mut flat);
                let length = 2 * pairs * LANES;
                interleave(amx, &flat, to.part(task * length, length));
            }
        });
        Self { words, pairs }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
fn interleave(_: Amx, flat: &[u32], to: &mut [u32]) {
    let (even, odd) = to.split_at_mut(to.len() / 2);
    for (to, from) in [(even, 0), (odd, HALF)] {
        let pixels = flat[from..].as_chunks::<{ 2 * HALF }>().0;
        for (to, pixels) in to.as_chunks_mut::<LANES>().0.iter_mut().zip(pixels) {
            // SAFETY: as long as the vector.
            unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), pair(pixels)) };
        }
    }
}

/// A gradient with all outputs of a channel side by side, as they follow one another in the grid:
/// `[ceil(channels / 16), batch, 16, outputs]` and zeros.
pub(super) struct Across {
    pub(super) words: Buffer<u32>,
    /// From a channel to the next one.
    pub(super) channel: usize,
}

impl Across {
    /// From values that lie as in a map of the outputs.
    pub(super) fn new(amx: Amx, arena: &Arena, grid: &Grid, g: &[f32], channels: usize) -> Self {
        let tiles = grid.outputs().div_ceil(DEEP);
        // Rows of a tile a power of two apart would take the same places of the cache.
        let channel = (tiles | 1) * LANES;
        let blocks = channels.div_ceil(LANES);
        let mut words = arena.take(blocks * grid.batch * LANES * channel);
        let to = Shared::new(&mut words);
        let [height, width] = grid.output;
        let size = height * width * LANES;
        let lines = outputs(grid);
        threads::for_each(blocks * grid.batch, |task| {
            let there = lanes(channels, task / grid.batch);
            let mut flat = arena.take(tiles * DEEP * HALF);
            // SAFETY: as for pairs.
            unsafe {
                let g = &g[task * size..][..size];
                flatten(amx, &lines, 1, g, there, &mut flat);
                let length = LANES * channel;
                transpose(amx, &flat, channel, to.part(task * length, length));
            }
        });
        Self { words, channel }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
fn transpose(_: Amx, flat: &[u32], channel: usize, to: &mut [u32]) {
    let tiles = flat.as_chunks::<{ DEEP * HALF }>().0;
    for (index, tile) in tiles.iter().enumerate() {
        let mut pairs = [[0_u32; LANES]; DEEP / 2];
        for (to, pixels) in pairs.iter_mut().zip(tile.as_chunks::<{ 2 * HALF }>().0) {
            // SAFETY: as long as the vector.
            unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), pair(pixels)) };
        }
        for lane in 0..LANES {
            let to = &mut to[lane * channel + index * LANES..][..LANES];
            for (to, pair) in to.iter_mut().zip(&pairs) {
                *to = pair[lane];
            }
        }
    }
}

/// The weights of every two blocks of outputs: `[ceil(outputs / 32), ceil(inputs / 32), taps, 2, 16, 16, 2]`, and zeros.
pub(super) struct Weights {
    pub(super) words: Buffer<u32>,
}

impl Weights {
    /// From those of a convolution, in its order.
    pub(super) fn new(_: Amx, arena: &Arena, geometry: &Geometry, weight: &[f32]) -> Self {
        assert_eq!(weight.len(), geometry.weight_shape().iter().product());
        let taps = geometry.kernel * geometry.kernel;
        let [outputs, inputs] = [geometry.outputs, geometry.inputs].map(|c| c.div_ceil(DEEP));
        let mut words = arena.take(outputs * inputs * taps * 2 * ROWS * LANES);
        // SAFETY: the processor has the instructions, as there is an `Amx`.
        unsafe { pack(geometry, weight, &mut words) };
        Self { words }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
fn pack(geometry: &Geometry, weight: &[f32], to: &mut [u32]) {
    let Geometry {
        inputs,
        outputs,
        kernel,
        ..
    } = *geometry;
    let taps = kernel * kernel;
    // Along the outputs.
    let rows: [i32; LANES] = std::array::from_fn(|lane| (lane * inputs * taps) as i32);
    // SAFETY: as long as the vector.
    let rows = unsafe { _mm512_loadu_si512(rows.as_ptr().cast()) };
    let column = |output: usize, input: usize, tap: usize| {
        let there = lanes(outputs, output / LANES);
        if input >= inputs || there == 0 {
            return _mm512_setzero_si512();
        }
        let from = weight[(output * inputs + input) * taps + tap..].as_ptr();
        // SAFETY: only outputs that there are, of which each has a row of weights.
        let floats =
            unsafe { _mm512_mask_i32gather_ps::<4>(_mm512_setzero_ps(), there, rows, from.cast()) };
        _mm512_cvtepu16_epi32(rounded(floats))
    };
    let mut to = to.as_chunks_mut::<LANES>().0.iter_mut();
    for output in (0..outputs).step_by(DEEP) {
        for (input, tap) in (0..inputs)
            .step_by(DEEP)
            .flat_map(|i| (0..taps).map(move |t| (i, t)))
        {
            for output in [output, output + LANES] {
                for (row, to) in (0..ROWS).zip(&mut to) {
                    let input = input + 2 * row;
                    let [first, second] =
                        [input, input + 1].map(|input| column(output, input, tap));
                    let pair = _mm512_or_si512(first, _mm512_slli_epi32::<16>(second));
                    // SAFETY: as long as the vector.
                    unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), pair) };
                }
            }
        }
    }
}
