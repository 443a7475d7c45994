//! One destination's task: it reads the ledger along and tells what is for it, in order, the
//! next only when the one before was taken, or is among the dead letters.

use std::io;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use time::OffsetDateTime;
use tokio::sync::watch;

use super::cursor::Cursor;
use super::destination::Destination;
use super::file::Lines;
use super::http::Outcome;
use super::otlp::OtlpLogs;
use super::select::{Parcel, Selection};
use super::status::Standing;
use super::webhook::Webhook;
use crate::runtime::Entries;

/// Entries that are passed over before the place is written down, where nothing is told.
const UNTOLD_MAX: u64 = 16 << 10;

/// How verdicts get there.
#[derive(Debug)]
pub(super) enum Carrier {
    Webhook(Box<Webhook>),
    File(Arc<Mutex<Lines>>),
    OtlpLogs(Box<OtlpLogs>),
}

impl Carrier {
    async fn tell(&self, parcels: &[Parcel]) -> Outcome {
        match self {
            Carrier::Webhook(webhook) => webhook.tell(parcels).await,
            Carrier::OtlpLogs(logs) => logs.tell(parcels).await,
            Carrier::File(lines) => {
                let text: String = parcels.iter().flat_map(|parcel| [parcel.event.as_str(), "\n"]).collect();
                match write(lines, text).await {
                    Ok(()) => Outcome::Taken { rejected: 0 },
                    Err(error) => Outcome::failed(error.to_string()),
                }
            }
        }
    }
}

async fn write(lines: &Arc<Mutex<Lines>>, text: String) -> io::Result<()> {
    let lines = lines.clone();
    blocking(move || lines.lock().unwrap_or_else(PoisonError::into_inner).write(text.as_bytes())).await
}

/// Waits for the disk where that holds up nobody.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

/// What was read and is for the destination.
#[derive(Default)]
struct Batch {
    parcels: Vec<Parcel>,
    bytes: usize,
    problem: Option<String>,
}

/// It is to end.
struct Stop;

/// What became of some verdicts that were told together.
enum Told {
    /// Taken, or left out: the next ones follow.
    All,
    /// Refused together: some of them may be taken without the others.
    Apart,
}

/// A verdict that a destination will not take.
#[derive(Serialize)]
struct DeadLetter<'a> {
    #[serde(with = "time::serde::rfc3339")]
    at: OffsetDateTime,
    sequence: u64,
    problem: &'a str,
    event: &'a serde_json::value::RawValue,
}

pub(super) struct Courier {
    pub settled: Destination,
    pub entries: Entries,
    pub selection: Arc<Selection>,
    pub carrier: Carrier,
    pub cursor: Cursor,
    pub dead: Arc<Mutex<Lines>>,
    pub standing: Arc<Standing>,
    /// Says yes when everything that is there is to be told, and nothing is to be waited for.
    pub stop: watch::Receiver<bool>,
    /// The place that is durable.
    pub written: u64,
    /// The last one was refused: of several in a row the log names the first.
    pub is_burying: bool,
}

impl Courier {
    /// Goes on until it is to stop, or until the runtime has ended and everything was told.
    pub async fn run(mut self) {
        while self.step().await.is_ok() {}
        // What was passed over since is passed over again otherwise: a repeat, and no gap.
        let (cursor, next) = (self.cursor.clone(), self.entries.next());
        if next != self.written && !self.is_behind() {
            let _ = blocking(move || cursor.write(next)).await;
        }
    }

    /// Whether something was read and not told.
    fn is_behind(&self) -> bool {
        self.standing.status().through + 1 != self.entries.next()
    }

    async fn step(&mut self) -> Result<(), Stop> {
        let (batch, more) = self.read().await?;
        let told = !batch.parcels.is_empty();
        self.deliver(&batch.parcels).await?;
        let next = self.entries.next();
        self.standing.moved(next);
        if told || next - self.written >= UNTOLD_MAX {
            self.keep(next).await?;
        }
        if more {
            return Ok(());
        }
        if *self.stop.borrow() && self.entries.last() < next {
            return Err(Stop);
        }
        tokio::select! {
            is_there = self.entries.wait() => if is_there { Ok(()) } else { Err(Stop) },
            _ = self.stop.wait_for(|stop| *stop) => Ok(()),
        }
    }

