//! What somebody may do, in one word.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::policy::manifest::is_name;

/// What a role's word begins with that is a publisher's.
const REGULATOR: &str = "regulator:";

/// What somebody may do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Role {
    /// Submits events.
    Ingest,
    /// Sees what concerns the policies of this publisher, and takes them out of force.
    Regulator(String),
    /// Acts for the platform, and sees everything.
    Operator,
    /// Sees everything, and changes nothing.
    Auditor,
    /// Reads the metrics.
    Metrics,
}

impl Role {
    /// How roles are written, for messages.
    pub const WORDS: &str = "ingest, regulator:PUBLISHER, operator, auditor, metrics";
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Role::Ingest => f.write_str("ingest"),
            Role::Regulator(publisher) => write!(f, "{REGULATOR}{publisher}"),
            Role::Operator => f.write_str("operator"),
            Role::Auditor => f.write_str("auditor"),
            Role::Metrics => f.write_str("metrics"),
        }
    }
}

/// A word is no role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no role; there are {words}", words = Role::WORDS)]
pub struct NoRole(String);

impl FromStr for Role {
    type Err = NoRole;

    fn from_str(word: &str) -> Result<Self, NoRole> {
        Ok(match word {
            "ingest" => Role::Ingest,
            "operator" => Role::Operator,
            "auditor" => Role::Auditor,
            "metrics" => Role::Metrics,
            _ => match word.strip_prefix(REGULATOR) {
                Some(publisher) if is_name(publisher) => Role::Regulator(publisher.to_string()),
                _ => return Err(NoRole(word.to_string())),
            },
        })
    }
}

impl Serialize for Role {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Role {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<str>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_read_as_it_is_written() {
        for word in ["ingest", "regulator:transport-office", "operator", "auditor", "metrics"] {
            assert_eq!(word.parse::<Role>().map(|role| role.to_string()), Ok(word.to_string()));
        }
        for word in ["", "admin", "Operator", "regulator", "regulator:", "regulator:a/b", "regulator:*", " ingest"] {
            assert!(word.parse::<Role>().is_err(), "{word}");
        }
    }
}
