//! A request as somebody writes it down, with what policy should say of it: for `policy test` and
//! `policy explain`. Effects are worked out from the objects as the proxy does.

use std::collections::BTreeMap;

use attributes::{Attributes, User};
use effects::{ClassConfig, EffectKind, Known, NamespaceClass, Route};
use http::{HeaderMap, Method};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::Value as Json;
use serde_saphyr::Spanned;

use crate::{
    Input, Objects, Pack, Pair, Past, PolicyDecision, Severity, Trace,
    document::{Level, Metadata, Time},
};

/// Hours since 1970.
const NEW_YEAR_2026: i64 = 20_454 * 24;

/// `kind: PolicyTest`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicyTest {
    /// [`crate::document::API_VERSION`].
    pub api_version: String,
    /// `PolicyTest`.
    pub kind: String,
    /// Its name.
    pub metadata: Metadata,
    /// What is tested.
    pub spec: TestSpec,
}

/// What is tested.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TestSpec {
    /// Files beside the test; without any, the one of the same name.
    #[serde(default)]
    pub policies: Vec<String>,
    /// Built-in packs in force beside them; without any, none.
    #[serde(default)]
    pub packs: Vec<String>,
    /// Each request with what should be said of it.
    pub cases: Vec<Case>,
}

/// One request.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Case {
    /// For people.
    pub name: Spanned<String>,
    /// What is asked.
    pub request: Request,
    /// Who asks.
    #[serde(default)]
    pub agent: Agent,
    /// Labels of the namespace.
    #[serde(default)]
    pub namespace_labels: BTreeMap<String, String>,
    /// As it is; none where it is made.
    pub old_object: Option<Json>,
    /// As it would be; none where it goes.
    pub object: Option<Json>,
    /// What the same agent did before.
    #[serde(default)]
    pub window: Vec<Earlier>,
    /// When; without it, the first of 2026, a Thursday.
    pub now: Option<Timestamp>,
    /// What should be said; `policy explain` needs none.
    pub expect: Option<Expect>,
}

/// What is asked, in a URL or in words.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Request {
    /// Kubernetes' own: `create`, `update`, `patch`, `delete`, `get`, `list`, …
    #[serde(default)]
    pub verb: String,
    /// As kubectl writes it: `pods`, `deployments.apps`, `pods/exec`, `deployments.apps/scale`.
    #[serde(default)]
    pub resource: String,
    /// Of the API; `v1` mostly.
    #[serde(default = "v1")]
    pub version: String,
    /// Empty for what is in none.
    #[serde(default)]
    pub namespace: String,
    /// Empty for collections and creates.
    #[serde(default)]
    pub name: String,
    /// Instead of all these: `DELETE`, …
    #[serde(default)]
    pub method: String,
    /// And a path with its query.
    #[serde(default)]
    pub path: String,
}

fn v1() -> String {
    "v1".to_owned()
}

/// Who asks.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agent {
    /// Its user name.
    #[serde(default = "some_agent")]
    pub username: String,
    /// Its groups.
    #[serde(default)]
    pub groups: Vec<String>,
}

fn some_agent() -> String {
    "system:serviceaccount:agents:agent".to_owned()
}

impl Default for Agent {
    fn default() -> Self {
        Self { username: some_agent(), groups: Vec::new() }
    }
}

/// Something that the same agent did before.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Earlier {
    /// So long ago.
    pub age_seconds: i64,
    /// Which kind of effect.
    pub kind: String,
    /// As `deployments.apps`.
    #[serde(default)]
    pub group_resource: String,
    /// Where.
    #[serde(default)]
    pub namespace: String,
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// So often.
    #[serde(default = "once")]
    pub times: usize,
}

fn once() -> usize {
    1
}

