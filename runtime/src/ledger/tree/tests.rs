use std::collections::BTreeMap;
use std::fs;

use proptest::prelude::*;

use super::*;

/// Tiles in memory, for tests and small trees.
#[derive(Debug, Default)]
pub(in crate::ledger) struct MemoryTiles(BTreeMap<TileId, Vec<u8>>);

impl TileStore for MemoryTiles {
    fn write(&mut self, tile: TileId, bytes: &[u8]) -> io::Result<()> {
        self.0.insert(tile, bytes.to_vec());
        Ok(())
    }

    fn read(&self, tile: TileId) -> io::Result<Vec<u8>> {
        self.0.get(&tile).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

fn leaf(index: u64) -> Hash {
    leaf_hash(&index.to_be_bytes())
}

fn grown(size: u64) -> Tree<MemoryTiles> {
    let mut tree = Tree::new(MemoryTiles::default());
    (0..size).for_each(|index| tree.push(leaf(index)));
    tree
}

/// RFC 6962, section 2.1, word for word.
fn naive_root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Hash::of_nothing(),
        [one] => *one,
        _ => {
            let (left, right) = leaves.split_at(naive_split(leaves.len()));
            node_hash(&naive_root(left), &naive_root(right))
        }
    }
}

fn naive_split(leaves: usize) -> usize {
    leaves.next_power_of_two() / 2
}

/// RFC 6962, section 2.1.1, word for word.
fn naive_path(index: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() <= 1 {
        return Vec::new();
    }
    let (left, right) = leaves.split_at(naive_split(leaves.len()));
    let (mut path, sibling) =
        if index < left.len() { (naive_path(index, left), right) } else { (naive_path(index - left.len(), right), left) };
    path.push(naive_root(sibling));
    path
}

/// RFC 6962, section 2.1.2, word for word.
fn naive_proof(old: usize, leaves: &[Hash], whole: bool) -> Vec<Hash> {
    if old == leaves.len() {
        return if whole { Vec::new() } else { vec![naive_root(leaves)] };
    }
    let (left, right) = leaves.split_at(naive_split(leaves.len()));
    let (mut proof, sibling) =
        if old <= left.len() { (naive_proof(old, left, whole), right) } else { (naive_proof(old - left.len(), right, false), left) };
    proof.push(naive_root(sibling));
    proof
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal")).collect()
}

/// Known answers of Certificate Transparency's own tests: these eight leaves,
/// and the roots over the first 0 to 8 of them.
const LEAVES: [&str; 8] = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
const ROOTS: [&str; 9] = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

#[test]
fn tl_01_roots_are_the_published_ones() {
    let mut tree = Tree::new(MemoryTiles::default());
    assert_eq!(tree.root().to_string(), ROOTS[0]);
    for (entry, root) in LEAVES.iter().zip(&ROOTS[1..]) {
        tree.push(leaf_hash(&hex(entry)));
        assert_eq!(tree.root().to_string(), *root);
    }
}

#[test]
fn a_published_proof_holds() {
    // transparency-dev/merkle, inclusion/1 and consistency/1: leaf 0 of 8.
    let proof: Vec<Hash> = [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ]
    .iter()
    .map(|hash| Hash::from_slice(&hex(hash)).expect("32 bytes"))
    .collect();
    let mut tree = Tree::new(MemoryTiles::default());
    LEAVES.iter().for_each(|entry| tree.push(leaf_hash(&hex(entry))));
    assert_eq!(tree.inclusion(0, 8).expect("in range"), proof);
    assert_eq!(tree.consistency(1, 8).expect("in range"), proof);
    assert_eq!(verify_inclusion(&leaf_hash(b""), 0, 8, &proof, &tree.root()), Ok(()));
    assert_eq!(verify_consistency(1, 8, &leaf_hash(b""), &tree.root(), &proof), Ok(()));
}

