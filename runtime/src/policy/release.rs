//! A policy as it is in force: which code, which settings, which lists.

use schemars::JsonSchema;
use serde::Serialize;

use super::{Language, Manifest};
use crate::digest::Digest;

/// A version of a reference list that a release is bound to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "List")]
pub struct Bound {
    /// What the policy calls it.
    pub name: String,
    /// Its version, as its publisher calls it.
    pub version: String,
    /// Digest of its file.
    pub digest: Digest,
}

/// An immutable version of a policy: component, settings and lists, by digest.
#[derive(Debug, Clone, Serialize)]
pub struct Release {
    /// The policy's version and the first 12 hexadecimal digits of the digest
    /// over component, settings and lists: `0.1.0-4bf1e3cc02d7`. What they are in
    /// full is in `component`, `settings` and `lists`.
    pub id: String,
    /// Digest over the parts component and settings, and the digests of the lists in
    /// the order of `lists`: the release's whole name.
    pub digest: Digest,
    /// Digest of the component as it was published.
    pub component: Digest,
    /// Size of the component in bytes.
    pub component_bytes: u64,
    /// The language whose engine the component contains; absent for one that has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<Language>,
    /// Digest of the settings document.
    pub settings: Digest,
    /// The lists that it looks things up in, in the order of the manifest.
    pub lists: Vec<Bound>,
    /// Who published it; absent for one that is not published, for development.
    pub publisher: Option<String>,
    /// What the component says about itself.
    pub manifest: Manifest,
    /// The policy's full name.
    #[serde(skip)]
    policy: String,
}

impl Release {
    /// Names the release made of this component, these settings and these lists.
    pub fn new(component: &[u8], settings: &[u8], lists: Vec<Bound>, manifest: Manifest) -> Self {
        let digest = Self::digest_of(component, settings, lists.iter().map(|list| &list.digest));
        Release {
            id: format!("{}-{}", manifest.version, digest.short()),
            digest,
            component: Digest::of(component),
            component_bytes: component.len() as u64,
            language: None,
            settings: Digest::of(settings),
            lists,
            publisher: None,
            policy: manifest.name.clone(),
            manifest,
        }
    }

    /// The digest that the release made of these parts has. Lists come in the order of
    /// the manifest.
    pub fn digest_of<'l>(component: &[u8], settings: &[u8], lists: impl IntoIterator<Item = &'l Digest>) -> Digest {
        let lists = lists.into_iter().map(|list| list.bytes().as_slice());
        Digest::of_parts(&[component, settings].into_iter().chain(lists).collect::<Vec<_>>())
    }

    /// The same release, with the engine of a language in it.
    #[must_use]
    pub fn written_in(mut self, language: Option<Language>) -> Self {
        self.language = language;
        self
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
