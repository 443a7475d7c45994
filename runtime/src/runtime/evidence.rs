//! What is written down about a batch: one line for each new event, with a
//! commitment to what each policy saw of it.

use std::borrow::Cow;
use std::ops::Range;

use rayon::ThreadPool;
use rayon::prelude::*;

use super::admit::{Admission, Fresh};
use super::echo;
use super::evaluate::Round;
use super::heartbeats::Silence;
use super::numbers::Gap;
use super::set::Set;
use super::spine::{Judged, Woken};
use crate::digest::Digest;
use crate::event::Event;
use crate::ledger::entry::{
    self, Asked, ENTRY_BYTES_MAX, Entry, EventEntry, GapEntry, Lists, OversizedEntry, SilenceEntry, Time, TimerEntry,
};
use crate::ledger::{Batch, Hash, Secrets, leaf_hash};
use crate::policy::Release;
use crate::verdict::{Fault, Finding, Verdict};

/// Rows below which lines are written without spreading.
const SPREAD_ROWS_MIN: usize = 256;

/// Bytes of a typical line, to make room once.
const LINE_BYTES: usize = 768;

/// Bytes to which texts are cut, and findings of a policy that are kept, one after
/// the other, when an entry is too long.
const CUTS: [(usize, usize); 5] = [(1 << 10, 64), (1 << 8, 64), (1 << 6, 16), (16, 4), (0, 1)];

/// What entries are written about.
pub(super) struct About<'a> {
    pub set: &'a Set,
    pub round: &'a Round<'a>,
    pub fresh: &'a [Fresh],
    pub judged: &'a Judged,
    /// Steps that verdict events may be from what came from outside; none if nobody asks
    /// about them.
    pub depth_max: Option<u32>,
}

/// What comes behind a batch of its own accord.
#[derive(Default)]
pub(super) struct Echoes {
    /// Events about its entries, in the order of these.
    pub events: Vec<Event>,
    /// Entries about which one would have been a step too far, and the first of them.
    pub cut: u64,
    pub first_cut: Option<u64>,
}

impl Echoes {
    fn merge(&mut self, behind: Echoes) {
        self.events.extend(behind.events);
        self.cut += behind.cut;
        self.first_cut = self.first_cut.or(behind.first_cut);
    }
}

/// Writes entries.
pub(super) struct Evidence {
    secrets: Secrets,
}

impl Evidence {
    pub fn new(secrets: Secrets) -> Self {
        Evidence { secrets }
    }

