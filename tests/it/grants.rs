//! What a policy gets to see under a grant, and what it does not, however it tries.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

use ephor::policy::grant::Grant;
use ephor::policy::publisher::FieldForm;
use ephor::verdict::{Decision, FaultKind};
use ephor::{LoadError, Publisher, Runtime, ingest, sandbox};
use ephor_tests::{binary, component_path, event, guest, workspace};
use serde_json::{Value, json};

/// A runtime that keeps what it does in a folder. Looking through all memory byte by
/// byte takes more fuel than a rule has.
pub fn runtime(data: &Path) -> Runtime {
    let limits = sandbox::Limits { event_fuel_max: 10_000_000_000, call_ms_max: 60_000, ..sandbox::Limits::default() };
    Runtime::builder().sandbox(limits).worker(binary()).data(data).build().expect("a runtime")
}

pub fn publisher(events: &str, fields: &[(&str, FieldForm)]) -> Publisher {
    let fields: BTreeMap<_, _> = fields.iter().map(|(pointer, form)| (pointer.to_string(), form.clone())).collect();
    Publisher { events: vec![events.into()], fields, ..Publisher::default() }
}

pub fn word(form: &str) -> FieldForm {
    form.into()
}

fn coarse(form: FieldForm) -> FieldForm {
    FieldForm { form: "coarse".into(), ..form }
}

/// What one policy finds in one event, by name, and its fault.
pub async fn judge(runtime: &Runtime, event: Value) -> (BTreeMap<String, String>, Option<FaultKind>, Decision) {
    let event = ingest::structured(event.to_string().as_bytes(), &ingest::Limits::default()).expect("an event");
    let judged = runtime.submit(vec![event]).await.expect("taken").await.expect("judged");
    let verdict = judged.answers[0].verdict().expect("a verdict");
    let evidence = verdict.findings.first().map(|finding| finding.evidence.iter().cloned().collect()).unwrap_or_default();
    (evidence, verdict.faults.first().map(|fault| fault.kind), verdict.decision)
}

/// Every byte of every file below a folder.
pub fn all_bytes(folder: &Path, bytes: &mut Vec<u8>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            all_bytes(&path, bytes);
        } else {
            bytes.extend(std::fs::read(&path).expect("a file"));
        }
    }
}

pub fn is_in(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}

const PLAIN: &str = "PLAIN-3b0c7a11";
const RIDER: &str = "RIDER-5f1e0c77";
const PHONE: &str = "+8613800138000";
const PRICE: i64 = 734_561;
const STARTED: &str = "2026-02-26T18:31:58Z";
const STARTED_MICROS: i64 = 1_772_130_718_000_000;
const LATITUDE: f64 = 39.961_176;
const ABSENT: &str = "ABSENT-90ad1f42";
/// A name that no program has in its memory by itself.
const INSIDE: &str = "inside-3c9e71f0";
const SECRET: &str = "SECRET-77e2d0b9";
const SUBJECT: &str = "SUBJECT-c41d8e5a";

fn snooped(id: &str, order: &str) -> Value {
    json!({
        "specversion": "1.0", "id": id, "source": "/tests", "type": "snoop", "subject": SUBJECT, "time": "2026-03-01T00:00:00Z",
        "data": {
            "do": order, "plain": PLAIN, "rider": RIDER, "phone": PHONE, "price": PRICE, "started": STARTED, "latitude": LATITUDE,
            "absent": {INSIDE: ABSENT}, "secret": SECRET,
        },
    })
}

