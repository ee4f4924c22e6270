//! What a request asks for, point by point. Two requests that agree in a point ask the same there, whatever
//! client sends them and however their bytes differ; another value, key or command is another question.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{
    EffectKind,
    about::{About, Deleted, Part},
    applied,
    diff::segments,
    digest::canonical,
    effect::{Change, Effect},
};

/// What comes along with other changes: nobody says no because of it.
const ALONG: [EffectKind; 3] =
    [EffectKind::ChangeLabels, EffectKind::Restart, EffectKind::TakeFields];

/// More points are one, which any of them changes.
const POINTS_MAX: usize = 1_000;

/// The points of a request, each as one line. `changes` are the differences of its preview, `words` what it
/// says itself, where its effects do not tell: a command, an object that nobody could preview.
///
/// They hold values: whoever keeps them keeps a keyed digest of each.
pub fn asked(effects: &[Effect], changes: &[Change], words: &str) -> BTreeSet<String> {
    let is_along = |it: &&Effect| ALONG.contains(&it.kind);
    let (along, asked): (Vec<&Effect>, Vec<&Effect>) = effects.iter().partition(is_along);
    let counted = if asked.is_empty() { along } else { asked };
    let points: BTreeSet<String> =
        counted.into_iter().flat_map(|it| points(it, changes, words)).collect();
    match points.len() > POINTS_MAX {
        true => BTreeSet::from([Vec::from_iter(points).join("\n")]),
        false => points,
    }
}

fn points(effect: &Effect, changes: &[Change], words: &str) -> Vec<String> {
    let o = &effect.object;
    let object = [&o.api_group, &o.resource, &o.namespace, &o.name];
    // Whoever says that a pod is to stay says so of each way to take it away.
    let kind = match (effect.kind, o.resource.as_str()) {
        (EffectKind::Evict | EffectKind::ReplacePod, "pods") => EffectKind::Delete,
        (kind, _) => kind,
    };
    let point = |what: Value| canonical(&json!([kind.as_str(), object, what]));
    let all = || values(changes, |_| true);
    let what = match &effect.about {
        About::Parts(parts) if parts.more == 0 => {
            return parts.parts.iter().map(|it| point(part(it, changes))).collect();
        }
        About::Parts(_) => all(),
        About::Count(count) => json!([count.counted, count.new]),
        About::Deletion(deletion) => match &deletion.what {
            Deleted::Expires(change) => json!([change.field, change.new]),
            Deleted::History(it) => json!([it.owner.name, it.change.field, it.change.new]),
            _ => Value::Null,
        },
        About::Class(change) => json!(change.new),
        About::Lease(lease) => json!([lease.new, lease.seconds]),
        About::Custom(_) if !changes.is_empty() => all(),
        About::Custom(_) | About::Connect(_) | About::Unknown(_) => json!(words),
        About::Nothing
        | About::Token
        | About::Binding
        | About::RunsAs(_)
        | About::PodsGone(_)
        | About::Said(_) => Value::Null,
    };
    vec![point(what)]
}

