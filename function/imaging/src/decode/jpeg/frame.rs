//! What the header of a frame says (T.81 B.2.2), and the sizes that follow from it (A.1.1, A.2.4).

use super::error::JpegError;

/// Samples along a side of a block.
pub(super) const BLOCK: usize = 8;

/// A picture's size and components.
#[derive(Debug)]
pub(super) struct Frame {
    /// Whether its coefficients come in several scans, ever more precise.
    pub(super) is_progressive: bool,
    /// In pixels, at least 1.
    pub(super) width: usize,
    /// In pixels, at least 1.
    pub(super) height: usize,
    /// Blocks of the component that has most of them along a row of a minimum coded unit (MCU).
    pub(super) max_horizontal: usize,
    /// The same along a column.
    pub(super) max_vertical: usize,
    /// MCUs of an interleaved scan along a row.
    pub(super) mcus_wide: usize,
    /// The same along a column.
    pub(super) mcus_high: usize,
    /// 1, 3 or 4.
    pub(super) components: Vec<Component>,
}

/// One of the planes of samples that make a picture.
#[derive(Debug)]
pub(super) struct Component {
    pub(super) id: u8,
    /// Blocks along a row of an MCU, 1 to 4: the sampling factor.
    pub(super) horizontal: usize,
    /// The same along a column.
    pub(super) vertical: usize,
    /// The index of its quantisation table.
    pub(super) quantisation: usize,
    /// In samples, without those that fill up the last blocks.
    pub(super) width: usize,
    /// In samples, without those that fill up the last blocks.
    pub(super) height: usize,
    /// Blocks with samples of the picture along a row.
    pub(super) blocks_wide: usize,
    /// Blocks with samples of the picture along a column.
    pub(super) blocks_high: usize,
    /// Blocks along a row with those that fill up the last MCU.
    pub(super) stride: usize,
}

impl Frame {
    /// Reads the segment of a Huffman-coded frame with samples of 8 bits.
    pub(super) fn parse(segment: &[u8], is_progressive: bool) -> Result<Self, JpegError> {
        let wrong_length = JpegError::Length("frame");
        let (header, components) = segment.split_first_chunk::<6>().ok_or(wrong_length)?;
        let [precision, y1, y0, x1, x0, count] = *header;
        if precision != 8 {
            return Err(JpegError::Unsupported(match precision {
                12 => "a precision of 12 bits",
                _ => "a precision other than 8 bits",
            }));
        }
        let height = usize::from(u16::from_be_bytes([y1, y0]));
        let width = usize::from(u16::from_be_bytes([x1, x0]));
        if height == 0 {
            return Err(JpegError::Unsupported(
                "a number of lines that follows the first scan",
            ));
        }
        if width == 0 {
            return Err(JpegError::OutOfRange("width"));
        }
        if components.len() != usize::from(count) * 3 {
            return Err(wrong_length);
        }
        if !matches!(count, 1 | 3 | 4) {
            return Err(JpegError::Unsupported(
                "a number of components other than 1, 3 and 4",
            ));
        }
        let components = components.as_chunks::<3>().0;
        let factors = components.iter().map(|[_, factors, _]| factors);
        let horizontal = factors.clone().map(|factors| usize::from(factors >> 4));
        let vertical = factors.map(|factors| usize::from(factors & 15));
        let mut both = horizontal.clone().chain(vertical.clone());
        if !both.all(|factor| (1..=4).contains(&factor)) {
            return Err(JpegError::OutOfRange("sampling factor"));
        }
        let max_horizontal = horizontal.max().unwrap_or(1);
        let max_vertical = vertical.max().unwrap_or(1);
        let mcus_wide = width.div_ceil(max_horizontal * BLOCK);
        let mcus_high = height.div_ceil(max_vertical * BLOCK);
        let components = components.iter().map(|&[id, factors, quantisation]| {
            let (horizontal, vertical) = (usize::from(factors >> 4), usize::from(factors & 15));
            let width = (width * horizontal).div_ceil(max_horizontal);
            let height = (height * vertical).div_ceil(max_vertical);
            Component {
                id,
                horizontal,
                vertical,
                quantisation: usize::from(quantisation),
                width,
                height,
                blocks_wide: width.div_ceil(BLOCK),
                blocks_high: height.div_ceil(BLOCK),
                stride: mcus_wide * horizontal,
            }
        });
        Ok(Self {
            is_progressive,
            width,
            height,
            max_horizontal,
            max_vertical,
            mcus_wide,
            mcus_high,
            components: components.collect(),
        })
    }

    /// Blocks of all components, with those that fill up the last MCUs.
    pub(super) fn blocks(&self) -> usize {
        self.components
            .iter()
            .map(|component| component.blocks(self))
            .sum()
    }
}

impl Component {
    /// Blocks with those that fill up the last MCUs.
    pub(super) fn blocks(&self, frame: &Frame) -> usize {
        self.blocks_of_rows(frame.mcus_high)
    }

    /// Blocks of so many rows of MCUs.
    pub(super) fn blocks_of_rows(&self, mcus_high: usize) -> usize {
        self.stride * self.vertical * mcus_high
    }
}

#[cfg(test)]
mod tests {
    use super::Frame;
    use crate::decode::jpeg::error::JpegError;

    #[test]
    fn sizes_are_rounded_up_to_samples_blocks_and_units() {
        // 17 x 33 pixels, Y with 2 x 2 blocks a unit, Cb and Cr with one.
        let segment = [8, 0, 33, 0, 17, 3, 1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1];
        let frame = Frame::parse(&segment, false).unwrap();
        assert_eq!((frame.mcus_wide, frame.mcus_high), (2, 3));
        let [luma, blue, _] = &frame.components[..] else {
            panic!("3 components");
        };
        assert_eq!((luma.width, luma.height), (17, 33));
        assert_eq!((luma.blocks_wide, luma.blocks_high, luma.stride), (3, 5, 4));
        assert_eq!((blue.width, blue.height), (9, 17));
        assert_eq!((blue.blocks_wide, blue.blocks_high, blue.stride), (2, 3, 2));
        assert_eq!(frame.blocks(), 4 * 6 + 2 * 2 * 3);
    }

    #[test]
    fn what_is_out_of_range_or_unknown_is_named() {
        let unsupported = |segment: &[u8]| Frame::parse(segment, false).unwrap_err().to_string();
        let deep = [12, 0, 1, 0, 1, 1, 1, 0x11, 0];
        assert_eq!(
            unsupported(&deep),
            "a precision of 12 bits is not supported"
        );
        let no_lines = [8, 0, 0, 0, 1, 1, 1, 0x11, 0];
        assert!(unsupported(&no_lines).contains("number of lines"));
        for (segment, expected) in [
            (&[8, 0, 1, 0, 0, 1, 1, 0x11, 0][..], "width"),
            (&[8, 0, 1, 0, 1, 1, 1, 0x51, 0], "sampling factor"),
            (&[8, 0, 1, 0, 1, 1, 1, 0x10, 0], "sampling factor"),
        ] {
            let error = Frame::parse(segment, false).unwrap_err();
            assert_eq!(error, JpegError::OutOfRange(expected));
        }
        for length in 0..9 {
            let error = Frame::parse(&[8, 0, 1, 0, 1, 1, 1, 0x11, 0][..length], false);
            assert_eq!(error.unwrap_err(), JpegError::Length("frame"));
        }
    }
}
