//! From light to a photograph: the lens, the sensor and what the phone makes of it.

use segmenter_imaging::{Image, decode, encode};

use crate::{
    light::Light,
    maths::{Colour, Point, exp, length, polar, smooth, times},
    noise,
    random::Random,
    render::Canvas,
    scene::Family,
};

pub(crate) struct Photo {
    exposure: f32,
    /// The white balance's error, by channel.
    cast: Colour,
    vignette: f32,
    /// Light that strays in the lens and lifts the blacks.
    haze: f32,
    /// The deviation of the defocus, by picture heights.
    defocus: f32,
    /// The way that a shaken camera smears, by picture heights.
    shake: Point,
    contrast: f32,
    saturation: f32,
    sharpening: f32,
    grain: f32,
    /// Coarser coloured noise.
    blotches: f32,
    quality: Option<u8>,
    seed: u32,
}

impl Photo {
    pub(crate) fn random(random: &mut Random, family: Family) -> Self {
        let soft = random.chance(0.22);
        let dim = random.chance(0.25);
        let cast = match family {
            Family::Training => [random.bell() * 0.12, 0.0, random.bell() * 0.16],
            Family::HeldOut => [
                random.bell() * 0.06,
                random.bell() * 0.08,
                random.bell() * 0.12,
            ],
        };
        Self {
            exposure: random.log_range(0.75, 1.35) * if dim { 0.75 } else { 1.0 },
            cast: cast.map(|channel| 1.0 + channel),
            vignette: random.range(0.0, 0.45),
            haze: if random.chance(0.25) {
                random.range(0.0, 0.05)
            } else {
                0.004
            },
            defocus: if soft {
                random.log_range(0.0012, 0.007)
            } else {
                random.range(0.0004, 0.0018)
            },
            shake: if random.chance(0.15) {
                let way = random.log_range(0.002, 0.014);
                polar(random.range(0.0, 6.3)).map(|part| part * way)
            } else {
                [0.0; 2]
            },
            contrast: random.range(0.0, 0.55),
            saturation: random.range(0.72, 1.2),
            sharpening: if soft { 0.0 } else { random.range(0.0, 0.7) },
            grain: random.log_range(0.002, 0.014) * if dim { 1.8 } else { 1.0 },
            blotches: random.log_range(0.001, 0.01) * if dim { 2.0 } else { 1.0 },
            quality: random.chance(0.4).then(|| random.count(40, 95) as u8),
            seed: random.seed(),
        }
    }

    /// A good camera held still.
    pub(crate) fn clean(seed: u32) -> Self {
        Self {
            exposure: 1.25,
            cast: [1.0; 3],
            vignette: 0.18,
            haze: 0.004,
            defocus: 0.0006,
            shake: [0.0; 2],
            contrast: 0.3,
            saturation: 1.0,
            sharpening: 0.25,
            grain: 0.004,
            blotches: 0.002,
            quality: None,
            seed,
        }
    }

    pub(crate) fn take(&self, mut canvas: Canvas, light: &Light) -> Option<Image> {
        let (width, height) = (canvas.width, canvas.height);
        self.expose(&mut canvas, light);
        let side = height as f32;
        blur(&mut canvas, self.defocus * side);
        smear(&mut canvas, self.shake.map(|part| part * side));
        for pixel in &mut canvas.pixels {
            *pixel = self.develop(*pixel);
        }
        let mut samples = Vec::with_capacity(3 * width * height);
        for y in 0..height {
            for x in 0..width {
                let mut pixel = canvas.pixels[y * width + x];
                if self.sharpening > 0.0 && x > 0 && y > 0 && x + 1 < width && y + 1 < height {
                    let at = |index: usize| canvas.pixels[index];
                    let index = y * width + x;
                    let [left, right] = [at(index - 1), at(index + 1)];
                    let [above, below] = [at(index - width), at(index + width)];
                    pixel = std::array::from_fn(|c| {
                        let mean = 0.25 * (left[c] + right[c] + above[c] + below[c]);
                        let edge = (pixel[c] - mean).clamp(-0.2, 0.2);
                        pixel[c] + self.sharpening * edge
                    });
                }
                let grain = self.noise(x as i32, y as i32);
                samples.extend((0..3).map(|c| ((pixel[c] + grain[c]) * 255.0 + 0.5) as u8));
            }
        }
        let image = Image::new(width as u32, height as u32, samples)?;
        Some(match self.quality {
            Some(quality) => squeezed(&image, quality).unwrap_or(image),
            None => image,
        })
    }

    fn expose(&self, canvas: &mut Canvas, light: &Light) {
        let metered = self.exposure * metered(canvas);
        let gain = self.cast.map(|channel| channel * metered);
        let corner =
            length([canvas.width as f32, canvas.height as f32]) / (2.0 * canvas.height as f32);
        // The light is smooth, so that every few pixels are enough.
        let step = (canvas.height / 64).max(4);
        let (columns, rows) = (canvas.width / step + 2, canvas.height / step + 2);
        let grid: Vec<Colour> = (0..rows * columns)
            .map(|index| {
                let at = canvas.place(index % columns * step, index / columns * step);
                let r = length(at) / corner;
                let vignette = 1.0 - self.vignette * r * r * (1.0 - 0.25 * r * r);
                times(gain, light.at(at)).map(|channel| channel * vignette)
            })
            .collect();
        for y in 0..canvas.height {
            let (row, t) = (y / step, (y % step) as f32 / step as f32);
            let line: Vec<Colour> = (0..columns)
                .map(|column| {
                    let upper = grid[row * columns + column];
                    crate::maths::mix(upper, grid[(row + 1) * columns + column], t)
                })
                .collect();
            for x in 0..canvas.width {
                let (column, s) = (x / step, (x % step) as f32 / step as f32);
                let lit = crate::maths::mix(line[column], line[column + 1], s);
                let pixel = &mut canvas.pixels[y * canvas.width + x];
                *pixel = times(*pixel, lit);
            }
        }
    }

