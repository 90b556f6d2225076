//! Markers and the segments behind them (T.81 B.1.1).

use super::error::JpegError;

pub(super) const START_OF_BASELINE_FRAME: u8 = 0xc0;
pub(super) const START_OF_EXTENDED_FRAME: u8 = 0xc1;
pub(super) const START_OF_PROGRESSIVE_FRAME: u8 = 0xc2;
pub(super) const START_OF_LOSSLESS_FRAME: u8 = 0xc3;
pub(super) const HUFFMAN_TABLES: u8 = 0xc4;
pub(super) const ARITHMETIC_CONDITIONING: u8 = 0xcc;
pub(super) const RESTART_0: u8 = 0xd0;
pub(super) const RESTART_7: u8 = 0xd7;
pub(super) const START_OF_IMAGE: u8 = 0xd8;
pub(super) const END_OF_IMAGE: u8 = 0xd9;
pub(super) const START_OF_SCAN: u8 = 0xda;
pub(super) const QUANTISATION_TABLES: u8 = 0xdb;
pub(super) const NUMBER_OF_LINES: u8 = 0xdc;
pub(super) const RESTART_INTERVAL: u8 = 0xdd;
pub(super) const APPLICATION_0: u8 = 0xe0;
pub(super) const APPLICATION_1: u8 = 0xe1;
pub(super) const APPLICATION_14: u8 = 0xee;
pub(super) const APPLICATION_15: u8 = 0xef;
pub(super) const COMMENT: u8 = 0xfe;
pub(super) const TEMPORARY: u8 = 0x01;

/// The next marker at or behind `position`, and where what follows it begins.
///
/// Skips what belongs to no segment, fill bytes, and the zeros stuffed behind 0xff in entropy-coded data.
pub(super) fn next_marker(bytes: &[u8], mut position: usize) -> Option<(u8, usize)> {
    loop {
        let rest = bytes.get(position..)?;
        position += rest.iter().position(|&byte| byte == 0xff)?;
        let rest = &bytes[position..];
        let fill = rest.iter().position(|&byte| byte != 0xff)?;
        position += fill + 1;
        if rest[fill] != 0 {
            return Some((rest[fill], position));
        }
    }
}

/// Walks over a picture from marker to marker.
pub(super) struct Markers<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Markers<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    pub(super) fn next_marker(&mut self) -> Result<u8, JpegError> {
        let (marker, position) =
            next_marker(self.bytes, self.position).ok_or(JpegError::Truncated)?;
        self.position = position;
        Ok(marker)
    }

    /// What follows the length of the segment whose marker was just read.
    pub(super) fn segment(&mut self) -> Result<&'a [u8], JpegError> {
        let rest = self.rest();
        let (length, rest) = rest.split_first_chunk().ok_or(JpegError::Truncated)?;
        let length = usize::from(u16::from_be_bytes(*length));
        let payload = length.checked_sub(2).ok_or(JpegError::Length("next"))?;
        let segment = rest.get(..payload).ok_or(JpegError::Truncated)?;
        self.position += length;
        Ok(segment)
    }

    /// What is not walked over yet: behind the header of a scan, its data.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.position..).unwrap_or_default()
    }

    /// Looks for the end of the image behind the header of the last scan, whatever else is there: from the
    /// back, where it mostly is, and none can be within data.
    pub(super) fn find_end(&self) -> Result<(), JpegError> {
        let mut pairs = self.rest().windows(2).rev();
        let is_there = pairs.any(|pair| pair == [0xff, END_OF_IMAGE]);
        is_there.then_some(()).ok_or(JpegError::Truncated)
    }

    /// Passes over the data of a scan with restart markers, and with what its reader takes for damage when it
    /// looks for them.
    pub(super) fn skip_restarts(&mut self) {
        while let Some((marker, position)) = next_marker(self.bytes, self.position)
            && (marker < START_OF_BASELINE_FRAME || (RESTART_0..=RESTART_7).contains(&marker))
        {
            self.position = position;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{END_OF_IMAGE, Markers, START_OF_SCAN, next_marker};
    use crate::decode::jpeg::error::JpegError;

    #[test]
    fn stuffing_fill_bytes_and_stray_bytes_are_passed_over() {
        let bytes = b"stray\xff\x00data\xff\xff\xff\xd9behind";
        assert_eq!(next_marker(bytes, 0), Some((END_OF_IMAGE, 15)));
        assert_eq!(next_marker(bytes, 15), None);
        assert_eq!(next_marker(b"\xff\xff", 0), None);
        assert_eq!(next_marker(b"", 7), None);
    }

    #[test]
    fn the_data_of_a_scan_end_at_a_marker_that_is_no_restart() {
        let mut markers = Markers::new(b"data\xff\xd0data\xff\x00\xff\x42\xff\xd1data\xff\xda");
        markers.skip_restarts();
        assert_eq!(markers.next_marker(), Ok(START_OF_SCAN));
        let mut endless = Markers::new(b"data\xff\xd0data");
        endless.skip_restarts();
        assert_eq!(endless.next_marker(), Err(JpegError::Truncated));
    }

    #[test]
    fn segments_end_where_their_length_says() {
        let mut markers = Markers::new(b"\xff\xe0\x00\x04ab\xff\xe1\x00\x09ab");
        assert_eq!(markers.next_marker(), Ok(0xe0));
        assert_eq!(markers.segment(), Ok(&b"ab"[..]));
        assert_eq!(markers.next_marker(), Ok(0xe1));
        assert_eq!(markers.segment(), Err(JpegError::Truncated));
        let mut short = Markers::new(b"\xff\xe0\x00\x01");
        assert_eq!(short.next_marker(), Ok(0xe0));
        assert_eq!(short.segment(), Err(JpegError::Length("next")));
    }
}
