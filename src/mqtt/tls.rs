//! TLS to the broker: whom we trust and who we are. The files are read for each connection, so that a renewed certificate is
//! taken at the next one.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rumqttc::TlsConfiguration;
use rumqttc::tokio_rustls::rustls;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use super::failure::VERSION_1;
use super::{Broker, MqttError};
use crate::config::Section;
use crate::secret;

/// The files behind `mqtts://` and `wss://`, all PEM.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Files {
    /// The CAs that may have signed the broker's certificate; without it, those that the system trusts.
    pub ca: Option<PathBuf>,
    /// Who we are, for a broker that wants to know by certificate.
    pub identity: Option<Identity>,
}

/// A client certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// It, and those between it and the CA.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

const CA: &str = "ca_file";
const CERTIFICATE: &str = "client_certificate";
const KEY: &str = "client_key";

impl Files {
    /// Reads the keys of `[mqtt]`. What is wrong is reported to the section.
    pub(super) fn read(section: &Section<'_>, broker: Option<&Broker>) -> Self {
        let path = |key| section.optional::<String>(key).map(PathBuf::from);
        let (ca, certificate, key) = (path(CA), path(CERTIFICATE), path(KEY));
        for (one, other) in [(CERTIFICATE, KEY), (KEY, CERTIFICATE)] {
            if section.has(one) && !section.has(other) {
                let message = format!("`{one}` of {} is of no use without `{other}`", section.what());
                section.wrong(one, message, format!("add `{other} = \"/etc/homeostat/…\"`"));
            }
        }
        let plain = broker.filter(|broker| !broker.is_secure());
        if let (Some(broker), Some(first)) = (plain, [CA, CERTIFICATE, KEY].into_iter().find(|key| section.has(key))) {
            let hint = match broker {
                Broker::Embedded { .. } => "the embedded broker speaks no TLS: remove it".to_owned(),
                Broker::Remote { websocket: None, .. } => "write `broker = \"mqtts://…\"`, or remove it".to_owned(),
                Broker::Remote { .. } => "write `broker = \"wss://…\"`, or remove it".to_owned(),
            };
            section.wrong(first, format!("`{first}` of {} is of no use without TLS", section.what()), hint);
        }
        let identity = certificate.zip(key).map(|(certificate, key)| Identity { certificate, key });
        Self { ca, identity }
    }

    /// What the client needs to begin a connection. Blocks.
    pub(super) fn load(&self) -> Result<TlsConfiguration, MqttError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| MqttError::NoTls { reason: error.to_string() })?
            .with_root_certificates(self.roots()?);
        let config = match &self.identity {
            None => config.with_no_client_auth(),
            Some(Identity { certificate, key }) => {
                let certificates = certificates(CERTIFICATE, certificate)?;
                config.with_client_auth_cert(certificates, private_key(key)?).map_err(|error| match error {
                    rustls::Error::InvalidCertificate(error) if format!("{error:?}").contains(VERSION_1) => {
                        let reason = "it is of X.509 version 1; sign it as docs/mqtt-client.md shows";
                        unusable(CERTIFICATE, certificate, reason.into())
                    }
                    rustls::Error::InvalidCertificate(error) => unusable(CERTIFICATE, certificate, error.to_string()),
                    rustls::Error::InconsistentKeys(_) => {
                        let reason = format!("it does not belong to the certificate in {}", certificate.display());
                        unusable(KEY, key, reason)
                    }
                    error => unusable(KEY, key, error.to_string()),
                })?
            }
        };
        Ok(TlsConfiguration::Rustls(Arc::new(config)))
    }

    fn roots(&self) -> Result<RootCertStore, MqttError> {
        let mut roots = RootCertStore::empty();
        match &self.ca {
            Some(file) => {
                for certificate in certificates(CA, file)? {
                    roots.add(certificate).map_err(|error| unusable(CA, file, error.to_string()))?;
                }
            }
            None => {
                let found = rustls_native_certs::load_native_certs();
                // One bad file among a hundred is no reason to trust nobody.
                roots.add_parsable_certificates(found.certs);
                if roots.is_empty() {
                    let reason = found.errors.first().map_or_else(|| "there are none".into(), ToString::to_string);
                    return Err(MqttError::NoCas { reason });
                }
            }
        }
        Ok(roots)
    }
}

fn certificates(key: &'static str, file: &Path) -> Result<Vec<CertificateDer<'static>>, MqttError> {
    let bytes = read(key, file)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match found {
        Ok(found) if found.is_empty() => {
            Err(unusable(key, file, "there is no certificate in it (PEM is wanted)".into()))
        }
        Ok(found) => Ok(found),
        Err(error) => Err(unusable(key, file, broken(&error))),
    }
}

fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, MqttError> {
    let bytes = read(KEY, file)?;
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| {
        let encrypted = str::from_utf8(&bytes).is_ok_and(|text| text.contains("ENCRYPTED"));
        let reason = match error {
            _ if encrypted => "the key in it has a password; take that off with `openssl pkey`".into(),
            pem::Error::NoItemsFound => "there is no private key in it (PEM is wanted)".into(),
            error => broken(&error),
        };
        unusable(KEY, file, reason)
    })
}

/// The library's message, of which some kinds hold a line of the file, for which see its key.
fn broken(error: &pem::Error) -> String {
    match error {
        pem::Error::MissingSectionEnd { .. } => "it ends in the midst of a PEM section".into(),
        pem::Error::IllegalSectionStart { .. } => "a PEM section begins in it in a way that is not understood".into(),
        pem::Error::Base64Decode(_) => "a PEM section in it is damaged".into(),
        _ => "it is damaged".into(),
    }
}

fn read(key: &'static str, file: &Path) -> Result<Vec<u8>, MqttError> {
    secret::bytes(file).map_err(|error| unusable(key, file, system_words(&error)))
}

fn system_words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => format!("{error}: let the user of this process read it"),
        _ => error.to_string(),
    }
}

fn unusable(key: &'static str, file: &Path, reason: String) -> MqttError {
    MqttError::File { key, file: file.to_owned(), reason }
}
