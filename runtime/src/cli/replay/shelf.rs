//! Releases in folders: `NAME.wasm` with `NAME.settings.json` and `lists/NAME.list`,
//! and which of them make a release that an entry names.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use ephor::List;
use ephor::digest::Digest;
use ephor::policy::Release;
use ephor::runtime::Offer;

use crate::cli::exit::Outcome;
use crate::cli::{follow, list};

const COMPONENT_SUFFIX: &str = ".wasm";
const SETTINGS_SUFFIX: &str = ".settings.json";

/// What WebAssembly begins with, and a reference list.
const WASM_MAGIC: &[u8] = b"\0asm";
const LIST_MAGIC: &[u8] = b"EPHRLIST";

/// What stands for settings where there are none.
const NO_SETTINGS: &[u8] = b"{}";

/// A component, its settings, and lists that it may have.
#[derive(Debug, Clone)]
pub struct Parts {
    /// The file that the component is in.
    pub file: PathBuf,
    pub component: Vec<u8>,
    pub settings: Vec<u8>,
    pub lists: Vec<Arc<List>>,
}

impl Parts {
    /// The release that they make, in development.
    pub fn offer(self) -> Offer {
        Offer { spare: self.lists, ..Offer::development(self.component.into(), self.settings.into()) }
    }
}

/// What `--against` and `--with` name: the releases of a folder, or one component with
/// its settings beside it.
pub fn releases(path: &Path) -> anyhow::Result<Vec<Parts>> {
    let metadata = path.metadata().with_context(|| format!("cannot read {}", path.display()))?;
    if metadata.is_dir() {
        return folder(path);
    }
    let beside = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok(vec![parts(path, &lists(beside)?)?])
}

/// The releases of a folder, in the order of their files' names: the same that `serve
/// --policies` takes from it.
pub fn folder(path: &Path) -> anyhow::Result<Vec<Parts>> {
    let components = listed(path, COMPONENT_SUFFIX)?;
    ensure!(!components.is_empty(), "no policies in {}; build some with `ephor policy build`", path.display());
    let lists = lists(path)?;
    components.iter().map(|file| parts(file, &lists)).collect()
}

/// The lists that policies of a folder have: `lists/NAME.list`.
fn lists(folder: &Path) -> anyhow::Result<Vec<Arc<List>>> {
    let folder = folder.join(follow::LISTS);
    if !folder.exists() {
        return Ok(Vec::new());
    }
    listed(&folder, follow::LIST_SUFFIX)?.iter().map(|file| open(file).map(Arc::new)).collect()
}

fn open(file: &Path) -> anyhow::Result<List> {
    list::open(file).map_err(|failed| failed.error)
}

