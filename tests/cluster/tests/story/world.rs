//! What all stories share: a cluster with the operator in it, and the rest of the world.

use std::{
    env, fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use axum::{Router, body::Bytes, extract::Request, http::StatusCode};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, ListParams},
};
use segmenter_cluster::{Access, Cluster, Ground, Sandbox, Tools, eventually};
use serde_json::{Value, json};

use crate::{Result, load::Caller};

/// How long pods, autoscalers and the like may take. Generous: there are two processors, and many programs.
pub(crate) const SOON: Duration = Duration::from_secs(120);

/// The picture of all stories, by its number in COCO val2017.
pub(crate) const PICTURE: &str = "000000001268.jpg";
pub(crate) const PICTURE_URL: &str = "http://images.cocodataset.org/val2017/000000001268.jpg";

/// What is in it, by the README.
pub(crate) const OBJECTS: [&str; 6] = ["person", "person", "person", "person", "bird", "handbag"];

/// The namespace that the charts are installed in.
pub(crate) const SYSTEM: &str = "segmenter-system";

/// The function's image, by the name that `make image` gives it; the operator's is the one that its chart names.
pub(crate) const IMAGE: &str = concat!("segmenter:", env!("CARGO_PKG_VERSION"));

/// What a world is made of.
#[derive(Clone)]
pub(crate) struct Materials {
    pub(crate) sandbox: Sandbox,
    /// Where `make image` leaves the images.
    images: PathBuf,
    /// Pictures and weights.
    shared: PathBuf,
}

impl Materials {
    /// Or why there are none.
    pub(crate) fn find(sandbox: Sandbox) -> Result<Self> {
        Cluster::tools()?;
        let images = env::var_os("SEGMENTER_CLUSTER_IMAGES").map(PathBuf::from);
        let images = images.context("no images: SEGMENTER_CLUSTER_IMAGES is not set (`make cluster-test` packs them and sets it)")?;
        let shared = env::var_os("SEGMENTER_SHARED").map_or_else(
            || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
            PathBuf::from,
        );
        let this = Self {
            sandbox,
            images,
            shared,
        };
        for file in [this.image(), this.operator_image(), this.picture()] {
            ensure!(file.is_file(), "no {}", file.display());
        }
        Ok(this)
    }

    pub(crate) fn image(&self) -> PathBuf {
        self.images.join("segmenter.tar")
    }

    /// The same program in another image.
    pub(crate) fn other_image(&self) -> PathBuf {
        self.images.join("segmenter-lambda.tar")
    }

    fn operator_image(&self) -> PathBuf {
        self.images.join("segmenter-operator.tar")
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

/// A cluster with the operator in it.
pub(crate) struct World {
    pub(crate) access: Access,
    pub(crate) client: Client,
    pub(crate) cluster: Cluster,
    pub(crate) materials: Materials,
    pub(crate) picture: Arc<Vec<u8>>,
}

impl Ground for World {
    const NAME: &str = "the cluster, with the operator in it,";
    type Options = Materials;

    async fn start(tools: &Tools, materials: &Materials) -> Result<Self> {
        let (image, operator) = (materials.image(), materials.operator_image());
        let cluster = Cluster::start(tools, &materials.sandbox, &[&image, &operator]).await?;
        let access = cluster.access();
        install(&access).await?;
        let read = |path: PathBuf| {
            std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
        };
        let picture = read(materials.picture())?;
        let weights = read(materials.weights())?;
        let listener = tokio::net::TcpListener::bind((cluster.world(), 80))
            .await
            .context("cannot be the rest of the world")?;
        tokio::spawn(axum::serve(listener, world(&picture, &weights)).into_future());
        Ok(Self {
            client: access.client().await?,
            access,
            cluster,
            materials: materials.clone(),
            picture: Arc::new(picture),
        })
    }
}

/// The operator, as the README says.
async fn install(access: &Access) -> Result {
    let charts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../charts");
    let chart = |name: &str| charts.join(name).display().to_string();
    let upgrade = ["upgrade", "--install"];
    let kind = ["segmenter-crds", &chart("segmenter-crds")];
    access.helm(&[upgrade, kind].concat()).await?.ok()?;
    let operator = ["segmenter-operator", &chart("segmenter-operator")];
    let image = format!("services.image={IMAGE}");
    let settings = [
        "--namespace",
        SYSTEM,
        "--create-namespace",
        "--set",
        &image,
        "--set",
        "metrics.serviceMonitor.enabled=true",
        "--wait",
    ];
    let arguments = [&upgrade[..], &operator, &settings].concat();
    access.helm(&arguments).await?.ok()?;
    Ok(())
}

/// Other people's servers: pictures and weights.
fn world(picture: &[u8], weights: &[u8]) -> Router {
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

/// A service whose weights lie in [`world`], and have to have this SHA-256 in hexadecimal digits.
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

/// A namespace of a story, in which every pod has to be as the Pod Security Standard "restricted" wants it. What was
/// made there is deleted when the story has ended, and the processors are the next
/// one's.
pub(crate) struct Scene<'a> {
    pub(crate) world: &'a World,
    pub(crate) namespace: String,
}

impl<'a> Scene<'a> {
    pub(crate) async fn open(world: &'a World, namespace: &str) -> Result<Self> {
        let manifest = json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {
                "name": namespace,
                "labels": { "pod-security.kubernetes.io/enforce": "restricted" },
            },
        });
        let scene = Self {
            world,
            namespace: namespace.to_owned(),
        };
        scene.apply(&manifest).await?;
        Ok(scene)
    }

