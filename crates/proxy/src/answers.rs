//! Answers of approved requests, kept until a client has received them.

use std::sync::Arc;

use bytes::Bytes;
use hold::{Answer, HoldId, Holds};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use ledger::StoreError;
use upstream::Body;

use crate::body::{self, Counted};

/// An answer as it is kept.
pub(crate) fn kept(status: StatusCode, headers: &HeaderMap, body: Bytes) -> Answer {
    let header = |(name, value): (&HeaderName, &HeaderValue)| {
        (name.as_str().to_owned(), value.as_bytes().to_vec())
    };
    Answer { code: status.as_u16(), headers: headers.iter().map(header).collect(), body }
}

/// The answer, for a connection that waited on this hold; it counts as delivered once its body has left
/// whole.
///
/// # Errors
/// [`StoreError`] where it is not known whether there is one.
pub(crate) async fn give(
    holds: &Arc<dyn Holds>,
    id: &HoldId,
) -> Result<Option<Response<Body>>, StoreError> {
    let Some(kept) = holds.answer(id).await? else { return Ok(None) };
    let (holds, id) = (Arc::clone(holds), id.clone());
    let body = Counted::wrap(body::full(kept.body), move |ended| {
        if ended.complete {
            holds.delivered(&id);
        }
    });
    let unreadable = |what: &str| StoreError::Corrupt(format!("the {what} of a kept answer"));
    let mut response = Response::new(body);
    *response.status_mut() =
        StatusCode::from_u16(kept.code).map_err(|_| unreadable("status code"))?;
    for (name, value) in kept.headers {
        let name = name.parse::<HeaderName>().map_err(|_| unreadable("headers"))?;
        let value = HeaderValue::from_bytes(&value).map_err(|_| unreadable("headers"))?;
        response.headers_mut().append(name, value);
    }
    Ok(Some(response))
}
