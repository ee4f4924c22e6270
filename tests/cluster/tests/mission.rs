//! Each bullet of the mission by its users' own commands: they work directly, and are held through
//! agent-shield; denied, they never run and say why; approved, they run.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::Duration,
};

use cluster::{Scene, list, namespace};
use serde_json::{Value, json};
use testkit::wait_until;

const TIME_MAX: Duration = Duration::from_secs(90);
/// Commands that run side by side: each is a kubectl of its own.
const SIDE_BY_SIDE: usize = 6;

/// One command, and what shows that it ran. `{n}` is the object, `{ns}` its namespace.
#[derive(Clone)]
struct Route {
    what: String,
    command: String,
    /// Path of the object to look at.
    object: String,
    done: fn(Option<&Value>) -> bool,
    /// What the client says of a denial.
    denial: &'static str,
}

/// The reviewer's reason, which is part of every denial.
const REASON: &str = "as the drill says";

fn route(command: &str, object: &str, done: fn(Option<&Value>) -> bool) -> Route {
    let (what, command, object) = (command.to_owned(), command.to_owned(), object.to_owned());
    Route { what, command, object, done, denial: REASON }
}

fn gone(object: Option<&Value>) -> bool {
    object.is_none_or(|it| it["metadata"]["deletionTimestamp"].is_string())
}

fn there(object: Option<&Value>) -> bool {
    object.is_some()
}

fn few(object: Option<&Value>) -> bool {
    object.is_some_and(|it| it["spec"]["replicas"].as_u64().is_some_and(|it| it < 2))
}

fn cordoned(object: Option<&Value>) -> bool {
    object.is_some_and(|it| it["spec"]["unschedulable"] == true)
}

fn tainted(object: Option<&Value>) -> bool {
    object.is_some_and(|it| it["spec"]["taints"].to_string().contains("maintenance"))
}

fn evil(object: Option<&Value>) -> bool {
    object.is_some_and(|it| it["spec"].to_string().contains("evil:1"))
}

/// The limit that every route below sets somewhere.
fn limited(object: Option<&Value>) -> bool {
    object.is_some_and(|it| it["spec"].to_string().contains("33m"))
}

fn marked(object: Option<&Value>) -> bool {
    object.is_some_and(|it| it["metadata"].to_string().contains("\"mark\""))
}

fn unprotected(object: Option<&Value>) -> bool {
    object.is_some_and(|it| it["metadata"]["labels"]["agent-shield.io/protected"].is_null())
}

const APPS: &str = "/apis/apps/v1/namespaces/{ns}";
const CORE: &str = "/api/v1/namespaces/{ns}";

fn deletes() -> Vec<Route> {
    let mut routes = Vec::new();
    for (kind, prefix, resource) in [
        ("deployment", APPS, "deployments"),
        ("statefulset", APPS, "statefulsets"),
        ("pvc", CORE, "persistentvolumeclaims"),
        ("secret", CORE, "secrets"),
    ] {
        let object = format!("{prefix}/{resource}/{{n}}");
        for command in [
            format!("kubectl -n {{ns}} delete {kind} {{n}} --wait=false"),
            format!("kubectl -n {{ns}} delete {kind} -l app={{n}} --wait=false"),
            format!("kubectl delete --raw {object}"),
        ] {
            routes.push(route(&command, &object, gone));
        }
    }
    let object = "/api/v1/namespaces/{n}";
    for command in [
        "kubectl delete namespace {n} --wait=false",
        "kubectl delete --raw /api/v1/namespaces/{n}",
        "kubectl get namespace {n} -o json | kubectl delete --wait=false -f -",
    ] {
        routes.push(route(command, object, gone));
    }
    routes
}

