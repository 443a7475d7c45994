//! Verdicts to other systems: to a webhook, into a file, to a collector of OpenTelemetry.
//!
//! Each destination has a task that reads the ledger along ([`crate::runtime::Entries`]) and a
//! place in it that is kept over restarts. Nothing waits for a destination: one that is slow
//! or gone only falls behind, which the metrics, `/v1/status` and the log say. Each verdict is
//! told at least once, in the order of the ledger, and a receiver knows a repeat by its
//! `source` and `id`.
//!
//! `FORMAT.md` has what is told. Knows the runtime by its embedding API, and nothing of how
//! events come in.

mod courier;
mod cursor;
mod destination;
mod file;
mod http;
mod otlp;
mod private;
mod secret;
mod select;
mod status;
mod webhook;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::runtime::{Entries, Runtime};
use courier::{Carrier, Courier};
use cursor::Cursor;
use file::Lines;
use http::Endpoint;
use secret::Place;
use select::Selection;
use status::{Counters, Standing};

pub(crate) use destination::problems;
pub use destination::{Begin, Destination, File, OtlpLogs, Webhook};
pub use status::{DestinationStatus, Problem};

/// Bytes of a file of dead letters, and how many of them are kept.
const DEAD: (u64, u32) = (64 << 20, 10);

/// A destination cannot be told anything at all.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is nothing to tell from.
    #[error("verdicts are told from the ledger, and there is none without a data directory")]
    NoLedger,
    /// Its folder is of no use.
    #[error("{}: {source}", folder.display())]
    Folder {
        /// Which.
        folder: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Its place in the ledger is of no use.
    #[error(
        "outgoing.{destination}: its place in the ledger cannot be read: {source}; put the file back, or delete it to begin where `begin` says"
    )]
    Place {
        /// Which destination.
        destination: String,
        /// What is wrong.
        source: std::io::Error,
    },
    /// What its configuration names is of no use.
    #[error("outgoing.{destination}.{problem}")]
    Destination {
        /// Which destination.
        destination: String,
        /// The key, and what is wrong.
        problem: String,
    },
}

/// All destinations of a configuration. Their tasks end with the runtime, or with
/// [`Outgoing::drain`].
#[derive(Debug)]
pub struct Outgoing {
    standings: Vec<Arc<Standing>>,
    stop: watch::Sender<bool>,
    tasks: Mutex<Vec<(Duration, JoinHandle<()>)>>,
}

impl Outgoing {
    /// Begins to tell what the ledger has. Relative paths begin at `base`; `folder` is where
    /// places and dead letters are kept, and is made if it is not there.
    ///
    /// # Errors
    ///
    /// If there is no ledger, or a destination cannot be told anything whatever happens.
    pub fn start(
        runtime: &Runtime,
        destinations: &BTreeMap<String, Destination>,
        base: &Path,
        folder: &Path,
    ) -> Result<Outgoing, StartError> {
        fs::create_dir_all(folder).map_err(|source| StartError::Folder { folder: folder.into(), source })?;
        let (stop, stopping) = watch::channel(false);
        let (counters, mut couriers) = (Counters::default(), Vec::new());
        for (name, destination) in destinations {
            couriers.push(courier(runtime, name, destination, base, folder, &counters, &stopping)?);
        }
        let standings: Vec<Arc<Standing>> = couriers.iter().map(|courier| courier.standing.clone()).collect();
        runtime.stats().register(|registry| counters.register(&standings, registry));
        let tasks = couriers.into_iter().map(|courier| (courier.settled.drain_timeout(), tokio::spawn(courier.run())));
        Ok(Outgoing { standings, stop, tasks: Mutex::new(tasks.collect()) })
    }

    /// How each destination stands.
    pub fn status(&self) -> Vec<DestinationStatus> {
        self.standings.iter().map(|standing| standing.status()).collect()
    }

    /// Tells what is still to be told, each destination for as long as its `drain-timeout-ms`
    /// says, and ends. One that fails is not waited for.
    pub async fn drain(&self) {
        self.stop.send_replace(true);
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        let began = tokio::time::Instant::now();
        for (patience, mut task) in tasks {
            if tokio::time::timeout_at(began + patience, &mut task).await.is_err() {
                task.abort();
                let _ = task.await;
            }
        }
        for DestinationStatus { destination, lag, .. } in self.status().into_iter().filter(|status| status.lag > 0) {
            tracing::warn!(destination, entries = lag, "Not everything was told; the next start goes on there");
        }
    }
}

