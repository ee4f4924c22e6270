//! What a person can do about an error, as a command to type where there is one.

/// Which part of the connection was given on the command line, to be given to kubectl as well.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flags(String);

impl Flags {
    /// The flags that choose who asks.
    pub(crate) fn new(kubeconfig: Option<&str>, context: Option<&str>) -> Self {
        let mut flags = String::new();
        for (flag, value) in [("--kubeconfig", kubeconfig), ("--context", context)] {
            if let Some(value) = value {
                flags.push_str(&format!(" {flag} {}", quoted(value)));
            }
        }
        Self(flags)
    }
}

/// What to do about an answer of the server; `None` where its message says all.
pub(crate) fn on_answer(code: u16, message: &str, flags: &Flags) -> Option<String> {
    let flags = &flags.0;
    match code {
        401 => Some(format!("The cluster says who you are: kubectl auth whoami{flags}")),
        403 if message.contains(" can never review: ") => Some(
            "Review as a person: give a kubeconfig or context of yours with --kubeconfig or --context"
                .to_owned(),
        ),
        403 => {
            let (verb, place) = missing(message)?;
            Some(format!(
                "The verb `{verb}` on holds.agent-shield.io is missing; ask the cluster with:\n  kubectl auth can-i {verb} holds.agent-shield.io {place}{flags}"
            ))
        }
        _ => None,
    }
}

/// What to do where no answer came.
pub(crate) fn on_silence(why: &str) -> String {
    let has = |words: &[&str]| words.iter().any(|it| why.contains(it));
    let do_this = if has(&["certificate", "UnknownIssuer", "BadSignature"]) {
        "Give the ca.crt of its data directory with --ca, and a name that its certificate has (`--tls-san` of serve)"
    } else if has(&["refused"]) {
        "Nothing listens there: start `agent-shield serve`, or give the `review` URL of its endpoints.json with --server"
    } else if has(&["dns", "lookup", "resolve"]) {
        "Its name is not known here: give the `review` URL of its endpoints.json with --server"
    } else {
        "Is agent-shield running there (see endpoints.json in its data directory), and is --ca its ca.crt?"
    };
    do_this.to_owned()
}

/// The verb and the place of `… may not VERB holds.agent-shield.io PLACE; …`, as kubectl takes them.
fn missing(message: &str) -> Option<(&str, String)> {
    let (before, after) = message.split_once(" holds.agent-shield.io ")?;
    let verb = before.rsplit(' ').next()?;
    if !matches!(verb, "get" | "list" | "approve" | "deny") {
        return None;
    }
    if after.starts_with("in all namespaces") {
        return Some((verb, "-A".to_owned()));
    }
    let namespace = after.strip_prefix("in namespace `")?.split('`').next()?;
    // An agent may have named it, and the command is made to be pasted into a shell.
    let is_name = |it: char| it.is_ascii_lowercase() || it.is_ascii_digit() || it == '-';
    let is_namespace = !namespace.is_empty() && namespace.chars().all(is_name);
    (is_namespace && !namespace.starts_with('-')).then(|| (verb, format!("-n {namespace}")))
}

fn quoted(text: &str) -> String {
    let is_plain = |it: char| it.is_ascii_alphanumeric() || "-_./:@".contains(it);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_missing_verb_and_how_to_ask_for_it() {
        let may_not = |verb: &str, place: &str| {
            format!(
                "`alice` may not {verb} holds.agent-shield.io {place}; to allow it, bind a role"
            )
        };
        let table = [
            (
                may_not("approve", "in namespace `prod`"),
                Some("approve holds.agent-shield.io -n prod"),
            ),
            (may_not("list", "in all namespaces"), Some("list holds.agent-shield.io -A")),
            (may_not("deny", "in namespace `a; reboot`"), None),
            (may_not("deny", "in namespace `--all`"), None),
            (may_not("$(reboot)", "in namespace `prod`"), None),
            ("something else".to_owned(), None),
        ];
        for (message, want) in table {
            let got = on_answer(403, &message, &Flags::default());
            let command = got.as_deref().and_then(|it| it.split_once("kubectl auth can-i "));
            assert_eq!(command.map(|it| it.1), want, "{message}");
        }
        let flags = Flags::new(Some("/a b"), Some("dev"));
        let want =
            "The cluster says who you are: kubectl auth whoami --kubeconfig '/a b' --context dev";
        assert_eq!(on_answer(401, "", &flags).as_deref(), Some(want));
        let never = "`system:node:a` can never review: it is a node";
        assert!(on_answer(403, never, &flags).is_some_and(|it| it.contains("as a person")));
        assert_eq!(on_answer(404, "there is no hold", &flags), None);
    }

    #[test]
    fn says_what_to_do_about_silence() {
        let table = [
            ("tcp connect error: Connection refused (os error 111)", "start `agent-shield serve`"),
            ("invalid peer certificate: UnknownIssuer", "--ca"),
            ("dns error: failed to lookup address", "--server"),
            ("connection reset", "endpoints.json"),
        ];
        for (why, want) in table {
            assert!(on_silence(why).contains(want), "{why}");
        }
    }
}
