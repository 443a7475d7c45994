//! What the runtime counts, for `/metrics`. Labels come from closed sets: words
//! of this program, and names in the manifests of the policies in force. Never
//! anything of an event.

use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant, SystemTime};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::exemplar::HistogramWithExemplars;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::trace::{Context, Way};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct VerdictLabel {
    pub verdict: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct FindingLabel {
    pub policy: String,
    pub rule: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct FaultLabel {
    pub policy: String,
    pub fault: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct PolicyLabel {
    pub policy: String,
}

/// Without a policy where none is in force.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct BlindLabel {
    pub policy: String,
    pub cause: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct StageLabel {
    pub stage: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct DurabilityLabel {
    pub durability: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OutcomeLabel {
    pub outcome: &'static str,
}

/// On an example of a histogram's bucket: a request that somebody can look up.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct TraceLabel {
    pub trace_id: String,
}

/// A histogram of seconds whose buckets name a traced request.
pub(crate) type Seconds = HistogramWithExemplars<TraceLabel>;

/// A gauge of seconds.
pub(crate) type SecondsGauge = Gauge<f64, AtomicU64>;

/// The runtime's counters.
pub struct Stats {
    registry: Mutex<Registry>,
    /// What has a name without this program's before it.
    process: Mutex<Registry>,
    pub(crate) events: Family<VerdictLabel, Counter>,
    pub(crate) repeated: Family<OutcomeLabel, Counter>,
    pub(crate) findings: Family<FindingLabel, Counter>,
    pub(crate) faults: Family<FaultLabel, Counter>,
    pub(crate) blind_seconds: Counter,
    pub(crate) blind_events: Counter,
    pub(crate) policy_blind_seconds: Family<BlindLabel, Counter>,
    pub(crate) policy_blind_answers: Family<BlindLabel, Counter>,
    pub(crate) fuel: Family<PolicyLabel, Counter>,
    pub(crate) calls: Family<PolicyLabel, Counter>,
    pub(crate) batches: Histogram,
    pub(crate) batch_bytes: Histogram,
    pub(crate) stages: Family<StageLabel, Seconds, fn() -> Seconds>,
    pub(crate) policy_seconds: Family<PolicyLabel, Seconds, fn() -> Seconds>,
    pub(crate) submission_seconds: Seconds,
    pub(crate) late: Counter,
    pub(crate) unasked: Counter,
    pub(crate) watermark_lag: SecondsGauge,
    pub(crate) waiting: Gauge,
    pub(crate) waiting_bytes: Gauge,
    pub(crate) waiting_max: Gauge,
    pub(crate) waiting_bytes_max: Gauge,
    /// The sequence of the last entry that was made, durable or not.
    pub(crate) sequenced: AtomicU64,
    pub(crate) pending: Gauge,
    pub(crate) last_commit: SecondsGauge,
    pub(crate) failed: Gauge,
    pub(crate) policies: Gauge,
    pub(crate) state_keys: Gauge,
    pub(crate) state_reads: Counter,
    pub(crate) timers: Gauge,
    pub(crate) missing: Gauge,
    pub(crate) silent: Gauge,
    pub(crate) verdict_events: Family<OutcomeLabel, Counter>,
    pub(crate) durability: Family<DurabilityLabel, Gauge>,
    pub(crate) unsettled: Gauge,
    pub(crate) lost: Gauge,
    pub(crate) loads: Family<OutcomeLabel, Counter>,
    pub(crate) cache: Family<OutcomeLabel, Counter>,
}

/// A gauge whose value is somewhere else.
struct Watched<F> {
    name: &'static str,
    help: &'static str,
    read: F,
}

impl<F> fmt::Debug for Watched<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<F: Fn() -> u64 + Send + Sync + 'static> Collector for Watched<F> {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let gauge = ConstGauge::new((self.read)());
        gauge.encode(encoder.encode_descriptor(self.name, self.help, None, MetricType::Gauge)?)
    }
}

impl fmt::Debug for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stats").finish_non_exhaustive()
    }
}

