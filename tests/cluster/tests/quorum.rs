//! Holds that take more than one person: nothing runs before the last approval that is needed, of
//! what is shown, by somebody else, of the right group; then it runs once.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Barrier,
    thread,
    time::Duration,
};

use cluster::{Scene, deployment};
use serde_json::{Value, json};
use testkit::{Agent, Shield, http, wait_until};

const TIME_MAX: Duration = Duration::from_secs(60);
const ROUNDS: usize = 10;
const SETTINGS: &str = "---
apiVersion: agent-shield.io/v1alpha1
kind: PolicySettings
metadata: {name: settings}
spec: {packs: []}
";

/// A scene whose deletes and cuts of Deployments take the people that a rule asks for.
struct Stage {
    scene: Scene,
    policies: PathBuf,
    /// Where the Deployment `web` is.
    web: String,
    kubeconfig: PathBuf,
}

impl Stage {
    fn new(name: &str, rule: &str) -> Self {
        let mut scene = Scene::new(name);
        let policies = scene.cluster.dir().join(scene.cluster.unique(name));
        fs::create_dir_all(&policies).expect("a directory");
        put(&policies, rule);
        scene.shield = Shield::start(scene.cluster, &["--policy", &policies.display().to_string()]);
        scene.cluster.apply(&deployment(&scene.prod, "web", 4)).expect("a deployment");
        let web = format!("/apis/apps/v1/namespaces/{}/deployments/web", scene.prod);
        let kubeconfig = scene.shield.kubeconfig(&scene.agent);
        Self { scene, policies, web, kubeconfig }
    }

    /// A person who may review everything, in these groups. Again for the same name: another
    /// certificate of theirs.
    fn person(&self, name: &str, groups: &[&str]) -> PathBuf {
        self.scene.cluster.reviewer(name);
        self.scene.cluster.person(name, groups).expect("a person")
    }

    fn agent(&self, args: &[&str]) -> Child {
        let mut command = self.scene.cluster.kubectl_as(&self.kubeconfig);
        command.args(["-n", &self.scene.prod]).args(args).stderr(Stdio::piped());
        command.spawn().expect("kubectl")
    }

    fn pending(&self) -> Value {
        self.scene.pending(&self.scene.prod, "web")
    }

    /// A hold as it stands.
    fn show(&self, id: &str) -> Value {
        self.scene.shield.cli_json(&self.scene.reviewer, &["show", id])
    }

    /// Digest of what it shows.
    fn digest(&self, id: &str) -> String {
        self.show(id)["preview"]["digest"].as_str().expect("a digest").to_owned()
    }

    fn command(&self, person: &Path, args: &[&str]) -> Command {
        let mut command = self.scene.shield.cli(person);
        command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// What the command says to a person, and how it ends.
    fn says(&self, person: &Path, args: &[&str]) -> (Option<i32>, String) {
        let output = self.command(person, args).output().expect("a CLI");
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&text).into_owned())
    }

    fn approves(&self, person: &Path, id: &str) -> (Option<i32>, String) {
        let digest = self.digest(id);
        self.says(person, &["approve", id, "--digest", &digest, "--reason", "checked it"])
    }

    /// How often the API server was sent it for real.
    fn runs(&self, verb: &str) -> usize {
        let ran = self.scene.cluster.audit_events(|event| {
            let uri = event["requestURI"].as_str().unwrap_or_default();
            event["verb"] == verb
                && uri.split('?').next().is_some_and(|path| path.starts_with(&self.web))
                && !uri.contains("dryRun")
                && event["requestObject"]["dryRun"].is_null()
                && event["user"]["username"] == self.scene.agent.username.as_str()
        });
        ran.len()
    }
}

