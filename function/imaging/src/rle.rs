//! Binary masks as COCO run lengths.
//!
//! The layout and the compressed form are those of `maskApi.c` in the COCO API
//! (<https://github.com/cocodataset/cocoapi>), so that masks can be handed to its tools as they are.

use std::ops::Range;

/// A binary mask as run lengths, the way COCO keeps them: column after column from the left, each from
/// the top, alternating runs of background and foreground, beginning with background (which may be 0).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rle {
    height: u32,
    width: u32,
    counts: Vec<u32>,
}

/// Why run lengths are no mask.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RleError {
    /// They cover more or fewer pixels than the picture has.
    #[error("the runs cover {found} pixels, expected {height} * {width}")]
    Coverage {
        /// Pixels that the runs cover.
        found: u64,
        /// Rows of the picture.
        height: u32,
        /// Columns of the picture.
        width: u32,
    },
    /// The picture has more pixels than run lengths can count.
    #[error("{height} * {width} pixels are more than a run length can count (4294967295)")]
    Size {
        /// Rows of the picture.
        height: u32,
        /// Columns of the picture.
        width: u32,
    },
    /// The compressed form has a character that it cannot have.
    #[error("byte {byte:#04x} at {position} is not part of compressed run lengths")]
    Character {
        /// The byte.
        byte: u8,
        /// Where it stands.
        position: usize,
    },
    /// The compressed form ends within a number, or a number is negative or too large.
    #[error("the number that ends at {position} is no run length")]
    Number {
        /// The position behind its last byte.
        position: usize,
    },
}

impl Rle {
    /// From alternating runs of background and foreground, column after column.
    pub fn from_counts(
        height: u32,
        width: u32,
        counts: impl IntoIterator<Item = u32>,
    ) -> Result<Self, RleError> {
        let pixels = pixels(height, width)?;
        let mut runs = Runs::default();
        let mut found = 0u64;
        for (index, count) in counts.into_iter().enumerate() {
            found += u64::from(count);
            if found <= u64::from(pixels) {
                runs.push(index % 2 == 1, count);
            }
        }
        if found != u64::from(pixels) {
            return Err(RleError::Coverage {
                found,
                height,
                width,
            });
        }
        Ok(runs.finish(height, width))
    }

    /// From a bitmap `[height, width]`, rows from the top; `None` unless it has exactly so many pixels.
    pub fn from_bitmap(height: u32, width: u32, bitmap: &[bool]) -> Option<Self> {
        if bitmap.len() as u64 != u64::from(pixels(height, width).ok()?) {
            return None;
        }
        let mut runs = Runs::default();
        for x in 0..width as usize {
            for row in bitmap.chunks_exact(width as usize) {
                runs.push(row[x], 1);
            }
        }
        Some(runs.finish(height, width))
    }

    /// The mask as a bitmap `[height, width]`, rows from the top.
    pub fn to_bitmap(&self) -> Vec<bool> {
        let (height, width) = (self.height as usize, self.width as usize);
        let mut bitmap = vec![false; height * width];
        for (x, rows) in self.spans() {
            for y in rows {
                bitmap[y as usize * width + x as usize] = true;
            }
        }
        bitmap
    }

    /// Rows.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Columns.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// The runs: background, foreground, background, ...
    pub fn counts(&self) -> &[u32] {
        &self.counts
    }

    /// The runs of foreground as `(start, end)` in pixels counted column after column, `end` exclusive.
    pub fn foreground(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        let mut position = 0;
        self.counts.chunks(2).filter_map(move |pair| {
            let start = position + pair[0];
            let end = start + pair.get(1).copied().unwrap_or(0);
            position = end;
            (start < end).then_some((start, end))
        })
    }

