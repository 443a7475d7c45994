//! Who sends: streams, batches, single events, and many who leave in the middle of what
//! they do. Whoever left comes back with all that nobody told it of.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::account::{Account, Sent};
use super::plan::Clock;
use super::sample::Board;
use crate::client::{BATCH, EVENT, Kept, LINES, Version};
use crate::random::Random;
use crate::{Remote, ledger, soon};

const STREAMS: usize = 4;
const BATCHES: usize = 3;
const SINGLES: usize = 8;

/// All of them, and the probe.
pub const SOURCES: usize = STREAMS + BATCHES + SINGLES + 1;

/// Events of a stream that may be without an answer before more are sent.
const WINDOW: usize = 1_000;
/// Events of a stream that are sent together, and of a batch, at most.
const CHUNK: u64 = 100;
/// Events after which a stream vanishes, at most.
const LIFE: u64 = 20_000;
/// Requests of which one is left before it is answered.
const LEFT: u64 = 40;

/// Answers that whoever reads along may be behind.
const LAG: u64 = 50_000;

/// How fast all send together.
#[derive(Debug)]
pub struct Pace {
    begin: Instant,
    /// Events a second; 0 for no bound.
    rate: u64,
    sent: AtomicU64,
}

impl Pace {
    pub fn new(rate: u64) -> Pace {
        Pace { begin: Instant::now(), rate, sent: AtomicU64::new(0) }
    }

    /// Waits until so many more may be sent.
    async fn take(&self, count: usize) {
        let sent = self.sent.fetch_add(count as u64, Ordering::Relaxed);
        if self.rate > 0 {
            let due = self.begin + Duration::from_secs_f64(sent as f64 / self.rate as f64);
            tokio::time::sleep_until(due.into()).await;
        }
    }
}

/// What all clients have.
#[derive(Clone)]
pub struct Client {
    pub remote: Remote,
    pub account: Arc<Account>,
    pub board: Arc<Board>,
    pub clock: Clock,
    pub pace: Arc<Pace>,
    /// Whether nothing new is sent any more.
    pub over: watch::Receiver<bool>,
}

impl Client {
    pub fn start_all(&self, tasks: &mut JoinSet<()>, random: &mut Random) {
        for source in 0..STREAMS {
            let version = if source % 2 == 0 { Version::Http1 } else { Version::Http2 };
            tasks.spawn(self.clone().streams(source, version, random.fork()));
        }
        for source in STREAMS..STREAMS + BATCHES {
            tasks.spawn(self.clone().batches(source, random.fork()));
        }
        for source in STREAMS + BATCHES..SOURCES - 1 {
            tasks.spawn(self.clone().singles(source, random.fork()));
        }
        tasks.spawn(self.clone().probe(SOURCES - 1));
        tasks.spawn(self.clone().half_requests(random.fork()));
        tasks.spawn(self.clone().half_answers(random.fork()));
    }

    fn is_over(&self) -> bool {
        *self.over.borrow()
    }

    fn vanished(&self) {
        self.board.vanished.fetch_add(1, Ordering::Relaxed);
    }

    /// What nobody was told of, or else new ones; nothing at the end.
    async fn next(&self, source: usize, count: u64) -> Vec<Sent> {
        let open = self.account.open(source);
        if !open.is_empty() || self.is_over() {
            return open;
        }
        self.fresh(source, count as usize).await
    }

