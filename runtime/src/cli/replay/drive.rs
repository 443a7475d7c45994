//! A runtime in this process, and events on their way through it: enough of them at a
//! time to keep it busy, never more than a bound.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use ephor::event::Event;
use ephor::ledger::Log;
use ephor::policy::Release;
use ephor::runtime::{Judged, Pending};
use ephor::{Candidate, Config, Runtime};

use super::shelf::Parts;
use crate::cli::exit::{Exit, Failed, Or as _, Outcome, failed};
use crate::cli::{local, table};

/// Events and bytes that are submitted together.
const GROUP_EVENTS: usize = 256;
const GROUP_BYTES: usize = 1 << 20;

/// Groups that are on their way: several batches, so that the next is there when one is
/// done.
const GROUPS_MAX: usize = 64;

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
    pending: VecDeque<Pending>,
    pub came: Came,
}

impl Drive {
    /// Starts a runtime on a data directory.
    pub fn start(config: &Config, cache: Option<&Path>, data: &Path) -> Outcome<Self> {
        let cache = cache.map(Path::to_path_buf);
        let runtime = local::runtime(config, cache.clone(), Some(data.to_path_buf()))?;
        Ok(Drive {
            runtime,
            config: config.clone(),
            cache,
            data: data.to_path_buf(),
            group: Vec::new(),
            group_bytes: 0,
            // A batch does not cut what was submitted together.
            group_events_max: GROUP_EVENTS.min(config.spine.batch_events_max),
            pending: VecDeque::new(),
            came: Came::default(),
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

    async fn flush(&mut self) -> Outcome {
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

    /// Waits until everything that was pushed is judged and durable.
    pub async fn settle(&mut self) -> Outcome {
        self.flush().await?;
        while !self.pending.is_empty() {
            self.answer().await?;
        }
        Ok(())
    }

    /// Puts a release in force, behind every event that was pushed before.
    pub async fn install(&mut self, parts: Parts) -> Outcome<Arc<Release>> {
        self.flush().await?;
        let Parts { file, component, settings, lists } = parts;
        let candidate = Candidate { spare: lists, ..Candidate::new(component, settings) };
        let swap = self.runtime.put(None, candidate).await;
        let swap = swap.with_context(|| format!("{} is not taken", file.display())).or_exit(Exit::Refused)?;
        let standing = self.runtime.policies().into_iter().find(|standing| standing.release.policy() == swap.policy);
        standing
            .map(|standing| standing.release)
            .ok_or_else(|| failed(Exit::Failed, format!("{} is not in force", table::plain(&swap.policy))))
    }

    /// Takes a policy out of force, behind every event that was pushed before.
    pub async fn remove(&mut self, policy: &str) -> Outcome {
        self.flush().await?;
        self.runtime.remove(policy).await.map(drop).with_context(|| format!("cannot take {} out of force", table::plain(policy)))?;
        Ok(())
    }

    /// Starts the runtime again, without any policies: their states stay.
    pub async fn reopen(mut self) -> Outcome<Self> {
        self.settle().await?;
        let Drive { runtime, config, cache, data, came, .. } = self;
        runtime.close().await;
        let drive = Drive::start(&config, cache.as_deref(), &data)?;
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