    /// Appends the entries of a round to a batch, whose `first` is the sequence of
    /// the first. Gives the events about them.
    pub fn write(&self, pool: &ThreadPool, about: &About<'_>, admission: &Admission, batch: &mut Batch) -> Echoes {
        let About { judged, fresh, .. } = about;
        let mut withheld: Vec<(u32, usize)> = judged.unasked.iter().map(|unasked| (unasked.row, unasked.member)).collect();
        withheld.sort_unstable();
        let first = batch.first;
        let some = |rows: Range<usize>| {
            let mut lines = Vec::with_capacity(rows.len() * LINE_BYTES);
            let mut leaves = Vec::with_capacity(rows.len());
            let mut seen = Vec::with_capacity(256);
            let mut echoes = Echoes::default();
            let mut put = |mut entry: Entry<'_>, depth: u32| {
                about.mark(&mut entry, depth, &mut echoes);
                let entry = append(entry, &mut lines, &mut leaves);
                echoes.events.extend(echo::of_entry(&entry));
            };
            for row in rows {
                // A timer that fires before an event fires because of it.
                let depth = about.depth_max.map_or(0, |_| echo::depth(about.round.events[row]));
                let sequence = judged.sequence(first, row);
                let gaps = at(&judged.gaps, row, |gap| gap.place);
                let timers = at(&judged.woken, row, |woken| woken.place);
                let mut before = sequence - (gaps.len() + timers.len()) as u64..;
                for (gap, sequence) in gaps.iter().zip(before.by_ref()) {
                    put(Entry::Gap(sequence, gap_entry(about, admission, gap)), depth);
                }
                for (woken, sequence) in timers.iter().zip(before) {
                    put(Entry::Timer(sequence, self.timer(about, admission, row, woken)), depth);
                }
                let given = |member: usize| withheld.binary_search(&(row as u32, member)).is_err();
                put(Entry::Event(self.event(about, row, sequence, given, &mut seen)), depth);
            }
            (lines, leaves, echoes)
        };
        let parts: Vec<(Vec<u8>, Vec<Hash>, Echoes)> = match fresh.len() {
            0 => return Echoes::default(),
            rows if rows < SPREAD_ROWS_MIN => vec![some(0..rows)],
            rows => {
                let part = rows.div_ceil(pool.current_num_threads()).max(SPREAD_ROWS_MIN / 4);
                pool.install(|| (0..rows.div_ceil(part)).into_par_iter().map(|at| some(at * part..rows.min((at + 1) * part))).collect())
            }
        };
        let mut all = Echoes::default();
        for (lines, leaves, echoes) in parts {
            match batch.lines.is_empty() {
                true => batch.lines = lines,
                false => batch.lines.extend_from_slice(&lines),
            }
            batch.leaves.extend(leaves);
            all.merge(echoes);
        }
        all
    }

    /// The entry of a timer that fired before a row.
    fn timer<'a>(&self, about: &About<'a>, admission: &Admission, row: usize, woken: &'a Woken) -> TimerEntry<'a> {
        let release = about.set.members[woken.member].image.release();
        let Verdict { decision, findings, faults } = &woken.verdict;
        TimerEntry {
            echo: None,
            policy: release.policy().into(),
            release: release.id.as_str().into(),
            digest: release.digest,
            lists: lists(release),
            mode: woken.mode,
            source: admission.source(woken.timer.source).to_string().into(),
            key: self.secrets.key(release.policy(), &woken.key),
            due: Time::from_micros(woken.timer.at),
            arrived: Time::from_micros(about.round.events[row].arrived.unwrap_or_default()),
            verdict: *decision,
            findings: findings.iter().map(finding).collect(),
            fault: faults.first().map(fault),
        }
    }

    /// The entry of a row's event. `given` says whether a policy was given the row.
    fn event<'a>(&self, about: &About<'a>, row: usize, sequence: u64, given: impl Fn(usize) -> bool, seen: &mut Vec<u8>) -> EventEntry<'a> {
        let About { set, round, fresh, judged, .. } = about;
        let (event, verdict) = (round.events[row], &judged.verdicts[row]);
        let salt = self.secrets.salt(event.source(), event.id());
        let mut asked = Vec::new();
        let mut without = Vec::new();
        for line in round.lines(set, row) {
            let canary = round.in_canary(set, row, line);
            let before = asked.len();
            for member in line.members.clone().filter(|member| round.asks(set, row, *member)) {
                let policy = &set.members[member];
                let release = policy.image.release();
                let columns = given(member).then(|| {
                    seen.clear();
                    seen.extend_from_slice(&salt);
                    policy.grant.encode(round.row(row, member), seen);
                    Digest::of(seen)
                });
                let (findings, failed) = judged.of(set, row, member);
                asked.push(Asked {
                    policy: release.policy().into(),
                    release: release.id.as_str().into(),
                    digest: release.digest,
                    lists: lists(release),
                    mode: set.mode(member, canary),
                    stale: line.stale.is_some(),
                    columns,
                    findings: findings.map(finding).collect(),
                    fault: failed.map(fault),
                });
            }
            if asked.len() == before {
                without.push((*line.policy).into());
            }
        }
        EventEntry {
            sequence,
            source: event.source().into(),
            id: event.id().into(),
            kind: event.kind().into(),
            subject: event.subject().map(Into::into),
            time: event.time().map(Into::into),
            number: event.number(),
            arrived: Time::from_micros(event.arrived.unwrap_or_default()),
            late: fresh[row].late,
            echo: None,
            digest: *event.digest(),
            verdict: verdict.decision,
            handling: verdict.handling(),
            asked,
            without,
        }
    }
}

impl About<'_> {
    /// Says in an entry with findings that an event about it comes behind, if one does:
    /// the entry is of something that is so many steps from what came from outside.
    fn mark(&self, entry: &mut Entry<'_>, depth: u32, echoes: &mut Echoes) {
        let Some(max) = self.depth_max else { return };
        let (sequence, found, echo) = match entry {
            Entry::Event(event) => (event.sequence, event.asked.iter().any(|asked| !asked.findings.is_empty()), &mut event.echo),
            Entry::Timer(sequence, timer) => (*sequence, !timer.findings.is_empty(), &mut timer.echo),
            Entry::Gap(..)
            | Entry::Silence(..)
            | Entry::Change(..)
            | Entry::Start(..)
            | Entry::Keep(..)
            | Entry::Erasure(..)
            | Entry::Configuration(..) => return,
        };
        if !found {
            return;
        }
        if depth < max {
            *echo = Some(depth + 1);
        } else {
            echoes.cut += 1;
            echoes.first_cut.get_or_insert(sequence);
        }
    }
}

