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
        let gradient = gradient + tensor.clone() * LEAST;
        let (tensor, state) = self.0.step(rate, tensor, gradient, state);
        (tensor.reshape(shape), state)
    }

    fn to_device<const D: usize>(state: Self::State<D>, device: &Device) -> Self::State<D> {
        Muon::to_device(state, device)
    }
}

/// What it is for: kernels, but for the first layer's, whose inputs are colours, and those whose outputs are answers.
pub(crate) fn kernels(tensors: &Tensors) -> ParamGroup {
    let hidden = tensors.iter().filter(|(name, tensor)| {
        let layer = name.trim_end_matches(".weight");
        tensor.shape.len() == 4
            && !["stem", "scores", "distances", "outline_logits"].contains(&layer)
    });
    let ids: Vec<ParamId> = hidden.map(|(name, _)| parameter_id(name)).collect();
    ParamGroup::from_ids(ids)
}
