//! What expressions see of one request. Each part is made at most once, and only if it is read.

use std::{
    cell::OnceCell,
    collections::{BTreeMap, HashMap},
    rc::Rc,
};

use attributes::{Attributes, User};
use effects::{Change, Effect, EffectKind, NamespaceClass};
use expression::{Map, Schema, Scope, Type, Value};
use jiff::Timestamp;
use serde_json::{Value as Json, json};

use crate::{
    effect_fields::{self, group_resource},
    gaps::{GapTracker, Gaps, NOT_RECORDED},
    matching::Operation,
};

/// Everything that a rule may look at.
pub struct Input<'a> {
    /// What is asked.
    pub attributes: &'a Attributes,
    /// Who asks.
    pub user: &'a User,
    /// Where.
    pub class: &'a NamespaceClass,
    /// Whether anything would be stored: false for reads, reviews and dry runs.
    pub is_write: bool,
    /// What it would do.
    pub effects: &'a [Effect],
    /// What it would be done to.
    pub objects: Objects<'a>,
    /// How the object would differ; values are redacted.
    pub changes: &'a [Change],
    /// What the same user did before, the newest first.
    pub earlier: &'a [Past],
    /// Takes secrets out of an object: of whatever may be shown, and of Secrets always.
    pub redact: &'a dyn Fn(&Json) -> Json,
    /// When.
    pub now: Timestamp,
}

impl<'a> Input<'a> {
    /// Of a read, of which only attributes, user and namespace are known.
    pub fn of_read(
        attributes: &'a Attributes,
        user: &'a User,
        class: &'a NamespaceClass,
        now: Timestamp,
    ) -> Self {
        Self {
            attributes,
            user,
            class,
            is_write: false,
            effects: &[],
            objects: Objects::Unknown("reads are not looked at".to_owned()),
            changes: &[],
            earlier: &[],
            redact: &Json::clone,
            now,
        }
    }
}

/// The objects of a request.
pub enum Objects<'a> {
    /// Nobody has looked yet: rules that read them are asked later.
    Later,
    /// As they are and would be; of a collection, each.
    Known(Vec<Pair<'a>>),
    /// Why they are not known.
    Unknown(String),
}

/// One object before and after.
#[derive(Clone, Copy, Default)]
pub struct Pair<'a> {
    /// As it is; missing where it is made.
    pub old: Option<&'a Json>,
    /// As it would be; missing where it goes.
    pub new: Option<&'a Json>,
}

/// An effect of an earlier call.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Past {
    /// When it was sent.
    pub at: Timestamp,
    /// What it was.
    pub kind: EffectKind,
    /// Of what, as `deployments.apps`.
    pub group_resource: String,
    /// Where.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl Past {
    /// An effect that happens now.
    pub fn of(effect: &Effect, at: Timestamp) -> Self {
        Self {
            at,
            kind: effect.kind,
            group_resource: group_resource(&effect.object.api_group, &effect.object.resource),
            namespace: effect.object.namespace.clone(),
            name: effect.object.name.clone(),
        }
    }
}

pub(crate) const REQUEST: usize = 0;
pub(crate) const OBJECT: usize = 1;
pub(crate) const OLD_OBJECT: usize = 2;
pub(crate) const NAMESPACE_OBJECT: usize = 3;
pub(crate) const AGENT: usize = 4;
pub(crate) const EFFECTS: usize = 5;
pub(crate) const DIFF: usize = 6;
pub(crate) const WINDOW: usize = 7;
pub(crate) const NAMESPACE_CLASS: usize = 8;
pub(crate) const NOW: usize = 9;
pub(crate) const GUARDED_LABELS: usize = 10;
pub(crate) const PARAMS: usize = 11;
pub(crate) const VARIABLES: usize = 12;
pub(crate) const EFFECT: usize = 13;

