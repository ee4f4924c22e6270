//! Names and addresses that an Ingress or a Service takes for itself. They are one space for the whole
//! cluster, and often for the world: whoever takes one may take the traffic of production.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{
    about::Power,
    diff::segments,
    effect::Change,
    keys::{Keys, Map},
};

/// Annotations with a domain that take no name, address, code or object of others: exact keys, never a
/// prefix. Any other is an order to some controller that routes for all namespaces.
const INERT: &[&str] = &[
    "acme.cert-manager.io/http01-edit-in-place",
    "alb.ingress.kubernetes.io/backend-protocol",
    "alb.ingress.kubernetes.io/healthcheck-interval-seconds",
    "alb.ingress.kubernetes.io/healthcheck-path",
    "alb.ingress.kubernetes.io/healthcheck-port",
    "alb.ingress.kubernetes.io/healthcheck-protocol",
    "alb.ingress.kubernetes.io/healthcheck-timeout-seconds",
    "alb.ingress.kubernetes.io/healthy-threshold-count",
    "alb.ingress.kubernetes.io/ip-address-type",
    "alb.ingress.kubernetes.io/listen-ports",
    "alb.ingress.kubernetes.io/scheme",
    "alb.ingress.kubernetes.io/ssl-redirect",
    "alb.ingress.kubernetes.io/success-codes",
    "alb.ingress.kubernetes.io/target-type",
    "alb.ingress.kubernetes.io/unhealthy-threshold-count",
    "argocd.argoproj.io/sync-wave",
    "argocd.argoproj.io/tracking-id",
    "cert-manager.io/cluster-issuer",
    "cert-manager.io/duration",
    "cert-manager.io/issuer",
    "cert-manager.io/issuer-kind",
    "cert-manager.io/renew-before",
    "cloud.google.com/app-protocols",
    "cloud.google.com/backend-config",
    "cloud.google.com/load-balancer-type",
    "cloud.google.com/neg",
    "cloud.google.com/neg-status",
    "external-dns.alpha.kubernetes.io/ttl",
    "field.cattle.io/description",
    "field.cattle.io/publicEndpoints",
    "helm.sh/resource-policy",
    "kubectl.kubernetes.io/last-applied-configuration",
    "kubectl.kubernetes.io/restartedAt",
    "kubernetes.io/change-cause",
    "kubernetes.io/description",
    "kubernetes.io/ingress.allow-http",
    "kubernetes.io/ingress.class",
    "kubernetes.io/tls-acme",
    "meta.helm.sh/release-name",
    "meta.helm.sh/release-namespace",
    "networking.gke.io/internal-load-balancer-allow-global-access",
    "networking.gke.io/load-balancer-type",
    "nginx.ingress.kubernetes.io/affinity",
    "nginx.ingress.kubernetes.io/affinity-mode",
    "nginx.ingress.kubernetes.io/app-root",
    "nginx.ingress.kubernetes.io/backend-protocol",
    "nginx.ingress.kubernetes.io/client-body-buffer-size",
    "nginx.ingress.kubernetes.io/cors-allow-credentials",
    "nginx.ingress.kubernetes.io/cors-allow-headers",
    "nginx.ingress.kubernetes.io/cors-allow-methods",
    "nginx.ingress.kubernetes.io/cors-allow-origin",
    "nginx.ingress.kubernetes.io/cors-expose-headers",
    "nginx.ingress.kubernetes.io/cors-max-age",
    "nginx.ingress.kubernetes.io/denylist-source-range",
    "nginx.ingress.kubernetes.io/enable-access-log",
    "nginx.ingress.kubernetes.io/enable-cors",
    "nginx.ingress.kubernetes.io/force-ssl-redirect",
    "nginx.ingress.kubernetes.io/limit-burst-multiplier",
    "nginx.ingress.kubernetes.io/limit-connections",
    "nginx.ingress.kubernetes.io/limit-rpm",
    "nginx.ingress.kubernetes.io/limit-rps",
    "nginx.ingress.kubernetes.io/load-balance",
    "nginx.ingress.kubernetes.io/proxy-body-size",
    "nginx.ingress.kubernetes.io/proxy-buffer-size",
    "nginx.ingress.kubernetes.io/proxy-buffering",
    "nginx.ingress.kubernetes.io/proxy-buffers-number",
    "nginx.ingress.kubernetes.io/proxy-connect-timeout",
    "nginx.ingress.kubernetes.io/proxy-http-version",
    "nginx.ingress.kubernetes.io/proxy-max-temp-file-size",
    "nginx.ingress.kubernetes.io/proxy-next-upstream",
    "nginx.ingress.kubernetes.io/proxy-next-upstream-tries",
    "nginx.ingress.kubernetes.io/proxy-read-timeout",
    "nginx.ingress.kubernetes.io/proxy-request-buffering",
    "nginx.ingress.kubernetes.io/proxy-send-timeout",
    "nginx.ingress.kubernetes.io/rewrite-target",
    "nginx.ingress.kubernetes.io/service-upstream",
    "nginx.ingress.kubernetes.io/session-cookie-expires",
    "nginx.ingress.kubernetes.io/session-cookie-max-age",
    "nginx.ingress.kubernetes.io/session-cookie-name",
    "nginx.ingress.kubernetes.io/session-cookie-path",
    "nginx.ingress.kubernetes.io/ssl-redirect",
    "nginx.ingress.kubernetes.io/upstream-hash-by",
    "nginx.ingress.kubernetes.io/use-regex",
    "nginx.ingress.kubernetes.io/whitelist-source-range",
    "prometheus.io/path",
    "prometheus.io/port",
    "prometheus.io/probe",
    "prometheus.io/scheme",
    "prometheus.io/scrape",
    "service.alpha.kubernetes.io/tolerate-unready-endpoints",
    "service.beta.kubernetes.io/aws-load-balancer-backend-protocol",
    "service.beta.kubernetes.io/aws-load-balancer-connection-idle-timeout",
    "service.beta.kubernetes.io/aws-load-balancer-cross-zone-load-balancing-enabled",
    "service.beta.kubernetes.io/aws-load-balancer-healthcheck-path",
    "service.beta.kubernetes.io/aws-load-balancer-healthcheck-port",
    "service.beta.kubernetes.io/aws-load-balancer-healthcheck-protocol",
    "service.beta.kubernetes.io/aws-load-balancer-internal",
    "service.beta.kubernetes.io/aws-load-balancer-nlb-target-type",
    "service.beta.kubernetes.io/aws-load-balancer-proxy-protocol",
    "service.beta.kubernetes.io/aws-load-balancer-scheme",
    "service.beta.kubernetes.io/aws-load-balancer-type",
    "service.beta.kubernetes.io/azure-load-balancer-health-probe-request-path",
    "service.beta.kubernetes.io/azure-load-balancer-internal",
    "service.kubernetes.io/topology-mode",
    "traefik.ingress.kubernetes.io/router.entrypoints",
    "traefik.ingress.kubernetes.io/router.tls",
];

