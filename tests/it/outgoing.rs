//! Verdicts to other systems: in order, at least once, whatever the other side does.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use ephor_tests::client::LINES;
use ephor_tests::receiver::{Received, Receiver, Reply};
use ephor_tests::{Ephor, binary, event, ledger, policy, settings};
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse};
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use prost::Message as _;
use serde_json::{Value, json};

use crate::{GOOD, LISTED};

/// Quick, so that a test is.
const QUICK: &str = "retry-min-ms = 5\nretry-max-ms = 40\ntimeout-ms = 5000\n";

/// A webhook of this name, with further keys of the destination and of the webhook.
fn webhook(receiver: &Receiver, keys: &str, of_webhook: &str) -> String {
    let url = receiver.url();
    format!(
        "[outgoing.desk]\nbegin = \"first\"\n{QUICK}{keys}\n[outgoing.desk.webhook]\nurl = \"{url}\"\nprivate-targets = true\n{of_webhook}\n"
    )
}

fn all_well(_: &Received) -> Reply {
    Reply::Status(204)
}

/// Events, every third of which the good policy denies.
fn listings(from: usize, count: usize) -> Vec<Value> {
    (from..from + count).map(|id| event::listing(id, if id.is_multiple_of(3) { LISTED } else { "LANTERN" })).collect()
}

async fn with_policy(ephor: Ephor) -> Ephor {
    ephor.put(GOOD, &policy(GOOD), &settings(GOOD)).await.succeeded();
    ephor
}

/// Sends events; their sequences.
async fn judge(ephor: &Ephor, events: Vec<Value>) -> Vec<u64> {
    ephor.judge(events).await.iter().map(event::sequence).collect()
}

