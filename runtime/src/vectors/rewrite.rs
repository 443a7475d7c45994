//! A vector with what a component says in the place of what is expected, and everything
//! else as it is written.

use std::cmp::Reverse;
use std::ops::Range;

use serde_json::Value;
use serde_json::value::RawValue;

use super::read::begin;
use super::{Differences, Found, Ran, Said, Vector, WakeDiffers, Woken};

/// What a component says cannot stand in a vector.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unwritable(String);

impl Vector<'_> {
    /// The vector's text with what a component says. Only what differs is written, in the
    /// form that vectors have here; every other byte stays.
    ///
    /// # Errors
    ///
    /// If the component said something that no vector can expect.
    pub fn rewritten(&self, ran: &Ran) -> Result<String, Unwritable> {
        let differences = self.differences(ran);
        let mut edits: Vec<(Range<usize>, String)> = Vec::new();
        // Members that are not there yet come behind the one that they belong to.
        let (mut behind, mut added) = (self.members.events, String::new());
        match self.members.expect {
            Some(expect) if self.expect.len() == ran.events.len() => {
                behind = expect;
                for differs in &differences.events {
                    let Some(raw) = self.expect_raw.get(differs.event) else { continue };
                    edits.push((self.span(raw), of_event(differs.event, differs.found)?));
                }
            }
            Some(expect) => {
                behind = expect;
                edits.push((self.span(expect), self.array(expect, &self.entries(ran)?)));
            }
            None => added.push_str(&self.member("expect", behind, &self.entries(ran)?)),
        }
        let stay = differences.wakes.iter().all(|differs| matches!(differs, WakeDiffers::Says { .. }));
        match self.members.wakes {
            _ if stay => {
                for differs in &differences.wakes {
                    let WakeDiffers::Says { index, found, .. } = differs else { continue };
                    let Some(raw) = self.wakes_raw.get(*index) else { continue };
                    edits.push((self.span(raw.expect), of_wake(found)?));
                }
            }
            Some(wakes) => edits.push((self.span(wakes), self.array(wakes, &self.woken(&differences)?))),
            None => added.push_str(&self.member("wakes", behind, &self.woken(&differences)?)),
        }
        let end = self.span(behind).end;
        edits.push((end..end, added));
        // From the end, so that the spans before stay true.
        edits.sort_by_key(|(span, _)| Reverse(span.start));
        let mut text = self.text.to_string();
        for (span, new) in edits {
            text.replace_range(span, &new);
        }
        self.check(&text, ran)?;
        Ok(text)
    }

    /// Never trusts itself: what is written over an author's file reads as what was said.
    fn check(&self, text: &str, ran: &Ran) -> Result<(), Unwritable> {
        match Vector::parse(text) {
            Ok(read) if read.complete().is_ok() && read.differences(ran).is_empty() => Ok(()),
            Ok(_) => Err(Unwritable("what was to be written reads otherwise; write it by hand".into())),
            Err(problem) => Err(Unwritable(format!("what was to be written does not read ({problem}); write it by hand"))),
        }
    }

    /// All entries of `expect`; those that are right as they are written.
    fn entries(&self, ran: &Ran) -> Result<Vec<String>, Unwritable> {
        let entry = |(event, found): (usize, &Said)| match (self.expect.get(event), self.expect_raw.get(event)) {
            (Some(expected), Some(raw)) if expected == found => Ok(raw.get().to_string()),
            _ => of_event(event, found),
        };
        ran.events.iter().enumerate().map(entry).collect()
    }

    /// All entries of `wakes`, in the order that they have; new ones behind those that
    /// come before the same event or an earlier one.
    fn woken(&self, differences: &Differences<'_>) -> Result<Vec<String>, Unwritable> {
        let as_written = self.wakes.iter().zip(&self.wakes_raw);
        let mut kept: Vec<Option<(u64, String)>> =
            as_written.map(|(woken, raw)| Some((woken.before, raw.whole.get().to_string()))).collect();
        for differs in &differences.wakes {
            match differs {
                WakeDiffers::Says { index, found, .. } => {
                    if let (Some(Some((_, text))), Some(raw)) = (kept.get_mut(*index), self.wakes_raw.get(*index)) {
                        let from = begin(raw.whole.get(), raw.expect);
                        text.replace_range(from..from + raw.expect.get().len(), &of_wake(found)?);
                    }
                }
                WakeDiffers::Missing { index, .. } => {
                    if let Some(entry) = kept.get_mut(*index) {
                        *entry = None;
                    }
                }
                WakeDiffers::Surplus { .. } => {}
            }
        }
        let mut entries: Vec<(u64, String)> = kept.into_iter().flatten().collect();
        for differs in &differences.wakes {
            let WakeDiffers::Surplus { found } = differs else { continue };
            let place = entries.iter().rposition(|(before, _)| *before <= found.before).map_or(0, |last| last + 1);
            entries.insert(place, (found.before, whole_wake(found)?));
        }
        Ok(entries.into_iter().map(|(_, text)| text).collect())
    }

    /// A member with a list, to stand behind another member.
    fn member(&self, name: &str, behind: &RawValue, items: &[String]) -> String {
        let array = self.array(behind, items);
        match self.newline() {
            Some(newline) => format!(",{newline}{}\"{name}\": {array}", self.indent(behind)),
            None => format!(", \"{name}\": {array}"),
        }
    }

    /// A list with an item in each line, if the vector has lines, as the value of the
    /// member that a value is of.
    fn array(&self, at: &RawValue, items: &[String]) -> String {
        match self.newline() {
            Some(newline) if !items.is_empty() => {
                let indent = self.indent(at);
                // Members of the vector are one step in.
                let step = if indent.is_empty() { "  " } else { indent };
                let separator = format!(",{newline}{indent}{step}");
                format!("[{newline}{indent}{step}{}{newline}{indent}]", items.join(&separator))
            }
            _ => format!("[{}]", items.join(", ")),
        }
    }

    /// How lines end; nothing for a text of one line.
    fn newline(&self) -> Option<&'static str> {
        let text = self.text.trim();
        let line_end = text.find('\n')?;
        Some(if text[..line_end].ends_with('\r') { "\r\n" } else { "\n" })
    }

    /// The white space that the line begins with in which a value begins.
    fn indent(&self, at: &RawValue) -> &str {
        let before = &self.text[..self.span(at).start];
        let line = &before[before.rfind('\n').map_or(0, |end| end + 1)..];
        &line[..line.len() - line.trim_start().len()]
    }
}

