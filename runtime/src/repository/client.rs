//! The platform's side: following one publisher's repository.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use time::OffsetDateTime;
use tough::error::Error;
use tough::schema::{Role as _, RoleType, Root, Signed, Target, Targets};
use tough::{ExpirationEnforcement, IntoVec as _, Limits, Repository, RepositoryLoader, TargetName};

use super::error::{Context, RepositoryError, the};
use super::layout::{self, ListStatement, Named, WITHDRAWN};
use super::location::{BLOB_BYTES_MAX, Carrier, Location, Seen};
use super::memory::Memory;
use super::roots::{About, ROLES, check_keys, trusted};
use crate::digest::{Digest, hex};
use crate::policy::statement::{self, Blob, Fault, Statement, StatementError, Withdrawal};

/// Longest time that one refresh may take.
const REFRESH_TIMEOUT: Duration = Duration::from_secs(300);

/// Most roots that are followed at a time.
const ROOTS_MAX: u64 = 1_024;

/// Bytes of the list of withdrawals.
const WITHDRAWN_BYTES_MAX: u64 = 4 << 20;

/// One publisher's repository as a platform follows it.
///
/// What it has seen is kept in a datastore, so that neither a restart nor a clock
/// that goes back makes an older repository acceptable.
#[derive(Debug)]
pub struct Client {
    publisher: String,
    location: Location,
    carrier: Carrier,
    datastore: PathBuf,
    /// The root that the platform was given.
    anchor: Vec<u8>,
    memory: Memory,
    /// Statements that were read before, by the names of their targets.
    read: BTreeMap<String, (Digest, Vec<u8>)>,
}

/// What a publisher says, all of it from one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Who.
    pub publisher: String,
    /// The version of the snapshot, which only grows.
    pub version: u64,
    /// Until when it holds without being renewed: when the timestamp expires.
    pub expires: OffsetDateTime,
    /// Releases, by policy and version.
    pub releases: Vec<Published>,
    /// Versions of reference lists that were published by themselves.
    pub lists: Vec<PublishedList>,
    /// Releases that are taken back.
    pub withdrawn: Vec<Withdrawal>,
    repository: Arc<Repository>,
}

/// A release as it was published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// What the publisher says of it.
    pub statement: Statement,
    /// Of the statement's bytes.
    pub digest: Digest,
}

/// A version of a reference list as it was published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedList {
    /// The list's name.
    pub name: String,
    /// The version, as its publisher counts.
    pub version: String,
    /// Its file.
    pub blob: Blob,
    /// When it was published.
    pub issued: OffsetDateTime,
}

/// Until when one of the four signatures holds, and how many keys make it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// `root`, `targets`, `snapshot` or `timestamp`.
    pub role: String,
    /// The version.
    pub version: u64,
    /// Until when.
    #[serde(with = "time::serde::rfc3339")]
    pub expires: OffsetDateTime,
    /// From when on it ought to be renewed: the last fifth of its time, where the
    /// publisher says how long that is.
    #[serde(with = "time::serde::rfc3339::option")]
    pub renew_from: Option<OffsetDateTime>,
    /// How many of its keys have to sign.
    pub threshold: u64,
    /// Its keys.
    pub keys: Vec<String>,
}

impl Client {
    /// Follows a repository from a root that the platform was given by hand.
    ///
    /// `datastore` is a folder of this repository's own, made if it is not there.
    /// Nothing is fetched yet.
    ///
    /// # Errors
    ///
    /// If the root is none or another publisher's, or the datastore cannot be used.
    pub fn new(publisher: &str, location: &Location, root: Vec<u8>, datastore: &Path) -> Result<Self, RepositoryError> {
        let parsed = trusted(&root).map_err(|problem| RepositoryError::TrustedRoot { problem })?;
        check_publisher(publisher, &parsed.signed)?;
        let memory = Memory::open(datastore, &root)?;
        Ok(Client {
            publisher: publisher.into(),
            location: location.clone(),
            carrier: Carrier::new(location),
            datastore: datastore.into(),
            anchor: root,
            memory,
            read: BTreeMap::new(),
        })
    }

