//! Encoded pictures to [`Picture`]s and [`Image`]s, within limits.

pub(crate) mod jpeg;
mod mistaken;
pub(crate) mod png;
mod room;

use std::{
    borrow::Cow,
    error::Error,
    io::{self, Cursor},
    panic::{AssertUnwindSafe, catch_unwind},
};

use image::{
    DynamicImage, ImageBuffer, ImageDecoder, ImageError, ImageFormat, ImageReader, Luma, LumaA,
    Pixel, Rgb, RgbImage, Rgba, metadata::Orientation,
};

use self::room::Room;
use crate::{Image, Picture, picture::Rows};

/// How a picture is decoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// What is refused.
    pub limits: Limits,
    /// What becomes of the orientation in its EXIF data.
    pub exif: Exif,
}

/// What is refused, on the word of a picture's header and before anything is allocated for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most pixels. Where pictures are decoded as a whole, one takes 3 to 12 bytes.
    pub max_pixels: u64,
    /// The most pixels along one side.
    pub max_side: u32,
}

impl Default for Limits {
    /// More than any camera makes: 64 megapixels and 32768 a side.
    fn default() -> Self {
        Self {
            max_pixels: 64_000_000,
            max_side: 32_768,
        }
    }
}

/// What becomes of the orientation in a picture's EXIF data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Exif {
    /// The picture is turned as a person sees it.
    #[default]
    Apply,
    /// The samples stay as they are stored.
    Ignore,
}

/// A format that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// With all of its processes but arithmetic coding.
    Jpeg,
    /// Of any depth.
    Png,
    /// With and without loss.
    WebP,
    /// Windows bitmaps.
    Bmp,
    /// Of which the first frame is read.
    Gif,
}

impl Format {
    /// That of an encoded picture, by its first bytes.
    pub fn of(picture: &[u8]) -> Option<Self> {
        match image::guess_format(picture).ok()? {
            ImageFormat::Jpeg => Some(Self::Jpeg),
            ImageFormat::Png => Some(Self::Png),
            ImageFormat::WebP => Some(Self::WebP),
            ImageFormat::Bmp => Some(Self::Bmp),
            ImageFormat::Gif => Some(Self::Gif),
            _ => None,
        }
    }

    /// Its name, for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Jpeg => "JPEG",
            Self::Png => "PNG",
            Self::WebP => "WebP",
            Self::Bmp => "BMP",
            Self::Gif => "GIF",
        }
    }

    /// What the names of its files end in, without a dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Jpeg => "jpg",
            Self::Png => "png",
            Self::WebP => "webp",
            Self::Bmp => "bmp",
            Self::Gif => "gif",
        }
    }

    /// Its media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::WebP => "image/webp",
            Self::Bmp => "image/bmp",
            Self::Gif => "image/gif",
        }
    }
}

