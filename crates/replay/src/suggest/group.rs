//! Held calls -> exceptions, as narrow as what was approved.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use ledger::{EffectRecord, Identity};
use policy::{
    Pack, Severity,
    document::{API_VERSION, Mode, Place},
    literal,
};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::held::{End, Held};

/// Effects whose kind, object, words and counts say all that happens. What a new image, a template
/// or a command does, they do not say.
const BOUNDED: [&str; 8] =
    ["Delete", "ReplacePod", "Evict", "Restart", "ScaleDown", "ScaleUp", "Cordon", "Uncordon"];
/// A condition of an exception.
const CONDITION_BYTES_MAX: usize = 3 << 10;

/// What an exception has to rest on.
pub struct Limits {
    /// So many approvals,
    pub approvals: usize,
    /// by so many people,
    pub reviewers: usize,
    /// on so many days.
    pub days: usize,
    /// Where there are no exceptions.
    pub own_namespace: String,
    /// When the exceptions end.
    pub expires: Timestamp,
}

/// What was asked for, again and again.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Key {
    rules: Vec<String>,
    user: String,
    namespace: String,
    api_group: String,
    resource: String,
    subresource: String,
    effects: Vec<What>,
}

/// One effect: what is done to what, and the condition that is true of it.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct What {
    kind: String,
    namespace: String,
    condition: Result<String, String>,
}

/// An exception, and what it rests on.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Suggestion {
    exception: Exception,
    approvals: usize,
    reviewers: Vec<String>,
    days: usize,
    first: Timestamp,
    last: Timestamp,
}

/// An exception could not be written down.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// Not as a tree of values.
    #[error("an exception cannot be written")]
    Value(#[from] serde_json::Error),
    /// Not as YAML.
    #[error("an exception cannot be written as YAML")]
    Yaml(#[from] serde_saphyr::ser::Error),
}

/// A `PolicyException`, as it is written.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Exception {
    api_version: &'static str,
    kind: &'static str,
    metadata: Metadata,
    spec: Spec,
}

#[derive(Debug, Serialize)]
struct Metadata {
    name: String,
}

#[derive(Debug, Serialize)]
struct Spec {
    reason: String,
    expires: String,
    rules: Vec<String>,
    agents: Agents,
    namespaces: Vec<String>,
    when: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
enum Agents {
    Users(Vec<String>),
    ServiceAccounts(Vec<Account>),
}

#[derive(Debug, Serialize)]
struct Account {
    namespace: String,
    name: String,
}

/// Holds that were approved often, and are left as they are.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Left {
    rules: Vec<String>,
    user: String,
    namespace: String,
    resource: String,
    approvals: usize,
    why: String,
}

impl Left {
    /// What was approved, and what stands against an exception, in a line.
    pub fn describe(&self) -> String {
        let Self { user, namespace, resource, approvals, why, .. } = self;
        let rules = self.rules.join(", ");
        let s = if *approvals == 1 { "" } else { "s" };
        format!("{approvals} approval{s} of {user} by {rules}, {resource} in `{namespace}`: {why}")
    }
}

impl Suggestion {
    /// The name of the exception.
    pub fn name(&self) -> &str {
        &self.exception.metadata.name
    }

    /// What it rests on, in a line.
    pub fn describe(&self) -> String {
        let Self { approvals, reviewers, days, first, last, .. } = self;
        let (first, last) = (first.strftime("%F"), last.strftime("%F"));
        let reviewers = reviewers.join(", ");
        format!(
            "approved {approvals} times on {days} days from {first} to {last}, by {reviewers}; never denied"
        )
    }

    /// The exception as YAML.
    ///
    /// # Errors
    /// Where a name in it cannot be written as YAML.
    pub fn document(&self) -> Result<String, DocumentError> {
        let value = serde_json::to_value(&self.exception)?;
        Ok(serde_saphyr::to_string(&value)?)
    }
}

