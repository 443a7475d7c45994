//! `ephor bench`: events and policies of one's own, the whole way and one by one.

use ephor_tests::{policy, settings, write_policy};
use serde_json::{Value, json};

use crate::policy_new::{ephor, said};
use crate::publishers::text;

/// Invoice lines, of which every tenth is of a type that nobody asks about, and every
/// fourth of the others has a listed word.
fn events(count: u64) -> String {
    let event = |id: u64| {
        let kind = if id.is_multiple_of(10) { "other.type" } else { "retail.invoice.line" };
        let description = if id % 4 == 1 { "POCKET KNIFE" } else { "RED MUG" };
        json!({"specversion": "1.0", "id": id.to_string(), "source": "/shop", "type": kind, "time": "2026-01-02T03:04:05Z",
            "data": {"description": description}})
    };
    (0..count).map(|id| format!("{}\n", event(id))).collect()
}

#[test]
fn events_of_ones_own_are_judged_the_whole_way_and_by_each_policy_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let (sample, policies) = (folder.path().join("events.ndjson"), folder.path().join("policies"));
    std::fs::create_dir(&policies).expect("a folder");
    let words = json!({"words": ["KNIFE"]}).to_string();
    write_policy(&policies, "negative-list", Some(&policy("negative-list")), Some(&words));
    write_policy(&policies, "geofence", Some(&policy("geofence")), Some(&settings("geofence")));
    // The last is the first again.
    let first = events(1);
    std::fs::write(&sample, events(2_000) + &first).expect("written");
    let cache = ephor_tests::target_dir().join("it-cache");
    let arguments = [
        "bench",
        "--events",
        text(&sample),
        "--policies",
        text(&policies),
        "--rounds",
        "2",
        "--data",
        text(folder.path()),
        "--cache",
        text(&cache),
    ];

    let figures: Value = serde_json::from_str(&said(&ephor(folder.path(), &[&arguments[..], &["--json"]].concat()), 0)).expect("JSON");
    let listed = (0..2_000).filter(|id| id % 10 != 0 && id % 4 == 1).count();
    assert_eq!(figures["events"], json!(2_001), "{figures}");
    assert_eq!((&figures["repeated"], &figures["refused"]), (&json!(1), &json!(0)), "{figures}");
    let verdicts = figures["verdicts"].as_object().expect("verdicts");
    let count = |verdict: &str| verdicts[verdict].as_u64().expect("a count");
    assert_eq!(count("allow"), 2_000 - listed as u64, "{figures}");
    assert_eq!(count("flag") + count("deny"), listed as u64, "{figures}");
    for rate in ["durable_per_second", "in_memory_per_second"] {
        assert!(figures[rate]["median"].as_f64().is_some_and(|rate| rate > 0.0), "{rate}: {figures}");
    }
    let of =
        |name: &str| figures["policies"].as_array().expect("policies").iter().find(|policy| policy["policy"] == name).expect("a policy");
    let words = of("negative-list");
    assert_eq!((&words["events"], &words["findings"], &words["faults"]), (&json!(1_800), &json!(listed), &json!({})), "{words}");
    assert!(
        words["batch_1_ns"]["median"].as_f64() > words["batch_1024_ns"]["median"].as_f64(),
        "an instance for each event costs more: {words}"
    );
    assert_eq!((&of("geofence")["events"], &of("geofence")["batch_1_ns"]), (&json!(0), &Value::Null), "it is not asked");
    let stages = figures["stages"].as_array().expect("stages");
    let named: Vec<&str> = stages.iter().filter_map(|stage| stage["stage"].as_str()).collect();
    assert!(["decode", "project", "evaluate", "record", "commit"].iter().all(|stage| named.contains(stage)), "{named:?}");
    let shares: f64 = stages.iter().filter_map(|stage| stage["share"].as_f64()).sum();
    assert!((shares - 1.0).abs() < 1e-9, "{shares}");
    let left: Vec<_> = std::fs::read_dir(folder.path()).expect("a folder").map(|item| item.expect("an item").file_name()).collect();
    assert_eq!(left.len(), 2, "the ledger of the measurement is gone: {left:?}");

    let shown = said(&ephor(folder.path(), &arguments), 0);
    for part in ["2,001 events of", "with a ledger (sync)", "in memory", "evaluate", "negative-list 0.1.0-", "1 were here before"] {
        assert!(shown.contains(part), "{part:?} in\n{shown}");
    }

    std::fs::write(&sample, "nonsense\n").expect("written");
    assert!(said(&ephor(folder.path(), &arguments), 3).contains("1 lines are no events"));
    let nowhere = ["bench", "--events", text(&sample), "--policies", text(folder.path())];
    assert!(said(&ephor(folder.path(), &nowhere), 2).contains("no policies in"));
}
