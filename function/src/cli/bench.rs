//! `segmenter bench`: latency and throughput of a model in this process, or of a running server.

use std::{
    fs,
    io::Write,
    time::{Duration, Instant},
};

use anyhow::Context;
use bytes::Bytes;
use clap::{Args, builder::FalseyValueParser};
use futures_util::{StreamExt, stream};
use reqwest::{Client, StatusCode};
use serde::Serialize;
use url::Url;

use super::{check::picture, local};
use crate::{
    config::{self, PictureLimits},
    service::{Handling, Segmenter, Source, Wish},
};

pub(super) const EXAMPLES: &str = "\
Examples:
  segmenter bench
  segmenter bench photos/*.jpg --requests 500 --concurrency 4
  segmenter bench --url http://localhost:8080 --duration 30s --concurrency 16";

/// What is measured, and for how long.
#[derive(Args, Clone, Debug)]
pub(super) struct Bench {
    /// Picture files, taken in turn [default: one of 640 x 480, made up]
    #[arg(value_name = "FILE")]
    pictures: Vec<String>,
    /// A running server to call, instead of the model in this process
    #[arg(long, env = "SEGMENTER_URL", value_name = "URL")]
    url: Option<Url>,
    /// Requests to measure
    #[arg(long, env = "SEGMENTER_REQUESTS", value_name = "N", default_value = "100", value_parser = config::positive::<usize>)]
    requests: usize,
    /// Stop after this long even if there are requests left
    #[arg(long, env = "SEGMENTER_DURATION", value_name = "TIME", default_value = "60s", value_parser = config::parse_time)]
    duration: Duration,
    /// Requests under way at a time
    #[arg(long, env = "SEGMENTER_CONCURRENCY", value_name = "N", default_value = "1", value_parser = config::positive::<usize>)]
    concurrency: usize,
    /// Requests before those that are measured
    #[arg(long, env = "SEGMENTER_WARM_UP", value_name = "N", default_value = "5")]
    warm_up: usize,
    /// Ask for the full reply with outlines, not for names alone
    #[arg(long, env = "SEGMENTER_FULL", value_parser = FalseyValueParser::new())]
    full: bool,
    /// Print JSON
    #[arg(long, env = "SEGMENTER_JSON", value_parser = FalseyValueParser::new())]
    json: bool,
    #[command(flatten)]
    model: config::Model,
    #[command(flatten)]
    prediction: config::Prediction,
    #[command(flatten)]
    limits: PictureLimits,
}

/// Measures and prints.
pub(super) fn run(mut bench: Bench) -> anyhow::Result<()> {
    let pictures = bench
        .pictures
        .iter()
        .map(|file| {
            let bytes = fs::read(file).with_context(|| format!("cannot read {file}"))?;
            Ok(Bytes::from(bytes))
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    let pictures = if pictures.is_empty() {
        vec![Bytes::from(picture()?)]
    } else {
        pictures
    };
    let (subject, report) = if let Some(url) = &bench.url {
        let server = Server::new(url, bench.full)?;
        let report = local::block_on(1, measure(&bench, &pictures, |bytes| server.call(bytes)))?;
        (server.url.to_string(), report)
    } else {
        bench.model.fall_back();
        let threads = bench.model.threads();
        let report = local::block_on(threads, async {
            let (prediction, places) = (bench.prediction.clone(), bench.concurrency);
            let segmenter =
                local::segmenter(&bench.model, prediction, bench.limits, places).await?;
            measure(&bench, &pictures, |bytes| {
                call(&segmenter, bytes, bench.full)
            })
            .await
        })?;
        let model = bench.model.entry().name;
        (format!("{model} on {threads} threads"), report)
    };
    if bench.json {
        super::print(&(serde_json::to_string_pretty(&report)? + "\n"))?;
    } else {
        report.print(&subject, bench.concurrency);
    }
    anyhow::ensure!(report.answered > 0, "no request was answered");
    Ok(())
}

/// What became of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Answered,
    /// 429: the server had no place for it.
    Refused,
}

async fn call(segmenter: &Segmenter, picture: Bytes, masks: bool) -> anyhow::Result<Outcome> {
    let wish = Wish {
        masks,
        ..Wish::default()
    };
    let ticket = segmenter.enter(segmenter.admit(None)?)?;
    let query = segmenter.query(&wish)?;
    segmenter
        .predict(&ticket, Source::Bytes(picture), query, Handling::default())
        .await?;
    Ok(Outcome::Answered)
}

/// A running server.
struct Server {
    client: Client,
    url: Url,
}

impl Server {
    fn new(base: &Url, masks: bool) -> anyhow::Result<Self> {
        let path = if masks { "v1/predict" } else { "predict" };
        let mut url = base.clone();
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        Ok(Self {
            client: crate::fetch::client_builder().build()?,
            url: url.join(path)?,
        })
    }

    async fn call(&self, picture: Bytes) -> anyhow::Result<Outcome> {
        let request = self.client.post(self.url.clone()).body(picture);
        let response = request.send().await.context("no answer from the server")?;
        let status = response.status();
        let body = response.text().await?;
        match status {
            StatusCode::OK => Ok(Outcome::Answered),
            StatusCode::TOO_MANY_REQUESTS => Ok(Outcome::Refused),
            status => anyhow::bail!("the server answered {status}: {body}"),
        }
    }
}

async fn measure<F>(
    bench: &Bench,
    pictures: &[Bytes],
    call: impl Fn(Bytes) -> F,
) -> anyhow::Result<Report>
where
    F: Future<Output = anyhow::Result<Outcome>>,
{
    let picture = |index: usize| pictures[index % pictures.len()].clone();
    for index in 0..bench.warm_up {
        call(picture(index)).await?;
    }
    let started = Instant::now();
    let timed = |index| {
        let (call, picture) = (&call, picture(index));
        async move {
            let sent = Instant::now();
            call(picture).await.map(|outcome| (outcome, sent.elapsed()))
        }
    };
    let mut results = stream::iter(0..bench.requests)
        .take_while(|_| std::future::ready(started.elapsed() < bench.duration))
        .map(timed)
        .buffer_unordered(bench.concurrency);
    let (mut times, mut refused) = (Vec::new(), 0);
    while let Some(result) = results.next().await {
        match result? {
            (Outcome::Answered, time) => times.push(time),
            (Outcome::Refused, _) => refused += 1,
        }
    }
    Ok(Report::new(times, refused, started.elapsed()))
}

/// The figures of a run; times in milliseconds.
#[derive(Debug, Serialize)]
struct Report {
    answered: usize,
    refused: usize,
    seconds: f64,
    per_second: f64,
    mean_ms: f64,
    p50_ms: f64,
    p90_ms: f64,
    p95_ms: f64,
    p99_ms: f64,
    max_ms: f64,
}

impl Report {
    fn new(mut times: Vec<Duration>, refused: usize, took: Duration) -> Self {
        times.sort_unstable();
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        let answered = times.len();
        let at = |share| percentile(&times, share).map_or(0.0, ms);
        Self {
            answered,
            refused,
            seconds: took.as_secs_f64(),
            per_second: answered as f64 / took.as_secs_f64(),
            mean_ms: times.iter().copied().map(ms).sum::<f64>() / answered.max(1) as f64,
            p50_ms: at(0.50),
            p90_ms: at(0.90),
            p95_ms: at(0.95),
            p99_ms: at(0.99),
            max_ms: at(1.0),
        }
    }

    fn print(&self, subject: &str, concurrency: usize) {
        let Self {
            answered,
            refused,
            seconds,
            per_second,
            mean_ms,
            p50_ms,
            p90_ms,
            p95_ms,
            p99_ms,
            max_ms,
        } = self;
        let mut out = std::io::stdout().lock();
        // A reader that has gone needs no report.
        let _ = write!(
            out,
            "{subject}, {concurrency} at a time\n\
             answered    {answered} in {seconds:.1} s, {refused} refused\n\
             throughput  {per_second:.1} a second\n\
             latency     p50 {p50_ms:.1}  p90 {p90_ms:.1}  p95 {p95_ms:.1}  p99 {p99_ms:.1}  \
             max {max_ms:.1}  mean {mean_ms:.1} ms\n",
        );
    }
}

/// The smallest of the sorted times that `share` (0..=1) of them do not exceed.
fn percentile(sorted: &[Duration], share: f64) -> Option<Duration> {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_times_that_were_measured() {
        let times: Vec<_> = (1..=100).map(Duration::from_millis).collect();
        assert_eq!(percentile(&times, 0.50), Some(Duration::from_millis(50)));
        assert_eq!(percentile(&times, 0.99), Some(Duration::from_millis(99)));
        assert_eq!(percentile(&times, 1.0), Some(Duration::from_millis(100)));
        assert_eq!(percentile(&times[..1], 0.5), Some(Duration::from_millis(1)));
        assert_eq!(percentile(&[], 0.5), None);
    }
}
