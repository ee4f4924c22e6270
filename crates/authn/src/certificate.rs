//! Client certificates: verified against the cluster's client CA, on each request.
//!
//! The handshake takes any certificate whose key the client holds, as kube-apiserver's does: a
//! client that shows a wrong one is told so by a `Status`, not by a TLS alert. Whether it names
//! anybody is asked on each request, so that an expired certificate, or a CA that is no longer
//! trusted, ends with the next one.

use std::{collections::BTreeSet, sync::Arc};

use attributes::User;
use jiff::Timestamp;
use parking_lot::RwLock;
use rustls::{
    DigitallySignedStruct, DistinguishedName, RootCertStore, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, UnixTime, pem::PemObject},
    server::{
        WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};
use x509_parser::prelude::{FromDer, X509Certificate};

/// Why a certificate names nobody.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CertificateError {
    /// Not signed by the cluster's client CA, expired, or not meant for clients.
    #[error("the client certificate is not one of this cluster's: {0}")]
    Untrusted(String),
    /// The cluster's client CA is not known, so no certificate is.
    #[error(
        "client certificates cannot be checked here, as the cluster's client CA could not be read: send a token"
    )]
    NoAuthority,
    /// It is not X.509.
    #[error("the client certificate cannot be read")]
    Unreadable,
    /// kube-apiserver authenticates nobody by such a certificate.
    #[error("the client certificate has no common name")]
    NoCommonName,
    /// A name that changes on its way through an HTTP header: ` admin` would arrive as `admin`.
    #[error("the client certificate names `{}`, which cannot stand in a header", .0.escape_debug())]
    Name(String),
    /// An identity of the cluster itself.
    #[error(
        "client certificates of the system are refused: `{0}`; give the agent a ServiceAccount, \
         or start agent-shield with --allow-system-certificate {0}"
    )]
    System(String),
}

/// When a certificate ends; `None` for what is none.
pub fn expires(der: &[u8]) -> Option<Timestamp> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    Timestamp::from_second(certificate.validity().not_after.timestamp()).ok()
}

/// The cluster's client CA, and which of its certificates may belong to agents.
pub struct Certificates {
    verifier: RwLock<Option<Arc<dyn ClientCertVerifier>>>,
    system_allowed: BTreeSet<String>,
}

impl Certificates {
    /// Knows no authority yet. `system_allowed` are the `system:` users and groups that an agent's
    /// certificate may carry all the same.
    pub fn new(system_allowed: BTreeSet<String>) -> Self {
        Self { verifier: RwLock::default(), system_allowed }
    }

