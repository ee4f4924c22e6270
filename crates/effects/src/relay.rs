//! Where a connection through the API server's own proxy ends: by the address that it reaches, not by
//! the pod or Service that it names, as whoever writes their status or endpoints chooses the address.

use std::{collections::BTreeSet, net::IpAddr, str::FromStr};

use attributes::Attributes;
use serde_json::Value;

use crate::{
    EffectKind,
    about::{About, Connect, Part, Parts, Power, ReachedAddress, ReachedPlace},
    diff::segments,
    effect::{Change, Effect},
    object::object_of,
};

/// Fields of a pod's status by which others connect to it.
const ADDRESSES: [&str; 4] = ["podIP", "podIPs", "hostIP", "hostIPs"];

/// An IPv6 address with its zone is no longer.
const ADDRESS_CHARS_MAX: usize = 64;

/// A range of addresses, as `10.244.0.0/16`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Cidr {
    first: IpAddr,
    prefix_bits: u32,
}

/// A text that is no range of addresses.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NoCidr;

impl Cidr {
    fn contains(&self, address: IpAddr) -> bool {
        let (all, first, other) = match (self.first, address) {
            (IpAddr::V4(first), IpAddr::V4(other)) => {
                (32, u128::from(first.to_bits()), u128::from(other.to_bits()))
            }
            (IpAddr::V6(first), IpAddr::V6(other)) => (128, first.to_bits(), other.to_bits()),
            _ => return false,
        };
        let host_bits = all - self.prefix_bits.min(all);
        let network = |bits: u128| bits.checked_shr(host_bits).unwrap_or(0);
        network(first) == network(other)
    }
}

impl FromStr for Cidr {
    type Err = NoCidr;

    fn from_str(text: &str) -> Result<Self, NoCidr> {
        let (first, bits) = text.split_once('/').ok_or(NoCidr)?;
        let first: IpAddr = first.parse().map_err(|_| NoCidr)?;
        let prefix_bits: u32 = bits.parse().map_err(|_| NoCidr)?;
        let bits_max = if first.is_ipv4() { 32 } else { 128 };
        (prefix_bits <= bits_max).then_some(Self { first, prefix_bits }).ok_or(NoCidr)
    }
}

/// What is known of the cluster's addresses.
#[derive(Clone, Debug, Default)]
pub struct Networks {
    /// Where pods have theirs.
    pub pods: Vec<Cidr>,
    /// Of nodes.
    pub nodes: BTreeSet<IpAddr>,
    /// Of API servers, and of the Service in front of them.
    pub api_servers: BTreeSet<IpAddr>,
}

impl Networks {
    /// Adds the addresses of a live Node, and the range that its pods have theirs from.
    pub fn add_node(&mut self, node: &Value) {
        let ranges = node.pointer("/spec/podCIDRs").and_then(Value::as_array);
        let ranges = ranges.into_iter().flatten().chain(node.pointer("/spec/podCIDR"));
        self.pods.extend(ranges.filter_map(Value::as_str).filter_map(|it| it.parse::<Cidr>().ok()));
        let addresses = node.pointer("/status/addresses").and_then(Value::as_array);
        let addresses = addresses.into_iter().flatten().filter_map(|it| it.get("address"));
        // A host name is among them.
        self.nodes
            .extend(addresses.filter_map(Value::as_str).filter_map(|it| it.parse::<IpAddr>().ok()));
    }

    fn place(&self, text: &str) -> ReachedPlace {
        let Ok(address) = text.parse::<IpAddr>() else { return ReachedPlace::Elsewhere };
        // `::ffff:127.0.0.1` is a way to write 127.0.0.1.
        let address = address.to_canonical();
        if address.is_loopback() || address.is_unspecified() {
            ReachedPlace::Loopback
        } else if is_link_local(address) || address.is_multicast() {
            ReachedPlace::LinkLocal
        } else if self.api_servers.contains(&address) {
            ReachedPlace::ApiServer
        } else if self.nodes.contains(&address) {
            ReachedPlace::Node
        } else if self.pods.iter().any(|range| range.contains(address)) {
            ReachedPlace::Pods
        } else {
            ReachedPlace::Elsewhere
        }
    }
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(it) => it.is_link_local() || it.is_broadcast(),
        IpAddr::V6(it) => it.is_unicast_link_local(),
    }
}

/// What a `proxy` to these addresses does beyond reaching a pod.
pub fn of_proxied<'a>(
    attributes: &Attributes,
    networks: &Networks,
    addresses: impl Iterator<Item = &'a str>,
) -> Vec<Effect> {
    let addresses: BTreeSet<&str> = addresses.collect();
    let mut effects = Vec::new();
    let mut elsewhere = Vec::new();
    let mut seen = Vec::new();
    for address in addresses {
        let place = networks.place(address);
        let kind = match place {
            ReachedPlace::Pods => continue,
            ReachedPlace::Elsewhere => {
                elsewhere.push(Part::Power(Power::Connection(address.to_owned())));
                continue;
            }
            ReachedPlace::Loopback | ReachedPlace::ApiServer => EffectKind::ProxyToApiServer,
            ReachedPlace::LinkLocal | ReachedPlace::Node => EffectKind::ProxyToNode,
        };
        // One of each is enough: an agent decides how many there are.
        if seen.contains(&place) {
            continue;
        }
        seen.push(place);
        let reached = ReachedAddress { address: address.to_owned(), place };
        let about = About::Connect(Connect::Address(reached));
        effects.push(Effect { kind, object: object_of(attributes), about });
    }
    if !elsewhere.is_empty() {
        let about = About::Parts(Parts::bounded(elsewhere));
        let kind = EffectKind::Borrow;
        effects.push(Effect { kind, object: object_of(attributes), about });
    }
    effects
}

