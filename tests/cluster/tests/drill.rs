//! The drill: an hour of three agents in small, and the questions of an incident review afterwards.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use cluster::{Scene, deployment, list, namespace};
use serde_json::{Value, json};
use testkit::{Agent, http, wait_until};

const MERGE: Option<&str> = Some("application/merge-patch+json");
const JSON: Option<&str> = Some("application/json");

/// The cast and the place.
struct Drill {
    scene: Scene,
    /// Looks at things.
    reader: Agent,
    /// Restarts and scales.
    scaler: Agent,
    /// Cleans up, namespaces too.
    cleaner: Agent,
    /// Approves in the name of alice.
    alice: PathBuf,
    /// Denies in the name of bob.
    bob: PathBuf,
    /// What the cleaner takes down.
    doomed: String,
}

fn cast() -> Drill {
    let scene = Scene::new("drill");
    let doomed = scene.cluster.unique("drill-doomed");
    let mut objects = vec![namespace(&doomed, "production")];
    for n in 0..6 {
        objects.push(deployment(&scene.prod, &format!("web{n}"), 4));
        objects.push(deployment(&scene.dev, &format!("web{n}"), 1));
    }
    scene.cluster.apply(&list(&objects)).expect("objects");
    let rule = |group: &str, resources: &[&str], verbs: &[&str]| json!({"apiGroups": [group], "resources": resources, "verbs": verbs});
    let read = ["get", "list", "watch"];
    let reads = [rule("apps", &["deployments"], &read), rule("", &["pods", "configmaps"], &read)];
    let writes = ["create", "patch", "delete"];
    let apps = rule("apps", &["deployments", "deployments/scale"], &["get", "patch", "delete"]);
    let configs = rule("", &["configmaps"], &writes);
    let places = [scene.prod.as_str(), scene.dev.as_str()];
    let agent = |name: &str, rules: Value| {
        scene.cluster.agent(&scene.dev, name, &places, &rules).expect("an agent")
    };
    let reader = agent("reader", json!(reads));
    let scaler = agent("scaler", json!([reads[0], reads[1], apps, configs]));
    let namespaces = rule("", &["namespaces"], &["get", "delete"]);
    let cleaner = scene
        .cluster
        .cluster_agent(
            &scene.dev,
            "cleaner",
            &json!([reads[0], reads[1], apps, configs, namespaces]),
        )
        .expect("an agent");
    let alice = scene.cluster.reviewer(&scene.cluster.unique("alice"));
    let bob = scene.cluster.reviewer(&scene.cluster.unique("bob"));
    Drill { scene, reader, scaler, cleaner, alice, bob, doomed }
}

impl Drill {
    /// Two reviewers at their desks until `over`: bob denies what is named `no-…` or deletes a
    /// deployment, alice approves the rest.
    fn review(&self, over: &AtomicBool) {
        while !over.load(Ordering::Relaxed) {
            let holds = self.scene.shield.cli_json(&self.alice, &["holds"]);
            for hold in holds["items"].as_array().into_iter().flatten() {
                if hold["state"] != "pending" {
                    continue;
                }
                let id = hold["id"].as_str().unwrap_or_default();
                let request = &hold["request"];
                let denied = request["verb"] == "delete" && request["resource"] == "deployments";
                let (who, verb, why) = match denied {
                    true => (&self.bob, "deny", "not today"),
                    false => (&self.alice, "approve", "CHG-42"),
                };
                let output = self.scene.shield.decision(who, verb, id, why).output();
                assert!(output.is_ok(), "{verb} {id}");
            }
            thread::sleep(Duration::from_millis(200));
        }
    }

    fn send(&self, agent: &Agent, method: &str, target: &str, body: Value) -> u16 {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let content_type = match (method, body.is_empty()) {
            (_, true) => None,
            ("PATCH", _) => MERGE,
            _ => JSON,
        };
        self.scene.shield.request(agent, method, target, content_type, body.as_bytes()).status
    }

    fn deployments(&self, namespace: &str) -> String {
        format!("/apis/apps/v1/namespaces/{namespace}/deployments")
    }

