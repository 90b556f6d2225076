//! What was measured, as it is kept in JSON and printed in Markdown.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::{
    chart::{Bar, Chart, Group},
    gpu,
    machine::Machine,
    statistics::Spread,
    workloads,
};

/// Everything.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Where.
    pub(crate) machine: Machine,
    /// Processor threads of every contestant.
    pub(crate) threads: usize,
    /// Whether each process was bound to as many processors.
    pub(crate) pinned: bool,
    /// How often everything was measured anew.
    pub(crate) rounds: usize,
    /// Side by side with others.
    pub(crate) workloads: Vec<Measured>,
    /// What only the server shows.
    pub(crate) server: Vec<Row>,
    /// The server's memory under requests of pictures of many sizes.
    pub(crate) memory: Vec<Memory>,
    /// What the contestants say that they run on.
    pub(crate) versions: BTreeSet<String>,
    /// Contestants that did not run, and why.
    pub(crate) skipped: Vec<String>,
    /// What makes a result doubtful.
    pub(crate) warnings: Vec<String>,
}

/// A workload.
#[derive(Debug, Serialize)]
pub(crate) struct Measured {
    /// The catalogue's name of the model.
    pub(crate) model: &'static str,
    /// How many pictures were worked on together.
    pub(crate) batch: usize,
    /// From what to what.
    pub(crate) what: &'static str,
    /// In the order of the workload.
    pub(crate) contestants: Vec<Line>,
}

/// A contestant of a workload.
#[derive(Debug, Serialize)]
pub(crate) struct Line {
    /// As it is called.
    pub(crate) name: &'static str,
    /// What it says that it runs on.
    pub(crate) version: String,
    /// Whether it is ours.
    pub(crate) ours: bool,
    /// Milliseconds of a batch: the median of each round's work, over the rounds.
    pub(crate) ms: Spread,
    /// The time of the first of ours in the workload over this one's, round by round; of peers only.
    pub(crate) ratio: Option<Spread>,
    /// Each round as it was.
    pub(crate) rounds: Vec<Round>,
}

/// What one process of a contestant showed.
#[derive(Debug, Serialize)]
pub(crate) struct Round {
    /// From exec to its first answer, in milliseconds.
    pub(crate) first_answer_ms: f64,
    /// Of each batch.
    pub(crate) ms: Vec<f64>,
    /// The median milliseconds of each step, where the contestant tells.
    pub(crate) steps: BTreeMap<String, f64>,
    /// Bytes resident at the most.
    pub(crate) peak_resident: u64,
    /// The GPUs' memory after the work, where it was done on one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) gpu_memory: Option<gpu::Memory>,
    /// How many processors others kept busy meanwhile.
    pub(crate) others: f64,
    /// Sums over the items of numbers that tell what was found.
    pub(crate) found: BTreeMap<String, f64>,
}

/// Something about the server.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    /// What.
    pub(crate) name: String,
    /// Where it is a time of one of several that are compared: whose, and of what.
    pub(crate) compared: Option<Compared>,
    /// How much.
    pub(crate) value: Spread,
    /// Of what.
    pub(crate) unit: Unit,
}

/// One of several times that belong together.
#[derive(Debug, Serialize)]
pub(crate) struct Compared {
    /// What they are times of.
    pub(crate) title: &'static str,
    /// Whose this one is.
    pub(crate) name: &'static str,
    /// Whether that is ours.
    pub(crate) ours: bool,
}

/// The server's memory at some time.
#[derive(Debug, Serialize)]
pub(crate) struct Memory {
    /// Requests that were answered.
    pub(crate) requests: usize,
    /// Bytes resident now.
    pub(crate) resident: u64,
    /// Bytes resident at the most so far.
    pub(crate) peak_resident: u64,
}

/// What a number counts.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) enum Unit {
    /// Milliseconds.
    Milliseconds,
    /// Requests a second.
    PerSecond,
    /// Something over the same.
    Ratio,
}

impl Unit {
    fn write(self, value: f64) -> String {
        match self {
            Self::Milliseconds => format!("{} ms", digits(value)),
            Self::PerSecond => format!("{} /s", digits(value)),
            Self::Ratio => format!("{value:.2}"),
        }
    }

    fn write_range(self, spread: &Spread) -> String {
        match self {
            Self::Ratio => format!("{:.2}..{:.2}", spread.least, spread.greatest),
            _ => format!("{}..{}", digits(spread.least), digits(spread.greatest)),
        }
    }
}

