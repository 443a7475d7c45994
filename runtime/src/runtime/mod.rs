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
mod blind;
mod change;
mod cold;
mod commit;
mod contents;
mod crowd;
mod echo;
mod entries;
mod evaluate;
mod evidence;
mod gate;
mod heartbeats;
mod keep;
mod line;
mod numbers;
mod parts;
mod publish;
mod recover;
mod set;
#[cfg(test)]
mod simulation;
mod spine;
mod timed;
mod verdicts;
mod withdrawn;

use std::collections::BTreeMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock, PoisonError, RwLock, mpsc};
use std::task::{Context, Poll};
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::{Mutex, oneshot, watch};

use crate::digest::Digest;
use crate::event::Event;
use crate::ledger::entry::{ConfigurationEntry, Entry, KeepEntry, Subject};
use crate::ledger::note::Note;
use crate::ledger::{self, Durability, Ids, Keep, Ledger, Log, Secrets};
use crate::policy::pseudonym::Secret;
use crate::policy::{Grant, Publisher, Release, Validity};
use crate::reference::List;
use crate::sandbox::{self, Loader, Sandbox};
use crate::sequencer::{self, Entrance, now_micros};
use crate::state::{Handover, Key, States, Timers};
use crate::stats::{DurabilityLabel, OutcomeLabel, Stats};
use crate::trace::{Context as Trace, Sink, Traced};
use admit::Admission;
use blind::Eyes;
use change::{Change, LineRecords, Order};
use cold::Shelf;
use commit::Keeper;
use contents::Contents;
use heartbeats::Heartbeats;
use line::{Installed, Lines};
use numbers::Numbers;
use parts::Parts;
use recover::Noted;
use spine::{Beginning, Memory, Spine};
use verdicts::{Live, WeakLive};
use withdrawn::Withdrawn;

pub use crate::ledger::{Answer, Refusal};
pub use crate::policy::Mode;
pub use crate::sandbox::LoadError;
pub use crate::sequencer::{Limits, Stopped};
pub use blind::{Blind, Blindness, Cause, Spell};
pub use change::By;
pub use contents::{Erase, EraseError, Erased, RawEvent, RawEventError};
pub use echo::verdict_event;
pub use entries::Entries;
pub use gate::{Difference, Shown};
pub use line::Stale;
pub use publish::{Offer, PromoteError};
pub use verdicts::{About, Failed, Found, Notice, Verdicts, VerdictsError};

/// Who changes policies that are not published.
const DEVELOPMENT: &str = "development";

/// Who takes policies out of force whose publishers may see nothing any more.
pub(crate) const CONFIGURATION: &str = "configuration";

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

