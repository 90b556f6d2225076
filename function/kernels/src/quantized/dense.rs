//! Convolution over all input channels, as [`conv::direct`](crate::conv) does it with floats.
//!
//! Taps beside the input are not multiplied with: a sum begins with what the input's zero point times the
//! weights of the taps on the input takes away.
//!
//! Where weights are packed as bytes and one is greater than a byte, what it is greater by is multiplied for itself,
//! in a step that only the tiles of its output channel take.

use std::collections::BTreeMap;

use super::{
    Integers, QuantizedMap,
    convert::QuantizedPicture,
    requantize::{Output, Requantize},
    simd::{QUAD, pack, parts, quad_bytes},
    tile::{Place, Rest, Stretch},
};
use crate::{
    Geometry,
    arena::{Arena, Buffer},
    conv::{Columns, groups, stretches},
    isa::{IntegerTask, Isa},
    picture::PIXEL,
    rows::tasks,
    simd::LANES,
};

/// Bytes of input that a task works on: as many as stay in the second-level cache while it goes through
/// the output channels.
const INPUT_AT_ONCE: usize = 256 << 10;

/// Quads of a block of input channels.
const QUADS: usize = LANES / QUAD;

/// A dense convolution.
pub(super) struct Dense {
    geometry: Geometry,
    groups: Vec<Group>,
    /// One group after the other, each `[input blocks, kernel, kernel, QUADS, blocks of the group]` of quads
    /// as packed.
    weights: Buffer<u8>,
    /// Bytes of a packed quad for sixteen output channels.
    quad: usize,
    /// What sums begin with for each tap, `[kernel * kernel, blocks, LANES]`, and with all taps.
    of_taps: Vec<i32>,
    initial: Vec<i32>,
    /// Whether outputs are the pixels of the input, one for one.
    pointwise: bool,
}

/// Blocks of output channels that a tile covers together.
struct Group {
    first: usize,
    blocks: usize,
    /// Of its first weight.
    weights: usize,
    rests: Vec<Rest>,
}

/// What a convolution reads: a map, or a picture.
pub(super) struct Source<'a> {
    values: &'a [u8],
    /// `[batch, height, width]`.
    shape: [usize; 3],
    /// Bytes from a pixel to the next.
    pixel: usize,
}

impl<'a> Source<'a> {
    pub(super) fn map(map: &'a QuantizedMap) -> Self {
        let [batch, _, height, width] = map.shape();
        Self {
            values: &map.values,
            shape: [batch, height, width],
            pixel: LANES,
        }
    }

    pub(super) fn picture(picture: &'a QuantizedPicture) -> Self {
        let [batch, _, height, width] = picture.shape();
        Self {
            values: picture.values(),
            shape: [batch, height, width],
            pixel: PIXEL,
        }
    }
}

