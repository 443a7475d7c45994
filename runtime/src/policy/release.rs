//! A policy as it is in force: which code, which settings.

use serde::Serialize;

use super::Manifest;
use crate::digest::Digest;

/// An immutable version of a policy: component and settings, by digest.
#[derive(Debug, Clone, Serialize)]
pub struct Release {
    /// The policy's version and the first 12 hexadecimal digits of the digest
    /// over component and settings: `0.1.0-4bf1e3cc02d7`. Component and settings
    /// in full name it in `component` and `settings`.
    pub id: String,
    /// Digest over component and settings: the release's whole name.
    pub digest: Digest,
    /// Digest of the component as it was published.
    pub component: Digest,
    /// Size of the component in bytes.
    pub component_bytes: u64,
    /// Digest of the settings document.
    pub settings: Digest,
    /// Who published it; absent for one that is not published, for development.
    pub publisher: Option<String>,
    /// What the component says about itself.
    pub manifest: Manifest,
    /// The policy's full name.
    #[serde(skip)]
    policy: String,
}

impl Release {
    /// Names the release made of this component and these settings.
    pub fn new(component: &[u8], settings: &[u8], manifest: Manifest) -> Self {
        let digest = Digest::of_parts(&[component, settings]);
        Release {
            id: format!("{}-{}", manifest.version, digest.short()),
            digest,
            component: Digest::of(component),
            component_bytes: component.len() as u64,
            settings: Digest::of(settings),
            publisher: None,
            policy: manifest.name.clone(),
            manifest,
        }
    }

    /// The same release, of a publisher: its policy is not that of another publisher
    /// which has the same name.
    #[must_use]
    pub fn published_by(mut self, publisher: &str) -> Self {
        self.policy = format!("{publisher}/{}", self.manifest.name);
        self.publisher = Some(publisher.to_string());
        self
    }

    /// The policy's full name, by which it is known everywhere in the runtime:
    /// `PUBLISHER/POLICY`, or the policy's own name for one that is not published.
    pub fn policy(&self) -> &str {
        &self.policy
    }
}
