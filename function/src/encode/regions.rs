//! The regions of a class map, so that a semantic segmenter's findings fit every reply.

use segmenter_imaging::rle::Rle;
use segmenter_models::{ClassMap, Detection, Selection};

/// The classes whose regions are wanted, each with its score, the most certain first. A region's score is
/// the mean confidence of its pixels on the map.
pub(super) fn wanted(map: &ClassMap, selection: &Selection) -> Vec<(u32, f32)> {
    let mut regions: Vec<_> = scores(map)
        .into_iter()
        .filter(|(class, score)| *score >= selection.threshold && selection.wants(*class))
        .collect();
    regions.sort_by(|a, b| b.1.total_cmp(&a.1));
    regions.truncate(selection.max_detections);
    regions
}

/// The wanted regions on a picture of this size, `[width, height]`, each as one object.
pub(super) fn detections(
    map: &ClassMap,
    [width, height]: [u32; 2],
    selection: &Selection,
) -> Vec<Detection> {
    wanted(map, selection)
        .into_iter()
        .filter_map(|(class, score)| {
            let mask = region(map, class, width, height)?;
            // A region too thin to have a pixel on a picture smaller than the map is none.
            let bbox = mask.bbox()?.map(|side| side as f32);
            Some(Detection {
                class,
                score,
                bbox,
                mask: selection.masks.then_some(mask),
            })
        })
        .collect()
}

/// The classes on the map but the background, each with the mean confidence of its pixels.
fn scores(map: &ClassMap) -> Vec<(u32, f32)> {
    let mut sums = [(0_usize, 0.0_f64); 256];
    for (class, confidence) in map.classes.iter().zip(&map.confidence) {
        let (pixels, sum) = &mut sums[usize::from(*class)];
        *pixels += 1;
        *sum += f64::from(*confidence);
    }
    (0..)
        .zip(sums)
        .skip(1)
        .filter(|(_, (pixels, _))| *pixels > 0)
        .map(|(class, (pixels, sum))| (class, (sum / pixels as f64) as f32))
        .collect()
}

/// The pixels of a class, each pixel of the picture taking the class of the map pixel under its centre.
fn region(map: &ClassMap, class: u32, width: u32, height: u32) -> Option<Rle> {
    let columns = under_centres(width, map.width);
    let mut rows_of = vec![0_u32; map.height as usize];
    for row in under_centres(height, map.height) {
        rows_of[row] += 1;
    }
    let map_width = map.width as usize;
    // Background and foreground take turns; a run of no pixels lets the same kind follow itself.
    let counts = columns.flat_map(|column| {
        rows_of.iter().enumerate().flat_map(move |(row, rows)| {
            if u32::from(map.classes[row * map_width + column]) == class {
                [0, *rows]
            } else {
                [*rows, 0]
            }
        })
    });
    Rle::from_counts(height, width, counts).ok()
}

/// For each of `pixels`, the one of `cells` of the same length altogether that its centre lies in.
fn under_centres(pixels: u32, cells: u32) -> impl Iterator<Item = usize> {
    let (pixels, cells) = (u64::from(pixels), u64::from(cells));
    (0..pixels).map(move |pixel| ((2 * pixel + 1) * cells / (2 * pixels)) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Selection = Selection {
        threshold: 0.0,
        max_detections: 100,
        classes: None,
        masks: true,
    };

    #[test]
    fn a_region_covers_the_picture_as_its_class_covers_the_map() {
        let map = ClassMap {
            width: 2,
            height: 2,
            classes: vec![0, 7, 7, 7],
            confidence: vec![0.9, 0.5, 0.7, 0.6],
        };
        let found = detections(&map, [5, 4], &ALL);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].class, found[0].bbox), (7, [0.0, 0.0, 5.0, 4.0]));
        assert!((found[0].score - 0.6).abs() < 1e-6);
        let (o, x) = (false, true);
        // The centre of the middle column lies on the edge, which belongs to the right.
        #[rustfmt::skip]
        let expected = [
            o, o, x, x, x,
            o, o, x, x, x,
            x, x, x, x, x,
            x, x, x, x, x,
        ];
        assert_eq!(found[0].mask.as_ref().unwrap().to_bitmap(), expected);
    }

    #[test]
    fn the_most_certain_regions_that_are_wanted_come_first() {
        let map = ClassMap {
            width: 4,
            height: 1,
            classes: vec![0, 1, 2, 3],
            confidence: vec![1.0, 0.5, 0.7, 0.3],
        };
        let found = |selection: &Selection| -> Vec<u32> {
            let regions = wanted(&map, selection);
            regions.iter().map(|(class, _)| *class).collect()
        };
        assert_eq!(found(&ALL), [2, 1, 3]);
        let certain = Selection {
            threshold: 0.4,
            ..ALL
        };
        assert_eq!(found(&certain), [2, 1]);
        let one = Selection {
            max_detections: 1,
            classes: Some(vec![1, 3]),
            ..ALL
        };
        assert_eq!(found(&one), [1]);
    }
}
