//! What all stories share: a cluster with the operator in it, and the rest of the world.
//!
//! The cluster is started for them, or it is the one of `SEGMENTER_TEST_KUBECONFIG`; of what that lacks, the stories say
//! so and are skipped.

use std::{
    env, fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, anyhow, ensure};
use axum::{Router, body::Bytes, extract::Request, http::StatusCode};
use kube::Client;
use segmenter_cluster::{Access, Cluster, Ground, Sandbox, Skipped, Tools, image};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::Result;

/// The kubeconfig of a cluster that is there already, whose user may do everything.
const KUBECONFIG: &str = "SEGMENTER_TEST_KUBECONFIG";

/// What its images' names begin with, such as `registry.example.com/team/`. By default its nodes know them by the names
/// that `make image` gives them.
const REGISTRY: &str = "SEGMENTER_TEST_REGISTRY";

/// How long pods, autoscalers and the like may take. Generous: there are two processors, and many programs.
pub(crate) const SOON: Duration = Duration::from_secs(120);

/// The picture of all stories, by its number in COCO val2017.
pub(crate) const PICTURE: &str = "000000001268.jpg";
pub(crate) const PICTURE_URL: &str = "http://images.cocodataset.org/val2017/000000001268.jpg";

/// What is in it, by the README.
pub(crate) const OBJECTS: [&str; 6] = ["person", "person", "person", "person", "bird", "handbag"];

/// The namespace that the charts are installed in.
pub(crate) const SYSTEM: &str = "segmenter-system";

/// The version of all images.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What a world is made of.
#[derive(Clone)]
pub(crate) struct Materials {
    whose: Whose,
    /// Pictures and weights.
    shared: PathBuf,
}

#[derive(Clone)]
enum Whose {
    /// Ours, with the images that `make image` leaves in a folder.
    Own { sandbox: Sandbox, images: PathBuf },
    /// Somebody's.
    Given {
        kubeconfig: PathBuf,
        registry: String,
    },
}

impl Materials {
    /// Those of a cluster that is there already, where the environment names one; or why there are none.
    pub(crate) fn given() -> Option<Result<Self>> {
        let kubeconfig = env::var_os(KUBECONFIG).filter(|file| !file.is_empty())?;
        Some(Self::find(Whose::Given {
            kubeconfig: kubeconfig.into(),
            registry: env::var(REGISTRY).unwrap_or_default(),
        }))
    }

    /// Those of a cluster of our own; or why there are none.
    pub(crate) fn own(sandbox: Sandbox) -> Result<Self> {
        Cluster::tools()?;
        let images = env::var_os("SEGMENTER_CLUSTER_IMAGES").map(PathBuf::from);
        let images = images.context("no images: SEGMENTER_CLUSTER_IMAGES is not set (`make cluster-test` packs them and sets it)")?;
        for name in ["segmenter", "segmenter-operator"] {
            let archive = archive(&images, name);
            ensure!(archive.is_file(), "no {}", archive.display());
        }
        Self::find(Whose::Own { sandbox, images })
    }

    fn find(whose: Whose) -> Result<Self> {
        let shared = env::var_os("SEGMENTER_SHARED").map_or_else(
            || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
            PathBuf::from,
        );
        let this = Self { whose, shared };
        let picture = this.picture();
        ensure!(picture.is_file(), "no {}", picture.display());
        Ok(this)
    }

    fn picture(&self) -> PathBuf {
        self.shared.join("images/coco-val").join(PICTURE)
    }

    /// The default model's weights.
    pub(crate) fn weights(&self) -> PathBuf {
        self.shared
            .join("weights/d2go_mask_rcnn_fbnetv3a_c4_int8.pt")
    }
}

/// The OCI archive of an image.
fn archive(images: &Path, name: &str) -> PathBuf {
    images.join(format!("{name}.tar"))
}

