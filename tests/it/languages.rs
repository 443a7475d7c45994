//! Policies in JavaScript and Python: they say what their Rust twins say, are inert, and
//! run only where their language was granted.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use ephor::policy::{Language, Manifest};
use ephor::sandbox::Limits;
use ephor::{Grant, LoadError, Publisher, Runtime, ingest};
use ephor_tests::data::{self, Set};
use ephor_tests::{binary, component_path, event, target_dir, workspace};
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// Says that these tests are not wanted.
const WITHOUT: &str = "EPHOR_WITHOUT_LANGUAGES";

/// The component of a policy in one of these languages; nothing if they were left out.
fn component(name: &str) -> Option<PathBuf> {
    let path = target_dir().join("languages").join(format!("{name}.wasm"));
    if path.is_file() {
        return Some(path);
    }
    assert!(
        std::env::var_os(WITHOUT).is_some_and(|value| value == "1"),
        "the component {} is missing\nrun `make languages`, which needs npm, python3 and their registries, or set {WITHOUT}=1 to do without",
        path.display()
    );
    data::left_out(name, &format!("{WITHOUT} is set"));
    None
}

/// One folder of compiled code for all: an engine takes a compiler half a minute.
fn cache() -> PathBuf {
    target_dir().join("it-cache")
}

