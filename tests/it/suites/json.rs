//! JSONTestSuite: texts that are JSON, texts that are none, and texts that readers of JSON
//! differ on. Each of them as the data of an event, in both modes.
//!
//! An event must mean the same to everybody who reads it. So what is JSON is taken, but for
//! the two files that say a name twice in one object, which readers differ on although the
//! grammar has it; and of what the suite leaves to each reader, all is refused that two of
//! them would read as something else.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use ephor::ingest::{self, Limits};
use ephor_tests::Ephor;
use ephor_tests::raw::{self, Raw};

/// Files of `y_` that are refused on purpose.
const TWICE: [&str; 2] = ["y_object_duplicated_key.json", "y_object_duplicated_key_and_value.json"];

/// The `n_` file that is no text at all: an event may have no data, so in binary mode, where
/// the data is the body, it is none.
const NOTHING: &str = "n_structure_no_data.json";

/// Numbers that are nearer to zero than binary64 has: every reader makes them zero.
const ZERO: [&str; 3] = ["i_number_double_huge_neg_exp.json", "i_number_real_underflow.json", "number_1e-999.json"];

/// What is refused of the files whose reading is left open, by the word of the refusal.
const REFUSED: [(&str, &[&str]); 5] = [
    // Infinity to some, an error to others; or an integer that loses its last digits.
    (
        "number",
        &[
            "i_number_huge_exp.json",
            "i_number_neg_int_huge_exp.json",
            "i_number_pos_double_huge_exp.json",
            "i_number_real_neg_overflow.json",
            "i_number_real_pos_overflow.json",
            "i_number_too_big_neg_int.json",
            "i_number_too_big_pos_int.json",
            "i_number_very_big_negative_int.json",
            "number_-9223372036854775809.json",
            "number_10000000000000000999.json",
            "number_9223372036854775808.json",
        ],
    ),
    // Half a pair: kept by some, replaced by others, refused by the rest.
    (
        "syntax",
        &[
            "i_object_key_lone_2nd_surrogate.json",
            "i_string_1st_surrogate_but_2nd_missing.json",
            "i_string_1st_valid_surrogate_2nd_invalid.json",
            "i_string_incomplete_surrogate_and_escape_valid.json",
            "i_string_incomplete_surrogate_pair.json",
            "i_string_incomplete_surrogates_escape_valid.json",
            "i_string_invalid_lonely_surrogate.json",
            "i_string_invalid_surrogate.json",
            "i_string_inverted_surrogates_U+1D11E.json",
            "i_string_lone_second_surrogate.json",
            "string_1_escaped_invalid_codepoint.json",
            "string_2_escaped_invalid_codepoints.json",
            "string_3_escaped_invalid_codepoints.json",
        ],
    ),
    // No UTF-8, or a mark in front of it.
    (
        "encoding",
        &[
            "i_string_UTF-16LE_with_BOM.json",
            "i_string_utf16BE_no_BOM.json",
            "i_string_utf16LE_no_BOM.json",
            "i_string_UTF-8_invalid_sequence.json",
            "i_string_UTF8_surrogate_U+D800.json",
            "i_string_invalid_utf-8.json",
            "i_string_iso_latin_1.json",
            "i_string_lone_utf8_continuation_byte.json",
            "i_string_not_in_unicode_range.json",
            "i_string_overlong_sequence_2_bytes.json",
            "i_string_overlong_sequence_6_bytes.json",
            "i_string_overlong_sequence_6_bytes_null.json",
            "i_string_truncated-utf-8.json",
            "i_structure_UTF-8_BOM_empty_object.json",
            "string_1_invalid_codepoint.json",
            "string_2_invalid_codepoints.json",
            "string_3_invalid_codepoints.json",
        ],
    ),
    ("depth", &["i_structure_500_nested_arrays.json"]),
    (
        "duplicate-name",
        &["object_same_key_different_values.json", "object_same_key_same_value.json", "object_same_key_unclear_values.json"],
    ),
];

/// The files of a folder, by name.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let listed = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let all = listed.map(|entry| entry.expect("an entry").path()).filter(|path| path.extension().is_some_and(|end| end == "json"));
    all.map(|path| (path.file_name().and_then(|name| name.to_str()).expect("a name").to_string(), fs::read(&path).expect("a file")))
        .collect()
}

