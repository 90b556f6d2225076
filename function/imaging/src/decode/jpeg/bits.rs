//! Bits of entropy-coded data (T.81 F.2.2.5).

use super::markers::{RESTART_0, RESTART_7, START_OF_BASELINE_FRAME, next_marker};

/// Reads the bits of a scan, most significant first, up to the next marker; behind that, zeros.
///
/// A copy that no reference leads to stays in registers while a block is decoded; so what is rarely called,
/// and not inlined, takes and gives it by value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    /// Of the first byte that is not in the buffer.
    position: usize,
    /// The next bits from the top; the bits below the first `count` are zeros or the next ones already.
    buffer: u64,
    /// How many bits of the buffer were read from the data. Below zero: how many zeros were made up.
    count: i32,
}

impl<'a> Bits<'a> {
    /// Bits of a scan whose data begins at the start of `bytes`.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            position: 0,
            buffer: 0,
            count: 0,
        }
    }

    /// Whether more bits were read than there are.
    pub(super) fn is_overdrawn(&self) -> bool {
        self.count < 0
    }

    /// Makes sure that the next 32 bits are in the buffer: a Huffman code and what belongs to it.
    #[inline(always)]
    pub(super) fn prepare(&mut self) {
        if self.count < 32 {
            self.refill();
        }
    }

    #[inline(always)]
    fn refill(&mut self) {
        let rest = self.bytes.get(self.position..).unwrap_or_default();
        if let (Some(chunk), 0..) = (rest.first_chunk(), self.count) {
            let next = u64::from_be_bytes(*chunk);
            // Whether none of the eight bytes is 0xff, behind which a zero may be stuffed or which begins a
            // marker: of all bytes with a top bit, only that one loses it when 1 is added.
            let increased = next.wrapping_add(0x0101_0101_0101_0101);
            if next & !increased & 0x8080_8080_8080_8080 == 0 {
                self.buffer |= next >> self.count;
                let taken = (63 - self.count) / 8;
                self.position += taken as usize;
                self.count += taken * 8;
                return;
            }
        }
        *self = self.refilled_bytewise();
    }

    #[cold]
    fn refilled_bytewise(mut self) -> Self {
        while (0..=56).contains(&self.count) {
            let Some(&byte) = self.bytes.get(self.position) else {
                return self;
            };
            if byte != 0xff {
                self.position += 1;
            } else {
                // A stuffed zero may follow fill bytes, as libjpeg has it.
                let rest = &self.bytes[self.position..];
                let fill = rest.iter().position(|&byte| byte != 0xff);
                let Some(fill) = fill.filter(|&fill| rest[fill] == 0) else {
                    return self;
                };
                self.position += fill + 1;
            }
            self.buffer |= u64::from(byte) << (56 - self.count);
            self.count += 8;
        }
        self
    }

    /// The next `count` bits, 1 to 32, which stay.
    #[inline(always)]
    pub(super) fn peek(&self, count: u32) -> usize {
        (self.buffer >> (64 - count)) as usize
    }

    /// Passes over `count` bits, 0 to 32.
    #[inline(always)]
    pub(super) fn consume(&mut self, count: u32) {
        self.buffer <<= count;
        self.count -= count as i32;
    }

    /// The next `count` bits as a number, 0 to 16 of them, prepared.
    #[inline(always)]
    pub(super) fn take(&mut self, count: u32) -> i32 {
        // In two steps, for a shift by 64 is none.
        let value = (self.buffer >> 1 >> (63 - count)) as i32;
        self.consume(count);
        value
    }

    /// One bit, prepared or not.
    #[inline(always)]
    pub(super) fn take_bit(&mut self) -> bool {
        if self.count < 1 {
            self.refill();
        }
        self.take(1) == 1
    }

    /// The next `size` bits, 0 to 15 of them and prepared, as a number with a sign (`EXTEND`, T.81 F.2.2.1).
    #[inline(always)]
    pub(super) fn take_signed(&mut self, size: u32) -> i32 {
        extend(self.take(size), size)
    }

    /// Goes to the data behind the next restart marker, which should have the number `expected`; whether
    /// there is some.
    ///
    /// Where another marker comes, this guesses as libjpeg does what was lost: a restart marker slightly
    /// ahead is kept until its turn comes, one slightly behind is passed over, one further off is taken
    /// for the expected one.
    pub(super) fn restart(&mut self, expected: u8) -> bool {
        self.buffer = 0;
        self.count = 0;
        loop {
            let Some((marker, behind)) = next_marker(self.bytes, self.position) else {
                self.position = self.bytes.len();
                return false;
            };
            let ahead = marker.wrapping_sub(RESTART_0).wrapping_sub(expected) & 7;
            let is_restart = (RESTART_0..=RESTART_7).contains(&marker);
            if is_restart && matches!(ahead, 0 | 3..=5) {
                self.position = behind;
                return true;
            }
            let is_passed_over = if is_restart {
                ahead > 5
            } else {
                marker < START_OF_BASELINE_FRAME
            };
            if !is_passed_over {
                self.position = behind - 2;
                return false;
            }
            self.position = behind;
        }
    }
}

