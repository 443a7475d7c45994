//! A simulation of the whole runtime: the code that runs in production, on one thread, on
//! a disk in memory that fails, with a clock that moves when it is told to. All of it
//! follows from one seed, so a run that fails fails again.
//!
//! What happens is chosen step by step: events come (new ones, known ones, late, broken),
//! releases are installed, tried out, promoted and withdrawn, policies fail on some rows,
//! the clock jumps, a part of the runtime has its turn, an operation of the disk fails, the
//! power goes at an operation and leaves of what was not synced whatever it likes, the
//! process ends and another one takes up what is there. After every step what came out is
//! held against a model ([`model`]): promises 3 to 7 of the design.
//!
//! - [`policies`]: what is judged with.
//! - [`traffic`]: what is sent.
//! - [`machine`]: the runtime in parts, each with its turn.
//! - [`check`]: what is held against the model.
//! - `tests`: how many runs, and from which seed.

mod check;
mod machine;
mod model;
mod policies;
mod tests;
mod traffic;

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::Ordering;

use self::machine::{Asked, Machine, Settings, at_once};
use self::model::{Bounds, Due, Model, Order, Sent, WATCHED};
use self::policies::KNOWN;
use self::traffic::{KEYS, Traffic, broken};
use super::change::{self, By, Change};
use super::contents::{Erase, EraseError, Erased};
use super::heartbeats::Tick;
use super::{Grant, Judged, Mode, Offer, SubmitError, Swap};
use crate::event::Event;
use crate::ledger::faulty::{Failure, Faulty, Random};
use crate::ledger::{self, Durability, Hash, Keep};
use crate::policy::Validity;
use crate::sandbox::LoadError;
use crate::sequencer::{Limits, Step, Stopped, TOLD};

const SECOND: i64 = 1_000_000;

/// Midnight, so that no run comes to a third day.
const BEGINNING: i64 = 1_795_478_400 * SECOND;

/// Reads an event; nothing if it is none.
type Read = fn(&str) -> Option<Event>;

/// How much there was of what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub steps: u64,
    pub events: u64,
    pub answers: u64,
    pub changes: u64,
    pub entries: u64,
    pub starts: u64,
    /// Starts that an injected fault kept from coming about.
    pub failed_starts: u64,
    pub power_cuts: u64,
    /// Times that a process ended because the disk failed.
    pub disk_failures: u64,
    pub cold_reads: u64,
    pub checkpoints: u64,
}

