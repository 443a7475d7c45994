//! What is kept of events: given out as they were sent, gone for good when they are
//! erased, with the ledger as the witness of both.

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use ephor_tests::book::Book;
use ephor_tests::client::{Answer, BATCH, EVENT, LINES};
use ephor_tests::random::Random;
use ephor_tests::{Ephor, binary, event, ledger, policy, settings, target_dir};
use http_body_util::Full;
use hyper::Request;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::{GOOD, LISTED};

const FULL: &str = "[ledger]\nevents = \"full\"\n";

/// An invoice line of a customer, who is also its subject.
fn line(id: u64, customer: &str) -> Value {
    let mut event = event::listing(id, LISTED);
    event["subject"] = json!(customer);
    event["data"]["customer"] = json!(customer);
    event
}

async fn kept(ephor: &Ephor, sequence: u64) -> Answer {
    ephor.get(&format!("/v1/events/{sequence}")).await
}

async fn erase(ephor: &Ephor, what: Value) -> Answer {
    ephor.act("/v1/erasures", what.to_string()).await
}

/// Which of these sequences have their content, lost it to an erasure, or never had it.
async fn standing(ephor: &Ephor, sequences: std::ops::RangeInclusive<u64>) -> String {
    let mut letters = String::new();
    for sequence in sequences {
        let answer = kept(ephor, sequence).await;
        letters.push(match answer.status.as_u16() {
            200 => '+',
            410 => 'x',
            404 => '-',
            other => panic!("{other}: {}", answer.text()),
        });
    }
    letters
}

#[track_caller]
fn assert_verifies(data: &Path, says: &str) {
    let output = ledger::verify(data);
    let printed = ledger::printed(&output);
    assert!(output.status.success() && printed.contains(says), "{says:?} in {printed}");
}

fn command(args: &[&str]) -> Output {
    Command::new(binary()).args(args).output().expect("the binary starts")
}

