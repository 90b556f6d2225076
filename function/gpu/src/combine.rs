//! Maps put together, value by value or one behind the other.

use crate::{
    map::{Map, QUAD, quads},
    shader::{Kernel, Shader},
    trace::named,
};

/// The sum of two maps of one shape.
///
/// # Panics
/// If they have two.
pub fn add(a: &Map, b: &Map) -> Map {
    assert_eq!(a.shape(), b.shape(), "shapes of a sum");
    combined(a, b, false, 1)
}

/// Every channel multiplied by its factor, `[batch, channels, 1, 1]`.
///
/// # Panics
/// If the factors are others.
pub fn scale_channels(x: &Map, factors: &Map) -> Map {
    let [batch, channels, height, width] = x.shape();
    assert_eq!(factors.shape(), [batch, channels, 1, 1], "shape of factors");
    combined(x, factors, true, height * width)
}

/// Of `a` and, for so many pixels of it one after the other, a pixel of `b`.
fn combined(a: &Map, b: &Map, multiply: bool, pixels: usize) -> Map {
    let y = Map::any(a.gpu(), a.shape());
    a.gpu().run_each(
        Shader::new(Kernel::Combine).constant("MULTIPLY", usize::from(multiply)),
        &[a.buffer(), b.buffer(), y.buffer()],
        &[quads(a.shape()[1]), pixels],
        a.quads(),
        || named(if multiply { "product" } else { "sum" }, &y),
    );
    y
}

/// A single pixel, `[batch, channels, 1, 1]`, repeated over a map of `[height, width]`.
///
/// # Panics
/// If there are more pixels.
pub fn expand(x: &Map, [height, width]: [usize; 2]) -> Map {
    let [batch, channels, rows, columns] = x.shape();
    assert_eq!([rows, columns], [1, 1], "a single pixel");
    let y = Map::any(x.gpu(), [batch, channels, height, width]);
    place(x, &y, 0);
    y
}

/// Maps one behind the other along their channels.
///
/// # Panics
/// If there is none, they are of several sizes, or any but the last has channels that are no multiple of four.
pub fn concat(maps: &[&Map]) -> Map {
    let [batch, _, height, width] = maps[0].shape();
    let mut channels = 0;
    for map in maps {
        let [own_batch, own, rows, columns] = map.shape();
        assert_eq!([own_batch, rows, columns], [batch, height, width]);
        assert_eq!(channels % QUAD, 0, "channels before the last map");
        channels += own;
    }
    let y = Map::any(maps[0].gpu(), [batch, channels, height, width]);
    let mut first = 0;
    for map in maps {
        place(map, &y, first);
        first += quads(map.shape()[1]);
    }
    y
}

/// Copies `x` into `y`, from this quad on; where `x` has a single pixel, to all.
fn place(x: &Map, y: &Map, first: usize) {
    let [_, channels, rows, columns] = x.shape();
    let [batch, all, height, width] = y.shape();
    let repeated = if [rows, columns] == [height, width] {
        1
    } else {
        height * width
    };
    x.gpu().run_each(
        Shader::new(Kernel::Place),
        &[x.buffer(), y.buffer()],
        &[quads(channels), quads(all), first, repeated],
        batch * height * width * quads(channels),
        || named("copy", y),
    );
}
