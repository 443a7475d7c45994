//! The log: the tree over the durable entries, and what was signed about it.
//!
//! Derived from the journal, and made again at every start. For reading from any
//! thread; extended by the one that commits.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::checkpoint::{BadFrame, Checkpoint, EntryProof, Frames, History, OpenError as CheckpointError};
use super::journal::{ReadError, Reader};
use super::keys::REPLAY;
use super::limits::Durability;
use super::note::{Note, SignerKey, VerifierKey};
use super::storage::{self, File, Storage};
use super::tree::{Hash, TileFiles, TileId, TileKind, Tree, TreeError, bundle};
use super::witnesses::{CosignError, Witnessed, Witnesses};

/// The file of the latest checkpoint.
pub(super) const LATEST: &str = "checkpoint";

/// The file of all checkpoints.
pub(super) const HISTORY: &str = "checkpoints";

/// What was signed does not fit what is there.
#[derive(Debug, thiserror::Error)]
pub enum SignedError {
    /// A file cannot be read or written.
    #[error("{file}: {doing} failed: {source}")]
    Io {
        /// Which file.
        file: &'static str,
        /// What failed.
        doing: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// The history of checkpoints is damaged.
    #[error("{HISTORY}: {0}; put it back from a copy")]
    History(#[from] BadFrame),
    /// The history ends before the latest checkpoint.
    #[error("{HISTORY}, byte {offset}: the latest checkpoint is missing or damaged here, or {LATEST} is; put both back from a copy")]
    CutBack {
        /// Where what is whole ends.
        offset: u64,
    },
    /// An earlier checkpoint failed.
    #[error("no checkpoint is signed any more since one could not be written")]
    Stopped,
    /// A checkpoint is not to be believed.
    #[error("{HISTORY}, byte {offset}: {error}; put it back from a copy")]
    Checkpoint {
        /// Where it begins.
        offset: u64,
        /// What is wrong with it.
        error: CheckpointError,
    },
    /// The entries are not those that were signed.
    #[error(
        "{HISTORY}, byte {offset}: over the first {size} entries the root {signed} was signed, but it is {found}: the journal is not the one that was signed; put it back from a copy"
    )]
    Rewritten {
        /// Where the checkpoint begins.
        offset: u64,
        /// Its size.
        size: u64,
        /// The root in it.
        signed: Hash,
        /// The root over the entries that are there.
        found: Hash,
    },
    /// The checkpoint could not be made.
    #[error("the checkpoint could not be signed: the name {0:?} of the log cannot stand in one")]
    Name(String),
}

/// The log cannot answer.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// Asked for what is not there.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// An entry cannot be read.
    #[error("{0}")]
    Read(String),
    /// Nothing was signed yet that has the entry.
    #[error("entry {0} is in no signed checkpoint yet; try again in a moment")]
    Unsigned(u64),
}

impl From<ReadError> for LogError {
    fn from(error: ReadError) -> Self {
        LogError::Read(error.to_string())
    }
}

/// What was signed.
struct Signed {
    history: History,
    file: Box<dyn File>,
    /// Where the next one goes.
    offset: u64,
    latest: Option<(Checkpoint, Note)>,
    /// Set while a checkpoint is written, and for good if that fails.
    stopped: bool,
}

impl Signed {
    /// Makes a checkpoint the latest one, durably.
    fn keep(&mut self, storage: &dyn Storage, checkpoint: Checkpoint, note: Note) -> Result<(), SignedError> {
        // After a failed write nobody knows what is on the disk: a start finds out.
        if std::mem::replace(&mut self.stopped, true) {
            return Err(SignedError::Stopped);
        }
        let bytes = self.history.append(&note);
        let io = |doing| move |source| SignedError::Io { file: HISTORY, doing, source };
        self.file.write_at(self.offset, &bytes).map_err(io("writing"))?;
        self.file.sync().map_err(io("syncing"))?;
        self.offset += bytes.len() as u64;
        write_latest(storage, &note)?;
        self.latest = Some((checkpoint, note));
        self.stopped = false;
        Ok(())
    }
}

/// The log while its journal is read.
pub(super) struct Growing {
    tree: Tree<TileFiles>,
    signed: Signed,
    /// Signed roots by size, with the places of their checkpoints.
    targets: BTreeMap<u64, Vec<(Hash, u64)>>,
    signer: SignerKey,
    storage: Arc<dyn Storage>,
}