fn of_event(event: usize, found: &Said) -> Result<String, Unwritable> {
    entry(found).map_err(|problem| unwritable(&format!("event {event}"), problem))
}

fn of_wake(found: &Woken) -> Result<String, Unwritable> {
    entry(&found.said).map_err(|problem| unwritable(&format!("the timer before event {}", found.before), problem))
}

fn unwritable(what: &str, problem: &str) -> Unwritable {
    Unwritable(format!("{what} failed ({problem}), which no vector can expect; mend the policy first"))
}

fn whole_wake(found: &Woken) -> Result<String, Unwritable> {
    let Some(key) = &found.key else {
        return Err(Unwritable(format!("a timer fires before event {} for a key that no event has; write it by hand", found.before)));
    };
    let key: Vec<String> = key.iter().map(Value::to_string).collect();
    let (before, at, key, said) = (found.before, Value::from(found.time()), key.join(", "), of_wake(found)?);
    Ok(format!("{{\"before\": {before}, \"at\": {at}, \"key\": [{key}], \"expect\": {said}}}"))
}

/// What was said, as it stands in a vector; an error with the problem of what failed.
fn entry(said: &Said) -> Result<String, &str> {
    match said {
        Said::Findings(found) => Ok(format!("[{}]", found.iter().map(finding).collect::<Vec<_>>().join(", "))),
        Said::Undecided(reason) => Ok(format!("{{\"undecided\": {}}}", quoted(reason))),
        Said::Unreadable(pointer) => Ok(format!("{{\"unreadable\": {}}}", quoted(pointer))),
        Said::Failed(problem) => Err(problem),
    }
}

