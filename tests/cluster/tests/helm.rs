//! helm in production: a person is asked about what it changes and not about its own books, whatever they
//! say, the team's own helm works afterwards, and books that are forged are held.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
    time::Duration,
};

use cluster::Scene;
use serde_json::{Value, json};
use testkit::wait_until;

const TIME_MAX: Duration = Duration::from_secs(120);

const CHART: &str = "apiVersion: v2\nname: shop\nversion: 0.1.0\n";
const VALUES: &str = "replicas: 2\nimage: nginx:1.25\ndebug: false\nhook: false\n";
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
    spec:
      containers:
      - name: c
        image: {{ .Values.image | quote }}
        resources: {limits: {cpu: 1000m, memory: 1024Mi}}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}
data:
  debug: {{ .Values.debug | quote }}
";
/// Runs before upgrades, and never comes to an end.
const HOOK: &str = "\
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ .Release.Name }}-migrate
  annotations: {helm.sh/hook: pre-upgrade}
spec:
  backoffLimit: 0
  activeDeadlineSeconds: 1
  template:
    spec:
      restartPolicy: Never
      containers: [{name: c, image: {{ .Values.image | quote }}}]
";

struct Stage {
    scene: Scene,
    shielded: PathBuf,
    chart: String,
    hooked: String,
}

/// What is decided of each hold: by its resource.
type Verdicts = &'static [(&'static str, &'static str)];

/// A command of an agent, what comes of it, and what the team does next.
struct Row {
    what: &'static str,
    before: &'static str,
    command: &'static str,
    verdicts: Verdicts,
    works: bool,
    after: &'static str,
}

fn rows() -> Vec<Row> {
    let install = "helm -n {ns} install {n} {chart}";
    let upgraded = "helm -n {ns} install {n} {chart} && helm -n {ns} upgrade {n} {chart} --set image=nginx:1.26";
    let hooked = "helm -n {ns} install {n} {hooked}";
    let upgrade = "helm -n {ns} upgrade {n} {chart} --set replicas=3";
    let rows: Vec<(&str, &str, &str, Verdicts, bool, &str)> = vec![
        (
            "install",
            "true",
            install,
            &[("secrets", "approve"), ("configmaps", "approve"), ("deployments", "approve")],
            true,
            upgrade,
        ),
        ("install, denied", "true", install, &[("secrets", "deny")], false, install),
        (
            "install, half denied",
            "true",
            install,
            &[("secrets", "approve"), ("configmaps", "approve"), ("deployments", "deny")],
            false,
            "helm -n {ns} upgrade --install {n} {chart}",
        ),
        (
            "install --atomic, half denied",
            "true",
            "helm -n {ns} install {n} {chart} --rollback-on-failure",
            &[
                ("secrets", "approve"),
                ("configmaps", "approve"),
                ("deployments", "deny"),
                ("configmaps", "approve"),
            ],
            false,
            install,
        ),
        (
            "upgrade",
            install,
            "helm -n {ns} upgrade {n} {chart} --set image=nginx:1.26",
            &[("deployments", "approve")],
            true,
            upgrade,
        ),
        (
            "upgrade, denied",
            install,
            "helm -n {ns} upgrade {n} {chart} --set image=nginx:1.26",
            &[("deployments", "deny")],
            false,
            upgrade,
        ),
        (
            "upgrade --atomic, denied",
            install,
            "helm -n {ns} upgrade {n} {chart} --set image=nginx:1.26 --rollback-on-failure",
            &[("deployments", "deny")],
            false,
            upgrade,
        ),
        ("upgrade to the same", install, "helm -n {ns} upgrade {n} {chart}", &[], true, upgrade),
        (
            "rollback",
            upgraded,
            "helm -n {ns} rollback {n} 1",
            &[("deployments", "approve")],
            true,
            upgrade,
        ),
        // Helm says that the deployed revision is superseded, which it is not.
        (
            "rollback, denied",
            upgraded,
            "helm -n {ns} rollback {n} 1",
            &[("deployments", "deny"), ("secrets", "deny")],
            false,
            upgrade,
        ),
        (
            "uninstall",
            upgraded,
            "helm -n {ns} uninstall {n}",
            &[("secrets", "approve"), ("configmaps", "approve"), ("deployments", "approve")],
            true,
            install,
        ),
        (
            "uninstall, denied",
            upgraded,
            "helm -n {ns} uninstall {n}",
            &[("secrets", "deny"), ("configmaps", "deny"), ("deployments", "deny")],
            false,
            upgrade,
        ),
        (
            "hook that fails",
            hooked,
            "helm -n {ns} upgrade {n} {hooked} --set image=nginx:1.26",
            &[("jobs", "approve")],
            false,
            "helm -n {ns} upgrade {n} {hooked} --set replicas=3 --no-hooks",
        ),
        (
            "hook, denied",
            hooked,
            "helm -n {ns} upgrade {n} {hooked} --set image=nginx:1.26",
            &[("jobs", "deny")],
            false,
            "helm -n {ns} upgrade {n} {hooked} --set replicas=3 --no-hooks",
        ),
    ];
    rows.into_iter()
        .map(|(what, before, command, verdicts, works, after)| Row {
            what,
            before,
            command,
            verdicts,
            works,
            after,
        })
        .collect()
}