impl Dense {
    /// `zero_point` is that of the input.
    pub(super) fn new(isa: Isa, geometry: &Geometry, weight: &[i16], zero_point: u8) -> Self {
        let Geometry {
            inputs,
            outputs,
            kernel,
            ..
        } = *geometry;
        let (most_blocks, wide) = isa.integers();
        let quad = quad_bytes(wide);
        let taps = kernel * kernel;
        let blocks = outputs.div_ceil(LANES);
        let input_blocks = inputs.div_ceil(LANES);
        let mut weights = Arena::default().take(input_blocks * taps * QUADS * blocks * quad);
        weights.fill(0);
        let mut of_taps = vec![0; taps * blocks * LANES];
        let mut start = 0;
        let mut packed = Vec::new();
        for (first, blocks_of) in groups(blocks, most_blocks) {
            // By the number of the part, and the row of quads that it belongs to.
            let mut rests = BTreeMap::new();
            for output in first * LANES..outputs.min((first + blocks_of) * LANES) {
                let (block, lane) = (output / LANES - first, output % LANES);
                for input in 0..inputs {
                    for tap in 0..taps {
                        let value = weight[(output * inputs + input) * taps + tap];
                        let row = (input / LANES * taps + tap) * QUADS + input % LANES / QUAD;
                        for (number, part) in parts(value, wide).enumerate() {
                            let row = if number == 0 {
                                &mut weights[start + row * blocks_of * quad..]
                            } else {
                                let none = || vec![0; blocks_of * quad];
                                rests.entry((number, row)).or_insert_with(none)
                            };
                            let to = &mut row[block * quad..][..quad];
                            pack(to, wide, lane, input % QUAD, part);
                        }
                        of_taps[tap * blocks * LANES + output] -=
                            i32::from(zero_point) * i32::from(value);
                    }
                }
            }
            let rests = rests.into_iter().map(|((_, row), weights)| {
                let (block, tap) = (row / QUADS / taps, row / QUADS % taps);
                Rest {
                    tap: [tap / kernel, tap % kernel],
                    block,
                    quad: row % QUADS,
                    weights,
                }
            });
            packed.push(Group {
                first,
                blocks: blocks_of,
                weights: start,
                rests: rests.collect(),
            });
            start += input_blocks * taps * QUADS * blocks_of * quad;
        }
        let mut initial = vec![0; blocks * LANES];
        for tap in of_taps.chunks_exact(blocks * LANES) {
            initial.iter_mut().zip(tap).for_each(|(all, of)| *all += of);
        }
        Self {
            geometry: *geometry,
            groups: packed,
            weights,
            quad,
            of_taps,
            initial,
            pointwise: kernel == 1 && geometry.stride == 1 && geometry.padding == [0; 2],
        }
    }

    /// `output` is `[rows, columns]` of one map; `to` has as many values for every map and block.
    pub(super) fn forward(
        &self,
        isa: Isa,
        requantize: &Requantize,
        x: &Source<'_>,
        [mut rows, mut columns]: [usize; 2],
        to: Output,
    ) {
        let [batch, mut height, mut width] = x.shape;
        if self.pointwise {
            // The whole batch is one row.
            (height, width) = (1, batch * height * width);
            (rows, columns) = (1, width);
        } else {
            rows *= batch;
        }
        if rows * columns == 0 {
            return;
        }
        let pixels = rows * columns;
        let cost = pixels * self.weights.len() / self.quad;
        let wanted = tasks(cost);
        let bands = wanted.max(x.values.len() / INPUT_AT_ONCE);
        // Bands of whole rows, or of whole tiles where there is only one.
        let (unit, units) = if self.pointwise {
            (POINTWISE_UNIT, pixels.div_ceil(POINTWISE_UNIT))
        } else {
            (1, rows)
        };
        let units_of_band = units.div_ceil(bands);
        let bands = units.div_ceil(units_of_band);
        let parts = (wanted / bands).clamp(1, self.groups.len());
        let task = Run {
            dense: self,
            requantize,
            x: x.values,
            pixel: x.pixel,
            input: [height, width],
            output: [rows, columns],
            rows_of_map: if self.pointwise { 1 } else { rows / batch },
            stretches: if self.pointwise {
                Vec::new()
            } else {
                stretches(&self.geometry, width, columns)
            },
            band: units_of_band * unit,
            bands,
            parts,
            to,
        };
        isa.run_all_integers(bands * parts, &task);
    }
}

/// A multiple of every tile's pixels.
const POINTWISE_UNIT: usize = 24;

/// One call.
struct Run<'a> {
    dense: &'a Dense,
    requantize: &'a Requantize,
    x: &'a [u8],
    /// Bytes from an input pixel to the next.
    pixel: usize,
    /// Rows and columns of one map of the input.
    input: [usize; 2],
    /// Rows of all maps of the output, and columns.
    output: [usize; 2],
    rows_of_map: usize,
    /// Of a row; none where outputs are the pixels of the input.
    stretches: Vec<Columns>,
    /// Rows of a band; or pixels, where all are one row.
    band: usize,
    bands: usize,
    /// The output channels are cut into so many parts.
    parts: usize,
    to: Output,
}

// SAFETY: what the output points to is borrowed by the caller for as long, and tasks write in places apart.
unsafe impl Sync for Run<'_> {}