/// Each once, where repeats stand right behind what they repeat.
fn without_repeats(sequences: &[u64]) -> Vec<u64> {
    sequences.iter().copied().collect::<BTreeSet<u64>>().into_iter().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_told_every_verdict_in_order() {
    let receiver = Receiver::start(all_well).await;
    let ephor = with_policy(Ephor::start_with(&webhook(&receiver, "batch-events-max = 7\nevidence = true\n", ""), &[])).await;
    let sequences = judge(&ephor, listings(0, 100)).await;
    receiver.wait_until("it has all", |receiver| receiver.taken().len() >= 100).await;
    assert_eq!(receiver.taken(), sequences, "each once, in order");
    let seen = receiver.seen();
    assert!(
        seen.iter().all(|received| received.events().len() <= 7 && received.header("content-type") == "application/cloudevents-batch+json")
    );

    // What is told is what is recorded.
    let entries = ephor.event_entries(1).await;
    for (told, entry) in seen.iter().flat_map(Received::events).zip(&entries) {
        assert_eq!((&told["id"], &told["type"]), (&json!(entry["sequence"].to_string()), &json!("dev.ephor.verdict.v1")), "{told}");
        let about = &told["data"]["event"];
        assert_eq!((&about["source"], &about["id"], &about["type"]), (&entry["source"], &entry["id"], &entry["type"]), "{told}");
        assert_eq!(told["data"]["verdict"], entry["verdict"], "{told}");
        assert!(
            event::text(&told, "source").ends_with("#/tests")
                && event::text(&told, "source").starts_with("urn:ephor:verdicts:ephor.invalid/")
        );
        let found = told["data"]["findings"].as_array().expect("findings");
        let recorded = entry["asked"][0]["findings"].as_array().map(Vec::as_slice).unwrap_or_default();
        assert_eq!(found.len(), recorded.len(), "{told}");
        for (found, recorded) in found.iter().zip(recorded) {
            for name in ["rule", "action", "severity", "message", "evidence", "legal_basis"] {
                assert_eq!(found[name], recorded[name], "{name} in {told}");
            }
        }
        assert!(!told.to_string().contains("LANTERN"), "no content: {told}");
    }
    ephor.wait_until("the lag is none", || ephor.metric("ephor_outgoing_lag_entries", "desk") == 0.0);
    assert_eq!(ephor.metric("ephor_outgoing_delivered_total", "destination=\"desk\""), 100.0);
    let status = ephor.status().await;
    assert_eq!((&status["outgoing"][0]["kind"], &status["outgoing"][0]["problem"]), (&json!("webhook"), &Value::Null), "{status}");
    assert!(ephor.stop().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_is_told_what_it_is_for() {
    let receiver = Receiver::start(all_well).await;
    let keys = "batch-events-max = 1\nverdicts = [\"deny\"]\nfindings-only = true\nevents = [\"retail.*\"]\npolicies = [\"negative-*\"]\n";
    let ephor = with_policy(Ephor::start_with(&webhook(&receiver, keys, ""), &[])).await;
    let mut other = event::listing("other", LISTED);
    other["type"] = json!("wholesale.invoice");
    judge(&ephor, vec![other]).await;
    let sequences = judge(&ephor, listings(0, 30)).await;
    let denied: Vec<u64> = sequences.into_iter().step_by(3).collect();
    receiver.wait_until("it has its own", |receiver| receiver.taken().len() >= denied.len()).await;
    assert_eq!(receiver.taken(), denied);
    for received in receiver.seen() {
        assert_eq!(received.header("content-type"), "application/cloudevents+json", "one at a time");
        let finding = &received.events()[0]["data"]["findings"][0];
        assert!(finding.get("evidence").is_none() && finding.get("message").is_none(), "not granted: {finding}");
    }
}

/// Fails, times out, asks for time, and comes to its senses: nothing is left out, and the
/// order stays.
#[tokio::test(flavor = "multi_thread")]
async fn what_fails_is_told_again() {
    let mut number = 0;
    let receiver = Receiver::start(move |_| {
        number += 1;
        match number {
            1 => Reply::Status(500),
            2 => Reply::Never,
            3 => Reply::With(429, "retry-after", "1".into()),
            4 => Reply::With(307, "location", "http://127.0.0.1:1/elsewhere".into()),
            5 => Reply::Status(401),
            6 => Reply::Status(404),
            _ if number % 5 == 0 => Reply::Status(503),
            _ => Reply::Status(200),
        }
    })
    .await;
    let config = webhook(&receiver, "batch-events-max = 4\n", "").replace("timeout-ms = 5000", "timeout-ms = 300");
    let ephor = with_policy(Ephor::start_with(&config, &[])).await;
    let sequences = judge(&ephor, listings(0, 60)).await;
    receiver.wait_until("it has all", |receiver| receiver.taken().len() >= 60).await;
    assert_eq!(receiver.taken(), sequences);
    let seen = receiver.seen();
    let first = seen[0].sequences();
    assert!(seen[..7].iter().all(|received| received.sequences() == first), "the same again, until it is taken");
    assert!(seen[3].at - seen[2].at >= Duration::from_secs(1), "Retry-After is observed: {:?}", seen[3].at - seen[2].at);
    assert!(ephor.metric("ephor_outgoing_retried_total", "desk") >= 6.0);
    let log = ephor.log();
    assert!(log.contains("takes no verdicts") && log.contains("takes verdicts again"), "{log}");
    assert!(log.matches("takes no verdicts").count() <= 14, "once for each time that it goes down: {log}");
}

/// A receiver that is not there holds up nobody, is said to be behind, and is told
/// everything when it is back.
#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_gone_only_falls_behind() {
    let receiver = Receiver::start(all_well).await;
    let address = receiver.address();
    let ephor = with_policy(Ephor::start_with(&webhook(&receiver, "", ""), &[])).await;
    let mut sequences = judge(&ephor, listings(0, 20)).await;
    receiver.wait_until("it has all so far", |receiver| receiver.taken().len() >= 20).await;
    let before: Vec<u64> = receiver.stop().await.iter().flat_map(Received::sequences).collect();
    sequences.extend(judge(&ephor, listings(20, 300)).await);
    ephor.wait_until("it is behind", || ephor.metric("ephor_outgoing_lag_entries", "desk") == 300.0);
    ephor.wait_until("the log says so", || ephor.log().contains("takes no verdicts"));
    let status = ephor.status().await;
    let desk = &status["outgoing"][0];
    assert_eq!((&desk["lag"], &status["ready"]), (&json!(300), &json!(true)), "not its own readiness: {status}");
    assert!(event::text(&desk["problem"], "message").contains("error") && desk["problem"]["next"].is_string(), "{status}");
    ephor.get("/readyz").await.expect(200);
    let receiver = Receiver::start_at(address, all_well).await;
    receiver.wait_until("it has the rest", |receiver| receiver.taken().len() >= 300).await;
    assert_eq!([before, receiver.taken()].concat(), sequences);
    assert_eq!(ephor.log().matches("takes no verdicts").count(), 1, "{}", ephor.log());
}

/// Refused for what they are: found one by one, laid aside, and the line goes on.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_never_taken_is_a_dead_letter() {
    let bad = |received: &Received| received.events().iter().any(|event| ["9", "33"].contains(&event::text(&event["data"]["event"], "id")));
    let receiver = Receiver::start(move |received| Reply::Status(if bad(received) { 400 } else { 200 })).await;
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let ephor = with_policy(Ephor::start_in(&data, &webhook(&receiver, "attempts-max = 3\n", ""), &[])).await;
    let sequences = judge(&ephor, listings(0, 50)).await;
    receiver.wait_until("it has the others", |receiver| receiver.taken().len() >= 48).await;
    let dead = [sequences[9], sequences[33]];
    let others: Vec<u64> = sequences.iter().copied().filter(|sequence| !dead.contains(sequence)).collect();
    assert_eq!(receiver.taken(), others, "in order, each once");
    let alone = |sequence| receiver.seen().iter().filter(|received| received.sequences() == [sequence]).count();
    assert_eq!(dead.map(alone), [3, 3], "as often as is said");
    ephor.wait_until("both are counted", || ephor.metric("ephor_outgoing_dead_total", "desk") == 2.0);
    let letters = fs::read_to_string(data.join("outgoing/desk.dead.ndjson")).expect("dead letters");
    let letters: Vec<Value> = letters.lines().map(ledger::parse).collect();
    assert_eq!(letters.iter().map(|letter| letter["sequence"].as_u64()).collect::<Vec<_>>(), dead.map(Some));
    for letter in &letters {
        assert!(event::text(letter, "problem").contains("400"), "{letter}");
        assert_eq!(letter["event"]["data"]["sequence"], letter["sequence"], "{letter}");
    }
    assert!(ephor.stop().success());
}

/// CloudEvents web hooks, 2.2: a target that is retired is told nothing any more. Nothing is
/// dropped: the next start tries again.
#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_retired_is_left_alone_until_the_next_start() {
    let receiver = Receiver::start(|_| Reply::Status(410)).await;
    let folder = tempfile::tempdir().expect("a folder");
    let config = webhook(&receiver, "", "");
    let ephor = with_policy(Ephor::start_in(folder.path(), &config, &[])).await;
    let mut sequences = judge(&ephor, listings(0, 5)).await;
    ephor.wait_until("it is said", || ephor.log().contains("wants no verdicts any more"));
    let before = receiver.seen().len();
    sequences.extend(judge(&ephor, listings(5, 5)).await);
    assert_eq!(ephor.status().await["outgoing"][0]["problem"]["next"], Value::Null);
    assert!(ephor.stop().success());
    assert_eq!(receiver.seen().len(), before, "not one more");
    receiver.replan(all_well);
    let ephor = Ephor::start_in(folder.path(), &config, &[]);
    receiver.wait_until("it has all", |receiver| receiver.taken().len() >= 10).await;
    assert_eq!(receiver.taken(), sequences);
    drop(ephor);
}

