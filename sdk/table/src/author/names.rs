//! The forms of names, pointers and texts; those of the manifest.

use super::lex::RESERVED;

pub(super) const TEXT_BYTES_MAX: usize = 2 << 10;
pub(super) const LANGUAGES_MAX: usize = 32;
pub(super) const NAME: &str = "write lower-case words of letters and digits, joined by hyphens";
pub(super) const IDENTIFIER: &str =
    "write a lower-case letter, then letters, digits and _; some words are kept by CEL, event, settings, lists and windows";

/// Lower-case words joined by hyphens. Behind `lists.` they are joined by `_`.
pub(super) fn is_name(text: &str) -> bool {
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit());
    text.len() <= 64 && text.split('-').all(is_word)
}

/// A name that expressions can have.
pub(super) fn is_identifier(text: &str) -> bool {
    let is_rest = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    text.len() <= 64
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(is_rest)
        && !RESERVED.contains(&text)
        && !["event", "settings", "lists", "windows"].contains(&text)
}

/// Letters, digits and hyphens, as a language tag has them.
pub(super) fn is_language(text: &str) -> bool {
    let is_part = |part: &str| (1..=8).contains(&part.len()) && part.bytes().all(|it| it.is_ascii_alphanumeric());
    text.len() <= 35 && text.split('-').all(is_part) && text.starts_with(|first: char| first.is_ascii_alphabetic())
}

/// RFC 6901, and a place that an event can have.
pub(super) fn check_pointer(pointer: &str) -> Result<(), &'static str> {
    const REMEDY: &str = "write it as \"/data/amount\", or an attribute as \"/subject\"";
    let rest = pointer.strip_prefix('/').ok_or(REMEDY)?;
    let first = rest.split('/').next().unwrap_or_default();
    let is_attribute = !first.is_empty() && first.bytes().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit());
    if !is_attribute || pointer.len() > 1024 {
        return Err(REMEDY);
    }
    if first != "data" && rest.len() > first.len() {
        return Err("only /data has places inside");
    }
    let bytes = pointer.as_bytes();
    if bytes.iter().enumerate().any(|(at, byte)| *byte == b'~' && !matches!(bytes.get(at + 1), Some(b'0' | b'1'))) {
        return Err("write a `~` in a name as ~0, and a `/` as ~1");
    }
    Ok(())
}

/// The names in braces of a message, with the byte where each begins.
pub(super) fn placeholders(text: &str) -> Vec<(usize, &str)> {
    let opened = text.match_indices('{').map(|(at, _)| at + 1);
    opened.filter_map(|at| text[at..].split_once('}').map(|(name, _)| (at, name))).collect()
}
