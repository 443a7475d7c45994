//! Asking the policies about a batch: which rows each gets, in which parts, side by
//! side.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Instant;

use rayon::ThreadPool;
use rayon::prelude::*;

use super::line::Stale;
use super::set::{Asking, Lined, Set};
use super::timed::{Course, Fired, Run};
use crate::column::{Cell, Row};
use crate::event::Event;
use crate::projection::readable;
use crate::sandbox::{self, Keys, Outcome};
use crate::state::{Key, States, Timer, Timers};
use crate::stats::{PolicyLabel, Stats, observe};
use crate::trace::{Context, PolicyTime};
use crate::verdict::FaultKind;

/// Rows below which spreading a policy's work over cores costs more than it
/// gives: an instance costs some ten microseconds.
const PART_ROWS_MIN: usize = 128;

/// Rows below which a batch is projected without spreading.
const PROJECT_ROWS_MIN: usize = 256;

/// What is said of a row that a policy is not asked about because of its publisher.
const STALE: &str = "what its publisher says is out of date, and the platform has set that its policies are not asked then";

/// What is said of a row whose key has no state yet when there is no room for one.
const NO_ROOM: &str = "the policy's states take all the bytes that they may have";

/// New events that are judged together, with the values of the fields that the policies
/// declare that are asked about them.
pub(super) struct Round<'e> {
    pub events: Vec<&'e Event>,
    kinds: Vec<Kind<'e>>,
    /// For each row its type, and its place among the rows of that type.
    places: Vec<(usize, usize)>,
}

/// The events of one type. What one of them takes up is by what is asked about its type,
/// not by what is asked about others.
struct Kind<'e> {
    asking: Arc<Asking>,
    /// Their rows, ascending.
    rows: Vec<u32>,
    /// Their cells, those of one event after those of the other.
    cells: Vec<Cell<'e>>,
}

impl<'e> Round<'e> {
    /// Takes the fields out of the events that are asked for.
    pub fn project(set: &Set, pool: &ThreadPool, events: Vec<&'e Event>) -> Self {
        let mut kinds: Vec<Kind<'e>> = Vec::new();
        let mut known: HashMap<&str, usize> = HashMap::new();
        let mut places = Vec::with_capacity(events.len());
        for (row, event) in (0..).zip(&events) {
            let kind = *known.entry(event.kind()).or_insert_with_key(|kind| {
                kinds.push(Kind { asking: set.asking(kind), rows: Vec::new(), cells: Vec::new() });
                kinds.len() - 1
            });
            places.push((kind, kinds[kind].rows.len()));
            kinds[kind].rows.push(row);
        }
        for kind in &mut kinds {
            kind.cells = vec![Cell::Absent; kind.width() * kind.rows.len()];
        }
        if events.len() < PROJECT_ROWS_MIN {
            kinds.iter_mut().for_each(|kind| kind.project(&events));
        } else {
            pool.install(|| kinds.par_iter_mut().for_each(|kind| kind.project_spread(&events)));
        }
        Round { events, kinds, places }
    }

    /// What a release is given of a row that it is asked about.
    pub fn row(&self, row: usize, member: usize) -> Row<'_> {
        let (kind, place) = self.places[row];
        let kind = &self.kinds[kind];
        Row::new(kind.asking.slots(member), &kind.cells[place * kind.width()..][..kind.width()])
    }

    /// What is asked about a row's type.
    fn asking(&self, row: usize) -> &Asking {
        &self.kinds[self.places[row].0].asking
    }

    /// Whether a release is asked about a row: by the type of the event, and by its
    /// time.
    pub fn asks(&self, set: &Set, row: usize, member: usize) -> bool {
        self.asking(row).asks(member) && self.is_in_force(set, row, member)
    }

    fn is_in_force(&self, set: &Set, row: usize, member: usize) -> bool {
        let validity = set.members[member].validity;
        validity.is_always() || validity.contains(self.events[row].happened())
    }

    /// The rows that a release is asked about, ascending.
    pub fn rows_of(&self, set: &Set, member: usize) -> Vec<u32> {
        let asked = self.kinds.iter().filter(|kind| kind.asking.asks(member));
        let mut rows: Vec<u32> =
            asked.flat_map(|kind| &kind.rows).copied().filter(|row| self.is_in_force(set, *row as usize, member)).collect();
        // Those of each type are in their order; of several types they are in turns.
        if self.kinds.len() > 1 {
            rows.sort_unstable();
        }
        rows
    }

    /// The releases that are asked about events of these types, whatever their time, in
    /// their order.
    pub fn members(&self) -> BTreeSet<usize> {
        self.kinds.iter().flat_map(|kind| &kind.asking.members).copied().collect()
    }

    /// The lines of the policies that are asked about a row's type, whatever its time.
    pub fn lines<'s>(&'s self, set: &'s Set, row: usize) -> impl Iterator<Item = &'s Lined> {
        self.asking(row).lines.iter().map(|line| &set.lines[*line])
    }

    /// Events of types that no policy asks about.
    pub fn unasked(&self) -> u64 {
        self.kinds.iter().filter(|kind| kind.asking.members.is_empty()).map(|kind| kind.rows.len() as u64).sum()
    }

    /// Whether a policy asks about events of a row's type, whatever their time.
    pub fn asks_ever(&self, row: usize, line: &Lined) -> bool {
        line.members.clone().any(|member| self.asking(row).asks(member))
    }

    /// Whether a row counts for the release of a policy that is tried out, rather than
    /// for the one in force.
    pub fn in_canary(&self, set: &Set, row: usize, line: &Lined) -> bool {
        let Some((candidate, share)) = line.candidate else { return false };
        if share == 0 || !self.asks(set, row, candidate) {
            return false;
        }
        let member = &set.members[candidate];
        let key = if member.is_keyed() { member.key(self.row(row, candidate)) } else { Set::keyless(self.events[row]) };
        set.in_canary(line, &key)
    }
}

