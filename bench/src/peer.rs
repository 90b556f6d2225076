//! Another program that answers pictures, by lines on its standard input and output.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use anyhow::{Context as _, ensure};
use segmenter_tests::server::process_memory;
use serde::{Deserialize, de::DeserializeOwned};

use crate::contestant::Setting;

/// A running script of `bench/peers`; killed when dropped.
#[derive(Debug)]
pub(crate) struct Peer {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    version: String,
}

/// The first line of a peer.
#[derive(Deserialize)]
struct Hello {
    version: String,
}

/// A peer's answer to one picture.
#[derive(Deserialize)]
struct Found {
    boxes: Vec<[f32; 4]>,
    scores: Vec<f32>,
}

/// Whether this Python has what the peers import.
pub(crate) fn can_run(python: &Path) -> bool {
    Command::new(python)
        .args(["-c", "import numpy, PIL, safetensors, torch, torchvision"])
        .output()
        .is_ok_and(|output| output.status.success())
}

impl Peer {
    /// Starts a script and waits until it has loaded what it runs on.
    pub(crate) fn start(script: &str, setting: &Setting<'_>) -> anyhow::Result<Self> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("peers")
            .join(script);
        let python = setting.python.to_string_lossy();
        let mut words = setting.pinning.iter().map(String::as_str).chain([&*python]);
        let program = words.next().context("there is at least Python")?;
        let mut process = Command::new(program)
            .args(words)
            .arg(&path)
            .arg(setting.shared)
            .arg(setting.threads.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot run {program}"))?;
        let input = process.stdin.take().context("stdin is piped")?;
        let output = process.stdout.take().context("stdout is piped")?;
        let mut peer = Self {
            process,
            input,
            output: BufReader::new(output),
            version: String::new(),
        };
        peer.version = peer.line::<Hello>()?.version;
        Ok(peer)
    }

    /// Has it answer the picture at `path`.
    pub(crate) fn ask(&mut self, path: &Path) -> anyhow::Result<()> {
        let mut line = PathBuf::from(path).into_os_string().into_encoded_bytes();
        line.push(b'\n');
        self.input.write_all(&line)?;
        let found: Found = self.line()?;
        ensure!(
            found.boxes.len() == found.scores.len(),
            "a score for each box"
        );
        Ok(())
    }

    /// The most resident memory so far, in bytes.
    pub(crate) fn peak_resident(&self) -> u64 {
        process_memory(self.process.id(), "VmHWM:")
    }

    /// What it runs on.
    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    fn line<T: DeserializeOwned>(&mut self) -> anyhow::Result<T> {
        let mut line = String::new();
        let length = self.output.read_line(&mut line)?;
        ensure!(length > 0, "the peer ended; run it by hand to see why");
        serde_json::from_str(&line).with_context(|| format!("not an answer: {line}"))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // Fails only when it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