/// The formats that are read, for people.
const FORMATS: &str = "JPEG, PNG, WebP, BMP and GIF";

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// There are no bytes.
    #[error("there is no picture, only 0 bytes")]
    Empty,
    /// The bytes are something else.
    #[error("this is {found}, expected a picture in one of the formats {FORMATS}")]
    Format {
        /// What they look like.
        found: &'static str,
    },
    /// Too many pixels in all.
    #[error("the picture has {width} x {height} pixels, more than {limit} in all")]
    Pixels {
        /// Of the picture.
        width: u32,
        /// Of the picture.
        height: u32,
        /// [`Limits::max_pixels`].
        limit: u64,
    },
    /// Too many pixels along a side.
    #[error("the picture has {width} x {height} pixels, more than {limit} along a side")]
    Side {
        /// Of the picture.
        width: u32,
        /// Of the picture.
        height: u32,
        /// [`Limits::max_side`].
        limit: u32,
    },
    /// The decoder would need more memory beside the picture's samples: for a compressed colour profile,
    /// or for a frame larger than the picture.
    #[error("the {format} picture takes more than {limit} bytes beside its pixels to decode")]
    Memory {
        /// Its format.
        format: &'static str,
        /// [`Limits::max_bytes`].
        limit: u64,
    },
    /// The file ends before the picture does.
    #[error("the {format} picture is cut short")]
    Truncated {
        /// Its format.
        format: &'static str,
    },
    /// The file is damaged.
    #[error("the {format} picture is damaged")]
    Damaged {
        /// Its format.
        format: &'static str,
        /// What the decoder says.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

/// Opens a JPEG, PNG, WebP, BMP or GIF picture, told by its content: reads what comes before its pixels.
///
/// Of JPEG and of PNG that is not interlaced, pixels are then decoded as they are asked for, so that there is
/// never more than a strip of them in memory. Of all else this decodes the whole picture.
///
/// Grey, palette, 16-bit and CMYK pictures become 8-bit RGB; an alpha channel is dropped and what lies
/// under it shows, as with Pillow's `convert("RGB")`; of an animation the first frame is taken.
pub fn open<'a>(bytes: &'a [u8], options: &Options) -> Result<Picture<'a>, DecodeError> {
    if bytes.is_empty() {
        return Err(DecodeError::Empty);
    }
    let format = Format::of(bytes).ok_or_else(|| DecodeError::Format {
        found: mistaken::looks_like(bytes),
    })?;
    let (name, limits) = (format.name(), &options.limits);
    let (rows, orientation) = without_panic(name, || match format {
        Format::Jpeg => {
            let rows = jpeg::Rows::open(bytes, limits)?;
            let orientation = rows.orientation();
            Ok((Rows::Jpeg(Box::new(rows)), orientation))
        }
        Format::Png => match png::Rows::open(bytes, limits)? {
            Some((rows, orientation)) => Ok((Rows::Png(Box::new(rows)), orientation)),
            None => decode_with_image(bytes, name, limits),
        },
        Format::WebP | Format::Bmp | Format::Gif => decode_with_image(bytes, name, limits),
    })?;
    let orientation = match options.exif {
        Exif::Apply => orientation,
        Exif::Ignore => Orientation::NoTransforms,
    };
    Ok(Picture::new(rows, orientation))
}

/// Decodes a picture as a whole; [`open`] says which.
pub fn decode(bytes: &[u8], options: &Options) -> Result<Image, DecodeError> {
    open(bytes, options)?.into_image()
}

/// Decoders have been known to panic on files that they did not expect.
pub(crate) fn without_panic<T>(
    format: &'static str,
    decode: impl FnOnce() -> Result<T, DecodeError>,
) -> Result<T, DecodeError> {
    catch_unwind(AssertUnwindSafe(decode)).unwrap_or_else(|_| {
        let source = "the decoder gave up".into();
        Err(DecodeError::Damaged { format, source })
    })
}

/// For pictures that are decoded as a whole, whose files can be a few bytes long: what all of them take together.
static WHOLE: Room = Room::new(512 << 20);

/// What a pixel of such a picture takes: red, green, blue and alpha as they are decoded, the first three as they are kept.
const WHOLE_PIXEL: u64 = 7;

/// The whole picture.
fn decode_with_image<'a>(
    bytes: &[u8],
    format: &'static str,
    limits: &Limits,
) -> Result<(Rows<'a>, Orientation), DecodeError> {
    let failed = |error| failed(error, bytes, format, limits);
    let mut reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|error| failed(error.into()))?;
    // A picture's size says nothing about the size of its first frame or of its profile. The size itself
    // is checked right here.
    let mut decoder_limits = image::Limits::no_limits();
    decoder_limits.max_alloc = Some(limits.max_bytes());
    reader.limits(decoder_limits);
    let mut decoder = reader.into_decoder().map_err(failed)?;
    let (width, height) = decoder.dimensions();
    limits.check(width, height)?;
    let _room = WHOLE.take(u64::from(width) * u64::from(height) * WHOLE_PIXEL);
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let picture = to_rgb8(DynamicImage::from_decoder(decoder).map_err(failed)?);
    let image = Image::new(width, height, picture.into_raw()).ok_or(DecodeError::Damaged {
        format,
        source: "it has no pixels".into(),
    })?;
    Ok((Rows::Whole(Cow::Owned(image)), orientation))
}

