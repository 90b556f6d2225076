//! What people see of a service: the commands of the README, run, and what they print.
//!
//! `UPDATE_DOCS=1 cargo test` writes the answers anew.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use anyhow::ensure;
use segmenter_cluster::{ControlPlane, document};
use serde_json::json;

use crate::{
    status::{pods, ready, say},
    support::{Result, Stage},
};

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");

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

pub(crate) async fn what_people_see_is_what_the_readme_shows(plane: Arc<ControlPlane>) -> Result {
    let shell = Shell::open(plane).await?;
    let commands = document::compare(Path::new(README), async |command| shell.run(command).await);
    let commands = commands.await?;
    ensure!(commands >= 9, "the README shows only {commands} commands");
    drop(shell.stage);
    Ok(())
}
