//! The inverse discrete cosine transform (T.81 A.3.3) with the arithmetic of libjpeg's `islow`.
//!
//! After C. Loeffler, A. Ligtenberg and G. S. Moschytz, "Practical fast 1-D DCT algorithms with 11
//! multiplications", ICASSP 1989: first along the columns, then along the rows, each time scaled by the
//! square root of 8. Constants have 13 binary places, the results of the first pass 2. As in libjpeg's
//! kernels for SSE2 and AVX2, sums before a multiplication have 16 bits; only in damaged pictures they
//! need more.

use super::{block::Block, frame::BLOCK, tables::Quantisation};

/// Binary places of the constants.
const CONSTANT_BITS: u32 = 13;

/// Binary places of the results of the first pass.
const FIRST_PASS_BITS: u32 = 2;

/// `value` with [`CONSTANT_BITS`] binary places.
const fn fixed(value: f64) -> i16 {
    (value * (1 << CONSTANT_BITS) as f64 + 0.5) as i16
}

const C_298: i16 = fixed(0.298_631_336);
const C_390: i16 = fixed(0.390_180_644);
const C_541: i16 = fixed(0.541_196_100);
const C_765: i16 = fixed(0.765_366_865);
const C_899: i16 = fixed(0.899_976_223);
const C_1175: i16 = fixed(1.175_875_602);
const C_1501: i16 = fixed(1.501_321_110);
const C_1847: i16 = fixed(1.847_759_065);
const C_1961: i16 = fixed(1.961_570_560);
const C_2053: i16 = fixed(2.053_119_869);
const C_2562: i16 = fixed(2.562_915_447);
const C_3072: i16 = fixed(3.072_711_026);

/// One number of each of 8 transforms.
type Lanes = [i16; BLOCK];

/// The samples of a block, 0 to 255, by row.
pub(super) fn samples(block: &Block, quantisation: &Quantisation) -> [[u8; BLOCK]; BLOCK] {
    let rows = block.as_chunks::<BLOCK>().0;
    // The mean alone, an eighth of the DC coefficient: most blocks of smooth pictures.
    if block[1..].iter().all(|&value| value == 0) {
        let mean = descaled::<3>(i32::from(dequantised(block[0], quantisation[0])));
        return [[sample(mean); BLOCK]; BLOCK];
    }
    let mut coefficients = [[0; BLOCK]; BLOCK];
    let steps = quantisation.as_chunks::<BLOCK>().0;
    for ((row, values), steps) in coefficients.iter_mut().zip(rows).zip(steps) {
        for ((coefficient, &value), &step) in row.iter_mut().zip(values).zip(steps) {
            *coefficient = dequantised(value, step);
        }
    }
    let columns = transposed(transform(&coefficients, descaled::<FIRST_SHIFT>));
    transposed_bytes(transform(&columns, |value| {
        sample(descaled::<SECOND_SHIFT>(value))
    }))
}

const FIRST_SHIFT: u32 = CONSTANT_BITS - FIRST_PASS_BITS;

/// 3 bits more than were put in, for the two scalings.
const SECOND_SHIFT: u32 = CONSTANT_BITS + FIRST_PASS_BITS + 3;

#[inline(always)]
fn dequantised(value: i16, step: u16) -> i16 {
    value.wrapping_mul(step as i16)
}

/// Samples are signed up to here (T.81 A.3.1).
#[inline(always)]
fn sample(value: i16) -> u8 {
    (value.clamp(-128, 127) + 128) as u8
}

/// Rounds away `SHIFT` binary places.
#[inline(always)]
fn descaled<const SHIFT: u32>(value: i32) -> i16 {
    let rounded = (value + (1 << (SHIFT - 1))) >> SHIFT;
    rounded.clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16
}

/// Rows as columns, by shuffling the upper half of the rows into the lower one three times over.
#[inline(always)]
fn transposed(rows: [Lanes; BLOCK]) -> [Lanes; BLOCK] {
    shuffled(shuffled(shuffled(rows)))
}

#[inline(always)]
fn shuffled([a, b, c, d, e, f, g, h]: [Lanes; BLOCK]) -> [Lanes; BLOCK] {
    let low = |a: Lanes, b: Lanes| [a[0], b[0], a[1], b[1], a[2], b[2], a[3], b[3]];
    let high = |a: Lanes, b: Lanes| [a[4], b[4], a[5], b[5], a[6], b[6], a[7], b[7]];
    [
        low(a, e),
        high(a, e),
        low(b, f),
        high(b, f),
        low(c, g),
        high(c, g),
        low(d, h),
        high(d, h),
    ]
}

