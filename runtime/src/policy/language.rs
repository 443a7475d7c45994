//! The languages of policies that bring an engine of their own along.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A language whose policies contain its whole engine, and so need more of everything
/// than others: a publisher may only publish in it where that was granted.
///
/// What compiles to WebAssembly itself, such as Rust, is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// JavaScript, with SpiderMonkey.
    JavaScript,
    /// Python, with CPython.
    Python,
}

impl Language {
    /// All of them.
    pub const ALL: [Language; 2] = [Language::JavaScript, Language::Python];

    /// The language that a tool names in a component.
    pub fn of_tool(name: &str) -> Option<Language> {
        Language::ALL.into_iter().find(|language| language.to_string().eq_ignore_ascii_case(name))
    }

    /// The word in configurations, the same that serde has.
    pub fn word(self) -> &'static str {
        match self {
            Language::JavaScript => "javascript",
            Language::Python => "python",
        }
    }
}

/// The name as people write it, and as tools write it into components.
impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Language::JavaScript => "JavaScript",
            Language::Python => "Python",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_names_are_read_back() {
        for language in Language::ALL {
            assert_eq!(Language::of_tool(&language.to_string()), Some(language));
            assert_eq!(serde_json::to_value(language).expect("JSON"), language.word());
        }
        assert_eq!(Language::of_tool("Rust"), None);
    }
}
