//! What entries are made of: texts, evidence, digests, times, and how each is written.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error as _, MapAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::digest::Digest;

/// A string that is borrowed where it can be: from the event when an entry is made,
/// from the line when it is read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Text<'a>(pub Cow<'a, str>);

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Text(Cow::Borrowed(text))
    }
}

impl From<String> for Text<'_> {
    fn from(text: String) -> Self {
        Text(Cow::Owned(text))
    }
}

impl std::ops::Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    /// Unlike `Cow`'s own, borrows what stands in the line as it is.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Borrow;
        impl<'de> Visitor<'de> for Borrow {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(text.into())
            }

            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(text.to_string().into())
            }
        }
        deserializer.deserialize_str(Borrow)
    }
}

impl JsonSchema for Text<'_> {
    fn schema_name() -> Cow<'static, str> {
        "Text".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
    }
}

/// How digests stand in entries, to say so in schemas.
pub(crate) enum Hex {}

impl JsonSchema for Hex {
    fn schema_name() -> Cow<'static, str> {
        "Hex".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9a-f]{64}$" })
    }
}

/// What a finding rests on: names and values, in the order in which they were given.
///
/// A name has one value. Where there is a name twice, the first one is written,
/// which is also the one in the message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Evidence<'a>(pub Vec<(Text<'a>, Text<'a>)>);

impl Evidence<'_> {
    /// Names and values.
    pub fn pairs(&self) -> Vec<(String, String)> {
        self.0.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }
}

impl JsonSchema for Evidence<'_> {
    fn schema_name() -> Cow<'static, str> {
        "Evidence".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object", "additionalProperties": { "type": "string" } })
    }
}

/// The versions of reference lists, by the lists' names: the same shape.
pub(crate) type Lists<'a> = Evidence<'a>;

impl Serialize for Evidence<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (&**name, &**value)))
    }
}

/// Writes an object of strings.
pub(super) fn strings(out: &mut Vec<u8>, Evidence(members): &Evidence<'_>) {
    out.push(b'{');
    for (index, (name, value)) in members.iter().enumerate() {
        if members[..index].iter().any(|(earlier, _)| earlier == name) {
            continue;
        }
        if index > 0 {
            out.push(b',');
        }
        string(out, name);
        out.push(b':');
        string(out, value);
    }
    out.push(b'}');
}

impl<'de: 'a, 'a> Deserialize<'de> for Evidence<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Evidence<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of strings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Evidence<'de>, A::Error> {
                let mut evidence: Vec<(Text<'de>, Text<'de>)> = Vec::new();
                while let Some((name, value)) = map.next_entry::<Text<'de>, Text<'de>>()? {
                    if evidence.iter().any(|(known, _)| *known == name) {
                        return Err(A::Error::custom(format_args!("{:?} is there twice", &*name)));
                    }
                    evidence.push((name, value));
                }
                Ok(Evidence(evidence))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

/// A member that may be left out, but is not `null`.
pub(super) fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// 64 hexadecimal digits in lower case.
pub(super) fn digest<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
    let text = Text::deserialize(deserializer)?;
    parse_digest(&text).ok_or_else(|| D::Error::invalid_value(Unexpected::Str(&text), &"64 hexadecimal digits in lower case"))
}

/// The same for a digest that may be left out.
pub(super) fn present_digest<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Digest>, D::Error> {
    digest(deserializer).map(Some)
}

/// Reads 64 hexadecimal digits in lower case.
pub(super) fn parse_digest(text: &str) -> Option<Digest> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; 32];
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    if pairs.len() != bytes.len() {
        return None;
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(Digest::from_bytes(bytes))
}

/// A time: microseconds since 1970, UTC, from the year 0000 to the end of 9999.
/// Written as `2026-11-24T08:00:00.000000Z`, always with six digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Time(i64);

impl JsonSchema for Time {
    fn schema_name() -> Cow<'static, str> {
        "Time".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time", "pattern": "^[0-9-]{10}T[0-9:]{8}\\.[0-9]{6}Z$" })
    }
}

impl Time {
    const FIRST: i64 = -62_167_219_200 * 1_000_000;
    const LAST: i64 = 253_402_300_800 * 1_000_000 - 1;

    /// The time that is so many microseconds after the start of 1970, or the nearest
    /// one that has four digits for its year.
    pub fn from_micros(micros: i64) -> Self {
        Time(micros.clamp(Self::FIRST, Self::LAST))
    }

    /// Microseconds since the start of 1970.
    pub fn micros(self) -> i64 {
        self.0
    }

