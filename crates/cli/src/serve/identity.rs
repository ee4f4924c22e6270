//! The certificate that agents and reviewers see: made on the first start, or given.
//!
//! `ca.key` stays in the data directory and signs nothing but this server's certificate, which is
//! made anew at each start; `ca.crt` is what clients are given to trust.

use std::{
    fs, io,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PublicKeyData,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject};
use time::{Duration, OffsetDateTime};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::args::ServeArgs;

/// Clocks that disagree by less than this still trust each other's certificates.
const CLOCK_SKEW: Duration = Duration::hours(1);

/// What a signature names as its issuer: the same at each start.
const CA_NAME: &str = "agent-shield CA";

/// A certificate chain and its key, ready for rustls.
pub(super) struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    /// The certificate that the flags give, or one of the data directory's own CA for `addresses` and
    /// the names that the flags add.
    ///
    /// # Errors
    /// Where a file cannot be read or written, or holds something else.
    pub(super) fn load(dir: &Path, args: &ServeArgs, addresses: &[SocketAddr]) -> Result<Self> {
        match (&args.tls_cert, &args.tls_key) {
            (Some(certificate), Some(key)) => given(dir, certificate, key),
            _ => {
                let addresses: Vec<IpAddr> = addresses.iter().map(SocketAddr::ip).collect();
                made(dir, &names(&addresses, &args.tls_san))
            }
        }
    }

    /// When its certificate ends.
    pub(super) fn expires(&self) -> Option<jiff::Timestamp> {
        authn::expires(self.chain.first()?)
    }

    /// For agents: a client certificate is asked for, and looked at with each request.
    pub(super) fn for_agents(&self) -> Result<rustls::ServerConfig> {
        let mut config = rustls::ServerConfig::builder()
            .with_client_cert_verifier(authn::asking())
            .with_single_cert(self.chain.clone(), self.key.clone_key())
            .context("the certificate and its key do not belong together")?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }

    /// For reviewers.
    pub(super) fn for_reviewers(self) -> Result<rustls::ServerConfig> {
        Ok(api::tls_config(self.chain, self.key)?)
    }
}

/// Reads a given certificate; `ca.crt` in the data directory becomes its last certificate, which is
/// what clients should trust.
fn given(dir: &Path, certificate: &Path, key: &Path) -> Result<Identity> {
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(|| format!("cannot read certificates from {}", certificate.display()))?;
    if chain.is_empty() {
        bail!("{} contains no certificate", certificate.display());
    }
    let key = PrivateKeyDer::from_pem_file(key)
        .with_context(|| format!("cannot read a private key from {}", key.display()))?;
    let pem =
        fs::read(certificate).with_context(|| format!("cannot read {}", certificate.display()))?;
    write_private(&dir.join("ca.crt"), &pem, 0o644)?;
    Ok(Identity { chain, key })
}

/// Makes a certificate for `names`, signed by the data directory's own CA, which is made if it is
/// not there yet.
fn made(dir: &Path, names: &[String]) -> Result<Identity> {
    let key = ca(dir)?;
    let params = ca_params();
    // Name and key are all that a signature refers to, and both are the same at each start.
    let issuer = Issuer::new(params, key);
    let server_key = KeyPair::generate()?;
    let mut server = CertificateParams::new(names.to_vec())?;
    server.distinguished_name = distinguished_name("agent-shield");
    server.not_before = OffsetDateTime::now_utc().saturating_sub(CLOCK_SKEW);
    server.not_after = OffsetDateTime::now_utc().saturating_add(Duration::days(397));
    server.use_authority_key_identifier_extension = true;
    server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let certificate = server.signed_by(&server_key, &issuer)?;
    Ok(Identity {
        chain: vec![certificate.der().clone()],
        key: PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(server_key.serialize_der())),
    })
}

/// The names under which this host is reached: loopback, the addresses listened on, and those given.
fn names(addresses: &[IpAddr], given: &[String]) -> Vec<String> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    names.extend(addresses.iter().filter(|it| !it.is_unspecified()).map(ToString::to_string));
    names.extend(given.iter().cloned());
    names.sort();
    names.dedup();
    names
}

/// Makes the data directory, for its owner alone.
pub(super) fn private_dir(dir: &Path) -> Result<PathBuf> {
    private_file::make_dir(dir)
        .with_context(|| format!("cannot make {} private (mode 0700)", dir.display()))
}

