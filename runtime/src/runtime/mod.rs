//! The spine, and the API for embedding it.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use ephor::{Runtime, ingest};
//!
//! let runtime = Runtime::builder().worker("/usr/bin/ephor").data("/var/lib/ephor").build()?;
//! let policy = std::fs::read("negative-list.wasm")?;
//! runtime.install(policy, br#"{"words":["KNIFE"]}"#.to_vec()).await?;
//!
//! let event = ingest::structured(
//!     br#"{"specversion":"1.0","id":"1","source":"/shop","type":"retail.invoice.line"}"#,
//!     &ingest::Limits::default(),
//! )?;
//! let judged = runtime.submit(vec![event]).await?.await?;
//! println!("{:?}", judged.answers[0].verdict());
//! # Ok(()) }
//! ```

mod admit;
mod cold;
mod commit;
mod evaluate;
mod evidence;
mod numbers;
mod recover;
mod set;
mod spine;
mod timed;

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock, PoisonError, RwLock, mpsc};
use std::task::{Context, Poll};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::{Mutex, oneshot, watch};

use crate::event::Event;
use crate::ledger::{self, Ids, Log};
use crate::policy::Release;
use crate::sandbox::{self, Loader, Sandbox};
use crate::sequencer::{self, Entrance};
use crate::state::{Handover, States, Timers};
use crate::stats::{OutcomeLabel, Stats};
use admit::Admission;
use cold::Shelf;
use commit::Keeper;
use numbers::Numbers;
use set::Installed;
use spine::{Change, Memory, Spine};

pub use crate::ledger::{Answer, Refusal};
pub use crate::sandbox::LoadError;
pub use crate::sequencer::{Limits, Stopped};

/// Events with what became of them.
#[derive(Debug)]
pub struct Judged {
    /// As they were submitted.
    pub events: Vec<Event>,
    /// One per event, in the same order.
    pub answers: Vec<Answer>,
}

/// Submitted events; resolves to their verdicts. Dropping it loses no event:
/// they are judged and recorded all the same.
#[derive(Debug)]
#[must_use = "the verdicts come out of it"]
pub struct Pending(sequencer::Reply);

impl Future for Pending {
    type Output = Result<Judged, Stopped>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(|reply| match reply {
            Ok((events, answers)) => Ok(Judged { events, answers }),
            Err(_) => Err(Stopped),
        })
    }
}

/// Why events were not taken.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// There is no room in the queue.
    #[error("the queue is full")]
    Full {
        /// The events, untouched.
        events: Vec<Event>,
    },
    /// The runtime has ended.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// Why a policy was not removed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RemoveError {
    /// There is none of that name.
    #[error("there is no policy {0:?} in force")]
    NotInForce(String),
    /// The runtime has ended.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// A release took effect.
#[derive(Debug, Clone, Serialize)]
pub struct Swap {
    /// The policy's name.
    pub policy: String,
    /// The release in force from now on.
    pub release: String,
    /// The release that was in force.
    pub replaced: Option<String>,
    /// The first event that the release judges: every one before it was judged by
    /// the release it replaced.
    pub sequence: u64,
    /// What became of the states.
    pub state: Handover,
}

/// A policy in force.
#[derive(Debug, Clone)]
pub struct Standing {
    /// Its release.
    pub release: Arc<Release>,
    /// The first event that it judges.
    pub since: u64,
}

/// A handle to a running runtime; clones are handles to the same one. It ends,
/// after judging what it took, when the last handle is gone.
#[derive(Clone)]
pub struct Runtime(Arc<Inner>);

impl std::fmt::Debug for Runtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runtime").field("policies", &self.policies().len()).finish_non_exhaustive()
    }
}

struct Inner {
    entrance: Entrance<Change>,
    loader: Loader,
    /// The policies in force, sorted by name. The spine writes it at each swap.
    standing: Arc<RwLock<Vec<Installed>>>,
    /// Held while a component is loaded and put in force, so that the release
    /// that a change was made against is the one that it replaces.
    changing: Mutex<()>,
    stats: Arc<Stats>,
    log: Option<Arc<Log>>,
    /// Why the ledger takes nothing any more.
    failure: Arc<OnceLock<String>>,
    durable: watch::Receiver<u64>,
}

/// Makes a runtime.
#[derive(Debug, Default)]
pub struct Builder {
    spine: Limits,
    sandbox: sandbox::Limits,
    worker: Option<PathBuf>,
    cache: Option<PathBuf>,
    data: Option<PathBuf>,
    ledger: ledger::Limits,
}

