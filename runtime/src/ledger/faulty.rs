//! A disk for tests: keeps what was written apart from what is durable, fails
//! operations on demand, and shows what a crash would leave.
//!
//! Faults that it has, and that the ledger has to survive:
//! - an operation fails, or several one after the other, and had none of its effect,
//!   half of it (a full disk), or all of it;
//! - a power cut: of what was not synced, each sector (of 512 bytes, or of 4 KiB) is
//!   there as it was before, as the last write left it, or as one of the writes between
//!   did, by itself; a file may have its new length without its new bytes; changes of
//!   names that were not synced happened up to some point;
//! - a failed sync after which the system takes its cache for clean: some sectors
//!   are durable, the others are seen by everybody and never will be.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use super::keys;
use super::storage::{self, File, Storage};
use crate::digest::Digest;

const SECTOR: usize = 512;

/// In which way an operation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Without any effect.
    Before,
    /// After half of it: a write comes back short, as on a full disk.
    Halfway,
    /// After it took effect.
    After,
}

impl Failure {
    pub const ALL: [Failure; 3] = [Failure::Before, Failure::Halfway, Failure::After];
}

/// The disk. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faulty(Arc<Mutex<Inner>>);

#[derive(Debug, Clone, Default)]
struct Inner {
    files: Vec<Inode>,
    /// What the running system sees.
    live: Names,
    /// What a crash leaves at least, and the changes since, in order.
    durable: Names,
    changes: Vec<(String, Change)>,
    folders: BTreeSet<String>,
    /// Operations so far, and what they were.
    operations: Vec<String>,
    /// Which operations fail.
    fault: Option<(Range<usize>, Failure)>,
    /// At which operation the power goes.
    cut: Option<usize>,
    random: Random,
    /// Bytes that are written as one.
    sector: usize,
}

type Names = BTreeMap<String, usize>;

/// What happened to the names in a folder.
#[derive(Debug, Clone)]
enum Change {
    Create(String, usize),
    Rename(String, String),
    Remove(String),
}

impl Change {
    fn apply(&self, names: &mut Names) {
        match self {
            Change::Create(name, file) => drop(names.insert(name.clone(), *file)),
            Change::Rename(from, to) => {
                if let Some(file) = names.remove(from) {
                    names.insert(to.clone(), file);
                }
            }
            Change::Remove(name) => drop(names.remove(name)),
        }
    }
}

#[derive(Debug, Clone, Default)]
struct Inode {
    live: Vec<u8>,
    durable: Vec<u8>,
    /// Sectors that were written and not synced, as each write left them.
    dirty: BTreeMap<usize, Vec<Vec<u8>>>,
    sector: usize,
}

/// A small generator (SplitMix64), so that a seed is all there is to a failure.
#[derive(Debug, Clone, Default)]
pub(crate) struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    pub fn coin(&mut self) -> bool {
        self.next() & 1 == 1
    }
}

impl Inode {
    fn new(sector: usize) -> Self {
        Inode { sector, ..Inode::default() }
    }

    fn write(&mut self, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        if self.live.len() < end {
            self.live.resize(end, 0);
        }
        self.live[offset..end].copy_from_slice(bytes);
        if end > offset {
            self.soil(offset / self.sector..(end - 1) / self.sector + 1);
        }
    }

    fn set_len(&mut self, len: usize) {
        let before = self.live.len();
        self.live.resize(len, 0);
        self.soil(before.min(len) / self.sector..before.max(len) / self.sector + 1);
    }

    /// Notes how sectors are now.
    fn soil(&mut self, sectors: Range<usize>) {
        for sector in sectors {
            let within = |at: usize| (at * self.sector).min(self.live.len());
            let now = self.live[within(sector)..within(sector + 1)].to_vec();
            self.dirty.entry(sector).or_default().push(now);
        }
    }

