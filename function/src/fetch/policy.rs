//! Which addresses may be reached.
//!
//! A caller names a URL and this server goes there, from where it stands: inside a cluster or a cloud's
//! network, next to services that trust whoever can reach them. So it goes to public addresses only,
//! and to the private ones that the operator has named.

use std::{fmt, net::IpAddr, str::FromStr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// What one `--fetch-allow` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Allow {
    /// Addresses.
    Network(IpNet),
    /// A host by name, at whatever addresses it has.
    Host(String),
}

/// Which addresses may be reached: all public ones, and others where a rule names them.
#[derive(Clone, Debug, Default)]
pub struct FetchPolicy {
    rules: Vec<Allow>,
}

/// A host that may not be reached.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{host} is at {address}, which is {kind}")]
pub struct Refused {
    /// As the URL names it.
    pub host: String,
    /// The first of its addresses that is not allowed.
    pub address: IpAddr,
    /// What the address is.
    pub kind: &'static str,
}

impl FetchPolicy {
    /// Public addresses, and what the rules name.
    pub fn new(rules: Vec<Allow>) -> Self {
        Self { rules }
    }

    /// Whether `host`, which has these addresses, may be reached: only if every one of them may, since
    /// any of them may be the one that is connected to.
    pub fn check(
        &self,
        host: &str,
        addresses: impl IntoIterator<Item = IpAddr>,
    ) -> Result<(), Refused> {
        let host_allowed = self.rules.iter().any(|rule| match rule {
            Allow::Host(name) => *name == normal(host),
            Allow::Network(_) => false,
        });
        if host_allowed {
            return Ok(());
        }
        for address in addresses {
            let target = embedded(address);
            let named = self
                .rules
                .iter()
                .any(|rule| matches!(rule, Allow::Network(net) if net.contains(&target)));
            if let (false, Some(kind)) = (named, special(target)) {
                return Err(Refused {
                    host: host.to_owned(),
                    address,
                    kind,
                });
            }
        }
        Ok(())
    }
}

impl FromStr for Allow {
    type Err = NotAllowable;

    fn from_str(rule: &str) -> Result<Self, NotAllowable> {
        let bare = rule.trim().trim_start_matches('[').trim_end_matches(']');
        if let Ok(network) = bare.parse::<IpNet>() {
            return Ok(Self::Network(network.trunc()));
        }
        if let Ok(address) = bare.parse::<IpAddr>() {
            return Ok(Self::Network(address.to_canonical().into()));
        }
        match url::Host::parse(rule.trim()) {
            Ok(url::Host::Domain(name)) => Ok(Self::Host(normal(&name))),
            _ => Err(NotAllowable {
                rule: rule.to_owned(),
            }),
        }
    }
}

impl fmt::Display for Allow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(network) => network.fmt(f),
            Self::Host(name) => name.fmt(f),
        }
    }
}

/// Why a `--fetch-allow` was not understood.
#[derive(Debug, thiserror::Error)]
#[error("{rule:?} is neither a network (10.0.0.0/8), an address nor a host name")]
pub struct NotAllowable {
    rule: String,
}

/// A host's name as it is compared.
fn normal(host: &str) -> String {
    host.trim_end_matches('.').to_ascii_lowercase()
}

