//! One back-test: what was asked, how far it is, and what came of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use tokio::sync::watch;

use super::plan::Request;
use super::report::Report;
use super::{BacktestError, lock};

/// How far a back-test is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "BacktestState")]
pub enum State {
    /// Others run.
    #[default]
    Waiting,
    /// The release is loaded, and the events of the period are counted.
    Preparing,
    /// Events are judged.
    Running,
    /// There is a result.
    Done,
    /// There is none, and why.
    Failed,
    /// Somebody ended it.
    Cancelled,
}

impl State {
    /// The word, the same that serde has.
    pub fn name(self) -> &'static str {
        match self {
            State::Waiting => "waiting",
            State::Preparing => "preparing",
            State::Running => "running",
            State::Done => "done",
            State::Failed => "failed",
            State::Cancelled => "cancelled",
        }
    }

    /// Whether nothing changes any more.
    pub fn is_over(self) -> bool {
        matches!(self, State::Done | State::Failed | State::Cancelled)
    }
}

/// How far a back-test is, with figures.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "BacktestStatus")]
pub struct Status {
    /// How far it is.
    pub state: State,
    /// Events that were judged and compared.
    pub events: u64,
    /// How many there are in all, once they are counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of: Option<u64>,
    /// Events in a second, since the first one.
    pub per_second: f64,
    /// Seconds since it began to judge.
    pub seconds: f64,
    /// Why there is no result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// What came of a back-test.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "BacktestResult")]
pub struct Done {
    /// What was counted.
    #[serde(flatten)]
    pub report: Report,
    /// Policy and release that the verdicts before are of; empty if they were recorded.
    pub before: BTreeMap<String, String>,
    /// Policy and release that the verdicts after are of.
    pub after: BTreeMap<String, String>,
    /// Whether the policy has state, so that events before the period matter.
    pub stateful: bool,
    /// Events before the period that were judged so that there is state, and not counted.
    pub warm_up: u64,
    /// Events of the period whose content is not there any more, or never was: they are
    /// not in the report.
    pub not_kept: u64,
    /// Events that were not taken again.
    pub refused: u64,
    /// Verdict events of the period that were not compared.
    pub verdict_events: u64,
    /// Differences that are kept for export.
    pub differences_kept: u64,
}

impl Done {
    /// Findings that are new, and findings that are gone, of all rules.
    pub fn new_and_gone(&self) -> (u64, u64) {
        self.report.rules.iter().fold((0, 0), |(new, gone), rule| (new + rule.appeared, gone + rule.disappeared))
    }
}

/// What stands in a back-test's own file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Record {
    pub id: u64,
    /// When it was asked for, in microseconds since 1970.
    pub asked: i64,
    pub request: Request,
    pub status: Status,
    pub done: Option<Done>,
}

/// A back-test.
#[derive(Debug)]
pub struct Job {
    /// Its number.
    pub id: u64,
    /// When it was asked for, in microseconds since 1970.
    pub asked: i64,
    /// What was asked.
    pub request: Request,
    status: watch::Sender<Status>,
    done: Mutex<Option<Arc<Done>>>,
    cancelled: AtomicBool,
    differences: PathBuf,
}

impl Job {
    /// One that waits.
    pub(super) fn new(id: u64, request: Request, differences: PathBuf) -> Self {
        let asked = i64::try_from(OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000).unwrap_or(i64::MAX);
        Job::of(Record { id, asked, request, status: Status::default(), done: None }, differences)
    }

    /// One that was kept.
    pub(super) fn of(record: Record, differences: PathBuf) -> Self {
        let Record { id, asked, request, status, done } = record;
        let (status, done) = (watch::Sender::new(status), Mutex::new(done.map(Arc::new)));
        Job { id, asked, request, status, done, cancelled: AtomicBool::new(false), differences }
    }

    /// How far it is now.
    pub fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    /// How far it is, now and later.
    pub fn watch(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    /// What came of it; absent if nothing did, or not yet.
    pub fn done(&self) -> Option<Arc<Done>> {
        lock(&self.done).clone()
    }

    /// The file of its differences, a JSON object in each line; absent if there is no
    /// result.
    pub fn differences(&self) -> Option<&Path> {
        self.done().map(|_| &*self.differences)
    }

    /// Whoever judges sees it and ends.
    pub(super) fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    pub(super) fn update(&self, change: impl FnOnce(&mut Status)) {
        self.status.send_modify(change);
    }

    pub(super) fn record(&self) -> Record {
        let done = self.done().map(|done| Done::clone(&done));
        Record { id: self.id, asked: self.asked, request: self.request.clone(), status: self.status(), done }
    }

    /// It is over. What came of it is kept before anybody sees that it is: what was seen
    /// must not be gone after a start.
    pub(super) fn finish(&self, came: Result<Done, BacktestError>, keep: impl FnOnce(&Record)) {
        let (state, failure, done) = match came {
            Ok(done) => (State::Done, None, Some(Arc::new(done))),
            Err(BacktestError::Cancelled) => (State::Cancelled, None, None),
            Err(error) => (State::Failed, Some(error.to_string()), None),
        };
        let status = Status { state, failure, ..self.status() };
        let result = done.as_deref().cloned();
        keep(&Record { status: status.clone(), done: result, ..self.record() });
        // Whoever sees the state finds the result.
        *lock(&self.done) = done;
        self.update(|own| *own = status);
    }
}
