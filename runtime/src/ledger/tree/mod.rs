//! The Merkle tree over the entries: RFC 6962 hashes, kept in the tiles of C2SP
//! tlog-tiles, so that what serves proofs also serves standard clients.
//!
//! A tree of ten million leaves needs 320 MB for its leaf hashes alone, so full
//! tiles of leaf hashes leave memory for a [`TileStore`] and come back for proofs
//! of old leaves. What comes back is held against the hash that the level above
//! has of it: a proof is never made from a damaged tile.
//!
//! Everything here is derived from the journal. A lost tile is written again when
//! the tree is built again.

mod proof;
#[cfg(test)]
mod tests;
mod tile;

use std::collections::BTreeMap;
use std::{fmt, io};

use sha2::{Digest as _, Sha256};

use tile::{MAX_LEVEL, TILE_HEIGHT};
pub(super) use tile::{TILE_BYTES, TILES};

pub use proof::{ProofError, verify_consistency, verify_inclusion};
#[cfg(test)]
pub(super) use tests::MemoryTiles;
pub use tile::{MAX_ENTRY, TILE_WIDTH, TileFiles, TileId, TileKind, TileStore, bundle, unbundle};

/// A hash of the tree: SHA-256, 32 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// Length in bytes.
    pub const LEN: usize = 32;

    /// The root of the tree without leaves: the hash of nothing (RFC 6962,
    /// section 2.1).
    pub fn of_nothing() -> Self {
        Hash(Sha256::digest(b"").into())
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Reads one hash; `None` if there are not exactly 32 bytes.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Hash)
    }
}

/// 64 lower-case hexadecimal digits.
impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The hash of a leaf (RFC 6962, section 2.1). The prefix keeps leaves and inner
/// nodes apart: no entry can pass for a node.
pub fn leaf_hash(entry: &[u8]) -> Hash {
    Hash(Sha256::new().chain_update([0x00]).chain_update(entry).finalize().into())
}

/// The hash of an inner node (RFC 6962, section 2.1).
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    // One buffer and one update: this is called once a leaf, and pieces cost.
    let mut bytes = [0x01; 65];
    bytes[1..33].copy_from_slice(&left.0);
    bytes[33..].copy_from_slice(&right.0);
    Hash(Sha256::digest(bytes).into())
}

/// The root over a whole number of siblings; their number is a power of two.
fn fold(mut hashes: Vec<Hash>) -> Hash {
    debug_assert!(hashes.len().is_power_of_two());
    while hashes.len() > 1 {
        let half = hashes.len() / 2;
        for pair in 0..half {
            hashes[pair] = node_hash(&hashes[2 * pair], &hashes[2 * pair + 1]);
        }
        hashes.truncate(half);
    }
    hashes.first().copied().unwrap_or_else(Hash::of_nothing)
}

/// Why the tree could not answer.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// Asked about a size that the tree does not have yet.
    #[error("the tree has {have} leaves, and the question is about {asked}")]
    TooLarge {
        /// The size asked about.
        asked: u64,
        /// The size that it has.
        have: u64,
    },
    /// A leaf that is not in the tree of that size.
    #[error("leaf {index} is not in a tree of {size} leaves")]
    NoSuchLeaf {
        /// Index of the leaf, from 0.
        index: u64,
        /// The size of the tree.
        size: u64,
    },
    /// The older of two trees is the larger one.
    #[error("a tree of {new} leaves does not extend one of {old}")]
    Backwards {
        /// Size of the tree said to be older.
        old: u64,
        /// Size of the tree said to be newer.
        new: u64,
    },
    /// A full tile cannot be read or written.
    #[error("{path}: {source}")]
    Store {
        /// Which tile.
        path: String,
        /// What the store says.
        source: io::Error,
    },
    /// A full tile is not what was written. It is derived, and written again from the
    /// journal at the next start.
    #[error("{path} is damaged: its hashes do not give the hash that the level above has; start again to have it written again")]
    DamagedTile {
        /// Which tile.
        path: String,
    },
}

