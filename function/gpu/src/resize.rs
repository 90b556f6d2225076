//! Changing the size of feature maps.

use crate::{
    map::{Map, quads},
    shader::{Kernel, Shader},
    trace::named,
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
    // Divided here: a GPU's quotients may be off by some units in the last place, and a pixel with them.
    let [down, right] = [(rows, out_rows), (columns, out_columns)]
        .map(|(from, to)| (from as f32 / to as f32).to_bits() as usize);
    x.gpu().run_each(
        Shader::new(Kernel::Resize).constant("INTERPOLATED", usize::from(interpolated)),
        &[x.buffer(), y.buffer()],
        &[
            rows,
            columns,
            quads(channels),
            out_rows,
            out_columns,
            down,
            right,
        ],
        y.quads(),
        || named(if interpolated { "bilinear" } else { "nearest" }, &y),
    );
    y
}
