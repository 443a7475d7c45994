//! A text as numbers and addresses are looked for in it.

use ephor_sdk::text::{digit, is_invisible, is_unseparated, is_word_char, ordinary_widths};

/// A letter of a script that separates words, other than `a` to `z`.
pub(crate) const LETTER: u8 = 1;
/// Anything else that is not in ASCII, among it letters of scripts that do not separate words.
const OTHER: u8 = 2;

/// A text with one byte for each visible character: ASCII in lower case and ordinary
/// width, digits of every script as `0` to `9`, every dash as `-`, every blank within a
/// line as ` `, and otherwise [`LETTER`] or [`OTHER`].
pub(crate) struct Plain {
    pub(crate) bytes: Vec<u8>,
    /// Where each character begins in the text, and where the text ends.
    places: Vec<usize>,
}

impl Plain {
    pub(crate) fn of(text: &str) -> Self {
        let (mut bytes, mut places) = (Vec::with_capacity(text.len()), Vec::with_capacity(text.len() + 1));
        for (at, c) in ordinary_widths(text).filter(|&(_, c)| !is_invisible(c)) {
            bytes.push(plain(c));
            places.push(at);
        }
        places.push(text.len());
        Self { bytes, places }
    }

    /// The byte at a place, if there is one.
    pub(crate) fn at(&self, place: usize) -> Option<u8> {
        self.bytes.get(place).copied()
    }

    /// The byte before a place, if there is one.
    pub(crate) fn before(&self, place: usize) -> Option<u8> {
        self.at(place.checked_sub(1)?)
    }

    /// The bytes of the text from one place to another; without what is invisible behind.
    pub(crate) fn range(&self, text: &str, start: usize, end: usize) -> std::ops::Range<usize> {
        let last = self.places[end - 1];
        let length = text[last..].chars().next().map_or(0, char::len_utf8);
        self.places[start]..last + length
    }

    /// The first place at or behind a byte of the text.
    pub(crate) fn place(&self, byte: usize) -> usize {
        self.places.partition_point(|&at| at < byte).min(self.bytes.len())
    }
}

fn plain(c: char) -> u8 {
    match c {
        _ if c.is_ascii() => c.to_ascii_lowercase() as u8,
        '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{fe58}' | '\u{fe63}' => b'-',
        '\u{a0}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' => b' ',
        _ => match digit(c) {
            Some(value) => b'0' + value,
            None if is_word_char(c) && !is_unseparated(c) => LETTER,
            None => OTHER,
        },
    }
}

/// Whether a byte belongs to words and numbers.
pub(crate) fn is_part(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == LETTER
}

/// A run of letters and digits.
#[derive(Clone, Copy)]
pub(crate) struct Group {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) is_digits: bool,
    /// Whether something was found here before, of which it is a part.
    pub(crate) is_taken: bool,
}

impl Group {
    pub(crate) fn len(&self) -> usize {
        self.end - self.start
    }
}

/// All groups of a text, in order.
pub(crate) fn groups(plain: &Plain) -> Vec<Group> {
    let mut groups = Vec::new();
    let mut at = 0;
    for run in plain.bytes.chunk_by(|&one, &other| is_part(one) == is_part(other)) {
        if is_part(run[0]) {
            let is_digits = run.iter().all(u8::is_ascii_digit);
            groups.push(Group { start: at, end: at + run.len(), is_digits, is_taken: false });
        }
        at += run.len();
    }
    groups
}
