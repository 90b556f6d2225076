//! Probabilities on the host, of the few values that are read back anyway.

/// `1 / (1 + exp(-x))`.
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// Turns each row of `columns` logits into probabilities that add up to 1.
pub fn softmax(rows: &mut [f32], columns: usize) {
    for row in rows.chunks_exact_mut(columns) {
        let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        row.iter_mut().for_each(|x| *x = (*x - largest).exp());
        let sum: f32 = row.iter().sum();
        row.iter_mut().for_each(|x| *x /= sum);
    }
}

#[cfg(test)]
mod tests {
    use super::{sigmoid, softmax};

    #[test]
    fn probabilities() {
        let mut rows = [0.0, 0.0, 1000.0, 0.0];
        softmax(&mut rows, 2);
        assert_eq!(rows, [0.5, 0.5, 1.0, 0.0]);
        assert_eq!(sigmoid(0.0), 0.5);
        assert_eq!(sigmoid(-1000.0), 0.0);
    }
}
