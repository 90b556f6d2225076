//! The tables that segments define and redefine between scans (T.81 B.2.4).

use super::{
    block::ZIGZAG,
    error::JpegError,
    huffman::{Class, Definition, Table},
};

/// How many tables of each kind can be defined at a time.
pub(super) const SLOTS: usize = 4;

/// By how much the coefficients of a block, in natural order, are to be multiplied.
pub(super) type Quantisation = [u16; 64];

/// What is defined so far.
#[derive(Debug, Default)]
pub(super) struct Tables {
    pub(super) quantisation: [Option<Quantisation>; SLOTS],
    dc: [Option<Definition>; SLOTS],
    ac: [Option<Definition>; SLOTS],
    /// MCUs between restart markers, 0 for none.
    pub(super) restart_interval: usize,
}

impl Tables {
    /// Reads a segment of quantisation tables (T.81 B.2.4.1).
    pub(super) fn define_quantisation(&mut self, mut segment: &[u8]) -> Result<(), JpegError> {
        let wrong_length = JpegError::Length("quantisation table");
        while let Some((&head, rest)) = segment.split_first() {
            let slot = self
                .quantisation
                .get_mut(usize::from(head & 15))
                .ok_or(JpegError::OutOfRange("quantisation table's index"))?;
            let bytes = if head >> 4 == 0 { 64 } else { 128 };
            let (values, rest) = rest.split_at_checked(bytes).ok_or(wrong_length)?;
            let mut table = [0; 64];
            for (index, &position) in ZIGZAG[..64].iter().enumerate() {
                table[usize::from(position)] = match values.as_chunks::<2>().0.get(index) {
                    Some(&value) if bytes == 128 => u16::from_be_bytes(value),
                    _ => u16::from(values[index]),
                };
            }
            *slot = Some(table);
            segment = rest;
        }
        Ok(())
    }

    /// Reads a segment of Huffman tables (T.81 B.2.4.2).
    pub(super) fn define_huffman(&mut self, mut segment: &[u8]) -> Result<(), JpegError> {
        while let Some((&head, rest)) = segment.split_first() {
            let (definition, rest) = Definition::parse(rest)?;
            let slots = match head >> 4 {
                0 => &mut self.dc,
                1 => &mut self.ac,
                _ => return Err(JpegError::OutOfRange("Huffman table's class")),
            };
            let slot = slots
                .get_mut(usize::from(head & 15))
                .ok_or(JpegError::OutOfRange("Huffman table's index"))?;
            *slot = Some(definition);
            segment = rest;
        }
        Ok(())
    }

    /// Reads a segment with a restart interval (T.81 B.2.4.4).
    pub(super) fn define_restart_interval(&mut self, segment: &[u8]) -> Result<(), JpegError> {
        let interval = segment
            .try_into()
            .map_err(|_| JpegError::Length("restart interval"))?;
        self.restart_interval = usize::from(u16::from_be_bytes(interval));
        Ok(())
    }

    /// The table of a class at an index.
    pub(super) fn huffman(&self, class: Class, index: usize) -> Result<Table, JpegError> {
        let definitions = match class {
            Class::Dc => &self.dc,
            Class::Ac => &self.ac,
        };
        let definition = definitions.get(index).and_then(Option::as_ref);
        Table::new(
            definition.ok_or(JpegError::Missing("Huffman table"))?,
            class,
        )
    }

    /// Puts the tables of T.81 K.3, which frames of Motion JPEG leave out, where there are none.
    pub(super) fn complete_huffman(&mut self) {
        for (index, (dc, ac)) in TYPICAL.iter().enumerate() {
            self.dc[index].get_or_insert_with(|| Definition::new(dc.0, dc.1));
            self.ac[index].get_or_insert_with(|| Definition::new(ac.0, ac.1));
        }
    }
}

/// How many codes have each length, and the symbols.
type Typical = (&'static [u8; 16], &'static [u8]);

