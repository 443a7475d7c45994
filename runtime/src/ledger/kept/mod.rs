//! The content of events, kept apart from their entries, so that it can be erased while
//! the entries, and what proves them, stay.
//!
//! Segments of frames ([`frame`]), each frame with the events of one batch. A batch's
//! frame is durable before its entries are written, so an entry's event is there, or an
//! entry says why not: what is kept stands in the ledger (`keep`), and so does every
//! erasure. Nothing else is needed to know what has to be here.
//!
//! `FORMAT.md` has the bytes. [`Writer`] appends, [`Archive`] reads and erases,
//! [`KeptEvents`] reads a directory beside whoever writes to it.

mod account;
mod erase;
mod frame;
mod read;
#[cfg(test)]
mod tests;
mod write;

use std::io;
use std::sync::Arc;

use super::storage::Storage;
use crate::content::Content;

pub(crate) use account::Account;
pub(super) use erase::{ERASED, read_erased};
pub(crate) use erase::{Erasure, Expired};
pub use frame::FrameFault;
pub use read::{KeptEvents, ReadError};
pub(crate) use write::{WriteError, Writer};

/// The folder in a data directory.
pub(crate) const FOLDER: &str = "events";

/// How the names of segments end.
const ENDING: &str = ".kept";

/// A segment takes no further frame once it has so many bytes: a read takes a whole
/// segment into memory, and an erasure writes it anew.
const SEGMENT_BYTES: u64 = 16 << 20;

/// What to do about a segment that cannot be read.
const REMEDY: &str = "put the file back from a copy and remove events/erased, so that erasures are carried out on the copy too";

/// What is kept of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kept {
    /// All of it.
    Content(Content<'static>),
    /// Nothing any more.
    Erased {
        /// The sequence of the entry that says so.
        by: u64,
    },
}

/// What goes into a frame.
#[derive(Clone, Copy)]
enum Packed<'a> {
    Content(&'a Content<'a>),
    Erased(u64),
}

impl<'a> From<&'a Kept> for Packed<'a> {
    fn from(kept: &'a Kept) -> Self {
        match kept {
            Kept::Content(content) => Packed::Content(content),
            Kept::Erased { by } => Packed::Erased(*by),
        }
    }
}

/// The name of the segment that begins with this sequence.
fn name_of(first: u64) -> String {
    format!("{first:020}{ENDING}")
}

/// The sequence that a segment begins with, by its name; nothing for any other name.
fn first_of(name: &str) -> Option<u64> {
    let first = name.strip_suffix(ENDING)?.parse().ok()?;
    (*name == name_of(first)).then_some(first)
}

/// Whether a file of this name is a segment.
pub(super) fn is_segment(name: &str) -> bool {
    first_of(name).is_some()
}

fn path_of(first: u64) -> String {
    format!("{FOLDER}/{}", name_of(first))
}

/// The sequences that segments begin with, in order. None where there is no folder.
fn segments(storage: &dyn Storage) -> io::Result<Vec<u64>> {
    let names = match storage.list(FOLDER) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut segments: Vec<u64> = names.iter().filter_map(|name| first_of(name)).collect();
    segments.sort_unstable();
    Ok(segments)
}

/// Reading and erasing in a data directory that is open. Cheap to clone; segments that are
/// written to are read by it, and never changed.
#[derive(Debug, Clone)]
pub(crate) struct Archive {
    storage: Arc<dyn Storage>,
}
