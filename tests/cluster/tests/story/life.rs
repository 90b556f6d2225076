//! The life of a service as `kubectl get` shows it: the commands of the documentation, run, and what they print.
//!
//! `UPDATE_DOCS=1` writes the answers anew.

use std::path::Path;

use segmenter_cluster::document;

use crate::{Result, scene::Scene, world::World};

const REPOSITORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

pub(crate) async fn what_people_see_is_what_the_documentation_shows(world: &World) -> Result {
    world.others()?;
    let scene = Scene::open(world, "team").await?;
    let somebody = world.access.copied("somebody").await?;
    somebody.work_in("team").await?;
    document::compare(
        &Path::new(REPOSITORY).join("docs/life.md"),
        async |command| {
            Ok(somebody
                .shell(&format!("cd {REPOSITORY}\n{command}"))
                .await?)
        },
    )
    .await?;
    scene.close().await
}