    /// The foreground column by column, as `(x, rows)`.
    pub fn spans(&self) -> impl Iterator<Item = (u32, Range<u32>)> + '_ {
        let height = self.height;
        self.foreground().flat_map(move |(start, end)| {
            let columns = start / height..=(end - 1) / height;
            columns.map(move |x| {
                let top = x * height;
                let bottom = top + height;
                (x, start.max(top) - top..end.min(bottom) - top)
            })
        })
    }

    /// Pixels in the mask.
    pub fn area(&self) -> u64 {
        self.counts
            .iter()
            .skip(1)
            .step_by(2)
            .map(|&run| u64::from(run))
            .sum()
    }

    /// The smallest box `[x0, y0, x1, y1]` around the mask in pixels, `x1` and `y1` exclusive; `None`
    /// where the mask is empty.
    pub fn bbox(&self) -> Option<[u32; 4]> {
        self.foreground()
            .map(|(start, end)| {
                let (first, last) = (start / self.height, (end - 1) / self.height);
                // A run that goes on in the next column reaches the bottom of one and the top of the next.
                let (top, bottom) = if first == last {
                    (start % self.height, (end - 1) % self.height + 1)
                } else {
                    (0, self.height)
                };
                [first, top, last + 1, bottom]
            })
            .reduce(|a, b| {
                [
                    a[0].min(b[0]),
                    a[1].min(b[1]),
                    a[2].max(b[2]),
                    a[3].max(b[3]),
                ]
            })
    }

    /// Intersection over union with another mask of the same picture, 0..=1; 0 where both are empty or
    /// the pictures differ in size.
    pub fn iou(&self, other: &Self) -> f64 {
        if (self.height, self.width) != (other.height, other.width) {
            return 0.0;
        }
        let intersection = self.intersection(other);
        let union = self.area() + other.area() - intersection;
        if union == 0 {
            0.0
        } else {
            intersection as f64 / union as f64
        }
    }

    /// Pixels in both masks.
    fn intersection(&self, other: &Self) -> u64 {
        let (mut ours, mut theirs) = (self.foreground(), other.foreground());
        let (mut a, mut b) = (ours.next(), theirs.next());
        let mut pixels = 0;
        while let (Some((a_start, a_end)), Some((b_start, b_end))) = (a, b) {
            let overlap = a_end.min(b_end).saturating_sub(a_start.max(b_start));
            pixels += u64::from(overlap);
            if a_end <= b_end {
                a = ours.next();
            } else {
                b = theirs.next();
            }
        }
        pixels
    }

    /// COCO's compressed form: each run (from the fourth on its difference to the one before the last)
    /// in groups of 5 bits, the least significant first, with a sixth bit where more follow, plus 48.
    pub fn to_coco_string(&self) -> String {
        let mut text = String::new();
        for (index, &count) in self.counts.iter().enumerate() {
            let before = if index > 2 { self.counts[index - 2] } else { 0 };
            let mut value = i64::from(count) - i64::from(before);
            loop {
                let group = (value & 0x1f) as u8;
                value >>= 5;
                // The sign is the highest bit of the last group.
                let more = value != if group & 0x10 != 0 { -1 } else { 0 };
                text.push(char::from(48 + group + if more { 0x20 } else { 0 }));
                if !more {
                    break;
                }
            }
        }
        text
    }

    /// Reads COCO's compressed form.
    pub fn from_coco_string(height: u32, width: u32, text: &str) -> Result<Self, RleError> {
        /// 7 groups hold 35 bits: every run length, with its sign.
        const MOST_GROUPS: u32 = 7;
        let mut counts: Vec<u32> = Vec::new();
        let (mut value, mut groups) = (0i64, 0);
        for (position, byte) in text.bytes().enumerate() {
            let code = byte
                .checked_sub(48)
                .filter(|code| *code < 64)
                .ok_or(RleError::Character { byte, position })?;
            let number = RleError::Number {
                position: position + 1,
            };
            if groups == MOST_GROUPS {
                return Err(number);
            }
            value |= i64::from(code & 0x1f) << (5 * groups);
            groups += 1;
            if code & 0x20 != 0 {
                continue;
            }
            if code & 0x10 != 0 {
                value |= -1 << (5 * groups);
            }
            if counts.len() > 2 {
                value += i64::from(counts[counts.len() - 2]);
            }
            counts.push(u32::try_from(value).map_err(|_| number)?);
            (value, groups) = (0, 0);
        }
        if groups > 0 {
            return Err(RleError::Number {
                position: text.len(),
            });
        }
        Self::from_counts(height, width, counts)
    }
}

fn pixels(height: u32, width: u32) -> Result<u32, RleError> {
    height
        .checked_mul(width)
        .ok_or(RleError::Size { height, width })
}

/// Runs that are being collected, pixel after pixel down the columns.
#[derive(Debug, Default)]
pub struct Runs {
    counts: Vec<u32>,
}

