//! What agent-shield takes from the API server is what the client gets: status, headers in order
//! less hop-by-hop ones, body and trailers, byte for byte. A recorder between the two has the one
//! side, the client the other; the API server's `Audit-Id` says which belong together.
//!
//! The reads are a table: what × in which format × how, far more than 200 of them.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Mutex,
    thread,
};

use clients::wire::{Protocol, Read};
use cluster::{Scene, deployment, list};
use serde_json::json;
use testkit::{Credential, Shield, http::Answer, tee::Tee, wait_until};

/// Objects and collections; `{ns}` is a namespace with one of each.
const RESOURCES: [&str; 15] = [
    "/api/v1/namespaces/{ns}/configmaps",
    "/api/v1/namespaces/{ns}/configmaps/c",
    "/api/v1/namespaces/{ns}/secrets/s",
    "/api/v1/namespaces/{ns}/pods",
    "/api/v1/namespaces/{ns}/pods/web",
    "/api/v1/namespaces/{ns}/pods/nope",
    "/api/v1/namespaces/{ns}",
    "/api/v1/nodes",
    "/api/v1/nodes/n1",
    "/apis/apps/v1/namespaces/{ns}/deployments",
    "/apis/apps/v1/namespaces/{ns}/deployments/web",
    "/apis/apps/v1/namespaces/{ns}/deployments/web/scale",
    "/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Anode",
    "/apis/authentication.k8s.io/v1/tokenreviews",
    "/apis/nope.example/v1/things",
];

/// Every format that a client can ask for, and one that there is not.
const ACCEPTS: [&str; 9] = [
    "application/json",
    "application/yaml",
    "application/vnd.kubernetes.protobuf",
    "application/cbor",
    "application/json;as=Table;v=v1;g=meta.k8s.io",
    "application/cbor;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1;g=meta.k8s.io",
    "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
    "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json",
    "text/html",
];

/// Events are the one kind that the API server reads from etcd each time: an old page is gone there.
const COLLECTIONS: [&str; 4] = [
    "/api/v1/namespaces/{ns}/events",
    "/api/v1/namespaces/{ns}/configmaps",
    "/api/v1/namespaces/{ns}/pods",
    "/apis/apps/v1/namespaces/{ns}/deployments",
];

/// Ways to ask for a collection, right and wrong.
const OPTIONS: [&str; 14] = [
    "limit=1",
    "limit=1&continue={continue}",
    "limit=1&continue={expired}",
    "limit=1&continue=nonsense",
    "limit=abc",
    "labelSelector=app%3Dweb",
    "labelSelector=%21",
    "fieldSelector=metadata.name%3Dweb",
    "fieldSelector=nope%3Dx",
    "resourceVersion=0",
    "resourceVersion=0&resourceVersionMatch=NotOlderThan",
    "resourceVersion=0&resourceVersionMatch=Exact",
    "resourceVersion=x",
    "pretty=true",
];

/// Watches that end by themselves.
const WATCHES: [&str; 4] = [
    "watch=true&timeoutSeconds=1&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan",
    "watch=1&timeoutSeconds=1&resourceVersion=0&allowWatchBookmarks=true",
    "watch=true&timeoutSeconds=1&resourceVersion=1",
    "watch=true&timeoutSeconds=1&resourceVersion=x",
];

/// Whatever is no resource.
const PATHS: [&str; 22] = [
    "/",
    "/api",
    "/api/v1",
    "/apis",
    "/apis/apps",
    "/apis/apps/v1",
    "/version",
    "/livez",
    "/readyz",
    "/readyz?verbose",
    "/readyz/nope",
    "/healthz",
    "/metrics",
    "/metrics/slis",
    "/openapi/v2",
    "/openapi/v3",
    "/openapi/v3/api/v1",
    "/openapi/v3/apis/apps/v1",
    "/openapi/v3/apis/nope",
    "/.well-known/openid-configuration",
    "/openid/v1/jwks",
    "/nope",
];

