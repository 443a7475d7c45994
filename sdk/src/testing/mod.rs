//! Runs policies natively: in tests, without a host and without WebAssembly.
//!
//! Fields are taken out of events as the contract says (`manifest.kind`,
//! `manifest.field.required`), timers fire by the event times of the events that
//! are judged, and the code that judges the rows is the one that the component
//! runs. Some things differ from a host: events are [`Value`]s, so a field of
//! kind `json` holds the value's compact form instead of its source text; what a
//! field shows is what a platform gives that grants it plain, with pseudonyms that are
//! the same everywhere ([`pseudonym`]);
//! nothing bounds time or memory; and nothing arrives at a time of its own, so an
//! event without the attribute `time` is as late as the latest of its source,
//! and no event time is too far in the future.

mod forms;
pub(crate) mod lists;
mod projection;
mod timers;
mod vectors;

use std::collections::BTreeMap;

use serde_json::Value;

use crate::settings::SettingsErrors;
use crate::state::State as _;
use crate::time::Time;
use crate::wit::ephor::policy::evaluation::{self, ChangedState};
use crate::wit::ephor::policy::manifest::Manifest;
use timers::{MOST_WAKES_IN_A_PLACE, Place, Timers};

pub use crate::wit::ephor::policy::evaluation::{Batch, Outcome, Wakes};
pub use forms::pseudonym;
pub use vectors::vectors;

/// The lateness that a host allows where nothing else is configured, in seconds.
pub const LATENESS_S: u32 = 60;

/// A configured policy with the states and timers that its keys have so far.
pub struct Policy<P> {
    policy: P,
    manifest: Manifest,
    states: BTreeMap<String, Vec<u8>>,
    lists: lists::Lists,
    timers: Timers,
    /// Events so far.
    events: u64,
    woken: Vec<Woken>,
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
    fn add(&mut self, finding: Finding) {
        if let Self::Findings(findings) = self {
            findings.push(finding);
        }
    }

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

/// A key that was woken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Woken {
    /// Right before which event: counted from 0 over all events that were judged.
    pub before: u64,
    /// What its timer was set for.
    pub at: Time,
    /// The values of the fields of the key; times in microseconds.
    pub key: Vec<Value>,
    /// What the policy said.
    pub judged: Judged,
}

impl<P: crate::Policy> Policy<P> {
    /// Configures the policy with its settings as a JSON document.
    ///
    /// # Errors
    ///
    /// What [`crate::configure`] says.
    pub fn new(settings: &str) -> Result<Self, SettingsErrors> {
        let policy = Self {
            policy: crate::configure(settings)?,
            manifest: crate::describe::<P>(),
            states: BTreeMap::new(),
            lists: lists::Lists::new(),
            timers: Timers::default(),
            events: 0,
            woken: Vec::new(),
        };
        Ok(policy.with_lateness(LATENESS_S))
    }

