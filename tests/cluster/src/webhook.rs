//! An admission webhook that keeps requests waiting, so that a test can act in the middle of a judgement,
//! or between the send and the answer.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use testkit::{Cluster, wait_until};

#[derive(Default)]
struct Flags {
    /// What it keeps waiting: dry runs, or what is real.
    dry_runs: bool,
    reached: AtomicBool,
    released: AtomicBool,
}

/// The running webhook; it ends with the process.
pub struct SlowWebhook(Arc<Flags>);

impl SlowWebhook {
    /// Starts it for deletes of deployments in a namespace; dry runs pass.
    pub fn start(cluster: &Cluster, namespace: &str) -> Self {
        Self::keep(cluster, namespace, "DELETE", false, "true")
    }

    /// Starts it for what one user changes of deployments in a namespace; dry runs and others pass.
    pub fn of_changes(cluster: &Cluster, namespace: &str, username: &str) -> Self {
        let by = format!("request.userInfo.username == '{username}'");
        Self::keep(cluster, namespace, "UPDATE", false, &by)
    }

    /// Starts it for previews of changes of deployments in a namespace; what is real passes.
    pub fn of_previews(cluster: &Cluster, namespace: &str) -> Self {
        Self::keep(cluster, namespace, "UPDATE", true, "true")
    }

    /// `condition` is in CEL.
    fn keep(
        cluster: &Cluster,
        namespace: &str,
        operation: &str,
        dry_runs: bool,
        condition: &str,
    ) -> Self {
        let tls = Arc::new(cluster.server_config("webhook", "127.0.0.1"));
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let flags = Arc::new(Flags { dry_runs, ..Flags::default() });
        let shared = Arc::clone(&flags);
        thread::spawn(move || {
            for tcp in listener.incoming().flatten() {
                let (tls, flags) = (Arc::clone(&tls), Arc::clone(&shared));
                thread::spawn(move || answer(tls, tcp, &flags));
            }
        });
        let ca = std::fs::read(cluster.ca()).expect("the CA");
        let name = format!("slow.{namespace}.example");
        let hook = json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": name},
            "webhooks": [{
                "name": name,
                "clientConfig": {
                    "url": format!("https://127.0.0.1:{port}/"), "caBundle": testkit::base64(&ca),
                },
                "rules": [{
                    "apiGroups": ["apps"], "apiVersions": ["v1"], "resources": ["deployments"],
                    "operations": [operation],
                }],
                "namespaceSelector": {
                    "matchLabels": {"kubernetes.io/metadata.name": namespace},
                },
                "admissionReviewVersions": ["v1"], "sideEffects": "None", "timeoutSeconds": 30,
                "failurePolicy": "Ignore",
                "matchConditions": [{"name": "whose", "expression": condition}],
            }],
        });
        cluster.apply(&hook).expect("a webhook");
        // It is in force once a dry run reaches it; a first one may still pass by.
        Self(flags)
    }

    /// Returns once a real delete waits here.
    pub fn wait_for_a_real_request(&self) {
        wait_until(Duration::from_secs(30), "the delete has been sent", || {
            self.is_reached().then_some(())
        });
    }

    /// Whether something waits here, or did.
    pub fn is_reached(&self) -> bool {
        self.0.reached.load(Ordering::SeqCst)
    }

    /// Lets everything through from now on.
    pub fn let_go(&self) {
        self.0.released.store(true, Ordering::SeqCst);
    }
}

fn answer(tls: Arc<ServerConfig>, tcp: TcpStream, flags: &Flags) {
    let Ok(connection) = ServerConnection::new(tls) else { return };
    let mut stream = StreamOwned::new(connection, tcp);
    while let Some(review) = read(&mut stream) {
        if (review["request"]["dryRun"] == true) == flags.dry_runs {
            flags.reached.store(true, Ordering::SeqCst);
            while !flags.released.load(Ordering::SeqCst) {
                thread::sleep(Duration::from_millis(50));
            }
        }
        let body = json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "response": {"uid": review["request"]["uid"], "allowed": true},
        })
        .to_string();
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        if stream.write_all((head + &body).as_bytes()).and_then(|()| stream.flush()).is_err() {
            return;
        }
    }
}

/// One request's body.
fn read(stream: &mut impl Read) -> Option<Value> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"))?;
    let mut body = vec![0; length.trim().parse().ok()?];
    stream.read_exact(&mut body).ok()?;
    serde_json::from_slice(&body).ok()
}
