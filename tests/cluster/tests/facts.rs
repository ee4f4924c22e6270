//! What is kept of what writes were judged by: within a bound, once for each hold, and for a while.
//! Every call is in the ledger whatever becomes of that, and a replay says what it does not know.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use cluster::Scene;
use rusqlite::Connection;
use serde_json::{Value, json};
use testkit::{Shield, http};

const MERGE: Option<&str> = Some("application/merge-patch+json");
/// Refuses a selector by what is in the object. Nobody but who is told to writes to a NetworkPolicy, so
/// that its objects stay the same.
const POLICY: &str = "apiVersion: agent-shield.io/v1alpha1\nkind: Policy\nmetadata: {name: selectors}\nspec:\n  matchConstraints: {resourceRules: [{apiGroups: [networking.k8s.io], resources: [networkpolicies], operations: [CREATE, UPDATE]}]}\n  rules:\n  - {name: refused, when: \"object.spec.podSelector.matchLabels.app == 'refused'\", action: deny}\n";

struct Drill {
    scene: Scene,
    shield: Shield,
    dir: PathBuf,
}

impl Drill {
    fn start(name: &str, args: &[&str]) -> Self {
        let scene = Scene::new(name);
        let dir = scene.cluster.dir().join(scene.cluster.unique(name));
        fs::create_dir_all(&dir).expect("a directory");
        let policy = dir.join("policy.yaml");
        fs::write(&policy, POLICY).expect("a policy");
        scene.cluster.apply(&selecting(&scene.prod, "web", "web")).expect("a NetworkPolicy");
        let policy = policy.display().to_string();
        let shield = Shield::start(scene.cluster, &[&["--policy", &policy], args].concat());
        Self { scene, shield, dir }
    }

    fn path(&self, rest: &str) -> String {
        format!("/apis/networking.k8s.io/v1/namespaces/{}/networkpolicies{rest}", self.scene.prod)
    }

    /// Sends a patch; one that is held waits for half a second, so that its client comes again.
    fn patch(&self, status: u16, app: &str, note: &str) {
        let body = json!({
            "metadata": {"annotations": {"note": note}},
            "spec": {"podSelector": {"matchLabels": {"app": app}}},
        });
        let answer = self.send("PATCH", &self.path("/web?timeout=1s"), MERGE, &body);
        assert_eq!(answer.held_or_status(), status, "{}", answer.text());
    }

    fn send(&self, method: &str, target: &str, media: Option<&str>, body: &Value) -> http::Answer {
        self.shield.request(&self.scene.agent, method, target, media, body.to_string().as_bytes())
    }

    /// One number out of the ledger's file.
    fn count(&self, sql: &str) -> u64 {
        let file =
            Connection::open(self.shield.data_dir().join("agent-shield.db")).expect("a file");
        file.query_row(sql, [], |row| row.get::<_, i64>(0)).expect("a number").unsigned_abs()
    }

    fn writes(&self) -> usize {
        let args = ["timeline", "--writes", "--limit", "1000"];
        let calls = self.shield.cli_json(&self.scene.reviewer, &args);
        calls["items"].as_array().map_or(0, Vec::len)
    }

    fn replay(&self, policy: &Path) -> Value {
        let mut command = self.shield.operator(&self.scene.reviewer);
        command.args(["policy", "replay", "--since", "1h", "-o", "json", "--policy"]).arg(policy);
        let output = command.output().expect("agent-shield");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    /// By the policy in force, with another selector in the place of the refused one.
    fn replay_refusing(&self, app: &str) -> Value {
        let other = self.dir.join("other.yaml");
        fs::write(&other, POLICY.replace("'refused'", &format!("'{app}'"))).expect("a policy");
        self.replay(&other)
    }
}

/// A NetworkPolicy for some pods.
fn selecting(namespace: &str, name: &str, app: &str) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"podSelector": {"matchLabels": {"app": app}}},
    })
}

/// How often each reason why something is not known is given.
fn unknowns(report: &Value) -> Vec<(u64, String)> {
    let items = report["unknowns"].as_array().into_iter().flatten();
    let why = |it: &Value| it["why"].as_str().unwrap_or_default().to_owned();
    items.map(|it| (it["calls"].as_u64().unwrap_or_default(), why(it))).collect()
}

/// Large writes, refused and held, by an agent of which so much is kept: what is in the file then.
struct Flood {
    drill: Drill,
    bytes: u64,
    facts: u64,
}

const DENIED: usize = 60;
const HELD: usize = 12;
/// Of the annotation that each has, and so of its object.
const NOTE_BYTES: usize = 20_000;

fn flood(facts_per_agent: &str) -> Flood {
    let mut drill = Drill::start("flood", &["--facts-per-agent", facts_per_agent]);
    let note = |number: usize| format!("{number}{}", "x".repeat(NOTE_BYTES));
    for number in 0..DENIED {
        drill.patch(403, "refused", &note(number));
    }
    for number in 0..HELD {
        drill.patch(429, "other", &note(number));
    }
    assert_eq!(drill.writes(), DENIED + HELD, "every call is in the timeline");
    let facts = drill.count("SELECT sum(length(facts)) FROM facts");
    assert!(drill.shield.terminate().success());
    // What is in SQLite's log goes into the file, and nobody is busy.
    assert_eq!(drill.count("PRAGMA wal_checkpoint(TRUNCATE)"), 0);
    let file = drill.shield.data_dir().join("agent-shield.db");
    let bytes = fs::metadata(file).expect("the ledger").len();
    Flood { drill, bytes, facts }
}