    pub(super) fn write(self, out: &mut Vec<u8>) {
        let (seconds, micros) = (self.0.div_euclid(1_000_000), self.0.rem_euclid(1_000_000) as u64);
        let (days, seconds) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400) as u64);
        let (year, month, day) = civil(days);
        let mut text = *b"0000-00-00T00:00:00.000000Z";
        digits(&mut text[0..4], year);
        digits(&mut text[5..7], month);
        digits(&mut text[8..10], day);
        digits(&mut text[11..13], seconds / 3_600);
        digits(&mut text[14..16], seconds / 60 % 60);
        digits(&mut text[17..19], seconds % 60);
        digits(&mut text[20..26], micros);
        out.extend_from_slice(&text);
    }

    /// Reads a time as it stands in an entry.
    pub fn parse(text: &str) -> Option<Self> {
        let number = |range: std::ops::Range<usize>| -> Option<u64> {
            let digits = text.get(range)?;
            digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
        };
        let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
        let seconds = number(11..13)? * 3_600 + number(14..16)? * 60 + number(17..19)?;
        let days = days(year, month, day);
        let arrived = Time::from_micros((days * 86_400 + seconds as i64) * 1_000_000 + number(20..26)? as i64);
        // Whatever is out of its range, or in another place, is written otherwise.
        let mut written = Vec::with_capacity(27);
        arrived.write(&mut written);
        (written == text.as_bytes()).then_some(arrived)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::with_capacity(27);
        self.write(&mut text);
        f.write_str(&String::from_utf8_lossy(&text))
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Text::deserialize(deserializer)?;
        Time::parse(&text).ok_or_else(|| D::Error::invalid_value(Unexpected::Str(&text), &"a time as in 2026-11-24T08:00:00.000000Z"))
    }
}

/// Year, month and day of a day since 1970 (Howard Hinnant's `civil_from_days`).
pub(super) fn civil(days: i64) -> (u64, u64, u64) {
    // Counted from the first of March of the year -400, so that leap days come last
    // and nothing is negative.
    let days = (days + 719_468 + 146_097) as u64;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + u64::from(month <= 2) - 400, month, day)
}

/// The day since 1970 of a date. Dates that no calendar has give some day.
pub(super) fn days(year: u64, month: u64, day: u64) -> i64 {
    let year = year + 400;
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let of_era = year % 400 * 365 + year % 400 / 4 - year % 400 / 100 + (153 * month + 2) / 5 + day;
    (year / 400 * 146_097 + of_era) as i64 - 719_469 - 146_097
}

fn digits(out: &mut [u8], mut value: u64) {
    for digit in out.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

/// Writes a member: its name with what precedes it, and a string.
pub(super) fn member(out: &mut Vec<u8>, name: &[u8], value: &str) {
    out.extend_from_slice(name);
    string(out, value);
}

/// Writes a member that follows another: its name, and a string.
pub(super) fn text_member(out: &mut Vec<u8>, name: &str, text: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    member(out, b"\":", text);
}

/// The same with a time.
pub(super) fn time_member(out: &mut Vec<u8>, name: &str, time: Time) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":\"");
    time.write(out);
    out.push(b'"');
}

/// The same with a number.
pub(super) fn number_member(out: &mut Vec<u8>, name: &str, value: u64) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    number(out, value);
}

/// Writes a JSON string.
pub(crate) fn string(out: &mut Vec<u8>, text: &str) {
    // Without branches, so that it is done for many bytes at once.
    let special = text.bytes().fold(false, |found, byte| found | (byte < 0x20) | (byte == b'"') | (byte == b'\\'));
    out.push(b'"');
    if special {
        escape(out, text);
    } else {
        out.extend_from_slice(text.as_bytes());
    }
    out.push(b'"');
}

#[cold]
fn escape(out: &mut Vec<u8>, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0c => out.extend_from_slice(b"\\f"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0..0x20 => {
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&HEX[usize::from(byte)]);
            }
            _ => out.push(byte),
        }
    }
}

/// Two hexadecimal digits for each byte.
const HEX: [[u8; 2]; 256] = {
    let digits = b"0123456789abcdef";
    let mut table = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = [digits[byte >> 4], digits[byte & 15]];
        byte += 1;
    }
    table
};

/// Writes a digest's 64 digits.
pub(super) fn hex(out: &mut Vec<u8>, digest: &Digest) {
    let mut text = [[0; 2]; 32];
    for (pair, byte) in text.iter_mut().zip(digest.bytes()) {
        *pair = HEX[usize::from(*byte)];
    }
    out.extend_from_slice(text.as_flattened());
}

/// Writes a number in plain digits.
pub(crate) fn number(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}
