//! Why a question of the proxy's own got no answer that is of use, in words for a person.
//!
//! The client's own words print whole structs; nobody is shown those.

use std::error::Error;

use kube::{client::AuthError, core::Status};
use text::{Escaped, causes};

use crate::{never_left::never_left, probe_error::ProbeError};

/// Characters of what somebody else said, at most.
const SAID_CHARS_MAX: usize = 500;

/// What became of a question that the proxy asked with its own credential.
#[derive(Debug, thiserror::Error)]
#[error("{}", in_words(.0.as_ref()))]
pub struct OwnError(Box<kube::Error>);

impl OwnError {
    /// The HTTP status that the API server answered with, if it answered.
    pub fn code(&self) -> Option<u16> {
        match self.as_kube() {
            kube::Error::Api(status) => Some(status.code),
            _ => None,
        }
    }

    pub(crate) fn as_kube(&self) -> &kube::Error {
        &self.0
    }
}

impl From<kube::Error> for OwnError {
    fn from(error: kube::Error) -> Self {
        Self(Box::new(error))
    }
}

/// An error that comes of a question to the API server, as a sentence without a full stop: the one place
/// where the client's errors become words.
pub fn in_words(error: &(dyn Error + 'static)) -> String {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<kube::Error>() {
            return of_client(error);
        }
        if let Some(error) = error.downcast_ref::<AuthError>() {
            return of_credential(error);
        }
        let status = error.downcast_ref::<Box<Status>>().map(|it| &**it);
        if let Some(status) = status.or_else(|| error.downcast_ref()) {
            return of_status(status);
        }
        cause = error.source();
    }
    causes(error)
}

/// As [`in_words`], without saying that there was no answer: whoever says that themselves adds why.
pub fn why_no_answer(error: &(dyn Error + 'static)) -> String {
    credential(error).map_or_else(|| innermost(error), of_credential)
}

fn of_client(error: &kube::Error) -> String {
    if let Some(error) = credential(error) {
        return of_credential(error);
    }
    match error {
        kube::Error::Api(status) => of_status(status),
        kube::Error::Service(inner) if inner.is::<ProbeError>() => inner.to_string(),
        kube::Error::HyperError(_) | kube::Error::Service(_) => {
            let what = match never_left(error) {
                true => "cannot be reached",
                false => "does not answer",
            };
            format!("the API server {what}: {}", innermost(error))
        }
        kube::Error::SerdeError(error) => {
            format!("the API server's answer cannot be read: {error}")
        }
        error => innermost(error),
    }
}

fn of_status(status: &Status) -> String {
    let Status { code, reason, message, .. } = status;
    let said = if message.is_empty() { reason } else { message };
    let said = shortened(said);
    match code {
        401 => format!(
            "the API server does not know this credential any more, or never did (401 {said}): it has ended or was revoked"
        ),
        code => format!("the API server refused ({code}): {said}"),
    }
}

fn of_credential(error: &AuthError) -> String {
    match error {
        AuthError::AuthExecRun { cmd, out } => {
            let said = String::from_utf8_lossy(&out.stderr);
            format!("the exec plugin `{cmd}` failed ({}): {}", out.status, shortened(said.trim()))
        }
        AuthError::ReadTokenFile(error, path) => {
            format!("the token file {} cannot be read: {error}", path.display())
        }
        error => format!("there is no credential to ask with: {error}"),
    }
}

/// It may quote what an agent wrote.
fn shortened(said: &str) -> String {
    let said: String = said.chars().take(SAID_CHARS_MAX).collect();
    Escaped::line(&said).to_string()
}

fn credential<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e AuthError> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref::<AuthError>() {
            return Some(found);
        }
        cause = error.source();
    }
    None
}

