//! What is to be tried: which release, against what, over which events.

use std::borrow::Cow;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::BacktestError;
use crate::archive::Period;
use crate::runtime::Offer;

/// One end of a period: the sequence of an entry, or a time at which events happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum End {
    /// A sequence, included.
    Sequence(u64),
    /// RFC 3339; the last time is excluded.
    Time(String),
}

impl JsonSchema for End {
    fn schema_name() -> Cow<'static, str> {
        "PeriodEnd".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A sequence, a time (RFC 3339), or a day, which begins at midnight UTC.",
            "anyOf": [
                { "type": "integer", "minimum": 0, "maximum": u64::MAX },
                { "type": "string", "format": "date-time" },
                { "type": "string", "format": "date" },
            ],
        })
    }
}

impl End {
    /// Reads what somebody wrote: a number, a time, or a day.
    pub fn parse(text: &str) -> Self {
        text.trim().parse().map_or_else(|_| End::Time(text.trim().to_string()), End::Sequence)
    }

    /// Microseconds since 1970. A day begins at midnight UTC, and a time without a zone is
    /// in UTC, as fields of a form have it.
    fn micros(text: &str) -> Result<i64, BacktestError> {
        let whole = match text.len() {
            10 => format!("{text}T00:00:00Z"),
            16 => format!("{text}:00Z"),
            19 => format!("{text}Z"),
            _ => text.to_string(),
        };
        let time = OffsetDateTime::parse(&whole, &Rfc3339).map_err(|_| {
            BacktestError::NoEnd(format!("{text:?} is neither a sequence nor a time; write 1234, 2026-01-31 or 2026-01-31T12:00:00Z"))
        })?;
        i64::try_from(time.unix_timestamp_nanos().div_euclid(1_000)).map_err(|_| BacktestError::NoEnd(format!("{text:?} is out of range")))
    }
}

/// With what a release is compared.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "ComparedWith")]
pub enum Against {
    /// With the findings that were recorded, whatever release made them. The verdicts are
    /// those of all policies.
    #[default]
    Recorded,
    /// With another release of the same policy, which judges the same events again. The
    /// verdicts are those of this policy alone.
    Release(String),
}

/// Parts of a release that are other than recorded: for development only.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// The component.
    pub component: Option<Arc<[u8]>>,
    /// The settings.
    pub settings: Option<Arc<[u8]>>,
    /// Reference lists.
    pub lists: Vec<Arc<crate::reference::List>>,
}

impl Change {
    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.component.is_none() && self.settings.is_none() && self.lists.is_empty()
    }
}

/// What somebody wants to know.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Request {
    /// The policy's full name.
    pub policy: String,
    /// The release that is tried, by its id or digest. Once it is resolved, its id; with
    /// parts of its own what the component says.
    pub release: String,
    /// Whether parts of it were given with the request.
    #[serde(default)]
    pub changed: bool,
    /// With what it is compared.
    #[serde(default)]
    pub against: Against,
    /// The first event; absent: the first that is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<End>,
    /// The last event; absent: the last at the time of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<End>,
    /// Judges events before the period as well, and counts nothing of them, so that a
    /// policy with state remembers what it would have. Nothing is done for one without.
    #[serde(default = "yes")]
    pub warm_up: bool,
    /// Whether the verdicts are those of this policy alone, also where it is compared with
    /// what was recorded: for whoever may not see what others found.
    #[serde(default)]
    pub alone: bool,
    /// Who wants it.
    pub by: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

fn yes() -> bool {
    true
}

impl Request {
    /// The period, in a ledger of so many entries.
    pub(super) fn period(&self, size: u64) -> Result<Period, BacktestError> {
        let mut period = Period { from: 1, until: size, after: i64::MIN, before: i64::MAX };
        match &self.from {
            Some(End::Sequence(from)) => period.from = (*from).max(1),
            Some(End::Time(time)) => period.after = End::micros(time)?,
            None => {}
        }
        match &self.until {
            Some(End::Sequence(until)) => period.until = (*until).min(size),
            Some(End::Time(time)) => period.before = End::micros(time)?,
            None => {}
        }
        Ok(period)
    }
}

/// What a request comes to.
pub(super) struct Plan {
    pub period: Period,
    /// The release that is tried.
    pub with: Offer,
    /// The other one, if both judge anew.
    pub against: Option<Offer>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_of_a_period_are_sequences_days_or_times() {
        assert_eq!(End::parse(" 17 "), End::Sequence(17));
        let micros = |text: &str| match End::parse(text) {
            End::Time(text) => End::micros(&text).ok(),
            End::Sequence(_) => None,
        };
        assert_eq!(micros("1970-01-02"), Some(86_400_000_000));
        assert_eq!(micros("1970-01-01T00:01"), Some(60_000_000));
        assert_eq!(micros("1970-01-01T01:00:01+01:00"), Some(1_000_000));
        assert_eq!((micros("yesterday"), micros("2026-13-01")), (None, None));
        let request = Request { from: Some(End::Sequence(0)), until: Some(End::Sequence(99)), ..Request::default() };
        let period = request.period(10).expect("a period");
        assert_eq!((period.from, period.until), (1, 10));
        assert!(period.contains(10, 0) && !period.contains(11, 0));
    }
}
