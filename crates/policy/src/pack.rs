//! A set of rules and what it says of one request.

use std::{
    collections::{BTreeSet, HashMap},
    rc::Rc,
    time::Duration,
};

use attributes::{Attributes, User};
use effects::{Effect, EffectKind, NamespaceClass, Plan, Route};
use expression::{Budget, Expression, Template, Value};
use jiff::Timestamp;
use serde_json::Value as Json;

use crate::{
    Decision, Input, Objects, PolicyDecision, Reviewers, RuleName, RulePart, Severity, Shadow,
    Step, StepOutcome, Trace, agents,
    document::{Agents, MatchConstraints, Mode, Place},
    facts::{self, Facts, Guarded, View},
    gaps::{GapTracker, Unknown},
    matching::{self, Operation},
};

/// Steps that one expression may take, and all of one decision.
const EXPRESSION_STEPS: u64 = 100_000;
const DECISION_STEPS: u64 = 2_000_000;
/// Longest reason that one rule gives.
const REASON_CHARS_MAX: usize = 1_000;

/// Compiled policies.
#[derive(Clone, Debug, Default)]
pub struct Pack {
    pub(crate) policies: Vec<Compiled>,
    pub(crate) rules: Vec<Rule>,
    pub(crate) exceptions: Vec<Exception>,
    pub(crate) disabled: Vec<RuleName>,
    pub(crate) inert_keys: BTreeSet<String>,
    pub(crate) node_logs: bool,
    pub(crate) digest: String,
    table: Table,
    pub(crate) guarded: Guarded,
}

/// Which rules a request has to be shown: the decision table.
#[derive(Clone, Debug, Default)]
struct Table {
    of_kind: HashMap<EffectKind, Vec<usize>>,
    of_resource: HashMap<String, Vec<usize>>,
    of_any: Vec<usize>,
    reads_of_resource: HashMap<String, Vec<usize>>,
    reads_of_any: Vec<usize>,
}

/// A policy, compiled.
#[derive(Clone, Debug)]
pub(crate) struct Compiled {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) constraints: Option<MatchConstraints>,
    pub(crate) agents: Option<Agents>,
    pub(crate) conditions: Vec<(String, Expression)>,
    pub(crate) variables: Vec<(String, Expression)>,
    pub(crate) params: Json,
    pub(crate) builtin: bool,
}

/// What a rule has to look at.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Needs {
    pub(crate) objects: bool,
    pub(crate) diff: bool,
    pub(crate) effects: bool,
    pub(crate) window: bool,
    pub(crate) namespace_object: bool,
    pub(crate) variables: bool,
}

impl Needs {
    /// Adds what an expression reads; `reads` is asked of each variable.
    pub(crate) fn add(&mut self, reads: impl Fn(usize) -> bool) {
        self.objects |= reads(facts::OBJECT) || reads(facts::OLD_OBJECT);
        self.diff |= reads(facts::DIFF);
        self.effects |= reads(facts::EFFECTS);
        self.window |= reads(facts::WINDOW);
        self.namespace_object |= reads(facts::NAMESPACE_OBJECT);
        self.variables |= reads(facts::VARIABLES);
    }

    /// Whether it cannot be answered before somebody has looked.
    pub(crate) fn later(self) -> bool {
        self.objects || self.diff || self.effects
    }
}

/// One rule, compiled.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Its stable name.
    pub name: RuleName,
    /// What it asks about, in a line.
    pub description: String,
    /// What it asks for.
    pub decision: Decision,
    /// How bad.
    pub severity: Severity,
    /// Where.
    pub place: Place,
    /// Whether it counts.
    pub mode: Mode,
    /// Undecided for so long, its hold is denied.
    pub deadline: Option<Duration>,
    /// A denial of its hold binds for so long.
    pub denial_time: Option<Duration>,
    /// Who must approve; `None` is one person whom RBAC lets.
    pub reviewers: Option<Reviewers>,
    /// No exception and no setting loosens it.
    pub unconditional: bool,
    /// The file that it stands in.
    pub file: String,
    /// Its line there.
    pub line: usize,
    pub(crate) policy: usize,
    pub(crate) kinds: Vec<EffectKind>,
    pub(crate) when: Option<Expression>,
    pub(crate) reason: Option<Template>,
    pub(crate) is_of_reads: bool,
    pub(crate) needs: Needs,
}

