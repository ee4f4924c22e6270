//! One recorded call, put together again, and what a pack says of it.

use std::collections::BTreeMap;

use attributes::{Attributes, User};
use effects::{Change, Effect, NamespaceClass, Plan};
use http::{HeaderMap, Method};
use jiff::Timestamp;
use ledger::{EffectRecord, Entry, Extent, FACTS_VERSION, Facts, FactsRecord, RequestRecord};
use payload::{REDACTED, is_cut};
use policy::{Decision, Gaps, Input, NOT_RECORDED, Objects, Pack, Pair, Replayed, Step};
use serde_json::Value;

use crate::{
    Earlier,
    objects::{made_up, sides},
};

/// What a pack says of a recorded call.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Said {
    /// What it decides, where nothing is open.
    pub decision: Decision,
    /// The rules that ask for it, by name.
    pub rules: Vec<String>,
    /// What the record does not tell and would decide.
    pub open: Vec<Open>,
    /// Whether rules without an answer ask for the same decision at most: it is known, and the list
    /// of rules may be short.
    pub rules_open: bool,
    /// Whether what it would do has to be looked at for this, which takes its agent time.
    pub previews: bool,
}

/// Something that the record does not tell.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Open {
    /// The rule that asks; empty where no rule comes to be asked.
    pub rule: String,
    /// What is missing.
    pub why: String,
}

/// What asks the rules in each step.
type Ask<'a> = dyn FnMut(&Input<'_>, &Gaps) -> Replayed + 'a;

/// A call as it was when it was judged.
#[derive(Debug)]
pub struct Recorded {
    attributes: Attributes,
    user: User,
    class: NamespaceClass,
    /// Of a read that an earlier version recorded, it is not.
    is_class_known: bool,
    is_dry_run: bool,
    effects: Vec<Effect>,
    at: Timestamp,
    /// Of a read, none.
    facts: Option<FactsRecord>,
    objects: Vec<[Option<Value>; 2]>,
    gaps: Gaps,
}

impl Recorded {
    /// Puts together what an entry tells.
    ///
    /// # Errors
    /// Why nothing can be judged by it.
    pub fn of(entry: Entry) -> Result<Self, String> {
        let request = entry.request.ok_or("it tells of no request")?;
        let identity = entry.user.ok_or("who asked is not known")?;
        let attributes = attributes_of(&request)?;
        let is_read = attributes.is_read();
        let facts = match entry.facts {
            Facts::None if is_read => None,
            Facts::Recorded(facts) if facts.version == FACTS_VERSION => Some(*facts),
            other => return Err(absent(&other, entry.class.is_some()).to_owned()),
        };
        let of_namespace = !attributes.namespace.is_empty();
        let labels = facts.as_ref().and_then(|it| it.labels.clone());
        let is_class_known = entry.class.is_some() || !of_namespace;
        if !is_class_known && !is_read {
            return Err("how its namespace was classed is not recorded".to_owned());
        }
        let class = match entry.class {
            Some(class) => NamespaceClass {
                protected: class.is_protected(),
                production: class.is_production(),
                signs: Vec::new(),
                labels,
            },
            None => NamespaceClass::cluster_scoped(),
        };
        let gaps = find_gaps(&attributes, facts.as_ref());
        let objects = facts.as_ref().map(restore_objects).unwrap_or_default();
        let effects = entry.effects.iter().map(EffectRecord::effect).collect::<Result<_, _>>();
        let effects = effects.map_err(|error| error.to_string())?;
        let user = User {
            username: identity.username,
            uid: identity.uid,
            groups: identity.groups,
            extra: BTreeMap::new(),
        };
        Ok(Self {
            at: facts.as_ref().map_or(entry.time, |it| it.at),
            is_dry_run: request.dry_run,
            effects,
            attributes,
            user,
            class,
            is_class_known,
            facts,
            objects,
            gaps,
        })
    }

    /// Whether it provably changed nothing.
    pub fn is_read(&self) -> bool {
        self.attributes.is_read()
    }

    /// What it would do.
    pub fn into_effects(self) -> Vec<Effect> {
        self.effects
    }

    /// Whether its agent waited until somebody had looked at what it would do.
    pub fn was_previewed(&self) -> bool {
        let looked = self.facts.as_ref().is_some_and(|it| it.looked);
        looked && self.plan().route.is_previewed()
    }

    /// As it was planned then.
    fn plan(&self) -> Plan {
        let is_stored = self.facts.as_ref().is_some_and(|it| it.stored);
        effects::plan_as(&self.attributes, self.is_dry_run, is_stored)
    }