/// The exceptions that these calls speak for, and the groups that only seem to.
pub fn suggest(pack: &Pack, calls: Vec<Held>, limits: &Limits) -> (Vec<Suggestion>, Vec<Left>) {
    let refused: BTreeSet<(String, String)> = calls
        .iter()
        .filter(|call| call.end == End::Refused)
        .flat_map(|call| call.rules.iter().map(|rule| (rule.clone(), call.user.clone())))
        .collect();
    let mut groups: BTreeMap<Key, Vec<&Held>> = BTreeMap::new();
    for call in calls.iter().filter(|call| matches!(call.end, End::Approved(_))) {
        groups.entry(Key::of(call)).or_default().push(call);
    }
    let (mut suggestions, mut left) = (Vec::new(), Vec::new());
    let (often, seldom): (Vec<_>, Vec<_>) =
        groups.into_iter().partition(|(_, calls)| calls.len() >= limits.approvals);
    for (key, calls) in often {
        let against = key
            .against(pack, limits)
            .or_else(|| key.refused(&refused))
            .or_else(|| too_few(&calls, limits));
        match against.map_or_else(|| key.suggestion(&calls, limits), Err) {
            Ok(suggestion) => suggestions.push(suggestion),
            Err(why) => left.push(key.left(calls.len(), why)),
        }
    }
    left.extend(seldom_approved(seldom, limits));
    left.extend(drifted(&calls));
    (suggestions, left)
}

/// What did something else when it was decided than when it came: nobody has approved what is recorded.
fn drifted(calls: &[Held]) -> Vec<Left> {
    let mut alike: BTreeMap<Key, usize> = BTreeMap::new();
    for call in calls.iter().filter(|call| call.end == End::Drifted) {
        let count = alike.entry(Key { effects: Vec::new(), ..Key::of(call) }).or_default();
        *count = count.saturating_add(1);
    }
    let left = alike.into_iter().map(|(key, count)| {
        let why = match count {
            1 => {
                "its hold changed while it waited, so the approval was of something else".to_owned()
            }
            _ => format!(
                "{count} holds changed while they waited, so approvals were of something else"
            ),
        };
        key.left(0, why)
    });
    left.collect()
}

/// What was approved too seldom, however often the like of it was: of one agent, rules and resource together.
fn seldom_approved(groups: Vec<(Key, Vec<&Held>)>, limits: &Limits) -> Vec<Left> {
    let mut alike: BTreeMap<Key, (usize, usize)> = BTreeMap::new();
    for (key, calls) in groups {
        let (requests, approvals) = alike.entry(Key { effects: Vec::new(), ..key }).or_default();
        *requests = requests.saturating_add(1);
        *approvals = approvals.saturating_add(calls.len());
    }
    let left = alike.into_iter().map(|(key, (requests, approvals))| {
        let needed = limits.approvals;
        let why = match requests {
            1 => format!("it takes {needed} approvals"),
            _ => format!(
                "they are of {requests} different requests or objects, each approved fewer than {needed} times"
            ),
        };
        key.left(approvals, why)
    });
    left.collect()
}

/// Whether people looked at it often enough to know what it is.
fn too_few(calls: &[&Held], limits: &Limits) -> Option<String> {
    let (reviewers, days) = (reviewers(calls).len(), days(calls));
    if calls.iter().any(|call| call.class.is_none_or(|class| class.is_protected())) {
        return Some("the namespace was protected, or it is not known to be none".to_owned());
    }
    if reviewers < limits.reviewers {
        return Some(format!("{reviewers} of {} reviewers have approved it", limits.reviewers));
    }
    (days < limits.days).then(|| format!("it was approved on {days} days, not on {}", limits.days))
}

/// Different people, as for a hold.
fn reviewers(calls: &[&Held]) -> Vec<String> {
    let mut people: Vec<&Identity> = Vec::new();
    for call in calls {
        if let End::Approved(reviewer) = &call.end
            && !people.iter().any(|it| hold::is_same_person(it, reviewer))
        {
            people.push(reviewer);
        }
    }
    let mut names: Vec<String> = people.into_iter().map(|it| it.username.clone()).collect();
    names.sort();
    names
}

