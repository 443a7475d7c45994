//! The configuration as a platform's engineer meets it: a reference, messages that say what
//! to write instead, a server that takes changes over, and one that stops in good order.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use ephor_tests::client::EVENT;
use ephor_tests::raw::{self, Raw};
use ephor_tests::{Ephor, binary, data, documents, event, workspace};
use serde_json::Value;

use crate::LISTED;
use crate::publishers::{Both, look};

/// Leaves out what needs systemd's own tools.
const SKIP_SYSTEMD: &str = "EPHOR_SKIP_SYSTEMD";

fn ephor(folder: &Path, args: &[&str]) -> Output {
    Command::new(binary()).args(args).current_dir(folder).stdin(Stdio::null()).output().expect("the binary starts")
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Configurations with mistakes, and what is to be said of each.
fn mistakes() -> Vec<(String, PathBuf)> {
    let folder = workspace().join("tests/data/config");
    let files = std::fs::read_dir(&folder).expect("tests/data/config").map(|file| file.expect("an entry").path());
    let mut mistakes: Vec<(String, PathBuf)> = files
        .filter(|file| file.extension().is_some_and(|extension| extension == "toml"))
        .map(|file| (file.file_name().expect("a file has a name").to_string_lossy().into_owned(), file.with_extension("txt")))
        .collect();
    mistakes.sort();
    mistakes
}

#[test]
fn typical_mistakes_say_what_to_write_instead() {
    let folder = workspace().join("tests/data/config");
    let (mistakes, mut wrong) = (mistakes(), Vec::new());
    assert!(mistakes.len() >= 10, "{mistakes:?}");
    for (name, expected) in mistakes {
        let checked = ephor(&folder, &["config", "check", &name]);
        let said = out(&checked).replace('\\', "/");
        assert_eq!(checked.status.code(), Some(2), "{name}: {said}{}", err(&checked));
        if documents::is_updating() {
            std::fs::write(&expected, &said).expect("written");
        }
        let known = std::fs::read_to_string(&expected).unwrap_or_default();
        if known != said {
            wrong.push(format!("--- {name} is to say\n{known}--- and says\n{said}"));
        }
        assert!(said.lines().all(|line| line.starts_with(&format!("{name}:"))), "a place in each line: {said}");
        assert!(!said.contains("secret"), "{name}: {said}");

        // The same for machines.
        let document: Value = serde_json::from_slice(&ephor(&folder, &["config", "check", "--json", &name]).stdout).expect("JSON");
        let problems = document["problems"].as_array().expect("problems");
        assert_eq!(problems.len(), said.lines().count(), "{document}");
        assert!(problems.iter().all(|problem| problem["line"].is_u64() && problem["column"].is_u64()), "{document}");

        // A server says the same when it refuses; folders may come later.
        let served = ephor(&folder, &["serve", "--in-memory", "--listen", "127.0.0.1:0", "--config", &name]);
        assert_eq!(served.status.code(), Some(2), "{name}: {}", err(&served));
        for line in said.lines().filter(|line| !line.contains("names the folder")) {
            assert!(err(&served).contains(line), "{line} in {}", err(&served));
        }
    }
    assert!(wrong.is_empty(), "{}\n{}=1 writes what is said", wrong.join("\n"), documents::UPDATE);
}

#[test]
fn the_reference_is_a_configuration_that_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let reference = ephor(folder.path(), &["config", "reference"]);
    assert!(reference.status.success(), "{}", err(&reference));
    std::fs::write(folder.path().join("ephor.toml"), &reference.stdout).expect("written");
    let checked = ephor(folder.path(), &["config", "check"]);
    assert!(checked.status.success() && out(&checked).contains("nothing is wrong"), "{}{}", out(&checked), err(&checked));
    for part in
        ["\n[ingest]\n", "# Bytes of one attribute's value.\n", "event-bytes-max = 262_144", "\"sync\"", "#[publishers.transport-office]"]
    {
        assert!(out(&reference).contains(part), "{part:?} in\n{}", out(&reference));
    }
    let schema: Value = serde_json::from_slice(&ephor(folder.path(), &["config", "reference", "--json-schema"]).stdout).expect("JSON");
    assert_eq!(schema["properties"]["ingest"]["properties"]["depth-max"]["maximum"], 100);
    let missing = ephor(folder.path(), &["config", "check", "other.toml"]);
    assert!(missing.status.code() == Some(2) && err(&missing).contains("other.toml cannot be read"), "{}", err(&missing));
}

