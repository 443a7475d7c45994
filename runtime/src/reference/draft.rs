//! Making a list.

use sha2::{Digest as _, Sha256};

use super::error::ListError;
use super::{BYTES_MAX, DIGEST_BYTES, ENTRIES_MAX, FORMAT, HEAD_BYTES, List, MAGIC};
use super::{check_columns, check_key, check_name, check_value, check_version, shown};

/// A list that is being made, entry by entry, in the order of its keys.
#[derive(Debug)]
pub struct Draft {
    name: String,
    version: String,
    columns: Vec<String>,
    keys: Vec<u8>,
    key_ends: Vec<u32>,
    values: Vec<u8>,
    value_ends: Vec<u32>,
}

impl Draft {
    /// Begins a list. The first column is the key's; a list without others has no
    /// values.
    ///
    /// # Errors
    ///
    /// If name, version or columns are not as `FORMAT.md` says.
    pub fn new(name: &str, version: &str, columns: &[&str]) -> Result<Draft, ListError> {
        let columns: Vec<String> = columns.iter().map(ToString::to_string).collect();
        check_name(name)?;
        check_version(version)?;
        check_columns(&columns)?;
        let (name, version) = (name.to_string(), version.to_string());
        Ok(Draft { name, version, columns, keys: Vec::new(), key_ends: Vec::new(), values: Vec::new(), value_ends: Vec::new() })
    }

    /// Adds an entry behind all others. In a list without values `value` is empty.
    ///
    /// # Errors
    ///
    /// If its key is not greater than the one before, byte by byte, if key or value
    /// are longer than they may be, or if the list becomes larger than it may be.
    pub fn push(&mut self, key: &str, value: &str) -> Result<(), ListError> {
        let number = self.key_ends.len() as u64 + 1;
        let wrong = |problem: String| ListError::Entry { number, problem };
        check_key(key.as_bytes()).map_err(wrong)?;
        check_value(value.as_bytes()).map_err(wrong)?;
        if self.columns.len() == 1 && !value.is_empty() {
            return Err(wrong("it has a value, and the list has no column for it".into()));
        }
        if let Some(last) = self.last()
            && last >= key.as_bytes()
        {
            let how = if last == key.as_bytes() { "is there twice" } else { "is not behind that of the entry before" };
            return Err(wrong(format!("its key {} {how}", shown(key.as_bytes()))));
        }
        let bytes = self.bytes() + key.len() + value.len() + 2 * size_of::<u32>();
        if bytes > BYTES_MAX || self.key_ends.len() == ENTRIES_MAX {
            return Err(ListError::TooLarge { bytes: bytes as u64, max: BYTES_MAX as u64 });
        }
        // Both are less than the file may have.
        self.keys.extend_from_slice(key.as_bytes());
        self.key_ends.push(self.keys.len() as u32);
        self.values.extend_from_slice(value.as_bytes());
        self.value_ends.push(self.values.len() as u32);
        Ok(())
    }

    /// The list, checked as one that was read.
    ///
    /// # Errors
    ///
    /// What [`List::open`] says.
    pub fn finish(self) -> Result<List, ListError> {
        let mut out = Vec::with_capacity(self.bytes());
        out.extend_from_slice(&MAGIC);
        for number in [FORMAT, self.key_ends.len() as u32, self.keys.len() as u32, self.values.len() as u32] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&(self.columns.len() as u16).to_le_bytes());
        for text in [&self.name, &self.version].into_iter().chain(&self.columns) {
            out.extend_from_slice(&(text.len() as u16).to_le_bytes());
            out.extend_from_slice(text.as_bytes());
        }
        let value_ends = if self.columns.len() > 1 { &self.value_ends[..] } else { &[] };
        for end in self.key_ends.iter().chain(value_ends) {
            out.extend_from_slice(&end.to_le_bytes());
        }
        out.extend_from_slice(&self.keys);
        out.extend_from_slice(&self.values);
        let checksum = Sha256::digest(&out);
        out.extend_from_slice(&checksum);
        List::open(out.into())
    }

    fn last(&self) -> Option<&[u8]> {
        let begin = self.key_ends.len().checked_sub(2).map_or(0, |before| self.key_ends[before] as usize);
        (!self.key_ends.is_empty()).then(|| &self.keys[begin..])
    }

    /// Bytes of the file so far, or some more.
    fn bytes(&self) -> usize {
        let texts = [&self.name, &self.version].into_iter().chain(&self.columns).map(|text| text.len() + 2).sum::<usize>();
        HEAD_BYTES + texts + 2 * size_of::<u32>() * self.key_ends.len() + self.keys.len() + self.values.len() + DIGEST_BYTES
    }
}
