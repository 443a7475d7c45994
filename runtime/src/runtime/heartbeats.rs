//! Completeness over time: which sources have fallen silent for longer than their
//! heartbeat.
//!
//! Only new events count: what comes again leaves no entry, and what is found here has
//! to be found again from the entries alone.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::change::Change;
use crate::policy::manifest::matches;
use crate::sequencer::{Stopped, WeakEntrance, now_micros};

/// Heartbeats are looked after so often: they are whole seconds.
const TICK: Duration = Duration::from_secs(1);

/// Silences that are noted in one step; more come with the next.
const NOTED_MAX: usize = 4_096;

/// Bytes of the longest name that a source can have. A longer one is of no source.
const NAME_BYTES_MAX: usize = 4 << 10;

const SECOND: i64 = 1_000_000;

/// A source that fell silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Silence {
    pub source: u32,
    /// When its latest event arrived, in microseconds since 1970.
    pub last: Option<i64>,
    /// In seconds.
    pub heartbeat: u64,
}

/// What is known of a source.
#[derive(Debug, Clone, Copy, Default)]
enum Seen {
    #[default]
    Never,
    /// It has no heartbeat.
    Free,
    Watched(Watched),
}

#[derive(Debug, Clone, Copy)]
struct Watched {
    /// In seconds.
    heartbeat: u64,
    last: Option<i64>,
    /// From when on its silence counts, if that is later than for all: its heartbeat was
    /// declared while others were listened for.
    since: Option<i64>,
    /// An entry says that it is silent.
    is_noted: bool,
}

/// Listens for sources.
#[derive(Debug, Default)]
pub(super) struct Heartbeats {
    /// Seconds, by name or pattern.
    declared: BTreeMap<String, u64>,
    /// By index of the source.
    sources: Vec<Seen>,
    /// When to look after a source again, the earliest first. Each that is watched and
    /// not silent stands here.
    due: BinaryHeap<Reverse<(i64, u32)>>,
    /// From when on silence counts: before, nobody listened.
    since: Option<i64>,
    silent: u64,
}

impl Heartbeats {
    /// Nothing was heard yet. Seconds are by a source's name, or by a pattern in which
    /// `*` stands for any run of characters.
    pub fn new(declared: &BTreeMap<String, u64>) -> Self {
        Heartbeats { declared: usable(declared), ..Heartbeats::default() }
    }

    /// Whether there is anything to listen for.
    pub fn is_on(&self) -> bool {
        !self.declared.is_empty()
    }

    /// A new event of a source has arrived.
    pub fn heard(&mut self, source: u32, name: &str, arrived: i64) {
        if let Some(watched) = self.watched(source, name) {
            let was_noted = std::mem::take(&mut watched.is_noted);
            let is_first = watched.last.is_none();
            watched.last = watched.last.max(Some(arrived));
            let heartbeat = watched.heartbeat;
            self.silent -= u64::from(was_noted);
            if was_noted || is_first {
                self.look_after(source, arrived, heartbeat);
            }
        }
    }

    /// It was recorded that a source is silent.
    pub fn noted(&mut self, source: u32, name: &str) {
        if let Some(watched) = self.watched(source, name)
            && !std::mem::replace(&mut watched.is_noted, true)
        {
            self.silent += 1;
        }
    }

    /// Begins to listen, at this time. What was heard before is known; sources that are
    /// declared by their whole name are listened for from now on, by their indices.
    pub fn start(&mut self, now: i64, mut source: impl FnMut(&str) -> u32) {
        self.due.clear();
        self.since = Some(now);
        for name in self.declared.keys().filter(|name| !name.contains('*')).cloned().collect::<Vec<_>>() {
            self.watched(source(&name), &name);
        }
        for source in 0..self.sources.len() {
            if let Seen::Watched(Watched { heartbeat, last, is_noted: false, .. }) = self.sources[source] {
                self.look_after(source as u32, last.unwrap_or(now), heartbeat);
            }
        }
    }

    /// Declares others, at this time; `names` has the names of all sources by index, those
    /// among them that are declared by their whole name. How long a source has been silent
    /// goes on counting, under its new heartbeat; one that had none is listened for from
    /// now on.
    pub fn declare(&mut self, declared: &BTreeMap<String, u64>, now: i64, names: &[Arc<str>]) {
        self.declared = usable(declared);
        self.due.clear();
        self.silent = 0;
        self.sources.resize(names.len().max(self.sources.len()), Seen::Never);
        for (source, name) in names.iter().enumerate() {
            let before = match self.sources[source] {
                Seen::Watched(watched) => watched,
                Seen::Never | Seen::Free => Watched { heartbeat: 0, last: None, since: Some(now), is_noted: false },
            };
            let Some(heartbeat) = self.heartbeat(name) else {
                self.sources[source] = Seen::Free;
                continue;
            };
            self.sources[source] = Seen::Watched(Watched { heartbeat, ..before });
            self.silent += u64::from(before.is_noted);
            if !before.is_noted {
                self.look_after(source as u32, before.last.max(before.since).unwrap_or(now), heartbeat);
            }
        }
    }

