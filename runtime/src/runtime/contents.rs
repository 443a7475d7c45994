//! The content of events that were judged: reading it, and erasing it.

use std::io;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::{oneshot, watch};

use super::Runtime;
use super::change::{By, Change, bounded};
use crate::content::Content;
use crate::ledger::entry::{Entry, ErasureEntry, Time};
use crate::ledger::kept::{Archive, Erasure, Expired};
use crate::ledger::{Kept, KeptError, LogError};
use crate::sequencer::{Stopped, WeakEntrance, now_micros};

/// So often it is looked whether the time of some events is over.
const LOOK: Duration = Duration::from_secs(3_600);

/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;

/// Bytes of the longest source, id or subject that an event can have.
const NAME_BYTES_MAX: usize = 4 << 10;

/// An event as it came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawEvent {
    /// Of its entry.
    pub sequence: u64,
    /// What came in; its digest stands in the entry.
    pub content: Content<'static>,
    /// With it anybody can check the commitments to what policies saw of it (`columns` in
    /// its entry).
    pub salt: [u8; 32],
}

/// The content of an event is not given.
#[derive(Debug, thiserror::Error)]
pub enum RawEventError {
    /// There is no such entry.
    #[error("there is no entry {0}")]
    Unknown(u64),
    /// The entry is about something else.
    #[error("entry {sequence} is about a {about}, not about an event")]
    NoEvent {
        /// Which entry.
        sequence: u64,
        /// What it is about.
        about: &'static str,
    },
    /// Only its digest is there.
    #[error("of the event with sequence {0} only the digest in its entry was kept, or the time for which it was kept is over")]
    NotKept(u64),
    /// Somebody had it erased.
    #[error("the content of the event with sequence {sequence} was erased, which entry {by} says")]
    Erased {
        /// Which event.
        sequence: u64,
        /// The sequence of the entry that says so.
        by: u64,
    },
    /// What is kept cannot be read.
    #[error(transparent)]
    Read(#[from] KeptError),
    /// The entry cannot be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// It is not the event that was judged.
    #[error("what is kept of the event with sequence {0} has another digest than its entry says; check the whole data directory")]
    Changed(u64),
}

/// Which events lose their content: all before now of which everything holds that is said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Erase {
    /// Those about this subject.
    pub subject: Option<String>,
    /// Those of this source.
    pub source: Option<String>,
    /// The one with this id; only together with its source.
    pub id: Option<String>,
}

impl Erase {
    fn check(&self) -> Result<(), EraseError> {
        let named = match self {
            Erase { subject: Some(_), id: None, .. } => true,
            Erase { source: Some(_), id: Some(_), .. } => true,
            Erase { subject: None, .. } | Erase { subject: Some(_), source: None, id: Some(_) } => false,
        };
        let can_be = |name: &String| (1..=NAME_BYTES_MAX).contains(&name.len()) && !name.chars().any(char::is_control);
        let fits = |name: &Option<String>| name.as_ref().is_none_or(can_be);
        if named && [&self.subject, &self.source, &self.id].into_iter().all(fits) { Ok(()) } else { Err(EraseError::Unclear) }
    }
}

/// An erasure that was recorded and carried out.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
pub struct Erased {
    /// The sequence of its entry.
    pub sequence: u64,
    /// Events that lost their content.
    pub events: u64,
}

/// Content is not erased.
#[derive(Debug, thiserror::Error)]
pub enum EraseError {
    /// Too little, or nothing that an event could have.
    #[error(
        "which events is not clear: name a subject, or a subject and a source, or a source and an id, each of 1 to {NAME_BYTES_MAX} bytes \
         without control characters"
    )]
    Unclear,
    /// Nothing is kept.
    #[error("nothing but digests is kept of events (ledger.events), so there is nothing to erase")]
    NothingKept,
    /// It is recorded, but the disk did not do it.
    #[error("it is recorded as entry {sequence}, but not carried out: {problem}. It is tried again in an hour, and at the next start")]
    Failed {
        /// The sequence of its entry.
        sequence: u64,
        /// What failed.
        problem: String,
    },
    /// The runtime has ended.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// An erasure that is recorded, and who waits for it.