    /// Makes a sector durable, as it was at some time.
    fn persist(&mut self, sector: usize, bytes: &[u8]) {
        let from = sector * self.sector;
        if bytes.is_empty() {
            return;
        }
        if self.durable.len() < from + bytes.len() {
            self.durable.resize(from + bytes.len(), 0);
        }
        self.durable[from..from + bytes.len()].copy_from_slice(bytes);
    }

    /// Makes some of what is dirty durable: of each sector the last version, mostly, or
    /// an earlier one, or none. Nothing is dirty any more.
    fn persist_some(&mut self, random: &mut Random) {
        for (sector, versions) in std::mem::take(&mut self.dirty) {
            let last = versions.len() - 1;
            let version = if random.coin() { last } else { random.below(versions.len()) };
            if random.coin() {
                self.persist(sector, &versions[version]);
            }
        }
    }

    /// Makes what is dirty durable, and the length. What an earlier sync failed to
    /// write is clean, and stays lost.
    fn sync(&mut self) {
        self.durable.truncate(self.live.len());
        for (sector, versions) in std::mem::take(&mut self.dirty) {
            self.persist(sector, versions.last().map_or(&[], Vec::as_slice));
        }
        self.durable.resize(self.live.len(), 0);
    }

    /// What a power cut leaves.
    fn crash(&mut self, random: &mut Random) {
        self.persist_some(random);
        // The length is of the old file, of the new one, or of what was allocated.
        match random.below(3) {
            0 => {}
            1 => self.durable.resize(self.live.len(), 0),
            _ => {
                let (low, high) = (self.durable.len().min(self.live.len()), self.durable.len().max(self.live.len()));
                // Bytes that were durable and were not cut off stay.
                let low = if self.live.len() >= self.durable.len() { high.min(self.durable.len()) } else { low };
                self.durable.resize(low + random.below(high - low + 1), 0);
            }
        }
        self.live.clone_from(&self.durable);
    }
}

impl Faulty {
    pub fn new(seed: u64) -> Self {
        Faulty::with_sectors(seed, SECTOR)
    }

    /// One that writes so many bytes as one.
    pub fn with_sectors(seed: u64, sector: usize) -> Self {
        let folders = BTreeSet::from([String::new()]);
        Faulty(Arc::new(Mutex::new(Inner { random: Random(seed), folders, sector, ..Inner::default() })))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("no test panicked with the disk in its hands")
    }

    /// Makes the operation with this number (the first is 0) fail.
    pub fn fail(&self, operation: usize, failure: Failure) {
        self.fail_for(operation..operation + 1, failure);
    }

    /// Makes all operations with these numbers fail.
    pub fn fail_for(&self, operations: Range<usize>, failure: Failure) {
        self.inner().fault = Some((operations, failure));
    }

    /// Cuts the power at the operation with this number: what it does is half done, or
    /// not at all, and nothing is done any more.
    pub fn cut(&self, operation: usize) {
        self.inner().cut = Some(operation);
    }

    /// Whether the power is gone.
    pub fn is_cut(&self) -> bool {
        let inner = self.inner();
        inner.cut.is_some_and(|cut| inner.operations.len() > cut)
    }

    /// Takes back what was to fail. Gives whether something has.
    pub fn calm(&self) -> bool {
        let inner = &mut *self.inner();
        let asked = inner.operations.len();
        let failed = inner.fault.take().is_some_and(|(operations, _)| operations.start < asked);
        let cut = inner.cut.take().is_some_and(|cut| cut < asked);
        failed || cut
    }

    /// How much was asked of the disk so far.
    pub fn count(&self) -> usize {
        self.inner().operations.len()
    }

    /// What was asked of the disk so far.
    pub fn operations(&self) -> Vec<String> {
        self.inner().operations.clone()
    }

    /// The disk after the process was killed: all that was written is seen, whether
    /// it is durable or not.
    pub fn killed(&self) -> Faulty {
        let mut inner = self.inner().clone();
        (inner.fault, inner.cut) = (None, None);
        inner.operations.clear();
        Faulty(Arc::new(Mutex::new(inner)))
    }

