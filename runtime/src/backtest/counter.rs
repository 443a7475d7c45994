//! What a back-test counts: verdicts and findings of the same events under two sets of
//! releases, and where they are not the same.
//!
//! Pure: pairs of entries go in, a [`Report`] comes out.

use std::collections::{BTreeMap, HashMap};

use super::BacktestError;
use super::report::{Example, Found, Kind, Kinds, Named, Report, Rule, Sides, Transition};
use crate::archive::ArchiveError;
use crate::ledger::entry::{Asked, Entry, Fault, Finding, TimerEntry};
use crate::verdict::Decision;

/// Sources and subjects that are named in a report; the rest is counted together.
const NAMES_MAX: usize = 1_000;

/// Names that are told apart while counting.
const COUNTED_NAMES_MAX: usize = 1_000_000;

/// A policy's statement, by which findings are told apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Said<'a> {
    policy: &'a str,
    rule: String,
    message: &'a str,
    evidence: Vec<(&'a str, &'a str)>,
}

/// One side of an event or a timer.
#[derive(Debug)]
struct Side<'a> {
    verdict: Decision,
    said: Vec<Said<'a>>,
}

impl<'a> Side<'a> {
    fn of(verdict: Decision, asked: impl IntoIterator<Item = &'a Asked<'a>>) -> Self {
        let said = asked.into_iter().map(|asked| (&*asked.policy, &*asked.findings, asked.fault.as_ref()));
        Side::new(verdict, said)
    }

    /// What a timer's release said.
    fn woken(timer: &'a TimerEntry<'a>) -> Self {
        Side::new(timer.verdict, [(&*timer.policy, &*timer.findings, timer.fault.as_ref())])
    }

    fn new(verdict: Decision, all: impl IntoIterator<Item = (&'a str, &'a [Finding<'a>], Option<&'a Fault<'a>>)>) -> Self {
        let mut said = Vec::new();
        for (policy, findings, fault) in all {
            said.extend(findings.iter().map(|finding| Said {
                policy,
                rule: finding.rule.to_string(),
                message: &finding.message,
                evidence: finding.evidence.0.iter().map(|(name, value)| (&**name, &**value)).collect(),
            }));
            said.extend(fault.map(|fault| Said {
                policy,
                rule: format!("fault: {}", fault.kind.name()),
                message: &fault.detail,
                evidence: Vec::new(),
            }));
        }
        said.sort_unstable();
        Side { verdict, said }
    }

    /// A timer that did not fire.
    fn silent() -> Self {
        Side { verdict: Decision::Allow, said: Vec::new() }
    }
}

/// What an event or a timer is known by.
struct About<'a> {
    sequence: Option<u64>,
    source: &'a str,
    id: &'a str,
    timer: bool,
    subject: Option<&'a str>,
    /// As entries have it.
    time: &'a str,
    /// The same in microseconds since 1970.
    micros: i64,
}

/// Counts.
#[derive(Debug)]
pub struct Counter {
    examples_max: usize,
    /// The policy that the side after judges with, where the side before is what was
    /// recorded with all policies that there were.
    alone: Option<String>,
    /// Whether only what that policy says makes the verdicts.
    own: bool,
    report: Report,
    verdicts: [Sides; Decision::ALL.len()],
    transitions: [[u64; Decision::ALL.len()]; Decision::ALL.len()],
    rules: BTreeMap<(String, String), Rule>,
    sources: HashMap<String, Kinds>,
    subjects: HashMap<String, Kinds>,
    days: BTreeMap<String, Kinds>,
    /// Examples by verdict before and after, so that no kind of change takes all places.
    examples: BTreeMap<(Decision, Decision), Vec<Example>>,
}

impl Counter {
    /// Keeps at most so many examples.
    pub fn new(examples_max: usize) -> Self {
        Counter {
            examples_max,
            alone: None,
            own: false,
            report: Report::default(),
            verdicts: Default::default(),
            transitions: Default::default(),
            rules: BTreeMap::new(),
            sources: HashMap::new(),
            subjects: HashMap::new(),
            days: BTreeMap::new(),
            examples: BTreeMap::new(),
        }
    }

