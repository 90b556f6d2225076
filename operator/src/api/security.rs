use k8s_openapi::api::networking::v1::{NetworkPolicyEgressRule, NetworkPolicyPeer};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Who may talk to the pods, and to whom they may talk. The pods themselves always run as the Pod Security
/// Standard "restricted" wants: no root, no privileges, a read-only file system.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(default, rename_all = "camelCase")]
pub struct Security {
    /// A NetworkPolicy.
    pub network_policy: NetworkPolicy,
    /// The ServiceAccount that pods run as; they get no token for it. By default the namespace's default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub service_account_name: Option<String>,
}

/// A NetworkPolicy: callers reach the two ports; the pods reach DNS and public addresses on ports 80 and 443,
/// which they need for pictures, and no private address.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(default, rename_all = "camelCase")]
pub struct NetworkPolicy {
    /// Whether there is one.
    pub enabled: bool,
    /// Who may call, such as the namespaces of the ingress controller and of Prometheus. By default
    /// everybody in the cluster.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub allow_from: Vec<NetworkPolicyPeer>,
    /// What else the pods may reach, such as an object store inside the cluster.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub allow_to: Vec<NetworkPolicyEgressRule>,
}
