//! What a server has recorded, over HTTP and in its data directory.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::{Answer, Ephor, Remote, binary, event};

/// Where the served checkpoint is.
const CHECKPOINT: &str = "/v1/log/checkpoint";

/// A signed checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Number of entries that it covers.
    pub size: u64,
    /// Root of their tree, in base64.
    pub root: String,
    /// The whole note.
    pub note: String,
}

impl Checkpoint {
    /// Reads a note: origin, size and root in the first three lines (C2SP
    /// tlog-checkpoint).
    ///
    /// # Panics
    ///
    /// If it is not of that form.
    pub fn parse(note: &str) -> Checkpoint {
        let mut lines = note.lines().skip(1);
        let size = lines.next().and_then(|line| line.parse().ok());
        let root = lines.next().filter(|line| !line.is_empty());
        match (size, root) {
            (Some(size), Some(root)) => Checkpoint { size, root: root.to_string(), note: note.to_string() },
            _ => panic!("no checkpoint: {note:?}"),
        }
    }

    /// The latest one in a data directory, if there is any.
    pub fn in_directory(data: &Path) -> Option<Checkpoint> {
        let note = std::fs::read_to_string(data.join("checkpoint")).ok()?;
        Some(Checkpoint::parse(&note))
    }

    fn of(answer: &Answer) -> Option<Checkpoint> {
        match answer.status.as_u16() {
            200 => Some(Checkpoint::parse(&answer.text())),
            // Nothing was signed yet.
            404 => None,
            status => panic!("{CHECKPOINT}: {status}: {}", answer.text()),
        }
    }
}

impl Ephor {
    /// The entries from a sequence on, one line each.
    pub async fn entries(&self, from: u64) -> Vec<String> {
        let page = self.get(&format!("/v1/verdicts?from={from}")).await.expect(200);
        page.text().lines().map(str::to_string).collect()
    }

    /// Those of them that are about events.
    pub async fn event_entries(&self, from: u64) -> Vec<Value> {
        events(&self.entries(from).await)
    }

    /// The latest signed checkpoint, if there is any.
    pub async fn checkpoint(&self) -> Option<Checkpoint> {
        Checkpoint::of(&self.get(CHECKPOINT).await)
    }
}

impl Remote {
    /// The latest signed checkpoint: nothing at the outside if the server is gone, at
    /// the inside if there is none.
    pub async fn checkpoint(&self) -> Option<Option<Checkpoint>> {
        Some(Checkpoint::of(&self.get(CHECKPOINT).await?))
    }
}

/// What an entry is about: `event`, or the name of its only other member.
///
/// # Panics
///
/// If it is about nothing that is known.
pub fn subject(entry: &Value) -> &'static str {
    let named = ["timer", "gap", "silence", "change", "start", "keep", "erasure", "configuration"]
        .into_iter()
        .find(|name| entry.get(name).is_some());
    match (named, entry.get("source")) {
        (Some(name), None) => {
            assert_eq!(entry.as_object().map(serde_json::Map::len), Some(2), "a sequence and what it is about: {entry}");
            name
        }
        (None, Some(_)) => "event",
        _ => panic!("about nothing that is known: {entry}"),
    }
}

/// What each entry is about, in order.
pub fn subjects(lines: &[String]) -> Vec<&'static str> {
    lines.iter().map(|line| subject(&parse(line))).collect()
}

/// The entries that are about events.
pub fn events(lines: &[String]) -> Vec<Value> {
    lines.iter().map(|line| parse(line)).filter(|entry| subject(entry) == "event").collect()
}

/// The answer that an entry of an event stands for, as it was given when the event was
/// judged.
///
/// # Panics
///
/// If it is not the entry of an event.
pub fn answer(entry: &Value) -> Value {
    let asked = entry["asked"].as_array().unwrap_or_else(|| panic!("not the entry of an event: {entry}"));
    let named = |said: &Value, by: &Value| {
        let mut said = said.clone();
        for name in ["policy", "release"] {
            said[name] = by[name].clone();
        }
        said
    };
    let findings = |by: &Value| {
        let list = by["findings"].as_array().map(Vec::as_slice).unwrap_or_default();
        list.iter().map(|finding| named(finding, by)).collect::<Vec<Value>>()
    };
    // What is in shadow is recorded and in no answer.
    let counted = || asked.iter().filter(|by| by["mode"] != "shadow");
    let mut findings: Vec<Value> = counted().flat_map(findings).collect();
    for finding in findings.iter_mut().filter(|finding| entry["verdict"] == "deny" && finding["action"] == "flag") {
        finding["overridden"] = true.into();
    }
    let faults: Vec<Value> = counted().filter_map(|by| Some(named(by.get("fault")?, by))).collect();
    let mut answer = serde_json::json!({ "findings": findings });
    for name in ["source", "id", "sequence", "verdict"] {
        answer[name] = entry[name].clone();
    }
    if let Some(handling) = entry.get("handling") {
        answer["handling"] = handling.clone();
    }
    if !faults.is_empty() {
        answer["faults"] = faults.into();
    }
    answer
}

/// An answer as it was when its event was judged: without the mark of a duplicate. Says
/// whether it had one.
///
/// # Panics
///
/// If the mark is anything but `true`.
pub fn unmarked(mut answer: Value) -> (Value, bool) {
    let mark = answer.as_object_mut().and_then(|members| members.remove("duplicate"));
    assert!(mark.as_ref().is_none_or(|mark| *mark == true), "a duplicate is marked by `true`: {mark:?} in {answer}");
    (answer, mark.is_some())
}

/// Parses an entry's line.
///
/// # Panics
///
/// If it is not JSON.
pub fn parse(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in the entry {line:?}"))
}