/// A guest that reports, logs and looks for everything, and calls every import in every
/// way, gets of each field what was granted and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn pv_01_pv_02_a_field_gives_what_was_granted_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let runtime = runtime(folder.path());
    let fields = [
        ("/data/do", word("plain")),
        ("/data/plain", word("plain")),
        ("/data/rider", word("pseudonym")),
        ("/data/phone", FieldForm { keep: Some(4), ..word("mask") }),
        ("/data/price", coarse(FieldForm { step: Some(1_000.0), ..FieldForm::default() })),
        ("/data/started", coarse(FieldForm { unit: Some("day".into()), ..FieldForm::default() })),
        ("/data/latitude", coarse(FieldForm { geohash: Some(5), axis: Some("latitude".into()), ..FieldForm::default() })),
        ("/data/absent", word("absent")),
    ];
    let grant = runtime.grant("office", &publisher("snoop", &fields)).expect("a grant");
    // What each value could be found by: the first is there, which shows that it looks.
    let needles: Vec<Vec<u8>> =
        [PLAIN, RIDER, &RIDER[..10], PHONE, &PHONE[..10], "734561", STARTED, &STARTED[..16], "39.961176", ABSENT, INSIDE, SECRET, SUBJECT]
            .into_iter()
            .map(|text| text.as_bytes().to_vec())
            .chain([PRICE.to_le_bytes().to_vec(), STARTED_MICROS.to_le_bytes().to_vec(), LATITUDE.to_le_bytes().to_vec()])
            .collect();
    let changed: Vec<Vec<u8>> = needles.iter().map(|needle| needle.iter().map(|byte| byte ^ 1).collect()).collect();
    let settings = json!({"changed": changed}).to_string().into_bytes();
    runtime.install_for(grant, guest("snoops"), settings).await.expect("taken");

    let (mut seen, fault, _) = judge(&runtime, snooped("1", "look")).await;
    assert_eq!(fault, None);
    let finds = seen.remove("finds").expect("it looked");
    let finds: Vec<u64> = finds.split(' ').map(|count| count.parse().expect("a count")).collect();
    assert!(finds[0] > 0 && finds[1..].iter().all(|count| *count == 0), "{finds:?} of {needles:?}");
    assert!(seen.remove("bytes").expect("it looked").parse::<u64>().expect("bytes") >= 1 << 16);
    let pseudonym = seen.remove("pseudonym").expect("a pseudonym");
    assert!(pseudonym.len() == 35 && pseudonym.starts_with("p1-"), "{pseudonym}");
    let expected = [
        ("plain", PLAIN),
        ("mask", "**********8000"),
        ("price", "734000"),
        ("started", "2026-02-26T00:00:00Z"),
        // The middle of the cells of dphgr.
        ("latitude", "39.96826171875"),
    ];
    let expected: BTreeMap<String, String> = expected.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    assert_eq!(seen, expected);

    for order in ["contains", "get"] {
        let (seen, fault, decision) = judge(&runtime, snooped(order, order)).await;
        assert_eq!((seen.len(), fault, decision), (0, Some(FaultKind::Output), Decision::Undetermined), "{order}");
    }
    runtime.close().await;
    let mut bytes = Vec::new();
    all_bytes(folder.path(), &mut bytes);
    assert!(is_in(&bytes, PLAIN.as_bytes()), "what it found is in the ledger");
    // The subject is the platform's own record of the event.
    for needle in needles.iter().skip(1).filter(|needle| needle.as_slice() != SUBJECT.as_bytes()) {
        assert!(!is_in(&bytes, needle), "{} is on the disk", String::from_utf8_lossy(needle));
    }
}

