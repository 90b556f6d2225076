//! Feature maps in a GPU's memory.

use std::sync::Arc;

use rayon::prelude::*;
use segmenter_kernels::Span;

use crate::{
    gpu::{Gpu, GpuError},
    halves::from_halves,
    memory::{Block, Use},
    shader::{Kernel, Shader},
    trace::named,
};

/// Channels that lie side by side.
pub(crate) const QUAD: usize = 4;

/// As many quads as these channels take.
pub(crate) fn quads(channels: usize) -> usize {
    channels.div_ceil(QUAD)
}

/// A batch of feature maps, `[batch, channels, height, width]`, floats of 32 bits, or 16 of a GPU that was
/// [opened](crate::Options::half) so. Clones share their values.
///
/// In memory it is `[batch, height, width, ceil(channels / 4), 4]`. What the last four hold beyond `channels` is any
/// finite number; no kernel lets it reach another channel.
#[derive(Clone, Debug)]
pub struct Map {
    gpu: Arc<Gpu>,
    block: Arc<Block>,
    shape: [usize; 4],
}

impl Map {
    /// Of the values in a block.
    pub(crate) fn new(gpu: &Arc<Gpu>, shape: [usize; 4], block: Block) -> Self {
        Self {
            gpu: Arc::clone(gpu),
            block: Arc::new(block),
            shape,
        }
    }

    /// Of any values.
    pub(crate) fn any(gpu: &Arc<Gpu>, shape: [usize; 4]) -> Self {
        let [batch, channels, height, width] = shape;
        let bytes = batch * height * width * quads(channels) * QUAD * gpu.value_bytes();
        Self::new(gpu, shape, Block::take(gpu, Use::Compute, bytes))
    }

    /// From values in the order `[batch, channels, height, width]`.
    ///
    /// # Panics
    /// If there are not as many.
    pub fn from_planar(gpu: &Arc<Gpu>, values: &[f32], shape: [usize; 4]) -> Self {
        let [batch, channels, height, width] = shape;
        let pixels = height * width;
        assert_eq!(values.len(), batch * channels * pixels);
        let stride = quads(channels) * QUAD;
        let mut packed = vec![0.0_f32; batch * pixels * stride];
        for (i, value) in values.iter().enumerate() {
            let [plane, pixel] = [i / pixels, i % pixels];
            let [image, channel] = [plane / channels, plane % channels];
            packed[(image * pixels + pixel) * stride + channel] = *value;
        }
        Self::new(gpu, shape, Block::of_floats(gpu, &packed))
    }

    /// `[batch, channels, height, width]`.
    pub fn shape(&self) -> [usize; 4] {
        self.shape
    }

    pub(crate) fn gpu(&self) -> &Arc<Gpu> {
        &self.gpu
    }

    pub(crate) fn buffer(&self) -> &wgpu::Buffer {
        self.block.buffer()
    }

    /// As many as its memory has, those beyond its channels, too.
    pub(crate) fn quads(&self) -> usize {
        let [batch, channels, height, width] = self.shape;
        batch * height * width * quads(channels)
    }
}

/// The values of these maps, each in the order `[batch, channels, height, width]`. Waits for the GPU, once for all.
///
/// # Errors
/// If the GPU failed, now or before.
///
/// # Panics
/// If they are of several GPUs.
pub fn read(maps: &[&Map]) -> Result<Vec<Vec<f32>>, GpuError> {
    let Some(first) = maps.first() else {
        return Ok(Vec::new());
    };
    let same = |map: &&Map| Arc::ptr_eq(&map.gpu, &first.gpu);
    assert!(maps.iter().all(same), "maps of several GPUs");
    let sources: Vec<_> = maps
        .iter()
        .map(|map| (map.buffer(), map.quads() * QUAD))
        .collect();
    let shapes = || maps.iter().map(|map| map.shape);
    if first.gpu.half() {
        read_back(&first.gpu, &sources, |all| {
            let all = all.iter().zip(shapes());
            all.map(|(own, shape)| planar(&from_halves(own), shape))
                .collect()
        })
    } else {
        read_back(&first.gpu, &sources, |all| {
            let all = all.iter().zip(shapes());
            all.map(|(own, shape)| planar(own, shape)).collect()
        })
    }
}

/// One channel of each of its maps, `[batch, height, width]`, where `channels` says which one. Waits for the GPU.
///
/// # Errors
/// If the GPU failed, now or before.
///
/// # Panics
/// If there are not as many channels as maps, or one is none of theirs.
pub fn planes(map: &Map, channels: &[usize]) -> Result<Vec<f32>, GpuError> {
    let [batch, all, height, width] = map.shape;
    assert_eq!(channels.len(), batch, "a channel for each map");
    assert!(channels.iter().all(|&channel| channel < all));
    let gpu = &map.gpu;
    let values = batch * height * width;
    if values == 0 {
        return Ok(Vec::new());
    }
    let channels: Vec<_> = channels.iter().map(|&channel| channel as u32).collect();
    let channels = Block::of(gpu, &channels);
    let chosen = Block::take(gpu, Use::Compute, values * size_of::<f32>());
    gpu.run_each(
        Shader::new(Kernel::Planes),
        &[map.buffer(), channels.buffer(), chosen.buffer()],
        &[height * width, quads(all)],
        values,
        || Span {
            output: [batch, 1, height, width],
            ..named("planes", map)
        },
    );
    read_back(gpu, &[(chosen.buffer(), values)], |all| all.concat())
}

/// What `of` makes of so many values of each buffer.
pub(crate) fn read_back<T: bytemuck::AnyBitPattern, R>(
    gpu: &Arc<Gpu>,
    sources: &[(&wgpu::Buffer, usize)],
    of: impl FnOnce(&[&[T]]) -> R,
) -> Result<R, GpuError> {
    let bytes = |values: usize| (values * size_of::<T>()) as u64;
    let total: usize = sources.iter().map(|(_, values)| values).sum();
    if total == 0 {
        return Ok(of(&vec![&[][..]; sources.len()]));
    }
    let copies: Vec<_> = sources
        .iter()
        .filter(|(_, values)| *values > 0)
        .map(|&(buffer, values)| (buffer, bytes(values)))
        .collect();
    let read = Block::take(gpu, Use::ReadBack, total * size_of::<T>());
    gpu.copy_and_wait(&copies, read.buffer())?;
    read.read(total, |mut rest: &[T]| {
        let each = sources.iter().map(|&(_, values)| {
            let (own, others) = rest.split_at(values);
            rest = others;
            own
        });
        of(&each.collect::<Vec<_>>())
    })
}

/// `[batch, height, width, quads, 4]` to `[batch, channels, height, width]`, by all threads.
fn planar(values: &[f32], [batch, channels, height, width]: [usize; 4]) -> Vec<f32> {
    let (pixels, stride) = (height * width, quads(channels) * QUAD);
    let mut planes = vec![0.0; batch * channels * pixels];
    if planes.is_empty() {
        return planes;
    }
    if pixels == 1 {
        let images = planes.chunks_exact_mut(channels);
        for (to, from) in images.zip(values.chunks_exact(stride)) {
            to.copy_from_slice(&from[..channels]);
        }
        return planes;
    }
    let all = planes.par_chunks_exact_mut(pixels).enumerate();
    all.for_each(|(i, plane)| {
        let first = i / channels * pixels * stride + i % channels;
        for (to, from) in plane.iter_mut().zip(values[first..].iter().step_by(stride)) {
            *to = *from;
        }
    });
    planes
}
