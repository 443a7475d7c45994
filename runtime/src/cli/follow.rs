//! Policies in a folder, and changes to them: `NAME.wasm` with its settings in
//! `NAME.settings.json`, and the reference lists that policies name in
//! `lists/NAME.list`. For development; releases are how policies travel otherwise.
//!
//! The folder is looked at every [`POLL`] rather than watched: it works on every
//! file system and container mount, and costs a few `stat` calls.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ephor::reference::ListError;
use ephor::runtime::{RemoveError, Revision};
use ephor::{List, LoadError, Runtime, Swap};

/// Time between two looks at the folder. A file is taken when two looks in a
/// row find it the same, so that a half-written one is not.
pub const POLL: Duration = Duration::from_millis(300);

/// Where in the folder lists are, and how their files' names end.
pub const LISTS: &str = "lists";
pub const LIST_SUFFIX: &str = ".list";

const SETTINGS_SUFFIX: &str = ".settings.json";

/// How a file looks from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileStamp {
    modified: SystemTime,
    bytes: u64,
}

/// How a policy looks from outside: its component, its settings if there are any, the
/// lists that it names as far as they are there.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    component: FileStamp,
    settings: Option<FileStamp>,
    lists: BTreeMap<String, FileStamp>,
}

impl Stamp {
    fn newest(&self) -> SystemTime {
        let files = self.settings.iter().chain(self.lists.values());
        files.map(|file| file.modified).fold(self.component.modified, SystemTime::max)
    }
}

/// What a look at the folder found, by name.
type Seen = BTreeMap<String, Stamp>;

/// What has to be done about a policy.
#[derive(Debug, PartialEq, Eq)]
enum Change {
    Load(String, Stamp),
    Remove(String),
}

/// What is known of one name.
#[derive(Debug, Default)]
struct Entry {
    /// What the last look found.
    seen: Option<Stamp>,
    /// What was acted upon. A policy that did not load is not tried again until
    /// it changes.
    taken: Option<Stamp>,
    /// Whether the runtime has a policy from this file.
    in_force: bool,
    /// The lists that its manifest names, as far as it has been read.
    lists: Vec<String>,
}

/// Decides what to do; pure, so that it can be tested without a clock.
#[derive(Debug, Default)]
struct Watch {
    entries: BTreeMap<String, Entry>,
}

impl Watch {
    /// Takes in a look at the folder and returns what has been the same for two.
    fn look(&mut self, seen: &Seen) -> Vec<Change> {
        for name in seen.keys() {
            if !self.entries.contains_key(name) {
                self.entries.insert(name.clone(), Entry::default());
            }
        }
        let mut changes = Vec::new();
        for (name, entry) in &mut self.entries {
            let now = seen.get(name);
            if now == entry.seen.as_ref() && now != entry.taken.as_ref() {
                entry.taken = now.cloned();
                match now {
                    Some(stamp) => changes.push(Change::Load(name.clone(), stamp.clone())),
                    None if entry.in_force => changes.push(Change::Remove(name.clone())),
                    None => {}
                }
            }
            entry.seen = now.cloned();
        }
        self.entries.retain(|_, entry| entry.seen.is_some() || entry.taken.is_some() || entry.in_force);
        changes
    }

    /// Lets the next look act on the policy again.
    fn again(&mut self, name: &str) {
        if let Some(entry) = self.entries.get_mut(name) {
            entry.taken = None;
        }
    }

    /// The lists that a policy names.
    fn lists(&self, name: &str) -> &[String] {
        self.entries.get(name).map(|entry| entry.lists.as_slice()).unwrap_or_default()
    }

