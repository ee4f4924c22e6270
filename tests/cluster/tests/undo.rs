//! What its agent did a moment ago, it may take back: nothing else, and nothing of anybody else's.

use std::{thread, time::Duration};

use cluster::{Scene, SlowWebhook, all_rights, deployment, is_ready, node};
use serde_json::{Value, json};
use testkit::{Agent, http::Answer, wait_until};

const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
const TIME_MAX: Duration = Duration::from_secs(60);
const PASSES: u16 = 200;
const HELD: u16 = 429;

struct Undo {
    scene: Scene,
    apps: String,
}

impl Undo {
    fn new(name: &str) -> Self {
        let scene = Scene::new(name);
        let apps = format!("/apis/apps/v1/namespaces/{}/deployments", scene.prod);
        Self { scene, apps }
    }

    /// A Deployment of somebody else's.
    fn has(&self, name: &str, replicas: u32) -> String {
        let object = deployment(&self.scene.prod, name, replicas);
        self.scene.cluster.apply(&object).expect("a Deployment");
        format!("{}/{name}", self.apps)
    }

    fn send(&self, agent: &Agent, target: &str, media: &str, body: &Value) -> Answer {
        let body = body.to_string();
        self.scene.shield.request(agent, "PATCH", target, Some(media), body.as_bytes())
    }

    /// What a patch gets that nobody decides.
    fn asks(&self, target: &str, body: &Value) -> u16 {
        self.asks_as(&self.scene.agent, target, body)
    }

    fn asks_as(&self, agent: &Agent, target: &str, body: &Value) -> u16 {
        let media = if target.ends_with("/scale") { MERGE } else { STRATEGIC };
        self.send(agent, &format!("{target}?timeout=2s"), media, body).held_or_status()
    }

    /// A patch is held, and a person approves it.
    fn is_approved(&self, target: &str, body: &Value) {
        thread::scope(|threads| {
            let asked = threads.spawn(|| self.send(&self.scene.agent, target, STRATEGIC, body));
            let name = target.rsplit('/').next().unwrap_or_default();
            let hold = self.scene.shield.hold(&self.scene.reviewer, target, |hold| {
                // Its agent is there: what was asked for a moment before waits too.
                hold["state"] == "pending"
                    && hold["request"]["name"] == name
                    && hold["waiting"] == 1
            });
            self.scene.decide("approve", hold["id"].as_str().expect("an id"), "");
            let answer = asked.join().expect("an answer");
            assert_eq!(answer.status, PASSES, "{body}: {}", answer.text());
        });
    }

    fn admin(&self, args: &[&str]) {
        let args = [&["-n", self.scene.prod.as_str()], args].concat();
        self.scene.cluster.kubectl_says(&args).unwrap_or_else(|| panic!("kubectl {args:?}"));
    }
}

fn replicas(count: u32) -> Value {
    json!({"spec": {"replicas": count}})
}

fn container(fields: &Value) -> Value {
    let mut container = json!({"name": "c"});
    for (name, value) in fields.as_object().into_iter().flatten() {
        container[name] = value.clone();
    }
    json!({"spec": {"template": {"spec": {"containers": [container]}}}})
}

#[test]
fn an_agent_takes_back_its_last_step() {
    let undo = Undo::new("undo");

    // A count, by the object and by its scale, after controllers have written their status.
    for (name, part) in [("whole", ""), ("scale", "/scale")] {
        let target = format!("{}{part}", undo.has(name, 2));
        assert_eq!(undo.asks(&target, &replicas(4)), PASSES, "{target}");
        let live = format!("{}/{name}", undo.apps);
        wait_until(TIME_MAX, "there are four", || {
            (undo.scene.cluster.get(&live)?["status"]["replicas"] == 4).then_some(())
        });
        assert_eq!(undo.asks(&target, &replicas(2)), PASSES, "{target}: it is as it was");
        assert_eq!(undo.asks(&target, &replicas(4)), PASSES, "{target}");
        assert_eq!(undo.asks(&target, &replicas(2)), HELD, "{target}: once is enough");
    }

    // A variable, once; there and back again is asked about.
    let env = undo.has("env", 2);
    let debug = container(&json!({"env": [{"name": "LOG_LEVEL", "value": "debug"}]}));
    let none = container(&json!({"env": [{"name": "LOG_LEVEL", "$patch": "delete"}]}));
    undo.is_approved(&env, &debug);
    assert_eq!(undo.asks(&env, &none), PASSES);
    assert_eq!(undo.asks(&env, &debug), HELD, "again");

    let paused = undo.has("paused", 2);
    assert_eq!(undo.asks(&paused, &json!({"spec": {"paused": true}})), PASSES);
    assert_eq!(undo.asks(&paused, &json!({"spec": {"paused": null}})), PASSES);

    let autoscaler = json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "h", "namespace": undo.scene.prod},
        "spec": {"minReplicas": 2, "maxReplicas": 9,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "none"}},
    });
    undo.scene.cluster.apply(&autoscaler).expect("an autoscaler");
    let autoscalers =
        format!("/apis/autoscaling/v2/namespaces/{}/horizontalpodautoscalers/h", undo.scene.prod);
    assert_eq!(undo.asks(&autoscalers, &json!({"spec": {"minReplicas": 4}})), PASSES);
    assert_eq!(undo.asks(&autoscalers, &json!({"spec": {"minReplicas": 2}})), PASSES);
}

