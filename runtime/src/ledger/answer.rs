//! What became of a submitted event.

use super::Recorded;
use crate::digest::Digest;
use crate::verdict::Verdict;

/// What became of a submitted event.
#[derive(Debug, Clone)]
pub enum Answer {
    /// It was judged.
    Judged(Recorded<Verdict>),
    /// It was judged before; this is what was recorded then.
    Again(Recorded<Line>),
    /// It was not taken.
    Refused(Refusal),
}

impl Answer {
    /// The sequence of the event's entry; absent if it was not taken.
    pub fn sequence(&self) -> Option<u64> {
        match self {
            Answer::Judged(recorded) => Some(recorded.sequence()),
            Answer::Again(recorded) => Some(recorded.sequence()),
            Answer::Refused(_) => None,
        }
    }

    /// The verdict, if the event was judged now.
    pub fn verdict(&self) -> Option<&Verdict> {
        match self {
            Answer::Judged(recorded) => Some(recorded.get()),
            Answer::Again(_) | Answer::Refused(_) => None,
        }
    }
}

/// An entry as it stands in the ledger: one JSON line, without its `\n`.
pub type Line = Box<str>;

/// Why an event was not taken. Nothing of it is recorded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Another event has its source and id (CloudEvents 1.0.2, section "id").
    #[error("another event with this source and id has the sequence {sequence}; its digest is {recorded}, and that of this one {sent}")]
    IdReused {
        /// The sequence of the other event.
        sequence: u64,
        /// The digest of the other event.
        recorded: Digest,
        /// The digest of this event.
        sent: Digest,
    },
    /// It is too old for anybody to know whether it was here before.
    #[error("ids of this source are remembered for what happened from {from} on; whether this older event was here before is not known")]
    OutsideHorizon {
        /// The start of what is remembered, an RFC 3339 date-time.
        from: String,
    },
    /// It has the source or the type of the runtime's own events.
    #[error("only the runtime itself submits events of this source or type, about its own verdicts")]
    Reserved,
}
