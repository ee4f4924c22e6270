//! Who asks: a bearer token or a client certificate -> a [`User`].
//!
//! Tokens are the API server's to judge, by TokenReview; a certificate has been verified against
//! the cluster's client CA by TLS before it gets here, and is read as kube-apiserver reads it
//! (k8s.io/apiserver, pkg/authentication/request/x509: CommonName and Organization).

mod certificate;
mod token;

pub use attributes::User;
pub use certificate::{CertificateError, user_of_certificate};
pub use token::{TokenError, Tokens};
