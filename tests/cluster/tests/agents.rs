//! Agents as `agent create` makes them: what each preset can and cannot do, on a real API server.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Output,
    thread,
    time::Duration,
};

use cluster::{Scene, deployment, list, workload};
use serde_json::{Value, json};
use testkit::wait_until;

/// Tokens are remembered for ten seconds, by agent-shield and by the API server.
const REMEMBERED: Duration = Duration::from_secs(12);

/// An operator's command, as the administrator.
fn operate(scene: &Scene, args: &[&str]) -> Output {
    operate_as(scene, &scene.cluster.kubeconfig(), args)
}

fn operate_as(scene: &Scene, operator: &Path, args: &[&str]) -> Output {
    scene.shield.operator(operator).arg("agent").args(args).output().expect("agent-shield")
}

fn said(output: &Output) -> String {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

/// Makes an agent and gives the kubeconfig that was written for it.
fn create(scene: &Scene, name: &str, namespaces: &str, preset: &str) -> PathBuf {
    let out = scene.shield.data_dir().join(format!("{name}.agent"));
    let output = operate(
        scene,
        &[
            "create",
            name,
            "--namespaces",
            namespaces,
            "--preset",
            preset,
            "--out",
            &out.display().to_string(),
        ],
    );
    assert!(output.status.success(), "{}", said(&output));
    out
}

fn kubectl(scene: &Scene, kubeconfig: &Path, args: &[&str]) -> (bool, String) {
    let output = scene.cluster.kubectl_as(kubeconfig).args(args).output().expect("kubectl");
    (output.status.success(), said(&output))
}

fn listed(scene: &Scene, name: &str) -> Option<Value> {
    let output = operate(scene, &["list", "-o", "json"]);
    assert!(output.status.success(), "{}", said(&output));
    let list: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    list["items"].as_array()?.iter().find(|it| it["name"] == name).cloned()
}

fn roles_of(scene: &Scene, name: &str) -> usize {
    let label = format!("agent-shield.io/agent={name}");
    let all = ["get", "roles,rolebindings,serviceaccounts", "-A", "-l", &label, "-o", "name"];
    scene.cluster.kubectl_says(&all).expect("kubectl").lines().count()
}

/// The narrowest first: each may what the one before it may.
const PRESETS: [&str; 4] = ["read-only", "triage", "deployer", "on-call"];

#[test]
fn each_preset_can_do_this_and_nothing_else() {
    let scene = Scene::new("presets");
    let (prod, dev) = (&scene.prod, &scene.dev);
    let agents = PRESETS.map(|it| {
        let name = scene.cluster.unique(it);
        create(&scene, &name, &format!("{prod},{dev}"), it)
    });
    // How many of the presets lack it, from the narrowest on.
    let in_prod = [
        ("list pods", 0),
        ("watch pods", 0),
        ("get pods --subresource=log", 0),
        ("get configmaps", 0),
        ("list events", 0),
        ("list events.events.k8s.io", 0),
        ("list endpointslices.discovery.k8s.io", 0),
        ("list poddisruptionbudgets", 0),
        ("get persistentvolumeclaims", 0),
        ("list jobs.batch", 0),
        ("delete pods", 1),
        ("create pods --subresource=eviction", 1),
        ("patch deployments.apps", 1),
        ("patch daemonsets.apps", 1),
        ("update statefulsets.apps --subresource=scale", 1),
        ("create events", 1),
        ("delete deployments.apps", 2),
        ("create deployments.apps", 2),
        ("update services", 2),
        ("delete configmaps", 2),
        ("create ingresses.networking.k8s.io", 2),
        ("create cronjobs.batch", 2),
        ("patch horizontalpodautoscalers.autoscaling", 2),
        ("create persistentvolumeclaims", 2),
        ("get secrets", 3),
        ("list secrets", 3),
        ("create secrets", 3),
        ("create pods --subresource=exec", 3),
        ("get pods --subresource=exec", 3),
        ("create pods --subresource=portforward", 3),
        ("get serviceaccounts", 3),
        ("get roles.rbac.authorization.k8s.io", 3),
        ("delete persistentvolumeclaims", 4),
        ("create pods", 4),
        ("create pods --subresource=attach", 4),
        ("update pods --subresource=ephemeralcontainers", 4),
        ("create serviceaccounts", 4),
        ("create serviceaccounts --subresource=token", 4),
        ("create roles.rbac.authorization.k8s.io", 4),
        ("create rolebindings.rbac.authorization.k8s.io", 4),
        ("escalate roles.rbac.authorization.k8s.io", 4),
        ("delete namespaces", 4),
        ("* *", 4),
    ];
    let elsewhere = [
        ("list pods", "-n=default"),
        ("list secrets", "-n=default"),
        ("create pods --subresource=exec", "-n=kube-system"),
        ("delete deployments.apps", "-n=kube-system"),
        ("list pods", "-A"),
        ("list nodes", "-A"),
        ("list namespaces", "-A"),
        ("create clusterrolebindings.rbac.authorization.k8s.io", "-A"),
        ("impersonate users", "-A"),
    ];
    for (agent, column) in agents.iter().zip(0..) {
        let preset = PRESETS[column];
        let can = |what: &str, place: &str| {
            let mut args = vec!["auth", "can-i", place];
            args.extend(what.split(' '));
            let (_, text) = kubectl(&scene, agent, &args);
            match text.lines().next() {
                Some("yes") => true,
                Some("no") => false,
                _ => panic!("can {preset} {what}: {text}"),
            }
        };
        for (what, lack) in in_prod {
            assert_eq!(can(what, &format!("-n={prod}")), column >= lack, "{preset}: {what}");
        }
        assert!(can("list pods", &format!("-n={dev}")), "{preset}");
        for (what, place) in elsewhere {
            assert!(!can(what, place), "{preset}: {what} {place}");
        }
    }
}

/// What docs/guide/2-agents.md says of the presets, as commands: how many of the presets may not, from the
/// narrowest on. `{n}` is a name for each preset, `{ns}` the namespace, and `{chart}` a chart.
const COMMANDS: [(usize, &str); 44] = [
    (0, "kubectl get all,configmaps,events,ingresses,pdb,pvc,endpointslices"),
    (0, "kubectl describe deployment {n}"),
    (0, "kubectl describe pod {n}"),
    (0, "kubectl logs {n}"),
    (0, "kubectl get namespace {ns}"),
    (0, "kubectl rollout history deployment {n}"),
    (0, "kubectl rollout history statefulset {n}"),
    (1, "kubectl rollout restart deployment {n}"),
    (1, "kubectl rollout restart statefulset {n}"),
    (1, "kubectl rollout restart daemonset {n}"),
    (1, "kubectl set image deployment {n} c=nginx:1.26 && kubectl rollout undo deployment {n}"),
    (1, "kubectl scale deployment {n} --replicas=2"),
    (1, "kubectl scale statefulset {n} --replicas=2"),
    (1, "kubectl delete pod {n}-1 --wait=false"),
    (
        1,
        r#"echo '{"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":"{n}-2"}}' | kubectl create --raw /api/v1/namespaces/{ns}/pods/{n}-2/eviction -f -"#,
    ),
    (2, "kubectl create deployment {n}-new --image=nginx:1.25"),
    (2, "kubectl delete deployment {n}-new"),
    (2, "kubectl create job {n} --image=nginx:1.25"),
    (2, "kubectl create cronjob {n} --image=nginx:1.25 --schedule='@daily'"),
    (2, "kubectl delete job,cronjob {n}"),
    (
        2,
        r#"kubectl create configmap {n} --from-literal=a=b && kubectl patch configmap {n} -p '{"data":{"a":"c"}}'"#,
    ),
    (2, "kubectl expose deployment {n} --port=80"),
    (2, "kubectl autoscale deployment {n} --max=3 --cpu=80%"),
    (2, "kubectl create ingress {n} --rule={n}.test/=web:80"),
    (2, "kubectl create poddisruptionbudget {n} --selector=app={n} --min-available=0"),
    (2, "kubectl delete configmap,service,hpa,ingress,pdb {n}"),
    (
        2,
        "kubectl create -f - <<<'{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: {n}}, spec: {accessModes: [ReadWriteOnce], storageClassName: none, resources: {requests: {storage: 1Gi}}}}'",
    ),
    (3, "kubectl exec {n} -- echo hello"),
    (3, "kubectl cp {n}:/etc/hostname {out}"),
    (
        3,
        "kubectl port-forward pod/{n} :80 > {out} & until grep -q Forwarding {out} || ! kill -0 $! 2> /dev/null; do sleep 0.1; done; kill $!; grep Forwarding {out}",
    ),
    (3, "helm list"),
    (3, "helm upgrade {n} {chart} --server-side=false --set replicas=2"),
    (3, "helm rollback {n} 1 --server-side=false"),
    (3, "helm uninstall {n}-own || helm install {n}-own {chart} --set account=false"),
    (4, "kubectl run {n}-run --image=nginx:1.25"),
    (4, "kubectl delete persistentvolumeclaim {n}"),
    (4, "kubectl attach {n}"),
    (4, "kubectl debug {n} --image=busybox"),
    (4, "kubectl create serviceaccount {n}-new"),
    (4, "kubectl create token default"),
    (4, "kubectl create rolebinding {n} --clusterrole=view --serviceaccount={ns}:default"),
    (4, "kubectl delete namespace {ns}"),
    (4, "kubectl get nodes"),
    (4, "kubectl get pods -A"),
];

/// A chart with what charts often bring: an account, and its rights.
const TEMPLATES: &str = "\
apiVersion: v1
kind: ConfigMap
metadata: {name: {{ .Release.Name }}-chart}
data: {replicas: {{ .Values.replicas | quote }}}
{{- if .Values.account }}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: {{ .Release.Name }}-chart}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: {{ .Release.Name }}-chart}
rules: [{apiGroups: [''], resources: [configmaps], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: {{ .Release.Name }}-chart}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: {{ .Release.Name }}-chart}
subjects: [{kind: ServiceAccount, name: {{ .Release.Name }}-chart}]
{{- end }}
";

