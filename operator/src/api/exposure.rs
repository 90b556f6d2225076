use super::crd::{Fault, rule, rule_on};
use schemars::JsonSchema;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How callers outside the cluster reach the service.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(default, rename_all = "camelCase")]
pub struct Exposure {
    /// HTTP through an Ingress.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingress: Option<Ingress>,
    /// HTTP and gRPC through a Gateway: an HTTPRoute and a GRPCRoute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<Gateway>,
}

/// HTTP through an Ingress.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(default, rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [rule_on(".hosts", Fault::Required, "!has(self.tls) || (has(self.hosts) && size(self.hosts) > 0)", "exposure.ingress.tls needs exposure.ingress.hosts: a certificate is for host names, such as [segmenter.example.com]")]))]
pub struct Ingress {
    /// The class of the controller that serves it. By default the cluster's default class.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub class_name: Option<String>,
    /// Host names. By default all that reach the controller.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(max = 253)))]
    #[schemars(extend("x-kubernetes-validations" = [host_names("exposure.ingress.hosts")]))]
    pub hosts: Vec<String>,
    /// Requests whose path begins with this.
    #[schemars(length(max = 1024))]
    #[schemars(extend("x-kubernetes-validations" = [rule("self.startsWith('/')", "exposure.ingress.path begins with /, such as /predict; / is every path")]))]
    pub path: String,
    /// The certificate. By default there is none, and HTTP is not encrypted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<IngressTls>,
    /// Annotations of the Ingress, for its controller or for cert-manager.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(length(max = 64))]
    pub annotations: BTreeMap<String, String>,
}

impl Default for Ingress {
    fn default() -> Self {
        Self {
            class_name: None,
            hosts: Vec::new(),
            path: "/".to_owned(),
            tls: None,
            annotations: BTreeMap::new(),
        }
    }
}

/// The rule of a list of host names; Kubernetes takes no addresses there.
fn host_names(field: &str) -> Value {
    rule(
        "self.all(host, host.matches('^([*][.])?[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$') \
         && !host.matches('^[0-9.]+$'))",
        &format!(
            "{field} are host names in lower case, without scheme, port or path, such as segmenter.example.com"
        ),
    )
}

/// A certificate for an Ingress.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct IngressTls {
    /// The Secret that holds it, in the same namespace.
    #[schemars(length(min = 1, max = 253))]
    pub secret_name: String,
}

/// HTTP and gRPC through a Gateway.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [rule("self.http || self.grpc", "exposure.gateway with neither http nor grpc does nothing: remove it"), rule("!self.http || !self.grpc || (has(self.hosts) && size(self.hosts) > 0 && has(self.grpcHosts) && size(self.grpcHosts) > 0 && self.hosts.all(host, !(host in self.grpcHosts)))", "a Gateway tells HTTP from gRPC by the host name: give exposure.gateway.hosts and exposure.gateway.grpcHosts different names, or turn one off with http: false or grpc: false")]))]
pub struct Gateway {
    /// The Gateways, or their listeners; TLS is theirs.
    #[schemars(length(max = 8))]
    #[schemars(extend("x-kubernetes-validations" = [rule("size(self) > 0", "exposure.gateway.parentRefs names the Gateways to use, at least one, such as [{name: public, namespace: gateways}]")]))]
    pub parent_refs: Vec<ParentRef>,
    /// Host names of HTTP. By default all that the Gateways listen for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(max = 253)))]
    #[schemars(extend("x-kubernetes-validations" = [host_names("exposure.gateway.hosts")]))]
    pub hosts: Vec<String>,
    /// Host names of gRPC, which have to be others than those of HTTP on the same listener. By default all
    /// that the Gateways listen for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(max = 253)))]
    #[schemars(extend("x-kubernetes-validations" = [host_names("exposure.gateway.grpcHosts")]))]
    pub grpc_hosts: Vec<String>,
    /// Whether there is an HTTPRoute.
    #[serde(default = "yes")]
    pub http: bool,
    /// Whether there is a GRPCRoute.
    #[serde(default = "yes")]
    pub grpc: bool,
}

fn yes() -> bool {
    true
}

/// A Gateway, or one of its listeners.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ParentRef {
    /// The Gateway's name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Its namespace. By default the service's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
    /// The listener's name. By default all listeners.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub section_name: Option<String>,
}