/// Checks that entries have every sequence from `first` on.
///
/// # Panics
///
/// If they do not.
pub fn assert_dense(lines: &[String], first: u64) {
    for (sequence, line) in (first..).zip(lines) {
        assert_eq!(event::sequence(&parse(line)), sequence, "{line}");
    }
}

/// Runs `ephor log verify` on a data directory.
pub fn verify(data: &Path) -> Output {
    Command::new(binary()).args(["log", "verify"]).arg(data).output().expect("the ephor binary starts")
}

/// The entries from a sequence on in a data directory that nobody writes to, one line each.
///
/// # Panics
///
/// If they cannot be read.
pub fn exported(data: &Path, from: u64) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("entries.ndjson");
    let mut command = Command::new(binary());
    let output = command.args(["log", "export", "--from", &from.to_string()]).arg(data).arg("--out").arg(&file).output();
    let output = output.expect("the ephor binary starts");
    assert!(output.status.success(), "log export: {}", printed(&output));
    std::fs::read_to_string(&file).expect("the entries").lines().map(str::to_string).collect()
}

/// Everything that a program has printed.
pub fn printed(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Copies a data directory.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a data directory") {
        let entry = entry.expect("an entry of a folder");
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            std::fs::copy(&from, &to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
        }
    }
}

/// All files below a folder, by path, with what is in them. Without the lock, which has
/// nothing in it and whose file every process may make.
pub fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    fn walk(root: &Path, folder: &Path, found: &mut Vec<(String, Vec<u8>)>) {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry of a folder").path();
            let name = path.strip_prefix(root).expect("below the root").to_string_lossy().into_owned();
            if path.is_dir() {
                walk(root, &path, found);
            } else if name != "lock" {
                found.push((name, std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))));
            }
        }
    }
    let mut found = Vec::new();
    walk(folder, folder, &mut found);
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_entry_is_read_as_the_answer_that_it_stands_for() {
        let finding = json!({"rule": "r", "action": "flag", "severity": "low", "message": "m", "evidence": {"n": "1"}, "legal_basis": "l"});
        let entry = json!({
            "sequence": 7, "source": "/s", "id": "1", "type": "t", "arrived": "2026-11-24T08:00:00.000000Z", "digest": "00", "verdict": "flag",
            "asked": [
                {"policy": "a", "release": "1", "code": "00", "mode": "enforce", "findings": [finding]},
                {"policy": "b", "release": "2", "code": "00", "mode": "enforce", "fault": {"kind": "trap", "detail": "d"}},
            ],
        });
        let expected = json!({
            "source": "/s", "id": "1", "sequence": 7, "verdict": "flag",
            "findings": [{
                "policy": "a", "release": "1", "rule": "r", "action": "flag", "severity": "low", "message": "m", "evidence": {"n": "1"},
                "legal_basis": "l",
            }],
            "faults": [{"policy": "b", "release": "2", "kind": "trap", "detail": "d"}],
        });
        assert_eq!(answer(&entry), expected);

        // Beside one that denies, it counts for nothing; what is in shadow is not said.
        let denying = json!({"rule": "d", "action": "deny"});
        let entry = json!({
            "sequence": 8, "source": "/s", "id": "2", "verdict": "deny",
            "asked": [
                {"policy": "a", "release": "1", "mode": "enforce", "findings": [finding]},
                {"policy": "b", "release": "2", "mode": "canary", "findings": [denying]},
                {"policy": "c", "release": "3", "mode": "shadow", "findings": [denying]},
                {"policy": "d", "release": "4", "mode": "shadow", "fault": {"kind": "trap", "detail": "d"}},
            ],
        });
        let expected = json!({
            "source": "/s", "id": "2", "sequence": 8, "verdict": "deny",
            "findings": [
                {
                    "policy": "a", "release": "1", "rule": "r", "action": "flag", "severity": "low", "message": "m", "evidence": {"n": "1"},
                    "legal_basis": "l", "overridden": true,
                },
                {"policy": "b", "release": "2", "rule": "d", "action": "deny"},
            ],
        });
        assert_eq!(answer(&entry), expected);
        let entry = json!({
            "sequence": 9, "source": "/s", "id": "3", "verdict": "undetermined", "handling": "hold",
            "asked": [{"policy": "a", "release": "1", "mode": "enforce", "fault": {"kind": "trap", "detail": "d"}}],
        });
        let expected = json!({
            "source": "/s", "id": "3", "sequence": 9, "verdict": "undetermined", "handling": "hold", "findings": [],
            "faults": [{"policy": "a", "release": "1", "kind": "trap", "detail": "d"}],
        });
        assert_eq!(answer(&entry), expected);
        assert_eq!(unmarked(json!({"sequence": 7, "duplicate": true})), (json!({"sequence": 7}), true));
        assert_eq!(unmarked(json!({"sequence": 7})), (json!({"sequence": 7}), false));
    }

    #[test]
    fn entries_are_told_apart_by_what_they_are_about() {
        let lines = [
            r#"{"sequence":1,"change":{"what":"install"}}"#,
            r#"{"sequence":2,"source":"/s","id":"1"}"#,
            r#"{"sequence":3,"start":{"version":"1"}}"#,
            r#"{"sequence":4,"timer":{"source":"/s"}}"#,
        ]
        .map(str::to_string);
        assert_eq!(subjects(&lines), ["change", "event", "start", "timer"]);
        assert_eq!(events(&lines), [json!({"sequence": 2, "source": "/s", "id": "1"})]);
    }

    #[test]
    fn a_checkpoint_is_its_first_three_lines() {
        let checkpoint = Checkpoint::parse("origin\n12\nAAAA=\n\n— origin BBBB\n");
        assert_eq!((checkpoint.size, checkpoint.root.as_str()), (12, "AAAA="));
    }
}
