//! An effect as expressions read it: its fields, their types, and none of its words.
//!
//! A field that does not apply is not there, which `has(effect.old)` asks; one that is there is the
//! same whatever sentence is made of the effect. Only a rule's reason, which people read, has `words`.

use std::{collections::BTreeMap, sync::Arc};

use effects::{
    About, Effect, EffectKind, ObjectRef,
    about::{ContainerChange, Custom, Deleted, Deletion, OwnerRef, Part, Parts, Whose},
};
use expression::{Fields, Type};
use serde_json::{Map, Value as Json, json};

/// What replaces the sentence that expressions once compared.
const INSTEAD: &str = "compare fields such as `counted`, `secretType`, `propagationPolicy`, \
    `gracePeriodSeconds`, `owner.uid`, `fields`, `keys` or `powers`, and say `words` in a reason \
    (`agent-shield policy migrate` rewrites files)";
const NO_WORDS: &str =
    "sentences are for people: compare fields, and say `words` in a reason alone";

/// As kubectl writes it: `deployments.apps`, `secrets`.
pub(crate) fn group_resource(group: &str, resource: &str) -> String {
    if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") }
}

/// One entry of `effects`, and `effect` itself; `in_words` where people read what comes of it.
pub(crate) fn effect_type(in_words: bool) -> Type {
    let text = || Type::Text;
    let object = [
        ("apiGroup", text()),
        ("resource", text()),
        ("namespace", text()),
        ("name", text()),
        ("uid", text()),
    ];
    let image = [("container", text()), ("old", text()), ("new", text())];
    let power = [("kind", text()), ("of", text())];
    let fields = [
        ("kind", text()),
        ("groupResource", text()),
        ("apiGroup", text()),
        ("resource", text()),
        ("namespace", text()),
        ("name", text()),
        ("uid", text()),
        ("builtin", Type::Bool),
        ("counted", text()),
        ("old", Type::Int),
        ("new", Type::Int),
        ("secretType", text()),
        ("claimNamespace", text()),
        ("replicas", Type::Int),
        ("propagationPolicy", text()),
        ("gracePeriodSeconds", Type::Int),
        ("owner", Type::object("effect.owner", object)),
        ("readyOthers", Type::Int),
        ("fields", Type::list(text())),
        ("acts", Type::list(text())),
        ("keys", Type::list(text())),
        ("images", Type::list(Type::object("an image", image))),
        ("powers", Type::list(Type::object("a power", power))),
        ("managers", Type::list(text())),
        ("foreign", Type::Bool),
        ("due", Type::Bool),
        ("routine", Type::Bool),
        ("undoes", Type::Bool),
        ("reason", text()),
    ];
    let mut fields: BTreeMap<String, Type> =
        fields.into_iter().map(|(name, of)| (name.to_owned(), of)).collect();
    let mut retired = BTreeMap::from([("detail".to_owned(), INSTEAD.to_owned())]);
    match in_words {
        true => drop(fields.insert("words".to_owned(), text())),
        false => drop(retired.insert("words".to_owned(), NO_WORDS.to_owned())),
    }
    Type::Object(Arc::new(Fields { name: "an effect".to_owned(), fields, retired }))
}

/// The effect with those of the fields that it has.
pub(crate) fn effect_json(effect: &Effect, in_words: bool) -> Json {
    let ObjectRef { api_group, resource, namespace, name, uid } = &effect.object;
    let mut fields = Map::new();
    let mut set = |name: &str, value: Json| drop(fields.insert(name.to_owned(), value));
    set("kind", effect.kind.as_str().into());
    set("groupResource", group_resource(api_group, resource).into());
    set("apiGroup", api_group.as_str().into());
    set("resource", resource.as_str().into());
    set("namespace", namespace.as_str().into());
    set("name", name.as_str().into());
    set("uid", uid.as_str().into());
    set("builtin", effects::is_builtin(api_group, resource).into());
    if in_words {
        set("words", effects::describe(effect).into());
    }
    if effect.undoes() {
        set("undoes", true.into());
    }
    match &effect.about {
        About::Count(count) => {
            set("counted", count.counted.as_str().into());
            if let Some((old, new)) = count.sizes() {
                set("old", old.into());
                set("new", new.into());
            }
        }
        About::Deletion(deletion) => of_deletion(deletion, &mut set),
        About::Parts(parts) => {
            if effect.kind == EffectKind::TakeFields {
                // What is not named may be anybody's.
                let foreign = parts.more > 0 || parts.parts.iter().any(is_foreign);
                set("foreign", foreign.into());
            }
            of_parts(parts, &mut set);
        }
        About::Custom(custom) => of_custom(custom, &mut set),
        About::Lease(lease) => set("due", lease.step.is_due().into()),
        About::Unknown(unknown) => set("reason", unknown.why.as_str().into()),
        // Of these the kind says what rules ask about; and what an account may do is not for agents.
        About::Nothing
        | About::Connect(_)
        | About::Token
        | About::Binding
        | About::RunsAs(_)
        | About::Class(_)
        | About::PodsGone(_)
        | About::Said(_) => {}
    }
    Json::Object(fields)
}

