//! Measures the default model side by side with other ways to run the same weights, and prints a table.
//!
//! Every contestant gets the same pictures one at a time and answers from the encoded picture on:
//! decoding, resizing, network and detections are inside the time, for the server HTTP as well. In each
//! round every contestant runs as a new process, one after the other, so that a slow minute of the
//! machine falls on all of them.

mod contestant;
mod machine;
mod peer;
mod statistics;

use std::{collections::BTreeMap, path::PathBuf};

use anyhow::{Context as _, bail};
use clap::Parser;
use segmenter_tests::{
    picture_host::jpegs,
    server::binary,
    shared::{shared, skipped},
};

use crate::{
    contestant::{CONTESTANTS, Contestant, Kind},
    statistics::Figures,
};

/// Measures segmenter beside its peers.
#[derive(Debug, Parser)]
struct Arguments {
    /// How often every contestant is started and given all pictures
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Processor threads of every contestant
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Requests under way at a time when throughput is measured
    #[arg(long, default_value_t = 2)]
    callers: usize,
    /// Only the contestants whose names contain this
    #[arg(long, default_value = "")]
    only: String,
    /// The Python that has the packages of bench/peers/requirements.txt
    #[arg(long, env = "SEGMENTER_PEERS_PYTHON", default_value = "python3")]
    python: PathBuf,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let Some(shared) = shared("bench") else {
        bail!("the weights and pictures are in the folder of shared data");
    };
    let pictures = jpegs(&shared.join("images/coco-val"));
    let peers_run = peer::can_run(&arguments.python);
    if !peers_run {
        let python = arguments.python.display();
        skipped(
            "bench",
            &format!("{python} lacks the packages of bench/peers/requirements.txt"),
        );
    }
    let contestants: Vec<&Contestant> = CONTESTANTS
        .iter()
        .filter(|contestant| contestant.name.contains(&arguments.only))
        .filter(|contestant| peers_run || !matches!(contestant.kind, Kind::Peer { .. }))
        .collect();

    let setting = contestant::Setting {
        shared: &shared,
        threads: arguments.threads,
        callers: arguments.callers,
        python: &arguments.python,
        pinning: &machine::pinning(arguments.threads),
    };
    let mut figures: BTreeMap<&str, Figures> = BTreeMap::new();
    for round in 1..=arguments.rounds {
        for contestant in &contestants {
            eprintln!("round {round} of {}: {}", arguments.rounds, contestant.name);
            let measured = contestant
                .measure(&setting, &pictures)
                .await
                .with_context(|| format!("{} did not finish", contestant.name))?;
            figures.entry(contestant.name).or_default().add(measured);
        }
    }

    println!("{}", statistics::HEADER);
    for contestant in &contestants {
        if let Some(figures) = figures.get(contestant.name) {
            println!("{}", figures.row(contestant.name));
        }
    }
    println!();
    println!(
        "{} pictures of coco-val, {} rounds, {} threads{}; {}; segmenter {} ({:.1} MB){}.",
        pictures.len(),
        arguments.rounds,
        arguments.threads,
        if setting.pinning.is_empty() {
            ""
        } else {
            ", each process bound to as many processors"
        },
        machine::describe(),
        env!("CARGO_PKG_VERSION"),
        megabytes(binary().metadata()?.len()),
        figures
            .values()
            .find_map(|figures| figures.version.as_deref())
            .map(|version| format!(", {version}"))
            .unwrap_or_default(),
    );
    println!(
        "Latency: one picture at a time, encoded picture in, answer out. Throughput: {} callers of the \
         server; a peer's process answers one at a time.",
        arguments.callers
    );
    println!("Cold start: from exec to the first answer. Memory: most resident at any time.");
    Ok(())
}

/// In units of a million bytes.
#[expect(clippy::cast_precision_loss, reason = "far below 2^52 bytes")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