/// The server is killed while it tells: what was taken may come again, and nothing is left
/// out or out of order.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_out_over_kill_9() {
    let receiver = Receiver::start(all_well).await;
    let folder = tempfile::tempdir().expect("a folder");
    let (data, file) = (folder.path().join("data"), folder.path().join("verdicts.ndjson"));
    let other = format!(
        "[outgoing.archive]\nbegin = \"first\"\nbatch-events-max = 3\n[outgoing.archive.file]\npath = {file:?}\nrotate-bytes = 1099511627776\n"
    );
    let config = webhook(&receiver, "batch-events-max = 3\n", "") + &other;
    let mut sequences = Vec::new();
    for round in 0..8 {
        let ephor = match round {
            0 => with_policy(Ephor::start_in(&data, &config, &[])).await,
            _ => Ephor::start_in(&data, &config, &[]),
        };
        let before = receiver.taken().len();
        sequences.extend(judge(&ephor, listings(round * 60, 60)).await);
        receiver.wait_until("it is under way", |receiver| receiver.taken().len() > before + round * 5).await;
        ephor.kill();
    }
    let ephor = Ephor::start_in(&data, &config, &[]);
    let last = *sequences.last().expect("events");
    receiver.wait_until("it has all", |receiver| receiver.taken().contains(&last)).await;
    ephor.wait_until("the file has all", || lines(&file).iter().any(|event| event["data"]["sequence"] == last));
    assert!(ephor.stop().success());
    let written: Vec<u64> = lines(&file).iter().map(|event| event["data"]["sequence"].as_u64().expect("a sequence")).collect();
    for told in [receiver.taken(), written] {
        assert_eq!(without_repeats(&told), sequences, "nothing is left out");
        // A repeat goes back by one batch at most, and then on.
        let mut highest = 0;
        for sequence in told {
            assert!(sequence + 3 * 2 > highest, "{sequence} behind {highest}");
            highest = highest.max(sequence);
        }
    }
}

