//! Reference lists: published tables that policies look things up in.
//!
//! One file is one version of one list (`FORMAT.md`, byte by byte). It comes from a
//! publisher, so opening one trusts nothing in it; once a [`List`] is there, every
//! look-up in it works.
//!
//! The file is held in memory and looked up through an index of hashes that is made
//! when it is opened. Mapping it would take `unsafe`, and whoever changed the file
//! underneath would crash the process or change a verdict.

mod diff;
mod draft;
mod error;
#[cfg(test)]
mod tests;

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use hashbrown::HashTable;
use sha2::{Digest as _, Sha256};

use crate::digest::Digest;

pub use diff::{Change, Changes, diff};
pub use draft::Draft;
pub use error::ListError;

/// Bytes of a file, at most.
pub const BYTES_MAX: usize = 1 << 30;
/// Entries of a list, at most.
pub const ENTRIES_MAX: usize = 1 << 26;
/// Bytes of a key, at most.
pub const KEY_BYTES_MAX: usize = 4 << 10;
/// Bytes of a value, at most.
pub const VALUE_BYTES_MAX: usize = 64 << 10;
/// Bytes of a version: it stands in every entry of a policy that uses the list.
pub const VERSION_BYTES_MAX: usize = 32;
/// Columns of a list, the key's included, at most.
pub const COLUMNS_MAX: usize = 64;
/// Bytes of a column's name, at most.
pub const COLUMN_BYTES_MAX: usize = 256;

const NAME_BYTES_MAX: usize = 64;
const MAGIC: [u8; 8] = *b"EPHRLIST";
const FORMAT: u32 = 1;
/// Bytes before the first text.
const HEAD_BYTES: usize = 26;
const DIGEST_BYTES: usize = 32;

/// One version of a reference list. Never changes.
pub struct List {
    bytes: Arc<[u8]>,
    digest: Digest,
    name: String,
    version: String,
    columns: Vec<String>,
    entries: usize,
    places: Places,
    /// The entries, by the hash of their keys.
    index: HashTable<u32>,
    /// Random for each list: whoever sends keys cannot make them collide.
    hasher: RandomState,
}

/// Where the parts of a file begin.
#[derive(Debug, Clone, Copy)]
struct Places {
    key_ends: usize,
    /// Absent where the list has no values.
    value_ends: Option<usize>,
    keys: usize,
    values: usize,
}

impl std::fmt::Debug for List {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let List { name, version, digest, entries, .. } = self;
        f.debug_struct("List").field("name", name).field("version", version).field("digest", digest).field("entries", entries).finish()
    }
}

impl List {
    /// Takes the bytes of a list's file, after checking all of them.
    ///
    /// # Errors
    ///
    /// Why they are no list, or not a whole one.
    pub fn open(bytes: Arc<[u8]>) -> Result<List, ListError> {
        let digest = check_whole(&bytes)?;
        let content = &bytes[..bytes.len() - DIGEST_BYTES];
        let mut rest = Reader { content, at: MAGIC.len() + 4 };
        let entries = rest.size()?;
        let (keys_length, values_length) = (rest.size()?, rest.size()?);
        if entries > ENTRIES_MAX {
            return Err(head(format!("it says that it has {entries} entries, at most {ENTRIES_MAX}")));
        }
        let columns_count = usize::from(u16::from_le_bytes(rest.array()?));
        let name = rest.text("the name")?;
        let version = rest.text("the version")?;
        let columns = (0..columns_count).map(|at| rest.text(&format!("the name of column {}", at + 1)));
        let columns = columns.collect::<Result<Vec<String>, ListError>>()?;
        check_name(&name)?;
        check_version(&version)?;
        check_columns(&columns)?;
        let ends = entries * size_of::<u32>();
        let key_ends = rest.skip(ends)?;
        let value_ends = if columns.len() > 1 { Some(rest.skip(ends)?) } else { None };
        let keys = rest.skip(keys_length)?;
        let values = rest.skip(values_length)?;
        if rest.at != content.len() {
            return Err(head(format!("it says that it has {} bytes, but there are {}", rest.at + DIGEST_BYTES, bytes.len())));
        }
        if value_ends.is_none() && values_length > 0 {
            return Err(head("it has values without a column for them".into()));
        }
        let places = Places { key_ends, value_ends, keys, values };
        let mut list = List { bytes, digest, name, version, columns, entries, places, index: HashTable::new(), hasher: RandomState::new() };
        list.check_entries(keys_length, values_length)?;
        list.index = list.indexed();
        Ok(list)
    }

