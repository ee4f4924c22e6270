//! What people read, whole: a change of it should be seen.

use std::collections::BTreeMap;

use api::body::{
    CallBody, ChangeBody, CommandBody, EffectBody, FreezeBody, GoesWithBody as GoesWith,
    HiddenBody, HoldDetail, HoldEventBody, HoldSummary, PreviewBody, ReviewersBody, Timeline,
    VerdictBody,
};
use jiff::Timestamp;
use ledger::{Identity, RequestRecord};

use super::*;

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
            reviewers: vec![ReviewersBody { groups: vec![], count: 1, missing: 1 }],
            reason_required: false,
            approvals: vec![],
            missing: "1 approval".into(),
            more_effects: BTreeMap::new(),
            effects: vec![EffectBody {
                kind: "Delete".into(),
                resource: "namespaces".into(),
                name: "payments".into(),
                detail: "deletes namespace payments".into(),
                ..EffectBody::default()
            }],
            drifts: 0,
            binds_until: None,
            barred_until: None,
            frozen: None,
            audit_id: "a-1".into(),
            verdict: None,
            code: None,
        },
        content_type: "application/json".into(),
        payload: "{\n  \"propagationPolicy\": \"Background\"\n}".into(),
        preview: PreviewBody {
            commands: vec![CommandBody {
                at: "/spec/template/spec/containers/c".into(),
                words: ["sh", "-c", "cd /data\n  rm -rf 'x'"].map(str::to_owned).to_vec(),
            }],
            changes: vec![
                ChangeBody {
                    path: "/spec/replicas".into(),
                    old: Some("10".into()),
                    new: Some("0".into()),
                    diff: None,
                    note: String::new(),
                },
                ChangeBody {
                    path: "/data/run.sh".into(),
                    old: None,
                    new: None,
                    diff: Some("@@ -1,2 +1,2 @@\n a\n-b\n+  c\r\n".into()),
                    note: String::new(),
                },
                ChangeBody {
                    path: "/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration"
                        .into(),
                    old: None,
                    new: None,
                    diff: None,
                    note: "kubectl's copy of what was applied: it says the same as the rest".into(),
                },
            ],
            goes_with: vec![
                GoesWith {
                    resource: "deployments".into(),
                    count: Some(2),
                    names: vec!["api".into(), "web\u{202e}".into()],
                },
                GoesWith { resource: "secrets".into(), count: None, names: vec![] },
            ],
            notes: vec!["nobody could see it".into()],
            cut: vec!["the value of /spec/x is long and cut".into()],
            hidden: HiddenBody { secrets: 2, characters: 31, in_text: 1 },
            digest: "5f0c".into(),
            ..PreviewBody::default()
        },
        others: vec![],
        look: None,
    }
}

#[test]
fn blanks_forge_no_line_of_ours() {
    let mut forged = detail();
    forged.summary.reason = format!("it is fine{}Note", " ".repeat(80));
    forged.payload = format!("{{\n    \"a\": \"x{}Note\"\n}}", " ".repeat(200));
    let text = plain(&hold(&forged, at(42), Some(80)));
    assert!(text.contains("it is fine [80 blanks] Note"), "{text}");
    assert!(text.contains("\n      \"a\": \"x [200 blanks] Note\""), "{text}");
    forged.summary.reason = format!("it is fine{}Note", "-".repeat(80));
    let text = plain(&hold(&forged, at(42), Some(80)));
    assert!(text.lines().all(|line| !line.starts_with("---")), "{text}");
    assert_eq!(text.lines().filter(|line| line.starts_with("Note")).count(), 1, "{text}");
    assert!(text.contains("\n  \u{21aa} -"), "{text}");
}

