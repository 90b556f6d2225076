//! Chance that is the same on every machine: xoshiro256++ (<https://prng.di.unimi.it>), seeded by splitmix64.

use crate::maths::{Point, exp, ln};

pub(crate) struct Random {
    state: [u64; 4],
}

impl Random {
    pub(crate) fn new(mut seed: u64) -> Self {
        let state = std::array::from_fn(|_| {
            seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = seed;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        });
        Self { state }
    }

    pub(crate) fn bits(&mut self) -> u64 {
        let [a, b, c, d] = self.state;
        let result = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
        let (c, d) = (c ^ a, d ^ b);
        self.state = [a ^ d, b ^ c, c ^ (b << 17), d.rotate_left(45)];
        result
    }

    /// For a texture's own chance.
    pub(crate) fn seed(&mut self) -> u32 {
        (self.bits() >> 32) as u32
    }

    /// 0 to 1.
    pub(crate) fn unit(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / (1u32 << 24) as f32
    }

    pub(crate) fn range(&mut self, from: f32, to: f32) -> f32 {
        from + (to - from) * self.unit()
    }

    /// As often between 1 and 2 as between 2 and 4.
    pub(crate) fn log_range(&mut self, from: f32, to: f32) -> f32 {
        exp(self.range(ln(from), ln(to)))
    }

    /// Mostly near 0, as far as ±1.5, with the deviation 0.5.
    pub(crate) fn bell(&mut self) -> f32 {
        self.unit() + self.unit() + self.unit() - 1.5
    }

    pub(crate) fn chance(&mut self, probability: f32) -> bool {
        self.unit() < probability
    }

    pub(crate) fn sign(&mut self) -> f32 {
        if self.chance(0.5) { 1.0 } else { -1.0 }
    }

    /// From the first to the last, both of them possible.
    pub(crate) fn count(&mut self, first: usize, last: usize) -> usize {
        first + (self.bits() >> 33) as usize % (last.saturating_sub(first) + 1)
    }

    /// One of these; there has to be one.
    pub(crate) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.count(0, of.len() - 1)]
    }

    /// The place of one of these weights, as often as it is heavy.
    pub(crate) fn weighted(&mut self, weights: &[f32]) -> usize {
        let mut rest = self.unit() * weights.iter().sum::<f32>();
        for (index, weight) in weights.iter().enumerate() {
            rest -= weight;
            if rest < 0.0 {
                return index;
            }
        }
        weights.len() - 1
    }

    pub(crate) fn point(&mut self, [x0, y0, x1, y1]: [f32; 4]) -> Point {
        [self.range(x0, x1), self.range(y0, y1)]
    }
}