/// Formats that only some of those have.
const SPECIAL: [(&str, &str); 8] = [
    ("/api", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"),
    ("/apis", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"),
    ("/apis", "application/cbor;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"),
    ("/apis", "application/vnd.kubernetes.protobuf"),
    ("/openapi/v2", "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"),
    ("/openapi/v2", "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"),
    ("/openapi/v3/api/v1", "application/com.github.proto-openapi.spec.v3@v1.0+protobuf"),
    ("/metrics", "application/openmetrics-text;version=1.0.0"),
];

const LOGS: [&str; 6] = [
    "",
    "?tailLines=3",
    "?limitBytes=100",
    "?timestamps=true",
    "?container=nope",
    "?container=c&sinceSeconds=3600",
];

const GZIP: (&str, &str) = ("accept-encoding", "gzip");

/// A scene whose agent-shield reaches the API server through a recorder.
struct Taped {
    scene: Scene,
    tee: Tee,
}

impl Taped {
    fn new(name: &str) -> Self {
        let mut scene = Scene::new(name);
        let tee = Tee::start(scene.cluster);
        let kubeconfig = tee.kubeconfig(scene.cluster, "agent-shield", "agent-shield");
        scene.shield = Shield::start_as(scene.cluster, Credential::Kubeconfig(kubeconfig), &[]);
        scene.cluster.forget_the_beginning().expect("etcd");
        let ns = &scene.dev;
        let map = |name: &str, value: &str| {
            json!({
                "apiVersion": "v1", "kind": "ConfigMap",
                "metadata": {"name": name, "namespace": ns}, "data": {"k": value},
            })
        };
        let items = [
            map("c", "flip-this-byte"),
            // More than the API server sends uncompressed to who takes gzip.
            map("large", &"no two lines are alike, or are they? ".repeat(6_000)),
            json!({
                "apiVersion": "v1", "kind": "Secret",
                "metadata": {"name": "s", "namespace": ns}, "stringData": {"k": "v"},
            }),
            json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": "web", "namespace": ns},
                "spec": {"nodeName": "n1", "containers": [{"name": "c", "image": "nginx:1.25"}]},
            }),
            deployment(ns, "web", 1),
        ];
        scene.cluster.apply(&list(&items)).expect("objects");
        let pod = format!("/api/v1/namespaces/{ns}/pods/web");
        wait_until(std::time::Duration::from_secs(60), "the pod runs", || {
            (scene.cluster.get(&pod)?["status"]["phase"] == "Running").then_some(())
        });
        Self { scene, tee }
    }

    fn read(&self, protocol: Protocol, read: &Read) -> Answer {
        let Scene { shield, .. } = &self.scene;
        read.send(protocol, &shield.agent_url, &shield.ca()).unwrap_or_else(|error| {
            panic!("{read}: {error}");
        })
    }

    /// The table, in this scene's names.
    fn reads(&self) -> Vec<Read> {
        let Scene { cluster, dev, agent, .. } = &self.scene;
        let token = format!("Bearer {}", agent.token);
        let get = |target: &str, accept: &str| {
            let read = Read::get(&target.replace("{ns}", dev)).with("accept", accept);
            read.with("authorization", &token)
        };
        let json = ACCEPTS[0];
        let mut reads = Vec::new();
        for resource in RESOURCES {
            reads.extend(ACCEPTS.map(|accept| get(resource, accept)));
            reads.push(get(resource, json).by("HEAD"));
        }
        for collection in COLLECTIONS {
            let page = cluster.get(&format!("{}?limit=1", collection.replace("{ns}", dev)));
            let page = page.expect("a page");
            let next = page["metadata"]["continue"].as_str().unwrap_or("none").to_owned();
            let expired = testkit::base64(br#"{"v":"meta.k8s.io/v1","rv":1,"start":"x"}"#);
            let expired = expired.trim_end_matches('=');
            for options in OPTIONS {
                let options = options.replace("{continue}", &next).replace("{expired}", expired);
                reads.push(get(&format!("{collection}?{options}"), json));
            }
            for (watch, accept) in
                WATCHES.iter().flat_map(|watch| ACCEPTS.map(|accept| (watch, accept)))
            {
                reads.push(get(&format!("{collection}?{watch}"), accept));
            }
            reads.push(get(collection, json).with(GZIP.0, GZIP.1));
            reads.push(get(&format!("{collection}?{}", WATCHES[0]), json).with(GZIP.0, GZIP.1));
        }
        for path in PATHS {
            for accept in ["*/*", ACCEPTS[2]] {
                reads.push(get(path, accept));
            }
            reads.push(get(path, "*/*").with(GZIP.0, GZIP.1));
            reads.push(get(path, "*/*").by("HEAD"));
        }
        for (path, accept) in SPECIAL {
            let read = get(path, accept);
            let tag = self.read(Protocol::Http1, &read).header("etag").map(str::to_owned);
            reads.push(read.clone().with(GZIP.0, GZIP.1));
            reads.extend(tag.map(|tag| read.clone().with("if-none-match", &tag)));
            reads.push(read);
        }
        for log in LOGS {
            reads.push(get(&format!("/api/v1/namespaces/{{ns}}/pods/web/log{log}"), "*/*"));
        }
        for (name, value) in [("authorization", "Bearer nobody"), ("accept", json)] {
            // Known to nobody, and nobody at all.
            reads.push(Read::get(RESOURCES[7]).with(name, value));
            reads.push(Read::get("/version").with(name, value));
        }
        reads
    }
}

/// All that is to be the same on both sides; empty where it is.
fn differences(theirs: &Answer, ours: &Answer) -> Vec<String> {
    let end_to_end = |answer: &Answer| -> Vec<(String, String)> {
        const HOP_BY_HOP: [&str; 3] = ["connection", "keep-alive", "transfer-encoding"];
        let headers = answer.headers.iter();
        headers.filter(|(name, _)| !HOP_BY_HOP.contains(&name.as_str())).cloned().collect()
    };
    let mut all = Vec::new();
    if theirs.status != ours.status {
        all.push(format!("status {} became {}", theirs.status, ours.status));
    }
    let (before, after) = (end_to_end(theirs), end_to_end(ours));
    if before != after {
        all.push(format!("headers {before:?} became {after:?}"));
    }
    if theirs.body != ours.body {
        let same = theirs.body.iter().zip(&ours.body).take_while(|(a, b)| a == b).count();
        let (before, after) = (theirs.body.len(), ours.body.len());
        all.push(format!("a body of {before} became one of {after} bytes, alike up to {same}"));
    }
    if theirs.trailers != ours.trailers {
        all.push(format!("trailers {:?} became {:?}", theirs.trailers, ours.trailers));
    }
    all
}

fn bytes_are_equal(name: &str, protocol: Protocol) {
    let taped = Taped::new(name);
    let reads = taped.reads();
    let different: BTreeSet<String> = reads.iter().map(Read::to_string).collect();
    assert!(different.len() >= 200, "only {} different reads", different.len());
    let next = Mutex::new(reads.iter());
    let got = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                loop {
                    let Some(read) = next.lock().expect("a lock").next() else { break };
                    let answer = taped.read(protocol, read);
                    got.lock().expect("a lock").push((read, answer));
                }
            });
        }
    });
    let got = got.into_inner().expect("a lock");
    let recorded = taped.tee.answers();
    let mut wrong = Vec::new();
    for (read, ours) in &got {
        match ours.header("audit-id").and_then(|id| recorded.get(id)) {
            Some(theirs) => {
                wrong.extend(differences(theirs, ours).iter().map(|it| format!("{read}: {it}")));
            }
            None => wrong.push(format!("{read}: not the API server's answer: {}", ours.text())),
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), got.len(), wrong.join("\n"));
    println!("{} reads, {} different, byte for byte", got.len(), different.len());
    what_was_seen(&got, &recorded);
}

