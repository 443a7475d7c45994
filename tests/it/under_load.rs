//! The server comes and goes while real events are sent: by streams, and by one request
//! after the other on connections that are kept. `kill.rs` has kills with states and events
//! that come twice; here are the ends that are asked for, and clients as platforms have them,
//! which send again until they have an answer.

use std::collections::{BTreeSet, VecDeque};
use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use ephor_tests::book::Book;
use ephor_tests::client::{BATCH, EVENT, Kept, Version};
use ephor_tests::data::{self, Set};
use ephor_tests::ledger::Checkpoint;
use ephor_tests::random::{Random, number};
use ephor_tests::{Ephor, Remote, ledger, policy, settings, soon, write_policy};
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Rounds, if `EPHOR_LOAD_ROUNDS` does not say otherwise.
const ROUNDS: u64 = 20;
/// Clients: two streams, one that sends batches, two that send single events; and how many
/// of ten events each of them sends.
const SHARES: [usize; 5] = [3, 3, 2, 1, 1];
/// New events of a round.
const NEW: usize = 500;
/// Lines of a stream that may be without an answer before more are sent.
const WINDOW: usize = 40;

/// What the events are judged with.
const POLICIES: [&str; 3] = ["negative-list", "geofence", "fleet-cap"];

/// The events are years apart, and are sent again in another order.
const CONFIG: &str = "[ledger]\ncheckpoint-ms = 20\nhorizon-days = 10000\n";

/// How a server ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Asked to (`SIGTERM`).
    Asked,
    /// Killed (`SIGKILL`).
    Killed,
}

/// What clients know together.
#[derive(Clone)]
struct Account {
    book: Arc<Mutex<Book>>,
    answers: watch::Sender<u64>,
    streams: Arc<Mutex<Streams>>,
}

/// Streams that the server ended before all their lines were answered.
#[derive(Default)]
struct Streams {
    /// It said where.
    told: u64,
    /// It did not, and some were answered.
    broken: u64,
}

impl Account {
    fn new() -> Account {
        Account { book: Arc::default(), answers: watch::Sender::new(0), streams: Arc::default() }
    }

