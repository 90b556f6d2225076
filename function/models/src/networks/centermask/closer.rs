//! A closer look at what is small.
//!
//! A note of 3 % of a picture's height has ten pixels in the network's input. Where something so small is found, the
//! network looks at that part of the picture once more, larger, and what it finds small is taken from there. A picture
//! of large things costs hardly more, one of a wall full of notes five times as much.

use segmenter_imaging::Image;

use crate::detection::{Found, clip};

/// Objects whose longer side has fewer pixels of the input are looked at closer.
const SMALL: f32 = 24.0;

/// If they are found with this score at least, whatever a caller wants to see.
pub(super) const LIKELY: f32 = 0.3;

/// Objects whose longer side has fewer pixels of the input are taken from the closer look, where there is one.
const TAKEN: f32 = 48.0;

/// Pixels of the input around small objects that are looked at, too: there may be others, and a network sees what an
/// object is by what is around it.
const MARGIN: f32 = 32.0;

/// Pixels of the closer look to one of the input at most, along both axes.
const RATIO: u32 = 2;

/// A picture that has not this much more, in hundredths, is not worth it.
const WORTH: u32 = 125;

/// `[width, height]` of the picture for closer looks, of one of `[width, height]` whose input is as large as this; `None`
/// where it has hardly more pixels.
pub(super) fn size(picture: [u32; 2], input: [u32; 2]) -> Option<[u32; 2]> {
    let worth = |axis: usize| picture[axis] >= input[axis] * WORTH / 100;
    let side = |axis: usize| picture[axis].min(RATIO * input[axis]);
    (worth(0) && worth(1)).then(|| [side(0), side(1)])
}

/// The part of a picture that is looked at closer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Window {
    /// `[x0, y0, x1, y1]`, in pixels of the picture for closer looks.
    place: [u32; 4],
    /// Of that picture, `[width, height]`.
    picture: [u32; 2],
    /// Its pixels to one of the input, along both axes.
    ratio: [f32; 2],
}

impl Window {
    /// Around what is small among these findings on an input of `[width, height]`, if anything is.
    pub(super) fn around(found: &[Found], input: [f32; 2], closer: &Image) -> Option<Self> {
        let small = found
            .iter()
            .filter(|found| found.score >= LIKELY && longer_side(found.bbox) < SMALL)
            .map(|found| found.bbox);
        let [x0, y0, x1, y1] = small.reduce(|a, b| {
            [
                a[0].min(b[0]),
                a[1].min(b[1]),
                a[2].max(b[2]),
                a[3].max(b[3]),
            ]
        })?;
        let around = [x0 - MARGIN, y0 - MARGIN, x1 + MARGIN, y1 + MARGIN];
        let [x0, y0, x1, y1] = clip(around, input);
        let picture = [closer.width(), closer.height()];
        let ratio = [0, 1].map(|axis| picture[axis] as f32 / input[axis]);
        let before = |at: f32, axis: usize| (at * ratio[axis]).floor() as u32;
        let behind = |at: f32, axis: usize| ((at * ratio[axis]).ceil() as u32).min(picture[axis]);
        Some(Self {
            place: [before(x0, 0), before(y0, 1), behind(x1, 0), behind(y1, 1)],
            picture,
            ratio,
        })
    }

    /// What there is in it of the picture for closer looks.
    pub(super) fn of(&self, closer: &Image) -> Option<Image> {
        let [x0, y0, x1, y1] = self.place;
        closer.crop(x0..x1, y0..y1)
    }

    /// `[width, height]`.
    pub(super) fn size(&self) -> [f32; 2] {
        let [x0, y0, x1, y1] = self.place;
        [(x1 - x0) as f32, (y1 - y0) as f32]
    }

    /// Whether an object with this box on the input is taken from here.
    pub(super) fn takes(&self, bbox: [f32; 4]) -> bool {
        let [left, top, right, bottom] = self.place.map(|at| at as f32);
        let [x, y] = [0, 1].map(|axis| (bbox[axis] + bbox[axis + 2]) / 2.0 * self.ratio[axis]);
        longer_side(bbox) < TAKEN && (left..right).contains(&x) && (top..bottom).contains(&y)
    }

    /// A box on the input as it is in the window.
    pub(super) fn to_window(self, bbox: [f32; 4]) -> [f32; 4] {
        std::array::from_fn(|i| bbox[i] * self.ratio[i % 2] - self.place[i % 2] as f32)
    }

