//! What a whole platform does where releases come from a repository that is not what it was:
//! older, with no network around, asking for more, taken back. Attacks on what is signed are
//! in the unit tests of `repository/`, by name.

use std::path::Path;

use ephor_tests::{Ephor, binary, data, event, ledger};
use serde_json::{Value, json};

use crate::publishers::{Both, look, refused, text, words};
use crate::{GOOD, LISTED};

const POLICY: &str = "market-office/negative-list";

/// A platform that looks into the repository at its start and when it is asked to.
fn platform(both: &Both) -> Ephor {
    Ephor::start_in(&both.path("data"), &both.config(3600, "begin = \"enforce\""), &[])
}

/// The release that counts for an event with a listed word.
async fn judge(ephor: &Ephor, id: &str) -> String {
    let answer = ephor.judge([event::listing(id, LISTED)]).await.remove(0);
    event::text(event::findings(&answer, POLICY).next().unwrap_or_else(|| panic!("no finding: {answer}")), "release").to_string()
}

/// What went wrong with the last look at the repository, by its code.
async fn problem(ephor: &Ephor) -> Value {
    ephor.status().await["publishers"][0]["problem"]["code"].clone()
}

fn replace(folder: &Path, by: &Path) {
    std::fs::remove_dir_all(folder).expect("removed");
    ledger::copy(by, folder);
}

/// An older repository is refused, and stays refused over a kill and a restart.
#[tokio::test(flavor = "multi_thread")]
async fn sc_06_an_older_repository_is_refused_after_a_restart_as_well() {
    let both = Both::new();
    both.release(GOOD, "1.0.0", &words(&["CIGAR"]), &[]);
    ledger::copy(&both.path("rules"), &both.path("old"));
    let ephor = platform(&both);
    let first = judge(&ephor, "first").await;
    both.release(GOOD, "1.1.0", &words(&["CIGAR", "WINE"]), &[]);
    look(&ephor).await.expect(200);
    let second = judge(&ephor, "second").await;
    assert_ne!(second, first);
    ledger::copy(&both.path("rules"), &both.path("new"));
    ledger::copy(&both.path("data"), &both.path("backup"));

    replace(&both.path("rules"), &both.path("old"));
    assert_eq!(look(&ephor).await.expect(502).json()["code"], "rollback");
    // Stamped anew it is no newer.
    for _ in 0..3 {
        both.done("refresh-timestamp", &[]);
    }
    assert_eq!(look(&ephor).await.expect(502).json()["code"], "rollback");
    assert_eq!(judge(&ephor, "refused").await, second);
    ephor.kill();
    let ephor = platform(&both);
    assert_eq!(problem(&ephor).await, "rollback");
    assert_eq!(judge(&ephor, "restarted").await, second);
    ephor.kill();

    // What a copy of the data directory knew it knows when it is put back.
    replace(&both.path("data"), &both.path("backup"));
    let _ = std::fs::remove_file(both.path("data").join("lock"));
    let ephor = platform(&both);
    assert_eq!(problem(&ephor).await, "rollback");
    assert_eq!(judge(&ephor, "put back").await, second);
    replace(&both.path("rules"), &both.path("new"));
    look(&ephor).await.expect(200);
    assert_eq!(judge(&ephor, "honest").await, second);
}

/// The repository is a folder, as from a stick: a release is checked and put in force, and
/// nobody is asked for anything on the way.
#[tokio::test(flavor = "multi_thread")]
async fn sc_13_a_release_from_a_folder_takes_effect_without_a_connection() {
    if std::env::var("EPHOR_WITHOUT_STRACE").as_deref() == Ok("1") {
        return data::left_out("that nobody is asked on the way", "EPHOR_WITHOUT_STRACE=1");
    }
    let both = Both::new();
    both.release(GOOD, "1.0.0", &words(&["CIGAR"]), &[]);
    let trace = both.path("trace");
    // Traced by a process beside it, so that what is started is the server itself.
    let strace = ["strace", "-D", "-f", "-qq", "-e", "trace=connect,sendto,sendmsg,sendmmsg", "-e", "signal=none", "-o", text(&trace)];
    let config = both.config(3600, "begin = \"enforce\"");
    let started = Ephor::try_start_through(&strace, &both.path("data"), &config, &[]);
    let ephor = started.unwrap_or_else(|error| {
        panic!("strace starts the server: install Debian's package strace, or set EPHOR_WITHOUT_STRACE=1: {}", error.log)
    });
    judge(&ephor, "judged").await;
    assert!(ephor.stop().success());
    let traced = std::fs::read_to_string(&trace).expect("the trace");
    assert_eq!(traced.lines().find(|line| line.contains("AF_INET")), None, "somebody was asked");
}