/// The table reaches what it is for: a read that is refused before it shows anything shows nothing.
fn what_was_seen(got: &[(&Read, Answer)], recorded: &HashMap<String, Answer>) {
    let mut seen: BTreeSet<String> = BTreeSet::new();
    for (_, answer) in got {
        seen.insert(answer.status.to_string());
        for name in ["content-type", "content-encoding"] {
            seen.extend(answer.header(name).map(str::to_owned));
        }
        let text = answer.text();
        for sign in ["BOOKMARK", "\"kind\":\"Table\"", "PartialObjectMetadata", "line 30"] {
            seen.extend(text.contains(sign).then(|| sign.to_owned()));
        }
    }
    let chunked = |it: &Answer| it.header("transfer-encoding") == Some("chunked");
    seen.extend(recorded.values().any(chunked).then(|| "chunked".to_owned()));
    println!("seen: {seen:?}");
    for wanted in [
        "200",
        "304",
        "400",
        "401",
        "403",
        "404",
        "405",
        "406",
        "410",
        "application/json",
        "application/yaml",
        "application/vnd.kubernetes.protobuf",
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
        "gzip",
        "chunked",
        "BOOKMARK",
        "\"kind\":\"Table\"",
        "PartialObjectMetadata",
        "line 30",
    ] {
        assert!(seen.contains(wanted), "no answer shows `{wanted}`: {seen:?}");
    }
}

