//! The operator's binary, as a process.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::Context as _;
use segmenter_cluster::eventually;
use serde_json::Value;

use crate::support::{Result, SOON};

/// A running operator; killed when dropped.
pub(crate) struct Process {
    child: Child,
    /// Where it answers HTTP.
    pub(crate) url: String,
}

impl Process {
    /// Starts one, which answers HTTP on a port of its own.
    pub(crate) fn start(kubeconfig: &Path, arguments: &[&str]) -> Result<Self> {
        Self::start_with(kubeconfig, arguments, &[])
    }

    /// The same with these variables.
    pub(crate) fn start_with(
        kubeconfig: &Path,
        arguments: &[&str],
        variables: &[(String, String)],
    ) -> Result<Self> {
        let mut child = command(kubeconfig)
            .args(arguments)
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stderr(Stdio::piped())
            .spawn()?;
        let stderr = child.stderr.take().context("stderr is a pipe")?;
        let mut lines = BufReader::new(stderr).lines();
        let address = lines.by_ref().find_map(|line| {
            let line: Value = serde_json::from_str(&line.ok()?).ok()?;
            line["http"].as_str().map(str::to_owned)
        });
        // Or it would stop when the pipe is full.
        std::thread::spawn(move || lines.for_each(drop));
        let address = address.context("it says where it listens")?;
        Ok(Self {
            child,
            url: format!("http://{address}"),
        })
    }

    /// Starts one that need not come to listen.
    pub(crate) fn start_deaf(kubeconfig: &Path) -> Result<Self> {
        let child = command(kubeconfig).stderr(Stdio::null()).spawn()?;
        let url = String::new();
        Ok(Self { child, url })
    }

    /// The most memory that it ever had, in bytes.
    pub(crate) fn peak_memory(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = line.context("VmHWM")?.trim().trim_end_matches(" kB");
        Ok(kilobytes.parse::<u64>()? * 1024)
    }

    /// Waits until it answers `path` with this status; answers the body.
    pub(crate) async fn answers(&self, path: &str, status: u16) -> Result<String> {
        let url = format!("{}{path}", self.url);
        eventually(&format!("{status} of {path}"), SOON, async || {
            let (found, body) = get(&url).await?;
            anyhow::ensure!(found == status, "it is {found}: {body}");
            Ok(Some(body))
        })
        .await
    }

    /// Tells it to stop, and waits; answers its exit code.
    pub(crate) async fn stop(&mut self) -> Result<Option<i32>> {
        let id = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &id]).status()?;
        self.wait().await
    }

    /// Waits for its end; answers its exit code.
    pub(crate) async fn wait(&mut self) -> Result<Option<i32>> {
        eventually("the operator's end", SOON, async || {
            Ok(self.child.try_wait()?.map(|status| status.code()))
        })
        .await
    }

    /// Kills it.
    pub(crate) fn kill(&mut self) -> Result {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

fn command(kubeconfig: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_segmenter-operator"));
    command
        .args(["run", "--http=127.0.0.1:0"])
        .env("KUBECONFIG", kubeconfig);
    command
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An answer's status and body, by HTTP/1.0, for which no client is needed.
pub(crate) async fn get(url: &str) -> Result<(u16, String)> {
    request("GET", url, "").await
}

pub(crate) async fn request(method: &str, url: &str, body: &str) -> Result<(u16, String)> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let rest = url.strip_prefix("http://").context("the scheme is http")?;
    let (address, path) = rest.split_once('/').context("there is a path")?;
    let mut stream = tokio::net::TcpStream::connect(address).await?;
    let length = body.len();
    let head = format!(
        "{method} /{path} HTTP/1.0\r\nHost: operator\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(head.as_bytes()).await?;
    let mut answer = String::new();
    tokio::time::timeout(Duration::from_secs(10), stream.read_to_string(&mut answer)).await??;
    let status = answer.split(' ').nth(1).context("a status")?.parse()?;
    let body = answer
        .split_once("\r\n\r\n")
        .map(|(_, body)| body.to_owned());
    Ok((status, body.unwrap_or_default()))
}
