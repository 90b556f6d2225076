use k8s_openapi::{
    api::networking::v1::{
        IPBlock, NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule,
        NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
    },
    apimachinery::pkg::util::intstr::IntOrString,
};

use super::{
    Blueprint,
    service::{GRPC, HTTP},
};

/// Addresses that are no public ones: RFC 1918, RFC 6598, link-local (cloud metadata), loopback.
const PRIVATE_V4: [&str; 6] = [
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "169.254.0.0/16",
    "127.0.0.0/8",
];
/// The same for IPv6: RFC 4193, link-local, loopback.
const PRIVATE_V6: [&str; 3] = ["fc00::/7", "fe80::/10", "::1/128"];

pub(super) fn build(blueprint: &Blueprint<'_>) -> Option<NetworkPolicy> {
    let policy = &blueprint.spec.security.network_policy;
    if !policy.enabled {
        return None;
    }
    let callers = NetworkPolicyIngressRule {
        // Without peers: everybody.
        from: (!policy.allow_from.is_empty()).then(|| policy.allow_from.clone()),
        ports: Some(vec![
            port("TCP", IntOrString::String(HTTP.to_owned())),
            port("TCP", IntOrString::String(GRPC.to_owned())),
        ]),
    };
    let dns = NetworkPolicyEgressRule {
        to: None,
        ports: Some(vec![
            port("UDP", IntOrString::Int(53)),
            port("TCP", IntOrString::Int(53)),
        ]),
    };
    let pictures = NetworkPolicyEgressRule {
        to: Some(vec![
            block("0.0.0.0/0", &PRIVATE_V4),
            block("::/0", &PRIVATE_V6),
        ]),
        ports: Some(vec![
            port("TCP", IntOrString::Int(80)),
            port("TCP", IntOrString::Int(443)),
        ]),
    };
    let mut egress = vec![dns, pictures];
    egress.extend(policy.allow_to.iter().cloned());
    Some(NetworkPolicy {
        metadata: blueprint.identity.metadata(),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(blueprint.identity.label_selector()),
            policy_types: Some(vec!["Ingress".to_owned(), "Egress".to_owned()]),
            ingress: Some(vec![callers]),
            egress: Some(egress),
        }),
    })
}

fn port(protocol: &str, port: IntOrString) -> NetworkPolicyPort {
    NetworkPolicyPort {
        protocol: Some(protocol.to_owned()),
        port: Some(port),
        end_port: None,
    }
}

fn block(cidr: &str, except: &[&str]) -> NetworkPolicyPeer {
    NetworkPolicyPeer {
        ip_block: Some(IPBlock {
            cidr: cidr.to_owned(),
            except: Some(except.iter().map(|&block| block.to_owned()).collect()),
        }),
        ..NetworkPolicyPeer::default()
    }
}
