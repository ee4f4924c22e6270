//! Real objects of the most used operators: what is known of their kinds, and what their shape alone
//! says, where nobody would know them.

#![expect(clippy::expect_used, reason = "helpers of tests fail as tests do")]

use std::collections::BTreeSet;

use attributes::Attributes;
use effects::{
    About, ClassConfig, Effect, EffectKind, Known, Route,
    about::{ActsBy, Part},
};
use serde::Deserialize;
use serde_json::{Value, json};

/// One object of `operators.jsonl`.
#[derive(Deserialize)]
struct Row {
    operator: String,
    group: String,
    resource: String,
    /// How every object of its kind is known to act.
    act: String,
    /// What its shape says: acts, powers, accounts.
    shape: String,
    /// Where its operator publishes the shape of this object: a public repository, and a path in it.
    crd: String,
    object: Value,
}

fn rows() -> Vec<Row> {
    let lines = include_str!("operators.jsonl").lines();
    lines.map(|line| serde_json::from_str(line).expect("a row")).collect()
}

fn write(verb: &str, group: &str, resource: &str, namespace: &str) -> Attributes {
    Attributes {
        is_resource_request: true,
        verb: verb.into(),
        api_group: group.into(),
        api_version: "v1".into(),
        resource: resource.into(),
        namespace: namespace.into(),
        name: if verb == "create" { String::new() } else { "x".into() },
        ..Attributes::default()
    }
}

fn namespace_of(object: &Value) -> &str {
    object.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or_default()
}

fn created(group: &str, resource: &str, object: &Value) -> Vec<Effect> {
    let attributes = write("create", group, resource, namespace_of(object));
    effects::of_custom(&attributes, &Known::of(&ClassConfig::default()), None, object)
}

fn acts(effects: &[Effect]) -> Vec<&ActsBy> {
    let custom = effects.iter().filter_map(|effect| match &effect.about {
        About::Custom(custom) if effect.kind == EffectKind::WriteActing => Some(custom),
        _ => None,
    });
    custom.flat_map(|it| &it.acts).collect()
}

/// Acts by fields, powers by kind, accounts by name.
fn shape(effects: &[Effect]) -> String {
    let mut found = BTreeSet::new();
    found.extend(acts(effects).iter().map(|it| it.act.as_str().to_owned()));
    for effect in effects {
        match &effect.about {
            About::Parts(parts) => found.extend(parts.parts.iter().map(|part| match part {
                Part::Power(power) => power.parts().0.to_owned(),
                part => format!("{part:?}"),
            })),
            About::RunsAs(_) => drop(found.insert(format!("account:{}", effect.object.name))),
            About::Unknown(it) => drop(found.insert(it.why.as_str().to_owned())),
            _ => {}
        }
    }
    Vec::from_iter(found).join(" ")
}

#[test]
fn acting_objects_of_operators_are_known_by_their_kind() {
    let rows = rows();
    let operators: BTreeSet<&str> = rows.iter().map(|row| row.operator.as_str()).collect();
    assert!(operators.len() >= 30, "{operators:?}");
    for Row { operator, group, resource, act, crd, object, .. } in &rows {
        let what = format!("{operator}: {resource}.{group}");
        assert!(crd.split_once(' ').is_some_and(|(repo, _)| repo.contains('/')), "{what}: {crd}");
        for verb in ["create", "update", "patch"] {
            let plan = effects::plan(&write(verb, group, resource, "dev"), false);
            assert_eq!(plan.effects[0].kind, EffectKind::WriteActing, "{what}");
        }
        for verb in ["delete", "deletecollection"] {
            let plan = effects::plan(&write(verb, group, resource, "dev"), false);
            assert_eq!(plan.effects[0].kind, EffectKind::Delete, "{what}");
            let words = effects::describe(&plan.effects[0]);
            assert!(words.contains(", which "), "{what}: {words}");
        }
        let effects = created(group, resource, object);
        let known: Vec<&str> = acts(&effects)
            .into_iter()
            .filter(|it| it.fields.is_empty())
            .map(|it| it.act.as_str())
            .collect();
        assert_eq!(known, [act], "{what}");
    }
}

