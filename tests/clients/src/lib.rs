//! What the tests with clients share: a stage with the same objects twice, once for what goes to the
//! API server itself and once for what goes through agent-shield, and a reviewer who decides.

pub mod install;
pub mod kubelet;
pub mod plain;
pub mod wire;

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::Duration,
};

use cluster::{Scene, deployment, list, namespace};
use serde_json::{Value, json};
use testkit::wait_until;

const TIME_MAX: Duration = Duration::from_secs(180);
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(200);

/// What the reviewer says, in every decision.
pub const REASON: &str = "as the matrix says";

/// One of the two places where a client works.
pub struct Place {
    /// With a Deployment and a bare Pod, both `web`.
    pub namespace: String,
    /// A node with one pod.
    pub node: String,
    /// Points at the API server itself, or at agent-shield.
    pub kubeconfig: PathBuf,
}

/// A scene in which an agent's client works in two places.
pub struct Stage {
    /// Cluster, agent-shield, agent and reviewer.
    pub scene: Scene,
    /// The positive control.
    pub direct: Place,
    /// The same through agent-shield.
    pub shielded: Place,
}

/// How a client that was reviewed has ended.
pub struct Reviewed {
    /// What it printed and its exit code.
    pub output: Output,
    /// What was held of it.
    pub holds: Vec<Value>,
}

impl Stage {
    /// Sets the stage; both namespaces are in production.
    ///
    /// # Panics
    /// Where the objects cannot be made.
    pub fn new(name: &str) -> Self {
        let scene = Scene::new(name);
        let through = scene.shield.kubeconfig(&scene.agent);
        let place = |kubeconfig: &Path| {
            let namespace = scene.cluster.unique(&format!("{name}-place"));
            Place {
                node: scene.cluster.unique("node"),
                kubeconfig: kubeconfig.to_owned(),
                namespace,
            }
        };
        let (direct, shielded) = (place(&scene.agent.kubeconfig), place(&through));
        let stage = Self { scene, direct, shielded };
        for place in [&stage.direct, &stage.shielded] {
            stage.furnish(place);
        }
        stage
    }

