//! The publisher's side: making and editing a repository.
//!
//! Every change is signed in memory, checked as a platform would check it, and then
//! written in the order that lets a platform see the old or the new state and never
//! half of each: blobs, targets, snapshot, and last the timestamp, by renaming.

mod files;
mod plan;
mod sign;

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use time::OffsetDateTime;
use tough::TargetName;
use tough::schema::{Role as _, RoleKeys, RoleType, Root, Signed, Snapshot, Targets, Timestamp};

use super::client::time_of;
use super::error::AuthorError;
use super::key::{PublicKey, Signer};
use super::layout::{self, ListStatement, Named, WITHDRAWN};
pub use super::roots::Days;
use super::roots::{About, check_keys};
use crate::digest::{Digest, hex};
use crate::policy::manifest::is_name;
use crate::policy::statement::{Blob, Statement, Withdrawal};
use files::Files;
pub use plan::{Plan, Role};
use plan::{after, metafile, next, target, threshold_of};
use sign::sign;

/// The version of TUF that the metadata is written in.
const SPECIFICATION: &str = "1.0.0";

/// A repository that is being edited; locked against others for as long.
#[derive(Debug)]
pub struct Author {
    files: Files,
    about: About,
    root: Signed<Root>,
    targets: Signed<Targets>,
    snapshot: Signed<Snapshot>,
    timestamp: Signed<Timestamp>,
    /// Targets that are to be written, by name.
    staged: BTreeMap<String, Vec<u8>>,
}

impl Author {
    /// Makes a repository in a folder that is empty or not there.
    ///
    /// # Errors
    ///
    /// If the keys do not suffice, or the folder is in use. Nothing is left behind but
    /// the folder.
    pub fn init(folder: &Path, plan: &Plan, signers: &[Signer], now: OffsetDateTime) -> Result<Self, AuthorError> {
        if !is_name(&plan.publisher) {
            return Err(AuthorError::Root(format!("{:?} is not a publisher's name: lower-case words joined by hyphens", plan.publisher)));
        }
        let files = Files::create(folder)?;
        let about = About { publisher: plan.publisher.clone(), days: plan.days };
        let mut root = Root {
            spec_version: SPECIFICATION.into(),
            consistent_snapshot: true,
            version: NonZeroU64::MIN,
            expires: after(now, about.days.root),
            keys: Default::default(),
            roles: Default::default(),
            _extra: Default::default(),
        };
        about.write(&mut root);
        for (role, keys, threshold) in &plan.keys {
            for of in role.roles() {
                let ids = keys.iter().map(|key| key.id.clone()).collect();
                root.roles.insert(*of, RoleKeys { keyids: ids, threshold: threshold_of(*threshold)?, _extra: Default::default() });
            }
            root.keys.extend(keys.iter().map(|key| (key.id.clone(), key.key.clone())));
        }
        let root = sign::root(root, None, signers)?;
        let expires = after(now, about.days.releases);
        let mut targets = Targets::new(SPECIFICATION.into(), NonZeroU64::MIN, expires);
        targets.delegations = None;
        let mut author = Author {
            files,
            about,
            targets: Signed { signed: targets, signatures: Vec::new() },
            snapshot: Signed { signed: Snapshot::new(SPECIFICATION.into(), NonZeroU64::MIN, expires), signatures: Vec::new() },
            timestamp: Signed { signed: Timestamp::new(SPECIFICATION.into(), NonZeroU64::MIN, expires), signatures: Vec::new() },
            root,
            staged: BTreeMap::new(),
        };
        author.stage(WITHDRAWN, b"[]\n".to_vec());
        author.seal(signers, now, true, true)?;
        Ok(author)
    }

