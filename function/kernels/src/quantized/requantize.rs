//! From sums of products to the output's bytes.
//!
//! The order of operations is that of fbgemm, as PyTorch calls it: the sum becomes a float, the bias is added
//! in units of the product of the scales of input and weight, and the result multiplied by that product over
//! the output's scale, each rounded to 32 bits.

use super::{
    Quantization,
    simd::{Bounds, Floats, Integers},
};
use crate::{
    Activation,
    simd::{LANES, Simd},
};

/// What a convolution does to its sums. Values are for each output channel, padded to whole blocks.
pub(super) struct Requantize {
    /// Of a step of the sums, in steps of the output.
    multipliers: Vec<f32>,
    /// In steps of the sums.
    bias: Vec<f32>,
    bounds: Bounds,
    output: Quantization,
    /// Whether there is no bias, and no upper bound to watch.
    plain: bool,
}

impl Requantize {
    /// `scales` are those of the weights, `reach` is the most that sums can be.
    ///
    /// # Panics
    /// If `activation` is not a clamp.
    pub(super) fn new(
        input: Quantization,
        scales: &[f32],
        reach: &[f32],
        bias: Option<&[f32]>,
        activation: Activation,
        output: Quantization,
    ) -> Self {
        use Activation::{Identity, Relu, Relu6};

        let padded = scales.len().next_multiple_of(LANES);
        let mut multipliers = vec![0.0; padded];
        let mut biases = vec![0.0; padded];
        for (channel, scale) in scales.iter().enumerate() {
            let step = input.scale * scale;
            multipliers[channel] = step / output.scale;
            if let Some(bias) = bias {
                biases[channel] = bias[channel] / step;
            }
        }
        assert!(
            matches!(activation, Identity | Relu | Relu6),
            "{activation:?} is not done in integers"
        );
        let low = match activation {
            Identity => 0,
            _ => output.zero_point,
        };
        let high = match activation {
            Relu6 => output.quantize(6.0),
            _ => u8::MAX,
        };
        // As integers of 32 bits they do not overflow, with some room for rounding.
        let mut steps = reach.iter().zip(&multipliers).map(|(a, b)| a * b);
        let small = steps.all(|steps| steps < (1 << 30) as f32);
        Self {
            plain: bias.is_none() && high == u8::MAX && small,
            multipliers,
            bias: biases,
            bounds: Bounds {
                zero_point: output.zero_point,
                low,
                high,
            },
            output,
        }
    }

    pub(super) fn output(&self) -> Quantization {
        self.output
    }

    /// Writes bytes for the sums of `P` pixels of sixteen channels each.
    ///
    /// # Safety
    /// The block is there, and `P` pixels can be written at `y`.
    #[inline(always)]
    pub(super) unsafe fn bytes<I: Integers, const P: usize>(
        &self,
        sums: [I::Sums; P],
        block: usize,
        y: *mut u8,
    ) {
        // A copy, which the compiler knows that no output is written to.
        let bounds = self.bounds;
        // SAFETY: the caller's.
        unsafe {
            let channels = self.channels::<I>(block);
            if self.plain && P >= 4 {
                for four in 0..P / 4 {
                    let p = four * 4;
                    let values = [
                        channels.scale_unbiased(sums[p]),
                        channels.scale_unbiased(sums[p + 1]),
                        channels.scale_unbiased(sums[p + 2]),
                        channels.scale_unbiased(sums[p + 3]),
                    ];
                    I::store_four::<false>(y.add(p * LANES), values, &bounds);
                }
            } else if P >= 4 {
                for four in 0..P / 4 {
                    let p = four * 4;
                    let values = [
                        channels.scale(sums[p]),
                        channels.scale(sums[p + 1]),
                        channels.scale(sums[p + 2]),
                        channels.scale(sums[p + 3]),
                    ];
                    I::store_four::<true>(y.add(p * LANES), values, &bounds);
                }
            } else {
                for (p, sums) in sums.into_iter().enumerate() {
                    I::store_bytes(y.add(p * LANES), channels.scale(sums), &bounds);
                }
            }
        }
    }

