//! What is behind the sums of a convolution: the bias and the rectifier.

use super::{Convolution, floats};
use crate::{
    isa::Task,
    shared::{Shared, filled},
    simd::{LANES, Simd},
};

/// The gradient behind a convolution, brought before its activation.
#[derive(Debug)]
pub struct OutputGradient {
    /// By the sums, in the layout of the output; none where they are what came out.
    pub sums: Option<Vec<f32>>,
    /// By the bias, `[outputs]`.
    pub bias: Vec<f32>,
}

impl Convolution<'_> {
    /// From the gradient by the output. `rectified` is the output where it was rectified: nothing reaches those sums
    /// that it has zeros of.
    ///
    /// # Panics
    /// If a length is another.
    pub fn output_gradient(&self, rectified: Option<&[f32]>, gradient: &[f32]) -> OutputGradient {
        output_gradient(self, self.output_shape(), rectified, gradient)
    }
}

/// As [`Convolution::output_gradient`], of whatever ends in a map of this shape.
pub(super) fn output_gradient(
    conv: &Convolution<'_>,
    shape: [usize; 4],
    rectified: Option<&[f32]>,
    gradient: &[f32],
) -> OutputGradient {
    let [batch, channels, height, width] = shape;
    assert_eq!(gradient.len(), floats(shape));
    assert!(rectified.is_none_or(|rectified| rectified.len() == gradient.len()));
    let planes = channels.div_ceil(LANES) * batch;
    let mut of_planes = vec![0.0; planes * LANES];
    let bias = Shared::new(&mut of_planes);
    let run = |sums: Option<Shared<'_, f32>>| {
        let task = Planes {
            plane: height * width * LANES,
            rectified,
            gradient,
            sums,
            bias,
        };
        conv.context.isa.run_all(planes, &task);
    };
    let sums = if rectified.is_some() {
        // SAFETY: every plane is written.
        Some(unsafe { filled(gradient.len(), |sums| run(Some(sums))) })
    } else {
        run(None);
        None
    };
    let bias = (0..channels).map(|channel| {
        let planes = (0..batch).map(|n| (channel / LANES * batch + n) * LANES + channel % LANES);
        planes.map(|at| of_planes[at]).sum()
    });
    OutputGradient {
        bias: bias.collect(),
        sums,
    }
}

/// A task is sixteen channels of a map.
struct Planes<'a> {
    /// Floats of one.
    plane: usize,
    rectified: Option<&'a [f32]>,
    gradient: &'a [f32],
    sums: Option<Shared<'a, f32>>,
    /// `[planes, LANES]`.
    bias: Shared<'a, f32>,
}

impl Task for Planes<'_> {
    #[inline(always)]
    fn run<S: Simd>(&self, index: usize) {
        let gradient = self.gradient[index * self.plane..][..self.plane].as_chunks::<LANES>();
        let mut total = S::splat(0.0);
        for (pixel, gradient) in gradient.0.iter().enumerate() {
            // SAFETY: a pixel has LANES values; those of this plane are this task's alone.
            unsafe {
                let mut gradient = S::load(gradient.as_ptr());
                if let (Some(rectified), Some(sums)) = (self.rectified, &self.sums) {
                    let at = index * self.plane + pixel * LANES;
                    let y = S::load(rectified[at..][..LANES].as_ptr());
                    let zero = S::splat(0.0);
                    gradient = S::if_greater(y, zero, gradient, zero);
                    S::store(sums.at(at), gradient);
                }
                total = S::add(total, gradient);
            }
        }
        // SAFETY: there are as many planes.
        unsafe { S::store(self.bias.at(index * LANES), total) };
    }
}
