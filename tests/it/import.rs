//! `ephor import mds`: documents of both versions, what they cannot give, and the real
//! export of a city, judged by the policy with the settings that come out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Output;

use bytes::Bytes;
use ephor_tests::client::Version;
use ephor_tests::data::{self, Set};
use ephor_tests::{Ephor, event, policy, workspace};
use serde_json::{Value, json};

use crate::cli::{assert_exit, ephor, out};

const VEO: &str = "6e39f9db-751b-5cea-ae7e-486f579a56bc=Veo";
const OHIO: &str = "EST5EDT,M3.2.0,M11.1.0";

fn document(name: &str) -> String {
    utf8(&workspace().join("tests/data/mds").join(name))
}

fn utf8(path: &Path) -> String {
    path.to_str().expect("a path in UTF-8").to_string()
}

/// Imports a document with its geographies, with more arguments, into a file of the folder.
fn import(folder: &Path, policies: &str, geographies: &str, more: &[&str]) -> (Output, PathBuf) {
    let file = folder.join("settings.json");
    let (policies, geographies, to) = (document(policies), document(geographies), utf8(&file));
    let args = ["import", "mds", policies.as_str(), "--geographies", &geographies, "--out", &to];
    (ephor(&[&args, more].concat()), file)
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn read(path: &Path) -> Value {
    let text = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn both_versions_give_the_same_settings() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut settings = Vec::new();
    for version in ["1.2", "2.0"] {
        let (policies, geographies) = (format!("policies-{version}.json"), format!("geographies-{version}.json"));
        let (done, file) = import(folder.path(), &policies, &geographies, &["--zone", OHIO, "--provider", VEO]);
        assert_exit(&done, 0);
        assert!(out(&done).contains("policies 4, rules 8, geographies 4") && out(&done).contains("not taken over: 0"), "{}", out(&done));
        settings.push(read(&file));
    }
    assert_eq!(settings[0], settings[1]);
    let settings = &settings[0];
    assert_eq!(settings["zone"], OHIO);
    let limits = settings["policies"].as_array().expect("policies").iter().map(|policy| {
        let rules = policy["rules"].as_array().expect("rules");
        rules.iter().map(|rule| rule["limit"].clone()).collect::<Vec<_>>()
    });
    assert_eq!(
        limits.collect::<Vec<_>>(),
        [
            vec![json!({"kind": "none"}), json!({"kind": "no_ride"}), json!({"kind": "no_parking"})],
            vec![json!({"kind": "time", "maximum_minutes": 4_320}), json!({"kind": "time", "maximum_minutes": 1_440})],
            vec![json!({"kind": "speed", "maximum": 8, "unit": "mph"}), json!({"kind": "speed", "maximum": 25, "unit": "kph"})],
            vec![json!({"kind": "no_vehicles"})],
        ]
    );
    let places = settings["geographies"].as_array().expect("geographies").iter().map(|place| place["name"].as_str());
    assert_eq!(places.collect::<Vec<_>>(), ["City", "Parks", "Parks", "Hub"].map(Some));
    assert_eq!(settings["policies"][1]["providers"], json!(["Veo"]));
    let weekend = &settings["policies"][2]["rules"][0];
    assert_eq!((&weekend["days"], &weekend["from"], &weekend["until"]), (&json!(["saturday", "sunday"]), &json!("12:00:00"), &Value::Null));
    // Replaced before its own end by the policy behind it.
    assert_eq!(settings["policies"][2]["end_ms"], settings["policies"][3]["start_ms"]);
    // Altitudes go, and numbers stay as they were written.
    assert_eq!(settings["geographies"][3]["geometry"]["coordinates"][0][0], json!([-83.005, 39.965]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_out_is_what_the_policy_takes() {
    let folder = tempfile::tempdir().expect("a folder");
    let (done, file) = import(folder.path(), "policies-2.0.json", "geographies-2.0.json", &["--zone", OHIO, "--provider", VEO]);
    assert_exit(&done, 0);
    let ephor = Ephor::start(&[]);
    ephor.put("mds", &policy("mds"), &std::fs::read_to_string(file).expect("the settings")).await.succeeded();
}

#[test]
fn what_cannot_be_taken_over_is_told_with_its_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let lines = [
        "/data/policies/0/rules/0/maximum (Fleet, At most 500): the policy mds judges each vehicle by itself",
        "/data/policies/0/rules/1/minimum (Fleet, At least 10): the policy mds judges each vehicle by itself",
        "/data/policies/1/rules/0/states/available (Trips, Ends): which event led to the state cannot be seen",
        "/data/policies/1/rules/0 (Trips, Ends): rules behind it that are left out as well, because it decides for whom they hold: 1",
        "/data/policies/2/rules/0/rate_amount (Odds, A fee): is a fee",
        "/data/policies/2/rules/1/rule_type (Odds, Helmets): tells riders something",
        "/data/policies/2/rules/2/maximum (Odds, Seconds): the settings have whole minutes",
        "/data/policies/2/rules/3/inclusive_maximum (Odds, Half open): the settings have limits that are allowed themselves",
        "/data/policies/2/rules/4/value_url (Odds, Asks): a policy cannot ask anybody",
        "/data/policies/2/rules/5/rule_units (Odds, Speed in hours): expected mph or kph",
        "/data/policies/2/rules/6/geographies/0 (Odds, Nowhere): there is no geography 00000001-0000-4000-8000-000000000009",
        "/data/policies/2/rules/6/days/1 (Odds, Nowhere): expected one of sun, mon",
    ];
    let of_1 = [
        "/data/policies/3/provider_ids/0 (Spin only): what events call this provider is not known; give --provider 70aa475d",
        "/data/policies/4/rules/0/geographies/0 (At a stop, Stop): /data/geographies/3/geography_json/features/0/geometry/type: expected a Polygon",
        "/data/policies/4/rules/0/propulsion_types (At a stop, Stop): cannot be seen of a vehicle",
    ];
    let of_2 = [
        "/data/policies/3/colour (Spin only): MDS has no such member of a policy",
        "/data/policies/3/provider_ids/0 (Spin only): what events call this provider is not known; give --provider 70aa475d",
        "/data/policies/4/mode_id (At a stop): events of the mode \"passenger-services\" cannot be told from others",
    ];
    for (name, more) in [("bad-1.2.json", of_1), ("bad-2.0.json", of_2)] {
        let (done, file) = import(folder.path(), name, "geographies-1.2.json", &["--zone", "UTC0"]);
        assert_exit(&done, 3);
        assert!(!file.exists(), "nothing is written");
        let said = err(&done);
        let mut said = said.lines();
        for expected in lines.iter().chain(&more) {
            let line = said.next().unwrap_or_default();
            assert!(line.starts_with(expected), "{name}: {expected:?} expected, but: {line}");
        }
        assert_eq!(said.next(), Some("ephor: not taken over: 15, see above; --skip leaves that out"));

        let (done, file) = import(folder.path(), name, "geographies-1.2.json", &["--zone", "UTC0", "--skip"]);
        assert_exit(&done, 0);
        let settings = read(&file);
        // Whom the two counts are about, the rule behind them is still not about.
        let rules = settings["policies"][0]["rules"].as_array().expect("rules");
        let kinds: Vec<_> = rules.iter().map(|rule| event::text(&rule["limit"], "kind")).collect();
        assert_eq!((settings["policies"].as_array().map(Vec::len), kinds), (Some(1), vec!["none", "none", "no_vehicles"]));
        std::fs::remove_file(file).expect("removed");
    }
}

/// Puts a value into a document at a place and imports that.
fn broken(folder: &Path, name: &str, pointer: &str, value: Value) -> String {
    let mut document = read(Path::new(&document(name)));
    let (parent, member) = pointer.rsplit_once('/').expect("a pointer");
    let place = document.pointer_mut(parent).unwrap_or_else(|| panic!("{name} has {parent}"));
    match place {
        Value::Array(list) => list[member.parse::<usize>().expect("an index")] = value,
        place => place[member] = value,
    }
    let broken = folder.join(name);
    std::fs::write(&broken, document.to_string()).expect("written");
    let (broken, to) = (utf8(&broken), utf8(&folder.join("settings.json")));
    let good = |part: &str| self::document(&format!("{part}-1.2.json"));
    let (policies, geographies) = if name.starts_with("policies") { (broken, good("geographies")) } else { (good("policies"), broken) };
    let done = ephor(&["import", "mds", &policies, "--geographies", &geographies, "--zone", "UTC0", "--provider", VEO, "--out", &to]);
    assert_exit(&done, 3);
    err(&done)
}

#[test]
fn documents_that_are_none_are_refused_with_the_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let ring = "/data/geographies/0/geography_json/features/0/geometry/coordinates/0";
    for (name, pointer, value, problem) in [
        ("policies-1.2.json", "/version", json!("0.4.0"), "/version: expected 1.2 or 2.0 of MDS, found \"0.4.0\""),
        ("policies-1.2.json", "/data/policies", json!({}), "/data/policies: expected a list of policies"),
        ("policies-1.2.json", "/data/policies/1/start_date", json!("2026-01-01"), "/data/policies/1/start_date: invalid type: string"),
        (
            "policies-1.2.json",
            "/data/policies/0/rules/1/maximum",
            json!(1.5),
            "/data/policies/0/rules/1/maximum: invalid type: floating point",
        ),
        (
            "policies-1.2.json",
            "/data/policies/0/rules/1/states/on_trip",
            json!("all"),
            "/data/policies/0/rules/1/states/on_trip: invalid type",
        ),
        (
            "geographies-1.2.json",
            "/data/geographies/1/geography_id",
            json!("00000001-0000-4000-8000-000000000001"),
            "/data/geographies/1/geography_id: another geography has this id",
        ),
    ] {
        let said = broken(folder.path(), name, pointer, value);
        assert!(said.contains(problem) && said.contains(name), "{pointer}: {problem:?} expected, but: {said}");
    }
    // What is wrong with a geography is told with the rule that names it.
    for (pointer, value, problem) in [
        (ring.to_string(), json!([[0, 0], [1, 1], [0, 0]]), format!("{ring}: expected four positions or more")),
        (
            format!("{ring}/1"),
            json!([39.9, -183.0]),
            format!("{ring}/1/1: expected longitude (-180 to 180), then latitude (-90 to 90), found -183.0"),
        ),
        (format!("{ring}/2"), json!([-83.0]), format!("{ring}/2: expected longitude and latitude")),
    ] {
        let said = broken(folder.path(), "geographies-1.2.json", &pointer, value);
        assert!(said.contains(&problem) && said.contains("/data/policies/1/rules/0/geographies/0"), "{problem:?} expected, but: {said}");
    }
}

#[test]
fn wrong_arguments() {
    let folder = tempfile::tempdir().expect("a folder");
    let good = ["policies-1.2.json", "geographies-1.2.json"];
    for (more, exit, problem) in [
        (vec!["--zone", "EST5EDT"], 2, "--zone: \"EST5EDT\" is no POSIX time zone, such as EST5EDT,M3.2.0,M11.1.0"),
        (vec!["--zone", "America/Atlantis"], 2, "give the POSIX text"),
        (vec!["--zone", "UTC0", "--policy", "none"], 3, "there is no policy with the id \"none\""),
        (vec!["--zone", "UTC0", "--provider", "Veo"], 2, "expected two names with a = between them"),
        (vec!["--zone", "UTC0", "--moved", "7"], 2, "--moved: expected 0 to 1"),
    ] {
        let (done, _) = import(folder.path(), good[0], good[1], &more);
        assert_exit(&done, exit);
        assert!(err(&done).contains(problem), "{more:?}: {}", err(&done));
    }
    let (policies, to) = (document(good[0]), utf8(&folder.path().join("settings.json")));
    let done = ephor(&["import", "mds", &policies, "--zone", "UTC0", "--out", &to]);
    assert_exit(&done, 3);
    assert!(err(&done).contains("--geographies FILE"), "{}", err(&done));
}

/// All boundaries that Columbus publishes, and all vehicles: what `geofence` is held
/// against, by way of the importer.
#[tokio::test(flavor = "multi_thread")]
async fn the_export_of_columbus_gives_its_answers() {
    let Some(full) = data::full_folder() else {
        return data::left_out("the export of Columbus", "there is no ../shared/data, and EPHOR_DATA names no folder that has it");
    };
    let folder = tempfile::tempdir().expect("a folder");
    let (export, file) = (full.join("columbus/data-policy.json"), folder.path().join("settings.json"));
    let done = ephor(&["import", "mds", &utf8(&export), "--zone", OHIO, "--out", &utf8(&file)]);
    assert_exit(&done, 0);
    assert!(out(&done).contains("policies 17, rules 17, geographies 48"), "{}", out(&done));

    let ephor = Ephor::start(&[]);
    ephor.put("mds", &policy("mds"), &std::fs::read_to_string(&file).expect("the settings")).await.succeeded();
    let events = data::full(&full, Set::Columbus);
    let (mut sending, mut answers) = ephor.stream(Version::Http1, &[]).await;
    let expected = events.len() as u64;
    let sender = tokio::spawn(async move {
        for chunk in events.chunks(512) {
            if !sending.send(Bytes::from(chunk.join("\n") + "\n")).await {
                return;
            }
        }
    });
    assert_eq!(answers.status().await, 200);
    let mut count = 0;
    let (mut by_kind, mut by_place) = (BTreeMap::<String, u64>::new(), BTreeMap::<(String, String), u64>::new());
    while let Some(answer) = answers.next().await {
        count += 1;
        let provider = if event::text(&answer, "source").ends_with("/veo") { "Veo" } else { "Spin" };
        let mut kinds = std::collections::BTreeSet::new();
        for finding in event::findings(&answer, "mds") {
            let evidence = &finding["evidence"];
            kinds.insert(event::text(finding, "rule").replace('-', "_"));
            for place in event::text(evidence, "geography_ids").split("; ") {
                *by_place.entry((event::text(evidence, "policy").to_string(), place.to_string())).or_default() += 1;
            }
        }
        for kind in kinds {
            *by_kind.entry(format!("{provider}/{kind}")).or_default() += 1;
        }
    }
    sender.await.expect("the sender ends");
    assert_eq!(count, expected, "every event has one verdict");

    let truth = data::full_truth(&full, Set::Columbus);
    let table = truth["observations_inside_any_by_provider_type"].as_object().expect("a table");
    let table: BTreeMap<String, u64> = table.iter().map(|(name, count)| (name.clone(), count.as_u64().expect("a count"))).collect();
    assert_eq!(by_kind, table);
    // Boundaries are parts of a policy's geographies, in their order.
    let mut parts = BTreeMap::<(String, String), u64>::new();
    let mut boundaries = BTreeMap::new();
    for boundary in truth["geofence_hits_per_boundary"].as_array().expect("a list") {
        let (policy, id) = (event::text(boundary, "policy").to_string(), event::text(boundary, "geography_id").to_string());
        let part = parts.entry((policy.clone(), id.clone())).or_default();
        let inside = boundary["observations_inside"].as_u64().expect("a count");
        if inside > 0 {
            boundaries.insert((policy, format!("{id}/{part}")), inside);
        }
        *part += 1;
    }
    assert_eq!(by_place, boundaries);
    assert!(by_place.values().any(|count| *count == 3_776), "the boundary that crosses itself");
}
