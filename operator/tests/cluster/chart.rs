//! The charts, by the real helm.

use std::{
    process::{Command, Stdio},
    sync::Arc,
};

use anyhow::{Context as _, ensure};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Namespace};
use kube::{Api, api::PostParams};
use segmenter_cluster::{ControlPlane, Options, Tools, eventually};
use segmenter_operator::controller::kind::Kind;
use serde_json::{Value, json};

use crate::{
    process::Process,
    support::{
        Result, SOON, Stage,
        rights::{RELEASE, SYSTEM, file, folder},
    },
};

/// What can be chosen, in one go.
const EVERY_VALUE: [&str; 15] = [
    "replicas=2",
    "logLevel=debug",
    "otlpEndpoint=http://collector.example.com:4317",
    "networkPolicy.allowTo[0].ports[0].port=4317",
    "image.digest=sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    "image.pullSecrets={registry}",
    "services.image=registry.example.com/segmenter:1",
    "services.acceleratorImage=registry.example.com/segmenter-gpu:1",
    "monitorLabels.release=prometheus",
    "networkPolicy.enabled=true",
    "networkPolicy.metricsFrom[0].namespaceSelector.matchLabels.team=observability",
    "podLabels.team=vision",
    "nodeSelector.kubernetes\\.io/arch=amd64",
    "tolerations[0].operator=Exists",
    "priorityClassName=system-cluster-critical",
];

pub(crate) async fn values_are_checked(plane: Arc<ControlPlane>) -> Result {
    for chart in [RELEASE, "segmenter-crds"] {
        let lint = ["lint", "--strict", &folder(chart)];
        plane.helm(&lint).await?.ok()?;
    }
    let refusals = [
        ("replica=2", "replica"),
        ("replicas=two", "replicas"),
        ("image.digest=sha256:12", "digest"),
        ("watchNamespaces=shop", "watchNamespaces"),
        ("watchNamespaces={Shop}", "watchNamespaces"),
        ("networkPolicy.apiServerPorts={0}", "apiServerPorts"),
        ("resources.limit.cpu=1", "limit"),
    ];
    for (value, named) in refusals {
        let template = ["template", RELEASE, &folder(RELEASE), "--set", value];
        let output = plane.helm(&template).await?;
        ensure!(
            !output.status.success() && output.stderr.contains(named),
            "{value}: {output:?}"
        );
    }
    // The README says what there is.
    let readme = std::fs::read_to_string(file("charts/segmenter-operator/README.md"))?;
    let schema = std::fs::read_to_string(file("charts/segmenter-operator/values.schema.json"))?;
    let schema: Value = serde_json::from_str(&schema)?;
    let mut values = Vec::new();
    leaves(&schema, String::new(), &mut values);
    ensure!(values.len() > 25, "{values:?}");
    for value in values {
        ensure!(
            readme.contains(&format!("`{value}`")),
            "the README does not tell of {value}"
        );
    }
    // Charts and program are of one version.
    for chart in [RELEASE, "segmenter-crds"] {
        let about = plane.helm(&["show", "chart", &folder(chart)]).await?.ok()?;
        let version = env!("CARGO_PKG_VERSION");
        ensure!(
            about.contains(&format!("\nappVersion: {version}\n"))
                && about.contains(&format!("\nversion: {version}\n")),
            "{about}"
        );
    }
    Ok(())
}

/// The names of values, as `--set` has them. The contents of `resources` are Kubernetes'.
fn leaves(schema: &Value, name: String, found: &mut Vec<String>) {
    let fields = schema["properties"].as_object();
    match fields {
        Some(fields) if name != "resources" => {
            for (field, schema) in fields.iter().filter(|(field, _)| *field != "global") {
                let dot = if name.is_empty() { "" } else { "." };
                leaves(schema, format!("{name}{dot}{field}"), found);
            }
        }
        _ => found.push(name),
    }
}

