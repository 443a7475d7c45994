//! Logs that others have written, read with what reads our own: a log of Tessera as a whole,
//! of one of Sunlight what its test data has, which is the checkpoint.

use std::path::Path;

use ephor::ledger::checkpoint::Checkpoint;
use ephor::ledger::note::{KeyError, Note, VerifierKey};
use ephor::ledger::tree::{Hash, TileId, TileKind, TileStore, Tree, leaf_hash, unbundle, verify_consistency, verify_inclusion};

use super::{base64, folder, json};

/// Full tiles go nowhere: these logs have one at most, and it stays in memory.
struct Nowhere;

impl TileStore for Nowhere {
    fn write(&mut self, _: TileId, _: &[u8]) -> std::io::Result<()> {
        Ok(())
    }
    fn read(&self, _: TileId) -> std::io::Result<Vec<u8>> {
        Err(std::io::ErrorKind::NotFound.into())
    }
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The tree over leaves, and each of its tiles held against the one that is served.
fn tree_of(leaves: &[Hash], served: &Path) -> (Tree<Nowhere>, usize) {
    let mut tree = Tree::new(Nowhere);
    leaves.iter().for_each(|leaf| tree.push(*leaf));
    let mut tiles = 0;
    for id in Tree::<Nowhere>::tiles(tree.size()) {
        let TileKind::Hashes(level) = id.kind else { continue };
        let ours = tree.tile(level, id.index, id.width).expect("in memory").expect("the tree has it");
        assert!(ours == read(&served.join(id.path())), "{}", id.path());
        tiles += 1;
    }
    (tree, tiles)
}

#[test]
#[ignore = "needs a suite from outside: make suites DIR=…"]
#[expect(clippy::print_stdout, reason = "the counts are what is asked for")]
fn tl_04_a_log_of_tessera_verifies() {
    let suite = folder("tessera", "transparency-dev/tessera").join("testdata");
    let script = String::from_utf8(read(&suite.join("build_log.sh"))).expect("UTF-8");
    let stated = script.lines().find_map(|line| line.split_once("LOG_PUBLIC_KEY=\"")?.1.strip_suffix('"'));
    let key = VerifierKey::parse(stated.expect("the script says the key")).expect("a key");
    let log = suite.join("log");
    let (mut known, mut tiles): (Vec<Checkpoint>, usize) = (Vec::new(), 0);
    for number in 0.. {
        let file = log.join(format!("checkpoint.{number}"));
        if !file.exists() {
            break;
        }
        let (checkpoint, _) = Checkpoint::open(&read(&file), &key).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let mut tree = Tree::new(Nowhere);
        if checkpoint.size > 0 {
            let id = TileId { kind: TileKind::Entries, index: 0, width: checkpoint.size as u16 };
            let bundle = read(&log.join(id.path()));
            let entries = unbundle(&bundle).expect("a whole bundle");
            let leaves: Vec<Hash> = entries.iter().map(|entry| leaf_hash(entry)).collect();
            let found;
            (tree, found) = tree_of(&leaves, &log);
            tiles += found;
            for (index, leaf) in (0..).zip(&leaves) {
                let path = tree.inclusion(index, checkpoint.size).expect("in range");
                assert_eq!(verify_inclusion(leaf, index, checkpoint.size, &path, &checkpoint.root), Ok(()));
            }
        }
        assert_eq!((tree.size(), tree.root()), (checkpoint.size, checkpoint.root), "{}", file.display());
        for old in known.iter().filter(|old| old.size > 0) {
            let proof = tree.consistency(old.size, checkpoint.size).expect("in range");
            assert_eq!(verify_consistency(old.size, checkpoint.size, &old.root, &checkpoint.root, &proof), Ok(()));
        }
        known.push(checkpoint);
    }
    assert!(known.len() >= 16 && read(&log.join("checkpoint")) == read(&log.join(format!("checkpoint.{}", known.len() - 1))));
    // One letter of an entry, and of a checkpoint.
    let note = String::from_utf8(read(&log.join("checkpoint"))).expect("UTF-8");
    assert!(Checkpoint::open(note.replacen("15", "14", 1).as_bytes(), &key).is_err());
    println!("tessera: {} checkpoints signed, with the roots over their entries, each extending all before; {tiles} tiles", known.len());
}

#[test]
#[ignore = "needs a suite from outside: make suites DIR=…"]
#[expect(clippy::print_stdout, reason = "the counts are what is asked for")]
fn tl_04_a_checkpoint_of_sunlight_is_read_and_its_kind_of_key_refused() {
    let log = folder("sunlight", "FiloSottile/sunlight").join("cmd/skylight/testdata/tree");
    let note = Note::parse(&read(&log.join("checkpoint"))).expect("a note");
    let checkpoint = Checkpoint::parse(note.text()).expect("a checkpoint");
    let stated = json(&log.join("log.v3.json"));
    assert_eq!(checkpoint.size, stated["final_tree_head"]["tree_size"].as_u64().expect("a size"));
    assert_eq!(checkpoint.root.0.to_vec(), base64(stated["final_tree_head"]["sha256_root_hash"].as_str().expect("a hash")));
    // Logs of certificates sign with ECDSA over another text (RFC 6962); a key of that kind
    // is refused by its number.
    let kind = VerifierKey::parse("rome2026h1.example.org+91507526+BQ==");
    assert!(matches!(kind, Err(KeyError::Algorithm(5))), "{kind:?}");

    // Its tiles are placeholders, which say so.
    let served = read(&log.join("tile/0/000"));
    assert!(!served.len().is_multiple_of(Hash::LEN), "tiles are there, and are not read yet");
    println!(
        "sunlight: the checkpoint of {} entries is read; its key is of a kind that is refused, and its tiles are placeholders",
        checkpoint.size
    );
}
