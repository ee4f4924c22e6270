//! Volumes from outside the namespace. What lies within it is listed; every other source takes
//! something that is not the namespace's own, also one that nobody has thought of.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::about::Power;

/// Sources of a volume that hold nothing but what the pod, its namespace or its image brings. A claim
/// is its namespace's own; what it takes itself is judged when it is made.
const INSIDE: [&str; 8] = [
    "configMap",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

/// As [`INSIDE`], of a projected volume; its tokens are judged with the account.
const PROJECTED_INSIDE: [&str; 5] =
    ["clusterTrustBundle", "configMap", "downwardAPI", "secret", "serviceAccountToken"];

/// Fields that say which volume a source is; others may hold a secret.
const NAMING: [&str; 15] = [
    "diskName",
    "diskURI",
    "driver",
    "endpoints",
    "image",
    "iqn",
    "path",
    "pdName",
    "pool",
    "repository",
    "server",
    "shareName",
    "targetPortal",
    "volumeID",
    "volumePath",
];

pub(crate) const NO_CLASS: &str = "no storage class";

/// Of which volume it is, so much is said.
const SAID_CHARS_MAX: usize = 300;

/// Powers that code in a pod has by its volumes.
pub(crate) fn of_pod(pod: &Value, powers: &mut BTreeSet<Power>) {
    for volume in items(pod, "/volumes") {
        of_volume(volume, powers);
    }
}

/// As [`of_pod`], of one volume.
pub(crate) fn of_volume(volume: &Value, powers: &mut BTreeSet<Power>) {
    if let Some(path) = text(volume, "/hostPath/path") {
        powers.insert(Power::HostPath(path.to_owned()));
    }
    // Each is an object; what a custom resource calls a volume may have a size beside its name.
    let sources = volume.as_object().into_iter().flatten();
    for (kind, source) in sources.filter(|(key, value)| *key != "name" && value.is_object()) {
        let is_path = kind == "hostPath" && text(source, "/path").is_some();
        if !is_path && !INSIDE.contains(&kind.as_str()) {
            powers.insert(Power::VolumeSource(named(kind, source)));
        }
    }
    for source in items(volume, "/projected/sources") {
        let kinds = source.as_object().into_iter().flatten();
        let outside = kinds
            .filter(|(kind, value)| !value.is_null() && !PROJECTED_INSIDE.contains(&kind.as_str()));
        powers.extend(outside.map(|(kind, it)| Power::VolumeSource(named(kind, it))));
    }
    if let Some(template) = volume.pointer("/ephemeral/volumeClaimTemplate") {
        of_claim(template, powers);
    }
}

/// Powers that the claims of a StatefulSet take when it makes its pods.
pub(crate) fn of_claim_templates(workload: &Value, powers: &mut BTreeSet<Power>) {
    for template in items(workload, "/spec/volumeClaimTemplates") {
        of_claim(template, powers);
    }
}

/// Powers of a claim as the API server stores it: where the cluster has a default class, it has that.
pub(crate) fn of_made_claim(claim: &Value, powers: &mut BTreeSet<Power>) {
    of_claim(claim, powers);
    if class(claim).is_none() {
        powers.insert(Power::VolumesBy(NO_CLASS.to_owned()));
    }
}

/// The storage class that a claim or its template names: the older annotation comes before the field
/// (k8s.io/component-helpers, storage/volume `GetPersistentVolumeClaimClass`).
fn class(claim: &Value) -> Option<&str> {
    let annotation = "/metadata/annotations/volume.beta.kubernetes.io~1storage-class";
    let named = claim.pointer(annotation).or_else(|| claim.pointer("/spec/storageClassName"));
    named.and_then(Value::as_str)
}

/// Powers that a claim or its template takes: a volume that is there already, or data of others.
fn of_claim(claim: &Value, powers: &mut BTreeSet<Power>) {
    // Nothing is made for one without a class, so it takes a volume that is there.
    if class(claim) == Some("") {
        powers.insert(Power::VolumesBy(NO_CLASS.to_owned()));
    }
    if let Some(spec) = claim.get("spec") {
        of_claim_spec(spec, powers);
    }
}

/// Powers of what has the fields of a claim's spec, wherever it stands.
pub(crate) fn of_inner_claim(spec: &Value, powers: &mut BTreeSet<Power>) {
    if spec.get("storageClassName").and_then(Value::as_str) == Some("") {
        powers.insert(Power::VolumesBy(NO_CLASS.to_owned()));
    }
    of_claim_spec(spec, powers);
}

fn of_claim_spec(claim: &Value, powers: &mut BTreeSet<Power>) {
    if let Some(volume) = text(claim, "/volumeName") {
        powers.insert(Power::Volume(volume.to_owned()));
    }
    // An empty selector selects all.
    if let Some(selector) = claim.get("selector").filter(|it| !it.is_null()) {
        powers.insert(Power::VolumesBy(bounded(selector.to_string())));
    }
    for source in ["dataSource", "dataSourceRef"] {
        if let Some(source) = claim.get(source) {
            of_data_source(source, powers);
        }
    }
}

fn of_data_source(source: &Value, powers: &mut BTreeSet<Power>) {
    if let Some(namespace) = text(source, "/namespace") {
        powers.insert(Power::DataOf(namespace.to_owned()));
    }
    let group = text(source, "/apiGroup").unwrap_or_default();
    let kind = text(source, "/kind").unwrap_or_default();
    // Both are in the claim's own namespace. What another kind fills a volume from is its maker's to say.
    let is_inside = matches!(
        (group, kind),
        ("", "PersistentVolumeClaim") | ("snapshot.storage.k8s.io", "VolumeSnapshot")
    );
    if !is_inside && source.is_object() {
        let name = text(source, "/name").unwrap_or_default();
        powers.insert(Power::VolumeSource(bounded(format!("{kind} {name}"))));
    }
}

/// `nfs path=/export server=10.0.0.9`.
fn named(kind: &str, source: &Value) -> String {
    let fields = NAMING.iter().filter_map(|field| {
        let value = text(source, &format!("/{field}"))?;
        Some(format!(" {field}={value}"))
    });
    bounded(fields.fold(kind.to_owned(), |all, field| all + &field))
}

/// An agent decides how long it is, and it is stored.
fn bounded(text: String) -> String {
    let said: String = text.chars().take(SAID_CHARS_MAX).collect();
    if said.len() < text.len() { format!("{said}… ({} bytes)", text.len()) } else { text }
}

fn text<'a>(value: &'a Value, path: &str) -> Option<&'a str> {
    value.pointer(path).and_then(Value::as_str).filter(|it| !it.is_empty())
}

