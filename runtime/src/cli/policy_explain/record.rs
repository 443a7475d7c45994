//! What was recorded: an entry of the ledger, or the answer that a platform got.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::cli::exit::{Exit, Outcome, failed};
use crate::cli::table::plain;

/// Letters of a line that are shown where it is none.
const LETTERS_SHOWN: usize = 120;

/// An entry, or an answer.
#[derive(Debug, Clone)]
pub struct Record {
    pub sequence: u64,
    pub about: About,
    pub verdict: String,
    pub handling: Option<String>,
    /// The releases that were asked.
    pub asked: Vec<Asked>,
    /// Whether it is the answer to a request, which has less than the entry.
    pub is_answer: bool,
}

/// What it is about.
#[derive(Debug, Clone)]
pub enum About {
    Event { source: String, id: String, kind: Option<String>, time: Option<String>, arrived: Option<String>, digest: Option<String> },
    Timer { source: String, due: String },
}

/// What a release said.
#[derive(Debug, Clone, Deserialize)]
pub struct Asked {
    pub policy: String,
    pub release: String,
    /// Of the release, in full; an answer does not have it.
    #[serde(default)]
    pub digest: Option<String>,
    #[serde(default)]
    pub lists: Map<String, Value>,
    #[serde(default)]
    pub mode: Option<String>,
    #[serde(default)]
    pub stale: bool,
    /// Commits to what the release saw.
    #[serde(default)]
    pub columns: Option<String>,
    #[serde(default)]
    pub findings: Vec<Finding>,
    #[serde(default)]
    pub fault: Option<Fault>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Finding {
    pub rule: String,
    pub action: String,
    pub severity: String,
    pub message: String,
    pub evidence: Map<String, Value>,
    pub legal_basis: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Fault {
    pub kind: String,
    pub detail: String,
}

#[derive(Deserialize)]
struct EventLine {
    sequence: u64,
    source: String,
    id: String,
    #[serde(rename = "type")]
    kind: String,
    time: Option<String>,
    arrived: String,
    digest: String,
    verdict: String,
    handling: Option<String>,
    asked: Vec<Asked>,
}

#[derive(Deserialize)]
struct TimerLine {
    source: String,
    due: String,
    verdict: String,
    #[serde(flatten)]
    asked: Asked,
}

#[derive(Deserialize)]
struct AnswerLine {
    sequence: u64,
    source: String,
    id: String,
    verdict: String,
    handling: Option<String>,
    findings: Vec<AnswerFinding>,
    #[serde(default)]
    faults: Vec<AnswerFault>,
}

#[derive(Deserialize)]
struct AnswerFinding {
    policy: String,
    release: String,
    #[serde(flatten)]
    finding: Finding,
}

#[derive(Deserialize)]
struct AnswerFault {
    policy: String,
    release: String,
    kind: String,
    detail: String,
}

impl Record {
    /// Reads a line.
    pub fn read(line: &str) -> Outcome<Self> {
        let none = |why: &str| {
            let shown: String = line.chars().take(LETTERS_SHOWN).collect();
            let forms = "give the line of an entry (`ephor log tail`, GET /v1/verdicts) or of an answer (POST /v1/events)";
            failed(Exit::Usage, format!("{why}: {}; {forms}", plain(&shown)))
        };
        let value: Value = serde_json::from_str(line).map_err(|error| none(&format!("this is no JSON ({error})")))?;
        let wrong = |error: serde_json::Error| none(&format!("this is no entry and no answer ({error})"));
        if value.get("asked").is_some() {
            let EventLine { sequence, source, id, kind, time, arrived, digest, verdict, handling, asked } =
                serde_json::from_value(value).map_err(wrong)?;
            let about = About::Event { source, id, kind: Some(kind), time, arrived: Some(arrived), digest: Some(digest) };
            return Ok(Record { sequence, about, verdict, handling, asked, is_answer: false });
        }
        if let (Some(timer), Some(sequence)) = (value.get("timer"), value["sequence"].as_u64()) {
            let TimerLine { source, due, verdict, asked } = serde_json::from_value(timer.clone()).map_err(wrong)?;
            let about = About::Timer { source, due };
            return Ok(Record { sequence, about, verdict, handling: None, asked: vec![asked], is_answer: false });
        }
        if value.get("findings").is_some() {
            let AnswerLine { sequence, source, id, verdict, handling, findings, faults } = serde_json::from_value(value).map_err(wrong)?;
            let mut asked: Vec<Asked> = Vec::new();
            for AnswerFinding { policy, release, finding } in findings {
                of(&mut asked, policy, release).findings.push(finding);
            }
            for AnswerFault { policy, release, kind, detail } in faults {
                of(&mut asked, policy, release).fault = Some(Fault { kind, detail });
            }
            let about = About::Event { source, id, kind: None, time: None, arrived: None, digest: None };
            return Ok(Record { sequence, about, verdict, handling, asked, is_answer: true });
        }
        let other = value.as_object().and_then(|members| members.keys().find(|name| *name != "sequence")).cloned();
        Err(none(&format!("an entry about a {} has no finding to explain", other.unwrap_or_else(|| "thing of its own".into()))))
    }
}

fn of(asked: &mut Vec<Asked>, policy: String, release: String) -> &mut Asked {
    let at = match asked.iter().position(|asked| asked.policy == policy && asked.release == release) {
        Some(at) => at,
        None => {
            let (digest, mode, columns, fault) = (None, None, None, None);
            asked.push(Asked { policy, release, digest, lists: Map::new(), mode, stale: false, columns, findings: Vec::new(), fault });
            asked.len() - 1
        }
    };
    &mut asked[at]
}

#[cfg(test)]
mod tests {
    use super::*;

    const FINDING: &str =
        r#""rule":"r","action":"deny","severity":"high","message":"has x","evidence":{"word":"x"},"legal_basis":"Act, section 5""#;

    #[test]
    fn entries_timers_and_answers_are_told_apart() {
        let entry = format!(
            r#"{{"sequence":7,"source":"/s","id":"1","type":"t","arrived":"2026-01-01T00:00:00.000000Z","digest":"d","verdict":"deny","asked":[{{"policy":"p","release":"1-a","digest":"x","mode":"enforce","columns":"c","findings":[{{{FINDING}}}]}}]}}"#
        );
        let read = Record::read(&entry).expect("an entry");
        assert!(!read.is_answer && read.asked[0].findings[0].evidence["word"] == "x");
        let timer = format!(
            r#"{{"sequence":8,"timer":{{"policy":"p","release":"1-a","digest":"x","mode":"enforce","source":"/s","key":"k","due":"2026-01-01T00:00:00.000000Z","arrived":"a","verdict":"flag","findings":[{{{FINDING}}}]}}}}"#
        );
        let read = Record::read(&timer).expect("a timer");
        assert!(matches!(read.about, About::Timer { .. }) && read.asked[0].findings.len() == 1);
        let answer = format!(
            r#"{{"source":"/s","id":"1","sequence":9,"verdict":"deny","findings":[{{"policy":"p","release":"1-a",{FINDING}}},{{"policy":"p","release":"1-a",{FINDING}}}]}}"#
        );
        let read = Record::read(&answer).expect("an answer");
        assert!(read.is_answer && read.asked.len() == 1 && read.asked[0].findings.len() == 2);
        for (bad, why) in [
            ("broken", "this is no JSON"),
            (r#"{"sequence":1,"gap":{"missing":3}}"#, "an entry about a gap"),
            (r#"{"sequence":1,"asked":3}"#, "this is no entry"),
        ] {
            let error = Record::read(bad).expect_err("refused").error.to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