/// What should be said.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Expect {
    /// `allow`, `hold`, `deny`.
    pub decision: String,
    /// Rules that ask for it, if they matter.
    #[serde(default)]
    pub rules: Vec<String>,
    /// What the reason holds, if it matters.
    #[serde(default)]
    pub reason: String,
    /// How many different people must approve, if it matters.
    pub reviewers: Option<u32>,
    /// Groups whose approval is asked for, if they matter.
    #[serde(default)]
    pub groups: Vec<String>,
    /// Whether an approval says why, if it matters.
    pub reason_required: Option<bool>,
    /// Undecided for so long, the hold is denied, if it matters.
    pub deadline: Option<Time>,
    /// How bad, if it matters.
    pub severity: Option<Level>,
}

impl Expect {
    /// What differs in whom a hold asks, how, and until when.
    fn of_holds(&self, verdict: &PolicyDecision) -> Vec<String> {
        let mut differs = Vec::new();
        let mut compare = |what: &str, expected: Option<String>, got: String| {
            if let Some(expected) = expected.filter(|it| *it != got) {
                differs.push(format!("expected {what} {expected}, got {got}"));
            }
        };
        let people = self.reviewers.map(|it| it.to_string());
        compare("reviewers:", people, verdict.approvals_min().to_string());
        let with_reason = verdict.reviewers.iter().any(|it| it.reason_required);
        let reason = self.reason_required.map(|it| it.to_string());
        compare("reasonRequired:", reason, with_reason.to_string());
        let deadline = verdict.deadline.map_or("none".to_owned(), |it| Time(it).to_string());
        compare("the deadline", self.deadline.map(|it| it.to_string()), deadline);
        let severity = self.severity.map(|it| Severity::from(it).as_str().to_owned());
        compare("severity", severity, verdict.severity.as_str().to_owned());
        let is_asked =
            |group: &&String| verdict.reviewers.iter().any(|it| it.groups.contains(*group));
        for group in self.groups.iter().filter(|it| !is_asked(it)) {
            differs.push(format!("group {group} is not asked"));
        }
        differs
    }
}

impl Case {
    /// Judges the request by a pack.
    ///
    /// # Errors
    /// Why it is no request.
    pub fn judged(&self, pack: &Pack) -> Result<Trace, String> {
        let attributes = self.request.attributes()?;
        let user = User {
            username: self.agent.username.clone(),
            groups: self.agent.groups.clone(),
            ..User::default()
        };
        let config = ClassConfig::default();
        let class = match attributes.namespace.as_str() {
            "" => NamespaceClass::cluster_scoped(),
            name => NamespaceClass::of(name, Some(&self.namespace_labels), &config),
        };
        let now = self
            .now
            .unwrap_or_else(|| Timestamp::from_second(NEW_YEAR_2026 * 60 * 60).unwrap_or_default());
        let (old, new) = (self.old_object.as_ref(), self.object.as_ref());
        // Whoever says what a custom resource would be means one that the API server can tell of.
        let is_stored = old.is_some() || new.is_some();
        let plan = pack.amend(&attributes, effects::plan_as(&attributes, false, is_stored));
        let mut found = match (plan.route, new) {
            (Route::PreviewDelete, _) => {
                effects::of_delete(&attributes, &old.cloned().into_iter().collect::<Vec<_>>())
            }
            (Route::Preview, Some(new)) => {
                let known = Known::of(&config).with_inert_keys(pack.inert_keys()).at(now);
                effects::of_change(&attributes, &known, old, new)
            }
            (Route::Blind, Some(new)) => {
                let known = Known::of(&config).with_inert_keys(pack.inert_keys()).at(now);
                effects::of_custom(&attributes, &known, old, new)
            }
            _ => Vec::new(),
        };
        let mut all = plan.effects;
        all.retain(|it| !found.iter().any(|other| other.kind == it.kind));
        all.append(&mut found);
        let changes = effects::normalised(&attributes, effects::diff(old, new));
        let earlier = self.earlier(now)?;
        let is_write = plan.route.stores() && plan.route != Route::Read;
        Ok(pack.explain(&Input {
            attributes: &attributes,
            user: &user,
            class: &class,
            is_write,
            effects: &all,
            objects: match plan.route {
                Route::Blind if old.is_none() && new.is_none() => {
                    Objects::Unknown("this kind of request has no preview".to_owned())
                }
                _ => Objects::Known(vec![Pair { old, new }]),
            },
            changes: &changes,
            earlier: &earlier,
            redact: &Json::clone,
            now,
        }))
    }

