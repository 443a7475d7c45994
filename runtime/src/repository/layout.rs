//! What stands where in a repository, and which names may be there.
//!
//! ```text
//! root.json                            the latest root, to be handed to platforms
//! metadata/N.root.json                 every root, so that a platform can follow from any
//! metadata/N.targets.json, N.snapshot.json, timestamp.json
//! targets/releases/POLICY/HEX.VERSION.json
//! targets/lists/NAME/HEX.VERSION.json
//! targets/HEX.withdrawn.json
//! targets/blobs/HEX.HEX
//! ```

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::digest::Digest;
use crate::policy::manifest::is_name;
use crate::policy::statement::{Blob, Statement};

/// The folder of what is signed.
pub(super) const METADATA: &str = "metadata/";
/// The folder of what the signatures are about.
pub(super) const TARGETS: &str = "targets/";
/// The target that lists withdrawals.
pub(super) const WITHDRAWN: &str = "withdrawn.json";

/// What a target's name says that it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Named<'a> {
    /// The statement of a release.
    Release(&'a str),
    /// A version of a reference list.
    List(&'a str),
    /// Bytes that a statement binds.
    Blob,
    /// The withdrawals.
    Withdrawn,
    /// Something that this program does not know, and leaves alone.
    Other,
}

impl<'a> Named<'a> {
    /// What it is; nothing if the name could lead out of a folder, or is another
    /// name on another system.
    pub fn of(name: &'a str) -> Option<Self> {
        let safe = |part: &str| {
            let plain = part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._+-".contains(&byte));
            !part.is_empty() && part.len() <= 255 && plain && !part.starts_with('.') && !part.ends_with('.')
        };
        if name.len() > 1_024 || !name.split('/').all(safe) {
            return None;
        }
        let parts: Vec<&str> = name.split('/').collect();
        Some(match parts[..] {
            ["releases", policy, file] if is_name(policy) && file.ends_with(".json") => Named::Release(name),
            ["lists", list, file] if is_name(list) && file.ends_with(".json") => Named::List(name),
            ["blobs", hex] if hex.len() == 64 => Named::Blob,
            [WITHDRAWN] => Named::Withdrawn,
            _ => Named::Other,
        })
    }
}

/// The target of a release's statement.
pub(super) fn release(policy: &str, version: &semver::Version) -> String {
    format!("releases/{policy}/{version}.json")
}

/// The target of a statement.
pub(super) fn release_of(statement: &Statement) -> String {
    release(&statement.policy, &statement.version)
}

/// The target of a list's version.
pub(super) fn list(name: &str, version: &str) -> String {
    format!("lists/{name}/{version}.json")
}

/// The target of some bytes.
pub(super) fn blob(digest: &Digest) -> String {
    format!("blobs/{}", digest.hex())
}

/// The file of a target: its digest stands before the last part of its name, so that
/// what was published is never written over (TUF, section 6.2).
pub(super) fn file(target: &str, digest: &Digest) -> String {
    match target.rsplit_once('/') {
        Some((folder, name)) => format!("{folder}/{}.{name}", digest.hex()),
        None => format!("{}.{target}", digest.hex()),
    }
}

/// tough puts the digest before the whole of a target's name; the specification, and
/// other clients, before its last part.
pub(super) fn as_specified(path: &str) -> String {
    if let Some((digest, name)) = path.split_once('.')
        && digest.len() == 64
        && let Some((folder, name)) = name.rsplit_once('/')
    {
        return format!("{folder}/{digest}.{name}");
    }
    path.to_string()
}

/// A version of a reference list that was published by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListStatement {
    pub statement: String,
    pub name: String,
    pub version: String,
    pub list: Blob,
    #[serde(with = "time::serde::rfc3339")]
    pub issued: OffsetDateTime,
}

impl ListStatement {
    pub const FORMAT: &str = "ephor list 1";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sc_17_names_that_lead_elsewhere_are_none() {
        for bad in [
            "",
            "/",
            "/etc/passwd",
            "../x",
            "a/../b",
            "releases/../../x.json",
            "a//b",
            "a/",
            "./a",
            "a\\b",
            "a\0b",
            "c:x",
            "a b",
            ".hidden",
            "blobs/..",
            "a%2f..",
            "ünïcode",
            "trailing.",
        ] {
            assert_eq!(Named::of(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn names_say_what_they_are() {
        let digest = Digest::of(b"x");
        for (name, expected) in [
            ("releases/fleet-cap/1.0.0-rc.1+b.json", Named::Release("releases/fleet-cap/1.0.0-rc.1+b.json")),
            ("lists/ofac-sdn/2026-11-01.json", Named::List("lists/ofac-sdn/2026-11-01.json")),
            ("withdrawn.json", Named::Withdrawn),
            ("releases/Fleet/1.json", Named::Other),
            ("notes/readme.txt", Named::Other),
        ] {
            assert_eq!(Named::of(name), Some(expected));
        }
        assert_eq!(Named::of(&blob(&digest)), Some(Named::Blob));
    }

    #[test]
    fn files_are_where_the_specification_has_them() {
        let digest = Digest::of(b"x");
        let hex = digest.hex();
        assert_eq!(file("releases/a/1.0.0.json", &digest), format!("releases/a/{hex}.1.0.0.json"));
        assert_eq!(as_specified(&format!("{hex}.releases/a/1.0.0.json")), file("releases/a/1.0.0.json", &digest));
        assert_eq!(as_specified(&format!("{hex}.withdrawn.json")), file("withdrawn.json", &digest));
    }
}
