//! What somebody means who asks for calls or holds, and what is said where nothing is found: a word that
//! nobody knows is an error with what it was probably meant to be, never an empty list.
//!
//! Names of namespaces are told only to who may list everything, those of agents to who may see calls of theirs.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroUsize,
};

use effects::Builtin;
use jiff::Timestamp;
use ledger::{ACTS, Action, Call, Filter};
use review::{ReviewError, Reviewer, ReviewerError};
use text::{did_you_mean, near};
use upstream::ResourceNames;

use crate::{
    Api, agent_name,
    answer::ApiError,
    begun::{self, has_calls},
    visible,
};

/// Verbs of requests, those of paths that are no resources, and what reviewers do to agents.
const VERBS: [&str; 16] = [
    "get",
    "list",
    "watch",
    "create",
    "update",
    "patch",
    "delete",
    "deletecollection",
    "proxy",
    "post",
    "put",
    "head",
    "options",
    "freeze",
    "thaw",
    "clear",
];

/// Calls by which agents are known to who may not list everything.
const CALLS_LOOKED_AT: usize = 2_000;
/// Agents that are named where an unknown one was asked for.
const AGENTS_NAMED_MAX: usize = 8;

/// A filter of the timeline, and what its words were taken for.
pub(crate) struct Asked {
    pub(crate) filter: Filter,
    /// `user`, `resource`, `apiGroup`, …: as they would be asked for in full.
    pub(crate) meant: BTreeMap<String, String>,
}

/// Reads the query of a timeline.
pub(crate) async fn timeline(
    api: &Api,
    reviewer: &Reviewer,
    query: BTreeMap<String, String>,
) -> Result<Asked, ApiError> {
    let mut filter = Filter::default();
    for (key, value) in &query {
        set(&mut filter, key, value)?;
    }
    if let Some(typed) = filter.agent.take() {
        filter.agent = Some(agent(api, reviewer, &typed).await?);
    }
    if let Some(typed) = filter.resource.take() {
        let meant = resource(api, &typed).await?;
        filter.resource = Some(meant.plural);
        filter.api_group = meant.group.or(filter.api_group);
        filter.subresource = meant.subresource.or(filter.subresource);
    }
    if let Some(typed) = filter.hold.take() {
        filter.hold = Some(begun::hold(api, reviewer, &typed).await?);
    }
    if let [typed] = filter.audit_ids.as_slice() {
        filter.audit_ids = vec![begun::call(api, reviewer, typed).await?];
    }
    let mut meant = query;
    let audit_id = filter.audit_ids.first().cloned();
    let words = [
        ("user", &filter.agent),
        ("resource", &filter.resource),
        ("apiGroup", &filter.api_group),
        ("subresource", &filter.subresource),
        ("verb", &filter.verb),
        ("hold", &filter.hold),
        ("auditID", &audit_id),
    ];
    for (key, value) in words {
        if let Some(value) = value {
            meant.insert(key.to_owned(), value.clone());
        }
    }
    Ok(Asked { filter, meant })
}

fn set(filter: &mut Filter, key: &str, value: &str) -> Result<(), ApiError> {
    let bad = |what: &str| ApiError::BadRequest(format!("{key} must be {what}, not `{value}`"));
    let time = || value.parse::<Timestamp>().map_err(|_| bad("a time like 2026-01-31T08:00:00Z"));
    let flag = || value.parse::<bool>().map_err(|_| bad("true or false"));
    let text = || Some(value.to_owned());
    match key {
        "namespace" => filter.namespace = text(),
        "resource" => filter.resource = text(),
        "apiGroup" => filter.api_group = text(),
        "subresource" => filter.subresource = text(),
        "name" => filter.object = text(),
        "user" => filter.agent = text(),
        "reviewer" => filter.reviewer = text(),
        "verb" => filter.verb = Some(verb(value)?),
        "hold" => filter.hold = text(),
        "auditID" => filter.audit_ids = vec![value.to_owned()],
        "since" => filter.since = Some(time()?),
        "until" => filter.until = Some(time()?),
        "probes" => filter.probes = flag()?,
        "writes" => filter.writes_only = flag()?,
        "limit" => {
            let limit: NonZeroUsize = value.parse().map_err(|_| bad("a number from 1 on"))?;
            filter.limit = Some(limit.get());
        }
        "decision" => decision(filter, value)?,
        _ => return Err(ApiError::BadRequest(format!("there is no filter `{key}`"))),
    }
    Ok(())
}

