//! Checks a log that a server gives: its latest checkpoint, every entry below it, and
//! every tile of hashes over them.
//!
//! The findings are those of a data directory, with names of tiles instead of files.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::PathBuf;

use ephor::ledger::Durability;
use ephor::ledger::checkpoint::{Checkpoint, OpenError};
use ephor::ledger::note::{Algorithm, KeyError, Note, VerifierKey, VerifyError};
use ephor::ledger::tree::{Hash, TILE_WIDTH, TileId, TileKind, Tree, leaf_hash, unbundle};
use ephor::ledger::verify::{Damage, Finding, Report, Severity, Tally, check_entry};
use indicatif::ProgressBar;

use super::fetch::{Fetcher, entry_bundle, entry_bundles, in_order};
use super::proofs::Nowhere;
use crate::cli::client::Target;
use crate::cli::exit::Outcome;

/// How many findings are kept; more are counted.
const FINDINGS_MAX: usize = 10_000;

/// What findings call the checkpoint and the key that a server gives.
const LATEST: &str = "checkpoint";
const KEY: &str = "key";

/// What a log is held against.
pub struct Check {
    pub key: Option<VerifierKey>,
    pub witnesses: Vec<VerifierKey>,
    /// Checkpoints that were kept elsewhere, with their names.
    pub since: Vec<(PathBuf, Vec<u8>)>,
}

impl Check {
    /// Checks the log of a server. Gives the key that it was held against.
    pub async fn run(self, target: &Target, shown: &ProgressBar) -> Outcome<(Report, Option<VerifierKey>)> {
        let mut known = Known {
            report: Report::default(),
            targets: BTreeMap::new(),
            tree: Tree::new(Nowhere),
            broken: None,
            trusted: self.key,
            witnesses: self.witnesses,
        };
        let mut fetcher = Fetcher::new(target);
        known.key(fetcher.key().await?);
        let mut size = 0;
        if let Some(bytes) = fetcher.checkpoint().await? {
            if let Some(checkpoint) = known.checkpoint(&bytes, LATEST.into()) {
                known.report.checkpoints = 1;
                known.report.unsynced_checkpoints = u64::from(checkpoint.durability() == Durability::Os);
                known.report.signed = checkpoint.size;
                size = checkpoint.size;
            } else if let Ok(note) = Note::parse(&bytes) {
                // Not to be believed, but what is there can still be looked at.
                size = Checkpoint::parse(note.text()).map_or(0, |checkpoint| checkpoint.size);
            }
        }
        for (name, bytes) in self.since {
            known.checkpoint(&bytes, name);
        }
        known.reach();
        known.entries(target, size, shown).await?;
        known.missing();
        if known.broken.is_none() {
            known.report.root = Some(known.tree.root());
            known.tiles(target).await?;
        }
        Ok((known.report, known.trusted))
    }
}

/// A bundle of entries, as far as it could be read.
struct Bundle {
    tile: TileId,
    /// Absent if the server does not have it; the error says what is wrong with it.
    leaves: Option<Result<Vec<Hash>, String>>,
    /// Its entries by what they are about.
    tally: Tally,
    /// Entries that are not what they should be, with their offset.
    findings: Vec<(u64, Damage)>,
}

impl Bundle {
    fn read(tile: TileId, bytes: Option<Vec<u8>>) -> Self {
        let mut read = Bundle { tile, leaves: None, tally: Tally::default(), findings: Vec::new() };
        let Some(bytes) = bytes else { return read };
        let Some(entries) = unbundle(&bytes) else {
            read.leaves = Some(Err("its lengths do not add up".into()));
            return read;
        };
        let mut at = 0;
        for (sequence, entry) in (tile.index * TILE_WIDTH + 1..).zip(&entries) {
            // The length stands before the entry.
            match check_entry(entry, sequence) {
                Ok(subject) => read.tally.add(subject),
                Err(what) => read.findings.push((at + 2, what)),
            }
            at += 2 + entry.len() as u64;
        }
        let whole = entries.len() == usize::from(tile.width);
        read.leaves = Some(match whole {
            true => Ok(entries.into_iter().map(leaf_hash).collect()),
            false => Err(format!("it has {} entries, and should have {}", entries.len(), tile.width)),
        });
        read
    }
}

