//! A runtime beside others, and events on their way through it: enough of them at a time
//! to keep it busy, never more than a bound.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::BacktestError;
use crate::digest::Digest;
use crate::event::Event;
use crate::ledger::{self, Log};
use crate::policy::{Grant, Release};
use crate::reference::List;
use crate::runtime::{self, Answer, By, Judged, LoadError, Offer, Pending, Runtime, TakeOverError};
use crate::sandbox;

/// Events and bytes that are submitted together.
const GROUP_EVENTS: usize = 1_024;
const GROUP_BYTES: usize = 1 << 20;

/// Groups that are on their way: several batches, so that the next is there when one is
/// done.
const GROUPS_MAX: usize = 64;

/// What a runtime is made of that is fed with events of another time.
#[derive(Debug, Clone)]
pub struct Ground {
    /// What decides has to be as it was for the server.
    pub spine: runtime::Limits,
    /// Nothing is kept of the events beside their entries, whatever this says.
    pub ledger: ledger::Limits,
    /// What a policy may use.
    pub sandbox: sandbox::Limits,
    /// The `ephor` binary, which loads components.
    pub worker: PathBuf,
    /// Where compiled code is kept.
    pub cache: Option<PathBuf>,
}

/// Where verdict events come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VerdictEvents {
    /// They are pushed where they were recorded.
    Given,
    /// They are made, behind the group of the events that they are about: groups are never
    /// judged together then, so that the same events give the same order again.
    Made,
}

/// What came of the events that were submitted.
#[derive(Debug, Default)]
pub struct Came {
    /// Judged for the first time.
    pub judged: u64,
    /// Sent before with the same bytes.
    pub duplicates: u64,
    /// Not taken.
    pub refused: u64,
    /// Event and reason of the first one, as its source wrote them.
    pub first_refusal: Option<String>,
}

/// A runtime that is being fed.
pub struct Drive {
    runtime: Runtime,
    ground: Ground,
    data: PathBuf,
    group: Vec<Event>,
    group_bytes: usize,
    group_events_max: usize,
    verdicts: VerdictEvents,
    pending: VecDeque<Pending>,
    /// What came of the events so far.
    pub came: Came,
}

impl Drive {
    /// Starts a runtime on a data directory. `started` is when it counts as started
    /// (microseconds since 1970); without it, it goes on where an interrupted replay
    /// ended, with the releases that were in force there. `grant` says what a publisher
    /// may see.
    ///
    /// # Errors
    ///
    /// If the machine does not give what it needs, or the directory cannot be taken up.
    pub async fn start(
        ground: &Ground,
        data: &Path,
        started: Option<i64>,
        verdicts: VerdictEvents,
        grant: impl Fn(&Runtime, &str) -> Option<Grant>,
    ) -> Result<Self, BacktestError> {
        let mut ground = ground.clone();
        // Today's clock has nothing to say about an archive.
        ground.spine.heartbeats.clear();
        // The archive is kept where it is.
        ground.ledger.events = ledger::Keep::Digest;
        // A batch does not cut what was submitted together.
        let group_events_max = GROUP_EVENTS.min(ground.spine.batch_events_max);
        let mut spine = ground.spine.clone();
        if verdicts == VerdictEvents::Made {
            spine.batch_events_max = 1;
        }
        let builder = Runtime::builder().spine(spine).ledger(ground.ledger.clone()).sandbox(ground.sandbox.clone()).data(data);
        let builder = builder.worker(&ground.worker);
        let builder = match &ground.cache {
            Some(cache) => builder.cache(cache),
            None => builder,
        };
        let builder = match verdicts {
            VerdictEvents::Given => builder.verdict_events_given(),
            VerdictEvents::Made => builder,
        };
        let runtime = builder.replays(started).build()?;
        let goes_on = started.is_none();
        let granted = |publisher: Option<&str>| match publisher {
            Some(publisher) => grant(&runtime, publisher),
            None => goes_on.then(Grant::development),
        };
        runtime.restore(granted).await.map_err(BacktestError::Restore)?;
        Ok(Drive {
            runtime,
            data: data.to_path_buf(),
            group: Vec::new(),
            group_bytes: 0,
            group_events_max,
            verdicts,
            pending: VecDeque::new(),
            came: Came::default(),
            ground,
        })
    }

    /// What is recorded.
    ///
    /// # Errors
    ///
    /// If it keeps none, which a runtime with a data directory does not do.
    pub fn log(&self) -> Result<Arc<Log>, BacktestError> {
        self.runtime.log().cloned().ok_or_else(|| BacktestError::Stopped("the runtime keeps no ledger".into()))
    }

    /// Takes the next event. Whether others went on their way with it.
    ///
    /// # Errors
    ///
    /// If the runtime takes nothing any more.
    pub async fn push(&mut self, event: Event) -> Result<bool, BacktestError> {
        self.group_bytes += event.size();
        self.group.push(event);
        let full = self.group.len() >= self.group_events_max || self.group_bytes >= GROUP_BYTES;
        if full {
            self.flush().await?;
        }
        Ok(full)
    }

