//! Appending: opening what is there, frames, syncs.

use std::io;
use std::sync::Arc;

use super::frame::{FrameFault, ITEMS_BYTES, Packing, frames};
use super::{Archive, FOLDER, Packed, SEGMENT_BYTES, path_of, segments};
use crate::content::Content;
use crate::ledger::storage::{self, File, NEW, Storage};

/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;

/// What is kept cannot be taken up. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error("{path}: {doing} failed: {source}. Mend the disk or its permissions and start again")]
    Io { path: String, doing: &'static str, source: io::Error },
    #[error(
        "{FOLDER}/: the content of the event with sequence {needed} is to be kept, and what is whole ends with sequence {last}{}. Put the \
         folder back from a copy", damage.as_ref().map(|(path, offset, fault)| format!(": {path}, byte {offset}: {fault}")).unwrap_or_default()
    )]
    Missing { needed: u64, last: u64, damage: Option<(String, usize, FrameFault)> },
    #[error("{path}, byte {offset}: the frame has sequences {first} to {last}, and the journal ends with {end}, in the middle of it")]
    Straddles { path: String, offset: usize, first: u64, last: u64, end: u64 },
}

/// Something could not be written. Nothing is taken any more.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {doing} failed: {source}. Nothing that was answered for is lost; mend the disk (is it full?) and start again")]
pub(crate) struct WriteError {
    path: String,
    doing: &'static str,
    source: io::Error,
}

impl WriteError {
    fn at(path: &str, doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| WriteError { path: path.to_string(), doing, source }
    }
}

/// The segment that is written to.
#[derive(Debug)]
struct Segment {
    path: String,
    file: Box<dyn File>,
    offset: u64,
    /// When the first of its events arrived.
    begun: i64,
    /// Whether its name is durable.
    is_named: bool,
}

/// The one who appends. Segments are begun anew by each process.
#[derive(Debug)]
pub(crate) struct Writer {
    storage: Arc<dyn Storage>,
    segment: Option<Segment>,
    segment_bytes: u64,
    /// Whether segments are to be removed by and by: then none is of more than a day.
    is_daily: bool,
    packing: Packing,
    frame: Vec<u8>,
}

impl Writer {
    /// Takes up what is kept. `end` is the last entry of the journal: what is behind it was
    /// written for entries that never were, and is cut off. `needed` is the last event
    /// whose content has to be here, or 0.
    pub fn open(storage: Arc<dyn Storage>, end: u64, needed: u64, is_daily: bool) -> Result<Self, OpenError> {
        let io = |path: &str, doing| {
            let path = path.to_string();
            move |source| OpenError::Io { path, doing, source }
        };
        storage.create_dir(FOLDER).map_err(io(FOLDER, "making the folder"))?;
        storage.sync_dir("").map_err(io("", "syncing the data directory"))?;
        let cuts = cut(&*storage, end, needed)?;
        for Cut { path, offset } in cuts {
            tracing::warn!(%path, offset, "Events whose judging was interrupted are cut off; they are to be sent again");
            if offset == 0 {
                storage.remove(&path).map_err(io(&path, "removing what was interrupted"))?;
                continue;
            }
            let file = storage.open(&path, true).map_err(io(&path, "opening for writing"))?;
            file.set_len(offset as u64).map_err(io(&path, "cutting off what was interrupted"))?;
            file.sync().map_err(io(&path, "syncing"))?;
        }
        // What a crash left of a segment on its way to replace another.
        for name in storage.list(FOLDER).map_err(io(FOLDER, "listing"))?.iter().filter(|name| name.ends_with(NEW)) {
            let path = format!("{FOLDER}/{name}");
            storage.remove(&path).map_err(io(&path, "removing what was interrupted"))?;
        }
        storage.sync_dir(FOLDER).map_err(io(FOLDER, "syncing the folder"))?;
        Ok(Writer { storage, segment: None, segment_bytes: SEGMENT_BYTES, is_daily, packing: Packing::default(), frame: Vec::new() })
    }

