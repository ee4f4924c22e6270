//! Agents ask first: their own rules, and access reviews that say what would be held.

use std::{fs, time::Duration};

use cluster::{Scene, namespace};
use serde_json::{Value, json};
use testkit::{Shield, http, wait_until};

const RULES: &str = "/.well-known/agent-shield";

/// A rule about this scene's agent, one about somebody else, and one that only watches.
fn policies(agent: &str) -> String {
    let policy = |name: &str, user: &str, mode: &str| {
        format!(
            "---
apiVersion: agent-shield.io/v1alpha1
kind: Policy
metadata: {{name: {name}}}
spec:
  agents: {{users: ['{user}']}}
  matchConstraints: {{resourceRules: [{{resources: [configmaps], operations: [CREATE]}}]}}
  rules: [{{name: rule, action: deny, reason: not here{mode}}}]
"
        )
    };
    [
        policy("mine", agent, ""),
        policy("theirs", "somebody", ""),
        policy("quiet", agent, ", mode: shadow"),
    ]
    .concat()
}

fn review(namespace: &str, verb: &str, group: &str, resource: &str) -> Value {
    json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {
            "namespace": namespace, "verb": verb, "group": group, "resource": resource,
        }},
    })
}

#[test]
fn an_agent_is_told_its_own_rules_and_no_others() {
    let scene = Scene::new("ask-rules");
    let dir = scene.cluster.dir().join(scene.cluster.unique("ask-rules"));
    fs::create_dir_all(&dir).expect("a directory");
    fs::write(dir.join("p.yaml"), policies(&scene.agent.username)).expect("a file");
    let shield = Shield::start(scene.cluster, &["--policy", &dir.display().to_string()]);
    let answer = shield.request(&scene.agent, "GET", RULES, None, b"");
    let told = answer.json();
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!((&told["kind"], &told["frozen"]), (&json!("AgentRules"), &json!(false)));
    assert_eq!(told["username"], scene.agent.username.as_str());
    let rule = |name: &str| {
        let rules = told["rules"].as_array().expect("rules");
        rules.iter().find(|it| it["name"] == name).cloned()
    };
    let mine = rule("mine/rule").expect("a rule about the agent");
    assert_eq!((&mine["action"], &mine["where"]), (&json!("deny"), &json!("everywhere")));
    assert_eq!(mine["requests"][0]["resources"], json!(["configmaps"]));
    assert_eq!(rule("delete-namespace").expect("a built-in rule")["action"], "hold");
    let text = answer.text();
    assert!(!text.contains("theirs") && !text.contains("somebody"), "what others may do: {text}");
    assert!(rule("quiet/rule").is_none(), "a shadow rule asks nobody");

    // Nobody is nobody's agent, and nothing else is served there.
    let ask = |method, headers: &[(&str, &str)], body: &[u8]| {
        let answer = http::request(&shield.agent_url, &shield.ca(), method, RULES, headers, body);
        answer.expect("an answer")
    };
    assert_eq!(ask("GET", &[("Connection", "close")], b"").status, 401);
    let bad = [("Authorization", "Bearer nonsense"), ("Connection", "close")];
    assert_eq!(ask("GET", &bad, b"").status, 401);
    wait_until(Duration::from_secs(20), "it is recorded like any read", || {
        let entries = shield.cli_json(&scene.reviewer, &["timeline", "--since", "5m"]);
        entries.to_string().contains(RULES).then_some(())
    });
}

