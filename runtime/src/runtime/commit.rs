//! The thread that waits for the disk: what the spine has judged becomes durable
//! here, and only then are the answers given.
//!
//! While one sync runs, the spine judges what comes next; whatever has come together
//! in the meantime shares the next sync.

use std::collections::BTreeMap;
use std::io;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::admit::Slot;
use super::keep::Keeping;
use super::verdicts::Live;
use crate::ledger::kept::Writer;
use crate::ledger::{self, Answer, Batch, Committed, Ledger, Line, Recorded, Refusal, WriteError};
use crate::sequencer::Submission;
use crate::stats::{OutcomeLabel, StageLabel, Stats, observe};
use crate::trace::{Outcome, Traced, Way};
use crate::verdict::{Decision, Verdict};

/// Judged batches that wait for the disk; with more the spine waits.
const WAITING_MAX: usize = 8;

/// Bytes of entries that share a sync, about: a larger record takes longer to write
/// than waiting for the next sync.
const GROUP_BYTES_MAX: usize = 8 << 20;

/// What a batch leaves behind, and who waits for it.
#[derive(Default)]
pub(super) struct Work {
    pub batch: Batch,
    pub submissions: Vec<Waiting>,
    /// Whoever waits for a change of the policies.
    pub changes: Vec<Box<dyn FnOnce() + Send>>,
    /// What is kept of earlier events is not to be written to any more.
    pub ends_segment: bool,
    /// When its stages were, if somebody follows it.
    pub way: Option<Box<Way>>,
}

/// A submission that was judged.
pub(super) struct Waiting {
    pub submission: Submission,
    /// One per event.
    pub slots: Vec<Slot>,
    /// Of the new events, with their sequences.
    pub verdicts: Vec<(u64, Verdict)>,
}

/// Where judged batches go.
pub(super) enum Keeper {
    /// Nowhere: they are answered at once.
    Memory { stats: Arc<Stats>, live: Live },
    /// To the thread that commits them.
    Disk(SyncSender<Work>),
}

/// The thread that commits has ended.
#[derive(Debug)]
pub(super) struct Ended;

impl Keeper {
    /// Makes the one who commits to a ledger, and before it the one who keeps events,
    /// where they are kept.
    pub fn disk(
        ledger: Ledger,
        events: Option<Writer>,
        checkpoint_interval: Duration,
        stats: Arc<Stats>,
        failure: Arc<OnceLock<String>>,
        durable: watch::Sender<u64>,
        placed: Sender<Vec<u64>>,
    ) -> (Keeper, Stages) {
        let (sender, waiting) = mpsc::sync_channel(WAITING_MAX);
        let keeping = events.map(|writer| Keeping::new(writer, sender.clone(), stats.clone(), failure.clone()));
        let committer = Committer { ledger, checkpoint_interval, checkpointed: Instant::now(), stats, failure, durable, placed };
        match keeping {
            None => (Keeper::Disk(sender), Stages { keeping: None, committer, waiting }),
            Some(keeping) => {
                let (sender, first) = mpsc::sync_channel(WAITING_MAX);
                (Keeper::Disk(sender), Stages { keeping: Some((keeping, first)), committer, waiting })
            }
        }
    }

    /// Takes a batch: makes it durable, then answers.
    pub fn take(&self, work: Work) -> Result<(), Ended> {
        match self {
            Keeper::Memory { stats, live } => {
                live.tell(&work);
                reply(work, ledger::in_memory(), &Known::new(), stats);
                Ok(())
            }
            Keeper::Disk(sender) => sender.send(work).map_err(|_| Ended),
        }
    }
}

/// What a judged batch goes through on its way to the disk.
pub(super) struct Stages {
    /// Who keeps events, and what waits for that; absent where they are not kept.
    pub keeping: Option<(Keeping, Receiver<Work>)>,
    pub committer: Committer,
    /// What waits to be committed.
    pub waiting: Receiver<Work>,
}

impl Stages {
    /// Starts a thread for each. They end when nobody can give them work any more, or
    /// when something cannot be written; then `failure` says why.
    pub fn start(self) -> io::Result<()> {
        let Stages { keeping, committer, waiting } = self;
        if let Some((keeping, waiting)) = keeping {
            std::thread::Builder::new().name("keep".into()).spawn(move || keeping.run(&waiting))?;
        }
        std::thread::Builder::new().name("commit".into()).spawn(move || committer.run(&waiting)).map(drop)
    }
}

