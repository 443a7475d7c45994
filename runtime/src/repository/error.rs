//! Refusals, one for each attack, in words for whoever publishes or follows.

use std::collections::BTreeSet;
use std::path::PathBuf;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tough::TransportErrorKind;
use tough::error::Error;
use tough::schema::{Error as SchemaError, RoleType, Root};

use super::key::KeyError;
use super::layout::TARGETS;
use super::location::{Seen, TooLong};
use super::roots::short;
use crate::digest::{Digest, hex};
use crate::policy::statement::StatementError;

/// Why a repository is not followed. What was in force before stays so.
///
/// The texts are for the publisher, who has to mend it; [`RepositoryError::code`] is
/// for machines.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RepositoryError {
    /// An older version than was seen before.
    #[error(
        "{what} has version {offered}, but version {had} was seen before: somebody shows an older repository, or a backup was put in its place"
    )]
    Rollback {
        /// Which metadata.
        what: String,
        /// The version that was seen.
        had: u64,
        /// The version that is shown now.
        offered: u64,
    },
    /// Signatures that hold no longer: nothing new comes, or somebody keeps it away.
    #[error("the signature on {what} held until {}: {}", stamp(*since), if what == "the timestamp" {
        "the publisher has not renewed it (ephor repo refresh-timestamp), or somebody keeps newer ones away"
    } else {
        "the publisher has to sign it again"
    })]
    Expired {
        /// Which metadata.
        what: String,
        /// Until when it held.
        since: OffsetDateTime,
    },
    /// Parts that were never published together.
    #[error("{what} is not the one that belongs to the rest: {problem}")]
    MixAndMatch {
        /// Which metadata.
        what: String,
        /// What does not fit.
        problem: String,
    },
    /// Bytes that are not the signed ones.
    #[error("{name} is {found}, but the publisher has signed {expected}")]
    WrongTarget {
        /// Which target.
        name: String,
        /// What is signed.
        expected: String,
        /// What is there.
        found: String,
    },
    /// More bytes than were signed, or than anybody takes.
    #[error("{file} does not end where it should, after {max} bytes")]
    EndlessData {
        /// Which file.
        file: String,
        /// Most bytes that it could have.
        max: u64,
    },
    /// No signature at all.
    #[error("{what} is not signed")]
    Unsigned {
        /// Which metadata.
        what: String,
    },
    /// Signed by somebody whom the root does not know.
    #[error("{what} is signed by key {key}, which the publisher's root does not know")]
    UnknownKey {
        /// Which metadata.
        what: String,
        /// The key, in short.
        key: String,
    },
    /// Signed by a key that no root names any more.
    #[error("{what} is signed by key {key}, which the publisher has revoked")]
    RevokedKey {
        /// Which metadata.
        what: String,
        /// The key, in short.
        key: String,
    },
    /// Signed by a key that is for something else.
    #[error("{what} is signed by key {key}, which is the publisher's, but not for this")]
    ForeignRole {
        /// Which metadata.
        what: String,
        /// The key, in short.
        key: String,
    },
    /// A right key, and a signature that is not of these bytes.
    #[error("{what} was changed after it was signed: the signature is not of these bytes")]
    BadSignature {
        /// Which metadata.
        what: String,
    },
    /// Fewer signatures than the root asks for.
    #[error("{what} has {valid} of the {needed} signatures that the publisher's root asks for")]
    Threshold {
        /// Which metadata.
        what: String,
        /// How many it takes.
        needed: u64,
        /// How many there are.
        valid: u64,
    },
    /// One key that is to count as several.
    #[error("one key is to count twice: {problem}")]
    DuplicateKey {
        /// Where.
        problem: String,
    },
    /// A new root that does not follow from the one that is trusted.
    #[error("the root of version {version} does not follow from the one before it: {problem}")]
    RootChain {
        /// The version that was offered.
        version: u64,
        /// What is missing.
        problem: String,
    },
    /// A release that was published with other content before.
    #[error("{name} was published before as {had}, and is {offered} now; a version never changes: publish a new one")]
    ReleaseChanged {
        /// Which release or list.
        name: String,
        /// Digest of the statement that was seen.
        had: Digest,
        /// Digest of the one that is shown now.
        offered: Digest,
    },
    /// A name that could lead out of a folder.
    #[error("a target is named {name:?}, which could lead out of a folder")]
    UnsafeName {
        /// The name.
        name: String,
    },
    /// A statement that is none.
    #[error("{name} is not a statement: {problem}")]
    Statement {
        /// Which target.
        name: String,
        /// What is wrong, by JSON pointer.
        problem: StatementError,
    },
    /// Metadata that is none.
    #[error("{what} cannot be read: {problem}")]
    Malformed {
        /// Which metadata.
        what: String,
        /// What is wrong.
        problem: String,
    },
    /// A file that is signed and not there.
    #[error("{name} is signed, but it is not in the repository")]
    Missing {
        /// Which file.
        name: String,
    },
    /// Another publisher's root.
    #[error("the root is that of {found:?}, not of {expected:?}")]
    WrongPublisher {
        /// Whose root it should be.
        expected: String,
        /// Whose it is.
        found: String,
    },
    /// The root that the platform was given is none.
    #[error("the trusted root {problem}; ask the publisher for it, and compare its digest")]
    TrustedRoot {
        /// What is wrong.
        problem: String,
    },
    /// The repository is not to be had.
    #[error("the repository at {location} is not to be had: {problem}")]
    Unreachable {
        /// Where it should be.
        location: String,
        /// What the system says.
        problem: String,
    },
    /// What is remembered of the repository cannot be used.
    #[error(
        "{}: {problem}. It protects from being shown an older repository; only if it cannot be mended, remove it, and trust begins anew from the root that the platform was given",
        path.display()
    )]
    Datastore {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
}