/// The same policy, with every field granted plain: it gets what it asks for, not more.
#[tokio::test(flavor = "multi_thread")]
async fn pv_02_a_field_gives_no_more_than_the_policy_asks_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let runtime = runtime(folder.path());
    let names = ["do", "plain", "rider", "phone", "price", "started", "latitude", "absent"];
    let fields: Vec<(String, FieldForm)> = names.iter().map(|name| (format!("/data/{name}"), word("plain"))).collect();
    let fields: Vec<(&str, FieldForm)> = fields.iter().map(|(pointer, form)| (pointer.as_str(), form.clone())).collect();
    let grant = runtime.grant("office", &publisher("*", &fields)).expect("a grant");
    runtime.install_for(grant, guest("snoops"), br#"{"changed":[]}"#.to_vec()).await.expect("taken");
    let (seen, ..) = judge(&runtime, snooped("1", "report")).await;
    let of = |name: &str| seen.get(name).map(String::as_str);
    assert!(of("pseudonym").is_some_and(|text| text.starts_with("p1-")), "{seen:?}");
    assert_eq!([of("mask"), of("price"), of("latitude")], [Some("**********8000"), Some("730000"), Some("39.0")]);
    let absent = json!({INSIDE: ABSENT}).to_string();
    assert_eq!([of("started"), of("absent")], [Some("2026-02-26T18:00:00Z"), Some(absent.as_str())]);
    assert_eq!([of("secret"), of("all"), of("subject")], [None; 3]);
}

fn ride(id: &str, data: Value) -> Value {
    json!({"specversion": "1.0", "id": id, "source": "/tests", "type": "mobility.ride", "time": "2026-03-01T00:00:00Z", "data": data})
}

fn riders() -> Publisher {
    publisher("mobility.*", &["/data/rider", "/data/payer", "/data/friend"].map(|pointer| (pointer, word("pseudonym"))))
}

#[tokio::test(flavor = "multi_thread")]
async fn pv_02_pseudonyms_are_equal_within_a_publisher_and_purpose_and_nowhere_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let at_start = runtime(folder.path());
    let grant = at_start.grant("transport-office", &riders()).expect("a grant");
    at_start.install_for(grant, guest("counts_riders"), b"{}".to_vec()).await.expect("taken");
    let (first, ..) = judge(&at_start, ride("1", json!({"rider": RIDER, "payer": RIDER, "friend": RIDER}))).await;
    assert_eq!(first["rider"], first["payer"], "one purpose");
    assert_ne!(first["rider"], first["friend"], "another purpose");
    let (number, ..) = judge(&at_start, ride("2", json!({"rider": 7, "payer": "7"}))).await;
    assert_ne!(number["rider"], number["payer"], "a number is no text");
    let (again, ..) = judge(&at_start, ride("3", json!({"rider": RIDER}))).await;
    assert_eq!((&again["rider"], again["count"].as_str()), (&first["rider"], "2"));
    at_start.close().await;

    // After a restart the pseudonyms are the same, and so are the keys of the states.
    let restarted = runtime(folder.path());
    let grant = restarted.grant("transport-office", &riders()).expect("a grant");
    restarted.install_for(grant, guest("counts_riders"), b"{}".to_vec()).await.expect("taken");
    let (again, ..) = judge(&restarted, ride("4", json!({"rider": RIDER}))).await;
    assert_eq!((&again["rider"], again["count"].as_str()), (&first["rider"], "3"));

    // Other keys: the states would be lost, and the policy does not say that they may be.
    let other = Publisher { pseudonym_generation: 2, ..riders() };
    let grant = restarted.grant("transport-office", &other).expect("a grant");
    let refused = restarted.install_for(grant.clone(), guest("counts_riders"), b"{}".to_vec()).await.expect_err("refused");
    assert!(matches!(&refused, LoadError::State { problem } if problem.contains("in other forms")), "{refused}");
    restarted.remove("transport-office/counts-riders").await.expect("removed");
    restarted.install_for(grant, guest("counts_riders"), b"{}".to_vec()).await.expect("taken");
    let (rotated, ..) = judge(&restarted, ride("5", json!({"rider": RIDER}))).await;
    assert!(rotated["rider"].starts_with("p2-") && rotated["rider"][3..] != first["rider"][3..] && rotated["count"] == "1");
    restarted.remove("transport-office/counts-riders").await.expect("removed");
    let grant = restarted.grant("another-office", &riders()).expect("a grant");
    restarted.install_for(grant, guest("counts_riders"), b"{}".to_vec()).await.expect("taken");
    let (elsewhere, ..) = judge(&restarted, ride("6", json!({"rider": RIDER}))).await;
    assert_ne!(elsewhere["rider"], first["rider"], "another publisher");
    restarted.close().await;

    let mut bytes = Vec::new();
    all_bytes(folder.path(), &mut bytes);
    assert!(is_in(&bytes, first["rider"].as_bytes()) && !is_in(&bytes, RIDER.as_bytes()), "no rider is on the disk");
}