/// A cluster with the operator in it.
pub(crate) struct World {
    pub(crate) access: Access,
    pub(crate) client: Client,
    /// Unless it is somebody's.
    cluster: Option<Cluster>,
    pub(crate) materials: Materials,
    pub(crate) picture: Arc<Vec<u8>>,
    /// Whether pods reach [`others`], or why not.
    others: std::result::Result<(), Skipped>,
    /// Of the programs that reach somebody's cluster.
    _home: Option<TempDir>,
}

impl Ground for World {
    const NAME: &str = "the cluster, with the operator in it,";
    type Options = Materials;

    async fn start(tools: &Tools, materials: &Materials) -> Result<Self> {
        let (access, cluster, home) = match &materials.whose {
            Whose::Own { sandbox, images } => {
                let [image, operator] =
                    ["segmenter", "segmenter-operator"].map(|name| archive(images, name));
                let cluster = Cluster::start(tools, sandbox, &[&image, &operator]).await?;
                (cluster.access(), Some(cluster), None)
            }
            Whose::Given { kubeconfig, .. } => {
                let home = tempfile::tempdir()?;
                let access = Access::new(tools, kubeconfig, home.path());
                reach().await?;
                (access, None, Some(home))
            }
        };
        let read = |path: PathBuf| {
            std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
        };
        let picture = read(materials.picture())?;
        let weights = read(materials.weights())?;
        let others = match tokio::net::TcpListener::bind((Cluster::world(), 80)).await {
            Ok(listener) => {
                tokio::spawn(axum::serve(listener, others(&picture, &weights)).into_future());
                Ok(())
            }
            Err(error) if cluster.is_some() => {
                return Err(error).context("cannot be the rest of the world");
            }
            Err(error) => Err(Skipped::because(format!(
                "the cluster looks names up that nobody here answers for ({error})"
            ))),
        };
        let this = Self {
            client: access.client().await?,
            access,
            cluster,
            materials: materials.clone(),
            picture: Arc::new(picture),
            others,
            _home: home,
        };
        this.install().await?;
        Ok(this)
    }
}

impl World {
    /// Whether the cluster is the stories' own, and ends with them.
    pub(crate) fn is_own(&self) -> bool {
        self.cluster.is_some()
    }

    /// The cluster, where it is the stories' own; otherwise a reason to skip one that does something to it.
    pub(crate) fn own(&self) -> Result<&Cluster> {
        let why = || Skipped::because("it would take the API server away from others");
        Ok(self.cluster.as_ref().ok_or_else(why)?)
    }

    /// Why a story cannot be told: for one of the stories' own cluster, which has everything, that is a failure.
    pub(crate) fn lacks(&self, what: impl fmt::Display) -> anyhow::Error {
        match &self.cluster {
            Some(_) => anyhow!("{what}"),
            None => Skipped::because(what).into(),
        }
    }

    /// Whether pods reach the servers of [`others`].
    pub(crate) fn others(&self) -> Result {
        Ok(self.others.clone()?)
    }

    /// The name of one of our images, such as `segmenter`, in the cluster, but for the version behind it.
    fn repository(&self, name: &str) -> String {
        match &self.materials.whose {
            Whose::Own { .. } => name.to_owned(),
            Whose::Given { registry, .. } => format!("{registry}{name}"),
        }
    }

    /// The function's image.
    pub(crate) fn image(&self) -> String {
        format!("{}:{VERSION}", self.repository("segmenter"))
    }

    /// Another image of the same program: what a spec says of it, and what its pods are to run.
    pub(crate) async fn other_image(&self) -> Result<(Value, String)> {
        let (Some(cluster), Whose::Own { images, .. }) = (&self.cluster, &self.materials.whose)
        else {
            let repository = self.repository("segmenter-lambda");
            let image = format!("{repository}:{VERSION}");
            let spec = json!({ "repository": repository, "tag": VERSION });
            return Ok((spec, image));
        };
        let archive = archive(images, "segmenter-lambda");
        // The name is whole, with a registry, as a digest's has to be that is not to be pulled.
        let (name, digest) = image::identify(&archive)?;
        let repository = name.split(':').next().unwrap_or_default();
        let pinned = format!("{repository}@{digest}");
        cluster.import(&archive).await?;
        cluster.tag(&name, &pinned).await?;
        let spec = json!({ "repository": repository, "digest": digest });
        Ok((spec, pinned))
    }

