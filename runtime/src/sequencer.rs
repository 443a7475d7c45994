//! One order for everything: events in the order they were submitted, changes of
//! policies between two batches.
//!
//! Knows nothing of what events say.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::event::Event;
use crate::ledger::Answer;
use crate::trace::Traced;

/// Bounds on what waits and on what is evaluated together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Limits {
    /// Events that may wait or be under evaluation. Beyond it a request is
    /// refused with a time to come back, and a stream waits.
    #[schemars(range(min = 1, max = 1u64 << 31))]
    pub queue_events_max: usize,
    /// Bytes of the events that wait or are under evaluation.
    #[schemars(range(min = 1 << 10, max = 1u64 << 41))]
    pub queue_bytes_max: usize,
    /// A batch is closed once it has so many events. It may have more by what
    /// came in one submission: those stay together.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub batch_events_max: usize,
    /// A batch is closed once its events have so many bytes.
    // Offsets into a batch's text have 32 bits.
    #[schemars(range(min = 1, max = 1 << 30))]
    pub batch_bytes_max: usize,
    /// Bytes of keys and states of one policy, wherever they are. Beyond it, events of
    /// keys that have no state yet get a fault.
    #[schemars(range(min = 1 << 10, max = 1u64 << 40))]
    pub state_bytes_max: usize,
    /// Bytes that keys and states of all policies take in memory, if there is a ledger.
    /// The others stay in its journal only, and are read from there when their keys
    /// come again; each takes some 45 bytes of memory beyond this. What is not durable
    /// yet is in memory in any case. What is said of an event never depends on it.
    #[schemars(range(min = 0, max = 1u64 << 40))]
    pub state_memory_bytes_max: usize,
    /// Threads that project and evaluate; 0 for as many as there are cores.
    #[schemars(range(min = 0, max = 1_000))]
    pub threads: usize,
    /// Seconds of event time that the watermark of a source is behind its latest
    /// event. An event from before the watermark is late.
    #[schemars(range(min = 0, max = 3_162_240_000u64))]
    pub lateness_s: u64,
    /// Seconds within which something new is to come of a source, by its name or by a
    /// pattern in which `*` stands for any run of characters; the whole name counts
    /// before patterns, a longer pattern before a shorter one. A source that is silent
    /// for longer is noted in the ledger; one that is declared by its name also if it
    /// was never heard of.
    #[schemars(extend(
        "additionalProperties" = {"type": "integer", "minimum": 1, "maximum": 31_622_400},
        "propertyNames" = {"minLength": 1, "maxLength": 4096},
        "examples" = [{"/fleet/*": 300, "/shop": 60}],
    ))]
    pub heartbeats: BTreeMap<String, u64>,
    /// Steps that verdict events may be from what came from outside; 0 for none. With 1
    /// there are events about verdicts on what a platform sends, with 2 also about
    /// verdicts on these. They are made only while a release asks about their type, and
    /// need a ledger.
    #[schemars(range(min = 0, max = 16))]
    pub verdict_depth_max: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            queue_events_max: 32_768,
            queue_bytes_max: 64 << 20,
            batch_events_max: 2_048,
            batch_bytes_max: 4 << 20,
            state_bytes_max: 1 << 30,
            state_memory_bytes_max: 256 << 20,
            threads: 0,
            lateness_s: 60,
            heartbeats: BTreeMap::new(),
            verdict_depth_max: 1,
        }
    }
}

/// Permits count bytes in units of this size, for a semaphore counts in 32 bits.
const BYTES_PER_PERMIT: usize = 1 << 10;

/// Events that were submitted together, on their way to a verdict.
pub(crate) struct Submission {
    pub events: Vec<Event>,
    pub bytes: usize,
    pub reply: oneshot::Sender<(Vec<Event>, Vec<Answer>)>,
    /// When it was submitted.
    pub submitted: Instant,
    /// Whoever follows it; mostly nobody.
    pub traced: Option<Box<Traced>>,
    /// Gives the room back when the submission is gone, answered or not: not
    /// when whoever submitted it stops waiting. Absent for what was never in the queue.
    _room: Option<[OwnedSemaphorePermit; 2]>,
}

impl Submission {
    /// The runtime's own events. They do not go through the queue, so they need no room in
    /// it, and nobody waits for their verdicts.
    pub fn own(events: Vec<Event>) -> Self {
        let bytes = events.iter().map(Event::size).sum();
        Submission { events, bytes, reply: oneshot::channel().0, submitted: Instant::now(), traced: None, _room: None }
    }
}

