//! What a reviewer approves is what they were shown, whatever the agent does meanwhile.

use std::{
    fs::File,
    io::{Read, Write},
    process::{Child, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use cluster::{Scene, list};
use serde_json::{Value, json};
use testkit::{http::Answer, terminal::terminal, wait_until};

const TIME_MAX: Duration = Duration::from_secs(60);

fn map(scene: &Scene, name: &str, doomed: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": scene.prod, "labels": {"doomed": doomed}},
    })
}

fn has(scene: &Scene, name: &str) -> bool {
    let path = format!("/api/v1/namespaces/{}/configmaps/{name}", scene.prod);
    scene.cluster.get(&path).is_some()
}

/// The agent asks for all that are doomed to be deleted.
fn ask(scene: &Scene) -> Answer {
    let maps = format!("/api/v1/namespaces/{}/configmaps?labelSelector=doomed%3Dyes", scene.prod);
    scene.shield.request(&scene.agent, "DELETE", &maps, None, b"")
}

/// `approve` without a digest, at a terminal: what is on its screen.
struct Desk {
    keys: File,
    child: Child,
    screen: Arc<Mutex<Vec<u8>>>,
}

impl Desk {
    fn approves(scene: &Scene, id: &str) -> Self {
        let (keys, slave) = terminal(24, 80);
        let stdio = || Stdio::from(slave.try_clone().expect("a terminal"));
        let mut command = scene.shield.cli(&scene.reviewer);
        command.args(["approve", id]).stdin(stdio()).stdout(stdio()).stderr(stdio());
        let child = command.spawn().expect("a CLI");
        drop(command);
        let screen = Arc::<Mutex<Vec<u8>>>::default();
        let (into, mut from) = (Arc::clone(&screen), keys.try_clone().expect("a terminal"));
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            // A terminal that nobody holds any more is an error, and its end.
            while let Ok(count @ 1..) = from.read(&mut bytes) {
                into.lock().expect("a lock").extend_from_slice(&bytes[..count]);
            }
        });
        Self { keys, child, screen }
    }

    /// What is on the screen once it asks.
    fn asked(&self) -> String {
        wait_until(TIME_MAX, "it asks", || {
            let screen = self.screen.lock().expect("a lock");
            let screen = String::from_utf8_lossy(&screen).into_owned();
            screen.contains("[y/N]").then_some(screen)
        })
    }

    fn types(mut self, answer: &str) -> Option<i32> {
        self.keys.write_all(answer.as_bytes()).expect("keys");
        self.child.wait().expect("its end").code()
    }
}

#[test]
fn what_was_never_shown_is_never_approved() {
    let scene = Scene::new("approve");
    let maps = ["one", "two"].map(|name| map(&scene, name, "yes"));
    let later = ["three", "four"].map(|name| map(&scene, name, "no"));
    scene.cluster.apply(&list(&[maps, later].concat())).expect("objects");
    let says = |args: &[&str]| {
        let output = scene.shield.cli(&scene.reviewer).args(args).output().expect("a CLI");
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        (output.status.code(), text)
    };
    let answer = thread::scope(|threads| {
        let first = threads.spawn(|| ask(&scene));
        let hold = scene.pending(&scene.prod, "");
        let id = hold["id"].as_str().expect("an id").to_owned();
        let (_, page) = says(&["show", &id]);
        let shown = scene.shield.cli_json(&scene.reviewer, &["show", &id]);
        let digest = shown["preview"]["digest"].as_str().expect("a digest").to_owned();
        let whole = format!("agent-shield approve {id} --digest {digest} --reason");
        assert!(page.contains(&whole), "{page}");

        // While it is read, more of it is doomed, and the agent asks again.
        for name in ["three", "four"] {
            scene.cluster.apply(&map(&scene, name, "yes")).expect("a label");
        }
        let second = threads.spawn(|| ask(&scene));
        wait_until(TIME_MAX, "it has drifted", || {
            let hold = scene.shield.cli_json(&scene.reviewer, &["show", &id]);
            (hold["drifts"] == 1).then_some(())
        });
        let (code, text) = says(&["approve", &id, "--digest", &digest]);
        assert_eq!(code, Some(6), "{text}");
        assert!(text.contains(&format!("show {id}` shows what it is now")), "{text}");
        for digest in ["", "deadbeef"] {
            let (code, text) = says(&["approve", &id, "--digest", digest]);
            assert_eq!(code, Some(2), "{text}");
            assert!(text.contains("no digest"), "{text}");
        }
        let (code, text) = says(&["approve", &id]);
        assert_eq!(code, Some(2), "{text}");
        assert!(text.contains("--digest") && text.contains(&format!("show {id}")), "{text}");

        // At a terminal it is shown first, as it is now, and only a yes is one.
        let desk = Desk::approves(&scene, &id);
        let screen = desk.asked();
        assert!(["one", "two", "three", "four"].iter().all(|it| screen.contains(it)), "{screen}");
        assert_eq!(desk.types("\n"), Some(1));
        // What changes between the page and the yes is not approved either.
        let desk = Desk::approves(&scene, &id);
        desk.asked();
        scene.cluster.apply(&map(&scene, "four", "no")).expect("a label");
        let third = threads.spawn(|| ask(&scene));
        wait_until(TIME_MAX, "it has drifted again", || {
            let hold = scene.shield.cli_json(&scene.reviewer, &["show", &id]);
            (hold["drifts"] == 2).then_some(())
        });
        assert_eq!(desk.types("y\n"), Some(6));
        assert!(["one", "two", "three", "four"].iter().all(|it| has(&scene, it)));
        let desk = Desk::approves(&scene, &id);
        assert!(!desk.asked().contains("four"));
        assert_eq!(desk.types("y\n"), Some(0));
        let _ = (second.join(), third.join());
        first.join().expect("an answer")
    });
    assert_eq!(answer.status, 200, "{}", answer.text());
    wait_until(TIME_MAX, "what was shown is gone", || {
        (!["one", "two", "three"].iter().any(|it| has(&scene, it))).then_some(())
    });
    assert!(has(&scene, "four"));
}
