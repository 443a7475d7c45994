//! Bank accounts: ISO 13616-1.

use super::{Wrong, all, value};

/// How many characters account numbers of a country have, by release 101 of the IBAN
/// registry. Sorted.
#[rustfmt::skip]
const LENGTHS: &[(&[u8; 2], u8)] = &[
    (b"AD", 24), (b"AE", 23), (b"AL", 28), (b"AT", 20), (b"AZ", 28), (b"BA", 20), (b"BE", 16), (b"BG", 22),
    (b"BH", 22), (b"BI", 27), (b"BR", 29), (b"BY", 28), (b"CH", 21), (b"CR", 22), (b"CY", 28), (b"CZ", 24),
    (b"DE", 22), (b"DJ", 27), (b"DK", 18), (b"DO", 28), (b"EE", 20), (b"EG", 29), (b"ES", 24), (b"FI", 18),
    (b"FK", 18), (b"FO", 18), (b"FR", 27), (b"GB", 22), (b"GE", 22), (b"GI", 23), (b"GL", 18), (b"GR", 27),
    (b"GT", 28), (b"HN", 28), (b"HR", 21), (b"HU", 28), (b"IE", 22), (b"IL", 23), (b"IQ", 23), (b"IS", 26),
    (b"IT", 27), (b"JO", 30), (b"KW", 30), (b"KZ", 20), (b"LB", 28), (b"LC", 32), (b"LI", 21), (b"LT", 20),
    (b"LU", 20), (b"LV", 21), (b"LY", 25), (b"MC", 27), (b"MD", 24), (b"ME", 22), (b"MK", 19), (b"MN", 20),
    (b"MR", 27), (b"MT", 31), (b"MU", 30), (b"NI", 28), (b"NL", 18), (b"NO", 15), (b"OM", 23), (b"PK", 24),
    (b"PL", 28), (b"PS", 29), (b"PT", 25), (b"QA", 29), (b"RO", 24), (b"RS", 22), (b"RU", 33), (b"SA", 24),
    (b"SC", 31), (b"SD", 18), (b"SE", 24), (b"SI", 19), (b"SK", 24), (b"SM", 27), (b"SO", 23), (b"ST", 25),
    (b"SV", 28), (b"TL", 23), (b"TN", 24), (b"TR", 26), (b"UA", 29), (b"VA", 22), (b"VG", 24), (b"XK", 20),
    (b"YE", 30),
];

/// How many characters the account numbers of a country have; the country by ISO 3166-1,
/// in capitals. By release 101 of the IBAN registry.
#[must_use]
pub fn iban_length(country: &str) -> Option<usize> {
    let found = LENGTHS.binary_search_by(|(code, _)| code[..].cmp(country.as_bytes())).ok()?;
    Some(usize::from(LENGTHS[found].1))
}

/// Checks an international bank account number: ISO 13616-1, with the check digits of
/// ISO/IEC 7064, MOD 97-10. Letters in either case. What the countries ask of the rest
/// (which of it is digits, and their own check digits) it does not look at.
///
/// # Errors
///
/// What is wrong first: country, length, characters, check digits.
///
/// ```
/// use ephor_sdk::check::{Wrong, iban};
/// assert_eq!(iban("de89370400440532013000"), Ok(()));
/// assert_eq!(iban("US89370400440532013000"), Err(Wrong::Country));
/// ```
pub fn iban(number: &str) -> Result<(), Wrong> {
    let country = number.get(..2).map(str::to_ascii_uppercase);
    let length = country.and_then(|it| iban_length(&it)).ok_or(Wrong::Country)?;
    if number.len() != length {
        return Err(Wrong::Length);
    }
    all(number, |at, byte| match at {
        0 | 1 => byte.is_ascii_alphabetic(),
        2 | 3 => byte.is_ascii_digit(),
        _ => byte.is_ascii_alphanumeric(),
    })?;
    let (head, tail) = number.as_bytes().split_at(4);
    let step = |rest: u32, &byte: &u8| (rest * if byte.is_ascii_digit() { 10 } else { 100 } + value(byte)) % 97;
    let check = value(head[2]) * 10 + value(head[3]);
    if tail.iter().chain(head).fold(0, step) != 1 || !(2..=98).contains(&check) {
        return Err(Wrong::CheckDigits);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn countries_are_in_order() {
        assert!(LENGTHS.is_sorted() && LENGTHS.len() == 89);
        assert_eq!([iban_length("NO"), iban_length("RU"), iban_length("no"), iban_length("")], [Some(15), Some(33), None, None]);
    }

    /// Examples that central banks publish.
    #[test]
    fn examples_pass_and_nothing_near_them() {
        for number in ["NO9386011117947", "MT84MALT011000012345MTLCAST001S", "FR1420041010050500013M02606", "SA0380000000608010167519"] {
            assert_eq!(iban(number), Ok(()), "{number}");
            let (first, last) = number.split_at(number.len() - 1);
            let other = if last == "0" { '1' } else { '0' };
            assert_eq!(iban(&format!("{first}{other}")), Err(Wrong::CheckDigits));
            assert_eq!(iban(first), Err(Wrong::Length));
        }
        assert_eq!([iban(""), iban("€"), iban("GB8")], [Err(Wrong::Country), Err(Wrong::Country), Err(Wrong::Length)]);
        assert_eq!(iban("GB82 WEST 1234 5698 76"), Err(Wrong::Character(4)));
        // 01 has the remainder of 98, and is no check digit that anybody computes.
        assert!(iban("NO0186011117947").is_err());
    }
}
