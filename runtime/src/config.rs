//! All limits in one file.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{ingest, runtime, sandbox, server};

/// The configuration: one table per room, every key with a default. A key that is
/// not known is an error.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// How much an event may be.
    pub ingest: ingest::Limits,
    /// How much waits and is evaluated together.
    pub spine: runtime::Limits,
    /// What a policy may use.
    pub sandbox: sandbox::Limits,
    /// What a client may do.
    pub server: server::Limits,
}

/// Why a configuration is not taken.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file is not a configuration; the message has line and column.
    #[error("{}: {source}", path.display())]
    Parse {
        /// Which file.
        path: PathBuf,
        /// What is wrong, and where.
        source: Box<toml::de::Error>,
    },
}

impl Config {
    /// Reads a TOML file.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or something in it is not known or of another type.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.into(), source })?;
        toml::from_str(&text).map_err(|source| ConfigError::Parse { path: path.into(), source: Box::new(source) })
    }
}