#[test]
fn an_access_review_says_what_would_be_held() {
    let scene = Scene::new("ask-review");
    let target = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    let table = [
        (&scene.prod, "delete", "apps", "deployments", "waits for a person's approval"),
        (&scene.prod, "patch", "apps", "deployments", "may wait for a person's approval"),
        (&scene.dev, "delete", "apps", "deployments", "waits for a person's approval"),
        // What hangs on it is not known yet.
        (&scene.dev, "delete", "", "configmaps", "may wait for a person's approval"),
        (&scene.prod, "get", "", "pods", ""),
        (&scene.prod, "create", "authorization.k8s.io", "selfsubjectaccessreviews", ""),
    ];
    for (namespace, verb, group, resource, want) in table {
        let body = review(namespace, verb, group, resource).to_string();
        let json = Some("application/json");
        let answer = scene.shield.request(&scene.agent, "POST", target, json, body.as_bytes());
        assert_eq!(answer.status, 201, "{}", answer.text());
        assert_eq!(answer.json()["status"]["allowed"], true, "as the API server answers");
        let warning = answer.header("warning").unwrap_or_default();
        let fits = if want.is_empty() { warning.is_empty() } else { warning.contains(want) };
        assert!(fits, "{verb} {resource} in {namespace}: {warning}");
    }
    // kubectl asks in protobuf, and prints what it is warned of.
    let kubectl = |args: &[&str]| {
        let mut command = scene.cluster.kubectl_as(&scene.shield.kubeconfig(&scene.agent));
        let output = command.args(args).output().expect("kubectl");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (text(&output.stdout), text(&output.stderr))
    };
    let (said, warned) =
        kubectl(&["auth", "can-i", "delete", "deployments.apps", "-n", &scene.prod]);
    assert_eq!(said.trim(), "yes");
    assert!(
        warned.contains(&format!(
            "delete deployments.apps in {}` waits for a person's approval (delete-workload",
            scene.prod
        )),
        "{warned}"
    );
    let (said, warned) = kubectl(&["auth", "can-i", "list", "pods", "-n", &scene.prod]);
    assert_eq!((said.trim(), warned.contains("approval")), ("yes", false), "{warned}");
    let (said, warned) = kubectl(&["auth", "can-i", "--list", "-n", &scene.prod]);
    assert!(said.contains("*.*"), "{said}");
    assert!(warned.contains(RULES), "{warned}");
}

#[test]
fn an_access_review_tells_nothing_of_where_the_agent_may_not_go() {
    let scene = Scene::new("ask-oracle");
    let cluster = scene.cluster;
    let other = cluster.unique("ask-oracle-other");
    cluster.apply(&namespace(&other, "production")).expect("a namespace");
    let all = json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]);
    let agent = cluster.agent(&scene.dev, "narrow", &[&scene.dev], &all).expect("an agent");
    let (dev, name) = (scene.dev.as_str(), other.as_str());
    let asks = |resource: Value| {
        let body = json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
            "spec": resource,
        });
        let target = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
        let json = Some("application/json");
        let body = body.to_string();
        let answer = scene.shield.request(&agent, "POST", target, json, body.as_bytes());
        let allowed = answer.json()["status"]["allowed"].as_bool().expect("an answer");
        (allowed, answer.header("warning").unwrap_or_default().to_owned())
    };
    let right = |namespace: &str, verb: &str, resource: &str, name: &str| {
        let group = if resource == "deployments" { "apps" } else { "" };
        asks(json!({"resourceAttributes": {
            "namespace": namespace, "verb": verb, "group": group, "resource": resource, "name": name,
        }}))
    };
    let (allowed, warning) = right(dev, "delete", "deployments", "");
    assert!(allowed && warning.contains("waits for a person's approval"), "{warning}");
    assert_eq!(right(&other, "delete", "deployments", ""), (false, String::new()));
    assert_eq!(right("kube-system", "create", "configmaps", ""), (false, String::new()));
    let path = |verb: &str, path: &str| {
        asks(json!({"nonResourceAttributes": {"verb": verb, "path": path}}))
    };
    assert_eq!(path("post", "/somewhere"), (false, String::new()));
    // Everybody may get what lies below `/api`, as far as it is no resource.
    let exec = format!("/api/v1/namespaces/{other}/pods/p/exec");
    assert_eq!(path("get", &exec), (true, String::new()));
    // RBAC reads a Namespace as one of the namespace that is asked about, and says yes; the call is in
    // the Namespace itself, where this agent has no rights.
    assert_eq!(right(dev, "patch", "namespaces", name), (true, String::new()));
    let (allowed, warning) = right(&other, "patch", "namespaces", dev);
    assert!(!allowed && warning.contains("may wait for a person's approval"), "{warning}");
    let (allowed, warning) = right(dev, "delete", "namespaces", dev);
    assert!(allowed && warning.contains(&format!("namespaces {dev} in {dev}` waits")), "{warning}");

    // By the class of the Namespace that is named, or of what is in none, not of kubectl's context.
    let warned = |args: &[&str]| {
        let mut kubectl = cluster.kubectl_as(&scene.shield.kubeconfig(&scene.agent));
        let output = kubectl.args(["auth", "can-i"]).args(args).output().expect("kubectl");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let guarded = cluster.unique("ask-oracle-guarded");
    let mut object = namespace(&guarded, "production");
    object["metadata"]["labels"]["agent-shield.io/protected"] = json!("true");
    cluster.apply(&object).expect("a namespace");
    let text = warned(&["-n", dev, "patch", &format!("namespaces/{guarded}")]);
    assert!(text.contains("write-in-protected-namespace"), "{text}");
    let text = warned(&["-n", "kube-system", "patch", "nodes/n1"]);
    assert!(text.contains("may wait"), "{text}");
    assert!(!text.contains("write-in-protected-namespace"), "{text}");
}

