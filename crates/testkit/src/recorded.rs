//! A ledger as a busy week leaves it, written by the store's own writer: for what reads all of it.

use std::path::Path;

use ::http::{HeaderMap, Method};
use attributes::{Attributes, User};
use effects::{ClassConfig, Known, NamespaceClass};
use jiff::{SignedDuration, Timestamp};
use ledger::{
    Action, ClassRecord, DecisionRecord, Entry, FACTS_VERSION, Facts, FactsRecord, HoldEvent,
    HoldRecord, Identity, Outcome, RequestRecord, ResponseRecord, Stage,
};
use policy::{Decision, Input, Objects, Pack, Pair};
use serde_json::{Value, json};
use uuid::{NoContext, Uuid};

/// Entries in one commit.
const BATCH: usize = 2_000;
const NAMESPACE: &str = "shop";

/// Writes so many calls, spread over the last six days, as the default pack judges them: of ten, seven
/// are reads, two are allowed writes with their objects, and one is held and approved.
///
/// # Panics
/// Where the store does not take them.
pub fn write(dir: &Path, calls: usize) {
    let pack = Pack::default_pack().expect("the default pack");
    let reads = [
        "/api/v1/namespaces/shop/pods",
        "/apis/apps/v1/namespaces/shop/deployments/web",
        "/version",
    ]
    .map(|target| sample(&pack, "GET", target, None, None));
    let (old, new) = (deployment("nginx:1.25", 3), deployment("nginx:1.27", 3));
    let mut labelled = old.clone();
    labelled["metadata"]["labels"]["touched"] = json!("yes");
    let web = "/apis/apps/v1/namespaces/shop/deployments/web";
    let writes = [
        sample(&pack, "PATCH", web, Some(&old), Some(&labelled)),
        sample(&pack, "PATCH", web, Some(&old), Some(&deployment("nginx:1.25", 4))),
    ];
    let held = [
        sample(&pack, "PATCH", web, Some(&old), Some(&new)),
        sample(&pack, "DELETE", web, Some(&old), None),
    ];
    assert!(writes.iter().all(|it| action(it) == Some(Action::Allow)), "allowed writes");
    assert!(held.iter().all(|it| action(it) == Some(Action::Hold)), "held writes");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let ledger = store::open(dir).expect("a store").ledger;
    let start = Timestamp::now() - SignedDuration::from_hours(6 * 24);
    let step = SignedDuration::from_hours(6 * 24) / i32::try_from(calls.max(1)).unwrap_or(i32::MAX);
    let mut batch = Vec::with_capacity(BATCH);
    for number in 0..calls {
        let at = start + step * i32::try_from(number).unwrap_or(i32::MAX);
        let samples: &[Entry] = match number % 10 {
            0 => &held,
            1 | 2 => &writes,
            _ => &reads,
        };
        told(&samples[number / 10 % samples.len()], number, at, &mut batch);
        if batch.len() >= BATCH || number + 1 == calls {
            let entries = std::mem::take(&mut batch);
            runtime.block_on(ledger.append(entries)).expect("entries are stored");
        }
    }
}

fn action(entry: &Entry) -> Option<Action> {
    entry.decision.as_ref().map(|it| it.action)
}

/// Every entry of one call.
fn told(sample: &Entry, number: usize, at: Timestamp, entries: &mut Vec<Entry>) {
    let seconds = u64::try_from(at.as_second()).unwrap_or_default();
    let nanos = u32::try_from(at.subsec_nanosecond()).unwrap_or_default();
    let id = Uuid::new_v7(uuid::Timestamp::from_unix(NoContext, seconds, nanos)).to_string();
    let response = ResponseRecord {
        code: 200,
        outcome: Outcome::Answered,
        latency_micros: 900,
        bytes: 2_000,
        object: None,
    };
    let answered = |entry: Entry| Entry { response: Some(response.clone()), ..entry };
    let first = Entry { time: at, audit_id: id.clone(), ..sample.clone() };
    if first.stage == Stage::ResponseComplete {
        entries.push(answered(first));
        return;
    }
    entries.push(first);
    if action(sample) == Some(Action::Hold) {
        let reviewer =
            Identity { username: format!("reviewer-{}", number % 3), ..Identity::default() };
        let event = |event| Entry {
            hold: Some(HoldRecord {
                id: format!("h{number}"),
                event,
                reviewer: (event != HoldEvent::Created).then(|| reviewer.clone()),
                reason: String::new(),
                digest: String::new(),
                rules: Vec::new(),
            }),
            ..Entry::new(at, &id, Stage::Held)
        };
        let events = [HoldEvent::Created, HoldEvent::Approved, HoldEvent::Running, HoldEvent::Done];
        entries.extend(events.map(event));
    }
    entries.push(answered(Entry::new(at, &id, Stage::ResponseComplete)));
}

