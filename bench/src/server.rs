//! The server with the default model: how it starts, answers, and bears load.

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use anyhow::{Context as _, bail};
use futures_util::{StreamExt as _, TryStreamExt as _, future::try_join_all, stream};
use segmenter_imaging::{
    decode::{Options, decode},
    encode,
};
use segmenter_tests::Server;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};

use crate::{
    cache::stretched,
    machine::pinning,
    report::{Compared, Memory, Row, Unit},
    setting::{Notes, Setting, full_name},
    side_by_side::start,
    statistics::{Spread, percentile},
    workloads::{Contestant, STARTING, WORKLOADS},
};

/// As `--only` has it.
const NAME: &str = "server";

/// What is measured, in this order.
pub(crate) const PARTS: [&str; 4] = ["cold start", "latency", "load", "memory"];

/// A reply of names.
const NAMES: &str = "/predict";

/// The most that can be asked for.
const EVERYTHING: &str = "/v1/predict?threshold=0.05&masks=rle";

/// An encoded picture.
type Picture = Vec<u8>;

/// Measures all that is wanted.
pub(crate) async fn measure(
    setting: &Setting,
    pictures: &[(String, Picture)],
    notes: &mut Notes,
) -> anyhow::Result<(Vec<Row>, Vec<Memory>)> {
    let (first, _) = pictures.first().context("no pictures")?;
    let first = setting.shared.join("images/coco-val").join(first);
    let pictures: Vec<Picture> = pictures.iter().map(|(_, bytes)| bytes.clone()).collect();
    let (mut rows, mut memories) = (Vec::new(), Vec::new());
    for part in PARTS {
        if !setting.wants(NAME, part) {
            continue;
        }
        eprintln!("{}", full_name(NAME, part));
        match part {
            "cold start" => rows.extend(cold_start(setting, &first, notes).await?),
            "latency" => rows.extend(latency(setting, &pictures).await?),
            "load" => rows.extend(load(setting, &pictures).await?),
            _ => memories = memory(setting, &pictures).await?,
        }
    }
    if !(rows.is_empty() && memories.is_empty()) {
        notes.versions.insert(version(setting));
    }
    Ok((rows, memories))
}

/// What is measured here, with the flags that were asked for.
fn version(setting: &Setting) -> String {
    let mut words = vec![concat!("segmenter ", env!("CARGO_PKG_VERSION"), " serve")];
    words.extend(setting.server.flags.iter().map(String::as_str));
    words.join(" ")
}

fn spawn(setting: &Setting, threads: usize, flags: &[&str]) -> Server {
    let pinning = if setting.pinning.is_empty() {
        Vec::new()
    } else {
        pinning(threads)
    };
    let pinning: Vec<&str> = pinning.iter().map(String::as_str).collect();
    let threads = threads.to_string();
    let mut all = vec!["--threads", &threads, "--log-level", "warn"];
    all.extend(setting.server.flags.iter().map(String::as_str));
    all.extend(flags);
    Server::spawn(&setting.shared.join("weights"), &all, &pinning)
}

/// A server that has answered each picture once.
async fn warm(setting: &Setting, threads: usize, pictures: &[Picture]) -> anyhow::Result<Server> {
    // With more than one worker the ratio would be of something else.
    let single: &[&str] = if threads == 1 {
        &["--workers", "1"]
    } else {
        &[]
    };
    let server = spawn(setting, threads, single);
    until_answered(&server, NAMES, &pictures[0]).await?;
    all(&server, EVERYTHING, pictures, setting.server.clients).await?;
    Ok(server)
}

/// Generous: this is where a server that does not start at all is given up.
const START_LIMIT: Duration = Duration::from_secs(60);

/// Asks until it answers.
async fn until_answered(server: &Server, path: &str, picture: &[u8]) -> anyhow::Result<()> {
    let begin = Instant::now();
    while let Err(error) = ask(server, path, picture).await {
        if begin.elapsed() > START_LIMIT {
            return Err(error.context(format!("no answer after {START_LIMIT:?}")));
        }
        sleep(Duration::from_millis(2)).await;
    }
    Ok(())
}

