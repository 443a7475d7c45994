//! The runtime's verdicts as events, for policies that ask about them: each once, in the
//! ledger, whatever happens to the process; and `credit-standing`, which consumes them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use ephor::ledger::{Kept, KeptEvents};
use ephor::runtime::{Answer, Refusal};
use ephor::{LoadError, Publisher, Runtime, ingest};
use ephor_tests::client::{BATCH, EVENT, LINES};
use ephor_tests::data::{self, Set};
use ephor_tests::random::{Random, number};
use ephor_tests::{Ephor, binary, component_path, event, ledger, policy, settings, target_dir, workspace, write_policy};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::task::JoinSet;

use crate::replay::{assert_equal, ephor_replay};
use crate::stateful::digest;
use crate::{GOOD, LISTED};

const CREDIT: &str = "credit-standing";
const PRICES: &str = "price-fairness";

const TYPE: &str = "dev.ephor.verdict.v1";
const SOURCE: &str = "urn:ephor:verdicts#/tests";

/// Content is kept, so that what the runtime submitted can be looked at.
const FULL: &str = "[ledger]\nevents = \"full\"\n";

/// Terms under which a single finding of the good policy reaches the first threshold.
fn strict() -> String {
    let mut terms: Value = serde_json::from_str(&settings(CREDIT)).expect("settings in JSON");
    terms["thresholds"] = json!({"watch": 4, "restricted": 8, "serious": 40});
    terms.to_string()
}

/// The good policy and the credit standing, in force.
async fn with_credit(config: &str, args: &[&str], terms: &str) -> Ephor {
    let ephor = Ephor::start_with(config, args);
    ephor.put(GOOD, &policy(GOOD), &settings(GOOD)).await.succeeded();
    ephor.put(CREDIT, &policy(CREDIT), terms).await.succeeded();
    ephor
}

fn is_verdict_event(entry: &Value) -> bool {
    entry["type"] == TYPE
}

/// Ids of the rules that a policy found something by, as an entry has them.
fn rules<'e>(entry: &'e Value, policy: &str) -> Vec<&'e str> {
    let asked = entry["asked"].as_array().expect("asked").iter().filter(|asked| asked["policy"] == policy);
    let findings = asked.flat_map(|asked| asked["findings"].as_array().map(Vec::as_slice).unwrap_or_default());
    findings.map(|finding| event::text(finding, "rule")).collect()
}

