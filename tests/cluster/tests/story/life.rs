//! The life of a service as `kubectl get` shows it: the commands of the documentation, run, and what they print.
//!
//! `UPDATE_DOCS=1` writes the answers anew.

use std::{fmt::Write as _, fs, process::Command};

use anyhow::{Context as _, ensure};

use crate::{
    Result,
    world::{Scene, World},
};

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/life.md");
const BEGIN: &str = "```console\n";
const END: &str = "```\n";

pub(crate) async fn what_people_see_is_what_the_documentation_shows(world: &World) -> Result {
    let scene = Scene::open(world, "team").await?;
    let text = fs::read_to_string(DOCUMENT).context(DOCUMENT)?;
    let mut answered = String::new();
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once(BEGIN) {
        let (block, after) = after.split_once(END).context("a block without an end")?;
        answered.extend([before, BEGIN]);
        for command in block.lines().filter_map(|line| line.strip_prefix("$ ")) {
            let printed = run(&scene, command).await?;
            let _ = write!(answered, "$ {command}\n{}", lasting(&printed));
        }
        answered.push_str(END);
        rest = after;
    }
    answered.push_str(rest);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(DOCUMENT, &answered)?;
        return scene.close().await;
    }
    for (shown, printed) in text.lines().zip(answered.lines()) {
        ensure!(
            shown == printed,
            "the documentation shows\n{shown}\nbut now it is\n{printed}\nUPDATE_DOCS=1 writes it anew"
        );
    }
    ensure!(
        text.lines().count() == answered.lines().count(),
        "the documentation shows more or less than is printed now; UPDATE_DOCS=1 writes it anew:\n{answered}"
    );
    scene.close().await
}

/// What a command prints, to both of its outputs, typed by somebody who works in the namespace.
async fn run(scene: &Scene<'_>, command: &str) -> Result<String> {
    let programs = std::env::var("KUBEBUILDER_ASSETS")?;
    let path = format!("{programs}:{}", std::env::var("PATH").unwrap_or_default());
    let mut shell = Command::new("sh");
    // kubectl has no variable for the namespace.
    let kubectl = format!("kubectl() {{ command kubectl --namespace {} \"$@\"; }}", scene.namespace);
    shell
        .args(["-c", &format!("{kubectl}; {command} 2>&1")])
        .env("KUBECONFIG", scene.world.access.kubeconfig())
        .env("PATH", path)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let output = tokio::task::spawn_blocking(move || shell.output()).await??;
    Ok(String::from_utf8(output.stdout)?)
}

/// Without what differs from one minute to the next: ages, in the last column.
fn lasting(text: &str) -> String {
    text.lines().fold(String::new(), |mut text, line| {
        let line = line.trim_end();
        let (rest, last) = line.rsplit_once(' ').unwrap_or(("", line));
        let is_age = last.ends_with(['s', 'm']) && last.starts_with(|first: char| first.is_ascii_digit());
        let _ = match is_age {
            true => writeln!(text, "{rest} 1m"),
            false => writeln!(text, "{line}"),
        };
        text
    })
}