/// What is there when the server is asked to stop is told before it ends, and a destination
/// that hangs is not waited for without end.
#[tokio::test(flavor = "multi_thread")]
async fn the_end_tells_what_is_there_within_bounds() {
    let receiver = Receiver::start(all_well).await;
    let hanging = Receiver::start(|_| Reply::Never).await;
    let other =
        webhook(&hanging, "drain-timeout-ms = 200\n", "").replace("desk", "hanging").replace("timeout-ms = 5000", "timeout-ms = 600000");
    let config = webhook(&receiver, "batch-events-max = 10\n", "") + &other;
    let ephor = with_policy(Ephor::start_with(&config, &[])).await;
    let sequences = judge(&ephor, listings(0, 500)).await;
    let log = {
        ephor.signal("TERM");
        ephor.wait_until("it says what is left", || ephor.log().contains("Not everything was told"));
        ephor.log()
    };
    // A second signal would end it at once.
    assert!(ephor.ended().success());
    assert_eq!(receiver.taken(), sequences);
    assert!(log.lines().any(|line| line.contains("Not everything was told") && line.contains("hanging")), "{log}");
}

fn lines(file: &Path) -> Vec<Value> {
    fs::read_to_string(file).unwrap_or_default().lines().map(ledger::parse).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_rotated_and_has_every_verdict() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |number: &str| folder.path().join(format!("verdicts.ndjson{number}"));
    let config = format!(
        "[outgoing.archive]\nbatch-events-max = 5\n[outgoing.archive.file]\npath = {:?}\nrotate-bytes = 4096\nfiles-max = 3\n",
        path("")
    );
    let ephor = with_policy(Ephor::start_with(&config, &[])).await;
    let sequences = judge(&ephor, listings(0, 100)).await;
    ephor.wait_until("it has all", || ephor.metric("ephor_outgoing_delivered_total", "archive") == 100.0);
    let files = [".2", ".1", ""].map(path);
    assert!(!path(".3").exists(), "no more than are kept");
    for file in &files {
        assert!(fs::metadata(file).expect("a file").len() <= 4_096 && !lines(file).is_empty(), "{}", file.display());
    }
    let told: Vec<u64> =
        files.iter().flat_map(|file| lines(file)).map(|event| event["data"]["sequence"].as_u64().expect("a sequence")).collect();
    assert_eq!(told, sequences[sequences.len() - told.len()..], "the last ones, in order");
}