/// The address that a translator or a tunnel on the way would make of this one: the IPv4 address in an
/// IPv4-mapped (RFC 4291), NAT64 (RFC 6052) or 6to4 (RFC 3056) one.
fn embedded(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else {
        return address;
    };
    if let Some(v4) = v6.to_ipv4_mapped() {
        return v4.into();
    }
    let bytes = v6.octets();
    let at = if bytes.starts_with(&[0x00, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0]) {
        12
    } else if bytes.starts_with(&[0x20, 0x02]) {
        2
    } else {
        return address;
    };
    IpAddr::from([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// What an address is that is not for everyone on the internet; `None` for public ones. The ranges are
/// those of IANA's special-purpose address registries, and one that a cloud has made special.
fn special(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => SPECIAL_V4
            .iter()
            .find(|(network, _)| network.contains(&address))
            .map(|(_, kind)| *kind),
        IpAddr::V6(address) => SPECIAL_V6
            .iter()
            .find(|(network, _)| network.contains(&address))
            .map(|(_, kind)| *kind)
            // Nothing outside of this is in use between networks.
            .or_else(|| (address.octets()[0] >> 5 != 0b001).then_some("a reserved address")),
    }
}

const fn v4(octets: [u8; 4], prefix: u8) -> Ipv4Net {
    let [a, b, c, d] = octets;
    Ipv4Net::new_assert(std::net::Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(a: u16, b: u16, prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(std::net::Ipv6Addr::new(a, b, 0, 0, 0, 0, 0, 0), prefix)
}

const SPECIAL_V4: &[(Ipv4Net, &str)] = &[
    (v4([0, 0, 0, 0], 8), "an unspecified address"),
    (v4([10, 0, 0, 0], 8), "a private address"),
    (v4([100, 64, 0, 0], 10), "a carrier's private address"),
    (v4([127, 0, 0, 0], 8), "a loopback address"),
    // Azure's host agent, which answers every virtual machine from an otherwise public range.
    (v4([168, 63, 129, 16], 32), "a cloud metadata address"),
    (v4([169, 254, 169, 254], 32), "a cloud metadata address"),
    (v4([169, 254, 0, 0], 16), "a link-local address"),
    (v4([172, 16, 0, 0], 12), "a private address"),
    (v4([192, 0, 0, 0], 24), "a protocol's address"),
    (v4([192, 0, 2, 0], 24), "a documentation address"),
    (v4([192, 88, 99, 0], 24), "a tunnel's address"),
    (v4([192, 168, 0, 0], 16), "a private address"),
    (v4([198, 18, 0, 0], 15), "a benchmarking address"),
    (v4([198, 51, 100, 0], 24), "a documentation address"),
    (v4([203, 0, 113, 0], 24), "a documentation address"),
    (v4([224, 0, 0, 0], 4), "a multicast address"),
    (v4([240, 0, 0, 0], 4), "a reserved address"),
];

const SPECIAL_V6: &[(Ipv6Net, &str)] = &[
    (
        Ipv6Net::new_assert(std::net::Ipv6Addr::UNSPECIFIED, 128),
        "an unspecified address",
    ),
    (
        Ipv6Net::new_assert(std::net::Ipv6Addr::LOCALHOST, 128),
        "a loopback address",
    ),
    (v6(0x2001, 0, 23), "a protocol's address"),
    (v6(0x2001, 0xdb8, 32), "a documentation address"),
    (v6(0x3fff, 0, 20), "a documentation address"),
    (v6(0xfc00, 0, 7), "a private address"),
    (v6(0xfe80, 0, 10), "a link-local address"),
    (v6(0xff00, 0, 8), "a multicast address"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(rules: &[&str]) -> FetchPolicy {
        FetchPolicy::new(rules.iter().map(|rule| rule.parse().unwrap()).collect())
    }

    fn allowed(policy: &FetchPolicy, host: &str, addresses: &[&str]) -> bool {
        let addresses = addresses.iter().map(|address| address.parse().unwrap());
        policy.check(host, addresses).is_ok()
    }

    #[test]
    fn public_addresses_may_be_reached() {
        for address in [
            "1.1.1.1",
            "93.184.216.34",
            "172.15.255.255",
            "172.32.0.1",
            "100.63.255.255",
            "2606:2800:220:1:248:1893:25c8:1946",
            "::ffff:1.1.1.1",
            "64:ff9b::101:101",
            "2002:101:101::1",
        ] {
            assert!(allowed(&policy(&[]), "h", &[address]), "{address}");
        }
    }

    #[test]
    fn other_addresses_may_not_in_whatever_clothes() {
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "10.1.2.3",
            "100.64.0.1",
            "100.100.100.200",
            "127.0.0.1",
            "127.255.255.254",
            "168.63.129.16",
            "169.254.169.254",
            "169.254.170.2",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.0.2.1",
            "192.168.1.1",
            "198.19.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "2002:7f00:1::1",
            "2002:c0a8:101::1",
            "2001::1",
            "2001:db8::1",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!allowed(&policy(&[]), "h", &[address]), "{address}");
        }
    }

    #[test]
    fn one_address_that_may_not_be_reached_is_enough() {
        let none = policy(&[]);
        assert!(!allowed(&none, "h", &["1.1.1.1", "10.0.0.1"]));
        let refused = none
            .check("h", ["1.1.1.1", "10.0.0.1"].map(|a| a.parse().unwrap()))
            .unwrap_err();
        assert_eq!(
            refused.to_string(),
            "h is at 10.0.0.1, which is a private address"
        );
    }

    #[test]
    fn what_a_rule_names_may_be_reached() {
        let network = policy(&["10.0.0.0/8", "::1"]);
        assert!(allowed(&network, "h", &["10.9.9.9", "1.1.1.1", "::1"]));
        assert!(allowed(&network, "h", &["::ffff:10.9.9.9"]));
        assert!(!allowed(&network, "h", &["10.9.9.9", "127.0.0.1"]));

        let host = policy(&["Images.Internal."]);
        assert!(allowed(
            &host,
            "images.internal",
            &["10.9.9.9", "127.0.0.1"]
        ));
        assert!(allowed(&host, "IMAGES.internal.", &["10.9.9.9"]));
        assert!(!allowed(&host, "other.images.internal", &["10.9.9.9"]));
    }

    #[test]
    fn rules_are_networks_addresses_or_hosts() {
        let parse = |rule: &str| rule.parse::<Allow>().map(|rule| rule.to_string()).ok();
        assert_eq!(parse("10.1.2.3/8").as_deref(), Some("10.0.0.0/8"));
        assert_eq!(parse("::ffff:10.1.2.3").as_deref(), Some("10.1.2.3/32"));
        assert_eq!(parse("127.0.0.1").as_deref(), Some("127.0.0.1/32"));
        assert_eq!(parse("[::1]").as_deref(), Some("::1/128"));
        assert_eq!(parse(" MinIO ").as_deref(), Some("minio"));
        for wrong in ["", "10.0.0.0/33", "http://minio/", "a b", "minio:9000"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
