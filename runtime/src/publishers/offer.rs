//! From a signed statement to something that the runtime can judge with.

use std::sync::Arc;

use time::OffsetDateTime;

use super::Followed;
use super::vectors::{self, VectorsError};
use crate::policy::{Statement, Validity};
use crate::reference::{List, ListError};
use crate::repository::{Published, RepositoryError, Snapshot};
use crate::runtime::{Offer, Runtime};
use crate::sandbox::LoadError;

/// Canaries' shares are counted in so many parts.
const SHARES: f64 = 10_000.0;

/// Why a release is not offered to the runtime.
#[derive(Debug, thiserror::Error)]
pub enum OfferError {
    /// A part of it cannot be had, or is not what was signed.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// It begins before it was published, which it does not say, or which was not
    /// granted.
    #[error("{0}")]
    Retroactive(String),
    /// It was said to be older than it can be.
    #[error("{0}")]
    Backdated(String),
    /// A list is none, or another than the statement says.
    #[error("the list {name}: {problem}")]
    List {
        /// Which list.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// The statement and the component say different things.
    #[error("{0}")]
    Contradiction(String),
    /// The component does not find in its vectors what they say.
    #[error(transparent)]
    Vectors(#[from] VectorsError),
    /// The component is not taken.
    #[error(transparent)]
    Load(#[from] LoadError),
}

impl OfferError {
    /// The word for what was said to be older than it can be.
    pub(super) const BACKDATED: &str = "backdated";

    /// The word for machines.
    pub fn code(&self) -> &'static str {
        match self {
            OfferError::Repository(error) => error.code(),
            OfferError::Retroactive(_) => "retroactive",
            OfferError::Backdated(_) => Self::BACKDATED,
            OfferError::List { .. } => "list",
            OfferError::Contradiction(_) => "contradiction",
            OfferError::Vectors(_) => "vectors",
            OfferError::Load(error) => error.kind(),
        }
    }
}

/// Whether a release can be offered.
pub(super) enum Ready {
    Now(Box<Offer>),
    /// It waits for its time.
    Later(OffsetDateTime),
}

/// Makes an offer of a release: everything that it binds is fetched and held against
/// the statement. `before` is when the repository was looked into and did not have it yet.
pub(super) async fn of(
    runtime: &Runtime,
    followed: &Followed,
    snapshot: &Snapshot,
    release: &Published,
    before: Option<OffsetDateTime>,
    now: OffsetDateTime,
) -> Result<Ready, OfferError> {
    let Published { statement, digest } = release;
    check_dates(statement, followed, before)?;
    if let Some(from) = statement.valid_from.filter(|from| *from > now) {
        return Ok(Ready::Later(from));
    }
    let component: Arc<[u8]> = snapshot.blob(&statement.component).await?.into();
    let settings: Arc<[u8]> = snapshot.blob(&statement.settings).await?.into();
    let mut lists = Vec::new();
    for (name, bound) in &statement.lists {
        let bytes = snapshot.blob(&bound.blob()).await?;
        lists.push(list(name, &bound.version, bytes)?);
    }
    if let Some(blob) = &statement.vectors {
        vectors::check(runtime, &component, &snapshot.blob(blob).await?).await?;
    }
    let grant = followed.grant.clone();
    let share = (followed.terms().gate.canary_share * SHARES).round().clamp(0.0, SHARES) as u16;
    let micros = |time: OffsetDateTime| i64::try_from(time.unix_timestamp_nanos() / 1_000).unwrap_or(i64::MAX);
    let offer = Offer {
        lists,
        publisher: Some(snapshot.publisher.clone()),
        mode: grant.begin().min(statement.mode),
        share,
        strongest: statement.mode,
        statement: Some(*digest),
        states: Some(statement.state),
        validity: Validity { from: statement.valid_from.map(micros), until: statement.valid_until.map(micros) },
        grant,
        ..Offer::development(component, settings)
    };
    let manifest = runtime.look_at(&offer).await?;
    if manifest.name != statement.policy {
        let why = format!("the statement is about the policy {}, and the component is the policy {}", statement.policy, manifest.name);
        return Err(OfferError::Contradiction(why));
    }
    let fields = manifest.keyed.iter().flat_map(|keyed| &keyed.key).filter_map(|at| manifest.fields.get(usize::from(*at)));
    let key: Vec<&str> = fields.map(|field| field.pointer.as_str()).collect();
    if key != statement.key {
        let shown = |key: Vec<&str>| if key.is_empty() { "nothing".to_string() } else { key.join(", ") };
        let (said, found) = (shown(statement.key.iter().map(String::as_str).collect()), shown(key));
        let why = format!("the statement says that states are kept by {said}, and the component keeps them by {found}");
        return Err(OfferError::Contradiction(why));
    }
    Ok(Ready::Now(Box::new(offer)))
}

/// A beginning in the past is one that those who are judged could not know of.
fn check_dates(statement: &Statement, followed: &Followed, before: Option<OffsetDateTime>) -> Result<(), OfferError> {
    let Statement { policy, version, issued, valid_from, .. } = statement;
    // What was not there then was published since.
    if let Some(before) = before
        && *issued < before - SKEW
    {
        let why = format!(
            "version {version} of {policy} says that it was issued at {issued}, but it was not in the repository at {before}; issue it with the date of its publication"
        );
        return Err(OfferError::Backdated(why));
    }
    if statement.retroactive && valid_from.is_some_and(|from| from < *issued) && !followed.grant.retroactive() {
        let why = format!(
            "version {version} of {policy} is to judge what happened before it was published, which this platform has not granted (`retroactive`); give it a valid-from that is still to come"
        );
        return Err(OfferError::Retroactive(why));
    }
    Ok(())
}

/// Clocks of publishers and platforms differ by no more, and nobody takes longer from
/// signing to publishing.
const SKEW: time::Duration = time::Duration::HOUR;

fn list(name: &str, version: &str, bytes: Vec<u8>) -> Result<Arc<List>, OfferError> {
    let fail = |problem: String| OfferError::List { name: name.to_string(), problem };
    let list = List::open(bytes.into()).map_err(|error: ListError| fail(error.to_string()))?;
    if list.name() != name || list.version() != version {
        let why = format!("the statement binds version {version} of {name}, and the file is version {} of {}", list.version(), list.name());
        return Err(fail(why));
    }
    Ok(Arc::new(list))
}
