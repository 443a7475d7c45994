//! What is counted of two sides: the report, as it is kept and given out.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::timeline::Timeline;
use crate::verdict::Decision;

/// In which way verdicts changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Changes")]
pub struct Kinds {
    /// A stricter verdict.
    pub stricter: u64,
    /// A milder one.
    pub milder: u64,
    /// The same verdict with other findings.
    pub findings: u64,
}

impl Kinds {
    /// Changes of all kinds.
    pub fn total(&self) -> u64 {
        self.stricter + self.milder + self.findings
    }

    pub(super) fn add(&mut self, kind: Kind) {
        *match kind {
            Kind::Stricter => &mut self.stricter,
            Kind::Milder => &mut self.milder,
            Kind::Findings => &mut self.findings,
        } += 1;
    }

    /// Adds other changes.
    pub fn merge(&mut self, other: &Kinds) {
        self.stricter += other.stricter;
        self.milder += other.milder;
        self.findings += other.findings;
    }
}

/// In which way one verdict changed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Stricter,
    Milder,
    Findings,
}

/// A number on either side.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Sides {
    /// With what was in force.
    pub before: u64,
    /// With what is tried.
    pub after: u64,
}

/// Verdicts that became another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Transition {
    /// The verdict before.
    pub before: Decision,
    /// The verdict after.
    pub after: Decision,
    /// How often.
    pub count: u64,
}

/// How the findings of a rule changed; a policy that failed to answer counts as a rule
/// by the name of the fault.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ChangedRule")]
pub struct Rule {
    /// Its policy.
    pub policy: String,
    /// Its id, or `fault: ` and the kind.
    pub rule: String,
    /// Findings in all.
    pub findings: Sides,
    /// On events that had none before, or had others.
    pub appeared: u64,
    /// Of events that have none any more, or have others.
    pub disappeared: u64,
    /// The same rule on the same event, with other evidence.
    pub altered: u64,
}

/// Changes of what has one name: a source, a subject, a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "NamedChanges")]
pub struct Named {
    /// The name; of a day `2026-01-02`, in UTC.
    pub name: String,
    /// How many of each kind.
    #[serde(flatten)]
    pub changes: Kinds,
}

/// One change in full.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "BacktestDifference")]
pub struct Example {
    /// Of the event in the ledger that has it; for a timer that of the event before which
    /// it fired. Absent where the events come from elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    /// Where the event came from.
    pub source: String,
    /// The event's id; for a timer the digest of its key.
    pub id: String,
    /// Whether it is about a timer.
    pub timer: bool,
    /// The event's subject.
    pub subject: Option<String>,
    /// When it happened, or for when the timer was set.
    pub time: String,
    /// The verdict before.
    pub before: Decision,
    /// The verdict after.
    pub after: Decision,
    /// Findings that are not there any more.
    pub disappeared: Vec<Found>,
    /// Findings that were not there before.
    pub appeared: Vec<Found>,
}

/// A finding of an example.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "BacktestFinding")]
pub struct Found {
    /// Who says it.
    pub policy: String,
    /// Its id, or `fault: ` and the kind.
    pub rule: String,
    /// In the rule's default language, or what the fault says.
    pub message: String,
}

/// All of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// Events that were judged on both sides.
    pub events: u64,
    /// Timers that fired.
    pub timers: Sides,
    /// By verdict, from the mildest to the strictest; timers are not in it.
    pub verdicts: BTreeMap<Decision, Sides>,
    /// Events and timers whose verdict or findings changed.
    pub changes: Kinds,
    /// From which verdict to which.
    pub transitions: Vec<Transition>,
    /// Rules with findings on either side, by policy and id.
    pub rules: Vec<Rule>,
    /// Most changes first.
    pub sources: Vec<Named>,
    /// Most changes first.
    pub subjects: Vec<Named>,
    /// Changes of sources that are not named.
    pub other_sources: Kinds,
    /// Changes of subjects that are not named, and of events that have no subject.
    pub other_subjects: Kinds,
    /// In order, without days on which nothing changed.
    pub days: Vec<Named>,
    /// The first day and the last on which there was an event.
    pub span: Option<(String, String)>,
    /// Events and changes over time.
    pub timeline: Timeline,
    /// Some changes in full, of every kind.
    pub examples: Vec<Example>,
}
