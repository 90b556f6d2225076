//! What people see of a service: the commands of the README, run, and what they print.
//!
//! `UPDATE_DOCS=1 cargo test` writes the answers anew.

use std::{path::Path, sync::Arc};

use anyhow::ensure;
use segmenter_cluster::{ControlPlane, document};
use serde_json::json;

use crate::{
    status::{pods, ready, say},
    support::{Result, Stage},
};

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");

/// A namespace with `demo`, which is ready.
async fn open(plane: &Arc<ControlPlane>) -> Result<Stage> {
    let stage = Stage::new(Arc::clone(plane), "team").await?;
    stage.apply("demo", &json!({})).await?;
    let pod = &pods(&stage, "demo", 1).await?[0];
    say(&stage, pod, &ready()).await?;
    stage
        .condition("demo", "Ready", "True", "Available")
        .await?;
    stage.quiet().await?;
    Ok(stage)
}

pub(crate) async fn what_people_see_is_what_the_readme_shows(plane: Arc<ControlPlane>) -> Result {
    let _stage = open(&plane).await?;
    let somebody = plane.access_for("somebody", &["system:masters"])?;
    somebody.work_in("team").await?;
    let commands = document::compare(Path::new(README), async |command| {
        Ok(somebody.shell(command).await?)
    })
    .await?;
    ensure!(commands >= 9, "the README shows only {commands} commands");
    Ok(())
}
