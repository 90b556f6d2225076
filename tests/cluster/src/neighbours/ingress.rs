//! Traefik: the cluster's way in, for Ingress and for the Gateway API.

use std::time::Duration;

use kube::Config;
use serde_json::json;

use super::apply;
use crate::{
    access::Access, error::Error, etcd, node::Site, process::Process, ready, sandbox::NODE,
};

const PROGRAM: &str = "traefik";
const START: Duration = Duration::from_secs(60);
const HEALTH: &str = "127.0.0.1:8082";

/// Where callers come in.
pub(crate) const ADDRESS: &str = "http://172.31.250.1";

pub(super) async fn start(site: &Site<'_>, access: &Access) -> Result<Process, Error> {
    let program = site.tools.program(PROGRAM)?;
    let kubeconfig = site.kubeconfig(PROGRAM, &["system:masters"])?.kubeconfig;
    apply(access, &classes().to_string()).await?;
    let arguments = [
        format!("--entryPoints.web.address={NODE}:80"),
        format!("--entryPoints.health.address={HEALTH}"),
        "--ping.entryPoint=health".to_owned(),
        "--providers.kubernetesIngress=true".to_owned(),
        format!("--providers.kubernetesIngress.ingressEndpoint.ip={NODE}"),
        "--providers.kubernetesGateway=true".to_owned(),
        format!("--providers.kubernetesGateway.statusAddress.ip={NODE}"),
        "--global.checkNewVersion=false".to_owned(),
        "--global.sendAnonymousUsage=false".to_owned(),
    ];
    let process = Process::start_with(
        PROGRAM,
        &program,
        &arguments,
        &[("KUBECONFIG", &kubeconfig)],
        site.folder.path(),
    )
    .await?;
    let config = Config::new(etcd::uri(&format!("http://{HEALTH}"))?);
    ready::ready(&process, &config, "/ping", START).await?;
    Ok(process)
}

/// Whose it serves: every Ingress without a class, and routes to the Gateway `public`.
fn classes() -> serde_json::Value {
    json!({
        "apiVersion": "v1",
        "kind": "List",
        "items": [
            {
                "apiVersion": "networking.k8s.io/v1",
                "kind": "IngressClass",
                "metadata": {
                    "name": PROGRAM,
                    "annotations": { "ingressclass.kubernetes.io/is-default-class": "true" },
                },
                "spec": { "controller": "traefik.io/ingress-controller" },
            },
            {
                "apiVersion": "gateway.networking.k8s.io/v1",
                "kind": "GatewayClass",
                "metadata": { "name": PROGRAM },
                "spec": { "controllerName": "traefik.io/gateway-controller" },
            },
            { "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "gateways" } },
            {
                "apiVersion": "gateway.networking.k8s.io/v1",
                "kind": "Gateway",
                "metadata": { "name": "public", "namespace": "gateways" },
                "spec": {
                    "gatewayClassName": PROGRAM,
                    "listeners": [{
                        "name": "web",
                        "port": 80,
                        "protocol": "HTTP",
                        "allowedRoutes": { "namespaces": { "from": "All" } },
                    }],
                },
            },
        ],
    })
}
