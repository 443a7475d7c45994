//! What happens to a batch: project, evaluate, combine, record, answer.
//!
//! One thread does one batch after the other; inside a batch the work is spread
//! over all cores. Whatever happens at a change of policies happens here too,
//! between two batches, and nowhere else.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use rayon::prelude::*;
use tokio::sync::oneshot;

use super::Swap;
use super::set::{Asked, Installed, Member, Set};
use crate::column::Cell;
use crate::event::Event;
use crate::ledger::Ledger;
use crate::policy::Release;
use crate::policy::manifest::Keyed;
use crate::sandbox::{INSTANCES_MAX, Keys, Outcome, Said};
use crate::sequencer::{Limits, Sequencer, Step, Submission};
use crate::state::{self, Form, Handover, Key, States};
use crate::stats::{FaultLabel, FindingLabel, PolicyLabel, Stats, VerdictLabel};
use crate::verdict::{Fault, FaultKind, Finding, Verdict};

/// Rows below which spreading a policy's work over cores costs more than it
/// gives: an instance costs some ten microseconds.
const PART_ROWS_MIN: usize = 128;

/// Rows below which a batch is projected without spreading.
const PROJECT_ROWS_MIN: usize = 256;

/// Stack of the threads that evaluate: wasmtime takes 512 KiB of it for the
/// policy, the rest is ours.
const THREAD_STACK_BYTES: usize = 4 << 20;

/// A change of the policies in force.
pub(super) enum Change {
    Install { installed: Installed, reply: oneshot::Sender<Swap> },
    Remove { name: String, reply: oneshot::Sender<Option<u64>> },
}

pub(super) struct Spine {
    set: Set,
    standing: Arc<RwLock<Vec<Installed>>>,
    states: States,
    /// Bytes of keys and states of one policy.
    state_bytes_max: usize,
    ledger: Ledger,
    pool: rayon::ThreadPool,
    stats: Arc<Stats>,
}

impl Spine {
    /// Starts the thread. It ends when everybody who could submit is gone.
    pub fn start(
        mut sequencer: Sequencer<Change>,
        limits: &Limits,
        standing: Arc<RwLock<Vec<Installed>>>,
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
        let mut spine = Spine {
            set: Set::default(),
            standing,
            states: States::default(),
            state_bytes_max: limits.state_bytes_max,
            ledger: Ledger::new(),
            pool,
            stats,
        };
        std::thread::Builder::new().name("spine".into()).stack_size(THREAD_STACK_BYTES).spawn(move || {
            while let Some(step) = sequencer.next() {
                match step {
                    Step::Batch(submissions) => spine.judge(submissions),
                    Step::Change(change) => spine.change(change),
                }
            }
        })?;
        Ok(())
    }

    fn change(&mut self, change: Change) {
        let mut standing = self.standing.write().unwrap_or_else(PoisonError::into_inner);
        let sequence = self.ledger.next();
        match change {
            Change::Install { mut installed, reply } => {
                installed.since = sequence;
                let release = installed.image.release().clone();
                let keyed = release.manifest.keyed.as_ref();
                let swap = Swap {
                    policy: release.policy().to_string(),
                    release: release.id.clone(),
                    replaced: standing.iter().find(|old| old.name() == release.policy()).map(|old| old.image.release().id.clone()),
                    sequence,
                    state: self.states.hand_over(release.policy(), keyed.map(|keyed| form(&release, keyed))),
                };
                match standing.binary_search_by(|old| old.name().cmp(release.policy())) {
                    Ok(at) => standing[at] = installed,
                    Err(at) => standing.insert(at, installed),
                }
                if swap.state == Handover::Reset {
                    tracing::warn!(policy = swap.policy, "the new release encodes states otherwise; it begins without any");
                }
                let _ = reply.send(swap);
            }
            Change::Remove { name, reply } => {
                let before = standing.len();
                standing.retain(|installed| installed.name() != name);
                let removed = standing.len() < before;
                if removed {
                    self.states.forget(&name);
                }
                let _ = reply.send(removed.then_some(sequence));
            }
        }
        self.set = Set::of(&standing);
        self.stats.policies.set(standing.len() as i64);
    }

    fn judge(&mut self, submissions: Vec<Submission>) {
        let verdicts = {
            let events: Vec<&Event> = submissions.iter().flat_map(|submission| &submission.events).collect();
            self.stats.batches.observe(events.len() as f64);
            let cells = self.project(&events);
            let (outcomes, unreadable) = self.evaluate(&events, &cells);
            self.combine(events.len(), outcomes, unreadable)
        };
        let began = Instant::now();
        let mut recorded = self.ledger.commit(verdicts).into_iter();
        self.stats.stage("record", began.elapsed());
        for Submission { events, reply, .. } in submissions {
            let verdicts = recorded.by_ref().take(events.len()).collect();
            // Whoever submitted may be gone; the verdicts are recorded.
            let _ = reply.send((events, verdicts));
        }
    }

