//! `ephor policy test`: components held against vectors, as authors see it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use ephor_tests::{binary, component_path, target_dir, workspace};
use tempfile::TempDir;

use crate::GOOD;
use crate::publishers::text;

const STATEFUL: &str = "idle-vehicle";

/// A folder with the vectors of a policy, to change them.
struct Vectors {
    folder: TempDir,
    policy: &'static str,
}

impl Vectors {
    fn of(policy: &'static str) -> Vectors {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("vectors")).expect("a folder");
        let vectors = Vectors { folder, policy };
        for (name, text) in originals(policy) {
            std::fs::write(vectors.file(&name), text).expect("written");
        }
        vectors
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join("vectors").join(name)
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.file(name)).expect("a vector")
    }

    #[track_caller]
    fn change(&self, name: &str, right: &str, wrong: &str) {
        let text = self.read(name);
        assert!(text.contains(right), "{right} in {name}");
        std::fs::write(self.file(name), text.replacen(right, wrong, 1)).expect("written");
    }

    /// Runs the verb with the component of the policy.
    fn test(&self, args: &[&str]) -> Output {
        let component = component_path("policies", self.policy);
        test(self.folder.path(), &[&["--no-native", "--component", text(&component)], args].concat())
    }
}

fn test(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(binary());
    // One compile cache for all tests.
    command.args(["policy", "test"]).arg(folder).arg("--cache").arg(target_dir().join("it-cache"));
    command.args(args).output().expect("the binary starts")
}