impl Growing {
    /// Reads what was signed. A checkpoint whose writing was interrupted is cut off;
    /// all others are durable on return.
    pub fn open(storage: Arc<dyn Storage>, directory: &Path, signer: SignerKey) -> Result<Self, SignedError> {
        let io = |doing| move |source| SignedError::Io { file: HISTORY, doing, source };
        let found = match storage::read(&*storage, HISTORY) {
            Ok(bytes) => Some(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(io("reading")(error)),
        };
        let bytes = found.as_deref().unwrap_or_default();
        let (history, whole) = History::resume(bytes)?;
        let (mut latest, mut last) = (None, whole);
        let mut targets: BTreeMap<u64, Vec<(Hash, u64)>> = BTreeMap::new();
        for frame in Frames::new(&bytes[..whole]) {
            let frame = frame?;
            let offset = frame.offset as u64;
            let (checkpoint, note) =
                Checkpoint::open(frame.note, signer.verifier()).map_err(|error| SignedError::Checkpoint { offset, error })?;
            targets.entry(checkpoint.size).or_default().push((checkpoint.root, offset));
            (latest, last) = (Some((checkpoint, note)), frame.offset);
        }
        let size = latest.as_ref().map_or(0, |(checkpoint, _)| checkpoint.size);
        if !ends_with(&*storage, signer.verifier(), size, whole < bytes.len())? {
            return Err(SignedError::CutBack { offset: whole as u64 });
        }
        let file = match &found {
            Some(_) => storage.open(HISTORY, true).map_err(io("opening"))?,
            None => {
                let file = storage.create(HISTORY, false).map_err(io("making it"))?;
                storage.sync_dir("").map_err(io("syncing its folder"))?;
                file
            }
        };
        if whole < bytes.len() {
            tracing::warn!(offset = whole, bytes = bytes.len() - whole, "An interrupted checkpoint was cut off");
            file.set_len(whole as u64).map_err(io("cutting off an interrupted write"))?;
        }
        if !bytes.is_empty() {
            // As the journal's last record: what was read may be in the system's cache
            // only, which takes it for clean. Written again, it is synced.
            file.write_at(last as u64, &bytes[last..whole]).map_err(io("writing the last one again"))?;
            file.sync().map_err(io("syncing"))?;
        }
        let signed = Signed { history, file, offset: whole as u64, latest, stopped: false };
        let mut growing = Growing { tree: Tree::new(TileFiles::new(directory)), signed, targets, signer, storage };
        growing.compare()?;
        Ok(growing)
    }

    /// Entries that were signed.
    pub fn known(&self) -> u64 {
        self.signed.latest.as_ref().map_or(0, |(checkpoint, _)| checkpoint.size)
    }

    /// Adds the next entries. They are held against what was signed.
    pub fn push(&mut self, leaves: &[Hash]) -> Result<(), SignedError> {
        for leaf in leaves {
            self.tree.push(*leaf);
            self.compare()?;
        }
        // Tiles that cannot be written stay in memory, and are tried again later.
        let _ = self.tree.flush();
        Ok(())
    }

    fn compare(&mut self) -> Result<(), SignedError> {
        let size = self.tree.size();
        if self.targets.first_key_value().is_none_or(|(next, _)| *next != size) {
            return Ok(());
        }
        let found = self.tree.root();
        match self.targets.remove(&size).into_iter().flatten().find(|(signed, _)| *signed != found) {
            Some((signed, offset)) => Err(SignedError::Rewritten { offset, size, signed, found }),
            None => Ok(()),
        }
    }

    /// The log over all that the journal has, and how what comes is kept.
    pub fn finish(self, reader: Reader, durability: Durability) -> Result<Log, SignedError> {
        let Growing { tree, signed, signer, storage, .. } = self;
        if let Some((_, note)) = &signed.latest {
            // A crash between the two files leaves the latest one behind.
            write_latest(&*storage, note)?;
        }
        let latest = RwLock::new(signed.latest.clone());
        let (tree, signed, witnesses) = (RwLock::new(tree), Mutex::new(signed), Mutex::default());
        Ok(Log { tree, signed, latest, witnesses, signer, durability, storage, reader })
    }
}

/// Whether a history that ends with a checkpoint of this size has all that were
/// finished. The history is written first, so the latest checkpoint is never ahead
/// of it; and before another one is begun, the latest one is there.
fn ends_with(storage: &dyn Storage, key: &VerifierKey, size: u64, torn: bool) -> Result<bool, SignedError> {
    let latest = match storage::read(storage, LATEST) {
        Ok(bytes) => Checkpoint::open(&bytes, key).ok(),
        // There is none before the first one is finished.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(!torn || size == 0),
        Err(source) => return Err(SignedError::Io { file: LATEST, doing: "reading", source }),
    };
    // What cannot be read is written anew, unless it is needed as a witness.
    Ok(latest.map_or(!torn, |(checkpoint, _)| checkpoint.size <= size))
}

fn write_latest(storage: &dyn Storage, note: &Note) -> Result<(), SignedError> {
    let text = note.to_string();
    storage::replace(storage, LATEST, text.as_bytes(), false).map_err(|source| SignedError::Io { file: LATEST, doing: "writing", source })
}

/// The log over the durable entries. May be asked by several threads at once, and by
/// those that must not wait: but for [`Log::cosign`], nothing here waits for a
/// checkpoint that is being written.
pub struct Log {
    tree: RwLock<Tree<TileFiles>>,
    /// Locked while a checkpoint is written.
    signed: Mutex<Signed>,
    /// What is durable of it.
    latest: RwLock<Option<(Checkpoint, Note)>>,
    /// Locked after `signed`, where both are.
    witnesses: Mutex<Witnesses>,
    signer: SignerKey,
    durability: Durability,
    storage: Arc<dyn Storage>,
    reader: Reader,
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log").field("key", &self.signer).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

impl Log {
    /// Number of entries that were committed.
    pub fn size(&self) -> u64 {
        read(&self.tree).size()
    }

