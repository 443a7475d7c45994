//! Tiles: what they are called, what is in them, where they are kept (C2SP
//! tlog-tiles).

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use super::Hash;

/// Hashes in a full tile (tlog-tiles, "Merkle Tree").
pub const TILE_WIDTH: u64 = 256;

/// Height of the subtree that a tile stands for: 2^8 = 256.
pub(super) const TILE_HEIGHT: u32 = 8;

/// Tiles of one level are made of full tiles of the level below, so eight levels
/// of 256 are all that a 64-bit size can fill.
pub(super) const MAX_LEVEL: u8 = 7;

/// The longest entry that an entry bundle can hold: its length is a `u16`
/// (tlog-tiles, "Log entries").
pub const MAX_ENTRY: usize = u16::MAX as usize;

/// What a tile holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TileKind {
    /// Hashes at this level; level 0 are the leaves.
    Hashes(u8),
    /// The entries themselves.
    Entries,
}

/// The name of a tile: what, where, how wide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TileId {
    /// What it holds.
    pub kind: TileKind,
    /// Its place in the level, from 0.
    pub index: u64,
    /// How many hashes or entries, 1 to 256; 256 is a full tile.
    pub width: u16,
}

impl TileId {
    /// A full tile of hashes.
    pub fn full(level: u8, index: u64) -> Self {
        TileId { kind: TileKind::Hashes(level), index, width: TILE_WIDTH as u16 }
    }

    /// Whether the tile will never change again.
    pub fn is_full(&self) -> bool {
        u64::from(self.width) == TILE_WIDTH
    }

    /// The path below the log's prefix: `tile/0/x001/x234/067`, with `.p/<W>` for a
    /// partial tile (tlog-tiles, "Merkle Tree").
    pub fn path(&self) -> String {
        let mut path = match self.kind {
            TileKind::Hashes(level) => format!("tile/{level}/"),
            TileKind::Entries => "tile/entries/".to_string(),
        };
        let mut groups = vec![self.index % 1000];
        let mut rest = self.index / 1000;
        while rest > 0 {
            groups.push(rest % 1000);
            rest /= 1000;
        }
        while let Some(group) = groups.pop() {
            if groups.is_empty() {
                path.push_str(&format!("{group:03}"));
            } else {
                path.push_str(&format!("x{group:03}/"));
            }
        }
        if !self.is_full() {
            path.push_str(&format!(".p/{}", self.width));
        }
        path
    }

    /// Reads a path back. Only the one spelling that [`TileId::path`] gives is
    /// taken, so that a tile has one address.
    pub fn parse(path: &str) -> Option<Self> {
        let rest = path.strip_prefix("tile/")?;
        let (kind, rest) = rest.split_once('/')?;
        let kind = match kind {
            "entries" => TileKind::Entries,
            level => TileKind::Hashes(level.parse().ok().filter(|level| *level < 64)?),
        };
        let (index, width) = match rest.split_once(".p/") {
            Some((index, width)) => (index, width.parse().ok()?),
            None => (rest, TILE_WIDTH as u16),
        };
        let mut number = 0u64;
        for group in index.split('/') {
            let digits = group.strip_prefix('x').unwrap_or(group);
            number = number.checked_mul(1000)?.checked_add(digits.parse().ok()?)?;
        }
        let tile = TileId { kind, index: number, width };
        ((1..=TILE_WIDTH as u16).contains(&width) && tile.path() == path).then_some(tile)
    }
}

/// An entry bundle: each entry after its length as a big-endian `u16` (tlog-tiles,
/// "Log entries"). `None` if an entry is longer than [`MAX_ENTRY`].
pub fn bundle<'e>(entries: impl IntoIterator<Item = &'e [u8]>) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    for entry in entries {
        bytes.extend(u16::try_from(entry.len()).ok()?.to_be_bytes());
        bytes.extend_from_slice(entry);
    }
    Some(bytes)
}

/// The entries of a bundle; `None` if it ends inside one.
pub fn unbundle(mut bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let mut entries = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<2>() {
        let (entry, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        entries.push(entry);
        bytes = rest;
    }
    bytes.is_empty().then_some(entries)
}

/// Where full tiles are kept.
pub trait TileStore {
    /// Keeps a full tile. It may be one that is there already, from before a
    /// restart: then it has the same bytes.
    fn write(&mut self, tile: TileId, bytes: &[u8]) -> io::Result<()>;

    /// A full tile as it was written.
    fn read(&self, tile: TileId) -> io::Result<Vec<u8>>;
}

/// Full tiles on disk: one file for each level, `tiles/0` and so on, with the level's
/// tiles one after the other.
///
/// One file, and not one for each tile: making 4,000 files a second costs more than
/// writing the entries. Nothing is synced: after a power cut a tile may be missing or
/// wrong, which the next start finds and mends.
#[derive(Debug)]
pub struct TileFiles {
    root: PathBuf,
    /// Those that were opened, by level.
    open: Vec<Option<File>>,
}

/// The folder of the files.
pub(in crate::ledger) const TILES: &str = "tiles";

impl TileFiles {
    /// Tiles in `tiles/` below this directory.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        TileFiles { root: root.into(), open: Vec::new() }
    }

    /// The file of a level, and where in it a tile is.
    fn place(&self, tile: TileId) -> io::Result<(PathBuf, usize, u64)> {
        match tile.kind {
            TileKind::Hashes(level) if tile.is_full() => {
                Ok((self.root.join(TILES).join(level.to_string()), level.into(), tile.index * TILE_BYTES))
            }
            TileKind::Hashes(_) | TileKind::Entries => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

/// Bytes of a full tile.
pub(in crate::ledger) const TILE_BYTES: u64 = TILE_WIDTH * Hash::LEN as u64;

impl TileStore for TileFiles {
    fn write(&mut self, tile: TileId, bytes: &[u8]) -> io::Result<()> {
        if self.read(tile).is_ok_and(|there| there == bytes) {
            return Ok(());
        }
        let (path, level, offset) = self.place(tile)?;
        if self.open.len() <= level {
            self.open.resize_with(level + 1, || None);
        }
        if self.open[level].is_none() {
            fs::create_dir_all(self.root.join(TILES))?;
            self.open[level] = Some(File::options().create(true).truncate(false).write(true).open(path)?);
        }
        self.open[level].as_ref().map_or(Ok(()), |file| file.write_all_at(bytes, offset))
    }

    fn read(&self, tile: TileId) -> io::Result<Vec<u8>> {
        let (path, _, offset) = self.place(tile)?;
        let mut bytes = vec![0; TILE_BYTES as usize];
        File::open(path)?.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }
}
