//! What a client remembers of a repository from one time to the next: the newest
//! root, the versions it has seen, the latest time, until when what it saw holds, and
//! every release by its digest.
//!
//! One file, replaced whole or not at all. Without it, whoever can restart a platform
//! could show it an older repository.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::RepositoryError;
use crate::digest::Digest;

/// The file in the datastore.
const FILE: &str = "trust.json";

/// Longest memory that is read.
const BYTES_MAX: u64 = 256 << 20;

/// What is remembered.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Memory {
    format: String,
    /// Of the trusted root that all this follows from.
    anchor: Digest,
    /// The latest time that was seen. A clock that goes back does not make anything
    /// young again.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "time::serde::rfc3339::option")]
    pub time: Option<OffsetDateTime>,
    /// Until when what was seen last holds, or held.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "time::serde::rfc3339::option")]
    pub expires: Option<OffsetDateTime>,
    /// The newest root, as signed.
    pub root: Option<serde_json::Value>,
    /// The newest timestamp and snapshot, as signed.
    pub timestamp: Option<serde_json::Value>,
    pub snapshot: Option<serde_json::Value>,
    /// Every key that a root has ever named: one that none names any more is revoked.
    #[serde(default)]
    pub keys: BTreeSet<String>,
    /// Digests of every statement of a release or list, by the name of its target.
    #[serde(default)]
    pub known: BTreeMap<String, Digest>,
}

impl Memory {
    const FORMAT: &str = "ephor trust 1";

    /// Reads what is remembered under this trusted root.
    ///
    /// A platform that replaces the trusted root begins again from there; the versions
    /// seen before still count wherever the new root's keys have signed them.
    pub fn open(datastore: &Path, anchor: &[u8]) -> Result<Self, RepositoryError> {
        let anchor = Digest::of(anchor);
        let path = datastore.join(FILE);
        let fail = |problem: String| RepositoryError::Datastore { path: path.clone(), problem };
        std::fs::create_dir_all(datastore).map_err(|error| fail(error.to_string()))?;
        let fresh = Memory {
            format: Self::FORMAT.into(),
            anchor,
            time: None,
            expires: None,
            root: None,
            timestamp: None,
            snapshot: None,
            keys: BTreeSet::new(),
            known: BTreeMap::new(),
        };
        let bytes = match std::fs::metadata(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(fresh),
            Err(error) => return Err(fail(error.to_string())),
            Ok(data) if data.len() > BYTES_MAX => return Err(fail(format!("has {} bytes, at most {BYTES_MAX}", data.len()))),
            Ok(_) => std::fs::read(&path).map_err(|error| fail(error.to_string()))?,
        };
        let memory: Memory = serde_json::from_slice(&bytes).map_err(|error| fail(format!("is damaged: {error}")))?;
        if memory.format != Self::FORMAT {
            return Err(fail(format!("is {:?}, and this program knows {:?} only", memory.format, Self::FORMAT)));
        }
        if memory.anchor != anchor {
            let Memory { time, expires, timestamp, snapshot, keys, known, .. } = memory;
            return Ok(Memory { time, expires, timestamp, snapshot, keys, known, ..fresh });
        }
        Ok(memory)
    }

    /// Replaces the file, durably.
    pub fn save(&self, datastore: &Path) -> Result<(), RepositoryError> {
        let path = datastore.join(FILE);
        let write = || -> std::io::Result<()> {
            let mut draft = tempfile::Builder::new().prefix(".trust-").tempfile_in(datastore)?;
            draft.write_all(&serde_json::to_vec(self)?)?;
            draft.as_file().sync_all()?;
            draft.persist(&path)?;
            std::fs::File::open(datastore)?.sync_all()
        };
        write().map_err(|error| RepositoryError::Datastore { path: path.clone(), problem: error.to_string() })
    }

    /// Lays out for tough what it looks for in a datastore of its own.
    pub fn stage(&self, folder: &Path) -> std::io::Result<()> {
        for (name, value) in [("timestamp.json", &self.timestamp), ("snapshot.json", &self.snapshot)] {
            if let Some(value) = value {
                std::fs::write(folder.join(name), serde_json::to_vec(value)?)?;
            }
        }
        Ok(())
    }

    /// Takes what tough has verified and left there, whether or not it went on to the
    /// end: a root that was reached once is not given up again.
    pub fn take(&mut self, folder: &Path) -> std::io::Result<()> {
        let read = |name: &str| -> std::io::Result<Option<serde_json::Value>> {
            match std::fs::read(PathBuf::from(folder).join(name)) {
                Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error),
            }
        };
        if let Some(root) = read("root.json")? {
            self.root = Some(root);
        }
        // Not there any more: keys were rotated, and versions begin anew.
        (self.timestamp, self.snapshot) = (read("timestamp.json")?, read("snapshot.json")?);
        Ok(())
    }
}
