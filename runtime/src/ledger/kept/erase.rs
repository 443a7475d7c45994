//! Taking content out for good.
//!
//! The entry comes first: it is durable before anything is touched, and a start carries
//! out what an interrupted process did not come to. Segments are written anew without
//! what goes, and put in the place of the old ones, whole.

use std::io;

use super::frame::{FrameFault, Packing, frames};
use super::{Archive, FOLDER, Kept, Packed, REMEDY, path_of, segments};
use crate::ledger::entry::ErasureEntry;
use crate::ledger::storage::{self, NEW};

/// The file that says how far erasures are carried out.
pub(in crate::ledger) const ERASED: &str = "erased";

/// An erasure that is recorded.
#[derive(Debug, Clone)]
pub(crate) struct Erasure {
    /// Of its entry.
    pub sequence: u64,
    pub entry: ErasureEntry<'static>,
}

/// An erasure is recorded and not, or not wholly, carried out. The next start does it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EraseError {
    #[error("{path}: {doing} failed: {source}")]
    Io { path: String, doing: &'static str, source: io::Error },
    #[error("{path}, byte {offset}: {fault}; {REMEDY}")]
    Damaged { path: String, offset: usize, fault: FrameFault },
}

/// Events whose time is over: all up to this sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Expired {
    pub through: u64,
}

impl EraseError {
    fn io(path: &str, doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| EraseError::Io { path: path.to_string(), doing, source }
    }
}

impl Archive {
    /// Carries out an erasure, all before which was written to segments that nobody writes
    /// to any more. Gives how many events lost their content. Done again, it does nothing.
    ///
    /// What cannot be done in one segment does not keep it from the others; the first such
    /// problem is the error.
    pub fn erase(&self, erasure: &Erasure) -> Result<u64, EraseError> {
        let listed = segments(&*self.storage).map_err(EraseError::io(FOLDER, "listing"))?;
        let (mut erased, mut removed, mut problem) = (0, false, None);
        for (at, first) in listed.iter().enumerate().take_while(|(_, first)| **first < erasure.sequence) {
            match self.erase_in(*first, listed.get(at + 1).copied(), erasure) {
                Ok(Gone { events, is_all }) => {
                    erased += events;
                    removed |= is_all;
                }
                Err(error) => problem = problem.or(Some(error)),
            }
        }
        if removed {
            self.storage.sync_dir(FOLDER).map_err(EraseError::io(FOLDER, "syncing the folder"))?;
        }
        problem.map_or(Ok(erased), Err)
    }

    /// The same for one segment; `next` is where the one behind it begins.
    fn erase_in(&self, first: u64, next: Option<u64>, erasure: &Erasure) -> Result<Gone, EraseError> {
        let path = path_of(first);
        let through = erasure.entry.through.filter(|_| erasure.entry.is_expiry());
        // All of it is over, whatever it is: what cannot be read has to go as well.
        let is_over = through.zip(next).is_some_and(|(through, next)| next <= through.saturating_add(1));
        let bytes = storage::read(&*self.storage, &path).map_err(EraseError::io(&path, "reading"));
        let rest = bytes
            .and_then(|bytes| rest(&bytes, erasure).map_err(|(offset, fault)| EraseError::Damaged { path: path.clone(), offset, fault }));
        let Rest { bytes, erased } = match rest {
            Err(_) if is_over => Rest { bytes: Some(Vec::new()), erased: 0 },
            rest => rest?,
        };
        match bytes {
            Some(bytes) if bytes.is_empty() => {
                // Of an earlier attempt to write it anew there may be something left.
                for path in [format!("{path}{NEW}"), path] {
                    match self.storage.remove(&path) {
                        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(EraseError::io(&path, "removing")(error)),
                        _ => {}
                    }
                }
                Ok(Gone { events: erased, is_all: true })
            }
            Some(bytes) => {
                storage::replace(&*self.storage, &path, &bytes, true).map_err(EraseError::io(&path, "writing anew"))?;
                Ok(Gone { events: erased, is_all: false })
            }
            None => Ok(Gone { events: 0, is_all: false }),
        }
    }

    /// Notes that all erasures up to the entry with this sequence are carried out.
    pub fn done(&self, sequence: u64) -> Result<(), EraseError> {
        let path = format!("{FOLDER}/{ERASED}");
        storage::replace(&*self.storage, &path, format!("{sequence}\n").as_bytes(), true).map_err(EraseError::io(&path, "writing"))
    }

