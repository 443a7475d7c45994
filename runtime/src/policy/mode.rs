//! How a release is judged with: what its findings count for, and when it is in
//! force.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the findings of a release count for. In an entry: for that event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Judged and recorded, never in the verdict.
    Shadow,
    /// In the verdict for a stable share of the keys, in the place of the release in
    /// force.
    Canary,
    /// In the verdict.
    Enforce,
}

impl Mode {
    /// The word used in entries and answers, the same that serde has.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Shadow => "shadow",
            Mode::Canary => "canary",
            Mode::Enforce => "enforce",
        }
    }

    /// Whether what is said in this mode is in the verdict.
    pub fn counts(self) -> bool {
        self != Mode::Shadow
    }
}

/// What a platform does with an event that is `undetermined`: its own setting, in the
/// order of strictness.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Handling {
    /// Lets it have effect.
    LetPass,
    /// Keeps it back until somebody has decided.
    #[default]
    Hold,
    /// Treats it as denied.
    Refuse,
}

impl Handling {
    /// The word used in entries and answers, the same that serde has.
    pub fn name(self) -> &'static str {
        match self {
            Handling::LetPass => "let-pass",
            Handling::Hold => "hold",
            Handling::Refuse => "refuse",
        }
    }
}

/// The event times at which a release is in force, in microseconds since the Unix
/// epoch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validity {
    /// The first one; absent: whatever happened, once the release was put in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<i64>,
    /// The first one at which it is in force no more; absent: without an end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<i64>,
}

impl Validity {
    /// Whether a time is within.
    pub fn contains(self, micros: i64) -> bool {
        self.from.is_none_or(|from| micros >= from) && self.until.is_none_or(|until| micros < until)
    }

    /// The part of it that is before a time.
    #[must_use]
    pub fn before(self, end: Option<i64>) -> Validity {
        let until = match (self.until, end) {
            (Some(until), Some(end)) => Some(until.min(end)),
            (until, end) => until.or(end),
        };
        Validity { until, ..self }
    }

    /// Whether every time is.
    pub fn is_always(self) -> bool {
        self == Validity::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_in_force_from_its_first_time_until_before_its_last() {
        let some = Validity { from: Some(10), until: Some(20) };
        assert_eq!([9, 10, 19, 20].map(|micros| some.contains(micros)), [false, true, true, false]);
        let before = |end| some.before(end).until;
        assert_eq!([before(None), before(Some(15)), before(Some(25))], [Some(20), Some(15), Some(20)]);
        assert_eq!(Validity::default().before(Some(5)), Validity { from: None, until: Some(5) });
        assert!(Validity::default().contains(i64::MIN) && Validity::default().is_always() && !some.is_always());
    }

    #[test]
    fn the_strictest_handling_is_the_greatest() {
        assert!(Handling::Refuse > Handling::Hold && Handling::Hold > Handling::LetPass);
    }
}
