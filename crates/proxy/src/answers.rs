//! Answers of approved requests, kept in memory until a client has received them. Those older than a
//! minute are dropped the next time any answer is kept or asked for.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use hold::HoldId;
use http::{HeaderMap, Response, StatusCode};
use upstream::Body;

use crate::body::{self, Counted};

/// How long an answer may be given to the next identical request.
const KEPT: Duration = Duration::from_secs(60);

/// One whole answer.
#[derive(Clone)]
pub(crate) struct Kept {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

struct Waiting {
    kept: Kept,
    since: Instant,
    delivered: bool,
}

/// Answers by hold.
#[derive(Clone, Default)]
pub(crate) struct Answers(Arc<Mutex<HashMap<HoldId, Waiting>>>);

impl Answers {
    /// Keeps an answer for those who wait on the hold, and for the next identical request if none
    /// of them gets it.
    pub(crate) fn keep(&self, id: &HoldId, kept: Kept) {
        let mut answers = self.lock();
        let waiting = Waiting { kept, since: Instant::now(), delivered: false };
        answers.insert(id.clone(), waiting);
    }

    /// Whether the answer is there and nobody got it yet.
    pub(crate) fn is_waiting(&self, id: &HoldId) -> bool {
        self.lock().get(id).is_some_and(|waiting| !waiting.delivered)
    }

    /// The answer, for a connection that waited on this hold; it counts as delivered once its body
    /// has left whole.
    pub(crate) fn give(&self, id: &HoldId) -> Option<Response<Body>> {
        let kept = self.lock().get(id)?.kept.clone();
        let (answers, id) = (self.clone(), id.clone());
        let body = Counted::wrap(body::full(kept.body), move |ended| {
            if ended.complete
                && let Some(waiting) = answers.lock().get_mut(&id)
            {
                waiting.delivered = true;
            }
        });
        let mut response = Response::new(body);
        *response.status_mut() = kept.status;
        *response.headers_mut() = kept.headers;
        Some(response)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<HoldId, Waiting>> {
        let mut answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        answers.retain(|_, waiting| waiting.since.elapsed() < KEPT);
        answers
    }
}
