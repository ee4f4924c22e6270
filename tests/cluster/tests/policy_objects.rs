//! Policies that are objects of the cluster: what the API server refuses of them, what each is told of
//! itself, and who may change them. There is one set of them for a cluster, and so one test.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::Duration,
};

use cluster::{Scene, deployment};
use serde_json::{Value, json};
use testkit::{Credential, Shield, binary, rbac_own, wait_until};

const TIME_MAX: Duration = Duration::from_secs(30);
const JSON: Option<&str> = Some("application/json");
const MERGE: Option<&str> = Some("application/merge-patch+json");
const CRDS: [&str; 3] = [
    "policies.agent-shield.io",
    "policyexceptions.agent-shield.io",
    "policysettings.agent-shield.io",
];

fn policy(name: &str, when: &str, reason: &str) -> String {
    let document = json!({
        "apiVersion": "agent-shield.io/v1alpha1", "kind": "Policy", "metadata": {"name": name},
        "spec": {
            "matchConstraints": {"resourceRules": [
                {"apiGroups": ["apps"], "resources": ["deployments"], "operations": ["UPDATE"]},
            ]},
            "rules": [{"name": "rule", "when": when, "action": "deny", "reason": reason}],
        },
    });
    document.to_string()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

/// A scene whose cluster has the resources, and a credential that may follow them.
struct Stage {
    scene: Scene,
    own: PathBuf,
}

impl Stage {
    fn new() -> Self {
        let scene = Scene::new("policy-objects");
        let rights = rbac_own("with-policies", &["--policy-objects"]);
        scene.cluster.apply_text(&rights).expect("rights");
        let own = scene.cluster.token_file_kubeconfig("agent-shield", "with-policies");
        Self { own: own.expect("a token"), scene }
    }

    fn kubectl(&self, args: &[&str], input: &str) -> Output {
        let file = self.scene.shield.data_dir().join(self.scene.cluster.unique("input"));
        fs::write(&file, input).expect("a file");
        let mut command = self.scene.cluster.kubectl();
        command.args(args).stdin(fs::File::open(file).expect("a file")).output().expect("kubectl")
    }

    fn apply(&self, documents: &str) {
        let output = self.kubectl(&["apply", "-f", "-"], documents);
        assert!(output.status.success(), "{}", said(&output));
    }

    /// `serve --policy-objects`, which does not become ready, and what it says.
    fn refused(&self, kubeconfig: &Path) -> String {
        let dir = self.scene.shield.data_dir().join(self.scene.cluster.unique("refused"));
        let mut child = Command::new(binary())
            .args(["serve", "--policy-objects", "--listen", "127.0.0.1:0"])
            .args(["--review-listen", "127.0.0.1:0", "--kubeconfig"])
            .arg(kubeconfig)
            .arg("--data-dir")
            .arg(&dir)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("agent-shield");
        let status = wait_until(TIME_MAX, "it ends, or starts", || {
            if dir.join("endpoints.json").exists() {
                let _ = child.kill();
            }
            child.try_wait().expect("a process")
        });
        assert_eq!(status.code(), Some(1), "it started");
        said(&child.wait_with_output().expect("its words"))
    }

    fn object(&self, resource: &str, name: &str) -> Value {
        let path = format!("/apis/agent-shield.io/v1alpha1/{resource}/{name}");
        self.scene.cluster.get(&path).unwrap_or_default()
    }

    /// Waits until an object says so of this generation; returns the message.
    fn told(&self, name: &str, of: &str, status: &str) -> String {
        let (resource, name) = name.split_once('/').unwrap_or(("policies", name));
        wait_until(TIME_MAX, &format!("{name} is told {of} {status}"), || {
            let object = self.object(resource, name);
            let conditions = object["status"]["conditions"].as_array()?;
            let condition = conditions.iter().find(|it| it["type"] == of)?;
            let is_of_it = condition["observedGeneration"] == object["metadata"]["generation"];
            let since = condition["lastTransitionTime"].as_str().unwrap_or_default();
            assert!(since.ends_with('Z'), "{condition}");
            (is_of_it && condition["status"] == status)
                .then(|| condition["message"].as_str().unwrap_or_default().to_owned())
        })
    }

    /// What an agent is told who scales a Deployment of three.
    fn scaled_to(&self, shield: &Shield, replicas: u32) -> (u16, String) {
        let target = format!("/apis/apps/v1/namespaces/{}/deployments/web", self.scene.dev);
        let body = json!({"spec": {"replicas": replicas}}).to_string();
        let answer = shield.request(&self.scene.agent, "PATCH", &target, MERGE, body.as_bytes());
        (answer.status, answer.json()["message"].as_str().unwrap_or_default().to_owned())
    }
}

#[test]
fn policies_of_the_cluster() {
    let stage = Stage::new();
    let scene = &stage.scene;
    stage.kubectl(&[&["delete", "crd", "--ignore-not-found"][..], &CRDS].concat(), "");
    let without = stage.refused(&stage.own);
    assert!(without.contains("agent-shield policy crds | kubectl apply -f -"), "{without}");
    let crds = Command::new(binary()).args(["policy", "crds"]).output().expect("agent-shield");
    stage.apply(&String::from_utf8_lossy(&crds.stdout));
    for crd in CRDS {
        let output = stage.kubectl(
            &["wait", "--for=condition=Established", "--timeout=30s", &format!("crd/{crd}")],
            "",
        );
        assert!(output.status.success(), "{}", said(&output));
        let path = format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{crd}");
        let conditions =
            scene.cluster.get(&path).unwrap_or_default()["status"]["conditions"].clone();
        assert!(!conditions.to_string().contains("NonStructuralSchema"), "{conditions}");
    }
    the_api_server_refuses_what_has_no_form(&stage);
    every_example_is_an_object(&stage);

    // Started with rights for no policies, it says which command gives them.
    let bare = scene.cluster.token_file_kubeconfig("agent-shield", "agent-shield");
    let forbidden = stage.refused(&bare.expect("a token"));
    assert!(forbidden.contains("agent-shield rbac own --policy-objects"), "{forbidden}");

    scene.cluster.apply(&deployment(&scene.dev, "web", 3)).expect("a deployment");
    stage.apply(&policy("first", "object.spec.replicas == 7", "seven"));
    let kubeconfig = Credential::Kubeconfig(stage.own.clone());
    let shield =
        Shield::start_as(scene.cluster, kubeconfig, &["--policy-objects", "--hold-open", "1s"]);
    assert!(!shield.log().contains("lacks a right"), "{}", shield.log());
    stage.told("first", "Valid", "True");
    stage.told("first", "InForce", "True");
    assert!(stage.scaled_to(&shield, 7).1.contains("seven"));
    assert_eq!(stage.scaled_to(&shield, 4).0, 200);
    they_are_swapped_whole(&stage, &shield);
    agents_do_not_change_them(&stage, &shield);
    a_right_that_is_missing_is_named(&stage);
    a_broken_one_stops_a_start(&stage);
    without_the_resources_the_pack_stays(&stage, &shield);
}

fn the_api_server_refuses_what_has_no_form(stage: &Stage) {
    let good = policy("form", "true", "r");
    let table = [
        (good.replace("\"when\"", "\"wen\""), "unknown field \"spec.rules[0].wen\""),
        (good.replace("\"deny\"", "\"refuse\""), "Unsupported value: \"refuse\""),
        (good.replace("\"form\"", "\"a.b\""), "a name is of lower-case letters"),
        (good.replace("\"rules\"", "\"rule\""), "unknown field \"spec.rule\""),
        (good.replace("[\"UPDATE\"]", "[\"update\"]"), "Unsupported value: \"update\""),
    ];
    for (text, want) in table {
        let output = stage.kubectl(&["apply", "-f", "-"], &text);
        assert!(!output.status.success(), "{text} was taken");
        assert!(said(&output).contains(want), "wanted {want}: {}", said(&output));
    }
}

/// Every field that the examples use has its place in the schemas: nothing is pruned.
fn every_example_is_an_object(stage: &Stage) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies");
    let of_dir = |dir: &Path| fs::read_dir(dir).expect("policies").flatten().map(|it| it.path());
    let files = of_dir(&dir.join("cookbook")).chain(of_dir(&dir));
    let mut taken = 0;
    for file in files {
        let name = file.display().to_string();
        if !name.ends_with(".yaml") || name.ends_with(".test.yaml") {
            continue;
        }
        let text = fs::read_to_string(&file).expect("a file");
        let args = ["create", "--dry-run=server", "--validate=strict", "-o", "json", "-f", "-"];
        let output = stage.kubectl(&args, &text);
        assert!(output.status.success(), "{name}: {}", said(&output));
        taken += 1;
    }
    assert!(taken > 27, "{taken} examples");
}

