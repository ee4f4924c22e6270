//! What was seen of the cluster when a write was previewed.

use effects::{Change, Effect, Unknown, describe};
use hold::Target;
use policy::{Objects, Pair};
use serde_json::Value;
use upstream::ProbeAnswer;

use crate::call::Write;

/// What was seen, or the API server's own refusal, which is the agent's answer then.
pub(crate) type Previewed = Result<Seen, Box<ProbeAnswer>>;

/// Objects, effects and differences, as far as they could be learned.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) effects: Vec<Effect>,
    pub(crate) changes: Vec<Change>,
    pub(crate) live: Option<Value>,
    /// Where `live` is a `Scale`: the workload that it is of, as it was a moment later.
    pub(crate) whole: Option<Value>,
    /// As it would be.
    pub(crate) new: Option<Value>,
    /// Both without their secrets, where they were compared.
    pub(crate) compared: Option<Box<[Option<Value>; 2]>>,
    /// Of a collection, each object.
    pub(crate) items: Option<Vec<Value>>,
    /// Why the objects are not known, where they are not.
    pub(crate) unknown: Option<Unknown>,
    pub(crate) targets: Vec<Target>,
    pub(crate) notes: Vec<String>,
}

impl Seen {
    /// Nothing, and why.
    pub(crate) fn nothing(why: Unknown) -> Self {
        let notes = vec![describe::reason(&why)];
        Self { unknown: Some(why), notes, ..Self::default() }
    }

    /// The live object itself, also where the write is to its `/scale`.
    pub(crate) fn object(&self, write: &Write) -> Option<&Value> {
        match write.attributes().subresource.as_str() {
            "scale" => self.whole.as_ref(),
            _ => self.live.as_ref(),
        }
    }

    /// The objects that a delete takes.
    pub(crate) fn gone(&self) -> impl Iterator<Item = &Value> {
        self.live.iter().chain(self.items.iter().flatten())
    }

    /// The objects, as rules are asked about them.
    pub(crate) fn objects(&self) -> Objects<'_> {
        match (&self.unknown, &self.items) {
            // INVARIANT: rules never judge an object that is only half known.
            (Some(why), _) => Objects::Unknown(describe::reason(why)),
            (None, None) => {
                Objects::Known(vec![Pair { old: self.live.as_ref(), new: self.new.as_ref() }])
            }
            (None, Some(items)) => {
                let pairs = items.iter().map(|item| Pair { old: Some(item), new: None });
                Objects::Known(pairs.collect())
            }
        }
    }
}

/// The live object, as far as somebody may see it.
pub(crate) enum Live {
    /// It is this.
    Is(Value),
    /// There is none.
    IsNot,
    /// Neither the agent nor the proxy may see it, and why.
    Hidden(Unknown),
}
