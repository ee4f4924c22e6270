//! One hold in plain words: who wants to do what to which object, where, and what it costs.
//!
//! Names come from the agent: one that could be read as words of the sentence is put in quotes, and
//! all of it is escaped. What is not known is said, never left out.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::collections::BTreeMap;

use effects::describe;
use hold::GoesWith;
use ledger::{EffectRecord, RequestRecord};
use text::Escaped;

/// A name, an address, an effect: no longer than this in a sentence.
const PART_CHARS_MAX: usize = 160;
/// The details list them all.
const COSTS_MAX: usize = 4;

/// What a sentence is about: the parts of a hold that it speaks of, whatever they are kept in.
#[derive(Clone, Debug)]
pub struct Subject<'a> {
    /// Who asks, as the cluster knows them.
    pub username: &'a str,
    /// What they ask.
    pub request: &'a RequestRecord,
    /// What it would do.
    pub effects: Vec<EffectRecord>,
    /// How many more of each kind there are, where not all are at hand.
    pub more_effects: BTreeMap<String, usize>,
    /// What goes with it; empty where that is not at hand, as in the queue, and then not said.
    pub goes_with: Vec<GoesWith>,
}

impl Subject<'_> {
    /// `ServiceAccount agents/triage wants to delete namespace payments: 2 deployments go with it.`
    pub fn sentence(&self) -> String {
        format!("{} wants to {}.", describe_user(self.username), self.describe_request())
    }

    /// The same without who: `delete namespace payments: 2 deployments go with it`.
    pub fn describe_request(&self) -> String {
        let asked = describe_bare_request(self.request);
        match costs(self) {
            costs if costs.is_empty() => asked,
            costs => format!("{asked}: {}", costs.join("; ")),
        }
    }
}

/// `ServiceAccount agents/triage`, or a user as the cluster knows them.
pub fn describe_user(username: &str) -> String {
    let account = username.strip_prefix("system:serviceaccount:").and_then(|it| it.split_once(':'));
    match account {
        Some((namespace, name)) => format!("ServiceAccount {}/{}", plain(namespace), plain(name)),
        None => plain(username),
    }
}

/// What was asked, as a person would say it: `scale deployment web in namespace prod`.
fn describe_bare_request(request: &RequestRecord) -> String {
    if request.resource.is_empty() {
        return format!("send {} {}", plain(&request.method), plain(&request.request_uri));
    }
    let it = object(request);
    match (request.verb.as_str(), request.subresource.as_str()) {
        ("deletecollection", "") => collection(request),
        ("create", "eviction") => format!("evict {it}"),
        (_, "exec" | "attach") => format!("run code in {it}"),
        (_, "portforward") => format!("open {} of {it}", ports(&request.request_uri)),
        (_, "proxy") => format!("reach {it} through the API server"),
        (_, "ephemeralcontainers") => format!("add a container to {it}"),
        ("create", "token") => format!("mint a token of {it}"),
        ("create", "binding") => format!("bind {it} to a node"),
        ("update" | "patch", "scale") => format!("scale {it}"),
        ("update" | "patch", "status") => format!("change the status of {it}"),
        ("delete", "") => format!("delete {it}"),
        ("create", "") => format!("create {it}"),
        ("update", "") => format!("replace {it}"),
        ("patch", "") => format!("change {it}"),
        (verb, "") => format!("{} {it}", plain(verb)),
        (verb, subresource) => format!("{} {} of {it}", plain(verb), plain(subresource)),
    }
}

/// `port 80`, `ports 80 and 443`, or any where the request names none: the session does, later.
fn ports(uri: &str) -> String {
    let query = uri.split_once('?').map(|(_, query)| query).unwrap_or_default();
    let named = query.split('&').filter_map(|pair| pair.strip_prefix("ports="));
    let ports: Vec<String> = named
        .flat_map(|it| {
            it.replace("%2C", ",").replace("%2c", ",").split(',').map(plain).collect::<Vec<_>>()
        })
        .collect();
    match ports.as_slice() {
        [] => "any port".to_owned(),
        [port] => format!("port {port}"),
        ports => format!("ports {}", joined(ports)),
    }
}

