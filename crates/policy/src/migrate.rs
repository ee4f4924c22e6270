//! Files that compare the sentence of an effect, rewritten to compare its fields.
//!
//! The text stays as it is but for the expressions that are understood: those that `suggest-exceptions`
//! of earlier versions wrote, the type of a Secret, what is counted, and sentences within a reason.

use std::sync::LazyLock;

use effects::{Effect, EffectKind, ObjectRef, about_of_sentence};
use jiff::Timestamp;
use regex::{Captures, Regex};

use crate::{compile::compile, conditions, issue::Issue, source::Source};

/// What became of a file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Migrated {
    /// The file as it should be.
    pub text: String,
    /// What was rewritten, from the top.
    pub rewrites: Vec<Rewrite>,
    /// What still compares a sentence: a person has to say what it means.
    pub left: Vec<Issue>,
}

/// One expression that was rewritten.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rewrite {
    /// From 1, in the file as it was.
    pub line: usize,
    /// As it was.
    pub old: String,
    /// As it is.
    pub new: String,
}

/// A string literal of CEL, as `suggest-exceptions` writes it.
const LITERAL: &str = r"'(?:[^'\\]|\\.)*'";

/// An effect that is named whole, and its sentence.
static WHOLE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let field = |name| format!(r"\w+\.{name}\s*==\s*({LITERAL})\s*&&\s*");
    let fields = ["kind", "groupResource", "namespace", "name"].map(field).concat();
    Regex::new(&format!(r"(?s){fields}(?P<sentence>(\w+)\.detail\s*==\s*({LITERAL}))")).ok()
});
/// What is counted.
static COUNTED: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(\w+)\.detail\.startsWith\('(replicas|minReplicas|maxReplicas) '\)").ok()
});
/// The type of a Secret.
static SECRET_TYPE: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(\w+)\.detail\.endsWith\('of type ([^'\\ ]+)'\)").ok());
/// A sentence that people read.
static SHOWN: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"\{\{\s*(\w+)\.detail\s*\}\}").ok());

/// Rewrites one file. `now` is for exceptions that expire.
pub fn migrate(source: &Source, now: Timestamp) -> Migrated {
    let mut rewrites = Vec::new();
    let mut text = source.text.clone();
    let steps: [(&LazyLock<Option<Regex>>, Replace); 4] =
        [(&WHOLE, whole), (&COUNTED, counted), (&SECRET_TYPE, secret_type), (&SHOWN, shown)];
    for (pattern, replace) in steps {
        if let Some(pattern) = pattern.as_ref() {
            text = rewritten(&text, pattern, replace, &mut rewrites);
        }
    }
    let (before, after) = (issues(source, now), issues(&Source { text, ..source.clone() }, now));
    let is_other = |it: &&Issue| !it.is_retired_field;
    // An expression that stood in quotes of YAML may be another text than it looks.
    let is_broken =
        after.0.iter().filter(is_other).count() > before.0.iter().filter(is_other).count();
    let (issues, text) = if is_broken { before } else { after };
    if is_broken {
        rewrites.clear();
    }
    rewrites.sort_by_key(|it| it.line);
    Migrated { text, rewrites, left: issues.into_iter().filter(|it| it.is_retired_field).collect() }
}

/// What is wrong with a file, and its text.
fn issues(source: &Source, now: Timestamp) -> (Vec<Issue>, String) {
    let issues = compile(std::slice::from_ref(source), now).err().unwrap_or_default();
    (issues, source.text.clone())
}

