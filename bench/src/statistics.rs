//! Many numbers in few.

use serde::Serialize;

/// What repeated measurements of one thing showed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Spread {
    /// Half of them are not above it.
    pub(crate) median: f64,
    /// The least of them.
    pub(crate) least: f64,
    /// The greatest of them.
    pub(crate) greatest: f64,
}

impl Spread {
    /// `None` of none.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let values = sorted(values);
        Some(Self {
            median: median(&values)?,
            least: *values.first()?,
            greatest: *values.last()?,
        })
    }
}

/// The middle one, or the mean of the middle two; `None` of none.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let values = sorted(values.iter().copied());
    let upper = *values.get(values.len() / 2)?;
    Some(if values.len().is_multiple_of(2) {
        f64::midpoint(values[values.len() / 2 - 1], upper)
    } else {
        upper
    })
}

/// The least value that `percent` of the values do not exceed (nearest rank); `None` of none.
pub(crate) fn percentile(values: &[f64], percent: usize) -> Option<f64> {
    let values = sorted(values.iter().copied());
    let rank = (values.len() * percent).div_ceil(100).max(1);
    values.get(rank - 1).copied()
}

fn sorted(values: impl IntoIterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values
}

#[cfg(test)]
mod tests {
    use super::{Spread, median, percentile};

    #[test]
    fn percentiles_are_values_that_were_seen() {
        let values: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        let at = |percent| percentile(&values, percent);
        assert_eq!(
            [50, 95, 99, 100].map(at),
            [50.0, 95.0, 99.0, 100.0].map(Some)
        );
        assert_eq!(percentile(&[7.0], 99), Some(7.0));
        assert_eq!(percentile(&[], 50), None);
    }

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(&[9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[9.0, 1.0, 2.0, 4.0]), Some(3.0));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn a_spread_goes_from_the_least_to_the_greatest() {
        let spread = Spread {
            median: 2.0,
            least: 1.0,
            greatest: 9.0,
        };
        assert_eq!(Spread::of([9.0, 1.0, 2.0]), Some(spread));
        assert_eq!(Spread::of([]), None);
    }
}