    /// What it means for the disk that an entry was committed. Every checkpoint of a log
    /// that does not sync says so.
    pub fn durability(&self) -> Durability {
        self.durability
    }

    /// Whether it is a replay of another ledger ([`super::adopt`]).
    pub fn is_replay(&self) -> bool {
        self.key().name().ends_with(REPLAY)
    }

    /// The key that its checkpoints are signed with; its name is the log's.
    pub fn key(&self) -> &VerifierKey {
        self.signer.verifier()
    }

    /// The latest signed checkpoint; absent for a log that has signed none yet.
    pub fn latest(&self) -> Option<(Checkpoint, Note)> {
        read(&self.latest).clone()
    }

    /// A tile of hashes or an entry bundle, as C2SP tlog-tiles has it; absent if the
    /// log does not fill it to this width yet.
    ///
    /// # Errors
    ///
    /// If what is there cannot be read, or is damaged.
    pub fn tile(&self, tile: TileId) -> Result<Option<Vec<u8>>, LogError> {
        match tile.kind {
            TileKind::Hashes(level) => Ok(read(&self.tree).tile(level, tile.index, tile.width)?),
            TileKind::Entries => {
                let first = tile.index.saturating_mul(256).saturating_add(1);
                if first.saturating_add(u64::from(tile.width)) > self.size().saturating_add(1) {
                    return Ok(None);
                }
                let sequences: Vec<u64> = (first..first + u64::from(tile.width)).collect();
                let mut lines = Vec::with_capacity(sequences.len());
                self.reader.read_many(&sequences, |_, line| lines.push(line.to_string()))?;
                // An entry that is written fits a bundle.
                Ok(bundle(lines.iter().map(String::as_bytes)))
            }
        }
    }

    /// The durable entries from a sequence on, each a line without its `\n`. Ends behind
    /// what is durable, and goes on if it is asked again later.
    pub fn entries(&self, from: u64) -> impl Iterator<Item = Result<(u64, String), LogError>> + Send + use<> {
        self.reader.scan(from).map(|item| item.map_err(LogError::from))
    }

    /// The same, faster, and without a look at whether they are what was written. Nothing
    /// may rest on it.
    pub(crate) fn entries_unchecked(&self, from: u64) -> impl Iterator<Item = Result<(u64, String), LogError>> + Send + use<> {
        self.reader.scan_unchecked(from).map(|item| item.map_err(LogError::from))
    }

    /// Signs a text in the log's name; absent if it cannot be that of a note. It must not
    /// begin as a checkpoint does.
    pub(crate) fn sign_text(&self, text: &str) -> Option<Note> {
        Note::sign(text, &self.signer)
    }

    /// Shows the lines of entries to `visit`, by their sequences, which are ascending.
    pub(crate) fn read_many(&self, sequences: &[u64], visit: impl FnMut(u64, &str)) -> Result<(), ReadError> {
        self.reader.read_many(sequences, visit)
    }