#[tokio::test(flavor = "multi_thread")]
async fn pv_05_events_are_given_out_as_they_were_sent_with_what_proves_what_was_seen() {
    let folder = tempfile::tempdir().expect("a folder");
    let ephor = Ephor::start_in(folder.path(), FULL, &[]);
    ephor.put(GOOD, &policy(GOOD), &settings(GOOD)).await.succeeded();
    let single = event::listing("é", LISTED).to_string().replace("\"id\":", "\"id\" : ");
    ephor.post(EVENT, format!(" {single}\n")).await.succeeded();
    let batch = [event::listing(2, "LANTERN"), event::listing(3, LISTED)];
    ephor.post(BATCH, Value::from(batch.to_vec()).to_string()).await.succeeded();
    ephor.post(LINES, event::listing(4, LISTED).to_string()).await.succeeded();
    let headers = [
        ("ce-specversion", "1.0"),
        ("ce-id", "caf%C3%A9"),
        ("ce-source", "/s"),
        ("ce-type", "t"),
        ("ce-subject", "a%20b"),
        ("ce-region", "eu"),
    ];
    let body = b"\xff not JSON, nor UTF-8".as_slice();
    ephor.post_with("text/plain", &headers, body).await.succeeded();
    // What was sent again is kept once, under its sequence.
    let again = ephor.post(EVENT, single.clone()).await.expect(200).json();

    // Before them stand what is kept, and the policy.
    let entries = ephor.entries(1).await;
    assert_eq!(ledger::subjects(&entries), ["keep", "change", "event", "event", "event", "event", "event"]);
    assert_eq!(ledger::parse(&entries[0])["keep"]["events"], "full");
    assert_eq!((event::sequence(&again), &again["duplicate"]), (3, &json!(true)));
    let structured = [single, batch[0].to_string(), batch[1].to_string(), event::listing(4, LISTED).to_string()];
    for (sequence, sent) in (3..).zip(&structured) {
        let given = kept(&ephor, sequence).await.expect(200);
        assert_eq!((given.text(), given.header("content-type")), (sent.clone(), EVENT));
        let entry = ledger::parse(&entries[sequence as usize - 1]);
        assert_eq!(entry["digest"], hex(&Sha256::digest(sent)));
    }
    let given = kept(&ephor, 7).await.expect(200);
    assert_eq!((&given.body[..], given.header("content-type"), given.header("cache-control")), (body, "text/plain", "no-store"));
    for (name, value) in headers {
        assert_eq!(given.header(name), value, "{name}");
    }

    // The commitment in the entry is over the salt and what the policy was given.
    let given = kept(&ephor, 3).await.expect(200);
    let salt = given.header("ephor-salt").to_string();
    let fields = ephor.get("/v1/releases").await.expect(200).json()["releases"][0]["fields"].clone();
    let mut seen: Vec<u8> = (0..64).step_by(2).map(|at| u8::from_str_radix(&salt[at..at + 2], 16).expect("hexadecimal")).collect();
    for field in fields.as_array().expect("a list") {
        match given.json().pointer(event::text(field, "pointer")) {
            Some(Value::String(text)) => seen.extend([&b"t"[..], &(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()),
            None => seen.push(b'-'),
            Some(other) => panic!("a value of another type: {other}"),
        }
    }
    assert_eq!(ledger::parse(&entries[2])["asked"][0]["columns"], hex(&Sha256::digest(seen)), "{fields}");
    assert_ne!(salt, kept(&ephor, 4).await.expect(200).header("ephor-salt"), "each event has its own");

    // The command line gives out the same.
    let got = command(&["events", "get", "7", "--at", &ephor.url("")]);
    let said = String::from_utf8_lossy(&got.stderr).into_owned();
    assert!(got.status.success() && got.stdout == body && said.contains("ce-subject: a%20b") && said.contains("ephor-salt: "), "{said}");
    let other = command(&["events", "get", "2", "--at", &ephor.url("")]);
    let said = String::from_utf8_lossy(&other.stderr).into_owned();
    assert!(other.status.code() == Some(3) && said.contains("about a change, not about an event"), "{said}");

    for (path, status, kind) in [("0", 404, "not-found"), ("2", 404, "not-found"), ("99", 404, "not-found")] {
        let answer = ephor.get(&format!("/v1/events/{path}")).await.expect(status).json();
        assert_eq!(answer["type"], format!("urn:ephor:problem:{kind}"), "{answer}");
    }
    // Whoever sent it could have sent a page with a script.
    let headers = kept(&ephor, 7).await.expect(200);
    let safe = ["content-security-policy", "x-content-type-options", "content-disposition"].map(|name| headers.header(name).to_string());
    assert_eq!(safe, ["sandbox; default-src 'none'", "nosniff", "attachment"]);
    // A page that has its own name resolve to this machine gets nothing.
    let request = Request::get(ephor.url("/v1/events/3")).header("host", "evil.example");
    let foreign = ephor.request(request.body(Full::default()).expect("a request")).await.expect(403).json();
    assert_eq!(foreign["type"], "urn:ephor:problem:foreign-host");
    assert!(ephor.stop().success());
    assert_verifies(folder.path(), "content of 5 events kept, of 0 erased");
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn pv_06_what_is_erased_is_gone_and_what_proves_it_stays() {
    let folder = tempfile::tempdir().expect("a folder");
    let start = || Ephor::start_in(folder.path(), FULL, &[]);
    let ephor = start();
    let sent: Vec<Value> = (2..10).map(|id| line(id, if id % 2 == 0 { "anna" } else { "bert" })).collect();
    ephor.judge(sent.clone()).await;
    assert_eq!(standing(&ephor, 2..=9).await, "++++++++");
    let before = ephor.entries(1).await;

    let erased = erase(&ephor, json!({"subject": "anna", "by": "privacy office", "reason": "asked for"})).await.expect(200).json();
    assert_eq!(erased, json!({"sequence": 10, "events": 4}));
    assert_eq!(standing(&ephor, 2..=9).await, "x+x+x+x+");
    let gone = kept(&ephor, 2).await.expect(410).json();
    assert_eq!((&gone["type"], &gone["erasure"]), (&json!("urn:ephor:problem:erased"), &json!(10)), "{gone}");
    // What comes later about the same subject is kept, until that is erased as well.
    ephor.judge([line(11, "anna"), line(12, "bert")]).await;
    assert_eq!(standing(&ephor, 11..=12).await, "++");
    let one = erase(&ephor, json!({"source": sent[1]["source"], "id": "3", "by": "privacy office"})).await.expect(200).json();
    assert_eq!(one, json!({"sequence": 13, "events": 1}));
    let nothing = command(&["events", "erase", "--subject", "nobody", "--by", "privacy office", "--at", &ephor.url("")]);
    let said = String::from_utf8_lossy(&nothing.stdout).into_owned();
    assert!(nothing.status.success() && said.contains("of 0 events is gone, which entry 14 says"), "{said}");

    // Entries are as they were; the verdict of a repeated event is the recorded one, and
    // brings nothing back.
    assert_eq!(ephor.entries(1).await[..9], before);
    let again = ephor.judge([sent[0].clone()]).await.remove(0);
    assert_eq!((event::sequence(&again), &again["duplicate"]), (2, &json!(true)));
    let of_anna = ephor.get("/v1/verdicts?subject=anna").await.expect(200).lines();
    assert_eq!(of_anna.iter().map(event::sequence).collect::<Vec<_>>(), [2, 4, 6, 8, 10, 11]);
    let rest = "xxx+x+x+.++";
    assert_eq!(standing(&ephor, 2..=9).await + "." + &standing(&ephor, 11..=12).await, rest);
    ephor.kill();
    let ephor = start();
    assert_eq!(standing(&ephor, 2..=9).await + "." + &standing(&ephor, 11..=12).await, rest);

    for (what, says) in [
        (json!({"by": "x"}), "which events is not clear"),
        (json!({"source": "/s", "by": "x"}), "which events is not clear"),
        (json!({"id": "3", "by": "x"}), "which events is not clear"),
        (json!({"subject": "", "by": "x"}), "which events is not clear"),
        (json!({"subject": "anna"}), "who does this"),
        (json!({"subject": "a\nb", "by": "x"}), "which events is not clear"),
        (json!({"subject": "anna", "by": "x", "all": true}), "unknown field"),
    ] {
        let refused = erase(&ephor, what.clone()).await.expect(400).text().to_lowercase();
        assert!(refused.contains(says), "{what}: {refused}");
    }
    // As any page can have a browser send it.
    let request = Request::post(ephor.url("/v1/erasures")).header("content-type", "text/plain");
    let body = json!({"subject": "bert", "by": "x"}).to_string();
    let refused = ephor.request(request.body(Full::new(body.into())).expect("a request")).await.expect(415).json();
    assert_eq!(refused["type"], "urn:ephor:problem:act-media-type");
    assert_eq!(ledger::subjects(&ephor.entries(14).await), ["erasure", "start"], "nothing was recorded");
    assert!(ephor.stop().success());
    assert_verifies(folder.path(), "content of 5 events kept, of 5 erased");
    let export = folder.path().with_extension("parquet");
    let exported = command(&[
        "log",
        "export",
        folder.path().to_str().expect("a path"),
        "--format",
        "parquet",
        "--out",
        export.to_str().expect("a path"),
    ]);
    assert!(exported.status.success(), "{}", String::from_utf8_lossy(&exported.stderr));
    std::fs::remove_file(export).expect("removed");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_is_what_the_configuration_said_at_the_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut sequence = 1;
    let mut all = String::new();
    for (life, config) in ["", FULL, "[ledger]\nevents = { days = 30 }\n", "", FULL].into_iter().enumerate() {
        let ephor = Ephor::start_in(folder.path(), config, &[]);
        if life == 0 {
            let refused = erase(&ephor, json!({"subject": "anna", "by": "x"})).await.expect(404).json();
            assert_eq!(refused["type"], "urn:ephor:problem:not-kept");
        }
        let answer = ephor.judge([line(life as u64, "anna")]).await.remove(0);
        let entries = ephor.entries(sequence).await;
        let expected: &[&str] = if life == 0 { &["event"] } else { &["start", "keep", "event"] };
        assert_eq!(ledger::subjects(&entries), expected, "life {life}");
        sequence += entries.len() as u64;
        all = standing(&ephor, 1..=event::sequence(&answer)).await;
        assert!(ephor.stop().success());
    }
    // Of what is no event there is nothing either.
    assert_eq!(all, "---+--+-----+".to_string());
    assert_verifies(folder.path(), "content of 3 events kept, of 0 erased");

    // Content that is gone without an entry is missed, by the check and by a start.
    std::fs::remove_dir_all(folder.path().join("events")).expect("removed");
    let output = ledger::verify(folder.path());
    let printed = ledger::printed(&output);
    assert!(output.status.code() == Some(6) && printed.contains("is missing"), "{printed}");
    let data = folder.path().to_str().expect("a path");
    assert!(command(&["log", "verify", "--without-events", data]).status.success());
    let refused = Ephor::try_start_in(folder.path(), FULL, &[]).err().expect("refused").log;
    assert!(refused.contains("is to be kept") && refused.contains("from a copy"), "{refused}");
    for bad in ["\"all\"", "{ days = 0 }", "{ days = 40000 }", "{ weeks = 1 }", "30"] {
        let other = tempfile::tempdir().expect("a folder");
        let refused = Ephor::try_start_in(other.path(), &format!("[ledger]\nevents = {bad}\n"), &[]).err().expect(bad).log;
        assert!(refused.contains("events") || refused.contains("days"), "{bad}: {refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_is_checked_against_what_it_has_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let (data, policies) = (folder.path().join("data"), folder.path().join("policies"));
    std::fs::create_dir(&policies).expect("a folder");
    ephor_tests::write_policy(&policies, GOOD, Some(&policy(GOOD)), Some(&settings(GOOD)));
    let ephor = Ephor::start_in(&data, FULL, &[]);
    ephor.put(GOOD, &policy(GOOD), &settings(GOOD)).await.succeeded();
    let lines = ephor_tests::data::sample(ephor_tests::data::Set::Retail);
    ephor.post(LINES, lines.join("\n")).await.succeeded();
    let headers = [("ce-specversion", "1.0"), ("ce-id", "b"), ("ce-source", "/s"), ("ce-type", "t"), ("ce-subject", "anna")];
    ephor.post_with("application/json", &headers, b" {\"description\":\"x\"}".as_slice()).await.succeeded();
    assert!(ephor.stop().success());
    let replay = |args: &[&str]| {
        let mut command = Command::new(binary());
        command.arg("replay").arg("--from-data").arg(&data).arg("--policies").arg(&policies).args(args);
        command.arg("--cache").arg(target_dir().join("it-cache")).output().expect("the binary starts")
    };
    let recorded = data.to_str().expect("a path").to_string();
    let copy = folder.path().join("copy");
    let checked = replay(&["--check", &recorded, "--data", copy.to_str().expect("a path"), "--json"]);
    let report: Value = serde_json::from_slice(&checked.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&checked.stderr)));
    assert_eq!((&report["all_equal"], &report["entries"]["equal"], &report["erased"]), (&json!(true), &json!(lines.len() + 3), &json!(0)));
    // The copy says the same of keeping, and keeps nothing: that is said of the other.
    assert_verifies(&copy, "entries");
    assert!(!copy.join("events").exists());

    let ephor = Ephor::start_in(&data, FULL, &[]);
    let erased = erase(&ephor, json!({"subject": "anna", "by": "privacy office"})).await.expect(200).json();
    assert_eq!(erased["events"], 1);
    assert!(ephor.stop().success());
    let checked = replay(&["--check", &recorded]);
    let said = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert!(checked.status.code() == Some(3) && said.contains("content of some events was erased"), "{said}");
    let plain = replay(&["--json"]);
    let report: Value = serde_json::from_slice(&plain.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&plain.stderr)));
    assert_eq!((&report["erased"], &report["rejected"]), (&json!(1), &json!(0)), "{report}");
    let other = tempfile::tempdir().expect("a folder");
    let refused = command(&["replay", "--from-data", other.path().to_str().expect("a path"), "--policies", "x"]);
    assert_eq!(refused.status.code(), Some(2), "{}", String::from_utf8_lossy(&refused.stderr));
}

/// The check reads files that are written anew and removed meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_check_beside_a_server_that_erases_finds_no_damage() {
    let folder = tempfile::tempdir().expect("a folder");
    let ephor = Ephor::start_in(folder.path(), FULL, &[]);
    let mut id = 0;
    let going = async {
        loop {
            let events: Vec<Value> = (0..40)
                .map(|_| {
                    id += 1;
                    line(id, ["anna", "bert", "cyd"][id as usize % 3])
                })
                .collect();
            ephor.judge(events).await;
            erase(&ephor, json!({"subject": "anna", "by": "privacy office"})).await.expect(200);
        }
    };
    let checking = async {
        for _ in 0..8 {
            let data = folder.path().to_path_buf();
            let output = tokio::task::spawn_blocking(move || ledger::verify(&data)).await.expect("a check");
            let printed = ledger::printed(&output);
            assert!(matches!(output.status.code(), Some(0 | 5)), "{printed}");
        }
    };
    tokio::select! {
        _ = going => {}
        () = checking => {}
    }
    assert!(ephor.stop().success());
    assert_verifies(folder.path(), "content of ");
}