/// The addresses of a live pod.
pub fn pod_addresses(pod: &Value) -> impl Iterator<Item = &str> {
    let list = pod.pointer("/status/podIPs").and_then(Value::as_array);
    let list = list.into_iter().flatten().filter_map(|it| it.get("ip"));
    list.chain(pod.pointer("/status/podIP")).filter_map(Value::as_str).filter(|it| !it.is_empty())
}

/// Addresses of a pod that a write would change. Its kubelet alone knows them, and whoever connects to
/// the pod by name goes where they say: the API server, a Service, a policy of the network.
pub(crate) fn written<'a>(
    resource: &str,
    changes: &'a [Change],
) -> impl Iterator<Item = Power> + use<'a> {
    let is_pod = resource == "pods";
    changes.iter().filter(move |_| is_pod).filter_map(|change| {
        let segments = segments(&change.path);
        let [status, field, ..] = segments.as_slice() else { return None };
        (status == "status" && ADDRESSES.contains(&field.as_str())).then(|| {
            let new = change.new.as_ref().and_then(Value::as_str).unwrap_or("none");
            // Not every API server checks that it is an address.
            let new: String = new.chars().take(ADDRESS_CHARS_MAX).collect();
            Power::PodAddress(format!("{field} {new}"))
        })
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn networks() -> Networks {
        let mut networks = Networks::default();
        networks.add_node(&json!({
            "spec": {"podCIDR": "10.244.1.0/24", "podCIDRs": ["10.244.1.0/24", "fd00:1::/64", "x"]},
            "status": {"addresses": [
                {"type": "Hostname", "address": "n1"}, {"type": "InternalIP", "address": "10.9.0.1"},
            ]},
        }));
        networks.api_servers.insert(IpAddr::from([10, 9, 0, 9]));
        networks
    }

    #[test]
    fn tells_pods_from_what_lies_around_them() {
        use ReachedPlace::{ApiServer, Elsewhere, LinkLocal, Loopback, Node, Pods};
        let table = [
            ("10.244.1.7", Pods),
            ("fd00:1::7", Pods),
            ("::ffff:10.244.1.7", Pods),
            ("10.244.2.7", Elsewhere),
            ("fd00:2::7", Elsewhere),
            ("93.184.216.34", Elsewhere),
            ("no address", Elsewhere),
            ("10.9.0.1", Node),
            ("::ffff:10.9.0.1", Node),
            ("10.9.0.9", ApiServer),
            ("127.0.0.1", Loopback),
            ("127.9.9.9", Loopback),
            ("0.0.0.0", Loopback),
            ("::1", Loopback),
            ("::ffff:127.0.0.1", Loopback),
            ("169.254.169.254", LinkLocal),
            ("fe80::1", LinkLocal),
            ("::ffff:169.254.169.254", LinkLocal),
            ("224.0.0.1", LinkLocal),
            ("255.255.255.255", LinkLocal),
        ];
        for (address, want) in table {
            assert_eq!(networks().place(address), want, "{address}");
        }
        // Where no network is known, no address is a pod's.
        assert_eq!(Networks::default().place("10.244.1.7"), Elsewhere);
    }

    #[test]
    fn reads_ranges_of_addresses() {
        let contains = |range: &str, address: &str| {
            let range = range.parse::<Cidr>()?;
            address.parse().map(|it| range.contains(it)).map_err(|_| NoCidr)
        };
        let table = [
            ("10.244.0.0/16", "10.244.255.255", Ok(true)),
            ("10.244.0.0/16", "10.245.0.0", Ok(false)),
            ("10.244.3.9/16", "10.244.0.1", Ok(true)),
            ("0.0.0.0/0", "1.2.3.4", Ok(true)),
            ("::/0", "1.2.3.4", Ok(false)),
            ("::/0", "fd00::1", Ok(true)),
            ("10.0.0.1/32", "10.0.0.2", Ok(false)),
            ("10.0.0.0/33", "10.0.0.0", Err(NoCidr)),
            ("10.0.0.0", "10.0.0.0", Err(NoCidr)),
            ("10.0.0/8", "10.0.0.0", Err(NoCidr)),
        ];
        for (range, address, want) in table {
            assert_eq!(contains(range, address), want, "{range} {address}");
        }
    }

    #[test]
    fn addresses_of_pods_are_not_an_agents_to_write() {
        let change = |path: &str| Change { path: path.to_owned(), old: None, new: None };
        let paths = [
            ("/status/podIP", 1),
            ("/status/podIPs/0/ip", 1),
            ("/status/hostIPs/0", 1),
            ("/status/conditions/0", 0),
            ("/spec/podIP", 0),
        ];
        for (path, want) in paths {
            assert_eq!(written("pods", &[change(path)]).count(), want, "{path}");
            assert_eq!(written("deployments", &[change(path)]).count(), 0, "{path}");
        }
    }
}