    /// Trusts the authorities in `pem` from now on, and no others.
    ///
    /// # Errors
    /// With words where one of them cannot be read; then nothing has changed.
    pub fn trust(&self, pem: &str) -> Result<(), String> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            let certificate = certificate.map_err(|error| error.to_string())?;
            roots.add(certificate).map_err(|error| error.to_string())?;
        }
        let verifier = WebPkiClientVerifier::builder(Arc::new(roots))
            .build()
            .map_err(|error| error.to_string())?;
        *self.verifier.write() = Some(verifier);
        Ok(())
    }

    /// Whom a chain names, the client's own certificate first.
    ///
    /// # Errors
    /// [`CertificateError`] where that is nobody.
    pub fn user(&self, chain: &[CertificateDer<'_>]) -> Result<User, CertificateError> {
        let verifier = self.verifier.read().clone();
        let verifier = verifier.ok_or(CertificateError::NoAuthority)?;
        let (own, intermediates) = chain.split_first().ok_or(CertificateError::Unreadable)?;
        verifier
            .verify_client_cert(own, intermediates, UnixTime::now())
            .map_err(|error| CertificateError::Untrusted(upstream::tls_in_words(&error)))?;
        named(own)
    }

    /// Like [`Certificates::user`], for agents: none of the system's own identities. A member of
    /// `system:masters` would pass every check that RBAC makes.
    ///
    /// # Errors
    /// [`CertificateError`] where it names nobody, or nobody who may be an agent.
    pub fn agent(&self, chain: &[CertificateDer<'_>]) -> Result<User, CertificateError> {
        let user = self.user(chain)?;
        let names = std::iter::once(&user.username).chain(&user.groups);
        let system = names.filter(|name| name.starts_with("system:") && *name != AUTHENTICATED);
        match system.into_iter().find(|name| !self.system_allowed.contains(*name)) {
            Some(name) => Err(CertificateError::System(name.clone())),
            None => Ok(user),
        }
    }
}

/// Everybody who is authenticated is in it; the API server adds it by itself.
const AUTHENTICATED: &str = "system:authenticated";

/// CommonName is the user, each Organization a group, as for kube-apiserver
/// (k8s.io/apiserver, pkg/authentication/request/x509).
fn named(der: &[u8]) -> Result<User, CertificateError> {
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
    for name in std::iter::once(&username).chain(&groups) {
        let stands = name.chars().all(|char| char == ' ' || char.is_ascii_graphic());
        if !stands || name.trim() != name || name.is_empty() {
            return Err(CertificateError::Name(name.clone()));
        }
    }
    groups.push(AUTHENTICATED.to_owned());
    Ok(User { username, groups, ..User::default() })
}

/// Asks clients for a certificate and checks that they hold its key; [`Certificates`] then says
/// whom it names.
#[derive(Debug)]
struct Asking(WebPkiSupportedAlgorithms);

/// TLS that asks for a client certificate, takes none, and takes any whose key the client holds.
pub fn asking() -> Arc<dyn ClientCertVerifier> {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    Arc::new(Asking(provider.signature_verification_algorithms))
}

impl ClientCertVerifier for Asking {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{
        BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
        IsCa, Issuer, KeyPair,
    };

    use super::*;

    type Failed = Box<dyn std::error::Error>;

    struct Authority {
        issuer: Issuer<'static, KeyPair>,
        pem: String,
    }

    fn authority() -> Result<Authority, Failed> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate()?;
        let pem = params.self_signed(&key)?.pem();
        Ok(Authority { issuer: Issuer::new(params, key), pem })
    }

    fn certificate(
        authority: &Authority,
        name: &str,
        groups: &[&str],
        days: i64,
    ) -> Result<CertificateDer<'static>, Failed> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        if !name.is_empty() {
            params.distinguished_name.push(DnType::CommonName, name);
        }
        for group in groups {
            params.distinguished_name.push(DnType::OrganizationName, *group);
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let now = time::OffsetDateTime::now_utc();
        params.not_before = now - time::Duration::days(2);
        params.not_after = now + time::Duration::days(days);
        let key = KeyPair::generate()?;
        Ok(params.signed_by(&key, &authority.issuer)?.der().clone())
    }

    #[test]
    fn names_whom_the_clusters_authority_has_signed() -> Result<(), Failed> {
        let (ours, other) = (authority()?, authority()?);
        let certificates = Certificates::new(BTreeSet::from(["system:nodes".to_owned()]));
        let alice = [certificate(&ours, "alice", &["on-call"], 1)?];
        assert_eq!(certificates.user(&alice), Err(CertificateError::NoAuthority));
        certificates.trust(&ours.pem)?;
        let user = certificates.agent(&alice)?;
        assert_eq!(user.username, "alice");
        assert_eq!(user.groups, ["on-call", "system:authenticated"]);
        assert_eq!(certificates.user(&[]), Err(CertificateError::Unreadable));

        type Row<'a> = (&'a Authority, &'a str, &'a [&'a str], i64, fn(&CertificateError) -> bool);
        let untrusted = |it: &CertificateError| matches!(it, CertificateError::Untrusted(_));
        let system = |it: &CertificateError| matches!(it, CertificateError::System(_));
        let name = |it: &CertificateError| matches!(it, CertificateError::Name(_));
        let table: [Row<'_>; 9] = [
            (&other, "alice", &[], 1, untrusted),
            (&ours, "alice", &[], -1, untrusted),
            (&ours, "", &[], 1, |it| *it == CertificateError::NoCommonName),
            (&ours, "alice", &["system:masters"], 1, system),
            (&ours, "alice", &["system:nodes", "system:masters"], 1, system),
            (&ours, "system:kube-controller-manager", &[], 1, system),
            (&ours, "system:serviceaccount:a:b", &[], 1, system),
            (&ours, " system:admin", &[], 1, name),
            (&ours, "alice", &["system:masters "], 1, name),
        ];
        for (authority, cn, groups, days, is) in table {
            let got = certificates.agent(&[certificate(authority, cn, groups, days)?]);
            assert!(got.as_ref().is_err_and(is), "{cn} {groups:?}: {got:?}");
        }
        // A reviewer may be whoever RBAC knows, and an agent whom its owner has listed.
        assert!(certificates.user(&[certificate(&ours, "a", &["system:masters"], 1)?]).is_ok());
        assert!(certificates.agent(&[certificate(&ours, "a", &["system:nodes"], 1)?]).is_ok());
        Ok(())
    }
}
