//! A data directory that an earlier build made (`crates/store/tests/fixtures`) opens: what is in it is
//! found, by the same commands, and still counts.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use cluster::{Scene, deployment, list, namespace};
use jiff::Timestamp;
use rusqlite::{Connection, params};
use serde_json::{Value, json};
use testkit::{Shield, wait_until};

const TIME_MAX: Duration = Duration::from_secs(60);
const JSON: Option<&str> = Some("application/json");
const MERGE: Option<&str> = Some("application/merge-patch+json");
const PROD: &str = "old-shop";
const BILLING: &str = "old-billing";
const DEV: &str = "old-sandbox";
/// Behind the rows of the dump, before the triggers that refuse every change of them.
const ROWS_END: &str = "-- All rows are in; what guards them follows.\n";

fn fixture(file: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.join("crates/store/tests/fixtures/b149ac4").join(file)
}

/// An agent-shield that goes on where the earlier build was killed.
struct Upgraded {
    scene: Scene,
}

impl Upgraded {
    /// `change` is done to the rows before this build sees them.
    fn start(name: &str, change: impl Fn(&Connection)) -> Self {
        let mut scene = Scene::new(name);
        let cluster = scene.cluster;
        let namespaces = [
            namespace(PROD, "production"),
            namespace(BILLING, "production"),
            namespace(DEV, "dev"),
        ];
        cluster.apply(&list(&namespaces)).expect("namespaces");
        let all = json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]);
        scene.agent = cluster.cluster_agent(DEV, "agent", &all).expect("an agent");
        let policy = fixture("policy.yaml").display().to_string();
        let args = ["--policy", &policy, "--keep-facts", "3650d"];
        scene.shield = Shield::start(cluster, &args);
        scene.shield.terminate();
        let dir = scene.shield.data_dir();
        for file in ["agent-shield.db", "agent-shield.db-wal", "agent-shield.db-shm"] {
            let _ = fs::remove_file(dir.join(file));
        }
        fs::copy(fixture("digest.key"), dir.join("digest.key")).expect("the key of digests");
        load(&dir.join("agent-shield.db"), change);
        scene.shield.restart();
        Self { scene }
    }

    fn json(&self, args: &[&str]) -> Value {
        self.scene.shield.cli_json(&self.scene.reviewer, args)
    }

    fn operator(&self, args: &[&str]) -> (bool, String) {
        let output = self.scene.shield.operator(&self.scene.reviewer).args(args).output();
        let output = output.expect("agent-shield");
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&text).into_owned())
    }

    /// Sends it as the agent, who waits for a second at most.
    fn sends(&self, method: &str, path: &str, kind: Option<&str>, body: &Value) -> u16 {
        let target = format!("{path}?timeout=1s");
        let body = body.to_string();
        self.scene
            .shield
            .request(&self.scene.agent, method, &target, kind, body.as_bytes())
            .held_or_status()
    }
}

/// Makes the database as the earlier build left it.
fn load(path: &Path, change: impl Fn(&Connection)) {
    let sql = fs::read_to_string(fixture("agent-shield.sql")).expect("the rows");
    let (rows, guards) = sql.split_once(ROWS_END).expect("rows and what guards them");
    let database = Connection::open(path).expect("a database");
    database.execute_batch(rows).expect("rows");
    change(&database);
    database.execute_batch(guards).expect("triggers");
    let version: i64 =
        database.query_row("PRAGMA user_version", [], |row| row.get(0)).expect("a version");
    assert_eq!(version, 5);
}

fn items(list: &Value) -> &Vec<Value> {
    list["items"].as_array().expect("items")
}

#[test]
fn what_an_earlier_build_kept_is_found() {
    let upgraded = Upgraded::start("upgrade", |_| {});
    holds_stand_where_they_stood(&upgraded);
    calls_are_told(&upgraded);
    let frozen = upgraded.json(&["frozen"]);
    let rogue = format!("system:serviceaccount:{DEV}:rogue");
    assert_eq!(items(&frozen).len(), 1, "{frozen}");
    assert_eq!(frozen["items"][0]["user"], rogue.as_str());
    assert_eq!(frozen["items"][0]["reason"], "runs wild");
    facts_are_judged_alike(&upgraded);
    exceptions_are_migrated(&upgraded);
}