    /// The disk after a power cut; another seed, another image.
    pub fn crashed(&self, seed: u64) -> Faulty {
        let disk = self.killed();
        {
            let inner = &mut *disk.inner();
            inner.random = Random(seed);
            let kept = inner.random.below(inner.changes.len() + 1);
            for (_, change) in inner.changes.drain(..).take(kept) {
                change.apply(&mut inner.durable);
            }
            inner.live = inner.durable.clone();
            for file in &mut inner.files {
                file.crash(&mut inner.random);
            }
        }
        disk
    }

    /// Names and bytes of all files.
    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let inner = self.inner();
        inner.live.iter().map(|(name, file)| (name.clone(), inner.files[*file].live.clone())).collect()
    }

    /// A disk with these files, all durable.
    pub fn with(files: &BTreeMap<String, Vec<u8>>) -> Faulty {
        let disk = Faulty::new(0);
        {
            let inner = &mut *disk.inner();
            for (name, bytes) in files {
                if let Some((folder, _)) = name.rsplit_once('/') {
                    inner.folders.insert(folder.to_string());
                }
                inner.live.insert(name.clone(), inner.files.len());
                inner.files.push(Inode { live: bytes.clone(), durable: bytes.clone(), ..Inode::new(SECTOR) });
            }
            inner.durable = inner.live.clone();
        }
        disk
    }

    /// Does an operation, or half of it, or nothing, and says that it failed.
    fn act<T>(&self, what: String, halfway: impl FnOnce(&mut Inner), act: impl FnOnce(&mut Inner) -> io::Result<T>) -> io::Result<T> {
        let inner = &mut *self.inner();
        let number = inner.operations.len();
        inner.operations.push(what);
        if let Some(cut) = inner.cut.filter(|cut| *cut <= number) {
            if cut == number && inner.random.coin() {
                halfway(inner);
            }
            return Err(io::Error::other("injected: the power is gone"));
        }
        let failing = inner.fault.as_ref().filter(|(operations, _)| operations.contains(&number)).cloned();
        match failing {
            None => act(inner),
            Some((_, Failure::Before)) => Err(io::Error::other("injected: failed")),
            Some((_, Failure::Halfway)) => {
                halfway(inner);
                Err(io::Error::new(io::ErrorKind::StorageFull, "injected: no space left"))
            }
            Some((_, Failure::After)) => {
                // What it had to say is lost, also if that was an error.
                let _ = act(inner);
                Err(io::Error::other("injected: failed after it took effect"))
            }
        }
    }
}

/// Makes a data directory with a key that follows from a seed, so that what is written is
/// the same each time.
pub(crate) fn give_keys(disk: &Faulty, seed: u64) {
    storage::mark(disk, Path::new("")).expect("an empty disk");
    let line = format!("{}\n", Digest::of(&seed.to_le_bytes()).hex());
    storage::replace(disk, keys::SECRET, line.as_bytes(), true).expect("written");
}

/// For whoever reads a real directory: writes all files into one.
pub(crate) fn lay_out(disk: &Faulty, directory: &Path) -> io::Result<()> {
    for (name, bytes) in disk.files() {
        let path = directory.join(name);
        path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
        std::fs::write(path, bytes)?;
    }
    Ok(())
}

fn folder(path: &str) -> String {
    path.rsplit_once('/').map_or(String::new(), |(folder, _)| folder.to_string())
}

fn missing(path: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, path.to_string())
}

impl Inner {
    fn change(&mut self, path: &str, change: Change) {
        change.apply(&mut self.live);
        self.changes.push((folder(path), change));
    }
}

impl Storage for Faulty {
    fn create_dir(&self, path: &str) -> io::Result<()> {
        // Folders are taken to be durable at once: there is one, and it is made when
        // nothing else is there to lose.
        let act = |inner: &mut Inner| {
            inner.folders.insert(path.to_string());
            Ok(())
        };
        self.act(format!("create_dir {path}"), |_| {}, act)
    }

