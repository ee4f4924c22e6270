//! What an object takes from outside its namespace (DEFAULTS Q11): the node it runs on, another's
//! volume or host name, a service account and its rights, priority over other pods. A namespace
//! declared non-production says nothing about those.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{about::Power, diff::is_token_volume, routing, template, volumes};

/// What the kubelet does for a container.
const HANDLERS: [&str; 5] =
    ["livenessProbe", "readinessProbe", "startupProbe", "lifecycle/postStart", "lifecycle/preStop"];

/// Capabilities that give a container nothing outside its pod: those that the baseline Pod Security Standard
/// lets it add, which a plain pod has from its runtime, and the tracing of its own pod's processes, which
/// `kubectl debug` asks for. In a pod that shares its node's processes, that is a power of its own.
const OWN_CAPABILITIES: [&str; 14] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
    "SYS_PTRACE",
];

/// Before the name of a container: its AppArmor profile, as an annotation of the pod.
const APPARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";

/// Types of SELinux that the baseline lets a container ask for.
const SELINUX_TYPES: [&str; 4] =
    ["container_t", "container_init_t", "container_kvm_t", "container_engine_t"];

/// Kernel parameters that the baseline lets a pod set.
const SAFE_SYSCTLS: [&str; 10] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_syncookies",
];

/// The powers that an object takes. The empty set: none that is known. The
/// service account of its pods is [`account`]'s.
pub(crate) fn of(resource: &str, namespace: &str, object: &Value) -> BTreeSet<Power> {
    let mut powers = of_code(resource, object);
    if let Some(pod) = template::pod_spec(resource, object) {
        place_powers(pod, &mut powers);
        pods_beside(pod, namespace, &mut powers);
    }
    routing::of_fields(resource, object, &mut powers);
    match resource {
        "persistentvolumeclaims" => volumes::of_made_claim(object, &mut powers),
        "statefulsets" => volumes::of_claim_templates(object, &mut powers),
        "endpointslices" if namespace == "default" => {
            let label = "/metadata/labels/kubernetes.io~1service-name";
            if text(object, label) == Some("kubernetes") {
                powers.insert(Power::ApiServerAddress);
            }
        }
        _ => {}
    }
    powers
}

/// Those that code in its pods has: whoever changes what runs takes them, also where they were
/// there before.
pub(crate) fn of_code(resource: &str, object: &Value) -> BTreeSet<Power> {
    let mut powers = BTreeSet::new();
    if let Some(pod) = template::pod_spec(resource, object) {
        of_pod_code(pod, &mut powers);
    }
    let annotations = template::of_pods(resource, object).and_then(|it| it.get("annotations"));
    let annotations = annotations.and_then(Value::as_object).into_iter().flatten();
    for (key, value) in annotations {
        if key.starts_with(APPARMOR) && value == "unconfined" {
            powers.insert(Power::Unconfined("AppArmor".to_owned()));
        }
    }
    powers
}

/// As [`of_code`], of a pod's own spec.
fn of_pod_code(pod: &Value, powers: &mut BTreeSet<Power>) {
    for field in ["hostNetwork", "hostPID", "hostIPC"] {
        if pod.get(field).and_then(Value::as_bool) == Some(true) {
            powers.insert(Power::HostNamespace(field.to_owned()));
        }
    }
    if let Some(account) = given_token(pod) {
        powers.insert(Power::Token(account.to_owned()));
    }
    volumes::of_pod(pod, powers);
    if let Some(context) = pod.get("securityContext") {
        context_powers(context, powers);
    }
    for list in ["/containers", "/initContainers", "/ephemeralContainers"] {
        for container in items(pod, list) {
            container_powers(container, powers);
        }
    }
}

/// Those of an object within another, of which nobody knows whether it is a pod's spec, a container, a
/// security context or a volume: it is each of them, as far as it has their fields.
pub(crate) fn of_inner(object: &Value, namespace: &str, powers: &mut BTreeSet<Power>) {
    of_pod_code(object, powers);
    place_powers(object, powers);
    pods_beside(object, namespace, powers);
    container_powers(object, powers);
    context_powers(object, powers);
}

