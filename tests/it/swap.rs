//! A swap is a point: under full load, every event has exactly one verdict, from
//! exactly one release, and the change-over is at the sequence that was named.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use ephor_tests::book::Book;
use ephor_tests::client::{BATCH, Version};
use ephor_tests::random::Random;
use ephor_tests::{Ephor, Remote, event, ledger, policy, settings, soon, write_policy};
use serde_json::Value;
use tokio::task::JoinSet;

use crate::{GOOD, LISTED, with_good_policy};

const CONNECTIONS: usize = 8;
const SWAPS: usize = 6;

/// What a connection sent and got: the number of events, and the sequence and
/// release of each answer, in the order of arrival.
async fn load(ephor: Arc<Ephor>, number: usize, stop: Arc<AtomicBool>, judged: Arc<AtomicU64>) -> (u64, Vec<(u64, String)>) {
    let version = if number.is_multiple_of(2) { Version::Http1 } else { Version::Http2 };
    let (mut sending, mut answers) = ephor.stream(version, &[]).await;
    let sender = tokio::spawn(async move {
        let mut sent = 0;
        while !stop.load(Ordering::Relaxed) {
            let lines = event::ndjson((sent..sent + 64).map(|id| event::listing(format!("{number}-{id}"), LISTED)));
            assert!(sending.send(Bytes::from(lines)).await, "connection {number} is kept");
            sent += 64;
        }
        sent
    });
    let mut found = Vec::new();
    while let Some(answer) = answers.next().await {
        assert_eq!(event::text(&answer, "id"), format!("{number}-{}", found.len()), "answers are in the order of the events");
        let mut findings = event::findings(&answer, GOOD);
        let (Some(finding), None, None) = (findings.next(), findings.next(), answer.get("faults")) else {
            panic!("not exactly one finding, without a fault: {answer}");
        };
        found.push((event::sequence(&answer), event::text(finding, "release").to_string()));
        judged.fetch_add(1, Ordering::Relaxed);
    }
    (sender.await.expect("the sender ends"), found)
}

