//! What pods may do.

use anyhow::{Context as _, ensure};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::Api;
use serde_json::json;

use crate::{
    Result,
    scene::Scene,
    world::{OBJECTS, World},
};

pub(crate) async fn pods_are_restricted(world: &World) -> Result {
    let scene = Scene::open(world, "restricted").await?;
    // The namespace means it.
    let image = world.image();
    let arguments = ["run", "root", "--image", &image, "--restart=Never"];
    let refused = scene.kubectl(&arguments).await;
    let refused = refused.err().context("a pod was let in that may be root")?;
    let refused = format!("{refused:#}");
    ensure!(
        refused.contains("violates PodSecurity \"restricted"),
        "{refused}"
    );

    let spec = json!({ "security": { "networkPolicy": { "enabled": true } } });
    scene.service("restricted", &spec).await?;
    scene.answers("restricted").await?;
    let objects = scene.http("restricted")?.objects().await?;
    ensure!(objects == OBJECTS, "{objects:?}");
    for pod in scene.pods().await? {
        let spec = pod.spec.unwrap_or_default();
        for container in spec.containers {
            let context = container.security_context.unwrap_or_default();
            ensure!(
                context.read_only_root_filesystem == Some(true),
                "{}: {context:?}",
                container.name
            );
        }
    }
    // No more than that it is there: the network of a cluster of our own has nobody to enforce it.
    let policies = Api::<NetworkPolicy>::namespaced(world.client.clone(), &scene.namespace);
    policies.get("restricted").await?;
    scene.close().await
}
