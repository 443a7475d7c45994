//! One side of a back-test: a runtime with its releases, and what it has recorded so far,
//! event by event.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use tracing::instrument::WithSubscriber as _;
use tracing::subscriber::NoSubscriber;

use super::BacktestError;
use super::drive::{Came, Drive, Ground, VerdictEvents};
use crate::archive::{ArchiveError, source_of};
use crate::event::Event;
use crate::ledger::{self, LogError};
use crate::policy::Release;
use crate::reserved;
use crate::runtime::Offer;

/// An event's entry and those before it.
#[derive(Debug, Default)]
pub struct Moment {
    /// What was recorded since the event before: timers, mostly.
    pub timers: Vec<String>,
    /// The event's own entry.
    pub event: String,
}

/// One of two runtimes, or the only one.
pub struct Side {
    drive: Drive,
    /// Its entries as they become durable.
    entries: Box<dyn Iterator<Item = Result<(u64, String), LogError>> + Send>,
    /// Entries before the next event.
    timers: Vec<String>,
    /// What was recorded and not taken yet, in order.
    pub moments: VecDeque<Moment>,
    /// Verdict events that it judged. What was said of them is no moment: they are about
    /// other entries on each side.
    pub own: u64,
    /// Policy and release of what it judges with, by policy.
    pub releases: Vec<(String, String)>,
}

impl Side {
    /// Starts one in a new data directory, with this ledger key or one of its own.
    ///
    /// # Errors
    ///
    /// If the machine does not give what it needs.
    pub async fn start(ground: &Ground, data: &Path, key: Option<&[u8]>, verdicts: VerdictEvents) -> Result<Self, BacktestError> {
        if let Some(key) = key {
            ledger::adopt(data, key)?;
        }
        let starting = Drive::start(ground, data, Some(0), verdicts, |_, _| None);
        // What it says about its ledger is of no interest to whoever reads about another.
        let drive = starting.with_subscriber(NoSubscriber::new()).await?;
        let entries = Box::new(drive.log()?.entries(1));
        Ok(Side { drive, entries, timers: Vec::new(), moments: VecDeque::new(), own: 0, releases: Vec::new() })
    }

    /// Puts a release in force, in the place of one of the same policy.
    ///
    /// # Errors
    ///
    /// Why it is not taken.
    pub async fn install(&mut self, offer: Offer) -> Result<Arc<Release>, BacktestError> {
        let release = self.drive.install(offer).await?;
        self.releases.retain(|(policy, _)| policy != release.policy());
        self.releases.push((release.policy().to_string(), release.id.clone()));
        self.releases.sort();
        Ok(release)
    }

    /// Takes the next event. Whether others went on their way with it.
    ///
    /// # Errors
    ///
    /// If the runtime takes nothing any more.
    pub async fn push(&mut self, event: Event) -> Result<bool, BacktestError> {
        self.drive.push(event).await
    }

    /// Reads what has become durable.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub fn read(&mut self) -> Result<(), BacktestError> {
        for entry in self.entries.by_ref() {
            let (_, line) = entry.map_err(ArchiveError::from)?;
            match source_of(&line) {
                // Each side has its own, about its own verdicts; those are compared.
                Some(source) if reserved::is_own_source(source) => self.own += 1,
                Some(_) => self.moments.push_back(Moment { timers: std::mem::take(&mut self.timers), event: line }),
                None => self.timers.push(line),
            }
        }
        Ok(())
    }

    /// Waits until everything that was pushed is recorded, and reads it.
    ///
    /// # Errors
    ///
    /// If the runtime takes nothing any more.
    pub async fn settle(&mut self) -> Result<(), BacktestError> {
        self.drive.settle().await?;
        self.read()
    }

    /// What came of the events.
    pub fn came(&self) -> &Came {
        &self.drive.came
    }

    /// Waits for everything, and ends the runtime.
    ///
    /// # Errors
    ///
    /// If the runtime took nothing any more.
    pub async fn finish(self) -> Result<Came, BacktestError> {
        let Side { drive, entries, .. } = self;
        drop(entries);
        drive.finish().await
    }

    /// Ends the runtime, whatever is on its way.
    pub async fn abandon(self) {
        let Side { drive, entries, .. } = self;
        drop(entries);
        drive.abandon().await;
    }
}