/// Why an entry of another ledger was not taken over.
#[derive(Debug, thiserror::Error)]
pub enum TakeOverError {
    /// The line is no entry in its one form.
    #[error("the line is no entry: {0}")]
    NotAnEntry(String),
    /// Such entries are made when what they are about is done.
    #[error("an entry of the kind {0} is made when what it is about is done again")]
    Made(&'static str),
    /// The runtime has ended.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// A release took effect.
#[derive(Debug, Clone, Serialize, JsonSchema)]
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
    /// What its findings count for from now on.
    pub mode: Mode,
    /// What became of the states.
    pub state: Handover,
}

/// What is to be other than in the release in force.
#[derive(Debug, Clone, Default)]
pub struct Revision {
    /// The component, if it changes.
    pub component: Option<Vec<u8>>,
    /// The settings, if they change.
    pub settings: Option<Vec<u8>>,
    /// The reference lists that change; the policy has to name each of them.
    pub lists: Vec<Arc<List>>,
    /// What it may have where it names a list that is not in `lists`: those in force, if
    /// nothing is said.
    pub spare: Option<Vec<Arc<List>>>,
    /// Who changes it; development, if nothing is said.
    pub by: Option<By>,
}

/// A release that is judged with.
#[derive(Debug, Clone)]
pub struct Standing {
    /// Which.
    pub release: Arc<Release>,
    /// What its findings count for.
    pub mode: Mode,
    /// Keys for which a canary counts, of ten thousand.
    pub share: u16,
    /// The event times at which it is in force.
    pub validity: Validity,
    /// Digest of the signed statement that it came with.
    pub statement: Option<Digest>,
    /// The first event that it judges in this mode.
    pub since: u64,
    /// What its publisher says is out of date, and what happens then.
    pub stale: Option<Stale>,
    /// What it has shown since it began.
    pub shown: Shown,
    /// What its publisher may see of events, and in which form.
    pub grant: Grant,
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
    /// The releases that are judged with. The spine writes it at each change.
    standing: Arc<RwLock<Lines>>,
    /// Those that the ledger had at the start, until they are taken up.
    recorded: Mutex<LineRecords>,
    /// Releases that were taken back. The spine writes it as well.
    withdrawn: Arc<RwLock<Withdrawn>>,
    /// The data directory.
    data: Option<PathBuf>,
    /// Held while a component is loaded and put in force, so that the release
    /// that a change was made against is the one that it replaces.
    changing: Mutex<()>,
    /// Whether the time is handed to the spine.
    ticks: Mutex<bool>,
    stats: Arc<Stats>,
    /// Where traces go, if they are collected.
    traces: Option<Arc<dyn Sink>>,
    eyes: Arc<Eyes>,
    log: Option<Arc<Log>>,
    /// Absent if nothing is kept of events but their digests, and nothing ever was.
    contents: Option<Contents>,
    /// Why the ledger takes nothing any more.
    failure: Arc<OnceLock<String>>,
    durable: watch::Receiver<u64>,
    /// Where verdicts are told that are kept nowhere; nothing where there is a ledger.
    live: WeakLive,
    /// What pseudonyms are derived from.
    secret: Secret,
    /// What names keys in entries.
    secrets: Option<Secrets>,
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
    replays: Option<Option<i64>>,
    verdict_events_given: bool,
    traces: Option<Arc<dyn Sink>>,
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
    /// The system gives no random numbers.
    #[error("the system gives no random numbers: {0}")]
    Random(getrandom::Error),
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

    /// For a replay, which makes recorded entries again: when it counts as started, in
    /// microseconds since the Unix epoch; or that no entry is to say so, because it goes
    /// on where an interrupted one ended.
    #[must_use]
    pub fn replays(mut self, started: Option<i64>) -> Self {
        self.replays = Some(started);
        self
    }

    /// For a replay of entries, and for trying a policy: verdict events are submitted, as
    /// [`verdict_event`] makes them, where they were recorded, and none is made. Otherwise
    /// events of the runtime's own sources and types are refused.
    #[must_use]
    pub fn verdict_events_given(mut self) -> Self {
        self.verdict_events_given = true;
        self
    }

    /// Where traces go. Without it nobody is followed.
    #[must_use]
    pub fn traces(mut self, sink: Arc<dyn Sink>) -> Self {
        self.traces = Some(sink);
        self
    }

    /// Starts it.
    ///
    /// # Errors
    ///
    /// If the machine does not give what it needs, or the data directory cannot be
    /// taken up.
    pub fn build(self) -> Result<Runtime, BuildError> {
        let sandbox = Sandbox::new(self.sandbox.clone()).map_err(|error| BuildError::Sandbox(format!("{error:#}")))?;
        let (runtime, parts) = self.assemble(sandbox, recover::open)?;
        parts.start().map_err(|error| BuildError::Threads(error.to_string()))?;
        Ok(runtime)
    }