    /// Writes what becomes of the sums of `pixels` pixels of some blocks, `[blocks, MOST_PIXELS, LANES]`.
    ///
    /// # Safety
    /// The blocks are there from `block` on; the output can be written from `at` on, `pixels` pixels in blocks
    /// that are `y_block` apart, and so can a residual be read.
    #[inline(always)]
    pub(super) unsafe fn run<I: Integers>(
        &self,
        sums: &[[[i32; LANES]; MOST_PIXELS]],
        pixels: usize,
        block: usize,
        to: Output,
        at: usize,
        y_block: usize,
    ) {
        let bounds = self.bounds;
        for (j, sums) in sums.iter().enumerate() {
            let at = at + j * y_block;
            let sums = &sums[..pixels];
            // SAFETY: the caller's.
            unsafe {
                let channels = self.channels::<I>(block + j);
                let scaled = |sums: &[i32; LANES]| channels.scale(I::load_sums(sums.as_ptr()));
                match to {
                    Output::Bytes(y) => {
                        let mut y = y.add(at);
                        let (fours, rest) = sums.as_chunks::<4>();
                        for [a, b, c, d] in fours {
                            let values = [scaled(a), scaled(b), scaled(c), scaled(d)];
                            I::store_four::<true>(y, values, &bounds);
                            y = y.add(4 * LANES);
                        }
                        for sums in rest {
                            I::store_bytes(y, scaled(sums), &bounds);
                            y = y.add(LANES);
                        }
                    }
                    Output::Floats(y) => {
                        let step = I::Real::splat(self.output.scale);
                        for (p, sums) in sums.iter().enumerate() {
                            let value = whole::<I>(scaled(sums), &bounds);
                            I::Real::store(y.add(at + p * LANES), I::Real::mul(value, step));
                        }
                    }
                    Output::Sum { y, residual, sum } => {
                        let sum = &*sum;
                        let (mut y, mut residual) = (y.add(at), residual.add(at));
                        let (fours, rest) = sums.as_chunks::<4>();
                        for [a, b, c, d] in fours {
                            let values = [
                                self.added(sum, &channels, a, residual),
                                self.added(sum, &channels, b, residual.add(LANES)),
                                self.added(sum, &channels, c, residual.add(2 * LANES)),
                                self.added(sum, &channels, d, residual.add(3 * LANES)),
                            ];
                            I::store_four::<true>(y, values, &sum.bounds);
                            (y, residual) = (y.add(4 * LANES), residual.add(4 * LANES));
                        }
                        for sums in rest {
                            let value = self.added(sum, &channels, sums, residual);
                            I::store_bytes(y, value, &sum.bounds);
                            (y, residual) = (y.add(LANES), residual.add(LANES));
                        }
                    }
                }
            }
        }
    }

    /// What the sums become, and the residual added to it: in steps of the `sum`, before its zero point is added.
    ///
    /// # Safety
    /// Sixteen bytes can be read at `residual`.
    #[inline(always)]
    unsafe fn added<I: Integers>(
        &self,
        sum: &Sum,
        channels: &Channels<I>,
        sums: &[i32; LANES],
        residual: *const u8,
    ) -> Floats<I> {
        let zero_point = I::Real::splat(self.output.zero_point.into());
        // SAFETY: the caller's.
        unsafe {
            let value = channels.scale(I::load_sums(sums.as_ptr()));
            let value = I::Real::add(whole::<I>(value, &self.bounds), zero_point);
            sum.of::<I>(value, I::to_floats(I::load_bytes(residual)))
        }
    }

    /// # Safety
    /// The block is there.
    #[inline(always)]
    unsafe fn channels<I: Integers>(&self, block: usize) -> Channels<I> {
        // SAFETY: the caller's.
        unsafe {
            Channels {
                bias: I::Real::load(self.bias.as_ptr().add(block * LANES)),
                multiplier: I::Real::load(self.multipliers.as_ptr().add(block * LANES)),
            }
        }
    }
}

/// The most pixels that sums are kept of.
pub(super) const MOST_PIXELS: usize = 12;

/// Sixteen channels.
#[derive(Clone, Copy)]
struct Channels<I: Integers> {
    bias: Floats<I>,
    multiplier: Floats<I>,
}

impl<I: Integers> Channels<I> {
    /// Of sums, in steps of the output, before its zero point is added.
    #[inline(always)]
    fn scale(&self, sums: I::Sums) -> Floats<I> {
        I::Real::mul(I::Real::add(I::to_floats(sums), self.bias), self.multiplier)
    }
}

impl<I: Integers> Channels<I> {
    /// As [`scale`](Self::scale) where the bias is zero.
    #[inline(always)]
    fn scale_unbiased(&self, sums: I::Sums) -> Floats<I> {
        I::Real::mul(I::to_floats(sums), self.multiplier)
    }
}

/// The whole numbers that the output would hold, less its zero point.
#[inline(always)]
fn whole<I: Integers>(value: Floats<I>, bounds: &Bounds) -> Floats<I> {
    let [low, high] = bounds.floats();
    let value = I::Real::max(value, I::Real::splat(low));
    let value = I::Real::min(value, I::Real::splat(high));
    I::to_floats(I::round(value))
}

/// Where results go.
#[derive(Clone, Copy)]
pub(super) enum Output {
    /// As bytes.
    Bytes(*mut u8),
    /// As the floats that the bytes stand for.
    Floats(*mut f32),
    /// As bytes, with the residual added to what the bytes stand for.
    Sum {
        y: *mut u8,
        residual: *const u8,
        sum: *const Sum,
    },
}

/// The sum of two quantised values, in the order of operations of PyTorch's vectors.
#[derive(Clone, Copy)]
pub(super) struct Sum {
    /// Of both terms, the scale and its product with the zero point, negative.
    terms: [[f32; 2]; 2],
    /// One over the scale of the sum.
    inverse: f32,
    pub(super) bounds: Bounds,
}

impl Sum {
    pub(super) fn new(terms: [Quantization; 2], sum: Quantization) -> Self {
        Self {
            terms: terms.map(|term| [term.scale, term.scale * -f32::from(term.zero_point)]),
            inverse: 1.0 / sum.scale,
            bounds: sum.bounds(),
        }
    }

    /// Of bytes as floats, in steps of the sum, before its zero point is added.
    #[inline(always)]
    pub(super) fn of<I: Integers>(&self, a: Floats<I>, b: Floats<I>) -> Floats<I> {
        let real = |value, [scale, offset]: [f32; 2]| {
            I::fused(value, I::Real::splat(scale), I::Real::splat(offset))
        };
        let sum = I::Real::add(real(a, self.terms[0]), real(b, self.terms[1]));
        I::Real::mul(sum, I::Real::splat(self.inverse))
    }
}
