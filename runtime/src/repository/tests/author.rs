//! What a publisher may not do by accident.

use super::*;

#[test]
fn a_version_is_published_once() {
    let world = World::new();
    let statement = world.release("1.0.0");
    let mut author = world.open();
    let mut again = statement.clone();
    again.issued += days(1);
    assert!(!author.add_release(&again, Vec::new()).expect("the same"), "when it was said again is no other content");
    let mut other = statement;
    other.jurisdiction = "US-OH".into();
    assert!(matches!(author.add_release(&other, Vec::new()), Err(AuthorError::Taken { .. })));
    assert!(author.add_list("sdn", "1", b"list".to_vec(), NOW).expect("added"));
    assert!(!author.add_list("sdn", "1", b"list".to_vec(), NOW).expect("the same"));
    assert!(matches!(author.add_list("sdn", "1", b"tsil".to_vec(), NOW), Err(AuthorError::Taken { .. })));
    assert!(matches!(author.add_list("../sdn", "1", b"list".to_vec(), NOW), Err(AuthorError::Nothing(_))));
}

#[test]
fn a_release_binds_what_is_there() {
    let world = World::new();
    let (statement, mut blobs) = statement("fleet-cap", "1.0.0");
    blobs.pop();
    assert!(matches!(world.open().add_release(&statement, blobs), Err(AuthorError::Nothing(_))));
}

#[tokio::test]
async fn without_the_keys_nothing_changes() {
    let world = World::with([2, 2, 1], 2);
    world.see().await.expect("taken");
    let before = world.back_up();
    let (statement, blobs) = statement("fleet-cap", "1.0.0");
    let mut author = world.open();
    author.add_release(&statement, blobs).expect("added");
    let few = [copy(&world.releases[0]), copy(&world.timestamp[0])];
    let error = author.publish(&few, NOW).expect_err("two have to sign");
    assert!(matches!(&error, AuthorError::Keys { needed: 2, have: 1, names, .. } if names.len() == 2), "{error}");
    drop(author);
    let mut author = world.open();
    let stranger = generate(1).remove(0);
    let error = author.add_key(Role::Releases, stranger.public(), Some(3), &world.all(), NOW).expect_err("three have to sign then");
    assert!(matches!(error, AuthorError::Keys { needed: 3, have: 2, .. }), "{error}");
    let error = author.add_key(Role::Releases, stranger.public(), Some(9), &world.all(), NOW).expect_err("nobody could");
    assert!(matches!(error, AuthorError::Root(_)), "{error}");
    drop(author);
    for file in ["metadata/timestamp.json", "root.json"] {
        assert_eq!(std::fs::read(world.file(file)).expect("there"), std::fs::read(before.path().join(file)).expect("there"), "{file}");
    }
    assert!(!world.file("metadata/2.root.json").exists());
}

#[tokio::test]
async fn keys_are_added_and_replaced_and_platforms_follow() {
    let mut world = World::new();
    world.release("1.0.0");
    world.see().await.expect("taken");
    let second = generate(1).remove(0);
    world.releases.push(copy(&second));
    world.open().add_key(Role::Releases, second.public(), Some(2), &world.all(), NOW).expect("added");
    let snapshot = world.see().await.expect("taken");
    assert_eq!((snapshot.standing()[1].threshold, snapshot.standing()[1].keys.len()), (2, 2));
    assert_eq!(snapshot.releases.len(), 1);
    // The root's own key: the old and the new one sign.
    let (old, new) = (world.root[0].public().id(), generate(1).remove(0));
    let error = world.open().rotate(Role::Root, &old, new.public(), &world.all(), NOW).expect_err("the new one has to sign as well");
    assert!(matches!(error, AuthorError::Keys { .. }), "{error}");
    let signers: Vec<Signer> = world.all().into_iter().chain([copy(&new)]).collect();
    world.open().rotate(Role::Root, &old, new.public(), &signers, NOW).expect("rotated");
    world.root = vec![new];
    assert_eq!(world.see().await.expect("taken").standing()[0].version, 3);
    world.release("1.1.0");
    assert_eq!(world.see().await.expect("taken").releases.len(), 2);
}

/// A change of keys that ends between root and timestamp is carried on by the next edit.
#[tokio::test]
async fn a_change_of_keys_that_broke_off_is_carried_on() {
    let mut world = World::new();
    world.release("1.0.0");
    let before = std::fs::read(world.file("metadata/timestamp.json")).expect("there");
    let (old, new) = (world.timestamp[0].public().id(), generate(1).remove(0));
    let signers: Vec<Signer> = world.all().into_iter().chain([copy(&new)]).collect();
    world.open().rotate(Role::Timestamp, &old, new.public(), &signers, NOW).expect("rotated");
    std::fs::write(world.file("metadata/timestamp.json"), before).expect("written");
    assert_eq!(world.refusal().await, "revoked-key");
    world.timestamp = vec![new];
    world.open().refresh(&world.timestamp, NOW, false).expect("renewed");
    world.see().await.expect("taken");
}

#[test]
fn one_edits_at_a_time_and_in_a_repository() {
    let world = World::new();
    let first = world.open();
    assert!(matches!(Author::open(&world.repository()), Err(AuthorError::Locked(_))));
    drop(first);
    assert!(matches!(Author::open(world.folder.path()), Err(AuthorError::NotARepository { .. })));
    let plan = Plan { publisher: "x".into(), keys: Role::ALL.map(|role| (role, Vec::new(), 1)), days: Days::default() };
    assert!(matches!(Author::init(&world.repository(), &plan, &[], NOW), Err(AuthorError::Occupied(_))));
}

#[test]
fn renewing_signs_what_begins_to_expire() {
    let world = World::new();
    let only = [copy(&world.timestamp[0])];
    assert_eq!(world.open().refresh(&only, NOW, false).expect("renewed"), [Role::Timestamp]);
    assert_eq!(world.open().refresh(&world.all(), NOW, false).expect("renewed"), [Role::Timestamp]);
    assert_eq!(world.open().refresh(&only, NOW + days(300), false).expect("renewed"), [Role::Timestamp], "the other key is away");
    assert_eq!(world.open().refresh(&world.all(), NOW + days(300), false).expect("renewed"), [Role::Releases, Role::Timestamp]);
    assert!(matches!(world.open().refresh(&only, NOW, true), Err(AuthorError::Keys { .. })));
    assert_eq!(world.open().refresh(&world.all(), NOW, true).expect("renewed"), Role::ALL);
}