impl<'e> Kind<'e> {
    /// Cells of an event.
    fn width(&self) -> usize {
        self.asking.plan.width()
    }

    fn project(&mut self, events: &[&'e Event]) {
        let width = self.width().max(1);
        let rows = self.cells.chunks_mut(width).zip(&self.rows);
        rows.for_each(|(cells, row)| self.asking.plan.project(events[*row as usize], cells));
    }

    /// The same, over the threads of the pool that it is called in.
    fn project_spread(&mut self, events: &[&'e Event]) {
        let width = self.width().max(1);
        let rows = self.cells.par_chunks_mut(width).zip(&self.rows).with_min_len(PROJECT_ROWS_MIN / 4);
        rows.for_each(|(cells, row)| self.asking.plan.project(events[*row as usize], cells));
    }
}

/// What the policies say about a round.
pub(super) struct Said {
    /// By policy and part.
    pub parts: Vec<Part>,
    /// Rows that policies could not be given.
    pub unasked: Vec<Unasked>,
}

/// What a policy says about some rows and timers.
#[derive(Debug)]
pub(super) struct Part {
    /// Whose states they are; of several releases that share them, the first.
    pub member: usize,
    /// By row of the round, with the release that says it.
    pub said: Vec<(u32, usize, sandbox::Said)>,
    /// Timers that fired.
    pub fired: Vec<Fired>,
    /// Keys whose state is another than it was.
    pub states: Vec<(Key, Option<Vec<u8>>)>,
    /// Keys whose timer is another than it was.
    pub timers: Vec<(Key, Option<Timer>)>,
    pub fuel: u64,
    pub calls: u32,
    /// Its calls, one after the other.
    pub took: Vec<Took>,
}

/// A call of a release.
#[derive(Debug)]
pub(super) struct Took {
    pub member: usize,
    pub rows: u64,
    pub began: Instant,
    pub ended: Instant,
}

impl Part {
    pub fn of(member: usize) -> Self {
        Part { member, said: Vec::new(), fired: Vec::new(), states: Vec::new(), timers: Vec::new(), fuel: 0, calls: 0, took: Vec::new() }
    }
}

impl Said {
    /// Each policy's part of the time, for whoever follows the batch.
    pub fn times(&self, set: &Set) -> Vec<PolicyTime> {
        let mut times: Vec<PolicyTime> = Vec::new();
        for part in &self.parts {
            let policy = &set.lines[set.members[part.member].line].policy;
            let failed = part.said.iter().filter(|(_, _, said)| matches!(said, sandbox::Said::Fault(..))).count() as u64;
            for (nth, took) in part.took.iter().enumerate() {
                // What a part took and said is that of its first call.
                let (fuel, faults) = if nth == 0 { (part.fuel, failed) } else { (0, 0) };
                match times.iter_mut().find(|time| time.policy == *policy) {
                    Some(time) => {
                        (time.began, time.ended) = (time.began.min(took.began), time.ended.max(took.ended));
                        time.rows += took.rows;
                        time.calls += 1;
                        time.fuel += fuel;
                        time.faults += faults;
                    }
                    None => times.push(PolicyTime {
                        policy: policy.clone(),
                        release: set.members[took.member].image.release().id.clone(),
                        began: took.began,
                        ended: took.ended,
                        rows: took.rows,
                        calls: 1,
                        fuel,
                        faults,
                    }),
                }
            }
        }
        times
    }
}

/// A row that a policy could not be given.
pub(super) struct Unasked {
    pub member: usize,
    pub row: u32,
    pub kind: FaultKind,
    pub detail: String,
}

/// Some rows of one policy.
enum Task {
    Plain {
        member: usize,
        /// Places in the round, ascending.
        rows: Vec<u32>,
        keys: Option<Keys>,
        /// The keys themselves, as `keys` numbers them.
        key_of: Vec<Key>,
    },
    /// Rows and timers of some keys.
    Timed { member: usize, runs: Vec<Run> },
}

/// Whoever asks: the policies in force, what they remember, the threads to run them.
pub(super) struct Bench<'s> {
    pub set: &'s Set,
    pub states: &'s States,
    pub timers: &'s Timers,
    /// Bytes of keys and states of one policy.
    pub state_bytes_max: usize,
    pub pool: &'s ThreadPool,
    pub stats: &'s Stats,
}

impl Bench<'_> {
    /// Asks every policy about the rows that it is to judge; `example` is somebody who
    /// follows one of them.
    pub fn evaluate(&self, round: &Round<'_>, course: &Course, example: Option<&Context>) -> Said {
        let mut unasked = Vec::new();
        let mut tasks = Vec::new();
        let mut due = self.due(course);
        // Rows of releases that share their states with others.
        let mut together: Vec<(u32, u32)> = Vec::new();
        for member in self.members(round, &due) {
            let policy = &self.set.members[member];
            let stopped = self.set.lines[policy.line].stale == Some(Stale::Stop);
            let mut rows = round.rows_of(self.set, member);
            rows.retain(|row| {
                let (kind, detail) = match readable(policy.fields(), round.row(*row as usize, member)) {
                    _ if stopped => (FaultKind::Stale, STALE.into()),
                    Ok(()) => return true,
                    Err(detail) => (FaultKind::Unreadable, detail),
                };
                unasked.push(Unasked { member, row: *row, kind, detail });
                false
            });
            let mut refused = Vec::new();
            let with_member = |rows: Vec<u32>| rows.into_iter().map(move |row| (row, member as u32));
            if let Some(shared) = &policy.shared {
                together.extend(with_member(rows));
                if member + 1 == shared.end {
                    together.sort_unstable();
                    let due = due.remove(&*policy.states).unwrap_or_default();
                    self.split_timed(round, shared.start, std::mem::take(&mut together), due, &mut tasks, &mut refused);
                }
            } else if !policy.is_keyed() {
                let part = rows.len().div_ceil(self.pool.current_num_threads()).max(PART_ROWS_MIN);
                tasks.extend(rows.chunks(part).map(|rows| Task::Plain { member, rows: rows.to_vec(), keys: None, key_of: Vec::new() }));
            } else if policy.timers {
                let due = due.remove(&*policy.states).unwrap_or_default();
                self.split_timed(round, member, with_member(rows).collect(), due, &mut tasks, &mut refused);
            } else {
                self.split(round, member, rows, &mut tasks, &mut refused);
            }
            unasked.extend(refused.into_iter().map(|(row, member)| Unasked {
                member,
                row,
                kind: FaultKind::Memory,
                detail: NO_ROOM.into(),
            }));
        }
        let run = |task: Task| match task {
            Task::Plain { member, rows, keys, key_of } => self.run(round, member, &rows, keys, &key_of),
            Task::Timed { member, runs } => self.run_timed(round, course, member, runs),
        };
        let parts: Vec<Part> = match tasks.len() {
            0 => Vec::new(),
            // Waking other threads for a single event would take longer than
            // judging it.
            _ if round.events.len() < PART_ROWS_MIN => tasks.into_iter().map(run).collect(),
            _ => self.pool.install(|| tasks.into_par_iter().with_max_len(1).map(run).collect()),
        };
        for part in &parts {
            let label = PolicyLabel { policy: self.set.lines[self.set.members[part.member].line].policy.to_string() };
            self.stats.fuel.get_or_create(&label).inc_by(part.fuel);
            self.stats.calls.get_or_create(&label).inc_by(part.calls.into());
            let seconds = self.stats.policy_seconds.get_or_create(&label);
            part.took.iter().for_each(|took| observe(&seconds, took.ended - took.began, example));
        }
        Said { parts, unasked }
    }