    /// Makes all its parts; `open` opens the data directory, if there is one. Whoever does
    /// not start them can do what they do step by step.
    fn assemble(
        self,
        sandbox: Arc<Sandbox>,
        open: impl FnOnce(&Path, &ledger::Limits, &Limits) -> Result<(Ledger, Memory, Noted), ledger::OpenError>,
    ) -> Result<(Runtime, Parts), BuildError> {
        let worker = match self.worker {
            Some(worker) => worker,
            None => std::env::current_exe().map_err(BuildError::Worker)?,
        };
        let stats = Arc::new(Stats::new());
        let alive = Arc::clone(&sandbox);
        stats.watch("instances", "Instances of policies that are alive; none between two batches", move || alive.instances());
        let loader = Loader::new(sandbox, worker, self.cache.as_deref())
            .map_err(|source| BuildError::Cache { folder: self.cache.unwrap_or_default(), source })?;
        let eyes = Arc::new(Eyes::new(now_micros(), stats.clone()));
        let standing = Arc::new(RwLock::new(Lines::new()));
        let (entrance, sequencer) = sequencer::queue(&self.spine);
        let threads = |error: std::io::Error| BuildError::Threads(error.to_string());
        let failure = Arc::new(OnceLock::new());
        let (durable_out, durable) = watch::channel(0);
        let told = Live::new();
        let live = told.weak();
        let mut recorded = LineRecords::new();
        let withdrawn = Arc::new(RwLock::new(Withdrawn::default()));
        let (mut keep, mut archive, mut secrets) = (None, None, None);
        let mut stages = None;
        let (memory, keeper, log, secret) = match &self.data {
            None => {
                let (ids, heartbeats) = (Ids::new(self.ledger.horizon_days), Heartbeats::new(&self.spine.heartbeats));
                let admission = Admission::new(ids, Numbers::default(), heartbeats, now_micros(), false, self.spine.lateness_s);
                let (states, timers) = (States::default(), Timers::default());
                let memory = Memory {
                    states,
                    timers,
                    admission,
                    next: 1,
                    evidence: None,
                    shelf: None,
                    withdrawn: withdrawn.clone(),
                    outstanding: Vec::new(),
                };
                (memory, Keeper::Memory { stats: stats.clone(), live: told }, None, Secret::random().map_err(BuildError::Random)?)
            }
            Some(directory) => {
                let (ledger, mut memory, noted) = open(directory, &self.ledger, &self.spine)?;
                let Noted { lines, account, withdrawn: taken_back, .. } = noted;
                *withdrawn.write().unwrap_or_else(PoisonError::into_inner) = taken_back;
                memory.withdrawn = withdrawn.clone();
                let events = ledger.kept(self.ledger.events, &account)?;
                let days = account.days_of(self.ledger.events);
                archive = events.as_ref().map(|writer| (writer.archive(), days, account.erasures));
                let is_kept = self.ledger.events != Keep::Digest;
                if account.keep != self.ledger.events && !ledger.is_replay() {
                    keep = Some(KeepEntry::new(self.ledger.events, now_micros()));
                }
                let (placed_out, placed) = mpsc::channel();
                let shelf = Shelf::new(ledger.reader(), placed, failure.clone());
                memory.shelf = Some(shelf.map_err(|error| BuildError::Threads(error.to_string()))?);
                recorded = lines;
                let log = ledger.log();
                stats.durability.get_or_create(&DurabilityLabel { durability: log.durability().name() }).set(1);
                let secret = Secret::from_bytes(ledger.secrets().pseudonyms());
                secrets = Some(ledger.secrets());
                durable_out.send_replace(memory.next - 1);
                let interval = Duration::from_millis(self.ledger.checkpoint_ms);
                let events = events.filter(|_| is_kept);
                let (keeper, made) = Keeper::disk(ledger, events, interval, stats.clone(), failure.clone(), durable_out, placed_out);
                stages = Some(made);
                (memory, keeper, Some(log), secret)
            }
        };
        let started = self.replays.unwrap_or_else(|| Some(now_micros()));
        let beginning = Beginning { started, keep };
        stats.waiting_max.set(i64::try_from(self.spine.queue_events_max).unwrap_or(i64::MAX));
        stats.waiting_bytes_max.set(i64::try_from(self.spine.queue_bytes_max).unwrap_or(i64::MAX));
        // Before the first event as well.
        stats.state_keys.set(memory.states.keys() as i64);
        stats.timers.set(memory.timers.len() as i64);
        let spine = Spine::new(&self.spine, standing.clone(), memory, keeper, eyes.clone(), self.verdict_events_given).map_err(threads)?;
        let contents = archive.map(|(archive, days, erasures)| Contents::new(archive, days, &erasures, entrance.weak()));
        let (contents, erasing) = contents.transpose().map_err(threads)?.unzip();
        let ticks = Heartbeats::new(&self.spine.heartbeats).is_on();
        let parts = Parts { spine, sequencer, beginning, stages, erasing, ticks: ticks.then(|| entrance.weak()) };
        let changing = Mutex::new(());
        let (recorded, data) = (Mutex::new(recorded), self.data);
        let runtime = Runtime(Arc::new(Inner {
            entrance,
            loader,
            standing,
            recorded,
            withdrawn,
            data,
            changing,
            ticks: Mutex::new(ticks),
            stats,
            traces: self.traces,
            eyes,
            log,
            contents,
            failure,
            durable,
            live,
            secret,
            secrets,
        }));
        Ok((runtime, parts))
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
        self.submit_in(events, None).await
    }

