//! What people see of a service: the commands of the README, run, and what they print.
//!
//! `UPDATE_README=1 cargo test` writes the answers anew.

use std::{fmt::Write as _, path::PathBuf, process::Command, sync::Arc};

use anyhow::{Context as _, ensure};
use segmenter_cluster::ControlPlane;
use serde_json::json;

use crate::{
    status::{pods, ready, say},
    support::{Result, Stage},
};

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
const BEGIN: &str = "```console\n";
const END: &str = "```\n";

/// A namespace with `demo`, which is ready, where shell commands run as somebody who works there would type
/// them.
struct Shell {
    stage: Stage,
    kubeconfig: PathBuf,
    path: String,
}

impl Shell {
    async fn open(plane: Arc<ControlPlane>) -> Result<Self> {
        let stage = Stage::new(Arc::clone(&plane), "team").await?;
        stage.apply("demo", &json!({})).await?;
        let pod = &pods(&stage, "demo", 1).await?[0];
        say(&stage, pod, &ready()).await?;
        stage
            .condition("demo", "Ready", "True", "Available")
            .await?;
        stage.quiet().await?;
        let kubeconfig = plane.kubeconfig_for("somebody", &["system:masters"])?;
        let programs = std::env::var("KUBEBUILDER_ASSETS")?;
        let path = format!("{programs}:{}", std::env::var("PATH").unwrap_or_default());
        let shell = Self {
            stage,
            kubeconfig,
            path,
        };
        shell
            .run("kubectl config set-context --current --namespace=team")
            .await?;
        Ok(shell)
    }

    /// What a command prints, to both of its outputs.
    async fn run(&self, command: &str) -> Result<String> {
        let mut shell = Command::new("sh");
        shell
            .args(["-c", &format!("{command} 2>&1")])
            .env("KUBECONFIG", &self.kubeconfig)
            .env("PATH", &self.path);
        let output = tokio::task::spawn_blocking(move || shell.output()).await??;
        Ok(String::from_utf8(output.stdout)?)
    }
}

/// Without what differs from one cluster and minute to the next.
fn lasting(text: &str) -> String {
    let mut lines: Vec<_> = text.lines().map(lasting_line).collect();
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines.iter().fold(String::new(), |mut text, line| {
        let _ = writeln!(text, "{line}");
        text
    })
}

fn lasting_line(line: &str) -> String {
    let line = line.trim_end();
    let key = line.trim_start().split(':').next().unwrap_or_default();
    let begin = line.len() - line.trim_start().len();
    let fixed = match key {
        "UID" => Some("7f1c2b7e-9e1f-4a43-9d0c-0d7f6f6f0a11"),
        "Resource Version" => Some("1234"),
        "Creation Timestamp" | "Last Transition Time" => Some("2026-01-01T00:00:00Z"),
        "Pod Template" => Some("0123456789abcdef"),
        _ => None,
    };
    if let Some(fixed) = fixed {
        let value = line[begin + key.len() + 1..].trim_start();
        let padding = line.len() - value.len();
        return format!("{}{fixed}", &line[..padding]);
    }
    let words = line.split(' ').map(|word| match word.strip_suffix('s') {
        // An age, which has room for three letters, as many as its title has.
        Some(seconds) if seconds.parse::<u32>().is_ok() => {
            format!("{:width$}", "1m", width = word.len())
        }
        _ => word.to_owned(),
    });
    words.collect::<Vec<_>>().join(" ").trim_end().to_owned()
}

pub(crate) async fn what_people_see_is_what_the_readme_shows(plane: Arc<ControlPlane>) -> Result {
    let shell = Shell::open(plane).await?;
    let text = std::fs::read_to_string(README)?;
    let mut answered = String::new();
    let mut rest = text.as_str();
    let mut commands = 0;
    while let Some((before, after)) = rest.split_once(BEGIN) {
        let (block, after) = after.split_once(END).context("a block without an end")?;
        answered.extend([before, BEGIN]);
        for line in block.lines().filter_map(|line| line.strip_prefix("$ ")) {
            let printed = shell.run(line).await?;
            let _ = write!(answered, "$ {line}\n{}", lasting(&printed));
            commands += 1;
        }
        answered.push_str(END);
        rest = after;
    }
    answered.push_str(rest);
    ensure!(commands >= 9, "the README shows only {commands} commands");
    if std::env::var_os("UPDATE_README").is_some() {
        std::fs::write(README, &answered)?;
    }
    for (shown, printed) in text.lines().zip(answered.lines()) {
        ensure!(
            shown == printed || std::env::var_os("UPDATE_README").is_some(),
            "the README shows\n{shown}\nbut now it is\n{printed}\nUPDATE_README=1 writes it anew"
        );
    }
    ensure!(
        text.lines().count() == answered.lines().count()
            || std::env::var_os("UPDATE_README").is_some(),
        "the README shows more or less than is printed now; UPDATE_README=1 writes it anew:\n{answered}"
    );
    drop(shell.stage);
    Ok(())
}
