//! `ephor policy bench`: the cost of a new policy natively and as a component, held against
//! what was saved.

use std::path::Path;

use ephor_tests::component_path;
use serde_json::{Value, json};

use crate::GOOD;
use crate::policy_lint::{change, clean};
use crate::policy_new::{ephor, said};
use crate::publishers::text;

/// Events of a few accounts; every tenth is of a type that nobody asks about.
fn events(count: u64) -> String {
    let event = |id: u64| {
        let kind = if id.is_multiple_of(10) { "other.type" } else { "shop.order.placed" };
        let data = json!({"account": format!("a-{}", id % 7), "amount": id * 100});
        json!({"specversion": "1.0", "id": id.to_string(), "source": "/shop", "type": kind, "time": "2026-01-02T03:04:05Z", "data": data})
    };
    (0..count).map(|id| format!("{}\n", event(id))).collect()
}

#[test]
fn a_new_policy_costs_the_same_fuel_everywhere_and_time_with_its_noise() {
    let folder = tempfile::tempdir().expect("a folder");
    let own = clean(folder.path(), "bench-new", &["--stateful", "--event", "shop.order.placed"]);
    let (sample, saved) = (folder.path().join("events.ndjson"), folder.path().join("saved.json"));
    std::fs::write(&sample, events(2_000)).expect("written");
    std::fs::write(own.join("settings.json"), "{\"limit\": 3}").expect("written");
    let bench =
        |args: &[&str]| ephor(&own, &[&["policy", "bench", "--events", text(&sample), "--rounds", "3", "--batch", "256"], args].concat());

    let shown = said(&bench(&["--save", text(&saved)]), 0);
    for part in ["bench-new 0.1.0-", "1,800 events in batches of 256", "as long as native", "fuel of an event", "the middle half of them"] {
        assert!(shown.contains(part), "{part:?} in\n{shown}");
    }
    let figures: Value = serde_json::from_slice(&std::fs::read(&saved).expect("figures")).expect("JSON");
    let number = |name: &str| figures[name].as_f64().expect("a number");
    assert_eq!((number("events"), number("rows")), (2_000.0, 1_800.0));
    assert!(number("findings") > 0.0 && number("fuel") > 0.0 && number("memory_bytes") > 65_536.0, "{figures}");
    for spread in ["native_ns", "component_ns", "ratio"] {
        let of = |name: &str| figures[spread][name].as_f64().expect("a number");
        assert!(0.0 < of("low") && of("low") <= of("median") && of("median") <= of("high"), "{spread}: {figures}");
    }

    // The same again: fuel, memory and size do not differ at all.
    let again = said(&bench(&["--baseline", text(&saved), "--fail-above", "0"]), 0);
    for exact in ["fuel of an event", "memory of a call", "size"] {
        let line = again.lines().rfind(|line| line.trim_start().starts_with(exact)).expect("a line");
        assert!(line.contains("none") && line.contains("exact"), "{line}");
    }
    assert!(again.contains("within the noise") || again.contains("beyond the noise"), "{again}");

    // A build server holds the fuel.
    let cheaper = folder.path().join("cheaper.json");
    let mut less = figures.clone();
    less["fuel"] = json!(number("fuel") / 2.0);
    std::fs::write(&cheaper, less.to_string()).expect("written");
    let refused = said(&bench(&["--baseline", text(&cheaper), "--fail-above", "5"]), 3);
    assert!(refused.contains("100.0 % more fuel"), "{refused}");

    // Figures of other work are not compared.
    std::fs::write(&sample, events(1_000)).expect("written");
    assert!(said(&bench(&["--baseline", text(&saved)]), 2).contains("figures of different work cannot be compared"));
    change(&saved, "\"events\"", "\"event\"");
    assert!(said(&bench(&["--baseline", text(&saved)]), 2).contains("saved.json:"));
}

#[test]
fn a_component_alone_is_measured_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let sample = folder.path().join("events.ndjson");
    std::fs::write(&sample, events(50)).expect("written");
    let component = component_path("policies", GOOD);
    let bench =
        |events: &Path| ephor(folder.path(), &["policy", "bench", text(&component), "--events", text(events), "--rounds", "1", "--json"]);
    assert!(said(&bench(&sample), 2).contains("the policy is given none: it is asked about retail.invoice.line"));
    let line = json!({"specversion": "1.0", "id": "1", "source": "/s", "type": "retail.invoice.line", "data": {"description": "WINE"}});
    std::fs::write(&sample, format!("{line}\n")).expect("written");
    let figures: Value = serde_json::from_str(&said(&bench(&sample), 0)).expect("JSON");
    assert_eq!((&figures["native_ns"], &figures["findings"]), (&Value::Null, &json!(1)));
    std::fs::write(&sample, "nonsense\n").expect("written");
    assert!(said(&bench(&sample), 3).contains("1 lines are no events"));
}
