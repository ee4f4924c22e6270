//! What a hold says that goes with it is what the cluster then loses.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Stdio,
    time::Duration,
};

use cluster::{Scene, deployment, list, namespace, workload};
use serde_json::{Value, json};
use testkit::{Shield, wait_until};

const TIME_MAX: Duration = Duration::from_secs(90);

/// A scene whose agent-shield counts also on a busy machine.
fn patient(name: &str) -> Scene {
    let mut scene = Scene::new(name);
    scene.shield = Shield::start(scene.cluster, &["--count-within", "30s"]);
    scene
}

/// Everything that can be deleted in a namespace, by resource: `kind name` by kubectl's own discovery.
fn contents(scene: &Scene, namespace: &str) -> BTreeMap<String, BTreeSet<String>> {
    let kinds = scene.cluster.kubectl_says(&[
        "api-resources",
        "--namespaced",
        "--verbs=list,delete",
        "-o",
        "name",
    ]);
    let kinds = kinds.expect("kinds");
    let kinds: Vec<&str> = kinds.lines().filter(|it| !it.starts_with("events")).collect();
    let mut found = BTreeMap::new();
    for kind in kinds {
        let resource = kind.split('.').next().unwrap_or_default().to_owned();
        let names = scene.cluster.kubectl_says(&["-n", namespace, "get", kind, "-o", "name"]);
        let names: BTreeSet<String> =
            names.unwrap_or_default().lines().map(str::to_owned).collect();
        if !names.is_empty() {
            found.insert(resource, names);
        }
    }
    found
}

/// What a hold says, by resource.
fn shown(hold: &Value) -> BTreeMap<String, u64> {
    let rows = hold["preview"]["goesWith"].as_array().cloned().unwrap_or_default();
    let row = |it: &Value| Some((it["resource"].as_str()?.to_owned(), it["count"].as_u64()?));
    rows.iter().filter_map(row).collect()
}

fn counts(found: &BTreeMap<String, BTreeSet<String>>) -> BTreeMap<String, u64> {
    found.iter().map(|(resource, names)| (resource.clone(), names.len() as u64)).collect()
}

fn notes(hold: &Value) -> String {
    hold["preview"]["notes"].to_string()
}

/// Runs kubectl as the agent until it is held; the hold with its preview.
fn held(scene: &Scene, args: &[&str], name: &str) -> (std::process::Child, Value) {
    let kubeconfig = scene.shield.kubeconfig(&scene.agent);
    let mut command = scene.cluster.kubectl_as(&kubeconfig);
    let child = command.args(args).stdout(Stdio::null()).spawn().expect("kubectl");
    let hold = scene.shield.hold(&scene.reviewer, name, |hold| {
        hold["state"] == "pending" && hold["request"]["name"] == name
    });
    let id = hold["id"].as_str().unwrap_or_default();
    (child, scene.shield.cli_json(&scene.reviewer, &["show", id]))
}

fn approve(scene: &Scene, hold: &Value) {
    scene.decide("approve", hold["id"].as_str().unwrap_or_default(), "agreed");
}

fn running(scene: &Scene, namespace: &str, count: usize) {
    wait_until(TIME_MAX, "its pods run", || {
        let pods = scene.cluster.get(&format!("/api/v1/namespaces/{namespace}/pods"))?;
        let items = pods["items"].as_array()?;
        let run = items.iter().filter(|it| it["status"]["phase"] == "Running").count();
        (run == count && items.len() == count).then_some(())
    });
}