fn verb(typed: &str) -> Result<String, ApiError> {
    let verb = typed.to_lowercase();
    match VERBS.contains(&verb.as_str()) {
        true => Ok(verb),
        false => Err(unknown("verb", typed, VERBS)),
    }
}

fn decision(filter: &mut Filter, typed: &str) -> Result<(), ApiError> {
    match typed.to_lowercase().as_str() {
        "allow" => filter.action = Some(Action::Allow),
        "hold" => filter.action = Some(Action::Hold),
        "deny" => filter.denied = true,
        "refuse" => filter.action = Some(Action::Refuse),
        _ => return Err(unknown("decision", typed, ["allow", "hold", "deny", "refuse"])),
    }
    Ok(())
}

/// A word that is none of those there are; all of them are named where none is near.
pub(crate) fn unknown<'k>(
    what: &str,
    typed: &str,
    known: impl IntoIterator<Item = &'k str>,
) -> ApiError {
    let known: Vec<&str> = known.into_iter().collect();
    let near = near(typed, known.iter().copied());
    let instead = match near.is_empty() {
        true => format!("; there are {}", known.join(", ")),
        false => did_you_mean(&near),
    };
    ApiError::BadRequest(format!("no {what} `{typed}`{instead}"))
}

/// The username of an agent in any spelling that is printed anywhere, or by its name alone where only one has it.
pub(crate) async fn agent(api: &Api, reviewer: &Reviewer, typed: &str) -> Result<String, ApiError> {
    let known = agents(api, reviewer).await?;
    match agent_name::meant(typed, &known) {
        agent_name::Meant::One(username) => Ok(username),
        agent_name::Meant::Many(usernames) => Err(ApiError::BadRequest(format!(
            "`{typed}` is the name of several agents: {}. Give one of these",
            usernames.join(", ")
        ))),
        agent_name::Meant::Unknown(spellings) => {
            for username in &spellings {
                if has_calls(api, by_agent(username)).await? {
                    return Ok(username.clone());
                }
            }
            Ok(spellings.into_iter().next_back().unwrap_or_default())
        }
    }
}

/// Every agent that was seen, for who may list everything; for others, those of the last calls that they may see.
async fn agents(api: &Api, reviewer: &Reviewer) -> Result<Vec<String>, ApiError> {
    match api.queue.authorize(reviewer, "list", "", "").await {
        Ok(()) => Ok(api.queue.ledger().agents().await?),
        Err(ReviewerError::Forbidden { .. }) => {
            let last = Filter { limit: Some(CALLS_LOOKED_AT), ..Filter::default() };
            let seen = seen(api, reviewer, last).await?;
            let users = seen.into_iter().filter_map(|it| it.user.map(|it| it.username));
            let users: BTreeSet<String> = users.collect();
            Ok(users.into_iter().collect())
        }
        Err(error) => Err(error.into()),
    }
}

/// Calls that a reviewer may see; none, where they may see nothing.
async fn seen(api: &Api, reviewer: &Reviewer, filter: Filter) -> Result<Vec<Call>, ApiError> {
    match visible::calls(api, reviewer, filter).await {
        Ok(seen) => Ok(seen.calls),
        Err(ApiError::Review(ReviewError::Reviewer(ReviewerError::Forbidden { .. }))) => {
            Ok(Vec::new())
        }
        Err(error) => Err(error),
    }
}

/// A resource, by which it is filtered.
struct Resource {
    plural: String,
    group: Option<String>,
    subresource: Option<String>,
}