fn scalings() -> Vec<Route> {
    let deployment = format!("{APPS}/deployments/{{n}}");
    let in_deployment = |command: &str| route(command, &deployment, few);
    vec![
        in_deployment("kubectl -n {ns} scale deployment {n} --replicas=0"),
        in_deployment("kubectl -n {ns} scale deployment {n} --current-replicas=4 --replicas=1"),
        in_deployment(r#"kubectl -n {ns} patch deployment {n} -p '{"spec":{"replicas":1}}'"#),
        in_deployment(
            r#"kubectl -n {ns} patch deployment {n} --subresource=scale --type=merge -p '{"spec":{"replicas":1}}'"#,
        ),
        in_deployment(
            r#"kubectl -n {ns} get deployment {n} -o json | sed 's/"replicas": 4/"replicas": 0/; /resourceVersion/d' | kubectl replace -f -"#,
        ),
        in_deployment(
            "KUBE_EDITOR=\"sed -i 's/replicas: 4/replicas: 1/'\" kubectl -n {ns} edit deployment {n}",
        ),
        Route {
            // It keeps the server's words to itself, and tries the older API.
            denial: "failed to create autoscaling/v2 HPA",
            ..route(
                "kubectl -n {ns} autoscale deployment {n} --min=1 --max=1",
                "/apis/autoscaling/v2/namespaces/{ns}/horizontalpodautoscalers/{n}",
                there,
            )
        },
        route(
            "kubectl -n {ns} scale statefulset {n} --replicas=0",
            &format!("{APPS}/statefulsets/{{n}}"),
            few,
        ),
    ]
}

fn nodes() -> Vec<Route> {
    let node = "/api/v1/nodes/{n}";
    vec![
        route("kubectl cordon {n}", node, cordoned),
        route("kubectl drain {n} --ignore-daemonsets --force", node, cordoned),
        route(r#"kubectl patch node {n} -p '{"spec":{"unschedulable":true}}'"#, node, cordoned),
        route("kubectl taint nodes {n} maintenance=yes:NoExecute", node, tainted),
        route(
            r#"kubectl patch node {n} --type=merge -p '{"spec":{"taints":[{"key":"maintenance","effect":"NoExecute"}]}}'"#,
            node,
            tainted,
        ),
        route("kubectl delete node {n} --wait=false", node, gone),
        route("kubectl delete --raw /api/v1/nodes/{n}", node, gone),
        route("kubectl delete nodes -l app={n} --wait=false", node, gone),
        route(
            r#"printf '{"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":"{n}"}}' | kubectl create --raw /api/v1/namespaces/{ns}/pods/{n}/eviction -f -"#,
            "/api/v1/namespaces/{ns}/pods/{n}",
            gone,
        ),
    ]
}

fn images() -> Vec<Route> {
    let deployment = format!("{APPS}/deployments/{{n}}");
    let image = |command: &str| route(command, &deployment, evil);
    vec![
        image("kubectl -n {ns} set image deployment/{n} c=evil:1"),
        image("KUBE_EDITOR=\"sed -i 's/nginx:1.25/evil:1/'\" kubectl -n {ns} edit deployment {n}"),
        image(
            r#"kubectl -n {ns} patch deployment {n} --type=json -p '[{"op":"replace","path":"/spec/template/spec/initContainers/0/image","value":"evil:1"}]'"#,
        ),
        image(
            "kubectl -n {ns} get deployment {n} -o json | sed 's/nginx:1.25/evil:1/; /resourceVersion/d' | kubectl replace -f -",
        ),
        image(
            "kubectl -n {ns} get deployment {n} -o json | sed 's/nginx:1.25/evil:1/; /resourceVersion/d' | kubectl apply --server-side --force-conflicts -f -",
        ),
    ]
}

fn resources() -> Vec<Route> {
    let deployment = format!("{APPS}/deployments/{{n}}");
    let in_template = |list: &str, name: &str| {
        let patch = json!({"spec": {"template": {"spec": {list: [{
            "name": name, "resources": {"limits": {"cpu": "33m"}, "requests": {"cpu": "33m"}},
        }]}}}});
        let command = format!("kubectl -n {{ns}} patch deployment {{n}} -p '{patch}'");
        route(&command, &deployment, limited)
    };
    vec![
        route(
            "kubectl -n {ns} set resources deployment/{n} -c=c --limits=cpu=33m --requests=cpu=33m",
            &deployment,
            limited,
        ),
        in_template("containers", "c"),
        in_template("initContainers", "init"),
        in_template("initContainers", "sidecar"),
        route(
            r#"kubectl -n {ns} patch deployment {n} -p '{"spec":{"template":{"spec":{"resources":{"limits":{"cpu":"933m"}}}}}}'"#,
            &deployment,
            limited,
        ),
        route(
            r#"kubectl -n {ns} patch pod {n} --subresource=resize -p '{"spec":{"containers":[{"name":"c","resources":{"limits":{"cpu":"533m"}}}]}}'"#,
            &format!("{CORE}/pods/{{n}}"),
            limited,
        ),
    ]
}

fn protected() -> Vec<Route> {
    let config = format!("{CORE}/configmaps/{{n}}");
    let new = format!("{CORE}/configmaps/{{n}}-new");
    vec![
        route("kubectl -n {ns} create configmap {n}-new --from-literal=a=b", &new, there),
        route("kubectl -n {ns} label configmap {n} mark=yes", &config, marked),
        route("kubectl -n {ns} annotate configmap {n} mark=yes", &config, marked),
        route("kubectl -n {ns} delete configmap {n} --wait=false", &config, gone),
        route(
            r#"printf '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"{n}-new","namespace":"{ns}"}}' | kubectl apply --server-side -f -"#,
            &new,
            there,
        ),
    ]
}

fn unprotections() -> Vec<Route> {
    let object = "/api/v1/namespaces/{n}";
    vec![
        route("kubectl label namespace {n} agent-shield.io/protected-", object, unprotected),
        route(
            r#"kubectl patch namespace {n} --subresource=status --type=merge -p '{"metadata":{"labels":{"agent-shield.io/protected":null}}}'"#,
            object,
            unprotected,
        ),
        route(
            "kubectl get namespace {n} -o json | sed '/agent-shield.io.protected/d; /resourceVersion/d' | kubectl replace -f -",
            object,
            unprotected,
        ),
    ]
}

fn pod_spec() -> Value {
    let resources = json!({"limits": {"cpu": "500m"}, "requests": {"cpu": "100m"}});
    json!({
        "initContainers": [
            {"name": "init", "image": "busybox:1", "resources": resources},
            {"name": "sidecar", "image": "envoy:1", "restartPolicy": "Always", "resources": resources},
        ],
        "containers": [{"name": "c", "image": "nginx:1.25", "resources": resources}],
    })
}

/// Everything that a route may name, under one name.
fn objects(namespace_name: &str, n: &str, is_protected: bool) -> Vec<Value> {
    let metadata = json!({"name": n, "namespace": namespace_name, "labels": {"app": n}});
    let labels = json!({"app": n});
    let spec = json!({
        "replicas": 4, "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": pod_spec()},
    });
    let mut own = namespace(n, "production");
    if is_protected {
        own["metadata"]["labels"]["agent-shield.io/protected"] = json!("true");
    }
    let mut pod = pod_spec();
    // On no node: those of kwok do not say that they could resize a running pod.
    pod["nodeSelector"] = json!({"nowhere": "at-all"});
    vec![
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}),
        json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": metadata, "spec": spec}),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}),
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata}),
        json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata,
            "spec": {
                "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}},
            },
        }),
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod}),
        json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {
                "name": n, "labels": {"app": n}, "annotations": {"kwok.x-k8s.io/node": "fake"},
            },
        }),
        own,
    ]
}