/// Where and before whom its pods run.
fn place_powers(pod: &Value, powers: &mut BTreeSet<Power>) {
    if let Some(node) = text(pod, "/nodeName") {
        powers.insert(Power::Node(node.to_owned()));
    }
    let selector = pod.get("nodeSelector").and_then(Value::as_object);
    for (key, value) in selector.into_iter().flatten() {
        if picks_nodes(key) {
            let value = value.as_str().unwrap_or_default();
            powers.insert(Power::NodeLabel(format!("{key}={value}")));
        }
    }
    let affinity = pod.pointer("/affinity/nodeAffinity").map(Value::to_string);
    if affinity.is_some_and(|it| {
        it.contains("metadata.name")
            || it.contains("kubernetes.io/hostname")
            || it.contains("node-role.kubernetes.io/")
    }) {
        powers.insert(Power::NodeAffinity);
    }
    let tolerated = items(pod, "/tolerations").iter().filter_map(tolerated);
    powers.extend(tolerated.map(Power::Toleration));
    if let Some(class) = text(pod, "/priorityClassName") {
        powers.insert(Power::Priority(class.to_owned()));
    }
}

/// Pods of other namespaces that its pods want to be near, or away from: the scheduler keeps those away
/// from them, too (k8s.io/kubernetes, pkg/scheduler/framework/plugins/interpodaffinity).
fn pods_beside(pod: &Value, own: &str, powers: &mut BTreeSet<Power>) {
    let preferred = "preferredDuringSchedulingIgnoredDuringExecution";
    let required = "requiredDuringSchedulingIgnoredDuringExecution";
    for kind in ["podAffinity", "podAntiAffinity"] {
        let direct = items(pod, &format!("/affinity/{kind}/{required}")).iter();
        let weighed = items(pod, &format!("/affinity/{kind}/{preferred}")).iter();
        let weighed = weighed.filter_map(|it| it.get("podAffinityTerm"));
        for term in direct.chain(weighed) {
            let named = items(term, "/namespaces").iter().filter_map(Value::as_str);
            powers
                .extend(named.filter(|it| *it != own).map(|it| Power::PodAffinity(it.to_owned())));
            if term.get("namespaceSelector").is_some_and(|it| !it.is_null()) {
                powers.insert(Power::PodAffinity("chosen namespaces".to_owned()));
            }
        }
    }
}

/// The taints that a toleration takes a pod past, where it is all of them, or those of the control plane.
/// Others by name are how a team comes to its own nodes.
fn tolerated(toleration: &Value) -> Option<String> {
    match text(toleration, "/key") {
        None => Some("any taint".to_owned()),
        Some(key) => key.starts_with("node-role.kubernetes.io/").then(|| key.to_owned()),
    }
}

/// Labels by which a pod picks single nodes, or those of the control plane.
fn picks_nodes(key: &str) -> bool {
    key == "kubernetes.io/hostname" || key.starts_with("node-role.kubernetes.io/")
}

/// The service account whose rights code in its pods has; `None` where it has no pods, or they get
/// no token.
pub(crate) fn account<'a>(resource: &str, object: &'a Value) -> Option<&'a str> {
    let pod = template::pod_spec(resource, object)?;
    let mounted = pod.get("automountServiceAccountToken").and_then(Value::as_bool) != Some(false);
    mounted.then(|| account_name(pod))
}

/// Whom a pod runs as; one that names nobody runs as `default`.
fn account_name(pod: &Value) -> &str {
    text(pod, "/serviceAccountName").or_else(|| text(pod, "/serviceAccount")).unwrap_or("default")
}

/// The service account of which a pod is given a token by a volume of its own: one that is not the
/// admission plugin's, for whatever audience and time it likes.
fn given_token(pod: &Value) -> Option<&str> {
    let own = |volume: &&Value| !text(volume, "/name").is_some_and(is_token_volume);
    let given = items(pod, "/volumes")
        .iter()
        .filter(own)
        .flat_map(|volume| items(volume, "/projected/sources"))
        .any(|source| source.get("serviceAccountToken").is_some());
    given.then(|| account_name(pod))
}

