//! What the network should answer for an example.

use segmenter_imaging::rle::Rle;
use segmenter_models::networks::centermask::{MASK_SIDE, SIDES, STRIDES, point};

use crate::example::{AS_IT_IS, Example, Object};

/// A score of a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// The index of the example in its batch.
    pub example: usize,
    /// Which of the network's levels it is on.
    pub level: usize,
    /// Its place there, `row * columns + column`.
    pub place: usize,
    /// The class that the score is of.
    pub class: usize,
}

/// A point that has to find an object.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Positive {
    /// Which it is, and the class of the object.
    pub at: Point,
    /// To the left, upper, right and lower side of the object's box, in strides. Negative where the point is beside
    /// it.
    pub distances: [f32; 4],
}

/// How far from the middle of what is seen of an object points find it, in strides.
const RADIUS: f32 = 1.5;

/// No distance is less, in strides: where an object is smaller than a cell, its point may be beside it.
const SHORTEST: f32 = 0.05;

/// The points of an example of `[width, height]`, each of which finds the object that it is in the middle of and on,
/// else the smallest that it is in the middle of (Tian et al., "FCOS: A Simple and Strong Anchor-Free Object Detector",
/// 2020, whose middle is the box's). Every object that counts has one at least, the one nearest to its middle, unless
/// that is another's.
pub fn positives(index: usize, example: &Example, [width, height]: [usize; 2]) -> Vec<Positive> {
    let mut positives = Vec::new();
    for (level, stride) in STRIDES.into_iter().enumerate() {
        let [columns, rows] = [width / stride, height / stride];
        let objects = example.objects.iter();
        let objects =
            objects.filter(|object| object.counts(AS_IT_IS) && self::level(object.bbox) == level);
        let mut middles: Vec<(&Object, Middle)> = objects
            .map(|object| {
                let bitmap = Bitmap::new(object);
                (
                    object,
                    Middle::new(object, &bitmap, stride, [columns, rows]),
                )
            })
            .collect();
        // Who is on its points and the smallest come last and stay.
        middles.sort_by(|(a, a_middle), (b, b_middle)| {
            let on = a_middle.on.cmp(&b_middle.on);
            on.then(area(b.bbox).total_cmp(&area(a.bbox)))
        });
        let mut owners: Vec<Option<&Object>> = vec![None; rows * columns];
        for (object, middle) in middles {
            for place in middle.places {
                owners[place] = Some(object);
            }
        }
        for (place, object) in owners.into_iter().enumerate() {
            let Some(object) = object else { continue };
            let [x, y] = point([place % columns, place / columns], stride);
            let [x0, y0, x1, y1] = object.bbox;
            let distances = [x - x0, y - y0, x1 - x, y1 - y];
            let at = Point {
                example: index,
                level,
                place,
                class: object.class,
            };
            positives.push(Positive {
                at,
                distances: distances.map(|side| (side / stride as f32).max(SHORTEST)),
            });
        }
    }
    positives
}

/// The points of an example that may find an object or not: those in the middle of one that does not count, and on it.
/// Some may have to find another.
pub fn optional(index: usize, example: &Example, [width, height]: [usize; 2]) -> Vec<Point> {
    let mut optional = Vec::new();
    let objects = example.objects.iter();
    for object in objects.filter(|object| !object.counts(AS_IT_IS)) {
        let bitmap = Bitmap::new(object);
        for (level, stride) in STRIDES.into_iter().enumerate() {
            let [columns, rows] = [width / stride, height / stride];
            let middle = Middle::new(object, &bitmap, stride, [columns, rows]).places;
            let is_on =
                |place: &usize| bitmap.contains(point([place % columns, place / columns], stride));
            let on = (0..columns * rows).filter(is_on);
            optional.extend(middle.into_iter().chain(on).map(|place| Point {
                example: index,
                level,
                place,
                class: object.class,
            }));
        }
    }
    optional
}

/// The level that finds an object with this box.
fn level([x0, y0, x1, y1]: [f32; 4]) -> usize {
    let longer = (x1 - x0).max(y1 - y0);
    SIDES.iter().rposition(|&from| longer >= from).unwrap_or(0)
}

fn area([x0, y0, x1, y1]: [f32; 4]) -> f32 {
    (x1 - x0) * (y1 - y0)
}

/// The points that find an object.
struct Middle {
    /// Whether they are on what is seen of it. Where none in its middle is, such as on the coarse map of a board with notes
    /// in its middle, they are beside it.
    on: bool,
    /// At the least the one nearest to its middle.
    places: Vec<usize>,
}

