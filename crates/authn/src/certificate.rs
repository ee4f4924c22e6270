//! The user that a verified client certificate names.

use attributes::User;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Why a certificate names nobody.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub enum CertificateError {
    /// It is not X.509.
    #[error("the client certificate cannot be read")]
    Unreadable,
    /// kube-apiserver authenticates nobody by such a certificate.
    #[error("the client certificate has no common name")]
    NoCommonName,
}

/// CommonName is the user, each Organization a group, as for kube-apiserver; everybody who is
/// authenticated is in `system:authenticated`.
///
/// # Errors
/// [`CertificateError`] where there is no name to be had.
pub fn user_of_certificate(der: &[u8]) -> Result<User, CertificateError> {
    let (_, certificate) =
        X509Certificate::from_der(der).map_err(|_| CertificateError::Unreadable)?;
    let subject = certificate.subject();
    let username = subject
        .iter_common_name()
        .next()
        .and_then(|name| name.as_str().ok())
        .filter(|name| !name.is_empty())
        .ok_or(CertificateError::NoCommonName)?
        .to_owned();
    let mut groups = Vec::new();
    for organization in subject.iter_organization() {
        // A group that cannot be read would silently be a right less, or a refusal less.
        groups.push(organization.as_str().map_err(|_| CertificateError::Unreadable)?.to_owned());
    }
    groups.push("system:authenticated".to_owned());
    Ok(User { username, groups, ..User::default() })
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair};

    use super::*;

    #[test]
    fn reads_names_as_kube_apiserver_does() -> Result<(), Box<dyn std::error::Error>> {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "alice");
        params.distinguished_name.push(DnType::OrganizationName, "on-call");
        let certificate = params.self_signed(&KeyPair::generate()?)?;
        let user = user_of_certificate(certificate.der())?;
        assert_eq!(user.username, "alice");
        assert_eq!(user.groups, ["on-call", "system:authenticated"]);

        let mut nameless = CertificateParams::default();
        nameless.distinguished_name = rcgen::DistinguishedName::new();
        let certificate = nameless.self_signed(&KeyPair::generate()?)?;
        assert_eq!(user_of_certificate(certificate.der()), Err(CertificateError::NoCommonName));
        assert_eq!(user_of_certificate(b"x"), Err(CertificateError::Unreadable));
        Ok(())
    }
}