impl Limits {
    /// The most bytes that a decoder may take beside the samples: as many as the largest picture with
    /// transparency has.
    pub fn max_bytes(&self) -> u64 {
        self.max_pixels.saturating_mul(4)
    }

    /// Whether a picture of this size may be.
    pub fn check(&self, width: u32, height: u32) -> Result<(), DecodeError> {
        let limit = self.max_side;
        if width.max(height) > limit {
            return Err(DecodeError::Side {
                width,
                height,
                limit,
            });
        }
        let limit = self.max_pixels;
        if u64::from(width) * u64::from(height) > limit {
            return Err(DecodeError::Pixels {
                width,
                height,
                limit,
            });
        }
        Ok(())
    }
}

/// Of 16 bits the upper 8 stay, as Pillow reads RGB pictures of that depth. (Grey ones it clips to white
/// at 255; here they keep their shades.)
fn to_rgb8(picture: DynamicImage) -> RgbImage {
    let shallow: DynamicImage = match picture {
        DynamicImage::ImageLuma16(deep) => upper_bytes::<_, Luma<u8>>(&deep).into(),
        DynamicImage::ImageLumaA16(deep) => upper_bytes::<_, LumaA<u8>>(&deep).into(),
        DynamicImage::ImageRgb16(deep) => upper_bytes::<_, Rgb<u8>>(&deep).into(),
        DynamicImage::ImageRgba16(deep) => upper_bytes::<_, Rgba<u8>>(&deep).into(),
        shallow => shallow,
    };
    shallow.into_rgb8()
}

fn upper_bytes<Deep, Shallow>(deep: &ImageBuffer<Deep, Vec<u16>>) -> ImageBuffer<Shallow, Vec<u8>>
where
    Deep: Pixel<Subpixel = u16>,
    Shallow: Pixel<Subpixel = u8>,
{
    let samples = deep.iter().map(|sample| (sample >> 8) as u8).collect();
    ImageBuffer::from_raw(deep.width(), deep.height(), samples).unwrap_or_default()
}

fn failed(error: ImageError, bytes: &[u8], format: &'static str, limits: &Limits) -> DecodeError {
    if let ImageError::Limits(_) = error {
        let limit = limits.max_bytes();
        return DecodeError::Memory { format, limit };
    }
    if is_unexpected_end(&error) || is_shorter_than_it_says(bytes) {
        return DecodeError::Truncated { format };
    }
    DecodeError::Damaged {
        format,
        source: error.into(),
    }
}

fn is_unexpected_end(error: &ImageError) -> bool {
    let is_end = |error: &io::Error| error.kind() == io::ErrorKind::UnexpectedEof;
    // `source()` of this variant is the source of the error in it.
    if let ImageError::IoError(error) = error {
        return is_end(error);
    }
    let causes = std::iter::successors(error.source(), |&error| error.source());
    causes.filter_map(|error| error.downcast_ref()).any(is_end)
}