fn chart(scene: &Scene) -> String {
    let chart = scene.shield.data_dir().join("chart");
    fs::create_dir_all(chart.join("templates")).expect("a chart");
    let file = |name: &str, text: &str| fs::write(chart.join(name), text).expect("a chart");
    file("Chart.yaml", "apiVersion: v2\nname: shop\nversion: 0.1.0\n");
    file("values.yaml", "replicas: 1\naccount: true\n");
    file("templates/all.yaml", TEMPLATES);
    chart.display().to_string()
}

/// What a team has running, under one name: workloads, their pods, and a release of helm.
fn team_has(scene: &Scene, n: &str, chart: &str) {
    let ns = &scene.dev;
    let mut daemons = workload("DaemonSet", ns, n, 1);
    daemons["spec"].as_object_mut().expect("a spec").remove("replicas");
    let mut objects = vec![deployment(ns, n, 1), workload("StatefulSet", ns, n, 1), daemons];
    objects.extend(["", "-1", "-2"].map(|suffix| {
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": format!("{n}{suffix}"), "namespace": ns},
            "spec": {"nodeName": "n1", "containers": [{"name": "c", "image": "nginx:1.25"}]},
        })
    }));
    scene.cluster.apply(&list(&objects)).expect("objects");
    let install = format!("helm -n {ns} install {n} {chart} --server-side=false");
    let output = scene.shell(&scene.cluster.kubeconfig(), &install).wait_with_output();
    let output = output.expect("helm");
    assert!(output.status.success(), "{}", said(&output));
    for suffix in ["", "-1", "-2"] {
        let path = format!("/api/v1/namespaces/{ns}/pods/{n}{suffix}");
        wait_until(Duration::from_secs(60), "the pod runs", || {
            (scene.cluster.get(&path)?["status"]["phase"] == "Running").then_some(())
        });
    }
}

