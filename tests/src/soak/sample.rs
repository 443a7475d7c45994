//! What the server holds, second by second, from outside.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::account::Account;
use crate::ledger::Checkpoint;
use crate::{Remote, figure};

/// Where a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Load before anything is noted.
    WarmUp,
    /// Nothing is sent: this is what it holds when it has nothing to do.
    WarmRest,
    /// Load.
    Load,
    /// Nothing is sent any more.
    Rest,
}

impl Phase {
    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Phase::WarmUp => "warm-up",
            Phase::WarmRest => "warm-rest",
            Phase::Load => "load",
            Phase::Rest => "rest",
        }
    }
}

/// What those who take part say to each other.
#[derive(Debug)]
pub struct Board {
    phase: Mutex<Phase>,
    /// Of the probe, since the last sample.
    times: Mutex<Vec<Duration>>,
    pub swaps: AtomicU64,
    pub vanished: AtomicU64,
    /// Entries that were read along.
    pub entries: AtomicU64,
    /// The last checkpoint of all.
    pub checkpoint: watch::Sender<Option<Checkpoint>>,
}

impl Default for Board {
    fn default() -> Board {
        let (swaps, vanished, entries) = Default::default();
        Board { phase: Mutex::new(Phase::WarmUp), times: Mutex::default(), swaps, vanished, entries, checkpoint: watch::Sender::new(None) }
    }
}

impl Board {
    pub fn enter(&self, phase: Phase) {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner) = phase;
    }

    fn phase(&self) -> Phase {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The probe was answered after so long.
    pub fn took(&self, time: Duration) {
        self.times.lock().unwrap_or_else(PoisonError::into_inner).push(time);
    }

    /// Milliseconds at the median and at 99 of 100, of the probe since it was asked last.
    fn times(&self) -> Option<(f64, f64)> {
        let mut times = std::mem::take(&mut *self.times.lock().unwrap_or_else(PoisonError::into_inner));
        times.sort();
        let at = |percent: usize| Some(times.get(times.len().checked_sub(1)? * percent / 100)?.as_secs_f64() * 1e3);
        Some((at(50)?, at(99)?))
    }
}

/// One second.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Seconds since the beginning.
    pub at: f64,
    /// Where the run was.
    pub phase: Phase,
    /// Bytes in memory.
    pub rss: u64,
    /// The same, with what is shared in parts.
    pub pss: u64,
    /// Bytes in memory that no file is behind.
    pub anonymous: u64,
    /// Memory maps.
    pub maps: u64,
    /// Those with code that no file is behind: compiled policies.
    pub code: u64,
    /// Open files.
    pub files: u64,
    /// Threads.
    pub threads: u64,
    /// Milliseconds until the probe was answered: the median, and 99 of 100. Absent where
    /// it was not.
    pub probe: Option<(f64, f64)>,
    /// Events that were answered so far.
    pub answered: u64,
    /// Entries so far, as they were read along.
    pub entries: u64,
    /// Swaps so far.
    pub swaps: u64,
    /// Clients that vanished, so far.
    pub vanished: u64,
    /// Instances of policies, by the server's own count, as all that follows.
    pub instances: u64,
    /// Events that wait or are judged.
    pub queue: u64,
    /// Open connections.
    pub connections: u64,
    /// Policies in force.
    pub policies: u64,
    /// Keys that have a state.
    pub keys: u64,
    /// Faults so far.
    pub faults: u64,
}

impl Sample {
    /// The names of the columns, in the order of [`Sample::row`].
    pub const COLUMNS: &str = "seconds,phase,rss,pss,anonymous,maps,code,files,threads,probe_p50_ms,probe_p99_ms,answered,entries,swaps,vanished,instances,queue,connections,policies,keys,faults";

    /// One line of a table.
    pub fn row(&self) -> String {
        let Sample { at, phase, rss, pss, anonymous, maps, code, files, threads, probe, answered, entries, swaps, vanished, .. } = self;
        let Sample { instances, queue, connections, policies, keys, faults, .. } = self;
        let (p50, p99) = probe.map(|(p50, p99)| (format!("{p50:.3}"), format!("{p99:.3}"))).unwrap_or_default();
        let phase = phase.name();
        format!(
            "{at:.1},{phase},{rss},{pss},{anonymous},{maps},{code},{files},{threads},{p50},{p99},{answered},{entries},{swaps},{vanished},{instances},{queue},{connections},{policies},{keys},{faults}"
        )
    }
}

/// Looks every second.
pub struct Sampler {
    over: watch::Sender<bool>,
    task: JoinHandle<Vec<Sample>>,
}

impl Sampler {
    pub fn start(
        pid: u32,
        remote: Remote,
        account: Arc<Account>,
        board: Arc<Board>,
        mut show: impl FnMut(&Sample) + Send + 'static,
    ) -> Sampler {
        let (over, mut seen) = watch::channel(false);
        let task = tokio::spawn(async move {
            let (begin, mut samples) = (Instant::now(), Vec::new());
            let mut ticks = tokio::time::interval(Duration::from_secs(1));
            loop {
                tokio::select! {
                    _ = ticks.tick() => {}
                    _ = seen.wait_for(|over| *over) => return samples,
                }
                let Some(sample) = look(begin, pid, remote, &account, &board).await else { continue };
                show(&sample);
                samples.push(sample);
            }
        });
        Sampler { over, task }
    }

    /// All samples.
    pub async fn stop(self) -> Vec<Sample> {
        self.over.send_replace(true);
        self.task.await.expect("the sampler ends well")
    }
}

/// One sample; nothing where the server does not answer.
async fn look(begin: Instant, pid: u32, remote: Remote, account: &Account, board: &Board) -> Option<Sample> {
    let (at, phase) = (begin.elapsed().as_secs_f64(), board.phase());
    let folder = PathBuf::from(format!("/proc/{pid}"));
    let read = |file: &str| std::fs::read_to_string(folder.join(file)).unwrap_or_else(|error| panic!("/proc/{pid}/{file}: {error}"));
    let count = |part: &str| std::fs::read_dir(folder.join(part)).expect("the process is there").count() as u64;
    let rollup = read("smaps_rollup");
    let bytes = |name: &str| {
        let line = rollup.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("no {name} in {rollup}"));
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a size in KiB") << 10
    };
    let (maps, files, threads) = (read("maps"), count("fd"), count("task"));
    // proc(5): addresses, permissions, offset, device, inode, and the file where there is one.
    let is_code = |line: &&str| line.split_whitespace().nth(1) == Some("r-xp") && line.split_whitespace().nth(5).is_none();
    let code = maps.lines().filter(is_code).count() as u64;
    // Asked for behind that: the connection for it is no file of these.
    let page = remote.get("/metrics").await?.expect(200).text();
    let figure = |name: &str| figure(&page, name, "") as u64;
    let counter = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    Some(Sample {
        at,
        phase,
        rss: bytes("Rss:"),
        pss: bytes("Pss:"),
        anonymous: bytes("Anonymous:"),
        maps: maps.lines().count() as u64,
        code,
        files,
        threads,
        probe: board.times(),
        answered: account.answered(),
        entries: counter(&board.entries),
        swaps: counter(&board.swaps),
        vanished: counter(&board.vanished),
        instances: figure("ephor_instances"),
        queue: figure("ephor_queue_events"),
        connections: figure("ephor_http_connections"),
        policies: figure("ephor_policies"),
        keys: figure("ephor_state_keys"),
        faults: figure("ephor_faults_total"),
    })
}