#[test]
fn a_namespace_loses_what_was_shown() {
    let scene = patient("reach-namespace");
    let name = scene.cluster.unique("reach");
    let meta = |it: &str| json!({"name": it, "namespace": name});
    scene.cluster.apply(&list(&[namespace(&name, "production")])).expect("a namespace");
    scene
        .cluster
        .apply(&list(&[
            deployment(&name, "web", 3),
            workload("StatefulSet", &name, "db", 2),
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta("a"), "data": {"a": "b"}}),
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": meta("s"), "data": {"a": "Yg=="}}),
            json!({
                "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name},
                "spec": {
                    "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"],
                    "persistentVolumeReclaimPolicy": "Delete", "storageClassName": name,
                    "hostPath": {"path": "/nowhere"},
                    "claimRef": {"namespace": name, "name": "data"},
                },
            }),
            json!({
                "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": meta("data"),
                "spec": {
                    "accessModes": ["ReadWriteOnce"], "storageClassName": name, "volumeName": name,
                    "resources": {"requests": {"storage": "1Gi"}},
                },
            }),
            json!({
                "apiVersion": "v1", "kind": "Service", "metadata": meta("web"),
                "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]},
            }),
            json!({
                "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": meta("web"),
                "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}},
            }),
        ]))
        .expect("objects");
    running(&scene, &name, 5);
    wait_until(TIME_MAX, "the service has endpoints", || {
        let slices = format!("/apis/discovery.k8s.io/v1/namespaces/{name}/endpointslices");
        let slices = scene.cluster.get(&slices)?;
        slices.pointer("/items/0/endpoints/2").map(|_| ())
    });
    let before = contents(&scene, &name);
    let (mut kubectl, hold) = held(&scene, &["delete", "namespace", &name], &name);
    assert_eq!(shown(&hold), counts(&before));
    let said = notes(&hold);
    assert!(said.contains("running pods: 5"), "{said}");
    assert!(said.contains("services with endpoints: web"), "{said}");
    assert!(said.contains("claims whose volume is deleted with them: data"), "{said}");
    approve(&scene, &hold);
    wait_until(TIME_MAX, "the namespace is gone", || {
        scene.cluster.get(&format!("/api/v1/namespaces/{name}")).is_none().then_some(())
    });
    assert!(contents(&scene, &name).is_empty());
    let _ = kubectl.wait();
    let _ = scene.cluster.kubectl_says(&["delete", "pv", &name, "--wait=false"]);
}

#[test]
fn an_owner_takes_what_was_shown() {
    let scene = patient("reach-owner");
    scene.cluster.apply(&list(&[deployment(&scene.prod, "web", 3)])).expect("a deployment");
    running(&scene, &scene.prod, 3);
    let web = format!("/apis/apps/v1/namespaces/{}/deployments/web", scene.prod);
    let uid = scene.cluster.get(&web).expect("web")["metadata"]["uid"].clone();
    // Not only what controllers own: anything may be somebody's dependant, unless another owner stays.
    let owned = |name: &str, more: &[Value]| {
        let owner =
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": uid});
        let owners = [&[owner], more].concat();
        json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": scene.prod, "ownerReferences": owners},
        })
    };
    let other = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "other", "namespace": scene.prod}});
    scene.cluster.apply(&list(&[other])).expect("an owner that stays");
    let other = format!("/api/v1/namespaces/{}/configmaps/other", scene.prod);
    let stays = scene.cluster.get(&other).expect("other")["metadata"]["uid"].clone();
    let stays = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "other", "uid": stays});
    scene
        .cluster
        .apply(&list(&[owned("goes", &[]), owned("stays", &[stays])]))
        .expect("dependants");
    let before = contents(&scene, &scene.prod);

    let orphaning = ["-n", &scene.prod, "delete", "deployment", "web", "--cascade=orphan"];
    let (mut kubectl, hold) = held(&scene, &orphaning, "web");
    assert!(shown(&hold).is_empty(), "{hold}");
    assert!(notes(&hold).contains("left behind"), "{}", notes(&hold));
    let _ = kubectl.kill();
    let _ = kubectl.wait();

    let (mut kubectl, hold) =
        held_again(&scene, &["-n", &scene.prod, "delete", "deployment", "web"]);
    let shown = shown(&hold);
    assert_eq!(shown.get("configmaps"), Some(&1), "{shown:?}");
    assert_eq!(shown.get("pods"), Some(&3), "{shown:?}");
    approve(&scene, &hold);
    let mut expected = shown;
    expected.insert("deployments".to_owned(), 1);
    wait_until(TIME_MAX, "exactly what was shown is gone", || {
        (lost(&before, &contents(&scene, &scene.prod)) == expected).then_some(())
    });
    let _ = kubectl.wait();
}

