//! How long scenes take: the slowest first.
use segmenter_scenes::{Family, Settings, scene};
use std::time::Instant;
fn main() {
    let mut times: Vec<(f64, u64)> = (0..200)
        .map(|seed| {
            let begun = Instant::now();
            let _ = scene(
                seed,
                &Settings {
                    size: [416, 312],
                    family: Family::Training,
                },
            );
            (begun.elapsed().as_secs_f64() * 1e3, seed)
        })
        .collect();
    let mean = times.iter().map(|time| time.0).sum::<f64>() / 200.0;
    times.sort_by(|a, b| b.0.total_cmp(&a.0));
    println!("mean {mean:.1} ms, median {:.1}", times[100].0);
    for (time, seed) in &times[..12] {
        println!("{seed}: {time:.0}");
    }
}
