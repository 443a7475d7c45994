//! Whoever stands between publisher and platform, or has got at a key.

use std::num::NonZeroU64;

use tough::TargetName;
use tough::schema::Target;

use super::*;
use crate::policy::statement::Withdrawal;

fn version(number: u64) -> NonZeroU64 {
    NonZeroU64::new(number).expect("more than zero")
}

#[tokio::test]
async fn a_repository_in_order_is_taken() {
    let world = World::new();
    let first = world.see().await.expect("taken");
    assert_eq!((first.version, first.releases.len(), first.expires), (1, 0, NOW + days(14)));
    let statement = world.release("1.0.0");
    let snapshot = world.see().await.expect("taken");
    assert_eq!(snapshot.version, 2);
    let release = snapshot.latest("fleet-cap").expect("there");
    assert_eq!((&release.statement, release.digest), (&statement, Digest::of(&statement.to_bytes())));
    assert_eq!(snapshot.blob(&statement.component).await.expect("there"), b"component of fleet-cap 1.0.0");
}

#[tokio::test]
async fn sc_01_unsigned() {
    let world = World::new();
    world.stamp_as(&[], |_| ());
    assert_eq!(world.refusal().await, "unsigned");
    // A root that asks for no signatures at all is no root.
    let mut root: serde_json::Value = serde_json::from_slice(&world.given).expect("JSON");
    root["signatures"] = serde_json::json!([]);
    let location = Location::Folder(world.repository());
    let make = |root: &serde_json::Value| Client::new("transport-office", &location, root.to_string().into_bytes(), world.folder.path());
    assert_eq!(make(&root).expect_err("refused").code(), "trusted-root");
    root["signed"]["roles"]["root"]["keyids"] = serde_json::json!([]);
    assert_eq!(make(&root).expect_err("refused").code(), "trusted-root");
    root["signed"]["roles"]["root"]["threshold"] = serde_json::json!(0);
    assert_eq!(make(&root).expect_err("refused").code(), "trusted-root");
}

#[tokio::test]
async fn sc_01_a_role_without_keys_is_signed_by_nobody() {
    let world = World::new();
    let mut root = root_of(&world, 1);
    root.roles.get_mut(&tough::schema::RoleType::Timestamp).expect("there").keyids.clear();
    let given = pretty(&forge(root, &world.root));
    let error = world.client_from(&given).refresh_at(NOW).await.expect_err("refused");
    assert_eq!(error.code(), "key-of-another-role");
}

#[tokio::test]
async fn sc_02_unknown_key() {
    let world = World::new();
    let stranger = generate(1);
    // With its key packed beside, for whoever would look there.
    world.stamp_as(&stranger, |clock| {
        let key = serde_json::to_value(&stranger[0].public().key).expect("JSON");
        clock._extra.insert("keys".into(), serde_json::json!({stranger[0].public().id(): key}));
    });
    let error = world.see().await.expect_err("refused");
    assert_eq!(error.code(), "unknown-key");
    assert!(error.to_string().contains(&stranger[0].public().short()), "{error}");
}

#[tokio::test]
async fn sc_03_one_signature_does_not_count_twice() {
    let world = World::with([1, 3, 1], 2);
    let (one, two) = (copy(&world.releases[0]), copy(&world.releases[0]));
    world.publish_as(&[one, two], &world.timestamp, |_| ());
    assert_eq!(world.refusal().await, "duplicate-key");
}

#[tokio::test]
async fn sc_03_fewer_signatures_than_the_threshold_are_refused() {
    let world = World::with([1, 3, 1], 2);
    world.release("1.0.0");
    world.see().await.expect("three have signed");
    let (one, two) = ([copy(&world.releases[1])], [copy(&world.releases[1]), copy(&world.releases[2])]);
    let backup = world.back_up();
    world.publish_as(&one, &world.timestamp, |_| ());
    assert_eq!(world.refusal().await, "threshold");
    // A stranger's signature beside does not help.
    world.restore(backup.path());
    world.publish_as(&[copy(&world.releases[1]), generate(1).remove(0)], &world.timestamp, |_| ());
    assert_eq!(world.refusal().await, "threshold");
    world.restore(backup.path());
    world.publish_as(&two, &world.timestamp, |_| ());
    world.see().await.expect("two have signed");
}