    fn with<T>(&self, f: impl FnOnce(&mut Book) -> T) -> T {
        f(&mut self.book.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn take(&self, answer: Value) {
        self.with(|book| book.take(answer));
        self.answers.send_modify(|count| *count += 1);
    }

    /// Those of some events that nobody has an answer to.
    fn open(&self, events: &[Event]) -> Vec<Event> {
        self.with(|book| events.iter().filter(|event| book.sent(&event.id).answer.is_none()).cloned().collect())
    }

    fn note(&self, events: &[Event]) {
        self.with(|book| events.iter().for_each(|event| book.note(ledger::parse(&event.text))));
    }

    /// Takes answers to some events: to these, and in their order.
    fn take_all(&self, events: &[Event], answers: Vec<Value>) {
        let ids: Vec<Option<&str>> = answers.iter().map(|answer| answer["id"].as_str()).collect();
        assert_eq!(ids, events.iter().map(|event| Some(&*event.id)).collect::<Vec<_>>(), "what was asked is answered: {answers:?}");
        answers.into_iter().for_each(|answer| self.take(answer));
    }

    fn streams<T>(&self, f: impl FnOnce(&mut Streams) -> T) -> T {
        f(&mut self.streams.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// One event, as it is sent.
#[derive(Debug, Clone)]
struct Event {
    id: String,
    text: String,
}

fn lines(events: &[Event]) -> String {
    events.iter().flat_map(|event| [event.text.as_str(), "\n"]).collect()
}

/// The real events, one after the other, for ever.
struct Events {
    queue: VecDeque<String>,
    taken: usize,
}

impl Events {
    /// Retail and scooters, in turn.
    fn new() -> Events {
        let (retail, columbus) = (data::sample(Set::Retail), data::sample(Set::Columbus));
        let columbus = columbus.into_iter().map(Some).chain(std::iter::repeat(None));
        let queue = retail.into_iter().zip(columbus).flat_map(|(retail, columbus)| [Some(retail), columbus]).flatten().collect();
        Events { queue, taken: 0 }
    }

    /// The next few. When all were there they come again as new ones: with other ids.
    fn next(&mut self, count: usize) -> Vec<Event> {
        (0..count)
            .map(|_| {
                let lap = self.taken / self.queue.len();
                self.taken += 1;
                let text = self.queue.pop_front().expect("there are events");
                let mut event = ledger::parse(&text);
                let id = format!("{}-{lap}", event["id"].as_str().expect("an id"));
                event["id"] = id.clone().into();
                self.queue.push_back(text);
                Event { id, text: event.to_string() }
            })
            .collect()
    }
}

/// The events of each client.
fn shares(events: &[Event]) -> Vec<Vec<Event>> {
    let owners: Vec<usize> = SHARES.iter().enumerate().flat_map(|(kind, count)| vec![kind; *count]).collect();
    let mut shares = vec![Vec::new(); SHARES.len()];
    for (at, event) in events.iter().enumerate() {
        shares[owners[at % owners.len()]].push(event.clone());
    }
    shares
}

/// Sends events on one connection until all are answered or the server takes none.
async fn client(remote: Remote, kind: usize, events: Vec<Event>, mut random: Random, account: Account) {
    match kind {
        0 => stream(remote, Version::Http1, events, random, account).await,
        1 => stream(remote, Version::Http2, events, random, account).await,
        _ => {
            let Some(mut connection) = remote.connect().await else { return };
            let mut rest = &events[..];
            while !rest.is_empty() {
                let size = if kind == 2 { 1 + random.below(20) as usize } else { 1 };
                let (now, later) = rest.split_at(size.min(rest.len()));
                if !request(&mut connection, kind == 2, now, &account).await {
                    return;
                }
                rest = later;
            }
        }
    }
}

/// Sends some in one request; says whether they were answered.
async fn request(connection: &mut Kept, batch: bool, events: &[Event], account: &Account) -> bool {
    let answer = match (batch, events) {
        (false, [event]) => connection.post(EVENT, event.text.clone()).await,
        _ => connection.post(BATCH, format!("[{}]", lines(events).trim_end().replace('\n', ","))).await,
    };
    let Some(answer) = answer else { return false };
    if answer.status == 503 {
        return false;
    }
    match answer.expect(200).json() {
        Value::Array(answers) => account.take_all(events, answers),
        answer => account.take_all(events, vec![answer]),
    }
    true
}

async fn stream(remote: Remote, version: Version, events: Vec<Event>, mut random: Random, account: Account) {
    let Some((mut sending, mut answers)) = remote.stream(version).await else { return };
    let (answered, mut seen) = watch::channel(0);
    let events: Arc<[Event]> = events.into();
    let to_send = events.clone();
    let sender = tokio::spawn(async move {
        let mut rest = &to_send[..];
        while !rest.is_empty() {
            let (now, later) = rest.split_at((1 + random.below(WINDOW as u64 / 2) as usize).min(rest.len()));
            let sent = to_send.len() - rest.len();
            if seen.wait_for(|answered| sent < answered + WINDOW).await.is_err() {
                return;
            }
            if !sending.send(Bytes::from(lines(now))).await {
                return;
            }
            rest = later;
        }
    });
    let (mut count, mut is_told) = (0, false);
    while let Some(answer) = answers.next().await {
        if answer.get("sequence").is_some() {
            account.take_all(events.get(count..=count).expect("a line for each answer"), vec![answer]);
            count += 1;
            answered.send_replace(count);
            continue;
        }
        // It ends, and says from which line on nothing was judged: all before were answered.
        let problem = answer.get("error").unwrap_or(&answer);
        assert_eq!(problem["type"], "urn:ephor:problem:stopping", "{answer}");
        assert!(count == 0 || answer["from_line"] == count + 1, "{count} answers, and then {answer}");
        is_told = true;
        assert_eq!(answers.next().await, None, "the last line");
        break;
    }
    account.streams(|streams| {
        streams.told += u64::from(is_told);
        streams.broken += u64::from(!is_told && count > 0 && count < events.len());
    });
    sender.abort();
    let _ = soon("the end of the sender", sender).await;
}

/// Ends a server, and waits for that.
async fn end(ephor: Ephor, how: End) {
    let ended = tokio::task::spawn_blocking(move || match how {
        End::Asked => assert!(ephor.stop().success(), "asked to stop, it ends well"),
        End::Killed => ephor.kill(),
    });
    soon("the end of the server", ended).await.expect("it ends");
}

/// What a server is started with.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Place {
        let folder = tempfile::tempdir().expect("a folder");
        let policies = folder.path().join("policies");
        std::fs::create_dir(&policies).expect("a folder");
        for name in POLICIES {
            write_policy(&policies, name, Some(&policy(name)), Some(&settings(name)));
        }
        Place { folder }
    }

    fn data(&self) -> std::path::PathBuf {
        self.folder.path().join("data")
    }

    async fn start(&self) -> Ephor {
        let (data, policies) = (self.data(), self.folder.path().join("policies"));
        let started = tokio::task::spawn_blocking(move || {
            Ephor::start_in(&data, CONFIG, &["--policies", policies.to_str().expect("a path in UTF-8")])
        });
        soon("a start", started).await.expect("it starts")
    }
}

/// `log verify` on a directory that nobody writes to.
fn assert_verifies(data: &Path) {
    let output = ledger::verify(data);
    assert!(output.status.success(), "log verify: {}", ledger::printed(&output));
}

/// The entries of a data directory, read on after each life of the server.
#[derive(Default)]
struct History {
    lines: Vec<String>,
}

impl History {
    /// Reads what is new in the directory as it was left; the last entry that was there is
    /// still what it was.
    fn follow(&mut self, data: &Path, round: u64) -> &[String] {
        let known = self.lines.len();
        let mut lines = ledger::exported(data, known.max(1) as u64).into_iter();
        if let Some(last) = self.lines.last() {
            assert_eq!(lines.next().as_ref(), Some(last), "round {round}: an entry has changed, or is gone");
        }
        self.lines.extend(lines);
        ledger::assert_dense(&self.lines[known..], known as u64 + 1);
        &self.lines[known..]
    }

    /// Reads everything once more: each entry is what it was when it was seen first.
    fn whole(mut self, data: &Path, round: u64) -> Vec<String> {
        self.follow(data, round);
        let lines = ledger::exported(data, 1);
        let changed = self.lines.iter().zip(&lines).find(|(known, line)| known != line);
        assert_eq!((changed, lines.len()), (None, self.lines.len()), "entries stay as they were");
        lines
    }
}

/// Ids of the events that have an entry.
fn recorded(lines: &[String]) -> BTreeSet<String> {
    ledger::events(lines).iter().map(|entry| entry["id"].as_str().expect("an id").to_string()).collect()
}

/// Whatever was taken before the server was asked to stop is answered: not one event has an
/// entry of which its client was not told. DU-01.
#[tokio::test(flavor = "multi_thread")]
async fn du_16_what_was_accepted_is_answered_when_it_is_asked_to_stop() {
    let rounds = number("EPHOR_LOAD_ROUNDS").unwrap_or(ROUNDS);
    let mut random = Random::from_env("EPHOR_LOAD_SEED");
    let (place, account, mut events) = (Place::new(), Account::new(), Events::new());
    let (mut left, mut history, mut interrupted) = (Vec::new(), History::default(), 0);
    for round in 1..=rounds {
        let ephor = place.start().await;
        let mut sent = events.next(NEW);
        account.note(&sent);
        sent.append(&mut left);
        random.shuffle(&mut sent);
        account.answers.send_replace(0);
        let mut clients = JoinSet::new();
        for (kind, share) in shares(&sent).into_iter().enumerate() {
            clients.spawn(client(ephor.remote(), kind, share, random.fork(), account.clone()));
        }
        let goal = random.below(sent.len() as u64);
        let mut answers = account.answers.subscribe();
        let enough = async { answers.wait_for(|count| *count >= goal).await.map(|_| ()) };
        soon("answers under load", enough).await.expect("answers");
        end(ephor, End::Asked).await;
        while let Some(client) = soon("the end of a client", clients.join_next()).await {
            client.unwrap_or_else(|error| panic!("round {round}: {error}"));
        }
        left = account.open(&sent);
        interrupted += u64::from(!left.is_empty());

        let recorded = recorded(history.follow(&place.data(), round));
        let signed = Checkpoint::in_directory(&place.data()).map(|checkpoint| checkpoint.size);
        assert_eq!(signed, Some(history.lines.len() as u64), "round {round}: the last checkpoint covers everything");
        let unknown: Vec<&String> = account.with(|book| recorded.iter().filter(|id| book.sent(id).answer.is_none()).collect());
        assert!(unknown.is_empty(), "round {round}: recorded, and nobody was told: {unknown:?}");
        assert_eq!(account.streams(|streams| streams.broken), 0, "round {round}: a stream ended, and was not told where");
    }
    let lines = history.whole(&place.data(), rounds);
    account.with(|book| book.assert_recorded(&lines));
    assert_verifies(&place.data());
    let (total, open, ended) = (account.with(|book| book.len()), left.len(), account.streams(|streams| streams.told));
    let _ = writeln!(
        std::io::stderr().lock(),
        "\n{rounds} drains, {total} events, {open} left to send; under way {interrupted} times; {ended} streams were told where they end"
    );
    assert!(rounds < 10 || interrupted > 0 && ended > 0, "the server was always idle when it was asked to stop");
}

#[tokio::test(flavor = "multi_thread")]
async fn du_01_du_12_clients_that_send_again_have_one_verdict_for_each_event_over_kills() {
    roll(Random::from_env("EPHOR_LOAD_KILL_SEED"), |_| End::Killed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn du_12_clients_that_send_again_have_one_verdict_for_each_event_over_restarts() {
    let one = |random: &mut Random| if random.once_in(4) { End::Killed } else { End::Asked };
    roll(Random::from_env("EPHOR_LOAD_ROLL_SEED"), one).await;
}

/// Where the server is; nothing while there is none.
type Address = watch::Receiver<Option<Remote>>;

/// Sends its events to whichever server is there, until all are answered.
async fn persistent(kind: usize, events: Vec<Event>, mut address: Address, mut random: Random, account: Account) {
    loop {
        let left = account.open(&events);
        if left.is_empty() {
            return;
        }
        let remote = *soon("a server", address.wait_for(Option::is_some)).await.expect("somebody starts servers");
        let Some(remote) = remote else { continue };
        client(remote, kind, left, random.fork(), account.clone()).await;
        // Gone, or full: a platform would wait before it tries again.
        tokio::time::sleep(Duration::from_millis(5 + random.below(20))).await;
    }
}

async fn roll(mut random: Random, how: impl Fn(&mut Random) -> End) {
    let rounds = number("EPHOR_LOAD_ROUNDS").unwrap_or(ROUNDS);
    let (place, account, mut events) = (Place::new(), Account::new(), Events::new());
    let (address, seen) = watch::channel(None);
    let all = events.next(NEW * rounds as usize);
    account.note(&all);
    let mut clients = JoinSet::new();
    for (kind, share) in shares(&all).into_iter().enumerate() {
        clients.spawn(persistent(kind, share, seen.clone(), random.fork(), account.clone()));
    }

    let mut history = History::default();
    let (mut ends, mut killed) = (0, 0);
    for round in 1..=rounds {
        let ephor = place.start().await;
        address.send_replace(Some(ephor.remote()));
        // After some more answers; the moment is meant to be any.
        let goal = *account.answers.borrow() + random.below(NEW as u64);
        let mut answers = account.answers.subscribe();
        let enough = async {
            loop {
                tokio::select! {
                    _ = answers.wait_for(|count| *count >= goal) => return true,
                    ended = clients.join_next() => match ended {
                        Some(client) => client.unwrap_or_else(|error| panic!("round {round}: {error}")),
                        None => return false,
                    },
                }
            }
        };
        let is_busy = soon("answers under load", enough).await;
        let how = how(&mut random);
        address.send_replace(None);
        end(ephor, how).await;
        (ends, killed) = (ends + 1, killed + u64::from(how == End::Killed));
        history.follow(&place.data(), round);
        if !is_busy {
            break;
        }
    }

    // Nobody ends the last one before everything is answered.
    let ephor = place.start().await;
    address.send_replace(Some(ephor.remote()));
    while let Some(client) = soon("the end of a client", clients.join_next()).await {
        client.expect("a client ends well");
    }
    end(ephor, End::Asked).await;
    let lines = history.whole(&place.data(), rounds + 1);
    account.with(|book| {
        assert_eq!(book.unanswered().count(), 0, "every event is answered in the end");
        book.assert_recorded(&lines);
        assert_eq!((ledger::events(&lines).len(), recorded(&lines).len()), (book.len(), book.len()), "one entry for each event");
    });
    assert_verifies(&place.data());
    let (total, ended) = (all.len(), account.streams(|streams| streams.told));
    let _ = writeln!(
        std::io::stderr().lock(),
        "\n{ends} ends, {killed} of them kills; {total} events, each with one verdict; {ended} streams were told where they end"
    );
}