#[test]
fn the_shape_of_an_object_says_what_it_does() {
    let mut differs = Vec::new();
    for Row { operator, resource, shape: want, object, .. } in rows() {
        let found = shape(&created("unknown.example.com", &resource, &object));
        if found != want {
            differs.push(format!("{operator} {resource}: `{found}`, and not `{want}`"));
        }
    }
    assert!(differs.is_empty(), "{}", differs.join("\n"));
}

#[test]
fn ordinary_objects_do_nothing_but_what_their_operator_makes_of_them() {
    let table = [
        ("ex.io", "widgets", json!({"size": 3, "color": "blue"})),
        ("ex.io", "widgets", json!({"replicas": 1})),
        (
            "ex.io",
            "databases",
            json!({"version": "16", "replicas": 2, "storage":
            {"size": "1Gi", "storageClassName": "fast"}, "passwordSecretRef": {"name": "db"}}),
        ),
        (
            "ex.io",
            "apps",
            json!({"image": "nginx:1.27", "env": [{"name": "RESTORE", "value": "1"}],
            "resources": {"limits": {"cpu": "1"}}, "nodeSelector": {"disk": "ssd"}}),
        ),
        ("ex.io", "jobs", json!({"schedule": "0 3 * * *", "suspend": false, "timeoutSeconds": 60})),
        ("ex.io", "buckets", json!({"deletionPolicy": "Retain", "region": "eu"})),
        (
            "ex.io",
            "links",
            json!({"target": {"namespace": "dev", "name": "web", "kind": "Service"}}),
        ),
        ("ex.io", "volumesets", json!({"volumes": [{"name": "a", "size": "1Gi"}]})),
        (
            "monitoring.coreos.com",
            "prometheusrules",
            json!({"groups": [{"name": "g", "rules":
            [{"alert": "Down", "expr": "up == 0", "for": "5m", "labels": {"severity": "page"}}]}]}),
        ),
        (
            "monitoring.coreos.com",
            "servicemonitors",
            json!({"selector": {"matchLabels": {"app": "a"}},
            "endpoints": [{"port": "http", "interval": "30s"}],
            "namespaceSelector": {"matchNames": ["dev"]}}),
        ),
        (
            "grafana.integreatly.org",
            "grafanadashboards",
            json!({"json": "{}",
            "instanceSelector": {"matchLabels": {"dashboards": "a"}}}),
        ),
    ];
    for (group, resource, spec) in table {
        let object = json!({"apiVersion": "x/v1", "kind": "X",
            "metadata": {"name": "x", "namespace": "dev"}, "spec": spec});
        assert_eq!(shape(&created(group, resource, &object)), "", "{resource} {spec}");
        let plan = effects::plan(&write("create", group, resource, "dev"), false);
        assert_eq!(plan.route, Route::Blind);
        assert_eq!(plan.effects[0].kind, EffectKind::WriteCustom, "{resource}");
    }
}

#[test]
fn fields_act_where_their_kind_does_not() {
    let endpoint = |field: Value| json!({"selector": {}, "endpoints": [field]});
    let table = [
        (
            "servicemonitors",
            endpoint(json!({"port": "x", "bearerTokenFile": "/var/run/x"})),
            "credentials",
        ),
        (
            "servicemonitors",
            endpoint(json!({"port": "x", "proxyUrl": "http://e.example"})),
            "elsewhere",
        ),
        ("servicemonitors", json!({"namespaceSelector": {"any": true}}), "elsewhere"),
        ("probes", json!({"targets": {"staticConfig": {"static": ["e.example"]}}}), "elsewhere"),
        ("podmonitors", json!({"namespaceSelector": {"matchNames": ["prod"]}}), "elsewhere"),
    ];
    for (resource, spec, want) in table {
        let object = json!({"metadata": {"name": "x", "namespace": "dev"}, "spec": spec});
        let found = created("monitoring.coreos.com", resource, &object);
        assert_eq!(shape(&found), want, "{resource} {spec}");
    }
}
