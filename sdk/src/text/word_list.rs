//! Many phrases, found in one pass.

use std::fmt;
use std::iter::Peekable;
use std::ops::Range;

use super::automaton::Automaton;
use super::{caseless_char, is_invisible, is_unseparated, is_word_char};

/// A list of words and phrases that texts are searched for, all at once, in time linear in
/// the text and the matches. Make it in [`configure`](crate::Policy::configure).
///
/// - **Whole words.** No [word character](super::is_word_char) may adjoin a match: `gun` is
///   in `gun-shaped`, not in `begun`.
/// - **Scripts without blanks.** Chinese, Japanese, Thai, Lao, Khmer and Burmese do not
///   separate words, so there is nothing to hold a word whole against: a phrase is found
///   wherever it stands, `刀` also in `菜刀`, and `iPhone` in `新iPhone手机`.
///   [`Self::between_separators`] asks for separators there too.
/// - **Case and width** do not matter: see [`caseless`](super::caseless) and
///   [`ordinary_widths`](super::ordinary_widths). Invisible characters are passed over.
/// - **Between words** of a phrase any run of other characters is as good as a blank:
///   `red wine` is in `red-wine` and `Red  "Wine"`. A phrase is its words: `C++` is `c`.
///
/// ```
/// use ephor_sdk::text::WordList;
/// let goods = WordList::new(["Red Wine", "wine", "枪支"])?;
/// let text = "WINE, ｒｅｄ-wine; winery; 买枪支";
/// let found: Vec<_> = goods.find(text).map(|it| (it.phrase, &text[it.range])).collect();
/// assert_eq!(found, [(1, "WINE"), (0, "ｒｅｄ-wine"), (1, "wine"), (2, "枪支")]);
/// # Ok::<(), ephor_sdk::text::PhraseRefused>(())
/// ```
#[derive(Clone, Debug)]
pub struct WordList {
    automaton: Automaton,
    /// How many characters each phrase has when it is folded.
    lengths: Vec<usize>,
    between_separators: bool,
}

/// A phrase of a list in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Which phrase of the list, from 0.
    pub phrase: usize,
    /// Where it stands: bytes of the text.
    pub range: Range<usize>,
}

/// A phrase that a list cannot have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PhraseRefused {
    /// Which phrase, from 0.
    pub phrase: usize,
    /// What is wrong with it.
    pub problem: PhraseProblem,
}

/// What is wrong with a phrase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PhraseProblem {
    /// It has no letter and no digit.
    NoWord,
    /// This phrase before it says the same, but for case, width or separators.
    Repeats(usize),
}

impl fmt::Display for PhraseProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoWord => f.write_str("expected a word: at least one letter or digit"),
            Self::Repeats(first) => write!(f, "is on the list before, at {first}"),
        }
    }
}

impl fmt::Display for PhraseRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "phrase {}: {}", self.phrase, self.problem)
    }
}

impl std::error::Error for PhraseRefused {}

impl WordList {
    /// A list of phrases, numbered from 0.
    ///
    /// # Errors
    ///
    /// If a phrase has no word, or says the same as one before it.
    pub fn new<S: AsRef<str>>(phrases: impl IntoIterator<Item = S>) -> Result<Self, PhraseRefused> {
        let (mut automaton, mut lengths) = (Automaton::default(), Vec::new());
        for (phrase, text) in phrases.into_iter().enumerate() {
            let folded: String = Folded::of(text.as_ref()).map(|it| it.c).collect();
            let words = folded.trim_matches(' ');
            let refused = |problem| Err(PhraseRefused { phrase, problem });
            if words.is_empty() {
                return refused(PhraseProblem::NoWord);
            }
            if let Some(first) = automaton.add(words.chars(), phrase) {
                return refused(PhraseProblem::Repeats(first));
            }
            lengths.push(words.chars().count());
        }
        automaton.link();
        Ok(Self { automaton, lengths, between_separators: false })
    }

    /// The same list, for which all scripts separate words: `刀` is not in `菜刀`.
    #[must_use]
    pub fn between_separators(mut self) -> Self {
        self.between_separators = true;
        self
    }