async fn ask(server: &Server, path: &str, picture: &[u8]) -> anyhow::Result<()> {
    let request = server.client().post(server.url(path));
    let response = request.body(picture.to_vec()).send().await?;
    let status = response.status();
    let text = response.text().await?;
    if !status.is_success() {
        bail!("{status}: {text}");
    }
    Ok(())
}

/// Asks for all pictures, so many at a time.
async fn all(
    server: &Server,
    path: &str,
    pictures: &[Picture],
    clients: usize,
) -> anyhow::Result<()> {
    stream::iter(pictures)
        .map(|picture| ask(server, path, picture))
        .buffer_unordered(clients)
        .try_collect()
        .await
}

/// After how many starts of ours each of the much slower peers is started once.
const STARTS_A_PEER: usize = 5;

/// From exec to the first answer, for us and for the peers.
async fn cold_start(setting: &Setting, path: &Path, notes: &mut Notes) -> anyhow::Result<Vec<Row>> {
    let mut ours = Vec::new();
    let mut peers: Vec<(&Contestant, Vec<f64>)> = Vec::new();
    for peer in STARTING {
        match setting.python.obstacle(&peer.kind) {
            Some(why) => notes.skip(&full_name(NAME, peer.name), &why),
            None => peers.push((peer, Vec::new())),
        }
    }
    let picture = fs::read(path)?;
    // The first start of each reads files that the others find in memory; it does not count.
    for index in 0..=setting.server.starts {
        let begin = Instant::now();
        let server = spawn(setting, setting.threads, &[]);
        until_answered(&server, NAMES, &picture).await?;
        if index > 0 {
            ours.push(milliseconds(begin));
        }
        drop(server);
        // One start that does not count, and then the first of every few.
        if index == 0 || index % STARTS_A_PEER == 1 {
            peers.retain_mut(|(peer, times)| {
                match first_answer(peer, setting, path, notes) {
                    Ok(time) => times.extend((index > 0).then_some(time)),
                    Err(why) => {
                        notes.skip(&full_name(NAME, peer.name), &format!("{why:#}"));
                        return false;
                    }
                }
                true
            });
        }
    }
    let row = |name, ours, times: &[f64]| {
        let what = format!("{TITLE}, {name} (of {})", times.len());
        let compared = Compared {
            title: TITLE,
            name,
            ours,
        };
        let row = row(what, Unit::Milliseconds, times.iter().copied());
        row.map(|row| Row {
            compared: Some(compared),
            ..row
        })
    };
    let mut rows: Vec<Row> = row("segmenter", true, &ours).into_iter().collect();
    rows.extend(
        peers
            .iter()
            .filter_map(|(peer, times)| row(peer.name, false, times)),
    );
    Ok(rows)
}

const TITLE: &str = "exec to first answer";

/// From a peer's exec to its first answer, in milliseconds.
fn first_answer(
    peer: &Contestant,
    setting: &Setting,
    path: &Path,
    notes: &mut Notes,
) -> anyhow::Result<f64> {
    let begin = Instant::now();
    let mut process = start(&WORKLOADS[0], peer, setting)?;
    process.ask(&[path])?;
    let time = milliseconds(begin);
    notes.versions.insert(process.version().to_owned());
    process.end()?;
    Ok(time)
}

/// One request at a time.
async fn latency(setting: &Setting, pictures: &[Picture]) -> anyhow::Result<Vec<Row>> {
    const PATHS: [(&str, &str); 2] = [
        (NAMES, "names"),
        (EVERYTHING, "boxes and masks of the picture's size"),
    ];
    const PERCENTILES: [usize; 3] = [50, 95, 99];
    let mut rounds = Vec::new();
    for _ in 0..setting.rounds {
        let server = warm(setting, setting.threads, pictures).await?;
        let mut figures = Vec::new();
        for (path, _) in PATHS {
            let mut times = Vec::new();
            for picture in pictures {
                let begin = Instant::now();
                ask(&server, path, picture).await?;
                times.push(milliseconds(begin));
            }
            figures.extend(PERCENTILES.map(|percent| percentile(&times, percent)));
        }
        rounds.push(figures);
    }
    let names = PATHS.iter().flat_map(|(path, what)| {
        let path = path.split('?').next().unwrap_or_default();
        PERCENTILES.map(|percent| format!("`{path}`, {what}, one at a time, p{percent}"))
    });
    Ok(names
        .enumerate()
        .filter_map(|(index, name)| {
            let values = rounds.iter().filter_map(|figures| figures[index]);
            row(name, Unit::Milliseconds, values)
        })
        .collect())
}

