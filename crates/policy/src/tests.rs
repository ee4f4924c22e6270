//! Policies as people write them, and what they say.

use std::collections::BTreeMap;

use attributes::User;
use effects::{
    About, ClassConfig, Effect, EffectKind as E, NamespaceClass, ObjectRef,
    about::{Count, Counted},
    plan,
};
use http::{HeaderMap, Method};
use jiff::Timestamp;
use serde_json::{Value as Json, json};

use super::*;

fn now() -> Timestamp {
    "2026-06-01T12:00:00Z".parse().expect("a time")
}

fn source(text: &str) -> Source {
    Source { name: "p.yaml".into(), text: text.into() }
}

fn pack(text: &str) -> Pack {
    match compile(&[source(text)], now()) {
        Ok(compiled) => compiled.pack.guarding("agent-shield"),
        Err(issues) => panic!("{}", words(&issues)),
    }
}

fn words(issues: &[Issue]) -> String {
    issues.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Settings that leave nothing of the default pack but what the policy says.
const ALONE: &str = "---
apiVersion: agent-shield.io/v1alpha1
kind: PolicySettings
metadata: {name: settings}
spec: {packs: []}
";

fn policy(spec: &str) -> String {
    let spec: String = spec.lines().map(|line| format!("  {line}\n")).collect();
    format!(
        "apiVersion: agent-shield.io/v1alpha1\nkind: Policy\nmetadata:\n  name: test\nspec:\n{spec}"
    )
}

fn class(labels: &[(&str, &str)]) -> NamespaceClass {
    let labels: BTreeMap<String, String> =
        labels.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
    NamespaceClass::of("shop", Some(&labels), &ClassConfig::default())
}

struct Request<'r> {
    method: &'r str,
    path: &'r str,
    user: &'static str,
    labels: &'static [(&'static str, &'static str)],
    old: Option<Json>,
    new: Option<Json>,
    effects: Vec<Effect>,
    earlier: Vec<Past>,
    unknown: bool,
}

impl Default for Request<'_> {
    fn default() -> Self {
        Self {
            method: "PATCH",
            path: "/apis/apps/v1/namespaces/shop/deployments/web",
            user: "system:serviceaccount:agents:triage",
            labels: &[("team", "shop")],
            old: Some(json!({"metadata": {"name": "web"}, "spec": {"replicas": 3}})),
            new: Some(json!({"metadata": {"name": "web"}, "spec": {"replicas": 2}})),
            effects: Vec::new(),
            earlier: Vec::new(),
            unknown: false,
        }
    }
}

impl Request<'_> {
    fn judged(&self, pack: &Pack) -> PolicyDecision {
        let method = Method::from_bytes(self.method.as_bytes()).expect("a method");
        let attributes = attributes::read(&method, self.path, &HeaderMap::new()).expect("a path");
        let user = User { username: self.user.into(), groups: vec!["g".into()], ..User::default() };
        let class = class(self.labels);
        if attributes.is_read() {
            return pack.decide_read(&attributes, &user, &class, now());
        }
        let pair = Pair { old: self.old.as_ref(), new: self.new.as_ref() };
        pack.decide(&Input {
            attributes: &attributes,
            user: &user,
            class: &class,
            is_write: true,
            effects: &self.effects,
            objects: match self.unknown {
                true => Objects::Unknown("no dry run".into()),
                false => Objects::Known(vec![pair]),
            },
            changes: &[],
            earlier: &self.earlier,
            redact: &|_| json!("redacted"),
            now: now(),
        })
    }

    fn says(&self, text: &str) -> String {
        let verdict = self.judged(&pack(&format!("{text}{ALONE}")));
        match verdict.decision {
            Decision::Allow => "allow".into(),
            decision => format!("{decision:?}: {}", verdict.reason()),
        }
    }
}

fn effect(kind: E, group: &str, resource: &str, count: Option<(i64, i64)>) -> Effect {
    let object = ObjectRef {
        api_group: group.into(),
        resource: resource.into(),
        namespace: "shop".into(),
        name: "web".into(),
        uid: String::new(),
    };
    let about = match count {
        None => About::Said("does it".into()),
        Some((old, new)) => About::Count(Count::new(Counted::Replicas, Some(old), Some(new))),
    };
    Effect { kind, object, about }
}

fn default_says(kind: E, resource: &str, count: Option<(i64, i64)>, production: bool) -> String {
    let group = if resource == "deployments" { "apps" } else { "" };
    let labels: &[(&str, &str)] = if production { &[] } else { &[("env", "dev")] };
    let request = Request {
        labels,
        effects: vec![effect(kind, group, resource, count)],
        ..Request::default()
    };
    let verdict = request.judged(&Pack::default_pack().expect("the default pack"));
    match verdict.rules().first() {
        Some(rule) => format!("{:?} {rule}", verdict.decision),
        None => format!("{:?}", verdict.decision),
    }
}

#[test]
fn the_default_pack_answers_as_the_defaults_do() {
    let table = [
        (E::Delete, "deployments", None, false, "Hold delete-workload"),
        (E::Delete, "secrets", None, false, "Hold delete-secret"),
        (E::Delete, "configmaps", None, false, "Allow"),
        (E::Delete, "configmaps", None, true, "Hold delete-in-production"),
        (E::ScaleDown, "deployments", Some((5, 4)), true, "Allow"),
        (E::ScaleDown, "deployments", Some((3, 1)), true, "Hold scale-down-drastic"),
        (E::ScaleDown, "deployments", Some((10, 5)), true, "Hold scale-down-drastic"),
        (E::ScaleDown, "deployments", Some((10, 6)), true, "Allow"),
        (E::ScaleDown, "deployments", Some((1, 0)), true, "Hold scale-down-drastic"),
        (E::ScaleDown, "deployments", Some((2, 1)), true, "Hold scale-down-drastic"),
        (E::ScaleDown, "deployments", None, true, "Hold scale-down-drastic"),
        (E::ScaleDown, "deployments", Some((10, 0)), false, "Allow"),
        (E::ScaleUp, "deployments", Some((5, 7)), true, "Allow"),
        (E::ScaleUp, "deployments", Some((5, 100)), true, "Hold scale-up-sharp"),
        (E::ScaleUp, "deployments", Some((i64::MAX / 2, i64::MAX)), true, "Hold scale-up-sharp"),
        (E::ChangeImage, "deployments", None, true, "Hold change-image"),
        (E::ChangeImage, "deployments", None, false, "Allow"),
        (E::Restart, "deployments", None, true, "Allow"),
        (E::ChangeLabels, "deployments", None, true, "Allow"),
        (E::ChangeOwners, "configmaps", None, false, "Hold change-owners"),
        (E::Unknown, "widgets", None, false, "Hold not-understood"),
        (E::ProxyToNode, "nodes", None, true, "Deny proxy-to-node"),
        (E::Uncordon, "nodes", None, true, "Allow"),
        (E::CreateInert, "configmaps", None, true, "Allow"),
        (E::CreateActive, "pods", None, true, "Hold create-in-production"),
        (E::CreateActive, "pods", None, false, "Allow"),
    ];
    for (kind, resource, count, production, want) in table {
        assert_eq!(default_says(kind, resource, count, production), want, "{kind:?} {resource}");
    }
    let request = Request {
        labels: &[("env", "dev"), ("agent-shield.io/protected", "")],
        ..Request::default()
    };
    let verdict = request.judged(&Pack::default_pack().expect("the default pack"));
    assert_eq!(verdict.rules(), ["write-in-protected-namespace"]);
    assert_eq!(verdict.reason(), "writes in protected namespace shop");
}

