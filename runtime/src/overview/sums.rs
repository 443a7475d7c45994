//! What is kept of the entries that were counted. Every collection has a bound.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use super::recent::Recent;
use crate::verdict::{Action, Decision, FaultKind, Mode};

/// Rules, by policy and mode, that are counted apart. A policy has up to some hundred.
pub(super) const RULES_MAX: usize = 10_000;
/// Policies and kinds of faults that are counted apart.
pub(super) const FAULTS_MAX: usize = 10_000;
/// Subjects with findings of which the latest are known; those without new ones for
/// longest go first. 400 bytes each, about, with a few entries.
pub(super) const SUBJECTS_MAX: usize = 20_000;
/// Entries that are known of one subject.
pub(super) const SUBJECT_ENTRIES_MAX: usize = 200;
/// Entries with findings or faults of which it is known what they are about.
pub(super) const LATEST_MAX: usize = 1_000;
/// Findings that are named of such an entry.
pub(super) const NAMED_MAX: usize = 8;
/// Changes of the releases in force.
pub(super) const CHANGES_MAX: usize = 2_000;
/// Gaps and silences of sources.
pub(super) const GAPS_MAX: usize = 1_000;
/// Bytes of a source, subject or type that are kept.
pub(super) const TEXT_BYTES_MAX: usize = 512;

/// Verdicts of a period, or of everything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Events, by what was said about them, in the order of [`Decision::ALL`].
    pub verdicts: [u64; 4],
    /// Times that a release failed to answer.
    pub faults: u64,
    /// Findings, whatever they count for.
    pub findings: u64,
}

impl Counts {
    /// Events with this verdict.
    pub fn of(&self, decision: Decision) -> u64 {
        self.verdicts[decision as usize]
    }

    /// All events.
    pub fn events(&self) -> u64 {
        self.verdicts.iter().sum()
    }

    pub(super) fn add(&mut self, other: &Counts) {
        for (sum, more) in self.verdicts.iter_mut().zip(other.verdicts) {
            *sum += more;
        }
        self.faults += other.faults;
        self.findings += other.findings;
    }
}

/// How long the periods are that are counted apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution {
    /// Of a minute, for a day.
    Minute,
    /// Of an hour, for 60 days.
    Hour,
    /// Of a day, for three years.
    Day,
}

impl Resolution {
    const ALL: [Resolution; 3] = [Resolution::Minute, Resolution::Hour, Resolution::Day];

    /// Seconds of a period.
    pub fn seconds(self) -> i64 {
        match self {
            Resolution::Minute => 60,
            Resolution::Hour => 3_600,
            Resolution::Day => 86_400,
        }
    }

    /// Periods that are kept.
    fn kept(self) -> usize {
        match self {
            Resolution::Minute => 1_440,
            Resolution::Hour => 1_440,
            Resolution::Day => 1_096,
        }
    }
}

/// A rule in one mode.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RuleKey {
    /// The policy's full name.
    pub policy: Arc<str>,
    /// The rule's id.
    pub rule: Arc<str>,
    /// What its findings counted for.
    pub mode: Mode,
}

/// What a rule has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleSum {
    /// Findings.
    pub findings: u64,
    /// What it asked for last.
    pub action: Action,
    /// The entry that it is in last.
    pub last: u64,
    /// When that arrived, in microseconds since the Unix epoch.
    pub at: i64,
}

/// Whom events are about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubjectKey {
    /// The events' source.
    pub source: Arc<str>,
    /// The events' subject.
    pub subject: Arc<str>,
}

/// What was found about a subject.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SubjectSum {
    /// Entries with findings or faults, by their verdicts, since it is known.
    pub verdicts: [u64; 4],
    /// Their sequences, the latest last; the first ones go.
    pub entries: VecDeque<u64>,
}

/// An entry with findings or faults, in short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Brief {
    /// Its place in the total order.
    pub sequence: u64,
    /// When the event arrived, in microseconds since the Unix epoch.
    pub at: i64,
    /// The verdict.
    pub verdict: Decision,
    /// The event's source.
    pub source: Arc<str>,
    /// The event's subject; absent for a timer, too.
    pub subject: Option<Arc<str>>,
    /// The event's type; empty for a timer.
    pub kind: Arc<str>,
    /// Policy, rule, and what it counted for, of the first findings.
    pub findings: Vec<RuleKey>,
    /// Policy and how it failed.
    pub faults: Vec<(Arc<str>, FaultKind)>,
    /// Findings in all.
    pub findings_all: u64,
}

