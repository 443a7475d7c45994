//! Whole words, in any case.

/// The runs of letters and digits of a text.
pub fn of(text: &str) -> impl Iterator<Item = &str> {
    text.split(|it: char| !it.is_alphanumeric()).filter(|run| !run.is_empty())
}

/// Whether two words are the same in upper case, by the Unicode mappings.
pub fn same(one: &str, other: &str) -> bool {
    if one.is_ascii() && other.is_ascii() {
        return one.eq_ignore_ascii_case(other);
    }
    one.chars().flat_map(char::to_uppercase).eq(other.chars().flat_map(char::to_uppercase))
}
