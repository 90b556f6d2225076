//! How much one task does.

use std::ops::Range;

use crate::{map::Map, simd::LANES, threads::threads};

/// Floats that a task goes through at the least, where there are as many: a few microseconds, next to
/// which starting a task is little.
const LEAST: usize = 1 << 14;

/// How many tasks a convolution of so many vector multiplications is worth: each takes some microseconds at the
/// least, and each thread gets a few, so that one that falls behind is helped.
pub(crate) fn tasks(multiplications: usize) -> usize {
    const LEAST_MULTIPLICATIONS: usize = 1 << 14;
    const OF_A_THREAD: usize = 4;
    let most = threads() * OF_A_THREAD;
    (multiplications / LEAST_MULTIPLICATIONS).clamp(1, most)
}

/// Rows that lie one below the other in memory, of all images of all blocks, divided into tasks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rows {
    count: usize,
    of_task: usize,
}

impl Rows {
    /// So many rows, of so many floats of work each.
    pub(crate) fn new(count: usize, floats: usize) -> Self {
        Self {
            count,
            of_task: (LEAST / floats.max(1)).max(1),
        }
    }

    /// The rows of a map that is made.
    pub(crate) fn of(map: &Map) -> Self {
        let [batch, _, height, width] = map.shape();
        Self::new(map.blocks() * batch * height, width * LANES)
    }

    /// How many tasks there are.
    pub(crate) fn tasks(&self) -> usize {
        self.count.div_ceil(self.of_task)
    }

    /// The rows of one.
    #[inline(always)]
    pub(crate) fn of_task(&self, index: usize) -> Range<usize> {
        let first = index * self.of_task;
        first..self.count.min(first + self.of_task)
    }
}

#[cfg(test)]
mod tests {
    use super::{LEAST, Rows};

    #[test]
    fn every_row_is_in_one_task() {
        for (count, floats) in [
            (0, 16),
            (1, 0),
            (100, LEAST / 7),
            (9, LEAST),
            (5, 3 * LEAST),
        ] {
            let rows = Rows::new(count, floats);
            let all: Vec<_> = (0..rows.tasks())
                .flat_map(|task| rows.of_task(task))
                .collect();
            assert_eq!(all, (0..count).collect::<Vec<_>>());
        }
    }
}
