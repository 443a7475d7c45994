//! What happens to a batch: admit, project, evaluate, combine, write down, commit.
//!
//! One thread does one batch after the other; inside a batch the work is spread
//! over all cores. Whatever happens at a change of policies happens here too,
//! between two batches, and nowhere else.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use tokio::sync::oneshot;

use super::admit::{Admission, Admitted, Slot};
use super::blind::Eyes;
use super::change::{self, Change};
use super::cold::Shelf;
use super::commit::{Ended, Keeper, Waiting, Work};
use super::evaluate::{Bench, Round, Said, Took, Unasked};
use super::evidence::{self, About, Echoes, Evidence};
use super::gate::Difference;
use super::line::{Line, Lines};
use super::numbers::Gap;
use super::set::Set;
use super::timed::Fired;
use super::withdrawn::Withdrawn;
use crate::event::Event;
use crate::ledger::StateChange;
use crate::ledger::entry::{Entry, ErasureEntry, KeepEntry};
use crate::policy::Mode;
use crate::sandbox::{self, INSTANCES_MAX};
use crate::sequencer::{Limits, Sequencer, Step, Submission, now_micros};
use crate::state::{Key, States, Timer, Timers};
use crate::stats::{FaultLabel, FindingLabel, OutcomeLabel, StageLabel, Stats, VerdictLabel, observe};
use crate::trace::Way;
use crate::verdict::{Decision, Fault, FaultKind, Finding, Verdict, strictest};

/// Stack of the threads that evaluate: wasmtime takes 512 KiB of it for the
/// policy, the rest is ours.
const THREAD_STACK_BYTES: usize = 4 << 20;

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
    /// The releases that were taken back.
    pub withdrawn: Arc<RwLock<Withdrawn>>,
    /// Verdict events that an earlier process left out.
    pub outstanding: Vec<Event>,
}

/// What is noted before anything else.
pub(super) struct Beginning {
    /// When it counts as started, in microseconds since 1970.
    pub started: Option<i64>,
    /// What is kept of events, if that is something else than before.
    pub keep: Option<KeepEntry<'static>>,
}

pub(super) struct Spine {
    set: Set,
    standing: Arc<RwLock<Lines>>,
    memory: Memory,
    limits: Limits,
    keeper: Keeper,
    pool: rayon::ThreadPool,
    stats: Arc<Stats>,
    eyes: Arc<Eyes>,
    /// Verdict events are submitted, and none is to be made.
    verdict_events_given: bool,
    /// It was said that verdict events are cut off.
    is_cut_noted: bool,
}

impl Spine {
    /// Makes it, with the threads that evaluate.
    pub fn new(
        limits: &Limits,
        standing: Arc<RwLock<Lines>>,
        memory: Memory,
        keeper: Keeper,
        eyes: Arc<Eyes>,
        verdict_events_given: bool,
    ) -> io::Result<Self> {
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
        let (set, limits, stats) = (Set::default(), limits.clone(), eyes.stats());
        Ok(Spine { set, standing, memory, limits, keeper, pool, stats, eyes, verdict_events_given, is_cut_noted: false })
    }

    /// Starts the thread. It ends when everybody who could submit is gone, or when
    /// nothing can be kept any more.
    pub fn start(mut self, mut sequencer: Sequencer<Change>, beginning: Beginning) -> io::Result<()> {
        let run = move || {
            // The keeper says why it ends; whoever waits is told that the runtime ended.
            let mut done = self.begin(beginning);
            while let Ok(()) = done
                && let Some(step) = sequencer.next()
            {
                done = self.step(step);
            }
        };
        std::thread::Builder::new().name("spine".into()).stack_size(THREAD_STACK_BYTES).spawn(run).map(drop)
    }

    /// Does what comes next in the order of everything.
    pub fn step(&mut self, step: Step<Change>) -> Result<(), Ended> {
        match step {
            Step::Batch(submissions) => self.batch(submissions),
            Step::Change(change) => self.change(change),
        }
    }

