//! When which key wants to be woken.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::Key;

/// A key's wish to be woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Timer {
    /// Event time, microseconds since 1970.
    pub at: i64,
    /// The source of the key's latest event, whose watermark it waits for.
    pub source: u32,
}

/// The timers of all policies; a key has at most one of each.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    policies: HashMap<Arc<str>, HashMap<Key, Timer>>,
    /// The same by source and time.
    due: HashMap<u32, BTreeSet<(i64, Arc<str>, Key)>>,
}

impl Timers {
    /// The timer of a key.
    pub fn get(&self, policy: &str, key: &Key) -> Option<Timer> {
        self.policies.get(policy)?.get(key).copied()
    }

    /// Sets a key's timer, or takes it away.
    pub fn set(&mut self, policy: &Arc<str>, key: Key, timer: Option<Timer>) {
        let keys = self.policies.entry(policy.clone()).or_default();
        let before = match timer {
            Some(timer) => keys.insert(key.clone(), timer),
            None => keys.remove(&key),
        };
        if let Some(Timer { at, source }) = before
            && let Some(due) = self.due.get_mut(&source)
        {
            due.remove(&(at, policy.clone(), key.clone()));
        }
        if let Some(Timer { at, source }) = timer {
            self.due.entry(source).or_default().insert((at, policy.clone(), key));
        }
    }

    /// Keys with a timer of a source at or before a time, with their policies.
    pub fn due(&self, source: u32, until: i64) -> impl Iterator<Item = (&Arc<str>, &Key)> {
        let due = self.due.get(&source).into_iter().flatten();
        due.take_while(move |(at, ..)| *at <= until).map(|(_, policy, key)| (policy, key))
    }

    /// All timers of a policy.
    pub fn all(&self, policy: &str) -> Vec<(Key, Timer)> {
        self.policies.get(policy).into_iter().flatten().map(|(key, timer)| (key.clone(), *timer)).collect()
    }

    /// Drops a policy's timers.
    pub fn forget(&mut self, policy: &str) {
        for (key, Timer { at, source }) in self.policies.remove(policy).unwrap_or_default() {
            if let Some(due) = self.due.get_mut(&source) {
                due.remove(&(at, policy.into(), key));
            }
        }
    }

    /// Number of timers, over all policies.
    pub fn len(&self) -> usize {
        self.policies.values().map(HashMap::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_one_timer_of_a_policy() {
        let mut timers = Timers::default();
        let (policy, key): (Arc<str>, Key) = ("p".into(), b"k".as_slice().into());
        let due = |timers: &Timers, source, until| timers.due(source, until).count();
        timers.set(&policy, key.clone(), Some(Timer { at: 5, source: 1 }));
        assert_eq!((due(&timers, 1, 4), due(&timers, 1, 5), due(&timers, 2, 5)), (0, 1, 0));
        timers.set(&policy, key.clone(), Some(Timer { at: 9, source: 2 }));
        assert_eq!((due(&timers, 1, 9), due(&timers, 2, 9), timers.len()), (0, 1, 1));
        assert_eq!(timers.get("p", &key), Some(Timer { at: 9, source: 2 }));
        timers.set(&policy, key.clone(), None);
        assert_eq!((due(&timers, 2, 9), timers.len()), (0, 0));
        timers.set(&policy, key.clone(), Some(Timer { at: 9, source: 2 }));
        timers.forget("p");
        assert_eq!((timers.get("p", &key), due(&timers, 2, 9)), (None, 0));
    }
}
