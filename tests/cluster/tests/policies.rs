//! Policies that people write, in force on a real cluster: what they hold and deny, and how they
//! are swapped while agents write.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use cluster::{Scene, deployment, list};
use serde_json::{Value, json};
use testkit::{Shield, http, wait_until};

const MERGE: Option<&str> = Some("application/merge-patch+json");
const JSON: Option<&str> = Some("application/json");

fn policy(name: &str, rest: &str) -> String {
    format!(
        "apiVersion: agent-shield.io/v1alpha1\nkind: Policy\nmetadata: {{name: {name}}}\nspec:\n{rest}"
    )
}

/// No built-in rules: what is held, is held by the policy under test.
const ALONE: &str = "apiVersion: agent-shield.io/v1alpha1
kind: PolicySettings
metadata: {name: settings}
spec: {packs: []}
";

/// Two policies of one marker each, which deny the same writes: a request that is judged by both of
/// one set tells the same marker twice.
fn marked(marker: &str) -> String {
    let one = |name: &str| {
        policy(
            name,
            &format!(
                "  rules:\n  - {{name: rule, where: production, action: deny, reason: 'by {marker}'}}\n"
            ),
        )
    };
    format!("{}---\n{}", one("one"), one("two"))
}

/// As editors and Kubernetes put a file in place: whole.
fn put(dir: &Path, name: &str, text: &str) {
    let new = dir.join(format!(".{name}.new"));
    fs::write(&new, text).expect("a file");
    fs::rename(new, dir.join(name)).expect("a file in place");
}

fn dir(scene: &Scene, name: &str) -> PathBuf {
    let dir = scene.cluster.dir().join(scene.cluster.unique(name));
    fs::create_dir_all(&dir).expect("a directory");
    dir
}

