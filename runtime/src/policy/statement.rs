//! The statement of a release: what its publisher signs, in one document.
//!
//! It binds the bytes (component, settings, lists, vectors) by digest and says what
//! they are for: on which legal basis, where, how strongly and from when on. The
//! signature is the repository's (`repository/`); what is signed means the same
//! wherever it came from, so this file knows nothing of signatures.

use std::collections::BTreeMap;
use std::fmt;

use semver::Version;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::Mode;
use super::manifest::{KEY_FIELDS_MAX, NAMES_MAX, TEXT_BYTES_MAX, check_pointer, is_name};
use crate::digest::Digest;

/// The first member of every statement: what it is, and in which form.
pub const FORMAT: &str = "ephor release 1";

/// Longest statement that is read, in bytes.
pub const BYTES_MAX: usize = 256 << 10;

/// Longest notice that a release may give, in days.
const NOTICE_DAYS_MAX: u32 = 3_660;

/// What becomes of the states of the release before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StateRule {
    /// They are taken over as they are.
    Keep,
    /// The new release's code makes its own out of them.
    Migrate,
    /// The new release begins without.
    Reset,
}

impl StateRule {
    /// The word used in statements, answers and entries, the same that serde has.
    pub fn name(self) -> &'static str {
        match self {
            StateRule::Keep => "keep",
            StateRule::Migrate => "migrate",
            StateRule::Reset => "reset",
        }
    }
}

/// Bytes by their digest and number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Blob {
    /// Of the bytes.
    pub digest: Digest,
    /// How many there are.
    pub bytes: u64,
}

impl Blob {
    /// The name of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Blob { digest: Digest::of(bytes), bytes: bytes.len() as u64 }
    }
}

/// A version of a reference list, by its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoundList {
    /// The list's version, as its publisher counts.
    pub version: String,
    /// Of the list's file.
    pub digest: Digest,
    /// Size of the list's file.
    pub bytes: u64,
}

impl BoundList {
    /// The list's file.
    pub fn blob(&self) -> Blob {
        Blob { digest: self.digest, bytes: self.bytes }
    }
}

/// What a publisher says of a release, and signs.
///
/// Immutable: a version that was published once is never published with another
/// statement. Members in the order of the document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// [`FORMAT`].
    statement: String,
    /// The policy's name, without its publisher.
    pub policy: String,
    /// The release's version.
    pub version: Version,
    /// The code.
    pub component: Blob,
    /// The settings document, JSON.
    pub settings: Blob,
    /// The reference lists, by the names that the policy knows them by.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "once::map")]
    pub lists: BTreeMap<String, BoundList>,
    /// Events and what the release finds in them, for whoever wants to see that it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vectors: Option<Blob>,
    /// The law that the policy carries out.
    pub legal_basis: String,
    /// Where that law holds.
    pub jurisdiction: String,
    /// The strongest mode that the publisher allows.
    pub mode: Mode,
    /// When the statement was made.
    #[serde(with = "time::serde::rfc3339")]
    pub issued: OffsetDateTime,
    /// From which event time on the release judges; without it, as soon as it is in force.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "time::serde::rfc3339::option")]
    pub valid_from: Option<OffsetDateTime>,
    /// Up to which event time, exclusive.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "time::serde::rfc3339::option")]
    pub valid_until: Option<OffsetDateTime>,
    /// Whether `valid_from` may lie before `issued`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub retroactive: bool,
    /// Days between the statement and its effect that those who are judged are given.
    #[serde(default)]
    pub notice_days: u32,
    /// The version that this one takes the place of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supersedes: Option<Version>,
    /// What becomes of the states of the release before.
    pub state: StateRule,
    /// Pointers of the fields that state is kept by; empty without state.
    #[serde(default)]
    pub key: Vec<String>,
}

/// One thing that is wrong with a document, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// RFC 6901 JSON Pointer into the document; empty for the whole.
    pub pointer: String,
    /// What is wrong, and what would be right.
    pub problem: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if self.pointer.is_empty() { "the document" } else { &self.pointer };
        write!(f, "{place}: {}", self.problem)
    }
}

