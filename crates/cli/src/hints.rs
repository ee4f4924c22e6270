//! What a person can do about an error, as a command to type where there is one.

use api::CauseReason;
use upstream::CredentialEnd;

use crate::{moment, program};

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

/// What led to an answer of the server, as its `Status` says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Causes(Vec<(CauseReason, String)>);

impl Causes {
    /// The causes that this version knows; others say nothing that could be done.
    pub(crate) fn of_status(status: &kube::core::Status) -> Self {
        let causes = status.details.iter().flat_map(|details| &details.causes);
        let known =
            causes.filter_map(|it| Some((CauseReason::parse(&it.reason)?, it.message.clone())));
        Self(known.collect())
    }

    fn get(&self, reason: CauseReason) -> Option<&str> {
        self.0.iter().find(|it| it.0 == reason).map(|it| it.1.as_str())
    }
}

/// What to do about an answer of the server; `None` where its message says all.
pub(crate) fn on_answer(code: u16, causes: &Causes, flags: &Flags) -> Option<String> {
    let flags = &flags.0;
    match code {
        401 => Some(format!("The cluster says who you are: kubectl auth whoami{flags}")),
        403 if causes.get(CauseReason::NeverReviews).is_some() => Some(
            "Review as a person: give a kubeconfig or context of yours with --kubeconfig or --context"
                .to_owned(),
        ),
        403 => {
            let verb = causes.get(CauseReason::MissingVerb).filter(|it| is_name(it))?;
            let (place, namespace) = match causes.get(CauseReason::MissingInNamespace) {
                None => ("for all namespaces", String::new()),
                Some(it) if is_name(it) => ("there", format!(" -n {it}")),
                Some(_) => return None,
            };
            // `can-i VERB` looks for a resource that the API server has, and says no of any other.
            Some(format!(
                "The verb `{verb}` on holds.agent-shield.io is missing {place} (`{} rbac reviewer` prints roles for it); what you may:\n  kubectl auth can-i --list{namespace}{flags}",
                program::name()
            ))
        }
        _ => None,
    }
}

/// What to do where the API server answered in place of the review API.
pub(crate) fn on_other_door(review: Option<&str>) -> String {
    let review = match review {
        Some(url) => format!("reviewers use {url}"),
        None => "reviewers use the `review` URL of its endpoints.json".to_owned(),
    };
    format!(
        "the API server answers there, as it does where agents connect; {review} (--server).\n\
         Whoever is taken for an agent by now can have that ended: `{} agents clear`",
        program::name()
    )
}

/// What to do about a credential that has ended.
pub(crate) fn on_end(end: &CredentialEnd) -> String {
    let (what, at) = (end.kind.words(), moment::shown(end.at));
    format!("Your kubeconfig has {what} that expired at {at}: get a new one")
}

/// Whether it is a name as Kubernetes has them: an agent may have chosen it, and the command is made to
/// be pasted into a shell.
fn is_name(text: &str) -> bool {
    let is_inner = |it: char| it.is_ascii_lowercase() || it.is_ascii_digit() || it == '-';
    !text.is_empty() && text.chars().all(is_inner) && !text.starts_with('-')
}

/// What to do where no answer came.
pub(crate) fn on_silence(why: &str) -> String {
    let has = |words: &[&str]| words.iter().any(|it| why.contains(it));
    let do_this = if has(&["certificate", "UnknownIssuer", "BadSignature"]) {
        "Give the ca.crt of its data directory with --ca (without it, the system's certificates count), and a name that its certificate has (`--tls-san` of serve)"
    } else if has(&["refused"]) {
        "Nothing listens there: start `agent-shield serve`, or give the `review` URL of its endpoints.json with --server"
    } else if has(&["dns", "lookup", "resolve"]) {
        "Its name is not known here: give the `review` URL of its endpoints.json with --server"
    } else {
        "Is agent-shield running there (see endpoints.json in its data directory), and is --ca its ca.crt?"
    };
    do_this.to_owned()
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
        let may_not = |verb: &str, namespace: Option<&str>| {
            let namespace = namespace.map(|it| (CauseReason::MissingInNamespace, it.to_owned()));
            let verb = (CauseReason::MissingVerb, verb.to_owned());
            Causes([verb].into_iter().chain(namespace).collect())
        };
        let table = [
            (may_not("approve", Some("prod")), Some("--list -n prod")),
            (may_not("list", None), Some("--list")),
            (may_not("freeze", None), Some("--list")),
            (may_not("deny", Some("a; reboot")), None),
            (may_not("deny", Some("--all")), None),
            (may_not("$(reboot)", Some("prod")), None),
            (Causes::default(), None),
        ];
        for (causes, want) in table {
            let got = on_answer(403, &causes, &Flags::default());
            let command = got.as_deref().and_then(|it| it.split_once("kubectl auth can-i "));
            assert_eq!(command.map(|it| it.1), want, "{causes:?}");
        }
        let flags = Flags::new(Some("/a b"), Some("dev"));
        let want =
            "The cluster says who you are: kubectl auth whoami --kubeconfig '/a b' --context dev";
        assert_eq!(on_answer(401, &Causes::default(), &flags).as_deref(), Some(want));
        let never = Causes(vec![(CauseReason::NeverReviews, "it is a node".to_owned())]);
        assert!(on_answer(403, &never, &flags).is_some_and(|it| it.contains("as a person")));
        assert_eq!(on_answer(404, &Causes::default(), &flags), None);
    }

    #[test]
    fn reads_the_causes_of_a_status() {
        let status = serde_json::json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": "no", "reason": "Forbidden", "code": 403,
            "details": {"causes": [
                {"reason": "OfTomorrow", "message": "x", "field": "y"},
                {"reason": "MissingVerb", "message": "thaw", "field": "verb"},
            ]},
        });
        let status = serde_json::from_value(status).expect("a Status");
        let causes = Causes::of_status(&status);
        assert_eq!(causes.get(CauseReason::MissingVerb), Some("thaw"));
        assert_eq!(causes.0.len(), 1);
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

    #[test]
    fn says_what_has_ended_and_when() {
        let at = "2026-01-31T08:30:05.7Z".parse().unwrap_or_default();
        let end = CredentialEnd { kind: upstream::CredentialKind::Token, at, since: None };
        let want =
            "Your kubeconfig has a token that expired at 2026-01-31T08:30:05Z: get a new one";
        assert_eq!(on_end(&end), want);
    }
}