/// A change of the releases in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// Its place in the total order.
    pub sequence: u64,
    /// When, in microseconds since the Unix epoch.
    pub at: i64,
    /// The word of the entry: `install`, `promote`, `demote`, `withdraw`, `remove`,
    /// `stale`, `stop`, `fresh`.
    pub what: &'static str,
    /// The policy's full name.
    pub policy: Arc<str>,
    /// The release.
    pub release: Arc<str>,
    /// What it counts for from there on.
    pub mode: Mode,
    /// The release that it took the place of.
    pub replaced: Option<Arc<str>>,
    /// What became of the states.
    pub state: Option<Arc<str>>,
    /// Who did it.
    pub by: Arc<str>,
    /// Why.
    pub reason: Option<Arc<str>>,
}

/// Something that a source left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// Its place in the total order.
    pub sequence: u64,
    /// When it was noted, in microseconds since the Unix epoch.
    pub at: i64,
    /// Whose.
    pub source: Arc<str>,
    /// Events that are missing by their numbers; none for a silence.
    pub missing: Option<u64>,
    /// Seconds within which something was to come; none for a gap.
    pub heartbeat: Option<u64>,
}

/// All of it.
#[derive(Debug, Clone, Default)]
pub struct Sums {
    /// The first entry that was counted; 0 before any.
    pub from: u64,
    /// The last one.
    pub counted: u64,
    /// Everything together.
    pub all: Counts,
    pub(super) minutes: BTreeMap<i64, Counts>,
    pub(super) hours: BTreeMap<i64, Counts>,
    pub(super) days: BTreeMap<i64, Counts>,
    /// Findings by rule.
    pub rules: HashMap<RuleKey, RuleSum>,
    /// When each of them found something lately.
    pub recent: HashMap<RuleKey, Recent>,
    /// Faults by policy and kind.
    pub faults: HashMap<(Arc<str>, FaultKind), u64>,
    pub(super) subjects: HashMap<SubjectKey, SubjectSum>,
    /// Subjects by their last entry, to find the one without news for longest.
    pub(super) by_last: BTreeMap<u64, SubjectKey>,
    /// The latest entries with findings or faults, the latest last.
    pub latest: VecDeque<Brief>,
    /// The latest changes of the releases in force, the latest last.
    pub changes: VecDeque<Moved>,
    /// The latest gaps and silences, the latest last.
    pub gaps: VecDeque<Gap>,
    /// Findings and faults beyond the rules and policies that are counted apart.
    pub uncounted: u64,
}

impl Sums {
    /// What was said from a time on until another one, both in seconds since the Unix epoch
    /// and rounded down to the periods of a resolution: one for each period, also where
    /// there is none.
    pub fn periods(&self, resolution: Resolution, from: i64, until: i64) -> Vec<(i64, Counts)> {
        let step = resolution.seconds();
        let first = from.div_euclid(step) * step;
        let buckets = self.buckets(resolution);
        let starts = (0..).map(|index| first + index * step).take_while(|start| *start <= until).take(resolution.kept());
        starts.map(|start| (start, buckets.get(&start).copied().unwrap_or_default())).collect()
    }

    /// The sum of what was said in the last seconds before a time.
    pub fn last(&self, seconds: i64, now: i64) -> Counts {
        let resolution = if seconds <= 86_400 { Resolution::Minute } else { Resolution::Hour };
        let mut sum = Counts::default();
        for (_, counts) in self.buckets(resolution).range(now - seconds..) {
            sum.add(counts);
        }
        sum
    }

    /// What was found about a subject, if it is among those that are known.
    pub fn subject(&self, source: &str, subject: &str) -> Option<&SubjectSum> {
        self.subjects.get(&SubjectKey { source: text(source), subject: text(subject) })
    }

    /// Subjects with findings, those with the latest first.
    pub fn subjects(&self) -> impl Iterator<Item = (&SubjectKey, &SubjectSum)> {
        self.by_last.values().rev().filter_map(|key| self.subjects.get_key_value(key))
    }

    fn buckets(&self, resolution: Resolution) -> &BTreeMap<i64, Counts> {
        match resolution {
            Resolution::Minute => &self.minutes,
            Resolution::Hour => &self.hours,
            Resolution::Day => &self.days,
        }
    }

    pub(super) fn count(&mut self, at: i64, counts: &Counts) {
        self.all.add(counts);
        let seconds = at.div_euclid(1_000_000);
        for resolution in Resolution::ALL {
            let step = resolution.seconds();
            let buckets = match resolution {
                Resolution::Minute => &mut self.minutes,
                Resolution::Hour => &mut self.hours,
                Resolution::Day => &mut self.days,
            };
            buckets.entry(seconds.div_euclid(step) * step).or_default().add(counts);
            while buckets.len() > resolution.kept() {
                buckets.pop_first();
            }
        }
    }

