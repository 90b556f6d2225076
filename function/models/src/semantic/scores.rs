//! The scores of all classes, which are many: a value for every class of every pixel.

use segmenter_imaging::interpolate::{Corners, Tap, taps};

/// The scores of all classes for every pixel of a class map.
///
/// They are kept as coarse as the network gives them, and enlarged bilinearly row by row as they are read.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    /// `[classes, rows, columns]`.
    logits: Vec<f32>,
    classes: usize,
    rows: Vec<Tap>,
    columns: Vec<Tap>,
    /// Of the grid of logits.
    grid: [usize; 2],
}

impl Scores {
    /// Of `logits` `[classes, rows, columns]`, enlarged to `[width, height]`.
    pub(super) fn new(
        logits: Vec<f32>,
        [classes, rows, columns]: [usize; 3],
        [width, height]: [u32; 2],
        corners: Corners,
    ) -> Self {
        Self {
            logits,
            classes,
            rows: taps(rows as u32, height, corners),
            columns: taps(columns as u32, width, corners),
            grid: [rows, columns],
        }
    }

    /// `[classes, height, width]`.
    pub fn shape(&self) -> [usize; 3] {
        [self.classes, self.rows.len(), self.columns.len()]
    }

    /// The unnormalised scores of a class along a row of pixels, from the left.
    ///
    /// # Panics
    /// If there is no such class or no such row.
    pub fn logits(&self, class: usize, row: usize) -> impl Iterator<Item = f32> {
        let [rows, columns] = self.grid;
        let between = self.rows[row];
        let line = |row: usize| &self.logits[(class * rows + row) * columns..][..columns];
        let (above, below) = (line(between.low), line(between.high));
        self.columns.iter().map(move |column| {
            let blend = |line: &[f32]| column.blend(line[column.low], line[column.high]);
            between.blend(blend(above), blend(below))
        })
    }

    /// For every pixel, `[height, width]`, the logarithm of the sum of its scores' exponentials: the softmax probability
    /// of a class is `exp(logit - this)`.
    pub fn normalisers(&self) -> Vec<f32> {
        let [classes, height, width] = self.shape();
        let mut normalisers = Vec::with_capacity(height * width);
        let (mut most, mut sums) = (vec![0.0; width], vec![0.0; width]);
        for row in 0..height {
            most.fill(f32::NEG_INFINITY);
            for class in 0..classes {
                for (most, logit) in most.iter_mut().zip(self.logits(class, row)) {
                    *most = logit.max(*most);
                }
            }
            sums.fill(0.0);
            for class in 0..classes {
                for ((sum, most), logit) in sums.iter_mut().zip(&most).zip(self.logits(class, row))
                {
                    *sum += (logit - most).exp();
                }
            }
            let sums = most.iter().zip(&sums);
            normalisers.extend(sums.map(|(most, sum): (&f32, &f32)| most + sum.ln()));
        }
        normalisers
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Device, semantic::class_map};

    #[test]
    fn the_best_score_of_a_pixel_is_its_class_with_its_probability() {
        let shape @ [classes, rows, columns] = [5, 3, 4];
        let logits: Vec<_> = (0..classes * rows * columns)
            .map(|i| ((i * 37 % 60) as f32 - 30.0) / 4.0)
            .collect();
        for corners in [Corners::Free, Corners::Aligned] {
            let size = [11, 7];
            let map = class_map(&logits, shape, size, corners, &Device::stock());
            let scores = Scores::new(logits.clone(), shape, size, corners);
            assert_eq!(scores.shape(), [5, 7, 11]);
            let normalisers = scores.normalisers();
            for row in 0..7 {
                let rows: Vec<Vec<_>> = (0..classes)
                    .map(|class| scores.logits(class, row).collect())
                    .collect();
                for column in 0..11 {
                    let pixel = row * 11 + column;
                    let probability =
                        |class: usize| (rows[class][column] - normalisers[pixel]).exp();
                    let sum: f32 = (0..classes).map(probability).sum();
                    assert!((sum - 1.0).abs() < 1e-5, "{sum}");
                    let best = usize::from(map.classes[pixel]);
                    let most = rows.iter().map(|row| row[column]).fold(f32::MIN, f32::max);
                    // Two can be equal but for their rounding.
                    assert!(most - rows[best][column] < 1e-5);
                    assert!((probability(best) - map.confidence[pixel]).abs() < 1e-5);
                }
            }
        }
    }

    #[test]
    fn a_map_as_large_as_the_grid_has_its_scores() {
        let logits = vec![1.0, -2.0, 3.0, 4.0, 5.0, -6.0];
        let scores = Scores::new(logits, [1, 2, 3], [3, 2], Corners::Free);
        assert_eq!(scores.logits(0, 1).collect::<Vec<_>>(), [4.0, 5.0, -6.0]);
    }
}