    /// Notes the start. That of an empty ledger is its beginning, and needs no entry.
    pub fn begin(&mut self, Beginning { started, keep }: Beginning) -> Result<(), Ended> {
        if self.verdict_events_given {
            self.memory.outstanding.clear();
        }
        let first = self.memory.next;
        let mut work = Work::default();
        work.batch.first = first;
        if let Some(at) = started.filter(|_| first > 1) {
            change::start(&mut self.memory, at, &mut work.batch);
        }
        if let Some(keep) = keep {
            change::note(&mut self.memory, Entry::Keep(0, keep), &mut work.batch);
        }
        if self.memory.next == first { Ok(()) } else { self.keep(work) }
    }

    /// Records that the content of events goes.
    fn erase(&mut self, entry: ErasureEntry<'static>, recorded: Box<dyn FnOnce(u64) + Send>) -> Result<(), Ended> {
        let sequence = self.memory.next;
        let mut work = Work::default();
        work.batch.first = sequence;
        work.ends_segment = true;
        change::note(&mut self.memory, Entry::Erasure(0, entry), &mut work.batch);
        work.changes.push(Box::new(move || recorded(sequence)));
        self.keep(work)
    }

    /// Notes which sources have fallen silent.
    fn tick(&mut self, now: i64) -> Result<(), Ended> {
        let silences = self.memory.admission.silences(now);
        self.stats.silent.set(i64::try_from(self.memory.admission.silent()).unwrap_or(i64::MAX));
        if silences.is_empty() {
            return Ok(());
        }
        let mut work = Work::default();
        work.batch.first = self.memory.next;
        for silence in &silences {
            let entry = evidence::silence(&self.memory.admission, silence, now);
            tracing::warn!(source = ?&*entry.source, heartbeat = entry.heartbeat, "A source has fallen silent");
            change::note(&mut self.memory, Entry::Silence(0, entry), &mut work.batch);
        }
        self.keep(work)
    }

    /// Records what another ledger has, as the next entry.
    fn take_over(&mut self, line: &str, reply: oneshot::Sender<u64>) -> Result<(), Ended> {
        // It was read before it was handed in. Without a reply, whoever waits is told that
        // it was not taken.
        let Ok(entry) = Entry::parse(line.as_bytes()) else { return Ok(()) };
        if let Entry::Silence(_, silence) = &entry {
            self.memory.admission.noted_silent(&silence.source);
        }
        let sequence = self.memory.next;
        let mut work = Work::default();
        work.batch.first = sequence;
        change::note(&mut self.memory, entry, &mut work.batch);
        work.changes.push(Box::new(move || {
            // Whoever asked may be gone; the entry is recorded.
            let _ = reply.send(sequence);
        }));
        self.keep(work)
    }

    fn change(&mut self, change: Change) -> Result<(), Ended> {
        let mut work = Work::default();
        work.batch.first = self.memory.next;
        let mut lines = self.lines();
        match change {
            Change::Tick(tick) => return self.tick(tick.now),
            Change::CatchUp { done } => {
                self.catch_up()?;
                work.batch.first = self.memory.next;
                work.changes.push(Box::new(move || {
                    // Whoever asked may be gone; they are recorded.
                    let _ = done.send(());
                }));
                return self.keep(work);
            }
            Change::Heartbeats(declared) => {
                self.memory.admission.declare(&declared, now_micros());
                self.stats.silent.set(i64::try_from(self.memory.admission.silent()).unwrap_or(i64::MAX));
                return Ok(());
            }
            Change::Erase { entry, recorded } => return self.erase(entry, recorded),
            Change::TakeOver { line, reply } => return self.take_over(&line, reply),
            Change::Look { policy, key, reply } => {
                let member = self.set.members.iter().find(|member| member.image.release().policy() == policy);
                let state = member.map(|member| self.memory.state(&member.states, &key));
                // Whoever asked may be gone; nothing is different.
                let _ = reply.send(state.unwrap_or(Ok(None)));
                return Ok(());
            }
            Change::Orders { orders, by, at, reply } => {
                let done = change::carry_out(&mut self.memory, &mut lines, orders, &by, at, &mut work.batch);
                work.changes.push(Box::new(move || {
                    // Whoever asked may be gone; the change is done.
                    let _ = reply.send(done);
                }));
            }
            Change::Restore { lines: restored, dropped, done } => {
                lines.extend(restored);
                let gone = dropped.into_iter().map(|policy| StateChange::Line { policy, line: Vec::new() });
                work.batch.states.extend(gone);
                work.changes.push(Box::new(move || {
                    let _ = done.send(());
                }));
            }
        }
        let heard = self.set.hears_verdicts;
        self.set = Set::of(&lines);
        if self.set.hears_verdicts && !heard && self.memory.evidence.is_none() {
            tracing::warn!("A policy asks about verdicts, and without a data directory there are no events about them");
        }
        self.eyes.open(&self.set);
        self.stats.policies.set(lines.len() as i64);
        *self.standing.write().unwrap_or_else(PoisonError::into_inner) = lines;
        self.keep(work)
    }

