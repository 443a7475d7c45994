//! Settings: what the publisher of a policy decides.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, de::DeserializeOwned};
use serde_path_to_error::{Path, Segment};

use crate::wit::ephor::policy::settings::SettingsError;

pub use ephor_sdk_macros::settings;

/// What is wrong with settings: a list of places with what would be right there.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SettingsErrors(Vec<SettingsError>);

impl SettingsErrors {
    /// One problem. `pointer` is an RFC 6901 JSON Pointer into the settings,
    /// empty for all of them.
    pub fn at(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        let mut errors = Self::default();
        errors.push(pointer, message);
        errors
    }

    /// Adds a problem, as in [`Self::at`].
    pub fn push(&mut self, pointer: impl Into<String>, message: impl Into<String>) {
        self.0.push(SettingsError { pointer: pointer.into(), message: message.into() });
    }

    /// `policy` if no problem was found.
    ///
    /// # Errors
    ///
    /// The problems, if there are any.
    pub fn or<P>(self, policy: P) -> Result<P, Self> {
        if self.0.is_empty() { Ok(policy) } else { Err(self) }
    }
}

impl From<SettingsErrors> for Vec<SettingsError> {
    fn from(errors: SettingsErrors) -> Self {
        errors.0
    }
}

impl fmt::Display for SettingsErrors {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            let place = if error.pointer.is_empty() { "the settings" } else { &error.pointer };
            write!(out, "{separator}{place}: {}", error.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for SettingsErrors {}

pub(crate) fn read<T: DeserializeOwned>(document: &str) -> Result<T, SettingsErrors> {
    read_json(document).map_err(|(pointer, message)| SettingsErrors::at(pointer, message))
}

/// Fails with the place that is wrong, as a JSON Pointer, and what is wrong there.
pub(crate) fn read_json<'de, T: Deserialize<'de>>(document: &'de str) -> Result<T, (String, String)> {
    let mut json = serde_json::Deserializer::from_str(document);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| (pointer(error.path()), error.inner().to_string()))?;
    json.end().map_err(|error| (String::new(), error.to_string()))?;
    Ok(value)
}

/// JSON Schema, draft 2020-12.
pub(crate) fn schema<T: JsonSchema>() -> String {
    schemars::schema_for!(T).as_value().to_string()
}

fn pointer(path: &Path) -> String {
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => pointer += &format!("/{index}"),
            Segment::Map { key } => {
                pointer += "/";
                pointer += &key.replace('~', "~0").replace('/', "~1");
            }
            // A variant is no place in the document; past an unknown segment nothing is known.
            Segment::Enum { .. } => {}
            Segment::Unknown => break,
        }
    }
    pointer
}
