//! Every way in: client certificates of agents, and each credential that the proxy itself may have.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
    time::Duration,
};

use cluster::{Scene, define, definition, deployment, is_ready, list};
use serde_json::{Value, json};
use testkit::{
    Agent, Cluster, Credential, Shield, base64, http::Connection, own_address, own_range, rbac_own,
    wait_until,
};

const BOT: &str = "certificate-bot";
const BOTS: &str = "certificate-bots";

fn kubectl(scene: &Scene, kubeconfig: &Path, args: &[&str]) -> Output {
    scene.cluster.kubectl_as(kubeconfig).args(args).output().expect("kubectl")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

/// Rights of the certificate's group in the scene's namespace in production.
fn bind_bots(scene: &Scene) {
    let api = "rbac.authorization.k8s.io";
    let metadata = json!({"name": "bots", "namespace": scene.prod});
    let items = [
        json!({
            "apiVersion": format!("{api}/v1"), "kind": "Role", "metadata": metadata,
            "rules": [{"apiGroups": ["apps"], "resources": ["*"], "verbs": ["*"]}],
        }),
        json!({
            "apiVersion": format!("{api}/v1"), "kind": "RoleBinding", "metadata": metadata,
            "roleRef": {"apiGroup": api, "kind": "Role", "name": "bots"},
            "subjects": [{"apiGroup": api, "kind": "Group", "name": BOTS}],
        }),
        deployment(&scene.prod, "web", 2),
    ];
    scene.cluster.apply(&list(&items)).expect("objects");
}

#[test]
fn certificate_agents_are_held_and_recorded_under_their_own_names() {
    let scene = Scene::new("certificates");
    bind_bots(&scene);
    let (shield, prod) = (&scene.shield, scene.prod.as_str());
    let kubeconfig = scene.certified(shield, BOT, &[BOTS]);
    let get = kubectl(&scene, &kubeconfig, &["-n", prod, "get", "deployment", "web"]);
    assert!(get.status.success(), "{}", said(&get));
    let whoami = kubectl(&scene, &kubeconfig, &["auth", "whoami", "-o", "json"]);
    let whoami: Value = serde_json::from_slice(&whoami.stdout).expect("JSON");
    let info = &whoami["status"]["userInfo"];
    assert_eq!(info["username"], BOT);
    assert_eq!(info["groups"], json!([BOTS, "system:authenticated"]));
    // RBAC judges the agent, not the proxy.
    let secrets = kubectl(&scene, &kubeconfig, &["-n", prod, "get", "secrets"]);
    assert!(said(&secrets).contains("cannot list resource \"secrets\""), "{}", said(&secrets));

    let delete = scene
        .cluster
        .kubectl_as(&kubeconfig)
        .args(["-n", prod, "delete", "deployment", "web"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("kubectl");
    let hold = scene.pending(prod, "web");
    assert_eq!(hold["user"]["username"], BOT, "{hold}");
    assert!(scene.ran(hold["auditID"].as_str().unwrap_or_default()).is_empty());
    scene.decide("approve", hold["id"].as_str().unwrap_or_default(), "known");
    let deleted = delete.wait_with_output().expect("kubectl");
    assert!(deleted.status.success(), "{}", said(&deleted));
    let ran = scene.ran(hold["auditID"].as_str().unwrap_or_default());
    let [event] = ran.as_slice() else { panic!("{ran:?}") };
    assert_eq!(event["impersonatedUser"]["username"], BOT);
    let calls = wait_until(Duration::from_secs(10), "the reads are recorded", || {
        let calls = shield.cli_json(&scene.reviewer, &["timeline", "--agent", BOT]);
        let calls = calls["items"].as_array()?.clone();
        (calls.len() >= 3).then_some(calls)
    });
    let of_delete = calls.iter().find(|call| call["auditID"] == hold["auditID"]);
    assert!(of_delete.is_some_and(|call| call["user"]["username"] == BOT), "{calls:?}");

    // Whoever is an agent decides nothing, whatever RBAC says of them.
    let person = scene.cluster.reviewer(BOT);
    let output = shield.cli(&person).arg("holds").output().expect("a CLI");
    assert_eq!(output.status.code(), Some(4), "{}", said(&output));
    assert!(said(&output).contains("has sent requests as an agent"), "{}", said(&output));
}

#[test]
fn certificates_that_nobody_may_come_with() {
    let scene = Scene::new("refused-certificates");
    bind_bots(&scene);
    let target = format!("/apis/apps/v1/namespaces/{}/deployments/web", scene.prod);
    let listed = Shield::start(
        scene.cluster,
        &["--allow-system-certificate", "system:masters", "--hold-open", "1s"],
    );
    let other = rcgen_certificate(&scene, &scene.shield);
    let header = |text: String| ["--header".to_owned(), text];
    let token = header(format!("Authorization: Bearer {}", scene.agent.token));
    let master = header("Impersonate-Group: system:masters".to_owned());
    type Row<'a> = (&'a str, PathBuf, &'a [String], &'a str);
    let shield = &scene.shield;
    let table: [Row; 7] = [
        (
            "a master",
            scene.certified(shield, "root", &["system:masters"]),
            &[],
            "certificates of the system are refused",
        ),
        (
            "a component",
            scene.certified(shield, "system:kube-scheduler", &[]),
            &[],
            "certificates of the system are refused",
        ),
        (
            "a master whom the owner lists still needs the proxy's right",
            scene.certified(&listed, "root", &["system:masters"]),
            &[],
            "cannot impersonate resource",
        ),
        (
            "a name that the proxy may not take",
            scene.certified(shield, "somebody", &[]),
            &[],
            "cannot impersonate resource \"users\"",
        ),
        ("another authority", other, &[], "not one of this cluster's"),
        (
            "somebody else's name",
            scene.certified(shield, BOT, &[BOTS]),
            &master,
            "an agent may not impersonate anybody",
        ),
        ("two credentials", scene.certified(shield, BOT, &[BOTS]), &token, "send one of them"),
    ];
    for (what, kubeconfig, more, want) in &table {
        for method in ["GET", "DELETE"] {
            let answer = curl(kubeconfig, method, &target, more);
            let message = answer["message"].as_str().unwrap_or_default();
            assert_eq!(answer["status"], "Failure", "{what}: {method}: {answer}");
            assert!(message.contains(want), "{what}: {method}: {message}");
        }
    }
    assert!(
        scene.cluster.get(&target).is_some_and(|it| it["metadata"]["deletionTimestamp"].is_null())
    );
}

/// One request with the certificate of a kubeconfig: kubectl keeps the message of a refused
/// discovery to itself.
fn curl(kubeconfig: &Path, method: &str, target: &str, more: &[String]) -> Value {
    let kubeconfig: Value =
        serde_json::from_str(&fs::read_to_string(kubeconfig).expect("a kubeconfig")).expect("JSON");
    let text = |path: &str| kubeconfig.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let output = std::process::Command::new("curl")
        .args(["--silent", "--show-error", "--request", method])
        .args(["--cacert", text("/clusters/0/cluster/certificate-authority")])
        .args(["--cert", text("/users/0/user/client-certificate")])
        .args(["--key", text("/users/0/user/client-key")])
        .args(more)
        .arg(format!("{}{target}", text("/clusters/0/cluster/server")))
        .output()
        .expect("curl");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("curl: {}", said(&output)))
}

/// A kubeconfig with a certificate that another authority has signed, for the same name.
fn rcgen_certificate(scene: &Scene, shield: &Shield) -> PathBuf {
    let dir = shield.data_dir().join("other");
    fs::create_dir_all(&dir).expect("a directory");
    let run = |args: &[&str]| {
        let output = std::process::Command::new("openssl").args(args).current_dir(&dir).output();
        assert!(output.is_ok_and(|it| it.status.success()), "openssl {args:?}");
    };
    run(&[
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        "key.pem",
        "-out",
        "cert.pem",
        "-subj",
        &format!("/O={BOTS}/CN={BOT}"),
        "-days",
        "1",
        "-addext",
        "extendedKeyUsage=clientAuth",
    ]);
    let file = dir.join("kubeconfig");
    let user =
        json!({"client-certificate": dir.join("cert.pem"), "client-key": dir.join("key.pem")});
    scene.cluster.write_kubeconfig(&file, &shield.agent_url, &shield.ca(), &user).expect("a file");
    file
}

/// Creates a ConfigMap in the namespace declared non-production: forwarded when all is well.
fn write(scene: &Scene, shield: &Shield) -> u16 {
    let target = format!("/api/v1/namespaces/{}/configmaps", scene.dev);
    let body = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "c-"},
    });
    let json = Some("application/json");
    shield.request(&scene.agent, "POST", &target, json, body.to_string().as_bytes()).status
}

