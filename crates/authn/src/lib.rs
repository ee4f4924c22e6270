//! Who asks: a bearer token or a client certificate -> a [`User`].
//!
//! Tokens are the API server's to judge, by TokenReview; certificates are verified here against the
//! cluster's client CA, and read as kube-apiserver reads them.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

mod authority;
mod certificate;
mod token;

pub use attributes::User;
pub use authority::Authority;
pub use certificate::{CertificateError, Certificates, asking, expires};
pub use token::{TokenError, Tokens};