    /// What differs from what was expected; empty where nothing does.
    ///
    /// # Errors
    /// As [`Case::judged`].
    pub fn differs(&self, pack: &Pack) -> Result<Vec<String>, String> {
        let verdict = self.judged(pack)?.verdict;
        let Some(expect) = &self.expect else { return Ok(Vec::new()) };
        let decision = verdict.decision.as_str();
        let mut differs = Vec::new();
        let (rules, reason) = (verdict.rules(), verdict.reason());
        if decision != expect.decision {
            let because = if reason.is_empty() { String::new() } else { format!(": {reason}") };
            differs.push(format!("expected {}, got {decision}{because}", expect.decision));
        }
        for rule in expect.rules.iter().filter(|it| !rules.contains(it)) {
            differs.push(format!("rule {rule} did not ask; {} did", joined_or_none(&rules)));
        }
        if !reason.contains(&expect.reason) {
            differs.push(format!("expected the reason `{}`, got `{reason}`", expect.reason));
        }
        differs.extend(expect.of_holds(&verdict));
        Ok(differs)
    }

    fn earlier(&self, now: Timestamp) -> Result<Vec<Past>, String> {
        let mut all = Vec::new();
        for it in &self.window {
            let kind = it
                .kind
                .parse::<EffectKind>()
                .map_err(|_| format!("there is no effect `{}`", it.kind))?;
            let age = SignedDuration::from_secs(it.age_seconds);
            let past = Past {
                at: now.checked_sub(age).map_err(|_| {
                    format!("an age of {} seconds is longer than time goes back", it.age_seconds)
                })?,
                kind,
                group_resource: it.group_resource.clone(),
                namespace: it.namespace.clone(),
                name: it.name.clone(),
            };
            all.extend(std::iter::repeat_n(past, it.times));
        }
        Ok(all)
    }
}

fn joined_or_none(rules: &[String]) -> String {
    if rules.is_empty() { "none".to_owned() } else { rules.join(", ") }
}

impl Request {
    /// The request as the proxy would read it.
    fn attributes(&self) -> Result<Attributes, String> {
        let (method, path) = match self.path.is_empty() {
            true => self.target()?,
            false => (self.method.as_str(), self.path.clone()),
        };
        let method = Method::from_bytes(method.as_bytes())
            .map_err(|_| format!("`{method}` is not a method"))?;
        attributes::read(&method, &path, &HeaderMap::new()).map_err(|error| error.to_string())
    }

    fn target(&self) -> Result<(&'static str, String), String> {
        let (resource, subresource) = match self.resource.split_once('/') {
            Some((resource, subresource)) => (resource, format!("/{subresource}")),
            None => (self.resource.as_str(), String::new()),
        };
        let method = match self.verb.as_str() {
            "get" | "list" | "watch" => "GET",
            "create" => "POST",
            "update" => "PUT",
            "patch" => "PATCH",
            "delete" | "deletecollection" => "DELETE",
            other => return Err(format!("`{other}` is not a verb of a request")),
        };
        let (resource, group) = resource.split_once('.').unwrap_or((resource, ""));
        let root = match group {
            "" => format!("/api/{}", self.version),
            group => format!("/apis/{group}/{}", self.version),
        };
        let namespace = match (self.namespace.as_str(), resource) {
            ("", _) | (_, "namespaces") => String::new(),
            (namespace, _) => format!("/namespaces/{namespace}"),
        };
        let is_collection = matches!(self.verb.as_str(), "list" | "watch" | "deletecollection")
            || (self.verb == "create" && subresource.is_empty());
        let name = match (is_collection, self.name.as_str()) {
            (true, _) => String::new(),
            (false, "") => return Err(format!("a {} names an object", self.verb)),
            (false, name) => format!("/{name}"),
        };
        let watch = if self.verb == "watch" { "?watch=1" } else { "" };
        Ok((method, format!("{root}{namespace}/{resource}{name}{subresource}{watch}")))
    }
}
