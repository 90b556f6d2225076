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
            Self::YCbCr => {
                for (pixel, ((&y, &blue), &red)) in pixels.iter_mut().zip(three()) {
                    *pixel = rgb(y, blue, red);
                }
            }
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

/// The numbers of ITU-T T.871 with 16 binary places, rounded as libjpeg does.
#[inline(always)]
fn rgb(y: u8, blue: u8, red: u8) -> [u8; 3] {
    const HALF: i32 = 1 << 15;
    const fn fixed(value: f64) -> i32 {
        (value * (1 << 16) as f64 + 0.5) as i32
    }
    let y = i32::from(y);
    let (blue, red) = (i32::from(blue) - 128, i32::from(red) - 128);
    let green = fixed(0.344_14) * blue + fixed(0.714_14) * red;
    [
        y + ((fixed(1.402) * red + HALF) >> 16),
        y + ((HALF - green) >> 16),
        y + ((fixed(1.772) * blue + HALF) >> 16),
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
