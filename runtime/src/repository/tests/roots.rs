//! Chains of roots: followed as far as they are right, and no further.

use tough::schema::RoleType;
use tough::schema::key::Key;

use super::*;

/// A repository whose root has gone from 1 to 5, with another timestamp key each time;
/// and the old keys.
async fn five_roots() -> (World, Vec<Signer>) {
    let mut world = World::new();
    let mut old_keys = Vec::new();
    world.release("1.0.0");
    for _ in 2..=5 {
        let (old, new) = (world.timestamp[0].public().id(), generate(1).remove(0));
        let signers: Vec<Signer> = world.all().into_iter().chain([copy(&new)]).collect();
        world.open().rotate(Role::Timestamp, &old, new.public(), &signers, NOW).expect("rotated");
        old_keys.extend(std::mem::replace(&mut world.timestamp, vec![new]));
    }
    (world, old_keys)
}

#[tokio::test]
async fn sc_10_a_chain_is_followed_to_its_end() {
    let (world, _) = five_roots().await;
    let snapshot = world.see().await.expect("taken");
    assert_eq!(snapshot.standing()[0].version, 5);
    // And from the middle, for whoever begins later.
    let middle = std::fs::read(world.file("metadata/3.root.json")).expect("there");
    world.client_from(&middle).refresh_at(NOW).await.expect("taken");
}

#[tokio::test]
async fn sc_10_a_chain_with_a_gap_ends_before_it() {
    let (world, _) = five_roots().await;
    std::fs::remove_file(world.file("metadata/3.root.json")).expect("removed");
    // What the fifth root's key has signed is a stranger's to the second.
    assert_eq!(world.refusal().await, "unknown-key");
}

#[tokio::test]
async fn sc_10_a_step_that_the_old_root_has_not_signed_is_refused() {
    let (world, _) = five_roots().await;
    let thief = generate(1);
    let mut forged = root_of(&world, 3);
    let key = thief[0].public();
    forged.keys.insert(key.id.clone(), key.key.clone());
    for role in [RoleType::Root, RoleType::Targets, RoleType::Snapshot, RoleType::Timestamp] {
        forged.roles.get_mut(&role).expect("there").keyids = vec![key.id.clone()];
    }
    let real = std::fs::read(world.file("metadata/3.root.json")).expect("there");
    // Signed by itself only.
    world.write("metadata/3.root.json", &forge(forged.clone(), &thief));
    let error = world.see().await.expect_err("refused");
    assert!(matches!(error, RepositoryError::RootChain { version: 3, .. }), "{error:?}");
    // Nor by the old one only: who takes over has to show that they have the new keys.
    world.write("metadata/3.root.json", &forge(forged, &world.root));
    assert_eq!(world.refusal().await, "root-chain");
    // One that is out of its place.
    std::fs::copy(world.file("metadata/4.root.json"), world.file("metadata/3.root.json")).expect("copied");
    assert_eq!(world.refusal().await, "root-chain");
    std::fs::write(world.file("metadata/3.root.json"), real).expect("written");
    world.see().await.expect("taken");
}

/// A root that asks for two signatures is a root with two, and the one before asks for as
/// many as it says.
#[tokio::test]
async fn sc_10_a_step_with_too_few_signatures_is_refused() {
    let (world, _) = five_roots().await;
    let second = generate(1);
    let mut wanting = root_of(&world, 3);
    let key = second[0].public();
    wanting.keys.insert(key.id.clone(), key.key.clone());
    let root = wanting.roles.get_mut(&RoleType::Root).expect("there");
    root.keyids.push(key.id.clone());
    root.threshold = std::num::NonZeroU64::new(2).expect("two");
    let whole: Vec<Signer> = world.root.iter().chain(&second).map(copy).collect();
    let last = [copy(&world.root[0]), copy(&world.root[0])];
    for (signers, how) in [(&world.root[..], "one of two"), (&last[..], "one of two, twice"), (&second[..], "not the one before")] {
        world.write("metadata/3.root.json", &forge(wanting.clone(), signers));
        let error = world.see().await.expect_err("refused");
        assert!(matches!(error.code(), "root-chain" | "duplicate-key"), "{how}: {error:?}");
    }
    // With both it is one; the fourth, which the first key alone has signed, is none behind it.
    world.write("metadata/3.root.json", &forge(wanting, &whole));
    let error = world.see().await.expect_err("refused");
    assert!(matches!(error, RepositoryError::RootChain { version: 4, .. }), "{error:?}");
}

