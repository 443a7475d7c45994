use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{Finding, Judged, Policy};

/// A vector file: what the policy says about which events.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Vectors {
    /// For the reader.
    #[serde(default, rename = "about")]
    _about: String,
    settings: Value,
    /// Reference lists by name: values by key.
    #[serde(default)]
    lists: BTreeMap<String, BTreeMap<String, String>>,
    /// `CloudEvents` in their JSON format, in order.
    events: Vec<Value>,
    /// One for each event.
    expect: Vec<Expected>,
}

#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Expected {
    Findings(Vec<Finding>),
    Otherwise(Otherwise),
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum Otherwise {
    Undecided(String),
    Unreadable(String),
}

impl From<Expected> for Judged {
    fn from(expected: Expected) -> Self {
        match expected {
            Expected::Findings(findings) => Self::Findings(findings),
            Expected::Otherwise(Otherwise::Undecided(reason)) => Self::Undecided(reason),
            Expected::Otherwise(Otherwise::Unreadable(pointer)) => Self::Unreadable(pointer),
        }
    }
}

/// Runs all vector files (`*.json`) of a folder, given relative to the crate.
///
/// Each file runs twice, with all events in one batch and with one event in
/// each: what is said about an event must not depend on the batch.
///
/// # Panics
///
/// If the folder has no vector file, and if a file cannot be read or the policy
/// says something else than expected; then with every difference, by file and
/// index of the event.
pub fn vectors<P: crate::Policy>(folder: impl AsRef<Path>) {
    let folder = folder.as_ref();
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.expect("the folder can be read").path())
        .filter(|path| path.extension().is_some_and(|it| it == "json"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{}: no vector file", folder.display());

    let mut report = String::new();
    for file in files {
        let shown = file.display();
        match fs::read_to_string(&file) {
            Ok(text) => {
                for difference in differences::<P>(&text) {
                    let _ = writeln!(report, "{shown}: {difference}");
                }
            }
            Err(error) => {
                let _ = writeln!(report, "{shown}: {error}");
            }
        }
    }
    assert!(report.is_empty(), "\n{report}");
}

pub(super) fn differences<P: crate::Policy>(text: &str) -> Vec<String> {
    let vectors: Vectors = match serde_json::from_str(text) {
        Ok(vectors) => vectors,
        Err(error) => return vec![error.to_string()],
    };
    let (events, expect) = (vectors.events.len(), vectors.expect.len());
    if events != expect {
        return vec![format!("{events} events, but {expect} entries in `expect`")];
    }
    let settings = vectors.settings.to_string();
    let configured = || {
        let lists = vectors.lists.clone().into_iter();
        Policy::<P>::new(&settings).map(|policy| lists.fold(policy, |policy, (name, list)| policy.with_list(&name, list)))
    };
    let (mut together, mut apart) = match (configured(), configured()) {
        (Ok(together), Ok(apart)) => (together, apart),
        (Err(errors), _) | (_, Err(errors)) => return vec![format!("settings refused: {errors}")],
    };
    let together = together.judge(&vectors.events);
    let apart = vectors.events.chunks(1).flat_map(|event| apart.judge(event));

    let mut differences = Vec::new();
    for (index, ((expected, together), apart)) in vectors.expect.into_iter().zip(together).zip(apart).enumerate() {
        let expected = Judged::from(expected);
        for (how, judged) in [("in one batch", together), ("in a batch of its own", apart)] {
            if judged != expected {
                differences.push(format!("event {index}, judged {how}:\n  expected {}\n  but got  {}", shown(&expected), shown(&judged)));
            }
        }
    }
    differences
}

/// As it would be in a vector file.
fn shown(judged: &Judged) -> String {
    let value = match judged {
        Judged::Findings(findings) => serde_json::json!(findings),
        Judged::Undecided(reason) => serde_json::json!({ "undecided": reason }),
        Judged::Unreadable(pointer) => serde_json::json!({ "unreadable": pointer }),
    };
    value.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    #[derive(Fields)]
    struct Seen {
        #[field("/data/n", purpose = "compare numbers")]
        n: i64,
    }

    #[settings]
    struct Settings {
        most: i64,
    }

    #[derive(Rules, Clone, Copy)]
    enum Rule {
        #[rule(id = "too-many", action = flag, severity = low, legal_basis = "none", en = "{n} is too many")]
        TooMany,
    }

    struct Most(i64);

    #[policy(name = "most", summary = "Compares numbers.", events = ["a.*"])]
    impl crate::Policy for Most {
        type Fields<'a> = Seen;
        type Settings = Settings;
        type State = ();
        type Rule = Rule;

        fn configure(settings: Settings) -> Result<Self, SettingsErrors> {
            Ok(Self(settings.most))
        }

        fn evaluate(&self, seen: Seen, (): &mut (), out: &mut Out<Rule>) {
            if seen.n > self.0 {
                out.find(Rule::TooMany).with("n", seen.n);
            }
        }
    }

    fn of(settings: &str, expect: &str) -> Vec<String> {
        differences::<Most>(&format!(
            r#"{{"settings": {settings}, "expect": {expect}, "events": [
                {{"type": "a.b", "data": {{"n": 3}}}}, {{"type": "a.b", "data": {{"n": "3"}}}}, {{"type": "b", "data": {{}}}}
            ]}}"#
        ))
    }

    #[test]
    fn says_what_differs() {
        let good = r#"[[{"rule": "too-many", "evidence": {"n": "3"}}], {"unreadable": "/data/n"}, []]"#;
        assert_eq!(of(r#"{"most": 2}"#, good), Vec::<String>::new());
        assert_eq!(of(r#"{"most": 3}"#, good).len(), 2);
        assert_eq!(
            of(r#"{"most": 3}"#, good)[1],
            "event 0, judged in a batch of its own:\n  expected [{\"evidence\":{\"n\":\"3\"},\"rule\":\"too-many\"}]\n  but got  []"
        );
        assert_eq!(of(r#"{"most": 3}"#, "[]"), ["3 events, but 0 entries in `expect`"]);
        assert!(of("{}", good)[0].starts_with("settings refused: the settings: missing field `most`"));
        assert!(!of(r#"{"most": 3}"#, r#"[{"unknown": "x"}, [], []]"#).is_empty());
    }
}