/// From 50 microseconds to 1.6 seconds.
pub(crate) fn seconds() -> Seconds {
    Seconds::new(exponential_buckets(0.000_05, 2.0, 16))
}

/// Takes a time, with a request that it is an example of.
pub(crate) fn observe(seconds: &Seconds, took: Duration, example: Option<&Context>) {
    let label = example.map(|context| TraceLabel { trace_id: context.trace_id() });
    let at = label.as_ref().map(|_| SystemTime::now());
    seconds.observe(took.as_secs_f64(), label, at);
}

impl Stats {
    pub(crate) fn new() -> Self {
        let stats = Stats {
            registry: Mutex::new(Registry::with_prefix("ephor")),
            process: Mutex::default(),
            events: Family::default(),
            repeated: Family::default(),
            findings: Family::default(),
            faults: Family::default(),
            blind_seconds: Counter::default(),
            blind_events: Counter::default(),
            policy_blind_seconds: Family::default(),
            policy_blind_answers: Family::default(),
            fuel: Family::default(),
            calls: Family::default(),
            batches: Histogram::new(exponential_buckets(1.0, 4.0, 8)),
            batch_bytes: Histogram::new(exponential_buckets(1_024.0, 4.0, 8)),
            stages: Family::new_with_constructor(seconds as fn() -> Seconds),
            policy_seconds: Family::new_with_constructor(seconds as fn() -> Seconds),
            submission_seconds: seconds(),
            late: Counter::default(),
            unasked: Counter::default(),
            watermark_lag: SecondsGauge::default(),
            waiting: Gauge::default(),
            waiting_bytes: Gauge::default(),
            waiting_max: Gauge::default(),
            waiting_bytes_max: Gauge::default(),
            sequenced: AtomicU64::new(0),
            pending: Gauge::default(),
            last_commit: SecondsGauge::default(),
            failed: Gauge::default(),
            policies: Gauge::default(),
            state_keys: Gauge::default(),
            state_reads: Counter::default(),
            timers: Gauge::default(),
            missing: Gauge::default(),
            silent: Gauge::default(),
            verdict_events: Family::default(),
            durability: Family::default(),
            unsettled: Gauge::default(),
            lost: Gauge::default(),
            loads: Family::default(),
            cache: Family::default(),
        };
        stats.register(|registry| {
            registry.register("events", "Events that have a verdict, with those that verdict_events has as made", stats.events.clone());
            registry.register("repeated", "Events that were here before, or whose id was", stats.repeated.clone());
            registry.register("findings", "Findings of rules", stats.findings.clone());
            registry.register("faults", "Events on which a policy failed to answer", stats.faults.clone());
            registry.register(
                "blind_seconds",
                "Seconds in which events were judged that a policy in force had no part in, or by what is out of date",
                stats.blind_seconds.clone(),
            );
            registry.register("blind_events", "Events that were judged in the sense of blind_seconds", stats.blind_events.clone());
            registry.register(
                "policy_blind_seconds",
                "The seconds of blind_seconds, by policy and cause",
                stats.policy_blind_seconds.clone(),
            );
            registry.register(
                "policy_blind_answers",
                "Events and timers judged in the sense of blind_seconds, by policy and cause",
                stats.policy_blind_answers.clone(),
            );
            registry.register("policy_fuel", "Fuel that a policy used", stats.fuel.clone());
            registry.register("policy_calls", "Calls of a policy", stats.calls.clone());
            registry.register("batch_events", "Events evaluated together", stats.batches.clone());
            registry.register("batch_bytes", "Bytes of the events evaluated together", stats.batch_bytes.clone());
            registry.register_with_unit("stage", "Time of a batch in one stage", Unit::Seconds, stats.stages.clone());
            registry.register_with_unit("policy_call", "Time of a call of a policy", Unit::Seconds, stats.policy_seconds.clone());
            registry.register_with_unit(
                "submission",
                "Time from when events were submitted together to their answers",
                Unit::Seconds,
                stats.submission_seconds.clone(),
            );
            registry.register("events_late", "Events from before the watermark of their source", stats.late.clone());
            registry.register("events_unasked", "Events of types that no policy in force asks about", stats.unasked.clone());
            registry.register_with_unit(
                "watermark_lag",
                "How far the watermark of a source was behind the clock: the largest in the last batch",
                Unit::Seconds,
                stats.watermark_lag.clone(),
            );
            registry.register("queue_events", "Events that wait or are under evaluation", stats.waiting.clone());
            registry.register("queue_bytes", "Bytes of the events that wait or are under evaluation", stats.waiting_bytes.clone());
            registry.register("queue_events_limit", "Events that may wait or be under evaluation", stats.waiting_max.clone());
            registry.register("queue_bytes_limit", "Bytes that they may have", stats.waiting_bytes_max.clone());
            registry.register("ledger_pending_entries", "Entries that wait for the disk", stats.pending.clone());
            registry.register_with_unit(
                "ledger_last_commit",
                "Time of the latest write and sync of the ledger",
                Unit::Seconds,
                stats.last_commit.clone(),
            );
            registry.register("ledger_failed", "1 once the disk has failed; nothing is taken any more", stats.failed.clone());
            registry.register("build", "This program", Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]));
            registry.register("policies", "Policies in force", stats.policies.clone());
            registry.register("state_keys", "Keys that have a state", stats.state_keys.clone());
            registry.register("state_reads", "States that were read from the ledger", stats.state_reads.clone());
            registry.register("timers", "Keys that want to be woken", stats.timers.clone());
            registry.register("missing_events", "Events that sources have numbered and that did not come", stats.missing.clone());
            registry.register("silent_sources", "Sources that are silent for longer than their heartbeat", stats.silent.clone());
            registry.register(
                "verdict_events",
                "Entries with findings, by whether an event about them was made or would have been beyond verdict-depth-max",
                stats.verdict_events.clone(),
            );
            registry.register("ledger_durability", "1 for what an answer means for the disk", stats.durability.clone());
            registry.register(
                "ledger_unsettled_entries",
                "Entries that were answered for and may not be on the disk yet (durability os)",
                stats.unsettled.clone(),
            );
            registry.register(
                "ledger_lost_bytes",
                "Bytes of the journal that a power cut had taken before this start (durability os)",
                stats.lost.clone(),
            );
            registry.register("loads", "Components that were to be put in force", stats.loads.clone());
            registry.register("compile_cache", "Look-ups of compiled code", stats.cache.clone());
        });
        stats
    }

    /// Adds metrics of another room to the same page.
    pub fn register(&self, add: impl FnOnce(&mut Registry)) {
        add(&mut self.registry.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    }

    /// Adds a gauge that is read whenever somebody looks.
    pub(crate) fn watch(&self, name: &'static str, help: &'static str, read: impl Fn() -> u64 + Send + Sync + 'static) {
        self.register(|registry| registry.register_collector(Box::new(Watched { name, help, read })));
    }

    /// Adds metrics of the process as a whole, whose names have nothing of ours before them.
    pub fn register_process(&self, add: impl FnOnce(&mut Registry)) {
        add(&mut self.process.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    }

    /// The page in the OpenMetrics text format.
    pub fn encode(&self) -> String {
        let mut page = String::new();
        for registry in [&self.registry, &self.process] {
            let registry = registry.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            // Writing to a string does not fail.
            let _ = text::encode_registry(&mut page, &registry);
        }
        let _ = text::encode_eof(&mut page);
        page
    }

    /// A stage of a batch has ended, which began then; also for whoever follows the batch.
    pub(crate) fn stage(&self, stage: &'static str, began: Instant, way: Option<&mut Way>) {
        let ended = Instant::now();
        let seconds = self.stages.get_or_create(&StageLabel { stage });
        observe(&seconds, ended - began, way.as_ref().map(|way| &way.example));
        if let Some(way) = way {
            way.stage(stage, began, ended);
        }
    }
}