    /// The cells of all rows, one row after the other.
    fn project<'e>(&self, events: &[&'e Event]) -> Vec<Cell<'e>> {
        let began = Instant::now();
        let width = self.set.plan.width();
        let mut cells = vec![Cell::Absent; width * events.len()];
        if width > 0 {
            let row = |(cells, event): (&mut [Cell<'e>], &&'e Event)| self.set.plan.project(event, cells);
            if events.len() < PROJECT_ROWS_MIN {
                cells.chunks_mut(width).zip(events).for_each(row);
            } else {
                self.pool.install(|| cells.par_chunks_mut(width).zip(events).with_min_len(PROJECT_ROWS_MIN / 4).for_each(row));
            }
        }
        self.stats.stage("project", began.elapsed());
        cells
    }

    /// Asks every policy about the events that it is to judge. Returns what they
    /// say by policy, and the rows that could not be given to them.
    fn evaluate<'e>(&mut self, events: &[&'e Event], cells: &[Cell<'e>]) -> (Vec<Answer>, Vec<Unasked>) {
        let began = Instant::now();
        let width = self.set.plan.width();
        let row_of = |row: u32| &cells[row as usize * width..][..width];
        let mut asked = Asked::default();
        let kinds: Vec<usize> = events.iter().map(|event| asked.about(&self.set, event.kind())).collect();
        let mut unreadable = Vec::new();
        let mut tasks = Vec::new();
        for (member, policy) in self.set.members.iter().enumerate() {
            let mut rows = Vec::new();
            for (row, kind) in kinds.iter().enumerate() {
                if !asked.rows[*kind][member] {
                    continue;
                }
                match readable(policy, row_of(row as u32)) {
                    Ok(()) => rows.push(row as u32),
                    Err(detail) => unreadable.push(Unasked { member, row: row as u32, kind: FaultKind::Unreadable, detail }),
                }
            }
            let mut refused = Vec::new();
            self.split(member, rows, row_of, &mut tasks, &mut refused);
            unreadable.extend(refused.into_iter().map(|row| Unasked { member, row, kind: FaultKind::Memory, detail: NO_ROOM.into() }));
        }
        let run = |task: Task| {
            let policy = &self.set.members[task.member];
            let rows = task.rows.iter().map(|row| row_of(*row));
            let view = policy.grant.view(&policy.image.release().manifest, &policy.slots, rows);
            let outcome = policy.image.evaluate(&view, task.keys);
            Answer { member: task.member, rows: task.rows, keys: task.key_of, outcome }
        };
        let answers: Vec<Answer> = match tasks.len() {
            0 => Vec::new(),
            // Waking other threads for a single event would take longer than
            // judging it.
            _ if events.len() < PART_ROWS_MIN => tasks.into_iter().map(run).collect(),
            _ => self.pool.install(|| tasks.into_par_iter().with_max_len(1).map(run).collect()),
        };
        for answer in &answers {
            let label = PolicyLabel { policy: self.set.members[answer.member].image.release().policy().to_string() };
            self.stats.fuel.get_or_create(&label).inc_by(answer.outcome.fuel);
            self.stats.calls.get_or_create(&label).inc_by(answer.outcome.calls.into());
        }
        self.stats.stage("evaluate", began.elapsed());
        (answers, unreadable)
    }

    /// Cuts a policy's rows into parts that can be evaluated side by side: rows
    /// of one key stay together. A row whose key would make the policy's states
    /// larger is refused once they take all the memory that they may have.
    fn split<'c, 'e: 'c>(
        &self,
        member: usize,
        rows: Vec<u32>,
        row_of: impl Fn(u32) -> &'c [Cell<'e>],
        tasks: &mut Vec<Task>,
        refused: &mut Vec<u32>,
    ) {
        let policy = &self.set.members[member];
        if rows.is_empty() {
            return;
        }
        let threads = self.pool.current_num_threads();
        if policy.key_slots.is_empty() {
            let part = rows.len().div_ceil(threads).max(PART_ROWS_MIN);
            tasks.extend(rows.chunks(part).map(|rows| Task { member, rows: rows.to_vec(), keys: None, key_of: Vec::new() }));
            return;
        }
        let name = policy.image.release().policy();
        let parts = rows.len().div_ceil(PART_ROWS_MIN).min(threads);
        let mut cut: Vec<Task> =
            (0..parts).map(|_| Task { member, rows: Vec::new(), keys: Some(Keys::default()), key_of: Vec::new() }).collect();
        let mut places: HashMap<Key, (usize, u32)> = HashMap::new();
        // Known keys may still grow a little; then they are refused too.
        let (bytes, max) = (self.states.bytes(name), self.state_bytes_max);
        let (full, over) = (bytes >= max, bytes >= max + max / 4);
        for row in rows {
            let cells = row_of(row);
            let key = state::key(policy.key_slots.iter().map(|slot| &cells[*slot]));
            if over || full && self.states.get(name, &key).is_none() {
                refused.push(row);
                continue;
            }
            let next = places.len() % parts;
            let (part, index) = *places.entry(key).or_insert_with_key(|key| {
                let task = &mut cut[next];
                task.key_of.push(key.clone());
                if let Some(keys) = &mut task.keys {
                    keys.states.push(self.states.get(name, key).map(<[u8]>::to_vec));
                }
                (next, task.key_of.len() as u32 - 1)
            });
            let task = &mut cut[part];
            task.rows.push(row);
            if let Some(keys) = &mut task.keys {
                keys.of_row.push(index);
            }
        }
        tasks.extend(cut.into_iter().filter(|task| !task.rows.is_empty()));
    }

    /// Puts what the policies say together, event by event, and takes over the
    /// states.
    fn combine(&mut self, events: usize, answers: Vec<Answer>, unreadable: Vec<Unasked>) -> Vec<Verdict> {
        let began = Instant::now();
        let mut said: Vec<(Vec<Finding>, Vec<Fault>)> = (0..events).map(|_| (Vec::new(), Vec::new())).collect();
        let release_of = |member: usize| self.set.members[member].image.release();
        let fault = |release: &Arc<Release>, kind: FaultKind, detail: String| {
            self.stats.faults.get_or_create(&FaultLabel { policy: release.policy().to_string(), fault: kind.name() }).inc();
            Fault { release: release.clone(), kind, detail }
        };
        for Unasked { member, row, kind, detail } in unreadable {
            said[row as usize].1.push(fault(release_of(member), kind, detail));
        }
        for answer in answers {
            let release = release_of(answer.member);
            for (row, what) in answer.outcome.said {
                let (findings, faults) = &mut said[answer.rows[row as usize] as usize];
                match what {
                    Said::Finding(rule, evidence) => {
                        let finding = Finding { release: release.clone(), rule, evidence };
                        let label = FindingLabel { policy: release.policy().to_string(), rule: finding.rule().id.clone() };
                        self.stats.findings.get_or_create(&label).inc();
                        findings.push(finding);
                    }
                    Said::Fault(kind, detail) => faults.push(fault(release, kind, detail)),
                }
            }
            let keys = answer.keys;
            let changes = answer.outcome.states.into_iter().map(|(key, state)| (keys[key as usize].clone(), state));
            self.states.apply(release.policy(), changes);
        }
        self.stats.state_keys.set(self.states.keys() as i64);
        let mut counts = [0u64; 4];
        let verdicts: Vec<Verdict> = said
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
        verdicts
    }
}