#[test]
fn a_policy_decides_on_what_the_api_server_would_make_of_a_request() {
    let scene = Scene::new("policies");
    let prod = &scene.prod;
    let objects = [
        deployment(prod, "web", 3),
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db", "namespace": prod}, "stringData": {"k": "hunter2"}}),
    ];
    scene.cluster.apply(&list(&objects)).expect("objects");
    let dir = dir(&scene, "policies");
    let counts = "  matchConstraints: {resourceRules: [{apiGroups: [apps], resources: [deployments, deployments/scale], operations: [UPDATE]}]}
  rules:
  - name: rule
    when: object.spec.replicas != oldObject.spec.replicas
    action: deny
    reason: '{{oldObject.spec.replicas}} to {{object.spec.replicas}}'
";
    let secrets = "  matchConstraints: {resourceRules: [{apiGroups: [''], resources: [secrets], verbs: [get, list]}]}
  rules: [{name: rule, action: deny, reason: no Secrets}]
";
    let shown = "  matchConstraints: {resourceRules: [{apiGroups: [''], resources: [secrets], operations: [UPDATE]}]}
  rules: [{name: rule, action: deny, reason: 'value {{object.data.k}}'}]
";
    put(&dir, "counts.yaml", &policy("counts", counts));
    put(&dir, "secrets.yaml", &policy("secrets", secrets));
    put(&dir, "shown.yaml", &policy("shown", shown));
    put(&dir, "settings.yaml", ALONE);
    let shield = Shield::start(scene.cluster, &["--policy", &dir.display().to_string()]);
    let web = format!("/apis/apps/v1/namespaces/{prod}/deployments/web");
    let said = |method: &str, target: &str, media: Option<&str>, body: &str| {
        let answer = shield.request(&scene.agent, method, target, media, body.as_bytes());
        (answer.status, answer.json()["message"].as_str().unwrap_or_default().to_owned())
    };
    // Whatever form it has: a patch, a JSON patch, the scale subresource, a count that is left out.
    let table = [
        ("PATCH", web.clone(), MERGE, r#"{"spec":{"replicas":0}}"#, "3 to 0"),
        ("PATCH", web.clone(), MERGE, r#"{"spec":{"replicas":null}}"#, "3 to 1"),
        (
            "PATCH",
            web.clone(),
            Some("application/json-patch+json"),
            r#"[{"op":"replace","path":"/spec/replicas","value":7}]"#,
            "3 to 7",
        ),
        ("PATCH", format!("{web}/scale"), MERGE, r#"{"spec":{"replicas":0}}"#, "3 to 0"),
        ("PATCH", format!("{web}/scale"), MERGE, r#"{"spec":{"replicas":null}}"#, "3 to 0"),
    ];
    for (method, target, media, body, want) in table {
        let (status, message) = said(method, &target, media, body);
        assert_eq!(status, 403, "{target} {body}: {message}");
        assert!(message.contains("counts/rule") && message.contains(want), "{body}: {message}");
    }
    let (status, message) = said("PATCH", &web, MERGE, r#"{"metadata":{"labels":{"a":"b"}}}"#);
    assert_eq!(status, 200, "{message}");
    // Reads: denied where a rule names them, untouched elsewhere.
    let secret = format!("/api/v1/namespaces/{prod}/secrets/db");
    assert_eq!(said("GET", &secret, None, "").0, 403);
    assert_eq!(said("GET", &web, None, "").0, 200);
    // The value of a Secret is in no answer and no record.
    let (status, message) = said("PATCH", &secret, MERGE, r#"{"stringData":{"k":"hunter3"}}"#);
    assert_eq!(status, 403, "{message}");
    assert!(!message.contains("aHVudGVy") && !message.contains("hunter"), "{message}");
    let entries = shield.cli_json(&scene.reviewer, &["timeline", "--since", "5m"]);
    let digest = shield.policy_status()["digest"].as_str().expect("a digest").to_owned();
    let text = entries.to_string();
    assert!(text.contains(&digest), "the set's digest is recorded");
    assert!(!text.contains("aHVudGVy") && !text.contains("hunter"), "a value was recorded");
}

#[test]
fn a_recorded_call_is_explained() {
    let scene = Scene::new("policies-explained");
    let prod = &scene.prod;
    scene.cluster.apply(&deployment(prod, "web", 3)).expect("a deployment");
    let dir = dir(&scene, "policies");
    let counts = |limit: u32| {
        let rest = format!(
            "  rules:\n  - name: rule\n    effects: [ScaleDown]\n    when: object.spec.replicas < {limit}\n    action: deny\n    reason: 'down to {{{{object.spec.replicas}}}}'\n"
        );
        policy("counts", &rest)
    };
    put(&dir, "counts.yaml", &counts(2));
    let shield = Shield::start(scene.cluster, &["--policy", &dir.display().to_string()]);
    let web = format!("/apis/apps/v1/namespaces/{prod}/deployments/web");
    let body = br#"{"spec":{"replicas":1}}"#;
    let answer = shield.request(&scene.agent, "PATCH", &web, MERGE, body);
    assert_eq!(answer.status, 403, "{}", answer.text());
    let calls = shield.cli_json(&scene.reviewer, &["timeline", "--since", "5m"]);
    let is_it = |it: &&Value| it["rules"].to_string().contains("counts/rule");
    let call = calls["items"].as_array().into_iter().flatten().find(is_it).expect("the call");
    let audit_id = call["auditID"].as_str().expect("its audit id");
    let explained = |audit_id: &str| {
        let output = std::process::Command::new(testkit::binary())
            .args(["policy", "explain", audit_id])
            .arg(&dir)
            .arg("--data-dir")
            .arg(shield.data_dir())
            .output()
            .expect("agent-shield");
        String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
    };
    let now = explained(audit_id);
    for line in [
        "then: deny (counts/rule), by the policy set sha256:",
        "by these policies: denied, the same set",
        "* counts/rule: asks: down to 1",
        "* scale-down-drastic: asks: scales deployment",
    ] {
        assert!(now.contains(line), "wanted {line}\n{now}");
    }
    // By another set: what it was then, and what it would be.
    put(&dir, "counts.yaml", &counts(1));
    let other = explained(audit_id);
    for line in [
        "then: deny (counts/rule)",
        "by these policies: held, sha256:",
        "  counts/rule: when: object.spec.replicas < 1 is false",
    ] {
        assert!(other.contains(line), "wanted {line}\n{other}");
    }
    let unknown = explained("019a8f3e-5c1b-7d00-8000-0242ac120002");
    assert!(unknown.contains("no policy judged a call 019a8f3e"), "{unknown}");
}

#[test]
fn a_broken_set_never_takes_effect() {
    let scene = Scene::new("policies-broken");
    let dir = dir(&scene, "policies");
    put(&dir, "settings.yaml", ALONE);
    put(&dir, "policy.yaml", &marked("good"));
    let shield = Shield::start(scene.cluster, &["--policy", &dir.display().to_string()]);
    let good = shield.policy_status()["digest"].clone();
    put(&dir, "policy.yaml", &marked("bad").replace("action", "acton"));
    wait_until(Duration::from_secs(20), "the broken set is refused", || {
        shield.policy_status()["refused"]["issues"][0].as_str().map(str::to_owned)
    });
    assert_eq!(shield.policy_status()["digest"], good);
    let target = format!("/api/v1/namespaces/{}/configmaps", scene.prod);
    let body = br#"{"metadata":{"name":"c"}}"#;
    let answer = shield.request(&scene.agent, "POST", &target, JSON, body);
    assert!(answer.json()["message"].as_str().unwrap_or_default().contains("by good"));
    let issue = shield.policy_status()["refused"]["issues"][0].to_string();
    assert!(issue.contains("policy.yaml:6:") && issue.contains("acton"), "{issue}");
    assert!(shield.log().contains("the last good policies stay in force"));
    // Every file gone is no set at all, and not an empty one.
    fs::remove_file(dir.join("policy.yaml")).expect("a file to remove");
    wait_until(Duration::from_secs(20), "the empty set is refused", || {
        let refused = shield.policy_status()["refused"].to_string();
        refused.contains("no rule of the whole set").then_some(())
    });
    put(&dir, "policy.yaml", &marked("better"));
    wait_until(Duration::from_secs(20), "the better set is in force", || {
        (shield.policy_status()["digest"] != good).then_some(())
    });
    let answer = shield.request(&scene.agent, "POST", &target, JSON, body);
    assert!(answer.json()["message"].as_str().unwrap_or_default().contains("by better"));
}

#[test]
fn an_emptied_set_is_a_faulty_one() {
    let scene = Scene::new("policies-emptied");
    let (dir, file) = (dir(&scene, "policies"), scene.cluster.dir().join("emptied.yaml"));
    let hidden = dir.with_extension("away");
    let restore = || {
        put(&dir, "policy.yaml", &marked("good"));
        fs::write(
            &file,
            policy("other", "  rules:\n  - {name: rule, where: production, action: deny, when: \"request.name == 'none'\"}\n"),
        )
        .expect("a file");
    };
    restore();
    let paths = [dir.display().to_string(), file.display().to_string()];
    let args = ["--policy", &paths[0], "--policy", &paths[1]];
    let shield = Shield::start(scene.cluster, &args);
    let good = shield.policy_status()["digest"].clone();
    type Fall<'a> = Box<dyn Fn() -> std::io::Result<()> + 'a>;
    let truncate = |path: PathBuf| move || fs::write(&path, "");
    let table: [(&str, Fall, &str); 6] = [
        (
            "an emptied directory",
            Box::new(|| fs::remove_file(dir.join("policy.yaml"))),
            "contains no policy",
        ),
        ("a vanished directory", Box::new(|| fs::rename(&dir, &hidden)), "cannot read"),
        (
            "an emptied file of it",
            Box::new(truncate(dir.join("policy.yaml"))),
            "contains no policy",
        ),
        (
            "comments alone",
            Box::new(|| fs::write(dir.join("policy.yaml"), "# gone\n---\n")),
            "contains no policy",
        ),
        ("an emptied file", Box::new(truncate(file.clone())), "contains no policy"),
        ("a vanished file", Box::new(|| fs::remove_file(&file)), "cannot read"),
    ];
    let target = format!("/api/v1/namespaces/{}/configmaps", scene.prod);
    let body = br#"{"metadata":{"name":"c"}}"#;
    for (what, fall, want) in table {
        fall().expect(what);
        let issue = wait_until(Duration::from_secs(20), what, || {
            shield.policy_status()["refused"]["issues"][0].as_str().map(str::to_owned)
        });
        assert!(issue.contains(want), "{what}: {issue}");
        assert!(shield.log().contains(&issue), "{what}: {issue}");
        assert_eq!(shield.policy_status()["digest"], good, "{what}");
        let answer = shield.request(&scene.agent, "POST", &target, JSON, body);
        assert!(
            answer.json()["message"].as_str().unwrap_or_default().contains("by good"),
            "{what}"
        );
        // Nothing starts on what is not there.
        let elsewhere = dir.with_extension("data").display().to_string();
        let mut start = shield.operator(&scene.reviewer);
        start.args(["serve", "--data-dir", &elsewhere, "--listen", "127.0.0.1:0"]);
        start.args(["--review-listen", "127.0.0.1:0"]).args(args);
        let start = start.output().expect("a CLI");
        let said = String::from_utf8_lossy(&start.stderr).into_owned();
        assert!(!start.status.success() && said.contains(want), "{what}: {said}");
        if hidden.exists() {
            fs::rename(&hidden, &dir).expect("a directory");
        }
        restore();
        wait_until(Duration::from_secs(20), "the good set is back", || {
            shield.policy_status()["refused"].is_null().then_some(())
        });
    }
}

#[test]
fn who_starts_it_to_observe_is_told_that_nothing_is_held() {
    let scene = Scene::new("policies-observe");
    let dir = dir(&scene, "policies");
    put(&dir, "settings.yaml", &ALONE.replace("packs: []", "packs: [observe]"));
    let shield = Shield::start(scene.cluster, &["--policy", &dir.display().to_string()]);
    let log = shield.log();
    let ready = log.lines().find(|it| it.contains("ready: ")).unwrap_or_default();
    assert!(ready.contains("NOTHING IS HELD") && !ready.contains("writes are judged"), "{ready}");
    assert!(ready.contains("write-to-agent-shield"), "{ready}");
    put(&dir, "settings.yaml", &ALONE.replace("packs: []", "packs: [default]"));
    wait_until(Duration::from_secs(20), "the rules hold again", || {
        shield.log().contains("are in force: writes are judged").then_some(())
    });
}

/// Agents that send all the time.
const CLIENTS: usize = 100;

#[test]
fn no_request_is_judged_by_a_mixture() {
    swapped_under_load("policies-swaps", 100);
}

#[test]
#[ignore = "takes a minute or two"]
fn no_request_of_a_thousand_swaps_is_judged_by_a_mixture() {
    swapped_under_load("policies-thousand", 1_000);
}

/// Puts a set in place as a kubelet does with a ConfigMap: a file for each document, all of them
/// swapped by one symbolic link.
fn mount(dir: &Path, version: &str, documents: &str) {
    let version = format!("..{version}");
    fs::create_dir(dir.join(&version)).expect("a directory");
    for (index, text) in documents.split("---\n").chain([ALONE]).enumerate() {
        let file = format!("{index}.yaml");
        fs::write(dir.join(&version).join(&file), text).expect("a file");
        if !dir.join(&file).is_symlink() {
            symlink(Path::new("..data").join(&file), dir.join(&file)).expect("a link");
        }
    }
    let before = fs::read_link(dir.join("..data"));
    symlink(&version, dir.join("..data_tmp")).expect("a link");
    fs::rename(dir.join("..data_tmp"), dir.join("..data")).expect("a link in place");
    if let Ok(before) = before {
        fs::remove_dir_all(dir.join(before)).expect("a directory to remove");
    }
}

/// Swaps sets of several files so often, every tenth time by way of a broken one, while agents send
/// what each set denies in its own words.
fn swapped_under_load(name: &str, swaps: usize) {
    let scene = Scene::new(name);
    let dir = dir(&scene, "policies");
    mount(&dir, "0", &marked("set-0-"));
    let shield = Shield::start(scene.cluster, &["--policy", &dir.display().to_string()]);
    let (stop, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    let target = format!("/api/v1/namespaces/{}/configmaps", scene.prod);
    let seen = Mutex::new(BTreeSet::new());
    let authorization = format!("Bearer {}", scene.agent.token);
    let headers = [("Authorization", authorization.as_str()), ("Content-Type", "application/json")];
    let body = br#"{"metadata":{"name":"c"}}"#;
    // One after the other: how many handshakes one address may have at once is bounded.
    let open = |_| {
        let opened = http::Connection::open(&shield.agent_url, &shield.ca());
        let mut connection = opened.expect("a connection");
        connection.request("POST", &target, &headers, body).expect("a request");
        assert_eq!(connection.answer().expect("an answer").status, 403);
        connection
    };
    let connections: Vec<_> = (0..CLIENTS).map(open).collect();
    thread::scope(|scope| {
        for mut connection in connections {
            let (target, headers, stop, answered, seen) =
                (&target, &headers, &stop, &answered, &seen);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    connection.request("POST", target, headers, body).expect("a request");
                    let answer = connection.answer().expect("an answer");
                    let message = answer.json()["message"].to_string();
                    if answer.status == 503 && message.contains("cannot tell whose request") {
                        continue; // The API server is too busy to say; nobody judged anything.
                    }
                    assert_eq!(answer.status, 403, "{message}");
                    // Equal reasons are told once: of a mixture there would be two.
                    assert_eq!(message.matches("by set-").count(), 1, "{message}");
                    assert!(message.contains("one/rule, two/rule"), "{message}");
                    let marker =
                        message.split("by set-").nth(1).and_then(|it| it.split('-').next());
                    seen.lock().expect("a lock").insert(marker.unwrap_or_default().to_owned());
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let mut digest = shield.policy_status()["digest"].clone();
        for swap in 1..=swaps {
            if swap % 10 == 0 {
                let broken = marked("broken").replacen("action: deny", "action: allow", 1);
                mount(&dir, &format!("{swap}-broken"), &broken);
                wait_quickly("a refusal", || !shield.policy_status()["refused"].is_null());
                assert_eq!(shield.policy_status()["digest"], digest, "a broken set is in force");
            }
            mount(&dir, &swap.to_string(), &marked(&format!("set-{swap}-")));
            wait_quickly("a swap", || {
                let now = shield.policy_status()["digest"].clone();
                now.is_string() && now != digest
            });
            digest = shield.policy_status()["digest"].clone();
        }
        // However busy the machine is: each has sent, and several sets have judged.
        wait_quickly("requests", || {
            answered.load(Ordering::Relaxed) > 2 * CLIENTS && seen.lock().expect("a lock").len() > 9
        });
        stop.store(true, Ordering::Relaxed);
    });
    let (answered, seen) = (answered.into_inner(), seen.into_inner().expect("a lock"));
    println!("{answered} requests, judged by {} of {} sets", seen.len(), swaps + 1);
}

/// As [`wait_until`], without its pauses.
fn wait_quickly(what: &str, mut is: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is() {
        assert!(started.elapsed() < Duration::from_secs(60), "waited in vain for {what}");
        thread::sleep(Duration::from_millis(2));
    }
}