    /// Takes note of the lists that a policy names, which shows only when it is loaded,
    /// and of how they looked then: it is loaded again when they look otherwise.
    fn learn(&mut self, name: &str, lists: Vec<String>, stamps: &BTreeMap<String, FileStamp>) {
        let Some(entry) = self.entries.get_mut(name) else { return };
        let of_policy = lists.iter().filter_map(|list| stamps.get(list).map(|stamp| (list.clone(), *stamp)));
        let of_policy: BTreeMap<String, FileStamp> = of_policy.collect();
        entry.lists = lists;
        for stamp in entry.seen.iter_mut().chain(&mut entry.taken) {
            stamp.lists.clone_from(&of_policy);
        }
    }

    fn set_in_force(&mut self, name: &str, in_force: bool) {
        if let Some(entry) = self.entries.get_mut(name) {
            entry.in_force = in_force;
        }
    }
}

/// A folder of policies.
pub struct Folder {
    path: PathBuf,
    watch: Watch,
    lists: Lists,
    readable: bool,
}

/// The lists of a folder, each read when it changes.
#[derive(Debug, Default)]
struct Lists {
    stamps: BTreeMap<String, FileStamp>,
    taken: BTreeMap<String, Result<Arc<List>, ListProblem>>,
}

/// Why a file is not the list that it should be.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ListProblem {
    #[error("cannot be read: {0}")]
    Unreadable(String),
    #[error(transparent)]
    NotOpened(#[from] ListError),
    #[error("is the list {0}; a list of another name is in a file of that name")]
    OtherName(String),
}

impl Lists {
    /// Reads what has changed since it was read.
    fn look(&mut self, folder: &Path) -> io::Result<()> {
        let folder = folder.join(LISTS);
        let mut now = BTreeMap::new();
        for name in names(&folder, LIST_SUFFIX).or_else(none_if_missing)? {
            if let Some(stamp) = file_stamp(&folder.join(format!("{name}{LIST_SUFFIX}")))? {
                now.insert(name, stamp);
            }
        }
        self.taken.retain(|name, _| now.contains_key(name));
        for (name, stamp) in &now {
            if self.stamps.get(name) == Some(stamp) {
                continue;
            }
            let read =
                std::fs::read(folder.join(format!("{name}{LIST_SUFFIX}"))).map_err(|error| ListProblem::Unreadable(error.to_string()));
            let list = read.and_then(|bytes| Ok(List::open(bytes.into())?)).and_then(|list| match list.name() == name {
                true => Ok(Arc::new(list)),
                false => Err(ListProblem::OtherName(list.name().to_string())),
            });
            self.taken.insert(name.clone(), list);
        }
        self.stamps = now;
        Ok(())
    }

    fn good(&self) -> Vec<Arc<List>> {
        self.taken.values().flatten().cloned().collect()
    }
}

/// Why a policy of the folder is not in force.
#[derive(Debug)]
pub enum Problem {
    Unreadable(io::Error),
    NotLoaded(LoadError),
    /// A list that it needs is none.
    List(String, ListProblem),
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Problem::Unreadable(error) => write!(f, "cannot be read: {error}"),
            Problem::NotLoaded(error) => error.fmt(f),
            Problem::List(name, problem) => write!(f, "its reference list {LISTS}/{name}{LIST_SUFFIX}: {problem}"),
        }
    }
}

impl Folder {
    pub fn new(path: PathBuf) -> Self {
        Folder { path, watch: Watch::default(), lists: Lists::default(), readable: true }
    }

    /// Loads every policy of the folder; says of each what came of it.
    pub async fn load(&mut self, runtime: &Runtime) -> io::Result<Vec<(String, Result<Swap, Problem>)>> {
        let first = self.scan()?;
        self.watch.look(&first);
        let now = SystemTime::now();
        let settled = |stamp: &Stamp| now.duration_since(stamp.newest()).is_ok_and(|age| age > POLL);
        if !first.values().all(settled) {
            tokio::time::sleep(POLL).await;
        }
        let mut outcomes = Vec::new();
        let changes = self.watch.look(&self.scan()?);
        // What cannot be read is told when its turn comes.
        let files = |change: &Change| match change {
            Change::Load(name, _) => read(&self.path, name).ok(),
            Change::Remove(_) => None,
        };
        let files: Vec<_> = changes.iter().filter_map(files).collect();
        let _ahead = runtime.load_ahead(files.iter().map(|(component, settings)| (&**component, &**settings)));
        for change in changes {
            if let Change::Load(name, stamp) = change
                && let Some(outcome) = self.install(runtime, &name, stamp).await
            {
                outcomes.push((name, outcome));
            }
        }
        Ok(outcomes)
    }

