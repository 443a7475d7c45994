//! A platform that holds events back is seen, where their source numbers them.

use ephor_tests::{Ephor, event};
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
async fn numbers_that_are_left_out_are_entries_and_a_figure() {
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
    let all = gaps(&ephor).await;
    assert_eq!(all[..2], expected);
    let (_, source, after, before, missing) = &all[2];
    assert_eq!((source.as_str(), *after, *before, *missing), ("/a", 815, 818, 2));
}
