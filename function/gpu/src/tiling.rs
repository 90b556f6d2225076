//! How the output of a dense convolution is divided among workgroups.

use crate::{
    gpu::MOST_GROUPS,
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
    /// How many there are along channels, along pixels, and along what is summed over. Those of the same pixels begin one
    /// after the other, so that what they read is still near.
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
        /// That are summed over in a step.
        depth: usize,
    },
}

use Tile::{Matrices, Threads};

/// A tile that may be taken, and what was measured of it: on a GPU of 132 processors, of convolutions of 64 to 2048
/// channels.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    tile: Tile,
    /// How much of the output is made in a time, compared with others.
    speed: usize,
    /// Workgroups that keep a large GPU busy: several for each of its processors, so that one computes while another
    /// waits, and the last to finish have little to do alone.
    busy: usize,
}

const THREADS: [Candidate; 2] = [
    Candidate {
        tile: Threads {
            threads: [8, 8],
            quads: 2,
        },
        speed: 100,
        busy: 1024,
    },
    Candidate {
        tile: Threads {
            threads: [8, 8],
            quads: 1,
        },
        speed: 60,
        busy: 1024,
    },
];

const MATRICES: [Candidate; 5] = [
    Candidate {
        tile: Matrices {
            subgroups: [2, 4],
            matrices: [4, 4],
            depth: 2,
        },
        speed: 105,
        busy: 528,
    },
    Candidate {
        tile: Matrices {
            subgroups: [4, 2],
            matrices: [2, 4],
            depth: 4,
        },
        speed: 100,
        busy: 384,
    },
    Candidate {
        tile: Matrices {
            subgroups: [4, 2],
            matrices: [2, 2],
            depth: 4,
        },
        speed: 75,
        busy: 528,
    },
    Candidate {
        tile: Matrices {
            subgroups: [2, 2],
            matrices: [2, 2],
            depth: 4,
        },
        speed: 65,
        busy: 792,
    },
    Candidate {
        tile: Matrices {
            subgroups: [4, 1],
            matrices: [2, 2],
            depth: 4,
        },
        speed: 45,
        busy: 792,
    },
];

/// As many parts are summed apart at most: every part is written to memory and read again.
const MOST_PARTS: usize = 8;

/// Quads that are worth a part of their own.
const LEAST_PART: usize = 64;

/// Side of a matrix.
const MATRIX: usize = 16;

/// Threads of a subgroup where there are matrices.
const LANES: usize = 32;

impl Tiling {
    /// Of an output of so many pixels by quads of channels, each a sum over `summed` quads of the input: what takes the
    /// shortest time, the first of equals.
    pub(crate) fn of(matrices: bool, output: [usize; 2], summed: usize) -> Self {
        let candidates: &[Candidate] = if matrices { &MATRICES } else { &THREADS };
        let tilings = candidates
            .iter()
            .map(|candidate| candidate.tiling(output, summed));
        let best = tilings.min_by(|(time, _), (other, _)| time.total_cmp(other));
        best.map_or_else(|| unreachable!("there are some"), |(_, tiling)| tiling)
    }
}

impl Candidate {
    /// How long it takes, compared with others, and how the output is divided.
    fn tiling(&self, output: [usize; 2], summed: usize) -> (f64, Tiling) {
        /// What it costs to write parts and to read them again.
        const COST_OF_PARTS: f64 = 1.2;
        let tile = self.tile.for_sums_of(summed);
        let [pixels, quads] = output;
        let [along, across] = [pixels.div_ceil(tile.pixels()), quads.div_ceil(tile.quads())];
        let tiles = along * across;
        let most = (summed / LEAST_PART).clamp(1, MOST_PARTS);
        let parts = self.busy.div_ceil(tiles.max(1)).min(most);
        let part = summed.div_ceil(parts).next_multiple_of(tile.inputs());
        let parts = summed.div_ceil(part);
        let busy = ((tiles * parts) as f64 / self.busy as f64).min(1.0);
        let made = (tiles * tile.pixels() * tile.quads()) as f64;
        let mut time = made / (self.speed as f64 * busy);
        if parts > 1 {
            time *= COST_OF_PARTS;
        }
        if along > MOST_GROUPS {
            time = f64::INFINITY;
        }
        let tiling = Tiling {
            tile,
            part,
            groups: [across, along, parts],
        };
        (time, tiling)
    }
}

impl Tile {
    /// No deeper than sums of so many quads are worth: a step is made whole.
    fn for_sums_of(self, summed: usize) -> Self {
        let Matrices {
            subgroups,
            matrices,
            depth: deep,
        } = self
        else {
            return self;
        };
        let shallow = deep.min(2);
        let made = |depth: usize| summed.next_multiple_of(depth * MATRIX / QUAD);
        Matrices {
            subgroups,
            matrices,
            depth: if 4 * made(deep) > 5 * made(shallow) {
                shallow
            } else {
                deep
            },
        }
    }

    /// Pixels of the output.
    fn pixels(self) -> usize {
        match self {
            Threads { threads, quads } => threads[0] * quads * QUAD,
            Matrices {
                subgroups,
                matrices,
                ..
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
                ..
            } => subgroups[1] * matrices[1] * MATRIX / QUAD,
        }
    }

    /// Quads of the input that are summed over in a step.
    fn inputs(self) -> usize {
        match self {
            Threads { threads, quads } => threads[1] / quads,
            Matrices { depth, .. } => depth * MATRIX / QUAD,
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
                ..
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

/// All tiles of matrices, those of shallow steps, too.
#[cfg(test)]
pub(crate) fn matrices() -> impl Iterator<Item = Tile> {
    let tiles = MATRICES.into_iter().map(|candidate| candidate.tile);
    tiles.flat_map(|tile| [tile, tile.for_sums_of(1)])
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
                        let [across, along, parts] = groups;
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
        assert_eq!((large.tile, large.groups[2]), (THREADS[0].tile, 1));
        let small = Tiling::of(false, [100, 16], 16);
        assert_eq!((small.tile, small.groups[2]), (THREADS[1].tile, 1));
        // Of few channels, but of more pixels than there can be small tiles.
        let narrow = Tiling::of(false, [2_000_000, 4], 9);
        assert_eq!(narrow.tile, THREADS[1].tile);
        let largest = Tiling::of(false, [4_000_000, 4], 9);
        assert_eq!(largest.tile, THREADS[0].tile);

        // Of eight pictures of 520 x 520: 3x3 of 256 channels, 1x1 from 1024 to 2048, and 3x3 of 64.
        let tile = |output, summed| {
            let tiling = Tiling::of(true, output, summed);
            (tiling.tile, tiling.groups[2])
        };
        assert_eq!(tile([33_800, 64], 576), (MATRICES[1].tile, 1));
        assert_eq!(tile([33_800, 512], 256), (MATRICES[0].tile, 1));
        assert_eq!(tile([135_200, 16], 144), (MATRICES[2].tile, 1));
        // Of one.
        let (long, parts) = tile([4_225, 64], 4_608);
        assert!(long == MATRICES[1].tile && parts > 1);
    }
}