    /// Opens a repository, and checks that it is one whose signatures are in order.
    /// Whether they still hold is of no matter: its author may renew them.
    ///
    /// # Errors
    ///
    /// If it is none, is damaged, or another process edits it.
    pub fn open(folder: &Path) -> Result<Self, AuthorError> {
        let files = Files::open(folder)?;
        let root: Signed<Root> = files.latest_root()?;
        let bad = |file: &str, problem: String| AuthorError::NotARepository { path: folder.join(file), problem };
        check_keys(&root.signed).map_err(|problem| bad("metadata", problem))?;
        let about = About::of(&root.signed).ok_or_else(|| {
            bad("metadata", "the root does not say whose it is; it was made by another program, and is edited with that".into())
        })?;
        let timestamp: Signed<Timestamp> = files.json("metadata/timestamp.json")?;
        let missing = |file: &str| bad(file, "does not name what belongs to it".into());
        let meta = timestamp.signed.meta.get("snapshot.json").ok_or_else(|| missing("metadata/timestamp.json"))?;
        let snapshot_file = format!("metadata/{}.snapshot.json", meta.version);
        let snapshot: Signed<Snapshot> = files.json(&snapshot_file)?;
        let meta = snapshot.signed.meta.get("targets.json").ok_or_else(|| missing(&snapshot_file))?;
        let targets_file = format!("metadata/{}.targets.json", meta.version);
        let targets: Signed<Targets> = files.json(&targets_file)?;
        root.signed.verify_role(&root).map_err(|error| bad("metadata", error.to_string()))?;
        // A change of keys that was interrupted leaves what the root before had signed.
        let before: Option<Signed<Root>> = files.json(&format!("metadata/{}.root.json", root.signed.version.get() - 1)).ok();
        let roots = [Some(&root.signed), before.as_ref().map(|root| &root.signed)];
        let verify = |file: &str, holds: &dyn Fn(&Root) -> bool| match roots.into_iter().flatten().any(holds) {
            true => Ok(()),
            false => Err(bad(file, "is not signed as the root asks for; restore it from a copy".into())),
        };
        verify("metadata/timestamp.json", &|root| root.verify_role(&timestamp).is_ok())?;
        verify(&snapshot_file, &|root| root.verify_role(&snapshot).is_ok())?;
        verify(&targets_file, &|root| root.verify_role(&targets).is_ok())?;
        if targets.signed.delegations.as_ref().is_some_and(|delegations| !delegations.roles.is_empty()) {
            return Err(bad(&targets_file, "delegates parts to others, which only the program that made it can edit".into()));
        }
        Ok(Author { files, about, root, targets, snapshot, timestamp, staged: BTreeMap::new() })
    }

    /// Whose it is.
    pub fn publisher(&self) -> &str {
        &self.about.publisher
    }

    /// The root as it is now, and its version.
    pub fn root(&self) -> (Vec<u8>, u64) {
        (sign::bytes(&self.root), self.root.signed.version.get())
    }

    /// Names of a role's keys, in full, and how many of them have to sign.
    pub fn keys(&self, role: Role) -> (Vec<String>, u64) {
        let keys = role.roles().first().and_then(|of| self.root.signed.roles.get(of));
        keys.map_or((Vec::new(), 0), |keys| (keys.keyids.iter().map(|id| hex(id)).collect(), keys.threshold.get()))
    }

    /// Until when the four signatures hold, as it stands: root, targets, snapshot, timestamp.
    pub fn expiries(&self) -> [(RoleType, OffsetDateTime); 4] {
        [
            (RoleType::Root, time_of(self.root.signed.expires)),
            (RoleType::Targets, time_of(self.targets.signed.expires)),
            (RoleType::Snapshot, time_of(self.snapshot.signed.expires)),
            (RoleType::Timestamp, time_of(self.timestamp.signed.expires)),
        ]
    }

    /// Every release that is published, read again and held against its digest.
    ///
    /// # Errors
    ///
    /// If one is not there, or is another.
    pub fn statements(&self) -> Result<Vec<Statement>, AuthorError> {
        let names = self.targets.signed.targets.iter().filter(|(name, _)| matches!(Named::of(name.raw()), Some(Named::Release(_))));
        let mut statements = Vec::new();
        for (name, _) in names {
            let bytes = self.read(name.raw())?;
            let bad = |error| AuthorError::NotARepository { path: self.files.path(name.raw()), problem: format!("{error}") };
            statements.push(Statement::parse(&bytes).map_err(bad)?);
        }
        statements.sort_by(|a, b| (&a.policy, &a.version).cmp(&(&b.policy, &b.version)));
        Ok(statements)
    }

    /// The withdrawals so far.
    ///
    /// # Errors
    ///
    /// If they cannot be read.
    pub fn withdrawals(&self) -> Result<Vec<Withdrawal>, AuthorError> {
        let bad = |error| AuthorError::NotARepository { path: self.files.path(WITHDRAWN), problem: format!("{error}") };
        Withdrawal::parse(&self.read(WITHDRAWN)?).map_err(bad)
    }

