//! The default pack: what a reasonable owner would want, a row for each answer of DEFAULTS.

use effects::{Effect, EffectKind as E};

use crate::{Decision, Input, Parameters, RuleName};

/// How bad it is if a reviewer is wrong.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Severity {
    /// Easily put back.
    Low,
    /// Costs somebody's time.
    Medium,
    /// An outage.
    High,
    /// An outage that cannot be undone, or rights over everything.
    Critical,
}

impl Severity {
    /// As in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// Where a rule applies.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Place {
    /// In every namespace, and outside of all.
    Everywhere,
    /// Unless the namespace is declared non-production.
    Production,
}

/// What else must be so of an effect.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum When {
    Always,
    /// The object is of one of these kinds.
    Resource(&'static [(&'static str, &'static str)]),
    /// The object is of none of the kinds that have a rule of their own.
    OtherResource,
    /// A Secret that is not helm's own bookkeeping in declared non-production.
    SecretOfValue,
    /// Half or more of the replicas go, or all of them, or the last but one.
    Drastic,
    /// More than three times as many, and by more than fifty.
    Sharp,
}

/// One rule.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Its stable name.
    pub name: RuleName,
    /// The question of DEFAULTS.md, or the bullet of the mission, that it answers.
    pub answers: &'static str,
    /// What it asks for.
    pub decision: Decision,
    /// How bad.
    pub severity: Severity,
    /// Where.
    pub place: Place,
    pub(crate) kinds: &'static [E],
    pub(crate) when: When,
}

const CONTROLLERS: &[(&str, &str)] = &[
    ("apps", "deployments"),
    ("apps", "statefulsets"),
    ("apps", "daemonsets"),
    ("apps", "replicasets"),
    ("", "replicationcontrollers"),
    ("batch", "jobs"),
    ("batch", "cronjobs"),
];
const NAMESPACES: &[(&str, &str)] = &[("", "namespaces")];
const CLAIMS: &[(&str, &str)] = &[("", "persistentvolumeclaims")];

macro_rules! rule {
    ($name:literal, $answers:literal, $decision:ident, $severity:ident, $place:ident, $when:expr,
     [$($kind:ident),+]) => {
        Rule {
            name: RuleName($name),
            answers: $answers,
            decision: Decision::$decision,
            severity: Severity::$severity,
            place: Place::$place,
            kinds: &[$(E::$kind),+],
            when: $when,
        }
    };
}

/// The default pack.
#[rustfmt::skip] // A table, read down its columns.
pub(crate) const DEFAULT: &[Rule] = &[
    rule!("proxy-to-node", "Q7", Deny, Critical, Everywhere, When::Always, [ProxyToNode]),
    rule!("proxy-to-api-server", "Q7", Deny, Critical, Everywhere, When::Always, [ProxyToApiServer]),
    rule!("delete-namespace", "mission", Hold, Critical, Everywhere, When::Resource(NAMESPACES), [Delete]),
    rule!("delete-workload", "Q1", Hold, High, Everywhere, When::Resource(CONTROLLERS), [Delete]),
    rule!("delete-claim", "mission", Hold, Critical, Everywhere, When::Resource(CLAIMS), [Delete]),
    rule!("delete-secret", "Q1", Hold, High, Everywhere, When::SecretOfValue, [Delete]),
    rule!("delete-in-production", "Q1, Q5, Q9", Hold, High, Production, When::OtherResource, [Delete]),
    rule!("scale-down-drastic", "Q4", Hold, High, Production, When::Drastic, [ScaleDown]),
    rule!("scale-up-sharp", "Q6", Hold, Medium, Production, When::Sharp, [ScaleUp]),
    rule!("change-image", "mission", Hold, High, Production, When::Always, [ChangeImage]),
    rule!("change-resources", "mission", Hold, High, Production, When::Always, [ChangeResources]),
    rule!("change-pod-template", "Q3, Q8", Hold, High, Production, When::Always, [ChangeTemplate]),
    rule!("change-in-production", "Q9, Q12, Q24", Hold, Medium, Production, When::Always, [ChangeSpec]),
    rule!("change-trigger", "Q9", Hold, Medium, Production, When::Always, [ChangeTrigger]),
    rule!("create-in-production", "Q9, Q10", Hold, Medium, Production, When::Always, [CreateActive]),
    rule!("lose-data", "Q9, Q24", Hold, High, Production, When::Always, [LoseData]),
    rule!("change-owners", "indirect delete", Hold, High, Everywhere, When::Always, [ChangeOwners]),
    rule!("change-finalizers", "indirect delete", Hold, High, Everywhere, When::Always, [ChangeFinalizers]),
    rule!("unprotect-namespace", "Q25", Hold, Critical, Everywhere, When::Always, [Unprotect]),
    rule!("protect-namespace", "Q13", Hold, Low, Everywhere, When::Always, [Protect]),
    rule!("cordon-node", "mission", Hold, Medium, Everywhere, When::Always, [Cordon]),
    rule!("taint-node", "mission", Hold, High, Everywhere, When::Always, [Taint]),
    rule!("evict-pod", "mission", Hold, Medium, Everywhere, When::Always, [Evict]),
    rule!("run-code", "Q7", Hold, High, Everywhere, When::Always, [RunCode]),
    rule!("grant-access", "credentials and rights", Hold, Critical, Everywhere, When::Always, [GrantAccess]),
    rule!("mint-credential", "credentials and rights", Hold, Critical, Everywhere, When::Always, [MintCredential]),
    rule!("not-understood", "Q16, Q21", Hold, High, Everywhere, When::Always, [Unknown]),
];