/// `begin = "now"`: nothing of what was there before; and from then on everything, also over
/// a restart.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_destination_begins_where_the_ledger_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let (data, file) = (folder.path().join("data"), folder.path().join("verdicts.ndjson"));
    let ephor = with_policy(Ephor::start_in(&data, "", &[])).await;
    judge(&ephor, listings(0, 10)).await;
    // What is changed takes a restart, and is said to.
    let config = format!("[outgoing.archive.file]\npath = {file:?}\n");
    ephor.reconfigure(&config);
    ephor.signal("HUP");
    ephor.wait_until("it is said", || ephor.log().contains("Needs a restart: outgoing"));
    assert!(ephor.stop().success());
    let mut sequences = Vec::new();
    for life in 1..4 {
        let ephor = Ephor::start_in(&data, &config, &[]);
        sequences.extend(judge(&ephor, listings(life * 10, 10)).await);
        assert!(ephor.stop().success(), "what is there is told first");
    }
    let told: Vec<u64> = lines(&file).iter().map(|event| event["data"]["sequence"].as_u64().expect("a sequence")).collect();
    assert_eq!(told, sequences);
}

/// The signature is what the specification says, computed by other means; the secrets are
/// read anew, and nobody prints them.
#[tokio::test(flavor = "multi_thread")]
async fn requests_are_signed_and_secrets_are_not_printed() {
    let (key, token) = ("C2FsdC1hbmQtcGVwcGVyLWFuZC1zdWdhci1hbmQtc3Bp", "Bearer tok-3f9a1c");
    let receiver = Receiver::start(all_well).await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).expect("written");
        path
    };
    let (secret, authorization) = (file("secret", &format!("whsec_{key}\n")), file("token", &format!("{token}\n")));
    let config =
        webhook(&receiver, "batch-events-max = 2\n", &format!("secret-file = {secret:?}\nauthorization-file = {authorization:?}\n"));
    let toml = file("ephor.toml", &config);
    let checked = Command::new(binary()).args(["config", "check"]).arg(&toml).output().expect("the binary starts");
    assert!(checked.status.success(), "{}", ledger::printed(&checked));

    let ephor = with_policy(Ephor::start_with(&config, &[])).await;
    judge(&ephor, listings(0, 6)).await;
    receiver.wait_until("it has all", |receiver| receiver.taken().len() >= 6).await;
    for received in receiver.seen() {
        assert_eq!(received.header("authorization"), token);
        let (id, timestamp) = (received.header("webhook-id"), received.header("webhook-timestamp"));
        let signed = [id.as_bytes(), b".", timestamp.as_bytes(), b".", &received.body].concat();
        assert_eq!(received.header("webhook-signature"), format!("v1,{}", hmac(key, &signed)), "{id}");
        assert!(id.starts_with("verdicts-") && timestamp.parse::<u64>().is_ok_and(|at| at > 1_700_000_000), "{id} {timestamp}");
    }

    // Another token, without a restart; and one that is gone.
    file("token", "Bearer tok-new");
    judge(&ephor, listings(6, 2)).await;
    receiver.wait_until("it has more", |receiver| receiver.taken().len() >= 8).await;
    assert_eq!(receiver.seen().last().expect("a request").header("authorization"), "Bearer tok-new");
    fs::remove_file(&authorization).expect("removed");
    judge(&ephor, listings(8, 2)).await;
    ephor.wait_until("it is said", || ephor.log().contains("takes no verdicts"));
    let status = ephor.status().await.to_string();
    let all = format!("{}{status}{}", ephor.log(), ledger::printed(&checked));
    for hidden in [key, "tok-3f9a1c", "tok-new"] {
        assert!(!all.contains(hidden), "{hidden} in {all}");
    }
}

