//! The folder of a repository, for the one who edits it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use tough::schema::{Root, Signed};

use crate::repository::error::AuthorError;

/// What the one process that edits holds a lock on.
const LOCK: &str = ".lock";

/// Longest metadata that is read.
const BYTES_MAX: u64 = 256 << 20;

/// A repository's folder, locked.
#[derive(Debug)]
pub struct Files {
    folder: PathBuf,
    _lock: File,
}

impl Files {
    /// Takes a folder that is empty, or not there.
    pub fn create(folder: &Path) -> Result<Self, AuthorError> {
        let io = |doing| move |source| AuthorError::Io { path: folder.into(), doing, source };
        fs::create_dir_all(folder).map_err(io("making the folder"))?;
        for entry in fs::read_dir(folder).map_err(io("listing"))? {
            if entry.map_err(io("listing"))?.file_name() != LOCK {
                return Err(AuthorError::Occupied(folder.into()));
            }
        }
        Self::lock(folder)
    }

    /// Takes a folder that a repository is in.
    pub fn open(folder: &Path) -> Result<Self, AuthorError> {
        if !folder.join("metadata/timestamp.json").is_file() {
            let problem = "is no repository: it has no metadata/timestamp.json; ephor repo init makes one".into();
            return Err(AuthorError::NotARepository { path: folder.into(), problem });
        }
        Self::lock(folder)
    }

    fn lock(folder: &Path) -> Result<Self, AuthorError> {
        let io = |source| AuthorError::Io { path: folder.into(), doing: "locking", source };
        let lock = OpenOptions::new().write(true).create(true).truncate(false).open(folder.join(LOCK)).map_err(io)?;
        match lock.try_lock() {
            Ok(()) => Ok(Files { folder: folder.into(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(AuthorError::Locked(folder.into())),
            Err(TryLockError::Error(source)) => Err(io(source)),
        }
    }

    /// Where a file is.
    pub fn path(&self, file: &str) -> PathBuf {
        self.folder.join(file)
    }

    pub fn read(&self, file: &str) -> Result<Vec<u8>, AuthorError> {
        let path = self.path(file);
        let io = |source| AuthorError::Io { path: path.clone(), doing: "reading", source };
        let length = fs::metadata(&path).map_err(io)?.len();
        if length > BYTES_MAX {
            let problem = format!("has {length} bytes, at most {BYTES_MAX}");
            return Err(AuthorError::NotARepository { path, problem });
        }
        fs::read(&path).map_err(io)
    }

    pub fn json<T: DeserializeOwned>(&self, file: &str) -> Result<T, AuthorError> {
        let bytes = self.read(file)?;
        serde_json::from_slice(&bytes)
            .map_err(|error| AuthorError::NotARepository { path: self.path(file), problem: format!("cannot be read: {error}") })
    }

    /// The root with the highest version.
    pub fn latest_root(&self) -> Result<Signed<Root>, AuthorError> {
        let folder = self.path("metadata");
        let io = |source| AuthorError::Io { path: folder.clone(), doing: "listing", source };
        let mut latest = 0;
        for entry in fs::read_dir(&folder).map_err(io)? {
            let name = entry.map_err(io)?.file_name();
            let version = name.to_str().and_then(|name| name.strip_suffix(".root.json")).and_then(|version| version.parse().ok());
            latest = latest.max(version.unwrap_or(0u64));
        }
        self.json(&format!("metadata/{latest}.root.json"))
    }

    /// Writes a file whole, durably, for everybody to read. What has the bytes already
    /// is left alone.
    pub fn write(&self, file: &str, bytes: &[u8]) -> Result<(), AuthorError> {
        let path = self.path(file);
        if fs::read(&path).is_ok_and(|found| found == bytes) {
            return Ok(());
        }
        let folder = path.parent().unwrap_or(&self.folder);
        let write = || -> io::Result<()> {
            fs::create_dir_all(folder)?;
            let permissions = fs::Permissions::from_mode(0o666);
            let mut draft = tempfile::Builder::new().prefix(".draft-").permissions(permissions).tempfile_in(folder)?;
            draft.write_all(bytes)?;
            draft.as_file().sync_all()?;
            draft.persist(&path)?;
            File::open(folder)?.sync_all()
        };
        write().map_err(|source| AuthorError::Io { path: path.clone(), doing: "writing", source })
    }
}
