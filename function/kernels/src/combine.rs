//! Maps put together.

use std::sync::Arc;

use crate::{
    activation::Activation,
    isa::Task,
    map::Map,
    rows::Rows,
    shared::Shared,
    simd::{LANES, Simd},
};

impl Map {
    /// `activation(self + other)`, in place. Both are `[batch, channels, height, width]`.
    ///
    /// # Panics
    /// If the shapes differ.
    pub fn add(&mut self, other: &Self, activation: Activation) {
        assert_eq!(self.shape(), other.shape(), "shapes of a sum");
        let context = Arc::clone(&self.context);
        let _timed = context.timed(|| "add".to_owned(), self.shape(), 0);
        let isa = context.isa;
        let rows = Rows::new(self.values.len() / LANES, LANES);
        let task = Add {
            other: &other.values,
            activation,
            rows,
            sum: Shared::new(&mut self.values),
        };
        isa.run_all(rows.tasks(), &task);
    }

    /// Multiplies every channel by its factor, in place: the last step of squeeze-and-excite. `factors`
    /// are `[batch, channels, 1, 1]`.
    ///
    /// # Panics
    /// If they have another shape.
    pub fn scale_channels(&mut self, factors: &Self) {
        let [batch, channels, height, width] = self.shape();
        assert_eq!(factors.shape(), [batch, channels, 1, 1], "shape of factors");
        let context = Arc::clone(&self.context);
        let _timed = context.timed(|| "scale channels".to_owned(), self.shape(), 0);
        let isa = context.isa;
        let rows = Rows::of(self);
        let task = Scale {
            factors: &factors.values,
            size: [height, width],
            rows,
            y: Shared::new(&mut self.values),
        };
        isa.run_all(rows.tasks(), &task);
    }

    /// A single pixel repeated over a map: `[batch, channels, 1, 1]` to `[batch, channels, height, width]`.
    ///
    /// # Panics
    /// If there are more pixels.
    #[must_use]
    pub fn expand(&self, [height, width]: [usize; 2]) -> Self {
        let [batch, channels, ..] = self.shape();
        assert_eq!(self.shape(), [batch, channels, 1, 1], "shape of a pixel");
        let shape = [batch, channels, height, width];
        let _timed = self.context.timed(|| "expand".to_owned(), shape, 0);
        let mut y = Self::any(&self.context, shape);
        let rows = Rows::of(&y);
        let task = Expand {
            pixels: &self.values,
            size: [height, width],
            rows,
            y: Shared::new(&mut y.values),
        };
        self.context.isa.run_all(rows.tasks(), &task);
        y
    }

    /// Maps one behind the other along their channels: `[batch, c[i], height, width]` to
    /// `[batch, sum of c, height, width]`.
    ///
    /// Whole blocks are copied where the channels before a map fill theirs; single channels otherwise,
    /// which takes several times as long.
    ///
    /// # Panics
    /// If there are none, or they differ in more than their channels.
    #[must_use]
    pub fn concat(maps: &[&Self]) -> Self {
        assert!(!maps.is_empty(), "nothing to concatenate");
        let [batch, _, height, width] = maps[0].shape();
        let mut sources = Vec::with_capacity(maps.len());
        let mut channels = 0;
        for map in maps {
            let shape = [batch, map.shape()[1], height, width];
            assert_eq!(map.shape(), shape, "shape of a part");
            sources.push((channels, *map));
            channels += map.shape()[1];
        }
        let context = maps[0].context();
        let shape = [batch, channels, height, width];
        let _timed = context.timed(|| "concatenate".to_owned(), shape, 0);
        let mut y = Self::any(context, shape);
        let rows = Rows::of(&y);
        let task = Concat {
            sources,
            channels,
            lines: [batch * height, width * LANES],
            rows,
            y: Shared::new(&mut y.values),
        };
        context.isa.run_all(rows.tasks(), &task);
        y
    }
}

struct Add<'a> {
    other: &'a [f32],
    activation: Activation,
    /// A row is a vector.
    rows: Rows,
    sum: Shared<'a, f32>,
}

/// Vectors that are worked on together: for each, what is to be done is looked up once.
const TOGETHER: usize = 4;

