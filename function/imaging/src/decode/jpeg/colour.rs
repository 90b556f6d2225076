//! Components to RGB.

use super::frame::Frame;

/// What the components of a picture are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ColourSpace {
    /// One: the luminance.
    Grey,
    /// Luminance and the differences of blue and red from it.
    YCbCr,
    /// The colours themselves.
    Rgb,
    /// Inks, inverted: 255 is none.
    Cmyk,
    /// The first three inks as `YCbCr`.
    Ycck,
}

impl ColourSpace {
    /// libjpeg's guess: by the JFIF segment, the transform that Adobe's segment names, the ids.
    pub(super) fn guess(frame: &Frame, has_jfif: bool, adobe_transform: Option<u8>) -> Self {
        let ids: Vec<u8> = frame
            .components
            .iter()
            .map(|component| component.id)
            .collect();
        match (ids.len(), adobe_transform) {
            (1, _) => Self::Grey,
            (3, _) if has_jfif => Self::YCbCr,
            (3, Some(0)) => Self::Rgb,
            (3, None) if ids == *b"RGB" => Self::Rgb,
            (3, _) => Self::YCbCr,
            (_, None | Some(0)) => Self::Cmyk,
            (_, Some(_)) => Self::Ycck,
        }
    }

    /// A row of pixels from a row of each component, each as long or longer; a component that there is none
    /// of is empty.
    pub(super) fn convert(self, components: [&[u8]; 4], pixels: &mut [u8]) {
        let pixels = pixels.as_chunks_mut::<3>().0;
        let [first, second, third, fourth] = components;
        let three = || first.iter().zip(second).zip(third);
        match self {
            Self::Grey => {
                for (pixel, &grey) in pixels.iter_mut().zip(first) {
                    *pixel = [grey; 3];
                }
            }
            Self::YCbCr => ycbcr_to_rgb(first, second, third, pixels),
            Self::Rgb => {
                for (pixel, ((&red, &green), &blue)) in pixels.iter_mut().zip(three()) {
                    *pixel = [red, green, blue];
                }
            }
            Self::Cmyk => {
                for ((pixel, ((&c, &m), &y)), &k) in pixels.iter_mut().zip(three()).zip(fourth) {
                    *pixel = [c, m, y].map(|ink| printed(ink, k));
                }
            }
            Self::Ycck => {
                let inks = three().zip(fourth);
                for (pixel, (((&y, &blue), &red), &k)) in pixels.iter_mut().zip(inks) {
                    *pixel = rgb(y, blue, red).map(|ink| printed(255 - ink, k));
                }
            }
        }
    }
}

/// A row of pixels, 16 at a time for the sake of vector instructions.
fn ycbcr_to_rgb(y: &[u8], blue: &[u8], red: &[u8], pixels: &mut [[u8; 3]]) {
    const LANES: usize = 16;
    let (wide, rest) = pixels.as_chunks_mut::<LANES>();
    let (wide_y, rest_y) = y.split_at(wide.len() * LANES);
    let (wide_blue, rest_blue) = blue.split_at(wide.len() * LANES);
    let (wide_red, rest_red) = red.split_at(wide.len() * LANES);
    let ys = wide_y.as_chunks::<LANES>().0;
    let blues = wide_blue.as_chunks::<LANES>().0;
    let reds = wide_red.as_chunks::<LANES>().0;
    for (((pixels, y), blue), red) in wide.iter_mut().zip(ys).zip(blues).zip(reds) {
        let mut packed = [0; LANES];
        for lane in 0..LANES {
            let [r, g, b] = rgb(y[lane], blue[lane], red[lane]).map(u32::from);
            packed[lane] = r | g << 8 | b << 16;
        }
        let words = pixels.as_flattened_mut().as_chunks_mut::<12>().0;
        for (word, &[a, b, c, d]) in words.iter_mut().zip(packed.as_chunks::<4>().0) {
            word[..4].copy_from_slice(&(a | b << 24).to_le_bytes());
            word[4..8].copy_from_slice(&(b >> 8 | c << 16).to_le_bytes());
            word[8..].copy_from_slice(&(c >> 16 | d << 8).to_le_bytes());
        }
    }
    let rest_samples = rest_y.iter().zip(rest_blue).zip(rest_red);
    for (pixel, ((&y, &blue), &red)) in rest.iter_mut().zip(rest_samples) {
        *pixel = rgb(y, blue, red);
    }
}

