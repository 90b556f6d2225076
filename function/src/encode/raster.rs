//! What is found at each point of a picture.

use std::{iter::repeat_n, ops::Range};

use segmenter_imaging::encode;
use segmenter_models::{Outcome, catalogue::Task, classes::voc_id};

use super::{detections, failed};
use crate::{config::PictureLimits, error::Error, service::Answer};

/// The value of each of `[height, width]` points, which are spread evenly over the picture, the first in its top
/// left pixel.
///
/// It is made of a class and its score: 0 where there is nothing; of a detector, whose classes begin with 0, one more
/// than the class of the best object there. A detection without a mask covers its box.
pub fn raster<T: Copy>(
    answer: &Answer,
    [width, height]: [u32; 2],
    value: impl Fn(u32, f32) -> T,
) -> Vec<T> {
    let prediction = &answer.prediction;
    if let Outcome::ClassMap(map) = &prediction.outcome {
        let rows = (0..height).map(|y| nearest(y, height, map.height) * map.width);
        let points = rows
            .flat_map(|row| (0..width).map(move |x| (row + nearest(x, width, map.width)) as usize));
        return points
            .map(|point| value(map.classes[point].into(), map.confidence[point]))
            .collect();
    }
    let mut points = vec![value(0, 1.0); width as usize * height as usize];
    // The best are last, and so on top.
    for detection in detections(answer).iter().rev() {
        let value = value(detection.class + 1, detection.score);
        let mut cover = |columns: Range<u32>, rows: Range<u32>| {
            let columns = covered(columns, prediction.width, width);
            for y in covered(rows, prediction.height, height) {
                points[y * width as usize..][columns.clone()].fill(value);
            }
        };
        match &detection.mask {
            Some(mask) => mask.spans().for_each(|(x, rows)| cover(x..x + 1, rows)),
            None => {
                let [x0, y0, x1, y1] = detection.bbox;
                cover(x0 as u32..x1.ceil() as u32, y0 as u32..y1.ceil() as u32);
            }
        }
    }
    points
}

/// The class of each of `[height, width]` points, as [`raster`] has them, by its id in Pascal VOC; other classes are as
/// nothing.
pub fn voc_raster(answer: &Answer, size: [u32; 2]) -> Vec<u8> {
    let nothing = match answer.entry.task {
        Task::SemanticSegmentation => 0,
        // Begins with 1 in a raster.
        Task::Detection | Task::InstanceSegmentation => 1,
    };
    let ids = answer.entry.classes.iter().map(|name| voc_id(name) as u8);
    let ids: Vec<u8> = repeat_n(0, nothing).chain(ids).collect();
    raster(answer, size, |class, _| {
        ids.get(class as usize).copied().unwrap_or_default()
    })
}

/// The cell, of so many along a side, that a point lies in.
fn nearest(point: u32, points: u32, cells: u32) -> u32 {
    (u64::from(point) * u64::from(cells) / u64::from(points)) as u32
}

/// The points that lie in these cells: the inverse of [`nearest`].
fn covered(cells: Range<u32>, all: u32, points: u32) -> Range<usize> {
    let first = |cell: u32| {
        let cell = u64::from(cell.min(all));
        (cell * u64::from(points)).div_ceil(u64::from(all)) as usize
    };
    first(cells.start)..first(cells.end)
}

/// The picture as PNG, with one alpha where something is and another where nothing is.
pub fn cutout(
    answer: &Answer,
    [something, nothing]: [u8; 2],
    limits: PictureLimits,
) -> Result<Vec<u8>, Error> {
    let image = answer.image(limits)?;
    let alpha = raster(answer, [image.width(), image.height()], |class, score| {
        // As clients of class maps decide it.
        if class as f32 >= score {
            something
        } else {
            nothing
        }
    });
    let mut bytes = Vec::new();
    encode::png_with_alpha(&image, &alpha, &mut bytes).map_err(|error| failed(&error))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::two_objects;

    #[test]
    fn the_best_is_on_top_and_a_detection_without_a_mask_covers_its_box() {
        let answer = two_objects();
        let none = (0, 1.0);
        let [person, train] = [(1, 0.75), (7, 0.5)];
        let points = raster(&answer, [4, 2], |class, score| (class, score));
        let rows = [[none, train, train, person], [none, none, none, person]];
        assert_eq!(points, rows.concat());
        let points = raster(&answer, [2, 1], |class, score| (class, score));
        assert_eq!(points, [none, train]);
    }

    #[test]
    fn points_lie_in_the_cells_that_cover_them() {
        for (points, cells) in [(1, 1), (7, 3), (3, 7), (224, 640), (640, 224), (5, 5)] {
            for cell in 0..cells {
                let expected = (0..points).filter(|point| nearest(*point, points, cells) == cell);
                let expected: Vec<_> = expected.map(|point| point as usize).collect();
                let found: Vec<_> = covered(cell..cell + 1, cells, points).collect();
                assert_eq!(found, expected, "{points} points, cell {cell} of {cells}");
            }
        }
    }
}