    /// The proof that an entry is in the log, on the latest checkpoint (C2SP
    /// tlog-proof).
    ///
    /// # Errors
    ///
    /// If no signed checkpoint has the entry yet, or tiles cannot be read.
    pub fn proof(&self, sequence: u64) -> Result<EntryProof, LogError> {
        let (checkpoint, note) = self.latest().filter(|(checkpoint, _)| sequence <= checkpoint.size).ok_or(LogError::Unsigned(sequence))?;
        let index = sequence.checked_sub(1).ok_or(LogError::Unsigned(sequence))?;
        let path = read(&self.tree).inclusion(index, checkpoint.size)?;
        Ok(EntryProof { extra: None, index, path, checkpoint: note })
    }

    /// The audit path of an entry in the log of the first `size` entries (RFC 6962, section
    /// 2.1.1): for somebody who holds a checkpoint of that size.
    ///
    /// # Errors
    ///
    /// If the log does not have so many, or tiles cannot be read.
    pub fn path(&self, sequence: u64, size: u64) -> Result<Vec<Hash>, LogError> {
        let index = sequence.checked_sub(1).ok_or(LogError::Unsigned(sequence))?;
        Ok(read(&self.tree).inclusion(index, size)?)
    }

    /// The proof that the log of `new` entries extends that of `old` entries (RFC
    /// 6962, section 2.1.2).
    ///
    /// # Errors
    ///
    /// If the log does not have so many, or tiles cannot be read.
    pub fn consistency(&self, old: u64, new: u64) -> Result<Vec<Hash>, LogError> {
        Ok(read(&self.tree).consistency(old, new)?)
    }

    /// Takes a witness's cosignature of one of the latest checkpoints, as a note that
    /// has it. That of the very latest one is kept with it.
    ///
    /// # Errors
    ///
    /// Why it is not taken.
    pub fn cosign(&self, bytes: &[u8]) -> Result<(), CosignError> {
        let mut signed = lock(&self.signed);
        let note = lock(&self.witnesses).cosign(bytes)?;
        if let Some((checkpoint, latest)) = signed.latest.clone()
            && latest.text() == note.text()
            && latest != note
        {
            self.keep(&mut signed, checkpoint, note)?;
        }
        Ok(())
    }

    /// Whose cosignatures are taken.
    pub(super) fn watched_by(&self, mut witnesses: Witnesses) {
        if let Some((checkpoint, note)) = self.latest() {
            witnesses.signed(checkpoint, note);
        }
        *lock(&self.witnesses) = witnesses;
    }

    /// How far the witnesses are.
    pub fn witnessed(&self) -> Witnessed {
        lock(&self.witnesses).standing()
    }

    /// The latest checkpoint that as many witnesses have co-signed as are required.
    pub fn finished(&self) -> Option<(Checkpoint, Note)> {
        lock(&self.witnesses).finished()
    }

    /// Adds entries that are durable now.
    pub(super) fn extend(&self, leaves: &[Hash]) {
        let mut tree = write(&self.tree);
        leaves.iter().for_each(|leaf| tree.push(*leaf));
    }

    /// Signs the log as it is, if it has entries that are not signed yet, and writes
    /// full tiles. A checkpoint is durable, and among the others, before anybody is
    /// given it.
    pub(super) fn checkpoint(&self) -> Result<(), SignedError> {
        self.sign()?;
        // Derived, and tried again at the next checkpoint. One by one, so that nobody
        // waits for more than one of them.
        let one = || write(&self.tree).flush_one();
        loop {
            match one() {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(error) => {
                    tracing::warn!(%error, "A tile cannot be written; its hashes stay in memory");
                    return Ok(());
                }
            }
        }
    }

    fn sign(&self) -> Result<(), SignedError> {
        let mut signed = lock(&self.signed);
        let before = signed.latest.as_ref().map_or(0, |(checkpoint, _)| checkpoint.size);
        let (size, root) = {
            let tree = read(&self.tree);
            if tree.size() == before {
                return Ok(());
            }
            (tree.size(), tree.root())
        };
        let origin = self.signer.verifier().name().to_string();
        let checkpoint = Checkpoint { origin, size, root, extensions: Checkpoint::extensions_of(self.durability) };
        let note = checkpoint.sign(&self.signer).ok_or_else(|| SignedError::Name(checkpoint.origin.clone()))?;
        self.keep(&mut signed, checkpoint.clone(), note.clone())?;
        lock(&self.witnesses).signed(checkpoint, note);
        Ok(())
    }