impl Stage {
    fn new(name: &str) -> Self {
        let scene = Scene::new(name);
        let write = |chart: &str, hook: Option<&str>| {
            let dir = scene.shield.data_dir().join(chart);
            fs::create_dir_all(dir.join("templates")).expect("a chart");
            fs::write(dir.join("Chart.yaml"), CHART).expect("a chart");
            fs::write(dir.join("values.yaml"), VALUES).expect("values");
            fs::write(dir.join("templates/shop.yaml"), TEMPLATE).expect("a template");
            if let Some(hook) = hook {
                fs::write(dir.join("templates/hook.yaml"), hook).expect("a template");
            }
            dir.display().to_string()
        };
        let (chart, hooked) = (write("chart", None), write("hooked", Some(HOOK)));
        let shielded = scene.shield.kubeconfig(&scene.agent);
        Self { scene, shielded, chart, hooked }
    }

    fn start(&self, kubeconfig: &Path, n: &str, command: &str) -> std::process::Child {
        let command = command
            .replace("{ns}", &self.scene.prod)
            .replace("{n}", n)
            .replace("{chart}", &self.chart)
            .replace("{hooked}", &self.hooked);
        self.scene.shell(kubeconfig, &command)
    }

    /// The team's own command, past agent-shield.
    fn team(&self, n: &str, command: &str) -> Output {
        let admin = self.scene.cluster.kubeconfig();
        self.start(&admin, n, command).wait_with_output().expect("a command")
    }

    /// Runs an agent's command to its end, and decides on what is held by its resource. What was decided.
    fn agent(&self, n: &str, row: &Row) -> (Output, Vec<String>) {
        let mut child = self.start(&self.shielded, n, row.command);
        let mut decided = Vec::new();
        wait_until(TIME_MAX, &format!("{} ends", row.what), || {
            for hold in self.holds(n) {
                let resource = hold["request"]["resource"].as_str().unwrap_or_default().to_owned();
                let id = hold["id"].as_str().unwrap_or_default();
                let verdict = row.verdicts.iter().find(|(of, _)| *of == resource);
                let verdict = verdict.map_or("deny", |(_, verdict)| *verdict);
                let shield = &self.scene.shield;
                if shield.decide(&self.scene.reviewer, verdict, id, "drill").is_ok() {
                    decided.push(format!("{verdict} {resource}: {}", hold["effects"]));
                }
            }
            child.try_wait().expect("a process")
        });
        (child.wait_with_output().expect("its output"), decided)
    }

    /// How many decisions a command took, and what is wrong with what came of it.
    fn outcome(&self, row: &Row) -> (String, Option<String>) {
        let n = self.scene.cluster.unique("h");
        let before = self.team(&n, row.before);
        assert!(before.status.success(), "{}: {}", row.what, said(&before));
        let (output, decided) = self.agent(&n, row);
        let after = self.team(&n, row.after);
        let line = format!("{}: {} decisions", row.what, decided.len());
        let is_right = decided.len() == row.verdicts.len()
            && output.status.success() == row.works
            && after.status.success();
        let decided = decided.join("\n  ");
        let problem =
            format!("{line}\n  {decided}\n  said: {}\n  after: {}", said(&output), said(&after));
        (line, (!is_right).then_some(problem))
    }

