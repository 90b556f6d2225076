//! From a picture to the input of a semantic segmenter.

use segmenter_imaging::{
    Image,
    interpolate::Corners,
    resample::{Filter, resize},
};

use super::Enlargement;
use crate::model::Input;

/// How a picture becomes the network's input, and how the network's output lies on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputRule {
    /// torchvision's `SemanticSegmentation` preset: the shorter side is resized to this many pixels
    /// (520 in all its weights), bilinear with antialiasing, then normalised by ImageNet's mean and
    /// deviation. A longer side of more than four times as many pixels is resized to that
    /// instead, so that no picture asks for unbounded memory.
    ShorterSide(u32),
    /// TensorFlow's exported DeepLab: the longer side is resized to this many pixels (513 by default),
    /// with Lanczos' filter, scaled to -1..1 (128 to 0, as its quantised form has it), and padded right
    /// and below with grey to 513 pixels a side, or beyond that to the next `16 n + 1`.
    LongerSide(u32),
}

/// The longest side of an input in multiples of the shorter one.
const MOST_ELONGATED: u32 = 4;

/// The side to which TensorFlow's export of DeepLab pads at least.
const DEEPLAB_SIDE: usize = 513;

/// The mean and standard deviation of ImageNet's red, green and blue in 0..1, as torchvision has them.
const IMAGENET: [(f32, f32); 3] = [(0.485, 0.229), (0.456, 0.224), (0.406, 0.225)];

impl InputRule {
    /// Resizes, normalises and pads.
    pub(super) fn prepare(self, image: &Image) -> Input {
        let [width, height] = self.resized([image.width(), image.height()]);
        let resized = resize(image, width, height, self.filter());
        let [padded_height, padded_width] = self.padded([width, height]);

        let mut samples = vec![0.0; 3 * padded_height * padded_width];
        for (channel, plane) in samples
            .chunks_exact_mut(padded_height * padded_width)
            .enumerate()
        {
            let normalised: [f32; 256] = std::array::from_fn(|v| self.normalise(v as f32, channel));
            let rows = resized.pixels().chunks_exact(3 * width as usize);
            for (row, pixels) in plane.chunks_exact_mut(padded_width).zip(rows) {
                for (sample, pixel) in row.iter_mut().zip(pixels.chunks_exact(3)) {
                    *sample = normalised[usize::from(pixel[channel])];
                }
            }
        }
        Input {
            shape: [3, padded_height, padded_width],
            samples,
        }
    }

    /// How the logits of a picture of this size, `[width, height]`, lie on what it was resized to.
    pub(super) fn enlargement(self, picture_size: [u32; 2]) -> Enlargement {
        let resized = self.resized(picture_size);
        Enlargement {
            corners: match self {
                Self::ShorterSide(_) => Corners::Free,
                Self::LongerSide(_) => Corners::Aligned,
            },
            full: self.padded(resized),
            kept: [resized[1] as usize, resized[0] as usize],
        }
    }

    /// The shape of the most common input: of a picture of 4:3.
    pub(super) fn warm_up_shape(self) -> [usize; 3] {
        let [height, width] = self.padded(self.resized([640, 480]));
        [3, height, width]
    }

    fn filter(self) -> Filter {
        match self {
            Self::ShorterSide(_) => Filter::Bilinear,
            Self::LongerSide(_) => Filter::Lanczos,
        }
    }

    /// A sample of 0..=255 as the network takes it.
    fn normalise(self, sample: f32, channel: usize) -> f32 {
        match self {
            Self::ShorterSide(_) => {
                let (mean, deviation) = IMAGENET[channel];
                (sample / 255.0 - mean) / deviation
            }
            Self::LongerSide(_) => (sample - 128.0) / 128.0,
        }
    }