    /// The same where the side before is what was recorded, and the side after judges with
    /// one policy alone: what the others said stays as it was.
    pub fn of_policy(examples_max: usize, policy: &str) -> Self {
        Counter { alone: Some(policy.to_string()), ..Counter::new(examples_max) }
    }

    /// The same with verdicts that only this policy makes.
    pub fn of_policy_alone(examples_max: usize, policy: &str) -> Self {
        Counter { own: true, ..Counter::of_policy(examples_max, policy) }
    }

    /// Counts the entries of one event on both sides; what changed, in full. `sequence` is
    /// that of the event where it was recorded.
    ///
    /// # Errors
    ///
    /// If these are not entries of the same event.
    pub fn event(&mut self, before: &str, after: &str, sequence: Option<u64>) -> Result<Option<Example>, BacktestError> {
        let (Entry::Event(one), Entry::Event(other)) = (read(before)?, read(after)?) else {
            return Err(BacktestError::Other);
        };
        if (&one.source, &one.id) != (&other.source, &other.id) {
            return Err(BacktestError::Other);
        }
        let (was, verdict) = match &self.alone {
            Some(policy) if self.own => (one.verdict_of(|by| by == policy), other.verdict),
            Some(policy) => (one.verdict, one.verdict_of(|by| by != policy).max(other.verdict)),
            None => (one.verdict, other.verdict),
        };
        self.report.events += 1;
        self.report.timeline.event(one.happened().micros());
        self.verdicts[was as usize].before += 1;
        self.verdicts[verdict as usize].after += 1;
        let at = one.happened();
        let time = at.to_string();
        let day = day(&time);
        match &mut self.report.span {
            Some((first, last)) if day < first.as_str() => *first = day.to_string(),
            Some((_, last)) if day > last.as_str() => *last = day.to_string(),
            Some(_) => {}
            none => *none = Some((day.to_string(), day.to_string())),
        }
        let about = About {
            sequence,
            source: &one.source,
            id: &one.id,
            timer: false,
            subject: one.subject.as_deref(),
            time: &time,
            micros: at.micros(),
        };
        let before = match self.alone.clone() {
            Some(policy) => Side::of(was, one.asked.iter().filter(|asked| asked.mode.counts() && *asked.policy == *policy)),
            None => Side::of(was, &one.asked),
        };
        Ok(self.pair(&about, &before, &Side::of(verdict, &other.asked)))
    }

    /// Counts what was recorded before one event on both sides; what changed, in full.
    ///
    /// # Errors
    ///
    /// If one of the lines is no entry.
    pub fn timers(&mut self, before: &[String], after: &[String], sequence: Option<u64>) -> Result<Vec<Example>, BacktestError> {
        if before.is_empty() && after.is_empty() {
            return Ok(Vec::new());
        }
        let (mut before, mut after) = (timers(before)?, timers(after)?);
        if let Some(policy) = &self.alone {
            before.retain(|timer| *timer.policy == **policy && timer.mode.counts());
        }
        self.report.timers.before += before.len() as u64;
        self.report.timers.after += after.len() as u64;
        let mut changed = Vec::new();
        for one in &before {
            let counterpart = after.iter().position(|other| (&other.key, other.due, &other.policy) == (&one.key, one.due, &one.policy));
            let other = counterpart.map(|at| after.remove(at));
            let other = other.as_ref().map_or_else(Side::silent, Side::woken);
            changed.extend(self.timer(one, sequence, &Side::woken(one), &other));
        }
        for other in &after {
            changed.extend(self.timer(other, sequence, &Side::silent(), &Side::woken(other)));
        }
        Ok(changed)
    }

    fn timer(&mut self, timer: &TimerEntry<'_>, sequence: Option<u64>, before: &Side<'_>, after: &Side<'_>) -> Option<Example> {
        let (key, due) = (timer.key.to_string(), timer.due.to_string());
        self.pair(
            &About { sequence, source: &timer.source, id: &key, timer: true, subject: None, time: &due, micros: timer.due.micros() },
            before,
            after,
        )
    }