/// `deploy`, `Deployment`, `deployments.apps`, `deployments.v1.apps`, `deployments/scale`: as kubectl takes them, and as
/// tables print them.
async fn resource(api: &Api, typed: &str) -> Result<Resource, ApiError> {
    let (word, subresource) = match typed.split_once('/') {
        Some((word, subresource)) => (word, Some(subresource.to_owned())),
        None => (typed, None),
    };
    let (name, group) = match word.split_once('.') {
        Some((name, group)) => (name.to_lowercase(), Some(without_version(group))),
        None => (word.to_lowercase(), None),
    };
    let found = |plural: String, group| Ok(Resource { plural, group, subresource });
    let is_plural =
        |it: &&Builtin| it.resource == name && group.as_ref().is_none_or(|g| it.group == *g);
    if Builtin::all().iter().any(|it| is_plural(&it)) || (name == ACTS.1 && group.is_none()) {
        return found(name, group);
    }
    let served = match api.own.resources().await {
        Ok(served) => served,
        Err(error) => {
            tracing::warn!(%error, "what the cluster serves is not known");
            Vec::new()
        }
    };
    let in_group = |it: &&ResourceNames| group.as_ref().is_none_or(|group| it.group == *group);
    let plural = served.iter().filter(in_group).find(|it| it.plural == name);
    if plural.is_some() {
        return found(name, group);
    }
    let called = |it: &&ResourceNames| it.others.contains(&name);
    let all: Vec<&ResourceNames> = served.iter().filter(in_group).filter(called).collect();
    match all.as_slice() {
        [] => {}
        [one, rest @ ..] if rest.iter().all(|it| it.plural == one.plural) => {
            let of_one = || Some(one.group.clone()).filter(|_| rest.is_empty());
            return found(one.plural.clone(), group.clone().or_else(of_one));
        }
        several => {
            let names: Vec<String> = several.iter().map(|it| full(it)).collect();
            return Err(ApiError::BadRequest(format!(
                "`{typed}` is the name of several resources: {}. Give one of these",
                names.join(", ")
            )));
        }
    }
    // What the cluster served once has its calls still.
    let recorded = Filter { resource: Some(name.clone()), limit: Some(1), ..Filter::default() };
    if has_calls(api, recorded).await? {
        return found(name, group);
    }
    if served.is_empty() {
        return Err(ApiError::BadRequest(format!(
            "no call to a resource `{typed}` is recorded, and the cluster does not tell what it serves"
        )));
    }
    let words = served.iter().flat_map(|it| it.others.iter().chain([&it.plural]));
    let near = near(&name, words.map(String::as_str));
    Err(ApiError::BadRequest(format!(
        "the cluster has no resource `{typed}`{}",
        did_you_mean(&near)
    )))
}

fn full(names: &ResourceNames) -> String {
    match names.group.as_str() {
        "" => names.plural.clone(),
        group => format!("{}.{group}", names.plural),
    }
}

/// The group of `v1.apps` and of `apps`.
fn without_version(text: &str) -> String {
    let is_version = |it: &str| {
        it.strip_prefix('v').is_some_and(|it| it.starts_with(|c: char| c.is_ascii_digit()))
    };
    match text.split_once('.') {
        Some((version, group)) if is_version(version) => group.to_owned(),
        None if is_version(text) => String::new(),
        _ => text.to_owned(),
    }
}

/// What is said where nothing was found: that nobody knows what was asked for.
pub(crate) async fn why_nothing(
    api: &Api,
    reviewer: &Reviewer,
    filter: &Filter,
) -> Result<(), ApiError> {
    let known = agents(api, reviewer).await?;
    if api.queue.authorize(reviewer, "list", "", "").await.is_err() {
        return why_nothing_seen(api, reviewer, filter, &known).await;
    }
    if let Some(username) = &filter.agent
        && !known.contains(username)
        && !has_calls(api, by_agent(username)).await?
    {
        return Err(ApiError::NotKnown(no_agent(username, &known)));
    }
    if let Some(name) = &filter.reviewer {
        let decided = Filter { reviewer: Some(name.clone()), limit: Some(1), ..Filter::default() };
        if !has_calls(api, decided).await? {
            return Err(ApiError::NotKnown(format!(
                "no decision of a reviewer `{name}` is recorded"
            )));
        }
    }
    match &filter.namespace {
        Some(name) if !name.is_empty() => namespace(api, name).await,
        _ => Ok(()),
    }
}

/// The same for who may see some namespaces: whether there is what they may not see is not told.
async fn why_nothing_seen(
    api: &Api,
    reviewer: &Reviewer,
    filter: &Filter,
    known: &[String],
) -> Result<(), ApiError> {
    if let Some(username) = filter.agent.as_ref().filter(|it| !known.contains(it)) {
        return Err(ApiError::NotKnown(no_agent(username, known)));
    }
    let Some(name) = &filter.reviewer else { return Ok(()) };
    let decided = Filter { reviewer: Some(name.clone()), limit: Some(1), ..Filter::default() };
    match seen(api, reviewer, decided).await?.is_empty() {
        true => Err(ApiError::NotKnown(format!(
            "no decision of a reviewer `{name}` is recorded in the namespaces that you may list"
        ))),
        false => Ok(()),
    }
}