/// What is recorded before a row.
fn at<T>(all: &[T], row: usize, place: impl Fn(&T) -> u32) -> &[T] {
    let from = all.partition_point(|one| (place(one) as usize) < row);
    let until = all.partition_point(|one| place(one) as usize <= row);
    &all[from..until]
}

fn gap_entry<'a>(about: &About<'a>, admission: &Admission, gap: &Gap) -> GapEntry<'a> {
    GapEntry {
        source: admission.source(gap.source).to_string().into(),
        after: gap.after,
        before: gap.before,
        missing: gap.missing(),
        arrived: Time::from_micros(about.round.events[gap.place as usize].arrived.unwrap_or_default()),
    }
}

fn finding(finding: &Finding) -> entry::Finding<'_> {
    let rule = finding.rule();
    let evidence = finding.evidence.iter().map(|(name, value)| (name.as_str().into(), value.as_str().into()));
    entry::Finding {
        rule: rule.id.as_str().into(),
        action: finding.action,
        severity: rule.severity,
        message: finding.message().into(),
        evidence: entry::Evidence(evidence.collect()),
        legal_basis: rule.legal_basis.as_str().into(),
    }
}

/// The versions of the lists that a release looks things up in.
pub(super) fn lists(release: &Release) -> Lists<'_> {
    entry::Evidence(release.lists.iter().map(|list| (list.name.as_str().into(), list.version.as_str().into())).collect())
}

fn fault(fault: &Fault) -> entry::Fault<'_> {
    entry::Fault { kind: fault.kind, detail: fault.detail.as_str().into() }
}

/// What is recorded about a source that fell silent by a time (microseconds since 1970).
pub(super) fn silence(admission: &Admission, silence: &Silence, now: i64) -> SilenceEntry<'static> {
    SilenceEntry {
        source: admission.source(silence.source).to_string().into(),
        last: silence.last.map(Time::from_micros),
        heartbeat: silence.heartbeat,
        noted: Time::from_micros(now),
    }
}

/// Appends an entry's line. Gives the entry as it is there.
fn append<'e>(entry: Entry<'e>, lines: &mut Vec<u8>, leaves: &mut Vec<Hash>) -> Entry<'e> {
    let start = lines.len();
    let entry = write(entry, lines);
    leaves.push(leaf_hash(&lines[start..]));
    lines.push(b'\n');
    entry
}

/// Writes an entry's line. One that is longer than an entry may be loses the ends of
/// its texts, then its later findings, each with a sign of omission; at the very last
/// the versions of lists, which the digest of the release binds as well. Should so many
/// have been asked that this is not enough, who said nothing is left out, under a digest.
/// The verdict and the digests are always whole.
fn write<'e>(mut entry: Entry<'e>, out: &mut Vec<u8>) -> Entry<'e> {
    let mut cuts = CUTS.into_iter();
    while let Err(OversizedEntry { bytes, .. }) = entry.write(out) {
        let Some(cut) = cuts.next() else {
            if let Entry::Event(event) = &mut entry {
                event.leave_out(bytes - ENTRY_BYTES_MAX);
                let fits = entry.write(out);
                debug_assert!(fits.is_ok(), "attributes are short enough for an entry: {fits:?}");
            }
            return entry;
        };
        match &mut entry {
            Entry::Event(event) => {
                for asked in &mut event.asked {
                    shorten_all(&mut asked.findings, asked.fault.as_mut(), cut);
                    if cuts.len() == 0 {
                        asked.lists.0.clear();
                    }
                }
            }
            Entry::Timer(_, timer) => shorten_all(&mut timer.findings, timer.fault.as_mut(), cut),
            Entry::Gap(..)
            | Entry::Silence(..)
            | Entry::Change(..)
            | Entry::Start(..)
            | Entry::Keep(..)
            | Entry::Erasure(..)
            | Entry::Configuration(..) => {
                return entry;
            }
        }
    }
    entry
}

fn shorten_all(findings: &mut Vec<entry::Finding<'_>>, fault: Option<&mut entry::Fault<'_>>, (bytes, count): (usize, usize)) {
    let more = findings.len() > count;
    findings.truncate(count);
    for finding in findings.iter_mut() {
        shorten(&mut finding.message.0, bytes);
        shorten(&mut finding.legal_basis.0, bytes);
        for (name, value) in &mut finding.evidence.0 {
            shorten(&mut name.0, bytes);
            shorten(&mut value.0, bytes);
        }
        if bytes == 0 {
            finding.evidence.0.clear();
        }
    }
    if more && let Some(last) = findings.last_mut() {
        last.evidence.0 = vec![("…".into(), "…".into())];
    }
    if let Some(fault) = fault {
        shorten(&mut fault.detail.0, bytes);
    }
}

