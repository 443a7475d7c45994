//! What is remembered of a merchant: where it sells, and day by day its place and fee.

use std::ops::{Add, RangeInclusive};
use std::time::Duration;

use ephor_sdk::prelude::*;
use ephor_sdk::state::Tumbling;

const DAY: Duration = Duration::from_secs(86_400);
const DAY_MICROS: i64 = 86_400_000_000;
/// The day of the rise, and one that may be there because of a wrong time.
const DAYS_BESIDE: i64 = 2;

/// What is remembered of a merchant.
#[state]
pub struct Merchant {
    presence: Option<Presence>,
    pub(crate) rise: Option<Rise>,
    days: Tumbling<Day>,
}

/// On how many other platforms it sells, as far as is known.
#[state]
pub(crate) struct Presence {
    pub(crate) at: Time,
    pub(crate) count: i64,
}

/// That it sells on more than before.
#[state]
pub(crate) struct Rise {
    pub(crate) at: Time,
    pub(crate) from: i64,
    pub(crate) to: i64,
    pub(crate) is_ranking_found: bool,
    pub(crate) is_fee_found: bool,
}

/// The reports of one day.
#[state]
pub(crate) struct Day {
    pub(crate) ranking: Pair,
    pub(crate) fee: Pair,
}

/// Sums over reports: of the merchant's own values and of those of comparable ones.
#[state]
#[derive(Clone, Copy)]
pub(crate) struct Pair {
    own: i64,
    peers: i64,
    reports: u32,
}

impl Pair {
    pub(crate) const fn with(self, own: i64, peers: i64) -> Self {
        Self { own: self.own.saturating_add(own), peers: self.peers.saturating_add(peers), reports: self.reports.saturating_add(1) }
    }
}

/// Sums over the days of a window, wide enough to be multiplied.
#[derive(Clone, Copy, Default)]
pub(crate) struct Sums<T> {
    pub(crate) own: T,
    pub(crate) peers: T,
    pub(crate) reports: T,
}

impl Sums<i128> {
    /// What is above comparable merchants.
    pub(crate) const fn above(self) -> i128 {
        self.own - self.peers
    }
}

impl Add<Pair> for Sums<i128> {
    type Output = Self;

    fn add(self, day: Pair) -> Self {
        Self {
            own: self.own + i128::from(day.own),
            peers: self.peers + i128::from(day.peers),
            reports: self.reports + i128::from(day.reports),
        }
    }
}

/// How many days are compared.
pub(crate) struct Windows {
    pub(crate) before: i64,
    pub(crate) recent: i64,
    pub(crate) after: i64,
    /// The fewest days with reports, of each.
    pub(crate) least: u32,
}

impl Windows {
    /// Whether a time is in the days after the one of the rise that are looked at.
    pub(crate) fn is_after(&self, rise: &Rise, at: Time) -> bool {
        (1..=self.after).contains(&(day(at) - day(rise.at)))
    }
}

const fn day(at: Time) -> i64 {
    at.0.div_euclid(DAY_MICROS)
}

impl Merchant {
    /// Takes note of where the merchant sells. False if something later is known.
    ///
    /// A rise is looked at to its end, unless the merchant goes back: another one
    /// meanwhile would have what may be a punishment among the days before.
    pub(crate) fn take_note(&mut self, presence: Presence, windows: &Windows) -> bool {
        let Presence { at, count } = presence;
        let Some(known) = self.presence.replace(presence) else { return true };
        if at < known.at {
            return false;
        }
        self.rise.take_if(|rise| count <= rise.from || day(at) - day(rise.at) > windows.after);
        if self.rise.is_none() && count > known.count {
            self.rise = Some(Rise { at, from: known.count, to: count, is_ranking_found: false, is_fee_found: false });
        }
        true
    }

    /// The day of a time; nothing if it is not kept.
    pub(crate) fn day(&mut self, at: Time, windows: &Windows) -> Option<&mut Day> {
        self.days.at(at, DAY, (windows.before + windows.after + DAYS_BESIDE) as usize)
    }

    /// The days before a rise, the latest of them, and those after it, so far; nothing
    /// if too few of one have reports.
    pub(crate) fn compare(&self, rise: &Rise, windows: &Windows, of: impl Fn(&Day) -> Pair) -> Option<[Sums<i128>; 3]> {
        let rose = day(rise.at);
        let sums = |days: RangeInclusive<i64>| {
            let pairs = self.days.iter().filter(|&(begin, _)| days.contains(&day(begin))).map(|(_, day)| of(day));
            let reported: Vec<_> = pairs.filter(|pair| pair.reports > 0).collect();
            (reported.len() >= windows.least as usize).then(|| reported.into_iter().fold(Sums::default(), Add::add))
        };
        Some([sums(rose - windows.before..=rose - 1)?, sums(rose - windows.recent..=rose - 1)?, sums(rose + 1..=rose + windows.after)?])
    }

    /// Remembers that a finding of the rise has been made.
    pub(crate) fn found(&mut self, mark: impl FnOnce(&mut Rise)) {
        if let Some(rise) = &mut self.rise {
            mark(rise);
        }
    }
}
