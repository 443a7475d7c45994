//! Bearer tokens of our own, and the file that knows them by their digests.
//!
//! A token is `ephor_`, eight hexadecimal digits that name it, `_`, and 64 that are
//! random: whoever finds one knows what it is, and so do scanners for secrets. The file
//! has the name and SHA-256 of the whole; a random number of 256 bits needs no slow hash.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;
use time::{Duration, OffsetDateTime};

use super::{AccessError, How, Identity, Role};
use crate::digest::{Digest, hex};

/// What a token begins with.
pub const PREFIX: &str = "ephor_";

/// Random bytes of a token.
const SECRET_BYTES: usize = 32;

/// Bytes of what names a token.
const ID_BYTES: usize = 4;

/// Tokens in one file, at most.
const TOKENS_MAX: usize = 10_000;

/// Characters of a name.
const NAME_MAX: usize = 128;

/// What is known of one token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// What it is called by, which is in it: eight hexadecimal digits.
    pub id: String,
    /// Whose it is. Somebody has several while one takes the place of another.
    pub name: String,
    /// SHA-256 of it.
    pub digest: Digest,
    /// What it is good for.
    pub roles: Vec<Role>,
    /// When it was made.
    #[serde(with = "time::serde::rfc3339")]
    pub created: OffsetDateTime,
    /// From when on it is good for nothing; absent if it does not expire.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "time::serde::rfc3339::option")]
    pub expires: Option<OffsetDateTime>,
    /// When another one was made in its place; absent if none was.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "time::serde::rfc3339::option")]
    pub rotated: Option<OffsetDateTime>,
}

impl Token {
    /// Whether it is good for nothing any more.
    pub fn is_expired(&self, now: OffsetDateTime) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

/// What is known of all tokens.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tokens {
    /// In the order in which they were made.
    tokens: Vec<Token>,
}

/// A token that was just made. The only time that it is there to be seen.
#[derive(Clone, PartialEq, Eq)]
pub struct Made {
    /// The token.
    pub secret: String,
    /// What is kept of it.
    pub token: Token,
}