/// The new text of a match, and which part of it is replaced; `None` where it is left as it is.
type Replace = fn(&Captures<'_>) -> Option<(std::ops::Range<usize>, String)>;

fn rewritten(text: &str, pattern: &Regex, replace: Replace, rewrites: &mut Vec<Rewrite>) -> String {
    let (mut new_text, mut end) = (String::new(), 0);
    for captures in pattern.captures_iter(text) {
        let Some((range, new)) = replace(&captures) else { continue };
        let (Some(before), Some(old)) = (text.get(end..range.start), text.get(range.clone()))
        else {
            continue;
        };
        let line = text.get(..range.start).unwrap_or_default().matches('\n').count() + 1;
        rewrites.push(Rewrite { line, old: old.to_owned(), new: new.clone() });
        new_text.push_str(before);
        new_text.push_str(&new);
        end = range.end;
    }
    new_text.push_str(text.get(end..).unwrap_or_default());
    new_text
}

fn whole(captures: &Captures<'_>) -> Option<(std::ops::Range<usize>, String)> {
    let text = |group: usize| unquoted(captures.get(group)?.as_str());
    let (resource, api_group) = match text(2)?.split_once('.') {
        Some((resource, group)) => (resource.to_owned(), group.to_owned()),
        None => (text(2)?, String::new()),
    };
    let object =
        ObjectRef { api_group, resource, namespace: text(3)?, name: text(4)?, uid: String::new() };
    let kind: EffectKind = text(1)?.parse().ok()?;
    let about = about_of_sentence(kind, &object, &text(7)?, None);
    let variable = captures.get(6)?.as_str();
    let fields = conditions::about(variable, &Effect { kind, object, about }).ok()?;
    // Of some effects the kind says it all.
    let condition = if fields.is_empty() { "true".to_owned() } else { fields.join(" && ") };
    Some((captures.name("sentence")?.range(), condition))
}

fn counted(captures: &Captures<'_>) -> Option<(std::ops::Range<usize>, String)> {
    let (effect, counted) = (captures.get(1)?.as_str(), captures.get(2)?.as_str());
    Some((captures.get(0)?.range(), format!("{effect}.counted == '{counted}'")))
}

/// The sentence ended with the type only where the delete asked for nothing else.
fn secret_type(captures: &Captures<'_>) -> Option<(std::ops::Range<usize>, String)> {
    let (effect, kind) = (captures.get(1)?.as_str(), captures.get(2)?.as_str());
    let condition = format!(
        "({effect}.?secretType.orValue('') == '{kind}' \
         && {effect}.?propagationPolicy.orValue('Background') == 'Background' \
         && !has({effect}.gracePeriodSeconds))"
    );
    Some((captures.get(0)?.range(), condition))
}

fn shown(captures: &Captures<'_>) -> Option<(std::ops::Range<usize>, String)> {
    Some((captures.get(0)?.range(), format!("{{{{{}.words}}}}", captures.get(1)?.as_str())))
}

/// What a literal says. A line of YAML may be folded within it.
fn unquoted(literal: &str) -> Option<String> {
    let inside = literal.strip_prefix('\'')?.strip_suffix('\'')?;
    let lines: Vec<&str> = inside.lines().map(str::trim).collect();
    let joined = if lines.len() > 1 { lines.join(" ") } else { inside.to_owned() };
    let (mut text, mut letters) = (String::new(), joined.chars());
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next()? {
                'U' => {
                    let code: String = letters.by_ref().take(8).collect();
                    text.push(char::from_u32(u32::from_str_radix(&code, 16).ok()?)?);
                }
                escaped @ ('\'' | '\\') => text.push(escaped),
                _ => return None,
            },
            letter => text.push(letter),
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn migrated(text: &str) -> Migrated {
        migrate(&Source { name: "p.yaml".into(), text: text.into() }, Timestamp::UNIX_EPOCH)
    }

    fn exception(when: &str) -> String {
        format!(
            "apiVersion: agent-shield.io/v1alpha1\nkind: PolicyException\nmetadata: {{name: e}}\nspec:\n  reason: r\n  expires: 2030-01-01T00:00:00Z\n  rules: [delete-secret]\n  agents: {{users: [a]}}\n  namespaces: [shop]\n  when: |-\n    {when}\n"
        )
    }

    /// As `suggest-exceptions` wrote it before effects had fields.
    fn suggested(kind: &str, resource: &str, name: &str, detail: &str) -> String {
        exception(&format!(
            "request.verb in ['delete']\n    && effects.all(it, it.kind == '{kind}' && it.groupResource == '{resource}' && it.namespace == 'shop' && it.name == '{name}' && {detail})"
        ))
    }

    #[test]
    fn rewrites_what_was_suggested() {
        let table = [
            (
                suggested(
                    "Delete",
                    "secrets",
                    "s",
                    "it.detail == 'deletes secret shop/s of type Opaque'",
                ),
                "it.name == 's' && it.?secretType.orValue('') == 'Opaque' && it.?propagationPolicy.orValue('') == 'Background' && !has(it.gracePeriodSeconds)",
            ),
            (
                suggested(
                    "Delete",
                    "deployments.apps",
                    "w",
                    "it.detail == 'deletes deployment shop/w with 3 replicas; what it owns is left behind; with 1 s to end'",
                ),
                "it.?replicas.orValue(-1) == 3 && it.?propagationPolicy.orValue('') == 'Orphan' && it.?gracePeriodSeconds.orValue(-1) == 1",
            ),
            (
                suggested(
                    "ScaleDown",
                    "deployments.apps",
                    "w",
                    "it.detail.startsWith('replicas ') && has(it.new) && it.old <= 4 && it.new >= 2",
                ),
                "it.counted == 'replicas' && has(it.new) && it.old <= 4",
            ),
            (
                suggested(
                    "Restart",
                    "deployments.apps",
                    "w",
                    "it.detail == 'rolls its pods, one after another'",
                ),
                "it.name == 'w' && true)",
            ),
        ];
        for (text, want) in table {
            let found = migrated(&text);
            assert!(found.text.contains(want), "{text}\n{}", found.text);
            assert_eq!((found.rewrites.len(), found.left.len()), (1, 0), "{text}");
            assert_eq!(found.rewrites[0].line, 12);
            assert_eq!(migrated(&found.text).rewrites, [], "a second time there is nothing to do");
        }
    }

    #[test]
    fn names_what_it_does_not_understand() {
        let found = migrated(&exception("effects.all(it, it.detail.contains('secret'))"));
        assert_eq!(found.rewrites, []);
        let left: Vec<_> = found.left.iter().map(|it| (it.line, it.column)).collect();
        assert_eq!(left, [(11, 23)]);
        assert!(found.left[0].message.contains("secretType"));
        // Of another object than it names, nobody can have written it.
        let other = suggested("Delete", "secrets", "s", "it.detail == 'deletes secret shop/x'");
        assert_eq!(migrated(&other).left.len(), 1);
    }

    #[test]
    fn keeps_everything_else_as_it_is() {
        let text = "# ours\napiVersion: agent-shield.io/v1alpha1\nkind: Policy\nmetadata: {name: p}\nspec:\n  rules:\n  - name: r # kept\n    effects: [Delete]\n    when: \"!effect.detail.endsWith('of type helm.sh/release.v1')\"\n    action: hold\n    reason: 'not {{effect.detail}}'\n";
        let found = migrated(text);
        assert_eq!((found.rewrites.len(), found.left.len()), (2, 0), "{:?}", found.left);
        assert!(found.text.starts_with("# ours\n") && found.text.contains("name: r # kept"));
        assert!(
            found
                .text
                .contains("when: \"!(effect.?secretType.orValue('') == 'helm.sh/release.v1' &&")
        );
        assert!(found.text.contains("reason: 'not {{effect.words}}'"));
    }
}
