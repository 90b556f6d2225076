//! RoIAlign: regions of feature maps at a fixed size.
//!
//! He et al., "Mask R-CNN", 2017, with the samples that torchvision takes
//! (`torchvision/csrc/ops/cpu/roi_align_kernel.cpp`).

use std::sync::Arc;

use segmenter_kernels::RoiAlign;

use crate::{
    gpu::Gpu,
    map::{Map, quads},
    memory::Block,
    shader::{Kernel, Shader},
    trace::named,
};

/// A region of interest, and the map that it is taken from.
#[derive(Clone, Copy, Debug)]
pub struct Roi<'a> {
    /// `[batch, channels, height, width]`.
    pub map: &'a Map,
    /// Which of its batch.
    pub image: usize,
    /// The size of one pixel of the picture on the map: 1 / stride.
    pub scale: f32,
    /// `x0, y0, x1, y1`, in pixels of the picture.
    pub bbox: [f32; 4],
}

/// Words of a region as the kernel reads it.
const WORDS: usize = 8;

/// Takes the regions, each from its map, all with as many channels as `channels`. Result:
/// `[rois, channels, size, size]`.
///
/// # Panics
/// If a map lacks the image, is of other channels, or has no pixels.
pub fn roi_align(gpu: &Arc<Gpu>, how: &RoiAlign, rois: &[Roi<'_>], channels: usize) -> Map {
    let pooled = Map::any(gpu, [rois.len(), channels, how.size, how.size]);
    // Those of one map together.
    let mut maps: Vec<(&Map, Vec<[u32; WORDS]>)> = Vec::new();
    for (place, roi) in rois.iter().enumerate() {
        let region = region(how, roi, place);
        match maps
            .iter_mut()
            .find(|(map, _)| map.buffer() == roi.map.buffer())
        {
            Some((_, regions)) => regions.push(region),
            None => maps.push((roi.map, vec![region])),
        }
    }
    for (map, regions) in maps {
        let [_, own, rows, columns] = map.shape();
        assert_eq!(own, channels, "channels of a map");
        assert!(rows > 0 && columns > 0, "a map without pixels");
        let items = regions.len() * how.size * how.size * quads(channels);
        let regions = Block::of(gpu, regions.as_flattened());
        gpu.run_each(
            Shader::new(Kernel::RoiAlign).constant("SIZE", how.size),
            &[map.buffer(), regions.buffer(), pooled.buffer()],
            &[rows, columns, quads(channels)],
            items,
            || named("RoIAlign", &pooled),
        );
    }
    pooled
}

/// Where it starts on the map, the sides of its bins, samples of a bin, each along x and y, its place, and the first
/// pixel of its image.
fn region(how: &RoiAlign, roi: &Roi<'_>, place: usize) -> [u32; WORDS] {
    let [batch, _, rows, columns] = roi.map.shape();
    assert!(roi.image < batch, "an image that a map lacks");
    let half = if how.aligned { 0.5 } else { 0.0 };
    let [x0, y0, x1, y1] = roi.bbox.map(|side| side * roi.scale - half);
    let along = |start: f32, end: f32| {
        let extent = if how.aligned {
            end - start
        } else {
            (end - start).max(1.0)
        };
        let bin = extent / how.size as f32;
        (bin, how.sampling.unwrap_or(bin.ceil() as usize) as u32)
    };
    let (across, samples_across) = along(x0, x1);
    let (down, samples_down) = along(y0, y1);
    let [x0, y0, across, down] = [x0, y0, across, down].map(f32::to_bits);
    [
        x0,
        y0,
        across,
        down,
        samples_across,
        samples_down,
        place as u32,
        (roi.image * rows * columns) as u32,
    ]
}