/// Some rows of one policy.
struct Task {
    member: usize,
    /// Places in the batch, ascending.
    rows: Vec<u32>,
    keys: Option<Keys>,
    /// The keys themselves, as `keys` numbers them.
    key_of: Vec<Key>,
}

/// What a policy said about some rows.
struct Answer {
    member: usize,
    rows: Vec<u32>,
    keys: Vec<Key>,
    outcome: Outcome,
}

/// A row that a policy could not be given.
struct Unasked {
    member: usize,
    row: u32,
    kind: FaultKind,
    detail: String,
}

/// What is said of a row whose key has no state yet when there is no room for one.
const NO_ROOM: &str = "the policy's states take all the memory that they may have";

/// The form of a release's states.
fn form(release: &Release, keyed: &Keyed) -> Form {
    let fields = keyed.key.iter().filter_map(|field| release.manifest.fields.get(usize::from(*field)));
    Form { version: keyed.state_version, key: fields.map(|field| (field.pointer.clone(), field.kind)).collect() }
}

/// Whether a row has what a policy declares (`wit/manifest.wit`, `required`).
fn readable(policy: &Member, cells: &[Cell<'_>]) -> Result<(), String> {
    let fields = &policy.image.release().manifest.fields;
    for (field, slot) in fields.iter().zip(&policy.slots) {
        match &cells[*slot] {
            Cell::Absent if field.required => return Err(format!("{} is missing; it must be {}", field.pointer, field.kind.noun())),
            Cell::Mistyped(found) => return Err(format!("{} is {found}; it must be {}", field.pointer, field.kind.noun())),
            _ => {}
        }
    }
    Ok(())
}
