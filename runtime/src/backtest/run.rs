//! The back-tests of a server: those that wait, those that run, and what came of them.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use tokio::sync::watch;

use super::counter::Report;
use super::judge::judge;
use super::known::{self, Known, KnownRelease};
use super::limits::Limits;
use super::plan::{Against, Change, Plan, Request};
use super::store::{Record, Store};
use super::{BacktestError, Ground};
use crate::ingest;
use crate::ledger::{self, Durability, KeptEvents, Log};
use crate::policy::Grant;
use crate::runtime::{self, Offer, Runtime};

/// The lowest priority that there is.
const NICE: i32 = 19;

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

    pub(super) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    pub(super) fn update(&self, change: impl FnOnce(&mut Status)) {
        self.status.send_modify(change);
    }

    fn record(&self) -> Record {
        let done = self.done().map(|done| Done::clone(&done));
        Record { id: self.id, asked: self.asked, request: self.request.clone(), status: self.status(), done }
    }

    fn finish(&self, came: Result<Done, BacktestError>) {
        let (state, failure, done) = match came {
            Ok(done) => (State::Done, None, Some(Arc::new(done))),
            Err(BacktestError::Cancelled) => (State::Cancelled, None, None),
            Err(error) => (State::Failed, Some(error.to_string()), None),
        };
        // Whoever sees the state finds the result.
        *lock(&self.done) = done;
        self.update(|status| (status.state, status.failure) = (state, failure));
    }
}

#[derive(Default)]
struct Table {
    jobs: BTreeMap<u64, Arc<Job>>,
    waiting: VecDeque<(Arc<Job>, Plan)>,
    running: usize,
    last: u64,
}

/// What all threads have in common.
pub(super) struct Common {
    pub limits: Limits,
    pub ground: Ground,
    pub ingest: ingest::Limits,
    pub data: PathBuf,
    pub log: Arc<Log>,
    pub store: Store,
    table: Mutex<Table>,
    known: Mutex<Known>,
}

/// The back-tests of a server. Cheap to clone.
#[derive(Clone, Default)]
pub struct Backtests {
    /// Absent for a server that keeps nothing.
    common: Option<Arc<Common>>,
}

impl std::fmt::Debug for Backtests {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Backtests").field("jobs", &self.all().len()).finish_non_exhaustive()
    }
}

impl Backtests {
    /// Takes up what earlier processes left in the data directory of a runtime. `spine`
    /// and `ingest` are those of the live server, for they decide as well.
    pub fn new(runtime: &Runtime, limits: &Limits, spine: &runtime::Limits, ledger: &ledger::Limits, ingest: &ingest::Limits) -> Self {
        let (Some(data), Some(log)) = (runtime.data(), runtime.log()) else { return Backtests { common: None } };
        let (sandbox, worker, cache) = runtime.sandbox();
        let ground = Ground {
            spine: runtime::Limits { threads: 1, ..spine.clone() },
            // Nobody relies on it, so nobody waits for a disk that the live ledger uses.
            ledger: ledger::Limits {
                durability: Durability::Os,
                checkpoint_ms: 3_600_000,
                witnesses: Vec::new(),
                witnesses_required: 0,
                ..ledger.clone()
            },
            sandbox: sandbox.clone(),
            worker: worker.to_path_buf(),
            cache: cache.map(Path::to_path_buf),
        };
        let store = Store::new(data);
        let mut table = Table::default();
        for record in store.load() {
            table.last = table.last.max(record.id);
            let Record { id, asked, request, status, done } = record;
            let (status, done) = (watch::Sender::new(status), Mutex::new(done.map(Arc::new)));
            let job = Job { id, asked, request, status, done, cancelled: AtomicBool::new(false), differences: store.differences(id) };
            table.jobs.insert(id, Arc::new(job));
        }
        let common = Common {
            limits: limits.clone(),
            ground,
            ingest: ingest.clone(),
            data: data.to_path_buf(),
            log: log.clone(),
            store,
            table: Mutex::new(table),
            known: Mutex::default(),
        };
        Backtests { common: Some(Arc::new(common)) }
    }

    /// Opens the file of a back-test's differences ([`Job::differences`]).
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub fn open(differences: &Path) -> std::io::Result<File> {
        File::open(differences)
    }

