//! Who somebody is, and what they may do: certificates of clients, bearer tokens, and
//! tokens of an identity provider (JWT).
//!
//! Everything is taken from files beside the configuration; nothing is asked over the
//! network. What the files say is taken over while the server runs ([`Access::refresh`]).
//! What a role may do at which path is the server's affair.

mod jwt;
mod role;
mod settings;
pub mod tokens;
mod watched;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use time::OffsetDateTime;

pub use role::{NoRole, Role};
pub use settings::{Certificate, JwtSettings, Settings};

use jwt::Jwt;
use tokens::Tokens;
use watched::Watched;

/// Somebody who has shown who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The name: that of the token, that of the certificate in the configuration, or the
    /// `sub` of the JWT.
    pub name: String,
    /// What they may do.
    pub roles: Vec<Role>,
    /// How they have shown it.
    pub how: How,
}

/// The way in which somebody has shown who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum How {
    /// With a client certificate (RFC 5280).
    Certificate,
    /// With a bearer token of our own (RFC 6750).
    Token,
    /// With a JWT (RFC 7519) of the identity provider.
    Jwt,
}

impl How {
    /// Every way.
    pub const ALL: [How; 3] = [How::Certificate, How::Token, How::Jwt];

    /// The word; what the name of somebody in an entry begins with.
    pub fn name(self) -> &'static str {
        match self {
            How::Certificate => "certificate",
            How::Token => "token",
            How::Jwt => "jwt",
        }
    }
}

/// As entries of the ledger have it: `token:alice`.
impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.how.name(), self.name)
    }
}

/// Whether a name that somebody gave themselves looks like one that was shown.
pub fn is_shown(name: &str) -> bool {
    name.split_once(':').is_some_and(|(how, _)| How::ALL.iter().any(|known| known.name().eq_ignore_ascii_case(how.trim())))
}

/// Why the ways in are not to be had.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// A file cannot be read.
    #[error("{} cannot be read: {source}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("{} is no file of {what}: {message}", path.display())]
    Wrong {
        /// Which file.
        path: PathBuf,
        /// What it should have.
        what: &'static str,
        /// What is wrong with it.
        message: String,
    },
}

/// The ways in, as they are configured.
#[derive(Debug)]
pub struct Access {
    settings: Settings,
    tokens: Option<Watched<Tokens>>,
    jwt: Option<Jwt>,
}

impl Access {
    /// The ways in that a configuration has; none if it has none, which leaves the server
    /// to this machine. Relative paths begin at `base`.
    ///
    /// # Errors
    ///
    /// If a file that it names is not there or not as it should be.
    pub fn open(settings: &Settings, base: &Path) -> Result<Option<Access>, AccessError> {
        if !settings.is_configured() {
            return Ok(None);
        }
        let tokens = settings.tokens_file(base).map(|path| Watched::open(path, "tokens", Tokens::parse)).transpose()?;
        let jwt = settings.jwt.is_given().then(|| Jwt::open(&settings.jwt, base)).transpose()?;
        Ok(Some(Access { settings: settings.clone(), tokens, jwt }))
    }

    /// Whether what says nothing about events is for everybody: checkpoints, hashes,
    /// repositories.
    pub fn is_public(&self) -> bool {
        self.settings.public
    }

    /// Who has this bearer token; nobody if it is not known, expired, or otherwise not
    /// valid. Why is in the log and not in the answer.
    pub fn bearer(&self, token: &str) -> Option<Arc<Identity>> {
        if token.starts_with(tokens::PREFIX) {
            return self.tokens.as_ref()?.get().find(token, OffsetDateTime::now_utc());
        }
        self.jwt.as_ref()?.find(token)
    }

    /// Who has this certificate, which was verified: SHA-256 of its DER encoding, and the
    /// names in its subject alternative name extension.
    pub fn certificate(&self, fingerprint: &[u8; 32], names: &[String]) -> Option<Arc<Identity>> {
        let found = self.settings.certificates.iter().find(|(_, certificate)| certificate.is(fingerprint, names));
        found.map(|(name, certificate)| Arc::new(Identity { name: name.clone(), roles: certificate.parsed_roles(), how: How::Certificate }))
    }

    /// Reads the files of tokens and keys again, where they have changed. A file that is
    /// gone lets nobody in; one that is not as it should be changes nothing, and the log
    /// says so.
    pub fn refresh(&self) {
        if let Some(tokens) = &self.tokens {
            tokens.refresh();
        }
        if let Some(jwt) = &self.jwt {
            jwt.refresh();
        }
    }
}
