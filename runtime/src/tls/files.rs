//! Certificates, keys and lists of revoked certificates as they stand in files: PEM
//! (RFC 7468).

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The system does not give it.
    #[error("{} cannot be read: {source}", file.display())]
    Read {
        /// Which file.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// There is PEM in it that is cut off or no base64.
    #[error("{} is not PEM: {what}", file.display())]
    NotPem {
        /// Which file.
        file: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// It has nothing of what it should have.
    #[error("{} has no {what}; in PEM that begins with `-----BEGIN {label}-----`", file.display())]
    Nothing {
        /// Which file.
        file: PathBuf,
        /// What was looked for.
        what: &'static str,
        /// How that begins.
        label: &'static str,
    },
}

/// The certificates of a file, in its order; at least one.
///
/// # Errors
///
/// If it cannot be read, or has none.
pub fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, FileError> {
    all(file, "certificate", "CERTIFICATE")
}

/// The first private key of a file: PKCS 8, PKCS 1 or SEC 1.
///
/// # Errors
///
/// If it cannot be read, or has none.
pub fn key(file: &Path) -> Result<PrivateKeyDer<'static>, FileError> {
    all::<PrivateKeyDer<'static>>(file, "private key without a passphrase", "PRIVATE KEY").map(|mut keys| keys.swap_remove(0))
}

/// The lists of revoked certificates in a file (RFC 5280, section 5); at least one.
///
/// # Errors
///
/// If it cannot be read, or has none.
pub fn revoked(file: &Path) -> Result<Vec<CertificateRevocationListDer<'static>>, FileError> {
    all(file, "list of revoked certificates", "X509 CRL")
}

/// Whether anybody on this machine may read a file.
pub(super) fn is_open_to_all(file: &Path) -> bool {
    std::fs::metadata(file).is_ok_and(|meta| meta.permissions().mode() & 0o004 != 0)
}

fn all<T: PemObject>(file: &Path, what: &'static str, label: &'static str) -> Result<Vec<T>, FileError> {
    let bytes = std::fs::read(file).map_err(|source| FileError::Read { file: file.into(), source })?;
    let found: Result<Vec<T>, _> = T::pem_slice_iter(&bytes).collect();
    match found {
        Ok(found) if found.is_empty() => Err(FileError::Nothing { file: file.into(), what, label }),
        Ok(found) => Ok(found),
        Err(error) => Err(FileError::NotPem { file: file.into(), what: error.to_string() }),
    }
}