/// Writes a file whole or not at all, with this mode from its first moment on.
fn write_private(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    private_file::write(path, bytes, mode)
        .with_context(|| format!("cannot write {}", path.display()))
}

/// The key of the digests that stand for secret values and bodies, and of the tags in audit ids: made once, kept
/// private. A file that is `given` is there already, and may be shared with other agent-shields.
pub(super) fn digest_key(dir: &Path, given: Option<&Path>) -> Result<Vec<u8>> {
    let own = dir.join("digest.key");
    let path = given.unwrap_or(&own);
    if given.is_some() || path.exists() {
        let key = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        if key.len() != 32 {
            bail!(
                "{} is damaged: it must be 32 bytes long; restore it, or remove it and decide open holds again",
                path.display()
            );
        }
        return Ok(key);
    }
    let mut key = vec![0; 32];
    SystemRandom::new().fill(&mut key).context("this system gives no random numbers")?;
    write_private(path, &key, 0o600)?;
    Ok(key)
}

/// What helps where a backup does not: clients keep what they were given to trust.
const MAKE_ANEW: &str = "restore them, or remove ca.key and ca.crt, and both are made anew (then give agents and reviewers the new ca.crt)";

/// The key of the data directory's own CA. Made with its certificate on the first start; where they are
/// there, they must belong together, or clients would be shown a certificate that none of them trusts.
fn ca(dir: &Path) -> Result<KeyPair> {
    let (key_path, path) = (dir.join("ca.key"), dir.join("ca.crt"));
    match (text_of(&key_path)?, text_of(&path)?) {
        (None, None) => {
            let key = KeyPair::generate()?;
            write_private(&key_path, key.serialize_pem().as_bytes(), 0o600)?;
            write_ca(&path, &key)?;
            Ok(key)
        }
        (None, Some(_)) => bail!(
            "{} is gone, and without it agent-shield cannot make certificates that clients who have {} trust: {MAKE_ANEW}",
            key_path.display(),
            path.display()
        ),
        (Some(pem), certificate) => {
            let key = KeyPair::from_pem(&pem).with_context(|| {
                format!("{} is not a private key: {MAKE_ANEW}", key_path.display())
            })?;
            match certificate {
                Some(pem) => check_ca(&path, &pem, &key)?,
                None => {
                    tracing::warn!(
                        "{} was gone, and is made anew from ca.key: clients that have the earlier one need no new one",
                        path.display()
                    );
                    write_ca(&path, &key)?;
                }
            }
            Ok(key)
        }
    }
}

fn write_ca(path: &Path, key: &KeyPair) -> Result<()> {
    write_private(path, ca_params().self_signed(key)?.pem().as_bytes(), 0o644)
}