    /// Where callers from outside come in: the address of the Gateway, which serves Ingresses, too.
    pub(crate) async fn gateway(&self) -> Result<String> {
        let path = "--output=jsonpath={.status.addresses[0].value}";
        let arguments = ["get", "gateway", "public", "--namespace=gateways", path];
        match self.access.kubectl(&arguments).await?.ok() {
            Ok(address) if !address.is_empty() => Ok(format!("http://{address}")),
            _ => Err(self.lacks("no Gateway `public` with an address in the namespace `gateways`")),
        }
    }

    /// Whether the cluster has an object, of a kind that it may not have either.
    pub(crate) async fn has(&self, kind: &str, name: &str) -> Result<bool> {
        let found = self.access.kubectl(&["get", kind, name]).await?;
        Ok(found.ok().is_ok())
    }

    /// The operator, as the README says.
    async fn install(&self) -> Result {
        let charts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../charts");
        let chart = |name: &str| charts.join(name).display().to_string();
        let upgrade = ["upgrade", "--install"];
        let kind = ["segmenter-crds", &chart("segmenter-crds")];
        self.access.helm(&[upgrade, kind].concat()).await?.ok()?;
        let monitors = self
            .has("crd", "servicemonitors.monitoring.coreos.com")
            .await?;
        let operator = ["segmenter-operator", &chart("segmenter-operator")];
        let settings = [
            "--namespace",
            SYSTEM,
            "--create-namespace",
            "--set",
            &format!("image.repository={}", self.repository("segmenter-operator")),
            "--set",
            &format!("services.image={}", self.image()),
            "--set",
            &format!("metrics.serviceMonitor.enabled={monitors}"),
            "--wait",
        ];
        let arguments = [&upgrade[..], &operator, &settings].concat();
        self.access.helm(&arguments).await?.ok()?;
        Ok(())
    }
}

/// Whether Services can be called from here.
async fn reach() -> Result {
    const SERVICE: &str = "kubernetes.default.svc.cluster.local:443";
    let looked_up = tokio::net::lookup_host(SERVICE).await;
    looked_up.map(drop).with_context(|| {
        format!(
            "the stories call Services by their names, and {SERVICE} has no address here: they are to be told in a pod \
             of the cluster, or in the shell that `make cluster` names"
        )
    })
}

/// Other people's servers: pictures and weights.
fn others(picture: &[u8], weights: &[u8]) -> Router {
    let (picture, weights) = (
        Bytes::copy_from_slice(picture),
        Bytes::copy_from_slice(weights),
    );
    let answer = async move |request: Request| {
        let path = request.uri().path();
        if path.ends_with(".jpg") {
            (StatusCode::OK, picture)
        } else if path.ends_with(".pt") {
            (StatusCode::OK, weights)
        } else {
            (StatusCode::NOT_FOUND, Bytes::new())
        }
    };
    Router::new().fallback(answer)
}

/// A service whose weights lie with [`others`], and have to have this SHA-256 in hexadecimal digits.
pub(crate) fn with_weights(digest: &str) -> Value {
    let url = "http://models.example.com/detector.pt";
    json!({ "model": { "digest": format!("sha256:{digest}"), "source": { "http": { "url": url } } } })
}

/// A digest that nothing has.
pub(crate) fn wrong_digest() -> String {
    "0".repeat(64)
}

/// Says a figure, in the form that is easily found in the output.
pub(crate) fn figure(what: impl fmt::Display) {
    println!("figure: {what}");
}
