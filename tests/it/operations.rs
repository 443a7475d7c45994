//! What operators and builders rely on: releases that show what they do before they count
//! and go in an instant, errors of the program itself that lose nothing, what is built in,
//! and keys that nobody else reads.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use ephor::runtime::{Answer, Limits as SpineLimits};
use ephor::server::{Limits, Options, Server};
use ephor::trace::{Context, Sink, Span};
use ephor::{Runtime, ingest};
use ephor_tests::client::EVENT;
use ephor_tests::raw::{self, Raw};
use ephor_tests::{Ephor, binary, documents, event, ledger, policy, settings, soon, target_dir};
use serde_json::{Value, json};

use crate::access::{Door, ask};
use crate::publishers::{Both, look, words};
use crate::{GOOD, LISTED};

const POLICY: &str = "market-office/negative-list";

/// A gate that time on a busy machine does not shut.
const GATE: &str = "gate = { events-min = 10_000, p99-us-max = 60_000_000, core-share-max = 1000.0 }";

/// The release that counts for an event with a listed word, or the verdict without one.
async fn judge(ephor: &Ephor, id: &str) -> String {
    let answer = ephor.judge([event::listing(id, LISTED)]).await.remove(0);
    let release = event::findings(&answer, POLICY).next().map(|finding| event::text(finding, "release").to_string());
    release.unwrap_or_else(|| event::text(&answer, "verdict").to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn op_01_a_release_runs_beside_the_old_one_and_counts_once_it_has_shown_what_it_does() {
    let both = Both::new();
    both.release(GOOD, "1.0.0", &words(&["CIGAR"]), &[]);
    let (enforce, shadow) =
        (both.config(3600, &format!("begin = \"enforce\"\n{GATE}")), both.config(3600, &format!("begin = \"shadow\"\n{GATE}")));
    let ephor = Ephor::start_in(&both.path("data"), &enforce, &[]);
    let first = judge(&ephor, "before").await;
    assert!(ephor.stop().success());
    let ephor = Ephor::start_in(&both.path("data"), &shadow, &[]);
    both.release(GOOD, "1.1.0", &words(&["CIGAR", "LANTERN"]), &[]);
    look(&ephor).await.expect(200);
    let promote = async || ephor.act(&format!("/v1/releases/{POLICY}/promote"), json!({"by": "operations"}).to_string()).await;
    let events = |round: u32, lanterns: usize| {
        let of = move |id: usize| if id < lanterns { "LANTERN" } else { ["TEA", LISTED][id % 2] };
        (0..10_000).map(move |id| event::listing(format!("{round}-{id}"), of(id)))
    };
    let early = promote().await.expect(409).json();
    assert!(early.to_string().contains("0 events of the 10000"), "{early}");
    let answers = ephor.judge(events(1, 300)).await;
    assert!(answers[..300].iter().all(|answer| answer["verdict"] == "allow"), "what is in shadow is in no verdict");
    let shown = async || {
        let releases = ephor.get("/v1/releases").await.expect(200).json()["releases"].clone();
        releases.as_array().expect("releases").iter().find(|release| release["mode"] == "shadow").expect("one in shadow").clone()
    };
    let report = shown().await;
    let of = |name: &str| report["shown"][name].as_u64();
    assert_eq!((of("events"), of("differences"), of("faults")), (Some(10_000), Some(300), Some(0)), "{report}");
    let example = &report["shown"]["examples"][0];
    assert_eq!((&example["in_force"], &example["candidate"]), (&json!("allow"), &json!("deny")), "{report}");
    let refused = promote().await.expect(409).json();
    assert!(refused.to_string().contains("differs from the release in force on 300 of 10000 events"), "{refused}");
    assert_eq!(judge(&ephor, "still").await, first);

    // One that shows no more than it may is promoted, and counts with the next event.
    both.release(GOOD, "1.2.0", &words(&["CIGAR", "LANTERN", "ZITHER"]), &[]);
    look(&ephor).await.expect(200);
    ephor.judge(events(2, 50)).await;
    assert_eq!(shown().await["shown"]["differences"], 50);
    promote().await.expect(200);
    let after = ephor.judge([event::listing("after", "LANTERN")]).await.remove(0);
    assert_eq!(after["verdict"], "deny", "{after}");
    assert_ne!(judge(&ephor, "later").await, first);
}

/// A release that should not have been goes with the next event, as an act that is recorded.
/// What comes in its place is signed anew, under a version that is later.
#[tokio::test(flavor = "multi_thread")]
async fn op_02_a_release_is_taken_back_with_the_next_event() {
    let both = Both::new();
    both.release(GOOD, "1.0.0", &words(&["CIGAR"]), &[]);
    let canary = "begin = \"canary\"\ngate = { events-min = 0, p99-us-max = 60_000_000, core-share-max = 1000.0, canary-share = 1.0 }";
    let ephor = Ephor::start_in(&both.path("data"), &both.config(3600, canary), &[]);
    let act = async |what: &str, document: Value| ephor.act(&format!("/v1/releases/{POLICY}/{what}"), document.to_string()).await;
    act("promote", json!({"by": "operations", "to": "enforce"})).await.expect(200);
    let first = judge(&ephor, "first").await;

    // One that counts beside the one in force: that is there at once when it goes.
    both.release(GOOD, "1.1.0", &words(&["CIGAR", "BOX"]), &[]);
    look(&ephor).await.expect(200);
    let second = judge(&ephor, "second").await;
    assert_ne!(second, first);
    act("withdraw", json!({"by": "duty officer", "reason": "it denies too much", "release": second})).await.expect(200);
    assert_eq!(judge(&ephor, "back").await, first);

    // One that took the place of the one before: it goes at once, and what was superseded
    // comes back as a later version only, which somebody has signed.
    both.release(GOOD, "1.2.0", &words(&["CIGAR", "CRATE"]), &[]);
    look(&ephor).await.expect(200);
    act("promote", json!({"by": "operations", "to": "enforce"})).await.expect(200);
    let third = judge(&ephor, "third").await;
    assert!(third != first && third != second);
    act("withdraw", json!({"by": "duty officer", "reason": "again", "release": third})).await.expect(200);
    assert_eq!(judge(&ephor, "gone").await, "allow");
    look(&ephor).await.expect(200);
    assert_eq!(judge(&ephor, "still gone").await, "allow", "nothing comes back by itself");
    both.release(GOOD, "1.2.1", &words(&["CIGAR"]), &[]);
    look(&ephor).await.expect(200);
    assert_ne!(judge(&ephor, "again").await, "allow", "the same rules, signed anew");

    let changes: Vec<Value> = ephor.entries(1).await.iter().filter_map(|line| ledger::parse(line).get("change").cloned()).collect();
    let acts: Vec<&Value> = changes.iter().filter(|change| change["by"] == "duty officer").collect();
    assert_eq!(acts.len(), 2, "{changes:?}");
    assert_eq!((&acts[0]["reason"], &acts[1]["reason"]), (&json!("it denies too much"), &json!("again")));
}

/// A collector of traces that breaks down, or stands still, in the thread that tells it:
/// the one that commits. It is the one place where a program around the runtime is called
/// from inside of it.
#[derive(Debug, Default)]
struct Trouble {
    breaks: AtomicBool,
    stands: Mutex<bool>,
    goes_on: Condvar,
}

impl Trouble {
    fn stand(&self, still: bool) {
        *self.stands.lock().unwrap_or_else(PoisonError::into_inner) = still;
        self.goes_on.notify_all();
    }
}

impl Sink for Trouble {
    fn samples(&self, _: [u8; 16]) -> bool {
        true
    }

    fn take(&self, spans: Vec<Span>) {
        // Requests are told from the threads that serve them; that is not what is meant.
        let name = std::thread::current().name().unwrap_or_default().to_string();
        if !["commit", "spine"].contains(&name.as_str()) {
            return;
        }
        drop(spans);
        assert!(!self.breaks.load(Ordering::Relaxed), "this test wants the thread to break down");
        let mut stands = self.stands.lock().unwrap_or_else(PoisonError::into_inner);
        while *stands {
            stands = self.goes_on.wait(stands).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn runtime(trouble: &Arc<Trouble>, data: Option<&Path>, spine: SpineLimits) -> Runtime {
    let sink: Arc<dyn Sink> = trouble.clone();
    let builder = Runtime::builder().worker(binary()).cache(target_dir().join("it-cache")).traces(sink).spine(spine);
    match data {
        Some(data) => builder.data(data).build(),
        None => builder.build(),
    }
    .expect("a runtime")
}

fn read(id: impl std::fmt::Display) -> ephor::event::Event {
    ingest::structured(event::listing(id, LISTED).to_string().as_bytes(), &ingest::Limits::default()).expect("an event")
}

const TRACED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// Submits an event that is traced; its answer, or nothing where the runtime broke down.
async fn submit(runtime: &Runtime, id: &str) -> Option<Answer> {
    let trace = Context::parse(TRACED, None).expect("a context");
    let pending = soon("the queue", runtime.submit_in(vec![read(id)], Some(&trace))).await.ok()?;
    soon("an answer", pending).await.ok().map(|mut judged| judged.answers.remove(0))
}

/// A panic in a thread that the runtime is made of ends the runtime, and the server with
/// it; nothing is half written, and the next start goes on.
#[tokio::test(flavor = "multi_thread")]
async fn op_05_a_panic_ends_what_judges_and_the_server_and_loses_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    for data in [Some(folder.path()), None] {
        let trouble = Arc::new(Trouble::default());
        let runtime = runtime(&trouble, data, SpineLimits::default());
        runtime.install(policy(GOOD), settings(GOOD).into_bytes()).await.expect("in force");
        let server = Server::bind("127.0.0.1:0".parse().expect("an address"), runtime.clone(), Limits::default(), Options::default());
        let server = server.await.expect("it listens");
        let address = server.local_addr();
        let serving = tokio::spawn(server.run(std::future::pending()));
        assert!(submit(&runtime, "before").await.is_some() && runtime.is_ready() && !runtime.is_broken());

        trouble.breaks.store(true, Ordering::Relaxed);
        assert!(submit(&runtime, "during").await.is_none(), "what broke down answers nobody");
        soon("the server to end by itself", serving).await.expect("it ends in good order");
        assert!(runtime.is_broken() && runtime.failure().is_none() && !runtime.is_ready());
        assert!(submit(&runtime, "after").await.is_none());
        assert!(std::net::TcpStream::connect(address).is_err(), "nobody is there");
        runtime.close().await;
    }

    let verified = ledger::verify(folder.path());
    assert!([Some(0), Some(5)].contains(&verified.status.code()), "{}", ledger::printed(&verified));
    let runtime = runtime(&Arc::new(Trouble::default()), Some(folder.path()), SpineLimits::default());
    runtime.install(policy(GOOD), settings(GOOD).into_bytes()).await.expect("in force");
    // It was durable before anybody was told; so it is known, and not judged twice.
    for known in ["before", "during"] {
        assert!(matches!(submit(&runtime, known).await, Some(Answer::Again(_))), "{known}");
    }
    assert!(submit(&runtime, "after").await.is_some());
    runtime.close().await;
    let verified = ledger::verify(folder.path());
    assert!(verified.status.success(), "{}", ledger::printed(&verified));
}

/// The thread that writes the ledger stands still: whoever comes is refused with a time to
/// come back, long before memory is short, and nobody is told what is not recorded.
#[tokio::test(flavor = "multi_thread")]
async fn ht_23_while_nothing_is_written_nothing_is_answered_and_what_comes_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let trouble = Arc::new(Trouble::default());
    let spine = SpineLimits { queue_events_max: 64, batch_events_max: 8, ..SpineLimits::default() };
    let runtime = runtime(&trouble, Some(folder.path()), spine);
    let server = Server::bind("127.0.0.1:0".parse().expect("an address"), runtime.clone(), Limits::default(), Options::default());
    let server = server.await.expect("it listens");
    let address = server.local_addr();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(server.run(async {
        let _ = stopped.await;
    }));
    assert!(submit(&runtime, "before").await.is_some());
    // It is told that it is durable just behind the answer.
    let recorded = *soon("the first entry", runtime.durable().wait_for(|last| *last > 0)).await.expect("it commits");

    trouble.stand(true);
    // What is told of this one keeps the thread; it is recorded.
    let first = tokio::spawn({
        let runtime = runtime.clone();
        async move { submit(&runtime, "first").await }
    });
    let mut waiting: Vec<(usize, Raw)> = Vec::new();
    let mut refused = 0;
    for id in 0..1_000 {
        let mut connection = Raw::connect(address);
        connection.write(raw::post(&[("content-type", EVENT), ("traceparent", TRACED)], event::listing(id, LISTED).to_string().as_bytes()));
        // Whoever is refused is so at once; whoever is not, waits.
        match connection.closed_within(std::time::Duration::from_millis(5)) {
            None if waiting.len() > 900 => panic!("a queue of 64 events holds {}", waiting.len()),
            _ => waiting.push((id, connection)),
        }
        let page = raw::get(address, "/metrics").text();
        refused = count(&page, "ephor_http_problems_total{kind=\"queue-full\"}");
        if refused >= 20 {
            break;
        }
    }
    assert!(refused >= 20, "nobody is refused");
    assert!(!first.is_finished() && *runtime.durable().borrow() <= recorded + 1, "nothing else was recorded");

    trouble.stand(false);
    let (mut judged, mut told) = (0, 0);
    for (id, mut connection) in waiting {
        let answer = connection.read_patiently();
        match answer.status {
            200 => {
                assert_eq!(answer.json()["id"], id.to_string());
                judged += 1;
            }
            503 => {
                assert_eq!((answer.json()["type"].as_str(), answer.header("retry-after")), (Some("urn:ephor:problem:queue-full"), "1"));
                told += 1;
            }
            other => panic!("{other}: {}", answer.text()),
        }
    }
    assert!((32..=64).contains(&judged) && told >= 20, "{judged} judged, {told} refused");
    assert!(soon("the first", first).await.expect("it ends").is_some());
    let _ = stop.send(());
    soon("the server", serving).await.expect("it ends");
    let durable = runtime.durable();
    runtime.close().await;
    let entries = *durable.borrow();
    assert_eq!(entries, recorded + 1 + judged, "what was answered is what is recorded");
    let verified = ledger::verify(folder.path());
    assert!(verified.status.success(), "{}", ledger::printed(&verified));
}

fn count(page: &str, sample: &str) -> u64 {
    let value = page.lines().find_map(|line| line.strip_prefix(sample)).unwrap_or(" 0");
    value.trim().split(' ').next().and_then(|value| value.parse::<f64>().ok()).unwrap_or_default() as u64
}

/// What is built in: at least these versions, and none of the parts of the engine that
/// nothing here needs.
#[test]
fn op_06_what_is_built_in_is_new_enough_and_no_more_than_is_needed() {
    let lock: toml::Table = toml::from_str(&documents::read("Cargo.lock")).expect("a lock file");
    let packages = lock["package"].as_array().expect("packages");
    let of = |name: &str| -> Vec<&toml::Value> { packages.iter().filter(|package| package["name"].as_str() == Some(name)).collect() };
    let number = |text: &str| -> Vec<u64> { text.split(['.', '-', '+']).map_while(|part| part.parse().ok()).collect() };
    for (name, least, line) in
        [("wasmtime", "48.0.8", Some(48)), ("h2", "0.4.20", None), ("hyper", "1.12.0", None), ("rustls", "0.23.46", None)]
    {
        let found = of(name);
        assert!(!found.is_empty(), "{name} is there");
        for package in found {
            let version = package["version"].as_str().expect("a version");
            assert!(number(version) >= number(least), "{name} {version} is older than {least}");
            assert!(line.is_none_or(|line| number(version)[0] == line), "{name} {version} is not of the line with long-term support");
        }
    }
    // What a feature of the engine would bring.
    for absent in ["winch-codegen", "wasmtime-internal-winch", "wasmtime-internal-cache", "wasmtime-wasi"] {
        assert!(of(absent).is_empty(), "{absent} is built in");
    }
    for package in of("wasmtime") {
        let needs: Vec<&str> = package["dependencies"].as_array().expect("needs").iter().filter_map(toml::Value::as_str).collect();
        for absent in ["wat", "wasmtime-internal-cache", "wasmtime-internal-winch"] {
            assert!(!needs.iter().any(|need| need.split(' ').next() == Some(absent)), "wasmtime with {absent}");
        }
    }
    for package in packages.iter().filter(|package| package.get("source").is_some()) {
        assert_eq!(package["source"].as_str(), Some("registry+https://github.com/rust-lang/crates.io-index"), "{package:?}");
        assert!(package.get("checksum").is_some(), "{package:?} has no checksum");
    }
    let deny: toml::Table = toml::from_str(&documents::read("deny.toml")).expect("a configuration");
    assert_eq!((deny["sources"]["unknown-registry"].as_str(), deny["sources"]["unknown-git"].as_str()), (Some("deny"), Some("deny")));
    let makefile = documents::read("Makefile");
    let builds = ["cargo build ", "cargo test ", "cargo clippy ", "cargo doc "];
    let unlocked =
        makefile.lines().filter(|line| builds.iter().any(|build| line.contains(build)) && !line.contains("--locked")).collect::<Vec<_>>();
    assert!(unlocked.is_empty(), "without --locked: {unlocked:?}");
}

/// Keys are read by their owner alone, wherever they are made, and stand in nothing else:
/// not in the log, not in the environment or the arguments of a process, not in an answer.
#[tokio::test(flavor = "multi_thread")]
async fn op_07_keys_are_their_owners_and_stand_nowhere_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let made = |args: &[&str]| {
        let output = Command::new(binary()).args(args).current_dir(folder.path()).output().expect("the binary starts");
        assert!(output.status.success(), "{args:?}: {}", ledger::printed(&output));
        String::from_utf8_lossy(&output.stdout).trim().to_string()
    };
    made(&["repo", "init", "rules", "--publisher", "market-office"]);
    made(&["tls", "init", "tls", "--name", "localhost"]);
    made(&["witness", "keygen", "example.com/witness", "--out", "witness.key"]);
    let door = Door::new();
    let (token, data) = (door.create("alice", &["operator"]), path("data"));
    let config = door.config("[ledger]\nevents = \"full\"\n[telemetry.log]\nlevel = \"trace\"\n");
    let ephor = Ephor::start_in(&data, &config, &[]);
    ask(&ephor, "/v1/status", &token).await.expect(200);
    ask(&ephor, "/v1/status", &format!("{token}0")).await.expect(401);
    ask(&ephor, "/v1/log/key", &token).await.expect(200);

    let mut secrets = vec![token[16..].to_string()];
    let mut keys = 0;
    let mut folders = vec![folder.path().to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).expect("a folder") {
            let file = entry.expect("an entry").path();
            if file.is_dir() {
                folders.push(file);
                continue;
            }
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            let name = file.file_name().and_then(|name| name.to_str()).expect("a name in UTF-8").to_string();
            if text.contains("PRIVATE KEY") || name == "ledger.key" || name == "witness.key" {
                let mode = std::fs::metadata(&file).expect("there").permissions().mode() & 0o777;
                assert_eq!(mode, 0o600, "{}", file.display());
                keys += 1;
                // What is secret is its longest run of letters and digits.
                secrets.extend(text.lines().filter(|line| !line.contains("KEY") && line.len() >= 24).map(|line| line.trim().to_string()));
            }
        }
    }
    // root, releases, timestamp; authority and server; witness; ledger.
    assert!(keys >= 7 && secrets.len() > keys, "{keys} keys, {} secrets", secrets.len());
    let mut said = ephor.log();
    for file in ["environ", "cmdline"] {
        let bytes = std::fs::read(format!("/proc/{}/{file}", ephor.pid())).expect("the process is there");
        said += &String::from_utf8_lossy(&bytes);
    }
    for path in ["/v1/status", "/v1/log/key", "/metrics", "/"] {
        said += &ask(&ephor, path, &token).await.text();
    }
    said += &raw::get(ephor.address(), "/v1/status").text();
    for secret in &secrets {
        assert!(!said.contains(secret.as_str()), "a secret is said: {}…", &secret[..8]);
    }
    assert!(said.len() > 10_000, "it says something at all");
}

/// One port, on this machine, and nothing behind it that is not in the table of routes.
#[tokio::test(flavor = "multi_thread")]
async fn ht_27_there_is_one_port_and_nothing_hidden_behind_it() {
    let ephor = Ephor::start(&[]);
    let pid = ephor.pid();
    let sockets: Vec<String> = std::fs::read_dir(format!("/proc/{pid}/fd"))
        .expect("the process is there")
        .filter_map(|entry| Some(std::fs::read_link(entry.ok()?.path()).ok()?.to_string_lossy().into_owned()))
        .filter_map(|link| Some(link.strip_prefix("socket:[")?.strip_suffix(']')?.to_string()))
        .collect();
    let mut listening = Vec::new();
    for table in ["tcp", "tcp6", "udp", "udp6"] {
        let text = std::fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap_or_default();
        for line in text.lines().skip(1) {
            let columns: Vec<&str> = line.split_whitespace().collect();
            // 0A is LISTEN; sockets of UDP have no such state.
            if sockets.iter().any(|socket| socket == columns[9]) && (columns[3] == "0A" || table.starts_with("udp")) {
                listening.push((table, columns[1].to_string()));
            }
        }
    }
    let port = format!("0100007F:{:04X}", ephor.address().port());
    assert_eq!(listening, [("tcp", port)], "127.0.0.1, in the byte order of this machine");

    for path in [
        "/debug",
        "/debug/pprof",
        "/debug/vars",
        "/admin",
        "/v1/admin",
        "/v1/debug",
        "/env",
        "/config",
        "/v1/config",
        "/.git/config",
        "/actuator",
    ] {
        assert_eq!(ephor.get(path).await.status, 404, "{path}");
    }
    for path in ["/v1/policies", "/v1/events", "/v1/erasures", "/metrics", "/v1/openapi.json"] {
        let mut connection = Raw::connect(ephor.address());
        connection.write(format!(
            "OPTIONS {path} HTTP/1.1\r\nhost: localhost\r\norigin: https://evil.example\r\naccess-control-request-method: POST\r\n\r\n"
        ));
        let answer = connection.read_patiently();
        let shared: Vec<&(String, String)> = answer.headers.iter().filter(|(name, _)| name.starts_with("access-control-")).collect();
        assert!(shared.is_empty(), "{path}: {shared:?}");
    }
    assert!(!ephor.log().contains("panicked"), "{}", ephor.log());
}
