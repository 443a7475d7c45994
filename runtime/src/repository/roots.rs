//! What is asked of a root beyond its signatures: that many keys are many keys, and
//! that it is this publisher's.

use std::collections::BTreeSet;

use ed25519_dalek::VerifyingKey;
use serde::{Deserialize, Serialize};
use tough::schema::key::Key;
use tough::schema::{RoleType, Root, Signed};

use crate::digest::hex;

/// The member of a root that says whose it is.
const MEMBER: &str = "ephor";

/// How long each role's signature holds, in days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Days {
    /// The root.
    pub root: u32,
    /// Targets and snapshot: what is signed with every release.
    pub releases: u32,
    /// The timestamp.
    pub timestamp: u32,
}

impl Default for Days {
    fn default() -> Self {
        // A root is renewed at a ceremony, a timestamp by a job that runs every day and
        // may fail for some.
        Days { root: 730, releases: 365, timestamp: 14 }
    }
}

/// What a root says about itself: signed with it, and left alone by other clients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct About {
    pub publisher: String,
    #[serde(default)]
    pub days: Days,
}

impl About {
    /// What a root says; nothing if it was made by another tool.
    pub fn of(root: &Root) -> Option<Self> {
        serde_json::from_value(root._extra.get(MEMBER)?.clone()).ok()
    }

    pub fn write(&self, root: &mut Root) {
        // A text and three numbers.
        root._extra.insert(MEMBER.into(), serde_json::to_value(self).unwrap_or_default());
    }
}

pub(super) const ROLES: [RoleType; 4] = [RoleType::Root, RoleType::Targets, RoleType::Snapshot, RoleType::Timestamp];

/// What is wrong with the keys of a root: one key under two names would count twice
/// (as it did in tough, CVE-2020-15093), and a weak one signs everything.
pub(super) fn check_keys(root: &Root) -> Result<(), String> {
    for role in ROLES {
        let Some(keys) = root.roles.get(&role) else { return Err(format!("the root names no keys for {role}")) };
        let mut ids = BTreeSet::new();
        let mut materials = BTreeSet::new();
        for id in &keys.keyids {
            let name = short(id);
            if !ids.insert(id) {
                return Err(format!("the root names key {name} twice for {role}"));
            }
            let key = root.keys.get(id).ok_or_else(|| format!("the root names key {name} for {role}, and does not have it"))?;
            if !materials.insert(material(key)) {
                return Err(format!("the root names one key under two names for {role}: {name} is one of them"));
            }
            if let Key::Ed25519 { keyval, .. } = key {
                let bytes: Option<[u8; 32]> = keyval.public.as_ref().try_into().ok();
                let parsed = bytes.and_then(|bytes| VerifyingKey::from_bytes(&bytes).ok());
                if parsed.is_none_or(|key| key.is_weak()) {
                    return Err(format!("key {name} of {role} is no key that could be trusted: anybody could sign with it"));
                }
            }
        }
    }
    Ok(())
}

/// The bytes that a key is, whatever else is written around them.
fn material(key: &Key) -> Vec<u8> {
    match key {
        Key::Ed25519 { keyval, .. } => keyval.public.to_vec(),
        Key::Rsa { keyval, .. } => keyval.public.to_vec(),
        Key::Ecdsa { keyval, .. } | Key::EcdsaOld { keyval, .. } => keyval.public.to_vec(),
    }
}

/// As many digits as it takes to tell keys apart in a sentence.
pub(super) fn short(id: &[u8]) -> String {
    hex(&id[..id.len().min(6)])
}

/// Whose a root says that it is; nothing if it does not say, or is none.
pub fn publisher_of(root: &[u8]) -> Option<String> {
    let root: Signed<Root> = serde_json::from_slice(root).ok()?;
    Some(About::of(&root.signed)?.publisher)
}

/// A root that is trusted by itself: it parses, and its own keys have signed it.
pub(super) fn trusted(bytes: &[u8]) -> Result<Signed<Root>, String> {
    let root: Signed<Root> = serde_json::from_slice(bytes).map_err(|error| format!("is not a root: {error}"))?;
    root.signed.verify_role(&root).map_err(|error| format!("is not signed by its own keys: {error}"))?;
    check_keys(&root.signed)?;
    Ok(root)
}
