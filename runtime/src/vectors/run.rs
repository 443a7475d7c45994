//! Runs a vector: its component, its settings and its events in a runtime of its own,
//! with a ledger in a temporary folder.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Display;
use std::sync::Arc;
use std::time::Instant;

use serde_json::Value;

use super::{Evidence, Found, Problem, Ran, Said, Vector, Woken, keys};
use crate::digest::Digest;
use crate::event::Event;
use crate::ingest;
use crate::ledger::entry::{self, Entry};
use crate::reference::{Draft, List, ListError};
use crate::runtime::{Answer, By, Offer, Runtime};
use crate::sandbox::LoadError;
use crate::verdict::{Fault, FaultKind, Finding};

const EVENT: &str = "write the event as a platform would send it";
const ONCE: &str = "give each event of a vector an `id` of its own";

/// A vector could not be run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// An event or a list of it is none.
    #[error(transparent)]
    Unusable(#[from] Problem),
    /// The component does not take its settings or lists.
    #[error(transparent)]
    Load(LoadError),
    /// This machine cannot run it now.
    #[error("vectors cannot be run on this machine: {0}")]
    Machine(String),
}

fn machine(problem: impl Display) -> RunError {
    RunError::Machine(problem.to_string())
}

/// Runs a vector, with the sandbox and the cache of a runtime that is there.
///
/// # Errors
///
/// If the component cannot be asked about its events at all.
pub async fn run(runtime: &Runtime, component: &Arc<[u8]>, vector: &Vector<'_>) -> Result<Ran, RunError> {
    let began = Instant::now();
    let events = events(vector)?;
    let folder = tempfile::tempdir().map_err(machine)?;
    let apart = runtime.apart(folder.path(), vector.members.lateness_s).map_err(machine)?;
    install(&apart, component, vector).await?;
    let pending = apart.submit(events).await.map_err(machine)?;
    let judged = pending.await.map_err(machine)?;
    let of_event = |answer: &Answer| match answer {
        Answer::Judged(recorded) => said(&recorded.get().findings, recorded.get().faults.first()),
        Answer::Again(_) => Said::Failed("it is there twice".into()),
        Answer::Refused(refusal) => Said::Failed(refusal.to_string()),
    };
    let events = judged.answers.iter().map(of_event).collect();
    let keys = keys::by_name(&apart, &judged.events);
    let log = apart.log().ok_or_else(|| machine("there is no ledger"))?;
    let lines = log.entries(1).collect::<Result<Vec<_>, _>>().map_err(machine)?;
    let wakes = wakes(&lines, &keys)?;
    // Before the folder goes.
    apart.close().await;
    Ok(Ran { events, wakes, took: began.elapsed() })
}

/// The events, each as late as the one before it where it has no time of its own.
fn events(vector: &Vector<'_>) -> Result<Vec<Event>, Problem> {
    let mut now = 0;
    let mut events: Vec<Event> = Vec::with_capacity(vector.events.len());
    let mut known: HashMap<(String, String), usize> = HashMap::new();
    for (at, raw) in vector.events.iter().enumerate() {
        let event = ingest::any_structured(raw.get().as_bytes(), &ingest::Limits::default())
            .map_err(|error| vector.event_problem(at, error.to_string(), EVENT))?;
        if let Some(other) = known.insert((event.source().to_string(), event.id().to_string()), at) {
            return Err(vector.event_problem(at, format!("it has the source and id of event {other}"), ONCE));
        }
        now = event.time_micros().unwrap_or(now);
        events.push(event.with_arrival(now));
    }
    Ok(events)
}

/// Puts the component in force, with the vector's settings and lists.
async fn install(apart: &Runtime, component: &Arc<[u8]>, vector: &Vector<'_>) -> Result<(), RunError> {
    let mut lists = Vec::new();
    for (name, values) in &vector.lists {
        let list = list(name, values).map_err(|error| vector.list_problem(format!("the list {name}: {error}")))?;
        lists.push(list);
    }
    let settings: Arc<[u8]> = vector.members.settings.get().as_bytes().into();
    let offer = Offer { lists, ..Offer::development(component.clone(), settings) };
    let missing = match apart.publish(vec![offer.clone()], By::new("vectors")).await {
        Ok(_) => return Ok(()),
        Err(LoadError::Lists { missing, superfluous }) if superfluous.is_empty() => missing,
        Err(error) => return Err(RunError::Load(error)),
    };
    // As in the SDK: a list that the vector does not have is empty.
    let mut lists = offer.lists.clone();
    for name in &missing {
        lists.push(list(name, &BTreeMap::new()).map_err(machine)?);
    }
    let published = apart.publish(vec![Offer { lists, ..offer }], By::new("vectors")).await;
    published.map(|_| ()).map_err(RunError::Load)
}

fn list(name: &str, values: &BTreeMap<String, String>) -> Result<Arc<List>, ListError> {
    let mut draft = Draft::new(name, "vector", &["key", "value"])?;
    for (key, value) in values {
        draft.push(key, value)?;
    }
    draft.finish().map(Arc::new)
}

/// What was said about an event, as vectors have it.
fn said(findings: &[Finding], fault: Option<&Fault>) -> Said {
    match fault {
        Some(fault) => failed(fault.kind, &fault.detail),
        None => Said::Findings(
            findings
                .iter()
                .map(|finding| Found {
                    rule: finding.rule().id.clone(),
                    evidence: Evidence::first_of(finding.evidence.iter().map(|(name, value)| (name.as_str(), value.as_str()))),
                })
                .collect(),
        ),
    }
}

fn failed(kind: FaultKind, detail: &str) -> Said {
    match kind {
        FaultKind::Undecided => Said::Undecided(detail.to_string()),
        FaultKind::Unreadable => Said::Unreadable(detail.split(' ').next().unwrap_or_default().to_string()),
        kind => Said::Failed(format!("{}: {detail}", kind.name())),
    }
}

/// The timers that fired, out of the entries.
fn wakes(lines: &[(u64, String)], keys: &HashMap<Digest, Vec<Value>>) -> Result<Vec<Woken>, RunError> {
    let (mut wakes, mut events) = (Vec::new(), 0);
    for (_, line) in lines {
        match Entry::parse(line.as_bytes()).map_err(machine)? {
            Entry::Event(_) => events += 1,
            Entry::Timer(_, timer) => {
                let said = match &timer.fault {
                    Some(fault) => failed(fault.kind, &fault.detail),
                    None => Said::Findings(timer.findings.iter().map(found).collect()),
                };
                wakes.push(Woken { before: events, at: timer.due.micros(), key: keys.get(&timer.key).cloned(), said });
            }
            _ => {}
        }
    }
    Ok(wakes)
}

fn found(finding: &entry::Finding<'_>) -> Found {
    let evidence = finding.evidence.0.iter().map(|(name, value)| (&**name, &**value));
    Found { rule: finding.rule.to_string(), evidence: Evidence::first_of(evidence) }
}
