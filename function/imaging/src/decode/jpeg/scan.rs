//! Scans (T.81 B.2.3): which blocks come in which order (A.2) and where decoding restarts (E.2.4).

use std::{ops::Range, rc::Rc};

use super::{
    bits::Bits,
    block::Block,
    error::JpegError,
    frame::Frame,
    huffman::{Class, Table},
    progressive::{AcFirst, AcRefinement, DcFirst, DcRefinement},
    sequential::Sequential,
    tables::{SLOTS, Tables},
};

/// The most blocks of an interleaved scan's MCU (T.81 B.2.3).
const MAX_BLOCKS_IN_MCU: usize = 10;

/// The header of a scan.
#[derive(Debug)]
pub(super) struct Scan {
    /// 1 to 4, in the order of an MCU's blocks.
    pub(super) components: Vec<ScanComponent>,
    /// Ss, the first coefficient.
    spectral_start: usize,
    /// Se, the last coefficient.
    spectral_end: usize,
    /// Ah: the place above the bit that this scan refines, 0 for none.
    approximation_high: u32,
    /// Al: the place of the lowest bit that this scan gives.
    approximation_low: u32,
}

/// A component of a scan.
#[derive(Clone, Copy, Debug)]
pub(super) struct ScanComponent {
    /// Of the component in the frame.
    pub(super) index: usize,
    dc_table: usize,
    ac_table: usize,
}

impl Scan {
    pub(super) fn parse(segment: &[u8], frame: &Frame) -> Result<Self, JpegError> {
        let wrong_length = JpegError::Length("scan");
        let (&count, rest) = segment.split_first().ok_or(wrong_length)?;
        let count = usize::from(count);
        if !(1..=4).contains(&count) || rest.len() != count * 2 + 3 {
            return Err(wrong_length);
        }
        let (selectors, parameters) = rest.split_at(count * 2);
        let mut components: Vec<ScanComponent> = Vec::with_capacity(count);
        for &[id, tables] in selectors.as_chunks::<2>().0 {
            let index = (0..frame.components.len())
                .find(|&index| {
                    let is_free = components.iter().all(|other| other.index != index);
                    frame.components[index].id == id && is_free
                })
                .ok_or(JpegError::Missing("component"))?;
            components.push(ScanComponent {
                index,
                dc_table: usize::from(tables >> 4),
                ac_table: usize::from(tables & 15),
            });
        }
        let scan = Self {
            components,
            spectral_start: usize::from(parameters[0]),
            spectral_end: usize::from(parameters[1]),
            approximation_high: u32::from(parameters[2] >> 4),
            approximation_low: u32::from(parameters[2] & 15),
        };
        if scan.is_interleaved() && scan.blocks_in_mcu(frame) > MAX_BLOCKS_IN_MCU {
            return Err(JpegError::OutOfRange("number of blocks in a unit"));
        }
        if frame.is_progressive && !scan.is_progression_step() {
            return Err(JpegError::OutOfRange("progression"));
        }
        Ok(scan)
    }

    fn is_interleaved(&self) -> bool {
        self.components.len() > 1
    }

    fn blocks_in_mcu(&self, frame: &Frame) -> usize {
        let components = self.components.iter();
        let components = components.map(|component| &frame.components[component.index]);
        components
            .map(|component| component.horizontal * component.vertical)
            .sum()
    }

    /// Whether the parameters are those of one of the four kinds of progressive scans (T.81 G.1.1.1).
    fn is_progression_step(&self) -> bool {
        let is_band = if self.spectral_start == 0 {
            self.spectral_end == 0
        } else {
            (self.spectral_start..64).contains(&self.spectral_end) && !self.is_interleaved()
        };
        let is_next_bit =
            self.approximation_high == 0 || self.approximation_low + 1 == self.approximation_high;
        is_band && is_next_bit && self.approximation_low <= 13
    }

    /// How many blocks it passes over, at most.
    pub(super) fn blocks(&self, frame: &Frame) -> usize {
        let components = self.components.iter();
        components
            .map(|component| frame.components[component.index].blocks(frame))
            .sum()
    }