/// What an expression is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Purpose {
    /// To decide, about a request as a whole.
    OfRequest,
    /// To decide, about an effect of the kinds that a rule names: `effect` is there.
    OfEffect,
    /// To be read by people, as [`Purpose::OfRequest`]: sentences are there too.
    ReasonOfRequest,
    /// To be read by people, as [`Purpose::OfEffect`].
    ReasonOfEffect,
}

impl Purpose {
    fn has_effect(self) -> bool {
        matches!(self, Self::OfEffect | Self::ReasonOfEffect)
    }

    fn is_reason(self) -> bool {
        matches!(self, Self::ReasonOfRequest | Self::ReasonOfEffect)
    }
}

/// The variables of an expression. `object` is of what `object` and `oldObject` are.
pub(crate) fn schema(object: &Type, params: Type, variables: Type, purpose: Purpose) -> Schema {
    let effect = || effect_fields::effect_type(purpose.is_reason());
    let schema = Schema::default()
        .with("request", request_type())
        .with("object", object.clone())
        .with("oldObject", object.clone())
        .with("namespaceObject", namespace_object_type())
        .with("agent", agent_type())
        .with("effects", Type::list(effect()))
        .with("diff", Type::list(change_type()))
        .with("window", Type::list(past_type()))
        .with("namespaceClass", namespace_class_type())
        .with("now", Type::Timestamp)
        .with("guardedLabels", Type::list(Type::Text))
        .with("params", params)
        .with("variables", variables);
    if purpose.has_effect() { schema.with("effect", effect()) } else { schema }
}

/// As ValidatingAdmissionPolicy has it, with the verb, the path and the query's options.
fn request_type() -> Type {
    let text = || Type::Text;
    let gvr = || {
        let fields = [("group", text()), ("version", text()), ("resource", text())];
        Type::object("request.resource", fields)
    };
    let kind = [("group", text()), ("version", text()), ("kind", text())];
    let user = [
        ("username", text()),
        ("uid", text()),
        ("groups", Type::list(text())),
        ("extra", Type::map(Type::list(text()))),
    ];
    Type::object(
        "request",
        [
            ("operation", text()),
            ("verb", text()),
            ("kind", Type::object("request.kind", kind)),
            ("resource", gvr()),
            ("requestResource", gvr()),
            ("subResource", text()),
            ("requestSubResource", text()),
            ("namespace", text()),
            ("name", text()),
            ("userInfo", Type::object("request.userInfo", user)),
            ("dryRun", Type::Bool),
            ("path", text()),
            ("options", Type::map(text())),
        ],
    )
}

fn namespace_object_type() -> Type {
    let metadata = [("name", Type::Text), ("labels", Type::map(Type::Text))];
    let metadata = Type::object("namespaceObject.metadata", metadata);
    Type::object("namespaceObject", [("metadata", metadata)])
}

fn agent_type() -> Type {
    let account = [("namespace", Type::Text), ("name", Type::Text)];
    let agent = [
        ("username", Type::Text),
        ("uid", Type::Text),
        ("groups", Type::list(Type::Text)),
        ("serviceAccount", Type::object("agent.serviceAccount", account)),
    ];
    Type::object("agent", agent)
}

/// One entry of `diff`.
fn change_type() -> Type {
    // The values are of whatever field differs.
    Type::object("a difference", [("path", Type::Text), ("old", Type::Dyn), ("new", Type::Dyn)])
}

/// One entry of `window`.
fn past_type() -> Type {
    Type::object(
        "an earlier call",
        [
            ("ageSeconds", Type::Int),
            ("kind", Type::Text),
            ("groupResource", Type::Text),
            ("namespace", Type::Text),
            ("name", Type::Text),
        ],
    )
}

fn namespace_class_type() -> Type {
    let class = [("production", Type::Bool), ("protected", Type::Bool), ("own", Type::Bool)];
    Type::object("namespaceClass", class)
}

