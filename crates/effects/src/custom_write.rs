//! What a write to a custom resource does beyond its own object: by its kind and fields, as far as they
//! are known (`custom.txt`), by the shape of its fields, and by the pods and objects within it.

use std::collections::{BTreeMap, BTreeSet};

use attributes::Attributes;
use serde_json::{Map, Value};

use crate::{
    EffectKind,
    about::{About, Act, ActsBy, Custom, OldNew, Part},
    applied, custom,
    diff::{BOOKKEEPING, TooMany, leaves, segments},
    effect::{Change, Effect},
    found::{Found, runs_as},
    inner::{DEPTH_MAX, Inner},
    keys::Keys,
    known::Known,
    object::{ObjectRef, finalizers, object_in, owners},
    plan::{unknown, writes_custom},
    shape::{Field, is_of_container},
    unknown::Unknown,
};

/// Inert on what Kubernetes serves itself but in a pod template; operators restart databases by it.
const RESTARTED: &str = "kubectl.kubernetes.io/restartedAt";

/// Of the path of a field, so much is kept: an agent decides how long its keys are.
const PATH_CHARS_MAX: usize = 300;

/// What a create or change of a custom resource does beyond its own object, by the whole object:
/// `old` is the live one (`None`: there is none, or it is not known), `new` what it becomes. Other
/// writes do nothing here. An update of an object that is not known counts as one of all its fields.
pub fn of_custom(
    attributes: &Attributes,
    known: &Known<'_>,
    old: Option<&Value>,
    new: &Value,
) -> Vec<Effect> {
    if !writes_custom(attributes) {
        return Vec::new();
    }
    match leaves(old, Some(new), &BOOKKEEPING) {
        Ok(changes) => of_changes(attributes, known, old, new, &changes),
        Err(TooMany) => vec![unknown(attributes, Unknown::TooManyDifferences)],
    }
}

/// As [`of_custom`], with what differs.
pub(crate) fn of_changes(
    attributes: &Attributes,
    known: &Known<'_>,
    old: Option<&Value>,
    new: &Value,
    changes: &[Change],
) -> Vec<Effect> {
    if !writes_custom(attributes) || changes.is_empty() {
        return Vec::new();
    }
    let is_new = old.is_none() && attributes.verb != "update";
    let mut judged = Judged::of(attributes, known, object_in(attributes, old, new), is_new);
    if attributes.subresource.is_empty() {
        judged.fields(changes, new);
        let runs_other_code = changes.iter().any(|it| is_code(&segments(&it.path)));
        judged.inner(old.filter(|_| !runs_other_code), new);
    }
    if old.is_none() && !is_new {
        judged.metadata(new);
    }
    judged.effects()
}

/// Whether no operator makes anything of what differs.
pub(crate) fn asks_no_operator(known: &Known<'_>, changes: &[Change]) -> bool {
    changes.iter().all(|it| is_of_no_operator(known, it))
}

/// Of keys that are known to be inert, or of what Kubernetes itself acts on, which has an effect of its
/// own. Operators select their objects by labels as common as `app.kubernetes.io/name`.
fn is_of_no_operator(known: &Known<'_>, change: &Change) -> bool {
    let segments = segments(&change.path);
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let is_nothing = |side: &Option<Value>| match side {
        None => true,
        Some(value) => value.as_object().is_some_and(Map::is_empty),
    };
    match segments.as_slice() {
        ["metadata", "labels" | "annotations"] => {
            is_nothing(&change.old) && is_nothing(&change.new)
        }
        ["metadata", "annotations", applied::KEY] => true,
        ["metadata", "labels", key] => known.inert_keys.contains(*key),
        ["metadata", "annotations", key] => {
            Keys::new(known.inert_keys).is_inert(key) && *key != RESTARTED
        }
        ["metadata", "ownerReferences" | "finalizers" | "deletionTimestamp" | "uid", ..] => true,
        _ => false,
    }
}