/// The text of a file; `None` where there is none.
fn text_of(path: &Path) -> Result<Option<String>> {
    match fs::read(path) {
        // What is no text is no PEM either, which its reader says.
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Whether what this key signs is trusted by whoever trusts this certificate.
fn check_ca(path: &Path, pem: &str, key: &KeyPair) -> Result<()> {
    let path = path.display();
    let der = CertificateDer::from_pem_slice(pem.as_bytes());
    let der = der.with_context(|| format!("{path} is not a certificate: {MAKE_ANEW}"))?;
    let parsed = X509Certificate::from_der(&der);
    let Ok((_, certificate)) = parsed else {
        bail!("{path} is not a certificate: {MAKE_ANEW}");
    };
    if certificate.public_key().raw != key.subject_public_key_info() {
        bail!(
            "{path} does not belong to ca.key: restore it, or remove it, and it is made anew from ca.key (clients that have the one that belongs to ca.key need no new one)"
        );
    }
    let mut names = certificate.subject().iter_common_name();
    let is_named = names.next().and_then(|it| it.as_str().ok()) == Some(CA_NAME);
    if !certificate.is_ca() || !is_named || certificate.subject().iter_attributes().count() != 1 {
        bail!(
            "{path} is not the CA that agent-shield made: remove it, and it is made anew from ca.key"
        );
    }
    let (validity, now) = (certificate.validity(), OffsetDateTime::now_utc());
    if now >= validity.not_after.to_datetime() {
        bail!(
            "{path} expired at {}: remove ca.key and ca.crt, and both are made anew (then give agents and reviewers the new ca.crt)",
            validity.not_after
        );
    }
    if now < validity.not_before.to_datetime() {
        bail!("{path} is not valid before {}: is this machine's clock right?", validity.not_before);
    }
    Ok(())
}

fn ca_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = distinguished_name(CA_NAME);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = OffsetDateTime::now_utc().saturating_sub(CLOCK_SKEW);
    params.not_after = OffsetDateTime::now_utc().saturating_add(Duration::days(3650));
    params
}

fn distinguished_name(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn keeps_its_ca_and_its_secrets() -> Result<()> {
        let temporary = tempfile::tempdir()?;
        let dir = private_dir(&temporary.path().join("data"))?;
        let names = names(&["10.0.0.7".parse()?], &["shield.example".to_owned()]);
        assert_eq!(names, ["10.0.0.7", "127.0.0.1", "::1", "localhost", "shield.example"]);
        made(&dir, &names)?;
        let ca = fs::read(dir.join("ca.crt"))?;
        made(&dir, &names)?;
        assert_eq!(fs::read(dir.join("ca.crt"))?, ca);
        let mode = |path: &Path| fs::metadata(path).map(|it| it.permissions().mode() & 0o777);
        assert_eq!(mode(&dir)?, 0o700);
        assert_eq!(mode(&dir.join("ca.key"))?, 0o600);
        Ok(())
    }

    #[test]
    fn says_what_to_do_about_a_broken_key() -> Result<()> {
        let temporary = tempfile::tempdir()?;
        let (key, ca) = (temporary.path().join("ca.key"), temporary.path().join("ca.crt"));
        let start = || made(temporary.path(), &["localhost".to_owned()]);
        start()?;
        let (good_key, good_ca) = (fs::read(&key)?, fs::read(&ca)?);
        let pair = KeyPair::from_pem(&fs::read_to_string(&key)?)?;
        let other = KeyPair::generate()?;
        let signed = |change: fn(&mut CertificateParams), by: &KeyPair| {
            let mut params = ca_params();
            change(&mut params);
            Ok::<_, rcgen::Error>(params.self_signed(by)?.pem().into_bytes())
        };
        let past = |it: &mut CertificateParams| {
            it.not_after = OffsetDateTime::now_utc().saturating_sub(Duration::minutes(1));
        };
        let coming = |it: &mut CertificateParams| {
            it.not_before = OffsetDateTime::now_utc().saturating_add(Duration::days(1));
        };
        let renamed = |it: &mut CertificateParams| it.distinguished_name = distinguished_name("x");
        let of_another = signed(|_| {}, &other)?;
        let other_key = other.serialize_pem().into_bytes();
        type File = Option<Vec<u8>>;
        let table: [(&str, File, File, Option<&str>); 11] = [
            ("whole", Some(good_key.clone()), Some(good_ca.clone()), None),
            ("no certificate", Some(good_key.clone()), None, None),
            ("no key", None, Some(good_ca.clone()), Some("ca.key is gone")),
            ("a broken key", Some(b"x".to_vec()), Some(good_ca.clone()), Some("not a private key")),
            ("an empty key", Some(vec![]), Some(good_ca.clone()), Some("not a private key")),
            (
                "another key",
                Some(other_key),
                Some(good_ca.clone()),
                Some("does not belong to ca.key"),
            ),
            (
                "another CA",
                Some(good_key.clone()),
                Some(of_another),
                Some("does not belong to ca.key"),
            ),
            ("a broken CA", Some(good_key.clone()), Some(vec![0xff]), Some("not a certificate")),
            ("an old CA", Some(good_key.clone()), Some(signed(past, &pair)?), Some("expired at")),
            ("a new CA", Some(good_key.clone()), Some(signed(coming, &pair)?), Some("clock")),
            (
                "a renamed CA",
                Some(good_key.clone()),
                Some(signed(renamed, &pair)?),
                Some("not the CA"),
            ),
        ];
        for (what, its_key, its_ca, want) in table {
            for (path, bytes) in [(&key, its_key), (&ca, its_ca.clone())] {
                match bytes {
                    Some(bytes) => fs::write(path, bytes)?,
                    None => fs::remove_file(path)?,
                }
            }
            let said = start().err().map(|error| error.to_string());
            match want {
                Some(want) => {
                    assert!(said.as_ref().is_some_and(|it| it.contains(want)), "{what}: {said:?}")
                }
                None => assert_eq!(said, None, "{what}"),
            }
            // Nothing is mended behind anybody's back.
            if let Some(its_ca) = its_ca {
                assert_eq!(fs::read(&ca)?, its_ca, "{what}");
            }
        }
        Ok(())
    }
}
