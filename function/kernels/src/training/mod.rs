//! Convolutions of networks that are being trained: forward, and the gradients of all that they are made of.
//!
//! Values are plain slices in the layout of a [`Map`](crate::Map), `[ceil(channels / 16), batch, height, width, 16]`,
//! so that they can lie in the tensors of whoever differentiates. Inputs of three channels may lie as in a
//! [`Picture`](crate::Picture), too, `[batch, height, width, 4]`. Weights are in the order of [`Geometry::weight_shape`]
//! and packed anew for every call, as a step of training changes them. Results, too, do not depend on how many
//! threads there are.

mod adjoint;
mod output;
pub(crate) mod weight;

pub use self::output::OutputGradient;
use crate::{
    Activation, Context, Geometry,
    conv::{Conv, Source},
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
        }
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
        let conv = self.conv(self.geometry, weight, bias, activation);
        let mut y = vec![0.0; floats(self.output_shape())];
        assert!(residual.is_none_or(|residual| residual.len() == y.len()));
        conv.run(self.context, Source::of(x, self.shape), residual, &mut y);
        y
    }

    fn conv(
        &self,
        geometry: Geometry,
        weight: &[f32],
        bias: &[f32],
        activation: Activation,
    ) -> Conv {
        let saving = self.is_saving();
        Conv::for_now(self.context, geometry, weight, bias, activation, saving)
    }

    fn is_saving(&self) -> bool {
        let [batch, _, rows, columns] = self.output_shape();
        batch * rows * columns >= SAVING
    }
}
