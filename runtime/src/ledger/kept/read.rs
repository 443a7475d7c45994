//! Reading single events of an open directory, and all of them of any.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::{fs, io};

use super::frame::{Frame, FrameFault, MAGIC, frames};
use super::{Archive, FOLDER, Kept, REMEDY, first_of, name_of, path_of, segments};
use crate::ledger::storage;

/// The largest segment that is read: one frame may go beyond what it takes.
const BYTES_MAX: u64 = 1 << 30;

/// What is kept cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The system cannot.
    #[error("{}: reading failed: {source}", path.display())]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is not what was written.
    #[error("{}, byte {offset}: {fault}; {REMEDY}", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Where in it.
        offset: usize,
        /// What is wrong.
        fault: FrameFault,
    },
}

impl Archive {
    /// What is kept of the event with this sequence; nothing if it never was, or is not
    /// any more since its time was over.
    pub fn get(&self, sequence: u64) -> Result<Option<Kept>, ReadError> {
        let io = |path: &str| {
            let path = PathBuf::from(path);
            move |source| ReadError::Io { path, source }
        };
        let segments = segments(&*self.storage).map_err(io(FOLDER))?;
        let Some(first) = segments[..segments.partition_point(|first| *first <= sequence)].last() else { return Ok(None) };
        let path = path_of(*first);
        let bytes = match storage::read(&*self.storage, &path) {
            // Removed since it was listed: its time is over.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read.map_err(io(&path))?,
        };
        let damaged = |offset, fault| ReadError::Damaged { path: PathBuf::from(&path), offset, fault };
        for frame in frames(&bytes) {
            // What is behind it may be half written; it is not what was asked for then.
            let frame = frame.map_err(|(offset, fault)| damaged(offset, fault))?;
            if (frame.first..=frame.last).contains(&sequence) {
                let items = frame.items(&bytes).map_err(|fault| damaged(frame.place.start, fault))?;
                return Ok(items.into_iter().find(|(of, _)| *of == sequence).map(|(_, kept)| kept));
            }
            if frame.first > sequence {
                break;
            }
        }
        Ok(None)
    }
}

/// What is kept in a data directory, in the order of the entries, beside whoever writes to
/// it.
///
/// Ends where a frame is still being written, or was when the power went. After an error it
/// goes on with the next segment.
#[derive(Debug)]
pub struct KeptEvents {
    folder: PathBuf,
    /// Those to be read, the last first.
    segments: Vec<u64>,
    /// Bytes of them.
    left: u64,
    items: VecDeque<(u64, Kept)>,
    /// When the latest event of the frame arrived that these are the rest of.
    arrived: i64,
    reading: Option<Reading>,
    torn: Option<(PathBuf, usize)>,
    /// The last entry that is known: frames behind it may be whole or not, in any order.
    end: u64,
}

/// A segment that is being read.
#[derive(Debug)]
struct Reading {
    path: PathBuf,
    /// The sequence in its name.
    first: u64,
    bytes: Vec<u8>,
    offset: usize,
    is_last: bool,
}

impl KeptEvents {
    /// Everything that is kept in this data directory. Nothing, if nothing is.
    ///
    /// # Errors
    ///
    /// If the folder cannot be read.
    pub fn open(directory: &Path) -> Result<Self, ReadError> {
        Self::open_from(directory, 0)
    }