/// All proofs of all trees up to 300 leaves: over the end of the first tile.
#[test]
fn tl_01_every_root_and_proof_is_the_naive_one_and_holds() {
    const MOST: u64 = 300;
    let leaves: Vec<Hash> = (0..MOST).map(leaf).collect();
    let mut tree = grown(MOST);
    tree.flush().expect("memory does not fail");
    let roots: Vec<Hash> = (0..=MOST as usize).map(|size| naive_root(&leaves[..size])).collect();
    for size in 0..=MOST {
        let root = roots[size as usize];
        assert_eq!(tree.root_at(size).expect("in range"), root);
        assert_eq!(grown(size).root(), root);
        // Every size against every other would take minutes; this has all small
        // ones and those around the tile's end.
        if size > 70 && size < 250 && size % 13 != 0 {
            continue;
        }
        for index in 0..size {
            let proof = tree.inclusion(index, size).expect("in range");
            assert_eq!(proof, naive_path(index as usize, &leaves[..size as usize]), "{index} of {size}");
            assert_eq!(verify_inclusion(&leaf(index), index, size, &proof, &root), Ok(()));
        }
        for old in 1..=size {
            let proof = tree.consistency(old, size).expect("in range");
            assert_eq!(proof, naive_proof(old as usize, &leaves[..size as usize], true), "{old} to {size}");
            assert_eq!(verify_consistency(old, size, &roots[old as usize], &root, &proof), Ok(()));
        }
    }
}

/// The cases of transparency-dev/merkle: `vectors.md` says what they are.
#[test]
fn tl_02_the_vectors_of_transparency_dev_hold() {
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    let cases: Vec<serde_json::Value> =
        include_str!("vectors.ndjson").lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let read = |kind: &'static str| cases.iter().filter(move |case| case["kind"] == kind);
    let bytes = |value: &serde_json::Value| BASE64_STANDARD.decode(value.as_str().unwrap_or("")).expect("base64");
    // What is not a hash cannot be given to the functions at all, but some cases
    // have words in place of roots, only to be equal or not.
    let hash = |value: &serde_json::Value| Hash::from_slice(&bytes(value));
    let root = |value: &serde_json::Value| hash(value).unwrap_or_else(|| leaf_hash(&bytes(value)));
    let proof = |case: &serde_json::Value| -> Option<Vec<Hash>> {
        case["proof"].as_array().map_or(Some(Vec::new()), |list| list.iter().map(hash).collect())
    };
    let number = |value: &serde_json::Value| value.as_u64().expect("an unsigned number");
    let mut counted = (0, 0);
    for case in read("inclusion") {
        let ours = (|| {
            verify_inclusion(
                &hash(&case["leafHash"])?,
                number(&case["leafIdx"]),
                number(&case["treeSize"]),
                &proof(case)?,
                &root(&case["root"]),
            )
            .ok()
        })();
        assert_eq!(ours.is_none(), case["wantErr"], "{}", case["file"]);
        counted.0 += 1;
    }
    for case in read("consistency") {
        let ours = (|| {
            let (old, new) = (number(&case["size1"]), number(&case["size2"]));
            verify_consistency(old, new, &root(&case["root1"]), &root(&case["root2"]), &proof(case)?).ok()
        })();
        assert_eq!(ours.is_none(), case["wantErr"], "{}", case["file"]);
        counted.1 += 1;
    }
    assert_eq!(counted, (98, 98), "inclusion and consistency cases");
}