#[test]
fn the_guide_lists_every_rule() {
    let guide = include_str!("../../../docs/guide/4-policy.md");
    let listed: Vec<String> = guide
        .lines()
        .filter(|line| line.contains("| hold |") || line.contains("| deny |"))
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(name, _)| name.to_owned())
        .collect();
    let pack = Pack::default_pack().expect("the default pack");
    let rules: Vec<String> = pack.rules().iter().map(|rule| rule.name.to_string()).collect();
    assert_eq!(listed, rules);
}

#[test]
fn every_built_in_pack_compiles() {
    for (name, _) in PACKS {
        let settings = ALONE.replace("packs: []", &format!("packs: [{name}]"));
        let pack = pack(&settings);
        assert!(pack.rules().len() > 30, "{name}");
        let held = Request {
            effects: vec![effect(E::Delete, "apps", "deployments", None)],
            ..Request::default()
        };
        let verdict = held.judged(&pack);
        match name {
            "observe" => {
                assert_eq!(verdict.decision, Decision::Allow);
                assert_eq!(verdict.shadow[0].rule, RuleName::from("delete-workload"));
                let node = Request {
                    effects: vec![effect(E::ProxyToNode, "", "nodes", None)],
                    ..Request::default()
                };
                assert_eq!(node.judged(&pack).decision, Decision::Deny, "self-protection stays");
            }
            _ => assert_eq!(verdict.decision, Decision::Hold, "{name}"),
        }
    }
}

#[test]
fn agent_shield_is_guarded_whatever_is_chosen() {
    const POLICIES: &str = "/apis/agent-shield.io/v1alpha1";
    const CRDS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    const APIS: &str = "/apis/apiregistration.k8s.io/v1/apiservices";
    const OWN: &str = "/apis/apps/v1/namespaces/agent-shield/deployments/agent-shield";
    let nothing = policy("rules:\n- {name: rule, action: hold, when: 'false'}");
    let exception = |rule: &str| {
        format!(
            "---\napiVersion: agent-shield.io/v1alpha1\nkind: PolicyException\nmetadata: {{name: all}}\nspec:\n  {{reason: r, expires: 2027-01-01T00:00:00Z, rules: [{rule}], agents: {{users: ['*']}}, namespaces: ['*', '']}}\n"
        )
    };
    let observed = ALONE.replace("[]", "[observe]");
    let excepted = exception("write-acting-resource");
    let sets = [format!("{nothing}{ALONE}"), format!("{nothing}{observed}"), excepted];
    let table = [
        ("PATCH", format!("{POLICIES}/policies/freeze"), true),
        ("DELETE", format!("{POLICIES}/policies/freeze"), true),
        ("DELETE", format!("{POLICIES}/policies"), true),
        ("POST", format!("{POLICIES}/policyexceptions"), true),
        ("PUT", format!("{POLICIES}/policysettings/settings/status"), true),
        ("DELETE", format!("{CRDS}/policies.agent-shield.io"), true),
        ("PATCH", format!("{CRDS}/policysettings.agent-shield.io/status"), true),
        ("DELETE", CRDS.to_owned(), false),
        ("PUT", format!("{APIS}/v1alpha1.agent-shield.io"), true),
        ("PUT", format!("{APIS}/v1beta1.metrics.k8s.io"), false),
        ("PATCH", format!("{CRDS}/widgets.example.com"), false),
        ("PATCH", OWN.to_owned(), true),
        ("POST", "/api/v1/namespaces/agent-shield/pods".to_owned(), true),
        ("PATCH", OWN.replace("agent-shield", "shop"), false),
    ];
    for text in &sets {
        let pack = pack(text);
        for (method, path, is_held) in &table {
            let verdict = Request { method, path, ..Request::default() }.judged(&pack);
            let rules = verdict.rules().join(",");
            assert_eq!(
                rules.contains("write-to-agent-shield"),
                *is_held,
                "{method} {path}: {rules}"
            );
            assert_eq!(verdict.decision == Decision::Hold, *is_held, "{method} {path}: {rules}");
        }
    }
    let crd = |name: &str| Some(json!({"metadata": {"name": name}}));
    let collection = |old: Option<Json>, unknown: bool| {
        let request =
            Request { method: "DELETE", path: CRDS, old, new: None, unknown, ..Request::default() };
        request.judged(&pack(&sets[0])).decision
    };
    assert_eq!(collection(crd("policies.agent-shield.io"), false), Decision::Hold);
    assert_eq!(collection(crd("widgets.example.com"), false), Decision::Allow);
    assert_eq!(collection(None, true), Decision::Hold, "it may be among them");
    let guarded = exception("write-to-agent-shield");
    let issues = compile(&[source(&guarded)], now()).expect_err("refused");
    assert!(words(&issues).contains("nothing loosens it"), "{}", words(&issues));
}

