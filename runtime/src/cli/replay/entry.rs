//! Entries of a ledger, as far as a replay reads them.

use std::borrow::Cow;
use std::ops::Deref;

use anyhow::{Context as _, bail};
use ephor::policy::manifest::Action;
use ephor::verdict::{Decision, Mode};
use serde::Deserialize;

use crate::cli::table;

/// A string of a line, borrowed where it can be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// The versions of a release's reference lists by their names, in its own order.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Lists<'a>(pub Vec<(Text<'a>, Text<'a>)>);

impl<'de: 'a, 'a> Deserialize<'de> for Lists<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> serde::de::Visitor<'de> for InOrder {
            type Value = Lists<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object of strings")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Lists<'de>, A::Error> {
                let mut lists = Vec::new();
                while let Some(list) = map.next_entry()? {
                    lists.push(list);
                }
                Ok(Lists(lists))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

/// What a release said about an event or a timer.
#[derive(Debug, Deserialize)]
pub struct Asked<'a> {
    #[serde(borrow)]
    pub policy: Text<'a>,
    #[serde(borrow)]
    pub release: Text<'a>,
    #[serde(borrow, default)]
    pub findings: Vec<Finding<'a>>,
    #[serde(borrow)]
    pub fault: Option<Fault<'a>>,
}

#[derive(Debug, Deserialize)]
pub struct Finding<'a> {
    #[serde(borrow)]
    pub rule: Text<'a>,
    pub action: Action,
}

#[derive(Debug, Deserialize)]
pub struct Fault<'a> {
    #[serde(borrow)]
    pub kind: Text<'a>,
}

/// The entry of an event.
#[derive(Debug, Deserialize)]
pub struct EventEntry<'a> {
    #[serde(borrow)]
    pub source: Text<'a>,
    #[serde(borrow)]
    pub id: Text<'a>,
    #[serde(borrow)]
    pub arrived: Text<'a>,
    /// A verdict event comes behind it.
    pub echo: Option<u32>,
    /// 64 hexadecimal digits.
    #[serde(borrow)]
    pub digest: Text<'a>,
    pub verdict: Decision,
    #[serde(borrow)]
    pub asked: Vec<Asked<'a>>,
}

/// The entry of a timer.
#[derive(Debug)]
pub struct TimerEntry<'a> {
    /// A verdict event comes behind it.
    pub echo: Option<u32>,
    pub asked: Asked<'a>,
    pub key: Text<'a>,
    pub due: Text<'a>,
    pub verdict: Decision,
}

/// The entry of a change of the releases in force.
#[derive(Debug, Deserialize)]
pub struct ChangeEntry<'a> {
    #[serde(borrow)]
    pub what: Text<'a>,
    #[serde(borrow)]
    pub policy: Text<'a>,
    #[serde(borrow)]
    pub release: Text<'a>,
    /// 64 hexadecimal digits.
    #[serde(borrow)]
    pub digest: Text<'a>,
    #[serde(borrow, default)]
    pub lists: Lists<'a>,
    #[serde(borrow)]
    pub statement: Option<Text<'a>>,
    pub mode: Mode,
    pub share: Option<u16>,
    #[serde(borrow)]
    pub from: Option<Text<'a>>,
    #[serde(borrow)]
    pub until: Option<Text<'a>>,
    #[serde(borrow)]
    pub by: Text<'a>,
    #[serde(borrow)]
    pub reason: Option<Text<'a>>,
    #[serde(borrow)]
    pub at: Text<'a>,
}

/// The entry of a start of the runtime.
#[derive(Debug, Deserialize)]
pub struct StartEntry<'a> {
    #[serde(borrow)]
    pub at: Text<'a>,
}

/// One entry.
#[derive(Debug)]
pub enum Entry<'a> {
    Event(EventEntry<'a>),
    Timer(TimerEntry<'a>),
    Change(ChangeEntry<'a>),
    Start(StartEntry<'a>),
    /// About something else; what, and its content as it stands in the line.
    Other(&'a str, &'a str),
}

#[derive(Deserialize)]
struct ChangeLine<'a> {
    #[serde(borrow)]
    change: ChangeEntry<'a>,
}

#[derive(Deserialize)]
struct StartLine<'a> {
    #[serde(borrow)]
    start: StartEntry<'a>,
}

#[derive(Deserialize)]
struct TimerLine<'a> {
    #[serde(borrow)]
    timer: TimerParts<'a>,
}

/// A timer's entry as it stands there, what its release said beside the rest.
#[derive(Deserialize)]
struct TimerParts<'a> {
    echo: Option<u32>,
    #[serde(borrow)]
    policy: Text<'a>,
    #[serde(borrow)]
    release: Text<'a>,
    #[serde(borrow)]
    key: Text<'a>,
    #[serde(borrow)]
    due: Text<'a>,
    verdict: Decision,
    #[serde(borrow, default)]
    findings: Vec<Finding<'a>>,
    #[serde(borrow)]
    fault: Option<Fault<'a>>,
}

