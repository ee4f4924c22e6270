//! What a preview adds to a write's time, and how many of an agent's requests need one: the requests
//! of a day, one after the other, in turns directly and through agent-shield, on a real kube-apiserver.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use testkit::{Agent, Cluster, Nodes, Shield, http::Connection, testbed};

use super::load;

/// Requests of a class, each directly and through agent-shield.
const REQUESTS: usize = 200;
const QUICK_REQUESTS: usize = 5;

const STRATEGIC: &str = "application/strategic-merge-patch+json";
const MERGE: &str = "application/merge-patch+json";
const JSON: &str = "application/json";
const APPLY: &str = "application/apply-patch+yaml";

/// One class of requests; `{n}` is another number in each.
struct Class {
    /// Of a thousand requests of the day.
    share: u32,
    name: &'static str,
    method: &'static str,
    path: &'static str,
    content_type: &'static str,
    body: &'static str,
}

/// A day of an agent that looks around far more than it writes. `shop` is production, `dev` is declared
/// not to be. What is held waits for a person: it has no time to compare, and is left out.
const DAY: [Class; 14] = [
    read(330, "list of pods", "/api/v1/namespaces/shop/pods?limit=500"),
    read(250, "Deployment", "/apis/apps/v1/namespaces/shop/deployments/web"),
    read(170, "list of Events", "/api/v1/namespaces/shop/events?limit=500"),
    read(130, "ConfigMap", "/api/v1/namespaces/dev/configmaps/settings"),
    Class {
        share: 30,
        name: "Event is created",
        method: "POST",
        path: "/api/v1/namespaces/shop/events",
        content_type: JSON,
        body: r#"{"metadata":{"generateName":"seen-"},"involvedObject":{"kind":"Pod","namespace":"shop","name":"web-{n}"},"reason":"Seen","message":"seen","type":"Normal"}"#,
    },
    Class {
        share: 20,
        name: "Lease is renewed",
        method: "PATCH",
        path: "/apis/coordination.k8s.io/v1/namespaces/dev/leases/agent",
        content_type: MERGE,
        body: r#"{"spec":{"holderIdentity":"agent-{n}"}}"#,
    },
    Class {
        share: 20,
        name: "ConfigMap in dev is changed",
        method: "PATCH",
        path: "/api/v1/namespaces/dev/configmaps/settings",
        content_type: MERGE,
        body: r#"{"data":{"level":"{n}"}}"#,
    },
    Class {
        share: 10,
        name: "image in dev is changed",
        method: "PATCH",
        path: "/apis/apps/v1/namespaces/dev/deployments/web",
        content_type: STRATEGIC,
        body: r#"{"spec":{"template":{"spec":{"containers":[{"name":"c","image":"nginx:1.{n}"}]}}}}"#,
    },
    Class {
        share: 5,
        name: "scale in dev",
        method: "PATCH",
        path: "/apis/apps/v1/namespaces/dev/deployments/web/scale",
        content_type: MERGE,
        body: r#"{"spec":{"replicas":{n}}}"#,
    },
    Class {
        share: 5,
        name: "Deployment in dev is applied",
        method: "PATCH",
        path: "/apis/apps/v1/namespaces/dev/deployments/applied?fieldManager=agent&force=true",
        content_type: APPLY,
        body: r#"{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"applied"},"spec":{"replicas":0,"selector":{"matchLabels":{"app":"applied"}},"template":{"metadata":{"labels":{"app":"applied"}},"spec":{"containers":[{"name":"c","image":"nginx:1.{n}"}]}}}}"#,
    },
    Class {
        share: 10,
        name: "note on a Deployment in production",
        method: "PATCH",
        path: "/apis/apps/v1/namespaces/shop/deployments/web",
        content_type: MERGE,
        body: r#"{"metadata":{"annotations":{"example.com/looked-at":"{n}"}}}"#,
    },
    Class {
        share: 8,
        name: "restart in production",
        method: "PATCH",
        path: "/apis/apps/v1/namespaces/shop/deployments/web",
        content_type: STRATEGIC,
        body: r#"{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":"2026-01-01T00:00:{n}Z"}}}}}"#,
    },
    Class {
        share: 7,
        name: "same size again in production",
        method: "PATCH",
        path: "/apis/apps/v1/namespaces/shop/deployments/web/scale",
        content_type: MERGE,
        body: r#"{"spec":{"replicas":3}}"#,
    },
    Class {
        share: 5,
        name: "ConfigMap is created in production",
        method: "POST",
        path: "/api/v1/namespaces/shop/configmaps",
        content_type: JSON,
        body: r#"{"metadata":{"generateName":"report-"},"data":{"text":"{n}"}}"#,
    },
];

const fn read(share: u32, name: &'static str, path: &'static str) -> Class {
    Class { share, name, method: "GET", path, content_type: "", body: "" }
}

/// What became of a class.
struct Measured {
    class: &'static Class,
    direct: Vec<Duration>,
    shielded: Vec<Duration>,
    previewed: bool,
}

