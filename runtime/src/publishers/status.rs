//! What is known of publishers: for people, and counted.

use std::fmt;
use std::sync::{Arc, PoisonError, Weak};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::{Registry, Unit};
use schemars::JsonSchema;
use serde::Serialize;
use time::OffsetDateTime;

use super::Publishers;
use crate::digest::Digest;
use crate::repository::Published;

/// A publisher as it stands.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "Publisher")]
pub struct PublisherStatus {
    /// Its name.
    pub publisher: String,
    /// Where its repository is.
    pub repository: String,
    /// Version of the snapshot that was taken last.
    pub snapshot: Option<u64>,
    /// When it was looked into last with success.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub checked: Option<OffsetDateTime>,
    /// Until when what was taken holds.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub expires: Option<OffsetDateTime>,
    /// Seconds for which it has been out of date; zero if it is not.
    pub stale_s: u64,
    /// Why the last look failed.
    pub problem: Option<Problem>,
    /// Releases that were not taken.
    pub refused: Vec<Refused>,
    /// Releases that wait for their time.
    pub pending: Vec<Pending>,
}

/// Why a repository is not followed right now.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "RepositoryProblem")]
pub struct Problem {
    /// For machines.
    pub code: &'static str,
    /// For the publisher, who has to mend it.
    pub message: String,
    /// Since when looks have failed.
    #[serde(with = "time::serde::rfc3339")]
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub since: OffsetDateTime,
}

/// A release that was not taken.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "RefusedRelease")]
pub struct Refused {
    /// The policy's full name.
    pub policy: String,
    /// The release's version.
    pub version: String,
    /// Digest of its statement.
    pub statement: Digest,
    /// For machines.
    pub code: &'static str,
    /// For the publisher, who has to mend it.
    pub message: String,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub at: OffsetDateTime,
}

/// A release that waits for its time.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "PendingRelease")]
pub struct Pending {
    /// The policy's full name.
    pub policy: String,
    /// The release's version.
    pub version: String,
    /// When it is put in force.
    #[serde(with = "time::serde::rfc3339")]
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub valid_from: OffsetDateTime,
}

pub(super) fn refused(publisher: &str, release: &Published, code: &'static str, message: String, at: OffsetDateTime) -> Refused {
    let policy = format!("{publisher}/{}", release.statement.policy);
    Refused { policy, version: release.statement.version.to_string(), statement: release.digest, code, message, at }
}

impl Publishers {
    /// How each publisher stands.
    pub fn status(&self) -> Vec<PublisherStatus> {
        let now = OffsetDateTime::now_utc();
        let of = |(name, followed): (&String, &super::Followed)| {
            let seen = followed.seen.lock().unwrap_or_else(PoisonError::into_inner);
            let stale = seen.expires.map_or(0, |expires| (seen.latest(now) - expires).whole_seconds().max(0));
            PublisherStatus {
                publisher: name.clone(),
                repository: followed.settled.repository.clone(),
                snapshot: seen.snapshot,
                checked: seen.checked.map(|checked| checked.at),
                expires: seen.expires,
                stale_s: u64::try_from(stale).unwrap_or_default(),
                problem: seen.problem.clone(),
                refused: seen.refused.values().cloned().collect(),
                pending: seen.pending.clone(),
            }
        };
        self.followed.iter().map(of).collect()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PublisherLabel {
    publisher: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CodeLabel {
    publisher: String,
    code: &'static str,
}

/// What is counted.
#[derive(Debug, Default)]
pub(super) struct Counters {
    refused: Family<CodeLabel, Counter>,
    failed: Family<CodeLabel, Counter>,
    stale: Family<PublisherLabel, Gauge>,
}

impl Counters {
    pub fn register(&self, registry: &mut Registry) {
        registry.register("releases_refused", "Releases of publishers that were not taken", self.refused.clone());
        registry.register("repository_failures", "Looks into a repository that failed", self.failed.clone());
        registry.register("publisher_stale", "Whether what a publisher says is out of date", self.stale.clone());
    }

    pub fn refused(&self, publisher: &str, code: &'static str) {
        self.refused.get_or_create(&CodeLabel { publisher: publisher.into(), code }).inc();
    }

    pub fn failed(&self, publisher: &str, code: &'static str) {
        self.failed.get_or_create(&CodeLabel { publisher: publisher.into(), code }).inc();
    }

    pub fn stale(&self, publisher: &str, is_stale: bool) {
        self.stale.get_or_create(&PublisherLabel { publisher: publisher.into() }).set(is_stale.into());
    }
}

/// How old what is known of publishers is, whenever somebody looks.
#[derive(Debug)]
pub(super) struct Ages(Weak<Publishers>);

impl Ages {
    pub fn register(publishers: &Arc<Publishers>) {
        let ages = Ages(Arc::downgrade(publishers));
        publishers.runtime.stats().register(|registry| registry.register_collector(Box::new(ages)));
    }

    fn each(&self, mut encoder: MetricEncoder<'_>, seconds: impl Fn(&super::Seen, super::Moment) -> f64) -> fmt::Result {
        let Some(publishers) = self.0.upgrade() else { return Ok(()) };
        let now = super::Moment::now();
        for (name, followed) in &publishers.followed {
            let seen = followed.seen.lock().unwrap_or_else(PoisonError::into_inner);
            let label = PublisherLabel { publisher: name.clone() };
            ConstGauge::new(seconds(&seen, now)).encode(encoder.encode_family(&label)?)?;
        }
        Ok(())
    }
}

impl Collector for Ages {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let began = self.0.upgrade().map(|publishers| publishers.began);
        let (name, help) = ("publisher_unseen", "Seconds since a publisher's repository was looked into with success, or since the start");
        let unseen = encoder.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Gauge)?;
        self.each(unseen, |seen, now| {
            let looked = seen.checked.or(began).unwrap_or(now);
            now.instant.duration_since(looked.instant).as_secs_f64()
        })?;
        let (name, help) = ("publisher_expires_in", "Seconds for which what a publisher says still holds; below zero it is out of date");
        let expires = encoder.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Gauge)?;
        self.each(expires, |seen, now| match seen.expires {
            Some(expires) => (expires - seen.latest(now.at)).as_seconds_f64(),
            None => 0.0,
        })
    }
}
