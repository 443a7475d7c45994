//! Numbers of the People's Republic of China.

use super::{Wrong, all, value};

/// What a resident identity number says of its holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResidentIdentity {
    /// Where the number was given, by GB/T 2260: two digits each for province, city and county.
    pub region: u32,
    /// Year, month and day of birth.
    pub born: (u16, u8, u8),
}

/// The provinces of GB/T 2260, and 81 to 83 for the residence permits of people from
/// Hong Kong, Macao and Taiwan.
const fn is_province(code: u32) -> bool {
    matches!(code, 11..=15 | 21..=23 | 31..=37 | 41..=46 | 50..=54 | 61..=65 | 71 | 81..=83)
}

/// Checks a resident identity number: GB 11643-1999. Six digits of a region, of which the
/// province must be one that there is (counties come and go); eight of a date of birth, in
/// the calendar and from 1850 to 2199; three of a sequence; and the check character, by
/// ISO/IEC 7064, MOD 11-2: a digit or `X`, in either case.
///
/// The numbers of foreigners' permanent residence cards, which begin with 9, are others.
///
/// # Errors
///
/// What is wrong first: length, characters, region, date, check digit.
///
/// ```
/// use ephor_sdk::check::{Wrong, resident_identity};
/// assert_eq!(resident_identity("360426199101010071").map(|it| it.born), Ok((1991, 1, 1)));
/// assert_eq!(resident_identity("360426199113010079"), Err(Wrong::Date));
/// ```
pub fn resident_identity(number: &str) -> Result<ResidentIdentity, Wrong> {
    if number.len() != 18 {
        return Err(Wrong::Length);
    }
    all(number, |at, byte| byte.is_ascii_digit() || at == 17 && byte.eq_ignore_ascii_case(&b'x'))?;
    let digits = |from: usize, to: usize| number.bytes().take(to).skip(from).fold(0, |sum, byte| sum * 10 + value(byte));
    let (region, year, month, day) = (digits(0, 6), digits(6, 10), digits(10, 12), digits(12, 14));
    if !is_province(region / 10_000) {
        return Err(Wrong::Region);
    }
    if !(1850..2200).contains(&year) || !is_day(year, month, day) {
        return Err(Wrong::Date);
    }
    let rest = number.bytes().take(17).fold(0, |rest, byte| (rest + value(byte)) * 2 % 11);
    let last = number.as_bytes()[17];
    let check = if last.is_ascii_digit() { value(last) } else { 10 };
    if (rest + check) % 11 != 1 {
        return Err(Wrong::CheckDigits);
    }
    Ok(ResidentIdentity { region, born: (year as u16, month as u8, day as u8) })
}

const fn is_day(year: u32, month: u32, day: u32) -> bool {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => 0,
    };
    day >= 1 && day <= days
}

/// The characters of a unified social credit code, in the order of their values.
const CREDIT: &[u8; 31] = b"0123456789ABCDEFGHJKLMNPQRTUWXY";

/// Checks a unified social credit code of organisations: GB 32100-2015. A character each
/// for the department that registers (1, 5, 9 and Y, and those given since: 2 to 8 and N)
/// and the kind of organisation; six digits of a region
/// of a province that there is; the organisation code, with its own check character (GB
/// 11714, modulo 11); and the check character, by ISO/IEC 7064, MOD 31-3. Letters in either
/// case, without I, O, S, V and Z.
///
/// Codes that begin with `92` are those of self-employed households: of natural persons.
///
/// # Errors
///
/// What is wrong first: length, characters, region, check digits.
///
/// ```
/// use ephor_sdk::check::{Wrong, social_credit_code};
/// assert_eq!(social_credit_code("91110000600037341L"), Ok(()));
/// assert_eq!(social_credit_code("91110000600037341N"), Err(Wrong::CheckDigits));
/// ```
pub fn social_credit_code(number: &str) -> Result<(), Wrong> {
    if number.len() != 18 {
        return Err(Wrong::Length);
    }
    let place = |byte: u8| CREDIT.iter().position(|it| *it == byte.to_ascii_uppercase());
    all(number, |at, byte| match at {
        0 => matches!(byte.to_ascii_uppercase(), b'1'..=b'9' | b'N' | b'Y'),
        2..8 => byte.is_ascii_digit(),
        _ => place(byte).is_some(),
    })?;
    let bytes = number.as_bytes();
    // Registers of the state as a whole, such as that of trade unions, have 10 for a province.
    let province = value(bytes[2]) * 10 + value(bytes[3]);
    if province != 10 && !is_province(province) {
        return Err(Wrong::Region);
    }
    let sum: u32 = bytes[8..16].iter().zip([3, 7, 9, 10, 5, 8, 4, 2]).map(|(&byte, weight)| value(byte) * weight).sum();
    let organisation = match 11 - sum % 11 {
        10 => b'X',
        11 => b'0',
        digit => b'0' + digit as u8,
    };
    let (mut sum, mut weight) = (0, 1);
    for &byte in &bytes[..17] {
        sum += place(byte).unwrap_or(0) * weight;
        weight = weight * 3 % 31;
    }
    let check = CREDIT[(31 - sum % 31) % 31];
    if bytes[16].to_ascii_uppercase() != organisation || bytes[17].to_ascii_uppercase() != check {
        return Err(Wrong::CheckDigits);
    }
    Ok(())
}