/// A named, expiring exception.
#[derive(Clone, Debug)]
pub struct Exception {
    /// Its name.
    pub name: String,
    /// Why, and who agreed.
    pub reason: String,
    /// Afterwards it is worth nothing.
    pub expires: Timestamp,
    /// What it is from.
    pub rules: Vec<RuleName>,
    pub(crate) agents: Agents,
    pub(crate) namespaces: Vec<String>,
    pub(crate) when: Option<Expression>,
}

/// What came of showing one rule one request.
enum Outcome {
    /// It passes this part of the rule, and why.
    Passes(RulePart, String),
    Asks {
        reason: String,
        context: Context,
    },
    /// It could not be evaluated.
    Failed(String),
    /// What it reads of a recorded request was not recorded.
    Unknown(String),
}

impl Outcome {
    fn passes(part: RulePart, why: &str) -> Self {
        Self::Passes(part, why.to_owned())
    }

    /// As people are told of it.
    fn told(&self) -> StepOutcome {
        match self {
            Self::Passes(part, why) => StepOutcome::Passes { part: *part, why: why.clone() },
            Self::Unknown(why) => StepOutcome::Unknown(why.clone()),
            Self::Failed(why) => StepOutcome::Failed(why.clone()),
            Self::Asks { reason, .. } => StepOutcome::Asks(reason.clone()),
        }
    }
}

/// What a rule's conditions and its policy's come to.
enum Conditions {
    True,
    /// Which of them is false.
    False(RulePart, String),
    /// None is false, and one of them has no answer.
    Failed(String),
}

/// What a rule is asked about: an object, an effect, or neither.
#[derive(Clone, Copy, Default)]
struct Context {
    pair: Option<usize>,
    effect: Option<usize>,
}

/// Effects that attributes alone tell: no preview adds to them.
const OF_ATTRIBUTES: [EffectKind; 2] = [EffectKind::ProxyToNode, EffectKind::ProxyToApiServer];

impl Pack {
    /// Where agent-shield itself runs: no exception reaches there.
    #[must_use]
    pub fn guarding(mut self, own_namespace: &str) -> Self {
        own_namespace.clone_into(&mut self.guarded.own_namespace);
        self
    }

    /// Its rules, for people.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Its exceptions, for people.
    pub fn exceptions(&self) -> &[Exception] {
        &self.exceptions
    }

    /// Where nothing but what guards agent-shield itself is in force, and all else only observes: the names of
    /// those guards.
    pub fn guards_alone(&self) -> Option<Vec<RuleName>> {
        let is_guard = |rule: &&Rule| self.is_builtin(rule) && rule.unconditional;
        let (guards, others): (Vec<&Rule>, Vec<&Rule>) = self.rules.iter().partition(is_guard);
        if others.iter().any(|it| it.mode != Mode::Shadow && it.decision != Decision::Allow) {
            return None;
        }
        Some(guards.into_iter().map(|it| it.name.clone()).collect())
    }

    /// Rules that settings disable.
    pub fn disabled(&self) -> &[RuleName] {
        &self.disabled
    }

    /// Labels and annotations that settings say nothing acts on.
    pub fn inert_keys(&self) -> &BTreeSet<String> {
        &self.inert_keys
    }

    /// The plan of a request, but for what settings let pass: reading the logs of nodes.
    pub fn amend(&self, attributes: &Attributes, plan: Plan) -> Plan {
        match self.node_logs && attributes.reads_node_logs() {
            true => Plan { route: Route::Review, effects: Vec::new() },
            false => plan,
        }
    }

    /// Its policies by name, with their descriptions.
    pub fn policies(&self) -> impl Iterator<Item = (&str, &str)> {
        self.policies.iter().map(|it| (it.name.as_str(), it.description.as_str()))
    }

    /// The policy of a rule.
    pub fn policy_of(&self, rule: &Rule) -> &str {
        self.policies.get(rule.policy).map_or("", |it| it.name.as_str())
    }

