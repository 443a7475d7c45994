//! Vectors of a release, run before it is taken.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::value::RawValue;

use crate::runtime::Runtime;
use crate::sandbox::LoadError;
use crate::vectors::{self, Ran, RunError, Said, Vector, WakeDiffers};

/// Differences that are told.
const TOLD_MAX: usize = 5;

/// A release does not find in its vectors what they say, or they are none.
#[derive(Debug, thiserror::Error)]
pub enum VectorsError {
    /// A vector is none.
    #[error("the vector {name} cannot be used: {problem}")]
    Unusable {
        /// Which one.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// The release says something else.
    #[error("the release fails its own vectors: {}", .differences.join("; "))]
    Failed {
        /// The first differences, each with vector and event.
        differences: Vec<String>,
    },
    /// The component does not take a vector's settings or lists.
    #[error("the vector {name}: {error}")]
    Load {
        /// Which one.
        name: String,
        /// Why.
        error: LoadError,
    },
    /// This machine cannot run them now.
    #[error("the vectors cannot be run on this machine: {0}")]
    Machine(String),
}

/// Runs all vectors of a release.
pub(super) async fn check(runtime: &Runtime, component: &Arc<[u8]>, vectors: &[u8]) -> Result<(), VectorsError> {
    let unusable = |name: &str, problem: String| VectorsError::Unusable { name: name.to_string(), problem };
    let vectors: BTreeMap<String, &RawValue> =
        serde_json::from_slice(vectors).map_err(|error| unusable("file", format!("it is no object of vectors: {error}")))?;
    let mut differences = Vec::new();
    for (name, vector) in vectors {
        let vector = Vector::parse(vector.get()).and_then(|vector| vector.complete().map(|()| vector));
        let vector = vector.map_err(|problem| unusable(&name, problem.to_string()))?;
        let ran = vectors::run(runtime, component, &vector).await.map_err(|error| match error {
            RunError::Unusable(problem) => unusable(&name, problem.to_string()),
            RunError::Load(error) => VectorsError::Load { name: name.clone(), error },
            RunError::Machine(problem) => VectorsError::Machine(problem),
        })?;
        differences.extend(told(&vector, &ran).into_iter().map(|what| format!("{name}, {what}")));
    }
    if differences.is_empty() {
        return Ok(());
    }
    let more = differences.len().saturating_sub(TOLD_MAX);
    differences.truncate(TOLD_MAX);
    if more > 0 {
        differences.push(format!("and {more} more"));
    }
    Err(VectorsError::Failed { differences })
}

/// What is different, each in a sentence.
fn told(vector: &Vector<'_>, ran: &Ran) -> Vec<String> {
    let differences = vector.differences(ran);
    let events = differences.events.iter().map(|differs| match (differs.expected, differs.found) {
        (_, Said::Failed(problem)) => format!("event {}: it failed ({problem})", differs.event),
        (Some(expected), found) => format!("event {}: expected {expected}, and it says {found}", differs.event),
        (None, found) => format!("event {}: it says {found}", differs.event),
    });
    let wakes = differences.wakes.iter().map(|differs| match differs {
        WakeDiffers::Says { expected, found, .. } => {
            let (before, key) = (expected.before, expected.key_shown());
            format!("before event {before}: the key {key} was to be woken and say {}, and it says {}", expected.said, found.said)
        }
        WakeDiffers::Missing { expected, .. } => {
            format!("before event {}: the key {} was to be woken and say {}", expected.before, expected.key_shown(), expected.said)
        }
        WakeDiffers::Surplus { found } => {
            format!("before event {}: the key {} was woken and says {}", found.before, found.key_shown(), found.said)
        }
    });
    events.chain(wakes).collect()
}
