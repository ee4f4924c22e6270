//! Whether an entry is what somebody looks for.

use ledger::{Entry, Filter, RequestRecord};

/// Connections into pods: over WebSocket they are GETs, and no reads.
pub(crate) const CONNECTS: [&str; 4] = ["exec", "attach", "portforward", "proxy"];

/// Whether an entry matches by itself: all of the filter but the hold, which stands in other entries of
/// the same call, and the page.
pub(crate) fn matches(entry: &Entry, filter: &Filter) -> bool {
    let is = |want: &Option<String>, of: fn(&RequestRecord) -> &String| {
        want.as_ref().is_none_or(|want| entry.request.as_ref().is_some_and(|it| of(it) == want))
    };
    let username = entry.user.as_ref().map(|user| &user.username);
    let action = entry.decision.as_ref().map(|it| it.action);
    is(&filter.namespace, |it| &it.namespace)
        && is(&filter.resource, |it| &it.resource)
        && is(&filter.name, |it| &it.name)
        && is(&filter.verb, |it| &it.verb)
        && filter.username.as_ref().is_none_or(|want| username == Some(want))
        && filter.action.is_none_or(|want| action == Some(want))
        && filter.since.is_none_or(|since| entry.time >= since)
        && filter.until.is_none_or(|until| entry.time <= until)
        && (filter.audit_ids.is_empty() || filter.audit_ids.contains(&entry.audit_id))
        && (filter.probes || entry.probe_of.is_none())
        && (!filter.writes_only || is_write(entry))
}

fn is_write(entry: &Entry) -> bool {
    entry.request.as_ref().is_some_and(|request| {
        !matches!(request.verb.as_str(), "get" | "list" | "watch" | "head")
            || CONNECTS.contains(&request.subresource.as_str())
    })
}
