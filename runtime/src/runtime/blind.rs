//! How blind we are: for how long events got a verdict that a policy has no part in, or
//! rests on what is out of date.
//!
//! A second is blind if, while it lasted, at least one event (or timer) was judged for which
//! one of the [`Cause`]s held. So seconds without events are not blind: there was nothing to
//! see. A batch counts for all seconds from the one in which its evaluation began to the one
//! in which it ended. Releases that are tried out in shadow do not count, whatever they do.
//! Counted since the start of the process; the ledger has the same, event by event.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

use super::evaluate::Round;
use super::line::Stale;
use super::set::Set;
use super::spine::Judged;
use crate::stats::{BlindLabel, Stats};
use crate::verdict::FaultKind;

/// Why a verdict is not what it would be if all went well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// A policy was asked and failed to answer: the event is undetermined, or denied by
    /// another one.
    Failed,
    /// A policy asks about such events, and at the event's time none of its releases in
    /// force is valid.
    Without,
    /// What the policy's publisher says is out of date. Whether the policy is asked then is
    /// the platform's setting.
    Stale,
    /// No policy is in force at all: everything is allowed.
    Nobody,
}

impl Cause {
    /// All causes that are those of a policy.
    pub(super) const OF_POLICIES: [Cause; 3] = [Cause::Failed, Cause::Without, Cause::Stale];

    /// The word used in metrics and tables.
    pub fn name(self) -> &'static str {
        match self {
            Cause::Failed => "failed",
            Cause::Without => "without",
            Cause::Stale => "stale",
            Cause::Nobody => "nobody",
        }
    }
}

/// How blind the runtime has been since it started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Blindness {
    /// When it started, in microseconds since 1970.
    pub since: i64,
    /// Events that were judged.
    pub events: u64,
    /// Of these, those that a cause held for. A failed timer is in `causes` only.
    pub blind_events: u64,
    /// Blind in all.
    pub all: Spell,
    /// By policy and cause, in this order; only what was ever the case.
    pub causes: Vec<Blind>,
}

/// One policy and one cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Blind {
    /// The policy's name; absent for [`Cause::Nobody`].
    pub policy: Option<String>,
    /// Why.
    pub cause: Cause,
    /// Events and timers that it held for.
    pub answers: u64,
    /// For how long.
    pub spell: Spell,
}

/// Blind seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Spell {
    /// Since the start.
    pub seconds: u64,
    /// In the last sixty minutes, by whole minutes of the clock.
    pub seconds_last_hour: u64,
    /// The latest one, in seconds since 1970.
    pub last: Option<i64>,
}

/// Minutes that are remembered one by one.
const MINUTES: usize = 60;

/// Counts blind seconds, each once.
#[derive(Debug, Clone)]
struct Clock {
    seconds: u64,
    last: Option<i64>,
    /// By the minute of the clock, with which minute that is.
    minutes: [(i64, u64); MINUTES],
}

impl Default for Clock {
    fn default() -> Self {
        Clock { seconds: 0, last: None, minutes: [(i64::MIN, 0); MINUTES] }
    }
}

impl Clock {
    /// Takes seconds since 1970, the last one with it. Gives how many were not counted yet.
    fn saw(&mut self, from: i64, until: i64) -> u64 {
        // A clock that is set back counts nothing twice.
        let from = self.last.map_or(from, |last| from.max(last + 1));
        let new = u64::try_from(until - from + 1).unwrap_or_default();
        if new == 0 {
            return 0;
        }
        self.seconds += new;
        self.last = Some(until);
        for second in from.max(until - 60 * MINUTES as i64 + 1)..=until {
            let minute = second.div_euclid(60);
            let slot = &mut self.minutes[minute.rem_euclid(MINUTES as i64) as usize];
            if slot.0 != minute {
                *slot = (minute, 0);
            }
            slot.1 += 1;
        }
        new
    }

    fn spell(&self, now: i64) -> Spell {
        let oldest = now.div_euclid(60) - MINUTES as i64 + 1;
        let recent = self.minutes.iter().filter(|(minute, _)| *minute >= oldest).map(|(_, seconds)| seconds).sum();
        Spell { seconds: self.seconds, seconds_last_hour: recent, last: self.last }
    }
}

/// Keeps count.
#[derive(Debug)]
pub(super) struct Eyes {
    since: i64,
    seen: Mutex<Seen>,
    stats: Arc<Stats>,
}

#[derive(Debug, Default)]
struct Seen {
    events: u64,
    blind_events: u64,
    all: Clock,
    causes: BTreeMap<Reason, (u64, Clock)>,
}

/// A policy, if it is one's, and why.
type Reason = (Option<Arc<str>>, Cause);

/// What was not seen of a batch: events and timers.
type Missed = BTreeMap<Reason, u64>;

impl Eyes {
    /// What is counted besides.
    pub fn stats(&self) -> Arc<Stats> {
        self.stats.clone()
    }

    /// From this time on, in microseconds since 1970.
    pub fn new(since: i64, stats: Arc<Stats>) -> Self {
        Eyes { since, seen: Mutex::default(), stats }
    }

    /// Policies are in force from now on. A series that begins with the first failure hides
    /// it, so there is a zero before.
    pub fn open(&self, set: &Set) {
        for line in set.lines.iter().filter(|line| !line.in_force().is_empty()) {
            for cause in Cause::OF_POLICIES {
                let label = BlindLabel { policy: line.policy.to_string(), cause: cause.name() };
                drop(self.stats.policy_blind_seconds.get_or_create(&label));
                drop(self.stats.policy_blind_answers.get_or_create(&label));
            }
        }
    }