impl Middle {
    fn new(object: &Object, bitmap: &Bitmap, stride: usize, [columns, rows]: [usize; 2]) -> Self {
        let [x0, y0, x1, y1] = object.bbox;
        let [middle_x, middle_y] = centroid(&object.mask);
        let step = stride as f32;
        let axis = |from: f32, to: f32, middle: f32, count: usize| {
            let near = middle - RADIUS * step..middle + RADIUS * step;
            let mut hit: Vec<usize> = (0..count)
                .filter(|&at| {
                    let [position, _] = point([at, 0], stride);
                    near.contains(&position) && (from..to).contains(&position)
                })
                .collect();
            if hit.is_empty() {
                hit.push(((middle / step) as usize).min(count.saturating_sub(1)));
            }
            hit
        };
        let columns_hit = axis(x0, x1, middle_x, columns);
        let rows_hit = axis(y0, y1, middle_y, rows);
        let row = |row: usize| columns_hit.iter().map(move |column| row * columns + column);
        let places: Vec<usize> = rows_hit.into_iter().flat_map(row).collect();
        let is_on =
            |place: &usize| bitmap.contains(point([place % columns, place / columns], stride));
        let on: Vec<usize> = places.iter().copied().filter(is_on).collect();
        if on.is_empty() {
            Self { on: false, places }
        } else {
            let places = on;
            Self { on: true, places }
        }
    }
}

/// The mean of a mask's pixels, `[x, y]`.
fn centroid(mask: &Rle) -> [f32; 2] {
    let (mut x_sum, mut y_sum) = (0.0, 0.0);
    for (x, rows) in mask.spans() {
        let length = f64::from(rows.end - rows.start);
        x_sum += length * (f64::from(x) + 0.5);
        y_sum += length * f64::from(rows.start + rows.end) / 2.0;
    }
    let area = mask.area() as f64;
    [x_sum, y_sum].map(|sum| (sum / area) as f32)
}

/// A region to outline an object in.
#[derive(Clone, Debug, PartialEq)]
pub struct Region {
    /// What it counts for, 1 or nothing.
    pub weight: f32,
    /// `[x0, y0, x1, y1]` in pixels.
    pub bbox: [f32; 4],
    /// How much of each part of the region is the object's, `[MASK_SIDE, MASK_SIDE]`, 0..=1.
    pub mask: Vec<f32>,
}

/// Samples of each part of a mask, in each direction.
const SAMPLES: usize = 2;

impl Region {
    /// One that counts for nothing.
    pub fn nothing() -> Self {
        Self {
            weight: 0.0,
            bbox: [0.0, 0.0, 1.0, 1.0],
            mask: vec![0.0; MASK_SIDE * MASK_SIDE],
        }
    }

    /// The region `bbox` of an object, in a picture of its mask's size.
    pub fn new(bbox: [f32; 4], bitmap: &Bitmap) -> Self {
        let [x0, y0, x1, y1] = bbox;
        let at = |from: f32, to: f32, bin: usize, sample: usize| {
            let part = (bin * SAMPLES + sample) as f32 + 0.5;
            from + (to - from) * part / (MASK_SIDE * SAMPLES) as f32
        };
        let mut mask = Vec::with_capacity(MASK_SIDE * MASK_SIDE);
        for bin in 0..MASK_SIDE * MASK_SIDE {
            let [column, row] = [bin % MASK_SIDE, bin / MASK_SIDE];
            let samples = (0..SAMPLES * SAMPLES).filter(|sample| {
                let x = at(x0, x1, column, sample % SAMPLES);
                let y = at(y0, y1, row, sample / SAMPLES);
                bitmap.contains([x, y])
            });
            mask.push(samples.count() as f32 / (SAMPLES * SAMPLES) as f32);
        }
        Self {
            weight: 1.0,
            bbox,
            mask,
        }
    }
}

/// A mask that is quick to look into.
pub struct Bitmap {
    size: [u32; 2],
    /// Rows from the top.
    pixels: Vec<bool>,
}

impl Bitmap {
    /// Of an object.
    pub fn new(object: &Object) -> Self {
        Self {
            size: [object.mask.width(), object.mask.height()],
            pixels: object.mask.to_bitmap(),
        }
    }

    fn contains(&self, [x, y]: [f32; 2]) -> bool {
        let [width, height] = self.size;
        let inside = x >= 0.0 && y >= 0.0 && x < width as f32 && y < height as f32;
        inside && self.pixels[x as usize + y as usize * width as usize]
    }
}

#[cfg(test)]
mod tests {
    use segmenter_imaging::{Image, rle::Rle};

    use super::*;

    const SIZE: [usize; 2] = [128, 96];

    /// An object that fills a box.
    fn object(class: usize, [x0, y0, x1, y1]: [u32; 4]) -> Object {
        let [width, height] = SIZE.map(|side| side as u32);
        let inside = |i: u32| {
            let (x, y) = (i % width, i / width);
            (x0..x1).contains(&x) && (y0..y1).contains(&y)
        };
        let mask: Vec<_> = (0..width * height).map(inside).collect();
        let mask = Rle::from_bitmap(height, width, &mask).unwrap();
        Object::new(class, mask, 1.0).unwrap()
    }

