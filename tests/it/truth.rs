//! The policies' findings on real events against answers that were computed
//! without any code of ours (`truth.json`).

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use ephor_tests::client::Version;
use ephor_tests::data::{self, Set};
use ephor_tests::{Ephor, event, policy, settings};
use serde_json::Value;

/// What the policies found, counted as `truth.json` counts.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    events: u64,
    /// `Spin/no_ride`: events with a finding of this boundary type.
    by_provider_and_type: BTreeMap<String, u64>,
    /// Index of the boundary: events inside.
    by_boundary: BTreeMap<u64, u64>,
    /// Provider and snapshot with a finding of `fleet-cap`.
    over_cap: BTreeSet<(String, String)>,
    over_cap_findings: u64,
    by_word: BTreeMap<String, u64>,
}

impl Counts {
    /// Adds one answer.
    fn add(&mut self, answer: &Value) {
        assert!(answer["verdict"].is_string() && answer.get("faults").is_none(), "an event that was not judged: {answer}");
        self.events += 1;
        let provider = match event::text(answer, "source") {
            "/columbus/gbfs/spin" => "Spin",
            "/columbus/gbfs/veo" => "Veo",
            _ => "",
        };
        let mut boundaries = BTreeSet::new();
        for finding in event::findings(answer, "geofence") {
            let kind = event::text(finding, "rule").replace('-', "_");
            *self.by_provider_and_type.entry(format!("{provider}/{kind}")).or_default() += 1;
            boundaries.extend(numbers(event::text(&finding["evidence"], "indices")));
        }
        for boundary in boundaries {
            *self.by_boundary.entry(boundary).or_default() += 1;
        }
        for _ in event::findings(answer, "fleet-cap") {
            self.over_cap_findings += 1;
            let (snapshot, _) = event::text(answer, "id").split_once('-').expect("an id begins with the snapshot");
            self.over_cap.insert((provider.to_string(), snapshot.to_string()));
        }
        // One finding a word, however often it is there.
        for finding in event::findings(answer, "negative-list") {
            *self.by_word.entry(event::text(&finding["evidence"], "word").to_string()).or_default() += 1;
        }
    }
}

fn numbers(text: &str) -> impl Iterator<Item = u64> {
    text.split(|c: char| !c.is_ascii_digit()).filter(|part| !part.is_empty()).map(|part| part.parse().expect("digits"))
}

/// Streams all events over one connection and counts the answers.
async fn count(ephor: &Ephor, events: Vec<String>) -> Counts {
    let (mut sending, mut answers) = ephor.stream(Version::Http1, &[]).await;
    let expected = events.len() as u64;
    let sender = tokio::spawn(async move {
        for chunk in events.chunks(512) {
            let mut text = chunk.join("\n");
            text.push('\n');
            if !sending.send(Bytes::from(text)).await {
                return;
            }
        }
    });
    assert_eq!(answers.status().await, 200);
    let mut counts = Counts::default();
    let mut last = None;
    while let Some(answer) = answers.next().await {
        counts.add(&answer);
        let sequence = event::sequence(&answer);
        assert!(last.is_none_or(|last| last < sequence), "answers come in order: {answer}");
        last = Some(sequence);
    }
    sender.await.expect("the sender ends");
    assert_eq!(counts.events, expected, "every event has one verdict");
    counts
}

async fn server() -> Ephor {
    let ephor = Ephor::start(&[]);
    for name in ["geofence", "fleet-cap", "negative-list"] {
        ephor.put(name, &policy(name), &settings(name)).await.succeeded();
    }
    ephor
}

/// A table of counts in `truth.json`, without entries of zero.
fn table(value: &Value) -> BTreeMap<String, u64> {
    let members = value.as_object().unwrap_or_else(|| panic!("no table of counts in {value}"));
    members.iter().map(|(name, count)| (name.clone(), count.as_u64().expect("a count"))).filter(|(_, count)| *count > 0).collect()
}

fn list<'a>(truth: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    truth[name].as_array().unwrap_or_else(|| panic!("no list {name} in truth.json")).iter()
}