    /// A batch was judged, from one time to another (microseconds since 1970).
    pub fn judged(&self, set: &Set, round: &Round<'_>, judged: &Judged, from: i64, until: i64) {
        let events = judged.verdicts.len();
        if events == 0 && judged.woken.is_empty() {
            return;
        }
        let mut missed = Missed::new();
        let blind = missed_events(set, round, judged, &mut missed);
        for fault in judged.woken.iter().filter(|woken| woken.mode.counts()).flat_map(|woken| &woken.verdict.faults) {
            *missed.entry((Some(fault.release.policy().into()), cause_of(fault.kind))).or_default() += 1;
        }
        let (from, until) = (from.div_euclid(1_000_000), until.max(from).div_euclid(1_000_000));
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.events += events as u64;
        if missed.is_empty() {
            return;
        }
        seen.blind_events += blind;
        self.stats.blind_events.inc_by(blind);
        self.stats.blind_seconds.inc_by(seen.all.saw(from, until));
        for ((policy, cause), count) in missed {
            let label = BlindLabel { policy: policy.as_deref().unwrap_or_default().to_string(), cause: cause.name() };
            let (answers, clock) = seen.causes.entry((policy, cause)).or_default();
            *answers += count;
            self.stats.policy_blind_answers.get_or_create(&label).inc_by(count);
            self.stats.policy_blind_seconds.get_or_create(&label).inc_by(clock.saw(from, until));
        }
    }

    /// How it stands at a time, in microseconds since 1970.
    pub fn blindness(&self, now: i64) -> Blindness {
        let now = now.div_euclid(1_000_000);
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let causes = seen.causes.iter().map(|((policy, cause), (answers, clock))| Blind {
            policy: policy.as_deref().map(str::to_string),
            cause: *cause,
            answers: *answers,
            spell: clock.spell(now),
        });
        Blindness {
            since: self.since,
            events: seen.events,
            blind_events: seen.blind_events,
            all: seen.all.spell(now),
            causes: causes.collect(),
        }
    }
}

fn cause_of(kind: FaultKind) -> Cause {
    if kind == FaultKind::Stale { Cause::Stale } else { Cause::Failed }
}

/// Notes what was missed of the events, and gives how many that were. Where all is well it
/// looks at no event but for whether it has a fault.
fn missed_events(set: &Set, round: &Round<'_>, judged: &Judged, missed: &mut Missed) -> u64 {
    let rows = judged.verdicts.len();
    if set.lines.iter().all(|line| line.in_force().is_empty()) {
        if rows > 0 {
            missed.insert((None, Cause::Nobody), rows as u64);
        }
        return rows as u64;
    }
    let mut blind: Vec<bool> = judged.verdicts.iter().map(|verdict| !verdict.faults.is_empty()).collect();
    for fault in judged.verdicts.iter().flat_map(|verdict| &verdict.faults) {
        *missed.entry((Some(fault.release.policy().into()), cause_of(fault.kind))).or_default() += 1;
    }
    for line in set.partly.iter().map(|line| &set.lines[*line]) {
        let members = line.in_force();
        let mut note = |cause: Cause, row: usize| {
            blind[row] = true;
            *missed.entry((Some(line.policy.clone()), cause)).or_default() += 1;
        };
        // Whoever is not asked while stale has a fault for it already.
        if line.stale == Some(Stale::Keep) {
            let asked = |row: &usize| members.clone().any(|member| round.asks(set, *row, member));
            (0..rows).filter(asked).for_each(|row| note(Cause::Stale, row));
        }
        let always = members.clone().any(|member| set.members[member].validity.is_always());
        if !members.is_empty() && !always {
            let without = |row: &usize| round.asks_ever(*row, line) && !members.clone().any(|member| round.asks(set, *row, member));
            (0..rows).filter(without).for_each(|row| note(Cause::Without, row));
        }
    }
    blind.into_iter().filter(|blind| *blind).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_is_counted_once_whoever_counts_it() {
        let mut clock = Clock::default();
        assert_eq!(clock.saw(100, 100), 1);
        assert_eq!(clock.saw(100, 100), 0, "another batch in the same second");
        assert_eq!(clock.saw(100, 103), 3, "one that took long");
        assert_eq!(clock.saw(50, 60), 0, "the clock was set back");
        assert_eq!(clock.saw(110, 110), 1);
        assert_eq!(clock.spell(110), Spell { seconds: 5, seconds_last_hour: 5, last: Some(110) });
    }

    #[test]
    fn an_hour_later_they_are_not_of_the_last_hour() {
        let mut clock = Clock::default();
        clock.saw(30, 89);
        assert_eq!(clock.spell(59 * 60 + 59).seconds_last_hour, 60, "both minutes are of the last sixty");
        assert_eq!(clock.spell(60 * 60).seconds_last_hour, 30, "the first is not");
        assert_eq!(clock.spell(3 * 3600), Spell { seconds: 60, seconds_last_hour: 0, last: Some(89) });
        // As long as the process.
        assert_eq!(clock.saw(10_000, 10_000 + 7_200), 7_201);
        assert_eq!(clock.spell(17_200).seconds_last_hour, 59 * 60 + 41);
    }
}
