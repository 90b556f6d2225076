//! RoIAlign: regions of a feature map at a fixed size.
//!
//! He et al., "Mask R-CNN", 2017, with the samples that torchvision takes
//! (`torchvision/csrc/ops/cpu/roi_align_kernel.cpp`).
//!
//! There, a bin is the mean of its samples, each interpolated between four pixels. The weights of such an
//! interpolation are products of one along the rows and one along the columns, and so are those of the
//! mean: here the samples' weights are first added up for each row and each column of pixels under the
//! bin, and each pixel is read once, however many samples lie beside it. The sums are rounded otherwise,
//! by less than 1e-6 of the map's greatest value.

use std::sync::Arc;

use rayon::prelude::*;

use crate::{
    isa::Task,
    map::{Context, Map},
    shared::Shared,
    simd::{LANES, Simd},
    threads::threads,
};

/// How regions are sampled.
#[derive(Clone, Copy, Debug)]
pub struct RoiAlign {
    /// Side of the result in bins.
    pub size: usize,
    /// Samples a bin in each direction; `None` for as many as the bin has pixels, rounded up.
    pub sampling: Option<usize>,
    /// Whether coordinates mean pixel centres (half a pixel is taken off), and regions may be smaller
    /// than a pixel of the map.
    pub aligned: bool,
}

/// A region of interest, and the map that it is taken from.
#[derive(Clone, Copy, Debug)]
pub struct Roi<'a> {
    /// `[batch, channels, height, width]`.
    pub map: &'a Map,
    /// Which of its batch.
    pub image: usize,
    /// The size of one pixel of the picture on the map: 1 / stride.
    pub scale: f32,
    /// `x0, y0, x1, y1`, in pixels of the picture.
    pub bbox: [f32; 4],
}

/// Regions of a task.
const ROIS: usize = 16;

/// Blocks of channels that are pooled together. More would mean fewer steps, over more of a map than caches
/// hold.
const TOGETHER: usize = 2;

impl RoiAlign {
    /// Takes the regions, each from its map, all with as many channels as `channels`. Result:
    /// `[rois, channels, size, size]`.
    ///
    /// # Panics
    /// If a map lacks the image, is of other channels, or has no pixels.
    pub fn forward(&self, context: &Arc<Context>, rois: &[Roi<'_>], channels: usize) -> Map {
        for roi in rois {
            let [batch, channels_of_map, height, width] = roi.map.shape();
            assert!(roi.image < batch, "an image that a map lacks");
            assert_eq!(channels_of_map, channels, "channels of a map");
            assert!(height > 0 && width > 0, "a map without pixels");
        }
        let shape = [rois.len(), channels, self.size, self.size];
        let _timed = context.timed(|| "regions".to_owned(), shape, 0);
        let mut pooled = Map::any(context, shape);
        let regions: Vec<_> = if threads() == 1 {
            rois.iter().map(|roi| self.region(roi)).collect()
        } else {
            rois.par_iter().map(|roi| self.region(roi)).collect()
        };
        let blocks = pooled.blocks();
        self.pool(context, &regions, blocks, Shared::new(&mut pooled.values));
        pooled
    }

    /// Writes all of what regions are pooled to, so many blocks of channels.
    pub(crate) fn pool(
        &self,
        context: &Context,
        regions: &[Region<'_>],
        blocks: usize,
        pooled: Shared<'_, f32>,
    ) {
        let task = Pool {
            regions,
            bins: self.size * self.size * LANES,
            blocks,
            chunks: regions.len().div_ceil(ROIS),
            pooled,
        };
        let tasks = task.chunks * blocks.div_ceil(TOGETHER);
        context.isa.run_all(tasks, &task);
    }

    fn region<'a>(&self, roi: &Roi<'a>) -> Region<'a> {
        self.region_of(
            &roi.map.values,
            roi.map.shape(),
            roi.image,
            roi.scale,
            roi.bbox,
        )
    }

