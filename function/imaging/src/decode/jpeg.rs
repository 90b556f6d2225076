//! JPEG pictures.
//!
//! The samples are libjpeg-turbo's to the last bit, which are Pillow's: what networks were trained on and
//! references were computed with. A decoder that rounds otherwise moves detections at the edge of a
//! threshold.

use image::{RgbImage, metadata::Orientation};
use libjpeg_turbo_rs::{DecodeLimits, Decoder, JpegError, PixelFormat};

use super::{DecodeError, Limits};

const FORMAT: &str = "JPEG";

/// More scans than any encoder makes. Each may cost a pass over the whole picture, however few its bytes.
const MAX_SCANS: usize = 100;

/// Decodes any JPEG picture to RGB. Damage within the picture is tolerated as browsers do, a missing end
/// is not: half of the picture would be grey, and its objects not found.
pub(super) fn decode(
    bytes: &[u8],
    limits: &Limits,
) -> Result<(RgbImage, Orientation), DecodeError> {
    // The sizes are checked right below.
    let scans = DecodeLimits {
        max_scans: MAX_SCANS,
        ..DecodeLimits::default()
    };
    let mut decoder = Decoder::new_with_limits(bytes, scans).map_err(failed)?;
    let header = decoder.header();
    limits.check(header.width.into(), header.height.into())?;
    if !is_complete(bytes) {
        return Err(DecodeError::Truncated { format: FORMAT });
    }
    decoder.set_output_format(PixelFormat::Rgb);
    decoder.set_lenient(true);
    let decoded = decoder.decode_image().map_err(failed)?;
    let orientation = decoder
        .exif_data()
        .and_then(Orientation::from_exif_chunk)
        .unwrap_or(Orientation::NoTransforms);
    let size = (u32::try_from(decoded.width), u32::try_from(decoded.height));
    let (Ok(width), Ok(height)) = size else {
        return Err(damaged("its size is none"));
    };
    let picture = RgbImage::from_raw(width, height, decoded.data)
        .ok_or_else(|| damaged("the decoder gave another number of samples"))?;
    Ok((picture, orientation))
}

fn failed(error: JpegError) -> DecodeError {
    match error {
        JpegError::UnexpectedEof => DecodeError::Truncated { format: FORMAT },
        error => DecodeError::Damaged {
            format: FORMAT,
            source: error.into(),
        },
    }
}

fn damaged(reason: &str) -> DecodeError {
    DecodeError::Damaged {
        format: FORMAT,
        source: reason.into(),
    }
}

/// Whether an end-of-image marker follows the first scan.
///
/// Segments before the scan may hold anything, thumbnails with an end of their own included, so they are
/// skipped by their lengths. In a scan's data 0xff is always followed by 0 or a restart marker: the first
/// 0xff 0xd9 behind it is the end.
fn is_complete(bytes: &[u8]) -> bool {
    const START_OF_SCAN: u8 = 0xda;
    const END_OF_IMAGE: [u8; 2] = [0xff, 0xd9];
    let mut rest = bytes;
    loop {
        rest = match rest {
            [0xff, START_OF_SCAN, tail @ ..] => {
                return tail.windows(2).any(|pair| pair == END_OF_IMAGE);
            }
            // What has no length.
            [0xff, 0x00 | 0x01 | 0xd0..=0xd8, tail @ ..] => tail,
            [0xff, 0xff, ..] => &rest[1..],
            [0xff, _, high, low, ..] => {
                let length = usize::from(u16::from_be_bytes([*high, *low]));
                rest.get(2 + length..).unwrap_or_default()
            }
            // Bytes that belong nowhere, up to the next marker.
            [_, tail @ ..] => tail,
            [] => return false,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::is_complete;

    #[test]
    fn only_the_end_of_the_scan_counts() {
        let thumbnail = b"\xff\xd8\xff\xe1\x00\x06\xff\xd9\x00\x00";
        let scan = b"\xff\xda\x00\x02\x12\xff\x00\x34";
        let end = b"\xff\xd9";
        assert!(is_complete(&[&thumbnail[..], scan, end].concat()));
        assert!(is_complete(
            &[&thumbnail[..], scan, end, b"trailer"].concat()
        ));
        assert!(!is_complete(&[&thumbnail[..], scan].concat()));
        assert!(!is_complete(thumbnail));
        let stray = b"stray\xff";
        assert!(is_complete(&[&thumbnail[..], stray, scan, end].concat()));
        assert!(!is_complete(&[&thumbnail[..], stray, scan].concat()));
    }
}
