//! A set of rules and what it says of one request.

use attributes::{Attributes, User};
use effects::{Effect, NamespaceClass};

use crate::{Decision, Rule, RuleName, Severity, Verdict, rules};

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
        if input.is_write && input.class.protected {
            let place = match input.attributes.namespace.as_str() {
                "" => "what is protected".to_owned(),
                namespace => format!("protected namespace {namespace}"),
            };
            let reason = format!("writes in {place}");
            let rule = RuleName("write-in-protected-namespace");
            verdict = verdict.join(Verdict::of(Decision::Hold, Severity::High, rule, reason));
        }
        if input.is_write && is_the_api_service(input.attributes) {
            let reason = "changes how every pod finds the API server".to_owned();
            let rule = RuleName("write-to-kubernetes-service");
            verdict = verdict.join(Verdict::of(Decision::Hold, Severity::Critical, rule, reason));
        }
        for effect in input.effects {
            for rule in self.rules {
                if rule.matches(effect, input, &self.parameters) {
                    let reason = rule.reason(effect);
                    verdict = verdict.join(Verdict::of(
                        rule.decision.clone(),
                        rule.severity,
                        rule.name,
                        reason,
                    ));
                }
            }
        }
        verdict
    }
}

/// `kubernetes` in `default`: how every pod finds the API server (DEFAULTS Q13).
fn is_the_api_service(a: &Attributes) -> bool {
    a.namespace == "default"
        && matches!(a.resource.as_str(), "services" | "endpoints" | "endpointslices")
        && (a.name == "kubernetes" || a.name.is_empty())
        && a.verb != "create"
}
