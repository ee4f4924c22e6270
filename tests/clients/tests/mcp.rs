//! Two MCP servers by which language models work on Kubernetes, driven by the official TypeScript SDK: what
//! each tool says is the same through agent-shield as directly, once a person has approved what is held.
//!
//! Reads are asked of the same objects; writes are made in two places that differ by name alone. In a third
//! place everything that is held is denied.

use std::{
    collections::BTreeSet,
    env, fs,
    io::{self, BufRead, BufReader, Write},
    path::PathBuf,
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use clients::{Place, REASON, Stage, install, kubelet::Kubelet, plain::is_passing};
use serde_json::{Value, json};
use testkit::base64;

const TIME_MAX: Duration = Duration::from_secs(180);
/// Controllers have written what they write of young objects.
const SETTLED_WITHIN: Duration = Duration::from_secs(10);
/// What is asked again: a port-forward is given 5 s by its tool, which may be less than a decision takes on
/// a busy machine; and a controller may have written between a tool's read and its write.
const ASKED_AGAIN: [&str; 2] =
    ["port-forwarding failed - no success message received", "the object has been modified"];
const LOOK_AFTER: Duration = Duration::from_millis(500);

/// Whether a person is asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Held {
    Yes,
    /// What is under the tool does not tell it why it failed, or that it did: helm's uninstall says which
    /// release remains, kubectl's cordon ends as if it had succeeded, whatever the API server answers.
    Quietly,
    No,
}
use Held::{No, Quietly, Yes};

/// One MCP server.
struct Server {
    /// Its npm package, and its command.
    name: &'static str,
    args: &'static [&'static str],
    /// Calls that change nothing: a tool and its arguments. `{ns}` is the namespace, `{n}` its node,
    /// `{kubelet}` a node whose kubelet serves pages.
    reads: &'static [(&'static str, &'static str)],
    /// Reads that agent-shield denies, by design.
    denied: &'static [(&'static str, &'static str)],
    /// Calls that change something, in this order. `{ns}` is in production, `{ns}-dev` is not, `{chart}` is
    /// a chart and `kept` a release of it in `{ns}`.
    writes: &'static [(&'static str, &'static str, Held)],
}

