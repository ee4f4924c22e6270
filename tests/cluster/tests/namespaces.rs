//! What `namespaces` advises: each command that it prints changes the class, and what it says cannot be
//! changed, no label changes.

use std::time::Duration;

use cluster::{Scene, list};
use serde_json::{Value, json};
use testkit::wait_until;

const TIME_MAX: Duration = Duration::from_secs(30);

fn seen(scene: &Scene, name: &str) -> Option<Value> {
    let namespaces = scene.shield.cli_json(&scene.reviewer, &["namespaces"]);
    namespaces["items"].as_array()?.iter().find(|it| it["name"] == name).cloned()
}

fn run(scene: &Scene, command: &str) {
    let child = scene.shell(&scene.cluster.kubeconfig(), command);
    let output = child.wait_with_output().expect("kubectl");
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_advice_on_a_namespace_works_or_says_why_none_does() {
    let scene = Scene::new("advice");
    let unique = |name: &str| scene.cluster.unique(name);
    let protected = ("agent-shield.io/protected", "true");
    let labelled = [
        (unique("plain"), vec![]),
        (unique("dev"), vec![("env", "dev")]),
        (unique("odd"), vec![("env", "whatever")]),
        (unique("both"), vec![("env", "dev"), ("environment", "production")]),
        (unique("twice"), vec![("env", "prod"), ("environment", "prod")]),
        (unique("vault"), vec![protected, ("env", "dev")]),
        (format!("prod-{}", unique("v")), vec![protected]),
    ];
    let named = format!("{}-prod", unique("shop"));
    let mut objects: Vec<Value> = labelled
        .iter()
        .map(|(name, labels)| {
            let labels: serde_json::Map<String, Value> =
                labels.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
        })
        .collect();
    objects.push(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": named}}));
    scene.cluster.apply(&list(&objects)).expect("namespaces");

    for (name, _) in &labelled {
        let before = wait_until(TIME_MAX, "the namespace is known", || seen(&scene, name));
        let command = before["declare"].as_str().unwrap_or_default();
        assert_eq!(before["fixed"], "", "{before}");
        run(&scene, command);
        wait_until(TIME_MAX, &format!("`{command}` changes its class"), || {
            let after = seen(&scene, name)?;
            let class = |it: &Value| (it["production"].clone(), it["protected"].clone());
            (class(&after) != class(&before)).then_some(())
        });
    }

    let fixed = [
        ("kube-system", "protected"),
        ("kube-public", "protected"),
        ("kube-node-lease", "protected"),
        ("agent-shield", "protected"),
        (named.as_str(), "production"),
    ];
    for (name, guard) in fixed {
        let before = wait_until(TIME_MAX, "the namespace is known", || seen(&scene, name));
        assert_eq!(before["declare"], "", "{before}");
        assert!(before["fixed"].as_str().is_some_and(|it| it.starts_with("its name")), "{before}");
        let command = format!(
            "kubectl label namespace {name} --overwrite env=dev environment=dev agent-shield.io/protected=false"
        );
        run(&scene, &command);
        let after = wait_until(TIME_MAX, "its labels are seen", || {
            seen(&scene, name)
                .filter(|it| it["signs"].to_string().contains("label environment=dev"))
        });
        assert_eq!(after[guard], true, "{after}");
        run(&scene, &format!("kubectl label namespace {name} env- environment-"));
    }
    let output = scene.shield.cli(&scene.reviewer).arg("namespaces").output().expect("a CLI");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("never: its name protects it"), "{text}");
}