#[test]
fn starts_in_a_cluster_and_protects_its_own_namespace() {
    let scene = Scene::new("in-cluster");
    let dir = scene.shield.data_dir().join("serviceaccount");
    fs::create_dir_all(&dir).expect("a directory");
    let token = scene.cluster.bare_token("agent-shield", "agent-shield").expect("a token");
    fs::write(dir.join("token"), token).expect("a token");
    fs::copy(scene.cluster.ca(), dir.join("ca.crt")).expect("a CA");
    let home = scene.cluster.unique("in-cluster-home");
    scene.cluster.apply(&cluster::namespace(&home, "dev")).expect("a namespace");
    fs::write(dir.join("namespace"), &home).expect("a namespace");
    let shield =
        Shield::start_as(scene.cluster, Credential::InCluster(dir), &["--hold-open", "1s"]);
    assert_eq!(write(&scene, &shield), 201);
    // Declared non-production, and yet protected: agent-shield runs there.
    let target = format!("/api/v1/namespaces/{home}/configmaps");
    let body = br#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"}}"#;
    let json = Some("application/json");
    let answer = shield.request(&scene.agent, "POST", &target, json, body);
    assert_eq!(answer.status, 429, "{}", answer.text());
    assert!(answer.text().contains("write-in-protected-namespace"), "{}", answer.text());
}

