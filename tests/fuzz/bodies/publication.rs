//! What publishers sign and publish: statements, withdrawals, manifests, vectors, and of a
//! repository's own metadata the root that it is trusted by. The first line says which.

use ephor::policy::manifest::Manifest;
use ephor::policy::statement::{Statement, StatementError, Withdrawal};
use ephor::policy::{Grant, Release};
use ephor::repository::{Client, Location, publisher_of};
use ephor::vectors::Vector;

use super::{folder, headed, is_pointer};

pub fn body(bytes: &[u8]) {
    let (kind, rest) = headed(bytes);
    match kind {
        b"statement" => statement(rest),
        b"withdrawn" => withdrawn(rest),
        b"manifest" => manifest(rest),
        b"vector" => vector(rest),
        b"root" => root(rest),
        b"location" => {
            let Ok(location) = String::from_utf8_lossy(rest).parse::<Location>() else { return };
            assert_eq!(location.to_string().parse::<Location>().as_ref(), Ok(&location));
        }
        _ => {}
    }
}

fn statement(bytes: &[u8]) {
    match Statement::parse(bytes) {
        Ok(statement) => {
            let written = statement.to_bytes();
            assert_eq!(Statement::parse(&written).as_ref(), Ok(&statement));
            assert_eq!(statement.blobs().count(), 2 + statement.lists.len() + usize::from(statement.vectors.is_some()));
        }
        Err(error) => have_places(&error),
    }
}

fn withdrawn(bytes: &[u8]) {
    match Withdrawal::parse(bytes) {
        Ok(list) => {
            let written = serde_json::to_vec(&list).expect("can be written");
            assert_eq!(Withdrawal::parse(&written).as_ref(), Ok(&list));
        }
        Err(error) => have_places(&error),
    }
}

fn have_places(StatementError(faults): &StatementError) {
    assert!(!faults.is_empty());
    for fault in faults {
        assert!(is_pointer(&fault.pointer) && !fault.problem.is_empty(), "{fault:?}");
    }
}

fn manifest(bytes: &[u8]) {
    let Ok(manifest) = serde_json::from_slice::<Manifest>(bytes) else { return };
    let problems = manifest.problems();
    assert!(problems.iter().all(|problem| !problem.place.is_empty() && !problem.problem.is_empty()));
    // Whatever it asks for, somebody has to say what is missing of it.
    let _ = Grant::development().review(&manifest);
    for kind in manifest.events.iter().take(8).chain([&"a".repeat(4_096)]) {
        manifest.asks_about(kind);
    }
    if problems.is_empty() {
        let written = serde_json::to_vec(&manifest).expect("can be written");
        assert_eq!(serde_json::from_slice::<Manifest>(&written).ok().as_ref(), Some(&manifest));
        let name = manifest.name.clone();
        assert_eq!(Release::new(b"component", b"{}", Vec::new(), manifest).policy(), name);
    }
}

fn vector(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let vector = match Vector::parse(text) {
        Ok(vector) => vector,
        Err(problem) => {
            let lines = text.split('\n').count();
            return assert!((1..=lines).contains(&problem.place.line), "{problem} of {lines} lines");
        }
    };
    let events = vector.event_count();
    let places =
        (0..events).map(|event| vector.expect_place(event)).chain((0..vector.wake_count()).map(|wake| vector.wake_place(Some(wake))));
    for place in places.chain([vector.settings_place(), vector.lists_place(), vector.wake_place(None)]) {
        assert!((1..=text.split('\n').count()).contains(&place.line), "{place}");
    }
    let _ = (vector.complete(), vector.rules().count());
}

fn root(bytes: &[u8]) {
    let publisher = publisher_of(bytes);
    let (folder, location) = (folder(), "/nowhere".parse::<Location>().expect("a location"));
    if Client::new("office", &location, bytes.to_vec(), folder.path()).is_ok() {
        assert!(publisher.is_none_or(|publisher| publisher == "office"), "the root of another");
    }
}
