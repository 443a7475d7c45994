//! Back-tests over HTTP: the same that `ephor replay` finds out, beside live events.

use std::path::Path;
use std::time::Duration;

use ephor_tests::client::{Answer, LINES};
use ephor_tests::data::{self, Set};
use ephor_tests::{Ephor, event, guest, policy, raw, settings, write_policy};
use http_body_util::Full;
use hyper::{Method, Request};
use serde_json::{Value, json};

use crate::access::{self, Door};
use crate::publishers::{Both, words};
use crate::replay::{ephor_replay, report, with_one_word_more};
use crate::{GOOD, LISTED};

/// Everything is kept of events.
const FULL: &str = "[ledger]\nevents = \"full\"\n";

/// A policy that counts a customer's lines, and finds something in each.
const COUNTING: &str = "stateful-trap";

/// A server that has judged some invoice lines with both policies.
async fn recorded(data: &Path, config: &str, lines: &[String]) -> Ephor {
    let ephor = Ephor::start_in(data, config, &[]);
    ephor.put(GOOD, &policy(GOOD), &settings(GOOD)).await.succeeded();
    ephor.put(COUNTING, &guest("stateful_trap"), "{}").await.succeeded();
    ephor.post(LINES, lines.join("\n")).await.succeeded();
    ephor
}

async fn ask(ephor: &Ephor, request: &Value) -> Answer {
    ephor.act("/v1/backtests", request.to_string()).await
}

/// A back-test as it is once nothing changes any more.
async fn ended(ephor: &Ephor, id: u64) -> Value {
    let path = format!("/v1/backtests/{id}");
    let is_over = || {
        let seen = raw::get(ephor.address(), &path).json();
        ["done", "failed", "cancelled"].iter().any(|state| seen["state"] == *state)
    };
    ephor.wait_until("the back-test ends", is_over);
    ephor.get(&path).await.expect(200).json()
}

/// Asks, and waits for the result.
async fn tried(ephor: &Ephor, request: Value) -> Value {
    let begun = ask(ephor, &request).await.expect(202);
    let id = begun.json()["id"].as_u64().expect("a number");
    assert_eq!(begun.header("location"), format!("/v1/backtests/{id}"));
    let ended = ended(ephor, id).await;
    assert_eq!(ended["state"], "done", "{ended}");
    ended
}

async fn delete(ephor: &Ephor, id: u64) -> Answer {
    let request = Request::builder().method(Method::DELETE).uri(ephor.url(&format!("/v1/backtests/{id}")));
    ephor.request(request.body(Full::default()).expect("a well-formed request")).await
}

fn listed(lines: std::ops::Range<u64>) -> Vec<String> {
    lines.map(|id| event::listing(id, if id % 2 == 0 { LISTED } else { "LANTERN" }).to_string()).collect()
}

