//! Who asks: nothing runs with the proxy's rights, and no agent decides.

use cluster::{Scene, deployment};
use serde_json::json;
use testkit::{http, wait_until};

#[test]
fn nothing_runs_with_the_rights_of_the_proxy() {
    let scene = Scene::new("nobody");
    let prod = &scene.prod;
    scene.cluster.apply(&deployment(prod, "web", 2)).expect("a deployment");
    let target = format!("/apis/apps/v1/namespaces/{prod}/deployments/web");
    let token = format!("Bearer {}", scene.agent.token);
    let twice = [("Authorization", token.as_str()), ("Authorization", token.as_str())];
    type Row<'a> = (&'a str, Vec<(&'a str, &'a str)>, u16, u16);
    let table: [Row; 10] = [
        ("no credential", vec![], 403, 403),
        ("an invalid token", vec![("Authorization", "Bearer nonsense")], 401, 401),
        ("an empty token", vec![("Authorization", "Bearer ")], 403, 403),
        ("another scheme", vec![("Authorization", "Basic YWRtaW46YWRtaW4=")], 403, 403),
        ("two credentials", twice.to_vec(), 400, 400),
        ("impersonation", vec![("Authorization", &token), ("Impersonate-User", "admin")], 403, 403),
        (
            "impersonation by uid",
            vec![("Authorization", &token), ("Impersonate-Uid", "1")],
            403,
            403,
        ),
        ("a look-alike", vec![("Authorization", &token), ("X_Remote_User", "admin")], 400, 400),
        (
            "a Connection that drops identities",
            vec![("Authorization", &token), ("Connection", "close, Authorization")],
            400,
            400,
        ),
        (
            "a front proxy's word",
            vec![("X-Remote-User", "admin"), ("X-Remote-Group", "system:masters")],
            403,
            403,
        ),
    ];
    for (what, headers, read, write) in &table {
        for (method, want) in [("GET", read), ("DELETE", write)] {
            let (url, ca) = (&scene.shield.agent_url, scene.shield.ca());
            let answer = http::request(url, &ca, method, &target, headers, b"").expect("an answer");
            assert_eq!(answer.status, *want, "{what}, {method}: {}", answer.text());
        }
    }
    assert!(scene.cluster.get(&target).is_some());
    let own = scene.cluster.audit_events(|event| {
        event["user"]["username"] == "system:serviceaccount:agent-shield:agent-shield"
            && event["verb"] == "delete"
            && event["requestURI"].as_str().is_some_and(|uri| uri.starts_with(&target))
    });
    assert!(own.is_empty(), "{own:?}");
}