fn days(calls: &[&Held]) -> usize {
    let days: BTreeSet<String> =
        calls.iter().map(|call| call.time.strftime("%F").to_string()).collect();
    days.len()
}

impl Key {
    fn of(call: &Held) -> Self {
        let mut effects: Vec<What> = call.effects.iter().map(What::of).collect();
        effects.sort();
        Self {
            rules: call.rules.clone(),
            user: call.user.clone(),
            namespace: call.request.namespace.clone(),
            api_group: call.request.api_group.clone(),
            resource: call.request.resource.clone(),
            subresource: call.request.subresource.clone(),
            effects,
        }
    }

    /// What stands against an exception, whoever approved.
    fn against(&self, pack: &Pack, limits: &Limits) -> Option<String> {
        for name in &self.rules {
            let rule = pack.rules().iter().find(|rule| *rule.name.0 == **name);
            let why = match rule {
                None => "is not in force any more",
                Some(rule) if rule.unconditional => "guards agent-shield itself",
                Some(rule) if rule.mode == Mode::Shadow => "is in shadow mode",
                Some(rule) if rule.place == Place::Protected => "guards protected namespaces",
                Some(rule) if rule.severity == Severity::Critical => "is of critical severity",
                Some(_) => continue,
            };
            return Some(format!("rule {name} {why}"));
        }
        let places = self.effects.iter().map(|it| &it.namespace).chain([&self.namespace]);
        if places.into_iter().any(|it| *it == limits.own_namespace) {
            return Some("it is agent-shield's own namespace".to_owned());
        }
        // In an exception a star stands for any text: who is called so would stand for everybody.
        let is_plain = |name: &str| name.bytes().all(|it| it.is_ascii_graphic() && it != b'*');
        if !is_plain(&self.user) || !is_plain(&self.namespace) {
            return Some("the agent's name has a star or signs in it that mislead".to_owned());
        }
        if self.effects.is_empty() {
            return Some("no effect says what it does".to_owned());
        }
        let open = self.effects.iter().find(|it| !BOUNDED.contains(&it.kind.as_str()));
        open.map(|it| format!("no condition says all that a {} does", it.kind))
    }

    fn refused(&self, refused: &BTreeSet<(String, String)>) -> Option<String> {
        let rule = |rule: &&String| refused.contains(&((*rule).clone(), self.user.clone()));
        let rule = self.rules.iter().find(rule)?;
        Some(format!("another hold of this agent by rule {rule} was denied, or expired"))
    }

    fn left(&self, approvals: usize, why: String) -> Left {
        let resource = match self.subresource.as_str() {
            "" => group_resource(&self.api_group, &self.resource),
            subresource => {
                format!("{}/{subresource}", group_resource(&self.api_group, &self.resource))
            }
        };
        let (rules, user, namespace) =
            (self.rules.clone(), self.user.clone(), self.namespace.clone());
        Left { rules, user, namespace, resource, approvals, why }
    }

    fn suggestion(&self, calls: &[&Held], limits: &Limits) -> Result<Suggestion, String> {
        let when = self.condition(calls)?;
        let (Some(first), Some(last)) = (calls.first(), calls.last()) else {
            return Err("nobody has approved it".to_owned());
        };
        let reviewers = reviewers(calls);
        let (approvals, days) = (calls.len(), days(calls));
        let spec = Spec {
            reason: format!(
                "approved {approvals} times on {days} days, and never denied: (who agrees?)"
            ),
            expires: limits.expires.strftime("%FT%TZ").to_string(),
            rules: self.rules.clone(),
            agents: agents(&self.user),
            namespaces: vec![self.namespace.clone()],
            when,
        };
        let metadata = Metadata { name: self.name(&spec) };
        let exception =
            Exception { api_version: API_VERSION, kind: "PolicyException", metadata, spec };
        let (first, last) = (first.time, last.time);
        Ok(Suggestion { exception, approvals, reviewers, days, first, last })
    }