#[tokio::test(flavor = "multi_thread")]
async fn pv_10_what_is_not_granted_is_refused_and_the_release_in_force_stays() {
    let folder = tempfile::tempdir().expect("a folder");
    let runtime = runtime(folder.path());
    let grant = runtime.grant("transport-office", &riders()).expect("a grant");
    let swap = runtime.install_for(grant, guest("counts_riders"), b"{}".to_vec()).await.expect("taken");
    let narrow = publisher("shop.*", &[("/data/rider", FieldForm { keep: Some(4), ..word("mask") })]);
    let grant = runtime.grant("transport-office", &narrow).expect("a grant");
    let refused = runtime.install_for(grant, guest("counts_riders"), b"{}".to_vec()).await.expect_err("refused");
    assert_eq!(refused.kind(), "grant");
    for part in [
        "transport-office was not granted what the policy counts-riders needs",
        "asks about events `mobility.ride`; granted are `shop.*` only",
        "asks `/data/rider` pseudonym for 'Whose rides are counted'; granted as mask (keep 4)",
    ] {
        assert!(refused.to_string().contains(part), "{part} in {refused}");
    }
    let standing = runtime.policies();
    assert_eq!((standing.len(), &standing[0].release.id), (1, &swap.release));
    assert!(runtime.grant("Transport Office", &riders()).is_err());
    assert!(Grant::development().publisher().is_none());
}

fn check(config: &Path, publisher: &str, component: &str, args: &[&str]) -> Output {
    let component = component_path("guests", component);
    let mut command = Command::new(binary());
    command.args(["grant", "check", "--publisher", publisher, "--config"]).arg(config).arg(component).args(args);
    command.output().expect("the binary starts")
}

#[test]
fn grant_check_says_in_words_what_is_missing() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("ephor.toml");
    let office = |fields: &str| {
        let text = format!(
            "[publishers.transport-office]\nrepository = \"/srv/repo\"\nroot = \"root.json\"\nevents = [\"mobility.*\"]\n\
             [publishers.transport-office.fields]\n{fields}\n"
        );
        std::fs::write(&config, text).expect("a file");
    };
    let out = |output: &Output| String::from_utf8_lossy(&output.stdout).into_owned();
    let err = |output: &Output| String::from_utf8_lossy(&output.stderr).into_owned();

    office("\"/data/rider\" = \"pseudonym\"");
    let shown = check(&config, "transport-office", "counts_riders", &[]);
    assert_eq!(shown.status.code(), Some(0), "{}{}", out(&shown), err(&shown));
    for part in [
        "asks `/data/payer` pseudonym for 'Whose rides are counted'; not granted: it is optional, and will always be absent",
        "asks for the action deny; granted is flag: what `counted` finds counts as flag",
        "mobility.ride",
    ] {
        assert!(out(&shown).contains(part), "{part} in\n{}", out(&shown));
    }

    office("\"/data/rider\" = { form = \"mask\", keep = 4 }");
    let shown = check(&config, "transport-office", "counts_riders", &[]);
    assert_eq!(shown.status.code(), Some(3), "{}", err(&shown));
    let part = "asks `/data/rider` pseudonym for 'Whose rides are counted'; granted as mask (keep 4)";
    assert!(
        out(&shown).contains(part) && err(&shown).contains("no grant for counts-riders, for want of 1 of the 5 things"),
        "{}{}",
        out(&shown),
        err(&shown)
    );
    let shown = check(&config, "transport-office", "counts_riders", &["--json"]);
    assert_eq!(shown.status.code(), Some(3));
    let document: Value = serde_json::from_slice(&shown.stdout).expect("JSON");
    let policy = &document["policies"][0];
    assert_eq!((&policy["taken"], event::text(policy, "policy")), (&json!(false), "counts-riders"));
    let missing: Vec<&Value> = policy["asks"].as_array().expect("asks").iter().filter(|ask| ask["outcome"] == "missing").collect();
    assert_eq!((missing.len(), event::text(missing[0], "what"), event::text(missing[0], "message")), (1, "/data/rider", part));

    let shown = check(&config, "food-office", "counts_riders", &[]);
    assert_eq!(shown.status.code(), Some(2));
    assert!(err(&shown).contains("has no publisher \"food-office\"; it has transport-office"), "{}", err(&shown));
    office("\"/data/rider\" = \"hashed\"\n\"/data/payer\" = \"coarse\"");
    let shown = check(&config, "transport-office", "counts_riders", &[]);
    assert_eq!(shown.status.code(), Some(2));
    for part in
        ["publishers.transport-office.fields.\"/data/rider\" has the form \"hashed\"", "\"/data/payer\" is coarse, but does not say how"]
    {
        assert!(err(&shown).contains(part), "{part} in {}", err(&shown));
    }
}