fn shorten(text: &mut Cow<'_, str>, bytes: usize) {
    if text.len() > bytes {
        let end = text.floor_char_boundary(bytes);
        *text = Cow::Owned(format!("{}…", &text[..end]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::{Action, Decision, Mode, Severity};

    /// An event with attributes of so many bytes, each of which is written as two, that so
    /// many policies were asked about, of which every tenth has found something.
    fn asked(attributes: usize, policies: usize) -> EventEntry<'static> {
        let long = |bytes: usize| "\"".repeat(bytes);
        let asked = |number: usize| Asked {
            policy: format!("office-of-something/rule-{number:04}").into(),
            release: "1.0.0-0123456789ab".into(),
            digest: Digest::of(&number.to_le_bytes()),
            lists: entry::Evidence(vec![("register".into(), "2026-11".into())]),
            mode: Mode::Enforce,
            stale: false,
            columns: Some(Digest::of(b"columns")),
            findings: if number.is_multiple_of(10) { vec![finding(number)] } else { Vec::new() },
            fault: None,
        };
        EventEntry {
            sequence: 7,
            source: long(attributes).into(),
            id: long(attributes).into(),
            kind: long(attributes).into(),
            subject: Some(long(attributes).into()),
            time: None,
            number: None,
            arrived: Time::from_micros(1_795_507_200_000_000),
            late: false,
            echo: None,
            digest: Digest::of(b"event"),
            verdict: Decision::Deny,
            handling: None,
            asked: (0..policies).map(asked).collect(),
            without: Vec::new(),
        }
    }

    fn finding(number: usize) -> entry::Finding<'static> {
        entry::Finding {
            rule: format!("rule-{number}").into(),
            action: Action::Deny,
            severity: Severity::High,
            message: "long ".repeat(400).into(),
            evidence: entry::Evidence(vec![("field".into(), "v".repeat(900).into())]),
            legal_basis: "article 13".into(),
        }
    }

    fn written(entry: EventEntry<'_>) -> (usize, EventEntry<'static>) {
        let mut line = Vec::new();
        write(Entry::Event(entry), &mut line);
        let text: &'static [u8] = line.leak();
        let Ok(Entry::Event(read)) = Entry::parse_canonical(text) else { panic!("an entry of {} bytes", text.len()) };
        (text.len(), read)
    }

    #[test]
    fn tl_18_what_does_not_fit_is_shortened_and_left_out_under_a_digest() {
        // As it is; then texts are cut, then findings; nobody is left out.
        for (attributes, policies, names) in [(10, 3, 3), (10, 100, 100), (4_096, 60, 60)] {
            let (bytes, entry) = written(asked(attributes, policies));
            assert_eq!(entry.asked.len(), names, "{bytes} bytes");
            assert!(bytes <= ENTRY_BYTES_MAX && entry.asked.iter().step_by(10).all(|asked| !asked.findings.is_empty()));
        }
        // So many that not even their names fit.
        for (attributes, policies) in [(10, 400), (4_096, 200), (4_096, 1_000)] {
            let before = asked(attributes, policies);
            let (bytes, entry) = written(before.clone());
            assert!((ENTRY_BYTES_MAX - 700..=ENTRY_BYTES_MAX).contains(&bytes), "as much as there is room for: {bytes}");
            assert_eq!(
                (&entry.source, &entry.id, entry.digest, entry.verdict),
                (&before.source, &before.id, before.digest, before.verdict)
            );
            let (mark, others) = entry.asked.split_last().expect("some were asked");
            assert_eq!((&*mark.policy, mark.mode, mark.columns), ("…", Mode::Shadow, None));
            assert!(others.iter().map(|asked| &*asked.policy).is_sorted(), "the others are in their order");
            assert!(others.iter().all(|asked| *asked.policy != *"…"));
            let found = others.iter().filter(|asked| !asked.findings.is_empty()).count();
            let all = policies.div_ceil(10);
            assert!(found == all || found == others.len(), "who has found something stays first: {found} of {all}");
        }
        // Names of policies that had no release.
        let mut before = asked(4_096, 40);
        before.without = (0..2_000).map(|number| format!("office/rule-{number}").into()).collect();
        let (bytes, entry) = written(before);
        assert!(bytes <= ENTRY_BYTES_MAX && entry.without.last().is_some_and(|name| **name == *"…"), "{bytes}");
    }
}
