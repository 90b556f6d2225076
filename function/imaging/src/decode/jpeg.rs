//! JPEG pictures.

use image::{RgbImage, metadata::Orientation};
use zune_core::{bytestream::ZCursor, colorspace::ColorSpace, options::DecoderOptions};
use zune_jpeg::{JpegDecoder, errors::DecodeErrors};

use super::{DecodeError, Limits};

const FORMAT: &str = "JPEG";

/// Decodes any JPEG picture to RGB. Damage within the picture is tolerated as browsers do, a missing end
/// is not: half of the picture would be grey, and its objects not found.
pub(super) fn decode(
    bytes: &[u8],
    limits: &Limits,
) -> Result<(RgbImage, Orientation), DecodeError> {
    // The limits are ours, and checked right below.
    let options = DecoderOptions::default()
        .set_max_width(usize::MAX)
        .set_max_height(usize::MAX)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(failed)?;
    let info = decoder.info().unwrap_or_default();
    let (width, height) = (u32::from(info.width), u32::from(info.height));
    limits.check(width, height)?;
    if !is_complete(bytes) {
        return Err(DecodeError::Truncated { format: FORMAT });
    }
    let pixels = decoder.decode().map_err(failed)?;
    let orientation = decoder
        .exif()
        .and_then(|exif| Orientation::from_exif_chunk(exif))
        .unwrap_or(Orientation::NoTransforms);
    let picture =
        RgbImage::from_raw(width, height, pixels).ok_or_else(|| DecodeError::Damaged {
            format: FORMAT,
            source: "the decoder gave another number of samples".into(),
        })?;
    Ok((picture, orientation))
}

fn failed(error: DecodeErrors) -> DecodeError {
    match error {
        DecodeErrors::ExhaustedData | DecodeErrors::IoErrors(_) => {
            DecodeError::Truncated { format: FORMAT }
        }
        error => DecodeError::Damaged {
            format: FORMAT,
            source: error.to_string().into(),
        },
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