/// Tables K.3 to K.6 of T.81: for DC differences and AC coefficients, of luminance and of chrominance.
#[rustfmt::skip]
const TYPICAL: [(Typical, Typical); 2] = [
    (
        (
            &[0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0],
            &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11],
        ),
        (
            &[0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 125],
            &[
                0x01, 0x02, 0x03, 0x00, 0x04, 0x11, 0x05, 0x12, 0x21, 0x31, 0x41, 0x06, 0x13, 0x51,
                0x61, 0x07, 0x22, 0x71, 0x14, 0x32, 0x81, 0x91, 0xa1, 0x08, 0x23, 0x42, 0xb1, 0xc1,
                0x15, 0x52, 0xd1, 0xf0, 0x24, 0x33, 0x62, 0x72, 0x82, 0x09, 0x0a, 0x16, 0x17, 0x18,
                0x19, 0x1a, 0x25, 0x26, 0x27, 0x28, 0x29, 0x2a, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39,
                0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4a, 0x53, 0x54, 0x55, 0x56, 0x57,
                0x58, 0x59, 0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x73, 0x74, 0x75,
                0x76, 0x77, 0x78, 0x79, 0x7a, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x92,
                0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7,
                0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3,
                0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8,
                0xd9, 0xda, 0xe1, 0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf1, 0xf2,
                0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa,
            ],
        ),
    ),
    (
        (
            &[0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0],
            &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11],
        ),
        (
            &[0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 119],
            &[
                0x00, 0x01, 0x02, 0x03, 0x11, 0x04, 0x05, 0x21, 0x31, 0x06, 0x12, 0x41, 0x51, 0x07,
                0x61, 0x71, 0x13, 0x22, 0x32, 0x81, 0x08, 0x14, 0x42, 0x91, 0xa1, 0xb1, 0xc1, 0x09,
                0x23, 0x33, 0x52, 0xf0, 0x15, 0x62, 0x72, 0xd1, 0x0a, 0x16, 0x24, 0x34, 0xe1, 0x25,
                0xf1, 0x17, 0x18, 0x19, 0x1a, 0x26, 0x27, 0x28, 0x29, 0x2a, 0x35, 0x36, 0x37, 0x38,
                0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4a, 0x53, 0x54, 0x55, 0x56,
                0x57, 0x58, 0x59, 0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x73, 0x74,
                0x75, 0x76, 0x77, 0x78, 0x79, 0x7a, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89,
                0x8a, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0xa2, 0xa3, 0xa4, 0xa5,
                0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba,
                0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6,
                0xd7, 0xd8, 0xd9, 0xda, 0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf2,
                0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa,
            ],
        ),
    ),
];

#[cfg(test)]
mod tests {
    use super::{Class, Tables};
    use crate::decode::jpeg::{bits::Bits, error::JpegError};

    #[test]
    fn quantisation_tables_have_8_or_16_bits_and_come_in_zigzag_order() {
        let mut segment = vec![0x01];
        segment.extend(0..64);
        segment.push(0x12);
        segment.extend((0..64u16).flat_map(|value| (value * 1000).to_be_bytes()));
        let mut tables = Tables::default();
        tables.define_quantisation(&segment).unwrap();
        let narrow = tables.quantisation[1].unwrap();
        let wide = tables.quantisation[2].unwrap();
        assert_eq!(narrow[..9], [0, 1, 5, 6, 14, 15, 27, 28, 2]);
        assert!((0..64).all(|i| wide[i] == narrow[i] * 1000));
        let error = tables.define_quantisation(&segment[..60]).unwrap_err();
        assert_eq!(error, JpegError::Length("quantisation table"));
        let error = tables.define_quantisation(&[4]).unwrap_err();
        assert_eq!(error, JpegError::OutOfRange("quantisation table's index"));
    }

    #[test]
    fn typical_huffman_tables_are_whole_codes_and_fill_only_gaps() {
        let mut tables = Tables::default();
        let missing = tables.huffman(Class::Dc, 0).err();
        assert_eq!(missing, Some(JpegError::Missing("Huffman table")));
        let mut own = vec![0x00, 1];
        own.extend([0; 15]);
        own.push(7);
        tables.define_huffman(&own).unwrap();
        tables.complete_huffman();
        for class in [Class::Dc, Class::Ac] {
            assert!((0..2).all(|index| tables.huffman(class, index).is_ok()));
            assert!((2..16).all(|index| tables.huffman(class, index).is_err()));
        }
        let mut bits = Bits::new(&[0, 0]);
        bits.prepare();
        let table = tables.huffman(Class::Dc, 0).unwrap();
        assert_eq!(table.decode_symbol(&mut bits), 7);
    }
}
