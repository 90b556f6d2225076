//! Convolution as it is written down: every tap of every input channel, for any kernel.
//!
//! Nothing is padded or copied. A row of outputs is cut into stretches in which the same taps lie on the
//! input; taps beside it are not multiplied with.

use super::{
    Conv, Geometry,
    source::Source,
    tile::{Place, Stretch},
};
use crate::{
    arena::{Arena, Buffer},
    isa::{Isa, Task},
    map::Map,
    rows::tasks,
    shared::Shared,
    simd::{LANES, Simd},
};

/// Bytes of weights that are gone through for a band of pixels before the next input channels: they stay in
/// the first-level cache.
const WEIGHTS_AT_ONCE: usize = 28 << 10;

/// Bytes of input that a task works on: as many as stay in the second-level cache while it goes through
/// the output channels.
const INPUT_AT_ONCE: usize = 256 << 10;

/// Rows of a task where not even one stays in that cache: for so many, the weights are worth reading.
const LEAST_LONG_ROWS: usize = 8;

/// A dense convolution.
pub(super) struct Direct {
    groups: Vec<Group>,
    /// One group after the other, each `[input blocks, kernel, kernel, LANES, blocks of the group, LANES]`.
    weights: Buffer<f32>,
    /// One value an output channel, and zeros up to a whole block.
    bias: Vec<f32>,
}

/// Blocks of output channels that a tile covers together.
#[derive(Clone, Copy)]
pub(super) struct Group {
    pub(super) first: usize,
    pub(super) blocks: usize,
    /// Of its first weight.
    weights: usize,
}

/// Cuts `blocks` into as few groups of at most `most` as there can be, of about equal size.
pub(crate) fn groups(blocks: usize, most: usize) -> impl Iterator<Item = (usize, usize)> {
    let count = blocks.div_ceil(most);
    (0..count).map(move |index| {
        let first = blocks * index / count;
        (first, blocks * (index + 1) / count - first)
    })
}

impl Direct {
    /// Keeps its weights in `arena`.
    pub(super) fn new(
        isa: Isa,
        arena: &Arena,
        geometry: &Geometry,
        weight: &[f32],
        bias: &[f32],
    ) -> Self {
        let Geometry {
            inputs,
            outputs,
            kernel,
            ..
        } = *geometry;
        let taps = kernel * kernel;
        let blocks = outputs.div_ceil(LANES);
        let padded_inputs = inputs.next_multiple_of(LANES);
        let mut packed = arena.take(blocks * LANES * padded_inputs * taps);
        packed.fill(0.0);
        let mut start = 0;
        let groups = groups(blocks, isa.most_blocks()).map(|(first, blocks)| {
            let lanes = blocks * LANES;
            for output in first * LANES..outputs.min((first + blocks) * LANES) {
                for input in 0..inputs {
                    for tap in 0..taps {
                        let row = (input / LANES * taps + tap) * LANES + input % LANES;
                        packed[start + row * lanes + output - first * LANES] =
                            weight[(output * inputs + input) * taps + tap];
                    }
                }
            }
            let group = Group {
                first,
                blocks,
                weights: start,
            };
            start += lanes * padded_inputs * taps;
            group
        });
        let groups = groups.collect();
        let mut padded = vec![0.0; blocks * LANES];
        padded[..outputs].copy_from_slice(bias);
        Self {
            groups,
            weights: packed,
            bias: padded,
        }
    }

    pub(super) fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// Of a pointwise convolution, a group's outputs of so many pixels, from one on: those of all maps lie one
    /// behind the other. To `[blocks, pixels, LANES]`.
    #[inline(always)]
    pub(super) fn pixels<S: Simd>(
        &self,
        conv: &Conv,
        group: &Group,
        x: &Map,
        [from, pixels]: [usize; 2],
        to: &mut [f32],
    ) {
        let inputs = conv.geometry.inputs;
        let x_block = x.values.len() / x.blocks();
        let w_block = LANES * group.blocks * LANES;
        let at_once = (WEIGHTS_AT_ONCE / size_of::<f32>() / w_block).max(1) * LANES;
        assert!(x_block >= (from + pixels) * LANES && to.len() == group.blocks * pixels * LANES);
        let mut first = 0;
        while first < inputs {
            let end = inputs.min(first + at_once);
            let stretch = Stretch {
                inputs: end - first,
                taps: [1, 1],
                x_pixel: LANES,
                x_tap: [0, 0],
                x_block,
                w_tap: [0, 0],
                w_block,
                y_block: pixels * LANES,
                resume: first > 0,
                finish: (end == inputs).then_some(conv.activation),
            };
            let place = Place {
                x: x.values[first / LANES * x_block + from * LANES..].as_ptr(),
                w: self.weights[group.weights + first / LANES * w_block..].as_ptr(),
                bias: self.bias[group.first * LANES..].as_ptr(),
                residual: std::ptr::null(),
                y: to.as_mut_ptr(),
            };
            // SAFETY: asserted above; there are weights for all inputs.
            unsafe { stretch.run::<S>(group.blocks, pixels, place) };
            first = end;
        }
    }

