//! How destinations stand: for people, and counted.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use schemars::JsonSchema;
use serde::Serialize;
use time::OffsetDateTime;
use tokio::sync::watch;

/// A destination as it stands.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct DestinationStatus {
    /// Its name.
    pub destination: String,
    /// `webhook`, `file` or `otlp-logs`.
    pub kind: &'static str,
    /// The last entry that it was told, or that is not for it.
    pub through: u64,
    /// Entries behind that one.
    pub lag: u64,
    /// Why it is told nothing right now.
    pub problem: Option<Problem>,
}

/// Why a destination is told nothing right now.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "DestinationProblem")]
pub struct Problem {
    /// For whoever has to mend it.
    pub message: String,
    /// Since when attempts fail.
    #[serde(with = "time::serde::rfc3339")]
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub since: OffsetDateTime,
    /// When the next attempt is; absent if there is none before a restart.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub next: Option<OffsetDateTime>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DestinationLabel {
    destination: String,
}

/// What is counted of all destinations.
#[derive(Debug, Clone, Default)]
pub(super) struct Counters {
    delivered: Family<DestinationLabel, Counter>,
    retried: Family<DestinationLabel, Counter>,
    dead: Family<DestinationLabel, Counter>,
}

impl Counters {
    pub fn register(&self, standings: &[Arc<Standing>], registry: &mut Registry) {
        registry.register("outgoing_delivered", "Verdicts that a destination has taken", self.delivered.clone());
        registry.register("outgoing_retried", "Attempts to tell a destination that failed and are made again", self.retried.clone());
        registry.register("outgoing_dead", "Verdicts that a destination will not take, which were left out", self.dead.clone());
        registry.register_collector(Box::new(Lags(standings.to_vec())));
    }
}

/// One destination as it stands, for several tasks.
pub(super) struct Standing {
    label: DestinationLabel,
    kind: &'static str,
    /// The sequence that is looked at next.
    next: AtomicU64,
    durable: watch::Receiver<u64>,
    problem: Mutex<Option<Problem>>,
    counters: Counters,
}

impl fmt::Debug for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Standing").field(&self.label.destination).finish()
    }
}

impl Standing {
    pub fn new(name: &str, kind: &'static str, next: u64, durable: watch::Receiver<u64>, counters: Counters) -> Self {
        let label = DestinationLabel { destination: name.to_string() };
        // A series that begins with the first error hides it.
        for counter in [&counters.delivered, &counters.retried, &counters.dead] {
            drop(counter.get_or_create(&label));
        }
        Standing { label, kind, next: AtomicU64::new(next), durable, problem: Mutex::default(), counters }
    }

    fn name(&self) -> &str {
        &self.label.destination
    }

    pub fn moved(&self, next: u64) {
        self.next.store(next, Ordering::Relaxed);
    }

    pub fn delivered(&self, verdicts: u64) {
        self.counters.delivered.get_or_create(&self.label).inc_by(verdicts);
    }

    pub fn retried(&self) {
        self.counters.retried.get_or_create(&self.label).inc();
    }

    pub fn dead(&self, verdicts: u64) {
        self.counters.dead.get_or_create(&self.label).inc_by(verdicts);
    }

    /// An attempt failed; the next one is so much later, if there is one. Said once, until
    /// one succeeds.
    pub fn down(&self, message: &str, wait: Option<Duration>) {
        let mut problem = self.problem.lock().unwrap_or_else(PoisonError::into_inner);
        if problem.is_none() {
            let (destination, kind) = (self.name(), self.kind);
            match wait {
                Some(_) => tracing::warn!(destination, kind, problem = message, "A destination takes no verdicts; they are told later"),
                None => tracing::error!(
                    destination,
                    kind,
                    problem = message,
                    "A destination wants no verdicts any more; the next start tries again"
                ),
            }
        }
        let now = OffsetDateTime::now_utc();
        let since = problem.as_ref().map_or(now, |problem| problem.since);
        let next = wait.and_then(|wait| now.checked_add(wait.try_into().ok()?));
        *problem = Some(Problem { message: message.to_string(), since, next });
    }

    /// An attempt succeeded.
    pub fn up(&self) {
        let mut problem = self.problem.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(problem) = problem.take() {
            let s = (OffsetDateTime::now_utc() - problem.since).whole_seconds();
            tracing::info!(destination = self.name(), kind = self.kind, after_s = s, "A destination takes verdicts again");
        }
    }

    pub fn status(&self) -> DestinationStatus {
        let problem = self.problem.lock().unwrap_or_else(PoisonError::into_inner).clone();
        DestinationStatus {
            destination: self.name().to_string(),
            kind: self.kind,
            through: self.next.load(Ordering::Relaxed).saturating_sub(1),
            lag: self.lag(),
            problem,
        }
    }

    fn lag(&self) -> u64 {
        (*self.durable.borrow() + 1).saturating_sub(self.next.load(Ordering::Relaxed))
    }
}

/// Lags as they are when they are asked for: that of a destination that is down grows
/// without it.
#[derive(Debug)]
struct Lags(Vec<Arc<Standing>>);

impl Collector for Lags {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Entries that a destination was not told yet";
        let mut metric = encoder.encode_descriptor("outgoing_lag_entries", help, None, MetricType::Gauge)?;
        for standing in &self.0 {
            let lag = ConstGauge::new(i64::try_from(standing.lag()).unwrap_or(i64::MAX));
            lag.encode(metric.encode_family(&standing.label)?)?;
        }
        Ok(())
    }
}