/// Three digits or the whole number, whichever is more.
fn digits(value: f64) -> String {
    match value {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// In units of a million bytes.
fn megabytes(bytes: u64) -> String {
    format!("{} MB", digits(bytes as f64 / 1e6))
}

/// As `nvidia-smi` counts.
fn mebibytes(mebibytes: Option<u64>) -> String {
    mebibytes.map_or_else(|| "—".to_owned(), |mebibytes| format!("{mebibytes} MiB"))
}

impl Report {
    /// As tables.
    pub(crate) fn markdown(&self) -> String {
        let mut lines = Vec::new();
        for workload in &self.workloads {
            lines.push(format!("### {}", workload.name()));
            lines.push(format!("{}\n", capitalised(workload.what)));
            lines.extend(workload.table(self.machine.gpu.is_some()));
            lines.push(String::new());
        }
        if !self.server.is_empty() {
            lines.push("### The server with the default model\n".to_owned());
            lines.push("| | median | range |\n|---|--:|--:|".to_owned());
            lines.extend(self.server.iter().map(|row| {
                let (value, unit) = (&row.value, row.unit);
                let range = unit.write_range(value);
                format!("| {} | {} | {range} |", row.name, unit.write(value.median))
            }));
            lines.push(String::new());
        }
        if !self.memory.is_empty() {
            lines.push("### The server's memory, asked for all there is to find in pictures of many sizes\n".to_owned());
            lines.push("| requests | resident | at the most so far |\n|--:|--:|--:|".to_owned());
            lines.extend(self.memory.iter().map(|memory| {
                let [now, most] = [memory.resident, memory.peak_resident].map(megabytes);
                format!("| {} | {now} | {most} |", memory.requests)
            }));
            lines.push(String::new());
        }
        lines.extend(self.footer());
        lines.join("\n")
    }

    fn footer(&self) -> Vec<String> {
        let Machine {
            processor,
            vectors,
            processors,
            gpu,
            load,
        } = &self.machine;
        let gpu = gpu.as_ref().map_or(String::new(), |gpu| format!("{gpu}; "));
        let pinned = if self.pinned {
            ", each process bound to as many processors"
        } else {
            ""
        };
        let versions: Vec<&str> = self.versions.iter().map(String::as_str).collect();
        let mut lines = vec![
            format!(
                "Rounds: {}, threads: {}{pinned}; {gpu}{processor} ({vectors}), {processors} processors, load {load:.2} at the start.",
                self.rounds, self.threads,
            ),
            format!("{}.", versions.join("; ")),
            "In each round every contestant runs as a new process, one after the other, warms up, and is timed by \
             itself, one picture or batch at a time, reading it excluded. The time is the median of a round's, of which the \
             table has the median and the range over the rounds. segmenter allocates with mimalloc as its server \
             does, the peers as they come, with the C library's allocator and its default settings."
                .to_owned(),
        ];
        if self.machine.gpu.is_some() {
            lines.push(GPU_NOTE.to_owned());
        }
        lines.extend(self.warnings.iter().map(|what| format!("Warning: {what}.")));
        lines.push(format!(
            "{} skipped{}",
            self.skipped.len(),
            if self.skipped.is_empty() { "." } else { ":" }
        ));
        lines.extend(self.skipped.iter().map(|what| format!("* {what}")));
        lines
    }

    /// As a picture.
    pub(crate) fn chart(&self) -> Chart {
        let mut groups: Vec<Group> = self
            .workloads
            .iter()
            .map(|workload| Group {
                title: workload.name(),
                bars: workload.contestants.iter().map(Line::bar).collect(),
            })
            .collect();
        for row in &self.server {
            let Some(compared) = &row.compared else {
                continue;
            };
            let bar = Bar {
                name: compared.name.to_owned(),
                ours: compared.ours,
                value: row.value,
                text: row.unit.write(row.value.median),
            };
            match groups
                .iter_mut()
                .find(|group| group.title == compared.title)
            {
                Some(group) => group.bars.push(bar),
                None => groups.push(Group {
                    title: compared.title.to_owned(),
                    bars: vec![bar],
                }),
            }
        }
        let gpu = self.machine.gpu.as_ref();
        let gpu = gpu.map_or(String::new(), |gpu| format!("{gpu}, "));
        Chart {
            title: "Time of segmenter and others, less is better".to_owned(),
            note: format!(
                "{}{} threads of {}. Medians over the rounds ({}); lines show their range; × is segmenter's time over \
                 that one's.",
                gpu, self.threads, self.machine.processor, self.rounds
            ),
            groups,
        }
    }
}

/// What a table of times on a GPU has that others have not.
const GPU_NOTE: &str = "GPU memory is what nvidia-smi lists of the process, which as a rule is nothing where it uses \
                        Vulkan or runs in a container, and how much more was in use than before the process started, \
                        after the work. The first answer is counted from the process's start.";

impl Measured {
    /// As it is called.
    fn name(&self) -> String {
        workloads::name(self.model, self.batch)
    }

    fn table(&self, gpu: bool) -> Vec<String> {
        let mut columns = vec!["| | median | range | segmenter / it | peak memory |"];
        let mut rule = "|---|--:|--:|--:|--:|".to_owned();
        if gpu {
            columns.extend([
                " pictures |",
                " first answer |",
                " GPU memory, listed | grown |",
            ]);
            rule.push_str("--:|--:|--:|--:|");
        }
        let lines = self.contestants.iter().map(|line| {
            if gpu {
                line.markdown() + &line.gpu_markdown(self.batch)
            } else {
                line.markdown()
            }
        });
        [columns.concat(), rule].into_iter().chain(lines).collect()
    }
}

impl Line {
    fn markdown(&self) -> String {
        let ms = Unit::Milliseconds;
        let ratio = self.ratio.map_or(String::new(), |ratio| {
            let range = Unit::Ratio.write_range(&ratio);
            format!("{} ({range})", Unit::Ratio.write(ratio.median))
        });
        let memory = self.rounds.iter().map(|round| round.peak_resident).max();
        format!(
            "| {} | {} | {} | {ratio} | {} |",
            self.name,
            ms.write(self.ms.median),
            ms.write_range(&self.ms),
            megabytes(memory.unwrap_or_default()),
        )
    }

    /// What a row has in addition.
    fn gpu_markdown(&self, batch: usize) -> String {
        let per_second = 1e3 * batch as f64 / self.ms.median;
        let first = self.rounds.iter().map(|round| round.first_answer_ms);
        let first = Spread::of(first).map_or(f64::NAN, |first| first.median);
        let memories = || self.rounds.iter().filter_map(|round| round.gpu_memory);
        let listed = memories().filter_map(|memory| memory.listed).max();
        let grown = memories().filter_map(|memory| memory.grown).max();
        format!(
            " {} | {} | {} | {} |",
            Unit::PerSecond.write(per_second),
            Unit::Milliseconds.write(first),
            mebibytes(listed),
            mebibytes(grown),
        )
    }

    fn bar(&self) -> Bar {
        let time = Unit::Milliseconds.write(self.ms.median);
        Bar {
            name: self.name.to_owned(),
            ours: self.ours,
            value: self.ms,
            text: match self.ratio {
                Some(ratio) => format!("{time}, {}×", Unit::Ratio.write(ratio.median)),
                None => time,
            },
        }
    }
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).chain(['.']).collect()
}

#[cfg(test)]
mod tests {
    use super::{Line, Measured, Round, capitalised, digits};
    use crate::{gpu::Memory, statistics::Spread};

    #[test]
    fn numbers_have_three_digits() {
        let numbers = [0.1234, 9.87, 12.34, 123.4, 12345.6].map(digits);
        assert_eq!(numbers, ["0.12", "9.87", "12.3", "123", "12346"]);
    }

    #[test]
    fn sentences_begin_and_end() {
        assert_eq!(capitalised("from here"), "From here.");
        assert_eq!(capitalised(""), ".");
    }

    #[test]
    fn of_a_batch_on_a_gpu_the_pictures_are_counted() {
        let round = |listed, grown| Round {
            first_answer_ms: 900.0,
            ms: vec![40.0],
            steps: Default::default(),
            peak_resident: 5_000_000,
            gpu_memory: Some(Memory { listed, grown }),
            others: 0.0,
            found: Default::default(),
        };
        let measured = Measured {
            model: "it",
            batch: 8,
            what: "",
            contestants: vec![Line {
                name: "segmenter",
                version: String::new(),
                ours: true,
                ms: Spread::of([40.0]).unwrap(),
                ratio: None,
                rounds: vec![round(None, Some(530)), round(None, Some(512))],
            }],
        };
        assert_eq!(measured.name(), "it x 8");
        assert_eq!(
            measured.table(true).last().unwrap(),
            "| segmenter | 40.0 ms | 40.0..40.0 |  | 5.00 MB | 200 /s | 900 ms | — | 530 MiB |"
        );
        let columns = |gpu| {
            measured
                .table(gpu)
                .iter()
                .map(|row| row.matches('|').count())
                .collect::<Vec<_>>()
        };
        assert_eq!((columns(false), columns(true)), (vec![6; 3], vec![10; 3]));
    }
}
