//! Whose pixels are whose.

use segmenter_imaging::rle::Rle;

use crate::{
    render::{Canvas, NOTHING},
    scene::{Class, Object},
};

/// An object that was put into the scene.
pub(crate) struct Made {
    pub(crate) class: Class,
    /// The board that a note sticks on.
    pub(crate) on: Option<u16>,
    /// How many pixels it would have in a picture without end.
    pub(crate) whole: f32,
}

/// The objects of which something is seen, and how much of each. A note is compared with the whole of it, with what the
/// picture's edge cuts off; a board with what would be in the picture if nothing were before it, as close-ups show only
/// a part of one.
pub(crate) fn objects(canvas: &Canvas, made: &[Made]) -> Vec<Object> {
    let mut pixels: Vec<Vec<u32>> = vec![Vec::new(); made.len()];
    // Column after column, as run lengths are.
    for x in 0..canvas.width {
        for y in 0..canvas.height {
            let (from, to) = (y * canvas.width + x, (x * canvas.height + y) as u32);
            for owner in [canvas.notes[from], canvas.boards[from]] {
                if owner != NOTHING {
                    pixels[owner as usize].push(to);
                }
            }
        }
    }
    let objects = made.iter().zip(pixels).zip(&canvas.drawn);
    objects
        .filter(|((_, pixels), _)| !pixels.is_empty())
        .filter_map(|((made, pixels), &drawn)| {
            let drawn = drawn as f32;
            let whole = if made.class.is_board() {
                drawn
            } else {
                made.whole.max(drawn)
            };
            Some(Object {
                class: made.class,
                seen: pixels.len() as f32 / whole,
                mask: runs(&pixels, canvas)?,
            })
        })
        .collect()
}

fn runs(pixels: &[u32], canvas: &Canvas) -> Option<Rle> {
    let mut counts = Vec::new();
    let mut end = 0;
    let mut run = 0;
    for &pixel in pixels {
        if run > 0 && pixel == end {
            run += 1;
        } else {
            if run > 0 {
                counts.push(run);
            }
            counts.push(pixel - end);
            run = 1;
        }
        end = pixel + 1;
    }
    counts.push(run);
    counts.push((canvas.width * canvas.height) as u32 - end);
    Rle::from_counts(canvas.height as u32, canvas.width as u32, counts).ok()
}