fn items<'a>(value: &'a Value, path: &str) -> &'a [Value] {
    value.pointer(path).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::describe;

    fn words(powers: BTreeSet<Power>) -> String {
        powers.iter().map(describe::power).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn knows_what_is_the_namespaces_own() {
        let volumes = [
            (json!({"emptyDir": {}}), ""),
            (json!({"emptyDir": {}, "nfs": null}), ""),
            (json!({"configMap": {"name": "c"}}), ""),
            (json!({"persistentVolumeClaim": {"claimName": "c"}}), ""),
            (json!({"projected": {"sources": [{"secret": {}}, {"serviceAccountToken": {}}]}}), ""),
            (json!({"ephemeral": {"volumeClaimTemplate": {"spec": {"accessModes": []}}}}), ""),
            (json!({}), ""),
            (json!({"size": "1Gi"}), ""),
            (
                json!({"nfs": {"server": "10.0.0.9", "path": "/export"}}),
                "the volume nfs \"path=/export server=10.0.0.9\", which is not the namespace's own",
            ),
            (
                json!({"rbd": {"image": "i", "pool": "p", "keyring": "k", "secretRef": {"name": "s"}}}),
                "the volume rbd \"image=i pool=p\", which is not the namespace's own",
            ),
            (
                json!({"csi": {"driver": "d", "volumeAttributes": {"password": "p"}}}),
                "the volume csi driver=d, which is not the namespace's own",
            ),
            (json!({"newSource": {}}), "the volume newSource, which is not the namespace's own"),
            (json!({"hostPath": {"path": "/"}}), "the path / of its node"),
            (
                json!({"projected": {"sources": [{"podCertificate": {"signerName": "s"}}]}}),
                "the volume podCertificate, which is not the namespace's own",
            ),
            (
                json!({"ephemeral": {"volumeClaimTemplate": {"spec": {"volumeName": "v"}}}}),
                "the volume v",
            ),
        ];
        for (mut volume, want) in volumes {
            volume["name"] = json!("v");
            let mut powers = BTreeSet::new();
            of_pod(&json!({"volumes": [volume]}), &mut powers);
            assert_eq!(words(powers), want, "{volume}");
        }
    }

    #[test]
    fn says_no_more_than_is_stored() {
        let mut powers = BTreeSet::new();
        let selector = json!({"matchLabels": {"é".repeat(1_000): "b"}});
        of_claim(&json!({"spec": {"selector": selector}}), &mut powers);
        let (_, said) = powers.first().expect("a power").parts();
        assert!(said.chars().count() < 330 && said.ends_with("… (2024 bytes)"), "{said}");
    }

    #[test]
    fn a_claim_may_take_what_is_made_for_it() {
        let table = [
            (json!({"storageClassName": "fast"}), ""),
            (json!({}), ""),
            (json!({"selector": null}), ""),
            (json!({"dataSource": {"kind": "PersistentVolumeClaim", "name": "c"}}), ""),
            (
                json!({"dataSourceRef":
                    {"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "s"}}),
                "",
            ),
            (json!({"volumeName": "v"}), "the volume v"),
            (json!({"selector": {}}), "volumes that are there already, by {}"),
            (
                json!({"selector": {"matchLabels": {"a": "b"}}}),
                r#"volumes that are there already, by {"matchLabels":{"a":"b"}}"#,
            ),
            (
                json!({"storageClassName": ""}),
                "volumes that are there already, by no storage class",
            ),
            (
                json!({"dataSourceRef":
                    {"kind": "PersistentVolumeClaim", "name": "c", "namespace": "prod"}}),
                "data of namespace prod",
            ),
            (
                json!({"dataSourceRef": {"apiGroup": "ex.io", "kind": "Filler", "name": "f"}}),
                "the volume Filler f, which is not the namespace's own",
            ),
        ];
        for (claim, want) in table {
            let mut powers = BTreeSet::new();
            of_claim(&json!({"spec": claim}), &mut powers);
            assert_eq!(words(powers), want, "{claim}");
            let set = json!({"spec": {"volumeClaimTemplates": [{"spec": claim}]}});
            let mut powers = BTreeSet::new();
            of_claim_templates(&set, &mut powers);
            assert_eq!(words(powers), want, "{set}");
        }
    }

    #[test]
    fn a_claim_that_gets_no_class_takes_what_is_there() {
        let there = "volumes that are there already, by no storage class";
        let by_annotation = |class: &str| {
            let key = "volume.beta.kubernetes.io/storage-class";
            json!({"metadata": {"annotations": {key: class}}, "spec": {"storageClassName": "fast"}})
        };
        let table = [
            (json!({"spec": {"storageClassName": "fast"}}), ""),
            (json!({"spec": {}}), there),
            (json!({"spec": {"storageClassName": null}}), there),
            (by_annotation("slow"), ""),
            (by_annotation(""), there),
        ];
        for (claim, want) in table {
            let mut powers = BTreeSet::new();
            of_made_claim(&claim, &mut powers);
            assert_eq!(words(powers), want, "{claim}");
        }
    }
}
