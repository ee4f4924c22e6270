//! What an agent made itself, it may take away again outside production; what anybody else has to do with,
//! it may not. And a new namespace for trying things takes nobody's time.

use std::time::Duration;

use cluster::{Scene, define, definition, deployment, list, workload};
use serde_json::{Value, json};
use testkit::{Agent, wait_until};

const JSON: &str = "application/json";

/// Sends a write that is answered soon, also where it is held; a patch is an apply.
fn send(scene: &Scene, agent: &Agent, method: &str, target: &str, body: &Value) -> u16 {
    let media = match method {
        "PATCH" => "application/apply-patch+yaml",
        _ => JSON,
    };
    send_as(scene, agent, media, method, target, body)
}

fn merge(scene: &Scene, target: &str, body: &Value) -> u16 {
    send_as(scene, &scene.agent, "application/merge-patch+json", "PATCH", target, body)
}

fn send_as(
    scene: &Scene,
    agent: &Agent,
    media: &str,
    method: &str,
    target: &str,
    body: &Value,
) -> u16 {
    let mark = if target.contains('?') { '&' } else { '?' };
    let target = format!("{target}{mark}timeout=3s");
    let body = body.to_string();
    scene.shield.request(agent, method, &target, Some(media), body.as_bytes()).held_or_status()
}

fn delete(scene: &Scene, agent: &Agent, target: &str) -> u16 {
    send(scene, agent, "DELETE", target, &json!({"propagationPolicy": "Background"}))
}

fn job(namespace: &str, name: &str) -> Value {
    let container = json!({"name": "c", "image": "i"});
    json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "namespace": namespace},
        "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [container]}}},
    })
}

const PASSES: u16 = 200;
const HELD: u16 = 429;

