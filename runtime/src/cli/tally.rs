//! Counts answers. Every number that `send` and `demo` print comes from here.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use anyhow::Context as _;
use comfy_table::{Cell, Table};
use ephor::policy::manifest::Action;
use ephor::verdict::Decision;
use serde::{Deserialize, Serialize};

use super::exit::{Exit, Failed, failed};
use super::table;

/// How often a rule of a release was found, and where in the order of events.
#[derive(Debug, Clone, Serialize)]
pub struct Found {
    pub policy: String,
    pub release: String,
    pub rule: String,
    pub action: Action,
    pub findings: u64,
    pub first_sequence: u64,
    pub last_sequence: u64,
}

/// How often a release failed to answer, in one way.
#[derive(Debug, Clone, Serialize)]
pub struct Faulted {
    pub policy: String,
    pub release: String,
    pub kind: String,
    pub faults: u64,
}

/// The answers of one stream, counted as they come.
#[derive(Debug, Default)]
pub struct Tally {
    /// Events that got a verdict, by verdict.
    decisions: [u64; Decision::ALL.len()],
    /// Events that were not accepted.
    pub rejected: u64,
    /// Events with a verdict that were here before, and got what was recorded then.
    pub duplicates: u64,
    /// Why, by title of the problem; and the first one in full.
    rejections: BTreeMap<String, u64>,
    first_rejection: Option<String>,
    found: HashMap<String, Found>,
    faulted: HashMap<String, Faulted>,
    /// Answers whose sequence is not above that of the answer before: there
    /// must be none, because answers come in order and one event has one.
    pub out_of_order: u64,
    last_sequence: Option<u64>,
    /// Every sequence, for a count of events that were judged twice; kept only
    /// when asked for.
    pub sequences: Option<Vec<u64>>,
    /// A complaint about the stream as a whole, after which it ended.
    pub ended: Option<Failed>,
    /// What the server says it did, at the end of a stream that leaves clean
    /// events out: events judged.
    pub judged_in_all: Option<u64>,
    /// Reused for the keys of the maps above.
    key: String,
}

#[derive(Deserialize)]
struct Answer<'a> {
    sequence: Option<u64>,
    verdict: Option<Decision>,
    #[serde(borrow, default)]
    findings: Vec<FindingPart<'a>>,
    #[serde(borrow, default)]
    faults: Vec<FaultPart<'a>>,
    #[serde(borrow)]
    error: Option<ProblemPart<'a>>,
    line: Option<u64>,
    #[serde(default)]
    duplicate: bool,
    from_line: Option<u64>,
    summary: Option<SummaryPart>,
}

#[derive(Deserialize)]
struct SummaryPart {
    events: u64,
}

#[derive(Deserialize)]
struct FindingPart<'a> {
    #[serde(borrow)]
    policy: Cow<'a, str>,
    #[serde(borrow)]
    release: Cow<'a, str>,
    #[serde(borrow)]
    rule: Cow<'a, str>,
    action: Action,
}

#[derive(Deserialize)]
struct FaultPart<'a> {
    #[serde(borrow)]
    policy: Cow<'a, str>,
    #[serde(borrow)]
    release: Cow<'a, str>,
    #[serde(borrow)]
    kind: Cow<'a, str>,
}

#[derive(Deserialize)]
struct ProblemPart<'a> {
    #[serde(default)]
    status: u16,
    #[serde(borrow, default)]
    title: Cow<'a, str>,
    #[serde(borrow, default)]
    detail: Cow<'a, str>,
    #[serde(borrow)]
    pointer: Option<Cow<'a, str>>,
    #[serde(borrow)]
    header: Option<Cow<'a, str>>,
}

impl Tally {
    pub fn keeping_sequences() -> Self {
        Tally { sequences: Some(Vec::new()), ..Tally::default() }
    }

