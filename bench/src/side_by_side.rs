//! The workloads, each by all its contestants, one after the other and again in every round.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::Context as _;

use crate::{
    cache::{repository, script},
    gpu,
    machine::busy_seconds,
    ours::word,
    process::Process,
    protocol::Answer,
    report::{Line, Measured, Round},
    setting::{Device, Notes, Setting, full_name},
    statistics::{Spread, median},
    workloads::{Argument, Contestant, EXPORT, Items, Kind, PREPARE, Weights, Workload},
};

/// The paths of pictures that are worked on together.
type Batch = Vec<PathBuf>;

/// Measures all that is wanted. A peer that fails is noted; one of ours that fails is an error, but not on a GPU,
/// where the driver has a say.
pub(crate) fn measure(
    setting: &Setting,
    pictures: &[PathBuf],
    notes: &mut Notes,
) -> anyhow::Result<Vec<Measured>> {
    let mut measured = Vec::new();
    for workload in setting.device.workloads() {
        let contestants = runnable(workload, setting, notes);
        if contestants.is_empty() {
            continue;
        }
        let lines = rounds(workload, contestants, setting, pictures, notes)?;
        compare(&workload.name(), &lines, notes);
        disturbed(&workload.name(), &lines, notes);
        measured.push(Measured {
            model: workload.model,
            batch: workload.batch,
            what: workload.what,
            contestants: lines,
        });
    }
    Ok(measured)
}

/// The contestants that are wanted and have all that they need, which is made where it is missing.
fn runnable(workload: &Workload, setting: &Setting, notes: &mut Notes) -> Vec<&'static Contestant> {
    let mut contestants = Vec::new();
    for contestant in workload.contestants {
        if !setting.wants(&workload.name(), contestant.name) {
            continue;
        }
        let obstacle = setting
            .python
            .obstacle(&contestant.kind)
            .or_else(|| provide(workload, contestant, setting).err());
        match obstacle {
            None => contestants.push(contestant),
            Some(why) => notes.skip(&full_name(&workload.name(), contestant.name), &why),
        }
    }
    contestants
}

/// Makes weights and exported networks where they are missing; an error says why that cannot be.
pub(crate) fn provide(
    workload: &Workload,
    contestant: &Contestant,
    setting: &Setting,
) -> Result<(), String> {
    let (model, cache) = (workload.model, &setting.cache);
    let onnx = match contestant.kind {
        Kind::Peer { arguments, .. } => arguments.iter().any(|a| matches!(a, Argument::Onnx)),
        Kind::Ours { .. } => false,
    };
    let there = match workload.weights {
        Weights::Shared(_) | Weights::Repository(_) => return Ok(()),
        Weights::Seeded if onnx => cache.onnx(model).exists(),
        Weights::Seeded => cache.weights(model).exists(),
    };
    if there {
        return Ok(());
    }
    let python = &setting.python;
    let missing = python.lacks(if onnx { EXPORT } else { PREPARE });
    if !missing.is_empty() {
        return Err(format!(
            "its weights are made by Python with {}",
            missing.join(" and ")
        ));
    }
    cache
        .prepare(&python.program, model, onnx)
        .map_err(|error| format!("{error:#}"))
}

fn rounds(
    workload: &Workload,
    mut contestants: Vec<&'static Contestant>,
    setting: &Setting,
    pictures: &[PathBuf],
    notes: &mut Notes,
) -> anyhow::Result<Vec<Line>> {
    let (warm_up, timed) = items(workload, setting, pictures)?;
    let mut shown: BTreeMap<&str, (String, Vec<Round>)> = BTreeMap::new();
    for round in 1..=setting.rounds {
        let mut failed = Vec::new();
        for contestant in &contestants {
            let name = full_name(&workload.name(), contestant.name);
            eprintln!("round {round} of {}: {name}", setting.rounds);
            match run(workload, contestant, setting, &warm_up, &timed) {
                Ok((version, result)) => {
                    // For whoever does not wait for the end.
                    let ms = median(&result.ms).unwrap_or_default();
                    eprintln!("  {ms:.2} ms");
                    notes.versions.insert(version.clone());
                    let (_, results) = shown
                        .entry(contestant.name)
                        .or_insert_with(|| (version, Vec::new()));
                    results.push(result);
                }
                Err(error) if !is_ours(contestant) || setting.device == Device::Gpu => {
                    notes.skip(&name, &format!("{error:#}"));
                    failed.push(contestant.name);
                }
                Err(error) => return Err(error.context(name)),
            }
        }
        contestants.retain(|contestant| !failed.contains(&contestant.name));
    }
    Ok(lines(&contestants, shown))
}

fn is_ours(contestant: &Contestant) -> bool {
    matches!(contestant.kind, Kind::Ours { .. })
}

