//! Reference lists: looked up, replaced while events flow, refused, followed in a
//! folder, replayed; and the verbs that make and compare them.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use ephor::List;
use ephor::reference::Draft;
use ephor_tests::client::Version;
use ephor_tests::{Ephor, binary, data, event, guest, ledger, policy, settings, target_dir, workspace, write_policy};
use serde_json::{Value, json};

const POLICY: &str = "sanctioned-party";

fn list(name: &str, version: &str, entries: &BTreeMap<String, String>) -> List {
    let mut draft = Draft::new(name, version, &["key", "value"]).expect("a draft");
    for (key, value) in entries {
        draft.push(key, value).expect("an entry");
    }
    draft.finish().expect("a list")
}

/// The bytes of a list's file.
fn file(list: &List) -> &[u8] {
    list.bytes()
}

fn small(version: &str, numbers: &[&str]) -> List {
    list("sanctions", version, &numbers.iter().map(|number| (number.to_string(), format!("party {number}"))).collect())
}

fn payment(id: impl std::fmt::Display, party: &str) -> Value {
    json!({
        "specversion": "1.0", "id": id.to_string(), "source": "/bank", "type": "payment.order",
        "time": "2024-05-03T18:43:23Z", "data": {"counterparty": party},
    })
}

/// The name that a denied payment was found with.
fn denied(answer: &Value) -> Option<&str> {
    let found = event::findings(answer, POLICY).map(|finding| event::text(&finding["evidence"], "name")).next();
    let expected = if found.is_some() { "deny" } else { "allow" };
    assert!(answer["verdict"] == expected && answer.get("faults").is_none(), "{answer}");
    found
}

/// The version of the list that stands in an entry.
fn version_of(entry: &Value) -> &str {
    let [asked] = entry["asked"].as_array().map(Vec::as_slice).unwrap_or_default() else { panic!("one policy was asked: {entry}") };
    event::text(&asked["lists"], "sanctions")
}

/// The entries of events.
async fn of_events(ephor: &Ephor) -> Vec<Value> {
    let entries = ephor.entries(1).await;
    entries.iter().map(|line| ledger::parse(line)).filter(|entry| entry.get("asked").is_some()).collect()
}

async fn versions(ephor: &Ephor) -> Vec<String> {
    of_events(ephor).await.iter().map(|entry| version_of(entry).to_string()).collect()
}

/// What `sanctions.py` says of the real list.
struct Truth {
    versions: Vec<Step>,
    /// For each party that is asked about when it was listed: from a version, and until
    /// one, unless it still is.
    listed: HashMap<String, Vec<(usize, Option<usize>)>>,
}

struct Step {
    version: String,
    put: BTreeMap<String, String>,
    drop: Vec<String>,
    ask: Vec<String>,
}

impl Truth {
    fn compute(folder: &Path) -> Truth {
        let script = workspace().join("tests/independent/sanctions.py");
        let output = Command::new("python3").arg("-B").arg(script).arg(folder).output();
        let output = output.unwrap_or_else(|error| panic!("python3 is missing ({error}): who was listed when is computed with it"));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        let mut lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let last = lines.pop().expect("a last line");
        let read = |value: &Value| serde_json::from_value(value.clone());
        let versions = lines.iter().map(|line| {
            let version = event::text(line, "version").to_string();
            let (put, drop, ask) = (&line["put"], read(&line["drop"]).expect("texts"), read(&line["ask"]).expect("texts"));
            Step { version, put: serde_json::from_value(put.clone()).expect("an object of texts"), drop, ask }
        });
        let versions = versions.collect();
        Truth { versions, listed: serde_json::from_value(last["listed"].clone()).expect("spans by party") }
    }

    fn is_listed(&self, party: &str, version: usize) -> bool {
        self.listed[party].iter().any(|(from, until)| *from <= version && until.is_none_or(|until| version < until))
    }
}