    /// Of a map of this shape, of which these are the values.
    pub(crate) fn region_of<'a>(
        &self,
        values: &'a [f32],
        shape: [usize; 4],
        image: usize,
        scale: f32,
        bbox: [f32; 4],
    ) -> Region<'a> {
        let [_, _, height, width] = shape;
        let half = if self.aligned { 0.5 } else { 0.0 };
        let [x0, y0, x1, y1] = bbox.map(|v| v * scale - half);
        Region {
            values,
            shape,
            image,
            rows: self.bins(y0, y1, height, width * LANES),
            columns: self.bins(x0, x1, width, LANES),
        }
    }

    /// What the bins along one axis of a map with `length` pixels are summed from, first to last. `step` is
    /// the distance of the pixels in memory, in floats.
    fn bins(&self, start: f32, end: f32, length: usize, step: usize) -> Bins {
        let extent = if self.aligned {
            end - start
        } else {
            (end - start).max(1.0)
        };
        let bin = extent / self.size as f32;
        let samples = self.sampling.unwrap_or(bin.ceil() as usize);
        let mut pixels = Vec::with_capacity(self.size * 2 * samples.min(length));
        let mut ends = Vec::with_capacity(self.size);
        for index in 0..self.size {
            let first = pixels.len();
            for sample in 0..samples {
                let offset = (sample as f32 + 0.5) * bin / samples as f32;
                let position = start + index as f32 * bin + offset;
                for (pixel, weight) in neighbours(position, length) {
                    add(&mut pixels, first, pixel * step, weight);
                }
            }
            ends.push(pixels.len());
        }
        Bins {
            pixels,
            ends,
            samples,
        }
    }
}

/// The pixels on both sides of a position and their weights. More than a pixel outside the map counts as
/// zero, less as its edge.
fn neighbours(position: f32, length: usize) -> [(usize, f32); 2] {
    if !(-1.0..=length as f32).contains(&position) {
        return [(0, 0.0); 2];
    }
    let position = position.clamp(0.0, (length - 1) as f32);
    let low = position as usize;
    let weight = position - low as f32;
    [(low, 1.0 - weight), ((low + 1).min(length - 1), weight)]
}

/// Adds to the weight of a pixel of the bin that begins at `first`.
fn add(pixels: &mut Vec<Weighted>, first: usize, offset: usize, weight: f32) {
    if weight == 0.0 {
        return;
    }
    // Samples go forward: the pixels of one are the last two or new ones.
    let last_two = pixels.len().saturating_sub(2).max(first);
    let known = pixels[last_two..]
        .iter_mut()
        .find(|pixel| pixel.offset == offset);
    match known {
        Some(pixel) => pixel.weight += weight,
        None => pixels.push(Weighted { offset, weight }),
    }
}

/// A row or column of pixels, and its weight in a bin.
#[derive(Clone, Copy)]
pub(crate) struct Weighted {
    /// From the start of the map, in floats.
    pub(crate) offset: usize,
    pub(crate) weight: f32,
}

/// What the bins along one axis are summed from.
pub(crate) struct Bins {
    pixels: Vec<Weighted>,
    /// Where in `pixels` each bin ends and the next begins.
    ends: Vec<usize>,
    /// Samples of each bin.
    samples: usize,
}

impl Bins {
    #[inline(always)]
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[Weighted]> {
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let bin = &self.pixels[start..end];
            start = end;
            bin
        })
    }
}

/// A region and where it is sampled.
pub(crate) struct Region<'a> {
    /// Of the map.
    values: &'a [f32],
    /// Of the map, `[batch, channels, height, width]`.
    shape: [usize; 4],
    pub(crate) image: usize,
    pub(crate) rows: Bins,
    pub(crate) columns: Bins,
}

impl Region<'_> {
    /// What each sample counts for in its bin.
    #[inline(always)]
    pub(crate) fn share(&self) -> f32 {
        1.0 / (self.rows.samples * self.columns.samples).max(1) as f32
    }
}

struct Pool<'a> {
    regions: &'a [Region<'a>],
    /// Floats of a pooled region in a block.
    bins: usize,
    /// Blocks of channels.
    blocks: usize,
    /// Of [`ROIS`] regions.
    chunks: usize,
    pooled: Shared<'a, f32>,
}

