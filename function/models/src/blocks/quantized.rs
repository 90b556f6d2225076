//! Convolution in 8-bit integers: how a [`Conv2d`](super::Conv2d) is calculated where all is.

use std::{
    fmt,
    sync::{Mutex, OnceLock, PoisonError},
};

use segmenter_kernels::{
    Activation, Geometry, Isa,
    quantized::{Quantization, QuantizedConv, QuantizedWeight},
};

use super::map::Values;
use crate::weights::QuantizedTensor;

/// A convolution of maps of bytes.
///
/// What these stand for is not known before there is one. Its weights are packed for the first that comes;
/// all further ones are of the same kind, as each comes out of the same layer before this one.
pub(super) struct Quantized {
    isa: Isa,
    geometry: Geometry,
    activation: Activation,
    output: Quantization,
    /// Until there is a map.
    unpacked: Mutex<Option<Parameters>>,
    packed: OnceLock<QuantizedConv>,
}

/// As the network's file has them.
pub(super) struct Parameters {
    /// In the order of [`Geometry::weight_shape`].
    pub(super) weight: QuantizedTensor,
    /// One an output channel, of real values.
    pub(super) bias: Option<Vec<f32>>,
}

impl Quantized {
    /// `output` is what the bytes stand for that come out.
    pub(super) fn new(
        isa: Isa,
        geometry: Geometry,
        parameters: Parameters,
        activation: Activation,
        output: Quantization,
    ) -> Self {
        Self {
            isa,
            geometry,
            activation,
            output,
            unpacked: Mutex::new(Some(parameters)),
            packed: OnceLock::new(),
        }
    }

    pub(super) fn forward(&self, x: &Values) -> Values {
        match x {
            Values::QuantizedPicture(context, picture) => {
                let conv = self.packed_for(picture.quantization());
                conv.forward_picture(context, picture).into()
            }
            x => {
                let x = x.quantized();
                self.packed_for(x.quantization()).forward(x).into()
            }
        }
    }

    /// `sum` is what the bytes stand for that come out; by default, what they do without a residual.
    pub(super) fn forward_with_residual(
        &self,
        x: &Values,
        residual: &Values,
        sum: Option<Quantization>,
    ) -> Values {
        let (x, residual) = (x.quantized(), residual.quantized());
        let sum = sum.unwrap_or(self.output);
        let conv = self.packed_for(x.quantization());
        conv.forward_add(x, residual, sum).into()
    }

    pub(super) fn forward_doubled(&self, x: &Values) -> Values {
        let x = x.quantized();
        self.packed_for(x.quantization()).forward_doubled(x).into()
    }

    #[expect(
        clippy::expect_used,
        reason = "the cell runs this once, and nothing else takes them"
    )]
    fn packed_for(&self, input: Quantization) -> &QuantizedConv {
        self.packed.get_or_init(|| {
            let mut unpacked = self.unpacked.lock().unwrap_or_else(PoisonError::into_inner);
            let Parameters { weight, bias } = unpacked.take().expect("not packed yet");
            let weight = QuantizedWeight {
                values: &weight.centred(),
                scales: &weight.scales,
            };
            QuantizedConv::new(
                self.isa,
                self.geometry,
                weight,
                bias.as_deref(),
                self.activation,
                [input, self.output],
            )
        })
    }
}

impl fmt::Debug for Quantized {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Quantized")
            .field("geometry", &self.geometry)
            .field("output", &self.output)
            .finish_non_exhaustive()
    }
}