#[test]
fn starts_with_an_exec_plugin() {
    let scene = Scene::new("exec-plugin");
    let token = scene.cluster.bare_token("agent-shield", "agent-shield").expect("a token");
    let dir = scene.shield.data_dir();
    exec_credential(&dir.join("credential.json"), &token);
    let user = json!({"exec": {
        "apiVersion": "client.authentication.k8s.io/v1", "command": "cat",
        "args": [dir.join("credential.json")], "interactiveMode": "Never",
    }});
    let file = dir.join("exec.kubeconfig");
    let (server, ca) = (scene.cluster.server(), scene.cluster.ca());
    scene.cluster.write_kubeconfig(&file, server, &ca, &user).expect("a kubeconfig");
    let shield = Shield::start_as(scene.cluster, Credential::Kubeconfig(file), &[]);
    assert_eq!(write(&scene, &shield), 201);
}

/// A token of agent-shield's account that ends with a Secret.
fn token_bound_to(scene: &Scene, secret: &str) -> String {
    let bound = ["--bound-object-kind", "Secret", "--bound-object-name", secret];
    let create = ["-n", "agent-shield", "create", "token", "agent-shield"];
    scene.cluster.kubectl_says(&[create.as_slice(), &bound].concat()).expect("a token")
}

fn exec_credential(file: &Path, token: &str) {
    let credential = json!({
        "apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
        "status": {"token": token},
    });
    fs::write(file, credential.to_string()).expect("a file");
}

