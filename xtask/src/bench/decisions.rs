//! What policies cost: the time of one decision, for reads and for writes, at 1, 100 and 1,000 of
//! them. No network and no server: `cargo xtask bench --only decisions`.

use std::{
    fs,
    hint::black_box,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};
use attributes::{Attributes, User};
use effects::{ClassConfig, Known, NamespaceClass};
use http::{HeaderMap, Method};
use jiff::Timestamp;
use policy::{Input, Objects, Pack, Pair, Source, compile};
use serde_json::{Value, json};

use crate::root;

const COUNTS: [usize; 3] = [1, 100, 1_000];

/// Writes a directory for `serve --policy` with so many policies: of ten, one is about Deployments and
/// six about StatefulSets, each looking at the object before and after, and three are about reads of
/// Secrets. None asks for anything here.
pub(super) fn write(dir: &Path, count: usize) -> Result<()> {
    let _ = fs::remove_dir_all(dir);
    fs::create_dir_all(dir)?;
    for index in 0..count {
        let of_writes = |resource: &str| {
            format!(
                "{{apiGroups: [apps], resources: [{resource}], operations: [UPDATE]}}]}}
  rules:
  - name: rule
    when: >-
      object.spec.template.spec.containers.exists(c, c.image.startsWith('bad{index}/'))
      && object.spec.replicas > oldObject.spec.replicas
    action: hold
"
            )
        };
        let rest = match index % 10 {
            0 => of_writes("deployments"),
            1..=3 => format!(
                "{{apiGroups: [''], resources: [secrets], verbs: [get, list]}}]}}
  rules:
  - {{name: rule, when: request.name.startsWith('team-{index}-'), action: deny}}
"
            ),
            _ => of_writes("statefulsets"),
        };
        let text = format!(
            "apiVersion: agent-shield.io/v1alpha1
kind: Policy
metadata: {{name: p{index}}}
spec:
  matchConstraints: {{resourceRules: [{rest}"
        );
        fs::write(dir.join(format!("p{index:04}.yaml")), text)?;
    }
    Ok(())
}

/// Compiles what [`write()`] wrote, beside the default pack.
fn compiled(dir: &Path, count: usize) -> Result<(Pack, Duration)> {
    write(dir, count)?;
    let mut sources = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let text = fs::read_to_string(&path)?;
        sources.push(Source { name: path.display().to_string(), text });
    }
    let started = Instant::now();
    let compiled = compile(&sources, Timestamp::UNIX_EPOCH);
    let compiled = compiled.map_err(|issues| anyhow!("{issues:?}"))?;
    Ok((compiled.pack, started.elapsed()))
}

fn asks(method: &Method, path: &str) -> Result<Attributes> {
    attributes::read(method, path, &HeaderMap::new()).context("a request")
}

fn deployment(replicas: u32) -> Value {
    let containers: Vec<Value> =
        (0..3).map(|it| json!({"name": format!("c{it}"), "image": "registry/app:1"})).collect();
    json!({
        "metadata": {"name": "web", "labels": {"app": "web"}},
        "spec": {"replicas": replicas, "template": {"spec": {"containers": containers}}},
    })
}

/// Nanoseconds of one call, the best of five rounds: what else runs only ever adds.
fn timed(calls: u32, mut call: impl FnMut()) -> f64 {
    let round = |call: &mut dyn FnMut()| {
        let started = Instant::now();
        for _ in 0..calls {
            call();
        }
        started.elapsed().as_secs_f64() * 1e9 / f64::from(calls)
    };
    (0..5).map(|_| round(&mut call)).fold(f64::INFINITY, f64::min)
}

/// A table in Markdown.
pub(super) fn table(quick: bool) -> Result<String> {
    let read = asks(&Method::GET, "/api/v1/namespaces/shop/pods")?;
    let write = asks(&Method::PATCH, "/apis/apps/v1/namespaces/shop/deployments/web")?;
    let (user, config) = (User::default(), ClassConfig::default());
    let class = NamespaceClass::of("shop", Some(&Default::default()), &config);
    let (old, new) = (deployment(2), deployment(3));
    let effects = effects::of_change(&write, &Known::of(&config), Some(&old), &new);
    let calls = if quick { 10 } else { 2_000 };
    let mut table = "| policies | compiled in | a read | a write |\n|---|---|---|---|\n".to_owned();
    for count in COUNTS {
        let dir = root().join(format!("target/bench-decisions/{count}"));
        let (pack, took) = compiled(&dir, count)?;
        let of_read = timed(calls * 50, || {
            black_box(pack.asks_about_read(black_box(&read)));
        });
        let of_write = timed(calls, || {
            black_box(pack.decide(&Input {
                attributes: &write,
                user: &user,
                class: &class,
                is_write: true,
                effects: &effects,
                objects: Objects::Known(vec![Pair { old: Some(&old), new: Some(&new) }]),
                changes: &[],
                earlier: &[],
                redact: &Value::clone,
                now: Timestamp::UNIX_EPOCH,
            }));
        });
        table.push_str(&format!(
            "| {count} | {:.1} ms | {of_read:.0} ns | {:.1} µs |\n",
            took.as_secs_f64() * 1e3,
            of_write / 1e3
        ));
    }
    Ok(table)
}