    /// Whether a rule ships in the binary.
    pub fn is_builtin(&self, rule: &Rule) -> bool {
        self.policies.get(rule.policy).is_some_and(|it| it.builtin)
    }

    /// Of every file's text: recorded with each decision.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Whether any rule looks at earlier calls.
    pub fn needs_window(&self) -> bool {
        self.rules.iter().any(|rule| rule.needs.window)
    }

    /// Whether any rule that this request is shown looks at how objects differ.
    pub fn reads_diff(&self, input: &Input<'_>) -> bool {
        self.candidates(input).iter().any(|rule| rule.needs.diff)
    }

    /// Whether any rule is about this read; all others need no user, no namespace and no decision.
    pub fn asks_about_read(&self, attributes: &Attributes) -> bool {
        !self.table.reads_of_any.is_empty()
            || self.table.reads_of_resource.contains_key(&attributes.resource)
    }

    /// Whether a preview of this request could change the decision: whether a rule asks about
    /// effects, objects or differences of it.
    pub fn asks_about(&self, plan: &Plan, attributes: &Attributes, class: &NamespaceClass) -> bool {
        let operation = Operation::of_request(attributes, None);
        let is_near = |rule: &Rule| {
            let policy = self.policies.get(rule.policy);
            is_placed(rule.place, class)
                && policy.is_some_and(|it| {
                    matching::names(it.constraints.as_ref(), attributes, operation)
                })
        };
        let of_objects =
            self.rules_about_requests(attributes).any(|rule| rule.needs.later() && is_near(rule));
        let of_effects = || {
            let kinds = self.table.of_kind.iter().filter(|(kind, _)| !OF_ATTRIBUTES.contains(kind));
            let mut rules = kinds.flat_map(|(_, rules)| rules).filter_map(|it| self.rules.get(*it));
            rules.any(is_near)
        };
        match plan.route {
            Route::Read => false,
            // Nothing is stored, or nothing that effects tell of.
            Route::Review | Route::DryRun => false,
            Route::Ordinary => of_objects,
            _ => of_objects || of_effects(),
        }
    }

    /// What the rules say, joined.
    pub fn decide(&self, input: &Input<'_>) -> PolicyDecision {
        self.join(&Facts::new(input, &self.guarded)).about(input.attributes)
    }

    pub(crate) fn join(&self, facts: &Facts<'_>) -> PolicyDecision {
        let budget = Budget::new(DECISION_STEPS);
        let mut voices = Vec::new();
        for rule in self.candidates(facts.input) {
            for outcome in self.show(rule, facts, &budget) {
                voices.extend(self.voice(rule, outcome, facts, &budget));
            }
        }
        PolicyDecision::join(voices)
    }

    /// What every rule makes of a request.
    pub fn explain(&self, input: &Input<'_>) -> Trace {
        self.trace(&Facts::new(input, &self.guarded))
    }

    pub(crate) fn trace(&self, facts: &Facts<'_>) -> Trace {
        let budget = Budget::new(DECISION_STEPS);
        let (mut voices, mut steps) = (Vec::new(), Vec::new());
        // Every rule, not only the candidates: `explain` says why each of the others did not ask.
        for rule in &self.rules {
            for outcome in self.show(rule, facts, &budget) {
                steps.push(Step { rule: rule.name.clone(), outcome: outcome.told() });
                voices.extend(self.voice(rule, outcome, facts, &budget));
            }
        }
        Trace { verdict: PolicyDecision::join(voices), steps }
    }