#[test]
fn conditions_are_of_everything_there_is() {
    let when = |expression: &str| {
        policy(&format!(
            "parameters: {{limit: 3, names: [web, api]}}\nvariables:\n- name: cut\n  expression: oldObject.spec.replicas - object.spec.replicas\nrules:\n- name: rule\n  when: >-\n    {expression}\n  action: hold\n  reason: '{{{{request.name}}}} by {{{{agent.serviceAccount.name}}}}'"
        ))
    };
    let table = [
        ("object.spec.replicas < oldObject.spec.replicas", true),
        ("variables.cut > 0 && params.limit == 3", true),
        ("variables.cut > 1", false),
        ("request.name in params.names", true),
        ("request.operation == 'UPDATE' && request.resource.group == 'apps'", true),
        ("request.userInfo.groups.exists(g, g == 'g')", true),
        ("agent.serviceAccount.namespace == 'agents'", true),
        ("namespaceObject.metadata.labels.team == 'shop'", true),
        ("namespaceObject.metadata.name == 'shop'", true),
        ("namespaceClass.production && !namespaceClass.protected", true),
        ("now.getDayOfWeek() == 1", true),
        ("effects.exists(e, e.kind == 'Delete')", false),
        ("window.filter(c, c.kind == 'Restart' && c.ageSeconds < 3600).size() >= 1", true),
        ("diff.exists(c, c.path == '/spec')", false),
    ];
    let earlier = vec![Past::of(
        &effect(E::Restart, "apps", "deployments", None),
        "2026-06-01T11:30:00Z".parse().expect("a time"),
    )];
    for (expression, holds) in table {
        let request = Request { earlier: earlier.clone(), ..Request::default() };
        let want = if holds { "Hold: web by triage" } else { "allow" };
        assert_eq!(request.says(&when(expression)), want, "{expression}");
    }
    // What has no answer holds, whatever it would have asked for.
    let failing = when("object.spec.nope == 1").replace("action: hold", "action: deny");
    let said = Request::default().says(&failing);
    assert_eq!(said, "Hold: the rule could not be evaluated: no such key: nope");
    let unknown = Request { unknown: true, ..Request::default() };
    let said = unknown.says(&when("object.spec.replicas == 0"));
    assert_eq!(said, "Hold: the rule could not be evaluated: the object is not known: no dry run");
}

#[test]
fn requests_are_matched_as_by_validating_admission_policy() {
    let constraints = |it: &str| {
        policy(&format!(
            "matchConstraints:\n  {it}\nrules:\n- name: rule\n  action: hold\n  reason: r"
        ))
    };
    let rules = |it: &str| constraints(&format!("resourceRules:\n  - {{{it}}}"));
    let deployments = "apiGroups: [apps], resources: [deployments], operations";
    let table = [
        (rules(&format!("{deployments}: [UPDATE]")), true),
        (rules(&format!("{deployments}: [CREATE, DELETE]")), false),
        (rules(&format!("{deployments}: ['*']")), true),
        (rules("apiGroups: [apps], resources: [deployments], verbs: [patch]"), true),
        (rules("apiGroups: [apps], resources: [deployments], verbs: [delete]"), false),
        (
            rules(
                "apiGroups: [apps], apiVersions: [v1beta1], resources: [deployments], operations: ['*']",
            ),
            true,
        ),
        (rules("resources: ['*'], operations: ['*']"), true),
        (rules("resources: ['*/*'], operations: ['*']"), true),
        (rules("resources: ['deployments/*'], operations: ['*']"), true),
        (rules("resources: ['deployments/scale'], operations: ['*']"), false),
        (rules("apiGroups: [''], resources: ['*'], operations: ['*']"), false),
        (rules("resources: ['*'], operations: ['*'], resourceNames: [api]"), false),
        (rules("resources: ['*'], operations: ['*'], scope: Cluster"), false),
        (constraints("namespaceSelector: {matchLabels: {team: shop}}"), true),
        (
            constraints(
                "namespaceSelector: {matchExpressions: [{key: team, operator: NotIn, values: [shop]}]}",
            ),
            false,
        ),
        (
            constraints(
                "namespaceSelector: {matchExpressions: [{key: x, operator: DoesNotExist}]}",
            ),
            true,
        ),
        (constraints("objectSelector: {matchLabels: {app: web}}"), false),
        (
            constraints("excludeResourceRules:\n  - {resources: [deployments], operations: ['*']}"),
            false,
        ),
    ];
    for (text, holds) in table {
        let want = if holds { "Hold: r" } else { "allow" };
        assert_eq!(Request::default().says(&text), want, "{text}");
    }
    // An apply that makes the object is a create, as admission sees it.
    let created = Request { old: None, ..Request::default() };
    assert_eq!(created.says(&rules(&format!("{deployments}: [CREATE]"))), "Hold: r");
    assert_eq!(created.says(&rules(&format!("{deployments}: [UPDATE]"))), "allow");
    let exec = Request {
        method: "GET",
        path: "/api/v1/namespaces/shop/pods/p/exec",
        ..Request::default()
    };
    assert_eq!(exec.says(&rules("resources: ['pods/exec'], operations: [CONNECT]")), "Hold: r");
    let labelled = Request {
        old: Some(json!({"metadata": {"labels": {"app": "web"}}})),
        ..Request::default()
    };
    assert_eq!(labelled.says(&constraints("objectSelector: {matchLabels: {app: web}}")), "Hold: r");
}

#[test]
fn agents_are_matched_by_user_group_and_account() {
    let agents = |it: &str| {
        policy(&format!("agents: {it}\nrules:\n- name: rule\n  action: deny\n  reason: r"))
    };
    let table = [
        ("{users: ['system:serviceaccount:agents:*']}", true),
        ("{users: [alice]}", false),
        ("{groups: [g]}", true),
        ("{serviceAccounts: [{namespace: agents}]}", true),
        ("{serviceAccounts: [{namespace: agents, name: 'tri*'}]}", true),
        ("{serviceAccounts: [{namespace: other}]}", false),
    ];
    for (it, matches) in table {
        let want = if matches { "Deny: r" } else { "allow" };
        assert_eq!(Request::default().says(&agents(it)), want, "{it}");
    }
}

