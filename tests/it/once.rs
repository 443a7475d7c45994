//! Promise 4 without a crash: (`source`, `id`) decides which event it is. Sent again
//! it gets the verdict that is recorded; under other bytes, or from before what is
//! remembered, it is refused. TL-14, DU-12, DU-13.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use ephor_tests::client::{BATCH, EVENT, LINES, Version};
use ephor_tests::data::{self, Set};
use ephor_tests::random::Random;
use ephor_tests::{Ephor, event, guest, ledger, policy, settings, soon, write_policy};
use http_body_util::Full;
use hyper::Request;
use serde_json::{Value, json};

use crate::{GOOD, LISTED, with_good_policy};

/// The guest that counts a customer's lines, and panics on "boom".
const COUNTER: &str = "stateful-trap";

/// Types of the problems.
const REUSED: &str = "urn:ephor:problem:id-reused";
const OUTSIDE: &str = "urn:ephor:problem:outside-horizon";

/// How an event is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Structured,
    Binary,
    Batch,
    Lines,
}

const MODES: [Mode; 4] = [Mode::Structured, Mode::Binary, Mode::Batch, Mode::Lines];

impl Mode {
    /// Sends events; the answers, in order.
    async fn send(self, ephor: &Ephor, events: &[Value]) -> Vec<Value> {
        match self {
            Mode::Structured => {
                let mut answers = Vec::new();
                for event in events {
                    answers.push(ephor.post(EVENT, event.to_string()).await.expect(200).json());
                }
                answers
            }
            Mode::Binary => {
                let mut answers = Vec::new();
                for event in events {
                    answers.push(ephor.request(binary(ephor, event)).await.expect(200).json());
                }
                answers
            }
            Mode::Batch => batch(ephor, &events.iter().map(Value::to_string).collect::<Vec<_>>()).await,
            Mode::Lines => ephor.judge(events.iter().cloned()).await,
        }
    }
}

/// Sends texts as one batch; the answers, in order.
async fn batch(ephor: &Ephor, texts: &[String]) -> Vec<Value> {
    let answers = ephor.post(BATCH, format!("[{}]", texts.join(","))).await.expect(200).json();
    answers.as_array().unwrap_or_else(|| panic!("a batch answers with an array: {answers}")).clone()
}

/// An event in binary mode: attributes in headers, data in the body.
fn binary(ephor: &Ephor, event: &Value) -> Request<Full<Bytes>> {
    let mut request = Request::post(ephor.url("/v1/events"));
    for (name, value) in event.as_object().expect("an event is an object") {
        match name.as_str() {
            "data" => {}
            "datacontenttype" => request = request.header("content-type", value.as_str().expect("a text")),
            name => request = request.header(format!("ce-{name}"), value.as_str().expect("a text")),
        }
    }
    request.body(Full::new(Bytes::from(event["data"].to_string()))).expect("a well-formed request")
}

/// Policies of that server: each has an entry, before all events.
const POLICIES: usize = 2;

/// A server with the good policy and the counting guest in force.
async fn server(config: &str) -> Ephor {
    let ephor = with_good_policy(config).await;
    ephor.put(COUNTER, &guest("stateful_trap"), "{}").await.succeeded();
    ephor
}

/// An event that both policies find something in, one that a policy fails on, one that
/// nobody finds anything in.
fn some(prefix: impl std::fmt::Display) -> [Value; 3] {
    let mut plain = event::listing(format!("{prefix}-plain"), "LANTERN");
    plain["type"] = json!("nobody.asks.about.this");
    [event::listing(format!("{prefix}-listed"), LISTED), event::listing(format!("{prefix}-boom"), "boom"), plain]
}

/// The answers are those of before, and say so.
#[track_caller]
fn assert_again(before: &[Value], again: Vec<Value>) {
    assert_eq!(before.len(), again.len());
    for (before, again) in before.iter().zip(again) {
        let (again, duplicate) = ledger::unmarked(again);
        assert!(duplicate, "not marked as a duplicate: {again}");
        assert_eq!(again, *before);
    }
}

