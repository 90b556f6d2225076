//! From floats to bytes and back.

use std::sync::Arc;

use super::{Integers, Quantization, QuantizedMap, simd::Bounds};
use crate::{
    arena::Buffer,
    isa::IntegerTask,
    map::{Context, Map},
    picture::Picture,
    shared::Shared,
    simd::{LANES, Simd},
};

/// Values of a task: some microseconds.
pub(super) const TASK: usize = 1 << 15;

/// Values that are packed to bytes together.
const FOUR: usize = 4 * LANES;

impl QuantizedMap {
    /// The nearest bytes for a map's values, as `torch.quantize_per_tensor`: a value times one over the scale
    /// is rounded, to the even one of two as near, and the zero point added.
    pub fn quantize(map: &Map, quantization: Quantization) -> Self {
        let mut bytes = Self::any(map.context(), map.shape(), quantization);
        quantize(map.context(), &map.values, &mut bytes.values, quantization);
        bytes
    }

    /// The values that the bytes stand for.
    pub fn dequantize(&self) -> Map {
        let mut map = Map::any(self.context(), self.shape());
        let task = Dequantize {
            x: &self.values,
            quantization: self.quantization(),
            y: Shared::new(&mut map.values),
        };
        let tasks = self.values.len().div_ceil(TASK);
        self.context().isa.run_all_integers(tasks, &task);
        map
    }
}

/// A [`Picture`] of bytes: `[batch, height, width, 4]` in memory, the fourth byte unused.
#[derive(Debug)]
pub struct QuantizedPicture {
    values: Buffer<u8>,
    shape: [usize; 4],
    quantization: Quantization,
}

impl QuantizedPicture {
    /// As [`QuantizedMap::quantize`].
    pub fn quantize(context: &Arc<Context>, picture: &Picture, quantization: Quantization) -> Self {
        let mut values = context.arena.take(picture.values().len());
        quantize(context, picture.values(), &mut values, quantization);
        Self {
            values,
            shape: picture.shape(),
            quantization,
        }
    }

    /// `[batch, 3, height, width]`.
    pub fn shape(&self) -> [usize; 4] {
        self.shape
    }

    /// What its bytes stand for.
    pub fn quantization(&self) -> Quantization {
        self.quantization
    }

    pub(super) fn values(&self) -> &[u8] {
        &self.values
    }
}

fn quantize(context: &Arc<Context>, x: &[f32], y: &mut [u8], quantization: Quantization) {
    let task = Quantize {
        x,
        inverse: 1.0 / quantization.scale,
        bounds: quantization.bounds(),
        y: Shared::new(y),
    };
    context.isa.run_all_integers(x.len().div_ceil(TASK), &task);
}

struct Quantize<'a> {
    x: &'a [f32],
    inverse: f32,
    bounds: Bounds,
    y: Shared<'a, u8>,
}

impl IntegerTask for Quantize<'_> {
    #[inline(always)]
    fn run<I: Integers>(&self, index: usize) {
        let start = index * TASK;
        let x = &self.x[start..self.x.len().min(start + TASK)];
        // SAFETY: the parts of tasks are apart.
        let y = unsafe { self.y.part(start, x.len()) };
        let inverse = I::Real::splat(self.inverse);
        let (x, x_rest) = x.as_chunks::<FOUR>();
        let (y, y_rest) = y.as_chunks_mut::<FOUR>();
        for (x, y) in x.iter().zip(y) {
            // SAFETY: both are four vectors long.
            unsafe {
                let x = x.as_ptr();
                let values = [
                    I::Real::mul(I::Real::load(x), inverse),
                    I::Real::mul(I::Real::load(x.add(LANES)), inverse),
                    I::Real::mul(I::Real::load(x.add(2 * LANES)), inverse),
                    I::Real::mul(I::Real::load(x.add(3 * LANES)), inverse),
                ];
                I::store_four::<true>(y.as_mut_ptr(), values, &self.bounds);
            }
        }
        for (x, y) in x_rest.chunks(LANES).zip(y_rest.chunks_mut(LANES)) {
            let (mut values, mut bytes) = ([0.0; LANES], [0; LANES]);
            values[..x.len()].copy_from_slice(x);
            // SAFETY: both are a vector long.
            unsafe {
                let values = I::Real::mul(I::Real::load(values.as_ptr()), inverse);
                I::store_bytes(bytes.as_mut_ptr(), values, &self.bounds);
            }
            y.copy_from_slice(&bytes[..y.len()]);
        }
    }
}

struct Dequantize<'a> {
    x: &'a [u8],
    quantization: Quantization,
    y: Shared<'a, f32>,
}

impl IntegerTask for Dequantize<'_> {
    #[inline(always)]
    fn run<I: Integers>(&self, index: usize) {
        let start = index * TASK;
        let x = &self.x[start..self.x.len().min(start + TASK)];
        // SAFETY: the parts of tasks are apart.
        let y = unsafe { self.y.part(start, x.len()) };
        let scale = I::Real::splat(self.quantization.scale);
        let zero_point = I::Real::splat(self.quantization.zero_point.into());
        // A map is whole vectors.
        let (x, y) = (x.as_chunks::<LANES>().0, y.as_chunks_mut::<LANES>().0);
        for (x, y) in x.iter().zip(y) {
            // SAFETY: both are a vector long.
            unsafe {
                let steps = I::Real::sub(I::to_floats(I::load_bytes(x.as_ptr())), zero_point);
                I::Real::store(y.as_mut_ptr(), I::Real::mul(steps, scale));
            }
        }
    }
}