impl Task for Pool<'_> {
    /// Some regions in some blocks. All regions of some blocks come before other blocks: regions overlap,
    /// and blocks of a large map are larger than caches.
    #[inline(always)]
    fn run<S: Simd>(&self, index: usize) {
        let first_block = index / self.chunks * TOGETHER;
        let blocks = first_block..self.blocks.min(first_block + TOGETHER);
        let first = index % self.chunks * ROIS;
        let regions = self.regions.iter().enumerate().skip(first).take(ROIS);
        for (index, region) in regions {
            let [batch, _, height, width] = region.shape;
            let x_image = height * width * LANES;
            let x_block = batch * x_image;
            let y_block = self.regions.len() * self.bins;
            // SAFETY: the region lies in the result; its bins in these blocks are this task's. Offsets of
            // rows and columns lead to pixels of its image.
            unsafe {
                let y = self.pooled.at(blocks.start * y_block + index * self.bins);
                let x = &region.values[blocks.start * x_block + region.image * x_image..];
                let x = x.as_ptr();
                if blocks.len() == TOGETHER {
                    region.pool::<S, TOGETHER>(x, x_block, y, y_block);
                } else {
                    for block in 0..blocks.len() {
                        region.pool::<S, 1>(
                            x.add(block * x_block),
                            x_block,
                            y.add(block * y_block),
                            y_block,
                        );
                    }
                }
            }
        }
    }
}

