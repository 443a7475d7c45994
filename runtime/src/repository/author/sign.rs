//! Signing a role's metadata with the keys at hand, and seeing that it holds.

use std::collections::BTreeSet;

use serde::Serialize;
use tough::schema::{Error as SchemaError, Role, RoleType, Root, Signature, Signed};

use crate::digest::hex;
use crate::repository::error::{AuthorError, names, the};
use crate::repository::key::Signer;
use crate::repository::roots::check_keys;

/// Signs with every key of the role that is at hand.
pub fn sign<T: Role>(role: T, root: &Root, signers: &[Signer]) -> Result<Signed<T>, AuthorError> {
    let ids: BTreeSet<String> = root.roles.get(&T::TYPE).into_iter().flat_map(|keys| &keys.keyids).map(|id| hex(id)).collect();
    let signed = with(role, &ids, signers)?;
    root.verify_role(&signed).map_err(|error| missing(root, T::TYPE, &signed, &error))?;
    Ok(signed)
}

/// Signs a root with the keys that it names and with those of the root before it:
/// whoever trusted the old one can follow.
pub fn root(root: Root, before: Option<&Root>, signers: &[Signer]) -> Result<Signed<Root>, AuthorError> {
    check_keys(&root).map_err(AuthorError::Root)?;
    for (role, keys) in &root.roles {
        if keys.threshold.get() > keys.keyids.len() as u64 {
            let problem = format!("{} of {} keys would have to sign {}, which nobody could", keys.threshold, keys.keyids.len(), the(*role));
            return Err(AuthorError::Root(problem));
        }
    }
    let both = [Some(&root), before];
    let keys = both.into_iter().flatten().filter_map(|root| root.roles.get(&RoleType::Root)).flat_map(|keys| &keys.keyids);
    let ids: BTreeSet<String> = keys.map(|id| hex(id)).collect();
    let signed = with(root, &ids, signers)?;
    for root in [Some(&signed.signed), before].into_iter().flatten() {
        root.verify_role(&signed).map_err(|error| missing(root, RoleType::Root, &signed, &error))?;
    }
    Ok(signed)
}

/// Whether the keys at hand are enough for a role.
pub fn suffice(root: &Root, role: RoleType, signers: &[Signer]) -> bool {
    let Some(keys) = root.roles.get(&role) else { return false };
    let have = keys.keyids.iter().filter(|id| signers.iter().any(|signer| signer.public().id == **id)).count();
    have as u64 >= keys.threshold.get()
}

fn with<T: Role>(role: T, ids: &BTreeSet<String>, signers: &[Signer]) -> Result<Signed<T>, AuthorError> {
    let form = role.canonical_form().map_err(|error| AuthorError::Root(error.to_string()))?;
    let mut signatures: Vec<Signature> = Vec::new();
    for signer in signers {
        let id = &signer.public().id;
        // One file may be given twice.
        if ids.contains(&hex(id)) && !signatures.iter().any(|signature| signature.keyid == *id) {
            signatures.push(Signature { keyid: id.clone(), sig: signer.sign(&form).into() });
        }
    }
    Ok(Signed { signed: role, signatures })
}

fn missing<T>(root: &Root, role: RoleType, signed: &Signed<T>, error: &SchemaError) -> AuthorError {
    let Some(keys) = root.roles.get(&role) else { return AuthorError::Root(error.to_string()) };
    let have = signed.signatures.iter().filter(|signature| keys.keyids.contains(&signature.keyid)).count() as u64;
    AuthorError::Keys { what: the(role), needed: keys.threshold.get(), have, names: names(keys.keyids.iter().map(|id| &**id)) }
}

/// The file of signed metadata.
pub fn bytes<T: Serialize>(signed: &Signed<T>) -> Vec<u8> {
    pretty(signed)
}

/// A document for people to look into as well.
pub fn pretty(document: &impl Serialize) -> Vec<u8> {
    // Metadata and statements have a form in JSON by their types.
    let mut bytes = serde_json::to_vec_pretty(document).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}