/// The innermost cause says it; those around it are layers of libraries.
fn innermost(mut error: &(dyn Error + 'static)) -> String {
    while let Some(cause) = error.source() {
        error = cause;
    }
    let inside = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    let inside = inside.and_then(|it| it.downcast_ref::<rustls::Error>());
    match inside.or_else(|| error.downcast_ref()) {
        Some(error) => tls_in_words(error),
        None => error.to_string(),
    }
}

/// What is wrong with a connection or a certificate. The library has names of its own for that, and calls every
/// certificate the peer's.
pub fn tls_in_words(error: &rustls::Error) -> String {
    use rustls::{CertificateError as C, Error as E};
    let of = match error {
        E::InvalidCertificate(of) => of,
        E::InconsistentKeys(_) => {
            return "the private key is not that of the certificate".to_owned();
        }
        error => return error.to_string(),
    };
    match of {
        C::UnknownIssuer => {
            "the certificate is of an issuer that is not trusted (UnknownIssuer)".to_owned()
        }
        C::BadSignature => {
            "the certificate was not signed by the CA that it names (BadSignature)".to_owned()
        }
        C::Expired | C::ExpiredContext { .. } => "the certificate has expired".to_owned(),
        C::NotValidYet | C::NotValidYetContext { .. } => {
            "the certificate is not valid yet".to_owned()
        }
        C::BadEncoding => "the certificate cannot be read: it is not X.509".to_owned(),
        C::InvalidPurpose => {
            "the certificate is not made for this (its extended key usage)".to_owned()
        }
        C::NotValidForName => "the certificate is not for this address".to_owned(),
        C::NotValidForNameContext { .. } => {
            format!("the certificate is not for this address: {of}")
        }
        of => of_other_certificate(&of.to_string()),
    }
}

/// Of a certificate whose fault has only the library's own name: the last part of it.
fn of_other_certificate(said: &str) -> String {
    let name = said.rsplit('(').next().unwrap_or_default().trim_end_matches(')');
    match name {
        "UnsupportedCertVersion" => {
            "the certificate is of X.509 version 1, and version 3 is needed: `openssl x509 -req` makes one with \
             `-extfile FILE`, where FILE says `keyUsage = digitalSignature`"
                .to_owned()
        }
        name => format!("the certificate cannot be used ({name})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_it_in_words() {
        let refused = |code, message: &str| {
            let status = Status { code, message: message.into(), ..Status::default() };
            kube::Error::Api(Box::new(status))
        };
        let exec = AuthError::AuthExecRun {
            cmd: "login".into(),
            out: Box::new(std::process::Output {
                status: std::process::ExitStatus::default(),
                stdout: b"secret".to_vec(),
                stderr: b"log in first\n".to_vec(),
            }),
        };
        let broke = std::io::Error::other("the line is dead");
        let table = [
            (refused(403, "may not"), "the API server refused (403): may not"),
            (
                refused(401, "Unauthorized"),
                "the API server does not know this credential any more, or never did (401 Unauthorized): it has ended or was revoked",
            ),
            (
                kube::Error::Auth(exec),
                "the exec plugin `login` failed (exit status: 0): log in first",
            ),
            (
                kube::Error::Service(broke.into()),
                "the API server does not answer: the line is dead",
            ),
        ];
        for (error, want) in table {
            let watch = kube::runtime::watcher::Error::WatchFailed(error);
            assert_eq!(in_words(&watch), want, "around it");
            let kube::runtime::watcher::Error::WatchFailed(error) = watch else { continue };
            assert_eq!(OwnError::from(error).to_string(), want);
        }
        let broken = Status { code: 410, message: "too old".into(), ..Status::default() };
        let watch = kube::runtime::watcher::Error::WatchError(Box::new(broken));
        assert_eq!(in_words(&watch), "the API server refused (410): too old");
    }

    #[test]
    fn no_name_of_the_library_is_told_of_a_certificate() {
        use rustls::{CertificateError as C, Error as E};
        let table = [
            (E::InvalidCertificate(C::UnknownIssuer), "of an issuer that is not trusted"),
            (E::InvalidCertificate(C::Expired), "has expired"),
            (E::InvalidCertificate(C::NotValidForName), "not for this address"),
            (E::InvalidCertificate(C::ApplicationVerificationFailure), "cannot be used"),
            (E::InconsistentKeys(rustls::InconsistentKeys::KeyMismatch), "the private key is not"),
        ];
        for (error, want) in table {
            let got = tls_in_words(&error);
            assert!(got.contains(want) && !got.contains("peer"), "{got}");
            // As it comes from a connection.
            let around = std::io::Error::other(error);
            assert_eq!(innermost(&around), got);
        }
        let got = of_other_certificate("Other(OtherError(UnsupportedCertVersion))");
        assert!(got.contains("version 1, and version 3 is needed: `openssl x509 -req`"), "{got}");
    }
}
