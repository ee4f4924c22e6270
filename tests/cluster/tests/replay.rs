//! What the ledger tells of calls is what they were judged by: replayed by the same policies, every
//! verdict is the same; by others, exactly those differ that should.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
    thread,
};

use cluster::{Scene, deployment, list, workload};
use serde_json::{Value, json};
use testkit::{Shield, http};

const MERGE: Option<&str> = Some("application/merge-patch+json");
const JSON: Option<&str> = Some("application/json");
const SECRET: &str = "hunter2hunter2";

fn policy(name: &str, rest: &str) -> String {
    format!(
        "apiVersion: agent-shield.io/v1alpha1\nkind: Policy\nmetadata: {{name: {name}}}\nspec:\n{rest}---\n"
    )
}

/// Rules of every sort: of reads, objects, differences, earlier calls, labels, in shadow mode, with an
/// exception.
fn in_force(scene: &Scene) -> String {
    let deployments = "  matchConstraints: {resourceRules: [{apiGroups: [apps], resources: [deployments], operations: [CREATE, UPDATE]}]}\n";
    [
        policy(
            "images",
            &format!("{deployments}  rules:\n  - name: latest\n    when: object.spec.template.spec.containers.exists(c, c.image.endsWith(':latest'))\n    action: deny\n    reason: '{{{{request.name}}}}: {{{{object.spec.template.spec.containers.map(c, c.image).join(\", \")}}}}'\n"),
        ),
        policy(
            "secrets",
            "  matchConstraints: {resourceRules: [{apiGroups: [''], resources: [secrets], verbs: [get, list]}]}\n  rules:\n  - {name: reads, where: production, when: \"!request.name.startsWith('team-')\", action: deny}\n",
        ),
        policy(
            "restarts",
            "  rules:\n  - name: often\n    effects: [Restart]\n    when: window.filter(it, it.kind == 'Restart' && it.ageSeconds < 3600).size() >= 2\n    action: hold\n",
        ),
        policy(
            "tried",
            "  mode: shadow\n  rules:\n  - {name: any, when: 'request.verb == \"create\"', action: deny}\n",
        ),
        policy(
            "labels",
            "  matchConstraints:\n    namespaceSelector: {matchLabels: {env: dev}}\n    resourceRules: [{apiGroups: [''], resources: [configmaps], operations: ['*']}]\n  rules:\n  - {name: kept, when: \"object == null || diff.exists(it, it.path == '/metadata/labels' && 'keep' in it.new)\", action: deny}\n",
        ),
        format!(
            "apiVersion: agent-shield.io/v1alpha1\nkind: PolicyException\nmetadata: {{name: excepted}}\nspec:\n  reason: a test\n  expires: 2999-01-01T00:00:00Z\n  rules: [change-trigger, create-in-production]\n  agents: {{users: ['{}']}}\n  namespaces: ['{}']\n  when: effects.exists(it, it.name == 'excepted')\n---\n",
            scene.agent.username, scene.prod
        ),
    ]
    .concat()
}

struct Drill {
    scene: Scene,
    shield: Shield,
    dir: PathBuf,
}

impl Drill {
    fn start(name: &str) -> Self {
        let scene = Scene::new(name);
        let dir = scene.cluster.dir().join(scene.cluster.unique(name));
        fs::create_dir_all(&dir).expect("a directory");
        fs::write(dir.join("policy.yaml"), in_force(&scene)).expect("policies");
        let shield = Shield::start(scene.cluster, &["--policy", &dir.display().to_string()]);
        Self { scene, shield, dir }
    }

    fn send(&self, method: &str, target: &str, media: Option<&str>, body: &Value) -> http::Answer {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.shield.request(&self.scene.agent, method, target, media, body.as_bytes())
    }

    /// Sends what is held, and has it decided.
    fn held(&self, verdict: &str, method: &str, target: &str, body: &Value) -> http::Answer {
        thread::scope(|threads| {
            let waits = threads.spawn(|| self.send(method, target, MERGE, body));
            let (scene, name) = (&self.scene, target.rsplit('/').next().unwrap_or_default());
            let name = match name {
                "scale" => "web",
                name if name.contains('?') => "",
                name => name,
            };
            let hold = self.shield.hold(&scene.reviewer, target, |hold| {
                let held = hold["request"]["name"].as_str().unwrap_or_default();
                hold["state"] == "pending" && held == name
            });
            let id = hold["id"].as_str().unwrap_or_default();
            self.shield.decide(&scene.reviewer, verdict, id, "a test").expect("a decision");
            waits.join().expect("an answer")
        })
    }

