//! Proofs out of tiles, which is all that a client has: RFC 6962, sections 2.1.1 and
//! 2.1.2, over complete subtrees.
//!
//! Tiles are not checked on their way in. A proof from damaged tiles does not hold,
//! and every proof is checked before it is given out.

use std::collections::HashMap;
use std::io;

use ephor::ledger::tree::{Hash, TILE_WIDTH, TileId, TileKind, TileStore, Tree, node_hash};

use super::fetch::Fetcher;
use crate::cli::exit::{Exit, Outcome, failed};

/// Where no tile is kept: for trees that are never flushed, and so are in memory as a
/// whole, with 32 bytes for an entry.
#[derive(Debug, Default)]
pub struct Nowhere;

impl TileStore for Nowhere {
    fn write(&mut self, _: TileId, _: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn read(&self, _: TileId) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }
}

/// Where tiles come from.
pub enum Tiles {
    /// The entries of a directory.
    Tree(Box<Tree<Nowhere>>),
    /// A server.
    Server(Box<Fetcher>),
}

/// Makes proofs about a log of a known size.
pub struct Prover {
    tiles: Tiles,
    size: u64,
    read: HashMap<TileId, Vec<Hash>>,
}

impl Prover {
    /// For the log of so many entries.
    pub fn new(tiles: Tiles, size: u64) -> Self {
        Prover { tiles, size, read: HashMap::new() }
    }

    /// The root over the first entries.
    pub async fn root(&mut self, size: u64) -> Outcome<Hash> {
        self.has(size)?;
        self.range(0, size).await
    }

    /// The audit path of the entry at `index`, from 0, in the log of `size` entries.
    pub async fn inclusion(&mut self, index: u64, size: u64) -> Outcome<Vec<Hash>> {
        self.has(size)?;
        if index >= size {
            return Err(failed(Exit::Usage, format!("there is no entry {} in a log of {size}", index.saturating_add(1))));
        }
        let (mut low, mut high) = (0, size);
        let mut path = Vec::new();
        while high - low > 1 {
            let middle = low + split(high - low);
            if index < middle {
                path.push(self.range(middle, high).await?);
                high = middle;
            } else {
                path.push(self.range(low, middle).await?);
                low = middle;
            }
        }
        path.reverse();
        Ok(path)
    }

    /// The proof that the log of `new` entries begins with that of `old`; empty if the
    /// two are equal, or `old` is 0.
    pub async fn consistency(&mut self, old: u64, new: u64) -> Outcome<Vec<Hash>> {
        self.has(new)?;
        if old == 0 || old >= new {
            return Ok(Vec::new());
        }
        let (mut low, mut high) = (0, new);
        let mut proof = Vec::new();
        while high != old {
            let middle = low + split(high - low);
            if old <= middle {
                proof.push(self.range(middle, high).await?);
                high = middle;
            } else {
                proof.push(self.range(low, middle).await?);
                low = middle;
            }
        }
        if low != 0 {
            proof.push(self.range(low, high).await?);
        }
        proof.reverse();
        Ok(proof)
    }

    fn has(&self, size: u64) -> Outcome {
        if size > self.size {
            return Err(failed(Exit::Failed, format!("the log has {} signed entries, and {size} were asked about", self.size)));
        }
        Ok(())
    }

    /// The root over the entries from `low` until before `high`, where `low` is a
    /// multiple of a power of two that is at least their number.
    async fn range(&mut self, low: u64, high: u64) -> Outcome<Hash> {
        // Its complete subtrees, the largest first.
        let (mut nodes, mut at) = (Vec::new(), low);
        while at < high {
            let height = (high - at).ilog2();
            nodes.push(self.node(height, at >> height).await?);
            at += 1 << height;
        }
        Ok(nodes.into_iter().rev().reduce(|right, left| node_hash(&left, &right)).unwrap_or_else(Hash::of_nothing))
    }

    /// The root of the complete subtree of this height at this place.
    async fn node(&mut self, height: u32, index: u64) -> Outcome<Hash> {
        let within = height % 8;
        let (first, count) = (index << within, 1_usize << within);
        let hashes = self.tile((height / 8) as u8, first / TILE_WIDTH).await?;
        let start = (first % TILE_WIDTH) as usize;
        let mut hashes = hashes.get(start..start + count).unwrap_or_default().to_vec();
        while hashes.len() > 1 {
            hashes = hashes.chunks(2).map(|pair| node_hash(&pair[0], &pair[pair.len() - 1])).collect();
        }
        hashes.first().copied().ok_or_else(|| failed(Exit::Failed, "a tile of the log has too few hashes"))
    }