    /// Ends it: no pod is left.
    pub(crate) async fn close(self) -> Result {
        self.kubectl(&["delete", "segsvc", "--all"]).await?;
        eventually("the end of all pods", SOON, async || {
            Ok(self.pods().await?.is_empty().then_some(()))
        })
        .await?;
        Ok(())
    }

    /// Runs kubectl in the namespace, which has to succeed.
    pub(crate) async fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        let arguments = [&["--namespace", &self.namespace], arguments].concat();
        Ok(self.world.access.kubectl(&arguments).await?.ok()?)
    }

    /// Applies a manifest.
    pub(crate) async fn apply(&self, manifest: &Value) -> Result {
        let arguments = ["apply", "--filename", "-"];
        let arguments = if manifest["kind"] == "Namespace" {
            arguments.to_vec()
        } else {
            [&["--namespace", &self.namespace], &arguments[..]].concat()
        };
        let access = &self.world.access;
        access
            .kubectl_with_input(&arguments, &manifest.to_string())
            .await?
            .ok()?;
        Ok(())
    }

    /// Applies a SegmenterService.
    pub(crate) async fn service(&self, name: &str, spec: &Value) -> Result {
        self.apply(&json!({
            "apiVersion": "segmenter.dev/v1alpha1",
            "kind": "SegmenterService",
            "metadata": { "name": name },
            "spec": spec,
        }))
        .await
    }

    /// Changes the spec of one.
    pub(crate) async fn patch(&self, name: &str, spec: &Value) -> Result {
        let patch = json!({ "spec": spec }).to_string();
        self.kubectl(&["patch", "segsvc", name, "--type=merge", "--patch", &patch])
            .await?;
        Ok(())
    }

    /// Waits for a condition of a SegmenterService to have a status and a reason, if one is given, and answers its message.
    pub(crate) async fn condition(
        &self,
        name: &str,
        condition: &str,
        status: &str,
        reason: Option<&str>,
    ) -> Result<String> {
        let what = format!("{condition} being {status} of {name}");
        let mut seen = String::new();
        let met = eventually(&what, SOON, async || {
            let object = self.object(name).await?;
            let conditions = &object["status"]["conditions"];
            // What was there before a change says nothing about it.
            let current =
                object["status"]["observedGeneration"] == object["metadata"]["generation"];
            let found = conditions
                .as_array()
                .and_then(|all| all.iter().find(|one| one["type"] == condition))
                .cloned()
                .unwrap_or_default();
            seen = found.to_string();
            let met = current
                && found["status"] == status
                && reason.is_none_or(|reason| found["reason"] == reason);
            Ok(met.then(|| found["message"].as_str().unwrap_or_default().to_owned()))
        })
        .await;
        met.with_context(|| format!("it was {seen}"))
    }

    /// Waits until one is ready for the spec that it has now.
    pub(crate) async fn ready(&self, name: &str) -> Result {
        self.condition(name, "Ready", "True", Some("Available"))
            .await?;
        self.condition(name, "Progressing", "False", None).await?;
        Ok(())
    }

    /// [`Self::ready`], and until the Service leads to it: nodes learn of a pod that is ready a moment later.
    pub(crate) async fn answers(&self, name: &str) -> Result {
        self.ready(name).await?;
        for caller in [self.http(name)?, self.grpc(name)?] {
            self.first_answer(&caller, Instant::now()).await?;
        }
        Ok(())
    }

    /// A SegmenterService as it is.
    pub(crate) async fn object(&self, name: &str) -> Result<Value> {
        let kind = ApiResource {
            group: "segmenter.dev".to_owned(),
            version: "v1alpha1".to_owned(),
            api_version: "segmenter.dev/v1alpha1".to_owned(),
            kind: "SegmenterService".to_owned(),
            plural: "segmenterservices".to_owned(),
        };
        let api = Api::<DynamicObject>::namespaced_with(
            self.world.client.clone(),
            &self.namespace,
            &kind,
        );
        Ok(serde_json::to_value(api.get(name).await?)?)
    }

    /// The namespace's pods, in the order of their names.
    pub(crate) async fn pods(&self) -> Result<Vec<Pod>> {
        let pods = Api::<Pod>::namespaced(self.world.client.clone(), &self.namespace);
        Ok(pods.list(&ListParams::default()).await?.items)
    }

    /// Somebody who calls a service over HTTP through the Service of its name.
    pub(crate) fn http(&self, name: &str) -> Result<Caller> {
        let base = format!("http://{name}.{}.svc.cluster.local:8080", self.namespace);
        Caller::http(&base, None, &self.world.picture)
    }

    /// Somebody who calls a service over gRPC through the Service of its name.
    pub(crate) fn grpc(&self, name: &str) -> Result<Caller> {
        let address = format!("http://{name}.{}.svc.cluster.local:9090", self.namespace);
        Caller::grpc(&address, None, PICTURE_URL)
    }

    /// Asks until there is an answer, and says how long that took since `begin`.
    pub(crate) async fn first_answer(&self, caller: &Caller, begin: Instant) -> Result<Duration> {
        eventually("the first answer", SOON, async || {
            caller.objects().await.map(Some)
        })
        .await?;
        Ok(begin.elapsed())
    }
}