/// HMAC-SHA-256 by openssl, in base64.
fn hmac(key: &str, text: &[u8]) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("text");
    fs::write(&file, text).expect("written");
    let script = "key=$(printf %s \"$1\" | openssl base64 -d -A | od -An -v -tx1 | tr -d ' \\n') && openssl dgst -sha256 -mac HMAC -macopt hexkey:$key -binary \"$2\" | openssl base64 -A";
    let output = Command::new("sh").args(["-c", script, "sh", key]).arg(&file).output().expect("a shell");
    assert!(output.status.success(), "openssl: {}", ledger::printed(&output));
    String::from_utf8(output.stdout).expect("base64")
}

#[test]
fn mistakes_are_said_before_anything_starts() {
    let folder = tempfile::tempdir().expect("a folder");
    let check = |text: &str| {
        let file = folder.path().join("ephor.toml");
        fs::write(&file, text).expect("written");
        let output = Command::new(binary()).args(["config", "check"]).arg(&file).output().expect("the binary starts");
        ledger::printed(&output)
    };
    for (text, expected) in [
        ("[outgoing.desk]\nverdicts = [\"deny\"]\n", "outgoing.desk does not say where to"),
        ("[outgoing.desk.webhook]\n", "has no `url`"),
        ("[outgoing.desk.webhook]\nurl = \"http://shop.example/\"\n", "without TLS"),
        ("[outgoing.desk.webhook]\nurl = \"https://10.1.2.3/\"\n", "private-targets"),
        ("[outgoing.desk.webhook]\nurl = \"https://me:hidden@shop.example/\"\n", "authorization-file"),
        ("[outgoing.desk.webhook]\nurl = \"https://shop.example/\"\nsecret-file = \"none\"\n", "names the file"),
        ("[outgoing.desk]\nverdicts = [\"denied\"]\n[outgoing.desk.file]\npath = \"x\"\n", "\"deny\""),
        ("[outgoing.desk]\npublisher = \"nobody\"\n[outgoing.desk.file]\npath = \"x\"\n", "there is no [publishers.nobody]"),
        ("[outgoing.desk.file]\npath = \"x\"\n[outgoing.desk.webhook]\nurl = \"https://shop.example/\"\n", "beside `webhook`"),
        ("[outgoing.one.file]\npath = \"x\"\n[outgoing.two.file]\npath = \"x\"\n", "each needs its own"),
        ("[outgoing.Desk.file]\npath = \"x\"\n", "lower-case words"),
    ] {
        let said = check(text);
        assert!(said.contains(expected) && !said.contains("hidden"), "{expected:?} in\n{said}");
    }
    let said = check("[outgoing.desk.file]\npath = \"x\"\n");
    assert!(said.contains("nothing is wrong"), "{said}");

    let config =
        "[outgoing.desk.webhook]\nurl = \"https://127.0.0.1:1/\"\nprivate-targets = true\nsecret-env = \"EPHOR_TEST_NO_SUCH_SECRET\"\n";
    let data = folder.path().join("data");
    let refused = Ephor::try_start_in(&data, config, &[]).map(|_| ()).expect_err("it does not start");
    assert!(refused.log.contains("EPHOR_TEST_NO_SUCH_SECRET is not set"), "{}", refused.log);
    let refused = Ephor::try_start_in(&data, config, &["--in-memory"]).map(|_| ()).expect_err("it does not start");
    assert!(refused.log.contains("leave out --in-memory"), "{}", refused.log);
}

fn text<'a>(record: &'a LogRecord, key: &str) -> Option<&'a Any> {
    let found = record.attributes.iter().find(|attribute| attribute.key == key)?;
    found.value.as_ref()?.value.as_ref()
}

fn texts(record: &LogRecord, key: &str) -> Vec<String> {
    let Some(Any::ArrayValue(list)) = text(record, key) else { panic!("no list {key} in {record:?}") };
    let text = |value: &opentelemetry_proto::tonic::common::v1::AnyValue| match &value.value {
        Some(Any::StringValue(text)) => text.clone(),
        other => panic!("{other:?}"),
    };
    list.values.iter().map(text).collect()
}

