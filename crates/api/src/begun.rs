//! Which hold, or which call, is meant by the beginning of its id.
//!
//! Of what a reviewer may not see, nobody tells them whether it is there: what begins so is looked for
//! among what they may list.

use std::{collections::BTreeSet, time::Duration};

use hold::{Hold, HoldFilter};
use jiff::Timestamp;
use ledger::{Filter, Ledger, StoreError};
use review::Reviewer;

use crate::{
    Api,
    answer::ApiError,
    visible::{namespace_of, visible},
};

/// Two letters of a hold's id name one of 784.
const HOLD_LETTERS_MIN: usize = 2;
/// Between when a call began and what is told of it first.
const TOLD_AFTER_MAX: Duration = Duration::from_secs(60);
/// Ids that are named where several begin so.
const NAMED_MAX: usize = 5;

/// The id of a hold that is recorded: the one that was typed, or the only one that begins so.
pub(crate) async fn hold(api: &Api, reviewer: &Reviewer, typed: &str) -> Result<String, ApiError> {
    let typed = typed.trim().to_ascii_lowercase();
    let of_hold = Filter { hold: Some(typed.clone()), limit: Some(1), ..Filter::default() };
    if has_calls(api, Filter { probes: true, ..of_hold }).await? {
        return Ok(typed);
    }
    let begins = HoldFilter { id_begins: Some(typed.clone()), ..HoldFilter::default() };
    let holds = api.queue.list(begins).await?;
    let place = |it: &Hold| it.summary().request.namespace.clone();
    let seen = visible(api, reviewer, None, holds.iter().map(place).collect()).await?;
    let ids = holds.iter().filter(|it| seen.has(&place(it))).map(|it| it.id().to_string());
    only("hold", &typed, typed.len() >= HOLD_LETTERS_MIN, ids.collect())
}

/// The audit id of a call that is recorded: the one that was typed, or the only one that begins so.
pub(crate) async fn call(api: &Api, reviewer: &Reviewer, typed: &str) -> Result<String, ApiError> {
    let typed = typed.trim().to_ascii_lowercase();
    let exactly = Filter { audit_ids: vec![typed.clone()], limit: Some(1), ..Filter::default() };
    if has_calls(api, Filter { probes: true, ..exactly }).await? {
        return Ok(typed);
    }
    let Some((since, until)) = ledger::began_between(&typed) else {
        return only("call", &typed, typed.len() >= ledger::TELLING_DIGITS_MIN, BTreeSet::new());
    };
    let until = until.checked_add(TOLD_AFTER_MAX).unwrap_or(Timestamp::MAX);
    let then = Filter { since: Some(since), until: Some(until), probes: true, ..Filter::default() };
    let mut calls = api.queue.ledger().calls(then).await?.items;
    calls.retain(|it| it.audit_id.starts_with(&typed));
    let seen = visible(api, reviewer, None, calls.iter().map(namespace_of).collect()).await?;
    let ids = calls.iter().filter(|it| seen.has(&namespace_of(it))).map(|it| it.audit_id.clone());
    only("call", &typed, true, ids.collect())
}

/// The only one of the ids that begin as typed.
fn only(what: &str, typed: &str, is_long: bool, ids: BTreeSet<String>) -> Result<String, ApiError> {
    let mut all = ids.into_iter();
    let first = all.next().filter(|_| is_long);
    let named: Vec<String> = first.iter().cloned().chain(all).take(NAMED_MAX).collect();
    match (first, named.as_slice()) {
        (Some(one), [_]) => Ok(one),
        (Some(_), _) => Err(ApiError::BadRequest(format!(
            "more than one {what} begins with `{typed}`: {}; give more of it",
            named.join(", ")
        ))),
        (None, _) if !is_long => Err(ApiError::BadRequest(format!(
            "`{typed}` is too little of the id of a {what}: give more of it"
        ))),
        (None, _) => Err(ApiError::NotKnown(format!(
            "nothing is recorded of a {what} whose id is `{typed}` or begins so"
        ))),
    }
}

/// Whether any call is so.
pub(crate) async fn has_calls(api: &Api, filter: Filter) -> Result<bool, StoreError> {
    let ledger: &dyn Ledger = api.queue.ledger().as_ref();
    Ok(!ledger.calls(filter).await?.items.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_is_meant() {
        let say = |is_long: bool, ids: &[&str]| {
            let ids = ids.iter().map(|it| (*it).to_owned()).collect();
            only("hold", "k3", is_long, ids).unwrap_or_else(|error| error.to_string())
        };
        assert_eq!(say(true, &["k3mq7xzw"]), "k3mq7xzw");
        let many = "more than one hold begins with `k3`: k3mq7xzw, k3pp2222; give more of it";
        assert_eq!(say(true, &["k3mq7xzw", "k3pp2222"]), many);
        assert_eq!(
            say(false, &["k3mq7xzw"]),
            "`k3` is too little of the id of a hold: give more of it"
        );
        assert!(say(true, &[]).starts_with("nothing is recorded of a hold"));
    }
}