/// As [`held`], beside an earlier hold of the same object.
fn held_again(scene: &Scene, args: &[&str]) -> (std::process::Child, Value) {
    let kubeconfig = scene.shield.kubeconfig(&scene.agent);
    let mut command = scene.cluster.kubectl_as(&kubeconfig);
    let child = command.args(args).stdout(Stdio::null()).spawn().expect("kubectl");
    let hold = scene.shield.hold(&scene.reviewer, "it", |hold| {
        hold["state"] == "pending"
            && hold["waiting"].as_u64() > Some(0)
            && hold["request"]["namespace"] == scene.prod.as_str()
    });
    let id = hold["id"].as_str().unwrap_or_default();
    (child, scene.shield.cli_json(&scene.reviewer, &["show", id]))
}

/// How many of each kind are gone.
fn lost(
    before: &BTreeMap<String, BTreeSet<String>>,
    after: &BTreeMap<String, BTreeSet<String>>,
) -> BTreeMap<String, u64> {
    let none = BTreeSet::new();
    before
        .iter()
        .map(|(resource, names)| {
            let gone = names.difference(after.get(resource).unwrap_or(&none)).count();
            (resource.clone(), gone as u64)
        })
        .filter(|(_, gone)| *gone > 0)
        .collect()
}

#[test]
fn a_node_loses_what_was_shown() {
    let scene = patient("reach-node");
    let node = scene.cluster.unique("reach-n");
    let ns = scene.prod.as_str();
    let pod = |name: &str| {
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": ns, "labels": {"app": name}},
            "spec": {
                "nodeName": node, "terminationGracePeriodSeconds": 0,
                "containers": [{"name": "c", "image": "nginx:1.25"}],
            },
        })
    };
    let object = json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {
            "name": node, "annotations": {"kwok.x-k8s.io/node": "fake"},
            "labels": {"kubernetes.io/hostname": node, "kubernetes.io/os": "linux"},
        },
        // Pods of tests beside this one go elsewhere.
        "spec": {"taints": [{"key": "reach", "value": "test", "effect": "NoSchedule"}]},
    });
    scene.cluster.apply(&list(&[object, pod("a"), pod("b")])).expect("a node with pods");
    running(&scene, ns, 2);
    let on_node = || -> BTreeSet<String> {
        let pods = scene.cluster.get(&format!("/api/v1/pods?fieldSelector=spec.nodeName%3D{node}"));
        let pods = pods.unwrap_or_default();
        let items = pods["items"].as_array().cloned().unwrap_or_default();
        items
            .iter()
            .filter(|it| it["metadata"]["namespace"] == ns)
            .map(|it| it["metadata"]["name"].to_string())
            .collect()
    };
    let before = on_node();
    let drain = ["drain", &node, "--ignore-daemonsets", "--force", "--timeout=90s"];
    let (mut kubectl, hold) = held(&scene, &drain, &node);
    let said = notes(&hold);
    assert!(said.contains(&format!("would then evict 2 pods: {ns}/a, {ns}/b")), "{said}");
    assert!(said.contains("without another that is ready elsewhere"), "{said}");
    approve(&scene, &hold);
    // One eviction after another, each in its own right.
    for name in ["a", "b"] {
        let hold = scene.pending(ns, name);
        approve(&scene, &hold);
    }
    assert!(kubectl.wait().expect("kubectl").success());
    assert_eq!(before.difference(&on_node()).count(), 2);
    let _ = scene.cluster.kubectl_says(&["delete", "node", &node, "--wait=false"]);
}