/// Why something is not done to tokens.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// The name is none.
    #[error("{0:?} is no name: write letters, digits and . _ - @ +, at most {NAME_MAX}")]
    Name(String),
    /// A token for nothing.
    #[error("a token is for at least one role; there are {words}", words = Role::WORDS)]
    NoRole,
    /// It would be expired at once.
    #[error("the token would be expired already")]
    Expired,
    /// None is called so.
    #[error("no token has the name or id {0:?}")]
    Unknown(String),
    /// There are too many.
    #[error("there are {TOKENS_MAX} tokens; revoke some")]
    Many,
    /// The system has no random numbers.
    #[error("the system gives no random numbers: {0}")]
    Random(getrandom::Error),
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] AccessError),
    /// The file cannot be written.
    #[error("{} cannot be written: {source}", path.display())]
    Write {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl Tokens {
    /// Reads the file's content.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let tokens: Tokens = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        match tokens.tokens.len() > TOKENS_MAX {
            true => Err(format!("it has more than {TOKENS_MAX} tokens")),
            false => Ok(tokens),
        }
    }

    /// All of them, in the order in which they were made.
    pub fn all(&self) -> &[Token] {
        &self.tokens
    }

    /// Who has a token; nobody if it is not known, or expired.
    pub fn find(&self, token: &str, now: OffsetDateTime) -> Option<Arc<Identity>> {
        let (id, _) = token.strip_prefix(PREFIX)?.split_once('_')?;
        let known = self.tokens.iter().find(|known| known.id == id);
        // What is not known takes as long as what is wrong.
        let nobody = Digest::of(b"");
        let expected = known.map_or(&nobody, |known| &known.digest);
        let is_it = bool::from(Digest::of(token.as_bytes()).bytes().ct_eq(expected.bytes()));
        let known = known.filter(|known| is_it && !known.is_expired(now))?;
        Some(Arc::new(Identity { name: known.name.clone(), roles: known.roles.clone(), how: How::Token }))
    }

    /// Makes a token. A second one for the same name is another way in for the same
    /// somebody: that is how one takes the place of another without a gap.
    ///
    /// # Errors
    ///
    /// If it would be for nobody, for nothing, or for no time.
    pub fn create(&mut self, name: &str, roles: &[Role], expires: Option<OffsetDateTime>, now: OffsetDateTime) -> Result<Made, TokenError> {
        let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"._-@+".contains(&byte);
        if name.is_empty() || name.len() > NAME_MAX || !name.bytes().all(is_good) {
            return Err(TokenError::Name(name.to_string()));
        }
        if roles.is_empty() {
            return Err(TokenError::NoRole);
        }
        if expires.is_some_and(|expires| expires <= now) {
            return Err(TokenError::Expired);
        }
        if self.tokens.len() >= TOKENS_MAX {
            return Err(TokenError::Many);
        }
        let id = loop {
            let id = random::<ID_BYTES>()?;
            if self.tokens.iter().all(|token| token.id != id) {
                break id;
            }
        };
        let secret = format!("{PREFIX}{id}_{}", random::<SECRET_BYTES>()?);
        let digest = Digest::of(secret.as_bytes());
        let token = Token { id, name: name.to_string(), digest, roles: roles.to_vec(), created: now, expires, rotated: None };
        self.tokens.push(token.clone());
        Ok(Made { secret, token })
    }

    /// Makes a token in the place of those of a name, or of one with an id: for the same
    /// roles and as long a time. Those are good for a while yet.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn rotate(&mut self, name_or_id: &str, overlap: Duration, now: OffsetDateTime) -> Result<Made, TokenError> {
        let latest =
            self.tokens.iter().rfind(|token| is_called(token, name_or_id)).ok_or_else(|| TokenError::Unknown(name_or_id.into()))?;
        let Token { name, roles, created, expires, .. } = latest.clone();
        let made = self.create(&name, &roles, expires.map(|expires| now + (expires - created)), now)?;
        let until = now.checked_add(overlap);
        let others = self.tokens.iter_mut().filter(|token| is_called(token, name_or_id) && token.id != made.token.id);
        for token in others {
            token.rotated.get_or_insert(now);
            token.expires = [token.expires, until].into_iter().flatten().min();
        }
        Ok(made)
    }

    /// Takes away the tokens of a name, or the one with an id, and says which.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn revoke(&mut self, name_or_id: &str) -> Result<Vec<Token>, TokenError> {
        let revoked: Vec<Token> = self.tokens.extract_if(.., |token| is_called(token, name_or_id)).collect();
        if revoked.is_empty() { Err(TokenError::Unknown(name_or_id.into())) } else { Ok(revoked) }
    }
}

fn is_called(token: &Token, name_or_id: &str) -> bool {
    token.name == name_or_id || token.id == name_or_id
}

fn random<const N: usize>() -> Result<String, TokenError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(TokenError::Random)?;
    Ok(hex(&bytes))
}

/// What a file knows; nothing if it is not there.
///
/// # Errors
///
/// If it cannot be read or is not as it should be.
pub fn read(path: &Path) -> Result<Tokens, TokenError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Tokens::default()),
        Err(source) => return Err(AccessError::Read { path: path.into(), source }.into()),
    };
    Tokens::parse(&bytes).map_err(|message| AccessError::Wrong { path: path.into(), what: "tokens", message }.into())
}

