//! A publisher's keys: Ed25519, as PKCS 8 in PEM, which openssl makes and reads too.

use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey as _, DecodePublicKey as _, EncodePrivateKey as _, EncodePublicKey as _, KeypairBytes};
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use tough::schema::decoded::{Decoded, Hex};
use tough::schema::key::Key;

use super::roots::short;
use crate::digest::hex;

/// Longest key file that is read.
const FILE_BYTES_MAX: u64 = 16 << 10;

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The system did not let it.
    #[error("{}: {doing} failed: {source}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// What the system says.
        source: std::io::Error,
    },
    /// Others can read it.
    #[error("{}: others on this machine can read this key; chmod 600 it, and replace it if somebody has", .0.display())]
    Exposed(PathBuf),
    /// It is no key of a kind that is used here.
    #[error("{}: is not {expected}", path.display())]
    Form {
        /// Which file.
        path: PathBuf,
        /// What it should be.
        expected: &'static str,
    },
    /// The system gives no random bytes.
    #[error("the system gives no random bytes for a key: {0}")]
    Random(String),
}

/// A key that signatures are checked with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    pub(super) key: Key,
    pub(super) id: Decoded<Hex>,
    verifying: VerifyingKey,
}

impl PublicKey {
    fn new(verifying: VerifyingKey) -> Option<Self> {
        let key: Key = hex(verifying.as_bytes()).parse().ok()?;
        let id = key.key_id().ok()?;
        Some(PublicKey { key, id, verifying })
    }

    /// The public half of what is in a file: a public key, or a private one.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or is neither.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let text = read(path)?.1;
        let form = || KeyError::Form { path: path.into(), expected: "an Ed25519 key in PEM (PUBLIC KEY or PRIVATE KEY)" };
        let verifying = match VerifyingKey::from_public_key_pem(&text) {
            Ok(key) => key,
            Err(_) => SigningKey::from_pkcs8_pem(&text).map_err(|_| form())?.verifying_key(),
        };
        // A weak key signs everything for everybody.
        if verifying.is_weak() {
            return Err(form());
        }
        PublicKey::new(verifying).ok_or_else(form)
    }

    /// The key's name in the repository: 64 hexadecimal digits.
    pub fn id(&self) -> String {
        hex(&self.id)
    }

    /// The first digits of its name, for sentences.
    pub fn short(&self) -> String {
        short(&self.id)
    }

    /// The key in PEM, to be given to whoever keeps the root.
    pub fn to_pem(&self) -> String {
        self.verifying.to_public_key_pem(LineEnding::LF).unwrap_or_default()
    }
}

/// A key that signs.
#[derive(Debug)]
pub struct Signer {
    signing: SigningKey,
    public: PublicKey,
    /// The file that it is in.
    path: Option<PathBuf>,
}

