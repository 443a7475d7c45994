//! What an author gets wrong, and what is said: the file, the line, and what to do.

use std::path::Path;
use std::process::Output;

use ephor_tests::component_path;

use crate::GOOD;
use crate::policy_lint::{change, clean, place};
use crate::policy_new::ephor;

/// A command has refused something, and says where and what to do.
#[track_caller]
fn refused(output: &Output, code: i32, parts: &[&str]) {
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{said}");
    for part in parts {
        assert!(said.contains(part), "{part:?} in\n{said}");
    }
}

fn build(folder: &Path) -> Output {
    ephor(folder, &["policy", "build"])
}

/// The line alone: the compiler may point at another column than we would.
fn line(file: &Path, text: &str) -> String {
    let place = place(file, text);
    format!("src/lib.rs:{}:", place.split(':').next().expect("a line"))
}

#[test]
fn a_missing_legal_basis() {
    let folder = tempfile::tempdir().expect("a folder");
    let own = clean(folder.path(), "no-basis", &[]);
    let code = own.join("src/lib.rs");
    change(&code, "        legal_basis = \"Order Act, section 5\",\n", "");
    let at = line(&code, "    OverLimit,");
    refused(&build(&own), 1, &[&at, "the rule lacks `legal_basis`", "legal_basis = \"Order Act, section 5\""]);
}

#[test]
fn a_field_of_the_wrong_type() {
    let folder = tempfile::tempdir().expect("a folder");
    let own = clean(folder.path(), "wrong-type", &[]);
    let code = own.join("src/lib.rs");
    change(&code, "    amount: i64,", "    amount: u32,");
    // The place is the type, which is in the same line in both cases.
    let at = line(&code, "    amount: u32,");
    refused(&build(&own), 1, &[&at, "a field cannot be a `u32`", "any whole number is an `i64`"]);
    change(&code, "    amount: u32,", "    amount: std::collections::HashMap<String, i64>,");
    refused(&build(&own), 1, &[&at, "a field cannot be a `HashMap<", "or an `Option` of one of them"]);
}

#[test]
fn code_that_depends_on_a_clock() {
    let folder = tempfile::tempdir().expect("a folder");
    let own = clean(folder.path(), "reads-clock", &[]);
    let code = own.join("src/lib.rs");
    change(&code, "use ephor_sdk::prelude::*;", "use ephor_sdk::prelude::*;\nuse std::time::SystemTime;");
    change(&code, "        if event.amount", "        let _now = SystemTime::now();\n        if event.amount");
    let at = format!("src/lib.rs:{}: nondeterminism: `SystemTime` reads a clock", place(&code, "SystemTime::now"));
    for output in [ephor(&own, &["policy", "lint"]), build(&own)] {
        refused(&output, 3, &[&at, "do:  take the time of the event as a field"]);
    }
    assert!(!own.join("target").exists(), "nothing is compiled");
}

#[test]
fn a_huge_state() {
    let folder = tempfile::tempdir().expect("a folder");
    let own = clean(folder.path(), "huge-state", &["--stateful"]);
    let code = own.join("src/lib.rs");
    change(&code, "    hours: Tumbling<Counter>,", "    hours: Tumbling<Counter>,\n    seen: std::collections::BTreeMap<u64, String>,");
    let at = format!("src/lib.rs:{}: unbounded-state: `Account.seen`", place(&code, "seen: std"));
    refused(&ephor(&own, &["policy", "lint"]), 3, &[&at, "has no bound of its own", "64 KiB", "do:  use a type of `ephor_sdk::state`"]);
}

#[test]
fn vectors_that_do_not_parse() {
    let folder = tempfile::tempdir().expect("a folder");
    let own = clean(folder.path(), "bad-vectors", &[]);
    std::fs::write(own.join("vectors/broken.json"), "{\n  \"settings\": {},\n  \"events\": [{]\n}\n").expect("written");
    let at = "vectors/broken.json:3:15: ";
    refused(&ephor(&own, &["policy", "lint"]), 3, &[at, "do:  a vector is one JSON object; mend the JSON there"]);
    let component = component_path("policies", GOOD);
    let component = component.to_str().expect("UTF-8");
    let output = ephor(&own, &["policy", "test", "--no-native", "--component", component, "--filter", "broken"]);
    refused(&output, 3, &[at, "a vector is one JSON object; mend the JSON there"]);
}