impl Add<'_> {
    #[inline(always)]
    fn vectors<S: Simd, const P: usize>(
        &self,
        sum: &mut [[f32; LANES]; P],
        other: &[[f32; LANES]; P],
    ) {
        let mut sums = [[S::splat(0.0)]; P];
        for (result, (a, b)) in sums.iter_mut().zip(sum.iter().zip(other)) {
            // SAFETY: both are a vector long.
            *result = unsafe { [S::add(S::load(a.as_ptr()), S::load(b.as_ptr()))] };
        }
        self.activation.of_vectors::<S, 1, P>(&mut sums);
        for ([result], sum) in sums.into_iter().zip(sum.iter_mut()) {
            // SAFETY: as above.
            unsafe { S::store(sum.as_mut_ptr(), result) };
        }
        if self.activation == Activation::Sigmoid {
            let all = sum.iter_mut().flatten();
            all.for_each(|x| *x = self.activation.of(*x));
        }
    }
}

impl Task for Add<'_> {
    #[inline(always)]
    fn run<S: Simd>(&self, index: usize) {
        let vectors = self.rows.of_task(index);
        let (start, length) = (vectors.start * LANES, vectors.len() * LANES);
        // SAFETY: vectors are apart, and each is in one task.
        let sum = unsafe { self.sum.part(start, length) };
        let other = &self.other[start..][..length];
        let (sums, rest) = sum.as_chunks_mut().0.as_chunks_mut::<TOGETHER>();
        let (others, rest_of_other) = other.as_chunks().0.as_chunks::<TOGETHER>();
        for (sum, other) in sums.iter_mut().zip(others) {
            self.vectors::<S, TOGETHER>(sum, other);
        }
        for (sum, other) in rest.iter_mut().zip(rest_of_other) {
            self.vectors::<S, 1>(std::array::from_mut(sum), std::array::from_ref(other));
        }
    }
}

struct Scale<'a> {
    factors: &'a [f32],
    /// `[height, width]`.
    size: [usize; 2],
    rows: Rows,
    y: Shared<'a, f32>,
}

impl Task for Scale<'_> {
    #[inline(always)]
    fn run<S: Simd>(&self, index: usize) {
        let [height, width] = self.size;
        for row in self.rows.of_task(index) {
            let factor = self.factors[row / height * LANES..][..LANES].as_ptr();
            let length = width * LANES;
            // SAFETY: it is a vector long; rows are apart, and each is in one task.
            let (factor, y) = unsafe { (S::load(factor), self.y.part(row * length, length)) };
            for y in y.as_chunks_mut::<LANES>().0 {
                // SAFETY: a pixel is a vector long.
                unsafe { S::store(y.as_mut_ptr(), S::mul(S::load(y.as_ptr()), factor)) };
            }
        }
    }
}

struct Expand<'a> {
    pixels: &'a [f32],
    /// `[height, width]`.
    size: [usize; 2],
    rows: Rows,
    y: Shared<'a, f32>,
}

impl Task for Expand<'_> {
    #[inline(always)]
    fn run<S: Simd>(&self, index: usize) {
        let [height, width] = self.size;
        for row in self.rows.of_task(index) {
            let pixel = self.pixels[row / height * LANES..][..LANES].as_ptr();
            let length = width * LANES;
            // SAFETY: it is a vector long; rows are apart, and each is in one task.
            let (pixel, y) = unsafe { (S::load(pixel), self.y.part(row * length, length)) };
            for y in y.as_chunks_mut::<LANES>().0 {
                // SAFETY: a pixel is a vector long.
                unsafe { S::store(y.as_mut_ptr(), pixel) };
            }
        }
    }
}

struct Concat<'a> {
    /// Each with the channel of the output that its first one becomes.
    sources: Vec<(usize, &'a Map)>,
    /// Of the output.
    channels: usize,
    /// Rows of a block, and floats of a row.
    lines: [usize; 2],
    rows: Rows,
    y: Shared<'a, f32>,
}

