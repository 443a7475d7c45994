//! Compiled code on disk, so that the second start is fast.
//!
//! A file is `HMAC-SHA-256 (32 bytes) ‖ length of the header (8 bytes,
//! little-endian) ‖ header (JSON) ‖ code`. The HMAC is over the file's name and
//! everything after it, under a key that only this installation has: whoever can
//! write to the folder but not read the key cannot make us run their code, nor
//! swap two entries.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use hmac::{Hmac, Mac as _};
use sha2::Sha256;

use crate::digest::Digest;

const KEY_FILE: &str = "key";
const MAC_BYTES: usize = 32;
const ENDING: &str = "code";

/// Entries that are kept; each is one release, of a megabyte or so. Whoever works
/// on a policy makes a new one with every build.
const ENTRIES_MAX: usize = 128;

/// What became of a look-up.
#[derive(Debug)]
pub(super) enum Found {
    /// The bytes that were put, authentic.
    Hit(Vec<u8>),
    /// Nothing there.
    Miss,
    /// Something there that we did not write; it has been deleted.
    Forged,
}

/// A folder of compiled code.
#[derive(Debug)]
pub(super) struct Cache {
    folder: PathBuf,
    key: [u8; 32],
}

impl Cache {
    /// Opens the folder; makes it, and its key, where there is none.
    pub fn open(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let key = read_or_make_key(&folder.join(KEY_FILE))?;
        Ok(Cache { folder: folder.to_path_buf(), key })
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn path(&self, name: Digest) -> PathBuf {
        self.folder.join(format!("{}.{ENDING}", name.hex()))
    }

    fn mac(&self, name: Digest) -> Hmac<Sha256> {
        let mut mac =
            <Hmac<Sha256> as hmac::Mac>::new_from_slice(&self.key).unwrap_or_else(|_| unreachable!("HMAC takes keys of any length"));
        mac.update(name.bytes());
        mac
    }

    /// Looks an entry up.
    pub fn get(&self, name: Digest) -> Found {
        let path = self.path(name);
        let Ok(mut bytes) = fs::read(&path) else { return Found::Miss };
        let authentic = bytes.split_first_chunk::<MAC_BYTES>().is_some_and(|(tag, rest)| {
            let mut mac = self.mac(name);
            mac.update(rest);
            mac.verify_slice(tag).is_ok()
        });
        if !authentic {
            let _ = fs::remove_file(&path);
            return Found::Forged;
        }
        bytes.drain(..MAC_BYTES);
        Found::Hit(bytes)
    }

    /// Keeps an entry. Whole or not at all: a reader never sees half of it.
    pub fn put(&self, name: Digest, bytes: &[u8]) -> io::Result<()> {
        let mut mac = self.mac(name);
        mac.update(bytes);
        let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
        file.write_all(&mac.finalize().into_bytes())?;
        file.write_all(bytes)?;
        file.persist(self.path(name))?;
        self.prune()
    }

    /// Deletes the entries that were written longest ago, beyond those that are
    /// kept. One that is still in use is only compiled again at a later start.
    fn prune(&self) -> io::Result<()> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            if entry.path().extension().is_some_and(|ending| ending == ENDING) {
                entries.push((entry.metadata()?.modified()?, entry.path()));
            }
        }
        entries.sort();
        let surplus = entries.len().saturating_sub(ENTRIES_MAX);
        entries.iter().take(surplus).try_for_each(|(_, path)| fs::remove_file(path))
    }
}

/// Two processes that start at once must end up with one key: the file appears
/// whole or not at all, and only the first makes it.
fn read_or_make_key(path: &Path) -> io::Result<[u8; 32]> {
    if !path.exists() {
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(|error| io::Error::other(error.to_string()))?;
        let folder = path.parent().unwrap_or(Path::new("."));
        // tempfile gives mode 0600.
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(&key)?;
        match file.persist_noclobber(path) {
            Ok(_) => {}
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error.error),
        }
    }
    fs::read(path)?.try_into().map_err(|_| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{} is not a key of 32 bytes; delete it and the folder it is in", path.display()),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_so_many_entries_are_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = Cache::open(folder.path()).expect("a cache");
        let name = |number: usize| Digest::of(&number.to_le_bytes());
        for number in 0..ENTRIES_MAX + 3 {
            cache.put(name(number), b"code").expect("written");
        }
        let kept = (0..ENTRIES_MAX + 3).filter(|number| matches!(cache.get(name(*number)), Found::Hit(_))).count();
        assert_eq!(kept, ENTRIES_MAX);
        assert!(matches!(cache.get(name(ENTRIES_MAX + 2)), Found::Hit(_)), "the last one stays");
    }

    #[test]
    fn ws_32_what_was_put_is_found_and_what_was_changed_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = Cache::open(folder.path()).expect("a cache");
        let (one, two) = (Digest::of(b"one"), Digest::of(b"two"));
        assert!(matches!(cache.get(one), Found::Miss));
        cache.put(one, b"code").expect("written");
        let again = Cache::open(folder.path()).expect("the same key");
        assert!(matches!(again.get(one), Found::Hit(bytes) if bytes == b"code"));

        fs::copy(cache.path(one), cache.path(two)).expect("swapped");
        assert!(matches!(cache.get(two), Found::Forged));
        assert!(matches!(cache.get(two), Found::Miss), "a forged entry is gone");

        for at in 0..fs::read(cache.path(one)).expect("an entry").len() {
            cache.put(one, b"code").expect("written");
            let mut bytes = fs::read(cache.path(one)).expect("an entry");
            bytes[at] ^= 1;
            fs::write(cache.path(one), bytes).expect("changed");
            assert!(matches!(cache.get(one), Found::Forged), "byte {at}");
        }
    }
}