/// By the API server, with every field known to it, and as the Pod Security Standard "restricted" wants it.
pub(crate) async fn what_is_rendered_is_accepted(plane: Arc<ControlPlane>) -> Result {
    let client = plane.client()?;
    let namespace = Namespace {
        metadata: serde_json::from_value(json!({
            "name": "rendered",
            "labels": {"pod-security.kubernetes.io/enforce": "restricted"},
        }))?,
        ..Namespace::default()
    };
    Api::all(client)
        .create(&PostParams::default(), &namespace)
        .await?;
    let named = "watchNamespaces={rendered,default}";
    for more in [
        &[][..],
        &[named][..],
        &[&EVERY_VALUE[..], &[named]].concat(),
    ] {
        let folder = folder(RELEASE);
        let mut arguments = vec!["template", RELEASE, &folder, "--namespace", "rendered"];
        for value in more {
            arguments.extend(["--set", value]);
        }
        let manifest = plane.helm(&arguments).await?.ok()?;
        ensure!(!manifest.contains("secrets"), "there is a right to Secrets");
        let apply = [
            "apply",
            "--server-side",
            "--validate=strict",
            "--dry-run=server",
            "--filename=-",
        ];
        let output = plane.kubectl_with_input(&apply, &manifest).await?;
        // The warning that pods would be refused is no refusal of the Deployment.
        ensure!(output.stderr.is_empty(), "{}", output.stderr);
        output.ok()?;
        // What the Deployment's pods are refused for shows in pods alone.
        let pod = pod(&manifest)?;
        let create = ["create", "--dry-run=server", "--filename=-"];
        plane
            .kubectl_with_input(&create, &pod.to_string())
            .await?
            .ok()?;
    }
    Ok(())
}

/// A pod of the Deployment in a manifest.
fn pod(manifest: &str) -> Result<Value> {
    let template = documents(manifest)?
        .into_iter()
        .find(|object| object["kind"] == "Deployment")
        .map(|mut deployment| deployment["spec"]["template"].take())
        .context("there is no Deployment")?;
    let mut spec = template["spec"].clone();
    // Not there, and no matter of what is tested.
    spec["serviceAccountName"] = json!("default");
    Ok(json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "operator",
            "namespace": "rendered",
            "labels": template["metadata"]["labels"],
        },
        "spec": spec,
    }))
}

fn documents(manifest: &str) -> Result<Vec<Value>> {
    let options = serde_saphyr::Options::default();
    let documents = serde_saphyr::from_multiple_with_options::<Value>(manifest, options);
    documents.context("helm renders YAML")
}

pub(crate) async fn what_is_made_from_the_charts_is_current(plane: Arc<ControlPlane>) -> Result {
    let folder = folder("segmenter-crds");
    for keep in ["true", "false"] {
        let keep = format!("keep={keep}");
        let template = ["template", "kind", &folder, "--set", &keep];
        let manifest = plane.helm(&template).await?.ok()?;
        let mut rendered = documents(&manifest)?
            .into_iter()
            .find(|object| object["kind"] == "CustomResourceDefinition")
            .context("there is no CRD")?;
        let policy = &rendered["metadata"]["annotations"]["helm.sh/resource-policy"];
        ensure!((policy == "keep") == (keep == "keep=true"), "{policy}");
        rendered["metadata"] = json!({"name": rendered["metadata"]["name"]});
        ensure!(
            rendered == serde_json::to_value(segmenter_operator::api::crd())?,
            "the chart's CRD is another"
        );
    }
    let helm = Tools::find()?.program("helm")?;
    let render = Command::new(file("charts/render"))
        .env("HELM", helm)
        .stderr(Stdio::inherit())
        .output()?;
    ensure!(render.status.success());
    let current = std::fs::read(file("charts/install.yaml"))?;
    ensure!(
        current == render.stdout,
        "charts/install.yaml is not current: run `make generate`"
    );
    Ok(())
}

