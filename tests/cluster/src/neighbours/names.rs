//! CoreDNS: names of Services, for pods and for everybody else in the sandbox.

use std::time::Duration;

use kube::Config;

use crate::{
    error::Error,
    etcd,
    node::Site,
    process::Process,
    ready,
    sandbox::{NODE, WORLD},
};

const PROGRAM: &str = "coredns";
const START: Duration = Duration::from_secs(60);
const HEALTH: &str = "127.0.0.1:8181";

pub(super) async fn start(site: &Site<'_>) -> Result<Process, Error> {
    let program = site.tools.program(PROGRAM)?;
    let kubeconfig = site.kubeconfig(PROGRAM, &["system:masters"])?.kubeconfig;
    let settings = format!(
        "cluster.local {{
    bind {NODE}
    errors
    ready {HEALTH}
    kubernetes cluster.local {{
        kubeconfig {kubeconfig}
        ttl 0
    }}
}}
. {{
    bind {NODE}
    template IN A {{
        answer \"{{{{ .Name }}}} 60 IN A {WORLD}\"
    }}
    template ANY ANY {{
        rcode NOERROR
    }}
}}
",
        kubeconfig = kubeconfig.display(),
    );
    let settings = site.folder.write("Corefile", settings)?;
    let arguments = [format!("-conf={}", settings.display())];
    let process = Process::start(PROGRAM, &program, &arguments, site.folder.path()).await?;
    let config = Config::new(etcd::uri(&format!("http://{HEALTH}"))?);
    ready::ready(&process, &config, "/ready", START).await?;
    Ok(process)
}