    /// A box in the window as it is on the input.
    fn to_input(self, bbox: [f32; 4]) -> [f32; 4] {
        std::array::from_fn(|i| (bbox[i] + self.place[i % 2] as f32) / self.ratio[i % 2])
    }

    /// Whether a box in the window ends at its edge, and what is in it may go on.
    fn cuts(&self, bbox: [f32; 4]) -> bool {
        const NEAR: f32 = 2.0;
        let size = self.size();
        (0..2).any(|axis| {
            (bbox[axis] < NEAR && self.place[axis] > 0)
                || (bbox[axis + 2] > size[axis] - NEAR && self.place[axis + 2] < self.picture[axis])
        })
    }

    /// What is taken of findings in the window, with their boxes on the input, and of those on the input.
    pub(super) fn merged(&self, first: &[Found], closer: &[Found]) -> Vec<Found> {
        let kept = first.iter().filter(|found| !self.takes(found.bbox));
        let closer = closer.iter().filter(|found| !self.cuts(found.bbox));
        let taken = closer
            .map(|found| Found {
                bbox: self.to_input(found.bbox),
                ..*found
            })
            .filter(|found| self.takes(found.bbox));
        kept.copied().chain(taken).collect()
    }
}

fn longer_side([x0, y0, x1, y1]: [f32; 4]) -> f32 {
    (x1 - x0).max(y1 - y0)
}

#[cfg(test)]
mod tests {
    use segmenter_imaging::Image;

    use super::{Window, size};
    use crate::detection::Found;

    fn found(score: f32, bbox: [f32; 4]) -> Found {
        Found {
            class: 0,
            score,
            bbox,
        }
    }

    #[test]
    fn only_a_picture_with_more_pixels_is_looked_at_closer() {
        assert_eq!(size([4032, 3024], [512, 384]), Some([1024, 768]));
        assert_eq!(size([960, 720], [512, 384]), Some([960, 720]));
        assert_eq!(size([639, 479], [512, 384]), None);
        assert_eq!(size([10_000, 1], [1536, 32]), None);
    }

    #[test]
    fn a_window_is_around_what_is_small_and_likely() {
        let closer = Image::new(800, 600, vec![0; 800 * 600 * 3]).unwrap();
        let around = |found: &[Found]| Window::around(found, [400.0, 300.0], &closer);
        let large = found(0.9, [0.0, 0.0, 30.0, 10.0]);
        let unlikely = found(0.1, [5.0, 5.0, 10.0, 10.0]);
        assert_eq!(around(&[large, unlikely]), None);

        let small = [
            found(0.4, [100.0, 100.0, 110.0, 120.0]),
            found(0.9, [90.0, 280.0, 100.0, 290.0]),
        ];
        let window = around(&[small[0], large, small[1]]).unwrap();
        assert_eq!(window.place, [116, 136, 284, 600]);
        assert_eq!(window.size(), [168.0, 464.0]);
        let part = window.of(&closer).unwrap();
        assert_eq!([part.width(), part.height()], [168, 464]);
        let bbox = window.to_window(small[0].bbox);
        assert_eq!(bbox, [84.0, 64.0, 104.0, 104.0]);
        assert_eq!(window.to_input(bbox), small[0].bbox);
    }

    #[test]
    fn what_is_small_is_taken_from_the_closer_look_and_nothing_else() {
        let closer = Image::new(800, 600, vec![0; 800 * 600 * 3]).unwrap();
        let small = found(0.4, [100.0, 100.0, 110.0, 120.0]);
        let window = Window::around(&[small], [400.0, 300.0], &closer).unwrap();
        let [large, elsewhere] = [
            found(0.8, [80.0, 80.0, 130.0, 130.0]),
            found(0.8, [300.0, 100.0, 310.0, 110.0]),
        ];
        // In the window: the small one, better; a large one; and one that goes on outside.
        let closer = vec![
            found(0.7, window.to_window([101.0, 101.0, 109.0, 119.0])),
            found(0.9, window.to_window([80.0, 80.0, 135.0, 130.0])),
            found(0.9, window.to_window([68.0, 100.0, 80.0, 110.0])),
        ];
        let merged = window.merged(&[small, large, elsewhere], &closer);
        let expected = [large, elsewhere, found(0.7, [101.0, 101.0, 109.0, 119.0])];
        assert_eq!(merged, expected);
    }
}
