//! The back-tests of a server: those that wait, those that run, and what came of them.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::job::{Done, Job, Record, Status};
use super::judge::judge;
use super::known::{self, Known, KnownRelease};
use super::limits::Limits;
use super::plan::{Against, Change, Plan, Request};
use super::store::Store;
use super::{BacktestError, Ground, lock};
use crate::ingest;
use crate::ledger::{self, Durability, KeptEvents, Log};
use crate::policy::Grant;
use crate::runtime::{self, Offer, Runtime};

/// The lowest priority that there is.
const NICE: i32 = 19;

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
            let (id, differences) = (record.id, store.differences(record.id));
            table.jobs.insert(id, Arc::new(Job::of(record, differences)));
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
        job.cancel();
        if job.status().state.is_over() {
            table.jobs.remove(&id);
            drop(table);
            common.store.remove(id);
        } else if let Some(at) = table.waiting.iter().position(|(waiting, _)| waiting.id == id) {
            table.waiting.remove(at);
            common.forget(&mut table, 1);
            drop(table);
            job.finish(Err(BacktestError::Cancelled), |record| common.keep(record));
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
        let job = Arc::new(Job::new(id, request, self.store.differences(id)));
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
            job.finish(came, |record| self.keep(record));
            let Status { state, events, seconds, failure, .. } = job.status();
            tracing::info!(backtest = job.id, state = state.name(), events, seconds, failure, "Back-test ended");
        }
    }

    fn one(&self, job: &Job, plan: Plan) -> Result<Done, BacktestError> {
        let threads = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let threads = threads.map_err(|source| BacktestError::Disk { doing: "starting a thread", source })?;
        threads.block_on(judge(self, job, plan))
    }

    fn keep(&self, record: &Record) {
        if let Err(error) = self.store.write(record) {
            tracing::warn!(backtest = record.id, %error, "What came of a back-test is in memory only");
        }
    }
}