    /// New events, once there may be some.
    async fn fresh(&self, source: usize, count: usize) -> Vec<Sent> {
        self.pace.take(count).await;
        // Who reads along has to keep up: what it has not seen is remembered here.
        while self.account.answered().saturating_sub(self.board.entries.load(Ordering::Relaxed)) > LAG {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.account.next(source, count, &self.clock)
    }

    /// One stream after the other.
    async fn streams(self, source: usize, version: Version, mut random: Random) {
        loop {
            let open = self.account.open(source);
            if open.is_empty() && self.is_over() {
                return;
            }
            self.stream(source, version, open.into(), &mut random).await;
        }
    }

    /// A stream, until it vanishes or all is over.
    async fn stream(&self, source: usize, version: Version, mut again: VecDeque<Sent>, random: &mut Random) {
        let (mut sending, mut answers) = self.remote.stream(version).await.expect("the server is there");
        let (mut flight, mut life) = (VecDeque::new(), 1 + random.below(LIFE));
        loop {
            while flight.len() < WINDOW {
                let count = 1 + random.below(CHUNK) as usize;
                let chunk: Vec<Sent> = match again.is_empty() {
                    false => again.drain(..count.min(again.len())).collect(),
                    true if self.is_over() => break,
                    true => self.fresh(source, count).await,
                };
                assert!(sending.send(lines(&chunk)).await, "the server takes the stream");
                flight.extend(chunk.into_iter().map(|(number, _)| number));
            }
            let Some(number) = flight.pop_front() else {
                // Over: the end of the request is the end of the answer.
                drop(sending);
                assert_eq!(answers.next().await, None, "an answer to nothing");
                return;
            };
            if life == 0 && !self.is_over() {
                if random.once_in(2) {
                    // In the middle of a line.
                    sending.send("{\"specversion\":\"1.0\",\"id\":\"half").await;
                }
                sending.vanish();
                self.vanished();
                return;
            }
            life = life.saturating_sub(1);
            let answer = answers.next().await.unwrap_or_else(|| panic!("the stream of source {source} has ended"));
            self.account.take(source, number, answer);
        }
    }

    async fn connect(&self) -> Kept {
        self.remote.connect().await.expect("the server is there")
    }

    /// Sends a request, unless it is one that is left: then the connection goes as well.
    async fn request(&self, connection: &mut Option<Kept>, kind: &str, body: String, random: &mut Random) -> Option<serde_json::Value> {
        let mut used = match connection.take() {
            Some(used) => used,
            None => self.connect().await,
        };
        if random.once_in(LEFT) && !self.is_over() {
            // However far it comes: nobody is told.
            let _ = tokio::time::timeout(Duration::from_micros(random.below(5_000)), used.post(kind, body)).await;
            self.vanished();
            return None;
        }
        let answer = used.post(kind, body).await.expect("a request is answered");
        if answer.status == 503 {
            tokio::time::sleep(Duration::from_millis(5 + random.below(50))).await;
            return None;
        }
        *connection = Some(used);
        Some(answer.expect(200).json())
    }

    async fn batches(self, source: usize, mut random: Random) {
        let mut connection = None;
        loop {
            let events = self.next(source, 1 + random.below(CHUNK)).await;
            if events.is_empty() {
                return;
            }
            let body = format!("[{}]", lines(&events).trim_end().replace('\n', ","));
            let Some(answers) = self.request(&mut connection, BATCH, body, &mut random).await else { continue };
            let answers = answers.as_array().expect("a batch answers with an array").clone();
            assert_eq!(answers.len(), events.len(), "an answer to each");
            for ((number, _), answer) in events.into_iter().zip(answers) {
                self.account.take(source, number, answer);
            }
        }
    }

    /// One event after the other; some once more, which are answered as before.
    async fn singles(self, source: usize, mut random: Random) {
        let mut connection = None;
        loop {
            let Some((number, text)) = self.next(source, 1).await.into_iter().next() else { return };
            let Some(answer) = self.request(&mut connection, EVENT, text.clone(), &mut random).await else { continue };
            if random.once_in(100)
                && let Some(again) = self.request(&mut connection, EVENT, text, &mut random).await
            {
                assert_eq!(ledger::unmarked(again), (ledger::unmarked(answer.clone()).0, true), "the recorded verdict again");
            }
            self.account.take(source, number, answer);
        }
    }

    /// One event after the other on one connection, and how long that takes.
    async fn probe(self, source: usize) {
        let mut connection = self.connect().await;
        loop {
            // Whatever the others are held to.
            let mut next = self.account.open(source);
            if next.is_empty() && !self.is_over() {
                next = self.account.next(source, 1, &self.clock);
            }
            let Some((number, text)) = next.pop() else { return };
            let begin = Instant::now();
            let answer = connection.post(EVENT, text).await.expect("the probe is answered");
            if answer.status == 503 {
                connection = self.connect().await;
                continue;
            }
            self.board.took(begin.elapsed());
            self.account.take(source, number, answer.expect(200).json());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Connections that end before there is a request.
    async fn half_requests(self, mut random: Random) {
        let event = super::plan::text(0, 0, 0);
        let head = "POST /v1/events HTTP/1.1\r\nhost: localhost\r\ncontent-type: ";
        let whole = [
            format!("{head}{EVENT}\r\ncontent-length: {}\r\n\r\n{event}", event.len()),
            format!("{head}{LINES}\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{event}\r\n", event.len()),
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_string(),
        ];
        while !self.is_over() {
            let whole = &whole[random.below(whole.len() as u64) as usize];
            let mut socket = TcpStream::connect(self.remote.address()).await.expect("the server accepts connections");
            // Never to the end: what is not there cannot be judged.
            let _ = socket.write_all(&whole.as_bytes()[..random.below(whole.len() as u64) as usize]).await;
            if random.once_in(2) {
                let _ = socket.set_zero_linger();
            }
            drop(socket);
            self.vanished();
            tokio::time::sleep(Duration::from_millis(random.below(40))).await;
        }
    }

    /// Whoever asks for much and does not read it.
    async fn half_answers(self, mut random: Random) {
        let pages = [
            ("/v1/verdicts?from=1", LINES),
            ("/v1/verdicts?from=1&follow=true", LINES),
            ("/v1/verdicts?follow=true&rate=30", "text/event-stream"),
            ("/v1/policies", "application/json"),
            ("/", "text/html"),
        ];
        while !self.is_over() {
            let (path, accept) = pages[random.below(pages.len() as u64) as usize];
            let mut page = self.remote.follow(path, accept).await.expect("the server is there");
            soon("a line", page.line()).await;
            drop(page);
            self.vanished();
            tokio::time::sleep(Duration::from_millis(random.below(200))).await;
        }
    }
}

fn lines(events: &[Sent]) -> String {
    events.iter().flat_map(|(_, text)| [text.as_str(), "\n"]).collect()
}
