//! A picture on its way to being resized.

use std::{
    borrow::Cow,
    cell::Cell,
    fmt,
    time::{Duration, Instant},
};

use image::{DynamicImage, RgbImage, metadata::Orientation};

use crate::{
    Image,
    decode::{DecodeError, jpeg, png, without_panic},
};

/// A picture whose pixels are read once, in the order in which they are stored, and as far as possible decoded
/// only then: an encoded one that is [open](crate::decode::open), or an [`Image`].
///
/// Made smaller by [`interpolate`](crate::interpolate) or [`resample`](crate::resample), it takes some
/// megabytes of memory whatever its size.
pub struct Picture<'a> {
    rows: Rows<'a>,
    /// Width and height in pixels, as they are stored.
    stored: [u32; 2],
    orientation: Orientation,
    clock: Option<&'a Cell<Duration>>,
}

/// Where the rows of a picture come from.
pub(crate) enum Rows<'a> {
    Jpeg(Box<jpeg::Rows<'a>>),
    Png(Box<png::Rows<'a>>),
    Whole(Cow<'a, Image>),
}

impl<'a> Picture<'a> {
    /// With what is to become of the pixels to be as a person sees them.
    pub(crate) fn new(rows: Rows<'a>, orientation: Orientation) -> Self {
        Self {
            stored: rows.size(),
            rows,
            orientation,
            clock: None,
        }
    }

    /// Adds the time that it takes to decode pixels from now on to what the clock has.
    pub fn timed(mut self, clock: &'a Cell<Duration>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Width in pixels as a person sees it, at least 1.
    pub fn width(&self) -> u32 {
        let [across, down] = self.stored;
        if self.layout().is_transposed {
            down
        } else {
            across
        }
    }

    /// Height in pixels as a person sees it, at least 1.
    pub fn height(&self) -> u32 {
        let [across, down] = self.stored;
        if self.layout().is_transposed {
            across
        } else {
            down
        }
    }

    /// The whole picture. An error is one of its pixels, for its header is known to be good.
    pub fn into_image(self) -> Result<Image, DecodeError> {
        let ([width, height], orientation) = (self.stored, self.orientation);
        let pixels = match self.rows {
            Rows::Whole(image) => image.into_owned().into_pixels(),
            _ => self.into_rows(&(0..height as usize).collect::<Vec<_>>())?,
        };
        Ok(Image::from_rgb(oriented(
            pixels,
            [width, height],
            orientation,
        )))
    }

    /// The pixels that are in one of these columns and in one of these rows of the picture as a person sees it,
    /// both rising: a row `[columns, 3]` at a time, from the top. Of a picture that is stored as it is seen, no more
    /// than a band is in memory.
    pub(crate) fn for_each_row_at(
        self,
        columns: Vec<usize>,
        rows: Vec<usize>,
        mut take: impl FnMut(&[u8]),
    ) -> Result<(), DecodeError> {
        if self.orientation != Orientation::NoTransforms {
            let stride = columns.len() * 3;
            let pixels = self.into_pixels_at(columns, rows)?;
            pixels.chunks_exact(stride).for_each(take);
            return Ok(());
        }
        let width = self.stored[0] as usize;
        let mut picked = Vec::with_capacity(columns.len() * 3);
        self.for_each_band(&rows, |band| {
            for row in band.chunks_exact(width * 3) {
                if columns.len() == width {
                    take(row);
                } else {
                    let row = row.as_chunks::<3>().0;
                    picked.clear();
                    picked.extend(columns.iter().flat_map(|&column| row[column]));
                    take(&picked);
                }
            }
        })
    }

    /// All of these pixels: `[rows, columns, 3]`.
    fn into_pixels_at(self, columns: Vec<usize>, rows: Vec<usize>) -> Result<Vec<u8>, DecodeError> {
        let layout = self.layout();
        let [width, height] = self.stored.map(|side| side as usize);
        let [mut columns, mut rows] = layout.as_stored([columns, rows]);
        for (positions, side, is_mirrored) in [
            (&mut columns, width, layout.is_mirrored[0]),
            (&mut rows, height, layout.is_mirrored[1]),
        ] {
            if is_mirrored {
                positions.reverse();
                positions
                    .iter_mut()
                    .for_each(|position| *position = side - 1 - *position);
            }
        }
        let size = [columns.len(), rows.len()].map(|side| side as u32);
        let orientation = self.orientation;
        let pixels = if columns.len() == width {
            self.into_rows(&rows)?
        } else {
            let mut pixels = Vec::with_capacity(columns.len() * rows.len() * 3);
            self.for_each_band(&rows, |band| {
                for row in band.chunks_exact(width * 3) {
                    let row = row.as_chunks::<3>().0;
                    pixels.extend(columns.iter().flat_map(|&column| row[column]));
                }
            })?;
            pixels
        };
        Ok(oriented(pixels, size, orientation).into_raw())
    }

    pub(crate) fn orientation(&self) -> Orientation {
        self.orientation
    }

    /// How the pixels are stored.
    pub(crate) fn layout(&self) -> Layout {
        Layout::new(self.orientation)
    }

    /// Those rows, as they are stored, that are wanted: `[rows, width, 3]`. What is `wanted` is rising.
    fn into_rows(mut self, wanted: &[usize]) -> Result<Vec<u8>, DecodeError> {
        let mut pixels = Vec::with_capacity(wanted.len() * self.stored[0] as usize * 3);
        while self.read_band(wanted, &mut pixels)? {}
        Ok(pixels)
    }

    /// The same rows some at a time, from the top.
    pub(crate) fn for_each_band(
        mut self,
        wanted: &[usize],
        mut take: impl FnMut(&[u8]),
    ) -> Result<(), DecodeError> {
        if let Rows::Whole(image) = &self.rows {
            bands(image, wanted).for_each(take);
            return Ok(());
        }
        let mut band = Vec::new();
        loop {
            band.clear();
            let is_last = !self.read_band(wanted, &mut band)?;
            take(&band);
            if is_last {
                return Ok(());
            }
        }
    }

    /// Appends those of the next rows that are wanted; whether there are more.
    fn read_band(&mut self, wanted: &[usize], pixels: &mut Vec<u8>) -> Result<bool, DecodeError> {
        let started = Instant::now();
        let more = match &mut self.rows {
            Rows::Jpeg(rows) => without_panic("JPEG", || Ok(rows.read(wanted, pixels))),
            Rows::Png(rows) => without_panic("PNG", || rows.read(wanted, pixels)),
            Rows::Whole(image) => {
                bands(image, wanted).for_each(|band| pixels.extend_from_slice(band));
                Ok(false)
            }
        };
        if let Some(clock) = self.clock {
            clock.set(clock.get() + started.elapsed());
        }
        more
    }
}

/// Those rows of an image that are wanted, some at a time.
fn bands<'a>(image: &'a Image, wanted: &'a [usize]) -> impl Iterator<Item = &'a [u8]> {
    /// About how many pixels there are in a band.
    const PIXELS: usize = 1 << 16;

    let stride = image.width() as usize * 3;
    let most = PIXELS.div_ceil(image.width() as usize);
    wanted
        .chunk_by(|row, next| row + 1 == *next)
        .flat_map(move |run| run.chunks(most))
        .map(move |rows| &image.pixels()[rows[0] * stride..][..rows.len() * stride])
}

impl<'a> From<&'a Image> for Picture<'a> {
    fn from(image: &'a Image) -> Self {
        Self::new(Rows::Whole(Cow::Borrowed(image)), Orientation::NoTransforms)
    }
}

impl fmt::Debug for Picture<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Picture({}x{})", self.width(), self.height())
    }
}