/// A table in Markdown.
pub(super) fn table(quick: bool) -> Result<String> {
    let testbed = testbed::build()?;
    let cluster: &'static Cluster =
        Box::leak(Box::new(Cluster::start_attached(&testbed, Nodes::None)?));
    let agent = prepare(cluster)?;
    let shield = Shield::start(cluster, &[]);
    let mut direct = Connection::open(cluster.server(), &cluster.ca())?;
    let mut shielded = Connection::open(&shield.agent_url, &shield.ca())?;
    let count = if quick { QUICK_REQUESTS } else { REQUESTS };
    let mut measured = Vec::new();
    for class in &DAY {
        let mut it = Measured { class, direct: Vec::new(), shielded: Vec::new(), previewed: false };
        let before = dry_runs(cluster, &agent)?;
        for number in 0..count {
            it.direct.push(class.send(&mut direct, &agent, 10 + 2 * number)?);
            it.shielded.push(class.send(&mut shielded, &agent, 11 + 2 * number)?);
        }
        it.previewed = match dry_runs(cluster, &agent)? - before {
            0 => false,
            probes if probes >= count => true,
            probes => bail!("{}: {probes} of {count} were previewed", class.name),
        };
        measured.push(it);
    }
    Ok(as_table(&mut measured))
}

impl Class {
    fn send(&self, to: &mut Connection, agent: &Agent, number: usize) -> Result<Duration> {
        let authorization = format!("Bearer {}", agent.token);
        let mut headers = vec![("Authorization", authorization.as_str()), ("Accept", JSON)];
        if !self.content_type.is_empty() {
            headers.push(("Content-Type", self.content_type));
        }
        // Two digits, where a time has seconds.
        let number = format!("{:02}", number % 60);
        let number =
            if self.path.ends_with("/scale") { number.trim_start_matches('0') } else { &number };
        let body = self.body.replace("{n}", if number.is_empty() { "1" } else { number });
        let started = Instant::now();
        to.request(self.method, self.path, &headers, body.as_bytes())?;
        let answer = to.answer()?;
        match answer.status {
            200 | 201 => Ok(started.elapsed()),
            status => bail!("{}: {status} {}", self.name, answer.text()),
        }
    }
}

/// Dry runs in the agent's name that the API server has had.
fn dry_runs(cluster: &Cluster, agent: &Agent) -> Result<usize> {
    let log = fs::read_to_string(cluster.dir().join("audit.log")).context("no audit log")?;
    let of_agent = format!("\"username\":\"{}\"", agent.username);
    let is = |line: &&str| {
        line.contains(&of_agent)
            && line.contains("\"stage\":\"ResponseComplete\"")
            && line.contains("dryRun=All")
    };
    Ok(log.lines().filter(is).count())
}

fn prepare(cluster: &Cluster) -> Result<Agent> {
    for (name, labels) in [("shop", json!({})), ("dev", json!({"env": "dev"}))] {
        cluster.apply(&json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels},
        }))?;
        cluster.apply(&deployment(name, "web", 3))?;
    }
    cluster.apply(&json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "settings", "namespace": "dev"}, "data": {"level": "0"},
    }))?;
    cluster.apply(&json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": "agent", "namespace": "dev"}, "spec": {"holderIdentity": "agent"},
    }))?;
    let rules = json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]);
    cluster.agent("default", "bench", &["shop", "dev"], &rules)
}

fn deployment(namespace: &str, name: &str, replicas: u32) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "c", "image": "nginx:1"}]},
            },
        },
    })
}

fn as_table(measured: &mut [Measured]) -> String {
    let mut table = "| of 1,000 | request | preview | direct p50 / p99, ms | through agent-shield | p99 added |\n\
                     |---:|---|---|---:|---:|---:|\n"
        .to_owned();
    for it in &mut *measured {
        it.direct.sort();
        it.shielded.sort();
        let preview = if it.previewed { "yes" } else { "no" };
        let (direct, shielded) = (&it.direct, &it.shielded);
        table.push_str(&format!(
            "| {} | {} | {preview} | {:.1} / {:.1} | {:.1} / {:.1} | {:+.1} |\n",
            it.class.share,
            it.class.name,
            at(direct, 50),
            at(direct, 99),
            at(shielded, 50),
            at(shielded, 99),
            at(shielded, 99) - at(direct, 99),
        ));
    }
    let all: u32 = measured.iter().map(|it| it.class.share).sum();
    let previewed: u32 = measured.iter().filter(|it| it.previewed).map(|it| it.class.share).sum();
    let share = f64::from(previewed) * 100.0 / f64::from(all);
    table.push_str(&format!("\n{share:.1} % of the requests need a preview."));
    for (what, is) in [("With a preview", true), ("Without", false)] {
        let merged = |times: fn(&Measured) -> &Vec<Duration>| {
            let of = measured.iter().filter(|it| it.previewed == is);
            let mut all: Vec<Duration> = of.flat_map(times).copied().collect();
            all.sort();
            all
        };
        let (direct, shielded) = (merged(|it| &it.direct), merged(|it| &it.shielded));
        let added = |percent| at(&shielded, percent) - at(&direct, percent);
        table.push_str(&format!(" {what}: p50 {:+.1} ms, p99 {:+.1} ms.", added(50), added(99)));
    }
    table.push('\n');
    table
}

/// A percentile of sorted times, in milliseconds.
fn at(times: &[Duration], percent: usize) -> f64 {
    load::percentile(times, percent).map_or(0.0, |time| time.as_secs_f64() * 1e3)
}
