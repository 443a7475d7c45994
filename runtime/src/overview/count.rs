//! One entry after the other, into the sums.

use std::sync::Arc;

use memchr::memmem::Finder;

use super::sums::{Brief, CHANGES_MAX, Counts, GAPS_MAX, Gap, LATEST_MAX, Moved, NAMED_MAX, RuleKey, SubjectKey, Sums, push, text};
use crate::ledger::entry::{Asked, ChangeEntry, Entry, EventEntry, Fault, Finding, Time, TimerEntry};
use crate::verdict::{Decision, Mode};

/// Counts entries.
pub(super) struct Counter {
    findings: Finder<'static>,
    fault: Finder<'static>,
    arrived: Finder<'static>,
    verdict: Finder<'static>,
    /// Text up to the second of the last time that was read, and that time.
    second: ([u8; 19], i64),
}

impl Counter {
    pub fn new() -> Self {
        Counter {
            // Within a text of an entry each of these quotes has a backslash before it.
            findings: Finder::new(b",\"findings\":["),
            fault: Finder::new(b",\"fault\":{"),
            arrived: Finder::new(b",\"arrived\":\""),
            verdict: Finder::new(b",\"verdict\":\""),
            second: ([0; 19], 0),
        }
    }

    /// Counts an entry. One that cannot be read is passed over: it stands in the ledger
    /// as it is, and `log verify` says what is wrong with it.
    pub fn count(&mut self, sums: &mut Sums, sequence: u64, line: &[u8]) {
        if sums.from == 0 {
            sums.from = sequence;
        }
        sums.counted = sequence;
        match self.clean(line) {
            Some((at, decision)) => sums.count(at, &one(decision, 0, 0)),
            None => {
                if let Ok(entry) = Entry::parse(line) {
                    whole(sums, sequence, &entry);
                }
            }
        }
    }

    /// When it arrived and the verdict, of the entry of an event without findings and
    /// faults, from a few of its bytes.
    fn clean(&mut self, line: &[u8]) -> Option<(i64, Decision)> {
        let arrived = self.arrived.find(line)?;
        let rest = &line[arrived + self.arrived.needle().len()..];
        let verdict = self.verdict.find(rest)?;
        let rest = &rest[verdict + self.verdict.needle().len()..];
        if self.findings.find(rest).is_some() || self.fault.find(rest).is_some() {
            return None;
        }
        let word = rest.split(|byte| *byte == b'"').next()?;
        let decision = Decision::ALL.into_iter().find(|decision| decision.name().as_bytes() == word)?;
        let begin = arrived + self.arrived.needle().len();
        Some((self.time(line.get(begin..begin + 27)?)?, decision))
    }

    /// Microseconds of a time in an entry, to the second: periods are no shorter.
    fn time(&mut self, text: &[u8]) -> Option<i64> {
        let second: [u8; 19] = text.get(..19)?.try_into().ok()?;
        if second != self.second.0 {
            self.second = (second, Time::parse(str::from_utf8(text).ok()?)?.micros());
        }
        Some(self.second.1)
    }
}

fn one(decision: Decision, findings: u64, faults: u64) -> Counts {
    let mut counts = Counts { findings, faults, ..Counts::default() };
    counts.verdicts[decision as usize] = 1;
    counts
}

fn whole(sums: &mut Sums, sequence: u64, entry: &Entry<'_>) {
    match entry {
        Entry::Event(event) => of_event(sums, event),
        Entry::Timer(_, timer) => of_timer(sums, sequence, timer),
        Entry::Gap(_, gap) => {
            let (at, missing) = (gap.arrived.micros(), Some(gap.missing));
            push(&mut sums.gaps, Gap { sequence, at, source: text(&gap.source), missing, heartbeat: None }, GAPS_MAX);
        }
        Entry::Silence(_, silence) => {
            let (at, heartbeat) = (silence.noted.micros(), Some(silence.heartbeat));
            push(&mut sums.gaps, Gap { sequence, at, source: text(&silence.source), missing: None, heartbeat }, GAPS_MAX);
        }
        Entry::Change(_, change) => push(&mut sums.changes, moved(sequence, change), CHANGES_MAX),
        Entry::Configuration(..) | Entry::Start(..) | Entry::Keep(..) | Entry::Erasure(..) => {}
    }
}

fn moved(sequence: u64, change: &ChangeEntry<'_>) -> Moved {
    Moved {
        sequence,
        at: change.at.micros(),
        what: change.what.name(),
        policy: text(&change.policy),
        release: text(&change.release),
        mode: change.mode,
        replaced: change.replaced.as_deref().map(text),
        state: change.state.as_deref().map(text),
        by: text(&change.by),
        reason: change.reason.as_deref().map(text),
    }
}