/// Without colours.
pub(crate) fn plain(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

#[test]
fn a_hold_starts_with_one_sentence() {
    insta::assert_snapshot!(plain(&hold(&detail(), at(42), None)));
}

#[test]
fn a_denial_says_how_long_it_stands() {
    let mut denied = detail().summary;
    denied.state = "denied".into();
    let by = Identity { username: "alice".into(), ..Identity::default() };
    denied.verdict =
        Some(VerdictBody { reviewer: by, reason: "use\u{202e} 1.27.3".into(), at: at(60) });
    (denied.changed_at, denied.binds_until) = (at(60), Some(at(660)));
    let table = plain(&denials(std::slice::from_ref(&denied), false, at(300)));
    let row = table.lines().nth(1).expect("a row");
    let (_, row) = row.split_once("k3mq7xzw").expect("an id");
    assert_eq!(
        row.split_whitespace().collect::<Vec<_>>().join(" "),
        "6m agents/triage delete namespaces payments alice use\\u{202e} 1.27.3",
        "{table}"
    );
    let wide = plain(&denials(std::slice::from_ref(&denied), true, at(300)));
    assert!(wide.contains("WHY HELD") && wide.contains("delete-namespace"), "{wide}");
    let mut shown = detail();
    shown.others = vec![denied.clone()];
    let said = |shown: &HoldDetail, now| {
        let page = plain(&hold(shown, at(now), None));
        let section = page.split("Of the same object\n").nth(1).expect("a section").to_owned();
        section.lines().take(2).map(str::trim).collect::<Vec<_>>().join("\n")
    };
    let first = "k3mq7xzw  ServiceAccount agents/triage wants to delete namespace payments.";
    let by = "Denied by alice: use\\u{202e} 1.27.3.";
    assert_eq!(said(&shown, 300), format!("{first}\n4m ago: {by} The same stays denied for 6m."));
    assert_eq!(said(&shown, 960), format!("{first}\n15m ago: {by}"));
    shown.others[0].binds_until = None;
    assert_eq!(said(&shown, 300), format!("{first}\n4m ago: {by} The denial was lifted."));
}

#[test]
fn the_queue_is_a_table() {
    insta::assert_snapshot!(plain(&holds(&[detail().summary], true, at(300))));
}

#[test]
fn an_empty_list_says_of_what() {
    let asked = |state: &str, agent: &str, namespace: &str| {
        let some = |it: &str| Some(it.to_owned()).filter(|it| !it.is_empty());
        AskedFor { state: some(state), agent: some(agent), namespace: some(namespace) }
    };
    let table = [
        (asked("", "", ""), 0, "Nothing is waiting."),
        (asked("", "medic", ""), 0, "Nothing is waiting of agent medic."),
        (
            asked("", "medic", "dev"),
            4,
            "Nothing is waiting of agent medic in namespace dev. 4 holds wait beside that: `agent-shield holds`.",
        ),
        (
            asked("Expired", "", ""),
            1,
            "No hold is expired. 1 hold waits beside that: `agent-shield holds`.",
        ),
        (asked("all", "", "dev"), 0, "There is no hold in namespace dev."),
        (asked("done", "a\u{1b}", ""), 0, "No hold is done of agent a\\u{1b}."),
    ];
    for (asked, open, want) in table {
        assert_eq!(no_holds(&asked, open), want);
    }
    assert_eq!(no_denials(&asked("", "", "")), "No denial stands.");
    assert_eq!(no_denials(&asked("", "medic", "")), "No denial stands of agent medic.");
}

#[test]
fn a_hold_of_two_says_who_is_missing() {
    let mut half = detail();
    half.summary.reviewers =
        vec![ReviewersBody { groups: vec!["dba\u{1b}".into()], count: 2, missing: 1 }];
    half.summary.reason_required = true;
    half.summary.missing = "1 more approval by another member of dba\u{1b}".into();
    half.summary.approvals = vec![VerdictBody {
        reviewer: Identity { username: "alice\u{1b}[2J".into(), ..Identity::default() },
        reason: "restored\nyesterday".into(),
        at: at(30),
    }];
    let text = plain(&hold(&half, at(42), None));
    let told: Vec<&str> = text.lines().skip(6).take(2).collect();
    assert_eq!(
        told,
        [
            "Approved by alice\\u{1b}[2J at 2027-01-15T08:00:30Z: restored\\u{a}yesterday.",
            "Still needed: 1 more approval by another member of dba\\u{1b}, with a reason.",
        ]
    );
    let table = plain(&holds(&[half.summary.clone()], true, at(300)));
    assert!(table.contains("pending 1/2") && table.contains("another member of dba\\u{1b}"));
    half.summary.reviewers = vec![ReviewersBody { groups: vec![], count: 1, missing: 0 }];
    half.summary.state = "approved".into();
    assert_eq!(state(&half.summary), "approved");
}

#[test]
fn the_queue_says_what_is_of_a_freeze_and_of_a_command() {
    let mut one = detail().summary;
    one.request.kubectl_session = "s1".into();
    let mut other = one.clone();
    other.request.kubectl_session = "s2".into();
    let table = plain(&holds(&[one.clone(), one.clone(), other], false, at(0)));
    assert_eq!(table.matches("(1 of 2 of this command)").count(), 2, "{table}");
    assert!(!table.contains("frozen"), "{table}");
    let mut frozen = detail();
    frozen.summary.frozen = Some(FreezeBody {
        user: "bot".into(),
        reviewer: Identity { username: "alice".into(), ..Identity::default() },
        reason: "runs wild\u{1b}".into(),
        at: at(0),
        is_known: None,
        was_frozen: None,
    });
    let table = plain(&holds(&[frozen.summary.clone()], false, at(0)));
    assert!(table.contains("pending, agent frozen"), "{table}");
    let page = plain(&hold(&frozen, at(0), None));
    assert!(page.contains("Its agent is frozen since"), "{page}");
    assert!(page.contains("by alice: runs wild") && page.contains(" thaw bot"), "{page}");
    assert!(!page.contains(" approve ") && !page.contains('\u{1b}'), "{page}");
}

#[test]
fn the_timeline_is_a_table() {
    let event = |event: &str, by: &str, reason: &str| HoldEventBody {
        time: at(1),
        event: event.into(),
        reviewer: Some(by.into()),
        reason: reason.into(),
        rules: if event == "drifted" { vec!["scale-to-zero".into()] } else { Vec::new() },
    };
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
        approvals: vec![],
        is_frozen: false,
        hold_events: vec![
            event("partlyApproved", "bob", "fine"),
            event("drifted", "", ""),
            event("denied", "alice", "no"),
        ],
        decided_at: Some(at(61)),
        reviewer: Some("alice".into()),
        verdict_reason: "wrong\u{1b} namespace".into(),
        outcome: "refused".into(),
        code: 403,
        latency_micros: 12_345,
        bytes: 0,
        probe_of: None,
        notes: Vec::new(),
        hold_state: None,
    };
    let freeze = CallBody {
        user: None,
        request: Some(RequestRecord {
            verb: "freeze".into(),
            api_group: "agent-shield.io".into(),
            resource: "agents".into(),
            name: "system:serviceaccount:agents:triage".into(),
            ..RequestRecord::default()
        }),
        decision: String::new(),
        rules: Vec::new(),
        reason: String::new(),
        hold: None,
        hold_events: Vec::new(),
        reviewer: Some("chief".into()),
        decided_at: Some(at(90)),
        verdict_reason: "runs wild".into(),
        outcome: "done".into(),
        code: 0,
        latency_micros: 0,
        time: at(90),
        ..call.clone()
    };
    let all = Timeline {
        items: vec![freeze, call],
        left_out: false,
        restricted: false,
        filter: BTreeMap::new(),
    };
    insta::assert_snapshot!(plain(&timeline(&all, true)));
    let filter = [("verb", "delete"), ("limit", "200"), ("user", "a\u{1b}")];
    let filter = filter.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    let none = Timeline { items: Vec::new(), left_out: false, restricted: false, filter };
    let text = timeline(&none, false);
    assert!(text.starts_with("Nothing was recorded that matches: user a"), "{text}");
    assert!(text.ends_with(", verb delete.") && !text.contains('\u{1b}'), "{text}");
}
