//! Attacks by name, against a repository in a folder. The ids are those of the
//! reliability cases for supply chains (SC).

mod attacks;
mod author;
mod roots;

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tempfile::TempDir;
use time::OffsetDateTime;
use tough::schema::{Metafile, Role as TufRole, Root, Signature, Signed, Snapshot as TufSnapshot, Targets, Timestamp};

use super::*;
use crate::digest::Digest;
use crate::policy::statement::{Blob, Statement};

/// When everything begins: 2026-11-26T12:00:00Z.
const NOW: OffsetDateTime = match OffsetDateTime::from_unix_timestamp(1_795_694_400) {
    Ok(time) => time,
    Err(_) => panic!("a time"),
};

fn days(days: i64) -> time::Duration {
    time::Duration::days(days)
}

/// A publisher with a key for each role, and a platform's folder beside.
struct World {
    folder: TempDir,
    root: Vec<Signer>,
    releases: Vec<Signer>,
    timestamp: Vec<Signer>,
    /// The root that the platform was given.
    given: Vec<u8>,
}

fn generate(count: usize) -> Vec<Signer> {
    (0..count).map(|_| Signer::generate().expect("a key")).collect()
}

impl World {
    /// One key for each role.
    fn new() -> Self {
        Self::with([1, 1, 1], 1)
    }

    /// So many keys for each role, of which so many have to sign releases.
    fn with([root, releases, timestamp]: [usize; 3], threshold: u64) -> Self {
        let mut world = World {
            folder: tempfile::tempdir().expect("a folder"),
            root: generate(root),
            releases: generate(releases),
            timestamp: generate(timestamp),
            given: Vec::new(),
        };
        let public = |signers: &[Signer]| signers.iter().map(|signer| signer.public().clone()).collect();
        let plan = Plan {
            publisher: "transport-office".into(),
            keys: [
                (Role::Root, public(&world.root), 1),
                (Role::Releases, public(&world.releases), threshold),
                (Role::Timestamp, public(&world.timestamp), 1),
            ],
            days: Days::default(),
        };
        let author = Author::init(&world.repository(), &plan, &world.all(), NOW).expect("a repository");
        world.given = author.root().0;
        world
    }

    fn repository(&self) -> PathBuf {
        self.folder.path().join("repository")
    }

    fn file(&self, path: &str) -> PathBuf {
        self.repository().join(path)
    }

    /// Every key, as copies.
    fn all(&self) -> Vec<Signer> {
        self.root.iter().chain(&self.releases).chain(&self.timestamp).map(copy).collect()
    }

    fn open(&self) -> Author {
        Author::open(&self.repository()).expect("a repository")
    }

    fn release(&self, version: &str) -> Statement {
        let (statement, blobs) = statement("fleet-cap", version);
        let mut author = self.open();
        assert!(author.add_release(&statement, blobs).expect("added"));
        author.publish(&self.all(), NOW).expect("published");
        statement
    }

    /// The platform, with what it remembered.
    fn client(&self) -> Client {
        self.client_from(&self.given)
    }

    fn client_from(&self, root: &[u8]) -> Client {
        let location = Location::Folder(self.repository());
        Client::new("transport-office", &location, root.to_vec(), &self.folder.path().join("datastore")).expect("a client")
    }

    /// What the platform sees now.
    async fn see(&self) -> Result<Snapshot, RepositoryError> {
        self.client().refresh_at(NOW).await
    }