    /// Rules about a request as a whole.
    fn rules_about_requests<'s>(
        &'s self,
        attributes: &Attributes,
    ) -> impl Iterator<Item = &'s Rule> {
        let named = self.table.of_resource.get(&attributes.resource);
        let all = named.into_iter().flatten().chain(&self.table.of_any);
        all.filter_map(|index| self.rules.get(*index))
    }

    fn candidates(&self, input: &Input<'_>) -> Vec<&Rule> {
        let resource = &input.attributes.resource;
        if input.attributes.is_read() {
            let named = self.table.reads_of_resource.get(resource);
            let all = named.into_iter().flatten().chain(&self.table.reads_of_any);
            return all.filter_map(|index| self.rules.get(*index)).collect();
        }
        let kinds: BTreeSet<EffectKind> = input.effects.iter().map(|effect| effect.kind).collect();
        let of_kinds = kinds.iter().filter_map(|kind| self.table.of_kind.get(kind)).flatten();
        let mut indices: Vec<usize> = of_kinds.copied().collect();
        indices.sort_unstable();
        indices.dedup();
        let of_effects = indices.into_iter().filter_map(|index| self.rules.get(index));
        match input.is_write {
            true => self.rules_about_requests(input.attributes).chain(of_effects).collect(),
            // What stores nothing is asked about by its effects alone.
            false => of_effects.collect(),
        }
    }

    /// Shows a rule a request: as a whole, or each object or effect that it is about.
    fn show(&self, rule: &Rule, facts: &Facts<'_>, budget: &Budget) -> Vec<Outcome> {
        let Some(policy) = self.policies.get(rule.policy) else { return Vec::new() };
        let input = facts.input;
        let passes = |part, why| vec![Outcome::passes(part, why)];
        if !is_placed(rule.place, input.class) {
            return passes(RulePart::Where, "the namespace is not one of those");
        }
        if policy.agents.as_ref().is_some_and(|it| !agents::are(it, input.user)) {
            return passes(RulePart::Agents, "it is about others");
        }
        if rule.is_of_reads != input.attributes.is_read() {
            return passes(RulePart::MatchConstraints, "it is about other requests");
        }
        let selector = policy.constraints.as_ref().and_then(|it| it.namespace_selector.as_ref());
        let labels_unknown = facts.gaps.and_then(|it| it.gaps.labels.as_ref());
        // Asked before the labels are, as those of a record that lacks them look like none.
        if let (Some(_), Some(why)) = (selector, labels_unknown) {
            return vec![Outcome::Unknown(why.clone())];
        }
        if let (Some(selector), Some(labels)) = (selector, &input.class.labels)
            && !selector.selects(labels)
        {
            return passes(RulePart::NamespaceSelector, "the namespace has other labels");
        }
        // The proxy asks twice: with the attributes alone, and after the preview for what is still
        // open.
        if rule.needs.later() && matches!(input.objects, Objects::Later) {
            return passes(RulePart::Objects, "nobody has looked at them yet");
        }
        let objects_unknown = facts.gaps.and_then(|it| it.gaps.objects.as_ref());
        if let (true, Some(why)) = (rule.needs.objects, objects_unknown) {
            return vec![Outcome::Unknown(why.clone())];
        }
        let contexts = contexts(rule, facts);
        if contexts.is_empty() {
            return passes(RulePart::Effects, "it would have none of these");
        }
        let each = contexts.into_iter().map(|it| self.ask(rule, policy, facts, it, budget));
        let mut outcomes: Vec<Outcome> = each.collect();
        if outcomes.len() > 1 {
            // Of many, those that ask are told; of none, one says why.
            let asks = outcomes.iter().any(|it| !matches!(it, Outcome::Passes(..)));
            match asks {
                true => outcomes.retain(|it| !matches!(it, Outcome::Passes(..))),
                false => outcomes.truncate(1),
            }
        }
        outcomes
    }

    fn ask(
        &self,
        rule: &Rule,
        policy: &Compiled,
        facts: &Facts<'_>,
        context: Context,
        budget: &Budget,
    ) -> Outcome {
        let operation = facts.operation(context.pair);
        let constraints = policy.constraints.as_ref();
        if !matching::names(constraints, facts.input.attributes, operation) {
            return Outcome::passes(RulePart::MatchConstraints, "it is about other requests");
        }
        if let Some(tracker) = facts.gaps {
            tracker.forget();
        }
        let met = || facts.gaps.and_then(GapTracker::met);
        if let Some(selector) = constraints.and_then(|it| it.object_selector.as_ref()) {
            match (selected(selector, facts, context), met()) {
                (_, Some(gap)) => return Outcome::Unknown(gap),
                (Ok(true), None) => {}
                (Ok(false), None) => {
                    return Outcome::passes(
                        RulePart::ObjectSelector,
                        "the object has other labels",
                    );
                }
                (Err(why), None) => return Outcome::Failed(why),
            }
        }
        let view = self.view(rule, policy, facts, context, budget);
        // A variable without a value is not there, which an expression may ask for.
        if let Some(gap) = met() {
            return Outcome::Unknown(gap);
        }
        match self.conditions(rule, policy, &view, budget) {
            Conditions::True => {}
            Conditions::False(part, why) => return Outcome::Passes(part, why),
            // What was not recorded may have decided.
            Conditions::Failed(why) => return met().map_or(Outcome::Failed(why), Outcome::Unknown),
        }
        let reason = rule.reason.as_ref().and_then(|template| {
            // A condition sees an object as it is. A sentence goes to people and to the agent.
            let shown = View { redacted: true, ..view };
            self.limited(budget, |budget| template.render(&shown, budget, said)).ok()
        });
        // A rule whose sentence fails asks all the same.
        let reason = reason.unwrap_or_else(|| self.plain_reason(rule, facts, context));
        Outcome::Asks { reason: reason.chars().take(REASON_CHARS_MAX).collect(), context }
    }

    /// The policy's conditions and the rule's own, joined as CEL joins with `&&`: what is false
    /// decides, also where another has no answer.
    fn conditions(
        &self,
        rule: &Rule,
        policy: &Compiled,
        view: &View<'_>,
        budget: &Budget,
    ) -> Conditions {
        let mut failed = None;
        for (name, condition) in &policy.conditions {
            match self.limited(budget, |budget| condition.is_true(view, budget)) {
                Ok(true) => {}
                Ok(false) => {
                    let why = format!("{name} is false");
                    return Conditions::False(RulePart::MatchConditions, why);
                }
                Err(why) => failed = failed.or(Some(format!("{name}: {why}"))),
            }
        }
        if let Some(when) = &rule.when {
            match self.limited(budget, |budget| when.is_true(view, budget)) {
                Ok(true) => {}
                Ok(false) if failed.is_none() => {
                    let one_line: Vec<&str> = when.source().split_whitespace().collect();
                    let why = format!("{} is false", one_line.join(" "));
                    return Conditions::False(RulePart::When, why);
                }
                // The condition that failed may have been true; the rule's own says no either way.
                Ok(false) => return Conditions::False(RulePart::When, "is false".to_owned()),
                Err(why) => failed = failed.or(Some(why)),
            }
        }
        failed.map_or(Conditions::True, Conditions::Failed)
    }

    fn plain_reason(&self, rule: &Rule, facts: &Facts<'_>, context: Context) -> String {
        let effect = context.effect.and_then(|index| facts.input.effects.get(index));
        match effect {
            Some(effect) => effects::describe(effect),
            None if rule.description.is_empty() => format!("rule {}", rule.name),
            None => rule.description.clone(),
        }
    }

    /// Gives one expression its part of what is left.
    fn limited<T>(
        &self,
        whole: &Budget,
        evaluate: impl FnOnce(&Budget) -> Result<T, expression::EvalError>,
    ) -> Result<T, String> {
        let part = whole.left().min(EXPRESSION_STEPS);
        let budget = Budget::new(part);
        let value = evaluate(&budget);
        // What one expression did not use, the next ones may.
        whole.take(part - budget.left());
        value.map_err(|error| error.message)
    }

    fn view<'a>(
        &'a self,
        rule: &Rule,
        policy: &'a Compiled,
        facts: &'a Facts<'a>,
        context: Context,
        budget: &Budget,
    ) -> View<'a> {
        let mut view = View {
            facts,
            params: &policy.params,
            pair: context.pair,
            effect: context.effect,
            redacted: false,
            variables: Rc::default(),
        };
        let variables = if rule.needs.variables { policy.variables.as_slice() } else { &[] };
        for (name, expression) in variables {
            let value = self.limited(budget, |budget| expression.evaluate(&view, budget));
            // One without a value is not there, and whoever reads it fails.
            if let Ok(value) = value {
                let name = Value::Text(expression::Text::Borrowed(name));
                Rc::make_mut(&mut view.variables).push((name, value));
            }
        }
        view
    }

    fn voice(
        &self,
        rule: &Rule,
        outcome: Outcome,
        facts: &Facts<'_>,
        budget: &Budget,
    ) -> Option<PolicyDecision> {
        let is_read = facts.input.attributes.is_read();
        let (decision, severity, reason, context) = match outcome {
            Outcome::Passes(..) => return None,
            Outcome::Unknown(why) => {
                unknown(rule, facts, why);
                return None;
            }
            Outcome::Asks { reason, context } => {
                (rule.decision, rule.severity, reason, Some(context))
            }
            Outcome::Failed(why) => {
                let why: String = why.chars().take(REASON_CHARS_MAX).collect();
                let reason = format!("the rule could not be evaluated: {why}");
                // No answer is not consent; and a read is never held.
                let decision = if is_read { Decision::Deny } else { Decision::Hold };
                (decision, rule.severity.max(Severity::Medium), reason, None)
            }
        };
        let shadow = |exception: String, reason: String| PolicyDecision {
            shadow: vec![Shadow { rule: rule.name.clone(), decision, reason, exception }],
            ..PolicyDecision::allow()
        };
        // Before exceptions: what a rule in shadow would have said is recorded, excepted or not.
        if rule.mode == Mode::Shadow {
            return Some(shadow(String::new(), reason));
        }
        if let Some(tracker) = facts.gaps {
            tracker.forget();
        }
        let excepted = context.and_then(|context| self.excepted(rule, facts, context, budget));
        if let Some(exception) = excepted {
            return Some(shadow(exception.name.clone(), reason));
        }
        if let Some(gap) = facts.gaps.and_then(GapTracker::met) {
            unknown(rule, facts, format!("an exception {gap}"));
            return None;
        }
        let voice = PolicyDecision::of(decision, severity, rule.name.clone(), reason);
        let reviewers = rule.reviewers.iter().cloned().collect();
        let Rule { deadline, denial_time, .. } = *rule;
        Some(PolicyDecision { deadline, denial_time, reviewers, ..voice })
    }

    /// The exception that takes a rule's voice back, if there is one.
    fn excepted<'s>(
        &'s self,
        rule: &Rule,
        facts: &Facts<'_>,
        context: Context,
        budget: &Budget,
    ) -> Option<&'s Exception> {
        if rule.unconditional || self.exceptions.is_empty() {
            return None;
        }
        let input = facts.input;
        let effect = context.effect.and_then(|index| input.effects.get(index));
        let touched = |effect: &Effect| match effect.object.resource.as_str() {
            "namespaces" => effect.object.name.clone(),
            _ => effect.object.namespace.clone(),
        };
        let mut places = vec![input.attributes.namespace.clone()];
        places.extend(effect.map(touched));
        // The effect may be elsewhere than the request, so both places are asked, here and below.
        if places.iter().any(|place| self.guarded.is_own(place)) {
            return None;
        }
        self.exceptions.iter().find(|exception| {
            let fits = |place: &String| {
                exception.namespaces.iter().any(|pattern| agents::fits(pattern, place))
            };
            exception.expires > input.now
                && exception.rules.contains(&rule.name)
                && agents::are(&exception.agents, input.user)
                && places.iter().all(fits)
                && exception.when.as_ref().is_none_or(|when| {
                    let nothing = Json::Null;
                    let view = View {
                        facts,
                        params: &nothing,
                        pair: context.pair,
                        effect: context.effect,
                        redacted: false,
                        variables: Rc::default(),
                    };
                    // An exception that cannot be evaluated excepts nothing.
                    self.limited(budget, |budget| when.is_true(&view, budget)).unwrap_or(false)
                })
        })
    }

    /// Builds the decision table.
    pub(crate) fn finish(&mut self, guarded: BTreeSet<String>) {
        self.guarded.labels = Json::Array(guarded.into_iter().map(Json::String).collect());
        let mut table = Table::default();
        for (index, rule) in self.rules.iter().enumerate() {
            if !rule.kinds.is_empty() {
                for kind in &rule.kinds {
                    table.of_kind.entry(*kind).or_default().push(index);
                }
                continue;
            }
            let constraints =
                self.policies.get(rule.policy).and_then(|policy| policy.constraints.as_ref());
            let (named, any) = match rule.is_of_reads {
                true => (&mut table.reads_of_resource, &mut table.reads_of_any),
                false => (&mut table.of_resource, &mut table.of_any),
            };
            match matching::resources(constraints) {
                None => any.push(index),
                Some(resources) => {
                    for resource in resources {
                        named.entry(resource).or_default().push(index);
                    }
                }
            }
        }
        self.table = table;
    }
}

