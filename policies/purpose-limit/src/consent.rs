//! What a person has agreed to, as it was at any time: consents and withdrawals are
//! steps, and a use is judged by the step that it stands on.

use std::collections::{BTreeMap, BTreeSet};

use ephor_sdk::prelude::*;

/// The steps that are kept of a category and purpose, the latest.
pub(crate) const MOST_CHANGES: usize = 8;
/// The pairs of category and purpose that are kept of a person.
pub(crate) const MOST_USES: usize = 64;
/// The recipients that are kept of a consent.
pub(crate) const MOST_RECIPIENTS: usize = 32;

/// What is remembered of a person.
#[state]
pub struct Person {
    /// By category, then by purpose.
    // lint: allow(unbounded-state): `MOST_USES`
    uses: BTreeMap<String, BTreeMap<String, Steps>>,
}

/// The consents and withdrawals of one category and purpose.
#[state]
struct Steps {
    /// By the time of the event. Of a consent and a withdrawal of the same time the
    /// withdrawal counts.
    // lint: allow(unbounded-state): `MOST_CHANGES`
    changes: BTreeMap<Time, Change>,
    /// Whether there were older ones, which are not kept.
    is_cut: bool,
}

/// A consent; nothing if it is a withdrawal.
type Change = Option<Consent>;

/// What a person agreed to.
#[state]
#[derive(Clone)]
pub(crate) struct Consent {
    pub(crate) until: Option<Time>,
    /// Who may get the data.
    // lint: allow(unbounded-state): `MOST_RECIPIENTS`
    pub(crate) recipients: BTreeSet<String>,
}

/// The person has consents to so many pairs of category and purpose that another one
/// is not kept.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooMany;

/// What is known of a category and purpose at a time.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Known<'a> {
    /// The person has agreed, and knows of these recipients.
    Agreed(&'a BTreeSet<String>),
    Ended(Time),
    Withdrawn(Time),
    /// No consent so far.
    Nothing,
    /// What held at that time is not kept.
    Forgotten,
}

impl Person {
    pub(crate) fn change(&mut self, category: &str, purpose: &str, at: Time, change: Change) -> Result<(), TooMany> {
        let is_known = self.uses.get(category).is_some_and(|purposes| purposes.contains_key(purpose));
        if !is_known && self.uses.values().map(BTreeMap::len).sum::<usize>() >= MOST_USES {
            return Err(TooMany);
        }
        let purposes = self.uses.entry(category.to_owned()).or_default();
        purposes.entry(purpose.to_owned()).or_default().add(at, change);
        Ok(())
    }

    pub(crate) fn at(&self, category: &str, purpose: &str, at: Time) -> Known<'_> {
        let steps = self.uses.get(category).and_then(|purposes| purposes.get(purpose));
        steps.map_or(Known::Nothing, |steps| steps.at(at))
    }

    /// The purposes that the person agrees to at a time, of a category.
    pub(crate) fn agreed(&self, category: &str, at: Time) -> Vec<&str> {
        let purposes = self.uses.get(category).into_iter().flatten();
        purposes.filter(|(_, steps)| matches!(steps.at(at), Known::Agreed(_))).map(|(purpose, _)| purpose.as_str()).collect()
    }
}

impl Steps {
    fn add(&mut self, at: Time, change: Change) {
        if self.changes.get(&at) == Some(&None) {
            return;
        }
        self.changes.insert(at, change);
        if self.changes.len() > MOST_CHANGES {
            self.changes.pop_first();
            self.is_cut = true;
        }
    }

    fn at(&self, at: Time) -> Known<'_> {
        match self.changes.range(..=at).next_back() {
            Some((_, Some(Consent { until: Some(until), .. }))) if *until <= at => Known::Ended(*until),
            Some((_, Some(Consent { recipients, .. }))) => Known::Agreed(recipients),
            Some((&withdrawn, None)) => Known::Withdrawn(withdrawn),
            None if self.is_cut => Known::Forgotten,
            None => Known::Nothing,
        }
    }
}
