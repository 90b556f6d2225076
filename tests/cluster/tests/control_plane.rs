//! What the tests of others rely on: that the control plane behaves as a real one, and leaves nothing
//! behind.

use std::{fs, process::ExitCode, sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
use k8s_openapi::api::{
    apps::v1::{Deployment, ReplicaSet},
    core::v1::{ConfigMap, Pod},
};
use kube::{
    Api, Resource,
    api::{DeleteParams, ListParams, PostParams},
};
use segmenter_cluster::{
    AuditEvent, ControlPlane, Crds, Error, Options, Program, Suite, Tools, eventually,
};
use serde_json::json;

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
    Suite::new(options)
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
        .run()
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

async fn a_deployment_gets_its_pods(plane: Arc<ControlPlane>) -> Result {
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

async fn what_an_object_owned_goes_with_it(plane: Arc<ControlPlane>) -> Result {
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

async fn the_garbage_collector_knows_a_new_kind_from_the_beginning(
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

async fn users_may_do_what_their_groups_may(plane: Arc<ControlPlane>) -> Result {
    namespace(&plane, "users").await?;
    let mallory = plane.kubeconfig_for("mallory", &["strangers", "readers"])?;
    let mallory = mallory.to_str().context("not UTF-8")?;
    let list = [
        "get",
        "configmaps",
        "--namespace=users",
        "--kubeconfig",
        mallory,
    ];
    let refused = plane.kubectl(&list).await?;
    ensure!(!refused.status.success(), "{refused:?}");
    ensure!(
        refused
            .stderr
            .contains(r#"User "mallory" cannot list resource "configmaps""#),
        "{refused:?}"
    );

    // The last of the groups counts like the first.
    plane
        .kubectl(&[
            "create",
            "rolebinding",
            "readers",
            "--namespace=users",
            "--clusterrole=view",
            "--group=readers",
        ])
        .await?
        .ok()?;
    eventually("the right to read", SOON, async || {
        Ok(Some(plane.kubectl(&list).await?.ok()?))
    })
    .await?;

    let many = plane.kubeconfig_for("mallory", &["one", "two", "three"]);
    ensure!(
        matches!(many, Err(Error::Groups { limit: 2, .. })),
        "{many:?}"
    );
    Ok(())
}

async fn a_service_account_has_its_own_rights(plane: Arc<ControlPlane>) -> Result {
    namespace(&plane, "accounts").await?;
    let missing = plane.kubeconfig_for_account("accounts", "robot").await;
    ensure!(missing.is_err(), "{missing:?}");
    plane
        .kubectl(&["create", "serviceaccount", "robot", "--namespace=accounts"])
        .await?
        .ok()?;
    let robot = plane.kubeconfig_for_account("accounts", "robot").await?;
    let path = robot.to_str().context("not UTF-8")?;
    let name = plane
        .kubectl(&[
            "auth",
            "whoami",
            "--output=jsonpath={.status.userInfo.username}",
            "--kubeconfig",
            path,
        ])
        .await?
        .ok()?;
    ensure!(name == "system:serviceaccount:accounts:robot", "{name}");
    let pods = Api::<Pod>::all(plane.client_from(&robot).await?);
    match pods.list(&ListParams::default()).await {
        Err(kube::Error::Api(status)) if status.is_forbidden() => Ok(()),
        other => anyhow::bail!("{other:?}"),
    }
}

async fn every_answer_is_audited(plane: Arc<ControlPlane>) -> Result {
    namespace(&plane, "audit").await?;
    plane
        .kubectl(&[
            "create",
            "rolebinding",
            "alice",
            "--namespace=audit",
            "--clusterrole=edit",
            "--user=alice",
        ])
        .await?
        .ok()?;
    let alice = plane
        .client_from(&plane.kubeconfig_for("alice", &[])?)
        .await?;
    let maps = Api::<ConfigMap>::namespaced(alice.clone(), "audit");
    eventually("the right to read", SOON, async || {
        Ok(Some(maps.list(&ListParams::default()).await?))
    })
    .await?;
    let map = serde_json::from_value(json!({ "metadata": { "name": "settings" } }))?;
    let writes = |events: Vec<AuditEvent>| {
        let mut events: Vec<_> = events
            .into_iter()
            .filter(|event| event.user == "alice" && event.is_write())
            .map(|event| {
                let AuditEvent {
                    verb,
                    resource,
                    namespace,
                    name,
                    code,
                    allowed,
                    ..
                } = event;
                format!("{verb} {resource} {namespace}/{name}: {code} {allowed}")
            })
            .collect();
        events.sort();
        events
    };

    // Often, to see that no event is missed that is written a moment after its answer.
    for _ in 0..50 {
        let position = plane.audit_position().await?;
        maps.create(&PostParams::default(), &map).await?;
        let events = plane.audit_since(position).await?;
        ensure!(
            writes(events.clone()) == ["create configmaps audit/settings: 201 true"],
            "{events:?}"
        );

        let position = plane.audit_position().await?;
        let elsewhere = Api::<ConfigMap>::namespaced(alice.clone(), "default");
        elsewhere
            .create(&PostParams::default(), &map)
            .await
            .err()
            .context("written in a foreign namespace")?;
        maps.delete("settings", &DeleteParams::default()).await?;
        let events = plane.audit_since(position).await?;
        ensure!(
            writes(events.clone())
                == [
                    // Refused before the body was read, which alone has the name.
                    "create configmaps default/: 403 false",
                    "delete configmaps audit/settings: 200 true",
                ],
            "{events:?}"
        );
        let position = plane.audit_position().await?;
        ensure!(writes(plane.audit_since(position).await?).is_empty());
    }
    // All of it, from the beginning: both the rounds above and the controllers.
    let all = plane.audit().await?;
    ensure!(writes(all.clone()).len() == 150);
    ensure!(
        all.iter()
            .any(|event| event.user == "system:kube-controller-manager")
    );
    Ok(())
}

async fn foreign_kinds_are_served(plane: Arc<ControlPlane>) -> Result {
    namespace(&plane, "foreign").await?;
    for crds in [Crds::GatewayApi, Crds::PrometheusOperator, Crds::Keda] {
        plane.install_crds(&crds).await?;
    }
    apply(
        &plane,
        r"
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web, namespace: foreign}
spec: {parentRefs: [{name: gateway}], rules: [{backendRefs: [{name: web, port: 80}]}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: web, namespace: foreign}
spec: {parentRefs: [{name: gateway}], rules: [{backendRefs: [{name: web, port: 90}]}]}
---
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata: {name: web, namespace: foreign}
spec: {selector: {}, endpoints: [{port: http}]}
---
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata: {name: web, namespace: foreign}
spec: {groups: [{name: web, rules: [{alert: Down, expr: 'up == 0'}]}]}
---
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {name: web, namespace: foreign}
spec: {scaleTargetRef: {name: web}, triggers: [{type: cron, metadata: {}}]}
",
    )
    .await?;
    let names = plane
        .kubectl(&[
            "get",
            "httproutes,grpcroutes,servicemonitors,prometheusrules,scaledobjects",
            "--namespace=foreign",
            "--output=name",
        ])
        .await?
        .ok()?;
    ensure!(names.lines().count() == 5, "{names}");

    // Their schemas are in force.
    let wrong = r"
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: wrong, namespace: foreign}
spec: {rules: [{backendRefs: [{name: web, port: 0}]}]}
";
    let refused = plane
        .kubectl_with_input(&["apply", "--filename", "-"], wrong)
        .await?;
    ensure!(
        refused.stderr.contains("spec.rules[0].backendRefs[0].port"),
        "{refused:?}"
    );
    Ok(())
}

async fn helm_installs_a_chart(plane: Arc<ControlPlane>) -> Result {
    namespace(&plane, "charts").await?;
    let chart = tempfile::tempdir()?;
    fs::write(
        chart.path().join("Chart.yaml"),
        "{apiVersion: v2, name: greeting, version: 1.0.0, kubeVersion: '>=1.30.0-0'}",
    )?;
    fs::create_dir(chart.path().join("templates"))?;
    fs::write(
        chart.path().join("templates/greeting.yaml"),
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: greeting}, data: {text: '{{ .Values.text }}'}}",
    )?;
    let path = chart.path().to_str().context("not UTF-8")?;
    // Without a cluster to ask, the chart is for the version of Kubernetes that helm was built for.
    let template = plane
        .helm(&["template", "greeting", path, "--set=text=hello"])
        .await?
        .ok()?;
    ensure!(template.contains("hello"), "{template}");
    plane
        .helm(&[
            "install",
            "greeting",
            path,
            "--namespace=charts",
            "--set=text=hello",
        ])
        .await?
        .ok()?;
    let map = Api::<ConfigMap>::namespaced(plane.client()?, "charts")
        .get("greeting")
        .await?;
    let text = map.data.and_then(|mut data| data.remove("text"));
    ensure!(text.as_deref() == Some("hello"), "{text:?}");
    let version = plane.helm(&["version", "--short"]).await?.ok()?;
    ensure!(version.starts_with("v3."), "{version}");
    Ok(())
}

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

async fn a_dropped_control_plane_leaves_nothing(_: Arc<ControlPlane>) -> Result {
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

async fn objects_outlive_an_outage_of_the_api_server(plane: Arc<ControlPlane>) -> Result {
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