/// What was reached once is not given up: the roots between may be gone by then.
#[tokio::test]
async fn sc_10_the_last_good_root_is_kept() {
    let (world, old_keys) = five_roots().await;
    world.see().await.expect("taken");
    for version in 2..5 {
        std::fs::remove_file(world.file(&format!("metadata/{version}.root.json"))).expect("removed");
    }
    world.see().await.expect("taken from the fifth on");
    // A key that only a root between has named is a revoked one, not a stranger's.
    world.stamp_as(&old_keys[2..3], |_| ());
    assert_eq!(world.refusal().await, "revoked-key");
}

#[tokio::test]
async fn sc_03_one_key_under_two_names_does_not_count_twice() {
    let world = World::with([1, 1, 1], 1);
    let mut root = root_of(&world, 1);
    // A member more is another name for the same key.
    let mut twin = world.releases[0].public().key.clone();
    let Key::Ed25519 { _extra, .. } = &mut twin else { panic!("an Ed25519 key") };
    _extra.insert("note".into(), "mine".into());
    let id = twin.key_id().expect("a name");
    root.keys.insert(id.clone(), twin);
    for role in [RoleType::Targets, RoleType::Snapshot] {
        let keys = root.roles.get_mut(&role).expect("there");
        keys.keyids.push(id.clone());
        keys.threshold = std::num::NonZeroU64::new(2).expect("two");
    }
    root.version = root.version.saturating_add(1);
    // As a root that follows.
    world.write("metadata/2.root.json", &forge(root.clone(), &world.root));
    assert_eq!(world.refusal().await, "duplicate-key");
    std::fs::remove_file(world.file("metadata/2.root.json")).expect("removed");
    world.see().await.expect("and it was not remembered");
    // As the one that the platform was given.
    let given = pretty(&forge(root, &world.root));
    let location = Location::Folder(world.repository());
    let error = Client::new("transport-office", &location, given, world.folder.path()).expect_err("refused");
    assert!(matches!(&error, RepositoryError::TrustedRoot { problem } if problem.contains("two names")), "{error}");
}

#[tokio::test]
async fn sc_03_a_key_under_a_wrong_name_is_refused() {
    let world = World::new();
    let mut root: serde_json::Value = serde_json::from_slice(&world.given).expect("JSON");
    let keys = root["signed"]["keys"].as_object_mut().expect("keys");
    let (_, key) = keys.iter().next().map(|(id, key)| (id.clone(), key.clone())).expect("one");
    keys.insert("00".repeat(32), key);
    root["signed"]["version"] = 2.into();
    std::fs::write(world.file("metadata/2.root.json"), root.to_string()).expect("written");
    assert_eq!(world.refusal().await, "duplicate-key");
}

#[tokio::test]
async fn sc_14_a_weak_key_is_no_key() {
    let world = World::new();
    let mut root: serde_json::Value = serde_json::from_slice(&world.given).expect("JSON");
    let weak: Key = format!("01{}", "00".repeat(31)).parse().expect("32 bytes");
    let id = crate::digest::hex(&weak.key_id().expect("a name"));
    root["signed"]["keys"][&id] = serde_json::to_value(&weak).expect("JSON");
    root["signed"]["roles"]["timestamp"]["keyids"] = serde_json::json!([id]);
    let root: Root = serde_json::from_value(root["signed"].clone()).expect("a root");
    let given = pretty(&forge(root, &world.root));
    let location = Location::Folder(world.repository());
    let error = Client::new("transport-office", &location, given, world.folder.path()).expect_err("refused");
    assert!(error.to_string().contains("anybody could sign"), "{error}");
}
