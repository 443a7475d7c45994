//! What published releases are made of, kept so that a restart needs nobody else:
//! files in `releases/`, each named by the SHA-256 of its bytes.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::digest::Digest;

/// The folder in a data directory.
pub(crate) const FOLDER: &str = "releases";

/// Keeps some bytes in a data directory. They are durable when this returns.
pub(crate) fn keep(directory: &Path, bytes: &[u8]) -> io::Result<Digest> {
    let digest = Digest::of(bytes);
    let folder = directory.join(FOLDER);
    let file = folder.join(digest.hex());
    if fs::read(&file).is_ok_and(|kept| Digest::of(&kept) == digest) {
        return Ok(digest);
    }
    if !folder.is_dir() {
        fs::create_dir(&folder).or_else(|error| if folder.is_dir() { Ok(()) } else { Err(error) })?;
        File::open(directory)?.sync_all()?;
    }
    let mut new = tempfile::Builder::new().suffix(".new").tempfile_in(&folder)?;
    new.write_all(bytes)?;
    new.as_file().sync_all()?;
    new.persist(&file).map_err(|error| error.error)?;
    File::open(&folder)?.sync_all()?;
    Ok(digest)
}

/// Reads what was kept under a digest (64 hexadecimal digits).
///
/// # Errors
///
/// In words: it is missing, or is not what it was.
pub(crate) fn read(directory: &Path, digest: &str) -> Result<Vec<u8>, String> {
    let file: PathBuf = directory.join(FOLDER).join(digest);
    let bytes = fs::read(&file)
        .map_err(|error| format!("{} cannot be read ({error}); a release that is in force is made of it", file.display()))?;
    match Digest::of(&bytes).hex() == digest {
        true => Ok(bytes),
        false => Err(format!("{} is damaged: it is not what its name says; a release that is in force is made of it", file.display())),
    }
}

/// The digests of everything that is kept.
pub(crate) fn all(directory: &Path) -> io::Result<Vec<String>> {
    let items = match fs::read_dir(directory.join(FOLDER)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        items => items?,
    };
    let mut found = Vec::new();
    for item in items {
        let name = item?.file_name();
        found.extend(name.to_str().filter(|name| Digest::from_hex(name).is_some()).map(str::to_string));
    }
    found.sort();
    Ok(found)
}

/// The first bytes of what was kept under a digest, as many as fit.
pub(crate) fn beginning(directory: &Path, digest: &str, bytes: &mut [u8]) -> io::Result<usize> {
    use std::io::Read as _;
    let mut file = File::open(directory.join(FOLDER).join(digest))?;
    let mut read = 0;
    while read < bytes.len() {
        match file.read(&mut bytes[read..])? {
            0 => break,
            more => read += more,
        }
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_back_or_refused() {
        let directory = tempfile::tempdir().expect("a folder");
        let digest = keep(directory.path(), b"component").expect("kept");
        assert_eq!(keep(directory.path(), b"component").expect("kept twice"), digest);
        assert_eq!(read(directory.path(), &digest.hex()).as_deref(), Ok(b"component".as_slice()));
        let file = directory.path().join(FOLDER).join(digest.hex());
        fs::write(&file, b"Component").expect("changed");
        assert!(read(directory.path(), &digest.hex()).is_err_and(|why| why.contains("is damaged")));
        keep(directory.path(), b"component").expect("mended");
        assert!(read(directory.path(), &digest.hex()).is_ok());
        fs::remove_file(&file).expect("removed");
        assert!(read(directory.path(), &digest.hex()).is_err_and(|why| why.contains("cannot be read")));
        assert_eq!(fs::read_dir(directory.path().join(FOLDER)).expect("the folder").count(), 0, "nothing else is left");
    }
}
