//! The releases that a ledger knows, and what each was made of.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use super::BacktestError;
use crate::archive::ArchiveError;
use crate::digest::Digest;
use crate::ledger::entry::{ChangeEntry, What};
use crate::ledger::{Log, blobs};
use crate::policy::Release;
use crate::reference::List;

/// What a component begins with, and a reference list; settings begin with neither.
const WASM_MAGIC: &[u8] = b"\0asm";
const LIST_MAGIC: &[u8] = b"EPHRLIST";

/// Releases of one policy that are told apart; the oldest goes.
const RELEASES_MAX: usize = 1_000;

/// A release that was put in force, or tried out, at some time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct KnownRelease {
    /// The policy's full name.
    pub policy: String,
    /// Its version and the beginning of its digest.
    pub release: String,
    /// Over component, settings and lists.
    pub digest: Digest,
    /// The versions of its reference lists by their names, in its own order.
    pub lists: Vec<(String, String)>,
    /// The sequence of the entry that put it in force, the latest one.
    pub since: u64,
    /// When that was, as entries have times.
    pub at: String,
}

/// What a release is made of.
#[derive(Debug, Clone)]
pub(super) struct Parts {
    pub component: Arc<[u8]>,
    pub settings: Arc<[u8]>,
    pub lists: Vec<Arc<List>>,
}

/// The releases of a ledger, as far as it was read.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Entries that were read.
    read: u64,
    /// By policy, the latest last.
    policies: BTreeMap<String, Vec<KnownRelease>>,
}

impl Known {
    /// Reads what was recorded since.
    pub fn catch_up(&mut self, log: &Log) -> Result<(), BacktestError> {
        for entry in log.entries(self.read + 1) {
            let (sequence, line) = entry.map_err(ArchiveError::from)?;
            self.read = sequence;
            let change = ChangeEntry::read(line.as_bytes()).map_err(|error| ArchiveError::NoEntry(error.to_string()))?;
            if let Some(change) = change.filter(|change| change.what == What::Install) {
                self.add(sequence, &change);
            }
        }
        Ok(())
    }

    fn add(&mut self, sequence: u64, change: &ChangeEntry<'_>) {
        let lists = change.lists.0.iter().map(|(name, version)| (name.to_string(), version.to_string())).collect();
        let known = KnownRelease {
            policy: change.policy.to_string(),
            release: change.release.to_string(),
            digest: change.digest,
            lists,
            since: sequence,
            at: change.at.to_string(),
        };
        let of_policy = self.policies.entry(known.policy.clone()).or_default();
        of_policy.retain(|other| other.digest != known.digest);
        of_policy.push(known);
        if of_policy.len() > RELEASES_MAX {
            of_policy.remove(0);
        }
    }

    /// All of them, by policy, the latest first.
    pub fn all(&self) -> Vec<KnownRelease> {
        self.policies.values().flat_map(|releases| releases.iter().rev()).cloned().collect()
    }

    /// A release of a policy by its id or its whole digest.
    pub fn find(&self, policy: &str, release: &str) -> Option<&KnownRelease> {
        self.policies.get(policy)?.iter().rev().find(|known| known.release == release || known.digest.hex() == release)
    }
}

/// Puts a release together from what a data directory keeps: which component and which
/// settings it is of, only their digest tells. One of each is in memory at a time.
pub(super) fn parts(data: &Path, known: &KnownRelease) -> Result<Parts, BacktestError> {
    let disk = |doing: &'static str| move |source| BacktestError::Disk { doing, source };
    let (mut components, mut settings, mut lists) = (Vec::new(), Vec::new(), HashMap::new());
    for digest in blobs::all(data).map_err(disk("listing what releases are made of"))? {
        let mut beginning = [0; 8];
        let read = blobs::beginning(data, &digest, &mut beginning).map_err(disk("reading what a release is made of"))?;
        if beginning[..read].starts_with(WASM_MAGIC) {
            components.push(digest);
        } else if beginning[..read] == *LIST_MAGIC {
            if known.lists.is_empty() {
                continue;
            }
            // One that is damaged is none of this release's, or it will be missing.
            if let Ok(Ok(list)) = blobs::read(data, &digest).map(|bytes| List::open(bytes.into())) {
                lists.entry((list.name().to_string(), list.version().to_string())).or_insert_with(|| Arc::new(list));
            }
        } else {
            settings.push(digest);
        }
    }
    let unknown =
        |what: &str| BacktestError::Unknown(format!("the release {} of {} cannot be made again: {what}", known.release, known.policy));
    let bound: Option<Vec<Arc<List>>> = known.lists.iter().map(|list| lists.get(list).cloned()).collect();
    let bound = bound.ok_or_else(|| unknown("a reference list of it is not in the folder `releases` of the data directory"))?;
    let digests: Vec<Digest> = bound.iter().map(|list| list.digest()).collect();
    let none = || Ok::<_, BacktestError>(Arc::from(b"{}".as_slice()));
    for component in components {
        let component: Arc<[u8]> = blobs::read(data, &component).map_err(BacktestError::Unknown)?.into();
        let documents = settings.iter().map(|digest| blobs::read(data, digest).map(Arc::from).map_err(BacktestError::Unknown));
        for document in documents.chain(std::iter::once_with(none)) {
            let document: Arc<[u8]> = document?;
            if Release::digest_of(&component, &document, &digests) == known.digest {
                return Ok(Parts { component, settings: document, lists: bound });
            }
        }
    }
    Err(unknown("no component with any settings in the folder `releases` of the data directory is it"))
}

/// What a release is made of that is judged with.
pub(super) fn parts_of(data: &Path, release: &Release) -> Result<Parts, BacktestError> {
    let read = |digest: &Digest| blobs::read(data, &digest.hex()).map(Arc::<[u8]>::from).map_err(BacktestError::Unknown);
    let open =
        |digest: &Digest| List::open(read(digest)?).map(Arc::new).map_err(|error| BacktestError::Unknown(format!("{digest}: {error}")));
    Ok(Parts {
        component: read(&release.component)?,
        settings: read(&release.settings)?,
        lists: release.lists.iter().map(|list| open(&list.digest)).collect::<Result<_, _>>()?,
    })
}
