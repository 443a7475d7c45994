//! The ledger's secret: what signs its checkpoints, and what makes its salts.

use std::io;

use hmac::{Hmac, Mac as _};
use sha2::Sha256;

use super::log::{HISTORY, LATEST};
use super::note::{Algorithm, KeyError, SignerKey, VerifierKey};
use super::storage::{self, Storage};
use super::tree::TILES;
use super::{journal, kept};
use crate::digest::Digest;

/// The file of the secret: 64 hexadecimal digits and `\n`.
pub(super) const SECRET: &str = "ledger.key";

/// The file of the verifier key (C2SP signed-note).
pub(super) const PUBLIC: &str = "ledger.pub";

/// How the name of a ledger ends that was made with the secret of another.
pub(super) const REPLAY: &str = ".replay";

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
    /// The secret is gone, but the ledger was used before.
    #[error("{SECRET} is missing, and this ledger was used before; put it back from a copy, for nothing can be signed without it")]
    Lost,
}

type Keyed = Hmac<Sha256>;

/// What is derived from the ledger's secret for each event and key. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Secrets {
    salt: Keyed,
    key: Keyed,
    pseudonyms: [u8; 32],
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

    /// The secret that the pseudonyms of all publishers are derived from.
    pub fn pseudonyms(&self) -> [u8; 32] {
        self.pseudonyms
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
        let public = match read(storage, PUBLIC)? {
            Some(bytes) => Some(parse_public(&bytes).map_err(KeysError::Public)?),
            None => None,
        };
        let seed = match read(storage, SECRET)? {
            Some(bytes) => parse_seed(&bytes).ok_or(KeysError::Secret)?,
            None if public.is_some() || is_used(storage)? => return Err(KeysError::Lost),
            None => {
                let mut seed = [0; 32];
                getrandom::fill(&mut seed).map_err(KeysError::Random)?;
                let line = format!("{}\n", Digest::from_bytes(seed).hex());
                write(storage, SECRET, line.as_bytes(), true)?;
                seed
            }
        };
        let name = match &public {
            Some(public) => public.name().to_string(),
            None => name(&seed)?,
        };
        let signer = SignerKey::new(&name, Algorithm::Ed25519, &seed).map_err(KeysError::Public)?;
        match public {
            Some(public) if public == *signer.verifier() => {}
            Some(_) => return Err(KeysError::Pair),
            None => write(storage, PUBLIC, format!("{}\n", signer.verifier()).as_bytes(), false)?,
        }
        Ok(Keys { secrets: Secrets::of(&seed), signer })
    }
}

impl Secrets {
    fn of(seed: &[u8; 32]) -> Self {
        let derived = |label: &[u8]| -> [u8; 32] { keyed(seed).chain_update(label).finalize().into_bytes().into() };
        Secrets { salt: keyed(&derived(b"ephor salt 1")), key: keyed(&derived(b"ephor key 1")), pseudonyms: derived(b"ephor pseudonyms 1") }
    }
}

/// Puts the secret of another ledger into a directory that has none yet. Does nothing if
/// it has this one.
///
/// The directory's log gets another name than the other ledger's: names are signed, and
/// part of the key's ID, so nothing that is signed here passes for the other's.
pub(super) fn adopt(storage: &dyn Storage, secret: &[u8]) -> Result<(), KeysError> {
    let seed = parse_seed(secret).ok_or(KeysError::Secret)?;
    let named = SignerKey::new(&format!("{}{REPLAY}", name(&seed)?), Algorithm::Ed25519, &seed).map_err(KeysError::Public)?;
    let line = format!("{}\n", named.verifier());
    match (read(storage, SECRET)?, read(storage, PUBLIC)?) {
        (Some(there), _) if there == secret => return Ok(()),
        (Some(_), _) => return Err(KeysError::Other),
        _ if is_used(storage)? => return Err(KeysError::Lost),
        (None, None) => write(storage, PUBLIC, line.as_bytes(), false)?,
        // A crash came in between.
        (None, Some(public)) if public == line.as_bytes() => {}
        (None, Some(_)) => return Err(KeysError::Lost),
    }
    // Last, for with the secret alone the other ledger's name would be taken.
    write(storage, SECRET, secret, true)
}

/// What is only in a directory that had keys: they are made first.
const MADE_LATER: [&str; 5] = [journal::FOLDER, HISTORY, LATEST, TILES, kept::FOLDER];