    /// What a pack says of it, in the two steps of the proxy; `earlier` is what was before it.
    pub fn judged(&self, pack: &Pack, earlier: &Earlier) -> Said {
        self.asked(pack, earlier, &mut |input, gaps| pack.replay(input, gaps))
    }

    /// As [`Recorded::judged`], and what every rule makes of it in the last step.
    pub fn explained(&self, pack: &Pack, earlier: &Earlier) -> (Said, Vec<Step>) {
        let mut steps = Vec::new();
        let said = self.asked(pack, earlier, &mut |input, gaps| {
            let (replayed, of_step) = pack.explain_replay(input, gaps);
            steps = of_step;
            replayed
        });
        (said, steps)
    }

    fn asked(&self, pack: &Pack, earlier: &Earlier, ask: &mut Ask<'_>) -> Said {
        let Some(facts) = &self.facts else { return self.read(pack, ask) };
        let mut gaps = self.gaps.clone();
        let earlier = match pack.needs_window() {
            false => Vec::new(),
            true => earlier.of(&self.user.username, facts.window.as_ref()).unwrap_or_else(|| {
                let why = "reads window: not all earlier calls are in this part of the ledger";
                gaps.window = Some(why.to_owned());
                Vec::new()
            }),
        };
        let plan = pack.amend(&self.attributes, self.plan());
        let input = Input {
            attributes: &self.attributes,
            user: &self.user,
            class: &self.class,
            is_write: plan.route.stores(),
            effects: &plan.effects,
            objects: Objects::Later,
            changes: &[],
            earlier: &earlier,
            redact: &Value::clone,
            now: self.at,
        };
        let first = ask(&input, &gaps);
        if first.verdict.decision() == Decision::Deny {
            return said(first, false);
        }
        let asks = pack.asks_about(&plan, &self.attributes, &self.class);
        let looks = plan.route.is_looked_at(asks, first.verdict.decision() == Decision::Hold);
        let previews = looks && plan.route.is_previewed();
        if !facts.looked {
            return match asks {
                true => unseen(first, "what it would do was not looked at, as no rule asked", true),
                // What no rule asks about cannot change it.
                false => said(first, previews),
            };
        }
        let second = match looks {
            true => self.by_what_was_seen(pack, facts, &gaps, input, ask),
            false => {
                let objects = Objects::Known(vec![Pair::default()]);
                ask(&Input { objects, ..input }, &gaps)
            }
        };
        said(second, previews)
    }

    fn read(&self, pack: &Pack, ask: &mut Ask<'_>) -> Said {
        if !pack.asks_about_read(&self.attributes) {
            return said(nothing_asked(), false);
        }
        if !self.is_class_known {
            return unseen(nothing_asked(), "how its namespace was classed is not recorded", false);
        }
        let input = Input::of_read(&self.attributes, &self.user, &self.class, self.at);
        let mut said = said(ask(&input, &self.gaps), false);
        // Nobody is asked about a read.
        if said.decision == Decision::Hold {
            said.decision = Decision::Deny;
        }
        said
    }

    fn by_what_was_seen(
        &self,
        pack: &Pack,
        facts: &FactsRecord,
        gaps: &Gaps,
        input: Input<'_>,
        ask: &mut Ask<'_>,
    ) -> Replayed {
        let pairs =
            self.objects.iter().map(|[old, new]| Pair { old: old.as_ref(), new: new.as_ref() });
        let objects = match facts.unknown.as_str() {
            "" => Objects::Known(pairs.collect()),
            why => Objects::Unknown(why.to_owned()),
        };
        let input = Input { objects, effects: &self.effects, ..input };
        let changes = match self.objects.as_slice() {
            [[old, new]] if facts.compared && pack.reads_diff(&input) => self.changes(old, new),
            _ => Vec::new(),
        };
        ask(&Input { changes: &changes, ..input }, gaps)
    }

    fn changes(&self, old: &Option<Value>, new: &Option<Value>) -> Vec<Change> {
        let diff = effects::diff(old.as_ref(), new.as_ref());
        effects::normalised(&self.attributes, diff)
    }
}

