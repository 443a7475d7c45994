//! The releases that are judged with, as one value that is swapped whole.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use super::line::{Lines, Stale};
use crate::digest::Digest;
use crate::event::Event;
use crate::policy::{Grant, Mode, Validity};
use crate::projection::Plan;
use crate::reserved::VERDICT_TYPE;
use crate::sandbox::Image;
use crate::state::Key;

/// A release with what the projection needs to know of it.
pub(super) struct Member {
    pub image: Arc<Image>,
    pub grant: Grant,
    /// For each field of the manifest the place of its cell in a row.
    pub slots: Vec<usize>,
    /// The cells that make the key; none for a policy without state.
    pub key_slots: Vec<usize>,
    /// Whether it sets timers.
    pub timers: bool,
    /// What its states are kept under.
    pub states: Arc<str>,
    /// Its policy's place among the lines.
    pub line: usize,
    /// The event times that it judges.
    pub validity: Validity,
    /// The members that have these states, where there are several: then what one of
    /// them changes is there for the others.
    pub shared: Option<Range<usize>>,
}

/// A policy, with the places of its releases among the members.
pub(super) struct Lined {
    pub policy: Arc<str>,
    pub members: Range<usize>,
    /// The release that is tried out: its place, and the share of keys for which it
    /// counts, of ten thousand.
    pub candidate: Option<(usize, u16)>,
    pub stale: Option<Stale>,
}

/// The releases that are judged with, in the order of their policies' names and then
/// as in their lines, with one plan for the fields of all.
#[derive(Default)]
pub(super) struct Set {
    pub members: Vec<Member>,
    pub lines: Vec<Lined>,
    pub plan: Plan,
    /// Whether one of them asks about verdicts.
    pub hears_verdicts: bool,
}

impl Set {
    pub fn of(lines: &Lines) -> Self {
        let mut set = Set::default();
        for (policy, line) in lines {
            let first = set.members.len();
            let validities = line.bounds().chain(line.candidate.iter().map(|candidate| candidate.validity));
            for (installed, validity) in line.releases().zip(validities) {
                let manifest = &installed.image.release().manifest;
                set.hears_verdicts |= manifest.asks_about(VERDICT_TYPE);
                let slots = set.plan.add(&manifest.fields, &installed.grant);
                let key_slots = match &manifest.keyed {
                    Some(keyed) => keyed.key.iter().map(|field| slots[usize::from(*field)]).collect(),
                    None => Vec::new(),
                };
                set.members.push(Member {
                    image: installed.image.clone(),
                    grant: installed.grant.clone(),
                    slots,
                    key_slots,
                    timers: manifest.keyed.as_ref().is_some_and(|keyed| keyed.timers),
                    states: installed.states.clone(),
                    line: set.lines.len(),
                    // A grant may end before the release does.
                    validity: validity.before(installed.grant.until()),
                    shared: None,
                });
            }
            let members = first..set.members.len();
            for at in members.clone() {
                let same = |other: &usize| set.members[*other].states == set.members[at].states;
                let group: Vec<usize> = members.clone().filter(same).collect();
                if let [first, .., last] = group[..]
                    && !set.members[at].key_slots.is_empty()
                {
                    set.members[at].shared = Some(first..last + 1);
                }
            }
            let candidate = line.candidate.as_ref().map(|candidate| {
                let share = if candidate.mode == Mode::Canary { candidate.share } else { 0 };
                (members.end - 1, share)
            });
            set.lines.push(Lined { policy: policy.clone(), members, candidate, stale: line.stale });
        }
        set
    }

    /// Whether what is said under this key counts for the release that is tried out,
    /// rather than for the one in force. Stable: it depends on policy and key alone.
    pub fn in_canary(&self, line: &Lined, key: &[u8]) -> bool {
        line.candidate.is_some_and(|(_, share)| {
            share > 0 && {
                let digest = Digest::of_parts(&[b"ephor canary", line.policy.as_bytes(), key]);
                let (first, _) = digest.bytes().split_at(8);
                let number = first.iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
                number % 10_000 < u64::from(share)
            }
        })
    }

    /// What the findings of a release count for, under a key for which the release that
    /// is tried out does count, or does not.
    pub fn mode(&self, member: usize, canary: bool) -> Mode {
        let candidate = self.lines[self.members[member].line].candidate;
        match (candidate.is_some_and(|(candidate, _)| candidate == member), canary) {
            (true, true) => Mode::Canary,
            (true, false) | (false, true) => Mode::Shadow,
            (false, false) => Mode::Enforce,
        }
    }

    /// Of releases that share their states, the one that is in force at an event time;
    /// the latest, if none is.
    pub fn in_force(&self, shared: Range<usize>, micros: i64) -> usize {
        let last = shared.end - 1;
        shared.rev().find(|member| self.members[*member].validity.contains(micros)).unwrap_or(last)
    }

    /// What an event is known by to a policy without a key.
    pub fn keyless(event: &Event) -> Key {
        match event.subject() {
            Some(subject) => subject.as_bytes().into(),
            None => [event.source().as_bytes(), event.id().as_bytes()].concat().into(),
        }
    }
}

/// Which members are asked about which event types, remembered for a batch.
#[derive(Default)]
pub(super) struct Asked<'e> {
    by_kind: HashMap<&'e str, usize>,
    /// For each type seen, whether each member is asked.
    pub rows: Vec<Vec<bool>>,
}

impl<'e> Asked<'e> {
    /// The place in `rows` for an event type.
    pub fn about(&mut self, set: &Set, kind: &'e str) -> usize {
        *self.by_kind.entry(kind).or_insert_with(|| {
            self.rows.push(set.members.iter().map(|member| member.image.release().manifest.asks_about(kind)).collect());
            self.rows.len() - 1
        })
    }
}
