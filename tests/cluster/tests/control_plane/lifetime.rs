//! Ends and outages of the control plane itself.

use std::{fs, sync::Arc};

use anyhow::{Context as _, ensure};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api,
    api::{DeleteParams, PostParams},
};
use segmenter_cluster::{ControlPlane, Options, Program, Tools};
use serde_json::json;

use crate::{Result, deploy, namespace};

/// How many processes have `text` in their command line.
fn processes(text: &str) -> Result<usize> {
    let mut count = 0;
    for entry in fs::read_dir("/proc")? {
        // Not every entry is a process, and processes end.
        if let Ok(line) = fs::read(entry?.path().join("cmdline")) {
            count += usize::from(String::from_utf8_lossy(&line).contains(text));
        }
    }
    Ok(count)
}

pub(crate) async fn a_dropped_control_plane_leaves_nothing(_: Arc<ControlPlane>) -> Result {
    let options = Options {
        controllers: false,
        ..Options::default()
    };
    let plane = ControlPlane::start(&Tools::find()?, options).await?;
    let folder = plane.folder().to_owned();
    let client = plane.client()?;
    let text = folder.to_str().context("not UTF-8")?;
    ensure!(processes(text)? == 2, "{plane:?}");
    ensure!(plane.log(Program::ControllerManager).is_err());
    client.apiserver_version().await?;
    drop(plane);
    ensure!(processes(text)? == 0);
    ensure!(!folder.exists(), "{folder:?}");
    ensure!(client.apiserver_version().await.is_err());
    Ok(())
}

pub(crate) async fn objects_outlive_an_outage_of_the_api_server(
    plane: Arc<ControlPlane>,
) -> Result {
    namespace(&plane, "outage").await?;
    let client = plane.client()?;
    let maps = Api::<ConfigMap>::namespaced(client.clone(), "outage");
    let map = serde_json::from_value(json!({ "metadata": { "name": "durable" } }))?;
    let made = maps.create(&PostParams::default(), &map).await?;
    let alice = plane.kubeconfig_for("alice", &["system:masters"])?;
    let position = plane.audit_position().await?;

    for crash in [false, true] {
        if crash {
            plane.kill_api_server().await;
        } else {
            plane.stop_api_server().await;
        }
        ensure!(client.apiserver_version().await.is_err());
        // What was said before can still be read.
        plane.audit_since(position).await?;
        plane.start_api_server().await?;
        ensure!(maps.get("durable").await?.metadata.uid == made.metadata.uid);
    }

    // Certificates from before are still good, and the log goes on where it was.
    Api::<ConfigMap>::namespaced(plane.client_from(&alice).await?, "outage")
        .delete("durable", &DeleteParams::default())
        .await?;
    let events = plane.audit_since(position).await?;
    ensure!(
        events
            .iter()
            .any(|event| event.user == "alice" && event.verb == "delete"),
        "{events:?}"
    );
    // The controllers have found it again.
    deploy(&plane, "outage", "web").await?;
    Ok(())
}
