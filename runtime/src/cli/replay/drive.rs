//! A runtime in this process, and events on their way through it: enough of them at a
//! time to keep it busy, never more than a bound.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use ephor::digest::Digest;
use ephor::event::Event;
use ephor::ledger::Log;
use ephor::policy::{Bound, Grant, Release};
use ephor::runtime::{By, Judged, Offer, Pending, TakeOverError};
use ephor::{Config, Runtime};

use super::shelf::Parts;
use crate::cli::exit::{Exit, Failed, Or as _, Outcome, failed};
use crate::cli::{local, table};

/// Events and bytes that are submitted together.
const GROUP_EVENTS: usize = 1_024;
const GROUP_BYTES: usize = 1 << 20;

/// Groups that are on their way: several batches, so that the next is there when one is
/// done.
const GROUPS_MAX: usize = 64;

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
    pub judged: u64,
    /// Sent before with the same bytes.
    pub duplicates: u64,
    /// Not taken.
    pub refused: u64,
    /// Event and reason of the first one.
    pub first_refusal: Option<String>,
}

/// A runtime that is being fed.
pub struct Drive {
    runtime: Runtime,
    config: Config,
    cache: Option<PathBuf>,
    data: PathBuf,
    group: Vec<Event>,
    group_bytes: usize,
    group_events_max: usize,
    verdicts: VerdictEvents,
    pending: VecDeque<Pending>,
    pub came: Came,
}

impl Drive {
    /// Starts a runtime on a data directory. `started` is when it counts as started
    /// (microseconds since 1970); without it, it goes on where an interrupted replay
    /// ended, with the releases that were in force there.
    pub async fn start(config: &Config, cache: Option<&Path>, data: &Path, started: Option<i64>, verdicts: VerdictEvents) -> Outcome<Self> {
        let cache = cache.map(Path::to_path_buf);
        // Today's clock has nothing to say about an archive.
        let mut config = config.clone();
        config.spine.heartbeats.clear();
        // The archive is kept where it is.
        config.ledger.events = ephor::ledger::Keep::Digest;
        // A batch does not cut what was submitted together.
        let group_events_max = GROUP_EVENTS.min(config.spine.batch_events_max);
        let mut alone = config.clone();
        if verdicts == VerdictEvents::Made {
            alone.spine.batch_events_max = 1;
        }
        let builder = local::builder(&alone, cache.clone(), Some(data.to_path_buf()))?;
        let builder = match verdicts {
            VerdictEvents::Given => builder.verdict_events_given(),
            VerdictEvents::Made => builder,
        };
        let runtime = builder.replays(started).build().context("cannot start the runtime").or_exit(Exit::Failed)?;
        let goes_on = started.is_none();
        let grant = |publisher: Option<&str>| match publisher {
            Some(publisher) => local::grant(&runtime, &config, publisher),
            None => goes_on.then(Grant::development),
        };
        runtime.restore(grant).await.context("cannot take up the releases that were in force").or_exit(Exit::Failed)?;
        Ok(Drive {
            runtime,
            cache,
            data: data.to_path_buf(),
            group: Vec::new(),
            group_bytes: 0,
            group_events_max,
            verdicts,
            pending: VecDeque::new(),
            came: Came::default(),
            config,
        })
    }

    /// What is recorded.
    pub fn log(&self) -> Outcome<Arc<Log>> {
        let log = self.runtime.log().cloned();
        log.ok_or_else(|| failed(Exit::Failed, "the runtime keeps no ledger"))
    }

    /// Takes the next event. Whether others went on their way with it.
    pub async fn push(&mut self, event: Event) -> Outcome<bool> {
        self.group_bytes += event.size();
        self.group.push(event);
        let full = self.group.len() >= self.group_events_max || self.group_bytes >= GROUP_BYTES;
        if full {
            self.flush().await?;
        }
        Ok(full)
    }

