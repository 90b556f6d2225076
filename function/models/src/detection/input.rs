//! The size of a detector's input.

use segmenter_imaging::{
    Picture,
    decode::DecodeError,
    interpolate::{Corners, bilinear},
    normalise::Normalisation,
};

use crate::{blocks::Device, model::Input};

/// How large pictures come to the network: as large as both limits allow, in their own proportions.
#[derive(Clone, Copy, Debug)]
pub struct InputSize {
    /// The shorter side at most, in pixels.
    pub shorter: u32,
    /// The longer side at most, in pixels.
    pub longer: u32,
}

impl InputSize {
    /// Pixels of the input a pixel of the picture, which is `[width, height]`.
    pub fn scale(&self, [width, height]: [u32; 2]) -> f64 {
        let shorter = f64::from(self.shorter) / f64::from(width.min(height));
        let longer = f64::from(self.longer) / f64::from(width.max(height));
        shorter.min(longer)
    }

    /// `[width, height]` of the input, rounded down as torch's `interpolate` does with a scale factor that
    /// it recomputes; at least a pixel.
    pub fn resized(&self, picture: [u32; 2]) -> [u32; 2] {
        let scale = self.scale(picture);
        picture.map(|side| ((f64::from(side) * scale).floor() as u32).max(1))
    }

    /// The picture [resized](Self::resized) bilinearly and normalised.
    pub fn prepare(
        &self,
        picture: Picture<'_>,
        corners: Corners,
        normalisation: &Normalisation,
        device: &Device,
    ) -> Result<Input, DecodeError> {
        let [width, height] = self.resized([picture.width(), picture.height()]);
        let size = [height as usize, width as usize];
        let mut pixels = device.pixels(size);
        bilinear(picture, width, height, corners, normalisation, &mut pixels)?;
        Ok(Input::new(pixels, size))
    }
}

#[cfg(test)]
mod tests {
    use super::InputSize;

    const SIZE: InputSize = InputSize {
        shorter: 320,
        longer: 1600,
    };

    /// 77 pixels become 319, as `interpolate(scale_factor=320 / 77, recompute_scale_factor=True)` of torch
    /// has it: 77 * (320 / 77) is less than 320 in floating point.
    #[test]
    fn input_sizes_are_torchs() {
        assert_eq!(SIZE.resized([640, 480]), [426, 320]);
        assert_eq!(SIZE.resized([77, 154]), [319, 639]);
        assert_eq!(SIZE.resized([1, 1]), [320, 320]);
    }

    #[test]
    fn the_longer_side_has_a_limit() {
        assert_eq!(SIZE.resized([10_000, 10]), [1600, 1]);
        assert_eq!(SIZE.resized([1, 10_000]), [1, 1600]);
    }
}
