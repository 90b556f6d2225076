//! One map a class, of which a network wants one only.

use super::{Geometry, depthwise::Doubled};
use crate::{
    arena::{Arena, Buffer},
    isa::Task,
    map::Map,
    shared::Shared,
    simd::{LANES, Simd},
};

/// The end of a mask head: a depthwise convolution of a map whose sides are doubled, and sums of its channels, one
/// a class, each with weights of its own. Of every map of a batch only one class's sum is made.
///
/// Nothing happens between the two, so they are one convolution with a single output, whose kernel is made for the
/// class that is asked for. That takes a small part of the multiplications that all classes' would.
pub struct ClassConv {
    geometry: Geometry,
    depthwise: Doubled,
    /// `[classes, channels]`.
    weights: Vec<f32>,
    /// One a class.
    bias: Vec<f32>,
}

impl ClassConv {
    /// `depthwise` is in the order of [`Geometry::weight_shape`], `weights` is `[classes, channels]`, `bias` has one
    /// value a class.
    ///
    /// # Panics
    /// If the geometry is not depthwise, of stride and dilation 1, of a multiple of sixteen channels, or the
    /// lengths are not those of the geometry.
    pub fn new(geometry: Geometry, depthwise: &[f32], weights: Vec<f32>, bias: Vec<f32>) -> Self {
        let channels = geometry.outputs;
        assert!(geometry.is_depthwise() && geometry.stride == 1 && geometry.dilation == 1);
        assert!(channels.is_multiple_of(LANES), "whole blocks");
        assert_eq!(
            depthwise.len(),
            geometry.weight_shape().iter().product::<usize>()
        );
        assert_eq!(weights.len(), channels * bias.len());
        Self {
            geometry,
            depthwise: Doubled::of_planar(&geometry, depthwise),
            weights,
            bias,
        }
    }

    /// `[batch, channels, h, w]` to `[batch, 2h, 2w]` in row-major order, of each map the class that is given for it.
    ///
    /// # Panics
    /// If `x` has another number of channels, not as many maps as there are `classes`, or there is no such class.
    pub fn forward_doubled(&self, x: &Map, classes: &[usize]) -> Vec<f32> {
        let [batch, channels, height, width] = x.shape();
        assert_eq!(channels, self.geometry.outputs, "channels of the input");
        assert_eq!(batch, classes.len(), "one class a map");
        assert!(classes.iter().all(|&class| class < self.bias.len()));
        let output = [batch, 1, 2 * height, 2 * width];
        let mut y = vec![0.0; output.iter().product()];
        let context = x.context();
        let multiplications = y.len() * channels * self.depthwise.kernel * self.depthwise.kernel;
        let name = || format!("class {}, doubled", self.geometry);
        let _timed = context.timed(name, output, multiplications);
        let task = Run {
            conv: self,
            classes,
            x,
            arena: &context.arena,
            y: Shared::new(&mut y),
        };
        if height * width > 0 {
            context.isa.run_all(batch, &task);
        }
        y
    }
}

impl std::fmt::Debug for ClassConv {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClassConv")
            .field("geometry", &self.geometry)
            .field("classes", &self.bias.len())
            .finish_non_exhaustive()
    }
}

/// One call; a task is a map.
struct Run<'a> {
    conv: &'a ClassConv,
    classes: &'a [usize],
    x: &'a Map,
    arena: &'a Arena,
    y: Shared<'a, f32>,
}

impl Task for Run<'_> {
    #[inline(always)]
    fn run<S: Simd>(&self, index: usize) {
        let [_, _, height, width] = self.x.shape();
        let kernel = self.kernel::<S>(self.classes[index]);
        let (rows, columns) = (2 * height, 2 * width);
        // SAFETY: maps of the output are each one task's.
        let y = unsafe { self.y.part(index * rows * columns, rows * columns) };
        for (row, y) in y.chunks_exact_mut(columns).enumerate() {
            for odd in 0..2 {
                self.row::<S>(index, &kernel, row, odd, y);
            }
        }
    }
}

