//! Runs policies natively: in tests, without a host and without WebAssembly.
//!
//! Fields are taken out of events as the contract says (`manifest.kind`,
//! `manifest.field.required`), and the code that judges the rows is the one that
//! the component runs. Two things differ from a host: events are
//! [`Value`]s, so a field of kind `json` holds the value's compact form
//! instead of its source text; and nothing bounds time or memory.

pub(crate) mod lists;
mod projection;
mod vectors;

use std::collections::BTreeMap;

use serde_json::Value;

use crate::settings::SettingsErrors;
use crate::wit::ephor::policy::manifest::Manifest;

pub use crate::wit::ephor::policy::evaluation::{Batch, Outcome};
pub use vectors::vectors;

/// A configured policy with the states that its keys have so far.
pub struct Policy<P> {
    policy: P,
    manifest: Manifest,
    states: BTreeMap<String, Vec<u8>>,
    lists: lists::Lists,
}

/// What became of one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judged {
    /// What the policy found; nothing if the event is clean, or of a type that
    /// the policy is not asked about.
    Findings(Vec<Finding>),
    /// The policy could not judge the event, and why.
    Undecided(String),
    /// The policy was not asked, because the value at this JSON Pointer is
    /// missing or mistyped.
    Unreadable(String),
}

impl Judged {
    /// The findings; empty if there are none, for whatever reason.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        match self {
            Self::Findings(findings) => findings,
            _ => &[],
        }
    }
}

/// One rule's statement about one event.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// The rule's id.
    pub rule: String,
    /// What the finding rests on, by name.
    #[serde(default)]
    pub evidence: BTreeMap<String, String>,
}

impl<P: crate::Policy> Policy<P> {
    /// Configures the policy with its settings as a JSON document.
    ///
    /// # Errors
    ///
    /// What [`crate::configure`] says.
    pub fn new(settings: &str) -> Result<Self, SettingsErrors> {
        Ok(Self {
            policy: crate::configure(settings)?,
            manifest: crate::describe::<P>(),
            states: BTreeMap::new(),
            lists: lists::Lists::new(),
        })
    }

    /// Binds a reference list that the policy declares. Lists without a binding are empty.
    ///
    /// # Panics
    ///
    /// If the policy does not declare a list of this name.
    #[must_use]
    pub fn with_list<K: Into<String>, V: Into<String>>(mut self, name: &str, entries: impl IntoIterator<Item = (K, V)>) -> Self {
        let index = self.manifest.lists.iter().position(|list| list == name);
        let Some(index) = index.and_then(|index| u16::try_from(index).ok()) else {
            panic!("the policy declares no list `{name}`");
        };
        let entries = entries.into_iter().map(|(key, value)| (key.into(), value.into()));
        self.lists.insert(index, entries.collect());
        self
    }

    /// The state of a key as the policy encoded it. `key` holds the values of
    /// the fields of the key, in the order of the declaration.
    #[must_use]
    pub fn state(&self, key: &[Value]) -> Option<&[u8]> {
        self.states.get(&projection::key(key)).map(Vec::as_slice)
    }

    /// Judges `CloudEvents` in their JSON format as one batch, and keeps the
    /// states for the next.
    ///
    /// # Panics
    ///
    /// If the policy panics, or gives a name in the evidence of a finding twice.
    pub fn judge(&mut self, events: &[Value]) -> Vec<Judged> {
        let (mut judged, rows, keys) = self.read(events);
        if rows.is_empty() {
            return judged;
        }
        let asked: Vec<_> = rows.iter().map(|&event| &events[event]).collect();
        let batch = projection::batch(&self.manifest, &asked, &keys, &self.states);
        let outcome = self.judge_batch(&batch);

        for finding in outcome.findings {
            let rule = self.manifest.rules[usize::from(finding.rule)].id.clone();
            let mut evidence = BTreeMap::new();
            for it in finding.evidence {
                assert!(evidence.insert(it.name.clone(), it.value).is_none(), "a finding of `{rule}` has the evidence `{}` twice", it.name);
            }
            if let Judged::Findings(findings) = &mut judged[rows[finding.row as usize]] {
                findings.push(Finding { rule, evidence });
            }
        }
        for it in outcome.undecided {
            judged[rows[it.row as usize]] = Judged::Undecided(it.reason);
        }
        let names = projection::distinct(&keys).0;
        for changed in outcome.states {
            let key = names[changed.key as usize].clone();
            match changed.state {
                Some(state) => self.states.insert(key, state),
                None => self.states.remove(&key),
            };
        }
        judged
    }

    /// The batch that a host would make of the events, without those that the
    /// policy is not asked about and those that are unreadable; with the
    /// states so far. For benchmarks, together with [`Self::judge_batch`].
    #[must_use]
    pub fn columns(&self, events: &[Value]) -> Batch {
        let (_, rows, keys) = self.read(events);
        let asked: Vec<_> = rows.iter().map(|&event| &events[event]).collect();
        projection::batch(&self.manifest, &asked, &keys, &self.states)
    }

    /// Judges a batch and leaves the states as they are.
    ///
    /// # Panics
    ///
    /// If the policy panics or the batch is not one for this policy.
    #[must_use]
    pub fn judge_batch(&self, batch: &Batch) -> Outcome {
        let _bound = lists::bind(&self.lists);
        crate::evaluate(&self.policy, batch)
    }

    /// What is known of each event before the policy is asked, the events that
    /// it is asked about, and the key of each of those.
    fn read(&self, events: &[Value]) -> (Vec<Judged>, Vec<usize>, Vec<String>) {
        let mut judged = Vec::with_capacity(events.len());
        let (mut rows, mut keys) = (Vec::new(), Vec::new());
        for (index, event) in events.iter().enumerate() {
            let kind = event.get("type").and_then(Value::as_str).unwrap_or("");
            let asked = self.manifest.events.iter().any(|pattern| projection::matches(pattern, kind));
            judged.push(match projection::unreadable(&self.manifest, event) {
                Some(pointer) if asked => Judged::Unreadable(pointer.to_owned()),
                _ => {
                    if asked {
                        rows.push(index);
                        keys.push(projection::key_of(&self.manifest, event));
                    }
                    Judged::Findings(Vec::new())
                }
            });
        }
        (judged, rows, keys)
    }
}