    /// The next few that are for the destination, and whether there may be more already.
    async fn read(&mut self) -> Result<(Batch, bool), Stop> {
        let mut attempt = 0;
        loop {
            let selection = self.selection.clone();
            let (events_max, bytes_max) = (self.settled.batch_events_max, self.settled.batch_bytes_max);
            let read = self.entries.read(Batch::default(), move |batch, sequence, line| {
                match selection.take(&line) {
                    Ok(parcel) => {
                        batch.bytes += parcel.as_ref().map_or(0, |parcel| parcel.event.len());
                        batch.parcels.extend(parcel);
                    }
                    Err(problem) => {
                        batch.problem = Some(format!("entry {sequence}: {problem}"));
                        return ControlFlow::Break(());
                    }
                }
                let has_room = batch.parcels.len() < events_max && batch.bytes < bytes_max;
                if has_room { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            });
            let problem = match read.await {
                Ok((Batch { problem: None, parcels, bytes }, more)) => return Ok((Batch { problem: None, parcels, bytes }, more)),
                Ok((Batch { problem, .. }, _)) => {
                    self.entries.back_to(self.standing.status().through + 1);
                    problem.unwrap_or_default()
                }
                Err(error) => error.to_string(),
            };
            self.wait(&format!("the ledger cannot be read: {problem}"), None, &mut attempt).await?;
        }
    }

    /// Tells verdicts that were read together.
    async fn deliver(&mut self, parcels: &[Parcel]) -> Result<(), Stop> {
        let mut rest = parcels;
        let mut size = rest.len();
        while !rest.is_empty() {
            let (now, later) = rest.split_at(size.min(rest.len()));
            match self.tell(now).await? {
                Told::Apart => size = now.len().div_ceil(2),
                Told::All => {
                    let is_alone = now.len() == 1;
                    if let Some(first) = later.first() {
                        // Where a crash goes on: between two of them as well.
                        self.standing.moved(first.sequence);
                        self.keep(first.sequence).await?;
                    }
                    rest = later;
                    // Behind the one that was looked for the others come together again.
                    size = if is_alone { rest.len().max(1) } else { size };
                }
            }
        }
        Ok(())
    }

    /// Tells some together, as often as it takes.
    async fn tell(&mut self, parcels: &[Parcel]) -> Result<Told, Stop> {
        let count = parcels.len() as u64;
        let (mut attempt, mut refused) = (0, 0);
        loop {
            match self.carrier.tell(parcels).await {
                Outcome::Taken { rejected } => {
                    self.is_burying = false;
                    self.standing.up();
                    let rejected = rejected.min(count);
                    if rejected > 0 {
                        let [first, last] = [parcels.first(), parcels.last()].map(|parcel| parcel.map_or(0, |parcel| parcel.sequence));
                        tracing::warn!(first, last, rejected, "A collector has taken a request, and not all that is in it");
                        self.standing.dead(rejected);
                    }
                    self.standing.delivered(count - rejected);
                    return Ok(Told::All);
                }
                Outcome::Refused(_) if count > 1 => return Ok(Told::Apart),
                Outcome::Refused(problem) => {
                    refused += 1;
                    if refused >= self.settled.attempts_max {
                        self.bury(parcels, &problem).await?;
                        return Ok(Told::All);
                    }
                    self.wait(&problem, None, &mut attempt).await?;
                }
                Outcome::Failed(problem, after) => self.wait(&problem, after, &mut attempt).await?,
                Outcome::Retired(problem) => {
                    self.standing.down(&problem, None);
                    let _ = self.stop.wait_for(|stop| *stop).await;
                    return Err(Stop);
                }
            }
        }
    }

    /// Puts verdicts that the destination will not take among the dead letters.
    async fn bury(&mut self, parcels: &[Parcel], problem: &str) -> Result<(), Stop> {
        let mut lines = String::new();
        for Parcel { sequence, event, .. } in parcels {
            let Ok(event) = serde_json::from_str(event) else { continue };
            let letter = DeadLetter { at: OffsetDateTime::now_utc(), sequence: *sequence, problem, event };
            lines += &serde_json::to_string(&letter).unwrap_or_default();
            lines.push('\n');
        }
        let mut attempt = 0;
        while let Err(error) = write(&self.dead, lines.clone()).await {
            self.wait(&format!("the dead letters cannot be written: {error}"), None, &mut attempt).await?;
        }
        if !std::mem::replace(&mut self.is_burying, true) {
            let destination = self.standing.status().destination;
            let sequence = parcels.first().map_or(0, |parcel| parcel.sequence);
            tracing::warn!(destination, sequence, problem, "A destination refuses verdicts; they are among the dead letters");
        }
        self.standing.up();
        self.standing.dead(parcels.len() as u64);
        Ok(())
    }

    /// Makes the place durable.
    async fn keep(&mut self, next: u64) -> Result<(), Stop> {
        let mut attempt = 0;
        loop {
            let cursor = self.cursor.clone();
            match blocking(move || cursor.write(next)).await {
                Ok(()) => break,
                Err(error) => self.wait(&format!("the place in the ledger cannot be kept: {error}"), None, &mut attempt).await?,
            }
        }
        self.written = next;
        Ok(())
    }

    /// Waits for the next attempt; as long as was asked for, or twice as long as for the one
    /// before, and a random part less, so that many do not come back together.
    async fn wait(&mut self, problem: &str, asked: Option<Duration>, attempt: &mut u32) -> Result<(), Stop> {
        let wait = asked.unwrap_or_else(|| backoff(self.settled.retry_min_ms, self.settled.retry_max_ms, *attempt, random()));
        *attempt = attempt.saturating_add(1);
        self.standing.down(problem, Some(wait));
        self.standing.retried();
        tokio::select! {
            () = tokio::time::sleep(wait) => Ok(()),
            _ = self.stop.wait_for(|stop| *stop) => Err(Stop),
        }
    }
}

/// From half of the whole time to all of it.
fn backoff(min_ms: u64, max_ms: u64, attempt: u32, random: u64) -> Duration {
    let whole = min_ms.saturating_mul(1u64.checked_shl(attempt).unwrap_or(u64::MAX)).min(max_ms);
    let half = whole / 2;
    Duration::from_millis(whole - half + if half == 0 { 0 } else { random % (half + 1) })
}

fn random() -> u64 {
    // Without randomness all wait as long, which is no reason not to go on.
    getrandom::u64().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_between_attempts_double_up_to_a_bound() {
        for random in [0, 7, u64::MAX] {
            for (attempt, whole) in [(0, 500), (1, 1_000), (6, 32_000), (7, 60_000), (64, 60_000), (u32::MAX, 60_000)] {
                let wait = backoff(500, 60_000, attempt, random).as_millis();
                assert!((whole / 2..=whole).contains(&wait), "{attempt}: {wait}");
            }
        }
        assert_eq!(backoff(1, 1, 3, 5), Duration::from_millis(1));
    }
}
