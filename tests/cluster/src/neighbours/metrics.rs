//! metrics-server: what pods use of processor and memory, for autoscalers and `kubectl top`.

use std::time::Duration;

use kube::Config;
use serde_json::json;

use super::apply;
use crate::{
    access::Access, api_server::file, error::Error, etcd, node::Site, process::Process, ready,
    sandbox::NODE,
};

const PROGRAM: &str = "metrics-server";
const START: Duration = Duration::from_secs(60);
const PORT: u16 = 4443;

pub(super) async fn start(site: &Site<'_>, access: &Access) -> Result<Process, Error> {
    let program = site.tools.program(PROGRAM)?;
    let kubeconfig = site.kubeconfig(PROGRAM, &["system:masters"])?.kubeconfig;
    let kubeconfig = kubeconfig.display();
    let arguments = [
        format!("--kubeconfig={kubeconfig}"),
        format!("--authentication-kubeconfig={kubeconfig}"),
        format!("--authorization-kubeconfig={kubeconfig}"),
        format!("--secure-port={PORT}"),
        format!("--tls-cert-file={}", site.path(file::CERTIFICATE)),
        format!("--tls-private-key-file={}", site.path(file::KEY)),
        // The kubelet's certificate is its own.
        "--kubelet-insecure-tls".to_owned(),
        "--kubelet-preferred-address-types=InternalIP".to_owned(),
        // As often as it may, to see an autoscaler follow.
        "--metric-resolution=10s".to_owned(),
        "--kubelet-request-timeout=5s".to_owned(),
    ];
    let process = Process::start(PROGRAM, &program, &arguments, site.folder.path()).await?;
    let mut config = Config::new(etcd::uri(&format!("https://127.0.0.1:{PORT}"))?);
    config.root_cert = site.api_server.config.root_cert.clone();
    ready::ready(&process, &config, "/livez", START).await?;
    apply(access, &service().to_string()).await?;
    Ok(process)
}

/// A Service of a process that is no pod, and the API that it serves.
fn service() -> serde_json::Value {
    let metadata = json!({ "name": PROGRAM, "namespace": "kube-system" });
    json!({
        "apiVersion": "v1",
        "kind": "List",
        "items": [
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": metadata,
                "spec": { "ports": [{ "name": "https", "port": 443, "targetPort": PORT }] },
            },
            {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {
                    "name": PROGRAM,
                    "namespace": "kube-system",
                    "labels": { "kubernetes.io/service-name": PROGRAM },
                },
                "addressType": "IPv4",
                "ports": [{ "name": "https", "port": PORT, "protocol": "TCP" }],
                "endpoints": [{ "addresses": [NODE], "conditions": { "ready": true } }],
            },
            {
                "apiVersion": "apiregistration.k8s.io/v1",
                "kind": "APIService",
                "metadata": { "name": "v1beta1.metrics.k8s.io" },
                "spec": {
                    "group": "metrics.k8s.io",
                    "version": "v1beta1",
                    "groupPriorityMinimum": 100,
                    "versionPriority": 100,
                    "insecureSkipTLSVerify": true,
                    "service": metadata,
                },
            },
        ],
    })
}
