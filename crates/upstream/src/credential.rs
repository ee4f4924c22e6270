//! Until when the proxy's own credential is valid, as far as that can be known without the API server.
//!
//! Says when, and never with what: neither a token nor a key leaves this module.

use std::fs;

use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use jiff::Timestamp;
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
}

impl CredentialEnd {
    /// `None` where nobody can tell: an exec plugin is run again when its word ends.
    pub fn of(auth_info: &AuthInfo) -> Option<Self> {
        let AuthInfo { token, token_file, client_certificate, client_certificate_data, .. } =
            auth_info;
        if let Some(token) = token {
            let at = end_of_token(token.expose_secret())?;
            return Some(Self { kind: CredentialKind::Token, at });
        }
        if let Some(file) = token_file {
            let is_small = fs::metadata(file).ok()?.len() <= TOKEN_BYTES_MAX;
            let token = is_small.then(|| fs::read_to_string(file).ok())??;
            return Some(Self { kind: CredentialKind::TokenFile, at: end_of_token(&token)? });
        }
        let pem = match (client_certificate_data, client_certificate) {
            (Some(data), _) => BASE64_STANDARD.decode(data.trim()).ok()?,
            (None, Some(file)) => fs::read(file).ok()?,
            (None, None) => return None,
        };
        Some(Self { kind: CredentialKind::Certificate, at: end_of_certificate(&pem)? })
    }
}

/// The `exp` of a JWT (RFC 7519), not verified: it is our own token, and only the API server judges it.
fn end_of_token(token: &str) -> Option<Timestamp> {
    let claims = BASE64_URL_SAFE_NO_PAD.decode(token.trim().split('.').nth(1)?).ok()?;
    let claims: serde_json::Value = serde_json::from_slice(&claims).ok()?;
    Timestamp::from_second(claims.get("exp")?.as_i64()?).ok()
}

/// The `notAfter` of the first certificate.
fn end_of_certificate(pem: &[u8]) -> Option<Timestamp> {
    let der = CertificateDer::pem_slice_iter(pem).next()?.ok()?;
    let (_, certificate) = X509Certificate::from_der(&der).ok()?;
    Timestamp::from_second(certificate.validity().not_after.timestamp()).ok()
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
            let at = end_of_token(&token).map(|it| it.to_string());
            assert_eq!(at.as_deref(), want, "{token}");
        }
    }
}