    fn holds(&self, n: &str) -> Vec<Value> {
        let holds = self.scene.shield.cli_json(&self.scene.reviewer, &["holds"]);
        let of_it = |hold: &&Value| {
            let name = format!("{n}.").to_owned();
            let says = |it: &Value| {
                let it = it.to_string();
                it.contains(&format!("{n}\""))
                    || it.contains(&name)
                    || it.contains(&format!("{n}-"))
            };
            hold["state"] == "pending" && (says(&hold["request"]) || says(&hold["effects"]))
        };
        holds["items"].as_array().into_iter().flatten().filter(of_it).cloned().collect()
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

#[test]
fn a_person_is_asked_about_what_helm_changes_and_the_teams_helm_goes_on() {
    let stage = Stage::new("helm");
    let wanted = std::env::var("HELM_ROWS").unwrap_or_default();
    let rows = rows();
    let chosen: Vec<&Row> =
        rows.iter().filter(|row| wanted.is_empty() || row.what.contains(&wanted)).collect();
    let mut failed = Vec::new();
    let told: Vec<(String, Option<String>)> = thread::scope(|scope| {
        let mut told = Vec::new();
        for some in chosen.chunks(3) {
            let running: Vec<_> =
                some.iter().map(|row| scope.spawn(|| stage.outcome(row))).collect();
            told.extend(running.into_iter().map(|it| it.join().expect("a row")));
        }
        told
    });
    for (line, problem) in told {
        println!("{line}");
        failed.extend(problem);
    }
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
}

/// Passes bytes through a command.
fn through(command: &str, bytes: &[u8]) -> Vec<u8> {
    let mut child = Command::new("bash")
        .args(["-c", command])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("bash");
    let mut stdin = child.stdin.take().expect("stdin");
    stdin.write_all(bytes).expect("it reads");
    drop(stdin);
    child.wait_with_output().expect("its output").stdout
}

fn opened(secret: &Value) -> Value {
    let data = secret["data"]["release"].as_str().expect("a release");
    let json = through("base64 -d | base64 -d | gunzip", data.as_bytes());
    serde_json::from_slice(&json).expect("JSON")
}

fn sealed(release: &Value) -> String {
    let json = release.to_string();
    let data = through("gzip -9n | base64 -w0 | base64 -w0", json.as_bytes());
    String::from_utf8(data).expect("base64")
}

/// A record as helm writes it.
fn record(release: &Value) -> Value {
    let (name, version) = (&release["name"], &release["version"]);
    let version = version.to_string();
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "helm.sh/release.v1",
        "metadata": {
            "name": format!("sh.helm.release.v1.{}.v{version}", name.as_str().unwrap_or_default()),
            "labels": {"name": name, "owner": "helm", "status": release["info"]["status"],
                "version": version, "createdAt": "1700000000"},
        },
        "data": {"release": sealed(release)},
    })
}

type Edit = Box<dyn Fn(&mut Value)>;

/// Changes of the release, and of the Secret around it, by which somebody who acts on it later does
/// something else.
fn forgeries() -> Vec<(&'static str, Edit, Edit)> {
    let none = || Box::new(|_: &mut Value| {}) as Edit;
    let add = |manifest: &'static str| {
        Box::new(move |it: &mut Value| {
            let text = it["manifest"].as_str().unwrap_or_default().to_owned();
            it["manifest"] = format!("{text}{manifest}").into();
        }) as Edit
    };
    let hook = |event: &'static str| {
        Box::new(move |it: &mut Value| {
            it["hooks"] = json!([{"name": "x", "kind": "Pod", "path": "x", "events": [event],
                "manifest": "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\n", "last_run": {"phase": ""}}]);
        }) as Edit
    };
    let set = |pointer: &'static str, value: Value| {
        Box::new(move |it: &mut Value| {
            let (at, field) = pointer.rsplit_once('/').expect("a path");
            it.pointer_mut(at).expect("a parent")[field] = value.clone();
        }) as Edit
    };
    let map = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: theirs}\n";
    vec![
        ("another object", add(map), none()),
        (
            "another object for some readers",
            add("--- # x\napiVersion: v1\nkind: Pod\nmetadata: {name: x}\n"),
            none(),
        ),
        (
            "a list",
            add("---\napiVersion: v1\nkind: List\nmetadata: {name: x}\nitems: []\n"),
            none(),
        ),
        ("an object less", set("/manifest", "---\n".into()), none()),
        ("a hook of deletes", hook("pre-delete"), none()),
        ("a hook of rollbacks", hook("post-rollback"), none()),
        ("a test", hook("test"), none()),
        ("a hidden value", set("/config", json!({"debug": true})), none()),
        ("a hidden text", set("/config", json!({"image": "evil:1"})), none()),
        ("a hidden default", set("/chart/values/image", "evil:1".into()), none()),
        ("deployed at once", set("/info/status", "deployed".into()), none()),
        ("uninstalled", set("/info/status", "uninstalled".into()), none()),
        ("another namespace", set("/namespace", "kube-system".into()), none()),
        ("an unknown field", set("/Manifest", "x".into()), none()),
        ("another way to apply", set("/apply_method", "csa".into()), none()),
        ("a later revision", set("/version", 9.into()), none()),
        ("never to be changed", none(), set("/immutable", true.into())),
        ("a finalizer", none(), set("/metadata/finalizers", json!(["x.io/y"]))),
        ("a label", none(), set("/metadata/labels/team", "x".into())),
        (
            "labels that say something else",
            none(),
            set("/metadata/labels/status", "deployed".into()),
        ),
        ("more data", none(), set("/data/more", "eA==".into())),
        (
            "a bomb",
            none(),
            Box::new(|it: &mut Value| {
                let data = through(
                    "head -c 100000000 /dev/zero | gzip -9n | base64 -w0 | base64 -w0",
                    b"",
                );
                it["data"]["release"] = String::from_utf8(data).expect("base64").into();
            }),
        ),
    ]
}