/// What is in the runtime's queue, in its order.
enum Item {
    /// By number; with when they arrived.
    Events(u64, Vec<(Sent, i64)>),
    Orders(u64, Vec<Order>),
    Look(u64, &'static str),
    Erase(u64, Erase),
    Tick(i64),
    Restore,
}

/// Somebody who waits for an answer.
struct Waiting {
    number: u64,
    asked: Question,
    /// What it has to be, once the spine has come to it, and the last entry by then.
    due: Option<(Expected, u64)>,
}

enum Question {
    Events(Asked<Result<Judged, Stopped>>),
    Orders(Asked<Result<Vec<Swap>, LoadError>>),
    Look(Asked<Result<Option<Vec<u8>>, String>>),
    Erase(Asked<Result<Erased, EraseError>>),
    Restore(Asked<Result<Vec<String>, LoadError>>),
}

enum Expected {
    Answers(Vec<Due>),
    /// What became of the states; or which errors will do.
    Orders(Result<Vec<&'static str>, Vec<&'static str>>),
    State(Option<Vec<u8>>),
    Erased(u64, u64),
    Restored,
}

/// A run.
struct Run {
    random: Random,
    read: Read,
    now: i64,
    disk: Faulty,
    settings: Settings,
    machine: Machine,
    traffic: Traffic,
    model: Model,
    /// How the model was behind each entry that may turn out to be the last.
    before: BTreeMap<u64, Model>,
    /// All entries that there have to be.
    expected: Vec<String>,
    /// Those that were read, as they stand in the ledger.
    lines: Vec<String>,
    queue: VecDeque<Item>,
    waiting: Vec<Waiting>,
    next_number: u64,
    /// The last entry that somebody was told of.
    acknowledged: u64,
    /// The last checkpoint that somebody saw.
    seen: Option<(u64, Hash, Vec<u8>)>,
    /// Something may fail from now on.
    is_armed: bool,
    /// Something may have failed in this process.
    is_troubled: bool,
    /// Nothing fails any more.
    is_ending: bool,
    counts: Counts,
    _tiles: tempfile::TempDir,
}

impl Run {
    fn new(seed: u64, read: Read) -> Self {
        policies::register();
        let mut random = Random(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ 0x5eed);
        let tiles = tempfile::tempdir().expect("a folder");
        let now = BEGINNING + random.below(3_600) as i64 * SECOND;
        TOLD.set(Some(now));
        let bounds = Bounds { horizon_days: 2, lateness: 60 * SECOND, heartbeat: 300 };
        let settings = Settings {
            spine: Limits {
                queue_events_max: 24,
                batch_events_max: [1, 4, 16][random.below(3)],
                state_memory_bytes_max: [0, 600, 1 << 20][random.below(3)],
                threads: 1,
                lateness_s: 60,
                heartbeats: BTreeMap::from([(WATCHED.to_string(), 300)]),
                ..Limits::default()
            },
            ledger: ledger::Limits {
                horizon_days: 2,
                events: if random.coin() { Keep::Full } else { Keep::Digest },
                durability: if random.below(6) == 0 { Durability::Os } else { Durability::Sync },
                ..ledger::Limits::default()
            },
            tiles: tiles.path().to_path_buf(),
        };
        let disk = Faulty::with_sectors(random.next(), [512, 4_096][random.below(2)]);
        ledger::faulty::give_keys(&disk, seed);
        let machine = Machine::open(&disk, &settings).expect("an empty disk that does not fail");
        let model = Model::new(bounds);
        let mut run = Run {
            random,
            read,
            now,
            disk,
            settings,
            machine,
            traffic: Traffic::default(),
            before: BTreeMap::from([(0, model.clone())]),
            model,
            expected: Vec::new(),
            lines: Vec::new(),
            queue: VecDeque::new(),
            waiting: Vec::new(),
            next_number: 0,
            acknowledged: 0,
            seen: None,
            is_armed: false,
            is_troubled: false,
            is_ending: false,
            counts: Counts { starts: 1, ..Counts::default() },
            _tiles: tiles,
        };
        run.begin();
        run
    }

    /// Takes so many steps, and ends in good order.
    fn run(mut self, steps: u64) -> Counts {
        for _ in 0..steps {
            self.counts.steps += 1;
            self.step();
            self.look_at_answers();
            self.look_at_checkpoint();
            if self.disk.is_cut() {
                self.counts.power_cuts += 1;
                self.start_again(true);
            } else if self.machine.is_failed() && self.random.below(3) == 0 {
                assert!(self.is_troubled, "it ended, and nothing was wrong: {:?}", self.machine.runtime().failure());
                self.counts.disk_failures += 1;
                let cut = self.random.coin();
                self.start_again(cut);
            }
        }
        self.is_ending = true;
        self.start_again(false);
        self.close();
        self.counts.entries = self.lines.len() as u64;
        TOLD.set(None);
        self.counts
    }

    fn step(&mut self) {
        match self.random.below(100) {
            0..28 => self.submit(),
            28..36 => self.order(),
            36..40 => self.tick(),
            40..43 => self.look(),
            43..46 => self.erase(),
            46 => assert!((self.read)(broken(&mut self.random)).is_none(), "it is no event"),
            47..68 => self.turn_of_spine(),
            68..78 => {
                let count = 1 + self.random.below(4);
                self.machine.keep(count);
            }
            78..90 => {
                let (count, checkpoint) = (1 + self.random.below(4), self.random.below(4) == 0);
                self.machine.commit(count, checkpoint);
                if self.random.below(4) == 0 {
                    self.look_at_entries();
                }
            }
            90..93 => {
                self.machine.erase();
            }
            93..95 => self.look_at_content(),
            95..98 if !self.is_armed => self.arm(),
            98 if self.is_armed => {
                self.is_troubled |= self.disk.calm();
                self.is_armed = false;
            }
            99 if self.random.below(3) == 0 => {
                if !self.is_armed && !self.machine.is_failed() && self.random.coin() {
                    self.close();
                }
                let cut = self.random.coin();
                self.start_again(cut);
            }
            _ => {}
        }
        // Time goes on, and now and then it jumps.
        self.now += self.random.below(1_000_000) as i64;
        match self.random.below(400) {
            0..8 => self.now += self.random.below(600) as i64 * SECOND,
            8..11 => self.now -= self.random.below(3_600) as i64 * SECOND,
            _ => {}
        }
        self.now = self.now.clamp(BEGINNING, BEGINNING + 72_000 * SECOND);
        TOLD.set(Some(self.now));
    }

