//! The score that clients of the main API compute: how far two lists of names agree.

use std::collections::HashMap;

/// The mean [`score`] over all pictures of `actual`; a picture without a prediction scores as one in
/// which nothing was found.
pub(super) fn mean(
    actual: &HashMap<String, Vec<String>>,
    predicted: &HashMap<String, Vec<String>>,
) -> f64 {
    let sum: f64 = actual
        .iter()
        .map(|(name, labels)| score(labels, predicted.get(name).map_or(&[], Vec::as_slice)))
        .sum();
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52 pictures")]
    let count = actual.len() as f64;
    sum / count
}

/// Sorensen and Dice's coefficient of two multisets of names: twice the size of their intersection over
/// the sum of their sizes. NaN for two empty ones.
fn score(actual: &[String], predicted: &[String]) -> f64 {
    let mut left: Vec<&String> = actual.iter().collect();
    let mut common = 0;
    for label in predicted {
        if let Some(position) = left.iter().position(|other| *other == label) {
            left.swap_remove(position);
            common += 1;
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52 names")]
    let (common, sizes) = (f64::from(common), (actual.len() + predicted.len()) as f64);
    2.0 * common / sizes
}

#[cfg(test)]
mod tests {
    use super::score;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().copied().map(String::from).collect()
    }

    #[test]
    fn each_name_is_used_once() {
        let actual = names(&["bird", "boat", "boat", "person"]);
        let close = |a: f64, b: f64| (a - b).abs() < 1e-12;
        assert!(close(
            score(&actual, &names(&["boat", "bird", "dog"])),
            4.0 / 7.0
        ));
        assert!(close(
            score(&actual, &names(&["bird", "bird", "bird"])),
            2.0 / 7.0
        ));
        assert!(close(score(&actual, &actual), 1.0));
        assert!(close(score(&actual, &[]), 0.0));
    }
}
