//! What happens to a batch: admit, project, evaluate, combine, write down, commit.
//!
//! One thread does one batch after the other; inside a batch the work is spread
//! over all cores. Whatever happens at a change of policies happens here too,
//! between two batches, and nowhere else.

use std::io;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use tokio::sync::oneshot;

use super::Swap;
use super::admit::{Admission, Admitted, Slot};
use super::cold::Shelf;
use super::commit::{Ended, Keeper, Waiting, Work};
use super::evaluate::{Bench, Round, Said, Unasked};
use super::evidence::{About, Evidence};
use super::numbers::Gap;
use super::set::{Installed, Set};
use super::timed::Fired;
use crate::event::Event;
use crate::ledger::{self, StateChange};
use crate::policy::Release;
use crate::policy::manifest::Keyed;
use crate::sandbox::{self, INSTANCES_MAX, LoadError};
use crate::sequencer::{Limits, Sequencer, Step, Submission};
use crate::state::{Form, Handover, Key, States, Timer, Timers};
use crate::stats::{FaultLabel, FindingLabel, Stats, VerdictLabel};
use crate::verdict::{Fault, FaultKind, Finding, Verdict};

/// Stack of the threads that evaluate: wasmtime takes 512 KiB of it for the
/// policy, the rest is ours.
const THREAD_STACK_BYTES: usize = 4 << 20;

/// Policies in force: an entry has to hold what each of them said about an event, and
/// is as long as a tile can hold (64 KiB).
const POLICIES_MAX: usize = 48;

/// A change of the policies in force.
pub(super) enum Change {
    Install { installed: Installed, reply: oneshot::Sender<Result<Swap, LoadError>> },
    Remove { name: String, reply: oneshot::Sender<Option<u64>> },
}

/// What a runtime remembers from before its start.
pub(super) struct Memory {
    pub states: States,
    pub timers: Timers,
    pub admission: Admission,
    /// The sequence of the next entry.
    pub next: u64,
    /// Absent without a ledger.
    pub evidence: Option<Evidence>,
    /// The same.
    pub shelf: Option<Shelf>,
}

pub(super) struct Spine {
    set: Set,
    standing: Arc<RwLock<Vec<Installed>>>,
    memory: Memory,
    /// Bytes of keys and states of one policy.
    state_bytes_max: usize,
    keeper: Keeper,
    pool: rayon::ThreadPool,
    stats: Arc<Stats>,
}

