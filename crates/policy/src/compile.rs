//! Documents -> a [`Pack`], or everything that is wrong with them.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use effects::EffectKind;
use expression::{Expression, Problem, Schema, Template, Type};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use serde_saphyr::{Location, Spanned};
use sha2::{Digest, Sha256};

use crate::{
    Decision, Exception, Issue, Pack, Reviewers, Rule, RuleName, agents,
    document::{
        API_VERSION, Action, Document, Head, KINDS, MatchConstraints, Mode, Policy,
        PolicyException, PolicySettings, ResourceRule, Reviewers as ReviewersDocument,
        Rule as RuleDocument, Time,
    },
    facts,
    kinds::Kinds,
    matching::{self, OPERATIONS, READ_VERBS, WRITE_VERBS},
    pack::{Compiled as CompiledPolicy, Needs},
    packs, unreachable,
};

/// Of one file, and of all.
const FILE_BYTES_MAX: usize = 1 << 20;
const RULES_MAX: usize = 20_000;
/// People that one rule may ask for: more are a mistake, and would never meet a deadline.
const REVIEWERS_MAX: i64 = 10;
const GROUPS_MAX: usize = 20;
/// Nobody reads a hold in less, and one that is older is asked about the cluster of last week.
const DEADLINE_MIN: Time = Time(Duration::from_secs(10));
const DEADLINE_MAX: Time = Time(Duration::from_secs(7 * 86_400));

/// A file, or what stands for one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Source {
    /// For messages: a path.
    pub name: String,
    /// YAML, one or more documents.
    pub text: String,
}

/// A pack, and what somebody should know of it.
#[derive(Debug)]
pub struct Compiled {
    /// The pack.
    pub pack: Pack,
    /// What works, and is probably not meant.
    pub warnings: Vec<Issue>,
}

/// Compiles a set of files; without settings that say otherwise, the default pack is in it. Fields
/// of objects are not looked at: see [`Documents::compile`].
///
/// # Errors
/// Everything that is wrong: a set is in force whole or not at all.
pub fn compile(sources: &[Source], now: Timestamp) -> Result<Compiled, Vec<Issue>> {
    Documents::read(sources, now).compile(&Arc::default())
}

/// A set of files that was read, and is not compiled yet.
pub struct Documents {
    compiler: Compiler,
}

impl Documents {
    /// Reads files, and the built-in packs that they choose.
    pub fn read(sources: &[Source], now: Timestamp) -> Self {
        let mut compiler = Compiler::new(now);
        for source in sources {
            compiler.read(source, false);
        }
        let chosen = compiler.packs();
        for source in packs::sources(&chosen) {
            compiler.read(&source, true);
        }
        compiler.observe = chosen.iter().any(|it| it == packs::OBSERVE);
        Self { compiler }
    }

    /// The API groups whose objects the files' expressions may be about: `""` for the core, `*` for
    /// all of them.
    pub fn api_groups(&self) -> BTreeSet<String> {
        let policies = self.compiler.documents.iter().filter_map(|document| match document {
            (Document::Policy(policy), _, false) => policy.spec.match_constraints.as_ref(),
            _ => None,
        });
        let rules = policies.flat_map(|it| &it.resource_rules);
        rules.flat_map(|rule| rule.api_groups.iter().cloned()).collect()
    }

    /// Compiles them. With the kinds of a cluster, a field that no object of a policy's constraints
    /// has is an error, and a resource that nobody serves a warning.
    ///
    /// # Errors
    /// As [`compile`].
    pub fn compile(mut self, kinds: &Arc<Kinds>) -> Result<Compiled, Vec<Issue>> {
        self.compiler.kinds = Arc::clone(kinds);
        self.compiler.finish()
    }
}

struct Compiler {
    now: Timestamp,
    issues: Vec<Issue>,
    documents: Vec<(Document, Source, bool)>,
    texts: Vec<String>,
    observe: bool,
    pack: Pack,
    names: HashMap<RuleName, (String, usize)>,
    guarded: BTreeSet<String>,
    kinds: Arc<Kinds>,
}

/// The file that is compiled, for placing issues.
#[derive(Clone, Copy)]
struct Place<'s> {
    source: &'s Source,
    builtin: bool,
}