impl<'a> Task for Concat<'a> {
    #[inline(always)]
    fn run<S: Simd>(&self, index: usize) {
        let [rows_of_block, length] = self.lines;
        for row in self.rows.of_task(index) {
            let (block, row_of_block) = (row / rows_of_block, row % rows_of_block);
            let line = |map: &'a Map, block: usize| {
                let line = (block * rows_of_block + row_of_block) * length;
                &map.values[line..][..length]
            };
            // SAFETY: rows are apart, and each is in one task.
            let y = unsafe { self.y.part(row * length, length) };
            let wanted = block * LANES..self.channels.min((block + 1) * LANES);
            for &(first, map) in &self.sources {
                let start = first.max(wanted.start);
                let end = (first + map.shape()[1]).min(wanted.end);
                if start >= end {
                    continue;
                }
                if start == wanted.start && end == wanted.end && (start - first) % LANES == 0 {
                    y.copy_from_slice(line(map, (start - first) / LANES));
                    continue;
                }
                for channel in start..end {
                    let source = channel - first;
                    let from = line(map, source / LANES).as_chunks::<LANES>().0;
                    for (y, from) in y.as_chunks_mut::<LANES>().0.iter_mut().zip(from) {
                        y[channel % LANES] = from[source % LANES];
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::{
        Activation, Map,
        testing::{contexts, map, noise},
    };

    const ACTIVATIONS: [Activation; 6] = [
        Activation::Identity,
        Activation::Relu,
        Activation::Relu6,
        Activation::HardSwish,
        Activation::HardSigmoid,
        Activation::Sigmoid,
    ];

    fn shapes() -> impl Strategy<Value = [usize; 4]> {
        (0..3_usize, 1..40_usize, 0..9_usize, 0..9_usize).prop_map(<[usize; 4]>::from)
    }

    proptest! {
        #[test]
        fn sums_are_activated(shape in shapes(), activation in 0..6_usize, seed: u32) {
            let activation = ACTIVATIONS[activation];
            let count = shape.iter().product();
            let a: Vec<_> = noise(count, seed).iter().map(|v| 10.0 * v).collect();
            let b = noise(count, seed ^ 1);
            let expected: Vec<_> = a.iter().zip(&b).map(|(a, b)| activation.of(a + b)).collect();
            for context in contexts() {
                let mut sum = map(&context, &a, shape);
                sum.add(&map(&context, &b, shape), activation);
                prop_assert_eq!(sum.to_planar(), &expected[..]);
            }
        }

        #[test]
        fn channels_are_scaled(shape in shapes(), seed: u32) {
            let [batch, channels, height, width] = shape;
            let x = noise(shape.iter().product(), seed);
            let factors = noise(batch * channels, seed ^ 1);
            let pixels = height * width;
            let expected: Vec<_> =
                x.iter().enumerate().map(|(i, x)| x * factors[i / pixels]).collect();
            for context in contexts() {
                let mut y = map(&context, &x, shape);
                y.scale_channels(&map(&context, &factors, [batch, channels, 1, 1]));
                prop_assert_eq!(y.to_planar(), &expected[..]);
            }
        }

        #[test]
        fn a_pixel_is_repeated([batch, channels, height, width] in shapes(), seed: u32) {
            let x = noise(batch * channels, seed);
            let pixels = height * width;
            let expected: Vec<_> = x.iter().flat_map(|&v| std::iter::repeat_n(v, pixels)).collect();
            for context in contexts() {
                let y = map(&context, &x, [batch, channels, 1, 1]).expand([height, width]);
                prop_assert_eq!(y.shape(), [batch, channels, height, width]);
                prop_assert_eq!(y.to_planar(), &expected[..]);
            }
        }

        #[test]
        fn parts_follow_each_other(
            [batch, _, height, width] in shapes(),
            channels in prop::collection::vec(prop_oneof![Just(16), Just(48), 0..40_usize], 1..5),
            seed: u32,
        ) {
            let parts: Vec<_> = (seed..)
                .zip(&channels)
                .map(|(seed, channels)| noise(batch * channels * height * width, seed))
                .collect();
            let mut expected = Vec::new();
            for n in 0..batch {
                for (part, channels) in parts.iter().zip(&channels) {
                    let length = channels * height * width;
                    expected.extend_from_slice(&part[n * length..][..length]);
                }
            }
            for context in contexts() {
                let parts: Vec<_> = parts
                    .iter()
                    .zip(&channels)
                    .map(|(part, &channels)| map(&context, part, [batch, channels, height, width]))
                    .collect();
                let y = Map::concat(&parts.iter().collect::<Vec<_>>());
                prop_assert_eq!(y.shape(), [batch, channels.iter().sum(), height, width]);
                prop_assert_eq!(y.to_planar(), &expected[..]);
            }
        }
    }
}