    /// Checks every entry, so that no look-up has to.
    fn check_entries(&self, keys_length: usize, values_length: usize) -> Result<(), ListError> {
        let wrong = |entry: usize, problem: String| Err(ListError::Entry { number: entry as u64 + 1, problem });
        let (mut key_from, mut value_from) = (0, 0);
        let mut last: &[u8] = &[];
        for entry in 0..self.entries {
            let key_end = self.end(self.places.key_ends, entry);
            if key_end < key_from || key_end > keys_length {
                return wrong(entry, "its key does not end where the keys are".into());
            }
            let key = &self.bytes[self.places.keys + key_from..self.places.keys + key_end];
            if let Err(problem) = check_key(key) {
                return wrong(entry, problem);
            }
            match last.cmp(key) {
                std::cmp::Ordering::Less => {}
                std::cmp::Ordering::Equal => return wrong(entry, format!("its key {} is there twice", shown(key))),
                std::cmp::Ordering::Greater => {
                    return wrong(entry, format!("its key {} is not behind that of the entry before", shown(key)));
                }
            }
            (last, key_from) = (key, key_end);
            let Some(ends) = self.places.value_ends else { continue };
            let value_end = self.end(ends, entry);
            if value_end < value_from || value_end > values_length {
                return wrong(entry, "its value does not end where the values are".into());
            }
            let value = &self.bytes[self.places.values + value_from..self.places.values + value_end];
            if let Err(problem) = check_value(value) {
                return wrong(entry, problem);
            }
            value_from = value_end;
        }
        if key_from != keys_length || value_from != values_length {
            return Err(head("it has keys or values that belong to no entry".into()));
        }
        Ok(())
    }

    fn indexed(&self) -> HashTable<u32> {
        let mut index = HashTable::with_capacity(self.entries);
        for entry in 0..self.entries {
            index.insert_unique(self.hash(self.key(entry)), entry as u32, |other| self.hash(self.key(*other as usize)));
        }
        index
    }

    fn hash(&self, key: &[u8]) -> u64 {
        self.hasher.hash_one(key)
    }

    /// The number in a table of ends.
    fn end(&self, table: usize, entry: usize) -> usize {
        let at = table + entry * size_of::<u32>();
        let bytes = self.bytes[at..].first_chunk().copied().unwrap_or_default();
        u32::from_le_bytes(bytes) as usize
    }

    /// Where an entry's part is, by the table of ends.
    fn part(&self, table: usize, from: usize, entry: usize) -> &[u8] {
        let begin = entry.checked_sub(1).map_or(0, |before| self.end(table, before));
        &self.bytes[from + begin..from + self.end(table, entry)]
    }

    fn key(&self, entry: usize) -> &[u8] {
        self.part(self.places.key_ends, self.places.keys, entry)
    }

    fn value(&self, entry: usize) -> &str {
        let value = self.places.value_ends.map_or(&[][..], |ends| self.part(ends, self.places.values, entry));
        // Checked when the list was opened.
        std::str::from_utf8(value).unwrap_or_default()
    }

    fn find(&self, key: &str) -> Option<usize> {
        let key = key.as_bytes();
        self.index.find(self.hash(key), |entry| self.key(*entry as usize) == key).map(|entry| *entry as usize)
    }

    /// Whether it has this key, byte by byte.
    pub fn contains(&self, key: &str) -> bool {
        self.find(key).is_some()
    }

    /// The value that it has for a key; empty for every key of a list without values.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.find(key).map(|entry| self.value(entry))
    }

    /// Keys and values, ascending by key.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        (0..self.entries).map(|entry| (std::str::from_utf8(self.key(entry)).unwrap_or_default(), self.value(entry)))
    }

    /// What policies call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its version, as its publisher calls it.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The names of its columns, the key's first.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Number of entries.
    pub fn len(&self) -> u64 {
        self.entries as u64
    }

    /// Whether it has no entry.
    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// SHA-256 over the whole file: the list's name among all.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The file.
    pub fn bytes(&self) -> &Arc<[u8]> {
        &self.bytes
    }
}

