//! Blocks of the four kinds of progressive scans (T.81 G.1.2).

use std::{ops::RangeInclusive, rc::Rc};

use super::{
    bits::Bits,
    block::{Block, coefficient},
    huffman::Table,
    scan::BlockDecoder,
};

/// The upper bits of the DC coefficients (T.81 G.1.2.1).
pub(super) struct DcFirst {
    /// By the component's place in the scan.
    tables: Vec<Rc<Table>>,
    /// By the component's place in the scan: the last block's.
    predictions: [i32; 4],
    /// How many bits are still to come: Al.
    shift: u32,
}

impl DcFirst {
    pub(super) fn new(tables: Vec<Rc<Table>>, shift: u32) -> Self {
        Self {
            tables,
            predictions: [0; 4],
            shift,
        }
    }
}

impl BlockDecoder for DcFirst {
    fn restart(&mut self) {
        self.predictions = [0; 4];
    }

    fn decode(&mut self, bits: &mut Bits<'_>, component: usize, block: &mut Block) {
        bits.prepare();
        let (_, difference) = self.tables[component].decode(bits);
        let prediction = &mut self.predictions[component];
        *prediction = prediction.wrapping_add(difference);
        block[0] = (*prediction << self.shift) as i16;
    }
}

/// One more bit of the DC coefficients.
pub(super) struct DcRefinement {
    /// The place of the bit: Al.
    shift: u32,
}

impl DcRefinement {
    pub(super) fn new(shift: u32) -> Self {
        Self { shift }
    }
}

impl BlockDecoder for DcRefinement {
    fn restart(&mut self) {}

    fn decode(&mut self, bits: &mut Bits<'_>, _component: usize, block: &mut Block) {
        block[0] |= i16::from(bits.take_bit()) << self.shift;
    }
}

/// The upper bits of a band of AC coefficients (T.81 G.1.2.2).
pub(super) struct AcFirst {
    table: Table,
    /// From Ss to Se.
    band: RangeInclusive<usize>,
    /// How many bits are still to come: Al.
    shift: u32,
    /// How many blocks have no more coefficients in the band.
    end_of_band_run: u32,
}

impl AcFirst {
    pub(super) fn new(table: Table, band: RangeInclusive<usize>, shift: u32) -> Self {
        Self {
            table,
            band,
            shift,
            end_of_band_run: 0,
        }
    }
}

impl BlockDecoder for AcFirst {
    fn restart(&mut self) {
        self.end_of_band_run = 0;
    }

    fn decode(&mut self, bits: &mut Bits<'_>, _component: usize, block: &mut Block) {
        if self.end_of_band_run > 0 {
            self.end_of_band_run -= 1;
            return;
        }
        let mut index = *self.band.start();
        while index <= *self.band.end() {
            bits.prepare();
            let (symbol, value) = self.table.decode(bits);
            let (run, size) = (symbol >> 4, symbol & 15);
            if size != 0 {
                index += usize::from(run);
                *coefficient(block, index) = (value << self.shift) as i16;
                index += 1;
            } else if run == 15 {
                index += 16;
            } else {
                self.end_of_band_run = take_run(bits, run) - 1;
                break;
            }
        }
    }
}

/// One more bit of a band of AC coefficients (T.81 G.1.2.3).
pub(super) struct AcRefinement {
    table: Table,
    /// From Ss to Se.
    band: RangeInclusive<usize>,
    /// The place of the bit: Al.
    shift: u32,
    /// How many blocks have no new coefficients in the band.
    end_of_band_run: u32,
}

impl BlockDecoder for AcRefinement {
    fn restart(&mut self) {
        self.end_of_band_run = 0;
    }

    fn decode(&mut self, bits: &mut Bits<'_>, _component: usize, block: &mut Block) {
        let (mut index, end) = (*self.band.start(), *self.band.end());
        if self.end_of_band_run == 0 {
            while index <= end {
                bits.prepare();
                let symbol = self.table.decode_symbol(bits);
                let (run, size) = (symbol >> 4, symbol & 15);
                if size == 0 && run != 15 {
                    self.end_of_band_run = take_run(bits, run);
                    break;
                }
                // A new coefficient can only be 1 or -1 at this place.
                let new = match size {
                    0 => 0,
                    _ if bits.take_bit() => 1 << self.shift,
                    _ => -1 << self.shift,
                };
                index = self.pass_zeros(bits, block, index, run);
                if new != 0 {
                    *coefficient(block, index) = new;
                }
                index += 1;
            }
        }
        if self.end_of_band_run > 0 {
            self.end_of_band_run -= 1;
            for index in index..=end {
                let known = coefficient(block, index);
                if *known != 0 {
                    self.refine(bits, known);
                }
            }
        }
    }
}

impl AcRefinement {
    pub(super) fn new(table: Table, band: RangeInclusive<usize>, shift: u32) -> Self {
        Self {
            table,
            band,
            shift,
            end_of_band_run: 0,
        }
    }

    /// Passes over `run` coefficients that stay zero, and refines the others on the way; where the one
    /// behind them is.
    fn pass_zeros(
        &self,
        bits: &mut Bits<'_>,
        block: &mut Block,
        start: usize,
        mut run: u8,
    ) -> usize {
        for index in start..=*self.band.end() {
            let known = coefficient(block, index);
            if *known != 0 {
                self.refine(bits, known);
            } else if run == 0 {
                return index;
            } else {
                run -= 1;
            }
        }
        *self.band.end() + 1
    }

    /// Reads the next bit of a coefficient's magnitude. A scan that comes twice changes nothing.
    #[inline(always)]
    fn refine(&self, bits: &mut Bits<'_>, known: &mut i16) {
        let bit = 1 << self.shift;
        if bits.take_bit() && *known & bit == 0 {
            *known = known.wrapping_add(if *known >= 0 { bit } else { -bit });
        }
    }
}

/// The length of a run of ends of bands (T.81 G.1.2.2), 1 to 32767, of which the next block has the first.
#[inline(always)]
fn take_run(bits: &mut Bits<'_>, size: u8) -> u32 {
    (1 << size) + bits.take(u32::from(size)) as u32
}