/// The share of the highest throughput that must not make anyone wait long.
const LOAD: f64 = 0.8;

/// How much it answers at the most, on all threads and on one, and how long one waits at a lower load.
async fn load(setting: &Setting, pictures: &[Picture]) -> anyhow::Result<Vec<Row>> {
    let clients = setting.server.clients;
    let mut figures: Vec<[f64; 7]> = Vec::new();
    for round in 0..setting.rounds {
        let server = warm(setting, setting.threads, pictures).await?;
        let rate = throughput(&server, setting, pictures).await?;
        let count = (LOAD * rate * setting.server.duration.as_secs_f64()) as usize;
        let even = |index: usize| index as f64;
        let waits = open_loop(&server, LOAD * rate, (0..count).map(even), pictures).await?;
        let arrivals = random_arrivals(round as u64, count);
        let random_waits = open_loop(&server, LOAD * rate, arrivals, pictures).await?;
        drop(server);
        let single = warm(setting, 1, pictures).await?;
        let single_rate = throughput(&single, setting, pictures).await?;
        let at = |waits: &[f64], percent| percentile(waits, percent).unwrap_or(f64::NAN);
        figures.push([
            rate,
            single_rate,
            rate / (setting.threads as f64 * single_rate),
            at(&waits, 50),
            at(&waits, 99) / at(&waits, 50),
            at(&random_waits, 50),
            at(&random_waits, 99) / at(&random_waits, 50),
        ]);
    }
    let (threads, percent) = (setting.threads, (LOAD * 100.0).round());
    let names = [
        (
            format!("throughput, {clients} clients, names"),
            Unit::PerSecond,
        ),
        (
            "the same with `--threads 1 --workers 1` on one processor".to_owned(),
            Unit::PerSecond,
        ),
        (
            format!("throughput over {threads} times that of one thread"),
            Unit::Ratio,
        ),
        (
            format!("p50 at {percent} % of that throughput, arriving evenly"),
            Unit::Milliseconds,
        ),
        ("p99 over p50 of the same".to_owned(), Unit::Ratio),
        (
            format!("p50 at {percent} % of that throughput, arriving at random"),
            Unit::Milliseconds,
        ),
        ("p99 over p50 of the same".to_owned(), Unit::Ratio),
    ];
    Ok(names
        .into_iter()
        .enumerate()
        .filter_map(|(index, (name, unit))| row(name, unit, figures.iter().map(|f| f[index])))
        .collect())
}

/// Answers a second while every client asks again as soon as it has its answer.
async fn throughput(
    server: &Server,
    setting: &Setting,
    pictures: &[Picture],
) -> anyhow::Result<f64> {
    let asked = AtomicUsize::new(0);
    let begin = Instant::now();
    let clients = (0..setting.server.clients).map(|_| async {
        while begin.elapsed() < setting.server.duration {
            let index = asked.fetch_add(1, Ordering::Relaxed);
            ask(server, NAMES, &pictures[index % pictures.len()]).await?;
        }
        anyhow::Ok(())
    });
    try_join_all(clients).await?;
    Ok(asked.into_inner() as f64 / begin.elapsed().as_secs_f64())
}