/// Which of the objects a route is about.
fn needed(route: &Route, namespace_name: &str, n: &str, is_protected: bool) -> Vec<Value> {
    let kinds: &[&str] = match route.object.as_str() {
        it if it.contains("/deployments/") || it.contains("autoscalers") => &["Deployment"],
        it if it.contains("/statefulsets/") => &["StatefulSet"],
        it if it.contains("/configmaps/") => &["ConfigMap"],
        it if it.contains("/secrets/") => &["Secret"],
        it if it.contains("claims/") => &["PersistentVolumeClaim"],
        it if it.contains("/pods/") => &["Pod"],
        it if it.contains("/nodes/") => &["Node"],
        _ => &["Namespace"],
    };
    let mut all = objects(namespace_name, n, is_protected);
    all.retain(|it| it["kind"].as_str().is_some_and(|kind| kinds.contains(&kind)));
    // Its controller leaves a paused one alone: clients that send back the version they have read
    // are not refused for what it writes meanwhile.
    for deployment in all.iter_mut().filter(|it| it["kind"] == "Deployment") {
        deployment["spec"]["paused"] = json!(true);
    }
    all
}

/// A scene with a namespace for the controls.
struct Stage {
    scene: Scene,
    direct: PathBuf,
    shielded: PathBuf,
    control: String,
    place: String,
}

