//! Back-tests: what would have been said, had another release been in force.
//!
//! Recorded events are judged again by a runtime that has nothing else to do
//! ([`drive`]), and what comes out is compared with what was recorded, or with what a
//! second runtime says of the same events ([`side`], [`counter`]). `ephor replay` feeds
//! two sides from files; a server ([`Backtests`]) feeds them from what its ledger keeps,
//! beside the live runtime.
//!
//! A back-test must not slow live events down. So it has threads of its own, all of them
//! at the lowest priority that the system has (`nice` 19, which a thread hands on to those
//! that it starts, and to the child processes that load components): the scheduler gives
//! them what nobody else wants. It judges with one thread, does not wait for the disk with
//! every commit, and keeps in memory no more than the groups of events that are on their
//! way. Its ledgers are in a folder of its own and are deleted when it ends. What it asks
//! of the live runtime is to read what is durable.

mod counter;
mod drive;
mod job;
mod judge;
mod known;
mod limits;
mod plan;
mod report;
mod run;
mod side;
mod store;
#[cfg(test)]
mod testing;
mod timeline;

pub use counter::Counter;
pub use drive::{Came, Drive, Ground, VerdictEvents};
pub use job::{Done, Job, State, Status};
pub use known::KnownRelease;
pub use limits::Limits;
pub use plan::{Against, Change, End, Request};
pub use report::{Example, Found, Kinds, Named, Report, Rule, Sides, Transition};
pub use run::Backtests;
pub use side::{Moment, Side};
pub use timeline::{Part, Timeline};

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::archive::ArchiveError;
use crate::ledger::OpenError;
use crate::runtime::{BuildError, LoadError, TakeOverError};

/// A back-test or a replay does not go on.
#[derive(Debug, thiserror::Error)]
pub enum BacktestError {
    /// The runtime cannot be started.
    #[error("cannot start the runtime: {0}")]
    Build(#[from] BuildError),
    /// The directory of the new ledger is of no use.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// What was in force in an interrupted replay is not taken up.
    #[error("cannot take up the releases that were in force: {0}")]
    Restore(LoadError),
    /// A release is not taken.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The runtime ended.
    #[error("{0}")]
    Stopped(String),
    /// An entry cannot be taken over.
    #[error("{error}: {line}")]
    Entry {
        /// The entry.
        line: String,
        /// Why.
        error: TakeOverError,
    },
    /// What was recorded cannot be read.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The sides differ in more than what was said.
    #[error("the two sides have not recorded the same events")]
    Other,
    /// Nothing can be judged again.
    #[error(
        "no events are kept, so none can be judged again: set ledger.events = \"full\", or {{ days = 30 }}, in the configuration; events \
         that come from then on are kept"
    )]
    NothingKept,
    /// Nothing of the period can be.
    #[error("of the {0} events of this period no more than the digest is kept, so none of them can be judged again")]
    PeriodNotKept(u64),
    /// There is no event in the period.
    #[error("there is no event in this period")]
    Empty,
    /// There are too many.
    #[error("{events} events are to be judged, and at most {max} may be (backtests.events-max); choose a shorter period")]
    TooMany {
        /// How many there are, at least.
        events: u64,
        /// How many may be.
        max: u64,
    },
    /// What is said of the period is no end of one.
    #[error("{0}")]
    NoEnd(String),
    /// There is no such policy or release here.
    #[error("{0}")]
    Unknown(String),
    /// The component is another policy.
    #[error("the component is the policy {found}, not {expected}")]
    Name {
        /// What was asked for.
        expected: String,
        /// What it is.
        found: String,
    },
    /// Too many wait.
    #[error("{0} back-tests wait already; try again when one of them is done")]
    Full(usize),
    /// The disk does not do it.
    #[error("{doing} failed: {source}")]
    Disk {
        /// What.
        doing: &'static str,
        /// What the system says.
        source: std::io::Error,
    },
    /// Somebody ended it.
    #[error("cancelled")]
    Cancelled,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