#[test]
fn nothing_else_is_taken_back_unasked() {
    let undo = Undo::new("no-undo");
    let env = |value: &str| container(&json!({"env": [{"name": "A", "value": value}]}));
    let no_env = container(&json!({"env": [{"name": "A", "$patch": "delete"}]}));

    let theirs = undo.has("theirs", 4);
    undo.admin(&["scale", "deployment", "theirs", "--replicas=8"]);
    assert_eq!(undo.asks(&theirs, &replicas(4)), HELD, "somebody else scaled it");

    let after = undo.has("after", 4);
    assert_eq!(undo.asks(&after, &replicas(8)), PASSES);
    undo.admin(&["annotate", "deployment", "after", "keep=yes"]);
    assert_eq!(undo.asks(&after, &replicas(4)), HELD, "somebody has written since");

    let anew = undo.has("anew", 4);
    assert_eq!(undo.asks(&anew, &replicas(8)), PASSES);
    undo.admin(&["scale", "deployment", "anew", "--replicas=6"]);
    undo.admin(&["scale", "deployment", "anew", "--replicas=8"]);
    assert_eq!(undo.asks(&anew, &replicas(4)), HELD, "somebody chose the same anew");

    let other = undo.has("other", 4);
    assert_eq!(undo.asks(&other, &replicas(8)), PASSES);
    let (scene, all) = (&undo.scene, all_rights());
    let stranger = scene.cluster.cluster_agent(&scene.dev, "stranger", &all).expect("an agent");
    assert_eq!(undo.asks_as(&stranger, &other, &replicas(4)), HELD, "another agent did it");

    let zero = undo.has("zero", 0);
    assert_eq!(undo.asks(&zero, &replicas(2)), PASSES);
    assert_eq!(undo.asks(&zero, &replicas(0)), HELD, "to nothing");

    let more = undo.has("more", 4);
    assert_eq!(undo.asks(&more, &replicas(8)), PASSES);
    assert_eq!(undo.asks(&more, &replicas(3)), HELD, "further than it was");

    let image = undo.has("image", 2);
    undo.is_approved(&image, &container(&json!({"image": "nginx:1.28"})));
    let live = undo.scene.cluster.get(&image).expect("a Deployment");
    let before = deployment(&undo.scene.prod, "image", 2);
    let before = before["spec"]["template"]["spec"]["containers"][0]["image"].clone();
    assert_ne!(live["spec"]["template"]["spec"]["containers"][0]["image"], before);
    assert_eq!(undo.asks(&image, &container(&json!({"image": before}))), HELD, "an image");

    let two_steps = undo.has("two-steps", 2);
    undo.is_approved(&two_steps, &env("1"));
    undo.is_approved(&two_steps, &env("2"));
    assert_eq!(undo.asks(&two_steps, &no_env), HELD, "what was before the step before");

    let resumed = undo.has("resumed", 2);
    undo.admin(&["rollout", "pause", "deployment/resumed"]);
    assert_eq!(undo.asks(&resumed, &json!({"spec": {"paused": null}})), HELD, "another's pause");
}

/// A write is on its way while somebody else writes: what it was judged by is not what it found.
#[test]
fn what_somebody_wrote_meanwhile_is_not_taken_back() {
    let undo = Undo::new("undo-race");
    let scene = &undo.scene;
    let target = undo.has("race", 2);
    let webhook = SlowWebhook::of_changes(scene.cluster, &scene.prod, &scene.agent.username);
    let label = |value: Value| json!({"metadata": {"labels": {"on-call": value}}});
    // A webhook is in force a moment after it is there.
    let mut tried = 0_u32;
    thread::scope(|threads| {
        wait_until(TIME_MAX, "a change waits at the webhook", || {
            if !webhook.is_reached() {
                tried += 1;
                let body = label(json!(format!("v{tried}")));
                let target = &target;
                let undo = &undo;
                threads.spawn(move || undo.send(&undo.scene.agent, target, STRATEGIC, &body));
            }
            thread::sleep(Duration::from_millis(500));
            webhook.is_reached().then_some(())
        });
        // The team mends something.
        undo.admin(&["set", "env", "deployment/race", "FIX=1"]);
        webhook.let_go();
    });
    let live = scene.cluster.get(&target).expect("a Deployment");
    assert_eq!(live["spec"]["template"]["spec"]["containers"][0]["env"][0]["name"], "FIX");
    let mut back = container(&json!({"env": [{"name": "FIX", "$patch": "delete"}]}));
    let before = tried.checked_sub(2).map(|it| json!(format!("v{}", it + 1)));
    back["metadata"] = label(before.unwrap_or(Value::Null))["metadata"].clone();
    assert_eq!(undo.asks(&target, &back), HELD, "the team's change goes with the agent's own");
}

#[test]
fn a_taint_may_go_again_and_never_come_again() {
    let undo = Undo::new("undo-taint");
    let name = undo.scene.cluster.unique("tainted");
    undo.scene.cluster.apply(&node(&name, false)).expect("a node");
    let target = format!("/api/v1/nodes/{name}");
    wait_until(TIME_MAX, "controllers have written what a new node gets", || {
        let node = undo.scene.cluster.get(&target)?;
        let is_known = node["metadata"]["annotations"]["node.alpha.kubernetes.io/ttl"].is_string();
        (is_known && is_ready(&node) && node["spec"]["taints"].is_null()).then_some(())
    });
    let taint =
        json!({"spec": {"taints": [{"key": "repair", "value": "true", "effect": "NoSchedule"}]}});
    let none = json!({"spec": {"taints": null}});
    undo.is_approved(&target, &taint);
    assert_eq!(undo.asks(&target, &none), PASSES);
    assert_eq!(undo.asks(&target, &taint), HELD);
    // Pods have come since.
    undo.admin(&["taint", "node", &name, "repair=true:NoSchedule"]);
    undo.is_approved(&target, &none);
    assert_eq!(undo.asks(&target, &taint), HELD);
    undo.scene.cluster.kubectl_says(&["delete", "node", &name]).expect("it goes");
}