/// Why a document is not a statement; never empty.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(Fault::to_string).collect::<Vec<_>>().join("; "))]
pub struct StatementError(pub Vec<Fault>);

impl Statement {
    /// A statement with the members that every release has.
    pub fn new(policy: &str, version: Version, component: Blob, settings: Blob, issued: OffsetDateTime) -> Self {
        Statement {
            statement: FORMAT.into(),
            policy: policy.into(),
            version,
            component,
            settings,
            lists: BTreeMap::new(),
            vectors: None,
            legal_basis: String::new(),
            jurisdiction: String::new(),
            mode: Mode::Enforce,
            issued,
            valid_from: None,
            valid_until: None,
            retroactive: false,
            notice_days: 0,
            supersedes: None,
            state: StateRule::Keep,
            key: Vec::new(),
        }
    }

    /// Reads a statement, strictly: what is not known, there twice or makes no sense
    /// is refused, so that all who read it read the same.
    ///
    /// # Errors
    ///
    /// What is wrong, each with the JSON pointer of its place.
    pub fn parse(bytes: &[u8]) -> Result<Self, StatementError> {
        let fault = |pointer: String, problem: String| StatementError(vec![Fault { pointer, problem }]);
        if bytes.len() > BYTES_MAX {
            return Err(fault(String::new(), format!("has {} bytes, at most {BYTES_MAX}", bytes.len())));
        }
        let mut reader = serde_json::Deserializer::from_slice(bytes);
        let statement: Statement =
            serde_path_to_error::deserialize(&mut reader).map_err(|error| fault(pointer(error.path()), error.inner().to_string()))?;
        reader.end().map_err(|error| fault(String::new(), error.to_string()))?;
        let faults = statement.faults();
        if faults.is_empty() { Ok(statement) } else { Err(StatementError(faults)) }
    }

    /// The document: the same bytes for the same statement.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Every member has a form in JSON, so this cannot fail.
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    /// Everything that makes no sense; empty if nothing.
    pub fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut say = |pointer: &str, problem: String| faults.push(Fault { pointer: pointer.into(), problem });
        if self.statement != FORMAT {
            let problem = format!("is {:?}, and this program knows {FORMAT:?} only; a newer one may know it", self.statement);
            say("/statement", problem);
        }
        if !is_name(&self.policy) {
            say("/policy", format!("{:?} is not lower-case words joined by hyphens", self.policy));
        }
        if self.version.to_string().len() > 64 {
            say("/version", "is longer than 64 characters".into());
        }
        for (place, blob) in
            [("/component", Some(&self.component)), ("/settings", Some(&self.settings)), ("/vectors", self.vectors.as_ref())]
        {
            if blob.is_some_and(|blob| blob.bytes == 0) {
                say(&format!("{place}/bytes"), "is 0; there is nothing".into());
            }
        }
        if self.lists.len() > NAMES_MAX {
            say("/lists", format!("names {} lists, at most {NAMES_MAX}", self.lists.len()));
        }
        for (name, list) in &self.lists {
            let place = format!("/lists/{}", escaped(name));
            if name.is_empty() || name.len() > 64 {
                say(&place, "has a name that is empty or longer than 64 bytes".into());
            }
            if list.version.is_empty() || list.version.len() > 64 || !list.version.bytes().all(|b| b.is_ascii_graphic()) {
                say(&format!("{place}/version"), format!("{:?} is not a version", list.version));
            }
        }
        for (place, text) in [("/legal_basis", &self.legal_basis), ("/jurisdiction", &self.jurisdiction)] {
            if text.trim().is_empty() {
                say(place, "is empty; say it in words that those who are judged can look up".into());
            }
            if text.len() > TEXT_BYTES_MAX {
                say(place, format!("has {} bytes, at most {TEXT_BYTES_MAX}", text.len()));
            }
        }
        if let (Some(from), Some(until)) = (self.valid_from, self.valid_until)
            && until <= from
        {
            say("/valid_until", "is not after valid_from; the release would never judge".into());
        }
        if let Some(from) = self.valid_from
            && from < self.issued
            && !self.retroactive
        {
            say("/valid_from", "is before issued; a release that reaches back must say \"retroactive\": true".into());
        }
        if self.notice_days > NOTICE_DAYS_MAX {
            say("/notice_days", format!("is {}, at most {NOTICE_DAYS_MAX}", self.notice_days));
        }
        if let Some(from) = self.valid_from
            && !self.retroactive
            && from - self.issued < time::Duration::days(self.notice_days.into())
        {
            say("/valid_from", format!("comes less than the notice of {} days after issued", self.notice_days));
        }
        if self.notice_days > 0 && self.valid_from.is_none() {
            say("/notice_days", "gives notice of a beginning that is not there; add valid_from".into());
        }
        if let Some(before) = &self.supersedes
            && *before >= self.version
        {
            say("/supersedes", format!("is {before}, which is not before version {}", self.version));
        }
        if self.key.len() > KEY_FIELDS_MAX {
            say("/key", format!("names {} fields, at most {KEY_FIELDS_MAX}", self.key.len()));
        }
        for (at, pointer) in self.key.iter().enumerate() {
            if let Err(problem) = check_pointer(pointer) {
                say(&format!("/key/{at}"), format!("{pointer:?} {problem}"));
            }
        }
        faults
    }

    /// The bytes that it binds.
    pub fn blobs(&self) -> impl Iterator<Item = Blob> + '_ {
        [self.component, self.settings].into_iter().chain(self.lists.values().map(BoundList::blob)).chain(self.vectors)
    }
}

