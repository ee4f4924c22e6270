//! kubectl's own destructive commands, each as one types it: what holds it, and what the hold says.
//!
//! Each has an agent of its own and is denied, so that the next finds the same objects. What is then
//! approved and answered is `tests/clients`' matter.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command},
    time::Duration,
};

use cluster::{Scene, all_rights, deployment, list, namespace, node, workload};
use serde_json::{Value, json};
use testkit::wait_until;

const TIME_MAX: Duration = Duration::from_secs(60);

/// What the first hold of a command names; nothing: it is let through.
type Want = &'static [&'static str];

/// `{ns}` is in production, `{spare}` a namespace to delete, `{n}` a node, `{cordoned}` one that takes
/// no pods any more, `{f}` a folder of files, `{csr}` a request for a certificate.
const COMMANDS: [(&str, Want); 65] = [
    // Deletes, in all their forms.
    ("kubectl -n {ns} delete deployment web", &["Delete"]),
    ("kubectl -n {ns} delete deployment web --cascade=orphan", &["Delete"]),
    ("kubectl -n {ns} delete deployment web --cascade=foreground", &["Delete"]),
    ("kubectl -n {ns} delete deployment web --cascade=background --wait=false", &["Delete"]),
    ("kubectl -n {ns} delete deployment/web statefulset/db --now", &["Delete"]),
    ("kubectl -n {ns} delete deployments --all", &["Delete"]),
    ("kubectl -n {ns} delete all -l app=web", &["Delete"]),
    ("kubectl -n {ns} delete -f {f}/web.yaml", &["Delete"]),
    ("kubectl -n {ns} delete -k {f}", &["Delete"]),
    ("kubectl delete --raw /apis/apps/v1/namespaces/{ns}/deployments/web", &["Delete"]),
    ("kubectl delete --raw /api/v1/namespaces/{ns}/secrets/credential", &["Delete"]),
    ("kubectl -n {ns} delete pod bare --force --grace-period=0", &["Delete"]),
    ("kubectl -n {ns} delete pods -l app=bare", &["Delete"]),
    ("kubectl -n {ns} delete pods --field-selector=metadata.name=bare", &["Delete"]),
    ("kubectl delete namespace {spare}", &["Delete"]),
    ("kubectl -n {ns} delete pvc data", &["Delete"]),
    ("kubectl -n {ns} delete secret credential --ignore-not-found", &["Delete"]),
    ("kubectl -n {ns} delete configmap settings", &["Delete"]),
    ("kubectl -n {ns} delete service web", &["Delete"]),
    ("kubectl -n {ns} delete statefulset db", &["Delete"]),
    ("kubectl -n {ns} delete deployment nope", &[]),
    ("kubectl -n {ns} delete deployment web --dry-run=server", &[]),
    (
        "kubectl -n {ns} apply --prune -l tier=pruned --prune-allowlist=apps/v1/Deployment -f {f}/kept.yaml",
        &["Delete"],
    ),
    ("kubectl -n {ns} replace --force -f {f}/web.yaml", &["Delete"]),
    // Sizes.
    ("kubectl -n {ns} scale deployment web --replicas=0", &["ScaleDown"]),
    ("kubectl -n {ns} scale deployment web --current-replicas=4 --replicas=1", &["ScaleDown"]),
    ("kubectl -n {ns} scale statefulset db --replicas=0", &["ScaleDown"]),
    ("kubectl -n {ns} scale --replicas=0 -f {f}/web.yaml", &["ScaleDown"]),
    ("kubectl -n {ns} autoscale deployment web --min=1 --max=1", &["CreateActive"]),
    (
        "kubectl -n {ns} patch deployment web --subresource=scale --type=merge -p '{\"spec\":{\"replicas\":0}}'",
        &["ScaleDown"],
    ),
    // What runs.
    ("kubectl -n {ns} set image deployment/web c=evil:1", &["ChangeImage"]),
    ("kubectl -n {ns} set image deployments --all '*=evil:1'", &["ChangeImage"]),
    ("kubectl -n {ns} set resources deployment web --limits=cpu=9", &["ChangeResources"]),
    ("kubectl -n {ns} set env deployment/web A=b", &["ChangeTemplate"]),
    ("kubectl -n {ns} set serviceaccount deployment web other", &["ChangeTemplate"]),
    ("kubectl -n {ns} set selector service web 'app=nobody'", &["ChangeSpec"]),
    ("kubectl -n {ns} set subject rolebinding readers --user=somebody", &["GrantAccess"]),
    ("kubectl -n {ns} patch deployment web -p '{\"spec\":{\"replicas\":0}}'", &["ScaleDown"]),
    (
        "kubectl -n {ns} patch deployment web --type=merge -p '{\"spec\":{\"replicas\":null}}'",
        &["ScaleDown"],
    ),
    (
        "kubectl -n {ns} patch deployment web --type=json -p '[{\"op\":\"replace\",\"path\":\"/spec/template/spec/containers/0/image\",\"value\":\"evil:1\"}]'",
        &["ChangeImage"],
    ),
    (
        "KUBE_EDITOR=\"sed -i 's/nginx:1.26/evil:1/'\" kubectl -n {ns} edit deployment web",
        &["ChangeImage"],
    ),
    ("kubectl -n {ns} apply -f {f}/changed.yaml", &["ChangeImage"]),
    ("kubectl -n {ns} apply --server-side --force-conflicts -f {f}/changed.yaml", &["ChangeImage"]),
    ("kubectl -n {ns} replace -f {f}/changed.yaml", &["ChangeImage"]),
    ("kubectl -n {ns} rollout undo deployment/web", &["ChangeImage"]),
    ("kubectl -n {ns} rollout restart deployment/one", &["ChangeTemplate"]),
    // Nodes.
    ("kubectl cordon {n}", &["Cordon"]),
    ("kubectl drain {n} --ignore-daemonsets --force --delete-emptydir-data", &["Cordon"]),
    ("kubectl drain {cordoned} --ignore-daemonsets --force --delete-emptydir-data", &["Evict"]),
    (
        "kubectl drain {cordoned} --ignore-daemonsets --force --delete-emptydir-data --disable-eviction",
        &["Delete"],
    ),
    ("kubectl taint node {n} gone=yes:NoExecute", &["Taint"]),
    ("kubectl delete node {n}", &["Delete"]),
    // Labels and annotations.
    ("kubectl label namespace {ns} env=dev --overwrite", &["Unprotect"]),
    ("kubectl -n {ns} label pod bare app- ", &["ChangeTrigger"]),
    (
        "kubectl -n {ns} annotate deployment web downscaler/force-downtime=true --overwrite",
        &["ChangeTrigger"],
    ),
    ("kubectl -n {ns} annotate deployment web note=harmless --overwrite", &[]),
    // Code, and what makes it.
    ("kubectl -n {ns} exec bare -- true", &["RunCode"]),
    ("kubectl -n {ns} cp {f}/web.yaml bare:/tmp/web.yaml", &["RunCode"]),
    ("kubectl -n {ns} debug bare --image=busybox", &["RunCode"]),
    ("kubectl debug node/{n} --image=busybox", &["Borrow"]),
    ("kubectl -n {ns} run more --image=evil:1", &["CreateActive"]),
    ("kubectl -n {ns} expose deployment web --port=80 --name=more", &["CreateActive"]),
    // Rights and credentials.
    ("kubectl -n {ns} create token default", &["MintCredential"]),
    ("kubectl certificate approve {csr}", &["GrantAccess"]),
    ("kubectl auth reconcile -f {f}/rights.yaml", &["GrantAccess"]),
];

