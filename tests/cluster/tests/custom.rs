//! Custom resources: what the API server stores itself is previewed as what it serves itself; a dry run that
//! another server may take for real is a write.

use std::{
    fs,
    io::Read,
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use cluster::{
    Aggregated, Scene,
    aggregated::{Registered, api_service, service},
    define, definition, list,
};
use serde_json::{Value, json};
use testkit::{Shield, free_ports, wait_until};

const MERGE: &str = "application/merge-patch+json";
const JSON: &str = "application/json";

/// What came of a write.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Came {
    /// A person is asked.
    Held,
    /// kubectl ended with this exit code, or a request with this status.
    Code(u16),
}
use Came::{Code, Held};

/// The schema of a thing.
fn schema() -> Value {
    let spec = json!({"type": "object", "properties": {
        "size": {"type": "integer"}, "note": {"type": "string"},
    }});
    json!({"type": "object", "properties": {"spec": spec}})
}

fn thing(group: &str, namespace: &str, name: &str, size: impl Into<Value>) -> Value {
    json!({
        "apiVersion": format!("{group}/v1"), "kind": "Thing",
        "metadata": {"name": name, "namespace": namespace}, "spec": {"size": size.into()},
    })
}

/// The status of the same request at the API server itself.
fn direct(scene: &Scene, method: &str, target: &str, media: &str, body: &Value) -> u16 {
    let authorization = format!("Bearer {}", scene.agent.token);
    let headers = [("Authorization", authorization.as_str()), ("Content-Type", media)];
    let (server, ca, body) = (scene.cluster.server(), scene.cluster.ca(), body.to_string());
    let answer = testkit::http::request(server, &ca, method, target, &headers, body.as_bytes());
    answer.expect("an answer").status
}

/// One scene, and one group in it.
struct Tried {
    scene: Scene,
    shield: Shield,
    kubeconfig: PathBuf,
    group: String,
}

impl Tried {
    fn new(scene: Scene, group: String) -> Self {
        let shield = Shield::start(scene.cluster, &["--hold-open", "1s"]);
        let kubeconfig = shield.kubeconfig(&scene.agent);
        Self { scene, shield, kubeconfig, group }
    }

    fn file(&self, object: &Value) -> PathBuf {
        let file = self.shield.data_dir().join(self.scene.cluster.unique("object.json"));
        fs::write(&file, object.to_string()).expect("a file");
        file
    }

    fn holds(&self) -> Vec<Value> {
        let holds = self.shield.cli_json(&self.scene.reviewer, &["holds"]);
        holds["items"].as_array().cloned().unwrap_or_default()
    }

    /// What comes of a command of kubectl, and what it says.
    fn kubectl(&self, args: &[&str]) -> (Came, String) {
        let before = self.holds().len();
        let mut command: Command = self.scene.cluster.kubectl_as(&self.kubeconfig);
        command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("kubectl");
        let came = wait_until(Duration::from_secs(60), "kubectl ends, or waits", || {
            if let Some(status) = child.try_wait().expect("a process") {
                return Some(Code(status.code().and_then(|it| it.try_into().ok()).unwrap_or(999)));
            }
            (self.holds().len() > before).then_some(Held)
        });
        let _ = child.kill();
        let mut said = String::new();
        let mut read = |from: &mut dyn Read| from.read_to_string(&mut said).map(drop);
        child.stdout.as_mut().map(|it| read(it));
        child.stderr.as_mut().map(|it| read(it));
        let _ = child.wait();
        (came, said)
    }

    /// What comes of a request; 429 is a hold.
    fn request(&self, method: &str, target: &str, media: &str, body: &Value) -> (Came, String) {
        let body = body.to_string();
        let (agent, media) = (&self.scene.agent, Some(media));
        let answer = self.shield.request(agent, method, target, media, body.as_bytes());
        let came = if answer.status == 429 { Held } else { Code(answer.status) };
        (came, answer.text())
    }

