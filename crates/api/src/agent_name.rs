//! Which agent is meant by a name, in any spelling that is printed anywhere. Pure.

const PREFIX: &str = "system:serviceaccount:";

/// What a name was taken for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Meant {
    /// This agent.
    One(String),
    /// Several have this name; nobody guesses.
    Many(Vec<String>),
    /// None that is known: the usernames that it may spell, the likeliest last.
    Unknown(Vec<String>),
}

/// Who of `known` is meant: by the whole username, `NAMESPACE/NAME` or `NAMESPACE:NAME` of a ServiceAccount, or
/// its name alone. A whole username is never taken for another's short one.
pub fn meant(typed: &str, known: &[String]) -> Meant {
    let typed = typed.trim();
    let spellings = spellings(typed);
    if let Some(username) = spellings.iter().find(|it| known.contains(it)) {
        return Meant::One(username.clone());
    }
    let is_short = |it: &&String| {
        it.strip_prefix(PREFIX).and_then(|it| it.split_once(':')).is_some_and(|it| it.1 == typed)
    };
    let called: Vec<String> = known.iter().filter(is_short).cloned().collect();
    match called.as_slice() {
        [] => Meant::Unknown(spellings),
        [one] => Meant::One(one.clone()),
        _ => Meant::Many(called),
    }
}

/// As it stands, and as the ServiceAccount that it may name.
fn spellings(typed: &str) -> Vec<String> {
    let account = match typed.split_once(['/', ':']) {
        // The system's own names have a colon, too.
        Some(("system", _)) => None,
        Some((namespace, name)) if !name.contains(['/', ':']) && !namespace.is_empty() => {
            Some(format!("{PREFIX}{namespace}:{name}")).filter(|_| !name.is_empty())
        }
        _ => None,
    };
    [typed.to_owned()].into_iter().chain(account).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_every_spelling() {
        let account = |it: &str| format!("{PREFIX}{it}");
        let mut known: Vec<String> = ["dev:triage", "dev:fixer", "prod:fixer"].map(account).into();
        known.extend(["alice@example.com", "bot", "ops:bot"].map(str::to_owned));
        let one = |it: &str| Meant::One(it.to_owned());
        let unknown =
            |all: &[&str]| Meant::Unknown(all.iter().map(|it| (*it).to_owned()).collect());
        let table = [
            ("dev/triage", one(&account("dev:triage"))),
            ("dev:triage", one(&account("dev:triage"))),
            (" system:serviceaccount:dev:triage ", one(&account("dev:triage"))),
            ("triage", one(&account("dev:triage"))),
            ("fixer", Meant::Many(vec![account("dev:fixer"), account("prod:fixer")])),
            ("prod/fixer", one(&account("prod:fixer"))),
            ("alice@example.com", one("alice@example.com")),
            // Whoever is called so is meant before anybody's ServiceAccount.
            ("bot", one("bot")),
            ("ops:bot", one("ops:bot")),
            ("nobody", unknown(&["nobody"])),
            ("dev/nobody", unknown(&["dev/nobody", "system:serviceaccount:dev:nobody"])),
            ("https://issuer/bob", unknown(&["https://issuer/bob"])),
            ("system:anonymous", unknown(&["system:anonymous"])),
            ("", unknown(&[""])),
        ];
        for (typed, want) in table {
            assert_eq!(meant(typed, &known), want, "{typed}");
        }
    }
}