fn holds_stand_where_they_stood(upgraded: &Upgraded) {
    let table = [
        ("pending", vec!["drifted", "partly", "pending", "secret-1", "secret-2", "web"]),
        ("approved", vec!["approved"]),
        ("denied", vec!["denied"]),
        ("expired", vec!["expired"]),
        ("done", vec!["done", "scaled"]),
        // The second was running when the earlier build was killed.
        ("unknown", vec!["running", "unknown"]),
    ];
    let named = |name: &str| {
        let holds = upgraded.json(&["holds", "--state", "all"]);
        items(&holds).iter().find(|it| it["request"]["name"] == name).cloned().expect("a hold")
    };
    for (state, want) in table {
        let holds = upgraded.json(&["holds", "--state", state]);
        let mut names: Vec<&str> =
            items(&holds).iter().filter_map(|it| it["request"]["name"].as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, want, "{state}");
    }
    let partly = named("partly");
    assert_eq!(partly["approvals"][0]["reviewer"]["username"], "alice", "{partly}");
    assert_eq!(partly["approvals"][0]["reason"], "I am one of two");
    assert_eq!(partly["missing"], "1 more approval by another member of dba");
    assert_eq!(named("drifted")["drifts"], 1);
    let denied = named("denied");
    assert_eq!(denied["verdict"]["reviewer"]["username"], "bob", "{denied}");
    assert_eq!(
        (&named("done")["code"], &named("done")["verdict"]["reason"]),
        (&json!(200), &json!("retired"))
    );
    let web = named("web");
    let shown = upgraded.json(&["show", web["id"].as_str().expect("an id")]);
    let change = json!([{"path": "/spec/replicas", "old": "6", "new": "5"}]);
    assert_eq!(shown["preview"]["changes"], change, "{shown}");
}

fn calls_are_told(upgraded: &Upgraded) {
    let timeline = upgraded.json(&["timeline", "--limit", "1000"]);
    let count = |verb: &str, resource: &str, name: &str, code: u16| {
        let calls = items(&timeline).iter().filter(|call| {
            let request = &call["request"];
            (&request["verb"], &request["resource"], &request["name"], &call["code"])
                == (&json!(verb), &json!(resource), &json!(name), &json!(code))
        });
        calls.count()
    };
    assert_eq!(count("patch", "deployments", "web", 200), 2);
    assert_eq!(count("patch", "deployments", "web", 429), 1);
    assert_eq!(count("delete", "secrets", "secret-0", 200), 1);
    assert_eq!(count("get", "deployments", "web", 200), 2);
    assert_eq!(count("get", "configmaps", "none", 404), 1);
    let pods: Vec<&Value> = items(&timeline)
        .iter()
        .filter(|call| call["request"]["verb"] == "delete" && call["request"]["resource"] == "pods")
        .collect();
    assert_eq!(pods.len(), 2);
    assert!(pods.iter().all(|call| call["effects"][0]["kind"] == "ReplacePod"), "{pods:?}");
}

/// Each call of the earlier build is judged again, from what it recorded, by the same rules.
fn facts_are_judged_alike(upgraded: &Upgraded) {
    let policy = fixture("policy.yaml").display().to_string();
    let (done, text) = upgraded
        .operator(&["policy", "replay", "--policy", &policy, "--since", "3650d", "-o", "json"]);
    assert!(done, "{text}");
    let report: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!((&report["same"], &report["changed"]), (&report["calls"], &json!(0)), "{report:#}");
    assert!(report["calls"].as_u64() > Some(20), "{report:#}");
}