/// As editors put a file in place: whole.
fn put(policies: &Path, rule: &str) {
    let text = format!(
        "apiVersion: agent-shield.io/v1alpha1
kind: Policy
metadata: {{name: two}}
spec:
  rules:
  - name: people
    effects: [Delete, ScaleDown]
    action: hold
    severity: critical
{rule}{SETTINGS}"
    );
    let new = policies.join(".new");
    fs::write(&new, text).expect("a policy");
    fs::rename(new, policies.join("policy.yaml")).expect("a policy in place");
}

/// As YAML of a rule.
fn reviewers(groups: &[&str], count: u32, more: &str) -> String {
    format!("    reviewers: {{groups: [{}], count: {count}{more}}}\n", groups.join(", "))
}

fn ended(child: Child) -> (bool, String) {
    let output = child.wait_with_output().expect("kubectl");
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_delete_takes_two_people_of_the_right_group_and_runs_once() {
    let rule = reviewers(&["quorum-dba"], 2, ", reasonRequired: true") + "    deadline: 10m\n";
    let mut stage = Stage::new("quorum", &rule);
    let name = stage.scene.cluster.unique("alice");
    let [alice, bob, carol] = [
        (name.as_str(), "quorum-dba"),
        ("quorum-bob", "quorum-dba"),
        ("quorum-carol", "quorum-sre"),
    ]
    .map(|(name, group)| stage.person(name, &[group]));
    let delete = ["delete", "deployment", "web"];
    let first = stage.agent(&delete);
    let hold = stage.pending();
    let id = hold["id"].as_str().expect("an id").to_owned();
    let want = json!([{"groups": ["quorum-dba"], "count": 2, "missing": 2}]);
    assert_eq!((&hold["reviewers"], &hold["severity"]), (&want, &json!("critical")));
    assert_eq!(hold["missing"], "2 approvals by different members of quorum-dba");
    let time = |field: &str| hold[field].as_str().and_then(|it| it.parse::<jiff::Timestamp>().ok());
    let left = time("deadline").expect("a time").duration_since(time("createdAt").expect("a time"));
    assert_eq!(left.as_mins(), 10);

    let (code, text) = stage.says(&alice, &["approve", &id, "--digest", &stage.digest(&id)]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("requires a reason"), "{text}");
    let needed = "still needed: 1 more approval by another member of quorum-dba";
    let (code, text) = stage.approves(&alice, &id);
    assert_eq!(code, Some(9), "{text}");
    assert!(text.contains("your approval is recorded") && text.contains(needed), "{text}");

    // Whoever comes as alice once more is alice: with the same certificate, with one of another
    // group, by a name in another case.
    let twice = |stage: &Stage, who: &Path, what: &str| {
        let (code, text) = stage.approves(who, &id);
        assert_eq!(code, Some(6), "{what}: {text}");
        assert!(text.contains("you already approved") && text.contains(needed), "{what}: {text}");
    };
    twice(&stage, &alice, "the same certificate");
    twice(&stage, &stage.person(&name, &["quorum-dba", "quorum-sre"]), "another certificate");
    twice(&stage, &stage.person(&name.to_uppercase(), &["quorum-dba"]), "another case");
    let (code, text) = stage.approves(&carol, &id);
    assert_eq!(code, Some(4), "{text}");
    assert!(text.contains("quorum-sre") && text.contains(needed), "{text}");
    // The agent neither counts nor borrows a group.
    let (code, text) = stage.approves(&stage.scene.agent.kubeconfig, &id);
    assert_eq!(code, Some(4), "{text}");
    let path = format!("/v1/holds/{id}/approve");
    let body = json!({"reason": "r", "digest": stage.show(&id)["preview"]["digest"]}).to_string();
    let token = format!("Bearer {}", stage.scene.agent.token);
    for header in ["Impersonate-Group", "Impersonate-User", "X-Remote-Group", "Impersonate_Group"] {
        let headers = [("Authorization", token.as_str()), (header, "quorum-dba")];
        let (url, ca) = (&stage.scene.shield.review_url, stage.scene.shield.ca());
        let answer = http::request(url, &ca, "POST", &path, &headers, body.as_bytes());
        assert_eq!(answer.expect("an answer").status, 403, "{header}");
    }

    // One approval lasts: through a crash, and a freeze.
    stage.scene.shield.kill9();
    assert!(!ended(first).0);
    stage.scene.shield.restart();
    let chief = stage.scene.cluster.reviewer_with("quorum-chief", &["get", "list", "freeze"]);
    let agent = stage.scene.agent.username.clone();
    assert_eq!(stage.says(&chief, &["freeze", &agent]).0, Some(0));
    assert_eq!(stage.says(&chief, &["thaw", &agent]).0, Some(0));
    let second = stage.agent(&delete);
    wait_until(TIME_MAX, "the same command waits on the same hold", || {
        (stage.pending()["waiting"] == 1).then_some(())
    });
    let hold = stage.show(&id);
    assert_eq!(hold["approvals"][0]["reviewer"]["username"], name.as_str(), "{hold}");
    assert_eq!((&hold["state"], &hold["drifts"]), (&json!("pending"), &json!(0)));
    let (_, shown) = stage.says(&alice, &["show", &id]);
    assert!(shown.contains(&format!("Approved by {name}")), "{shown}");
    assert!(shown.contains("Still needed: 1 more approval by another"), "{shown}");
    let (_, listed) = stage.says(&alice, &["holds"]);
    assert!(listed.contains("pending 1/2"), "{listed}");
    assert_eq!(stage.runs("delete"), 0, "it ran with one approval");
    assert!(stage.scene.cluster.get(&stage.web).is_some());

    let (code, text) = stage.approves(&bob, &id);
    assert_eq!(code, Some(0), "{text}");
    let (done, warned) = ended(second);
    assert!(done, "{warned}");
    assert!(warned.contains(&format!("approved by {name} and quorum-bob")), "{warned}");
    assert_eq!(stage.runs("delete"), 1);

    // Each approval is a record: who, why, of what.
    let database = stage.scene.shield.data_dir().join("agent-shield.db");
    let database = rusqlite::Connection::open(database).expect("the database");
    let sql = "SELECT entry FROM entries WHERE hold_id = ? ORDER BY seq";
    let mut statement = database.prepare(sql).expect("SQL");
    let rows = statement.query_map([&id], |row| row.get::<_, String>(0)).expect("rows");
    let holds: Vec<Value> = rows
        .map(|row| {
            serde_json::from_str::<Value>(&row.expect("a row")).expect("JSON")["hold"].clone()
        })
        .collect();
    let digest = &hold["preview"]["digest"];
    for (event, by) in [("partlyApproved", name.as_str()), ("approved", "quorum-bob")] {
        let of_it: Vec<&Value> = holds.iter().filter(|it| it["event"] == event).collect();
        assert_eq!(of_it.len(), 1, "{event}: {holds:?}");
        assert_eq!(of_it[0]["reviewer"]["username"], by);
        assert_eq!((&of_it[0]["reason"], &of_it[0]["digest"]), (&json!("checked it"), digest));
    }
    let (_, timeline) = stage.says(&alice, &["timeline", "--hold", &id]);
    assert!(timeline.contains(&format!("approved by {name}: checked it")), "{timeline}");
    // Both are named wherever it is told who approved.
    let both = format!("{name}: checked it; quorum-bob: checked it");
    assert!(timeline.contains(&both), "{timeline}");
    let (_, report) = stage.says(&alice, &["report", "--agent", &agent]);
    assert!(report.contains(&format!("approved by {both}")), "{report}");
    let report = stage.scene.shield.cli_json(&alice, &["report", "--agent", &agent]);
    let names = |of: &Value| -> Vec<Value> {
        let all = of["approvals"].as_array().into_iter().flatten();
        all.map(|it| it["reviewer"].clone()).collect()
    };
    let deed =
        report["deeds"].as_array().expect("deeds").iter().find(|it| it["hold"] == id.as_str());
    assert_eq!(names(deed.expect("a deed")), [json!(name), json!("quorum-bob")], "{report:#}");
    let log = stage.scene.cluster.dir().join("audit.log").display().to_string();
    let joined = ["timeline", "--audit-log", &log, "--hold", &id];
    let (_, text) = stage.says(&alice, &joined);
    assert!(
        text.contains(&both) && text.contains(&format!("approved by {name}: checked it")),
        "{text}"
    );
    let joined = stage.scene.shield.cli_json(&alice, &joined);
    let items = joined["items"].as_array().expect("calls");
    let told = items.iter().any(|it| names(&it["call"]) == [json!(name), json!("quorum-bob")]);
    assert!(told, "{joined:#}");
}

#[test]
fn approvals_are_of_what_is_shown() {
    let stage = Stage::new("quorum-drift", &reviewers(&["quorum-dba"], 2, ""));
    let alice = stage.person("quorum-drift-alice", &["quorum-dba"]);
    let bob = stage.person("quorum-drift-bob", &["quorum-dba"]);
    let scale = stage.agent(&["scale", "deployment", "web", "--replicas", "0"]);
    let id = stage.pending()["id"].as_str().expect("an id").to_owned();
    let seen = stage.digest(&id);

    // Taken back, it is no approval.
    assert_eq!(stage.says(&bob, &["withdraw", &id]).0, Some(6));
    assert_eq!(stage.approves(&bob, &id).0, Some(9));
    let (code, text) = stage.says(&bob, &["withdraw", &id, "--reason", "too early"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("still needed: 2 approvals"), "{text}");

    assert_eq!(stage.approves(&alice, &id).0, Some(9));
    let namespace = ["-n", stage.scene.prod.as_str()];
    let more = [&namespace[..], &["scale", "deployment", "web", "--replicas", "9"]].concat();
    stage.scene.cluster.kubectl_says(&more).expect("an administrator");
    // The second approval is of what was shown too; what would run now is something else.
    let args = ["approve", &id, "--digest", &seen, "--reason", "checked it"];
    let (code, text) = stage.says(&bob, &args);
    assert_eq!(code, Some(6), "{text}");
    let told = ["changed since it was shown", "it would do something else by now"];
    assert!(told.iter().any(|it| text.contains(it)), "{text}");
    let hold = stage.show(&id);
    assert_eq!((&hold["state"], &hold["drifts"]), (&json!("pending"), &json!(1)));
    assert_eq!((&hold["approvals"], &hold["reviewers"][0]["missing"]), (&json!([]), &json!(2)));
    let stale = ["approve", &id, "--digest", &seen, "--reason", "r"];
    let (code, text) = stage.says(&alice, &stale);
    assert_eq!(code, Some(6), "{text}");
    assert_eq!(stage.approves(&alice, &id).0, Some(9));
    assert_eq!(stage.show(&id)["state"], "pending");
    let replicas = |it: Value| it["spec"]["replicas"].clone();
    assert_eq!(stage.scene.cluster.get(&stage.web).map(replicas), Some(json!(9)));
    assert_eq!(stage.runs("patch") + stage.runs("update"), 0);
    assert_eq!(stage.approves(&bob, &id).0, Some(0));
    let (done, warned) = ended(scale);
    assert!(done, "{warned}");
    assert_eq!(stage.runs("patch") + stage.runs("update"), 1);
}

/// What each approval of one moment is answered: so many by each of these at once, each on a
/// connection that is open already.
fn at_once(stage: &Stage, id: &str, people: &[Agent], each: usize) -> Vec<u16> {
    let digest = stage.show(id)["preview"]["digest"].clone();
    let body = json!({"reason": "now", "digest": digest}).to_string();
    let path = format!("/v1/holds/{id}/approve");
    let ready = Barrier::new(people.len() * each);
    thread::scope(|threads| {
        let people = (0..each).flat_map(|_| people);
        let approvals: Vec<_> = people
            .map(|person| {
                let shield = &stage.scene.shield;
                let mut connection =
                    http::Connection::open(&shield.review_url, &shield.ca()).expect("TLS");
                let (body, path, ready) = (&body, &path, &ready);
                threads.spawn(move || {
                    let token = format!("Bearer {}", person.token);
                    ready.wait();
                    let headers = [("Authorization", token.as_str())];
                    connection.request("POST", path, &headers, body.as_bytes()).expect("a request");
                    connection.answer().expect("an answer").status
                })
            })
            .collect();
        approvals.into_iter().map(|it| it.join().expect("a status")).collect()
    })
}

#[test]
fn approvals_of_one_moment_run_it_once() {
    let mut stage = Stage::new("quorum-race", "");
    // Tokens, so that nothing but the approvals themselves takes time.
    let dev = stage.scene.dev.clone();
    let holds = json!([{"apiGroups": ["agent-shield.io"], "resources": ["holds"], "verbs": ["*"]}]);
    let people = ["alice", "bob"]
        .map(|name| stage.scene.cluster.cluster_agent(&dev, name, &holds).expect("a reviewer"));
    put(&stage.policies, &reviewers(&[&format!("system:serviceaccounts:{dev}")], 2, ""));
    let policies = stage.policies.display().to_string();
    let mut args = vec!["--policy", &policies];
    args.extend(people.iter().flat_map(|it| ["--allow-reviewer", it.username.as_str()]));
    stage.scene.shield = Shield::start(stage.scene.cluster, &args);
    stage.kubeconfig = stage.scene.shield.kubeconfig(&stage.scene.agent);
    for round in 1..=ROUNDS {
        stage.scene.cluster.apply(&deployment(&stage.scene.prod, "web", 4)).expect("a deployment");
        let delete = stage.agent(&["delete", "deployment", "web"]);
        let id = stage.pending()["id"].as_str().expect("an id").to_owned();
        // One of them alone, however often at once, runs nothing.
        let taken = |people: &[Agent]| {
            let codes = at_once(&stage, &id, people, 3);
            assert!(codes.iter().all(|it| matches!(it, 200 | 409)), "{codes:?}");
            assert_eq!(codes.iter().filter(|it| **it == 200).count(), people.len(), "{codes:?}");
        };
        if round % 2 == 0 {
            taken(&people[..1]);
            assert_eq!(stage.show(&id)["state"], "pending");
            assert_eq!(stage.runs("delete"), round - 1);
            taken(&people[1..]);
        } else {
            taken(&people);
        }
        let (done, warned) = ended(delete);
        assert!(done, "{warned}");
        assert_eq!(stage.runs("delete"), round);
    }
}

#[test]
fn who_acts_as_an_agent_loses_the_approval() {
    let stage = Stage::new("quorum-agent", &reviewers(&["quorum-dba"], 2, ""));
    let eve = stage.person("quorum-eve", &["quorum-dba"]);
    let people = ["quorum-agent-a", "quorum-agent-b"].map(|it| stage.person(it, &["quorum-dba"]));
    let delete = stage.agent(&["delete", "deployment", "web"]);
    let id = stage.pending()["id"].as_str().expect("an id").to_owned();
    assert_eq!(stage.approves(&eve, &id).0, Some(9));
    acts_as_an_agent(&stage, "quorum-eve", &eve);
    let (code, text) = stage.approves(&people[0], &id);
    assert_eq!(code, Some(9), "{text}");
    assert!(text.contains("still needed: 1 more approval"), "{text}");
    let names: Vec<Value> = stage.show(&id)["approvals"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|it| it["reviewer"]["username"].clone())
        .collect();
    assert_eq!(names, ["quorum-agent-a"]);
    assert_eq!(stage.runs("delete"), 0);
    assert_eq!(stage.approves(&people[1], &id).0, Some(0));
    assert!(ended(delete).0);

    // Who may clear is said by a right of its own, and whoever was cleared reviews as before.
    let verbs = ["get", "list", "clear"];
    let chief = stage.scene.cluster.reviewer_with("quorum-agent-chief", &verbs);
    let (_, seen) = stage.says(&chief, &["agents", "seen"]);
    assert!(seen.contains("quorum-eve") && seen.contains("nodes"), "{seen}");
    let (code, text) = stage.says(&people[0], &["agents", "clear", "quorum-eve"]);
    assert_eq!(code, Some(4), "{text}");
    let agent = stage.scene.agent.username.clone();
    let (code, text) = stage.says(&chief, &["agents", "clear", &agent]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("can never be cleared"), "{text}");
    let (code, text) = stage.says(&eve, &["agents", "clear", "quorum-eve"]);
    assert_eq!(code, Some(4), "nobody clears themselves: {text}");
    let reason = ["agents", "clear", "quorum-eve", "--reason", "typed the wrong address"];
    let (code, text) = stage.says(&chief, &reason);
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(stage.says(&eve, &["holds"]).0, Some(0));
    let calls = stage.scene.shield.cli_json(&chief, &["timeline", "--verb", "clear"]);
    let call = &calls["items"][0];
    assert_eq!(call["reviewer"], "quorum-agent-chief", "{calls:#}");
    assert_eq!(call["verdictReason"], "typed the wrong address", "{calls:#}");
}

#[test]
fn an_approval_that_was_not_used_yet_is_lost_too() {
    let stage = Stage::new("quorum-late", &reviewers(&["quorum-dba"], 1, ""));
    let eve = stage.person("quorum-late-eve", &["quorum-dba"]);
    let other = stage.person("quorum-late-other", &["quorum-dba"]);
    // Its agent has gone: the approval waits for it.
    let delete = || {
        let target = format!("{}?timeout=1s", stage.web);
        stage.scene.shield.request(&stage.scene.agent, "DELETE", &target, None, b"")
    };
    assert_eq!(delete().held_or_status(), 429);
    let id = stage.pending()["id"].as_str().expect("an id").to_owned();
    assert_eq!(stage.approves(&eve, &id).0, Some(10));
    assert_eq!(stage.show(&id)["state"], "approved");
    acts_as_an_agent(&stage, "quorum-late-eve", &eve);
    assert_eq!(delete().held_or_status(), 429);
    let shown = stage.show(&id);
    assert_eq!((&shown["state"], stage.runs("delete")), (&Value::from("pending"), 0), "{shown:#}");
    let calls = stage.scene.shield.cli_json(&stage.scene.reviewer, &["timeline", "--hold", &id]);
    assert!(calls.to_string().contains("it has sent requests as an agent since"), "{calls:#}");
    // Another person's is used.
    assert_eq!(stage.approves(&other, &id).0, Some(10));
    assert_eq!(delete().status, 200);
    assert_eq!(stage.runs("delete"), 1);
}

/// A reviewer sends calls with their own certificate at the agents' door. One that is refused for want of
/// rights is a mistake; one that policy lets pass, holds or denies is an agent's.
fn acts_as_an_agent(stage: &Stage, name: &str, kubeconfig: &Path) {
    let agent = Agent {
        username: name.to_owned(),
        token: String::new(),
        kubeconfig: kubeconfig.to_owned(),
    };
    let through = stage.scene.shield.kubeconfig(&agent);
    let mut command = stage.scene.cluster.kubectl_as(&through);
    command.args(["-n", &stage.scene.prod, "create", "configmap", "c"]);
    assert!(!command.output().expect("kubectl").status.success());
    let mut command = stage.scene.cluster.kubectl_as(&through);
    command.args(["-n", &stage.scene.prod, "get", "pods"]);
    assert!(!command.output().expect("kubectl").status.success());
    stage.scene.lets_a_later_write_pass();
    let (code, text) = stage.says(kubeconfig, &["holds"]);
    assert_eq!(code, Some(0), "a slip of the server bars nobody: {text}");
    let mut command = stage.scene.cluster.kubectl_as(&through);
    command.args(["get", "--raw", "/api/v1/nodes/n1/proxy/logs/"]);
    assert!(!command.output().expect("kubectl").status.success(), "policy denies it");
    wait_until(TIME_MAX, "it is seen as an agent", || {
        let said = stage.says(kubeconfig, &["holds"]).1;
        said.contains("can never review").then_some(())
    });
}

#[test]
fn one_denial_is_enough_and_a_deadline_says_who_was_missing() {
    // Long enough for a busy machine to approve in.
    let rule = reviewers(&["quorum-dba"], 2, "") + "    deadline: 30s\n";
    let stage = Stage::new("quorum-end", &rule);
    let alice = stage.person("quorum-end-alice", &["quorum-dba"]);
    let delete = || stage.scene.shield.request(&stage.scene.agent, "DELETE", &stage.web, None, b"");
    let late = thread::scope(|threads| {
        let late = threads.spawn(delete);
        let id = stage.pending()["id"].as_str().expect("an id").to_owned();
        assert_eq!(stage.approves(&alice, &id).0, Some(9));
        late.join().expect("an answer")
    });
    assert_eq!(late.status, 403, "{}", late.text());
    let want = "still needed: 1 more approval by another member of quorum-dba; it was not run";
    assert!(late.text().contains(want), "{}", late.text());

    let denied = thread::scope(|threads| {
        let denied = threads.spawn(delete);
        let id = stage.pending()["id"].as_str().expect("an id").to_owned();
        assert_eq!(stage.approves(&alice, &id).0, Some(9));
        // Of no group that is asked: a no needs none.
        assert_eq!(stage.says(&stage.scene.reviewer, &["deny", &id, "--reason", "no"]).0, Some(0));
        denied.join().expect("an answer")
    });
    assert_eq!(denied.status, 403, "{}", denied.text());
    assert!(denied.text().contains("denied this request"), "{}", denied.text());
    assert_eq!(stage.runs("delete"), 0);
}

#[test]
fn an_approval_is_measured_by_the_policies_of_now() {
    let stage = Stage::new("quorum-policies", "");
    let alice = stage.person("quorum-policies-alice", &["quorum-dba"]);
    let mut left = stage.agent(&["delete", "deployment", "web"]);
    let id = stage.pending()["id"].as_str().expect("an id").to_owned();
    left.kill().expect("a kubectl to kill");
    left.wait().expect("its end");
    wait_until(TIME_MAX, "nobody waits", || (stage.pending()["waiting"] == 0).then_some(()));
    assert_eq!(stage.approves(&alice, &id).0, Some(10));
    assert_eq!(stage.show(&id)["state"], "approved");

    let status = || fs::read_to_string(stage.scene.shield.data_dir().join("policy.json"));
    let before = status().expect("a status");
    put(&stage.policies, &reviewers(&["quorum-dba"], 2, ""));
    wait_until(TIME_MAX, "the policy takes two people now", || {
        (status().expect("a status") != before).then_some(())
    });
    let delete = stage.agent(&["delete", "deployment", "web"]);
    let hold = wait_until(TIME_MAX, "it is asked anew", || {
        Some(stage.show(&id)).filter(|it| it["state"] == "pending" && it["drifts"] == 1)
    });
    assert_eq!((&hold["approvals"], &hold["reviewers"][0]["missing"]), (&json!([]), &json!(2)));
    assert_eq!(stage.runs("delete"), 0);
    assert_eq!(stage.says(&alice, &["deny", &id]).0, Some(0));
    assert!(!ended(delete).0);
}
