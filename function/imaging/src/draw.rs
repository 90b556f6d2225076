//! Findings drawn on the picture.

mod label;
mod palette;

use std::ops::Range;

pub use self::palette::class_colour;
use crate::{Image, polygon, rle::Rle};

/// One object to draw.
#[derive(Clone, Debug)]
pub struct Annotation<'a> {
    /// What is written at its box.
    pub label: String,
    /// `[x0, y0, x1, y1]` in pixels; what lies outside of the picture is cut.
    pub bbox: [f32; 4],
    /// Its pixels, on a picture of the same size.
    pub mask: Option<&'a Rle>,
    /// RGB.
    pub colour: [u8; 3],
}

/// How much of the colour lies over an object.
const FILL: f32 = 0.4;

/// The shorter side of a picture, in pixels, for each pixel of a line's width.
const SIDE_PER_LINE_PIXEL: u32 = 300;

/// Draws each object's mask as a translucent fill with an outline, its box and its label. Lines and
/// letters grow with the picture. What comes first lies on top.
pub fn draw(image: &mut Image, annotations: &[Annotation<'_>]) {
    let mut canvas = Canvas {
        line: (image.width().min(image.height()) / SIDE_PER_LINE_PIXEL).max(1),
        image,
    };
    for annotation in annotations.iter().rev() {
        if let Some(mask) = annotation.mask {
            canvas.fill_mask(mask, annotation.colour);
            canvas.outline_mask(mask, annotation.colour);
        }
    }
    for annotation in annotations.iter().rev() {
        canvas.frame(annotation.bbox, annotation.colour);
        label::write(&mut canvas, annotation);
    }
}

/// A picture that is being drawn on.
struct Canvas<'a> {
    image: &'a mut Image,
    /// Width of a line in pixels.
    line: u32,
}

impl Canvas<'_> {
    /// Lays `opacity` (0..=1) of the colour over one pixel, which may lie outside of the picture.
    fn blend(&mut self, x: i64, y: i64, colour: [u8; 3], opacity: f32) {
        let (width, height) = (self.image.width(), self.image.height());
        let (Ok(x), Ok(y)) = (u32::try_from(x), u32::try_from(y)) else {
            return;
        };
        if x >= width || y >= height {
            return;
        }
        let offset = y as usize * width as usize + x as usize;
        let pixel = &mut self.pixels()[offset];
        for (sample, above) in pixel.iter_mut().zip(colour) {
            *sample = mix(*sample, above, opacity);
        }
    }

    fn pixels(&mut self) -> &mut [[u8; 3]] {
        self.image.pixels_mut().as_chunks_mut().0
    }

    fn fill_rectangle(&mut self, columns: Range<i64>, rows: Range<i64>, colour: [u8; 3]) {
        let (width, height) = (self.image.width(), self.image.height());
        // What is cut to the picture fits `usize`.
        let cut = |range: Range<i64>, end: u32| {
            let start = range.start.clamp(0, end.into());
            start as usize..range.end.clamp(start, end.into()) as usize
        };
        let (columns, rows) = (cut(columns, width), cut(rows, height));
        for row in self
            .pixels()
            .chunks_exact_mut(width as usize)
            .take(rows.end)
            .skip(rows.start)
        {
            row[columns.clone()].fill(colour);
        }
    }

    fn fill_mask(&mut self, mask: &Rle, colour: [u8; 3]) {
        let (width, height) = (self.image.width(), self.image.height());
        // What becomes of each sample under the colour.
        let tables = colour.map(|above| -> [u8; 256] {
            std::array::from_fn(|below| mix(below as u8, above, FILL))
        });
        let pixels = self.pixels();
        for (x, rows) in mask.spans().take_while(|(x, _)| *x < width) {
            for y in rows.start..rows.end.min(height) {
                let pixel = &mut pixels[y as usize * width as usize + x as usize];
                for (sample, table) in pixel.iter_mut().zip(&tables) {
                    *sample = table[usize::from(*sample)];
                }
            }
        }
    }

    fn outline_mask(&mut self, mask: &Rle, colour: [u8; 3]) {
        for polygon in polygon::outlines(mask) {
            for ring in std::iter::once(&polygon.exterior).chain(&polygon.holes) {
                for (a, b) in ring.iter().zip(ring.iter().cycle().skip(1)) {
                    self.stroke(a.map(i64::from), b.map(i64::from), colour);
                }
            }
        }
    }

    fn frame(&mut self, bbox: [f32; 4], colour: [u8; 3]) {
        // `as` saturates; what lies outside is cut.
        let [x0, y0, x1, y1] = bbox.map(|side| side.round() as i64);
        let corners = [[x0, y0], [x1, y0], [x1, y1], [x0, y1]];
        for (a, b) in corners.iter().zip(corners.iter().cycle().skip(1)) {
            self.stroke(*a, *b, colour);
        }
    }

    /// A line along an axis, around the edge between two pixels.
    fn stroke(&mut self, a: [i64; 2], b: [i64; 2], colour: [u8; 3]) {
        let line = i64::from(self.line);
        let span = |axis: usize| {
            let start = a[axis].min(b[axis]).saturating_sub(line / 2);
            let end = a[axis].max(b[axis]).saturating_add(line - line / 2);
            start..end
        };
        self.fill_rectangle(span(0), span(1), colour);
    }
}

