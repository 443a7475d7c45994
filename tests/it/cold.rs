//! States that are in the ledger only, because there are more than may be in memory: what
//! is said is the same, and what the disk does not give back is not made up.

use std::path::Path;
use std::process::Command;

use ephor_tests::client::{EVENT, LINES};
use ephor_tests::data::{self, Set};
use ephor_tests::{Ephor, binary, event, forge, guest, ledger, policy, target_dir, workspace, write_policy};
use serde_json::{Value, json};

/// No state stays in memory once it is durable.
pub const COLD: &str = "[spine]\nstate-memory-bytes-max = 0\n";

/// The guest that counts the lines of each customer.
const COUNTER: &str = "stateful-trap";

/// States that were read from the ledger since the start.
pub fn reads(ephor: &Ephor) -> f64 {
    ephor.metric("ephor_state_reads_total", "")
}

/// Sends a line of a customer; the count that was found.
async fn count(ephor: &Ephor, id: u32, customer: &str) -> u64 {
    let answer = ephor.judge([line(id, customer)]).await.remove(0);
    let finding = event::findings(&answer, COUNTER).next().unwrap_or_else(|| panic!("a count in {answer}"));
    event::text(&finding["evidence"], "count").parse().expect("a number")
}

fn line(id: u32, customer: &str) -> Value {
    let mut line = event::listing(id, "LANTERN");
    line["data"]["customer"] = customer.into();
    line
}

/// The settings that the answers to a policy on the sample were computed with.
fn settings(policy: &str) -> String {
    let text = std::fs::read(workspace().join("tests/independent/answers.json")).expect("the answers");
    let answers: Value = serde_json::from_slice(&text).expect("answers.json is JSON");
    answers["sample"][policy]["settings"].to_string()
}

/// A ledger that was recorded within one bound is made again within others, byte for byte.
#[tokio::test(flavor = "multi_thread")]
async fn entries_do_not_depend_on_the_bound() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).to_str().expect("a path in UTF-8").to_string();
    std::fs::create_dir(path("policies")).expect("a folder");
    let policies = [("price-fairness", Set::Retail), ("idle-vehicle", Set::Columbus)];
    for (name, _) in policies {
        write_policy(Path::new(&path("policies")), name, Some(&policy(name)), Some(&settings(name)));
    }
    write_policy(Path::new(&path("policies")), COUNTER, Some(&guest("stateful_trap")), None);
    let lines: Vec<String> = policies.iter().flat_map(|(_, set)| data::sample(*set)).collect();
    std::fs::write(path("events.ndjson"), lines.join("\n")).expect("a file");

    // The last one has room for all.
    let bounds = [64 << 10, 0, 1 << 30];
    let ephor = Ephor::start_with(&bound(bounds[0]), &["--data", &path("recorded"), "--policies", &path("policies")]);
    for some in lines.chunks(20_000) {
        ephor.post(LINES, some.join("\n")).await.succeeded();
    }
    assert!(reads(&ephor) > 1_000.0, "{} states were read from the ledger", reads(&ephor));
    let subjects = ledger::subjects(&ephor.entries(1).await);
    let (entries, of) = (subjects.len(), |subject: &str| subjects.iter().filter(|is| **is == subject).count());
    assert_eq!((of("event"), of("change"), entries), (lines.len(), 3, lines.len() + 3 + of("timer")));
    assert!(of("timer") > 0, "timers fire as well");
    assert!(ephor.stop().success());
    for bytes in bounds {
        std::fs::write(path("replay.toml"), bound(bytes)).expect("a file");
        let mut command = Command::new(binary());
        command.args(["replay", "--json", "--policies", &path("policies"), "--events", &path("events.ndjson")]);
        command.args(["--check", &path("recorded"), "--config", &path("replay.toml")]).arg("--cache").arg(target_dir().join("it-cache"));
        let output = command.output().expect("the binary starts");
        let (printed, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let report: Value = serde_json::from_str(&printed).unwrap_or_else(|problem| panic!("{problem} in {printed}\n{error}"));
        assert_eq!((&report["all_equal"], &report["entries"]["equal"]), (&json!(true), &json!(entries)), "within {bytes}: {report}");
    }
}

/// A configuration with this bound, and batches that differ with it.
pub fn bound(bytes: usize) -> String {
    format!("[spine]\nstate-memory-bytes-max = {bytes}\nbatch-events-max = {}\n", 200 + bytes % 1_000)
}