#[test]
fn an_agent_takes_away_what_it_made_and_nothing_else() {
    let mut scene = Scene::new("own");
    let dev = scene.dev.clone();
    let apps = |resource: &str| format!("/apis/apps/v1/namespaces/{dev}/{resource}");
    let jobs = format!("/apis/batch/v1/namespaces/{dev}/jobs");
    let all = json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]);
    let other = scene.cluster.cluster_agent(&dev, "other", &all).expect("an agent");
    let made = |name: &str| {
        let object = deployment(&dev, name, 1);
        let code = send(&scene, &scene.agent, "POST", &apps("deployments"), &object);
        assert_eq!(code, 201, "{name}");
        format!("{}/{name}", apps("deployments"))
    };
    let admin = |args: &[&str]| {
        let args = [&["-n", dev.as_str()], args].concat();
        scene.cluster.kubectl_says(&args).unwrap_or_else(|| panic!("kubectl {args:?}"));
    };

    // However it is made, and with all that Kubernetes itself writes into it.
    let posted = made("posted");
    wait_until(Duration::from_secs(60), "its ReplicaSet is there", || {
        let live = scene.cluster.get(&posted)?;
        live["status"]["readyReplicas"].is_number().then_some(())
    });
    let applied = format!("{}/applied", apps("statefulsets"));
    let object = workload("StatefulSet", &dev, "applied", 1);
    let apply = format!("{applied}?fieldManager=a");
    assert_eq!(send(&scene, &scene.agent, "PATCH", &apply, &object), 201);
    let mut object = job(&dev, "");
    object["metadata"] = json!({"generateName": "try-"});
    assert_eq!(send(&scene, &scene.agent, "POST", &jobs, &object), 201);
    let generated = scene.cluster.get(&jobs).expect("Jobs")["items"][0]["metadata"]["name"].clone();
    let generated = format!("{jobs}/{}", generated.as_str().expect("a name"));
    // Also what it has changed itself since.
    let changed = made("changed");
    let object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replicas": 2}});
    let apply = format!("{changed}?fieldManager=a&force=true");
    assert_eq!(send(&scene, &scene.agent, "PATCH", &apply, &object), 200);

    let relabelled = made("relabelled");
    admin(&["label", "deployment", "relabelled", "team=shop"]);
    let scaled = made("scaled");
    admin(&["scale", "deployment", "scaled", "--replicas=3"]);
    // A change of somebody else's does not become the agent's own by a write of its own after it.
    let overwritten = made("overwritten");
    admin(&["annotate", "deployment", "overwritten", "keep=yes"]);
    let object = json!({"metadata": {"managedFields": [{}]}});
    let code = merge(&scene, &overwritten, &object);
    assert_eq!(code, 200, "managed fields are reset");
    let set_back = made("set-back");
    admin(&["scale", "deployment", "set-back", "--replicas=3"]);
    let code = merge(&scene, &set_back, &json!({"spec": {"replicas": 1}}));
    assert_eq!(code, 200, "it is scaled back");
    let taken_over = made("taken-over");
    let object = json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "taken-over", "namespace": dev}, "spec": {"replicas": 1}});
    scene.cluster.apply(&object).expect("a takeover");
    let maps = format!("/api/v1/namespaces/{dev}/configmaps");
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "tried"}});
    assert_eq!(send(&scene, &scene.agent, "POST", &maps, &map), 201);
    let tried = format!("{maps}/tried");
    let code = merge(&scene, &tried, &json!({"data": {"a": "b"}}));
    assert_eq!(code, 200, "its own ConfigMap");
    let replaced = made("replaced");
    admin(&["delete", "deployment", "replaced"]);
    scene.cluster.apply(&deployment(&dev, "replaced", 1)).expect("a Deployment");
    let theirs = format!("{}/theirs", apps("deployments"));
    scene.cluster.apply(&deployment(&dev, "theirs", 1)).expect("a Deployment");
    // Its name was free, and a selector takes what is there.
    let mut set = workload("ReplicaSet", &dev, "left", 1);
    set["spec"]["selector"]["matchLabels"] = json!({"app": "adopting", "pod-template-hash": "x"});
    set["spec"]["template"]["metadata"]["labels"] =
        json!({"app": "adopting", "pod-template-hash": "x"});
    set["metadata"]["labels"] = json!({"app": "adopting", "pod-template-hash": "x"});
    scene.cluster.apply(&set).expect("a ReplicaSet");
    let adopting = made("adopting");
    let left = format!("{}/left", apps("replicasets"));
    wait_until(Duration::from_secs(60), "it is adopted", || {
        let live = scene.cluster.get(&left)?;
        live["metadata"]["ownerReferences"].is_array().then_some(())
    });
    let filled = made("filled");
    let uid = scene.cluster.get(&filled).expect("a Deployment")["metadata"]["uid"].clone();
    let owner =
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "filled", "uid": uid});
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "theirs", "namespace": dev, "ownerReferences": [owner]}});
    scene.cluster.apply(&map).expect("a ConfigMap");
    let mut object = workload("StatefulSet", &dev, "claims", 1);
    object["spec"]["persistentVolumeClaimRetentionPolicy"] =
        json!({"whenDeleted": "Delete", "whenScaled": "Retain"});
    assert_eq!(send(&scene, &scene.agent, "POST", &apps("statefulsets"), &object), 201);
    let claims = format!("{}/claims", apps("statefulsets"));
    let orphaned = made("orphaned");
    let collection = format!("{}?labelSelector=app%3Dcollection", apps("deployments"));
    made("collection");
    let by_another = made("by-another");
    let kept = made("kept");
    scene.shield.kill9();
    scene.shield.restart();

    let orphans = json!({"propagationPolicy": "Orphan"});
    assert_eq!(send(&scene, &scene.agent, "DELETE", &orphaned, &orphans), HELD, "it leaves pods");
    assert_eq!(delete(&scene, &other, &by_another), HELD, "another agent made it");
    for (target, want) in [
        (&relabelled, HELD),
        (&scaled, HELD),
        (&overwritten, HELD),
        (&set_back, HELD),
        (&taken_over, HELD),
        (&replaced, HELD),
        (&theirs, HELD),
        (&adopting, HELD),
        (&filled, HELD),
        (&claims, HELD),
        (&collection, HELD),
        (&posted, PASSES),
        (&applied, PASSES),
        (&generated, PASSES),
        (&changed, PASSES),
        (&kept, PASSES),
        (&tried, PASSES),
    ] {
        let code = delete(&scene, &scene.agent, target);
        assert_eq!(code, want, "{target}");
    }
}