/// What is known of a log so far.
struct Known {
    report: Report,
    /// Signed roots by size, with what they are called.
    targets: BTreeMap<u64, Vec<(Hash, PathBuf)>>,
    tree: Tree<Nowhere>,
    /// The entry from which on entries are missing.
    broken: Option<u64>,
    /// The key that the log is held against.
    trusted: Option<VerifierKey>,
    witnesses: Vec<VerifierKey>,
}

impl Known {
    fn find(&mut self, severity: Severity, file: impl Into<PathBuf>, offset: Option<u64>, what: Damage) {
        if self.report.findings.len() < FINDINGS_MAX {
            self.report.findings.push(Finding { severity, file: file.into(), offset, what });
        } else {
            self.report.more += 1;
        }
    }

    fn evidence(&mut self, file: impl Into<PathBuf>, offset: Option<u64>, what: Damage) {
        self.find(Severity::Evidence, file, offset, what);
    }

    /// The key that the server says is its own.
    fn key(&mut self, stated: Option<String>) {
        let stated = match stated.map(|text| VerifierKey::parse(&text)) {
            None => return self.evidence(KEY, None, Damage::Missing),
            Some(Ok(key)) if key.algorithm() == Algorithm::Ed25519 => key,
            Some(Ok(key)) => return self.evidence(KEY, None, Damage::Key(KeyError::Algorithm(key.algorithm() as u8))),
            Some(Err(error)) => return self.evidence(KEY, None, Damage::Key(error)),
        };
        match &self.trusted {
            Some(trusted) if *trusted != stated => {
                let what = Damage::OtherKey { found: stated.to_string(), expected: trusted.to_string() };
                self.evidence(KEY, None, what);
            }
            Some(_) => {}
            None => self.trusted = Some(stated),
        }
        self.report.origin = self.trusted.as_ref().map(|key| key.name().to_string());
    }

    /// Checks the signatures of a checkpoint and notes its root down, to be compared
    /// with the entries.
    fn checkpoint(&mut self, bytes: &[u8], name: PathBuf) -> Option<Checkpoint> {
        let opened = match &self.trusted {
            Some(key) => Checkpoint::open(bytes, key),
            None => Err(OpenError::Verify(VerifyError::Unsigned)),
        };
        let cosigned = opened.and_then(|(checkpoint, note)| Ok((note.signers(&self.witnesses)?, checkpoint)));
        match cosigned {
            Ok((signed, checkpoint)) => {
                self.report.witnessed(signed.iter().map(|signed| signed.key.name()), checkpoint.size);
                self.targets.entry(checkpoint.size).or_default().push((checkpoint.root, name));
                Some(checkpoint)
            }
            Err(error) => {
                self.evidence(name, None, Damage::Checkpoint(error));
                None
            }
        }
    }

    /// Every entry of the log, and the tree over them.
    async fn entries(&mut self, target: &Target, size: u64, shown: &ProgressBar) -> Outcome {
        shown.set_length(size);
        let take = |bundle: Bundle| {
            let first = bundle.tile.index * TILE_WIDTH + 1;
            let path = bundle.tile.path();
            self.report.tally.merge(bundle.tally);
            for (at, what) in bundle.findings {
                self.evidence(&path, Some(at), what);
            }
            match bundle.leaves {
                Some(Ok(leaves)) => {
                    self.report.entries += leaves.len() as u64;
                    shown.set_position(self.report.entries);
                    if self.broken.is_none() {
                        for leaf in leaves {
                            self.tree.push(leaf);
                            self.reach();
                        }
                    }
                    ControlFlow::Continue(())
                }
                Some(Err(reason)) => {
                    self.broken = self.broken.or(Some(first));
                    self.evidence(&path, None, Damage::Unreadable(reason));
                    ControlFlow::Continue(())
                }
                None => {
                    self.broken = self.broken.or(Some(first));
                    self.evidence(&path, None, Damage::Missing);
                    // A checkpoint can say any size; what is not there is asked for once.
                    ControlFlow::Break(())
                }
            }
        };
        in_order(target, 0..entry_bundles(size), move |index| entry_bundle(index, size), Bundle::read, take).await
    }