/// Changes what a file knows: one change at a time, and the file is the old one or the new
/// one, whatever happens, for its owner to read only. It stays that of its owner, and of its
/// group if that may read it: what the server could not read would take nothing back.
///
/// # Errors
///
/// If the change is none, or the file cannot be read or written.
pub fn edit<T>(path: &Path, change: impl FnOnce(&mut Tokens) -> Result<T, TokenError>) -> Result<T, TokenError> {
    let failed = |source| TokenError::Write { path: path.into(), source };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".lock");
    let lock = File::options().create(true).append(true).open(folder.join(name)).map_err(failed)?;
    lock.lock().map_err(failed)?;
    let mut tokens = read(path)?;
    let changed = change(&mut tokens)?;
    let json = serde_json::to_string_pretty(&tokens).map_err(|error| failed(error.into()))?;
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    let own = file.as_file().metadata().map_err(failed)?;
    let (mut mode, before) = (0o600, fs::metadata(path).ok());
    if let Some(before) = before {
        mode |= before.mode() & 0o040;
        if (before.uid(), before.gid()) != (own.uid(), own.gid()) {
            fchown(file.as_file(), Some(before.uid()), Some(before.gid())).map_err(failed)?;
        }
    }
    file.as_file().set_permissions(fs::Permissions::from_mode(mode)).map_err(failed)?;
    file.write_all(json.as_bytes()).and_then(|()| file.write_all(b"\n")).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
    Ok(changed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

    #[test]
    fn ht_20_a_token_is_taken_whole_until_it_expires() {
        let mut tokens = Tokens::default();
        let made = tokens.create("alice", &[Role::Operator], Some(NOW + Duration::HOUR), NOW).expect("made");
        assert_eq!(made.secret.len(), "ephor_".len() + 8 + 1 + 64);
        let who = tokens.find(&made.secret, NOW).expect("known");
        assert_eq!((who.to_string(), who.roles.as_slice()), ("token:alice".into(), [Role::Operator].as_slice()));
        assert!(tokens.find(&made.secret, NOW + Duration::HOUR).is_none(), "expired");
        let other = tokens.create("bob", &[Role::Ingest], None, NOW).expect("made");
        let mixed = format!("{}{}", &made.secret[..15], &other.secret[15..]);
        let shorter = &made.secret[..made.secret.len() - 1];
        for wrong in ["", "ephor_", "ephor_00000000_", &mixed, shorter, &format!("{}0", made.secret), &made.secret.to_uppercase()] {
            assert!(tokens.find(wrong, NOW).is_none(), "{wrong}");
        }
    }

    #[test]
    fn what_is_kept_has_no_token_in_it_and_is_its_owners_only() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tokens.json");
        let made = edit(&path, |tokens| tokens.create("alice", &[Role::Regulator("office".into())], None, NOW)).expect("made");
        let text = fs::read_to_string(&path).expect("a file");
        assert!(!text.contains(&made.secret[16..]) && text.contains("regulator:office"), "{text}");
        assert_eq!(fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o600);
        assert_eq!(read(&path).expect("read").all(), [made.token]);
        // A group that was let in stays so, and others do not come in.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("set");
        edit(&path, |tokens| tokens.revoke("alice")).expect("revoked");
        assert_eq!(fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o640);
    }

    /// Only root can give a file away; elsewhere there is nothing to be seen.
    #[test]
    fn a_file_that_root_has_changed_is_still_its_owners() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tokens.json");
        edit(&path, |tokens| tokens.create("alice", &[Role::Operator], None, NOW)).expect("made");
        if std::os::unix::fs::chown(&path, Some(4_321), Some(4_322)).is_err() {
            return;
        }
        edit(&path, |tokens| tokens.revoke("alice")).expect("revoked");
        let meta = fs::metadata(&path).expect("a file");
        assert_eq!((meta.uid(), meta.gid()), (4_321, 4_322));
    }

    #[test]
    fn one_takes_the_place_of_another_without_a_gap() {
        let mut tokens = Tokens::default();
        let old = tokens.create("shop", &[Role::Ingest], Some(NOW + Duration::days(90)), NOW).expect("made");
        let later = NOW + Duration::days(80);
        let new = tokens.rotate("shop", Duration::HOUR, later).expect("rotated");
        assert_eq!(new.token.expires, Some(later + Duration::days(90)), "for as long a time");
        for token in [&old, &new] {
            assert!(tokens.find(&token.secret, later).is_some());
        }
        assert!(tokens.find(&old.secret, later + Duration::HOUR).is_none());
        assert!(tokens.find(&new.secret, later + Duration::HOUR).is_some());
        assert_eq!(tokens.revoke(&new.token.id).map(|revoked| revoked.len()).ok(), Some(1));
        assert!(tokens.find(&new.secret, later).is_none());
        assert_eq!(tokens.revoke("shop").map(|revoked| revoked.len()).ok(), Some(1));
        assert!(tokens.revoke("shop").is_err() && tokens.rotate("shop", Duration::ZERO, later).is_err());
    }

    #[test]
    fn a_token_is_for_somebody_and_for_something() {
        let mut tokens = Tokens::default();
        for name in ["", "a b", "a\n", "token:alice", "ä"] {
            assert!(matches!(tokens.create(name, &[Role::Ingest], None, NOW), Err(TokenError::Name(_))), "{name}");
        }
        assert!(matches!(tokens.create("a", &[], None, NOW), Err(TokenError::NoRole)));
        assert!(matches!(tokens.create("a", &[Role::Ingest], Some(NOW), NOW), Err(TokenError::Expired)));
        assert!(Tokens::parse(b"{\"tokens\":[],\"more\":1}").is_err() && Tokens::parse(b"").is_err());
    }
}
