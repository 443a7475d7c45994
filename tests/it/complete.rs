//! A platform that holds events back is seen, where their source numbers them, and where
//! it is known how often something is to come.

use std::time::{Duration, Instant};

use ephor_tests::{Ephor, PATIENCE, event, ledger};
use serde_json::{Value, json};

fn numbered(source: &str, number: u64) -> Value {
    json!({"specversion": "1.0", "id": format!("{number}"), "source": source, "type": "t", "sequence": number.to_string()})
}

/// The gaps in the ledger: sequence, source, after, before, missing.
async fn gaps(ephor: &Ephor) -> Vec<(u64, String, u64, u64, u64)> {
    let entries = ephor.get("/v1/verdicts").await.expect(200).lines();
    assert!(entries.iter().map(event::sequence).eq(1..=entries.len() as u64), "sequences are dense");
    let gap = |entry: &Value| {
        let gap = entry.get("gap")?;
        let number = |name: &str| gap[name].as_u64().expect("a number");
        let source = event::text(gap, "source").to_string();
        Some((event::sequence(entry), source, number("after"), number("before"), number("missing")))
    };
    entries.iter().filter_map(gap).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn tl_13_tl_16_numbers_that_are_left_out_are_entries_and_a_figure() {
    let folder = tempfile::tempdir().expect("a folder");
    let start = || Ephor::start_in(folder.path(), "", &[]);
    let ephor = start();
    let sent = [("/a", 810), ("/b", 3), ("/a", 811), ("/a", 815), ("/b", 4), ("/b", 6)];
    let answers = ephor.judge(sent.map(|(source, number)| numbered(source, number))).await;
    let sequences: Vec<u64> = answers.iter().map(event::sequence).collect();
    assert_eq!(sequences, [1, 2, 3, 5, 6, 8], "each gap has an entry of its own, before the event behind it");
    let expected = [(4, "/a".to_string(), 811, 815, 3), (7, "/b".to_string(), 4, 6, 1)];
    assert_eq!(gaps(&ephor).await, expected);
    assert_eq!(ephor.metric("ephor_missing_events", ""), 4.0);
    // What comes late is missing no more, and what comes twice is no news.
    ephor.judge([numbered("/a", 813), numbered("/b", 6)]).await;
    assert_eq!(ephor.metric("ephor_missing_events", ""), 3.0);
    // An event that came again under a number that was shifted is known as before.
    let again = ephor.judge([numbered("/a", 815)]).await.remove(0);
    assert_eq!((event::sequence(&again), &again["duplicate"]), (5, &json!(true)));
    assert!(ephor.stop().success());

    let ephor = start();
    ephor.judge([numbered("/a", 814), numbered("/a", 818)]).await;
    assert_eq!(ephor.metric("ephor_missing_events", ""), 4.0, "two of the old gaps, two of the new one");
    // Behind the seven events and two gaps of before.
    let entries = ephor.entries(1).await;
    assert_eq!(ledger::subjects(&entries[9..]), ["start", "event", "gap", "event"], "{entries:?}");
    let all = gaps(&ephor).await;
    assert_eq!(all[..2], expected);
    let (_, source, after, before, missing) = &all[2];
    assert_eq!((source.as_str(), *after, *before, *missing), ("/a", 815, 818, 2));
}

/// A source that gives one number to two events has said two things at one place: both are
/// judged and recorded, each with the number, and neither passes for the other.
#[tokio::test(flavor = "multi_thread")]
async fn tl_14_two_events_under_one_number_are_both_recorded_with_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let ephor = Ephor::start_in(folder.path(), "", &[]);
    let under = |id: &str, number: u64, says: &str| json!({"specversion": "1.0", "id": id, "source": "/a", "type": "t", "sequence": number.to_string(), "data": says});
    let answers = ephor.judge([under("first", 7, "one thing"), under("second", 7, "another"), under("third", 8, "more")]).await;
    assert!(answers.iter().all(|answer| answer.get("duplicate").is_none()), "none is taken for one that came again: {answers:?}");
    let entries = ephor.event_entries(1).await;
    let said: Vec<(&str, &Value)> = entries.iter().map(|entry| (event::text(entry, "id"), &entry["number"])).collect();
    assert_eq!(said, [("first", &json!(7)), ("second", &json!(7)), ("third", &json!(8))]);
    assert_ne!(entries[0]["digest"], entries[1]["digest"], "of two bodies");
    assert_eq!((gaps(&ephor).await, ephor.metric("ephor_missing_events", "")), (Vec::new(), 0.0));
    assert!(ephor.stop().success());
    assert!(ledger::verify(folder.path()).status.success());
}

