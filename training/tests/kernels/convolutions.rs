//! That convolutions that are trained are burn's, forward and back.

use std::collections::HashMap;

use burn::{
    module::{Module, ModuleVisitor, Param, ParamId},
    tensor::{
        Gradients, Tensor, TensorData, activation, module,
        ops::{ConvOptions, ConvTransposeOptions, InterpolateMode, InterpolateOptions},
    },
};
use segmenter_models::{
    blocks::{self, Activation, Conv2d, ConvTranspose2d, Geometry, Map, nearest, parameter_id},
    weights::Weights,
};

use crate::{assert_within, dense, device, random, values};

/// The gradient by each value that comes out of an activation: nothing where what goes in is so near to a kink, at 0 or
/// 6, that it depends on rounding on which side of it that is. Not around 0, so that no sum of them happens to be small.
fn behind(sum: &Tensor<4>) -> Tensor<4> {
    let near = |kink: f32| sum.clone().sub_scalar(kink).abs().lower_scalar(1e-3);
    let either = near(0.0).bool_or(near(6.0));
    let gradient = random(sum.dims()).add_scalar(1.0);
    gradient.mask_fill(either, 0.0).detach()
}

/// Weights of a layer called `layer`.
fn weights(weight: &Tensor<4>, bias: &Tensor<1>) -> Weights {
    let (weight, bias) = (values(weight.clone()), values(bias.clone()));
    Weights::generated(move |name, _| match name {
        "layer.weight" => weight.clone(),
        _ => bias.clone(),
    })
}

#[track_caller]
fn assert_close(what: &str, values: &[f32], expected: &[f32]) {
    assert_within(1e-4, what, values, expected);
}

/// The gradients of a module, by the ids of its parameters.
struct OfModule<'a> {
    gradients: &'a Gradients,
    found: HashMap<ParamId, Vec<f32>>,
}

impl ModuleVisitor for OfModule<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let gradient = param.val().grad(self.gradients).unwrap();
        self.found.insert(param.id, values(gradient));
    }
}

/// The gradients by weight and bias of the layer.
fn of_layer(layer: &impl Module, gradients: &Gradients) -> [Vec<f32>; 2] {
    let mut visitor = OfModule {
        gradients,
        found: HashMap::new(),
    };
    layer.visit(&mut visitor);
    ["layer.weight", "layer.bias"].map(|name| visitor.found[&parameter_id(name)].clone())
}

fn conv2d(x: Tensor<4>, weight: Tensor<4>, bias: Tensor<1>, geometry: &Geometry) -> Tensor<4> {
    let Geometry {
        stride,
        padding: [before, after],
        groups,
        dilation,
        ..
    } = *geometry;
    let padding = [(before, after); 2];
    let options = ConvOptions::new_with_padding([stride; 2], padding, [dilation; 2], groups);
    module::conv2d(x, weight, Some(bias), options)
}

