//! Agents as `agent create` makes them: what each preset can and cannot do, on a real API server.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Output,
    time::Duration,
};

use cluster::{Scene, deployment};
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

#[test]
fn each_preset_can_do_this_and_nothing_else() {
    let scene = Scene::new("presets");
    let (prod, dev) = (&scene.prod, &scene.dev);
    let presets = ["read-only", "triage", "deployer"];
    let agents = presets.map(|it| {
        let name = scene.cluster.unique(it);
        create(&scene, &name, &format!("{prod},{dev}"), it)
    });
    let in_prod: [(&str, [bool; 3]); 36] = [
        ("list pods", [true, true, true]),
        ("watch pods", [true, true, true]),
        ("get pods --subresource=log", [true, true, true]),
        ("get configmaps", [true, true, true]),
        ("list events", [true, true, true]),
        ("list events.events.k8s.io", [true, true, true]),
        ("list endpointslices.discovery.k8s.io", [true, true, true]),
        ("list poddisruptionbudgets", [true, true, true]),
        ("get persistentvolumeclaims", [true, true, true]),
        ("list jobs.batch", [true, true, true]),
        ("delete pods", [false, true, true]),
        ("create pods --subresource=eviction", [false, true, true]),
        ("patch deployments.apps", [false, true, true]),
        ("patch daemonsets.apps", [false, true, true]),
        ("update statefulsets.apps --subresource=scale", [false, true, true]),
        ("create events", [false, true, true]),
        ("delete deployments.apps", [false, false, true]),
        ("create deployments.apps", [false, false, true]),
        ("update services", [false, false, true]),
        ("delete configmaps", [false, false, true]),
        ("create ingresses.networking.k8s.io", [false, false, true]),
        ("create cronjobs.batch", [false, false, true]),
        ("patch horizontalpodautoscalers.autoscaling", [false, false, true]),
        ("create persistentvolumeclaims", [false, false, true]),
        ("delete persistentvolumeclaims", [false, false, false]),
        ("get secrets", [false, false, false]),
        ("list secrets", [false, false, false]),
        ("create secrets", [false, false, false]),
        ("create pods", [false, false, false]),
        ("create pods --subresource=exec", [false, false, false]),
        ("get pods --subresource=exec", [false, false, false]),
        ("create serviceaccounts --subresource=token", [false, false, false]),
        ("create rolebindings.rbac.authorization.k8s.io", [false, false, false]),
        ("escalate roles.rbac.authorization.k8s.io", [false, false, false]),
        ("delete namespaces", [false, false, false]),
        ("* *", [false, false, false]),
    ];
    let elsewhere = [
        ("list pods", "-n=default"),
        ("delete deployments.apps", "-n=kube-system"),
        ("list pods", "-A"),
        ("list nodes", "-A"),
        ("list namespaces", "-A"),
        ("create clusterrolebindings.rbac.authorization.k8s.io", "-A"),
        ("impersonate users", "-A"),
    ];
    for (agent, column) in agents.iter().zip(0..) {
        let preset = presets[column];
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
        for (what, want) in &in_prod {
            assert_eq!(can(what, &format!("-n={prod}")), want[column], "{preset}: {what}");
        }
        assert!(can("list pods", &format!("-n={dev}")), "{preset}");
        for (what, place) in elsewhere {
            assert!(!can(what, place), "{preset}: {what} {place}");
        }
    }
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
