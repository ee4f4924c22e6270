//! The default pack: what a reasonable owner would want, a row for each answer of DEFAULTS.

use attributes::Attributes;
use effects::{Effect, EffectKind as E, NamespaceClass};

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
    /// In protected namespaces.
    Protected,
}

/// What else must be so.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum When {
    Always,
    /// The object is of one of these kinds.
    Resource(&'static [(&'static str, &'static str)]),
    /// The object is of none of the kinds that have a rule of their own.
    OtherResource,
    /// The object is of a kind that Kubernetes itself does not serve.
    CustomResource,
    /// A Secret that is not helm's own bookkeeping in declared non-production.
    SecretOfValue,
    /// Half or more of the replicas go, or all of them, or the last but one.
    Drastic,
    /// More than three times as many, and by more than fifty.
    Sharp,
    /// Any write at all, whatever its effects.
    AnyWrite,
    /// Any write to how every pod finds the API server.
    ApiService,
}

/// One rule.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Its stable name.
    pub name: RuleName,
    /// What it asks about, in a line.
    pub description: &'static str,
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
    ($name:literal, $answers:literal, $decision:ident, $severity:ident, $place:ident,
     $when:ident $(($list:ident))?, [$($kind:ident),*], $description:literal) => {
        Rule {
            name: RuleName($name),
            description: $description,
            answers: $answers,
            decision: Decision::$decision,
            severity: Severity::$severity,
            place: Place::$place,
            kinds: &[$(E::$kind),*],
            when: When::$when $(($list))?,
        }
    };
}

/// The default pack.
#[rustfmt::skip] // A table, read down its columns.
pub(crate) const DEFAULT: &[Rule] = &[
    rule!("proxy-to-node", "Q7", Deny, Critical, Everywhere, Always, [ProxyToNode],
        "the API server's way to a kubelet: code in every pod of a node"),
    rule!("proxy-to-api-server", "Q7", Deny, Critical, Everywhere, Always, [ProxyToApiServer],
        "a way round this proxy to an API server"),
    rule!("write-in-protected-namespace", "mission", Hold, High, Protected, AnyWrite, [],
        "any write in a protected namespace"),
    rule!("write-to-kubernetes-service", "Q13", Hold, Critical, Everywhere, ApiService, [],
        "any write to the Service, Endpoints or EndpointSlice `kubernetes` in `default`"),
    rule!("delete-namespace", "mission", Hold, Critical, Everywhere, Resource(NAMESPACES), [Delete],
        "a namespace goes, with all that is in it"),
    rule!("delete-workload", "mission, Q1", Hold, High, Everywhere, Resource(CONTROLLERS), [Delete],
        "a workload goes"),
    rule!("delete-claim", "mission", Hold, Critical, Everywhere, Resource(CLAIMS), [Delete],
        "a claim goes, and mostly its data"),
    rule!("delete-secret", "mission, Q1", Hold, High, Everywhere, SecretOfValue, [Delete],
        "a Secret goes; helm's own history may, outside production"),
    rule!("delete-custom-resource", "Q16", Hold, High, Everywhere, CustomResource, [Delete],
        "an object goes of which only its operator knows what goes with it"),
    rule!("delete-in-production", "Q1, Q2, Q5, Q9", Hold, High, Production, OtherResource, [Delete],
        "anything else goes"),
    rule!("scale-down-drastic", "mission, Q4", Hold, High, Production, Drastic, [ScaleDown],
        "half of the replicas or more go, or the last but one"),
    rule!("scale-up-sharp", "Q6", Hold, Medium, Production, Sharp, [ScaleUp],
        "more than three times the replicas, and more than fifty new ones"),
    rule!("change-image", "mission", Hold, High, Production, Always, [ChangeImage],
        "other code runs"),
    rule!("change-resources", "mission", Hold, High, Production, Always, [ChangeResources],
        "requests or limits differ"),
    rule!("change-pod-template", "Q3, Q8", Hold, High, Production, Always, [ChangeTemplate],
        "what runs differs in another way, or a restart is not a safe one"),
    rule!("change-in-production", "Q9, Q12, Q24", Hold, Medium, Production, Always, [ChangeSpec],
        "any other change of what controllers act on"),
    rule!("change-trigger", "Q9, Q24", Hold, Medium, Production, Always, [ChangeTrigger],
        "a label or annotation that sets something off"),
    rule!("create-in-production", "Q9, Q10", Hold, Medium, Production, Always, [CreateActive],
        "a new object that runs, selects traffic or binds others"),
    rule!("lose-data", "Q9, Q24", Hold, High, Production, Always, [LoseData],
        "data is removed or overwritten, or will be by a policy that changes"),
    rule!("borrow-powers", "Q11", Hold, High, Everywhere, Always, [Borrow],
        "powers from outside the namespace: nodes, service accounts, priority, another's volume or host name"),
    rule!("write-custom-resource", "Q16", Hold, Medium, Production, Always, [WriteCustom],
        "a custom resource is created or changed"),
    rule!("write-acting-resource", "Q16", Hold, High, Everywhere, Always, [WriteActing],
        "a custom resource that runs code, cascades, restores or routes"),
    rule!("change-owners", "indirect delete", Hold, High, Everywhere, Always, [ChangeOwners],
        "garbage collection may delete what has other owners"),
    rule!("change-finalizers", "indirect delete", Hold, High, Everywhere, Always, [ChangeFinalizers],
        "a delete is completed, or never will be"),
    rule!("unprotect-namespace", "Q25", Hold, Critical, Everywhere, Always, [Unprotect],
        "a namespace becomes less guarded"),
    rule!("protect-namespace", "Q13", Hold, Low, Everywhere, Always, [Protect],
        "a namespace becomes more guarded, which locks others out"),
    rule!("cordon-node", "mission", Hold, Medium, Everywhere, Always, [Cordon],
        "a node takes no more pods"),
    rule!("taint-node", "mission", Hold, High, Everywhere, Always, [Taint],
        "taints of a node differ: NoExecute drains it"),
    rule!("evict-pod", "mission", Hold, Medium, Everywhere, Always, [Evict],
        "a pod is evicted"),
    rule!("run-code", "Q7", Hold, High, Production, Always, [RunCode],
        "exec, attach, port-forward, ephemeral containers, proxies to pods and services"),
    rule!("grant-access", "credentials and rights", Hold, Critical, Everywhere, Always, [GrantAccess],
        "RBAC, admission, API extensions, CSRs, bindings of pods to nodes"),
    rule!("mint-credential", "credentials and rights", Hold, Critical, Everywhere, Always, [MintCredential],
        "a token or a Secret that becomes one"),
    rule!("not-understood", "Q16, Q21", Hold, High, Everywhere, Always, [Unknown],
        "what would happen could not be worked out"),
];

