use k8s_openapi::{
    api::core::v1::{Service, ServicePort, ServiceSpec},
    apimachinery::pkg::util::intstr::IntOrString,
};

use super::Blueprint;

/// The names of the two ports, in pods, Services, routes and monitors.
pub(super) const HTTP: &str = "http";
pub(super) const GRPC: &str = "grpc";

pub(super) fn build(blueprint: &Blueprint<'_>) -> Service {
    let serving = &blueprint.spec.serving;
    let port = |name: &str, number, protocol: &str| ServicePort {
        name: Some(name.to_owned()),
        port: number,
        target_port: Some(IntOrString::String(name.to_owned())),
        protocol: Some("TCP".to_owned()),
        // Ingress controllers and meshes go by it: without it gRPC is taken for HTTP/1.
        app_protocol: Some(protocol.to_owned()),
        node_port: None,
    };
    Service {
        metadata: blueprint.identity.metadata(),
        spec: Some(ServiceSpec {
            selector: Some(blueprint.identity.selector()),
            ports: Some(vec![
                port(HTTP, serving.http_port, "http"),
                port(GRPC, serving.grpc_port, "kubernetes.io/h2c"),
            ]),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}