/// A part as it would be, with its values where it names only where they are.
fn part(part: &Part, changes: &[Change]) -> Value {
    let within = |path: &str, at: &str| {
        path.strip_prefix(at).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let values = match part {
        Part::Field(at) => values(changes, |path| within(path, at)),
        Part::VolumeImage(volume) => values(changes, |path| segments(path).contains(volume)),
        Part::Label(key)
        | Part::Annotation(key)
        | Part::Mark(key)
        | Part::Grants(key)
        | Part::DataAdded(key)
        | Part::DataOverwritten(key)
        | Part::DataRemoved(key) => values_of(changes, key),
        Part::AppliedRecord | Part::ForeignAppliedRecord => values_of(changes, applied::KEY),
        Part::Immutable => values_of(changes, "immutable"),
        Part::Created(_)
        | Part::AccessCreated(_)
        | Part::AccessChanged(_)
        | Part::ContainerAdded(_)
        | Part::Credential(_)
        | Part::Environment(_)
        | Part::Record(_)
        | Part::VolumeOfClaim(_)
        | Part::Release(_) => values(changes, |_| true),
        // They have their values in them, or are asked for by themselves.
        Part::Owners(_)
        | Part::Finalizers(_)
        | Part::Taints(_)
        | Part::Fields(_)
        | Part::ClaimsMayGo
        | Part::Power(_)
        | Part::Image(_)
        | Part::Resources(_)
        | Part::PodResources(_)
        | Part::ContainerRemoved(_)
        | Part::Rolls
        | Part::RestartsUnsafely(_) => Value::Null,
    };
    json!([without_what_was(json!(part)), values])
}

/// Each difference of these paths as it would be.
fn values(changes: &[Change], is_meant: impl Fn(&str) -> bool) -> Value {
    let meant = changes.iter().filter(|it| is_meant(&it.path));
    meant.map(|it| json!([it.path, it.new])).collect()
}

/// What stands under a key as it would be: a difference of its own, or within a larger one, such as that of an
/// object that had no labels at all.
fn values_of(changes: &[Change], key: &str) -> Value {
    let mut found = Vec::new();
    for change in changes {
        if segments(&change.path).last().is_some_and(|last| last == key) {
            found.push(json!([change.path, change.new]));
            continue;
        }
        let mut open: Vec<&Value> = change.new.iter().collect();
        while let Some(value) = open.pop() {
            match value {
                Value::Object(fields) => {
                    found.extend(fields.get(key).map(|it| json!([change.path, it])));
                    open.extend(fields.values());
                }
                Value::Array(items) => open.extend(items),
                _ => {}
            }
        }
    }
    Value::Array(found)
}

/// From what an object comes to it is nothing that is asked for, nor who uses it.
fn without_what_was(mut part: Value) -> Value {
    let mut open = vec![&mut part];
    while let Some(value) = open.pop() {
        match value {
            Value::Object(fields) => {
                for field in ["old", "users", "more"] {
                    fields.remove(field);
                }
                open.extend(fields.values_mut());
            }
            Value::Array(items) => open.extend(items),
            _ => {}
        }
    }
    part
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ObjectRef,
        about::{
            Connect, Container, ContainerChange, Count, Counted, Deletion, FieldChange, Parts,
            Propagation,
        },
    };

    fn effect(kind: EffectKind, about: About) -> Effect {
        let object = ObjectRef {
            api_group: "apps".into(),
            resource: "deployments".into(),
            namespace: "prod".into(),
            name: "web".into(),
            uid: String::new(),
        };
        Effect { kind, object, about }
    }

    fn parts(kind: EffectKind, part: Part) -> Effect {
        effect(kind, About::Parts(Parts::of(vec![part])))
    }

    fn image(old: &str, new: &str) -> Effect {
        let change =
            FieldChange { field: "image".into(), old: Some(old.into()), new: Some(new.into()) };
        let container = Container { list: "containers".into(), name: "web".into() };
        parts(EffectKind::ChangeImage, Part::Image(ContainerChange { container, change }))
    }

    fn scale(old: i64, new: i64) -> Effect {
        let about = Count::new(Counted::Replicas, Some(old), Some(new));
        effect(EffectKind::ScaleDown, About::Count(about))
    }

    fn data(key: &str) -> Effect {
        parts(EffectKind::LoseData, Part::DataOverwritten(key.into()))
    }

    fn change(path: &str, new: &str) -> Change {
        Change { path: path.into(), old: Some(json!("x")), new: Some(json!(new)) }
    }

    #[test]
    fn the_same_is_the_same_value_key_or_command_by_whatever_way() {
        let field = |path: &str| parts(EffectKind::ChangeSpec, Part::Field(path.into()));
        let delete = |propagation| {
            let about = Deletion { propagation, ..Deletion::of(Deleted::Workload(3)) };
            effect(EffectKind::Delete, About::Deletion(about))
        };
        let exec = || effect(EffectKind::RunCode, About::Connect(Connect::PortForward));
        let label = |key: &str| parts(EffectKind::ChangeLabels, Part::Label(key.into()));
        type Side = (Vec<Effect>, Vec<Change>, &'static str);
        let table: [(Side, Side, bool); 12] = [
            ((vec![image("1", "2")], vec![], ""), (vec![image("0", "2")], vec![], "other"), true),
            ((vec![image("1", "2")], vec![], ""), (vec![image("1", "3")], vec![], ""), false),
            ((vec![scale(3, 0)], vec![], ""), (vec![scale(5, 0)], vec![], ""), true),
            ((vec![scale(3, 0)], vec![], ""), (vec![scale(3, 1)], vec![], ""), false),
            (
                (vec![data("a")], vec![change("/data/a", "1")], ""),
                (vec![data("a")], vec![change("/data/a", "2")], ""),
                false,
            ),
            (
                (vec![data("a")], vec![change("/data/a", "1")], ""),
                (vec![data("a")], vec![change("/data/a", "1"), change("/data/b", "1")], ""),
                true,
            ),
            (
                (vec![data("a")], vec![change("/data/a", "1")], ""),
                (vec![data("b")], vec![change("/data/b", "1")], ""),
                false,
            ),
            (
                (vec![field("/spec/x")], vec![change("/spec/x/y", "1")], ""),
                (vec![field("/spec/x")], vec![change("/spec/x/y", "2")], ""),
                false,
            ),
            (
                (vec![delete(Some(Propagation::Background))], vec![], "{}"),
                (vec![delete(Some(Propagation::Foreground))], vec![], "{\"a\":1}"),
                true,
            ),
            ((vec![exec()], vec![], "cat"), (vec![exec()], vec![], "ls"), false),
            (
                (vec![scale(3, 0), label("a")], vec![change("/metadata/labels/a", "1")], ""),
                (vec![scale(3, 0)], vec![], ""),
                true,
            ),
            (
                (vec![label("a")], vec![change("/metadata/labels/a", "1")], ""),
                (vec![label("a")], vec![change("/metadata/labels/a", "2")], ""),
                false,
            ),
        ];
        for (row, (one, other, want)) in table.into_iter().enumerate() {
            let [one, other] = [one, other].map(|(effects, changes, words)| {
                assert!(!asked(&effects, &changes, words).is_empty());
                asked(&effects, &changes, words)
            });
            assert_eq!(one == other, want, "row {row}: {one:?} {other:?}");
        }
    }

    #[test]
    fn another_value_is_another_question_wherever_the_difference_begins() {
        let key = "example.com/trigger";
        let applied = format!("/metadata/annotations/{}", applied::KEY.replace('/', "~1"));
        let whole = |path: &str, inner: Value| {
            vec![Change { path: path.into(), old: None, new: Some(inner) }]
        };
        let labels = |value: &str| whole("/metadata/labels", json!({ key: value }));
        let object = |value: &str| whole("", json!({"metadata": {"annotations": {key: value}}}));
        let data = |value: &str| whole("/data", json!({"a": value}));
        let record = |value: &str| vec![change(&applied, value)];
        let image = |value: &str| vec![change("/spec/volumes/model/image/reference", value)];
        let immutable = |value: &str| vec![change("/immutable", value)];
        type Asks<'a> = (Part, &'a dyn Fn(&str) -> Vec<Change>);
        let table: [Asks<'_>; 7] = [
            (Part::Label(key.into()), &labels),
            (Part::Mark(key.into()), &object),
            (Part::Grants(key.into()), &object),
            (Part::DataAdded("a".into()), &data),
            (Part::ForeignAppliedRecord, &record),
            (Part::VolumeImage("model".into()), &image),
            (Part::Immutable, &immutable),
        ];
        for (part, changes) in table {
            let effects = [parts(EffectKind::ChangeTrigger, part.clone())];
            let asks = |value: &str| asked(&effects, &changes(value), "");
            assert_eq!(asks("1"), asks("1"), "{part:?}");
            assert_ne!(asks("1"), asks("2"), "{part:?}");
            // Whatever else changes beside it.
            let more = [changes("1"), vec![change("/spec/other", "x")]].concat();
            assert_eq!(asks("1"), asked(&effects, &more, ""), "{part:?}");
        }
    }

    #[test]
    fn too_many_points_are_one() {
        let many = |count: usize| {
            let effects: Vec<Effect> = (0..count)
                .map(|n| {
                    let mut effect = effect(EffectKind::Evict, About::Nothing);
                    effect.object.name = n.to_string();
                    effect
                })
                .collect();
            asked(&effects, &[], "").len()
        };
        assert_eq!((many(POINTS_MAX), many(POINTS_MAX + 1)), (POINTS_MAX, 1));
    }
}
