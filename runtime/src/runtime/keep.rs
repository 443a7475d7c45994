//! The thread that keeps what came in: judged batches go through here on their way to the
//! thread that commits them, where the content of events is kept at all.
//!
//! Before it, not beside it: content is durable when its entry is written, so there is no
//! entry without. The two threads work at the same time, on different batches.

use std::sync::mpsc::{Receiver, SyncSender};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use super::admit::Slot;
use super::commit::Work;
use crate::ledger::kept::{WriteError, Writer};
use crate::stats::Stats;

/// Bytes of events that share a sync, about.
const GROUP_BYTES_MAX: usize = 8 << 20;

/// Keeps content. What it is given goes on to the next, in the same order, once its
/// content is durable.
pub(super) struct Keeping {
    writer: Writer,
    next: SyncSender<Work>,
    stats: Arc<Stats>,
    failure: Arc<OnceLock<String>>,
}

impl Keeping {
    pub fn new(writer: Writer, next: SyncSender<Work>, stats: Arc<Stats>, failure: Arc<OnceLock<String>>) -> Self {
        Keeping { writer, next, stats, failure }
    }

    /// Ends when nobody can give it anything any more, when nobody takes anything from
    /// it, or when something cannot be written; then `failure` says what.
    pub fn run(mut self, receiver: &Receiver<Work>) {
        while let Ok(first) = receiver.recv() {
            if self.turn(vec![first], receiver).is_none() {
                return;
            }
        }
    }

    /// Keeps what waits and hands it on. Nothing, if that is the end.
    pub fn turn(&mut self, mut group: Vec<Work>, receiver: &Receiver<Work>) -> Option<()> {
        if let Err(error) = self.keep_all(&mut group, receiver) {
            // Known before whoever waits is let go and asks why.
            if self.failure.set(error.to_string()).is_ok() {
                tracing::error!(%error, "Events cannot be kept; nothing is taken any more");
            }
            return None;
        }
        for work in group {
            self.next.send(work).ok()?;
        }
        Some(())
    }

    /// Makes the content of what waits durable, with one sync.
    fn keep_all(&mut self, group: &mut Vec<Work>, receiver: &Receiver<Work>) -> Result<(), WriteError> {
        let began = Instant::now();
        let mut bytes = 0;
        for work in group.iter() {
            bytes += self.keep(work)?;
        }
        while bytes < GROUP_BYTES_MAX
            && let Ok(work) = receiver.try_recv()
        {
            // It is with the others first: whoever waits for it is let go with them.
            group.push(work);
            bytes += group.last().map_or(Ok(0), |work| self.keep(work))?;
        }
        if bytes > 0 {
            self.writer.sync()?;
            self.stats.stage("keep", began, None);
            let ended = Instant::now();
            for way in group.iter_mut().filter_map(|work| work.way.as_deref_mut()) {
                way.stage("keep", began, ended);
                // From then on it waits for the next thread.
                way.handed = Some(ended);
            }
        }
        Ok(())
    }

    /// Writes the content of a batch's new events. Gives its bytes.
    fn keep(&mut self, work: &Work) -> Result<usize, WriteError> {
        if work.ends_segment {
            self.writer.end_segment()?;
        }
        let mut bytes = 0;
        for waiting in &work.submissions {
            let new = waiting.slots.iter().zip(&waiting.submission.events).filter(|(slot, _)| **slot == Slot::New);
            for ((sequence, _), (_, event)) in waiting.verdicts.iter().zip(new) {
                let content = event.content();
                bytes += content.size();
                self.writer.push(*sequence, event.arrived.unwrap_or_default(), &content)?;
            }
        }
        self.writer.write()?;
        Ok(bytes)
    }
}