#[test]
fn books_that_are_forged_are_held() {
    let stage = Stage::new("forged");
    let (scene, n) = (&stage.scene, stage.scene.cluster.unique("f"));
    let secrets = format!("/api/v1/namespaces/{}/secrets", scene.prod);
    let of = |version: u32| format!("{secrets}/sh.helm.release.v1.{n}.v{version}");
    let installed = stage.team(&n, "helm -n {ns} install {n} {chart}");
    assert!(installed.status.success(), "{}", said(&installed));
    let first = scene.cluster.get(&of(1)).expect("a record");
    let base = opened(&first);
    let send = |method: &str, target: &str, body: &Value| {
        let target = format!("{target}?timeout=4s");
        let body = body.to_string();
        let json = Some("application/json");
        scene.shield.request(&scene.agent, method, &target, json, body.as_bytes()).held_or_status()
    };
    let next = || {
        let mut next = base.clone();
        next["version"] = 2.into();
        next["info"]["status"] = "pending-upgrade".into();
        next
    };
    for (what, of_release, of_secret) in forgeries() {
        let mut release = next();
        of_release(&mut release);
        let mut secret = record(&release);
        of_secret(&mut secret);
        assert_eq!(send("POST", &secrets, &secret), 429, "{what}");
    }
    // Steps of a revision that is the team's own.
    for status in ["superseded", "failed", "uninstalling", "uninstalled", "pending-upgrade"] {
        let mut release = base.clone();
        release["info"]["status"] = status.into();
        assert_eq!(send("PUT", &of(1), &record(&release)), 429, "{status}");
    }
    assert_eq!(send("DELETE", &of(1), &Value::Null), 429, "a record of what is there");

    // What is right passes: the control. Then it does not become what nobody has let through.
    let evil = base["manifest"].as_str().expect("a manifest").replace("nginx:1.25", "evil:1");
    let mut release = next();
    release["manifest"] = evil.clone().into();
    release["config"] = json!({"image": "evil:1"});
    assert_eq!(send("POST", &secrets, &record(&release)), 201, "a revision that is begun");
    let live = scene.cluster.get(&of(1)).expect("a record");
    let mut superseded = base.clone();
    superseded["info"]["status"] = "superseded".into();
    assert_eq!(send("PUT", &of(1), &record(&superseded)), 429, "it is not there");
    for status in ["deployed", "superseded", "uninstalling", "uninstalled"] {
        let mut step = release.clone();
        step["info"]["status"] = status.into();
        assert_eq!(send("PUT", &of(2), &record(&step)), 429, "{status}");
    }
    let mut other = release.clone();
    other["manifest"] = base["manifest"].clone();
    assert_eq!(send("PUT", &of(2), &record(&other)), 429, "another outcome");
    assert_eq!(scene.cluster.get(&of(1)), Some(live), "nothing ran");
    let mut failed = release;
    failed["info"]["status"] = "failed".into();
    failed["info"]["description"] = "denied".into();
    assert_eq!(send("PUT", &of(2), &record(&failed)), 200, "it failed");
    // Not without end: each pushes another one out of the history.
    for version in 3..=7 {
        let mut again = next();
        again["version"] = version.into();
        let want = if version < 7 { 201 } else { 429 };
        assert_eq!(send("POST", &secrets, &record(&again)), want, "revision {version}");
        again["info"]["status"] = "failed".into();
        if want == 201 {
            assert_eq!(send("PUT", &of(version), &record(&again)), 200, "revision {version}");
        }
    }
    // The team's own step into an agent's record, and the agent's after it.
    scene
        .cluster
        .kubectl_says(&[
            "-n",
            &scene.prod,
            "label",
            "secret",
            &format!("sh.helm.release.v1.{n}.v6"),
            "modifiedAt=1",
            "--overwrite",
        ])
        .expect("a label");
    let mut again = next();
    again["version"] = 6.into();
    again["info"]["status"] = "failed".into();
    again["info"]["description"] = "more".into();
    assert_eq!(send("PUT", &of(6), &record(&again)), 429, "somebody else wrote it");
    let upgraded = stage.team(&n, "helm -n {ns} upgrade {n} {chart} --set replicas=3");
    assert!(upgraded.status.success(), "{}", said(&upgraded));
}
