//! What a field of a custom resource does, by its name and value, where nobody knows its kind. Operators
//! call these things alike: what stops, deletes, restores, takes a credential or reaches another
//! namespace or cluster is held, also where the word means something harmless there.

use serde_json::Value;

use crate::{
    about::{Act, Power},
    names::{Name, is_off},
    spelled, triggers,
};

/// Parts of names, whatever stands around them.
const PARTS: [(Act, &[&str]); 7] = [
    (
        Act::Deletes,
        &[
            "delet",
            "prune",
            "pruning",
            "reclaim",
            "purge",
            "destroy",
            "destruct",
            "erase",
            "cleanup",
            "truncat",
            "evict",
            "teardown",
            "uninstall",
            "garbage",
        ],
    ),
    (
        Act::Stops,
        &["suspend", "suspens", "hibernat", "shutdown", "poweroff", "quiesce", "maintenancemode"],
    ),
    (
        Act::Restores,
        &[
            "restor",
            "recover",
            "rollback",
            "pointintime",
            "frombackup",
            "fromsnapshot",
            "backupname",
            "backupref",
            "backupsource",
            "backupid",
        ],
    ),
    (
        Act::Credentials,
        &[
            "kubeconfig",
            "impersonat",
            "credential",
            "rolearn",
            "iamrole",
            "assumerole",
            "bearertoken",
            "workloadidentity",
        ],
    ),
    (Act::Deploys, &["manifest", "kustomiz", "helmchart", "helmrelease", "repourl", "gitrepo"]),
    (Act::Rights, &["clusterrole", "rolebinding", "roleref"]),
    (Act::Elsewhere, &["apiserver", "kubeapi", "masterurl", "clusterscope", "clusterwide"]),
];

/// Whole words of names.
const WORDS: [(Act, &[&str]); 5] = [
    (Act::Deletes, &["absent", "wipe", "drain", "gc", "cordon"]),
    (
        Act::Stops,
        &[
            "stop", "stopped", "pause", "paused", "halt", "halted", "fence", "fenced", "fencing",
            "reboot",
        ],
    ),
    (Act::Restores, &["pitr", "rewind", "clone"]),
    (Act::Credentials, &["token", "tokens"]),
    (Act::Deploys, &["chart", "helm", "gitops"]),
];

/// Of what is there already, these take something away too.
const PARTS_OF_CHANGES: [(Act, &[&str]); 2] =
    [(Act::Deletes, &["retention"]), (Act::Restores, &["failover", "switchover", "promot"])];

/// Words of names that take something away where their value is true; elsewhere they are words like others.
const IF_TRUE: [&str; 6] = ["drop", "rebuild", "recreate", "reformat", "reinitialize", "reset"];

/// Names of fields whose value may name an object, and its namespace before it.
const REFERRING: [&str; 12] = [
    "claim",
    "configmap",
    "from",
    "ref",
    "reference",
    "references",
    "refs",
    "secret",
    "secrets",
    "service",
    "source",
    "target",
];

/// Values that are orders too, where they stand alone.
const ORDERS: [(Act, &[&str]); 2] = [
    (Act::Stops, &["poweredoff", "off", "down"]),
    (Act::Restores, &["failover", "switchover", "promote"]),
];

/// A value of more words is a sentence, and no order.
const ORDER_WORDS_MAX: usize = 4;

/// Names of fields whose value may be such an order.
const ORDERED_BY: [&str; 18] = [
    "action",
    "command",
    "desired",
    "do",
    "ensure",
    "mode",
    "op",
    "operation",
    "phase",
    "policy",
    "power",
    "request",
    "state",
    "status",
    "strategy",
    "target",
    "task",
    "type",
];

/// What may stand beside `cluster` in the name of a field that says which one.
const WHICH: [&str; 24] = [
    "api",
    "dest",
    "destination",
    "endpoint",
    "external",
    "hub",
    "id",
    "ids",
    "list",
    "managed",
    "member",
    "name",
    "names",
    "ref",
    "reference",
    "refs",
    "remote",
    "selector",
    "server",
    "spoke",
    "target",
    "uri",
    "url",
    "workload",
];

/// Fields of a `cluster` that say which one it is.
const OF_A_CLUSTER: [&str; 8] =
    ["name", "server", "url", "uri", "endpoint", "host", "address", "context"];

