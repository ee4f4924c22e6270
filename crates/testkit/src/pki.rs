//! Keys and certificates of a cluster for tests.

use std::{fs, path::Path};

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};
use time::{Duration, OffsetDateTime};

/// Makes `ca.crt`, `ca.key`, `sa.key`, the API server's certificate and the admin's.
///
/// # Errors
/// Where the folder cannot be written to.
pub fn make(dir: &Path) -> Result<()> {
    let key = KeyPair::generate()?;
    fs::write(dir.join("ca.crt"), ca().self_signed(&key)?.pem())?;
    fs::write(dir.join("ca.key"), key.serialize_pem())?;
    let tokens = KeyPair::generate()?;
    fs::write(dir.join("sa.key"), tokens.serialize_pem())?;
    fs::write(dir.join("sa.pub"), tokens.public_key_pem())?;
    let names = ["localhost", "kubernetes", "kubernetes.default.svc", "127.0.0.1", "10.0.0.1"];
    let (certificate, key) = sign(dir, "kube-apiserver", &[], &names)?;
    fs::write(dir.join("server.crt"), certificate)?;
    fs::write(dir.join("server.key"), key)?;
    let (certificate, key) = sign(dir, "admin", &["system:masters"], &[])?;
    fs::write(dir.join("admin.crt"), certificate)?;
    fs::write(dir.join("admin.key"), key)?;
    Ok(())
}

/// A certificate and key (PEM), signed by the cluster's CA.
pub(crate) fn sign(
    dir: &Path,
    user: &str,
    groups: &[&str],
    names: &[&str],
) -> Result<(String, String)> {
    let ca_key = KeyPair::from_pem(&fs::read_to_string(dir.join("ca.key"))?)?;
    let issuer = Issuer::new(ca(), ca_key);
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, user);
    for group in groups {
        params.distinguished_name.push(DnType::OrganizationName, *group);
    }
    params.not_before = OffsetDateTime::now_utc() - Duration::hours(1);
    params.not_after = OffsetDateTime::now_utc() + Duration::days(365);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate()?;
    Ok((params.signed_by(&key, &issuer)?.pem(), key.serialize_pem()))
}

fn ca() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "test-ca");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    params.not_before = OffsetDateTime::now_utc() - Duration::hours(1);
    params.not_after = OffsetDateTime::now_utc() + Duration::days(365);
    params
}
