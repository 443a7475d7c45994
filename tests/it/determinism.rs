//! DT-01: what is said about events does not depend on how they were batched, on
//! how many rows a call got, or on how many threads there were.

use ephor::sandbox::Limits;
use ephor::{bench, ingest};
use ephor_tests::client::LINES;
use ephor_tests::data::{self, Set};
use ephor_tests::handmade::{ANSWER, Handmade};
use ephor_tests::{Ephor, binary, event, guest, policy, settings};

/// All answers on the sample, as they came, with this configuration.
async fn answers(config: &str) -> String {
    let ephor = Ephor::start_with(config, &[]);
    for name in ["geofence", "fleet-cap", "negative-list"] {
        ephor.put(name, &policy(name), &settings(name)).await.succeeded();
    }
    // One that traps on some rows and keeps a state of the others.
    ephor.put("stateful-trap", &guest("stateful_trap"), "{}").await.succeeded();
    let boom = (0..1_500).map(|number| match number % 9 {
        4 if number < 400 => event::listing(number, "boom").to_string(),
        _ => event::listing(number, "SEEN").to_string(),
    });
    let lines: Vec<String> = data::sample(Set::Columbus).into_iter().chain(boom).collect();
    ephor.post(LINES, lines.join("\n")).await.succeeded().text()
}

#[tokio::test(flavor = "multi_thread")]
async fn dt_01_the_same_events_get_the_same_answers_however_they_are_batched() {
    let expected = answers("").await;
    assert!(expected.lines().count() >= 10_000, "{} answers", expected.lines().count());
    assert!(expected.contains("\"undetermined\"") && expected.contains("fleet-cap-exceeded"), "the answers say something");
    for config in [
        "",
        "[spine]\nbatch-events-max = 1",
        "[spine]\nbatch-events-max = 100\n[sandbox]\ncall-rows-max = 7",
        "[spine]\nthreads = 1",
        "[spine]\nthreads = 4\n[sandbox]\ncall-rows-max = 300",
        "[spine]\nthreads = 16",
    ] {
        let found = answers(config).await;
        let different = expected.lines().zip(found.lines()).find(|(one, other)| one != other);
        assert!(found == expected, "with {config:?}: {different:?}");
    }
}

/// The same rows take the same fuel and memory, to the unit, by whomever they are judged.
#[tokio::test(flavor = "multi_thread")]
async fn ws_01_dt_01_the_same_rows_take_the_same_fuel() {
    let parsed = |value: serde_json::Value| ingest::structured(value.to_string().as_bytes(), &ingest::Limits::default()).expect("an event");
    let rows: Vec<_> = (0..100).map(|id| parsed(event::listing(id, if id % 9 == 4 { "boom" } else { "SEEN it" }))).collect();
    for (name, rows) in [("traps_on_a_row", &rows[..]), ("loops", &rows[4..5])] {
        let load = async || bench::Policy::load(&binary(), &guest(name), b"{}", &[]).await.expect("loaded");
        let mut seen = Vec::new();
        for _ in 0..2 {
            let policy = load().await;
            let prepared = policy.prepare(rows);
            let judged = policy.judge(&prepared);
            seen.push((judged.fuel, judged.memory, judged.findings, judged.faults));
        }
        assert_eq!(seen[0], seen[1], "{name}");
        assert!(name != "loops" || seen[0].0 == Limits::default().event_fuel_max && seen[0].3 == 1, "to the last unit: {seen:?}");
    }
}

/// A bulk operation costs as much as the bytes that it touches.
#[tokio::test(flavor = "multi_thread")]
async fn ws_06_a_bulk_operation_takes_a_unit_of_fuel_a_byte() {
    let fill = |bytes: u32| format!("(memory.fill (i32.const 65536) (i32.const 7) (i32.const {bytes})) (i32.const {ANSWER})");
    let handmade = Handmade::default().on('a', fill(0)).on('b', fill(65_536));
    let policy = bench::Policy::load(&binary(), &handmade.component(), b"{}", &[]).await.expect("loaded");
    let fuel = |what: &str| {
        let event = ingest::structured(event::listing(1, what).to_string().as_bytes(), &ingest::Limits::default()).expect("an event");
        let judged = policy.judge(&policy.prepare(&[event]));
        assert_eq!(judged.faults, 0);
        judged.fuel
    };
    let (none, all) = (fuel("!a"), fuel("!b"));
    assert!(all - none >= 65_536, "{none} without, {all} with");
}