    /// Carries out what is recorded and was not, in the order of the entries. Gives what
    /// could not be.
    pub fn catch_up(&self, erasures: &[Erasure]) -> Result<Vec<Erasure>, EraseError> {
        let path = format!("{FOLDER}/{ERASED}");
        let said = match storage::read(&*self.storage, &path) {
            Ok(bytes) => read_erased(&bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(EraseError::io(&path, "reading")(error)),
        };
        // Anything else was never written, and does not speak for what comes.
        let done = said.filter(|said| erasures.iter().any(|erasure| erasure.sequence == *said)).unwrap_or(0);
        let mut behind = Vec::new();
        for erasure in erasures.iter().filter(|erasure| erasure.sequence > done) {
            match self.erase(erasure) {
                Ok(events) => {
                    tracing::warn!(entry = erasure.sequence, events, "An erasure that was recorded, and interrupted, is carried out");
                    if behind.is_empty() {
                        self.done(erasure.sequence)?;
                    }
                }
                Err(error) => {
                    tracing::error!(entry = erasure.sequence, %error, "An erasure is recorded, and cannot be carried out");
                    behind.push(erasure.clone());
                }
            }
        }
        Ok(behind)
    }

    /// What arrived before this time, in microseconds since 1970, as far as whole segments
    /// have nothing else.
    pub fn expired(&self, before: i64) -> Result<Option<Expired>, EraseError> {
        let listed = segments(&*self.storage).map_err(EraseError::io(FOLDER, "listing"))?;
        let mut expired = None;
        for first in listed {
            let path = path_of(first);
            let bytes = storage::read(&*self.storage, &path).map_err(EraseError::io(&path, "reading"))?;
            let mut last = None;
            for frame in frames(&bytes) {
                // Half written at the end, or damaged: that is over when what is behind it is.
                let Ok(frame) = frame else { break };
                if frame.arrived >= before {
                    return Ok(expired);
                }
                last = Some(Expired { through: frame.last });
            }
            expired = last.or(expired);
        }
        Ok(expired)
    }
}

/// What went of a segment.
struct Gone {
    events: u64,
    /// The segment with it.
    is_all: bool,
}

/// What `erased` says: the sequence of the last erasure that is carried out.
pub(in crate::ledger) fn read_erased(bytes: &[u8]) -> Option<u64> {
    let text = str::from_utf8(bytes).ok()?;
    let sequence = text.strip_suffix('\n')?.parse().ok()?;
    (*text == format!("{sequence}\n")).then_some(sequence)
}

/// What is left of a segment.
struct Rest {
    /// Absent if nothing of it goes; empty if all of it does, since its time is over.
    bytes: Option<Vec<u8>>,
    /// Events whose content goes.
    erased: u64,
}

fn rest(bytes: &[u8], erasure: &Erasure) -> Result<Rest, (usize, FrameFault)> {
    let Erasure { sequence: by, entry } = erasure;
    let frames = frames(bytes).collect::<Result<Vec<_>, _>>()?;
    let through = entry.through.unwrap_or(u64::MAX);
    let all_goes = entry.is_expiry() && frames.iter().all(|frame| frame.last <= through);
    let (mut kept, mut erased) = (Vec::with_capacity(bytes.len()), 0);
    for frame in frames {
        if frame.first > through {
            kept.extend_from_slice(&bytes[frame.place]);
            continue;
        }
        let items = frame.items(bytes).map_err(|fault| (frame.place.start, fault))?;
        let goes: Vec<bool> = items.iter().map(|(sequence, kept)| goes(*sequence, kept, entry)).collect();
        let gone = goes.iter().filter(|goes| **goes).count() as u64;
        erased += gone;
        if gone == 0 {
            kept.extend_from_slice(&bytes[frame.place]);
            continue;
        }
        let mut packing = Packing::default();
        for ((sequence, kept), goes) in items.iter().zip(goes) {
            packing.push(*sequence, frame.arrived, if goes { Packed::Erased(*by) } else { kept.into() });
        }
        // Nothing that was in a frame is too large for one.
        packing.finish(&mut kept).map_err(|_| (frame.place.start, FrameFault::Malformed))?;
    }
    match (all_goes, erased) {
        (true, _) => Ok(Rest { bytes: Some(Vec::new()), erased }),
        (false, 0) => Ok(Rest { bytes: None, erased }),
        (false, _) => Ok(Rest { bytes: Some(kept), erased }),
    }
}

fn goes(sequence: u64, kept: &Kept, entry: &ErasureEntry<'_>) -> bool {
    let Kept::Content(content) = kept else { return false };
    match content.names() {
        Some(names) => entry.covers(sequence, &names.source, &names.id, names.subject.as_deref()),
        // An event has names. Whatever this is, it must not outlive its time.
        None => entry.is_expiry(),
    }
}
