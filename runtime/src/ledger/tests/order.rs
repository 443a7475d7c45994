//! In which order the disk is asked: a name is durable before anything rests on it, and
//! bytes are before they get a name that somebody reads.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

/// What is not durable yet, by what was asked of a disk.
#[derive(Debug, Default)]
struct Pending {
    bytes: BTreeSet<String>,
    /// Names that are new, with what made them.
    names: BTreeMap<String, String>,
}

fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

impl Pending {
    /// Follows one operation of [`Faulty`].
    fn follow(&mut self, operation: &str) {
        let words: Vec<&str> = operation.split(' ').collect();
        match words[..] {
            ["create", path] => drop(self.names.insert(path.to_string(), operation.to_string())),
            ["write_at", path, ..] => {
                // Under a name of its own way it may be written at once: nobody reads it there.
                assert!(path.ends_with(".new") || !self.names.contains_key(path), "{operation}, and its name is not durable: {self:?}");
                self.bytes.insert(path.to_string());
            }
            ["sync", path] => drop(self.bytes.remove(path)),
            ["rename", from, to] => {
                assert!(!self.bytes.contains(from), "{operation}, and its bytes are not durable: {self:?}");
                self.names.remove(from);
                self.names.insert(to.to_string(), operation.to_string());
            }
            ["sync_dir", folder] => self.names.retain(|path, _| folder_of(path) != folder),
            ["sync_dir"] => self.names.retain(|path, _| !folder_of(path).is_empty()),
            ["remove", path] => drop(self.names.remove(path)),
            _ => {}
        }
    }
}

#[test]
fn du_11_bytes_and_names_are_durable_before_anything_rests_on_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let disk = Faulty::new(0);
    let (mut pending, mut seen) = (Pending::default(), 0);
    let mut all_is_durable = |what: &str| {
        let operations = disk.operations();
        operations[seen..].iter().for_each(|operation| pending.follow(operation.trim_end()));
        assert!(pending.bytes.is_empty() && pending.names.is_empty(), "after {what}: {pending:?}");
        let asked = operations.len() - seen;
        seen = operations.len();
        assert!(asked > 0, "{what} asks the disk for something");
    };
    storage::replace(&disk, "FORMAT", b"ephor data 1\n", false).expect("written");
    all_is_durable("the mark");
    let (mut ledger, _) = open_on(Arc::new(disk.clone()), folder.path()).expect("a new ledger");
    all_is_durable("a first start");
    for number in 0..12 {
        assert!(commit(&mut ledger, &[12, 0, 9]).is_ok());
        all_is_durable("a commit");
        if number % 4 == 3 {
            ledger.checkpoint().expect("signed");
            all_is_durable("a checkpoint");
        }
    }
    drop(ledger);
    drop(open_on(Arc::new(disk.clone()), folder.path()).expect("opens again"));
    all_is_durable("another start");
    let created = |what: &str| disk.operations().iter().filter(|operation| operation.starts_with(what)).count();
    assert!(created("create journal/") > 2 && created("rename checkpoint.new") == 4, "segments and checkpoints were made");
}
