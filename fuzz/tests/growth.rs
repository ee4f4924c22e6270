//! An agent decides how large an object is: four times of it may cost about four times as much time
//! of the processor, never sixteen times.

use std::{fs, hint::black_box};

use attributes::Attributes;
use effects::{ClassConfig, Known};
use http::{HeaderMap, Method};
use payload::Redactor;
use serde_json::{Value, json};

const SMALL: usize = 400;
/// Between four, which is linear, and sixteen, which is quadratic.
const GROWTH_MAX: f64 = 9.0;

/// Nanoseconds that are well above what the clock can tell apart.
const SEEN: u64 = 50_000_000;

/// Nanoseconds that this thread was on a processor; a busy machine does not change it.
fn on_processor() -> u64 {
    let told = fs::read_to_string("/proc/thread-self/schedstat").expect("its times");
    told.split(' ').next().and_then(|it| it.parse().ok()).expect("nanoseconds")
}

fn grows_in_step(what: &str, act: impl Fn(usize)) {
    let cost = |times: usize, count: usize| {
        let before = on_processor();
        (0..times).for_each(|_| act(count));
        on_processor() - before
    };
    // The kernel counts in milliseconds: often enough to be seen.
    let mut times = 1;
    let small = loop {
        let small = cost(times, SMALL);
        if small > SEEN {
            break small;
        }
        times *= 4;
    };
    let large = cost(times, 4 * SMALL);
    let growth = large as f64 / small as f64;
    assert!(growth < GROWTH_MAX, "{what}: {small} ns grow to {large} ns");
}

fn attributes(target: &str) -> Attributes {
    attributes::read(&Method::PUT, target, &HeaderMap::new()).expect("attributes")
}

#[test]
fn comparing_grows_with_the_object() {
    let deployment = attributes("/apis/apps/v1/namespaces/d/deployments/x");
    type Make = fn(usize, &str) -> Value;
    let table: [(&str, Make); 10] = [
        ("named items", |n, word| {
            let env: Vec<Value> =
                (0..n).map(|i| json!({"name": format!("E{i}"), "value": word})).collect();
            json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "env": env}]}}}})
        }),
        (
            "items without names",
            |n, word| json!({"spec": {"x": (0..n).map(|i| format!("{word}{i}")).collect::<Vec<_>>()}}),
        ),
        ("labels", |n, word| {
            let labels: serde_json::Map<_, _> =
                (0..n).map(|i| (format!("l{i}"), json!(word))).collect();
            json!({"metadata": {"labels": labels}})
        }),
        ("owners", |n, word| {
            let owner = |i| json!({"kind": "Pod", "name": format!("p{i}"), "uid": word});
            json!({"metadata": {"ownerReferences": (0..n).map(owner).collect::<Vec<_>>()}})
        }),
        ("finalizers", |n, word| {
            let finalizers: Vec<String> = (0..n).map(|i| format!("{word}.io/{i}")).collect();
            json!({"metadata": {"finalizers": finalizers}})
        }),
        ("containers", |n, word| {
            let container = |i| json!({"name": format!("c{i}"), "image": word});
            let containers: Vec<Value> = (0..n).map(container).collect();
            json!({"spec": {"template": {"spec": {"containers": containers}}}})
        }),
        ("init containers and volumes", |n, word| {
            let named = |i| json!({"name": format!("c{i}"), "image": {"reference": word}});
            let items: Vec<Value> = (0..n).map(named).collect();
            json!({"spec": {"template": {"spec": {"initContainers": items, "volumes": items}}}})
        }),
        ("a record of what was applied", |n, word| {
            let labels: serde_json::Map<_, _> =
                (0..n).map(|i| (format!("l{i}"), json!(word))).collect();
            let record = json!({"metadata": {"labels": labels}}).to_string();
            let annotations = json!({"kubectl.kubernetes.io/last-applied-configuration": record});
            json!({"metadata": {"labels": labels, "annotations": annotations}})
        }),
        ("below a hundred levels", |n, word| {
            (0..100).fold(json!(vec![word; n]), |inner, _| json!({"a": inner}))
        }),
        ("fields of the spec", |n, word| {
            let fields: serde_json::Map<_, _> =
                (0..n).map(|i| (format!("f{i}"), json!(word))).collect();
            json!({"spec": fields})
        }),
    ];
    for (what, make) in table {
        grows_in_step(what, |count| {
            let (old, new) = (make(count, "a"), make(count, "b"));
            let changes = effects::diff(Some(&old), Some(&new));
            assert!(!changes.is_empty());
            let found = effects::of_change(
                &deployment,
                &Known::of(&ClassConfig::default()),
                Some(&old),
                &new,
            );
            black_box(effects::digest_input(&found, &changes, "uid"));
        });
    }
}