fn collection(request: &RequestRecord) -> String {
    // A selector that is spelled in a way not seen here reads as no selector: the worse case.
    let selects = request.request_uri.contains("elector=");
    let that = if selects { " that match its selector" } else { "" };
    let place = match request.namespace.as_str() {
        "" => " in the whole cluster".to_owned(),
        namespace => format!(" in namespace {}", plain(namespace)),
    };
    format!("delete all {}{}{that}{place}", plain(&request.resource), group(request))
}

/// `deployment web in namespace prod`, `a pod in namespace prod`, `node n1`.
fn object(request: &RequestRecord) -> String {
    let kind = singular(&plain(&request.resource));
    let named = match request.name.as_str() {
        "" => format!("a new {kind}{}", group(request)),
        name => format!("{kind}{} {}", group(request), plain(name)),
    };
    let is_namespace = request.resource == "namespaces" && request.api_group.is_empty();
    match request.namespace.as_str() {
        "" => named,
        _ if is_namespace => named,
        namespace => format!("{named} in namespace {}", plain(namespace)),
    }
}

/// A group that is not Kubernetes' own is named: two groups may have a resource of the same name.
fn group(request: &RequestRecord) -> String {
    if effects::is_builtin(&request.api_group, &request.resource) {
        return String::new();
    }
    match request.api_group.as_str() {
        "" => String::new(),
        group => format!(" ({})", plain(group)),
    }
}

fn singular(resource: &str) -> String {
    describe::singular(resource)
}

/// What it costs, worst known first; what the request itself says already is not said again.
fn costs(subject: &Subject<'_>) -> Vec<String> {
    let (unknown, known): (Vec<_>, Vec<_>) =
        subject.effects.iter().partition(|it| it.kind == "Unknown");
    let mut costs: Vec<String> = unknown.iter().map(|it| unclear(it)).collect();
    let (deleted, other): (Vec<_>, Vec<_>) =
        known.into_iter().partition(|it| subject.request.verb == "deletecollection" && deletes(it));
    let mut more_effects = subject.more_effects.clone();
    let more_deleted = match subject.request.verb.as_str() {
        "deletecollection" => more_effects.remove("Delete").unwrap_or_default(),
        _ => 0,
    };
    costs.extend(objects(&deleted, more_deleted));
    costs.extend(goes_with(&subject.goes_with));
    costs.extend(other.into_iter().filter_map(|it| beyond_the_request(it, subject.request)));
    let more_effects = more_effects.values().fold(0, |sum: usize, it| sum.saturating_add(*it));
    let more = costs.len().saturating_sub(COSTS_MAX).saturating_add(more_effects);
    if more > 0 {
        costs.truncate(COSTS_MAX);
        costs.push(format!("and {more} more"));
    }
    costs
}

fn unclear(effect: &EffectRecord) -> String {
    format!("what it would do is not known ({})", cut(&effect.sentence()))
}

fn deletes(effect: &EffectRecord) -> bool {
    effect.kind == "Delete"
}

/// How many objects of a collection go, and the first of their names.
fn objects(deleted: &[&EffectRecord], more: usize) -> Option<String> {
    let names: Vec<String> =
        deleted.iter().filter(|it| !it.name.is_empty()).map(|it| plain(&it.name)).collect();
    let uncounted = deleted.iter().any(|it| it.name.is_empty());
    match names.as_slice() {
        [] if uncounted => Some("how many there are is not known".to_owned()),
        [] => None,
        [name] if more == 0 => Some(format!("1 object ({name})")),
        names => {
            let count = names.len().saturating_add(more);
            Some(format!("{count} objects ({})", some(names, more)))
        }
    }
}

