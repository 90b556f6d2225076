use super::crd::rule;
use schemars::JsonSchema;
use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Affinity, Toleration};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A GPU or the like, for each pod.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(default, rename_all = "camelCase")]
pub struct Accelerator {
    /// The resource that a node's device plugin offers.
    #[schemars(length(max = 253))]
    #[schemars(extend("x-kubernetes-validations" = [rule("self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?/[a-zA-Z0-9]([-a-zA-Z0-9._]*[a-zA-Z0-9])?$')", "accelerator.resourceName is a resource with its domain, such as nvidia.com/gpu")]))]
    pub resource_name: String,
    /// How many each pod gets.
    #[schemars(range(min = 1, max = 64))]
    pub count: i32,
    /// The RuntimeClass that makes it usable, such as `nvidia`. By default the node's own runtime does.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub runtime_class_name: Option<String>,
}

impl Default for Accelerator {
    fn default() -> Self {
        Self {
            resource_name: "nvidia.com/gpu".to_owned(),
            count: 1,
            runtime_class_name: None,
        }
    }
}

/// What else the pods should have.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(default, rename_all = "camelCase")]
pub struct Pod {
    /// Labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(length(max = 64))]
    #[schemars(extend("x-kubernetes-validations" = [rule("self.all(key, !key.startsWith('app.kubernetes.io/') && !key.startsWith('segmenter.dev/'))", "pod.labels may not begin with app.kubernetes.io/ or segmenter.dev/: the Service finds its pods by those; use a prefix of your own, such as example.com/team")]))]
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(length(max = 64))]
    pub annotations: BTreeMap<String, String>,
    /// Labels that a node must have.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(length(max = 64))]
    pub node_selector: BTreeMap<String, String>,
    /// Taints of nodes that do not matter.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub tolerations: Vec<Toleration>,
    /// Nodes and pods to be near or far from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Affinity>,
    /// The PriorityClass that says how important the pods are. By default the cluster's default class.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub priority_class_name: Option<String>,
    /// Anything else: a part of a pod template, laid over what the operator makes. Objects are merged; lists
    /// of named things, such as containers (the server's is called `segmenter`), volumes and variables, are
    /// merged by their names; other lists and values are replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_object")]
    pub overlay: Option<Value>,
}

/// An object whose fields the CRD does not list: a pod template's would be ten times its size.
fn any_object(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": true,
    })
}
