//! Where a network's time goes, kernel by kernel; on a processor, against what that could do.

use std::{fs, path::Path, time::Duration};

use anyhow::Context as _;
use segmenter_imaging::decode::open;
use segmenter_models::{Device, Isa, Model, Span, catalogue, peak_multiplications};

use crate::{
    gpu,
    ours::{EVERYTHING, Kernels, Precision, best_device},
    setting::{self, Setting},
    side_by_side::{items, provide, weights},
    statistics::median,
    workloads::{Kind, Workload},
};

/// How often a network runs, after once to warm up.
const RUNS: usize = 9;

/// Prints a table for each model that is wanted, on a GPU for each precision of it.
pub(crate) fn print(setting: &Setting, pictures: &[std::path::PathBuf]) -> anyhow::Result<()> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(setting.threads)
        .build_global()?;
    let peak = match setting.device {
        setting::Device::Cpu => {
            let peak = 2.0 * peak_multiplications(Isa::best());
            println!(
                "{} threads, {} instructions, {:.0} GFLOP/s at the most in 32-bit floats",
                setting.threads,
                Isa::best(),
                peak / 1e9
            );
            Some(peak)
        }
        // Drivers do not tell.
        setting::Device::Gpu => None,
    };
    let workloads = setting.device.workloads().iter();
    for workload in workloads.filter(|workload| workload.batch == 1) {
        for contestant in workload.contestants {
            if !setting.wants(&workload.name(), contestant.name) {
                continue;
            }
            let network = catalogue::find(workload.model)
                .context("a model of the catalogue")?
                .network;
            let device = match contestant.kind {
                Kind::Ours {
                    kernels: Kernels::Gpu,
                    precision,
                    ..
                } => gpu::open(precision == Precision::F16, true)?,
                Kind::Ours {
                    kernels: Kernels::Fast,
                    precision: Precision::F32,
                    ..
                } => best_device(network).traced(),
                _ => continue,
            };
            provide(workload, contestant, setting).map_err(anyhow::Error::msg)?;
            let (batches, _) = items(workload, setting, pictures)?;
            let picture = batches.iter().flatten().next().context("no pictures")?;
            table(
                workload,
                &device,
                &weights(workload, setting),
                picture,
                peak,
            )?;
        }
    }
    Ok(())
}

fn table(
    workload: &Workload,
    device: &Device,
    weights: &Path,
    picture: &Path,
    peak: Option<f64>,
) -> anyhow::Result<()> {
    let entry = catalogue::find(workload.model).context("a model of the catalogue")?;
    let model = segmenter_models::load(entry, weights, device)?;
    let runs = runs(&*model, device, picture)?;
    let first = runs.first().context("at least one run")?;
    let mut rows: Vec<(f64, &Span)> = first
        .iter()
        .enumerate()
        .map(|(index, span)| {
            let times = runs.iter().filter_map(|run| run.get(index));
            let times: Vec<f64> = times.map(|span| span.time.as_secs_f64()).collect();
            (median(&times).unwrap_or_default(), span)
        })
        .collect();
    rows.sort_by(|a, b| b.0.total_cmp(&a.0));

    let total: f64 = rows.iter().map(|(time, _)| time).sum();
    println!(
        "\n### {}, {device}\n{} kernels, {:.2} ms\n",
        workload.model,
        rows.len(),
        total * 1e3
    );
    println!("| kernel | output | ms | share | GFLOP/s | of the peak |\n|---|---|--:|--:|--:|--:|");
    for (time, span) in rows {
        let [batch, channels, height, width] = span.output;
        let speed = 2.0 * span.multiplications as f64 / time;
        println!(
            "| {} | {batch}x{channels}x{height}x{width} | {:.3} | {:.1} % | {:.0} | {} |",
            span.kernel,
            time * 1e3,
            100.0 * time / total,
            speed / 1e9,
            peak.map_or_else(|| "-".to_owned(), |peak| format!("{:.2}", speed / peak))
        );
    }
    Ok(())
}

fn runs(model: &dyn Model, device: &Device, picture: &Path) -> anyhow::Result<Vec<Vec<Span>>> {
    let bytes = fs::read(picture)?;
    let input = model.preprocess(open(&bytes, &Default::default())?, &EVERYTHING)?;
    let mut runs = Vec::with_capacity(RUNS);
    for run in 0..=RUNS {
        rayon::scope(|_| model.forward(vec![(input.clone(), &EVERYTHING)]));
        let spans = device.spans();
        // What a postprocessing would add stays out, and so does the first run, which packs and allocates.
        let spans = spans.into_iter().filter(|span| span.time > Duration::ZERO);
        if run > 0 {
            runs.push(spans.collect());
        }
    }
    Ok(runs)
}