impl Rows<'_> {
    fn size(&self) -> [u32; 2] {
        match self {
            Self::Jpeg(rows) => rows.size(),
            Self::Png(rows) => rows.size(),
            Self::Whole(image) => [image.width(), image.height()],
        }
    }
}

/// How the pixels of a picture are stored, against how a person sees them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    /// Whether a row as it is stored is a column as it is seen.
    pub(crate) is_transposed: bool,
    /// Whether the axis that is stored across, and the one that is stored down, is seen the other way round.
    pub(crate) is_mirrored: [bool; 2],
}

impl Layout {
    fn new(orientation: Orientation) -> Self {
        let (is_transposed, is_mirrored) = match orientation {
            Orientation::NoTransforms => (false, [false, false]),
            Orientation::FlipHorizontal => (false, [true, false]),
            Orientation::FlipVertical => (false, [false, true]),
            Orientation::Rotate180 => (false, [true, true]),
            Orientation::Rotate90FlipH => (true, [false, false]),
            Orientation::Rotate90 => (true, [false, true]),
            Orientation::Rotate270 => (true, [true, false]),
            Orientation::Rotate270FlipH => (true, [true, true]),
        };
        Self {
            is_transposed,
            is_mirrored,
        }
    }

    /// What belongs to the axes `[x, y]` as they are seen in the order `[across, down]` as they are stored.
    pub(crate) fn as_stored<T>(self, [x, y]: [T; 2]) -> [T; 2] {
        if self.is_transposed { [y, x] } else { [x, y] }
    }
}

