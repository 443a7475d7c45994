//! The only way from the ledger to files: a handful of operations on a data
//! directory, thin enough that a test can stand in for a failing disk.
//!
//! [`Disk`] is the real one. Nothing here knows what is in the files, except for
//! the two that say whose directory it is: `FORMAT` and `lock`. What is assumed of
//! disks stands in `FORMAT.md`.

use std::fmt;
use std::fs::{self, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// A data directory, as far as the ledger touches it.
///
/// Paths are relative to the directory, with `/` between their parts; the
/// directory itself is `""`.
///
/// Contract for every operation:
/// - It returns once it is done; nothing goes on behind the caller's back.
/// - What it changed is **not durable** on return. Bytes become durable by
///   [`File::sync`], names (creating, renaming, removing) by [`Storage::sync_dir`]
///   of the folder that they are in.
/// - An interrupted system call (`EINTR`) is repeated inside. Nothing else is: a
///   failed write or sync must reach the caller, for a repeated one may claim a
///   success that the disk never had.
/// - After an error, the operation may have had all, part or none of its effect.
/// - It may be called from several threads at once. Writers to one file have to
///   agree among themselves.
pub(crate) trait Storage: Send + Sync {
    /// Makes a folder, if it is not there.
    fn create_dir(&self, path: &str) -> io::Result<()>;

    /// Names of what is in a folder, in no order.
    fn list(&self, path: &str) -> io::Result<Vec<String>>;

    /// Makes a file for reading and writing; a private one is for nobody but who runs
    /// the ledger. Fails with `AlreadyExists` if there is one: the ledger never writes
    /// over a file that it did not know of.
    fn create(&self, path: &str, private: bool) -> io::Result<Box<dyn File>>;

    /// Opens a file for reading and, if `write`, for writing. Fails with `NotFound`
    /// if there is none.
    fn open(&self, path: &str, write: bool) -> io::Result<Box<dyn File>>;

    /// Gives a file another name, in place of what has that name. After a crash
    /// there is either the old or the new file under it, never a mixture.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    fn remove(&self, path: &str) -> io::Result<()>;

    /// Makes the names in a folder durable.
    fn sync_dir(&self, path: &str) -> io::Result<()>;
}

/// An open file. The contract is that of [`Storage`].
pub(crate) trait File: Send + Sync {
    /// Length in bytes.
    fn len(&self) -> io::Result<u64>;

    /// Reads at an offset until the buffer is full or the file ends; gives the
    /// number of bytes read.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes all bytes at an offset. A write that the system cut short is
    /// continued, so a full disk shows as an error after some of the bytes.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Cuts the file, or extends it by zeros.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Makes the file's bytes and its length durable.
    ///
    /// After an error nobody knows which of the bytes are: the system may have
    /// dropped them and regard its cache as clean, so that another call succeeds
    /// without writing anything. The only sound reaction is to stop.
    fn sync(&self) -> io::Result<()>;
}

/// What the name of a file ends with that is on its way to replace another.
pub(super) const NEW: &str = ".new";

/// Reads a whole file.
pub(crate) fn read(storage: &dyn Storage, path: &str) -> io::Result<Vec<u8>> {
    let file = storage.open(path, false)?;
    let len = usize::try_from(file.len()?).map_err(|_| io::ErrorKind::FileTooLarge)?;
    let mut bytes = vec![0; len];
    let read = file.read_at(0, &mut bytes)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// Puts a file in the place of another, whole or not at all, and durably: writes
/// it under a temporary name, syncs it, renames it, syncs its folder.
///
/// On an error the old file may or may not have been replaced, and is never half
/// of each. What a crash leaves under the temporary name is replaced next time.
pub(crate) fn replace(storage: &dyn Storage, path: &str, bytes: &[u8], private: bool) -> io::Result<()> {
    let temporary = format!("{path}{NEW}");
    match storage.remove(&temporary) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let file = storage.create(&temporary, private)?;
    file.write_at(0, bytes)?;
    file.sync()?;
    storage.rename(&temporary, path)?;
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    storage.sync_dir(folder)
}

/// The file that says what a directory is.
const FORMAT: &str = "FORMAT";

/// Its content, of the version that this program writes.
const FORMAT_LINE: &str = "ephor data 1\n";

/// The file that the one process with the right to write holds a lock on.
const LOCK: &str = "lock";

/// A directory cannot be used as a data directory.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DirectoryError {
    #[error("{}: {doing} failed: {source}", path.display())]
    Io { path: PathBuf, doing: &'static str, source: io::Error },
    #[error("{}: another process has this data directory open. Stop it, or give this one a directory of its own", .0.display())]
    Locked(PathBuf),
    #[error(
        "{}: has files, but no {FORMAT}, so it is not a data directory (it has {found:?}). \
         Name an empty directory, or one that ephor made", path.display()
    )]
    Foreign { path: PathBuf, found: String },
    #[error(
        "{}/{FORMAT}: says {found:?}, and this program knows {FORMAT_LINE:?} only. \
         Open it with the release that wrote it, or a newer one", path.display()
    )]
    Version { path: PathBuf, found: String },
}