    fn keep(&mut self, mut work: Work) -> Result<(), Ended> {
        if let Some(way) = &mut work.way {
            way.handed = Some(Instant::now());
        }
        self.stats.sequenced.store(self.memory.next - 1, Ordering::Relaxed);
        self.memory.states.hand_in();
        self.keeper.take(work)
    }

    fn lines(&self) -> Lines {
        self.standing.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Judges a batch, and the events about its verdicts.
    fn batch(&mut self, submissions: Vec<Submission>) -> Result<(), Ended> {
        self.catch_up()?;
        let takes_own = self.verdict_events_given;
        let events = self.judge(submissions, takes_own)?;
        self.hear(events)
    }

    /// Judges the verdict events that an earlier process left out. Not before there are
    /// events, or somebody says so: the policies that ask about them may have to be put in
    /// force again first.
    fn catch_up(&mut self) -> Result<(), Ended> {
        let outstanding = std::mem::take(&mut self.memory.outstanding);
        if !outstanding.is_empty() {
            tracing::info!(count = outstanding.len(), "Verdict events that were left out by an earlier process come now");
            // They are in this process's count of events.
            self.stats.verdict_events.get_or_create(&OutcomeLabel { outcome: "made" }).inc_by(outstanding.len() as u64);
        }
        self.hear(outstanding)
    }

    /// Judges verdict events, then those about their verdicts, and so on: each is one step
    /// further from what came from outside, and steps are bounded.
    fn hear(&mut self, mut events: Vec<Event>) -> Result<(), Ended> {
        while !events.is_empty() {
            let mut behind = Vec::new();
            let mut rest = events.into_iter();
            loop {
                let (mut some, mut bytes) = (Vec::new(), 0);
                while some.len() < self.limits.batch_events_max
                    && bytes < self.limits.batch_bytes_max
                    && let Some(event) = rest.next()
                {
                    bytes += event.size();
                    some.push(event);
                }
                if some.is_empty() {
                    break;
                }
                behind.extend(self.judge(vec![Submission::own(some)], true)?);
            }
            events = behind;
        }
        Ok(())
    }

    /// Takes note of what comes behind a batch. Gives the events that are to be judged.
    fn echoes(&mut self, echoes: Echoes) -> Vec<Event> {
        let Echoes { events, cut, first_cut } = echoes;
        if let Some(sequence) = first_cut {
            self.stats.verdict_events.get_or_create(&OutcomeLabel { outcome: "cut-off" }).inc_by(cut);
            if !std::mem::replace(&mut self.is_cut_noted, true) {
                let max = self.limits.verdict_depth_max;
                tracing::info!(
                    sequence,
                    max,
                    "No verdict event comes behind this entry: it is at spine.verdict-depth-max; more are counted"
                );
            }
        }
        if self.verdict_events_given {
            return Vec::new();
        }
        if !events.is_empty() {
            self.stats.verdict_events.get_or_create(&OutcomeLabel { outcome: "made" }).inc_by(events.len() as u64);
        }
        events
    }

    /// Judges events together. Gives those about their verdicts, which come next.
    fn judge(&mut self, submissions: Vec<Submission>, takes_own: bool) -> Result<Vec<Event>, Ended> {
        self.memory.shrink();
        let from = now_micros();
        let mut way = Way::of(
            submissions.iter().filter_map(|submission| submission.traced.as_deref()),
            submissions.iter().map(|s| s.events.len()).sum(),
        );
        self.waited(&submissions, way.as_deref());
        let first = self.memory.next;
        let mut work = Work::default();
        work.batch.first = first;
        let mut echoes = Echoes::default();
        let (slots, judged) = {
            let events: Vec<&Event> = submissions.iter().flat_map(|submission| &submission.events).collect();
            let began = Instant::now();
            let Admitted { mut slots, fresh, course, gaps } = self.memory.admission.admit(&events, first, takes_own);
            self.stats.late.inc_by(fresh.iter().filter(|fresh| fresh.late).count() as u64);
            if let Some(oldest) = course.watermarks().map(|(_, watermark)| watermark).min() {
                self.stats.watermark_lag.set(from.saturating_sub(oldest).max(0) as f64 / 1e6);
            }
            self.stats.stage("admit", began, way.as_deref_mut());
            let began = Instant::now();
            let round = Round::project(&self.set, &self.pool, fresh.iter().map(|fresh| events[fresh.at]).collect());
            self.stats.stage("project", began, way.as_deref_mut());
            self.stats.unasked.inc_by(round.unasked());
            self.memory.load(&self.set, &round, &course, &self.stats, way.as_deref_mut())?;
            let bench = Bench {
                set: &self.set,
                states: &self.memory.states,
                timers: &self.memory.timers,
                state_bytes_max: self.limits.state_bytes_max,
                pool: &self.pool,
                stats: &self.stats,
            };
            let began = Instant::now();
            let said = bench.evaluate(&round, &course, way.as_ref().map(|way| &way.example));
            self.stats.stage("evaluate", began, way.as_deref_mut());
            if let Some(way) = &mut way {
                way.policies(said.times(&self.set));
            }
            let began = Instant::now();
            let judged = self.combine(&round, said, gaps, &mut work.batch.states);
            self.stats.stage("combine", began, way.as_deref_mut());
            self.stats.missing.set(i64::try_from(self.memory.admission.missing()).unwrap_or(i64::MAX));
            self.stats.silent.set(i64::try_from(self.memory.admission.silent()).unwrap_or(i64::MAX));
            if !judged.woken.is_empty() || !judged.gaps.is_empty() {
                // Their entries stand between those of the events.
                self.memory.admission.renumber(&events, &fresh, first, &mut slots, |row| judged.sequence(first, row));
            }
            self.eyes.judged(&self.set, &round, &judged, from, now_micros());
            self.compare(&round, &judged, first);
            if let Some(evidence) = &self.memory.evidence {
                let began = Instant::now();
                let depth_max = self.set.hears_verdicts.then_some(self.limits.verdict_depth_max);
                let about = About { set: &self.set, round: &round, fresh: &fresh, judged: &judged, depth_max };
                echoes = evidence.write(&self.pool, &about, &self.memory.admission, &mut work.batch);
                self.stats.stage("record", began, way.as_deref_mut());
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
        work.way = way;
        // Before anybody can see the entries that it counts.
        let events = self.echoes(echoes);
        self.keep(work)?;
        Ok(events)
    }

    /// Notes how long a batch has waited: the submission in it that waited longest.
    fn waited(&self, submissions: &[Submission], way: Option<&Way>) {
        let (events, bytes) = submissions.iter().fold((0, 0), |(events, bytes), one| (events + one.events.len(), bytes + one.bytes));
        self.stats.batches.observe(events as f64);
        self.stats.batch_bytes.observe(bytes as f64);
        if let Some(first) = submissions.first() {
            let seconds = self.stats.stages.get_or_create(&StageLabel { stage: "queue" });
            observe(&seconds, first.submitted.elapsed(), way.map(|way| &way.example));
        }
    }

    /// Puts what the policies say together, event by event and timer by timer, and
    /// takes over states and timers.
    fn combine(&mut self, round: &Round<'_>, said: Said, gaps: Vec<Gap>, changes: &mut Vec<StateChange>) -> Judged {
        let set = &self.set;
        let mut heard: Vec<Heard> = (0..round.events.len()).map(|_| Heard::default()).collect();
        let mut aside: BTreeMap<(u32, usize), Heard> = BTreeMap::new();
        let mut woken = Vec::new();
        let fault = |member: usize, kind: FaultKind, detail: String| {
            let (release, grant) = (set.members[member].image.release(), &set.members[member].grant);
            self.stats.faults.get_or_create(&FaultLabel { policy: release.policy().to_string(), fault: kind.name() }).inc();
            Fault { release: release.clone(), kind, detail, handling: grant.on_undetermined() }
        };
        let hear = |member: usize, what: sandbox::Said, heard: &mut Heard| match what {
            sandbox::Said::Finding(rule, evidence) => {
                let (release, grant) = (set.members[member].image.release(), &set.members[member].grant);
                let declared = &release.manifest.rules[usize::from(rule)];
                let action = declared.action.min(grant.action());
                let label = FindingLabel { policy: release.policy().to_string(), rule: declared.id.clone() };
                self.stats.findings.get_or_create(&label).inc();
                heard.findings.push(Finding { release: release.clone(), rule, action, evidence });
            }
            sandbox::Said::Fault(kind, detail) => heard.faults.push(fault(member, kind, detail)),
        };
        // What does not count is heard as well, and set aside.
        let counts = |row: u32, member: usize| {
            let line = &set.lines[set.members[member].line];
            line.candidate.is_none() || set.mode(member, round.in_canary(set, row as usize, line)).counts()
        };
        let Said { parts, unasked } = said;
        for Unasked { member, row, kind, detail } in &unasked {
            let of = if counts(*row, *member) { &mut heard[*row as usize] } else { aside.entry((*row, *member)).or_default() };
            of.faults.push(fault(*member, *kind, detail.clone()));
        }
        let keeps = self.memory.evidence.is_some();
        let standing = self.standing.read().unwrap_or_else(PoisonError::into_inner);
        for part in parts {
            for Took { member, rows, began, ended } in part.took {
                if let Some(installed) = installed(&standing, set, member) {
                    installed.gate.took(rows, ended - began);
                }
            }
            for (row, member, what) in part.said {
                let of = if counts(row, member) { &mut heard[row as usize] } else { aside.entry((row, member)).or_default() };
                hear(member, what, of);
            }
            let states = set.members[part.member].states.clone();
            // A key that is woken again in the same place does not come before itself.
            let mut order = i64::MIN;
            for Fired { place, timer, nth, key, member, said } in part.fired {
                let mut about = Heard::default();
                said.into_iter().for_each(|what| hear(member, what, &mut about));
                let verdict = Verdict::combine(about.findings, about.faults);
                order = if nth == 0 { timer.at } else { order.max(timer.at) };
                let mode = set.mode(member, set.in_canary(&set.lines[set.members[member].line], &key));
                woken.push(Woken { place, order, member, key, nth, timer, mode, verdict });
            }
            for (key, state) in part.states {
                if keeps {
                    changes.push(StateChange::State { policy: states.clone(), key: key.clone(), state: state.clone() });
                }
                self.memory.states.apply(&states, key, state);
            }
            for (key, timer) in part.timers {
                if keeps {
                    let timer = timer.map(|timer| (timer.at, self.memory.admission.source(timer.source)));
                    changes.push(StateChange::Timer { policy: states.clone(), key: key.clone(), timer });
                }
                self.memory.timers.set(&states, key, timer);
            }
        }
        woken.sort_by(|a, b| (a.place, a.order, a.member, &a.key, a.nth).cmp(&(b.place, b.order, b.member, &b.key, b.nth)));
        self.stats.timers.set(self.memory.timers.len() as i64);
        self.stats.state_keys.set(self.memory.states.keys() as i64);
        let mut counts = [0u64; 4];
        let verdicts: Vec<Verdict> = heard
            .into_iter()
            .map(|heard| {
                let verdict = heard.verdict();
                counts[verdict.decision as usize] += 1;
                verdict
            })
            .collect();
        for decision in Decision::ALL {
            self.stats.events.get_or_create(&VerdictLabel { verdict: decision.name() }).inc_by(counts[decision as usize]);
        }
        let aside = aside.into_iter().map(|(at, heard)| (at, heard.verdict())).collect();
        Judged { verdicts, aside, gaps, woken, unasked }
    }

    /// Notes what releases show that are tried out: how they differ from those in force.
    fn compare(&self, round: &Round<'_>, judged: &Judged, first: u64) {
        let standing = self.standing.read().unwrap_or_else(PoisonError::into_inner);
        for line in self.set.tried.iter().map(|line| &self.set.lines[*line]) {
            let Some((candidate, _)) = line.candidate else { continue };
            let Some(gate) = installed(&standing, &self.set, candidate).map(|installed| &installed.gate) else { continue };
            let others = line.in_force();
            let (mut events, mut faults, mut found) = (0, 0, 0);
            for row in round.rows_of(&self.set, candidate).into_iter().map(|row| row as usize) {
                events += 1;
                let (says, failed) = judged.said_by(&self.set, row, candidate);
                faults += u64::from(failed);
                found += u64::from(matches!(says, Decision::Flag | Decision::Deny));
                let Some(other) = others.clone().find(|other| round.asks(&self.set, row, *other)) else { continue };
                let (in_force, _) = judged.said_by(&self.set, row, other);
                if says != in_force {
                    let (source, id) = (round.events[row].source().to_string(), round.events[row].id().to_string());
                    gate.differs(Difference { sequence: judged.sequence(first, row), source, id, in_force, candidate: says });
                }
            }
            gate.asked(events, faults, found);
        }
    }
}

/// A member as it stands in its line.
fn installed<'l>(lines: &'l Lines, set: &Set, member: usize) -> Option<&'l super::line::Installed> {
    let lined = &set.lines[set.members[member].line];
    lines.get(&lined.policy).and_then(|line: &Line| line.releases().nth(member - lined.members.start))
}

/// What is heard about one event.
#[derive(Default)]
struct Heard {
    findings: Vec<Finding>,
    faults: Vec<Fault>,
}

impl Heard {
    fn verdict(mut self) -> Verdict {
        // Rows that were not given to a policy were taken first; every other fault came
        // in the order of the policies' names.
        if self.faults.len() > 1 {
            self.faults.sort_by(|a, b| a.release.policy().cmp(b.release.policy()));
        }
        Verdict::combine(self.findings, self.faults)
    }
}

/// What was said of a round.
pub(super) struct Judged {
    /// One per event.
    pub verdicts: Vec<Verdict>,
    /// What releases say that do not count for a row, by row and release.
    pub aside: BTreeMap<(u32, usize), Verdict>,
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

    /// What a release says about a row, whether it counts or not.
    pub fn of(&self, set: &Set, row: usize, member: usize) -> (impl Iterator<Item = &Finding>, Option<&Fault>) {
        let verdict = self.aside.get(&(row as u32, member)).unwrap_or(&self.verdicts[row]);
        let release = set.members[member].image.release();
        let findings = verdict.findings.iter().filter(move |finding| Arc::ptr_eq(&finding.release, release));
        (findings, verdict.faults.iter().find(|fault| Arc::ptr_eq(&fault.release, release)))
    }

    /// The decision that this comes to, and whether the release failed to answer.
    fn said_by(&self, set: &Set, row: usize, member: usize) -> (Decision, bool) {
        let (findings, fault) = self.of(set, row, member);
        (strictest(findings.map(|finding| finding.action), fault.is_some()), fault.is_some())
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
    /// What its findings count for.
    pub mode: Mode,
    pub verdict: Verdict,
}