fn container_powers(container: &Value, powers: &mut BTreeSet<Power>) {
    if let Some(context) = container.get("securityContext") {
        context_powers(context, powers);
    }
    // The kubelet connects, from its node and past network policies; without a host, to the pod itself.
    for action in HANDLERS {
        for host in ["httpGet/host", "tcpSocket/host"] {
            if let Some(host) = text(container, &format!("/{action}/{host}")) {
                powers.insert(Power::KubeletConnection(host.to_owned()));
            }
        }
    }
    for port in items(container, "/ports") {
        if let Some(port) = port.get("hostPort").and_then(Value::as_i64).filter(|port| *port > 0) {
            powers.insert(Power::HostPort(port));
        }
    }
}

fn context_powers(context: &Value, powers: &mut BTreeSet<Power>) {
    let is = |path| context.pointer(path).and_then(Value::as_bool) == Some(true);
    if is("/privileged") || is("/windowsOptions/hostProcess") {
        powers.insert(Power::Privileged);
    }
    for capability in items(context, "/capabilities/add") {
        if let Some(capability) = capability.as_str()
            && !is_own_capability(capability)
        {
            powers.insert(Power::Capability(capability.to_owned()));
        }
    }
    confinement_powers(context, powers);
    if text(context, "/procMount").is_some_and(|it| it != "Default") {
        powers.insert(Power::ProcMount);
    }
}

/// Whether a capability gives a container nothing outside its pod, with or without its prefix.
pub(crate) fn is_own_capability(name: &str) -> bool {
    OWN_CAPABILITIES.contains(&name.strip_prefix("CAP_").unwrap_or(name))
}

/// What takes from a container the confinement that every pod has (the baseline Pod Security Standard:
/// <https://kubernetes.io/docs/concepts/security/pod-security-standards/>).
fn confinement_powers(context: &Value, powers: &mut BTreeSet<Power>) {
    let unconfined = |field: &str| text(context, &format!("/{field}/type")) == Some("Unconfined");
    let selinux = |field: &str| text(context, &format!("/seLinuxOptions/{field}"));
    let is_other_type = selinux("type").is_some_and(|it| !SELINUX_TYPES.contains(&it));
    let is_freed = [
        ("seccomp", unconfined("seccompProfile")),
        ("AppArmor", unconfined("appArmorProfile")),
        ("SELinux", is_other_type || selinux("user").is_some() || selinux("role").is_some()),
    ];
    let freed = is_freed.into_iter().filter(|(_, is_freed)| *is_freed);
    powers.extend(freed.map(|(what, _)| Power::Unconfined(what.to_owned())));
    for sysctl in items(context, "/sysctls") {
        if let Some(name) = text(sysctl, "/name").filter(|it| !is_safe_sysctl(it)) {
            powers.insert(Power::Sysctl(name.to_owned()));
        }
    }
}

