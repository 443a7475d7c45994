//! The soak: `ephor serve` with a data directory under load for as long as is wanted, a
//! swap every second, clients that vanish wherever they are, and a policy that fails on
//! rows at random. It is looked at from outside, second by second: what it holds of memory,
//! maps, files and threads must not grow, and each event has one verdict, that of the
//! release in force at its place.
//!
//! Swaps are `PUT /v1/policies/NAME` in development mode: from the second round on both
//! variants of a policy come out of the compile cache, so that a swap is what it is under
//! load and not a compilation. Everything behind the compiler is the same for a release of
//! a publisher.
//!
//! What grows by design is kept from growing: ids are known for [`HORIZON`] seconds of a
//! run, because the events' own time moves on by days while the run's moves by parts of a
//! second; keys and subjects are a fixed number. What remains is 1 byte for each entry at most: 32 bytes
//! in the tree for each 256 entries, and 48 for a place to read from in each 64 KiB of the
//! journal.

mod account;
mod clients;
mod outcome;
mod plan;
mod sample;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

pub use outcome::{Check, Outcome};
pub use sample::{Phase, Sample};

use crate::random::Random;
use crate::{Ephor, event, guest, ledger, policy, settings, soon};
use account::{Account, Auditor};
use clients::{Client, Pace};
use plan::Clock;
use sample::{Board, Sampler};

/// Seconds of a run for which ids are known.
pub const HORIZON: u64 = 30;

/// What events are judged with: one that finds, one that remembers, one that fails.
pub const POLICIES: [&str; 3] = [plan::GOOD, plan::COUNTER, plan::MOODY];

/// How a run is made.
#[derive(Debug, Clone)]
pub struct Soak {
    /// How long load goes on, behind the warm-up; longer where swaps take longer, until there
    /// were as many as there are to be.
    pub load: Duration,
    /// How long it goes on before what is held is noted for the first time.
    pub warm_up: Duration,
    /// How long nothing is sent, behind the warm-up and behind the load.
    pub rest: Duration,
    /// Between two swaps.
    pub swap_every: Duration,
    /// Events a second at most, of all clients together; 0 for as many as there can be.
    pub rate: u64,
    /// The data directory, which is new.
    pub data: PathBuf,
    /// Decides about events, and about who vanishes when.
    pub random: Random,
}

impl Soak {
    /// A run of so many seconds under load.
    pub fn new(seconds: u64, data: &Path, random: Random) -> Soak {
        Soak {
            load: Duration::from_secs(seconds),
            warm_up: Duration::from_secs((seconds / 10).clamp(3, 60)),
            rest: Duration::from_secs((seconds / 10).clamp(2, 60)),
            swap_every: Duration::from_secs(1),
            rate: 0,
            data: data.to_path_buf(),
            random,
        }
    }

    /// Swaps that there are to be: half of those that are asked for, as each is compiled first.
    fn swaps_min(&self) -> u64 {
        (self.load.as_secs_f64() / self.swap_every.as_secs_f64() / 2.0) as u64
    }

    /// Runs it; shows each second as it comes.
    ///
    /// # Panics
    ///
    /// If an event is lost, doubled, or judged by another release than the one in force; if
    /// an answer is not what is recorded, or the ledger is not what was signed.
    pub async fn run(mut self, show: impl FnMut(&Sample) + Send + 'static) -> Outcome {
        let clock = Clock::new(self.warm_up + self.load + self.rest * 2);
        let ephor = Arc::new(start(&self.data, &clock).await);
        let account = Arc::new(Account::new(clients::SOURCES));
        let board = Arc::new(Board::default());
        let auditor = tokio::spawn(Auditor::new(account.clone(), board.clone()).follow(ephor.remote()));
        let sampler = Sampler::start(ephor.pid(), ephor.remote(), account.clone(), board.clone(), show);

        let (warm_up, load, rest) = (self.warm_up, self.load, self.rest);
        let swaps_min = self.swaps_min();
        let mut run = async |phase: Phase, time: Duration, swaps: u64| {
            board.enter(phase);
            self.load(&ephor, &account, &board, &clock, (time, swaps), &auditor).await;
            board.enter(if phase == Phase::WarmUp { Phase::WarmRest } else { Phase::Rest });
            tokio::time::sleep(rest).await;
        };
        run(Phase::WarmUp, warm_up, 0).await;
        run(Phase::Load, load, swaps_min).await;
        let samples = sampler.stop().await;

        // Everything is signed, and what was read is what was signed.
        let auditor = soon("the end of the feed", finish(&ephor, &board, auditor)).await;
        account.assert_settled();
        let ephor = Arc::into_inner(ephor).expect("nobody else has the server");
        let log = ephor.log();
        let stopped = tokio::task::spawn_blocking(move || ephor.stop());
        let stopped = soon("the end of the server", stopped).await.expect("it ends");
        let data = self.data.clone();
        let verified = tokio::task::spawn_blocking(move || ledger::verify(&data)).await.expect("`log verify` ends");
        Outcome::of(samples, &self, &auditor, account.answered(), stopped, &verified, log)
    }

