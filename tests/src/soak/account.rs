//! What was sent and told, held against what the ledger says, while both go on: so what is
//! remembered is bounded, however long that is.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::plan::{self, Clock, Mood};
use super::sample::Board;
use crate::client::LINES;
use crate::{Remote, event, jwt, ledger};

/// An event that was sent: its number, and its text.
pub type Sent = (u64, String);

/// Numbers that were seen.
#[derive(Debug, Default)]
struct Seen(Vec<u64>);

impl Seen {
    /// Says whether it is new.
    fn insert(&mut self, number: u64) -> bool {
        let (word, bit) = ((number / 64) as usize, 1 << (number % 64));
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        let is_new = self.0[word] & bit == 0;
        self.0[word] |= bit;
        is_new
    }
}

/// The events of one source.
#[derive(Debug, Default)]
struct Source {
    /// Events so far; they are numbered from 0.
    sent: u64,
    /// Of which nobody was told anything yet.
    open: BTreeMap<u64, String>,
    /// What was told, until the entry comes.
    told: HashMap<u64, Value>,
    /// What is recorded, until somebody is told.
    recorded: HashMap<u64, Value>,
    entries: Seen,
}

/// All sources.
#[derive(Debug)]
pub struct Account {
    sources: Vec<Mutex<Source>>,
    answered: AtomicU64,
}

impl Account {
    pub fn new(sources: usize) -> Account {
        Account { sources: (0..sources).map(|_| Mutex::default()).collect(), answered: AtomicU64::new(0) }
    }

    fn source(&self, source: usize) -> MutexGuard<'_, Source> {
        self.sources[source].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those that nobody was told anything of.
    pub fn open(&self, source: usize) -> Vec<Sent> {
        self.source(source).open.iter().map(|(number, text)| (*number, text.clone())).collect()
    }

    /// New events, which are to be sent.
    pub fn next(&self, source: usize, count: usize, clock: &Clock) -> Vec<Sent> {
        let mut known = self.source(source);
        let numbers = known.sent..known.sent + count as u64;
        known.sent = numbers.end;
        let day = clock.day();
        let new: Vec<Sent> = numbers.map(|number| (number, plan::text(source, number, day))).collect();
        known.open.extend(new.iter().cloned());
        new
    }

    /// Takes the answer to an event, which is the first.
    ///
    /// # Panics
    ///
    /// If it is about another event, or not what is recorded.
    pub fn take(&self, source: usize, number: u64, answer: Value) {
        assert!(answer.get("error").is_none(), "not an answer: {answer}");
        assert_eq!(answer["id"], number.to_string(), "answers are in the order of the events: {answer}");
        let (answer, _) = ledger::unmarked(answer);
        let mut known = self.source(source);
        assert!(known.open.remove(&number).is_some(), "answered twice: {answer}");
        match known.recorded.remove(&number) {
            Some(recorded) => assert_eq!(recorded, answer, "what is recorded is what is answered"),
            None => drop(known.told.insert(number, answer)),
        }
        self.answered.fetch_add(1, Ordering::Relaxed);
    }

    fn record(&self, source: usize, number: u64, answer: Value) {
        let mut known = self.source(source);
        assert!(number < known.sent, "nobody sent the event of {answer}");
        assert!(known.entries.insert(number), "an event with two entries: {answer}");
        match known.told.remove(&number) {
            Some(told) => assert_eq!(answer, told, "what was answered is what is recorded"),
            None => drop(known.recorded.insert(number, answer)),
        }
    }

    /// Events that were answered.
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Every event was answered and has an entry.
    ///
    /// # Panics
    ///
    /// If not.
    pub fn assert_settled(&self) {
        let mut sent = 0;
        for source in 0..self.sources.len() {
            let known = self.source(source);
            assert!(known.told.is_empty(), "answered, and not recorded: {:?}", known.told);
            assert!(known.recorded.is_empty(), "recorded, and nobody was told: {:?}", known.recorded);
            assert!(known.open.is_empty(), "never answered: {:?}", known.open);
            sent += known.sent;
        }
        assert_eq!(self.answered(), sent, "one answer for each event");
    }
}

/// The tree over the entries (RFC 6962, section 2.1), by another hand than the server's:
/// the roots of its full subtrees, the largest first.
#[derive(Debug, Default)]
struct Tree {
    size: u64,
    roots: Vec<[u8; 32]>,
}

impl Tree {
    fn push(&mut self, entry: &[u8]) {
        let mut hash: [u8; 32] = Sha256::new().chain_update([0]).chain_update(entry).finalize().into();
        for _ in 0..self.size.trailing_ones() {
            let left = self.roots.pop().expect("a subtree for each bit");
            hash = Self::node(&left, &hash);
        }
        self.roots.push(hash);
        self.size += 1;
    }

    fn node(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
        Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
    }

    fn root(&self) -> [u8; 32] {
        let root = self.roots.iter().rev().copied().reduce(|right, left| Self::node(&left, &right));
        root.unwrap_or_else(|| Sha256::digest(b"").into())
    }
}

