//! Pooling.

use crate::{
    map::{Map, quads},
    shader::{Kernel, Shader},
    trace::named,
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
    x.gpu().run_each(
        Shader::new(Kernel::MaxPool)
            .constant("REACH", kernel / 2)
            .constant("STRIDE", stride),
        &[x.buffer(), y.buffer()],
        &[height, width, quads(channels), rows, columns],
        y.quads(),
        || named("greatest", &y),
    );
    y
}

/// The mean of every channel: `[batch, channels, h, w]` to `[batch, channels, 1, 1]`.
pub fn global_mean(x: &Map) -> Map {
    let [batch, channels, height, width] = x.shape();
    let y = Map::any(x.gpu(), [batch, channels, 1, 1]);
    x.gpu().run(
        Shader::new(Kernel::Mean),
        &[x.buffer(), y.buffer()],
        &[height * width, quads(channels)],
        [quads(channels), batch, 1],
        || named("mean", &y),
    );
    y
}