    /// The hashes of a tile, as wide as the log fills it.
    async fn tile(&mut self, level: u8, index: u64) -> Outcome<&[Hash]> {
        let there = (self.size >> (8 * u32::from(level))).saturating_sub(index * TILE_WIDTH);
        let tile = TileId { kind: TileKind::Hashes(level), index, width: there.min(TILE_WIDTH) as u16 };
        if !self.read.contains_key(&tile) {
            let bytes = match &mut self.tiles {
                Tiles::Tree(tree) => tree.tile(level, index, tile.width).map_err(|error| failed(Exit::Failed, error))?,
                Tiles::Server(fetcher) => fetcher.tile(tile).await?,
            };
            let bytes = bytes.filter(|bytes| bytes.len() == usize::from(tile.width) * Hash::LEN);
            let bytes = bytes.ok_or_else(|| failed(Exit::Failed, format!("{} is missing, or has another length", tile.path())))?;
            self.read.insert(tile, bytes.chunks_exact(Hash::LEN).filter_map(Hash::from_slice).collect());
        }
        Ok(self.read.get(&tile).map_or(&[], Vec::as_slice))
    }

    /// The server that the tiles come from, if it is one.
    pub fn server(&mut self) -> Option<&mut Fetcher> {
        match &mut self.tiles {
            Tiles::Server(fetcher) => Some(fetcher),
            Tiles::Tree(_) => None,
        }
    }
}

/// The largest power of two below `leaves`, where RFC 6962 splits a tree; `leaves` is
/// at least 2.
fn split(leaves: u64) -> u64 {
    1 << (leaves - 1).ilog2()
}

#[cfg(test)]
mod tests {
    use ephor::ledger::tree::{leaf_hash, verify_consistency, verify_inclusion};

    use super::*;

    fn tree(size: u64) -> Tree<Nowhere> {
        let mut tree = Tree::new(Nowhere);
        (0..size).for_each(|index| tree.push(leaf_hash(&index.to_be_bytes())));
        tree
    }

    #[tokio::test]
    async fn proofs_out_of_tiles_are_those_of_the_tree() {
        for size in [1, 2, 3, 7, 8, 255, 256, 257, 600, 70_000] {
            let whole = tree(size);
            let mut prover = Prover::new(Tiles::Tree(Box::new(tree(size))), size);
            assert_eq!(prover.root(size).await.expect("there"), whole.root());
            let places = [0, 1, size / 3, size / 2, size.saturating_sub(2), size - 1].map(|place| place.min(size - 1));
            for (old, new) in places.iter().flat_map(|old| places.map(|new| (*old, new + 1))) {
                assert_eq!(prover.root(new).await.expect("there"), whole.root_at(new).expect("there"), "{new} of {size}");
                if old < new {
                    let path = prover.inclusion(old, new).await.expect("there");
                    assert_eq!(path, whole.inclusion(old, new).expect("there"), "{old} in {new} of {size}");
                    let (leaf, root) = (leaf_hash(&old.to_be_bytes()), whole.root_at(new).expect("there"));
                    assert_eq!(verify_inclusion(&leaf, old, new, &path, &root), Ok(()));
                }
                if old <= new {
                    let proof = prover.consistency(old, new).await.expect("there");
                    assert_eq!(proof, whole.consistency(old, new).expect("there"), "{old} to {new} of {size}");
                    let roots = (whole.root_at(old).expect("there"), whole.root_at(new).expect("there"));
                    assert!(old == 0 || verify_consistency(old, new, &roots.0, &roots.1, &proof).is_ok());
                }
            }
        }
    }

    #[tokio::test]
    async fn what_the_log_does_not_have_is_not_proved() {
        let mut prover = Prover::new(Tiles::Tree(Box::new(tree(9))), 9);
        assert_eq!(prover.root(0).await.expect("nothing to hash"), Hash::of_nothing());
        assert!(prover.root(10).await.is_err() && prover.inclusion(9, 9).await.is_err() && prover.consistency(3, 10).await.is_err());
    }
}
