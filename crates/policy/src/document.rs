//! Policy files as they are written: `agent-shield.io/v1alpha1`, in the words of
//! ValidatingAdmissionPolicy where it has them. A field that nobody knows is an error.

use std::{collections::BTreeMap, fmt, time::Duration};

use serde::{Deserialize, Deserializer, de};
use serde_json::Value as Json;
use serde_saphyr::Spanned;
use text::duration;

/// The one version there is.
pub const API_VERSION: &str = "agent-shield.io/v1alpha1";
/// What a file may hold, and the resource that each is in a cluster.
pub const KINDS: [(&str, &str); 3] = [
    ("Policy", "policies"),
    ("PolicyException", "policyexceptions"),
    ("PolicySettings", "policysettings"),
];

/// Any document.
#[derive(Debug)]
#[expect(missing_docs, reason = "each is its own kind")]
pub enum Document {
    Policy(Box<Policy>),
    Exception(Box<PolicyException>),
    Settings(Box<PolicySettings>),
}

/// What every document has, read first to know its kind.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Head {
    pub(crate) api_version: Option<Spanned<String>>,
    pub(crate) kind: Option<Spanned<String>>,
}

/// A name.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metadata {
    /// Of letters, digits and `-`, unique among its kind.
    pub name: Spanned<String>,
    /// Not looked at.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Not looked at.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
}

/// `kind: Policy`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Policy {
    /// [`API_VERSION`].
    pub api_version: String,
    /// `Policy`.
    pub kind: String,
    /// Its name: rules are called by it.
    pub metadata: Metadata,
    /// What it says.
    pub spec: PolicySpec,
}

/// What a policy says.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicySpec {
    /// For people.
    #[serde(default)]
    pub description: String,
    /// Values that expressions see as `params`; settings change them without copying the policy.
    #[serde(default)]
    pub parameters: BTreeMap<String, Json>,
    /// Which requests; without it, every write.
    pub match_constraints: Option<MatchConstraints>,
    /// Whose requests; without it, everybody's.
    pub agents: Option<Agents>,
    /// All of them must be true.
    #[serde(default)]
    pub match_conditions: Vec<Condition>,
    /// Values with names: `variables.x`; each may use those before it.
    #[serde(default)]
    pub variables: Vec<Condition>,
    /// What it asks for.
    pub rules: Vec<Rule>,
    /// Whether it counts, for rules that do not say.
    #[serde(default)]
    pub mode: Mode,
}

/// Which requests, as in ValidatingAdmissionPolicy.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MatchConstraints {
    /// Any of them.
    #[serde(default)]
    pub resource_rules: Vec<ResourceRule>,
    /// None of them.
    #[serde(default)]
    pub exclude_resource_rules: Vec<ResourceRule>,
    /// By the labels of the namespace; what is in none always matches.
    pub namespace_selector: Option<Selector>,
    /// By the labels of the object, before or after.
    pub object_selector: Option<Selector>,
}

/// Kinds of requests.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ResourceRule {
    /// `""`, `apps`, `*`.
    #[serde(default = "everything")]
    pub api_groups: Vec<String>,
    /// Every version is one resource: what is asked in another version matches too.
    #[serde(default = "everything")]
    pub api_versions: Vec<String>,
    /// `CREATE`, `UPDATE`, `DELETE`, `CONNECT`, `*`.
    #[serde(default)]
    pub operations: Vec<Spanned<String>>,
    /// Kubernetes' own verbs, instead of operations; the only way to name reads.
    #[serde(default)]
    pub verbs: Vec<Spanned<String>>,
    /// `pods`, `pods/exec`, `pods/*`, `*/scale`, `*`, `*/*`.
    pub resources: Vec<Spanned<String>>,
    /// Exact names; without any, all.
    #[serde(default)]
    pub resource_names: Vec<String>,
    /// `Cluster`, `Namespaced`, `*`.
    #[serde(default)]
    pub scope: Scope,
}

fn everything() -> Vec<String> {
    vec!["*".to_owned()]
}

/// Inside of namespaces, outside, or both.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[expect(missing_docs, reason = "named as in Kubernetes")]
pub enum Scope {
    Cluster,
    Namespaced,
    #[default]
    #[serde(rename = "*")]
    Any,
}

/// A label selector.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Selector {
    /// All of them.
    #[serde(default)]
    pub match_labels: BTreeMap<String, String>,
    /// All of them.
    #[serde(default)]
    pub match_expressions: Vec<Requirement>,
}

/// One requirement of a selector.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requirement {
    /// The label.
    pub key: String,
    /// How.
    pub operator: SelectorOperator,
    /// With which values.
    #[serde(default)]
    pub values: Vec<String>,
}

/// As in Kubernetes.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[expect(missing_docs, reason = "named as in Kubernetes")]
pub enum SelectorOperator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

/// Whose requests: any of these. A `*` stands for any text.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Agents {
    /// User names.
    #[serde(default)]
    pub users: Vec<String>,
    /// Groups.
    #[serde(default)]
    pub groups: Vec<String>,
    /// ServiceAccounts.
    #[serde(default)]
    pub service_accounts: Vec<ServiceAccount>,
}

/// ServiceAccounts of a namespace.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceAccount {
    /// Its namespace.
    pub namespace: String,
    /// Its name; without one, all.
    #[serde(default = "any")]
    pub name: String,
}

fn any() -> String {
    "*".to_owned()
}