/// Rows as columns, by exchanging quarters, quarters of quarters, and theirs.
fn transposed_bytes(rows: [[u8; BLOCK]; BLOCK]) -> [[u8; BLOCK]; BLOCK] {
    let mut words = rows.map(u64::from_le_bytes);
    for (distance, mask) in [
        (4, 0x0000_0000_ffff_ffff),
        (2, 0x0000_ffff_0000_ffff),
        (1, 0x00ff_00ff_00ff_00ff),
    ] {
        for pair in 0..BLOCK / 2 {
            let upper = pair / distance * distance * 2 + pair % distance;
            let lower = upper + distance;
            let shift = distance * BLOCK;
            let changed = ((words[upper] >> shift) ^ words[lower]) & mask;
            words[upper] ^= changed << shift;
            words[lower] ^= changed;
        }
    }
    words.map(u64::to_le_bytes)
}

/// 8 transforms at once, from frequency to place, each result put through `finish`.
#[inline(always)]
fn transform<T: Copy + Default>(
    input: &[Lanes; BLOCK],
    finish: impl Fn(i32) -> T,
) -> [[T; BLOCK]; BLOCK] {
    let mut output = [[T::default(); BLOCK]; BLOCK];
    for lane in 0..BLOCK {
        let at = |frequency: usize| input[frequency][lane];
        let sum = |a: i16, b: i16| a.wrapping_add(b);
        let dot = |[a, b]: [i16; 2], [c, d]: [i16; 2]| {
            i32::from(a) * i32::from(c) + i32::from(b) * i32::from(d)
        };

        // Even frequencies: a butterfly and a rotation.
        let total = i32::from(sum(at(0), at(4))) << CONSTANT_BITS;
        let difference = i32::from(at(0).wrapping_sub(at(4))) << CONSTANT_BITS;
        let low = dot([at(2), at(6)], [C_541 + C_765, C_541]);
        let high = dot([at(2), at(6)], [C_541, C_541 - C_1847]);
        let even = [
            total + low,
            difference + high,
            difference - high,
            total - low,
        ];

        // Odd frequencies. Added in this order no sum exceeds 32 bits.
        let sums = [sum(at(7), at(3)), sum(at(5), at(1))];
        let of_73 = dot(sums, [C_1175 - C_1961, C_1175]);
        let of_51 = dot(sums, [C_1175, C_1175 - C_390]);
        let odd = [
            dot([at(1), at(7)], [C_1501 - C_899, -C_899]) + of_51,
            dot([at(3), at(5)], [C_3072 - C_2562, -C_2562]) + of_73,
            dot([at(5), at(3)], [C_2053 - C_2562, -C_2562]) + of_51,
            dot([at(7), at(1)], [C_298 - C_899, -C_899]) + of_73,
        ];

        for place in 0..4 {
            output[place][lane] = finish(even[place] + odd[place]);
            output[7 - place][lane] = finish(even[place] - odd[place]);
        }
    }
    output
}

#[cfg(test)]
mod tests {
    use std::f64::consts::{FRAC_1_SQRT_2, PI};

    use proptest::prelude::*;

    use super::samples;

    /// The formula of T.81 A.3.3.
    fn exact(coefficients: &[f64; 64], x: usize, y: usize) -> f64 {
        let basis = |frequency: usize, place: usize| {
            let scale = if frequency == 0 { FRAC_1_SQRT_2 } else { 1.0 };
            scale * ((2 * place + 1) as f64 * frequency as f64 * PI / 16.0).cos()
        };
        let of = |index: usize| coefficients[index] * basis(index % 8, x) * basis(index / 8, y);
        (0..64).map(of).sum::<f64>() / 4.0 + 128.0
    }

    proptest! {
        #[test]
        fn samples_are_those_of_the_formula_but_for_rounding(
            block in proptest::array::uniform32(-40..40i16),
            step in 1..8u16,
        ) {
            let mut padded = [0; 64];
            padded[..32].copy_from_slice(&block);
            let coefficients = padded.map(|value| f64::from(value) * f64::from(step));
            let samples = samples(&padded, &[step; 64]);
            for (y, row) in samples.iter().enumerate() {
                for (x, &sample) in row.iter().enumerate() {
                    let exact = exact(&coefficients, x, y).clamp(0.0, 255.0);
                    prop_assert!((f64::from(sample) - exact).abs() < 0.6, "{sample} {exact}");
                }
            }
        }

        #[test]
        fn a_flat_block_is_no_special_case(dc in -1100..1100i16, step in 1..20u16) {
            let mut block = [0; 64];
            block[0] = dc;
            let flat = samples(&block, &[step; 64]);
            // A coefficient that counts nothing takes the block through the whole transform.
            block[63] = 1;
            let mut quantisation = [step; 64];
            quantisation[63] = 0;
            prop_assert_eq!(flat, samples(&block, &quantisation));
        }

        #[test]
        fn no_coefficients_are_too_large(seed: u64) {
            let mut state = seed;
            let block = std::array::from_fn(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                if state >> 63 == 0 { i16::MIN } else { i16::MAX }
            });
            samples(&block, &[1; 64]);
        }
    }
}