/// A data directory on a disk.
///
/// [`Disk::open`] takes the directory's lock and keeps it as long as it lives; the
/// system gives it back when the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct Disk {
    root: PathBuf,
    /// Locked as long as it is open.
    _lock: fs::File,
}

impl Disk {
    /// Opens a directory for writing and makes it a data directory if it is empty
    /// or not there. Not more than one process at a time can have it open.
    pub fn open(root: &Path) -> Result<Disk, DirectoryError> {
        let io = |doing| move |source| DirectoryError::Io { path: root.to_path_buf(), doing, source };
        fs::create_dir_all(root).map_err(io("making the directory"))?;
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).clone();
        let lock = options.open(root.join(LOCK)).map_err(io("opening the lock"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(DirectoryError::Locked(root.to_path_buf())),
            Err(TryLockError::Error(source)) => return Err(io("locking")(source)),
        }
        let disk = Disk { root: root.to_path_buf(), _lock: lock };
        mark(&disk, root)?;
        // The directory's own name, so that a crash does not take all of it away.
        let parent = root.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        sync_folder(parent).map_err(io("syncing the parent directory"))?;
        Ok(disk)
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }
}

/// Writes `FORMAT` into an empty directory; in any other, checks it.
pub(super) fn mark(storage: &dyn Storage, root: &Path) -> Result<(), DirectoryError> {
    let io = |doing| move |source| DirectoryError::Io { path: root.to_path_buf(), doing, source };
    let names = storage.list("").map_err(io("listing"))?;
    // A crash between making the directory and marking it leaves these.
    let unmarked = format!("{FORMAT}.new");
    if names.iter().any(|name| *name != LOCK && *name != unmarked) {
        return check_mark(storage, root);
    }
    replace(storage, FORMAT, FORMAT_LINE.as_bytes(), false).map_err(io("writing FORMAT"))
}

fn check_mark(storage: &dyn Storage, root: &Path) -> Result<(), DirectoryError> {
    let io = |doing| move |source| DirectoryError::Io { path: root.to_path_buf(), doing, source };
    match read(storage, FORMAT) {
        Ok(found) if found == FORMAT_LINE.as_bytes() => Ok(()),
        Ok(found) => {
            let found = String::from_utf8_lossy(&found[..found.len().min(80)]).into_owned();
            Err(DirectoryError::Version { path: root.to_path_buf(), found })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let names = storage.list("").map_err(io("listing"))?;
            let found = names.into_iter().filter(|name| name != LOCK).min().unwrap_or_default();
            Err(DirectoryError::Foreign { path: root.to_path_buf(), found })
        }
        Err(source) => Err(io("reading FORMAT")(source)),
    }
}

fn sync_folder(path: &Path) -> io::Result<()> {
    fs::File::open(path)?.sync_all()
}

impl Storage for Disk {
    fn create_dir(&self, path: &str) -> io::Result<()> {
        match fs::create_dir(self.path(path)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && self.path(path).is_dir() => Ok(()),
            done => done,
        }
    }

