//! The routes, and who may take each.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use audit::{Sent, Tagger};
use authn::{TokenError, User};
use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, FromRequestParts, Path, Query, State},
    http::{HeaderMap, Uri, header, request::Parts},
    routing::{get, post},
};
use hold::{DENIAL_TIME_MAX, Hold, HoldFilter, HoldId, Shown, StateName};
use jiff::Timestamp;
use ledger::Filter;
use review::{ReviewError, Reviewer};
use rustls::pki_types::CertificateDer;
use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    Api,
    answer::ApiError,
    asked::{self, Asked},
    body::{
        AgentBody, Approval, CallBody, Cleared, Denied, Extension, FreezeAsked, FreezeBody,
        HoldDetail, HoldSummary, List, LookBody, Lookup, NamespaceBody, Reason, StatusBody,
        TaggedCall, Tags, Thawed, Timeline, VersionBody,
    },
    status,
    visible::{self, SeenCalls, visible},
};

const BODY_BYTES_MAX: usize = 64 << 10;
/// Holds in one answer.
const HOLDS_MAX: usize = 10_000;
/// Audit ids in one question; 36 characters each.
const LOOKUP_MAX: usize = 1_000;

/// The chain that a reviewer's client showed, not verified yet, in the extensions of a request.
#[derive(Clone)]
pub(crate) struct PeerCertificate(pub(crate) Arc<[CertificateDer<'static>]>);

pub(crate) fn router(api: Api) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route("/v1/holds", get(list))
        .route("/v1/holds/{id}", get(show))
        .route("/v1/holds/{id}/approve", post(approve))
        .route("/v1/holds/{id}/withdraw", post(withdraw))
        .route("/v1/holds/{id}/deny", post(deny))
        .route("/v1/holds/{id}/lift", post(lift))
        .route("/v1/holds/{id}/extend", post(extend))
        .route("/v1/denials", get(denials))
        .route("/v1/timeline", get(timeline))
        .route("/v1/timeline/lookup", post(lookup))
        .route("/v1/timeline/tags", post(tags))
        .route("/v1/agents", get(agents))
        .route("/v1/agents/seen", get(agents_seen))
        .route("/v1/agents/{user}/clear", post(clear))
        .route("/v1/agents/{user}/freeze", post(freeze))
        .route("/v1/agents/{user}/thaw", post(thaw))
        .route("/v1/freezes", get(freezes))
        .route("/v1/namespaces", get(namespaces))
        .route("/v1/status", get(status))
        .route("/v1/version", get(version))
        .fallback(no_route)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(api)
}

/// What a connection is answered that is one too many, whatever it asks.
pub(crate) fn crowded() -> Router {
    Router::new().fallback(|| async { ([(header::CONNECTION, "close")], ApiError::Crowded) })
}

/// An authenticated reviewer: a route that takes one cannot be reached without.
struct Who(Reviewer);

impl FromRequestParts<Api> for Who {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        let user = authenticate(parts, api).await?;
        Ok(Self(api.queue.admit(user).await?))
    }
}

async fn authenticate(parts: &Parts, api: &Api) -> Result<User, ApiError> {
    let headers = &parts.headers;
    if let Some(name) = headers.keys().find(|name| {
        let name = name.as_str().replace('_', "-");
        name.starts_with("impersonate-") || name.starts_with("x-remote-")
    }) {
        return Err(ApiError::Impersonates(name.to_string()));
    }
    let certificate = parts.extensions.get::<PeerCertificate>();
    let user = match (token(headers)?, certificate) {
        (Some(_), Some(_)) => return Err(ApiError::TwoCredentials),
        (None, None) => return Err(ApiError::Unauthenticated),
        (None, Some(PeerCertificate(chain))) => {
            api.certificates.user(chain).map_err(ApiError::Certificate)?
        }
        (Some(token), None) => api.tokens.user(&token).await.map_err(|error| match error {
            TokenError::Unauthenticated => ApiError::UnknownCredential,
            TokenError::NoAnswer(why) => ApiError::Unavailable(why.to_string()),
            TokenError::Unavailable(why) => ApiError::Unavailable(why),
        })?,
    };
    Ok(user)
}