    /// Everything of the list that the text has, also where one is inside another; in the
    /// order in which they end, and of those that end together the longest first.
    pub fn find<'it>(&'it self, text: &'it str) -> impl Iterator<Item = Found> + 'it {
        Search { list: self, text, folded: Folded::of(text), starts: Vec::new(), node: 0, ended: 0, end: 0 }
    }

    /// Whether the text has anything of the list.
    #[must_use]
    pub fn is_in(&self, text: &str) -> bool {
        self.find(text).next().is_some()
    }

    /// Whether nothing adjoins what stands at `range` that makes it part of a longer word.
    fn is_whole(&self, text: &str, range: &Range<usize>) -> bool {
        let visible = |c: &char| !is_invisible(*c);
        let (before, after) = (text[..range.start].chars().rfind(visible), text[range.end..].chars().find(visible));
        let (first, last) = (text[range.clone()].chars().find(visible), text[range.clone()].chars().rfind(visible));
        let parted = |one: Option<char>, other: Option<char>| match (one, other) {
            (Some(one), Some(other)) if is_word_char(one) && is_word_char(other) => {
                !self.between_separators && (is_unseparated(one) || is_unseparated(other))
            }
            _ => true,
        };
        parted(before, first) && parted(last, after)
    }
}

struct Search<'it> {
    list: &'it WordList,
    text: &'it str,
    folded: Folded<'it>,
    /// Of each folded character so far, where the one that it comes from begins.
    starts: Vec<usize>,
    node: usize,
    /// The node whose phrase is still to be looked at; the root if none is.
    ended: usize,
    /// Where the character ends that led to the node.
    end: usize,
}

impl Iterator for Search<'_> {
    type Item = Found;

    fn next(&mut self) -> Option<Found> {
        loop {
            while self.ended != 0 {
                let (phrase, shorter) = self.list.automaton.phrase(self.ended);
                self.ended = shorter;
                let Some(phrase) = phrase else { continue };
                let first = self.starts.len() - self.list.lengths[phrase];
                let start = self.starts[first];
                // `ß` is two folded characters; half of it is no match.
                let halves = first > 0 && self.starts[first - 1] == start;
                let range = start..self.end;
                if !halves && self.list.is_whole(self.text, &range) {
                    return Some(Found { phrase, range });
                }
            }
            let it = self.folded.next()?;
            self.node = self.list.automaton.step(self.node, it.c);
            self.starts.push(it.start);
            self.end = it.end;
            if it.is_last {
                self.ended = self.node;
            }
        }
    }
}

/// A character as texts and phrases are compared.
struct FoldedChar {
    c: char,
    /// The bytes of the text that it comes from.
    start: usize,
    end: usize,
    /// Whether nothing else comes from them.
    is_last: bool,
}

/// A text in one case and width, without what is invisible, and with one blank for each
/// run of other characters than words have.
struct Folded<'text> {
    text: &'text str,
    widths: Peekable<super::Ordinary<'text>>,
    /// What is left of a character that became several, and its place.
    rest: Option<(Peekable<super::Caseless>, usize, usize)>,
}

impl<'text> Folded<'text> {
    fn of(text: &'text str) -> Self {
        Self { text, widths: super::Ordinary(text.char_indices().peekable()).peekable(), rest: None }
    }

    /// Where the character that comes next begins.
    fn place(&mut self) -> usize {
        self.widths.peek().map_or(self.text.len(), |&(at, _)| at)
    }
}