    /// The same, for events that are part of a trace. That of the events themselves, where
    /// they have one, is followed in any case.
    ///
    /// # Errors
    ///
    /// If the runtime has ended.
    pub async fn submit_in(&self, events: Vec<Event>, trace: Option<&Trace>) -> Result<Pending, Stopped> {
        let traced = self.traced(&events, trace);
        self.0.entrance.submit(events, traced).await.map(Pending)
    }

    /// Takes events if there is room for all of them.
    ///
    /// # Errors
    ///
    /// If there is not, with the events; or if the runtime has ended.
    pub fn try_submit(&self, events: Vec<Event>) -> Result<Pending, SubmitError> {
        self.try_submit_in(events, None)
    }

    /// The same, for events that are part of a trace.
    ///
    /// # Errors
    ///
    /// If there is no room, with the events; or if the runtime has ended.
    pub fn try_submit_in(&self, events: Vec<Event>, trace: Option<&Trace>) -> Result<Pending, SubmitError> {
        let traced = self.traced(&events, trace);
        match self.0.entrance.try_submit(events, traced) {
            Ok(reply) => Ok(Pending(reply?)),
            Err((_, events)) => Err(SubmitError::Full { events }),
        }
    }

    fn traced(&self, events: &[Event], trace: Option<&Trace>) -> Option<Box<Traced>> {
        Traced::of(self.0.traces.as_ref()?, trace, events)
    }

    /// Where traces go, if they are collected.
    pub fn traces(&self) -> Option<&Arc<dyn Sink>> {
        self.0.traces.as_ref()
    }

    /// Judges the verdict events that an earlier process left out when it was killed, with
    /// the policies that are in force now. Otherwise they come with the first events. Waits
    /// until these, and those about everything that was submitted before, are recorded: the
    /// answer to an event does not wait for the one about its verdict.
    ///
    /// # Errors
    ///
    /// If the runtime has ended.
    pub async fn catch_up(&self) -> Result<(), Stopped> {
        let (done, caught_up) = oneshot::channel();
        self.0.entrance.change(Change::CatchUp { done })?;
        caught_up.await.map_err(|_| Stopped)
    }

    /// Loads a component with settings and puts it in force between two batches,
    /// in the place of the release of the same policy, if there is one.
    ///
    /// # Errors
    ///
    /// Why it is not taken; the release in force stays.
    pub async fn install(&self, component: Vec<u8>, settings: Vec<u8>) -> Result<Swap, LoadError> {
        let _guard = self.0.changing.lock().await;
        self.put_in_force(None, Offer::development(component.into(), settings.into()), Grant::development(), By::new(DEVELOPMENT)).await
    }

    /// What a publisher was granted, for [`Runtime::install_for`]. Its pseudonyms are
    /// derived from the ledger's secret, so they stay the same as long as the data
    /// directory does; without one they are others after each start.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the grant, each with its key.
    pub fn grant(&self, name: &str, publisher: &Publisher) -> Result<Grant, Vec<String>> {
        Grant::of(name, publisher, &self.0.secret)
    }