impl RepositoryError {
    /// The word for machines: in status, metrics and entries.
    pub fn code(&self) -> &'static str {
        match self {
            RepositoryError::Rollback { .. } => "rollback",
            RepositoryError::Expired { .. } => "expired",
            RepositoryError::MixAndMatch { .. } => "mix-and-match",
            RepositoryError::WrongTarget { .. } => "wrong-target",
            RepositoryError::EndlessData { .. } => "endless-data",
            RepositoryError::Unsigned { .. } => "unsigned",
            RepositoryError::UnknownKey { .. } => "unknown-key",
            RepositoryError::RevokedKey { .. } => "revoked-key",
            RepositoryError::ForeignRole { .. } => "key-of-another-role",
            RepositoryError::BadSignature { .. } => "bad-signature",
            RepositoryError::Threshold { .. } => "threshold",
            RepositoryError::DuplicateKey { .. } => "duplicate-key",
            RepositoryError::RootChain { .. } => "root-chain",
            RepositoryError::ReleaseChanged { .. } => "release-changed",
            RepositoryError::UnsafeName { .. } => "unsafe-name",
            RepositoryError::Statement { .. } => "statement",
            RepositoryError::Malformed { .. } => "malformed",
            RepositoryError::Missing { .. } => "missing",
            RepositoryError::WrongPublisher { .. } => "wrong-publisher",
            RepositoryError::TrustedRoot { .. } => "trusted-root",
            RepositoryError::Unreachable { .. } => "unreachable",
            RepositoryError::Datastore { .. } => "datastore",
        }
    }
}

fn stamp(time: OffsetDateTime) -> String {
    time.format(&Rfc3339).unwrap_or_else(|_| time.to_string())
}

/// A role in a sentence.
pub(super) fn the(role: RoleType) -> String {
    match role {
        RoleType::DelegatedTargets => "a delegated part of the releases".into(),
        RoleType::Targets => "the list of releases (targets)".into(),
        role => format!("the {role}"),
    }
}

/// What an error of tough is told with: what came, and who may sign.
pub(super) struct Context<'a> {
    pub location: String,
    pub seen: &'a Seen,
    /// The root that was reached.
    pub root: &'a Root,
    /// Every key that a root has named before.
    pub keys: &'a BTreeSet<String>,
}

