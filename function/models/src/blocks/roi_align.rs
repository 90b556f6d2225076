//! RoIAlign: regions of feature maps at a fixed size.

use std::sync::Arc;

use segmenter_kernels as kernels;
pub use segmenter_kernels::RoiAlign;

#[cfg(any(feature = "gpu", feature = "training"))]
use super::map::another_device;
#[cfg(feature = "training")]
use super::training::{self, Blocked};
use super::{
    Device,
    map::{Map, Values},
};

/// A feature map for regions to be taken from.
pub struct FeatureMap {
    values: Regional,
    scale: f32,
}

/// A region of interest, and the map that it is taken from.
#[derive(Clone, Copy)]
pub struct Roi<'a> {
    /// On the device that the regions are taken on.
    pub map: &'a FeatureMap,
    /// Which of its batch.
    pub image: usize,
    /// `[x0, y0, x1, y1]`, in pixels of the picture.
    pub bbox: [f32; 4],
}

/// Where regions are taken.
enum Regional {
    /// In host memory.
    Host(Arc<kernels::Map>),
    /// On the GPU that the map is on.
    #[cfg(feature = "gpu")]
    Gpu(segmenter_gpu::Map),
    /// By burn, which goes back from them.
    #[cfg(feature = "training")]
    Trained(Blocked),
}

impl Regional {
    fn host(&self) -> &kernels::Map {
        match self {
            Self::Host(map) => map,
            #[cfg(any(feature = "gpu", feature = "training"))]
            _ => another_device(),
        }
    }

    #[cfg(feature = "gpu")]
    fn gpu(&self) -> &segmenter_gpu::Map {
        match self {
            Self::Gpu(map) => map,
            _ => another_device(),
        }
    }
}

impl FeatureMap {
    /// Brings the map to where its device takes regions. `map` is `[batch, channels, height, width]`, and `scale` the
    /// size of one pixel of the picture on it: 1 / stride.
    pub fn read(map: Map, scale: f32, device: &Device) -> Self {
        let values = match map.0 {
            Values::Kernels(map) => Regional::Host(map),
            Values::Quantized(map) => Regional::Host(Arc::new(map.dequantize())),
            #[cfg(feature = "gpu")]
            Values::Gpu(map) => Regional::Gpu(map),
            #[cfg(feature = "training")]
            Values::Blocked(map) => Regional::Trained(map),
            _ => {
                let planar = kernels::Map::from_planar(&device.host(), &map.to_host(), map.dims());
                Regional::Host(Arc::new(planar))
            }
        };
        Self { values, scale }
    }
}

/// Takes the regions, each from its map. All maps have the same channels, as many as `channels`. Result:
/// `[rois, channels, size, size]`, floats.
///
/// burn's devices have their regions taken in host memory, where their places are known first. Of a map that is trained
/// they can be differentiated, too; then all are from that one.
pub fn roi_align(how: &RoiAlign, rois: &[Roi<'_>], channels: usize, device: &Device) -> Map {
    #[cfg(feature = "training")]
    if let Some(FeatureMap {
        values: Regional::Trained(map),
        scale,
    }) = rois.first().map(|roi| roi.map)
    {
        let boxes = rois.iter().map(|roi| (roi.image, roi.bbox)).collect();
        let pooled = training::pool(*how, map, *scale, boxes);
        return Map(Values::Blocked(pooled));
    }
    #[cfg(feature = "gpu")]
    if let Device::Gpu(gpu, _) = device {
        let rois: Vec<_> = rois
            .iter()
            .map(|&Roi { map, image, bbox }| segmenter_gpu::Roi {
                map: map.values.gpu(),
                image,
                scale: map.scale,
                bbox,
            })
            .collect();
        return Map(Values::Gpu(segmenter_gpu::roi_align(
            gpu, how, &rois, channels,
        )));
    }
    let rois: Vec<kernels::Roi<'_>> = rois
        .iter()
        .map(|&Roi { map, image, bbox }| kernels::Roi {
            map: map.values.host(),
            image,
            scale: map.scale,
            bbox,
        })
        .collect();
    let pooled = how.forward(&device.host(), &rois, channels);
    match device {
        Device::Burn(_) => Map::from_host(&pooled.to_planar(), pooled.shape(), device),
        _ => Map(pooled.into()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::{FeatureMap, Map, Roi, RoiAlign, roi_align};
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
                .map(|roi| Roi {
                    map: &map,
                    image: 0,
                    bbox: std::array::from_fn(|i| roi[i].as_f64().unwrap() as f32),
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