#[test]
fn its_own_credential_is_read_anew_where_it_comes_from() {
    let scene = Scene::new("renewed-credential");
    let cluster = scene.cluster;
    let secret = cluster.unique("own-credential");
    let of = json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": secret, "namespace": "agent-shield"},
    });
    cluster.apply(&of).expect("a Secret");
    let token = token_bound_to(&scene, &secret);
    let file = |name: &str| scene.shield.data_dir().join(name);
    let (inline, exec, plugin) =
        (file("inline.kubeconfig"), file("exec.kubeconfig"), file("credential.json"));
    let configure = |file: &Path, user: Value| {
        cluster.write_kubeconfig(file, cluster.server(), &cluster.ca(), &user).expect("a file");
    };
    configure(&inline, json!({"token": token}));
    // It names no time at which its word ends: only the API server's answer tells.
    let api = "client.authentication.k8s.io/v1";
    let run = json!({
        "apiVersion": api, "command": "cat", "args": [plugin], "interactiveMode": "Never",
    });
    exec_credential(&plugin, &token);
    configure(&exec, json!({"exec": run}));
    let shields = [&inline, &exec].map(|file| {
        Shield::start_as(cluster, Credential::Kubeconfig(file.clone()), &["--hold-open", "1s"])
    });
    let [of_token, _] = &shields;
    assert!(of_token.log().contains("a token of the kubeconfig"), "{}", of_token.log());
    assert!(of_token.log().contains("ends in "), "{}", of_token.log());
    for shield in &shields {
        assert_eq!(write(&scene, shield), 201);
    }

    let gone = ["-n", "agent-shield", "delete", "secret", &secret];
    cluster.kubectl_says(&gone).expect("a Secret that is gone");
    for shield in &shields {
        // The API server remembers tokens for some seconds.
        wait_until(Duration::from_secs(60), "the credential is not known any more", || {
            (write(&scene, shield) != 201).then_some(())
        });
        let log = shield.log();
        assert!(log.contains("does not know agent-shield's own credential"), "{log}");
        for debug in ["ApiError", "Status {", "Some("] {
            assert!(!log.contains(debug), "{debug}: {log}");
        }
    }

    let token = cluster.bare_token("agent-shield", "agent-shield").expect("a token");
    configure(&inline, json!({"token": token}));
    exec_credential(&plugin, &token);
    for shield in &shields {
        wait_until(Duration::from_secs(30), "the new credential is used", || {
            (write(&scene, shield) == 201).then_some(())
        });
    }

    // From a token to a client certificate, while the token is still good.
    let name = cluster.unique("renewed");
    let files = cluster.certified_user(&name, &["system:masters"]).expect("a person");
    let read = |what: &str| base64(&fs::read(files[what].as_str().expect("a path")).expect("it"));
    let user = json!({
        "client-certificate-data": read("client-certificate"),
        "client-key-data": read("client-key"),
    });
    configure(&inline, user);
    wait_until(Duration::from_secs(30), "the certificate is used", || {
        write(&scene, of_token);
        let by_it = |event: &Value| event["user"]["username"] == name.as_str();
        (!cluster.audit_events_about(&name, by_it).is_empty()).then_some(())
    });

    // A file that leads elsewhere takes nobody's credential there.
    let other = "https://203.0.113.9";
    cluster
        .write_kubeconfig(&inline, other, &cluster.ca(), &json!({"token": "x"}))
        .expect("a file");
    wait_until(Duration::from_secs(30), "another cluster is refused", || {
        assert_eq!(write(&scene, of_token), 201);
        of_token.log().contains("names another cluster now").then_some(())
    });
}

/// A right by its rule in what `rbac own` prints, and what shows that it is used.
struct Used {
    verb: &'static str,
    resource: &'static str,
    works: fn(&Scene, &Shield) -> bool,
}

fn reviewer_lists(scene: &Scene, shield: &Shield) -> bool {
    shield.cli(&scene.reviewer).arg("holds").output().expect("a CLI").status.success()
}

fn namespaces_are_listed(scene: &Scene, shield: &Shield) -> bool {
    is_listed(scene, shield, &scene.prod)
}

fn is_listed(scene: &Scene, shield: &Shield, namespace: &str) -> bool {
    shield.cli_json(&scene.reviewer, &["namespaces"])["items"]
        .as_array()
        .is_some_and(|items| items.iter().any(|it| it["name"] == namespace))
}