/// An append-only Merkle tree.
///
/// In memory: the hashes of level 0 that do not fill a tile yet, all hashes of the
/// levels above (an eighth of a byte a leaf), and full tiles until
/// [`Tree::flush`] takes them to the store.
#[derive(Debug)]
pub struct Tree<S> {
    store: S,
    size: u64,
    /// Leaf hashes after the last full tile.
    tail: Vec<Hash>,
    /// `levels[l - 1]` has the hashes of level `l`: one for each full tile of the
    /// level below.
    levels: Vec<Vec<Hash>>,
    /// Full tiles of level 0 that are not in the store yet.
    pending: BTreeMap<u64, Vec<Hash>>,
    /// How many full tiles of each upper level are in the store.
    stored: Vec<u64>,
}

impl<S: TileStore> Tree<S> {
    /// A tree without leaves.
    pub fn new(store: S) -> Self {
        Tree { store, size: 0, tail: Vec::new(), levels: Vec::new(), pending: BTreeMap::new(), stored: Vec::new() }
    }

    /// The number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The store, such as to look at what it found.
    pub fn store(&self) -> &S {
        &self.store
    }

    /// The store, to change it.
    pub fn store_mut(&mut self) -> &mut S {
        &mut self.store
    }

    /// Takes the store back.
    pub fn into_store(self) -> S {
        self.store
    }

    /// Adds a leaf. Touches no file, so it cannot fail: a commit must not depend on
    /// what can be derived from it.
    pub fn push(&mut self, leaf: Hash) {
        self.size += 1;
        self.tail.push(leaf);
        if self.tail.len() < TILE_WIDTH as usize {
            return;
        }
        let full = std::mem::replace(&mut self.tail, Vec::with_capacity(TILE_WIDTH as usize));
        let mut hash = fold(full.clone());
        self.pending.insert(self.size / TILE_WIDTH - 1, full);
        for level in 0.. {
            if self.levels.len() == level {
                self.levels.push(Vec::new());
            }
            let hashes = &mut self.levels[level];
            hashes.push(hash);
            if !hashes.len().is_multiple_of(TILE_WIDTH as usize) {
                break;
            }
            hash = fold(hashes[hashes.len() - TILE_WIDTH as usize..].to_vec());
        }
    }

    /// Takes full tiles to the store. What could not be written stays in memory and
    /// is tried again at the next call.
    pub fn flush(&mut self) -> Result<(), TreeError> {
        while self.flush_one()? {}
        Ok(())
    }