#[test]
fn tl_03_the_example_of_tlog_tiles() {
    let tiles: Vec<TileId> = Tree::<MemoryTiles>::tiles(70_000).collect();
    let of = |level: u8| tiles.iter().filter(move |tile| tile.kind == TileKind::Hashes(level));
    assert_eq!(of(0).filter(|tile| tile.is_full()).count(), 273);
    assert_eq!(of(0).filter(|tile| !tile.is_full()).map(|tile| tile.width).collect::<Vec<_>>(), [112]);
    assert_eq!(of(1).map(|tile| tile.width).collect::<Vec<_>>(), [256, 17]);
    assert_eq!(of(2).map(|tile| tile.width).collect::<Vec<_>>(), [1]);
    assert_eq!(of(3).count(), 0);

    let mut tree = grown(70_000);
    tree.flush().expect("memory does not fail");
    for id in &tiles {
        let TileKind::Hashes(level) = id.kind else { continue };
        let bytes = tree.tile(level, id.index, id.width).expect("readable").expect("there");
        assert_eq!(bytes.len(), usize::from(id.width) * 32);
        let span = 1u64 << (8 * u32::from(level));
        let start = id.index * 256 * span;
        // The last hash of each tile, from the definition.
        let last = start + (u64::from(id.width) - 1) * span;
        if level == 0 {
            assert_eq!(bytes[bytes.len() - 32..], leaf(last).0);
        } else if level == 1 {
            let leaves: Vec<Hash> = (last..last + span).map(leaf).collect();
            assert_eq!(bytes[bytes.len() - 32..], naive_root(&leaves).0);
        }
    }
    assert!(tree.tile(0, 273, 113).expect("readable").is_none());
    assert!(tree.tile(0, u64::MAX, 256).expect("readable").is_none());
    // A partial tile of an older size is the beginning of the full one.
    let full = tree.tile(0, 3, 256).expect("readable").expect("there");
    assert_eq!(tree.tile(0, 3, 9).expect("readable").expect("there"), full[..9 * 32]);
}

#[test]
fn tl_03_paths_are_those_of_tlog_tiles() {
    let entries = |index, width| TileId { kind: TileKind::Entries, index, width };
    for (id, path) in [
        (TileId::full(0, 1_234_067), "tile/0/x001/x234/067"),
        (TileId::full(63, 0), "tile/63/000"),
        (TileId::full(1, 999), "tile/1/999"),
        (TileId::full(1, 1000), "tile/1/x001/000"),
        (TileId { kind: TileKind::Hashes(2), index: 7, width: 1 }, "tile/2/007.p/1"),
        (entries(70_000, 256), "tile/entries/x070/000"),
        (entries(5, 255), "tile/entries/005.p/255"),
    ] {
        assert_eq!(id.path(), path);
        assert_eq!(TileId::parse(path), Some(id));
    }
    for wrong in [
        "",
        "tile/",
        "tile/0",
        "tile/0/",
        "tile/0/1",
        "tile/0/0001",
        "tile/00/001",
        "tile/64/001",
        "tile/-1/001",
        "tile/+1/001",
        "tile/0/001.p/0",
        "tile/0/001.p/256",
        "tile/0/001.p/01",
        "tile/0/x000/001",
        "tile/0/x001",
        "tile/0/001/002",
        "tile/data/001",
        "tile/0/001.p/",
        "tile/0/x999/x999/x999/x999/x999/x999/x999/999",
        "tile/0/../001",
    ] {
        assert_eq!(TileId::parse(wrong), None, "{wrong}");
    }
}

#[test]
fn bundles_hold_what_they_can() {
    let long = vec![b'x'; MAX_ENTRY];
    let entries: [&[u8]; 3] = [b"one", b"", &long];
    let bytes = bundle(entries).expect("short enough");
    assert_eq!(bytes[..5], [0, 3, b'o', b'n', b'e']);
    assert_eq!(unbundle(&bytes).expect("whole"), entries);
    assert!(unbundle(&bytes[..bytes.len() - 1]).is_none());
    assert!(unbundle(&bytes[..1]).is_none());
    assert!(bundle([[0; MAX_ENTRY + 1].as_slice()]).is_none());
}