#[tokio::test(flavor = "multi_thread")]
async fn op_03_a_changed_configuration_is_taken_over_as_far_as_it_can_be() {
    let ephor = Ephor::start_with("[spine.heartbeats]\n\"/shop\" = 86400\n", &[]);
    assert!(ephor.log().contains("Configuration read"), "{}", ephor.log());
    let large = event::listing("large", &"x".repeat(2_000)).to_string();
    ephor.post(EVENT, large.clone()).await.expect(200);

    // Named one by one, and the rest as what it is.
    let said = |part: &str| ephor.wait_until(part, || ephor.log().contains(part));
    ephor.reconfigure("[spine]\nthreads = 1\n[spine.heartbeats]\n\"/shop\" = 1\n[ingest]\nevent-bytes-max = 1024\n");
    ephor.signal("HUP");
    said("Changed: spine.heartbeats.\"/shop\": 86_400 -> 1");
    said("Changed: ingest.event-bytes-max: 262_144 -> 1024");
    said("Needs a restart: spine.threads: 0 -> 1");
    // What is other is in the ledger too, with what made it so.
    let entries = ephor.entries(1).await;
    let noted: Vec<Value> = entries.iter().map(|line| ephor_tests::ledger::parse(line)).collect();
    let noted: Vec<&Value> = noted.iter().filter_map(|entry| entry.get("configuration")).collect();
    let changed = ["ingest.event-bytes-max: 262_144 -> 1024", "spine.heartbeats.\"/shop\": 86_400 -> 1"];
    assert_eq!((&noted[0]["changed"], &noted[0]["by"]), (&serde_json::json!(changed), &"configuration".into()), "{noted:?}");
    ephor.wait_until("the source is silent", || ephor.metric("ephor_silent_sources", "") == 1.0);
    let refused = raw_post(&ephor, &large);
    assert_eq!(refused, 413, "a new connection has the new limit");

    // One mistake, and nothing of it counts; all of them are said.
    ephor.reconfigure("[ingest]\nevent-bytes-max = 65536\ndepth-max = 0\n[spin]\n");
    ephor.signal("HUP");
    said("Configuration not taken over; nothing is changed");
    said("ephor.toml:3:13: ingest.depth-max is 0, but must be from 1 to 100");
    said("did you mean `spine`?");
    assert_eq!(raw_post(&ephor, &large), 413);

    // Without a signal as well.
    ephor.reconfigure("[ingest]\nevent-bytes-max = 65536\n");
    said("Changed: ingest.event-bytes-max: 1024 -> 65_536");
    said("Changed: spine.heartbeats.\"/shop\": 1 -> nothing");
    assert_eq!(raw_post(&ephor, &large.replace("large", "larger")), 200);
    assert!(ephor.stop().success());
}

/// Posts an event over a connection of its own.
fn raw_post(ephor: &Ephor, body: &str) -> u16 {
    let mut connection = Raw::connect(ephor.address());
    connection.write(raw::post(&[("content-type", EVENT)], body.as_bytes()));
    connection.read_patiently().status
}

#[test]
fn a_hangup_without_a_configuration_ends_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let mut ephor = Ephor::try_start_bare(&data).expect("it starts");
    assert!(ephor.log().contains("No configuration file"), "{}", ephor.log());
    ephor.signal("HUP");
    ephor.wait_until("it says so", || ephor.log().contains("There is no configuration to read again"));
    assert!(ephor.is_alive() && ephor.stop().success());
}

/// What a publisher's releases have to show is settled while it is followed.
#[tokio::test(flavor = "multi_thread")]
async fn op_01_a_gate_is_taken_over_and_a_grant_needs_a_restart() {
    let both = Both::new();
    both.release(crate::GOOD, "1.0.0", &serde_json::json!({"words": ["CIGAR"]}), &[]);
    let gate = |events: u32, more: &str| both.config(3600, &format!("{more}\n[publishers.market-office.gate]\nevents-min = {events}"));
    let ephor = Ephor::start_in(&both.path("data"), &gate(1_000_000, ""), &[]);
    ephor.judge([event::listing(1, LISTED)]).await;
    let promote = || async { ephor.act("/v1/releases/market-office/negative-list/promote", "{\"by\":\"operations\"}".to_string()).await };
    promote().await.expect(409);
    ephor.reconfigure(
        &gate(1, "on-undetermined = \"refuse\"")
            .replace("events-min = 1", "events-min = 1\np99-us-max = 60_000_000\ncore-share-max = 1000"),
    );
    ephor.signal("HUP");
    for part in [
        "Changed: publishers.market-office.gate.events-min: 1_000_000 -> 1",
        "Needs a restart: publishers.market-office.on-undetermined: \"hold\" -> \"refuse\"",
    ] {
        ephor.wait_until(part, || ephor.log().contains(part));
    }
    promote().await.expect(200);
}

/// An event would be let through that a rule may forbid.
#[tokio::test(flavor = "multi_thread")]
async fn it_is_not_ready_while_nothing_is_known_of_a_publisher() {
    let both = Both::new();
    both.release(crate::GOOD, "1.0.0", &serde_json::json!({"words": ["CIGAR"]}), &[]);
    both.take_away();
    let config = both.config(3600, "");
    let ephor = Ephor::start_unready(&both.path("data"), &config);
    let ready = raw::get(ephor.address(), "/readyz");
    let reason = event::text(&ready.json(), "reason").to_string();
    assert!(ready.status == 503 && reason.starts_with("Nothing is known yet of what market-office has published: "), "{reason}");
    assert_eq!(raw::get(ephor.address(), "/livez").status, 200);
    both.bring_back();
    look(&ephor).await.expect(200);
    assert_eq!(raw::get(ephor.address(), "/readyz").status, 200);
    // From now on it is known, whether it is there or not.
    ephor.kill();
    both.take_away();
    let ephor = Ephor::start_in(&both.path("data"), &config, &[]);
    assert_eq!(raw::get(ephor.address(), "/readyz").status, 200);
}