/// `2 deployments and 14 pods go with it, and secrets that cannot be counted`.
fn goes_with(found: &[GoesWith]) -> Option<String> {
    let counted: Vec<String> = found
        .iter()
        .filter_map(|it| match it.count {
            None | Some(0) => None,
            Some(1) => Some(format!("1 {}", singular(&plain(&it.resource)))),
            Some(count) => Some(format!("{count} {}", plain(&it.resource))),
        })
        .collect();
    let uncounted: Vec<String> =
        found.iter().filter(|it| it.count.is_none()).map(|it| plain(&it.resource)).collect();
    match (counted.is_empty(), uncounted.is_empty()) {
        (true, true) => None,
        (false, true) => {
            let one = counted.len() == 1 && found.iter().any(|it| it.count == Some(1));
            let go = if one { "goes" } else { "go" };
            Some(format!("{} {go} with it", joined(&counted)))
        }
        (true, false) => Some(format!("{} go with it, uncounted", joined(&uncounted))),
        (false, false) => Some(format!(
            "{} go with it, and {} that cannot be counted",
            joined(&counted),
            joined(&uncounted)
        )),
    }
}

/// What an effect says beyond the request: `replicas 10 -> 0`, `with 3 replicas`.
fn beyond_the_request(effect: &EffectRecord, request: &RequestRecord) -> Option<String> {
    let is_asked = effect.name == request.name && effect.resource == request.resource;
    let said = match effect.effect() {
        Ok(effect) => describe::beyond(&effect, is_asked),
        Err(_) => Some(effect.sentence()),
    };
    said.map(|it| cut(&it))
}

fn some(names: &[String], more: usize) -> String {
    let shown: Vec<&str> = names.iter().take(3).map(String::as_str).collect();
    let more = if names.len() > 3 || more > 0 { ", …" } else { "" };
    format!("{}{more}", shown.join(", "))
}