    fn furnish(&self, place: &Place) {
        let Place { namespace: ns, node, .. } = place;
        let pod = |name: &str, node: &str| {
            json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": name, "namespace": ns, "labels": {"app": "bare"}},
                "spec": {
                    "nodeName": node,
                    "terminationGracePeriodSeconds": 1,
                    "containers": [{"name": "c", "image": "nginx:1.25"}],
                },
            })
        };
        let items = [
            namespace(ns, "production"),
            json!({
                "apiVersion": "v1", "kind": "Node",
                "metadata": {"name": node, "annotations": {"kwok.x-k8s.io/node": "fake"}},
                // Nothing that it was not given comes here, and leaves with it.
                "spec": {"taints": [{"key": "own", "effect": "NoSchedule"}]},
            }),
            deployment(ns, "web", 4),
            pod("web", "n1"),
            pod("leaving", node),
        ];
        let cluster = self.scene.cluster;
        cluster.apply(&list(&items)).expect("objects");
        let pods = format!("/api/v1/namespaces/{ns}/pods");
        wait_until(TIME_MAX, "all pods run", || {
            let pods = cluster.get(&pods)?;
            let running = |pod: &&Value| pod["status"]["phase"] == "Running";
            (pods["items"].as_array()?.iter().filter(running).count() == 6).then_some(())
        });
        let web = format!("/apis/apps/v1/namespaces/{ns}/deployments/web");
        wait_until(TIME_MAX, "the Deployment is settled", || {
            (cluster.get(&web)?["status"]["availableReplicas"] == 4).then_some(())
        });
    }

    /// Starts a program of a client in a place.
    ///
    /// # Panics
    /// Where it does not start.
    pub fn start(&self, place: &Place, command: Command) -> Child {
        self.start_with(place, Stdio::null(), command)
    }

    /// The same with this standard input.
    ///
    /// # Panics
    /// Where it does not start.
    pub fn start_with(&self, place: &Place, stdin: Stdio, mut command: Command) -> Child {
        command
            .env("KUBECONFIG", &place.kubeconfig)
            .env("NAMESPACE", &place.namespace)
            .env("HOME", self.scene.shield.data_dir())
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("a client")
    }

    /// Decides on everything that is held in this place or on its node until the client ends.
    ///
    /// # Panics
    /// Where it does not end.
    pub fn review(&self, place: &Place, verb: &str, mut child: Child) -> Reviewed {
        let mut holds: Vec<Value> = Vec::new();
        wait_until(TIME_MAX, "the client ends", || {
            if child.try_wait().expect("a process").is_some() {
                return Some(());
            }
            self.decide_all(place, verb, &mut holds);
            None
        });
        Reviewed { output: child.wait_with_output().expect("its output"), holds }
    }

    /// Decides on what waits in a place, and adds it to what was held before.
    pub fn decide_all(&self, place: &Place, verb: &str, holds: &mut Vec<Value>) {
        for hold in self.pending(place) {
            let id = hold["id"].as_str().unwrap_or_default();
            // It may have drifted since it was listed: then it comes again.
            let _ = self.scene.shield.decide(&self.scene.reviewer, verb, id, REASON);
            if holds.iter().all(|it| it["id"] != id) {
                holds.push(hold);
            }
        }
    }

    /// What waits for a decision in a place.
    fn pending(&self, place: &Place) -> Vec<Value> {
        // Looking costs a process each time: what ends at once needs no reviewer.
        thread::sleep(LOOK_AGAIN_AFTER);
        let holds = self.scene.shield.cli_json(&self.scene.reviewer, &["holds"]);
        let here = |hold: &&Value| {
            let target = hold["request"]["requestURI"].as_str().unwrap_or_default();
            hold["state"] == "pending"
                && (target.contains(&place.namespace) || target.contains(&place.node))
        };
        holds["items"].as_array().into_iter().flatten().filter(here).cloned().collect()
    }

    /// Runs one program directly and through agent-shield, once refused and once approved: it must say
    /// the same as directly where it is approved, and who refused it where it is not.
    ///
    /// The program prints what it lists, watches, patches and runs, and nothing that differs between
    /// the two places. It scales `web` from 4 to 1 and runs a command in the pod `web`.
    ///
    /// # Panics
    /// Where it does not.
    pub fn check_program(&self, command: &dyn Fn() -> Command) {
        self.check_transcript(TRANSCRIPT, command);
    }

    /// The same of a program that prints this.
    ///
    /// # Panics
    /// Where it does not.
    pub fn check_transcript(&self, transcript: &str, command: &dyn Fn() -> Command) {
        let direct = self.start(&self.direct, command()).wait_with_output().expect("its output");
        let expected = String::from_utf8_lossy(&direct.stdout).into_owned();
        assert!(direct.status.success(), "directly: {}", said(&direct));
        assert_eq!(expected, transcript, "directly: {}", said(&direct));

        let child = self.start(&self.shielded, command());
        let denied = self.review(&self.shielded, "deny", child);
        assert!(!denied.holds.is_empty(), "nothing was held: {}", said(&denied.output));
        assert!(!denied.output.status.success(), "denied: {}", said(&denied.output));
        assert!(said(&denied.output).contains(REASON), "denied: {}", said(&denied.output));
        let web = format!("/apis/apps/v1/namespaces/{}/deployments/web", self.shielded.namespace);
        assert_eq!(self.scene.cluster.get(&web).expect("web")["spec"]["replicas"], 4);
        // As the first time: what was denied is denied again for a while, to the same object.
        let fresh = self.fresh();
        let child = self.start(&fresh, command());
        let approved = self.review(&fresh, "approve", child);
        let output = &approved.output;
        assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{}", said(output));
        assert_eq!(output.status.code(), direct.status.code(), "{}", said(output));
        let rules: Vec<String> = approved.holds.iter().map(|it| it["rules"].to_string()).collect();
        assert!(rules.iter().any(|it| it.contains("run-code")), "held: {rules:?}");
        assert!(rules.len() >= 2, "held: {rules:?}");
    }

    /// Another place behind agent-shield.
    pub fn fresh(&self) -> Place {
        let place = Place {
            namespace: self.scene.cluster.unique("fresh"),
            node: self.scene.cluster.unique("node"),
            kubeconfig: self.shielded.kubeconfig.clone(),
        };
        self.furnish(&place);
        place
    }
}

/// What every program prints.
pub const TRANSCRIPT: &str = "\
list: leaving web
missing: 404 NotFound
watch: ADDED note
patch: note is new
watch: MODIFIED note
scale: 1
exec: out=`to stdout` err=`to stderr` code=0
";

/// All that a program printed.
pub fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}
