//! The roles that `rbac reviewer` prints: with them a person can do each act, and without a verb none of
//! those that it is for.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use cluster::{Scene, deployment, list};
use serde_json::{Value, json};
use testkit::wait_until;

/// A person's act on holds, and the verb that it takes.
type Act = (&'static str, Vec<String>);

/// Has something held whose agent has gone, so that an approval of it waits.
fn held(scene: &Scene, name: &str) -> String {
    let target = format!("/apis/apps/v1/namespaces/{}/deployments/{name}?timeout=1s", scene.prod);
    let answer = scene.shield.request(&scene.agent, "DELETE", &target, None, b"");
    assert_eq!(answer.held_or_status(), 429, "{}", answer.text());
    scene.pending(&scene.prod, name)["id"].as_str().expect("an id").to_owned()
}

/// Everything that a verb allows, in an order in which all of it can be done.
fn acts(scene: &Scene) -> Vec<Act> {
    let (approved, denied) = (held(scene, "approved"), held(scene, "denied"));
    let shown = scene.shield.cli_json(&scene.reviewer, &["show", &approved]);
    let digest = shown["preview"]["digest"].as_str().expect("a digest").to_owned();
    let agent = &scene.agent.username;
    let table: [(&str, &[&str]); 16] = [
        ("list", &["holds"]),
        ("list", &["denials"]),
        ("list", &["timeline"]),
        ("list", &["agents", "seen"]),
        ("list", &["frozen"]),
        ("list", &["namespaces"]),
        ("list", &["watch", "--once"]),
        ("get", &["show", &approved]),
        ("approve", &["approve", &approved, "--digest", &digest, "--no-wait"]),
        ("approve", &["withdraw", &approved]),
        ("deny", &["deny", &denied, "--reason", "no"]),
        ("deny", &["extend", &denied, "--for", "1h"]),
        ("deny", &["lift", &denied]),
        ("freeze", &["freeze", agent]),
        ("freeze", &["thaw", agent]),
        ("clear", &["agents", "clear", "nobody-known"]),
    ];
    table
        .iter()
        .map(|(verb, args)| (*verb, args.iter().map(|it| (*it).to_owned()).collect()))
        .collect()
}

/// The exit code of an act, and what was said.
fn done(scene: &Scene, person: &Path, args: &[String]) -> (Option<i32>, String) {
    let output = scene.shield.cli(person).args(args).output().expect("a CLI");
    let text = [output.stdout.as_slice(), &output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&text).into_owned())
}

/// What `rbac reviewer` prints, applied as the guide says.
fn roles(scene: &Scene) -> Vec<Value> {
    let output = Command::new(testkit::binary()).args(["rbac", "reviewer"]).output();
    let text = String::from_utf8(output.expect("agent-shield").stdout).expect("text");
    scene.cluster.apply_text(&text).expect("the roles");
    let list: Value = serde_saphyr::from_str(&text).expect("YAML");
    list["items"].as_array().expect("roles").clone()
}

/// A person with these roles, once the API server has taken them in.
fn person(scene: &Scene, roles: &[&str], verbs: &[&str]) -> PathBuf {
    let name = scene.cluster.unique("person");
    for role in roles {
        let binding = format!("{name}-{role}");
        let (role, user) = (format!("--clusterrole={role}"), format!("--user={name}"));
        let args = ["create", "clusterrolebinding", &binding, &role, &user];
        scene.cluster.kubectl_says(&args).expect("a binding");
    }
    let person = scene.cluster.person(&name, &[]).expect("a person");
    wait_until(Duration::from_secs(20), "the rights are there", || {
        // kubectl's own `auth can-i VERB` knows no virtual resource, and says no.
        let can = |verb: &&str| {
            let holds = json!({"group": "agent-shield.io", "resource": "holds", "verb": verb});
            let review = json!({
                "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
                "spec": {"resourceAttributes": holds},
            });
            let command = format!("kubectl create --validate=false -o json -f - <<< '{review}'");
            let output = scene.shell(&person, &command).wait_with_output().expect("kubectl");
            let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
            answer["status"]["allowed"] == true
        };
        verbs.iter().all(can).then_some(())
    });
    person
}

/// The command that a refusal advises lists what the person may on holds.
fn advice_holds(scene: &Scene, person: &Path, verbs: &[&str], text: &str) {
    let Some(command) = text.lines().find_map(|it| it.trim().strip_prefix("kubectl ")) else {
        return;
    };
    let output = scene.shell(person, &format!("kubectl {command}")).wait_with_output();
    let listed = String::from_utf8_lossy(&output.expect("kubectl").stdout).into_owned();
    let line = listed.lines().find(|it| it.starts_with("holds.agent-shield.io"));
    let line = line.unwrap_or_else(|| panic!("{command}: {listed}"));
    assert!(verbs.iter().all(|verb| line.contains(verb)), "{command}: {line}");
}

#[test]
fn each_role_does_what_it_is_for_and_nothing_else() {
    let scene = Scene::new("reviewers");
    let objects = ["approved", "denied"].map(|name| deployment(&scene.prod, name, 3));
    scene.cluster.apply(&list(&objects)).expect("Deployments");
    let roles = roles(&scene);
    let acts = acts(&scene);
    let verbs_of = |name: &str| -> Vec<&str> {
        let role = roles.iter().find(|it| it["metadata"]["name"] == name).expect("the role");
        assert_eq!(
            role["metadata"],
            json!({"name": name}),
            "no label adds it up into another role"
        );
        let rules = role["rules"].as_array().expect("rules");
        assert_eq!((rules.len(), &rules[0]["resources"]), (1, &json!(["holds"])));
        rules[0]["verbs"].as_array().expect("verbs").iter().filter_map(Value::as_str).collect()
    };
    // Those who may least come first: what they try must leave the holds as they are.
    let table: [&[&str]; 6] = [
        &["agent-shield-clearer"],
        &["agent-shield-freezer"],
        &["agent-shield-viewer"],
        &["agent-shield-viewer", "agent-shield-freezer", "agent-shield-clearer"],
        &["agent-shield-reviewer"],
        &["agent-shield-reviewer", "agent-shield-freezer", "agent-shield-clearer"],
    ];
    assert_eq!(roles.len(), 4, "each is tried");
    for some in table {
        let verbs: Vec<&str> = some.iter().flat_map(|it| verbs_of(it)).collect();
        let person = person(&scene, some, &verbs);
        for (verb, args) in &acts {
            let (code, text) = done(&scene, &person, args);
            let may = verbs.contains(verb);
            // 10: approved, and not run yet; 6: denied by who came before.
            let want: &[i32] = if may { &[0, 6, 10] } else { &[4] };
            assert!(code.is_some_and(|it| want.contains(&it)), "{some:?}: {args:?}: {text}");
            assert!(may || text.contains("may not"), "{some:?}: {args:?}: {text}");
            advice_holds(&scene, &person, &verbs, &text);
        }
    }
    // Nor does any verb count for another.
    let all = ["get", "list", "approve", "deny", "freeze", "clear"];
    for lacking in all {
        let others: Vec<&str> = all.into_iter().filter(|it| *it != lacking).collect();
        let name = scene.cluster.unique("lacks");
        let person = scene.cluster.reviewer_with(&name, &others);
        for (_, args) in acts.iter().filter(|(verb, _)| *verb == lacking) {
            let (code, text) = done(&scene, &person, args);
            assert_eq!(code, Some(4), "without {lacking}: {args:?}: {text}");
        }
    }
}