#[test]
fn more_than_was_shown_is_asked_anew() {
    let scene = patient("reach-more");
    let name = scene.cluster.unique("reach-more");
    let (space, meta) =
        (format!("/api/v1/namespaces/{name}"), json!({"name": "it", "namespace": name}));
    scene.cluster.apply(&namespace(&name, "production")).expect("a namespace");
    wait_until(TIME_MAX, "it has what every namespace has", || {
        scene.cluster.get(&format!("{space}/configmaps/kube-root-ca.crt"))?;
        scene.cluster.get(&format!("{space}/serviceaccounts/default"))
    });
    let ask = ["delete", "namespace", &name];
    let (mut kubectl, hold) = held(&scene, &ask, &name);
    let id = hold["id"].as_str().expect("an id").to_owned();
    let _ = kubectl.kill();
    let _ = kubectl.wait();
    approve(&scene, &hold);
    // What comes and goes by itself voids nothing: that is shown below, by what then runs.
    let mut drifts = 0;
    let later = [
        deployment(&name, "late", 1),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta}),
        json!({"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": {"ports": [{"port": 80}]}}),
    ];
    for object in &later {
        scene.cluster.apply(object).expect("an object");
        if object["kind"] == "Deployment" {
            running(&scene, &name, 1);
        }
        let kubeconfig = scene.shield.kubeconfig(&scene.agent);
        let mut again = scene.cluster.kubectl_as(&kubeconfig).args(ask).spawn().expect("kubectl");
        drifts += 1;
        let hold = wait_until(TIME_MAX, "it is asked anew", || {
            let hold = scene.shield.cli_json(&scene.reviewer, &["show", &id]);
            (hold["state"] == "pending" && hold["drifts"] == drifts).then_some(hold)
        });
        assert!(
            scene
                .cluster
                .get(&space)
                .is_some_and(|it| it["metadata"]["deletionTimestamp"].is_null())
        );
        let _ = again.kill();
        let _ = again.wait();
        approve(&scene, &hold);
    }
    let deployments = format!("/apis/apps/v1/namespaces/{name}/deployments/late");
    assert!(scene.cluster.get(&deployments).is_some());
    // A pod more, an object less: what runs is no more than was shown.
    let scaled = ["-n", &name, "scale", "deployment", "late", "--replicas=3"];
    scene.cluster.kubectl_says(&scaled).expect("an administrator");
    running(&scene, &name, 3);
    scene
        .cluster
        .kubectl_says(&["-n", &name, "delete", "configmap", "it"])
        .expect("an administrator");
    let kubeconfig = scene.shield.kubeconfig(&scene.agent);
    let mut last = scene.cluster.kubectl_as(&kubeconfig).args(ask).spawn().expect("kubectl");
    wait_until(TIME_MAX, "the namespace is gone", || {
        scene.cluster.get(&space).is_none().then_some(())
    });
    let _ = last.wait();
    let hold = scene.shield.cli_json(&scene.reviewer, &["show", &id]);
    assert_eq!((&hold["state"], &hold["drifts"]), (&json!("done"), &json!(drifts)));
}