impl Rule {
    /// What the rule says of the request as a whole, whatever its effects.
    pub(crate) fn asks_of_request(&self, input: &Input<'_>) -> Option<String> {
        let a = input.attributes;
        let asks = input.is_write && self.is_placed(input.class);
        match self.when {
            When::AnyWrite if asks => Some(match a.namespace.as_str() {
                "" => "writes to what is protected".to_owned(),
                namespace => format!("writes in protected namespace {namespace}"),
            }),
            When::ApiService if asks && is_the_api_service(a) => {
                Some("changes how every pod finds the API server".to_owned())
            }
            _ => None,
        }
    }

    /// What the rule says of one effect.
    pub(crate) fn asks_of_effect(
        &self,
        effect: &Effect,
        input: &Input<'_>,
        parameters: &Parameters,
    ) -> Option<String> {
        let asks = self.is_placed(input.class)
            && self.kinds.contains(&effect.kind)
            && self.when.holds(effect, input, parameters);
        asks.then(|| reason(effect))
    }

    pub(crate) fn is_placed(&self, class: &NamespaceClass) -> bool {
        match self.place {
            Place::Everywhere => true,
            Place::Production => class.production,
            Place::Protected => class.protected,
        }
    }
}

fn reason(effect: &Effect) -> String {
    let object = effect.object.words();
    match effect.kind {
        E::Delete
        | E::Evict
        | E::RunCode
        | E::ProxyToNode
        | E::ProxyToApiServer
        | E::GrantAccess
        | E::Unprotect
        | E::Protect
        | E::CreateActive
        | E::CreateInert
        | E::WriteCustom
        | E::WriteActing
        | E::Unknown => effect.detail.clone(), // These say the object themselves.
        E::Cordon | E::Uncordon => format!("{object} {}", effect.detail),
        E::ScaleDown => match effect.count {
            Some((_, 0)) => format!("scales {object} to nothing: {}", effect.detail),
            _ => format!("scales {object} down: {}", effect.detail),
        },
        E::ScaleUp => format!("scales {object} up: {}", effect.detail),
        _ => format!("{object}: {}", effect.detail),
    }
}

/// `kubernetes` in `default`: how every pod finds the API server (DEFAULTS Q13).
fn is_the_api_service(a: &Attributes) -> bool {
    // A collection that is deleted there has it among its objects.
    a.namespace == "default"
        && matches!(a.resource.as_str(), "services" | "endpoints" | "endpointslices")
        && (a.name == "kubernetes" || (a.name.is_empty() && a.verb != "create"))
}

impl When {
    fn holds(self, effect: &Effect, input: &Input<'_>, p: &Parameters) -> bool {
        let object = (effect.object.api_group.as_str(), effect.object.resource.as_str());
        match self {
            Self::Always => true,
            Self::AnyWrite | Self::ApiService => false, // Of the request, not of an effect.
            Self::CustomResource => !effects::is_builtin(object.0, object.1),
            Self::Resource(resources) => resources.contains(&object),
            Self::OtherResource => {
                let named = [CONTROLLERS, NAMESPACES, CLAIMS].concat();
                !named.contains(&object)
                    && object != ("", "secrets")
                    && effects::is_builtin(object.0, object.1)
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

    use attributes::User;
    use effects::ObjectRef;

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