    /// `residual` and `y` are in the layout of a map.
    pub(super) fn forward(
        &self,
        conv: &Conv,
        isa: Isa,
        x: Source<'_>,
        residual: Option<&[f32]>,
        y: &mut [f32],
    ) {
        let [batch, _, height, width] = x.shape;
        let [_, _, rows_of_map, columns] = conv.geometry.output_shape(x.shape);
        let pixels = batch * rows_of_map * columns;
        if pixels == 0 {
            return;
        }
        let geometry = conv.geometry();
        let one_row = if geometry.is_pointwise() {
            Some(x.pixel)
        } else if geometry.covers([height, width]) {
            Some(height * width * x.pixel)
        } else {
            None
        };
        // Bands of whole rows, or of whole tiles where there is only one.
        let ([rows, columns], [units, unit]) = if one_row.is_some() {
            ([1, pixels], [pixels.div_ceil(ONE_ROW_UNIT), ONE_ROW_UNIT])
        } else {
            ([batch * rows_of_map, columns], [batch * rows_of_map, 1])
        };
        let cost = pixels * self.weights.len() / LANES;
        let wanted = tasks(cost);
        // A fully connected layer reads each input once, and far more weights: these should be read rarely.
        let input = if geometry.covers([height, width]) {
            size_of_val(x.values) / (height * width)
        } else {
            size_of_val(x.values)
        };
        let rows_are_long = one_row.is_none() && input / units > INPUT_AT_ONCE;
        let least = if rows_are_long { LEAST_LONG_ROWS } else { 1 };
        let units_of_band = units.div_ceil(wanted.max(input / INPUT_AT_ONCE)).max(least);
        let bands = units.div_ceil(units_of_band);
        let parts = (wanted / bands).clamp(1, self.groups.len());
        let task = Run {
            direct: self,
            conv,
            x: x.values,
            pixel: x.pixel,
            input: [height, width],
            output: [rows, columns],
            one_row,
            rows_of_map,
            stretches: match one_row {
                Some(_) => Vec::new(),
                None => stretches(geometry, width, columns),
            },
            band: units_of_band * unit,
            bands,
            parts,
            residual,
            y: Shared::new(y),
        };
        isa.run_all(bands * parts, &task);
    }
}

/// Outputs of a row in which the same taps of the kernel lie on the input.
pub(crate) struct Columns {
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// The taps, and the column of the input that the first of them lies on for the first output.
    pub(crate) taps: [usize; 2],
    pub(crate) x: usize,
}

/// Cuts a row of outputs.
pub(crate) fn stretches(geometry: &Geometry, width: usize, columns: usize) -> Vec<Columns> {
    let mut stretches: Vec<Columns> = Vec::with_capacity(2 * geometry.kernel + 1);
    for column in 0..columns {
        let (taps, x) = geometry.taps(column, width);
        match stretches.last_mut() {
            Some(last) if last.taps == taps => last.end = column + 1,
            _ => stretches.push(Columns {
                start: column,
                end: column + 1,
                taps,
                x,
            }),
        }
    }
    stretches
}

/// A multiple of every tile's pixels.
const ONE_ROW_UNIT: usize = 24;

/// One call.
struct Run<'a> {
    direct: &'a Direct,
    conv: &'a Conv,
    x: &'a [f32],
    /// Floats from an input pixel to the next.
    pixel: usize,
    /// Rows and columns of one map of the input.
    input: [usize; 2],
    /// Rows of all maps of the output, and columns; or one row, and its columns.
    output: [usize; 2],
    /// Where all outputs of a block are one row, with all taps on the input: floats from the input under an
    /// output to the one under the next.
    one_row: Option<usize>,
    rows_of_map: usize,
    stretches: Vec<Columns>,
    /// Rows of a band; or pixels, where all are one row.
    band: usize,
    bands: usize,
    /// The output channels are cut into so many parts.
    parts: usize,
    residual: Option<&'a [f32]>,
    y: Shared<'a, f32>,
}

