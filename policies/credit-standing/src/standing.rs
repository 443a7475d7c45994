//! What is remembered of a subject: findings with the time at which they count from.

use std::collections::BTreeMap;
use std::time::Duration;

use ephor_sdk::prelude::*;

/// For how long findings count.
pub(crate) struct Terms {
    /// In full.
    pub full: Duration,
    /// At all: by half, behind that.
    pub whole: Duration,
    /// How many are kept of a subject.
    pub kept: usize,
}

/// What a redress is about: everything that it names.
#[derive(Default, PartialEq, Eq)]
pub(crate) struct Named<'a> {
    pub sequence: Option<i64>,
    pub policy: Option<&'a str>,
    pub rule: Option<&'a str>,
}

/// The findings of a subject that count.
#[state]
pub struct Standing {
    /// The latest event time that was seen: what has passed does not come back with an
    /// event that is late.
    latest: Option<Time>,
    /// By `policy/rule`; of each in the order in which they came.
    // lint: allow(unbounded-state): `KEPT` findings in all
    booked: BTreeMap<String, Vec<Booking>>,
    /// The level that was said last; 0 for none.
    level: u8,
}

/// A finding.
#[state]
struct Booking {
    at: Time,
    /// Of the entry that has it.
    sequence: i64,
    points: u32,
}

impl Booking {
    /// Half points that it has at a time.
    fn halves(&self, now: Time, terms: &Terms) -> u64 {
        match u64::from(self.points) {
            points if self.at + terms.full >= now => points * 2,
            points if self.at + terms.whole >= now => points,
            _ => 0,
        }
    }
}

impl Standing {
    /// Counts a finding; not if it has no points.
    pub(crate) fn book(&mut self, at: Time, sequence: i64, policy: &str, rule: &str, points: u32) {
        if points > 0 {
            self.booked.entry(format!("{policy}/{rule}")).or_default().push(Booking { at, sequence, points });
        }
    }

    /// Takes away what a redress names. Says how many findings that were.
    pub(crate) fn redress(&mut self, named: &Named<'_>) -> usize {
        let before = self.count();
        self.booked.retain(|name, bookings| {
            let (policy, rule) = name.rsplit_once('/').unwrap_or_default();
            if named.policy.is_none_or(|named| named == policy) && named.rule.is_none_or(|named| named == rule) {
                bookings.retain(|booking| named.sequence.is_some_and(|sequence| sequence != booking.sequence));
            }
            !bookings.is_empty()
        });
        before - self.count()
    }

    /// Takes note of the time, and forgets what counts no more, and the oldest beyond what
    /// is kept. Gives the time at which the standing is.
    pub(crate) fn settle(&mut self, time: Time, terms: &Terms) -> Time {
        let now = self.latest.map_or(time, |latest| latest.max(time));
        self.latest = Some(now);
        self.forget(|booking| booking.halves(now, terms) == 0);
        while self.count() > terms.kept {
            let all = self.booked.values().flatten();
            let Some(oldest) = all.map(|booking| (booking.at, booking.sequence)).min() else { break };
            self.forget(|booking| (booking.at, booking.sequence) == oldest);
        }
        now
    }

    /// Half points at a time, and the findings that they are of.
    pub(crate) fn total(&self, now: Time, terms: &Terms) -> (u64, usize) {
        (self.booked.values().flatten().map(|booking| booking.halves(now, terms)).sum(), self.count())
    }

    /// Goes to a level. Gives the one before.
    pub(crate) fn change_level(&mut self, level: usize) -> usize {
        std::mem::replace(&mut self.level, level as u8).into()
    }

    fn count(&self) -> usize {
        self.booked.values().map(Vec::len).sum()
    }

    fn forget(&mut self, gone: impl Fn(&Booking) -> bool) {
        self.booked.retain(|_, bookings| {
            bookings.retain(|booking| !gone(booking));
            !bookings.is_empty()
        });
    }
}