#[tokio::test(flavor = "multi_thread")]
async fn cold_states_are_migrated_removed_and_kept_over_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let start = || Ephor::start_in(folder.path(), COLD, &[]);
    let second = forge::renamed(&guest("stateful_next"), "stateful-next", COUNTER);
    let ephor = start();
    ephor.put(COUNTER, &guest("stateful_trap"), "{}").await.succeeded();
    for (id, customer) in (0..).zip(["a", "b", "a", "c", "a"]) {
        count(&ephor, id, customer).await;
    }
    assert_eq!(reads(&ephor), 2.0, "two of a's, for nothing else came again");
    ephor.kill();
    let ephor = start();
    ephor.put(COUNTER, &guest("stateful_trap"), "{}").await.succeeded();
    assert_eq!(count(&ephor, 10, "a").await, 4);
    let swap = ephor.put(COUNTER, &second, "{}").await.succeeded().json();
    assert_eq!(swap["state"], "migrated", "{swap}");
    let found = [count(&ephor, 11, "a").await, count(&ephor, 12, "b").await, count(&ephor, 13, "d").await];
    assert_eq!(found, [401, 101, 1]);
    ephor.kill();
    let ephor = start();
    let swap = ephor.put(COUNTER, &second, "{}").await.succeeded().json();
    assert_eq!(swap["state"], "kept", "{swap}");
    assert_eq!([count(&ephor, 14, "a").await, count(&ephor, 15, "c").await], [402, 101]);
    assert!(ephor.remove(COUNTER).await.status.is_success());
    ephor.put(COUNTER, &second, "{}").await.succeeded();
    assert_eq!(count(&ephor, 16, "a").await, 1, "what was removed is forgotten");
}

/// A state that the disk does not give back as it was written ends the runtime, with the
/// place and the reason: an answer without it could be wrong.
#[tokio::test(flavor = "multi_thread")]
async fn du_09_no_verdict_rests_on_a_damaged_state() {
    let folder = tempfile::tempdir().expect("a folder");
    let segment = folder.path().join("journal/00000000000000000001.seg");
    // No checkpoint is signed while the directory is copied.
    let config = format!("{COLD}[ledger]\ncheckpoint-ms = 3600000\n");
    let ephor = Ephor::start_in(folder.path(), &config, &[]);
    ephor.put(COUNTER, &guest("stateful_trap"), "{}").await.succeeded();
    assert_eq!([count(&ephor, 1, "somebody").await, count(&ephor, 2, "another").await], [1, 1]);
    let sound = std::fs::read(&segment).expect("the segment");
    // Entries have no keys, so the only place is that of the state.
    let key = b"somebody";
    let places: Vec<usize> = (0..sound.len() - key.len()).filter(|at| sound[*at..].starts_with(key)).collect();
    let [place] = places[..] else { panic!("{places:?}") };
    for (what, at) in [("the key", place), ("the length of the state", place + key.len()), ("the state", place + key.len() + 4)] {
        let copies = tempfile::tempdir().expect("a folder");
        let data = copies.path().join("data");
        ledger::copy(folder.path(), &data);
        let segment = data.join("journal/00000000000000000001.seg");
        let ephor = Ephor::start_in(&data, COLD, &[]);
        ephor.put(COUNTER, &guest("stateful_trap"), "{}").await.succeeded();
        let mut damaged = sound.clone();
        damaged[at] ^= 1;
        overwrite(&segment, at, damaged[at]);
        // Whose state is sound has an answer.
        assert_eq!(count(&ephor, 3, "another").await, 2, "{what}");
        let length = || segment.metadata().expect("the segment").len();
        let before = length();
        let refused = ephor.post(EVENT, line(4, "somebody").to_string()).await;
        assert_eq!(refused.status, 500, "{what}: {}", refused.text());
        assert_eq!(refused.json()["type"], "urn:ephor:problem:ledger-failed", "{what}: {}", refused.text());
        let ready = ephor.get("/readyz").await;
        assert_eq!(ready.status, 503, "{what}: {}", ready.text());
        for part in ["state", "00000000000000000001.seg, byte"] {
            assert!(ready.text().contains(part), "{what}: {part:?} in {}", ready.text());
        }
        assert_eq!(ephor.post(EVENT, line(5, "another").to_string()).await.status, 500, "{what}: nothing is taken any more");
        assert_eq!(length(), before, "{what}: nothing was recorded about it");
        ephor.kill();
        let refused = Ephor::try_start_in(&data, COLD, &[]).err().unwrap_or_else(|| panic!("{what}: started all the same"));
        assert!(refused.log.contains("checksum"), "{what}: {}", refused.log);
    }
    assert_eq!(count(&ephor, 3, "somebody").await, 2, "the first one is as it was");
}

/// Changes a byte of a file that somebody has open.
fn overwrite(path: &Path, at: usize, byte: u8) {
    use std::os::unix::fs::FileExt as _;
    let file = std::fs::OpenOptions::new().write(true).open(path).expect("a file");
    file.write_all_at(&[byte], at as u64).expect("a byte is written");
}