    /// Adds a release with the bytes that it binds. True if it is new; false if this
    /// very statement is published already.
    ///
    /// # Errors
    ///
    /// If the statement makes no sense, binds bytes that are neither given nor in the
    /// repository, or its version is taken.
    pub fn add_release(&mut self, statement: &Statement, blobs: Vec<Vec<u8>>) -> Result<bool, AuthorError> {
        let bytes = statement.to_bytes();
        Statement::parse(&bytes)?;
        let target = layout::release_of(statement);
        let taken = || AuthorError::Taken { name: format!("version {} of {}", statement.version, statement.policy) };
        if let Some(found) = self.digest(&target) {
            // When it was made is not what it says.
            let mut published = Statement::parse(&self.read(&target)?)?;
            let is_same = found == Digest::of(&bytes) || {
                published.issued = statement.issued;
                published == *statement
            };
            return if is_same { Ok(false) } else { Err(taken()) };
        }
        for bytes in blobs {
            self.stage(&layout::blob(&Digest::of(&bytes)), bytes);
        }
        for blob in statement.blobs() {
            let name = layout::blob(&blob.digest);
            if self.digest(&name).is_none() {
                return Err(AuthorError::Nothing(format!("the release binds {}, which is not in the repository", blob.digest)));
            }
        }
        self.stage(&target, bytes);
        Ok(true)
    }

    /// Adds a version of a reference list. True if it is new; false if this very
    /// content is published already.
    ///
    /// # Errors
    ///
    /// If the version is taken, or its name or version could not be a file's.
    pub fn add_list(&mut self, name: &str, version: &str, bytes: Vec<u8>, now: OffsetDateTime) -> Result<bool, AuthorError> {
        let target = layout::list(name, version);
        if Named::of(&target) != Some(Named::List(&target)) {
            let problem = format!(
                "list {name:?} of version {version:?} cannot be named so: lower-case words joined by hyphens, and letters, digits, '.', '+', '_' and '-'"
            );
            return Err(AuthorError::Nothing(problem));
        }
        let list = Blob::of(&bytes);
        if let Some(published) = self.list(name, version)? {
            let taken = AuthorError::Taken { name: format!("version {version} of the list {name}") };
            return if published == list { Ok(false) } else { Err(taken) };
        }
        let issued = now.replace_nanosecond(0).unwrap_or(now);
        let statement = ListStatement { statement: ListStatement::FORMAT.into(), name: name.into(), version: version.into(), list, issued };
        self.stage(&layout::blob(&list.digest), bytes);
        self.stage(&target, sign::pretty(&statement));
        Ok(true)
    }

    /// A version of a reference list that is published, or about to be.
    ///
    /// # Errors
    ///
    /// If its statement cannot be read.
    pub fn list(&self, name: &str, version: &str) -> Result<Option<Blob>, AuthorError> {
        let target = layout::list(name, version);
        if self.digest(&target).is_none() {
            return Ok(None);
        }
        let bad = |error: serde_json::Error| AuthorError::NotARepository { path: self.files.path(&target), problem: error.to_string() };
        let published: ListStatement = serde_json::from_slice(&self.read(&target)?).map_err(bad)?;
        Ok(Some(published.list))
    }

    /// Takes a release back. False if it was taken back before.
    ///
    /// # Errors
    ///
    /// If there is no such release.
    pub fn withdraw(&mut self, withdrawal: Withdrawal) -> Result<bool, AuthorError> {
        let Withdrawal { policy, version, .. } = &withdrawal;
        if self.digest(&layout::release(policy, version)).is_none() {
            return Err(AuthorError::Nothing(format!("there is no version {version} of {policy} in this repository")));
        }
        let mut all = self.withdrawals()?;
        if all.iter().any(|known| known.policy == *policy && known.version == *version) {
            return Ok(false);
        }
        all.push(withdrawal);
        let bytes = sign::pretty(&all);
        Withdrawal::parse(&bytes)?;
        self.stage(WITHDRAWN, bytes);
        Ok(true)
    }

    /// Signs and writes what was added: targets, snapshot and timestamp.
    ///
    /// # Errors
    ///
    /// If the keys do not suffice, or the system does not let it; platforms then see
    /// what they saw before.
    pub fn publish(&mut self, signers: &[Signer], now: OffsetDateTime) -> Result<(), AuthorError> {
        self.seal(signers, now, true, false)
    }

