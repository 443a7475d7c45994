//! What is signed and proved: notes, checkpoints, proofs of entries, histories, keys, names of
//! tiles. The first line says which. Under the key here nothing holds but what it has signed.

use std::sync::OnceLock;

use ephor::ledger::checkpoint::{Checkpoint, EntryProof, Frames, History};
use ephor::ledger::note::{Algorithm, Note, SignerKey, VerifierKey};
use ephor::ledger::tree::{Hash, TileId, bundle, leaf_hash, node_hash, unbundle, verify_consistency, verify_inclusion};

use super::headed;

/// Entries of the log here.
const ENTRIES: u64 = 21;
/// Sizes of it that were signed.
const SIGNED: [u64; 3] = [1, 13, ENTRIES];

struct Log {
    key: SignerKey,
    witness: SignerKey,
    /// By size.
    signed: Vec<(u64, Note)>,
}

pub fn body(bytes: &[u8]) {
    let (kind, rest) = headed(bytes);
    match kind {
        b"checkpoint" => {
            let text = String::from_utf8_lossy(rest);
            if let Ok(checkpoint) = Checkpoint::parse(&text) {
                assert_eq!(checkpoint.to_string(), text, "a checkpoint has one form");
            }
        }
        b"proof" => proof(rest),
        b"path" => path(rest),
        b"history" => history(rest),
        b"key" => {
            let text = String::from_utf8_lossy(rest);
            if let Ok(key) = VerifierKey::parse(&text) {
                assert_eq!(key.to_string(), text, "a key has one form");
            }
        }
        b"tile" => {
            let text = String::from_utf8_lossy(rest);
            if let Some(tile) = TileId::parse(&text) {
                assert_eq!(tile.path(), text, "a tile has one name");
            }
        }
        b"bundle" => {
            if let Some(entries) = unbundle(rest) {
                assert_eq!(bundle(entries).as_deref(), Some(rest), "a bundle has one form");
            }
        }
        _ => note(rest),
    }
}

fn entry(index: u64) -> String {
    format!("entry {index}")
}

fn leaves(size: u64) -> Vec<Hash> {
    (0..size).map(|index| leaf_hash(entry(index).as_bytes())).collect()
}

/// The root over leaves, by its definition (RFC 6962, section 2.1).
fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Hash::of_nothing(),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
            node_hash(&root(left), &root(right))
        }
    }
}

fn log() -> &'static Log {
    static LOG: OnceLock<Log> = OnceLock::new();
    LOG.get_or_init(|| {
        let key = SignerKey::new("example.org/log", Algorithm::Ed25519, &[7; 32]).expect("a key");
        let witness = SignerKey::new("example.org/witness", Algorithm::Cosignature, &[9; 32]).expect("a key");
        let sign = |size| {
            let root = root(&leaves(size));
            let checkpoint = Checkpoint { origin: "example.org/log".into(), size, root, extensions: Vec::new() };
            let mut note = checkpoint.sign(&key).expect("signed");
            note.cosign(&witness, 1_800_000_000);
            (size, note)
        };
        let signed = SIGNED.map(sign).into();
        Log { key, witness, signed }
    })
}

fn note(bytes: &[u8]) {
    let Log { key, witness, signed } = log();
    let Ok(note) = Note::parse(bytes) else { return };
    assert_eq!(note.to_string().as_bytes(), bytes, "a note has one form");
    for by in [key, witness] {
        let Ok(found) = note.verify([by.verifier()]) else { continue };
        assert_eq!(found.len(), 1);
        let known = signed.iter().find(|(_, known)| known.text() == note.text());
        let (_, known) = known.unwrap_or_else(|| panic!("nobody signed {:?}", note.text()));
        // A signature has one form too.
        let ours = |note: &Note| {
            note.signatures()
                .iter()
                .filter(|one| one.name == by.verifier().name() && one.id == by.verifier().id())
                .map(|one| one.bytes.clone())
                .collect::<Vec<_>>()
        };
        let expected = ours(known);
        assert!(ours(&note).iter().all(|one| expected.contains(one)), "another signature over {:?}", note.text());
    }
    if let Ok((checkpoint, _)) = Checkpoint::open(bytes, key.verifier()) {
        assert!(SIGNED.contains(&checkpoint.size) && checkpoint.root == root(&leaves(checkpoint.size)), "{checkpoint}");
    }
}

fn proof(bytes: &[u8]) {
    let Log { key, witness, .. } = log();
    let Ok(proof) = EntryProof::parse(bytes) else { return };
    assert_eq!(proof.to_string().as_bytes(), bytes, "a proof has one form");
    for index in 0..ENTRIES {
        let witnesses = [witness.verifier().clone()];
        if let Ok((checkpoint, signed)) = proof.verify(entry(index).as_bytes(), key.verifier(), &witnesses) {
            assert!(SIGNED.contains(&checkpoint.size) && index < checkpoint.size);
            assert_eq!(proof.index, index, "an entry is proved to be in the place of another");
            assert!(signed.len() <= 1);
        }
    }
}

/// Two numbers, a size or index and a size, and hashes: as a proof of inclusion and as one of
/// consistency.
fn path(bytes: &[u8]) {
    let Some((numbers, rest)) = bytes.split_first_chunk::<16>() else { return };
    let (one, two) = numbers.split_at(8);
    let number = |bytes: &[u8]| bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte));
    let (one, two) = (number(one), number(two));
    let (hashes, _) = rest.as_chunks::<32>();
    let hashes: Vec<Hash> = hashes.iter().map(|hash| Hash(*hash)).collect();
    for size in SIGNED {
        let (leaves_there, new_root) = (leaves(size), root(&leaves(size)));
        for (index, leaf) in leaves_there.iter().enumerate() {
            if verify_inclusion(leaf, one, size, &hashes, &new_root).is_ok() {
                assert_eq!(one, index as u64, "an entry is proved to be in the place of another");
            }
        }
        // Of any size, which a root says nothing of.
        let _ = verify_inclusion(&leaves_there[0], one, two, &hashes, &new_root);
        for old in SIGNED {
            let old_root = root(&leaves(old));
            if verify_consistency(one, size, &old_root, &new_root, &hashes).is_ok() && one == old {
                assert!(old <= size, "a log is proved to extend a larger one");
            }
            let _ = verify_consistency(one, two, &old_root, &new_root, &hashes);
        }
    }
}

fn history(bytes: &[u8]) {
    let frames: Vec<_> = Frames::new(bytes).collect();
    match History::resume(bytes) {
        Ok((history, whole)) => {
            // What is whole is so without what follows, and written again it is the same.
            let (again, end) = History::resume(&bytes[..whole]).expect("was whole");
            assert_eq!((&again, end), (&history, whole));
            let good: Vec<_> = Frames::new(&bytes[..whole]).map(|frame| frame.expect("was whole")).collect();
            assert_eq!(good.len() as u64, history.len());
            if let Some(notes) = good.iter().map(|frame| Note::parse(frame.note).ok()).collect::<Option<Vec<Note>>>() {
                let mut anew = History::new();
                let written: Vec<u8> = notes.iter().flat_map(|note| anew.append(note)).collect();
                assert!(written == bytes[..whole] && anew == history, "a history has one form");
            }
        }
        Err(bad) => assert!(frames.iter().any(|frame| frame.as_ref().is_err_and(|other| *other == bad))),
    }
}