/// The first entry of a request that agents send over and over, as it was judged.
fn sample(
    pack: &Pack,
    method: &str,
    target: &str,
    old: Option<&Value>,
    new: Option<&Value>,
) -> Entry {
    let method = Method::from_bytes(method.as_bytes()).expect("a method");
    let attributes = attributes::read(&method, target, &HeaderMap::new()).expect("a request");
    let config = ClassConfig::default();
    let labels = [("team".to_owned(), "shop".to_owned())].into();
    let class = match attributes.namespace.as_str() {
        "" => NamespaceClass::cluster_scoped(),
        _ => NamespaceClass::of(NAMESPACE, Some(&labels), &config),
    };
    let user = User {
        username: "system:serviceaccount:agents:triage".to_owned(),
        groups: vec!["system:serviceaccounts".to_owned(), "system:authenticated".to_owned()],
        ..User::default()
    };
    let request = RequestRecord {
        user_agent: "kubectl/v1.34".to_owned(),
        source_ip: "10.0.0.7".to_owned(),
        ..RequestRecord::of(attributes.clone(), target.to_owned())
    };
    let stage = if attributes.is_read() { Stage::ResponseComplete } else { Stage::RequestReceived };
    let entry = Entry {
        user: Some(Identity::from(&user)),
        request: Some(request),
        class: Some(ClassRecord::from(&class)),
        ..Entry::new(Timestamp::UNIX_EPOCH, "", stage)
    };
    if attributes.is_read() {
        return Entry { decision: Some(DecisionRecord::of(Action::Allow, "")), ..entry };
    }
    judged(pack, &attributes, &user, &class, [old, new], entry)
}

fn judged(
    pack: &Pack,
    attributes: &Attributes,
    user: &User,
    class: &NamespaceClass,
    [old, new]: [Option<&Value>; 2],
    entry: Entry,
) -> Entry {
    let effects = match new {
        Some(new) => effects::of_change(attributes, &Known::of(&ClassConfig::default()), old, new),
        None => effects::of_delete(attributes, &old.cloned().into_iter().collect::<Vec<_>>()),
    };
    let changes = effects::normalised(attributes, effects::diff(old, new));
    let verdict = pack.decide(&Input {
        attributes,
        user,
        class,
        is_write: true,
        effects: &effects,
        objects: Objects::Known(vec![Pair { old, new }]),
        changes: &changes,
        earlier: &[],
        redact: &Value::clone,
        now: Timestamp::UNIX_EPOCH,
    });
    let action = match verdict.decision() {
        Decision::Allow => Action::Allow,
        Decision::Hold => Action::Hold,
        Decision::Deny => Action::Deny,
    };
    let decision = DecisionRecord {
        rules: verdict.rules(),
        policy: pack.digest().to_owned(),
        ..DecisionRecord::of(action, verdict.reason())
    };
    let sides = std::iter::once((old.cloned(), new.cloned()));
    let (objects, extent) = replay::objects(sides, &|bytes| format!("{:064x}", bytes.len()));
    let facts = FactsRecord {
        version: FACTS_VERSION,
        at: Timestamp::UNIX_EPOCH,
        labels: class.labels.clone(),
        labels_left_out: false,
        stored: false,
        looked: true,
        objects,
        unknown: String::new(),
        objects_of: None,
        extent,
        over_budget: false,
        compared: true,
        window: None,
    };
    Entry {
        effects: effects.iter().map(Into::into).collect(),
        decision: Some(decision),
        facts: Facts::Recorded(Box::new(facts)),
        ..entry
    }
}

/// As large as they are: three containers with probes, a status, managed fields.
fn deployment(image: &str, replicas: u32) -> Value {
    let probe = json!({"httpGet": {"path": "/healthz", "port": 8080, "scheme": "HTTP"}, "periodSeconds": 10, "timeoutSeconds": 1, "failureThreshold": 3});
    let container = |name: &str| {
        json!({
            "name": name, "image": image, "imagePullPolicy": "IfNotPresent",
            "ports": [{"containerPort": 8080, "protocol": "TCP"}],
            "env": (0..8).map(|it| json!({"name": format!("SETTING_{it}"), "value": "x".repeat(20)})).collect::<Vec<_>>(),
            "resources": {"limits": {"cpu": "500m", "memory": "512Mi"}, "requests": {"cpu": "100m", "memory": "256Mi"}},
            "livenessProbe": probe, "readinessProbe": probe,
            "volumeMounts": [{"name": "config", "mountPath": "/etc/app"}],
        })
    };
    let containers: Vec<Value> = ["app", "proxy", "metrics"].map(container).into();
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {
            "name": "web", "namespace": NAMESPACE, "uid": "3d1c5f7e-8a55-4f0e-9a3d-0a54be1b4cf9",
            "resourceVersion": "123456", "generation": 7, "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {"app": "web", "team": "shop"}, "annotations": {"deployment.kubernetes.io/revision": "7"},
            "managedFields": (0..4).map(|it| json!({"manager": format!("m{it}"), "operation": "Update", "fieldsV1": {"f:spec": {"f:template": {"f:spec": {"f:containers": {}}}}}})).collect::<Vec<_>>(),
        },
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": {"app": "web"}},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {
                    "containers": containers, "serviceAccountName": "web", "restartPolicy": "Always",
                    "volumes": [{"name": "config", "configMap": {"name": "web", "defaultMode": 420}}],
                },
            },
        },
        "status": {"replicas": 3, "readyReplicas": 3, "availableReplicas": 3, "updatedReplicas": 3, "observedGeneration": 7},
    })
}
