//! How long a decision takes at 1, 100 and 1,000 policies:
//! `cargo run --release -p policy --example decisions`.

use std::{hint::black_box, time::Instant};

use attributes::{Attributes, User};
use effects::{ClassConfig, NamespaceClass};
use http::{HeaderMap, Method};
use jiff::Timestamp;
use policy::{Input, Objects, Pack, Pair, Source, compile};
use serde_json::{Value, json};

/// Policies of which a tenth names Deployments, and each reads the object.
fn pack(count: usize) -> Pack {
    let policy = |index: usize| {
        let resource = if index.is_multiple_of(10) { "deployments" } else { "widgets" };
        let text = format!(
            "apiVersion: agent-shield.io/v1alpha1\nkind: Policy\nmetadata: {{name: p{index}}}\nspec:\n  matchConstraints: {{resourceRules: [{{apiGroups: [apps], resources: [{resource}], operations: [UPDATE]}}]}}\n  rules:\n  - name: rule\n    when: object.spec.template.spec.containers.exists(c, c.image.startsWith('bad{index}/')) && object.spec.replicas > oldObject.spec.replicas\n    action: hold\n"
        );
        Source { name: format!("p{index}.yaml"), text }
    };
    let sources: Vec<Source> = (0..count).map(policy).collect();
    let started = Instant::now();
    let compiled = match compile(&sources, Timestamp::UNIX_EPOCH) {
        Ok(compiled) => compiled,
        Err(issues) => {
            eprintln!("{issues:?}");
            std::process::exit(1);
        }
    };
    eprintln!("{count} policies compiled in {} ms", started.elapsed().as_millis());
    compiled.pack
}

fn read(method: &str, path: &str) -> Attributes {
    let method = Method::from_bytes(method.as_bytes()).unwrap_or_default();
    attributes::read(&method, path, &HeaderMap::new()).unwrap_or_default()
}

fn deployment(replicas: u32) -> Value {
    let containers: Vec<Value> =
        (0..3).map(|it| json!({"name": format!("c{it}"), "image": "registry/app:1"})).collect();
    json!({
        "metadata": {"name": "web", "labels": {"app": "web"}},
        "spec": {"replicas": replicas, "template": {"spec": {"containers": containers}}},
    })
}

/// Nanoseconds of one call, the best of five rounds.
fn timed(mut call: impl FnMut()) -> u128 {
    const CALLS: u128 = 2_000;
    let round = |call: &mut dyn FnMut()| {
        let started = Instant::now();
        for _ in 0..CALLS {
            call();
        }
        started.elapsed().as_nanos() / CALLS
    };
    (0..5).map(|_| round(&mut call)).min().unwrap_or_default()
}

fn main() {
    let read_of = read("GET", "/api/v1/namespaces/shop/pods");
    let write = read("PATCH", "/apis/apps/v1/namespaces/shop/deployments/web");
    let (user, now) = (User::default(), Timestamp::UNIX_EPOCH);
    let class = NamespaceClass::of("shop", Some(&Default::default()), &ClassConfig::default());
    let (old, new) = (deployment(2), deployment(3));
    let effects = effects::of_change(&write, &ClassConfig::default(), Some(&old), &new);
    println!("| policies | a read | a write, default pack and these |\n|---|---|---|");
    for count in [1, 100, 1_000] {
        let pack = pack(count);
        let of_read = timed(|| {
            black_box(pack.asks_about_read(black_box(&read_of)));
        });
        let of_write = timed(|| {
            let objects = Objects::Known(vec![Pair { old: Some(&old), new: Some(&new) }]);
            let verdict = pack.decide(&Input {
                attributes: &write,
                user: &user,
                class: &class,
                is_write: true,
                effects: &effects,
                objects,
                changes: &[],
                earlier: &[],
                redact: &Value::clone,
                now,
            });
            black_box(verdict);
        });
        println!("| {count} | {of_read} ns | {:.1} µs |", of_write as f64 / 1_000.0);
    }
}
