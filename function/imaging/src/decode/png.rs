//! PNG pictures, row by row.

use std::io::Cursor;

use image::{
    ImageError, ImageFormat,
    error::{DecodingError, LimitError, LimitErrorKind, ParameterError, ParameterErrorKind},
    metadata::Orientation,
};
use png::{BitDepth, ColorType, Decoder, Reader, Transformations};

use super::{DecodeError, Limits, failed};

/// About how many pixels are decoded at a time.
const BAND: usize = 1 << 16;

/// A PNG picture whose header has been read.
pub(crate) struct Rows<'a> {
    bytes: &'a [u8],
    limits: Limits,
    reader: Reader<Cursor<&'a [u8]>>,
    /// Bytes from one pixel to the next.
    pixel: usize,
    /// Where in a pixel the upper bytes of red, green and blue are.
    channels: [usize; 3],
    /// A row as it is decoded.
    line: Vec<u8>,
    /// Rows that have been decoded.
    finished: usize,
}

impl<'a> Rows<'a> {
    /// Reads what comes before the pixels; `None` of an interlaced picture, whose rows do not come one after
    /// another, and of an animation.
    pub(super) fn open(
        bytes: &'a [u8],
        limits: &Limits,
    ) -> Result<Option<(Self, Orientation)>, DecodeError> {
        let failed = |error| failed(as_image_error(error), bytes, "PNG", limits);
        let decoder_limits = png::Limits {
            bytes: usize::try_from(limits.max_bytes()).unwrap_or(usize::MAX),
        };
        let mut decoder = Decoder::new_with_limits(Cursor::new(bytes), decoder_limits);
        // Palettes and few bits become samples of eight.
        decoder.set_transformations(Transformations::EXPAND);
        let reader = decoder.read_info().map_err(failed)?;
        let info = reader.info();
        limits.check(info.width, info.height)?;
        if info.interlaced || info.animation_control.is_some() {
            return Ok(None);
        }
        let exif = info.exif_metadata.as_deref();
        let orientation = exif.and_then(Orientation::from_exif_chunk);
        let (colour, depth) = reader.output_color_type();
        let sample = match depth {
            BitDepth::Sixteen => 2,
            _ => 1,
        };
        let channels = match colour {
            ColorType::Grayscale | ColorType::GrayscaleAlpha => [0; 3],
            _ => [0, sample, 2 * sample],
        };
        let line = reader.output_line_size(info.width).unwrap_or_default();
        let rows = Self {
            bytes,
            limits: *limits,
            pixel: colour.samples() * sample,
            channels,
            line: vec![0; line],
            reader,
            finished: 0,
        };
        Ok(Some((
            rows,
            orientation.unwrap_or(Orientation::NoTransforms),
        )))
    }

    /// Width and height in pixels.
    pub(crate) fn size(&self) -> [u32; 2] {
        self.reader.info().size().into()
    }

    /// Appends those of the next rows that are wanted, RGB; whether there are more.
    pub(crate) fn read(
        &mut self,
        wanted: &[usize],
        pixels: &mut Vec<u8>,
    ) -> Result<bool, DecodeError> {
        let [width, _] = self.size();
        for _ in 0..BAND.div_ceil(width as usize) {
            let row = self.reader.read_row(&mut self.line);
            let row = row
                .map_err(|error| failed(as_image_error(error), self.bytes, "PNG", &self.limits))?;
            if row.is_none() {
                return Ok(false);
            }
            if wanted.binary_search(&self.finished).is_ok() {
                self.append_line(pixels);
            }
            self.finished += 1;
        }
        Ok(true)
    }

    fn append_line(&self, pixels: &mut Vec<u8>) {
        let [red, green, blue] = self.channels;
        match self.pixel {
            3 => pixels.extend_from_slice(&self.line),
            pixel => pixels.extend(
                self.line
                    .chunks_exact(pixel)
                    .flat_map(|pixel| [pixel[red], pixel[green], pixel[blue]]),
            ),
        }
    }
}

/// The same error of the `image` crate, which reads all other pictures.
fn as_image_error(error: png::DecodingError) -> ImageError {
    match error {
        png::DecodingError::IoError(error) => ImageError::IoError(error),
        png::DecodingError::Format(_) => {
            ImageError::Decoding(DecodingError::new(ImageFormat::Png.into(), error))
        }
        png::DecodingError::Parameter(_) => {
            let kind = ParameterErrorKind::Generic(error.to_string());
            ImageError::Parameter(ParameterError::from_kind(kind))
        }
        png::DecodingError::LimitsExceeded => {
            ImageError::Limits(LimitError::from_kind(LimitErrorKind::InsufficientMemory))
        }
    }
}
