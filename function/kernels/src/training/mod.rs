//! Convolutions and regions of networks that are being trained: forward, the gradients of all that they are made of, and
//! what an optimizer makes of those.
//!
//! Values are plain slices in the layout of a [`Map`](crate::Map), `[ceil(channels / 16), batch, height, width, 16]`,
//! so that they can lie in the tensors of whoever differentiates. Inputs of three channels may lie as in a
//! [`Picture`](crate::Picture), too, `[batch, height, width, 4]`. Weights are in the order of [`Geometry::weight_shape`]
//! and packed anew for every call, as a step of training changes them. Results, too, do not depend on how many
//! threads there are; but they do on whether there is [`Amx`].

mod adjoint;
#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(not(target_arch = "x86_64"))]
#[path = "amx/none.rs"]
mod amx;
mod orthogonal;
mod output;
mod regions;
pub(crate) mod weight;

pub use self::{amx::Amx, orthogonal::orthogonal, output::OutputGradient, regions::Regions};
use crate::{
    Activation, Context, Geometry,
    conv::{Conv, Source},
    shared::filled,
    simd::LANES,
};

/// Pixels of a map, of the whole batch, from which on fewer multiplications are worth the change of basis of all
/// weights.
const SAVING: usize = 1500;

/// One convolution on one size of input: dense, without groups or dilation.
#[derive(Clone, Copy, Debug)]
pub struct Convolution<'a> {
    context: &'a Context,
    geometry: Geometry,
    shape: [usize; 4],
    amx: Option<Amx>,
}

/// What a convolution by tiles is of.
#[cfg_attr(
    not(target_arch = "x86_64"),
    expect(dead_code, reason = "nobody has tiles")
)]
pub(crate) struct Forward<'a> {
    geometry: Geometry,
    /// Lies as in a map.
    x: &'a [f32],
    /// `[batch, inputs, height, width]`.
    shape: [usize; 4],
    /// `[outputs, inputs, kernel, kernel]`.
    weight: &'a [f32],
    bias: &'a [f32],
    /// Lies as the result.
    residual: Option<&'a [f32]>,
    rectifies: bool,
}

/// How many floats a map of this shape has.
pub(crate) fn floats([batch, channels, height, width]: [usize; 4]) -> usize {
    channels.div_ceil(LANES) * batch * height * width * LANES
}

impl<'a> Convolution<'a> {
    /// Whether there is one of this geometry.
    pub fn suits(geometry: &Geometry) -> bool {
        geometry.groups == 1 && geometry.dilation == 1
    }

    /// Of this geometry on inputs of this shape, `[batch, inputs, height, width]`.
    ///
    /// # Panics
    /// If there is [none](Self::suits), or the shape has other channels.
    pub fn new(context: &'a Context, geometry: Geometry, shape: [usize; 4]) -> Self {
        assert!(Self::suits(&geometry), "{geometry:?}");
        assert_eq!(shape[1], geometry.inputs, "channels of the input");
        Self {
            context,
            geometry,
            shape,
            amx: None,
        }
    }

    /// With products of numbers of 16 bits (bfloat16), each off by up to 1/256, where there is [`Amx`]: several times as
    /// fast. Those of pictures are none.
    pub fn with(mut self, amx: Option<Amx>) -> Self {
        self.amx = amx;
        self
    }

    /// `[batch, inputs, h, w]`.
    pub fn input_shape(&self) -> [usize; 4] {
        self.shape
    }

    /// `[batch, outputs, h', w']`.
    pub fn output_shape(&self) -> [usize; 4] {
        self.geometry.output_shape(self.shape)
    }

    /// `activation(conv(x) + bias + residual)`. The activation is none or rectifies.
    ///
    /// # Panics
    /// If a length is another.
    pub fn forward(
        &self,
        [weight, bias]: [&[f32]; 2],
        activation: Activation,
        x: &[f32],
        residual: Option<&[f32]>,
    ) -> Vec<f32> {
        let x = Source::of(x, self.shape);
        self.run(self.geometry, [weight, bias], activation, x, residual)
    }

    /// One of stride 1 or as this one.
    fn run(
        &self,
        geometry: Geometry,
        [weight, bias]: [&[f32]; 2],
        activation: Activation,
        x: Source<'_>,
        residual: Option<&[f32]>,
    ) -> Vec<f32> {
        let length = floats(geometry.output_shape(x.shape));
        assert!(residual.is_none_or(|residual| residual.len() == length));
        if let Some(amx) = self.amx_for(x) {
            let conv = Forward {
                geometry,
                x: x.values,
                shape: x.shape,
                weight,
                bias,
                residual,
                rectifies: activation == Activation::Relu,
            };
            // SAFETY: it makes all of it.
            return unsafe { filled(length, |y| amx.forward(&self.context.arena, &conv, y)) };
        }
        let mut y = vec![0.0; length];
        let saving = self.is_saving();
        let conv = Conv::for_now(self.context, geometry, weight, bias, activation, saving);
        conv.run(self.context, x, residual, &mut y);
        y
    }

    fn amx_for(&self, x: Source<'_>) -> Option<Amx> {
        self.amx.filter(|_| x.pixel == LANES)
    }

    fn is_saving(&self) -> bool {
        let [batch, _, rows, columns] = self.output_shape();
        batch * rows * columns >= SAVING
    }
}