#[tokio::test]
async fn sc_05_digest_mismatch() {
    let world = World::new();
    let statement = world.release("1.0.0");
    let snapshot = world.see().await.expect("taken");
    let hex = statement.component.digest.hex();
    let file = world.file(&format!("targets/blobs/{hex}.{hex}"));
    let other = b"component of fleet-cap 6.6.6".to_vec();
    std::fs::write(&file, &other).expect("written");
    let error = snapshot.blob(&statement.component).await.expect_err("refused");
    assert_eq!(error.code(), "wrong-target");
    let text = error.to_string();
    assert!(text.contains(&hex) && text.contains(&Digest::of(&other).hex()), "both digests: {text}");
    // Shorter, longer, gone.
    std::fs::write(&file, b"component").expect("written");
    assert_eq!(snapshot.blob(&statement.component).await.expect_err("refused").code(), "wrong-target");
    std::fs::remove_file(&file).expect("removed");
    assert_eq!(snapshot.blob(&statement.component).await.expect_err("refused").code(), "missing");
}

#[tokio::test]
async fn sc_05_a_statement_under_another_name_is_refused() {
    let world = World::new();
    let one = world.release("1.0.0");
    world.publish_as(&world.releases, &world.timestamp, |targets| {
        let name = |version: &str| TargetName::new(format!("releases/fleet-cap/{version}.json")).expect("a name");
        let target = targets.targets.remove(&name("1.0.0")).expect("there");
        let digest = Digest::of(&one.to_bytes()).hex();
        let folder = world.file("targets/releases/fleet-cap");
        std::fs::copy(folder.join(format!("{digest}.1.0.0.json")), folder.join(format!("{digest}.2.0.0.json"))).expect("copied");
        targets.targets.insert(name("2.0.0"), target);
    });
    assert_eq!(world.refusal().await, "wrong-target");
}

#[tokio::test]
async fn sc_06_rollback() {
    let world = World::new();
    world.release("1.0.0");
    let old = world.back_up();
    world.release("1.1.0");
    world.see().await.expect("taken");
    world.restore(old.path());
    assert_eq!(world.refusal().await, "rollback");
    // A date that is new makes nothing newer; and every client above was a restart.
    world.stamp_as(&world.timestamp, |clock| clock.expires = jiff::Timestamp::MAX);
    assert_eq!(world.refusal().await, "rollback");
    // Higher itself, and names an older snapshot.
    world.stamp_as(&world.timestamp, |clock| clock.version = version(9));
    let error = world.see().await.expect_err("refused");
    assert!(matches!(error, RepositoryError::Rollback { had: 3, offered: 2, .. }), "{error:?}");
}

#[tokio::test]
async fn sc_07_freeze() {
    let world = World::new();
    world.release("1.0.0");
    let snapshot = world.see().await.expect("taken");
    let clock = snapshot.standing().pop().expect("the timestamp");
    assert_eq!(clock.renew_from, Some(snapshot.expires - days(14) / 5), "the alarm comes with the last fifth");
    world.client().refresh_at(NOW + days(13)).await.expect("it still holds");
    let error = world.client().refresh_at(NOW + days(20)).await.expect_err("refused");
    let since = NOW + days(14);
    assert_eq!(error, RepositoryError::Expired { what: "the timestamp".into(), since });
    // A clock that goes back revives nothing, neither in this process nor in the next.
    assert_eq!(world.refusal().await, "expired");
    let mut client = world.client();
    assert_eq!(client.refresh_at(NOW).await.expect_err("refused").code(), "expired");
    assert_eq!(client.refresh_at(NOW + days(1)).await.expect_err("refused").code(), "expired");
    assert_eq!((client.time(), client.expires()), (Some(NOW + days(20)), Some(since)));
    // The next does not need the repository to know it.
    let moved = world.folder.path().join("moved");
    std::fs::rename(world.repository(), &moved).expect("moved");
    assert_eq!(world.refusal().await, "unreachable");
    assert_eq!((world.client().time(), world.client().expires()), (Some(NOW + days(20)), Some(since)));
    std::fs::rename(&moved, world.repository()).expect("moved back");
    world.open().refresh(&world.timestamp, NOW + days(20), false).expect("renewed");
    world.see().await.expect("taken");
    assert_eq!(world.client().expires(), Some(NOW + days(34)));
}

