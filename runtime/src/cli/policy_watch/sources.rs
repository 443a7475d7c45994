//! The files that a policy is made of, and whether they are other ones than before.
//!
//! They are looked at again and again. To be told of changes takes a crate for every
//! operating system, does not work on every file system, and would not be sooner by
//! anything that an author notices.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// How often they are looked at.
const PAUSE: Duration = Duration::from_millis(200);

/// How long nothing may have changed before a change is whole: editors write a file in
/// several steps, and several files one after the other.
const QUIET: Duration = Duration::from_millis(100);

/// What is looked at, in the folder of a crate. So cargo's target folder and its Cargo.lock,
/// which a build changes, are not.
const PLACES: [&str; 4] = ["src", "vectors", "settings.json", "Cargo.toml"];

/// What is looked at as well where it is run.
const NATIVE: &str = "tests";

/// When each file was written last, and how long it is.
type Files = BTreeMap<PathBuf, (Option<SystemTime>, u64)>;

/// The files of a policy at one time.
pub struct Sources {
    places: Vec<PathBuf>,
    files: Files,
}

impl Sources {
    /// Looks at the crate in a folder; with `native`, at its own tests too.
    pub fn of(folder: &Path, native: bool) -> Self {
        let places: Vec<PathBuf> = PLACES.into_iter().chain(native.then_some(NATIVE)).map(|place| folder.join(place)).collect();
        let files = look(&places);
        Sources { places, files }
    }

    /// Waits until they are other ones, and stay as they are for a moment.
    pub async fn change(&self) {
        let mut before = look(&self.places);
        loop {
            let pause = if before == self.files { PAUSE } else { QUIET };
            tokio::time::sleep(pause).await;
            let now = look(&self.places);
            if now == before && now != self.files {
                return;
            }
            before = now;
        }
    }
}

fn look(places: &[PathBuf]) -> Files {
    let mut files = Files::new();
    for place in places {
        visit(place, &mut files);
    }
    files
}

/// Notes a file, or all in a folder. What cannot be read is not there: the build says what
/// is wrong with it.
fn visit(path: &Path, files: &mut Files) {
    let Ok(about) = fs::metadata(path) else { return };
    if !about.is_dir() {
        files.insert(path.to_path_buf(), (about.modified().ok(), about.len()));
        return;
    }
    for entry in fs::read_dir(path).into_iter().flatten().filter_map(Result::ok) {
        let path = entry.path();
        // Editors keep what is not saved yet in hidden files.
        let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        // A link to a folder may lead back to here.
        let leads_away = entry.file_type().is_ok_and(|kind| kind.is_symlink()) && path.is_dir();
        if !is_hidden && !leads_away {
            visit(&path, files);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_source_is_not_looked_at() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path();
        let write = |name: &str, text: &str| {
            let file = folder.join(name);
            fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
            fs::write(file, text).expect("a file");
        };
        let files = |native: bool| Sources::of(folder, native).files;
        assert!(files(true).is_empty());
        for source in ["Cargo.toml", "settings.json", "src/lib.rs", "src/inner/a.rs", "vectors/a.json"] {
            let before = files(false);
            write(source, "");
            let made = files(false);
            assert_ne!(made, before, "{source} is there");
            write(source, "longer");
            assert_ne!(files(false), made, "{source} has changed");
        }
        let (before, native) = (files(false), files(true));
        for other in ["Cargo.lock", "README.md", "target/a.wasm", "src/.lib.rs.swp", "vectors/.draft/a.json", "tests/vectors.rs"] {
            write(other, "");
        }
        std::os::unix::fs::symlink(folder, folder.join("src/all")).expect("a link");
        assert_eq!(files(false), before);
        assert_ne!(files(true), native, "tests are looked at where they are run");
        fs::remove_file(folder.join("vectors/a.json")).expect("it goes");
        assert_ne!(files(false), before);
    }
}
