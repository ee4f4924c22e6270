//! One rule of a policy -> a [`Rule`].

use std::time::Duration;

use effects::EffectKind;
use expression::{Expression, Schema, Template};
use serde_saphyr::Location;

use super::{compiler::Compiler, file::File, places};
use crate::{
    Decision, Reviewers, Rule, RuleName,
    document::{Action, Mode, Policy, Reviewers as ReviewersDocument, Rule as RuleDocument, Time},
    matching::Requests,
    pack::Needs,
};

/// People that one rule may ask for: more are a mistake, and would never meet a deadline.
const REVIEWERS_MAX: i64 = 10;
const GROUPS_MAX: usize = 20;
/// Nobody reads a hold in less, and one that is older is asked about the cluster of last week.
/// How long a denial may bind.
const DENIAL_TIME_MIN: Time = Time(Duration::from_secs(10));
const DENIAL_TIME_MAX: Time = Time(Duration::from_secs(86_400));
const DEADLINE_MIN: Time = Time(Duration::from_secs(10));
const DEADLINE_MAX: Time = Time(Duration::from_secs(7 * 86_400));

/// What a rule has from its policy.
pub(super) struct Inherited<'p> {
    pub(super) policy: &'p Policy,
    /// Of the policy within the pack.
    pub(super) index: usize,
    pub(super) file: &'p File,
    /// What conditions, and reasons, see in a rule about a request as a whole.
    pub(super) of_request: [&'p Schema; 2],
    /// What they see in a rule about effects.
    pub(super) of_effect: [&'p Schema; 2],
    /// What the policy's own expressions and selectors look at.
    pub(super) needs: Needs,
    /// What its constraints name.
    pub(super) requests: Requests,
}

impl Compiler<'_> {
    /// Adds a rule, or notes that settings disable it.
    pub(super) fn rule(&mut self, inherited: &Inherited<'_>, rule: &RuleDocument) {
        let file = inherited.file;
        let (name, line) = self.rule_name(inherited, rule);
        let kinds = self.effect_kinds(file, rule);
        self.check_requests(inherited, rule, &kinds);
        self.check_deadline(file, rule);
        self.check_denial_time(file, rule);
        let reviewers = self.reviewers(file, rule);
        let [schema, of_reason] =
            if rule.effects.is_empty() { inherited.of_request } else { inherited.of_effect };
        let when = rule
            .when
            .as_ref()
            .and_then(|it| self.reported(file, it, Expression::condition(&it.value, schema)));
        let reason = rule
            .reason
            .as_ref()
            .and_then(|it| self.reported(file, it, Template::compile(&it.value, of_reason)));
        let needs = self.needs(inherited, rule, when.as_ref(), reason.as_ref());
        // Compiled all the same, so that what is wrong in it shows before somebody enables it.
        if self.is_disabled(&name.0) && !rule.unconditional {
            self.pack.disabled.push(name);
            return;
        }
        self.pack.rules.push(Rule {
            name,
            policy: inherited.index,
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
            mode: self.mode(inherited, rule),
            deadline: rule.deadline.as_ref().map(|it| it.value.0),
            denial_time: rule.denial_time.as_ref().map(|it| it.value.0),
            reviewers,
            unconditional: rule.unconditional,
            is_of_reads: inherited.requests.has_reads(),
            needs,
            file: file.source.name.clone(),
            line,
        });
    }

    /// The whole name of a rule, and the line that it stands in.
    fn rule_name(&mut self, inherited: &Inherited<'_>, rule: &RuleDocument) -> (RuleName, usize) {
        let file = inherited.file;
        self.check_name(file, &rule.name);
        let short = rule.name.value.as_str();
        // Names of built-in rules stand alone. Others carry their policy's, so that no file takes
        // one.
        let name = match file.is_builtin {
            true => RuleName::from(short),
            false => {
                let policy = &inherited.policy.metadata.name.value;
                RuleName::from(format!("{policy}/{short}").as_str())
            }
        };
        let line = places::number(rule.name.referenced.line());
        let twice = self.names.insert(name.clone(), (file.source.name.clone(), line));
        if let Some((file_of_first, line_of_first)) = twice {
            let message =
                format!("there is a rule `{name}` already, at {file_of_first}:{line_of_first}");
            self.report(file, rule.name.referenced, message);
        }
        (name, line)
    }

    /// The kinds of effects that a rule names.
    fn effect_kinds(&mut self, file: &File, rule: &RuleDocument) -> Vec<EffectKind> {
        let mut kinds = Vec::new();
        for written in &rule.effects {
            if let Ok(kind) = written.value.parse() {
                kinds.push(kind);
                continue;
            }
            let names = EffectKind::ALL.iter().map(|it| it.as_str());
            let message = format!("there is no effect `{}`", written.value);
            let issue = file.issue_at(written.referenced, message);
            self.issues.push(issue.meant(&written.value, names));
        }
        kinds
    }

    /// Whether a rule asks for what its requests can give: a read is forwarded before anything is
    /// looked at, so it can neither wait nor have effects.
    fn check_requests(
        &mut self,
        inherited: &Inherited<'_>,
        rule: &RuleDocument,
        kinds: &[EffectKind],
    ) {
        let mut wrong = |message: &str| self.report(inherited.file, rule.name.referenced, message);
        match inherited.requests {
            Requests::Both => wrong(
                "the policy names reads and writes: make it two, because reads are allowed or denied, never held",
            ),
            Requests::Reads if rule.action == Action::Hold => {
                wrong("reads are allowed or denied, never held");
            }
            Requests::Reads | Requests::Writes => {}
        }
        if inherited.requests.has_reads() && !kinds.is_empty() {
            wrong("a read has no effects");
        }
    }

    /// What a rule has to look at, with what its policy has to.
    fn needs(
        &mut self,
        inherited: &Inherited<'_>,
        rule: &RuleDocument,
        when: Option<&Expression>,
        reason: Option<&Template>,
    ) -> Needs {
        let mut needs = inherited.needs;
        if let Some(when) = when {
            needs.add(|variable| when.reads(variable));
        }
        if let Some(reason) = reason {
            needs.add(|variable| reason.reads(variable));
        }
        if inherited.requests.has_reads() && needs.later() {
            let message = "a read is not looked at: `object`, `oldObject`, `diff` and `effects` are of writes";
            self.report(inherited.file, rule.name.referenced, message);
        }
        if needs.namespace_object {
            // An expression may read any label, so a change of any label may matter.
            self.guarded.insert("*".to_owned());
        }
        needs
    }

    fn mode(&self, inherited: &Inherited<'_>, rule: &RuleDocument) -> Mode {
        // Watching only must never open a way to agent-shield itself.
        if self.observe && inherited.file.is_builtin && !rule.unconditional {
            return Mode::Shadow;
        }
        rule.mode.unwrap_or(inherited.policy.spec.mode)
    }

    fn check_deadline(&mut self, file: &File, rule: &RuleDocument) {
        let Some(deadline) = &rule.deadline else { return };
        if !(DEADLINE_MIN.0..=DEADLINE_MAX.0).contains(&deadline.value.0) {
            let message =
                format!("a deadline is {DEADLINE_MIN} at least and {DEADLINE_MAX} at most");
            self.report(file, deadline.referenced, message);
        }
        self.check_holds(file, rule, deadline.referenced, "deadline");
    }

    fn check_denial_time(&mut self, file: &File, rule: &RuleDocument) {
        let Some(time) = &rule.denial_time else { return };
        if !(DENIAL_TIME_MIN.0..=DENIAL_TIME_MAX.0).contains(&time.value.0) {
            let message = format!(
                "a denial binds for {DENIAL_TIME_MIN} at least and {DENIAL_TIME_MAX} at most"
            );
            self.report(file, time.referenced, message);
        }
        self.check_holds(file, rule, time.referenced, "denialTime");
    }

    /// Whom a rule asks.
    fn reviewers(&mut self, file: &File, rule: &RuleDocument) -> Option<Reviewers> {
        let asked = rule.reviewers.as_ref()?;
        self.check_holds(file, rule, asked.referenced, "reviewers");
        let ReviewersDocument { groups, count, reason_required } = &asked.value;
        // Empty, it would read as a demand and be none.
        if groups.is_none() && count.is_none() && !reason_required {
            let message = "`reviewers` says nothing: give groups, count or reasonRequired";
            self.report(file, asked.referenced, message);
        }
        let people = count.as_ref().map_or(1, |it| it.value);
        if let Some(count) = count
            && !(1..=REVIEWERS_MAX).contains(&people)
        {
            let message = format!("a hold needs 1 to {REVIEWERS_MAX} approvals, and not {people}");
            self.report(file, count.referenced, message);
        }
        let names = groups.as_ref().map(|it| it.value.as_slice()).unwrap_or_default();
        if let Some(groups) = groups
            && (!(1..=GROUPS_MAX).contains(&names.len())
                || names.iter().any(|it| it.trim().is_empty()))
        {
            let message = format!(
                "name 1 to {GROUPS_MAX} groups, none of them empty; without `groups`, whoever may approve counts"
            );
            self.report(file, groups.referenced, message);
        }
        Some(Reviewers {
            groups: names.iter().cloned().collect(),
            count: u32::try_from(people).unwrap_or(u32::MAX),
            reason_required: *reason_required,
        })
    }

    fn check_holds(&mut self, file: &File, rule: &RuleDocument, at: Location, field: &str) {
        if rule.action == Action::Deny {
            let message = format!("a rule that denies asks nobody: leave out `{field}`");
            self.report(file, at, message);
        }
    }
}