#[tokio::test]
async fn sc_04_signatures_hold_for_their_time() {
    let world = World::new();
    let renew = |now| drop(world.open().refresh(&world.timestamp, now, false).expect("renewed"));
    renew(NOW + days(370));
    let error = world.client().refresh_at(NOW + days(370)).await.expect_err("refused");
    assert!(matches!(&error, RepositoryError::Expired { what, since } if what == "the snapshot" && *since == NOW + days(365)), "{error}");
    assert_eq!(world.client().expires(), Some(NOW + days(365)), "the timestamp holds for longer");
    world.open().refresh(&world.all(), NOW + days(371), true).expect("renewed");
    world.client().refresh_at(NOW + days(371)).await.expect("taken");
    // The root: two years after it was signed again.
    let late = NOW + days(371 + 735);
    world.open().refresh(&[copy(&world.releases[0]), copy(&world.timestamp[0])], late, false).expect("renewed");
    let error = world.client().refresh_at(late).await.expect_err("refused");
    assert!(matches!(&error, RepositoryError::Expired { what, .. } if what == "the root"), "{error}");
}

#[tokio::test]
async fn sc_08_mix_and_match() {
    let world = World::new();
    world.release("1.0.0");
    world.release("1.1.0");
    let put = |from: &str, to: &str| assert!(std::fs::copy(world.file(from), world.file(to)).expect("copied") > 0);
    let backup = world.back_up();
    put("metadata/2.targets.json", "metadata/3.targets.json");
    assert_eq!(world.refusal().await, "mix-and-match");
    world.restore(backup.path());
    put("metadata/2.snapshot.json", "metadata/3.snapshot.json");
    assert_eq!(world.refusal().await, "mix-and-match");
    // By whoever signs the timestamp, without length and digest, so that only the
    // version tells.
    world.stamp_as(&world.timestamp, |clock| {
        let meta = clock.meta.get_mut("snapshot.json").expect("there");
        (meta.length, meta.hashes) = (None, None);
    });
    assert_eq!(world.refusal().await, "mix-and-match");
    world.restore(backup.path());
    world.see().await.expect("taken");
}

/// Two releases, of which the platform has seen both; the files of when there was one;
/// and somebody who has got the key for the timestamp.
async fn robbed() -> (World, TempDir, [Signer; 1]) {
    let world = World::new();
    world.release("1.0.0");
    let old = world.back_up();
    world.release("1.1.0");
    world.see().await.expect("taken");
    let thief = [copy(&world.timestamp[0])];
    (world, old, thief)
}

#[tokio::test]
async fn stolen_timestamp_key_cannot_change_releases() {
    let (world, _, thief) = robbed().await;
    world.publish_as(&thief, &thief, |targets| targets.targets.clear());
    assert_eq!(world.refusal().await, "key-of-another-role");
}

#[tokio::test]
async fn sc_06_stolen_timestamp_key_cannot_bring_back_older_releases() {
    let (world, old, thief) = robbed().await;
    world.stamp_as(&thief, |clock| {
        let older = std::fs::read(old.path().join("metadata/2.snapshot.json")).expect("there");
        clock.version = version(50);
        clock.meta.insert("snapshot.json".into(), metafile(&older, version(2)));
    });
    assert_eq!(world.refusal().await, "rollback");
}

#[tokio::test]
async fn sc_07_stolen_timestamp_key_can_freeze_until_the_releases_expire() {
    let (world, _, thief) = robbed().await;
    world.stamp_as(&thief, |clock| {
        clock.version = version(51);
        clock.expires = jiff::Timestamp::MAX;
    });
    assert_eq!(world.see().await.expect("taken, and nothing new").version, 3);
    let error = world.client().refresh_at(NOW + days(366)).await.expect_err("refused");
    assert!(matches!(&error, RepositoryError::Expired { what, .. } if what == "the snapshot"), "{error}");
}

#[tokio::test]
async fn sc_09_fast_forward_recovery() {
    let world = World::new();
    world.release("1.0.0");
    let thief = [copy(&world.timestamp[0])];
    let honest = world.back_up();
    world.stamp_as(&thief, |clock| clock.version = version(1 << 63));
    world.see().await.expect("taken: the key is right");
    world.restore(honest.path());
    world.release("1.1.0");
    assert_eq!(world.refusal().await, "rollback", "the publisher is shut out");
    let (old, new) = (world.timestamp[0].public().id(), generate(1).remove(0));
    let signers: Vec<Signer> = world.all().into_iter().chain([copy(&new)]).collect();
    world.open().rotate(Role::Timestamp, &old, new.public(), &signers, NOW).expect("rotated");
    let snapshot = world.see().await.expect("taken again");
    assert_eq!(snapshot.latest("fleet-cap").expect("there").statement.version.to_string(), "1.1.0");
    world.stamp_as(&thief, |clock| clock.version = version(u64::MAX - 1));
    assert_eq!(world.refusal().await, "revoked-key");
}

