//! Pictures to bytes.

use std::io::{self, Write};

use image::{
    ExtendedColorType, ImageEncoder, ImageError,
    codecs::{
        jpeg::JpegEncoder,
        png::{CompressionType, FilterType, PngEncoder},
    },
};
use png::{BitDepth, ColorType, Compression, Encoder, EncodingError, Filter};

use crate::{Image, rle::Rle};

/// Why a picture could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the picture")]
pub struct EncodeError(#[from] ImageError);

/// Writes the picture as PNG, quickly rather than small.
pub fn png(image: &Image, output: impl Write) -> Result<(), EncodeError> {
    let encoder = PngEncoder::new_with_quality(output, CompressionType::Fast, FilterType::Adaptive);
    let (width, height) = (image.width(), image.height());
    encoder.write_image(image.pixels(), width, height, ExtendedColorType::Rgb8)?;
    Ok(())
}

/// Writes the picture as PNG with this `alpha`, `[height, width]`; in memory there is only a row at a time.
pub fn png_with_alpha(image: &Image, alpha: &[u8], output: impl Write) -> Result<(), EncodeError> {
    let failed = |error: EncodingError| ImageError::IoError(error.into());
    let mut encoder = Encoder::new(output, image.width(), image.height());
    encoder.set_color(ColorType::Rgba);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_compression(Compression::Fast);
    encoder.set_filter(Filter::Adaptive);
    let mut writer = encoder.write_header().map_err(failed)?;

    let width = image.width() as usize;
    let mut line = Vec::with_capacity(width * 4);
    let mut rows = writer.stream_writer().map_err(failed)?;
    for (colours, alphas) in image.pixels().chunks(width * 3).zip(alpha.chunks(width)) {
        line.clear();
        for (colour, alpha) in colours.chunks(3).zip(alphas) {
            line.extend_from_slice(colour);
            line.push(*alpha);
        }
        rows.write_all(&line).map_err(ImageError::IoError)?;
    }
    // Fails where alpha has too few rows.
    rows.finish().map_err(failed)?;
    writer.finish().map_err(failed)?;
    Ok(())
}

/// Writes the picture as JPEG of this quality, 1 to 100.
pub fn jpeg(image: &Image, quality: u8, output: impl Write) -> Result<(), EncodeError> {
    if image.width().max(image.height()) > u32::from(u16::MAX) {
        let message = "a JPEG picture has at most 65535 pixels along a side";
        return Err(ImageError::IoError(io::Error::other(message)).into());
    }
    let encoder = JpegEncoder::new_with_quality(output, quality.clamp(1, 100));
    let (width, height) = (image.width(), image.height());
    encoder.write_image(image.pixels(), width, height, ExtendedColorType::Rgb8)?;
    Ok(())
}

/// Writes the mask as a grey PNG: 255 inside, 0 outside. In memory there is only a row at a time.
pub fn mask_png(mask: &Rle, output: impl Write) -> Result<(), EncodeError> {
    let failed = |error: EncodingError| ImageError::IoError(error.into());
    let mut encoder = Encoder::new(output, mask.width(), mask.height());
    encoder.set_color(ColorType::Grayscale);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_compression(Compression::Fast);
    // Long runs of two values: no filter helps them.
    encoder.set_filter(Filter::NoFilter);
    let mut writer = encoder.write_header().map_err(failed)?;

    // A row is the one above it, but for where the mask begins or ends in a column.
    let mut changes: Vec<(u32, u32)> = mask
        .spans()
        .flat_map(|(x, rows)| [(rows.start, x), (rows.end, x)])
        .collect();
    changes.sort_unstable();
    let mut changes = changes.into_iter().peekable();
    let mut line = vec![0; mask.width() as usize];
    let mut rows = writer.stream_writer().map_err(failed)?;
    for y in 0..mask.height() {
        while let Some((_, x)) = changes.next_if(|&(row, _)| row == y) {
            line[x as usize] ^= 255;
        }
        rows.write_all(&line).map_err(ImageError::IoError)?;
    }
    rows.finish().map_err(failed)?;
    writer.finish().map_err(failed)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{jpeg, mask_png, png, png_with_alpha};
    use crate::{
        Image,
        decode::{Options, decode},
        rle::Rle,
    };

    #[test]
    fn what_is_written_is_read_again() {
        let image = Image::new(3, 2, (0..18).map(|i| i * 14).collect()).unwrap();
        let mut bytes = Vec::new();
        png(&image, &mut bytes).unwrap();
        assert_eq!(decode(&bytes, &Options::default()).unwrap(), image);

        let grey = Image::new(16, 16, vec![100; 16 * 16 * 3]).unwrap();
        let mut bytes = Vec::new();
        jpeg(&grey, 90, &mut bytes).unwrap();
        let read = decode(&bytes, &Options::default()).unwrap();
        assert!(read.pixels().iter().all(|sample| sample.abs_diff(100) < 3));
    }

    #[test]
    fn alpha_is_beside_the_colours() {
        let image = Image::new(3, 2, (0..18).map(|i| i * 14).collect()).unwrap();
        let alpha = [254, 127, 254, 127, 127, 254];
        let mut bytes = Vec::new();
        png_with_alpha(&image, &alpha, &mut bytes).unwrap();
        let read = image::load_from_memory(&bytes).unwrap();
        assert_eq!(read.color(), image::ColorType::Rgba8);
        assert_eq!(read.to_rgb8().into_raw(), image.pixels());
        let read = read.into_rgba8();
        assert!(read.pixels().map(|pixel| pixel.0[3]).eq(alpha));
        assert!(png_with_alpha(&image, &alpha[..3], Vec::new()).is_err());
    }

    #[test]
    fn a_mask_is_white_on_black() {
        let mask = Rle::from_counts(2, 2, [1, 2, 1]).unwrap();
        let mut bytes = Vec::new();
        mask_png(&mask, &mut bytes).unwrap();
        let read = decode(&bytes, &Options::default()).unwrap();
        let grey: Vec<u8> = read.pixels().iter().step_by(3).copied().collect();
        assert_eq!(grey, [0, 255, 255, 0]);

        let bitmap: Vec<bool> = (0..40 * 60).map(|i| i * i % 7 < 3).collect();
        let mask = Rle::from_bitmap(40, 60, &bitmap).unwrap();
        let mut bytes = Vec::new();
        mask_png(&mask, &mut bytes).unwrap();
        let read = decode(&bytes, &Options::default()).unwrap();
        assert_eq!([read.width(), read.height()], [60, 40]);
        for (pixel, inside) in read.pixels().chunks(3).zip(bitmap) {
            assert_eq!(pixel[0], if inside { 255 } else { 0 });
        }
    }
}
