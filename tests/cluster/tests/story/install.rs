//! From `kubectl apply` to the first answer.

use std::{path::Path, time::Instant};

use anyhow::ensure;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::{
    Result,
    load::Caller,
    scene::Scene,
    world::{OBJECTS, PICTURE_URL, World, figure, with_weights, wrong_digest},
};

pub(crate) async fn the_three_line_example_answers(world: &World) -> Result {
    let scene = Scene::open(world, "first").await?;
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/minimal.yaml");
    let begin = Instant::now();
    scene
        .kubectl(&["apply", "--filename", &example.display().to_string()])
        .await?;
    let (http, grpc) = (scene.http("minimal")?, scene.grpc("minimal")?);
    let took = scene.first_answer(&http, begin).await?;
    figure(format!("from apply to the first answer: {took:.1?}"));
    scene.ready("minimal").await?;
    for caller in [http, grpc] {
        let objects = caller.objects().await?;
        ensure!(objects == OBJECTS, "{caller}: {objects:?}");
    }
    scene.close().await
}

pub(crate) async fn callers_from_outside_come_in_by_ingress_and_gateway(world: &World) -> Result {
    let address = &world.gateway().await?;
    let scene = Scene::open(world, "outside").await?;
    let (web, grpc) = ("segmenter.example.com", "grpc.segmenter.example.com");
    let spec = json!({
        "exposure": {
            "ingress": { "hosts": ["ingress.example.com"] },
            "gateway": {
                "parentRefs": [{ "name": "public", "namespace": "gateways" }],
                "hosts": [web],
                "grpcHosts": [grpc],
            },
        },
    });
    scene.service("exposed", &spec).await?;
    scene.ready("exposed").await?;
    scene.condition("exposed", "Routed", "True", None).await?;
    for caller in [
        Caller::http(address, Some("ingress.example.com"), &world.picture)?,
        Caller::http(address, Some(web), &world.picture)?,
        Caller::grpc(address, Some(grpc), PICTURE_URL)?,
    ] {
        scene.first_answer(&caller, Instant::now()).await?;
        let objects = caller.objects().await?;
        ensure!(objects == OBJECTS, "{caller}: {objects:?}");
    }
    scene.close().await
}

pub(crate) async fn weights_are_checked(world: &World) -> Result {
    world.others()?;
    let scene = Scene::open(world, "weights").await?;
    let weights = std::fs::read(world.materials.weights())?;
    let digest: String = Sha256::digest(&weights)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let wrong = wrong_digest();
    scene.service("right", &with_weights(&digest)).await?;
    scene.service("wrong", &with_weights(&wrong)).await?;

    scene.answers("right").await?;
    let objects = scene.http("right")?.objects().await?;
    ensure!(objects == OBJECTS, "{objects:?}");
    let pods = scene.pods().await?;
    let fetched = pods.iter().any(|pod| {
        let init = pod
            .status
            .iter()
            .flat_map(|status| &status.init_container_statuses);
        init.flatten().any(|container| {
            container.state.as_ref().is_some_and(|state| {
                state
                    .terminated
                    .as_ref()
                    .is_some_and(|ended| ended.exit_code == 0)
            })
        })
    });
    ensure!(
        fetched,
        "no container fetched the weights before the server started"
    );

    let message = scene
        .condition("wrong", "ModelReady", "False", Some("DigestMismatch"))
        .await?;
    ensure!(
        message.contains(&wrong) && message.contains(&digest),
        "{message}"
    );
    figure(format!("what the status says of a wrong digest: {message}"));
    scene.condition("wrong", "Ready", "False", None).await?;
    let answer = scene.http("wrong")?.objects().await;
    ensure!(answer.is_err(), "{answer:?} although the digest is wrong");
    scene.close().await
}