/// How it acts, and by which fields; without them where these are not all.
fn of_custom(custom: &Custom, set: &mut dyn FnMut(&str, Json)) {
    let acts: Vec<&str> = custom.acts.iter().map(|it| it.act.as_str()).collect();
    let fields: Vec<&String> = custom.acts.iter().flat_map(|it| &it.fields).collect();
    if custom.acts.iter().all(|it| it.more == 0) && !fields.is_empty() {
        set("fields", json!(fields));
    }
    set("acts", json!(acts));
}

fn of_deletion(deletion: &Deletion, set: &mut dyn FnMut(&str, Json)) {
    match &deletion.what {
        Deleted::Secret(kind) => set("secretType", kind.as_str().into()),
        Deleted::BoundVolume(claim) => set("claimNamespace", claim.as_str().into()),
        Deleted::Workload(replicas) => set("replicas", (*replicas).into()),
        Deleted::ClaimsOf(claims) => set("owner", owner(&claims.owner)),
        Deleted::History(history) => set("owner", owner(&history.owner)),
        Deleted::Replaced(replaced) => {
            set("owner", owner(&replaced.owner));
            set("readyOthers", replaced.ready.into());
        }
        Deleted::Named
        | Deleted::Matching
        | Deleted::Finalized
        | Deleted::Custom
        | Deleted::Expires(_)
        | Deleted::Evicted => {}
    }
    set("routine", deletion.routine.is_some().into());
    if let Some(propagation) = deletion.propagation {
        set("propagationPolicy", propagation.as_str().into());
    }
    if let Some(seconds) = deletion.grace_seconds {
        set("gracePeriodSeconds", seconds.into());
    }
}

fn owner(owner: &OwnerRef) -> Json {
    let OwnerRef { api_group, resource, namespace, name, uid } = owner;
    json!({
        "apiGroup": api_group, "resource": resource, "namespace": namespace, "name": name, "uid": uid,
    })
}

fn of_parts(parts: &Parts, set: &mut dyn FnMut(&str, Json)) {
    if let Some(kind) = parts.parts.iter().find_map(|part| match part {
        Part::Credential(kind) => Some(kind.as_str()),
        _ => None,
    }) {
        set("secretType", kind.into());
    }
    // A list that is not whole is none: a condition on all of it would be true of half.
    if parts.more > 0 {
        return;
    }
    let (mut fields, mut keys, mut images, mut powers) = (vec![], vec![], vec![], vec![]);
    let mut managers = vec![];
    for part in &parts.parts {
        match part {
            Part::Field(path) => fields.push(Json::from(path.as_str())),
            Part::Label(key)
            | Part::Annotation(key)
            | Part::Mark(key)
            | Part::Grants(key)
            | Part::DataAdded(key)
            | Part::DataOverwritten(key)
            | Part::DataRemoved(key) => keys.push(Json::from(key.as_str())),
            Part::Fields(taken) => managers.push(Json::from(taken.manager.as_str())),
            Part::Image(change) => images.push(image(change)),
            Part::Power(power) => {
                let (kind, of) = power.parts();
                powers.push(json!({"kind": kind, "of": of}));
            }
            _ => {}
        }
    }
    let lists = [("fields", fields), ("keys", keys), ("images", images), ("powers", powers)];
    for (name, list) in lists.into_iter().chain([("managers", managers)]) {
        if !list.is_empty() {
            set(name, Json::Array(list));
        }
    }
}

fn is_foreign(part: &Part) -> bool {
    !matches!(part, Part::Fields(taken) if taken.whose == Whose::Own)
}

fn image(change: &ContainerChange) -> Json {
    let mut image = json!({"container": change.container.name});
    if let Some(image) = image.as_object_mut() {
        let sides = [("old", &change.change.old), ("new", &change.change.new)];
        for (side, value) in sides.into_iter().filter_map(|(side, it)| Some((side, it.as_ref()?))) {
            image.insert(side.to_owned(), value.as_str().into());
        }
    }
    image
}
