//! What the processor could do.

use std::time::{Duration, Instant};

use crate::{
    isa::{Isa, Task},
    simd::Simd,
};

/// Multiplications of floats a second, each with an addition, of all threads of the current pool together at
/// their best: in a loop that reads and writes no memory. What kernels reach is a share of it.
pub fn peak_multiplications(isa: Isa) -> f64 {
    let threads = rayon::current_num_threads();
    let most = (0..ROUNDS).map(|_| {
        let begin = Instant::now();
        isa.run_all(threads, &Multiply);
        let time = begin.elapsed().max(Duration::from_nanos(1));
        (threads * STEPS * SUMS * crate::simd::LANES) as f64 / time.as_secs_f64()
    });
    most.fold(0.0, f64::max)
}

/// Enough for the clock to rise, and for one round without others' work.
const ROUNDS: usize = 20;

/// Some milliseconds.
const STEPS: usize = 1 << 20;

/// Sums that do not wait for each other: more than an instruction takes cycles, times those that start in one;
/// fewer than there are registers.
const SUMS: usize = 12;

struct Multiply;

impl Task for Multiply {
    #[inline(always)]
    #[expect(
        clippy::needless_range_loop,
        reason = "iterators would keep the sums in memory"
    )]
    fn run<S: Simd>(&self, index: usize) {
        let factor = S::splat(0.5);
        let mut sums = [S::splat(index as f32); SUMS];
        for _ in 0..STEPS {
            for sum in 0..SUMS {
                sums[sum] = S::mul_add(sums[sum], factor, factor);
            }
        }
        std::hint::black_box(&mut sums);
    }
}