impl Run<'_> {
    /// Of a class, as [`Doubled`] has its weights.
    #[inline(always)]
    fn kernel<S: Simd>(&self, class: usize) -> Buffer<f32> {
        let conv = self.conv;
        let channels = conv.geometry.outputs;
        let of_class = &conv.weights[class * channels..][..channels];
        let of_block = conv.depthwise.kernel * conv.depthwise.kernel * LANES;
        let mut kernel = self.arena.take::<f32>(conv.depthwise.weights.len());
        let blocks = conv.depthwise.weights.chunks_exact(of_block);
        for (index, (to, from)) in kernel.chunks_exact_mut(of_block).zip(blocks).enumerate() {
            let block = index % (channels / LANES);
            let scale = &of_class[block * LANES..][..LANES];
            for (tap, value) in to.iter_mut().enumerate() {
                *value = from[tap] * scale[tap % LANES];
            }
        }
        kernel
    }

    /// The outputs in even columns of a row, or those in odd ones.
    #[inline(always)]
    fn row<S: Simd>(&self, map: usize, kernel: &[f32], row: usize, odd: usize, y: &mut [f32]) {
        const P: usize = 8;
        let [_, _, height, width] = self.x.shape();
        let doubled = &self.conv.depthwise;
        let rows = doubled.geometry(row % 2).taps(row / 2, height);
        let geometry = doubled.geometry(odd);
        let padding = geometry.padding[0];
        // From the first output whose whole kernel lies on the map to one past the last.
        let inner = padding.min(width);
        let end = (width + padding + 1)
            .saturating_sub(doubled.kernel)
            .clamp(inner, width);
        let blocks = self.conv.geometry.outputs / LANES;
        let of_parity = blocks * doubled.kernel * doubled.kernel * LANES;
        let line = Line {
            run: self,
            map,
            kernel: &kernel[(row % 2 * 2 + odd) * of_parity..][..of_parity],
            rows,
            bias: self.conv.bias[self.classes[map]],
        };
        let mut column = 0;
        while column < width {
            let whole = column >= inner && column + P <= end;
            if whole {
                let sums = line.outputs::<S, P>(([0, doubled.kernel], column - padding));
                for (p, sum) in sums.into_iter().enumerate() {
                    y[2 * (column + p) + odd] = sum;
                }
                column += P;
            } else {
                let [sum] = line.outputs::<S, 1>(geometry.taps(column, width));
                y[2 * column + odd] = sum;
                column += 1;
            }
        }
    }
}

/// A row of outputs of one map.
struct Line<'a> {
    run: &'a Run<'a>,
    map: usize,
    /// `[blocks, kernel, kernel, LANES]`.
    kernel: &'a [f32],
    /// Rows of the kernel that lie on the map, and the row of the map under the first of them.
    rows: ([usize; 2], usize),
    bias: f32,
}

impl Line<'_> {
    /// Outputs side by side that have the same columns of the kernel on the map: which, and the column of the map
    /// under the first of them for the first output.
    #[inline(always)]
    #[expect(
        clippy::needless_range_loop,
        reason = "iterators would keep the sums in memory"
    )]
    fn outputs<S: Simd, const P: usize>(&self, columns: ([usize; 2], usize)) -> [f32; P] {
        let x = self.run.x;
        let [batch, _, height, width] = x.shape();
        let side = self.run.conv.depthwise.kernel;
        let ([top, bottom], x_row) = self.rows;
        let ([left, right], x_column) = columns;
        let mut sums = [S::splat(0.0); P];
        for block in 0..x.blocks() {
            let plane = (block * batch + self.map) * height * width * LANES;
            let plane = &x.values[plane..][..height * width * LANES];
            for row in top..bottom {
                let first = ((x_row + row - top) * width + x_column) * LANES;
                let pixels = &plane[first..][..(right - left + P - 1) * LANES];
                let taps = &self.kernel[((block * side + row) * side + left) * LANES..];
                let taps = &taps[..(right - left) * LANES];
                for tap in 0..right - left {
                    // SAFETY: the taps are as many, and `P` pixels follow the one under each.
                    unsafe {
                        let weight = S::load(taps.as_ptr().add(tap * LANES));
                        for p in 0..P {
                            let x = S::load(pixels.as_ptr().add((tap + p) * LANES));
                            sums[p] = S::mul_add(x, weight, sums[p]);
                        }
                    }
                }
            }
        }
        let mut totals = [self.bias; P];
        for p in 0..P {
            let mut lanes = [0.0; LANES];
            // SAFETY: there are LANES.
            unsafe { S::store(lanes.as_mut_ptr(), sums[p]) };
            totals[p] += lanes.iter().sum::<f32>();
        }
        totals
    }
}
