//! A file that is read again when it has changed.

use std::fmt;
use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::AccessError;
use crate::stamp::Stamp;

/// Bytes of a file of tokens or keys, at most.
const FILE_BYTES_MAX: u64 = 4 << 20;

type Parse<T> = fn(&[u8]) -> Result<T, String>;

/// What is in a file, as of the latest look.
pub(super) struct Watched<T> {
    path: PathBuf,
    what: &'static str,
    parse: Parse<T>,
    now: RwLock<Arc<T>>,
    /// As it was read; absent if it was not there.
    seen: Mutex<Option<Stamp>>,
}

impl<T> fmt::Debug for Watched<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Watched").field(&self.path).finish()
    }
}

impl<T: Default> Watched<T> {
    pub(super) fn open(path: PathBuf, what: &'static str, parse: Parse<T>) -> Result<Self, AccessError> {
        let (bytes, stamp) = read(&path).map_err(|source| AccessError::Read { path: path.clone(), source })?;
        let value = parse(&bytes).map_err(|message| AccessError::Wrong { path: path.clone(), what, message })?;
        Ok(Watched { path, what, parse, now: RwLock::new(Arc::new(value)), seen: Mutex::new(Some(stamp)) })
    }

    pub(super) fn get(&self) -> Arc<T> {
        Arc::clone(&self.now.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn refresh(&self) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = Stamp::of(&self.path);
        if stamp == *seen {
            return;
        }
        let file = self.path.display();
        match read(&self.path) {
            Ok((bytes, stamp)) => {
                *seen = Some(stamp);
                match (self.parse)(&bytes) {
                    Ok(value) => {
                        self.set(value);
                        tracing::info!(%file, what = self.what, "Read again");
                    }
                    Err(message) => tracing::error!(%file, what = self.what, message, "Not as it should be; what was known before holds"),
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                *seen = None;
                self.set(T::default());
                tracing::error!(%file, what = self.what, "The file is gone: nobody is let in by it");
            }
            Err(error) => {
                *seen = stamp;
                tracing::error!(%file, what = self.what, %error, "Cannot be read; what was known before holds");
            }
        }
    }

    fn set(&self, value: T) {
        *self.now.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(value);
    }
}

/// Reads a file that says who may do what: nobody but its owner may write it.
fn read(path: &PathBuf) -> io::Result<(Vec<u8>, Stamp)> {
    let file = fs::File::open(path)?;
    let meta = file.metadata()?;
    if meta.permissions().mode() & 0o022 != 0 {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "others than its owner may write it: chmod go-w"));
    }
    let mut bytes = Vec::new();
    if file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)? as u64 > FILE_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("it has more than {FILE_BYTES_MAX} bytes")));
    }
    Ok((bytes, Stamp::from(&meta)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8]) -> Result<String, String> {
        String::from_utf8(bytes.to_vec()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_change_is_seen_a_broken_file_changes_nothing_and_one_that_is_gone_lets_nobody_in() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        let write = |bytes: &[u8]| {
            // Replaced, as whoever writes it does.
            let other = folder.path().join("other");
            fs::write(&other, bytes).expect("written");
            fs::rename(&other, &path).expect("renamed");
        };
        write(b"one");
        let watched = Watched::open(path.clone(), "words", text).expect("opened");
        assert_eq!(*watched.get(), "one");
        write(b"two");
        watched.refresh();
        assert_eq!(*watched.get(), "two");
        write(&[0xff]);
        watched.refresh();
        assert_eq!(*watched.get(), "two");
        fs::remove_file(&path).expect("removed");
        watched.refresh();
        assert_eq!(*watched.get(), "");
        write(b"three");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).expect("set");
        watched.refresh();
        assert_eq!(*watched.get(), "", "whoever may write the file decides who is let in");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("set");
        watched.refresh();
        assert_eq!(*watched.get(), "three", "what was mended is read, though nothing was written");
    }
}
