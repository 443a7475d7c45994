//! The ledger's secret: what signs its checkpoints, and what makes its salts.

use std::io;

use hmac::{Hmac, Mac as _};
use sha2::Sha256;

use super::note::{Algorithm, KeyError, SignerKey};
use super::storage::{self, Storage};
use crate::digest::Digest;

/// The file of the secret: 64 hexadecimal digits and `\n`.
pub(super) const SECRET: &str = "ledger.key";

/// The file of the verifier key (C2SP signed-note).
pub(super) const PUBLIC: &str = "ledger.pub";

/// The keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// A file cannot be read or written.
    #[error("{file}: {doing} failed: {source}")]
    Io {
        /// Which file.
        file: &'static str,
        /// What failed.
        doing: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// The system gives no random numbers.
    #[error("the system gives no random numbers: {0}")]
    Random(getrandom::Error),
    /// There is another secret already.
    #[error("{SECRET}: is there already, and is another one")]
    Other,
    /// The secret is not one.
    #[error("{SECRET}: is not 64 hexadecimal digits; put it back from a copy, for nothing can be signed without it")]
    Secret,
    /// The public key is not that of the secret.
    #[error("{PUBLIC}: {0}; put it back from a copy")]
    Public(KeyError),
    /// The two files belong to different ledgers.
    #[error("{PUBLIC} is not the public half of {SECRET}: one of the two is of another ledger")]
    Pair,
    /// The secret is gone, but the ledger has entries.
    #[error("{SECRET} is missing, but {PUBLIC} is there; put it back from a copy, for nothing can be signed without it")]
    Lost,
}

type Keyed = Hmac<Sha256>;

/// What is derived from the ledger's secret for each event and key. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Secrets {
    salt: Keyed,
    key: Keyed,
}

impl Secrets {
    /// The salt of an event: handed out with the event, it lets anybody check what a
    /// policy saw of it; without it, nothing can be guessed from a commitment.
    pub fn salt(&self, source: &str, id: &str) -> [u8; 32] {
        let mac = self.salt.clone().chain_update((source.len() as u64).to_le_bytes()).chain_update(source).chain_update(id);
        mac.finalize().into_bytes().into()
    }

    /// What stands for a policy's key in an entry: the same for the same key.
    pub fn key(&self, policy: &str, key: &[u8]) -> Digest {
        let mac = self.key.clone().chain_update((policy.len() as u64).to_le_bytes()).chain_update(policy).chain_update(key);
        Digest::from_bytes(mac.finalize().into_bytes().into())
    }
}

/// The keys of a ledger.
pub(super) struct Keys {
    pub signer: SignerKey,
    pub secrets: Secrets,
}

impl Keys {
    /// Reads the keys of a data directory, or makes them for a new one.
    pub fn open(storage: &dyn Storage) -> Result<Keys, KeysError> {
        let public = read(storage, PUBLIC)?;
        let seed = match read(storage, SECRET)? {
            Some(bytes) => parse_seed(&bytes).ok_or(KeysError::Secret)?,
            None if public.is_some() => return Err(KeysError::Lost),
            None => {
                let mut seed = [0; 32];
                getrandom::fill(&mut seed).map_err(KeysError::Random)?;
                let line = format!("{}\n", Digest::from_bytes(seed).hex());
                write(storage, SECRET, line.as_bytes(), true)?;
                seed
            }
        };
        let name = name(&seed)?;
        let signer = SignerKey::new(&name, Algorithm::Ed25519, &seed).map_err(KeysError::Public)?;
        let line = format!("{}\n", signer.verifier());
        match public {
            Some(public) if public == line.as_bytes() => {}
            Some(_) => return Err(KeysError::Pair),
            None => write(storage, PUBLIC, line.as_bytes(), false)?,
        }
        let derived = |label: &[u8]| -> Keyed {
            let key = keyed(&seed).chain_update(label).finalize().into_bytes();
            keyed(&key)
        };
        let secrets = Secrets { salt: derived(b"ephor salt 1"), key: derived(b"ephor key 1") };
        Ok(Keys { signer, secrets })
    }
}

/// Puts the secret of another ledger into a directory that has none yet. Does nothing if
/// it has this one.
pub(super) fn adopt(storage: &dyn Storage, secret: &[u8]) -> Result<(), KeysError> {
    parse_seed(secret).ok_or(KeysError::Secret)?;
    match (read(storage, SECRET)?, read(storage, PUBLIC)?) {
        (Some(there), _) if there == secret => Ok(()),
        (None, None) => write(storage, SECRET, secret, true),
        (Some(_), _) => Err(KeysError::Other),
        (None, Some(_)) => Err(KeysError::Lost),
    }
}

fn keyed(key: &[u8]) -> Keyed {
    Keyed::new_from_slice(key).unwrap_or_else(|_| unreachable!("HMAC takes keys of any length (RFC 2104)"))
}

/// The name of a log: no two have the same, because no two have the same key.
fn name(seed: &[u8; 32]) -> Result<String, KeysError> {
    let nameless = SignerKey::new("ephor", Algorithm::Ed25519, seed).map_err(KeysError::Public)?;
    Ok(format!("ephor.invalid/{}", &Digest::of(nameless.verifier().public()).hex()[..16]))
}

fn read(storage: &dyn Storage, file: &'static str) -> Result<Option<Vec<u8>>, KeysError> {
    match storage::read(storage, file) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(KeysError::Io { file, doing: "reading", source }),
    }
}

fn write(storage: &dyn Storage, file: &'static str, bytes: &[u8], private: bool) -> Result<(), KeysError> {
    storage::replace(storage, file, bytes, private).map_err(|source| KeysError::Io { file, doing: "writing", source })
}

/// 64 lower-case hexadecimal digits and a newline.
pub(super) fn parse_seed(bytes: &[u8]) -> Option<[u8; 32]> {
    let digits = bytes.strip_suffix(b"\n")?;
    if digits.len() != 64 || !digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    let mut seed = [0; 32];
    for (byte, pair) in seed.iter_mut().zip(digits.chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(seed)
}