impl Runs {
    /// Adds `length` pixels of one kind. The caller keeps the sum within `u32`.
    pub fn push(&mut self, foreground: bool, length: u32) {
        if length == 0 {
            return;
        }
        if self.counts.is_empty() {
            self.counts.push(0);
        }
        let last_is_foreground = self.counts.len().is_multiple_of(2);
        if foreground == last_is_foreground {
            if let Some(last) = self.counts.last_mut() {
                *last += length;
            }
        } else {
            self.counts.push(length);
        }
    }

    /// The mask. The caller has pushed exactly `height * width` pixels.
    pub fn finish(mut self, height: u32, width: u32) -> Rle {
        debug_assert_eq!(
            self.counts.iter().map(|&run| u64::from(run)).sum::<u64>(),
            u64::from(height) * u64::from(width)
        );
        // A hundred masks wait together for their reply.
        self.counts.shrink_to_fit();
        Rle {
            height,
            width,
            counts: self.counts,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Rle, RleError};

    fn bitmap() -> impl Strategy<Value = (u32, u32, Vec<bool>)> {
        (1..12u32, 1..12u32).prop_flat_map(|(height, width)| {
            let pixels = proptest::collection::vec(any::<bool>(), (height * width) as usize);
            (Just(height), Just(width), pixels)
        })
    }

    proptest! {
        #[test]
        fn a_bitmap_survives_runs_and_text((height, width, bitmap) in bitmap()) {
            let rle = Rle::from_bitmap(height, width, &bitmap).unwrap();
            prop_assert_eq!(&rle.to_bitmap(), &bitmap);
            prop_assert_eq!(rle.area(), bitmap.iter().filter(|&&inside| inside).count() as u64);
            let text = rle.to_coco_string();
            prop_assert_eq!(Rle::from_coco_string(height, width, &text).unwrap(), rle);
        }

        #[test]
        fn iou_and_box_are_those_of_the_bitmaps(
            (height, width, a) in bitmap(),
            seed in any::<u64>(),
        ) {
            let b: Vec<bool> = (0..a.len()).map(|i| seed.rotate_left(i as u32 * 7) & 1 == 1).collect();
            let both = a.iter().zip(&b).filter(|(a, b)| **a && **b).count() as f64;
            let either = a.iter().zip(&b).filter(|(a, b)| **a || **b).count() as f64;
            let expected = if either == 0.0 { 0.0 } else { both / either };
            let a_rle = Rle::from_bitmap(height, width, &a).unwrap();
            prop_assert_eq!(a_rle.iou(&Rle::from_bitmap(height, width, &b).unwrap()), expected);

            let inside = |axis: fn(u32, u32) -> u32| {
                (0..height * width).filter(|i| a[*i as usize]).map(move |i| axis(i, width))
            };
            let (x, y) = (|i, width| i % width, |i, width| i / width);
            let expected = inside(x).min().map(|x0| {
                [x0, inside(y).min().unwrap(), inside(x).max().unwrap() + 1, inside(y).max().unwrap() + 1]
            });
            prop_assert_eq!(a_rle.bbox(), expected);
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,40}", height in any::<u32>(), width in any::<u32>()) {
            let _ = Rle::from_coco_string(height, width, &text);
        }
    }

    /// `pycocotools.mask.encode` of the same masks.
    #[test]
    fn the_compressed_form_is_cocos() {
        let square = Rle::from_counts(5, 5, [6, 3, 2, 3, 2, 3, 6]).unwrap();
        assert_eq!(square.to_coco_string(), "6320004");
        let all = Rle::from_counts(100, 100, [0, 10_000]).unwrap();
        assert_eq!(all.to_coco_string(), "0`h9");
        let none = Rle::from_counts(100, 100, [10_000]).unwrap();
        assert_eq!(none.to_coco_string(), "`h9");
    }

    #[test]
    fn what_is_no_mask_is_refused() {
        assert_eq!(
            Rle::from_counts(2, 2, [1, 2]),
            Err(RleError::Coverage {
                found: 3,
                height: 2,
                width: 2
            })
        );
        assert_eq!(
            Rle::from_counts(1 << 16, 1 << 16, []),
            Err(RleError::Size {
                height: 1 << 16,
                width: 1 << 16
            })
        );
        assert_eq!(
            Rle::from_coco_string(2, 2, "1 2"),
            Err(RleError::Character {
                byte: b' ',
                position: 1
            })
        );
        assert_eq!(
            Rle::from_coco_string(2, 2, "P"),
            Err(RleError::Number { position: 1 })
        );
    }
}
