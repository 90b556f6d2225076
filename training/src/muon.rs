//! The optimizer of kernels.
//!
//! Muon (Jordan, "Muon: An optimizer for hidden layers in neural networks", 2024) takes the momentum of a matrix without
//! the lengths of its axes, so that a step goes along all of them as far, not only along the few that the gradients
//! point to. A kernel is a matrix whose rows are what each of its outputs sees. burn's own does the same, in floats and
//! more slowly.

use burn::{
    module::{ParamGroup, ParamId},
    optim::{
        LearningRate, MuonState, Optimizer,
        momentum::{Momentum, MomentumConfig},
    },
    tensor::{Device, Tensor},
};
use segmenter_models::blocks::{orthogonal, parameter_id};

use crate::parameters::Tensors;

/// Muon for kernels `[outputs, inputs, height, width]`, with steps of the length of AdamW's, so that both have one
/// learning rate (Liu et al., "Muon is Scalable for LLM Training", 2025).
///
/// Without norms to bring outputs back, two things are kept of what each output sees, its row:
/// * its sum: the gradient is centred (Yong et al., "Gradient Centralization", 2020), and so is the step then. Inputs are
///   never negative, so that with the sum the output would fall or rise as a whole, and one that falls far enough gives
///   zeros for good;
/// * its length, which is [`LONGEST`] at the most: all steps being of one length, rows would grow as long as there are
///   any, and outputs from layer to layer with them.
#[derive(Clone)]
pub(crate) struct KernelMuon(Momentum);

impl KernelMuon {
    pub(crate) fn new() -> Self {
        Self(Momentum::new(&MomentumConfig {
            momentum: 0.95,
            dampening: 0.0,
            nesterov: true,
        }))
    }
}

/// The gradient gets this much of the weights: momentum that has no gradient any more would else fade to numbers that are
/// so small that processors take a hundred times as long for them.
const LEAST: f32 = 1e-12;

/// How long a row may become, unless it was longer before: what keeps the variance of random inputs through a rectifier
/// (He et al., "Delving Deep into Rectifiers", 2015). Rectified inputs have a mean, which centred rows do not see, so that
/// maps become fainter from layer to layer. With the length that makes up for that (1.71; Brock et al., "Characterizing
/// Signal Propagation to Close the Performance Gap in Unnormalized ResNets", 2021) residual blocks learn to drown what
/// they should add to.
const LONGEST: f32 = std::f32::consts::SQRT_2;

/// How far AdamW moves a weight in a step, as a root of the mean of squares and a part of the learning rate.
const USUAL_STEP: f64 = 0.2;

impl Optimizer for KernelMuon {
    type State<const D: usize> = MuonState<2>;

    fn step<const D: usize>(
        &self,
        rate: LearningRate,
        tensor: Tensor<D>,
        gradient: Tensor<D>,
        state: Option<Self::State<D>>,
    ) -> (Tensor<D>, Option<Self::State<D>>) {
        let shape = tensor.shape();
        let [tensor, gradient] = [tensor, gradient].map(|kernel| kernel.flatten::<2>(1, D - 1));
        let gradient = centred(gradient) + tensor.clone() * LEAST;
        let longest = lengths(&tensor).clamp_min(LONGEST);
        let (direction, momentum) = self
            .0
            .transform(gradient, state.map(|state| state.momentum));
        let [rows, columns] = tensor.dims();
        // The root of the mean square of orthogonal unit vectors is one by the root of the longer axis.
        let step = rate * USUAL_STEP * (rows.max(columns) as f64).sqrt();
        // Once more, as it is rounded.
        let tensor = tensor - centred(orthogonal(direction)) * step;
        let part = (longest / lengths(&tensor).clamp_min(f32::MIN_POSITIVE)).clamp_max(1.0);
        (
            (tensor * part).reshape(shape),
            Some(MuonState::new(momentum)),
        )
    }

    fn to_device<const D: usize>(state: Self::State<D>, device: &Device) -> Self::State<D> {
        MuonState::new(state.momentum.to_device(device))
    }
}

