//! What starts the pods that are scheduled here.

use std::time::Duration;

use k8s_openapi::api::core::v1::Node;
use kube::Api;
use serde_json::json;

use super::{NAME, Site, containerd};
use crate::{
    api_server::file,
    error::Error,
    process::Process,
    ready,
    sandbox::{NODE, hierarchies},
};

const PROGRAM: &str = "kubelet";
const START: Duration = Duration::from_secs(120);

/// Starts it, and waits until the node is ready.
pub(super) async fn start(site: &Site<'_>) -> Result<Process, Error> {
    let program = site.tools.program(PROGRAM)?;
    let group = site.sandbox.control_group();
    for hierarchy in hierarchies() {
        let path = hierarchy.join(&group);
        std::fs::create_dir_all(&path).map_err(Error::file("make the control group", path))?;
    }
    let settings = site.settings(
        "kubelet.json",
        &json!({
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "authentication": {
                "anonymous": { "enabled": false },
                "webhook": { "enabled": true },
                "x509": { "clientCAFile": site.path(file::AUTHORITY) },
            },
            "authorization": { "mode": "Webhook" },
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": format!("/{group}"),
            // Version 1 of control groups is what some machines have.
            "failCgroupV1": false,
            "failSwapOn": false,
            "clusterDNS": [NODE.to_string()],
            "clusterDomain": "cluster.local",
            "containerRuntimeEndpoint": format!("unix://{}", containerd::SOCKET),
            // Of images nothing is ever deleted: they could not be had again. And the machine's disk may look full.
            "evictionHard": {
                "memory.available": "100Mi",
                "nodefs.available": "1%",
                "nodefs.inodesFree": "1%",
                "imagefs.available": "1%",
            },
            "imageGCHighThresholdPercent": 100,
            "podLogsDir": "/var/log/pods",
            "resolvConf": "",
            // Nobody waits for a node that shuts down, and tests wait for a pod's status.
            "nodeStatusUpdateFrequency": "5s",
        }),
    )?;
    let user = format!("system:node:{NAME}");
    let kubeconfig = site.kubeconfig(&user, &["system:nodes"])?;
    let arguments = [
        format!("--config={settings}"),
        format!("--kubeconfig={}", kubeconfig.kubeconfig.display()),
        format!("--hostname-override={NAME}"),
        format!("--node-ip={NODE}"),
        format!("--root-dir={}", site.path("kubelet")),
        format!("--cert-dir={}", site.path("kubelet-pki")),
    ];
    let process = Process::start(PROGRAM, &program, &arguments, site.folder.path()).await?;
    let nodes = Api::<Node>::all(ready::client(site.api_server.config.clone())?);
    ready::until(&process, START, async || {
        let node = nodes
            .get_opt(NAME)
            .await
            .map_err(Error::api("get the node"))?;
        let conditions = node
            .and_then(|node| node.status?.conditions)
            .unwrap_or_default();
        Ok(conditions
            .iter()
            .any(|condition| condition.type_ == "Ready" && condition.status == "True"))
    })
    .await?;
    Ok(process)
}