fn runtime() -> Runtime {
    Runtime::builder().worker(binary()).cache(cache()).build().expect("a runtime")
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What came out, if it went well.
#[track_caller]
fn done(output: &Output) -> String {
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The settings of a vector, as they stand there: with these the engine is compiled already
/// when the vectors have passed.
fn settings_of(policy: &str, vector: &str) -> String {
    let path = workspace().join("policies").join(policy).join("vectors").join(vector);
    let text = String::from_utf8(read(&path)).expect("UTF-8");
    let members: BTreeMap<String, Box<RawValue>> = serde_json::from_str(&text).expect("a vector");
    members["settings"].get().to_string()
}

/// A policy in another language, and the one in Rust that it has to be like.
struct Twins {
    component: PathBuf,
    rust: PathBuf,
    policy: &'static str,
    /// What both are run with.
    settings: String,
}

impl Twins {
    fn of(policy: &'static str, language: &str, vector: &str) -> Option<Twins> {
        let component = component(&format!("{policy}-{language}"))?;
        Some(Twins { component, rust: component_path("policies", policy), policy, settings: settings_of(policy, vector) })
    }

    fn pass_the_same_vectors(&self) {
        let folder = workspace().join("policies").join(self.policy);
        let mut command = Command::new(binary());
        command.args(["policy", "test", "--no-native", "--component"]).arg(&self.component);
        command.arg("--vectors").arg(folder.join("vectors")).arg("--cache").arg(cache());
        let said = done(&command.output().expect("the binary starts"));
        assert!(said.contains("all as expected"), "{said}");
    }

    /// Runs both over the events and holds every finding of the one against those of the
    /// other; gives how many findings of each rule there are.
    fn find_the_same(&self, events: &Path, count: u64) -> BTreeMap<String, u64> {
        let folder = tempfile::tempdir().expect("a folder");
        let place = |name: &str, component: &Path| {
            let file = folder.path().join(format!("{name}.wasm"));
            std::fs::copy(component, &file).expect("copied");
            std::fs::write(folder.path().join(format!("{name}.settings.json")), &self.settings).expect("written");
            file
        };
        let mut command = Command::new(binary());
        command.args(["replay", "--json", "--events"]).arg(events).arg("--cache").arg(cache());
        command.arg("--against").arg(place("rust", &self.rust)).arg("--with").arg(place("twin", &self.component));
        let report: Value = serde_json::from_str(&done(&command.output().expect("the binary starts"))).expect("a report");
        assert_eq!((&report["events"], &report["rejected"]), (&json!(count), &json!(0)), "{report}");
        assert_eq!(report["changes"], json!({"findings": 0, "milder": 0, "stricter": 0}), "{report}");
        assert_eq!(report["verdicts"]["undetermined"], json!({"before": 0, "after": 0}), "{report}");
        let of_rule = |rule: &Value| {
            let changed = ["altered", "appeared", "disappeared"].map(|name| rule[name].as_u64().expect("a count"));
            assert_eq!((changed, &rule["findings"]["before"]), ([0; 3], &rule["findings"]["after"]), "{rule}");
            (event::text(rule, "rule").to_string(), rule["findings"]["after"].as_u64().expect("a count"))
        };
        report["rules"].as_array().expect("rules").iter().map(of_rule).collect()
    }

    /// They also say the same about themselves; a schema may be written in several ways.
    async fn have_one_manifest(&self) {
        let manifest = async |component: &Path| {
            let runtime = runtime();
            runtime.install(read(component), self.settings.clone().into_bytes()).await.expect("taken");
            let release = runtime.policies()[0].release.clone();
            runtime.close().await;
            (release.language, Manifest { settings_schema: String::new(), ..release.manifest.clone() })
        };
        let ((none, rust), (language, twin)) = (manifest(&self.rust).await, manifest(&self.component).await);
        assert_eq!((none, language.is_some()), (None, true));
        assert_eq!(serde_json::to_value(rust).expect("JSON"), serde_json::to_value(twin).expect("JSON"));
    }
}

/// The events of a set as a file, and how many there are: all where they are, otherwise the
/// sample.
fn events(set: Set) -> (PathBuf, u64) {
    match data::full_folder() {
        Some(folder) => {
            let count = data::full(&folder, set).len();
            (target_dir().join("data").join(format!("{}.ndjson", set.name())), count as u64)
        }
        None => {
            data::left_out("twins on the full data", "there is no ../shared/data, and EPHOR_DATA names no folder that has it");
            (data::sample_folder().join(format!("{}.ndjson.gz", set.name())), data::sample(set).len() as u64)
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_twin_in_javascript_says_what_the_one_in_rust_says() {
    let Some(twins) = Twins::of("negative-list", "javascript", "words.json") else { return };
    twins.pass_the_same_vectors();
    twins.have_one_manifest().await;
    let (events, count) = events(Set::Retail);
    let found = twins.find_the_same(&events, count);
    assert!(found["listed-word"] > 0, "{found:?}");
    // 390 lines with CIGAR, 807 with WINE, 788 with MATCHES.
    assert!(count != 541_909 || found["listed-word"] == 1_985, "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_twin_in_python_says_what_the_one_in_rust_says() {
    let Some(twins) = Twins::of("machine-temperature", "python", "hot.json") else { return };
    twins.pass_the_same_vectors();
    twins.have_one_manifest().await;
    let (events, count) = events(Set::Nab);
    let found = twins.find_the_same(&events, count);
    assert!(found["too-hot"] > 0 && found["too-cold"] > 0, "{found:?}");
    // Cold samples do not depend on the length of a row.
    assert!(count != 22_695 || found["too-cold"] == 1_539, "{found:?}");
    hand_over(&twins).await;
}

/// A release in one language goes on with the states of one in the other.
async fn hand_over(twins: &Twins) {
    let hot = |id: u32| {
        let event = json!({
            "specversion": "1.0", "id": id.to_string(), "source": "/machines", "type": "machine.temperature.measured",
            "time": "2014-01-07T02:00:00Z", "data": {"machine": "press", "temperature": 101.5},
        });
        ingest::structured(event.to_string().as_bytes(), &ingest::Limits::default()).expect("an event")
    };
    let runtime = runtime();
    let settings = || twins.settings.clone().into_bytes();
    runtime.install(read(&twins.rust), settings()).await.expect("taken");
    runtime.submit(vec![hot(0)]).await.expect("taken").await.expect("judged");
    runtime.install(read(&twins.component), settings()).await.expect("taken, with the state");
    runtime.submit(vec![hot(1)]).await.expect("taken").await.expect("judged");
    runtime.install(read(&twins.rust), settings()).await.expect("taken back");
    let judged = runtime.submit(vec![hot(2)]).await.expect("taken").await.expect("judged");
    let verdict = judged.answers[0].verdict().expect("a verdict");
    let found: Vec<&str> = verdict.findings.iter().map(|finding| finding.rule().id.as_str()).collect();
    assert_eq!(found, ["too-hot"], "the third in a row: {verdict:?}");
    runtime.close().await;
}

fn publisher(languages: Vec<Language>) -> Publisher {
    Publisher { events: vec!["*".into()], languages, ..Publisher::default() }
}

fn grant(runtime: &Runtime, languages: Vec<Language>) -> Grant {
    runtime.grant("market-office", &publisher(languages)).expect("a grant")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_language_that_was_not_granted_is_refused_with_the_remedy() {
    let Some(component) = component("inert-javascript").map(|path| read(&path)) else { return };
    let runtime = runtime();
    for granted in [vec![], vec![Language::Python]] {
        let grant = grant(&runtime, granted.clone());
        let error = runtime.install_for(grant, component.clone(), b"{}".to_vec()).await.expect_err("not granted");
        let all: Vec<String> = granted.iter().chain(&[Language::JavaScript]).map(|language| format!("{:?}", language.word())).collect();
        let remedy = format!("write languages = [{}] into [publishers.market-office]", all.join(", "));
        assert!(matches!(&error, LoadError::Grant { missing, .. } if missing[0].what == "language"), "{error:?}");
        assert!(error.to_string().contains(&remedy), "{error}");
    }
    assert!(runtime.policies().is_empty());
    runtime.close().await;
}

/// Whoever hides the language gets no more room for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_component_that_does_not_say_its_language_is_held_to_the_common_limits() {
    let Some(component) = component("inert-javascript").map(|path| read(&path)) else { return };
    let places: Vec<usize> = memchr::memmem::find_iter(&component, b"JavaScript").collect();
    assert!(!places.is_empty(), "the language is there to be hidden");
    let mut hidden = component;
    for at in places {
        hidden[at..at + 10].copy_from_slice(b"Esperanto!");
    }
    let error = ephor::inspect(&hidden, &binary(), Limits::default()).await.expect_err("too large");
    assert!(matches!(error, LoadError::Gate { .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn dt_03_the_clock_stands_still_and_the_dice_fall_the_same() {
    let Some(component) = component("inert-javascript").map(|path| read(&path)) else { return };
    let mut all = Vec::new();
    for _ in 0..2 {
        let runtime = runtime();
        let grant = grant(&runtime, vec![Language::JavaScript]);
        runtime.install_for(grant, component.clone(), b"{}".to_vec()).await.expect("taken");
        for id in 0..2 {
            let event = event::listing(id, "A MUG").to_string();
            let event = ingest::structured(event.as_bytes(), &ingest::Limits::default()).expect("an event");
            let judged = runtime.submit(vec![event]).await.expect("taken").await.expect("judged");
            let verdict = judged.answers[0].verdict().expect("a verdict");
            assert!(verdict.faults.is_empty(), "{verdict:?}");
            all.push(verdict.findings[0].evidence.clone());
        }
        runtime.close().await;
    }
    assert_eq!(all[0].len(), 4, "{:?}", all[0]);
    assert!(all.iter().all(|evidence| *evidence == all[0]), "{all:?}");
}

#[test]
fn a_missing_tool_is_named_with_the_way_to_get_it() {
    for (files, remedy) in [
        ([("package.json", r#"{"name": "some-rule"}"#), ("policy.js", "")], "npm ci --prefix"),
        ([("pyproject.toml", "[project]\nname = \"some-rule\"\n"), ("policy.py", "")], ".venv/bin/pip install"),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).expect("written");
        }
        let mut command = Command::new(binary());
        let output = command.args(["policy", "build"]).arg(folder.path()).env("PATH", "").output().expect("the binary starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains("is not installed; run") && said.contains(remedy), "{said}");
        std::fs::remove_file(folder.path().join(files[1].0)).expect("removed");
        let output = Command::new(binary()).args(["policy", "build"]).arg(folder.path()).output().expect("the binary starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(&format!("has no {}", files[1].0)), "{said}");
    }
}

/// The characters of a table of the helper for JavaScript.
fn characters(table: &str) -> BTreeSet<u32> {
    let helper = String::from_utf8(read(&workspace().join("sdk/javascript/ephor.js"))).expect("UTF-8");
    let (_, table) = helper.split_once(&format!("const {table} =")).expect("the table");
    let (table, _) = table.split_once(';').expect("its end");
    let text: String = table.split('"').skip(1).step_by(2).collect();
    let mut next = 0_u32;
    let mut listed = BTreeSet::new();
    for range in text.split(' ') {
        let (distance, length) = range.split_once('.').unwrap_or((range, "1"));
        let number = |digits: &str| u32::from_str_radix(digits, 36).expect("base 36");
        let start = next + number(distance);
        next = start + number(length);
        listed.extend(start..next);
    }
    listed
}

/// The helper for JavaScript brings tables along, because its engine has none.
#[test]
fn letters_digits_and_marks_in_javascript_are_those_of_rust() {
    let of = |is: fn(char) -> bool| -> BTreeSet<u32> { ('\0'..=char::MAX).filter(|it| is(*it)).map(u32::from).collect() };
    let (letters, marks) = (characters("ALPHANUMERIC"), characters("MARKS"));
    for (listed, expected) in [(&letters, of(char::is_alphanumeric)), (&(&letters | &marks), of(ephor_sdk::text::is_word_char))] {
        assert!(*listed == expected, "made for another version of Unicode: {} characters, Rust has {}", listed.len(), expected.len());
    }
}

/// What the twins do not need of the helpers: timers, migrations, refusals.
#[test]
fn the_helpers_pass_their_own_tests() {
    if component("inert-javascript").is_none() {
        return;
    }
    let run = |mut command: Command| {
        let shown = format!("{command:?}");
        done(&command.current_dir(workspace()).output().unwrap_or_else(|error| panic!("{shown} does not start: {error}")));
    };
    let mut node = Command::new("node");
    node.args(["--test", "sdk/javascript/ephor.test.mjs"]);
    run(node);
    let bindings = tempfile::tempdir().expect("a folder");
    let mut tool = Command::new(target_dir().join("tools/python/bin/componentize-py"));
    tool.args(["--quiet", "--wit-path", "wit", "--world", "policy", "bindings"]).arg(bindings.path());
    run(tool);
    let mut python = Command::new("python3");
    python.args(["-B", "sdk/python/test_ephor.py"]).env("PYTHONPATH", bindings.path());
    run(python);
}
