//! The file as it is written, with the place of everything that can be wrong.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use crate::program::{Action, Form, Kind, Severity};

/// Members by name; [`in_order`] gives them as they stand in the file.
type Members<T> = BTreeMap<Spanned<String>, T>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) name: Spanned<String>,
    pub(super) version: Spanned<String>,
    pub(super) summary: Spanned<String>,
    pub(super) events: Spanned<Vec<Spanned<String>>>,
    #[serde(default)]
    pub(super) lists: Vec<Spanned<String>>,
    #[serde(default, rename = "field")]
    pub(super) fields: Vec<FieldEntry>,
    #[serde(default)]
    pub(super) settings: Members<SettingEntry>,
    pub(super) key: Option<Spanned<KeyEntry>>,
    #[serde(default, rename = "window")]
    pub(super) windows: Vec<WindowEntry>,
    #[serde(rename = "rule")]
    pub(super) rules: Spanned<Vec<RuleEntry>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FieldEntry {
    pub(super) name: Spanned<String>,
    pub(super) pointer: Spanned<String>,
    pub(super) kind: Spanned<Kind>,
    #[serde(default)]
    pub(super) optional: bool,
    pub(super) purpose: Spanned<String>,
    #[serde(default)]
    pub(super) form: Option<Spanned<Form>>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub(super) enum SettingKind {
    #[serde(rename = "boolean")]
    Boolean,
    #[serde(rename = "integer")]
    Integer,
    #[serde(rename = "float")]
    Float,
    #[serde(rename = "text")]
    Text,
    #[serde(rename = "list of integer")]
    Integers,
    #[serde(rename = "list of float")]
    Floats,
    #[serde(rename = "list of text")]
    Texts,
}

impl SettingKind {
    /// The kind of its value, or of each value, and whether it is a list.
    pub(super) fn parts(self) -> (Kind, bool) {
        match self {
            Self::Boolean => (Kind::Boolean, false),
            Self::Integer => (Kind::Integer, false),
            Self::Float => (Kind::Float, false),
            Self::Text => (Kind::Text, false),
            Self::Integers => (Kind::Integer, true),
            Self::Floats => (Kind::Float, true),
            Self::Texts => (Kind::Text, true),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SettingEntry {
    pub(super) kind: Spanned<SettingKind>,
    pub(super) about: Spanned<String>,
    pub(super) default: Option<Spanned<toml::Value>>,
    pub(super) must: Option<Spanned<String>>,
    pub(super) otherwise: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyEntry {
    pub(super) fields: Spanned<Vec<Spanned<String>>>,
    #[serde(default = "first")]
    pub(super) state_version: u32,
    #[serde(default)]
    pub(super) resets: bool,
}

const fn first() -> u32 {
    1
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum WindowKind {
    Count,
    Sum,
    Distinct,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Shape {
    #[default]
    Sliding,
    Tumbling,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WindowEntry {
    pub(super) name: Spanned<String>,
    pub(super) kind: Spanned<WindowKind>,
    pub(super) over: Spanned<String>,
    #[serde(default)]
    pub(super) shape: Shape,
    /// A field of kind time.
    pub(super) at: Option<Spanned<String>>,
    pub(super) of: Option<Spanned<String>>,
    pub(super) when: Option<Spanned<String>>,
    pub(super) most: Option<Spanned<u32>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleEntry {
    pub(super) id: Spanned<String>,
    pub(super) action: Action,
    pub(super) severity: Severity,
    pub(super) legal_basis: Spanned<String>,
    pub(super) message: Spanned<Members<Spanned<String>>>,
    pub(super) for_each: Option<Spanned<Members<Spanned<String>>>>,
    pub(super) when: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) evidence: Members<Spanned<String>>,
}

/// Members in the order of the file.
pub(super) fn in_order<T>(members: &Members<T>) -> Vec<(&Spanned<String>, &T)> {
    let mut members: Vec<_> = members.iter().collect();
    members.sort_by_key(|(name, _)| name.span().start);
    members
}
