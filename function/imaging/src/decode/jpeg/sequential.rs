//! Blocks of a sequential scan (T.81 F.2.2).

use std::rc::Rc;

use super::{
    bits::Bits,
    block::{Block, coefficient},
    huffman::Table,
    scan::BlockDecoder,
};

/// All coefficients of a block at once.
pub(super) struct Sequential {
    /// By the component's place in the scan: its tables for DC and AC coefficients.
    tables: Vec<(Rc<Table>, Rc<Table>)>,
    /// By the component's place in the scan: the last block's DC coefficient.
    predictions: [i32; 4],
}

impl Sequential {
    /// With the tables of the scan's components for DC and AC coefficients.
    pub(super) fn new(dc: Vec<Rc<Table>>, ac: Vec<Rc<Table>>) -> Self {
        Self {
            tables: dc.into_iter().zip(ac).collect(),
            predictions: [0; 4],
        }
    }
}

impl BlockDecoder for Sequential {
    fn restart(&mut self) {
        self.predictions = [0; 4];
    }

    #[inline(always)]
    fn decode(&mut self, bits: &mut Bits<'_>, component: usize, block: &mut Block) {
        let (dc, ac) = &self.tables[component];
        let mut own = *bits;
        own.prepare();
        let (_, difference) = dc.decode(&mut own);
        let prediction = &mut self.predictions[component];
        *prediction = prediction.wrapping_add(difference);
        block[0] = *prediction as i16;

        let mut index = 1;
        while index < 64 {
            own.prepare();
            let (symbol, value) = ac.decode(&mut own);
            let (run, size) = (usize::from(symbol >> 4), symbol & 15);
            if size != 0 {
                index += run;
                *coefficient(block, index) = value as i16;
                index += 1;
            } else if run == 15 {
                index += 16;
            } else {
                break;
            }
        }
        *bits = own;
    }
}