    fn pair(&mut self, about: &About<'_>, before: &Side<'_>, after: &Side<'_>) -> Option<Example> {
        if before.said.is_empty() && after.said.is_empty() && before.verdict == after.verdict {
            return None;
        }
        before.said.iter().for_each(|said| self.rule(said.policy, &said.rule).findings.before += 1);
        after.said.iter().for_each(|said| self.rule(said.policy, &said.rule).findings.after += 1);
        let (disappeared, appeared) = difference(&before.said, &after.said);
        if disappeared.is_empty() && appeared.is_empty() && before.verdict == after.verdict {
            return None;
        }
        self.rules_changed(&disappeared, &appeared);
        let kind = match after.verdict.cmp(&before.verdict) {
            std::cmp::Ordering::Greater => Kind::Stricter,
            std::cmp::Ordering::Less => Kind::Milder,
            std::cmp::Ordering::Equal => Kind::Findings,
        };
        self.report.changes.add(kind);
        self.report.timeline.change(about.micros, kind);
        self.transitions[before.verdict as usize][after.verdict as usize] += 1;
        self.days.entry(day(about.time).to_string()).or_default().add(kind);
        count(&mut self.sources, Some(about.source)).unwrap_or(&mut self.report.other_sources).add(kind);
        count(&mut self.subjects, about.subject).unwrap_or(&mut self.report.other_subjects).add(kind);
        let found = |said: &[&Said<'_>]| {
            let found =
                |said: &&Said<'_>| Found { policy: said.policy.to_string(), rule: said.rule.clone(), message: said.message.to_string() };
            said.iter().map(found).collect()
        };
        let example = Example {
            sequence: about.sequence,
            source: about.source.to_string(),
            id: about.id.to_string(),
            timer: about.timer,
            subject: about.subject.map(str::to_string),
            time: about.time.to_string(),
            before: before.verdict,
            after: after.verdict,
            disappeared: found(&disappeared),
            appeared: found(&appeared),
        };
        let examples = self.examples.entry((before.verdict, after.verdict)).or_default();
        if examples.len() < self.examples_max {
            examples.push(example.clone());
        }
        Some(example)
    }

    /// What of one event disappeared and what appeared: where it is of the same rule, the
    /// finding was altered.
    fn rules_changed(&mut self, disappeared: &[&Said<'_>], appeared: &[&Said<'_>]) {
        let mut of_rule: BTreeMap<(&str, &str), [u64; 2]> = BTreeMap::new();
        for (side, list) in [disappeared, appeared].into_iter().enumerate() {
            for said in list {
                of_rule.entry((said.policy, &said.rule)).or_default()[side] += 1;
            }
        }
        for ((policy, name), [gone, come]) in of_rule {
            let rule = self.rule(policy, name);
            let altered = gone.min(come);
            rule.altered += altered;
            rule.disappeared += gone - altered;
            rule.appeared += come - altered;
        }
    }

    fn rule(&mut self, policy: &str, rule: &str) -> &mut Rule {
        self.rules.entry((policy.to_string(), rule.to_string())).or_insert_with_key(|(policy, rule)| Rule {
            policy: policy.clone(),
            rule: rule.clone(),
            ..Rule::default()
        })
    }

    /// Sorts everything.
    pub fn finish(self) -> Report {
        let Counter { examples_max, alone: _, own: _, mut report, verdicts, transitions, rules, sources, subjects, days, examples } = self;
        report.verdicts = Decision::ALL.into_iter().zip(verdicts).collect();
        for (before, row) in Decision::ALL.into_iter().zip(transitions) {
            let counted = Decision::ALL.into_iter().zip(row).filter(|(_, count)| *count > 0);
            report.transitions.extend(counted.map(|(after, count)| Transition { before, after, count }));
        }
        report.rules = rules.into_values().collect();
        report.sources = named(sources, &mut report.other_sources);
        report.subjects = named(subjects, &mut report.other_subjects);
        report.days = days.into_iter().map(|(name, changes)| Named { name, changes }).collect();
        // In turn from each kind of change.
        let mut lists: Vec<_> = examples.into_values().map(Vec::into_iter).collect();
        while report.examples.len() < examples_max {
            let before = report.examples.len();
            let room = examples_max - before;
            report.examples.extend(lists.iter_mut().filter_map(Iterator::next).take(room));
            if report.examples.len() == before {
                break;
            }
        }
        report
    }
}

/// The timers among some entries.
fn timers(lines: &[String]) -> Result<Vec<TimerEntry<'_>>, BacktestError> {
    let entries = lines.iter().map(|line| read(line)).collect::<Result<Vec<_>, _>>()?;
    Ok(entries.into_iter().filter_map(|entry| if let Entry::Timer(_, timer) = entry { Some(timer) } else { None }).collect())
}

