//! From a picture to the input of a semantic segmenter.

use segmenter_imaging::{
    Picture,
    decode::DecodeError,
    interpolate::Corners,
    normalise::{Normalisation, Order},
    resample::{Filter, resize},
};

use crate::{Device, model::Input};

/// How a picture becomes the network's input, and how large its class map is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputRule {
    /// torchvision's `SemanticSegmentation` preset: the shorter side is resized to this many pixels (520
    /// with all its weights), bilinear with antialiasing, and normalised by ImageNet's mean and deviation.
    /// Where the longer side came out at more than four times as many, it becomes that many instead, so
    /// that no picture asks for unbounded memory. The class map has the size of the input.
    ShorterSide(u32),
    /// For DeepLab as TensorFlow exports it, with one input size of 513 x 513: the picture is resized to
    /// that, whatever its shape, with Lanczos' filter, and scaled to -1..1 (128 to 0, as the quantised
    /// file has it).
    ///
    /// DeepLab's demo keeps the shape and pads. On COCO pictures `deeplabv3_mnv2_pascal` is as good either
    /// way (mean IoU 0.486), but stretched it sees the smaller things in wide and tall pictures.
    Stretched {
        /// Of the class map, which has the picture's shape; 513 in DeepLab's demo.
        longer_side: u32,
    },
}

/// The longest side of an input in multiples of the shorter one.
const MOST_ELONGATED: f64 = 4.0;

/// The side of the one input of TensorFlow's exported DeepLab.
const EXPORTED_SIDE: u32 = 513;

impl InputRule {
    /// Resizes, to `size` (`[width, height]`) where the network can be given that, and normalises.
    pub(super) fn prepare(
        self,
        picture: Picture<'_>,
        size: Option<[u32; 2]>,
        device: &Device,
    ) -> Result<Input, DecodeError> {
        let [width, height] = match (self, size) {
            (Self::ShorterSide(_), Some(size)) => size,
            _ => self.input_size([picture.width(), picture.height()]),
        };
        let filter = match self {
            Self::ShorterSide(_) => Filter::Bilinear,
            Self::Stretched { .. } => Filter::Lanczos,
        };
        let map_size = size.unwrap_or_else(|| self.map_size([picture.width(), picture.height()]));
        let resized = resize(picture, width, height, filter)?;
        let input = Input::of_image(resized, &self.normalisation(), device);
        Ok(input.with_map_size(map_size))
    }

    /// The class map's `[width, height]` for a picture of `[width, height]`.
    pub fn map_size(self, [width, height]: [u32; 2]) -> [u32; 2] {
        match self {
            Self::ShorterSide(_) => self.input_size([width, height]),
            Self::Stretched { longer_side } => {
                // The ratio first, as the demo does, which loses a pixel of some sides to truncation.
                let ratio = f64::from(longer_side) / f64::from(width.max(height));
                [width, height].map(|side| ((ratio * f64::from(side)) as u32).max(1))
            }
        }
    }

    /// How the network's logits lie on the class map.
    pub(super) fn corners(self) -> Corners {
        match self {
            Self::ShorterSide(_) => Corners::Free,
            Self::Stretched { .. } => Corners::Aligned,
        }
    }

    /// The shape of the most common input: of a picture of 4:3.
    pub(super) fn warm_up_shape(self) -> [usize; 3] {
        let [width, height] = self.input_size([640, 480]);
        [3, height as usize, width as usize]
    }

    /// The input's `[width, height]` for a picture of `[width, height]`.
    fn input_size(self, [width, height]: [u32; 2]) -> [u32; 2] {
        let Self::ShorterSide(side) = self else {
            return [EXPORTED_SIDE; 2];
        };
        let shorter = f64::from(width.min(height));
        let longer = f64::from(width.max(height));
        let side = f64::from(side);
        let most = side * MOST_ELONGATED;
        let resized = (side * longer / shorter).trunc();
        let (shorter, longer) = if resized <= most {
            (side, resized)
        } else {
            ((most * shorter / longer).trunc().max(1.0), most)
        };
        if width <= height {
            [shorter as u32, longer as u32]
        } else {
            [longer as u32, shorter as u32]
        }
    }

    fn normalisation(self) -> Normalisation {
        match self {
            Self::ShorterSide(_) => Normalisation::IMAGENET,
            Self::Stretched { .. } => Normalisation {
                order: Order::Rgb,
                mean: [128.0; 3],
                deviation: [128.0; 3],
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use segmenter_imaging::Image;

    use super::InputRule;
    use crate::Device;

    #[test]
    fn the_map_of_a_stretched_picture_has_the_size_of_the_demos() {
        let size = |longer_side| InputRule::Stretched { longer_side }.map_size([1200, 600]);
        assert_eq!(size(513), [513, 256]);
        assert_eq!(size(333), [333, 166]);
        // 55 / 1200 * 1200 is a little less than 55.
        assert_eq!(size(55), [54, 27]);
        let lost = (16..=1024).filter(|&side| size(side)[0] == side - 1);
        assert_eq!(lost.count(), 55);
        let elongated = InputRule::Stretched { longer_side: 16 }.map_size([10_000, 1]);
        assert_eq!(elongated, [16, 1]);
    }

    #[test]
    fn the_shorter_side_is_torchvisions_and_the_longer_bounded() {
        let size = |size| InputRule::ShorterSide(520).input_size(size);
        assert_eq!(size([640, 427]), [779, 520]);
        assert_eq!(size([427, 640]), [520, 779]);
        assert_eq!(size([33, 33]), [520, 520]);
        assert_eq!(size([30_000, 1]), [2080, 1]);
        assert_eq!(size([2, 30]), [138, 2080]);
    }

    #[test]
    fn samples_are_normalised_by_channel() {
        let image = Image::new(1, 1, vec![255, 0, 128]).unwrap();
        let channels = |rule: InputRule| {
            let input = rule
                .prepare((&image).into(), None, &Device::stock())
                .unwrap();
            let [first, rest @ ..] = &input.normalised()[..] else {
                panic!("no pixels");
            };
            assert!(rest.iter().all(|pixel| pixel == first));
            (input.shape, *first)
        };

        let (shape, values) = channels(InputRule::ShorterSide(2));
        assert_eq!(shape, [3, 2, 2]);
        let expected = [
            (1.0 - 0.485) / 0.229,
            (0.0 - 0.456) / 0.224,
            (128.0 / 255.0 - 0.406) / 0.225,
        ];
        for (value, expected) in values.iter().zip(expected) {
            assert!((value - expected).abs() < 1e-6_f32);
        }

        let (shape, values) = channels(InputRule::Stretched { longer_side: 7 });
        assert_eq!(shape, [3, 513, 513]);
        assert_eq!(values, [127.0 / 128.0, -1.0, 0.0, 0.0]);
    }
}