/// A namespace that is made after the first list is known by the watch alone.
fn new_namespaces_are_seen(scene: &Scene, shield: &Shield) -> bool {
    let new = scene.cluster.unique("watched");
    scene.cluster.apply(&cluster::namespace(&new, "dev")).expect("a namespace");
    wait_until(Duration::from_secs(30), "the watch shows a namespace, or breaks", || {
        let broke = shield.log().contains("the watch on namespaces broke");
        (broke || is_listed(scene, shield, &new)).then_some(!broke)
    })
}

/// Outside production, and its account may only read: only who cannot know that asks a person.
fn harmless_pod_passes(scene: &Scene, shield: &Shield) -> bool {
    let target = format!("/api/v1/namespaces/{}/pods", scene.dev);
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "p-"},
        "spec": {
            "serviceAccountName": READER,
            "containers": [{"name": "c", "image": "registry.example.com/c:1"}],
        },
    });
    let body = pod.to_string().into_bytes();
    let json = Some("application/json");
    shield.request(&scene.agent, "POST", &target, json, &body).status == 201
}

fn certificate_reads(scene: &Scene, shield: &Shield, groups: &[&str]) -> bool {
    let kubeconfig = scene.certified(shield, BOT, groups);
    kubectl(scene, &kubeconfig, &["get", "--raw", "/version"]).status.success()
}

/// An agent that may not read what the proxy's own rights show.
fn narrow(scene: &Scene) -> Agent {
    let writes = json!([
        {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get", "patch"]},
        {"apiGroups": [""], "resources": ["pods", "pods/proxy", "services/proxy"], "verbs": ["*"]},
        {"apiGroups": ["apps"], "resources": ["*"], "verbs": ["*"]},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list"]},
    ]);
    let both = [scene.dev.as_str(), scene.prod.as_str()];
    scene.cluster.agent(&scene.dev, NARROW, &both, &writes).expect("an agent")
}

/// A Service in the scene's other namespace that ends at this address.
fn serve_at(scene: &Scene, name: &str, address: &str) {
    let metadata = json!({"name": name, "namespace": scene.dev});
    let mut of_slice = metadata.clone();
    of_slice["labels"] = json!({"kubernetes.io/service-name": name});
    let items = [
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": metadata,
            "spec": {"ports": [{"port": 80}]},
        }),
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": of_slice,
            "addressType": "IPv4", "endpoints": [{"addresses": [address]}], "ports": [{"port": 80}],
        }),
    ];
    scene.cluster.apply(&list(&items)).expect("a Service");
}

/// Where the object of this path says that something is.
fn address_of(scene: &Scene, object: &str, pointer: &str) -> String {
    let object = scene.cluster.get(object).expect("an object");
    object.pointer(pointer).and_then(Value::as_str).expect("an address").to_owned()
}

/// A pod whose address is of a node's network is reached: this machine, where nobody listens at the port
/// for discarding.
fn pod_is_reached(scene: &Scene, shield: &Shield) -> bool {
    let (address, range) = (own_address(), own_range());
    let node = json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE},
        "spec": {"unschedulable": true, "podCIDR": range, "podCIDRs": [range]},
    });
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "reached", "namespace": scene.dev},
        "spec": {
            "schedulerName": "nobody", "automountServiceAccountToken": false,
            "containers": [{"name": "c", "image": "registry.example.com/c:1"}],
        },
    });
    scene.cluster.apply(&list(&[node, pod])).expect("a Pod");
    let status = json!({"status": {"podIP": address, "podIPs": [{"ip": address}]}}).to_string();
    let patch =
        ["-n", &scene.dev, "patch", "pod", "reached", "--subresource=status", "-p", &status];
    let patched = scene.cluster.kubectl().args(patch).output().expect("kubectl");
    assert!(patched.status.success(), "{}", said(&patched));
    let target = format!("/api/v1/namespaces/{}/pods/reached:9/proxy/", scene.dev);
    shield.request(&narrow(scene), "GET", &target, None, b"").status == 503
}