    fn example(objects: Vec<Object>) -> Example {
        let [width, height] = SIZE.map(|side| side as u32);
        let pixels = vec![0; (width * height * 3) as usize];
        Example {
            image: Image::new(width, height, pixels).unwrap(),
            objects,
        }
    }

    #[test]
    fn every_point_knows_the_box_of_its_object() {
        let boxes = [[10, 20, 40, 50], [100, 3, 109, 8], [0, 0, 128, 96]];
        let objects = boxes.map(|bbox| object(1, bbox));
        let found = positives(7, &example(objects.into()), SIZE);
        for (bbox, level) in boxes.into_iter().zip([0, 0, 1]) {
            let points: Vec<_> = found.iter().filter(|one| one.at.level == level).collect();
            let decoded = points.iter().any(|Positive { at, distances }| {
                let stride = STRIDES[at.level];
                let columns = SIZE[0] / stride;
                let [x, y] = point([at.place % columns, at.place / columns], stride);
                let [left, top, right, bottom] = distances.map(|side| side * stride as f32);
                let around = [x - left, y - top, x + right, y + bottom];
                let near = around
                    .iter()
                    .zip(bbox)
                    .all(|(a, b)| (a - b as f32).abs() < 4.0);
                assert_eq!((at.example, at.class), (7, 1));
                near
            });
            assert!(decoded, "no point finds {bbox:?}: {points:?}");
        }
    }

    #[test]
    fn where_two_are_in_the_middle_the_smaller_is_found() {
        let objects = vec![object(0, [40, 40, 56, 56]), object(1, [20, 20, 76, 76])];
        let found = positives(0, &example(objects), SIZE);
        assert!(found.iter().any(|one| one.at.class == 0));
        // The larger has the same middle, and all points around it are the smaller's.
        let of_both = found.iter().filter(|one| one.at.level == 0).count();
        assert_eq!(of_both, found.len());
    }

    #[test]
    fn what_is_half_behind_something_is_found_where_it_is_seen() {
        // A square, and a smaller one before its middle and right lower corner: an L is seen of it.
        let [width, height] = SIZE.map(|side| side as u32);
        let inside = |i: u32| {
            let (x, y) = (i % width, i / width);
            let before = (40..64).contains(&x) && (40..64).contains(&y);
            (24..64).contains(&x) && (24..64).contains(&y) && !before
        };
        let mask: Vec<_> = (0..width * height).map(inside).collect();
        let mask = Rle::from_bitmap(height, width, &mask).unwrap();
        let behind = Object::new(0, mask, 0.64).unwrap();
        let before = object(1, [40, 40, 64, 64]);
        let shown = [Bitmap::new(&behind), Bitmap::new(&before)];
        let found = positives(0, &example(vec![behind, before]), SIZE);
        for class in [0, 1] {
            let of_class: Vec<_> = found.iter().filter(|one| one.at.class == class).collect();
            assert!(of_class.len() > 2, "{of_class:?}");
            for one in of_class {
                let at = [one.at.place % 16, one.at.place / 16];
                assert!(shown[class].contains(point(at, STRIDES[0])), "{one:?}");
            }
        }
    }

    #[test]
    fn what_is_hardly_seen_may_be_found_or_not() {
        let seen = |seen| Object {
            seen,
            ..object(1, [32, 32, 64, 48])
        };
        let of = |object: Object| {
            let example = example(vec![object, self::object(0, [90, 10, 96, 17])]);
            (
                positives(2, &example, SIZE).len(),
                optional(2, &example, SIZE),
            )
        };
        let (wanted, optional) = of(seen(0.3));
        assert!(wanted > 0);
        // The other one is too small.
        assert!(optional.iter().all(|at| at.class == 0 && at.example == 2));
        assert!(optional.iter().any(|at| at.place == 11 + 16));
        let (wanted, optional) = of(seen(0.2));
        assert_eq!(wanted, 0);
        let of_seen = optional.iter().filter(|at| at.class == 1 && at.level == 0);
        let mut places: Vec<_> = of_seen.map(|at| at.place).collect();
        places.sort_unstable();
        places.dedup();
        let on = [68, 69, 70, 71, 84, 85, 86, 87];
        assert_eq!(places, on);
    }

    #[test]
    fn a_region_has_the_share_of_its_object_in_every_part() {
        let object = object(0, [32, 32, 64, 64]);
        let bitmap = Bitmap::new(&object);
        let exact = Region::new([32.0, 32.0, 64.0, 64.0], &bitmap);
        assert!(exact.mask.iter().all(|&share| share == 1.0));
        let twice = Region::new([16.0, 16.0, 80.0, 80.0], &bitmap);
        let share = twice.mask.iter().sum::<f32>() / twice.mask.len() as f32;
        assert!((share - 0.25).abs() < 0.01, "{share}");
        let beyond = Region::new([-64.0, -64.0, 0.0, 0.0], &bitmap);
        assert!(beyond.mask.iter().all(|&share| share == 0.0));
    }
}
