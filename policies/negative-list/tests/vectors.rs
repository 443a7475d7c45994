//! The vectors, and the settings that are published with the policy.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use ephor_sdk::serde_json::{Value, from_str};
use ephor_sdk::testing::{Policy, vectors};
use flate2::read::MultiGzDecoder;
use negative_list::NegativeList;

#[test]
fn says_what_the_vectors_expect() {
    vectors::<NegativeList>("vectors");
}

#[test]
fn takes_the_published_settings() {
    let settings = include_str!("../settings.json");
    Policy::<NegativeList>::new(settings).expect("the settings are good");
}

/// Each word by itself, at every place of a line in capitals.
#[test]
fn real_lines_have_what_a_plain_search_finds() {
    let settings: Value = from_str(include_str!("../settings.json")).expect("settings in JSON");
    let words: Vec<&str> = settings["words"].as_array().expect("words").iter().filter_map(Value::as_str).collect();
    let mut policy = Policy::<NegativeList>::new(&settings.to_string()).expect("the settings are good");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/sample/retail.ndjson.gz");
    let file = File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let (mut lines, mut found) = (0, 0);
    for line in BufReader::new(MultiGzDecoder::new(file)).lines() {
        let event: Value = from_str(&line.expect("a line")).expect("an event in JSON");
        let description = event["data"]["description"].as_str().unwrap_or("").to_uppercase();
        let alone = |at: usize, word: &str| {
            let adjoins = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
            !adjoins(description[..at].chars().next_back()) && !adjoins(description[at + word.len()..].chars().next())
        };
        let mut expected: Vec<(usize, &str)> = Vec::new();
        for word in &words {
            expected.extend(description.match_indices(word).find(|&(at, _)| alone(at, word)).map(|(at, _)| (at, *word)));
        }
        expected.sort_unstable();
        let judged = policy.judge(&[event]);
        let ours: Vec<&str> = judged[0].findings().iter().map(|finding| finding.evidence["word"].as_str()).collect();
        assert_eq!(ours, expected.into_iter().map(|(_, word)| word).collect::<Vec<_>>(), "{description}");
        (lines, found) = (lines + 1, found + ours.len());
    }
    assert_eq!((lines, found), (28_611, 1_985));
}