    /// Asks a policy about some rows.
    fn run(&self, round: &Round<'_>, member: usize, rows: &[u32], keys: Option<Keys>, key_of: &[Key]) -> Part {
        let policy = &self.set.members[member];
        let given: Vec<Row<'_>> = rows.iter().map(|row| round.row(*row as usize, member)).collect();
        let view = policy.grant.view(&policy.image.release().manifest, &given);
        let began = Instant::now();
        let Outcome { said, states, fuel, calls, .. } = policy.image.evaluate(&view, keys);
        let took = vec![Took { member, rows: rows.len() as u64, began, ended: Instant::now() }];
        let said = said.into_iter().map(|(row, said)| (rows[row as usize], member, said)).collect();
        let states = states.into_iter().map(|(key, state)| (key_of[key as usize].clone(), state)).collect();
        Part { said, states, fuel, calls, took, ..Part::of(member) }
    }

    /// The releases that have something to do in a round, in their order: those that are
    /// asked, those with timers that may fire, and of those that share their states the
    /// last, which does it for all.
    fn members(&self, round: &Round<'_>, due: &HashMap<&str, Vec<&Key>>) -> BTreeSet<usize> {
        let mut members = round.members();
        if !due.is_empty() {
            let is_due = |member: &usize| due.contains_key(&*self.set.members[*member].states);
            members.extend((0..self.set.members.len()).filter(is_due));
        }
        let last = |member: &usize| self.set.members[*member].shared.as_ref().map(|shared| shared.end - 1);
        let last: Vec<usize> = members.iter().filter_map(last).collect();
        members.extend(last);
        members
    }