    /// The latest time that was seen, which expiry is judged by; absent before the first
    /// look ever.
    pub fn time(&self) -> Option<OffsetDateTime> {
        self.memory.time
    }

    /// Until when what was seen last holds, or held; absent if nothing ever was.
    pub fn expires(&self) -> Option<OffsetDateTime> {
        self.memory.expires
    }

    /// Fetches and checks what is there now. All of it holds, or it is an error and
    /// nothing changes but what is remembered in order to refuse the next attack.
    ///
    /// # Errors
    ///
    /// What is wrong, by the name of the attack. [`RepositoryError::Expired`] means
    /// that what is in force stays good and gets old.
    pub async fn refresh(&mut self) -> Result<Snapshot, RepositoryError> {
        self.refresh_at(OffsetDateTime::now_utc()).await
    }

    /// The same at a given time. Where a later one was seen before, that one counts.
    ///
    /// # Errors
    ///
    /// As [`Client::refresh`].
    pub async fn refresh_at(&mut self, now: OffsetDateTime) -> Result<Snapshot, RepositoryError> {
        // Whole seconds, as in everything that is signed.
        let now = now.replace_nanosecond(0).unwrap_or(now);
        let now = self.memory.time.map_or(now, |seen| seen.max(now));
        self.memory.time = Some(now);
        let outcome = tokio::time::timeout(REFRESH_TIMEOUT, self.load()).await;
        let taken = match outcome {
            Ok(Ok(repository)) => self.take(Arc::new(repository), now).await,
            Ok(Err(error)) => Err(error),
            Err(_) => {
                let problem = format!("it took more than {} s", REFRESH_TIMEOUT.as_secs());
                Err(RepositoryError::Unreachable { location: self.location.to_string(), problem })
            }
        };
        match &taken {
            Ok(snapshot) => self.memory.expires = Some(snapshot.expires),
            // Another signature than the timestamp's may end earlier.
            Err(RepositoryError::Expired { since, .. }) => {
                self.memory.expires = Some(self.memory.expires.map_or(*since, |expires| expires.min(*since)));
            }
            Err(_) => {}
        }
        self.save().await?;
        taken
    }

    /// Has tough verify the metadata, and remembers what it has reached.
    ///
    /// tough is not asked about expiry, because it would ask the system's clock, which
    /// may go back; [`Client::take`] does it.
    async fn load(&mut self) -> Result<Repository, RepositoryError> {
        let datastore = self.datastore.clone();
        let here = |error: std::io::Error| RepositoryError::Datastore { path: datastore.clone(), problem: error.to_string() };
        let staging = tempfile::Builder::new().prefix(".refresh-").tempdir_in(&self.datastore).map_err(here)?;
        self.memory.stage(staging.path()).map_err(here)?;
        let start = match &self.memory.root {
            Some(root) => root.to_string().into_bytes(),
            None => self.anchor.clone(),
        };
        let begin = trusted(&start).map_err(|problem| RepositoryError::TrustedRoot { problem })?;
        let bases = self.carrier.bases();
        let (metadata, targets) = bases.map_err(|error| RepositoryError::Unreachable {
            location: self.location.to_string(),
            problem: format!("it is not a place for a repository: {error}"),
        })?;
        let _ = self.carrier.take_seen();
        let loaded = RepositoryLoader::new(&start, metadata, targets)
            .transport(self.carrier.clone())
            .limits(Limits { max_root_updates: ROOTS_MAX, ..Limits::default() })
            .datastore(staging.path())
            .expiration_enforcement(ExpirationEnforcement::Unsafe)
            .load()
            .await;
        let seen = self.carrier.take_seen();
        let reached = self.roots(begin, &seen, staging.path())?;
        let outcome = loaded.map_err(|error| {
            let location = self.location.to_string();
            Context { location, seen: &seen, root: &reached, keys: &self.memory.keys }.explain(error)
        });
        self.memory.take(staging.path()).map_err(here)?;
        outcome
    }

