//! Reading the ledger along: its entries from any sequence on, as they become durable.
//!
//! Whoever reads has a place in the ledger and nothing else. Nothing is kept for them and
//! nothing waits for them, so a slow reader costs nobody anything and misses nothing.

use std::ops::ControlFlow;
use std::sync::Arc;

use tokio::sync::watch;

use super::Runtime;
use crate::ledger::{Log, LogError};

/// Entries that are looked at in one go, where most are left out.
const LOOKED_AT_MAX: usize = 16 << 10;

/// The ledger's entries from a sequence on ([`Runtime::entries`]). Does not keep the runtime
/// from ending.
#[derive(Debug)]
pub struct Entries {
    log: Arc<Log>,
    durable: watch::Receiver<u64>,
    next: u64,
}

impl Entries {
    pub(super) fn new(log: Arc<Log>, durable: watch::Receiver<u64>, from: u64) -> Self {
        Entries { log, durable, next: from.max(1) }
    }

    /// The sequence that is read next.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Goes back to a sequence that was read already.
    pub(crate) fn back_to(&mut self, sequence: u64) {
        self.next = sequence.min(self.next);
    }

    /// Leaves out what is before a sequence.
    pub(crate) fn on_to(&mut self, sequence: u64) {
        self.next = sequence.max(self.next);
    }

    /// The sequence of the last durable entry.
    pub fn last(&self) -> u64 {
        *self.durable.borrow()
    }

    /// Shows `take` the durable entries in their order, each with its sequence and as a line
    /// without its `\n`, until it has enough or there is a bound to what is read in one go.
    /// Says whether there may be more already. Where this is given up before it has ended,
    /// the same entries come again.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be read; the place stays where it was.
    pub async fn read<T, F>(&mut self, mut into: T, mut take: F) -> Result<(T, bool), LogError>
    where
        T: Send + 'static,
        F: FnMut(&mut T, u64, String) -> ControlFlow<()> + Send + 'static,
    {
        let (log, from) = (self.log.clone(), self.next);
        let read = tokio::task::spawn_blocking(move || {
            let mut next = from;
            for (count, item) in log.entries(from).enumerate() {
                let (sequence, line) = item?;
                next = sequence + 1;
                if take(&mut into, sequence, line).is_break() || count + 1 == LOOKED_AT_MAX {
                    return Ok::<_, LogError>((into, next, true));
                }
            }
            Ok((into, next, false))
        });
        let (into, next, more) = read.await.map_err(|error| LogError::Read(error.to_string()))??;
        self.next = next;
        Ok((into, more))
    }

    /// Waits for the next entry. Says no once the runtime has ended and there is none. May
    /// be given up at any time.
    pub async fn wait(&mut self) -> bool {
        let next = self.next;
        // What is waited for gives out a lock, which must not be held any longer.
        self.durable.wait_for(|durable| *durable >= next).await.is_ok()
    }
}

impl Runtime {
    /// Reads the ledger along from a sequence on: all entries, whatever they are about.
    /// Absent without a data directory.
    pub fn entries(&self, from: u64) -> Option<Entries> {
        Some(Entries::new(self.log()?.clone(), self.durable(), from))
    }
}
