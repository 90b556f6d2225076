use super::crd::{Fault, rule, rule_on};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::image::PullPolicy;

/// Which model answers, where its weights come from, and what it answers by default.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(default, rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [rule_on(".digest", Fault::Required, "!has(self.source.http) || !has(self.source.http.url) || has(self.digest)", "a model from a URL of your own needs model.digest: sha256: and what `sha256sum FILE` prints")]))]
pub struct Model {
    /// The network, by its name in the catalogue: `segmenter models` lists them.
    #[schemars(length(max = 63))]
    #[schemars(extend("x-kubernetes-validations" = [rule("self.matches('^[a-z0-9_]{1,63}$')", "model.name is a name that `segmenter models` lists, such as maskrcnn_fbnetv3a_c4")]))]
    pub name: String,
    /// Where the weights come from; one of these. By default they are in the image.
    pub source: ModelSource,
    /// What the file of the weights must be: `sha256:` and 64 hex digits. Checked when it is fetched and
    /// again before it is used; nothing serves a file with another digest. By default the catalogue's,
    /// where the file is the catalogue's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 71))]
    #[schemars(extend("x-kubernetes-validations" = [rule("self.matches('^sha256:[0-9a-f]{64}$')", "model.digest is sha256: and the 64 lower-case hex digits that `sha256sum FILE` prints")]))]
    pub digest: Option<String>,
    /// The lowest score that is answered, 0 to 1, where a caller does not say. By default the model's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-validations" = [rule("self >= 0.0 && self <= 1.0", "model.threshold is a score from 0 to 1, such as 0.5")]))]
    pub threshold: Option<f64>,
    /// The classes that are answered where a caller does not say, such as `person`. By default all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), inner(length(min = 1, max = 100)))]
    #[schemars(extend("x-kubernetes-validations" = [rule("self.all(class, !class.contains(','))", "model.classes is a list with a name in each element, such as [person, dog]")]))]
    pub classes: Vec<String>,
}

impl Default for Model {
    fn default() -> Self {
        Self {
            name: "maskrcnn_fbnetv3a_c4".to_owned(),
            source: ModelSource::default(),
            digest: None,
            threshold: None,
            classes: Vec::new(),
        }
    }
}

/// Where weights come from.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(default, rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [rule("[has(self.embedded), has(self.http), has(self.pvc), has(self.image)].filter(given, given).size() <= 1", "model.source has one of embedded, http, pvc and image, not several: remove all but one")]))]
pub struct ModelSource {
    /// They are in the image that runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embedded: Option<EmbeddedSource>,
    /// Each pod downloads them before it starts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpSource>,
    /// They lie on a volume.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pvc: Option<PvcSource>,
    /// They lie in an OCI image or artifact, which the node mounts; needs Kubernetes 1.35 or newer, or 1.33 with
    /// the feature gate ImageVolume.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageVolumeSource>,
}

/// Weights in the image that runs.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EmbeddedSource {}

/// Weights that each pod downloads before it starts.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(default, rename_all = "camelCase")]
pub struct HttpSource {
    /// The address, http or https. By default the catalogue's, whose digest is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    #[schemars(extend("x-kubernetes-validations" = [rule("self.matches('^https?://[^/ ]+/[^ ]+$')", "model.source.http.url is the http:// or https:// address of a file, such as https://models.example.com/detector.pt")]))]
    pub url: Option<String>,
}

/// Weights on a volume.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PvcSource {
    /// The PersistentVolumeClaim, in the same namespace. It is mounted read-only.
    #[schemars(length(min = 1, max = 253))]
    pub claim_name: String,
    /// The file, from the volume's root.
    #[schemars(length(max = 1024))]
    #[schemars(extend("x-kubernetes-validations" = [rule("!self.startsWith('/') && !('..' in self.split('/')) && self != ''", "model.source.pvc.path is relative to the volume's root and has no .. in it, such as models/detector.pt")]))]
    pub path: String,
}

/// Weights in an OCI image or artifact.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ImageVolumeSource {
    /// The image, such as `registry.example.com/models/detector:3`.
    #[schemars(length(min = 1, max = 512))]
    pub reference: String,
    /// The file, from the image's root.
    #[schemars(length(max = 1024))]
    #[schemars(extend("x-kubernetes-validations" = [rule("!self.startsWith('/') && !('..' in self.split('/')) && self != ''", "model.source.image.path is relative to the image's root and has no .. in it, such as models/detector.pt")]))]
    pub path: String,
    /// When a node asks the registry for it.
    #[serde(default)]
    pub pull_policy: PullPolicy,
}
