//! RoIAlign that can be differentiated.

use burn::tensor::{Device, Tensor, TensorData};
use segmenter_models::{
    blocks::RoiAlign,
    networks::centermask::{MASK_POOL, MASK_STRIDE},
};

/// Takes regions `[x0, y0, x1, y1]`, in pixels of the input, from maps `[examples, channels, height, width]`, of each
/// example as many, one example's behind the other's. Result: `[regions, channels, size, size]`.
///
/// The weights of pixels in a region are products of one of their rows and one of their columns, so a region is
/// the product of three matrices.
pub fn pool(maps: &Tensor<4>, regions: &[[f32; 4]], device: &Device) -> Tensor<4> {
    let [examples, channels, height, width] = maps.dims();
    let size = MASK_POOL.size;
    let count = regions.len();
    let axis = |from: usize, length: usize| {
        let weights = regions.iter().flat_map(|bbox| {
            let sides = [bbox[from], bbox[from + 2]];
            RoiAlign::weights(&MASK_POOL, sides, length, 1.0 / MASK_STRIDE as f32)
        });
        weights.collect::<Vec<f32>>()
    };
    let rows = TensorData::new(axis(1, height), [examples, count / examples * size, height]);
    let rows: Tensor<3> = Tensor::from_data(rows, device);
    let columns = TensorData::new(axis(0, width), [count, size, width]);
    let columns: Tensor<3> = Tensor::from_data(columns, device);
    // All rows of all regions of an example are one product.
    let maps = maps.clone().permute([0, 2, 1, 3]);
    let maps = maps.reshape([examples, height, channels * width]);
    let by_rows = rows.matmul(maps).reshape([count, size * channels, width]);
    by_rows
        .matmul(columns.swap_dims(1, 2))
        .reshape([count, size, channels, size])
        .permute([0, 2, 1, 3])
}

#[cfg(test)]
mod tests {
    use segmenter_models::blocks::{self, FeatureMap, Map, Roi, roi_align};

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
            (1, [0.0, 0.0, 1.0, 1.0]),
        ];
        let regions = boxes.map(|(_, bbox)| bbox);
        let shape = [2, channels, height, width];
        let device = Device::flex();
        let maps: Tensor<4> = Tensor::from_data(TensorData::new(values.clone(), shape), &device);
        let pooled: Vec<f32> = pool(&maps, &regions, &device)
            .into_data()
            .try_into_vec()
            .unwrap();

        let device = blocks::Device::stock();
        let maps = Map::from_host(&values, shape, &device);
        let maps = FeatureMap::read(maps, 1.0 / MASK_STRIDE as f32, &device);
        let rois = boxes.map(|(image, bbox)| Roi {
            map: &maps,
            image,
            bbox,
        });
        let expected = roi_align(&MASK_POOL, &rois, channels, &device).to_host();
        assert_eq!(pooled.len(), expected.len());
        for (value, expected) in pooled.iter().zip(&expected) {
            assert!((value - expected).abs() < 1e-5, "{value}, not {expected}");
        }
    }
}