/// Lists within which a pod's own fields stand, which are judged as a pod's.
const OF_CONTAINERS: [&str; 4] = ["containers", "initContainers", "ephemeralContainers", "env"];

/// In longer lists no item is looked for.
const ITEMS_MAX: usize = 1_000;

/// Names of fields that say which code runs, or how.
const CODE: [&str; 12] = [
    "args",
    "command",
    "commands",
    "container",
    "containers",
    "entrypoint",
    "exec",
    "image",
    "images",
    "script",
    "scripts",
    "env",
];

/// Parts of values that reach an API server, or what tells a machine its credentials.
const REACHED: [&str; 5] = [
    "kubernetes.default",
    ":6443",
    "169.254.169.254",
    "metadata.google.internal",
    "/k8s/clusters/",
];

/// Fields that take a host name.
const HOSTS: [&str; 13] = [
    "dnsname",
    "dnsnames",
    "domains",
    "externalhostname",
    "fqdn",
    "fqdns",
    "hostname",
    "hostnames",
    "hosts",
    "sans",
    "vhosts",
    "virtualhost",
    "virtualhosts",
];

/// One field: where it stands, and what becomes of it.
#[derive(Clone, Copy)]
pub(crate) struct Field<'a> {
    /// The keys from the root to it, with the name or index of items.
    pub(crate) path: &'a [String],
    /// What it becomes; `None` where it goes.
    pub(crate) value: Option<&'a Value>,
    /// Whether the object is new: nothing of it is there yet that could be taken away.
    pub(crate) is_new: bool,
    /// The namespace of the object.
    pub(crate) namespace: &'a str,
}