/// That there is, or was, a namespace.
async fn namespace(api: &Api, name: &str) -> Result<(), ApiError> {
    let recorded = Filter { namespace: Some(name.to_owned()), limit: Some(1), ..Filter::default() };
    // A namespace that was made a moment ago may not be known here yet.
    if api.namespaces.known(name).is_some()
        || !matches!(api.own.namespace_labels(name).await, Ok(None))
        || of_namespace(api, recorded, name).await?
    {
        return Ok(());
    }
    let all = api.namespaces.all();
    let near = near(name, all.iter().map(|(name, _)| name.as_str()));
    Err(ApiError::BadRequest(format!(
        "the cluster has no namespace `{name}`, and no call in it is recorded{}",
        did_you_mean(&near)
    )))
}

/// Calls about every namespace are about this one too, and show nothing of it.
async fn of_namespace(api: &Api, filter: Filter, name: &str) -> Result<bool, ApiError> {
    let calls = api.queue.ledger().calls(Filter { limit: None, ..filter }).await?.items;
    let is_in_it = |it: &ledger::Call| it.request.as_ref().is_some_and(|it| it.namespace == name);
    Ok(calls.iter().any(is_in_it))
}

fn no_agent(username: &str, known: &[String]) -> String {
    let near = near(username, known.iter().map(String::as_str));
    let said = format!("no call of an agent `{username}` is recorded");
    if !near.is_empty() {
        return format!("{said}{}", did_you_mean(&near));
    }
    let mut seen = known.iter().take(AGENTS_NAMED_MAX).cloned().collect::<Vec<_>>().join(", ");
    match known.len().saturating_sub(AGENTS_NAMED_MAX) {
        0 if known.is_empty() => "none yet".clone_into(&mut seen),
        0 => {}
        more => seen.push_str(&format!(" and {more} more (`agents seen` lists all)")),
    }
    format!("{said}; agents seen: {seen}")
}

/// Why somebody is not frozen whom nobody has seen, with whom may have been meant.
pub(crate) async fn never_seen(
    api: &Api,
    reviewer: &Reviewer,
    username: &str,
) -> Result<ApiError, ApiError> {
    let known = agents(api, reviewer).await?;
    let said = no_agent(username, &known);
    Ok(ApiError::NotKnown(format!(
        "nobody is frozen: {said} (--unseen freezes who has yet to come)"
    )))
}

fn by_agent(username: &str) -> Filter {
    Filter { agent: Some(username.to_owned()), limit: Some(1), ..Filter::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_a_word_was_meant_to_be() {
        let say = |error: Result<String, ApiError>| match error {
            Ok(verb) => verb,
            Err(error) => error.to_string(),
        };
        let table = [
            ("DELETE", "delete"),
            ("delet", "no verb `delet`: did you mean `delete`?"),
            ("ptch", "no verb `ptch`: did you mean `patch`?"),
        ];
        for (typed, want) in table {
            assert_eq!(say(verb(typed)), want);
        }
        let all = say(verb("destroy"));
        assert!(all.starts_with("no verb `destroy`; there are get, list,"), "{all}");
        let mut filter = Filter::default();
        assert!(decision(&mut filter, "deny").is_ok() && filter.denied && filter.action.is_none());
        let error = decision(&mut filter, "denied").err().map(|it| it.to_string());
        assert_eq!(error.as_deref(), Some("no decision `denied`: did you mean `deny`?"));
    }

    #[test]
    fn takes_the_version_out_of_a_group() {
        for (typed, want) in [
            ("apps", "apps"),
            ("v1.apps", "apps"),
            ("v1", ""),
            ("v1beta1.example.com", "example.com"),
            ("velero.io", "velero.io"),
        ] {
            assert_eq!(without_version(typed), want, "{typed}");
        }
    }

    #[test]
    fn names_the_agents_that_were_seen() {
        let known: Vec<String> =
            ["dev:triage", "dev:fixer"].map(|it| format!("system:serviceaccount:{it}")).into();
        let text = no_agent("nobody", &known);
        let want = "no call of an agent `nobody` is recorded; agents seen: \
                    system:serviceaccount:dev:triage, system:serviceaccount:dev:fixer";
        assert_eq!(text, want);
        let near = no_agent("system:serviceaccount:dev:fixr", &known);
        assert!(near.ends_with(": did you mean `system:serviceaccount:dev:fixer`?"), "{near}");
        assert!(no_agent("x", &[]).ends_with("agents seen: none yet"));
    }
}