/// What `suggest-exceptions` wrote compares sentences: it is refused, rewritten, and accepted.
fn exceptions_are_migrated(upgraded: &Upgraded) {
    let file = upgraded.scene.shield.data_dir().join("exceptions.yaml");
    fs::copy(fixture("exceptions.yaml"), &file).expect("exceptions");
    let path = file.display().to_string();
    let (accepted, text) = upgraded.operator(&["policy", "check", &path]);
    assert!(!accepted, "{text}");
    for part in ["no field `detail`", "`counted`", "policy migrate"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let (done, text) = upgraded.operator(&["policy", "migrate", "--write", &path]);
    assert!(done, "{text}");
    assert!(!fs::read_to_string(&file).expect("a file").contains(".detail"));
    let (accepted, text) = upgraded.operator(&["policy", "check", &path]);
    assert!(accepted, "{text}");
}

#[test]
fn what_was_done_before_the_upgrade_still_counts() {
    let scene = Scene::new("upgrade-cluster");
    scene.cluster.apply(&list(&[namespace(PROD, "production")])).expect("a namespace");
    for (name, replicas) in [("web", 10), ("fresh", 6)] {
        scene.cluster.apply(&deployment(PROD, name, replicas)).expect("a deployment");
    }
    let web = format!("/apis/apps/v1/namespaces/{PROD}/deployments/web");
    wait_until(TIME_MAX, "ten pods are ready", || {
        (scene.cluster.get(&web)?["status"]["readyReplicas"] == 10).then_some(())
    });
    let [owner, pods] = replica_set(&scene);
    let upgraded = Upgraded::start("upgrade-counts", |database| {
        move_to_now(database);
        of_this_cluster(database, &owner[0]);
    });

    // Two pods went before: the fifth is one too many.
    for (pod, want) in pods.iter().zip([200, 200, 429]) {
        let path = format!("/api/v1/namespaces/{PROD}/pods/{pod}");
        assert_eq!(upgraded.sends("DELETE", &path, JSON, &json!({})), want, "{pod}");
    }
    // From ten, in three steps: less than half is left. From six alone, more than half is.
    scene.cluster.apply(&deployment(PROD, "web", 6)).expect("a deployment");
    let cut = json!({"spec": {"replicas": 4}});
    assert_eq!(upgraded.sends("PATCH", &web, MERGE, &cut), 429);
    let hold = upgraded.scene.shield.hold(&upgraded.scene.reviewer, "the cut", |hold| {
        hold["request"]["name"] == "web" && hold["effects"].to_string().contains("10")
    });
    assert_eq!(hold["rules"], json!(["scale-down-drastic"]), "{hold}");
    assert_eq!(upgraded.sends("PATCH", &web.replace("web", "fresh"), MERGE, &cut), 200);
}

/// The uid of the ReplicaSet of `web`, and three of its pods.
fn replica_set(scene: &Scene) -> [Vec<String>; 2] {
    let of_web = |resource: &str| {
        let path = format!("{resource}?labelSelector=app%3Dweb");
        let list = scene.cluster.get(&path).expect("a list");
        items(&list).clone()
    };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let sets = of_web(&format!("/apis/apps/v1/namespaces/{PROD}/replicasets"));
    let pods = of_web(&format!("/api/v1/namespaces/{PROD}/pods"));
    [
        sets.iter().map(|it| text(&it["metadata"]["uid"])).collect(),
        pods.iter().take(3).map(|it| text(&it["metadata"]["name"])).collect(),
    ]
}

/// As if the earlier build had been killed a minute ago.
fn move_to_now(database: &Connection) {
    let sql = "SELECT max(time_us) FROM entries";
    let last: i64 = database.query_row(sql, [], |row| row.get(0)).expect("entries");
    let by = Timestamp::now().as_microsecond() - 60_000_000 - last;
    for sql in [
        "UPDATE entries SET time_us = time_us + ?1",
        "UPDATE facts SET time_us = time_us + ?1",
        "UPDATE reads SET first_us = first_us + ?1, last_us = last_us + ?1",
    ] {
        database.execute(sql, [by]).expect(sql);
    }
}

/// As if the ReplicaSet were the one of this cluster, whose uid is another.
fn of_this_cluster(database: &Connection, uid: &str) {
    let sql = "SELECT entry FROM entries WHERE entry LIKE '%\"ReplacePod\"%' LIMIT 1";
    let entry: String = database.query_row(sql, [], |row| row.get(0)).expect("a pod that went");
    let (_, after) = entry.split_once("(uid ").expect("its owner");
    let old = after.split(')').next().expect("a uid");
    let sql = "UPDATE entries SET entry = replace(entry, ?1, ?2)";
    assert!(database.execute(sql, params![old, uid]).expect(sql) > 0);
}
