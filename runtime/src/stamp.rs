//! How a file looks from outside: what tells, without reading it, that it has changed.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// When content, owner or mode of a file last changed, how long it is, and which file it is:
/// one that takes its place under the same name is another one. When it was written is not
/// asked, because whoever writes it can say that as they like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    changed: (i64, i64),
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
        Stamp { changed: (meta.ctime(), meta.ctime_nsec()), bytes: meta.len(), inode: meta.ino() }
    }
}