#[tokio::test(flavor = "multi_thread")]
async fn du_14_every_event_is_judged_once_by_one_release() {
    let ephor = Arc::new(with_good_policy("").await);
    let (_, first) = ephor.in_force().await.remove(0);
    let stop = Arc::new(AtomicBool::new(false));
    let judged = Arc::new(AtomicU64::new(0));
    let connections: Vec<_> =
        (0..CONNECTIONS).map(|number| tokio::spawn(load(Arc::clone(&ephor), number, Arc::clone(&stop), Arc::clone(&judged)))).collect();
    let wait_for_more = async || {
        let goal = judged.load(Ordering::Relaxed) + 2_000;
        while judged.load(Ordering::Relaxed) < goal {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };

    // The settings differ in white space only: another release, the same findings.
    let component = policy(GOOD);
    let plain = settings(GOOD);
    let mut change_overs = BTreeMap::from([(0, first.clone())]);
    let mut in_force = first;
    for number in 0..SWAPS {
        soon("events under load", wait_for_more()).await;
        if number == SWAPS / 2 {
            let refused = ephor.put(GOOD, b"not a component", &plain).await;
            assert_eq!(refused.status, 422, "{}", refused.text());
            soon("events after a refused swap", wait_for_more()).await;
        }
        let settings = format!("{plain}{}", " ".repeat((number + 1) % 2));
        let swap = ephor.put(GOOD, &component, &settings).await.succeeded().json();
        assert_eq!(swap["policy"], GOOD, "{swap}");
        assert_eq!(swap["replaced"], in_force, "{swap}");
        in_force = event::text(&swap, "release").to_string();
        let earlier = change_overs.insert(event::sequence(&swap), in_force.clone());
        assert!(earlier.is_none(), "two swaps at one sequence: {swap}");
    }
    soon("events after the last swap", wait_for_more()).await;
    stop.store(true, Ordering::Relaxed);

    let mut all = BTreeMap::new();
    let mut sent = 0;
    for connection in connections {
        let (count, answers) = soon("a connection's answers", connection).await.expect("a connection ends well");
        assert_eq!(answers.len() as u64, count, "every event has a verdict");
        assert!(answers.is_sorted_by(|a, b| a.0 < b.0), "answers on one connection are in sequence");
        sent += count;
        for (sequence, release) in answers {
            assert!(all.insert(sequence, release).is_none(), "sequence {sequence} is there twice");
        }
    }
    let (first, last) = (*all.keys().next().expect("events"), *all.keys().next_back().expect("events"));
    assert_eq!(first, 2, "behind the entry of the first release");
    assert_eq!(last - first + 1, sent + SWAPS as u64, "sequences are dense: each swap has one, and each event");
    for since in change_overs.keys().filter(|since| **since > 0) {
        assert!(!all.contains_key(&(since - 1)), "the entry of a swap is right before {since}");
    }
    for (sequence, release) in &all {
        let (since, expected) = change_overs.range(..=sequence).next_back().expect("the first is at 0");
        assert_eq!(release, expected, "event {sequence}, after the swap at {since}");
    }
    // Each swap fell into the load, so each change-over was really seen.
    let mut seen: Vec<&String> = all.values().collect();
    seen.dedup();
    assert_eq!(seen.len(), SWAPS + 1, "change-overs in sequence order");
}

/// Sends events in batches until the server is gone, and keeps the account.
async fn batches(remote: Remote, number: usize, round: u64, book: Arc<Mutex<Book>>) {
    for batch in 0.. {
        let events: Vec<Value> = (0..20).map(|id| event::listing(format!("{round}-{number}-{batch}-{id}"), LISTED)).collect();
        let text = Value::from(events.clone()).to_string();
        locked(&book, |book| events.into_iter().for_each(|event| book.note(event)));
        let Some(answer) = remote.post(BATCH, text).await else { return };
        let answers = answer.expect(200).json();
        let answers = answers.as_array().expect("a batch answers with an array");
        locked(&book, |book| answers.iter().for_each(|answer| book.take(answer.clone())));
    }
}

fn locked<T>(book: &Mutex<Book>, f: impl FnOnce(&mut Book) -> T) -> T {
    f(&mut book.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Swaps as fast as they are taken, and kills in between: what was judged was judged by the
/// release whose change stands before it, and by no other.
#[tokio::test(flavor = "multi_thread")]
async fn du_14_over_swaps_and_kills_each_verdict_is_that_of_the_release_before_it() {
    const ROUNDS: u64 = 3;
    let folder = tempfile::tempdir().expect("a folder");
    let (data, policies) = (folder.path().join("data"), folder.path().join("policies"));
    std::fs::create_dir(&policies).expect("a folder");
    write_policy(&policies, GOOD, Some(&policy(GOOD)), Some(&settings(GOOD)));
    let args = ["--policies", policies.to_str().expect("a path in UTF-8")];
    let mut random = Random::from_env("EPHOR_SWAP_SEED");
    let (book, mut swaps) = (Arc::new(Mutex::new(Book::default())), 0);
    for round in 0..ROUNDS {
        let ephor = Ephor::start_in(&data, "", &args);
        let mut load = JoinSet::new();
        for number in 0..3 {
            load.spawn(batches(ephor.remote(), number, round, Arc::clone(&book)));
        }
        for number in 0..4 + random.below(4) as usize {
            // White space only: another release, the same findings.
            let settings = format!("{}{}", settings(GOOD), " ".repeat(1 + number));
            ephor.put_settings(GOOD, &settings).await.succeeded();
            swaps += 1;
        }
        ephor.kill();
        while let Some(ended) = soon("the end of a client", load.join_next()).await {
            ended.unwrap_or_else(|error| panic!("round {round}: {error}"));
        }
    }
    let ephor = Ephor::start_in(&data, "", &args);
    let left: Vec<Value> = locked(&book, |book| book.unanswered().map(|sent| sent.event.clone()).collect());
    for left in left.chunks(100) {
        let answers = ephor.judge(left.to_vec()).await;
        locked(&book, |book| answers.into_iter().for_each(|answer| book.take(answer)));
    }
    let lines = ephor.entries(1).await;
    ledger::assert_dense(&lines, 1);
    locked(&book, |book| {
        assert_eq!(book.unanswered().count(), 0, "no event without a verdict");
        book.assert_recorded(&lines);
        assert_eq!(ledger::events(&lines).len(), book.len(), "one entry for each event");
    });
    let (mut in_force, mut judged, mut seen) = (None, 0, BTreeSet::new());
    for line in &lines {
        let entry = ledger::parse(line);
        match ledger::subject(&entry) {
            "change" => in_force = Some(entry["change"]["digest"].clone()),
            "event" => {
                let asked = entry["asked"].as_array().expect("who was asked");
                let [asked] = &asked[..] else { panic!("one release was asked: {line}") };
                assert_eq!((&asked["policy"], Some(&asked["digest"])), (&Value::from(GOOD), in_force.as_ref()), "{line}");
                seen.insert(asked["digest"].to_string());
                judged += 1;
            }
            "start" => in_force = None,
            _ => panic!("what is this: {line}"),
        }
    }
    assert!(swaps >= 12 && seen.len() > 3 && judged > 0, "{swaps} swaps, {} releases have judged {judged} events", seen.len());
    assert!(ephor.stop().success());
    let verified = ledger::verify(&data);
    assert!(verified.status.success(), "{}", ledger::printed(&verified));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_swap_leaves_the_old_release_in_force() {
    let ephor = with_good_policy("").await;
    let before = ephor.in_force().await;
    let refusals = [
        ephor.put(GOOD, b"not a component", "{}").await,
        ephor.put(GOOD, &policy(GOOD), "{\"no-such-setting\":1}").await,
        ephor.put_settings(GOOD, "not JSON").await,
        ephor.put_component(GOOD, &policy("geofence")).await,
        ephor.put("another-name", &policy(GOOD), &settings(GOOD)).await,
    ];
    for refused in refusals {
        assert_eq!(refused.status, 422, "{}", refused.text());
        assert!(!event::text(&refused.json(), "detail").is_empty());
        assert_eq!(ephor.in_force().await, before);
    }
    let answers = ephor.judge([event::listing(1, LISTED)]).await;
    assert_eq!(event::findings(&answers[0], GOOD).count(), 1, "{}", answers[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_and_component_can_be_changed_alone() {
    let ephor = with_good_policy("").await;
    let (_, first) = ephor.in_force().await.remove(0);
    let swap = ephor.put_settings(GOOD, &format!("{} ", settings(GOOD))).await.succeeded().json();
    assert_eq!(swap["replaced"], first, "{swap}");
    let second = event::text(&swap, "release").to_string();
    // The same component keeps the new settings: the same release again.
    let swap = ephor.put_component(GOOD, &policy(GOOD)).await.succeeded().json();
    assert_eq!(swap["release"], second, "{swap}");
    let gone = ephor.remove(GOOD).await;
    assert!(gone.status.is_success(), "{}", gone.text());
    assert_eq!(ephor.in_force().await, []);
    let answers = ephor.judge([event::listing(1, LISTED)]).await;
    assert_eq!(answers[0]["verdict"], "allow", "{}", answers[0]);
}

/// The state of a key crosses a swap of the same state version.
#[tokio::test(flavor = "multi_thread")]
async fn state_is_kept_across_a_swap() {
    let ephor = Ephor::start(&[]);
    let guest = ephor_tests::guest("stateful_trap");
    ephor.put("stateful-trap", &guest, "{}").await.succeeded();
    let counts = |answers: Vec<Value>| -> Vec<String> {
        answers.iter().map(|answer| event::text(&answer["findings"][0]["evidence"], "count").to_string()).collect()
    };
    assert_eq!(counts(ephor.judge((0..3).map(|id| event::listing(id, "LANTERN"))).await), ["1", "2", "3"]);
    let swap = ephor.put_settings("stateful-trap", "{ }").await.succeeded().json();
    assert_eq!(swap["state"], "kept", "{swap}");
    assert_eq!(counts(ephor.judge((3..5).map(|id| event::listing(id, "LANTERN"))).await), ["4", "5"]);
}