    /// Keys of the policies in force whose timers may fire in a round.
    fn due(&self, course: &Course) -> HashMap<&str, Vec<&Key>> {
        let mut due: HashMap<&str, Vec<&Key>> = HashMap::new();
        for (source, watermark) in course.watermarks() {
            for (policy, key) in self.timers.due(source, watermark) {
                due.entry(policy).or_default().push(key);
            }
        }
        due
    }

    /// How many keys a policy can still take up, and whether known ones may grow.
    ///
    /// Known keys may still grow a little once the policy's states take all the bytes
    /// that they may have; then they are refused too.
    fn room(&self, name: &str, key: &Key) -> bool {
        let (bytes, max) = (self.states.bytes(name), self.state_bytes_max);
        bytes < max || bytes < max + max / 4 && self.states.has(name, key)
    }

    /// Cuts a policy's rows into parts that can be evaluated side by side: rows
    /// of one key stay together. A row whose key would make the policy's states
    /// larger is refused once they take all the bytes that they may have.
    fn split(&self, round: &Round<'_>, member: usize, rows: Vec<u32>, tasks: &mut Vec<Task>, refused: &mut Vec<(u32, usize)>) {
        let policy = &self.set.members[member];
        let name = &*policy.states;
        let parts = rows.len().div_ceil(PART_ROWS_MIN).min(self.pool.current_num_threads());
        let mut cut: Vec<(Vec<u32>, Keys, Vec<Key>)> = (0..parts).map(|_| Default::default()).collect();
        let mut places: HashMap<Key, (usize, u32)> = HashMap::new();
        for row in rows {
            let key = policy.key(round.row(row as usize, member));
            if !self.room(name, &key) {
                refused.push((row, member));
                continue;
            }
            let next = places.len() % parts;
            let (part, index) = *places.entry(key).or_insert_with_key(|key| {
                let (_, keys, key_of) = &mut cut[next];
                key_of.push(key.clone());
                keys.states.push(self.states.get(name, key).map(<[u8]>::to_vec));
                (next, key_of.len() as u32 - 1)
            });
            let (rows, keys, _) = &mut cut[part];
            rows.push(row);
            keys.of_row.push(index);
        }
        let cut = cut.into_iter().filter(|(rows, ..)| !rows.is_empty());
        tasks.extend(cut.map(|(rows, keys, key_of)| Task::Plain { member, rows, keys: Some(keys), key_of }));
    }

    /// The same for a policy that sets timers, with the keys whose timers are due; and
    /// for releases that share their states, of which `member` is the first. Each row
    /// has the release that judges it.
    fn split_timed(
        &self,
        round: &Round<'_>,
        member: usize,
        rows: Vec<(u32, u32)>,
        due: Vec<&Key>,
        tasks: &mut Vec<Task>,
        refused: &mut Vec<(u32, usize)>,
    ) {
        let name = &*self.set.members[member].states;
        let mut runs: Vec<Run> = Vec::new();
        let mut places: HashMap<Key, usize> = HashMap::new();
        let mut place_of = |key: &Key, runs: &mut Vec<Run>| {
            *places.entry(key.clone()).or_insert_with(|| {
                let state = self.states.get(name, key).map(<[u8]>::to_vec);
                runs.push(Run::new(key.clone(), state, self.timers.get(name, key)));
                runs.len() - 1
            })
        };
        for (row, judge) in rows {
            let key = self.set.members[judge as usize].key(round.row(row as usize, judge as usize));
            if self.room(name, &key) {
                let at = place_of(&key, &mut runs);
                runs[at].push(row, judge);
            } else {
                refused.push((row, judge as usize));
            }
        }
        for key in due {
            place_of(key, &mut runs);
        }
        let part = runs.len().div_ceil(self.pool.current_num_threads()).max(PART_ROWS_MIN / 4);
        let mut runs = runs.into_iter();
        loop {
            let some: Vec<Run> = runs.by_ref().take(part).collect();
            if some.is_empty() {
                break;
            }
            tasks.push(Task::Timed { member, runs: some });
        }
    }
}