#[test]
fn convolutions_are_burn_s() {
    let others = [
        (Geometry::new(3, 32, 6).stride(4).padding(1, 1), [2, 32, 24]),
        (Geometry::depthwise(12, 3), [2, 6, 7]),
        (Geometry::new(6, 8, 3).dilation(2), [1, 9, 8]),
    ];
    for (geometry, [batch, height, width]) in dense().into_iter().chain(others) {
        let x = random([batch, geometry.inputs, height, width]);
        let weight = random(geometry.weight_shape());
        let bias = random([geometry.outputs]);
        let expected = conv2d(x.clone(), weight.clone(), bias.clone(), &geometry);
        let residual = random(expected.dims());
        for (act, with_residual) in [
            (Activation::Identity, false),
            (Activation::Relu, false),
            (Activation::Relu, true),
            (Activation::Relu6, true),
        ] {
            let sum = conv2d(x.clone(), weight.clone(), bias.clone(), &geometry);
            let sum = if with_residual {
                sum + residual.clone()
            } else {
                sum
            };
            let behind = behind(&sum);
            let expected = match act {
                Activation::Identity => sum,
                Activation::Relu => activation::relu(sum),
                _ => sum.clamp(0.0, 6.0),
            };
            let of_burn = (expected.clone() * behind.clone()).sum().backward();

            let device = blocks::Device::Burn(device());
            let mut weights = weights(&weight, &bias);
            let layer = Conv2d::load(&mut weights, "layer", geometry, act, &device).unwrap();
            let map = Map::from_tensor(x.clone());
            let y = if with_residual {
                layer.forward_with_residual(map, Map::from_tensor(residual.clone()))
            } else {
                layer.forward(map)
            };
            let y = y.into_tensor().unwrap();
            let own = (y.clone() * behind.clone()).sum().backward();

            let what = |what: &str| format!("{what} of {geometry:?} with {act:?}");
            assert_close(&what("result"), &values(y), &values(expected));
            let by = |of: &Gradients, tensor: &Tensor<4>| values(tensor.grad(of).unwrap());
            assert_close(&what("input's"), &by(&own, &x), &by(&of_burn, &x));
            if with_residual {
                let [own, of_burn] = [&own, &of_burn].map(|of| by(of, &residual));
                assert_close(&what("residual's"), &own, &of_burn);
            }
            let [by_weight, by_bias] = of_layer(&layer, &own);
            assert_close(&what("weight's"), &by_weight, &by(&of_burn, &weight));
            let expected = values(bias.grad(&of_burn).unwrap());
            assert_close(&what("bias's"), &by_bias, &expected);
        }
    }
}

#[test]
fn pictures_need_no_gradient() {
    let geometry = Geometry::new(3, 20, 6).stride(4).padding(1, 1);
    // One that was asked for its gradient once stays so when it is detached.
    let x = Tensor::<4>::from_data(random([2, 3, 20, 28]).into_data(), &device());
    assert!(!x.is_tracked());
    let (weight, bias) = (random(geometry.weight_shape()), random([20]));
    let expected = conv2d(x.clone(), weight.clone(), bias.clone(), &geometry);
    let of_burn = expected.clone().powi_scalar(2).sum().backward();

    let (mut weights, device) = (weights(&weight, &bias), blocks::Device::Burn(device()));
    let act = Activation::Identity;
    let layer = Conv2d::load(&mut weights, "layer", geometry, act, &device).unwrap();
    let nothing = Tensor::full([2, 1, 20, 28], 7.0, &x.device());
    let pixels = Tensor::cat(vec![x.clone(), nothing], 1).permute([0, 2, 3, 1]);
    for map in [Map::from_tensor(x), Map::to_train_on(pixels)] {
        assert_eq!(map.dims(), [2, 3, 20, 28]);
        let y = layer.forward(map).into_tensor().unwrap();
        assert_close("result", &values(y.clone()), &values(expected.clone()));
        let [by_weight, by_bias] = of_layer(&layer, &y.powi_scalar(2).sum().backward());
        let expected = values(weight.grad(&of_burn).unwrap());
        assert_close("weight's", &by_weight, &expected);
        assert_close("bias's", &by_bias, &values(bias.grad(&of_burn).unwrap()));
    }
}

#[test]
fn transposed_convolutions_are_burn_s() {
    for ([inputs, outputs], [batch, height, width]) in
        [([32, 32], [5, 14, 14]), ([7, 20], [2, 3, 5])]
    {
        let x = random([batch, inputs, height, width]);
        let (weight, bias) = (random([inputs, outputs, 2, 2]), random([outputs]));
        let options = ConvTransposeOptions::new([2; 2], [0; 2], [0; 2], [1; 2], 1);
        let parameters = (weight.clone(), Some(bias.clone()));
        let sum = module::conv_transpose2d(x.clone(), parameters.0, parameters.1, options);
        let behind = behind(&sum);
        let expected = activation::relu(sum);
        let of_burn = (expected.clone() * behind.clone()).sum().backward();

        let (mut weights, device) = (weights(&weight, &bias), blocks::Device::Burn(device()));
        let (channels, act) = ([inputs, outputs], Activation::Relu);
        let layer = ConvTranspose2d::load(&mut weights, "layer", channels, act, &device).unwrap();
        let y = layer.forward(Map::from_tensor(x.clone()));
        let y = y.into_tensor().unwrap();
        let own = (y.clone() * behind).sum().backward();

        assert_close("result", &values(y), &values(expected));
        let by = |of: &Gradients, tensor: &Tensor<4>| values(tensor.grad(of).unwrap());
        assert_close("input's", &by(&own, &x), &by(&of_burn, &x));
        let [by_weight, by_bias] = of_layer(&layer, &own);
        assert_close("weight's", &by_weight, &by(&of_burn, &weight));
        assert_close("bias's", &by_bias, &values(bias.grad(&of_burn).unwrap()));
    }
}

