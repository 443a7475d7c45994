//! States cross a swap by the rule that the new release declares, or the release is
//! refused and everything stays as it is.

use ephor_tests::{Ephor, event, forge, guest};
use serde_json::{Value, json};

const POLICY: &str = "stateful-trap";

/// The first release.
fn first() -> Vec<u8> {
    guest("stateful_trap")
}

/// The second, which migrates the states of the first. Two guests cannot be built under
/// one name.
fn second() -> Vec<u8> {
    forge::renamed(&guest("stateful_next"), "stateful-next", POLICY)
}

/// Sends one line of a customer, and gives the count that was found.
async fn count(ephor: &Ephor, id: u32, customer: &str) -> u64 {
    let mut line = event::listing(id, "LANTERN");
    line["data"]["customer"] = customer.into();
    let answer = ephor.judge([line]).await.remove(0);
    let finding = event::findings(&answer, POLICY).next().unwrap_or_else(|| panic!("a count in {answer}"));
    event::text(&finding["evidence"], "count").parse().expect("a number")
}

async fn put(ephor: &Ephor, component: &[u8]) -> Value {
    ephor.put(POLICY, component, "{}").await.succeeded().json()
}

#[tokio::test(flavor = "multi_thread")]
async fn states_are_migrated_and_kept_over_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let start = || Ephor::start_in(folder.path(), "", &[]);
    let ephor = start();
    assert_eq!(put(&ephor, &first()).await["state"], "none");
    assert_eq!([count(&ephor, 1, "a").await, count(&ephor, 2, "a").await, count(&ephor, 3, "b").await], [1, 2, 1]);
    assert_eq!(put(&ephor, &second()).await["state"], "migrated");
    assert_eq!([count(&ephor, 4, "a").await, count(&ephor, 5, "b").await, count(&ephor, 6, "c").await], [201, 101, 1]);
    // What was migrated is in the ledger, and with it the version that it has.
    ephor.kill();
    let ephor = start();
    assert_eq!(put(&ephor, &second()).await["state"], "kept");
    assert_eq!([count(&ephor, 7, "a").await, count(&ephor, 8, "c").await], [202, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_would_lose_states_is_refused_and_nothing_changes() {
    let ephor = Ephor::start(&[]);
    put(&ephor, &first()).await;
    for id in 1..=13 {
        assert_eq!(count(&ephor, id, "a").await, u64::from(id));
    }
    let before = ephor.in_force().await;
    let refused = async |component: &[u8], says: &str, before: &[(String, String)]| {
        let problem = ephor.put(POLICY, component, "{}").await.expect(422).json();
        assert_eq!(problem["type"], "urn:ephor:problem:state", "{problem}");
        assert!(event::text(&problem, "detail").contains(says), "{problem}");
        assert_eq!(ephor.in_force().await, before, "the release in force stays");
    };
    refused(&second(), "thirteen lines", &before).await;
    assert_eq!(count(&ephor, 14, "a").await, 14, "and so do its states");
    // One line more, and the states can be taken over.
    assert_eq!(put(&ephor, &second()).await["state"], json!("migrated"));
    assert_eq!(count(&ephor, 15, "a").await, 1_401);
    // There is no way back: the first release reads no states of the second.
    refused(&first(), "migrates_from", &ephor.in_force().await).await;
    assert_eq!(count(&ephor, 16, "a").await, 1_402);
}