fn read(line: &str) -> Result<Entry<'_>, BacktestError> {
    Entry::parse(line.as_bytes()).map_err(|error| ArchiveError::NoEntry(error.to_string()).into())
}

/// The day of a time as entries have it.
fn day(time: &str) -> &str {
    time.get(..10).unwrap_or(time)
}

/// The count of a name; nothing if it has none, or there are too many.
fn count<'c>(counts: &'c mut HashMap<String, Kinds>, name: Option<&str>) -> Option<&'c mut Kinds> {
    let name = name?;
    if !counts.contains_key(name) {
        if counts.len() >= COUNTED_NAMES_MAX {
            return None;
        }
        counts.insert(name.to_string(), Kinds::default());
    }
    counts.get_mut(name)
}

/// Those with the most changes; the others are added to `other`.
fn named(counts: HashMap<String, Kinds>, other: &mut Kinds) -> Vec<Named> {
    let mut all: Vec<Named> = counts.into_iter().map(|(name, changes)| Named { name, changes }).collect();
    all.sort_by(|a, b| b.changes.total().cmp(&a.changes.total()).then_with(|| a.name.cmp(&b.name)));
    all.drain(NAMES_MAX.min(all.len())..).for_each(|named| other.merge(&named.changes));
    all
}

/// What is in one sorted list only: in the first, in the second.
fn difference<'l, 'a>(one: &'l [Said<'a>], other: &'l [Said<'a>]) -> (Vec<&'l Said<'a>>, Vec<&'l Said<'a>>) {
    let (mut first, mut second) = (Vec::new(), Vec::new());
    let (mut one, mut other) = (one.iter().peekable(), other.iter().peekable());
    loop {
        let order = match (one.peek(), other.peek()) {
            (None, None) => return (first, second),
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some(one), Some(other)) => one.cmp(other),
        };
        match order {
            std::cmp::Ordering::Less => first.extend(one.next()),
            std::cmp::Ordering::Greater => second.extend(other.next()),
            std::cmp::Ordering::Equal => drop((one.next(), other.next())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{event, finding, timer};
    use super::*;

    fn findings(words: &[&str]) -> String {
        let found: Vec<String> = words.iter().map(|word| finding("word", word)).collect();
        if found.is_empty() { String::new() } else { format!("\"findings\":[{}]", found.join(",")) }
    }

    fn pair(counter: &mut Counter, id: &str, before: (&str, &[&str]), after: (&str, &[&str])) {
        let line = |(verdict, words): (&str, &[&str])| event(1, id, verdict, &findings(words));
        counter.event(&line(before), &line(after), None).expect("entries");
    }

    #[test]
    fn verdicts_and_findings_are_counted_where_they_change() {
        let mut counter = Counter::new(10);
        pair(&mut counter, "1", ("allow", &[]), ("allow", &[]));
        pair(&mut counter, "2", ("flag", &["A"]), ("flag", &["A"]));
        pair(&mut counter, "3", ("allow", &[]), ("flag", &["B"]));
        pair(&mut counter, "4", ("flag", &["A"]), ("flag", &["A", "B"]));
        pair(&mut counter, "5", ("flag", &["A"]), ("allow", &[]));
        pair(&mut counter, "6", ("flag", &["A"]), ("flag", &["B"]));
        counter
            .event(&event(1, "7", "allow", ""), &event(1, "7", "undetermined", r#""fault":{"kind":"trap","detail":"d"}"#), None)
            .expect("entries");
        let report = counter.finish();
        assert_eq!(report.events, 7);
        assert_eq!(report.changes, Kinds { stricter: 2, milder: 1, findings: 2 });
        let [fault, word] = &report.rules[..] else { panic!("{:?}", report.rules) };
        assert_eq!((fault.rule.as_str(), fault.appeared), ("fault: trap", 1));
        assert_eq!((word.findings, word.appeared, word.disappeared, word.altered), (Sides { before: 4, after: 5 }, 2, 1, 1));
        assert_eq!(report.verdicts[&Decision::Flag], Sides { before: 4, after: 4 });
        assert_eq!(report.transitions.iter().map(|transition| transition.count).sum::<u64>(), report.changes.total());
        assert_eq!((report.sources[0].name.as_str(), report.sources[0].changes), ("/s", report.changes));
        assert_eq!((report.subjects[0].name.as_str(), report.other_subjects.total()), ("x", 0));
        assert_eq!((report.days[0].name.as_str(), report.days.len()), ("2026-01-02", 1));
        assert_eq!(report.span, Some(("2026-01-02".into(), "2026-01-02".into())));
        let example = report.examples.iter().find(|example| example.id == "6").expect("an example");
        assert_eq!((example.disappeared[0].message.as_str(), example.appeared[0].message.as_str()), ("has A", "has B"));
    }

    #[test]
    fn timers_that_fire_on_one_side_only_are_changes() {
        let mut counter = Counter::new(10);
        let flagged = |key: &str| timer(1, key, "flag", &findings(&["A"]));
        let clean = |key: &str| timer(1, key, "allow", "");
        counter.timers(&[flagged("a"), flagged("b"), clean("c")], &[flagged("b"), clean("d")], None).expect("entries");
        counter.timers(&[], &[flagged("e")], None).expect("entries");
        let report = counter.finish();
        assert_eq!(report.timers, Sides { before: 3, after: 3 });
        assert_eq!(report.changes, Kinds { stricter: 1, milder: 1, findings: 0 });
        assert_eq!((report.examples.len(), report.examples[0].timer, report.other_subjects.total()), (2, true, 2));
        assert_eq!(report.events, 0);
    }

    #[test]
    fn examples_are_of_every_kind_of_change() {
        let mut counter = Counter::new(4);
        for id in 0..100 {
            pair(&mut counter, &id.to_string(), ("allow", &[]), ("flag", &["A"]));
        }
        pair(&mut counter, "last", ("flag", &["A"]), ("allow", &[]));
        let report = counter.finish();
        assert_eq!(report.examples.len(), 4);
        assert!(report.examples.iter().any(|example| example.id == "last"));
    }

    #[test]
    fn what_others_said_stays_in_the_verdict_or_is_left_out() {
        let asked = |policy: &str, mode: &str, said: &str| {
            let (zeros, said) = ("0".repeat(64), if said.is_empty() { String::new() } else { format!(",{said}") });
            format!(r#"{{"policy":"{policy}","release":"1-a","digest":"{zeros}","mode":"{mode}"{said}}}"#)
        };
        let entry = |verdict: &str, all: &[String]| {
            let line = event(1, "1", verdict, "");
            let (head, _) = line.split_once("\"asked\":").expect("asked");
            format!("{head}\"asked\":[{}]}}", all.join(","))
        };
        let found = findings(&["A"]);
        let recorded = entry("flag", &[asked("other", "enforce", &found), asked("p", "enforce", &found), asked("p", "shadow", "")]);
        let (counter, alone) = (Counter::of_policy(1, "p"), Counter::of_policy_alone(1, "p"));
        for (mut counter, after) in [(counter, Decision::Flag), (alone, Decision::Allow)] {
            let changed = counter.event(&recorded, &event(1, "1", "allow", ""), Some(7)).expect("entries").expect("a change");
            assert_eq!((changed.before, changed.after, changed.sequence), (Decision::Flag, after, Some(7)));
            let report = counter.finish();
            assert_eq!((report.rules.len(), report.rules[0].disappeared), (1, 1), "one finding of the policy is gone");
        }
    }

    #[test]
    fn other_events_are_not_compared() {
        let mut counter = Counter::new(1);
        assert!(counter.event(&event(1, "1", "allow", ""), &event(1, "2", "allow", ""), None).is_err());
        assert!(counter.event(&event(1, "1", "allow", ""), &timer(1, "k", "allow", ""), None).is_err());
    }
}