    /// How late the events of a source may be: a timer fires only when its
    /// source is that much further. 60 seconds, unless said otherwise.
    #[must_use]
    pub fn with_lateness(mut self, seconds: u32) -> Self {
        self.timers.allow_lateness(seconds);
        self
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

    /// The state of a key; the default if it has none. `key` holds the values of
    /// the fields of the key as the policy sees them, in the order of the declaration.
    ///
    /// # Panics
    ///
    /// If the state does not read what it has written.
    #[must_use]
    pub fn state(&self, key: &[Value]) -> P::State {
        let read = self.encoded_state(key).map(P::State::decode).transpose();
        read.expect("a state reads what it has written").unwrap_or_default()
    }

    /// The state of a key as a host keeps it.
    #[must_use]
    pub fn encoded_state(&self, key: &[Value]) -> Option<&[u8]> {
        self.states.get(&projection::key(key)).map(Vec::as_slice)
    }

    /// What the timer of a key is set for, if it has one.
    #[must_use]
    pub fn timer(&self, key: &[Value]) -> Option<Time> {
        self.timers.get(&projection::key(key)).map(Time)
    }

    /// The keys that were woken since this was last asked, in order.
    pub fn take_woken(&mut self) -> Vec<Woken> {
        std::mem::take(&mut self.woken)
    }

    /// Judges `CloudEvents` in their JSON format, and keeps states and timers
    /// for the next. The events are one batch, but for the places where timers
    /// fire: a host wakes the keys before it goes on. What they said is in
    /// [`Self::take_woken`].
    ///
    /// # Panics
    ///
    /// If the policy panics, gives a name in the evidence of a finding twice, or
    /// says of a row something else when there are other rows behind it.
    pub fn judge(&mut self, events: &[Value]) -> Vec<Judged> {
        let (mut judged, rows, keys) = self.read(events);
        let mut row_of = vec![None; events.len()];
        for (row, &event) in rows.iter().enumerate() {
            row_of[event] = Some(row);
        }
        let places: Vec<_> = events.iter().zip(&row_of).map(|(event, row)| Place::of(event, row.map(|row| keys[row].as_str()))).collect();
        let asked: Vec<_> = rows.iter().map(|&event| &events[event]).collect();

        let (mut event, mut row) = (0, 0);
        while event < events.len() {
            self.wake(&places[event]);
            // Rows are judged as far as no timer fires among them. That shows
            // only from what they wish, so first as many as there are.
            let mut outcome = self.run(&asked[row..], &keys[row..]);
            let (event_end, row_end) = self.follow(&places, &row_of, event, row, &outcome.timers);
            if row + row_end < rows.len() {
                let again = self.run(&asked[row..row + row_end], &keys[row..row + row_end]);
                assert_is_prefix(&again, &outcome);
                outcome = again;
            }
            for finding in outcome.findings {
                let said = &mut judged[rows[row + finding.row as usize]];
                said.add(self.finding(finding));
            }
            for it in outcome.undecided {
                judged[rows[row + it.row as usize]] = Judged::Undecided(it.reason);
            }
            let names = projection::distinct(&keys[row..row + row_end]).0;
            self.keep(&names, outcome.states);
            self.events += (event_end - event) as u64;
            (event, row) = (event_end, row + row_end);
        }
        judged
    }

    /// Judges rows with the states so far; nothing if there are none.
    fn run(&self, events: &[&Value], keys: &[String]) -> Outcome {
        if events.is_empty() {
            return Outcome { findings: Vec::new(), undecided: Vec::new(), states: Vec::new(), timers: Vec::new() };
        }
        self.judge_batch(&projection::batch(&self.manifest, events, keys, &self.states))
    }

    /// Takes note of the events from `event` on and of the wishes of their rows,
    /// as far as no timer fires before one. Returns the first event that is left
    /// and how many rows there are before it.
    fn follow(
        &mut self,
        places: &[Place<'_>],
        row_of: &[Option<usize>],
        event: usize,
        row: usize,
        wishes: &[evaluation::Timer],
    ) -> (usize, usize) {
        let mut wishes = wishes.iter().peekable();
        let mut passed = 0;
        for (index, place) in places.iter().enumerate().skip(event) {
            if index > event && self.timers.fires(place) {
                return (index, passed);
            }
            self.timers.pass(place);
            if let Some(of_batch) = row_of[index].map(|it| it - row) {
                passed = of_batch + 1;
                if let Some(wish) = wishes.next_if(|wish| wish.row as usize == of_batch) {
                    self.timers.wish(place, wish.at);
                }
            }
        }
        (places.len(), passed)
    }

    /// Wakes the keys whose timers fire right before the event.
    fn wake(&mut self, place: &Place<'_>) {
        for _ in 0..MOST_WAKES_IN_A_PLACE {
            let fired = self.timers.take(place);
            if fired.is_empty() {
                return;
            }
            let (places, timers): (Vec<_>, Vec<_>) = fired.into_iter().unzip();
            let (at, names): (Vec<_>, Vec<_>) = places.into_iter().unzip();
            let states = names.iter().map(|name| self.states.get(name).cloned()).collect();
            let outcome = self.wake_batch(&Wakes { at: at.clone(), states });

            let mut judged = vec![Judged::Findings(Vec::new()); names.len()];
            for finding in outcome.findings {
                let said = &mut judged[finding.row as usize];
                said.add(self.finding(finding));
            }
            for it in outcome.undecided {
                judged[it.row as usize] = Judged::Undecided(it.reason);
            }
            self.keep(&names, outcome.states);
            for wish in outcome.timers {
                let row = wish.row as usize;
                if let Some(at) = wish.at {
                    self.timers.wish_again(&names[row], &timers[row], at);
                }
            }
            for ((at, name), judged) in at.into_iter().zip(names).zip(judged) {
                let key = serde_json::from_str(&name).expect("a key is a list of values");
                self.woken.push(Woken { before: self.events, at: Time(at), key, judged });
            }
        }
    }

    fn finding(&self, finding: evaluation::Finding) -> Finding {
        let rule = self.manifest.rules[usize::from(finding.rule)].id.clone();
        let mut evidence = BTreeMap::new();
        for it in finding.evidence {
            assert!(evidence.insert(it.name.clone(), it.value).is_none(), "a finding of `{rule}` has the evidence `{}` twice", it.name);
        }
        Finding { rule, evidence }
    }

    fn keep(&mut self, names: &[String], states: Vec<ChangedState>) {
        for changed in states {
            let name = &names[changed.key as usize];
            match changed.state {
                Some(state) => self.states.insert(name.clone(), state),
                None => self.states.remove(name),
            };
        }
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

    /// Wakes keys and leaves states and timers as they are.
    ///
    /// # Panics
    ///
    /// If the policy panics.
    #[must_use]
    pub fn wake_batch(&self, wakes: &Wakes) -> Outcome {
        let _bound = lists::bind(&self.lists);
        crate::wake(&self.policy, wakes)
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

/// What is said of rows must not depend on rows behind them.
fn assert_is_prefix(part: &Outcome, whole: &Outcome) {
    let is_prefix = whole.findings.starts_with(&part.findings)
        && whole.undecided.starts_with(&part.undecided)
        && whole.timers.starts_with(&part.timers);
    assert!(is_prefix, "a policy says of rows something else when there are others behind them:\n{whole:?}\nand without\n{part:?}");
}