/// What both say of the same events: all but the places of events, which only one has.
fn common(result: &Value) -> Value {
    let mut common = result.clone();
    common["examples"].as_array_mut().expect("examples").iter_mut().for_each(|example| {
        example.as_object_mut().expect("an object").remove("sequence");
    });
    let members = ["events", "timers", "verdicts", "changes", "transitions", "rules", "sources", "subjects", "days", "span", "examples"];
    members.into_iter().map(|member| (member.to_string(), common[member].clone())).collect::<serde_json::Map<_, _>>().into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_back_test_says_what_replay_says() {
    let room = tempfile::tempdir().expect("a folder");
    let data = room.path().join("data");
    let lines = data::sample(Set::Retail)[..12_000].to_vec();
    let ephor = recorded(&data, FULL, &lines).await;
    let later: Value = serde_json::from_str(&with_one_word_more()).expect("settings");
    let in_force = ephor.in_force().await.iter().find(|(name, _)| name == GOOD).expect("in force").1.clone();

    // Both sides judged anew.
    let asked = json!({"policy": GOOD, "settings": later, "against": in_force, "by": "an analyst", "reason": "one word more"});
    let both = tried(&ephor, asked).await;
    assert_eq!((&both["events"], &both["of"], &both["by"]), (&json!(12_000), &json!(12_000), &json!("an analyst")), "{both}");
    assert_eq!(both["result"]["before"][GOOD], json!(in_force));
    // With what was recorded: the other policy's findings stay in the verdicts.
    let recorded = tried(&ephor, json!({"policy": GOOD, "settings": later, "by": "an analyst"})).await;
    let changes = &recorded["result"]["changes"];
    let changed = ["stricter", "milder", "findings"].iter().map(|kind| changes[kind].as_u64().expect("a number")).sum::<u64>();
    assert!(changed > 0, "{changes}");
    let (one, other) = (&both["result"], &recorded["result"]);
    assert_eq!(one["rules"], other["rules"], "the same findings");
    assert_eq!(one["changes"]["stricter"], changes["stricter"], "nothing else denies");
    let summary = event::text(&recorded, "summary");
    assert!(summary.contains(&format!("{changed} of 12000 events would be other")), "{summary}");
    let example = &other["examples"][0];
    let entry: Value = serde_json::from_str(&ephor.entries(example["sequence"].as_u64().expect("a place")).await[0]).expect("JSON");
    assert_eq!((&entry["id"], &entry["source"]), (&example["id"], &example["source"]), "the entry that it is about");

    // For export, each difference once.
    let path = format!("/v1/backtests/{}/differences", recorded["id"]);
    let differences = ephor.get(&path).await.expect(200);
    assert_eq!((differences.lines().len() as u64, differences.header("content-type")), (changed, "application/x-ndjson"));
    let table = ephor.get(&format!("{path}?format=csv")).await.expect(200);
    assert_eq!(table.text().lines().count() as u64, changed + 1);
    assert!(table.header("content-type").starts_with("text/csv") && table.header("content-disposition").contains(".csv"));
    ephor.get(&format!("{path}?format=xml")).await.expect(400);

    // The same release changes nothing, also where there is state, and its states are
    // built up by what came before.
    let same = tried(&ephor, json!({"policy": COUNTING, "from": 6_000, "by": "an analyst"})).await;
    assert_eq!(same["result"]["changes"], json!({"stricter": 0, "milder": 0, "findings": 0}), "{same}");
    let warm_up = same["result"]["warm_up"].as_u64().expect("a number");
    assert!(same["result"]["stateful"] == true && warm_up + same["result"]["events"].as_u64().expect("a number") == 12_000, "{same}");
    let cold = tried(&ephor, json!({"policy": COUNTING, "from": 6_000, "warm_up": false, "by": "an analyst"})).await;
    assert_eq!(cold["result"]["warm_up"], 0);
    drop(ephor);

    for (folder, settings) in [("before", settings(GOOD)), ("later", with_one_word_more())] {
        std::fs::create_dir(room.path().join(folder)).expect("a folder");
        write_policy(&room.path().join(folder), GOOD, Some(&policy(GOOD)), Some(&settings));
    }
    let text = |name: &str| room.path().join(name).to_str().expect("a path in UTF-8").to_string();
    let args = ["--from-data", &text("data"), "--against", &text("before"), "--with", &text("later"), "--examples", "50", "--json"];
    let said = report(&ephor_replay(&args), 0);
    assert_eq!(common(&both["result"]), common(&said));
}

/// Timers fire again where they fired, and are told apart by the names of their keys.
#[tokio::test(flavor = "multi_thread")]
async fn timers_are_compared_as_well() {
    const TIMED: &str = "idle-vehicle";
    let room = tempfile::tempdir().expect("a folder");
    let ephor = Ephor::start_in(room.path(), FULL, &[]);
    let settings = settings(TIMED);
    ephor.put(TIMED, &policy(TIMED), &settings).await.succeeded();
    ephor.post(LINES, data::sample(Set::Columbus).join("\n")).await.succeeded();
    let in_force = ephor.in_force().await[0].1.clone();
    for against in [json!("recorded"), json!(in_force)] {
        let same = tried(&ephor, json!({"policy": TIMED, "against": against, "by": "an analyst"})).await;
        let timers = &same["result"]["timers"];
        assert!(timers["before"].as_u64() > Some(0) && timers["before"] == timers["after"], "{timers}");
        assert_eq!(same["result"]["changes"], json!({"stricter": 0, "milder": 0, "findings": 0}), "{same}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_period_is_of_sequences_or_of_times() {
    let room = tempfile::tempdir().expect("a folder");
    let lines = data::sample(Set::Retail)[..3_000].to_vec();
    let ephor = recorded(room.path(), FULL, &lines).await;
    let times: Vec<String> = lines.iter().map(|line| event::text(&serde_json::from_str(line).expect("JSON"), "time").to_string()).collect();
    // What is kept, and both policies, have an entry before the first event.
    let of = async |period: Value| {
        let mut request = json!({"policy": GOOD, "by": "an analyst"});
        request.as_object_mut().expect("an object").extend(period.as_object().expect("an object").clone());
        tried(&ephor, request).await["result"]["events"].as_u64().expect("a number")
    };
    assert_eq!(of(json!({"from": 103, "until": 202})).await, 100);
    let (from, until) = (&times[500], &times[2_000]);
    let within = times.iter().filter(|time| *time >= from && *time < until).count() as u64;
    assert!(within > 0);
    assert_eq!(of(json!({"from": from, "until": until})).await, within);
    let day = &from[..10];
    assert_eq!(of(json!({"from": day})).await, times.iter().filter(|time| &time[..10] >= day).count() as u64);
    for (period, says) in [(json!({"from": "yesterday"}), "neither a sequence nor a time"), (json!({"from": []}), "not understood")] {
        let mut request = json!({"policy": GOOD, "by": "an analyst"});
        request.as_object_mut().expect("an object").extend(period.as_object().expect("an object").clone());
        let refused = ask(&ephor, &request).await;
        assert!(refused.status.is_client_error() && refused.text().contains(says), "{}", refused.text());
    }
    let begun = ask(&ephor, &json!({"policy": GOOD, "from": 1_000_000, "by": "an analyst"})).await.expect(202).json();
    let failed = ended(&ephor, begun["id"].as_u64().expect("a number")).await;
    assert_eq!((&failed["state"], &failed["failure"]), (&json!("failed"), &json!("there is no event in this period")));
}

#[tokio::test(flavor = "multi_thread")]
async fn earlier_releases_can_be_tried_and_strangers_cannot() {
    let room = tempfile::tempdir().expect("a folder");
    let ephor = recorded(room.path(), FULL, &listed(0..40)).await;
    let first = ephor.in_force().await.iter().find(|(name, _)| name == GOOD).expect("in force").1.clone();
    ephor.put_settings(GOOD, &with_one_word_more()).await.succeeded();
    ephor.judge((40..80).map(|id| event::listing(id, "LANTERN"))).await;
    let known = ephor.get("/v1/backtests/releases").await.expect(200).json();
    let of_good: Vec<&Value> = known["releases"].as_array().expect("releases").iter().filter(|known| known["policy"] == GOOD).collect();
    assert_eq!((of_good.len(), &of_good[1]["release"]), (2, &json!(first)), "the latest first: {known}");
    // Judged as before the swap, what came after it would have no finding.
    let back = tried(&ephor, json!({"policy": GOOD, "release": first, "by": "an analyst"})).await;
    assert_eq!(back["result"]["changes"], json!({"stricter": 0, "milder": 40, "findings": 0}), "{back}");
    // In force later, so not yet before.
    let now = tried(&ephor, json!({"policy": GOOD, "until": 43, "by": "an analyst"})).await;
    assert_eq!(now["result"]["changes"]["stricter"], 20, "{now}");

    for (request, status, says) in [
        (json!({"policy": GOOD}), 400, "Say in `by`"),
        (json!({"policy": "nobody", "by": "x"}), 404, "no-such-release"),
        (json!({"policy": "office/geofence", "by": "x"}), 404, "no publisher of the configuration"),
        (json!({"policy": GOOD, "release": "9.9.9-000000000000", "by": "x"}), 404, "knows no release 9.9.9"),
        (json!({"policy": GOOD, "by": "x", "speed": 1}), 400, "unknown field"),
    ] {
        let refused = ask(&ephor, &request).await.expect(status);
        assert!(refused.text().contains(says), "{says} in {}", refused.text());
        assert_eq!(refused.header("content-type"), "application/problem+json");
    }
    let foreign = Request::post(ephor.url("/v1/backtests")).header("content-type", "application/json").header("host", "example.org");
    let body = Full::new(json!({"policy": GOOD, "by": "x"}).to_string().into());
    ephor.request(foreign.body(body).expect("a request")).await.expect(403);
    let form = Request::post(ephor.url("/v1/backtests")).header("content-type", "text/plain");
    ephor.request(form.body(Full::new("{}".into())).expect("a request")).await.expect(415);
    ephor.get("/v1/backtests/99").await.expect(404);
    let wrong = tried_badly(&ephor, json!({"policy": GOOD, "settings": {"words": 7}, "by": "x"})).await;
    assert!(event::text(&wrong, "failure").contains("settings"), "{wrong}");
}

async fn tried_badly(ephor: &Ephor, request: Value) -> Value {
    let begun = ask(ephor, &request).await.expect(202).json();
    let ended = ended(ephor, begun["id"].as_u64().expect("a number")).await;
    assert_eq!(ended["state"], "failed", "{ended}");
    ended
}

#[tokio::test(flavor = "multi_thread")]
async fn without_kept_events_there_is_nothing_to_judge_again() {
    let room = tempfile::tempdir().expect("a folder");
    let ephor = recorded(room.path(), "", &listed(0..10)).await;
    let refused = ask(&ephor, &json!({"policy": GOOD, "by": "an analyst"})).await.expect(409);
    assert!(refused.text().contains("nothing-kept") && refused.text().contains("ledger.events = \\\"full\\\""), "{}", refused.text());
    drop(ephor);
    // Kept from now on: what came before is counted, and said.
    let ephor = recorded(room.path(), FULL, &listed(10..20)).await;
    let some = tried(&ephor, json!({"policy": GOOD, "by": "an analyst"})).await;
    assert_eq!((&some["result"]["events"], &some["result"]["not_kept"]), (&json!(10), &json!(10)), "{some}");
    let none = tried_badly(&ephor, json!({"policy": GOOD, "until": 12, "by": "an analyst"})).await;
    assert!(event::text(&none, "failure").contains("no more than the digest is kept"), "{none}");
    // What was erased is left out as well.
    ephor.act("/v1/erasures", json!({"source": "/tests", "id": "11", "by": "x"}).to_string()).await.succeeded();
    let some = tried(&ephor, json!({"policy": GOOD, "from": 13, "by": "an analyst"})).await;
    assert_eq!((&some["result"]["events"], &some["result"]["not_kept"]), (&json!(9), &json!(1)), "{some}");
}

/// The names of a server's threads that have the lowest priority (proc_pid_stat(5), field
/// 19, which is the 17th behind the name).
fn lowest(ephor: &Ephor) -> Vec<String> {
    let folder = format!("/proc/{}/task", ephor.pid());
    let threads = std::fs::read_dir(folder).expect("its threads").filter_map(Result::ok);
    let of = |path: std::path::PathBuf| {
        let stat = std::fs::read_to_string(path.join("stat")).ok()?;
        let (name, rest) = stat.rsplit_once(") ")?;
        let nice = rest.split(' ').nth(16)?;
        (nice == "19").then(|| name.split_once('(').map(|(_, name)| name.to_string()))?
    };
    threads.filter_map(|thread| of(thread.path())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_runs_is_cancelled_and_live_events_are_judged_meanwhile() {
    let room = tempfile::tempdir().expect("a folder");
    let config = format!("{FULL}[backtests]\nwaiting-max = 1\nkeep = 2\n");
    let ephor = recorded(room.path(), &config, &data::sample(Set::Retail)).await;
    let before = lowest(&ephor);
    let request = json!({"policy": COUNTING, "by": "an analyst"});
    let long = ask(&ephor, &request).await.expect(202).json();
    let id = long["id"].as_u64().expect("a number");
    let path = format!("/v1/backtests/{id}");
    let running = || raw::get(ephor.address(), &path).json()["events"].as_u64() > Some(0);
    ephor.wait_until("some are judged", running);
    // All that it has started has the lowest priority, its own thread and those of its runtime.
    let since = lowest(&ephor);
    for name in ["backtest", "spine", "commit"] {
        assert!(since.contains(&name.to_string()) && !before.contains(&name.to_string()), "{name} in {since:?}, not in {before:?}");
    }
    // Live events have their answers while it runs.
    let answers = ephor.judge((0..50).map(|id| event::listing(format!("live-{id}"), LISTED))).await;
    assert!(answers.iter().all(|answer| answer["verdict"] == "deny"), "{answers:?}");
    let waiting = ask(&ephor, &request).await.expect(202).json();
    assert_eq!(waiting["state"], "waiting", "one at a time: {waiting}");
    let full = ask(&ephor, &request).await.expect(503);
    assert!(full.text().contains("backtests-full") && !full.header("retry-after").is_empty());
    assert_eq!(delete(&ephor, id + 1).await.expect(200).json()["state"], "cancelled");
    delete(&ephor, id).await.expect(200);
    let seen = ended(&ephor, id).await;
    assert_eq!(seen["state"], "cancelled", "{seen}");
    let ledgers = room.path().join(format!("backtests/{id}/ledgers"));
    ephor.wait_until("its ledgers are gone", || !ledgers.exists());
    ephor.get(&format!("{path}/differences")).await.expect(409);
    // Once more, it is forgotten.
    delete(&ephor, id).await.expect(200);
    delete(&ephor, id).await.expect(404);
    // And the ledger beside it is whole.
    assert!(ephor.stop().success());
    let verified = ephor_tests::ledger::verify(room.path());
    assert!(verified.status.success(), "{}", ephor_tests::ledger::printed(&verified));
}

#[tokio::test(flavor = "multi_thread")]
async fn results_are_kept_bounded_and_survive_a_restart() {
    let room = tempfile::tempdir().expect("a folder");
    let config = format!("{FULL}[backtests]\nkeep = 2\nevents-max = 30\ndifferences-max = 3\n");
    let ephor = recorded(room.path(), &config, &listed(0..40)).await;
    let many = tried_badly(&ephor, json!({"policy": GOOD, "by": "an analyst"})).await;
    assert!(event::text(&many, "failure").contains("40 events are to be judged, and at most 30"), "{many}");
    let later: Value = serde_json::from_str(&with_one_word_more()).expect("settings");
    let mut last = Value::Null;
    for _ in 0..3 {
        last = tried(&ephor, json!({"policy": GOOD, "settings": later, "until": 33, "by": "an analyst"})).await;
    }
    assert_eq!((&last["result"]["changes"]["stricter"], &last["result"]["differences_kept"]), (&json!(15), &json!(3)), "{last}");
    let list = ephor.get("/v1/backtests").await.expect(200).json();
    let ids: Vec<u64> = list["backtests"].as_array().expect("a list").iter().filter_map(|test| test["id"].as_u64()).collect();
    assert_eq!(ids, [4, 3], "the latest first, no more than are kept");
    // As if it had been cut off.
    let folder = room.path().join("backtests/9/ledgers/after");
    std::fs::create_dir_all(&folder).expect("a folder");
    let mut record: Value =
        serde_json::from_slice(&std::fs::read(room.path().join("backtests/4/backtest.json")).expect("a file")).expect("JSON");
    (record["status"]["state"], record["done"]) = (json!("running"), Value::Null);
    std::fs::write(room.path().join("backtests/9/backtest.json"), record.to_string()).expect("written");
    ephor.kill();
    let ephor = Ephor::start_in(room.path(), &config, &[]);
    assert_eq!(ephor.get("/v1/backtests/4").await.expect(200).json(), last, "as it was");
    assert_eq!(ephor.get("/v1/backtests/4/differences").await.expect(200).lines().len(), 3);
    let cut = ephor.get("/v1/backtests/9").await.expect(200).json();
    assert!(cut["state"] == "failed" && event::text(&cut, "failure").contains("stopped before"), "{cut}");
    assert!(!folder.exists(), "nothing is left of its ledgers");
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_comes_as_events_until_the_end() {
    let room = tempfile::tempdir().expect("a folder");
    let ephor = recorded(room.path(), FULL, &listed(0..200)).await;
    let begun = ask(&ephor, &json!({"policy": GOOD, "by": "an analyst"})).await.expect(202).json();
    let request = Request::get(ephor.url(&format!("/v1/backtests/{}", begun["id"]))).header("accept", "text/event-stream");
    let answer = tokio::time::timeout(Duration::from_secs(60), ephor.request(request.body(Full::default()).expect("a request")));
    let answer = answer.await.expect("it ends").expect(200);
    assert_eq!(answer.header("content-type"), "text/event-stream");
    let text = answer.text();
    let last = text.trim_end().rsplit("\n\n").next().expect("an event");
    assert!(last.starts_with("event: done\ndata: {") && last.contains("\"events\":200"), "{text}");
}

/// A regulator tries its own policies, sees no verdicts of others, and not whom events are
/// about.
#[tokio::test(flavor = "multi_thread")]
async fn who_may_try_what_and_see_what_came_of_it() {
    let (door, both) = (Door::new(), Both::new());
    let [office, other] = ["market-office", "other"].map(|name| door.create(name, &[&format!("regulator:{name}")]));
    let [operator, auditor, ingest] = ["operator", "auditor", "ingest"].map(|role| door.create(role, &[role]));
    both.release(GOOD, "0.1.0", &words(&["CIGAR"]), &[]);
    let ephor = Ephor::start_with(&format!("{FULL}{}{}", door.config(""), both.config(3_600, "")), &[]);
    let lines = listed(0..40).join("\n");
    let headers = [("authorization", &*format!("Bearer {ingest}")), ("content-type", LINES)];
    access::send(&ephor, "POST", "/v1/events", &headers, lines).await.expect(200);

    let request = json!({"policy": "market-office/negative-list", "reason": "before it counts"});
    access::act(&ephor, "/v1/backtests", &other, request.clone()).await.expect(404);
    access::act(&ephor, "/v1/backtests", &ingest, request.clone()).await.expect(403);
    let somebody = json!({"policy": "market-office/negative-list", "by": "somebody else"});
    access::act(&ephor, "/v1/backtests", &office, somebody).await.expect(400);
    let begun = access::act(&ephor, "/v1/backtests", &office, request.clone()).await.expect(202).json();
    assert_eq!((&begun["by"], &begun["alone"]), (&json!("token:market-office"), &json!(true)), "{begun}");
    let done = async |path: &str, token: &str| {
        let begin = std::time::Instant::now();
        loop {
            let seen = access::ask(&ephor, path, token).await.expect(200).json();
            if seen["state"] == "done" {
                return seen;
            }
            assert!(begin.elapsed() < ephor_tests::PATIENCE, "{seen}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let (own, whole) = (done("/v1/backtests/1", &office).await, done("/v1/backtests/1", &operator).await);
    assert_eq!((&own["result"]["changes"]["stricter"], &own["result"]["subjects"]), (&json!(20), &json!([])), "{own}");
    assert_eq!((&own["result"]["examples"][0]["subject"], &whole["result"]["examples"][0]["subject"]), (&Value::Null, &json!("sku/1")));
    for export in ["", "?format=csv"] {
        let path = format!("/v1/backtests/1/differences{export}");
        let [own, whole] = [access::ask(&ephor, &path, &office).await, access::ask(&ephor, &path, &auditor).await];
        assert!(!own.expect(200).text().contains("sku/1") && whole.expect(200).text().contains("sku/1"), "{export}");
        access::ask(&ephor, &path, &other).await.expect(404);
    }
    let count =
        async |token: &str| access::ask(&ephor, "/v1/backtests", token).await.expect(200).json()["backtests"].as_array().map(Vec::len);
    assert_eq!((count(&office).await, count(&other).await, count(&auditor).await), (Some(1), Some(0), Some(1)));
    let known = access::ask(&ephor, "/v1/backtests/releases", &other).await.expect(200).json();
    assert_eq!(known["releases"], json!([]));
    // One of the platform's is nobody else's, for its verdicts are those of all policies.
    let second = access::act(&ephor, "/v1/backtests", &operator, request).await.expect(202).json();
    assert_eq!((&second["id"], &second["alone"]), (&json!(2), &json!(false)));
    access::ask(&ephor, "/v1/backtests/2", &office).await.expect(404);
    for (token, status) in [(&other, 404), (&auditor, 403), (&office, 200)] {
        let headers = [("authorization", &*format!("Bearer {token}"))];
        access::send(&ephor, "DELETE", "/v1/backtests/1", &headers, "").await.expect(status);
    }
}