    /// Follows changes, for ever. What goes wrong is logged, and what is in
    /// force stays.
    pub async fn follow(mut self, runtime: Runtime) {
        let mut ticks = tokio::time::interval(POLL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let seen = match self.scan() {
                Ok(seen) => seen,
                Err(error) => {
                    // Not the same as an empty folder: nothing is removed.
                    if std::mem::replace(&mut self.readable, false) {
                        tracing::error!(folder = %self.path.display(), %error, "Policy folder cannot be read; policies stay as they are");
                    }
                    continue;
                }
            };
            self.readable = true;
            for change in self.watch.look(&seen) {
                match change {
                    Change::Load(name, stamp) => {
                        if let Some(outcome) = self.install(&runtime, &name, stamp).await {
                            log(&name, &outcome);
                        }
                    }
                    Change::Remove(name) => match runtime.remove(&name).await {
                        Ok(sequence) => {
                            self.watch.set_in_force(&name, false);
                            tracing::info!(policy = name, sequence, "Policy removed");
                        }
                        // Somebody else took it out of force, over HTTP.
                        Err(RemoveError::NotInForce(_)) => self.watch.set_in_force(&name, false),
                        Err(error) => tracing::error!(policy = name, %error, "Policy not removed"),
                    },
                }
            }
        }
    }

    /// Loads one policy. Nothing, if its files changed while they were read:
    /// the next look sees the change.
    async fn install(&mut self, runtime: &Runtime, name: &str, stamp: Stamp) -> Option<Result<Swap, Problem>> {
        let read = self.lists.look(&self.path).and_then(|()| read(&self.path, name));
        let is_same = self.stamp_of(name).is_ok_and(|now| now.as_ref() == Some(&stamp));
        let (component, settings) = match read {
            Ok(read) if is_same => read,
            Err(error) if is_same => return Some(Err(Problem::Unreadable(error))),
            _ => {
                self.watch.again(name);
                return None;
            }
        };
        let spare = Some(self.lists.good());
        let revision = Revision { component: Some(component), settings: Some(settings), spare, ..Revision::default() };
        let outcome = runtime.revise(name, revision).await;
        match &outcome {
            Ok(_) => {
                self.watch.set_in_force(name, true);
                let standing = runtime.policies().into_iter().find(|standing| standing.release.policy() == name);
                self.watch.learn(
                    name,
                    standing.map(|standing| standing.release.manifest.lists.clone()).unwrap_or_default(),
                    &self.lists.stamps,
                );
            }
            Err(LoadError::Lists { missing, .. }) => {
                let known = self.watch.lists(name).iter().filter(|known| !missing.contains(known));
                let lists = known.chain(missing).cloned().collect();
                self.watch.learn(name, lists, &self.lists.stamps);
                let broken = missing.iter().find_map(|list| Some((list, self.lists.taken.get(list)?.as_ref().err()?)));
                if let Some((list, problem)) = broken {
                    return Some(Err(Problem::List(list.clone(), problem.clone())));
                }
            }
            Err(_) => {}
        }
        Some(outcome.map_err(Problem::NotLoaded))
    }

    fn scan(&self) -> io::Result<Seen> {
        let mut seen = Seen::new();
        for name in names(&self.path, ".wasm")? {
            if let Some(stamp) = self.stamp_of(&name)? {
                seen.insert(name, stamp);
            }
        }
        Ok(seen)
    }