impl Field<'_> {
    /// How it acts, if it does by its name or value.
    pub(crate) fn act(&self) -> Option<Act> {
        let keys: Vec<Name> = self.path.iter().map(|key| Name::of(key)).collect();
        self.named(&keys).or_else(|| self.elsewhere(&keys)).or_else(|| self.by_value(&keys))
    }

    /// How a label or annotation acts, by its key and value.
    pub(crate) fn act_of_key(&self) -> Option<Act> {
        if self.value.is_some() && self.path.iter().any(|key| triggers::deletes(key)) {
            return Some(Act::Deletes);
        }
        let keys: Vec<Name> = self.path.iter().map(|key| Name::of(key)).collect();
        self.named(&keys).filter(|act| matches!(act, Act::Deletes | Act::Stops | Act::Restores))
    }

    /// How it acts by the name of any key on its path: some of them anybody may choose.
    fn named(&self, keys: &[Name]) -> Option<Act> {
        let acts = keys.iter().filter_map(|key| Some((key.act(self.is_new)?, key)));
        let mut acts = acts.filter(|(act, key)| self.orders(*act, key, keys));
        acts.next().map(|(act, _)| act)
    }

    /// Whether a field below a key that is named like this does what the name says, with its value.
    fn orders(&self, act: Act, key: &Name, keys: &[Name]) -> bool {
        let Some(value) = self.value.filter(|it| !it.is_null()) else { return !self.is_new };
        let is_off = is_off(value);
        match act {
            // How many there may be, and whether there is one, are no credentials.
            Act::Credentials => !(is_off || value.is_number() || value.is_boolean()),
            Act::Deletes | Act::Stops | Act::Restores if key.is_protective() => is_off,
            // A name that is protective elsewhere on the path may turn it round, or not.
            Act::Deletes | Act::Stops | Act::Restores => {
                !is_off || keys.iter().any(Name::is_protective)
            }
            _ => !is_off,
        }
    }

    /// Whether it reaches another namespace, or names a cluster.
    fn elsewhere(&self, keys: &[Name]) -> Option<Act> {
        let value = self.value.filter(|it| !it.is_null() && !it.is_number())?;
        let text = value.as_str();
        let own = text == Some(self.namespace) || text == Some("");
        let is_empty = value.as_array().is_some_and(Vec::is_empty);
        let is_off = value.as_bool() == Some(false) || is_empty || own;
        let is_namespace = |key: &Name| key.joined.contains("namespace") || key.has_word("ns");
        if keys.iter().any(is_namespace) && !is_off {
            return Some(Act::Elsewhere);
        }
        let (last, above) = named_last(keys)?;
        let of_cluster = above.iter().any(|key| {
            key.is_cluster()
                && (key.words.len() > 1 || OF_A_CLUSTER.contains(&last.joined.as_str()))
        });
        let names_cluster = last.is_cluster() && text.is_some();
        let scope = last.joined == "scope" && text.is_some_and(|it| Name::of(it).is_cluster());
        let kind = last.joined == "kind" && !above.is_empty() && text.is_some_and(is_of_cluster);
        let names = (of_cluster || names_cluster) && !own;
        (names || scope || kind).then_some(Act::Elsewhere)
    }

    /// Whether its value is an order, an object of Kubernetes, or a way to an API server.
    fn by_value(&self, keys: &[Name]) -> Option<Act> {
        let value = self.value?;
        let named = named_last(keys).map(|(last, _)| last);
        let has = |words: &[&str]| named.is_some_and(|it| it.has_word_of(words));
        if value.as_bool() == Some(true) && has(&IF_TRUE) && !named?.is_protective() {
            return Some(Act::Deletes);
        }
        let text = value.as_str()?;
        if has(&REFERRING) && self.is_elsewhere(text) {
            return Some(Act::Elsewhere);
        }
        if REACHED.iter().any(|it| text.contains(it)) || is_api_url(text) {
            return Some(Act::Elsewhere);
        }
        if text.contains("apiVersion") && text.contains("kind") && text.contains(':') {
            return Some(Act::Deploys);
        }
        if has(&["git"]) && (text.contains("://") || text.contains("git@")) {
            return Some(Act::Deploys);
        }
        has(&ORDERED_BY).then(|| Name::of(text).order()).flatten()
    }

    /// What it takes from outside its namespace.
    pub(crate) fn powers(&self) -> Vec<Power> {
        let Some(value) = self.value else { return Vec::new() };
        let keys: Vec<Name> = self.path.iter().map(|key| Name::of(key)).collect();
        let host = value.as_str().and_then(|text| host(text, &keys));
        host.into_iter().chain(spelled::of_field(&keys, value)).collect()
    }

    /// Whether a text is `namespace/name`, of another namespace: not a version, nor a path.
    fn is_elsewhere(&self, text: &str) -> bool {
        let is_inner =
            |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit() || matches!(it, b'-' | b'.');
        let is_name = |it: &str| !it.is_empty() && it.bytes().all(is_inner);
        let is_version = |it: &str| {
            let rest = it.strip_prefix('v').unwrap_or_default();
            rest.starts_with(|it: char| it.is_ascii_digit())
        };
        text.split_once('/').is_some_and(|(namespace, name)| {
            is_name(namespace) && is_name(name) && namespace != self.namespace && !is_version(name)
        })
    }

    /// Whether it says which code runs, or how.
    pub(crate) fn is_code(&self) -> bool {
        let is = |word: &String| CODE.contains(&word.as_str());
        self.path.iter().any(|key| Name::of(key).words.iter().any(is))
    }
}

/// The host name that a field with these keys takes, if it does.
fn host(text: &str, keys: &[Name]) -> Option<Power> {
    let (last, above) = named_last(keys)?;
    let routes = |key: &Name| key.has_word_of(&["ingress", "gateway", "route", "tls"]);
    let by_place = matches!(last.joined.as_str(), "host" | "domain") && above.iter().any(routes);
    if !by_place && !HOSTS.contains(&last.joined.as_str()) {
        return None;
    }
    let is_inside = text.ends_with(".svc") || text.ends_with(".local");
    match text {
        "*" => Some(Power::AnyHostName),
        _ if text.contains('.') && !is_inside => Some(Power::HostName(text.to_owned())),
        _ => None,
    }
}

/// Whether a path of an object leads into a list of containers, or an environment, whose items are judged
/// as a pod's. An item of another list stands in the path by a name that may be any, and is no such list.
pub(crate) fn is_of_container(object: &Value, path: &[String]) -> bool {
    let mut at = object;
    for key in path {
        let next = match at {
            Value::Object(fields) => fields.get(key),
            Value::Array(items) if items.len() <= ITEMS_MAX => item(items, key),
            _ => None,
        };
        let Some(next) = next else { return false };
        if at.is_object() && next.is_array() && OF_CONTAINERS.contains(&key.as_str()) {
            return true;
        }
        at = next;
    }
    false
}