#[test]
fn reads_are_denied_or_allowed_and_never_held() {
    let reads = "matchConstraints:\n  resourceRules:\n  - {apiGroups: [''], resources: [secrets], verbs: [get, list]}\nrules:\n- name: rule\n  when: request.verb == 'list' || request.name.startsWith('prod-')\n  action: deny\n  reason: r";
    let of = |path| Request { method: "GET", path, ..Request::default() };
    let text = policy(reads);
    assert_eq!(of("/api/v1/namespaces/shop/secrets").says(&text), "Deny: r");
    assert_eq!(of("/api/v1/namespaces/shop/secrets/prod-db").says(&text), "Deny: r");
    assert_eq!(of("/api/v1/namespaces/shop/secrets/dev-db").says(&text), "allow");
    assert_eq!(of("/api/v1/namespaces/shop/configmaps").says(&text), "allow");
    let failing = policy(&reads.replace("request.verb == 'list'", "([1][2] == 1)"));
    assert!(
        of("/api/v1/namespaces/shop/secrets/x")
            .says(&failing)
            .starts_with("Deny: the rule could not")
    );
    let attributes =
        |path| attributes::read(&Method::GET, path, &HeaderMap::new()).expect("a path");
    let pack = pack(&format!("{text}{ALONE}"));
    assert!(pack.asks_about_read(&attributes("/api/v1/namespaces/shop/secrets")));
    assert!(!pack.asks_about_read(&attributes("/api/v1/namespaces/shop/pods")));
    assert!(!Pack::default_pack().expect("a pack").asks_about_read(&attributes("/api/v1/pods")));
}

#[test]
fn only_what_is_needed_is_looked_at() {
    let asks = |spec: &str| {
        let pack = pack(&format!("{}{ALONE}", policy(spec)));
        let method = Method::PATCH;
        let path = "/apis/apps/v1/namespaces/shop/deployments/web";
        let attributes = attributes::read(&method, path, &HeaderMap::new()).expect("a path");
        pack.asks_about(&plan(&attributes, false), &attributes, &class(&[]))
    };
    let rule = |it: &str| format!("rules:\n- name: rule\n  action: hold\n  {it}");
    assert!(!asks(&rule("when: request.name == 'web' && agent.username != 'x'")));
    assert!(!asks(&rule("when: namespaceObject.metadata.labels.team == 'x'")));
    assert!(!asks(&rule("where: nonProduction\n  when: object.spec.replicas == 0")));
    assert!(asks(&rule("when: object.spec.replicas == 0")));
    assert!(asks(&rule("reason: '{{oldObject.spec.replicas}}'")));
    assert!(asks(&rule("when: diff.size() > 3")));
    assert!(asks(&rule("effects: [Delete]")));
    let others = "matchConstraints: {resourceRules: [{resources: [pods], operations: ['*']}]}\n";
    assert!(!asks(&format!("{others}{}", rule("when: object.spec.replicas == 0"))));
}

#[test]
fn shadow_rules_are_recorded_and_decide_nothing() {
    let text = policy(
        "mode: shadow\nrules:\n- name: rule\n  action: deny\n  reason: r\n- name: other\n  mode: enforce\n  action: hold\n  deadline: 15m\n  reason: s",
    );
    let verdict = Request::default().judged(&pack(&format!("{text}{ALONE}")));
    assert_eq!(verdict.decision, Decision::Hold);
    assert_eq!(verdict.deadline, Some(std::time::Duration::from_secs(900)));
    assert_eq!(verdict.shadow.len(), 1);
    assert_eq!(verdict.shadow[0].decision, Decision::Deny);
}

#[test]
fn of_what_rules_demand_of_reviewers_all_counts() {
    let rules = |last: &str| {
        policy(&format!(
            "rules:
- name: plain
  action: hold
- name: data
  action: hold
  severity: critical
  deadline: 2h
  reviewers: {{groups: [storage, dba], count: 2}}
- name: on-call
  action: hold
  severity: low
  deadline: 15m
  reviewers: {{groups: [sre], reasonRequired: true}}
- name: last
  {last}
  reviewers: {{groups: [chief], count: 3}}"
        ))
    };
    let judged = |last: &str| {
        let verdict = Request::default().judged(&pack(&format!("{}{ALONE}", rules(last))));
        let demands: Vec<String> = verdict.reviewers.iter().map(ToString::to_string).collect();
        let deadline = verdict.deadline.map(|it| document::Time(it).to_string());
        (
            demands.join("; "),
            verdict.approvals_min(),
            deadline.unwrap_or_default(),
            verdict.severity,
        )
    };
    let two = "2 of dba or storage; 1 of sre, with a reason";
    let want = (two.to_owned(), 2, "15m".to_owned(), Severity::Critical);
    assert_eq!(judged("when: 'false'\n  action: hold"), want);
    assert_eq!(judged("mode: shadow\n  action: hold"), want);
    // A rule without an answer asks whom it would have asked.
    let three = ("3 of chief; ".to_owned() + two, 3, "15m".to_owned(), Severity::Critical);
    assert_eq!(judged("when: object.nope == 1\n  action: hold"), three);
    // A denial is nobody's to approve.
    let text = format!("{}{ALONE}", rules("action: hold"))
        .replace("- name: plain\n    action: hold", "- name: plain\n    action: deny");
    let verdict = Request::default().judged(&pack(&text));
    assert_eq!((verdict.decision, verdict.approvals_min()), (Decision::Deny, 0));
    assert!(verdict.reviewers.is_empty());
}

fn exception(rules: &str, more: &str) -> String {
    format!(
        "---\napiVersion: agent-shield.io/v1alpha1\nkind: PolicyException\nmetadata: {{name: nightly}}\nspec:\n  reason: agreed\n  expires: 2026-07-01T00:00:00Z\n  rules: [{rules}]\n  agents: {{serviceAccounts: [{{namespace: agents}}]}}\n  namespaces: [shop]\n{more}"
    )
}

#[test]
fn exceptions_loosen_what_they_name_and_no_more() {
    let deleted = |user| Request {
        user,
        effects: vec![effect(E::Delete, "apps", "deployments", None)],
        ..Request::default()
    };
    let agent = "system:serviceaccount:agents:triage";
    let with = |text: &str| pack(text);
    let excepting = exception("delete-workload", "  when: request.name == 'web'\n");
    let verdict = deleted(agent).judged(&with(&excepting));
    assert_eq!(verdict.decision, Decision::Allow);
    assert_eq!(verdict.shadow[0].exception, "nightly");
    assert_eq!(deleted("alice").judged(&with(&excepting)).decision, Decision::Hold);
    for wrong in ["request.name == 'api'", "object.nope == 1"] {
        let text = excepting.replace("request.name == 'web'", wrong);
        assert_eq!(deleted(agent).judged(&with(&text)).decision, Decision::Hold, "{wrong}");
    }
    let expired = excepting.replace("2026-07", "2026-05");
    let compiled = compile(&[source(&expired)], now()).expect("a warning alone");
    assert!(words(&compiled.warnings).contains("exception `nightly` has expired"));
    assert_eq!(deleted(agent).judged(&compiled.pack).decision, Decision::Hold);
    let elsewhere = excepting.replace("namespaces: [shop]", "namespaces: ['dev-*']");
    assert_eq!(deleted(agent).judged(&with(&elsewhere)).decision, Decision::Hold);
    // Never where agent-shield itself is, nor from what guards it.
    let everywhere = excepting.replace("namespaces: [shop]", "namespaces: ['*']");
    let own =
        Request { path: "/apis/apps/v1/namespaces/agent-shield/deployments/web", ..deleted(agent) };
    assert_eq!(own.judged(&with(&everywhere)).decision, Decision::Hold);
    let mut through = deleted(agent);
    through.effects[0].object.namespace = "agent-shield".into();
    assert_eq!(through.judged(&with(&everywhere)).decision, Decision::Hold);
    let guards =
        compile(&[source(&exception("unprotect-namespace", ""))], now()).expect_err("refused");
    assert!(words(&guards).contains("`unprotect-namespace` guards agent-shield itself"));
}

