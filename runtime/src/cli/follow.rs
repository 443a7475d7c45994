//! Policies in a folder, and changes to them: `NAME.wasm` with its settings in
//! `NAME.settings.json`. For development; releases are how policies travel
//! otherwise.
//!
//! The folder is looked at every [`POLL`] rather than watched: it works on every
//! file system and container mount, and costs a few `stat` calls.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use ephor::runtime::RemoveError;
use ephor::{LoadError, Runtime, Swap};

/// Time between two looks at the folder. A file is taken when two looks in a
/// row find it the same, so that a half-written one is not.
pub const POLL: Duration = Duration::from_millis(300);

const SETTINGS_SUFFIX: &str = ".settings.json";

/// How a file looks from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileStamp {
    modified: SystemTime,
    bytes: u64,
}

/// How a policy looks from outside: its component, its settings if there are any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    component: FileStamp,
    settings: Option<FileStamp>,
}

impl Stamp {
    fn newest(&self) -> SystemTime {
        self.settings.map_or(self.component.modified, |settings| settings.modified.max(self.component.modified))
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
            let now = seen.get(name).copied();
            if now == entry.seen && now != entry.taken {
                entry.taken = now;
                match now {
                    Some(stamp) => changes.push(Change::Load(name.clone(), stamp)),
                    None if entry.in_force => changes.push(Change::Remove(name.clone())),
                    None => {}
                }
            }
            entry.seen = now;
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
    readable: bool,
}

/// Why a policy of the folder is not in force.
#[derive(Debug)]
pub enum Problem {
    Unreadable(io::Error),
    NotLoaded(LoadError),
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Problem::Unreadable(error) => write!(f, "cannot be read: {error}"),
            Problem::NotLoaded(error) => error.fmt(f),
        }
    }
}

impl Folder {
    pub fn new(path: PathBuf) -> Self {
        Folder { path, watch: Watch::default(), readable: true }
    }

    /// Loads every policy of the folder; says of each what came of it.
    pub async fn load(&mut self, runtime: &Runtime) -> io::Result<Vec<(String, Result<Swap, Problem>)>> {
        let first = scan(&self.path)?;
        self.watch.look(&first);
        let now = SystemTime::now();
        let settled = |stamp: &Stamp| now.duration_since(stamp.newest()).is_ok_and(|age| age > POLL);
        if !first.values().all(settled) {
            tokio::time::sleep(POLL).await;
        }
        let mut outcomes = Vec::new();
        for change in self.watch.look(&scan(&self.path)?) {
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
            let seen = match scan(&self.path) {
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
        let (component, settings) = match read(&self.path, name) {
            Ok(read) => read,
            Err(error) => {
                if stamp_of(&self.path, name).is_ok_and(|now| now == Some(stamp)) {
                    return Some(Err(Problem::Unreadable(error)));
                }
                self.watch.again(name);
                return None;
            }
        };
        if !stamp_of(&self.path, name).is_ok_and(|now| now == Some(stamp)) {
            self.watch.again(name);
            return None;
        }
        let outcome = runtime.install_as(name, component, settings).await;
        if outcome.is_ok() {
            self.watch.set_in_force(name, true);
        }
        Some(outcome.map_err(Problem::NotLoaded))
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

fn scan(folder: &Path) -> io::Result<Seen> {
    let mut seen = Seen::new();
    for entry in std::fs::read_dir(folder)? {
        let file = entry?.file_name();
        // Names that begin with a dot are files on their way to their place.
        let Some(name) =
            file.to_str().and_then(|file| file.strip_suffix(".wasm")).filter(|name| !name.is_empty() && !name.starts_with('.'))
        else {
            continue;
        };
        if let Some(stamp) = stamp_of(folder, name)? {
            seen.insert(name.to_string(), stamp);
        }
    }
    Ok(seen)
}

fn stamp_of(folder: &Path, name: &str) -> io::Result<Option<Stamp>> {
    let Some(component) = file_stamp(&folder.join(format!("{name}.wasm")))? else { return Ok(None) };
    let settings = file_stamp(&folder.join(format!("{name}{SETTINGS_SUFFIX}")))?;
    Ok(Some(Stamp { component, settings }))
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
        Stamp { component: file(component), settings: settings.map(file) }
    }

    fn seen(items: &[(&str, Stamp)]) -> Seen {
        items.iter().map(|(name, stamp)| (name.to_string(), *stamp)).collect()
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
}