/// Runs an agent's command to its end, and approves what of it is held.
fn with_approvals(scene: &Scene, kubeconfig: &Path, user: &str, command: &str) -> Output {
    let mut child = scene.shell(kubeconfig, command);
    wait_until(Duration::from_secs(120), command, || {
        let holds = scene.shield.cli_json(&scene.reviewer, &["holds"]);
        for hold in holds["items"].as_array().into_iter().flatten() {
            if hold["state"] == "pending" && hold["user"]["username"] == user {
                let id = hold["id"].as_str().unwrap_or_default();
                let _ = scene.shield.decide(&scene.reviewer, "approve", id, "as the guide says");
            }
        }
        child.try_wait().expect("a process")
    });
    child.wait_with_output().expect("its output")
}

#[test]
fn presets_do_what_the_guide_says() {
    let scene = Scene::new("guide");
    let chart = chart(&scene);
    let wrong: Vec<String> = thread::scope(|scope| {
        let running: Vec<_> = PRESETS
            .iter()
            .zip(0..)
            .map(|(preset, column)| {
                let (scene, chart) = (&scene, &chart);
                scope.spawn(move || try_all(scene, preset, column, chart))
            })
            .collect();
        running.into_iter().flat_map(|it| it.join().expect("a preset")).collect()
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// What is not as the guide says of one preset.
fn try_all(scene: &Scene, preset: &str, column: usize, chart: &str) -> Vec<String> {
    let n = scene.cluster.unique(preset);
    team_has(scene, &n, chart);
    let kubeconfig = create(scene, &n, &scene.dev, preset);
    let user = format!("system:serviceaccount:{}:{n}", scene.dev);
    let out = scene.shield.data_dir().join(format!("{n}.out")).display().to_string();
    let mut wrong = Vec::new();
    for (lack, command) in COMMANDS {
        let command = command
            .replace("{n}", &n)
            .replace("{ns}", &scene.dev)
            .replace("{chart}", chart)
            .replace("{out}", &out);
        let output = with_approvals(scene, &kubeconfig, &user, &command);
        let text = said(&output);
        let is_refused =
            !output.status.success() && text.contains("orbidden") && text.contains("cannot");
        let is_right = if column >= lack { output.status.success() } else { is_refused };
        if !is_right {
            wrong.push(format!("{preset}: {command}: {}\n{text}", output.status));
        }
    }
    wrong
}

#[test]
fn what_a_preset_allows_is_still_judged() {
    let scene = Scene::new("judged");
    let prod = &scene.prod;
    scene.cluster.apply(&deployment(prod, "web", 2)).expect("a deployment");
    let delete = ["delete", "deployment", "web"];
    let forbidden = |agent: &Path, args: &[&str]| {
        let (done, text) = kubectl(&scene, agent, args);
        assert!(!done && text.contains("Forbidden") && text.contains("cannot"), "{args:?}: {text}");
    };
    let named = |name: &str, preset: &str| {
        let name = scene.cluster.unique(name);
        create(&scene, &name, prod, preset)
    };
    let reader = named("reader", "read-only");
    // The first namespace is the context's: no -n is needed.
    let (done, text) = kubectl(&scene, &reader, &["get", "pods,deployments"]);
    assert!(done && text.contains("deployment.apps/web"), "{text}");
    forbidden(&reader, &["get", "secrets"]);
    forbidden(&reader, &delete);
    forbidden(&reader, &["get", "pods", "-n", &scene.dev]);

    let triage = named("on-call", "triage");
    let (done, text) = kubectl(&scene, &triage, &["rollout", "restart", "deployment", "web"]);
    assert!(done, "{text}");
    forbidden(&triage, &delete);

    let name = scene.cluster.unique("deployer");
    let deployer = create(&scene, &name, prod, "deployer");
    forbidden(&deployer, &["get", "secrets"]);
    let child = scene.cluster.kubectl_as(&deployer).args(delete).spawn();
    let mut child = child.expect("kubectl");
    let hold = scene.pending(prod, "web");
    assert_eq!(hold["user"]["username"], format!("system:serviceaccount:{prod}:{name}"));
    scene.decide("deny", hold["id"].as_str().unwrap_or_default(), "no");
    assert!(!child.wait().expect("its end").success());
    let target = format!("/apis/apps/v1/namespaces/{prod}/deployments/web");
    assert!(scene.cluster.get(&target).is_some());
}

#[test]
fn running_it_again_narrows_and_revoking_ends() {
    let scene = Scene::new("again");
    let (prod, dev) = (&scene.prod, &scene.dev);
    let name = scene.cluster.unique("again");
    let kubeconfig = create(&scene, &name, &format!("{prod},{dev}"), "deployer");
    let mode = fs::metadata(&kubeconfig).expect("a kubeconfig").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let before = fs::read_to_string(&kubeconfig).expect("a kubeconfig");
    assert_eq!(roles_of(&scene, &name), 5);

    // Its home stays, though another namespace is the first now.
    create(&scene, &name, dev, "read-only");
    assert_ne!(fs::read_to_string(&kubeconfig).expect("a kubeconfig"), before);
    assert_eq!(roles_of(&scene, &name), 3);
    // Another team's agent of the same name is not taken over by accident.
    let args = ["create", &name, "--namespaces", "default", "--preset", "read-only"];
    let text = said(&operate(&scene, &args));
    assert!(text.contains(&format!("already, in {prod}: --home")), "{text}");
    let agent = listed(&scene, &name).expect("the agent");
    assert_eq!(agent["home"], *prod);
    assert_eq!(agent["preset"], "read-only");
    assert_eq!(agent["namespaces"], json!([dev]));
    assert_eq!(agent["warnings"], json!([]));
    let can = |args: &[&str]| kubectl(&scene, &kubeconfig, args).0;
    let narrowed = || {
        let gone = !can(&["auth", "can-i", "list", "pods", "-n", prod])
            && !can(&["auth", "can-i", "delete", "deployments.apps", "-n", dev]);
        gone.then_some(())
    };
    wait_until(Duration::from_secs(5), "its rights are narrow", narrowed);
    assert!(can(&["get", "pods", "-n", dev]));

    // Without a terminal nobody can be asked.
    let output = operate(&scene, &["revoke", &name]);
    assert!(!output.status.success() && said(&output).contains("--yes"), "{}", said(&output));
    let output = operate(&scene, &["revoke", &name, "--yes"]);
    let text = said(&output);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("deleted RoleBinding") && text.contains("ten seconds"), "{text}");
    assert_eq!(roles_of(&scene, &name), 0);
    assert_eq!(listed(&scene, &name), None);
    wait_until(REMEMBERED, "its token is worth nothing", || {
        let (done, text) = kubectl(&scene, &kubeconfig, &["get", "pods", "-n", dev]);
        (!done && text.contains("Unauthorized")).then_some(())
    });
    let output = operate(&scene, &["revoke", &name, "--yes"]);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));

    // Rights without their ServiceAccount would wait for the next one of this name.
    create(&scene, &name, prod, "triage");
    let delete = ["-n", prod, "delete", "serviceaccount", &name];
    scene.cluster.kubectl_says(&delete).expect("its end");
    assert_eq!(roles_of(&scene, &name), 2);
    let output = operate(&scene, &["revoke", &name, "--home", prod, "--yes"]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(roles_of(&scene, &name), 0);
}

#[test]
fn rights_that_others_gave_are_shown() {
    let scene = Scene::new("drift");
    let name = scene.cluster.unique("drift");
    create(&scene, &name, &scene.prod, "triage");
    let account = format!("--serviceaccount={}:{name}", scene.prod);
    let plant = ["create", "clusterrolebinding", &name, "--clusterrole=cluster-admin", &account];
    scene.cluster.kubectl_says(&plant).expect("a binding");
    let plant = ["-n", &scene.dev, "create", "rolebinding", &name, "--clusterrole=edit", &account];
    scene.cluster.kubectl_says(&plant).expect("a binding");

    let agent = listed(&scene, &name).expect("the agent");
    let warnings = agent["warnings"].to_string();
    assert_eq!(agent["warnings"].as_array().map(Vec::len), Some(2), "{warnings}");
    assert!(warnings.contains("cluster-admin") && warnings.contains("`edit`"), "{warnings}");
    let text = said(&operate(&scene, &["list"]));
    assert!(
        text.contains(&format!("warning: {}/{name}: ClusterRoleBinding", scene.prod)),
        "{text}"
    );
    // Bindings outlive whom they name: whoever revokes is told.
    let text = said(&operate(&scene, &["revoke", &name, "--yes"]));
    assert!(text.contains("left as it is: ClusterRoleBinding"), "{text}");
    scene.cluster.kubectl_says(&["delete", "clusterrolebinding", &name]).expect("an end");
}

#[test]
fn what_others_made_is_left_as_it_is() {
    let scene = Scene::new("foreign");
    let prod = &scene.prod;
    let bot = scene.cluster.unique("bot");
    let role_name = format!("agent-shield:{prod}:{bot}");
    let foreign = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
        "metadata": {"name": role_name, "namespace": prod},
        "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}],
    });
    scene.cluster.apply(&foreign).expect("a role");
    let target = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{prod}/roles/{role_name}");
    let before = scene.cluster.get(&target).expect("the role");
    let refused = |args: &[&str], object: &str| {
        let output = operate(&scene, args);
        let text = said(&output);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains(object) && text.contains("not made by agent-shield"), "{text}");
    };
    refused(&["create", &bot, "-n", prod, "--preset", "triage"], &format!("Role `{role_name}`"));
    assert_eq!(scene.cluster.get(&target), Some(before));
    assert_eq!(roles_of(&scene, &bot), 0, "nothing else was made");
    // Nor does a ServiceAccount that is there already become an agent.
    refused(&["create", "default", "-n", prod, "--preset", "triage"], "ServiceAccount `default`");
    let output = operate(&scene, &["revoke", "default", "--home", prod, "--yes"]);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    assert!(
        scene.cluster.get(&format!("/api/v1/namespaces/{prod}/serviceaccounts/default")).is_some()
    );
}

