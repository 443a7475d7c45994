//! Who looks: everything is shown, or what concerns some publishers' policies.
//!
//! The guard (`guard`) puts a `Viewer` with every request; whatever shows verdicts,
//! policies or findings asks it. A request without one is shown nothing.

use std::collections::BTreeSet;

use hyper::http::request::Parts;

use super::Shared;
use crate::access::Role;

/// How much somebody is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Viewer {
    /// Everything.
    Whole,
    /// What concerns the policies of these publishers.
    Of(BTreeSet<String>),
}

impl Viewer {
    /// Who sent a request, as far as this goes.
    pub(super) fn of(parts: &Parts) -> Self {
        parts.extensions.get::<Viewer>().cloned().unwrap_or(Viewer::Of(BTreeSet::new()))
    }

    /// What is shown to somebody with these roles.
    pub(super) fn of_roles(roles: &[Role]) -> Self {
        if roles.iter().any(|role| matches!(role, Role::Operator | Role::Auditor)) {
            return Viewer::Whole;
        }
        let publisher = |role: &Role| match role {
            Role::Regulator(publisher) => Some(publisher.clone()),
            _ => None,
        };
        Viewer::Of(roles.iter().filter_map(publisher).collect())
    }

    /// Whether everything is shown.
    pub(super) fn is_whole(&self) -> bool {
        *self == Viewer::Whole
    }

    /// The publishers, where it is not everything.
    pub(super) fn narrowed_to(&self) -> Option<Vec<String>> {
        match self {
            Viewer::Whole => None,
            Viewer::Of(publishers) => Some(publishers.iter().cloned().collect()),
        }
    }

    /// Whether the subject of events is shown: to publishers that were all granted it as
    /// it is.
    pub(super) fn subject_is_open(&self, shared: &Shared) -> bool {
        let publishers = shared.options.publishers.as_deref();
        let is_plain =
            |name: &String| publishers.and_then(|publishers| publishers.grant(name)).is_some_and(|grant| grant.is_plain("/subject"));
        self.narrowed_to().is_none_or(|names| names.iter().all(is_plain))
    }

    /// Whether what concerns a publisher is shown.
    pub(super) fn sees_publisher(&self, publisher: &str) -> bool {
        match self {
            Viewer::Whole => true,
            Viewer::Of(publishers) => publishers.contains(publisher),
        }
    }

    /// Whether what concerns a policy is shown: `PUBLISHER/POLICY`. One without a
    /// publisher is nobody's but the platform's.
    pub(super) fn sees_policy(&self, policy: &str) -> bool {
        self.is_whole() || policy.split_once('/').is_some_and(|(publisher, _)| self.sees_publisher(publisher))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publisher_sees_its_own_and_no_name_that_begins_like_it() {
        let viewer = Viewer::Of(BTreeSet::from(["office".into()]));
        assert!(viewer.sees_policy("office/fleet-cap") && viewer.sees_publisher("office"));
        for other in ["office", "office-b/fleet-cap", "b/office", "", "Office/fleet-cap"] {
            assert!(!viewer.sees_policy(other), "{other}");
        }
        assert!(Viewer::Whole.sees_policy("fleet-cap"));
    }
}
