//! One picture in many ways: cut, mirrored, in another light.

use anyhow::Context as _;
use segmenter_imaging::{
    Image,
    resample::{Filter, resize},
    rle::Rle,
};

use crate::{
    example::{Example, Object},
    random::Random,
};

/// Of an object that a cut leaves less of, or of so few pixels, nothing is expected.
const LEAST_PART: f64 = 0.15;
const LEAST_PIXELS: u64 = 16;

/// A part of a picture with the objects, each a class and a mask, that are in it, at this size.
///
/// # Errors
/// Where the picture cannot be resized.
pub fn varied<'a>(
    image: &Image,
    objects: impl Iterator<Item = (usize, &'a Rle)>,
    size: [u32; 2],
    random: &mut Random,
) -> anyhow::Result<Example> {
    let cut = Cut::random([image.width(), image.height()], random);
    let mut image = cut.image(image, size).context("a cut without pixels")?;
    relight(&mut image, random);
    let objects = objects.filter_map(|(class, mask)| Object::new(class, cut.mask(mask, size)?));
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

    /// This part of a mask at another size; `None` where too little of it is left.
    pub(crate) fn mask(&self, mask: &Rle, [width, height]: [u32; 2]) -> Option<Rle> {
        let [x0, y0, x1, y1] = mask.bbox()?;
        let bitmap = mask.to_bitmap();
        let at = |index: u32, length: u32, from: u32, cut: u32| {
            from + ((f64::from(index) + 0.5) * f64::from(cut) / f64::from(length)) as u32
        };
        let columns: Vec<_> = (0..width)
            .map(|column| {
                let column = if self.mirrored {
                    width - 1 - column
                } else {
                    column
                };
                at(column, width, self.x, self.size[0])
            })
            .collect();
        let mut part = vec![false; (width * height) as usize];
        for (row, part) in (0..height).zip(part.chunks_exact_mut(width as usize)) {
            let y = at(row, height, self.y, self.size[1]);
            if (y0..y1).contains(&y) {
                let line = &bitmap[(y * mask.width()) as usize..][..mask.width() as usize];
                for (inside, &x) in part.iter_mut().zip(&columns) {
                    *inside = (x0..x1).contains(&x) && line[x as usize];
                }
            }
        }
        let part = Rle::from_bitmap(height, width, &part)?;
        let scale = f64::from(width * height) / f64::from(self.size[0] * self.size[1]);
        let whole = mask.area() as f64 * scale;
        let left = part.area();
        (left >= LEAST_PIXELS && left as f64 >= whole * LEAST_PART).then_some(part)
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
