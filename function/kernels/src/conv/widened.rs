//! A pointwise convolution and the depthwise one behind it, without the map between them.
//!
//! Networks for phones widen a map, often sixfold, for a depthwise convolution, and narrow it again. The wide map is
//! the largest of all. Here it is made a few rows of a few blocks of channels at a time, which the depthwise
//! convolution reads while they are in the cache.

use super::{
    Conv,
    depthwise::Depthwise,
    direct::{Direct, Group},
};
use crate::{
    arena::Arena,
    isa::Task,
    map::Map,
    rows::tasks,
    shared::Shared,
    simd::{LANES, Simd},
};

/// Floats of the wide map under which it might as well be made: it stays in the caches.
const LEAST: usize = 1 << 20;

/// As [`LEAST`], of small maps that are made whole for a group of blocks, so that no row is made twice.
const LEAST_OF_WHOLE: usize = 1 << 18;

/// Floats of it that there are at a time: most of a second-level cache.
const AT_ONCE: usize = 160 << 10;

/// Blocks of a group at the most, with any instructions.
const MOST_BLOCKS: usize = 4;

/// Output rows that are made together at the least: rows at the edges are made for both sides.
const LEAST_ROWS: usize = 4;

/// Whether `wide` should not be made whole.
pub(super) fn pays(wide: [usize; 4]) -> bool {
    let [batch, channels, height, width] = wide;
    let whole = height * width * LANES * MOST_BLOCKS <= AT_ONCE;
    let least = if whole { LEAST_OF_WHOLE } else { LEAST };
    batch * channels.next_multiple_of(LANES) * height * width >= least
}

/// Both convolutions, of `x` to `y`.
pub(super) fn forward(
    (wide, direct): (&Conv, &Direct),
    (conv, depthwise): (&Conv, &Depthwise),
    x: &Map,
    y: &mut Map,
) {
    let [batch, _, height, width] = x.shape();
    let [_, _, rows, columns] = y.shape();
    if batch * rows * columns == 0 {
        return;
    }
    let geometry = conv.geometry();
    let of_row = width * LANES * direct.groups().iter().map(|g| g.blocks).max().unwrap_or(1);
    let reach = (geometry.kernel - 1) * geometry.dilation;
    let fitting = (AT_ONCE / of_row).saturating_sub(reach) / geometry.stride;
    let cost = x.blocks() * LANES * y.blocks() * batch * height * width;
    let for_all = (batch * rows * direct.groups().len()).div_ceil(tasks(cost));
    let band = fitting.min(for_all).max(LEAST_ROWS).min(rows);
    let bands = rows.div_ceil(band);
    let isa = y.context().isa;
    let arena = y.context().arena.clone();
    let groups = direct.groups();
    let task = Run {
        wide,
        direct,
        conv,
        depthwise,
        x,
        output: [rows, columns],
        band,
        bands,
        arena: &arena,
        y: Shared::new(&mut y.values),
    };
    isa.run_all(batch * bands * groups.len(), &task);
}

/// One call; a task is a band of rows of a map, for a group of blocks.
struct Run<'a> {
    wide: &'a Conv,
    direct: &'a Direct,
    conv: &'a Conv,
    depthwise: &'a Depthwise,
    x: &'a Map,
    /// Rows and columns.
    output: [usize; 2],
    /// Output rows of a band.
    band: usize,
    /// Bands of a map.
    bands: usize,
    arena: &'a Arena,
    y: Shared<'a, f32>,
}

impl Task for Run<'_> {
    #[inline(always)]
    fn run<S: Simd>(&self, index: usize) {
        let groups = self.direct.groups();
        let (group, map_and_band) = (groups[index % groups.len()], index / groups.len());
        let (map, band) = (map_and_band / self.bands, map_and_band % self.bands);
        let [batch, _, height, width] = self.x.shape();
        let [rows, columns] = self.output;
        let (start, end) = (band * self.band, rows.min((band + 1) * self.band));
        let geometry = self.conv.geometry();
        let how = (geometry, self.conv.activation);

        // From the first row of the wide map that the kernel lies on to one past the last.
        let (mut first, mut last) = (height, 0);
        for row in start..end {
            let ([top, bottom], x_row) = geometry.taps(row, height);
            if top < bottom {
                first = first.min(x_row);
                last = last.max(x_row + (bottom - 1 - top) * geometry.dilation + 1);
            }
        }
        first = first.min(last);
        let pixels = (last - first) * width;
        let mut wide = self.arena.take::<f32>(group.blocks * pixels * LANES);
        let from = (map * height + first) * width;
        self.widen::<S>(&group, from, pixels, &mut wide);

        for block in 0..group.blocks {
            let of_block = &wide[block * pixels * LANES..][..pixels * LANES];
            for row in start..end {
                let (taps, x_row) = geometry.taps(row, height);
                let at = (taps, x_row.saturating_sub(first));
                let block = group.first + block;
                let line = self.depthwise.line(how, block, of_block, width, at);
                let plane = (block * batch + map) * rows + row;
                // SAFETY: rows of the output are each one task's.
                let y = unsafe { self.y.part(plane * columns * LANES, columns * LANES) };
                line.run::<S>(y, columns);
            }
        }
    }
}

impl Run<'_> {
    #[inline(always)]
    fn widen<S: Simd>(&self, group: &Group, from: usize, pixels: usize, to: &mut [f32]) {
        if pixels > 0 {
            self.direct
                .pixels::<S>(self.wide, group, self.x, [from, pixels], to);
        }
    }
}