impl Stage {
    fn new(name: &str, is_protected: bool) -> Self {
        let scene = Scene::new(name);
        let control = scene.cluster.unique(&format!("{name}-control"));
        let place = match is_protected {
            true => scene.cluster.unique(&format!("{name}-protected")),
            false => scene.prod.clone(),
        };
        let mut own = namespace(&place, "production");
        if is_protected {
            own["metadata"]["labels"]["agent-shield.io/protected"] = json!("true");
        }
        scene.cluster.apply(&list(&[own, namespace(&control, "production")])).expect("namespaces");
        let shielded = scene.shield.kubeconfig(&scene.agent);
        let direct = scene.agent.kubeconfig.clone();
        Self { scene, direct, shielded, control, place }
    }

    fn start(&self, kubeconfig: &Path, command: &str) -> Child {
        let programs = self.scene.cluster.program("kubectl");
        let path = format!(
            "{}:{}",
            programs.parent().map(|it| it.display().to_string()).unwrap_or_default(),
            std::env::var("PATH").unwrap_or_default()
        );
        Command::new("bash")
            .args(["-o", "pipefail", "-c", command])
            .env("KUBECONFIG", kubeconfig)
            .env("HOME", self.scene.shield.data_dir())
            .env("PATH", path)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("bash")
    }

    fn run(&self, kubeconfig: &Path, command: &str) -> Output {
        self.start(kubeconfig, command).wait_with_output().expect("a command")
    }

    fn is_done(&self, route: &Route, place: &str, n: &str) -> bool {
        let object = filled(&route.object, place, n);
        (route.done)(self.scene.cluster.get(&object).as_ref())
    }

    /// The positive control, then the same through agent-shield: once denied, once approved.
    fn check(&self, route: &Route, is_protected: bool) {
        let what = &route.what;
        let control = self.scene.cluster.unique("c");
        let items = needed(route, &self.control, &control, is_protected);
        self.scene.cluster.apply(&list(&items)).expect("objects");
        let command = filled(&route.command, &self.control, &control);
        let output = wait_until(TIME_MAX, &format!("{what} is answered directly"), || {
            let output = self.run(&self.direct, &command);
            (!is_out_of_date(&output)).then_some(output)
        });
        assert!(output.status.success(), "{what}: directly: {}", said(&output));
        wait_until(TIME_MAX, &format!("{what} works directly"), || {
            self.is_done(route, &self.control, &control).then_some(())
        });
        self.denied(route, is_protected);
        self.approved(route, is_protected);
    }

    fn denied(&self, route: &Route, is_protected: bool) {
        let what = &route.what;
        let (n, output) = self.held(route, "deny", is_protected);
        // Not by the exit code: kubectl cordon says what went wrong and ends with 0.
        assert!(said(&output).contains(route.denial), "{what}: {}", said(&output));
        assert!(!self.is_done(route, &self.place, &n), "{what}: ran though denied");
    }

    fn approved(&self, route: &Route, is_protected: bool) {
        let what = &route.what;
        let (n, output) = self.held(route, "approve", is_protected);
        assert!(output.status.success(), "{what}: approved: {}", said(&output));
        wait_until(TIME_MAX, &format!("{what} has run"), || {
            self.is_done(route, &self.place, &n).then_some(())
        });
    }

    /// Runs a route on new objects; all its holds are decided in one way. Their name, and what the
    /// client says at the end.
    fn held(&self, route: &Route, verdict: &str, is_protected: bool) -> (String, Output) {
        let n = self.scene.cluster.unique("s");
        let items = needed(route, &self.place, &n, is_protected);
        self.scene.cluster.apply(&list(&items)).expect("objects");
        let output = wait_until(TIME_MAX, &format!("{} is decided", route.what), || {
            let output = self.decided(route, &n, verdict);
            (!is_out_of_date(&output)).then_some(output)
        });
        (n, output)
    }