    fn stamp_of(&self, name: &str) -> io::Result<Option<Stamp>> {
        let Some(component) = file_stamp(&self.path.join(format!("{name}.wasm")))? else { return Ok(None) };
        let settings = file_stamp(&self.path.join(format!("{name}{SETTINGS_SUFFIX}")))?;
        let mut lists = BTreeMap::new();
        for list in self.watch.lists(name) {
            if let Some(stamp) = file_stamp(&self.path.join(LISTS).join(format!("{list}{LIST_SUFFIX}")))? {
                lists.insert(list.clone(), stamp);
            }
        }
        Ok(Some(Stamp { component, settings, lists }))
    }
}

/// Logs what came of loading a policy.
pub fn log(name: &str, outcome: &Result<Swap, Problem>) {
    match outcome {
        Ok(swap) => tracing::info!(
            policy = swap.policy,
            release = swap.release,
            replaced = swap.replaced.as_deref().unwrap_or("nothing"),
            sequence = swap.sequence,
            state = swap.state.name(),
            "Policy in force"
        ),
        Err(Problem::NotLoaded(error)) => {
            tracing::error!(policy = name, kind = error.kind(), reason = %error, "Policy not loaded; what was in force stays");
        }
        Err(problem) => tracing::error!(policy = name, kind = "file", reason = %problem, "Policy not loaded; what was in force stays"),
    }
}

/// Reads a component and its settings; `{}` where there are none.
fn read(folder: &Path, name: &str) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let component = std::fs::read(folder.join(format!("{name}.wasm")))?;
    let settings = match std::fs::read(folder.join(format!("{name}{SETTINGS_SUFFIX}"))) {
        Ok(settings) => settings,
        Err(error) if error.kind() == io::ErrorKind::NotFound => b"{}".to_vec(),
        Err(error) => return Err(error),
    };
    Ok((component, settings))
}

/// Names of the files in a folder that end with this, without it. Names that begin
/// with a dot are of files on their way to their place.
fn names(folder: &Path, ending: &str) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let file = entry?.file_name();
        let name = file.to_str().and_then(|file| file.strip_suffix(ending)).filter(|name| !name.is_empty() && !name.starts_with('.'));
        names.extend(name.map(str::to_string));
    }
    Ok(names)
}

fn none_if_missing(error: io::Error) -> io::Result<Vec<String>> {
    if error.kind() == io::ErrorKind::NotFound { Ok(Vec::new()) } else { Err(error) }
}