struct Job {
    erasure: Erasure,
    reply: Option<oneshot::Sender<Result<Erased, EraseError>>>,
}

/// A change that records an erasure. Once that is durable, it is carried out: the thread
/// that commits hands it over, so that erasures are done in the order of their entries.
fn order(entry: ErasureEntry<'static>, jobs: Arc<Sender<Job>>, reply: Option<oneshot::Sender<Result<Erased, EraseError>>>) -> Change {
    let same = entry.clone();
    let recorded = move |sequence| {
        // Without the thread the next start carries it out.
        let _ = jobs.send(Job { erasure: Erasure { sequence, entry: same }, reply });
    };
    Change::Erase { entry, recorded: Box::new(recorded) }
}

/// What is kept of events, for those who read it and have it erased.
pub(super) struct Contents {
    archive: Archive,
    jobs: Arc<Sender<Job>>,
    /// Closed once the thread that erases has ended, and let go of the directory.
    pub ended: watch::Receiver<()>,
}

impl Contents {
    /// Carries out what an earlier process did not come to, and makes the one who erases.
    /// Events are kept for so many days after they arrived, if that is said.
    pub fn new(archive: Archive, days: Option<u16>, erasures: &[Erasure], entrance: WeakEntrance<Change>) -> io::Result<(Self, Erasing)> {
        let behind = archive.catch_up(erasures).map_err(|error| io::Error::other(error.to_string()))?;
        let (jobs, receiver) = mpsc::channel();
        let jobs = Arc::new(jobs);
        let eraser = Eraser { archive: archive.clone(), days, entrance, jobs: Arc::downgrade(&jobs), behind };
        let (ending, ended) = watch::channel(());
        Ok((Contents { archive, jobs, ended }, Erasing { eraser, jobs: receiver, ending }))
    }
}

/// Who erases, and what is to be erased.
pub(super) struct Erasing {
    eraser: Eraser,
    jobs: Receiver<Job>,
    ending: watch::Sender<()>,
}

impl Erasing {
    /// Starts the thread. It ends when nobody can ask it any more.
    pub fn start(self) -> io::Result<()> {
        let Erasing { mut eraser, jobs, ending } = self;
        let run = move || {
            eraser.run(&jobs);
            // The directory first, so that whoever waits can open it again.
            drop(eraser);
            drop(ending);
        };
        std::thread::Builder::new().name("erase".into()).spawn(run).map(drop)
    }

    /// For the simulation: does one thing that is to be done. Whether there was one.
    #[cfg(test)]
    pub fn turn(&mut self) -> bool {
        self.jobs.try_recv().map(|job| self.eraser.job(job)).is_ok()
    }
}

struct Eraser {
    archive: Archive,
    days: Option<u16>,
    entrance: WeakEntrance<Change>,
    jobs: Weak<Sender<Job>>,
    /// What is recorded and could not be carried out yet.
    behind: Vec<Erasure>,
}

