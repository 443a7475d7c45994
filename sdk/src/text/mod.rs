//! What rules need of texts, without a parser: whole words, letters whatever their case,
//! digits and letters whatever their width, and many phrases at once.
//!
//! Nothing here composes or decomposes accents: `é` as one character and as two are
//! different texts, as they are in the event.

mod automaton;
mod tables;
mod word_list;

use std::iter::{FlatMap, Peekable};
use std::str::CharIndices;

pub use word_list::{Found, PhraseProblem, PhraseRefused, WordList};

/// Whether a character is part of words: a letter or digit of any script, or a mark that
/// belongs to one, such as an accent or a vowel sign (Unicode: `Alphabetic`, `N` or `M`).
#[must_use]
pub fn is_word_char(c: char) -> bool {
    if c.is_ascii() { c.is_ascii_alphanumeric() } else { c.is_alphanumeric() || tables::within(tables::MARKS, c) }
}

/// Whether a character is of a script that does not separate words: Han, Kana, Bopomofo,
/// Thai, Lao, Khmer or Burmese.
#[must_use]
pub fn is_unseparated(c: char) -> bool {
    c >= '\u{e00}' && tables::within(tables::UNSEPARATED, c)
}

/// Whether a character shows nothing and separates nothing, so that it can only hide a
/// word: the soft hyphen, zero-width blanks and joiners, direction marks, variation
/// selectors.
#[must_use]
pub const fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{2069}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{e0100}'..='\u{e01ef}')
}

/// The words of a text: the longest runs of [word characters](is_word_char). Text of a
/// script that does not separate words is one run. Invisible characters do not end a
/// word, except the zero-width space, which separates.
///
/// ```
/// let words: Vec<_> = ephor_sdk::text::words("pocket-knife, 2 Straßen: 菜刀").collect();
/// assert_eq!(words, ["pocket", "knife", "2", "Straßen", "菜刀"]);
/// ```
pub fn words(text: &str) -> impl Iterator<Item = &str> {
    let part = |c: char| is_word_char(c) || is_invisible(c) && c != '\u{200b}';
    text.split(move |c: char| !part(c)).filter(|run| run.chars().any(is_word_char))
}

/// A text in one case: equal for texts that differ in case only, in any script. Each
/// character in lower case and then in upper case, by the full mappings of Unicode, so
/// that `ß` is `SS`, and `ſ`, `ς` and the Kelvin sign are their letters. Beyond Unicode's
/// default case folding it takes the dotless `ı` for an `i`.
pub fn caseless(text: &str) -> impl Iterator<Item = char> {
    text.chars().flat_map(caseless_char)
}

type Caseless = FlatMap<std::char::ToLowercase, std::char::ToUppercase, fn(char) -> std::char::ToUppercase>;

fn caseless_char(c: char) -> Caseless {
    c.to_lowercase().flat_map(char::to_uppercase)
}

/// Whether two texts differ in case only, as [`caseless`] has it. Allocates nothing.
///
/// ```
/// use ephor_sdk::text::eq_caseless;
/// assert!(eq_caseless("STRASSE", "straße") && eq_caseless("ΟΔΟΣ", "οδος") && !eq_caseless("knife", "knives"));
/// ```
#[must_use]
pub fn eq_caseless(one: &str, other: &str) -> bool {
    if one.is_ascii() && other.is_ascii() {
        return one.eq_ignore_ascii_case(other);
    }
    caseless(one).eq(caseless(other))
}

/// The ordinary form of a full-width or half-width character: `Ａ` is `A`, `１` is `1`,
/// `，` is `,`, the ideographic space is a blank, `ｶ` is `カ`. Other characters are
/// themselves, and so are half-width Hangul letters. Unicode: the decompositions `<wide>`
/// and `<narrow>`, of which [NFKC](https://www.unicode.org/reports/tr15/) has these and
/// many more.
#[must_use]
pub const fn ordinary_width(c: char) -> char {
    match c {
        '\u{3000}' => ' ',
        '\u{ff01}'..='\u{ff5e}' => (c as u32 - 0xfee0) as u8 as char,
        '\u{ff5f}' => '⦅',
        '\u{ff60}' => '⦆',
        '\u{ff61}'..='\u{ff9f}' => tables::KATAKANA[(c as u32 - 0xff61) as usize],
        '\u{ffe0}' => '¢',
        '\u{ffe1}' => '£',
        '\u{ffe2}' => '¬',
        '\u{ffe3}' => '¯',
        '\u{ffe4}' => '¦',
        '\u{ffe5}' => '¥',
        '\u{ffe6}' => '₩',
        '\u{ffe8}' => '│',
        '\u{ffe9}' => '←',
        '\u{ffea}' => '↑',
        '\u{ffeb}' => '→',
        '\u{ffec}' => '↓',
        '\u{ffed}' => '■',
        '\u{ffee}' => '○',
        _ => c,
    }
}

/// The characters of a text in their [ordinary width](ordinary_width), each with the byte
/// offset in `text` that it begins at. A half-width Kana and its voicing mark become one
/// character: `ｶﾞ` is `ガ`.
///
/// ```
/// let ordinary: String = ephor_sdk::text::ordinary_widths("ＶＩＳＡ　４５５６、ｶﾞｽ").map(|(_, c)| c).collect();
/// assert_eq!(ordinary, "VISA 4556、ガス");
/// ```
pub fn ordinary_widths(text: &str) -> impl Iterator<Item = (usize, char)> {
    Ordinary(text.char_indices().peekable())
}