#[tokio::test]
async fn sc_04_a_key_counts_no_longer_than_a_root_names_it() {
    let world = World::new();
    world.release("1.0.0");
    world.see().await.expect("taken");
    let revoked = [copy(&world.releases[0])];
    let (old, new) = (revoked[0].public().id(), generate(1).remove(0));
    let signers: Vec<Signer> = world.all().into_iter().chain([copy(&new)]).collect();
    world.open().rotate(Role::Releases, &old, new.public(), &signers, NOW).expect("rotated");
    world.see().await.expect("taken, signed by the new key");
    world.publish_as(&revoked, &world.timestamp, |_| ());
    let error = world.see().await.expect_err("refused");
    assert!(matches!(&error, RepositoryError::RevokedKey { key, .. } if old.starts_with(key.as_str())), "{error}");
}

#[tokio::test]
async fn sc_11_endless_data() {
    let world = World::new();
    let statement = world.release("1.0.0");
    let snapshot = world.see().await.expect("taken");
    let backup = world.back_up();
    let lengthen = |path: &str, bytes: usize| {
        let mut file = std::fs::read(world.file(path)).expect("there");
        file.resize(file.len() + bytes, b' ');
        std::fs::write(world.file(path), file).expect("written");
    };
    for (path, bytes) in [
        ("metadata/timestamp.json", 80 << 10),
        ("metadata/2.snapshot.json", 1),
        ("metadata/2.targets.json", 1),
        ("metadata/2.root.json", 0),
    ] {
        if path.contains("root") {
            // A root to come, without end.
            std::fs::write(world.file(path), vec![b' '; 600 << 10]).expect("written");
        }
        lengthen(path, bytes);
        assert_eq!(world.refusal().await, "endless-data", "{path}");
        world.restore(backup.path());
        let _ = std::fs::remove_file(world.file("metadata/2.root.json"));
    }
    let hex = statement.component.digest.hex();
    lengthen(&format!("targets/blobs/{hex}.{hex}"), 1);
    assert_eq!(snapshot.blob(&statement.component).await.expect_err("refused").code(), "endless-data");
    // Signed so, by a key that was stolen.
    world.publish_as(&world.releases, &world.timestamp, |targets| {
        let name = TargetName::new("withdrawn.json").expect("a name");
        targets.targets.get_mut(&name).expect("there").length = 10 << 30;
    });
    assert_eq!(world.refusal().await, "endless-data");
}

#[tokio::test]
async fn sc_14_a_signature_has_one_form() {
    let world = World::new();
    // The same signature with the order of the group added to its second half.
    let order: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0x10,
    ];
    let mut clock: Signed<Timestamp> = world.read("metadata/timestamp.json");
    let mut signature = clock.signatures[0].sig.to_vec();
    let mut carry = 0u16;
    for (byte, add) in signature[32..].iter_mut().zip(order) {
        carry += u16::from(*byte) + u16::from(add);
        *byte = carry as u8;
        carry >>= 8;
    }
    clock.signatures[0].sig = signature.into();
    world.write("metadata/timestamp.json", &clock);
    assert_eq!(world.refusal().await, "bad-signature");
}

#[tokio::test]
async fn sc_15_a_changed_document_is_refused() {
    let world = World::new();
    let mut clock: Signed<Timestamp> = world.read("metadata/timestamp.json");
    clock.signed.expires = jiff::Timestamp::MAX;
    world.write("metadata/timestamp.json", &clock);
    assert_eq!(world.refusal().await, "bad-signature");
}

#[tokio::test]
async fn sc_17_path_traversal_in_target_names() {
    for name in ["../../etc/cron.d/x", "/etc/passwd", "blobs/../../x", "a\\..\\b", "nul\0l", "releases/.hidden/1.json"] {
        let world = World::new();
        world.publish_as(&world.releases, &world.timestamp, |targets| {
            let hashes = tough::schema::Hashes { sha256: Digest::of(b"x").bytes().to_vec().into(), _extra: Default::default() };
            let target = Target { length: 1, hashes, custom: Default::default(), _extra: Default::default() };
            targets.targets.insert(TargetName::new(name).expect("tough takes it"), target);
        });
        let error = world.see().await.expect_err("refused");
        assert_eq!(error, RepositoryError::UnsafeName { name: name.into() });
        let written: Vec<_> = std::fs::read_dir(world.folder.path().join("datastore")).expect("listed").collect();
        assert_eq!(written.len(), 1, "nothing but what is remembered: {written:?}");
    }
}

