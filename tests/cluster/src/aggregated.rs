//! An API of another server behind the API server, which takes every dry run for real.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use testkit::{Cluster, wait_until};

/// Namespace and name.
type Place = (String, String);

/// The running server; it ends with the process.
pub struct Aggregated {
    /// Its group; its versions are `v1` and `v2`, its resource `things`.
    pub group: String,
    shared: Arc<Shared>,
    _registered: Option<Registered>,
}

/// An APIService that lasts as long as this: behind one that is dead no namespace can be deleted.
pub struct Registered {
    cluster: &'static Cluster,
    name: String,
}

impl Registered {
    /// Applies it.
    ///
    /// # Panics
    /// Where it cannot.
    pub fn apply(cluster: &'static Cluster, api_service: &Value) -> Self {
        cluster.apply(api_service).expect("an APIService");
        let name = api_service["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        Self { cluster, name }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let _ = self.cluster.kubectl_says(&["delete", "apiservice", &self.name]);
    }
}

#[derive(Default)]
struct Shared {
    group: String,
    objects: Mutex<BTreeMap<Place, Value>>,
    written: Mutex<Vec<String>>,
}

/// A request to it.
struct Asked {
    method: String,
    target: String,
    body: Value,
    applies: bool,
}

impl Aggregated {
    /// Starts it, and has the API server send the group there.
    ///
    /// # Panics
    /// Where the API server does not.
    pub fn start(cluster: &'static Cluster, namespace: &str) -> Self {
        let group = format!("{namespace}.example.com");
        let (aggregated, port) = Self::listen(cluster, &group);
        cluster.apply(&service(namespace, port)).expect("a Service");
        let behind = api_service(&group, "v1", Some((namespace, port)));
        let registered = Registered::apply(cluster, &behind);
        wait_until(Duration::from_secs(60), "the aggregated API is available", || {
            cluster.get(&format!("/apis/{group}/v1")).map(|_| ())
        });
        Self { _registered: Some(registered), ..aggregated }
    }

    /// Starts it, known to nobody, and says at which port.
    ///
    /// # Panics
    /// Where it cannot.
    pub fn listen(cluster: &Cluster, group: &str) -> (Self, u16) {
        let tls = Arc::new(cluster.server_config("aggregated", "127.0.0.1"));
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let shared = Arc::new(Shared { group: group.to_owned(), ..Shared::default() });
        let of_thread = Arc::clone(&shared);
        thread::spawn(move || {
            for tcp in listener.incoming().flatten() {
                let (tls, shared) = (Arc::clone(&tls), Arc::clone(&of_thread));
                thread::spawn(move || serve(tls, tcp, &shared));
            }
        });
        (Self { group: group.to_owned(), shared, _registered: None }, port)
    }

    /// The writes that reached it, each as method and target.
    pub fn written(&self) -> Vec<String> {
        self.shared.written.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What it has stored under a name.
    pub fn stored(&self, namespace: &str, name: &str) -> Option<Value> {
        let objects = self.shared.objects.lock().unwrap_or_else(PoisonError::into_inner);
        objects.get(&(namespace.to_owned(), name.to_owned())).cloned()
    }
}

/// A Service by which the API server reaches a port of this machine.
pub fn service(namespace: &str, port: u16) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "aggregated", "namespace": namespace},
        "spec": {"type": "ExternalName", "externalName": "localhost", "ports": [{"port": port}]},
    })
}

/// An APIService of a Service called `aggregated`, or of the API server itself.
pub fn api_service(group: &str, version: &str, service: Option<(&str, u16)>) -> Value {
    let service = service.map(
        |(namespace, port)| json!({"name": "aggregated", "namespace": namespace, "port": port}),
    );
    json!({
        "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
        "metadata": {"name": format!("{version}.{group}")},
        "spec": {
            "group": group, "version": version,
            "groupPriorityMinimum": 1000, "versionPriority": 100,
            "insecureSkipTLSVerify": service.is_some(), "service": service,
        },
    })
}