/// Why a runtime could not be made.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// wasmtime does not take the configuration on this machine.
    #[error("the sandbox cannot be set up: {0}")]
    Sandbox(String),
    /// The folder for compiled code is of no use.
    #[error("the folder {} for compiled code cannot be used: {source}", folder.display())]
    Cache {
        /// Which folder.
        folder: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The system gives no threads.
    #[error("the threads cannot be started: {0}")]
    Threads(String),
    /// The data directory is of no use, or what is in it is damaged.
    #[error(transparent)]
    Ledger(#[from] ledger::OpenError),
    /// The path of the running program cannot be found out.
    #[error("the path of this program is not known, name the worker: {0}")]
    Worker(std::io::Error),
}

impl Builder {
    /// How much waits and is evaluated together, if other than the default.
    #[must_use]
    pub fn spine(mut self, limits: Limits) -> Self {
        self.spine = limits;
        self
    }

    /// What a policy may use, if other than the default.
    #[must_use]
    pub fn sandbox(mut self, limits: sandbox::Limits) -> Self {
        self.sandbox = limits;
        self
    }

    /// The `ephor` binary, which loads components in child processes. Without it
    /// the running program, which then has to be `ephor`, or to call
    /// [`crate::sandbox::worker::main`] when its first argument is
    /// `compile-worker`.
    #[must_use]
    pub fn worker(mut self, path: impl Into<PathBuf>) -> Self {
        self.worker = Some(path.into());
        self
    }

    /// Where compiled code is kept. Without it every start compiles.
    #[must_use]
    pub fn cache(mut self, folder: impl Into<PathBuf>) -> Self {
        self.cache = Some(folder.into());
        self
    }

    /// The directory of the ledger; made if it is not there. What is in it is taken
    /// up: entries, states, known ids. Without a directory nothing is kept: there is
    /// no evidence, and an event that is sent again is judged again.
    #[must_use]
    pub fn data(mut self, directory: impl Into<PathBuf>) -> Self {
        self.data = Some(directory.into());
        self
    }

    /// How the ledger is kept, if other than the default.
    #[must_use]
    pub fn ledger(mut self, limits: ledger::Limits) -> Self {
        self.ledger = limits;
        self
    }

    /// Starts it.
    ///
    /// # Errors
    ///
    /// If the machine does not give what it needs, or the data directory cannot be
    /// taken up.
    pub fn build(self) -> Result<Runtime, BuildError> {
        let sandbox = Sandbox::new(self.sandbox).map_err(|error| BuildError::Sandbox(format!("{error:#}")))?;
        let worker = match self.worker {
            Some(worker) => worker,
            None => std::env::current_exe().map_err(BuildError::Worker)?,
        };
        let loader = Loader::new(sandbox, worker, self.cache.as_deref())
            .map_err(|source| BuildError::Cache { folder: self.cache.unwrap_or_default(), source })?;
        let stats = Arc::new(Stats::new());
        let standing = Arc::new(RwLock::new(Vec::new()));
        let (entrance, sequencer) = sequencer::queue(&self.spine);
        let threads = |error: std::io::Error| BuildError::Threads(error.to_string());
        let failure = Arc::new(OnceLock::new());
        let (durable_out, durable) = watch::channel(0);
        let (memory, keeper, log) = match &self.data {
            None => {
                let admission = Admission::new(Ids::new(self.ledger.horizon_days), Numbers::default(), false, self.spine.lateness_s);
                let (states, timers) = (States::default(), Timers::default());
                let memory = Memory { states, timers, admission, next: 1, evidence: None, shelf: None };
                (memory, Keeper::Memory { stats: stats.clone() }, None)
            }
            Some(directory) => {
                let (ledger, mut memory) = recover::open(directory, &self.ledger, &self.spine)?;
                let (placed_out, placed) = mpsc::channel();
                let shelf = Shelf::new(ledger.reader(), placed, failure.clone());
                memory.shelf = Some(shelf.map_err(|error| BuildError::Threads(error.to_string()))?);
                let log = ledger.log();
                durable_out.send_replace(memory.next - 1);
                let interval = Duration::from_millis(self.ledger.checkpoint_ms);
                let keeper = Keeper::disk(ledger, interval, stats.clone(), failure.clone(), durable_out, placed_out).map_err(threads)?;
                (memory, keeper, Some(log))
            }
        };
        Spine::start(sequencer, &self.spine, standing.clone(), memory, keeper, stats.clone()).map_err(threads)?;
        let changing = Mutex::new(());
        Ok(Runtime(Arc::new(Inner { entrance, loader, standing, changing, stats, log, failure, durable })))
    }
}

impl Runtime {
    /// Begins to make one.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Takes events; waits for room in the queue. What is submitted later comes
    /// later in the order.
    ///
    /// # Errors
    ///
    /// If the runtime has ended.
    pub async fn submit(&self, events: Vec<Event>) -> Result<Pending, Stopped> {
        self.0.entrance.submit(events).await.map(Pending)
    }

    /// Takes events if there is room for all of them.
    ///
    /// # Errors
    ///
    /// If there is not, with the events; or if the runtime has ended.
    pub fn try_submit(&self, events: Vec<Event>) -> Result<Pending, SubmitError> {
        match self.0.entrance.try_submit(events) {
            Ok(reply) => Ok(Pending(reply?)),
            Err((_, events)) => Err(SubmitError::Full { events }),
        }
    }

    /// Loads a component with settings and puts it in force between two batches,
    /// in the place of the release of the same policy, if there is one.
    ///
    /// # Errors
    ///
    /// Why it is not taken; the release in force stays.
    pub async fn install(&self, component: Vec<u8>, settings: Vec<u8>) -> Result<Swap, LoadError> {
        let _guard = self.0.changing.lock().await;
        self.put_in_force(None, component.into(), settings.into()).await
    }

    /// Installs a component that must be the policy of this name.
    ///
    /// # Errors
    ///
    /// Why it is not taken; the release in force stays.
    pub async fn install_as(&self, name: &str, component: Vec<u8>, settings: Vec<u8>) -> Result<Swap, LoadError> {
        let _guard = self.0.changing.lock().await;
        self.put_in_force(Some(name), component.into(), settings.into()).await
    }

    /// Replaces the component of a policy and keeps its settings; `{}` for a
    /// policy that is not in force yet.
    ///
    /// # Errors
    ///
    /// Why it is not taken; the release in force stays.
    pub async fn replace_component(&self, name: &str, component: Vec<u8>) -> Result<Swap, LoadError> {
        let _guard = self.0.changing.lock().await;
        let settings = self.installed(name).map_or_else(|| b"{}".as_slice().into(), |installed| installed.settings);
        self.put_in_force(Some(name), component.into(), settings).await
    }

    /// Gives a policy in force other settings.
    ///
    /// # Errors
    ///
    /// Why they are not taken; the release in force stays.
    pub async fn reconfigure(&self, name: &str, settings: Vec<u8>) -> Result<Swap, LoadError> {
        let _guard = self.0.changing.lock().await;
        let Some(installed) = self.installed(name) else {
            return Err(LoadError::NotInForce { name: name.to_string() });
        };
        self.put_in_force(Some(name), installed.component, settings.into()).await
    }

    async fn put_in_force(&self, name: Option<&str>, component: Arc<[u8]>, settings: Arc<[u8]>) -> Result<Swap, LoadError> {
        let loaded = self.0.loader.load(name, &component, &settings).await;
        self.count_load(loaded.as_ref().err());
        let image = loaded?;
        let found = image.release().policy();
        if let Some(expected) = name
            && expected != found
        {
            return Err(LoadError::Name { expected: expected.to_string(), found: found.to_string() });
        }
        let (reply, swap) = oneshot::channel();
        let installed = Installed { image: Arc::new(image), component, settings, since: 0 };
        self.0.entrance.change(Change::Install { installed, reply }).map_err(|Stopped| LoadError::Stopped)?;
        swap.await.map_err(|_| LoadError::Stopped)?
    }

    /// Takes a policy out of force. Returns the first event that it does not
    /// judge any more. Its states are forgotten.
    ///
    /// # Errors
    ///
    /// If there is none of that name.
    pub async fn remove(&self, name: &str) -> Result<u64, RemoveError> {
        let _guard = self.0.changing.lock().await;
        let (reply, removed) = oneshot::channel();
        self.0.entrance.change(Change::Remove { name: name.to_string(), reply })?;
        removed.await.map_err(|_| Stopped)?.ok_or_else(|| RemoveError::NotInForce(name.to_string()))
    }

    /// The policies in force, sorted by name.
    pub fn policies(&self) -> Vec<Standing> {
        let standing = self.0.standing.read().unwrap_or_else(PoisonError::into_inner);
        standing.iter().map(|installed| Standing { release: installed.image.release().clone(), since: installed.since }).collect()
    }

    fn installed(&self, name: &str) -> Option<Installed> {
        let standing = self.0.standing.read().unwrap_or_else(PoisonError::into_inner);
        standing.iter().find(|installed| installed.name() == name).cloned()
    }

    /// What it counts. Gauges are as of now.
    pub fn stats(&self) -> &Stats {
        let stats = &self.0.stats;
        stats.waiting.set(self.0.entrance.waiting() as i64);
        stats
    }

    /// The ledger, for reading; absent without a data directory.
    pub fn log(&self) -> Option<&Arc<Log>> {
        self.0.log.as_ref()
    }

    /// The sequence of the last durable entry, and every later one.
    pub fn durable(&self) -> watch::Receiver<u64> {
        self.0.durable.clone()
    }

    /// Gives this handle up and, once it was the last one, waits until everything that
    /// was submitted is judged and recorded, and the ledger is closed.
    pub async fn close(self) {
        let mut durable = self.durable();
        drop(self);
        while durable.changed().await.is_ok() {}
    }

    /// Why it takes nothing any more, if its ledger failed.
    pub fn failure(&self) -> Option<&str> {
        self.0.failure.get().map(String::as_str)
    }

    /// Whether it takes events: false once its spine has ended.
    pub fn is_ready(&self) -> bool {
        !self.0.entrance.is_closed()
    }

    fn count_load(&self, error: Option<&LoadError>) {
        let Inner { stats, loader, .. } = &*self.0;
        stats.loads.get_or_create(&OutcomeLabel { outcome: error.map_or("loaded", LoadError::kind) }).inc();
        for (outcome, count) in [("hit", &loader.hits), ("miss", &loader.misses), ("forged", &loader.forged)] {
            let counter = stats.cache.get_or_create(&OutcomeLabel { outcome });
            counter.inc_by(count.swap(0, Ordering::Relaxed));
        }
    }
}