/// What the spine gets to do, in order.
pub(crate) enum Item<C> {
    Events(Submission),
    /// A change of the policies, or a question to their owner.
    Change(C),
}

/// What the spine does next.
pub(crate) enum Step<C> {
    Batch(Vec<Submission>),
    Change(C),
}

/// The queue has no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

/// The spine has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the runtime has stopped")]
pub struct Stopped;

/// The end of the queue that takes in.
pub(crate) struct Entrance<C> {
    sender: mpsc::UnboundedSender<Item<C>>,
    events: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    limits: Limits,
}

/// Hands in changes, and does not keep the queue open.
pub(crate) struct WeakEntrance<C>(mpsc::WeakUnboundedSender<Item<C>>);

impl<C> WeakEntrance<C> {
    /// Hands in a change; it takes effect behind everything submitted before it.
    pub fn change(&self, change: C) -> Result<(), Stopped> {
        let sender = self.0.upgrade().ok_or(Stopped)?;
        sender.send(Item::Change(change)).map_err(|_| Stopped)
    }
}

/// The end of the queue that gives out.
pub(crate) struct Sequencer<C> {
    receiver: mpsc::UnboundedReceiver<Item<C>>,
    /// A change that came behind the events of the batch before it.
    held: Option<C>,
    limits: Limits,
}

