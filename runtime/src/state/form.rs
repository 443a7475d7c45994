//! What a policy's states are, as far as the next release has to know it, and what becomes
//! of them.

use serde::{Deserialize, Serialize};

use crate::column::Kind;

/// What becomes of a policy's states at a swap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Handover {
    /// There is no state to hand over.
    None,
    /// The new release goes on with the states.
    Kept,
    /// The new release goes on with what it made of the states.
    Migrated,
    /// The new release begins without states: it encodes them otherwise, and says
    /// that it may.
    Reset,
}

impl Handover {
    /// The word used in answers and logs.
    pub fn name(self) -> &'static str {
        match self {
            Handover::None => "none",
            Handover::Kept => "kept",
            Handover::Migrated => "migrated",
            Handover::Reset => "reset",
        }
    }
}

/// What must be the same for a release to go on with the states of another: the
/// version of the encoding, and the fields of the key with their types and the forms in
/// which the policy sees them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Form {
    pub version: u32,
    pub key: Vec<(String, Kind)>,
    /// What tells the forms of the key's fields from others; empty if all are plain.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shown: Vec<String>,
}

impl Form {
    /// The form as the ledger keeps it.
    pub fn to_bytes(&self) -> Vec<u8> {
        // A number, texts and words: there is no such value that JSON cannot have.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads what [`Form::to_bytes`] wrote.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(bytes).map_err(|error| format!("the form of a policy's states cannot be read: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_read_back() {
        for shown in [Vec::new(), vec!["mask (keep 4)".to_string()]] {
            let form = Form { version: 3, key: vec![("/data/a".into(), Kind::Text)], shown };
            assert_eq!(Form::from_bytes(&form.to_bytes()), Ok(form));
        }
        assert!(Form::from_bytes(b"{}").is_err());
    }
}