    /// 80 reads, of which 20 are refused by RBAC.
    fn read(&self) -> Vec<u16> {
        let (prod, dev) = (&self.scene.prod, &self.scene.dev);
        let mut codes = Vec::new();
        for n in 0..20 {
            let place = if n % 2 == 0 { prod } else { dev };
            for target in [
                self.deployments(place),
                format!("{}/web{}", self.deployments(place), n % 6),
                format!("/api/v1/namespaces/{place}/pods?limit=5"),
                format!("/api/v1/namespaces/{place}/secrets"),
            ] {
                codes.push(self.send(&self.reader, "GET", &target, Value::Null));
            }
        }
        codes
    }

    /// 60 calls: restarts and harmless scaling, dev to zero, and cuts in production.
    fn scale(&self) -> Vec<u16> {
        let (prod, dev) = (&self.scene.prod, &self.scene.dev);
        let replicas = |count: u32| json!({"spec": {"replicas": count}});
        let mut codes = Vec::new();
        for n in 0..6 {
            let scale = |place: &str| format!("{}/web{n}/scale", self.deployments(place));
            for count in [5, 6, 7] {
                codes.push(self.send(&self.scaler, "PATCH", &scale(prod), replicas(count)));
            }
            for count in [0, 1, 2, 0, 3] {
                codes.push(self.send(&self.scaler, "PATCH", &scale(dev), replicas(count)));
            }
            codes.push(self.send(&self.scaler, "GET", &scale(prod), Value::Null));
        }
        for n in 0..6 {
            let scale = format!("{}/web{n}/scale", self.deployments(prod));
            codes.push(self.send(&self.scaler, "PATCH", &scale, replicas(1)));
        }
        codes
    }

    /// 59 calls and the namespace: ConfigMaps come and go in dev, deployments should go in
    /// production.
    fn clean(&self) -> Vec<u16> {
        let (prod, dev) = (&self.scene.prod, &self.scene.dev);
        let configs = format!("/api/v1/namespaces/{dev}/configmaps");
        let mut codes = Vec::new();
        for n in 0..18 {
            let config = json!({
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": format!("c{n}")},
            });
            let object = format!("{configs}/c{n}");
            codes.push(self.send(&self.cleaner, "POST", &configs, config));
            codes.push(self.send(&self.cleaner, "GET", &object, Value::Null));
            codes.push(self.send(&self.cleaner, "DELETE", &object, Value::Null));
        }
        for n in 0..5 {
            let target = format!("{}/web{n}", self.deployments(prod));
            codes.push(self.send(&self.cleaner, "DELETE", &target, Value::Null));
        }
        let target = format!("/api/v1/namespaces/{}", self.doomed);
        codes.push(self.send(&self.cleaner, "DELETE", &target, Value::Null));
        codes
    }

    /// One call that agent-shield never sees.
    fn around(&self) {
        let target = format!("{}/web5", self.deployments(&self.scene.prod));
        let authorization = format!("Bearer {}", self.cleaner.token);
        let headers = [("Authorization", authorization.as_str())];
        let (server, ca) = (self.scene.cluster.server(), self.scene.cluster.ca());
        let answer = http::request(server, &ca, "DELETE", &target, &headers, b"");
        assert_eq!(answer.expect("an answer").status, 200);
    }

    /// What an incident lead asks, with the API server's own log at hand.
    fn ask(&self, args: &[&str]) -> Value {
        let log = self.scene.cluster.dir().join("audit.log").display().to_string();
        let mut all = vec!["timeline", "--audit-log", &log, "--limit", "1000"];
        all.extend(args);
        self.scene.shield.cli_json(&self.alice, &all)
    }
}

fn name(kubeconfig: &std::path::Path) -> String {
    let stem = kubeconfig.file_stem().and_then(|it| it.to_str()).unwrap_or_default();
    stem.trim_start_matches("person-").to_owned()
}