/// `EXTEND` of T.81, figure F.12: the lower half of the numbers of `size` bits stand for negative ones.
#[inline(always)]
pub(super) fn extend(value: i32, size: u32) -> i32 {
    let is_negative = i32::from(value < (1 << size) >> 1);
    value - is_negative * ((1 << size) - 1)
}

#[cfg(test)]
mod tests {
    use super::{Bits, extend};

    #[test]
    fn numbers_get_their_sign() {
        assert_eq!(extend(0, 0), 0);
        assert_eq!([extend(0, 1), extend(1, 1)], [-1, 1]);
        let two_bits: Vec<i32> = (0..4).map(|value| extend(value, 2)).collect();
        assert_eq!(two_bits, [-3, -2, 2, 3]);
        assert_eq!([extend(0, 15), extend(0x7fff, 15)], [-0x7fff, 0x7fff]);
    }

    #[test]
    fn bits_are_the_bytes_without_stuffing_up_to_the_marker() {
        let plain: Vec<u8> = (0..200u32).map(|i| ((i * i * 37) >> 3) as u8).collect();
        let mut stuffed = Vec::new();
        for &byte in plain.iter().chain(&[0xff]) {
            stuffed.push(byte);
            if byte == 0xff {
                stuffed.push(0);
            }
        }
        stuffed.extend(b"\xff\xd9\xff\xff");
        let mut bits = Bits::new(&stuffed);
        let mut expected = plain
            .iter()
            .chain(&[0xff])
            .flat_map(|byte| (0..8).rev().map(move |bit| i32::from(byte >> bit & 1)));
        for length in (0..=16).cycle().take(189) {
            bits.prepare();
            let number = (0..length).fold(0, |number, _| number * 2 + expected.next().unwrap());
            assert_eq!(bits.take(length), number);
        }
        for bit in expected {
            assert_eq!(bits.take_bit(), bit == 1);
        }
        assert!(!bits.is_overdrawn());
        assert_eq!(bits.position, stuffed.len() - 4);
        bits.prepare();
        assert_eq!(bits.take(16), 0);
        assert!(bits.is_overdrawn());
    }

    #[test]
    fn lost_restart_markers_are_guessed() {
        let restart = |bytes: &[u8], expected| {
            let mut bits = Bits::new(bytes);
            (bits.restart(expected), bits.position)
        };
        assert_eq!(restart(b"rest\xff\xd3data", 3), (true, 6));
        assert_eq!(restart(b"\xff\xd5data", 3), (false, 0), "slightly ahead");
        assert_eq!(restart(b"\xff\xd1\xff\xd3data", 3), (true, 4), "behind");
        assert_eq!(restart(b"\xff\xd7data", 3), (true, 2), "far off");
        assert_eq!(restart(b"\xff\xd9", 3), (false, 0), "the end");
        assert_eq!(restart(b"data", 3), (false, 4), "nothing");
    }
}