    /// Submits what was pushed.
    pub async fn flush(&mut self) -> Outcome {
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
    async fn answer(&mut self) -> Outcome {
        let Some(pending) = self.pending.pop_front() else { return Ok(()) };
        let Ok(Judged { events, answers }) = pending.await else { return Err(self.stopped()) };
        for (event, answer) in events.iter().zip(answers) {
            match answer {
                ephor::runtime::Answer::Judged(_) => self.came.judged += 1,
                ephor::runtime::Answer::Again(_) => self.came.duplicates += 1,
                ephor::runtime::Answer::Refused(refusal) => {
                    self.came.refused += 1;
                    let event = format!("event {} of {}", table::plain(event.id()), table::plain(event.source()));
                    self.came.first_refusal.get_or_insert_with(|| format!("{event}: {refusal}"));
                }
            }
        }
        Ok(())
    }

    /// Waits until everything that was pushed is judged and durable, and the verdict events
    /// about it as well.
    pub async fn settle(&mut self) -> Outcome {
        self.flush().await?;
        while !self.pending.is_empty() {
            self.answer().await?;
        }
        self.runtime.catch_up().await.map_err(|_| self.stopped())
    }

    /// Puts a release in force, behind every event that was pushed before. It counts as
    /// put in force at the beginning of time: nothing depends on when a replay is made.
    pub async fn install(&mut self, parts: Parts) -> Outcome<Arc<Release>> {
        self.flush().await?;
        let Parts { file, component, settings, lists } = parts;
        let offer = Offer { spare: lists, ..Offer::development(component.into(), settings.into()) };
        let by = By { at: Some(0), ..By::new("replay") };
        let swaps = self.runtime.publish(vec![offer], by).await;
        let swaps = swaps.with_context(|| format!("{} is not taken", file.display())).or_exit(Exit::Refused)?;
        let policy = swaps.first().map(|swap| swap.policy.as_str()).unwrap_or_default();
        let standing = self.runtime.policies().into_iter().find(|standing| standing.release.policy() == policy);
        standing.map(|standing| standing.release).ok_or_else(|| failed(Exit::Failed, format!("{} is not in force", table::plain(policy))))
    }

    /// Records an entry of the recorded ledger that does not follow from events, behind
    /// every event that was pushed before.
    pub async fn take_over(&mut self, line: &str) -> Outcome {
        self.flush().await?;
        match self.runtime.take_over(line).await {
            Ok(_) => Ok(()),
            Err(TakeOverError::Stopped(_)) => Err(self.stopped()),
            Err(error) => Err(failed(Exit::Refused, format!("{error}: {}", table::plain(line)))),
        }
    }

    /// Whether a release is in force.
    pub fn judges_with(&self, parts: &Parts) -> bool {
        let (component, settings) = (Digest::of(&parts.component), Digest::of(&parts.settings));
        let has = |list: &Bound| parts.lists.iter().any(|spare| spare.digest() == list.digest);
        self.runtime.policies().iter().any(|standing| {
            let Release { component: of, settings: with, lists, .. } = &*standing.release;
            (*of, *with) == (component, settings) && lists.iter().all(has)
        })
    }

    /// What a publisher was granted, as far as the configuration says.
    pub fn grant(&self, publisher: &str) -> Option<Grant> {
        local::grant(&self.runtime, &self.config, publisher)
    }

    /// The runtime.
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// Starts the runtime again, at that time: only what is published is in force then.
    pub async fn reopen(mut self, started: i64) -> Outcome<Self> {
        self.settle().await?;
        let Drive { runtime, config, cache, data, verdicts, came, .. } = self;
        runtime.close().await;
        let drive = Drive::start(&config, cache.as_deref(), &data, Some(started), verdicts).await?;
        Ok(Drive { came, ..drive })
    }

    /// Waits for everything, and ends the runtime.
    pub async fn finish(mut self) -> Outcome<Came> {
        self.settle().await?;
        let Drive { runtime, came, .. } = self;
        runtime.close().await;
        Ok(came)
    }

    /// Why the runtime takes nothing any more.
    fn stopped(&self) -> Failed {
        failed(Exit::Failed, self.runtime.failure().unwrap_or("the runtime stopped; the log says why"))
    }
}