#[test]
fn a_dry_run_changes_nothing() {
    let scene = Scene::new("dry");
    let name = scene.cluster.unique("dry");
    let args = ["create", &name, "-n", &scene.prod, "--preset", "deployer", "--dry-run"];
    let output = operate(&scene, &args);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(roles_of(&scene, &name), 0);
    let file = scene.shield.data_dir().join("dry-run.yaml");
    fs::write(&file, &output.stdout).expect("a file");
    let file = file.display().to_string();
    let applied = scene.cluster.kubectl_says(&["apply", "--dry-run=server", "-f", &file]);
    assert_eq!(applied.expect("manifests").lines().count(), 3);
}

#[test]
fn errors_say_what_is_wrong() {
    let scene = Scene::new("wrong");
    let (prod, admin) = (&scene.prod, scene.cluster.kubeconfig());
    let nowhere = scene.shield.data_dir().join("nowhere.kubeconfig");
    let (url, ca) = ("https://127.0.0.1:1", scene.cluster.ca());
    scene.cluster.write_kubeconfig(&nowhere, url, &ca, &json!({"token": "x"})).expect("a file");
    let many = format!("{prod},nowhere,neither");
    let preset = ["--preset", "triage"];
    let table: [(&Path, &[&str], i32, &str); 8] = [
        (&admin, &["create", "bot", "-n", &many], 1, "no namespaces `neither`, `nowhere`:"),
        (&admin, &["create", "bot", "-n", prod, "--home", "nowhere"], 1, "no namespace `nowhere`:"),
        (&admin, &["create", "My_Bot", "-n", prod], 2, "`my-bot` would do"),
        (&admin, &["create", "bot", "-n", prod, "--token-time", "5m"], 2, "at least 10m"),
        (&admin, &["create", "bot", "-n", prod, "--token-time", "25h"], 2, "at most 24h"),
        (&admin, &["create", "bot", "-n", prod, "--out", "/no/bot"], 1, "no directory /no"),
        (&admin, &["create", "bot", "-n", prod, "--server", "http://x"], 1, "not an https URL"),
        (&nowhere, &["create", "bot", "-n", prod], 5, "cannot reach the API server"),
    ];
    for (operator, args, code, want) in table {
        let output = operate_as(&scene, operator, &[args, &preset].concat());
        let text = said(&output);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {text}");
        assert!(text.contains(want), "{args:?}: {text}");
    }
    // Agents at the reviewers' door would be turned away: whoever mixes them up is told at once.
    let bot = scene.cluster.unique("bot");
    let args = ["create", &bot, "-n", prod, "--server", &scene.shield.review_url];
    let text = said(&operate(&scene, &[args.as_slice(), &preset].concat()));
    assert!(text.contains("does not work yet") && text.contains("can never review"), "{text}");
}