pub(super) struct Committer {
    ledger: Ledger,
    pub checkpoint_interval: Duration,
    checkpointed: Instant,
    stats: Arc<Stats>,
    failure: Arc<OnceLock<String>>,
    /// Sequence of the last entry that is committed.
    durable: watch::Sender<u64>,
    /// For each batch that is, where in the journal its states are.
    placed: Sender<Vec<u64>>,
}

impl Committer {
    fn run(mut self, receiver: &Receiver<Work>) {
        self.stats.lost.set(i64::try_from(self.ledger.lost_bytes()).unwrap_or(i64::MAX));
        let end = loop {
            let wait = self.checkpoint_interval.saturating_sub(self.checkpointed.elapsed());
            let work = match receiver.recv_timeout(wait) {
                Ok(work) => self.group(work, receiver),
                Err(RecvTimeoutError::Timeout) => Vec::new(),
                Err(RecvTimeoutError::Disconnected) => break self.ledger.checkpoint(),
            };
            let done = self.turn(work);
            if done.is_err() {
                break done;
            }
        };
        if let Err(error) = end {
            self.fail(&error);
        }
    }

    /// Commits what waits, and signs a checkpoint when it is time for one.
    pub fn turn(&mut self, group: Vec<Work>) -> Result<(), WriteError> {
        let done = self.commit(group);
        let done = done.and_then(|()| match self.checkpointed.elapsed() >= self.checkpoint_interval {
            true => {
                self.checkpointed = Instant::now();
                self.ledger.checkpoint()
            }
            false => Ok(()),
        });
        self.stats.unsettled.set(i64::try_from(self.ledger.unsettled()).unwrap_or(i64::MAX));
        done.inspect_err(|error| self.fail(error))
    }

    fn fail(&self, error: &WriteError) {
        if self.failure.set(error.to_string()).is_ok() {
            tracing::error!(%error, "The ledger failed; nothing is taken any more");
        }
    }

    /// What waits together with the first, up to a bound.
    fn group(&self, first: Work, receiver: &Receiver<Work>) -> Vec<Work> {
        let mut bytes = first.batch.lines.len();
        let mut group = vec![first];
        while bytes < GROUP_BYTES_MAX
            && let Ok(work) = receiver.try_recv()
        {
            bytes += work.batch.lines.len();
            group.push(work);
        }
        group
    }

    fn commit(&mut self, mut group: Vec<Work>) -> Result<(), WriteError> {
        if group.is_empty() {
            return Ok(());
        }
        let began = Instant::now();
        for way in group.iter_mut().filter_map(|work| work.way.as_deref_mut()) {
            way.stage("wait", way.handed.unwrap_or(began), began);
        }
        // Known before whoever waits is let go and asks why.
        let committed = self.ledger.commit(group.iter().map(|work| &work.batch));
        let committed = committed.inspect_err(|error| self.fail(error))?;
        if group.iter().any(|work| work.ends_segment) {
            // An erasure is carried out next. Its entry must outlive that, also where
            // syncing is left to the operating system.
            self.ledger.settle().inspect_err(|error| self.fail(error))?;
        }
        self.committed(&mut group, began);
        let began = Instant::now();
        let known = self.known(&group, committed);
        let mut firsts = self.ledger.placed().into_iter();
        for work in group {
            let first = if work.batch.states.is_empty() { None } else { firsts.next() };
            // The spine may be gone; then nobody asks where states are.
            let _ = self.placed.send(first.map_or_else(Vec::new, |first| work.batch.places(first)));
            reply(work, committed, &known, &self.stats);
        }
        self.stats.stage("answer", began, None);
        self.durable.send_replace(committed.last());
        Ok(())
    }

    /// Notes how long it took, also for whoever follows one of the batches.
    fn committed(&self, group: &mut [Work], began: Instant) {
        let ended = Instant::now();
        let (batches, entries) = (group.len(), group.iter().map(|work| work.batch.leaves.len()).sum::<usize>());
        let mut example = None;
        for way in group.iter_mut().filter_map(|work| work.way.as_deref_mut()) {
            way.stage("commit", began, ended);
            way.note(vec![("ephor.commit.batches", batches.into()), ("ephor.commit.entries", entries.into())]);
            example.get_or_insert_with(|| way.example.clone());
        }
        let seconds = self.stats.stages.get_or_create(&StageLabel { stage: "commit" });
        observe(&seconds, ended - began, example.as_ref());
        self.stats.last_commit.set((ended - began).as_secs_f64());
    }