/// A release that its publisher takes back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Withdrawal {
    /// The policy's name, without its publisher.
    pub policy: String,
    /// The version that is not to judge any more.
    pub version: Version,
    /// Why.
    pub reason: String,
    /// Who decided it.
    pub by: String,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
}

impl Withdrawal {
    /// Reads the list of withdrawals of a repository.
    ///
    /// # Errors
    ///
    /// What is wrong, with the JSON pointer of its place.
    pub fn parse(bytes: &[u8]) -> Result<Vec<Withdrawal>, StatementError> {
        let fault = |pointer: String, problem: String| StatementError(vec![Fault { pointer, problem }]);
        let mut reader = serde_json::Deserializer::from_slice(bytes);
        let withdrawn: Vec<Withdrawal> =
            serde_path_to_error::deserialize(&mut reader).map_err(|error| fault(pointer(error.path()), error.inner().to_string()))?;
        reader.end().map_err(|error| fault(String::new(), error.to_string()))?;
        for (at, withdrawal) in withdrawn.iter().enumerate() {
            for (member, text) in [("policy", &withdrawal.policy), ("reason", &withdrawal.reason), ("by", &withdrawal.by)] {
                if text.trim().is_empty() || text.len() > TEXT_BYTES_MAX {
                    return Err(fault(format!("/{at}/{member}"), format!("is empty or longer than {TEXT_BYTES_MAX} bytes")));
                }
            }
        }
        Ok(withdrawn)
    }
}

/// A path that serde went, as an RFC 6901 JSON Pointer.
pub(crate) fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let mut text = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => text.push_str(&format!("/{index}")),
            Segment::Map { key } => text.push_str(&format!("/{}", escaped(key))),
            Segment::Enum { variant } => text.push_str(&format!("/{}", escaped(variant))),
            Segment::Unknown => {}
        }
    }
    text
}

fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// serde takes the last of two members of one name; here that is an error.
mod once {
    use std::collections::BTreeMap;
    use std::fmt;

    use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

    pub fn map<'de, D: Deserializer<'de>, V: Deserialize<'de>>(from: D) -> Result<BTreeMap<String, V>, D::Error> {
        struct Map<V>(std::marker::PhantomData<V>);