/// What the rules could see then, and the record does not tell.
fn find_gaps(attributes: &Attributes, facts: Option<&FactsRecord>) -> Gaps {
    // Of a Secret, the rules saw the same marks.
    let marks = if attributes.resource == "secrets" { Vec::new() } else { vec![REDACTED] };
    let mut gaps = Gaps { marks, ..Gaps::default() };
    let Some(facts) = facts else {
        if !attributes.namespace.is_empty() {
            gaps.labels = Some("reads labels of a namespace, not recorded of reads".to_owned());
        }
        return gaps;
    };
    if facts.labels_left_out {
        gaps.labels = Some("reads labels of a namespace, too large to be recorded".to_owned());
    }
    // What was left out for one agent's sake may have been as small as anything.
    let cut =
        |size| if facts.over_budget { "its agent had used up what is kept of it" } else { size };
    match facts.extent {
        Extent::Outline => {
            gaps.diff = Some(format!("reads diff, not recorded: {}", cut("too large")));
        }
        Extent::None => {
            gaps.objects = Some(format!("reads objects, not recorded: {}", cut("too many")));
        }
        Extent::Whole => {}
    }
    gaps
}

/// Before and after, of each object that was recorded.
fn restore_objects(facts: &FactsRecord) -> Vec<[Option<Value>; 2]> {
    let mut objects: Vec<_> = facts.objects.iter().map(sides).collect();
    if facts.objects_of.is_some() {
        // Those of an earlier call of the same request: this one's had others.
        let values = objects.iter_mut().flat_map(made_up);
        values.for_each(|it| *it = Value::String(format!("{NOT_RECORDED}]")));
    }
    objects
}

fn said(replayed: Replayed, previews: bool) -> Said {
    let open = |it: &policy::Unknown| Open { rule: it.rule.to_string(), why: it.why.clone() };
    let decision = replayed.verdict.decision();
    Said {
        decision,
        rules: replayed.verdict.rules(),
        open: replayed.open().map(open).collect(),
        rules_open: replayed.unknown.iter().any(|it| it.strictest == decision),
        previews,
    }
}

/// Rules ask about what is not recorded at all.
fn unseen(first: Replayed, why: &str, previews: bool) -> Said {
    let mut said = said(first, previews);
    said.open.push(Open { rule: String::new(), why: why.to_owned() });
    said
}

/// Why there are no facts that can be read.
fn absent(facts: &Facts, is_class_known: bool) -> &'static str {
    match facts {
        Facts::Recorded(_) | Facts::Unreadable => {
            "what it was judged by was recorded in a form that this version of agent-shield does not know"
        }
        Facts::Lost => "what it was judged by was lost, as the store could not write",
        // Whoever recorded facts recorded the class too, which is in the entry itself.
        Facts::None if is_class_known => "what it was judged by is no longer kept",
        Facts::None => "recorded by an earlier version of agent-shield",
    }
}

fn nothing_asked() -> Replayed {
    Replayed::unasked()
}

