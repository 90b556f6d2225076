//! The Prometheus Operator, and the Prometheus that it makes.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
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
    node::Ground,
    process::Process,
    ready,
    tools::{Missing, Tools},
};

const PROGRAM: &str = "prometheus-operator";
const START: Duration = Duration::from_secs(60);
const HEALTH: &str = "127.0.0.1:8083";

/// Debian's, and the names of the images.
const VERSION: &str = "2.42.0";
const PROMETHEUS: &str = "segmenter.dev/prometheus:1";
const RELOADER: &str = "segmenter.dev/prometheus-config-reloader:1";

const RELOADER_DOCKERFILE: &str = r#"
FROM scratch AS reloader
COPY --from=build /reloader /bin/prometheus-config-reloader
USER 65534:65534
ENTRYPOINT ["/bin/prometheus-config-reloader"]
"#;

/// The images that the operator's pods run.
pub(crate) struct Images {
    pub(crate) archives: [PathBuf; 2],
}

impl Images {
    /// Packs them, into a folder.
    pub(crate) fn pack(tools: &Tools, folder: &Path) -> Result<Self, Error> {
        let prometheus = Missing::unless_installed("prometheus", "prometheus")?;
        let path = "/bin/prometheus";
        let mut files = vec![(path.to_owned(), prometheus.clone())];
        files.extend(libraries(&prometheus)?);
        let copies: String = files
            .iter()
            .map(|(path, _)| format!("COPY --from=build {path} {path}\n"))
            .collect();
        let dockerfile = format!(
            "FROM scratch AS prometheus\n{copies}USER 65534:65534\nENTRYPOINT [\"{path}\"]\n"
        );
        let built = |(path, here)| Built {
            stage: "build".to_owned(),
            path,
            here,
        };
        let files: Vec<_> = files.into_iter().map(built).collect();
        let archives = ["prometheus.tar", "reloader.tar"].map(|name| folder.join(name));
        pack_text(&dockerfile, "prometheus", &files, PROMETHEUS, &archives[0])?;
        let reloader = built((
            "/reloader".to_owned(),
            tools.program("prometheus-config-reloader")?,
        ));
        pack_text(
            RELOADER_DOCKERFILE,
            "reloader",
            &[reloader],
            RELOADER,
            &archives[1],
        )?;
        Ok(Self { archives })
    }
}

/// What a program needs beside itself, by the path there and the file here.
fn libraries(program: &Path) -> Result<Vec<(String, PathBuf)>, Error> {
    let output = Command::new("ldd")
        .arg(program)
        .output()
        .map_err(Error::file("ask ldd about", program))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let paths = text
        .split_whitespace()
        .filter(|word| word.starts_with('/') && !word.ends_with(':'));
    paths
        .map(|path| {
            let here = fs::canonicalize(path).map_err(Error::file("find", path))?;
            Ok((path.to_owned(), here))
        })
        .collect()
}

pub(super) async fn start(ground: &Ground<'_>, access: &Access) -> Result<Process, Error> {
    let program = ground.tools.program(PROGRAM)?;
    let user = ground.kubeconfig(PROGRAM, &["system:masters"])?;
    let arguments = [
        format!("--apiserver={}", ground.api_server.url()),
        format!("--ca-file={}", ground.path(file::AUTHORITY)),
        format!("--cert-file={}", user.certificate.display()),
        format!("--key-file={}", user.key.display()),
        format!("--prometheus-config-reloader={RELOADER}"),
        format!("--web.listen-address={HEALTH}"),
    ];
    let process = Process::start(PROGRAM, &program, &arguments, ground.folder.path()).await?;
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
