//! `kind: PolicySettings`: built-in packs, parameters, and rules that do not count.

use expression::Type;
use serde_json::Value as Json;

use super::{compiler::Compiler, file::File};
use crate::{
    Issue,
    document::{Document, Policy, PolicySettings},
    packs,
};

/// The built-in packs that the settings name; the default one where they name none.
pub(super) fn chosen_packs(documents: &[(Document, File)], issues: &mut Vec<Issue>) -> Vec<String> {
    let mut chosen = None;
    for (document, file) in documents {
        let Document::Settings(settings) = document else { continue };
        let Some(packs) = &settings.spec.packs else { continue };
        if chosen.is_some() {
            let message = "packs are chosen twice: one document of settings chooses";
            issues.push(file.issue_at(settings.metadata.name.referenced, message));
        }
        for name in packs {
            if !packs::PACKS.iter().any(|(it, _)| *it == name.value) {
                let message = format!("there is no built-in pack `{}`", name.value);
                let known = packs::PACKS.iter().map(|(it, _)| *it);
                let issue = file.issue_at(name.referenced, message);
                issues.push(issue.meant(&name.value, known));
            }
        }
        chosen = Some(packs.iter().map(|it| it.value.clone()).collect());
    }
    chosen.unwrap_or_else(|| vec![packs::DEFAULT.to_owned()])
}

impl Compiler<'_> {
    /// A policy's parameters, with what settings say.
    pub(super) fn parameters(&mut self, policy: &Policy) -> Json {
        let mut values = policy.spec.parameters.clone();
        let name = &policy.metadata.name.value;
        for (settings, file) in self.settings {
            let Some(given) = settings.spec.parameters.get(name) else { continue };
            for (key, value) in &given.value {
                let Some(known) = values.get_mut(key) else {
                    let message = format!("policy `{name}` has no parameter `{key}`");
                    let names = policy.spec.parameters.keys().map(String::as_str);
                    let issue = file.issue_at(given.referenced, message);
                    self.issues.push(issue.meant(key, names));
                    continue;
                };
                let value = as_kind_of(known, value);
                let (wanted, found) = (type_of(known), type_of(&value));
                if wanted != found {
                    let (wanted, found) = (wanted.describe(), found.describe());
                    let message = format!("parameter `{key}` is {wanted}, and not {found}");
                    self.report(file, given.referenced, message);
                }
                *known = value;
            }
        }
        Json::Object(values.into_iter().collect())
    }

    /// Settings of policies and rules that are not there, and rules that nothing disables.
    pub(super) fn check_settings(&mut self) {
        for (settings, file) in self.settings {
            for (name, given) in &settings.spec.parameters {
                if !self.pack.policies.iter().any(|it| it.name == *name) {
                    let message = format!("there is no policy `{name}`");
                    let known = self.pack.policies.iter().map(|it| it.name.as_str());
                    let issue = file.issue_at(given.referenced, message);
                    self.issues.push(issue.meant(name, known));
                }
            }
            for disabled in &settings.spec.disabled {
                if disabled.reason.trim().is_empty() {
                    let message = "a rule that is disabled needs a reason";
                    self.report(file, disabled.rule.referenced, message);
                }
                self.check_loosens(file, &disabled.rule);
            }
            self.inert_keys(settings, file);
            self.node_logs(settings, file);
        }
    }

    /// Takes the keys that settings call inert: each one whole, and none that gives rights.
    fn inert_keys(&mut self, settings: &PolicySettings, file: &File) {
        for key in &settings.spec.inert_keys {
            if let Some(why) = effects::why_not_inert(&key.value) {
                let message = format!("`{}` cannot be an inert key: {why}", key.value);
                self.report(file, key.referenced, message);
            }
            self.pack.inert_keys.insert(key.value.clone());
        }
    }

    fn node_logs(&mut self, settings: &PolicySettings, file: &File) {
        let Some(given) = &settings.spec.node_logs else { return };
        if given.reason.value.trim().is_empty() {
            self.report(file, given.reason.referenced, "letting node logs be read needs a reason");
        }
        self.pack.node_logs = true;
    }

    /// Whether settings disable a rule, by its whole name.
    pub(super) fn is_disabled(&self, name: &str) -> bool {
        let mut disabled = self.settings.iter().flat_map(|(it, _)| &it.spec.disabled);
        disabled.any(|it| it.rule.value == name)
    }
}

/// The type of a parameter, by the value that its policy gives it.
pub(super) fn type_of(value: &Json) -> Type {
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
