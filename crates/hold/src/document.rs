//! The hold as it is stored: who asked what, what it would do, and how it stands.
//!
//! The agent's bytes are not in it: a run needs the agent's own request again.

use std::fmt;

use jiff::Timestamp;
use ledger::{EffectRecord, Identity, RequestRecord};
use serde::{Deserialize, Serialize};

use crate::{Quorum, State};

/// A hold's name: short enough to be typed from a phone's screen.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct HoldId(String);

impl HoldId {
    // No vowels and none of 0, 1, l: no words, and nothing that is read as something else.
    const LETTERS: &[u8] = b"23456789bcdfghjkmnpqrstvwxyz";

    /// Makes an id of 8 letters (28^8, about 2^38) from random bytes of the caller.
    pub fn from_random(random: [u8; 8]) -> Self {
        let letters = random.iter().map(|byte| {
            let index = usize::from(*byte) % Self::LETTERS.len();
            char::from(Self::LETTERS.get(index).copied().unwrap_or(b'2'))
        });
        Self(letters.collect())
    }

    /// Takes an id as somebody typed it; it may name nothing.
    pub fn parse(typed: &str) -> Self {
        Self(typed.trim().to_ascii_lowercase())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HoldId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One held request.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Hold {
    /// Its name.
    pub id: HoldId,
    /// Raised by one at each stored change.
    pub revision: u64,
    /// When it was first held.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub changed_at: Timestamp,
    /// Undecided at this moment, it is denied as expired.
    pub deadline: Timestamp,
    /// The agent.
    pub user: Identity,
    /// Keyed digest of "the same request": identity, method, target, media type and body.
    pub request_digest: String,
    /// The call that made it.
    #[serde(rename = "auditID")]
    pub audit_id: String,
    /// What was asked.
    pub request: RequestRecord,
    /// Media type of the body, as sent.
    #[serde(default)]
    pub content_type: String,
    /// The body for people: parsed where it can be, secrets taken out, bounded in size.
    #[serde(default)]
    pub payload: String,
    /// Every rule that asked for the hold.
    pub rules: Vec<String>,
    /// Why, in plain words.
    pub reason: String,
    /// `low`, `medium`, `high`, `critical`.
    pub severity: String,
    /// What it would do.
    pub effects: Vec<EffectRecord>,
    /// How that was learned.
    pub preview: Preview,
    /// Whose approvals it needs.
    #[serde(default)]
    pub quorum: Quorum,
    /// How often it came back to the queue because it would do something else than approved.
    #[serde(default)]
    pub drifts: u32,
    /// Where it stands.
    pub state: State,
}

impl Hold {
    /// Which approvals are missing, for people; empty where none is, or none is asked for any more.
    pub fn missing(&self) -> String {
        match &self.state {
            State::Pending { approvals } | State::Expired { approvals, .. } => {
                self.quorum.missing(approvals, &self.preview.digest)
            }
            _ => String::new(),
        }
    }
}

/// What was seen of the live object, and what an approval binds to.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Preview {
    /// Digest of effects, object uid and normalised difference: the approval is of this.
    pub digest: String,
    /// Of the live object; empty where there is none or it is not known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// Of the live object when it was read; not part of the digest.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub resource_version: String,
    /// The difference, secrets taken out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<ChangeRecord>,
    /// For a collection: each object that would go, by uid.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<Target>,
    /// What goes with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub goes_with: Vec<GoesWith>,
    /// Why it is missing or incomplete, or why the request cannot be pinned.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// One differing path.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChangeRecord {
    /// RFC 6901 pointer.
    pub path: String,
    /// Before, as JSON text; missing where the path did not exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old: Option<String>,
    /// After, as JSON text; missing where the path goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new: Option<String>,
}

/// One object of a collection that would be deleted.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
}

/// Objects of one kind that go with what is deleted.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GoesWith {
    /// Plural resource: `pods`.
    pub resource: String,
    /// How many; missing where nobody who was asked may see them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// The first few names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
}