/// Names and addresses in the fields of an Ingress or a Service.
pub(crate) fn of_fields(resource: &str, object: &Value, powers: &mut BTreeSet<Power>) {
    match resource {
        "ingresses" => of_ingress(object, powers),
        "services" => of_service(object, powers),
        _ => {}
    }
}

fn of_ingress(object: &Value, powers: &mut BTreeSet<Power>) {
    let rules = items(object, "/spec/rules");
    let hosts = rules.iter().map(|it| text(it, "/host"));
    let tls = items(object, "/spec/tls").iter().flat_map(|it| items(it, "/hosts"));
    let tls = tls.filter_map(Value::as_str).filter(|it| !it.is_empty()).map(Some);
    let default = object.pointer("/spec/defaultBackend").filter(|it| !it.is_null()).map(|_| None);
    powers.extend(hosts.chain(tls).chain(default).map(|host| match host {
        Some(host) => Power::HostName(host.to_owned()),
        None => Power::AnyHostName,
    }));
}

fn of_service(object: &Value, powers: &mut BTreeSet<Power>) {
    for path in ["/spec/externalIPs", "/status/loadBalancer/ingress"] {
        for address in items(object, path) {
            let address = address.as_str().or_else(|| text(address, "/ip"));
            powers.extend(address.map(|it| Power::Address(it.to_owned())));
        }
    }
    powers.extend(text(object, "/spec/loadBalancerIP").map(|it| Power::Address(it.to_owned())));
}

/// What the annotations of a new Ingress or Service take.
pub(crate) fn of_annotations(keys: Keys<'_>, resource: &str, object: &Value) -> Vec<Power> {
    let annotations = object.pointer("/metadata/annotations").and_then(Value::as_object);
    let set = annotations.into_iter().flatten().map(|(key, _)| key.as_str());
    set.filter(|key| takes(keys, resource, key)).map(power).collect()
}