    /// Counts one line of the answer.
    pub fn add(&mut self, line: &[u8]) -> anyhow::Result<()> {
        let answer: Answer<'_> = serde_json::from_slice(line).with_context(|| {
            format!("not an answer of an Ephor server: {}", table::plain(&String::from_utf8_lossy(&line[..line.len().min(200)])))
        })?;
        if let Some(problem) = answer.error {
            self.problem(&problem, answer.line, answer.from_line);
            return Ok(());
        }
        if let Some(summary) = answer.summary {
            self.judged_in_all = Some(summary.events);
            return Ok(());
        }
        let (Some(sequence), Some(decision)) = (answer.sequence, answer.verdict) else {
            anyhow::bail!("an answer has neither a verdict with its sequence nor an error");
        };
        self.decisions[decision as usize] += 1;
        if answer.duplicate {
            self.duplicates += 1;
        } else if self.last_sequence.is_some_and(|last| last >= sequence) {
            self.out_of_order += 1;
        }
        if !answer.duplicate {
            self.last_sequence = Some(sequence);
            if let Some(sequences) = &mut self.sequences {
                sequences.push(sequence);
            }
        }
        for finding in &answer.findings {
            join(&mut self.key, [&finding.policy, &finding.release, &finding.rule]);
            if let Some(found) = self.found.get_mut(&self.key) {
                found.findings += 1;
                found.last_sequence = sequence;
            } else {
                let found = Found {
                    policy: finding.policy.to_string(),
                    release: finding.release.to_string(),
                    rule: finding.rule.to_string(),
                    action: finding.action,
                    findings: 1,
                    first_sequence: sequence,
                    last_sequence: sequence,
                };
                self.found.insert(self.key.clone(), found);
            }
        }
        for fault in &answer.faults {
            join(&mut self.key, [&fault.policy, &fault.release, &fault.kind]);
            if let Some(faulted) = self.faulted.get_mut(&self.key) {
                faulted.faults += 1;
            } else {
                let faulted = Faulted {
                    policy: fault.policy.to_string(),
                    release: fault.release.to_string(),
                    kind: fault.kind.to_string(),
                    faults: 1,
                };
                self.faulted.insert(self.key.clone(), faulted);
            }
        }
        Ok(())
    }

    /// Counts an event that was not accepted; or takes note that the stream ended,
    /// which no event is at fault for, before the line `from`.
    fn problem(&mut self, problem: &ProblemPart<'_>, line: Option<u64>, from: Option<u64>) {
        let place = problem.pointer.as_ref().or(problem.header.as_ref()).filter(|place| !place.is_empty());
        let place = place.map(|place| format!(" (at {place})")).unwrap_or_default();
        let text = table::plain(&format!("{}: {}{place}", problem.title, problem.detail));
        if let Some(line) = line {
            self.rejected += 1;
            *self.rejections.entry(table::plain(&problem.title)).or_default() += 1;
            self.first_rejection.get_or_insert_with(|| format!("line {line}: {text}"));
        } else {
            let exit = if (400..500).contains(&problem.status) { Exit::Refused } else { Exit::Unreachable };
            let before = from.map(|line| format!(" before line {line}")).unwrap_or_default();
            self.ended = Some(failed(exit, format!("the server ended the stream{before}: {text}")));
        }
    }

    /// Adds the counts of another stream. Orders are a matter of each stream and
    /// are not compared.
    pub fn merge(&mut self, other: Tally) {
        for (mine, theirs) in self.decisions.iter_mut().zip(other.decisions) {
            *mine += theirs;
        }
        self.rejected += other.rejected;
        self.duplicates += other.duplicates;
        for (title, count) in other.rejections {
            *self.rejections.entry(title).or_default() += count;
        }
        self.first_rejection = self.first_rejection.take().or(other.first_rejection);
        for (key, theirs) in other.found {
            match self.found.get_mut(&key) {
                Some(mine) => {
                    mine.findings += theirs.findings;
                    mine.first_sequence = mine.first_sequence.min(theirs.first_sequence);
                    mine.last_sequence = mine.last_sequence.max(theirs.last_sequence);
                }
                None => {
                    self.found.insert(key, theirs);
                }
            }
        }
        for (key, theirs) in other.faulted {
            match self.faulted.get_mut(&key) {
                Some(mine) => mine.faults += theirs.faults,
                None => {
                    self.faulted.insert(key, theirs);
                }
            }
        }
        self.out_of_order += other.out_of_order;
        if let (Some(mine), Some(theirs)) = (&mut self.sequences, other.sequences) {
            mine.extend(theirs);
        }
    }

    /// Events that got a verdict.
    pub fn judged(&self) -> u64 {
        self.decisions.iter().sum()
    }

    /// Events that got a verdict or were told why not.
    pub fn answered(&self) -> u64 {
        self.judged() + self.rejected
    }

    /// Events with this verdict.
    pub fn with(&self, decision: Decision) -> u64 {
        self.decisions[decision as usize]
    }

    /// Answers beyond the first for the same sequence.
    pub fn doubled(&self) -> u64 {
        let mut sequences = self.sequences.clone().unwrap_or_default();
        sequences.sort_unstable();
        sequences.windows(2).filter(|pair| pair[0] == pair[1]).count() as u64
    }

    /// Findings in the order of policy, time and rule.
    pub fn found(&self) -> Vec<&Found> {
        let mut found: Vec<&Found> = self.found.values().collect();
        let begun = |wanted: &Found| {
            self.found.values().filter(|f| f.policy == wanted.policy && f.release == wanted.release).map(|f| f.first_sequence).min()
        };
        found.sort_by(|a, b| (&a.policy, begun(a), &a.release, &a.rule).cmp(&(&b.policy, begun(b), &b.release, &b.rule)));
        found
    }

    /// Faults in the order of policy, release and kind.
    pub fn faulted(&self) -> Vec<&Faulted> {
        let mut faulted: Vec<&Faulted> = self.faulted.values().collect();
        faulted.sort_by(|a, b| (&a.policy, &a.release, &a.kind).cmp(&(&b.policy, &b.release, &b.kind)));
        faulted
    }

    /// Prints findings, and faults and rejections where there are any.
    pub fn print_details(&self) {
        let mut rows = table::table(&["policy", "release", "rule", "action", "findings", "first at", "last at"]);
        for found in self.found() {
            rows.add_row([
                Cell::new(table::plain(&found.policy)),
                Cell::new(table::plain(&found.release)),
                Cell::new(table::plain(&found.rule)),
                table::action(found.action),
                table::number(found.findings),
                table::number(found.first_sequence),
                table::number(found.last_sequence),
            ]);
        }
        print_unless_empty("Findings by policy, release and rule (places are sequence numbers)", &rows);
        let mut rows = table::table(&["policy", "release", "fault", "events"]);
        for fault in self.faulted() {
            rows.add_row([
                Cell::new(table::plain(&fault.policy)),
                Cell::new(table::plain(&fault.release)),
                Cell::new(table::plain(&fault.kind)),
                table::number(fault.faults),
            ]);
        }
        print_unless_empty("Faults: policies that failed to answer", &rows);
        let mut rows = table::table(&["not accepted because", "events"]);
        for (title, count) in &self.rejections {
            rows.add_row([Cell::new(title), table::number(*count)]);
        }
        print_unless_empty("Rejected", &rows);
        if let Some(first) = &self.first_rejection {
            println!("The first one is {first}");
        }
    }

    /// The same for scripts.
    pub fn to_json(&self) -> serde_json::Value {
        let verdicts: serde_json::Map<_, _> =
            Decision::ALL.iter().map(|decision| (decision.name().to_string(), self.with(*decision).into())).collect();
        serde_json::json!({
            "judged": self.judged(),
            "rejected": self.rejected,
            "duplicates": self.duplicates,
            "out_of_order": self.out_of_order,
            "verdicts": verdicts,
            "findings": self.found(),
            "faults": self.faulted(),
            "rejections": self.rejections,
            "first_rejection": self.first_rejection,
        })
    }
}