#[test]
fn settings_let_logs_of_nodes_be_read() {
    let settings = |spec: &str| {
        format!(
            "apiVersion: agent-shield.io/v1alpha1\nkind: PolicySettings\nmetadata: {{name: s}}\nspec: {spec}\n"
        )
    };
    let silent = pack(&settings("{packs: [default]}"));
    let readable = pack(&settings("{nodeLogs: {reason: agreed}}"));
    for (page, want) in [
        ("logs/", true),
        ("logs/pods/a_b_c/d/0.log?x=y", true),
        ("logs/?query=kubelet", true),
        ("exec/a/b/c", false),
    ] {
        let target = format!("/api/v1/nodes/n1/proxy/{page}");
        let attributes =
            attributes::read(&Method::GET, &target, &HeaderMap::new()).expect("attributes");
        let planned = plan(&attributes, false);
        let amended = readable.amend(&attributes, planned.clone());
        assert_eq!(amended.effects.is_empty(), want, "{page}");
        assert_eq!(silent.amend(&attributes, planned.clone()), planned, "{page}");
    }
    let table = [
        ("{nodeLogs: {reason: ''}}", "letting node logs be read needs a reason"),
        ("{nodeLogs: true}", "expected mapping start"),
    ];
    for (spec, want) in table {
        let issues = compile(&[source(&settings(spec))], now()).expect_err(spec);
        assert!(words(&issues).contains(want), "{spec}: {}", words(&issues));
    }
}

#[test]
fn settings_change_parameters_and_disable_rules() {
    let settings = |spec: &str| {
        format!(
            "apiVersion: agent-shield.io/v1alpha1\nkind: PolicySettings\nmetadata: {{name: s}}\nspec: {spec}\n"
        )
    };
    let scaled = Request {
        effects: vec![effect(E::ScaleDown, "apps", "deployments", Some((10, 6)))],
        ..Request::default()
    };
    assert_eq!(scaled.judged(&Pack::default_pack().expect("a pack")).decision, Decision::Allow);
    let stricter = pack(&settings("{parameters: {default: {drasticShare: 0.7}}}"));
    assert_eq!(scaled.judged(&stricter).decision, Decision::Hold);
    let disabled = "{parameters: {default: {drasticShare: 1}}, disabled: [{rule: scale-down-drastic, reason: agreed}]}";
    assert_eq!(scaled.judged(&pack(&settings(disabled))).decision, Decision::Allow);
    let inert = pack(&settings("{inertKeys: [example.com/team]}"));
    assert!(inert.inert_keys().iter().eq(["example.com/team"]));
    let table = [
        ("{inertKeys: [team]}", "`team` cannot be an inert key: it need not be listed"),
        ("{inertKeys: [example.com/*]}", "it is not one whole key"),
        ("{inertKeys: [eks.amazonaws.com/role-arn]}", "it gives rights"),
        (
            "{parameters: {default: {drasticshare: 1}}}",
            "no parameter `drasticshare`: did you mean `drasticShare`?",
        ),
        (
            "{parameters: {default: {drasticShare: big}}}",
            "parameter `drasticShare` is a double, and not a string",
        ),
        (
            "{parameters: {defualt: {drasticShare: 1}}}",
            "there is no policy `defualt`: did you mean `default`?",
        ),
        (
            "{disabled: [{rule: scale-down-drastik, reason: x}]}",
            "did you mean `scale-down-drastic`?",
        ),
        ("{disabled: [{rule: proxy-to-node, reason: x}]}", "guards agent-shield itself"),
        ("{packs: [defualt]}", "did you mean `default`?"),
        ("{packs: []}", "no rule of the whole set is in force"),
    ];
    for (spec, want) in table {
        let issues = compile(&[source(&settings(spec))], now()).expect_err(spec);
        assert!(words(&issues).contains(want), "{spec}: {}", words(&issues));
    }
}

#[test]
fn rules_that_never_decide_are_told_of() {
    let constrained = |excluded: &str| {
        format!(
            "matchConstraints:
  resourceRules: [{{apiGroups: [apps], resources: [deployments], operations: [UPDATE]}}]
  excludeResourceRules: [{excluded}]
rules: [{{name: rule, action: hold}}]"
        )
    };
    let two = |deny: &str, hold: &str| {
        format!(
            "rules:\n- {{name: denies, action: deny, {deny}}}\n- {{name: holds, action: hold, {hold}}}"
        )
    };
    let heard =
        "p.yaml:8:12: warning: rule `holds` is never heard: wherever it asks, `denies` denies";
    let table = [
        (two("where: everywhere", "when: request.name == 'x'"), heard),
        (two("when: request.name == 'x'", "when: request.name == 'x'"), heard),
        (two("effects: [Delete, Evict]", "effects: [Delete]"), heard),
        (two("where: production", "where: production"), heard),
        (two("when: request.name == 'x'", "when: request.name == 'y'"), ""),
        (two("effects: [Delete]", "effects: [Delete, Evict]"), ""),
        (two("effects: [Delete]", "where: everywhere"), ""),
        (two("where: production", "where: protected"), ""),
        (two("mode: shadow", "where: everywhere"), ""),
        (two("where: everywhere", "mode: shadow"), ""),
        ("rules: [{name: rule, action: hold, when: 'false'}]".to_owned(), "`rule` never asks"),
        (
            "matchConditions: [{name: never, expression: 'false'}]
rules: [{name: rule, action: hold}]"
                .to_owned(),
            "condition `never` is never true",
        ),
        (constrained("{resources: ['*/*'], operations: ['*']}"), "no request is left"),
        (constrained("{resources: ['*'], operations: [UPDATE, DELETE]}"), "no request is left"),
        (constrained("{resources: [deployments], operations: [DELETE]}"), ""),
        (constrained("{resources: ['deployments/scale'], operations: ['*']}"), ""),
        (constrained("{resources: ['*'], operations: ['*'], resourceNames: [web]}"), ""),
        (constrained("{resources: ['*'], verbs: ['*']}"), ""),
    ];
    for (spec, want) in table {
        let compiled = compile(&[source(&policy(&spec))], now()).expect("warnings alone");
        let told = words(&compiled.warnings);
        assert_eq!(told.is_empty(), want.is_empty(), "{spec}: {told}");
        assert!(told.contains(want), "{spec}: {told}");
    }
    // Where an exception takes the denial back, the hold is heard.
    let both = two("where: everywhere", "where: everywhere");
    let text = policy(&both) + &exception("test/denies", "");
    let compiled = compile(&[source(&text)], now()).expect("no warnings");
    assert_eq!(words(&compiled.warnings), "");
}