/// The pixels `[height, width, 3]` as a person sees them.
pub(crate) fn oriented(
    pixels: Vec<u8>,
    [width, height]: [u32; 2],
    orientation: Orientation,
) -> RgbImage {
    let picture = RgbImage::from_raw(width, height, pixels).unwrap_or_default();
    let mut picture = DynamicImage::ImageRgb8(picture);
    picture.apply_orientation(orientation);
    picture.into_rgb8()
}

#[cfg(test)]
pub(crate) mod tests {
    use std::{cell::Cell, time::Duration};

    use image::{
        DynamicImage, ImageBuffer, ImageEncoder, LumaA, Rgb, Rgba, codecs::png::PngEncoder,
    };
    use png::{BitDepth, ColorType};

    use super::Picture;
    use crate::{
        decode::{Options, decode, open},
        interpolate::{Corners, bilinear},
        normalise::Normalisation,
        resample::{Filter, resize},
    };

    /// EXIF data with nothing but an orientation, 1 to 8.
    pub(crate) fn exif(orientation: u8) -> Vec<u8> {
        let mut exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x01\0\0\0\0\0\0\0".to_vec();
        exif[18] = orientation;
        exif
    }

    /// Whether resizing makes the same of an encoded picture as of all its pixels.
    pub(crate) fn assert_resized_alike(name: &str, bytes: &[u8]) {
        let image = decode(bytes, &Options::default()).unwrap();
        let picture = || open(bytes, &Options::default()).unwrap();
        let own = [image.width(), image.height()];
        assert_eq!([picture().width(), picture().height()], own, "{name}");
        for [width, height] in [
            own,
            [1, 1],
            [7, 5],
            [13, 60],
            [60, 13],
            [own[0], 9],
            [9, own[1]],
        ] {
            let name = format!("{name} to {width}x{height}");
            for corners in [Corners::Aligned, Corners::Free] {
                let none = Normalisation::NONE;
                let mut pixels = [(); 2].map(|()| vec![[0.0; 4]; (width * height) as usize]);
                let [streamed, whole] = &mut pixels;
                bilinear(picture(), width, height, corners, &none, streamed).unwrap();
                bilinear(&image, width, height, corners, &none, whole).unwrap();
                assert!(streamed == whole, "{name}, {corners:?}");
            }
            for filter in [Filter::Bilinear, Filter::Lanczos] {
                let streamed = resize(picture(), width, height, filter).unwrap();
                let whole = resize(&image, width, height, filter).unwrap();
                assert!(streamed == whole, "{name}, {filter:?}");
            }
        }
    }

    fn noise(index: u32) -> u8 {
        (index.wrapping_mul(2_654_435_761) >> 24) as u8
    }