/// Names that stand in a command.
struct Words(Vec<(&'static str, String)>);

impl Words {
    fn fill(&self, command: &str) -> String {
        self.0.iter().fold(command.to_owned(), |text, (word, value)| {
            text.replace(&format!("{{{word}}}"), value)
        })
    }
}

fn objects(scene: &Scene) -> Vec<Value> {
    let ns = scene.prod.as_str();
    let meta = |name: &str| json!({"name": name, "namespace": ns});
    vec![
        deployment(ns, "web", 4),
        deployment(ns, "one", 1),
        workload("StatefulSet", ns, "db", 2),
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "bare", "namespace": ns, "labels": {"app": "bare"}},
            "spec": {"containers": [{"name": "c", "image": "nginx:1.25"}]},
        }),
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": meta("credential"), "data": {"a": "Yg=="}}),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta("settings"), "data": {"a": "b"}}),
        json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": meta("data"),
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
        }),
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": meta("web"),
            "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]},
        }),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": meta("readers"),
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
            "subjects": [],
        }),
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta("other")}),
    ]
}

/// Files that commands name.
fn files(scene: &Scene, dir: &Path, words: &Words) {
    let ns = scene.prod.as_str();
    let mut changed = deployment(ns, "web", 4);
    changed["spec"]["template"]["spec"]["containers"][0]["image"] = json!("evil:1");
    let kept = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "kept", "namespace": ns, "labels": {"tier": "pruned"}},
    });
    let rights = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {"name": words.fill("{ns}")},
        "rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}],
    });
    let mut pruned = deployment(ns, "pruned", 1);
    pruned["metadata"]["labels"]["tier"] = json!("pruned");
    let kustomization = json!({"resources": ["web.yaml"]});
    for (name, object) in [
        ("web.yaml", &deployment(ns, "web", 4)),
        ("changed.yaml", &changed),
        ("kept.yaml", &kept),
        ("pruned.yaml", &pruned),
        ("rights.yaml", &rights),
        ("kustomization.yaml", &kustomization),
    ] {
        fs::write(dir.join(name), object.to_string()).expect("a file");
    }
}

/// A request for a client certificate, not decided on.
fn csr(scene: &Scene, name: &str) {
    let request = Command::new("openssl")
        .args(["req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", "/dev/null"])
        .args(["-subj", "/CN=x/O=ops"])
        .output()
        .expect("openssl");
    let object = json!({
        "apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest",
        "metadata": {"name": name},
        "spec": {
            "request": testkit::base64(&request.stdout), "usages": ["client auth"],
            "signerName": "kubernetes.io/kube-apiserver-client",
        },
    });
    scene.cluster.apply(&object).expect("a request for a certificate");
}

