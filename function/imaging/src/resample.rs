//! Resizing as Pillow does it.

use std::{borrow::Cow, f64::consts::PI};

use rayon::prelude::*;

use crate::{Image, Picture, decode::DecodeError, picture::oriented};

/// Pillow's antialiasing filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// `Image.BILINEAR`: a triangle.
    Bilinear,
    /// `Image.BICUBIC`: Keys' cubic with a = -0.5.
    Bicubic,
    /// `Image.LANCZOS`: three lobes.
    Lanczos,
}

impl Filter {
    /// How far it reaches, in input pixels at scale 1.
    fn support(self) -> f64 {
        match self {
            Self::Bilinear => 1.0,
            Self::Bicubic => 2.0,
            Self::Lanczos => 3.0,
        }
    }

    fn at(self, x: f64) -> f64 {
        match self {
            Self::Bilinear => (1.0 - x.abs()).max(0.0),
            Self::Bicubic => {
                const A: f64 = -0.5;
                let x = x.abs();
                if x < 1.0 {
                    ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
                } else if x < 2.0 {
                    (((x - 5.0) * x + 8.0) * x - 4.0) * A
                } else {
                    0.0
                }
            }
            Self::Lanczos if (-3.0..3.0).contains(&x) => sinc(x) * sinc(x / 3.0),
            Self::Lanczos => 0.0,
        }
    }
}

fn sinc(x: f64) -> f64 {
    if x == 0.0 {
        1.0
    } else {
        (x * PI).sin() / (x * PI)
    }
}

/// The picture at `[width, height]` (each at least 1), equal to Pillow's `Image.resize` to the last bit.
///
/// That takes its arithmetic (`src/libImaging/Resample.c`): weights in double precision, rounded to 22
/// binary places; sums in integers; first along the rows, then along the columns, with samples of 8 bits
/// between the two; and no pass along an axis that keeps its length.
///
/// Rows first is the order of Pillow up to 11. Pillow 13 takes the columns first wherever the height
/// shrinks and the width grows, and for some shapes where both shrink; Pillow 12 for very few. As samples
/// are rounded and cut to 0..=255 between the passes, its results then differ: on photographs by 1 with
/// the bilinear filter, at hard edges by up to 19 with the others.
///
/// The picture is read from the top down, and of its pixels only those are kept that the next rows are made of:
/// of one that is stored as it is seen, rows that have been resized already; of one that is stored on its side,
/// where its columns come first, stored ones, some hundredths of the picture. An error is one of its pixels.
///
/// # Panics
/// Where `width` or `height` is 0.
pub fn resize<'a>(
    picture: impl Into<Picture<'a>>,
    width: u32,
    height: u32,
    filter: Filter,
) -> Result<Image, DecodeError> {
    assert!(width > 0 && height > 0, "a picture has at least one pixel");
    let picture = picture.into();
    let (layout, orientation) = (picture.layout(), picture.orientation());
    let inputs = layout.as_stored([picture.width(), picture.height()]);
    let outputs = layout.as_stored([width, height]);
    let [across, down] = [0, 1].map(|axis| {
        let (inputs, outputs) = (inputs[axis], outputs[axis]);
        let windows = (inputs != outputs).then(|| windows(inputs, outputs, filter));
        if layout.is_mirrored[axis] {
            windows.map(|windows| mirrored(windows, inputs as usize))
        } else {
            windows
        }
    });
    // Only the rows that the pass along the columns looks at are worth reading.
    let wanted = down.as_ref().map_or(0..inputs[1] as usize, |down| {
        down.first().map_or(0, |window| window.start)..down.last().map_or(0, Window::end)
    });
    let kept_width = if layout.is_transposed {
        inputs[0]
    } else {
        outputs[0]
    };
    let mut resizer = Resizer {
        stride: kept_width as usize * 3,
        columns_first: layout.is_transposed,
        across,
        down,
        kept: Vec::new(),
        first: wanted.start,
        made: 0,
        pixels: Vec::with_capacity(width as usize * height as usize * 3),
    };
    let wanted: Vec<usize> = wanted.collect();
    let stride = inputs[0] as usize * 3;
    picture.for_each_band(&wanted, |band| resizer.add(band, stride))?;
    Ok(Image::from_rgb(oriented(
        resizer.pixels,
        outputs,
        orientation,
    )))
}