#[test]
fn du_09_tiles_on_disk_answer_as_tiles_in_memory_and_damage_is_seen() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut tree = Tree::new(TileFiles::new(folder.path()));
    (0..1000).for_each(|index| tree.push(leaf(index)));
    let before = (tree.inclusion(5, 1000).expect("pending"), tree.consistency(300, 900).expect("pending"));
    tree.flush().expect("written");
    assert_eq!((tree.inclusion(5, 1000).expect("stored"), tree.consistency(300, 900).expect("stored")), before);
    assert_eq!(tree.root_at(700).expect("stored"), grown(700).root());

    let file = folder.path().join("tiles/0");
    let good = fs::read(&file).expect("three tiles");
    assert_eq!(good, (0..768).flat_map(|index| leaf(index).0).collect::<Vec<_>>());
    for (at, bit) in [(0, 1), (8_191, 0x80), (4_000, 4)] {
        let mut bad = good.clone();
        bad[at] ^= bit;
        fs::write(&file, bad).expect("written");
        assert!(matches!(tree.inclusion(5, 1000), Err(TreeError::DamagedTile { path }) if path == "tile/0/000"));
        assert!(tree.inclusion(300, 1000).is_ok(), "the tile beside it is whole");
    }
    for length in [0, 32, 8_191] {
        fs::write(&file, &good[..length]).expect("written");
        assert!(matches!(tree.inclusion(5, 1000), Err(TreeError::Store { .. })));
    }
    fs::remove_file(&file).expect("removed");
    assert!(matches!(tree.inclusion(5, 1000), Err(TreeError::Store { .. })));
    // What needs no old leaf still answers.
    assert!(tree.inclusion(999, 1000).is_ok());
    tree.root();
    // Built again, it writes what is missing, and what is wrong.
    let zeros = vec![0; good.len() - 40];
    for there in [None, Some(&good[..8_200]), Some(&zeros), Some(&good)] {
        there.map_or(Ok(()), |bytes| fs::write(&file, bytes)).expect("written");
        let mut again = Tree::new(TileFiles::new(folder.path()));
        (0..1000).for_each(|index| again.push(leaf(index)));
        again.flush().expect("written");
        assert_eq!(fs::read(&file).expect("three tiles"), good);
    }
}

#[test]
fn a_store_that_fails_loses_nothing() {
    #[derive(Default)]
    struct Failing(MemoryTiles, u32);
    impl TileStore for Failing {
        fn write(&mut self, tile: TileId, bytes: &[u8]) -> io::Result<()> {
            self.1 += 1;
            if self.1.is_multiple_of(2) { Err(io::ErrorKind::StorageFull.into()) } else { self.0.write(tile, bytes) }
        }
        fn read(&self, tile: TileId) -> io::Result<Vec<u8>> {
            self.0.read(tile)
        }
    }
    let mut tree = Tree::new(Failing::default());
    (0..66_000).for_each(|index| tree.push(leaf(index)));
    let mut failures = 0;
    while let Err(error) = tree.flush() {
        assert!(matches!(error, TreeError::Store { .. }));
        failures += 1;
        assert!(tree.inclusion(failures, 66_000).is_ok());
    }
    // 257 full tiles of leaves and one of the level above.
    assert_eq!((failures, tree.store().0.0.len()), (257, 258));
}

#[test]
fn questions_out_of_range_are_refused() {
    let tree = grown(10);
    assert!(matches!(tree.root_at(11), Err(TreeError::TooLarge { .. })));
    assert!(matches!(tree.inclusion(10, 10), Err(TreeError::NoSuchLeaf { .. })));
    assert!(matches!(tree.inclusion(0, 11), Err(TreeError::TooLarge { .. })));
    assert!(matches!(tree.inclusion(0, 0), Err(TreeError::NoSuchLeaf { .. })));
    assert!(matches!(tree.consistency(5, 4), Err(TreeError::Backwards { .. })));
    let root = tree.root();
    assert_eq!(verify_inclusion(&root, 0, 0, &[], &root), Err(ProofError::OutOfRange));
    assert_eq!(verify_consistency(3, 2, &root, &root, &[]), Err(ProofError::OutOfRange));
    assert_eq!(verify_consistency(0, 2, &root, &root, &[]), Err(ProofError::OutOfRange));
    assert_eq!(verify_inclusion(&root, u64::MAX - 1, u64::MAX, &[root; 80], &root), Err(ProofError::WrongLength));
    assert_eq!(verify_consistency(u64::MAX - 1, u64::MAX, &root, &root, &[root; 80]), Err(ProofError::WrongLength));
}