/// Who knows whose address a Service reaches denies it; who does not asks a person.
fn relay_is_denied(scene: &Scene, shield: &Shield, address: &str) -> bool {
    serve_at(scene, "relay", address);
    let target = format!("/api/v1/namespaces/{}/services/relay/proxy/", scene.dev);
    shield.request(&narrow(scene), "GET", &target, None, b"").status == 403
}

/// A pod of a Deployment that no budget guards.
fn pod_is_replaced(scene: &Scene, shield: &Shield) -> bool {
    let pods = format!("/api/v1/namespaces/{}/pods?labelSelector=app%3Dfree", scene.prod);
    let pod = wait_until(Duration::from_secs(60), "a pod beside two that are ready", || {
        let pods = scene.cluster.get(&pods)?;
        let stays = |it: &&Value| it["metadata"]["deletionTimestamp"].is_null() && is_ready(it);
        let ready: Vec<&Value> = pods["items"].as_array()?.iter().filter(stays).collect();
        let pod = ready.first().filter(|_| ready.len() >= 3)?;
        pod["metadata"]["name"].as_str().map(str::to_owned)
    });
    let target = format!("/api/v1/namespaces/{}/pods/{pod}", scene.prod);
    shield.request(&narrow(scene), "DELETE", &target, None, b"").status == 200
}

/// A label that no network policy selects by.
fn namespace_is_labelled(scene: &Scene, shield: &Shield) -> bool {
    let target = format!("/api/v1/namespaces/{}", scene.dev);
    let patch = json!({"metadata": {"labels": {"note": scene.cluster.unique("note")}}});
    let merge = Some("application/merge-patch+json");
    let body = patch.to_string().into_bytes();
    shield.request(&narrow(scene), "PATCH", &target, merge, &body).status == 200
}

/// A watch on a WebSocket, which is a read where the API server itself answers.
fn listens_on_a_websocket(scene: &Scene, shield: &Shield) -> bool {
    let (authorization, key) = (format!("Bearer {}", scene.agent.token), base64(&[7; 16]));
    let headers = [
        ("Authorization", authorization.as_str()),
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", key.as_str()),
        ("Origin", shield.agent_url.as_str()),
    ];
    let target = format!("/api/v1/namespaces/{}/configmaps?watch=1", scene.dev);
    let mut connection = Connection::open(&shield.agent_url, &shield.ca()).expect("a connection");
    connection.request("GET", &target, &headers, b"").expect("a request");
    connection.answer().expect("an answer").status == 101
}

/// A dry run of what the API server stores itself is no write.
fn custom_dry_run_passes(scene: &Scene, shield: &Shield) -> bool {
    let group = format!("{}.example.org", scene.dev);
    let thing = json!({
        "apiVersion": format!("{group}/v1"), "kind": "Thing", "metadata": {"name": "a"},
    });
    let target = format!("/apis/{group}/v1/namespaces/{}/things?dryRun=All", scene.prod);
    let (json, body) = (Some("application/json"), thing.to_string());
    shield.request(&scene.agent, "POST", &target, json, body.as_bytes()).status == 201
}

/// An account with a Role in the scene's other namespace.
const READER: &str = "reader";

/// An agent with rights in the scene's namespaces only.
const NARROW: &str = "narrow";

const NODE: &str = "ways-in";
const API_SERVER_SLICE: &str =
    "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes";
const API_SERVER_SERVICE: &str = "/api/v1/namespaces/default/services/kubernetes";

