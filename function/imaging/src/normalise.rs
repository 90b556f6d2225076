//! Samples as networks take them.

use std::array;

use crate::Image;

/// A pixel's three channels, and a fourth value that is 0: as vectors of four are read.
pub type Pixel = [f32; 4];

/// What becomes of samples (0..=255) before a network sees them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Normalisation {
    /// Of the channels.
    pub order: Order,
    /// Taken off each channel, of which the first is that of `order`; in samples.
    pub mean: [f32; 3],
    /// What each channel is then divided by; in samples.
    pub deviation: [f32; 3],
}

/// In which order a pixel's channels lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Red, green, blue.
    Rgb,
    /// Blue, green, red.
    Bgr,
}

impl Normalisation {
    /// Samples as they are: red, green, blue, 0..=255.
    pub const NONE: Self = Self {
        order: Order::Rgb,
        mean: [0.0; 3],
        deviation: [1.0; 3],
    };

    /// What torchvision's networks were trained with: the mean and deviation of ImageNet.
    pub const IMAGENET: Self = Self {
        order: Order::Rgb,
        mean: [0.485 * 255.0, 0.456 * 255.0, 0.406 * 255.0],
        deviation: [0.229 * 255.0, 0.224 * 255.0, 0.225 * 255.0],
    };

    /// Writes the picture's pixels normalised, `[height, width]`, which are as many as there are in `pixels`.
    pub fn normalise(&self, image: &Image, pixels: &mut [Pixel]) {
        let samples = image.pixels().as_chunks::<3>().0.iter();
        let samples = samples.map(|&[red, green, blue]| [red, green, blue, 0].map(f32::from));
        self.write(pixels, samples);
    }

    /// Writes what becomes of samples: red, green, blue, and any fourth.
    pub(crate) fn write(&self, pixels: &mut [Pixel], samples: impl Iterator<Item = [f32; 4]>) {
        let four = |[a, b, c]: [f32; 3]| [a, b, c, 0.0];
        let (mean, factors) = (four(self.mean), four(self.deviation.map(f32::recip)));
        let normalise =
            |channels: [f32; 4]| array::from_fn(|i| (channels[i] - mean[i]) * factors[i]);
        match self.order {
            Order::Rgb => {
                let both = pixels.iter_mut().zip(samples);
                both.for_each(|(pixel, samples)| *pixel = normalise(samples));
            }
            Order::Bgr => {
                let both = pixels.iter_mut().zip(samples);
                both.for_each(|(pixel, [r, g, b, rest])| *pixel = normalise([b, g, r, rest]));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Normalisation, Order};
    use crate::Image;

    #[test]
    fn channels_come_in_order_with_their_own_mean_and_deviation() {
        let image = Image::new(2, 1, vec![10, 20, 30, 255, 0, 100]).unwrap();
        let normalisation = |order| Normalisation {
            order,
            mean: [10.0, 4.0, 5.0],
            deviation: [2.0, 4.0, 0.5],
        };
        let mut pixels = [[0.0; 4]; 2];
        normalisation(Order::Rgb).normalise(&image, &mut pixels);
        assert_eq!(pixels, [[0.0, 4.0, 50.0, 0.0], [122.5, -1.0, 190.0, 0.0]]);
        normalisation(Order::Bgr).normalise(&image, &mut pixels);
        assert_eq!(pixels, [[10.0, 4.0, 10.0, 0.0], [45.0, -1.0, 500.0, 0.0]]);
    }
}
