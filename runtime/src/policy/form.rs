//! Forms: what becomes of a field's value before a policy sees it.
//!
//! A form is carried out where values are taken out of events (`crate::projection`),
//! so what nobody was granted plain is in no row of cells, no key of a state and no
//! column.

use std::borrow::Cow;
use std::fmt;

use super::coarse::Coarse;
use super::pseudonym::Pseudonyms;
use crate::column::Cell;

/// Characters that stay readable where a policy asks for a field masked and the
/// platform grants it plain.
pub const MASK_KEEP: u32 = 4;

/// In which form a publisher may see a field, at most.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Form {
    /// As it is in the event.
    Plain,
    /// A text that stands for the value: the same for equal values within one publisher
    /// and purpose, another one everywhere else.
    Pseudonym,
    /// A text of which the last characters are readable; each other one is a `*`, so
    /// its length shows. One that has no more characters than that is masked whole.
    Mask {
        /// How many Unicode scalar values stay readable, at most.
        keep: u32,
    },
    /// A number, time or position that is less exact.
    Coarse(Coarse),
    /// Not at all: no row has a value.
    Absent,
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Form::Plain => f.write_str("plain"),
            Form::Pseudonym => f.write_str("pseudonym"),
            Form::Mask { keep } => write!(f, "mask (keep {keep})"),
            Form::Coarse(coarse) => write!(f, "coarse ({coarse})"),
            Form::Absent => f.write_str("absent"),
        }
    }
}

/// A form as it is carried out, with its key where it has one.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Show {
    Plain,
    /// Boxed, for a key is ten times as large as anything else here.
    Pseudonym(Box<Pseudonyms>),
    Mask {
        keep: u32,
    },
    Coarse(Coarse),
    Absent,
}

impl Show {
    /// The value in this form. What is absent or of another type than declared stays
    /// so: no form makes a value of it.
    #[inline]
    pub fn show<'e>(&self, cell: Cell<'e>) -> Cell<'e> {
        if let Show::Plain = self { cell } else { self.change(cell) }
    }

    fn change<'e>(&self, cell: Cell<'e>) -> Cell<'e> {
        match (self, cell) {
            (Show::Absent, _) => Cell::Absent,
            (Show::Plain, cell) | (_, cell @ (Cell::Absent | Cell::Mistyped(_))) => cell,
            (Show::Pseudonym(pseudonyms), cell) => Cell::Text(Cow::Owned(pseudonyms.of(&cell))),
            (Show::Mask { keep }, Cell::Text(text)) => Cell::Text(Cow::Owned(mask(&text, *keep))),
            (Show::Coarse(coarse), Cell::Integer(value)) => coarse.integer(value),
            (Show::Coarse(coarse), Cell::Float(value)) => coarse.float(value),
            (Show::Coarse(coarse), Cell::Time(micros)) => coarse.time(micros),
            // A grant gives no form that the field's kind does not take; if it did,
            // nothing would be seen.
            (Show::Mask { .. } | Show::Coarse(_), _) => Cell::Absent,
        }
    }

    /// What tells this form from another: values that were seen in two forms with the
    /// same mark are the same where the events' are.
    pub fn mark(&self) -> String {
        match self {
            Show::Plain => Form::Plain.to_string(),
            Show::Pseudonym(pseudonyms) => format!("pseudonym {}", pseudonyms.mark()),
            Show::Mask { keep } => Form::Mask { keep: *keep }.to_string(),
            Show::Coarse(coarse) => Form::Coarse(*coarse).to_string(),
            Show::Absent => Form::Absent.to_string(),
        }
    }
}

/// A text of which the last characters are readable, unless that is all of them.
fn mask(text: &str, keep: u32) -> String {
    let (count, keep) = (text.chars().count(), keep as usize);
    let hidden = if count > keep { count - keep } else { count };
    let mut masked = "*".repeat(hidden);
    masked.extend(text.chars().skip(hidden));
    masked
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn pv_02_a_mask_keeps_the_end_and_the_length() {
        for (text, keep, expected) in [
            ("+86 138 0013 8000", 4, "*************8000"),
            ("8000", 4, "****"),
            ("80", 4, "**"),
            ("", 4, ""),
            ("手机号码", 1, "***码"),
            ("abc", 0, "***"),
        ] {
            assert_eq!(mask(text, keep), expected, "{text}, keep {keep}");
        }
    }

    #[test]
    fn what_does_not_fit_is_not_made_to() {
        for show in [Show::Mask { keep: 4 }, Show::Coarse(Coarse::Step(10.0)), Show::Plain] {
            assert_eq!(show.show(Cell::Absent), Cell::Absent);
            assert_eq!(show.show(Cell::Mistyped("a list")), Cell::Mistyped("a list"));
        }
        assert_eq!(Show::Absent.show(Cell::Mistyped("a list")), Cell::Absent, "nothing is said about what was not granted");
        assert_eq!(Show::Absent.show(Cell::Integer(7)), Cell::Absent);
        assert_eq!(Show::Mask { keep: 4 }.show(Cell::Json("{}")), Cell::Absent);
    }

    proptest! {
        #[test]
        fn a_mask_never_shows_more_than_it_keeps(text in any::<String>(), keep in 0u32..12) {
            let masked = mask(&text, keep);
            prop_assert_eq!(masked.chars().count(), text.chars().count());
            let shown = masked.trim_start_matches('*');
            prop_assert!(shown.chars().count() <= keep as usize && text.ends_with(shown));
            prop_assert!(text.chars().count() > keep as usize || shown.is_empty(), "a short text is not shown whole");
        }
    }
}