    /// Signs again what is about to expire: always the timestamp; releases where their
    /// last fifth has begun, or `all`; the root likewise. What cannot be for want of
    /// keys is left, unless it was asked for.
    ///
    /// Gives the roles that were signed.
    ///
    /// # Errors
    ///
    /// If the keys do not suffice, or the system does not let it.
    pub fn refresh(&mut self, signers: &[Signer], now: OffsetDateTime, all: bool) -> Result<Vec<Role>, AuthorError> {
        let near = |expires: jiff::Timestamp, days: u32| time_of(expires) - now < time::Duration::days(days.into()) / 5;
        let days = self.about.days;
        let root = near(self.root.signed.expires, days.root) && sign::suffice(&self.root.signed, RoleType::Root, signers);
        let releases = near(self.targets.signed.expires, days.releases) && sign::suffice(&self.root.signed, RoleType::Targets, signers);
        let (root, releases) = (root || all, releases || all);
        if root {
            return self.change_root(signers, now, releases, |_| Ok(())).map(|()| {
                let mut roles = vec![Role::Root];
                roles.extend(releases.then_some(Role::Releases));
                roles.push(Role::Timestamp);
                roles
            });
        }
        self.seal(signers, now, releases, false)?;
        Ok(if releases { vec![Role::Releases, Role::Timestamp] } else { vec![Role::Timestamp] })
    }

    /// Adds a key to a role, and says how many of its keys have to sign from now on.
    ///
    /// # Errors
    ///
    /// If the role has the key already, fewer keys than are to sign, or the keys at
    /// hand do not suffice for the old and the new rule.
    pub fn add_key(
        &mut self,
        role: Role,
        key: &PublicKey,
        threshold: Option<u64>,
        signers: &[Signer],
        now: OffsetDateTime,
    ) -> Result<(), AuthorError> {
        let threshold = threshold.map(threshold_of).transpose()?;
        self.change_root(signers, now, false, |root| {
            for of in role.roles() {
                let Some(keys) = root.roles.get_mut(of) else { continue };
                if keys.keyids.contains(&key.id) {
                    return Err(AuthorError::Root(format!("key {} is a key of {} already", key.short(), role.name())));
                }
                keys.keyids.push(key.id.clone());
                keys.threshold = threshold.unwrap_or(keys.threshold);
            }
            root.keys.insert(key.id.clone(), key.key.clone());
            Ok(())
        })
    }

    /// Puts a key in the place of another, which counts no longer.
    ///
    /// # Errors
    ///
    /// If the role does not have the old key, or the keys at hand do not suffice: for
    /// the root, both the old and the new rule have to be satisfied.
    pub fn rotate(&mut self, role: Role, old: &str, new: &PublicKey, signers: &[Signer], now: OffsetDateTime) -> Result<(), AuthorError> {
        self.change_root(signers, now, false, |root| {
            for of in role.roles() {
                let Some(keys) = root.roles.get_mut(of) else { continue };
                let at = keys.keyids.iter().position(|id| hex(id) == old);
                let at = at.ok_or_else(|| AuthorError::Nothing(format!("{} has no key {old}", role.name())))?;
                if let Some(place) = keys.keyids.get_mut(at) {
                    *place = new.id.clone();
                }
            }
            root.keys.insert(new.id.clone(), new.key.clone());
            // A key that no role has is no key.
            let used: Vec<_> = root.roles.values().flat_map(|keys| keys.keyids.iter().cloned()).collect();
            root.keys.retain(|id, _| used.contains(id));
            Ok(())
        })
    }

    /// Makes the next root, and signs again whatever the change touches.
    fn change_root(
        &mut self,
        signers: &[Signer],
        now: OffsetDateTime,
        releases: bool,
        change: impl FnOnce(&mut Root) -> Result<(), AuthorError>,
    ) -> Result<(), AuthorError> {
        let mut root = self.root.signed.clone();
        root.version = next(root.version);
        root.expires = after(now, self.about.days.root);
        change(&mut root)?;
        check_keys(&root).map_err(AuthorError::Root)?;
        let root = sign::root(root, Some(&self.root.signed), signers)?;
        let before = std::mem::replace(&mut self.root, root);
        let sealed = self.seal(signers, now, releases, true);
        if sealed.is_err() {
            self.root = before;
        }
        sealed
    }