const KUBERNETES_MCP_SERVER: Server = Server {
    name: "kubernetes-mcp-server",
    args: &["--toolsets", "core,config,helm"],
    reads: &[
        ("configuration_view", "{}"),
        ("events_list", r#"{"namespace": "{ns}"}"#),
        ("helm_list", r#"{"namespace": "{ns}"}"#),
        ("namespaces_list", "{}"),
        ("nodes_stats_summary", r#"{"name": "{kubelet}"}"#),
        ("nodes_stats_summary", r#"{"name": "nope"}"#),
        ("nodes_top", "{}"),
        ("nodes_top", r#"{"name": "n1"}"#),
        ("pods_get", r#"{"namespace": "{ns}", "name": "web"}"#),
        ("pods_get", r#"{"namespace": "{ns}", "name": "nope"}"#),
        ("pods_list", r#"{"labelSelector": "app=bare"}"#),
        ("pods_list_in_namespace", r#"{"namespace": "{ns}"}"#),
        ("pods_log", r#"{"namespace": "{ns}", "name": "web"}"#),
        ("pods_log", r#"{"namespace": "{ns}", "name": "web", "tail": 3}"#),
        ("pods_top", r#"{"namespace": "{ns}", "all_namespaces": false}"#),
        (
            "resources_get",
            r#"{"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "{ns}", "name": "web"}"#,
        ),
        ("projects_list", "{}"),
        ("resources_get", r#"{"apiVersion": "v1", "kind": "Node", "name": "{n}"}"#),
        ("resources_get", r#"{"apiVersion": "v1", "kind": "Nope", "name": "nope"}"#),
        (
            "resources_list",
            r#"{"apiVersion": "apps/v1", "kind": "ReplicaSet", "namespace": "{ns}"}"#,
        ),
        (
            "resources_scale",
            r#"{"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "{ns}", "name": "web"}"#,
        ),
    ],
    denied: &[("nodes_log", r#"{"name": "{kubelet}", "query": "kubelet"}"#)],
    writes: &[
        (
            "resources_create_or_update",
            r#"{"resource": "{apiVersion: v1, kind: ConfigMap, metadata: {name: made, namespace: {ns}}, data: {a: b}}"}"#,
            No,
        ),
        (
            "resources_create_or_update",
            r#"{"resource": "{apiVersion: v1, kind: ConfigMap, metadata: {name: made, namespace: {ns}}, data: {a: b, c: d}}"}"#,
            No,
        ),
        (
            "resources_create_or_update",
            r#"{"resource": "{apiVersion: v1, kind: ConfigMap, metadata: {name: made, namespace: {ns}}, data: {a: other, c: d}}"}"#,
            Yes,
        ),
        (
            "resources_create_or_update",
            r#"{"resource": "{apiVersion: v1, kind: Service, metadata: {name: web, namespace: {ns}}, spec: {selector: {app: web}, ports: [{port: 80}]}}"}"#,
            Yes,
        ),
        ("pods_run", r#"{"namespace": "{ns}-dev", "name": "ran", "image": "nginx:1.25"}"#, No),
        ("pods_run", r#"{"namespace": "{ns}", "name": "ran", "image": "nginx:1.25"}"#, Yes),
        (
            "resources_scale",
            r#"{"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "{ns}", "name": "web", "scale": 5}"#,
            No,
        ),
        (
            "resources_scale",
            r#"{"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "{ns}", "name": "web", "scale": 0}"#,
            Yes,
        ),
        ("pods_exec", r#"{"namespace": "{ns}", "name": "web", "command": ["echo", "hello"]}"#, Yes),
        ("helm_install", r#"{"chart": "{chart}", "name": "mine", "namespace": "{ns}-dev"}"#, No),
        ("helm_install", r#"{"chart": "{chart}", "name": "mine", "namespace": "{ns}"}"#, Yes),
        ("helm_uninstall", r#"{"name": "kept", "namespace": "{ns}"}"#, Quietly),
        ("helm_list", r#"{"namespace": "{ns}-dev"}"#, No),
        ("pods_delete", r#"{"namespace": "{ns}", "name": "web"}"#, Yes),
        (
            "resources_delete",
            r#"{"apiVersion": "v1", "kind": "ConfigMap", "namespace": "{ns}", "name": "made"}"#,
            Yes,
        ),
        (
            "resources_delete",
            r#"{"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "{ns}", "name": "web"}"#,
            Yes,
        ),
        (
            "resources_delete",
            r#"{"apiVersion": "v1", "kind": "ConfigMap", "namespace": "{ns}", "name": "nope"}"#,
            No,
        ),
    ],
};

const MCP_SERVER_KUBERNETES: Server = Server {
    name: "mcp-server-kubernetes",
    args: &[],
    reads: &[
        ("ping", "{}"),
        ("kubectl_get", r#"{"resourceType": "pods", "namespace": "{ns}"}"#),
        (
            "kubectl_get",
            r#"{"resourceType": "pods", "name": "web", "namespace": "{ns}", "output": "yaml"}"#,
        ),
        (
            "kubectl_get",
            r#"{"resourceType": "deployments", "namespace": "{ns}", "output": "wide"}"#,
        ),
        ("kubectl_get", r#"{"resourceType": "nodes", "output": "custom"}"#),
        ("kubectl_get", r#"{"resourceType": "events", "namespace": "{ns}"}"#),
        ("kubectl_get", r#"{"resourceType": "secrets", "namespace": "{ns}", "output": "json"}"#),
        ("kubectl_get", r#"{"resourceType": "pods", "name": "nope", "namespace": "{ns}"}"#),
        ("kubectl_get", r#"{"resourceType": "nosuchkind", "namespace": "{ns}"}"#),
        ("kubectl_describe", r#"{"resourceType": "pods", "name": "web", "namespace": "{ns}"}"#),
        ("kubectl_describe", r#"{"resourceType": "node", "name": "{n}"}"#),
        (
            "kubectl_logs",
            r#"{"resourceType": "pod", "name": "web", "namespace": "{ns}", "tail": 3}"#,
        ),
        (
            "kubectl_logs",
            r#"{"resourceType": "deployment", "name": "web", "namespace": "{ns}", "tail": 1}"#,
        ),
        (
            "kubectl_rollout",
            r#"{"subCommand": "status", "resourceType": "deployment", "name": "web", "namespace": "{ns}"}"#,
        ),
        (
            "kubectl_rollout",
            r#"{"subCommand": "history", "resourceType": "deployment", "name": "web", "namespace": "{ns}"}"#,
        ),
        ("kubectl_context", r#"{"operation": "list"}"#),
        ("kubectl_context", r#"{"operation": "get"}"#),
        ("kubectl_reconnect", "{}"),
        ("explain_resource", r#"{"resource": "deployment.spec.strategy"}"#),
        ("list_api_resources", "{}"),
        ("list_api_resources", r#"{"apiGroup": "apps", "output": "name"}"#),
        ("kubectl_generic", r#"{"command": "top", "resourceType": "nodes"}"#),
        (
            "kubectl_generic",
            r#"{"command": "auth", "subCommand": "can-i", "args": ["delete", "pods"]}"#,
        ),
        ("kubectl_generic", r#"{"command": "get", "flags": {"raw": "{proxy}/stats/summary"}}"#),
        ("kubectl_generic", r#"{"command": "get", "flags": {"raw": "{proxy}/metrics"}}"#),
        ("kubectl_generic", r#"{"command": "get", "flags": {"raw": "{proxy}/metrics/cadvisor"}}"#),
        ("kubectl_generic", r#"{"command": "get", "flags": {"raw": "{proxy}/metrics/resource"}}"#),
        ("kubectl_generic", r#"{"command": "get", "flags": {"raw": "{proxy}/metrics/probes"}}"#),
        ("kubectl_generic", r#"{"command": "get", "flags": {"raw": "{proxy}/healthz"}}"#),
        ("kubectl_generic", r#"{"command": "get", "flags": {"raw": "{proxy}/configz"}}"#),
        ("kubectl_generic", r#"{"command": "get", "flags": {"raw": "{proxy}/pods"}}"#),
        ("kubectl_generic", r#"{"command": "get", "flags": {"raw": "{proxy}/runningpods/"}}"#),
        (
            "kubectl_generic",
            r#"{"command": "get", "flags": {"raw": "{proxy}/containerLogs/{ns}/web/c?tailLines=3"}}"#,
        ),
    ],
    denied: &[
        ("kubectl_generic", r#"{"command": "get", "flags": {"raw": "{proxy}/logs/"}}"#),
        (
            "kubectl_generic",
            r#"{"command": "get", "flags": {"raw": "{proxy}/logs/?query=kubelet"}}"#,
        ),
        ("kubectl_generic", r#"{"command": "get", "flags": {"raw": "{proxy}/debug/pprof/"}}"#),
    ],
    writes: &[
        (
            "kubectl_create",
            r#"{"resourceType": "configmap", "name": "made", "namespace": "{ns}", "fromLiteral": ["a=b"]}"#,
            No,
        ),
        (
            "kubectl_create",
            r#"{"resourceType": "configmap", "name": "made", "namespace": "{ns}", "fromLiteral": ["a=b"]}"#,
            No,
        ),
        (
            "kubectl_create",
            r#"{"resourceType": "deployment", "name": "made", "namespace": "{ns}-dev", "image": "nginx:1.25"}"#,
            No,
        ),
        (
            "kubectl_create",
            r#"{"resourceType": "deployment", "name": "made", "namespace": "{ns}", "image": "nginx:1.25"}"#,
            Yes,
        ),
        (
            "kubectl_apply",
            r#"{"manifest": "{apiVersion: v1, kind: ConfigMap, metadata: {name: map}, data: {k: v}}", "namespace": "{ns}"}"#,
            No,
        ),
        (
            "kubectl_apply",
            r#"{"manifest": "{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {selector: {app: web}, ports: [{port: 80}]}}", "namespace": "{ns}"}"#,
            Yes,
        ),
        (
            "kubectl_patch",
            r#"{"resourceType": "deployment", "name": "web", "namespace": "{ns}", "patchData": {"metadata": {"annotations": {"note": "hello"}}}}"#,
            No,
        ),
        (
            "kubectl_patch",
            r#"{"resourceType": "deployment", "name": "web", "namespace": "{ns}", "patchData": {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "nginx:1.26"}]}}}}}"#,
            Yes,
        ),
        ("kubectl_scale", r#"{"name": "web", "namespace": "{ns}", "replicas": 5}"#, No),
        (
            "kubectl_rollout",
            r#"{"subCommand": "restart", "resourceType": "deployment", "name": "web", "namespace": "{ns}"}"#,
            No,
        ),
        (
            "kubectl_rollout",
            r#"{"subCommand": "pause", "resourceType": "deployment", "name": "web", "namespace": "{ns}"}"#,
            No,
        ),
        ("kubectl_scale", r#"{"name": "web", "namespace": "{ns}", "replicas": 0}"#, Yes),
        (
            "exec_in_pod",
            r#"{"name": "web", "namespace": "{ns}", "command": ["echo", "hello"], "timeout": 170000}"#,
            Yes,
        ),
        (
            "port_forward",
            r#"{"resourceType": "pod", "resourceName": "web", "localPort": 0, "targetPort": 80, "namespace": "{ns}"}"#,
            Yes,
        ),
        (
            "install_helm_chart",
            r#"{"chart": "{chart}", "name": "mine", "namespace": "{ns}-dev"}"#,
            No,
        ),
        ("install_helm_chart", r#"{"chart": "{chart}", "name": "mine", "namespace": "{ns}"}"#, Yes),
        (
            "upgrade_helm_chart",
            r#"{"chart": "{chart}", "name": "kept", "namespace": "{ns}", "values": {"image": "nginx:1.26"}}"#,
            Yes,
        ),
        ("uninstall_helm_chart", r#"{"name": "kept", "namespace": "{ns}"}"#, Quietly),
        (
            "node_management",
            r#"{"operation": "drain", "nodeName": "{n}", "force": true, "confirmDrain": true}"#,
            Yes,
        ),
        ("node_management", r#"{"operation": "uncordon", "nodeName": "{n}"}"#, No),
        ("node_management", r#"{"operation": "cordon", "nodeName": "{n}"}"#, Quietly),
        ("node_management", r#"{"operation": "uncordon", "nodeName": "{n}"}"#, No),
        ("kubectl_delete", r#"{"resourceType": "pod", "name": "web", "namespace": "{ns}"}"#, Yes),
        (
            "kubectl_delete",
            r#"{"resourceType": "deployment", "name": "web", "namespace": "{ns}"}"#,
            Yes,
        ),
        (
            "kubectl_delete",
            r#"{"resourceType": "deployment", "name": "nope", "namespace": "{ns}"}"#,
            No,
        ),
        (
            "kubectl_generic",
            r#"{"command": "delete", "resourceType": "configmap", "name": "made", "namespace": "{ns}"}"#,
            Yes,
        ),
        (
            "kubectl_generic",
            r#"{"command": "label", "args": ["configmap", "map", "team=b"], "namespace": "{ns}"}"#,
            No,
        ),
        ("stop_port_forward", r#"{"id": "pod-web-0"}"#, No),
        ("stop_port_forward", r#"{"id": "nope"}"#, No),
        ("cleanup", "{}", No),
    ],
};

const CHART: &str = "apiVersion: v2\nname: shop\nversion: 0.1.0\n";
const TEMPLATE: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata: {name: {{ .Release.Name }}, namespace: {{ .Release.Namespace }}}
spec:
  selector: {matchLabels: {app: {{ .Release.Name }}}}
  template:
    metadata: {labels: {app: {{ .Release.Name }}}}
    spec: {containers: [{name: c, image: {{ .Values.image | quote }}}]}
";

/// A stage with what the servers' tools need besides.
struct Tools {
    stage: Stage,
    server: &'static Server,
    kubelet: Kubelet,
    chart: PathBuf,
    /// Behind agent-shield; what is held of it is approved.
    approved: Place,
}

impl Tools {
    fn new(server: &'static Server) -> Self {
        let stage = Stage::new("mcp");
        let chart = stage.scene.shield.data_dir().join("chart");
        fs::create_dir_all(chart.join("templates")).expect("a chart");
        fs::write(chart.join("Chart.yaml"), CHART).expect("a chart");
        fs::write(chart.join("values.yaml"), "image: nginx:1.25\n").expect("values");
        fs::write(chart.join("templates/shop.yaml"), TEMPLATE).expect("a template");
        let kubelet = Kubelet::start(stage.scene.cluster);
        let approved = stage.fresh();
        let tools = Self { stage, server, kubelet, chart, approved };
        for place in tools.places() {
            tools.furnish(place);
        }
        tools
    }

    /// Directly, approved and denied.
    fn places(&self) -> [&Place; 3] {
        [&self.stage.direct, &self.approved, &self.stage.shielded]
    }

    fn furnish(&self, place: &Place) {
        let cluster = self.stage.scene.cluster;
        cluster.apply(&cluster::namespace(&format!("{}-dev", place.namespace), "dev")).expect("it");
        let mut helm = Command::new(cluster.program("helm"));
        helm.env("KUBECONFIG", cluster.kubeconfig())
            .env("HOME", self.stage.scene.shield.data_dir());
        helm.args(["install", "kept", "--namespace", &place.namespace]).arg(&self.chart);
        let output = helm.output().expect("helm");
        assert!(output.status.success(), "{}", clients::said(&output));
    }

    /// Starts the server in a place, by the kubeconfig of another.
    fn session(&self, through: &Place) -> Session {
        let mut command = install::mcp(self.server.name).expect("the server");
        let programs = self.stage.scene.cluster.program("kubectl");
        let programs = programs.parent().expect("a folder").display().to_string();
        let path = env::var("PATH").unwrap_or_default();
        command.args(self.server.args).env("PATH", format!("{programs}:{path}"));
        Session::new(self.stage.start_with(through, Stdio::piped(), command))
    }

    fn arguments(&self, place: &Place, arguments: &str) -> Value {
        let text = arguments
            .replace("{proxy}", "/api/v1/nodes/{kubelet}/proxy")
            .replace("{kubelet}", &self.kubelet.node)
            .replace("{ns}", &place.namespace)
            .replace("{n}", &place.node)
            .replace("{chart}", &self.chart.display().to_string());
        serde_json::from_str(&text).expect("JSON")
    }

    /// What a tool said, without what is another in each place and moment.
    fn plain(&self, result: &Value) -> String {
        let mut text = format!("isError {}\n", result["isError"] == true);
        let places = self.places();
        let mut told = told(result);
        // The servers show the kubeconfig that they have.
        for ca in [self.stage.scene.cluster.ca(), self.stage.scene.shield.ca()] {
            told = told.replace(&base64(&fs::read(ca).expect("a CA")), "CA");
        }
        for line in told.lines().filter(|line| !is_passing(line)) {
            text.push_str(&format!("{}\n", self.stage.plain_line(&places, line)));
        }
        text
    }

    /// Every tool that there is, is called.
    fn check_known(&self, tools: &[String]) {
        let Server { reads, denied, writes, .. } = self.server;
        let read = reads.iter().chain(*denied).map(|(tool, _)| *tool);
        let known: BTreeSet<&str> = read.chain(writes.iter().map(|(tool, ..)| *tool)).collect();
        let there: BTreeSet<&str> = tools.iter().map(String::as_str).collect();
        assert_eq!(known, there, "the tools of {}", self.server.name);
    }

    fn check_reads(&self) {
        let place = &self.stage.direct;
        let [mut direct, mut through] = [place, &self.stage.shielded].map(|it| self.session(it));
        self.check_known(&direct.tools);
        assert_eq!(direct.tools, through.tools);
        let mut wrong = Vec::new();
        for (tool, arguments) in self.server.reads {
            let call = json!({"name": tool, "arguments": self.arguments(place, arguments)});
            let mut read =
                || [&mut direct, &mut through].map(|it| self.plain(&it.call(&call, &mut || ())));
            let [mut theirs, mut ours] = read();
            let started = Instant::now();
            while theirs != ours && started.elapsed() < SETTLED_WITHIN {
                [theirs, ours] = read();
            }
            if theirs != ours {
                wrong.push(format!("{call}:\n--- directly\n{theirs}\n--- shielded\n{ours}"));
            }
        }
        for (tool, arguments) in self.server.denied {
            let call = json!({"name": tool, "arguments": self.arguments(place, arguments)});
            let theirs = direct.call(&call, &mut || ());
            assert!(theirs["isError"] != true, "{call}: directly: {theirs}");
            let reached = self.kubelet.asked().len();
            let ours = through.call(&call, &mut || ());
            if ours["isError"] != true || !told(&ours).contains("proxy-to-node") {
                wrong.push(format!("{call}: not denied: {ours}"));
            }
            assert_eq!(self.kubelet.asked().len(), reached, "{call}: it reached the kubelet");
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    /// What is not as before in a place, of what the held calls would have changed.
    fn changed(&self, place: &Place) -> Vec<String> {
        let Place { namespace: ns, node, .. } = place;
        let apps = format!("/apis/apps/v1/namespaces/{ns}/deployments");
        let pods = format!("/api/v1/namespaces/{ns}/pods");
        [
            // Scaled up, which passes.
            (format!("{apps}/web"), "/spec/replicas", json!(5)),
            (format!("{apps}/web"), "/spec/template/spec/containers/0/image", json!("nginx:1.25")),
            (format!("{apps}/kept"), "/spec/template/spec/containers/0/image", json!("nginx:1.25")),
            (format!("{apps}/mine"), "", Value::Null),
            (format!("{apps}/made"), "", Value::Null),
            (format!("{pods}/web"), "/metadata/deletionTimestamp", Value::Null),
            (format!("{pods}/web"), "/spec/nodeName", json!("n1")),
            (format!("{pods}/leaving"), "/spec/nodeName", json!(node)),
            (format!("{pods}/ran"), "", Value::Null),
            (format!("/api/v1/namespaces/{ns}/services/web"), "", Value::Null),
            (format!("/api/v1/namespaces/{ns}/configmaps/made"), "/data/a", json!("b")),
            (format!("/api/v1/nodes/{node}"), "/spec/unschedulable", Value::Null),
        ]
        .into_iter()
        .filter_map(|(object, path, before)| {
            let object_now = self.stage.scene.cluster.get(&object).unwrap_or_default();
            let now = object_now.pointer(path).cloned().unwrap_or_default();
            (now != before).then(|| format!("{object}{path}: {now} instead of {before}"))
        })
        .collect()
    }

    fn check_writes(&self) {
        let places = self.places();
        let [mut direct, mut approved, mut denied] = places.map(|it| self.session(it));
        let mut wrong = Vec::new();
        for (tool, arguments, held) in self.server.writes {
            let [theirs, ours, refused] =
                places.map(|it| json!({"name": tool, "arguments": self.arguments(it, arguments)}));
            let call = theirs.clone();
            let theirs = self.plain(&direct.call(&theirs, &mut || ()));
            let mut holds = Vec::new();
            let ours = approved.call(&ours, &mut || {
                self.stage.decide_all(&self.approved, "approve", &mut holds);
            });
            let ours = self.plain(&ours);
            if theirs != ours {
                wrong.push(format!("{call}:\n--- directly\n{theirs}\n--- shielded\n{ours}"));
            }
            if holds.is_empty() != (*held == No) {
                let rules: Vec<&Value> = holds.iter().map(|it| &it["rules"]).collect();
                wrong.push(format!("{call}: {held:?} expected, held: {rules:?}"));
            }
            let refused = denied.call(&refused, &mut || {
                self.stage.decide_all(&self.stage.shielded, "deny", &mut Vec::new());
            });
            if *held != No && told(&refused).contains(REASON) != (*held == Yes) {
                wrong.push(format!("{call}: denied, {held:?}: {refused}"));
            }
        }
        wrong.extend(self.changed(&self.stage.shielded));
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

/// All that a tool says, to a person and to a program.
fn told(result: &Value) -> String {
    let texts = result["content"].as_array().into_iter().flatten();
    let mut told: Vec<String> =
        texts.map(|it| it["text"].as_str().unwrap_or("not a text").to_owned()).collect();
    if !result["structuredContent"].is_null() {
        told.push(serde_json::to_string_pretty(&result["structuredContent"]).expect("JSON"));
    }
    told.join("\n")
}

/// A running server, asked through the SDK.
struct Session {
    child: Child,
    calls: ChildStdin,
    results: Receiver<Value>,
    tools: Vec<String>,
}

impl Session {
    fn new(mut child: Child) -> Self {
        let calls = child.stdin.take().expect("its input");
        let output = BufReader::new(child.stdout.take().expect("its output"));
        let mut errors = child.stderr.take().expect("its errors");
        // They must be read, or it stops.
        thread::spawn(move || io::copy(&mut errors, &mut io::sink()));
        let (into, results) = mpsc::channel();
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let _ = into.send(serde_json::from_str(&line).expect("JSON"));
            }
        });
        let mut session = Self { child, calls, results, tools: Vec::new() };
        let tools = session.result(&mut || ());
        let tools = tools.as_array().expect("names").iter();
        session.tools = tools.map(|it| it.as_str().expect("a name").to_owned()).collect();
        session
    }

    /// The result of a call; meanwhile, somebody else may do something.
    fn call(&mut self, call: &Value, meanwhile: &mut dyn FnMut()) -> Value {
        let started = Instant::now();
        loop {
            writeln!(self.calls, "{call}").expect("a call");
            let result = self.result(meanwhile);
            let said = told(&result);
            let again = ASKED_AGAIN.iter().any(|it| said.contains(it));
            if !again || started.elapsed() > TIME_MAX {
                return result;
            }
        }
    }

    fn result(&mut self, meanwhile: &mut dyn FnMut()) -> Value {
        let started = Instant::now();
        loop {
            match self.results.recv_timeout(LOOK_AFTER) {
                Ok(result) => return result,
                Err(RecvTimeoutError::Timeout) => meanwhile(),
                Err(RecvTimeoutError::Disconnected) => panic!("it ended: {:?}", self.child.wait()),
            }
            assert!(started.elapsed() < TIME_MAX, "no result");
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn check(server: &'static Server) {
    let tools = Tools::new(server);
    tools.check_reads();
    tools.check_writes();
}

#[test]
#[ignore = "installs what it needs: `cargo xtask test --full`"]
fn the_tools_of_kubernetes_mcp_server_work_as_they_do_directly() {
    check(&KUBERNETES_MCP_SERVER);
}

#[test]
#[ignore = "installs what it needs: `cargo xtask test --full`"]
fn the_tools_of_mcp_server_kubernetes_work_as_they_do_directly() {
    check(&MCP_SERVER_KUBERNETES);
}