#[test]
fn an_agent_never_decides() {
    let scene = Scene::new("decides");
    scene.cluster.apply(&deployment(&scene.prod, "web", 2)).expect("a deployment");
    let kubeconfig = scene.shield.kubeconfig(&scene.agent);
    let mut delete = scene
        .cluster
        .kubectl_as(&kubeconfig)
        .args(["-n", &scene.prod, "delete", "deployment", "web"])
        .spawn()
        .expect("kubectl");
    let hold = scene.pending(&scene.prod, "web");
    let id = hold["id"].as_str().unwrap_or_default();
    // RBAC would allow the agent everything, this too.
    for verb in ["approve", "deny"] {
        let mut command = scene.shield.cli(&scene.agent.kubeconfig);
        let digest = format!("--digest={}", "0".repeat(64));
        command.args([verb, id]).args((verb == "approve").then_some(digest));
        let output = command.output().expect("a CLI");
        assert_eq!(output.status.code(), Some(4));
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(error.contains("can never review"), "{error}");
    }
    // A person without the right is told which one is missing.
    let nobody = scene.cluster.person("nobody", &[]).expect("a person");
    let output = scene.shield.cli(&nobody).args(["holds"]).output().expect("a CLI");
    assert_eq!(output.status.code(), Some(4));
    assert!(String::from_utf8_lossy(&output.stderr).contains("bind a role"));
    // An id that is nearly right.
    let mut typed: Vec<char> = id.chars().collect();
    typed.swap(0, 1);
    let typed: String = typed.into_iter().collect();
    let output = scene.shield.cli(&scene.reviewer).args(["show", &typed]).output().expect("a CLI");
    assert_eq!(output.status.code(), if typed == id { Some(0) } else { Some(3) });
    // Routes of the review API without a credential.
    for (method, target) in [
        ("GET", "/v1/holds".to_owned()),
        ("GET", format!("/v1/holds/{id}")),
        ("POST", format!("/v1/holds/{id}/approve")),
        ("POST", format!("/v1/holds/{id}/deny")),
        ("POST", format!("/v1/holds/{id}/withdraw")),
        ("POST", format!("/v1/holds/{id}/lift")),
        ("POST", format!("/v1/holds/{id}/extend")),
        ("GET", "/v1/denials".to_owned()),
        ("GET", "/v1/timeline".to_owned()),
        ("GET", "/v1/namespaces".to_owned()),
        ("GET", "/nope".to_owned()),
    ] {
        let (url, ca) = (&scene.shield.review_url, scene.shield.ca());
        let answer = http::request(url, &ca, method, &target, &[], b"").expect("an answer");
        assert_eq!(answer.status, 401, "{method} {target}");
        // Nor is it to be had through the agents' door, where a POST to no resource would be held.
        if method == "GET" {
            let answer = scene.shield.request(&scene.agent, method, &target, None, b"");
            assert_eq!(answer.status, 404, "{method} {target}");
        }
    }
    scene.decide("deny", id, "no");
    assert!(!delete.wait().expect("kubectl").success());
    // The same by another route stays denied, without asking anybody again.
    let target =
        format!("/apis/apps/v1/namespaces/{}/deployments?labelSelector=app%3Dweb", scene.prod);
    let answer = scene.shield.request(&scene.agent, "DELETE", &target, None, b"");
    assert_eq!(answer.status, 403, "{}", answer.text());
    assert!(answer.text().contains("denied the same at"), "{}", answer.text());
}