impl Pack {
    /// What the rules say of a read: allow or deny.
    pub fn decide_read(
        &self,
        attributes: &Attributes,
        user: &User,
        class: &NamespaceClass,
        now: Timestamp,
    ) -> PolicyDecision {
        self.decide(&Input::of_read(attributes, user, class, now))
    }
}

/// What a reason selects, in it: an agent may have chosen the value. Our sentences have their quotes in them,
/// and parameters are the words of the policy's author.
fn said(path: &str, value: &str) -> String {
    match path == "effect.words" || path.starts_with("params.") {
        true => value.to_owned(),
        false => text::plain(value),
    }
}

/// Notes a rule that has no answer, where it would count.
fn unknown(rule: &Rule, facts: &Facts<'_>, why: String) {
    let Some(tracker) = facts.gaps.filter(|_| rule.mode == Mode::Enforce) else { return };
    let fails = if facts.input.attributes.is_read() { Decision::Deny } else { Decision::Hold };
    let strictest = rule.decision.max(fails);
    tracker.unknown.borrow_mut().push(Unknown { rule: rule.name.clone(), strictest, why });
}

/// What a rule is asked about.
fn contexts(rule: &Rule, facts: &Facts<'_>) -> Vec<Context> {
    if !rule.kinds.is_empty() {
        let effects = facts.input.effects.iter().enumerate();
        return effects
            .filter(|(_, effect)| rule.kinds.contains(&effect.kind))
            .map(|(index, effect)| {
                // To find it costs a search through all objects, which few rules need.
                let pair = if rule.needs.objects { facts.pair_of(effect) } else { None };
                Context { pair, effect: Some(index) }
            })
            .collect();
    }
    match (rule.needs.objects, facts.pairs().len()) {
        (true, pairs @ 1..) => {
            (0..pairs).map(|pair| Context { pair: Some(pair), effect: None }).collect()
        }
        // A collection with nothing in it, which asks nobody.
        (true, 0) if matches!(facts.input.objects, Objects::Known(_)) => Vec::new(),
        (_, 1) => vec![Context { pair: Some(0), effect: None }],
        _ => vec![Context::default()],
    }
}