/// Sends payments to all parties in turn until it is told to stop; gives what was
/// answered: sequence, party, and whether it was denied. The latest sequence is told at
/// once.
async fn flow(ephor: Arc<Ephor>, parties: Vec<String>, stop: Arc<AtomicBool>, latest: Arc<AtomicU64>) -> Vec<(u64, String, bool)> {
    let (mut sending, mut answers) = ephor.stream(Version::Http1, &[]).await;
    let (send, parties) = (parties.clone(), parties);
    let sender = tokio::spawn(async move {
        let mut sent = 0;
        while !stop.load(Ordering::Relaxed) {
            let events = (sent..sent + 16).map(|id| payment(format!("flow-{id}"), &send[id % send.len()]));
            assert!(sending.send(Bytes::from(event::ndjson(events))).await, "the connection is kept");
            sent += 16;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        sent
    });
    let mut found = Vec::new();
    while let Some(answer) = answers.next().await {
        assert_eq!(event::text(&answer, "id"), format!("flow-{}", found.len()), "answers are in the order of the events");
        latest.store(event::sequence(&answer), Ordering::Relaxed);
        found.push((event::sequence(&answer), parties[found.len() % parties.len()].clone(), denied(&answer).is_some()));
    }
    assert_eq!(sender.await.expect("the sender ends"), found.len(), "every event is answered");
    found
}

/// All versions of a real sanctions list in force one after another, while payments flow:
/// each is judged by exactly one version, which its entry names, and the verdict is what
/// an independent computation says of that version.
#[tokio::test(flavor = "multi_thread")]
async fn every_verdict_agrees_with_the_version_of_the_real_list() {
    let Some(folder) = data::sanctions_folder() else {
        data::left_out("308 versions of a sanctions list", "there is no ../shared/data, and EPHOR_DATA names no folder that has it");
        return;
    };
    let truth = Truth::compute(&folder);
    assert_eq!(truth.versions.len(), 308);
    let ephor = Arc::new(Ephor::start(&[]));
    let (component, configured) = (policy(POLICY), settings(POLICY));
    let mut table = BTreeMap::new();
    // The sequence from which on each version judges.
    let mut since: Vec<u64> = Vec::new();
    let (stop, latest) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let parties: Vec<String> = truth.versions.iter().flat_map(|step| step.ask.iter().take(6).cloned()).collect();
    let (mut flowing, mut compiled) = (None, 0.0);
    let mut times = Vec::new();
    let mut asked = 0;
    for (at, step) in truth.versions.iter().enumerate() {
        table.retain(|number, _| !step.drop.contains(number));
        table.extend(step.put.clone());
        let list = list("sanctions", &step.version, &table);
        let begin = Instant::now();
        let answer = match at {
            0 => {
                let parts = [("component", component.as_slice()), ("settings", configured.as_bytes()), ("list", file(&list))];
                ephor.put_parts(POLICY, &parts).await
            }
            _ => ephor.put_parts(POLICY, &[("list", file(&list))]).await,
        };
        let swap = answer.succeeded().json();
        if at == 0 {
            compiled = ephor.metric("ephor_compile_cache_total", "");
            flowing = Some(tokio::spawn(flow(ephor.clone(), parties.clone(), stop.clone(), latest.clone())));
        } else {
            times.push(begin.elapsed());
        }
        since.push(event::sequence(&swap));
        // Where nobody swaps in between, the version is known before the answer.
        let answers = ephor.judge(step.ask.iter().map(|party| payment(format!("{at}-{party}"), party))).await;
        assert_eq!(answers.len(), step.ask.len());
        for (party, answer) in step.ask.iter().zip(&answers) {
            let expected = truth.is_listed(party, at).then(|| table[party].as_str());
            assert_eq!(denied(answer), expected, "{party} at version {}: {answer}", step.version);
            asked += 1;
        }
        ephor.wait_until("a payment of the flow is judged by it", || latest.load(Ordering::Relaxed) > since[at]);
    }
    stop.store(true, Ordering::Relaxed);
    let flowed = flowing.expect("events flow").await.expect("the flow ends");

    let version_at = |sequence: u64| since.partition_point(|since| *since <= sequence) - 1;
    let mut seen = vec![0usize; truth.versions.len()];
    for (sequence, party, is_denied) in &flowed {
        let version = version_at(*sequence);
        seen[version] += 1;
        assert_eq!(*is_denied, truth.is_listed(party, version), "event {sequence}, {party} at version {version}");
    }
    let entries = of_events(&ephor).await;
    assert_eq!(entries.len(), flowed.len() + asked);
    for entry in &entries {
        assert_eq!(version_of(entry), truth.versions[version_at(event::sequence(entry))].version, "{entry}");
    }
    assert!(seen.iter().all(|count| *count > 0), "events flowed at all versions: {seen:?}");
    // A list is replaced without compiling, or even reading, any code.
    let outcome = |outcome: &str| ephor.metric("ephor_compile_cache_total", &format!("outcome=\"{outcome}\""));
    assert_eq!((outcome("hit") + outcome("miss") + outcome("forged"), outcome("kept")), (compiled, 307.0));
    times.sort();
    let (flows, median, longest) = (flowed.len(), times[times.len() / 2], times[times.len() - 1]);
    eprintln!(
        "308 versions, {flows} payments flowing and {asked} in between; a list of {} entries in force within {median:?} (median; the longest {longest:?}), sending it included",
        table.len()
    );
}

/// The type of a refusal, and what it says.
#[track_caller]
fn refused(answer: &ephor_tests::Answer) -> (String, String) {
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (422, "application/problem+json"), "{}", answer.text());
    let problem = answer.json();
    let kind = event::text(&problem, "type").trim_start_matches("urn:ephor:problem:").to_string();
    (kind, event::text(&problem, "detail").to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_that_do_not_fit_are_refused_and_what_is_in_force_stays() {
    let ephor = Ephor::start(&[]);
    let (component, configured) = (policy(POLICY), settings(POLICY));
    let whole = [("component", component.as_slice()), ("settings", configured.as_bytes())];
    let (kind, detail) = refused(&ephor.put_parts(POLICY, &whole).await);
    assert!(kind == "lists" && detail.contains("sanctions") && detail.contains("missing"), "{kind}: {detail}");
    assert_eq!(ephor.in_force().await, []);

    let first = small("1", &["36", "173"]);
    ephor.put_parts(POLICY, &[whole.as_slice(), &[("list", file(&first))][..]].concat()).await.expect(201);
    let before = ephor.in_force().await;
    let mut damaged = first.bytes().to_vec();
    *damaged.last_mut().expect("bytes") ^= 1;
    let other = list("words", "1", &BTreeMap::new());
    let cases: [(&str, Vec<&[u8]>, &str, &str); 5] = [
        ("a list of another name", vec![file(&other)], "lists", "words"),
        ("a list twice", vec![file(&first), file(&first)], "lists", "sanctions"),
        ("a damaged list", vec![&damaged[..]], "list-damaged", "SHA-256"),
        ("a list cut off", vec![&file(&first)[..40]], "list-damaged", "SHA-256"),
        ("no list", vec![&b"36,173"[..]], "not-a-list", "ephor list build"),
    ];
    for (what, lists, expected, said) in cases {
        let parts: Vec<(&str, &[u8])> = lists.into_iter().map(|bytes| ("list", bytes)).collect();
        let (kind, detail) = refused(&ephor.put_parts(POLICY, &parts).await);
        assert!(kind == expected && detail.contains(said), "{what}: {kind}: {detail}");
        assert_eq!(ephor.in_force().await, before, "{what}");
    }
    let answers = ephor.judge([payment(1, "36"), payment(2, "37")]).await;
    assert_eq!(answers.iter().map(denied).collect::<Vec<_>>(), [Some("party 36"), None]);

    // The same component and settings with another list are another release.
    let second = small("2", &["37"]);
    let swap = ephor.put_parts(POLICY, &[("list", file(&second))]).await.expect(200).json();
    assert_ne!(swap["release"], swap["replaced"]);
    let answers = ephor.judge([payment(3, "36"), payment(4, "37")]).await;
    assert_eq!(answers.iter().map(denied).collect::<Vec<_>>(), [None, Some("party 37")]);
    // Other settings, the same list.
    ephor.put_settings(POLICY, r#"{"licensed":["37"]}"#).await.expect(200);
    assert_eq!(denied(&ephor.judge([payment(5, "37")]).await[0]), None);
    let page = ephor.get(&format!("/v1/policies/{POLICY}")).await.expect(200).json();
    assert_eq!(page["lists"], json!([{"name": "sanctions", "version": "2", "digest": second.digest().to_string()}]));
    assert_eq!(versions(&ephor).await, ["1", "1", "2", "2", "2"]);
    assert_eq!(ephor.metric("ephor_loads_total", "outcome=\"lists\""), 3.0);
}

/// What a guest asks of the host it pays for: whoever asks without end runs out of fuel,
/// and nobody beside it notices.
#[tokio::test(flavor = "multi_thread")]
async fn looking_things_up_is_bounded() {
    let ephor = Ephor::start(&[]);
    let words = list("words", "1", &[("long".into(), "x".repeat(60_000)), ("word".into(), "a value".into())].into());
    let component = guest("looks_up");
    let put = async |settings: &[u8]| {
        ephor.put_parts("looks-up", &[("component", component.as_slice()), ("settings", settings), ("list", file(&words))]).await
    };
    let (kind, detail) = refused(&put(br#"{"early":true}"#).await);
    assert!(kind == "configure" && detail.contains("before there are lists"), "{kind}: {detail}");
    put(b"{}").await.expect(201);
    for (at, (description, fault)) in [
        ("values without end", "fuel"),
        ("calls without end", "fuel"),
        ("more values than fit", "memory"),
        ("no such list", "output"),
        ("no column", "output"),
    ]
    .into_iter()
    .enumerate()
    {
        let begin = Instant::now();
        let rows = (0..32).map(|row| event::listing(format!("{at}-{row}"), if row == 7 { description } else { "word" }));
        let answers = ephor.judge(rows).await;
        for (row, answer) in answers.iter().enumerate() {
            let faults: Vec<&Value> = event::faults(answer, "looks-up").collect();
            if row == 7 {
                assert_eq!(faults.len(), 1, "{description}: {answer}");
                assert_eq!(faults[0]["kind"], fault, "{description}: {answer}");
                continue;
            }
            assert_eq!(faults.len(), 0, "{description}, row {row}: {answer}");
            let found: Vec<&Value> = event::findings(answer, "looks-up").collect();
            assert!(found.len() == 1 && found[0]["evidence"]["description"] == "a value", "{description}, row {row}: {answer}");
        }
        assert!(begin.elapsed() < Duration::from_secs(20), "{description} took {:?}", begin.elapsed());
    }
}

fn write_list(folder: &Path, list: &[u8]) {
    std::fs::create_dir_all(folder.join("lists")).expect("a folder");
    let draft = folder.join("lists/.draft");
    std::fs::write(&draft, list).expect("written");
    std::fs::rename(draft, folder.join("lists/sanctions.list")).expect("renamed");
}

fn run(args: &[&str]) -> Output {
    Command::new(binary()).args(args).output().expect("the binary starts")
}

fn texts(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// Lists in the folder that is followed, and the ledger that comes of it made again.
#[tokio::test(flavor = "multi_thread")]
async fn lists_in_the_folder_are_followed_and_replayed() {
    let room = tempfile::tempdir().expect("a folder");
    let folder = room.path().join("policies");
    std::fs::create_dir(&folder).expect("a folder");
    let text = |path: &Path| path.to_str().expect("a path in UTF-8").to_string();
    let data = room.path().join("data");
    write_policy(&folder, POLICY, Some(&policy(POLICY)), Some(&settings(POLICY)));
    let ephor = Ephor::start(&["--policies", &text(&folder), "--data", &text(&data)]);
    assert!(ephor.log().contains("sanctions"), "what is missing is named\n{}", ephor.log());

    let next = async |before: &Option<String>, what: &str| {
        let begin = Instant::now();
        loop {
            let now = ephor.in_force().await.into_iter().next().map(|(_, release)| release);
            if now != *before {
                return now;
            }
            assert!(begin.elapsed() < ephor_tests::PATIENCE, "waited until {what}\n{}", ephor.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let mut sent = Vec::new();
    let mut judged = async |id: u64, party: &str| {
        let event = payment(id, party);
        sent.push(event.to_string());
        ephor.judge([event]).await.remove(0)
    };
    let lists = [small("1", &["36"]), small("2", &["37"]), small("3", &["36", "37"])];
    write_list(&folder, lists[0].bytes());
    let first = next(&None, "a list that was missing is there").await;
    assert_eq!(denied(&judged(1, "36").await), Some("party 36"));
    assert_eq!(denied(&judged(2, "37").await), None);
    write_list(&folder, lists[1].bytes());
    let second = next(&first, "a list that has changed is in force").await;
    assert_eq!(denied(&judged(3, "36").await), None);
    write_list(&folder, b"no list");
    ephor.wait_until("the broken list is reported", || ephor.log().contains("not a reference list"));
    assert_eq!(denied(&judged(4, "37").await), Some("party 37"));
    write_list(&folder, lists[2].bytes());
    next(&second, "the mended list is in force").await;
    assert_eq!(denied(&judged(5, "36").await), Some("party 36"));
    assert_eq!(versions(&ephor).await, ["1", "1", "2", "2", "3"]);
    assert!(ephor.stop().success());

    let events = room.path().join("events.ndjson");
    std::fs::write(&events, sent.join("\n")).expect("written");
    let cache = text(&target_dir().join("it-cache"));
    let check = |releases: &str| {
        let (events, data) = (text(&events), text(&data));
        run(&["replay", "--events", &events, "--check", &data, "--policies", &text(&folder), "--releases", releases, "--cache", &cache])
    };
    // What was in force is kept beside the ledger, lists too.
    let archive = room.path().join("archive");
    std::fs::create_dir(&archive).expect("a folder");
    let (code, out, error) = texts(&check(&text(&archive)));
    assert_eq!(code, Some(0), "{out}\n{error}");
    std::fs::remove_file(data.join("releases").join(lists[0].digest().to_string().trim_start_matches("sha256:"))).expect("it is kept");
    let (code, _, error) = texts(&check(&text(&archive)));
    assert!(code == Some(3) && error.contains("the list sanctions 1"), "{code:?} {error}");
    std::fs::write(archive.join("sanctions-1.list"), lists[0].bytes()).expect("written");
    let (code, out, error) = texts(&check(&text(&archive)));
    assert_eq!(code, Some(0), "{out}\n{error}");
}

#[test]
fn lists_are_built_compared_and_inspected() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).to_str().expect("a path in UTF-8").to_string();
    let build = |table: &str, version: &str, more: &[&str]| {
        std::fs::write(path("table.csv"), table).expect("written");
        let (table, out) = (path("table.csv"), path(&format!("{version}.list")));
        let args = ["list", "build", &table, "--name", "sanctions", "--version", version, "--key", "id", "--out", &out];
        texts(&run(&[args.as_slice(), more].concat()))
    };
    let table = "id,name,kind\n173,B,x\n36,\"A, \"\"a\"\"\",\n7,C,y\n";
    let (code, out, error) = build(table, "1", &["--value", "name", "kind"]);
    assert_eq!(code, Some(0), "{out}\n{error}");
    assert!(out.contains("3 entries") && out.contains("sha256:"), "{out}");
    let opened = List::open(std::fs::read(path("1.list")).expect("a list").into()).expect("a list");
    assert_eq!(opened.get("36"), Some(r#"{"name":"A, \"a\"","kind":""}"#));

    for (table, more, said) in [
        ("id\n7\n36\n", &[][..], "line 3"),
        ("id\n7\n8\n7\n", &["--sort"], "in line 2 and in line 4"),
        ("id\n7\n", &["--value", "name"], "no column \"name\""),
        ("id\n7\n,\n", &[], "line: 3"),
    ] {
        let (code, _, error) = build(table, "bad", more);
        assert!(code == Some(3) && error.contains(said) && error.contains("table.csv"), "{code:?} {error}");
        assert!(!Path::new(&path("bad.list")).exists());
    }
    let (code, _, error) = build("id\n7\n", "not a version", &[]);
    assert!(code == Some(2) && error.contains("not a version"), "{code:?} {error}");

    let (code, ..) = build("id,name,kind\n173,B,x\n9,D,\n7,C,z\n", "2", &["--sort", "--value", "name", "kind"]);
    assert_eq!(code, Some(0));
    let (one, two) = (path("1.list"), path("2.list"));
    let (code, out, error) = texts(&run(&["list", "diff", "--json", &one, &two]));
    assert_eq!(code, Some(0), "{error}");
    let diff: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((&diff["added"], &diff["removed"], &diff["changed"]), (&1.into(), &1.into(), &1.into()));
    let keys: Vec<&str> = diff["changes"].as_array().expect("changes").iter().map(|change| event::text(change, "key")).collect();
    assert_eq!(keys, ["36", "7", "9"]);
    let (code, out, _) = texts(&run(&["list", "diff", &one, &two]));
    assert!(code == Some(0) && out.contains("removed") && out.contains("\"kind\":\"z\""), "{out}");

    let (code, out, error) = texts(&run(&["list", "inspect", "--json", &one, "36", "nobody"]));
    assert_eq!(code, Some(0), "{error}");
    let shown: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(shown["digest"], opened.digest().to_string());
    assert_eq!(shown["keys"][1], json!({"key": "nobody", "value": null}));
    let (code, out, _) = texts(&run(&["list", "inspect", &one]));
    assert!(code == Some(0) && out.contains("id") && out.contains("All entries"), "{out}");
    // Somebody else's reader finds the same in the file.
    let script = workspace().join("tests/independent/reference_list.py");
    for file in [&one, &two] {
        let read = Command::new("python3").arg("-B").arg(&script).arg(file).output();
        let read = texts(&read.unwrap_or_else(|error| panic!("python3 is missing ({error}): the second reader of lists runs on it")));
        let own = texts(&run(&["list", "inspect", "--json", file]));
        let json = |(code, out, error): (Option<i32>, String, String)| -> Value {
            assert_eq!(code, Some(0), "{error}");
            serde_json::from_str(&out).expect("JSON")
        };
        assert_eq!(json(read), json(own));
    }
    std::fs::write(path("cut.list"), &opened.bytes()[..100]).expect("written");
    let (code, _, error) = texts(&run(&["list", "inspect", &path("cut.list")]));
    assert!(code == Some(3) && error.contains("cut.list") && error.contains("SHA-256"), "{code:?} {error}");
}