    /// The root that tough has reached from where it began; all on the way are looked
    /// at once more.
    fn roots(&mut self, begin: Signed<Root>, seen: &Seen, staging: &Path) -> Result<Root, RepositoryError> {
        let root = |bytes: &[u8]| serde_json::from_slice::<Signed<Root>>(bytes).ok().map(|root| root.signed);
        let reached = std::fs::read(staging.join("root.json")).ok().and_then(|bytes| root(&bytes)).unwrap_or_else(|| begin.signed.clone());
        let fetched = seen.files.iter().filter(|(path, _)| path.ends_with(".root.json")).filter_map(|(_, bytes)| root(bytes));
        let between: Vec<Root> = fetched.filter(|root| root.version > begin.signed.version && root.version <= reached.version).collect();
        let chain: Vec<&Root> = [&begin.signed].into_iter().chain(&between).chain([&reached]).collect();
        for root in &chain {
            check_keys(root).map_err(|problem| RepositoryError::DuplicateKey { problem })?;
            check_publisher(&self.publisher, root)?;
        }
        self.memory.keys.extend(chain.iter().flat_map(|root| root.keys.keys()).map(|id| hex(id)));
        Ok(reached)
    }

    /// Checks what the metadata says: that it still holds, that names are names, that
    /// statements are statements and bind what is there, and that nothing has changed
    /// under its version.
    async fn take(&mut self, repository: Arc<Repository>, now: OffsetDateTime) -> Result<Snapshot, RepositoryError> {
        expired(&repository, now)?;
        let targets = &repository.targets().signed;
        let mut known = Vec::new();
        let (mut releases, mut lists, mut withdrawn) = (Vec::new(), Vec::new(), Vec::new());
        let mut names: Vec<&TargetName> = repository.all_targets().map(|(name, _)| name).collect();
        names.sort();
        names.dedup();
        for name in names {
            let unsafe_name = || RepositoryError::UnsafeName { name: name.raw().into() };
            let what = Named::of(name.raw()).filter(|_| name.raw() == name.resolved()).ok_or_else(unsafe_name)?;
            // Delegations say in which order several that have a name are asked.
            let Ok(target) = targets.find_target(name, false) else { continue };
            match what {
                Named::Release(path) => {
                    let (digest, bytes) = self.statement(&repository, name, target, &mut known).await?;
                    let fail = |problem| RepositoryError::Statement { name: path.into(), problem };
                    let statement = Statement::parse(&bytes).map_err(fail)?;
                    named_so(path, &layout::release_of(&statement))?;
                    for blob in statement.blobs() {
                        bound(targets, path, &blob)?;
                    }
                    releases.push(Published { statement, digest });
                }
                Named::List(path) => {
                    let (_, bytes) = self.statement(&repository, name, target, &mut known).await?;
                    let list = parse_list(&bytes).map_err(|problem| RepositoryError::Statement { name: path.into(), problem })?;
                    named_so(path, &layout::list(&list.name, &list.version))?;
                    bound(targets, path, &list.list)?;
                    lists.push(PublishedList { name: list.name, version: list.version, blob: list.list, issued: list.issued });
                }
                Named::Withdrawn => {
                    let bytes = fetch(&repository, name, target, WITHDRAWN_BYTES_MAX).await?;
                    let fail = |problem| RepositoryError::Statement { name: WITHDRAWN.into(), problem };
                    withdrawn = Withdrawal::parse(&bytes).map_err(fail)?;
                }
                Named::Blob | Named::Other => {}
            }
        }
        releases.sort_by(|a, b| (&a.statement.policy, &a.statement.version).cmp(&(&b.statement.policy, &b.statement.version)));
        self.memory.known.extend(known);
        Ok(Snapshot {
            publisher: self.publisher.clone(),
            version: repository.snapshot().signed.version.get(),
            expires: time_of(repository.timestamp().signed.expires),
            releases,
            lists,
            withdrawn,
            repository,
        })
    }

