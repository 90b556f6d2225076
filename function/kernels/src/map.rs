//! Feature maps in the layout that the kernels work on.

use std::{ops::Range, sync::Arc};

use crate::{
    arena::{Arena, Buffer},
    isa::Isa,
    simd::LANES,
    trace::{Span, Timed, Trace},
};

/// What the maps of most networks take less than, in bytes.
const ROOM: usize = 256 << 20;

/// What kernels run with: which instructions, and where their memory comes from.
///
/// Kernels run on the threads of the rayon pool that they are called on; called from outside of one, on
/// the global pool; or [on the calling thread](crate::on_this_thread).
#[derive(Debug)]
pub struct Context {
    /// The vector instructions.
    pub isa: Isa,
    /// Where maps and scratch memory come from and go back to.
    pub arena: Arena,
    /// None where nobody wants to know.
    trace: Option<Trace>,
}

impl Context {
    /// With memory of its own.
    pub fn new(isa: Isa) -> Arc<Self> {
        Arc::new(Self {
            isa,
            arena: Arena::with_room(ROOM),
            trace: None,
        })
    }

    /// That notes every call of a kernel, for [`spans`](Self::spans).
    pub fn traced(isa: Isa) -> Arc<Self> {
        Arc::new(Self {
            isa,
            arena: Arena::with_room(ROOM),
            trace: Some(Trace::default()),
        })
    }

    /// The calls since this was last asked for; none where they are not traced.
    pub fn spans(&self) -> Vec<Span> {
        self.trace.as_ref().map_or_else(Vec::new, Trace::take)
    }

    /// To be held while a kernel makes `output` by so many multiplications.
    pub(crate) fn timed(
        &self,
        kernel: impl FnOnce() -> String,
        output: [usize; 4],
        multiplications: usize,
    ) -> Option<Timed<'_>> {
        let trace = self.trace.as_ref()?;
        Some(Timed::begin(trace, kernel(), output, multiplications))
    }
}

/// A batch of feature maps, 32-bit floats.
///
/// In memory it is `[ceil(channels / 16), batch, height, width, 16]`: sixteen channels of a pixel lie
/// side by side, and a pointwise convolution sees the whole batch as one long row of pixels. What the
/// last block holds beyond `channels` is not specified; no kernel lets it reach another channel.
#[derive(Debug)]
pub struct Map {
    pub(crate) context: Arc<Context>,
    pub(crate) values: Buffer<f32>,
    shape: [usize; 4],
}

impl Map {
    /// A map of any values, `[batch, channels, height, width]`.
    pub fn any(context: &Arc<Context>, shape: [usize; 4]) -> Self {
        let [batch, channels, height, width] = shape;
        let blocks = channels.div_ceil(LANES);
        Self {
            context: Arc::clone(context),
            values: context.arena.take(blocks * batch * height * width * LANES),
            shape,
        }
    }

    /// From values in the order `[batch, channels, height, width]`.
    ///
    /// # Panics
    /// If there are not as many.
    pub fn from_planar(context: &Arc<Context>, values: &[f32], shape: [usize; 4]) -> Self {
        assert_eq!(values.len(), shape.iter().product::<usize>());
        let mut map = Self::any(context, shape);
        let [batch, channels, height, width] = shape;
        let pixels = height * width;
        if pixels == 0 || batch == 0 {
            return map;
        }
        for (index, image) in map.values.chunks_exact_mut(pixels * LANES).enumerate() {
            let (block, n) = (index / batch, index % batch);
            for lane in 0..LANES {
                let channel = block * LANES + lane;
                let pixels_of = image[lane..].iter_mut().step_by(LANES);
                if channel < channels {
                    let plane = &values[(n * channels + channel) * pixels..][..pixels];
                    pixels_of.zip(plane).for_each(|(to, from)| *to = *from);
                } else {
                    pixels_of.for_each(|to| *to = 0.0);
                }
            }
        }
        map
    }

    /// Its values in the order `[batch, channels, height, width]`.
    pub fn to_planar(&self) -> Vec<f32> {
        let [batch, channels, height, width] = self.shape;
        let mut planar = Vec::with_capacity(batch * channels * height * width);
        for map in 0..batch {
            for channel in 0..channels {
                planar.extend(self.plane(map, channel));
            }
        }
        planar
    }

    /// The values of one channel of one map, `[height, width]`.
    ///
    /// # Panics
    /// If there is no such channel.
    pub fn plane(&self, map: usize, channel: usize) -> impl Iterator<Item = f32> + '_ {
        let [batch, channels, height, width] = self.shape;
        assert!(
            map < batch && channel < channels,
            "no channel {channel} of {map}"
        );
        let start = (channel / LANES * batch + map) * height * width * LANES;
        let pixels = self.values[start..][..height * width * LANES].iter();
        pixels.skip(channel % LANES).step_by(LANES).copied()
    }

    /// `[batch, channels, height, width]`.
    pub fn shape(&self) -> [usize; 4] {
        self.shape
    }

    /// Some rows of it.
    ///
    /// # Panics
    /// If there are not as many.
    #[must_use]
    pub fn rows(&self, rows: Range<usize>) -> Self {
        let [batch, channels, _, width] = self.shape;
        let mut part = Self::any(&self.context, [batch, channels, rows.len(), width]);
        part.set_rows(0, self, rows);
        part
    }

    /// Copies some rows of a map of as many channels and columns to its own, from `first` on.
    ///
    /// # Panics
    /// If there are not as many, or the shapes differ otherwise.
    pub fn set_rows(&mut self, first: usize, from: &Self, rows: Range<usize>) {
        let [batch, channels, height, width] = self.shape;
        let from_height = from.shape[2];
        assert_eq!(from.shape, [batch, channels, from_height, width]);
        assert!(first + rows.len() <= height && rows.end <= from_height);
        for plane in 0..self.blocks() * batch {
            let to = (plane * height + first) * width * LANES;
            let at = (plane * from_height + rows.start) * width * LANES;
            let floats = rows.len() * width * LANES;
            self.values[to..][..floats].copy_from_slice(&from.values[at..][..floats]);
        }
    }

    /// What made it.
    pub fn context(&self) -> &Arc<Context> {
        &self.context
    }

    /// Blocks of sixteen channels.
    pub(crate) fn blocks(&self) -> usize {
        self.shape[1].div_ceil(LANES)
    }
}

/// A copy in memory of its own.
impl Clone for Map {
    fn clone(&self) -> Self {
        let mut copy = Self::any(&self.context, self.shape);
        copy.values.copy_from_slice(&self.values);
        copy
    }
}

#[cfg(test)]
mod tests {
    use super::{Context, Map};
    use crate::isa::Isa;

    #[test]
    fn there_and_back() {
        let context = Context::new(Isa::best());
        for shape in [
            [1, 3, 2, 5],
            [2, 16, 1, 1],
            [3, 37, 4, 3],
            [0, 5, 2, 2],
            [2, 5, 0, 2],
        ] {
            let values: Vec<f32> = (0..shape.iter().product())
                .map(|i: usize| i as f32)
                .collect();
            let map = Map::from_planar(&context, &values, shape);
            assert_eq!(map.to_planar(), values);
        }
    }
}
