use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::Time;

/// The latest event of a key by event time, with a value of it.
///
/// An event that is late is not the latest, whenever it comes. Of two at the same
/// time it is the one that came second.
///
/// ```
/// use std::time::Duration;
/// use ephor_sdk::{state::LastSeen, time::Time};
///
/// let minute = |minute: i64| Time(minute * 60_000_000);
/// let mut status = LastSeen::<String>::default();
/// assert!(status.see(minute(10), "parked".into()));
/// assert!(status.see(minute(30), "moving".into()));
/// assert!(!status.see(minute(20), "late".into()));
/// assert_eq!(status.at(), Some(minute(30)));
/// assert_eq!(status.value().map(String::as_str), Some("moving"));
/// assert_eq!(status.elapsed(minute(90)), Some(Duration::from_secs(3_600)));
/// // At that time it had not been seen yet, as far as is known now.
/// assert_eq!(status.elapsed(minute(20)), None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastSeen<T = ()> {
    last: Option<(Time, T)>,
}

impl<T> Default for LastSeen<T> {
    fn default() -> Self {
        Self { last: None }
    }
}

impl<T> LastSeen<T> {
    /// Takes note of an event. Returns whether it is the latest now.
    pub fn see(&mut self, at: Time, value: T) -> bool {
        let is_latest = self.at().is_none_or(|last| at >= last);
        if is_latest {
            self.last = Some((at, value));
        }
        is_latest
    }

    /// When the latest event was.
    #[must_use]
    pub fn at(&self) -> Option<Time> {
        self.last.as_ref().map(|(at, _)| *at)
    }

    /// The value of the latest event.
    #[must_use]
    pub fn value(&self) -> Option<&T> {
        self.last.as_ref().map(|(_, value)| value)
    }

    /// How long before `now` the latest event was; nothing if there was none,
    /// or none before.
    #[must_use]
    pub fn elapsed(&self, now: Time) -> Option<Duration> {
        let micros = now.micros_since(self.at()?);
        u64::try_from(micros).ok().map(Duration::from_micros)
    }
}
