//! Large maps, a strip of rows at a time.

use std::{ops::Range, sync::Arc};

use segmenter_kernels as kernels;

use super::map::{Map, Values};

/// How layers are run on strips. All of them keep the size of a map, but for their strides.
#[derive(Clone, Copy, Debug)]
pub struct Strips {
    /// Pixels of an input that is run whole, at the most; a strip has half as many, about.
    pub whole: usize,
    /// Rows of the input to one of the output.
    pub stride: usize,
    /// Rows of the output above and below which the rows of a strip depend on, rounded up.
    pub margin: usize,
}

impl Strips {
    /// What `layers` make of `x`. Between them there are only maps of a strip at a time, where the kernels for floats
    /// run.
    pub fn run(&self, x: Map, layers: impl Fn(Map) -> Map) -> Map {
        let [batch, _, height, width] = x.dims();
        let floats = matches!(x.0, Values::Picture(..) | Values::Kernels(_));
        let rows = height.div_ceil(self.stride);
        let pixels = height * width;
        let count = pixels.div_ceil(self.whole.div_ceil(2)).min(rows);
        if !floats || batch != 1 || pixels <= self.whole || count <= 1 {
            return layers(x);
        }
        let mut whole = None;
        for strip in 0..count {
            let [start, end] = [strip, strip + 1].map(|strip| rows * strip / count);
            let first = start.saturating_sub(self.margin);
            let last = height.min((end + self.margin) * self.stride);
            let y = layers(cut(&x, first * self.stride..last));
            let y = y.0.kernels();
            let [_, channels, _, columns] = y.shape();
            whole
                .get_or_insert_with(|| kernels::Map::any(y.context(), [1, channels, rows, columns]))
                .set_rows(start, y, start - first..end - first);
        }
        whole.map_or(x, |whole| Map(whole.into()))
    }
}

/// Some rows of a map, or of a picture.
fn cut(x: &Map, rows: Range<usize>) -> Map {
    match &x.0 {
        Values::Picture(context, picture) => {
            let picture = Arc::new(picture.rows(rows));
            Map(Values::Picture(Arc::clone(context), picture))
        }
        x => Map(x.kernels().rows(rows).into()),
    }
}
