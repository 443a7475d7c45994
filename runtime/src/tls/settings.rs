//! What an operator says about TLS.

use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// TLS at a server's door.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// The server's certificate, and behind it those that lead to its authority. Empty: no
    /// TLS here.
    pub certificate: PathBuf,
    /// The private key of the certificate, without a passphrase. Nobody but the server has
    /// to be able to read it.
    pub key: PathBuf,
    /// Authorities whose certificates clients may show. Empty: no client is asked for one.
    #[schemars(extend("examples" = [["clients.pem"]]))]
    pub client_authorities: Vec<PathBuf>,
    /// Whether a client has to show a certificate, where `client_authorities` has any.
    pub client_certificates: ClientCertificates,
    /// Lists of revoked client certificates (RFC 5280, section 5). Where there are any, every
    /// authority of a client needs one: a client whose authority has none, or one that is
    /// past its next update, is refused.
    #[schemars(extend("examples" = [["revoked.pem"]]))]
    pub revoked: Vec<PathBuf>,
    /// Milliseconds for a whole handshake.
    #[schemars(range(min = 1, max = 86_400_000))]
    pub handshake_timeout_ms: u64,
    /// Whether a proxy in front of this server does TLS. With it the server may listen
    /// beyond this machine in clear; the network from the proxy to here then has to be one
    /// that nobody else is in.
    pub elsewhere: bool,
}

/// Whether a client has to show a certificate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ClientCertificates {
    /// It may; one that it shows has to be right.
    #[default]
    Optional,
    /// Without one there is no connection.
    Required,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            certificate: PathBuf::new(),
            key: PathBuf::new(),
            client_authorities: Vec::new(),
            client_certificates: ClientCertificates::default(),
            revoked: Vec::new(),
            handshake_timeout_ms: 5_000,
            elsewhere: false,
        }
    }
}

impl Settings {
    /// Whether there is TLS here.
    pub fn is_on(&self) -> bool {
        !self.certificate.as_os_str().is_empty()
    }

    /// Every file, with the key that names it.
    pub fn files(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        let single = [("certificate", &self.certificate), ("key", &self.key)].into_iter();
        let authorities = self.client_authorities.iter().map(|file| ("client-authorities", file));
        let revoked = self.revoked.iter().map(|file| ("revoked", file));
        let named = single.chain(authorities).chain(revoked).map(|(key, file)| (key, file.as_path()));
        named.filter(|(_, file)| !file.as_os_str().is_empty())
    }

    /// The same with relative paths from a folder on.
    #[must_use]
    pub fn below(&self, base: &Path) -> Settings {
        let from = |file: &PathBuf| if file.as_os_str().is_empty() { file.clone() } else { base.join(file) };
        Settings {
            certificate: from(&self.certificate),
            key: from(&self.key),
            client_authorities: self.client_authorities.iter().map(from).collect(),
            revoked: self.revoked.iter().map(from).collect(),
            ..self.clone()
        }
    }

    /// Keys that do not go together, each with what is wrong with it.
    pub fn problems(&self) -> Vec<(&'static str, &'static str)> {
        let is_named = |file: &Path| !file.as_os_str().is_empty();
        let mut found = Vec::new();
        match (self.is_on(), is_named(&self.key)) {
            (true, false) => found.push(("key", "is missing; name the file of the certificate's private key")),
            (false, true) => found.push(("certificate", "is missing; name the file of the certificate that `key` belongs to")),
            _ => {}
        }
        if self.is_on() && self.elsewhere {
            found.push(("elsewhere", "is true, but `certificate` says that TLS is done here; leave one of the two out"));
        }
        if !self.is_on() && !self.client_authorities.is_empty() {
            found.push(("client-authorities", "are of no use without `certificate`: clients show theirs in TLS only"));
        }
        if self.client_authorities.is_empty() && self.client_certificates == ClientCertificates::Required {
            found.push(("client-certificates", "is \"required\", but `client-authorities` names none that they could be of"));
        }
        if self.client_authorities.is_empty() && !self.revoked.is_empty() {
            found.push(("revoked", "is of no use without `client-authorities`: it is about clients' certificates"));
        }
        found
    }

    /// How long a handshake may take.
    pub fn handshake_timeout(&self) -> Duration {
        Duration::from_millis(self.handshake_timeout_ms)
    }
}