/// Rows without their means.
fn centred(rows: Tensor<2>) -> Tensor<2> {
    rows.clone() - rows.mean_dim(1)
}

/// Of rows, `[rows, 1]`.
fn lengths(rows: &Tensor<2>) -> Tensor<2> {
    rows.clone().powi_scalar(2).sum_dim(1).sqrt()
}

/// Whether it is for the kernels of this layer: not the first, whose inputs are colours. Those whose outputs are answers
/// are as any other: AdamW's steps can go one way for all inputs, and answers far with them.
pub(crate) fn is_for(layer: &str) -> bool {
    layer != "stem"
}

/// What it is for.
pub(crate) fn kernels(tensors: &Tensors) -> ParamGroup {
    let kernels = tensors.iter().filter(|(name, tensor)| {
        tensor.shape.len() == 4 && is_for(name.trim_end_matches(".weight"))
    });
    let ids: Vec<ParamId> = kernels.map(|(name, _)| parameter_id(name)).collect();
    ParamGroup::from_ids(ids)
}

#[cfg(test)]
mod tests {
    use burn::{
        optim::{AdjustLrFn, MuonConfig},
        tensor::Distribution,
    };

    use super::*;

    fn random(mean: f64, deviation: f64) -> Tensor<4> {
        let distribution = Distribution::Normal(mean, deviation);
        Tensor::random([8, 4, 3, 3], distribution, &Device::flex())
    }

    fn values(rows: Tensor<2>) -> Vec<f32> {
        rows.into_data().try_into_vec().unwrap()
    }

    #[test]
    fn a_step_leaves_the_sums_of_kernels() {
        let (kernels, gradient) = (random(0.1, 0.05), random(0.2, 1.0));
        let sums = |kernels: &Tensor<4>| values(kernels.clone().flatten::<2>(1, 3).sum_dim(1));
        let (stepped, _) = KernelMuon::new().step(0.01, kernels.clone(), gradient, None);
        let moved: f32 = (stepped.clone() - kernels.clone())
            .abs()
            .max()
            .into_scalar();
        assert!(moved > 1e-3, "{moved}");
        for (after, before) in sums(&stepped).iter().zip(sums(&kernels)) {
            assert!((after - before).abs() < 1e-4, "{after} and not {before}");
        }
    }

    #[test]
    fn steps_are_those_of_burn() {
        let config = MuonConfig::new().with_adjust_lr_fn(AdjustLrFn::MatchRmsAdamW);
        for shape in [[8, 4, 3, 3], [40, 24, 1, 1]] {
            let random = || {
                let distribution = Distribution::Normal(0.0, 0.01);
                Tensor::<4>::random(shape, distribution, &Device::flex()).flatten::<2>(1, 3)
            };
            let (mut ours, mut theirs) = (None, None);
            let kernels = random();
            for _ in 0..2 {
                let gradient = centred(random());
                let (a, state) =
                    KernelMuon::new().step(0.01, kernels.clone(), gradient.clone(), ours);
                ours = state;
                let (b, state) = config.build().step(0.01, kernels.clone(), gradient, theirs);
                theirs = state;
                let length =
                    |step: Tensor<2>| step.powi_scalar(2).sum().sqrt().into_scalar::<f32>();
                let (off, step) = (length(a - b.clone()), length(b - kernels.clone()));
                assert!(off < 0.06 * step, "{shape:?}: {off} of {step}");
            }
        }
    }

    #[test]
    fn rows_grow_to_a_length_and_no_further() {
        let lengths = |kernels: &Tensor<4>| values(lengths(&kernels.clone().flatten::<2>(1, 3)));
        let gradient = random(0.0, 1.0);
        for deviation in [0.01, 1.0] {
            let mut kernels = random(0.0, deviation);
            let before = lengths(&kernels);
            for _ in 0..100 {
                let (stepped, _) = KernelMuon::new().step(0.1, kernels, gradient.clone(), None);
                kernels = stepped;
            }
            for (after, before) in lengths(&kernels).into_iter().zip(before) {
                let limit = before.max(LONGEST) + 1e-3;
                assert!(after > 1.0 && after <= limit, "{before} became {after}");
            }
        }
    }
}
