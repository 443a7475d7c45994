//! Reference lists on the command line: `NAME@VERSION=FILE`, or `NAME@VERSION` for one
//! that the repository has.

use std::path::PathBuf;
use std::str::FromStr;

use anyhow::Context as _;
use ephor::policy::statement::{Blob, BoundList};
use ephor::repository::Author;

use super::refused;
use crate::cli::exit::{Exit, Or as _, Outcome, failed};

/// A version of a list, and where its bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListSource {
    pub name: String,
    pub version: String,
    pub file: Option<PathBuf>,
}

impl FromStr for ListSource {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (what, file) = match text.split_once('=') {
            Some((what, file)) => (what, Some(file)),
            None => (text, None),
        };
        let parts = what.split_once('@').filter(|(name, version)| !name.is_empty() && !version.is_empty());
        let (name, version) = parts.ok_or("write it as NAME@VERSION=FILE, or NAME@VERSION for one that the repository has")?;
        if file.is_some_and(str::is_empty) {
            return Err("names no file behind the =".into());
        }
        Ok(ListSource { name: name.into(), version: version.into(), file: file.map(PathBuf::from) })
    }
}

impl ListSource {
    /// The list as a statement binds it, and its bytes where they are new.
    pub fn read(&self, author: &Author) -> Outcome<(BoundList, Option<Vec<u8>>)> {
        let (blob, bytes) = match &self.file {
            Some(file) => {
                let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display())).or_exit(Exit::Usage)?;
                (Blob::of(&bytes), Some(bytes))
            }
            None => {
                let published = author.list(&self.name, &self.version).map_err(refused)?;
                let absent = || format!("the repository has no version {} of the list {}; give its file", self.version, self.name);
                (published.ok_or_else(|| failed(Exit::Refused, absent()))?, None)
            }
        };
        Ok((BoundList { version: self.version.clone(), digest: blob.digest, bytes: blob.bytes }, bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_a_name_a_version_and_perhaps_a_file() {
        let list: ListSource = "sdn@2026-11-01=a=b.list".parse().expect("a list");
        assert_eq!((list.name.as_str(), list.version.as_str(), list.file), ("sdn", "2026-11-01", Some("a=b.list".into())));
        assert_eq!("sdn@1".parse::<ListSource>().expect("a list").file, None);
        for bad in ["", "sdn", "@1", "sdn@", "sdn@1=", "=x"] {
            assert!(bad.parse::<ListSource>().is_err(), "{bad}");
        }
    }
}