/// The attributes of a recorded request; of its query, what was redacted is not known.
fn attributes_of(request: &RequestRecord) -> Result<Attributes, String> {
    let method =
        Method::from_bytes(request.method.as_bytes()).map_err(|error| error.to_string())?;
    if is_cut(&request.request_uri) {
        return Err("its request is too long to be kept whole".to_owned());
    }
    // A target has no blanks: these are of redaction's marks.
    let target = request.request_uri.replace(' ', "%20");
    let read = attributes::read(&method, &target, &HeaderMap::new());
    let mut attributes = read.map_err(|error| format!("its request cannot be read: {error}"))?;
    for (_, value) in &mut attributes.query.0 {
        if value.contains(REDACTED) {
            NOT_RECORDED.clone_into(value);
        }
    }
    Ok(attributes)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use ledger::{ClassRecord, Identity, Stage};
    use policy::{Source, compile};

    use super::*;

    fn entry(method: &str, uri: &str) -> Entry {
        Entry {
            user: Some(Identity { username: "a".to_owned(), ..Identity::default() }),
            request: Some(RequestRecord {
                method: method.to_owned(),
                request_uri: uri.to_owned(),
                ..RequestRecord::default()
            }),
            ..Entry::new(Timestamp::UNIX_EPOCH, "id", Stage::RequestReceived)
        }
    }

    fn facts(version: u32) -> Facts {
        let text =
            format!(r#"{{"version": {version}, "at": "2026-01-01T00:00:00Z", "looked": true}}"#);
        Facts::Recorded(serde_json::from_str(&text).expect("facts"))
    }

    #[test]
    fn guesses_nothing_of_what_is_not_there() {
        let web = "/apis/apps/v1/namespaces/shop/deployments/web";
        let class = Some(ClassRecord::Production);
        let long = format!("{web}?gracePeriodSeconds={}", "0".repeat(9_000));
        let with = |facts| Entry { facts, ..entry("DELETE", web) };
        let table = [
            (entry("DELETE", web), "by an earlier version"),
            (Entry { class, ..entry("DELETE", web) }, "no longer kept"),
            (Entry { class, ..with(Facts::Lost) }, "lost, as the store could not write"),
            (Entry { class, ..with(Facts::Unreadable) }, "in a form that this version"),
            (with(facts(FACTS_VERSION + 1)), "in a form that this version"),
            (with(facts(FACTS_VERSION)), "namespace was classed"),
            (Entry { user: None, ..entry("GET", web) }, "who asked"),
            (entry("DELETE", "/api/v1/namespaces/%2F"), "cannot be read"),
            (entry("DELETE", &payload::Redactor::new(b"key").redact_target(&long)), "too long"),
        ];
        for (entry, want) in table {
            let got = Recorded::of(entry).map(|_| ()).expect_err(want);
            assert!(got.contains(want), "{got}");
        }
    }

    #[test]
    fn knows_a_read_that_no_rule_asks_about() {
        let text = "apiVersion: agent-shield.io/v1alpha1\nkind: Policy\nmetadata: {name: p}\nspec:\n  matchConstraints: {resourceRules: [{resources: [secrets], verbs: [get]}]}\n  rules: [{name: r, where: production, action: deny}]\n";
        let sources = [Source { name: "p".to_owned(), text: text.to_owned() }];
        let pack = compile(&sources, Timestamp::UNIX_EPOCH).expect("a pack").pack;
        let said = |uri: &str| {
            let recorded = Recorded::of(entry("GET", uri)).expect("a read");
            recorded.judged(&pack, &Earlier::default())
        };
        assert_eq!(said("/api/v1/namespaces/shop/pods/p").open, []);
        let open = said("/api/v1/namespaces/shop/secrets/s?x=[redacted 0123]").open;
        assert!(open[0].why.contains("classed"), "{open:?}");
    }

    #[test]
    fn knows_of_an_earlier_calls_objects_all_but_what_was_made_up_then() {
        let judged = |when: &str, facts: &str| {
            let text = format!(
                "apiVersion: agent-shield.io/v1alpha1\nkind: Policy\nmetadata: {{name: p}}\nspec:\n  matchConstraints: {{resourceRules: [{{resources: [services], operations: [CREATE]}}]}}\n  rules: [{{name: r, when: \"{when}\", action: deny}}]\n"
            );
            let sources = [Source { name: "p".to_owned(), text }];
            let pack = compile(&sources, Timestamp::UNIX_EPOCH).expect("a pack").pack;
            let facts = format!(
                r#"{{"version": 1, "at": "2026-01-01T00:00:00Z", "looked": true, "objects": [{{"new": {{"metadata": {{"uid": "u", "creationTimestamp": "2026-01-01T00:00:00Z"}}, "spec": {{"type": "X"}}}}}}]{facts}}}"#
            );
            let entry = Entry {
                facts: Facts::Recorded(serde_json::from_str(&facts).expect("facts")),
                class: Some(ClassRecord::NonProduction),
                ..entry("POST", "/api/v1/namespaces/shop/services")
            };
            Recorded::of(entry).expect("a write").judged(&pack, &Earlier::default())
        };
        let others = r#", "objectsOf": "an earlier call""#;
        for facts in ["", others] {
            let said = judged("object.spec.type == 'X'", facts);
            assert_eq!((said.decision, said.open), (Decision::Deny, Vec::new()), "{facts}");
        }
        for when in ["object.metadata.uid != 'u'", "object.metadata.creationTimestamp == 'x'"] {
            assert_eq!(judged(when, "").open, []);
            let open = judged(when, others).open;
            assert!(open[0].why.contains("not recorded"), "{open:?}");
        }
        for (facts, want) in [
            (r#", "extent": "outline""#, "too large"),
            (r#", "extent": "outline", "overBudget": true"#, "its agent had used up"),
        ] {
            let open = judged("diff.size() == 1", facts).open;
            assert!(open[0].why.contains(want), "{open:?}");
        }
    }

    #[test]
    fn knows_nothing_of_a_redacted_option() {
        let attributes = attributes_of(
            &entry("GET", "/api/v1/pods?token=[redacted 01]&a=b").request.unwrap_or_default(),
        );
        let query = attributes.expect("a request").query;
        assert_eq!((query.first("token"), query.first("a")), (Some(NOT_RECORDED), Some("b")));
    }
}
