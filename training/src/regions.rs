//! RoIAlign that can be differentiated.

use burn::tensor::{Device, Tensor, TensorData};
use segmenter_models::{
    blocks::RoiAlign,
    networks::centermask::{MASK_POOL, MASK_STRIDE},
};

use crate::targets::Region;

/// Takes the regions from the maps of their examples, `[examples, channels, height, width]`. Result:
/// `[regions, channels, size, size]`.
///
/// The weights of pixels in a region are products of one of their rows and one of their columns, so a region is
/// the product of three matrices.
pub fn pool(maps: &Tensor<4>, regions: &[Region], device: &Device) -> Tensor<4> {
    let [examples, channels, height, width] = maps.dims();
    let size = MASK_POOL.size;
    let mut pooled = Vec::new();
    for example in 0..examples {
        let regions = regions.iter().filter(|region| region.example == example);
        let regions: Vec<_> = regions.collect();
        if regions.is_empty() {
            continue;
        }
        let axis = |from: usize, length: usize| {
            let weights = regions.iter().flat_map(|region| {
                let sides = [region.bbox[from], region.bbox[from + 2]];
                RoiAlign::weights(&MASK_POOL, sides, length, 1.0 / MASK_STRIDE as f32)
            });
            let values: Vec<f32> = weights.collect();
            TensorData::new(values, [regions.len() * size, length])
        };
        let count = regions.len();
        let rows: Tensor<2> = Tensor::from_data(axis(1, height), device);
        let columns: Tensor<2> = Tensor::from_data(axis(0, width), device);
        let map: Tensor<3> = maps.clone().narrow(0, example, 1).squeeze_dim(0);
        // [height, channels * width], so that all rows of all regions are one product.
        let map = map.permute([1, 0, 2]).reshape([height, channels * width]);
        let by_rows = rows.matmul(map).reshape([count, size * channels, width]);
        let columns = columns.reshape([count, size, width]).swap_dims(1, 2);
        let by_columns = by_rows.matmul(columns);
        pooled.push(
            by_columns
                .reshape([count, size, channels, size])
                .permute([0, 2, 1, 3]),
        );
    }
    Tensor::cat(pooled, 0)
}

#[cfg(test)]
mod tests {
    use segmenter_models::blocks::{self, FeatureMap, Map, roi_align};

    use super::*;

    #[test]
    fn regions_are_those_of_the_network() {
        let (channels, height, width) = (3, 20, 24);
        let values: Vec<f32> = (0..2 * channels * height * width)
            .map(|i| ((i * 7919) % 1000) as f32 / 1000.0)
            .collect();
        let boxes = [
            (0, [3.0, 5.0, 40.0, 33.0]),
            (0, [-9.0, 60.0, 200.0, 90.0]),
            (1, [10.2, 11.3, 14.5, 13.5]),
        ];
        let regions: Vec<_> = boxes
            .iter()
            .map(|&(example, bbox)| Region {
                example,
                bbox,
                mask: Vec::new(),
            })
            .collect();
        let shape = [2, channels, height, width];
        let device = Device::flex();
        let maps: Tensor<4> = Tensor::from_data(TensorData::new(values.clone(), shape), &device);
        let pooled: Vec<f32> = pool(&maps, &regions, &device)
            .into_data()
            .try_into_vec()
            .unwrap();

        let device = blocks::Device::stock();
        let maps = values.chunks_exact(channels * height * width).map(|map| {
            let map = Map::from_host(map, [1, channels, height, width], &device);
            FeatureMap::read(map, 1.0 / MASK_STRIDE as f32, &device)
        });
        let maps: Vec<_> = maps.collect();
        let rois: Vec<_> = boxes
            .iter()
            .map(|&(example, bbox)| (&maps[example], bbox))
            .collect();
        let expected = roi_align(&MASK_POOL, &rois, channels, &device).to_host();
        assert_eq!(pooled.len(), expected.len());
        for (value, expected) in pooled.iter().zip(&expected) {
            assert!((value - expected).abs() < 1e-5, "{value}, not {expected}");
        }
    }
}