    /// Compares the root with what was signed at this size.
    fn reach(&mut self) {
        let size = self.tree.size();
        if self.targets.first_key_value().is_none_or(|(next, _)| *next != size) {
            return;
        }
        let found = self.tree.root();
        for (signed, file) in self.targets.remove(&size).unwrap_or_default() {
            if signed != found {
                self.evidence(file, None, Damage::Rewritten { size, signed, found });
            }
        }
    }

    /// What was signed and is beyond the entries that are there, or behind a gap.
    fn missing(&mut self) {
        let entries = self.report.entries;
        for (size, files) in std::mem::take(&mut self.targets) {
            for (_, file) in files {
                let what = match self.broken {
                    Some(broken) => Damage::Uncheckable(broken),
                    None => Damage::CutBack { size, entries },
                };
                self.evidence(file, None, what);
            }
        }
    }

    /// Every tile of hashes, which has to be that of the entries.
    async fn tiles(&mut self, target: &Target) -> Outcome {
        let tiles: Vec<TileId> = Tree::<Nowhere>::tiles(self.tree.size()).collect();
        let count = tiles.len() as u64;
        let take = |(tile, bytes): (TileId, Option<Vec<u8>>)| {
            self.report.tiles += 1;
            let TileKind::Hashes(level) = tile.kind else { return ControlFlow::Continue(()) };
            match (bytes, self.tree.tile(level, tile.index, tile.width)) {
                (None, _) => self.find(Severity::Derived, tile.path(), None, Damage::Missing),
                (Some(found), Ok(Some(expected))) if found == expected => {}
                (Some(found), expected) => {
                    let expected = expected.ok().flatten().unwrap_or_default();
                    let same = found.iter().zip(&expected).take_while(|(one, other)| one == other).count();
                    let at = (same / Hash::LEN) as u64;
                    self.find(Severity::Derived, tile.path(), Some(at * Hash::LEN as u64), Damage::Tile(at));
                }
            }
            ControlFlow::Continue(())
        };
        let tile = move |place: u64| tiles[place as usize];
        in_order(target, 0..count, tile, |tile, bytes| (tile, bytes), take).await
    }
}

#[cfg(test)]
mod tests {
    use ephor::ledger::tree::bundle;

    use super::*;

    #[test]
    fn what_is_wrong_in_a_bundle_is_named_with_its_place() {
        let tile = entry_bundle(1, 258);
        let bytes = bundle([b"{}".as_slice(), b"nothing"]).expect("short entries");
        let read = Bundle::read(tile, Some(bytes.clone()));
        assert_eq!(read.findings.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [2, 6]);
        assert!(matches!(&read.findings[0].1, Damage::Entry { sequence: 257, .. }), "{:?}", read.findings);
        assert!(read.leaves.is_some_and(|leaves| leaves.is_ok_and(|leaves| leaves.len() == 2)));
        let short = Bundle::read(entry_bundle(1, 300), Some(bytes.clone()));
        assert!(short.leaves.is_some_and(|leaves| leaves.is_err()));
        let torn = Bundle::read(tile, Some(bytes[..5].to_vec()));
        assert!(torn.leaves.is_some_and(|leaves| leaves.is_err()));
        assert!(Bundle::read(tile, None).leaves.is_none());
    }
}