impl Compiler {
    fn new(now: Timestamp) -> Self {
        Self {
            now,
            issues: Vec::new(),
            documents: Vec::new(),
            texts: Vec::new(),
            observe: false,
            pack: Pack::default(),
            names: HashMap::new(),
            guarded: BTreeSet::new(),
            kinds: Arc::default(),
        }
    }

    fn read(&mut self, source: &Source, builtin: bool) {
        if source.text.len() > FILE_BYTES_MAX {
            let message = format!("is larger than {FILE_BYTES_MAX} bytes");
            self.issues.push(Issue::at(&source.name, "", (0, 0), message));
            return;
        }
        self.texts.push(source.text.clone());
        for (before, part) in documents(&source.text) {
            // Blank lines stand for what came before, so that lines are those of the file.
            let padded = format!("{}{part}", "\n".repeat(before));
            if part
                .lines()
                .any(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'))
            {
                match document(&padded, source) {
                    Ok(document) => self.documents.push((document, source.clone(), builtin)),
                    Err(issue) => self.issues.push(issue),
                }
            }
        }
    }

    /// The built-in packs that the settings name.
    fn packs(&mut self) -> Vec<String> {
        let mut chosen = None;
        let mut issues = Vec::new();
        for (document, source, _) in &self.documents {
            let Document::Settings(settings) = document else { continue };
            let Some(packs) = &settings.spec.packs else { continue };
            if chosen.is_some() {
                let message = "packs are chosen twice: one document of settings chooses".to_owned();
                issues.push(issue_at(source, settings.metadata.name.referenced, message));
            }
            for name in packs {
                if !packs::PACKS.iter().any(|(it, _)| *it == name.value) {
                    let message = format!("there is no built-in pack `{}`", name.value);
                    let known = packs::PACKS.iter().map(|(it, _)| *it);
                    issues
                        .push(issue_at(source, name.referenced, message).meant(&name.value, known));
                }
            }
            chosen = Some(packs.iter().map(|it| it.value.clone()).collect::<Vec<_>>());
        }
        self.issues.append(&mut issues);
        chosen.unwrap_or_else(|| vec![packs::DEFAULT.to_owned()])
    }

    fn finish(mut self) -> Result<Compiled, Vec<Issue>> {
        let documents = std::mem::take(&mut self.documents);
        let settings: Vec<_> = documents
            .iter()
            .filter_map(|(document, source, _)| match document {
                Document::Settings(settings) => Some((settings.as_ref(), source)),
                _ => None,
            })
            .collect();
        let mut seen: HashMap<(&str, &str), &str> = HashMap::new();
        for (document, source, _) in &documents {
            let (kind, name) = match document {
                Document::Policy(it) => ("Policy", &it.metadata.name),
                Document::Exception(it) => ("PolicyException", &it.metadata.name),
                Document::Settings(it) => ("PolicySettings", &it.metadata.name),
            };
            self.check_name(source, name);
            if let Some(first) = seen.insert((kind, name.value.as_str()), &source.name) {
                let message = format!("there is a {kind} `{}` already, in {first}", name.value);
                self.issues.push(issue_at(source, name.referenced, message));
            }
        }
        for (document, source, builtin) in &documents {
            if let Document::Policy(policy) = document {
                self.policy(policy, Place { source, builtin: *builtin }, &settings);
            }
        }
        self.check_settings(&settings);
        for (document, source, _) in &documents {
            if let Document::Exception(exception) = document {
                self.exception(exception, source);
            }
        }
        self.warn_of_unreachable(&documents, &settings);
        let chosen = |rule: &&Rule| !(self.pack.is_builtin(rule) && rule.unconditional);
        let mut chosen = self.pack.rules.iter().filter(chosen).peekable();
        let is_empty = chosen.peek().is_none();
        if chosen.all(|rule| rule.mode == Mode::Shadow) && self.issues.is_empty() {
            // Missing means hold: a set that says nothing was not meant. One in shadow mode was.
            let message = "no rule of the whole set is in force".to_owned();
            let issue = Issue::of_set(message);
            self.issues.push(if is_empty { issue } else { issue.warning() });
        }
        if self.pack.rules.len() > RULES_MAX {
            let message = format!("has more than {RULES_MAX} rules");
            self.issues.push(Issue::of_set(message));
        }
        self.pack.digest = digest(&mut self.texts);
        self.pack.finish(self.guarded);
        let (warnings, errors): (Vec<_>, Vec<_>) =
            self.issues.into_iter().partition(|issue| issue.is_warning);
        match errors.is_empty() {
            true => Ok(Compiled { pack: self.pack, warnings }),
            false => Err(errors),
        }
    }

    /// Rules that never decide; what is disabled is not meant to.
    fn warn_of_unreachable(
        &mut self,
        documents: &[(Document, Source, bool)],
        settings: &[(&PolicySettings, &Source)],
    ) {
        let disabled = settings.iter().flat_map(|(it, _)| &it.spec.disabled);
        let disabled: BTreeSet<&str> = disabled.map(|it| it.rule.value.as_str()).collect();
        let excepted: BTreeSet<String> = self
            .pack
            .exceptions
            .iter()
            .flat_map(|it| it.rules.iter().map(ToString::to_string))
            .collect();
        for (document, source, builtin) in documents {
            let Document::Policy(policy) = document else { continue };
            if *builtin {
                continue; // A test says what they do.
            }
            let is_excepted = |rule: &str| {
                let name = format!("{}/{rule}", policy.metadata.name.value);
                disabled.contains(name.as_str()) || excepted.contains(&name)
            };
            for (at, message) in unreachable::find(policy, is_excepted) {
                self.issues.push(issue_at(source, at, message).warning());
            }
        }
    }

    fn check_name(&mut self, source: &Source, name: &Spanned<String>) {
        let it = &name.value;
        let fits = !it.is_empty()
            && it.len() <= 100
            && it.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !it.starts_with('-')
            && !it.ends_with('-');
        if !fits {
            let message = format!("`{it}` is no name: lower-case letters, digits and `-` are");
            self.issues.push(issue_at(source, name.referenced, message));
        }
    }

    fn policy(
        &mut self,
        policy: &Policy,
        place: Place<'_>,
        settings: &[(&PolicySettings, &Source)],
    ) {
        let spec = &policy.spec;
        let name = policy.metadata.name.value.as_str();
        let source = place.source;
        let params = self.parameters(policy, settings);
        let params_type = Type::object("params", []);
        let params_type = match (&params, params_type) {
            (Json::Object(fields), Type::Object(_)) => {
                let fields = fields.iter().map(|(key, value)| (key.clone(), type_of(value)));
                let fields = expression::Fields { name: "params".into(), fields: fields.collect() };
                Type::Object(fields.into())
            }
            (_, other) => other,
        };
        let object = match place.builtin {
            true => Type::Dyn, // A test says what they do; a cluster without such a kind is no mistake.
            false => self.kinds.object(spec.match_constraints.as_ref()),
        };
        // Each variable may use those before it.
        let mut variables: BTreeMap<String, Type> = BTreeMap::new();
        let mut compiled_variables = Vec::new();
        let of = |variables: &BTreeMap<String, Type>| {
            let fields = variables.clone();
            Type::Object(expression::Fields { name: "variables".into(), fields }.into())
        };
        for variable in &spec.variables {
            let schema = facts::schema(&object, params_type.clone(), of(&variables), false);
            let compiled = Expression::compile(&variable.expression.value, &schema);
            if let Some(expression) = self.taken(source, &variable.expression, compiled) {
                variables.insert(variable.name.clone(), expression.result().clone());
                compiled_variables.push((variable.name.clone(), expression));
            } else {
                variables.insert(variable.name.clone(), Type::Dyn);
            }
        }
        let schema = facts::schema(&object, params_type.clone(), of(&variables), false);
        let with_effect = facts::schema(&object, params_type, of(&variables), true);
        let conditions: Vec<(String, Expression)> = spec
            .match_conditions
            .iter()
            .filter_map(|it| {
                let compiled = Expression::condition(&it.expression.value, &schema);
                Some((it.name.clone(), self.taken(source, &it.expression, compiled)?))
            })
            .collect();
        self.check_constraints(place, spec.match_constraints.as_ref());
        let constraints = spec.match_constraints.clone();
        if let Some(selector) = constraints.as_ref().and_then(|it| it.namespace_selector.as_ref()) {
            self.guarded.extend(selector.keys().map(str::to_owned));
        }
        let (reads, writes) = matching::reads_and_writes(constraints.as_ref());
        let index = self.pack.policies.len();
        let mut needs = Needs::default();
        for expression in conditions.iter().chain(&compiled_variables).map(|(_, it)| it) {
            needs.of(|variable| expression.reads(variable));
        }
        let by_object = constraints.as_ref().is_some_and(|it| it.object_selector.is_some());
        needs.objects |= by_object;
        if spec.rules.is_empty() {
            let message = "has no rules, and so says nothing".to_owned();
            self.issues.push(issue_at(source, policy.metadata.name.referenced, message));
        }
        for rule in &spec.rules {
            self.check_name(source, &rule.name);
            let schema = if rule.effects.is_empty() { &schema } else { &with_effect };
            self.rule(
                name,
                index,
                rule,
                spec.mode,
                place,
                schema,
                needs,
                (reads, writes),
                settings,
            );
        }
        self.pack.policies.push(CompiledPolicy {
            name: name.to_owned(),
            description: spec.description.clone(),
            constraints,
            agents: spec.agents.clone(),
            conditions,
            variables: compiled_variables,
            params,
            builtin: place.builtin,
        });
    }

    #[expect(clippy::too_many_arguments, reason = "what a rule inherits from its policy")]
    fn rule(
        &mut self,
        policy: &str,
        index: usize,
        rule: &RuleDocument,
        mode: Mode,
        place: Place<'_>,
        schema: &Schema,
        inherited: Needs,
        (reads, writes): (bool, bool),
        settings: &[(&PolicySettings, &Source)],
    ) {
        let source = place.source;
        let short = rule.name.value.as_str();
        let name = match place.builtin {
            true => RuleName::from(short),
            false => RuleName::from(format!("{policy}/{short}").as_str()),
        };
        let line = usize::try_from(rule.name.referenced.line()).unwrap_or(0);
        let twice = self.names.insert(name.clone(), (source.name.clone(), line));
        if let Some((file, line)) = twice {
            let message = format!("there is a rule `{name}` already, at {file}:{line}");
            self.issues.push(issue_at(source, rule.name.referenced, message));
        }
        let mut kinds = Vec::new();
        for kind in &rule.effects {
            match EffectKind::named(&kind.value) {
                Some(kind) => kinds.push(kind),
                None => {
                    let names: Vec<String> =
                        EffectKind::ALL.iter().map(|it| format!("{it:?}")).collect();
                    let message = format!("there is no effect `{}`", kind.value);
                    let issue = issue_at(source, kind.referenced, message);
                    self.issues.push(issue.meant(&kind.value, names.iter().map(String::as_str)));
                }
            }
        }
        if reads && writes {
            let message = "the policy names reads and writes: make it two, because reads are allowed or denied, never held".to_owned();
            self.issues.push(issue_at(source, rule.name.referenced, message));
        } else if reads && rule.action == Action::Hold {
            let message = "reads are allowed or denied, never held".to_owned();
            self.issues.push(issue_at(source, rule.name.referenced, message));
        }
        if reads && !kinds.is_empty() {
            let message = "a read has no effects".to_owned();
            self.issues.push(issue_at(source, rule.name.referenced, message));
        }
        self.check_deadline(source, rule);
        let reviewers = self.reviewers(source, rule);
        let when = rule
            .when
            .as_ref()
            .and_then(|it| self.taken(source, it, Expression::condition(&it.value, schema)));
        let reason = rule
            .reason
            .as_ref()
            .and_then(|it| self.taken(source, it, Template::compile(&it.value, schema)));
        let mut needs = inherited;
        if let Some(when) = &when {
            needs.of(|variable| when.reads(variable));
        }
        if let Some(reason) = &reason {
            needs.of(|variable| reason.reads(variable));
        }
        if reads && needs.later() {
            let message = "a read is not looked at: `object`, `oldObject`, `diff` and `effects` are of writes".to_owned();
            self.issues.push(issue_at(source, rule.name.referenced, message));
        }
        if needs.namespace_object {
            // Any label may be read of it.
            self.guarded.insert("*".to_owned());
        }
        let disabled = settings.iter().flat_map(|(it, _)| &it.spec.disabled);
        let is_disabled = disabled.into_iter().any(|it| it.rule.value == *name.0);
        if is_disabled && !rule.unconditional {
            self.pack.disabled.push(name);
            return;
        }
        let mut mode = rule.mode.unwrap_or(mode);
        if self.observe && place.builtin && !rule.unconditional {
            mode = Mode::Shadow;
        }
        self.pack.rules.push(Rule {
            name,
            policy: index,
            description: rule.description.clone(),
            kinds,
            place: rule.place,
            when,
            reason,
            decision: match rule.action {
                Action::Hold => Decision::Hold,
                Action::Deny => Decision::Deny,
            },
            severity: rule.severity.into(),
            mode,
            deadline: rule.deadline.as_ref().map(|it| it.value.0),
            reviewers,
            unconditional: rule.unconditional,
            is_of_reads: reads,
            needs,
            file: source.name.clone(),
            line,
        });
    }

    fn check_deadline(&mut self, source: &Source, rule: &RuleDocument) {
        let Some(deadline) = &rule.deadline else { return };
        if !(DEADLINE_MIN.0..=DEADLINE_MAX.0).contains(&deadline.value.0) {
            let message =
                format!("a deadline is {DEADLINE_MIN} at least and {DEADLINE_MAX} at most");
            self.issues.push(issue_at(source, deadline.referenced, message));
        }
        self.check_holds(source, rule, deadline.referenced, "deadline");
    }

    /// Whom a rule asks.
    fn reviewers(&mut self, source: &Source, rule: &RuleDocument) -> Option<Reviewers> {
        let asked = rule.reviewers.as_ref()?;
        self.check_holds(source, rule, asked.referenced, "reviewers");
        let mut wrong =
            |at: Location, message: String| self.issues.push(issue_at(source, at, message));
        let ReviewersDocument { groups, count, reason_required } = &asked.value;
        if groups.is_none() && count.is_none() && !reason_required {
            let message = "`reviewers` says nothing: give groups, count or reasonRequired";
            wrong(asked.referenced, message.to_owned());
        }
        let people = count.as_ref().map_or(1, |it| it.value);
        if let Some(count) = count
            && !(1..=REVIEWERS_MAX).contains(&people)
        {
            let message = format!("a hold needs 1 to {REVIEWERS_MAX} approvals, and not {people}");
            wrong(count.referenced, message);
        }
        let names = groups.as_ref().map(|it| it.value.as_slice()).unwrap_or_default();
        if let Some(groups) = groups
            && (!(1..=GROUPS_MAX).contains(&names.len())
                || names.iter().any(|it| it.trim().is_empty()))
        {
            let message = format!(
                "name 1 to {GROUPS_MAX} groups, none of them empty; without `groups`, whoever may approve counts"
            );
            wrong(groups.referenced, message);
        }
        Some(Reviewers {
            groups: names.iter().cloned().collect(),
            count: u32::try_from(people).unwrap_or(u32::MAX),
            reason_required: *reason_required,
        })
    }

    fn check_holds(&mut self, source: &Source, rule: &RuleDocument, at: Location, field: &str) {
        if rule.action == Action::Deny {
            let message = format!("a rule that denies asks nobody: leave out `{field}`");
            self.issues.push(issue_at(source, at, message));
        }
    }

    /// A policy's parameters, with what settings say.
    fn parameters(&mut self, policy: &Policy, settings: &[(&PolicySettings, &Source)]) -> Json {
        let mut values = policy.spec.parameters.clone();
        for (settings, source) in settings {
            let Some(given) = settings.spec.parameters.get(&policy.metadata.name.value) else {
                continue;
            };
            for (key, value) in &given.value {
                let Some(known) = values.get_mut(key) else {
                    let name = &policy.metadata.name.value;
                    let message = format!("policy `{name}` has no parameter `{key}`");
                    let names = policy.spec.parameters.keys().map(String::as_str);
                    self.issues.push(issue_at(source, given.referenced, message).meant(key, names));
                    continue;
                };
                let value = as_kind_of(known, value);
                if type_of(known) != type_of(&value) {
                    let (wanted, found) = (type_of(known).words(), type_of(&value).words());
                    let message = format!("parameter `{key}` is {wanted}, and not {found}");
                    self.issues.push(issue_at(source, given.referenced, message));
                }
                *known = value;
            }
        }
        Json::Object(values.into_iter().collect())
    }

    fn check_settings(&mut self, settings: &[(&PolicySettings, &Source)]) {
        for (settings, source) in settings {
            for (name, given) in &settings.spec.parameters {
                if !self.pack.policies.iter().any(|it| it.name == *name) {
                    let message = format!("there is no policy `{name}`");
                    let known = self.pack.policies.iter().map(|it| it.name.as_str());
                    self.issues
                        .push(issue_at(source, given.referenced, message).meant(name, known));
                }
            }
            for disabled in &settings.spec.disabled {
                if disabled.reason.trim().is_empty() {
                    let message = "a rule that is disabled needs a reason".to_owned();
                    self.issues.push(issue_at(source, disabled.rule.referenced, message));
                }
                self.check_loosens(source, &disabled.rule);
            }
        }
    }

    /// Whether a rule is there, and may be loosened.
    fn check_loosens(&mut self, source: &Source, name: &Spanned<String>) {
        let name_of = |rule: &Rule| rule.name.to_string();
        let found = self.pack.rules.iter().find(|rule| *rule.name.0 == *name.value);
        match found {
            Some(rule) if rule.unconditional => {
                let message =
                    format!("`{}` guards agent-shield itself: nothing loosens it", name.value);
                self.issues.push(issue_at(source, name.referenced, message));
            }
            Some(_) => {}
            None if self.pack.disabled.iter().any(|it| *it.0 == *name.value) => {}
            None => {
                let names: Vec<String> = self.pack.rules.iter().map(name_of).collect();
                let message = format!("there is no rule `{}`", name.value);
                let issue = issue_at(source, name.referenced, message);
                self.issues.push(issue.meant(&name.value, names.iter().map(String::as_str)));
            }
        }
    }

    fn exception(&mut self, exception: &PolicyException, source: &Source) {
        let spec = &exception.spec;
        let name = &exception.metadata.name;
        let mut wrong = |at: Location, message: &str| {
            self.issues.push(issue_at(source, at, message.to_owned()));
        };
        if spec.reason.trim().is_empty() {
            wrong(name.referenced, "an exception needs a reason");
        }
        if spec.rules.is_empty() {
            wrong(name.referenced, "an exception names the rules that it is from");
        }
        if spec.namespaces.is_empty() {
            wrong(name.referenced, "an exception names the namespaces that it is for");
        }
        if agents::is_empty(&spec.agents) {
            wrong(name.referenced, "an exception names the agents that it is for");
        }
        for rule in &spec.rules {
            self.check_loosens(source, rule);
        }
        let nothing = |name| Type::object(name, []);
        let schema = facts::schema(&Type::Dyn, nothing("params"), nothing("variables"), false);
        let when = spec
            .when
            .as_ref()
            .and_then(|it| self.taken(source, it, Expression::condition(&it.value, &schema)));
        let Ok(expires) = spec.expires.value.parse::<Timestamp>() else {
            let message = "is no timestamp such as 2027-01-31T00:00:00Z".to_owned();
            self.issues.push(issue_at(source, spec.expires.referenced, message));
            return;
        };
        if expires <= self.now {
            let message = format!("exception `{}` has expired, and is worth nothing", name.value);
            self.issues.push(issue_at(source, spec.expires.referenced, message).warning());
        }
        self.pack.exceptions.push(Exception {
            name: name.value.clone(),
            reason: spec.reason.clone(),
            expires,
            rules: spec.rules.iter().map(|it| RuleName::from(it.value.as_str())).collect(),
            agents: spec.agents.clone(),
            namespaces: spec.namespaces.clone(),
            when,
        });
    }

    fn check_constraints(&mut self, place: Place<'_>, constraints: Option<&MatchConstraints>) {
        let Some(constraints) = constraints else { return };
        let source = place.source;
        let all = constraints.resource_rules.iter().chain(&constraints.exclude_resource_rules);
        for rule in all {
            if !place.builtin {
                self.warn_of_unserved(source, rule);
            }
            for operation in &rule.operations {
                if !OPERATIONS.contains(&operation.value.as_str()) {
                    let message = format!("there is no operation `{}`", operation.value);
                    let issue = issue_at(source, operation.referenced, message);
                    let upper = operation.value.to_uppercase();
                    self.issues.push(issue.meant(&upper, OPERATIONS.into_iter()));
                }
            }
            for verb in &rule.verbs {
                let known = || READ_VERBS.into_iter().chain(WRITE_VERBS);
                if !known().any(|it| it == verb.value) {
                    let message = format!("there is no verb `{}`", verb.value);
                    self.issues.push(
                        issue_at(source, verb.referenced, message).meant(&verb.value, known()),
                    );
                }
            }
            let place = rule.resources.first().map_or(Location::UNKNOWN, |it| it.referenced);
            if rule.operations.is_empty() == rule.verbs.is_empty() {
                let message = "names `operations` or `verbs`, and one of them".to_owned();
                self.issues.push(issue_at(source, place, message));
            }
            for resource in &rule.resources {
                let looks_like_a_kind = resource.value.is_empty()
                    || resource.value.contains(|it: char| it.is_uppercase());
                if looks_like_a_kind {
                    let plural = format!("{}s", resource.value.to_lowercase());
                    let message = format!(
                        "`{}` is no resource: they are plural, as in `{plural}`",
                        resource.value
                    );
                    self.issues.push(issue_at(source, resource.referenced, message));
                }
            }
        }
    }

    /// What a rule names and the cluster, where it is known, does not have: a policy may be there
    /// before its kind is.
    fn warn_of_unserved(&mut self, source: &Source, rule: &ResourceRule) {
        let place = rule.resources.first().map_or(Location::UNKNOWN, |it| it.referenced);
        for group in self.kinds.unserved_groups(rule) {
            let message = format!("the cluster serves no API group `{group}`");
            let issue = issue_at(source, place, message).warning();
            self.issues.push(issue.meant(group, self.kinds.served()));
        }
        for resource in &rule.resources {
            let Some(served) = self.kinds.instead_of(rule, &resource.value) else { continue };
            let message = format!("the cluster serves no resource `{}`", resource.value);
            let issue = issue_at(source, resource.referenced, message).warning();
            self.issues.push(issue.meant(&resource.value, served.iter().map(String::as_str)));
        }
    }

    /// What compiled; of what did not, its problems become issues.
    fn taken<T>(
        &mut self,
        source: &Source,
        written: &Spanned<String>,
        compiled: Result<T, Vec<Problem>>,
    ) -> Option<T> {
        match compiled {
            Ok(compiled) => Some(compiled),
            Err(problems) => {
                self.issues.extend(problems.into_iter().map(|it| placed(source, written, it)));
                None
            }
        }
    }
}

/// A problem of an expression at its place in the file.
fn placed(source: &Source, written: &Spanned<String>, problem: Problem) -> Issue {
    let start = (place(written.referenced.line()), place(written.referenced.column()));
    let at = place(problem.span.start.into());
    let found = found_at(&source.text, start, &written.value, at).unwrap_or(start);
    let mut issue = Issue::at(&source.name, &source.text, found, problem.message);
    issue.suggestion = problem.suggestion;
    issue
}

/// Where a byte of a scalar stands in the file. Blocks are indented and folded, and quotes stand
/// around: what is left of all of them is that the same letters come in the same order.
fn found_at(
    text: &str,
    (line, column): (usize, usize),
    scalar: &str,
    at: usize,
) -> Option<(usize, usize)> {
    let wanted = scalar.get(at..)?.chars().find(|it| !it.is_whitespace())?;
    let mut before = scalar.get(..at)?.matches(wanted).count();
    for (number, text) in text.lines().enumerate().skip(line.checked_sub(1)?) {
        let is_first = number + 1 == line;
        for (index, letter) in text.chars().enumerate() {
            if is_first && index + 1 < column {
                continue;
            }
            if is_first && index + 1 == column && matches!(letter, '>' | '|') {
                break; // The block begins on the next line.
            }
            match (letter == wanted, before) {
                (true, 0) => return Some((number + 1, index + 1)),
                (true, _) => before -= 1,
                _ => {}
            }
        }
    }
    None
}

fn place(it: u64) -> usize {
    usize::try_from(it).unwrap_or(0)
}

fn issue_at(source: &Source, at: Location, message: String) -> Issue {
    Issue::at(&source.name, &source.text, (place(at.line()), place(at.column())), message)
}

/// The documents of a file, each with how many lines stand before it. `---` at the start of a line
/// never stands within one.
fn documents(text: &str) -> Vec<(usize, String)> {
    let mut parts = vec![(0, String::new())];
    for (number, line) in text.lines().enumerate() {
        if line == "---" || line.starts_with("--- ") {
            parts.push((number + 1, String::new()));
        } else if let Some((_, part)) = parts.last_mut() {
            part.push_str(line);
            part.push('\n');
        }
    }
    parts
}

fn document(text: &str, source: &Source) -> Result<Document, Issue> {
    let head: Head = parsed(text, source)?;
    let top = text.lines().take_while(|it| it.trim().is_empty()).count() + 1;
    let missing = |what: &str| {
        let message = format!("a document begins with `{what}`");
        Issue::at(&source.name, &source.text, (top, 1), message)
    };
    let version = head.api_version.ok_or_else(|| missing(&format!("apiVersion: {API_VERSION}")))?;
    if version.value != API_VERSION {
        let message = format!("`{}` is not known here", version.value);
        let issue = issue_at(source, version.referenced, message);
        return Err(issue.meant(&version.value, std::iter::once(API_VERSION)));
    }
    let kind = head.kind.ok_or_else(|| missing("kind: Policy"))?;
    match kind.value.as_str() {
        "Policy" => Ok(Document::Policy(Box::new(parsed(text, source)?))),
        "PolicyException" => Ok(Document::Exception(Box::new(parsed(text, source)?))),
        "PolicySettings" => Ok(Document::Settings(Box::new(parsed(text, source)?))),
        other => {
            let message = format!("there is no kind `{other}` here");
            Err(issue_at(source, kind.referenced, message)
                .meant(other, KINDS.into_iter().map(|(kind, _)| kind)))
        }
    }
}

fn parsed<T: DeserializeOwned>(text: &str, source: &Source) -> Result<T, Issue> {
    serde_saphyr::from_str(text).map_err(|error| {
        let place = error.location().unwrap_or(Location::UNKNOWN);
        let message = error.without_snippet().to_string();
        let first = message.lines().next().unwrap_or_default();
        // The place stands before the message already.
        let message = match first.rfind(" at line ") {
            Some(at) => first.get(..at).unwrap_or(first).to_owned(),
            None => first.to_owned(),
        };
        issue_at(source, place, message)
    })
}

fn digest(texts: &mut [String]) -> String {
    texts.sort();
    let mut hash = Sha256::new();
    for text in texts {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text.as_bytes());
    }
    let hex = hex::encode(hash.finalize());
    format!("sha256:{hex}")
}

fn type_of(value: &Json) -> Type {
    match value {
        Json::Null => Type::Dyn,
        Json::Bool(_) => Type::Bool,
        Json::Number(number) if number.is_i64() => Type::Int,
        Json::Number(_) => Type::Double,
        Json::String(_) => Type::Text,
        Json::Array(items) => {
            let mut types = items.iter().map(type_of);
            let first = types.next().unwrap_or(Type::Dyn);
            Type::list(if types.all(|it| it == first) { first } else { Type::Dyn })
        }
        Json::Object(_) => Type::map(Type::Dyn),
    }
}

/// `1` where a double is wanted is 1.0.
fn as_kind_of(known: &Json, value: &Json) -> Json {
    match (known, value.as_f64()) {
        (Json::Number(known), Some(number)) if !known.is_i64() => {
            serde_json::Number::from_f64(number).map_or(Json::Null, Json::Number)
        }
        _ => value.clone(),
    }
}