fn of_event(sums: &mut Sums, event: &EventEntry<'_>) {
    let said = event.asked.iter().map(|Asked { policy, mode, findings, fault, .. }| (&**policy, *mode, &findings[..], fault.as_ref()));
    let at = event.arrived.micros();
    let mut brief = Brief {
        sequence: event.sequence,
        at,
        verdict: event.verdict,
        source: text(&event.source),
        subject: event.subject.as_deref().map(text),
        kind: text(&event.kind),
        findings: Vec::new(),
        faults: Vec::new(),
        findings_all: 0,
    };
    said.for_each(|said| of_release(sums, &mut brief, said));
    let faults = event.asked.iter().filter(|asked| asked.fault.is_some()).count() as u64;
    sums.count(at, &one(event.verdict, brief.findings_all, faults));
    if let Some(subject) = &brief.subject {
        let key = SubjectKey { source: brief.source.clone(), subject: subject.clone() };
        sums.about(key, event.sequence, event.verdict);
    }
    push(&mut sums.latest, brief, LATEST_MAX);
}

/// A timer is no event: its findings count, and its verdict does not.
fn of_timer(sums: &mut Sums, sequence: u64, timer: &TimerEntry<'_>) {
    if timer.findings.is_empty() && timer.fault.is_none() {
        return;
    }
    let at = timer.arrived.micros();
    let mut brief = Brief {
        sequence,
        at,
        verdict: timer.verdict,
        source: text(&timer.source),
        subject: None,
        kind: Arc::from(""),
        findings: Vec::new(),
        faults: Vec::new(),
        findings_all: 0,
    };
    of_release(sums, &mut brief, (&timer.policy, timer.mode, &timer.findings, timer.fault.as_ref()));
    sums.count(at, &Counts { findings: brief.findings_all, faults: timer.fault.is_some().into(), ..Counts::default() });
    push(&mut sums.latest, brief, LATEST_MAX);
}

type Said<'s, 'e> = (&'s str, Mode, &'s [Finding<'e>], Option<&'s Fault<'e>>);

fn of_release(sums: &mut Sums, brief: &mut Brief, (policy, mode, findings, fault): Said<'_, '_>) {
    if findings.is_empty() && fault.is_none() {
        return;
    }
    let policy = text(policy);
    for finding in findings {
        let key = RuleKey { policy: policy.clone(), rule: text(&finding.rule), mode };
        brief.findings_all += 1;
        if brief.findings.len() < NAMED_MAX {
            brief.findings.push(key.clone());
        }
        sums.found(key, finding.action, brief.sequence, brief.at);
    }
    if let Some(fault) = fault {
        sums.failed(policy.clone(), fault.kind);
        if brief.faults.len() < NAMED_MAX {
            brief.faults.push((policy, fault.kind));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "0000000000000000000000000000000000000000000000000000000000000000";

    fn line(sequence: u64, id: &str, verdict: &str, said: &str) -> String {
        format!(
            r#"{{"sequence":{sequence},"source":"/shop","id":"{id}","type":"order","subject":"m1","arrived":"2026-01-02T03:04:05.000006Z","digest":"{DIGEST}","verdict":"{verdict}","asked":[{{"policy":"office/price","release":"1-x","digest":"{DIGEST}","mode":"shadow","columns":"{DIGEST}"{said}}}]}}"#
        )
    }

    const FOUND: &str = r#","findings":[{"rule":"r","action":"deny","severity":"high","message":"m","evidence":{},"legal_basis":"l"}]"#;

    #[test]
    fn entries_are_counted_by_what_they_say() {
        let (mut counter, mut sums) = (Counter::new(), Sums::default());
        counter.count(&mut sums, 7, line(7, "a", "allow", "").as_bytes());
        // What stands in a text is no member.
        counter.count(&mut sums, 8, line(8, r#"\",\"findings\":[,\"verdict\":\"deny"#, "flag", "").as_bytes());
        counter.count(&mut sums, 9, line(9, "c", "allow", FOUND).as_bytes());
        counter.count(&mut sums, 10, line(10, "d", "undetermined", r#","fault":{"kind":"trap","detail":"d"}"#).as_bytes());
        counter.count(&mut sums, 11, b"no entry");
        assert_eq!((sums.from, sums.counted), (7, 11));
        assert_eq!((sums.all.verdicts, sums.all.findings, sums.all.faults), ([2, 1, 1, 0], 1, 1));
        let (key, sum) = sums.rules.iter().next().expect("a rule");
        assert_eq!((&*key.policy, &*key.rule, key.mode, sum.findings, sum.last), ("office/price", "r", Mode::Shadow, 1, 9));
        assert_eq!(sums.latest.iter().map(|brief| brief.sequence).collect::<Vec<_>>(), [9, 10]);
        assert_eq!(sums.subject("/shop", "m1").expect("known").entries, [9, 10]);
        assert_eq!(sums.minutes.len(), 1);
    }
}
