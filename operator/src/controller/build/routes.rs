use super::Blueprint;
use crate::{
    api::Gateway,
    foreign::{
        BackendRef, GrpcRoute, GrpcRouteRule, GrpcRouteSpec, HttpRoute, HttpRouteMatch,
        HttpRouteRule, HttpRouteSpec, ParentReference, PathMatch,
    },
};

pub(super) fn http(blueprint: &Blueprint<'_>) -> Option<HttpRoute> {
    let gateway = blueprint.spec.exposure.gateway.as_ref();
    let gateway = gateway.filter(|gateway| gateway.http)?;
    Some(HttpRoute {
        metadata: blueprint.identity.metadata(),
        spec: HttpRouteSpec {
            parent_refs: parents(gateway),
            hostnames: gateway.hosts.clone(),
            rules: vec![HttpRouteRule {
                matches: vec![HttpRouteMatch {
                    path: PathMatch {
                        kind: "PathPrefix".to_owned(),
                        value: "/".to_owned(),
                    },
                }],
                backend_refs: backend(blueprint, blueprint.spec.serving.http_port),
            }],
        },
    })
}

pub(super) fn grpc(blueprint: &Blueprint<'_>) -> Option<GrpcRoute> {
    let gateway = blueprint.spec.exposure.gateway.as_ref();
    let gateway = gateway.filter(|gateway| gateway.grpc)?;
    Some(GrpcRoute {
        metadata: blueprint.identity.metadata(),
        spec: GrpcRouteSpec {
            parent_refs: parents(gateway),
            hostnames: gateway.grpc_hosts.clone(),
            rules: vec![GrpcRouteRule {
                backend_refs: backend(blueprint, blueprint.spec.serving.grpc_port),
            }],
        },
    })
}

fn parents(gateway: &Gateway) -> Vec<ParentReference> {
    let parents = gateway.parent_refs.iter().map(|parent| ParentReference {
        group: "gateway.networking.k8s.io".to_owned(),
        kind: "Gateway".to_owned(),
        name: parent.name.clone(),
        namespace: parent.namespace.clone(),
        section_name: parent.section_name.clone(),
    });
    parents.collect()
}

fn backend(blueprint: &Blueprint<'_>, port: i32) -> Vec<BackendRef> {
    vec![BackendRef {
        name: blueprint.identity.name.clone(),
        port,
    }]
}
