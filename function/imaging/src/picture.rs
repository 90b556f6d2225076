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
    Whole {
        image: Cow<'a, Image>,
        /// Rows that have been read.
        finished: usize,
    },
}

/// About how many pixels of a whole image are read at a time.
const BAND: usize = 1 << 16;

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
    pub fn into_image(mut self) -> Result<Image, DecodeError> {
        let [width, height] = self.stored.map(|side| side as usize);
        let pixels = match self.rows {
            Rows::Whole { image, .. } => image.into_owned().into_pixels(),
            _ => {
                let all: Vec<usize> = (0..height).collect();
                let mut pixels = Vec::with_capacity(width * height * 3);
                while self.read_band(&all, &mut pixels)? {}
                pixels
            }
        };
        Ok(Image::from_rgb(oriented(
            pixels,
            self.stored,
            self.orientation,
        )))
    }

    /// The pixels that are in one of these columns and in one of these rows of the picture as a person sees it,
    /// both rising: `[rows, columns, 3]`.
    pub(crate) fn into_pixels_at(
        self,
        columns: Vec<usize>,
        rows: Vec<usize>,
    ) -> Result<Vec<u8>, DecodeError> {
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
        let mut pixels = Vec::with_capacity(columns.len() * rows.len() * 3);
        self.for_each_band(&rows, |band| {
            if columns.len() == width {
                pixels.extend_from_slice(band);
                return;
            }
            for row in band.chunks_exact(width * 3) {
                let row = row.as_chunks::<3>().0;
                pixels.extend(columns.iter().flat_map(|&column| row[column]));
            }
        })?;
        Ok(oriented(pixels, size, orientation).into_raw())
    }

    pub(crate) fn orientation(&self) -> Orientation {
        self.orientation
    }

    /// How the pixels are stored.
    pub(crate) fn layout(&self) -> Layout {
        Layout::new(self.orientation)
    }

    /// Calls `take` with those rows, as they are stored, that are wanted: some at a time, from the top, `[rows,
    /// width, 3]`. What is `wanted` is rising.
    pub(crate) fn for_each_band(
        mut self,
        wanted: &[usize],
        mut take: impl FnMut(&[u8]),
    ) -> Result<(), DecodeError> {
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
            Rows::Whole { image, finished } => {
                let (width, height) = (image.width() as usize, image.height() as usize);
                let end = (*finished + BAND.div_ceil(width)).min(height);
                for row in *finished..end {
                    if wanted.binary_search(&row).is_ok() {
                        pixels.extend_from_slice(&image.pixels()[row * width * 3..][..width * 3]);
                    }
                }
                *finished = end;
                Ok(end < height)
            }
        };
        if let Some(clock) = self.clock {
            clock.set(clock.get() + started.elapsed());
        }
        more
    }
}

impl<'a> From<&'a Image> for Picture<'a> {
    fn from(image: &'a Image) -> Self {
        let rows = Rows::Whole {
            image: Cow::Borrowed(image),
            finished: 0,
        };
        Self::new(rows, Orientation::NoTransforms)
    }
}

impl fmt::Debug for Picture<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Picture({}x{})", self.width(), self.height())
    }
}

impl Rows<'_> {
    pub(crate) fn whole(image: Image) -> Self {
        Self::Whole {
            image: Cow::Owned(image),
            finished: 0,
        }
    }

    fn size(&self) -> [u32; 2] {
        match self {
            Self::Jpeg(rows) => rows.size(),
            Self::Png(rows) => rows.size(),
            Self::Whole { image, .. } => [image.width(), image.height()],
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
