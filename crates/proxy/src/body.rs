//! Bodies: a write's is collected within bounds; an answer's is passed on frame by frame, counted, and
//! reported at its end.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use http::{HeaderValue, Request, Response, Version, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::{BodyExt, BodyStream, Full, StreamBody};
use hyper::body::Incoming;
use status::Status;
use tokio::runtime::Handle;
use upstream::{Body, BodyError};

use crate::{bounds::Bounds, error::ProxyError, in_flight::Taken, timeouts::Busy};

/// Of a body whose request has been answered, so much is read and discarded, for so long.
const DISCARDED_BYTES_MAX: usize = 64 << 20;
const DISCARD_TIME_MAX: Duration = Duration::from_secs(20);

/// A body of bytes that are already here.
pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// The body of a request. Whoever answers early lets go of it: what its client still sends is read on for a
/// while and discarded, or the connection would end under a client that writes and has not read its answer.
pub(crate) struct Inbound {
    body: Option<Incoming>,
    /// Whether its client waits to be told to continue: it sends nothing after another answer.
    waits: bool,
}

impl Inbound {
    /// The request with its body.
    pub(crate) fn of(request: Request<Incoming>) -> Request<Self> {
        // In HTTP/2 it would have to be told by a stream that ends early.
        let waits =
            request.version() < Version::HTTP_2 && request.headers().contains_key(header::EXPECT);
        request.map(|body| Self { body: Some(body), waits })
    }
}

impl Drop for Inbound {
    fn drop(&mut self) {
        let Some(body) = self.body.take().filter(|body| !self.waits && !body.is_end_stream())
        else {
            return;
        };
        if let Ok(runtime) = Handle::try_current() {
            // Nobody need wait for it: it stores nothing, and ends with its connection.
            runtime.spawn(discard(body));
        }
    }
}

/// Reads what is left of a body, within bounds.
async fn discard(mut body: Incoming) {
    let read = async {
        let mut bytes = 0_usize;
        while let Some(Ok(frame)) = body.frame().await {
            bytes = bytes.saturating_add(frame.data_ref().map_or(0, Bytes::len));
            if bytes > DISCARDED_BYTES_MAX {
                return;
            }
        }
    };
    let _ = tokio::time::timeout(DISCARD_TIME_MAX, read).await;
}

/// Waits for the whole body of a request. Trailers are read and dropped: nothing of them is meant
/// for the API server.
///
/// # Errors
/// [`ProxyError`] where it is too large, too slow, too much beside all others, or cut.
pub(crate) async fn collect(
    mut inbound: Inbound,
    bounds: &Bounds,
    taken: &mut Taken,
) -> Result<Bytes, ProxyError> {
    let Some(body) = inbound.body.as_mut().filter(|body| !body.is_end_stream()) else {
        return Ok(Bytes::new());
    };
    // Refused by its announced length, before the client is told to continue and send it.
    if body.size_hint().lower() > bounds.body_bytes_max as u64 {
        return Err(ProxyError::TooLarge { max: bounds.body_bytes_max });
    }
    let whole = async {
        let mut bytes = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|_| ProxyError::BodyCut)?.into_data() else { continue };
            if bytes.len().saturating_add(data.len()) > bounds.body_bytes_max {
                return Err(ProxyError::TooLarge { max: bounds.body_bytes_max });
            }
            if !taken.more(data.len(), bounds.bodies_bytes_max) {
                return Err(ProxyError::Full);
            }
            bytes.extend_from_slice(&data);
        }
        Ok(bytes.freeze())
    };
    let waited = Box::pin(tokio::time::timeout(bounds.body_time_max, whole)).await;
    waited.unwrap_or(Err(ProxyError::BodySlow { max: bounds.body_time_max }))
}

/// Reads the beginning of an answer before it is passed on: all of its bytes, where it ends well within
/// `bytes_max`, and the answer as it came.
pub(crate) async fn look_ahead(mut body: Body, bytes_max: usize) -> (Option<Bytes>, Body) {
    let (mut frames, mut bytes, mut is_whole) = (Vec::new(), BytesMut::new(), true);
    while let Some(frame) = body.frame().await {
        if let Some(data) = frame.as_ref().ok().and_then(Frame::data_ref) {
            bytes.extend_from_slice(data);
        }
        is_whole = frame.is_ok() && bytes.len() <= bytes_max;
        frames.push(frame);
        if !is_whole {
            break;
        }
    }
    if is_whole {
        let bytes = bytes.freeze();
        return (Some(bytes.clone()), full(bytes));
    }
    let read = stream::iter(frames).chain(BodyStream::new(body));
    (None, StreamBody::new(read).boxed_unsync())
}

/// Our own answer.
pub(crate) fn status_response(status: &Status) -> Response<Body> {
    let mut text = status.to_json().to_string();
    text.push('\n');
    let mut response = Response::new(full(text));
    *response.status_mut() =
        http::StatusCode::from_u16(status.code()).unwrap_or(http::StatusCode::BAD_GATEWAY);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    if let Some(seconds) = status.retry_after_seconds() {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// How a body ended: bytes that passed, and whether all of it did.
pub(crate) struct Ended {
    pub(crate) bytes: u64,
    pub(crate) complete: bool,
}

/// A body that says how it ended, once, also when its reader goes away.
pub(crate) struct Counted<F: FnOnce(Ended)> {
    body: Body,
    bytes: u64,
    complete: bool,
    tell: Option<F>,
}

impl<F: FnOnce(Ended) + Send + Sync + Unpin + 'static> Counted<F> {
    /// Wraps a body; `tell` is called when it has ended or is dropped.
    pub(crate) fn wrap(body: Body, tell: F) -> Body {
        let complete = body.is_end_stream();
        Self { body, bytes: 0, complete, tell: Some(tell) }.boxed_unsync()
    }
}

impl<F: FnOnce(Ended) + Unpin> HttpBody for Counted<F> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                let length = frame.data_ref().map_or(0, Bytes::len);
                self.bytes = self.bytes.saturating_add(length as u64);
                self.complete = self.body.is_end_stream();
            }
            Poll::Ready(None) => self.complete = true,
            Poll::Ready(Some(Err(_))) | Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<F: FnOnce(Ended)> Drop for Counted<F> {
    fn drop(&mut self) {
        if let Some(tell) = self.tell.take() {
            tell(Ended { bytes: self.bytes, complete: self.complete });
        }
    }
}

/// A body whose request is under way until all of it has left.
pub(crate) struct Guarded {
    body: Body,
    _busy: Busy,
}

impl Guarded {
    pub(crate) fn new(body: Body, busy: Busy) -> Self {
        Self { body, _busy: busy }
    }
}

impl HttpBody for Guarded {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