    /// Installs a component of a publisher, which sees what the publisher was granted.
    ///
    /// # Errors
    ///
    /// Why it is not taken, which may be that it asks for more; the release in force
    /// stays.
    pub async fn install_for(&self, grant: Grant, component: Vec<u8>, settings: Vec<u8>) -> Result<Swap, LoadError> {
        let _guard = self.0.changing.lock().await;
        self.put_in_force(None, Offer::development(component.into(), settings.into()), grant, By::new(DEVELOPMENT)).await
    }

    /// Installs a component that must be the policy of this name.
    ///
    /// # Errors
    ///
    /// Why it is not taken; the release in force stays.
    pub async fn install_as(&self, name: &str, component: Vec<u8>, settings: Vec<u8>) -> Result<Swap, LoadError> {
        self.revise(name, Revision { component: Some(component), settings: Some(settings), ..Revision::default() }).await
    }

    /// Replaces the component of a policy and keeps the rest.
    ///
    /// # Errors
    ///
    /// Why it is not taken; the release in force stays.
    pub async fn replace_component(&self, name: &str, component: Vec<u8>) -> Result<Swap, LoadError> {
        self.revise(name, Revision { component: Some(component), ..Revision::default() }).await
    }

    /// Gives a policy in force other settings.
    ///
    /// # Errors
    ///
    /// Why they are not taken; the release in force stays.
    pub async fn reconfigure(&self, name: &str, settings: Vec<u8>) -> Result<Swap, LoadError> {
        self.revise(name, Revision { settings: Some(settings), ..Revision::default() }).await
    }

    /// Changes a part of a policy in force, or several at once, and keeps the others, what
    /// it was granted among them. A policy that is not in force yet needs at least its
    /// component; its settings are `{}` if there are none.
    ///
    /// # Errors
    ///
    /// Why the change is not taken; the release in force stays.
    pub async fn revise(&self, name: &str, revision: Revision) -> Result<Swap, LoadError> {
        let _guard = self.0.changing.lock().await;
        let Revision { component, settings, lists, spare, by } = revision;
        let by = by.unwrap_or_else(|| By::new(DEVELOPMENT));
        let standing = self.installed(name);
        let component = component.map(Arc::from).or_else(|| standing.as_ref().map(|standing| standing.component.clone()));
        let Some(component) = component else { return Err(LoadError::NotInForce { name: name.to_string() }) };
        let settings = settings.map(Arc::from).or_else(|| standing.as_ref().map(|standing| standing.settings.clone()));
        let settings = settings.unwrap_or_else(|| b"{}".as_slice().into());
        let in_force = || standing.as_ref().map(|standing| standing.image.lists().to_vec()).unwrap_or_default();
        let spare = spare.unwrap_or_else(in_force);
        let grant = standing.map_or_else(Grant::development, |standing| standing.grant);
        self.put_in_force(Some(name), Offer { lists, spare, ..Offer::development(component, settings) }, grant, by).await
    }

    async fn put_in_force(&self, name: Option<&str>, offer: Offer, grant: Grant, by: By) -> Result<Swap, LoadError> {
        let publisher = grant.publisher().map(str::to_string);
        let installed = self.take(name, Offer { publisher, grant, ..offer }).await?;
        self.order(Order::Install(Box::new(installed)), by).await
    }

    /// Takes a policy out of force. Returns the first event that it does not
    /// judge any more. Its states are forgotten.
    ///
    /// # Errors
    ///
    /// If there is none of that name.
    pub async fn remove(&self, name: &str) -> Result<u64, RemoveError> {
        self.remove_by(name, By::new(DEVELOPMENT)).await
    }

    /// The same, done by somebody.
    ///
    /// # Errors
    ///
    /// If there is none of that name.
    pub async fn remove_by(&self, name: &str, by: By) -> Result<u64, RemoveError> {
        let _guard = self.0.changing.lock().await;
        let removed = self.order(Order::Remove { policy: name.to_string() }, by).await;
        removed.map(|swap| swap.sequence).map_err(|error| match error {
            LoadError::Stopped => RemoveError::Stopped(Stopped),
            _ => RemoveError::NotInForce(name.to_string()),
        })
    }

