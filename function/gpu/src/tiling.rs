//! How the output of a dense convolution is divided among workgroups.

use crate::{
    map::QUAD,
    shader::{Kernel, Shader},
};

/// What all workgroups of a convolution make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tiling {
    /// One's part of the output.
    pub(crate) tile: Tile,
    /// How many quads it sums over; others sum over the others.
    pub(crate) part: usize,
    /// How many there are along pixels, along channels, and along what is summed over.
    pub(crate) groups: [usize; 3],
}

/// What a workgroup makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tile {
    /// Every thread some quads of pixels by some quads of channels.
    Threads {
        /// Of the workgroup, along pixels and along channels.
        threads: [usize; 2],
        /// Quads of a thread, along both.
        quads: usize,
    },
    /// Every subgroup some matrices of 16 pixels by 16 channels.
    Matrices {
        /// Of the workgroup, along pixels and along channels.
        subgroups: [usize; 2],
        /// Of a subgroup, along both.
        matrices: [usize; 2],
    },
}

use Tile::{Matrices, Threads};

/// From the best for large maps to the best for small ones.
const THREADS: [Tile; 2] = [
    Threads {
        threads: [8, 8],
        quads: 2,
    },
    Threads {
        threads: [8, 8],
        quads: 1,
    },
];
pub(crate) const MATRICES: [Tile; 4] = [
    Matrices {
        subgroups: [4, 2],
        matrices: [2, 4],
    },
    Matrices {
        subgroups: [4, 1],
        matrices: [2, 4],
    },
    Matrices {
        subgroups: [4, 1],
        matrices: [2, 2],
    },
    Matrices {
        subgroups: [2, 2],
        matrices: [2, 2],
    },
];

/// Workgroups that keep a large GPU busy: several for each of its hundred or more processors, so that one computes
/// while another waits, and the last to finish have little to do alone.
const BUSY_THREADS: usize = 1024;
const BUSY_MATRICES: usize = 384;

/// As many parts are summed apart at most: every part is written to memory and read again.
const MOST_PARTS: usize = 8;

/// Quads that are worth a part of their own.
const LEAST_PART: usize = 64;

/// Side of a matrix.
const MATRIX: usize = 16;

/// Threads of a subgroup where there are matrices.
const LANES: usize = 32;

impl Tiling {
    /// Of an output of so many pixels by quads of channels, each a sum over `summed` quads of the input: the first tile
    /// that keeps a GPU busy and makes few channels that there are not; where none does, the one of most workgroups.
    pub(crate) fn of(matrices: bool, output: [usize; 2], summed: usize) -> Self {
        let (tiles, busy): (&[Tile], _) = if matrices {
            (&MATRICES, BUSY_MATRICES)
        } else {
            (&THREADS, BUSY_THREADS)
        };
        let made = |tile: &Tile| output[1].next_multiple_of(tile.quads());
        let least = tiles.iter().map(made).min().unwrap_or_default();
        let few = |tile: &Tile| 4 * made(tile) <= 5 * least;
        let mut most: Option<Self> = None;
        for &tile in tiles.iter().filter(|tile| few(tile)) {
            let tiling = Self::with(tile, output, summed, busy);
            if tiling.workgroups() >= busy {
                return tiling;
            }
            if most.is_none_or(|most| tiling.workgroups() > most.workgroups()) {
                most = Some(tiling);
            }
        }
        most.unwrap_or_else(|| Self::with(tiles[0], output, summed, busy))
    }

    fn workgroups(&self) -> usize {
        self.groups.iter().product()
    }

    fn with(tile: Tile, output: [usize; 2], summed: usize, busy: usize) -> Self {
        let [pixels, quads] = output;
        let [along, across] = [pixels.div_ceil(tile.pixels()), quads.div_ceil(tile.quads())];
        let most = (summed / LEAST_PART).clamp(1, MOST_PARTS);
        let parts = busy.div_ceil((along * across).max(1)).min(most);
        let part = summed.div_ceil(parts).next_multiple_of(tile.inputs());
        Self {
            tile,
            part,
            groups: [along, across, summed.div_ceil(part)],
        }
    }
}