    /// Signs the timestamp, and targets and snapshot where that is asked for or where
    /// they do not hold under the root any more; then writes.
    fn seal(&mut self, signers: &[Signer], now: OffsetDateTime, releases: bool, with_root: bool) -> Result<(), AuthorError> {
        let root = &self.root.signed;
        let is_first = self.timestamp.signatures.is_empty();
        let version = |version: NonZeroU64| if is_first { version } else { next(version) };
        let mut targets = self.targets.clone();
        let sign_targets = releases || root.verify_role(&targets).is_err();
        if sign_targets {
            for (name, bytes) in &self.staged {
                let name = TargetName::new(name.as_str()).map_err(|error| AuthorError::Nothing(error.to_string()))?;
                targets.signed.targets.insert(name, target(bytes));
            }
            targets.signed.version = version(targets.signed.version);
            targets.signed.expires = after(now, self.about.days.releases);
            targets = sign(targets.signed, root, signers)?;
        }
        // What is not signed again stays as it lies there, byte by byte: written anew it
        // could have its members in another order, and another digest.
        let targets_file = format!("metadata/{}", targets.signed.filename(true));
        let targets_bytes = if sign_targets { sign::bytes(&targets) } else { self.files.read(&targets_file)? };
        let mut snapshot = self.snapshot.clone();
        let sign_snapshot = sign_targets || root.verify_role(&snapshot).is_err();
        if sign_snapshot {
            snapshot.signed.meta.insert("targets.json".into(), metafile(&targets_bytes, targets.signed.version));
            snapshot.signed.version = version(snapshot.signed.version);
            snapshot.signed.expires = after(now, self.about.days.releases);
            snapshot = sign(snapshot.signed, root, signers)?;
        }
        let snapshot_file = format!("metadata/{}", snapshot.signed.filename(true));
        let snapshot_bytes = if sign_snapshot { sign::bytes(&snapshot) } else { self.files.read(&snapshot_file)? };
        let mut timestamp = self.timestamp.signed.clone();
        timestamp.meta.insert("snapshot.json".into(), metafile(&snapshot_bytes, snapshot.signed.version));
        timestamp.version = version(timestamp.version);
        timestamp.expires = after(now, self.about.days.timestamp);
        let timestamp = sign(timestamp, root, signers)?;

        for (name, bytes) in &self.staged {
            self.files.write(&format!("targets/{}", layout::file(name, &Digest::of(bytes))), bytes)?;
        }
        for (is_new, file, bytes) in [(sign_targets, &targets_file, &targets_bytes), (sign_snapshot, &snapshot_file, &snapshot_bytes)] {
            if is_new {
                self.files.write(file, bytes)?;
            }
        }
        if with_root {
            // A root and what it is to hold cannot change in one step. Whoever comes in
            // between is refused once; if it ends here, the next edit signs the rest.
            let bytes = sign::bytes(&self.root);
            self.files.write(&format!("metadata/{}", self.root.signed.filename(true)), &bytes)?;
            self.files.write("root.json", &bytes)?;
        }
        self.files.write("metadata/timestamp.json", &sign::bytes(&timestamp))?;
        (self.targets, self.snapshot, self.timestamp) = (targets, snapshot, timestamp);
        self.staged.clear();
        Ok(())
    }

    fn stage(&mut self, target: &str, bytes: Vec<u8>) {
        self.staged.insert(target.into(), bytes);
    }

    /// The digest of a target that is published, or about to be.
    fn digest(&self, target: &str) -> Option<Digest> {
        if let Some(bytes) = self.staged.get(target) {
            return Some(Digest::of(bytes));
        }
        let target = self.targets.signed.targets.get(&TargetName::new(target).ok()?)?;
        Some(Digest::from_bytes(target.hashes.sha256.as_ref().try_into().ok()?))
    }

    /// A target that is published, held against its digest, or about to be.
    fn read(&self, target: &str) -> Result<Vec<u8>, AuthorError> {
        if let Some(bytes) = self.staged.get(target) {
            return Ok(bytes.clone());
        }
        let digest = self.digest(target).ok_or_else(|| AuthorError::Nothing(format!("there is no {target} in this repository")))?;
        let file = format!("targets/{}", layout::file(target, &digest));
        let bytes = self.files.read(&file)?;
        if Digest::of(&bytes) != digest {
            let problem = format!("is {}, but {digest} was published; restore it from a copy", Digest::of(&bytes));
            return Err(AuthorError::NotARepository { path: self.files.path(&file), problem });
        }
        Ok(bytes)
    }

    /// The bytes that a statement of this repository binds.
    ///
    /// # Errors
    ///
    /// If they are not there, or are others.
    pub fn blob(&self, blob: &Blob) -> Result<Vec<u8>, AuthorError> {
        self.read(&layout::blob(&blob.digest))
    }

    /// The folder.
    pub fn folder(&self) -> PathBuf {
        self.files.path("")
    }
}
