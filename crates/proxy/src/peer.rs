//! Who is at the other end of a connection.

use std::net::SocketAddr;

use http::HeaderValue;
use parking_lot::Mutex;
use rustls::pki_types::CertificateDer;
use upstream::RunAs;

use crate::in_flight::InFlight;

/// Who is at the other end of a connection, as far as TLS and its last request can tell.
pub(crate) struct Peer {
    /// Its address, as TCP tells it.
    pub(crate) address: SocketAddr,
    certificates: Vec<CertificateDer<'static>>,
    last: Mutex<Option<Known>>,
}

/// A credential that was read already: most connections show the same one again and again.
struct Known {
    authorization: HeaderValue,
    run_as: RunAs,
    in_flight: InFlight,
}

impl Peer {
    /// Nothing has been asked yet.
    pub(crate) fn new(address: SocketAddr, certificates: Vec<CertificateDer<'static>>) -> Self {
        Self { address, certificates, last: Mutex::default() }
    }

    /// The chain that the client showed, its own certificate first; not verified yet.
    pub(crate) fn chain(&self) -> Option<&[CertificateDer<'static>]> {
        Some(self.certificates.as_slice()).filter(|chain| !chain.is_empty())
    }

    /// What this very `Authorization` was read as on this connection, if it was the last one.
    pub(crate) fn known(&self, authorization: &HeaderValue) -> Option<(RunAs, InFlight)> {
        let last = self.last.lock();
        let known = last.as_ref().filter(|it| it.authorization == authorization)?;
        Some((known.run_as.clone(), known.in_flight.clone()))
    }

    /// Remembers what an `Authorization` was read as; copied, since the buffer that it was read into
    /// would stay as long as the connection.
    pub(crate) fn remember(&self, authorization: &HeaderValue, run_as: RunAs, in_flight: InFlight) {
        let Ok(authorization) = HeaderValue::from_bytes(authorization.as_bytes()) else { return };
        let mut last = self.last.lock();
        *last = Some(Known { authorization, run_as, in_flight });
    }
}
