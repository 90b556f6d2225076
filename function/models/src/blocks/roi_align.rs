//! RoIAlign: regions of a feature map at a fixed size.
//!
//! He et al., "Mask R-CNN", 2017, sample for sample as torchvision computes it
//! (`torchvision/csrc/ops/cpu/roi_align_kernel.cpp`).

use burn::tensor::{Device, Tensor};
use rayon::prelude::*;

use super::{from_host, to_host};

/// A feature map in host memory, for regions to be taken from.
pub struct FeatureMap {
    /// `[channels, height, width]`.
    shape: [usize; 3],
    values: Vec<f32>,
    scale: f32,
}

impl FeatureMap {
    /// Reads the map back from the device. `map` is `[1, channels, height, width]`, and `scale` the size
    /// of one pixel of the picture on it: 1 / stride.
    pub fn read(map: Tensor<4>, scale: f32) -> Self {
        let [_, channels, height, width] = map.dims();
        Self {
            shape: [channels, height, width],
            values: to_host(map),
            scale,
        }
    }
}

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

impl RoiAlign {
    /// Takes the regions `[x0, y0, x1, y1]`, in pixels of the picture, each from its map. All maps have
    /// the same channels, as many as `channels`. Result: `[rois, channels, size, size]`.
    pub fn forward(
        &self,
        rois: &[(&FeatureMap, [f32; 4])],
        channels: usize,
        device: &Device,
    ) -> Tensor<4> {
        let bins = self.size * self.size;
        let mut pooled = vec![0.0; rois.len() * channels * bins];
        pooled
            .par_chunks_exact_mut(channels * bins)
            .zip(rois)
            .for_each(|(pooled, (map, roi))| self.pool(map, roi, pooled));
        let shape = [rois.len(), channels, self.size, self.size];
        from_host(pooled, shape, device)
    }

    /// One region into `pooled`, `[channels, size, size]`.
    fn pool(&self, map: &FeatureMap, roi: &[f32; 4], pooled: &mut [f32]) {
        let [_, height, width] = map.shape;
        let [x0, y0, x1, y1] = roi.map(|v| v * map.scale - if self.aligned { 0.5 } else { 0.0 });
        let rows = self.samples(y0, y1, height);
        let columns = self.samples(x0, x1, width);
        let samples_a_bin = (rows.len() * columns.len()) / (self.size * self.size);
        let weight = 1.0 / samples_a_bin.max(1) as f32;

        let planes = map.values.chunks_exact(height * width);
        for (plane, pooled) in planes.zip(pooled.chunks_exact_mut(self.size * self.size)) {
            for (i, out) in pooled.iter_mut().enumerate() {
                let mut sum = 0.0;
                for row in bin(&rows, i / self.size, self.size) {
                    let (low, high) = (&plane[row.low * width..], &plane[row.high * width..]);
                    for column in bin(&columns, i % self.size, self.size) {
                        sum += row.low_weight
                            * (column.low_weight * low[column.low]
                                + column.high_weight * low[column.high])
                            + row.high_weight
                                * (column.low_weight * high[column.low]
                                    + column.high_weight * high[column.high]);
                    }
                }
                *out = sum * weight;
            }
        }
    }

    /// The samples along one axis of a map with `length` pixels, those of the first bin first.
    fn samples(&self, start: f32, end: f32, length: usize) -> Vec<Sample> {
        let extent = if self.aligned {
            end - start
        } else {
            (end - start).max(1.0)
        };
        let bin = extent / self.size as f32;
        let count = self.sampling.unwrap_or(bin.ceil() as usize);
        (0..self.size * count)
            .map(|i| {
                let offset = ((i % count) as f32 + 0.5) * bin / count as f32;
                Sample::at(start + (i / count) as f32 * bin + offset, length)
            })
            .collect()
    }
}

fn bin(samples: &[Sample], index: usize, bins: usize) -> &[Sample] {
    let count = samples.len() / bins;
    &samples[index * count..][..count]
}

/// Where one coordinate lies between two pixels.
struct Sample {
    low: usize,
    high: usize,
    low_weight: f32,
    high_weight: f32,
}

impl Sample {
    /// More than a pixel outside the map counts as zero, less as its edge.
    fn at(position: f32, length: usize) -> Self {
        if !(-1.0..=length as f32).contains(&position) {
            return Self {
                low: 0,
                high: 0,
                low_weight: 0.0,
                high_weight: 0.0,
            };
        }
        let position = position.clamp(0.0, (length - 1) as f32);
        let low = position as usize;
        let high_weight = position - low as f32;
        Self {
            low,
            high: (low + 1).min(length - 1),
            low_weight: 1.0 - high_weight,
            high_weight,
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use serde_json::Value;

    use super::{FeatureMap, RoiAlign};
    use crate::{
        blocks::{from_host, to_host},
        weights::seeded,
    };

    /// Compared with `scripts/parity_roi_align.py`.
    #[test]
    fn regions_equal_torchvisions() {
        let expected: Value =
            serde_json::from_str(include_str!("../../tests/parity/roi_align.json")).unwrap();
        let device = Device::flex();
        let values = seeded::weights().take("map", &[1, 3, 9, 11]).unwrap();
        let map = FeatureMap::read(from_host(values, [1, 3, 9, 11], &device), 1.0 / 8.0);
        let rois: Vec<_> = expected["rois"]
            .as_array()
            .unwrap()
            .iter()
            .map(|roi| {
                (
                    &map,
                    std::array::from_fn(|i| roi[i].as_f64().unwrap() as f32),
                )
            })
            .collect();
        for case in expected["cases"].as_array().unwrap() {
            let sampling = case["sampling"].as_u64().unwrap() as usize;
            let roi_align = RoiAlign {
                size: case["size"].as_u64().unwrap() as usize,
                sampling: (sampling > 0).then_some(sampling),
                aligned: case["aligned"].as_bool().unwrap(),
            };
            let pooled = roi_align.forward(&rois, 3, &device);
            let shape = pooled.dims();
            seeded::assert_close(&to_host(pooled), &shape, &case["pooled"], 1e-5);
        }
    }
}