    /// `[width, height]` to which a picture of `[width, height]` is resized, at least 1.
    fn resized(self, [width, height]: [u32; 2]) -> [u32; 2] {
        let (shorter, longer) = (width.min(height), width.max(height));
        match self {
            Self::ShorterSide(side) => {
                let side = f64::from(side);
                let most = side * f64::from(MOST_ELONGATED);
                let (shorter, longer) = (f64::from(shorter), f64::from(longer));
                let other = (side * longer / shorter).trunc();
                let [shorter, longer] = if other <= most {
                    [side, other]
                } else {
                    [(most * shorter / longer).trunc().max(1.0), most]
                };
                if width <= height {
                    [shorter as u32, longer as u32]
                } else {
                    [longer as u32, shorter as u32]
                }
            }
            Self::LongerSide(side) => {
                // The ratio first and truncation last: 513 / 1200 * 1200 is 512.99... for some sizes.
                let ratio = f64::from(side) / f64::from(longer);
                [width, height].map(|side| ((ratio * f64::from(side)) as u32).max(1))
            }
        }
    }

    /// `[height, width]` of the input for a picture resized to `[width, height]`.
    fn padded(self, [width, height]: [u32; 2]) -> [usize; 2] {
        [height as usize, width as usize].map(|side| match self {
            Self::ShorterSide(_) => side,
            Self::LongerSide(_) => (side.max(DEEPLAB_SIDE) - 1).next_multiple_of(16) + 1,
        })
    }
}

#[cfg(test)]
mod tests {
    use segmenter_imaging::Image;

    use super::InputRule;

    #[test]
    fn the_longer_side_is_truncated_as_the_exported_deeplab_does() {
        // 333 / 1200 * 1200 truncates to 333, but there are sides where it loses a pixel.
        let resized = |side| InputRule::LongerSide(side).resized([1200, 600]);
        assert_eq!(resized(513), [513, 256]);
        assert_eq!(resized(333), [333, 166]);
        assert_eq!(resized(55), [54, 27]);
        let lost = (16..=1024).filter(|&side| resized(side)[0] == side - 1);
        assert_eq!(lost.count(), 55);
        assert_eq!(InputRule::LongerSide(16).resized([10_000, 1]), [16, 1]);
    }

    #[test]
    fn the_shorter_side_is_torchvisions_and_bounded() {
        let resized = |size| InputRule::ShorterSide(520).resized(size);
        assert_eq!(resized([640, 427]), [779, 520]);
        assert_eq!(resized([427, 640]), [520, 779]);
        assert_eq!(resized([33, 33]), [520, 520]);
        assert_eq!(resized([30_000, 1]), [2080, 1]);
        assert_eq!(resized([2, 30]), [138, 2080]);
    }

    #[test]
    fn a_deeplab_input_is_padded_with_zeros_to_sixteen_n_plus_one() {
        let padded = |side, size| {
            let rule = InputRule::LongerSide(side);
            rule.padded(rule.resized(size))
        };
        assert_eq!(padded(513, [1200, 600]), [513, 513]);
        assert_eq!(padded(16, [3, 3]), [513, 513]);
        assert_eq!(padded(1024, [2000, 1000]), [513, 1025]);

        let white = Image::new(4, 2, vec![255; 24]).unwrap();
        let input = InputRule::LongerSide(513).prepare(&white);
        assert_eq!(input.shape, [3, 513, 513]);
        let row = |y: usize| &input.samples[513 * y..][..513];
        assert!(row(255).iter().all(|&v| v == 127.0 / 128.0));
        assert!(row(256).iter().all(|&v| v == 0.0));
    }

    #[test]
    fn samples_are_normalised_by_channel() {
        let image = Image::new(1, 1, vec![255, 0, 128]).unwrap();
        let input = InputRule::ShorterSide(2).prepare(&image);
        assert_eq!(input.shape, [3, 2, 2]);
        let expected = [
            (1.0 - 0.485) / 0.229,
            (0.0 - 0.456) / 0.224,
            (128.0 / 255.0 - 0.406) / 0.225,
        ];
        for (channel, expected) in input.samples.chunks_exact(4).zip(expected) {
            assert!(channel.iter().all(|&v: &f32| (v - expected).abs() < 1e-6));
        }
    }
}