/// kubectl's typed clients ask for protobuf, which only names what they made.
#[test]
fn what_kubectl_made_kubectl_takes_away() {
    let scene = Scene::new("own-kubectl");
    let kubeconfig = scene.shield.kubeconfig(&scene.agent);
    let kubectl = |args: &str| {
        let command = format!("kubectl -n {} --request-timeout=3s {args}", scene.dev);
        let output = scene.shell(&kubeconfig, &command).wait_with_output().expect("kubectl");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.success(), said)
    };
    let passes = |args: &str| {
        let (passed, said) = kubectl(args);
        assert!(passed, "{args}: {said}");
    };
    let template = job(&scene.dev, "")["spec"].clone();
    let report = json!({"apiVersion": "batch/v1", "kind": "CronJob",
        "metadata": {"name": "report", "namespace": scene.dev},
        "spec": {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": template}}});
    scene.cluster.apply(&report).expect("a CronJob");
    passes("create job now --from=cronjob/report");
    passes("create deployment tried --image=i");
    passes("create deployment changed --image=i");
    passes("create service clusterip tried --tcp=80");
    passes("create configmap tried --from-literal=a=b");
    let is_so = |kind: &str, name: &str, pointer: &str| {
        let target = format!("/apis/{kind}/{name}").replace("NAMESPACE", &scene.dev);
        wait_until(Duration::from_secs(60), &format!("a controller has written to {name}"), || {
            scene.cluster.get(&target)?.pointer(pointer).cloned()
        });
    };
    is_so("batch/v1/namespaces/NAMESPACE/jobs", "now", "/status/completionTime");
    for name in ["tried", "changed"] {
        is_so("apps/v1/namespaces/NAMESPACE/deployments", name, "/status/readyReplicas");
    }
    let annotate = ["-n", &scene.dev, "annotate", "deployment", "changed", "keep=yes"];
    scene.cluster.kubectl_says(&annotate).expect("an annotation");

    let (passed, said) = kubectl("delete deployment changed --wait=false");
    assert!(!passed, "{said}");
    scene.pending(&scene.dev, "changed");
    passes("delete deployment tried --wait=false");
    passes("delete job now --wait=false");
    passes("delete service tried --wait=false");
    passes("delete configmap tried --wait=false");
}

#[test]
fn an_agent_that_sees_little_cleans_up_too() {
    let scene = Scene::new("own-narrow");
    let group = format!("{}.example.com", scene.cluster.unique("own"));
    let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let definition = definition(&group, "Widget", "widgets", &schema);
    define(scene.cluster, &definition, &group, "v1");
    let rules = json!([
        {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["*"]},
        {"apiGroups": ["apps"], "resources": ["replicasets"], "verbs": ["get", "list"]},
        {"apiGroups": [""], "resources": ["persistentvolumeclaims", "pods"], "verbs": ["get", "list"]},
    ]);
    let namespaces = [scene.dev.as_str()];
    let agent = scene.cluster.agent(&scene.dev, "narrow", &namespaces, &rules).expect("an agent");
    let deployments = format!("/apis/apps/v1/namespaces/{}/deployments", scene.dev);
    let object = deployment(&scene.dev, "tried", 1);
    assert_eq!(send(&scene, &agent, "POST", &deployments, &object), 201);
    assert_eq!(delete(&scene, &agent, &format!("{deployments}/tried")), PASSES);
    let name = definition["metadata"]["name"].as_str().expect("a name");
    scene.cluster.kubectl_says(&["delete", "crd", name]).expect("it goes");
}

#[test]
fn what_an_agent_made_in_production_is_still_somebodys() {
    let scene = Scene::new("own-prod");
    let target = format!("/apis/batch/v1/namespaces/{}/jobs", scene.prod);
    let made = std::thread::scope(|scope| {
        let object = job(&scene.prod, "once").to_string();
        let scene = &scene;
        let target = target.as_str();
        let made = scope.spawn(move || {
            scene.shield.request(&scene.agent, "POST", target, Some(JSON), object.as_bytes())
        });
        let hold = scene.pending(&scene.prod, "");
        scene.decide("approve", hold["id"].as_str().unwrap_or_default(), "known");
        made.join().expect("a thread")
    });
    assert_eq!(made.status, 201, "{}", made.text());
    assert_eq!(delete(&scene, &scene.agent, &format!("{target}/once")), HELD);
}

#[test]
fn a_namespace_for_trying_things_passes() {
    let mut scene = Scene::new("trying");
    let namespaces = "/api/v1/namespaces";
    let unique = |name: &str| scene.cluster.unique(name);
    let (plain, guarded) = (unique("plain"), unique("guarded"));
    let named = |name: &str, labels: Value, annotations: Value| {
        json!({"apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": name, "labels": labels, "annotations": annotations}})
    };
    let dev = || json!({"env": "dev"});
    // Somebody's, in which an agent worked once; agent-shield forgets it with its restart.
    scene
        .cluster
        .apply(&list(&[named(&guarded, json!({"env": "production"}), json!({}))]))
        .expect("one");
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}});
    let inside = format!("{namespaces}/{guarded}/configmaps");
    wait_until(Duration::from_secs(30), "its default account is there", || {
        scene.cluster.get(&format!("{namespaces}/{guarded}/serviceaccounts/default"))
    });
    assert_eq!(send(&scene, &scene.agent, "POST", &inside, &map), 201);
    scene.cluster.kubectl_says(&["delete", "namespace", &guarded]).expect("it goes");
    scene.shield.kill9();
    scene.shield.restart();
    for (name, labels, annotations, want) in [
        (plain, dev(), json!({}), 201),
        (guarded.clone(), dev(), json!({}), HELD),
        (unique("labelled"), json!({"env": "dev", "team": "shop"}), json!({}), HELD),
        (unique("annotated"), dev(), json!({"a": "b"}), HELD),
        (unique("undeclared"), json!({}), json!({}), HELD),
        (unique("staging"), json!({"env": "production"}), json!({}), HELD),
        (unique("prod-x"), dev(), json!({}), HELD),
        (unique("kube-x"), dev(), json!({}), HELD),
        (unique("shop-prd"), dev(), json!({}), HELD),
    ] {
        let object = named(&name, labels, annotations);
        assert_eq!(send(&scene, &scene.agent, "POST", namespaces, &object), want, "{object}");
    }
    // As `kubectl apply` makes it, by itself and by the server.
    let applied = unique("applied");
    let last = "kubectl.kubernetes.io/last-applied-configuration";
    let said = named(&applied, dev(), json!({})).to_string();
    let object = named(&applied, dev(), json!({last: said}));
    assert_eq!(send(&scene, &scene.agent, "POST", namespaces, &object), 201);
    let apply = |name: &str| {
        let object = named(name, dev(), json!({}));
        let target = format!("{namespaces}/{name}?fieldManager=a");
        send(&scene, &scene.agent, "PATCH", &target, &object)
    };
    assert_eq!(apply(&unique("by-server")), 201);
    assert_eq!(apply(&guarded), HELD);
    let object = json!({"apiVersion": "v1", "kind": "Namespace",
        "metadata": {"generateName": "try-", "labels": dev()}});
    assert_eq!(send(&scene, &scene.agent, "POST", namespaces, &object), HELD);
}
