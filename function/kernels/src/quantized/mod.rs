//! Kernels for networks whose weights and activations are 8-bit integers.
//!
//! ```text
//! Map ──QuantizedMap::quantize──> QuantizedMap ──QuantizedConv::forward──> QuantizedMap ── ... ──dequantize──> Map
//! ```
//!
//! Sums of products are exact. What is made of them is rounded as PyTorch does on x86, in the same order of
//! operations, and is the same on every set of instructions.

mod add;
mod combine;
mod conv;
mod convert;
mod dense;
mod depthwise;
mod map;
mod mean;
mod requantize;
mod simd;
mod tile;

pub(crate) use self::simd::Integers;
#[cfg(target_arch = "aarch64")]
pub(crate) use self::simd::neon::Long;
pub(crate) use self::simd::portable::Plain;
#[cfg(target_arch = "x86_64")]
pub(crate) use self::simd::{avx2::Wide, vnni::Vnni};
pub use self::{
    conv::{QuantizedConv, QuantizedWeight},
    convert::QuantizedPicture,
    map::QuantizedMap,
};

use self::simd::Bounds;

/// What the bytes of a map stand for: `(q - zero_point) * scale`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantization {
    /// Of a step of the byte; more than zero.
    pub scale: f32,
    /// The byte that stands for zero.
    pub zero_point: u8,
}

impl Quantization {
    /// The byte for a value: of the two nearest, the even one, before the zero point is added.
    pub fn quantize(&self, value: f32) -> u8 {
        let steps = (value * (1.0 / self.scale)).round_ties_even();
        // A conversion of a float saturates.
        (steps + f32::from(self.zero_point)) as u8
    }

    /// The value of a byte.
    pub fn dequantize(&self, byte: u8) -> f32 {
        (f32::from(byte) - f32::from(self.zero_point)) * self.scale
    }

    /// Of all bytes.
    fn bounds(&self) -> Bounds {
        Bounds {
            zero_point: self.zero_point,
            low: 0,
            high: u8::MAX,
        }
    }
}
