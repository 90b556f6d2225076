//! Labels: text on a plate of the object's colour.

use noto_sans_mono_bitmap::{FontWeight, RasterHeight, get_raster, get_raster_width};

use super::{Annotation, Canvas};

const WEIGHT: FontWeight = FontWeight::Bold;

/// Letters for pictures of a line's width: `(height, times enlarged)`.
fn letters(line: u32) -> (RasterHeight, usize) {
    match line {
        0..=2 => (RasterHeight::Size16, 1),
        3..=4 => (RasterHeight::Size24, 1),
        line => (RasterHeight::Size32, line as usize / 6 + 1),
    }
}

/// Writes the label above the box, or within it where there is no room above.
pub(super) fn write(canvas: &mut Canvas<'_>, annotation: &Annotation<'_>) {
    if annotation.label.is_empty() {
        return;
    }
    let (size, enlarged) = letters(canvas.line);
    let margin = i64::from(canvas.line) + 1;
    let advance = get_raster_width(WEIGHT, size) * enlarged;
    let letters = annotation.label.chars().count();
    let width = i64::try_from(advance * letters).unwrap_or(i64::MAX / 2) + 2 * margin;
    let height = (size.val() * enlarged) as i64;

    let [x0, y0, ..] = annotation.bbox.map(|side| side.round() as i64);
    let (right, bottom) = (
        i64::from(canvas.image.width()),
        i64::from(canvas.image.height()),
    );
    let x = x0.min(right.saturating_sub(width)).max(0);
    let above = y0.saturating_sub(height);
    let y = if above >= 0 { above } else { y0 };
    let y = y.min(bottom - height).max(0);
    canvas.fill_rectangle(x..x + width, y..y + height, annotation.colour);

    let ink = ink_on(annotation.colour);
    for (index, letter) in annotation.label.chars().enumerate() {
        let Some(raster) =
            get_raster(letter, WEIGHT, size).or_else(|| get_raster('?', WEIGHT, size))
        else {
            continue;
        };
        let left = x + margin + (index * advance) as i64;
        for row in 0..raster.height() * enlarged {
            for column in 0..raster.width() * enlarged {
                let coverage = raster.pixel(column / enlarged, row / enlarged).unwrap_or(0);
                let opacity = f32::from(coverage) / 255.0;
                canvas.blend(left + column as i64, y + row as i64, ink, opacity);
            }
        }
    }
}

/// Black or white, whichever reads better (the relative luminance of sRGB, without its gamma).
fn ink_on([red, green, blue]: [u8; 3]) -> [u8; 3] {
    let luminance = 0.2126 * f32::from(red) + 0.7152 * f32::from(green) + 0.0722 * f32::from(blue);
    if luminance > 110.0 { [0; 3] } else { [255; 3] }
}