fn token(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    if headers.get_all(header::AUTHORIZATION).iter().count() > 1 {
        return Err(ApiError::TwoCredentials);
    }
    match attributes::headers::credential(headers) {
        Ok(attributes::headers::Credential::Bearer(token)) => Ok(Some(token)),
        Ok(attributes::headers::Credential::None) => Ok(None),
        Err(error) => Err(ApiError::BadRequest(error.to_string())),
    }
}

/// To reviewers alone: what runs here is nobody else's to know.
async fn version(_: Who) -> Json<VersionBody> {
    Json(VersionBody { version: env!("CARGO_PKG_VERSION").to_owned() })
}

async fn no_route(_: Who, uri: Uri) -> ApiError {
    ApiError::NoRoute(uri.path().to_owned())
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct HoldsQuery {
    state: Option<String>,
    namespace: Option<String>,
    user: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DenialsQuery {
    namespace: Option<String>,
    user: Option<String>,
}

async fn list(
    State(api): State<Api>,
    Who(reviewer): Who,
    query: Result<Query<HoldsQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<List<HoldSummary>>, ApiError> {
    let query = query.map_err(|error| ApiError::BadRequest(error.body_text()))?.0;
    let states = match query.state.as_deref() {
        None => StateName::OPEN.to_vec(),
        Some("all") => Vec::new(),
        Some(state) => match StateName::parse(&state.to_lowercase()) {
            Some(state) => vec![state],
            None => {
                let states = StateName::ALL.map(StateName::as_str).into_iter().chain(["all"]);
                return Err(asked::unknown("state", state, states));
            }
        },
    };
    let of = Of::read(&api, &reviewer, query.namespace, query.user).await?;
    let filter = HoldFilter { states, ..of.filter() };
    let holds = api.queue.list(filter).await?;
    summaries(&api, &reviewer, of, holds).await
}

/// Denials that bind now.
async fn denials(
    State(api): State<Api>,
    Who(reviewer): Who,
    query: Result<Query<DenialsQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<List<HoldSummary>>, ApiError> {
    let query = query.map_err(|error| ApiError::BadRequest(error.body_text()))?.0;
    let now = review::now();
    let of = Of::read(&api, &reviewer, query.namespace, query.user).await?;
    let filter = HoldFilter {
        states: vec![StateName::Denied],
        // Without a moment before it, nothing is too old.
        changed_since: now.checked_sub(DENIAL_TIME_MAX).ok(),
        ..of.filter()
    };
    let mut holds = api.queue.list(filter).await?;
    let bars = bars(&holds, now);
    let binds = |hold: &Hold| hold.denial().is_some_and(|it| it.binds(now));
    holds.retain(|hold| binds(hold) || bars.contains_key(hold.id()));
    let mut listed = summaries(&api, &reviewer, of, holds).await?;
    for hold in &mut listed.items {
        hold.barred_until = bars.get(&HoldId::parse(&hold.id)).copied();
    }
    Ok(listed)
}

/// The last denial of each object about which an agent may not ask at all, and until when.
fn bars(denied: &[Hold], now: Timestamp) -> BTreeMap<HoldId, Timestamp> {
    let mut of_object: BTreeMap<_, Vec<&Hold>> = BTreeMap::new();
    for hold in denied {
        let key = (hold.summary().user.username.clone(), hold.object());
        of_object.entry(key).or_default().push(hold);
    }
    let bars = of_object.values().filter_map(|it| hold::barred(it, now));
    bars.map(|(last, until)| (last.id().clone(), until)).collect()
}

/// Where the holds are that are asked for, and whose.
struct Of {
    namespace: Option<String>,
    username: Option<String>,
}

impl Of {
    async fn read(
        api: &Api,
        reviewer: &Reviewer,
        namespace: Option<String>,
        user: Option<String>,
    ) -> Result<Self, ApiError> {
        let username = match user {
            Some(typed) => Some(asked::agent(api, reviewer, &typed).await?),
            None => None,
        };
        Ok(Self { namespace, username })
    }

    fn filter(&self) -> HoldFilter {
        HoldFilter {
            namespace: self.namespace.clone(),
            username: self.username.clone(),
            // One more than are listed tells that there are more.
            limit: Some(HOLDS_MAX + 1),
            ..HoldFilter::default()
        }
    }
}

/// Of these holds, those that the reviewer may see.
async fn summaries(
    api: &Api,
    reviewer: &Reviewer,
    of: Of,
    mut holds: Vec<Hold>,
) -> Result<Json<List<HoldSummary>>, ApiError> {
    let left_out = holds.len() > HOLDS_MAX;
    holds.truncate(HOLDS_MAX);
    let place = |hold: &Hold| hold.summary().request.namespace.clone();
    let places = holds.iter().map(place).collect();
    let seen = visible(api, reviewer, of.namespace.as_deref(), places).await?;
    let holds: Vec<Hold> = holds.into_iter().filter(|hold| seen.has(&place(hold))).collect();
    if holds.is_empty() {
        let (namespace, agent) = (of.namespace, of.username);
        let filter = Filter { namespace, agent, ..Filter::default() };
        asked::why_nothing(api, reviewer, &filter).await?;
    }
    let ids: Vec<HoldId> = holds.iter().map(|hold| hold.id().clone()).collect();
    let waiting = api.queue.waiting(&ids).await?;
    let freezes = api.queue.all_freezes().await?;
    let freeze_of = |hold: &Hold| {
        freezes.iter().find(|it| it.username == hold.summary().user.username).cloned()
    };
    let summary = |(hold, waiting)| HoldSummary::of(hold, waiting).under(freeze_of(hold));
    let items = holds.iter().zip(waiting).map(summary);
    Ok(Json(List { items: items.collect(), left_out, restricted: !seen.is_all }))
}

/// A hold with all that it shows, and others of its object.
async fn detail(
    api: &Api,
    hold: &Hold,
    shown: Shown,
    others: &[Hold],
) -> Result<HoldDetail, ApiError> {
    let waiting = api.queue.waiting(&[hold.id().clone()]).await?;
    let freeze = api.queue.frozen(&hold.summary().user.username).await?;
    let mut detail = HoldDetail::of(hold, shown, waiting.first().copied().unwrap_or(0), others);
    detail.summary = detail.summary.under(freeze);
    Ok(detail)
}

/// A hold that somebody has just decided on: they have seen what else there is.
async fn decided(api: &Api, hold: &Hold) -> Result<HoldDetail, ApiError> {
    let shown = api.queue.shown(hold.id()).await?;
    detail(api, hold, shown, &[]).await
}

async fn show(
    State(api): State<Api>,
    Who(reviewer): Who,
    Path(id): Path<String>,
) -> Result<Json<HoldDetail>, ApiError> {
    let id = HoldId::parse(&id);
    let (hold, shown, look) = api.queue.show(&id, &reviewer).await?;
    let others = api.queue.of_same_object(&hold).await?;
    let detail = detail(&api, &hold, shown, &others).await?;
    Ok(Json(HoldDetail { look: look.map(LookBody::from), ..detail }))
}

async fn approve(
    State(api): State<Api>,
    Who(reviewer): Who,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Json<HoldDetail>, ApiError> {
    let approval: Approval = read(&body)?;
    let id = HoldId::parse(&id);
    let hold = api.queue.approve(&id, &reviewer, &approval.reason, &approval.digest).await?;
    Ok(Json(decided(&api, &hold).await?))
}

async fn withdraw(
    State(api): State<Api>,
    Who(reviewer): Who,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Json<HoldDetail>, ApiError> {
    let withdrawal: Reason = read(&body)?;
    let id = HoldId::parse(&id);
    let hold = api.queue.withdraw(&id, &reviewer, &withdrawal.reason).await?;
    Ok(Json(decided(&api, &hold).await?))
}

async fn deny(
    State(api): State<Api>,
    Who(reviewer): Who,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Json<Denied>, ApiError> {
    let denial: Reason = read(&body)?;
    let id = HoldId::parse(&id);
    let (hold, twins) = api.queue.deny(&id, &reviewer, &denial.reason).await?;
    let hold = decided(&api, &hold).await?;
    Ok(Json(Denied { hold, twins: twins.iter().map(|it| it.id().to_string()).collect() }))
}

async fn lift(
    State(api): State<Api>,
    Who(reviewer): Who,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Json<HoldDetail>, ApiError> {
    let lift: Reason = read(&body)?;
    let id = HoldId::parse(&id);
    let hold = api.queue.lift(&id, &reviewer, &lift.reason).await?;
    Ok(Json(decided(&api, &hold).await?))
}

async fn extend(
    State(api): State<Api>,
    Who(reviewer): Who,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Json<HoldDetail>, ApiError> {
    let Extension { reason, seconds } = read(&body)?;
    let time = Duration::from_secs(seconds);
    if time.is_zero() || time > DENIAL_TIME_MAX {
        let most = DENIAL_TIME_MAX.as_secs();
        return Err(ApiError::BadRequest(format!("seconds must be from 1 to {most}, a day")));
    }
    let id = HoldId::parse(&id);
    let hold = api.queue.extend(&id, &reviewer, &reason, time).await?;
    Ok(Json(decided(&api, &hold).await?))
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body)
        .map_err(|error| ApiError::BadRequest(format!("the body cannot be read: {error}")))
}

async fn timeline(
    State(api): State<Api>,
    Who(reviewer): Who,
    query: Result<Query<BTreeMap<String, String>>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<Timeline>, ApiError> {
    let query = query.map_err(|error| ApiError::BadRequest(error.body_text()))?.0;
    let Asked { filter, meant } = asked::timeline(&api, &reviewer, query).await?;
    let SeenCalls { calls, left_out, is_all } =
        visible::calls(&api, &reviewer, filter.clone()).await?;
    let mut items: Vec<CallBody> = calls.iter().map(CallBody::from).collect();
    tell_states(&api, &mut items).await?;
    // What is about every namespace is found of one that nobody knows, too.
    let wanted = filter.namespace.as_deref().unwrap_or_default();
    let is_found = |call: &CallBody| {
        wanted.is_empty() || call.request.as_ref().is_some_and(|it| it.namespace == wanted)
    };
    if !items.iter().any(is_found) {
        asked::why_nothing(&api, &reviewer, &filter).await?;
    }
    Ok(Json(Timeline { items, left_out, restricted: !is_all, filter: meant }))
}

/// Tells of calls whose hold was decided or ended after them how it stands now.
async fn tell_states(api: &Api, calls: &mut [CallBody]) -> Result<(), ApiError> {
    let mut states: BTreeMap<String, Option<String>> = BTreeMap::new();
    let pends = |it: &CallBody| {
        let last = it.hold_events.last().map(|it| it.event.as_str());
        let open =
            ["created", "joined", "left", "refreshed", "approved", "partlyApproved", "drifted"];
        last.is_some_and(|it| open.contains(&it))
    };
    for call in calls.iter_mut().filter(|it| pends(it)) {
        let Some(id) = call.hold.clone() else { continue };
        if !states.contains_key(&id) {
            let hold = api.queue.load(&HoldId::parse(&id)).await?;
            let state = hold.map(|it| it.state().name()).filter(|it| !StateName::OPEN.contains(it));
            states.insert(id.clone(), state.map(|it| it.to_string()));
        }
        call.hold_state = states.get(&id).cloned().flatten();
    }
    Ok(())
}

/// Whether a reviewer may ask about so many at once.
async fn may_look_up(
    api: &Api,
    reviewer: &Reviewer,
    count: usize,
    what: &str,
) -> Result<(), ApiError> {
    if count > LOOKUP_MAX {
        return Err(ApiError::BadRequest(format!("give at most {LOOKUP_MAX} {what}")));
    }
    Ok(api.queue.authorize(reviewer, "list", "", "").await?)
}

/// Which of the cluster's own audit ids are known here, for the join with its audit log: an answer
/// that left some out would look like calls around agent-shield, so it is for who may list all.
async fn lookup(
    State(api): State<Api>,
    Who(reviewer): Who,
    body: Bytes,
) -> Result<Json<List<CallBody>>, ApiError> {
    let Lookup { audit_ids } = read(&body)?;
    may_look_up(&api, &reviewer, audit_ids.len(), "audit ids").await?;
    if audit_ids.is_empty() {
        return Ok(Json(List::from(Vec::new())));
    }
    let filter = Filter { audit_ids, probes: true, ..Filter::default() };
    let calls = api.queue.ledger().calls(filter).await?.items;
    Ok(Json(List::from(calls.iter().map(CallBody::from).collect::<Vec<_>>())))
}

/// Which of these calls an agent-shield with the same secret has sent, in the same order.
async fn tags(
    State(api): State<Api>,
    Who(reviewer): Who,
    body: Bytes,
) -> Result<Json<List<bool>>, ApiError> {
    let Tags { items } = read(&body)?;
    may_look_up(&api, &reviewer, items.len(), "calls").await?;
    Ok(Json(List::from(items.iter().map(|it| is_ours(&api.tagger, it)).collect::<Vec<_>>())))
}

/// Reads are sent before anybody has asked whose they are; so their tag names nobody, and is good for nothing else.
fn is_ours(tagger: &Tagger, call: &TaggedCall) -> bool {
    let TaggedCall { audit_id, tag, method, request_uri, username, is_read } = call;
    let of = |username| Sent { audit_id, method, target: request_uri, username };
    let is_nobodys = || *is_read && method == "GET" && tagger.knows(&of(None), tag);
    tagger.knows(&of(Some(username)), tag) || is_nobodys()
}

async fn agents(
    State(api): State<Api>,
    Who(reviewer): Who,
) -> Result<Json<List<String>>, ApiError> {
    api.queue.authorize(&reviewer, "list", "", "").await?;
    Ok(Json(List::from(api.queue.ledger().agents().await?)))
}

async fn agents_seen(
    State(api): State<Api>,
    Who(reviewer): Who,
) -> Result<Json<List<AgentBody>>, ApiError> {
    let seen = api.queue.agents_seen(&reviewer).await?;
    let body = |(user, last): (String, Option<ledger::Call>)| AgentBody {
        user,
        last_call: last.as_ref().map(CallBody::from),
    };
    Ok(Json(List::from(seen.into_iter().map(body).collect::<Vec<_>>())))
}

async fn clear(
    State(api): State<Api>,
    Who(reviewer): Who,
    Path(user): Path<String>,
    body: Bytes,
) -> Result<Json<Cleared>, ApiError> {
    let clear: Reason = read(&body)?;
    let was_agent = api.queue.clear_agent(&user, &reviewer, &clear.reason).await?;
    Ok(Json(Cleared { was_agent }))
}

async fn freezes(
    State(api): State<Api>,
    Who(reviewer): Who,
) -> Result<Json<List<FreezeBody>>, ApiError> {
    let freezes = api.queue.freezes(&reviewer).await?;
    Ok(Json(List::from(freezes.into_iter().map(FreezeBody::from).collect::<Vec<_>>())))
}

async fn freeze(
    State(api): State<Api>,
    Who(reviewer): Who,
    Path(user): Path<String>,
    body: Bytes,
) -> Result<Json<FreezeBody>, ApiError> {
    let FreezeAsked { reason, unseen } = read(&body)?;
    let frozen = match api.queue.freeze(&user, &reviewer, &reason, unseen).await {
        Err(ReviewError::NeverSeen(username)) => {
            return Err(asked::never_seen(&api, &reviewer, &username).await?);
        }
        frozen => frozen?,
    };
    let body = FreezeBody::from(frozen.freeze);
    let (is_known, was_frozen) = (Some(frozen.is_known), Some(frozen.was_frozen));
    Ok(Json(FreezeBody { is_known, was_frozen, ..body }))
}

async fn thaw(
    State(api): State<Api>,
    Who(reviewer): Who,
    Path(user): Path<String>,
    body: Bytes,
) -> Result<Json<Thawed>, ApiError> {
    let Reason { reason } = read(&body)?;
    Ok(Json(Thawed { was_frozen: api.queue.thaw(&user, &reviewer, &reason).await? }))
}

/// It tells of all rules and every agent, so it is for who may list all.
async fn status(State(api): State<Api>, Who(reviewer): Who) -> Result<Json<StatusBody>, ApiError> {
    api.queue.authorize(&reviewer, "list", "", "").await?;
    Ok(Json(status::status(&api).await?))
}

async fn namespaces(
    State(api): State<Api>,
    Who(reviewer): Who,
) -> Result<Json<List<NamespaceBody>>, ApiError> {
    api.queue.authorize(&reviewer, "list", "", "").await?;
    Ok(Json(List::from(NamespaceBody::all(&api.namespaces))))
}
