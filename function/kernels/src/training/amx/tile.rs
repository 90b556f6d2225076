//! The instructions.

use std::{arch::asm, marker::PhantomData};

use super::Amx;

/// Rows of a tile.
pub(super) const ROWS: usize = 16;

/// Bytes of a row.
const ROW: usize = 64;

/// Bytes of a tile.
pub(super) const TILE: usize = ROWS * ROW;

/// Four tiles of sums: two by two.
pub(super) type Sums = [[f32; ROWS * 16]; 4];

/// What `ldtilecfg` reads.
#[repr(C, align(64))]
struct Config {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

/// The tiles of this thread, all of them as large as can be, until they are dropped.
pub(super) struct Tiles {
    /// Of one thread.
    thread: PhantomData<*const ()>,
}

impl Tiles {
    pub(super) fn of_this_thread(_: Amx) -> Self {
        let mut config = Config {
            palette: 1,
            start_row: 0,
            reserved: [0; 14],
            row_bytes: [0; 16],
            rows: [0; 16],
        };
        config.row_bytes[..8].fill(ROW as u16);
        config.rows[..8].fill(ROWS as u8);
        // SAFETY: the processor has the instruction, and the configuration is one of the first palette.
        unsafe {
            asm!("ldtilecfg [{}]", in(reg) &raw const config, options(nostack, readonly, preserves_flags));
        }
        Self {
            thread: PhantomData,
        }
    }

    /// The products of twice sixteen pixels with twice sixteen outputs, summed over `offsets`. At each of these bytes from
    /// `pixels` lie the first sixteen, each 64 bytes behind the one before, and the others behind them; at `weights`,
    /// for each offset, two tiles. Sums are `[pixels, outputs]`, those of the first pixels first.
    ///
    /// # Safety
    /// All that can be read.
    #[inline(always)]
    pub(super) unsafe fn of_pixels(
        &self,
        pixels: *const u32,
        offsets: &[usize],
        weights: *const u32,
        sums: &mut Sums,
    ) {
        // SAFETY: the caller's, and the tiles are there.
        unsafe {
            asm!(
                "tilezero tmm0",
                "tilezero tmm1",
                "tilezero tmm2",
                "tilezero tmm3",
                "test {count}, {count}",
                "jz 3f",
                "2:",
                "mov {from}, [{offsets}]",
                "add {from}, {pixels}",
                "tileloadd tmm4, [{from} + {row}*1]",
                "tileloadd tmm5, [{from} + {row}*1 + 1024]",
                "tileloadd tmm6, [{weights} + {row}*1]",
                "tileloadd tmm7, [{weights} + {row}*1 + 1024]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tdpbf16ps tmm1, tmm4, tmm7",
                "tdpbf16ps tmm2, tmm5, tmm6",
                "tdpbf16ps tmm3, tmm5, tmm7",
                "add {offsets}, 8",
                "add {weights}, 2048",
                "dec {count}",
                "jnz 2b",
                "3:",
                "tilestored [{sums} + {row}*1], tmm0",
                "tilestored [{sums} + {row}*1 + 1024], tmm1",
                "tilestored [{sums} + {row}*1 + 2048], tmm2",
                "tilestored [{sums} + {row}*1 + 3072], tmm3",
                from = out(reg) _,
                pixels = in(reg) pixels,
                offsets = inout(reg) offsets.as_ptr() => _,
                weights = inout(reg) weights => _,
                count = inout(reg) offsets.len() => _,
                row = in(reg) ROW,
                sums = in(reg) sums.as_mut_ptr(),
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack),
            );
        }
    }

    /// Adds the products of twice sixteen rows of `left`, `left_row` bytes from one to the next, with twice sixteen
    /// columns, over so many tiles: of the left ones each 64 bytes behind the one before, of the right ones each a tile.
    ///
    /// # Safety
    /// All that can be read.
    #[inline(always)]
    pub(super) unsafe fn over_pixels(
        &self,
        left: [*const u32; 2],
        left_row: usize,
        right: [*const u32; 2],
        count: usize,
        sums: &mut Sums,
    ) {
        // SAFETY: the caller's, and the tiles are there.
        unsafe {
            asm!(
                "tileloadd tmm0, [{sums} + {row}*1]",
                "tileloadd tmm1, [{sums} + {row}*1 + 1024]",
                "tileloadd tmm2, [{sums} + {row}*1 + 2048]",
                "tileloadd tmm3, [{sums} + {row}*1 + 3072]",
                "test {count}, {count}",
                "jz 3f",
                "2:",
                "tileloadd tmm4, [{left0} + {left_row}*1]",
                "tileloadd tmm5, [{left1} + {left_row}*1]",
                "tileloadd tmm6, [{right0} + {row}*1]",
                "tileloadd tmm7, [{right1} + {row}*1]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tdpbf16ps tmm1, tmm4, tmm7",
                "tdpbf16ps tmm2, tmm5, tmm6",
                "tdpbf16ps tmm3, tmm5, tmm7",
                "add {left0}, 64",
                "add {left1}, 64",
                "add {right0}, 1024",
                "add {right1}, 1024",
                "dec {count}",
                "jnz 2b",
                "3:",
                "tilestored [{sums} + {row}*1], tmm0",
                "tilestored [{sums} + {row}*1 + 1024], tmm1",
                "tilestored [{sums} + {row}*1 + 2048], tmm2",
                "tilestored [{sums} + {row}*1 + 3072], tmm3",
                left0 = inout(reg) left[0] => _,
                left1 = inout(reg) left[1] => _,
                left_row = in(reg) left_row,
                right0 = inout(reg) right[0] => _,
                right1 = inout(reg) right[1] => _,
                count = inout(reg) count => _,
                row = in(reg) ROW,
                sums = in(reg) sums.as_mut_ptr(),
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack),
            );
        }
    }
}

impl Drop for Tiles {
    fn drop(&mut self) {
        // SAFETY: the processor has the instruction, and nobody else on this thread uses tiles.
        unsafe { asm!("tilerelease", options(nomem, nostack, preserves_flags)) }
    }
}