#[test]
fn who_lacks_a_right_is_told_which() {
    let scene = Scene::new("lacks");
    let prod = &scene.prod;
    let bot = scene.cluster.unique("bot");
    let name = scene.cluster.unique("operator");
    let operator = scene.cluster.person(&name, &[]).expect("a person");
    let role = |groups: &[&str], resources: &[&str]| {
        let role = scene.cluster.unique("role");
        let rules =
            json!([{"apiGroups": groups, "resources": resources, "verbs": ["get", "list"]}]);
        let made = scene.cluster.apply(&json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
            "metadata": {"name": role, "namespace": prod}, "rules": rules,
        }));
        made.expect("a role");
        format!("--role={role}")
    };
    let bind = |role: &str| {
        let (binding, user) = (scene.cluster.unique("binding"), format!("--user={name}"));
        let args = ["-n", prod, "create", "rolebinding", &binding, role, &user];
        scene.cluster.kubectl_says(&args).expect("a binding");
    };
    let create = |more: &[&str]| {
        let args = ["create", &bot, "-n", prod, "--preset", "deployer"];
        operate_as(&scene, &operator, &[args.as_slice(), more].concat())
    };
    // Rights take a moment to spread.
    let until = |want: &str| {
        wait_until(Duration::from_secs(5), want, || {
            let output = create(&["--home", prod]);
            let text = said(&output);
            assert!(matches!(output.status.code(), Some(0 | 4)), "{text}");
            text.contains(want).then_some(text)
        })
    };
    let output = create(&[]);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(4), "{text}");
    assert!(text.contains("--home") && text.contains("cannot list resource"), "{text}");
    until("cannot read Namespace");
    // Who may look but not make is told every right at once.
    let kinds = ["namespaces", "serviceaccounts", "roles", "rolebindings"];
    bind(&role(&["", "rbac.authorization.k8s.io"], &kinds));
    let text = until("nothing was changed");
    for right in [
        "create roles.rbac.authorization.k8s.io",
        "create rolebindings.rbac.authorization.k8s.io",
        "create serviceaccounts",
        "create serviceaccounts/token",
    ] {
        assert!(text.contains(&format!("{right} in namespace {prod}")), "{right}: {text}");
    }
    // Who may make Roles can still not give away what is not theirs.
    bind("--clusterrole=admin");
    let text = until("not currently held");
    assert!(text.contains("`escalate`") && text.contains("metrics.k8s.io"), "{text}");
    assert_eq!(roles_of(&scene, &bot), 0);
    // What the cluster's metrics server would have added to `admin`.
    bind(&role(&["metrics.k8s.io"], &["pods"]));
    let text = until("has the rights of `deployer`");
    assert!(text.contains("whether others gave it more rights is not known"), "{text}");
    assert_eq!(roles_of(&scene, &bot), 3);
    let output = operate_as(&scene, &operator, &["revoke", &bot, "--home", prod, "--yes"]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(roles_of(&scene, &bot), 0);
}