/// Whoever may edit Deployments in a namespace may edit services.
pub(crate) async fn view_and_edit_extend_to_services(plane: Arc<ControlPlane>) -> Result {
    let stage = Stage::without_operator(plane, "tenant").await?;
    let plane = &stage.plane;
    // The kind itself is there already.
    let folder = folder("segmenter-crds");
    let template = [
        "template",
        "kind",
        &folder,
        "--show-only=templates/roles.yaml",
    ];
    let roles = plane.helm(&template).await?.ok()?;
    let apply = ["apply", "--server-side", "--filename=-"];
    plane.kubectl_with_input(&apply, &roles).await?.ok()?;
    let minimal = file("examples/minimal.yaml").display().to_string();
    for (role, may) in [("view", false), ("edit", true)] {
        let user = format!("--user=tenant-{role}");
        let role = format!("--clusterrole={role}");
        let bind = [
            "create",
            "rolebinding",
            &user[7..],
            "-n=tenant",
            &role,
            &user,
        ];
        plane.kubectl(&bind).await?.ok()?;
        let kubeconfig = plane.kubeconfig_for(&user[7..], &[])?;
        let kubeconfig = kubeconfig.display().to_string();
        let client = ["--kubeconfig", &kubeconfig, "-n=tenant"];
        eventually("the right to look", SOON, async || {
            let get = [&["get", "segsvc"], &client[..]].concat();
            Ok(Some(plane.kubectl(&get).await?.ok()?))
        })
        .await?;
        let apply = [&["apply", "--filename", &minimal], &client[..]].concat();
        let output = plane.kubectl(&apply).await?;
        ensure!(output.status.success() == may, "{output:?}");
        let scale = ["scale", "segsvc/minimal", "--replicas=2"];
        let output = plane.kubectl(&[&scale, &client[..]].concat()).await?;
        ensure!(output.status.success() == may, "{output:?}");
    }
    Ok(())
}

/// A replica of the installed operator: the binary with a pod's arguments and variables, as its
/// ServiceAccount.
pub(crate) async fn replica(plane: &ControlPlane, pod: &str) -> Result<Process> {
    let deployments = Api::<Deployment>::namespaced(plane.client()?, SYSTEM);
    let deployment = deployments.get(RELEASE).await?;
    let template = deployment.spec.context("a Deployment has a spec")?.template;
    let spec = template.spec.context("a template has a spec")?;
    let account = spec.service_account_name.context("no ServiceAccount")?;
    let container = spec.containers.into_iter().next();
    let container = container.context("there is a container")?;
    ensure!(container.args == Some(vec!["run".to_owned()]));
    let mut variables = Vec::new();
    for variable in container.env.unwrap_or_default() {
        let field = variable.value_from.and_then(|from| from.field_ref);
        let value = match field.as_ref().map(|field| field.field_path.as_str()) {
            None => variable.value.unwrap_or_default(),
            Some("metadata.name") => pod.to_owned(),
            Some("metadata.namespace") => SYSTEM.to_owned(),
            Some(other) => anyhow::bail!("{other} is not known"),
        };
        variables.push((variable.name, value));
    }
    let kubeconfig = plane.kubeconfig_for_account(SYSTEM, &account).await?;
    Process::start_with(&kubeconfig, &[], &variables)
}

/// Waits until it is the one that reconciles.
pub(crate) async fn leads(operator: &Process) -> Result {
    eventually("the lease", SOON, async || {
        let answer = operator.answers("/readyz", 200).await?;
        ensure!(answer.contains(r#""leads":true"#), "{answer}");
        Ok(Some(()))
    })
    .await
}

/// A cluster with nothing in it, one command, and the binary as the Deployment would start it.
pub(crate) async fn one_apply_installs_it(_: Arc<ControlPlane>) -> Result {
    let plane = ControlPlane::start(&Tools::find()?, Options::default()).await?;
    let plane = Arc::new(plane);
    let manifest = file("charts/install.yaml").display().to_string();
    let apply = ["apply", "--server-side", "--validate=strict", "--filename"];
    let apply = [&apply, &[manifest.as_str()][..]].concat();
    plane.kubectl(&apply).await?.ok()?;
    let again = plane.kubectl(&apply).await?.ok()?;
    ensure!(
        again
            .lines()
            .all(|line| line.ends_with("serverside-applied")),
        "{again}"
    );
    let stage = Stage::without_operator(Arc::clone(&plane), "shop").await?;
    let mut operator = replica(&plane, "segmenter-operator-0").await?;
    leads(&operator).await?;
    let minimal = file("examples/minimal.yaml").display().to_string();
    let apply = ["apply", "--namespace=shop", "--filename", &minimal];
    plane.kubectl(&apply).await?.ok()?;
    stage
        .has_exactly("minimal", &[Kind::Deployment, Kind::Service])
        .await?;
    let get = ["get", "segsvc", "--namespace=shop"];
    eventually("a line for it", SOON, async || {
        let line = plane.kubectl(&get).await?.ok()?;
        ensure!(line.contains("0/1"), "{line}");
        Ok(Some(()))
    })
    .await?;
    ensure!(operator.stop().await? == Some(0));
    Ok(())
}
