//! The soak in its short form: seconds instead of the hour of `make soak`.

use std::io::Write as _;

use ephor_tests::random::{Random, number};
use ephor_tests::soak::Soak;

/// Seconds of load.
const SECONDS: u64 = 10;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_doubled_or_kept_while_releases_are_swapped_and_clients_vanish() {
    let folder = tempfile::tempdir().expect("a folder");
    let seconds = number("EPHOR_SOAK_SECONDS").unwrap_or(SECONDS);
    let soak = Soak::new(seconds, &folder.path().join("data"), Random::from_env("EPHOR_SOAK_SEED"));
    let outcome = soak.run(|_| ()).await;
    let _ = writeln!(std::io::stderr().lock(), "\n{}", outcome.summary);
    assert!(outcome.passed(), "{}\n{}", outcome.summary, outcome.table());
}