fn courier(
    runtime: &Runtime,
    name: &str,
    destination: &Destination,
    base: &Path,
    folder: &Path,
    counters: &Counters,
    stop: &watch::Receiver<bool>,
) -> Result<Courier, StartError> {
    let log = runtime.log().map(|log| log.key().name().to_string()).ok_or(StartError::NoLedger)?;
    let cursor = Cursor::new(folder, name);
    let entries = entries(runtime, name, destination, &cursor)?;
    let carrier = carrier(destination, base, &log);
    let carrier = carrier.map_err(|problem| StartError::Destination { destination: name.into(), problem })?;
    let next = entries.next();
    Ok(Courier {
        settled: destination.clone(),
        selection: Arc::new(Selection::new(destination, &log)),
        carrier,
        cursor,
        dead: Arc::new(Mutex::new(Lines::new(folder.join(format!("{name}.dead.ndjson")), DEAD.0, DEAD.1))),
        standing: Arc::new(Standing::new(name, destination.kind(), next, runtime.durable(), counters.clone())),
        stop: stop.clone(),
        written: next,
        is_burying: false,
        entries,
    })
}

/// From where it was told last on; from where it is to begin, if it was told nothing yet,
/// which is kept at once.
fn entries(runtime: &Runtime, name: &str, destination: &Destination, cursor: &Cursor) -> Result<Entries, StartError> {
    let wrong = |source| StartError::Place { destination: name.into(), source };
    let end = *runtime.durable().borrow() + 1;
    let kept = cursor.read().map_err(wrong)?;
    let next = match (kept, destination.begin) {
        (Some(next), _) => next,
        (None, Begin::Now) => end,
        (None, Begin::First) => 1,
    };
    if next > end {
        // What was left to the operating system, and lost.
        tracing::warn!(
            destination = name,
            told = next - 1,
            entries = end - 1,
            "A destination was told more than there is; it goes on with the next entry"
        );
    }
    let next = next.min(end);
    if kept != Some(next) {
        cursor.write(next).map_err(wrong)?;
    }
    runtime.entries(next).ok_or(StartError::NoLedger)
}

/// How verdicts get to a destination. What it names is looked at once, so that a mistake is
/// said at the start.
fn carrier(settled: &Destination, base: &Path, log: &str) -> Result<Carrier, String> {
    match (&settled.webhook, &settled.file, &settled.otlp_logs) {
        (Some(table), ..) => webhook(table, settled, base).map_err(|problem| format!("webhook.{problem}")),
        (None, Some(table), _) => file(table, base).map_err(|problem| format!("file.{problem}")),
        (None, None, Some(table)) => otlp_logs(table, settled, base, log).map_err(|problem| format!("otlp-logs.{problem}")),
        (None, None, None) => Err("does not say where to".into()),
    }
}

fn webhook(table: &Webhook, settled: &Destination, base: &Path) -> Result<Carrier, String> {
    let Webhook { url, authorization_file, authorization_env, secret_file, secret_env, private_targets, ca_file } = table;
    let authorization = place(authorization_file.as_deref(), authorization_env.as_deref(), base);
    let secret = place(secret_file.as_deref(), secret_env.as_deref(), base);
    if let Some(place) = &secret {
        place.signer().map_err(|problem| format!("secret: {problem}"))?;
    }
    let endpoint = endpoint(url, *private_targets, ca_file.as_deref(), authorization, settled.timeout(), base)?;
    Ok(Carrier::Webhook(Box::new(webhook::Webhook { endpoint, secret, single: settled.batch_events_max == 1 })))
}

fn file(table: &File, base: &Path) -> Result<Carrier, String> {
    let path = base.join(&table.path);
    let mut lines = Lines::new(path.clone(), table.rotate_bytes, table.files_max);
    lines.write(b"").map_err(|error| format!("path: {} cannot be written to: {error}", path.display()))?;
    Ok(Carrier::File(Arc::new(Mutex::new(lines))))
}

fn otlp_logs(table: &OtlpLogs, settled: &Destination, base: &Path, log: &str) -> Result<Carrier, String> {
    let OtlpLogs { url, authorization_file, authorization_env, private_targets, ca_file } = table;
    let authorization = place(authorization_file.as_deref(), authorization_env.as_deref(), base);
    let endpoint = endpoint(url, *private_targets, ca_file.as_deref(), authorization, settled.timeout(), base)?;
    Ok(Carrier::OtlpLogs(Box::new(otlp::OtlpLogs { endpoint, log: log.to_string() })))
}

fn place(file: Option<&Path>, variable: Option<&str>, base: &Path) -> Option<Place> {
    Place::of(file.map(|file| base.join(file)), variable)
}

fn endpoint(
    url: &str,
    private_targets: bool,
    ca_file: Option<&Path>,
    authorization: Option<Place>,
    timeout: Duration,
    base: &Path,
) -> Result<Endpoint, String> {
    if let Some(place) = &authorization {
        place.authorization().map_err(|problem| format!("authorization: {problem}"))?;
    }
    let url = destination::target(url, private_targets).map_err(|problem| format!("url {problem}"))?;
    let ca_file = ca_file.map(|file| base.join(file));
    Endpoint::new(url, timeout, private_targets, ca_file.as_deref(), authorization)
}