    fn list(&self, path: &str) -> io::Result<Vec<String>> {
        let act = |inner: &mut Inner| {
            if !inner.folders.contains(path) {
                return Err(missing(path));
            }
            let names = inner.live.keys().chain(&inner.folders).filter(|name| !name.is_empty() && folder(name) == path);
            Ok(names.map(|name| name.rsplit('/').next().expect("a name").to_string()).collect())
        };
        self.act(format!("list {path}"), |_| {}, act)
    }

    fn create(&self, path: &str, _private: bool) -> io::Result<Box<dyn File>> {
        let act = |inner: &mut Inner| {
            if inner.live.contains_key(path) {
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, path.to_string()));
            }
            let file = inner.files.len();
            inner.files.push(Inode::new(inner.sector));
            inner.change(path, Change::Create(path.to_string(), file));
            Ok(file)
        };
        let file = self.act(format!("create {path}"), |_| {}, act)?;
        Ok(Box::new(FaultyFile { disk: self.clone(), file, path: path.to_string() }))
    }

    fn open(&self, path: &str, write: bool) -> io::Result<Box<dyn File>> {
        let act = |inner: &mut Inner| inner.live.get(path).copied().ok_or_else(|| missing(path));
        let file = self.act(format!("open {path} {write}"), |_| {}, act)?;
        Ok(Box::new(FaultyFile { disk: self.clone(), file, path: path.to_string() }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let act = |inner: &mut Inner| {
            inner.live.get(from).ok_or_else(|| missing(from))?;
            inner.change(from, Change::Rename(from.to_string(), to.to_string()));
            Ok(())
        };
        self.act(format!("rename {from} {to}"), |_| {}, act)
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        let act = |inner: &mut Inner| {
            inner.live.get(path).ok_or_else(|| missing(path))?;
            inner.change(path, Change::Remove(path.to_string()));
            Ok(())
        };
        self.act(format!("remove {path}"), |_| {}, act)
    }

    fn sync_dir(&self, path: &str) -> io::Result<()> {
        let act = |inner: &mut Inner| {
            let (synced, left) = std::mem::take(&mut inner.changes).into_iter().partition(|(folder, _)| folder == path);
            inner.changes = left;
            let synced: Vec<(String, Change)> = synced;
            for (_, change) in &synced {
                change.apply(&mut inner.durable);
            }
            Ok(())
        };
        self.act(format!("sync_dir {path}"), |_| {}, act)
    }
}

struct FaultyFile {
    disk: Faulty,
    file: usize,
    path: String,
}

impl File for FaultyFile {
    fn len(&self) -> io::Result<u64> {
        self.disk.act(format!("len {}", self.path), |_| {}, |inner| Ok(inner.files[self.file].live.len() as u64))
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let act = |inner: &mut Inner| {
            let bytes = &inner.files[self.file].live;
            let from = (offset as usize).min(bytes.len());
            let read = buffer.len().min(bytes.len() - from);
            buffer[..read].copy_from_slice(&bytes[from..from + read]);
            Ok(read)
        };
        self.disk.act(format!("read_at {} {offset}", self.path), |_| {}, act)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let write = |inner: &mut Inner, bytes: &[u8]| inner.files[self.file].write(offset as usize, bytes);
        let halfway = |inner: &mut Inner| write(inner, &bytes[..bytes.len() / 2]);
        let act = |inner: &mut Inner| {
            write(inner, bytes);
            Ok(())
        };
        self.disk.act(format!("write_at {} {offset} {}", self.path, bytes.len()), halfway, act)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let act = |inner: &mut Inner| {
            inner.files[self.file].set_len(len as usize);
            Ok(())
        };
        self.disk.act(format!("set_len {} {len}", self.path), |_| {}, act)
    }

    fn sync(&self) -> io::Result<()> {
        let halfway = |inner: &mut Inner| inner.files[self.file].persist_some(&mut inner.random);
        let act = |inner: &mut Inner| {
            inner.files[self.file].sync();
            Ok(())
        };
        self.disk.act(format!("sync {}", self.path), halfway, act)
    }
}