/// The vectors of a policy by the names of their files.
fn originals(policy: &str) -> Vec<(String, String)> {
    let folder = workspace().join("policies").join(policy).join("vectors");
    let mut files = Vec::new();
    for entry in std::fs::read_dir(&folder).expect("the vectors") {
        let entry = entry.expect("an entry");
        let name = entry.file_name().into_string().expect("a name in UTF-8");
        files.push((name, std::fs::read_to_string(entry.path()).expect("a vector")));
    }
    files.sort();
    files
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Both outputs have these parts, and the code is this one.
#[track_caller]
fn assert_said(output: &Output, code: i32, parts: &[&str]) {
    let said = format!("{}{}", out(output), err(output));
    assert_eq!(output.status.code(), Some(code), "{said}");
    for part in parts {
        assert!(said.contains(part), "{part:?} in\n{said}");
    }
    assert!(!said.contains('\u{1b}'), "no colours where nobody sees them:\n{said}");
}

#[test]
fn every_policy_of_the_library_passes_its_vectors_as_a_component() {
    let mut count = 0;
    for entry in std::fs::read_dir(workspace().join("policies")).expect("the policies") {
        let folder = entry.expect("an entry").path();
        if !folder.join("Cargo.toml").is_file() {
            continue;
        }
        let policy = text(&folder).rsplit('/').next().expect("a name").to_string();
        let output = test(&folder, &["--no-native", "--component", text(&component_path("policies", &policy))]);
        assert_said(&output, 0, &[&format!("{policy} "), "all as expected"]);
        for (file, _) in originals(&policy) {
            let name = file.trim_end_matches(".json");
            let line = out(&output).lines().find(|line| line.split_whitespace().next() == Some(name)).map(str::to_string);
            assert!(line.as_ref().is_some_and(|line| line.contains(" ok ") && line.ends_with(" ms")), "{name}: {line:?}");
        }
        count += 1;
    }
    assert!(count >= 7, "{count} policies");
}

#[test]
fn what_differs_is_shown_by_event_and_line() {
    let vectors = Vectors::of(GOOD);
    vectors.change("words.json", r#"{"word": "WINE"}"#, r#"{"word": "BEER"}"#);
    vectors.change("words.json", r#"{"unreadable": "/data/description"}"#, "[]");
    let output = vectors.test(&[]);
    assert_said(
        &output,
        3,
        &[
            "words.json:23:5: event 1\n        listed-word\n      -   word: BEER\n      +   word: WINE\n",
            "words.json:34:5: event 12\n      - nothing\n      + unreadable: /data/description\n",
            "1 of 2 vector files failed",
            "--update",
        ],
    );
    assert!(!out(&output).contains("word: CIGAR"), "what is as expected is not shown:\n{}", out(&output));
    assert!(out(&output).lines().any(|line| line.contains("other-scripts") && line.contains(" ok ")), "{}", out(&output));
}

#[test]
fn timers_are_told_by_their_keys() {
    let vectors = Vectors::of(STATEFUL);
    vectors.change("moved.json", r#""key": ["Veo", "v1"]"#, r#""key": ["Veo", "v2"]"#);
    vectors.change("watermark.json", r#""hours": "24"}}]}"#, r#""hours": "25"}}]}"#);
    let output = vectors.test(&[]);
    assert_said(
        &output,
        3,
        &[
            "timer of the key [\"Veo\",\"v2\"] for 2026-08-03T00:01:00Z, before event 7\n      - fires\n      - idle\n",
            "      + does not fire\n",
            "timer of the key [\"Veo\",\"v1\"] for 2026-08-03T00:01:00Z, before event 7\n      - does not fire\n      + fires\n      + idle\n",
            "timer of the key [\"Veo\",\"v1\"] for 2026-08-02T08:00:00Z, before event 3\n        idle\n      -   hours: 25\n      +   hours: 24\n",
            "2 of 5 vector files failed",
        ],
    );
}

#[test]
fn a_vector_that_is_none_is_named_with_line_and_remedy() {
    for (right, wrong, parts) in [
        ("\"events\": [", "\"events\" [", ["words.json:4:12: ", "mend the JSON there"]),
        ("\"rule\"", "\"rul\"", ["words.json:22:", "unknown field `rul`, expected `rule` or `evidence`"]),
        ("\"events\"", "\"event\"", ["words.json:4:", "a vector has `settings`, `events` and `expect`"]),
        (
            "    {\"unreadable\": \"/data/description\"},\n",
            "",
            ["words.json:21:13: 15 events, but 14 entries in `expect`", "`ephor policy test --update`"],
        ),
        ("\"id\": \"3\", ", "", ["words.json:8:5: event 3: ", "write the event as a platform would send it"]),
        ("\"id\": \"3\"", "\"id\": \"2\"", ["words.json:8:5: event 3: it has the source and id of event 2", "an `id` of its own"]),
        ("[\"CIGAR\"", "[7", ["words.json:3:15: settings refused: ", "/words/0"]),
        (
            "\"settings\"",
            "\"lists\": {\"words\": {}}, \"settings\"",
            ["words.json:3:12: the policy declares no list `words`", "leave the list out"],
        ),
    ] {
        let vectors = Vectors::of(GOOD);
        vectors.change("words.json", right, wrong);
        let broken = vectors.read("words.json");
        let output = vectors.test(&[]);
        assert_said(&output, 3, &[&parts[..], &["1 of 2 vector files failed", "other-scripts"]].concat());
        // What cannot be run is not written either. An entry can be added.
        if !parts[0].contains("entries in `expect`") {
            assert_said(&vectors.test(&["--update"]), 3, &parts[..1]);
            assert_eq!(vectors.read("words.json"), broken);
        }
    }
}

#[test]
fn an_update_writes_what_differs_and_nothing_else() {
    let vectors = Vectors::of(STATEFUL);
    let original = |name: &str| originals(STATEFUL).into_iter().find(|(known, _)| known == name).expect("a vector").1;
    // Timers that are not written down at all, and what is said differently.
    let moved = original("moved.json");
    let wakes = &moved[moved.find(",\n  \"wakes\"").expect("wakes")..moved.rfind("\n}").expect("the end")];
    vectors.change("moved.json", wakes, "");
    vectors.change("moved.json", "a vehicle has moved", "a  vehicle\\thas moved");
    vectors.change("unreadable.json", r#"{"unreadable": "/data/lng"}"#, r#"[{"rule": "idle"}]"#);
    vectors.change("unreadable.json", r#""hours": "24"}}]}"#, r#""hours": "25"}}]}"#);
    vectors.change("own-event.json", "    [],\n    []\n  ]", "    []\n  ]");
    let before = vectors.read("moved.json");
    let output = vectors.test(&["--filter", "moved"]);
    assert_said(&output, 3, &["moved.json:14:13: timer", "- does not fire", "+ fires", "1 of 1 vector file failed"]);
    assert_eq!(vectors.read("moved.json"), before, "nothing is written without --update");

    let output = vectors.test(&["--update"]);
    assert_said(&output, 0, &["moved.json", "changed: ", "as the component says now"]);
    let changed: Vec<String> = out(&output).lines().filter(|line| line.starts_with("changed: ")).map(str::to_string).collect();
    assert_eq!(changed.len(), 3, "{changed:?}");
    assert_eq!(vectors.read("moved.json"), moved.replacen("a vehicle has moved", "a  vehicle\\thas moved", 1));
    for name in ["unreadable.json", "own-event.json", "sources.json", "watermark.json"] {
        assert_eq!(vectors.read(name), original(name), "{name}");
    }
    assert_said(&vectors.test(&[]), 0, &["5 vector files, ", "all as expected"]);
    // What is as it should be is not touched.
    let written = std::fs::metadata(vectors.file("moved.json")).and_then(|file| file.modified()).expect("a time");
    assert_said(&vectors.test(&["--update"]), 0, &["all as expected"]);
    assert_eq!(std::fs::metadata(vectors.file("moved.json")).and_then(|file| file.modified()).expect("a time"), written);
}

/// An element of XML.
struct Element {
    name: String,
    attributes: String,
    depth: usize,
}

/// Reads XML as far as the file has any; fails where tags do not match.
fn elements(xml: &str) -> Vec<Element> {
    let body = xml.strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n").expect("a declaration");
    for entity in body.split('&').skip(1) {
        assert!(["amp;", "lt;", "gt;", "quot;", "apos;"].iter().any(|known| entity.starts_with(known)), "&{entity}");
    }
    let (mut open, mut found): (Vec<String>, Vec<Element>) = (Vec::new(), Vec::new());
    for part in body.split('<').skip(1) {
        let (tag, text) = part.split_once('>').expect("a tag ends");
        assert!(!text.contains('>'), "{text}");
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name), "in\n{xml}");
            continue;
        }
        let is_empty = tag.ends_with('/');
        let (name, attributes) = tag.trim_end_matches('/').split_once(' ').expect("attributes");
        assert_eq!(attributes.matches('"').count() % 2, 0, "{attributes}");
        found.push(Element { name: name.into(), attributes: attributes.into(), depth: open.len() });
        if !is_empty {
            open.push(name.into());
        }
    }
    assert!(open.is_empty(), "{open:?} in\n{xml}");
    found
}

#[test]
fn build_servers_read_what_came_of_it() {
    let vectors = Vectors::of(STATEFUL);
    vectors.change("watermark.json", r#""hours": "24"}}]}"#, r#""hours": "2<>&5"}}]}"#);
    vectors.change("sources.json", "\"events\": [", "\"events\" [");
    let file = vectors.folder.path().join("junit.xml");
    assert_said(&vectors.test(&["--junit", text(&file)]), 3, &["2 of 5 vector files failed"]);
    let xml = std::fs::read_to_string(&file).expect("the file");
    let elements = elements(&xml);
    let of = |name: &str| elements.iter().filter(|element| element.name == name).collect::<Vec<_>>();
    for (name, depth) in [("testsuites", 0), ("testsuite", 1)] {
        let [suite] = of(name)[..] else { panic!("one {name} in\n{xml}") };
        assert!(suite.depth == depth && suite.attributes.contains("tests=\"5\" failures=\"1\" errors=\"1\""), "{}", suite.attributes);
    }
    let cases = of("testcase");
    assert!(
        cases.len() == 5 && cases.iter().all(|case| case.depth == 2 && case.attributes.contains("classname=\"idle-vehicle\"")),
        "{xml}"
    );
    for (name, _) in originals(STATEFUL) {
        let name = format!(" name=\"{}\"", name.trim_end_matches(".json"));
        assert_eq!(cases.iter().filter(|case| case.attributes.contains(&name)).count(), 1, "{name} in\n{xml}");
    }
    assert!(xml.contains("-   hours: 2&lt;&gt;&amp;5\n") && xml.contains("+   hours: 24\n"), "{xml}");
    assert!(of("failure").len() == 1 && of("error").len() == 1 && xml.contains("sources.json:4:12: "), "{xml}");
}

#[test]
fn what_is_left_out_is_said() {
    let vectors = Vectors::of(GOOD);
    let component = component_path("policies", GOOD);
    let output = test(vectors.folder.path(), &["--component", text(&component), "--filter", "scripts"]);
    assert_said(&output, 0, &["natively: left out, because ", "no Cargo.toml", "1 vector file, "]);
    assert!(!out(&output).contains("words"), "{}", out(&output));
    assert_said(&vectors.test(&["--filter", "nothing"]), 2, &["no vector in ", "there are other-scripts, words"]);
    assert_said(&vectors.test(&["--vectors", text(&vectors.file("words.json"))]), 0, &["1 vector file, 15 events: all as expected"]);
    assert_said(&vectors.test(&["--vectors", "no-such-folder"]), 2, &["no-such-folder is not there"]);
    assert_said(&test(vectors.folder.path(), &["--no-native"]), 2, &["has no Cargo.toml"]);
    let broken = vectors.folder.path().join("broken.wasm");
    std::fs::write(&broken, b"broken").expect("written");
    assert_said(&test(vectors.folder.path(), &["--component", text(&broken)]), 3, &["broken.wasm is refused"]);
    assert_eq!(Command::new(binary()).args(["policy", "test", "--native", "--update"]).output().expect("starts").status.code(), Some(2));
}