/// A policy of the same name that asks for one field more, and cannot do without it.
const WIDER: &str = r#"
name = "negative-list"
version = "0.2.0"
summary = "Finds cigars, and whose they are."
events = ["retail.*"]

[[field]]
name = "description"
pointer = "/data/description"
kind = "text"
optional = true
purpose = "compare with what is listed"

[[field]]
name = "customer"
pointer = "/data/customer"
kind = "text"
purpose = "say whose it is"

[[rule]]
id = "listed"
action = "deny"
severity = "high"
legal_basis = "E-Commerce Law, article 13"
message.en = "Listed."
when = "has(event.description) && event.description.contains('CIGAR')"
"#;

/// A release that asks for more than was granted changes nothing until the platform grants
/// it: the publisher's signature alone does not.
#[tokio::test(flavor = "multi_thread")]
async fn sc_16_a_release_that_asks_for_more_waits_for_the_platform() {
    let both = Both::new();
    both.release(GOOD, "1.0.0", &words(&["CIGAR"]), &[]);
    let ephor = platform(&both);
    let first = judge(&ephor, "first").await;

    let (rules, built) = (both.path("rules.toml"), both.path("built"));
    std::fs::write(&rules, WIDER).expect("written");
    let mut build = std::process::Command::new(binary());
    let output = build.args(["policy", "build", text(&rules), "--out", text(&built)]).output().expect("the binary starts");
    assert!(output.status.success(), "{}", ledger::printed(&output));
    let component = built.join("negative-list.wasm");
    let settings = both.path("none.json");
    std::fs::write(&settings, "{}").expect("written");
    let args = ["--component", text(&component), "--settings", text(&settings), "--version", "1.1.0"];
    both.done("release", &[&args[..], &["--legal-basis", "E-Commerce Law, article 13", "--jurisdiction", "CN"]].concat());
    let looked = look(&ephor).await.expect(200).json();
    let message = event::text(&looked["refused"][0], "message");
    assert!(
        message.contains("was not granted") && message.contains("/data/customer") && !message.contains("/data/description"),
        "{message}"
    );
    assert_eq!((refused(&ephor).await, judge(&ephor, "refused").await), (vec!["grant".to_string()], first.clone()));
    ephor.kill();

    // With the platform's word for it, which is its configuration.
    let config = both.config(3600, "begin = \"enforce\"") + "\"/data/customer\" = \"plain\"\n";
    let ephor = Ephor::start_in(&both.path("data"), &config, &[]);
    assert_ne!(judge(&ephor, "granted").await, first);
    assert!(refused(&ephor).await.is_empty());
}

/// A publisher takes a release back: with the next look it judges nothing any more, also over
/// a restart, and the ledger says so.
#[tokio::test(flavor = "multi_thread")]
async fn sc_20_what_a_publisher_takes_back_is_out_of_force_with_the_next_look() {
    let both = Both::new();
    both.release(GOOD, "1.0.0", &words(&["CIGAR"]), &[]);
    both.release(GOOD, "1.1.0", &words(&["CIGAR", "WINE"]), &[]);
    let ephor = platform(&both);
    let release = judge(&ephor, "before").await;
    both.done("withdraw", &[GOOD, "1.1.0", "--reason", "a word is wrong", "--by", "duty officer"]);
    look(&ephor).await.expect(200);
    let verdict = async |ephor: &Ephor, id: &str| {
        let answer = ephor.judge([event::listing(id, LISTED)]).await.remove(0);
        answer["findings"].as_array().expect("a list").iter().all(|finding| finding["release"] != release)
    };
    assert!(verdict(&ephor, "after").await);
    let entries: Vec<Value> = ephor.entries(1).await.iter().map(|line| ledger::parse(line)).collect();
    let change = entries.iter().map(|entry| &entry["change"]).find(|change| change["what"] == "withdraw").expect("an entry");
    assert_eq!((&change["policy"], &change["release"]), (&json!(POLICY), &json!(release)), "{change}");
    assert_eq!((&change["by"], &change["reason"]), (&json!("market-office: duty officer"), &json!("a word is wrong")), "{change}");
    ephor.kill();
    let ephor = platform(&both);
    assert!(verdict(&ephor, "restarted").await);
}