    /// Runs a route, and decides what is held of it until it ends.
    fn decided(&self, route: &Route, n: &str, verdict: &str) -> Output {
        let what = &route.what;
        let mut child = self.start(&self.shielded, &filled(&route.command, &self.place, n));
        let mut first = true;
        while child.try_wait().expect("a process").is_none() {
            for hold in self.holds(n) {
                let audit_id = hold["auditID"].as_str().unwrap_or_default();
                let ran = self.scene.ran(audit_id);
                assert!(ran.is_empty(), "{what}: held, and yet {ran:?}");
                if first {
                    assert!(!self.is_done(route, &self.place, n), "{what}: ran while held");
                    first = false;
                }
                let id = hold["id"].as_str().unwrap_or_default();
                // It may have been decided, or have drifted, since it was listed.
                let shield = &self.scene.shield;
                let _ = shield.decide(&self.scene.reviewer, verdict, id, REASON);
            }
            thread::sleep(Duration::from_millis(100));
        }
        let output = child.wait_with_output().expect("its output");
        assert!(!first || is_out_of_date(&output), "{what}: never held: {}", said(&output));
        output
    }

    /// What waits for a decision on an object of this name.
    fn holds(&self, n: &str) -> Vec<Value> {
        let holds = self.scene.shield.cli_json(&self.scene.reviewer, &["holds"]);
        let of_it = |hold: &&Value| {
            let asked = hold["request"]["requestURI"].as_str().is_some_and(|it| it.contains(n));
            hold["state"] == "pending" && (asked || hold["effects"].to_string().contains(n))
        };
        holds["items"].as_array().into_iter().flatten().filter(of_it).cloned().collect()
    }

    fn check_all(&self, routes: &[Route], is_protected: bool) {
        for some in routes.chunks(SIDE_BY_SIDE) {
            thread::scope(|scope| {
                for route in some {
                    scope.spawn(move || self.check(route, is_protected));
                }
            });
        }
    }
}

fn filled(text: &str, namespace_name: &str, name: &str) -> String {
    text.replace("{ns}", namespace_name).replace("{n}", name)
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

/// A controller wrote to the young object between the client's read and its write: that is not what
/// is looked at here.
fn is_out_of_date(output: &Output) -> bool {
    said(output).contains("the object has been modified")
}

#[test]
fn deletes_are_held() {
    Stage::new("mission-deletes", false).check_all(&deletes(), false);
}

#[test]
fn cuts_of_replicas_are_held() {
    Stage::new("mission-scales", false).check_all(&scalings(), false);
}

#[test]
fn what_takes_nodes_away_is_held() {
    Stage::new("mission-nodes", false).check_all(&nodes(), false);
}

#[test]
fn images_and_resources_are_held() {
    let stage = Stage::new("mission-images", false);
    stage.check_all(&images(), false);
    stage.check_all(&resources(), false);
}

#[test]
fn writes_in_protected_namespaces_are_held() {
    let stage = Stage::new("mission-protected", true);
    stage.check_all(&protected(), true);
    stage.check_all(&unprotections(), true);
}

const CHART: &str = "apiVersion: v2\nname: shop\nversion: 0.1.0\n";
const TEMPLATE: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name }}
  labels: {app: {{ .Release.Name }}}
spec:
  replicas: {{ .Values.replicas }}
  selector: {matchLabels: {app: {{ .Release.Name }}}}
  template:
    metadata: {labels: {app: {{ .Release.Name }}}}
    spec: {containers: [{name: c, image: {{ .Values.image | quote }}}]}
";

#[test]
fn helm_is_held_and_finishes_on_approvals() {
    let stage = Stage::new("mission-helm", false);
    let chart = stage.scene.shield.data_dir().join("chart");
    fs::create_dir_all(chart.join("templates")).expect("a chart");
    fs::write(chart.join("Chart.yaml"), CHART).expect("a chart");
    fs::write(chart.join("values.yaml"), "replicas: 4\nimage: nginx:1.25\n").expect("values");
    fs::write(chart.join("templates/shop.yaml"), TEMPLATE).expect("a template");
    let chart = chart.display();
    let shop = format!("{APPS}/deployments/{{n}}");
    let admin = stage.scene.cluster.kubeconfig();
    let upgrade = format!("helm -n {{ns}} upgrade {{n}} {chart} --set image=evil:1");
    for (what, before, command, done, deny) in [
        (
            "upgrade, denied",
            "true".to_owned(),
            upgrade.clone(),
            evil as fn(Option<&Value>) -> bool,
            true,
        ),
        ("upgrade", "true".to_owned(), upgrade.clone(), evil, false),
        ("rollback", upgrade, "helm -n {ns} rollback {n} 1".to_owned(), |it| !evil(it), false),
        ("uninstall", "true".to_owned(), "helm -n {ns} uninstall {n}".to_owned(), gone, false),
    ] {
        let n = stage.scene.cluster.unique("h");
        for place in [&stage.control, &stage.place] {
            let install = format!("helm -n {{ns}} install {{n}} {chart} && {before}");
            let output = stage.run(&admin, &filled(&install, place, &n));
            assert!(output.status.success(), "{what}: {}", said(&output));
        }
        let route =
            Route { what: what.to_owned(), command, object: shop.clone(), done, denial: REASON };
        stage.helm(&route, &n, deny);
    }
}

