//! What the book says about files of rules.

#![cfg(feature = "author")]

use std::collections::BTreeSet;
use std::path::Path;

use ephor_table::author::compile;
use ephor_table::functions::{FUNCTIONS, SPECIAL};

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What stands between a marker and the next line of backticks.
fn block<'a>(text: &'a str, marker: &str) -> &'a str {
    let (_, rest) = text.split_once(marker).unwrap_or_else(|| panic!("{marker} in the book"));
    rest.split_once("```").unwrap_or_else(|| panic!("an end of {marker}")).0
}

#[test]
fn the_file_in_the_book_is_a_good_one() {
    let book = read("sdk/book/table.md");
    let program = compile(block(&book, "```toml\n")).unwrap_or_else(|problems| panic!("{problems:#?}"));
    assert_eq!(program.name, "big-orders");
}

/// That its findings are right is held against a component, with the tests of the runtime.
#[test]
fn the_vectors_in_the_book_have_an_answer_for_each_event() {
    let book = read("sdk/book/table.md");
    let vectors: serde_json::Value = serde_json::from_str(block(&book, "```json\n")).expect("JSON");
    let length = |name: &str| vectors[name].as_array().map(Vec::len);
    assert!(length("events") > Some(0) && length("events") == length("expect"));
}

#[test]
fn the_twin_of_the_library_is_a_good_one() {
    let program = compile(&read("policies/negative-list/rules.toml")).unwrap_or_else(|problems| panic!("{problems:#?}"));
    assert_eq!(program.name, "negative-list");
}

#[test]
fn every_function_is_in_the_book_and_no_other() {
    let book = read("sdk/book/table.md");
    let (_, rest) = book.split_once("### Functions\n").expect("the functions");
    let (table, _) = rest.split_once("\n### ").expect("what comes next");
    let mut described = BTreeSet::new();
    for row in table.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').collect();
        let [calls, about] = cells[..] else { panic!("two columns: {row}") };
        for call in calls.split('`').skip(1).step_by(2) {
            let (name, is_member) = match call.split_once('(').expect("a call").0.rsplit_once('.') {
                Some((_, name)) => (name, true),
                None => (call.split('(').next().unwrap_or_default(), false),
            };
            let known: Vec<_> = FUNCTIONS.iter().filter(|function| function.name == name && function.is_member == is_member).collect();
            assert!(!known.is_empty(), "the book has {call}, which there is not");
            let is_own = about.contains("not of CEL");
            assert!(known.iter().all(|function| function.is_cel != is_own), "whether {call} is of CEL");
            described.insert((name, is_member));
        }
    }
    let all: BTreeSet<_> = FUNCTIONS.iter().map(|function| (function.name, function.is_member)).collect();
    assert_eq!(described, all);
    for name in SPECIAL {
        assert!(book.contains(&format!("{name}(")), "{name} in the book");
    }
}