impl Iterator for Folded<'_> {
    type Item = FoldedChar;

    fn next(&mut self) -> Option<FoldedChar> {
        if let Some((mut rest, start, end)) = self.rest.take() {
            let c = rest.next()?;
            let is_last = rest.peek().is_none();
            if !is_last {
                self.rest = Some((rest, start, end));
            }
            return Some(FoldedChar { c, start, end, is_last });
        }
        let (start, c) = self.widths.find(|&(_, c)| !is_invisible(c))?;
        if !is_word_char(c) {
            while self.widths.next_if(|&(_, c)| !is_word_char(c)).is_some() {}
            return Some(FoldedChar { c: ' ', start, end: self.place(), is_last: true });
        }
        let end = self.place();
        if c.is_ascii() {
            return Some(FoldedChar { c: c.to_ascii_uppercase(), start, end, is_last: true });
        }
        self.rest = Some((caseless_char(c).peekable(), start, end));
        self.next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found<'t>(phrases: &[&str], text: &'t str) -> Vec<(usize, &'t str)> {
        let list = WordList::new(phrases).expect("good phrases");
        list.find(text).map(|it| (it.phrase, &text[it.range])).collect()
    }

    #[test]
    fn words_are_whole() {
        assert_eq!(found(&["gun"], "gun, begun GUN_2 gunner (Gun) gün gu\u{ad}n"), [(0, "gun"), (0, "GUN"), (0, "Gun"), (0, "gu\u{ad}n")]);
        assert_eq!(found(&["cafe"], "cafe\u{301} café"), []);
        assert_eq!(found(&["2"], "2 22 ２ ²"), [(0, "2"), (0, "２")]);
    }

    #[test]
    fn scripts_without_blanks_have_no_whole_words() {
        assert_eq!(found(&["刀", "iphone"], "菜刀和新iPhone手机"), [(0, "刀"), (1, "iPhone")]);
        assert_eq!(found(&["ガス"], "都市ｶﾞｽ管"), [(0, "ｶﾞｽ")]);
        assert_eq!(found(&["ปืน"], "ขายปืนเถื่อน"), [(0, "ปืน")]);
        let list = WordList::new(["刀"]).expect("a phrase").between_separators();
        assert!(list.is_in("大 刀。") && !list.is_in("菜刀"));
    }

    #[test]
    fn half_a_character_is_no_match() {
        assert_eq!(found(&["s", "strasse", "stras"], "Straße ß s"), [(1, "Straße"), (0, "s")]);
        assert_eq!(found(&["刀s"], "刀ß"), []);
    }

    #[test]
    fn phrases_overlap_and_nest() {
        assert_eq!(found(&["a b", "b c", "b", "a b c"], "A, b -- C"), [(0, "A, b"), (2, "b"), (3, "A, b -- C"), (1, "b -- C")]);
        assert_eq!(found(&[], "anything"), []);
        assert_eq!(found(&["x"], ""), []);
    }

    #[test]
    fn refuses_what_cannot_be_found() {
        let refused = |phrases: &[&str]| WordList::new(phrases).expect_err("a bad phrase");
        assert_eq!(refused(&["a", " +\u{ad}"]), PhraseRefused { phrase: 1, problem: PhraseProblem::NoWord });
        assert_eq!(refused(&["Red wine", "x", "ＲＥＤ—Wine"]).problem, PhraseProblem::Repeats(0));
    }

    /// Against a search that tries every phrase at every place.
    #[test]
    fn finds_what_a_slow_search_finds() {
        let phrases = ["a", "ab", "b a", "ß", "刀a", "刀", "a刀b", "bb a"];
        let list = WordList::new(phrases).expect("good phrases");
        let folded = |text: &str| Folded::of(text).map(|it| it.c).collect::<String>();
        let letters = ['a', 'b', ' ', '刀', 'ß', 's', '-', 'Ａ'];
        for number in 0..8_usize.pow(5) {
            let text: String = (0..5).map(|place| letters[number / 8_usize.pow(place) % 8]).collect();
            let mut slow = Vec::new();
            let places: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
            for (index, phrase) in phrases.iter().enumerate() {
                for (i, &start) in places.iter().enumerate() {
                    for &end in &places[i + 1..] {
                        let part = &text[start..end];
                        let edges = [part.chars().next(), part.chars().next_back()];
                        let trimmed = edges.iter().flatten().all(|&c| is_word_char(c));
                        if trimmed && folded(part) == folded(phrase) && list.is_whole(&text, &(start..end)) {
                            slow.push((index, start, end));
                        }
                    }
                }
            }
            let mut fast: Vec<_> = list.find(&text).map(|it| (it.phrase, it.range.start, it.range.end)).collect();
            fast.sort_unstable();
            assert_eq!(fast, slow, "{text:?}");
        }
    }
}