/// What a contestant is given to warm up, and what then.
pub(crate) fn items(
    workload: &Workload,
    setting: &Setting,
    pictures: &[PathBuf],
) -> anyhow::Result<(Vec<Batch>, Vec<Batch>)> {
    match workload.items {
        Items::CocoVal => {
            let batches = pictures.chunks(workload.batch).map(<[_]>::to_vec);
            let batches: Vec<Batch> = batches.collect();
            Ok((batches.clone(), batches))
        }
        Items::Picture {
            size,
            warm_up,
            times,
        } => {
            let picture = pictures.first().context("no pictures")?;
            let path = setting.cache.picture(&fs::read(picture)?, size)?;
            let batch = vec![path; workload.batch];
            Ok((vec![batch.clone(); warm_up], vec![batch; times]))
        }
    }
}

/// One process of a contestant, from its start to its end.
fn run(
    workload: &Workload,
    contestant: &Contestant,
    setting: &Setting,
    warm_up: &[Batch],
    timed: &[Batch],
) -> anyhow::Result<(String, Round)> {
    let (first, rest) = warm_up.split_first().context("no pictures")?;
    let on_gpu = setting.device == Device::Gpu;
    let in_use = on_gpu.then(gpu::in_use).flatten();
    let begin = Instant::now();
    let mut process = start(workload, contestant, setting)?;
    process.ask(first)?;
    let first_answer_ms = begin.elapsed().as_secs_f64() * 1e3;
    for batch in rest {
        process.ask(batch)?;
    }
    let begin = Instant::now();
    let (all, own) = (busy_seconds(), process.busy_seconds());
    let answers: Vec<Answer> = timed
        .iter()
        .map(|batch| process.ask(batch))
        .collect::<anyhow::Result<_>>()?;
    let others = (busy_seconds() - all) - (process.busy_seconds() - own);
    let round = Round {
        first_answer_ms,
        ms: answers.iter().map(|answer| answer.ms).collect(),
        steps: by_name(&answers, |answer| &answer.steps, median),
        peak_resident: process.peak_resident(),
        gpu_memory: on_gpu.then(|| gpu::Memory::of(process.pid(), in_use)),
        others: (others / begin.elapsed().as_secs_f64()).max(0.0),
        found: by_name(
            &answers,
            |answer| &answer.found,
            |values| Some(values.iter().sum()),
        ),
    };
    let version = process.version().to_owned();
    process.end()?;
    Ok((version, round))
}

/// Starts a contestant and waits until it is ready.
pub(crate) fn start(
    workload: &Workload,
    contestant: &Contestant,
    setting: &Setting,
) -> anyhow::Result<Process> {
    let mut words = setting.pinning.clone();
    words.extend(command(workload, contestant, setting)?);
    let name = full_name(&workload.name(), contestant.name);
    Process::start(&words, &setting.cache, &name)
}

/// The file that all contestants load.
pub(crate) fn weights(workload: &Workload, setting: &Setting) -> PathBuf {
    match workload.weights {
        Weights::Shared(file) => setting.shared.join(file),
        Weights::Repository(file) => repository().join(file),
        Weights::Seeded => setting.cache.weights(workload.model),
    }
}

fn command(
    workload: &Workload,
    contestant: &Contestant,
    setting: &Setting,
) -> anyhow::Result<Vec<String>> {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let weights = text(&weights(workload, setting));
    let threads = setting.threads.to_string();
    let model = workload.model.to_owned();
    Ok(match contestant.kind {
        Kind::Ours {
            kernels,
            precision,
            timed,
        } => {
            let timed: Vec<String> = timed.iter().map(word).collect();
            let flags = [
                ("--model", model),
                ("--weights", weights),
                ("--threads", threads),
                ("--kernels", word(&kernels)),
                ("--precision", word(&precision)),
                ("--timed", timed.join(",")),
            ];
            let flags = flags
                .into_iter()
                .flat_map(|(flag, value)| [flag.to_owned(), value]);
            let program = text(&env::current_exe()?);
            [program, "contestant".to_owned()]
                .into_iter()
                .chain(flags)
                .collect()
        }
        Kind::Peer {
            script: name,
            arguments,
            ..
        } => {
            let arguments = arguments.iter().map(|argument| match argument {
                Argument::Word(word) => (*word).to_owned(),
                Argument::Model => model.clone(),
                Argument::Threads => threads.clone(),
                Argument::Shared => text(&setting.shared),
                Argument::Weights => weights.clone(),
                Argument::Onnx => text(&setting.cache.onnx(workload.model)),
            });
            [text(&setting.python.program), text(&script(name))]
                .into_iter()
                .chain(arguments)
                .collect()
        }
    })
}

