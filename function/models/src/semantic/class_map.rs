//! From coarse logits to the class of every pixel.

use segmenter_imaging::interpolate::Corners;
use segmenter_kernels as kernels;

use crate::{Device, blocks::Map, prediction::ClassMap};

/// Enlarges `logits`, `[classes, rows, columns]`, bilinearly to `[width, height]` and takes the most probable
/// class of every pixel, the first of equals, with its softmax probability.
///
/// On the processor, wherever the network ran: its logits are in host memory by then.
pub fn class_map(
    logits: &[f32],
    [classes, rows, columns]: [usize; 3],
    [width, height]: [u32; 2],
    corners: Corners,
    device: &Device,
) -> ClassMap {
    let logits = kernels::Map::from_planar(&device.host(), logits, [1, classes, rows, columns]);
    let size = [height as usize, width as usize];
    let (classes, confidence) = kernels::argmax_softmax(&logits, size, of_kernels(corners));
    ClassMap {
        width,
        height,
        classes,
        confidence,
        scores: None,
    }
}

/// What [`class_map`] makes of each of a batch of logits, each for its size, `[width, height]`; by the device that they
/// are on, or `None` where that does not.
pub(super) fn class_maps(
    logits: &Map,
    sizes: &[[u32; 2]],
    corners: Corners,
) -> Option<Vec<ClassMap>> {
    let rows_first: Vec<_> = sizes
        .iter()
        .map(|&[width, height]| [height as usize, width as usize])
        .collect();
    let maps = logits.classes_to_host(&rows_first, of_kernels(corners))?;
    let maps = maps.into_iter().zip(sizes);
    let maps = maps.map(|((classes, confidence), &[width, height])| ClassMap {
        width,
        height,
        classes,
        confidence,
        scores: None,
    });
    Some(maps.collect())
}

fn of_kernels(corners: Corners) -> kernels::Corners {
    match corners {
        Corners::Aligned => kernels::Corners::Aligned,
        Corners::Free => kernels::Corners::Free,
    }
}

#[cfg(test)]
mod tests {
    use segmenter_imaging::interpolate::Corners;

    use super::class_map;
    use crate::Device;

    #[test]
    fn the_most_probable_class_wins() {
        // Two classes on a grid of one row: class 1 grows to the right, from -1 to 1 over 5 pixels.
        let logits = [0.0, 0.0, -1.0, 1.0];
        let map = class_map(
            &logits,
            [2, 1, 2],
            [5, 2],
            Corners::Aligned,
            &Device::stock(),
        );
        assert_eq!((map.width, map.height), (5, 2));
        // In the middle both are 0: the first of equals.
        assert_eq!(map.classes, [0, 0, 0, 1, 1, 0, 0, 0, 1, 1]);
        let expected = 1.0 / (1.0 + (-1.0_f32).exp());
        assert!((map.confidence[0] - expected).abs() < 1e-6);
        assert!((map.confidence[2] - 0.5).abs() < 1e-6);
    }
}