/// What `geofence` found against the answers, which both files have alike.
fn assert_geofence(counts: &Counts, truth: &Value) {
    assert_eq!(counts.by_provider_and_type, table(&truth["observations_inside_any_by_provider_type"]));
    let by_boundary: BTreeMap<u64, u64> = list(truth, "geofence_hits_per_boundary")
        .map(|row| (row["index"].as_u64().expect("an index"), row["observations_inside"].as_u64().expect("a count")))
        .filter(|(_, count)| *count > 0)
        .collect();
    assert_eq!(counts.by_boundary, by_boundary);
}

/// What `fleet-cap` found against the sizes of the fleets, `(snapshot, provider, vehicles)`.
fn assert_fleet_cap<'a>(counts: &Counts, fleets: impl Iterator<Item = (&'a str, &'a str, &'a Value)>, breaches: &Value) {
    let over = fleets.filter(|(.., vehicles)| vehicles.as_u64().expect("a count") > 2_000);
    let over: BTreeSet<(String, String)> = over.map(|(snapshot, provider, _)| (provider.to_string(), snapshot.to_string())).collect();
    assert_eq!(counts.over_cap, over);
    // Once a snapshot, however many vehicles there are too many.
    assert_eq!(counts.over_cap_findings, over.len() as u64);
    let mut by_provider = BTreeMap::new();
    for (provider, _) in over {
        *by_provider.entry(provider).or_default() += 1;
    }
    assert_eq!(by_provider, table(breaches), "snapshots over the cap, by provider");
}

fn count_of(value: &Value, name: &str) -> u64 {
    value[name].as_u64().unwrap_or_else(|| panic!("no count {name} in truth.json"))
}

/// The words of the negative list that `truth.json` has answers for.
const WORDS: [&str; 4] = ["CIGAR", "WINE", "MATCHES", "KNIFE"];

fn by_word(counts: &Counts) -> [u64; 4] {
    WORDS.map(|word| counts.by_word.get(word).copied().unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sample_gives_its_answers() {
    let ephor = server().await;
    let truth = data::sample_truth();

    let columbus = count(&ephor, data::sample(Set::Columbus)).await;
    assert_eq!(columbus.events, count_of(&truth["columbus"], "events"));
    assert_geofence(&columbus, &truth["columbus"]);
    let fleets = table(&truth["columbus"]["vehicles_by_snapshot_provider"]);
    let fleets: Vec<(&str, &str, Value)> = fleets
        .iter()
        .map(|(key, vehicles)| {
            key.split_once('/').map(|(snapshot, provider)| (snapshot, provider, Value::from(*vehicles))).expect("snapshot/provider")
        })
        .collect();
    assert_fleet_cap(
        &columbus,
        fleets.iter().map(|(snapshot, provider, vehicles)| (*snapshot, *provider, vehicles)),
        &truth["columbus"]["cap_2000_breaches"],
    );

    let retail = count(&ephor, data::sample(Set::Retail)).await;
    assert_eq!(retail.events, count_of(&truth["retail"], "events"));
    assert_eq!(by_word(&retail), WORDS.map(|word| count_of(&truth["retail"]["lines_with_word"], word)));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_full_data_gives_its_answers() {
    let Some(folder) = data::full_folder() else {
        data::left_out("truth on the full data", "there is no ../shared/data, and EPHOR_DATA names no folder that has it");
        return;
    };
    let ephor = server().await;
    let columbus = count(&ephor, data::full(&folder, Set::Columbus)).await;
    let truth = data::full_truth(&folder, Set::Columbus);
    assert_eq!((columbus.events, count_of(&truth, "observations")), (160_561, 160_561));
    assert_geofence(&columbus, &truth);
    let fleets = list(&truth, "cap_2000_rows").map(|row| (event::text(row, "snapshot"), event::text(row, "provider"), &row["count"]));
    assert_fleet_cap(&columbus, fleets, &truth["cap_2000_breaches"]);
    assert_eq!(columbus.over_cap.len(), 45);

    let retail = count(&ephor, data::full(&folder, Set::Retail)).await;
    let truth = data::full_truth(&folder, Set::Retail);
    assert_eq!((retail.events, count_of(&truth, "rows")), (541_909, 541_909));
    assert_eq!(by_word(&retail), WORDS.map(|word| count_of(&truth, &format!("listing_word_{word}"))));
    assert_eq!(by_word(&retail), [390, 807, 788, 0]);
}
