use super::crd::rule;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which container image runs.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(default, rename_all = "camelCase")]
pub struct Image {
    /// Registry and name, such as `registry.example.com/segmenter`. By default the operator's choice,
    /// which is kept until the pods change for another reason: a new operator restarts none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    #[schemars(extend("x-kubernetes-validations" = [rule("self.matches('^[a-z0-9]([-a-zA-Z0-9._:/]*[a-zA-Z0-9])?$') && !self.matches('.*:[^/]*$')", "image.repository is a name without a tag, such as registry.example.com/segmenter; the tag goes into image.tag")]))]
    pub repository: Option<String>,
    /// Tag of the image. By default that of the operator's choice, or none if `repository` is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    #[schemars(extend("x-kubernetes-validations" = [rule("self.matches('^[a-zA-Z0-9_][-a-zA-Z0-9._]{0,127}$')", "image.tag holds letters, digits, _, - and ., such as 1.2.0")]))]
    pub tag: Option<String>,
    /// Digest of the image, which wins over the tag: `sha256:` and 64 hex digits. By default the tag alone
    /// counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 71))]
    #[schemars(extend("x-kubernetes-validations" = [rule("self.matches('^sha256:[0-9a-f]{64}$')", "image.digest is sha256: and 64 lower-case hex digits, as registries print it")]))]
    pub digest: Option<String>,
    /// When a node asks the registry for the image.
    pub pull_policy: PullPolicy,
    /// Names of Secrets with the registry's credentials, in the same namespace.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 253)))]
    pub pull_secrets: Vec<String>,
}

/// When a node asks the registry for an image.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PullPolicy {
    /// Where it does not have the image.
    #[default]
    IfNotPresent,
    /// At every start of a pod.
    Always,
    /// Never: the image is there already.
    Never,
}

impl PullPolicy {
    /// As Kubernetes writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::IfNotPresent => "IfNotPresent",
            Self::Always => "Always",
            Self::Never => "Never",
        }
    }
}
