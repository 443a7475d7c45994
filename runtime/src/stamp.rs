//! How a file looks from outside: what tells, without reading it, that it has changed.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::SystemTime;

/// When a file was written, how long it is, and which file it is: one that takes its place
/// under the same name is another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    modified: SystemTime,
    bytes: u64,
    inode: u64,
}

impl Stamp {
    /// Of what is under this name now; nothing if there is nothing, or it cannot be seen.
    pub fn of(path: &Path) -> Option<Self> {
        fs::metadata(path).ok().map(|meta| Stamp::from(&meta))
    }
}

impl From<&Metadata> for Stamp {
    fn from(meta: &Metadata) -> Self {
        // Where no times of writing are kept, length and number have to do.
        let modified = meta.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        Stamp { modified, bytes: meta.len(), inode: meta.ino() }
    }
}
