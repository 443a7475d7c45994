//! The client's side: whose certificates it takes, and which one it shows.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt as _;

use super::{FileError, files, provider};

/// What a client takes and shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Client {
    /// The file of the authorities (PEM) that servers' certificates have to chain to.
    /// Without it, those of the system.
    pub authorities: Option<PathBuf>,
    /// The files of its own certificate, with the chain behind it, and of its key (PEM).
    pub certificate: Option<(PathBuf, PathBuf)>,
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// A file is not as it should be.
    #[error(transparent)]
    File(#[from] FileError),
    /// A certificate or key cannot be used.
    #[error("{}: {source}", file.display())]
    Unusable {
        /// Which file.
        file: PathBuf,
        /// Why not.
        source: rustls::Error,
    },
    /// The system's authorities are not to be had.
    #[error("the system's authorities cannot be read: {0}; name a file of your own")]
    System(rustls::Error),
}

impl Client {
    /// Reads the files. Connections speak TLS 1.2 or 1.3, and HTTP/1.1 in it.
    ///
    /// # Errors
    ///
    /// If a file cannot be read, or what is in it cannot be used.
    pub fn open(&self) -> Result<Arc<ClientConfig>, ClientError> {
        let builder = ClientConfig::builder_with_provider(provider());
        let builder = builder.with_safe_default_protocol_versions().map_err(ClientError::System)?;
        let builder = match &self.authorities {
            Some(file) => {
                let mut roots = RootCertStore::empty();
                for certificate in files::certificates(file)? {
                    roots.add(certificate).map_err(|source| ClientError::Unusable { file: file.clone(), source })?;
                }
                builder.with_root_certificates(roots)
            }
            None => builder.with_platform_verifier().map_err(ClientError::System)?,
        };
        let mut config = match &self.certificate {
            Some((certificate, key)) => {
                let made = builder.with_client_auth_cert(files::certificates(certificate)?, files::key(key)?);
                made.map_err(|source| ClientError::Unusable { file: certificate.clone(), source })?
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}