#[test]
fn mistakes_have_their_place() {
    let rules = |it: &str| policy(&format!("rules:\n- name: rule\n  action: hold\n{it}"));
    let table = [
        (
            rules("  when: objet.spec.replicas == 0"),
            "p.yaml:9:11: there is no variable `objet`: did you mean `object`?",
        ),
        (rules("  when: >-\n    true &&\n    request.nmae == 'x'"), "p.yaml:11:14: request has"),
        (
            rules("  when: |\n    true &&\n      request.nmae == 'x'"),
            "p.yaml:11:16: request has no field `nmae`: did you mean `name`?",
        ),
        (rules("  when: \"reqest.name == 'x'\""), "p.yaml:9:12: there is no variable `reqest`"),
        (
            rules("  reason: 'by {{agnt.username}}'"),
            "p.yaml:9:19: there is no variable `agnt`: did you mean `agent`?",
        ),
        (rules("  wen: x"), "unknown field `wen`"),
        (
            rules("  effects: [Deleet]"),
            "p.yaml:9:15: there is no effect `Deleet`: did you mean `Delete`?",
        ),
        (
            rules("  when: effect.kind == 'Delete'"),
            "there is no variable `effect`: did you mean `effects`?",
        ),
        (
            rules("  effects: [Delete]\n  when: effect.kid == 'x'"),
            "an effect has no field `kid`: did you mean `kind`?",
        ),
        (rules("  when: request.name"), "must be true or false, and is a string"),
        (rules("  when: params.nope == 1"), "params has no field `nope`"),
        (rules("- name: rule\n  action: hold"), "there is a rule `test/rule` already, at p.yaml:7"),
        (rules("  deadline: soon"), "p.yaml:9:"),
        (rules("  deadline: 9s"), "p.yaml:9:15: a deadline is 10s at least and 7d at most"),
        (rules("  deadline: 8d"), "p.yaml:9:15: a deadline is 10s at least and 7d at most"),
        (
            rules("  reviewers: {count: 0}"),
            "p.yaml:9:24: a hold needs 1 to 10 approvals, and not 0",
        ),
        (rules("  reviewers:\n    count: 11"), "p.yaml:10:14: a hold needs 1 to 10 approvals"),
        (rules("  reviewers: {count: -1}"), "1 to 10 approvals, and not -1"),
        (rules("  reviewers: {count: two}"), "p.yaml:9:"),
        (rules("  reviewers:\n    count: 2\n    groups: []"), "p.yaml:11:15: name 1 to 20 groups"),
        (rules("  reviewers: {groups: [dba, '']}"), "p.yaml:9:25: name 1 to 20 groups"),
        (rules("  reviewers: {}"), "p.yaml:9:16: `reviewers` says nothing"),
        (rules("  reviewers: {group: [dba]}"), "unknown field `group`"),
        (
            rules("  reviewers: {count: 2}").replace("action: hold", "action: deny"),
            "p.yaml:9:16: a rule that denies asks nobody: leave out `reviewers`",
        ),
        (
            rules("  deadline: 15m").replace("action: hold", "action: deny"),
            "p.yaml:9:15: a rule that denies asks nobody: leave out `deadline`",
        ),
        (rules("  denialTime: 25h"), "p.yaml:9:17: a denial binds for 10s at least and 1d at most"),
        (
            rules("  denialTime: 1h").replace("action: hold", "action: deny"),
            "p.yaml:9:17: a rule that denies asks nobody: leave out `denialTime`",
        ),
        (policy("rules: []"), "has no rules, and so says nothing"),
        (
            policy(
                "matchConstraints: {resourceRules: [{resources: [pods], verbs: [get]}]}\nrules:\n- name: rule\n  action: hold",
            ),
            "reads are allowed or denied, never held",
        ),
        (
            policy(
                "matchConstraints: {resourceRules: [{resources: [Pod], operations: [create]}]}\nrules:\n- name: rule\n  action: hold",
            ),
            "`Pod` is not a resource: they are plural, as in `pods`",
        ),
        (
            policy(
                "matchConstraints: {resourceRules: [{resources: [pods], operations: [create]}]}\nrules:\n- name: rule\n  action: hold",
            ),
            "there is no operation `create`: did you mean `CREATE`?",
        ),
        (
            "apiVersion: agent-shield.io/v1\nkind: Policy".into(),
            "`agent-shield.io/v1` is not known here: did you mean `agent-shield.io/v1alpha1`?",
        ),
        (
            "apiVersion: agent-shield.io/v1alpha1\nkind: Polcy".into(),
            "there is no kind `Polcy` here: did you mean `Policy`?",
        ),
        ("kind: Policy".into(), "a document begins with `apiVersion"),
        ("a: [".into(), "p.yaml:"),
        (
            format!("{}---\n{}", rules(""), rules("").replace("name: test", "name: Test")),
            "p.yaml:13:9: `Test` is not a name",
        ),
    ];
    for (text, want) in table {
        let issues = compile(&[source(&text)], now()).expect_err(&text);
        assert!(words(&issues).contains(want), "wanted {want}\n{}\n{text}", words(&issues));
    }
}

