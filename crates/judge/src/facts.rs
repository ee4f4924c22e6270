//! Records what a decision was made from, so that `policy replay` can ask other rules about the same
//! call.

use std::time::Duration;

use hold::HoldId;
use ledger::{
    ClassRecord, EffectRecord, Entry, Extent, FACTS_VERSION, Facts, FactsRecord, WindowRecord,
};
use moka::sync::Cache;
use payload::Redactor;
use serde_json::Value;

use crate::{call::Write, facts_quota::FactsQuota, judgement::Judgement, seen::Seen};

/// Labels of a namespace, in all.
const LABEL_BYTES_MAX: usize = 4 << 10;
/// Holds whose objects are known again.
const HOLDS_MAX: u64 = 10_000;
/// A hold that no client came again for is forgotten after so long.
const REMEMBERED_TIME_MAX: Duration = Duration::from_secs(60 * 60);

/// What is recorded beside a decision.
#[derive(Clone, Debug, Default)]
pub struct Basis {
    /// What the call would do.
    pub effects: Vec<EffectRecord>,
    /// How its namespace is classed.
    pub class: Option<ClassRecord>,
    /// What the rules were asked about.
    pub facts: Facts,
}

impl Basis {
    /// Adds it to the entry of the decision.
    pub fn add_to(self, entry: &mut Entry) {
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

/// Which call's facts have which objects.
#[derive(Clone, Debug)]
pub struct FactsRef {
    audit_id: String,
    digest: String,
}

/// Makes what is recorded of a judgement, within what is kept of each agent.
pub struct FactsKeeper {
    redactor: Redactor,
    quota: FactsQuota,
    /// Where the objects of each hold were recorded last: a client that comes again for its hold every
    /// few seconds is judged by the same ones. What is forgotten is recorded once more.
    recorded: Cache<HoldId, FactsRef>,
}

impl FactsKeeper {
    /// `bytes_per_agent_max` is kept of one agent within an hour.
    pub(crate) fn new(redactor: Redactor, bytes_per_agent_max: u64) -> Self {
        let quota = FactsQuota::new(bytes_per_agent_max);
        let recorded =
            Cache::builder().max_capacity(HOLDS_MAX).time_to_idle(REMEMBERED_TIME_MAX).build();
        Self { redactor, quota, recorded }
    }

    /// Remembers that the ledger has the objects of a hold now.
    pub fn remember(&self, hold: &HoldId, facts: FactsRef) {
        self.recorded.insert(hold.clone(), facts);
    }

    /// What a judgement was made from, as it is recorded: once, and within what is kept of its agent.
    pub fn basis(&self, write: &Write, judgement: &mut Judgement) -> Basis {
        Basis {
            effects: judgement.effect_records(),
            class: Some(ClassRecord::from(&write.class)),
            facts: judgement.facts.take().map_or(Facts::None, |facts| {
                Facts::Recorded(self.within_quota(&write.user.username, facts))
            }),
        }
    }

    fn within_quota(&self, username: &str, mut facts: Box<FactsRecord>) -> Box<FactsRecord> {
        let digest = |bytes: &[u8]| self.redactor.digest(bytes);
        for extent in [Extent::Whole, Extent::Outline, Extent::None] {
            replay::shorten(&mut facts, extent, &digest);
            let bytes = serde_json::to_vec(&facts).map_or(usize::MAX, |it| it.len());
            if self.quota.spend(username, bytes, extent, facts.at) {
                break;
            }
        }
        facts
    }

    /// Where the objects of a judgement will be recorded, if its entry has them.
    pub fn reference(&self, write: &Write, judgement: &Judgement) -> Option<FactsRef> {
        let facts = judgement.facts.as_ref().filter(|it| !it.objects.is_empty())?;
        Some(FactsRef {
            audit_id: write.call.audit_id.to_string(),
            digest: self.redactor.digest(&replay::sameness(facts)),
        })
    }

    /// Names the call that has the same objects already, if there is one, instead of repeating them;
    /// otherwise as [`FactsKeeper::reference`].
    pub fn refer(
        &self,
        hold: &HoldId,
        write: &Write,
        judgement: &mut Judgement,
    ) -> Option<FactsRef> {
        let here = self.reference(write, judgement)?;
        let there = self.recorded.get(hold).filter(|it| it.digest == here.digest);
        let Some(there) = there else { return Some(here) };
        if let Some(facts) = &mut judgement.facts {
            facts.objects.clear();
            facts.objects_of = Some(there.audit_id);
        }
        None
    }

    /// The facts of a judgement; `is_stored` of a custom resource that the API server stores itself; `seen`
    /// is what was seen, where somebody looked.
    pub(crate) fn made_from(
        &self,
        write: &Write,
        is_stored: bool,
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
            stored: is_stored,
            looked: seen.is_some(),
            objects: Vec::new(),
            unknown: String::new(),
            objects_of: None,
            extent: Extent::default(),
            over_budget: false,
            compared: false,
            window: moment.window,
        };
        let Some(seen) = seen else { return Box::new(facts) };
        facts.compared = seen.compared.is_some();
        let redact = |object: &Value| write.redacted(&self.redactor, object);
        let digest = |bytes: &[u8]| self.redactor.digest(bytes);
        (facts.objects, facts.extent) = match (&seen.unknown, &seen.items, seen.compared.take()) {
            (Some(why), ..) => {
                facts.unknown = effects::describe::reason(why);
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
