//! The life of a service as `kubectl get` shows it: the commands of the documentation, run, and what they print.
//!
//! `UPDATE_DOCS=1` writes the answers anew.

use std::{path::Path, process::Command};

use segmenter_cluster::document;

use crate::{
    Result,
    world::{Scene, World},
};

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/life.md");

pub(crate) async fn what_people_see_is_what_the_documentation_shows(world: &World) -> Result {
    let scene = Scene::open(world, "team").await?;
    document::compare(Path::new(DOCUMENT), async |command| {
        run(&scene, command).await
    })
    .await?;
    scene.close().await
}

/// What a command prints, to both of its outputs, typed by somebody who works in the namespace.
async fn run(scene: &Scene<'_>, command: &str) -> Result<String> {
    let programs = std::env::var("KUBEBUILDER_ASSETS")?;
    let path = format!("{programs}:{}", std::env::var("PATH").unwrap_or_default());
    let mut shell = Command::new("sh");
    // kubectl has no variable for the namespace.
    let kubectl = format!(
        "kubectl() {{ command kubectl --namespace {} \"$@\"; }}",
        scene.namespace
    );
    shell
        .args(["-c", &format!("{kubectl}; {command} 2>&1")])
        .env("KUBECONFIG", scene.world.access.kubeconfig())
        .env("PATH", path)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let output = tokio::task::spawn_blocking(move || shell.output()).await??;
    Ok(String::from_utf8(output.stdout)?)
}