    /// What reads the scan's data, with the tables that are defined now.
    pub(super) fn reader<'a>(
        &self,
        data: &'a [u8],
        frame: &Frame,
        tables: &Tables,
    ) -> Result<Box<dyn ScanReader + 'a>, JpegError> {
        let walk = Walk {
            components: self
                .components
                .iter()
                .map(|component| component.index)
                .collect(),
            bits: Bits::new(data),
            interval: tables.restart_interval,
            left: tables.restart_interval,
            next_restart: 0,
            is_exhausted: false,
            decoder: (),
        };
        let tables_of = |class| self.tables(tables, class);
        let band = self.spectral_start..=self.spectral_end;
        let shift = self.approximation_low;
        let is_first = self.approximation_high == 0;
        if !frame.is_progressive {
            let (dc, ac) = (tables_of(Class::Dc)?, tables_of(Class::Ac)?);
            return Ok(walk.with(Sequential::new(dc, ac)));
        }
        if self.spectral_start == 0 {
            return Ok(if is_first {
                walk.with(DcFirst::new(tables_of(Class::Dc)?, shift))
            } else {
                walk.with(DcRefinement::new(shift))
            });
        }
        let table = tables.huffman(Class::Ac, self.components[0].ac_table)?;
        Ok(if is_first {
            walk.with(AcFirst::new(table, band, shift))
        } else {
            walk.with(AcRefinement::new(table, band, shift))
        })
    }

    /// The tables of one class for each component; those that share one share it here too.
    fn tables(&self, tables: &Tables, class: Class) -> Result<Vec<Rc<Table>>, JpegError> {
        let mut built: [Option<Rc<Table>>; SLOTS] = [const { None }; SLOTS];
        let mut of_components = Vec::with_capacity(self.components.len());
        for component in &self.components {
            let index = match class {
                Class::Dc => component.dc_table,
                Class::Ac => component.ac_table,
            };
            let table = match built.get(index).cloned().flatten() {
                Some(table) => table,
                None => Rc::new(tables.huffman(class, index)?),
            };
            if let Some(slot) = built.get_mut(index) {
                *slot = Some(Rc::clone(&table));
            }
            of_components.push(table);
        }
        Ok(of_components)
    }
}

/// What turns bits into the coefficients of one block after another.
pub(super) trait BlockDecoder {
    /// Forgets the blocks before (T.81 F.2.1.3.1).
    fn restart(&mut self);

    /// Reads what a scan has of a block; `component` is the place of the block's component in the scan.
    fn decode(&mut self, bits: &mut Bits<'_>, component: usize, block: &mut Block);
}

/// Reads a scan, some rows of MCUs at a time.
pub(super) trait ScanReader {
    /// Reads what the scan has of these rows of MCUs, the next ones, into their coefficients by component of
    /// the frame.
    fn read(&mut self, frame: &Frame, rows: Range<usize>, coefficients: &mut [Vec<Block>]);
}

/// A walk over the MCUs of a scan, with restarts.
///
/// Where the data end too early, at a marker, the MCU is completed with zero bits, and those up to the next
/// restart are left as they are, as with libjpeg.
struct Walk<'a, D> {
    /// By the component's place in the scan: its index in the frame.
    components: Vec<usize>,
    bits: Bits<'a>,
    /// MCUs between restart markers, 0 for none.
    interval: usize,
    /// MCUs up to the next restart marker.
    left: usize,
    /// Of the next restart marker, 0 to 7.
    next_restart: u8,
    is_exhausted: bool,
    decoder: D,
}

