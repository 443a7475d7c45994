//! One back-test, from its first event to its last.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::time::{Duration, Instant};

use super::BacktestError;
use super::counter::Counter;
use super::drive::VerdictEvents;
use super::job::{Done, Job, State};
use super::plan::Plan;
use super::report::Example;
use super::run::Common;
use super::side::{Moment, Side};
use crate::archive::{Occurrence, Period, Recorded};
use crate::reserved::VERDICT_TYPE;

/// Changes that a report has in full.
const EXAMPLES_MAX: usize = 50;

/// The file of a data directory that has the ledger's secret.
const KEY: &str = "ledger.key";

/// Entries between two looks whether somebody wants it to end.
const LOOK_ENTRIES: u64 = 1_024;

/// Between two signs of progress.
const PROGRESS: Duration = Duration::from_millis(200);

/// An event on its way.
struct Waiting {
    sequence: u64,
    /// As it was recorded.
    moment: Moment,
    /// Whether it is of the period.
    counts: bool,
}

/// Which events there are to judge.
struct Extent {
    first: u64,
    last: u64,
    /// Of the period.
    within: u64,
    /// With those before it.
    all: u64,
}

/// Judges and compares.
pub(super) async fn judge(common: &Common, job: &Job, plan: Plan) -> Result<Done, BacktestError> {
    job.update(|status| status.state = State::Preparing);
    let Plan { period, with, against } = plan;
    let folder = common.store.ledgers(job.id);
    // With it the same keys have the same names in entries, by which timers are told apart.
    let key = std::fs::read(common.data.join(KEY)).map_err(|source| BacktestError::Disk { doing: "reading the ledger's key", source })?;
    let mut after = Side::start(&common.ground, &folder.join("after"), Some(&key), VerdictEvents::Given).await?;
    let release = after.install(with).await?;
    if release.policy() != job.request.policy {
        return Err(BacktestError::Name { expected: job.request.policy.clone(), found: release.policy().to_string() });
    }
    let mut before = None;
    if let Some(offer) = against {
        let mut side = Side::start(&common.ground, &folder.join("before"), Some(&key), VerdictEvents::Given).await?;
        side.install(offer).await?;
        before = Some(side);
    }
    let stateful = release.manifest.keyed.is_some();
    let asks_own = release.manifest.asks_about(VERDICT_TYPE);
    let extent = extent(common, job, &period, stateful && job.request.warm_up, asks_own)?;
    let counter = match &before {
        Some(_) => Counter::new(EXAMPLES_MAX),
        None if job.request.alone => Counter::of_policy_alone(EXAMPLES_MAX, release.policy()),
        None => Counter::of_policy(EXAMPLES_MAX, release.policy()),
    };
    let done = Done { stateful, ..Done::default() };
    let spool = Spool { file: common.store.spool(job.id)?, left: common.limits.differences_max, kept: 0 };
    let mut test = Test {
        job,
        before,
        after,
        counter,
        done,
        spool,
        waiting: VecDeque::new(),
        judged: 0,
        begun: Instant::now(),
        shown: Instant::now(),
    };
    job.update(|status| (status.state, status.of) = (State::Running, Some(extent.all)));
    match test.run(common, &period, &extent, asks_own).await {
        Ok(()) => test.finish(extent.within).await,
        Err(error) => {
            test.abandon().await;
            Err(error)
        }
    }
}

/// Counts what there is to judge, by the entries alone.
fn extent(common: &Common, job: &Job, period: &Period, warm_up: bool, asks_own: bool) -> Result<Extent, BacktestError> {
    let first = if warm_up { 1 } else { period.from };
    let mut extent = Extent { first, last: 0, within: 0, all: 0 };
    let mut entries = Recorded::entries(&common.log, first, period.until);
    let (mut seen, mut so_far) = (0u64, 0);
    while let Some(Occurrence { sequence, happened, is_own, .. }) = entries.next()? {
        seen += 1;
        if seen.is_multiple_of(LOOK_ENTRIES) && job.is_cancelled() {
            return Err(BacktestError::Cancelled);
        }
        if is_own && !asks_own {
            continue;
        }
        let within = period.contains(sequence, happened);
        so_far += u64::from(within || warm_up);
        if within {
            extent.within += u64::from(!is_own);
            (extent.last, extent.all) = (sequence, so_far);
        }
    }
    let max = common.limits.events_max;
    match extent {
        Extent { within: 0, .. } => Err(BacktestError::Empty),
        Extent { all, .. } if all > max => Err(BacktestError::TooMany { events: all, max }),
        extent => Ok(extent),
    }
}

/// The differences, as far as they are kept.
struct Spool {
    file: BufWriter<File>,
    left: u64,
    kept: u64,
}

impl Spool {
    fn add(&mut self, changed: impl IntoIterator<Item = Example>) -> Result<(), BacktestError> {
        for example in changed {
            if self.left == 0 {
                return Ok(());
            }
            (self.left, self.kept) = (self.left - 1, self.kept + 1);
            let written = serde_json::to_writer(&mut self.file, &example).map_err(Into::into);
            written.and_then(|()| self.file.write_all(b"\n")).map_err(disk)?;
        }
        Ok(())
    }
}

