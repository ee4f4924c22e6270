//! Writes as large as an agent may send: they cost the processor in step with their size, others are
//! served beside them, and what nobody can compare is held.

use std::{fs, thread};

use abuse::{MEMORY_MAX, Memory, PATIENCE};
use cluster::{Scene, deployment};
use serde_json::{Value, json};
use testkit::{http::Connection, wait_until};

/// Processor time that a process took so far, in milliseconds.
fn on_processor(pid: u32) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("a process");
    let of_task = |task: fs::DirEntry| {
        let told = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        told.split(' ').next().and_then(|it| it.parse::<u64>().ok()).unwrap_or(0)
    };
    tasks.flatten().map(of_task).sum::<u64>() / 1_000_000
}

/// A Deployment of which no rollout changes anything while it is looked at.
fn paused(namespace: &str, name: &str) -> Value {
    let mut object = deployment(namespace, name, 1);
    object["spec"]["paused"] = json!(true);
    object
}

/// A Deployment with so many containers, each with so many bytes of arguments.
fn crowded(namespace: &str, name: &str, tag: &str, containers: usize, bytes: usize) -> String {
    let mut object = paused(namespace, name);
    let (image, word) = (format!("nginx:{tag}"), "a".repeat(bytes));
    let container = |n| json!({"name": format!("c{n}"), "image": image, "args": [word]});
    object["spec"]["template"]["spec"]["containers"] = (0..containers).map(container).collect();
    object.to_string()
}

/// A connection on which a Deployment is put and nobody has read the answer yet.
fn put(scene: &Scene, namespace: &str, name: &str, body: &str) -> Connection {
    let mut connection =
        Connection::open(&scene.shield.agent_url, &scene.shield.ca()).expect("a connection");
    // Held, it is asked to come again a little before its time is over.
    let target = format!("/apis/apps/v1/namespaces/{namespace}/deployments/{name}?timeout=60s");
    let authorization = format!("Bearer {}", scene.agent.token);
    let headers = [("Authorization", authorization.as_str()), ("Content-Type", "application/json")];
    connection.request("PUT", &target, &headers, body.as_bytes()).expect("a request");
    connection
}

/// Processor time of agent-shield in milliseconds per MiB of a body that changes every container.
fn cost_per_mib(scene: &Scene, name: &str, containers: usize, times: usize) -> f64 {
    let (mut bytes, mut spent) = (0, 0);
    for n in 0..times {
        let body = crowded(&scene.dev, name, &format!("{containers}.{n}"), containers, 3_000);
        let before = on_processor(scene.shield.pid());
        let answer = put(scene, &scene.dev, name, &body).answer().expect("an answer");
        // Too large for etcd, which the dry run does not say.
        assert!(matches!(answer.status, 200 | 413 | 500), "{} {}", answer.status, answer.text());
        spent += on_processor(scene.shield.pid()) - before;
        bytes += body.len();
    }
    spent as f64 / (bytes as f64 / f64::from(1 << 20))
}

#[test]
fn a_large_write_costs_what_its_size_costs() {
    let scene = Scene::new("large");
    scene.cluster.apply(&paused(&scene.dev, "web")).expect("a deployment");
    // The first pays for connections and caches.
    cost_per_mib(&scene, "web", 5, 1);
    let small = cost_per_mib(&scene, "web", 85, 8);
    let large = cost_per_mib(&scene, "web", 1_020, 2);
    println!("processor per MiB: {small:.0} ms at 256 KiB, {large:.0} ms at 3 MiB");
    assert!(large < 2.0 * small, "{small:.0} ms per MiB grow to {large:.0} ms");
}

#[test]
fn what_is_too_large_to_compare_is_held_and_slows_nobody() {
    let scene = Scene::new("crowded");
    scene.cluster.apply(&deployment(&scene.prod, "web", 1)).expect("a deployment");
    let all = json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]);
    let other = scene.cluster.cluster_agent(&scene.dev, "other", &all).expect("an agent");
    let memory = Memory::of(&scene.shield);
    let put = |n: usize| {
        let tag = format!("1.{n}");
        put(&scene, &scene.prod, "web", &crowded(&scene.prod, "web", &tag, 20_000, 1))
    };
    thread::scope(|scope| {
        // Their answers come when somebody has decided: nobody does.
        let _waiting: Vec<Connection> = (0..4).map(put).collect();
        scope.spawn(|| {
            for n in 0..20 {
                let target = format!("/api/v1/namespaces/{}/configmaps", scene.dev);
                let map = json!({"apiVersion": "v1", "kind": "ConfigMap",
                    "metadata": {"name": format!("beside-{n}")}});
                let body = map.to_string();
                let answer = scene.shield.request(
                    &other,
                    "POST",
                    &target,
                    Some("application/json"),
                    body.as_bytes(),
                );
                assert_eq!(answer.status, 201, "{}", answer.text());
            }
        });
        wait_until(PATIENCE, "all four are held", || {
            let holds = scene.shield.cli_json(&scene.reviewer, &["holds"]);
            let of_web = |hold: &&Value| hold["request"]["name"] == "web";
            let held = holds["items"].as_array().into_iter().flatten().filter(of_web).count();
            (held == 4).then_some(())
        });
    });
    let peak = memory.peak();
    println!("memory at its peak: {peak} MiB");
    assert!(peak <= MEMORY_MAX, "{peak} MiB");
}