        impl<'de, V: Deserialize<'de>> Visitor<'de> for Map<V> {
            type Value = BTreeMap<String, V>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
                let mut map = BTreeMap::new();
                while let Some((name, value)) = access.next_entry::<String, V>()? {
                    if map.insert(name.clone(), value).is_some() {
                        return Err(A::Error::custom(format!("{name:?} is there twice")));
                    }
                }
                Ok(map)
            }
        }

        from.deserialize_map(Map(std::marker::PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn document() -> Value {
        json!({
            "statement": "ephor release 1",
            "policy": "fleet-cap",
            "version": "1.2.0",
            "component": {"digest": Digest::of(b"c").to_string(), "bytes": 1},
            "settings": {"digest": Digest::of(b"s").to_string(), "bytes": 1},
            "lists": {"licences": {"version": "2026-11-01", "digest": Digest::of(b"l").to_string(), "bytes": 1}},
            "legal_basis": "Shared Mobility Ordinance, section 4",
            "jurisdiction": "US-OH-Columbus",
            "mode": "enforce",
            "issued": "2026-11-01T00:00:00Z",
            "valid_from": "2026-12-01T00:00:00+01:00",
            "notice_days": 14,
            "supersedes": "1.1.0",
            "state": "keep",
            "key": ["/data/provider"],
        })
    }

    fn pointers(document: &Value) -> Vec<String> {
        let error = Statement::parse(document.to_string().as_bytes()).expect_err("refused");
        error.0.into_iter().map(|fault| fault.pointer).collect()
    }

    #[test]
    fn what_is_written_is_read_again() {
        let statement = Statement::parse(document().to_string().as_bytes()).expect("a statement");
        assert_eq!(statement.version, Version::new(1, 2, 0));
        assert_eq!(statement.blobs().count(), 3);
        assert_eq!(Statement::parse(&statement.to_bytes()).expect("read again"), statement);
    }

    #[test]
    fn a_fault_is_named_by_the_pointer_of_its_place() {
        for (pointer, value) in [
            ("/statement", json!("ephor release 2")),
            ("/policy", json!("Fleet Cap")),
            ("/version", json!("1.2")),
            ("/component/digest", json!("sha256:00")),
            ("/component/bytes", json!(0)),
            ("/settings/bytes", json!(-1)),
            ("/lists/licences/version", json!("")),
            ("/legal_basis", json!(" ")),
            ("/jurisdiction", json!("")),
            ("/mode", json!("loud")),
            ("/issued", json!("yesterday")),
            ("/valid_from", json!("2026-10-01T00:00:00Z")),
            ("/notice_days", json!(100_000)),
            ("/supersedes", json!("1.2.0")),
            ("/state", json!("forget")),
            ("/key/0", json!("provider")),
        ] {
            let mut document = document();
            *document.pointer_mut(pointer).expect("there") = value.clone();
            let found = pointers(&document);
            assert!(found.iter().any(|found| found == pointer), "{pointer} to {value}: {found:?}");
        }
    }

    #[test]
    fn what_is_not_known_or_there_twice_is_refused() {
        let mut more = document();
        more["priority"] = json!(1);
        assert!(Statement::parse(more.to_string().as_bytes()).is_err());
        let twice = document().to_string().replace("\"mode\":", "\"mode\":\"shadow\",\"mode\":");
        assert!(Statement::parse(twice.as_bytes()).is_err());
        let list = json!({"version": "1", "digest": Digest::of(b"x").to_string(), "bytes": 1}).to_string();
        let twice = document().to_string().replace("\"licences\":", &format!("\"licences\":{list},\"licences\":"));
        assert!(Statement::parse(twice.as_bytes()).expect_err("twice").to_string().contains("there twice"));
        let tail = format!("{} 1", document());
        assert!(Statement::parse(tail.as_bytes()).is_err());
    }

    #[test]
    fn reaching_back_has_to_be_said() {
        let mut document = document();
        document["valid_from"] = json!("2026-10-01T00:00:00Z");
        assert_eq!(pointers(&document)[0], "/valid_from");
        document["retroactive"] = json!(true);
        assert!(Statement::parse(document.to_string().as_bytes()).is_ok());
    }

    #[test]
    fn modes_are_in_order_of_strength() {
        assert!(Mode::Shadow < Mode::Canary && Mode::Canary < Mode::Enforce);
    }
}