    /// Declares heartbeats ([`Limits::heartbeats`]) in the place of those before, behind
    /// everything that was submitted before. How long a source has been silent goes on
    /// counting; one that had no heartbeat is listened for from now on.
    ///
    /// # Errors
    ///
    /// If the runtime has ended, or the system gives no thread.
    pub async fn declare_heartbeats(&self, declared: BTreeMap<String, u64>) -> std::io::Result<()> {
        let mut ticks = self.0.ticks.lock().await;
        if !*ticks && Heartbeats::new(&declared).is_on() {
            heartbeats::tick(self.0.entrance.weak())?;
            *ticks = true;
        }
        self.0.entrance.change(Change::Heartbeats(declared)).map_err(std::io::Error::other)
    }

    /// Records an entry of another ledger that comes of nothing that is done here, such as
    /// the silence of a source, behind everything that was submitted before: for a replay
    /// of that ledger. Gives its sequence here, once it is recorded.
    ///
    /// # Errors
    ///
    /// If it is none, or if the runtime has ended.
    pub async fn take_over(&self, line: &str) -> Result<u64, TakeOverError> {
        let entry = Entry::parse_canonical(line.as_bytes()).map_err(|error| TakeOverError::NotAnEntry(error.to_string()))?;
        let subject = entry.subject();
        // Of keeping events only a replay can say what another ledger does.
        let is_of_content = matches!(subject, Subject::Keep | Subject::Erasure);
        if !subject.is_taken_over() || is_of_content && !self.0.log.as_ref().is_some_and(|log| log.is_replay()) {
            return Err(TakeOverError::Made(subject.name()));
        }
        let (reply, taken) = oneshot::channel();
        self.0.entrance.change(Change::TakeOver { line: line.to_string(), reply })?;
        Ok(taken.await.map_err(|_| Stopped)?)
    }

    /// Notes that the configuration was changed while the runtime was there, behind
    /// everything that was submitted before: each change as a sentence of its own, without
    /// anything secret. Nothing comes of it where nothing is kept.
    ///
    /// # Errors
    ///
    /// If the runtime has ended.
    pub async fn note_configuration(&self, changed: &[String], reason: &str) -> Result<(), Stopped> {
        if self.0.log.is_none() {
            return Ok(());
        }
        let entry = ConfigurationEntry::new(changed, CONFIGURATION, reason, now_micros());
        let mut line = Vec::new();
        // Its texts are bounded far below what an entry may have.
        let written = Entry::Configuration(0, entry).write(&mut line).ok().and_then(|()| String::from_utf8(line).ok());
        let Some(line) = written else { return Ok(()) };
        let (reply, taken) = oneshot::channel();
        self.0.entrance.change(Change::TakeOver { line, reply })?;
        taken.await.map(drop).map_err(|_| Stopped)
    }

    /// The releases that are judged with, by the names of their policies; of one policy
    /// first those in force, by the time from which on, then the one that is tried out.
    pub fn policies(&self) -> Vec<Standing> {
        let standing = self.0.standing.read().unwrap_or_else(PoisonError::into_inner);
        let view = |installed: &Installed, stale| Standing {
            release: installed.image.release().clone(),
            mode: installed.mode,
            share: installed.share,
            validity: installed.validity,
            statement: installed.statement,
            since: installed.since,
            stale,
            shown: installed.gate.shown(),
            grant: installed.grant.clone(),
        };
        standing.values().flat_map(|line| line.releases().map(|installed| view(installed, line.stale))).collect()
    }

    /// Whether a release, by the digest of its signed statement, was taken back here: by
    /// its publisher or by hand. It is not to be put in force again.
    pub fn is_withdrawn(&self, statement: &Digest) -> bool {
        self.0.withdrawn.read().unwrap_or_else(PoisonError::into_inner).has(statement)
    }

    fn installed(&self, name: &str) -> Option<Installed> {
        let standing = self.0.standing.read().unwrap_or_else(PoisonError::into_inner);
        standing.get(name).and_then(|line| line.current()).cloned()
    }

