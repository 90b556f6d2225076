//! RoIAlign: regions of feature maps at a fixed size.

use std::sync::Arc;

use segmenter_kernels as kernels;
pub use segmenter_kernels::RoiAlign;

use super::{
    Device,
    map::{Map, Values},
};

/// A feature map in host memory, for regions to be taken from.
pub struct FeatureMap {
    map: Arc<kernels::Map>,
    scale: f32,
}

impl FeatureMap {
    /// Reads the map back from the device. `map` is `[1, channels, height, width]`, and `scale` the size
    /// of one pixel of the picture on it: 1 / stride.
    pub fn read(map: Map, scale: f32, device: &Device) -> Self {
        let map = match map.0 {
            Values::Kernels(map) => map,
            Values::Quantized(map) => Arc::new(map.dequantize()),
            _ => {
                let planar = kernels::Map::from_planar(&device.host(), &map.to_host(), map.dims());
                Arc::new(planar)
            }
        };
        Self { map, scale }
    }
}

/// Takes the regions `[x0, y0, x1, y1]`, in pixels of the picture, each from its map. All maps have the same
/// channels, as many as `channels`. Result: `[rois, channels, size, size]`, floats.
///
/// Every device's regions are taken in host memory: they are a sliver of the time on a processor, and their
/// places are known there first.
pub fn roi_align(
    how: &RoiAlign,
    rois: &[(&FeatureMap, [f32; 4])],
    channels: usize,
    device: &Device,
) -> Map {
    let rois: Vec<kernels::Roi<'_>> = rois
        .iter()
        .map(|&(FeatureMap { map, scale }, bbox)| kernels::Roi {
            map,
            scale: *scale,
            bbox,
        })
        .collect();
    let pooled = how.forward(&device.host(), &rois, channels);
    match device {
        Device::Burn(_) => Map::from_host(&pooled.to_planar(), pooled.shape(), device),
        Device::Kernels(..) => Map(pooled.into()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::{FeatureMap, Map, RoiAlign, roi_align};
    use crate::weights::seeded;

    /// Compared with `scripts/parity_roi_align.py`.
    #[test]
    fn regions_equal_torchvisions() {
        let expected: Value =
            serde_json::from_str(include_str!("../../tests/parity/roi_align.json")).unwrap();
        let values = seeded::weights().take("map", &[1, 3, 9, 11]).unwrap();
        for device in seeded::devices() {
            let map = Map::from_host(&values, [1, 3, 9, 11], &device);
            let map = FeatureMap::read(map, 1.0 / 8.0, &device);
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
                let how = RoiAlign {
                    size: case["size"].as_u64().unwrap() as usize,
                    sampling: (sampling > 0).then_some(sampling),
                    aligned: case["aligned"].as_bool().unwrap(),
                };
                let pooled = roi_align(&how, &rois, 3, &device);
                let shape = pooled.dims();
                seeded::assert_close(&pooled.to_host(), &shape, &case["pooled"], 1e-5);
            }
        }
    }
}