    fn things(&self, namespace: &str) -> String {
        format!("/apis/{}/v1/namespaces/{namespace}/things", self.group)
    }

    /// What comes of each kind of write in a namespace, where `a` to `e` have the size 1.
    fn all(&self, ns: &str) -> Vec<(&'static str, Came, String)> {
        let thing = |name: &str, size: Value| thing(&self.group, ns, name, size);
        let file = |name: &str, size: Value| self.file(&thing(name, size)).display().to_string();
        let things = self.things(ns);
        let mut came = Vec::new();
        let mut kubectl = |what, args: &[&str]| {
            let (it, said) = self.kubectl(args);
            came.push((what, it, said));
        };
        let server = ["apply", "--validate=false", "--server-side"];
        kubectl("diff", &["diff", "-f", &file("a", json!(2))]);
        kubectl("diff of a new one", &["diff", "-f", &file("new", json!(2))]);
        let dry = [&server[..], &["--dry-run=server", "-f"]].concat();
        kubectl("dry run", &[&dry[..], &[&file("b", json!(2))]].concat());
        let patch = ["-n", ns, "patch", &format!("things.{}", self.group), "c", "--type=merge"];
        let dry = [&patch[..], &["--dry-run=server", "-p", r#"{"spec":{"size":2}}"#]].concat();
        kubectl("dry run of a patch", &dry);
        kubectl("no-op apply", &[&server[..], &["-f", &file("d", json!(1))]].concat());
        let existing = file("e", json!(1));
        kubectl("409", &["create", "--validate=false", "-f", &existing]);
        kubectl("422", &["create", "--validate=false", "-f", &file("invalid", json!("x"))]);
        let real = [&patch[..], &["-p", r#"{"spec":{"size":3}}"#]].concat();
        kubectl("real change", &real);
        let size = json!({"spec": {"size": 2}});
        let mut request = |what, method: &str, target: &str, media: &str, body: &Value| {
            let (it, said) = self.request(method, target, media, body);
            came.push((what, it, said));
        };
        request("404 of a patch", "PATCH", &format!("{things}/absent"), MERGE, &size);
        request("404 of a delete", "DELETE", &format!("{things}/absent"), JSON, &json!({}));
        for (what, from, to) in [
            ("unserved group", self.group.clone(), format!("no.{}", self.group)),
            ("unserved version", "/v1/".to_owned(), "/v7/".to_owned()),
        ] {
            request(what, "POST", &things.replacen(&from, &to, 1), JSON, &thing("f", json!(1)));
        }
        let unserved = things.replace("things", "nothings");
        request("unserved plural", "PATCH", &format!("{unserved}/a"), MERGE, &size);
        came
    }
}

fn check(what: &str, came: &[(&str, Came, String)], want: &[(&str, Came)]) {
    assert_eq!(came.len(), want.len(), "{what}");
    for ((row, came, said), (wanted, want)) in came.iter().zip(want) {
        assert_eq!((row, came), (wanted, want), "{what}: {row}: {said}");
        let is_ours = said.contains("agent-shield ");
        assert!(!is_ours || *came == Held, "{what}: {row}: these are not the API server's: {said}");
    }
}

#[test]
fn what_the_api_server_stores_is_previewed() {
    let scene = Scene::new("custom");
    let group = format!("{}.example.org", scene.dev);
    define(scene.cluster, &definition(&group, "Thing", "things", &schema()), &group, "v1");
    let tried = Tried::new(scene, group);
    let want = |change| {
        [
            ("diff", Code(1)),
            ("diff of a new one", Code(1)),
            ("dry run", Code(0)),
            ("dry run of a patch", Code(0)),
            ("no-op apply", Code(0)),
            ("409", Code(1)),
            ("422", Code(1)),
            ("real change", change),
            ("404 of a patch", Code(404)),
            ("404 of a delete", Code(404)),
            ("unserved group", Code(404)),
            ("unserved version", Code(404)),
            ("unserved plural", Code(404)),
        ]
    };
    for (ns, change) in [(&tried.scene.prod, Held), (&tried.scene.dev, Code(0))] {
        for name in ["a", "b", "c", "d", "e"] {
            let file = tried.file(&thing(&tried.group, ns, name, 1));
            let mut apply = tried.scene.cluster.kubectl();
            let applied = apply.args(["apply", "--server-side", "-f"]).arg(file).output();
            assert!(applied.expect("kubectl").status.success(), "{name}");
        }
        let came = tried.all(ns);
        check(ns, &came, &want(change));
        let said = |row: &str| came.iter().find(|it| it.0 == row).map_or("", |it| it.2.as_str());
        assert!(said("diff").contains("size: 2"), "{}", said("diff"));
        assert!(said("409").contains("(AlreadyExists)"), "{}", said("409"));
        assert!(said("422").contains("spec.size"), "{}", said("422"));
        // Nothing but the real change was stored.
        for name in ["a", "b", "d", "e"] {
            let stored = tried.scene.cluster.get(&format!("{}/{name}", tried.things(ns)));
            assert_eq!(stored.expect("a thing")["spec"]["size"], 1, "{ns}/{name}");
        }
    }
    // One hold in all: the change in production, with what differs.
    let holds = tried.holds();
    assert_eq!(holds.len(), 1, "{holds:?}");
    let id = holds[0]["id"].as_str().expect("an id").to_owned();
    let shown = tried.shield.cli_json(&tried.scene.reviewer, &["show", &id]);
    let change = json!([{"path": "/spec/size", "old": "1", "new": "3"}]);
    assert_eq!(shown["preview"]["changes"], change, "{shown}");
    assert!(!shown["preview"]["uid"].as_str().unwrap_or_default().is_empty(), "{shown}");
    assert_eq!(holds[0]["rules"], json!(["write-custom-resource"]), "{shown}");
    // Judged once more by the record, each of them is what it was.
    let settings = json!({
        "apiVersion": "agent-shield.io/v1alpha1", "kind": "PolicySettings",
        "metadata": {"name": "settings"}, "spec": {"packs": ["default"]},
    });
    let mut replay = tried.shield.operator(&tried.scene.reviewer);
    replay.args(["policy", "replay", "--since", "1h", "-o", "json", "--policy"]);
    let output = replay.arg(tried.file(&settings)).output().expect("agent-shield");
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&report["items"], &report["unknowns"]), (&json!([]), &json!([])), "{report:#}");
    assert!(report["same"].as_u64().is_some_and(|it| it >= 10), "{report:#}");
}

#[test]
fn what_another_server_may_take_for_real_is_a_write() {
    let scene = Scene::new("aggregated");
    let aggregated = Aggregated::start(scene.cluster, &scene.dev);
    let (prod, dev) = (scene.prod.clone(), scene.dev.clone());
    let tried = Tried::new(scene, aggregated.group.clone());
    for ns in [&prod, &dev] {
        for name in ["a", "b", "c", "d", "e", "denied"] {
            let thing = thing(&tried.group, ns, name, 1);
            let status = direct(&tried.scene, "POST", &tried.things(ns), JSON, &thing);
            assert_eq!(status, 201, "{name}");
        }
    }
    wait_until(Duration::from_secs(90), "kubectl finds things", || {
        let things = format!("things.{}", tried.group);
        let mut get = tried.scene.cluster.kubectl();
        let got = get.args(["-n", &dev, "get", &things]).output().expect("kubectl");
        got.status.success().then_some(())
    });
    let before = aggregated.written().len();
    let want = |held: Option<Came>, rest: [Came; 7]| {
        let [diff, dry, noop, exists, invalid, change, unserved] =
            rest.map(|it| held.unwrap_or(it));
        [
            ("diff", diff),
            ("diff of a new one", diff),
            ("dry run", dry),
            ("dry run of a patch", dry),
            ("no-op apply", noop),
            ("409", exists),
            ("422", invalid),
            ("real change", change),
            ("404 of a patch", Code(404)),
            ("404 of a delete", Code(404)),
            ("unserved group", Code(404)),
            ("unserved version", Code(404)),
            ("unserved plural", unserved),
        ]
    };
    let came = tried.all(&prod);
    let mut wanted = want(Some(Held), [Held; 7]);
    // A read tells that there is no such thing.
    wanted[12].1 = Code(404);
    check(&prod, &came, &wanted);
    assert_eq!(aggregated.written().len(), before, "{:?}", aggregated.written());
    // What may run as it is asked for is one question, whatever it says of a dry run.
    let scene = &tried.scene;
    let asks = |query: &str| {
        let target = format!("{}/denied?timeout=3s{query}", tried.things(&prod));
        let body = br#"{"spec":{"size":2}}"#;
        scene.shield.request(&scene.agent, "PATCH", &target, Some(MERGE), body).held_or_status()
    };
    assert_eq!(asks("&dryRun=All"), 429);
    let hold = scene.pending(&prod, "denied");
    scene.decide("deny", hold["id"].as_str().unwrap_or_default(), "a dry run");
    assert_eq!(asks("&dryRun=All"), 403, "it was denied");
    assert_eq!(asks(""), 403, "it stays denied");
    // Outside production writes pass, and this is what a dry run does there.
    let codes = [Code(0), Code(0), Code(0), Code(1), Code(1), Code(0), Code(404)];
    let came = tried.all(&dev);
    let mut wanted = want(None, codes);
    wanted[0].1 = came[0].1;
    wanted[1].1 = came[1].1;
    check(&dev, &came, &wanted);
    let size = |name| aggregated.stored(&dev, name).map(|it| it["spec"]["size"].clone());
    assert_eq!(size("b"), Some(json!(2)), "its dry run was taken for real");
    assert_eq!(aggregated.stored(&prod, "b").map(|it| it["spec"]["size"].clone()), Some(json!(1)));
}

#[test]
fn a_server_that_is_down_answers_as_the_api_server_does() {
    let scene = Scene::new("down");
    let group = format!("{}.example.com", scene.dev);
    let [nobody] = free_ports().expect("a port");
    scene.cluster.apply(&service(&scene.dev, nobody)).expect("a Service");
    let behind = api_service(&group, "v1", Some((&scene.dev, nobody)));
    let _registered = Registered::apply(scene.cluster, &behind);
    let at = format!("/apis/apiregistration.k8s.io/v1/apiservices/v1.{group}");
    wait_until(Duration::from_secs(60), "it is known to be down", || {
        let service = scene.cluster.get(&at)?;
        let conditions = service["status"]["conditions"].as_array()?;
        conditions.iter().any(|it| it["status"] == "False").then_some(())
    });
    let tried = Tried::new(scene, group);
    for ns in [&tried.scene.prod, &tried.scene.dev] {
        let things = tried.things(ns);
        let size = json!({"spec": {"size": 2}});
        let (object, new) = (format!("{things}/a"), thing(&tried.group, ns, "a", 1));
        let table = [
            ("GET", object.clone(), JSON, &json!({})),
            ("POST", things.clone(), JSON, &new),
            ("POST", format!("{things}?dryRun=All"), JSON, &new),
            ("PUT", object.clone(), JSON, &new),
            ("PATCH", object.clone(), MERGE, &size),
            ("PATCH", format!("{object}?fieldManager=x"), "application/apply-patch+yaml", &new),
            ("PATCH", format!("{object}/scale"), MERGE, &size),
            ("DELETE", object.clone(), JSON, &json!({})),
            ("DELETE", things, JSON, &json!({})),
        ];
        for (method, target, media, body) in table {
            let (came, said) = tried.request(method, &target, media, body);
            assert_eq!(came, Code(503), "{method} {target}: {said}");
            assert!(!said.contains("agent-shield "), "{method} {target}: {said}");
        }
    }
    assert!(tried.holds().is_empty());
}

#[test]
fn no_dry_run_is_believed_that_may_not_tell_all() {
    let scene = Scene::new("converted");
    let of = |suffix: &str| format!("{suffix}.{}.example.org", scene.dev);
    let (webhook, unlike, versions) = (of("webhook"), of("unlike"), of("versions"));
    let mut by_webhook = definition(&webhook, "Thing", "things", &schema());
    let url = "https://127.0.0.1:9/";
    by_webhook["spec"]["conversion"] = json!({"strategy": "Webhook", "webhook": {
        "conversionReviewVersions": ["v1"], "clientConfig": {"url": url},
    }});
    define(scene.cluster, &by_webhook, &webhook, "v1");
    // What the older version does not have goes with any write in it, unseen.
    let mut of_two = definition(&unlike, "Thing", "things", &schema());
    let mut newer = schema();
    newer["properties"]["spec"]["properties"]["kept"] = json!({"type": "string"});
    let older = of_two["spec"]["versions"][0].clone();
    let mut version = older.clone();
    version["name"] = json!("v2");
    version["schema"]["openAPIV3Schema"] = newer;
    of_two["spec"]["versions"][0]["storage"] = json!(false);
    of_two["spec"]["versions"].as_array_mut().expect("versions").push(version);
    define(scene.cluster, &of_two, &unlike, "v1");
    // Another server has another version of the group of a definition.
    define(scene.cluster, &definition(&versions, "Thing", "things", &schema()), &versions, "v1");
    let (aggregated, port) = Aggregated::listen(scene.cluster, &versions);
    let behind = api_service(&versions, "v2", Some((&scene.dev, port)));
    scene.cluster.apply(&service(&scene.dev, port)).expect("a Service");
    let _registered = Registered::apply(scene.cluster, &behind);
    let mut stored = thing(&unlike, &scene.prod, "a", 1);
    stored["apiVersion"] = json!(format!("{unlike}/v2"));
    stored["spec"]["kept"] = json!("dear");
    let others = [&webhook, &versions].map(|group| thing(group, &scene.prod, "a", 1));
    scene.cluster.apply(&list(&others)).expect("things");
    scene.cluster.apply(&stored).expect("a thing");
    let at_another = format!("/apis/{versions}/v2/namespaces/{}/things", scene.prod);
    wait_until(Duration::from_secs(60), "the other server answers", || {
        scene.cluster.get(&at_another).map(drop)
    });
    let other = thing(&versions, &scene.prod, "a", 1);
    assert_eq!(direct(&scene, "POST", &at_another, JSON, &other), 201);
    let tried = Tried::new(scene, String::new());
    let ns = &tried.scene.prod;
    let at =
        |group: &str, version: &str| format!("/apis/{group}/{version}/namespaces/{ns}/things/a");
    let none = json!({"metadata": {"labels": {}}});
    let dry = |target: &str, dry_run: &str| format!("{target}?{dry_run}");
    let table = [
        (dry(&at(&webhook, "v1"), "dryRun=All"), Held),
        (at(&webhook, "v1"), Held),
        (at(&unlike, "v1"), Held),
        (dry(&at(&unlike, "v1"), "dryRun=All"), Held),
        (dry(&at(&versions, "v2"), "dryRun=All"), Held),
        (dry(&at(&versions, "v1"), "dryRun=All"), Code(200)),
        (at(&versions, "v1"), Code(200)),
        // Nobody but the API server decides what is a dry run there, and it knows one spelling.
        (dry(&at(&versions, "v1"), "dryRun=all"), Code(400)),
        (dry(&at(&versions, "v1"), "DryRun=All"), Code(200)),
    ];
    for (target, want) in table {
        let (came, said) = tried.request("PATCH", &target, MERGE, &none);
        assert_eq!(came, want, "{target}: {said}");
    }
    let size = json!({"spec": {"size": 2}});
    for dry_run in ["DryRun=All", "dryRun=", "dryRun=&dryRun=All", "dryRun=All,All"] {
        let target = dry(&at(&versions, "v1"), dry_run);
        let (came, said) = tried.request("PATCH", &target, MERGE, &size);
        assert_ne!(came, Code(200), "{target}: {said}");
    }
    // Of a delete, the body counts and not the query.
    let target = dry(&at(&versions, "v1"), "dryRun=All");
    let (came, said) = tried.request("DELETE", &target, JSON, &json!({}));
    assert_eq!(came, Held, "{said}");
    let kept = tried.scene.cluster.get(&at(&unlike, "v2")).expect("a thing");
    assert_eq!(kept["spec"]["kept"], "dear", "{kept}");
    assert_eq!(aggregated.written(), [format!("POST {at_another}")]);
    // The control: this is what such a write does.
    assert_eq!(direct(&tried.scene, "PATCH", &at(&unlike, "v1"), MERGE, &none), 200);
    let lost = tried.scene.cluster.get(&at(&unlike, "v2")).expect("a thing");
    assert!(lost["spec"]["kept"].is_null(), "{lost}");
}

#[test]
fn an_approval_is_void_once_another_server_answers() {
    let scene = Scene::new("turned");
    let group = format!("{}.example.com", scene.dev);
    define(scene.cluster, &definition(&group, "Thing", "things", &schema()), &group, "v1");
    scene.cluster.apply(&thing(&group, &scene.prod, "a", 1)).expect("a thing");
    let (aggregated, port) = Aggregated::listen(scene.cluster, &group);
    let tried = Tried::new(scene, group);
    let cluster = tried.scene.cluster;
    let object = format!("{}/a", tried.things(&tried.scene.prod));
    let size = json!({"spec": {"size": 2}});
    assert_eq!(tried.request("PATCH", &object, MERGE, &size).0, Held);
    let hold = tried.holds()[0].clone();
    let id = hold["id"].as_str().expect("an id");
    let shown = tried.shield.cli_json(&tried.scene.reviewer, &["show", id]);
    assert_eq!(shown["preview"]["changes"][0]["path"], "/spec/size", "{shown}");
    tried.shield.decide(&tried.scene.reviewer, "approve", id, "fine").expect("an approval");
    let behind = api_service(&tried.group, "v1", Some((&tried.scene.dev, port)));
    cluster.apply(&service(&tried.scene.dev, port)).expect("a Service");
    // A managed APIService is written anew; this one is nobody's.
    let mut label = cluster.kubectl();
    let name = format!("v1.{}", tried.group);
    label.args(["label", "apiservice", &name, "kube-aggregator.kubernetes.io/automanaged-"]);
    assert!(label.output().is_ok_and(|it| it.status.success()));
    let _registered = Registered::apply(cluster, &behind);
    let things = tried.things(&tried.scene.prod);
    wait_until(Duration::from_secs(60), "another server answers", || {
        let list = cluster.get(&things)?;
        list["items"].as_array()?.is_empty().then_some(())
    });
    let other = thing(&tried.group, &tried.scene.prod, "a", 1);
    assert_eq!(direct(&tried.scene, "POST", &things, JSON, &other), 201);
    for target in [&object, &format!("{object}?dryRun=All")] {
        let (came, said) = tried.request("PATCH", target, MERGE, &size);
        assert_eq!(came, Held, "{target}: {said}");
    }
    assert_eq!(aggregated.written(), [format!("POST {things}")]);
    let shown = tried.shield.cli_json(&tried.scene.reviewer, &["show", id]);
    assert_eq!((&shown["state"], &shown["drifts"]), (&json!("pending"), &json!(1)), "{shown}");
}