impl Stage {
    /// As [`Stage::check`], for a release that is there already.
    fn helm(&self, route: &Route, n: &str, deny: bool) {
        let what = &route.what;
        let output = self.run(&self.direct, &filled(&route.command, &self.control, n));
        assert!(output.status.success(), "{what}: directly: {}", said(&output));
        assert!(self.is_done(route, &self.control, n), "{what}: no effect directly");
        let mut child = self.start(&self.shielded, &filled(&route.command, &self.place, n));
        let mut holds = 0;
        while child.try_wait().expect("a process").is_none() {
            for hold in self.holds(n) {
                holds += 1;
                assert!(
                    holds > 1 || !self.is_done(route, &self.place, n),
                    "{what}: ran while held"
                );
                let id = hold["id"].as_str().unwrap_or_default();
                let verb = if deny { "deny" } else { "approve" };
                let shield = &self.scene.shield;
                let _ = shield.decide(&self.scene.reviewer, verb, id, REASON);
            }
            thread::sleep(Duration::from_millis(100));
        }
        let output = child.wait_with_output().expect("its output");
        assert!(holds > 0, "{what}: never held");
        assert_eq!(output.status.success(), !deny, "{what}: {}", said(&output));
        assert_eq!(self.is_done(route, &self.place, n), !deny, "{what}");
        if deny {
            assert!(said(&output).contains(REASON), "{what}: {}", said(&output));
        }
    }
}

#[test]
fn what_harms_nobody_is_not_held() {
    let stage = Stage::new("mission-safe", false);
    let (prod, dev) = (stage.scene.prod.clone(), stage.scene.dev.clone());
    for (place, command) in [
        (&dev, "kubectl -n {ns} scale deployment {n} --replicas=0"),
        (&dev, "kubectl -n {ns} set image deployment/{n} c=other:1"),
        (&dev, "kubectl -n {ns} set resources deployment/{n} -c=c --limits=cpu=900m"),
        (&dev, "kubectl -n {ns} delete configmap {n}"),
        (&dev, "kubectl -n {ns} rollout undo deployment/{n} --dry-run=server"),
        (&prod, "kubectl -n {ns} scale deployment {n} --replicas=5"),
        (&prod, "kubectl -n {ns} rollout restart deployment/{n}"),
        (&prod, "kubectl -n {ns} annotate deployment {n} note=hello"),
        (&prod, "kubectl -n {ns} delete deployment {n} --dry-run=server"),
        (&prod, "kubectl -n {ns} create configmap {n}-new --from-literal=a=b"),
        (&prod, "kubectl uncordon {n}"),
    ] {
        let n = stage.scene.cluster.unique("a");
        let items: Vec<Value> = objects(place, &n, false)
            .into_iter()
            .filter(|it| ["Deployment", "ConfigMap", "Node"].iter().any(|kind| it["kind"] == *kind))
            .collect();
        stage.scene.cluster.apply(&list(&items)).expect("objects");
        let mut child = stage.start(&stage.shielded, &filled(command, place, &n));
        wait_until(TIME_MAX, &format!("{command} ends"), || {
            let held = stage.holds(&n);
            assert!(held.is_empty(), "{command}: held: {held:?}");
            child.try_wait().expect("a process")
        });
        let output = child.wait_with_output().expect("its output");
        // A rollout undo has nothing to go back to: the API server's own words.
        let fine = output.status.success() || said(&output).contains("no rollout history");
        assert!(fine, "{command}: {}", said(&output));
    }
}