    /// Has something fail soon: one operation, or several, or the power.
    fn arm(&mut self) {
        let from = self.disk.count() + self.random.below(30);
        if self.random.below(5) < 3 {
            self.disk.cut(from);
        } else {
            let many = if self.random.coin() { 1 } else { 2 + self.random.below(30) };
            self.disk.fail_for(from..from + many, Failure::ALL[self.random.below(3)]);
        }
        (self.is_armed, self.is_troubled) = (true, true);
    }

    fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    fn wait(&mut self, number: u64, asked: Question) {
        self.waiting.push(Waiting { number, asked, due: None });
    }

    fn submit(&mut self) {
        let count = 1 + self.random.below(5);
        let sent: Vec<Sent> = (0..count).map(|_| self.traffic.next(&mut self.random, self.now)).collect();
        let events = sent.iter().map(|sent| (self.read)(&sent.text).unwrap_or_else(|| panic!("no event: {}", sent.text))).collect();
        match self.machine.runtime().try_submit(events) {
            Ok(pending) => {
                let number = self.number();
                self.counts.events += count as u64;
                self.queue.push_back(Item::Events(number, sent.into_iter().map(|sent| (sent, self.now)).collect()));
                self.wait(number, Question::Events(Box::pin(pending)));
            }
            Err(SubmitError::Full { events }) => {
                let waiting: usize = self.waiting.len();
                assert!(events.len() == count && waiting > 0, "it is refused, and nothing waits");
            }
            Err(SubmitError::Stopped(Stopped)) => assert!(self.machine.is_failed(), "it takes nothing, and runs"),
        }
    }

    fn order(&mut self) {
        let policy = ["limit", "count"][self.random.below(2)];
        let mut orders = vec![self.one_order(policy)];
        if self.random.below(4) == 0 {
            let other = if policy == "limit" { "count" } else { "limit" };
            orders.push(self.one_order(other));
        }
        self.hand_in(orders);
    }

    /// Hands orders in, all of them together.
    fn hand_in(&mut self, orders: Vec<Order>) {
        let made = orders.iter().map(|order| self.made(order)).collect();
        let (runtime, by) = (self.machine.runtime().clone(), By { at: Some(self.now), ..By::new("the simulation") });
        let mut asked: Asked<_> = Box::pin(async move { runtime.orders(made, by).await });
        match machine::ask(&mut asked) {
            None => {
                let number = self.number();
                self.counts.changes += 1;
                self.queue.push_back(Item::Orders(number, orders));
                self.wait(number, Question::Orders(asked));
            }
            Some(done) => assert!(matches!(done, Err(LoadError::Stopped)) && self.machine.is_failed(), "{done:?}"),
        }
    }

    fn one_order(&mut self, policy: &'static str) -> Order {
        let of_policy: Vec<usize> = (0..KNOWN.len()).filter(|at| KNOWN[*at].policy == policy).collect();
        let release = of_policy[self.random.below(of_policy.len())];
        let has = self.model.has(policy);
        match self.random.below(if has { 14 } else { 8 }) {
            0..5 => Order::Install { release, mode: model::Mode::Enforce, from: None },
            5 => Order::Install { release, mode: model::Mode::Enforce, from: Some(self.now - self.random.below(3_600) as i64 * SECOND) },
            6 => Order::Install { release, mode: model::Mode::Shadow, from: None },
            7 => Order::Install { release, mode: model::Mode::Canary(self.random.coin()), from: None },
            8 => Order::Promote { policy, to: model::Mode::Canary(true) },
            9 | 10 => Order::Promote { policy, to: model::Mode::Enforce },
            11 => Order::Demote { policy },
            12 => Order::Withdraw { policy, release },
            _ => Order::Remove { policy },
        }
    }