    /// The entries that answer events which were here before.
    fn known(&self, group: &[Work], committed: Committed) -> Known {
        let mut wanted: Vec<u64> = group
            .iter()
            .flat_map(|work| &work.submissions)
            .flat_map(|waiting| &waiting.slots)
            .filter_map(|slot| match slot {
                Slot::Again(sequence) | Slot::Reused(sequence) => Some(*sequence),
                Slot::New | Slot::Outside(_) | Slot::Reserved => None,
            })
            .collect();
        wanted.sort_unstable();
        wanted.dedup();
        let mut known = Known::new();
        if !wanted.is_empty() {
            let read = self.ledger.log().read_many(&wanted, |sequence, line| {
                if let Some(recorded) = committed.record(sequence, Line::from(line)) {
                    known.insert(sequence, recorded);
                }
            });
            if let Err(error) = read {
                tracing::error!(%error, "A recorded verdict cannot be read");
            }
        }
        known
    }
}

/// Entries that answer events which were here before, by sequence.
type Known = BTreeMap<u64, Recorded<Line>>;

/// Answers everybody who waits for a batch that is durable.
fn reply(work: Work, committed: Committed, known: &Known, stats: &Stats) {
    let way = work.way;
    for Waiting { mut submission, slots, verdicts } in work.submissions {
        observe(&stats.submission_seconds, submission.submitted.elapsed(), submission.traced.as_deref().and_then(Traced::example));
        let told = submission.traced.take().map(|traced| (traced, outcome(&slots, &verdicts)));
        let mut verdicts = verdicts.into_iter();
        let answers: Option<Vec<Answer>> = slots
            .iter()
            .zip(&submission.events)
            .map(|(slot, event)| {
                let (answer, repeated) = match slot {
                    Slot::New => {
                        let (sequence, verdict) = verdicts.next()?;
                        return committed.record(sequence, verdict).map(Answer::Judged);
                    }
                    Slot::Again(sequence) => (Answer::Again(known.get(sequence)?.clone()), "duplicate"),
                    Slot::Reused(sequence) => {
                        let recorded = ledger::event_digest(known.get(sequence)?.get())?;
                        let refusal = Refusal::IdReused { sequence: *sequence, recorded, sent: *event.digest() };
                        (Answer::Refused(refusal), "id-reused")
                    }
                    Slot::Outside(from) => (Answer::Refused(Refusal::OutsideHorizon { from: ledger::time_text(*from) }), "outside-horizon"),
                    Slot::Reserved => return Some(Answer::Refused(Refusal::Reserved)),
                };
                stats.repeated.get_or_create(&OutcomeLabel { outcome: repeated }).inc();
                Some(answer)
            })
            .collect();
        if let (Some((traced, outcome)), Some(way)) = (told, way.as_deref()) {
            traced.tell(way, &outcome);
        }
        // Without an answer, whoever waits is told that it is not known what became
        // of the events, and sends them again.
        if let Some(answers) = answers {
            // Whoever submitted may be gone; the verdicts are recorded.
            let _ = submission.reply.send((submission.events, answers));
        }
    }
    for done in work.changes {
        done();
    }
}

/// What became of a submission, in counts.
fn outcome(slots: &[Slot], verdicts: &[(u64, Verdict)]) -> Outcome {
    let of = |decision: Decision| verdicts.iter().filter(|(_, verdict)| verdict.decision == decision).count() as u64;
    let again = slots.iter().filter(|slot| matches!(slot, Slot::Again(_))).count() as u64;
    let answers = vec![
        ("ephor.allow", of(Decision::Allow)),
        ("ephor.flag", of(Decision::Flag)),
        ("ephor.undetermined", of(Decision::Undetermined)),
        ("ephor.deny", of(Decision::Deny)),
        ("ephor.again", again),
        ("ephor.refused", (slots.len() - verdicts.len()) as u64 - again),
    ];
    let sequences = verdicts.first().zip(verdicts.last()).map(|((first, _), (last, _))| (*first, *last));
    Outcome { sequences, answers }
}