impl<'a> Walk<'a, ()> {
    fn with(self, decoder: impl BlockDecoder + 'a) -> Box<dyn ScanReader + 'a> {
        Box::new(Walk {
            components: self.components,
            bits: self.bits,
            interval: self.interval,
            left: self.left,
            next_restart: self.next_restart,
            is_exhausted: self.is_exhausted,
            decoder,
        })
    }
}

impl<D: BlockDecoder> ScanReader for Walk<'_, D> {
    fn read(&mut self, frame: &Frame, rows: Range<usize>, coefficients: &mut [Vec<Block>]) {
        if let [index] = self.components[..] {
            // Its MCU is a block, and there are none that only fill up those of an interleaved scan.
            let component = &frame.components[index];
            let [start, end] = [rows.start, rows.end].map(|row| row * component.vertical);
            let blocks = coefficients[index].chunks_exact_mut(component.stride);
            for (_, row) in (start..end.min(component.blocks_high)).zip(blocks) {
                for block in &mut row[..component.blocks_wide] {
                    if self.begin() {
                        self.decoder.decode(&mut self.bits, 0, block);
                        self.end();
                    }
                }
            }
            return;
        }
        for row in 0..rows.len() {
            for column in 0..frame.mcus_wide {
                if !self.begin() {
                    continue;
                }
                for (place, &index) in self.components.iter().enumerate() {
                    let component = &frame.components[index];
                    let blocks = &mut coefficients[index];
                    let first =
                        row * component.vertical * component.stride + column * component.horizontal;
                    for y in 0..component.vertical {
                        let start = first + y * component.stride;
                        for block in &mut blocks[start..start + component.horizontal] {
                            self.decoder.decode(&mut self.bits, place, block);
                        }
                    }
                }
                self.end();
            }
        }
    }
}

impl<D: BlockDecoder> Walk<'_, D> {
    /// Whether there are data for the next MCU.
    #[inline(always)]
    fn begin(&mut self) -> bool {
        if self.interval > 0 {
            if self.left == 0 {
                self.restart();
            }
            self.left -= 1;
        }
        !self.is_exhausted
    }

    #[inline(always)]
    fn end(&mut self) {
        self.is_exhausted = self.bits.is_overdrawn();
    }

    #[cold]
    fn restart(&mut self) {
        if self.bits.restart(self.next_restart) {
            self.is_exhausted = false;
        }
        self.next_restart = (self.next_restart + 1) % 8;
        self.left = self.interval;
        self.decoder.restart();
    }
}

#[cfg(test)]
mod tests {
    use super::Scan;
    use crate::decode::jpeg::{error::JpegError, frame::Frame};

    fn frame(is_progressive: bool) -> Frame {
        let segment = [8, 0, 1, 0, 1, 3, 1, 0x44, 0, 2, 0x11, 1, 3, 0x11, 1];
        Frame::parse(&segment, is_progressive).unwrap()
    }

    #[test]
    fn a_scan_of_what_is_not_there_is_refused() {
        let parse = |segment: &[u8]| Scan::parse(segment, &frame(false)).map(|_| ());
        assert_eq!(parse(&[1, 2, 0, 0, 63, 0]), Ok(()));
        assert_eq!(parse(&[]), Err(JpegError::Length("scan")));
        assert_eq!(parse(&[2, 2, 0, 0, 63, 0]), Err(JpegError::Length("scan")));
        let missing = Err(JpegError::Missing("component"));
        assert_eq!(parse(&[1, 9, 0, 0, 63, 0]), missing);
        assert_eq!(parse(&[2, 2, 0, 2, 0, 0, 63, 0]), missing, "twice");
        let too_many = Err(JpegError::OutOfRange("number of blocks in a unit"));
        assert_eq!(parse(&[2, 1, 0, 2, 0, 0, 63, 0]), too_many);
    }

    #[test]
    fn a_progressive_scan_is_of_one_of_four_kinds() {
        let is_step = |start, end, approximation| {
            let segment = [1, 1, 0, start, end, approximation];
            Scan::parse(&segment, &frame(true)).is_ok()
        };
        assert!(is_step(0, 0, 0x01) && is_step(0, 0, 0x10));
        assert!(is_step(1, 63, 0x02) && is_step(6, 6, 0x21));
        assert!(!is_step(0, 63, 0), "DC and AC at once");
        assert!(!is_step(5, 4, 0) && !is_step(1, 64, 0), "no band");
        assert!(
            !is_step(0, 0, 0x20) && !is_step(0, 0, 0x0e),
            "two bits at once"
        );
        let interleaved = [2, 2, 0, 3, 0, 1, 5, 0];
        assert!(Scan::parse(&interleaved, &frame(true)).is_err());
    }
}