/// Between two convolutions, maps are in the layout of the kernels.
#[test]
fn maps_between_are_doubled_and_added() {
    let geometry = Geometry::new(20, 20, 1);
    let (weight, bias) = (random(geometry.weight_shape()), random([20]));
    let [x, fine] = [random([2, 20, 3, 5]), random([2, 20, 6, 10])];
    let (mut weights, device) = (weights(&weight, &bias), blocks::Device::Burn(device()));
    let act = Activation::Identity;
    let layer = Conv2d::load(&mut weights, "layer", geometry, act, &device).unwrap();
    let [above, beside] = [&x, &fine].map(|x| layer.forward(Map::from_tensor(x.clone())));
    let y = nearest(above, [6, 10]).add(beside);
    let y = y.into_tensor().unwrap();

    let conv = |x: Tensor<4>| conv2d(x, weight.clone(), bias.clone(), &geometry);
    let options = InterpolateOptions::new(InterpolateMode::Nearest).with_output_size([6, 10]);
    let expected = module::interpolate(conv(x.clone()), options) + conv(fine.clone());
    assert_close("result", &values(y.clone()), &values(expected.clone()));
    let behind = random(expected.dims()).detach();
    let [own, of_burn] = [y, expected].map(|y| (y * behind.clone()).sum().backward());
    for x in [x, fine] {
        let [own, of_burn] = [&own, &of_burn].map(|of| values(x.grad(of).unwrap()));
        assert_close("input's", &own, &of_burn);
    }
}

/// A convolution is linear in its input and in its weight, so that any difference is as good as a small one.
#[test]
fn gradients_are_differences() {
    let geometry = Geometry::new(6, 5, 4).stride(2).padding(1, 1);
    let (x, weight, bias) = (
        random([1, 6, 8, 6]),
        random(geometry.weight_shape()),
        random([5]),
    );
    let behind = random([1, 5, 4, 3]).detach();
    let layer = |weight: &Tensor<4>| {
        let (mut weights, device) = (weights(weight, &bias), blocks::Device::Burn(device()));
        let act = Activation::Identity;
        Conv2d::load(&mut weights, "layer", geometry, act, &device).unwrap()
    };
    let sum = |layer: &Conv2d, x: &Tensor<4>| {
        let y = layer.forward(Map::from_tensor(x.clone()));
        (y.into_tensor().unwrap() * behind.clone()).sum()
    };
    let moved = |tensor: &Tensor<4>, index: usize| -> Tensor<4> {
        let mut moved = values(tensor.clone());
        moved[index] += 1.0;
        Tensor::from_data(TensorData::new(moved, tensor.shape()), &device())
    };
    let here = layer(&weight);
    let loss = sum(&here, &x);
    let gradients = loss.backward();
    let by_input = values(x.grad(&gradients).unwrap());
    let [by_weight, _] = of_layer(&here, &gradients);
    let loss = loss.into_scalar::<f32>();
    let close = |a: f32, b: f32| (a - b).abs() < 1e-3;
    for index in (0..by_input.len()).step_by(17) {
        let there = sum(&here, &moved(&x, index)).into_scalar::<f32>();
        assert!(close(there - loss, by_input[index]), "input {index}");
    }
    for index in (0..by_weight.len()).step_by(29) {
        let there = sum(&layer(&moved(&weight, index)), &x).into_scalar::<f32>();
        assert!(close(there - loss, by_weight[index]), "weight {index}");
    }
}