impl Spine {
    /// Starts the thread. It ends when everybody who could submit is gone, or when
    /// nothing can be kept any more.
    pub fn start(
        mut sequencer: Sequencer<Change>,
        limits: &Limits,
        standing: Arc<RwLock<Vec<Installed>>>,
        memory: Memory,
        keeper: Keeper,
        stats: Arc<Stats>,
    ) -> io::Result<()> {
        let threads = match limits.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        };
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads.min(INSTANCES_MAX as usize))
            .stack_size(THREAD_STACK_BYTES)
            .thread_name(|index| format!("evaluate-{index}"))
            .build()
            .map_err(io::Error::other)?;
        let state_bytes_max = limits.state_bytes_max;
        let mut spine = Spine { set: Set::default(), standing, memory, state_bytes_max, keeper, pool, stats };
        std::thread::Builder::new().name("spine".into()).stack_size(THREAD_STACK_BYTES).spawn(move || {
            while let Some(step) = sequencer.next() {
                let done = match step {
                    Step::Batch(submissions) => spine.judge(submissions),
                    Step::Change(change) => spine.change(change),
                };
                // The keeper says why; whoever waits is told that the runtime ended.
                if let Err(Ended) = done {
                    return;
                }
            }
        })?;
        Ok(())
    }

    fn change(&mut self, change: Change) -> Result<(), Ended> {
        let mut work = Work::default();
        work.batch.first = self.memory.next;
        match change {
            Change::Install { installed, reply } => {
                let swap = self.install(installed, &mut work.batch.states);
                work.changes.push(Box::new(move || {
                    // Whoever asked may be gone; the release is in force.
                    let _ = reply.send(swap);
                }));
            }
            Change::Remove { name, reply } => {
                let mut standing = self.standing.write().unwrap_or_else(PoisonError::into_inner);
                let before = standing.len();
                standing.retain(|installed| installed.name() != name);
                let removed = standing.len() < before;
                if removed && self.memory.states.forget(&name) {
                    self.memory.timers.forget(&name);
                    work.batch.states.push(StateChange::Forgotten { policy: name.as_str().into() });
                }
                let sequence = self.memory.next;
                work.changes.push(Box::new(move || {
                    let _ = reply.send(removed.then_some(sequence));
                }));
            }
        }
        let standing = self.standing.read().unwrap_or_else(PoisonError::into_inner);
        self.set = Set::of(&standing);
        self.stats.policies.set(standing.len() as i64);
        drop(standing);
        self.memory.states.hand_in();
        self.keeper.take(work)
    }

    /// Puts a release in force, with the states of the one before by the rule that it
    /// declares. If they cannot be handed over, everything stays as it is.
    fn install(&mut self, mut installed: Installed, changes: &mut Vec<StateChange>) -> Result<Swap, LoadError> {
        if self.set.members.len() >= POLICIES_MAX
            && self.set.members.iter().all(|member| member.image.release().policy() != installed.name())
        {
            return Err(LoadError::TooMany { max: POLICIES_MAX });
        }
        let sequence = self.memory.next;
        installed.since = sequence;
        let image = installed.image.clone();
        let release = image.release();
        let policy: Arc<str> = release.policy().into();
        let keyed = release.manifest.keyed.as_ref();
        let form = keyed.map(|keyed| form(release, keyed));
        let (migrates_from, resets) = keyed.map_or((&[][..], true), |keyed| (&keyed.migrates_from, keyed.resets));
        let states = &self.memory.states;
        let (state, other) =
            states.hand_over(&policy, form.as_ref(), migrates_from, resets).map_err(|problem| LoadError::State { problem })?;
        let mut migrated = Vec::new();
        if state == Handover::Migrated {
            let all = self.memory.states.all(&policy, ledger::BATCH_BYTES_MAX, self.memory.archive());
            let (version, before) = all.map_err(|problem| LoadError::State { problem })?;
            let (keys, before): (Vec<Key>, Vec<Vec<u8>>) = before.into_iter().unzip();
            let after = image.migrate(version, &before).map_err(|problem| LoadError::State { problem })?;
            migrated = keys.into_iter().zip(after).collect();
        }
        let timers = if state == Handover::Migrated { self.memory.timers.all(&policy) } else { Vec::new() };
        self.memory.check_size(&policy, &migrated, &timers).map_err(|problem| LoadError::State { problem })?;
        let states = &mut self.memory.states;
        if other {
            self.memory.timers.forget(&policy);
            match form {
                Some(form) => {
                    changes.push(StateChange::Form { policy: policy.clone(), form: form.to_bytes() });
                    states.begin(&policy, form);
                }
                None => {
                    changes.push(StateChange::Forgotten { policy: policy.clone() });
                    states.forget(&policy);
                }
            }
            for (key, state) in migrated {
                changes.push(StateChange::State { policy: policy.clone(), key: key.clone(), state: state.clone() });
                states.apply(&policy, key, state);
            }
            for (key, timer) in timers {
                let kept = Some((timer.at, self.memory.admission.source(timer.source)));
                changes.push(StateChange::Timer { policy: policy.clone(), key: key.clone(), timer: kept });
                self.memory.timers.set(&policy, key, Some(timer));
            }
        }
        if state == Handover::Reset {
            tracing::warn!(%policy, "the new release begins without the states of the one before");
        }
        let mut standing = self.standing.write().unwrap_or_else(PoisonError::into_inner);
        let place = standing.binary_search_by(|old| old.name().cmp(&policy));
        let replaced = match place {
            Ok(at) => Some(std::mem::replace(&mut standing[at], installed).image.release().id.clone()),
            Err(at) => {
                standing.insert(at, installed);
                None
            }
        };
        Ok(Swap { policy: policy.to_string(), release: release.id.clone(), replaced, sequence, state })
    }

    fn judge(&mut self, submissions: Vec<Submission>) -> Result<(), Ended> {
        self.memory.shrink();
        let first = self.memory.next;
        let mut work = Work::default();
        work.batch.first = first;
        let (slots, judged) = {
            let events: Vec<&Event> = submissions.iter().flat_map(|submission| &submission.events).collect();
            self.stats.batches.observe(events.len() as f64);
            let Admitted { mut slots, fresh, course, gaps } = self.memory.admission.admit(&events, first);
            let began = Instant::now();
            let round = Round::project(&self.set, &self.pool, fresh.iter().map(|fresh| events[fresh.at]).collect());
            self.stats.stage("project", began.elapsed());
            self.memory.load(&self.set, &round, &course, &self.stats)?;
            let bench = Bench {
                set: &self.set,
                states: &self.memory.states,
                timers: &self.memory.timers,
                state_bytes_max: self.state_bytes_max,
                pool: &self.pool,
                stats: &self.stats,
            };
            let said = bench.evaluate(&round, &course);
            let judged = self.combine(fresh.len(), said, gaps, &mut work.batch.states);
            self.stats.missing.set(i64::try_from(self.memory.admission.missing()).unwrap_or(i64::MAX));
            if !judged.woken.is_empty() || !judged.gaps.is_empty() {
                // Their entries stand between those of the events.
                self.memory.admission.renumber(&events, &fresh, first, &mut slots, |row| judged.sequence(first, row));
            }
            if let Some(evidence) = &self.memory.evidence {
                let began = Instant::now();
                let about = About { set: &self.set, round: &round, fresh: &fresh, judged: &judged };
                evidence.write(&self.pool, &about, &self.memory.admission, &mut work.batch);
                self.stats.stage("record", began.elapsed());
            }
            (slots, judged)
        };
        self.memory.next = judged.sequence(first, judged.verdicts.len());
        let sequences: Vec<u64> = (0..judged.verdicts.len()).map(|row| judged.sequence(first, row)).collect();
        let (mut slots, mut verdicts) = (slots.into_iter(), sequences.into_iter().zip(judged.verdicts));
        for submission in submissions {
            let slots: Vec<Slot> = slots.by_ref().take(submission.events.len()).collect();
            let new = slots.iter().filter(|slot| **slot == Slot::New).count();
            work.submissions.push(Waiting { submission, slots, verdicts: verdicts.by_ref().take(new).collect() });
        }
        self.memory.states.hand_in();
        self.keeper.take(work)
    }

    /// Puts what the policies say together, event by event and timer by timer, and
    /// takes over states and timers.
    fn combine(&mut self, events: usize, said: Said, gaps: Vec<Gap>, changes: &mut Vec<StateChange>) -> Judged {
        let began = Instant::now();
        let mut heard: Vec<(Vec<Finding>, Vec<Fault>)> = (0..events).map(|_| (Vec::new(), Vec::new())).collect();
        let mut woken = Vec::new();
        let release_of = |member: usize| self.set.members[member].image.release();
        let fault = |release: &Arc<Release>, kind: FaultKind, detail: String| {
            self.stats.faults.get_or_create(&FaultLabel { policy: release.policy().to_string(), fault: kind.name() }).inc();
            Fault { release: release.clone(), kind, detail }
        };
        let hear = |release: &Arc<Release>, what: sandbox::Said, (findings, faults): &mut (Vec<Finding>, Vec<Fault>)| match what {
            sandbox::Said::Finding(rule, evidence) => {
                let finding = Finding { release: release.clone(), rule, evidence };
                let label = FindingLabel { policy: release.policy().to_string(), rule: finding.rule().id.clone() };
                self.stats.findings.get_or_create(&label).inc();
                findings.push(finding);
            }
            sandbox::Said::Fault(kind, detail) => faults.push(fault(release, kind, detail)),
        };
        let Said { parts, unasked } = said;
        for Unasked { member, row, kind, detail } in &unasked {
            heard[*row as usize].1.push(fault(release_of(*member), *kind, detail.clone()));
        }
        let keeps = self.memory.evidence.is_some();
        for part in parts {
            let release = release_of(part.member);
            for (row, what) in part.said {
                hear(release, what, &mut heard[row as usize]);
            }
            let policy: Arc<str> = release.policy().into();
            // A key that is woken again in the same place does not come before itself.
            let mut order = i64::MIN;
            for Fired { place, timer, nth, key, said } in part.fired {
                let mut about = (Vec::new(), Vec::new());
                said.into_iter().for_each(|what| hear(release, what, &mut about));
                let verdict = Verdict::combine(about.0, about.1);
                order = if nth == 0 { timer.at } else { order.max(timer.at) };
                woken.push(Woken { place, order, member: part.member, key, nth, timer, verdict });
            }
            for (key, state) in part.states {
                if keeps {
                    changes.push(StateChange::State { policy: policy.clone(), key: key.clone(), state: state.clone() });
                }
                self.memory.states.apply(&policy, key, state);
            }
            for (key, timer) in part.timers {
                if keeps {
                    let timer = timer.map(|timer| (timer.at, self.memory.admission.source(timer.source)));
                    changes.push(StateChange::Timer { policy: policy.clone(), key: key.clone(), timer });
                }
                self.memory.timers.set(&policy, key, timer);
            }
        }
        woken.sort_by(|a, b| (a.place, a.order, a.member, &a.key, a.nth).cmp(&(b.place, b.order, b.member, &b.key, b.nth)));
        self.stats.timers.set(self.memory.timers.len() as i64);
        self.stats.state_keys.set(self.memory.states.keys() as i64);
        let mut counts = [0u64; 4];
        let verdicts: Vec<Verdict> = heard
            .into_iter()
            .map(|(findings, mut faults)| {
                // Rows that were not given to a policy were taken first; every
                // other fault came in the order of the policies' names.
                if faults.len() > 1 {
                    faults.sort_by(|a, b| a.release.policy().cmp(b.release.policy()));
                }
                let verdict = Verdict::combine(findings, faults);
                counts[verdict.decision as usize] += 1;
                verdict
            })
            .collect();
        for decision in crate::verdict::Decision::ALL {
            self.stats.events.get_or_create(&VerdictLabel { verdict: decision.name() }).inc_by(counts[decision as usize]);
        }
        self.stats.stage("combine", began.elapsed());
        Judged { verdicts, gaps, woken, unasked }
    }
}

