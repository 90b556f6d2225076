//! From measured processes to a row of the table.

use std::time::Duration;

use crate::{contestant::Measured, megabytes};

/// The head of the table, in Markdown.
pub(crate) const HEADER: &str = "\
| | p50 | p95 | p99 | throughput | cold start | peak memory |
|---|---|---|---|---|---|---|";

/// What all processes of one contestant showed.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    latencies: Vec<Duration>,
    cold_starts: Vec<Duration>,
    throughputs: Vec<f64>,
    peak_resident: u64,
    /// What it says it runs on.
    pub(crate) version: Option<String>,
}

impl Figures {
    /// Adds one process.
    pub(crate) fn add(&mut self, measured: Measured) {
        self.latencies.extend(measured.latencies);
        self.cold_starts.push(measured.cold_start);
        self.throughputs.push(measured.throughput);
        self.peak_resident = self.peak_resident.max(measured.peak_resident);
        self.version = measured.version.or(self.version.take());
    }

    /// A row of the table: percentiles over all pictures of all rounds, medians over the rounds.
    pub(crate) fn row(&self, name: &str) -> String {
        let mut latencies: Vec<f64> = self.latencies.iter().map(milliseconds).collect();
        latencies.sort_by(f64::total_cmp);
        let mut cold_starts: Vec<f64> = self.cold_starts.iter().map(milliseconds).collect();
        cold_starts.sort_by(f64::total_cmp);
        let mut throughputs = self.throughputs.clone();
        throughputs.sort_by(f64::total_cmp);
        format!(
            "| {name} | {:.1} ms | {:.1} ms | {:.1} ms | {:.1} /s | {:.0} ms | {:.0} MB |",
            percentile(&latencies, 50),
            percentile(&latencies, 95),
            percentile(&latencies, 99),
            percentile(&throughputs, 50),
            percentile(&cold_starts, 50),
            megabytes(self.peak_resident),
        )
    }
}

fn milliseconds(time: &Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The least value that `percent` of the values, sorted, do not exceed (nearest rank); NaN of none.
fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::percentile;

    #[test]
    fn percentiles_are_values_that_were_seen() {
        let values: Vec<f64> = (1..=100).map(f64::from).collect();
        let near = |percent, value: f64| (percentile(&values, percent) - value).abs() < 1e-9;
        assert!(near(50, 50.0) && near(95, 95.0) && near(99, 99.0) && near(100, 100.0));
        assert!((percentile(&[7.0], 99) - 7.0).abs() < 1e-9);
        assert!(percentile(&[], 50).is_nan());
    }
}