fn file_stamp(path: &Path) -> io::Result<Option<FileStamp>> {
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => Ok(Some(FileStamp { modified: metadata.modified()?, bytes: metadata.len() })),
        Ok(_) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(component: u64, settings: Option<u64>) -> Stamp {
        let file = |bytes| FileStamp { modified: SystemTime::UNIX_EPOCH, bytes };
        Stamp { component: file(component), settings: settings.map(file), lists: BTreeMap::new() }
    }

    fn seen(items: &[(&str, Stamp)]) -> Seen {
        items.iter().map(|(name, stamp)| (name.to_string(), stamp.clone())).collect()
    }

    fn load(stamp: Stamp) -> Vec<Change> {
        vec![Change::Load("a".into(), stamp)]
    }

    #[test]
    fn a_file_is_taken_once_when_two_looks_find_it_the_same() {
        let mut watch = Watch::default();
        assert_eq!(watch.look(&seen(&[("a", stamp(1, None))])), []);
        assert_eq!(watch.look(&seen(&[("a", stamp(2, None))])), [], "still being written");
        assert_eq!(watch.look(&seen(&[("a", stamp(2, None))])), load(stamp(2, None)));
        assert_eq!(watch.look(&seen(&[("a", stamp(2, None))])), []);
    }

    #[test]
    fn changed_settings_load_again_and_removal_waits_for_two_looks() {
        let mut watch = Watch::default();
        let old = seen(&[("a", stamp(1, Some(1)))]);
        watch.look(&old);
        assert_eq!(watch.look(&old).len(), 1);
        watch.set_in_force("a", true);
        let new = seen(&[("a", stamp(1, Some(2)))]);
        assert_eq!(watch.look(&new), []);
        assert_eq!(watch.look(&new), load(stamp(1, Some(2))));
        assert_eq!(watch.look(&seen(&[])), [], "an editor may be replacing it");
        assert_eq!(watch.look(&new), []);
        assert_eq!(watch.look(&seen(&[])), []);
        assert_eq!(watch.look(&seen(&[])), [Change::Remove("a".into())]);
        watch.set_in_force("a", false);
        assert_eq!(watch.look(&seen(&[])), []);
        assert!(watch.entries.is_empty());
    }

    #[test]
    fn a_policy_that_never_loaded_is_not_removed_and_may_be_tried_again() {
        let mut watch = Watch::default();
        let old = seen(&[("a", stamp(1, None))]);
        watch.look(&old);
        assert_eq!(watch.look(&old).len(), 1);
        watch.again("a");
        assert_eq!(watch.look(&old), load(stamp(1, None)));
        watch.look(&seen(&[]));
        assert_eq!(watch.look(&seen(&[])), []);
    }
    #[test]
    fn a_list_that_changes_loads_the_policies_that_name_it() {
        let with = |list: u64| {
            let mut stamp = stamp(1, None);
            stamp.lists.insert("words".into(), FileStamp { modified: SystemTime::UNIX_EPOCH, bytes: list });
            stamp
        };
        let mut watch = Watch::default();
        let first = seen(&[("a", stamp(1, None))]);
        watch.look(&first);
        assert_eq!(watch.look(&first).len(), 1);
        assert_eq!(watch.lists("a"), [""; 0]);
        watch.learn("a", vec!["words".into()], &with(1).lists);
        assert_eq!(watch.lists("a"), ["words"]);
        let (one, two) = (seen(&[("a", with(1))]), seen(&[("a", with(2))]));
        assert_eq!(watch.look(&one), [], "it was loaded with this");
        assert_eq!(watch.look(&two), [], "still being written");
        assert_eq!(watch.look(&two), load(with(2)));
        assert_eq!(watch.look(&two), []);
    }

    #[test]
    fn lists_are_read_when_they_change_and_by_the_names_of_their_files() {
        let list = |name: &str, version: &str| ephor::reference::Draft::new(name, version, &["key"]).and_then(|draft| draft.finish());
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(LISTS).join(format!("{name}{LIST_SUFFIX}"));
        let mut lists = Lists::default();
        lists.look(folder.path()).expect("no lists");
        assert!(lists.good().is_empty());
        std::fs::create_dir(folder.path().join(LISTS)).expect("a folder");
        for (file, bytes) in [("words", list("words", "1").expect("a list").bytes().to_vec()), ("b", b"x".to_vec())] {
            std::fs::write(path(file), bytes).expect("written");
        }
        std::fs::write(path("c"), list("words", "1").expect("a list").bytes()).expect("written");
        lists.look(folder.path()).expect("lists");
        let versions = |lists: &Lists| lists.good().iter().map(|list| list.version().to_string()).collect::<Vec<_>>();
        assert_eq!(versions(&lists), ["1"]);
        let problem =
            |name: &str| lists.taken.get(name).and_then(|taken| taken.as_ref().err()).map(ToString::to_string).unwrap_or_default();
        assert!(problem("b").contains("not a reference list"), "{}", problem("b"));
        assert!(problem("c").contains("the list words"), "{}", problem("c"));
        std::fs::write(path("words"), list("words", "2.0").expect("a list").bytes()).expect("written");
        lists.look(folder.path()).expect("lists");
        assert_eq!(versions(&lists), ["2.0"]);
        std::fs::remove_file(path("words")).expect("removed");
        lists.look(folder.path()).expect("lists");
        assert!(lists.good().is_empty());
    }
}
