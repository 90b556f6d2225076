//! What the tests of others rely on: that the control plane behaves as a real one, and leaves nothing
//! behind.

mod access;
mod foreign;
mod lifetime;
mod workloads;

use std::{process::ExitCode, time::Duration};

use access::{
    a_service_account_has_its_own_rights, every_answer_is_audited,
    users_may_do_what_their_groups_may,
};
use anyhow::Context as _;
use foreign::{foreign_kinds_are_served, helm_installs_a_chart};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use kube::{
    Api,
    api::{ListParams, PostParams},
};
use lifetime::{
    a_dropped_control_plane_leaves_nothing, objects_outlive_an_outage_of_the_api_server,
};
use segmenter_cluster::{ControlPlane, Crds, Options, Suite, eventually};
use serde_json::json;
use workloads::{
    a_deployment_gets_its_pods, the_garbage_collector_knows_a_new_kind_from_the_beginning,
    what_an_object_owned_goes_with_it,
};

type Result<T = ()> = anyhow::Result<T>;

/// How long controllers may take. Generous: the machine may be busy with other tests.
const SOON: Duration = Duration::from_secs(60);

/// A kind of our own.
const WIDGETS: &str = r"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: widgets.test.segmenter.dev
spec:
  group: test.segmenter.dev
  scope: Namespaced
  names: {kind: Widget, singular: widget, plural: widgets}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}
";

fn main() -> ExitCode {
    let options = Options {
        crds: vec![Crds::Manifest(WIDGETS.to_owned())],
        ..Options::default()
    };
    Suite::<ControlPlane>::new()
        .test("a_deployment_gets_its_pods", a_deployment_gets_its_pods)
        .test(
            "what_an_object_owned_goes_with_it",
            what_an_object_owned_goes_with_it,
        )
        .test(
            "the_garbage_collector_knows_a_new_kind_from_the_beginning",
            the_garbage_collector_knows_a_new_kind_from_the_beginning,
        )
        .test(
            "users_may_do_what_their_groups_may",
            users_may_do_what_their_groups_may,
        )
        .test(
            "a_service_account_has_its_own_rights",
            a_service_account_has_its_own_rights,
        )
        .test("every_answer_is_audited", every_answer_is_audited)
        .test("foreign_kinds_are_served", foreign_kinds_are_served)
        .test("helm_installs_a_chart", helm_installs_a_chart)
        .test(
            "a_dropped_control_plane_leaves_nothing",
            a_dropped_control_plane_leaves_nothing,
        )
        .alone(
            "objects_outlive_an_outage_of_the_api_server",
            objects_outlive_an_outage_of_the_api_server,
        )
        .run(options)
}

async fn namespace(plane: &ControlPlane, name: &str) -> Result {
    plane
        .kubectl(&["create", "namespace", name])
        .await?
        .ok()
        .context("no namespace")?;
    Ok(())
}

async fn apply(plane: &ControlPlane, manifest: &str) -> Result {
    plane
        .kubectl_with_input(&["apply", "--filename", "-"], manifest)
        .await?
        .ok()?;
    Ok(())
}

/// A Deployment of two Pods.
fn deployment(name: &str) -> Result<Deployment> {
    Ok(serde_json::from_value(json!({
        "metadata": { "name": name },
        "spec": {
            "replicas": 2,
            "selector": { "matchLabels": { "app": name } },
            "template": {
                "metadata": { "labels": { "app": name } },
                "spec": { "containers": [{ "name": "main", "image": "example.invalid/none" }] },
            },
        },
    }))?)
}

/// Makes a Deployment, and waits for its two Pods.
async fn deploy(plane: &ControlPlane, namespace: &str, name: &str) -> Result<Vec<Pod>> {
    let client = plane.client()?;
    Api::<Deployment>::namespaced(client.clone(), namespace)
        .create(&PostParams::default(), &deployment(name)?)
        .await?;
    let pods = Api::<Pod>::namespaced(client, namespace);
    let selector = ListParams::default().labels(&format!("app={name}"));
    eventually("two Pods", SOON, async || {
        let pods = pods.list(&selector).await?.items;
        Ok((pods.len() == 2).then_some(pods))
    })
    .await
}