    /// Takes one full tile to the store; false if it has them all. For a tree that
    /// others wait for.
    pub fn flush_one(&mut self) -> Result<bool, TreeError> {
        if let Some((index, hashes)) = self.pending.first_key_value() {
            write(&mut self.store, TileId::full(0, *index), hashes)?;
            self.pending.pop_first();
            return Ok(true);
        }
        self.stored.resize(self.levels.len(), 0);
        for ((hashes, stored), level) in self.levels.iter().zip(&mut self.stored).zip(1..) {
            if let Some(tile) = hashes.chunks_exact(TILE_WIDTH as usize).nth(*stored as usize) {
                write(&mut self.store, TileId::full(level, *stored), tile)?;
                *stored += 1;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The root over all leaves. Needs no file.
    pub fn root(&self) -> Hash {
        // The right edge of the whole tree is in memory: the binary digits of the
        // size name the complete subtrees, the smallest first.
        let mut root = None;
        for height in 0..64 {
            if self.size >> height & 1 == 0 {
                continue;
            }
            let index = (self.size >> height) - 1;
            let hashes = self.resident(height, index).unwrap_or_default();
            let left = fold(hashes.to_vec());
            root = Some(match root {
                None => left,
                Some(right) => node_hash(&left, &right),
            });
        }
        root.unwrap_or_else(Hash::of_nothing)
    }

    /// The root over the first `size` leaves.
    pub fn root_at(&self, size: u64) -> Result<Hash, TreeError> {
        self.has(size)?;
        if size == self.size {
            return Ok(self.root());
        }
        Reader::new(self).range(0, size)
    }

    /// The audit path of leaf `index` in the tree of the first `size` leaves, from
    /// the leaf's sibling up (RFC 6962, section 2.1.1).
    pub fn inclusion(&self, index: u64, size: u64) -> Result<Vec<Hash>, TreeError> {
        self.has(size)?;
        if index >= size {
            return Err(TreeError::NoSuchLeaf { index, size });
        }
        let mut reader = Reader::new(self);
        let (mut low, mut high) = (0, size);
        let mut path = Vec::new();
        while high - low > 1 {
            let middle = low + split(high - low);
            if index < middle {
                path.push(reader.range(middle, high)?);
                high = middle;
            } else {
                path.push(reader.range(low, middle)?);
                low = middle;
            }
        }
        path.reverse();
        Ok(path)
    }

    /// The proof that the tree of the first `new` leaves begins with that of the
    /// first `old` (RFC 6962, section 2.1.2). Empty if the two are equal, and for
    /// `old == 0`, which everything extends.
    pub fn consistency(&self, old: u64, new: u64) -> Result<Vec<Hash>, TreeError> {
        self.has(new)?;
        if old > new {
            return Err(TreeError::Backwards { old, new });
        }
        if old == 0 || old == new {
            return Ok(Vec::new());
        }
        let mut reader = Reader::new(self);
        let (mut low, mut high) = (0, new);
        let mut proof = Vec::new();
        while high != old {
            let middle = low + split(high - low);
            if old <= middle {
                proof.push(reader.range(middle, high)?);
                high = middle;
            } else {
                proof.push(reader.range(low, middle)?);
                low = middle;
            }
        }
        // A whole left subtree is the old root itself, which the verifier has.
        if low != 0 {
            proof.push(reader.range(low, high)?);
        }
        proof.reverse();
        Ok(proof)
    }

    /// The hashes of a tile, as served; `None` if the tree does not fill it to this
    /// width.
    pub fn tile(&self, level: u8, index: u64, width: u16) -> Result<Option<Vec<u8>>, TreeError> {
        if level > MAX_LEVEL || width == 0 || u64::from(width) > TILE_WIDTH {
            return Ok(None);
        }
        let have = self.size >> (TILE_HEIGHT * u32::from(level));
        let Some(end) = index.checked_mul(TILE_WIDTH).and_then(|start| start.checked_add(u64::from(width))) else { return Ok(None) };
        if end > have {
            return Ok(None);
        }
        let height = TILE_HEIGHT * u32::from(level);
        let first = index * TILE_WIDTH;
        let mut reader = Reader::new(self);
        let hashes = reader.hashes(height, first, end)?;
        Ok(Some(hashes.iter().flat_map(|hash| hash.0).collect()))
    }

    /// The tiles, full and partial, that a tree of this size consists of: what has
    /// to be served once a checkpoint of this size is out.
    pub fn tiles(size: u64) -> impl Iterator<Item = TileId> {
        (0..=MAX_LEVEL).flat_map(move |level| {
            let hashes = size >> (TILE_HEIGHT * u32::from(level));
            let partial = (hashes % TILE_WIDTH) as u16;
            let full = hashes / TILE_WIDTH;
            let kind = TileKind::Hashes(level);
            (0..full).map(move |index| TileId::full(level, index)).chain((partial > 0).then_some(TileId {
                kind,
                index: full,
                width: partial,
            }))
        })
    }

    fn has(&self, size: u64) -> Result<(), TreeError> {
        if size > self.size {
            return Err(TreeError::TooLarge { asked: size, have: self.size });
        }
        Ok(())
    }

    /// The hashes, at the tile level just below, of the complete subtree of
    /// `height` at `index`, if they are in memory.
    fn resident(&self, height: u32, index: u64) -> Option<&[Hash]> {
        let level = height / TILE_HEIGHT;
        let within = height % TILE_HEIGHT;
        let (first, end) = (index << within, (index + 1) << within);
        self.resident_range(level, first, end)
    }

    fn resident_range(&self, level: u32, first: u64, end: u64) -> Option<&[Hash]> {
        if level > 0 {
            return self.levels.get(level as usize - 1)?.get(first as usize..end as usize);
        }
        let tile = first / TILE_WIDTH;
        let hashes = if tile == self.size / TILE_WIDTH { &self.tail } else { self.pending.get(&tile)? };
        let start = tile * TILE_WIDTH;
        hashes.get((first - start) as usize..(end - start) as usize)
    }
}

fn write(store: &mut impl TileStore, tile: TileId, hashes: &[Hash]) -> Result<(), TreeError> {
    let bytes: Vec<u8> = hashes.iter().flat_map(|hash| hash.0).collect();
    store.write(tile, &bytes).map_err(|source| TreeError::Store { path: tile.path(), source })
}

/// The largest power of two below `leaves`, where RFC 6962 splits a tree; `leaves`
/// is at least 2.
fn split(leaves: u64) -> u64 {
    1 << (u64::BITS - 1 - (leaves - 1).leading_zeros())
}

/// Reads for one answer, with the tile that it read last: a proof takes up to eight
/// nodes out of one tile.
struct Reader<'t, S> {
    tree: &'t Tree<S>,
    last: Option<(u64, Vec<Hash>)>,
}

impl<'t, S: TileStore> Reader<'t, S> {
    fn new(tree: &'t Tree<S>) -> Self {
        Reader { tree, last: None }
    }

    /// The root over the leaves from `low` until before `high`, where `low` is a
    /// multiple of a power of two that is at least their number.
    fn range(&mut self, low: u64, high: u64) -> Result<Hash, TreeError> {
        let leaves = high - low;
        if leaves == 0 {
            return Ok(Hash::of_nothing());
        }
        if leaves.is_power_of_two() {
            return self.node(leaves.trailing_zeros(), low / leaves);
        }
        let middle = low + split(leaves);
        let left = self.range(low, middle)?;
        let right = self.range(middle, high)?;
        Ok(node_hash(&left, &right))
    }

    /// The hash of the complete subtree of this height at this place.
    fn node(&mut self, height: u32, index: u64) -> Result<Hash, TreeError> {
        let within = height % TILE_HEIGHT;
        let hashes = self.hashes(height, index << within, (index + 1) << within)?;
        Ok(fold(hashes))
    }

    /// Hashes of the tile level at or below this height; all of one tile.
    fn hashes(&mut self, height: u32, first: u64, end: u64) -> Result<Vec<Hash>, TreeError> {
        if let Some(hashes) = self.tree.resident_range(height / TILE_HEIGHT, first, end) {
            return Ok(hashes.to_vec());
        }
        let tile = first / TILE_WIDTH;
        let start = tile * TILE_WIDTH;
        let range = (first - start) as usize..(end - start) as usize;
        if self.last.as_ref().is_none_or(|(last, _)| *last != tile) {
            self.last = Some((tile, self.load(tile)?));
        }
        let hashes = self.last.as_ref().and_then(|(_, hashes)| hashes.get(range));
        hashes.map(<[Hash]>::to_vec).ok_or_else(|| TreeError::DamagedTile { path: TileId::full(0, tile).path() })
    }

    /// A full tile of leaf hashes from the store, checked.
    fn load(&self, index: u64) -> Result<Vec<Hash>, TreeError> {
        let tile = TileId::full(0, index);
        let bytes = self.tree.store.read(tile).map_err(|source| TreeError::Store { path: tile.path(), source })?;
        let hashes: Vec<Hash> = bytes.chunks_exact(Hash::LEN).filter_map(Hash::from_slice).collect();
        let whole = bytes.len() == TILE_WIDTH as usize * Hash::LEN;
        let above = self.tree.levels.first().and_then(|level| level.get(index as usize));
        if !whole || above != Some(&fold(hashes.clone())) {
            return Err(TreeError::DamagedTile { path: tile.path() });
        }
        Ok(hashes)
    }
}
