//! Promise 4 under `kill -9`: what was answered stays, every event has one entry, and
//! what policies remember is what the entries say. DU-01, DU-12.
//!
//! Clients on several connections send events of which some were sent before, the
//! server is killed at a moment that nobody chose, and the clients come back with
//! whatever they got no answer to, and with some of what they did. The seed decides
//! about events and moments; threads and the disk do not obey it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use ephor_tests::book::Book;
use ephor_tests::client::{BATCH, EVENT, Version};
use ephor_tests::ledger::{self, Checkpoint};
use ephor_tests::random::{Random, number};
use ephor_tests::{Ephor, Remote, event, guest, policy, settings, soon, write_policy};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};

use crate::{GOOD, LISTED};

/// Rounds, if `EPHOR_KILL_ROUNDS` does not say otherwise.
const ROUNDS: u64 = 20;
/// Connections that send at the same time: two streams, one of batches, one of single events.
const CONNECTIONS: usize = 4;
/// New events of a round.
const NEW: u64 = 240;
/// Customers, each with a state of its own.
const CUSTOMERS: u64 = 7;

/// The guest that counts the lines of each customer, and panics on some.
const COUNTER: &str = "stateful-trap";

/// Checkpoints often enough that they are killed as well.
const CONFIG: &str = "[ledger]\ncheckpoint-ms = 20";

/// The same, and no state stays in memory once it is durable.
const COLD: &str = "[ledger]\ncheckpoint-ms = 20\n[spine]\nstate-memory-bytes-max = 0";

/// An invoice line of some customer: one that the good policy finds, one that the
/// counting guest panics on, or a plain one.
fn line(number: u64, random: &mut Random) -> Value {
    let description = match random.below(16) {
        0 => "boom",
        1..=3 => LISTED,
        _ => "LANTERN",
    };
    let mut event = event::listing(format!("k-{number}"), description);
    event["data"]["customer"] = json!(format!("c{}", random.below(CUSTOMERS)));
    event
}

fn customer(event: &Value) -> &str {
    event::text(&event["data"], "customer")
}

/// What the clients of a round share.
#[derive(Clone)]
struct Account {
    book: Arc<Mutex<Book>>,
    answers: watch::Sender<u64>,
}

impl Account {
    fn new() -> Account {
        Account { book: Arc::default(), answers: watch::Sender::new(0) }
    }

    fn with<T>(&self, f: impl FnOnce(&mut Book) -> T) -> T {
        f(&mut self.book.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn take(&self, answer: Value) {
        self.with(|book| book.take(answer));
        self.answers.send_modify(|count| *count += 1);
    }
}

/// Sends events on one connection or one after another, until all are answered or the
/// server is gone.
async fn client(remote: Remote, kind: usize, events: Vec<String>, mut random: Random, account: Account) {
    match kind {
        0 => stream(remote, Version::Http1, events, random, account).await,
        1 => stream(remote, Version::Http2, events, random, account).await,
        2 => {
            let mut rest = &events[..];
            while let Some((now, later)) = some(rest, 20, &mut random) {
                let Some(answer) = remote.post(BATCH, format!("[{}]", now.join(","))).await else { return };
                let answers = answer.expect(200).json();
                let answers = answers.as_array().expect("a batch answers with an array");
                assert_eq!(answers.len(), now.len());
                answers.iter().for_each(|answer| account.take(answer.clone()));
                rest = later;
            }
        }
        _ => {
            for text in events {
                let Some(answer) = remote.post(EVENT, text).await else { return };
                account.take(answer.expect(200).json());
            }
        }
    }
}

async fn stream(remote: Remote, version: Version, events: Vec<String>, mut random: Random, account: Account) {
    let Some((mut sending, mut answers)) = remote.stream(version).await else { return };
    let sender = tokio::spawn(async move {
        let mut rest = &events[..];
        while let Some((now, later)) = some(rest, 40, &mut random) {
            if !sending.send(Bytes::from(format!("{}\n", now.join("\n")))).await {
                return;
            }
            rest = later;
        }
    });
    while let Some(answer) = answers.next().await {
        account.take(answer);
    }
    soon("the end of the sender", sender).await.expect("the sender ends well");
}

/// The next few of a list, and the rest; nothing at its end.
fn some<'a>(list: &'a [String], most: u64, random: &mut Random) -> Option<(&'a [String], &'a [String])> {
    let count = 1 + random.below(most) as usize;
    (!list.is_empty()).then(|| list.split_at(count.min(list.len())))
}

/// What a round sends: new events, all that nobody answered, some that were answered;
/// some of them twice.
fn round(book: &mut Book, next: &mut u64, random: &mut Random) -> Vec<String> {
    let mut events: Vec<String> = book.unanswered().map(|sent| sent.text()).collect();
    events.extend(book.answered().filter(|_| random.once_in(40)).map(|sent| sent.text()));
    for _ in 0..NEW {
        *next += 1;
        let event = line(*next, random);
        events.push(event.to_string());
        book.note(event);
    }
    let twice: Vec<String> = events.iter().filter(|_| random.once_in(20)).cloned().collect();
    events.extend(twice);
    random.shuffle(&mut events);
    events
}

/// What the server has shown of its ledger over all rounds.
#[derive(Default)]
struct History {
    /// Entries, as they were when they were first seen.
    lines: Vec<String>,
    /// Ids of their events; nothing for a start or a change.
    ids: Vec<Option<String>>,
    checkpoints: Vec<Checkpoint>,
}

impl History {
    /// Reads on where it ended, and holds the book against it.
    async fn follow(&mut self, ephor: &Ephor, book: &Mutex<Book>) {
        let known = self.lines.len();
        // The last known one again: it must not have changed.
        let lines = ephor.entries(known.max(1) as u64).await;
        let new = match self.lines.last() {
            Some(last) => {
                assert_eq!(lines.first(), Some(last), "an entry that was there stays as it was");
                &lines[1..]
            }
            None => &lines[..],
        };
        ledger::assert_dense(new, known as u64 + 1);
        for line in new {
            let entry = ledger::parse(line);
            self.ids.push((ledger::subject(&entry) == "event").then(|| event::text(&entry, "id").to_string()));
            self.lines.push(line.clone());
        }
        let book = book.lock().unwrap_or_else(PoisonError::into_inner);
        for sent in book.answered() {
            let sequence = sent.answer.as_ref().map(event::sequence).expect("is answered");
            let recorded = self.ids.get(sequence as usize - 1);
            assert_eq!(recorded.and_then(Option::as_deref), sent.event["id"].as_str(), "what was answered with sequence {sequence}");
        }
    }