    /// The order as the runtime takes it.
    fn made(&self, order: &Order) -> change::Order {
        let policy = order.policy().to_string();
        let mode_of = |mode: model::Mode| match mode {
            model::Mode::Shadow => (Mode::Shadow, 0),
            model::Mode::Canary(all) => (Mode::Canary, if all { 10_000 } else { 0 }),
            model::Mode::Enforce => (Mode::Enforce, 0),
        };
        match order {
            Order::Install { release, mode, from } => {
                let known = &KNOWN[*release];
                let ((mode, share), validity) = (mode_of(*mode), Validity { from: *from, until: None });
                let offer = Offer::development(known.component.into(), known.settings.as_bytes().into());
                let (runtime, offer) = (self.machine.runtime().clone(), Offer { mode, share, validity, ..offer });
                let installed = at_once(async move { runtime.take(None, offer).await });
                change::Order::Install(Box::new(installed.expect("a good release")))
            }
            Order::Promote { to, .. } => {
                let (to, share) = mode_of(*to);
                change::Order::Promote { policy, to, share }
            }
            Order::Demote { .. } => change::Order::Demote { policy },
            Order::Withdraw { release, .. } => change::Order::Withdraw { policy, release: KNOWN[*release].id.to_string() },
            Order::Remove { .. } => change::Order::Remove { policy },
        }
    }

    fn tick(&mut self) {
        if self.machine.runtime().0.entrance.change(Change::Tick(Tick::at(self.now))).is_ok() {
            self.queue.push_back(Item::Tick(self.now));
        }
    }

    /// Asks what is remembered of a key.
    fn look(&mut self) {
        let who = KEYS[self.random.below(KEYS.len())];
        let runtime = self.machine.runtime().clone();
        let mut asked: Asked<_> = Box::pin(async move { runtime.state("count", check::key(who)).await });
        if machine::ask(&mut asked).is_none() {
            let number = self.number();
            self.queue.push_back(Item::Look(number, who));
            self.wait(number, Question::Look(asked));
        }
    }

    fn erase(&mut self) {
        if self.settings.ledger.events == Keep::Digest || self.traffic.sent.is_empty() {
            return;
        }
        let sent = &self.traffic.sent[self.random.below(self.traffic.sent.len())];
        let erase = match self.random.coin() {
            true => Erase { subject: Some(KEYS[self.random.below(KEYS.len())].into()), ..Erase::default() },
            false => Erase { source: Some(sent.source.clone()), id: Some(sent.id.clone()), subject: None },
        };
        let (runtime, what) = (self.machine.runtime().clone(), erase.clone());
        let by = By { at: Some(self.now), ..By::new("the simulation") };
        let mut asked: Asked<_> = Box::pin(async move { runtime.erase(what, by).await });
        if machine::ask(&mut asked).is_none() {
            let number = self.number();
            self.queue.push_back(Item::Erase(number, erase));
            self.wait(number, Question::Erase(asked));
        }
    }

    /// The spine does what comes next, and so does the model.
    fn turn_of_spine(&mut self) {
        // Its queue to the next part has an end.
        if self.machine.to_keep.len() + self.machine.to_commit.len() > 5 {
            return;
        }
        let Some(step) = self.machine.next() else { return };
        let count = match &step {
            Step::Batch(submissions) => submissions.len(),
            Step::Change(_) => 1,
        };
        let is_batch = matches!(step, Step::Batch(_));
        // Only a change can be refused for what the disk does.
        let before = (self.is_armed && !is_batch).then(|| self.model.clone());
        let is_first_of_several = matches!(self.queue.front(), Some(Item::Orders(_, orders)) if orders.len() > 1);
        let mut dues = Vec::new();
        for _ in 0..count {
            let item = self.queue.pop_front().expect("it is in the queue");
            assert_eq!(matches!(item, Item::Events(..)), is_batch, "the order of everything");
            dues.extend(self.carry_out(item));
        }
        if !self.machine.step(step) {
            self.expected.extend(self.model.entries());
            assert!(self.is_troubled, "it ended, and nothing was wrong: {:?}", self.machine.runtime().failure());
            return;
        }
        let is_refused = self.machine.runtime().stats().sequenced.load(Ordering::Relaxed) < self.model.next - 1;
        if let [(_, Expected::Orders(due))] = &mut dues[..]
            && let Some(before) = before
        {
            // States that an order takes over are on the disk, and cannot be read: all is as
            // it was. What is wrong with an order behind it is not come to then.
            match due {
                Ok(_) if is_refused => (self.model, *due) = (before, Err(vec!["state"])),
                Err(errors) if is_first_of_several => errors.push("state"),
                _ => {}
            }
        }
        self.expected.extend(self.model.entries());
        let last = self.model.next - 1;
        self.before.insert(last, self.model.clone());
        for (number, due) in dues {
            let waiting = self.waiting.iter_mut().find(|waiting| waiting.number == number);
            waiting.expect("somebody waits").due = Some((due, last));
        }
        self.look_at_figures(is_batch);
    }

