//! Changing the size of feature maps.

use burn::tensor::{
    Tensor, module,
    ops::{InterpolateMode, InterpolateOptions},
};

/// Every pixel repeated: `[batch, channels, h, w]` to `[batch, channels, height, width]`, as torch's
/// `interpolate(mode="nearest")`.
pub fn nearest(x: Tensor<4>, [height, width]: [usize; 2]) -> Tensor<4> {
    let options = InterpolateOptions::new(InterpolateMode::Nearest);
    module::interpolate(x, options.with_output_size([height, width]))
}

/// Interpolated between the four nearest pixels: `[batch, channels, h, w]` to
/// `[batch, channels, height, width]`, as torch's `interpolate(mode="bilinear", align_corners=False)`.
pub fn bilinear(x: Tensor<4>, [height, width]: [usize; 2]) -> Tensor<4> {
    let options = InterpolateOptions::new(InterpolateMode::Bilinear).with_align_corners(false);
    module::interpolate(x, options.with_output_size([height, width]))
}
