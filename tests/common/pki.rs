//! Certificates for tests: a CA of their own, and what it signs, right or wrong.

#![allow(dead_code, reason = "each test uses what it needs")]
#![allow(clippy::unwrap_used, reason = "this is a test")]

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};

/// What is wrong with a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    Nothing,
    Expired,
    NotYetValid,
    /// It is for somebody else.
    OtherName,
}

/// A certificate and its key, as PEM files.
#[derive(Debug, Clone)]
pub struct Pair {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// A CA, whose certificate is a PEM file.
pub struct Ca {
    issuer: Issuer<'static, KeyPair>,
    pub pair: Pair,
    directory: PathBuf,
}

impl Ca {
    /// A new one that keeps its files in `directory`.
    pub fn new(directory: &Path, name: &str) -> Self {
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let pair = write(directory, name, &certificate.pem(), &key);
        Self { issuer: Issuer::new(params, key), pair, directory: directory.to_owned() }
    }

    /// Signs a certificate for this machine, or for somebody else.
    pub fn sign(&self, file: &str, flaw: Flaw) -> Pair {
        let name = if flaw == Flaw::OtherName { "other.example" } else { "127.0.0.1" };
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, file);
        match flaw {
            Flaw::Expired => params.not_after = date_time_ymd(2020, 1, 1),
            Flaw::NotYetValid => params.not_before = date_time_ymd(2999, 1, 1),
            Flaw::Nothing | Flaw::OtherName => {}
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        write(&self.directory, file, &certificate.pem(), &key)
    }
}

fn write(directory: &Path, name: &str, certificate: &str, key: &KeyPair) -> Pair {
    let pair = Pair { certificate: directory.join(format!("{name}.pem")), key: directory.join(format!("{name}.key")) };
    std::fs::write(&pair.certificate, certificate).unwrap();
    std::fs::write(&pair.key, key.serialize_pem()).unwrap();
    pair
}
