//! The mean of every channel.

use super::{Integers, QuantizedMap};
use crate::{
    isa::IntegerTask,
    rows::Rows,
    shared::Shared,
    simd::{LANES, Simd},
};

impl QuantizedMap {
    /// The mean of every channel, in the same quantisation: `[batch, channels, h, w]` to
    /// `[batch, channels, 1, 1]`, as `torch.nn.functional.adaptive_avg_pool2d` computes it.
    #[must_use]
    pub fn global_mean(&self) -> Self {
        let [batch, channels, height, width] = self.shape();
        let mut y = Self::any(self.context(), [batch, channels, 1, 1], self.quantization());
        let pixels = height * width;
        let rows = Rows::new(self.blocks() * batch, pixels * LANES);
        let task = Mean {
            x: self,
            pixels,
            rows,
            y: Shared::new(&mut y.values),
        };
        self.context().isa.run_all_integers(rows.tasks(), &task);
        y
    }
}

struct Mean<'a> {
    x: &'a QuantizedMap,
    pixels: usize,
    /// A row is an image of a block.
    rows: Rows,
    y: Shared<'a, u8>,
}

impl IntegerTask for Mean<'_> {
    #[inline(always)]
    fn run<I: Integers>(&self, index: usize) {
        let quantization = self.x.quantization();
        // PyTorch divides by what it then divides by again.
        let share = 1.0 / (1.0 / (1.0 / self.pixels as f32));
        let zero = -(i32::from(quantization.zero_point) * self.pixels as i32);
        let zero = [zero; LANES];
        for image in self.rows.of_task(index) {
            let length = self.pixels * LANES;
            let pixels = &self.x.values[image * length..][..length];
            // SAFETY: pixels are a vector long, as is what sums begin with; there is one vector an image in
            // the output, and each image is in one task.
            unsafe {
                let mut sums = I::load_sums(zero.as_ptr());
                for pixel in pixels.as_chunks::<LANES>().0 {
                    sums = I::add(sums, I::load_bytes(pixel.as_ptr()));
                }
                let mean = I::Real::mul(I::to_floats(sums), I::Real::splat(share));
                I::store_bytes(self.y.at(image * LANES), mean, &quantization.bounds());
            }
        }
    }
}