/// `a`, `a and b`, `a, b and c`.
fn joined(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// [`text::plain`], not too long.
fn plain(name: &str) -> String {
    let shown: String = name.chars().take(PART_CHARS_MAX).collect();
    let more = if shown.len() < name.len() { "…" } else { "" };
    format!("{}{more}", text::plain(&shown))
}

fn cut(text: &str) -> String {
    let text = Escaped::line(text);
    let shown: String = text.as_str().chars().take(PART_CHARS_MAX).collect();
    if shown.len() == text.as_str().len() {
        return shown;
    }
    // What is in quotes stays in them: what stands behind is ours again.
    let close = if ends_in_quotes(&shown) { "\"" } else { "" };
    format!("{shown}…{close}")
}

/// Whether a text that is cut ends within quotes.
fn ends_in_quotes(text: &str) -> bool {
    let (mut is_inside, mut is_escaped) = (false, false);
    for it in text.chars() {
        match it {
            '"' if !is_escaped => is_inside = !is_inside,
            _ => {}
        }
        is_escaped = is_inside && it == '\\' && !is_escaped;
    }
    is_inside
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(line: &str) -> RequestRecord {
        let mut words = line.split(' ').map(|word| if word == "-" { "" } else { word });
        let mut next = || words.next().unwrap_or_default().to_owned();
        RequestRecord {
            verb: next(),
            api_group: next(),
            resource: next(),
            subresource: next(),
            namespace: next(),
            name: next().replace('_', " "),
            request_uri: next(),
            method: "DELETE".into(),
            ..RequestRecord::default()
        }
    }

    #[test]
    fn says_what_was_asked() {
        let table = [
            ("delete - namespaces - payments payments", "delete namespace payments"),
            ("delete - nodes - - n1", "delete node n1"),
            ("create apps deployments - prod web", "create deployment web in namespace prod"),
            ("create - pods - prod -", "create a new pod in namespace prod"),
            ("patch apps deployments scale prod web", "scale deployment web in namespace prod"),
            ("create - pods exec prod db", "run code in pod db in namespace prod"),
            ("create - pods portforward prod db /x", "open any port of pod db in namespace prod"),
            (
                "get - pods portforward prod db /x?ports=80",
                "open port 80 of pod db in namespace prod",
            ),
            (
                "get - pods portforward prod db /x?ports=80&a=b&ports=5432%2C22",
                "open ports 80, 5432 and 22 of pod db in namespace prod",
            ),
            ("create - pods eviction prod db", "evict pod db in namespace prod"),
            ("update - configmaps - prod a", "replace configmap a in namespace prod"),
            ("patch x.io widgets - prod a", "change widget (x.io) a in namespace prod"),
            ("deletecollection - pods - prod - /x", "delete all pods in namespace prod"),
            (
                "deletecollection - pods - prod - /x?labelSelector=a",
                "delete all pods that match its selector in namespace prod",
            ),
            ("deletecollection - nodes - - - /x", "delete all nodes in the whole cluster"),
            ("delete - - - - - /metrics", "send DELETE /metrics"),
            (
                "delete - pods - prod web_in_namespace_test",
                "delete pod \"web in namespace test\" in namespace prod",
            ),
            (
                "delete - pods - prod a\u{1b}[2J\"",
                "delete pod \"a\\u{1b}[2J\\\"\" in namespace prod",
            ),
        ];
        for (line, want) in table {
            assert_eq!(describe_bare_request(&request(line)), want, "{line}");
        }
    }

    #[test]
    fn what_is_cut_ends_its_quotes() {
        let table = [
            (format!("image: a -> {}", text::plain(&"b ".repeat(200))), true),
            (format!("image: {} -> {}", text::plain("a \\"), "b".repeat(200)), false),
            (format!("image: {} -> {}", text::plain("a \" b"), "b".repeat(200)), false),
        ];
        for (sentence, is_closed) in table {
            let cut = cut(&sentence);
            assert_eq!(cut.ends_with("…\""), is_closed, "{cut}");
            assert!(!ends_in_quotes(&cut), "{cut}");
        }
        assert!(plain(&"b ".repeat(200)).ends_with("\"…"));
    }

    #[test]
    fn says_what_it_costs() {
        let effect = |kind: &str, name: &str, detail: &str| EffectRecord {
            kind: kind.into(),
            resource: "pods".into(),
            namespace: "prod".into(),
            name: name.into(),
            detail: detail.into(),
            ..EffectRecord::default()
        };
        let own = request("delete - pods - prod db");
        let table = [
            (effect("Delete", "db", "deletes pod prod/db"), None),
            (
                effect("Delete", "db", "deletes pod prod/db with 3 replicas"),
                Some("with 3 replicas"),
            ),
            (effect("Delete", "x", "deletes pod prod/x"), Some("deletes pod prod/x")),
            (effect("ScaleDown", "db", "replicas 10 -> 0"), Some("replicas 10 -> 0")),
        ];
        for (effect, want) in table {
            assert_eq!(beyond_the_request(&effect, &own).as_deref(), want, "{}", effect.detail);
        }
        let deleted = [effect("Delete", "a", ""), effect("Delete", "b", "")];
        let deleted: Vec<&EffectRecord> = deleted.iter().collect();
        assert_eq!(objects(&deleted, 0).as_deref(), Some("2 objects (a, b)"));
        assert_eq!(objects(&deleted, 2_998).as_deref(), Some("3000 objects (a, b, …)"));
        assert_eq!(
            objects(&[&effect("Delete", "", "deletes all")], 0).as_deref(),
            Some("how many there are is not known")
        );
        let found =
            |resource: &str, count| GoesWith { resource: resource.into(), count, names: vec![] };
        let table = [
            (vec![found("pods", Some(1))], Some("1 pod goes with it")),
            (
                vec![found("pods", Some(2)), found("jobs", Some(3)), found("secrets", None)],
                Some("2 pods and 3 jobs go with it, and secrets that cannot be counted"),
            ),
            (vec![found("pods", Some(0))], None),
        ];
        for (found, want) in table {
            assert_eq!(goes_with(&found).as_deref(), want);
        }
    }
}
