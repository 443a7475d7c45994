//! The releases that are judged with, as one value that is swapped whole.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use super::line::{Lines, Stale};
use crate::column::Row;
use crate::digest::Digest;
use crate::event::Event;
use crate::policy::manifest::Field;
use crate::policy::{Grant, Mode, Validity};
use crate::projection::Plan;
use crate::reserved::VERDICT_TYPE;
use crate::sandbox::Image;
use crate::state::{self, Key};

/// Types of events of which it is remembered who asks about them.
const KINDS_MAX: usize = 1_024;

/// Bytes of a type of which it is remembered.
const KIND_BYTES_MAX: usize = 256;

/// A release with what judging needs to know of it.
pub(super) struct Member {
    pub image: Arc<Image>,
    pub grant: Grant,
    /// Places of the fields that make the key, in the manifest; none for a policy without
    /// state.
    key: Vec<usize>,
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

impl Member {
    /// The fields that it declares.
    pub fn fields(&self) -> &[Field] {
        &self.image.release().manifest.fields
    }

    fn asks_about(&self, kind: &str) -> bool {
        self.image.release().manifest.asks_about(kind)
    }

    /// Whether it has a state for each key.
    pub fn is_keyed(&self) -> bool {
        !self.key.is_empty()
    }

    /// The key of what it is given of an event.
    pub fn key(&self, row: Row<'_>) -> Key {
        state::key(self.key.iter().map(|field| row.field(*field)))
    }
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

impl Lined {
    /// The releases that are in force.
    pub fn in_force(&self) -> Range<usize> {
        self.members.start..self.candidate.map_or(self.members.end, |(candidate, _)| candidate)
    }
}

/// The releases that are judged with, in the order of their policies' names and then
/// as in their lines.
#[derive(Default)]
pub(super) struct Set {
    pub members: Vec<Member>,
    pub lines: Vec<Lined>,
    /// Whether one of them asks about verdicts.
    pub hears_verdicts: bool,
    /// The lines that have a release that is tried out.
    pub tried: Vec<usize>,
    /// The lines that are not asked about everything, or not with what is up to date: those
    /// that are stale, and those of which no release is in force at every time.
    pub partly: Vec<usize>,
    /// What is asked about the types of events that came, so that what an event costs does
    /// not depend on how many policies are loaded.
    asked: Mutex<HashMap<Box<str>, Arc<Asking>>>,
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
                let key = manifest.keyed.iter().flat_map(|keyed| &keyed.key);
                set.members.push(Member {
                    image: installed.image.clone(),
                    grant: installed.grant.clone(),
                    key: key.map(|field| usize::from(*field)).collect(),
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
                    && set.members[at].is_keyed()
                {
                    set.members[at].shared = Some(first..last + 1);
                }
            }
            let candidate = line.candidate.as_ref().map(|candidate| {
                let share = if candidate.mode == Mode::Canary { candidate.share } else { 0 };
                (members.end - 1, share)
            });
            let lined = Lined { policy: policy.clone(), members, candidate, stale: line.stale };
            let is_always = set.members[lined.in_force()].iter().any(|member| member.validity.is_always());
            if lined.stale.is_some() || !is_always {
                set.partly.push(set.lines.len());
            }
            if lined.candidate.is_some() {
                set.tried.push(set.lines.len());
            }
            set.lines.push(lined);
        }
        set
    }

    /// What is asked about the events of a type.
    pub fn asking(&self, kind: &str) -> Arc<Asking> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = asked.get(kind) {
            return known.clone();
        }
        let members: Vec<usize> = (0..self.members.len()).filter(|member| self.members[*member].asks_about(kind)).collect();
        // A pattern may name types without end, about which the same are asked.
        let asking = asked.values().find(|known| known.members == members).cloned();
        let asking = asking.unwrap_or_else(|| Arc::new(Asking::of(members, self)));
        // Types come from outside.
        if asked.len() == KINDS_MAX {
            asked.clear();
        }
        if kind.len() <= KIND_BYTES_MAX {
            asked.insert(kind.into(), asking.clone());
        }
        asking
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

/// What is asked about the events of a type.
pub(super) struct Asking {
    /// The members that are asked, in their order.
    pub members: Vec<usize>,
    /// The lines that they are of, each once, in their order.
    pub lines: Vec<usize>,
    /// What they get to see.
    pub plan: Plan,
    /// For each member of the set the places of its fields' cells; none if it is not asked.
    slots: Vec<Option<Box<[usize]>>>,
}

impl Asking {
    fn of(members: Vec<usize>, set: &Set) -> Self {
        let mut lines: Vec<usize> = members.iter().map(|member| set.members[*member].line).collect();
        lines.dedup();
        let mut plan = Plan::default();
        let mut slots = vec![None; set.members.len()];
        for at in &members {
            let member = &set.members[*at];
            slots[*at] = Some(plan.add(member.fields(), &member.grant).into());
        }
        Asking { members, lines, plan, slots }
    }

    /// Whether a member is asked.
    #[inline]
    pub fn asks(&self, member: usize) -> bool {
        self.slots[member].is_some()
    }

    /// The places of the cells of a member's fields.
    #[inline]
    pub fn slots(&self, member: usize) -> &[usize] {
        self.slots[member].as_deref().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever sends events chooses their types.
    #[test]
    fn types_without_end_are_not_remembered_without_end() {
        let set = Set::default();
        for number in 0..3 * KINDS_MAX + 5 {
            assert!(set.asking(&format!("type.{number}")).members.is_empty());
            assert!(set.asked.lock().expect("no panic").len() <= KINDS_MAX);
        }
        let is_kept = |kind: &str| {
            set.asking(kind);
            set.asked.lock().expect("no panic").contains_key(kind)
        };
        assert!(is_kept("type.a") && !is_kept(&"long".repeat(100)));
        assert!(Arc::ptr_eq(&set.asking("type.a"), &set.asking("type.b")), "what is the same is there once");
    }
}
