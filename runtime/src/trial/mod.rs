//! A release tried on events, one after the other, with everything that there is to see of
//! it: which fields it was shown and in which form, what it said, what it remembered
//! before and after, and what it cost.
//!
//! The events go through a runtime that has nothing else to do, so what is said of them,
//! and which timers fire when, is what a platform gets. `ephor policy run` shows it to
//! authors, `ephor policy explain` to whoever doubts a finding. Far too slow for a platform:
//! each event is a batch of its own.

mod place;
mod seen;

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use crate::digest::Digest;
use crate::event::Event;
use crate::ledger::Log;
use crate::ledger::entry::{self, Entry};
use crate::policy::Release;
use crate::runtime::{Answer, By, LoadError, Offer, Runtime};
use crate::state::Key;
use crate::stats::PolicyLabel;
use crate::verdict::{Decision, FaultKind, Finding};

pub use place::{Extent, Place};
pub use seen::{Seen, SeenValue, View};

/// A release in a runtime of its own.
#[derive(Debug)]
pub struct Trial {
    runtime: Runtime,
    release: Arc<Release>,
    view: View,
    log: Arc<Log>,
    /// Entries that were looked at.
    read: u64,
    /// The values of keys, by what stands for them in entries.
    keys: HashMap<Digest, Vec<Value>>,
}

/// Why something cannot be tried.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// The release is not taken.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// This machine cannot do it now.
    #[error("it cannot be tried on this machine: {0}")]
    Machine(String),
}

fn machine(problem: impl std::fmt::Display) -> TrialError {
    TrialError::Machine(problem.to_string())
}

/// What became of an event.
#[derive(Debug)]
pub struct Tried {
    /// The event.
    pub event: Event,
    /// What was said of it.
    pub said: Said,
    /// Its fields as the policy sees them, in the order of the manifest; none if the policy
    /// is not asked about events of this type.
    pub fields: Vec<Seen>,
    /// The keys that were woken before the event, in order.
    pub woken: Vec<Woken>,
    /// What the policy remembers of the event's key; absent for a policy without state, and
    /// for an event that it was not given.
    pub state: Option<Remembered>,
    /// Fuel of all calls: of the event, in a call of its own, and of the timers before it.
    pub fuel: u64,
    /// The event's entry, a line of the ledger; absent if the event was not taken.
    pub entry: Option<String>,
}

/// What was said of an event.
#[derive(Debug)]
pub enum Said {
    /// The policy is not asked about events of this type.
    NotAsked,
    /// The event was judged.
    Judged {
        /// The verdict.
        decision: Decision,
        /// What was found.
        findings: Vec<Finding>,
        /// Why there is no answer, if there is none.
        fault: Option<(FaultKind, String)>,
    },
    /// An event of the same source and id was judged before, and this one is the same.
    Again,
    /// The event was not taken.
    Refused(String),
}

/// A key that was woken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Woken {
    /// The values of the key's fields, times in microseconds; absent if no event had it.
    pub key: Option<Vec<Value>>,
    /// What its timer was set for, in microseconds since 1970.
    pub due: i64,
    /// The verdict.
    pub decision: Decision,
    /// The rules that were found: id, and evidence.
    pub findings: Vec<(String, Vec<(String, String)>)>,
    /// Why there is no answer, if there is none.
    pub fault: Option<(FaultKind, String)>,
}

/// What a policy remembers of a key, as bytes that only it can read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    /// The values of the key's fields, times in microseconds.
    pub key: Vec<Value>,
    /// Before the event, and before the timers that it let fire.
    pub before: Option<Vec<u8>>,
    /// After the event.
    pub after: Option<Vec<u8>>,
}

impl Trial {
    /// Puts a release in force in a runtime that has no other, and a data directory.
    ///
    /// # Errors
    ///
    /// If the release is not taken.
    pub async fn start(runtime: Runtime, offer: Offer) -> Result<Self, TrialError> {
        let log = runtime.log().cloned().ok_or_else(|| machine("there is no ledger"))?;
        let grant = offer.grant.clone();
        // Nothing depends on when it is tried.
        runtime.publish(vec![offer], By { at: Some(0), ..By::new("trial") }).await?;
        let standing = runtime.policies().into_iter().next().ok_or_else(|| machine("the release is not in force"))?;
        let release = standing.release;
        let view = View::new(&release.manifest, grant);
        let read = log.size();
        Ok(Trial { runtime, release, view, log, read, keys: HashMap::new() })
    }

