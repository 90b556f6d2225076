//! A contestant as a process of its own.

use std::{
    env,
    ffi::OsStr,
    fs::{self, File},
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow};
use segmenter_tests::server::process_memory;
use serde::de::DeserializeOwned;

use crate::{
    cache::Cache,
    machine::process_seconds,
    protocol::{Answer, Hello},
};

/// A running contestant; killed when dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    /// Where its stderr goes.
    log: PathBuf,
    version: String,
}

impl Process {
    /// Starts it and waits until it is ready; what it complains of goes to the log of this name.
    pub(crate) fn start(words: &[String], cache: &Cache, name: &str) -> anyhow::Result<Self> {
        let log = cache.log(name);
        let (program, arguments) = words.split_first().context("no program")?;
        let mut child = command(program)
            .args(arguments)
            .env("TORCHINDUCTOR_CACHE_DIR", cache.compiled())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(&log).with_context(|| format!("cannot write {}", log.display()))?)
            .spawn()
            .with_context(|| format!("cannot run {program}"))?;
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().context("stdout is piped")?);
        let mut process = Self {
            child,
            input,
            output,
            log,
            version: String::new(),
        };
        process.version = process.line::<Hello>()?.version;
        Ok(process)
    }

    /// Has it work on the pictures at these paths, together.
    pub(crate) fn ask(&mut self, batch: &[impl AsRef<Path>]) -> anyhow::Result<Answer> {
        let paths = batch
            .iter()
            .map(|path| path.as_ref().as_os_str().as_encoded_bytes());
        let mut line = paths.collect::<Vec<_>>().join(&b'\t');
        line.push(b'\n');
        let input = self.input.as_mut().context("it was told to end")?;
        // Where it does not listen any more, the end of its output and its complaints tell more.
        let _ = input.write_all(&line).and_then(|()| input.flush());
        self.line()
    }

    /// What it runs on.
    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    /// Its number.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The most resident memory so far, in bytes.
    pub(crate) fn peak_resident(&self) -> u64 {
        process_memory(self.child.id(), "VmHWM:")
    }

    /// Seconds that it kept processors busy so far.
    pub(crate) fn busy_seconds(&self) -> f64 {
        process_seconds(self.child.id())
    }

    /// Tells it that there is no more work, and waits until it is gone: threads that spin for a while
    /// after their work would disturb who comes next.
    pub(crate) fn end(mut self) -> anyhow::Result<()> {
        drop(self.input.take());
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE {
            if self.child.try_wait()?.is_some() {
                return Ok(());
            }
            sleep(Duration::from_millis(10));
        }
        // It is killed and waited for when dropped.
        Ok(())
    }

    fn line<T: DeserializeOwned>(&mut self) -> anyhow::Result<T> {
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            let log = fs::read_to_string(&self.log).unwrap_or_default();
            let complaint = log.lines().rev().find(|line| !line.trim().is_empty());
            return Err(anyhow!(
                "it ended: {}",
                complaint.unwrap_or("without a word")
            ));
        }
        serde_json::from_str(&line).with_context(|| format!("not an answer: {line}"))
    }
}

/// How variables begin that change allocators and threads, or how PyTorch runs.
const CHANGING: [&str; 9] = [
    "GOMP_",
    "KMP_",
    "LD_PRELOAD",
    "MALLOC_",
    "MIMALLOC_",
    "MKL_",
    "OMP_",
    "RAYON_",
    "TORCH",
];

/// A command for a contestant, without what is set around the benchmark and would change it.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if CHANGING.iter().any(|prefix| text.starts_with(prefix)) {
            command.env_remove(&name);
        }
    }
    // Python would leave files beside the scripts, in the checkout.
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// How long a contestant may take to end when there is no more work.
const PATIENCE: Duration = Duration::from_secs(10);

impl Drop for Process {
    fn drop(&mut self) {
        // Fails only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