impl Rule {
    pub(crate) fn matches(&self, effect: &Effect, input: &Input<'_>, p: &Parameters) -> bool {
        let placed = match self.place {
            Place::Everywhere => true,
            Place::Production => input.class.production,
        };
        placed && self.kinds.contains(&effect.kind) && self.when.holds(effect, input, p)
    }

    pub(crate) fn reason(&self, effect: &Effect) -> String {
        match effect.kind {
            // These say the object themselves.
            E::Delete | E::Evict | E::RunCode | E::ProxyToNode | E::ProxyToApiServer
            | E::GrantAccess | E::Unprotect | E::Protect | E::CreateActive | E::Unknown => {
                effect.detail.clone()
            }
            _ => format!("{}: {}", effect.object.words(), effect.detail),
        }
    }
}

impl When {
    fn holds(self, effect: &Effect, input: &Input<'_>, p: &Parameters) -> bool {
        let object = (effect.object.api_group.as_str(), effect.object.resource.as_str());
        match self {
            Self::Always => true,
            Self::Resource(resources) => resources.contains(&object),
            Self::OtherResource => {
                let named = [CONTROLLERS, NAMESPACES, CLAIMS].concat();
                !named.contains(&object) && object != ("", "secrets")
            }
            Self::SecretOfValue => {
                let helm = effect.detail.ends_with("of type helm.sh/release.v1");
                object == ("", "secrets") && (input.class.production || !helm)
            }
            Self::Drastic => effect.count.is_none_or(|(old, new)| {
                // Without a count nobody can say that it is small.
                let share = p.drastic_share * as_share(old);
                new == 0 || as_share(new) <= share || (old >= 2 && new < 2)
            }),
            Self::Sharp => effect.count.is_none_or(|(old, new)| {
                new > old.saturating_mul(p.growth_times) && new - old > p.growth_pods
            }),
        }
    }
}

/// Replica counts are 32-bit to the API server, so nothing is lost.
fn as_share(count: i64) -> f64 {
    f64::from(i32::try_from(count).unwrap_or(i32::MAX))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use attributes::{Attributes, User};
    use effects::{NamespaceClass, ObjectRef};

    use super::*;
    use crate::Pack;

    fn decide(kind: E, resource: &str, count: Option<(i64, i64)>, production: bool) -> String {
        let class = NamespaceClass { protected: false, production, signs: Vec::new() };
        let group = if resource == "deployments" { "apps" } else { "" };
        let object = ObjectRef {
            api_group: group.into(),
            resource: resource.into(),
            namespace: "n".into(),
            name: "x".into(),
            uid: String::new(),
        };
        let effect = Effect { kind, object, detail: "does it".into(), count };
        let verdict = Pack::default_pack(Parameters::default()).decide(&Input {
            attributes: &Attributes::default(),
            user: &User::default(),
            class: &class,
            is_write: true,
            effects: &[effect],
        });
        match verdict.rules().first() {
            Some(rule) => format!("{:?} {rule}", verdict.decision),
            None => format!("{:?}", verdict.decision),
        }
    }

    #[test]
    fn answers_as_the_defaults_do() {
        let table = [
            (E::Delete, "deployments", None, false, "Hold delete-workload"),
            (E::Delete, "secrets", None, false, "Hold delete-secret"),
            (E::Delete, "configmaps", None, false, "Allow"),
            (E::Delete, "configmaps", None, true, "Hold delete-in-production"),
            (E::ScaleDown, "deployments", Some((5, 4)), true, "Allow"),
            (E::ScaleDown, "deployments", Some((3, 1)), true, "Hold scale-down-drastic"),
            (E::ScaleDown, "deployments", Some((10, 5)), true, "Hold scale-down-drastic"),
            (E::ScaleDown, "deployments", Some((10, 6)), true, "Allow"),
            (E::ScaleDown, "deployments", Some((1, 0)), true, "Hold scale-down-drastic"),
            (E::ScaleDown, "deployments", Some((2, 1)), true, "Hold scale-down-drastic"),
            (E::ScaleDown, "deployments", Some((10, 0)), false, "Allow"),
            (E::ScaleUp, "deployments", Some((5, 7)), true, "Allow"),
            (E::ScaleUp, "deployments", Some((5, 100)), true, "Hold scale-up-sharp"),
            (E::ChangeImage, "deployments", None, true, "Hold change-image"),
            (E::ChangeImage, "deployments", None, false, "Allow"),
            (E::Restart, "deployments", None, true, "Allow"),
            (E::ChangeLabels, "deployments", None, true, "Allow"),
            (E::ChangeOwners, "configmaps", None, false, "Hold change-owners"),
            (E::Unknown, "widgets", None, false, "Hold not-understood"),
            (E::ProxyToNode, "nodes", None, true, "Deny proxy-to-node"),
            (E::Uncordon, "nodes", None, true, "Allow"),
            (E::CreateInert, "configmaps", None, true, "Allow"),
            (E::CreateActive, "pods", None, true, "Hold create-in-production"),
            (E::CreateActive, "pods", None, false, "Allow"),
        ];
        for (kind, resource, count, production, want) in table {
            assert_eq!(decide(kind, resource, count, production), want, "{kind:?} {resource}");
        }
    }

    #[test]
    fn names_are_unique() {
        let names: BTreeSet<_> = DEFAULT.iter().map(|rule| rule.name).collect();
        assert_eq!(names.len(), DEFAULT.len());
    }

    #[test]
    fn every_write_in_a_protected_namespace_is_held() {
        let class = NamespaceClass { protected: true, production: false, signs: Vec::new() };
        let verdict = Pack::default_pack(Parameters::default()).decide(&Input {
            attributes: &Attributes::default(),
            user: &User::default(),
            class: &class,
            is_write: true,
            effects: &[],
        });
        assert_eq!(verdict.decision, Decision::Hold);
    }
}