    /// The bytes of a statement, which are the same for ever.
    async fn statement(
        &mut self,
        repository: &Arc<Repository>,
        name: &TargetName,
        target: &Target,
        known: &mut Vec<(String, Digest)>,
    ) -> Result<(Digest, Vec<u8>), RepositoryError> {
        let path = name.raw();
        let offered = digest_of(target).ok_or_else(|| RepositoryError::Malformed {
            what: the(RoleType::Targets),
            problem: format!("{path} has a digest that is none"),
        })?;
        if let Some(had) = self.memory.known.get(path)
            && *had != offered
        {
            return Err(RepositoryError::ReleaseChanged { name: path.into(), had: *had, offered });
        }
        known.push((path.into(), offered));
        if let Some((digest, bytes)) = self.read.get(path)
            && *digest == offered
        {
            return Ok((offered, bytes.clone()));
        }
        let bytes = fetch(repository, name, target, statement::BYTES_MAX as u64).await?;
        self.read.insert(path.into(), (offered, bytes.clone()));
        Ok((offered, bytes))
    }

    /// Writes what is remembered, where waiting for the disk disturbs nobody.
    async fn save(&self) -> Result<(), RepositoryError> {
        let (memory, datastore) = (self.memory.clone(), self.datastore.clone());
        let saved = tokio::task::spawn_blocking(move || memory.save(&datastore)).await;
        saved.unwrap_or_else(|error| {
            Err(RepositoryError::Datastore { path: self.datastore.clone(), problem: format!("could not be written: {error}") })
        })
    }
}

impl Snapshot {
    /// The bytes that a statement binds: all of them, and checked against their number
    /// and digest. Whoever loads them loads what was checked.
    ///
    /// # Errors
    ///
    /// If they are not to be had, or are others.
    pub async fn blob(&self, blob: &Blob) -> Result<Vec<u8>, RepositoryError> {
        let path = layout::blob(&blob.digest);
        let targets = &self.repository.targets().signed;
        let target = bound(targets, &path, blob)?;
        let bytes = fetch(&self.repository, &name_of(&path)?, target, BLOB_BYTES_MAX).await?;
        let found = Blob::of(&bytes);
        if found != *blob {
            let text = |blob: &Blob| format!("{} ({} bytes)", blob.digest, blob.bytes);
            return Err(RepositoryError::WrongTarget { name: path, expected: text(blob), found: text(&found) });
        }
        Ok(bytes)
    }

    /// The version of a policy that counts highest and is not withdrawn.
    pub fn latest(&self, policy: &str) -> Option<&Published> {
        let standing = self.releases.iter().filter(|release| release.statement.policy == policy && self.withdrawal(release).is_none());
        standing.max_by(|a, b| a.statement.version.cmp(&b.statement.version))
    }

    /// Why a release is taken back, if it is.
    pub fn withdrawal(&self, release: &Published) -> Option<&Withdrawal> {
        let statement = &release.statement;
        self.withdrawn.iter().find(|withdrawn| withdrawn.policy == statement.policy && withdrawn.version == statement.version)
    }

    /// How the four signatures stand that all this rests on.
    pub fn standing(&self) -> Vec<Standing> {
        let root = &self.repository.root().signed;
        let days = About::of(root).map(|about| about.days);
        let role = |role: RoleType, version: std::num::NonZeroU64, expires: jiff::Timestamp| {
            let keys = root.roles.get(&role);
            let expires = time_of(expires);
            let life = days.map(|days| match role {
                RoleType::Root => days.root,
                RoleType::Timestamp => days.timestamp,
                _ => days.releases,
            });
            Standing {
                role: role.to_string(),
                version: version.get(),
                expires,
                renew_from: life.map(|days| expires - time::Duration::days(days.into()) / 5),
                threshold: keys.map_or(0, |keys| keys.threshold.get()),
                keys: keys.into_iter().flat_map(|keys| &keys.keyids).map(|id| hex(id)).collect(),
            }
        };
        let (targets, snapshot, timestamp) =
            (&self.repository.targets().signed, &self.repository.snapshot().signed, &self.repository.timestamp().signed);
        ROLES
            .into_iter()
            .map(|of| match of {
                RoleType::Targets => role(of, targets.version, targets.expires),
                RoleType::Snapshot => role(of, snapshot.version, snapshot.expires),
                RoleType::Timestamp => role(of, timestamp.version, timestamp.expires),
                _ => role(of, root.version, root.expires),
            })
            .collect()
    }
}