#[test]
fn the_timeline_answers_an_incident_review() {
    let drill = cast();
    let over = AtomicBool::new(false);
    let (reads, scales, cleans) = thread::scope(|scope| {
        let reviewers = scope.spawn(|| drill.review(&over));
        let reader = scope.spawn(|| drill.read());
        let scaler = scope.spawn(|| drill.scale());
        let cleaner = scope.spawn(|| drill.clean());
        let codes = [reader, scaler, cleaner].map(|it| it.join().expect("an agent"));
        over.store(true, Ordering::Relaxed);
        reviewers.join().expect("the reviewers");
        let [reads, scales, cleans] = codes;
        (reads, scales, cleans)
    });
    drill.around();
    assert_eq!((reads.len(), scales.len(), cleans.len()), (80, 60, 60));
    let count = |codes: &[u16], code: u16| codes.iter().filter(|it| **it == code).count();
    assert_eq!((count(&reads, 200), count(&reads, 403)), (60, 20), "{reads:?}");
    assert_eq!(count(&scales, 200), 60, "{scales:?}");
    // Eighteen made, 36 read and taken away, five denied, one namespace on alice's word.
    let [made, ok, denied] = [201, 200, 403].map(|code| count(&cleans, code));
    assert_eq!((made, ok, denied), (18, 37, 5), "{cleans:?}");

    // Everything is there, and both records tell the same of it, but for the call that went around.
    let all = wait_until(Duration::from_secs(30), "200 calls are recorded", || {
        let all = drill.ask(&[]);
        (all["items"].as_array()?.len() >= 201).then_some(all)
    });
    let mut findings: BTreeMap<&str, usize> = BTreeMap::new();
    for item in all["items"].as_array().into_iter().flatten() {
        *findings.entry(item["finding"].as_str().unwrap_or_default()).or_default() += 1;
    }
    // What bob denied was never sent.
    assert_eq!(findings, BTreeMap::from([("around", 1), ("stopped", 5), ("through", 195)]));
    assert_eq!((&all["around"], &all["unapproved"]), (&json!(1), &json!(0)));
    // All of the log's own: what was stopped is not in it.
    assert_eq!(all["calls"], 196);
    let agents = [&drill.cleaner, &drill.reader, &drill.scaler].map(|it| it.username.clone());
    assert_eq!(all["agents"], json!(agents));

    // Who deleted that namespace, on whose approval, by which rule?
    let answer = drill.ask(&["--namespace", &drill.doomed, "--verb", "delete"]);
    let [item] = answer["items"].as_array().expect("items").as_slice() else {
        panic!("{answer:#}")
    };
    let call = &item["call"];
    assert_eq!(item["finding"], "through");
    assert_eq!(call["user"]["username"], drill.cleaner.username);
    assert_eq!(call["reviewer"], name(&drill.alice));
    assert_eq!(call["verdictReason"], "CHG-42");
    assert_eq!(call["rules"], json!(["delete-namespace"]));
    assert_eq!(item["cluster"]["responseStatus"]["code"], 200);
    assert_eq!(item["cluster"]["auditID"], call["auditID"]);

    // Who was refused what, and by whom?
    let answer = drill.ask(&["--resource", "deployments", "--verb", "delete"]);
    let items = answer["items"].as_array().expect("items");
    let stopped: Vec<&Value> = items.iter().filter(|it| it["finding"] == "stopped").collect();
    assert_eq!(stopped.len(), 5);
    assert!(stopped.iter().all(|it| it["call"]["reviewer"] == name(&drill.bob)));

    // What went around?
    let around: Vec<&Value> = items.iter().filter(|it| it["finding"] == "around").collect();
    let [around] = around.as_slice() else { panic!("{answer:#}") };
    assert_eq!(around["cluster"]["user"]["username"], drill.cleaner.username);
    assert_eq!(around["cluster"]["objectRef"]["name"], "web5");
    assert!(around["call"].is_null());

    // And in words.
    let log = drill.scene.cluster.dir().join("audit.log").display().to_string();
    let output = drill
        .scene
        .shield
        .cli(&drill.alice)
        .args(["timeline", "--audit-log", &log, "--namespace", &drill.doomed, "--writes"])
        .output()
        .expect("a CLI");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    for part in ["delete-namespace", "CHG-42", &name(&drill.alice), "1 went around agent-shield"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(text.contains("Not all of these match your filters"), "{text}");
}