#[test]
fn a_denial_tells_no_rule_of_where_the_agent_may_not_go() {
    let scene = Scene::new("ask-denial");
    let cluster = scene.cluster;
    let other = cluster.unique("ask-denial-other");
    cluster.apply(&namespace(&other, "production")).expect("a namespace");
    let all = json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]);
    let agent = cluster.agent(&scene.dev, "narrow", &[&scene.prod], &all).expect("an agent");
    let dir = cluster.dir().join(cluster.unique("ask-denial"));
    fs::create_dir_all(&dir).expect("a directory");
    let deny = |verb: &str| {
        format!(
            "---
apiVersion: agent-shield.io/v1alpha1
kind: Policy
metadata: {{name: own-{verb}}}
spec:
  matchConstraints: {{resourceRules: [{{resources: [configmaps], verbs: [{verb}]}}]}}
  rules: [{{name: maps, where: production, action: deny, reason: not in production}}]
"
        )
    };
    fs::write(dir.join("p.yaml"), deny("get") + &deny("create")).expect("a file");
    let shield = Shield::start(cluster, &["--policy", &dir.display().to_string()]);
    let map = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"m"}}"#;
    for (method, verb, name, body) in [("POST", "create", "", map), ("GET", "get", "/m", "")] {
        let asks = |namespace: &str| {
            let target = format!("/api/v1/namespaces/{namespace}/configmaps{name}");
            let media = Some("application/json").filter(|_| !body.is_empty());
            let answer = shield.request(&agent, method, &target, media, body.as_bytes());
            (answer.status, answer.json()["message"].as_str().unwrap_or_default().to_owned())
        };
        let (status, said) = asks(&scene.prod);
        assert!(status == 403 && said.contains("/maps: not in production"), "{verb}: {said}");
        let (status, said) = asks(&other);
        assert!(status == 403 && said.contains("is forbidden: User"), "{verb}: {said}");
        assert!(!said.contains("maps: ") && !said.contains("production"), "{verb}: {said}");
    }
    // Nor is a person asked about what is no API resource, where RBAC would refuse it.
    let answer = shield.request(&agent, "POST", "/somewhere", None, b"");
    assert!(answer.text().contains("cannot post path"), "{} {}", answer.status, answer.text());
    wait_until(Duration::from_secs(20), "both denials are recorded with their rule", || {
        let timeline = shield.cli_json(&scene.reviewer, &["timeline", "--since", "5m"]);
        let calls = timeline["items"].as_array()?.clone();
        let is_denied = |it: &&Value| {
            let rule = it["rules"][0].as_str().unwrap_or_default();
            rule.ends_with("/maps") && it["request"]["namespace"] == other.as_str()
        };
        (calls.iter().filter(is_denied).count() == 2).then_some(())
    });
}