fn parts(file: &Path, lists: &[Arc<List>]) -> anyhow::Result<Parts> {
    let settings = match file.file_name().and_then(|name| name.to_str()?.strip_suffix(COMPONENT_SUFFIX)) {
        Some(name) => file.with_file_name(format!("{name}{SETTINGS_SUFFIX}")),
        None => file.with_extension("settings.json"),
    };
    let settings = if settings.exists() { read(&settings)? } else { NO_SETTINGS.to_vec() };
    Ok(Parts { file: file.to_path_buf(), component: read(file)?, settings, lists: lists.to_vec() })
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

/// Components, settings and lists, from which releases are put together by their digest:
/// a release that was made by a change of settings or of a list alone is not in a file of
/// its own.
#[derive(Debug)]
pub struct Shelf {
    components: Vec<(PathBuf, Vec<u8>)>,
    settings: Vec<Vec<u8>>,
    /// By digest, the places of component and settings, for releases without lists.
    releases: HashMap<String, (usize, usize)>,
    /// By name and version. Opened when they are needed: there may be many versions.
    lists: HashMap<(String, String), Vec<(PathBuf, Digest)>>,
}

impl Shelf {
    /// Takes all components, all JSON documents and all lists of the folders, and what a data
    /// directory keeps of releases, named by digests.
    pub fn open(folders: &[PathBuf]) -> anyhow::Result<Self> {
        let (settings, lists) = (vec![NO_SETTINGS.to_vec()], HashMap::new());
        let mut shelf = Shelf { components: Vec::new(), settings, releases: HashMap::new(), lists };
        for folder in folders {
            let beside = folder.join(follow::LISTS);
            if beside.is_dir() {
                listed(&beside, follow::LIST_SUFFIX)?.into_iter().try_for_each(|file| shelf.take_list(file))?;
            }
            for file in listed(folder, "")? {
                let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                let kept = Digest::from_hex(name).is_some();
                if name.ends_with(follow::LIST_SUFFIX) {
                    shelf.take_list(file)?;
                    continue;
                }
                if !kept && !name.ends_with(COMPONENT_SUFFIX) && !name.ends_with(".json") {
                    continue;
                }
                let bytes = read(&file)?;
                if kept && bytes.starts_with(LIST_MAGIC) {
                    shelf.take_list(file)?;
                    continue;
                }
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

    fn take_list(&mut self, file: PathBuf) -> anyhow::Result<()> {
        let list = open(&file)?;
        let known = self.lists.entry((list.name().into(), list.version().into())).or_default();
        if known.iter().all(|(_, digest)| *digest != list.digest()) {
            known.push((file, list.digest()));
        }
        Ok(())
    }

    /// The release of this digest (64 hexadecimal digits) with lists of these names and
    /// versions.
    pub fn find(&self, digest: &str, lists: &[(String, String)]) -> Outcome<Option<Parts>> {
        let found = match lists {
            [] => self.releases.get(digest).map(|&(at, with)| (at, with, Vec::new())),
            lists => self.choices(lists).into_iter().find_map(|lists| self.find_with(digest, &lists)),
        };
        let Some((at, with, files)) = found else { return Ok(None) };
        let (file, component) = &self.components[at];
        let lists = files.into_iter().map(|file| list::open(file).map(Arc::new)).collect::<Outcome<_>>()?;
        Ok(Some(Parts { file: file.clone(), component: component.clone(), settings: self.settings[with].clone(), lists }))
    }

    /// The component and the settings that make the release of this digest with these
    /// lists, and the files of the lists.
    fn find_with<'s>(&self, digest: &str, lists: &[&'s (PathBuf, Digest)]) -> Option<(usize, usize, Vec<&'s Path>)> {
        let mut pairs = (0..self.components.len()).flat_map(|at| (0..self.settings.len()).map(move |with| (at, with)));
        let (at, with) = pairs.find(|&(at, with)| {
            let lists = lists.iter().map(|(_, list)| list);
            Release::digest_of(&self.components[at].1, &self.settings[with], lists).hex() == digest
        })?;
        Some((at, with, lists.iter().map(|(file, _)| file.as_path()).collect()))
    }

    /// The files that can be lists of these names and versions, in all ways if a version
    /// was given twice.
    fn choices(&self, lists: &[(String, String)]) -> Vec<Vec<&(PathBuf, Digest)>> {
        lists.iter().fold(vec![Vec::new()], |choices, list| {
            let files = self.lists.get(list).map(Vec::as_slice).unwrap_or_default();
            choices.iter().flat_map(|chosen| files.iter().map(move |file| [chosen.clone(), vec![file]].concat())).collect()
        })
    }

    /// Number of components and of settings, for people.
    pub fn size(&self) -> (usize, usize) {
        (self.components.len(), self.settings.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use ephor::reference::Draft;

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
            let found = shelf.find(&digest, &[]).expect("a look-up");
            assert_eq!(found.map(|parts| parts.settings), Some(settings.as_bytes().to_vec()));
        }
        assert!(shelf.find(&Digest::of(b"other").hex(), &[]).expect("a look-up").is_none());
    }

    #[test]
    fn a_release_with_lists_is_found_by_their_names_and_versions() {
        let list = |version: &str, key: &str| {
            let mut draft = Draft::new("words", version, &["word"]).expect("a draft");
            draft.push(key, "").expect("an entry");
            draft.finish().expect("a list")
        };
        let (one, two, other) = (list("1", "a"), list("2", "a"), list("2", "b"));
        let some = folder_with(&[("p.wasm", "component"), ("q.wasm", "another")]);
        std::fs::create_dir(some.path().join(follow::LISTS)).expect("a folder");
        // Beside the policies, in the folder for lists, and as a data directory keeps it.
        for (name, list) in [("old.list", &one), ("lists/words.list", &two), (&other.digest().hex(), &other)] {
            std::fs::write(some.path().join(name), list.bytes()).expect("written");
        }
        let shelf = Shelf::open(&[some.path().into()]).expect("a shelf");
        for list in [&one, &two, &other] {
            let digest = Release::digest_of(b"component", b"{}", [&list.digest()]).hex();
            let need = [("words".to_string(), list.version().to_string())];
            let parts = shelf.find(&digest, &need).expect("a look-up").expect("a release");
            assert_eq!(parts.lists.iter().map(|list| list.digest()).collect::<Vec<_>>(), [list.digest()]);
            assert_eq!(parts.component, b"component");
            assert!(shelf.find(&digest, &[("words".into(), "3".into())]).expect("a look-up").is_none());
            assert!(shelf.find(&digest, &[]).expect("a look-up").is_none());
        }
    }
}