/// All sizes to 2,000, and those around the ends of tiles of both levels: what the tree
/// says of its hashes in memory is what RFC 6962 says of the leaves.
#[test]
fn tl_01_roots_of_all_sizes_are_those_of_the_definition() {
    let leaves: Vec<Hash> = (0..66_000).map(leaf).collect();
    let sizes = (0..=2_000).chain(65_279..=65_281).chain(65_534..=65_538).chain(65_791..=65_793);
    let mut tree = Tree::new(MemoryTiles::default());
    for size in sizes {
        (tree.size()..size).for_each(|index| tree.push(leaves[index as usize]));
        assert_eq!(tree.root(), naive_root(&leaves[..size as usize]), "{size} leaves");
    }
    tree.flush().expect("memory does not fail");
    for size in [1, 255, 256, 257, 65_535, 65_536, 65_537, 65_793] {
        assert_eq!(tree.root_at(size).expect("in range"), naive_root(&leaves[..size as usize]), "{size} leaves, from tiles");
        for index in [0, size / 2, size - 1] {
            let proof = tree.inclusion(index, size).expect("in range");
            assert_eq!(proof, naive_path(index as usize, &leaves[..size as usize]), "{index} of {size}");
        }
    }
}

/// A reader that knows nothing but the paths and bytes of tiles, and C2SP tlog-tiles: the
/// root over a level's hashes, where the last tile is partial.
fn root_of_served(served: &BTreeMap<String, Vec<u8>>, size: u64) -> Hash {
    // A hash of level l stands for 256^l leaves. What a level has beyond its full tiles is
    // a subtree of its own, to the right of all that the levels above have.
    let tile = |level: u32, index: u64, width: u64| -> Vec<Hash> {
        let group = |number: u64| format!("{number:03}");
        let place = match index {
            0..1_000 => group(index),
            _ => format!("x{}/{}", group(index / 1_000), group(index % 1_000)),
        };
        let part = if width == 256 { String::new() } else { format!(".p/{width}") };
        let path = format!("tile/{level}/{place}{part}");
        let bytes = served.get(&path).unwrap_or_else(|| panic!("{path} is served"));
        assert_eq!(bytes.len() as u64, width * 32, "{path}");
        bytes.chunks(32).map(|hash| Hash::from_slice(hash).expect("32 bytes")).collect()
    };
    let mut root: Option<Hash> = None;
    for level in 0.. {
        let hashes = size >> (8 * level);
        if hashes == 0 {
            break;
        }
        for index in 0..hashes / 256 {
            let above = tile(level + 1, index / 256, (hashes / 256 - index / 256 * 256).min(256));
            assert_eq!(naive_root(&tile(level, index, 256)), above[(index % 256) as usize], "tile {index} of level {level}");
        }
        let rest = hashes % 256;
        if rest > 0 {
            let mut rest = &tile(level, hashes / 256, rest)[..];
            // Complete subtrees from the right: the smallest is the last.
            while !rest.is_empty() {
                let width = 1 << rest.len().trailing_zeros();
                let (left, last) = rest.split_at(rest.len() - width);
                let last = naive_root(last);
                root = Some(root.map_or(last, |right| node_hash(&last, &right)));
                rest = left;
            }
        }
    }
    root.unwrap_or_else(Hash::of_nothing)
}

