//! What a decision was made from, as it is recorded: so that other rules can be asked about the same
//! call later (`policy replay`).

use ledger::{ClassRecord, EffectRecord, Entry, FACTS_VERSION, Facts, FactsRecord, WindowRecord};
use serde_json::Value;

use crate::{Proxy, call::Write, judge::Seen};

/// Labels of a namespace, in all.
const LABEL_BYTES_MAX: usize = 4 << 10;

/// What is told of a decision besides the decision itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Basis {
    pub(crate) effects: Vec<EffectRecord>,
    pub(crate) class: Option<ClassRecord>,
    pub(crate) facts: Facts,
}

impl Basis {
    pub(crate) fn add_to(self, entry: &mut Entry) {
        entry.effects = self.effects;
        entry.class = self.class;
        entry.facts = self.facts;
    }
}

/// What changes from one moment to the next, as the rules saw it.
pub(crate) struct Moment {
    pub(crate) at: jiff::Timestamp,
    pub(crate) window: Option<WindowRecord>,
}

impl Proxy {
    /// The facts of a judgement; `seen` is what was seen, where somebody looked.
    pub(crate) fn facts(
        &self,
        write: &Write,
        moment: &Moment,
        seen: Option<&mut Seen>,
    ) -> Box<FactsRecord> {
        let labels = write.class.labels.as_ref();
        let label_bytes = labels.into_iter().flatten().map(|(key, value)| key.len() + value.len());
        let labels_left_out = label_bytes.sum::<usize>() > LABEL_BYTES_MAX;
        let mut facts = FactsRecord {
            version: FACTS_VERSION,
            at: moment.at,
            labels: if labels_left_out { None } else { labels.cloned() },
            labels_left_out,
            looked: seen.is_some(),
            objects: Vec::new(),
            unknown: String::new(),
            objects_of: None,
            over_budget: false,
            extent: ledger::Extent::default(),
            compared: false,
            window: moment.window,
        };
        let Some(seen) = seen else { return Box::new(facts) };
        facts.compared = seen.compared.is_some();
        let redact = |object: &Value| self.redacted(write, object);
        let digest = |bytes: &[u8]| self.redactor.digest(bytes);
        (facts.objects, facts.extent) = match (&seen.unknown, &seen.items, seen.compared.take()) {
            (Some(why), ..) => {
                facts.unknown.clone_from(why);
                return Box::new(facts);
            }
            (None, Some(items), _) => {
                replay::objects(items.iter().map(|item| (Some(redact(item)), None)), &digest)
            }
            (None, None, Some(sides)) => replay::objects(std::iter::once((*sides).into()), &digest),
            (None, None, None) => {
                let sides = (seen.live.as_ref().map(redact), seen.new.as_ref().map(redact));
                replay::objects(std::iter::once(sides), &digest)
            }
        };
        Box::new(facts)
    }
}