/// The entries of events, once every entry that a verdict event comes behind has its.
async fn settled(ephor: &Ephor) -> Vec<Value> {
    for _ in 0..6_000 {
        let entries = ephor.event_entries(1).await;
        let expected = entries.iter().filter(|entry| entry.get("echo").is_some()).count();
        if entries.iter().filter(|entry| is_verdict_event(entry)).count() >= expected {
            return entries;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("some verdict events never came\n{}", ephor.log());
}

/// Holds entries of events against each other: behind each with findings that is not too
/// deep comes exactly one verdict event, and no other does.
#[track_caller]
fn assert_once(entries: &[Value], depth_max: u64) {
    let mut depths: BTreeMap<String, u64> = BTreeMap::new();
    let mut outstanding: BTreeSet<String> = BTreeSet::new();
    for entry in entries {
        let (sequence, id) = (event::sequence(entry).to_string(), event::text(entry, "id").to_string());
        let depth = if is_verdict_event(entry) {
            assert!(event::text(entry, "source").starts_with("urn:ephor:verdicts#"), "{entry}");
            assert!(outstanding.remove(&id), "there is one already, or none should come: {entry}");
            depths[&id] + 1
        } else {
            0
        };
        depths.insert(sequence.clone(), depth);
        let found = entry["asked"].as_array().expect("asked").iter().any(|asked| asked.get("findings").is_some());
        let expected = (found && depth < depth_max).then_some(depth + 1);
        assert_eq!(entry.get("echo").and_then(Value::as_u64), expected, "{entry}");
        if expected.is_some() {
            outstanding.insert(sequence);
        }
    }
    assert!(outstanding.is_empty(), "no verdict event is about these entries: {outstanding:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_may_submit_them() {
    let ephor = with_credit("", &[], &strict()).await;
    let mut own = event::listing(1, LISTED);
    own["source"] = SOURCE.into();
    let mut typed = event::listing(2, LISTED);
    typed["type"] = TYPE.into();
    for (bad, pointer) in [(&own, "/source"), (&typed, "/type")] {
        let refused = ephor.post(EVENT, bad.to_string()).await.expect(400).json();
        assert_eq!((&refused["type"], &refused["pointer"]), (&json!("urn:ephor:problem:reserved"), &json!(pointer)), "{refused}");
        assert!(event::text(&refused, "detail").contains("leave them out"), "{refused}");
    }
    let headers = [("ce-specversion", "1.0"), ("ce-id", "b"), ("ce-source", "urn%3Aephor%3Averdicts#/s"), ("ce-type", "t")];
    let refused = ephor.post_with("application/json", &headers, "{}").await.expect(400).json();
    assert_eq!(refused["type"], "urn:ephor:problem:reserved", "{refused}");
    // Among others, each by itself.
    let body = format!("[{},{own},{typed}]", event::listing(3, LISTED));
    let answers = ephor.post(BATCH, body).await.expect(200).json();
    assert_eq!((&answers[0]["verdict"], answers[1].get("verdict"), answers[2].get("verdict")), (&json!("deny"), None, None), "{answers}");
    let answers = ephor.judge([own, event::listing(4, LISTED)]).await;
    assert_eq!(
        (&answers[0]["error"]["type"], &answers[1]["verdict"]),
        (&json!("urn:ephor:problem:reserved"), &json!("deny")),
        "{answers:?}"
    );
    let entries = settled(&ephor).await;
    assert_eq!(entries.iter().filter(|entry| is_verdict_event(entry)).count(), 2, "about 3 and 4: {entries:?}");
}

/// The same for a program that has the runtime inside: what reads such an event, and what
/// makes one of an entry, is for trying policies and for replays.
#[tokio::test(flavor = "multi_thread")]
async fn a_program_around_the_runtime_may_not_submit_them_either() {
    let folder = tempfile::tempdir().expect("a folder");
    let runtime = Runtime::builder().worker(binary()).data(folder.path()).build().expect("a runtime");
    let text = |source: &str, kind: &str| json!({"specversion": "1.0", "id": "1", "source": source, "type": kind}).to_string();
    let read = |text: String| ingest::any_structured(text.as_bytes(), &ingest::Limits::default()).expect("an event");
    let events = [(SOURCE, TYPE), (SOURCE, "t"), ("/tests", TYPE), ("/tests", "t")].map(|(source, kind)| read(text(source, kind)));
    let judged = runtime.submit(events.into()).await.expect("it runs").await.expect("it answers");
    let refused: Vec<bool> = judged.answers.iter().map(|answer| matches!(answer, Answer::Refused(Refusal::Reserved))).collect();
    assert_eq!(refused, [true, true, true, false], "{:?}", judged.answers);
    assert_eq!(runtime.log().expect("a ledger").size(), 1, "only the last has an entry");
    runtime.close().await;
}

/// What a server refuses, an author can show to a policy.
#[test]
fn an_author_can_try_a_policy_on_them() {
    let (events, own) = (workspace().join("tests/data/library/credit-standing.ndjson.gz"), workspace().join("policies").join(CREDIT));
    let mut run = Command::new(binary());
    run.args(["policy", "run"]).arg(component_path("policies", CREDIT)).arg("--event").arg(events);
    run.arg("--settings").arg(own.join("settings.json")).args(["--summary", "--json", "--cache"]).arg(target_dir().join("it-cache"));
    let output = run.output().expect("the binary starts");
    let said: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", ledger::printed(&output)));
    let answer = std::fs::read(own.join("answer.json")).expect("an answer");
    let answer: Value = serde_json::from_slice(&answer).expect("JSON");
    let summary = &said["summary"];
    assert_eq!((&summary["events"], &summary["not_taken"]), (&answer["events"], &json!(0)), "{summary}");
    assert_eq!(summary["rules"], answer["rules"], "{summary}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finding_is_followed_by_an_event_about_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let ephor = Ephor::start_in(folder.path(), FULL, &[]);
    ephor.put(GOOD, &policy(GOOD), &settings(GOOD)).await.succeeded();
    // Nobody asks about verdicts yet.
    ephor.judge([event::listing("before", LISTED)]).await;
    ephor.put(CREDIT, &policy(CREDIT), &strict()).await.succeeded();
    let answers = ephor.judge([event::listing("clean", "LANTERN"), event::listing("listed", LISTED)]).await;
    let about = event::sequence(&answers[1]);
    let entries = settled(&ephor).await;
    assert_once(&entries[1..], 1);
    let echo = entries.last().expect("entries");
    assert_eq!(entries.len(), 4, "one is about a verdict: {entries:?}");
    assert_eq!(
        (&echo["source"], &echo["id"], &echo["type"], &echo["subject"], &echo["time"]),
        (&json!(SOURCE), &json!(about.to_string()), &json!(TYPE), &json!("sku/1"), &json!("2026-01-02T03:04:05Z"))
    );
    assert_eq!((rules(echo, CREDIT), &echo["verdict"]), (vec!["watch"], &json!("flag")));
    assert_eq!(echo["arrived"], entries[2]["arrived"], "it arrives with what it is about");
    let content = ephor.get(&format!("/v1/events/{}", event::sequence(echo))).await.expect(200);
    let digest: String = Sha256::digest(&content.body).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(echo["digest"], digest);
    assert_eq!(
        content.json()["data"],
        json!({
            "sequence": about,
            "depth": 1,
            "event": {"source": "/tests", "id": "listed", "type": "retail.invoice.line", "subject": "sku/1", "time": "2026-01-02T03:04:05Z"},
            "verdict": "deny",
            "findings": [{"policy": GOOD, "rule": "listed-word", "action": "deny", "severity": "high", "mode": "enforce"}],
        }),
        "and no evidence"
    );
    assert_eq!(ephor.metric("ephor_verdict_events_total", "outcome=\"made\""), 1.0);
    // That about the finding of the credit standing would be a step too far.
    assert_eq!(ephor.metric("ephor_verdict_events_total", "outcome=\"cut-off\""), 1.0);
    ephor.wait_until("it is said", || ephor.log().contains("verdict-depth-max"));
    // It can be proved like any other, and is in the check of all.
    assert!(ephor.stop().success());
    let verified = ledger::verify(folder.path());
    assert!(verified.status.success(), "{}", ledger::printed(&verified));
    // What is kept of it is enough to explain what was found.
    let mut explain = Command::new(binary());
    explain.args(["policy", "explain", &event::sequence(echo).to_string(), "--json", "--from-data"]).arg(folder.path());
    let explained = explain.arg("--cache").arg(target_dir().join("it-cache")).output().expect("the binary starts");
    let said: Value = serde_json::from_slice(&explained.stdout).unwrap_or_else(|_| panic!("{}", ledger::printed(&explained)));
    assert_eq!((&said["policies"][0]["again"], &said["policies"][0]["committed"]), (&json!("same"), &json!(true)), "{said}");
}

/// Steps are bounded: none with 0, a verdict on a verdict with 2.
#[tokio::test(flavor = "multi_thread")]
async fn verdicts_on_verdicts_end_where_the_bound_says() {
    for (max, events, cut) in [(0, 0, 1.0), (1, 1, 1.0), (2, 2, 0.0), (16, 2, 0.0)] {
        let ephor = with_credit(&format!("[spine]\nverdict-depth-max = {max}\n"), &[], &strict()).await;
        ephor.judge([event::listing(1, LISTED)]).await;
        let entries = settled(&ephor).await;
        assert_once(&entries, max);
        let echoes: Vec<&Value> = entries.iter().filter(|entry| is_verdict_event(entry)).collect();
        assert_eq!(echoes.len(), events, "{max}: {entries:?}");
        assert!(echoes.iter().all(|echo| echo["source"] == SOURCE), "{max}: {echoes:?}");
        // The second is about what the credit standing itself said of the first, and does not count.
        assert_eq!(echoes.get(1).map(|echo| rules(echo, CREDIT).len()), (events > 1).then_some(0), "{max}");
        assert_eq!(ephor.metric("ephor_verdict_events_total", "outcome=\"cut-off\""), cut, "{max}");
    }
}

/// Findings of one policy lead to those of another, and redress takes them away.
#[tokio::test(flavor = "multi_thread")]
async fn a_credit_standing_falls_and_is_repaired() {
    let ephor = with_credit("", &[], &settings(CREDIT)).await;
    let mut said = Vec::new();
    for id in 0..10 {
        let mut line = event::listing(id, LISTED);
        line["time"] = format!("2026-01-{:02}T00:00:00Z", id + 1).into();
        ephor.judge([line]).await;
        said.extend(rules(settled(&ephor).await.last().expect("entries"), CREDIT).into_iter().map(|rule| format!("{id} {rule}")));
    }
    assert_eq!(said, ["1 watch", "4 restricted", "9 serious"], "four points each");
    let first = settled(&ephor).await.iter().find(|entry| entry["source"] == "/tests").map(event::sequence);
    let redress = |id: &str, data: Value| json!({"specversion": "1.0", "id": id, "source": "/office", "type": "credit.redress.granted", "subject": "sku/1", "time": "2026-01-20T00:00:00Z", "data": data});
    let answers = ephor
        .judge([redress("a", json!({"sequence": first})), redress("b", json!({"policy": GOOD})), redress("c", json!({"policy": GOOD}))])
        .await;
    let found = |at: usize| event::findings(&answers[at], CREDIT).map(|finding| event::text(finding, "rule")).collect::<Vec<_>>();
    assert_eq!([found(0), found(1), found(2)], [vec!["improved"], vec!["improved"], vec!["nothing-to-redress"]], "{answers:?}");
    let improved = event::findings(&answers[0], CREDIT).next().expect("a finding");
    assert_eq!(improved["evidence"], json!({"points": "36", "findings": "9", "threshold": "40"}));
    assert_once(&settled(&ephor).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_ledger_there_are_none_and_that_is_said() {
    let ephor = with_credit("", &["--in-memory"], &strict()).await;
    ephor.wait_until("it is said", || ephor.log().contains("without a data directory there are no events about them"));
    let answers = ephor.judge([event::listing(1, LISTED)]).await;
    assert_eq!(answers[0]["verdict"], "deny");
    assert_eq!(ephor.metric("ephor_verdict_events_total", ""), 0.0);
}

/// A grant names the type: whoever may see all that a platform sends is not told what
/// others find.
#[tokio::test(flavor = "multi_thread")]
async fn what_others_find_is_granted_by_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let runtime = Runtime::builder().worker(binary()).data(folder.path()).build().expect("a runtime");
    let pointers = [
        "/subject",
        "/type",
        "/time",
        "/data/depth",
        "/data/event/subject",
        "/data/sequence",
        "/data/findings",
        "/data/policy",
        "/data/rule",
    ];
    let granted = |events: &[&str]| {
        let fields = pointers.iter().map(|pointer| (pointer.to_string(), "plain".into())).collect();
        let publisher = Publisher { events: events.iter().map(ToString::to_string).collect(), fields, ..Publisher::default() };
        runtime.grant("office", &publisher).expect("a grant")
    };
    let install = async |events: &[&str]| runtime.install_for(granted(events), policy(CREDIT), settings(CREDIT).into_bytes()).await;
    let refused = install(&["*"]).await.expect_err("refused");
    assert!(matches!(refused, LoadError::Grant { .. }), "{refused}");
    assert!(refused.to_string().contains("asks about events `dev.ephor.verdict.v1`; granted are `*` only"), "{refused}");
    let swap = install(&["*", TYPE]).await.expect("taken");
    assert_eq!(swap.policy, "office/credit-standing");
    runtime.close().await;
}

/// Folders of policies and data of a server that is started again and again.
struct Room(tempfile::TempDir);

impl Room {
    fn new() -> Room {
        let room = Room(tempfile::tempdir().expect("a folder"));
        std::fs::create_dir(room.path("policies")).expect("a folder");
        write_policy(&room.path("policies"), GOOD, Some(&policy(GOOD)), Some(&settings(GOOD)));
        write_policy(&room.path("policies"), CREDIT, Some(&policy(CREDIT)), Some(&settings(CREDIT)));
        room
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().expect("a path in UTF-8").to_string()
    }

    fn start(&self, config: &str) -> Ephor {
        Ephor::start_in(&self.path("data"), config, &["--policies", &self.text("policies")])
    }
}

/// Whatever moment the process is killed at: behind each finding comes one verdict event,
/// at the latest with the next start, and each counts once.
#[tokio::test(flavor = "multi_thread")]
async fn none_is_lost_or_doubled_by_kill_9() {
    const SUBJECTS: u64 = 5;
    let mut random = Random::from_env("EPHOR_KILL_VERDICTS_SEED");
    let rounds = number("EPHOR_KILL_ROUNDS").unwrap_or(12);
    let room = Room::new();
    let config = format!("{FULL}checkpoint-ms = 20\n[spine]\nbatch-events-max = 16\n");
    let mut next = 0;
    for _ in 0..rounds {
        let ephor = room.start(&config);
        // What the one before left out comes without anything being sent.
        assert_once(&settled(&ephor).await, 1);
        let mut clients = JoinSet::new();
        for _ in 0..3 {
            let bodies: Vec<String> = (0..12)
                .map(|_| {
                    let lines = (0..20).map(|_| {
                        next += 1;
                        let mut line = event::listing(next, if random.once_in(3) { "LANTERN" } else { LISTED });
                        line["subject"] = format!("seller/{}", random.below(SUBJECTS)).into();
                        line
                    });
                    event::ndjson(lines)
                })
                .collect();
            let remote = ephor.remote();
            clients.spawn(async move {
                for body in bodies {
                    if remote.post(LINES, body).await.is_none() {
                        return;
                    }
                }
            });
        }
        tokio::time::sleep(Duration::from_millis(random.below(120))).await;
        ephor.kill();
        while let Some(ended) = clients.join_next().await {
            ended.expect("a client ends well");
        }
    }
    let ephor = room.start(&config);
    let entries = settled(&ephor).await;
    assert_once(&entries, 1);
    assert!(entries.iter().any(is_verdict_event), "some events came through");
    // The policy has counted each of them once: what it says of the next says so.
    for subject in (0..SUBJECTS).map(|subject| format!("seller/{subject}")) {
        let counted = entries.iter().filter(|entry| is_verdict_event(entry) && entry["subject"] == subject).count();
        let redress = json!({"specversion": "1.0", "id": subject, "source": "/office", "type": "credit.redress.granted", "subject": subject, "time": "2026-01-03T00:00:00Z", "data": {"policy": GOOD}});
        let answers = ephor.judge([redress]).await;
        let found = event::findings(&answers[0], CREDIT).next();
        // With fewer than two findings no threshold was reached.
        let expected = if counted == 0 { Some("nothing-to-redress") } else { (counted > 1).then_some("improved") };
        assert_eq!(found.map(|finding| event::text(finding, "rule")), expected, "{subject} has {counted}");
    }
    assert!(ephor.stop().success());
    let verified = ledger::verify(&room.path("data"));
    assert!(verified.status.success(), "{}", ledger::printed(&verified));
}

/// The same at the one moment that matters: the entry is there, and what comes behind it
/// is not whole.
#[tokio::test(flavor = "multi_thread")]
async fn one_that_was_cut_off_comes_with_the_next_start() {
    let room = Room::new();
    // No checkpoint covers what is cut off.
    let config = "[ledger]\ncheckpoint-ms = 3600000\n";
    let ephor = room.start(config);
    ephor.judge([event::listing(1, LISTED)]).await;
    let before = settled(&ephor).await;
    assert_eq!(before.iter().map(is_verdict_event).collect::<Vec<_>>(), [false, true]);
    ephor.kill();
    cut_last(&room.path("data"), 10);

    let ephor = room.start(config);
    let mut after = settled(&ephor).await;
    if after.is_empty() {
        // Both were in one record: then the client would send its event again.
        ephor.judge([event::listing(1, LISTED)]).await;
        after = settled(&ephor).await;
    } else {
        ephor.wait_until("it is said", || ephor.log().contains("left out by an earlier process"));
        assert_eq!(ephor.metric("ephor_verdict_events_total", "outcome=\"made\""), 1.0);
    }
    assert_once(&after, 1);
    assert_eq!(after.iter().map(is_verdict_event).collect::<Vec<_>>(), [false, true]);
    if after[0] == before[0] {
        assert_eq!((&after[1]["digest"], &after[1]["arrived"]), (&before[1]["digest"], &before[1]["arrived"]), "it is the same event");
    }
    // Sent again, the event is answered from its entry, and nothing comes behind it.
    ephor.judge([event::listing(1, LISTED)]).await;
    assert_eq!(ephor.event_entries(1).await.len(), 2);
    assert!(ephor.stop().success());
}

/// Cuts bytes off the end of the journal.
fn cut_last(data: &Path, bytes: u64) {
    let mut segments: Vec<PathBuf> =
        std::fs::read_dir(data.join("journal")).expect("a journal").map(|entry| entry.expect("a segment").path()).collect();
    segments.sort();
    let file = std::fs::OpenOptions::new().write(true).open(segments.last().expect("a segment")).expect("a segment");
    let length = file.metadata().expect("a length").len();
    file.set_len(length - bytes).expect("cut off");
}

/// Real invoices: the events about them lie where the ledger says, so a replay gives every
/// entry byte for byte, from files that have none of them or from what was kept; and what
/// the credit standing says of them is what a script says that shares no code with it.
#[tokio::test(flavor = "multi_thread")]
async fn real_invoices_are_replayed_and_counted_alike() {
    let room = Room::new();
    write_policy(&room.path("policies"), PRICES, Some(&policy(PRICES)), Some(&settings(PRICES)));
    let ephor = room.start(FULL);
    let lines = data::sample(Set::Retail);
    for part in lines.chunks(lines.len() / 3 + 1) {
        ephor.post(LINES, part.join("\n")).await.succeeded();
    }
    let entries = settled(&ephor).await;
    assert_once(&entries, 1);
    let echoes: Vec<&Value> = entries.iter().filter(|entry| is_verdict_event(entry)).collect();
    assert_eq!(echoes.len(), 1_611, "lines with a listed word or an unequal price");
    let subjects = ledger::subjects(&ephor.entries(1).await);
    let all = subjects.len();
    let noted = subjects.iter().filter(|subject| **subject == "keep").count();
    assert!(ephor.stop().success());

    let (recorded, policies) = (room.text("data"), room.text("policies"));
    let sample = data::sample_folder().join("retail.ndjson.gz");
    let sample = sample.to_str().expect("a path in UTF-8");
    assert_equal(&ephor_replay(&["--events", sample, "--check", &recorded, "--json"]), all);
    assert_equal(&ephor_replay(&["--from-data", &recorded, "--check", &recorded, "--json"]), all);
    // Judged anew, it makes its own: behind the same events each time, whatever the
    // batches, and those that were kept are left out.
    let key = room.path("data").join("ledger.key");
    let key = key.to_str().expect("a path in UTF-8");
    let roots: Vec<_> = [("one", ["--events", sample]), ("two", ["--from-data", &recorded])]
        .into_iter()
        .map(|(copy, events)| {
            let output =
                ephor_replay(&[&events[..], &["--policies", &policies, "--data", &room.text(copy), "--key", key, "--json"]].concat());
            let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", ledger::printed(&output)));
            assert_eq!(
                (&report["judged"], &report["rejected"], &report["refused"]),
                (&json!(lines.len()), &json!(0), &json!(0)),
                "{report}"
            );
            let counted = |of: &str| report[of].as_object().expect("by verdict").values().filter_map(Value::as_u64).sum::<u64>();
            assert_eq!((counted("verdicts"), counted("verdict_events")), (lines.len() as u64, echoes.len() as u64), "{report}");
            assert_eq!(report["verdict_events_left_out"], if copy == "two" { echoes.len() } else { 0 }, "{report}");
            ledger::Checkpoint::in_directory(&room.path(copy)).map(|checkpoint| (checkpoint.size, checkpoint.root))
        })
        .collect();
    // A replay keeps no events, so nothing says that they are kept.
    assert_eq!((roots[0].as_ref().map(|(size, _)| *size), &roots[0]), (Some((all - noted) as u64), &roots[1]), "the same tree");

    let file = room.path("verdicts.ndjson");
    let mut out = std::fs::File::create(&file).expect("a file");
    let places: BTreeSet<u64> = echoes.iter().map(|echo| event::sequence(echo)).collect();
    for kept in KeptEvents::open(&room.path("data")).expect("what is kept") {
        match kept.expect("readable") {
            (sequence, Kept::Content(content)) if places.contains(&sequence) => {
                out.write_all(content.body()).and_then(|()| out.write_all(b"\n")).expect("written");
            }
            _ => {}
        }
    }
    let script = workspace().join("tests/independent/credit_standing.py");
    let output = Command::new("python3").arg("-B").arg(script).arg(&file).arg("--settings").arg(settings(CREDIT)).output();
    let output = output.unwrap_or_else(|error| panic!("python3 is missing ({error}): what a standing comes to is computed with it"));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", ledger::printed(&output)));
    let found = echoes.iter().enumerate().flat_map(|(at, echo)| rules(echo, CREDIT).into_iter().map(move |rule| format!("{at} {rule}")));
    let digest = digest(found.collect());
    assert_eq!((&answer["events"], &answer["digest"]), (&json!(echoes.len()), &json!(digest)), "{answer}");
}