fn print_unless_empty(heading: &str, rows: &Table) {
    if !rows.is_empty() {
        table::print(heading, rows);
    }
}

/// NUL cannot be in a policy's or rule's name, so keys cannot run together.
fn join(key: &mut String, parts: [&str; 3]) {
    key.clear();
    for part in parts {
        key.push_str(part);
        key.push('\0');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(sequence: u64, release: &str) -> Vec<u8> {
        format!(
            r#"{{"source":"/s","id":"1","sequence":{sequence},"verdict":"deny","findings":[{{"policy":"p","release":"{release}","rule":"r","action":"deny","severity":"high","message":"m","evidence":{{"a":"b"}},"legal_basis":"l"}}]}}"#
        )
        .into_bytes()
    }

    #[test]
    fn answers_are_counted_by_verdict_release_and_rule() {
        let mut tally = Tally::keeping_sequences();
        tally.add(&verdict(1, "a")).expect("an answer");
        tally.add(&verdict(2, "a")).expect("an answer");
        tally.add(&verdict(3, "b")).expect("an answer");
        tally.add(br#"{"source":"/s","id":"2","sequence":4,"verdict":"allow","findings":[]}"#).expect("an answer");
        tally.add(br#"{"source":"/s","id":"2","sequence":5,"verdict":"undetermined","findings":[],"faults":[{"policy":"p","release":"b","kind":"fuel","detail":"d"}]}"#).expect("an answer");
        tally
            .add(br#"{"error":{"type":"urn:ephor:problem:syntax","title":"T","status":400,"detail":"D","pointer":"/x"},"line":6}"#)
            .expect("an answer");
        assert_eq!((tally.judged(), tally.rejected, tally.answered()), (5, 1, 6));
        assert_eq!((tally.with(Decision::Deny), tally.with(Decision::Allow), tally.with(Decision::Undetermined)), (3, 1, 1));
        let found: Vec<_> = tally.found().iter().map(|f| (f.release.as_str(), f.findings, f.first_sequence, f.last_sequence)).collect();
        assert_eq!(found, [("a", 2, 1, 2), ("b", 1, 3, 3)]);
        assert_eq!(tally.faulted()[0].faults, 1);
        assert_eq!((tally.doubled(), tally.out_of_order), (0, 0));
        assert_eq!(tally.first_rejection.as_deref(), Some("line 6: T: D (at /x)"));
    }

    #[test]
    fn an_event_answered_twice_is_seen() {
        let mut tally = Tally::keeping_sequences();
        for sequence in [1, 2, 2, 3] {
            tally.add(&verdict(sequence, "a")).expect("an answer");
        }
        assert_eq!((tally.doubled(), tally.out_of_order), (1, 1));
        let mut both = Tally::keeping_sequences();
        both.add(&verdict(3, "a")).expect("an answer");
        both.merge(tally);
        assert_eq!((both.doubled(), both.judged(), both.found()[0].findings), (2, 5, 5));
    }

    #[test]
    fn what_is_not_an_answer_is_an_error() {
        let mut tally = Tally::default();
        assert!(tally.add(b"<html>").is_err());
        assert!(tally.add(b"{}").is_err());
    }

    #[test]
    fn a_complaint_about_the_whole_stream_is_no_answer() {
        let mut tally = Tally::default();
        for (kind, status, exit) in [("stopping", 503, Exit::Unreachable), ("corrupt-body", 400, Exit::Refused)] {
            let line =
                format!(r#"{{"error":{{"type":"urn:ephor:problem:{kind}","title":"T","status":{status},"detail":"D"}},"from_line":7}}"#);
            tally.add(line.as_bytes()).expect("an answer");
            let ended = tally.ended.take().expect("the stream ended");
            assert_eq!((tally.answered(), ended.exit), (0, exit));
            assert_eq!(ended.error.to_string(), "the server ended the stream before line 7: T: D");
        }
    }

    #[test]
    fn the_summary_of_a_minimal_stream_is_no_answer() {
        let mut tally = Tally::default();
        tally.add(br#"{"summary":{"events":5,"rejected":0,"first_sequence":1,"last_sequence":5}}"#).expect("a summary");
        assert_eq!((tally.answered(), tally.judged_in_all), (0, Some(5)));
    }
}
