use k8s_openapi::api::networking::v1::{
    HTTPIngressPath, HTTPIngressRuleValue, Ingress, IngressBackend, IngressRule,
    IngressServiceBackend, IngressSpec, IngressTLS, ServiceBackendPort,
};

use super::{Blueprint, service::HTTP};

pub(super) fn build(blueprint: &Blueprint<'_>) -> Option<Ingress> {
    let identity = blueprint.identity;
    let asked = blueprint.spec.exposure.ingress.as_ref()?;
    let backend = IngressBackend {
        service: Some(IngressServiceBackend {
            name: identity.name.clone(),
            port: Some(ServiceBackendPort {
                name: Some(HTTP.to_owned()),
                number: None,
            }),
        }),
        resource: None,
    };
    let rule = |host: Option<String>| IngressRule {
        host,
        http: Some(HTTPIngressRuleValue {
            paths: vec![HTTPIngressPath {
                path: Some(asked.path.clone()),
                path_type: "Prefix".to_owned(),
                backend: backend.clone(),
            }],
        }),
    };
    let rules = if asked.hosts.is_empty() {
        vec![rule(None)]
    } else {
        asked.hosts.iter().cloned().map(Some).map(rule).collect()
    };
    let mut metadata = identity.metadata();
    metadata.annotations = (!asked.annotations.is_empty()).then(|| asked.annotations.clone());
    Some(Ingress {
        metadata,
        spec: Some(IngressSpec {
            ingress_class_name: asked.class_name.clone(),
            rules: Some(rules),
            tls: asked.tls.as_ref().map(|tls| {
                vec![IngressTLS {
                    hosts: Some(asked.hosts.clone()),
                    secret_name: Some(tls.secret_name.clone()),
                }]
            }),
            default_backend: None,
        }),
        status: None,
    })
}
