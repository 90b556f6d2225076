//! The bases that tiles and kernels are brought to.
//!
//! A basis stands for the values of polynomials at some points and at infinity, whose coefficients are what is
//! convolved. In a matrix that takes such values, the row of a point `p` is `[1, p, p², ...]`, that of infinity is
//! `[..., 0, 1]`.

use crate::simd::Simd;

/// How `OUT` outputs are made of `IN` inputs and three taps, in one direction.
pub(super) trait Basis<const IN: usize, const OUT: usize>: 'static {
    /// `G`, which kernels are multiplied with: the values at each point, divided by the product of its distances
    /// from the others.
    const KERNEL: [[f64; 3]; IN];

    /// `Bᵀ` times a column of inputs. A row holds the coefficients of the product of all `x - p` without that of
    /// its own point; the last row holds all of them.
    fn of_inputs<S: Simd>(d: [S::Floats; IN]) -> [S::Floats; IN];

    /// `Aᵀ` times a column of products: the values, transposed.
    fn outputs<S: Simd>(m: [S::Floats; IN]) -> [S::Floats; OUT];
}

/// A row of `G`.
const fn kernel_row(point: f32, distances: f64) -> [f64; 3] {
    let point = point as f64;
    [
        1.0 / distances,
        point / distances,
        point * point / distances,
    ]
}

const INFINITY: [f64; 3] = [0.0, 0.0, 1.0];

/// F(4, 3).
///
/// The points are 0, `±A` and `±B`. With the 1 and 2 of the paper, sums of some hundred channels are off by 1e-5 of
/// the largest; with these, which lie closer around 1, by a fifth of that. All that is made of them is exact in
/// binary.
pub(super) struct Four;

impl Four {
    const A: f32 = 0.75;
    const B: f32 = 1.5;
}

#[cfg(feature = "training")]
impl Four {
    /// `A` times a column of gradients by the outputs.
    #[inline(always)]
    pub(super) fn of_gradients<S: Simd>(g: [S::Floats; 4]) -> [S::Floats; 6] {
        let even = |point: f32| S::mul_add(S::splat(point * point), g[2], g[0]);
        let odd = |point: f32| {
            let cube = S::splat(point * point * point);
            S::mul_add(cube, g[3], S::mul(S::splat(point), g[1]))
        };
        let (even_a, odd_a) = (even(Self::A), odd(Self::A));
        let (even_b, odd_b) = (even(Self::B), odd(Self::B));
        [
            g[0],
            S::add(even_a, odd_a),
            S::sub(even_a, odd_a),
            S::add(even_b, odd_b),
            S::sub(even_b, odd_b),
            g[3],
        ]
    }
}

impl Basis<6, 4> for Four {
    const KERNEL: [[f64; 3]; 6] = {
        let (a2, b2) = ((Self::A * Self::A) as f64, (Self::B * Self::B) as f64);
        [
            kernel_row(0.0, a2 * b2),
            kernel_row(Self::A, 2.0 * a2 * (a2 - b2)),
            kernel_row(-Self::A, 2.0 * a2 * (a2 - b2)),
            kernel_row(Self::B, 2.0 * b2 * (b2 - a2)),
            kernel_row(-Self::B, 2.0 * b2 * (b2 - a2)),
            INFINITY,
        ]
    };

    #[inline(always)]
    fn of_inputs<S: Simd>(d: [S::Floats; 6]) -> [S::Floats; 6] {
        let (a, b) = (S::splat(Self::A), S::splat(Self::B));
        let (a2, b2) = (S::splat(Self::A * Self::A), S::splat(Self::B * Self::B));
        let sum = S::splat(Self::A * Self::A + Self::B * Self::B);
        let product = S::splat(Self::A * Self::A * Self::B * Self::B);
        let even_a = S::neg_mul_add(b2, d[2], d[4]);
        let odd_a = S::neg_mul_add(b2, d[1], d[3]);
        let even_b = S::neg_mul_add(a2, d[2], d[4]);
        let odd_b = S::neg_mul_add(a2, d[1], d[3]);
        [
            S::mul_add(product, d[0], S::neg_mul_add(sum, d[2], d[4])),
            S::mul_add(a, odd_a, even_a),
            S::neg_mul_add(a, odd_a, even_a),
            S::mul_add(b, odd_b, even_b),
            S::neg_mul_add(b, odd_b, even_b),
            S::mul_add(product, d[1], S::neg_mul_add(sum, d[3], d[5])),
        ]
    }

    #[inline(always)]
    fn outputs<S: Simd>(m: [S::Floats; 6]) -> [S::Floats; 4] {
        const A2: f32 = Four::A * Four::A;
        const B2: f32 = Four::B * Four::B;
        let (sum_a, difference_a) = (S::add(m[1], m[2]), S::sub(m[1], m[2]));
        let (sum_b, difference_b) = (S::add(m[3], m[4]), S::sub(m[3], m[4]));
        let odd = |a: f32, b: f32| {
            S::mul_add(S::splat(b), difference_b, S::mul(S::splat(a), difference_a))
        };
        [
            S::add(m[0], S::add(sum_a, sum_b)),
            odd(Self::A, Self::B),
            S::mul_add(S::splat(B2), sum_b, S::mul(S::splat(A2), sum_a)),
            S::add(m[5], odd(A2 * Self::A, B2 * Self::B)),
        ]
    }
}

/// F(3, 3), for maps of few pixels.
///
/// The points are 0, `±A` and `C`: of those that are exact in binary, among the most precise.
pub(super) struct Three;

impl Three {
    const A: f32 = 0.75;
    const C: f32 = 2.0;
}

impl Basis<5, 3> for Three {
    const KERNEL: [[f64; 3]; 5] = {
        let (a, c) = (Self::A as f64, Self::C as f64);
        [
            kernel_row(0.0, a * a * c),
            kernel_row(Self::A, 2.0 * a * a * (a - c)),
            kernel_row(-Self::A, 2.0 * a * a * (-a - c)),
            kernel_row(Self::C, c * (c * c - a * a)),
            INFINITY,
        ]
    };

    #[inline(always)]
    fn of_inputs<S: Simd>(d: [S::Floats; 5]) -> [S::Floats; 5] {
        let (a, a2, c) = (
            S::splat(Self::A),
            S::splat(Self::A * Self::A),
            S::splat(Self::C),
        );
        // Each times `x - C`.
        let first = S::neg_mul_add(c, d[0], d[1]);
        let second = S::neg_mul_add(c, d[1], d[2]);
        let third = S::neg_mul_add(c, d[2], d[3]);
        let fourth = S::neg_mul_add(c, d[3], d[4]);
        [
            S::neg_mul_add(a2, first, third),
            S::mul_add(a, second, third),
            S::neg_mul_add(a, second, third),
            S::neg_mul_add(a2, d[1], d[3]),
            S::neg_mul_add(a2, second, fourth),
        ]
    }

    #[inline(always)]
    fn outputs<S: Simd>(m: [S::Floats; 5]) -> [S::Floats; 3] {
        let (sum, difference) = (S::add(m[1], m[2]), S::sub(m[1], m[2]));
        let (a, a2) = (S::splat(Self::A), S::splat(Self::A * Self::A));
        let (c, c2) = (S::splat(Self::C), S::splat(Self::C * Self::C));
        [
            S::add(m[0], S::add(sum, m[3])),
            S::mul_add(a, difference, S::mul(c, m[3])),
            S::mul_add(a2, sum, S::mul_add(c2, m[3], m[4])),
        ]
    }
}
