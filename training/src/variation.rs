//! One picture in many ways: cut, mirrored, in another light.

use anyhow::Context as _;
use segmenter_imaging::{
    Image,
    resample::{Filter, resize},
    rle::{Rle, Runs},
};

use crate::{
    example::{Example, Object},
    random::Random,
};

/// A part of a picture with the objects that are in it, at this size.
///
/// # Errors
/// Where the picture cannot be resized.
pub fn varied(
    image: &Image,
    objects: &[Object],
    size: [u32; 2],
    random: &mut Random,
) -> anyhow::Result<Example> {
    let cut = Cut::random([image.width(), image.height()], random);
    let mut image = cut.image(image, size).context("a cut without pixels")?;
    relight(&mut image, random);
    let objects = objects.iter();
    let objects = objects.filter_map(|object| cut.object(object, size));
    Ok(Example {
        objects: objects.collect(),
        image,
    })
}

/// A part of a picture, which is resized to an example.
pub(crate) struct Cut {
    x: u32,
    y: u32,
    size: [u32; 2],
    mirrored: bool,
}

/// How much of a picture a cut shows at the least, along each axis.
const CLOSEST: f32 = 0.45;

impl Cut {
    /// All of a picture of `[width, height]`.
    pub(crate) fn whole(size: [u32; 2]) -> Self {
        Self {
            x: 0,
            y: 0,
            size,
            mirrored: false,
        }
    }

    fn random([width, height]: [u32; 2], random: &mut Random) -> Self {
        // More often nearly all than little, and not quite in the picture's shape.
        let part = CLOSEST + (1.0 - CLOSEST) * random.uniform().sqrt();
        let mut side = |length: u32| {
            let part = (part * (0.8 + 0.4 * random.uniform())).min(1.0);
            let cut = ((length as f32 * part) as u32).clamp(1, length);
            let start = random.below((length - cut) as usize + 1) as u32;
            (start, cut)
        };
        let ((x, wide), (y, high)) = (side(width), side(height));
        Self {
            x,
            y,
            size: [wide, high],
            mirrored: random.uniform() < 0.5,
        }
    }

    /// What is left of an object in a picture of this size; `None` where that is nothing.
    pub(crate) fn object(&self, object: &Object, size: [u32; 2]) -> Option<Object> {
        let mask = self.mask(&object.mask, size);
        let scale = f64::from(size[0] * size[1]) / f64::from(self.size[0] * self.size[1]);
        let whole = object.mask.area() as f64 * scale;
        let left = (mask.area() as f64 / whole).min(1.0) as f32;
        Object::new(object.class, mask, object.seen * left)
    }

    /// This part of a mask at another size.
    fn mask(&self, mask: &Rle, [width, height]: [u32; 2]) -> Rle {
        let at = |index: u32, length: u32, from: u32, cut: u32| {
            from + ((f64::from(index) + 0.5) * f64::from(cut) / f64::from(length)) as u32
        };
        let mut spans = vec![Vec::new(); mask.width() as usize];
        for (x, span) in mask.spans() {
            spans[x as usize].push(span);
        }
        // Which row of the mask each of the part's is.
        let rows: Vec<_> = (0..height)
            .map(|row| at(row, height, self.y, self.size[1]))
            .collect();
        let mut runs = Runs::default();
        for column in 0..width {
            let column = if self.mirrored {
                width - 1 - column
            } else {
                column
            };
            let mut row = 0;
            for span in &spans[at(column, width, self.x, self.size[0]) as usize] {
                let [start, end] = [span.start, span.end].map(|end| {
                    let before = |row: &u32| *row < end;
                    rows.partition_point(before) as u32
                });
                runs.push(false, start - row);
                runs.push(true, end - start);
                row = end;
            }
            runs.push(false, height - row);
        }
        runs.finish(height, width)
    }

    fn image(&self, image: &Image, [width, height]: [u32; 2]) -> Option<Image> {
        let [wide, high] = self.size;
        let part = image.crop(self.x..self.x + wide, self.y..self.y + high)?;
        let mut part = resize(&part, width, height, Filter::Bilinear).ok()?;
        if self.mirrored {
            for row in part.pixels_mut().chunks_exact_mut(width as usize * 3) {
                row.as_chunks_mut::<3>().0.reverse();
            }
        }
        Some(part)
    }
}

/// Other light: each channel by a factor of its own, and all with another contrast.
fn relight(image: &mut Image, random: &mut Random) {
    let exposure = 0.7 + 0.6 * random.uniform();
    let gains: [f32; 3] = std::array::from_fn(|_| exposure * (0.88 + 0.24 * random.uniform()));
    let gamma = 0.75 + 0.5 * random.uniform();
    let tables = gains.map(|gain| {
        let value = |sample: u8| {
            let value = (f32::from(sample) / 255.0).powf(gamma) * gain;
            (value * 255.0).round().clamp(0.0, 255.0) as u8
        };
        std::array::from_fn::<u8, 256, _>(|sample| value(sample as u8))
    });
    for pixel in image.pixels_mut().as_chunks_mut::<3>().0 {
        for (sample, table) in pixel.iter_mut().zip(&tables) {
            *sample = table[usize::from(*sample)];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_cut_leaves_is_seen() {
        let (width, height) = (64, 48);
        let inside: Vec<_> = (0..width * height).map(|i| i % width < 16).collect();
        let mask = Rle::from_bitmap(height, width, &inside).unwrap();
        let object = Object::new(2, mask, 0.5).unwrap();
        let from = |x: u32| Cut {
            x,
            y: 0,
            size: [width - x, height],
            mirrored: false,
        };
        let left = from(12).object(&object, [104, 96]).unwrap();
        assert_eq!(left.class, 2);
        assert_eq!(left.bbox, [0.0, 0.0, 8.0, 96.0]);
        assert!((left.seen - 0.125).abs() < 1e-6, "{}", left.seen);
        assert!(from(16).object(&object, [48, 48]).is_none());
    }

    #[test]
    fn masks_stay_on_their_objects() {
        let (width, height) = (64, 48);
        let inside: Vec<_> = (0..width * height)
            .map(|i| i % width < 16 && (8..24).contains(&(i / width)))
            .collect();
        let red_on_grey = |&inside: &bool| if inside { [220, 20, 20] } else { [128; 3] };
        let pixels = inside.iter().flat_map(red_on_grey).collect();
        let image = Image::new(width, height, pixels).unwrap();
        let mask = Rle::from_bitmap(height, width, &inside).unwrap();

        let object = Object::new(0, mask, 1.0).unwrap();
        let mut random = Random::new(3);
        let mut seen = 0;
        for _ in 0..40 {
            let example =
                varied(&image, std::slice::from_ref(&object), [96, 64], &mut random).unwrap();
            assert_eq!([example.image.width(), example.image.height()], [96, 64]);
            let Some(object) = example.objects.first() else {
                continue;
            };
            seen += 1;
            let mask = object.mask.to_bitmap();
            let pixels = example.image.pixels().as_chunks::<3>().0;
            let red = |[r, g, _]: &[u8; 3]| f32::from(*r) > 2.0 * f32::from(*g);
            let right = pixels
                .iter()
                .zip(&mask)
                .filter(|(pixel, inside)| red(pixel) == **inside);
            let share = right.count() as f32 / mask.len() as f32;
            assert!(share > 0.97, "{share} of example {seen}");
        }
        assert!(seen > 10, "only {seen} of 40 show it");
    }
}