fn they_are_swapped_whole(stage: &Stage, shield: &Shield) {
    let good = shield.policy_status()["digest"].clone();
    stage.apply(&policy("broken", "object.spec.replica == 5", "five"));
    let message = stage.told("broken", "Valid", "False");
    assert!(message.starts_with("policies.agent-shield.io/broken:"), "{message}");
    assert!(message.contains("did you mean `replicas`?") && message.contains("\n      | "));
    assert!(stage.told("broken", "InForce", "False").contains("see Valid"));
    // The others are what they were.
    stage.told("first", "InForce", "True");
    let refused = shield.policy_status();
    assert_eq!(refused["digest"], good);
    assert!(refused["refused"]["issues"][0].to_string().contains("replica"), "{refused}");
    assert!(stage.scaled_to(shield, 7).1.contains("seven"));
    // A change beside it waits too, and says for whom.
    stage.apply(&policy("first", "object.spec.replicas == 8", "eight"));
    let message = stage.told("first", "InForce", "False");
    assert!(message.contains("policies.agent-shield.io/broken"), "{message}");
    assert!(message.contains("generation 1 stays in force"), "{message}");
    stage.told("first", "Valid", "True");
    assert!(stage.scaled_to(shield, 7).1.contains("seven"));

    stage.apply(&policy("broken", "object.spec.replicas == 5", "five"));
    stage.told("broken", "InForce", "True");
    stage.told("first", "InForce", "True");
    assert_eq!(stage.scaled_to(shield, 7).0, 200);
    assert!(stage.scaled_to(shield, 8).1.contains("eight"));
    assert!(stage.scaled_to(shield, 5).1.contains("five"));
    assert!(shield.policy_status()["refused"].is_null());
    // Who reads the list sees it there.
    let shown = stage.kubectl(&["get", "agent-shield"], "");
    let line = said(&shown).lines().find(|it| it.contains("/first")).map(str::to_owned);
    assert!(line.as_deref().is_some_and(|it| it.matches("True").count() == 2), "{}", said(&shown));

    // Somebody writes nonsense into a status: it is told anew with the next change, and nothing rests on it.
    let nonsense = r#"{"status":{"conditions":[{"type":"InForce","status":"False"}]}}"#;
    let args = ["patch", "policies.agent-shield.io", "first", "--subresource=status"];
    let output = stage.kubectl(&[&args[..], &["--type=merge", "-p", nonsense]].concat(), "");
    assert!(output.status.success(), "{}", said(&output));
    assert!(stage.scaled_to(shield, 8).1.contains("eight"));
    stage.kubectl(&["delete", "policies.agent-shield.io", "broken"], "");
    wait_until(TIME_MAX, "five is nobody's", || {
        (stage.scaled_to(shield, 5).0 == 200).then_some(())
    });
}

