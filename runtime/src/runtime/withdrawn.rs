//! Releases that were taken back on this platform. Their publisher may still stand for
//! them; that must not bring them back.

use std::collections::{BTreeMap, BTreeSet};

use super::CONFIGURATION;
use crate::digest::Digest;
use crate::ledger::entry::{ChangeEntry, What};

/// Signed statements of releases that were taken back: what the entries of changes say,
/// those of before the start and those that are made now.
#[derive(Debug, Default)]
pub(super) struct Withdrawn {
    all: BTreeSet<Digest>,
    /// Those that were ever in force or tried out, by policy.
    known: BTreeMap<String, BTreeSet<Digest>>,
}

impl Withdrawn {
    /// The entry of a change.
    pub fn note(&mut self, change: &ChangeEntry<'_>) {
        let known = self.known.entry(change.policy.to_string()).or_default();
        known.extend(change.statement);
        match change.what {
            What::Withdraw => self.all.extend(change.statement),
            // A publisher that is left out of the configuration is welcome again.
            What::Remove if *change.by != *CONFIGURATION => self.all.append(known),
            _ => {}
        }
    }

    /// Whether it was taken back.
    pub fn has(&self, statement: &Digest) -> bool {
        self.all.contains(statement)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::entry::{Lists, Time};
    use crate::verdict::Mode;

    fn change<'a>(what: What, policy: &'a str, statement: &[u8], by: &'a str) -> ChangeEntry<'a> {
        ChangeEntry {
            what,
            policy: policy.into(),
            release: "1.0.0-000000000000".into(),
            digest: Digest::of(b"release"),
            lists: Lists::default(),
            statement: Some(Digest::of(statement)),
            mode: Mode::Enforce,
            share: None,
            from: None,
            until: None,
            replaced: None,
            state: None,
            by: by.into(),
            reason: None,
            at: Time::from_micros(0),
        }
    }

    #[test]
    fn what_was_taken_back_stays_so_and_what_the_configuration_left_out_does_not() {
        let mut withdrawn = Withdrawn::default();
        for (what, policy, statement, by) in [
            (What::Install, "p", &b"one"[..], "office"),
            (What::Install, "p", b"two", "office"),
            (What::Withdraw, "p", b"two", "duty officer"),
            (What::Install, "q", b"three", "office"),
            (What::Remove, "q", b"three", CONFIGURATION),
            (What::Install, "r", b"four", "office"),
            (What::Install, "r", b"five", "office"),
            // It is about one of them, and all are gone.
            (What::Remove, "r", b"four", "duty officer"),
        ] {
            withdrawn.note(&change(what, policy, statement, by));
        }
        let has = |statement: &[u8]| withdrawn.has(&Digest::of(statement));
        assert_eq!([&b"one"[..], b"two", b"three", b"four", b"five"].map(has), [false, true, false, true, true]);
    }
}