/// Whether a RIFF file (WebP) has fewer bytes than its header says: its decoder does not tell a missing end
/// from damage.
fn is_shorter_than_it_says(bytes: &[u8]) -> bool {
    let [b'R', b'I', b'F', b'F', a, b, c, d, rest @ ..] = bytes else {
        return false;
    };
    u32::from_le_bytes([*a, *b, *c, *d]) as usize > rest.len()
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use image::{
        DynamicImage, ImageBuffer, ImageEncoder, ImageFormat, Luma, Rgb, Rgba,
        codecs::{jpeg::JpegEncoder, png::PngEncoder, webp::WebPEncoder},
    };
    use proptest::prelude::*;

    use super::{DecodeError, Exif, Limits, Options, decode};

    fn encode(picture: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        picture.into().write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    fn gradient() -> DynamicImage {
        ImageBuffer::from_fn(24, 16, |x, y| Rgb([x as u8 * 10, y as u8 * 15, 128])).into()
    }

    const LOSSLESS: [ImageFormat; 3] = [ImageFormat::Png, ImageFormat::WebP, ImageFormat::Bmp];

    #[test]
    fn lossless_formats_give_the_samples_back() {
        for format in LOSSLESS {
            let image = decode(&encode(gradient(), format), &Options::default()).unwrap();
            assert_eq!((image.width(), image.height()), (24, 16));
            assert_eq!(image.pixels(), gradient().as_bytes(), "{format:?}");
        }
    }

    #[test]
    fn lossy_formats_come_close() {
        for format in [ImageFormat::Jpeg, ImageFormat::Gif] {
            let image = decode(&encode(gradient(), format), &Options::default()).unwrap();
            for (found, expected) in image.pixels().iter().zip(gradient().as_bytes()) {
                assert!(
                    found.abs_diff(*expected) < 40,
                    "{format:?}: {found} {expected}"
                );
            }
        }
    }

    #[test]
    fn deep_grey_and_transparent_pictures_become_rgb() {
        let deep: ImageBuffer<Rgb<u16>, _> =
            ImageBuffer::from_pixel(1, 1, Rgb([0x12ff, 0xab00, 0xffff]));
        let grey: ImageBuffer<Luma<u16>, _> = ImageBuffer::from_pixel(1, 1, Luma([0x80ff]));
        let clear = ImageBuffer::from_pixel(1, 1, Rgba([10u8, 20, 30, 0]));
        let cases: [(DynamicImage, [u8; 3]); 3] = [
            (deep.into(), [0x12, 0xab, 0xff]),
            (grey.into(), [0x80; 3]),
            (clear.into(), [10, 20, 30]),
        ];
        for (picture, expected) in cases {
            let image = decode(&encode(picture, ImageFormat::Png), &Options::default()).unwrap();
            assert_eq!(image.pixels(), expected);
        }
    }

    /// One pixel of Adobe's inverted CMYK, as Pillow writes it:
    /// `Image.new("CMYK", (1, 1), (200, 40, 90, 60)).save(file, quality=100, optimize=True)`.
    fn cmyk_jpeg() -> Vec<u8> {
        let mut jpeg = b"\xff\xd8\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\0\xff\xdb\0\x43\0".to_vec();
        jpeg.extend([1; 64]);
        jpeg.extend(b"\xff\xc0\0\x14\x08\0\x01\0\x01\x04C\x11\0M\x11\0Y\x11\0K\x11\0");
        jpeg.extend(b"\xff\xc4\0\x15\0\x01\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x0a\x09");
        jpeg.extend(b"\xff\xc4\0\x14\x10\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
        jpeg.extend(b"\xff\xda\0\x0e\x04C\0M\0Y\0K\0\0\x3f\0\x36\xe5\x70\xa5\x04\x30\xff\xd9");
        jpeg
    }

    #[test]
    fn cmyk_becomes_the_rgb_that_pillow_makes_of_it() {
        let image = decode(&cmyk_jpeg(), &Options::default()).unwrap();
        assert_eq!(image.pixels(), [42, 164, 126]);
    }

    /// EXIF data with an orientation of 6: turn right by 90 degrees.
    const EXIF: &[u8] = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";

    fn write_turned(mut encoder: impl ImageEncoder) {
        encoder.set_exif_metadata(EXIF.to_vec()).unwrap();
        gradient().write_with_encoder(encoder).unwrap();
    }

    #[test]
    fn a_turned_picture_is_turned_back_unless_told_otherwise() {
        let (mut jpeg, mut png, mut webp) = (Vec::new(), Vec::new(), Vec::new());
        write_turned(JpegEncoder::new(&mut jpeg));
        write_turned(PngEncoder::new(&mut png));
        write_turned(WebPEncoder::new_lossless(&mut webp));
        for bytes in [jpeg, png, webp] {
            let turned = decode(&bytes, &Options::default()).unwrap();
            assert_eq!((turned.width(), turned.height()), (16, 24));
            let options = Options {
                exif: Exif::Ignore,
                ..Options::default()
            };
            let stored = decode(&bytes, &options).unwrap();
            assert_eq!((stored.width(), stored.height()), (24, 16));
            // The top right pixel as it is seen is the top left one as it is stored.
            assert_eq!(turned.pixels()[15 * 3..][..3], stored.pixels()[..3]);
        }
    }

    #[test]
    fn what_is_over_a_limit_is_refused_by_its_header() {
        for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::Gif] {
            let bytes = encode(gradient(), format);
            let with = |limits| {
                decode(
                    &bytes,
                    &Options {
                        limits,
                        ..Options::default()
                    },
                )
            };
            let few_pixels = Limits {
                max_pixels: 24 * 16 - 1,
                max_side: 24,
            };
            assert!(matches!(with(few_pixels), Err(DecodeError::Pixels { .. })));
            let short_side = Limits {
                max_pixels: 24 * 16,
                max_side: 23,
            };
            assert!(matches!(with(short_side), Err(DecodeError::Side { .. })));
            assert!(
                with(Limits {
                    max_pixels: 24 * 16,
                    max_side: 24
                })
                .is_ok()
            );
        }
    }

    #[test]
    fn half_a_picture_is_no_picture() {
        for format in [
            ImageFormat::Jpeg,
            ImageFormat::Png,
            ImageFormat::WebP,
            ImageFormat::Bmp,
            ImageFormat::Gif,
        ] {
            let bytes = encode(gradient(), format);
            for length in [bytes.len() / 3, bytes.len() / 2, bytes.len() * 9 / 10] {
                let result = decode(&bytes[..length], &Options::default());
                // The GIF decoder does not let on why it failed.
                let is_damaged_gif = format == ImageFormat::Gif
                    && matches!(result, Err(DecodeError::Damaged { .. }));
                assert!(
                    is_damaged_gif || matches!(result, Err(DecodeError::Truncated { .. })),
                    "{format:?}, {length} of {} bytes: {result:?}",
                    bytes.len()
                );
            }
        }
    }

    #[test]
    fn a_small_picture_does_not_take_much_memory() {
        // A screen of one pixel, and a frame of 65535 x 65535 in it.
        let mut gif = b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff".to_vec();
        gif.extend(b"\x2c\0\0\0\0\xff\xff\xff\xff\0\x02\x02\x4c\x01\0\x3b");
        // Two million zeros as a colour profile, which is compressed.
        let mut png = Vec::new();
        let mut encoder = PngEncoder::new(&mut png);
        encoder.set_icc_profile(vec![0; 2_000_000]).unwrap();
        gradient().write_with_encoder(encoder).unwrap();

        let limits = Limits {
            max_pixels: 24 * 16,
            ..Limits::default()
        };
        let options = Options {
            limits,
            ..Options::default()
        };
        for (bytes, format) in [(gif, "GIF"), (png, "PNG")] {
            assert!(bytes.len() < 10_000);
            let result = decode(&bytes, &options);
            assert!(
                matches!(result, Err(DecodeError::Memory { format: found, .. }) if found == format),
                "{result:?}"
            );
        }
    }

    #[test]
    fn what_is_no_picture_is_named() {
        assert!(matches!(
            decode(b"%PDF-1.7", &Options::default()),
            Err(DecodeError::Format {
                found: "a PDF document"
            })
        ));
        assert!(matches!(
            decode(b"", &Options::default()),
            Err(DecodeError::Empty)
        ));
    }

    proptest! {
        #[test]
        fn damaged_pictures_are_read_or_refused(
            format in 0..5usize,
            flips in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..8),
        ) {
            let formats =
                [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP, ImageFormat::Bmp, ImageFormat::Gif];
            let mut bytes = encode(gradient(), formats[format]);
            for (position, value) in flips {
                let position = position % bytes.len();
                bytes[position] = value;
            }
            let limits = Limits { max_pixels: 1 << 20, max_side: 1 << 12 };
            let _ = decode(&bytes, &Options { limits, ..Options::default() });
        }
    }
}