impl Context<'_> {
    /// Tells what kind of attack, or slip, an error is.
    pub fn explain(&self, error: Error) -> RepositoryError {
        let malformed = |what: String, problem: String| RepositoryError::Malformed { what, problem };
        match error {
            Error::OlderMetadata { role: RoleType::Root, new_version, current_version, .. } => {
                let problem = format!("it stands where version {} should be", current_version + 1);
                RepositoryError::RootChain { version: new_version, problem }
            }
            Error::OlderMetadata { role, current_version, new_version, .. } => {
                RepositoryError::Rollback { what: the(role), had: current_version, offered: new_version }
            }
            Error::OlderSnapshotInTimestamp { snapshot_new, snapshot_old, .. } => {
                RepositoryError::Rollback { what: the(RoleType::Snapshot), had: snapshot_old, offered: snapshot_new }
            }
            Error::SnapshotRoleRollback { role, old_role_version, new_role_version, .. } => {
                RepositoryError::Rollback { what: role, had: old_role_version, offered: new_role_version }
            }
            Error::SnapshotRoleMissing { role, .. } => {
                RepositoryError::MixAndMatch { what: the(RoleType::Snapshot), problem: format!("it names {role} no longer") }
            }
            Error::VersionMismatch { role, fetched, expected, .. } => {
                let problem = format!("it has version {fetched}, and version {expected} is signed");
                RepositoryError::MixAndMatch { what: the(role), problem }
            }
            Error::VerifyMetadata { role, source, .. } => self.signature(role, source),
            Error::VerifyTrustedMetadata { source, .. } => {
                RepositoryError::TrustedRoot { problem: format!("is not signed by its own keys: {source}") }
            }
            Error::ParseTrustedMetadata { source, .. } => RepositoryError::TrustedRoot { problem: format!("is not a root: {source}") },
            Error::MaxUpdatesExceeded { max_root_updates, .. } => {
                RepositoryError::EndlessData { file: "the chain of roots".into(), max: max_root_updates }
            }
            Error::Transport { url, source, .. } => self.transport(url.path(), &source),
            Error::ParseMetadata { role, source, .. } => {
                let problem = source.to_string();
                // A key under a name that is not its own, or twice.
                if problem.contains("uplicate key ID") || problem.contains("nvalid key ID") {
                    return RepositoryError::DuplicateKey { problem };
                }
                malformed(the(role), problem)
            }
            Error::InvalidPath { source } => malformed(the(RoleType::Targets), format!("a part names what it has no right to: {source}")),
            Error::InvalidTargetName { inner, .. } => RepositoryError::UnsafeName { name: inner },
            other => malformed("the repository".into(), other.to_string()),
        }
    }

    /// A file that did not come, or not as it should.
    fn transport(&self, path: &str, error: &tough::TransportError) -> RepositoryError {
        let source = std::error::Error::source(error);
        if let Some(too_long) = source.and_then(|source| source.downcast_ref::<TooLong>()) {
            return RepositoryError::EndlessData { file: path.into(), max: too_long.max };
        }
        match source.and_then(|source| source.downcast_ref::<Error>()) {
            Some(Error::MaxSizeExceeded { max_size, .. }) => return RepositoryError::EndlessData { file: path.into(), max: *max_size },
            Some(Error::HashMismatch { calculated, expected, .. }) => {
                if path.contains(TARGETS) {
                    let (expected, found) = (format!("sha256:{expected}"), format!("sha256:{calculated}"));
                    return RepositoryError::WrongTarget { name: path.into(), expected, found };
                }
                let problem = format!("its digest is sha256:{calculated}, and sha256:{expected} is signed");
                return RepositoryError::MixAndMatch { what: path.into(), problem };
            }
            _ => {}
        }
        if error.kind() == TransportErrorKind::FileNotFound && !path.ends_with("timestamp.json") {
            return RepositoryError::Missing { name: path.into() };
        }
        // Without a timestamp there is no repository at all.
        let problem = source.map_or_else(|| error.to_string(), |source| format!("{path}: {}", chain(source)));
        RepositoryError::Unreachable { location: self.location.clone(), problem }
    }

    /// Signatures that are not as they should be: which way.
    fn signature(&self, role: RoleType, error: SchemaError) -> RepositoryError {
        let what = the(role);
        let (needed, valid) = match error {
            SchemaError::DuplicateKeyId { .. } => {
                return RepositoryError::DuplicateKey { problem: format!("{what} has two signatures under the name of one key") };
            }
            SchemaError::SignatureThreshold { threshold, valid, .. } => (threshold, valid),
            other => return RepositoryError::Malformed { what, problem: other.to_string() },
        };
        let last = self.seen.last.as_ref().and_then(|path| self.seen.files.get(path));
        let document: serde_json::Value = last.and_then(|bytes| serde_json::from_slice(bytes).ok()).unwrap_or_default();
        let signers: Vec<String> = document["signatures"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|signature| Some(signature["keyid"].as_str()?.to_ascii_lowercase()))
            .collect();
        if role == RoleType::Root {
            let version = document["signed"]["version"].as_u64().unwrap_or(self.root.version.get() + 1);
            let problem = format!("{valid} of the {needed} signatures that it needs are there");
            return RepositoryError::RootChain { version, problem };
        }
        if signers.is_empty() {
            return RepositoryError::Unsigned { what };
        }
        let own: BTreeSet<String> = self.root.roles.get(&role).into_iter().flat_map(|keys| &keys.keyids).map(|id| hex(id)).collect();
        let present: BTreeSet<String> = self.root.keys.keys().map(|id| hex(id)).collect();
        let right = signers.iter().filter(|signer| own.contains(*signer)).count() as u64;
        if right >= needed || (right > valid && signers.len() as u64 == right) {
            return RepositoryError::BadSignature { what };
        }
        let Some(stranger) = signers.iter().find(|signer| !own.contains(*signer)) else {
            return RepositoryError::Threshold { what, needed, valid };
        };
        let key = stranger.get(..12).unwrap_or(stranger).to_string();
        if !present.contains(stranger) && self.keys.contains(stranger) {
            RepositoryError::RevokedKey { what, key }
        } else if right > 0 {
            RepositoryError::Threshold { what, needed, valid }
        } else if present.contains(stranger) {
            RepositoryError::ForeignRole { what, key }
        } else {
            RepositoryError::UnknownKey { what, key }
        }
    }
}