    /// The release.
    pub fn release(&self) -> &Arc<Release> {
        &self.release
    }

    /// How the release sees events.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// The commitment to what the release saw of an event (`columns` in its entry): with
    /// the salt of the event, or without one with that of this ledger.
    pub fn commitment(&self, event: &Event, salt: Option<[u8; 32]>) -> Option<Digest> {
        salt.or_else(|| self.runtime.salt(event)).map(|salt| self.view.commitment(event, &salt))
    }

    /// Keys that wait for their timers.
    pub fn waiting(&self) -> u64 {
        u64::try_from(self.runtime.stats().timers.get()).unwrap_or_default()
    }

    /// Judges the next event.
    ///
    /// # Errors
    ///
    /// If the machine gives out: an event always has an answer.
    pub async fn judge(&mut self, event: Event) -> Result<Tried, TrialError> {
        let asked = self.release.manifest.asks_about(event.kind());
        let fields = if asked { self.view.fields(&event) } else { Vec::new() };
        let key = if asked { self.view.key(&event) } else { None };
        let before = match &key {
            Some((key, _)) => self.state(key).await?,
            None => None,
        };
        let fuel_before = self.fuel();
        let pending = self.runtime.submit(vec![event]).await.map_err(machine)?;
        let mut judged =
            pending.await.map_err(|error| machine(self.runtime.failure().map_or_else(|| error.to_string(), str::to_string)))?;
        let fuel = self.fuel() - fuel_before;
        let (Some(event), Some(answer)) = (judged.events.pop(), judged.answers.pop()) else {
            return Err(machine("an event has no answer"));
        };
        let state = match key {
            Some((key, values)) => {
                if let Some(name) = self.runtime.key_name(self.release.policy(), &key) {
                    self.keys.insert(name, values.clone());
                }
                let after = self.state(&key).await?;
                Some(Remembered { key: values, before, after })
            }
            None => None,
        };
        let (woken, entry) = self.recorded()?;
        let said = match answer {
            Answer::Judged(_) if !asked => Said::NotAsked,
            Answer::Judged(recorded) => {
                let verdict = recorded.get();
                let fault = verdict.faults.first().map(|fault| (fault.kind, fault.detail.clone()));
                Said::Judged { decision: verdict.decision, findings: verdict.findings.clone(), fault }
            }
            Answer::Again(_) => Said::Again,
            Answer::Refused(refusal) => Said::Refused(refusal.to_string()),
        };
        Ok(Tried { event, said, fields, woken, state, fuel, entry })
    }

    /// Ends the runtime.
    pub async fn close(self) {
        let Trial { runtime, log, .. } = self;
        drop(log);
        runtime.close().await;
    }

    async fn state(&self, key: &Key) -> Result<Option<Vec<u8>>, TrialError> {
        self.runtime.state(self.release.policy(), key.clone()).await.map_err(machine)
    }

    fn fuel(&self) -> u64 {
        let label = PolicyLabel { policy: self.release.policy().to_string() };
        self.runtime.stats().fuel.get_or_create(&label).get()
    }

    /// What was recorded since it was last looked: timers, and the line of an event.
    fn recorded(&mut self) -> Result<(Vec<Woken>, Option<String>), TrialError> {
        let (mut woken, mut of_event) = (Vec::new(), None);
        for line in self.log.entries(self.read + 1) {
            let (sequence, line) = line.map_err(machine)?;
            self.read = sequence;
            match Entry::parse(line.as_bytes()).map_err(machine)? {
                Entry::Event(_) => of_event = Some(line),
                Entry::Timer(_, timer) => {
                    let findings = timer.findings.iter().map(found).collect();
                    woken.push(Woken {
                        key: self.keys.get(&timer.key).cloned(),
                        due: timer.due.micros(),
                        decision: timer.verdict,
                        findings,
                        fault: timer.fault.as_ref().map(|fault| (fault.kind, fault.detail.to_string())),
                    });
                }
                _ => {}
            }
        }
        Ok((woken, of_event))
    }
}

fn found(finding: &entry::Finding<'_>) -> (String, Vec<(String, String)>) {
    let evidence = finding.evidence.0.iter().map(|(name, value)| (name.to_string(), value.to_string()));
    (finding.rule.to_string(), evidence.collect())
}
