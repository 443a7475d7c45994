//! `ledger.durability = "os"`: faster, and said everywhere. The end of the process loses
//! nothing that was answered; what a power cut took is named at the next start. Power cuts
//! themselves, sector by sector, are tested inside of the ledger.

use ephor_tests::book::Book;
use ephor_tests::client::BATCH;
use ephor_tests::ledger::{self, Checkpoint};
use ephor_tests::{Ephor, event};
use serde_json::{Value, json};

use crate::LISTED;
use crate::disk::{SEGMENT, records};

/// Nothing is signed while a test runs, so nothing is synced either.
const LOOSE: &str = "[ledger]\ndurability = \"os\"\ncheckpoint-ms = 3600000";
/// Everything is signed soon.
const SIGNED: &str = "[ledger]\ndurability = \"os\"\ncheckpoint-ms = 20";

/// Sends batches of three events, and notes the answers.
async fn send(ephor: &Ephor, book: &mut Book, batches: std::ops::Range<u64>) {
    for batch in batches {
        let events: Vec<Value> = (0..3).map(|number| event::listing(format!("{batch}-{number}"), LISTED)).collect();
        events.iter().for_each(|event| book.note(event.clone()));
        let answers = ephor.post(BATCH, Value::from(events).to_string()).await.expect(200).json();
        answers.as_array().expect("a batch answers with an array").iter().for_each(|answer| book.take(answer.clone()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_process_loses_nothing_that_it_answered() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut book = Book::default();
    // Three lives, the last of which syncs again.
    for (life, config) in (0..).zip([LOOSE, LOOSE, ""]) {
        let ephor = Ephor::start_in(folder.path(), config, &[]);
        let durability = if config.is_empty() { "sync" } else { "os" };
        let warns = || ephor.log().contains("DURABILITY IS LEFT TO THE OPERATING SYSTEM");
        if durability == "os" {
            ephor.wait_until("the log warns", warns);
        }
        assert_eq!(ephor.get("/readyz").await.expect(200).json(), json!({"ready": true, "durability": durability}));
        assert_eq!(ephor.metric("ephor_ledger_durability", &format!("durability=\"{durability}\"")), 1.0);
        book.assert_recorded(&ephor.entries(1).await);
        send(&ephor, &mut book, life * 20..life * 20 + 20).await;
        // Counted when the answer is given already.
        ephor.wait_until("it is known what may not be on the disk", || {
            let unsettled = ephor.metric("ephor_ledger_unsettled_entries", "");
            if durability == "os" { unsettled >= 60.0 } else { unsettled == 0.0 }
        });
        assert_eq!((warns(), ephor.log().contains("LOST")), (durability == "os", false), "{}", ephor.log());
        book.assert_recorded(&ephor.entries(1).await);
        ephor.kill();
    }
    let ephor = Ephor::start_in(folder.path(), "", &[]);
    let lines = ephor.entries(1).await;
    // Each start but the first is an entry.
    assert_eq!((ledger::events(&lines).len(), lines.len()), (180, 183));
    book.assert_recorded(&lines);
    assert_eq!(ephor.metric("ephor_ledger_lost_bytes", ""), 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_checkpoint_says_so_and_log_verify_reports_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let says = |checkpoint: &Checkpoint| checkpoint.note.lines().nth(3) == Some("ephor durability os");
    let wait = async |ephor: &Ephor| {
        let size = ephor.entries(1).await.len() as u64;
        let covers = || Checkpoint::in_directory(folder.path()).is_some_and(|checkpoint| checkpoint.size == size);
        ephor.wait_until("a checkpoint covers all", covers);
    };
    let ephor = Ephor::start_in(folder.path(), SIGNED, &[]);
    send(&ephor, &mut Book::default(), 0..2).await;
    wait(&ephor).await;
    assert!(says(&ephor.checkpoint().await.expect("signed")), "the served one too");
    ephor.wait_until("what is signed is on the disk", || ephor.metric("ephor_ledger_unsettled_entries", "") == 0.0);
    let verify = |args: &[&str]| {
        let output = std::process::Command::new(ephor_tests::binary()).args(["log", "verify"]).args(args).output().expect("starts");
        assert_eq!(output.status.code(), Some(0), "{}", ledger::printed(&output));
        ledger::printed(&output)
    };
    let data = folder.path().to_str().expect("a path in UTF-8");
    for source in [data, &ephor.url("")] {
        let printed = verify(&[source]);
        assert!(printed.contains("durability") && printed.contains("os, in "), "{printed}");
        let report: Value = serde_json::from_str(&verify(&[source, "--json"])).expect("JSON");
        assert_eq!(report["durability"], "os", "{report}");
    }
    assert!(ephor.stop().success());

    // It is a matter of each process; what was signed before stays as it was.
    let ephor = Ephor::start_in(folder.path(), "[ledger]\ncheckpoint-ms = 20", &[]);
    send(&ephor, &mut Book::default(), 2..3).await;
    wait(&ephor).await;
    assert!(!says(&Checkpoint::in_directory(folder.path()).expect("signed")));
    let report: Value = serde_json::from_str(&verify(&[data, "--json"])).expect("JSON");
    assert_eq!(report["durability"], "os", "some of it: {report}");
    for (some, all) in [("unsynced_records", "records"), ("unsynced_checkpoints", "checkpoints")] {
        assert!((1..report[all].as_u64().expect("a number")).contains(&report[some].as_u64().expect("a number")), "{report}");
    }
}

/// What a power cut leaves: a hole in a record, and whole ones behind it.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_power_cut_took_is_named_and_can_be_sent_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut book = Book::default();
    let ephor = Ephor::start_in(folder.path(), LOOSE, &[]);
    send(&ephor, &mut book, 0..5).await;
    let lines = ephor.entries(1).await;
    ephor.kill();
    let segment = folder.path().join(SEGMENT);
    let mut bytes = std::fs::read(&segment).expect("the first segment");
    let hole = records(&bytes).iter().nth_back(2).expect("five batches").clone();
    let (length, kept) = (bytes.len(), (hole.first - 1) as usize);
    bytes[hole.bytes.start + 10..hole.bytes.end - 10].fill(0);
    std::fs::write(&segment, bytes).expect("the first segment");

    let verified = ledger::verify(folder.path());
    let printed = ledger::printed(&verified);
    assert_eq!(verified.status.code(), Some(5), "{printed}");
    assert!(printed.contains("durability \"os\"") && printed.contains(SEGMENT), "{printed}");
    let ephor = Ephor::start_in(folder.path(), LOOSE, &[]);
    let lost = length - hole.bytes.start;
    ephor.wait_until("the log names what is lost", || {
        let says = [SEGMENT, "LOST", "durability", &format!("byte {}", hole.bytes.start), &format!("{lost} bytes")];
        ephor.log().lines().any(|line| line.contains("ERROR") && says.iter().all(|says| line.contains(says)))
    });
    assert_eq!(ephor.metric("ephor_ledger_lost_bytes", ""), lost as f64);
    let left = ephor.entries(1).await;
    assert_eq!((&left[..kept], ledger::subjects(&left[kept..])), (&lines[..kept], vec!["start"]));
    // Who sends again gets a verdict again; what was kept is known.
    let sent: Vec<Value> = book.all().map(|sent| sent.event.clone()).collect();
    let answers = ephor.judge(sent).await;
    let known: Vec<u64> = answers.iter().filter(|answer| answer["duplicate"] == true).map(event::sequence).collect();
    assert!(known.len() == 6 && known.iter().all(|sequence| *sequence <= kept as u64), "{known:?} of {kept}");
    let entries = ephor.entries(1).await;
    ledger::assert_dense(&entries, 1);
    assert_eq!((ledger::events(&entries).len(), entries.len()), (15, 16));
    assert!(ephor.stop().success());
    assert_eq!(ledger::verify(folder.path()).status.code(), Some(0));
}
