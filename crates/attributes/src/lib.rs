//! What is asked: method, request target and headers -> request attributes.
//!
//! The API server authorises its own reading of the URL; a request read otherwise here walks past
//! every policy. [`read()`] follows `RequestInfoFactory` (k8s.io/apiserver, pkg/endpoints/request),
//! and `tests/conformance` compares the two. Pure; the body is never read.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

mod attributes;
mod error;
pub mod headers;
mod read;
mod selector;
mod user;

pub use attributes::{Attributes, Query};
pub use error::AttributesError;
pub use read::read;
pub use user::{ANONYMOUS, AuditId, User};

/// Where an agent reads its own rules, and below it its holds. The API server has nothing there.
pub const RULES_PATH: &str = "/.well-known/agent-shield";

#[cfg(test)]
mod tests {
    use http::{HeaderMap, Method};
    use proptest::prelude::*;

    use super::*;

    fn attributes_of(method: &str, target: &str) -> String {
        let method = Method::from_bytes(method.as_bytes()).unwrap_or_default();
        match read(&method, target, &HeaderMap::new()) {
            Ok(attributes) => attributes.to_string(),
            Err(error) => format!("refused: {error}"),
        }
    }

    #[test]
    fn reads_targets_as_the_api_server_does() {
        let table = [
            ("GET", "/api/v1/pods?watch=1", "watch pods"),
            ("GET", "/api/v1/pods?watch=false", "list pods"),
            ("GET", "/api/v1/watch/namespaces/prod/pods", "watch pods prod"),
            ("DELETE", "/api/v1/watch/namespaces/prod/pods/x", "watch pods prod x"),
            ("DELETE", "/api/v1/namespaces/prod", "delete namespaces prod prod"),
            ("DELETE", "/api/v1/namespaces/prod/", "delete namespaces prod prod"),
            ("PUT", "/api/v1/namespaces/prod/finalize", "update namespaces/finalize prod prod"),
            ("DELETE", "/api/v1/namespaces/prod/pods", "deletecollection pods prod"),
            (
                "DELETE",
                "/apis/apps/v1/namespaces/p/deployments/",
                "deletecollection deployments apps p",
            ),
            ("POST", "/api/v1/namespaces/prod/pods/db/eviction", "create pods/eviction prod db"),
            ("GET", "/api/v1/namespaces/d/pods/p/exec?command=ls", "get pods/exec d p"),
            ("GET", "/api/v1/proxy/namespaces/d/pods/p", "proxy pods d p"),
            ("GET", "/api/v1/nodes/n1/proxy/run", "get nodes/proxy n1"),
            ("GET", "/api/v1/pods?fieldSelector=metadata.name%3Dx", "list pods x"),
            ("GET", "/apis/apps/v1", "get /apis/apps/v1"),
            ("GET", "/version", "get /version"),
            ("GET", "/", "get /"),
            ("PUT", "/debug/flags/v", "put /debug/flags/v"),
            (
                "GET",
                "/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Anode",
                "get clusterroles rbac.authorization.k8s.io system:node",
            ),
        ];
        for (method, target, want) in table {
            assert_eq!(attributes_of(method, target), want, "{method} {target}");
        }
    }

    #[test]
    fn refuses_what_can_be_read_in_two_ways() {
        let table = [
            ("DELETE", "/api/v1/namespaces%2Fprod/pods/db", "%2F"),
            ("DELETE", "/api/v1/namespaces/%70rod/pods/db", "%70"),
            ("DELETE", "/api/v1/namespaces/prod/pods/db%00", "%00"),
            ("DELETE", "/api/v1/namespaces/prod/pods/db%25", "%25"),
            ("DELETE", "/api/v1/namespaces/prod/pods/db%zz", "two hexadecimal"),
            ("DELETE", "//api/v1/namespaces/prod", "//"),
            ("DELETE", "/api/v1/namespaces/prod//", "//"),
            ("DELETE", "/api/v1/namespaces/dev/../prod", "`..`"),
            ("DELETE", "https://h/api/v1/namespaces/prod", "begins with"),
            ("DELETE", "/api/v1/pods/x?dryRun=All;x=1", "`;`"),
            ("DELETE", "/api/v1/pods/x?dryRun=All%zz", "two hexadecimal"),
            ("DELETE", "/api/v1/pods/x?dryRun=all", "must be `All`"),
            ("DELETE", "/api/v1/pods/x?dryRun=All&dryRun=", "twice"),
            ("DELETE", "/api/v1/pods?labelSelector=a&labelSelector=b", "twice"),
            ("delete", "/api/v1/pods/x", "none of GET"),
            ("TRACE", "/api/v1/pods/x", "none of GET"),
            ("GET", "/api/v1/watch", "no resource"),
            ("GET", "/api/v1/p\u{e9}", "0xc3"),
        ];
        for (method, target, want) in table {
            let got = attributes_of(method, target);
            assert!(got.starts_with("refused: ") && got.contains(want), "{method} {target}: {got}");
        }
    }

