//! Changing the size of feature maps.

use crate::{
    map::{Map, quads},
    shader::Shader,
};

/// Every pixel repeated, or left out: `[batch, channels, h, w]` to `[batch, channels, height, width]`, as torch's
/// `interpolate(mode="nearest")`.
///
/// # Panics
/// If `x` has no pixels.
pub fn nearest(x: &Map, size: [usize; 2]) -> Map {
    resized(x, size, false)
}

/// Interpolated between the four nearest pixels: `[batch, channels, h, w]` to `[batch, channels, height, width]`, as
/// torch's `interpolate(mode="bilinear", align_corners=False)`.
///
/// # Panics
/// If `x` has no pixels.
pub fn bilinear(x: &Map, size: [usize; 2]) -> Map {
    resized(x, size, true)
}

fn resized(x: &Map, [out_rows, out_columns]: [usize; 2], interpolated: bool) -> Map {
    let [batch, channels, rows, columns] = x.shape();
    assert!(rows > 0 && columns > 0, "nothing to repeat");
    let y = Map::any(x.gpu(), [batch, channels, out_rows, out_columns]);
    let shader = Shader::new("resize", include_str!("shaders/resize.wgsl"), 1, 8)
        .constant("INTERPOLATED", usize::from(interpolated));
    let sizes = [
        y.quads(),
        rows,
        columns,
        quads(channels),
        out_rows,
        out_columns,
    ]
    .map(|size| size as u32);
    // Divided here: a GPU's quotients may be off by some units in the last place, and a pixel with them.
    let scales = [
        rows as f32 / out_rows as f32,
        columns as f32 / out_columns as f32,
    ];
    let immediates = [&sizes[..], &scales.map(f32::to_bits)].concat();
    let gpu = x.gpu();
    gpu.run_each(
        &gpu.pipeline(shader),
        &[x.buffer(), y.buffer()],
        &immediates,
        y.quads(),
    );
    y
}