/// What rules guard for the whole set of them, and see of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Guarded {
    /// Where agent-shield itself runs; empty where that is not known.
    pub(crate) own_namespace: String,
    /// Labels of namespaces that any rule looks at, as JSON strings.
    pub(crate) labels: Json,
}

impl Guarded {
    /// Whether agent-shield runs in a namespace.
    pub(crate) fn is_own(&self, namespace: &str) -> bool {
        !namespace.is_empty() && namespace == self.own_namespace
    }
}

/// Where each uid and each name stands first, as a collection has as many as an agent likes.
fn places(pairs: &[Pair<'_>]) -> [HashMap<String, usize>; 2] {
    ["/metadata/uid", "/metadata/name"].map(|path| {
        let mut places = HashMap::new();
        for (index, pair) in pairs.iter().enumerate() {
            let Some(object) = pair.old.or(pair.new) else { continue };
            let text = object.pointer(path).and_then(Json::as_str).unwrap_or_default();
            places.entry(text.to_owned()).or_insert(index);
        }
        places
    })
}

/// The parts that are made for one decision.
pub(crate) struct Facts<'a> {
    pub(crate) input: &'a Input<'a>,
    /// Of a recorded request, its gaps.
    pub(crate) gaps: Option<&'a GapTracker<'a>>,
    guarded: &'a Guarded,
    request: Vec<OnceCell<Json>>,
    namespace: OnceCell<Json>,
    agent: OnceCell<Json>,
    /// As conditions see them, and as reasons do.
    effects: [OnceCell<Json>; 2],
    diff: OnceCell<Json>,
    window: OnceCell<Json>,
    class: OnceCell<Json>,
    redacted: Vec<OnceCell<[Option<Json>; 2]>>,
    /// Of many objects, where each uid and each name stands first.
    places: OnceCell<[HashMap<String, usize>; 2]>,
}

impl<'a> Facts<'a> {
    pub(crate) fn new(input: &'a Input<'a>, guarded: &'a Guarded) -> Self {
        let pairs = match &input.objects {
            Objects::Known(pairs) => pairs.len(),
            Objects::Later | Objects::Unknown(_) => 0,
        };
        Self {
            input,
            gaps: None,
            guarded,
            // The last is of the request without an object.
            request: (0..=pairs).map(|_| OnceCell::new()).collect(),
            namespace: OnceCell::new(),
            agent: OnceCell::new(),
            effects: [OnceCell::new(), OnceCell::new()],
            diff: OnceCell::new(),
            window: OnceCell::new(),
            class: OnceCell::new(),
            redacted: (0..pairs).map(|_| OnceCell::new()).collect(),
            places: OnceCell::new(),
        }
    }