/// Whether the directory has anything of a ledger. Under another key what is there would be
/// nobody's, and what was kept of events would be cut off.
fn is_used(storage: &dyn Storage) -> Result<bool, KeysError> {
    let names = storage.list("").map_err(|source| KeysError::Io { file: SECRET, doing: "listing its folder", source })?;
    Ok(names.iter().any(|name| MADE_LATER.contains(&name.as_str())))
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

/// A verifier key that logs sign with, and a newline.
fn parse_public(bytes: &[u8]) -> Result<VerifierKey, KeyError> {
    let text = std::str::from_utf8(bytes).ok().and_then(|text| text.strip_suffix('\n')).ok_or(KeyError::Form)?;
    let key = VerifierKey::parse(text)?;
    match key.algorithm() {
        Algorithm::Ed25519 => Ok(key),
        other @ Algorithm::Cosignature => Err(KeyError::Algorithm(other as u8)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::faulty::{Failure, Faulty};

    const SEED: [u8; 32] = [7; 32];

    fn secret(seed: u8) -> Vec<u8> {
        format!("{}\n", Digest::from_bytes([seed; 32]).hex()).into_bytes()
    }

    #[test]
    fn keys_are_made_once_and_known_again() {
        let disk = Faulty::new(0);
        let made = Keys::open(&disk).expect("made");
        let digits = made.signer.verifier().name().strip_prefix("ephor.invalid/").expect("the default name");
        assert!(digits.len() == 16 && Digest::of(made.signer.verifier().public()).hex().starts_with(digits));
        let files = disk.crashed(1).files();
        assert_eq!(files.keys().collect::<Vec<_>>(), [SECRET, PUBLIC], "durable");
        let again = Keys::open(&Faulty::with(&files)).expect("known again");
        assert_eq!(again.signer.verifier(), made.signer.verifier());
        assert_eq!(again.secrets.salt("s", "1"), made.secrets.salt("s", "1"));
        let other = Keys::open(&Faulty::new(0)).expect("made");
        assert_ne!(other.signer.verifier(), made.signer.verifier());
    }

    /// What a replay signs must never be what the ledger signs that it replays, or there
    /// are two logs where there should be one.
    #[test]
    fn an_adopted_secret_makes_the_same_salts_and_signs_as_somebody_else() {
        let (disk, replay) = (Faulty::new(0), Faulty::new(0));
        let keys = Keys::open(&disk).expect("made");
        adopt(&replay, &disk.files()[SECRET]).expect("adopted");
        adopt(&replay, &disk.files()[SECRET]).expect("adopted already");
        let adopted = Keys::open(&replay).expect("opens");
        assert_eq!(adopted.secrets.salt("s", "1"), keys.secrets.salt("s", "1"));
        assert_eq!(adopted.signer.verifier().name(), format!("{}.replay", keys.signer.verifier().name()));
        assert_ne!(adopted.signer.verifier().id(), keys.signer.verifier().id());
        assert!(matches!(adopt(&disk, &secret(7)), Err(KeysError::Other)));
        assert!(matches!(adopt(&Faulty::new(0), b"x"), Err(KeysError::Secret)));
        let used = Faulty::new(0);
        used.create_dir(journal::FOLDER).expect("made");
        assert!(matches!(adopt(&used, &secret(7)), Err(KeysError::Lost)));
    }

    #[test]
    fn keys_that_are_gone_or_changed_are_named() {
        let disk = Faulty::new(0);
        Keys::open(&disk).expect("made");
        let files = disk.files();
        let with = |name: &str, bytes: Option<&[u8]>| {
            let mut files = files.clone();
            files.remove(name);
            files.extend(bytes.map(|bytes| (name.to_string(), bytes.to_vec())));
            Keys::open(&Faulty::with(&files))
        };
        assert!(matches!(with(SECRET, None), Err(KeysError::Lost)));
        assert!(with(PUBLIC, None).is_ok(), "it follows from the secret");
        assert!(matches!(with(SECRET, Some(b"")), Err(KeysError::Secret)));
        assert!(matches!(with(SECRET, Some(&secret(0))), Err(KeysError::Pair)));
        for at in 0..files[PUBLIC].len() {
            let mut changed = files[PUBLIC].clone();
            changed[at] ^= 1;
            assert!(with(PUBLIC, Some(&changed)).is_err(), "byte {at}");
        }
        for name in MADE_LATER {
            let used = match name {
                LATEST | HISTORY => Faulty::with(&[(name.to_string(), b"signed".to_vec())].into()),
                _ => Faulty::new(0),
            };
            if used.files().is_empty() {
                used.create_dir(name).expect("made");
            }
            assert!(matches!(Keys::open(&used), Err(KeysError::Lost)), "a ledger that was used had a key: {name}");
        }
    }

    #[test]
    fn a_crash_while_they_are_made_leaves_none_or_the_same() {
        for seed in 0..40 {
            for operation in 0..14 {
                let disk = Faulty::new(seed);
                disk.fail(operation, Failure::ALL[seed as usize % 3]);
                let made = Keys::open(&disk);
                let again = Keys::open(&disk.crashed(seed)).expect("opens");
                if let Ok(made) = made {
                    assert_eq!(again.signer.verifier(), made.signer.verifier(), "what was given out stays");
                }
                let disk = Faulty::new(seed);
                disk.fail(operation, Failure::ALL[seed as usize % 3]);
                let _ = adopt(&disk, &secret(7));
                let disk = disk.crashed(seed);
                adopt(&disk, &secret(7)).expect("adopted");
                let adopted = Keys::open(&disk).expect("opens");
                assert!(adopted.signer.verifier().name().ends_with(".replay"));
            }
        }
    }

    /// Known answers, computed with Python's hmac.
    #[test]
    fn salts_and_keys_follow_from_the_secret() {
        let secrets = Secrets::of(&SEED);
        assert_eq!(
            Digest::from_bytes(secrets.salt("urn:s", "1")).hex(),
            "46a717e61c30ebd3b02cd50ded1624e61859c57e1aed2b70b7d8b77e38356f4b"
        );
        assert_eq!(secrets.key("idle", b"\x01k").hex(), "e4792f1eb3bab653511f8dee06c600b08b548cd1305e9e2eb3318ce96de966a9");
        assert_ne!(secrets.salt("ab", "c"), secrets.salt("a", "bc"));
        assert_eq!(Digest::from_bytes(secrets.pseudonyms()).hex(), "7a9a70e25929c9dfba506df2cfb17c9945b6b661cb5972d999e86779190b5a14");
    }
}
