//! That regions that are trained are the network's, and their gradient that of a sum.

use burn::tensor::{Tensor, TensorData};
use segmenter_models::{
    blocks::{self, FeatureMap, Map, Roi, RoiAlign, roi_align},
    networks::centermask::{MASK_POOL, MASK_STRIDE},
    weights::Weights,
};

use crate::{device, random, values};

const SHAPE: [usize; 4] = [2, 20, 20, 24];

/// Of the images of a batch, in pixels of the picture: within it, beyond its edges, of a pixel, and of none.
const BOXES: [(usize, [f32; 4]); 5] = [
    (0, [3.0, 5.0, 40.0, 33.0]),
    (0, [-9.0, 60.0, 200.0, 90.0]),
    (1, [10.2, 11.3, 14.5, 13.5]),
    (1, [0.0, 0.0, 1.0, 1.0]),
    (0, [300.0, 300.0, 310.0, 310.0]),
];

/// Takes the regions of a map.
fn pool(how: &RoiAlign, map: Map, device: &blocks::Device) -> Map {
    let map = FeatureMap::read(map, 1.0 / MASK_STRIDE as f32, device);
    let rois = BOXES.map(|(image, bbox)| Roi {
        map: &map,
        image,
        bbox,
    });
    roi_align(how, &rois, SHAPE[1], device)
}

/// A map that is trained: what a convolution that changes nothing makes of a tensor.
fn trained(x: &Tensor<4>, device: &blocks::Device) -> Map {
    let channels = SHAPE[1];
    let mut weights = Weights::generated(move |name, shape| {
        let values = 0..shape.iter().product::<usize>();
        let one = |i: usize| i / channels == i % channels && name.ends_with("weight");
        values.map(|i| if one(i) { 1.0 } else { 0.0 }).collect()
    });
    let geometry = blocks::Geometry::new(channels, channels, 1);
    let act = blocks::Activation::Identity;
    let layer = blocks::Conv2d::load(&mut weights, "same", geometry, act, device).unwrap();
    layer.forward(Map::from_tensor(x.clone()))
}

#[test]
fn regions_are_those_of_the_network_there_and_back() {
    let device = blocks::Device::Burn(device());
    for sampling in [None, Some(2)] {
        let how = RoiAlign {
            sampling,
            ..MASK_POOL
        };
        let x = random(SHAPE);
        let y = pool(&how, trained(&x, &device), &device);
        let y = y.into_tensor().unwrap();

        let stock = blocks::Device::stock();
        let map = Map::from_host(&values(x.clone()), SHAPE, &stock);
        let expected = pool(&how, map, &stock).to_host();
        let pooled = values(y.clone());
        assert_eq!(pooled.len(), expected.len());
        for (value, expected) in pooled.iter().zip(&expected) {
            assert!((value - expected).abs() < 1e-5, "{value}, not {expected}");
        }

        // Regions are sums of pixels: a pixel is worth what the regions of it alone are.
        let behind = random(y.dims()).detach();
        let gradients = (y * behind.clone()).sum().backward();
        let gradient = values(x.grad(&gradients).unwrap());
        let worth = |x: Vec<f32>| -> f32 {
            let x = Tensor::from_data(TensorData::new(x, SHAPE), &crate::device());
            let y = pool(&how, trained(&x, &device), &device);
            let y = y.into_tensor().unwrap();
            (y * behind.clone()).sum().into_scalar()
        };
        for index in (0..gradient.len()).step_by(97) {
            let mut pixel = vec![0.0; gradient.len()];
            pixel[index] = 1.0;
            let (value, expected) = (gradient[index], worth(pixel));
            // The convolution behind may have rounded it to 8 bits.
            let close = (value - expected).abs() <= expected.abs() / 256.0 + 1e-4;
            assert!(close, "{index}: {value}, not {expected}");
        }
    }
}