impl Tile {
    /// Pixels of the output.
    fn pixels(self) -> usize {
        match self {
            Threads { threads, quads } => threads[0] * quads * QUAD,
            Matrices {
                subgroups,
                matrices,
            } => subgroups[0] * matrices[0] * MATRIX,
        }
    }

    /// Quads of channels of the output.
    fn quads(self) -> usize {
        match self {
            Threads { threads, quads } => threads[1] * quads,
            Matrices {
                subgroups,
                matrices,
            } => subgroups[1] * matrices[1] * MATRIX / QUAD,
        }
    }

    /// Quads of the input that are summed over in a step.
    fn inputs(self) -> usize {
        match self {
            Threads { threads, quads } => threads[1] / quads,
            Matrices { .. } => 2 * MATRIX / QUAD,
        }
    }

    /// Which kernel makes it.
    pub(crate) fn kernel(self) -> Kernel {
        match self {
            Threads { .. } => Kernel::Conv,
            Matrices { .. } => Kernel::ConvMatrices,
        }
    }

    /// What the kernel has to know of it that reads so many quads at once.
    pub(crate) fn constants(self, shader: Shader, wide: usize) -> Shader {
        match self {
            Threads {
                threads: [rows, columns],
                quads,
            } => shader
                .constant("ROWS", rows)
                .constant("COLUMNS", columns)
                .constant("G", quads)
                .constant("H", quads)
                .constant("I", QUAD)
                .constant("C", QUAD)
                .constant("W", self.inputs() * QUAD * self.quads() / (rows * columns)),
            Matrices {
                subgroups: [rows, columns],
                matrices: [high, across],
            } => {
                let threads = rows * columns * LANES;
                shader
                    .constant("WIDE", wide)
                    .constant("ROWS", rows)
                    .constant("COLUMNS", columns)
                    .constant("M", high)
                    .constant("N", across)
                    .constant("INPUTS", self.inputs())
                    .constant("U", self.pixels() * self.inputs() / wide / threads)
                    .constant("W", self.inputs() * QUAD * self.quads() / 2 / threads)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{MATRICES, MOST_PARTS, THREADS, Tiling};

    #[test]
    fn all_is_made_once() {
        for matrices in [false, true] {
            for pixels in [1, 31, 850, 54_400] {
                for quads in [1, 5, 64, 512] {
                    for summed in [1, 9, 49, 64, 1152, 12_544] {
                        let Tiling { tile, part, groups } =
                            Tiling::of(matrices, [pixels, quads], summed);
                        let [along, across, parts] = groups;
                        let exactly = |groups: usize, size: usize, all: usize| {
                            groups * size >= all && (groups - 1) * size < all
                        };
                        assert!(exactly(along, tile.pixels(), pixels));
                        assert!(exactly(across, tile.quads(), quads));
                        assert!(exactly(parts, part, summed) && parts <= MOST_PARTS);
                        assert!(part.is_multiple_of(tile.inputs()));
                    }
                }
            }
        }
    }

    #[test]
    fn large_tiles_for_large_maps_and_parts_for_long_sums() {
        let large = Tiling::of(false, [54_400, 64], 576);
        assert_eq!((large.tile, large.groups[2]), (THREADS[0], 1));
        let narrow = Tiling::of(true, [54_400, 16], 576);
        assert_eq!((narrow.tile, narrow.groups[2]), (MATRICES[1], 1));
        let long = Tiling::of(true, [850, 128], 1152);
        assert!(long.tile == MATRICES[1] && long.groups[2] > 1);
        let small = Tiling::of(false, [100, 16], 16);
        assert_eq!((small.tile, small.groups[2]), (THREADS[1], 1));
    }
}