#[test]
fn comparing_nodes_grows_with_their_taints() {
    let node = attributes("/api/v1/nodes/n");
    let make = |count: usize, word: &str| {
        let taint = |i| json!({"key": format!("k{i}"), "value": word, "effect": "NoSchedule"});
        json!({"spec": {"taints": (0..count).map(taint).collect::<Vec<_>>()}})
    };
    grows_in_step("taints", |count| {
        let (old, new) = (make(count, "a"), make(count, "b"));
        let config = ClassConfig::default();
        black_box(effects::of_change(&node, &Known::of(&config), Some(&old), &new));
    });
}

#[test]
fn reading_grows_with_the_body() {
    type Make = fn(usize) -> String;
    let table: [(&str, &str, Make); 5] = [
        ("keys", "application/json", |n| {
            let fields: serde_json::Map<_, _> =
                (0..n).map(|i| (format!("k{i}"), json!(i))).collect();
            Value::Object(fields).to_string()
        }),
        ("keys in YAML", "application/apply-patch+yaml", |n| {
            (0..n).map(|i| format!("k{i}: {i}\n")).collect()
        }),
        ("items in YAML", "application/apply-patch+yaml", |n| "- a: b\n".repeat(n)),
        ("words of a command", "application/json", |n| {
            json!({"command": vec!["--password=x y=bearer z"; n]}).to_string()
        }),
        ("a document in a string", "application/json", |n| {
            let inner = json!({"data": vec!["x"; n]}).to_string();
            json!({"metadata": {"annotations": {"a": inner}}}).to_string()
        }),
    ];
    let redactor = Redactor::new(b"key");
    for (what, content_type, make) in table {
        grows_in_step(what, |count| {
            let media = payload::media_type(Some(content_type));
            let mut tree = payload::read(media, make(count).as_bytes()).expect("a tree");
            redactor.redact_object("secrets", &mut tree);
            black_box(tree);
        });
    }
}

#[test]
fn reading_grows_with_the_target() {
    grows_in_step("segments", |count| {
        black_box(attributes(&format!("/api/v1/pods{}", "/a".repeat(count))));
    });
    grows_in_step("pairs", |count| {
        let query: String = (0..count).map(|i| format!("&k{i}=%41")).collect();
        black_box(attributes(&format!("/api/v1/pods?{query}")));
    });
}

#[test]
fn redacting_grows_with_the_text() {
    let lures = [
        "-----BEGIN ",
        "-----BEGIN PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\na\n",
        "token='",
        "token=$'",
        "token=\"\\\"",
        "\"token='",
        "token= ",
        "bearer token: ",
        "--token  ",
        "://a",
        "'token=\"",
        "token=$(",
        "token=\\",
    ];
    let redactor = Redactor::new(b"key");
    for lure in lures {
        grows_in_step(lure, |count| {
            let mut tree = json!({"x": lure.repeat(20 * count)});
            redactor.redact_object("pods", &mut tree);
            black_box(tree);
        });
    }
}