/// What was said of a round.
pub(super) struct Judged {
    /// One per event.
    pub verdicts: Vec<Verdict>,
    /// Numbers that sources have left out, by row.
    pub gaps: Vec<Gap>,
    /// Timers that fired, in the order in which they are recorded.
    pub woken: Vec<Woken>,
    /// Rows that policies could not be given.
    pub unasked: Vec<Unasked>,
}

impl Judged {
    /// The sequence of a row's event, if that of the first entry is known; behind the
    /// last row that of the next entry.
    pub fn sequence(&self, first: u64, row: usize) -> u64 {
        let timers = self.woken.partition_point(|woken| woken.place as usize <= row);
        let gaps = self.gaps.partition_point(|gap| gap.place as usize <= row);
        first + (row + timers + gaps) as u64
    }
}

/// A timer that fired, and what its policy said then.
pub(super) struct Woken {
    /// The row before which it fired.
    pub place: u32,
    /// Its place among those that fired there, first by this time.
    order: i64,
    pub member: usize,
    pub key: Key,
    nth: u32,
    pub timer: Timer,
    pub verdict: Verdict,
}

/// The form of a release's states.
fn form(release: &Release, keyed: &Keyed) -> Form {
    let fields = keyed.key.iter().filter_map(|field| release.manifest.fields.get(usize::from(*field)));
    Form { version: keyed.state_version, key: fields.map(|field| (field.pointer.clone(), field.kind)).collect() }
}
