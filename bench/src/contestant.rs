//! Ways to run the default model.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use segmenter_tests::Server;
use tokio::time::sleep;

use crate::peer::Peer;

/// One way to run the default model.
#[derive(Debug)]
pub(crate) struct Contestant {
    /// As it is called in the table.
    pub(crate) name: &'static str,
    /// What is run.
    pub(crate) kind: Kind,
}

/// What is run.
#[derive(Debug)]
pub(crate) enum Kind {
    /// The server, asked by posting pictures to this path.
    Server { path: &'static str },
    /// This script of `bench/peers`.
    Peer { script: &'static str },
}

/// All of them. The peers answer boxes, scores and masks of 28 x 28.
pub(crate) const CONTESTANTS: &[Contestant] = &[
    Contestant {
        name: "segmenter, boxes and full-size masks",
        kind: Kind::Server {
            path: "/v1/predict?threshold=0.05&masks=rle",
        },
    },
    Contestant {
        name: "segmenter, names",
        kind: Kind::Server { path: "/predict" },
    },
    Contestant {
        name: "PyTorch, float",
        kind: Kind::Peer {
            script: "d2go_float.py",
        },
    },
    Contestant {
        name: "PyTorch, int8 TorchScript",
        kind: Kind::Peer {
            script: "d2go_torchscript.py",
        },
    },
];

/// What is the same for all.
#[derive(Debug)]
pub(crate) struct Setting<'a> {
    /// The folder of shared data.
    pub(crate) shared: &'a Path,
    /// Processor threads.
    pub(crate) threads: usize,
    /// Requests at a time when throughput is measured.
    pub(crate) callers: usize,
    /// The peers' Python.
    pub(crate) python: &'a Path,
    /// The command that binds a process to as many processors; empty where there is none.
    pub(crate) pinning: &'a [String],
}

/// What one process showed.
#[derive(Debug)]
pub(crate) struct Measured {
    /// From exec to the first answer.
    pub(crate) cold_start: Duration,
    /// Of each picture.
    pub(crate) latencies: Vec<Duration>,
    /// Pictures a second.
    pub(crate) throughput: f64,
    /// Bytes resident at the most.
    pub(crate) peak_resident: u64,
    /// What a peer says it runs on.
    pub(crate) version: Option<String>,
}

impl Contestant {
    /// Starts it, gives it all pictures, once to warm up and once to measure, and ends it.
    pub(crate) async fn measure(
        &self,
        setting: &Setting<'_>,
        pictures: &[(String, Vec<u8>)],
    ) -> anyhow::Result<Measured> {
        ensure!(!pictures.is_empty(), "no pictures");
        match self.kind {
            Kind::Server { path } => measure_server(path, setting, pictures).await,
            Kind::Peer { script } => measure_peer(script, setting, pictures),
        }
    }
}

async fn measure_server(
    path: &str,
    setting: &Setting<'_>,
    pictures: &[(String, Vec<u8>)],
) -> anyhow::Result<Measured> {
    let begin = Instant::now();
    let threads = setting.threads.to_string();
    let pinning: Vec<&str> = setting.pinning.iter().map(String::as_str).collect();
    let server = Server::spawn(
        &setting.shared.join("weights"),
        &["--threads", &threads, "--log-level", "warn"],
        &pinning,
    );
    while !answers(&server, path, &pictures[0].1).await {
        ensure!(
            begin.elapsed() < START_LIMIT,
            "no answer after {START_LIMIT:?}"
        );
        sleep(Duration::from_millis(2)).await;
    }
    let cold_start = begin.elapsed();

    for (name, picture) in pictures {
        ask(&server, path, name, picture).await?;
    }
    let mut latencies = Vec::new();
    for (name, picture) in pictures {
        let begin = Instant::now();
        ask(&server, path, name, picture).await?;
        latencies.push(begin.elapsed());
    }

    let begin = Instant::now();
    stream::iter(pictures)
        .map(|(name, picture)| ask(&server, path, name, picture))
        .buffer_unordered(setting.callers)
        .try_collect::<()>()
        .await?;
    Ok(Measured {
        cold_start,
        latencies,
        throughput: per_second(pictures.len(), begin.elapsed()),
        peak_resident: server.peak_resident(),
        version: None,
    })
}

/// Generous: this is where a contestant that does not start at all is given up.
const START_LIMIT: Duration = Duration::from_secs(60);

/// Whether the server answers yet.
async fn answers(server: &Server, path: &str, picture: &[u8]) -> bool {
    let request = server
        .client()
        .post(server.url(path))
        .body(picture.to_vec());
    match request.send().await {
        Ok(response) => response.status().is_success() && response.bytes().await.is_ok(),
        Err(_) => false,
    }
}

async fn ask(server: &Server, path: &str, name: &str, picture: &[u8]) -> anyhow::Result<()> {
    let response = server.post(path, picture.to_vec()).await;
    let status = response.status();
    let text = response.text().await.with_context(|| name.to_owned())?;
    if !status.is_success() {
        bail!("{name}: {status}: {text}");
    }
    Ok(())
}

fn measure_peer(
    script: &str,
    setting: &Setting<'_>,
    pictures: &[(String, Vec<u8>)],
) -> anyhow::Result<Measured> {
    let folder = setting.shared.join("images/coco-val");
    let begin = Instant::now();
    let mut peer = Peer::start(script, setting)?;
    peer.ask(&folder.join(&pictures[0].0))?;
    let cold_start = begin.elapsed();

    for (name, _) in pictures {
        peer.ask(&folder.join(name))?;
    }
    let mut latencies = Vec::new();
    let all = Instant::now();
    for (name, _) in pictures {
        let begin = Instant::now();
        peer.ask(&folder.join(name))?;
        latencies.push(begin.elapsed());
    }
    Ok(Measured {
        cold_start,
        latencies,
        throughput: per_second(pictures.len(), all.elapsed()),
        peak_resident: peer.peak_resident(),
        version: Some(peer.version().to_owned()),
    })
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52 pictures")]
fn per_second(count: usize, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}
