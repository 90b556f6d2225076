//! Changing the size of feature maps.

use burn::tensor::{
    Tensor, module,
    ops::{InterpolateMode, InterpolateOptions},
};
use segmenter_kernels as kernels;

use super::map::{Map, Values};

/// Every pixel repeated: `[batch, channels, h, w]` to `[batch, channels, height, width]`, as torch's
/// `interpolate(mode="nearest")`.
pub fn nearest(x: Map, size: [usize; 2]) -> Map {
    #[cfg(feature = "training")]
    if let Values::Blocked(x) = &x.0
        && let Some(y) = x.doubled(size)
    {
        return Map(Values::Blocked(y));
    }
    Map(match x.0.stock() {
        Values::Burn(x) => Values::Burn(interpolate(x, InterpolateMode::Nearest, size)),
        #[cfg(feature = "gpu")]
        Values::Gpu(x) => Values::Gpu(segmenter_gpu::nearest(&x, size)),
        x => kernels::nearest(x.kernels(), size).into(),
    })
}

/// Interpolated between the four nearest pixels: `[batch, channels, h, w]` to
/// `[batch, channels, height, width]`, as torch's `interpolate(mode="bilinear", align_corners=False)`.
pub fn bilinear(x: Map, size: [usize; 2]) -> Map {
    Map(match x.0.stock() {
        Values::Burn(x) => Values::Burn(interpolate(x, InterpolateMode::Bilinear, size)),
        #[cfg(feature = "gpu")]
        Values::Gpu(x) => Values::Gpu(segmenter_gpu::bilinear(&x, size)),
        x => kernels::bilinear(x.kernels(), size).into(),
    })
}

fn interpolate(x: Tensor<4>, mode: InterpolateMode, size: [usize; 2]) -> Tensor<4> {
    let options = InterpolateOptions::new(mode).with_align_corners(false);
    module::interpolate(x, options.with_output_size(size))
}
