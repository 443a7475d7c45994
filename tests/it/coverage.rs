//! Which case of the list of what can go wrong is tried by which test: `tests/COVERAGE.md`.
//!
//! A test has the case's id at the front of its name, `ws_01_…`, or several. What a case is,
//! and why one has no test, stands in `tests/data/coverage/`, one file for each group of them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use ephor_tests::documents;
use serde::Deserialize;

use crate::tidy::sources;

/// Groups in the order of the page; each has a file.
const GROUPS: [&str; 9] = ["ws", "dt", "sc", "tl", "du", "nx", "ht", "pv", "op"];

/// Where tests are.
const FOLDERS: [&str; 4] = ["runtime/src", "tests/it", "tests/src", "sdk"];

#[derive(Deserialize)]
struct Group {
    title: String,
    #[serde(flatten)]
    cases: BTreeMap<String, Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    /// What has to be seen, in one sentence.
    expected: Option<String>,
    /// Where what we do is other than what the list expected, on purpose, and why.
    differs: Option<String>,
    /// Why there is no test.
    left: Option<String>,
}

/// The ids at the front of a test's name: `ws_12_dt_03_a_name` has two.
fn ids(name: &str) -> Vec<String> {
    let (mut ids, mut rest) = (Vec::new(), name);
    while let Some((group, behind)) = rest.split_once('_')
        && GROUPS.contains(&group)
        && let Some((number, behind)) = behind.split_once('_')
        && number.len() == 2
        && number.bytes().all(|byte| byte.is_ascii_digit())
    {
        ids.push(format!("{}-{number}", group.to_uppercase()));
        rest = behind;
    }
    ids
}

/// The names of functions in a text.
fn functions(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| {
        let declared = line.trim_start().trim_start_matches("pub(crate) ").trim_start_matches("async ");
        declared.strip_prefix("fn ")?.split(['(', '<']).next()
    })
}

/// By id: the tests, with their files.
fn tests() -> BTreeMap<String, Vec<(String, String)>> {
    let mut tests: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    for (file, text) in FOLDERS.into_iter().flat_map(sources) {
        for name in functions(&text) {
            for id in ids(name) {
                tests.entry(id).or_default().push((file.clone(), name.to_string()));
            }
        }
    }
    tests
}

#[test]
fn every_case_has_a_test_or_a_reason() {
    let (mut tests, mut problems) = (tests(), Vec::new());
    let mut page = "# What can go wrong, and which test tries it\n\n\
        Written by `tests/it/coverage.rs` from the names of tests and from `tests/data/coverage/`; \
        `EPHOR_UPDATE=1` writes it again. Every test in this table is run by `make test`, \
        those in `tests/it/suites/` by `make suites`.\n"
        .to_string();
    let mut rows = String::new();
    let (mut all, mut tried) = (0, 0);
    for group in GROUPS {
        let file = format!("tests/data/coverage/{group}.toml");
        let Group { title, cases } = toml::from_str(&documents::read(&file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        let _ = write!(rows, "\n## {title}\n\n| id | case | expected | test |\n|---|---|---|---|\n");
        for (id, case) in cases {
            let found = tests.remove(&id).unwrap_or_default();
            all += 1;
            tried += usize::from(!found.is_empty());
            match (&case.left, found.is_empty()) {
                (None, true) => problems.push(format!("{id} has no test, and {file} does not say why")),
                (Some(why), true) if why.is_empty() => problems.push(format!("{id} has no test, and an empty reason in {file}")),
                (Some(_), false) => problems.push(format!("{id} has a test, and {file} says why it has none")),
                _ => {}
            }
            if case.expected.is_none() && case.left.is_none() {
                problems.push(format!("{file} does not say what is expected of {id}"));
            }
            let mut by: Vec<String> = Vec::new();
            for (file, name) in &found {
                by.push(format!("[`{name}`](../{file})"));
            }
            by.extend(case.left.iter().map(|why| format!("none: {why}")));
            by.extend(case.differs.iter().map(|why| format!("*Other than the list:* {why}")));
            let _ = writeln!(rows, "| {id} | {} | {} | {} |", case.name, case.expected.unwrap_or_default(), by.join("<br>"));
        }
    }
    for (id, found) in tests {
        problems.push(format!("{id} is no case of tests/data/coverage, and {found:?} has it in its name"));
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    let _ = writeln!(page, "\n{tried} of {all} cases have a test.");
    page.push_str(&rows);
    documents::is_up_to_date("tests/COVERAGE.md", &page);
}
