//! Vectors of a release, run before it is taken: each in a runtime of its own, with a
//! ledger in a temporary folder, far from what is in force.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::column::time_micros;
use crate::event::Event;
use crate::ingest;
use crate::ledger::entry::{self, Entry};
use crate::reference::{Draft, List};
use crate::runtime::{Answer, By, Offer, Runtime};
use crate::sandbox::LoadError;
use crate::verdict::{Fault, FaultKind, Finding};

/// Seconds by which events may be late where a vector does not say it; the same as in
/// the SDK.
const LATENESS_S: u64 = 60;

/// Differences that are told.
const TOLD_MAX: usize = 5;

/// A release does not find in its vectors what they say, or they are none.
#[derive(Debug, thiserror::Error)]
pub enum VectorsError {
    /// A vector is none.
    #[error("the vector {name} cannot be used: {problem}")]
    Unusable {
        /// Which one.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// The release says something else.
    #[error("the release fails its own vectors: {}", .differences.join("; "))]
    Failed {
        /// The first differences, each with vector and event.
        differences: Vec<String>,
    },
    /// The component does not take a vector's settings or lists.
    #[error("the vector {name}: {error}")]
    Load {
        /// Which one.
        name: String,
        /// Why.
        error: LoadError,
    },
    /// This machine cannot run them now.
    #[error("the vectors cannot be run on this machine: {0}")]
    Machine(String),
}

/// A vector: what the policy says about which events.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector<'a> {
    /// For the reader.
    #[serde(default, rename = "about")]
    _about: String,
    #[serde(borrow)]
    settings: &'a RawValue,
    /// Reference lists by name: values by key.
    #[serde(default)]
    lists: BTreeMap<String, BTreeMap<String, String>>,
    #[serde(default = "lateness")]
    lateness_s: u64,
    #[serde(borrow)]
    events: Vec<&'a RawValue>,
    expect: Vec<Expected>,
    #[serde(default)]
    wakes: Vec<Wake>,
}