    /// All of them, the latest first.
    pub fn all(&self) -> Vec<Arc<Job>> {
        self.common.iter().flat_map(|common| lock(&common.table).jobs.values().rev().cloned().collect::<Vec<_>>()).collect()
    }

    /// One of them.
    pub fn get(&self, id: u64) -> Option<Arc<Job>> {
        lock(&self.common.as_ref()?.table).jobs.get(&id).cloned()
    }

    /// The releases that the ledger knows, by policy, the latest first. Reads the disk.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be read.
    pub fn known(&self) -> Result<Vec<KnownRelease>, BacktestError> {
        let Some(common) = &self.common else { return Ok(Vec::new()) };
        let mut known = lock(&common.known);
        known.catch_up(&common.log)?;
        Ok(known.all())
    }

    /// Whether there are events that can be judged again. Reads the disk.
    pub fn has_events(&self) -> bool {
        let has = |common: &Arc<Common>| KeptEvents::open(&common.data).is_ok_and(|kept| kept.bytes() > 0);
        self.common.as_ref().is_some_and(has)
    }

    /// Begins one, or lets it wait for its turn. `grant` says what a publisher may see.
    /// Reads the disk.
    ///
    /// # Errors
    ///
    /// Why it cannot begin.
    pub fn start(
        &self,
        runtime: &Runtime,
        mut request: Request,
        change: Change,
        grant: impl Fn(&str) -> Option<Grant>,
    ) -> Result<Arc<Job>, BacktestError> {
        let common = self.common.as_ref().filter(|_| self.has_events()).ok_or(BacktestError::NothingKept)?;
        let period = request.period(common.log.size())?;
        request.changed = !change.is_empty();
        let with = common.offer(runtime, &request.policy, &mut request.release, change, &grant)?;
        let against = match &mut request.against {
            Against::Recorded => None,
            Against::Release(release) => Some(common.offer(runtime, &request.policy, release, Change::default(), &grant)?),
        };
        common.begin(request, Plan { period, with, against })
    }

    /// Ends one that waits or runs, and forgets one that is over. Nothing if there is none.
    pub fn cancel(&self, id: u64) -> Option<Arc<Job>> {
        let common = self.common.as_ref()?;
        let mut table = lock(&common.table);
        let job = table.jobs.get(&id)?.clone();
        job.cancelled.store(true, Ordering::Relaxed);
        if job.status().state.is_over() {
            table.jobs.remove(&id);
            drop(table);
            common.store.remove(id);
        } else if let Some(at) = table.waiting.iter().position(|(waiting, _)| waiting.id == id) {
            table.waiting.remove(at);
            common.forget(&mut table, 1);
            drop(table);
            job.finish(Err(BacktestError::Cancelled));
            common.keep(&job);
        }
        Some(job)
    }
}

impl Common {
    /// A release to judge with: in force, tried out, or known from the ledger, with parts
    /// of its own. `release` is what was asked for, and becomes the id.
    fn offer(
        &self,
        runtime: &Runtime,
        policy: &str,
        release: &mut String,
        change: Change,
        grant: impl Fn(&str) -> Option<Grant>,
    ) -> Result<Offer, BacktestError> {
        let publisher = policy.split_once('/').map(|(publisher, _)| publisher.to_string());
        let granted = match &publisher {
            None => Grant::development(),
            Some(name) => grant(name).ok_or_else(|| BacktestError::Unknown(format!("{name:?} is no publisher of the configuration")))?,
        };
        let parts = match self.parts(runtime, policy, release) {
            Err(BacktestError::Unknown(_)) if change.component.is_some() => None,
            parts => Some(parts?),
        };
        let (component, settings, spare) = match parts {
            Some(parts) => (Some(parts.component), Some(parts.settings), parts.lists),
            None => (None, None, Vec::new()),
        };
        let Some(component) = change.component.or(component) else { return Err(BacktestError::Unknown("there is no component".into())) };
        let settings = change.settings.or(settings).unwrap_or_else(|| b"{}".as_slice().into());
        Ok(Offer { publisher, grant: granted, lists: change.lists, spare, ..Offer::development(component, settings) })
    }

