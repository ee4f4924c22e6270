//! A kubelet that serves pages, at an address to which the API server's node proxy leads: kwok serves none,
//! and on loopback, where no proxy leads.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::json;
use testkit::{Cluster, own_address, wait_until};

const READY_WITHIN: Duration = Duration::from_secs(60);

/// A node and its running kubelet, which ends with the process; the node ends with this, for no other test's
/// pod may have a node's address.
pub struct Kubelet {
    /// The node's name.
    pub node: String,
    cluster: &'static Cluster,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Kubelet {
    /// Starts one, on a node of its own.
    ///
    /// # Panics
    /// Where it cannot.
    pub fn start(cluster: &'static Cluster) -> Self {
        let address = own_address().to_string();
        let listener = TcpListener::bind((address.as_str(), 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let tls = Arc::new(cluster.server_config("kubelet", &address));
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let heard = Arc::clone(&asked);
        thread::spawn(move || {
            for tcp in listener.incoming().flatten() {
                let (tls, heard) = (Arc::clone(&tls), Arc::clone(&heard));
                thread::spawn(move || answer(tls, tcp, &heard));
            }
        });
        let node = cluster.unique("kubelet");
        register(cluster, &node, &address, port);
        Self { node, cluster, asked }
    }

    /// The targets of all requests so far.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("a lock").clone()
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        let _ = self.cluster.kubectl_says(&["delete", "node", &self.node, "--wait=false"]);
    }
}

/// kwok makes the node ready, and then leaves alone where its kubelet is.
fn register(cluster: &Cluster, node: &str, address: &str, port: u16) {
    let taint = json!([{"key": "own", "effect": "NoSchedule"}]);
    let object = json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": node}, "spec": {"taints": taint},
    });
    cluster.apply(&object).expect("a node");
    wait_until(READY_WITHIN, "the node is ready", || {
        let status = cluster.get(&format!("/api/v1/nodes/{node}"))?["status"].clone();
        let ready = |it: &serde_json::Value| it["type"] == "Ready" && it["status"] == "True";
        status["conditions"].as_array()?.iter().any(ready).then_some(())
    });
    let status = json!({"status": {
        "addresses": [{"type": "InternalIP", "address": address}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
    }});
    let patch = ["patch", "node", node, "--subresource=status", "--type=merge", "-p"];
    let patched = cluster.kubectl_says(&[&patch[..], &[&status.to_string()]].concat());
    patched.expect("a node with a kubelet");
}

/// Answers one request with its own target, as JSON.
fn answer(tls: Arc<ServerConfig>, tcp: TcpStream, heard: &Mutex<Vec<String>>) {
    let Ok(connection) = ServerConnection::new(tls) else { return };
    let mut stream = StreamOwned::new(connection, tcp);
    let Some(target) = target(&mut stream) else { return };
    let body = json!({"page": target}).to_string();
    heard.lock().expect("a lock").push(target);
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    // Whoever has gone needs no answer.
    let _ = stream.write_all((head + &body).as_bytes()).and_then(|()| stream.flush());
    stream.conn.send_close_notify();
    let _ = stream.flush();
}

fn target(stream: &mut impl Read) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    String::from_utf8_lossy(&head).split(' ').nth(1).map(str::to_owned)
}