/// The silences in the ledger: sequence and content.
async fn silences(ephor: &Ephor) -> Vec<(u64, Value)> {
    let entries = ephor.get("/v1/verdicts").await.expect(200).lines();
    assert!(entries.iter().map(event::sequence).eq(1..=entries.len() as u64), "sequences are dense");
    entries.iter().filter_map(|entry| Some((event::sequence(entry), entry.get("silence")?.clone()))).collect()
}

/// The same, as soon as there are so many: a figure is there before its entry is.
async fn noted(ephor: &Ephor, count: usize) -> Vec<(u64, Value)> {
    let begin = Instant::now();
    loop {
        let found = silences(ephor).await;
        if found.len() >= count {
            return found;
        }
        assert!(begin.elapsed() < PATIENCE, "waited {PATIENCE:?} for {count} silences, and there are {found:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_falls_silent_is_an_entry_and_a_figure() {
    const CONFIG: &str = "[spine.heartbeats]\n\"/fleet/*\" = 1\n\"/never\" = 2\n\"/fleet/slow\" = 3600\n";
    /// Longer than a heartbeat and the time between two looks at the clock.
    const LONG: Duration = Duration::from_millis(2_500);
    let folder = tempfile::tempdir().expect("a folder");
    let start = || Ephor::start_in(folder.path(), CONFIG, &[]);
    let silent = |ephor: &Ephor| ephor.metric("ephor_silent_sources", "");
    let ephor = start();
    ephor.judge([numbered("/fleet/a", 1), numbered("/fleet/slow", 1), numbered("/shop", 1)]).await;
    noted(&ephor, 2).await;
    tokio::time::sleep(LONG).await;
    assert_eq!(silent(&ephor), 2.0);
    let found = silences(&ephor).await;
    let first = ephor.get("/v1/verdicts?source=%2Ffleet%2Fa").await.expect(200).lines().remove(0);
    let arrived = first["arrived"].clone();
    let mut sources: Vec<(&str, u64, &Value)> = found
        .iter()
        .map(|(_, silence)| (event::text(silence, "source"), silence["heartbeat"].as_u64().expect("seconds"), &silence["last"]))
        .collect();
    sources.sort_unstable_by_key(|(source, ..)| *source);
    assert_eq!(sources, [("/fleet/a", 1, &arrived), ("/never", 2, &Value::Null)], "once each, and nobody else");
    assert!(found.iter().all(|(_, silence)| event::text(silence, "noted") > arrived.as_str().expect("a time")), "{found:?}");
    let of_source = ephor.get("/v1/verdicts?source=%2Fnever").await.expect(200).lines();
    assert_eq!(of_source.len(), 1, "{of_source:?}");

    // It ends with the next event, and may begin again.
    let answer = ephor.judge([numbered("/fleet/a", 2)]).await.remove(0);
    let all = noted(&ephor, 3).await;
    assert_eq!((all.len(), all[2].0, event::text(&all[2].1, "source")), (3, event::sequence(&answer) + 1, "/fleet/a"));
    assert_eq!(silent(&ephor), 2.0, "no longer silent is not silent twice");
    ephor.kill();

    // A start knows who is silent, and begins to listen anew to the others.
    let ephor = start();
    tokio::time::sleep(LONG).await;
    assert_eq!((silences(&ephor).await, silent(&ephor)), (all.clone(), 2.0));
    ephor.judge([numbered("/fleet/a", 3)]).await;
    assert!(ephor.stop().success());
    let ephor = start();
    // Last heard of before the start, and silent for as long as this one has listened.
    let later = noted(&ephor, 4).await;
    assert_eq!((later.len(), &later[..3], event::text(&later[3].1, "source")), (4, &all[..], "/fleet/a"));
    assert_eq!(silent(&ephor), 2.0);
    assert!(ephor.stop().success());
    let verified = ledger::printed(&ledger::verify(folder.path()));
    assert!(verified.contains(&format!(", 0 gaps, {} silences, ", later.len())), "{verified}");
}