    fn replay(&self, policy: &str, args: &[&str]) -> Output {
        let file = self.dir.join("candidate");
        fs::create_dir_all(&file).expect("a directory");
        // Digests are of texts: the same texts in another file are the same set.
        fs::write(file.join("policy.yaml"), policy).expect("a policy");
        let mut command = self.shield.operator(&self.scene.reviewer);
        command.args(["policy", "replay", "--since", "1h", "--policy"]).arg(&file).args(args);
        command.output().expect("agent-shield")
    }

    fn report(&self, policy: &str) -> Value {
        let output = self.replay(policy, &["-o", "json"]);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{error}");
        serde_json::from_slice(&output.stdout).expect("JSON")
    }
}

/// Requests of every sort, with the status that each is answered.
fn everything(drill: &Drill) {
    let scene = &drill.scene;
    let (prod, dev) = (&scene.prod, &scene.dev);
    let objects = [
        deployment(prod, "web", 4),
        deployment(prod, "gone", 1),
        deployment(prod, "kept", 1),
        deployment(dev, "web", 2),
        workload("StatefulSet", prod, "db", 3),
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db", "namespace": prod}, "stringData": {"k": SECRET}}),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "conf", "namespace": dev}, "data": {"k": SECRET}}),
    ];
    scene.cluster.apply(&list(&objects)).expect("objects");
    let apps = |namespace: &str, name: &str| {
        format!("/apis/apps/v1/namespaces/{namespace}/deployments/{name}")
    };
    let core = |namespace: &str, rest: &str| format!("/api/v1/namespaces/{namespace}/{rest}");
    let sent = |status: u16, method: &str, target: &str, media: Option<&str>, body: Value| {
        let answer = drill.send(method, target, media, &body);
        assert_eq!(answer.status, status, "{method} {target} {body}: {}", answer.text());
    };
    let restart = || json!({"spec": {"template": {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": scene.cluster.unique("at")}}}}});
    let image = |image: &str| json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": image, "env": [{"name": "A", "value": SECRET}]}]}}}});
    const STRATEGIC: Option<&str> = Some("application/strategic-merge-patch+json");
    // Reads: asked about, denied, and neither.
    sent(200, "GET", &apps(prod, "web"), None, Value::Null);
    sent(200, "GET", &core(prod, "pods?labelSelector=app%3Dweb"), None, Value::Null);
    sent(403, "GET", &core(prod, "secrets/db"), None, Value::Null);
    sent(200, "GET", &core(dev, "secrets"), None, Value::Null);
    sent(200, "GET", "/version", None, Value::Null);
    // Allowed, whether somebody looked or not.
    sent(200, "PATCH", &apps(prod, "web"), MERGE, json!({"metadata": {"labels": {"a": "b"}}}));
    sent(200, "PATCH", &(apps(prod, "web") + "/scale"), MERGE, json!({"spec": {"replicas": 5}}));
    sent(200, "PATCH", &apps(dev, "web"), STRATEGIC, image("nginx:1.27"));
    sent(
        201,
        "POST",
        &core(prod, "configmaps"),
        JSON,
        json!({"metadata": {"name": "m"}, "data": {"k": SECRET}}),
    );
    sent(
        201,
        "POST",
        &core(prod, "configmaps?dryRun=All"),
        JSON,
        json!({"metadata": {"name": "n"}}),
    );
    sent(
        201,
        "POST",
        &core(dev, "secrets"),
        JSON,
        json!({"metadata": {"name": "made"}, "stringData": {"k": SECRET}}),
    );
    sent(
        201,
        "POST",
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        JSON,
        json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": {"nonResourceAttributes": {"path": "/", "verb": "get"}}}),
    );
    let service = |name: &str| json!({"metadata": {"name": name}, "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}});
    sent(201, "POST", &core(prod, "services"), JSON, service("excepted"));
    for _ in 0..2 {
        sent(200, "PATCH", &apps(prod, "web"), MERGE, restart());
    }
    // Denied, at once and after a look.
    sent(403, "PATCH", &apps(prod, "web"), STRATEGIC, image("nginx:latest"));
    sent(403, "GET", "/api/v1/nodes/n1/proxy/run/a/b/c", None, Value::Null);
    sent(403, "DELETE", &core(dev, "configmaps/conf"), None, Value::Null);
    sent(
        403,
        "PATCH",
        &core(dev, "configmaps/conf"),
        MERGE,
        json!({"metadata": {"labels": {"keep": "x"}}}),
    );
    sent(
        200,
        "PATCH",
        &core(dev, "configmaps/conf"),
        MERGE,
        json!({"metadata": {"labels": {"other": "x"}}}),
    );
    // Answered by the API server's own dry run, which no policy was asked about.
    sent(404, "DELETE", &apps(dev, "none"), None, Value::Null);
    // Held: approved and denied.
    assert_eq!(drill.held("approve", "PATCH", &apps(prod, "web"), &restart()).status, 200);
    assert_eq!(drill.held("approve", "DELETE", &apps(prod, "gone"), &Value::Null).status, 200);
    assert_eq!(drill.held("deny", "DELETE", &apps(prod, "kept"), &Value::Null).status, 403);
    let smaller = json!({"spec": {"replicas": 1}});
    assert_eq!(drill.held("deny", "PATCH", &(apps(prod, "web") + "/scale"), &smaller).status, 403);
    assert_eq!(
        drill
            .held(
                "approve",
                "PATCH",
                &core(prod, "secrets/db"),
                &json!({"stringData": {"k": "other"}})
            )
            .status,
        200
    );
    // A collection.
    assert_eq!(
        drill
            .held("approve", "DELETE", &core(prod, "configmaps?labelSelector=a%3Db"), &Value::Null)
            .status,
        200
    );
}

#[test]
fn a_replay_says_what_was_said() {
    let drill = Drill::start("replay");
    everything(&drill);
    let unchanged = in_force(&drill.scene);
    let report =
        testkit::wait_until(std::time::Duration::from_secs(30), "reads are recorded", || {
            let report = drill.report(&unchanged);
            (report["reads"].as_u64()? >= 5).then_some(report)
        });
    assert_eq!(report["items"], json!([]), "{report:#}");
    assert_eq!(report["unknowns"], json!([]), "{report:#}");
    assert_eq!(report["calls"], report["same"], "{report:#}");
    assert_eq!(report["notJudged"], 1, "{report:#}");
    assert!(report["calls"].as_u64().is_some_and(|it| it >= 26), "{report:#}");
    let reviewer = report["reviewers"].as_array().expect("reviewers");
    assert!(reviewer.iter().any(|it| it["before"] == 6 && it["after"] == 6), "{report:#}");
    let output = drill.replay(&unchanged, &["--exit-code"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));

    // Nothing secret is in the file, in whatever form.
    let text = fs::read(drill.shield.data_dir().join("agent-shield.db")).expect("the ledger");
    let wal = fs::read(drill.shield.data_dir().join("agent-shield.db-wal")).unwrap_or_default();
    for secret in [SECRET.to_owned(), testkit::base64(SECRET.as_bytes())] {
        let is_in = |bytes: &[u8]| bytes.windows(secret.len()).any(|it| it == secret.as_bytes());
        assert!(!is_in(&text) && !is_in(&wal), "{secret} is in the ledger");
    }
    changes(&drill, &unchanged);
    exceptions(&drill);
}

/// A candidate with a rule more, a rule less, and rules that read what nobody recorded.
fn changes(drill: &Drill, unchanged: &str) {
    let less: String = unchanged
        .split("---\n")
        .filter(|it| !it.contains("name: restarts") && !it.contains("name: secrets"))
        .map(|it| format!("{it}---\n"))
        .collect();
    let more = policy(
        "more",
        "  rules:\n  - {name: replicas, effects: [ScaleUp], when: effect.new > 4, action: deny}\n",
    );
    let report = drill.report(&(less + &more));
    let item = |it: &Value| {
        let request = &it["request"];
        let name = request["name"].as_str().unwrap_or_default();
        let (verb, resource) = (&request["verb"], &request["resource"]);
        let words = |it: &Value| format!("{} {}", it["decision"], it["rules"]).replace('"', "");
        format!("{verb} {resource} {name}: {} -> {}", words(&it["from"]), words(&it["to"]))
            .replace('"', "")
    };
    let mut items: Vec<String> =
        report["items"].as_array().expect("items").iter().map(item).collect();
    items.sort();
    let want = [
        "get secrets db: deny [secrets/reads] -> allow []",
        "patch deployments web: allow [] -> deny [more/replicas]",
        "patch deployments web: hold [restarts/often] -> allow []",
    ];
    assert_eq!(items, want, "{report:#}");
    assert_eq!((&report["changed"], &report["unknown"]), (&json!(3), &json!(0)), "{report:#}");
    let holds = &report["holds"];
    assert_eq!((&holds["before"], &holds["after"]), (&json!(6), &json!(5)), "{report:#}");
    assert_eq!((&holds["added"], &holds["removed"]), (&json!(0), &json!(1)), "{report:#}");

    // The cookbook reads nothing that is not there.
    let cookbook = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies/cookbook");
    let files = fs::read_dir(cookbook).expect("the cookbook").map(|it| it.expect("a file").path());
    let files = files.filter(|it| !it.to_string_lossy().ends_with(".test.yaml"));
    let texts = files.map(|it| fs::read_to_string(it).expect("a policy") + "\n---\n");
    let report = drill.report(&(unchanged.to_owned() + &texts.collect::<String>()));
    assert_eq!(report["unknowns"], json!([]), "{report:#}");
    assert!(report["changed"].as_u64().is_some_and(|it| it > 0), "{report:#}");

    let reads = policy(
        "reads",
        "  matchConstraints: {resourceRules: [{apiGroups: ['', apps], resources: [configmaps, deployments], operations: [CREATE, UPDATE]}]}\n  rules:\n  - name: values\n    when: object.?data.?k.orValue('') == 'x' || object.?spec.template.spec.containers.orValue([]).exists(c, c.?env.orValue([]).exists(e, e.?value.orValue('') == 'x'))\n    action: hold\n",
    );
    let report = drill.report(&(unchanged.to_owned() + &reads));
    assert_eq!(report["changed"], 0, "{report:#}");
    let unknowns = report["unknowns"].as_array().expect("unknowns");
    assert!(unknowns.iter().all(|it| it["rule"] == "reads/values"), "{report:#}");
    let whys: Vec<&str> = unknowns.iter().filter_map(|it| it["why"].as_str()).collect();
    assert!(whys.contains(&"reads object.data.k, which was not recorded"), "{whys:?}");
    let output = drill.replay(&(unchanged.to_owned() + &reads), &["--exit-code"]);
    assert_eq!(output.status.code(), Some(7), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        text.contains("What the ledger does not tell") && text.contains("object.data.k"),
        "{text}"
    );
}

/// What was approved once is no reason for an exception, and one that is suggested is no wider than it.
fn exceptions(drill: &Drill) {
    let suggest = |args: &[&str]| {
        let mut command = drill.shield.operator(&drill.scene.reviewer);
        command.args(["policy", "suggest-exceptions"]).args(args);
        let output = command.output().expect("agent-shield");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let few = ["--approvals", "1", "--reviewers", "1", "--days", "1"];
    // What was approved seldom is named, and not suggested.
    let none = suggest(&[]);
    assert!(none.trim().ends_with("# nothing is suggested"), "{none}");
    assert!(none.contains("by restarts/often") && none.contains("it takes 5 approvals"), "{none}");
    assert!(none.lines().all(|it| it.starts_with("# ")), "{none}");
    let text = suggest(&few);
    // A restart is one; `delete-workload` was denied for another object, and a Secret's data is open.
    assert!(text.contains("rules:\n  - restarts/often"), "{text}");
    assert!(text.contains("by delete-workload") && text.contains("was denied"), "{text}");
    assert!(text.contains("no condition says all that a LoseData does"), "{text}");
    let exceptions: String =
        text.lines().filter(|it| !it.starts_with('#')).map(|it| format!("{it}\n")).collect();
    let report = drill.report(&(in_force(&drill.scene) + &exceptions));
    let items = report["items"].as_array().expect("items");
    assert_eq!(items.len(), 1, "{report:#}");
    assert_eq!(items[0]["from"]["rules"], json!(["restarts/often"]), "{report:#}");
    assert_eq!(items[0]["to"]["decision"], "allow", "{report:#}");
}

#[test]
fn an_exception_for_one_delete_is_none_for_another() {
    let drill = Drill::start("suggest");
    let scene = &drill.scene;
    let web = format!("/apis/apps/v1/namespaces/{}/deployments/web", scene.prod);
    let made = || scene.cluster.apply(&deployment(&scene.prod, "web", 1)).expect("a Deployment");
    made();
    // As kubectl sends it.
    let plain = json!({"propagationPolicy": "Background"});
    let answer = thread::scope(|threads| {
        let waits = threads.spawn(|| drill.send("DELETE", &web, JSON, &plain));
        let hold = drill.shield.hold(&scene.reviewer, "the delete", |it| it["state"] == "pending");
        let id = hold["id"].as_str().unwrap_or_default();
        drill.shield.decide(&scene.reviewer, "approve", id, "").expect("an approval");
        waits.join().expect("an answer")
    });
    assert_eq!(answer.status, 200, "{}", answer.text());
    made();
    let mut command = drill.shield.operator(&scene.reviewer);
    command.args(["policy", "suggest-exceptions"]);
    command.args(["--approvals", "1", "--reviewers", "1", "--days", "1"]);
    let output = command.output().expect("agent-shield");
    let exception = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(exception.contains("approved-delete-"), "{exception}");
    fs::write(drill.dir.join("excepted.tmp"), &exception).expect("an exception");
    fs::rename(drill.dir.join("excepted.tmp"), drill.dir.join("excepted.yaml")).expect("a file");
    testkit::wait_until(std::time::Duration::from_secs(30), "it is in force", || {
        let mut command = drill.shield.operator(&scene.reviewer);
        let output = command.args(["policy", "status", "-o", "json"]).output().ok()?;
        let status: Value = serde_json::from_slice(&output.stdout).ok()?;
        (status["files"].as_array().map(Vec::len) == Some(2)).then_some(())
    });
    let table = [
        ("?propagationPolicy=Orphan", Value::Null),
        ("?gracePeriodSeconds=0", Value::Null),
        ("", json!({"propagationPolicy": "Orphan"})),
        ("", json!({"orphanDependents": true})),
        ("", json!({"propagationPolicy": "Background", "gracePeriodSeconds": 0})),
        ("", json!({"gracePeriodSeconds": 1})),
        ("", json!({"propagationPolicy": "Foreground"})),
    ];
    for (query, body) in table {
        let target = format!("{web}{query}{}timeout=1s", if query.is_empty() { "?" } else { "&" });
        let answer = drill.send("DELETE", &target, JSON, &body);
        assert_eq!(answer.held_or_status(), 429, "{query} {body}: {}", answer.text());
    }
    let answer = drill.send("DELETE", &web, JSON, &plain);
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[test]
fn a_ledger_of_many_calls_is_replayed_whole() {
    const CALLS: usize = 3_000;
    let dir = testkit::cluster().dir().join(testkit::cluster().unique("recorded"));
    fs::create_dir_all(&dir).expect("a directory");
    testkit::recorded::write(&dir, CALLS);
    let mut command = std::process::Command::new(testkit::binary());
    command.args(["policy", "replay", "-o", "json", "--data-dir"]).arg(&dir);
    let started = std::time::Instant::now();
    let output = command.output().expect("agent-shield");
    // How fast it is, is for `cargo xtask bench` to say, of a binary with optimisations.
    println!("{CALLS} calls in {:?}", started.elapsed());
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&report["calls"], &report["same"]), (&json!(CALLS), &json!(CALLS)), "{report:#}");
    assert_eq!(report["holds"]["before"], CALLS / 10, "{report:#}");
    assert_eq!(report["reviewers"].as_array().map(Vec::len), Some(3), "{report:#}");
}