/// A request that the server is at work on, and what is still to come of it.
fn half_a_request(ephor: &Ephor) -> (Raw, Vec<u8>) {
    let mut connection = Raw::connect(ephor.address());
    let mut whole = raw::post(&[("content-type", EVENT), ("expect", "100-continue")], event::listing(1, LISTED).to_string().as_bytes());
    let rest = whole.split_off(whole.len() - 10);
    connection.write(&whole);
    connection.read_continue();
    (connection, rest)
}

#[test]
fn stopping_has_a_bound() {
    let ephor = Ephor::start_with("[server]\ndrain-timeout-ms = 300\nbody-idle-timeout-ms = 600000\nbody-timeout-ms = 600000\n", &[]);
    let open = half_a_request(&ephor);
    let began = Instant::now();
    assert!(ephor.stop().success());
    // The ledger has ten seconds beyond it.
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    drop(open);
}

#[test]
fn what_was_begun_is_answered_before_it_stops() {
    let ephor = Ephor::start_with("[server]\ndrain-timeout-ms = 60000\n", &[]);
    let (mut connection, rest) = half_a_request(&ephor);
    ephor.signal("TERM");
    ephor.wait_until("it stops", || ephor.log().contains("Stopping: answering what has been accepted"));
    connection.write(rest);
    assert_eq!(connection.read_patiently().status, 200);
    assert!(ephor.stop().code().is_some());
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let ephor = Ephor::start_with("[server]\ndrain-timeout-ms = 86400000\nbody-idle-timeout-ms = 600000\nbody-timeout-ms = 600000\n", &[]);
    let open = half_a_request(&ephor);
    ephor.signal("TERM");
    ephor.wait_until("it stops", || ephor.log().contains("Stopping: answering what has been accepted"));
    assert_eq!(ephor.stop().code(), Some(1));
    drop(open);
}

/// Long options in a text, as in `--config FILE`.
fn options(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    words.filter(|word| word.starts_with("--") && word.len() > 2).map(str::to_string).collect()
}

/// A file beside the unit and the container.
pub fn packaging(name: &str) -> String {
    std::fs::read_to_string(workspace().join("packaging").join(name)).unwrap_or_else(|error| panic!("packaging/{name}: {error}"))
}

#[test]
fn the_unit_and_the_container_say_what_serve_takes() {
    let taken = options(&out(&ephor(workspace(), &["serve", "--help"])));
    let unit = packaging("ephor.service");
    let start = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).expect("ExecStart");
    let container = packaging("Containerfile");
    let command: Vec<String> = container
        .lines()
        .find_map(|line| line.strip_prefix("CMD "))
        .and_then(|list| serde_json::from_str(list).ok())
        .expect("CMD as a list");
    assert_eq!(command.first().map(String::as_str), Some("serve"));
    for text in [start.to_string(), command.join(" ")] {
        let used = options(&text);
        assert!(used.len() >= 4 && used.is_subset(&taken), "{used:?} of {taken:?}");
    }
    // What is not parsed as an instruction or a comment is a slip.
    let known = ["FROM", "RUN", "WORKDIR", "COPY", "VOLUME", "EXPOSE", "STOPSIGNAL", "ENTRYPOINT", "CMD"];
    for line in container.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        assert!(line.split(' ').next().is_some_and(|word| known.contains(&word)), "{line}");
    }
    for line in unit.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        assert!(line.starts_with('[') && line.ends_with(']') || line.contains('='), "{line}");
    }
}

/// systemd reads the unit as it is meant, with the program where it is here.
#[test]
fn systemd_takes_the_unit() {
    if std::env::var_os(SKIP_SYSTEMD).is_some() {
        return data::left_out("the systemd unit", &format!("{SKIP_SYSTEMD} is set"));
    }
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("ephor.service");
    let program = binary();
    let unit = packaging("ephor.service").replace("/usr/local/bin/ephor", program.to_str().expect("a path in UTF-8"));
    std::fs::write(&file, unit).expect("written");
    let verified = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&file).output();
    let verified = verified.unwrap_or_else(|error| panic!("systemd-analyze (Debian's systemd) is needed, or {SKIP_SYSTEMD}=1: {error}"));
    // What it says of other units of the machine is not about this one.
    let said: String = err(&verified).lines().filter(|line| line.contains("ephor.service")).collect();
    assert!(said.is_empty(), "{said}");
    assert!(verified.status.success(), "{}", err(&verified));
}
