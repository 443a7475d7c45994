//! What a repository is to be, and the pieces that its metadata is made of.

use std::num::NonZeroU64;

use time::OffsetDateTime;
use tough::schema::{Hashes, Metafile, RoleType, Target};

use crate::digest::Digest;
use crate::repository::error::AuthorError;
use crate::repository::key::PublicKey;
use crate::repository::roots::Days;

/// What a publisher's keys are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Says which keys count. Used at ceremonies only, kept offline.
    Root,
    /// Signs releases, lists and withdrawals (in TUF: targets and snapshot).
    Releases,
    /// Says every few days that the repository is still the latest (in TUF: timestamp).
    Timestamp,
}

impl Role {
    /// Every one.
    pub const ALL: [Role; 3] = [Role::Root, Role::Releases, Role::Timestamp];

    /// The word on the command line, and the name of the key's file.
    pub fn name(self) -> &'static str {
        match self {
            Role::Root => "root",
            Role::Releases => "releases",
            Role::Timestamp => "timestamp",
        }
    }

    /// The roles of TUF that its keys have.
    pub(super) fn roles(self) -> &'static [RoleType] {
        match self {
            Role::Root => &[RoleType::Root],
            Role::Releases => &[RoleType::Targets, RoleType::Snapshot],
            Role::Timestamp => &[RoleType::Timestamp],
        }
    }
}

/// What a new repository is to be.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Whose it is: lower-case words joined by hyphens.
    pub publisher: String,
    /// For each role its keys, and how many of them have to sign.
    pub keys: [(Role, Vec<PublicKey>, u64); 3],
    /// How long signatures hold.
    pub days: Days,
}

/// What is signed of a file that platforms fetch.
pub(super) fn target(bytes: &[u8]) -> Target {
    Target { length: bytes.len() as u64, hashes: hashes(bytes), custom: Default::default(), _extra: Default::default() }
}

/// What is signed of a file of metadata.
pub(super) fn metafile(bytes: &[u8], version: NonZeroU64) -> Metafile {
    Metafile { length: Some(bytes.len() as u64), hashes: Some(hashes(bytes)), version, _extra: Default::default() }
}

fn hashes(bytes: &[u8]) -> Hashes {
    Hashes { sha256: Digest::of(bytes).bytes().to_vec().into(), _extra: Default::default() }
}

/// The version after one.
pub(super) fn next(version: NonZeroU64) -> NonZeroU64 {
    version.saturating_add(1)
}

/// So many keys have to sign; none is no number.
pub(super) fn threshold_of(number: u64) -> Result<NonZeroU64, AuthorError> {
    NonZeroU64::new(number).ok_or_else(|| AuthorError::Root("at least one key has to sign".into()))
}

/// So many days from now, in whole seconds.
pub(super) fn after(now: OffsetDateTime, days: u32) -> jiff::Timestamp {
    let seconds = now.unix_timestamp() + i64::from(days) * 86_400;
    jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::MAX)
}