fn lateness() -> u64 {
    LATENESS_S
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wake {
    /// The index of the event before which a key is woken.
    before: u64,
    /// What its timer was set for.
    at: String,
    /// The values of the key's fields; entries name keys otherwise.
    #[serde(rename = "key")]
    _key: Vec<Value>,
    expect: Expected,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(untagged)]
enum Expected {
    Findings(Vec<Found>),
    Otherwise(Otherwise),
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Otherwise {
    Undecided(String),
    /// The pointer of the field.
    Unreadable(String),
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(deny_unknown_fields)]
struct Found {
    rule: String,
    #[serde(default)]
    evidence: BTreeMap<String, String>,
}

/// Runs all vectors of a release.
pub(super) async fn check(runtime: &Runtime, component: &Arc<[u8]>, vectors: &[u8]) -> Result<(), VectorsError> {
    let unusable = |name: &str, problem: String| VectorsError::Unusable { name: name.to_string(), problem };
    let vectors: BTreeMap<String, &RawValue> =
        serde_json::from_slice(vectors).map_err(|error| unusable("file", format!("it is no object of vectors: {error}")))?;
    let mut differences = Vec::new();
    for (name, vector) in vectors {
        let vector: Vector<'_> = serde_json::from_str(vector.get()).map_err(|error| unusable(&name, error.to_string()))?;
        if vector.expect.len() != vector.events.len() {
            let problem = format!("it has {} events and expects something of {}", vector.events.len(), vector.expect.len());
            return Err(unusable(&name, problem));
        }
        differences.extend(run(runtime, component, &name, &vector).await?.into_iter().map(|what| format!("{name}, {what}")));
    }
    if differences.is_empty() {
        return Ok(());
    }
    let more = differences.len().saturating_sub(TOLD_MAX);
    differences.truncate(TOLD_MAX);
    if more > 0 {
        differences.push(format!("and {more} more"));
    }
    Err(VectorsError::Failed { differences })
}

/// Runs one. Gives what is different.
async fn run(runtime: &Runtime, component: &Arc<[u8]>, name: &str, vector: &Vector<'_>) -> Result<Vec<String>, VectorsError> {
    let unusable = |problem: String| VectorsError::Unusable { name: name.to_string(), problem };
    let machine = |problem: &dyn std::fmt::Display| VectorsError::Machine(problem.to_string());
    let events = events(&vector.events).map_err(unusable)?;
    let folder = tempfile::tempdir().map_err(|error| machine(&error))?;
    let apart = runtime.apart(folder.path(), vector.lateness_s).map_err(|error| machine(&error))?;
    let lists = vector.lists.iter().map(|(name, values)| list(name, values)).collect::<Result<_, _>>().map_err(unusable)?;
    let settings = vector.settings.get().as_bytes().into();
    let offer = Offer { lists, ..Offer::development(component.clone(), settings) };
    let published = apart.publish(vec![offer], By::new("vectors")).await;
    published.map_err(|error| VectorsError::Load { name: name.to_string(), error })?;
    let judged = match apart.submit(events).await {
        Ok(pending) => pending.await.map_err(|error| machine(&error))?,
        Err(error) => return Err(machine(&error)),
    };
    let mut differences = Vec::new();
    for (at, (answer, expected)) in judged.answers.iter().zip(&vector.expect).enumerate() {
        let said = match answer {
            Answer::Judged(recorded) => said(&recorded.get().findings, recorded.get().faults.first()),
            Answer::Again(_) | Answer::Refused(_) => Err("it is there twice".to_string()),
        };
        if let Some(difference) = differs(said, expected) {
            differences.push(format!("event {at}: {difference}"));
        }
    }
    let log = apart.log().ok_or_else(|| machine(&"no ledger"))?;
    let lines = log.entries(1).collect::<Result<Vec<_>, _>>().map_err(|error| machine(&error))?;
    differences.extend(wakes(&lines, &vector.wakes).map_err(unusable)?);
    apart.close().await;
    Ok(differences)
}

fn events(events: &[&RawValue]) -> Result<Vec<Event>, String> {
    let mut now = 0;
    let event = |(at, event): (usize, &&RawValue)| {
        let event = ingest::structured(event.get().as_bytes(), &ingest::Limits::default()).map_err(|error| format!("event {at}: {error}"))?;
        now = event.time_micros().unwrap_or(now);
        Ok(event.with_arrival(now))
    };
    events.iter().enumerate().map(event).collect()
}

fn list(name: &str, values: &BTreeMap<String, String>) -> Result<Arc<List>, String> {
    let fail = |error: crate::reference::ListError| format!("the list {name}: {error}");
    let mut draft = Draft::new(name, "vector", &["value"]).map_err(fail)?;
    for (key, value) in values {
        draft.push(key, value).map_err(fail)?;
    }
    draft.finish().map(Arc::new).map_err(fail)
}

/// What was said about an event, as vectors have it.
fn said(findings: &[Finding], fault: Option<&Fault>) -> Result<Expected, String> {
    match fault {
        Some(fault) => failed(fault.kind, &fault.detail),
        None => Ok(Expected::Findings(
            findings
                .iter()
                .map(|finding| Found { rule: finding.rule().id.clone(), evidence: evidence(finding.evidence.iter().map(|(name, value)| (name.as_str(), value.as_str()))) })
                .collect(),
        )),
    }
}

fn failed(kind: FaultKind, detail: &str) -> Result<Expected, String> {
    match kind {
        FaultKind::Undecided => Ok(Expected::Otherwise(Otherwise::Undecided(detail.to_string()))),
        FaultKind::Unreadable => {
            Ok(Expected::Otherwise(Otherwise::Unreadable(detail.split(' ').next().unwrap_or_default().to_string())))
        }
        kind => Err(format!("it failed ({}: {detail})", kind.name())),
    }
}

/// The first value of each name, as in a message.
fn evidence<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> BTreeMap<String, String> {
    let mut evidence = BTreeMap::new();
    for (name, value) in pairs {
        evidence.entry(name.to_string()).or_insert_with(|| value.to_string());
    }
    evidence
}

fn differs(said: Result<Expected, String>, expected: &Expected) -> Option<String> {
    match said {
        Ok(said) if said == *expected => None,
        Ok(said) => Some(format!("expected {}, and it says {}", words(expected), words(&said))),
        Err(problem) => Some(problem),
    }
}

fn words(expected: &Expected) -> String {
    match expected {
        Expected::Findings(found) if found.is_empty() => "nothing".into(),
        Expected::Findings(found) => {
            let one = |found: &Found| {
                let evidence: Vec<String> = found.evidence.iter().map(|(name, value)| format!("{name} {value:?}")).collect();
                format!("{} ({})", found.rule, evidence.join(", "))
            };
            found.iter().map(one).collect::<Vec<_>>().join(" and ")
        }
        Expected::Otherwise(Otherwise::Undecided(reason)) => format!("that it cannot decide ({reason})"),
        Expected::Otherwise(Otherwise::Unreadable(pointer)) => format!("that {pointer} cannot be read"),
    }
}

/// Holds the timers that fired against those that were expected to, whatever their
/// order.
fn wakes(lines: &[(u64, String)], expected: &[Wake]) -> Result<Vec<String>, String> {
    let mut wanted = Vec::new();
    for wake in expected {
        let at = time_micros(&wake.at).ok_or_else(|| format!("`at` of a wake is no RFC 3339 date-time: {}", wake.at))?;
        wanted.push((wake.before, at, wake.expect.clone()));
    }
    let (mut fired, mut events) = (Vec::new(), 0);
    for (_, line) in lines {
        match Entry::parse(line.as_bytes()).map_err(|error| error.to_string())? {
            Entry::Event(_) => events += 1,
            Entry::Timer(_, timer) => {
                let said = match &timer.fault {
                    Some(fault) => failed(fault.kind, &fault.detail)?,
                    None => Expected::Findings(timer.findings.iter().map(found).collect()),
                };
                fired.push((events, timer.due.micros(), said));
            }
            _ => {}
        }
    }
    wanted.sort();
    fired.sort();
    let mut differences = Vec::new();
    for (before, _, expected) in wanted.iter().filter(|wake| !fired.contains(wake)) {
        differences.push(format!("before event {before}: a key was to be woken and say {}", words(expected)));
    }
    for (before, _, said) in fired.iter().filter(|wake| !wanted.contains(wake)) {
        differences.push(format!("before event {before}: a key was woken and says {}", words(said)));
    }
    if differences.is_empty() && wanted.len() != fired.len() {
        differences.push(format!("{} keys were to be woken, and {} were", wanted.len(), fired.len()));
    }
    Ok(differences)
}

fn found(finding: &entry::Finding<'_>) -> Found {
    Found { rule: finding.rule.to_string(), evidence: evidence(finding.evidence.0.iter().map(|(name, value)| (&**name, &**value))) }
}
