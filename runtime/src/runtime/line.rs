//! The releases of one policy: which judges which event, and what for.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::gate::Gate;
use crate::digest::Digest;
use crate::policy::statement::StateRule;
use crate::policy::{Grant, Mode, Release, Validity};
use crate::sandbox::Image;

/// Releases of one policy that are in force at different event times, at most: what
/// is older than the one before the latest few is not needed for late events.
const ENFORCED_MAX: usize = 4;

/// All policies with a release, by name.
pub(super) type Lines = BTreeMap<Arc<str>, Line>;

/// A release that is judged with.
#[derive(Clone)]
pub(super) struct Installed {
    pub image: Arc<Image>,
    pub component: Arc<[u8]>,
    pub settings: Arc<[u8]>,
    pub grant: Grant,
    pub mode: Mode,
    /// Keys for which a canary counts, of ten thousand.
    pub share: u16,
    pub validity: Validity,
    /// Of the signed statement that it came with.
    pub statement: Option<Digest>,
    /// The strongest mode that it may come to.
    pub strongest: Mode,
    /// The first event that it judges in this mode.
    pub since: u64,
    /// What its states are kept under: the policy's name, with the release's digest
    /// behind it where two releases of the policy have states apart.
    pub states: Arc<str>,
    /// What was to become of the states of the release in force, if its publisher says so.
    pub rule: Option<StateRule>,
    /// What it has shown since it began.
    pub gate: Arc<Gate>,
}

impl Installed {
    pub fn policy(&self) -> &str {
        self.image.release().policy()
    }

    pub fn id(&self) -> &str {
        &self.image.release().id
    }
}

/// The releases of one policy.
#[derive(Clone, Default)]
pub(super) struct Line {
    /// In force, by the event time from which on; the last one for what happens now.
    pub enforced: Vec<Installed>,
    /// The one that is tried out, in shadow or as a canary.
    pub candidate: Option<Installed>,
    /// What the publisher says is out of date, and whether the policy is then asked
    /// all the same.
    pub stale: Option<Stale>,
}

/// What happens while a publisher is stale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stale {
    /// Its policies are asked, and every entry says so.
    Keep,
    /// They are not; events that they ask about are undetermined.
    Stop,
}

impl Line {
    /// The release for what happens now: the latest in force.
    pub fn current(&self) -> Option<&Installed> {
        self.enforced.last()
    }

    pub fn is_empty(&self) -> bool {
        self.enforced.is_empty() && self.candidate.is_none()
    }

    /// All its releases.
    pub fn releases(&self) -> impl Iterator<Item = &Installed> {
        self.enforced.iter().chain(&self.candidate)
    }

    /// A name for states of a release apart from those of all others: the release's, or
    /// that with a number, where another one has taken over what was kept under it.
    pub fn free_states(&self, policy: &str, release: &Release) -> Arc<str> {
        let name = format!("{policy}@{}", release.digest.short());
        let numbered = (2..).map(|number: u32| format!("{name}+{number}"));
        let is_free = |name: &String| self.releases().all(|other| *other.states != **name);
        std::iter::once(name.clone()).chain(numbered).find(is_free).unwrap_or_default().into()
    }

    /// Puts a release in force. One that says from when keeps those before it for what
    /// happened before; one that does not takes the place of all.
    pub fn enforce(&mut self, installed: Installed) {
        match installed.validity.from {
            None => self.enforced.clear(),
            Some(from) => {
                self.enforced.retain(|other| other.validity.from.is_none_or(|earlier| earlier < from));
                if self.enforced.len() == ENFORCED_MAX {
                    self.enforced.remove(0);
                }
            }
        }
        self.enforced.push(installed);
    }

    /// The event times at which each of the releases in force is, in their order.
    pub fn bounds(&self) -> impl Iterator<Item = Validity> {
        let next = self.enforced.iter().skip(1).map(|next| next.validity.from).chain([None]);
        self.enforced.iter().zip(next).map(|(installed, next)| installed.validity.before(next))
    }
}