/// A named expression.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// For people and for `variables.x`.
    pub name: String,
    /// In CEL.
    pub expression: Spanned<String>,
}

/// One rule.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rule {
    /// Unique in its policy.
    pub name: Spanned<String>,
    /// For people.
    #[serde(default)]
    pub description: String,
    /// Asks once for each effect of these kinds, which is then `effect`; without any, once for the
    /// request.
    #[serde(default)]
    pub effects: Vec<Spanned<String>>,
    /// In which namespaces.
    #[serde(default, rename = "where")]
    pub place: Place,
    /// In CEL; without it, always.
    pub when: Option<Spanned<String>>,
    /// What it asks for.
    pub action: Action,
    /// How bad it is if a reviewer is wrong.
    #[serde(default)]
    pub severity: Level,
    /// What reviewers and agents read; `{{…}}` is CEL.
    pub reason: Option<Spanned<String>>,
    /// Whether it counts.
    pub mode: Option<Mode>,
    /// Undecided for so long, the hold is denied: `15m`. The proxy's own deadline still holds.
    pub deadline: Option<Spanned<Time>>,
    /// Denied, the same is not asked again for so long: `1h`. Without it, as the proxy is set.
    pub denial_time: Option<Spanned<Time>>,
    /// Who must approve; without it, one person whom RBAC lets.
    pub reviewers: Option<Spanned<Reviewers>>,
    /// No exception and no setting loosens it.
    #[serde(default)]
    pub unconditional: bool,
}

/// Who must approve what a rule holds. Every field may be left out, but not all of them.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Reviewers {
    /// An approval counts where its reviewer is in one of these; without any, whoever may approve.
    pub groups: Option<Spanned<Vec<String>>>,
    /// So many different people; without it, one.
    pub count: Option<Spanned<i64>>,
    /// An approval says why.
    #[serde(default)]
    pub reason_required: bool,
}

/// Where a rule applies.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "camelCase")]
pub enum Place {
    /// In every namespace, and outside of all.
    #[default]
    Everywhere,
    /// Unless the namespace is declared non-production.
    Production,
    /// In protected namespaces.
    Protected,
    /// Where the namespace is declared so.
    NonProduction,
}

/// What a rule asks for.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "camelCase")]
pub enum Action {
    /// Ask a person.
    Hold,
    /// Refuse, whoever would approve.
    Deny,
}

/// Whether a rule counts.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "camelCase")]
pub enum Mode {
    /// It decides.
    #[default]
    Enforce,
    /// What it would have said is recorded, and nothing else.
    Shadow,
}

/// How bad.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "see policy::Severity")]
pub enum Level {
    Low,
    #[default]
    Medium,
    High,
    Critical,
}

/// `kind: PolicyException`: the only thing that loosens.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicyException {
    /// [`API_VERSION`].
    pub api_version: String,
    /// `PolicyException`.
    pub kind: String,
    /// Its name: decisions that it changed tell it.
    pub metadata: Metadata,
    /// What it excepts.
    pub spec: ExceptionSpec,
}

/// What an exception excepts. Every field but `when` must be given: none is ever meant to be wide.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExceptionSpec {
    /// Why, and who agreed.
    pub reason: String,
    /// Afterwards it is worth nothing.
    pub expires: Spanned<String>,
    /// Names of rules.
    pub rules: Vec<Spanned<String>>,
    /// Whose requests.
    pub agents: Agents,
    /// Names of namespaces; a `*` stands for any text, `""` for what is in none.
    pub namespaces: Vec<String>,
    /// In CEL; without it, always.
    pub when: Option<Spanned<String>>,
}

/// `kind: PolicySettings`: what of the built-in packs is in force.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicySettings {
    /// [`API_VERSION`].
    pub api_version: String,
    /// `PolicySettings`.
    pub kind: String,
    /// Its name.
    pub metadata: Metadata,
    /// What it sets.
    pub spec: SettingsSpec,
}

/// What settings set.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SettingsSpec {
    /// Built-in packs: `default`, `strict`, `observe`.
    pub packs: Option<Vec<Spanned<String>>>,
    /// By policy: values of its parameters.
    #[serde(default)]
    pub parameters: BTreeMap<String, Spanned<BTreeMap<String, Json>>>,
    /// Labels and annotations that nothing in the cluster acts on: whole keys, with their domain.
    #[serde(default)]
    pub inert_keys: Vec<Spanned<String>>,
    /// Rules that do not count.
    #[serde(default)]
    pub disabled: Vec<Disabled>,
    /// Lets logs of nodes be read.
    pub node_logs: Option<NodeLogs>,
}

/// Files below a node's `/var/log`, and the logs of its services, may be read by its kubelet.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeLogs {
    /// Why, and who agreed.
    pub reason: Spanned<String>,
}

/// A rule that does not count.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disabled {
    /// Its name.
    pub rule: Spanned<String>,
    /// Why, and who agreed.
    pub reason: String,
}

/// A time such as `90s`, `15m`, `2h`, `1d`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Time(pub Duration);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Time;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time such as 90s, 15m, 2h or 1d")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Time, E> {
                let duration = duration::parse(text).map_err(E::custom)?;
                whole_seconds(duration)
                    .ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        duration::Short(self.0).fmt(f)
    }
}

/// A deadline is looked at every second or so: a part of one would promise what nobody keeps.
fn whole_seconds(duration: Duration) -> Option<Time> {
    (duration.subsec_nanos() == 0).then_some(Time(duration))
}