    /// What an item does to the model, and what has to be answered.
    fn carry_out(&mut self, item: Item) -> Option<(u64, Expected)> {
        match item {
            Item::Events(number, sent) => Some((number, Expected::Answers(self.model.judge(&sent)))),
            Item::Orders(number, orders) => Some((number, Expected::Orders(self.model.change(&orders).map_err(|error| vec![error])))),
            Item::Look(number, who) => Some((number, Expected::State(self.model.state(who)))),
            Item::Erase(number, Erase { subject, source, id }) => {
                let (sequence, events) = self.model.erase(subject.as_deref(), source.as_deref(), id.as_deref());
                Some((number, Expected::Erased(sequence, events)))
            }
            Item::Tick(now) => {
                self.model.tick(now);
                None
            }
            Item::Restore => Some((0, Expected::Restored)),
        }
    }

    /// A process begins, on what another one left.
    fn begin(&mut self) {
        self.model.start(self.now, self.settings.ledger.events != Keep::Digest);
        self.expected.extend(self.model.entries());
        assert!(self.machine.begin(), "nothing is asked of the disk yet");
        self.before.insert(self.model.next - 1, self.model.clone());
        let runtime = self.machine.runtime().clone();
        let mut asked: Asked<_> = Box::pin(async move { runtime.restore(|_| Some(Grant::development())).await });
        assert!(machine::ask(&mut asked).is_none(), "it has to be recorded");
        self.queue.push_back(Item::Restore);
        self.wait(0, Question::Restore(asked));
    }

    /// Everything that waits is done, and the process ends.
    fn close(&mut self) {
        while !self.machine.is_failed() {
            self.machine.keep(3);
            self.machine.commit(3, false);
            while self.machine.erase() {}
            self.look_at_answers();
            if self.queue.is_empty() && self.machine.to_keep.is_empty() && self.machine.to_commit.is_empty() {
                break;
            }
            self.turn_of_spine();
        }
        if self.is_armed || self.machine.is_failed() {
            return;
        }
        assert!(self.waiting.is_empty(), "{} wait without end", self.waiting.len());
        self.machine.commit(0, true);
        assert!(!self.machine.is_failed(), "{:?}", self.machine.runtime().failure());
        self.look_at_checkpoint();
        self.look_at_entries();
        assert_eq!(self.lines.len(), self.expected.len(), "entries are missing");
        let signed = self.machine.runtime().log().and_then(|log| log.latest()).map_or(0, |(checkpoint, _)| checkpoint.size);
        assert_eq!(signed, self.lines.len() as u64, "what is signed at the end");
        self.look_at_all_content();
        self.audit(&self.disk.killed());
    }

    /// The process is gone, with the power or without, and another one begins.
    fn start_again(&mut self, mut cut: bool) {
        self.waiting.clear();
        self.queue.clear();
        self.counts.cold_reads += self.machine.runtime().stats().state_reads.get();
        let mut was_cut = cut;
        loop {
            self.disk = if cut { self.disk.crashed(self.random.next()) } else { self.disk.killed() };
            if self.random.below(4) == 0 {
                self.audit(&self.disk.killed());
            }
            if self.random.below(5) == 0 {
                let keep = if self.random.coin() { Keep::Full } else { Keep::Digest };
                self.settings.ledger.events = keep;
            }
            (self.is_armed, self.is_troubled) = (false, false);
            if !self.is_ending && self.random.below(3) == 0 {
                self.arm();
            }
            match Machine::open(&self.disk, &self.settings) {
                Ok(machine) => {
                    self.machine = machine;
                    break;
                }
                Err(error) => {
                    cut = self.disk.is_cut() || self.random.coin();
                    was_cut |= cut;
                    assert!(self.disk.calm(), "it does not start: {error}");
                    self.counts.failed_starts += 1;
                }
            }
        }
        self.counts.starts += 1;
        self.look_at_recovery(was_cut);
        self.begin();
    }
}