/// An item by its name, or by its index.
fn item<'a>(items: &'a [Value], key: &str) -> Option<&'a Value> {
    let is_it = |item: &&Value| item.get("name").and_then(Value::as_str) == Some(key);
    items.iter().find(is_it).or_else(|| items.get(key.parse::<usize>().ok()?))
}

/// What every object of a resource does, by its name alone: `mongodbrestores`, `backupdeletions`.
pub(crate) fn of_resource(resource: &str) -> Option<Act> {
    Name::of(resource).act(true).filter(|act| *act != Act::Elsewhere)
}

/// The last key that is no index, and those before it.
fn named_last(keys: &[Name]) -> Option<(&Name, &[Name])> {
    let is_index = |key: &Name| key.joined.bytes().all(|it| it.is_ascii_digit());
    let at = keys.iter().rposition(|key| !is_index(key))?;
    let (above, last) = keys.split_at_checked(at)?;
    Some((last.first()?, above))
}

/// Whether a kind is, by its name, one that is in no namespace.
fn is_of_cluster(kind: &str) -> bool {
    let of_cluster = |rest: &str| rest.starts_with(|it: char| it.is_ascii_uppercase());
    matches!(kind, "Namespace" | "Node" | "PersistentVolume")
        || kind.strip_prefix("Cluster").is_some_and(of_cluster)
}

/// Whether it is a URL of resources of an API server.
fn is_api_url(text: &str) -> bool {
    let path = text.split_once("://").and_then(|(_, rest)| rest.split_once('/'));
    path.is_some_and(|(_, path)| path.starts_with("api/v1") || path.starts_with("apis/"))
}

impl Name {
    fn act(&self, is_new: bool) -> Option<Act> {
        let has_part = |parts: &[&str]| parts.iter().any(|it| self.joined.contains(it));
        let has_word = |words: &[&str]| self.words.iter().any(|it| words.contains(&it.as_str()));
        let changes = PARTS_OF_CHANGES.iter().filter(|_| !is_new);
        let by_part = PARTS.iter().chain(changes).find(|(_, parts)| has_part(parts));
        by_part.or_else(|| WORDS.iter().find(|(_, words)| has_word(words))).map(|(act, _)| *act)
    }

    /// What a value orders: `Stopped`, `PointInTimeRestore`, `DeleteWithCluster`.
    fn order(&self) -> Option<Act> {
        let is_long = self.words.len() > ORDER_WORDS_MAX;
        let orders = |act: &Act| matches!(act, Act::Deletes | Act::Stops | Act::Restores);
        let exact = ORDERS.iter().find(|(_, orders)| orders.contains(&self.joined.as_str()));
        let named = self.act(true).filter(orders).or(exact.map(|(act, _)| *act));
        named.filter(|_| !self.is_protective() && !is_long)
    }

