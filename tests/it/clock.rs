//! The clock of a platform is moved, while it judges and over a restart: what is in force
//! judges on, says how stale it is, and what has expired does not come back to life.
//!
//! It is the clock of the server alone, by way of libfaketime. Debian's package comes with
//! `.ci/run`; `EPHOR_SKIP_CLOCK=1` leaves these tests out, and says so.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;

use ephor_tests::{Ephor, Refused, binary, data, event, ledger, raw};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::publishers::{Both, look, refused, text, words};
use crate::replay::{assert_equal, ephor_replay};
use crate::{GOOD, LISTED};

/// Of the two that there are the one for programs with threads: it lets one at a time read
/// where the clock stands.
const LIBRARY: &str = "faketime/libfaketimeMT.so.1";

/// Seconds of a day, and of an hour, which no test lasts.
const DAY: u64 = 86_400;
const HOUR: u64 = 3_600;

fn is_left_out() -> bool {
    let left_out = std::env::var("EPHOR_SKIP_CLOCK").as_deref() == Ok("1");
    if left_out {
        data::left_out("a clock that is moved", "EPHOR_SKIP_CLOCK=1");
    }
    left_out
}

/// Where libfaketime is: Debian has a folder of libraries for each architecture.
fn library() -> PathBuf {
    let of_this_machine = |folder: &PathBuf| {
        let name = folder.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.starts_with(std::env::consts::ARCH))
    };
    let folders = std::fs::read_dir("/usr/lib").into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let folders = folders.filter(of_this_machine).chain(["/usr/lib", "/usr/local/lib"].map(PathBuf::from));
    let found = folders.map(|folder| folder.join(LIBRARY)).find(|file| file.is_file());
    found.expect("libfaketime is found: install Debian's package faketime, or set EPHOR_SKIP_CLOCK=1")
}

/// The clock of a platform. It goes as the machine's does, ahead of it or behind it.
struct Clock {
    library: PathBuf,
    folder: TempDir,
}

impl Clock {
    /// It stands where the machine's does.
    fn new() -> Clock {
        let clock = Clock { library: library(), folder: tempfile::tempdir().expect("a folder") };
        clock.moves_to("+0");
        clock
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("clock")
    }

    /// Moves it: `+1d` is a day ahead of the machine's.
    fn moves_to(&self, offset: &str) {
        // In one step, for it is read at any moment.
        let draft = self.folder.path().join("draft");
        std::fs::write(&draft, format!("{offset}\n")).expect("written");
        std::fs::rename(&draft, self.file()).expect("the file gets its name");
    }

    /// A platform of this configuration that has this clock.
    fn platform(&self, data: &Path, config: &str) -> Ephor {
        let (library, file) = (format!("LD_PRELOAD={}", text(&self.library)), format!("FAKETIME_TIMESTAMP_FILE={}", text(&self.file())));
        // The file is read whenever somebody looks at the clock. Timers go on as they do
        // where a clock is set, and files have the times that they have.
        let settings = ["FAKETIME_NO_CACHE=1", "FAKETIME_DONT_FAKE_MONOTONIC=1", "NO_FAKE_STAT=1"];
        let through = [&["env", library.as_str(), file.as_str()][..], &settings].concat();
        let started = Ephor::try_start_through(&through, data, config, &[]);
        started.unwrap_or_else(|Refused { status, log }| panic!("{status}\n{log}"))
    }
}

/// An event that does not say when it happened: it does when it arrives.
fn arriving(id: &str) -> Value {
    let mut event = event::listing(id, LISTED);
    event.as_object_mut().expect("an event is an object").remove("time");
    event
}

/// Has an event judged, and gives its entry.
async fn judge(ephor: &Ephor, event: Value) -> Value {
    let answer = ephor.judge([event]).await.remove(0);
    ephor.event_entries(event::sequence(&answer)).await.remove(0)
}

/// What an entry says: the verdict, by which release, and whether that was stale.
fn said(entry: &Value) -> (&str, &str, bool) {
    let asked = &entry["asked"][0];
    (event::text(entry, "verdict"), event::text(asked, "release"), asked["stale"] == true)
}

