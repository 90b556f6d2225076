//! The sum of two maps.

use super::{Integers, Quantization, QuantizedMap, convert::TASK, requantize::Sum};
use crate::{isa::IntegerTask, shared::Shared, simd::LANES};

impl QuantizedMap {
    /// What two maps of one shape stand for, added and quantised anew, as `torch.ops.quantized.add`.
    ///
    /// # Panics
    /// If the shapes are not the same.
    #[must_use]
    pub fn add(&self, other: &Self, quantization: Quantization) -> Self {
        assert_eq!(self.shape(), other.shape());
        let mut y = Self::any(self.context(), self.shape(), quantization);
        let task = Add {
            x: [&self.values, &other.values],
            sum: Sum::new([self.quantization(), other.quantization()], quantization),
            y: Shared::new(&mut y.values),
        };
        let tasks = self.values.len().div_ceil(TASK);
        self.context().isa.run_all_integers(tasks, &task);
        y
    }
}

struct Add<'a> {
    x: [&'a [u8]; 2],
    sum: Sum,
    y: Shared<'a, u8>,
}

impl IntegerTask for Add<'_> {
    #[inline(always)]
    fn run<I: Integers>(&self, index: usize) {
        let start = index * TASK;
        let end = self.x[0].len().min(start + TASK);
        // SAFETY: the parts of tasks are apart.
        let y = unsafe { self.y.part(start, end - start) };
        let [a, b] = self.x.map(|x| x[start..end].as_chunks::<LANES>().0);
        for ((a, b), y) in a.iter().zip(b).zip(y.as_chunks_mut::<LANES>().0) {
            // SAFETY: all are a vector long.
            unsafe {
                let a = I::to_floats(I::load_bytes(a.as_ptr()));
                let b = I::to_floats(I::load_bytes(b.as_ptr()));
                let sum = self.sum.of::<I>(a, b);
                I::store_bytes(y.as_mut_ptr(), sum, &self.sum.bounds);
            }
        }
    }
}