    /// What it counts. Gauges are as of now.
    pub fn stats(&self) -> &Stats {
        let Inner { stats, entrance, failure, log, durable, .. } = &*self.0;
        stats.waiting.set(entrance.waiting() as i64);
        stats.waiting_bytes.set(entrance.waiting_bytes() as i64);
        stats.failed.set(failure.get().is_some().into());
        if log.is_some() {
            let pending = stats.sequenced.load(Ordering::Relaxed).saturating_sub(*durable.borrow());
            stats.pending.set(i64::try_from(pending).unwrap_or(i64::MAX));
        }
        stats
    }

    /// How blind it has been since it started: for how long events got a verdict that a
    /// policy in force has no part in, and why.
    pub fn blindness(&self) -> Blindness {
        self.0.eyes.blindness(now_micros())
    }

    /// The ledger, for reading; absent without a data directory.
    pub fn log(&self) -> Option<&Arc<Log>> {
        self.0.log.as_ref()
    }

    /// The data directory; absent if nothing is kept.
    pub fn data(&self) -> Option<&Path> {
        self.0.data.as_deref()
    }

    /// What its sandbox is made of: limits, the binary that loads components, and where
    /// compiled code is kept.
    pub(crate) fn sandbox(&self) -> (&sandbox::Limits, &Path, Option<&Path>) {
        self.0.loader.origin()
    }

    /// What stands for a policy's key in the ledger's entries.
    pub(crate) fn key_name(&self, policy: &str, key: &[u8]) -> Option<Digest> {
        self.0.secrets.as_ref().map(|secrets| secrets.key(policy, key))
    }

    /// The salt of the commitments to what policies saw of an event; absent without a ledger.
    pub(crate) fn salt(&self, event: &Event) -> Option<[u8; 32]> {
        self.0.secrets.as_ref().map(|secrets| secrets.salt(event.source(), event.id()))
    }

    /// What a policy in force remembers of a key, behind everything that was submitted
    /// before.
    pub(crate) async fn state(&self, policy: &str, key: Key) -> Result<Option<Vec<u8>>, String> {
        let (reply, state) = oneshot::channel();
        let look = Change::Look { policy: policy.to_string(), key, reply };
        self.0.entrance.change(look).map_err(|stopped| stopped.to_string())?;
        state.await.map_err(|_| Stopped.to_string())?
    }

    /// What an answer means for the disk; nothing is kept without a data directory.
    pub fn durability(&self) -> Option<Durability> {
        self.log().map(|log| log.durability())
    }

    /// Signs a text with the ledger's key; absent without a ledger, or if the text cannot
    /// be that of a note (C2SP signed-note).
    pub fn sign(&self, text: &str) -> Option<Note> {
        self.0.log.as_ref()?.sign_text(text)
    }

    /// The sequence of the last committed entry, and every later one.
    pub fn durable(&self) -> watch::Receiver<u64> {
        self.0.durable.clone()
    }

    /// Gives this handle up and, once it was the last one, waits until everything that
    /// was submitted is judged and recorded, and the ledger is closed.
    pub async fn close(self) {
        let mut durable = self.durable();
        let ended = self.0.contents.as_ref().map(|contents| contents.ended.clone());
        drop(self);
        while durable.changed().await.is_ok() {}
        if let Some(mut ended) = ended {
            while ended.changed().await.is_ok() {}
        }
    }

    /// Why it takes nothing any more, if its ledger failed.
    pub fn failure(&self) -> Option<&str> {
        self.0.failure.get().map(String::as_str)
    }

    /// Whether it takes events: false once the thread that judges has ended, or the one that
    /// commits.
    pub fn is_ready(&self) -> bool {
        // The spine learns that nothing is committed any more from the next event only.
        let commits = self.0.log.is_none() || self.0.durable.has_changed().is_ok();
        commits && !self.0.entrance.is_closed()
    }

    /// Whether one of its threads ended by an error of this program: it takes nothing any
    /// more, and no disk is the reason. What was answered for is recorded, and a start goes
    /// on from there.
    pub fn is_broken(&self) -> bool {
        !self.is_ready() && self.failure().is_none()
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