/// RBAC lets this agent do everything; nothing that it sends to them leaves.
fn agents_do_not_change_them(stage: &Stage, shield: &Shield) {
    let scene = &stage.scene;
    let api = "/apis/agent-shield.io/v1alpha1";
    let crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let exception = json!({
        "apiVersion": "agent-shield.io/v1alpha1", "kind": "PolicyException", "metadata": {"name": "mine"},
        "spec": {
            "reason": "I may", "expires": "2099-01-01T00:00:00Z", "rules": ["first/rule"],
            "agents": {"users": ["*"]}, "namespaces": ["*"],
        },
    });
    // An owner's exception from the rules of the pack does not reach here.
    let mut wide = exception.clone();
    wide["metadata"]["name"] = json!("wide");
    wide["spec"]["rules"] = json!([
        "write-acting-resource",
        "delete-custom-resource",
        "write-custom-resource",
        "grant-access"
    ]);
    wide["spec"]["namespaces"] = json!(["*", ""]);
    stage.apply(&wide.to_string());
    stage.told("policyexceptions/wide", "InForce", "True");
    let never = policy("first", "false", "never");
    let table = [
        ("POST", format!("{api}/policyexceptions"), JSON, exception.to_string()),
        ("PATCH", format!("{api}/policies/first"), MERGE, r#"{"spec":{"rules":[]}}"#.to_owned()),
        ("PATCH", format!("{api}/policies/first"), Some("application/apply-patch+yaml"), never),
        ("PATCH", format!("{api}/policies/first/status"), MERGE, r#"{"status":{}}"#.to_owned()),
        ("DELETE", format!("{api}/policies/first"), None, String::new()),
        ("DELETE", format!("{api}/policies"), None, String::new()),
        ("DELETE", format!("{crds}/{}", CRDS[0]), None, String::new()),
        ("PATCH", format!("{crds}/{}", CRDS[0]), MERGE, r#"{"spec":{"versions":[]}}"#.to_owned()),
    ];
    let before = stage.object("policies", "first");
    for (method, path, media, body) in table {
        let target = match media {
            Some("application/apply-patch+yaml") => format!("{path}?fieldManager=agent&force=true"),
            _ => path,
        };
        let answer = shield.request(&scene.agent, method, &target, media, body.as_bytes());
        // Held, or refused by the API server's own dry run where it has no form.
        let text = answer.text();
        assert!(matches!(answer.status, 429 | 422), "{method} {target}: {} {text}", answer.status);
        assert!(
            answer.status == 422 || text.contains("write-to-agent-shield"),
            "{method} {target}: {text}"
        );
    }
    assert_eq!(stage.object("policies", "first"), before);
    assert!(stage.object("policyexceptions", "mine").is_null());
}

/// Without the right to tell, what is in force is in force, and the log says what is missing.
fn a_right_that_is_missing_is_named(stage: &Stage) {
    let scene = &stage.scene;
    let rights = rbac_own("untold", &["--policy-objects"]);
    let mut rights: Value = serde_saphyr::from_str(&rights).expect("YAML");
    for item in rights["items"].as_array_mut().expect("items") {
        let Some(rules) = item.get_mut("rules").and_then(Value::as_array_mut) else { continue };
        rules.retain(|rule| !rule["resources"].to_string().contains("/status"));
    }
    scene.cluster.apply(&rights).expect("rights");
    let own = scene.cluster.token_file_kubeconfig("agent-shield", "untold").expect("a token");
    stage.apply(&policy("untold", "object.spec.replicas == 11", "eleven"));
    stage.told("untold", "InForce", "True");
    stage.kubectl(
        &[
            "patch",
            "policies.agent-shield.io",
            "untold",
            "--subresource=status",
            "--type=merge",
            "-p",
            r#"{"status":null}"#,
        ],
        "",
    );
    let untold =
        Shield::start_as(scene.cluster, Credential::Kubeconfig(own), &["--policy-objects"]);
    assert!(stage.scaled_to(&untold, 11).1.contains("eleven"));
    let log = untold.log();
    assert!(log.contains("lacks a right: policies of the cluster do not tell"), "{log}");
    assert!(log.contains("rbac own --policy-objects | kubectl apply"), "{log}");
    assert!(log.contains("a policy's status was not written"), "{log}");
    stage.kubectl(&["delete", "policies.agent-shield.io", "untold"], "");
}

/// Nothing starts on half of what somebody wrote, and whoever wrote it is told.
fn a_broken_one_stops_a_start(stage: &Stage) {
    stage.apply(&policy("late", "object.spec.replicas > ", "late"));
    let refused = stage.refused(&stage.own);
    assert!(refused.contains("the policies are refused"), "{refused}");
    assert!(refused.contains("policies.agent-shield.io/late:"), "{refused}");
    stage.told("late", "Valid", "False");
    stage.kubectl(&["delete", "policies.agent-shield.io", "late"], "");
}

/// An owner takes the resources away, and so every policy that was in them: the built-in ones stay.
fn without_the_resources_the_pack_stays(stage: &Stage, shield: &Shield) {
    let output = stage.kubectl(&[&["delete", "crd"][..], &CRDS].concat(), "");
    assert!(output.status.success(), "{}", said(&output));
    wait_until(TIME_MAX, "no policy of the cluster is in force", || {
        (shield.policy_status()["files"] == json!([])).then_some(())
    });
    assert_eq!(stage.scaled_to(shield, 8).0, 200);
    let target = format!("/apis/apps/v1/namespaces/{}/deployments/web", stage.scene.dev);
    let answer = shield.request(&stage.scene.agent, "DELETE", &target, None, b"");
    assert!(answer.text().contains("delete-workload"), "{}", answer.text());
}
