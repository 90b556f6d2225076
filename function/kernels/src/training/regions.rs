//! RoIAlign, there and back.

use super::floats;
use crate::{
    Context, RoiAlign,
    isa::Task,
    roi_align::Region,
    shared::{Shared, filled},
    simd::{LANES, Simd},
};

/// Regions of a map, each of an image of its batch.
#[derive(Clone, Copy, Debug)]
pub struct Regions<'a> {
    /// What it runs with.
    pub context: &'a Context,
    /// How they are sampled.
    pub how: RoiAlign,
    /// `[batch, channels, height, width]` of the map.
    pub shape: [usize; 4],
    /// The size of one pixel of the picture on the map: 1 / stride.
    pub scale: f32,
    /// The image, and `[x0, y0, x1, y1]` in pixels of the picture.
    pub boxes: &'a [(usize, [f32; 4])],
}

impl Regions<'_> {
    /// `[regions, channels, size, size]`.
    pub fn output_shape(&self) -> [usize; 4] {
        [
            self.boxes.len(),
            self.shape[1],
            self.how.size,
            self.how.size,
        ]
    }

    /// The regions, from the map, in the layout of maps as that is.
    ///
    /// # Panics
    /// If a length is another, and if there is no such image.
    pub fn forward(&self, x: &[f32]) -> Vec<f32> {
        assert_eq!(x.len(), floats(self.shape));
        let blocks = self.shape[1].div_ceil(LANES);
        let regions = self.regions(x);
        let pool = |to: Shared<'_, f32>| self.how.pool(self.context, &regions, blocks, to);
        // SAFETY: it writes every bin of every region.
        unsafe { filled(floats(self.output_shape()), pool) }
    }

    /// The gradient by the map from that by the regions.
    ///
    /// # Panics
    /// As [`forward`](Self::forward).
    pub fn gradient(&self, gradient: &[f32]) -> Vec<f32> {
        assert_eq!(gradient.len(), floats(self.output_shape()));
        let [batch, channels, height, width] = self.shape;
        let mut x = vec![0.0; floats(self.shape)];
        let task = Spread {
            regions: self.regions(&[]),
            bins: self.how.size,
            batch,
            size: [height, width],
            gradient,
            x: Shared::new(&mut x),
        };
        let planes = channels.div_ceil(LANES) * batch;
        self.context.isa.run_all(planes, &task);
        x
    }

    fn regions<'a>(&self, x: &'a [f32]) -> Vec<Region<'a>> {
        let [batch, _, height, width] = self.shape;
        assert!(height > 0 && width > 0, "a map without pixels");
        let boxes = self.boxes.iter();
        let regions = boxes.map(|&(image, bbox)| {
            assert!(image < batch, "an image that the map lacks");
            self.how.region_of(x, self.shape, image, self.scale, bbox)
        });
        regions.collect()
    }
}

/// A task is sixteen channels of an image.
struct Spread<'a> {
    regions: Vec<Region<'a>>,
    /// Along both axes.
    bins: usize,
    batch: usize,
    /// `[height, width]` of the map.
    size: [usize; 2],
    gradient: &'a [f32],
    x: Shared<'a, f32>,
}

impl Task for Spread<'_> {
    #[inline(always)]
    fn run<S: Simd>(&self, index: usize) {
        let (block, image) = (index / self.batch, index % self.batch);
        let [height, width] = self.size;
        let plane = height * width * LANES;
        // SAFETY: the plane is this task's.
        let x = unsafe { self.x.part(index * plane, plane) };
        let mut line = vec![0.0; width * LANES];
        let row_of_bins = self.bins * LANES;
        let regions = self.regions.iter().enumerate();
        for (index, region) in regions.filter(|(_, region)| region.image == image) {
            let first = (block * self.regions.len() + index) * self.bins * row_of_bins;
            let gradient = &self.gradient[first..][..self.bins * row_of_bins];
            let columns = || region.columns.iter().flatten().map(|column| column.offset);
            let (Some(start), Some(last)) = (columns().min(), columns().max()) else {
                continue;
            };
            let line = &mut line[start..last + LANES];
            let share = S::splat(region.share());
            for (rows, gradient) in region.rows.iter().zip(gradient.chunks_exact(row_of_bins)) {
                line.fill(0.0);
                for (columns, bin) in region.columns.iter().zip(gradient.chunks_exact(LANES)) {
                    // SAFETY: a bin has LANES values.
                    let bin = S::mul(share, unsafe { S::load(bin.as_ptr()) });
                    for column in columns {
                        let at = &mut line[column.offset - start..][..LANES];
                        add::<S>(at, S::splat(column.weight), bin);
                    }
                }
                for row in rows {
                    let weight = S::splat(row.weight);
                    let x = &mut x[row.offset + start..][..line.len()];
                    for (x, line) in x.chunks_exact_mut(LANES).zip(line.chunks_exact(LANES)) {
                        // SAFETY: a pixel has LANES values.
                        add::<S>(x, weight, unsafe { S::load(line.as_ptr()) });
                    }
                }
            }
        }
    }
}

/// Adds `weight * values` to a pixel.
#[inline(always)]
fn add<S: Simd>(to: &mut [f32], weight: S::Floats, values: S::Floats) {
    assert_eq!(to.len(), LANES);
    // SAFETY: the length above.
    unsafe {
        let sum = S::mul_add(weight, values, S::load(to.as_ptr()));
        S::store(to.as_mut_ptr(), sum);
    }
}
