//! The one picture type.

use std::{fmt, ops::Range};

use image::RgbImage;

/// An RGB picture, 8 bits a channel: `[height, width, 3]`, rows from the top, channels interleaved.
#[derive(Clone, PartialEq, Eq)]
pub struct Image {
    width: u32,
    height: u32,
    pixels: Vec<u8>,
}

impl Image {
    /// Takes `pixels` as rows of interleaved RGB; `None` unless there are exactly `width * height * 3`
    /// of them and neither side is zero.
    pub fn new(width: u32, height: u32, pixels: Vec<u8>) -> Option<Self> {
        let expected = (width as usize)
            .checked_mul(height as usize)?
            .checked_mul(3)?;
        (expected > 0 && pixels.len() == expected).then_some(Self {
            width,
            height,
            pixels,
        })
    }

    /// # Panics
    /// Where there are no pixels.
    pub(crate) fn from_rgb(picture: RgbImage) -> Self {
        let (width, height) = picture.dimensions();
        assert!(width > 0 && height > 0, "a picture has at least one pixel");
        Self {
            width,
            height,
            pixels: picture.into_raw(),
        }
    }

    /// Width in pixels, at least 1.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels, at least 1.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// The part in these columns and rows; `None` where there is none, or where they reach beyond the picture.
    pub fn crop(&self, columns: Range<u32>, rows: Range<u32>) -> Option<Self> {
        if columns.end > self.width || rows.end > self.height {
            return None;
        }
        let sample = |x: u32, y: u32| (y as usize * self.width as usize + x as usize) * 3;
        let mut pixels = Vec::with_capacity(sample(columns.len() as u32, 0) * rows.len());
        for y in rows.clone() {
            pixels.extend_from_slice(
                self.pixels
                    .get(sample(columns.start, y)..sample(columns.end, y))?,
            );
        }
        Self::new(columns.len() as u32, rows.len() as u32, pixels)
    }

    /// All samples, `[height, width, 3]`.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// All samples, `[height, width, 3]`, to draw on.
    pub fn pixels_mut(&mut self) -> &mut [u8] {
        &mut self.pixels
    }

    /// The samples, without a copy.
    pub fn into_pixels(self) -> Vec<u8> {
        self.pixels
    }
}

impl fmt::Debug for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Image({}x{})", self.width, self.height)
    }
}

#[cfg(test)]
mod tests {
    use super::Image;

    #[test]
    fn a_picture_has_exactly_its_samples() {
        assert!(Image::new(2, 1, vec![0; 6]).is_some());
        assert!(Image::new(2, 1, vec![0; 5]).is_none());
        assert!(Image::new(0, 1, vec![]).is_none());
        assert!(Image::new(u32::MAX, u32::MAX, vec![]).is_none());
    }

    #[test]
    fn a_part_has_the_samples_of_its_columns_and_rows() {
        let image = Image::new(3, 2, (0..18).collect()).unwrap();
        assert_eq!(image.crop(0..3, 0..2).unwrap(), image);
        let part = image.crop(1..3, 1..2).unwrap();
        assert_eq!((part.width(), part.height()), (2, 1));
        assert_eq!(part.pixels(), [12, 13, 14, 15, 16, 17]);
        #[expect(
            clippy::reversed_empty_ranges,
            reason = "may come out of a calculation"
        )]
        let backwards = 2..1;
        for (columns, rows) in [(1..1, 0..2), (backwards, 0..2), (0..4, 0..2), (0..3, 1..3)] {
            assert!(image.crop(columns, rows).is_none());
        }
    }
}
