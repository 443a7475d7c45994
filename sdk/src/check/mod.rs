//! Check digits: whether a number is one of its kind, and if not, what is wrong with it.
//!
//! Numbers are taken as they are recorded: without blanks, hyphens or other separators,
//! in ASCII. [`text`](crate::text) brings other digits and widths there.
//!
//! ```
//! use ephor_sdk::check::{self, Wrong};
//!
//! assert_eq!(check::iban("GB82WEST12345698765432"), Ok(()));
//! assert_eq!(check::iban("GB82WEST12345698765433"), Err(Wrong::CheckDigits));
//! assert!(check::luhn("4111111111111111"));
//! ```
//!
//! A number that passes exists in form only: nobody may have been given it.

mod card;
mod china;
mod iban;

use std::fmt;

pub use card::{Network, luhn, network, payment_card};
pub use china::{ResidentIdentity, resident_identity, social_credit_code};
pub use iban::{iban, iban_length};

/// What is wrong with a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// It has more or fewer characters than numbers of its kind.
    Length,
    /// A character that numbers of its kind do not have, or not here: the byte that it begins at.
    Character(usize),
    /// There is no such region.
    Region,
    /// There is no such country, or it has no such numbers.
    Country,
    /// It has a date that is not in the calendar.
    Date,
    /// The check digits are others than the rest of the number asks for.
    CheckDigits,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length => f.write_str("the number has a wrong length"),
            Self::Character(at) => write!(f, "the character at {at} cannot stand there"),
            Self::Region => f.write_str("the number is of no region that there is"),
            Self::Country => f.write_str("the number is of no country that has such numbers"),
            Self::Date => f.write_str("the number has a date that is not in the calendar"),
            Self::CheckDigits => f.write_str("the check digits do not fit the number"),
        }
    }
}

impl std::error::Error for Wrong {}

/// The first character that is not as it should be.
fn all(number: &str, good: impl Fn(usize, u8) -> bool) -> Result<(), Wrong> {
    let bad = number.bytes().enumerate().find(|&(at, byte)| !good(at, byte));
    bad.map_or(Ok(()), |(at, _)| Err(Wrong::Character(at)))
}

/// The value of a digit or letter: `0` to `9` are themselves, `A` is 10, in either case.
fn value(byte: u8) -> u32 {
    char::from(byte).to_digit(36).unwrap_or(0)
}