#[test]
fn a_label_by_which_policies_choose_is_guarded() {
    let text = policy(
        "matchConstraints: {namespaceSelector: {matchLabels: {team: shop}}}\nrules:\n- name: rule\n  action: hold\n  when: 'false'",
    );
    let judged = |text: &str, path: &str| {
        let pack = pack(text);
        let path_of_it = "/api/v1/namespaces/shop";
        let attributes = attributes::read(&Method::PATCH, path_of_it, &HeaderMap::new());
        let attributes = attributes.expect("a request");
        let changes = [effects::Change { path: path.into(), old: None, new: Some(json!("other")) }];
        let (user, class) = (User::default(), class(&[("env", "dev")]));
        let mut relabels = effect(E::ChangeLabels, "", "namespaces", None);
        relabels.object.namespace = String::new();
        let verdict = pack.decide(&Input {
            attributes: &attributes,
            user: &user,
            class: &class,
            is_write: true,
            effects: &[relabels],
            objects: Objects::Known(vec![Pair::default()]),
            changes: &changes,
            earlier: &[],
            redact: &Json::clone,
            now: now(),
        });
        verdict.rules().join(",")
    };
    assert_eq!(judged(&text, "/metadata/labels/team"), "relabel-namespace");
    assert_eq!(judged(&text, "/metadata/labels/other"), "");
    let by_expression = policy(
        "rules:\n- name: rule\n  action: hold\n  when: namespaceObject != null && namespaceObject.metadata.labels[?'a'].orValue('') == 'b'",
    );
    assert!(judged(&by_expression, "/metadata/labels/other").contains("relabel-namespace"));
}

#[test]
fn a_collection_is_asked_about_object_by_object() {
    let text = policy(
        "rules:\n- name: rule\n  action: hold\n  when: oldObject.metadata.name == 'b'\n  reason: '{{oldObject.metadata.name}} goes'",
    );
    let pack = pack(&format!("{text}{ALONE}"));
    let method = Method::DELETE;
    let attributes = attributes::read(&method, "/api/v1/namespaces/shop/pods", &HeaderMap::new())
        .expect("a path");
    let objects = ["a", "b"].map(|name| json!({"metadata": {"name": name}}));
    let pairs = objects.iter().map(|it| Pair { old: Some(it), new: None }).collect();
    let (user, class) = (User::default(), class(&[]));
    let verdict = pack.decide(&Input {
        attributes: &attributes,
        user: &user,
        class: &class,
        is_write: true,
        effects: &[],
        objects: Objects::Known(pairs),
        changes: &[],
        earlier: &[],
        redact: &Json::clone,
        now: now(),
    });
    assert_eq!(verdict.reason(), "b goes");
}

#[test]
fn a_secret_is_never_shown() {
    let text = policy(
        "rules:\n- name: rule\n  action: hold\n  reason: 'value {{object.data.password}}'\n- name: other\n  when: object.data.password == 'hunter2'\n  action: deny",
    );
    let new = json!({"metadata": {"name": "s"}, "data": {"password": "hunter2"}});
    let request =
        Request { path: "/api/v1/namespaces/shop/secrets/s", new: Some(new), ..Request::default() };
    let said = request.says(&text);
    assert!(!said.contains("hunter2"), "{said}");
}

#[test]
fn what_an_agent_chose_cannot_speak_in_a_reason() {
    let text = policy(
        "parameters: {where: 'our own registry'}\nrules:\n- name: rule\n  action: hold\n  reason: '{{object.metadata.annotations.image}} is not of {{params.where}}'",
    );
    let pack = pack(&format!("{text}{ALONE}"));
    let target = "/api/v1/namespaces/shop/pods/p";
    let attributes = attributes::read(&Method::PUT, target, &HeaderMap::new()).expect("a path");
    let (user, class) = (User::default(), class(&[]));
    let of = |image: &str| {
        let object = json!({"metadata": {"annotations": {"image": image}}});
        let verdict = pack.decide(&Input {
            attributes: &attributes,
            user: &user,
            class: &class,
            is_write: true,
            effects: &[],
            objects: Objects::Known(vec![Pair { old: Some(&object), new: Some(&object) }]),
            changes: &[],
            earlier: &[],
            redact: &Json::clone,
            now: now(),
        });
        verdict.reason()
    };
    assert_eq!(of("web:1"), "web:1 is not of our own registry");
    let evil = "web:1; nothing differs. Approved by alice";
    assert_eq!(of(evil), format!("\"{evil}\" is not of our own registry"));
}

#[test]
fn a_decision_is_bounded() {
    let text = policy(
        "rules:\n- name: rule\n  action: deny\n  when: object.items.all(x, object.items.all(y, object.items.all(z, x + y + z >= 0)))",
    );
    let items: Vec<u32> = (0..5_000).collect();
    let request = Request { new: Some(json!({"items": items})), ..Request::default() };
    let said = request.says(&text);
    assert_eq!(said, "Hold: the rule could not be evaluated: costs more than it may");
}

#[test]
fn the_digest_is_of_what_is_in_force() {
    let one = pack(&policy("rules:\n- name: rule\n  action: hold"));
    let other = pack(&policy("rules:\n- name: rule\n  action: deny"));
    assert_eq!(one.digest().len(), "sha256:".len() + 64);
    assert_ne!(one.digest(), other.digest());
    let sources =
        [policy("rules:\n- name: rule\n  action: hold"), ALONE.into()].map(|it| source(&it));
    let mut turned = sources.clone();
    turned.reverse();
    let digest = |it: &[Source]| compile(it, now()).expect("a set").pack.digest().to_owned();
    assert_eq!(digest(&sources), digest(&turned));
}