/// The numbers of ITU-T T.871 with 16 binary places, rounded as libjpeg does. Whole multiples are added
/// apart, so that what is multiplied has 16 bits.
#[inline(always)]
fn rgb(y: u8, blue: u8, red: u8) -> [u8; 3] {
    const HALF: i32 = 1 << 15;
    const fn fixed(value: f64) -> i16 {
        (value * (1 << 16) as f64).round_ties_even() as i16
    }
    let product = |value: i16, constant: i16| i32::from(value) * i32::from(constant);
    let rounded = |value: i32| ((value + HALF) >> 16) as i16;
    let y = i16::from(y);
    let (blue, red) = (i16::from(blue) - 128, i16::from(red) - 128);
    let green = product(blue, fixed(-0.344_14)) + product(red, fixed(1.0 - 0.714_14));
    [
        y + red + rounded(product(red, fixed(1.402 - 1.0))),
        y - red + rounded(green),
        y + 2 * blue + rounded(product(blue, fixed(1.772 - 2.0))),
    ]
    .map(|value| value.clamp(0, 255) as u8)
}

/// What is left of white behind an ink and black, both inverted, as Pillow reckons.
#[inline(always)]
fn printed(ink: u8, black: u8) -> u8 {
    let covered = u32::from(255 - ink) * u32::from(black) + 128;
    // Division by 255, rounded.
    let covered = ((covered >> 8) + covered) >> 8;
    (u32::from(black) - covered) as u8
}

#[cfg(test)]
mod tests {
    use super::{ColourSpace, printed, rgb};
    use crate::decode::jpeg::frame::Frame;

    #[test]
    fn colours_are_those_of_the_formula_rounded() {
        for y in (0..=255).step_by(5) {
            for blue in (0..=255).step_by(3) {
                for red in 0..=255 {
                    let [b, r] = [blue, red].map(|value| f64::from(value) - 128.0);
                    let expected = [
                        f64::from(y) + 1.402 * r,
                        f64::from(y) - 0.344_14 * b - 0.714_14 * r,
                        f64::from(y) + 1.772 * b,
                    ];
                    for (found, expected) in rgb(y, blue, red).into_iter().zip(expected) {
                        let error = f64::from(found) - expected.clamp(0.0, 255.0);
                        assert!(error.abs() < 0.502, "{y} {blue} {red}: {error}");
                    }
                }
            }
        }
    }

    #[test]
    fn inks_take_from_white() {
        assert_eq!(printed(255, 255), 255);
        assert_eq!([printed(0, 255), printed(255, 0), printed(0, 0)], [0; 3]);
        for black in 0..=255 {
            for ink in 0..=255 {
                let expected = f64::from(ink) * f64::from(black) / 255.0;
                let error = f64::from(printed(ink, black)) - expected;
                assert!(error.abs() <= 0.5, "{ink} {black}: {error}");
            }
        }
    }

    #[test]
    fn spaces_are_guessed_as_libjpeg_does() {
        let guess = |ids: &[u8], has_jfif, adobe_transform| {
            let mut segment = vec![8, 0, 1, 0, 1, ids.len() as u8];
            segment.extend(ids.iter().flat_map(|&id| [id, 0x11, 0]));
            let frame = Frame::parse(&segment, false).unwrap();
            ColourSpace::guess(&frame, has_jfif, adobe_transform)
        };
        assert_eq!(guess(&[1], false, Some(2)), ColourSpace::Grey);
        assert_eq!(guess(b"RGB", true, Some(0)), ColourSpace::YCbCr);
        assert_eq!(guess(&[1, 2, 3], false, Some(0)), ColourSpace::Rgb);
        assert_eq!(guess(b"RGB", false, Some(1)), ColourSpace::YCbCr);
        assert_eq!(guess(b"RGB", false, None), ColourSpace::Rgb);
        assert_eq!(guess(&[0, 1, 2], false, None), ColourSpace::YCbCr);
        assert_eq!(guess(&[1, 2, 3, 4], false, None), ColourSpace::Cmyk);
        assert_eq!(guess(&[1, 2, 3, 4], true, Some(0)), ColourSpace::Cmyk);
        assert_eq!(guess(&[1, 2, 3, 4], false, Some(2)), ColourSpace::Ycck);
    }
}
