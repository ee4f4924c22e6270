//! Which addresses a `proxy` to a pod or Service reaches, and what is known of them.

use std::net::IpAddr;

use effects::{Effect, Networks, Unknown};
use serde_json::Value;

use super::unseen::Previewer;
use crate::pod;

/// Each way to find an API server, as its own reconciler names them.
const API_SERVER_SLICE: &str =
    "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes";
const API_SERVER_SERVICE: &str = "/api/v1/namespaces/default/services/kubernetes";

/// The name in `[scheme:]name[:port]`, as the API server splits it (k8s.io/apimachinery,
/// pkg/util/net `SplitSchemeNamePort`); `None` where it would refuse, or where the name is none.
pub(super) fn name_of(id: &str) -> Option<&str> {
    let parts: Vec<&str> = id.split(':').collect();
    let name = match parts.as_slice() {
        [name] | [name, _] | ["" | "http" | "https", name, _] => name,
        _ => return None,
    };
    let is_inner =
        |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit() || matches!(it, b'-' | b'.');
    let is_name = !name.is_empty() && name.bytes().all(is_inner) && !name.contains("..");
    is_name.then_some(*name)
}

impl Previewer<'_> {
    /// What the proxy to a live pod does beyond reaching that pod.
    pub(super) async fn relayed_by_pod(&self, pod: &Value) -> Vec<Effect> {
        let mut networks = self.networks().await;
        if pod::has_ended(pod) {
            // Its address may be another pod's by now.
            networks.pods.clear();
        }
        let addresses = effects::pod_addresses(pod);
        effects::of_proxied(self.write.attributes(), &networks, addresses)
    }

    /// As [`Previewer::relayed_by_pod`], of every end that a Service has. The API server takes one of
    /// them at random.
    pub(super) async fn relayed_by_service(&self, name: &str) -> Vec<Effect> {
        let attributes = self.write.attributes();
        let namespace = &attributes.namespace;
        let collection = format!("/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices");
        let query = format!("labelSelector=kubernetes.io%2Fservice-name%3D{name}");
        let Some(slices) = self.view.all(self.write, "endpointslices", &collection, &query).await
        else {
            return vec![effects::unknown(attributes, Unknown::NotListed)];
        };
        let networks = self.networks().await;
        effects::of_proxied(attributes, &networks, slices.iter().flat_map(slice_addresses))
    }

    /// What can be read of the cluster's networks. What cannot is no network of pods.
    async fn networks(&self) -> Networks {
        let mut networks = Networks { pods: self.pod_networks.to_vec(), ..Networks::default() };
        let (nodes, slice, service) = tokio::join!(
            self.view.all(self.write, "nodes", "/api/v1/nodes", ""),
            self.read_of_cluster("endpointslices", API_SERVER_SLICE),
            self.read_of_cluster("services", API_SERVER_SERVICE),
        );
        // Without the nodes nobody can tell theirs from those of pods.
        let Some(nodes) = nodes else { return Networks::default() };
        nodes.iter().for_each(|node| networks.add_node(node));
        let of_slice = slice.iter().flat_map(slice_addresses);
        let of_service = service.iter().flat_map(|it| texts(it, "/spec/clusterIPs"));
        let addresses = of_slice.chain(of_service).filter_map(|it| it.parse::<IpAddr>().ok());
        networks.api_servers.extend(addresses);
        networks
    }

    async fn read_of_cluster(&self, resource: &str, target: &str) -> Option<Value> {
        let probe = upstream::Probe::get(target);
        self.view.read_for_preview(self.write, resource, probe, target).await
    }
}

fn slice_addresses(slice: &Value) -> impl Iterator<Item = &str> {
    let endpoints = slice.get("endpoints").and_then(Value::as_array);
    endpoints.into_iter().flatten().flat_map(|it| texts(it, "/addresses"))
}

fn texts<'a>(object: &'a Value, path: &str) -> impl Iterator<Item = &'a str> {
    let list = object.pointer(path).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_name_as_the_api_server_does() {
        let table = [
            ("web", Some("web")),
            ("web:8080", Some("web")),
            ("web:", Some("web")),
            ("https:web:8080", Some("web")),
            (":web:8080", Some("web")),
            ("https:web:", Some("web")),
            ("ftp:web:80", None),
            ("a:b:c:d", None),
            ("", None),
            (":80", None),
            ("web?x=y", None),
            ("..", None),
            ("Web", None),
        ];
        for (id, want) in table {
            assert_eq!(name_of(id), want, "{id}");
        }
    }
}
