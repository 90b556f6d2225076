//! The end of a mask head.

use std::sync::Arc;

use burn::module::Module;
use segmenter_kernels as kernels;

use super::{Activation, Conv2d, Device, Geometry, Map, Precision};
use crate::weights::{WeightError, Weights};

/// On a map of doubled sides, a depthwise convolution, a pointwise one to fewer channels, and one to the classes:
/// a mask for each class, of which every map wants its own class's only.
///
/// There is no activation between the three, so that in floats they are folded into one that makes no other class's.
#[derive(Module, Debug)]
pub struct ClassMasks {
    method: Method,
}

/// Who computes it.
#[derive(Module, Debug)]
enum Method {
    Layers(Layers),
    Folded(Folded),
}

#[derive(Module, Debug)]
struct Layers {
    depthwise: Conv2d,
    project: Conv2d,
    logits: Conv2d,
}

#[derive(Module, Debug)]
struct Folded {
    #[module(skip)]
    conv: Arc<kernels::ClassConv>,
}

impl ClassMasks {
    /// Takes `{name}.weight` of all three `names`, and `{name}.bias` of the last two. `depthwise` is the geometry of
    /// the first, what follows it are the channels between the others and the number of classes.
    pub fn load(
        weights: &mut Weights,
        names: [&str; 3],
        depthwise: Geometry,
        [channels, classes]: [usize; 2],
        device: &Device,
    ) -> Result<Self, WeightError> {
        let hidden = depthwise.outputs;
        let project = Geometry::new(hidden, channels, 1);
        let logits = Geometry::new(channels, classes, 1);
        let [of_depthwise, of_project, of_logits] = names;
        if let Device::Kernels(_, Precision::F32) = device {
            let mut take = |name: &str, geometry: Geometry| {
                let weight = weights.take(&format!("{name}.weight"), &geometry.weight_shape())?;
                let bias = weights.take(&format!("{name}.bias"), &[geometry.outputs])?;
                Ok::<_, WeightError>((weight, bias))
            };
            let (weight, bias) = fold(take(of_project, project)?, take(of_logits, logits)?);
            let kernel =
                weights.take(&format!("{of_depthwise}.weight"), &depthwise.weight_shape())?;
            let conv = kernels::ClassConv::new(depthwise, &kernel, weight, bias);
            return Ok(Self {
                method: Method::Folded(Folded {
                    conv: Arc::new(conv),
                }),
            });
        }
        let identity = Activation::Identity;
        let layers = Layers {
            depthwise: Conv2d::load_without_bias(
                weights,
                of_depthwise,
                depthwise,
                identity,
                device,
            )?,
            project: Conv2d::load(weights, of_project, project, identity, device)?,
            logits: Conv2d::load(weights, of_logits, logits, identity, device)?,
        };
        Ok(Self {
            method: Method::Layers(layers),
        })
    }

    /// `[batch, hidden, h, w]` and a class for each map to logits `[batch, 2h, 2w]`, in row-major order. Waits for
    /// the device.
    pub fn forward(&self, x: Map, classes: &[usize]) -> Vec<f32> {
        match &self.method {
            Method::Layers(layers) => {
                let x = layers.depthwise.forward_doubled(x);
                let logits = layers.logits.forward(layers.project.forward(x));
                logits.planes_to_host(classes.iter().copied())
            }
            Method::Folded(Folded { conv }) => conv.forward_doubled(x.0.kernels(), classes),
        }
    }
}

/// Two pointwise layers, `[outputs, inputs]` and `[outputs]` each, as one.
fn fold(
    (first, first_bias): (Vec<f32>, Vec<f32>),
    (second, second_bias): (Vec<f32>, Vec<f32>),
) -> (Vec<f32>, Vec<f32>) {
    let (inputs, between) = (first.len() / first_bias.len(), first_bias.len());
    let mut weight = Vec::with_capacity(second_bias.len() * inputs);
    let mut bias = second_bias;
    for (row, bias) in second.chunks_exact(between).zip(&mut bias) {
        let start = weight.len();
        weight.resize(start + inputs, 0.0);
        for ((factor, first), first_bias) in
            row.iter().zip(first.chunks_exact(inputs)).zip(&first_bias)
        {
            let sums = weight[start..].iter_mut().zip(first);
            sums.for_each(|(sum, value)| *sum += factor * value);
            *bias += factor * first_bias;
        }
    }
    (weight, bias)
}

#[cfg(test)]
mod tests {
    use super::fold;

    #[test]
    fn folded_layers_do_what_they_do_one_after_the_other() {
        let first = (vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0], vec![1.0, -1.0, 0.5]);
        let second = (vec![1.0, 0.0, 2.0, 0.0, -1.0, 1.0], vec![0.25, 0.0]);
        let (weight, bias) = fold(first, second);
        assert_eq!(weight, [11.0, 14.0, 2.0, 2.0]);
        assert_eq!(bias, [2.25, 1.5]);
    }
}