impl Eraser {
    fn run(&mut self, jobs: &Receiver<Job>) {
        // What was over while nothing ran goes first.
        let mut wait = Duration::ZERO;
        loop {
            match jobs.recv_timeout(wait) {
                Ok(job) => self.job(job),
                Err(RecvTimeoutError::Timeout) => {
                    if wait == LOOK {
                        self.try_again();
                    }
                    wait = LOOK;
                    self.expire();
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn job(&mut self, Job { erasure, reply }: Job) {
        let done = self.carry_out(&erasure);
        if let Some(reply) = reply {
            // Whoever asked may be gone.
            let _ = reply.send(done);
        }
    }

    fn carry_out(&mut self, erasure: &Erasure) -> Result<Erased, EraseError> {
        let sequence = erasure.sequence;
        let done = self.archive.erase(erasure).and_then(|events| {
            // All before it have to be done as well for a start to begin behind it.
            if self.behind.is_empty() {
                self.archive.done(sequence)?;
            }
            Ok(events)
        });
        match done {
            Ok(events) => {
                tracing::info!(entry = sequence, events, "Content of events erased");
                Ok(Erased { sequence, events })
            }
            Err(error) => {
                tracing::error!(entry = sequence, %error, "An erasure is recorded, and could not be carried out; it is tried again");
                self.behind.push(erasure.clone());
                Err(EraseError::Failed { sequence, problem: error.to_string() })
            }
        }
    }

    /// Carries out what could not be before.
    fn try_again(&mut self) {
        for erasure in std::mem::take(&mut self.behind) {
            let _ = self.carry_out(&erasure);
        }
    }

    /// Has the events erased whose time is over.
    fn expire(&self) {
        let (Some(days), Some(jobs)) = (self.days, self.jobs.upgrade()) else { return };
        let now = now_micros();
        match self.archive.expired(now.saturating_sub(i64::from(days) * DAY)) {
            // What is behind is to be tried again, not recorded again.
            Ok(Some(Expired { through })) if !self.behind.iter().any(|erasure| erasure.entry.through >= Some(through)) => {
                let entry = ErasureEntry {
                    source: None,
                    id: None,
                    subject: None,
                    through: Some(through),
                    by: "ephor".into(),
                    reason: Some(format!("kept for {days} days").into()),
                    at: Time::from_micros(now),
                };
                // If the runtime has ended, the next one does it.
                let _ = self.entrance.change(order(entry, jobs, None));
            }
            Ok(_) => {}
            Err(error) => tracing::error!(%error, "It is not known whether the time of some events is over; the next look is in an hour"),
        }
    }
}

impl Runtime {
    /// An event as it came in, if that is kept. Reads the disk.
    ///
    /// # Errors
    ///
    /// Why it is not there, or cannot be read.
    pub fn raw_event(&self, sequence: u64) -> Result<RawEvent, RawEventError> {
        let log = self.0.log.as_ref().filter(|log| (1..=log.size()).contains(&sequence)).ok_or(RawEventError::Unknown(sequence))?;
        let mut line = String::new();
        log.read_many(&[sequence], |_, text| line = text.to_string()).map_err(LogError::from)?;
        let entry = Entry::parse(line.as_bytes()).map_err(|_| RawEventError::Unknown(sequence))?;
        let Entry::Event(entry) = &entry else { return Err(RawEventError::NoEvent { sequence, about: entry.subject().name() }) };
        let contents = self.0.contents.as_ref().ok_or(RawEventError::NotKept(sequence))?;
        match contents.archive.get(sequence)? {
            None => Err(RawEventError::NotKept(sequence)),
            Some(Kept::Erased { by }) => Err(RawEventError::Erased { sequence, by }),
            Some(Kept::Content(content)) if content.digest() != entry.digest => Err(RawEventError::Changed(sequence)),
            Some(Kept::Content(content)) => {
                // Whoever has a ledger has its secrets.
                let secrets = self.0.secrets.as_ref().ok_or(RawEventError::Unknown(sequence))?;
                Ok(RawEvent { sequence, content, salt: secrets.salt(&entry.source, &entry.id) })
            }
        }
    }

    /// Takes the content of events away for good, and records that. Their entries stay,
    /// and with them what proves that they were judged, and how. Done once it returns.
    ///
    /// # Errors
    ///
    /// Why not, or not yet.
    pub async fn erase(&self, erase: Erase, by: By) -> Result<Erased, EraseError> {
        erase.check()?;
        let contents = self.0.contents.as_ref().ok_or(EraseError::NothingKept)?;
        let Erase { subject, source, id } = erase;
        let entry = ErasureEntry {
            source: source.map(Into::into),
            id: id.map(Into::into),
            subject: subject.map(Into::into),
            through: None,
            by: bounded(&by.who).to_string().into(),
            reason: by.reason.map(|reason| bounded(&reason).to_string().into()),
            at: Time::from_micros(by.at.unwrap_or_else(now_micros)),
        };
        let (reply, done) = oneshot::channel();
        self.0.entrance.change(order(entry, contents.jobs.clone(), Some(reply)))?;
        done.await.map_err(|_| Stopped)?
    }
}
