//! What leads from a Service's address to its pods.

use std::time::Duration;

use kube::Config;
use serde_json::json;

use super::{NAME, PODS, Site};
use crate::{error::Error, etcd, process::Process, ready, tools::Missing};

const PROGRAM: &str = "kube-proxy";
const START: Duration = Duration::from_secs(60);

/// Where it says that it is well.
const HEALTH: &str = "127.0.0.1:10256";

/// Whether there is what it writes its rules with.
pub(super) fn rules() -> Result<(), Missing> {
    Missing::unless_installed("nft", "nftables").map(|_| ())
}

pub(super) async fn start(site: &Site<'_>) -> Result<Process, Error> {
    let program = site.tools.program(PROGRAM)?;
    rules()?;
    let kubeconfig = site.kubeconfig("system:kube-proxy", &[])?;
    let settings = site.settings(
        "proxy.json",
        &json!({
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "nftables",
            "clientConnection": { "kubeconfig": kubeconfig.kubeconfig },
            "clusterCIDR": PODS,
            "hostnameOverride": NAME,
            "healthzBindAddress": HEALTH,
            // The machine's settings are not a sandbox's to change.
            "conntrack": { "maxPerCore": 0 },
        }),
    )?;
    let arguments = [format!("--config={settings}")];
    let process = Process::start(PROGRAM, &program, &arguments, site.folder.path()).await?;
    let config = Config::new(etcd::uri(&format!("http://{HEALTH}"))?);
    ready::ready(&process, &config, "/livez", START).await?;
    Ok(process)
}
