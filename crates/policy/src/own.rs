//! What an agent is told of the rules that are about it, and nothing of what others may do.

use attributes::User;
use jiff::Timestamp;
use serde_json::{Value, json};
use serde_saphyr::Spanned;

use crate::{
    Exception, Pack, Rule, agents,
    document::{MatchConstraints, Mode, Place, ResourceRule},
};

impl Pack {
    /// The rules in force that may ask about this user's calls, and the exceptions that are theirs, as
    /// `/.well-known/agent-shield` tells them. Shadow rules ask nobody, and are left out.
    pub fn told_to(&self, user: &User, now: Timestamp) -> Value {
        let is_theirs = |rule: &&Rule| {
            let agents = self.policies.get(rule.policy).and_then(|it| it.agents.as_ref());
            rule.mode == Mode::Enforce && agents.is_none_or(|it| agents::are(it, user))
        };
        let rules: Vec<Value> =
            self.rules.iter().filter(is_theirs).map(|rule| self.rule_json(rule)).collect();
        let excepted = |it: &&Exception| it.expires > now && agents::are(&it.agents, user);
        let exceptions: Vec<Value> = self
            .exceptions
            .iter()
            .filter(excepted)
            .map(|it| {
                let rules: Vec<&str> = it.rules.iter().map(|rule| &*rule.0).collect();
                json!({
                    "name": it.name, "rules": rules, "namespaces": it.namespaces,
                    "conditional": it.when.is_some(), "expires": it.expires,
                })
            })
            .collect();
        json!({ "policyDigest": self.digest, "rules": rules, "exceptions": exceptions })
    }

    fn rule_json(&self, rule: &Rule) -> Value {
        let constraints = self.policies.get(rule.policy).and_then(|it| it.constraints.as_ref());
        let kinds: Vec<&str> = rule.kinds.iter().map(|kind| kind.as_str()).collect();
        let mut told = json!({
            "name": &*rule.name.0,
            "description": rule.description,
            "action": rule.decision.as_str(),
            "severity": rule.severity.as_str(),
            "where": rule.place.as_str(),
            // Of any effect, where it names none.
            "effects": kinds,
            "requests": constraints.map(requests).unwrap_or_default(),
            "conditional": rule.when.is_some(),
        });
        let times = [("deadlineSeconds", rule.deadline), ("denialSeconds", rule.denial_time)];
        for (name, time) in times {
            if let (Some(told), Some(time)) = (told.as_object_mut(), time) {
                told.insert(name.to_owned(), time.as_secs().into());
            }
        }
        told
    }
}

fn requests(constraints: &MatchConstraints) -> Vec<Value> {
    let words =
        |list: &[Spanned<String>]| list.iter().map(|it| it.value.clone()).collect::<Vec<String>>();
    let request = |it: &ResourceRule| {
        json!({
            "apiGroups": it.api_groups, "resources": words(&it.resources),
            "operations": words(&it.operations), "verbs": words(&it.verbs),
            "resourceNames": it.resource_names,
        })
    };
    constraints.resource_rules.iter().map(request).collect()
}

impl Place {
    /// As documents write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Everywhere => "everywhere",
            Self::Production => "production",
            Self::Protected => "protected",
            Self::NonProduction => "nonProduction",
        }
    }
}
