//! What a reviewer is shown of a hold beside its summary: large, read by whoever opens the hold, and
//! stored apart from what changes with each decision.

use std::collections::{BTreeSet, HashSet};

use ledger::EffectRecord;
use payload::Redactor;

/// What was seen of the live object.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Preview {
    /// Digest of effects, object uid and normalised difference: the approval is of this.
    pub digest: String,
    /// Of the live object; empty where there is none or it is not known.
    pub uid: String,
    /// Of the live object when it was read; not part of the digest.
    pub resource_version: String,
    /// All that it would do.
    pub effects: Vec<EffectRecord>,
    /// What is asked for, point by point: a keyed digest of each.
    pub asked: BTreeSet<String>,
    /// What it would run, secrets taken out.
    pub commands: Vec<CommandRecord>,
    /// The difference, secrets taken out.
    pub changes: Vec<ChangeRecord>,
    /// For a collection: each object that would go, by uid.
    pub targets: Vec<Target>,
    /// What goes with it.
    pub goes_with: Vec<GoesWith>,
    /// Why it is missing or incomplete, or why the request cannot be pinned.
    pub notes: Vec<String>,
    /// What is known and not shown, as there is too much of it.
    pub cut: Vec<String>,
    /// What goes with it and must not become more: see [`Preview::sealed`].
    pub bound: Vec<String>,
    /// Digest of all but that; of what was just seen alone, and never stored.
    pub core: String,
}

/// A kind of object of which nobody could tell how many go, in [`Preview::bound`].
pub const UNCOUNTED: char = '?';
/// More of it is one digest, which any change changes.
const BOUND_MAX: usize = 20_000;

impl Preview {
    /// With `core`, the digest of what the request itself does, and with the objects that would go with
    /// it: an approval is of both. Lines of `bound` that begin with [`UNCOUNTED`] stay readable.
    #[must_use]
    pub fn sealed(self, redactor: &Redactor, core: String, bound: Vec<String>) -> Self {
        let short = |line: &String| match line.starts_with(UNCOUNTED) {
            true => line.clone(),
            false => redactor.digest(line.as_bytes()).chars().take(24).collect(),
        };
        let mut bound: Vec<String> = bound.iter().map(short).collect();
        bound.sort();
        if bound.len() > BOUND_MAX {
            bound = vec![redactor.digest(bound.join("\n").as_bytes())];
        }
        let digest = digest(redactor, &core, &bound);
        Self { digest, bound, core, ..self }
    }

    /// Whether what was seen `now` is what this shows, with no more that goes with it. What could not be
    /// counted now counts as more, unless the request is looked at again before it runs.
    pub fn covers(&self, now: &Self, redactor: &Redactor, is_looked_at_again: bool) -> bool {
        let shown: HashSet<&String> = self.bound.iter().collect();
        let is_shown =
            |it: &String| shown.contains(it) || (is_looked_at_again && it.starts_with(UNCOUNTED));
        digest(redactor, &now.core, &self.bound) == self.digest && now.bound.iter().all(is_shown)
    }
}

fn digest(redactor: &Redactor, core: &str, bound: &[String]) -> String {
    match bound {
        [] => core.to_owned(),
        bound => redactor.digest(format!("{core}\n{}", bound.join("\n")).as_bytes()),
    }
}

/// The request's body for people, and what it would do.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Shown {
    /// Media type of the body, as sent.
    pub content_type: String,
    /// The body for people: parsed where it can be, secrets taken out, bounded in size.
    pub payload: String,
    /// What would differ.
    pub preview: Preview,
}

/// A command that would be run, or that containers, probes or hooks would run from then on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CommandRecord {
    /// RFC 6901 pointer to what runs it, with an item's name for its index; empty for a session.
    pub at: String,
    /// Its words.
    pub words: Vec<String>,
}

/// One differing path.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ChangeRecord {
    /// RFC 6901 pointer.
    pub path: String,
    /// Before, as JSON text, cut where it is long; missing where the path did not exist.
    pub old: Option<String>,
    /// After, as JSON text, cut where it is long; missing where the path goes.
    pub new: Option<String>,
    /// A unified diff of both, where they are long or have lines.
    pub diff: Option<String>,
    /// What it is, in our words, where its value alone does not say it; empty otherwise. With neither side, it says
    /// the same as other rows.
    pub note: String,
}

/// One object of a collection that would be deleted.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Target {
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
}

/// Objects of one kind that go with what is deleted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct GoesWith {
    /// Plural resource: `pods`.
    pub resource: String,
    /// How many; missing where nobody who was asked may see them.
    pub count: Option<u64>,
    /// The first few names.
    pub names: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_was_shown_is_not_covered_and_less_is() {
        let redactor = Redactor::new(b"key");
        let seen = |core: &str, bound: &[&str]| {
            let bound = bound.iter().map(|it| (*it).to_owned()).collect();
            Preview::default().sealed(&redactor, core.to_owned(), bound)
        };
        let stored = |it: Preview| Preview { core: String::new(), ..it };
        let table = [
            ((seen("c", &["a", "b"]), seen("c", &["b", "a"])), [true, true]),
            ((seen("c", &["a", "b"]), seen("c", &["a"])), [true, true]),
            ((seen("c", &["a"]), seen("c", &[])), [true, true]),
            ((seen("c", &[]), seen("c", &["a"])), [false, false]),
            ((seen("c", &["a"]), seen("c", &["a", "b"])), [false, false]),
            ((seen("c", &["a"]), seen("d", &["a"])), [false, false]),
            // What could not be counted, and can be; and the other way round.
            ((seen("c", &["?secrets"]), seen("c", &["?secrets"])), [true, true]),
            ((seen("c", &["?secrets"]), seen("c", &["s"])), [false, false]),
            ((seen("c", &["s"]), seen("c", &["?secrets"])), [false, true]),
        ];
        for ((shown, now), want) in table {
            let shown = stored(shown);
            let covers = [false, true].map(|again| shown.covers(&now, &redactor, again));
            assert_eq!(covers, want, "{shown:?} {now:?}");
        }
        // Nothing goes with most requests: their digest is of what they do.
        assert_eq!(seen("c", &[]).digest, "c");
    }
}