/// As [`of_custom`], of a patch of an object that is not known: a merge patch or an apply, or the
/// operations of a JSON patch. What it does not name stays as it is, and is not seen.
pub fn of_custom_patch(attributes: &Attributes, known: &Known<'_>, patch: &Value) -> Vec<Effect> {
    if !writes_custom(attributes) {
        return Vec::new();
    }
    let said = match patch {
        Value::Object(_) => Ok(vec![patch.clone()]),
        Value::Array(operations) => operations.iter().filter_map(said_by).collect(),
        _ => Err(Unknown::BodyUnreadable),
    };
    let said = match said {
        Ok(said) => said,
        Err(why) => return vec![unknown(attributes, why)],
    };
    let object = object_in(attributes, None, &Value::Null);
    let mut judged = Judged::of(attributes, known, object, false);
    for said in &said {
        let Ok(changes) = leaves(None, Some(said), &BOOKKEEPING) else {
            return vec![unknown(attributes, Unknown::TooManyDifferences)];
        };
        judged.metadata(said);
        // A write of the status changes nothing else.
        if attributes.subresource.is_empty() {
            judged.fields(&changes, said);
            judged.inner(None, said);
            judged.unseen |= changes.iter().any(is_part_of_unseen);
        }
    }
    judged.effects()
}

/// What one operation of a JSON patch says of the object, as a merge patch would: null is taken away.
/// Nothing where it only asks; an error where its value is elsewhere in the object.
fn said_by(operation: &Value) -> Option<Result<Value, Unknown>> {
    let text = |key| operation.get(key).and_then(Value::as_str);
    let value = match text("op") {
        Some("test") => return None,
        Some("add" | "replace") => operation.get("value").cloned(),
        Some("remove") => Some(Value::Null),
        Some("copy" | "move") => return Some(Err(Unknown::RelativePatch)),
        _ => None,
    };
    let (Some(value), Some(path)) = (value, text("path")) else {
        return Some(Err(Unknown::BodyUnreadable));
    };
    let keys = segments(path);
    if keys.len() > DEPTH_MAX {
        return Some(Err(Unknown::BodyUnreadable));
    }
    Some(Ok(keys.into_iter().rev().fold(value, within)))
}

/// A value at a key, or as the item of a list.
fn within(value: Value, key: String) -> Value {
    if key == "-" || (!key.is_empty() && key.bytes().all(|it| it.is_ascii_digit())) {
        return Value::Array(vec![value]);
    }
    Value::Object(Map::from_iter([(key, value)]))
}

/// Whether what it does depends on what the patch does not show: other code runs with what the object
/// has, and a part that goes as a whole takes with it what nobody has seen.
fn is_part_of_unseen(change: &Change) -> bool {
    let path = segments(&change.path);
    let is_part = path.len() <= 1 && path != ["status"];
    is_code(&path) || (is_part && change.new.as_ref().is_some_and(Value::is_null))
}

fn is_code(path: &[String]) -> bool {
    let is_own = path.first().is_some_and(|it| !matches!(it.as_str(), "metadata" | "status"));
    is_own && Field { path, value: None, is_new: false, namespace: "" }.is_code()
}

/// One write, and what was found of it.
struct Judged<'a> {
    attributes: &'a Attributes,
    keys: Keys<'a>,
    object: ObjectRef,
    is_new: bool,
    /// It depends on what is not seen.
    unseen: bool,
    acts: BTreeMap<Act, BTreeSet<String>>,
    found: Found,
}

impl<'a> Judged<'a> {
    fn of(attributes: &'a Attributes, known: &Known<'a>, object: ObjectRef, is_new: bool) -> Self {
        let (keys, acts) = (Keys::new(known.inert_keys), BTreeMap::new());
        Self { attributes, keys, object, is_new, unseen: false, acts, found: Found::default() }
    }

    /// How its fields act, by what is known of them or by their shape.
    fn fields(&mut self, changes: &[Change], object: &Value) {
        for change in changes {
            let path = segments(&change.path);
            let Some(asked) = self.asked(&path) else { continue };
            let (group, resource) = (&self.attributes.api_group, &self.attributes.resource);
            let field = Field {
                path: asked,
                value: change.new.as_ref(),
                is_new: self.is_new,
                namespace: &self.object.namespace,
            };
            let (act, powers) = match asked.len() == path.len() {
                true if is_of_container(object, &path) => (None, Vec::new()),
                true => (field.act(), field.powers()),
                false => (field.act_of_key(), Vec::new()),
            };
            if let Some(act) = custom::field(group, resource, &path).or(act) {
                self.act(act, &change.path);
            }
            self.found.borrows(powers);
        }
    }

