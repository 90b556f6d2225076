//! Huffman codes (T.81 C and F.2.2.3).

use super::{
    bits::{Bits, extend},
    error::JpegError,
};

/// Codes up to this length are looked up at once; hardly any are longer.
const LOOKUP_BITS: u32 = 10;

/// The longest code, in bits.
const MAX_LENGTH: usize = 16;

/// A table as a file defines it.
#[derive(Clone, Debug)]
pub(super) struct Definition {
    /// How many codes have 1, 2, ... 16 bits.
    counts: [u8; MAX_LENGTH],
    /// The symbols by increasing code, and zeros.
    symbols: [u8; 256],
}

impl Definition {
    /// Splits off the first definition of a segment of several (T.81 B.2.4.2).
    pub(super) fn parse(segment: &[u8]) -> Result<(Self, &[u8]), JpegError> {
        let (counts, rest) = segment
            .split_first_chunk()
            .ok_or(JpegError::Length("Huffman table"))?;
        let total: usize = counts.iter().map(|&count| usize::from(count)).sum();
        if total > 256 {
            return Err(JpegError::HuffmanTable);
        }
        let (symbols, rest) = rest
            .split_at_checked(total)
            .ok_or(JpegError::Length("Huffman table"))?;
        Ok((Self::new(counts, symbols), rest))
    }

    /// # Panics
    /// For more than 256 symbols.
    pub(super) fn new(counts: &[u8; MAX_LENGTH], symbols: &[u8]) -> Self {
        let mut padded = [0; 256];
        padded[..symbols.len()].copy_from_slice(symbols);
        Self {
            counts: *counts,
            symbols: padded,
        }
    }
}

/// What a symbol stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// A size: a DC difference of as many bits follows.
    Dc,
    /// A run of zeros in its upper half, and the size of the coefficient behind them in its lower.
    Ac,
}

/// What the next [`LOOKUP_BITS`] bits begin with.
#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    /// The number behind the code, where both fit into the bits looked up and its size is not 0; else 0.
    value: i16,
    symbol: u8,
    /// Of the code and of the value that stands here. 0: no code as short as that.
    length: u8,
}

/// A table made to decode with.
pub(super) struct Table {
    lookup: Box<[Entry; 1 << LOOKUP_BITS]>,
    /// By the length less 1: the first number of 16 bits that does not begin with a code of that length or
    /// a shorter one.
    limits: [u32; MAX_LENGTH],
    /// By the length less 1: what to add to a code for the index of its symbol.
    offsets: [i32; MAX_LENGTH],
    symbols: [u8; 256],
}

impl Table {
    /// The codes in order of length are consecutive numbers (T.81 C.2).
    pub(super) fn new(definition: &Definition, class: Class) -> Result<Self, JpegError> {
        let mut lookup = Box::new([Entry::default(); 1 << LOOKUP_BITS]);
        let mut limits = [0; MAX_LENGTH];
        let mut offsets = [0; MAX_LENGTH];
        let mut code = 0u32;
        let mut index = 0;
        for (length, &count) in (1..).zip(&definition.counts) {
            offsets[length - 1] = index as i32 - code as i32;
            for _ in 0..count {
                let symbol = definition.symbols[index];
                if class == Class::Dc && symbol > 15 {
                    return Err(JpegError::HuffmanTable);
                }
                if code >= 1 << length {
                    return Err(JpegError::HuffmanTable);
                }
                if length <= LOOKUP_BITS as usize {
                    fill(&mut lookup[..], code as usize, length, symbol);
                }
                code += 1;
                index += 1;
            }
            limits[length - 1] = code << (MAX_LENGTH - length);
            code <<= 1;
        }
        Ok(Self {
            lookup,
            limits,
            offsets,
            symbols: definition.symbols,
        })
    }

    /// The next symbol and the number behind it (0 where its size is), of bits that are prepared.
    ///
    /// A code that the table does not have counts as one of 17 bits for the symbol 0, as with libjpeg.
    #[inline(always)]
    pub(super) fn decode(&self, bits: &mut Bits<'_>) -> (u8, i32) {
        let entry = self.lookup[bits.peek(LOOKUP_BITS)];
        if entry.value != 0 {
            bits.consume(u32::from(entry.length));
            return (entry.symbol, i32::from(entry.value));
        }
        let symbol = self.symbol_of(entry, bits);
        (symbol, bits.take_signed(u32::from(symbol & 15)))
    }

    /// The next symbol alone, of bits that are prepared.
    #[inline(always)]
    pub(super) fn decode_symbol(&self, bits: &mut Bits<'_>) -> u8 {
        let mut entry = self.lookup[bits.peek(LOOKUP_BITS)];
        if entry.value != 0 {
            entry.length -= entry.symbol & 15;
        }
        self.symbol_of(entry, bits)
    }