    /// For tests: segments that are whole earlier.
    #[cfg(test)]
    pub fn with_segments(self, segment_bytes: u64) -> Self {
        Writer { segment_bytes, ..self }
    }

    /// For reading and erasing.
    pub fn archive(&self) -> Archive {
        Archive { storage: self.storage.clone() }
    }

    /// Takes the content of the next event, which arrived then (microseconds since 1970).
    pub fn push(&mut self, sequence: u64, arrived: i64, content: &Content<'_>) -> Result<(), WriteError> {
        if self.packing.bytes() >= ITEMS_BYTES {
            self.write()?;
        }
        self.packing.push(sequence, arrived, Packed::Content(content));
        Ok(())
    }

    /// Writes what was pushed, as one frame, if anything was.
    pub fn write(&mut self) -> Result<(), WriteError> {
        let Some(first) = self.packing.first() else { return Ok(()) };
        let arrived = self.packing.arrived();
        self.frame.clear();
        self.packing.finish(&mut self.frame).map_err(WriteError::at(FOLDER, "packing events"))?;
        let is_full =
            |segment: &Segment| segment.offset >= self.segment_bytes || self.is_daily && arrived.saturating_sub(segment.begun) >= DAY;
        if self.segment.as_ref().is_some_and(is_full) {
            self.end_segment()?;
        }
        let segment = match &mut self.segment {
            Some(segment) => segment,
            none => {
                let path = path_of(first);
                let file = self.storage.create(&path, true).map_err(WriteError::at(&path, "making a segment"))?;
                none.insert(Segment { path, file, offset: 0, begun: arrived, is_named: false })
            }
        };
        segment.file.write_at(segment.offset, &self.frame).map_err(WriteError::at(&segment.path, "writing"))?;
        segment.offset += self.frame.len() as u64;
        Ok(())
    }

    /// Makes what was written durable.
    pub fn sync(&mut self) -> Result<(), WriteError> {
        let Some(segment) = &mut self.segment else { return Ok(()) };
        segment.file.sync().map_err(WriteError::at(&segment.path, "syncing"))?;
        if !segment.is_named {
            self.storage.sync_dir(FOLDER).map_err(WriteError::at(FOLDER, "syncing the folder"))?;
            segment.is_named = true;
        }
        Ok(())
    }

    /// What comes goes to another segment, so that this one may be written anew.
    pub fn end_segment(&mut self) -> Result<(), WriteError> {
        self.sync()?;
        self.segment = None;
        Ok(())
    }
}

/// Where a segment is cut off.
struct Cut {
    path: String,
    offset: usize,
}

/// What is behind the end of the journal, the last first.
fn cut(storage: &dyn Storage, end: u64, needed: u64) -> Result<Vec<Cut>, OpenError> {
    let listed = segments(storage).map_err(|source| OpenError::Io { path: FOLDER.to_string(), doing: "listing", source })?;
    let (mut cuts, mut last, mut damage) = (Vec::new(), 0, None);
    for first in listed.into_iter().rev() {
        let path = path_of(first);
        let bytes = storage::read(storage, &path).map_err(|source| OpenError::Io { path: path.clone(), doing: "reading", source })?;
        let mut whole = 0;
        for frame in frames(&bytes) {
            match frame {
                Ok(frame) if frame.last <= end => (whole, last) = (frame.place.end, frame.last),
                Ok(frame) if frame.first <= end => {
                    let (offset, first, last) = (frame.place.start, frame.first, frame.last);
                    return Err(OpenError::Straddles { path, offset, first, last, end });
                }
                Ok(_) => break,
                Err((offset, fault)) => {
                    damage = Some((path.clone(), offset, fault));
                    break;
                }
            }
        }
        if whole < bytes.len() || bytes.is_empty() {
            cuts.push(Cut { path, offset: whole });
        }
        if whole > 0 {
            break;
        }
    }
    if last < needed { Err(OpenError::Missing { needed, last, damage }) } else { Ok(cuts) }
}