/// Of all numbers of a name in the answers, one.
fn by_name(
    answers: &[Answer],
    numbers: impl Fn(&Answer) -> &BTreeMap<String, f64>,
    one: impl Fn(&[f64]) -> Option<f64>,
) -> BTreeMap<String, f64> {
    let mut all: BTreeMap<&String, Vec<f64>> = BTreeMap::new();
    for (name, &value) in answers.iter().flat_map(numbers) {
        all.entry(name).or_default().push(value);
    }
    all.into_iter()
        .filter_map(|(name, values)| Some((name.clone(), one(&values)?)))
        .collect()
}

/// From processes to times and ratios, in the order of the contestants.
fn lines(
    contestants: &[&'static Contestant],
    mut shown: BTreeMap<&str, (String, Vec<Round>)>,
) -> Vec<Line> {
    let medians = |rounds: &[Round]| -> Vec<f64> {
        let rounds = rounds.iter();
        rounds.filter_map(|round| median(&round.ms)).collect()
    };
    let reference = contestants
        .iter()
        .find(|contestant| is_ours(contestant))
        .and_then(|contestant| shown.get(contestant.name))
        .map(|(_, rounds)| medians(rounds));
    contestants
        .iter()
        .filter_map(|contestant| {
            let (version, rounds) = shown.remove(contestant.name)?;
            let times = medians(&rounds);
            let ours = is_ours(contestant);
            let ratios = reference.iter().flatten().zip(&times);
            Some(Line {
                name: contestant.name,
                version,
                ours,
                ms: Spread::of(times.iter().copied())?,
                ratio: Spread::of(ratios.map(|(ours, theirs)| ours / theirs)).filter(|_| !ours),
                rounds,
            })
        })
        .collect()
}

/// How much the sums of what was found may differ, as a share of the greater one. Integers find other
/// things than floats, but not much other.
const DIFFERENCE: f64 = 0.2;

/// Warns where contestants did not do the same work.
fn compare(model: &str, lines: &[Line], notes: &mut Notes) {
    let Some((reference, others)) = lines.split_first() else {
        return;
    };
    let found = |line: &Line| line.rounds.first().map(|round| round.found.clone());
    let expected = found(reference).unwrap_or_default();
    for line in others {
        for (name, value) in found(line).unwrap_or_default() {
            let Some(&expected) = expected.get(&name) else {
                continue;
            };
            if (value - expected).abs() > DIFFERENCE * value.abs().max(expected.abs()) {
                let (other, reference) = (line.name, reference.name);
                notes.warn(format!(
                    "{model}: {other} found {value:.1} {name}, {reference} {expected:.1}"
                ));
            }
        }
    }
}

/// How many processors others may keep busy. The benchmark itself and the system need a little.
const DISTURBANCE: f64 = 0.1;

/// Warns where others took processors away.
fn disturbed(model: &str, lines: &[Line], notes: &mut Notes) {
    let rounds = || lines.iter().flat_map(|line| &line.rounds);
    let disturbed = rounds().filter(|round| round.others > DISTURBANCE).count();
    if disturbed > 0 {
        let most = rounds().map(|round| round.others).fold(0.0, f64::max);
        notes.warn(format!(
            "{model}: other processes kept up to {most:.1} processors busy in {disturbed} of {} measurements",
            rounds().count()
        ));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{compare, lines};
    use crate::{report::Round, setting::Notes, workloads::WORKLOADS};

    fn round(ms: &[f64], detections: f64) -> Round {
        Round {
            first_answer_ms: 0.0,
            ms: ms.to_vec(),
            steps: BTreeMap::new(),
            peak_resident: 0,
            gpu_memory: None,
            others: 0.0,
            found: BTreeMap::from([("detections".to_owned(), detections)]),
        }
    }

    #[test]
    fn ratios_are_of_the_same_round() {
        let all = WORKLOADS[0].contestants;
        let contestants: Vec<_> = all.first().into_iter().chain(all.last()).collect();
        let shown = |rounds: Vec<Round>| (String::new(), rounds);
        let lines = lines(
            &contestants,
            BTreeMap::from([
                (
                    contestants[0].name,
                    shown(vec![round(&[1.0, 2.0, 9.0], 5.0), round(&[8.0], 5.0)]),
                ),
                (
                    contestants[1].name,
                    shown(vec![round(&[4.0], 9.0), round(&[4.0], 9.0)]),
                ),
            ]),
        );
        let [ours, peer] = lines.as_slice() else {
            panic!("two lines");
        };
        assert_eq!((ours.ms.median, ours.ratio), (5.0, None));
        let ratio = peer.ratio.unwrap();
        assert_eq!((ratio.least, ratio.greatest), (0.5, 2.0));

        let mut notes = Notes::default();
        compare("it", &lines, &mut notes);
        let [warning] = notes.warnings.as_slice() else {
            panic!("one warning");
        };
        assert!(warning.ends_with("found 9.0 detections, segmenter 5.0"));
    }
}
