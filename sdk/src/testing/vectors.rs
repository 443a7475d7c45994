use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{Finding, Judged, LATENESS_S, Policy, Woken};
use crate::settings::SettingsErrors;
use crate::time;

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
    /// How late events may be, for timers.
    #[serde(default = "default_lateness")]
    lateness_s: u32,
    /// `CloudEvents` in their JSON format, in order.
    events: Vec<Value>,
    /// One for each event.
    expect: Vec<Expected>,
    /// All keys that are woken, in any order.
    #[serde(default)]
    wakes: Vec<ExpectedWake>,
}

const fn default_lateness() -> u32 {
    LATENESS_S
}

/// A key that is woken, right before one of the events.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectedWake {
    /// The index of the event.
    before: u64,
    /// What the timer was set for, in RFC 3339.
    at: String,
    /// The values of the fields of the key.
    key: Vec<Value>,
    expect: Expected,
}

impl TryFrom<ExpectedWake> for Woken {
    type Error = String;

    fn try_from(expected: ExpectedWake) -> Result<Self, String> {
        let ExpectedWake { before, at, key, expect } = expected;
        let at = time::parse(&at).ok_or_else(|| format!("`at` of a wake is no RFC 3339 date-time: {at}"))?;
        Ok(Self { before, at, key, judged: expect.into() })
    }
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
/// each: what is said about an event must not depend on the batch. Besides the
/// events, all keys that timers wake must be the expected ones.
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
    let configured = || -> Result<Policy<P>, SettingsErrors> {
        let lists = vectors.lists.clone().into_iter();
        let policy = Policy::<P>::new(&settings)?.with_lateness(vectors.lateness_s);
        Ok(lists.fold(policy, |policy, (name, list)| policy.with_list(&name, list)))
    };
    let (mut together, mut apart) = match (configured(), configured()) {
        (Ok(together), Ok(apart)) => (together, apart),
        (Err(errors), _) | (_, Err(errors)) => return vec![format!("settings refused: {errors}")],
    };
    let in_one_batch = together.judge(&vectors.events);
    let in_its_own: Vec<_> = vectors.events.chunks(1).flat_map(|event| apart.judge(event)).collect();
    let ways = [("in one batch", in_one_batch, together.take_woken()), ("in a batch of its own", in_its_own, apart.take_woken())];

    let expected: Vec<_> = vectors.expect.into_iter().map(Judged::from).collect();
    let wakes = match vectors.wakes.into_iter().map(Woken::try_from).collect() {
        Ok(wakes) => by_event_and_key(wakes),
        Err(error) => return vec![error],
    };
    let mut differences = Vec::new();
    for (how, judged, woken) in ways {
        for (index, (expected, judged)) in expected.iter().zip(&judged).enumerate() {
            if judged != expected {
                differences.push(format!("event {index}, judged {how}:\n  expected {}\n  but got  {}", shown(expected), shown(judged)));
            }
        }
        let woken = by_event_and_key(woken);
        let missing = wakes.iter().filter(|wake| !woken.contains(wake));
        differences.extend(missing.map(|wake| format!("events judged {how}:\n  expected wake {}", wake_shown(wake))));
        let surplus = woken.iter().filter(|wake| !wakes.contains(wake));
        differences.extend(surplus.map(|wake| format!("events judged {how}:\n  but got  wake {}", wake_shown(wake))));
        if differences.is_empty() && woken != wakes {
            differences.push(format!("events judged {how}:\n  {} wakes expected, but got {}", wakes.len(), woken.len()));
        }
    }
    differences
}

/// Keys that are woken before the same event are woken in an order that is the
/// host's; the wakes of one key keep theirs.
fn by_event_and_key(mut wakes: Vec<Woken>) -> Vec<Woken> {
    wakes.sort_by_cached_key(|wake| (wake.before, Value::from(wake.key.as_slice()).to_string()));
    wakes
}

fn wake_shown(wake: &Woken) -> String {
    let Woken { before, at, key, judged } = wake;
    serde_json::json!({ "before": before, "at": at.to_string(), "key": key, "expect": value(judged) }).to_string()
}

/// As it would be in a vector file.
fn shown(judged: &Judged) -> String {
    value(judged).to_string()
}

fn value(judged: &Judged) -> Value {
    match judged {
        Judged::Findings(findings) => serde_json::json!(findings),
        Judged::Undecided(reason) => serde_json::json!({ "undecided": reason }),
        Judged::Unreadable(pointer) => serde_json::json!({ "unreadable": pointer }),
    }
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
    #[state]
    struct Last {
        n: i64,
    }

    struct Silence;

    #[policy(name = "silence", summary = "Waits an hour.", events = ["a.*"], key = ["/data/n"], state_version = 1, timers)]
    impl crate::Policy for Silence {
        type Fields<'a> = Seen;
        type Settings = Settings;
        type State = Last;
        type Rule = Rule;

        fn configure(_: Settings) -> Result<Self, SettingsErrors> {
            Ok(Self)
        }

        fn evaluate(&self, seen: Seen, last: &mut Last, out: &mut Out<Rule>) {
            last.n = seen.n;
            out.wake_at(Time(3_600_000_000));
        }

        fn wake(&self, _: Time, last: &mut Last, out: &mut Out<Rule>) {
            out.find(Rule::TooMany).with("n", last.n);
        }
    }

    #[test]
    fn says_which_wakes_differ() {
        let of = |lateness: &str, wakes: &str| {
            differences::<Silence>(&format!(
                r#"{{"settings": {{"most": 0}}, "expect": [[], []], {lateness} "wakes": [{wakes}], "events": [
                    {{"type": "a.b", "time": "1970-01-01T00:00:00Z", "data": {{"n": 3}}}}, {{"type": "b", "time": "1970-01-01T01:00:30Z"}}
                ]}}"#
            ))
        };
        let wake = r#"{"at":"1970-01-01T01:00:00Z","before":1,"expect":[{"evidence":{"n":"3"},"rule":"too-many"}],"key":[3]}"#;
        assert_eq!(of("", ""), Vec::<String>::new());
        assert_eq!(of(r#""lateness_s": 30,"#, wake), Vec::<String>::new());
        let differs = |what: &str| ["in one batch", "in a batch of its own"].map(|how| format!("events judged {how}:\n  {what} {wake}"));
        assert_eq!(of("", wake), differs("expected wake"));
        assert_eq!(of(r#""lateness_s": 0,"#, ""), differs("but got  wake"));
        assert_eq!(of("", &wake.replace("1970", "70")), ["`at` of a wake is no RFC 3339 date-time: 70-01-01T01:00:00Z"]);
    }
}
