//! Our reading of request lines against `RequestInfoFactory` itself: zero differences among what we
//! accept. Lines are generated and mutated from a printed seed.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
    thread,
};

use attributes::Attributes;
use http::{HeaderMap, Method};
use serde_json::{Value, json};

const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"];
const STARTS: [&str; 8] =
    ["/api/v1", "/apis/apps/v1", "/apis/batch/v1", "/api", "/apis", "/apis/ex.io", "/version", ""];
const SEGMENTS: [&str; 34] = [
    "namespaces",
    "namespaces",
    "prod",
    "dev",
    "pods",
    "deployments",
    "nodes",
    "services",
    "x",
    "status",
    "finalize",
    "scale",
    "exec",
    "proxy",
    "watch",
    "eviction",
    "log",
    "token",
    "default",
    "kube-system",
    "a%3Ab",
    "web;v=1",
    "é",
    "%C3%A9",
    "..",
    ".",
    "",
    "%2F",
    "%41",
    "a b",
    "@",
    "~",
    "system:node",
    "proxy",
];
const QUERIES: [&str; 18] = [
    "watch=true",
    "watch=1",
    "watch=0",
    "watch=False",
    "watch",
    "watch=",
    "limit=5",
    "dryRun=All",
    "dryRun=all",
    "labelSelector=app%3Dx",
    "labelSelector=a;b",
    "x=%zz",
    "a=b",
    "fieldSelector=spec.nodeName%3Dn",
    "timeoutSeconds=1",
    "pretty",
    "WATCH=true",
    "a=1&a=2",
];

/// xorshift64*: repeatable, and nothing here needs better.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let product = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(product).unwrap_or(0) % n
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }

    fn target(&mut self) -> String {
        let mut target = self.pick(&STARTS).to_owned();
        for _ in 0..self.below(7) {
            target.push('/');
            // Mostly what clients send: the first twenty are plain.
            let plain = self.below(10) < 9;
            target.push_str(self.pick(if plain { &SEGMENTS[..20] } else { &SEGMENTS }));
        }
        if self.below(12) == 0 {
            target.push('/');
        }
        for n in 0..self.below(3) {
            target.push(if n == 0 { '?' } else { '&' });
            target.push_str(self.pick(&QUERIES));
        }
        if self.below(20) == 0 && !target.is_empty() {
            let at = self.below(target.len());
            if target.is_char_boundary(at) {
                target.insert(
                    at,
                    self.pick(&["/", "%", "?", ";", "A", "%2f", "#", "\\"])
                        .chars()
                        .next()
                        .unwrap_or('/'),
                );
            }
        }
        target
    }
}

fn ours(method: &str, target: &str) -> Option<Attributes> {
    let method = Method::from_bytes(method.as_bytes()).ok()?;
    attributes::read(&method, target, &HeaderMap::new()).ok()
}

fn as_go_says(a: &Attributes) -> Value {
    json!({
        "isResourceRequest": a.is_resource_request, "path": a.path, "verb": a.verb,
        "apiPrefix": a.api_prefix, "apiGroup": a.api_group, "apiVersion": a.api_version,
        "namespace": a.namespace, "resource": a.resource, "subresource": a.subresource,
        "name": a.name, "parts": a.parts,
    })
}

fn without_nulls(mut go: Value) -> Value {
    if go["parts"].is_null() {
        go["parts"] = json!([]);
    }
    go
}

#[test]
fn reads_as_go_does_whatever_we_accept() {
    let count = match std::env::var_os("AGENT_SHIELD_FULL") {
        Some(_) => 10_000_000,
        None => 100_000,
    };
    let seed = std::env::var("SEED").ok().and_then(|it| it.parse().ok()).unwrap_or(20_261_123);
    println!("SEED={seed}");
    let testbed = testkit::testbed::build().expect("the Go program");
    let mut go = Command::new(testbed.program("requestinfo"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the Go program");
    let mut input = go.stdin.take().expect("its input");
    let output = BufReader::new(go.stdout.take().expect("its output"));
    let questions = move || {
        let mut random = Random(seed);
        (0..count).map(move |_| (METHODS[random.below(METHODS.len())], random.target()))
    };
    let asked = questions;
    let writer = thread::spawn(move || {
        for (method, target) in asked() {
            let question = json!({"method": method, "target": target});
            writeln!(input, "{question}").expect("a question");
        }
    });
    let (mut accepted, mut resources, mut answers) = (0, 0, 0);
    for ((method, target), answer) in questions().zip(output.lines()) {
        answers += 1;
        let go: Value = serde_json::from_str(&answer.expect("an answer")).expect("JSON");
        let Some(ours) = ours(method, &target) else { continue };
        accepted += 1;
        resources += usize::from(ours.is_resource_request);
        assert!(go.get("error").is_none(), "{method} {target}: Go refuses: {go}");
        assert_eq!(as_go_says(&ours), without_nulls(go), "{method} {target}");
    }
    writer.join().expect("the writer");
    go.wait().expect("its end");
    println!("{answers} lines, {accepted} accepted, {resources} of them on resources");
    assert_eq!(answers, count);
    // A reading that refused everything would never differ.
    assert!(accepted * 2 > count, "only {accepted} of {count} accepted");
    assert!(resources * 2 > accepted, "only {resources} of {accepted} on resources");
}