struct Ordinary<'text>(Peekable<CharIndices<'text>>);

impl Iterator for Ordinary<'_> {
    type Item = (usize, char);

    fn next(&mut self) -> Option<(usize, char)> {
        let (at, c) = self.0.next()?;
        let ordinary = ordinary_width(c);
        if !('\u{ff66}'..='\u{ff9d}').contains(&c) {
            return Some((at, ordinary));
        }
        // Voiced Kana stand right behind the plain ones, and `ﾊ` has two.
        let with_mark = |mark: char| match (c, mark) {
            ('ｶ'..='ﾄ' | 'ﾊ'..='ﾎ', 'ﾞ') => char::from_u32(ordinary as u32 + 1),
            ('ﾊ'..='ﾎ', 'ﾟ') => char::from_u32(ordinary as u32 + 2),
            ('ｳ', 'ﾞ') => Some('ヴ'),
            ('ﾜ', 'ﾞ') => Some('ヷ'),
            ('ｦ', 'ﾞ') => Some('ヺ'),
            _ => None,
        };
        let voiced = self.0.peek().and_then(|&(_, mark)| with_mark(mark));
        if voiced.is_some() {
            self.0.next();
        }
        Some((at, voiced.unwrap_or(ordinary)))
    }
}

/// The value of a decimal digit of any script (Unicode: `Nd`), full-width ones among them.
/// Not of numerals such as `Ⅻ`, `二` or `½`.
///
/// ```
/// use ephor_sdk::text::digit;
/// assert_eq!([digit('7'), digit('７'), digit('٧'), digit('७'), digit('七')], [Some(7), Some(7), Some(7), Some(7), None]);
/// ```
#[must_use]
pub fn digit(c: char) -> Option<u8> {
    if c.is_ascii() {
        return c.is_ascii_digit().then(|| c as u8 - b'0');
    }
    let after = tables::ZEROS.partition_point(|&zero| zero <= c as u32);
    let zero = *tables::ZEROS.get(after.checked_sub(1)?)?;
    u8::try_from(c as u32 - zero).ok().filter(|&value| value < 10)
}

#[cfg(test)]
mod tests {
    use unicode_normalization::{UnicodeNormalization as _, char::is_combining_mark};

    use super::*;

    fn every_char() -> impl Iterator<Item = char> {
        (0..=0x10_ffff).filter_map(char::from_u32)
    }

    #[test]
    fn word_characters_are_letters_digits_and_marks() {
        for c in every_char() {
            assert_eq!(is_word_char(c), c.is_alphanumeric() || is_combining_mark(c), "{c:?}");
        }
    }

    #[test]
    fn widths_are_those_of_unicode() {
        for c in every_char().filter(|&c| c == '\u{3000}' || ('\u{ff00}'..='\u{ffef}').contains(&c)) {
            // NFKC takes the macron and Hangul letters further apart.
            if c == '￣' || ('\u{ffa0}'..='\u{ffdf}').contains(&c) {
                continue;
            }
            let mut whole = [0; 4];
            let expected: String = c.encode_utf8(&mut whole).nfkc().collect();
            assert_eq!(ordinary_width(c).to_string(), expected, "{c:?}");
        }
        let pairs = ('\u{ff66}'..='\u{ff9d}').flat_map(|kana| ['ﾞ', 'ﾟ'].map(|mark| String::from_iter([kana, mark])));
        for pair in pairs {
            let ours: String = ordinary_widths(&pair).map(|(_, c)| c).collect();
            assert_eq!(ours, pair.nfkc().collect::<String>(), "{pair}");
        }
    }

    #[test]
    fn offsets_are_those_of_the_text() {
        let all: Vec<_> = ordinary_widths("ａｶﾞ1").collect();
        assert_eq!(all, [(0, 'a'), (3, 'ガ'), (9, '1')]);
    }

    #[test]
    fn digits_have_values() {
        assert_eq!(every_char().filter(|&c| digit(c).is_some()).count(), 770);
        assert!(every_char().filter(|&c| digit(c).is_some()).all(char::is_alphanumeric));
        let thai: Vec<_> = "๐๑๒๓๔๕๖๗๘๙".chars().filter_map(digit).collect();
        assert_eq!(thai, Vec::from_iter(0..10));
    }

    #[test]
    fn case_is_folded_in_pairs_and_in_threes() {
        for [one, other] in [["K", "\u{212a}"], ["ẞ", "ss"], ["ſ", "S"], ["ς", "Σ"], ["ﬁ", "FI"], ["Ω", "\u{2126}"], ["Ꭰ", "ꭰ"]]
        {
            assert!(eq_caseless(one, other), "{one} {other}");
        }
        assert!(!eq_caseless("e", "é") && !eq_caseless("s", "ss") && eq_caseless("", ""));
    }

    #[test]
    fn words_keep_their_marks() {
        let all: Vec<_> = words("क्या e\u{301}te\u{301} kni\u{ad}fe a\u{200b}b \u{200d} (x_y)").collect();
        assert_eq!(all, ["क्या", "e\u{301}te\u{301}", "kni\u{ad}fe", "a", "b", "x", "y"]);
        assert_eq!(words(" ,. ").count(), 0);
    }
}
