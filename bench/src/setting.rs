//! What is the same for all contestants, and what is noted on the way.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use clap::ValueEnum;
use segmenter_tests::shared::skipped;

use crate::{
    cache::Cache,
    gpu_workloads::GPU_WORKLOADS,
    workloads::{Kind, WORKLOADS, Workload},
};

/// What networks run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Device {
    /// The processor
    Cpu,
    /// The first GPU
    Gpu,
}

impl Device {
    /// All that is measured on it side by side.
    pub(crate) fn workloads(self) -> &'static [Workload] {
        match self {
            Self::Cpu => WORKLOADS,
            Self::Gpu => GPU_WORKLOADS,
        }
    }
}

/// What is the same for all.
#[derive(Debug)]
pub(crate) struct Setting {
    /// What networks run on.
    pub(crate) device: Device,
    /// The folder of shared data.
    pub(crate) shared: PathBuf,
    /// What is made once.
    pub(crate) cache: Cache,
    /// The peers' Python, and those of the modules they need that it has.
    pub(crate) python: Python,
    /// How often everything is measured anew.
    pub(crate) rounds: usize,
    /// Processor threads.
    pub(crate) threads: usize,
    /// The command that binds a process to as many processors; empty where there is none.
    pub(crate) pinning: Vec<String>,
    /// Parts of the names of what is measured; all where there are none.
    pub(crate) only: Vec<String>,
    /// How the server is measured.
    pub(crate) server: Server,
}

/// How the server is measured.
#[derive(Debug)]
pub(crate) struct Server {
    /// How often it is started.
    pub(crate) starts: usize,
    /// Requests while memory is watched.
    pub(crate) requests: usize,
    /// Requests under way at a time.
    pub(crate) clients: usize,
    /// How long it is kept busy.
    pub(crate) duration: Duration,
    /// Its other flags.
    pub(crate) flags: Vec<String>,
}

impl Setting {
    /// Whether this is to be measured.
    pub(crate) fn wants(&self, workload: &str, contestant: &str) -> bool {
        let name = full_name(workload, contestant);
        self.only.is_empty() || self.only.iter().any(|part| name.contains(part))
    }
}

/// As `--only` and `--list` have it.
pub(crate) fn full_name(workload: &str, contestant: &str) -> String {
    format!("{workload}: {contestant}")
}

/// A Python and what it has.
#[derive(Debug)]
pub(crate) struct Python {
    /// The program.
    pub(crate) program: PathBuf,
    modules: BTreeSet<String>,
}

impl Python {
    /// Finds out which of these modules it has; none where it does not even run.
    pub(crate) fn look<'a>(program: &Path, modules: impl IntoIterator<Item = &'a str>) -> Self {
        const FIND: &str = "import importlib.util as u, sys\n\
                            print(*[m for m in sys.argv[1:] if u.find_spec(m)], sep='\\n')";
        let found = Command::new(program)
            .args(["-c", FIND])
            .args(modules)
            .output();
        Self {
            program: program.to_owned(),
            modules: found.map_or_else(
                |_| BTreeSet::new(),
                |output| {
                    let names = String::from_utf8_lossy(&output.stdout);
                    names.lines().map(str::to_owned).collect()
                },
            ),
        }
    }

    /// Those of the modules that it lacks.
    pub(crate) fn lacks(&self, modules: &[&'static str]) -> Vec<&'static str> {
        let missing = modules.iter().filter(|&&name| !self.modules.contains(name));
        missing.copied().collect()
    }

    /// Why a contestant cannot run, in words.
    pub(crate) fn obstacle(&self, kind: &Kind) -> Option<String> {
        let Kind::Peer { modules, .. } = kind else {
            return None;
        };
        let missing = self.lacks(modules);
        (!missing.is_empty())
            .then(|| format!("{} lacks {}", self.program.display(), missing.join(" and ")))
    }
}

/// What is noted on the way, and said at once.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    /// What did not run, and why.
    pub(crate) skipped: Vec<String>,
    /// What makes a result doubtful.
    pub(crate) warnings: Vec<String>,
    /// What the contestants say that they run on.
    pub(crate) versions: BTreeSet<String>,
}

impl Notes {
    /// Something did not run.
    pub(crate) fn skip(&mut self, name: &str, why: &str) {
        skipped("bench", &format!("{name}: {why}"));
        self.skipped.push(format!("{name}: {why}"));
    }

    /// A result is doubtful.
    pub(crate) fn warn(&mut self, what: String) {
        eprintln!("warning: {what}");
        self.warnings.push(what);
    }
}