impl Task for Run<'_> {
    #[inline(always)]
    fn run<S: Simd>(&self, index: usize) {
        let (band, part) = (index % self.bands, index / self.bands);
        let groups = &self.direct.groups;
        let of = |part| part * groups.len() / self.parts;
        for group in &groups[of(part)..of(part + 1)] {
            self.group::<S>(group, band * self.band);
        }
    }
}

impl Run<'_> {
    /// A group of output blocks of a band, a few input blocks after the other.
    #[inline(always)]
    fn group<S: Simd>(&self, group: &Group, start: usize) {
        let Geometry { inputs, kernel, .. } = self.conv.geometry;
        let taps = kernel * kernel;
        let bytes_of_block = taps * LANES * group.blocks * LANES * size_of::<f32>();
        let at_once = (WEIGHTS_AT_ONCE / bytes_of_block).max(1) * LANES;
        let mut first = 0;
        while first < inputs {
            let end = inputs.min(first + at_once);
            self.inputs::<S>(group, start, first, end);
            first = end;
        }
    }

    /// The share of input channels `first..end` in a group of output blocks of a band.
    #[inline(always)]
    fn inputs<S: Simd>(&self, group: &Group, start: usize, first: usize, end: usize) {
        let geometry = &self.conv.geometry;
        let Geometry {
            kernel, dilation, ..
        } = *geometry;
        let [height, width] = self.input;
        let [rows, columns] = self.output;
        let w_tap = LANES * group.blocks * LANES;
        let all = Stretch {
            inputs: end - first,
            taps: [1, 1],
            x_pixel: geometry.stride * self.pixel,
            x_tap: [dilation * width * self.pixel, dilation * self.pixel],
            x_block: self.x.len() / geometry.inputs.div_ceil(LANES),
            w_tap: [kernel * w_tap, w_tap],
            w_block: kernel * kernel * w_tap,
            y_block: rows * columns * LANES,
            resume: first > 0,
            finish: (end == geometry.inputs).then_some(self.conv.activation),
        };
        let x = first / LANES * all.x_block;
        let weights = group.weights + first / LANES * all.w_block;
        let y = group.first * all.y_block;

        if let Some(x_pixel) = self.one_row {
            let stretch = Stretch {
                taps: [kernel; 2],
                x_pixel,
                ..all
            };
            let count = self.band.min(columns - start);
            let place = self.place(group, x + start * x_pixel, weights, y + start * LANES);
            // SAFETY: `start..start + count` are outputs, and all their taps lie on the input.
            unsafe { stretch.run::<S>(group.blocks, count, place) };
            return;
        }
        for row in start..rows.min(start + self.band) {
            let (map, row_of_map) = (row / self.rows_of_map, row % self.rows_of_map);
            let ([top, bottom], x_row) = geometry.taps(row_of_map, height);
            for columns_of in &self.stretches {
                let [left, right] = columns_of.taps;
                let stretch = Stretch {
                    // Where the kernel lies beside the input, there is nothing to sum.
                    inputs: if top < bottom && left < right {
                        all.inputs
                    } else {
                        0
                    },
                    taps: [bottom - top, right - left],
                    ..all
                };
                let place = self.place(
                    group,
                    x + ((map * height + x_row) * width + columns_of.x) * self.pixel,
                    weights + top * all.w_tap[0] + left * all.w_tap[1],
                    y + (row * columns + columns_of.start) * LANES,
                );
                let count = columns_of.end - columns_of.start;
                // SAFETY: for these outputs, the taps from `left` to `right` lie on the input's columns, and
                // those from `top` to `bottom` on its rows.
                unsafe { stretch.run::<S>(group.blocks, count, place) };
            }
        }
    }

    #[inline(always)]
    fn place(&self, group: &Group, x: usize, weights: usize, y: usize) -> Place {
        Place {
            x: self.x[x..].as_ptr(),
            w: self.direct.weights[weights..].as_ptr(),
            bias: self.direct.bias[group.first * LANES..].as_ptr(),
            residual: self
                .residual
                .map_or(std::ptr::null(), |residual| residual[y..].as_ptr()),
            // SAFETY: an output of this band, and of this group of channels, which are this task's alone.
            y: unsafe { self.y.at(y) },
        }
    }
}
