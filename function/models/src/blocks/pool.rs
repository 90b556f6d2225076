//! Pooling.

use burn::tensor::{module, ops::MaxPoolOptions};
use segmenter_kernels as kernels;

use super::map::{Map, Values};

/// The greatest value under a square window of odd side, padded by half of it with minus infinity:
/// `[batch, channels, h, w]` to `[batch, channels, ceil(h / stride), ceil(w / stride)]`.
pub fn max_pool(x: Map, kernel: usize, stride: usize) -> Map {
    Map(match x.0.stock() {
        Values::Burn(x) => {
            let options = MaxPoolOptions {
                kernel_size: [kernel; 2],
                stride: [stride; 2],
                padding: [(kernel / 2, kernel / 2); 2],
                dilation: [1; 2],
                ceil_mode: false,
            };
            Values::Burn(module::max_pool2d(x, options))
        }
        #[cfg(feature = "gpu")]
        Values::Gpu(x) => Values::Gpu(segmenter_gpu::max_pool(&x, kernel, stride)),
        x => kernels::max_pool(x.kernels(), kernel, stride).into(),
    })
}

/// The mean of every channel: `[batch, channels, h, w]` to `[batch, channels, 1, 1]`.
pub fn global_mean(x: Map) -> Map {
    Map(match x.0.stock() {
        Values::Burn(x) => Values::Burn(module::adaptive_avg_pool2d(x, [1, 1])),
        #[cfg(feature = "gpu")]
        Values::Gpu(x) => Values::Gpu(segmenter_gpu::global_mean(&x)),
        Values::Quantized(x) => x.global_mean().into(),
        x => kernels::global_mean(x.kernels()).into(),
    })
}
