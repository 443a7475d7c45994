//! Compiled code on disk, so that the second start is fast.
//!
//! A file is `HMAC-SHA-256 (32 bytes) ‖ length of the header (8 bytes,
//! little-endian) ‖ header (JSON) ‖ code`. The HMAC is over the file's name and
//! everything after it, under a key that only this installation has: whoever can
//! write to the folder but not read the key cannot make us run their code, nor
//! swap two entries.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use hmac::{Hmac, Mac as _};
use sha2::Sha256;

use crate::digest::Digest;

const KEY_FILE: &str = "key";
const MAC_BYTES: usize = 32;
const ENDING: &str = "code";

/// Bytes that are kept. An entry is one release, of a megabyte or so: what a server has in
/// force has to fit, for if it does not, every start compiles all of it again. Whoever works
/// on a policy makes a new one with every build.
const BYTES_MAX: u64 = 2 << 30;

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
    bytes_max: u64,
}

impl Cache {
    /// Opens the folder; makes it, and its key, where there is none.
    pub fn open(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let key = read_or_make_key(&folder.join(KEY_FILE))?;
        Ok(Cache { folder: folder.to_path_buf(), key, bytes_max: BYTES_MAX })
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
        // A folder that we may only read has what it has.
        let _ = File::options().append(true).open(&path).and_then(|file| file.set_modified(SystemTime::now()));
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
        // The kernel's own stamps are some milliseconds apart.
        file.as_file().set_modified(SystemTime::now())?;
        file.persist(self.path(name))?;
        self.prune()
    }

    /// Deletes the entries that were used longest ago, beyond those that are kept. One that
    /// is still in use is only compiled again at a later start.
    fn prune(&self) -> io::Result<()> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            if path.extension().is_none_or(|ending| ending != ENDING) {
                continue;
            }
            match fs::metadata(&path) {
                Ok(metadata) => entries.push((metadata.modified()?, metadata.len(), path)),
                // Another process was faster.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        entries.sort();
        let mut kept = 0u64;
        for (_, bytes, path) in entries.iter().rev() {
            kept += bytes;
            if kept > self.bytes_max {
                match fs::remove_file(path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
        }
        Ok(())
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
    fn what_was_used_longest_ago_goes_once_there_is_too_much() {
        const BYTES: usize = 100;
        let folder = tempfile::tempdir().expect("a folder");
        let cache = Cache { bytes_max: 4 * (MAC_BYTES + BYTES) as u64, ..Cache::open(folder.path()).expect("a cache") };
        let name = |number: usize| Digest::of(&number.to_le_bytes());
        let is_there = |number: usize| cache.path(name(number)).exists();
        for number in 0..4 {
            cache.put(name(number), &[7; BYTES]).expect("written");
        }
        assert!((0..4).all(is_there), "so much is kept");
        assert!(matches!(cache.get(name(0)), Found::Hit(_)));
        cache.put(name(4), &[7; BYTES]).expect("written");
        let kept: Vec<usize> = (0..5).filter(|number| is_there(*number)).collect();
        assert_eq!(kept, [0, 2, 3, 4], "the second was used longest ago");
        cache.put(name(5), &[7; 4 * BYTES]).expect("written");
        let kept: Vec<usize> = (0..6).filter(|number| is_there(*number)).collect();
        assert_eq!(kept, [5], "with it there is no room for another");
        assert!(folder.path().join(KEY_FILE).exists());
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