/// The refusal of a text as the body of an event in binary mode, over HTTP.
fn as_body(ephor: &Ephor, connection: &mut Raw, name: &str, text: &[u8]) -> Option<String> {
    let id = format!("{:x}", name.bytes().fold(7_u64, |hash, byte| hash.wrapping_mul(31).wrapping_add(u64::from(byte))));
    let headers = [
        ("ce-specversion", "1.0"),
        ("ce-id", id.as_str()),
        ("ce-source", "/suite"),
        ("ce-type", "json"),
        ("content-type", "application/json"),
    ];
    connection.write(raw::post(&headers, text));
    let answer = connection.read().unwrap_or_else(|error| panic!("{name}: {error}"));
    if answer.closes() {
        *connection = Raw::connect(ephor.address());
    }
    match answer.status {
        200 => None,
        400 => answer.json()["type"].as_str().and_then(|kind| kind.rsplit(':').next()).map(str::to_string),
        other => panic!("{name}: {other}: {}", answer.text()),
    }
}

/// The same in structured mode, without HTTP.
fn inside(text: &[u8]) -> Option<String> {
    let whole = [&br#"{"specversion":"1.0","id":"1","source":"/suite","type":"json","data":"#[..], text, b"}"].concat();
    ingest::structured(&whole, &Limits::default()).err().map(|rejection| rejection.kind.name().to_string())
}

#[test]
#[ignore = "needs a suite from outside: make suites DIR=…"]
#[expect(clippy::print_stdout, reason = "the counts are what is asked for")]
fn ht_13_what_is_json_is_taken_what_is_none_is_refused_and_the_rest_stands_in_a_table() {
    let suite = super::folder("JSONTestSuite", "nst/JSONTestSuite");
    let mut all = files(&suite.join("test_parsing"));
    let parsing = all.len();
    all.extend(files(&suite.join("test_transform")));
    let open: BTreeMap<&str, &str> = REFUSED.iter().flat_map(|(word, names)| names.iter().map(move |name| (*name, *word))).collect();
    let ephor = Ephor::start(&["--in-memory"]);
    let mut connection = Raw::connect(ephor.address());
    let (mut wrong, mut counts) = (Vec::new(), [[0; 2]; 4]);
    for (name, text) in &all {
        let (body, member) = (as_body(&ephor, &mut connection, name, text), inside(text));
        let (group, expected): (usize, [Option<&str>; 2]) = match name.as_bytes() {
            [b'y', b'_', ..] if TWICE.contains(&name.as_str()) => (0, [Some("duplicate-name"); 2]),
            [b'y', b'_', ..] => (0, [None; 2]),
            _ if name == NOTHING => (1, [None, Some("any")]),
            [b'n', b'_', ..] => (1, [Some("any"); 2]),
            [first, ..] => {
                let expected = open.get(name.as_str()).copied();
                (if *first == b'i' { 2 } else { 3 }, [expected; 2])
            }
            [] => continue,
        };
        counts[group][usize::from(body.is_some())] += 1;
        for (way, found, expected) in [("body", &body, expected[0]), ("member", &member, expected[1])] {
            // A mark in front of a text is one only where the text begins.
            let is_right = match expected {
                Some("any") => found.is_some(),
                Some("encoding") if way == "member" => found.is_some(),
                expected => found.as_deref() == expected,
            };
            if !is_right {
                wrong.push(format!("{name} as a {way}: {found:?}, expected {expected:?}"));
            }
        }
    }
    let [y, n, i, other] = counts;
    println!(
        "JSONTestSuite: {} of {} y_ files accepted ({} say a name twice), {} of {} n_ files refused (1 is no data), {} of {} i_ files refused; of {} texts to transform {} refused",
        y[0],
        y[0] + y[1],
        TWICE.len(),
        n[1],
        n[0] + n[1],
        i[1],
        i[0] + i[1],
        other[0] + other[1],
        other[1]
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(
        y[0] + y[1] >= 95 && n[0] + n[1] >= 188 && i[0] + i[1] >= 35 && all.len() - parsing >= 22,
        "the suite is not whole: {counts:?}"
    );
    for name in open.keys().chain(&ZERO).chain(&TWICE).chain([&NOTHING]) {
        assert!(all.contains_key(*name), "the suite has no {name} any more");
    }
}