    #[inline(always)]
    fn symbol_of(&self, mut entry: Entry, bits: &mut Bits<'_>) -> u8 {
        if entry.length == 0 {
            entry = self.long(bits.peek(MAX_LENGTH as u32) as u32);
        }
        bits.consume(u32::from(entry.length));
        entry.symbol
    }

    /// What the next 16 bits begin with, where that is not looked up.
    #[cold]
    fn long(&self, next: u32) -> Entry {
        let Some(shorter) = self.limits.iter().position(|&limit| next < limit) else {
            return Entry {
                value: 0,
                symbol: 0,
                length: MAX_LENGTH as u8 + 1,
            };
        };
        let code = (next >> (MAX_LENGTH - 1 - shorter)) as i32;
        // Codes and offsets were made together, so that the index is one of a symbol; a byte all the same.
        let index = (code + self.offsets[shorter]) as usize & 255;
        Entry {
            value: 0,
            symbol: self.symbols[index],
            length: shorter as u8 + 1,
        }
    }
}

/// Writes the entries of all bits that begin with a code.
fn fill(lookup: &mut [Entry], code: usize, length: usize, symbol: u8) {
    let free = LOOKUP_BITS as usize - length;
    let size = usize::from(symbol & 15);
    for (below, entry) in lookup[code << free..][..1 << free].iter_mut().enumerate() {
        *entry = if (1..=free).contains(&size) {
            let value = extend((below >> (free - size)) as i32, size as u32);
            Entry {
                value: value as i16,
                symbol,
                length: (length + size) as u8,
            }
        } else {
            Entry {
                value: 0,
                symbol,
                length: length as u8,
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::{Bits, Class, Definition, Table};
    use crate::decode::jpeg::error::JpegError;

    /// Codes 0, 10, 110, ... of 1 to 16 bits, whose symbols are given.
    fn staircase(symbols: [u8; 16]) -> Definition {
        Definition::new(&[1; 16], &symbols)
    }

    fn decode_all(table: &Table, bytes: &[u8], count: usize) -> Vec<(u8, i32)> {
        let mut bits = Bits::new(bytes);
        let decode = |_| {
            bits.prepare();
            table.decode(&mut bits)
        };
        (0..count).map(decode).collect()
    }

    #[test]
    fn short_and_long_codes_are_decoded_with_their_numbers() {
        let symbols = [
            1, 0x12, 0xf0, 3, 4, 5, 6, 7, 8, 9, 10, 0x2b, 12, 13, 14, 0x5f,
        ];
        let table = Table::new(&staircase(symbols), Class::Ac).unwrap();
        // 0 and the bit 1; 10 and the bits 00; 110; 12 bits of code and 11 of number; 16 bits and 15.
        let text = "01 1000 110 111111111110 10000000001 1111111111111110 000000000000000 0000";
        let digits: Vec<u8> = text.bytes().filter(|&digit| digit != b' ').collect();
        let bytes: Vec<u8> = digits
            .chunks(8)
            .map(|chunk| {
                chunk
                    .iter()
                    .fold(0, |byte, digit| byte * 2 + (digit - b'0'))
            })
            .flat_map(|byte| {
                if byte == 0xff {
                    vec![byte, 0]
                } else {
                    vec![byte]
                }
            })
            .collect();
        assert_eq!(
            decode_all(&table, &bytes, 5),
            [(1, 1), (0x12, -3), (0xf0, 0), (0x2b, 1025), (0x5f, -0x7fff)]
        );
        let mut bits = Bits::new(&bytes);
        bits.prepare();
        assert_eq!(table.decode_symbol(&mut bits), 1);
        assert!(bits.take_bit());
        assert_eq!(table.decode_symbol(&mut bits), 0x12);
    }

    #[test]
    fn a_code_that_is_none_is_zero() {
        let table = Table::new(&staircase([1; 16]), Class::Dc).unwrap();
        let mut bits = Bits::new(b"\xff\x00\xff\x00\xa0");
        bits.prepare();
        assert_eq!(table.decode(&mut bits), (0, 0));
        assert_eq!(table.decode(&mut bits), (1, 1));
    }

    #[test]
    fn what_is_no_code_is_refused() {
        let mut counts = [0; 16];
        counts[0] = 3;
        let definition = Definition::new(&counts, &[0, 1, 2]);
        let error = Table::new(&definition, Class::Ac).err();
        assert_eq!(error, Some(JpegError::HuffmanTable));
        let definition = Definition::new(&[1; 16], &[16; 16]);
        let error = Table::new(&definition, Class::Dc).err();
        assert_eq!(error, Some(JpegError::HuffmanTable));
        assert_eq!(
            Definition::parse(&[255; 300]).err(),
            Some(JpegError::HuffmanTable)
        );
        assert_eq!(
            Definition::parse(&[1; 20]).err(),
            Some(JpegError::Length("Huffman table"))
        );
    }
}