fn is_stale(ephor: &Ephor) -> bool {
    raw::get(ephor.address(), "/v1/releases").json()["releases"][0]["stale"] == true
}

/// Why a look into the repository fails, by code.
async fn problem(ephor: &Ephor) -> String {
    event::text(&look(ephor).await.expect(502).json(), "code").to_string()
}

/// Holds what a server says of its publisher against since when that is stale and for how
/// many seconds, wherever it says so.
async fn assert_stale(ephor: &Ephor, expires: &Value, seconds: Range<u64>) {
    let status = ephor.status().await;
    let publisher = &status["publishers"][0];
    assert_eq!((&status["releases"][0]["stale"], &publisher["expires"]), (&json!(true), expires), "since when: {status}");
    let stale = publisher["stale_s"].as_u64().expect("seconds");
    assert!(seconds.contains(&stale), "for how long: {publisher}");
    assert!(publisher["problem"]["message"].is_string(), "and why: {publisher}");
    assert_eq!(ephor.metric("ephor_publisher_stale", ""), 1.0);
    let shown = ledger::printed(&Command::new(binary()).args(["status", "--at", &ephor.url("")]).output().expect("the binary starts"));
    for part in ["enforce (stale)", "(STALE for "] {
        assert!(shown.contains(part), "{part:?} in {shown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn op_04_a_moved_clock_and_a_repository_that_is_away_leave_what_is_in_force() {
    if is_left_out() {
        return;
    }
    let (both, clock) = (Both::with(&["--timestamp-days", "1"]), Clock::new());
    both.release(GOOD, "1.0.0", &words(&["CIGAR"]), &[]);
    let (data, config) = (both.path("data"), both.config(1, "begin = \"enforce\""));
    let ephor = clock.platform(&data, &config);
    let fresh = judge(&ephor, arriving("fresh")).await;
    let (verdict, release, stale) = said(&fresh);
    assert_eq!((verdict, stale), ("deny", false), "{fresh}");
    let publisher = ephor.status().await["publishers"][0].clone();
    assert_eq!((&publisher["stale_s"], &publisher["problem"]), (&json!(0), &Value::Null), "{publisher}");
    assert_eq!(ephor.metric("ephor_publisher_stale", ""), 0.0);
    let expires = &publisher["expires"];
    assert!(expires.is_string(), "{publisher}");
    // From here on, whatever happens.
    let stale = ("deny", release, true);

    // The timestamp holds for a day, and the platform sees by itself that it is over.
    clock.moves_to("+1d");
    ephor.wait_until("what is in force is stale", || is_stale(&ephor));
    let ahead = judge(&ephor, arriving("ahead")).await;
    assert_eq!(said(&ahead), stale, "{ahead}");
    assert_eq!(ephor.metric("ephor_policy_blind_answers_total", "cause=\"stale\""), 1.0);
    assert_stale(&ephor, expires, 1..HOUR).await;
    assert_eq!(problem(&ephor).await, "expired");
    assert!(ephor.stop().success());

    // While it is down another day goes by, and the repository goes away.
    both.take_away();
    clock.moves_to("+2d");
    let ephor = clock.platform(&data, &config);
    assert_eq!(problem(&ephor).await, "unreachable");
    let alone = judge(&ephor, arriving("alone")).await;
    assert_eq!(said(&alone), stale, "{alone}");
    assert_stale(&ephor, expires, DAY..DAY + HOUR).await;
    // Of a source that is wrong about the century a day beyond its arrival is believed.
    let mut of_2099 = event::listing("2099", LISTED);
    of_2099["time"] = "2099-01-01T00:00:00Z".into();
    let century = judge(&ephor, of_2099.clone()).await;
    assert_eq!(said(&century), stale, "{century}");

    // Behind where it began: by this clock the timestamp holds, but it was seen to be over.
    clock.moves_to("-1d");
    assert_eq!(problem(&ephor).await, "unreachable");
    let back = judge(&ephor, arriving("back")).await;
    assert_eq!(said(&back), stale, "{back}");
    assert_eq!((&fresh["late"], &back["late"]), (&Value::Null, &json!(true)), "behind the watermark, and taken: {back}");
    assert_stale(&ephor, expires, DAY..DAY + HOUR).await;
    // Nor does it hold for who starts with such a clock, without the repository or with it.
    assert!(ephor.stop().success());
    let ephor = clock.platform(&data, &config);
    assert_eq!(problem(&ephor).await, "unreachable");
    let restarted = judge(&ephor, arriving("restarted")).await;
    assert_eq!(said(&restarted), stale, "{restarted}");
    assert_stale(&ephor, expires, DAY..DAY + HOUR).await;
    both.bring_back();
    assert_eq!(problem(&ephor).await, "expired");
    let there = judge(&ephor, arriving("there")).await;
    assert_eq!(said(&there), stale, "{there}");
    assert_stale(&ephor, expires, DAY..DAY + HOUR).await;

    // The order of the entries is that in which they were made; their times are those of
    // the clock as it stood.
    let lines = ephor.entries(1).await;
    ledger::assert_dense(&lines, 1);
    let times = [&back, &fresh, &ahead, &alone].map(|entry| event::text(entry, "arrived"));
    assert!(times.is_sorted(), "{times:?}");
    let changes: Vec<Value> = lines.iter().filter_map(|line| ledger::parse(line).get("change").cloned()).collect();
    let what: Vec<&str> = changes.iter().map(|change| event::text(change, "what")).collect();
    assert_eq!(what, ["install", "stale"], "it became stale once, and was never renewed: {changes:?}");
    assert!(ephor.stop().success());
    let verified = ledger::verify(&data);
    assert!(verified.status.success(), "{}", ledger::printed(&verified));
    // Nothing that was said depends on where the clock stands now.
    let (events, file) = (both.path("events.ndjson"), both.path("platform.toml"));
    let archive = ["fresh", "ahead", "alone"].map(arriving).into_iter().chain([of_2099]);
    let archive = archive.chain(["back", "restarted", "there"].map(arriving));
    std::fs::write(&events, event::ndjson(archive)).expect("written");
    std::fs::write(&file, &config).expect("written");
    let replayed = ephor_replay(&["--events", text(&events), "--check", text(&data), "--config", text(&file), "--json"]);
    assert_equal(&replayed, lines.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_asked_while_it_is_stale_is_asked_again_when_it_is_renewed_and_not_before() {
    if is_left_out() {
        return;
    }
    let (both, clock) = (Both::with(&["--timestamp-days", "1"]), Clock::new());
    both.release(GOOD, "1.0.0", &words(&["CIGAR"]), &[]);
    let (data, config) = (both.path("data"), both.config(1, "begin = \"enforce\"\nwhen-stale = \"stop\""));
    let ephor = clock.platform(&data, &config);
    let fresh = judge(&ephor, arriving("fresh")).await;
    let (verdict, release, stale) = said(&fresh);
    assert_eq!((verdict, stale), ("deny", false), "{fresh}");

    let assert_stopped = |entry: Value| {
        assert_eq!(said(&entry), ("undetermined", release, true), "{entry}");
        assert_eq!((&entry["handling"], &entry["asked"][0]["fault"]["kind"]), (&json!("hold"), &json!("stale")), "{entry}");
    };
    clock.moves_to("+1d");
    ephor.wait_until("what is in force is stale", || is_stale(&ephor));
    assert_stopped(judge(&ephor, arriving("ahead")).await);
    // By the right clock the timestamp holds, but it was seen to be over; a restart does not
    // forget that.
    clock.moves_to("+0");
    assert_eq!(problem(&ephor).await, "expired");
    assert_stopped(judge(&ephor, arriving("back")).await);
    assert!(ephor.stop().success());
    both.take_away();
    let ephor = clock.platform(&data, &config);
    assert_eq!(problem(&ephor).await, "unreachable");
    assert_stopped(judge(&ephor, arriving("restarted")).await);
    both.bring_back();
    assert_eq!(problem(&ephor).await, "expired");
    assert_stopped(judge(&ephor, arriving("there")).await);
    // Signed anew since, it holds also by the latest time that was seen.
    both.done("refresh-timestamp", &[]);
    look(&ephor).await.expect(200);
    let renewed = judge(&ephor, arriving("renewed")).await;
    assert_eq!(said(&renewed), ("deny", release, false), "{renewed}");
    assert_eq!(ephor.metric("ephor_publisher_stale", ""), 0.0);
    assert!(ephor.stop().success());
    let verified = ledger::verify(&data);
    assert!(verified.status.success(), "{}", ledger::printed(&verified));
}

/// To a clock that is ahead, what was published just now seems to be backdated.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_published_while_the_clock_was_ahead_is_taken_when_it_is_right_again() {
    if is_left_out() {
        return;
    }
    let (both, clock) = (Both::new(), Clock::new());
    both.release(GOOD, "1.0.0", &words(&["CIGAR"]), &[]);
    let ephor = clock.platform(&both.path("data"), &both.config(3600, "begin = \"enforce\""));
    let first = judge(&ephor, arriving("first")).await;
    clock.moves_to("+1d");
    look(&ephor).await.expect(200);
    both.release(GOOD, "1.1.0", &words(&["CIGAR", "WINE"]), &[]);
    // By this clock it says that it is a day old, and was not there just now.
    let looked = look(&ephor).await.expect(200).json();
    assert_eq!(looked["refused"][0]["code"], "backdated", "{looked}");
    clock.moves_to("+2d");
    let looked = look(&ephor).await.expect(200).json();
    assert_eq!((&looked["refused"], refused(&ephor).await), (&json!([]), vec!["backdated".to_string()]), "it is said once: {looked}");
    clock.moves_to("+0");
    look(&ephor).await.expect(200);
    let second = judge(&ephor, arriving("second")).await;
    let refused = refused(&ephor).await;
    assert!(refused.is_empty(), "{refused:?}");
    assert_ne!(said(&second).1, said(&first).1, "{second}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_its_time_does_not_become_backdated() {
    if is_left_out() {
        return;
    }
    let (both, clock) = (Both::new(), Clock::new());
    both.release(GOOD, "1.0.0", &words(&["CIGAR"]), &[]);
    let ephor = clock.platform(&both.path("data"), &both.config(3600, "begin = \"enforce\""));
    let first = judge(&ephor, arriving("first")).await;
    let date = Command::new("date").args(["-u", "-d", "+2 days", "+%Y-%m-%dT%H:%M:%SZ"]).output().expect("`date` starts");
    let from = ledger::printed(&date);
    both.release(GOOD, "1.1.0", &words(&["CIGAR", "WINE"]), &["--valid-from", from.trim()]);
    // Each look but the first finds what was there before, and is long after it was issued.
    for offset in ["+0", "+1d", "+1d"] {
        clock.moves_to(offset);
        look(&ephor).await.expect(200);
        let publisher = ephor.status().await["publishers"][0].clone();
        assert_eq!((&publisher["refused"], &publisher["pending"][0]["version"]), (&json!([]), &json!("1.1.0")), "{offset}: {publisher}");
    }
    clock.moves_to("+2d");
    look(&ephor).await.expect(200);
    let second = judge(&ephor, arriving("second")).await;
    assert_ne!(said(&second).1, said(&first).1, "{second}");
}

/// Entries stand in the order in which events were taken, whatever the clock says; it is
/// recorded as it stood, so that whoever reads them sees that it was moved.
#[tokio::test(flavor = "multi_thread")]
async fn tl_19_entries_are_in_their_order_however_the_clock_is_moved() {
    if is_left_out() {
        return;
    }
    let (folder, clock) = (tempfile::tempdir().expect("a folder"), Clock::new());
    let ephor = clock.platform(folder.path(), "[ledger]\ncheckpoint-ms = 20");
    let mut arrived = Vec::new();
    for (number, offset) in (0..).zip(["+0", "+1h", "-1h", "+0", "-1h", "+1h", "+0"]) {
        clock.moves_to(offset);
        let entry = judge(&ephor, arriving(&format!("e-{number}"))).await;
        assert_eq!(event::sequence(&entry), number + 1, "{offset}: {entry}");
        arrived.push(event::text(&entry, "arrived").to_string());
    }
    // Set back, it says so: the later entry has the earlier time, by about an hour or two.
    let falls: Vec<bool> = arrived.windows(2).map(|pair| pair[1] < pair[0]).collect();
    assert_eq!(falls, [false, true, false, true, false, true], "{arrived:?}");
    // A leap second is a time like any other, and one that no minute has is refused.
    let at = |id: &str, time: &str| {
        let mut event = event::listing(id, LISTED);
        event["time"] = json!(time);
        event.to_string()
    };
    let leap = ephor.post("application/cloudevents+json", at("leap", "2016-12-31T23:59:60Z")).await;
    let refused = ephor.post("application/cloudevents+json", at("no-time", "2016-12-31T23:59:61Z")).await;
    assert_eq!(refused.status, 400, "{}", refused.text());
    let expected = if leap.status == 200 { 8 } else { 7 };
    let lines = ephor.entries(1).await;
    ledger::assert_dense(&lines, 1);
    assert_eq!(lines.len(), expected, "{}: {}", leap.status, leap.text());
    // Nor do checkpoints or a start depend on it.
    clock.moves_to("-1h");
    ephor.wait_until("it is signed", || {
        ledger::Checkpoint::in_directory(folder.path()).is_some_and(|checkpoint| checkpoint.size == expected as u64)
    });
    assert!(ephor.stop().success());
    let verified = ledger::verify(folder.path());
    assert!(verified.status.success(), "{}", ledger::printed(&verified));
    let ephor = clock.platform(folder.path(), "");
    assert_eq!(ephor.entries(1).await[..expected], lines, "and they stay as they were");
}

/// An event is known again long after it came first, in the process that judged it and in
/// the next one.
#[tokio::test(flavor = "multi_thread")]
async fn du_13_an_event_is_known_again_a_day_later_and_five_days_later() {
    if is_left_out() {
        return;
    }
    let (folder, clock) = (tempfile::tempdir().expect("a folder"), Clock::new());
    let start = || clock.platform(folder.path(), "");
    let mut ephor = start();
    let first = ephor.judge([arriving("once")]).await.remove(0);
    for (life, offset) in ["+25h", "+5d"].into_iter().enumerate() {
        clock.moves_to(offset);
        for _ in 0..2 {
            let again = ephor.judge([arriving("once")]).await.remove(0);
            assert_eq!(ledger::unmarked(again), (first.clone(), true), "{offset}");
            // Others have come since.
            ephor.judge([arriving(&format!("other-{life}-{offset}-{}", ephor.pid()))]).await;
            ephor.kill();
            ephor = start();
        }
    }
    assert_eq!(ephor.event_entries(1).await.len(), 5, "the event once, and four others");
}

/// A machine that has lost its clock begins in 1972. What it has seen before is what expiry
/// is judged by, and nothing that was in force is lost; what it sees for the first time it
/// takes, and what it cannot know it does not say.
#[tokio::test(flavor = "multi_thread")]
async fn op_04_a_start_without_a_clock_expires_nothing_and_revives_nothing() {
    if is_left_out() {
        return;
    }
    const LOST: &str = "-20000d";
    let (both, clock) = (Both::with(&["--timestamp-days", "1"]), Clock::new());
    both.release(GOOD, "1.0.0", &words(&["CIGAR"]), &[]);
    let (data, config) = (both.path("data"), both.config(1, "begin = \"enforce\""));
    let ephor = clock.platform(&data, &config);
    let before = judge(&ephor, event::listing("before", LISTED)).await;
    let (verdict, release, stale) = said(&before);
    assert_eq!((verdict, stale), ("deny", false), "{before}");
    assert!(ephor.stop().success());

    clock.moves_to(LOST);
    let ephor = clock.platform(&data, &config);
    // Events that say when they happened are judged as ever.
    let told = judge(&ephor, event::listing("told", LISTED)).await;
    assert_eq!(said(&told), ("deny", release, false), "{told}");
    look(&ephor).await.expect(200);
    assert!(!is_stale(&ephor) && refused(&ephor).await.is_empty(), "{}", ephor.status().await);
    // The same by the latest time that was seen: this clock does not make it last longer.
    let status = ephor.status().await;
    assert_eq!(status["publishers"][0]["stale_s"], json!(0), "{status}");
    assert!(ephor.stop().success());

    clock.moves_to("+2d");
    let ephor = clock.platform(&data, &config);
    ephor.wait_until("what is in force is stale", || is_stale(&ephor));
    assert!(ephor.stop().success());
    clock.moves_to(LOST);
    let ephor = clock.platform(&data, &config);
    assert_eq!(problem(&ephor).await, "expired", "what was over stays over");
    assert!(is_stale(&ephor));
    let late = judge(&ephor, event::listing("late", LISTED)).await;
    assert_eq!(said(&late), ("deny", release, true), "{late}");
    assert!(ephor.stop().success());
    let verified = ledger::verify(&data);
    assert!(verified.status.success(), "{}", ledger::printed(&verified));
}

/// What is kept for days goes when they are over, and the ledger says so; while the
/// configuration says that all is kept, for as long as somebody may need it, nothing goes.
#[tokio::test(flavor = "multi_thread")]
async fn pv_07_what_is_kept_for_days_goes_unless_all_is_held() {
    if is_left_out() {
        return;
    }
    const DAYS: &str = "[ledger]\nevents = { days = 3 }\n";
    let (folder, clock) = (tempfile::tempdir().expect("a folder"), Clock::new());
    let ephor = clock.platform(folder.path(), DAYS);
    let first = event::sequence(&judge(&ephor, arriving("first")).await);
    let leaves = ephor.entries(1).await;
    let kept = async |ephor: &Ephor| ephor.get(&format!("/v1/events/{first}")).await.status.as_u16();
    assert_eq!(kept(&ephor).await, 200);
    assert!(ephor.stop().success());

    // Held: the days go by, and nothing is erased.
    clock.moves_to("+10d");
    let ephor = clock.platform(folder.path(), "[ledger]\nevents = \"full\"\n");
    judge(&ephor, arriving("held")).await;
    assert_eq!(kept(&ephor).await, 200);
    let subjects = |lines: &[String]| ledger::subjects(lines).into_iter().map(str::to_string).collect::<Vec<_>>();
    assert!(!subjects(&ephor.entries(1).await).contains(&"erasure".to_string()));
    assert!(ephor.stop().success());

    // No longer: at the start what is over goes first.
    let ephor = clock.platform(folder.path(), DAYS);
    ephor.wait_until("it is erased", || raw::get(ephor.address(), &format!("/v1/events/{first}")).status == 404);
    let lines = ephor.entries(1).await;
    let erasure = lines.iter().find_map(|line| ledger::parse(line).get("erasure").cloned()).expect("an entry");
    assert_eq!((&erasure["by"], &erasure["reason"]), (&json!("ephor"), &json!("kept for 3 days")), "{erasure}");
    assert_eq!(lines[..leaves.len()], leaves, "leaves stay as they were");
    assert!(ephor.stop().success());
    let verified = ledger::verify(folder.path());
    assert!(verified.status.success(), "{}", ledger::printed(&verified));
}

/// What is out of date is said so, judges on, and cannot be followed by anything new, whatever
/// the clock says later: what was signed in the meantime had expired by the time that was seen.
#[tokio::test(flavor = "multi_thread")]
async fn sc_07_behind_the_expiry_nothing_new_takes_effect() {
    if is_left_out() {
        return;
    }
    let (both, clock) = (Both::with(&["--timestamp-days", "1"]), Clock::new());
    both.release(GOOD, "1.0.0", &words(&["CIGAR"]), &[]);
    let ephor = clock.platform(&both.path("data"), &both.config(3600, "begin = \"enforce\""));
    let first = judge(&ephor, arriving("first")).await;
    let release = said(&first).1;
    clock.moves_to("+2d");
    assert_eq!(look(&ephor).await.expect(502).json()["code"], "expired");
    ephor.wait_until("what is in force is stale", || is_stale(&ephor));
    assert_eq!(ephor.metric("ephor_publisher_stale", ""), 1.0);
    both.release(GOOD, "1.1.0", &words(&["CIGAR", "WINE"]), &[]);
    for offset in ["+2d", "+0"] {
        clock.moves_to(offset);
        assert_eq!(look(&ephor).await.expect(502).json()["code"], "expired", "{offset}");
        let entry = judge(&ephor, arriving(&format!("judged at {offset}"))).await;
        assert_eq!(said(&entry), ("deny", release, true), "{offset}: {entry}");
    }
}
