//! The certificates of the authorities that are trusted to name servers.

use std::io;
use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::small_file::{self, SmallFileError};

/// Longest file of certificates, in bytes: those of all public authorities are some 200 KiB.
const MAX_FILE_BYTES: u64 = 4 << 20;

const REMEDY: &str = "save there the certificate of the authority in PEM form (-----BEGIN CERTIFICATE-----)";

/// Why certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RootsError {
    /// The machine has none.
    #[error("cannot load the root certificates of this machine (SSL_CERT_FILE names another file)")]
    Machine(#[source] io::Error),
    #[error("\"{}\" {error}", .path.display().to_string().escape_debug())]
    File { path: PathBuf, error: SmallFileError },
    #[error("\"{}\" holds no certificate; {REMEDY}", .0.display().to_string().escape_debug())]
    NoCertificate(PathBuf),
    #[error("\"{}\" holds a damaged certificate; {REMEDY}", .0.display().to_string().escape_debug())]
    Damaged(PathBuf),
}

/// A file of certificates that was read and checked (`ca_file`).
#[derive(Debug, Clone)]
pub(crate) struct CaFile {
    pem: Vec<u8>,
    certificates: Vec<CertificateDer<'static>>,
}

impl CaFile {
    /// Blocking: reads and checks the file.
    ///
    /// # Errors
    /// It cannot be read, holds no certificate, or one that is damaged.
    pub(crate) fn load(path: &Path) -> Result<Self, RootsError> {
        let pem = small_file::read(path, MAX_FILE_BYTES).map_err(|error| RootsError::File {
            path: path.to_owned(),
            error,
        })?;
        let damaged = || RootsError::Damaged(path.to_owned());
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
        let certificates = certificates.map_err(|_| damaged())?;
        if certificates.is_empty() {
            return Err(RootsError::NoCertificate(path.to_owned()));
        }
        let file = Self { pem, certificates };
        let mut store = RootCertStore::empty();
        file.add_to(&mut store).map_err(|_| damaged())?;
        Ok(file)
    }

    /// The file as it is.
    pub(crate) fn pem(&self) -> &[u8] {
        &self.pem
    }

    fn add_to(&self, store: &mut RootCertStore) -> Result<(), rustls::Error> {
        let mut certificates = self.certificates.iter().cloned();
        certificates.try_for_each(|certificate| store.add(certificate))
    }
}

/// The roots of this machine, and those of a file beside them. Blocking: reads files.
///
/// # Errors
/// There are none.
pub(super) fn roots(more: Option<&CaFile>) -> Result<RootCertStore, RootsError> {
    let mut store = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    // A machine may have some that are too old to be read.
    store.add_parsable_certificates(found.certs);
    if let Some(file) = more {
        let unlikely = |error| RootsError::Machine(io::Error::other(error));
        file.add_to(&mut store).map_err(unlikely)?;
    }
    if store.is_empty() {
        let reasons: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
        let text = match reasons.is_empty() {
            true => "there are none".to_owned(),
            false => reasons.join("; "),
        };
        return Err(RootsError::Machine(io::Error::other(text)));
    }
    Ok(store)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_good_certificate_is_refused_with_the_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        let fault = || CaFile::load(&path).unwrap_err().to_string();
        assert!(fault().contains("does not exist"), "{}", fault());
        for (text, expected) in [
            ("", "holds no certificate; save there"),
            (
                "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
                "holds no certificate",
            ),
            (
                "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
                "a damaged certificate",
            ),
            (
                "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n",
                "a damaged certificate",
            ),
        ] {
            std::fs::write(&path, text).unwrap();
            assert!(fault().contains(expected), "{text}: {}", fault());
        }
    }
}
