//! Payment cards: ISO/IEC 7812-1.

use super::{Wrong, all};

/// Whether the last digit is the check digit of the others by the Luhn formula: ISO/IEC
/// 7812-1, annex B. Payment cards have it, and so have IMEI numbers, SIM cards and others.
/// False for anything but at least two ASCII digits.
///
/// ```
/// use ephor_sdk::check::luhn;
/// assert!(luhn("79927398713") && !luhn("79927398710") && !luhn("0") && !luhn("7992 7398 713"));
/// ```
#[must_use]
pub fn luhn(number: &str) -> bool {
    let digit = |(index, byte): (usize, u8)| {
        let value = u64::from(byte - b'0');
        match (index % 2, value) {
            (0, _) => value,
            (_, 0..=4) => value * 2,
            _ => value * 2 - 9,
        }
    };
    let digits = number.len() > 1 && number.bytes().all(|byte| byte.is_ascii_digit());
    digits && number.bytes().rev().enumerate().map(digit).sum::<u64>() % 10 == 0
}

/// Checks the number of a payment card: 12 to 19 digits, the last by [`luhn`]. Every tenth
/// number of that length passes; ask for its [`network`] too.
///
/// # Errors
///
/// [`Wrong::Length`], [`Wrong::Character`] or [`Wrong::CheckDigits`].
///
/// ```
/// use ephor_sdk::check::{Wrong, payment_card};
/// assert_eq!(payment_card("6222021234567890128"), Ok(()));
/// assert_eq!(payment_card("4111-1111-1111-1111"), Err(Wrong::Character(4)));
/// ```
pub fn payment_card(number: &str) -> Result<(), Wrong> {
    all(number, |_, byte| byte.is_ascii_digit())?;
    match number.len() {
        12..=19 if luhn(number) => Ok(()),
        12..=19 => Err(Wrong::CheckDigits),
        _ => Err(Wrong::Length),
    }
}

/// Who issues cards under a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Network {
    /// 34 and 37; 15 digits.
    AmericanExpress,
    /// 300 to 305, 3095, 36, 38 and 39; 14 to 19 digits.
    DinersClub,
    /// 6011, 644 to 649 and 65; 16 to 19 digits.
    Discover,
    /// 3528 to 3589, 16 to 19 digits; formerly 1800 and 2131, 15 digits.
    Jcb,
    /// 50, 56 to 58, 6304, 6390 and 67; 12 to 19 digits.
    Maestro,
    /// 51 to 55 and 2221 to 2720; 16 digits.
    Mastercard,
    /// 2200 to 2204; 16 to 19 digits.
    Mir,
    /// 62 and 81; 16 to 19 digits.
    UnionPay,
    /// 4; 16 or 19 digits, formerly 13.
    Visa,
}

/// Whose prefix and length a card number has. The assignments are the networks' own; these
/// are the ranges that they publish for merchants, without the smaller national networks.
///
/// ```
/// use ephor_sdk::check::{Network, network};
/// assert_eq!([network("4111111111111111"), network("9111111111111111")], [Some(Network::Visa), None]);
/// ```
#[must_use]
pub fn network(number: &str) -> Option<Network> {
    let first = number.get(..4).filter(|it| it.bytes().all(|byte| byte.is_ascii_digit()))?;
    let prefix: u32 = first.parse().ok()?;
    let (network, shortest, longest) = match prefix {
        4000..=4999 if matches!(number.len(), 13 | 16 | 19) => (Network::Visa, 13, 19),
        3400..=3499 | 3700..=3799 => (Network::AmericanExpress, 15, 15),
        3000..=3059 | 3095 | 3600..=3699 | 3800..=3999 => (Network::DinersClub, 14, 19),
        6011 | 6440..=6599 => (Network::Discover, 16, 19),
        3528..=3589 => (Network::Jcb, 16, 19),
        1800 | 2131 => (Network::Jcb, 15, 15),
        5100..=5599 | 2221..=2720 => (Network::Mastercard, 16, 16),
        2200..=2204 => (Network::Mir, 16, 19),
        6200..=6299 | 8100..=8199 => (Network::UnionPay, 16, 19),
        5000..=5099 | 5600..=5899 | 6304 | 6390 | 6700..=6799 => (Network::Maestro, 12, 19),
        _ => return None,
    };
    (shortest..=longest).contains(&number.len()).then_some(network)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn luhn_sees_a_wrong_digit_and_swapped_neighbours() {
        let number = "4556737586899855";
        assert!(luhn(number));
        for at in 0..number.len() {
            for digit in b'0'..=b'9' {
                let mut other = number.as_bytes().to_vec();
                other[at] = digit;
                let other = String::from_utf8(other).expect("digits");
                assert_eq!(luhn(&other), other == number, "{other}");
            }
        }
        assert!(!luhn("") && !luhn("¼0") && !luhn("4556737586898955"));
    }

    /// The numbers that networks give to merchants for tests.
    #[test]
    fn networks_know_their_numbers() {
        for (number, expected) in [
            ("378282246310005", Network::AmericanExpress),
            ("30569309025904", Network::DinersClub),
            ("6011111111111117", Network::Discover),
            ("3530111333300000", Network::Jcb),
            ("6759649826438453", Network::Maestro),
            ("5555555555554444", Network::Mastercard),
            ("2223003122003222", Network::Mastercard),
            ("2200000000000004", Network::Mir),
            ("6200000000000005", Network::UnionPay),
            ("4222222222222", Network::Visa),
        ] {
            assert_eq!((payment_card(number), network(number)), (Ok(()), Some(expected)), "{number}");
        }
        assert_eq!([network("411111111111111"), network("37828224631000"), network("é"), network("")], [None; 4]);
        assert_eq!([payment_card("42"), payment_card("４２")], [Err(Wrong::Length), Err(Wrong::Character(0))]);
    }
}
