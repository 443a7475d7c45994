//! Sums over the ledger, for people who look: verdicts over time, findings by rule, the
//! latest of everything, and which subjects they were about.
//!
//! A thread of its own reads the durable entries, in their order, behind everybody else
//! (`follow`). Of an entry without findings it looks at a few bytes, and reads the others
//! whole (`count`). What it keeps is bounded, whatever comes (`sums`): the numbers below
//! are all that there can be. It begins at most [`BACK_MAX`] entries before the end and
//! says from which one on it has counted, and how far.
//!
//! Nothing here is evidence and nothing waits for it.

mod count;
mod follow;
mod recent;
mod sums;

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::watch;

use crate::ledger::Log;

pub use recent::Recent;
pub use sums::{Brief, Counts, Gap, Moved, Resolution, RuleKey, RuleSum, SubjectKey, SubjectSum, Sums};

/// Entries that are counted again at a start, at most. What is older is in the ledger.
pub const BACK_MAX: u64 = 1_000_000;

/// What has been counted so far, of one ledger.
#[derive(Debug)]
pub struct Overview {
    sums: RwLock<Sums>,
    ended: AtomicBool,
}

impl Overview {
    /// Begins to count, in a thread that ends with the last handle, or with the ledger.
    ///
    /// # Errors
    ///
    /// If the system gives no thread.
    pub fn start(log: Arc<Log>, durable: watch::Receiver<u64>) -> io::Result<Arc<Self>> {
        let overview = Arc::new(Overview { sums: RwLock::new(Sums::default()), ended: AtomicBool::new(false) });
        follow::start(Arc::downgrade(&overview), log, durable)?;
        Ok(overview)
    }

    /// Looks at the sums. Counting waits meanwhile, so look shortly.
    pub fn look<T>(&self, look: impl FnOnce(&Sums) -> T) -> T {
        look(&self.sums.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether nothing more is counted: the ledger was closed, or cannot be read.
    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }
}