/// Both passes over a picture as it is stored, as its rows come.
struct Resizer {
    /// Of the pass along the stored rows, if there is one.
    across: Option<Vec<Window>>,
    /// Of the pass along the stored columns, if there is one.
    down: Option<Vec<Window>>,
    /// Whether that one is the first: what is stored as a column is seen as a row.
    columns_first: bool,
    /// Rows as the pass along the columns takes them.
    kept: Vec<u8>,
    /// Samples of such a row.
    stride: usize,
    /// Which row the kept ones begin with.
    first: usize,
    /// Rows that the pass along the columns has made.
    made: usize,
    /// What is made, as it is stored.
    pixels: Vec<u8>,
}

impl Resizer {
    /// Takes the next rows of so many samples.
    fn add(&mut self, rows: &[u8], stride: usize) {
        let narrowed = |rows| match &self.across {
            Some(columns) => Cow::Owned(along_rows(rows, stride, columns)),
            None => Cow::Borrowed(rows),
        };
        let Some(down) = &self.down else {
            self.pixels.extend_from_slice(&narrowed(rows));
            return;
        };
        if self.columns_first {
            self.kept.extend_from_slice(rows);
        } else {
            self.kept.extend_from_slice(&narrowed(rows));
        }
        let end = self.first + self.kept.len() / self.stride;
        let rest = &down[self.made..];
        let (ready, rest) = rest.split_at(rest.partition_point(|window| window.end() <= end));
        let made = along_columns(&self.kept, self.first, self.stride, ready);
        if self.columns_first {
            self.pixels.extend_from_slice(&narrowed(&made));
        } else {
            self.pixels.extend_from_slice(&made);
        }
        self.made += ready.len();
        let needed = rest.first().map_or(end, |window| window.start.min(end));
        self.kept.drain(..(needed - self.first) * self.stride);
        self.first = needed;
    }
}

/// The inputs that make one output, and their weights.
struct Window {
    start: usize,
    weights: Vec<i32>,
}

impl Window {
    fn end(&self) -> usize {
        self.start + self.weights.len()
    }
}

/// The windows on an axis of so many inputs that is stored the other way round than it is seen.
fn mirrored(mut windows: Vec<Window>, inputs: usize) -> Vec<Window> {
    windows.reverse();
    for window in &mut windows {
        window.start = inputs - window.end();
        window.weights.reverse();
    }
    windows
}

/// Binary places of a weight: 8 bits of sample and two of overshoot fill up 32.
const PRECISION: u32 = 32 - 8 - 2;

fn windows(inputs: u32, outputs: u32, filter: Filter) -> Vec<Window> {
    let scale = f64::from(inputs) / f64::from(outputs);
    let filter_scale = scale.max(1.0);
    let support = filter.support() * filter_scale;
    let inverse = 1.0 / filter_scale;
    (0..outputs)
        .map(|output| {
            let centre = (f64::from(output) + 0.5) * scale;
            // Truncating casts, as Pillow's; a negative start saturates to 0 as it is cut there.
            let start = (centre - support + 0.5) as usize;
            let end = ((centre + support + 0.5) as usize).min(inputs as usize);
            let weights: Vec<f64> = (start..end)
                .map(|input| filter.at((input as f64 - centre + 0.5) * inverse))
                .collect();
            let sum: f64 = weights.iter().sum();
            let fixed = |weight: &f64| {
                let weight = if sum == 0.0 { *weight } else { weight / sum };
                let scaled = weight * f64::from(1 << PRECISION);
                (scaled + if weight < 0.0 { -0.5 } else { 0.5 }) as i32
            };
            Window {
                start,
                weights: weights.iter().map(fixed).collect(),
            }
        })
        .collect()
}

/// Before the sum: what rounds it to the nearest.
const HALF: i32 = 1 << (PRECISION - 1);

fn sample(sum: i32) -> u8 {
    (sum >> PRECISION).clamp(0, 255) as u8
}

fn along_rows(pixels: &[u8], stride: usize, columns: &[Window]) -> Vec<u8> {
    let width = columns.len() * 3;
    let mut output = vec![0; pixels.len() / stride * width];
    output
        .par_chunks_mut(width)
        .zip(pixels.par_chunks(stride))
        .for_each(|(output, input)| {
            let (input, _) = input.as_chunks::<3>();
            for (pixel, window) in output.as_chunks_mut::<3>().0.iter_mut().zip(columns) {
                let mut sums = [HALF; 3];
                let inputs = &input[window.start..][..window.weights.len()];
                for (input, weight) in inputs.iter().zip(&window.weights) {
                    for (sum, sample) in sums.iter_mut().zip(input) {
                        *sum += i32::from(*sample) * weight;
                    }
                }
                *pixel = sums.map(sample);
            }
        });
    output
}