/// Microseconds since the Unix epoch.
pub(crate) fn now_micros() -> i64 {
    #[cfg(test)]
    if let Some(told) = TOLD.get() {
        return told;
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
thread_local! {
    /// For the simulation: what time it is on this thread.
    pub(crate) static TOLD: std::cell::Cell<Option<i64>> = const { std::cell::Cell::new(None) };
}

/// Makes a queue. The channel itself has no bound: the semaphores bound what is
/// in it, in events and in bytes.
pub(crate) fn queue<C>(limits: &Limits) -> (Entrance<C>, Sequencer<C>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let entrance = Entrance {
        sender,
        events: Arc::new(Semaphore::new(limits.queue_events_max)),
        bytes: Arc::new(Semaphore::new(limits.queue_bytes_max / BYTES_PER_PERMIT)),
        limits: limits.clone(),
    };
    (entrance, Sequencer { receiver, held: None, limits: limits.clone() })
}

pub(crate) type Reply = oneshot::Receiver<(Vec<Event>, Vec<Answer>)>;

impl<C> Entrance<C> {
    /// Permits for so many events and bytes; never more than there are, so that
    /// a submission beyond the bound goes alone instead of never.
    fn needed(&self, events: usize, bytes: usize) -> (u32, u32) {
        let units = bytes.div_ceil(BYTES_PER_PERMIT).min(self.limits.queue_bytes_max / BYTES_PER_PERMIT);
        (events.min(self.limits.queue_events_max) as u32, units as u32)
    }

    /// Waits for room.
    pub async fn submit(&self, events: Vec<Event>, traced: Option<Box<Traced>>) -> Result<Reply, Stopped> {
        let bytes = events.iter().map(Event::size).sum();
        let (count, units) = self.needed(events.len(), bytes);
        let one = self.events.clone().acquire_many_owned(count).await.map_err(|_| Stopped)?;
        let two = self.bytes.clone().acquire_many_owned(units).await.map_err(|_| Stopped)?;
        self.send(events, bytes, traced, [one, two])
    }

    /// Refuses if there is no room; gives the events back.
    pub fn try_submit(&self, events: Vec<Event>, traced: Option<Box<Traced>>) -> Result<Result<Reply, Stopped>, (Full, Vec<Event>)> {
        let bytes = events.iter().map(Event::size).sum();
        let (count, units) = self.needed(events.len(), bytes);
        let room = self.events.clone().try_acquire_many_owned(count);
        let room = room.and_then(|one| Ok([one, self.bytes.clone().try_acquire_many_owned(units)?]));
        match room {
            Ok(room) => Ok(self.send(events, bytes, traced, room)),
            Err(_) => Err((Full, events)),
        }
    }

    fn send(
        &self,
        mut events: Vec<Event>,
        bytes: usize,
        traced: Option<Box<Traced>>,
        room: [OwnedSemaphorePermit; 2],
    ) -> Result<Reply, Stopped> {
        let now = now_micros();
        for event in &mut events {
            event.arrived.get_or_insert(now);
        }
        let (reply, receiver) = oneshot::channel();
        let submission = Submission { events, bytes, reply, submitted: Instant::now(), traced, _room: Some(room) };
        self.sender.send(Item::Events(submission)).map_err(|_| Stopped)?;
        Ok(receiver)
    }

    /// Hands in a change; it takes effect behind everything submitted before it.
    pub fn change(&self, change: C) -> Result<(), Stopped> {
        self.sender.send(Item::Change(change)).map_err(|_| Stopped)
    }

    /// A handle for changes that does not keep the queue open.
    pub fn weak(&self) -> WeakEntrance<C> {
        WeakEntrance(self.sender.downgrade())
    }

    /// Whether the spine has ended.
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Events that wait or are under evaluation.
    pub fn waiting(&self) -> usize {
        self.limits.queue_events_max - self.events.available_permits()
    }

    /// Their bytes, in steps of a kibibyte.
    pub fn waiting_bytes(&self) -> usize {
        (self.limits.queue_bytes_max / BYTES_PER_PERMIT - self.bytes.available_permits()) * BYTES_PER_PERMIT
    }
}

impl<C> Sequencer<C> {
    /// Whether [`Sequencer::next`] would wait.
    #[cfg(test)]
    pub fn is_idle(&self) -> bool {
        self.held.is_none() && self.receiver.is_empty()
    }

    /// Waits for what comes next: a change, or a batch of the events that wait.
    /// `None` once everybody who could submit is gone and nothing is left.
    pub fn next(&mut self) -> Option<Step<C>> {
        if let Some(change) = self.held.take() {
            return Some(Step::Change(change));
        }
        let first = match self.receiver.blocking_recv()? {
            Item::Change(change) => return Some(Step::Change(change)),
            Item::Events(submission) => submission,
        };
        let (mut events, mut bytes) = (first.events.len(), first.bytes);
        let mut batch = vec![first];
        while events < self.limits.batch_events_max && bytes < self.limits.batch_bytes_max {
            match self.receiver.try_recv() {
                Ok(Item::Events(submission)) => {
                    events += submission.events.len();
                    bytes += submission.bytes;
                    batch.push(submission);
                }
                Ok(Item::Change(change)) => {
                    self.held = Some(change);
                    break;
                }
                Err(_) => break,
            }
        }
        Some(Step::Batch(batch))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest;

    fn events(count: usize) -> Vec<Event> {
        let event = |n: usize| {
            let text = format!(r#"{{"specversion":"1.0","id":"{n}","source":"/s","type":"t"}}"#);
            ingest::structured(text.as_bytes(), &ingest::Limits::default()).expect("a valid event")
        };
        (0..count).map(event).collect()
    }

    #[test]
    fn a_change_stands_between_what_came_before_and_after_it() {
        let (entrance, mut sequencer) = queue(&Limits::default());
        for _ in 0..2 {
            entrance.try_submit(events(3), None).expect("room").expect("running");
        }
        entrance.change("swap").expect("running");
        entrance.try_submit(events(1), None).expect("room").expect("running");
        drop(entrance);
        let mut seen = Vec::new();
        while let Some(step) = sequencer.next() {
            seen.push(match step {
                Step::Batch(batch) => batch.iter().map(|s| s.events.len()).sum::<usize>().to_string(),
                Step::Change(change) => change.to_string(),
            });
        }
        assert_eq!(seen, ["6", "swap", "1"]);
    }

    #[test]
    fn a_full_queue_refuses_until_a_submission_is_gone() {
        let limits = Limits { queue_events_max: 4, ..Limits::default() };
        let (entrance, mut sequencer) = queue::<()>(&limits);
        entrance.try_submit(events(3), None).expect("room").expect("running");
        let (_, back) = entrance.try_submit(events(2), None).expect_err("full");
        assert_eq!(back.len(), 2);
        assert_eq!(entrance.waiting(), 3);
        drop(sequencer.next());
        entrance.try_submit(back, None).expect("room again").expect("running");
        drop(sequencer.next());
        entrance.try_submit(events(9), None).expect("more than the bound goes alone").expect("running");
    }

    #[test]
    fn batches_are_bounded() {
        let limits = Limits { batch_events_max: 4, ..Limits::default() };
        let (entrance, mut sequencer) = queue::<()>(&limits);
        for _ in 0..4 {
            entrance.try_submit(events(3), None).expect("room").expect("running");
        }
        for _ in 0..2 {
            assert!(matches!(sequencer.next(), Some(Step::Batch(batch)) if batch.len() == 2));
        }
    }
}
