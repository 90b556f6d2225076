//! Where a story plays: a namespace of its own, and what is done in it.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api,
    api::{ApiResource, DynamicObject, ListParams},
};
use segmenter_cluster::eventually;
use serde_json::{Value, json};

use crate::{
    Result,
    load::Caller,
    world::{PICTURE_URL, SOON, World},
};

/// A namespace of a story, in which every pod has to be as the Pod Security Standard "restricted" wants it. What was
/// made there is deleted when the story has ended, and the processors are the next one's.
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

    /// Ends it: no pod is left, and of another's cluster not even the namespace.
    pub(crate) async fn close(self) -> Result {
        self.kubectl(&["delete", "segsvc", "--all"]).await?;
        eventually("the end of all pods", SOON, async || {
            Ok(self.pods().await?.is_empty().then_some(()))
        })
        .await?;
        if !self.world.is_own() {
            self.kubectl(&["delete", "namespace", &self.namespace])
                .await?;
        }
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