    pub(crate) fn pairs(&self) -> &'a [Pair<'a>] {
        match &self.input.objects {
            Objects::Known(pairs) => pairs,
            Objects::Later | Objects::Unknown(_) => &[],
        }
    }

    /// The pair of an effect's object; the only one, where there is one.
    pub(crate) fn pair_of(&self, effect: &Effect) -> Option<usize> {
        if let [_] = self.pairs() {
            return Some(0);
        }
        let [by_uid, by_name] = self.places.get_or_init(|| places(self.pairs()));
        match effect.object.uid.as_str() {
            "" => by_name.get(effect.object.name.as_str()),
            uid => by_uid.get(uid),
        }
        .copied()
    }

    pub(crate) fn operation(&self, pair: Option<usize>) -> Operation {
        let pair = pair.and_then(|index| self.pairs().get(index));
        Operation::of_request(self.input.attributes, pair.map(|pair| pair.old.is_some()))
    }

    /// The effects as expressions see them; `in_words` where people read what comes of it.
    fn effects(&'a self, in_words: bool) -> &'a Json {
        let [plain, worded] = &self.effects;
        let made = if in_words { worded } else { plain };
        let effect = |it| effect_fields::effect_json(it, in_words);
        made.get_or_init(|| Json::Array(self.input.effects.iter().map(effect).collect()))
    }

    fn request(&'a self, pair: Option<usize>) -> &'a Json {
        static NOTHING: Json = Json::Null;
        let cell = self.request.get(pair.unwrap_or(self.pairs().len()));
        let Some(cell) = cell else { return &NOTHING };
        cell.get_or_init(|| {
            let a = self.input.attributes;
            let user = self.input.user;
            let object = pair.and_then(|index| self.pairs().get(index));
            let object = object.and_then(|pair| pair.new.or(pair.old));
            let kind = object.and_then(|it| it.get("kind")).and_then(Json::as_str);
            let resource =
                json!({"group": a.api_group, "version": a.api_version, "resource": a.resource});
            let options: BTreeMap<&str, &str> =
                a.query.0.iter().rev().map(|(key, value)| (key.as_str(), value.as_str())).collect();
            let name = match object.and_then(|it| it.pointer("/metadata/name")) {
                Some(Json::String(name)) if a.name.is_empty() => name,
                _ => &a.name,
            };
            json!({
                "operation": self.operation(pair).as_str(),
                "verb": a.verb,
                "kind": {
                    "group": a.api_group,
                    "version": a.api_version,
                    "kind": kind.unwrap_or_default(),
                },
                "resource": resource,
                "requestResource": resource,
                "subResource": a.subresource,
                "requestSubResource": a.subresource,
                "namespace": a.namespace,
                "name": name,
                "userInfo": {
                    "username": user.username,
                    "uid": user.uid,
                    "groups": user.groups,
                    // It names credentials, and is never recorded.
                    "extra": match self.gaps {
                        None => json!(user.extra),
                        Some(_) => json!(NOT_RECORDED),
                    },
                },
                "dryRun": !self.input.is_write,
                "path": a.path,
                "options": options,
            })
        })
    }

    /// Why a part is not known, where it was not recorded.
    fn gap(&self, of: impl Fn(&Gaps) -> Option<&String>) -> Result<(), String> {
        match self.gaps.and_then(|tracker| Some((tracker, of(tracker.gaps)?))) {
            Some((tracker, why)) => Err(tracker.meet(why.clone())),
            None => Ok(()),
        }
    }

    fn namespace(&'a self) -> Result<&'a Json, String> {
        self.gap(|gaps| gaps.labels.as_ref())?;
        let name = &self.input.attributes.namespace;
        if !name.is_empty() && self.input.class.labels.is_none() {
            return Err(format!("the labels of namespace {name} are not known"));
        }
        Ok(self.namespace.get_or_init(|| match &self.input.class.labels {
            Some(labels) => json!({"metadata": {"name": name, "labels": labels}}),
            None => Json::Null,
        }))
    }

    fn agent(&'a self) -> &'a Json {
        self.agent.get_or_init(|| {
            let user = self.input.user;
            let (namespace, name) = user.service_account().unwrap_or_default();
            json!({
                "username": user.username,
                "uid": user.uid,
                "groups": user.groups,
                "serviceAccount": {"namespace": namespace, "name": name},
            })
        })
    }

    fn diff(&'a self) -> &'a Json {
        self.diff.get_or_init(|| {
            let change = |it: &Change| json!({"path": it.path, "old": it.old, "new": it.new});
            Json::Array(self.input.changes.iter().map(change).collect())
        })
    }

    fn window(&'a self) -> &'a Json {
        self.window.get_or_init(|| {
            let past = |it: &Past| {
                json!({
                    "ageSeconds": self.input.now.duration_since(it.at).as_secs(),
                    "kind": it.kind.as_str(),
                    "groupResource": it.group_resource,
                    "namespace": it.namespace,
                    "name": it.name,
                })
            };
            Json::Array(self.input.earlier.iter().map(past).collect())
        })
    }

    fn class(&'a self) -> &'a Json {
        let class = self.input.class;
        let own = self.guarded.is_own(&self.input.attributes.namespace);
        self.class.get_or_init(
            || json!({"production": class.production, "protected": class.protected, "own": own}),
        )
    }

    fn object(
        &'a self,
        pair: Option<usize>,
        new: bool,
        redacted: bool,
    ) -> Result<&'a Json, String> {
        static NOTHING: Json = Json::Null;
        let index = match (&self.input.objects, pair) {
            (Objects::Known(_), Some(index)) => index,
            (Objects::Known(_), None) => {
                return Err("the object of this effect was not looked at".to_owned());
            }
            (Objects::Unknown(why), _) => return Err(format!("the object is not known: {why}")),
            (Objects::Later, _) => return Err("nobody has looked at the object yet".to_owned()),
        };
        let pair = self.pairs().get(index).copied().unwrap_or_default();
        let side = if new { pair.new } else { pair.old };
        let (Some(side), Some(cell)) = (side, self.redacted.get(index)) else {
            return Ok(&NOTHING);
        };
        // Of a Secret nobody ever sees a value, whatever an expression does with it.
        if !redacted && self.input.attributes.resource != "secrets" {
            return Ok(side);
        }
        let redact = self.input.redact;
        let made = cell.get_or_init(|| [pair.old.map(redact), pair.new.map(redact)]);
        Ok(made.get(usize::from(new)).and_then(Option::as_ref).unwrap_or(&NOTHING))
    }
}

/// What one expression of one policy sees.
pub(crate) struct View<'a> {
    pub(crate) facts: &'a Facts<'a>,
    pub(crate) params: &'a Json,
    pub(crate) pair: Option<usize>,
    pub(crate) effect: Option<usize>,
    /// Secrets taken out of objects: for what is shown.
    pub(crate) redacted: bool,
    /// The policy's variables so far; one that has no value is not there.
    pub(crate) variables: Rc<Vec<(Value<'a>, Value<'a>)>>,
}

impl<'a> Scope<'a> for View<'a> {
    fn variable(&self, index: usize) -> Result<Value<'a>, String> {
        let facts = self.facts;
        Ok(match index {
            REQUEST => facts.request(self.pair).into(),
            OBJECT => facts.object(self.pair, true, self.redacted)?.into(),
            OLD_OBJECT => facts.object(self.pair, false, self.redacted)?.into(),
            NAMESPACE_OBJECT => facts.namespace()?.into(),
            AGENT => facts.agent().into(),
            EFFECTS => facts.effects(self.redacted).into(),
            DIFF => match &facts.input.objects {
                Objects::Unknown(why) => return Err(format!("the object is not known: {why}")),
                _ => {
                    facts.gap(|gaps| gaps.diff.as_ref())?;
                    facts.diff().into()
                }
            },
            WINDOW => {
                facts.gap(|gaps| gaps.window.as_ref())?;
                facts.window().into()
            }
            NAMESPACE_CLASS => facts.class().into(),
            NOW => Value::Timestamp(facts.input.now),
            GUARDED_LABELS => (&facts.guarded.labels).into(),
            PARAMS => self.params.into(),
            VARIABLES => Value::Map(Map::Made(Rc::clone(&self.variables))),
            EFFECT => match self.effect.and_then(|at| facts.effects(self.redacted).get(at)) {
                Some(effect) => effect.into(),
                None => return Err("there is no effect here".to_owned()),
            },
            _ => return Err("there is no such variable".to_owned()),
        })
    }
    fn watches(&self) -> bool {
        // What is shown was redacted for the request itself too.
        self.facts.gaps.is_some() && !self.redacted
    }

    fn look(&self, text: &str, path: &dyn Fn() -> String) -> Result<(), String> {
        match self.facts.gaps {
            Some(tracker) if tracker.gaps.is_one(text) => {
                Err(tracker.meet(format!("reads {}, which was not recorded", path())))
            }
            _ => Ok(()),
        }
    }
}
