//! Reference lists on the command line: a file that `ephor list build` has made, or
//! `NAME@VERSION` for one that the repository has.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::Context as _;
use ephor::List;
use ephor::policy::statement::{Blob, BoundList};
use ephor::repository::Author;

use super::refused;
use crate::cli::exit::{Exit, Or as _, Outcome, failed};

/// Where a version of a list is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListSource {
    File(PathBuf),
    Published { name: String, version: String },
}

impl FromStr for ListSource {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts = text.split_once('@').filter(|(name, version)| !name.is_empty() && !version.is_empty());
        Ok(match parts {
            Some((name, version)) if !Path::new(text).exists() => ListSource::Published { name: name.into(), version: version.into() },
            _ => ListSource::File(text.into()),
        })
    }
}

impl ListSource {
    /// The list's name, how a statement binds it, and its bytes where they are new.
    pub fn read(&self, author: &Author) -> Outcome<(String, BoundList, Option<Vec<u8>>)> {
        match self {
            ListSource::File(file) => {
                let list = open(file)?;
                let Blob { digest, bytes } = Blob::of(list.bytes());
                let bound = BoundList { version: list.version().into(), digest, bytes };
                Ok((list.name().into(), bound, Some(list.bytes().to_vec())))
            }
            ListSource::Published { name, version } => {
                let published = author.list(name, version).map_err(refused)?;
                let absent = || format!("the repository has no version {version} of the list {name}; give its file");
                let Blob { digest, bytes } = published.ok_or_else(|| failed(Exit::Refused, absent()))?;
                Ok((name.clone(), BoundList { version: version.clone(), digest, bytes }, None))
            }
        }
    }
}

/// Reads a list's file, and checks all of it.
pub fn open(file: &Path) -> Outcome<List> {
    let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display())).or_exit(Exit::Usage)?;
    List::open(bytes.into()).with_context(|| format!("{} is not a reference list", file.display())).or_exit(Exit::Refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_a_file_or_a_version_in_the_repository() {
        let parse = |text: &str| text.parse::<ListSource>().expect("any text is one");
        assert_eq!(parse("sdn@2026-11-01"), ListSource::Published { name: "sdn".into(), version: "2026-11-01".into() });
        for file in ["sdn.list", "@1", "sdn@", "Cargo.toml"] {
            assert_eq!(parse(file), ListSource::File(file.into()));
        }
    }
}