impl Region<'_> {
    /// # Safety
    /// `x` is the first pixel of the image in `J` blocks of the map, and `y` the first bin of the region in as many of
    /// the result, which nobody else reads or writes. Between blocks are `x_block` and `y_block` floats.
    #[inline(always)]
    unsafe fn pool<S: Simd, const J: usize>(
        &self,
        x: *const f32,
        x_block: usize,
        mut y: *mut f32,
        y_block: usize,
    ) {
        let share = S::splat(self.share());
        for rows in self.rows.iter() {
            for columns in self.columns.iter() {
                let mut sums = [S::splat(0.0); J];
                for row in rows {
                    let mut along = [S::splat(0.0); J];
                    for column in columns {
                        let weight = S::splat(column.weight);
                        for (j, along) in along.iter_mut().enumerate() {
                            // SAFETY: the caller's.
                            *along = unsafe {
                                let x = x.add(row.offset + column.offset + j * x_block);
                                S::mul_add(weight, S::load(x), *along)
                            };
                        }
                    }
                    let weight = S::splat(row.weight);
                    for (sum, along) in sums.iter_mut().zip(along) {
                        *sum = S::mul_add(weight, along, *sum);
                    }
                }
                for (j, sum) in sums.into_iter().enumerate() {
                    // SAFETY: the caller's.
                    unsafe { S::store(y.add(j * y_block), S::mul(sum, share)) };
                }
                // SAFETY: the bins of a block lie one behind the other.
                y = unsafe { y.add(LANES) };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Roi, RoiAlign, neighbours};
    use crate::testing::{assert_close, contexts, map, noise};

    /// One plane, as torchvision does it: sample for sample.
    fn pool(
        how: &RoiAlign,
        plane: &[f32],
        [height, width]: [usize; 2],
        scale: f32,
        bbox: [f32; 4],
    ) -> Vec<f32> {
        let half = if how.aligned { 0.5 } else { 0.0 };
        let [x0, y0, x1, y1] = bbox.map(|v| v * scale - half);
        let axis = |start: f32, end: f32| {
            let extent = if how.aligned {
                end - start
            } else {
                (end - start).max(1.0)
            };
            let bin = extent / how.size as f32;
            (bin, how.sampling.unwrap_or(bin.ceil() as usize))
        };
        let ((bin_height, rows), (bin_width, columns)) = (axis(y0, y1), axis(x0, x1));
        let mut pooled = Vec::new();
        for (i, j) in (0..how.size).flat_map(|i| (0..how.size).map(move |j| (i, j))) {
            let mut sum = 0.0;
            for row in 0..rows {
                let offset = (row as f32 + 0.5) * bin_height / rows as f32;
                let y = neighbours(y0 + i as f32 * bin_height + offset, height);
                for column in 0..columns {
                    let offset = (column as f32 + 0.5) * bin_width / columns as f32;
                    let x = neighbours(x0 + j as f32 * bin_width + offset, width);
                    for (y, y_weight) in y {
                        for (x, x_weight) in x {
                            sum += y_weight * x_weight * plane[y * width + x];
                        }
                    }
                }
            }
            pooled.push(sum / (rows * columns).max(1) as f32);
        }
        pooled
    }

    fn boxes() -> impl Strategy<Value = [f32; 4]> {
        // Some of them outside of the picture, some inside out.
        (
            -20.0..90.0_f32,
            -20.0..70.0_f32,
            -3.0..80.0_f32,
            -3.0..60.0_f32,
        )
            .prop_map(|(x, y, width, height)| [x, y, x + width, y + height])
    }

    proptest! {
        #[test]
        fn regions_are_sampled(
            channels in 1..150_usize, size in 1..8_usize,
            sampling in prop::option::of(1..4_usize), aligned: bool,
            boxes in prop::collection::vec(boxes(), 0..20), seed: u32,
        ) {
            // Two levels of pyramids on pictures of 80 x 64.
            let levels = [([3, channels, 8, 10], 1.0 / 8.0), ([3, channels, 4, 5], 1.0 / 16.0)];
            let planar = levels.map(|(shape, _)| noise(shape.iter().product(), seed));
            let how = RoiAlign { size, sampling, aligned };
            let mut expected = Vec::new();
            for (i, bbox) in boxes.iter().enumerate() {
                let ([_, _, height, width], scale) = levels[i % 2];
                let planes = planar[i % 2].chunks_exact(height * width);
                for plane in planes.skip(i % 3 * channels).take(channels) {
                    expected.extend(pool(&how, plane, [height, width], scale, *bbox));
                }
            }
            for context in contexts() {
                let maps = [0, 1].map(|level| map(&context, &planar[level], levels[level].0));
                let rois: Vec<_> = boxes.iter().enumerate().map(|(i, &bbox)| Roi {
                    map: &maps[i % 2],
                    image: i % 3,
                    scale: levels[i % 2].1,
                    bbox,
                }).collect();
                let pooled = how.forward(&context, &rois, channels);
                prop_assert_eq!(pooled.shape(), [rois.len(), channels, size, size]);
                let pooled = pooled.to_planar();
                // Of the greatest value of the map, 1, not of what may be left of it.
                for (value, expected) in pooled.iter().zip(&expected) {
                    prop_assert!((value - expected).abs() < 1e-6, "{} {}", value, expected);
                }
            }
        }
    }

    #[test]
    fn many_samples_are_as_precise() {
        let shape = [1, 20, 100, 120];
        let planar = noise(shape.iter().product(), 3);
        let bbox = [1.3, 2.4, 117.9, 98.2];
        for sampling in [None, Some(64)] {
            let how = RoiAlign {
                size: 3,
                sampling,
                aligned: false,
            };
            let expected: Vec<_> = planar
                .chunks_exact(100 * 120)
                .flat_map(|plane| pool(&how, plane, [100, 120], 1.0, bbox))
                .collect();
            for context in contexts() {
                let map = map(&context, &planar, shape);
                let roi = Roi {
                    map: &map,
                    image: 0,
                    scale: 1.0,
                    bbox,
                };
                let pooled = how.forward(&context, &[roi], 20).to_planar();
                for (value, expected) in pooled.iter().zip(&expected) {
                    assert!((value - expected).abs() < 1e-6, "{value} {expected}");
                }
            }
        }
    }

    #[test]
    fn no_number_is_no_region() {
        for context in contexts() {
            let map = map(&context, &[1.0; 17 * 20], [1, 17, 4, 5]);
            let roi = Roi {
                map: &map,
                image: 0,
                scale: 1.0,
                bbox: [f32::NAN; 4],
            };
            for sampling in [None, Some(2)] {
                let how = RoiAlign {
                    size: 2,
                    sampling,
                    aligned: true,
                };
                let pooled = how.forward(&context, &[roi], 17).to_planar();
                assert_close(&pooled, &[0.0; 17 * 4], 0.0);
            }
        }
    }
}