    /// Sources that have fallen silent by this time and were not noted yet.
    pub fn silences(&mut self, now: i64) -> Vec<Silence> {
        let mut found = Vec::new();
        while found.len() < NOTED_MAX
            && let Some(Reverse((due, source))) = self.due.peek().copied()
            && due < now
        {
            self.due.pop();
            let Some(Seen::Watched(watched)) = self.sources.get_mut(source as usize) else { continue };
            if watched.is_noted {
                continue;
            }
            let Watched { heartbeat, last, since, .. } = *watched;
            let deadline = deadline(last.max(since).max(self.since).unwrap_or(now), heartbeat);
            if deadline < now {
                watched.is_noted = true;
                self.silent += 1;
                found.push(Silence { source, last, heartbeat });
            } else {
                self.due.push(Reverse((deadline, source)));
            }
        }
        found
    }

    /// Sources that are silent.
    pub fn silent(&self) -> u64 {
        self.silent
    }

    fn look_after(&mut self, source: u32, from: i64, heartbeat: u64) {
        if let Some(since) = self.since {
            self.due.push(Reverse((deadline(from.max(since), heartbeat), source)));
        }
    }

    fn watched(&mut self, source: u32, name: &str) -> Option<&mut Watched> {
        if !self.is_on() {
            return None;
        }
        let at = source as usize;
        if at >= self.sources.len() {
            self.sources.resize(at + 1, Seen::Never);
        }
        if let Seen::Never = self.sources[at] {
            let watched = self.heartbeat(name).map(|heartbeat| Watched { heartbeat, last: None, since: None, is_noted: false });
            self.sources[at] = watched.map_or(Seen::Free, Seen::Watched);
        }
        match &mut self.sources[at] {
            Seen::Watched(watched) => Some(watched),
            Seen::Never | Seen::Free => None,
        }
    }

    /// The heartbeat of a source: by its whole name, or else by the longest pattern.
    fn heartbeat(&self, name: &str) -> Option<u64> {
        let by_pattern = || self.declared.iter().filter(|(pattern, _)| matches(pattern, name)).max_by_key(|(pattern, _)| pattern.len());
        self.declared.get(name).or_else(|| by_pattern().map(|(_, seconds)| seconds)).copied()
    }
}

fn usable(declared: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    declared.iter().filter(|(name, _)| name.len() <= NAME_BYTES_MAX).map(|(name, seconds)| (name.clone(), *seconds)).collect()
}

/// When a source is silent of which nothing came since `from`.
fn deadline(from: i64, heartbeat: u64) -> i64 {
    from.saturating_add(i64::try_from(heartbeat).unwrap_or(i64::MAX).saturating_mul(SECOND))
}

/// The time as a step in the order of everything. The next is made when this one is gone.
pub(super) struct Tick {
    /// Microseconds since 1970.
    pub now: i64,
    waiting: Arc<AtomicBool>,
}

impl Tick {
    /// For the simulation: it is this time now.
    #[cfg(test)]
    pub fn at(now: i64) -> Self {
        Tick { now, waiting: Arc::default() }
    }
}

impl Drop for Tick {
    fn drop(&mut self) {
        self.waiting.store(false, Ordering::Release);
    }
}