    /// The part of a path by which it is judged; nothing where no operator is asked by it.
    fn asked<'p>(&self, path: &'p [String]) -> Option<&'p [String]> {
        match path.first()?.as_str() {
            "metadata" => {
                let (map, key) = (path.get(1)?, path.get(2)?);
                let is_key = matches!(map.as_str(), "labels" | "annotations");
                path.get(2..3).filter(|_| is_key && !self.keys.only_tells(key))
            }
            "status" | "apiVersion" | "kind" => None,
            _ => Some(path),
        }
    }

    /// What stands within it that was not there before.
    fn inner(&mut self, old: Option<&Value>, new: &Value) {
        let namespace = self.object.namespace.clone();
        let had = old.map(|old| Inner::of(old, &namespace)).unwrap_or_default();
        let has = Inner::of(new, &namespace);
        if has.is_cut {
            self.found.others.push(unknown(self.attributes, Unknown::TooManyDifferences));
        }
        self.found.borrows(has.powers.difference(&had.powers).cloned());
        for key in has.grants.difference(&had.grants) {
            self.found.add(EffectKind::GrantAccess, Part::Grants(key.clone()));
        }
        for name in has.accounts.difference(&had.accounts) {
            self.found.others.push(runs_as(name, &self.object));
        }
        for (act, path) in has.acts.difference(&had.acts) {
            self.act(*act, path);
        }
    }

    /// Owners and finalizers that the object may not have had.
    fn metadata(&mut self, said: &Value) {
        let names = |path: &str| match said.get("metadata") {
            Some(Value::Null) => true,
            Some(metadata) => metadata.get(path).is_some_and(|it| *it != Value::Array(Vec::new())),
            None => false,
        };
        if names("ownerReferences") {
            let owners = OldNew { old: Vec::new(), new: owners(said) };
            self.found.add(EffectKind::ChangeOwners, Part::Owners(owners));
        }
        if names("finalizers") {
            let finalizers = OldNew { old: Vec::new(), new: finalizers(said) };
            self.found.add(EffectKind::ChangeFinalizers, Part::Finalizers(finalizers));
        }
    }

    fn act(&mut self, act: Act, path: &str) {
        let path: String = path.chars().take(PATH_CHARS_MAX).collect();
        self.acts.entry(act).or_default().insert(path);
    }

    fn effects(self) -> Vec<Effect> {
        let a = self.attributes;
        let by_kind = custom::acts(custom::of(&a.api_group, &a.resource));
        let by_fields = self.acts.into_iter();
        let by_fields =
            by_fields.map(|(act, fields)| ActsBy::fields(act, fields.into_iter().collect()));
        let acts: Vec<ActsBy> = by_kind.into_iter().chain(by_fields).collect();
        let mut effects = self.found.effects(&self.object);
        if !acts.is_empty() {
            let (verb, subresource) = (a.verb.clone(), a.subresource.clone());
            let about = About::Custom(Custom { verb, subresource, acts });
            effects.push(Effect { kind: EffectKind::WriteActing, object: self.object, about });
        }
        if self.unseen {
            effects.push(unknown(a, Unknown::NoPreview));
        }
        effects
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::namespace::ClassConfig;

    fn write(verb: &str, subresource: &str) -> Attributes {
        Attributes {
            is_resource_request: true,
            verb: verb.into(),
            api_group: "ex.io".into(),
            resource: "widgets".into(),
            subresource: subresource.into(),
            namespace: "dev".into(),
            name: "w".into(),
            ..Attributes::default()
        }
    }

    /// Kinds of effects; of acts and of what is unknown, which.
    fn kinds(effects: &[Effect]) -> String {
        let kind = |effect: &Effect| match &effect.about {
            About::Custom(custom) => {
                let acts: Vec<&str> = custom.acts.iter().map(|it| it.act.as_str()).collect();
                format!("{}({})", effect.kind, acts.join(","))
            }
            About::Unknown(it) => format!("{}({})", effect.kind, it.why.as_str()),
            About::RunsAs(_) => format!("RunsAs({})", effect.object.name),
            _ => effect.kind.to_string(),
        };
        effects.iter().map(kind).collect::<Vec<_>>().join(" ")
    }

    fn patched(patch: &Value) -> String {
        let classes = ClassConfig::default();
        kinds(&of_custom_patch(&write("patch", ""), &Known::of(&classes), patch))
    }

    #[test]
    fn what_no_operator_acts_on_asks_none() {
        let object = |metadata: Value| json!({"metadata": metadata, "spec": {"size": 1}});
        let with = |map: &str, key: &str| object(json!({map: {key: "x"}}));
        let old = object(json!({"uid": "u", "generation": 1}));
        let other = json!({"metadata": {}, "spec": {"size": 2}});
        let one = json!({"metadata": {}, "spec": {"size": 1}, "status": {"ready": true}});
        let table = [
            (object(json!({"generation": 2, "managedFields": [1]})), false),
            (object(json!({"labels": {}, "annotations": {}})), false),
            (with("annotations", "kubernetes.io/change-cause"), false),
            (with("labels", "example.com/team"), false),
            (with("annotations", applied::KEY), false),
            (object(json!({"finalizers": ["a/b"], "ownerReferences": [{"uid": "u"}]})), false),
            (with("annotations", "note"), true),
            (with("annotations", RESTARTED), true),
            (with("labels", "app.kubernetes.io/name"), true),
            (with("labels", "team"), true),
            (other, true),
            (one, true),
        ];
        let classes = ClassConfig::default();
        let inert = BTreeSet::from(["example.com/team".to_owned()]);
        let known = Known::of(&classes).with_inert_keys(&inert);
        for (new, want) in table {
            let changes = leaves(Some(&old), Some(&new), &BOOKKEEPING).expect("a few");
            assert_eq!(!asks_no_operator(&known, &changes), want, "{new}");
        }
        let kinds_of = |group: &str, old: Option<&Value>, new: &Value| {
            let attributes = Attributes { api_group: group.into(), ..write("patch", "") };
            kinds(&crate::of_change(&attributes, &known, old, new))
        };
        let new = object(json!({"uid": "u", "labels": {"team": "x"}}));
        assert_eq!(kinds_of("ex.io", None, &old), "WriteCustom()");
        assert_eq!(kinds_of("ex.io", Some(&old), &old), "");
        let acts = kinds_of("argoproj.io", Some(&old), &new);
        assert_eq!(acts, "ChangeLabels WriteActing(deploys)");
        assert!(kinds_of("new.k8s.io", Some(&old), &new).contains("Unknown"));
        let stopped = json!({"metadata": {"uid": "u"}, "spec": {"size": 1, "suspend": true}});
        let found = kinds_of("ex.io", Some(&old), &stopped);
        assert!(found.contains("WriteCustom") && found.contains("WriteActing(stops)"), "{found}");
    }

    #[test]
    fn a_patch_is_judged_by_what_it_names() {
        let table = [
            (json!({"spec": {"color": "blue"}}), ""),
            (json!({"metadata": {"labels": {"team": "a", "cluster": "b", "namespace": "c"}}}), ""),
            (json!({"spec": {"color": null}}), ""),
            (json!({"spec": {"suspend": true}}), "WriteActing(stops)"),
            (json!({"spec": {"deletionPolicy": null}}), "WriteActing(deletes)"),
            (json!({"spec": null}), "Unknown(noPreview)"),
            (json!({"spec": {"image": "x"}}), "Unknown(noPreview)"),
            (json!({"metadata": null}), "ChangeOwners ChangeFinalizers Unknown(noPreview)"),
            (json!({"metadata": {"ownerReferences": null}}), "ChangeOwners"),
            (json!({"metadata": {"finalizers": ["a"]}}), "ChangeFinalizers"),
            (json!({"metadata": {"annotations": {"ex.io/pause": "true"}}}), "WriteActing(stops)"),
            (json!({"metadata": {"annotations": {"helm.sh/hook-delete-policy": "x"}}}), ""),
            (json!({"spec": {"serviceAccountName": "admin"}}), "RunsAs(admin)"),
            (json!({"spec": {"pod": {"hostPID": true}}}), "Borrow"),
            (json!("x"), "Unknown(bodyUnreadable)"),
        ];
        for (patch, want) in table {
            assert_eq!(patched(&patch), want, "{patch}");
        }
    }

    #[test]
    fn operations_are_judged_by_what_they_write() {
        let deep = "/a".repeat(DEPTH_MAX + 1);
        let table = [
            (json!([{"op": "replace", "path": "/spec/color", "value": "blue"}]), ""),
            (json!([{"op": "test", "path": "/spec/suspend", "value": true}]), ""),
            (json!([{"op": "add", "path": "/spec/suspend", "value": true}]), "WriteActing(stops)"),
            (json!([{"op": "remove", "path": "/spec/deletionProtection"}]), "WriteActing(deletes)"),
            (json!([{"op": "remove", "path": "/spec"}]), "Unknown(noPreview)"),
            (
                json!([{"op": "replace", "path": "", "value": {"spec": {"suspend": true}}}]),
                "WriteActing(stops)",
            ),
            (
                json!([{"op": "copy", "from": "/spec/a", "path": "/spec/b"}]),
                "Unknown(relativePatch)",
            ),
            (json!([{"op": "Add", "path": "/spec/a", "value": 1}]), "Unknown(bodyUnreadable)"),
            (json!([{"op": "add", "path": deep, "value": 1}]), "Unknown(bodyUnreadable)"),
            (
                json!([{"op": "add", "path": "/metadata/ownerReferences/-", "value": {}}]),
                "ChangeOwners",
            ),
            (
                json!([{"op": "add", "path": "/spec/pod/securityContext/capabilities/add/-", "value": "SYS_ADMIN"}]),
                "Borrow",
            ),
            (
                json!([{"op": "add", "path": "/spec/volumes/-", "value": {"hostPath": {"path": "/"}}}]),
                "Borrow",
            ),
            (
                json!([{"op": "add", "path": "/spec/namespaces/-", "value": "prod"}]),
                "WriteActing(elsewhere)",
            ),
        ];
        for (patch, want) in table {
            assert_eq!(patched(&patch), want, "{patch}");
        }
    }

    #[test]
    fn where_both_are_known_only_what_differs_counts() {
        let pod = |image: &str| {
            json!({"containers": [{"name": "c", "image": image}], "hostPID": true,
            "serviceAccountName": "admin"})
        };
        let with = |spec: Value| {
            json!({"metadata": {"name": "w", "ownerReferences": [{"uid": "u"}]},
            "spec": spec, "status": {"phase": "Suspended"}})
        };
        let table = [
            (json!({"suspend": true, "size": 1}), json!({"suspend": true, "size": 1}), ""),
            (json!({"suspend": true, "size": 1}), json!({"suspend": true, "size": 2}), ""),
            (json!({"suspend": true}), json!({"suspend": false}), ""),
            (json!({"suspend": false}), json!({"suspend": true}), "WriteActing(stops)"),
            (json!({"deletionProtection": true}), json!({}), "WriteActing(deletes)"),
            (json!({"namespace": "prod"}), json!({"namespace": "dev"}), ""),
            (json!({"pod": pod("a")}), json!({"pod": pod("a"), "size": 1}), ""),
            (json!({"pod": pod("a")}), json!({"pod": pod("b")}), "Borrow RunsAs(admin)"),
            (
                json!({"backup": {"retention": "7d"}}),
                json!({"backup": {"retention": "1d"}}),
                "WriteActing(deletes)",
            ),
        ];
        let classes = ClassConfig::default();
        for (old, new, want) in table {
            let (old, new) = (with(old), with(new));
            for verb in ["patch", "update"] {
                let found = of_custom(&write(verb, ""), &Known::of(&classes), Some(&old), &new);
                assert_eq!(kinds(&found), want, "{verb} {old} {new}");
            }
        }
    }

    #[test]
    fn what_an_unseen_object_may_lose_is_not_lost() {
        let known = Known::of(&NO_CLASSES);
        let object = json!({"metadata": {"name": "w", "finalizers": ["f"],
            "ownerReferences": [{"kind": "K", "name": "n", "uid": "u"}]}, "spec": {"suspend": true}});
        let table = [
            ("create", "", "WriteActing(stops)"),
            ("update", "", "ChangeOwners ChangeFinalizers WriteActing(stops)"),
            ("update", "status", "ChangeOwners ChangeFinalizers"),
            ("update", "scale", ""),
            ("delete", "", ""),
        ];
        for (verb, subresource, want) in table {
            let found = of_custom(&write(verb, subresource), &known, None, &object);
            assert_eq!(kinds(&found), want, "{verb} {subresource}");
        }
        let builtin = Attributes {
            api_group: "apps".into(),
            resource: "deployments".into(),
            ..write("create", "")
        };
        assert_eq!(kinds(&of_custom(&builtin, &known, None, &object)), "");
    }

    static NO_CLASSES: std::sync::LazyLock<ClassConfig> =
        std::sync::LazyLock::new(ClassConfig::default);
}
