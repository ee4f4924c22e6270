//! Policy documents as custom resources: the same words, kept in the cluster.
//!
//! Their schemas are the editors' schema in the structural form that the API server asks for, so that
//! it refuses what `policy check` refuses for its form, and `kubectl explain` tells of each field.

use serde_json::{Map, Value as Json, json};

use crate::{
    document::{API_VERSION, KINDS},
    packs::SCHEMA,
};

/// What `kubectl get` shows beside the conditions, for each of [`KINDS`].
const COLUMNS: [&[(&str, &str)]; 3] = [
    &[("Mode", ".spec.mode")],
    &[("Rules", ".spec.rules[*]"), ("Expires", ".spec.expires")],
    &[("Packs", ".spec.packs[*]")],
];

/// The CustomResourceDefinition of each kind of document; all are of the cluster's scope.
pub fn crds() -> Vec<Json> {
    let schema: Json = serde_json::from_str(SCHEMA).unwrap_or_default();
    let each = schema.get("oneOf").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
    KINDS
        .into_iter()
        .zip(COLUMNS)
        .filter_map(|((kind, plural), columns)| {
            let is_it = |it: &&Json| it.pointer("/properties/kind/const") == Some(&json!(kind));
            Some(crd(kind, plural, columns, each.iter().find(is_it)?))
        })
        .collect()
}

fn crd(kind: &str, plural: &str, columns: &[(&str, &str)], schema: &Json) -> Json {
    let (group, version) = API_VERSION.split_once('/').unwrap_or((API_VERSION, "v1"));
    let condition = |of: &str| format!(".status.conditions[?(@.type=='{of}')].status");
    let own = columns.iter().map(|(name, path)| ((*name).to_owned(), (*path).to_owned()));
    let told = [("Valid", condition("Valid")), ("In force", condition("InForce"))];
    let columns: Vec<Json> = own
        .chain(told.map(|(name, path)| (name.to_owned(), path)))
        .map(|(name, path)| json!({"name": name, "type": "string", "jsonPath": path}))
        .chain([json!({"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"})])
        .collect();
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.{group}")},
        "spec": {
            "group": group,
            "scope": "Cluster",
            "names": {
                "kind": kind,
                "listKind": format!("{kind}List"),
                "plural": plural,
                "singular": kind.to_lowercase(),
                "categories": ["agent-shield"],
            },
            "versions": [{
                "name": version,
                "served": true,
                "storage": true,
                "subresources": {"status": {}},
                "additionalPrinterColumns": columns,
                "schema": {"openAPIV3Schema": object(schema)},
            }],
        },
    })
}

/// The schema of a whole object. What the API server knows by itself is not said again; of metadata
/// only the name may be limited, and only by a rule.
fn object(schema: &Json) -> Json {
    json!({
        "type": "object",
        "description": schema.get("description"),
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": schema.pointer("/properties/spec").map(structural),
            "status": status(),
        },
        "x-kubernetes-validations": [{
            "rule": "self.metadata.name.matches('^[a-z0-9]([-a-z0-9]{0,98}[a-z0-9])?$')",
            "message": "a name is of lower-case letters, digits and `-`, a hundred at most: rules are called by it",
        }],
    })
}

/// What agent-shield tells of a document: see docs/guide.
fn status() -> Json {
    let text = json!({"type": "string"});
    json!({
        "type": "object",
        "properties": {
            "observedGeneration": {"type": "integer", "format": "int64"},
            "conditions": {
                "type": "array",
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["type"],
                "items": {
                    "type": "object",
                    "required": ["type", "status"],
                    "properties": {
                        "type": text,
                        "status": {"type": "string", "enum": ["True", "False", "Unknown"]},
                        "reason": text,
                        "message": text,
                        "observedGeneration": {"type": "integer", "format": "int64"},
                        "lastTransitionTime": {"type": "string", "format": "date-time"},
                    },
                },
            },
        },
    })
}

/// A JSON schema as the API server takes it: without `const` and `additionalProperties: false`, and
/// with a word for values of any form. Unknown fields are refused where they are written (kubectl's
/// `--validate=strict`, the default).
fn structural(schema: &Json) -> Json {
    let Json::Object(schema) = schema else { return schema.clone() };
    let mut made = Map::new();
    for (key, value) in schema {
        match (key.as_str(), value) {
            // The API server refuses it beside `properties`, and prunes what is unknown by itself.
            ("additionalProperties", Json::Bool(_)) => {}
            ("properties", Json::Object(properties)) => {
                let properties = properties.iter().map(|(name, it)| (name.clone(), structural(it)));
                made.insert(key.clone(), Json::Object(properties.collect()));
            }
            ("items" | "additionalProperties", value) => {
                made.insert(key.clone(), structural(value));
            }
            _ => drop(made.insert(key.clone(), value.clone())),
        }
    }
    let is_object = made.get("type") == Some(&json!("object"));
    let is_told = made.contains_key("properties") || made.contains_key("additionalProperties");
    if (is_object && !is_told) || !(made.contains_key("type") || made.contains_key("enum")) {
        made.insert("x-kubernetes-preserve-unknown-fields".to_owned(), Json::Bool(true));
    } else if made.contains_key("enum") {
        made.entry("type").or_insert_with(|| json!("string"));
    }
    Json::Object(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_a_resource_for_each_kind() {
        let crds = crds();
        let names: Vec<_> = crds.iter().map(|it| &it["metadata"]["name"]).collect();
        assert_eq!(
            names,
            [
                "policies.agent-shield.io",
                "policyexceptions.agent-shield.io",
                "policysettings.agent-shield.io"
            ]
        );
        for crd in &crds {
            let text = crd.to_string();
            assert!(!text.contains("\"const\"") && !text.contains("additionalProperties\":false"));
            let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
            assert!(schema["properties"]["spec"]["properties"].is_object(), "{schema}");
            each_is_described(&schema["properties"]["spec"], "spec");
        }
    }

    /// For `kubectl explain`, and for editors.
    fn each_is_described(schema: &Json, path: &str) {
        assert!(schema["description"].is_string(), "{path} has no description");
        let inner = schema.get("items").unwrap_or(schema);
        for (name, property) in inner["properties"].as_object().into_iter().flatten() {
            each_is_described(property, &format!("{path}.{name}"));
        }
    }
}
