//! Acts on policies one after the other, as far as one of them is conditional: between what
//! it is held against and what it does there must not be another.

use std::sync::Arc;

use hyper::HeaderMap;
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

use super::Shared;
use super::problem::Problem;
use super::protocol::{check_conditions, entity_tag, is_conditional};

/// Whose turn it is. Acts without a condition share theirs.
#[derive(Clone, Default)]
pub(super) struct Turns(Arc<RwLock<()>>);

/// Held while an act is carried out.
pub(super) enum Turn {
    Shared { _held: OwnedRwLockReadGuard<()> },
    Alone { _held: OwnedRwLockWriteGuard<()> },
}

impl Turns {
    /// Waits for the turn of an act on a policy, and holds its conditions against how the
    /// policy stands then. What publishers publish may still come in between.
    pub(super) async fn take(&self, shared: &Shared, headers: &HeaderMap, policy: &str) -> Result<Turn, Problem> {
        if !is_conditional(headers) {
            return Ok(Turn::Shared { _held: Arc::clone(&self.0).read_owned().await });
        }
        let held = Arc::clone(&self.0).write_owned().await;
        check_conditions(headers, policy_tag(shared, policy).as_deref())?;
        Ok(Turn::Alone { _held: held })
    }
}

/// The entity tag of a policy: of its releases, and what each of them counts for.
pub(super) fn policy_tag(shared: &Shared, policy: &str) -> Option<String> {
    let mut stands = String::new();
    for standing in shared.runtime.policies().iter().filter(|standing| standing.release.policy() == policy) {
        let (digest, mode) = (standing.release.digest, standing.mode.name());
        stands.push_str(&format!("{digest} {mode} {} {}\n", standing.share, standing.since));
    }
    (!stands.is_empty()).then(|| entity_tag(stands.as_bytes()))
}