    /// Submits what was pushed.
    ///
    /// # Errors
    ///
    /// If the runtime takes nothing any more.
    pub async fn flush(&mut self) -> Result<(), BacktestError> {
        if self.group.is_empty() {
            return Ok(());
        }
        while self.pending.len() >= GROUPS_MAX {
            self.answer().await?;
        }
        self.group_bytes = 0;
        let group = std::mem::take(&mut self.group);
        match self.runtime.submit(group).await {
            Ok(pending) => self.pending.push_back(pending),
            Err(_) => return Err(self.stopped()),
        }
        Ok(())
    }

    /// Waits for the answers to the group that was submitted first.
    async fn answer(&mut self) -> Result<(), BacktestError> {
        let Some(pending) = self.pending.pop_front() else { return Ok(()) };
        let Ok(Judged { events, answers }) = pending.await else { return Err(self.stopped()) };
        for (event, answer) in events.iter().zip(answers) {
            match answer {
                Answer::Judged(_) => self.came.judged += 1,
                Answer::Again(_) => self.came.duplicates += 1,
                Answer::Refused(refusal) => {
                    self.came.refused += 1;
                    let first = || format!("event {} of {}: {refusal}", event.id(), event.source());
                    self.came.first_refusal.get_or_insert_with(first);
                }
            }
        }
        Ok(())
    }

    /// Waits until everything that was pushed is judged and durable, and the verdict events
    /// about it as well.
    ///
    /// # Errors
    ///
    /// If the runtime takes nothing any more.
    pub async fn settle(&mut self) -> Result<(), BacktestError> {
        self.flush().await?;
        while !self.pending.is_empty() {
            self.answer().await?;
        }
        self.runtime.catch_up().await.map_err(|_| self.stopped())
    }

    /// Puts a release in force, behind every event that was pushed before. It counts as
    /// put in force at the beginning of time: nothing depends on when a replay is made.
    ///
    /// # Errors
    ///
    /// Why it is not taken.
    pub async fn install(&mut self, offer: Offer) -> Result<Arc<Release>, BacktestError> {
        self.flush().await?;
        let by = By { at: Some(0), ..By::new("replay") };
        let swaps = self.runtime.publish(vec![offer], by).await?;
        let policy = swaps.first().map(|swap| swap.policy.as_str()).unwrap_or_default();
        let standing = self.runtime.policies().into_iter().find(|standing| standing.release.policy() == policy);
        Ok(standing.map(|standing| standing.release).ok_or(LoadError::NotInForce { name: policy.to_string() })?)
    }

    /// Records an entry of the recorded ledger that does not follow from events, behind
    /// every event that was pushed before.
    ///
    /// # Errors
    ///
    /// If it is none of those, or the runtime takes nothing any more.
    pub async fn take_over(&mut self, line: &str) -> Result<(), BacktestError> {
        self.flush().await?;
        match self.runtime.take_over(line).await {
            Ok(_) => Ok(()),
            Err(TakeOverError::Stopped(_)) => Err(self.stopped()),
            Err(error) => Err(BacktestError::Entry { line: line.to_string(), error }),
        }
    }

    /// Whether a release of this component and these settings is in force, whose lists are
    /// among these.
    pub fn judges_with(&self, component: &[u8], settings: &[u8], lists: &[Arc<List>]) -> bool {
        let (component, settings) = (Digest::of(component), Digest::of(settings));
        self.runtime.policies().iter().any(|standing| {
            let Release { component: of, settings: with, lists: bound, .. } = &*standing.release;
            let has = |digest: &Digest| lists.iter().any(|list| list.digest() == *digest);
            (*of, *with) == (component, settings) && bound.iter().all(|list| has(&list.digest))
        })
    }

    /// The runtime.
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// Starts the runtime again, at that time: only what is published is in force then.
    ///
    /// # Errors
    ///
    /// As [`Drive::start`] has them.
    pub async fn reopen(mut self, started: i64, grant: impl Fn(&Runtime, &str) -> Option<Grant>) -> Result<Self, BacktestError> {
        self.settle().await?;
        let Drive { runtime, ground, data, verdicts, came, .. } = self;
        runtime.close().await;
        let drive = Drive::start(&ground, &data, Some(started), verdicts, grant).await?;
        Ok(Drive { came, ..drive })
    }

    /// Waits for everything, and ends the runtime.
    ///
    /// # Errors
    ///
    /// If the runtime took nothing any more.
    pub async fn finish(mut self) -> Result<Came, BacktestError> {
        self.settle().await?;
        let Drive { runtime, came, .. } = self;
        runtime.close().await;
        Ok(came)
    }

    /// Ends the runtime, whatever is on its way.
    pub async fn abandon(self) {
        let Drive { runtime, pending, .. } = self;
        drop(pending);
        runtime.close().await;
    }

    /// Why the runtime takes nothing any more.
    fn stopped(&self) -> BacktestError {
        BacktestError::Stopped(self.runtime.failure().unwrap_or("the runtime stopped; the log says why").to_string())
    }
}