/// Sends a secret in each way in which a request cannot be read, and denies what is held of it; all that
/// holds said.
fn refused_in_every_way(scene: &Scene, planted: &str) -> String {
    let secrets = format!("/api/v1/namespaces/{}/secrets", scene.prod);
    let (one, pods) = (format!("{secrets}/s"), format!("/api/v1/namespaces/{}/pods", scene.prod));
    let map = format!("/api/v1/namespaces/{}/configmaps/kube-root-ca.crt", scene.prod);
    let head = "apiVersion: v1\nkind: Secret\nmetadata: {name: t}\nstringData:\n";
    let twice = format!("{head}  password: {planted}\n  password: {planted}\n");
    let json = format!(r#"{{"kind":"Secret","stringData":{{"p":"{planted}","p":"{planted}"}}}}"#);
    let (yaml, apply) = ("application/yaml", "application/apply-patch+yaml");
    let table = [
        (("POST", secrets.clone()), yaml, twice.clone()),
        (("POST", secrets.clone()), yaml, format!("{head}  password: [{planted}\n")),
        (("POST", secrets.clone()), yaml, format!("{head}  password: *{planted}\n")),
        (
            ("PATCH", format!("{one}?fieldManager=x&force=true")),
            apply,
            twice.replace("name: t", "name: s"),
        ),
        (("PUT", one.clone()), yaml, twice.replace("name: t", "name: s")),
        (("POST", secrets.clone()), "application/json", json),
        (("POST", secrets.clone()), "application/json", format!(r#"{{"a":{planted}}}"#)),
        (
            ("POST", secrets.clone()),
            "application/vnd.kubernetes.protobuf",
            format!("k8s\0{planted}"),
        ),
        (("POST", secrets.clone()), "application/cbor", planted.to_owned()),
        (
            ("PATCH", one.clone()),
            "application/merge-patch+json",
            format!(r#"{{"data":"{planted}"}}"#),
        ),
        (("DELETE", one.clone()), "application/json", format!(r#"{{"token":"{planted}"}}"#)),
        (("DELETE", map), "application/cbor", planted.to_owned()),
        (("DELETE", format!("{one}?gracePeriodSeconds=x&token={planted}")), "", String::new()),
        (("GET", format!("{pods}?a=1;token={planted}")), "", String::new()),
        (("GET", format!("{pods}?tok%65n={planted}&a=1;b=2")), "", String::new()),
        (
            ("POST", format!("{pods}/web/exec?command=sh&command=TOKEN%3D{planted}%20x")),
            "",
            String::new(),
        ),
    ];
    let mut said = String::new();
    for ((method, target), content_type, body) in table {
        let content_type = (!content_type.is_empty()).then_some(content_type);
        std::thread::scope(|scope| {
            let send = || {
                scene.shield.request(&scene.agent, method, &target, content_type, body.as_bytes())
            };
            let sent = scope.spawn(send);
            while !sent.is_finished() {
                let holds =
                    scene.shield.cli_json(&scene.reviewer, &["holds", "--state", "pending"]);
                for hold in holds["items"].as_array().into_iter().flatten() {
                    let id = hold["id"].as_str().unwrap_or_default();
                    said.push_str(
                        &scene.shield.cli_json(&scene.reviewer, &["show", id]).to_string(),
                    );
                    let _ = scene.shield.decide(&scene.reviewer, "deny", id, "");
                }
            }
            let answer = sent.join().expect("an answer");
            assert!(answer.status > 0, "{method} {target}");
        });
    }
    assert!(said.contains("that are not shown"), "nothing was held that cannot be read: {said}");
    said
}

#[test]
fn secrets_are_nowhere_but_in_the_cluster() {
    let scene = Scene::new("planted");
    let planted = "cGxhbnRlZC1zZWNyZXQtdmFsdWU";
    let target = format!("/api/v1/namespaces/{}/secrets", scene.prod);
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"},
        "stringData": {"password": planted},
    });
    let json_type = Some("application/json");
    let answer = scene.shield.request(
        &scene.agent,
        "POST",
        &target,
        json_type,
        secret.to_string().as_bytes(),
    );
    assert_eq!(answer.status, 201, "{}", answer.text());
    let shield = &scene.shield;
    let patch = json!({"stringData": {"password": format!("{planted}2")}}).to_string();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let merge = Some("application/merge-patch+json");
            shield.request(&scene.agent, "PATCH", &format!("{target}/s"), merge, patch.as_bytes())
        });
        let hold = scene.pending(&scene.prod, "s");
        let id = hold["id"].as_str().unwrap_or_default();
        let mut shown = String::new();
        for args in
            [vec!["show", id], vec!["show", id, "-o", "json"], vec!["timeline", "-o", "json"]]
        {
            let output = shield.cli(&scene.reviewer).args(&args).output().expect("a CLI");
            shown.push_str(&String::from_utf8_lossy(&output.stdout));
        }
        assert!(shown.contains("redacted"), "{shown}");
        assert!(!shown.contains(planted), "{shown}");
        scene.decide("deny", id, "");
        assert_eq!(waiting.join().expect("an answer").status, 403);
    });
    let shown = refused_in_every_way(&scene, planted);
    assert!(!shown.contains(planted), "{shown}");
    let encoded = "Y0d4aGJuUmxaQzF6WldOeVpYUXRkbUZzZFdV"; // The same in base64.
    wait_until(std::time::Duration::from_secs(10), "reads are recorded", || {
        let calls = shield.cli_json(&scene.reviewer, &["timeline", "--probes"]);
        (calls["items"].as_array()?.len() > 3).then_some(())
    });
    for file in std::fs::read_dir(shield.data_dir()).expect("a data directory") {
        let path = file.expect("a file").path();
        let bytes = std::fs::read(&path).expect("its bytes");
        for needle in [planted, encoded, scene.agent.token.as_str()] {
            let found = bytes.windows(needle.len()).any(|window| window == needle.as_bytes());
            let is_kubeconfig = path.extension().is_some_and(|it| it == "kubeconfig");
            assert!(!found || is_kubeconfig, "{} holds {needle}", path.display());
        }
    }
}
