//! Where floats become bytes.

use std::sync::Arc;

use burn::module::Module;
use segmenter_kernels::quantized::{Quantization, QuantizedMap, QuantizedPicture};

use super::{
    Device, Precision,
    map::{Map, Values},
};
use crate::weights::{WeightError, Weights};

/// In front of a part of a network that can be calculated in 8-bit integers: where it is, makes bytes of its
/// input, or other bytes of bytes; where it is calculated in floats, the input passes as it is.
#[derive(Module, Debug)]
pub struct QuantStub {
    #[module(skip)]
    quantization: Option<Quantization>,
}

impl QuantStub {
    /// Takes the quantisation `name`, if the device calculates in integers.
    pub fn load(weights: &mut Weights, name: &str, device: &Device) -> Result<Self, WeightError> {
        let quantization = match device.precision() {
            Precision::F32 | Precision::F16 => None,
            Precision::Int8 => Some(weights.take_quantization(name)?),
        };
        Ok(Self { quantization })
    }

    /// To the same shape.
    pub fn forward(&self, x: Map) -> Map {
        let Some(quantization) = self.quantization else {
            return x;
        };
        Map(match x.0 {
            Values::Picture(context, picture) => {
                let bytes = QuantizedPicture::quantize(&context, &picture, quantization);
                Values::QuantizedPicture(context, Arc::new(bytes))
            }
            Values::Quantized(map) if map.quantization() == quantization => Values::Quantized(map),
            Values::Quantized(map) => {
                QuantizedMap::quantize(&map.dequantize(), quantization).into()
            }
            x => QuantizedMap::quantize(x.kernels(), quantization).into(),
        })
    }
}