    #[test]
    fn takes_nothing_for_a_read_that_may_change_something() {
        let table = [
            ("GET", "/api/v1/pods", true),
            ("HEAD", "/version", true),
            ("OPTIONS", "/version", true),
            ("OPTIONS", "/api/v1/nodes/n/proxy", false),
            ("OPTIONS", "/api/v1/pods", false),
            ("GET", "/api/v1/namespaces/d/pods/p/exec", false),
            ("GET", "/api/v1/namespaces/d/pods/p/log", true),
            ("GET", "/api/v1/namespaces/d/services/s/proxy/x", false),
            ("GET", "/api/v1/proxy/namespaces/d/pods/p", false),
            ("DELETE", "/api/v1/watch/pods", false),
            ("POST", "/version", false),
        ];
        for (method, target, want) in table {
            let method = Method::from_bytes(method.as_bytes()).unwrap_or_default();
            let attributes = read(&method, target, &HeaderMap::new());
            assert_eq!(attributes.map(|it| it.is_read()), Ok(want), "{method} {target}");
        }
    }

    #[test]
    fn an_upgrade_is_a_connection_unless_the_client_only_listens() {
        let asks = |upgrade: &'static str| {
            HeaderMap::from_iter([(http::header::UPGRADE, http::HeaderValue::from_static(upgrade))])
        };
        // Method, target, upgrade, whether it is a read, and whether it is a connection.
        let table = [
            ("GET", "/api/v1/pods?watch=1", "websocket", (true, false)),
            ("GET", "/api/v1/watch/pods", "WebSocket", (true, false)),
            ("GET", "/apis/example.com/v1/things?watch=true", "websocket", (true, false)),
            ("GET", "/api/v1/namespaces/d/pods/p/log", "websocket", (true, false)),
            ("GET", "/api/v1/pods?watch=1", "SPDY/3.1", (false, true)),
            ("GET", "/api/v1/pods?watch=1", "h2c", (true, false)),
            ("GET", "/api/v1/pods", "websocket", (false, true)),
            ("GET", "/apis/example.com/v1/namespaces/d/pods/p/log", "websocket", (false, true)),
            (
                "GET",
                "/apis/example.com/v1/namespaces/d/machines/m/console",
                "websocket",
                (false, true),
            ),
            ("GET", "/api/v1/namespaces/d/pods/p/exec", "websocket", (false, true)),
            ("GET", "/version", "websocket", (true, false)),
            // The API server ignores it there.
            ("DELETE", "/api/v1/namespaces/d/pods/p", "websocket", (false, false)),
        ];
        for (method, target, upgrade, want) in table {
            let method = Method::from_bytes(method.as_bytes()).unwrap_or_default();
            let attributes = read(&method, target, &asks(upgrade));
            let got = attributes.map(|it| (it.is_read(), it.is_connect()));
            assert_eq!(got, Ok(want), "{method} {target} {upgrade}");
        }
    }

    #[test]
    fn of_a_kubelet_only_plain_pages_are_read() {
        let read_with = |method: &str, target: &str, headers: &HeaderMap| {
            let method = Method::from_bytes(method.as_bytes()).unwrap_or_default();
            read(&method, target, headers).map(|it| it.is_read() && !it.is_connect())
        };
        let node = "/api/v1/nodes/n1.example.com/proxy";
        for page in [
            "stats/summary",
            "metrics",
            "metrics/",
            "metrics/cadvisor",
            "metrics/resource/",
            "metrics/probes?x=%2F",
            "healthz",
            "configz",
            "pods",
            "pods/",
            "runningpods/",
            "containerLogs/shop/web/c?follow=true&tailLines=10",
        ] {
            let got = read_with("GET", &format!("{node}/{page}"), &HeaderMap::new());
            assert_eq!(got, Ok(true), "{page}");
        }
        let held = [
            ("GET", format!("{node}/run/shop/web/c")),
            ("GET", format!("{node}/exec/shop/web/c?command=id")),
            ("GET", format!("{node}/logs/")),
            ("GET", format!("{node}/logs/kube-apiserver/audit.log")),
            ("GET", format!("{node}/containerLogs/shop/web")),
            ("GET", format!("{node}/containerLogs/shop/web/c/d")),
            ("GET", format!("{node}/metrics/slis")),
            ("GET", format!("{node}/debug/pprof/heap")),
            ("GET", format!("{node}/checkpoint/shop/web/c")),
            ("GET", node.to_owned()),
            ("HEAD", format!("{node}/metrics")),
            ("POST", format!("{node}/metrics")),
            ("GET", "/api/v1/nodes/https:n1:10250/proxy/metrics".to_owned()),
            ("GET", "/api/v1/nodes/n1:10255/proxy/metrics".to_owned()),
            ("GET", "/api/v1/proxy/nodes/n1/metrics".to_owned()),
            ("GET", "/api/v1/namespaces/shop/nodes/n1/proxy/metrics".to_owned()),
            ("GET", "/apis/example.com/v1/nodes/n1/proxy/metrics".to_owned()),
        ];
        for (method, target) in &held {
            assert_eq!(
                read_with(method, target, &HeaderMap::new()),
                Ok(false),
                "{method} {target}"
            );
        }
        let upgrade = (http::header::UPGRADE, http::HeaderValue::from_static("websocket"));
        let target = format!("{node}/containerLogs/shop/web/c");
        assert_eq!(read_with("GET", &target, &HeaderMap::from_iter([upgrade])), Ok(false));
    }

    proptest! {
        #[test]
        fn never_panics_and_keeps_the_target(target in "/(api|apis)?[ -~]{0,60}") {
            if let Ok(attributes) = read(&Method::DELETE, &target, &HeaderMap::new()) {
                prop_assert_eq!(attributes.target, target);
                prop_assert!(!attributes.path.contains("//"));
            }
        }
    }
}