    /// Load for a time, and until there were so many swaps and every event that was sent is
    /// answered.
    async fn load(
        &mut self,
        ephor: &Arc<Ephor>,
        account: &Arc<Account>,
        board: &Arc<Board>,
        clock: &Clock,
        (time, swaps): (Duration, u64),
        auditor: &JoinHandle<Auditor>,
    ) {
        let (over, seen) = watch::channel(false);
        let pace = Arc::new(Pace::new(self.rate));
        let client = Client { remote: ephor.remote(), account: account.clone(), board: board.clone(), clock: *clock, pace, over: seen };
        let mut tasks = JoinSet::new();
        client.start_all(&mut tasks, &mut self.random);
        tasks.spawn(swap(ephor.clone(), board.clone(), self.swap_every, client.over.clone()));
        let begin = Instant::now();
        while begin.elapsed() < time || board.swaps.load(Ordering::Relaxed) < swaps {
            tokio::time::sleep(Duration::from_millis(200)).await;
            assert!(!auditor.is_finished(), "whoever reads along has stopped");
            if let Some(ended) = tasks.try_join_next() {
                panic!("a client has ended under load: {ended:?}");
            }
        }
        over.send_replace(true);
        while let Some(ended) = soon("the end of a client", tasks.join_next()).await {
            ended.unwrap_or_else(|error| panic!("a client: {error}"));
        }
    }
}

/// The server, with all policies in force.
async fn start(data: &Path, clock: &Clock) -> Ephor {
    let config = format!(
        "[ledger]\nhorizon-days = {}\n[sandbox]\nevent-fuel-max = 1000000\nfailure-cost-max = 100000000000\n[spine]\nlateness-s = 0\n",
        clock.days_in(Duration::from_secs(HORIZON))
    );
    let data = data.to_path_buf();
    let ephor = tokio::task::spawn_blocking(move || Ephor::start_in(&data, &config, &[])).await.expect("it starts");
    for name in POLICIES {
        let (component, settings) = parts(name, 0);
        ephor.put(name, &component, &settings).await.succeeded();
    }
    ephor
}

/// What a policy is put in force with: two variants, which say the same and are different
/// releases.
fn parts(name: &str, variant: u64) -> (Vec<u8>, String) {
    let (component, settings) = match name {
        plan::GOOD => (policy(name), settings(name)),
        _ => (guest(name), "{}".to_string()),
    };
    (component, format!("{settings}{}", " ".repeat(variant as usize)))
}

/// Puts one policy after the other in force, in its other variant.
async fn swap(ephor: Arc<Ephor>, board: Arc<Board>, every: Duration, over: watch::Receiver<bool>) {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if *over.borrow() {
            return;
        }
        let number = board.swaps.load(Ordering::Relaxed);
        let (name, variant) = (POLICIES[number as usize % POLICIES.len()], (number / POLICIES.len() as u64 + 1) % 2);
        let (component, settings) = parts(name, variant);
        let swap = ephor.put(name, &component, &settings).await.succeeded().json();
        assert_ne!(event::text(&swap, "replaced"), event::text(&swap, "release"), "another release: {swap}");
        board.swaps.fetch_add(1, Ordering::Relaxed);
    }
}

/// Waits until all is signed and read along.
async fn finish(ephor: &Ephor, board: &Board, auditor: JoinHandle<Auditor>) -> Auditor {
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    loop {
        let checkpoint = ephor.checkpoint().await;
        let entries = read(&board.entries);
        if let Some(checkpoint) = checkpoint.filter(|checkpoint| checkpoint.size == entries) {
            board.checkpoint.send_replace(Some(checkpoint));
            return auditor.await.expect("whoever reads along ends well");
        }
        assert!(!auditor.is_finished(), "whoever reads along has stopped");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
