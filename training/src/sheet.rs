//! Pictures side by side, with what was found in them.

use segmenter_imaging::{
    Image,
    draw::{Annotation, class_colour, draw},
};
use segmenter_models::Detection;

use crate::{evaluate::Judged, example::Example};

/// Columns of a sheet.
const COLUMNS: usize = 4;

/// Detections with a lower score are left out.
const THRESHOLD: f32 = 0.5;

/// The pictures of one size, in rows; `None` where there are none.
pub fn sheet(judged: &[Judged], classes: &[String]) -> Option<Image> {
    let (first, _) = judged.first()?;
    let [width, height] = [first.image.width(), first.image.height()].map(|side| side as usize);
    let rows = judged.len().div_ceil(COLUMNS);
    let mut samples = vec![0; COLUMNS * width * rows * height * 3];
    for (index, (example, found)) in judged.iter().enumerate() {
        let drawn = annotated(example, found, classes);
        let (column, row) = (index % COLUMNS, index / COLUMNS);
        for (y, line) in drawn.pixels().chunks_exact(width * 3).enumerate() {
            let at = ((row * height + y) * COLUMNS + column) * width * 3;
            samples[at..][..line.len()].copy_from_slice(line);
        }
    }
    let sides = [COLUMNS * width, rows * height].map(|side| u32::try_from(side).ok());
    Image::new(sides[0]?, sides[1]?, samples)
}

fn annotated(example: &Example, found: &[Detection], classes: &[String]) -> Image {
    let mut image = example.image.clone();
    let found: Vec<_> = found.iter().filter(|one| one.score >= THRESHOLD).collect();
    let annotations: Vec<_> = found
        .iter()
        .map(|one| {
            let name = classes.get(one.class as usize).map_or("", String::as_str);
            Annotation {
                label: format!("{name} {:.2}", one.score),
                bbox: one.bbox,
                mask: one.mask.as_ref(),
                colour: class_colour(one.class),
            }
        })
        .collect();
    draw(&mut image, &annotations);
    image
}
