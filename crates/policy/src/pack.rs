//! A set of rules and what it says of one request.

use attributes::{Attributes, User};
use effects::{Effect, NamespaceClass, Plan, Route};

use crate::{Decision, Rule, Verdict, rules};

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
}

/// Numbers of the default pack (DEFAULTS Q4, Q6).
#[derive(Clone, Debug, PartialEq)]
pub struct Parameters {
    /// A cut to this share of the replicas, or less, is drastic.
    pub drastic_share: f64,
    /// Growth beyond this many times the replicas …
    pub growth_times: i64,
    /// … and by more than so many pods is held.
    pub growth_pods: i64,
}

impl Default for Parameters {
    fn default() -> Self {
        Self { drastic_share: 0.5, growth_times: 3, growth_pods: 50 }
    }
}

/// Rules with their parameters.
#[derive(Clone, Debug)]
pub struct Pack {
    rules: &'static [Rule],
    parameters: Parameters,
}

impl Pack {
    /// The pack that ships in the binary and states the mission.
    pub fn default_pack(parameters: Parameters) -> Self {
        Self { rules: rules::DEFAULT, parameters }
    }

    /// Its rules, for people.
    pub fn rules(&self) -> &'static [Rule] {
        self.rules
    }

    /// What the rules say, joined.
    pub fn decide(&self, input: &Input<'_>) -> Verdict {
        let mut verdict = Verdict::allow();
        for rule in self.rules {
            let of_effects = input
                .effects
                .iter()
                .filter_map(|effect| rule.asks_of_effect(effect, input, &self.parameters));
            for reason in rule.asks_of_request(input).into_iter().chain(of_effects) {
                let (decision, severity) = (rule.decision.clone(), rule.severity);
                verdict = verdict.join(Verdict::of(decision, severity, rule.name, reason));
            }
        }
        verdict
    }

    /// Whether a preview of this request could change the decision. False only where no rule asks,
    /// in this class of namespace, about anything that such a request can turn out to do.
    pub fn asks_about(&self, plan: &Plan, attributes: &Attributes, class: &NamespaceClass) -> bool {
        match plan.route {
            Route::Read | Route::Review | Route::DryRun | Route::Ordinary => false,
            // A patch may do anything: change owners, take powers, unprotect.
            Route::Blind | Route::Preview => true,
            // A delete is what the attributes say, and of nothing else.
            Route::PreviewDelete | Route::PreviewCollection => {
                let input = Input {
                    attributes,
                    user: &User::default(),
                    class,
                    is_write: true,
                    effects: &plan.effects,
                };
                self.decide(&input).decision != Decision::Allow
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guide_lists_every_rule() {
        let guide = include_str!("../../../docs/guide/4-policy.md");
        let listed: Vec<&str> = guide
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
            .map(|(name, _)| name)
            .collect();
        let pack = Pack::default_pack(Parameters::default());
        let rules: Vec<&str> = pack.rules().iter().map(|rule| rule.name.0).collect();
        assert_eq!(listed, rules);
    }
}