    /// Unique for what it excepts, and the same each time.
    fn name(&self, spec: &Spec) -> String {
        let text = format!("{:?} {:?} {:?} {}", spec.rules, self.user, self.namespace, spec.when);
        let digest = Sha256::digest(text);
        // Eight bytes tell apart all exceptions that somebody could ever read.
        let hash: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let kind = self.effects.first().map_or("", |it| it.kind.as_str()).to_lowercase();
        format!("approved-{kind}-{hash}")
    }

    /// True for exactly what was approved.
    fn condition(&self, calls: &[&Held]) -> Result<String, String> {
        let verbs: BTreeSet<&str> = calls.iter().map(|it| it.request.verb.as_str()).collect();
        let verbs: Vec<String> = verbs.into_iter().map(literal).collect();
        let mut parts = vec![
            format!("request.verb in [{}]", verbs.join(", ")),
            format!("request.resource.group == {}", literal(&self.api_group)),
            format!("request.resource.resource == {}", literal(&self.resource)),
            format!("request.subResource == {}", literal(&self.subresource)),
            format!("effects.size() == {}", self.effects.len()),
        ];
        // Each of them is one that was approved: two that look alike leave no room for a third.
        let whats: BTreeSet<&What> = self.effects.iter().collect();
        let whats: Vec<String> =
            whats.into_iter().map(|it| it.condition.clone()).collect::<Result<_, _>>()?;
        parts.push(format!("effects.all(it, {})", whats.join("\n  || ")));
        let condition = parts.join("\n&& ");
        match condition.len() > CONDITION_BYTES_MAX {
            true => Err("a condition for all of its effects would be too long".to_owned()),
            false => Ok(condition),
        }
    }
}

impl What {
    fn of(record: &EffectRecord) -> Self {
        let condition = match record.effect() {
            Ok(effect) => policy::same_or_less("it", &effect).map_err(|why| why.to_string()),
            Err(error) => Err(error.to_string()),
        };
        Self { kind: record.kind.clone(), namespace: record.namespace.clone(), condition }
    }
}

fn agents(username: &str) -> Agents {
    let account = username.strip_prefix("system:serviceaccount:").and_then(|it| it.split_once(':'));
    match account {
        Some((namespace, name)) => {
            let (namespace, name) = (namespace.to_owned(), name.to_owned());
            Agents::ServiceAccounts(vec![Account { namespace, name }])
        }
        None => Agents::Users(vec![username.to_owned()]),
    }
}

