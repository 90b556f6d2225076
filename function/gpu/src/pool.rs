//! Pooling.

use crate::{
    map::{Map, quads},
    shader::Shader,
};

/// The greatest value under a square window of odd side, padded by half of it with minus infinity:
/// `[batch, channels, h, w]` to `[batch, channels, ceil(h / stride), ceil(w / stride)]`.
///
/// # Panics
/// If `kernel` is even or `stride` is 0.
pub fn max_pool(x: &Map, kernel: usize, stride: usize) -> Map {
    assert!(kernel % 2 == 1, "a window of side {kernel} has no centre");
    assert!(stride > 0, "a window has to move");
    let [batch, channels, height, width] = x.shape();
    let [rows, columns] = [height, width].map(|side| side.div_ceil(stride));
    let y = Map::any(x.gpu(), [batch, channels, rows, columns]);
    let shader = Shader::new("max pool", include_str!("shaders/max_pool.wgsl"), 1, 6)
        .constant("REACH", kernel / 2)
        .constant("STRIDE", stride);
    let sizes = [y.quads(), height, width, quads(channels), rows, columns];
    let gpu = x.gpu();
    gpu.run_each(
        &gpu.pipeline(shader),
        &[x.buffer(), y.buffer()],
        &sizes.map(|size| size as u32),
        y.quads(),
    );
    y
}

/// The mean of every channel: `[batch, channels, h, w]` to `[batch, channels, 1, 1]`.
pub fn global_mean(x: &Map) -> Map {
    let [batch, channels, height, width] = x.shape();
    let y = Map::any(x.gpu(), [batch, channels, 1, 1]);
    let shader = Shader::new("mean", include_str!("shaders/mean.wgsl"), 1, 2);
    let sizes = [height * width, quads(channels)];
    let gpu = x.gpu();
    gpu.run(
        &gpu.pipeline(shader),
        &[x.buffer(), y.buffer()],
        &sizes.map(|size| size as u32),
        [quads(channels), batch],
    );
    y
}