/// Hands the time to the spine, until nobody can submit anything any more.
pub(super) fn tick(entrance: WeakEntrance<Change>) -> io::Result<()> {
    let waiting = Arc::new(AtomicBool::new(false));
    let run = move || {
        loop {
            thread::sleep(TICK);
            if waiting.swap(true, Ordering::AcqRel) {
                continue;
            }
            let tick = Tick { now: now_micros(), waiting: waiting.clone() };
            if let Err(Stopped) = entrance.change(Change::Tick(tick)) {
                return;
            }
        }
    };
    thread::Builder::new().name("heartbeats".into()).spawn(run).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listening(declared: &[(&str, u64)]) -> Heartbeats {
        Heartbeats::new(&declared.iter().map(|(name, seconds)| ((*name).to_string(), *seconds)).collect())
    }

    fn found(heartbeats: &mut Heartbeats, seconds: i64) -> Vec<(u32, Option<i64>)> {
        let silences = heartbeats.silences(seconds * SECOND);
        silences.iter().map(|silence| (silence.source, silence.last.map(|last| last / SECOND))).collect()
    }

    #[test]
    fn a_silence_is_found_once_and_ends_with_the_next_event() {
        let mut heartbeats = listening(&[("/a", 10), ("/b*", 100)]);
        heartbeats.start(0, |name| {
            assert_eq!(name, "/a", "a pattern is no source");
            0
        });
        for (source, name) in [(0, "/a"), (1, "/b1"), (2, "/c")] {
            heartbeats.heard(source, name, SECOND);
        }
        assert_eq!(found(&mut heartbeats, 11), [], "not longer than its heartbeat");
        heartbeats.heard(0, "/a", 5 * SECOND);
        assert_eq!(found(&mut heartbeats, 15), []);
        assert_eq!(found(&mut heartbeats, 16), [(0, Some(5))]);
        assert_eq!((found(&mut heartbeats, 17), heartbeats.silent()), (vec![], 1), "noted once");
        heartbeats.heard(0, "/a", 40 * SECOND);
        assert_eq!((found(&mut heartbeats, 50), heartbeats.silent()), (vec![], 0));
        assert_eq!(found(&mut heartbeats, 51), [(0, Some(40))], "another silence");
        assert_eq!(found(&mut heartbeats, 1_000), [(1, Some(1))], "what has no heartbeat is never silent");
        assert_eq!(heartbeats.silent(), 2);
    }

    #[test]
    fn what_is_known_from_before_the_start_is_not_noted_again() {
        let mut heartbeats = listening(&[("*", 10), ("/never", 5)]);
        heartbeats.heard(0, "/silent", SECOND);
        heartbeats.noted(0, "/silent");
        heartbeats.heard(1, "/loud", SECOND);
        heartbeats.heard(2, "/back", SECOND);
        heartbeats.noted(2, "/back");
        heartbeats.heard(2, "/back", 2 * SECOND);
        heartbeats.start(1_000 * SECOND, |_| 3);
        assert_eq!((found(&mut heartbeats, 1_005), heartbeats.silent()), (vec![], 1), "while nobody listened, nothing was silent");
        assert_eq!(found(&mut heartbeats, 1_006), [(3, None)], "declared by its name, and never heard of");
        let mut late = found(&mut heartbeats, 1_011);
        late.sort_unstable();
        assert_eq!(late, [(1, Some(1)), (2, Some(2))]);
        assert_eq!(heartbeats.silent(), 4);
    }

    #[test]
    fn a_whole_name_comes_before_a_pattern_and_a_longer_pattern_before_a_shorter_one() {
        let heartbeats = listening(&[("*", 1), ("/fleet/*", 2), ("/fleet/7", 3)]);
        for (name, expected) in [("/fleet/7", 3), ("/fleet/71", 2), ("/shop", 1)] {
            assert_eq!(heartbeats.heartbeat(name), Some(expected), "{name}");
        }
        assert_eq!(listening(&[("/a", 1)]).heartbeat("/ab"), None);
        assert!(!listening(&[]).is_on() && !listening(&[(&"x".repeat(5_000), 1)]).is_on());
    }

    #[test]
    fn others_can_be_declared_while_it_listens() {
        let names: Vec<Arc<str>> = ["/a", "/b", "/new", "/free"].map(Arc::from).to_vec();
        let declare = |heartbeats: &mut Heartbeats, declared: &[(&str, u64)], seconds: i64| {
            let declared = declared.iter().map(|(name, seconds)| ((*name).to_string(), *seconds)).collect();
            heartbeats.declare(&declared, seconds * SECOND, &names);
        };
        let mut heartbeats = listening(&[("/a", 10), ("/b", 10)]);
        heartbeats.start(0, |name| u32::from(name == "/b"));
        heartbeats.heard(0, "/a", 5 * SECOND);
        heartbeats.heard(3, "/free", 5 * SECOND);
        assert_eq!(found(&mut heartbeats, 12), [(1, None)]);
        declare(&mut heartbeats, &[("/a", 5), ("/b", 5), ("/new", 10)], 12);
        assert_eq!((found(&mut heartbeats, 13), heartbeats.silent()), (vec![(0, Some(5))], 2), "its silence goes on counting");
        assert_eq!(found(&mut heartbeats, 22), [], "listened for since it was declared; noted ones are not noted again");
        assert_eq!((found(&mut heartbeats, 23), heartbeats.silent()), (vec![(2, None)], 3));
        declare(&mut heartbeats, &[("/b", 100)], 30);
        assert_eq!(heartbeats.silent(), 1, "what is not declared is not silent");
        heartbeats.heard(1, "/b", 40 * SECOND);
        assert_eq!((found(&mut heartbeats, 140), heartbeats.silent()), (vec![], 0));
        assert_eq!(found(&mut heartbeats, 141), [(1, Some(40))]);
        declare(&mut heartbeats, &[], 150);
        assert_eq!((heartbeats.is_on(), heartbeats.silent(), found(&mut heartbeats, 10_000)), (false, 0, vec![]));
    }

    #[test]
    fn many_silences_are_noted_in_several_steps() {
        let mut heartbeats = listening(&[("*", 1)]);
        heartbeats.start(0, |_| unreachable!("no whole names"));
        (0..5_000).for_each(|source| heartbeats.heard(source, &format!("/{source}"), 0));
        let counts = [(); 3].map(|()| heartbeats.silences(2 * SECOND).len());
        assert_eq!((counts, heartbeats.silent()), ([4_096, 904, 0], 5_000));
    }
}
