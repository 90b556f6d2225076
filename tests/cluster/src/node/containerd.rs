//! What runs containers, and the network that they get.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::json;

use super::{PODS, Site};
use crate::{
    command,
    error::Error,
    image::{Built, pack_text},
    process::Process,
    ready,
    tools::Missing,
};

const PROGRAM: &str = "containerd";
const START: Duration = Duration::from_secs(60);

/// In the sandbox, which has a `/run` of its own.
pub(super) const SOCKET: &str = "/run/containerd/containerd.sock";

/// Where Debian's containernetworking-plugins are.
const PLUGINS: &str = "/usr/lib/cni";

/// What holds the namespaces of a pod.
const PAUSE: &str = "segmenter.dev/pause:1";
const PAUSE_DOCKERFILE: &str = r#"
FROM scratch AS pause
COPY --from=build /pause /pause
USER 65535:65535
ENTRYPOINT ["/pause"]
"#;

/// The service of containers.
#[derive(Debug)]
pub(super) struct Containerd {
    _process: Process,
    ctr: PathBuf,
}

/// Where runc is, if the plugins of its containers' network are there, too.
pub(super) fn runtime() -> Result<PathBuf, Missing> {
    if !Path::new(PLUGINS).join("bridge").exists() {
        return Err(Missing::Plugins {
            folder: PLUGINS.into(),
        });
    }
    Missing::unless_installed("runc", "runc")
}

pub(super) async fn start(site: &Site<'_>) -> Result<Containerd, Error> {
    let program = site.tools.program(PROGRAM)?;
    let ctr = site.tools.program("ctr")?;
    let shim = site.tools.program("containerd-shim-runc-v2")?;
    let runc = runtime()?;
    site.folder
        .write("cni/pods.conflist", network(site).to_string())?;
    let settings = format!(
        r#"version = 3
root = "{root}"
state = "/run/containerd"

[grpc]
address = "{SOCKET}"

[plugins.'io.containerd.cri.v1.images'.pinned_images]
sandbox = "{PAUSE}"

# The machine may not let a process be spared more than its parent is when memory runs out.
[plugins.'io.containerd.cri.v1.runtime']
restrict_oom_score_adj = true

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
runtime_path = "{shim}"

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
BinaryName = "{runc}"
SystemdCgroup = false

[plugins.'io.containerd.cri.v1.runtime'.cni]
bin_dirs = ["{PLUGINS}"]
conf_dir = "{networks}"
"#,
        root = site.path("containerd"),
        shim = shim.display(),
        runc = runc.display(),
        networks = site.path("cni"),
    );
    let settings = site.folder.write("containerd.toml", settings)?;
    let arguments = [format!("--config={}", settings.display())];
    let process = Process::start(PROGRAM, &program, &arguments, site.folder.path()).await?;
    let containerd = Containerd {
        ctr,
        _process: process,
    };
    ready::until(&containerd._process, START, async || {
        Ok(containerd.ctr(&["version"]).await.is_ok())
    })
    .await?;
    let pause = site.folder.path().join("pause.tar");
    let built = Built {
        stage: "build".to_owned(),
        path: "/pause".to_owned(),
        here: site.tools.program("pause")?,
    };
    pack_text(PAUSE_DOCKERFILE, "pause", &[built], PAUSE, &pause)?;
    containerd.import(&pause).await?;
    Ok(containerd)
}

/// A bridge with an address for each pod.
fn network(site: &Site<'_>) -> serde_json::Value {
    json!({
        "cniVersion": "1.0.0",
        "name": "pods",
        "plugins": [
            {
                "type": "bridge",
                "bridge": "pods",
                "isGateway": true,
                "hairpinMode": true,
                "ipam": {
                    "type": "host-local",
                    "dataDir": site.path("addresses"),
                    "ranges": [[{ "subnet": PODS }]],
                    "routes": [{ "dst": "0.0.0.0/0" }],
                },
            },
            { "type": "portmap", "capabilities": { "portMappings": true } },
        ],
    })
}

impl Containerd {
    /// Makes the images of an OCI archive known.
    pub(super) async fn import(&self, archive: &Path) -> Result<(), Error> {
        self.ctr(&["images", "import", &archive.display().to_string()])
            .await
    }

    pub(super) async fn tag(&self, image: &str, name: &str) -> Result<(), Error> {
        self.ctr(&["images", "tag", image, name]).await
    }

    /// Asks it something, about what Kubernetes uses.
    async fn ctr(&self, arguments: &[&str]) -> Result<(), Error> {
        let arguments = [&["--address", SOCKET, "--namespace", "k8s.io"], arguments].concat();
        command::run("ctr", &self.ctr, &arguments, "", &[])
            .await?
            .ok()?;
        Ok(())
    }
}
