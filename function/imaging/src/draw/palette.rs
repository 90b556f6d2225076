//! Colours for classes.

/// A colour for each class, RGB, far from the others': in the perceptual space OKLCH the hue goes around by
/// the golden angle, and the lightness steps through its range by the fraction of the square root of 3, so
/// that classes whose hues come close differ in lightness. Colours are as vivid as sRGB allows.
pub fn class_colour(class: u32) -> [u8; 3] {
    const GOLDEN_ANGLE: f32 = 137.507_77;
    /// Puts red, green and blue among the first ones.
    const FIRST_HUE: f32 = 25.0;
    /// Dark enough for white letters, light enough for black ones.
    const LIGHTNESS: [f32; 2] = [0.5, 0.85];
    const LIGHTNESS_STEP: f32 = 0.732_050_8;

    let hue = (FIRST_HUE + class as f32 * GOLDEN_ANGLE).to_radians();
    let [dark, light] = LIGHTNESS;
    let lightness = dark + (light - dark) * (0.5 + class as f32 * LIGHTNESS_STEP).fract();
    // No colour of sRGB has a chroma of more than 0.33.
    let chromas = (0..=66).rev().map(|step| step as f32 * 0.005);
    let linear = chromas
        .map(|chroma| to_linear_srgb([lightness, chroma * hue.cos(), chroma * hue.sin()]))
        .find(|colour| colour.iter().all(|channel| (0.0..=1.0).contains(channel)))
        .unwrap_or([0.0; 3]);
    linear.map(|channel| {
        let encoded = if channel <= 0.003_130_8 {
            12.92 * channel
        } else {
            1.055 * channel.powf(1.0 / 2.4) - 0.055
        };
        (encoded * 255.0).round() as u8
    })
}

/// OKLab to linear sRGB, <https://bottosson.github.io/posts/oklab/>.
fn to_linear_srgb([lightness, a, b]: [f32; 3]) -> [f32; 3] {
    let long = lightness + 0.396_337_78 * a + 0.215_803_76 * b;
    let medium = lightness - 0.105_561_346 * a - 0.063_854_17 * b;
    let short = lightness - 0.089_484_18 * a - 1.291_485_5 * b;
    let [long, medium, short] = [long, medium, short].map(|cone| cone * cone * cone);
    [
        4.076_741_7 * long - 3.307_711_6 * medium + 0.230_969_94 * short,
        -1.268_438 * long + 2.609_757_4 * medium - 0.341_319_4 * short,
        -0.004_196_086_3 * long - 0.703_418_6 * medium + 1.707_614_7 * short,
    ]
}

#[cfg(test)]
mod tests {
    use super::class_colour;

    /// sRGB to OKLab, by the inverse of the matrices above.
    fn oklab(colour: [u8; 3]) -> [f32; 3] {
        let [r, g, b] = colour.map(|channel| {
            let channel = f32::from(channel) / 255.0;
            if channel <= 0.040_45 {
                channel / 12.92
            } else {
                ((channel + 0.055) / 1.055).powf(2.4)
            }
        });
        let long = (0.412_221_46 * r + 0.536_332_55 * g + 0.051_445_995 * b).cbrt();
        let medium = (0.211_903_5 * r + 0.680_699_5 * g + 0.107_396_96 * b).cbrt();
        let short = (0.088_302_46 * r + 0.281_718_85 * g + 0.629_978_7 * b).cbrt();
        [
            0.210_454_26 * long + 0.793_617_8 * medium - 0.004_072_047 * short,
            1.977_998_5 * long - 2.428_592_2 * medium + 0.450_593_7 * short,
            0.025_904_037 * long + 0.782_771_77 * medium - 0.808_675_77 * short,
        ]
    }

    /// The difference that one can just see is about 0.02.
    #[test]
    fn any_two_classes_of_coco_can_be_told_apart() {
        let colours: Vec<_> = (0..80).map(|class| oklab(class_colour(class))).collect();
        for (class, a) in colours.iter().enumerate() {
            for (other, b) in colours[..class].iter().enumerate() {
                let square = a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f32>();
                let least = if class - other == 1 { 0.2 } else { 0.035 };
                assert!(square.sqrt() > least, "{class} {other}: {}", square.sqrt());
            }
        }
    }
}
