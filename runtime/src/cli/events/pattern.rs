//! What a text looks like, without what it says: `Anna Berg, 1203` is `Aaaa Aaaa, 0000`.
//!
//! Free text of a sample may hold personal data, so nothing more than its pattern is kept
//! of it, and test events get texts that are made of patterns.

use super::random::Random;

/// Longest pattern, in characters; what comes behind in a text is left out.
const LETTERS_MAX: usize = 256;

/// Stands for a Chinese character, of which there are so many from here on.
const HAN: char = '\u{4e00}';
const HAN_COUNT: u64 = 0x51a6;

/// The pattern of a text: `a` and `A` for letters, `0` for digits, `f` and `F` for letters
/// of a hexadecimal number. Everything else stands for itself.
pub fn of(text: &str) -> String {
    // So that identifiers such as UUIDs stay what they are.
    let is_hexadecimal = text.bytes().any(|byte| byte.is_ascii_digit())
        && text.chars().filter(|letter| letter.is_alphabetic()).all(|letter| letter.is_ascii_hexdigit());
    let letters = text.chars().take(LETTERS_MAX).map(|letter| match letter {
        'a'..='f' if is_hexadecimal => 'f',
        'A'..='F' if is_hexadecimal => 'F',
        HAN..='\u{9fff}' => HAN,
        _ if letter.is_numeric() => '0',
        _ if letter.is_uppercase() => 'A',
        _ if letter.is_alphabetic() => 'a',
        _ => letter,
    });
    letters.collect()
}

/// A text of that pattern.
pub fn fill(pattern: &str, random: &mut Random) -> String {
    let mut one_from = |first: char, count: u64| {
        let code = u32::from(first) + random.below(count) as u32;
        char::from_u32(code).unwrap_or(first)
    };
    let letters = pattern.chars().map(|letter| match letter {
        'a' => one_from('a', 26),
        'A' => one_from('A', 26),
        'f' => one_from('a', 6),
        'F' => one_from('A', 6),
        '0' => one_from('0', 10),
        HAN => one_from(HAN, HAN_COUNT),
        _ => letter,
    });
    letters.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_has_no_letter_and_no_digit_of_the_text() {
        for (text, pattern) in [
            ("Anna Berg, 1203", "Aaaa Aaaa, 0000"),
            ("anna@example.org", "aaaa@aaaaaaa.aaa"),
            ("ÅSA müller\n½", "AAA aaaaaa\n0"),
            ("4085f5fe-0096-5dac", "0000f0ff-0000-0fff"),
            ("DEAD 01", "FFFF 00"),
            ("cafe", "aaaa"),
            ("商品 7", "\u{4e00}\u{4e00} 0"),
            ("", ""),
        ] {
            assert_eq!(of(text), pattern, "{text}");
        }
        assert_eq!(of(&"x".repeat(10_000)).len(), LETTERS_MAX);
    }

    #[test]
    fn what_is_made_of_a_pattern_has_it_again() {
        let mut random = Random::new(1);
        for text in ["Anna Berg, 1203", "4085f5fe-0096-5dac", "商品 7", "  --  "] {
            for _ in 0..100 {
                let made = fill(&of(text), &mut random);
                // Letters that look hexadecimal are letters all the same.
                let same = |pattern: String| pattern.replace('f', "a").replace('F', "A");
                assert_eq!(same(of(&made)), same(of(text)), "{made}");
            }
        }
        let made: std::collections::BTreeSet<String> = (0..100).map(|_| fill("Aaaa 00", &mut random)).collect();
        assert!(made.len() > 90, "{made:?}");
    }
}
