//! How far a destination was told, over restarts: a file that is replaced whole.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The file of one destination's place.
#[derive(Debug, Clone)]
pub(super) struct Cursor {
    file: PathBuf,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    /// The sequence that is looked at next.
    next: u64,
}

impl Cursor {
    pub fn new(folder: &Path, name: &str) -> Self {
        Cursor { file: folder.join(format!("{name}.json")) }
    }

    /// The sequence that is looked at next; nothing if nothing was told yet.
    ///
    /// # Errors
    ///
    /// If what is there cannot be read: to begin anew would be a gap or a flood.
    pub fn read(&self) -> io::Result<Option<u64>> {
        let bytes = match fs::read(&self.file) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let Place { next } = serde_json::from_slice(&bytes)?;
        Ok(Some(next))
    }

    /// Makes a place durable. Waits for the disk.
    pub fn write(&self, next: u64) -> io::Result<()> {
        let draft = self.file.with_extension("json.new");
        let mut file = File::create(&draft)?;
        file.write_all(&serde_json::to_vec(&Place { next })?)?;
        file.sync_all()?;
        fs::rename(&draft, &self.file)?;
        sync_folder(&self.file)
    }
}

/// Makes the name of a file durable.
pub(super) fn sync_folder(file: &Path) -> io::Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_there_again_or_said_to_be_damaged() {
        let folder = tempfile::tempdir().expect("a folder");
        let cursor = Cursor::new(folder.path(), "fraud-team");
        assert_eq!(cursor.read().expect("nothing"), None);
        for next in [1, 4_711] {
            cursor.write(next).expect("written");
            assert_eq!(Cursor::new(folder.path(), "fraud-team").read().expect("read"), Some(next));
        }
        fs::write(folder.path().join("fraud-team.json"), "{").expect("written");
        assert!(cursor.read().is_err());
    }
}