/// Checks what can be checked before anything in the file is believed, and gives the
/// digest of all of it.
fn check_whole(bytes: &[u8]) -> Result<Digest, ListError> {
    if bytes.len() > BYTES_MAX {
        return Err(ListError::TooLarge { bytes: bytes.len() as u64, max: BYTES_MAX as u64 });
    }
    let Some(rest) = bytes.strip_prefix(&MAGIC) else { return Err(ListError::NotAList) };
    let format = rest.first_chunk().map(|format| u32::from_le_bytes(*format)).ok_or(ListError::Damaged)?;
    if format != FORMAT {
        return Err(ListError::Format { found: format, known: FORMAT });
    }
    let (content, checksum) = bytes.split_last_chunk::<DIGEST_BYTES>().ok_or(ListError::Damaged)?;
    let mut hasher = Sha256::new_with_prefix(content);
    if content.len() < HEAD_BYTES || *hasher.clone().finalize() != checksum[..] {
        return Err(ListError::Damaged);
    }
    hasher.update(checksum);
    Ok(Digest::from_bytes(hasher.finalize().into()))
}

/// Reads the head of a file whose digest is right, and which may say anything.
struct Reader<'a> {
    content: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn skip(&mut self, length: usize) -> Result<usize, ListError> {
        let begin = self.at;
        let end = begin.checked_add(length).filter(|end| *end <= self.content.len());
        self.at = end.ok_or_else(|| head("it says that it has more than there is".into()))?;
        Ok(begin)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ListError> {
        let begin = self.skip(N)?;
        Ok(self.content[begin..].first_chunk().copied().unwrap_or([0; N]))
    }

    fn size(&mut self) -> Result<usize, ListError> {
        Ok(u32::from_le_bytes(self.array()?) as usize)
    }

    fn text(&mut self, what: &str) -> Result<String, ListError> {
        let length = usize::from(u16::from_le_bytes(self.array()?));
        let begin = self.skip(length)?;
        let text = std::str::from_utf8(&self.content[begin..self.at]).map_err(|error| head(format!("{what} is not UTF-8: {error}")))?;
        Ok(text.to_string())
    }
}

fn head(problem: String) -> ListError {
    ListError::Head { problem }
}

fn check_name(name: &str) -> Result<(), ListError> {
    let word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    if name.len() <= NAME_BYTES_MAX && name.split('-').all(word) {
        return Ok(());
    }
    Err(head(format!("the name {} is not lower-case words joined by hyphens, of at most {NAME_BYTES_MAX} bytes", shown(name.as_bytes()))))
}

fn check_version(version: &str) -> Result<(), ListError> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b".-_+:".contains(&byte);
    if (1..=VERSION_BYTES_MAX).contains(&version.len()) && version.bytes().all(good) {
        return Ok(());
    }
    let version = shown(version.as_bytes());
    Err(head(format!(
        "the version {version} is not of letters, digits and . - _ + : alone, or has not from 1 to {VERSION_BYTES_MAX} of them"
    )))
}

fn check_columns(columns: &[String]) -> Result<(), ListError> {
    if !(1..=COLUMNS_MAX).contains(&columns.len()) {
        return Err(head(format!("it has {} columns, from 1 to {COLUMNS_MAX}", columns.len())));
    }
    for (at, column) in columns.iter().enumerate() {
        if !(1..=COLUMN_BYTES_MAX).contains(&column.len()) {
            return Err(head(format!("the name of column {} has {} bytes, from 1 to {COLUMN_BYTES_MAX}", at + 1, column.len())));
        }
        if columns[..at].contains(column) {
            return Err(head(format!("the column {} is there twice", shown(column.as_bytes()))));
        }
    }
    Ok(())
}

fn check_key(key: &[u8]) -> Result<(), String> {
    if key.is_empty() {
        return Err("its key is empty".into());
    }
    if key.len() > KEY_BYTES_MAX {
        return Err(format!("its key has {} bytes, at most {KEY_BYTES_MAX}", key.len()));
    }
    std::str::from_utf8(key).map(drop).map_err(|error| format!("its key is not UTF-8: {error}"))
}

fn check_value(value: &[u8]) -> Result<(), String> {
    if value.len() > VALUE_BYTES_MAX {
        return Err(format!("its value has {} bytes, at most {VALUE_BYTES_MAX}", value.len()));
    }
    std::str::from_utf8(value).map(drop).map_err(|error| format!("its value is not UTF-8: {error}"))
}

/// A text of a stranger in a message: escaped, and as much of it as somebody would read.
fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let end = text.floor_char_boundary(80);
    format!("{:?}{}", &text[..end], if end < text.len() { " …" } else { "" })
}
