//! Places in a file: lines and columns, also inside of texts with escapes.

use std::ops::Range;

/// The line and the column of a byte, both from 1; a column is a character.
pub(super) fn line_and_column(text: &str, at: usize) -> (usize, usize) {
    let at = (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let before = &text[..at];
    let line_start = before.rfind('\n').map_or(0, |end| end + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// Where a byte of a text's value stands in the file; `literal` is where the text stands,
/// with its quotes.
pub(super) fn inside(file: &str, literal: &Range<usize>, value_at: usize) -> usize {
    let raw = &file[literal.clone()];
    let Some(quote) = ["'''", "\"\"\"", "'", "\""].into_iter().find(|quote| raw.starts_with(quote)) else { return literal.start };
    let mut at = quote.len();
    // A line break right behind three quotes is no part of the value.
    if quote.len() == 3 {
        let rest = &raw[at..];
        at += if rest.starts_with("\r\n") { 2 } else { usize::from(rest.starts_with('\n')) };
    }
    if quote.starts_with('\'') {
        return literal.start + (at + value_at).min(raw.len());
    }
    let mut value = 0;
    while value < value_at {
        let rest = &raw[at..];
        let Some(c) = rest.chars().next() else { break };
        let (written, read) = match c {
            '\\' => escape(rest),
            c => (c.len_utf8(), c.len_utf8()),
        };
        at += written;
        value += read;
    }
    // A line that ends in a backslash goes on with the next character that is seen.
    while raw[at..].starts_with('\\') && escape(&raw[at..]).1 == 0 {
        at += escape(&raw[at..]).0;
    }
    literal.start + at
}

/// How many bytes an escape has in the file, and in the value.
fn escape(rest: &str) -> (usize, usize) {
    let hex = |digits: usize| {
        let c = rest.get(2..2 + digits).and_then(|digits| u32::from_str_radix(digits, 16).ok()).and_then(char::from_u32);
        (2 + digits, c.map_or(1, char::len_utf8))
    };
    match rest.as_bytes().get(1) {
        Some(b'x') => hex(2),
        Some(b'u') => hex(4),
        Some(b'U') => hex(8),
        Some(b' ' | b'\t' | b'\n' | b'\r') => {
            let blanks = rest[1..].find(|c: char| !matches!(c, ' ' | '\t' | '\n' | '\r')).unwrap_or(rest.len() - 1);
            (1 + blanks, 0)
        }
        Some(_) => (2, 1),
        None => (1, 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(literal: &str, value_at: usize) -> &str {
        &literal[inside(literal, &(0..literal.len()), value_at)..]
    }

    #[test]
    fn places_in_texts() {
        assert_eq!(shown("'a > b'", 2), "> b'");
        assert_eq!(shown("'''\na > b'''", 2), "> b'''");
        assert_eq!(shown(r#""a == \"中\" > b""#, 10), r#" > b""#);
        assert_eq!(shown("\"\"\"\na \\\n   > b\"\"\"", 2), "> b\"\"\"");
        assert_eq!(shown(r#""\u4e2d > b""#, 4), r#"> b""#);
        assert_eq!(line_and_column("a\n中 x", 6), (2, 3));
        assert_eq!(line_and_column("", 9), (1, 1));
    }
}