#[test]
fn tl_03_another_reader_finds_the_root_in_the_tiles() {
    for size in [0, 1, 112, 256, 300, 70_000] {
        let mut tree = grown(size);
        tree.flush().expect("memory does not fail");
        let bytes = |id: TileId| match id.kind {
            TileKind::Hashes(level) => tree.tile(level, id.index, id.width).expect("readable").expect("there"),
            TileKind::Entries => panic!("no tile of hashes"),
        };
        let served: BTreeMap<String, Vec<u8>> = Tree::<MemoryTiles>::tiles(size).map(|id| (id.path(), bytes(id))).collect();
        assert_eq!(root_of_served(&served, size), tree.root(), "{size} leaves");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn an_inclusion_proof_with_any_change_fails(size in 1u64..300, index in any::<prop::sample::Index>(), bit in 0u8..8) {
        let tree = grown(size);
        let index = index.index(size as usize) as u64;
        let (leaf, root) = (leaf(index), tree.root());
        let proof = tree.inclusion(index, size).expect("in range");
        for place in 0..proof.len() {
            for byte in 0..32 {
                let mut changed = proof.clone();
                changed[place].0[byte] ^= 1 << bit;
                prop_assert!(verify_inclusion(&leaf, index, size, &changed, &root).is_err());
            }
        }
        for byte in 0..32 {
            let (mut other_leaf, mut other_root) = (leaf, root);
            other_leaf.0[byte] ^= 1 << bit;
            other_root.0[byte] ^= 1 << bit;
            prop_assert!(verify_inclusion(&other_leaf, index, size, &proof, &root).is_err());
            prop_assert!(verify_inclusion(&leaf, index, size, &proof, &other_root).is_err());
        }
        for other in (0..size).filter(|other| *other != index) {
            prop_assert!(verify_inclusion(&leaf, other, size, &proof, &root).is_err());
        }
        let mut longer = proof.clone();
        longer.push(root);
        prop_assert!(verify_inclusion(&leaf, index, size, &longer, &root).is_err());
        if !proof.is_empty() {
            prop_assert!(verify_inclusion(&leaf, index, size, &proof[1..], &root).is_err());
            prop_assert!(verify_inclusion(&leaf, index, size, &proof[..proof.len() - 1], &root).is_err());
        }
    }

    #[test]
    fn a_consistency_proof_with_any_change_fails(new in 2u64..300, old in any::<prop::sample::Index>(), bit in 0u8..8) {
        let tree = grown(new);
        let old = 1 + old.index(new as usize - 1) as u64;
        let (old_root, new_root) = (grown(old).root(), tree.root());
        let proof = tree.consistency(old, new).expect("in range");
        prop_assert_eq!(verify_consistency(old, new, &old_root, &new_root, &proof), Ok(()));
        for place in 0..proof.len() {
            for byte in 0..32 {
                let mut changed = proof.clone();
                changed[place].0[byte] ^= 1 << bit;
                prop_assert!(verify_consistency(old, new, &old_root, &new_root, &changed).is_err());
            }
        }
        for byte in 0..32 {
            let (mut other_old, mut other_new) = (old_root, new_root);
            other_old.0[byte] ^= 1 << bit;
            other_new.0[byte] ^= 1 << bit;
            prop_assert!(verify_consistency(old, new, &other_old, &new_root, &proof).is_err());
            prop_assert!(verify_consistency(old, new, &old_root, &other_new, &proof).is_err());
        }
        let mut longer = proof.clone();
        longer.push(old_root);
        prop_assert!(verify_consistency(old, new, &old_root, &new_root, &longer).is_err());
        prop_assert!(verify_consistency(old, new, &old_root, &new_root, &proof[1..]).is_err());
        prop_assert!(verify_consistency(old, new, &old_root, &new_root, &proof[..proof.len() - 1]).is_err());
    }

    #[test]
    fn tile_paths_come_back(level in 0u8..64, index in any::<u64>(), width in 1u16..=256, entries in any::<bool>()) {
        let kind = if entries { TileKind::Entries } else { TileKind::Hashes(level) };
        let id = TileId { kind, index, width };
        prop_assert_eq!(TileId::parse(&id.path()), Some(id));
    }

    #[test]
    fn parsing_a_path_never_panics(path in "(tile/)?[x0-9/.p+-]{0,40}") {
        if let Some(id) = TileId::parse(&path) {
            prop_assert_eq!(id.path(), path);
        }
    }
}
