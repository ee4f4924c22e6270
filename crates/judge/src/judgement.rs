//! What came of judging a write, and how it is recorded.

use effects::{Effect, EffectKind};
use hold::Preview;
use ledger::{Action, DecisionRecord, EffectRecord, FactsRecord, ShadowRecord};
use policy::{Decision, PolicyDecision};
use upstream::ProbeAnswer;

use crate::{left::Found, reservation::Reservation};

/// What came of judging.
pub enum Judged {
    /// The API server's own dry run refuses: that is the agent's answer, and nobody is asked.
    Answered(ProbeAnswer),
    /// Policy has an answer.
    Decided(Box<Judgement>),
}

/// Effects, how they were learned, and what policy says of them.
pub struct Judgement {
    /// What the write would do.
    pub effects: Vec<Effect>,
    /// What a reviewer is shown, and the digest that an approval binds to.
    pub preview: Preview,
    /// What policy says.
    pub verdict: PolicyDecision,
    /// The object as its preview saw it, where anybody asks later how it was left.
    pub found: Option<Found>,
    /// Its place among what rules count, where it may be sent at once.
    pub(crate) reservation: Option<Reservation>,
    /// What it was made from, until it is recorded.
    pub(crate) facts: Option<Box<FactsRecord>>,
    /// Digest of the policies that said so.
    pub(crate) policy: String,
}

impl Judgement {
    /// As it is recorded.
    pub fn decision(&self, action: Action) -> DecisionRecord {
        decision(action, &self.verdict, &self.policy)
    }

    /// Whether each object that it is about is known.
    pub fn knows_each_object(&self) -> bool {
        self.effects.iter().all(|it| it.kind != EffectKind::Unknown)
    }

    /// What it would do, as it is recorded.
    pub fn effect_records(&self) -> Vec<EffectRecord> {
        self.effects.iter().map(Into::into).collect()
    }
}

/// A decision of these policies, as it is recorded.
pub(crate) fn decision(action: Action, verdict: &PolicyDecision, policy: &str) -> DecisionRecord {
    let shadow = verdict.shadow().iter().map(|it| ShadowRecord {
        rule: it.rule.to_string(),
        action: match it.decision {
            Decision::Allow => Action::Allow,
            Decision::Hold => Action::Hold,
            Decision::Deny => Action::Deny,
        },
        reason: it.reason.clone(),
        exception: it.exception.clone(),
    });
    DecisionRecord {
        rules: verdict.rules(),
        policy: policy.to_owned(),
        shadow: shadow.collect(),
        ..DecisionRecord::of(action, verdict.reason())
    }
}