#[test]
fn reads_are_the_same_byte_for_byte_over_http1() {
    bytes_are_equal("bytes1", Protocol::Http1);
}

#[test]
fn reads_are_the_same_byte_for_byte_over_http2() {
    bytes_are_equal("bytes2", Protocol::Http2);
}

/// The check can fail: one bit on the way, in a body, a header or a status, is seen.
#[test]
fn one_flipped_bit_is_seen() {
    let taped = Taped::new("flipped");
    let token = format!("Bearer {}", taped.scene.agent.token);
    let target = format!("/api/v1/namespaces/{}/configmaps/c", taped.scene.dev);
    let read = Read::get(&target).with("authorization", &token);
    for (bytes, flipped, what) in [
        ("not there", "", None),
        ("flip-this-byte", "flip-this-bytd", Some("a body of")),
        ("no-cache, private", "no-cache, privatd", Some("headers")),
        ("Cache-Control", "Bache-Control", Some("headers")),
        ("HTTP/1.1 200", "HTTP/1.1 201", Some("status 200 became 201")),
    ] {
        taped.tee.replace(&[(bytes, flipped)]);
        let ours = taped.read(Protocol::Http1, &read);
        taped.tee.replace(&[]);
        let recorded = taped.tee.answers();
        let theirs = &recorded[ours.header("audit-id").expect("an audit id")];
        let found = differences(theirs, &ours);
        match what {
            None => assert!(found.is_empty(), "{found:?}"),
            Some(what) => {
                assert_eq!(found.len(), 1, "{bytes}: {found:?}");
                assert!(found[0].starts_with(what), "{bytes}: {found:?}");
            }
        }
    }
}

/// What follows a body goes with it, where a client takes it.
#[test]
fn trailers_are_passed() {
    let taped = Taped::new("trailers");
    let token = format!("Bearer {}", taped.scene.agent.token);
    let target = format!("/api/v1/namespaces/{}/configmaps/large", taped.scene.dev);
    let read = Read::get(&target).with("authorization", &token).with("te", "trailers");
    for (protocol, read) in
        [(Protocol::Http1, read.clone().with("connection", "te")), (Protocol::Http2, read)]
    {
        taped.tee.replace(&[
            ("Transfer-Encoding: chunked\r\n", "Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n"),
            ("\r\n0\r\n\r\n", "\r\n0\r\nX-Sum: 42\r\n\r\n"),
        ]);
        let ours = taped.read(protocol, &read);
        taped.tee.replace(&[]);
        let recorded = taped.tee.answers();
        let theirs = &recorded[ours.header("audit-id").expect("an audit id")];
        assert!(theirs.trailers.is_empty(), "the API server sends none: {:?}", theirs.trailers);
        assert_eq!(ours.trailers, [("x-sum".to_owned(), "42".to_owned())], "{protocol:?}");
        assert_eq!((ours.status, &ours.body), (200, &theirs.body), "{protocol:?}");
    }
}
