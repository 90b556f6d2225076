//! The Prometheus Operator, and the Prometheus that it makes.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use kube::Config;
use serde_json::json;

use super::apply;
use crate::{
    access::Access,
    api_server::file,
    error::Error,
    etcd,
    image::{Built, pack_text},
    node::Site,
    process::Process,
    ready,
    tools::Tools,
};

const PROGRAM: &str = "prometheus-operator";
const START: Duration = Duration::from_secs(60);
const HEALTH: &str = "127.0.0.1:8083";

/// The version by which the operator knows what Prometheus can do, that of `tools/prometheus`.
const VERSION: &str = "3.13.5";

const PROMETHEUS: &str = "segmenter.dev/prometheus:1";
const RELOADER: &str = "segmenter.dev/prometheus-config-reloader:1";

/// The images that the operator's pods run.
const DOCKERFILE: &str = r#"
FROM scratch AS prometheus
COPY --from=build /prometheus /bin/prometheus
USER 65534:65534
ENTRYPOINT ["/bin/prometheus"]

FROM scratch AS prometheus-config-reloader
COPY --from=build /prometheus-config-reloader /bin/prometheus-config-reloader
USER 65534:65534
ENTRYPOINT ["/bin/prometheus-config-reloader"]
"#;

/// Packs the images that the operator's pods run, into a folder.
pub(crate) fn images(tools: &Tools, folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let programs = [
        ("prometheus", PROMETHEUS),
        ("prometheus-config-reloader", RELOADER),
    ];
    let archives = programs.map(|(program, name)| {
        let archive = folder.join(format!("{program}.tar"));
        let built = Built {
            stage: "build".to_owned(),
            path: format!("/{program}"),
            here: tools.program(program)?,
        };
        pack_text(DOCKERFILE, program, &[built], name, &archive)?;
        Ok(archive)
    });
    archives.into_iter().collect()
}

pub(super) async fn start(site: &Site<'_>, access: &Access) -> Result<Process, Error> {
    let program = site.tools.program(PROGRAM)?;
    let user = site.kubeconfig(PROGRAM, &["system:masters"])?;
    let arguments = [
        format!("--apiserver={}", site.api_server.url()),
        format!("--ca-file={}", site.path(file::AUTHORITY)),
        format!("--cert-file={}", user.certificate.display()),
        format!("--key-file={}", user.key.display()),
        format!("--prometheus-config-reloader={RELOADER}"),
        format!("--web.listen-address={HEALTH}"),
    ];
    let process = Process::start(PROGRAM, &program, &arguments, site.folder.path()).await?;
    let config = Config::new(etcd::uri(&format!("http://{HEALTH}"))?);
    ready::ready(&process, &config, "/healthz", START).await?;
    apply(access, &prometheus().to_string()).await?;
    Ok(process)
}

/// A Prometheus that takes whatever ServiceMonitor and PrometheusRule there is, as those who install the usual chart
/// set theirs to.
fn prometheus() -> serde_json::Value {
    let metadata = json!({ "name": "prometheus", "namespace": "monitoring" });
    json!({
        "apiVersion": "v1",
        "kind": "List",
        "items": [
            { "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "monitoring" } },
            { "apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata },
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "ClusterRole",
                "metadata": { "name": "prometheus" },
                "rules": [
                    {
                        "apiGroups": [""],
                        "resources": ["services", "endpoints", "pods"],
                        "verbs": ["get", "list", "watch"],
                    },
                    {
                        "apiGroups": ["discovery.k8s.io"],
                        "resources": ["endpointslices"],
                        "verbs": ["get", "list", "watch"],
                    },
                ],
            },
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "ClusterRoleBinding",
                "metadata": { "name": "prometheus" },
                "roleRef": {
                    "apiGroup": "rbac.authorization.k8s.io",
                    "kind": "ClusterRole",
                    "name": "prometheus",
                },
                "subjects": [{
                    "kind": "ServiceAccount",
                    "name": "prometheus",
                    "namespace": "monitoring",
                }],
            },
            {
                "apiVersion": "monitoring.coreos.com/v1",
                "kind": "Prometheus",
                "metadata": metadata,
                "spec": {
                    "version": VERSION,
                    "image": PROMETHEUS,
                    "replicas": 1,
                    "serviceAccountName": "prometheus",
                    "scrapeInterval": "5s",
                    "evaluationInterval": "5s",
                    "retention": "1h",
                    "serviceMonitorSelector": {},
                    "serviceMonitorNamespaceSelector": {},
                    "ruleSelector": {},
                    "ruleNamespaceSelector": {},
                },
            },
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": metadata,
                "spec": {
                    "ports": [{ "name": "web", "port": 9090 }],
                    "selector": { "prometheus": "prometheus" },
                },
            },
        ],
    })
}