    /// The tone curve: a shoulder towards white, then encoded samples, contrast and saturation.
    fn develop(&self, pixel: Colour) -> Colour {
        let encoded = pixel.map(|channel| {
            let light = (channel + self.haze).max(0.0);
            let light = if light > 0.7 {
                let over = light - 0.7;
                0.7 + 0.31 * over / (over + 0.42)
            } else {
                light
            };
            let sample = light.sqrt().min(1.0);
            sample + self.contrast * (smooth(sample) - sample)
        });
        let grey = 0.3 * encoded[0] + 0.59 * encoded[1] + 0.11 * encoded[2];
        encoded.map(|sample| grey + (sample - grey) * self.saturation)
    }

    fn noise(&self, x: i32, y: i32) -> Colour {
        let bits = noise::hash(x, y, self.seed);
        let coarse = noise::hash(x >> 1, y >> 1, self.seed ^ 0x51);
        let part = |bits: u32, shift: u32| ((bits >> shift) & 0x3ff) as f32 / 512.0 - 1.0;
        let grain = part(bits, 0) * self.grain;
        [
            grain + part(coarse, 0) * self.blotches + part(bits, 10) * self.grain * 0.5,
            grain - part(coarse, 10) * self.blotches * 0.5,
            grain + part(coarse, 20) * self.blotches * 1.4 + part(bits, 20) * self.grain * 0.6,
        ]
    }
}

/// What a phone does about dark and bright pictures: most of what is needed for a middle grey, so that a board on
/// dark cloth is too bright and one that fills the picture too grey.
fn metered(canvas: &Canvas) -> f32 {
    let samples = canvas.pixels.iter().step_by(canvas.pixels.len() / 4096 + 1);
    let (sum, count) = samples.fold((0.0, 0.0), |(sum, count), pixel| {
        (
            sum + (0.3 * pixel[0] + 0.6 * pixel[1] + 0.1 * pixel[2]).min(1.0),
            count + 1.0,
        )
    });
    let wanted: f32 = 0.36 * count / (sum + 0.01 * count);
    wanted.sqrt().clamp(0.65, 1.7)
}

/// As a file of this quality has it.
fn squeezed(image: &Image, quality: u8) -> Option<Image> {
    let mut file = Vec::new();
    encode::jpeg(image, quality, &mut file).ok()?;
    decode::decode(&file, &decode::Options::default()).ok()
}

fn blur(canvas: &mut Canvas, deviation: f32) {
    if deviation < 0.3 {
        return;
    }
    let reach = (deviation * 2.5 + 0.5) as usize;
    let weights: Vec<f32> = (0..=reach)
        .map(|step| {
            let t = step as f32 / deviation;
            exp(-0.5 * t * t)
        })
        .collect();
    let sum = weights[0] + 2.0 * weights[1..].iter().sum::<f32>();
    let weights: Vec<f32> = weights.iter().map(|weight| weight / sum).collect();
    let (width, height) = (canvas.width, canvas.height);
    let mut line = vec![[0.0; 3]; width + 2 * reach];
    for row in canvas.pixels.chunks_exact_mut(width) {
        line[reach..reach + width].copy_from_slice(row);
        line[..reach].fill(row[0]);
        line[reach + width..].fill(row[width - 1]);
        for (x, pixel) in row.iter_mut().enumerate() {
            let middle = x + reach;
            let mut colour = line[middle].map(|channel| channel * weights[0]);
            for (step, weight) in weights.iter().enumerate().skip(1) {
                let (a, b) = (line[middle - step], line[middle + step]);
                for c in 0..3 {
                    colour[c] += (a[c] + b[c]) * weight;
                }
            }
            *pixel = colour;
        }
    }
    // Down the columns a row at a time, which the cache likes better.
    let source = std::mem::take(&mut canvas.pixels);
    let row = |y: usize| &source[y * width..(y + 1) * width];
    canvas.pixels = Vec::with_capacity(width * height);
    for y in 0..height {
        let start = canvas.pixels.len();
        canvas
            .pixels
            .extend(row(y).iter().map(|pixel| pixel.map(|c| c * weights[0])));
        for (step, weight) in weights.iter().enumerate().skip(1) {
            let (above, below) = (row(y.saturating_sub(step)), row((y + step).min(height - 1)));
            let sums = canvas.pixels[start..].iter_mut();
            for ((sum, a), b) in sums.zip(above).zip(below) {
                for c in 0..3 {
                    sum[c] += (a[c] + b[c]) * weight;
                }
            }
        }
    }
}

/// The mean along a line through each pixel.
fn smear(canvas: &mut Canvas, [dx, dy]: Point) {
    let way = length([dx, dy]);
    if way < 0.7 {
        return;
    }
    let steps = ((way + 0.5) as usize).clamp(2, 24);
    let (width, height) = (canvas.width, canvas.height);
    let source = canvas.pixels.clone();
    for y in 0..height {
        for x in 0..width {
            let mut sum = [0.0; 3];
            for step in 0..=steps {
                let t = step as f32 / steps as f32 - 0.5;
                let at = |start: usize, way: f32, size: usize| {
                    (start as f32 + way * t + 0.5).clamp(0.0, (size - 1) as f32) as usize
                };
                let sample = source[at(y, dy, height) * width + at(x, dx, width)];
                for c in 0..3 {
                    sum[c] += sample[c];
                }
            }
            canvas.pixels[y * width + x] = sum.map(|channel| channel / (steps + 1) as f32);
        }
    }
}
