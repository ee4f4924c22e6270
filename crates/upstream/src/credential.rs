//! Until when the proxy's own credential is valid, as far as that can be known without the API server.
//!
//! Says when, and never with what: neither a token nor a key leaves this module.

use std::fs;

use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use jiff::{SignedDuration, Timestamp};
use kube::config::AuthInfo;
use rustls::pki_types::{CertificateDer, pem::PemObject};
use secrecy::ExposeSecret;
use x509_parser::prelude::{FromDer, X509Certificate};

/// A token is a few KiB.
const TOKEN_BYTES_MAX: u64 = 64 << 10;

/// What a credential is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CredentialKind {
    /// A token in a file, which somebody writes anew in time, as the kubelet does.
    TokenFile,
    /// A token that stays as it is.
    Token,
    /// A client certificate.
    Certificate,
}

impl CredentialKind {
    /// `a token file`.
    pub fn words(self) -> &'static str {
        match self {
            Self::TokenFile => "a token file",
            Self::Token => "a token",
            Self::Certificate => "a client certificate",
        }
    }
}

/// Until when a credential is valid.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CredentialEnd {
    /// What it is.
    pub kind: CredentialKind,
    /// When it ends.
    pub at: Timestamp,
    /// Since when it is valid, where that is known.
    pub since: Option<Timestamp>,
}

impl CredentialEnd {
    /// So long before its end, of at most `most`, somebody should know: whoever renews what lives for hours only
    /// does so in the last third of it at the latest.
    pub fn notice(&self, most: SignedDuration) -> SignedDuration {
        let third = self.since.map(|since| self.at.duration_since(since) / 3);
        third.map_or(most, |third| most.min(third.max(SignedDuration::ZERO)))
    }

    /// `None` where nobody can tell: an exec plugin is run again when its word ends.
    pub fn of(auth_info: &AuthInfo) -> Option<Self> {
        let AuthInfo { token, token_file, client_certificate, client_certificate_data, .. } =
            auth_info;
        if let Some(token) = token {
            let (since, at) = span_of_token(token.expose_secret())?;
            return Some(Self { kind: CredentialKind::Token, at, since });
        }
        if let Some(file) = token_file {
            let is_small = fs::metadata(file).ok()?.len() <= TOKEN_BYTES_MAX;
            let token = is_small.then(|| fs::read_to_string(file).ok())??;
            let (since, at) = span_of_token(&token)?;
            return Some(Self { kind: CredentialKind::TokenFile, at, since });
        }
        let pem = match (client_certificate_data, client_certificate) {
            (Some(data), _) => BASE64_STANDARD.decode(data.trim()).ok()?,
            (None, Some(file)) => fs::read(file).ok()?,
            (None, None) => return None,
        };
        let (since, at) = span_of_certificate(&pem)?;
        Some(Self { kind: CredentialKind::Certificate, at, since: Some(since) })
    }
}

/// The `iat` and `exp` of a JWT (RFC 7519), not verified: it is our own token, and only the API server judges it.
fn span_of_token(token: &str) -> Option<(Option<Timestamp>, Timestamp)> {
    let claims = BASE64_URL_SAFE_NO_PAD.decode(token.trim().split('.').nth(1)?).ok()?;
    let claims: serde_json::Value = serde_json::from_slice(&claims).ok()?;
    let at = |claim: &str| Timestamp::from_second(claims.get(claim)?.as_i64()?).ok();
    Some((at("iat"), at("exp")?))
}

/// `notBefore` and `notAfter` of the first certificate.
fn span_of_certificate(pem: &[u8]) -> Option<(Timestamp, Timestamp)> {
    let der = CertificateDer::pem_slice_iter(pem).next()?.ok()?;
    let (_, certificate) = X509Certificate::from_der(&der).ok()?;
    let validity = certificate.validity();
    let at = |time: x509_parser::time::ASN1Time| Timestamp::from_second(time.timestamp()).ok();
    Some((at(validity.not_before)?, at(validity.not_after)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_when_a_token_ends() {
        let token = |claims: &str| format!("e30.{}.c2ln", BASE64_URL_SAFE_NO_PAD.encode(claims));
        let table = [
            (token(r#"{"exp": 4102444800, "sub": "x"}"#), Some("2100-01-01T00:00:00Z")),
            (token(r#"{"exp":"soon"}"#), None),
            (token("{}"), None),
            (String::new(), None),
            ("opaque".to_owned(), None),
            ("a.b.c".to_owned(), None),
        ];
        for (token, want) in table {
            let at = span_of_token(&token).map(|(_, at)| at.to_string());
            assert_eq!(at.as_deref(), want, "{token}");
        }
    }

    #[test]
    fn somebody_should_know_in_the_last_third_at_the_latest() {
        let (week, hour) = (SignedDuration::from_hours(7 * 24), SignedDuration::from_hours(1));
        let table = [
            (Some(9), week, SignedDuration::from_hours(3)),
            (Some(90 * 24), week, week),
            (Some(9), hour, hour),
            (Some(-1), week, SignedDuration::ZERO),
            (None, week, week),
        ];
        for (hours, most, want) in table {
            let at = Timestamp::UNIX_EPOCH;
            let since = hours.map(|it| at - SignedDuration::from_hours(it));
            let end = CredentialEnd { kind: CredentialKind::Token, at, since };
            assert_eq!(end.notice(most), want, "{hours:?} {most}");
        }
        let token =
            format!("e30.{}.c2ln", BASE64_URL_SAFE_NO_PAD.encode(r#"{"iat": 5, "exp": 9}"#));
        let seconds = |it: Timestamp| it.as_second();
        let span = span_of_token(&token).map(|(iat, exp)| (iat.map(seconds), exp.as_second()));
        assert_eq!(span, Some((Some(5), 9)));
    }
}
