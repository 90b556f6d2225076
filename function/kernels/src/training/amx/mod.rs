//! Convolutions by the matrix tiles of Intel's AMX, where a processor has them: products of numbers of 8 bits of mantissa
//! (bfloat16), summed as floats.
//!
//! A tile is a matrix of 16 rows of 64 bytes. Rows of the left factor are sixteen pixels with 32 channels each, or
//! sixteen channels with 32 pixels each; the right factor has its 32 rows by twos, so that two numbers that are summed lie
//! side by side.
//!
//! Maps are brought into a [`Grid`] first, with their padding, in which what a tap sees of all outputs lies at one
//! distance from them, rows and all: one loop goes over all pixels of a map, also of small ones.

mod forward;
mod layout;
mod tile;
mod weight;

use crate::Geometry;

/// That this process may use tiles.
#[derive(Clone, Copy, Debug)]
pub struct Amx(());

impl Amx {
    /// If the processor has them, with what is needed around them, and the system lets them be used.
    pub fn get() -> Option<Self> {
        (has_instructions() && may_use_tiles()).then_some(Self(()))
    }
}

fn has_instructions() -> bool {
    const BF16: u32 = 1 << 22;
    const TILE: u32 = 1 << 24;
    let extended = std::arch::x86_64::__cpuid_count(7, 0);
    extended.edx & (BF16 | TILE) == BF16 | TILE
        && is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512bf16")
}

/// Asks for the state of tiles, which Linux only saves of processes that asked for it.
#[cfg(target_os = "linux")]
fn may_use_tiles() -> bool {
    /// Of `asm/prctl.h` and `asm/fpu/types.h`.
    const ARCH_REQ_XCOMP_PERM: libc::c_ulong = 0x1023;
    const XFEATURE_XTILEDATA: libc::c_ulong = 18;
    // SAFETY: it reads no memory of this process.
    unsafe {
        libc::syscall(
            libc::SYS_arch_prctl,
            ARCH_REQ_XCOMP_PERM,
            XFEATURE_XTILEDATA,
        ) == 0
    }
}

#[cfg(not(target_os = "linux"))]
fn may_use_tiles() -> bool {
    false
}

/// Channels, or pixels, that a tile sums products of.
const DEEP: usize = 32;

/// How the pixels of a convolution's input lie, so that those that its outputs see through a tap follow one another as the
/// outputs do.
///
/// With a stride of `s` that is so for the pixels of each remainder modulo `s` along both axes: a map is `s * s` planes of
/// `rows` rows of `columns` pixels. Outputs have rows of as many, the last of which are none.
#[derive(Clone, Copy, Debug)]
struct Grid {
    geometry: Geometry,
    batch: usize,
    /// `[height, width]` of the input.
    input: [usize; 2],
    /// `[height, width]` of the output.
    output: [usize; 2],
    rows: usize,
    columns: usize,
}

impl Grid {
    /// Of inputs of `[batch, channels, height, width]`, and outputs of the other shape.
    fn new(geometry: Geometry, input: [usize; 4], output: [usize; 4]) -> Self {
        let [batch, _, height, width] = input;
        let more = (geometry.kernel - 1) / geometry.stride;
        Self {
            geometry,
            batch,
            input: [height, width],
            output: [output[2], output[3]],
            rows: output[2] + more,
            columns: output[3] + more,
        }
    }

    /// Pixels of a plane.
    fn plane(&self) -> usize {
        self.rows * self.columns
    }

    /// Pixels of a map.
    fn map(&self) -> usize {
        self.geometry.stride * self.geometry.stride * self.plane()
    }

    /// Pixels from the first output to the last one.
    fn outputs(&self) -> usize {
        let [height, width] = self.output;
        (height.max(1) - 1) * self.columns + width
    }

    /// Pixels from an output to what it sees through each tap, row by row.
    fn taps(&self) -> impl Iterator<Item = usize> {
        let Geometry { kernel, stride, .. } = self.geometry;
        let (plane, columns) = (self.plane(), self.columns);
        (0..kernel * kernel).map(move |tap| {
            let (row, column) = (tap / kernel, tap % kernel);
            (row % stride * stride + column % stride) * plane
                + row / stride * columns
                + column / stride
        })
    }
}
