//! What follows from an object that somebody made.

use std::{sync::Arc, time::Duration};

use anyhow::ensure;
use k8s_openapi::api::{
    apps::v1::{Deployment, ReplicaSet},
    core::v1::{ConfigMap, Pod},
};
use kube::{
    Api, Resource as _,
    api::{DeleteParams, ListParams, PostParams},
};
use segmenter_cluster::{ControlPlane, eventually};
use serde_json::json;

use crate::{Result, SOON, apply, deploy, namespace};

pub(crate) async fn a_deployment_gets_its_pods(plane: Arc<ControlPlane>) -> Result {
    namespace(&plane, "deployments").await?;
    let pods = deploy(&plane, "deployments", "web").await?;
    let sets = Api::<ReplicaSet>::namespaced(plane.client()?, "deployments")
        .list(&ListParams::default())
        .await?;
    let [set] = &sets.items[..] else {
        anyhow::bail!("{} ReplicaSets", sets.items.len())
    };
    for pod in pods {
        let phase = pod.status.as_ref().and_then(|status| status.phase.clone());
        ensure!(phase.as_deref() == Some("Pending"), "{phase:?}");
        let owners = pod.meta().owner_references.as_deref().unwrap_or_default();
        ensure!(
            owners.len() == 1 && Some(&owners[0].uid) == set.metadata.uid.as_ref(),
            "{owners:?}"
        );
    }
    Ok(())
}

pub(crate) async fn what_an_object_owned_goes_with_it(plane: Arc<ControlPlane>) -> Result {
    namespace(&plane, "collection").await?;
    deploy(&plane, "collection", "web").await?;
    let client = plane.client()?;
    Api::<Deployment>::namespaced(client.clone(), "collection")
        .delete("web", &DeleteParams::background())
        .await?;
    let sets = Api::<ReplicaSet>::namespaced(client.clone(), "collection");
    let pods = Api::<Pod>::namespaced(client, "collection");
    eventually("the end of ReplicaSet and Pods", SOON, async || {
        let list = ListParams::default();
        let left = sets.list(&list).await?.items.len() + pods.list(&list).await?.items.len();
        Ok((left == 0).then_some(()))
    })
    .await
}

pub(crate) async fn the_garbage_collector_knows_a_new_kind_from_the_beginning(
    plane: Arc<ControlPlane>,
) -> Result {
    namespace(&plane, "widgets").await?;
    apply(
        &plane,
        "{apiVersion: test.segmenter.dev/v1, kind: Widget, metadata: {name: owner, namespace: widgets}}",
    )
    .await?;
    let uid = plane
        .kubectl(&[
            "get",
            "widget",
            "owner",
            "--namespace=widgets",
            "--output=jsonpath={.metadata.uid}",
        ])
        .await?
        .ok()?;
    let maps = Api::<ConfigMap>::namespaced(plane.client()?, "widgets");
    let owned = serde_json::from_value(json!({ "metadata": {
        "name": "owned",
        "ownerReferences": [
            { "apiVersion": "test.segmenter.dev/v1", "kind": "Widget", "name": "owner", "uid": uid },
        ],
    }}))?;
    maps.create(&PostParams::default(), &owned).await?;
    plane
        .kubectl(&["delete", "widget", "owner", "--namespace=widgets"])
        .await?
        .ok()?;
    // Less than the 30 s after which it looks for new kinds.
    let limit = Duration::from_secs(20);
    eventually("the end of what the widget owned", limit, async || {
        Ok(maps.get_opt("owned").await?.is_none().then_some(()))
    })
    .await
}
