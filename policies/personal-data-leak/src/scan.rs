//! What a text has of every kind.

use std::ops::Range;

use crate::label::Labels;
use crate::plain::{Plain, groups};
use crate::{email, number, phone};

/// What can be found, in the order of the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A resident identity number (GB 11643).
    Identity,
    /// A payment card's number (ISO/IEC 7812).
    Card,
    /// A bank account's number (ISO 13616).
    Account,
    /// The credit code of a self-employed household (GB 32100, beginning with 92).
    SoleTrader,
    /// A telephone number.
    Phone,
    /// An e-mail address.
    Email,
}

impl Kind {
    /// A value of this kind with `*` for each character but the last: four of a card or an
    /// account, as receipts have them, otherwise two.
    pub(crate) fn mask(self, value: &str) -> String {
        let shown = if matches!(self, Self::Card | Self::Account) { 4 } else { 2 };
        let length = value.chars().count();
        value.chars().enumerate().map(|(at, c)| if at + shown < length { '*' } else { c }).collect()
    }
}

/// Something found in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// What it is.
    pub kind: Kind,
    /// Where it stands: bytes of the text.
    pub range: Range<usize>,
}

/// Something found, by places of the plain text.
pub(crate) struct Hit {
    pub(crate) kind: Kind,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// Looks for all kinds.
pub struct Scanner {
    labels: Labels,
}

impl Default for Scanner {
    fn default() -> Self {
        Self::new()
    }
}

impl Scanner {
    /// Builds what does not depend on texts.
    #[must_use]
    pub fn new() -> Self {
        Self { labels: Labels::new() }
    }

    /// What a text has, in its order. `name` is what the text is called where it stands,
    /// such as `mobile`.
    #[must_use]
    pub fn spans(&self, text: &str, name: Option<&str>) -> Vec<Span> {
        if is_clean(text) {
            return Vec::new();
        }
        let plain = Plain::of(text);
        let mut groups = groups(&plain);
        let labels = self.labels.of(text, name, &plain);
        let mut hits = email::find(&plain, &mut groups);
        hits.extend(number::find_checked(&plain, &mut groups));
        hits.extend(number::find_cards(&plain, &mut groups, &labels));
        hits.extend(phone::find(&plain, &groups, &labels));
        hits.retain(|hit| hit.kind != Kind::SoleTrader || is_household(&plain, hit));
        hits.sort_unstable_by_key(|hit| hit.start);
        hits.into_iter().map(|it| Span { kind: it.kind, range: plain.range(text, it.start, it.end) }).collect()
    }
}

/// Whether a text cannot have anything: most of what events have is short or without numbers.
fn is_clean(text: &str) -> bool {
    text.is_ascii() && !text.contains('@') && text.bytes().filter(u8::is_ascii_digit).count() < 7
}

/// Whether a credit code is that of a self-employed household: other codes are found, so
/// that no part of them passes for another number, and belong to no person.
fn is_household(plain: &Plain, hit: &Hit) -> bool {
    plain.bytes[hit.start..hit.end].iter().filter(|it| it.is_ascii_alphanumeric()).take(2).eq(b"92")
}