fn group_resource(api_group: &str, resource: &str) -> String {
    if api_group.is_empty() { resource.to_owned() } else { format!("{resource}.{api_group}") }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use ledger::{ClassRecord, RequestRecord};
    use policy::{Decision, Source, case::Case, compile};

    use super::*;

    const AGENT: &str = "system:serviceaccount:agents:scaler";

    fn approved(reviewer: &str) -> End {
        End::Approved(Identity { username: reviewer.to_owned(), ..Identity::default() })
    }

    fn limits() -> Limits {
        Limits {
            approvals: 5,
            reviewers: 2,
            days: 3,
            own_namespace: "agent-shield".to_owned(),
            expires: Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * 30),
        }
    }

    /// The `number`-th time that half of a Deployment's four replicas went, with a reviewer's consent.
    fn halved(number: i64) -> Held {
        Held {
            time: Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * (number % 3)),
            user: AGENT.to_owned(),
            request: RequestRecord {
                verb: "patch".to_owned(),
                api_group: "apps".to_owned(),
                resource: "deployments".to_owned(),
                namespace: "shop".to_owned(),
                name: "web".to_owned(),
                ..RequestRecord::default()
            },
            rules: vec!["scale-down-drastic".to_owned()],
            effects: vec![EffectRecord {
                kind: "ScaleDown".to_owned(),
                api_group: "apps".to_owned(),
                resource: "deployments".to_owned(),
                namespace: "shop".to_owned(),
                name: "web".to_owned(),
                detail: "replicas 4 -> 2".to_owned(),
                count: Some((4, 2)),
                ..EffectRecord::default()
            }],
            class: Some(ClassRecord::Production),
            end: approved(&format!("reviewer-{}", number % 2)),
        }
    }

    fn suggested(change: impl Fn(i64, &mut Held)) -> (Vec<Suggestion>, Vec<Left>) {
        let calls = (0..6).map(|number| {
            let mut held = halved(number);
            change(number, &mut held);
            held
        });
        suggest(&Pack::default_pack().expect("the default pack"), calls.collect(), &limits())
    }

    fn in_force(suggestions: &[Suggestion]) -> Pack {
        let text: String =
            suggestions.iter().map(|it| format!("---\n{}", it.document().expect("YAML"))).collect();
        let source = Source { name: "suggested".to_owned(), text: text.clone() };
        match compile(&[source], Timestamp::UNIX_EPOCH) {
            Ok(compiled) => compiled.pack,
            Err(issues) => panic!("{issues:?}\n{text}"),
        }
    }

    fn case(
        user: &str,
        namespace: &str,
        name: &str,
        verb: &str,
        [old, new]: [u32; 2],
        more: &str,
    ) -> Case {
        let object = |replicas| {
            format!(
                "{{kind: Deployment, metadata: {{name: {name}, uid: u{more}}}, spec: {{replicas: {replicas}}}}}"
            )
        };
        let plain = object(old).replace(more, "");
        let text = format!(
            "name: c\nrequest: {{verb: {verb}, resource: deployments.apps, namespace: {namespace}, name: {name}}}\nagent: {{username: '{user}'}}\nnow: 1970-01-02T00:00:00Z\noldObject: {plain}\nobject: {}\n",
            object(new)
        );
        serde_saphyr::from_str(&text).expect("a case")
    }

    #[test]
    fn excepts_what_was_approved_and_nothing_else() {
        // Once somebody has agreed to more: that is no habit.
        let (items, left) = suggested(|number, held| {
            if number == 5 {
                held.effects[0].count = Some((4, 0));
            }
        });
        assert_eq!(items.len(), 1, "{left:?}");
        let left: Vec<String> = left.iter().map(Left::describe).collect();
        assert!(matches!(&*left, [one] if one.ends_with("it takes 5 approvals")), "{left:?}");
        let pack = in_force(&items);
        let finalizer = ", finalizers: [x]";
        let table = [
            (case(AGENT, "shop", "web", "patch", [4, 2], ""), Decision::Allow),
            (case(AGENT, "shop", "web", "patch", [2, 1], ""), Decision::Hold),
            (case(AGENT, "shop", "web", "patch", [4, 1], ""), Decision::Hold),
            (case(AGENT, "shop", "web", "patch", [4, 0], ""), Decision::Hold),
            (case(AGENT, "shop", "web", "patch", [8, 2], ""), Decision::Hold),
            (case(AGENT, "shop", "web", "update", [4, 2], ""), Decision::Hold),
            (case(AGENT, "shop", "db", "patch", [4, 2], ""), Decision::Hold),
            (case(AGENT, "other", "web", "patch", [4, 2], ""), Decision::Hold),
            (
                case("system:serviceaccount:agents:other", "shop", "web", "patch", [4, 2], ""),
                Decision::Hold,
            ),
            (case(AGENT, "shop", "web", "patch", [4, 2], finalizer), Decision::Hold),
        ];
        for (index, (case, want)) in table.into_iter().enumerate() {
            let verdict = case.judged(&pack).expect("a request").verdict;
            assert_eq!(verdict.decision(), want, "row {index}: {}", verdict.reason());
        }
    }

    type Change = fn(i64, &mut Held);

    #[test]
    fn no_flood_of_harmless_requests_earns_an_exception() {
        let table: [(&str, Change); 15] = [
            ("of 2 reviewers", |_, held| held.end = approved("one")),
            ("of 2 reviewers", |number, held| {
                let one = if number % 2 == 0 { "one" } else { "One " };
                held.end = approved(one);
            }),
            ("on 1 days", |_, held| held.time = Timestamp::UNIX_EPOCH),
            ("was denied", |number, held| {
                // Another object, another namespace: the same rule, and somebody said no.
                if number == 5 {
                    held.request.namespace = "elsewhere".to_owned();
                    held.effects[0].name = "db".to_owned();
                    held.end = End::Refused;
                }
            }),
            ("it takes 5 approvals", |number, held| {
                if number > 3 {
                    held.end = End::Open;
                }
            }),
            // Each object has to be approved so often by itself.
            ("different requests or objects, each approved fewer than 5 times", |number, held| {
                held.effects[0].name = format!("web-{number}")
            }),
            ("it takes 5 approvals", |number, held| {
                if number > 3 {
                    held.end = End::Drifted;
                }
            }),
            ("guards agent-shield itself", |_, held| {
                held.rules = vec!["unprotect-namespace".into()]
            }),
            ("is of critical severity", |_, held| held.rules = vec!["delete-claim".into()]),
            ("guards protected namespaces", |_, held| {
                held.rules.push("write-in-protected-namespace".into());
            }),
            ("is not in force", |_, held| held.rules = vec!["gone".into()]),
            ("was protected", |_, held| held.class = Some(ClassRecord::ProtectedProduction)),
            ("own namespace", |_, held| held.request.namespace = "agent-shield".to_owned()),
            ("has a star", |_, held| held.user = "*".to_owned()),
            ("all that a RunCode does", |_, held| held.effects[0].kind = "RunCode".to_owned()),
        ];
        for (want, change) in table {
            let (items, left) = suggested(change);
            assert_eq!(items.len(), 0, "{want}");
            let words: Vec<String> = left.iter().map(Left::describe).collect();
            assert!(words.iter().any(|it| it.contains(want)), "{want}: {words:?}");
        }
    }

    #[test]
    fn an_agents_words_stay_words() {
        let evil = "x' || true || it.name == 'y\\\n\u{202e}\"# ---\nkind: Policy";
        let (items, _) = suggested(|_, held| held.user = evil.to_owned());
        assert_eq!(items.len(), 0);
        let (items, left) = suggested(|_, held| held.effects[0].name = evil.to_owned());
        assert_eq!((items.len(), left.len()), (1, 0), "{left:?}");
        let pack = in_force(&items);
        assert_eq!(pack.exceptions().len(), 1);
        // No URL has such a name, but an object may say it: the effect is what the exception reads.
        let attributes = attributes::read(
            &http::Method::PATCH,
            "/apis/apps/v1/namespaces/shop/deployments/web",
            &http::HeaderMap::new(),
        );
        let attributes = attributes.expect("a request");
        let user = attributes::User { username: AGENT.to_owned(), ..Default::default() };
        let labels = BTreeMap::new();
        let class = effects::NamespaceClass::of("shop", Some(&labels), &Default::default());
        let decision = |name: &str| {
            let mut effect = halved(0).effects[0].effect().expect("an effect");
            effect.object.name = name.to_owned();
            let input = policy::Input {
                is_write: true,
                effects: &[effect],
                objects: policy::Objects::Known(vec![policy::Pair::default()]),
                ..policy::Input::of_read(&attributes, &user, &class, Timestamp::UNIX_EPOCH)
            };
            pack.decide(&input).decision()
        };
        assert_eq!(decision("web"), Decision::Hold);
        // An exception that matches nothing would pass the line above too.
        assert_eq!(decision(evil), Decision::Allow);
        assert!(items[0].document().expect("YAML").is_ascii());
    }
}