    fn picture(width: u32, height: u32) -> DynamicImage {
        let pixel = |x, y| Rgba([0, 1, 2, 3].map(|channel| noise((y * width + x) * 4 + channel)));
        ImageBuffer::from_fn(width, height, pixel).into()
    }

    #[test]
    fn png_in_any_orientation_is_resized_as_if_it_were_whole() {
        for orientation in 1..=8 {
            for (width, height) in [(31, 22), (22, 31), (1, 17), (32_000, 5)] {
                let mut bytes = Vec::new();
                let mut encoder = PngEncoder::new(&mut bytes);
                encoder.set_exif_metadata(exif(orientation)).unwrap();
                picture(width, height).write_with_encoder(encoder).unwrap();
                let name = format!("{width}x{height}, orientation {orientation}");
                assert_resized_alike(&name, &bytes);
            }
        }
    }

    #[test]
    fn every_kind_of_png_has_the_samples_that_the_image_crate_finds() {
        let rgba = picture(19, 11);
        let deep: ImageBuffer<LumaA<u16>, _> =
            ImageBuffer::from_fn(19, 11, |x, y| LumaA([(y * 3001 + x * 257) as u16, 77]));
        let kinds: [DynamicImage; 5] = [
            rgba.to_luma8().into(),
            rgba.to_luma_alpha8().into(),
            rgba.to_rgb8().into(),
            rgba,
            deep.into(),
        ];
        let mut files: Vec<Vec<u8>> = kinds
            .iter()
            .map(|kind| {
                let mut bytes = Vec::new();
                kind.write_with_encoder(PngEncoder::new(&mut bytes))
                    .unwrap();
                bytes
            })
            .collect();
        for (colour, depth) in [
            (ColorType::Grayscale, BitDepth::One),
            (ColorType::Grayscale, BitDepth::Four),
            (ColorType::Indexed, BitDepth::Two),
            (ColorType::Indexed, BitDepth::Eight),
        ] {
            let mut bytes = Vec::new();
            let mut encoder = png::Encoder::new(&mut bytes, 19, 11);
            encoder.set_color(colour);
            encoder.set_depth(depth);
            if colour == ColorType::Indexed {
                encoder.set_palette((0..256 * 3).map(noise).collect::<Vec<_>>());
                encoder.set_trns(vec![0, 128]);
            }
            let size = 11 * (19 * depth as usize).div_ceil(8);
            let samples: Vec<u8> = (0..size as u32).map(noise).collect();
            let mut writer = encoder.write_header().unwrap();
            writer.write_image_data(&samples).unwrap();
            writer.finish().unwrap();
            files.push(bytes);
        }
        for (index, bytes) in files.iter().enumerate() {
            let expected = match image::load_from_memory(bytes).unwrap() {
                DynamicImage::ImageLumaA16(deep) => deep
                    .pixels()
                    .flat_map(|pixel| [(pixel.0[0] >> 8) as u8; 3])
                    .collect(),
                shallow => shallow.into_rgb8().into_raw(),
            };
            let found = decode(bytes, &Options::default()).unwrap();
            assert_eq!(found.pixels(), expected, "{index}");
            assert_resized_alike(&index.to_string(), bytes);
        }
    }

    #[test]
    fn a_clock_gets_the_time_of_decoding() {
        let mut bytes = Vec::new();
        let encoder = PngEncoder::new(&mut bytes);
        let rgb: ImageBuffer<Rgb<u8>, _> = ImageBuffer::new(300, 300);
        rgb.write_with_encoder(encoder).unwrap();
        let clock = Cell::new(Duration::ZERO);
        let picture = open(&bytes, &Options::default()).unwrap().timed(&clock);
        picture.into_image().unwrap();
        assert!(clock.get() > Duration::ZERO);

        let image = decode(&bytes, &Options::default()).unwrap();
        clock.set(Duration::ZERO);
        resize(Picture::from(&image).timed(&clock), 3, 3, Filter::Bilinear).unwrap();
        assert_eq!(clock.get(), Duration::ZERO, "there is nothing to decode");
    }
}