/// Of rows from the one with the number `first` on.
fn along_columns(pixels: &[u8], first: usize, stride: usize, rows: &[Window]) -> Vec<u8> {
    let mut output = vec![0; rows.len() * stride];
    output.par_chunks_mut(stride).zip(rows).for_each_init(
        || vec![0i32; stride],
        |sums, (output, window)| {
            sums.fill(HALF);
            for (row, weight) in window.weights.iter().enumerate() {
                let input = &pixels[(window.start - first + row) * stride..][..stride];
                for (sum, sample) in sums.iter_mut().zip(input) {
                    *sum += i32::from(*sample) * weight;
                }
            }
            for (output, sum) in output.iter_mut().zip(sums.iter()) {
                *output = sample(*sum);
            }
        },
    );
    output
}

#[cfg(test)]
mod tests {
    use super::{Filter, resize};
    use crate::Image;

    /// A picture that the script, too, makes by this formula.
    fn picture(width: u32, height: u32) -> Image {
        let sample = |i: u32| (i.wrapping_mul(2_654_435_761) >> 24) as u8;
        Image::new(width, height, (0..width * height * 3).map(sample).collect()).unwrap()
    }

    /// FNV-1a, 64 bits.
    fn hash(bytes: &[u8]) -> u64 {
        bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
        })
    }

    /// Sizes in, sizes out, and the hash of what Pillow makes of it with each filter; printed by
    /// `scripts/pillow_resize.py`.
    const EXPECTED: &[([u32; 2], [u32; 2], [u64; 3])] = &[
        (
            [7, 5],
            [3, 4],
            [0x7d524390e1b1158c, 0x2368b87a80acd4fe, 0x730b28091a6d2e25],
        ),
        (
            [7, 5],
            [20, 13],
            [0x81fd1703e5176e39, 0x4df5f1439561faf5, 0x9cb93eb9c7013d],
        ),
        (
            [640, 427],
            [320, 213],
            [0x30ee453414ea31a, 0x66180e1a6302ecd7, 0xb21cd2f90128f69a],
        ),
        (
            [640, 427],
            [513, 342],
            [0xe47b8b5deea9b349, 0x1302ea37de36bb88, 0xbec27eabbcc9d3e6],
        ),
        (
            [100, 3],
            [1, 1],
            [0x2d34f81adf5977a0, 0x2d34f81adf5977a0, 0x2d34f81adf5977a0],
        ),
        (
            [1, 1],
            [9, 6],
            [0x3f928f65536841c5, 0x3f928f65536841c5, 0x3f928f65536841c5],
        ),
        (
            [33, 47],
            [33, 20],
            [0xa88fb4a5928db626, 0xc7baee818235e35a, 0xd74a69dc8180d048],
        ),
        (
            [33, 47],
            [80, 47],
            [0xe24705a6da87817, 0x9cd4222b0bc51d72, 0xcb62dbcb0fe5d82a],
        ),
        (
            [1200, 600],
            [513, 256],
            [0x4770e1b7bb4abe6, 0xa7fd2af6c311817e, 0x1c4a7d86b20c4277],
        ),
        (
            [427, 640],
            [513, 513],
            [0x4e287a99335052fc, 0xe3dbf52ae8b5654b, 0xddbad31a45101ab1],
        ),
        (
            [640, 427],
            [513, 513],
            [0xe4b359daa72b5647, 0xb25645e47ecb86f8, 0xdd2c8130ee267084],
        ),
        (
            [25, 66],
            [15, 30],
            [0x5e7a8f9a213cce7e, 0x6467f1596efc5497, 0x7b8dc3cbf32573f2],
        ),
    ];

    #[test]
    fn every_filter_gives_pillows_samples() {
        for ([width, height], [to_width, to_height], expected) in EXPECTED {
            let image = picture(*width, *height);
            for (filter, expected) in [Filter::Bilinear, Filter::Bicubic, Filter::Lanczos]
                .into_iter()
                .zip(expected)
            {
                let resized = resize(&image, *to_width, *to_height, filter).unwrap();
                assert_eq!((resized.width(), resized.height()), (*to_width, *to_height));
                assert_eq!(
                    hash(resized.pixels()),
                    *expected,
                    "{width}x{height} to {to_width}x{to_height}, {filter:?}"
                );
            }
        }
    }
}