fn selected(
    selector: &crate::document::Selector,
    facts: &Facts<'_>,
    context: Context,
) -> Result<bool, String> {
    if let Objects::Unknown(why) = &facts.input.objects {
        return Err(format!("the object is not known: {why}"));
    }
    let Some(pair) = context.pair.and_then(|index| facts.pairs().get(index)) else {
        return Err("the object of this effect was not looked at".to_owned());
    };
    let sides = || [pair.old, pair.new].into_iter().flatten();
    if let Some(tracker) = facts.gaps {
        let labels = sides().filter_map(|it| it.pointer("/metadata/labels"));
        for text in labels.flat_map(|it| match it {
            Json::Object(labels) => selector.keys().filter_map(|key| labels.get(key)).collect(),
            whole => vec![whole],
        }) {
            if text.as_str().is_some_and(|text| tracker.gaps.is_one(text)) {
                let why = "objectSelector: reads a label that was not recorded";
                return Err(tracker.meet(why.to_owned()));
            }
        }
    }
    Ok(sides().any(|it| selector.selects_object(it)))
}

fn is_placed(place: Place, class: &NamespaceClass) -> bool {
    match place {
        Place::Everywhere => true,
        Place::Production => class.production,
        Place::Protected => class.protected,
        Place::NonProduction => !class.production,
    }
}
