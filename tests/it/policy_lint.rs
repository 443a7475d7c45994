//! `ephor policy lint`: what is said of sources, where, and what is allowed.

use std::path::Path;
use std::process::Output;

use ephor_tests::workspace;
use serde_json::Value;

use crate::policy_new::{ephor, said, sdk};

/// A crate that `policy new` has made, and that nothing is wrong with.
pub fn clean(folder: &Path, name: &str, more: &[&str]) -> std::path::PathBuf {
    let given = ["--legal-basis", "Order Act, section 5", "--sdk", &sdk()];
    said(&ephor(folder, &[&["policy", "new", name], &given[..], more].concat()), 0);
    folder.join(name)
}

/// Changes a file of it.
#[track_caller]
pub fn change(file: &Path, right: &str, wrong: &str) {
    let text = std::fs::read_to_string(file).expect("a file");
    assert!(text.contains(right), "{right:?} in {}", file.display());
    std::fs::write(file, text.replacen(right, wrong, 1)).expect("written");
}

/// `LINE:COLUMN` of the first place in a file where a text stands.
#[track_caller]
pub fn place(file: &Path, text: &str) -> String {
    let source = std::fs::read_to_string(file).expect("a file");
    let at = source.find(text).unwrap_or_else(|| panic!("{text:?} in {}", file.display()));
    let line = source[..at].matches('\n').count() + 1;
    let column = source[..at].chars().rev().take_while(|letter| *letter != '\n').count() + 1;
    format!("{line}:{column}")
}

fn lint(folder: &Path, args: &[&str]) -> Output {
    ephor(folder, &[&["policy", "lint"], args].concat())
}

fn findings(folder: &Path) -> Vec<Value> {
    let output = lint(folder, &["--json"]);
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    report["findings"].as_array().expect("findings").clone()
}

#[test]
fn every_policy_of_the_library_is_clean() {
    let mut policies: Vec<String> = Vec::new();
    for entry in std::fs::read_dir(workspace().join("policies")).expect("the policies") {
        let folder = entry.expect("an entry").path();
        if folder.join("Cargo.toml").is_file() && folder.join("src").is_dir() {
            policies.push(folder.to_str().expect("UTF-8").to_string());
        }
    }
    let args: Vec<&str> = policies.iter().map(String::as_str).collect();
    assert!(args.len() >= 7, "{args:?}");
    let output = lint(workspace(), &args);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn a_new_policy_lacks_nothing_but_its_legal_basis() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, more) in [("fresh-plain", &[][..]), ("fresh-stateful", &["--stateful"])] {
        let own = clean(folder.path(), name, more);
        assert!(said(&lint(&own, &[]), 0).contains("nothing found"), "{name}");
    }
    said(&ephor(folder.path(), &["policy", "new", "fresh", "--sdk", &sdk()]), 0);
    let own = folder.path().join("fresh");
    let found = findings(&own);
    let [only] = &found[..] else { panic!("one finding: {found:?}") };
    assert_eq!((only["lint"].as_str(), only["file"].as_str()), (Some("thin-legal-basis"), Some("src/lib.rs")));
}

