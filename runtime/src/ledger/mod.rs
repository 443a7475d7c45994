//! What was said, in order. The only room that makes a [`Recorded`], and only a
//! recorded verdict can become an answer.
//!
//! In memory for now: it gives out the sequence and keeps nothing. Knows nothing
//! of policies beyond the verdict that they make.

use crate::verdict::Verdict;

/// Something that has its place in the ledger. What is not recorded is not
/// answered.
#[derive(Debug, Clone)]
pub struct Recorded<T> {
    sequence: u64,
    value: T,
}

impl<T> Recorded<T> {
    /// The event's place in the runtime's total order; the first is 1.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// What was recorded.
    pub fn get(&self) -> &T {
        &self.value
    }
}

/// The ledger.
#[derive(Debug)]
pub(crate) struct Ledger {
    next: u64,
}

impl Ledger {
    /// A ledger without entries.
    pub fn new() -> Self {
        Ledger { next: 1 }
    }

    /// The sequence that the next entry gets.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Records the verdicts of a batch, all or none, in order.
    pub fn commit(&mut self, verdicts: Vec<Verdict>) -> Vec<Recorded<Verdict>> {
        let first = self.next;
        self.next += verdicts.len() as u64;
        (first..).zip(verdicts).map(|(sequence, value)| Recorded { sequence, value }).collect()
    }
}
