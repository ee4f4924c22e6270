//! Whose request it is, and patterns with `*`.

use attributes::User;

use crate::document::Agents;

/// Whether any of the patterns is of this user.
pub(crate) fn are(agents: &Agents, user: &User) -> bool {
    let of_account = |(namespace, name): (&str, &str)| {
        agents
            .service_accounts
            .iter()
            .any(|it| fits(&it.namespace, namespace) && fits(&it.name, name))
    };
    agents.users.iter().any(|it| fits(it, &user.username))
        || agents.groups.iter().any(|it| user.groups.iter().any(|group| fits(it, group)))
        || user.service_account().is_some_and(of_account)
}

/// Whether nobody is named.
pub(crate) fn is_empty(agents: &Agents) -> bool {
    agents.users.is_empty() && agents.groups.is_empty() && agents.service_accounts.is_empty()
}

/// Whether a text is what a pattern says; `*` stands for any text.
pub(crate) fn fits(pattern: &str, text: &str) -> bool {
    let Some((before, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(before) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    // Taking each part at its first place leaves the most for those after it.
    for part in parts {
        let Some((_, after)) = text.split_once(part) else { return false };
        text = after;
    }
    text.len() >= last.len() && text.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit() {
        let table = [
            ("alice", "alice", true),
            ("alice", "alice2", false),
            ("*", "", true),
            ("ci-*", "ci-1", true),
            ("ci-*", "xci-1", false),
            ("*-prod", "eu-prod", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c", false),
            ("ab*b", "ab", false),
            ("", "", true),
        ];
        for (pattern, text, want) in table {
            assert_eq!(fits(pattern, text), want, "{pattern} {text}");
        }
    }
}