/// Asks at these times, in units of `1 / rate` seconds, whether or not earlier ones were answered, and
/// answers the milliseconds from when each was due to its answer.
async fn open_loop(
    server: &Server,
    rate: f64,
    arrivals: impl IntoIterator<Item = f64>,
    pictures: &[Picture],
) -> anyhow::Result<Vec<f64>> {
    let begin = Instant::now();
    let mut tasks = JoinSet::new();
    for (index, arrival) in arrivals.into_iter().enumerate() {
        let due = begin + Duration::from_secs_f64(arrival / rate);
        sleep_until(due).await;
        let request = server
            .client()
            .post(server.url(NAMES))
            .body(pictures[index % pictures.len()].clone());
        tasks.spawn(async move {
            let response = request.send().await?.error_for_status()?;
            response.bytes().await?;
            anyhow::Ok(milliseconds(due))
        });
    }
    tasks.join_all().await.into_iter().collect()
}

/// `count` arrivals of a Poisson process, one in a unit of time on average; of a seed always the same.
fn random_arrivals(seed: u64, count: usize) -> impl Iterator<Item = f64> {
    let mut state = seed;
    let mut now = 0.0;
    (0..count).map(move |_| {
        // splitmix64, and the inverse of the exponential distribution.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        let uniform = (z >> 11) as f64 * (-53.0_f64).exp2();
        now -= (1.0 - uniform).ln();
        now
    })
}

/// After which percentages of the requests memory is looked at.
const POINTS: [usize; 6] = [0, 10, 25, 50, 75, 100];

/// Memory under requests of pictures of many sizes.
async fn memory(setting: &Setting, pictures: &[Picture]) -> anyhow::Result<Vec<Memory>> {
    let pictures = mixed(pictures)?;
    let (requests, clients) = (setting.server.requests, setting.server.clients);
    let server = spawn(setting, setting.threads, &[]);
    until_answered(&server, NAMES, &pictures[0]).await?;
    let mut memories = Vec::new();
    let mut asked = 0;
    for percent in POINTS {
        let until = requests * percent / 100;
        stream::iter(asked..until)
            .map(|index| ask(&server, EVERYTHING, &pictures[index % pictures.len()]))
            .buffer_unordered(clients)
            .try_collect::<()>()
            .await?;
        asked = until;
        memories.push(Memory {
            requests: until,
            resident: server.resident(),
            peak_resident: server.peak_resident(),
        });
    }
    Ok(memories)
}

/// How much larger or smaller pictures are made, in turn.
const SCALES: [f64; 8] = [1.0, 0.2, 3.0, 0.5, 6.0, 1.5, 2.0, 4.5];

/// Every so many pictures one is so much wider.
const WIDE: (usize, f64) = (10, 3.0);

/// The pictures in other sizes, from a hundred pixels along a side to tens of megapixels.
fn mixed(pictures: &[Picture]) -> anyhow::Result<Vec<Picture>> {
    let (every, wider) = WIDE;
    pictures
        .iter()
        .enumerate()
        .map(|(index, picture)| {
            let image = decode(picture, &Options::default())?;
            let scale = SCALES[index % SCALES.len()];
            let wider = if index % every == every - 1 {
                wider
            } else {
                1.0
            };
            let size = [
                (f64::from(image.width()) * scale * wider) as u32,
                (f64::from(image.height()) * scale) as u32,
            ];
            let mut bytes = Vec::new();
            encode::jpeg(&stretched(picture, size)?, 90, &mut bytes)?;
            Ok(bytes)
        })
        .collect()
}

/// `None` of no values.
fn row(name: String, unit: Unit, values: impl IntoIterator<Item = f64>) -> Option<Row> {
    Spread::of(values).map(|value| Row {
        name,
        compared: None,
        value,
        unit,
    })
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::random_arrivals;

    #[test]
    fn random_arrivals_come_once_in_a_unit_on_average() {
        let arrivals: Vec<f64> = random_arrivals(1, 10_000).collect();
        assert!(arrivals.is_sorted());
        assert!((arrivals[9_999] / 10_000.0 - 1.0).abs() < 0.05);
        let gaps = arrivals.windows(2).map(|pair| pair[1] - pair[0]);
        let long = gaps.filter(|gap| *gap > 1.0).count() as f64 / 9_999.0;
        assert!((long - (-1.0_f64).exp()).abs() < 0.02);
    }
}
