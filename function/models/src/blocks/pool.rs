//! Pooling.

use burn::tensor::{Tensor, module, ops::MaxPoolOptions};

/// The greatest value under a square window of odd side, padded by half of it with minus infinity:
/// `[batch, channels, h, w]` to `[batch, channels, ceil(h / stride), ceil(w / stride)]`.
pub fn max_pool(x: Tensor<4>, kernel: usize, stride: usize) -> Tensor<4> {
    let options = MaxPoolOptions {
        kernel_size: [kernel; 2],
        stride: [stride; 2],
        padding: [(kernel / 2, kernel / 2); 2],
        dilation: [1; 2],
        ceil_mode: false,
    };
    module::max_pool2d(x, options)
}

/// The mean of every channel: `[batch, channels, h, w]` to `[batch, channels, 1, 1]`.
pub fn global_mean(x: Tensor<4>) -> Tensor<4> {
    module::adaptive_avg_pool2d(x, [1, 1])
}