/// What annotations take that an Ingress or Service gets, or that get another value.
pub(crate) fn by_annotations(keys: Keys<'_>, resource: &str, changes: &[Change]) -> Vec<Power> {
    let set = changes.iter().filter(|it| it.new.is_some());
    let of_annotations = set.filter(|it| it.path.starts_with("/metadata/annotations/"));
    let set = of_annotations.filter_map(|it| segments(&it.path).pop());
    set.filter(|key| takes(keys, resource, key)).map(Power::Routing).collect()
}

fn takes(keys: Keys<'_>, resource: &str, key: &str) -> bool {
    matches!(resource, "ingresses" | "services")
        && keys.acts(resource, Map::Annotations, key)
        && !INERT.contains(&key)
}

fn power(key: &str) -> Power {
    Power::Routing(key.to_owned())
}

fn text<'a>(value: &'a Value, path: &str) -> Option<&'a str> {
    value.pointer(path).and_then(Value::as_str).filter(|it| !it.is_empty())
}

fn items<'a>(value: &'a Value, path: &str) -> &'a [Value] {
    value.pointer(path).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_each_way_to_take_a_name() {
        let host = |it: &str| Power::HostName(it.to_owned());
        let backend = json!({"service": {"name": "w"}});
        let table = [
            ("ingresses", json!({"rules": [{"host": "a.ex"}]}), vec![host("a.ex")]),
            ("ingresses", json!({"rules": [{"http": {}}]}), vec![Power::AnyHostName]),
            ("ingresses", json!({"defaultBackend": backend}), vec![Power::AnyHostName]),
            (
                "ingresses",
                json!({"rules": [{"host": "a.ex"}], "tls": [{"hosts": ["b.ex"]}]}),
                vec![host("a.ex"), host("b.ex")],
            ),
            (
                "services",
                json!({"loadBalancerIP": "10.0.0.5"}),
                vec![Power::Address("10.0.0.5".to_owned())],
            ),
            ("services", json!({"type": "LoadBalancer", "clusterIP": "10.0.0.5"}), vec![]),
            ("configmaps", json!({"loadBalancerIP": "10.0.0.5"}), vec![]),
        ];
        for (resource, spec, want) in table {
            let mut powers = BTreeSet::new();
            of_fields(resource, &json!({"spec": spec}), &mut powers);
            assert_eq!(powers.into_iter().collect::<Vec<_>>(), want, "{resource} {spec}");
        }
    }

    #[test]
    fn lets_pass_what_takes_nothing() {
        let own = BTreeSet::from(["example.com/team".to_owned()]);
        let keys = Keys::new(&own);
        let table = [
            ("ingresses", "nginx.ingress.kubernetes.io/server-alias", true),
            ("ingresses", "nginx.ingress.kubernetes.io/configuration-snippet", true),
            ("ingresses", "nginx.ingress.kubernetes.io/rewrite-target", false),
            ("ingresses", "nginx.ingress.kubernetes.io/rewrite-targets", true),
            ("ingresses", "external-dns.alpha.kubernetes.io/hostname", true),
            ("services", "external-dns.alpha.kubernetes.io/hostname", true),
            ("services", "metallb.io/loadBalancerIPs", true),
            ("services", "something.new/owns", true),
            ("services", "prometheus.io/scrape", false),
            ("services", "note", false),
            ("services", "a8r.io/owner", false),
            ("services", "example.com/team", false),
            ("services", "example.com/teams", true),
            ("services", "com.example.owns", true),
            ("configmaps", "something.new/owns", false),
        ];
        for (resource, key, want) in table {
            let object = json!({"metadata": {"annotations": {key: "v"}}});
            assert_eq!(of_annotations(keys, resource, &object).len(), usize::from(want), "{key}");
            let path = format!("/metadata/annotations/{}", key.replace('/', "~1"));
            let set = Change { path, old: None, new: Some(json!("v")) };
            let found = by_annotations(keys, resource, std::slice::from_ref(&set));
            assert_eq!(found.len(), usize::from(want), "{key}");
            let taken_away = Change { old: set.new.clone(), new: None, ..set };
            assert_eq!(by_annotations(keys, resource, &[taken_away]).len(), 0, "{key}");
        }
        assert!(INERT.is_sorted());
    }
}
