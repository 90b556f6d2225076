//! Resizing as torch does it.

use std::array;

use crate::{
    Picture,
    decode::DecodeError,
    normalise::{Normalisation, Pixel},
};

/// Which points of input and output lie on each other (torch's `align_corners`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Corners {
    /// The centres of the corner pixels: `align_corners=True`.
    Aligned,
    /// The corners of the corner pixels: `align_corners=False`.
    Free,
}

/// Resizes the picture bilinearly without antialiasing, normalises it, and writes its pixels, `[height, width]`.
///
/// Before they are normalised, samples are those of `torch.nn.functional.interpolate(mode="bilinear")` on the float
/// picture, up to rounding: within 1e-4, and on pictures up to 700 pixels a side with free corners, where torch may
/// round a coordinate otherwise, within 2e-3. Scales are taken from the sizes, as there with
/// `recompute_scale_factor=True`.
///
/// Only the pixels that values are made of are kept, at most `2 * width * 2 * height`. An error is one of the
/// picture's pixels.
///
/// # Panics
/// If `pixels` are not as many.
pub fn bilinear<'a>(
    picture: impl Into<Picture<'a>>,
    width: u32,
    height: u32,
    corners: Corners,
    normalisation: &Normalisation,
    pixels: &mut [Pixel],
) -> Result<(), DecodeError> {
    assert_eq!(pixels.len(), width as usize * height as usize);
    let picture = picture.into();
    let mut columns = taps(picture.width(), width, corners);
    let mut rows = taps(picture.height(), height, corners);
    let (kept_columns, kept_rows) = (renumber(&mut columns), renumber(&mut rows));
    let stride = kept_columns.len() * 3;

    let mut pixels = pixels.chunks_exact_mut(columns.len().max(1));
    // One more, for the last pixel is read with a fourth sample, too.
    let mut blended = vec![0.0; stride + 1];
    // Both inputs of an output row come one behind the other, or are one.
    let (mut outputs, mut input) = (rows.iter().peekable(), 0);
    let mut before = vec![0; stride];
    picture.for_each_row_at(kept_columns, kept_rows, |samples| {
        while let Some(row) = outputs.next_if(|row| row.high == input) {
            let low = if row.low == input { samples } else { &before };
            for ((blended, &low), &high) in blended.iter_mut().zip(low).zip(samples) {
                *blended = row.blend(f32::from(low), f32::from(high));
            }
            let resized = columns.iter().map(|column| {
                let [low, high] =
                    [column.low, column.high].map(|column| four(&blended, column * 3));
                array::from_fn(|i| column.blend(low[i], high[i]))
            });
            if let Some(pixels) = pixels.next() {
                normalisation.write(pixels, resized);
            }
        }
        before.copy_from_slice(samples);
        input += 1;
    })
}

/// Four values from `start` on.
#[inline]
fn four(values: &[f32], start: usize) -> [f32; 4] {
    let mut four = [0.0; 4];
    four.copy_from_slice(&values[start..start + 4]);
    four
}

/// Makes the inputs of the taps, which rise, places in a list of those that there are; answers that list.
fn renumber(taps: &mut [Tap]) -> Vec<usize> {
    let mut inputs: Vec<usize> = Vec::with_capacity(taps.len() * 2);
    for tap in taps {
        for input in [&mut tap.low, &mut tap.high] {
            // A first input may be the one before the last, where the tap before has both.
            let known = inputs.iter().rev().take(2).position(|known| known == input);
            *input = match known {
                Some(back) => inputs.len() - 1 - back,
                None => {
                    inputs.push(*input);
                    inputs.len() - 1
                }
            };
        }
    }
    inputs
}

/// The two inputs that make one output.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tap {
    /// The first input.
    pub low: usize,
    /// The second, which is the first again at the end.
    pub high: usize,
    /// The weight of the second, 0..=1; the first has the rest.
    pub weight: f32,
}

impl Tap {
    /// Both by their weights.
    pub fn blend(&self, low: f32, high: f32) -> f32 {
        (1.0 - self.weight) * low + self.weight * high
    }
}