/// Every policy of the cookbook has a test, and says what it expects.
#[test]
fn the_cookbook_says_what_its_tests_expect() {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../../policies/cookbook");
    let (mut policies, mut wrong) = (0, Vec::new());
    for entry in std::fs::read_dir(dir).expect("the cookbook") {
        let path = entry.expect("a file").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let Some(stem) = name.strip_suffix(".yaml").filter(|it| !it.ends_with(".test")) else {
            continue;
        };
        policies += 1;
        let text = std::fs::read_to_string(&path).expect("a policy");
        let test = std::fs::read_to_string(path.with_file_name(format!("{stem}.test.yaml")));
        let test: case::PolicyTest = serde_saphyr::from_str(&test.expect("its test"))
            .unwrap_or_else(|e| panic!("{name}: {e}"));
        let sources = [Source { name: name.clone(), text }, source(ALONE)];
        let pack = match compile(&sources, now()) {
            Ok(compiled) => compiled.pack,
            Err(issues) => {
                wrong.push(words(&issues));
                continue;
            }
        };
        let cases = &test.spec.cases;
        assert!(cases.iter().all(|it| it.expect.is_some()), "{name}: a case expects nothing");
        for case in cases {
            let differs = case.differs(&pack).unwrap_or_else(|why| vec![why]);
            wrong.extend(differs.iter().map(|it| format!("{name}: {}: {it}", case.name.value)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(policies >= 25, "{policies} policies");
}

/// Follows a document through the schema; `None` where a field is not in it.
fn in_schema(schema: &Json, document: &Json) -> Result<(), String> {
    match document {
        Json::Object(fields) if schema["properties"].is_object() => {
            for (key, value) in fields {
                let property = &schema["properties"][key];
                if property.is_null() {
                    return Err(format!("`{key}` is not in the schema"));
                }
                in_schema(property, value)?;
            }
            let required = schema["required"].as_array().into_iter().flatten();
            match required.into_iter().find(|it| !fields.contains_key(it.as_str().unwrap_or(""))) {
                Some(missing) => Err(format!("{missing} is missing")),
                None => Ok(()),
            }
        }
        Json::Array(items) => items.iter().try_for_each(|it| in_schema(&schema["items"], it)),
        value => match schema["enum"].as_array() {
            Some(values) if !values.contains(value) => Err(format!("{value} is not in {values:?}")),
            _ => Ok(()),
        },
    }
}

#[test]
fn the_schema_knows_what_is_written() {
    let schema: Json = serde_json::from_str(SCHEMA).expect("a schema");
    let policy = &schema["oneOf"][0];
    let every_pack: Vec<String> = PACKS.iter().map(|it| it.0.to_owned()).collect();
    let mut texts: Vec<String> =
        packs::sources(&every_pack).into_iter().map(|it| it.text).collect();
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../../policies/cookbook");
    for entry in std::fs::read_dir(dir).expect("the cookbook") {
        let path = entry.expect("a file").path();
        if !path.to_string_lossy().ends_with(".test.yaml") {
            texts.push(std::fs::read_to_string(path).expect("a policy"));
        }
    }
    for text in texts.iter().flat_map(|it| it.split("\n---\n")) {
        let document: Json = serde_saphyr::from_str(text).expect("YAML");
        in_schema(policy, &document).unwrap_or_else(|why| panic!("{why}\n{text}"));
    }
    let rule = &policy["properties"]["spec"]["properties"]["rules"]["items"]["properties"];
    let kinds: Vec<String> = E::ALL.iter().map(|it| format!("{it:?}")).collect();
    assert_eq!(rule["effects"]["items"]["enum"], json!(kinds));
    let unknown = json!({"apiVersion": API, "kind": "Policy", "metadata": {"name": "x"}, "spec": {"rulez": []}});
    assert!(in_schema(policy, &unknown).is_err());
    for limit in ["minimum", "maximum"] {
        let count = &rule["reviewers"]["properties"]["count"][limit];
        let reviewers = format!("reviewers: {{count: {count}}}");
        pack(&self::policy(&format!("rules: [{{name: rule, action: hold, {reviewers}}}]")));
    }
}

const API: &str = document::API_VERSION;

#[test]
fn a_sentence_decides_nothing() {
    let rule = |when: &str, reason: &str| {
        policy(&format!(
            "rules:\n- name: rule\n  effects: [Delete]\n  when: \"{when}\"\n  action: hold\n  reason: '{reason}'"
        ))
    };
    let table = [
        ("effect.detail == 'x'", "", "an effect has no field `detail` any more: compare fields"),
        ("effects.exists(it, it.detail == 'x')", "", "`detail` any more"),
        (
            "effect.words == 'x'",
            "",
            "an effect has no field `words` any more: sentences are for people",
        ),
        ("true", "{{effect.detail}}", "`agent-shield policy migrate` rewrites files"),
        ("effect.secretType == 1", "", "`==` does not take a string and an int"),
    ];
    for (when, reason, want) in table {
        let issues = compile(&[source(&rule(when, reason))], now()).expect_err(when);
        assert!(words(&issues).contains(want), "wanted {want}\n{}", words(&issues));
        assert!(issues.iter().all(|it| it.line > 0 && it.column > 0), "{}", words(&issues));
    }
    assert!(compile(&[source(&rule("true", "not {{effect.words}}"))], now()).is_ok());
}

#[test]
fn conditions_read_what_is_known_of_an_effect() {
    use effects::about::{Deleted, Deletion, Part, Parts, Power, Propagation};
    let deletion = |what| {
        let propagation = Some(Propagation::Orphan);
        About::Deletion(Deletion { propagation, grace_seconds: Some(0), ..Deletion::of(what) })
    };
    let power = Part::Power(Power::HostPath("/etc".into()));
    let table = [
        (E::Delete, deletion(Deleted::Secret("Opaque".into())), "effect.secretType == 'Opaque'"),
        (E::Delete, deletion(Deleted::Named), "!has(effect.secretType)"),
        (E::Delete, deletion(Deleted::Workload(3)), "effect.replicas == 3"),
        (E::Delete, deletion(Deleted::Named), "effect.propagationPolicy == 'Orphan'"),
        (E::Delete, deletion(Deleted::Named), "effect.gracePeriodSeconds == 0"),
        (
            E::Borrow,
            About::Parts(Parts::of(vec![power])),
            "effect.powers.exists(it, it.kind == 'hostPath' && it.of.startsWith('/etc'))",
        ),
        (
            E::ChangeSpec,
            About::Parts(Parts::of(vec![Part::Field("/spec/type".into())])),
            "effect.fields == ['/spec/type']",
        ),
        // Of a list that is cut nobody knows what is in the rest.
        (
            E::ChangeSpec,
            About::Parts(Parts { more: 1, ..Parts::of(vec![Part::Field("/spec/type".into())]) }),
            "!has(effect.fields)",
        ),
        (
            E::ChangeSpec,
            About::Parts(Parts { undoes: true, ..Parts::of(Vec::new()) }),
            "effect.undoes",
        ),
        (E::ChangeSpec, About::Parts(Parts::default()), "!has(effect.undoes)"),
    ];
    for (kind, about, when) in table {
        let effect = Effect { about, ..effect(kind, "", "secrets", None) };
        let request = Request { effects: vec![effect], ..Request::default() };
        let text = policy(&format!(
            "rules:\n- name: rule\n  effects: [{}]\n  when: \"{when}\"\n  action: deny\n  reason: r",
            kind.as_str()
        ));
        assert_eq!(request.says(&text), "Deny: r", "{when}");
    }
}