fn serve(tls: Arc<ServerConfig>, tcp: TcpStream, shared: &Shared) {
    let Ok(connection) = ServerConnection::new(tls) else { return };
    let mut stream = BufReader::new(StreamOwned::new(connection, tcp));
    while let Some(asked) = read(&mut stream) {
        let (code, body) = shared.answer(&asked);
        let body = body.to_string();
        let head = format!(
            "HTTP/1.1 {code} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let to = stream.get_mut();
        if to.write_all((head + &body).as_bytes()).and_then(|()| to.flush()).is_err() {
            return;
        }
    }
}

fn read(stream: &mut impl BufRead) -> Option<Asked> {
    let mut line = String::new();
    stream.read_line(&mut line).ok()?;
    let mut words = line.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let (mut length, mut applies) = (0, false);
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).ok()?;
        let line = line.trim().to_ascii_lowercase();
        match line.split_once(": ") {
            None => break,
            Some(("content-length", value)) => length = value.parse().ok()?,
            Some(("content-type", value)) => applies = value.contains("apply-patch"),
            Some(_) => {}
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    let body = serde_json::from_slice(&body).unwrap_or_default();
    Some(Asked { method, target, body, applies })
}

impl Shared {
    fn answer(&self, asked: &Asked) -> (u16, Value) {
        let path = asked.target.split('?').next().unwrap_or_default();
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let mut objects = self.objects.lock().unwrap_or_else(PoisonError::into_inner);
        let (namespace, name) = match parts.as_slice() {
            ["apis", group, version @ ("v1" | "v2")] if *group == self.group => {
                return (200, resources(&format!("{group}/{version}")));
            }
            ["apis", group, "v1" | "v2", "namespaces", namespace, "things", rest @ ..]
                if *group == self.group =>
            {
                (*namespace, rest.first().copied().unwrap_or_default())
            }
            _ => return status(404, "NotFound", path, false),
        };
        if asked.method != "GET" {
            let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
            written.push(format!("{} {}", asked.method, asked.target));
        }
        let named = match name {
            "" => asked.body["metadata"]["name"].as_str().unwrap_or_default(),
            name => name,
        };
        let place = (namespace.to_owned(), named.to_owned());
        let is_new = !objects.contains_key(&place);
        let is_valid = asked.body["spec"].get("size").is_none_or(Value::is_number);
        let stored = objects.get(&place).cloned().unwrap_or_else(|| self.made(&place));
        match asked.method.as_str() {
            "GET" if name.is_empty() => {
                let of_namespace = objects.iter().filter(|(place, _)| place.0 == namespace);
                let items: Vec<&Value> = of_namespace.map(|(_, object)| object).collect();
                let api_version = format!("{}/v1", self.group);
                (
                    200,
                    json!({"apiVersion": api_version, "kind": "ThingList", "metadata": {}, "items": items}),
                )
            }
            "POST" if !is_new => status(409, "AlreadyExists", named, true),
            "GET" | "PUT" | "DELETE" if is_new => status(404, "NotFound", named, true),
            "PATCH" if is_new && !asked.applies => status(404, "NotFound", named, true),
            "GET" => (200, stored),
            "DELETE" => {
                objects.remove(&place);
                (200, json!({"apiVersion": "v1", "kind": "Status", "status": "Success"}))
            }
            _ if !is_valid => status(422, "Invalid", named, true),
            _ => {
                let mut new = stored;
                merge(&mut new, &asked.body);
                new["metadata"]["namespace"] = json!(namespace);
                objects.insert(place, new.clone());
                (if is_new { 201 } else { 200 }, new)
            }
        }
    }

    fn made(&self, (namespace, name): &Place) -> Value {
        json!({
            "apiVersion": format!("{}/v1", self.group), "kind": "Thing",
            "metadata": {
                "name": name, "uid": format!("uid-of-{namespace}-{name}"), "resourceVersion": "1",
                "creationTimestamp": "2026-01-01T00:00:00Z",
            },
        })
    }
}

fn resources(group_version: &str) -> Value {
    let verbs = ["create", "delete", "get", "list", "patch", "update"];
    json!({
        "apiVersion": "v1", "kind": "APIResourceList", "groupVersion": group_version,
        "resources": [{
            "name": "things", "singularName": "thing", "namespaced": true, "kind": "Thing",
            "verbs": verbs,
        }],
    })
}

fn status(code: u16, reason: &str, name: &str, is_object: bool) -> (u16, Value) {
    let details = if is_object { json!({"kind": "things", "name": name}) } else { json!({}) };
    let status = json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "reason": reason,
        "message": format!("things: {reason} {name}"), "details": details,
    });
    (code, status)
}

/// RFC 7386.
fn merge(into: &mut Value, patch: &Value) {
    let (Some(fields), Some(patch)) = (into.as_object_mut(), patch.as_object()) else {
        *into = patch.clone();
        return;
    };
    for (key, value) in patch {
        match value {
            Value::Null => drop(fields.remove(key)),
            value => merge(fields.entry(key).or_insert(Value::Null), value),
        }
    }
}