/// A root says whose it is, so that nobody mistakes one publisher's for another's.
fn check_publisher(expected: &str, root: &Root) -> Result<(), RepositoryError> {
    match About::of(root) {
        Some(about) if about.publisher != expected => {
            Err(RepositoryError::WrongPublisher { expected: expected.into(), found: about.publisher })
        }
        _ => Ok(()),
    }
}

/// Whether every signature still holds, in the order of TUF.
fn expired(repository: &Repository, now: OffsetDateTime) -> Result<(), RepositoryError> {
    let check = |what: String, expires: jiff::Timestamp| {
        let since = time_of(expires);
        if since < now { Err(RepositoryError::Expired { what, since }) } else { Ok(()) }
    };
    check(the(RoleType::Root), repository.root().signed.expires)?;
    check(the(RoleType::Timestamp), repository.timestamp().signed.expires)?;
    check(the(RoleType::Snapshot), repository.snapshot().signed.expires)?;
    check(the(RoleType::Targets), repository.targets().signed.expires)?;
    for delegated in repository.targets().signed.signed_delegated_targets() {
        check(format!("{} ({})", the(RoleType::DelegatedTargets), delegated.signed.name), delegated.signed.expires())?;
    }
    Ok(())
}

/// tough's clock counts as ours does.
pub(super) fn time_of(time: jiff::Timestamp) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(time.as_second()).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// The target that has these bytes: listed, and as many and with the digest as bound.
fn bound<'t>(targets: &'t Targets, name: &str, blob: &Blob) -> Result<&'t Target, RepositoryError> {
    let path = layout::blob(&blob.digest);
    let target = targets.find_target(&name_of(&path)?, false).map_err(|_| RepositoryError::Missing { name: path.clone() })?;
    let found = digest_of(target);
    if found != Some(blob.digest) || target.length != blob.bytes {
        let found = found.map_or("no digest".to_string(), |digest| format!("{digest} ({} bytes)", target.length));
        let expected = format!("{} ({} bytes)", blob.digest, blob.bytes);
        return Err(RepositoryError::WrongTarget { name: format!("{path}, bound by {name},"), expected, found });
    }
    Ok(target)
}

/// A statement stands under the name of what it is about.
fn named_so(name: &str, expected: &str) -> Result<(), RepositoryError> {
    if name == expected {
        return Ok(());
    }
    Err(RepositoryError::WrongTarget { name: name.into(), expected: name.into(), found: format!("the statement of {expected}") })
}

fn name_of(path: &str) -> Result<TargetName, RepositoryError> {
    TargetName::new(path).map_err(|_| RepositoryError::UnsafeName { name: path.into() })
}

fn digest_of(target: &Target) -> Option<Digest> {
    let bytes: [u8; 32] = target.hashes.sha256.as_ref().try_into().ok()?;
    Some(Digest::from_bytes(bytes))
}

/// Reads a target whole; tough holds it against its length and digest.
async fn fetch(repository: &Repository, name: &TargetName, target: &Target, max: u64) -> Result<Vec<u8>, RepositoryError> {
    if target.length > max {
        return Err(RepositoryError::EndlessData { file: name.raw().into(), max });
    }
    let (seen, keys) = Default::default();
    let explain = |error: Error| {
        let context = Context { location: name.raw().into(), seen: &seen, root: &repository.root().signed, keys: &keys };
        context.explain(error)
    };
    let stream = repository.read_target(name).await.map_err(explain)?;
    let stream = stream.ok_or_else(|| RepositoryError::Missing { name: name.raw().into() })?;
    stream.into_vec().await.map_err(explain)
}

fn parse_list(bytes: &[u8]) -> Result<ListStatement, StatementError> {
    let fault = |pointer: String, problem: String| StatementError(vec![Fault { pointer, problem }]);
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let list: ListStatement = serde_path_to_error::deserialize(&mut reader)
        .map_err(|error| fault(statement::pointer(error.path()), error.inner().to_string()))?;
    reader.end().map_err(|error| fault(String::new(), error.to_string()))?;
    if list.statement != ListStatement::FORMAT {
        return Err(fault(
            "/statement".into(),
            format!("is {:?}, and this program knows {:?} only", list.statement, ListStatement::FORMAT),
        ));
    }
    Ok(list)
}
