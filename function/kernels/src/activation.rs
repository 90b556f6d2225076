//! What follows a layer.

use crate::simd::Simd;

/// What follows a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Activation {
    /// Nothing.
    Identity,
    /// `max(x, 0)`.
    Relu,
    /// `min(max(x, 0), 6)`.
    Relu6,
    /// `x * relu6(x + 3) / 6`.
    HardSwish,
    /// `relu6(x + 3) / 6`.
    HardSigmoid,
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
}

impl Activation {
    /// Of one value.
    pub fn of(self, x: f32) -> f32 {
        match self {
            Self::Identity => x,
            Self::Relu => x.max(0.0),
            Self::Relu6 => x.clamp(0.0, 6.0),
            Self::HardSwish => x * ((x + 3.0).clamp(0.0, 6.0) * (1.0 / 6.0)),
            Self::HardSigmoid => (x + 3.0).clamp(0.0, 6.0) * (1.0 / 6.0),
            Self::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        }
    }

    /// Of every lane of every vector. [`Sigmoid`](Self::Sigmoid) is left to [`Activation::of`]: it follows
    /// single values of whole maps only.
    #[inline(always)]
    pub(crate) fn of_vectors<S: Simd, const J: usize, const P: usize>(
        self,
        x: &mut [[S::Floats; J]; P],
    ) {
        match self {
            Self::Identity | Self::Sigmoid => {}
            Self::Relu => each::<S, J, P>(x, |x| S::max(x, S::splat(0.0))),
            Self::Relu6 => each::<S, J, P>(x, |x| S::min(S::max(x, S::splat(0.0)), S::splat(6.0))),
            Self::HardSwish => each::<S, J, P>(x, |x| S::mul(x, gate::<S>(x))),
            Self::HardSigmoid => each::<S, J, P>(x, |x| gate::<S>(x)),
        }
    }
}

/// `relu6(x + 3) / 6`.
#[inline(always)]
fn gate<S: Simd>(x: S::Floats) -> S::Floats {
    let x = S::max(S::add(x, S::splat(3.0)), S::splat(0.0));
    S::mul(S::min(x, S::splat(6.0)), S::splat(1.0 / 6.0))
}

// By index: iterators would keep the vectors in memory, where they cost more than the sums themselves.
#[inline(always)]
#[expect(clippy::needless_range_loop, reason = "see above")]
fn each<S: Simd, const J: usize, const P: usize>(
    x: &mut [[S::Floats; J]; P],
    of: impl Fn(S::Floats) -> S::Floats,
) {
    for p in 0..P {
        for j in 0..J {
            x[p][j] = of(x[p][j]);
        }
    }
}
