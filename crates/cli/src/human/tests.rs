//! What people read, whole: a change of it should be seen.

use hold::GoesWith;
use ledger::{EffectRecord, Identity, RequestRecord};

use super::*;
use api::body::{ChangeBody, PreviewBody};

/// A moment, in seconds after the fixture's first.
pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap_or_default()
}

/// A hold that an agent made as misleading as it could.
pub(crate) fn detail() -> HoldDetail {
    HoldDetail {
        summary: HoldSummary {
            id: "k3mq7xzw".into(),
            state: "pending".into(),
            created_at: at(0),
            changed_at: at(0),
            deadline: at(1800),
            waiting: 1,
            user: Identity {
                username: "system:serviceaccount:agents:triage".into(),
                ..Identity::default()
            },
            request: RequestRecord {
                verb: "delete".into(),
                method: "DELETE".into(),
                resource: "namespaces".into(),
                namespace: "payments".into(),
                name: "payments".into(),
                request_uri: "/api/v1/namespaces/payments".into(),
                kubectl_command: "kubectl delete\u{1b}[2J".into(),
                ..RequestRecord::default()
            },
            rules: vec!["delete-namespace".into()],
            reason: "deletes namespace payments".into(),
            severity: "critical".into(),
            effects: vec![EffectRecord {
                kind: "Delete".into(),
                resource: "namespaces".into(),
                name: "payments".into(),
                detail: "deletes namespace payments".into(),
                ..EffectRecord::default()
            }],
            drifts: 0,
            audit_id: "a-1".into(),
            verdict: None,
            code: None,
        },
        content_type: "application/json".into(),
        payload: "{\n  \"propagationPolicy\": \"Background\"\n}".into(),
        preview: PreviewBody {
            changes: vec![ChangeBody {
                path: "/spec/replicas".into(),
                old: Some("10".into()),
                new: Some("0".into()),
            }],
            goes_with: vec![
                GoesWith {
                    resource: "deployments".into(),
                    count: Some(2),
                    names: vec!["api".into(), "web\u{202e}".into()],
                },
                GoesWith { resource: "secrets".into(), count: None, names: vec![] },
            ],
            notes: vec!["values are cut".into()],
            ..PreviewBody::default()
        },
    }
}

/// Without colours.
pub(crate) fn plain(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

#[test]
fn a_hold_starts_with_one_sentence() {
    insta::assert_snapshot!(plain(&hold(&detail(), at(42))));
}

#[test]
fn the_queue_is_a_table() {
    insta::assert_snapshot!(plain(&holds(&[detail().summary], true, at(300))));
    assert_eq!(holds(&[], false, at(0)), "Nothing is waiting.");
}

#[test]
fn the_timeline_is_a_table() {
    let call = CallBody {
        time: at(0),
        audit_id: "a-1".into(),
        user: Some(detail().summary.user),
        request: Some(detail().summary.request),
        decision: "hold".into(),
        rules: vec!["delete-namespace".into()],
        reason: "deletes namespaces payments".into(),
        policy: String::new(),
        shadow: Vec::new(),
        effects: Vec::new(),
        hold: Some("k3mq7xzw".into()),
        hold_events: vec![api::body::HoldEventBody { time: at(1), event: "denied".into() }],
        reviewer: Some("alice".into()),
        verdict_reason: "wrong\u{1b} namespace".into(),
        outcome: "refused".into(),
        code: 403,
        latency_micros: 12_345,
        bytes: 0,
        probe_of: None,
        notes: Vec::new(),
    };
    insta::assert_snapshot!(plain(&timeline(&[call], true)));
    assert_eq!(timeline(&[], false), "Nothing was recorded that matches.");
}