#[test]
fn what_is_wrong_is_said_with_its_place_and_a_remedy() {
    let folder = tempfile::tempdir().expect("a folder");
    let own = clean(folder.path(), "wrong", &["--stateful"]);
    let code = own.join("src/lib.rs");
    // A field that nothing reads; another type has a member of that name, and reads it.
    change(&code, "    time: Time,\n", "    time: Time,\n    #[field(\"/data/limit\", purpose = \"limit\")]\n    limit: Option<i64>,\n");
    change(&code, "    hours: Tumbling<Counter>,", "    hours: Tumbling<Counter>,\n    seen: Vec<u64>,");
    let unfound = "    #[rule(id = \"unheard\", action = deny, severity = high, legal_basis = \"none\", en = \"x\")]\n    Unheard,\n}\n\n/// The policy as";
    change(&code, "}\n\n/// The policy as", unfound);
    change(&code, "let count = hour.count();", "let count = hour.count();\n        let _ = std::time::SystemTime::now();");
    change(&code, "/// The policy as", "static COUNT: std::sync::Mutex<u64> = std::sync::Mutex::new(0);\n\n/// The policy as");
    std::fs::write(own.join("vectors/broken.json"), "{\n  \"settings\": {},\n  \"events\" []\n}\n").expect("written");

    let found = findings(&own);
    let mut listed: Vec<String> = found
        .iter()
        .map(|finding| {
            let text = |name: &str| finding[name].as_str().expect("a text").to_string();
            assert!(!text("what").is_empty() && !text("why").is_empty() && !text("remedy").is_empty(), "{finding}");
            format!("{} {}:{}:{}", text("lint"), text("file"), finding["line"], finding["column"])
        })
        .collect();
    listed.sort();
    let of = |lint: &str, text: &str| format!("{lint} src/lib.rs:{}", place(&code, text));
    let mut expected = vec![
        of("unused-field", "limit: Option<i64>"),
        of("thin-purpose", "\"limit\")]"),
        of("unbounded-state", "seen: Vec<u64>"),
        of("rule-never-found", "\"unheard\""),
        of("rule-without-vector", "\"unheard\""),
        of("one-language", "\"unheard\""),
        of("thin-legal-basis", "\"none\""),
        of("nondeterminism", "std::time::SystemTime"),
        of("hidden-memory", "COUNT: std"),
        "vector vectors/broken.json:3:12".to_string(),
    ];
    expected.sort();
    assert_eq!(listed, expected);
    let shown = lint(&own, &[]);
    assert_eq!(shown.status.code(), Some(3));
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    for part in [&format!("src/lib.rs:{}: unused-field: ", place(&code, "limit: Option<i64>")), "    why: ", "    do:  ", "10 findings"] {
        assert!(shown.contains(part), "{part:?} in\n{shown}");
    }
}

#[test]
fn an_allowance_takes_a_reason_and_something_to_allow() {
    let folder = tempfile::tempdir().expect("a folder");
    let own = clean(folder.path(), "allows", &["--stateful"]);
    let code = own.join("src/lib.rs");
    change(
        &code,
        "    hours: Tumbling<Counter>,",
        "    hours: Tumbling<Counter>,\n    // lint: allow(unbounded-state): at most 4, see evaluate\n    seen: Vec<u64>,",
    );
    change(
        &code,
        "use std::time::Duration;",
        "use std::collections::HashMap; // lint: allow(nondeterminism): nothing goes through it\nuse std::time::Duration;",
    );
    change(&code, "let count = hour.count();", "let count = hour.count();\n        let _: HashMap<u8, u8> = HashMap::new();");
    let report: Value = serde_json::from_slice(&lint(&own, &["--json"]).stdout).expect("JSON");
    assert_eq!(report["findings"].as_array().map(Vec::len), Some(0), "{report}");
    let reasons: Vec<&str> = report["allowed"].as_array().expect("allowed").iter().filter_map(|one| one["reason"].as_str()).collect();
    assert!(reasons.contains(&"at most 4, see evaluate") && reasons.contains(&"nothing goes through it"), "{reasons:?}");

    for (wrong, what) in [
        ("// lint: allow(unbounded-state)\n    seen", "an allowance without a reason"),
        ("// lint: allow(unused-field): why\n    seen", "there is no unused-field here to allow"),
        ("// lint: allow(anything): why\n    seen", "there is no lint `anything`"),
    ] {
        let before = std::fs::read_to_string(&code).expect("a file");
        change(&code, "// lint: allow(unbounded-state): at most 4, see evaluate\n    seen", wrong);
        let found = findings(&own);
        assert!(found.iter().any(|one| one["what"] == what), "{what} in {found:?}");
        assert!(found.iter().any(|one| one["lint"] == "unbounded-state"), "{wrong} allows nothing: {found:?}");
        std::fs::write(&code, before).expect("written");
    }
    assert!(said(&lint(folder.path(), &["no-such-crate"]), 2).contains("has no Cargo.toml"));
    // Rules in a file are no crate, and there is something else that can be done with them.
    std::fs::write(folder.path().join("rules.toml"), "").expect("written");
    let of_rules = said(&lint(folder.path(), &["."]), 2);
    assert!(of_rules.contains("has no Cargo.toml but rules.toml") && of_rules.contains("ephor policy build ."), "{of_rules}");
}
