//! The optimizer of what has many inputs and outputs.
//!
//! Muon (Jordan, "Muon: An optimizer for hidden layers in neural networks", 2024) takes the momentum of a matrix without
//! the lengths of its axes, so that a step goes along all of them as far, not only along the few that the gradients
//! point to. burn's is of matrices; a kernel is one whose rows are what each of its outputs sees.

use burn::{
    module::{ParamGroup, ParamId},
    optim::{AdjustLrFn, LearningRate, Muon, MuonConfig, MuonState, Optimizer},
    tensor::{Device, Tensor},
};
use segmenter_models::blocks::parameter_id;

use crate::parameters::Tensors;

/// [`Muon`] for kernels `[outputs, inputs, height, width]`, with steps of the length of AdamW's, so that both have one
/// learning rate (Liu et al., "Muon is Scalable for LLM Training", 2025).
///
/// A kernel's sum stays what it is: its gradient is centred (Yong et al., "Gradient Centralization", 2020), and so is
/// the step then. What it sees is never negative, so that with the sum its output would fall or rise as a whole, and
/// without norms to bring it back; one that falls far enough gives zeros for good.
#[derive(Clone)]
pub(crate) struct KernelMuon(Muon);

impl KernelMuon {
    pub(crate) fn new() -> Self {
        let config = MuonConfig::new().with_adjust_lr_fn(AdjustLrFn::MatchRmsAdamW);
        Self(config.build())
    }
}

/// The gradient gets this much of the weights: momentum that has no gradient any more would else fade to numbers that are
/// so small that processors take a hundred times as long for them.
const LEAST: f32 = 1e-12;

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
        let gradient = gradient.clone() - gradient.mean_dim(1);
        let gradient = gradient + tensor.clone() * LEAST;
        let (tensor, state) = self.0.step(rate, tensor, gradient, state);
        (tensor.reshape(shape), state)
    }

    fn to_device<const D: usize>(state: Self::State<D>, device: &Device) -> Self::State<D> {
        Muon::to_device(state, device)
    }
}

/// Whether it is for the kernels of this layer: not the first, whose inputs are colours, and not those whose outputs are
/// answers.
pub(crate) fn is_hidden(layer: &str) -> bool {
    !["stem", "scores", "distances", "outline_logits"].contains(&layer)
}

/// What it is for.
pub(crate) fn kernels(tensors: &Tensors) -> ParamGroup {
    let hidden = tensors.iter().filter(|(name, tensor)| {
        tensor.shape.len() == 4 && is_hidden(name.trim_end_matches(".weight"))
    });
    let ids: Vec<ParamId> = hidden.map(|(name, _)| parameter_id(name)).collect();
    ParamGroup::from_ids(ids)
}

#[cfg(test)]
mod tests {
    use burn::tensor::Distribution;

    use super::*;

    #[test]
    fn a_step_leaves_the_sums_of_kernels() {
        let device = Device::flex();
        let random = |deviation| {
            let distribution = Distribution::Normal(0.2, deviation);
            Tensor::<4>::random([8, 4, 3, 3], distribution, &device)
        };
        let (kernels, gradient) = (random(0.1), random(1.0));
        let sums = |kernels: &Tensor<4>| -> Vec<f32> {
            let rows = kernels.clone().flatten::<2>(1, 3);
            rows.sum_dim(1).into_data().try_into_vec().unwrap()
        };
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
}