impl IntegerTask for Run<'_> {
    #[inline(always)]
    fn run<I: Integers>(&self, index: usize) {
        let (band, part) = (index % self.bands, index / self.bands);
        let groups = &self.dense.groups;
        let of = |part| part * groups.len() / self.parts;
        for group in &groups[of(part)..of(part + 1)] {
            self.group::<I>(group, band * self.band);
        }
    }
}

impl Run<'_> {
    /// A group of output blocks of a band.
    #[inline(always)]
    fn group<I: Integers>(&self, group: &Group, start: usize) {
        let geometry = &self.dense.geometry;
        let Geometry {
            inputs,
            kernel,
            dilation,
            ..
        } = *geometry;
        let [height, width] = self.input;
        let [rows, columns] = self.output;
        let w_tap = QUADS * group.blocks * self.dense.quad;
        let all = Stretch {
            quads: inputs.div_ceil(QUAD),
            taps: [1, 1],
            first_tap: [0, 0],
            x_pixel: geometry.stride * self.pixel,
            x_tap: [dilation * width * self.pixel, dilation * self.pixel],
            x_block: self.x.len() / inputs.div_ceil(LANES),
            w_tap: [kernel * w_tap, w_tap],
            w_block: kernel * kernel * w_tap,
            rests: &group.rests,
            y_block: rows * columns * LANES,
            block: group.first,
            requantize: self.requantize,
            to: self.to,
        };
        let initial = &self.dense.initial[group.first * LANES..][..group.blocks * LANES];
        let y = group.first * all.y_block;

        if self.dense.pointwise {
            let count = self.band.min(columns - start);
            let place = self.place(
                start * self.pixel,
                group.weights,
                initial,
                y + start * LANES,
            );
            // SAFETY: `start..start + count` are pixels of input and output, which have as many.
            unsafe { all.run::<I>(group.blocks, count, place) };
            return;
        }
        for row in start..rows.min(start + self.band) {
            let (map, row_of_map) = (row / self.rows_of_map, row % self.rows_of_map);
            let ([top, bottom], x_row) = geometry.taps(row_of_map, height);
            for columns_of in &self.stretches {
                let [left, right] = columns_of.taps;
                let taps = [bottom - top, right - left];
                // Where the kernel lies beside the input, there is nothing to sum.
                let quads = if taps.contains(&0) { 0 } else { all.quads };
                let stretch = Stretch {
                    quads,
                    taps,
                    first_tap: [top, left],
                    ..all
                };
                let some;
                let initial = if taps == [kernel; 2] {
                    initial
                } else {
                    some = self.initial(group, [top, bottom], [left, right]);
                    &some
                };
                let place = self.place(
                    ((map * height + x_row) * width + columns_of.x) * self.pixel,
                    group.weights + top * all.w_tap[0] + left * all.w_tap[1],
                    initial,
                    y + (row * columns + columns_of.start) * LANES,
                );
                let count = columns_of.end - columns_of.start;
                // SAFETY: for these outputs, the taps from `left` to `right` lie on the input's columns, and
                // those from `top` to `bottom` on its rows.
                unsafe { stretch.run::<I>(group.blocks, count, place) };
            }
        }
    }

    /// What the sums of a group begin with, where some taps lie beside the input.
    #[inline(always)]
    fn initial(&self, group: &Group, rows: [usize; 2], columns: [usize; 2]) -> [i32; 4 * LANES] {
        let mut sums = [0; 4 * LANES];
        let lanes = group.blocks * LANES;
        for row in rows[0]..rows[1] {
            for column in columns[0]..columns[1] {
                let tap = row * self.dense.geometry.kernel + column;
                let of_tap = tap * self.dense.initial.len() + group.first * LANES;
                let of_tap = &self.dense.of_taps[of_tap..][..lanes];
                sums.iter_mut().zip(of_tap).for_each(|(sum, of)| *sum += of);
            }
        }
        sums
    }

    #[inline(always)]
    fn place(&self, x: usize, weights: usize, initial: &[i32], y: usize) -> Place {
        Place {
            x: self.x[x..].as_ptr(),
            w: self.dense.weights[weights..].as_ptr(),
            initial: initial.as_ptr(),
            y,
        }
    }
}
