//! Releases in folders: `NAME.wasm` with `NAME.settings.json`, and which component
//! and settings make a release that an entry names.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use ephor::digest::Digest;

const COMPONENT_SUFFIX: &str = ".wasm";
const SETTINGS_SUFFIX: &str = ".settings.json";

/// What WebAssembly begins with.
const WASM_MAGIC: &[u8] = b"\0asm";

/// What stands for settings where there are none.
const NO_SETTINGS: &[u8] = b"{}";

/// A component and its settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts {
    /// The file that the component is in.
    pub file: PathBuf,
    pub component: Vec<u8>,
    pub settings: Vec<u8>,
}

/// What `--against` and `--with` name: the releases of a folder, or one component with
/// its settings beside it.
pub fn releases(path: &Path) -> anyhow::Result<Vec<Parts>> {
    let metadata = path.metadata().with_context(|| format!("cannot read {}", path.display()))?;
    if metadata.is_dir() { folder(path) } else { Ok(vec![parts(path)?]) }
}

/// The releases of a folder, in the order of their files' names: the same that `serve
/// --policies` takes from it.
pub fn folder(path: &Path) -> anyhow::Result<Vec<Parts>> {
    let components = listed(path, COMPONENT_SUFFIX)?;
    ensure!(!components.is_empty(), "no policies in {}; build some with `ephor policy build`", path.display());
    components.iter().map(|file| parts(file)).collect()
}

fn parts(file: &Path) -> anyhow::Result<Parts> {
    let settings = match file.file_name().and_then(|name| name.to_str()?.strip_suffix(COMPONENT_SUFFIX)) {
        Some(name) => file.with_file_name(format!("{name}{SETTINGS_SUFFIX}")),
        None => file.with_extension("settings.json"),
    };
    let settings = if settings.exists() { read(&settings)? } else { NO_SETTINGS.to_vec() };
    Ok(Parts { file: file.to_path_buf(), component: read(file)?, settings })
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))
}

/// Files of a folder by their ending. Names that begin with a dot are files on their way
/// to their place.
fn listed(folder: &Path, ending: &str) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for item in folder.read_dir().with_context(|| format!("cannot read {}", folder.display()))? {
        let path = item.with_context(|| format!("cannot read {}", folder.display()))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.len() > ending.len() && name.ends_with(ending) && !name.starts_with('.') && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Components and settings, from which releases are put together by their digest: a
/// release that was made by a change of settings alone is not in a file of its own.
#[derive(Debug)]
pub struct Shelf {
    components: Vec<(PathBuf, Vec<u8>)>,
    settings: Vec<Vec<u8>>,
    /// By digest, the places of component and settings.
    releases: HashMap<String, (usize, usize)>,
}

impl Shelf {
    /// Takes all components and all JSON documents of the folders, and what a data
    /// directory keeps of releases, named by digests.
    pub fn open(folders: &[PathBuf]) -> anyhow::Result<Self> {
        let mut shelf = Shelf { components: Vec::new(), settings: vec![NO_SETTINGS.to_vec()], releases: HashMap::new() };
        for folder in folders {
            for file in listed(folder, "")? {
                let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                let kept = Digest::from_hex(name).is_some();
                if !kept && !name.ends_with(COMPONENT_SUFFIX) && !name.ends_with(".json") {
                    continue;
                }
                let bytes = read(&file)?;
                let is_component = name.ends_with(COMPONENT_SUFFIX) || kept && bytes.starts_with(WASM_MAGIC);
                if is_component && !shelf.components.iter().any(|(_, known)| *known == bytes) {
                    shelf.components.push((file, bytes));
                } else if !is_component && !shelf.settings.contains(&bytes) {
                    shelf.settings.push(bytes);
                }
            }
        }
        for (at, (_, component)) in shelf.components.iter().enumerate() {
            for (with, settings) in shelf.settings.iter().enumerate() {
                shelf.releases.insert(Digest::of_parts(&[component, settings]).hex(), (at, with));
            }
        }
        Ok(shelf)
    }

    /// The release of this digest (64 hexadecimal digits).
    pub fn find(&self, digest: &str) -> Option<Parts> {
        let (at, with) = self.releases.get(digest)?;
        let (file, component) = &self.components[*at];
        Some(Parts { file: file.clone(), component: component.clone(), settings: self.settings[*with].clone() })
    }

    /// Number of components and of settings, for people.
    pub fn size(&self) -> (usize, usize) {
        (self.components.len(), self.settings.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder_with(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, content) in files {
            std::fs::write(folder.path().join(name), content).expect("written");
        }
        folder
    }

    #[test]
    fn a_release_is_a_component_with_its_settings_or_none() {
        let some = folder_with(&[("b.wasm", "B"), ("a.wasm", "A"), ("a.settings.json", "{1}"), (".c.wasm", "C"), ("note", "x")]);
        let found = folder(some.path()).expect("releases");
        let found: Vec<_> = found.iter().map(|parts| (parts.component.as_slice(), parts.settings.as_slice())).collect();
        assert_eq!(found, [(b"A".as_slice(), b"{1}".as_slice()), (b"B", b"{}")]);
        assert_eq!(releases(&some.path().join("a.wasm")).expect("one").len(), 1);
        assert!(folder(folder_with(&[]).path()).is_err());
    }

    #[test]
    fn releases_are_put_together_by_their_digest() {
        let one = folder_with(&[("p.wasm", "component"), ("p.settings.json", "{\"a\":1}")]);
        let two = folder_with(&[("later.json", "{\"a\":2}"), ("p.wasm", "component")]);
        let shelf = Shelf::open(&[one.path().into(), two.path().into()]).expect("a shelf");
        assert_eq!(shelf.size(), (1, 2));
        for settings in ["{\"a\":1}", "{\"a\":2}", "{}"] {
            let digest = Digest::of_parts(&[b"component", settings.as_bytes()]).hex();
            assert_eq!(shelf.find(&digest).map(|parts| parts.settings), Some(settings.as_bytes().to_vec()));
        }
        assert_eq!(shelf.find(&Digest::of(b"other").hex()), None);
    }
}
