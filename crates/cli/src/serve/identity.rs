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
    Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject};
use time::{Duration, OffsetDateTime};

use super::args::ServeArgs;

/// Clocks that disagree by less than this still trust each other's certificates.
const CLOCK_SKEW: Duration = Duration::hours(1);

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
        bail!("{} holds no certificate", certificate.display());
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
    let key = ca_key(&dir.join("ca.key"))?;
    let params = ca_params();
    let ca_path = dir.join("ca.crt");
    if !ca_path.exists() {
        let ca = params.self_signed(&key)?;
        write_private(&ca_path, ca.pem().as_bytes(), 0o644)?;
    }
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

/// The key of the digests that stand for secret values and bodies: made once, kept private.
pub(super) fn digest_key(path: &Path) -> Result<Vec<u8>> {
    if let Ok(key) = fs::read(path) {
        if key.len() != 32 {
            bail!(
                "{} is damaged: it must hold 32 bytes; restore it, or remove it and decide open holds again",
                path.display()
            );
        }
        return Ok(key);
    }
    let mut key = vec![0; 32];
    SystemRandom::new().fill(&mut key).context("this system has no randomness")?;
    write_private(path, &key, 0o600)?;
    Ok(key)
}

fn ca_key(path: &Path) -> Result<KeyPair> {
    match fs::read_to_string(path) {
        Ok(pem) => KeyPair::from_pem(&pem)
            .with_context(|| format!("{} is not a private key; remove it together with ca.crt to have both made anew (agents must then be given the new ca.crt)", path.display())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = KeyPair::generate()?;
            write_private(path, key.serialize_pem().as_bytes(), 0o600)?;
            Ok(key)
        }
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

fn ca_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = distinguished_name("agent-shield CA");
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
        fs::write(temporary.path().join("ca.key"), "not a key")?;
        let error =
            made(temporary.path(), &["localhost".to_owned()]).err().map(|it| it.to_string());
        assert!(error.is_some_and(|it| it.contains("remove it together with ca.crt")));
        Ok(())
    }
}
