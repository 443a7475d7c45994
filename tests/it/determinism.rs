//! DT-01: what is said about events does not depend on how they were batched, on
//! how many rows a call got, or on how many threads there were.

use ephor_tests::client::LINES;
use ephor_tests::data::{self, Set};
use ephor_tests::{Ephor, event, guest, policy, settings};

/// All answers on the sample, as they came, with this configuration.
async fn answers(config: &str) -> String {
    let ephor = Ephor::start_with(config, &[]);
    for name in ["geofence", "fleet-cap", "negative-list"] {
        ephor.put(name, &policy(name), &settings(name)).await.succeeded();
    }
    // One that traps on some rows and keeps a state of the others.
    ephor.put("stateful-trap", &guest("stateful_trap"), "{}").await.succeeded();
    let boom = (0..400).map(|number| match number % 9 {
        4 => event::listing(number, "boom").to_string(),
        _ => event::listing(number, "SEEN").to_string(),
    });
    let lines: Vec<String> = data::sample(Set::Columbus).into_iter().chain(boom).collect();
    ephor.post(LINES, lines.join("\n")).await.succeeded().text()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_events_get_the_same_answers_however_they_are_batched() {
    let expected = answers("").await;
    assert!(expected.contains("\"undetermined\"") && expected.contains("fleet-cap-exceeded"), "the answers say something");
    for config in [
        "[spine]\nbatch-events-max = 1",
        "[spine]\nbatch-events-max = 100\n[sandbox]\ncall-rows-max = 7",
        "[spine]\nthreads = 1",
        "[spine]\nthreads = 5\n[sandbox]\ncall-rows-max = 300",
    ] {
        let found = answers(config).await;
        let different = expected.lines().zip(found.lines()).find(|(one, other)| one != other);
        assert!(found == expected, "with {config:?}: {different:?}");
    }
}
