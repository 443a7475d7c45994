//! Checks of the texts that end up in a manifest.

use syn::{Error, LitStr, Result};

/// Lower-case words joined by hyphens, as in the names of policies, rules and lists.
pub(crate) fn name(literal: &LitStr) -> Result<()> {
    let value = literal.value();
    let word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    if value.split('-').all(word) {
        return Ok(());
    }
    Err(Error::new(literal.span(), "expected lower-case words joined by hyphens, such as \"fleet-cap\""))
}

/// A text for people: not blank.
pub(crate) fn sentence(literal: &LitStr) -> Result<()> {
    if literal.value().trim().is_empty() {
        return Err(Error::new(literal.span(), "expected a text, found none"));
    }
    Ok(())
}

/// RFC 6901 section 3, without the empty pointer: a policy does not get a whole event.
pub(crate) fn pointer(literal: &LitStr) -> Result<()> {
    let value = literal.value();
    if !value.starts_with('/') {
        return Err(Error::new(literal.span(), "expected a JSON Pointer into the event, such as \"/data/amount\""));
    }
    let escaped = value.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    if escaped {
        return Ok(());
    }
    Err(Error::new(literal.span(), "in a JSON Pointer `~` is written `~0` and a `/` inside a name `~1`"))
}

/// A message: not blank, with balanced `{name}` placeholders.
pub(crate) fn message(literal: &LitStr) -> Result<()> {
    sentence(literal)?;
    let value = literal.value();
    let mut rest = value.as_str();
    while let Some(at) = rest.find(['{', '}']) {
        let found =
            rest[at..].strip_prefix('{').and_then(|tail| tail.split_once('}')).filter(|(name, _)| !name.is_empty() && !name.contains('{'));
        let Some((_, tail)) = found else {
            return Err(Error::new(literal.span(), "a placeholder is the name of an evidence in braces, such as `{word}`"));
        };
        rest = tail;
    }
    Ok(())
}