    /// The code that it refuses with.
    async fn refusal(&self) -> &'static str {
        match self.see().await {
            Ok(snapshot) => panic!("taken: {snapshot:?}"),
            Err(error) => error.code(),
        }
    }

    fn read<T: DeserializeOwned>(&self, path: &str) -> Signed<T> {
        serde_json::from_slice(&std::fs::read(self.file(path)).expect("a file")).expect("metadata")
    }

    fn write<T: Serialize>(&self, path: &str, signed: &Signed<T>) -> Vec<u8> {
        let bytes = serde_json::to_vec_pretty(signed).expect("JSON");
        std::fs::write(self.file(path), &bytes).expect("written");
        bytes
    }

    /// Copies all files to another place.
    fn back_up(&self) -> TempDir {
        let backup = tempfile::tempdir().expect("a folder");
        copy_all(&self.repository(), backup.path());
        backup
    }

    fn restore(&self, backup: &Path) {
        copy_all(backup, &self.repository());
    }

    /// Whoever holds these keys publishes the list of targets that `edit` makes of the
    /// real one, with a snapshot and a timestamp of their own.
    fn publish_as(&self, releases: &[Signer], timestamp: &[Signer], edit: impl FnOnce(&mut Targets)) {
        let clock: Signed<Timestamp> = self.read("metadata/timestamp.json");
        let meta = &clock.signed.meta["snapshot.json"];
        let snapshot: Signed<TufSnapshot> = self.read(&format!("metadata/{}.snapshot.json", meta.version));
        let meta = &snapshot.signed.meta["targets.json"];
        let mut targets: Targets = self.read::<Targets>(&format!("metadata/{}.targets.json", meta.version)).signed;
        targets.version = targets.version.saturating_add(1);
        edit(&mut targets);
        let (version, bytes) = (targets.version, pretty(&forge(targets, releases)));
        std::fs::write(self.file(&format!("metadata/{version}.targets.json")), &bytes).expect("written");
        let mut snapshot = snapshot.signed;
        snapshot.version = snapshot.version.saturating_add(1);
        snapshot.meta.insert("targets.json".into(), metafile(&bytes, version));
        let (version, bytes) = (snapshot.version, pretty(&forge(snapshot, releases)));
        std::fs::write(self.file(&format!("metadata/{version}.snapshot.json")), &bytes).expect("written");
        let mut clock = clock.signed;
        clock.version = clock.version.saturating_add(1);
        clock.meta.insert("snapshot.json".into(), metafile(&bytes, version));
        self.write("metadata/timestamp.json", &forge(clock, timestamp));
    }

    /// Whoever holds these keys signs another timestamp.
    fn stamp_as(&self, timestamp: &[Signer], edit: impl FnOnce(&mut Timestamp)) {
        let mut clock = self.read::<Timestamp>("metadata/timestamp.json").signed;
        edit(&mut clock);
        self.write("metadata/timestamp.json", &forge(clock, timestamp));
    }
}

/// A key once more, by way of its file.
fn copy(signer: &Signer) -> Signer {
    signer.copy()
}

fn copy_all(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("made");
    for entry in std::fs::read_dir(from).expect("listed") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy_all(&path, &target);
        } else {
            std::fs::copy(&path, &target).expect("copied");
        }
    }
}

/// Signs with these keys, whatever they are for.
fn forge<T: TufRole>(role: T, signers: &[Signer]) -> Signed<T> {
    let form = role.canonical_form().expect("JSON");
    let signatures = signers.iter().map(|signer| Signature { keyid: signer.public().id.clone(), sig: signer.sign(&form).into() }).collect();
    Signed { signed: role, signatures }
}

fn pretty(document: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec_pretty(document).expect("JSON")
}

fn metafile(bytes: &[u8], version: std::num::NonZeroU64) -> Metafile {
    let hashes = tough::schema::Hashes { sha256: Digest::of(bytes).bytes().to_vec().into(), _extra: Default::default() };
    Metafile { length: Some(bytes.len() as u64), hashes: Some(hashes), version, _extra: Default::default() }
}

/// A release whose bytes follow from its version.
fn statement(policy: &str, version: &str) -> (Statement, Vec<Vec<u8>>) {
    let component = format!("component of {policy} {version}").into_bytes();
    let settings = b"{}\n".to_vec();
    let version = version.parse().expect("a version");
    let mut statement = Statement::new(policy, version, Blob::of(&component), Blob::of(&settings), NOW);
    statement.legal_basis = "Ordinance, section 4".into();
    statement.jurisdiction = "US-OH-Columbus".into();
    (statement, vec![component, settings])
}

/// The root of the highest version.
fn root_of(world: &World, version: u64) -> Root {
    world.read::<Root>(&format!("metadata/{version}.root.json")).signed
}
