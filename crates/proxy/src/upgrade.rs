//! The agent's side of an upgrade that it asks for.

use http::{HeaderMap, Request};
use hyper::upgrade::OnUpgrade;
use parking_lot::Mutex;

use crate::body::Inbound;

/// An upgrade that was asked for.
pub(crate) struct Upgrade {
    /// What goes upstream besides the allow-listed headers.
    pub(crate) headers: HeaderMap,
    /// Taken by the one answer that is a 101.
    client: Mutex<Option<OnUpgrade>>,
}

impl Upgrade {
    /// What a request asks for; `None` where that is nothing that the API server knows.
    pub(crate) fn of(request: &mut Request<Inbound>) -> Option<Self> {
        let headers = attributes::headers::upgrade_headers(request.headers());
        if headers.is_empty() {
            return None;
        }
        let client = Mutex::new(Some(hyper::upgrade::on(request)));
        Some(Self { headers, client })
    }

    /// The connection, for the one answer that is a 101; `None` afterwards.
    pub(crate) fn take(&self) -> Option<OnUpgrade> {
        self.client.lock().take()
    }
}