impl Signer {
    /// Makes a new key.
    ///
    /// # Errors
    ///
    /// If the system gives no random bytes.
    pub fn generate() -> Result<Self, KeyError> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|error| KeyError::Random(error.to_string()))?;
        Self::new(SigningKey::from_bytes(&seed), None).ok_or_else(|| KeyError::Random("a key without a name".into()))
    }

    fn new(signing: SigningKey, path: Option<PathBuf>) -> Option<Self> {
        let public = PublicKey::new(signing.verifying_key())?;
        Some(Signer { signing, public, path })
    }

    /// Reads a private key.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, is no such key, or others can read it.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let (mode, text) = read(path)?;
        let form = || KeyError::Form { path: path.into(), expected: "an Ed25519 private key in PEM (PKCS 8, PRIVATE KEY)" };
        let signing = SigningKey::from_pkcs8_pem(&text).map_err(|_| form())?;
        if mode & 0o077 != 0 {
            return Err(KeyError::Exposed(path.into()));
        }
        Self::new(signing, Some(path.into())).ok_or_else(form)
    }

    /// All private keys of a folder (`*.pem`), in the order of their names.
    ///
    /// # Errors
    ///
    /// As [`Signer::load`]; a folder that is not there has no keys.
    pub fn load_all(folder: &Path) -> Result<Vec<Self>, KeyError> {
        let io = |source| KeyError::Io { path: folder.into(), doing: "listing the keys", source };
        let entries = match std::fs::read_dir(folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(io)?,
        };
        let mut paths = Vec::new();
        for entry in entries {
            paths.push(entry.map_err(io)?.path());
        }
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "pem"));
        paths.sort();
        let mut signers = Vec::new();
        for path in paths {
            // Public keys may lie beside.
            if read(&path)?.1.contains("PRIVATE KEY") {
                signers.push(Self::load(&path)?);
            }
        }
        Ok(signers)
    }

    /// Writes the key to a new file that nobody else can read, durably.
    ///
    /// # Errors
    ///
    /// If there is such a file already, or the system does not let it.
    pub fn save(&mut self, path: &Path) -> Result<(), KeyError> {
        let io = |doing| move |source| KeyError::Io { path: path.into(), doing, source };
        // Without the public half: the older form, which every openssl reads.
        let pair = KeypairBytes { secret_key: self.signing.to_bytes(), public_key: None };
        let form = |_| KeyError::Form { path: path.into(), expected: "a key that can be written" };
        let pem = pair.to_pkcs8_pem(LineEnding::LF).map_err(form)?;
        let mut file =
            std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(io("making the key's file"))?;
        file.write_all(pem.as_bytes()).and_then(|()| file.sync_all()).map_err(io("writing the key"))?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(io("syncing the folder of keys"))?;
        self.path = Some(path.into());
        Ok(())
    }

    /// The key once more: a test has several who hold it.
    #[cfg(test)]
    pub(super) fn copy(&self) -> Self {
        Signer { signing: self.signing.clone(), public: self.public.clone(), path: self.path.clone() }
    }

    /// Its public half.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The file that it is in, if it is in one.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Signs.
    pub(super) fn sign(&self, bytes: &[u8]) -> Vec<u8> {
        self.signing.sign(bytes).to_bytes().to_vec()
    }
}

/// The mode and the text of a key's file.
fn read(path: &Path) -> Result<(u32, String), KeyError> {
    let io = |source| KeyError::Io { path: path.into(), doing: "reading the key", source };
    let file = std::fs::File::open(path).map_err(io)?;
    let mode = file.metadata().map_err(io)?.permissions().mode();
    let mut text = String::new();
    file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(io)?;
    Ok((mode, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_written_once_for_nobody_else_and_read_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("root.pem");
        let mut key = Signer::generate().expect("a key");
        key.save(&path).expect("saved");
        assert_eq!(std::fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        assert!(matches!(key.save(&path), Err(KeyError::Io { .. })), "never written over");
        assert_eq!(Signer::load(&path).expect("read again").public(), key.public());
        assert_eq!(PublicKey::load(&path).expect("the public half"), *key.public());
        let public = folder.path().join("root.pub.pem");
        std::fs::write(&public, key.public().to_pem()).expect("written");
        assert_eq!(PublicKey::load(&public).expect("a public key"), *key.public());
        assert!(matches!(Signer::load(&public), Err(KeyError::Form { .. })));
        assert_eq!(Signer::load_all(folder.path()).expect("all").len(), 1);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).expect("set");
        assert!(matches!(Signer::load(&path), Err(KeyError::Exposed(_))));
    }

    /// As `openssl genpkey -algorithm ed25519` writes it; the key of RFC 8410, section 10.3.
    #[test]
    fn a_key_of_openssl_is_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("k.pem");
        let text =
            "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
        std::fs::write(&path, text).expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("set");
        let key = Signer::load(&path).expect("a key");
        let public = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";
        assert_eq!(key.public().to_pem(), public);
        let written = folder.path().join("w.pem");
        Signer::load(&path).expect("a key").save(&written).expect("saved");
        assert_eq!(std::fs::read_to_string(written).expect("there"), text);
    }

    #[test]
    fn sc_14_a_key_that_signs_everything_is_none() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("weak.pem");
        // The neutral element of the curve, as a public key.
        let mut point = [0; 32];
        point[0] = 1;
        let weak = VerifyingKey::from_bytes(&point).expect("a point");
        std::fs::write(&path, weak.to_public_key_pem(LineEnding::LF).expect("PEM")).expect("written");
        assert!(matches!(PublicKey::load(&path), Err(KeyError::Form { .. })));
    }
}