/// Killed at moments that nobody chose, while events come and some are erased.
#[tokio::test(flavor = "multi_thread")]
async fn pv_06_no_content_is_lost_or_comes_back_after_kill_9() {
    let mut random = Random::from_env("EPHOR_KILL_RAW_SEED");
    let folder = tempfile::tempdir().expect("a folder");
    let config = "[ledger]\nevents = \"full\"\ncheckpoint-ms = 20\n";
    let mut book = Book::default();
    let mut next = 0;
    for round in 0..8 {
        let ephor = Ephor::start_in(folder.path(), config, &[]);
        let remote = ephor.remote();
        let until = Duration::from_millis(20 + random.below(200));
        let mut took = Vec::new();
        let sending = async {
            loop {
                let events: Vec<Value> = (0..random.below(30) + 1)
                    .map(|_| {
                        next += 1;
                        line(next, ["anna", "bert", "cyd"][next as usize % 3])
                    })
                    .collect();
                events.iter().for_each(|event| book.note(event.clone()));
                let Some(answer) = remote.post(BATCH, Value::from(events).to_string()).await else { return };
                took.extend(answer.json().as_array().cloned().unwrap_or_default());
            }
        };
        let erasing = async {
            loop {
                tokio::time::sleep(Duration::from_millis(7)).await;
                let subject = ["anna", "bert"][round % 2];
                let what = json!({"subject": subject, "by": "privacy office"});
                erase(&ephor, what).await;
            }
        };
        tokio::select! {
            () = sending => {}
            _ = erasing => {}
            () = tokio::time::sleep(until) => {}
        }
        ephor.kill();
        took.into_iter().for_each(|answer| book.take(answer));
        let report = ledger::printed(&ledger::verify(folder.path()));
        assert!(!report.contains("evidence:"), "round {round}: {report}");
    }
    let ephor = Ephor::start_in(folder.path(), config, &[]);
    let entries: Vec<Value> = ephor.entries(1).await.iter().map(|line| ledger::parse(line)).collect();
    let erasures: Vec<(u64, String)> = entries
        .iter()
        .filter_map(|entry| Some((event::sequence(entry), event::text(entry.get("erasure")?, "subject").to_string())))
        .collect();
    assert!(!erasures.is_empty());
    let mut looked = 0;
    for entry in entries.iter().filter(|entry| ledger::subject(entry) == "event") {
        let sequence = event::sequence(entry);
        let is_erased = erasures.iter().any(|(of, subject)| *of > sequence && subject == event::text(entry, "subject"));
        // All would take long; those around a change of mind are among every tenth.
        if is_erased || sequence.is_multiple_of(10) {
            let expected = if is_erased { 410 } else { 200 };
            let answer = kept(&ephor, sequence).await.expect(expected);
            if expected == 200 {
                assert_eq!(hex(&Sha256::digest(&answer.body)), event::text(entry, "digest"));
            }
            looked += 1;
            if looked > 400 {
                break;
            }
        }
    }
    for sent in book.answered() {
        let answer = sent.answer.as_ref().expect("answered");
        let entry = &entries[event::sequence(answer) as usize - 1];
        assert_eq!(ledger::answer(entry), *answer, "what was answered is what is recorded");
    }
    assert!(ephor.stop().success());
    assert_verifies(folder.path(), "content of ");
}