#[tokio::test]
async fn sc_19_what_was_checked_is_what_is_loaded() {
    let world = World::new();
    let statement = world.release("1.0.0");
    let snapshot = world.see().await.expect("taken");
    let bytes = snapshot.blob(&statement.component).await.expect("there");
    let hex = statement.component.digest.hex();
    std::fs::write(world.file(&format!("targets/blobs/{hex}.{hex}")), b"replaced").expect("written");
    assert_eq!(Blob::of(&bytes), statement.component, "in memory, and not read again");
    assert_eq!(snapshot.blob(&statement.component).await.expect_err("refused").code(), "wrong-target");
}

#[tokio::test]
async fn sc_20_revoked_version() {
    let world = World::new();
    world.release("1.0.0");
    world.release("1.1.0");
    let mut author = world.open();
    let version = semver::Version::new(1, 1, 0);
    let withdrawal = Withdrawal { policy: "fleet-cap".into(), version, reason: "wrong cap".into(), by: "the office".into(), at: NOW };
    assert!(author.withdraw(withdrawal.clone()).expect("there"));
    author.publish(&world.all(), NOW).expect("published");
    assert!(!author.withdraw(withdrawal.clone()).expect("there"), "once");
    drop(author);
    let snapshot = world.see().await.expect("taken");
    assert_eq!(snapshot.withdrawn, std::slice::from_ref(&withdrawal));
    assert_eq!(snapshot.latest("fleet-cap").expect("the one before").statement.version, semver::Version::new(1, 0, 0));
    assert_eq!(snapshot.withdrawal(&snapshot.releases[1]), Some(&withdrawal));
}

#[tokio::test]
async fn sc_05_a_version_never_changes() {
    let world = World::new();
    let statement = world.release("1.0.0");
    world.see().await.expect("taken");
    let mut other = statement.clone();
    other.legal_basis = "another law".into();
    let bytes = other.to_bytes();
    let digest = Digest::of(&bytes);
    std::fs::write(world.file(&format!("targets/releases/fleet-cap/{}.1.0.0.json", digest.hex())), &bytes).expect("written");
    world.publish_as(&world.releases, &world.timestamp, |targets| {
        let target = targets.targets.get_mut(&TargetName::new("releases/fleet-cap/1.0.0.json").expect("a name")).expect("there");
        target.length = bytes.len() as u64;
        target.hashes.sha256 = digest.bytes().to_vec().into();
    });
    let error = world.see().await.expect_err("refused");
    let had = Digest::of(&statement.to_bytes());
    assert_eq!(error, RepositoryError::ReleaseChanged { name: "releases/fleet-cap/1.0.0.json".into(), had, offered: digest });
}

#[tokio::test]
async fn what_is_not_there_is_said_and_nothing_is_forgotten() {
    let world = World::new();
    world.release("1.0.0");
    world.see().await.expect("taken");
    let moved = world.folder.path().join("moved");
    std::fs::rename(world.repository(), &moved).expect("moved");
    assert_eq!(world.refusal().await, "unreachable");
    std::fs::rename(&moved, world.repository()).expect("moved back");
    world.see().await.expect("taken");
    std::fs::write(world.folder.path().join("datastore/trust.json"), b"{").expect("written");
    let location = Location::Folder(world.repository());
    let opened = Client::new("transport-office", &location, world.given.clone(), &world.folder.path().join("datastore"));
    assert_eq!(opened.expect_err("refused").code(), "datastore");
}

#[tokio::test]
async fn another_publishers_root_is_refused() {
    let world = World::new();
    let location = Location::Folder(world.repository());
    let error = Client::new("price-office", &location, world.given.clone(), world.folder.path()).expect_err("refused");
    assert_eq!(error.code(), "wrong-publisher");
}

/// Whatever byte of whatever file is another: refused, or the same as before.
#[tokio::test]
async fn sc_15_no_changed_byte_changes_what_is_read() {
    let world = World::new();
    let statement = world.release("1.0.0");
    let expected = world.see().await.expect("taken").releases;
    let hex = Digest::of(&statement.to_bytes()).hex();
    let release = format!("targets/releases/fleet-cap/{hex}.1.0.0.json");
    for path in ["metadata/timestamp.json", "metadata/2.snapshot.json", "metadata/2.targets.json", release.as_str()] {
        let whole = std::fs::read(world.file(path)).expect("there");
        for at in (0..whole.len()).step_by(7) {
            let mut changed = whole.clone();
            changed[at] ^= 1 << (at % 7);
            std::fs::write(world.file(path), &changed).expect("written");
            if let Ok(snapshot) = world.see().await {
                assert_eq!(snapshot.releases, expected, "{path} at {at}");
            }
        }
        std::fs::write(world.file(path), &whole).expect("written");
        world.see().await.expect("taken again");
    }
}