/// Without a component it is the publisher's own repository that is looked into, with
/// the root that the configuration names.
#[test]
fn grant_check_reads_the_publishers_repository() {
    let folder = tempfile::tempdir().expect("a folder");
    let done = |args: &[&str]| {
        let output = Command::new(binary()).args(args).current_dir(folder.path()).output().expect("the binary starts");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let config = |fields: &str| {
        let text = format!(
            "[publishers.transport-office]\nrepository = \"rules\"\nroot = \"rules/metadata/1.root.json\"\nevents = [\"mobility.*\"]\n\
             [publishers.transport-office.fields]\n{fields}\n"
        );
        std::fs::write(folder.path().join("ephor.toml"), text).expect("a file");
    };
    let check = ["grant", "check", "--config", "ephor.toml", "--publisher", "transport-office"];
    config("\"/data/provider\" = \"plain\"\n\"/data/snapshot_id\" = \"plain\"");
    let (code, out, err) = done(&["repo", "init", "rules", "--publisher", "transport-office"]);
    assert_eq!(code, Some(0), "{out}{err}");
    let (code, out, err) = done(&check);
    assert_eq!((code, out.trim()), (Some(0), "Nothing is released yet."), "{err}");
    let (component, settings) = (component_path("policies", "fleet-cap"), workspace().join("policies/fleet-cap/settings.json"));
    let path = |path: &Path| path.to_str().expect("a path in UTF-8").to_string();
    let released = done(&[
        "repo",
        "release",
        "rules",
        "--component",
        &path(&component),
        "--settings",
        &path(&settings),
        "--version",
        "1.0.0",
        "--legal-basis",
        "Shared Mobility Ordinance, section 4",
        "--jurisdiction",
        "US-OH-Columbus",
    ]);
    assert_eq!(released.0, Some(0), "{released:?}");
    let (code, out, err) = done(&check);
    assert!(code == Some(0) && out.contains("fleet-cap") && out.contains("/data/provider"), "{out}{err}");
    config("\"/data/provider\" = \"pseudonym\"");
    let (code, out, err) = done(&check);
    assert_eq!(code, Some(3), "{err}");
    assert!(out.contains("asks `/data/provider` plain for") && out.contains("; granted as pseudonym"), "{out}");
    std::fs::write(folder.path().join("rules/metadata/timestamp.json"), "{}").expect("a file");
    let (code, _, err) = done(&check);
    assert!(code == Some(3) && err.contains("the repository would be refused ["), "{err}");
}
