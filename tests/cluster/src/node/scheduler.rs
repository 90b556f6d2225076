//! What finds pods their node.

use std::time::Duration;

use kube::Config;

use super::Site;
use crate::{api_server::file, error::Error, etcd, port, process::Process, ready};

const PROGRAM: &str = "kube-scheduler";
const START: Duration = Duration::from_secs(60);

pub(super) async fn start(site: &Site<'_>) -> Result<Process, Error> {
    let program = site.tools.program(PROGRAM)?;
    let kubeconfig = site.kubeconfig("system:kube-scheduler", &[])?.kubeconfig;
    let kubeconfig = kubeconfig.display();
    port::with_free(async |port| {
        let arguments = [
            format!("--kubeconfig={kubeconfig}"),
            format!("--authentication-kubeconfig={kubeconfig}"),
            format!("--authorization-kubeconfig={kubeconfig}"),
            "--bind-address=127.0.0.1".to_owned(),
            format!("--secure-port={port}"),
            format!("--tls-cert-file={}", site.path(file::CERTIFICATE)),
            format!("--tls-private-key-file={}", site.path(file::KEY)),
            // There is but one.
            "--leader-elect=false".to_owned(),
        ];
        let process = Process::start(PROGRAM, &program, &arguments, site.folder.path()).await?;
        let mut config = Config::new(etcd::uri(&format!("https://127.0.0.1:{port}"))?);
        config.root_cert = site.api_server.config.root_cert.clone();
        ready::ready(&process, &config, "/healthz", START).await?;
        Ok(process)
    })
    .await
}