fn disk(source: std::io::Error) -> BacktestError {
    BacktestError::Disk { doing: "writing differences", source }
}

struct Test<'j> {
    job: &'j Job,
    before: Option<Side>,
    after: Side,
    counter: Counter,
    done: Done,
    spool: Spool,
    waiting: VecDeque<Waiting>,
    /// Events that were compared.
    judged: u64,
    begun: Instant,
    shown: Instant,
}

impl Test<'_> {
    async fn run(&mut self, common: &Common, period: &Period, extent: &Extent, asks_own: bool) -> Result<(), BacktestError> {
        let warm_up = extent.first < period.from || self.done.stateful && self.job.request.warm_up;
        let mut recorded =
            Recorded::with_contents(&common.log, &common.data, &common.ingest, extent.first, extent.last, Box::new(|_| true))?;
        let mut seen = 0u64;
        while let Some(found) = recorded.next()? {
            let Occurrence { sequence, happened, before, line, is_own, event } = found;
            seen += 1;
            if seen.is_multiple_of(LOOK_ENTRIES) && self.job.is_cancelled() {
                return Err(BacktestError::Cancelled);
            }
            let counts = period.contains(sequence, happened);
            if !counts && !warm_up {
                continue;
            }
            if is_own {
                self.done.verdict_events += u64::from(counts);
                if !asks_own {
                    continue;
                }
            }
            let Some(event) = event else {
                self.done.not_kept += u64::from(counts && !is_own);
                continue;
            };
            if !is_own {
                self.done.warm_up += u64::from(!counts);
                let moment = Moment { timers: before, event: line };
                self.waiting.push_back(Waiting { sequence, moment, counts });
            }
            let mut moved = false;
            if let Some(before) = &mut self.before {
                moved |= before.push(event.clone()).await?;
            }
            moved |= self.after.push(event).await?;
            if moved {
                if let Some(before) = &mut self.before {
                    before.read()?;
                }
                self.after.read()?;
                self.compare()?;
            }
        }
        if let Some(before) = &mut self.before {
            before.settle().await?;
        }
        self.after.settle().await?;
        self.compare()
    }

    /// Compares what both sides have.
    fn compare(&mut self) -> Result<(), BacktestError> {
        while !self.after.moments.is_empty() && self.before.as_ref().is_none_or(|side| !side.moments.is_empty()) {
            let Some(after) = self.after.moments.pop_front() else { break };
            let before = self.before.as_mut().and_then(|side| side.moments.pop_front());
            // What was not taken again has no entry there.
            let recorded = loop {
                match self.waiting.pop_front() {
                    Some(waiting) if names(&waiting.moment.event) == names(&after.event) => break waiting,
                    Some(_) => self.done.refused += 1,
                    None => return Err(BacktestError::Other),
                }
            };
            self.judged += 1;
            if !recorded.counts {
                continue;
            }
            let (before, sequence) = (before.unwrap_or(recorded.moment), Some(recorded.sequence));
            let timers = self.counter.timers(&before.timers, &after.timers, sequence)?;
            let event = self.counter.event(&before.event, &after.event, sequence)?;
            self.spool.add(timers.into_iter().chain(event))?;
        }
        if self.shown.elapsed() >= PROGRESS {
            self.show();
        }
        Ok(())
    }

    /// Says how far it is.
    fn show(&mut self) {
        self.shown = Instant::now();
        let (seconds, judged) = (self.begun.elapsed().as_secs_f64(), self.judged);
        self.job.update(|status| {
            (status.events, status.seconds) = (judged, seconds);
            status.per_second = judged as f64 / seconds.max(1e-3);
        });
    }

    async fn finish(mut self, within: u64) -> Result<Done, BacktestError> {
        self.show();
        let Test { before, after, counter, mut done, mut spool, waiting, .. } = self;
        done.refused += waiting.len() as u64;
        spool.file.flush().map_err(disk)?;
        done.differences_kept = spool.kept;
        done.report = counter.finish();
        done.after = after.releases.iter().cloned().collect();
        done.before = before.iter().flat_map(|side| side.releases.iter().cloned()).collect();
        after.finish().await?;
        if let Some(before) = before {
            before.finish().await?;
        }
        match done.not_kept {
            lost if lost >= within => Err(BacktestError::PeriodNotKept(lost)),
            _ => Ok(done),
        }
    }

    async fn abandon(self) {
        let Test { before, after, .. } = self;
        after.abandon().await;
        if let Some(before) = before {
            before.abandon().await;
        }
    }
}

/// Source and id in the entry of an event, as they stand in the line: what comes between
/// the sequence and the type.
fn names(line: &str) -> Option<&str> {
    let from = line.find(',')?;
    let until = line.find("\",\"type\":\"")?;
    line.get(from..until)
}
