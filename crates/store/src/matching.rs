//! Whether an entry is what somebody looks for.

use ledger::{Action, Entry, Filter, RequestRecord};

/// Connections into pods: over WebSocket they are GETs, and no reads.
pub(crate) const CONNECTS: [&str; 4] = ["exec", "attach", "portforward", "proxy"];

/// Groups whose objects are questions: to create one stores nothing.
const REVIEWS: [&str; 2] = ["authentication.k8s.io", "authorization.k8s.io"];

/// Whether an entry of a read matches by itself: all of the filter but the hold and who decided on it, which
/// a read has not, and the page. `is_orphan` is of a probe: no entry tells of the call that it was made for.
pub(crate) fn matches(entry: &Entry, filter: &Filter, is_orphan: bool) -> bool {
    let is = |want: &Option<String>, of: fn(&RequestRecord) -> &String| {
        want.as_ref().is_none_or(|want| entry.request.as_ref().is_some_and(|it| of(it) == want))
    };
    let username = entry.user.as_ref().map(|user| &user.username);
    let action = entry.decision.as_ref().map(|it| it.action);
    let spans = entry.request.as_ref().is_some_and(RequestRecord::spans_namespaces);
    (is(&filter.namespace, |it| &it.namespace) || spans)
        && is(&filter.resource, |it| &it.resource)
        && is(&filter.api_group, |it| &it.api_group)
        && is(&filter.subresource, |it| &it.subresource)
        && is(&filter.name, |it| &it.name)
        && is(&filter.object, |it| &it.name)
        && is(&filter.verb, |it| &it.verb)
        && filter.username.as_ref().is_none_or(|want| username == Some(want))
        && filter
            .agent
            .as_ref()
            .is_none_or(|want| username == Some(want) || is_done_to(entry, want))
        && filter.action.is_none_or(|want| action == Some(want))
        && filter.since.is_none_or(|since| entry.time >= since)
        && filter.until.is_none_or(|until| entry.time <= until)
        && (filter.audit_ids.is_empty() || filter.audit_ids.contains(&entry.audit_id))
        && (filter.probes || entry.probe_of.is_none() || is_orphan)
        && (!filter.writes_only || is_write(entry))
        && (!filter.shadowed || is_shadowed(entry))
}

/// Whether rules that did not count would have asked.
fn is_shadowed(entry: &Entry) -> bool {
    entry.decision.as_ref().is_some_and(|it| !it.shadow.is_empty())
}

/// Whether it tells what a reviewer did to this agent.
fn is_done_to(entry: &Entry, agent: &str) -> bool {
    let is_of = |it: &RequestRecord| it.is_act() && it.name == agent;
    entry.user.is_none() && entry.request.as_ref().is_some_and(is_of)
}

/// Whether something may have been changed. What only asks stores nothing, unless it was held or denied:
/// then somebody took it for a write.
fn is_write(entry: &Entry) -> bool {
    let Some(request) = &entry.request else { return false };
    let reads = matches!(request.verb.as_str(), "get" | "list" | "watch" | "head");
    let connects = CONNECTS.contains(&request.subresource.as_str());
    let asks = request.dry_run
        || (request.verb == "create" && REVIEWS.contains(&request.api_group.as_str()));
    let action = entry.decision.as_ref().map(|it| it.action);
    let counts = entry.probe_of.is_some() || matches!(action, Some(Action::Hold | Action::Deny));
    (!reads || connects) && (counts || !asks)
}