    pub(super) fn found(&mut self, key: RuleKey, action: Action, sequence: u64, at: i64) {
        if let Some(recent) = self.recent.get_mut(&key) {
            recent.count(at.div_euclid(1_000_000));
        } else if self.rules.len() < RULES_MAX {
            self.recent.entry(key.clone()).or_default().count(at.div_euclid(1_000_000));
        }
        if let Some(sum) = self.rules.get_mut(&key) {
            (sum.findings, sum.action, sum.last, sum.at) = (sum.findings + 1, action, sequence, at);
        } else if self.rules.len() < RULES_MAX {
            self.rules.insert(key, RuleSum { findings: 1, action, last: sequence, at });
        } else {
            self.uncounted += 1;
        }
    }

    pub(super) fn failed(&mut self, policy: Arc<str>, kind: FaultKind) {
        let key = (policy, kind);
        if let Some(count) = self.faults.get_mut(&key) {
            *count += 1;
        } else if self.faults.len() < FAULTS_MAX {
            self.faults.insert(key, 1);
        } else {
            self.uncounted += 1;
        }
    }

    pub(super) fn about(&mut self, key: SubjectKey, sequence: u64, verdict: Decision) {
        let sum = self.subjects.entry(key.clone()).or_default();
        if let Some(last) = sum.entries.back() {
            self.by_last.remove(last);
        }
        sum.verdicts[verdict as usize] += 1;
        push(&mut sum.entries, sequence, SUBJECT_ENTRIES_MAX);
        self.by_last.insert(sequence, key);
        if self.subjects.len() > SUBJECTS_MAX
            && let Some((_, oldest)) = self.by_last.pop_first()
        {
            self.subjects.remove(&oldest);
        }
    }
}

/// Adds one behind the others; beyond the bound the first one goes.
pub(super) fn push<T>(queue: &mut VecDeque<T>, item: T, max: usize) {
    if queue.len() == max {
        queue.pop_front();
    }
    queue.push_back(item);
}

/// As much of a text as is kept.
pub(super) fn text(text: &str) -> Arc<str> {
    text[..text.floor_char_boundary(TEXT_BYTES_MAX)].into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(events: u64) -> Counts {
        Counts { verdicts: [events, 0, 0, 0], ..Counts::default() }
    }

    #[test]
    fn periods_without_events_are_there() {
        let mut sums = Sums::default();
        sums.count(120_000_000, &allowed(2));
        sums.count(125_000_000, &allowed(1));
        sums.count(300_000_000, &allowed(4));
        let events = |periods: Vec<(i64, Counts)>| periods.iter().map(|(start, counts)| (*start, counts.events())).collect::<Vec<_>>();
        assert_eq!(events(sums.periods(Resolution::Minute, 130, 310)), [(120, 3), (180, 0), (240, 0), (300, 4)]);
        assert_eq!(events(sums.periods(Resolution::Hour, 0, 10)), [(0, 7)]);
        assert_eq!((sums.last(60, 310).events(), sums.all.events()), (4, 7));
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut sums = Sums::default();
        for sequence in 1..=(SUBJECTS_MAX as u64 + 10) {
            let key = SubjectKey { source: "/s".into(), subject: sequence.to_string().into() };
            sums.about(key, sequence, Decision::Flag);
            sums.count(sequence as i64 * 60_000_000, &allowed(1));
        }
        assert_eq!((sums.subjects.len(), sums.by_last.len(), sums.minutes.len()), (SUBJECTS_MAX, SUBJECTS_MAX, 1_440));
        assert!(sums.subject("/s", "1").is_none(), "the one without news for longest has gone");
        assert!(sums.subject("/s", "11").is_some());
        for sequence in 0..SUBJECT_ENTRIES_MAX as u64 * 2 {
            sums.about(SubjectKey { source: "/s".into(), subject: "11".into() }, 1_000_000 + sequence, Decision::Deny);
        }
        let sum = sums.subject("/s", "11").expect("known");
        assert_eq!((sum.entries.len(), sum.verdicts), (SUBJECT_ENTRIES_MAX, [0, 1, 0, SUBJECT_ENTRIES_MAX as u64 * 2]));
        assert_eq!(sums.by_last.len(), SUBJECTS_MAX);
    }
}