    /// The same from the segment on that has this sequence: what is given first may be of
    /// earlier events.
    ///
    /// # Errors
    ///
    /// If the folder cannot be read.
    pub fn open_from(directory: &Path, sequence: u64) -> Result<Self, ReadError> {
        let folder = directory.join(FOLDER);
        let io = |source| ReadError::Io { path: folder.clone(), source };
        let mut segments = Vec::new();
        match fs::read_dir(&folder) {
            Ok(items) => {
                for item in items {
                    segments.extend(item.map_err(io)?.file_name().to_str().and_then(first_of));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(io(error)),
        }
        segments.sort_unstable_by(|one, other| other.cmp(one));
        if let Some(at) = segments.iter().position(|first| *first <= sequence) {
            segments.truncate(at + 1);
        }
        let sizes = segments.iter().filter_map(|first| fs::metadata(folder.join(name_of(*first))).ok());
        let left = sizes.map(|metadata| metadata.len()).sum();
        let (items, reading, torn) = (VecDeque::new(), None, None);
        Ok(KeptEvents { folder, segments, left, items, arrived: i64::MIN, reading, torn, end: u64::MAX })
    }

    /// The same where the journal ends with this entry: what is behind it and not whole is
    /// what an interrupted process left.
    pub(crate) fn until(self, end: u64) -> Self {
        KeptEvents { end, ..self }
    }

    /// Bytes on the disk that are not read yet.
    pub fn bytes(&self) -> u64 {
        self.left
    }

    /// The file that is being read.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.reading.as_ref().map(|reading| &*reading.path)
    }

    /// When the latest event of the frame arrived that the one given last was the last of.
    pub(crate) fn frame_ended(&self) -> Option<i64> {
        self.items.is_empty().then_some(self.arrived)
    }

    /// Where the last segment ends with something that is no whole frame, once that was
    /// come to.
    pub(crate) fn torn(&self) -> Option<(&Path, usize)> {
        self.torn.as_ref().map(|(path, offset)| (&**path, *offset))
    }

    /// Reads the next frame; `false` if there is none.
    fn load(&mut self) -> Result<bool, ReadError> {
        loop {
            let Some(reading) = &mut self.reading else {
                let Some(first) = self.segments.pop() else { return Ok(false) };
                let path = self.folder.join(name_of(first));
                let bytes = match read_segment(&path) {
                    // Its time was over in the meantime.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    read => read.map_err(|source| ReadError::Io { path: path.clone(), source })?,
                };
                self.left = self.left.saturating_sub(bytes.len() as u64);
                self.reading = Some(Reading { path, first, bytes, offset: 0, is_last: self.segments.is_empty() });
                continue;
            };
            let frame = match Frame::at(&reading.bytes, reading.offset) {
                Some(frame) => frame,
                // Begun, and nothing was written to it.
                None if reading.offset == 0 => Err(FrameFault::None),
                None => {
                    self.reading = None;
                    continue;
                }
            };
            let read = frame.and_then(|frame| {
                if reading.offset == 0 && frame.first != reading.first {
                    return Err(FrameFault::Name);
                }
                let items = frame.items(&reading.bytes)?;
                reading.offset = frame.place.end;
                Ok((items, frame.arrived))
            });
            match read {
                Ok((items, arrived)) => {
                    self.items.extend(items);
                    self.arrived = arrived;
                    return Ok(true);
                }
                Err(FrameFault::None | FrameFault::Checksum)
                    if reading.is_last && !is_followed(&reading.bytes[reading.offset..], self.end) =>
                {
                    self.torn = Some((reading.path.clone(), reading.offset));
                    self.reading = None;
                }
                Err(fault) => {
                    let error = ReadError::Damaged { path: reading.path.clone(), offset: reading.offset, fault };
                    self.reading = None;
                    return Err(error);
                }
            }
        }
    }
}

/// Whether a whole frame is behind what is no whole one, and not behind the last entry:
/// then that was not being written.
fn is_followed(bytes: &[u8], end: u64) -> bool {
    let is_known = |at| Frame::at(bytes, at).is_some_and(|frame| frame.is_ok_and(|frame| frame.first <= end));
    memchr::memmem::find_iter(bytes, MAGIC).any(is_known)
}

/// A segment's bytes, as far as they can be those of one.
fn read_segment(path: &Path) -> io::Result<Vec<u8>> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() || metadata.len() > BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is no file, or larger than a segment can be"));
    }
    fs::read(path)
}

impl Iterator for KeptEvents {
    type Item = Result<(u64, Kept), ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.items.is_empty() {
            match self.load() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => return Some(Err(error)),
            }
        }
        self.items.pop_front().map(Ok)
    }
}