#[test]
fn a_flood_of_large_writes_costs_little_more_than_its_entries() {
    const KEPT: u64 = 32 << 10;
    let all = (DENIED + HELD) as u64;
    let unbounded = flood("1Gi");
    assert!(unbounded.facts > all * NOTE_BYTES as u64, "{} bytes of facts", unbounded.facts);
    let report = unbounded.drill.replay(&unbounded.drill.dir.join("policy.yaml"));
    assert_eq!((&report["same"], unknowns(&report).len()), (&json!(all), 0), "{report:#}");

    let bounded = flood("32Ki");
    let drill = &bounded.drill;
    let of = |extent: &str| {
        let sql =
            "SELECT count(*) FROM facts WHERE coalesce(json_extract(facts, '$.extent'), 'whole')";
        drill.count(&format!("{sql} = '{extent}'"))
    };
    let [whole, outline, none] = ["whole", "outline", "none"].map(of);
    println!(
        "unbounded: {} bytes of facts in a file of {}; bounded: {} in {}: {whole} whole, {outline} outlines, {none} without objects",
        unbounded.facts, unbounded.bytes, bounded.facts, bounded.bytes
    );
    assert_eq!(whole + outline + none, all);
    assert!(whole > 0 && outline > 0 && none > 0, "{whole} {outline} {none}");
    // The last ones have hardly anything.
    assert!(bounded.facts < 2 * KEPT + none * 600, "{} bytes of facts", bounded.facts);
    let saved = unbounded.bytes - bounded.bytes;
    assert!(saved > (unbounded.facts - bounded.facts) * 9 / 10, "{saved} bytes");

    // All that was left out is said to be, and no verdict is another.
    let report = drill.replay(&drill.dir.join("policy.yaml"));
    assert_eq!((&report["calls"], &report["changed"]), (&json!(all), &json!(0)), "{report:#}");
    assert_eq!((&report["same"], &report["unknown"]), (&json!(whole), &json!(outline + none)));
    let whys = unknowns(&report);
    let budget = "reads objects, not recorded: its agent had used up what is kept of it";
    assert!(whys.contains(&(none, budget.to_owned())), "{whys:?}");
    assert!(whys.iter().all(|(_, why)| why.contains("not recorded")), "{whys:?}");
}

#[test]
fn a_client_that_comes_again_is_replayed_by_the_objects_of_its_hold() {
    let mut drill = Drill::start("again", &[]);
    let with_objects = "SELECT count(*) FROM facts WHERE json_array_length(facts, '$.objects') > 0";
    let referring =
        "SELECT count(*) FROM facts WHERE json_extract(facts, '$.objectsOf') IS NOT NULL";
    let counts = |drill: &Drill| [with_objects, referring].map(|sql| drill.count(sql));
    for _ in 0..4 {
        drill.patch(429, "other", "a");
    }
    assert_eq!(counts(&drill), [1, 3]);
    // What the API server makes up in each dry run of a create does not make it another object.
    let new = selecting(&drill.scene.prod, "new", "new");
    for _ in 0..3 {
        let answer = drill.send("POST", &drill.path("?timeout=1s"), Some("application/json"), &new);
        assert_eq!(answer.held_or_status(), 429, "{}", answer.text());
    }
    assert_eq!(counts(&drill), [2, 5]);
    // The object changes beside the patch: what is asked for is the same, and what rules see is not.
    let args = ["annotate", "networkpolicy", "web", "a=b", "-n", &drill.scene.prod];
    assert!(drill.scene.cluster.kubectl_says(&args).is_some());
    for _ in 0..2 {
        drill.patch(429, "other", "a");
    }
    assert_eq!(counts(&drill), [3, 6]);
    // A restart forgets where they are.
    assert!(drill.shield.terminate().success());
    drill.shield.restart();
    for _ in 0..2 {
        drill.patch(429, "other", "a");
    }
    assert_eq!(counts(&drill), [4, 7]);

    let report = drill.replay(&drill.dir.join("policy.yaml"));
    assert_eq!((&report["same"], unknowns(&report).len()), (&json!(11), 0), "{report:#}");
    // Each is refused for what is in its objects: the eight patches, and the three creates.
    for (app, changed) in [("other", 8), ("new", 3)] {
        let report = drill.replay_refusing(app);
        assert_eq!(report["changed"], changed, "{report:#}");
        assert_eq!(report["unknowns"], json!([]), "{report:#}");
    }
}

#[test]
fn facts_go_after_their_time_and_calls_stay() {
    let drill = Drill::start("kept", &["--keep-facts", "1s"]);
    for number in 0..3 {
        drill.patch(403, "refused", &number.to_string());
    }
    testkit::wait_until(Duration::from_secs(30), "facts are dropped", || {
        (drill.count("SELECT count(*) FROM facts") == 0).then_some(())
    });
    assert_eq!(drill.writes(), 3);
    let report = drill.replay(&drill.dir.join("policy.yaml"));
    let want = [(3, "what it was judged by is no longer kept".to_owned())];
    assert_eq!(unknowns(&report), want, "{report:#}");
}