    /// Makes a checkpoint the latest one, durably, and then for everybody.
    fn keep(&self, signed: &mut Signed, checkpoint: Checkpoint, note: Note) -> Result<(), SignedError> {
        signed.keep(&*self.storage, checkpoint, note)?;
        write(&self.latest).clone_from(&signed.latest);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;
    use crate::ledger::faulty::Faulty;
    use crate::ledger::journal::{Batch, Journal};
    use crate::ledger::note::Algorithm;
    use crate::ledger::tree::leaf_hash;

    /// A disk on which syncing the checkpoints takes until somebody lets it.
    struct Slow {
        disk: Faulty,
        begun: Sender<()>,
        go_on: Arc<Mutex<Receiver<()>>>,
    }

    struct SlowFile(Box<dyn File>, Sender<()>, Arc<Mutex<Receiver<()>>>);

    impl Storage for Slow {
        fn create_dir(&self, path: &str) -> io::Result<()> {
            self.disk.create_dir(path)
        }
        fn list(&self, path: &str) -> io::Result<Vec<String>> {
            self.disk.list(path)
        }
        fn create(&self, path: &str, private: bool) -> io::Result<Box<dyn File>> {
            let file = self.disk.create(path, private)?;
            let slow = path == HISTORY;
            Ok(if slow { Box::new(SlowFile(file, self.begun.clone(), self.go_on.clone())) } else { file })
        }
        fn open(&self, path: &str, write: bool) -> io::Result<Box<dyn File>> {
            self.disk.open(path, write)
        }
        fn rename(&self, from: &str, to: &str) -> io::Result<()> {
            self.disk.rename(from, to)
        }
        fn remove(&self, path: &str) -> io::Result<()> {
            self.disk.remove(path)
        }
        fn sync_dir(&self, path: &str) -> io::Result<()> {
            self.disk.sync_dir(path)
        }
    }

    impl File for SlowFile {
        fn len(&self) -> io::Result<u64> {
            self.0.len()
        }
        fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.read_at(offset, buffer)
        }
        fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
            self.0.write_at(offset, bytes)
        }
        fn set_len(&self, len: u64) -> io::Result<()> {
            self.0.set_len(len)
        }
        fn sync(&self) -> io::Result<()> {
            self.1.send(()).expect("somebody waits");
            self.2.lock().expect("one at a time").recv().expect("somebody lets it");
            self.0.sync()
        }
    }

    /// Whoever asks the log may be a thread that serves others, and a disk may take
    /// seconds.
    #[test]
    fn nobody_waits_for_a_checkpoint_that_is_being_signed() {
        let folder = tempfile::tempdir().expect("a folder");
        let ((begun, has_begun), (let_go, go_on)) = (channel(), channel());
        let storage: Arc<dyn Storage> = Arc::new(Slow { disk: Faulty::new(0), begun, go_on: Arc::new(Mutex::new(go_on)) });
        let signer = SignerKey::new("example.com/log", Algorithm::Ed25519, &[7; 32]).expect("a good name");
        let growing = Growing::open(storage.clone(), folder.path(), signer).expect("opens");
        let (mut journal, _) = Journal::open(storage, 0, u64::MAX, Durability::Sync, &mut |_, _| Ok(())).expect("opens");
        let log = growing.finish(journal.reader(), Durability::Sync).expect("opens");
        let mut commit = |first: u64| {
            let lines: Vec<String> = (first..first + 300).map(|sequence| format!("entry {sequence}\n")).collect();
            let leaves = lines.iter().map(|line| leaf_hash(line.trim_end().as_bytes())).collect();
            let batch = Batch { first, lines: lines.concat().into_bytes(), leaves, states: Vec::new() };
            journal.append(&batch).and_then(|()| journal.commit()).expect("committed");
            log.extend(&batch.leaves);
        };
        commit(1);
        let_go.send(()).expect("let");
        log.checkpoint().expect("signed");
        has_begun.recv().expect("begun");
        commit(301);
        std::thread::scope(|scope| {
            let signing = scope.spawn(|| log.checkpoint());
            has_begun.recv().expect("begun");
            // While it waits for the disk, everything else goes on.
            commit(601);
            assert_eq!((log.size(), log.latest().map(|(checkpoint, _)| checkpoint.size)), (900, Some(300)));
            assert_eq!(log.proof(7).expect("made").index, 6);
            assert!(matches!(log.proof(301), Err(LogError::Unsigned(301))), "what is not durable is not given out");
            assert!(log.tile(TileId::full(0, 2)).expect("readable").is_some());
            log.consistency(300, 900).expect("made");
            let_go.send(()).expect("let");
            signing.join().expect("no panic").expect("signed");
        });
        assert_eq!(log.latest().map(|(checkpoint, _)| checkpoint.size), Some(600));
    }
}