/// Whether a kernel parameter is the pod's own and can hurt nobody else (as the baseline lists them; a
/// `/` stands for a `.`).
fn is_safe_sysctl(name: &str) -> bool {
    SAFE_SYSCTLS.contains(&name.replace('/', ".").as_str())
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
    use crate::describe;

    #[test]
    fn knows_whom_pods_run_as() {
        let table = [
            ("pods", json!({"spec": {}}), Some("default")),
            ("pods", json!({"spec": {"serviceAccountName": "sa1"}}), Some("sa1")),
            (
                "pods",
                json!({"spec": {"serviceAccountName": "sa1", "automountServiceAccountToken": false}}),
                None,
            ),
            (
                "deployments",
                json!({"spec": {"template": {"spec": {"serviceAccount": "sa1"}}}}),
                Some("sa1"),
            ),
            (
                "controllerrevisions",
                json!({"data": {"spec": {"template": {"spec": {"serviceAccountName": "sa1"}}}}}),
                Some("sa1"),
            ),
            ("controllerrevisions", json!({"data": {"spec": {"selector": {}}}}), None),
            ("configmaps", json!({"data": {}}), None),
        ];
        for (resource, object, want) in table {
            assert_eq!(account(resource, &object), want, "{resource} {object}");
        }
    }

    #[test]
    fn names_what_comes_from_outside() {
        let pod = |spec: Value| ("pods", json!({ "spec": spec }));
        let deployment =
            |spec: Value| ("deployments", json!({ "spec": { "template": { "spec": spec } } }));
        let table: [((&str, Value), &str); 18] = [
            (pod(json!({"containers": [{"name": "c", "image": "x"}]})), ""),
            (pod(json!({"serviceAccountName": "sa1"})), ""),
            (
                pod(
                    json!({"containers": [{"livenessProbe": {"httpGet": {"path": "/", "port": 80}}}]}),
                ),
                "",
            ),
            (
                deployment(json!({"containers": [{
                    "livenessProbe": {"tcpSocket": {"host": "db.prod", "port": 5432}},
                    "lifecycle": {"postStart": {"httpGet": {"host": "169.254.169.254", "path": "/"}}},
                }]})),
                "connections of its node's kubelet to 169.254.169.254, \
                 connections of its node's kubelet to db.prod",
            ),
            (
                pod(json!({"serviceAccountName": "sa1", "volumes": [
                    {"name": "kube-api-access-x7k2p", "projected": {"sources": [{"serviceAccountToken": {}}]}},
                    {"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}},
                ]})),
                "a token of service account sa1",
            ),
            (deployment(json!({"hostNetwork": true})), "hostNetwork of its node"),
            (deployment(json!({"nodeName": "n1"})), "node n1, past the scheduler"),
            (
                deployment(
                    json!({"nodeSelector": {"kubernetes.io/hostname": "n1", "disk": "ssd"}}),
                ),
                "nodes with kubernetes.io/hostname=n1",
            ),
            (
                deployment(json!({"volumes": [{"name": "h", "hostPath": {"path": "/"}}]})),
                "the path / of its node",
            ),
            (
                pod(json!({"initContainers": [{"securityContext": {"privileged": true}}]})),
                "its node, as a privileged container",
            ),
            (
                pod(json!({"securityContext": {
                    "seccompProfile": {"type": "RuntimeDefault"},
                    "seLinuxOptions": {"level": "s0:c1", "type": "container_t"},
                    "sysctls": [{"name": "net/ipv4/tcp_syncookies", "value": "1"}],
                }})),
                "",
            ),
            (
                deployment(json!({
                    "securityContext": {
                        "seccompProfile": {"type": "Unconfined"},
                        "sysctls": [{"name": "kernel.msgmax", "value": "1"}],
                        "windowsOptions": {"hostProcess": true},
                    },
                    "containers": [{"securityContext": {
                        "appArmorProfile": {"type": "Unconfined"}, "seLinuxOptions": {"type": "spc_t"},
                    }}],
                })),
                "its node, as a privileged container, away its confinement by AppArmor, \
                 away its confinement by SELinux, away its confinement by seccomp, \
                 the kernel parameter kernel.msgmax",
            ),
            (
                (
                    "persistentvolumeclaims",
                    json!({"spec": {"volumeName": "vol1", "storageClassName": "fast"}}),
                ),
                "the volume vol1",
            ),
            (
                deployment(json!({"affinity": {"podAntiAffinity": {
                    "requiredDuringSchedulingIgnoredDuringExecution":
                        [{"topologyKey": "zone", "namespaces": ["dev", "prod"]}],
                }}})),
                "a place by where pods of prod are, or where they then cannot be",
            ),
            (
                deployment(json!({"tolerations": [
                    {"key": "node.kubernetes.io/not-ready", "operator": "Exists"},
                    {"key": "gpu", "operator": "Exists"},
                ]})),
                "",
            ),
            (
                deployment(json!({"tolerations": [
                    {"operator": "Exists", "effect": "NoSchedule"},
                    {"key": "node-role.kubernetes.io/control-plane"},
                ]})),
                "nodes that are kept for others, by tolerating any taint, \
                 nodes that are kept for others, by tolerating node-role.kubernetes.io/control-plane",
            ),
            (
                ("services", json!({"spec": {"externalIPs": ["10.0.0.53"]}})),
                "traffic to the address 10.0.0.53",
            ),
            (
                ("ingresses", json!({"spec": {"rules": [{"host": "shop.example.com"}]}})),
                "the host name shop.example.com",
            ),
        ];
        for ((resource, object), want) in table {
            let powers = of(resource, "dev", &object).into_iter();
            let powers: Vec<String> = powers.map(|power| describe::power(&power)).collect();
            assert_eq!(powers.join(", "), want, "{resource} {object}");
        }
    }
}