/// What a refusal says: its type, and both digests if it has them.
#[track_caller]
fn assert_refused(problem: &Value, kind: &str) {
    assert_eq!((problem["type"].as_str(), problem["status"].as_u64()), (Some(kind), Some(409)), "{problem}");
    assert!(!event::text(problem, "detail").is_empty(), "{problem}");
    if kind == REUSED {
        assert_ne!(digest(problem, "recorded_digest"), digest(problem, "sent_digest"), "{problem}");
    }
}

/// A digest in a problem, as entries have it: 64 hexadecimal digits.
#[track_caller]
fn digest<'p>(problem: &'p Value, member: &str) -> &'p str {
    let digits = event::text(problem, member).strip_prefix("sha256:").unwrap_or_default();
    let is_digest = digits.len() == 64 && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    assert!(is_digest, "{member} in {problem}");
    digits
}

/// The count that the guest says in its finding.
fn count(answer: &Value) -> u64 {
    let finding = event::findings(answer, COUNTER).next().unwrap_or_else(|| panic!("no count in {answer}"));
    event::text(&finding["evidence"], "count").parse().expect("a number")
}

#[tokio::test(flavor = "multi_thread")]
async fn du_12_the_same_bytes_get_the_recorded_verdict_in_every_mode() {
    let ephor = server("").await;
    let mut listed = 0;
    for mode in MODES {
        let events = some(format!("{mode:?}"));
        let first = mode.send(&ephor, &events).await;
        let verdicts: Vec<&str> = first.iter().map(|answer| event::text(answer, "verdict")).collect();
        assert_eq!(verdicts[1..], ["undetermined", "allow"], "{mode:?}: {first:?}");
        assert_eq!(event::findings(&first[0], GOOD).count(), 1, "{mode:?}: {}", first[0]);
        assert_eq!(event::faults(&first[1], COUNTER).count(), 1, "{mode:?}: {}", first[1]);
        assert!(first.iter().all(|answer| answer.get("duplicate").is_none()), "{mode:?}: {first:?}");
        for _ in 0..2 {
            assert_again(&first, mode.send(&ephor, &events).await);
        }
        // The policies were not asked again: the customer has one line more for each mode.
        listed += 1;
        assert_eq!(count(&first[0]), listed, "{mode:?}");
    }
    let entries = ephor.entries(1).await;
    ledger::assert_dense(&entries, 1);
    let expected = [&["change"; POLICIES][..], &["event"; 3 * MODES.len()]].concat();
    assert_eq!(ledger::subjects(&entries), expected, "an entry for each event, none for a duplicate");
}

/// What came as JSON is the same event in all modes that take JSON; in headers it has
/// other bytes.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_may_come_again_in_another_mode() {
    let ephor = server("").await;
    let events = some("a");
    let first = Mode::Structured.send(&ephor, &events).await;
    assert_again(&first, Mode::Batch.send(&ephor, &events).await);
    assert_again(&first, Mode::Lines.send(&ephor, &events).await);
    let text = event::ndjson(events.iter().cloned());
    let zipped = zstd::encode_all(text.as_bytes(), 1).expect("memory takes it");
    assert_again(&first, ephor.post_with(LINES, &[("content-encoding", "zstd")], zipped).await.expect(200).lines());
    assert_refused(&ephor.request(binary(&ephor, &events[0])).await.expect(409).json(), REUSED);

    let events = some("b");
    let first = Mode::Binary.send(&ephor, &events).await;
    // Headers that are not the event's own, and their order, do not matter.
    for (event, before) in events.iter().zip(&first) {
        let (head, body) = binary(&ephor, event).into_parts();
        let mut request = Request::post(ephor.url("/v1/events")).header("user-agent", "another client");
        let headers: Vec<_> = head.headers.iter().collect();
        for (name, value) in headers.into_iter().rev() {
            request = request.header(name, value);
        }
        let again = ephor.request(request.body(body).expect("a well-formed request")).await.expect(200).json();
        assert_again(std::slice::from_ref(before), vec![again]);
    }
    assert_refused(&ephor.post(EVENT, events[0].to_string()).await.expect(409).json(), REUSED);
}