    fn parts(&self, runtime: &Runtime, policy: &str, release: &mut String) -> Result<known::Parts, BacktestError> {
        let standing = runtime.policies();
        let mut of_policy = standing.iter().map(|standing| &standing.release).filter(|known| known.policy() == policy);
        let found = match release.as_str() {
            "" => of_policy.next(),
            wanted => of_policy.find(|known| known.id == wanted || known.digest.hex() == wanted),
        };
        if let Some(found) = found {
            release.clone_from(&found.id);
            return known::parts_of(&self.data, found);
        }
        let known = {
            let mut known = lock(&self.known);
            known.catch_up(&self.log)?;
            known.find(policy, release).cloned()
        };
        let known = known.ok_or_else(|| {
            let what = if release.is_empty() { "no release that is in force".to_string() } else { format!("no release {release}") };
            BacktestError::Unknown(format!(
                "of the policy {policy} this server knows {what}; GET /v1/backtests/releases has those that it knows"
            ))
        })?;
        release.clone_from(&known.release);
        known::parts(&self.data, &known)
    }

    fn begin(self: &Arc<Self>, request: Request, plan: Plan) -> Result<Arc<Job>, BacktestError> {
        let mut table = lock(&self.table);
        if table.running >= self.limits.concurrent_max && table.waiting.len() >= self.limits.waiting_max {
            return Err(BacktestError::Full(table.waiting.len()));
        }
        let id = table.last + 1;
        let job = Arc::new(Job {
            id,
            asked: now_micros(),
            request,
            status: watch::Sender::default(),
            done: Mutex::default(),
            cancelled: AtomicBool::new(false),
            differences: self.store.differences(id),
        });
        self.store.write(&job.record())?;
        table.last = id;
        table.jobs.insert(id, job.clone());
        table.waiting.push_back((job.clone(), plan));
        if table.running < self.limits.concurrent_max {
            let common = self.clone();
            let work = move || common.work();
            match std::thread::Builder::new().name("backtest".into()).spawn(work) {
                Ok(_) => table.running += 1,
                // One that runs takes it up.
                Err(_) if table.running > 0 => {}
                Err(source) => {
                    table.waiting.retain(|(waiting, _)| waiting.id != id);
                    table.jobs.remove(&id);
                    return Err(BacktestError::Disk { doing: "starting a thread", source });
                }
            }
        }
        Ok(job)
    }

    /// Forgets the oldest that are over, so that there is room for so many more among
    /// those that are kept.
    fn forget(&self, table: &mut Table, more: usize) {
        let over: Vec<u64> = table.jobs.values().filter(|job| job.status().state.is_over()).map(|job| job.id).collect();
        for id in &over[..(over.len() + more).saturating_sub(self.limits.keep).min(over.len())] {
            table.jobs.remove(id);
            self.store.remove(*id);
        }
    }

    /// Runs those that wait, one after the other, until none does.
    fn work(self: Arc<Self>) {
        // Handed on to every thread and process that is started from here.
        if let Err(error) = rustix::process::setpriority_process(None, NICE) {
            tracing::warn!(%error, "Back-tests run at the priority of everything else");
        }
        loop {
            let next = {
                let mut table = lock(&self.table);
                let next = table.waiting.pop_front();
                if next.is_none() {
                    table.running -= 1;
                }
                next
            };
            let Some((job, plan)) = next else { return };
            tracing::info!(
                backtest = job.id,
                policy = job.request.policy,
                release = job.request.release,
                by = job.request.by,
                "Back-test begun"
            );
            let came = self.one(&job, plan);
            self.store.clear(job.id);
            self.forget(&mut lock(&self.table), 1);
            job.finish(came);
            self.keep(&job);
            let Status { state, events, seconds, failure, .. } = job.status();
            tracing::info!(backtest = job.id, state = state.name(), events, seconds, failure, "Back-test ended");
        }
    }

    fn one(&self, job: &Job, plan: Plan) -> Result<Done, BacktestError> {
        let threads = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let threads = threads.map_err(|source| BacktestError::Disk { doing: "starting a thread", source })?;
        threads.block_on(judge(self, job, plan))
    }

    fn keep(&self, job: &Job) {
        if let Err(error) = self.store.write(&job.record()) {
            tracing::warn!(backtest = job.id, %error, "What came of a back-test is in memory only");
        }
    }
}

fn now_micros() -> i64 {
    i64::try_from(OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000).unwrap_or(i64::MAX)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