fn mix(below: u8, above: u8, opacity: f32) -> u8 {
    let (below, above) = (f32::from(below), f32::from(above));
    (below + (above - below) * opacity).round() as u8
}

#[cfg(test)]
mod tests {
    use super::{Annotation, draw};
    use crate::{Image, rle::Rle};

    fn black(width: u32, height: u32) -> Image {
        Image::new(width, height, vec![0; (width * height * 3) as usize]).unwrap()
    }

    fn pixel(image: &Image, x: u32, y: u32) -> [u8; 3] {
        let offset = ((y * image.width() + x) * 3) as usize;
        [0, 1, 2].map(|channel| image.pixels()[offset + channel])
    }

    #[test]
    fn a_mask_is_filled_and_outlined_and_the_rest_stays() {
        let mut bitmap = vec![false; 100 * 100];
        for y in 40..80 {
            bitmap[y * 100 + 40..y * 100 + 80].fill(true);
        }
        let mask = Rle::from_bitmap(100, 100, &bitmap).unwrap();
        let mut image = black(100, 100);
        draw(
            &mut image,
            &[Annotation {
                label: String::new(),
                bbox: [40.0, 40.0, 80.0, 80.0],
                mask: Some(&mask),
                colour: [200, 100, 0],
            }],
        );
        assert_eq!(pixel(&image, 60, 60), [80, 40, 0]);
        assert_eq!(pixel(&image, 40, 60), [200, 100, 0]);
        assert_eq!(pixel(&image, 20, 90), [0, 0, 0]);
    }

    #[test]
    fn a_label_is_written_inside_the_picture() {
        for bbox in [[0.0, 0.0, 20.0, 20.0], [90.0, 90.0, 99.0, 99.0]] {
            let mut image = black(100, 100);
            let annotation = Annotation {
                label: "person 0.98".to_owned(),
                bbox,
                mask: None,
                colour: [255, 255, 255],
            };
            draw(&mut image, &[annotation]);
            let bright = image
                .pixels()
                .iter()
                .filter(|&&sample| sample > 128)
                .count();
            assert!(bright > 2000, "{bbox:?}: {bright}");
        }
    }

    #[test]
    fn nothing_outside_of_the_picture_is_drawn_on() {
        let far = [f32::NEG_INFINITY, -1e9, f32::INFINITY, f32::NAN];
        let mut image = black(3, 2);
        draw(
            &mut image,
            &[Annotation {
                label: "ünïcode \n 漢字".to_owned(),
                bbox: far,
                mask: None,
                colour: [1, 2, 3],
            }],
        );
    }
}