/// White space around an event is not of it. The digest of what is in between was
/// computed with another program.
#[tokio::test(flavor = "multi_thread")]
async fn white_space_around_an_event_does_not_matter() {
    const TEXT: &str = r#"{"specversion":"1.0","id":"w","source":"/tests","type":"test.event"}"#;
    const DIGEST: &str = "904b9c5c11a98a1a2acbe4962c9dfabca35be6d44c6617804b08b116f63f0a1e";
    let ephor = Ephor::start(&[]);
    let first = ephor.post(EVENT, format!("\r\n\t {TEXT}\n")).await.expect(200).json();
    let first = std::slice::from_ref(&first);
    assert_again(first, vec![ephor.post(EVENT, TEXT).await.expect(200).json()]);
    assert_again(first, vec![ephor.post(BATCH, format!(" [\n\t{TEXT} \r\n]\n")).await.expect(200).json()[0].clone()]);
    assert_again(first, ephor.post(LINES, format!("\n  {TEXT}\t\r\n\r\n")).await.expect(200).lines());
    let entry = ledger::parse(&ephor.entries(1).await.remove(0));
    assert_eq!(entry["digest"], DIGEST, "{entry}");

    // Inside, it is: nobody has to judge which spellings mean the same.
    let spaced = TEXT.replace(',', ", ");
    let refused = ephor.post(EVENT, spaced).await.expect(409).json();
    assert_refused(&refused, REUSED);
    assert_eq!((digest(&refused, "recorded_digest"), refused["sequence"].as_u64()), (DIGEST, Some(1)), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tl_14_other_bytes_under_a_known_id_are_refused_with_both_digests() {
    let ephor = server("").await;
    let first = ephor.judge([event::listing("x", LISTED)]).await.remove(0);
    assert_eq!(event::sequence(&first), 3, "behind the entries of both policies");
    let entry = ephor.event_entries(1).await.remove(0);
    let other = event::listing("x", "LANTERN").to_string();
    let fresh = |id: &str| event::listing(id, "LANTERN").to_string();
    let assert_this = |problem: &Value| {
        assert_refused(problem, REUSED);
        assert_eq!(
            (digest(problem, "recorded_digest"), &problem["sequence"]),
            (event::text(&entry, "digest"), &first["sequence"]),
            "{problem}"
        );
    };

    let alone = ephor.post(EVENT, other.clone()).await.expect(409);
    assert_eq!(alone.header("content-type"), "application/problem+json");
    let sent = alone.json()["sent_digest"].clone();
    assert_this(&alone.json());

    // In the place of the answer, beside others that are taken.
    let answers = batch(&ephor, &[fresh("y"), other.clone(), fresh("z")]).await;
    assert_eq!(
        (answers[1]["index"].as_u64(), answers[1]["id"].as_str(), answers[1]["source"].as_str()),
        (Some(1), Some("x"), Some("/tests"))
    );
    assert_this(&answers[1]["error"]);
    assert_eq!(answers[1]["error"]["sent_digest"], sent, "the same bytes in another mode: {}", answers[1]);
    assert!(answers[1].get("verdict").is_none() && answers[1].get("sequence").is_none(), "{}", answers[1]);
    assert_eq!((event::sequence(&answers[0]), event::sequence(&answers[2])), (4, 5), "what is refused takes no sequence: {answers:?}");

    let lines = format!("{}\n\n{other}\n{}\n", fresh("u"), fresh("v"));
    let answers = ephor.post(LINES, lines).await.expect(200).lines();
    assert_eq!((answers[1]["line"].as_u64(), answers[1]["id"].as_str()), (Some(3), Some("x")), "{}", answers[1]);
    assert_this(&answers[1]["error"]);
    assert_eq!((event::sequence(&answers[0]), event::sequence(&answers[2])), (6, 7), "{answers:?}");

    // The first one is still what it was.
    assert_again(&[first], vec![ephor.post(EVENT, event::listing("x", LISTED).to_string()).await.expect(200).json()]);
    assert_eq!(ephor.entries(1).await.len(), POLICIES + 5);
}

/// The same event several times in one request: the first is judged, the others find it.
#[tokio::test(flavor = "multi_thread")]
async fn repeated_within_one_request() {
    let ephor = server("").await;
    for (mode, first) in [(BATCH, 3), (LINES, 6)] {
        let text = |id: &str, description: &str| event::listing(format!("{mode}-{id}"), description).to_string();
        let texts = [
            text("a", LISTED),
            text("a", LISTED),
            text("a", "LANTERN"),
            text("boom", "boom"),
            text("boom", "boom"),
            text("b", "LANTERN"),
            text("a", LISTED),
        ];
        let (answers, place) = match mode {
            BATCH => (batch(&ephor, &texts).await, ("index", 2)),
            _ => (ephor.post(LINES, texts.join("\n")).await.expect(200).lines(), ("line", 3)),
        };
        let of = |at: usize| vec![answers[at].clone()];
        let sequences: Vec<u64> = [0, 3, 5].map(|at: usize| event::sequence(&answers[at])).to_vec();
        assert_eq!(sequences, [first, first + 1, first + 2], "{mode}: {answers:?}");
        assert_again(&of(0), of(1));
        assert_again(&of(0), of(6));
        assert_again(&of(3), of(4));
        assert_refused(&answers[2]["error"], REUSED);
        assert_eq!(answers[2][place.0], place.1, "{mode}: {}", answers[2]);
        assert_eq!(count(&answers[5]), count(&answers[0]) + 1, "{mode}: duplicates are not counted: {answers:?}");
    }
    assert_eq!(ephor.entries(1).await.len(), POLICIES + 6);
}

/// The same event on many connections at once has one verdict.
#[tokio::test(flavor = "multi_thread")]
async fn repeated_at_the_same_moment() {
    let ephor = Arc::new(server("").await);
    let texts: Arc<Vec<String>> = Arc::new((0..50).map(|id| event::listing(id, LISTED).to_string()).collect());
    let clients: Vec<_> = (0..8)
        .map(|number| {
            let (ephor, texts) = (Arc::clone(&ephor), Arc::clone(&texts));
            tokio::spawn(async move {
                let mut texts = texts.to_vec();
                Random::new(number).shuffle(&mut texts);
                match number % 2 {
                    0 => batch(&ephor, &texts).await,
                    _ => ephor.post(LINES, texts.join("\n")).await.expect(200).lines(),
                }
            })
        })
        .collect();
    let mut seen: BTreeMap<String, Value> = BTreeMap::new();
    let mut judged = 0;
    for client in clients {
        for answer in soon("a client's answers", client).await.expect("a client ends well") {
            let (answer, duplicate) = ledger::unmarked(answer);
            judged += usize::from(!duplicate);
            let known = seen.entry(event::text(&answer, "id").to_string()).or_insert_with(|| answer.clone());
            assert_eq!(*known, answer);
        }
    }
    assert_eq!((judged, seen.len(), ephor.entries(1).await.len()), (50, 50, POLICIES + 50));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_id_of_another_source_is_another_event() {
    let ephor = server("").await;
    let first = ephor.judge([event::listing(1, LISTED)]).await;
    let mut other = event::listing(1, LISTED);
    other["source"] = json!("/tests/other");
    let answer = ephor.judge([other.clone()]).await.remove(0);
    assert_eq!((answer.get("duplicate"), event::sequence(&answer)), (None, event::sequence(&first[0]) + 1), "{answer}");
    // Nor can a source and an id be divided otherwise.
    for (source, id) in [("/tes", "ts1"), ("/tests/othe", "r1"), ("/tests1", "1"), ("/tests", "11")] {
        let mut event = event::listing(id, LISTED);
        event["source"] = json!(source);
        let answer = ephor.judge([event]).await.remove(0);
        assert!(answer.get("duplicate").is_none() && answer["verdict"].is_string(), "{answer}");
    }
    assert_again(&first, ephor.judge([event::listing(1, LISTED)]).await);
    assert_again(&[answer], ephor.judge([other]).await);
}

/// What is remembered outlives the process, and so do the policies' states.
#[tokio::test(flavor = "multi_thread")]
async fn du_12_duplicates_are_known_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let (data, policies) = (folder.path().join("data"), folder.path().join("policies"));
    std::fs::create_dir(&policies).expect("a folder");
    write_policy(&policies, COUNTER, Some(&guest("stateful_trap")), None);
    write_policy(&policies, GOOD, Some(&policy(GOOD)), Some(&settings(GOOD)));
    let args = ["--policies", policies.to_str().expect("a path in UTF-8")];
    let mut before: Vec<(Vec<Value>, Vec<Value>)> = Vec::new();
    for life in 0..4 {
        // The last one has no policies: what is recorded needs nobody to be asked.
        let ephor = Ephor::start_in(&data, "", if life == 3 { &[] } else { &args });
        for (events, answers) in &before {
            for mode in [Mode::Structured, Mode::Batch, Mode::Lines] {
                assert_again(answers, mode.send(&ephor, events).await);
            }
            let mut other = events[0].clone();
            other["data"]["quantity"] = json!(5);
            let refused = ephor.post(EVENT, other.to_string()).await.expect(409).json();
            assert_refused(&refused, REUSED);
            assert_eq!(refused["sequence"], answers[0]["sequence"], "{refused}");
        }
        if life < 3 {
            let events = some(life).to_vec();
            let answers = Mode::Lines.send(&ephor, &events).await;
            assert_eq!(count(&answers[0]), life + 1, "states go on where they were: {answers:?}");
            before.push((events, answers));
        }
        let entries = ephor.entries(1).await;
        ledger::assert_dense(&entries, 1);
        // Each start but the first is an entry, and the folder's policies are put in force again.
        let with_policies = [&["change"; POLICIES][..], &["event"; 3]].concat();
        let lives = [with_policies.clone(), with_policies.clone(), with_policies, Vec::new()];
        assert_eq!(ledger::subjects(&entries), lives[..=life as usize].join(&"start"));
        // Ended with and without its consent.
        match life % 2 {
            0 => ephor.kill(),
            _ => assert!(ephor.stop().success()),
        }
    }
}

/// An event of a source at a time.
fn at(source: &str, id: &str, time: &str) -> Value {
    let mut event = event::listing(id, LISTED);
    event["source"] = json!(source);
    event["time"] = json!(time);
    event
}

#[tokio::test(flavor = "multi_thread")]
async fn du_13_what_happened_before_the_horizon_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = "[ledger]\nhorizon-days = 7";
    let mut ephor = Ephor::start_in(folder.path(), config, &[]);
    let first = at("/a", "first", "2025-03-01T12:00:00Z");
    let old = ephor.judge([first.clone()]).await;
    // It may have happened long before anything else of its source, as long as nothing
    // else is known of it.
    let latest = ephor.judge([at("/a", "latest", "2025-03-20T12:00:00Z")]).await;
    let within = at("/a", "within", "2025-03-14T12:00:00Z");
    let kept = ephor.judge([within.clone()]).await;
    assert!(kept[0]["verdict"].is_string(), "late, but remembered: {}", kept[0]);

    for life in ["the process that saw them", "the next one"] {
        let outside = |id: &str| at("/a", id, "2025-03-10T12:00:00Z").to_string();
        let alone = ephor.post(EVENT, outside("o-1")).await.expect(409);
        assert_eq!(alone.header("content-type"), "application/problem+json");
        assert_refused(&alone.json(), OUTSIDE);
        assert!(event::text(&alone.json(), "detail").contains("2025-03-1"), "from when on: {}", alone.text());
        let good = |id: &str| at("/a", &format!("{id} of {life}"), "2025-03-20T11:59:30Z").to_string();
        let answers = batch(&ephor, &[good("1"), outside("o-2")]).await;
        assert_refused(&answers[1]["error"], OUTSIDE);
        assert_eq!((answers[1]["index"].as_u64(), answers[1]["id"].as_str()), (Some(1), Some("o-2")), "{}", answers[1]);
        let answers = ephor.post(LINES, format!("{}\n{}\n", outside("o-3"), good("2"))).await.expect(200).lines();
        assert_refused(&answers[0]["error"], OUTSIDE);
        assert_eq!((answers[0]["line"].as_u64(), answers[0]["id"].as_str()), (Some(1), Some("o-3")), "{}", answers[0]);
        assert!(answers[1]["verdict"].is_string(), "{}", answers[1]);

        assert_again(&kept, ephor.judge([within.clone()]).await);
        assert_again(&latest, ephor.judge([at("/a", "latest", "2025-03-20T12:00:00Z")]).await);
        // One that was recorded and is outside by now may still be known, or not; it is
        // not judged again.
        let again = ephor.post(EVENT, first.to_string()).await;
        match again.status.as_u16() {
            200 => assert_again(&old, vec![again.json()]),
            _ => assert_refused(&again.expect(409).json(), OUTSIDE),
        }
        // Each source has a time of its own.
        let other = ephor.judge([at("/b", life, "2025-03-01T12:00:00Z")]).await;
        assert!(other[0]["verdict"].is_string(), "{}", other[0]);
        ephor.kill();
        ephor = Ephor::start_in(folder.path(), config, &[]);
    }
    let entries = ephor.entries(1).await;
    ledger::assert_dense(&entries, 1);
    let each = [&["start"][..], &["event"; 3]].concat();
    let expected = [&["event"; 3 + 3][..], &each, &["start"]].concat();
    assert_eq!(ledger::subjects(&entries), expected, "nothing that was refused has an entry");
}

/// A clock that runs ahead does not shut out what has the right time.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_from_the_future_moves_the_horizon_by_a_day_at_most() {
    let ephor = Ephor::start_with("[ledger]\nhorizon-days = 7", &[]);
    let future = ephor.judge([at("/a", "future", "2199-01-01T00:00:00Z")]).await;
    assert!(future[0]["verdict"].is_string(), "{}", future[0]);
    // Without a time, an event happens when it arrives.
    let mut now = event::listing("now", LISTED);
    now["source"] = json!("/a");
    now.as_object_mut().expect("an object").remove("time");
    let answers = ephor.judge([now.clone()]).await;
    assert!(answers[0]["verdict"].is_string(), "{}", answers[0]);
    assert_again(&answers, ephor.judge([now]).await);
    assert_again(&future, ephor.judge([at("/a", "future", "2199-01-01T00:00:00Z")]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_summary_counts_duplicates() {
    let ephor = with_good_policy("").await;
    let text = |from: u32, to: u32| event::ndjson((from..to).map(|id| event::listing(id, "LANTERN")));
    let summary = async |text: String| {
        let answers = ephor.post_with(LINES, &[("prefer", "return=minimal")], text).await.expect(200).lines();
        answers.last().unwrap_or_else(|| panic!("no summary"))["summary"].clone()
    };
    let first = summary(text(0, 10)).await;
    assert_eq!((&first["events"], first.get("duplicates")), (&json!(10), None), "{first}");
    let other = event::ndjson([event::listing(3, LISTED)]);
    let second = summary(text(5, 15) + &other).await;
    let expected = json!({"events": 10, "rejected": 1, "duplicates": 5, "first_sequence": 12, "last_sequence": 16});
    assert_eq!(second, expected);
}

/// Without a ledger there is nothing that a second answer could come from.
#[tokio::test(flavor = "multi_thread")]
async fn in_memory_nothing_is_remembered() {
    let ephor = Ephor::start(&["--in-memory"]);
    for sequence in 1..=3 {
        let answer = ephor.judge([event::listing(1, LISTED)]).await.remove(0);
        assert_eq!((event::sequence(&answer), answer.get("duplicate")), (sequence, None), "{answer}");
    }
    ephor.wait_until("the log says so", || ephor.log().contains("IN MEMORY"));
}

/// The Columbus events: all of them where the full data is.
fn columbus(what: &str) -> Vec<String> {
    match data::full_folder() {
        Some(folder) => {
            let events = data::full(&folder, Set::Columbus);
            assert_eq!(events.len(), 160_561);
            events
        }
        None => {
            data::left_out(what, "there is no ../shared/data, and EPHOR_DATA names no folder that has it; the sample was taken instead");
            data::sample(Set::Columbus)
        }
    }
}

/// Half a year of events is within this.
const HORIZON: &str = "[ledger]\nhorizon-days = 400";

/// An answer to a Columbus event, short enough to keep all of them.
struct Kept {
    /// Source and id.
    event: String,
    duplicate: bool,
    /// The whole answer, without the mark of a duplicate.
    text: String,
}

/// Streams events over a connection of its own.
async fn stream(ephor: &Ephor, version: Version, events: Vec<String>) -> Vec<Kept> {
    let (mut sending, mut answers) = ephor.stream(version, &[]).await;
    let count = events.len();
    let sender = tokio::spawn(async move {
        for chunk in events.chunks(512) {
            if !sending.send(Bytes::from(chunk.join("\n") + "\n")).await {
                return;
            }
        }
    });
    let mut found = Vec::with_capacity(count);
    while let Some(answer) = answers.next().await {
        let event = format!("{} {}", event::text(&answer, "source"), event::text(&answer, "id"));
        let (answer, duplicate) = ledger::unmarked(answer);
        found.push(Kept { event, duplicate, text: answer.to_string() });
    }
    sender.await.expect("the sender ends");
    assert_eq!(found.len(), count, "every event has an answer");
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn columbus_twice_is_recorded_once() {
    let events = columbus("the whole Columbus file, twice");
    let folder = tempfile::tempdir().expect("a folder");
    let mut ephor = Ephor::start_in(folder.path(), HORIZON, &[]);
    for name in ["geofence", "fleet-cap"] {
        ephor.put(name, &policy(name), &settings(name)).await.succeeded();
    }
    let first = stream(&ephor, Version::Http1, events.clone()).await;
    assert!(first.iter().all(|kept| !kept.duplicate), "no event is there twice");
    assert!(first.iter().any(|kept| kept.text.contains("fleet-cap-exceeded")), "the answers say something");
    // Behind the entries of both policies.
    let total = first.len() as u64 + 2;

    // Once more by the same process, and by one that knows them from the disk alone and
    // has no policy to ask.
    for life in 0..2 {
        let again = stream(&ephor, Version::Http2, events.clone()).await;
        for (first, again) in first.iter().zip(&again) {
            assert!(again.duplicate, "{}", again.text);
            assert_eq!(again.text, first.text);
        }
        let last = ephor.entries(total).await;
        // The second start is the only entry that came since.
        let expected = &["event", "start"][..=life];
        assert_eq!(ledger::subjects(&last), expected, "{total} entries and no more");
        ledger::assert_dense(&last, total);
        if life == 0 {
            ephor.kill();
            ephor = Ephor::start_in(folder.path(), HORIZON, &[]);
        }
    }
}

/// What an answer says whatever came before: all but `fleet-cap`, which finds the first
/// vehicle too many, whichever that is.
fn geofence(text: &str) -> Vec<Value> {
    let answer = ledger::parse(text);
    assert!(answer.get("faults").is_none(), "{answer}");
    event::findings(&answer, "geofence").cloned().collect()
}

/// Provider and snapshot of what `fleet-cap` found, as often as it did.
fn over_cap(answers: &[Kept]) -> BTreeMap<(String, String), usize> {
    let mut found = BTreeMap::new();
    for kept in answers.iter().filter(|kept| !kept.duplicate && kept.text.contains("fleet-cap")) {
        for finding in event::findings(&ledger::parse(&kept.text), "fleet-cap") {
            let [provider, snapshot] = ["provider", "snapshot"].map(|name| event::text(&finding["evidence"], name).to_string());
            *found.entry((provider, snapshot)).or_default() += 1;
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn du_12_columbus_in_shuffled_overlapping_pieces_gives_the_same_states() {
    const PIECES: usize = 8;
    let events = columbus("the whole Columbus file in eight pieces");
    let count = events.len();
    let mut random = Random::from_env("EPHOR_ONCE_SEED");
    let server = async || {
        let ephor = Ephor::start_with(HORIZON, &[]);
        for name in ["geofence", "fleet-cap"] {
            ephor.put(name, &policy(name), &settings(name)).await.succeeded();
        }
        ephor
    };
    let in_order = stream(&server().await, Version::Http1, events.clone()).await;

    // Each piece reaches to the middle of the next but one, so that all of it comes
    // twice, on two connections.
    let ephor = Arc::new(server().await);
    let pieces: Vec<_> = (0..PIECES)
        .map(|piece| {
            let from = piece * count / PIECES;
            let mut events: Vec<String> = (from..from + 2 * count.div_ceil(PIECES)).map(|at| events[at % count].clone()).collect();
            random.shuffle(&mut events);
            let ephor = Arc::clone(&ephor);
            let version = if piece % 2 == 0 { Version::Http1 } else { Version::Http2 };
            tokio::spawn(async move { stream(&ephor, version, events).await })
        })
        .collect();
    let mut shuffled = Vec::new();
    for piece in pieces {
        shuffled.extend(piece.await.expect("a piece ends well"));
    }

    let mut judged: BTreeMap<&str, (&Kept, usize)> = BTreeMap::new();
    for kept in &shuffled {
        let (known, times) = judged.entry(&kept.event).or_insert((kept, 0));
        assert_eq!(known.text, kept.text, "every answer about an event is the same");
        *times += usize::from(!kept.duplicate);
    }
    assert_eq!(judged.len(), count, "every event is there");
    for kept in &in_order {
        let (found, times) = judged[kept.event.as_str()];
        assert_eq!(times, 1, "judged once: {}", found.text);
        assert_eq!(geofence(&found.text), geofence(&kept.text), "{}", kept.event);
    }
    // Behind the entries of both policies.
    let last = ephor.entries(count as u64 + 2).await;
    assert_eq!(ledger::subjects(&last), ["event"], "{count} entries of events and no more");
    assert_eq!(over_cap(&shuffled), over_cap(&in_order), "the same fleets are too large, each once");
    assert!(over_cap(&in_order).values().all(|times| *times == 1));
    assert_states(&ephor, &events).await;
}

/// The states of `fleet-cap` against a count of the events themselves. A cap that is
/// exactly what was counted is exceeded by the next vehicle, and not before.
async fn assert_states(ephor: &Ephor, events: &[String]) {
    let mut fleets: BTreeMap<String, BTreeMap<String, (u64, Value)>> = BTreeMap::new();
    for text in events {
        let event: Value = ledger::parse(text);
        let [provider, snapshot] = ["provider", "snapshot_id"].map(|name| event::text(&event["data"], name).to_string());
        fleets.entry(snapshot).or_default().entry(provider).or_insert((0, event)).0 += 1;
    }
    // Some at the beginning, in the middle and at the end.
    let snapshots: Vec<&String> = fleets.keys().collect();
    let chosen: BTreeSet<&String> = [0, snapshots.len() / 2, snapshots.len() - 1].map(|at| snapshots[at]).into();
    for snapshot in chosen {
        let caps: BTreeMap<&String, u64> = fleets[snapshot].iter().map(|(provider, (vehicles, _))| (provider, *vehicles)).collect();
        let swap = ephor.put_settings("fleet-cap", &json!({ "caps": caps }).to_string()).await.succeeded().json();
        assert_eq!(swap["state"], "kept", "{swap}");
        for (provider, (vehicles, event)) in &fleets[snapshot] {
            let mut probe = event.clone();
            probe["id"] = json!(format!("probe-{snapshot}"));
            let answer = ephor.judge([probe]).await.remove(0);
            let finding = event::findings(&answer, "fleet-cap").next();
            let finding = finding.unwrap_or_else(|| panic!("{provider} had not {vehicles} vehicles in {snapshot}: {answer}"));
            assert_eq!(finding["evidence"]["count"], (vehicles + 1).to_string(), "{answer}");
        }
    }
}
