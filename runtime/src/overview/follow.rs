//! The thread that reads along.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use tokio::sync::watch;

use super::count::Counter;
use super::{BACK_MAX, Overview};
use crate::ledger::Log;

/// Entries that are counted while nobody can look at the sums.
const TOGETHER: usize = 256;

/// Between two looks for new entries: nobody reads faster, and one look at many entries
/// costs less than many at a few.
const REST: Duration = Duration::from_millis(250);

/// The lowest priority there is (`setpriority`, 2): what is left of a core is enough.
const NICE: i32 = 19;

pub(super) fn start(overview: Weak<Overview>, log: Arc<Log>, durable: watch::Receiver<u64>) -> io::Result<()> {
    let follow = move || {
        // Of this thread only, on Linux. Without it the thread is like any other.
        let _ = rustix::process::setpriority_process(None, NICE);
        run(&overview, &log, &durable);
        if let Some(overview) = overview.upgrade() {
            overview.ended.store(true, Ordering::Relaxed);
        }
    };
    thread::Builder::new().name("overview".to_string()).spawn(follow).map(drop)
}

fn run(overview: &Weak<Overview>, log: &Log, durable: &watch::Receiver<u64>) {
    let mut counter = Counter::new();
    let mut next = log.size().saturating_sub(BACK_MAX) + 1;
    loop {
        let mut lines = log.entries_unchecked(next);
        loop {
            let mut together = Vec::with_capacity(TOGETHER);
            for item in lines.by_ref().take(TOGETHER) {
                match item {
                    Ok(line) => together.push(line),
                    Err(error) => {
                        tracing::error!(%error, "The ledger cannot be read, and the overview ends here");
                        return;
                    }
                }
            }
            let Some((last, _)) = together.last() else { break };
            next = last + 1;
            let Some(overview) = overview.upgrade() else { return };
            let mut sums = overview.sums.write().unwrap_or_else(PoisonError::into_inner);
            for (sequence, line) in &together {
                counter.count(&mut sums, *sequence, line.as_bytes());
            }
        }
        // The sender is gone when the ledger is closed.
        if durable.has_changed().is_err() || overview.strong_count() == 0 {
            return;
        }
        thread::sleep(REST);
    }
}