/// `area_pixel_compute_source_index` of ATen's `UpSample.h`, for every output along an axis of `inputs`,
/// at least 1.
pub fn taps(inputs: u32, outputs: u32, corners: Corners) -> Vec<Tap> {
    let last = inputs as usize - 1;
    (0..outputs)
        .map(|output| {
            let source = match corners {
                Corners::Aligned if outputs > 1 => {
                    output as f32 * ((inputs - 1) as f32 / (outputs - 1) as f32)
                }
                Corners::Aligned => 0.0,
                Corners::Free => {
                    ((output as f32 + 0.5) * (inputs as f32 / outputs as f32) - 0.5).max(0.0)
                }
            };
            let low = (source as usize).min(last);
            Tap {
                low,
                high: (low + 1).min(last),
                weight: (source - low as f32).clamp(0.0, 1.0),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Corners, bilinear};
    use crate::{
        Image,
        normalise::{Normalisation, Order},
    };

    /// A picture that both sides make by the same formula.
    fn picture(width: u32, height: u32) -> Image {
        let sample = |i: u32| (i.wrapping_mul(2_654_435_761) >> 24) as u8;
        Image::new(width, height, (0..width * height * 3).map(sample).collect()).unwrap()
    }

    /// ```python
    /// i = numpy.arange(7 * 5 * 3, dtype=numpy.uint32) * numpy.uint32(2654435761) >> 24
    /// x = torch.tensor(i.astype(numpy.float32)).view(1, 5, 7, 3).permute(0, 3, 1, 2)
    /// F.interpolate(x, size=(4, 3), mode="bilinear", align_corners=...).flatten().tolist()
    /// ```
    #[test]
    fn values_are_torchs() {
        let image = picture(7, 5);
        for (corners, expected) in [(Corners::Aligned, ALIGNED), (Corners::Free, FREE)] {
            let mut pixels = [[0.0; 4]; 12];
            bilinear(&image, 3, 4, corners, &Normalisation::NONE, &mut pixels).unwrap();
            for (index, expected) in expected.into_iter().enumerate() {
                let value = pixels[index % 12][index / 12];
                assert!(
                    (value - expected).abs() <= 1e-4,
                    "{corners:?} {index}: {value} {expected}"
                );
            }
        }
    }

    #[test]
    fn the_same_size_is_the_same_picture() {
        let image = picture(6, 4);
        for corners in [Corners::Aligned, Corners::Free] {
            let [mut pixels, mut same] = [[[0.0; 4]; 24]; 2];
            bilinear(&image, 6, 4, corners, &Normalisation::NONE, &mut pixels).unwrap();
            Normalisation::NONE.normalise(&image, &mut same);
            assert_eq!(pixels, same);
        }
    }

    #[test]
    fn what_is_resized_is_normalised() {
        let image = picture(7, 5);
        let normalisation = Normalisation {
            order: Order::Bgr,
            mean: [100.0, 110.0, 120.0],
            deviation: [50.0, 60.0, 70.0],
        };
        let resize = |normalisation| {
            let mut pixels = [[0.0; 4]; 27];
            bilinear(&image, 9, 3, Corners::Free, normalisation, &mut pixels).unwrap();
            pixels
        };
        let pixels = resize(&Normalisation::NONE)
            .into_iter()
            .zip(resize(&normalisation));
        for ([red, green, blue, _], [a, b, c, fourth]) in pixels {
            assert!((a - (blue - 100.0) / 50.0).abs() < 1e-6);
            assert!((b - (green - 110.0) / 60.0).abs() < 1e-6);
            assert!((c - (red - 120.0) / 70.0).abs() < 1e-6);
            assert_eq!(fourth, 0.0);
        }
    }

    const ALIGNED: [f32; 36] = [
        0.0, 143.0, 31.0, 248.3333, 136.3333, 24.3333, 241.0, 129.0, 17.0, 234.0, 122.0, 10.0,
        158.0, 46.0, 190.0, 150.3333, 38.3333, 182.3333, 143.0, 31.0, 175.0, 136.0, 24.0, 168.0,
        60.0, 204.0, 92.0, 52.3333, 196.3333, 84.3333, 45.6667, 189.6667, 77.0, 38.0, 182.0, 70.0,
    ];

    const FREE: [f32; 36] = [
        155.3333, 142.375, 55.625, 223.2083, 136.125, 48.7917, 216.3333, 129.25, 41.9167, 209.375,
        122.625, 35.2917, 132.0, 45.25, 214.0, 125.2083, 38.125, 207.2084, 118.3333, 31.25,
        200.3333, 111.9583, 24.625, 193.375, 34.5833, 203.25, 116.0, 27.4583, 196.125, 109.2084,
        20.7917, 189.875, 102.3333, 14.0, 182.75, 95.375,
    ];
}