const USED: [Used; 19] = [
    Used { verb: "create", resource: "tokenreviews", works: |a, b| write(a, b) == 201 },
    Used { verb: "create", resource: "subjectaccessreviews", works: reviewer_lists },
    Used { verb: "get", resource: "namespaces", works: |a, b| write(a, b) == 201 },
    Used { verb: "list", resource: "namespaces", works: namespaces_are_listed },
    Used { verb: "watch", resource: "namespaces", works: new_namespaces_are_seen },
    Used { verb: "list", resource: "rolebindings", works: harmless_pod_passes },
    Used { verb: "list", resource: "clusterrolebindings", works: harmless_pod_passes },
    Used { verb: "get", resource: "roles", works: harmless_pod_passes },
    Used { verb: "get", resource: "clusterroles", works: harmless_pod_passes },
    Used { verb: "list", resource: "nodes", works: pod_is_reached },
    Used { verb: "get", resource: "apiservices", works: listens_on_a_websocket },
    Used { verb: "get", resource: "customresourcedefinitions", works: custom_dry_run_passes },
    Used { verb: "list", resource: "poddisruptionbudgets", works: pod_is_replaced },
    Used { verb: "list", resource: "networkpolicies", works: namespace_is_labelled },
    Used {
        verb: "get",
        resource: "endpointslices",
        works: |a, b| {
            relay_is_denied(a, b, &address_of(a, API_SERVER_SLICE, "/endpoints/0/addresses/0"))
        },
    },
    Used {
        verb: "get",
        resource: "services",
        works: |a, b| relay_is_denied(a, b, &address_of(a, API_SERVER_SERVICE, "/spec/clusterIP")),
    },
    Used { verb: "get", resource: "configmaps", works: reviewer_lists },
    Used { verb: "impersonate", resource: "users", works: |a, b| certificate_reads(a, b, &[]) },
    Used {
        verb: "impersonate",
        resource: "groups",
        works: |a, b| certificate_reads(a, b, &[BOTS]),
    },
];

/// Starts agent-shield with its own rights but one; all of them where that is `None`.
fn without(cluster: &'static Cluster, right: Option<&Used>) -> (Shield, usize) {
    let name = cluster.unique("own");
    let mut objects: Value = serde_saphyr::from_str(&rbac_own(&name, &[])).expect("YAML");
    let mut rules = 0;
    for item in objects["items"].as_array_mut().expect("items") {
        let Some(all) = item.get_mut("rules").and_then(Value::as_array_mut) else { continue };
        all.retain(|rule| {
            right
                .is_none_or(|it| rule["verbs"][0] != it.verb || rule["resources"][0] != it.resource)
        });
        rules += all.len();
    }
    cluster.apply(&objects).expect("rights");
    let kubeconfig = cluster.token_file_kubeconfig("agent-shield", &name).expect("a token");
    let args = ["--hold-open", "1s"];
    (Shield::start_as(cluster, Credential::Kubeconfig(kubeconfig), &args), rules)
}

#[test]
fn each_right_of_its_own_is_used_and_missed() {
    let scene = Scene::new("own-rights");
    let reads = json!([{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]);
    scene.cluster.agent(&scene.dev, READER, &[&scene.dev], &reads).expect("an account");
    scene.cluster.apply(&deployment(&scene.prod, "free", 3)).expect("a Deployment");
    let group = format!("{}.example.org", scene.dev);
    let things = definition(&group, "Thing", "things", &json!({"type": "object"}));
    define(scene.cluster, &things, &group, "v1");
    let (complete, all) = without(scene.cluster, None);
    assert_eq!(all, USED.len(), "a right that nothing here uses");
    assert!(!complete.log().contains("lacks a right"), "{}", complete.log());
    for used in &USED {
        let what = format!("{} {}", used.verb, used.resource);
        // A read that a busy machine leaves without an answer is asked again.
        wait_until(Duration::from_secs(60), &format!("{what} works with all rights"), || {
            (used.works)(&scene, &complete).then_some(())
        });
    }
    drop(complete);
    for used in &USED {
        let what = format!("{} {}", used.verb, used.resource);
        let (shield, rules) = without(scene.cluster, Some(used));
        assert_eq!(rules, all - 1, "{what}");
        let named =
            shield.log().contains("agent-shield lacks a right: ") && shield.log().contains(&what);
        assert!(named || used.verb == "impersonate", "{what}: not named:\n{}", shield.log());
        assert!(!(used.works)(&scene, &shield), "{what}: works without");
    }
    let deleted = scene.cluster.kubectl().args(["delete", "node", NODE]).output();
    assert!(deleted.is_ok_and(|it| it.status.success()), "the node stays");
}