    /// Checkpoints in the order in which they were seen only grow.
    fn grow(&mut self, seen: Vec<Checkpoint>) {
        for checkpoint in seen {
            if let Some(last) = self.checkpoints.last() {
                assert!(last.size <= checkpoint.size, "{} is smaller than {}", checkpoint.note, last.note);
                assert!(last.size < checkpoint.size || last.root == checkpoint.root, "{} and {}", checkpoint.note, last.note);
            }
            if self.checkpoints.last() != Some(&checkpoint) {
                self.checkpoints.push(checkpoint);
            }
        }
    }
}

/// Looks at the checkpoint until the server is gone.
async fn watch_checkpoints(remote: Remote) -> Vec<Checkpoint> {
    let mut seen: Vec<Checkpoint> = Vec::new();
    while let Some(checkpoint) = remote.checkpoint().await {
        seen.extend(checkpoint.filter(|checkpoint| seen.last() != Some(checkpoint)));
        // Not to wait for anything, only to leave the processor to the others.
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    seen
}

/// Counts the lines of each customer by the entries alone, and checks that the guest
/// counted alike: it says its count in each finding.
fn recount(lines: &[String], book: &Book) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for line in ledger::events(lines) {
        let answer = ledger::answer(&line);
        let event = &book.sent(event::text(&answer, "id")).event;
        let description = event::text(&event["data"], "description");
        assert_eq!(event::findings(&answer, GOOD).count(), usize::from(description == LISTED), "{line}");
        let count = counts.entry(customer(event).to_string()).or_insert(0);
        let found: Vec<&Value> = event::findings(&answer, COUNTER).collect();
        let faults: Vec<&str> = event::faults(&answer, COUNTER).map(|fault| event::text(fault, "kind")).collect();
        if description == "boom" {
            assert_eq!((found.len(), faults), (0, vec!["trap"]), "{line}");
        } else {
            *count += 1;
            assert_eq!((found.len(), faults.len()), (1, 0), "{line}");
            assert_eq!(found[0]["evidence"]["count"], count.to_string(), "the state at {line}");
        }
    }
    counts
}

/// Holds what is no event against what was done: each start that came so far is an
/// entry, and behind it, before any event, are those of the policies of the folder.
fn assert_starts(lines: &[String], rounds: u64) {
    let subjects = ledger::subjects(lines);
    let lives: Vec<&[&str]> = subjects.split(|subject| *subject == "start").collect();
    // The first start is that of an empty ledger. Each round is one, and so is the end;
    // those that were killed on the way may have come so far or not.
    let starts = lives.len() as u64 - 1;
    assert!((rounds..=2 * rounds + 1).contains(&starts), "{starts} starts in {rounds} rounds");
    let mut whole = 0;
    for life in lives {
        let changes = life.iter().take_while(|subject| **subject == "change").count();
        assert!(life[changes..].iter().all(|subject| *subject == "event"), "a change behind an event: {life:?}");
        assert!(changes == 2 || changes < 2 && life.len() == changes, "both policies, or killed before: {life:?}");
        whole += u64::from(changes == 2);
    }
    assert!(whole > rounds, "{whole} starts with both policies in {rounds} rounds");
}

/// `log verify` on a directory that nobody writes to.
fn assert_verifies(data: &Path, entries: usize) {
    let output = ledger::verify(data);
    let printed = ledger::printed(&output);
    assert!(output.status.success(), "log verify ended with {}:\n{printed}", output.status);
    let digits: String = printed.chars().filter(|c| *c != ',').collect();
    assert!(digits.contains(&format!("{entries} entries")), "{entries} entries in:\n{printed}");
}

/// All checkpoints that anybody saw are kept, which `log verify` has held against the
/// entries.
fn assert_kept(data: &Path, checkpoints: &[Checkpoint]) {
    let kept = std::fs::read(data.join("checkpoints")).expect("the checkpoints");
    let kept = String::from_utf8_lossy(&kept);
    for checkpoint in checkpoints {
        let Checkpoint { size, root, .. } = checkpoint;
        assert!(kept.contains(&format!("\n{size}\n{root}\n")), "a checkpoint that was served and is not kept: {}", checkpoint.note);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn du_01_nothing_is_lost_doubled_or_changed_by_kill_9() {
    survive(number("EPHOR_KILL_ROUNDS").unwrap_or(ROUNDS), CONFIG, Random::from_env("EPHOR_KILL_SEED")).await;
}

/// The same where every state is read from the ledger each time that it is needed.
#[tokio::test(flavor = "multi_thread")]
async fn du_01_nor_are_states_that_are_on_the_disk_only() {
    survive(number("EPHOR_KILL_ROUNDS").unwrap_or(ROUNDS).div_ceil(3), COLD, Random::from_env("EPHOR_KILL_COLD_SEED")).await;
}

async fn survive(rounds: u64, config: &str, mut random: Random) {
    let folder = tempfile::tempdir().expect("a folder");
    let (data, policies) = (folder.path().join("data"), folder.path().join("policies"));
    std::fs::create_dir(&policies).expect("a folder");
    write_policy(&policies, COUNTER, Some(&guest("stateful_trap")), None);
    write_policy(&policies, GOOD, Some(&policy(GOOD)), Some(&settings(GOOD)));
    let args = ["--policies", policies.to_str().expect("a path in UTF-8")];

    let account = Account::new();
    let mut history = History::default();
    let (mut next, mut interrupted) = (0, 0);
    for number in 1..=rounds {
        if random.once_in(4) {
            // Recovery is killed as well.
            Ephor::kill_at_start(&data, config, &args, Duration::from_millis(random.below(400)));
        }
        let ephor = Ephor::start_in(&data, config, &args);
        history.follow(&ephor, &account.book).await;
        let events = account.with(|book| round(book, &mut next, &mut random));
        account.answers.send_replace(0);
        let mut shares: Vec<Vec<String>> = vec![Vec::new(); CONNECTIONS];
        let total = events.len() as u64;
        for (at, text) in events.into_iter().enumerate() {
            shares[at % CONNECTIONS].push(text);
        }
        let watcher = tokio::spawn(watch_checkpoints(ephor.remote()));
        let mut clients = JoinSet::new();
        for (kind, share) in shares.into_iter().enumerate() {
            clients.spawn(client(ephor.remote(), kind, share, random.fork(), account.clone()));
        }
        let ended = |client: Result<(), JoinError>| client.unwrap_or_else(|error| panic!("round {number}: {error}"));

        // After some answers, and a little later: the moment is meant to be any.
        let goal = random.below(total + 1);
        let mut answers = account.answers.subscribe();
        let enough = async {
            loop {
                tokio::select! {
                    _ = answers.wait_for(|count| *count >= goal) => return,
                    Some(client) = clients.join_next() => ended(client),
                }
            }
        };
        soon("answers under load", enough).await;
        tokio::time::sleep(Duration::from_micros(random.below(5_000))).await;
        ephor.kill();
        while let Some(client) = soon("the end of a client", clients.join_next()).await {
            ended(client);
        }
        interrupted += u64::from(account.with(|book| book.unanswered().next().is_some()));
        history.grow(soon("the end of the watcher", watcher).await.expect("the watcher ends well"));
    }

    let _ = writeln!(std::io::stderr().lock(), "\n{rounds} rounds, {next} events, killed under way {interrupted} times");
    assert!(interrupted > 0 || rounds < 5, "the server was always idle when it was killed");

    // What is left is sent once more, and nobody is killed.
    let ephor = Ephor::start_in(&data, config, &args);
    history.follow(&ephor, &account.book).await;
    let left: Vec<Value> = account.with(|book| book.unanswered().map(|sent| sent.event.clone()).collect());
    if !left.is_empty() {
        ephor.judge(left).await.into_iter().for_each(|answer| account.take(answer));
    }
    history.follow(&ephor, &account.book).await;
    assert_eq!(ephor.entries(1).await, history.lines, "no entry that was ever seen has changed");
    let mut counts = account.with(|book| {
        assert_eq!(book.unanswered().count(), 0, "every event is answered in the end");
        book.assert_recorded(&history.lines);
        assert_eq!(history.ids.iter().flatten().count(), book.len(), "every event has an entry");
        assert_starts(&history.lines, rounds);
        recount(&history.lines, book)
    });

    // The states themselves, after one more kill: the next line of each customer is
    // counted on.
    ephor.kill();
    let ephor = Ephor::start_in(&data, config, &args);
    let customers: BTreeSet<String> = (0..CUSTOMERS).map(|number| format!("c{number}")).collect();
    for (number, customer) in customers.iter().enumerate() {
        let mut probe = event::listing(format!("probe-{number}"), "LANTERN");
        probe["data"]["customer"] = json!(customer);
        let answer = ephor.judge([probe]).await.remove(0);
        let count = counts.entry(customer.clone()).or_insert(0);
        *count += 1;
        let found = event::findings(&answer, COUNTER).next().unwrap_or_else(|| panic!("no count in {answer}"));
        assert_eq!(found["evidence"]["count"], count.to_string(), "the state of {customer}: {answer}");
    }
    let reads = ephor.metric("ephor_state_reads_total", "");
    assert_eq!(reads > 0.0, config == COLD, "{reads} states were read from the ledger");

    // Nor can an event be put in the place of a recorded one.
    let recorded = account.with(|book| book.all().filter(|_| random.once_in(100)).map(|sent| sent.event.clone()).collect::<Vec<_>>());
    for mut event in recorded {
        event["data"]["quantity"] = json!(2);
        let refused = ephor.post(EVENT, event.to_string()).await.expect(409).json();
        assert_eq!(refused["type"], "urn:ephor:problem:id-reused", "{refused}");
    }

    // The start after that kill, and both policies again.
    let entries = history.lines.len() + 3 + customers.len();
    let mut latest = None;
    while latest.as_ref().is_none_or(|checkpoint: &Checkpoint| checkpoint.size < entries as u64) {
        latest = soon("a checkpoint over everything", next_checkpoint(&ephor, latest.take())).await;
        history.grow(latest.clone().into_iter().collect());
    }
    assert_eq!(latest.map(|checkpoint| checkpoint.size), Some(entries as u64), "a checkpoint covers what there is");
    let status = ephor.stop();
    assert!(status.success(), "SIGTERM ends it well: {status}");
    assert_verifies(&data, entries);
    assert_kept(&data, &history.checkpoints);
}

/// The first checkpoint that is another one than before.
async fn next_checkpoint(ephor: &Ephor, before: Option<Checkpoint>) -> Option<Checkpoint> {
    loop {
        let now = ephor.checkpoint().await;
        if now != before {
            return now;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The first start of all is killed: what it leaves, the next one takes up. It may not
/// take an unfinished directory for somebody else's, nor begin without a key.
#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_was_being_made_is_made() {
    let mut random = Random::from_env("EPHOR_KILL_START_SEED");
    for _ in 0..6 {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("data");
        for _ in 0..3 {
            Ephor::kill_at_start(&data, CONFIG, &[], Duration::from_micros(random.below(60_000)));
        }
        let ephor = Ephor::start_in(&data, CONFIG, &[]);
        let answers = ephor.judge([event::listing(1, LISTED), event::listing(2, LISTED)]).await;
        assert_eq!(answers.iter().map(event::sequence).collect::<Vec<_>>(), [1, 2], "{answers:?}");
        assert!(ephor.stop().success());
        assert_verifies(&data, 2);
    }
}