    fn list(&self, path: &str) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.path(path))? {
            // A name that is not UTF-8 is none of ours; shown as well as it can be.
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        Ok(names)
    }

    fn create(&self, path: &str, private: bool) -> io::Result<Box<dyn File>> {
        // Entries are for whoever runs the ledger, and may be passed on by group.
        let mode = if private { 0o600 } else { 0o640 };
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(mode).open(self.path(path))?;
        Ok(Box::new(DiskFile(file)))
    }

    fn open(&self, path: &str, write: bool) -> io::Result<Box<dyn File>> {
        let file = OpenOptions::new().read(true).write(write).open(self.path(path))?;
        Ok(Box::new(DiskFile(file)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        fs::remove_file(self.path(path))
    }

    fn sync_dir(&self, path: &str) -> io::Result<()> {
        sync_folder(&self.path(path))
    }
}

struct DiskFile(fs::File);

impl File for DiskFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        while done < buffer.len() {
            match self.0.read_at(&mut buffer[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(read) => done += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        // fdatasync: bytes and length, without the times of access and change.
        self.0.sync_data()
    }
}

impl fmt::Debug for dyn Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Storage")
    }
}

impl fmt::Debug for dyn File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("File")
    }
}

#[cfg(test)]
mod tests {
    use super::super::faulty::{Failure, Faulty};
    use super::*;

    #[test]
    fn a_directory_is_made_once_and_known_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("data");
        drop(Disk::open(&root).expect("made"));
        assert_eq!(fs::read_to_string(root.join(FORMAT)).expect("marked"), "ephor data 1\n");
        drop(Disk::open(&root).expect("known again"));
    }

    #[test]
    fn one_process_at_a_time() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = Disk::open(folder.path()).expect("free");
        let error = Disk::open(folder.path()).expect_err("taken");
        assert!(error.to_string().contains("another process"), "{error}");
        drop(first);
        Disk::open(folder.path()).expect("free again");
    }

    #[test]
    fn a_crash_while_marking_leaves_a_directory_that_opens() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join(LOCK), "").expect("written");
        fs::write(folder.path().join("FORMAT.new"), "eph").expect("written");
        Disk::open(folder.path()).expect("opens");
        assert!(!folder.path().join("FORMAT.new").exists());
    }

    #[test]
    fn du_17_strangers_directories_and_newer_ones_are_refused_by_name() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("notes.txt"), "mine").expect("written");
        let error = Disk::open(folder.path()).expect_err("not ours");
        assert!(error.to_string().contains("notes.txt"), "{error}");
        fs::write(folder.path().join(FORMAT), "ephor data 2\n").expect("written");
        let error = Disk::open(folder.path()).expect_err("newer");
        assert!(error.to_string().contains("ephor data 2") && error.to_string().contains("newer"), "{error}");
    }

    /// Does something on a disk of which each operation fails in every way, and shows
    /// what a crash leaves.
    fn break_every_operation(before: &Faulty, work: impl Fn(&Faulty) -> bool, check: impl Fn(Faulty, bool)) {
        let whole = before.killed();
        assert!(work(&whole));
        check(whole.crashed(0), true);
        for operation in 0..whole.operations().len() {
            for failure in Failure::ALL {
                let disk = before.killed();
                disk.fail(operation, failure);
                let done = work(&disk);
                (0..20).for_each(|seed| check(disk.crashed(seed), done));
                check(disk.killed(), done);
            }
        }
    }

    #[test]
    fn du_11_what_is_replaced_is_the_old_or_the_new_file() {
        let before = Faulty::new(1);
        let (old, new) = (vec![b'o'; 1_500], vec![b'n'; 1_100]);
        replace(&before, "file", &old, false).expect("written");
        let work = |disk: &Faulty| replace(disk, "file", &new, false).is_ok();
        break_every_operation(&before, work, |disk, done| {
            let found = read(&disk, "file").expect("there");
            assert!(found == new || !done && found == old, "{done}: {found:?}");
            replace(&disk, "file", &old, true).expect("what a crash left is no obstacle");
            assert_eq!(disk.crashed(3).files().into_iter().collect::<Vec<_>>(), [("file".to_string(), old.clone())]);
        });
    }

    #[test]
    fn marking_a_directory_can_be_broken_off_anywhere() {
        let work = |disk: &Faulty| mark(disk, Path::new("data")).is_ok();
        break_every_operation(&Faulty::new(2), work, |disk, done| {
            assert!(!done || disk.files().contains_key(FORMAT));
            mark(&disk, Path::new("data")).expect("goes on");
            assert_eq!(disk.files()[FORMAT], FORMAT_LINE.as_bytes());
        });
    }
}