/// An error with its causes, in one line.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        let cause = error.to_string();
        if !text.contains(&cause) {
            text.push_str(&format!(": {cause}"));
        }
        next = error.source();
    }
    text
}

/// Why a repository was not edited. Nothing of it was changed, unless it says so.
#[derive(Debug, thiserror::Error)]
pub enum AuthorError {
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
    /// There is something already.
    #[error("{} is not empty; a repository begins in a folder of its own", .0.display())]
    Occupied(PathBuf),
    /// Somebody else is at it.
    #[error("{}: another process edits this repository; try again when it is done", .0.display())]
    Locked(PathBuf),
    /// It is no repository, or a damaged one.
    #[error("{}: {problem}", path.display())]
    NotARepository {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The keys at hand do not suffice.
    #[error(
        "{what} needs {needed} of these keys to sign: {}; {have} of them {} at hand. Give the others with --key", names.join(", "),
        if *have == 1 { "is" } else { "are" }
    )]
    Keys {
        /// What is to be signed.
        what: String,
        /// How many signatures it takes.
        needed: u64,
        /// How many keys are here.
        have: u64,
        /// Which would do, in short.
        names: Vec<String>,
    },
    /// A key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The version is taken.
    #[error("{name} is published already, with other content. A version never changes: choose a new one")]
    Taken {
        /// Which release or list.
        name: String,
    },
    /// Something that is to be changed is not there.
    #[error("{0}")]
    Nothing(String),
    /// A statement that nobody would take.
    #[error("the statement does not hold together: {0}")]
    Statement(#[from] StatementError),
    /// A root that nobody could follow.
    #[error("{0}")]
    Root(String),
}

/// The names of keys, in short.
pub(super) fn names<'a>(ids: impl IntoIterator<Item = &'a [u8]>) -> Vec<String> {
    ids.into_iter().map(short).collect()
}
