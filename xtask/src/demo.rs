//! A cluster, an agent with narrow rights and an unmodified kubectl, and agent-shield between them.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use testkit::{Cluster, Nodes, Shield, testbed, wait_until};

use crate::root;

pub(crate) fn run(script: bool) -> Result<()> {
    let testbed = thread::spawn(testbed::build);
    let built = Command::new("cargo")
        .args(["build", "--quiet", "--package", "agent-shield"])
        .current_dir(root())
        .status()?;
    let testbed =
        testbed.join().map_err(|_| anyhow::anyhow!("building the testbed panicked"))??;
    if !built.success() {
        bail!("agent-shield does not build");
    }
    say("starting a cluster: etcd, kube-apiserver, controllers, scheduler, three nodes");
    let cluster: &'static Cluster =
        Box::leak(Box::new(Cluster::start_attached(&testbed, Nodes::Three)?));
    prepare(cluster)?;
    // The binary lies beside this one.
    let shield = Shield::start(cluster, &[]);
    let reviewer = cluster.reviewer("alice");
    say(&format!(
        "agent-shield is ready: agents at {}, reviewers at {}",
        shield.agent_url, shield.review_url
    ));

    say("the platform engineer makes an agent for payments and dev");
    let kubeconfig = make_agent(&shield, cluster)?;
    say("weeks later, in a hurry, somebody lets it do more by hand");
    let grant = ["-n", "payments", "create", "rolebinding", "hurry", "--role=namespace-owner"];
    let to_agent = "--serviceaccount=agents:release";
    kubectl(cluster, &cluster.kubeconfig(), &[grant.as_slice(), &[to_agent]].concat())?;
    operate(&shield, cluster, &["agent", "list"])?;

    say("the agent works: reads and a safe restart pass at once");
    kubectl(cluster, &kubeconfig, &["-n", "payments", "get", "pods"])?;
    let pod = cluster
        .kubectl_says(&["-n", "payments", "get", "pods", "-l", "app=web", "-o", "name"])
        .and_then(|names| names.lines().next().map(str::to_owned))
        .context("no pod runs")?;
    kubectl(cluster, &kubeconfig, &["-n", "payments", "logs", &pod, "--tail", "3"])?;
    kubectl(cluster, &kubeconfig, &["-n", "payments", "rollout", "restart", "deployment", "web"])?;

    say("and then it goes wrong: kubectl delete namespace payments");
    let delete = ["delete", "namespace", "payments"];
    let decide = |verb: &str, id: &str, reason: &str| decide(&shield, &reviewer, verb, id, reason);
    held(cluster, &shield, &kubeconfig, &reviewer, &delete, |id| match script {
        true => decide("deny", id, "payments is production; wrong namespace"),
        false => Ok(()),
    })?;
    if script {
        say("another one, which a reviewer agrees with: kubectl delete deployment api");
        let delete = ["-n", "payments", "delete", "deployment", "api"];
        held(cluster, &shield, &kubeconfig, &reviewer, &delete, |id| {
            decide("approve", id, "api is retired")
        })?;
        let deployment = "/apis/apps/v1/namespaces/payments/deployments/api";
        if cluster.get("/api/v1/namespaces/payments").is_none() || cluster.get(deployment).is_some()
        {
            bail!("what was denied is gone, or what was approved is there");
        }
    }
    say("the timeline");
    let status = shield.cli(&reviewer).args(["timeline", "--writes"]).status()?;
    if !status.success() {
        bail!("the timeline cannot be read");
    }
    Ok(())
}

