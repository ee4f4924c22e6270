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
fn errors_say_what_is_missing() {
    let scene = Scene::new("missing");
    let prod = &scene.prod;
    let text_of = |operator: &Path, code: i32, args: &[&str]| {
        let output = operate_as(&scene, operator, args);
        assert_eq!(output.status.code(), Some(code), "{}", said(&output));
        said(&output)
    };
    let admin = scene.cluster.kubeconfig();
    let bot = scene.cluster.unique("bot");
    let create = |namespaces: &str| {
        ["create", &bot, "-n", namespaces, "--preset", "triage"].map(str::to_owned)
    };
    let run = |operator: &Path, code: i32, namespaces: &str, more: &[&str]| {
        let args = create(namespaces);
        let args: Vec<&str> = args.iter().map(String::as_str).chain(more.iter().copied()).collect();
        text_of(operator, code, &args)
    };
    let text = run(&admin, 1, &format!("{prod},nowhere,neither"), &[]);
    assert!(text.contains("`neither`, `nowhere`") && !text.contains(prod), "{text}");
    let text = text_of(&admin, 2, &["create", "My_Bot", "-n", prod, "--preset", "triage"]);
    assert!(text.contains("`my-bot` would do"), "{text}");
    for time in ["5m", "25h", "soon"] {
        let text = run(&admin, 2, prod, &["--token-time", time]);
        assert!(text.contains("10m") || text.contains("is not a time"), "{text}");
    }

    // Who may look but not make is told each right, and what to do about those in all namespaces.
    let viewer = scene.cluster.person("viewer", &[]).expect("a person");
    let bind = |role: &str, user: &str| {
        let binding = scene.cluster.unique(role);
        let (role, user) = (format!("--clusterrole={role}"), format!("--user={user}"));
        let args = ["-n", prod, "create", "rolebinding", &binding, &role, &user];
        scene.cluster.kubectl_says(&args).expect("a binding");
    };
    let text = run(&viewer, 4, prod, &[]);
    assert!(text.contains("--home") && text.contains("cannot list resource"), "{text}");
    let text = run(&viewer, 4, prod, &["--home", prod]);
    assert!(text.contains("cannot read Namespace"), "{text}");
    let look = ["create", "role", "look", "--verb=get,list"];
    let what = "--resource=namespaces,serviceaccounts,roles,rolebindings";
    let mut args = vec!["-n", prod];
    args.extend(look);
    args.push(what);
    scene.cluster.kubectl_says(&args).expect("a role");
    let args = ["-n", prod, "create", "rolebinding", "look", "--role=look", "--user=viewer"];
    scene.cluster.kubectl_says(&args).expect("a binding");
    let text = run(&viewer, 4, prod, &["--home", prod]);
    for right in [
        "create roles.rbac.authorization.k8s.io",
        "create rolebindings.rbac.authorization.k8s.io",
        "create serviceaccounts",
        "create serviceaccounts/token",
    ] {
        assert!(text.contains(&format!("{right} in namespace {prod}")), "{right}: {text}");
    }
    assert!(text.contains("nothing was changed"), "{text}");

    // Who may make Roles can still not give away what is not theirs.
    let maker = scene.cluster.person("maker", &[]).expect("a person");
    bind("admin", "maker");
    let text = run(&maker, 4, prod, &["--home", prod]);
    assert!(text.contains("not currently held") && text.contains("`escalate`"), "{text}");
    assert_eq!(roles_of(&scene, &bot), 0);

    let nowhere = scene.shield.data_dir().join("nowhere.kubeconfig");
    let user = json!({"token": "x"});
    scene
        .cluster
        .write_kubeconfig(&nowhere, "https://127.0.0.1:1", &scene.cluster.ca(), &user)
        .expect("a kubeconfig");
    let text = text_of(&nowhere, 5, &["list"]);
    assert!(text.contains("cannot reach the API server"), "{text}");
}