impl<'a> From<TimerParts<'a>> for TimerEntry<'a> {
    fn from(parts: TimerParts<'a>) -> Self {
        let TimerParts { echo, policy, release, key, due, verdict, findings, fault } = parts;
        TimerEntry { echo, asked: Asked { policy, release, findings, fault }, key, due, verdict }
    }
}

impl<'a> Entry<'a> {
    /// Reads a line.
    pub fn read(line: &'a str) -> anyhow::Result<Self> {
        let read = || -> anyhow::Result<Self> {
            let Some((name, content)) = second_member(line) else { bail!("it has no second member") };
            Ok(match name {
                "source" => Entry::Event(serde_json::from_str(line)?),
                "timer" => Entry::Timer(serde_json::from_str::<TimerLine<'_>>(line)?.timer.into()),
                "change" => Entry::Change(serde_json::from_str::<ChangeLine<'_>>(line)?.change),
                "start" => Entry::Start(serde_json::from_str::<StartLine<'_>>(line)?.start),
                other => Entry::Other(other, content),
            })
        };
        read().with_context(|| format!("not an entry that this program knows: {}", table::plain(&line[..line.floor_char_boundary(200)])))
    }
}

/// The name of a line's second member, which says what the entry is about, and the rest
/// of the line from there.
fn second_member(line: &str) -> Option<(&str, &str)> {
    let (_, rest) = line.strip_prefix("{\"sequence\":")?.split_once(",\"")?;
    rest.split_once("\":")
}

/// Whether a line is the entry of an event.
pub fn is_event(line: &str) -> bool {
    second_member(line).is_some_and(|(name, _)| name == "source")
}

/// What comes after the sequence, so that entries can be compared that only have another
/// place.
pub fn without_sequence(line: &str) -> &str {
    line.split_once(',').map_or(line, |(_, rest)| rest)
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// An event's entry with what one release said.
    pub fn event(sequence: u64, id: &str, verdict: &str, said: &str) -> String {
        let said = if said.is_empty() { String::new() } else { format!(",{said}") };
        format!(
            r#"{{"sequence":{sequence},"source":"/s","id":"{id}","type":"t","subject":"x","time":"2026-01-02T03:04:05Z","arrived":"2026-01-02T03:04:05.000000Z","digest":"{}","verdict":"{verdict}","asked":[{{"policy":"p","release":"1-a","digest":"{}","mode":"enforce","columns":"{}"{said}}}]}}"#,
            "0".repeat(64),
            "1".repeat(64),
            "2".repeat(64)
        )
    }

    /// The words of one finding.
    pub fn finding(rule: &str, word: &str) -> String {
        format!(
            r#"{{"rule":"{rule}","action":"flag","severity":"low","message":"has {word}","evidence":{{"word":"{word}"}},"legal_basis":"none"}}"#
        )
    }

    /// A timer's entry.
    pub fn timer(sequence: u64, key: &str, verdict: &str, said: &str) -> String {
        let said = if said.is_empty() { String::new() } else { format!(",{said}") };
        format!(
            r#"{{"sequence":{sequence},"timer":{{"policy":"p","release":"1-a","digest":"{}","mode":"enforce","source":"/s","key":"{key}","due":"2026-01-03T00:00:00.000000Z","arrived":"2026-01-03T00:00:00.000000Z","verdict":"{verdict}"{said}}}}}"#,
            "1".repeat(64)
        )
    }

    #[test]
    fn entries_are_read_as_they_are_written() {
        let line = event(7, "a\\\"b", "flag", &format!("\"findings\":[{}]", finding("r", "é")));
        let Entry::Event(read) = Entry::read(&line).expect("an entry") else { panic!("an event") };
        assert_eq!((&*read.id, read.verdict, &*read.asked[0].findings[0].rule), ("a\"b", Decision::Flag, "r"));
        let line = timer(8, "k", "undetermined", r#""fault":{"kind":"trap","detail":"d"}"#);
        let Entry::Timer(read) = Entry::read(&line).expect("an entry") else { panic!("a timer") };
        assert_eq!((&*read.key, &*read.asked.policy), ("k", "p"));
        assert_eq!(read.asked.fault.map(|fault| fault.kind.to_string()).as_deref(), Some("trap"));
        assert!(matches!(Entry::read(r#"{"sequence":9,"gap":{"missing":3}}"#), Ok(Entry::Other("gap", "{\"missing\":3}}"))));
        for bad in ["", "{}", "{\"sequence\":1}", "{\"sequence\":1,\"source\":3}"] {
            assert!(Entry::read(bad).is_err(), "{bad}");
        }
        assert_eq!(without_sequence("{\"sequence\":1,\"a\":2}"), "\"a\":2}");
    }
}