/// Runs a command of the agent that is held, and waits for its end.
fn held(
    cluster: &Cluster,
    shield: &Shield,
    kubeconfig: &Path,
    reviewer: &Path,
    args: &[&str],
    decide: impl FnOnce(&str) -> Result<()>,
) -> Result<()> {
    let mut child = cluster.kubectl_as(kubeconfig).args(args).spawn()?;
    let hold = shield.hold(reviewer, &args.join(" "), |hold| hold["state"] == "pending");
    let id = hold["id"].as_str().unwrap_or_default();
    let cli = format!(
        "{} --server {} --ca {} --kubeconfig {}",
        root().join("target/debug/agent-shield").display(),
        shield.review_url,
        shield.ca().display(),
        reviewer.display()
    );
    say(&format!(
        "it waits. A reviewer, in another terminal:\n\n  {cli} show {id}\n  {cli} approve {id} --reason '…'\n  {cli} deny {id} --reason '…'\n"
    ));
    let status = shield.cli(reviewer).args(["show", id]).status()?;
    if !status.success() {
        bail!("the hold cannot be shown");
    }
    println!();
    decide(id)?;
    let status = wait_until(Duration::from_secs(40 * 60), "somebody has decided", || {
        child.try_wait().ok().flatten()
    });
    say(&format!("kubectl ended with {status}"));
    Ok(())
}

/// A deployer at home in `agents`.
fn make_agent(shield: &Shield, cluster: &Cluster) -> Result<PathBuf> {
    let out = shield.data_dir().join("release.yaml");
    let file = out.display().to_string();
    let agent = ["agent", "create", "release", "--namespaces", "payments,dev", "--home", "agents"];
    let rest = ["--preset", "deployer", "--out", &file];
    operate(shield, cluster, &[agent.as_slice(), &rest].concat())?;
    Ok(out)
}

fn operate(shield: &Shield, cluster: &Cluster, args: &[&str]) -> Result<()> {
    println!("$ agent-shield {}", args.join(" "));
    let status = shield.operator(&cluster.kubeconfig()).args(args).status()?;
    if !status.success() {
        bail!("agent-shield {} failed", args.join(" "));
    }
    Ok(())
}

fn decide(shield: &Shield, reviewer: &Path, verb: &str, id: &str, reason: &str) -> Result<()> {
    say(&format!("alice: agent-shield {verb} {id} --reason '{reason}'"));
    shield.decide(reviewer, verb, id, reason).map_err(|error| anyhow::anyhow!(error))
}

/// `payments` in production with all that the mission names, `dev`, and a home for agents.
fn prepare(cluster: &Cluster) -> Result<()> {
    let namespace = |name: &str, env: &str| {
        json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": name, "labels": {"env": env}},
        })
    };
    let items = [
        namespace("agents", "production"),
        namespace("payments", "production"),
        namespace("dev", "dev"),
        workload("Deployment", "payments", "web", 5),
        workload("Deployment", "payments", "api", 3),
        workload("StatefulSet", "payments", "db", 2),
        workload("Deployment", "dev", "web", 2),
        json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": {"name": "ledger", "namespace": "payments"},
            "spec": {
                "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}},
            },
        }),
        json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": "psp-credentials", "namespace": "payments"},
            "stringData": {"api-key": "not-a-real-key"},
        }),
        // A Role may name its own Namespace; no preset lets an agent delete one.
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
            "metadata": {"name": "namespace-owner", "namespace": "payments"},
            "rules": [{
                "apiGroups": [""], "resources": ["namespaces"], "verbs": ["get", "watch", "delete"],
            }],
        }),
    ];
    cluster.apply(&json!({"apiVersion": "v1", "kind": "List", "items": items}))?;
    wait_until(Duration::from_secs(60), "the pods of payments run", || {
        let pods = cluster.get("/api/v1/namespaces/payments/pods")?;
        let running = |pod: &&Value| pod["status"]["phase"] == "Running";
        (pods["items"].as_array()?.iter().filter(running).count() == 10).then_some(())
    });
    Ok(())
}

fn workload(kind: &str, namespace: &str, name: &str, replicas: u32) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": name, "image": format!("registry.example/{name}:1")}]},
            },
        },
    })
}

fn kubectl(cluster: &Cluster, kubeconfig: &Path, args: &[&str]) -> Result<()> {
    println!("$ kubectl {}", args.join(" "));
    let status = cluster.kubectl_as(kubeconfig).args(args).stdout(Stdio::inherit()).status()?;
    if !status.success() {
        bail!("kubectl {} failed: it should have passed", args.join(" "));
    }
    Ok(())
}

fn say(text: &str) {
    println!("\n== {text}");
    let _ = std::io::stdout().flush();
}
