//! What a policy says about a row, and what it rests on.

use std::marker::PhantomData;

use crate::rule::Rules;
use crate::time::Time;
use crate::wit::ephor::policy::evaluation::{Evidence, Finding, Timer, Undecided};

/// Takes what a policy says about the row at hand.
///
/// Saying nothing means that the row is clean.
#[derive(Debug)]
pub struct Out<R> {
    row: u32,
    findings: Vec<Finding>,
    undecided: Vec<Undecided>,
    timers: Vec<Timer>,
    rules: PhantomData<fn(R)>,
}

/// What a policy said about rows.
pub(crate) struct Said {
    pub(crate) findings: Vec<Finding>,
    pub(crate) undecided: Vec<Undecided>,
    pub(crate) timers: Vec<Timer>,
}

impl<R: Rules> Out<R> {
    /// Adds a finding of `rule`. Say what it rests on:
    /// `out.find(Rule::ListedWord).with("word", word)`.
    pub fn find(&mut self, rule: R) -> Found<'_> {
        let finding = Finding { row: self.row, rule: rule.index(), evidence: Vec::new() };
        Found(self.findings.push_mut(finding))
    }

    /// Says that the row cannot be judged and why, in one sentence for the
    /// operator. The event becomes `undetermined`, and nothing else of the row
    /// remains: no findings, no wish to be woken, and the state is what it was
    /// before. The event may be judged again.
    pub fn undecided(&mut self, reason: impl Into<String>) {
        if self.is_undecided() {
            return;
        }
        self.undecided.push(Undecided { row: self.row, reason: reason.into() });
    }

    /// Asks for [`Policy::wake`](crate::Policy::wake) to be called for the
    /// row's key when the event time `at` has come. A key has one timer: this
    /// replaces an earlier wish. For policies with `timers` in `#[policy]`.
    pub fn wake_at(&mut self, at: Time) {
        self.timer(Some(at.0));
    }

    /// Takes back the wish to be woken, if the row's key has one.
    pub fn wake_never(&mut self) {
        self.timer(None);
    }

    fn timer(&mut self, at: Option<i64>) {
        let timer = Timer { row: self.row, at };
        match self.timers.last_mut().filter(|last| last.row == self.row) {
            Some(last) => *last = timer,
            None => self.timers.push(timer),
        }
    }
}

impl<R> Out<R> {
    pub(crate) const fn new() -> Self {
        Self { row: 0, findings: Vec::new(), undecided: Vec::new(), timers: Vec::new(), rules: PhantomData }
    }

    #[inline]
    pub(crate) const fn turn_to(&mut self, row: u32) {
        self.row = row;
    }

    /// Whether the row at hand is undecided so far.
    #[inline]
    pub(crate) fn is_undecided(&self) -> bool {
        self.undecided.last().is_some_and(|last| last.row == self.row)
    }

    /// Everything that was said, without what does not count.
    pub(crate) fn said(self) -> Said {
        let Self { mut findings, undecided, mut timers, .. } = self;
        if !undecided.is_empty() {
            let decided = |row: u32| undecided.binary_search_by_key(&row, |it| it.row).is_err();
            findings.retain(|finding| decided(finding.row));
            timers.retain(|timer| decided(timer.row));
        }
        Said { findings, undecided, timers }
    }
}

/// A finding that evidence is added to.
#[derive(Debug)]
pub struct Found<'out>(&'out mut Finding);

impl Found<'_> {
    /// Names a value that the finding rests on. It also fills `{name}` in the
    /// rule's messages. A name should come up once in a finding.
    pub fn with(self, name: &str, value: impl IntoEvidence) -> Self {
        self.0.evidence.push(Evidence { name: name.to_owned(), value: value.into_evidence() });
        self
    }
}

/// A value that can be evidence.
///
/// Its text is the same on every machine: integers in decimal; floats in the
/// fewest digits that read back as the same number, never with an exponent,
/// and without a decimal point if they are whole; times in RFC 3339 in UTC.
pub trait IntoEvidence {
    /// The text that goes into the evidence.
    fn into_evidence(self) -> String;
}

impl IntoEvidence for String {
    fn into_evidence(self) -> String {
        self
    }
}

macro_rules! by_display {
    ($($type:ty),*) => {$(
        impl IntoEvidence for $type {
            fn into_evidence(self) -> String {
                self.to_string()
            }
        }
    )*};
}
by_display!(&str, &String, char, bool, Time);
by_display!(i8, i16, i32, i64, isize, u8, u16, u32, u64, usize, f32, f64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_read_the_same_everywhere() {
        let texts = [
            "KNIFE".into_evidence(),
            true.into_evidence(),
            (-7_i64).into_evidence(),
            u64::MAX.into_evidence(),
            0.1_f64.into_evidence(),
            (0.1_f64 + 0.2).into_evidence(),
            2000.0_f64.into_evidence(),
            1e-7_f64.into_evidence(),
            1e21_f64.into_evidence(),
            Time(0).into_evidence(),
        ];
        assert_eq!(
            texts,
            [
                "KNIFE",
                "true",
                "-7",
                "18446744073709551615",
                "0.1",
                "0.30000000000000004",
                "2000",
                "0.0000001",
                "1000000000000000000000",
                "1970-01-01T00:00:00Z",
            ]
        );
    }
}
