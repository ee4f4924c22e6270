//! What a client said, without what is another in each place and moment.

use crate::{Place, Stage};

impl Stage {
    /// A line without names of these places, numbers (ages, ports, versions), uids and random endings of
    /// pods' names.
    pub fn plain_line(&self, places: &[&Place], line: &str) -> String {
        let mut line = line.to_owned();
        for server in [self.scene.cluster.server(), self.scene.shield.agent_url.as_str()] {
            line = line.replace(server, "SERVER");
        }
        for place in places {
            for name in [&place.namespace, &place.node] {
                line = line.replace(name.as_str(), "NAME");
            }
        }
        let words: Vec<String> = line.split_whitespace().map(plain_word).collect();
        words.join(" ")
    }
}

/// Whether a line depends on the moment (how a rollout was waited for), or is of agent-shield by design
/// (a warning that names who approved, or that somebody may have to).
pub fn is_passing(line: &str) -> bool {
    let rollout = "Waiting for deployment \"web\" rollout to finish: ";
    // An access review is told of what RBAC does not know.
    let forewarning = line.starts_with("Warning: ")
        && ["person's approval", "a person may have to approve"].iter().any(|it| line.contains(it));
    line.starts_with("Warning: approved by ") || line.starts_with(rollout) || forewarning
}

/// A word with each number as `0`, without uids and without a random ending.
fn plain_word(word: &str) -> String {
    let mut plain = String::new();
    for piece in word.split_inclusive(|it: char| !(it.is_ascii_hexdigit() || it == '-')) {
        let (uid, rest) = piece.split_at_checked(UID_LENGTH).unwrap_or(("", piece));
        if is_uid(uid) && rest.chars().count() <= 1 {
            plain.push_str("UID");
            plain.push_str(rest);
            continue;
        }
        for char in piece.chars() {
            match char.is_ascii_digit() {
                true if plain.ends_with('0') => {}
                true => plain.push('0'),
                false => plain.push(char),
            }
        }
    }
    let ends = RANDOM_ENDINGS.iter().filter_map(|it| Some(plain.find(it)? + it.len()));
    if let Some(end) = ends.min() {
        plain.truncate(end);
    }
    plain
}

/// Whose names end at random: pods of the Deployment, and the volumes of every pod's token.
const RANDOM_ENDINGS: [&str; 2] = ["web-", "kube-api-access-"];

const UID_LENGTH: usize = 36;

fn is_uid(text: &str) -> bool {
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    lengths == [8, 4, 4, 4, 12]
}