/// Reads the ledger along, and believes nothing.
#[derive(Debug)]
pub struct Auditor {
    account: Arc<Account>,
    board: Arc<Board>,
    tree: Tree,
    /// By policy: the release in force.
    releases: HashMap<String, String>,
    /// By customer: the events so far.
    counts: HashMap<String, u64>,
    /// Changes of the releases in force.
    pub changes: u64,
    /// Entries of events.
    pub events: u64,
    /// Events on which a policy failed, by the kind of the fault.
    pub faults: BTreeMap<&'static str, u64>,
}

impl Auditor {
    pub fn new(account: Arc<Account>, board: Arc<Board>) -> Auditor {
        let (tree, releases, counts) = Default::default();
        Auditor { account, board, tree, releases, counts, changes: 0, events: 0, faults: BTreeMap::new() }
    }

    /// Reads from the first entry on, up to a checkpoint that the board names at some time.
    pub async fn follow(mut self, remote: Remote) -> Auditor {
        let mut page = remote.follow("/v1/verdicts?from=1&follow=true", LINES).await.expect("the server is there");
        let mut checkpoint = self.board.checkpoint.subscribe();
        loop {
            tokio::select! {
                line = page.line() => {
                    let line = line.expect("the server is there");
                    // Nothing new for a while.
                    if !line.is_empty() {
                        self.read(&line);
                        self.board.entries.store(self.tree.size, Ordering::Relaxed);
                    }
                }
                signed = checkpoint.wait_for(Option::is_some) => {
                    let signed = signed.expect("the board is there").clone().expect("waited for");
                    assert_eq!(signed.size, self.tree.size, "the checkpoint is about all that was read");
                    let root = signed.root.trim_end_matches('=').replace('+', "-").replace('/', "_");
                    assert_eq!(root, jwt::base64url(&self.tree.root()), "what was read is what was signed");
                    return self;
                }
            }
        }
    }

    fn read(&mut self, line: &[u8]) {
        self.tree.push(line);
        let entry: Value = serde_json::from_slice(line).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(line)));
        assert_eq!(event::sequence(&entry), self.tree.size, "sequences are dense: {entry}");
        match ledger::subject(&entry) {
            "event" => self.judge(&entry),
            "change" => {
                let change = &entry["change"];
                self.changes += 1;
                self.releases.insert(event::text(change, "policy").into(), event::text(change, "release").into());
            }
            "start" | "keep" => {}
            other => panic!("nobody expects a {other}: {entry}"),
        }
    }

    /// One event: asked were the releases in force, each once, and they said what they had to.
    fn judge(&mut self, entry: &Value) {
        let asked = entry["asked"].as_array().map(Vec::as_slice).unwrap_or_default();
        assert_eq!(asked.len(), self.releases.len(), "every policy in force was asked: {entry}");
        for by in asked {
            let expected = self.releases.get(event::text(by, "policy")).map(String::as_str);
            assert_eq!(by["release"].as_str(), expected, "the release in force: {entry}");
        }
        let source = event::text(entry, "source").strip_prefix("/soak/").and_then(|source| source.parse().ok());
        let number = event::text(entry, "id").parse().ok();
        let (Some(source), Some(number)) = (source, number) else { panic!("nobody sent the event of {entry}") };
        let answer = ledger::answer(entry);
        let mood = Mood::of(source, number);
        let count = mood.check(&answer);
        let counted = self.counts.entry(plan::customer(source, number)).or_insert(0);
        *counted += 1;
        assert_eq!(count, *counted, "each event of a customer is counted once, across swaps: {entry}");
        if let Mood::Fault(kind) = mood {
            *self.faults.entry(kind).or_insert(0) += 1;
        }
        self.events += 1;
        self.account.record(source, number, answer);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(number: u64, sequence: u64) -> Value {
        json!({"id": number.to_string(), "sequence": sequence})
    }

    fn account() -> Account {
        let account = Account::new(1);
        account.next(0, 2, &Clock::new(std::time::Duration::from_secs(1)));
        account
    }

    #[test]
    fn what_is_told_and_recorded_is_settled() {
        let account = account();
        account.take(0, 0, told(0, 1));
        account.record(0, 0, told(0, 1));
        assert_eq!(account.open(0).len(), 1);
        account.record(0, 1, told(1, 2));
        let mut again = told(1, 2);
        again["duplicate"] = true.into();
        account.take(0, 1, again);
        account.assert_settled();
    }

    #[test]
    #[should_panic(expected = "answered, and not recorded")]
    fn a_lost_event_is_noticed() {
        let account = account();
        account.take(0, 0, told(0, 1));
        account.assert_settled();
    }

    #[test]
    #[should_panic(expected = "an event with two entries")]
    fn a_doubled_event_is_noticed() {
        let account = account();
        account.record(0, 0, told(0, 1));
        account.record(0, 0, told(0, 2));
    }

    #[test]
    #[should_panic(expected = "what was answered is what is recorded")]
    fn another_answer_is_noticed() {
        let account = account();
        account.take(0, 0, told(0, 1));
        account.record(0, 0, told(0, 2));
    }

    #[test]
    fn the_tree_is_that_of_the_rfc() {
        let leaf = |entry: &[u8]| -> [u8; 32] { Sha256::new().chain_update([0]).chain_update(entry).finalize().into() };
        let mut tree = Tree::default();
        for entry in [b"a", b"b", b"c"] {
            tree.push(entry);
        }
        assert_eq!(tree.root(), Tree::node(&Tree::node(&leaf(b"a"), &leaf(b"b")), &leaf(b"c")));
    }
}
