//! A law, by the API server's own dry runs: where no effect is reported, nothing that matters differs.
//! `crates/effects/tests/unexplained.rs` asks the same of many more edits, without a server.

use attributes::Attributes;
use cases::Harness;
use effects::{ClassConfig, EffectKind, Known, of_change};
use http::{HeaderMap, Method};
use serde_json::Value;
use testkit::edits::{self, Random};

/// Fixtures whose objects are edited, and their paths.
const OBJECTS: [(&str, &str); 14] = [
    ("deploy:prod/web", "/apis/apps/v1/namespaces/prod/deployments/web"),
    ("sts:prod/db", "/apis/apps/v1/namespaces/prod/statefulsets/db"),
    ("ds:prod/agent", "/apis/apps/v1/namespaces/prod/daemonsets/agent"),
    ("rs:prod/legacy", "/apis/apps/v1/namespaces/prod/replicasets/legacy"),
    ("job:prod/batch", "/apis/batch/v1/namespaces/prod/jobs/batch"),
    ("cronjob:prod/backup", "/apis/batch/v1/namespaces/prod/cronjobs/backup"),
    ("hpa:prod/web", "/apis/autoscaling/v2/namespaces/prod/horizontalpodautoscalers/web"),
    ("secret:prod/db-cred", "/api/v1/namespaces/prod/secrets/db-cred"),
    ("cm:prod/app", "/api/v1/namespaces/prod/configmaps/app"),
    ("svc:prod/web", "/api/v1/namespaces/prod/services/web"),
    ("pdb:prod/web", "/apis/policy/v1/namespaces/prod/poddisruptionbudgets/web"),
    ("pvc:prod/data", "/api/v1/namespaces/prod/persistentvolumeclaims/data"),
    ("node:n1", "/api/v1/nodes/n1"),
    ("pod:prod/p1", "/api/v1/namespaces/prod/pods/p1"),
];
/// Dry runs of each object, here and with `AGENT_SHIELD_FULL=1`.
const EDITS: usize = 100;
const EDITS_FULL: usize = 2_000;
/// Of all edits the API server must accept so many in a hundred, or the law is about nothing.
const ACCEPTED_PERCENT_MIN: usize = 10;

/// What is wrong about one dry run; `None` where the API server refuses it.
fn judged(attributes: &Attributes, old: &Value, answer: &Value) -> Option<Result<(), String>> {
    if answer["kind"] == "Status" || answer.is_null() {
        return None;
    }
    let classes = ClassConfig::default();
    let effects = of_change(attributes, &Known::of(&classes), Some(old), answer);
    let differs = edits::differing(old, answer);
    // An update changes owners as the server has them change, and edits nothing by hand.
    if effects.iter().any(|it| it.kind == EffectKind::TakeFields) {
        return Some(Err(format!("an update takes fields: {old} {answer}")));
    }
    Some(match effects.is_empty() && !differs.is_empty() {
        true => Err(format!("{differs:?} without an effect: {old} {answer}")),
        false => Ok(()),
    })
}

#[test]
fn what_a_dry_run_changes_has_an_effect() {
    let harness = Harness::start();
    let edits_each = match std::env::var_os("AGENT_SHIELD_FULL") {
        Some(_) => EDITS_FULL,
        None => EDITS,
    };
    let values = edits::values();
    let (mut accepted, mut changed) = (0, 0);
    for (index, (key, path)) in OBJECTS.iter().enumerate() {
        harness.fixture(key);
        let attributes = attributes::read(&Method::PUT, path, &HeaderMap::new());
        let attributes = attributes.expect("a path");
        for number in 0..edits_each {
            let old = harness.get(path);
            let mut places = Vec::new();
            edits::places(&old, "", &mut places);
            // What the API server would take no notice of teaches nothing.
            places.retain(|it| edits::MATTERS.iter().any(|path| it.starts_with(path)));
            let mut random = Random((index * EDITS_FULL + number) as u64);
            let new = random.edited(&old, &places, &values);
            let answer = harness.dry_run("PUT", path, &new, "application/json");
            let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
            if let Some(judged) = judged(&attributes, &old, &answer) {
                judged.unwrap_or_else(|why| panic!("{key}, edit {number}: {why}"));
                accepted += 1;
                changed += usize::from(!edits::differing(&old, &answer).is_empty());
            }
        }
    }
    let all = OBJECTS.len() * edits_each;
    println!("{accepted} of {all} edits were accepted, {changed} changed what matters");
    assert!(changed * 100 >= all * ACCEPTED_PERCENT_MIN, "only {changed} changed what matters");
    harness.stop().expect("an end");
}
