//! kubectl and helm.

use std::{
    ffi::OsStr,
    path::Path,
    process::{ExitStatus, Stdio},
};

use tokio::{io::AsyncWriteExt as _, process::Command};

use crate::error::Error;

/// What a command answered.
#[derive(Debug, Clone)]
pub struct Output {
    /// The command line.
    pub command: String,
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote on stdout.
    pub stdout: String,
    /// What it wrote on stderr.
    pub stderr: String,
}

impl Output {
    /// What it wrote on stdout.
    ///
    /// # Errors
    /// [`Error::Command`] with what it wrote on stderr, where it did not end with success.
    pub fn ok(self) -> Result<String, Error> {
        if self.status.success() {
            return Ok(self.stdout);
        }
        Err(Error::Command {
            command: self.command,
            status: self.status,
            stderr: self.stderr.trim_end().to_owned(),
        })
    }
}

/// Runs a program to its end, with a text as its stdin and nothing but these variables as its environment.
pub(crate) async fn run(
    program: &'static str,
    path: &Path,
    arguments: &[&str],
    input: &str,
    environment: &[(&str, &OsStr)],
) -> Result<Output, Error> {
    let spawn = |source| Error::Spawn { program, source };
    let mut child = Command::new(path)
        .args(arguments)
        .env_clear()
        .envs(environment.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(spawn)?;
    let stdin = child.stdin.take();
    let feed = async {
        if let Some(mut stdin) = stdin {
            // A command that does not want its input closes it.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
    };
    let ((), output) = tokio::join!(feed, child.wait_with_output());
    let output = output.map_err(spawn)?;
    Ok(Output {
        command: [&[program], arguments].concat().join(" "),
        status: output.status,
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}