/// What became of a command: its first hold, or nothing where it ended without one.
fn first_hold(scene: &Scene, user: &str, child: &mut Child, what: &str) -> Option<Value> {
    wait_until(TIME_MAX, &format!("`{what}` ends or is held"), || {
        let ended = child.try_wait().expect("a process").is_some();
        let holds = scene.shield.cli_json(&scene.reviewer, &["holds"]);
        let items = holds["items"].as_array().cloned().unwrap_or_default();
        let own = |it: &Value| it["user"]["username"] == user && it["state"] == "pending";
        let hold = items.into_iter().find(own);
        (ended || hold.is_some()).then_some(hold)
    })
}

#[test]
fn each_destructive_command_is_held_for_what_it_does() {
    let scene = Scene::new("commands");
    let spare = scene.cluster.unique("commands-spare");
    let (n, cordoned) = (scene.cluster.unique("commands-n"), scene.cluster.unique("commands-c"));
    let name = scene.cluster.unique("commands-csr");
    let dir = scene.shield.data_dir().join("files");
    fs::create_dir_all(&dir).expect("a folder");
    let words = Words(vec![
        ("ns", scene.prod.clone()),
        ("spare", spare.clone()),
        ("n", n.clone()),
        ("cordoned", cordoned.clone()),
        ("csr", name.clone()),
        ("f", dir.display().to_string()),
    ]);
    files(&scene, &dir, &words);
    csr(&scene, &name);
    let nodes = [namespace(&spare, "production"), node(&n, false), node(&cordoned, false)];
    scene.cluster.apply(&list(&nodes)).expect("nodes");
    scene.cluster.apply(&list(&objects(&scene))).expect("objects");
    // A second revision, to go back from.
    let admin = |args: &[&str]| {
        let said = scene.cluster.kubectl_says(&[&["-n", scene.prod.as_str()], args].concat());
        assert!(said.is_some(), "kubectl {args:?}");
    };
    admin(&["set", "image", "deployment/web", "c=nginx:1.26"]);
    // Pruned is only what an apply on the client's side has made.
    admin(&["apply", "-f", &dir.join("pruned.yaml").display().to_string()]);
    // A pod on the node that is drained: bound by hand, whatever the scheduler likes.
    let pinned = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "pinned", "namespace": scene.prod, "labels": {"app": "pinned"}},
        "spec": {"nodeName": cordoned, "containers": [{"name": "c", "image": "nginx:1.25"}]},
    });
    scene.cluster.apply(&pinned).expect("a pod");
    admin(&["cordon", &cordoned]);
    admin(&["rollout", "status", "deployment/web", "--timeout=60s"]);

    let all = all_rights();
    let mut wrong = Vec::new();
    for (index, (command, want)) in COMMANDS.iter().enumerate() {
        let agent = scene.cluster.cluster_agent(&scene.dev, &format!("agent-{index}"), &all);
        let agent = agent.expect("an agent");
        let kubeconfig: PathBuf = scene.shield.kubeconfig(&agent);
        let command = words.fill(command);
        let mut child = scene.shell(&kubeconfig, &command);
        let hold = first_hold(&scene, &agent.username, &mut child, &command);
        let effects = hold.as_ref().and_then(|it| it["effects"].as_array().cloned());
        let effects = effects.unwrap_or_default();
        let kinds: Vec<&str> = effects.iter().filter_map(|it| it["kind"].as_str()).collect();
        match (&hold, want.is_empty()) {
            (None, true) => {}
            (Some(_), false) if want.iter().all(|it| kinds.contains(it)) => {}
            (None, false) => {
                let _ = child.kill();
                let output = child.wait_with_output().expect("a process");
                let (out, error) = (output.stdout, output.stderr);
                let said = [out, error].map(|it| String::from_utf8_lossy(&it).into_owned());
                wrong.push(format!("`{command}` was not held: {said:?}"));
                continue;
            }
            _ => wrong.push(format!("`{command}`: {kinds:?}, and not {want:?}")),
        }
        if let Some(hold) = hold {
            scene.decide("deny", hold["id"].as_str().unwrap_or_default(), "not now");
        }
        // What it says of a denial, and whether it tries something else, is not asked here.
        let _ = child.kill();
        let _ = child.wait();
    }
    // Nothing of it took effect: every object is there, as it was.
    let web = format!("/apis/apps/v1/namespaces/{}/deployments/web", scene.prod);
    let web = scene.cluster.get(&web).expect("the deployment");
    assert_eq!(web["spec"]["replicas"], 4);
    assert_eq!(web["spec"]["template"]["spec"]["containers"][0]["image"], "nginx:1.26");
    let _ = scene.cluster.kubectl_says(&["delete", "node", &n, &cordoned, "--wait=false"]);
    let _ = scene.cluster.kubectl_says(&["delete", "csr", &name]);
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), COMMANDS.len(), wrong.join("\n"));
}