fn finding(found: &Found) -> String {
    let evidence: Vec<String> = found.evidence.iter().map(|(name, value)| format!("{}: {}", quoted(name), quoted(value))).collect();
    match evidence.is_empty() {
        true => format!("{{\"rule\": {}}}", quoted(&found.rule)),
        false => format!("{{\"rule\": {}, \"evidence\": {{{}}}}}", quoted(&found.rule), evidence.join(", ")),
    }
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::vectors::Evidence;

    const GOOD: &str = r#"{
  "about": "odd   spacing stays", "settings" : {"most":2},
  "events": [{"id":"0"},   {"id":"1"}],
  "expect": [
    [{"rule": "too-many", "evidence": {"n": "3", "a": "é\"\n"}}],
    []
  ],
  "wakes": [
    {"before": 0, "at": "1970-01-01T00:00:01Z", "key": ["a", 1], "expect": []},
    {"before": 1, "at": "1970-01-01T00:00:02Z", "key": ["b", 2], "expect": {"undecided": "why"}}
  ]
}
"#;

    fn found(rule: &str, evidence: &[(&str, &str)]) -> Said {
        Said::Findings(vec![Found { rule: rule.into(), evidence: Evidence::first_of(evidence.iter().copied()) }])
    }

    fn clean() -> Said {
        Said::Findings(Vec::new())
    }

    /// What GOOD expects.
    fn ran() -> Ran {
        let woken = |before: u64, key: &str, number: i64, said| Woken {
            before,
            at: number * 1_000_000,
            key: Some(vec![key.into(), number.into()]),
            said,
        };
        Ran {
            events: vec![found("too-many", &[("n", "3"), ("a", "é\"\n")]), clean()],
            wakes: vec![woken(0, "a", 1, clean()), woken(1, "b", 2, Said::Undecided("why".into()))],
            took: Duration::ZERO,
        }
    }

    #[track_caller]
    fn rewritten(text: &str, ran: &Ran) -> String {
        Vector::parse(text).expect("a vector").rewritten(ran).expect("written")
    }

    #[test]
    fn whatever_is_missing_or_wrong_is_written_and_nothing_else() {
        assert_eq!(rewritten(GOOD, &ran()), GOOD);
        let entry = r#"[{"rule": "too-many", "evidence": {"n": "3", "a": "é\"\n"}}]"#;
        let wakes = &GOOD[GOOD.find(",\n  \"wakes\"").expect("wakes")..GOOD.len() - 3];
        let expect = &GOOD[GOOD.find(",\n  \"expect\"").expect("expect")..GOOD.find(wakes).expect("wakes")];
        let second = &GOOD[GOOD.find(",\n    {\"before\": 1").expect("a wake")..GOOD.find("\n  ]\n}").expect("the end")];
        let both = format!("{expect}{wakes}");
        for (right, wrong) in [
            (entry, r#"[{"rule": "too-many", "evidence": {"n": "4"}}]"#),
            (entry, r#"{"undecided": "?"}"#),
            (entry, "[ ]"),
            ("{\"undecided\": \"why\"}", "[]"),
            ("\"key\": [\"a\", 1], \"expect\": []", "\"key\": [\"a\", 1], \"expect\": [{\"rule\": \"x\"}]"),
            (",\n    []\n  ]", "\n  ]"),
            ("    []\n", "    [],\n    []\n"),
            (second, ""),
            (wakes, ""),
            (wakes, ",\n  \"wakes\": []"),
            (expect, ""),
            (both.as_str(), ""),
            ("{\"undecided\": \"why\"}}", "[]}, {\"before\": 1, \"at\": \"1970-01-01T00:00:03Z\", \"key\": [], \"expect\": []}"),
        ] {
            let broken = GOOD.replacen(right, wrong, 1);
            assert_ne!(broken, GOOD, "{right}");
            assert_eq!(rewritten(&broken, &ran()), GOOD, "{broken}");
        }
    }

    #[test]
    fn a_vector_of_one_line_stays_one() {
        let text = r#"{"settings": {}, "events": [{}, {}]}"#;
        let written = rewritten(text, &Ran { events: vec![clean(), found("x", &[])], ..ran() });
        let wakes = r#"{"before": 0, "at": "1970-01-01T00:00:01Z", "key": ["a", 1], "expect": []}, {"before": 1, "at": "1970-01-01T00:00:02Z", "key": ["b", 2], "expect": {"undecided": "why"}}"#;
        assert_eq!(
            written,
            format!(r#"{{"settings": {{}}, "events": [{{}}, {{}}], "expect": [[], [{{"rule": "x"}}]], "wakes": [{wakes}]}}"#)
        );
    }

    #[test]
    fn lines_end_and_begin_as_they_do() {
        let text = "{\r\n\t\"settings\": {},\r\n\t\"events\": [{}]\r\n}\r\n";
        let written = rewritten(text, &Ran { events: vec![clean()], wakes: Vec::new(), took: Duration::ZERO });
        assert_eq!(written, "{\r\n\t\"settings\": {},\r\n\t\"events\": [{}],\r\n\t\"expect\": [\r\n\t\t[]\r\n\t]\r\n}\r\n");
    }

    #[test]
    fn what_failed_is_not_written() {
        let vector = Vector::parse(GOOD).expect("a vector");
        let failed = vector.rewritten(&Ran { events: vec![Said::Failed("trap: unreachable".into()), clean()], ..ran() });
        assert!(failed.expect_err("a failure").to_string().starts_with("event 0 failed (trap: unreachable)"));
        let mut nobody = ran();
        nobody.wakes[0].key = None;
        let failed = vector.rewritten(&nobody).expect_err("a key that nobody has");
        assert!(failed.to_string().contains("for a key that no event has"), "{failed}");
    }
}