    /// Whether it says which cluster.
    fn is_cluster(&self) -> bool {
        let is_cluster = |it: &String| matches!(it.as_str(), "cluster" | "clusters");
        self.words.iter().any(is_cluster)
            && self.words.iter().all(|it| is_cluster(it) || WHICH.contains(&it.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn field<'a>(path: &'a [String], value: &'a Value, is_new: bool) -> Field<'a> {
        let value = (!value.is_null()).then_some(value);
        Field { path, value, is_new, namespace: "dev" }
    }

    fn act(path: &str, value: &Value, is_new: bool) -> Option<Act> {
        let path: Vec<String> = path.split('/').map(str::to_owned).collect();
        field(&path, value, is_new).act()
    }

    #[test]
    fn lets_ordinary_fields_be() {
        let table = [
            ("spec/size", json!(3)),
            ("spec/color", json!("blue")),
            ("spec/replicas", json!(2)),
            ("spec/storage/size", json!("10Gi")),
            ("spec/storage/storageClassName", json!("fast")),
            ("spec/version", json!("16.2")),
            ("spec/resources/limits/cpu", json!("1")),
            ("spec/image", json!("postgres:16")),
            ("spec/service/type", json!("ClusterIP")),
            ("spec/service/clusterIP", json!("None")),
            ("spec/config/maxTokens", json!(100)),
            ("spec/config/timeoutSeconds", json!(30)),
            ("spec/schedule", json!("0 3 * * *")),
            ("spec/backup/retention", json!("7d")),
            ("spec/suspend", json!(false)),
            ("spec/deletionPolicy", json!("Retain")),
            ("spec/deletionProtection", json!(true)),
            ("spec/reclaimPolicy", json!("retain")),
            ("spec/prune", json!(false)),
            ("spec/namespace", json!("dev")),
            ("spec/targetNamespace", json!("dev")),
            ("spec/secretRef/name", json!("db")),
            ("spec/secretRef", json!("dev/db")),
            ("spec/ref", json!("apps/v1")),
            ("spec/source", json!("https://example.com/a")),
            ("spec/path", json!("a/b")),
            ("spec/securityContext/capabilities/drop/0", json!("ALL")),
            ("spec/drop", json!(false)),
            ("spec/noReset", json!(true)),
            ("spec/columns", json!("a")),
            ("spec/cluster/nodes", json!(3)),
            ("spec/url", json!("https://example.com/hook")),
            ("spec/methods/0", json!("DELETE")),
            ("spec/policy", json!("RetainOnDelete")),
            ("spec/retainOnDelete", json!(true)),
            ("spec/type", json!("ClusterIP")),
            ("spec/env", json!("prod")),
        ];
        for (path, value) in table {
            assert_eq!(act(path, &value, true), None, "{path} {value}");
        }
    }

    #[test]
    fn knows_fields_that_reach_further() {
        use Act::{Credentials, Deletes, Deploys, Elsewhere, Restores, Rights, Stops};
        let table = [
            ("spec/suspend", json!(true), Stops),
            ("spec/hibernation/enabled", json!(true), Stops),
            ("spec/desiredState", json!("Stopped"), Stops),
            ("spec/deletionPolicy", json!("Delete"), Deletes),
            ("spec/claimPolicy", json!("DeleteWithCluster"), Deletes),
            ("spec/createMode", json!("PointInTimeRestore"), Restores),
            ("spec/powerState", json!("Off"), Stops),
            ("spec/deletionProtection", json!(false), Deletes),
            ("spec/preventDestroy", json!(false), Deletes),
            ("spec/persistentVolumeReclaimPolicy", json!("Delete"), Deletes),
            ("spec/operation", json!("purge"), Deletes),
            ("spec/wipe_data", json!(true), Deletes),
            ("spec/restore/snapshot", json!("s"), Restores),
            ("spec/bootstrap/recovery", json!({}), Restores),
            ("spec/fromBackup", json!("b"), Restores),
            ("spec/desiredState", json!("absent"), Deletes),
            ("spec/ensure", json!("Absent"), Deletes),
            ("spec/reset", json!(true), Deletes),
            ("spec/database/drop", json!(true), Deletes),
            ("spec/secretRef", json!("prod/db-credentials"), Elsewhere),
            ("spec/ns", json!("prod"), Elsewhere),
            ("spec/nsSelector/matchLabels/env", json!("prod"), Elsewhere),
            ("spec/targetNamespace", json!("prod"), Elsewhere),
            ("spec/targetnamespace", json!("prod"), Elsewhere),
            ("spec/namespaces/0", json!("prod"), Elsewhere),
            ("spec/namespaceSelector", json!({}), Elsewhere),
            ("spec/namespaceSelector/any", json!(true), Elsewhere),
            ("spec/clusterName", json!("prod"), Elsewhere),
            ("spec/targetCluster", json!("prod"), Elsewhere),
            ("spec/clusters/0", json!("prod"), Elsewhere),
            ("spec/cluster/server", json!("https://10.0.0.1"), Elsewhere),
            ("spec/clusterSelector/matchLabels/env", json!("prod"), Elsewhere),
            ("spec/scope", json!("Cluster"), Elsewhere),
            ("spec/issuerRef/kind", json!("ClusterIssuer"), Elsewhere),
            ("spec/server", json!("https://kubernetes.default.svc"), Elsewhere),
            ("spec/url", json!("https://10.0.0.1:6443"), Elsewhere),
            ("spec/url", json!("https://api.example.com/apis/apps/v1/deployments"), Elsewhere),
            ("spec/url", json!("http://169.254.169.254/latest"), Elsewhere),
            ("spec/kubeConfig/secretRef/name", json!("prod"), Credentials),
            ("spec/kubeconfig", json!("x"), Credentials),
            ("spec/token", json!("x"), Credentials),
            ("spec/auth/tokenSecretRef/name", json!("x"), Credentials),
            ("spec/credentials/secretName", json!("x"), Credentials),
            ("spec/roleARN", json!("arn:aws:iam::1:role/admin"), Credentials),
            ("spec/impersonate", json!("admin"), Credentials),
            ("spec/chart/name", json!("x"), Deploys),
            ("spec/repoURL", json!("https://git.example.com/x"), Deploys),
            ("spec/source/git", json!("https://git.example.com/x"), Deploys),
            ("spec/manifests/0", json!("x"), Deploys),
            ("spec/template", json!("apiVersion: v1\nkind: Pod\n"), Deploys),
            ("spec/clusterRole", json!("admin"), Rights),
        ];
        for (path, value, want) in table {
            assert_eq!(act(path, &value, true), Some(want), "{path} {value}");
        }
    }

    #[test]
    fn what_stands_in_a_container_is_the_pods() {
        let object = json!({"spec": {
            "containers": [{"name": "a", "env": [{"name": "RESTORE", "value": "1"}]}],
            "env": [{"name": "DELETE", "value": "1"}],
            "pools": [{"name": "p", "initContainers": [{"image": "x"}]}],
            "jobs": [{"name": "containers", "restore": {"name": "b"}}, {"name": "env", "stop": [1]}],
            "nodes": {"containers": {"a": {"wipe": true}}},
        }});
        let table = [
            ("spec/containers/a/env/RESTORE/value", true),
            ("spec/env/DELETE/value", true),
            ("spec/pools/p/initContainers/0/image", true),
            ("spec/jobs/containers/restore/name", false),
            ("spec/jobs/env/stop/0", false),
            ("spec/nodes/containers/a/wipe", false),
            ("spec/containers", true),
            ("spec/gone/containers/a", false),
        ];
        for (path, want) in table {
            let path: Vec<String> = path.split('/').map(str::to_owned).collect();
            assert_eq!(is_of_container(&object, &path), want, "{path:?}");
        }
    }

    #[test]
    fn no_name_that_anybody_may_choose_hides_a_field() {
        let table =
            ["containers", "env", "keep", "skip", "no", "keep-delete", "0", "status", "protected"];
        for name in table {
            for path in
                ["spec/jobs/NAME/suspend", "spec/NAME/restore", "spec/jobs/NAME/NAME/suspend"]
            {
                let path = path.replace("NAME", name);
                assert!(act(&path, &json!(true), true).is_some(), "{path}");
            }
        }
    }

    #[test]
    fn what_is_there_can_be_taken_away() {
        let table = [
            ("spec/deletionProtection", Value::Null, Some(Act::Deletes)),
            ("spec/deletionPolicy", Value::Null, Some(Act::Deletes)),
            ("spec/backup/retention", json!("1d"), Some(Act::Deletes)),
            ("spec/failover/primary", json!("p"), Some(Act::Restores)),
            ("spec/color", Value::Null, None),
        ];
        for (path, value, want) in table {
            assert_eq!(act(path, &value, false), want, "{path} {value}");
            assert_eq!(act(path, &value, true), None, "{path} {value}");
        }
    }

    #[test]
    fn knows_names_that_are_the_whole_worlds() {
        let name = |it: &str| Some(Power::HostName(it.to_owned()));
        let table = [
            ("spec/hosts/0", "shop.example.com", name("shop.example.com")),
            ("spec/hostname", "shop.example.com", name("shop.example.com")),
            ("spec/ingress/host", "shop.example.com", name("shop.example.com")),
            ("spec/virtualhost/fqdn", "*.example.com", name("*.example.com")),
            ("spec/hosts/0", "*", Some(Power::AnyHostName)),
            ("spec/hosts/0", "db.dev.svc", None),
            ("spec/hosts/0", "db", None),
            ("spec/host", "db.example.com", None),
        ];
        for (path, value, want) in table {
            let path: Vec<String> = path.split('/').map(str::to_owned).collect();
            let found = field(&path, &json!(value), true).powers();
            assert_eq!(found, Vec::from_iter(want), "{path:?} {value}");
        }
    }
}