/// A collector gets records that the project's own messages read, in order, without anything
/// of the events; what it says it did not take is counted.
#[tokio::test(flavor = "multi_thread")]
async fn a_collector_is_told_in_otlp() {
    let mut number = 0;
    let receiver = Receiver::start(move |_| {
        number += 1;
        Reply::Status(if number == 1 { 503 } else { 200 })
    })
    .await;
    let config = format!(
        "[outgoing.collector]\nbegin = \"first\"\nbatch-events-max = 8\n{QUICK}[outgoing.collector.otlp-logs]\nurl = \"http://{}/v1/logs\"\nprivate-targets = true\n",
        receiver.address()
    );
    let ephor = with_policy(Ephor::start_with(&config, &[])).await;
    let sequences = judge(&ephor, listings(0, 40)).await;
    ephor.wait_until("it has all", || ephor.metric("ephor_outgoing_delivered_total", "collector") == 40.0);
    let mut found = Vec::new();
    let seen = receiver.seen();
    assert_eq!(seen[0].body, seen[1].body, "the same again");
    for received in &seen[1..] {
        assert_eq!(received.header("content-type"), "application/x-protobuf");
        let request = ExportLogsServiceRequest::decode(received.body.clone()).expect("a request");
        let [resource] = &request.resource_logs[..] else { panic!("{request:?}") };
        let names: Vec<&str> =
            resource.resource.iter().flat_map(|resource| &resource.attributes).map(|attribute| attribute.key.as_str()).collect();
        assert_eq!(names, ["service.name", "service.version", "service.instance.id"]);
        found.extend(resource.scope_logs.iter().flat_map(|scope| scope.log_records.clone()));
        assert!(!String::from_utf8_lossy(&received.body).contains("CIGAR"), "nothing of the event");
    }
    assert_eq!(found.len(), sequences.len());
    for (index, (record, sequence)) in found.iter().zip(&sequences).enumerate() {
        assert_eq!(text(record, "ephor.sequence"), Some(&Any::IntValue(*sequence as i64)));
        let verdict = if index % 3 == 0 { "deny" } else { "allow" };
        assert_eq!(text(record, "ephor.verdict"), Some(&Any::StringValue(verdict.into())));
        assert_eq!(record.severity_text, if index % 3 == 0 { "WARN2" } else { "INFO" });
        assert_eq!(texts(record, "ephor.policies"), [GOOD]);
        let rules: &[&str] = if index % 3 == 0 { &["negative-list listed-word"] } else { &[] };
        assert_eq!(texts(record, "ephor.rules"), rules);
        assert!(record.time_unix_nano > 1_700_000_000_000_000_000);
    }

    // Some of the next ones are not taken, which the collector says.
    let partial = ExportLogsPartialSuccess { rejected_log_records: 2, error_message: "no room".into() };
    let body = ExportLogsServiceResponse { partial_success: Some(partial) }.encode_to_vec();
    receiver.replan(move |_| Reply::Body(200, body.clone()));
    judge(&ephor, listings(40, 8)).await;
    ephor.wait_until("it is counted", || ephor.metric("ephor_outgoing_dead_total", "collector") >= 2.0);
}

/// Verdicts over HTTP and to a destination come from one place, and are the same ones.
#[tokio::test(flavor = "multi_thread")]
async fn a_destination_does_not_slow_events() {
    let receiver = Receiver::start(|_| Reply::Never).await;
    let config = webhook(&receiver, "", "").replace("timeout-ms = 5000", "timeout-ms = 600000");
    let ephor = with_policy(Ephor::start_with(&config, &[])).await;
    for round in 0..20 {
        let text = event::ndjson(listings(round * 200, 200));
        assert_eq!(ephor.post(LINES, text).await.expect(200).lines().len(), 200);
    }
    receiver.wait_until("it was asked", |receiver| !receiver.seen().is_empty()).await;
    assert_eq!(receiver.seen().len(), 1, "one request after the other");
}