/// A collection is sent as the objects that were shown, each by its name and uid, by who asked and with
/// the one right that it takes.
#[test]
fn a_collection_is_the_objects_that_were_shown() {
    let scene = Scene::new("reach-collection");
    let rights =
        json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["deletecollection"]}]);
    let agent = scene.cluster.cluster_agent(&scene.dev, "sweeper", &rights).expect("an agent");
    let map = |name: &str| {
        json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": scene.prod, "labels": {"swept": "yes"}},
        })
    };
    let maps = format!("/api/v1/namespaces/{}/configmaps", scene.prod);
    let target = format!("{maps}?labelSelector=swept%3Dyes");
    let names = || -> BTreeSet<String> {
        let found = scene.cluster.get(&target).unwrap_or_default();
        let items = found["items"].as_array().cloned().unwrap_or_default();
        items.iter().filter_map(|it| it["metadata"]["name"].as_str().map(str::to_owned)).collect()
    };
    for race in 0..8 {
        let own = [format!("a-{race}"), format!("b-{race}"), format!("c-{race}")];
        scene.cluster.apply(&list(&own.each_ref().map(|it| map(it)))).expect("objects");
        let before = names();
        let over = std::sync::atomic::AtomicBool::new(false);
        let (answer, made) = std::thread::scope(|threads| {
            let asks = || scene.shield.request(&agent, "DELETE", &target, None, b"");
            let waits = threads.spawn(asks);
            let hold = scene.pending(&scene.prod, "");
            // More of it comes all the time, from just before the approval until it has run.
            let makes = threads.spawn(|| {
                let mut made = BTreeSet::new();
                while !over.load(std::sync::atomic::Ordering::Relaxed) {
                    let name = format!("late-{race}-{}", made.len());
                    if scene.cluster.apply(&map(&name)).is_ok() {
                        made.insert(name);
                    }
                }
                made
            });
            approve(&scene, &hold);
            let id = hold["id"].as_str().unwrap_or_default();
            let ended = wait_until(TIME_MAX, "it ran, or is asked anew", || {
                let hold = scene.shield.cli_json(&scene.reviewer, &["show", id]);
                (hold["state"] == "done" || hold["drifts"].as_u64() > Some(0)).then_some(hold)
            });
            over.store(true, std::sync::atomic::Ordering::Relaxed);
            let made = makes.join().expect("a maker");
            if ended["state"] != "done" {
                // What is shown by now is what may go, if nothing more comes.
                wait_until(TIME_MAX, "it ran", || {
                    let hold = scene.shield.cli_json(&scene.reviewer, &["show", id]);
                    if hold["state"] == "pending" {
                        let _ = scene.shield.decide(&scene.reviewer, "approve", id, "all");
                    }
                    (hold["state"] == "done").then_some(())
                });
            }
            (waits.join().expect("an answer"), made)
        });
        assert_eq!(answer.status, 200, "{}", answer.text());
        let items = answer.json()["items"].as_array().cloned().unwrap_or_default();
        let listed: BTreeSet<String> = items
            .iter()
            .filter_map(|it| it["metadata"]["name"].as_str().map(str::to_owned))
            .collect();
        let left = names();
        let all: BTreeSet<String> = before.union(&made).cloned().collect();
        let gone: BTreeSet<String> = all.difference(&left).cloned().collect();
        assert_eq!(listed, gone, "the answer lists what went");
        assert!(own.iter().all(|it| gone.contains(it)), "{gone:?}");
        let id = answer_hold(&answer);
        let shown = scene.shield.cli_json(&scene.reviewer, &["show", &id]);
        let shown: BTreeSet<&str> = shown["preview"]["targets"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|it| it["name"].as_str())
            .collect();
        assert!(
            gone.iter().all(|it| shown.contains(it.as_str())),
            "{gone:?} went, {shown:?} was shown"
        );
    }
    let sent = scene.cluster.audit_events(|event| {
        event["user"]["username"] == agent.username.as_str()
            && event["requestObject"]["dryRun"].is_null()
    });
    let by_name = |it: &&Value| {
        let uri = it["requestURI"].as_str().unwrap_or_default();
        uri.contains("metadata%2Ename%3D")
            && uri.contains("labelSelector")
            && it["verb"] == "deletecollection"
    };
    let writes: Vec<&Value> = sent
        .iter()
        .filter(|it| it["verb"] != "get" && it["verb"] != "list")
        .filter(|it| !it["requestURI"].as_str().unwrap_or_default().contains("dryRun"))
        .collect();
    assert!(writes.len() >= 24 && writes.iter().all(by_name), "{writes:?}");
}

/// The hold that the answer's warning names.
fn answer_hold(answer: &testkit::http::Answer) -> String {
    let warnings = answer.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("warning"));
    let text =
        warnings.map(|(_, it)| it.clone()).find(|it| it.contains("(hold ")).expect("a warning");
    let id = text.split("(hold ").nth(1).and_then(|it| it.split(')').next());
    id.expect("a hold").to_owned()
}

#[test]
fn what_nobody_could_list_says_who_could_not_and_which_right_shows_it() {
    let scene = patient("reach-unseen");
    let name = scene.cluster.unique("reach-u");
    scene.cluster.apply(&namespace(&name, "production")).expect("a namespace");
    let rules =
        json!([{"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get", "delete"]}]);
    let agent = scene.cluster.cluster_agent(&scene.dev, "blind", &rules).expect("an agent");
    let target = format!("/api/v1/namespaces/{name}");
    std::thread::scope(|threads| {
        let asked = threads.spawn(|| scene.shield.request(&agent, "DELETE", &target, None, b""));
        let hold = scene.shield.hold(&scene.reviewer, &name, |it| it["state"] == "pending");
        let id = hold["id"].as_str().expect("an id");
        let text = scene.shield.cli(&scene.reviewer).args(["show", id]).output().expect("a CLI");
        let text = String::from_utf8_lossy(&text.stdout).into_owned();
        scene.decide("deny", id, "only looked at");
        assert_eq!(asked.join().expect("an answer").status, 403);
        assert!(text.contains("unknown secrets\n"), "{text}");
        let said = text.lines().find(|it| it.contains("not counted: ")).expect("a note");
        for part in [
            "neither the agent nor agent-shield could list ",
            "the right to `list` them, granted to either of the two, shows them",
            "Secrets only where the agent has it",
            "a reviewer's own rights do not count",
        ] {
            assert!(said.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("not visible"), "{text}");
    });
}
