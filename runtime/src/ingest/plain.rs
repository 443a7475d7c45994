//! The short way of an event that is written plainly, as nearly all are: one pass over
//! its text that checks everything and makes nothing but spans.
//!
//! It takes less than the parser does (`structured.rs`, `json.rs`): names and attributes
//! without escapes, no number with an exponent, no integer of more than 18 digits. What
//! it does not take is no error yet: the parser reads it again, and says what is wrong, if
//! anything is. What it takes the parser takes as well, and reads the same in it.

use std::borrow::Cow;

use super::Limits;
use super::attribute::{self, SPEC_VERSION};
use super::structured::{Draft, is_text};
use crate::column::time_micros;
use crate::event::Members;
use crate::scan::{plain_end, white_end};

/// Names of objects that are open at the same time.
const NAMES_MAX: usize = 48;

/// Digits of an integer that fits 64 bits whatever they are.
const DIGITS_MAX: usize = 18;

/// Reads an event, if it is written plainly.
pub(super) fn read<'t>(text: &'t str, limits: &Limits) -> Option<Draft<'t>> {
    let mut scan =
        Scan { text, at: white_end(text.as_bytes(), 0), names: [Known::default(); NAMES_MAX], count: 0, depth_max: limits.depth_max };
    let mut draft = Draft::default();
    scan.envelope(&mut draft, limits)?;
    (white_end(text.as_bytes(), scan.at) == text.len()).then_some(draft)
}

/// A name of an object that is open.
#[derive(Clone, Copy, Default)]
struct Known {
    /// The first bytes: most names differ there.
    begin: u64,
    start: u32,
    length: u32,
}

struct Scan<'t> {
    text: &'t str,
    at: usize,
    /// Outermost object first.
    names: [Known; NAMES_MAX],
    count: usize,
    depth_max: usize,
}

impl<'t> Scan<'t> {
    #[inline]
    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Goes over a byte that has to be there.
    #[inline]
    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.byte()? == byte).then(|| self.at += 1)
    }

    #[inline]
    fn skip_white(&mut self) {
        self.at = white_end(self.text.as_bytes(), self.at);
    }

    /// A string without escapes: what is between its quotes.
    #[inline]
    fn plain_string(&mut self) -> Option<&'t str> {
        self.expect(b'"')?;
        let start = self.at;
        self.at = plain_end(self.text.as_bytes(), start);
        let inner = self.text.get(start..self.at)?;
        self.expect(b'"')?;
        Some(inner)
    }

    /// The name of a member that no other member of the object has so far, and the colon.
    #[inline]
    fn name(&mut self, base: usize) -> Option<&'t str> {
        self.skip_white();
        let start = self.at + 1;
        let name = self.plain_string()?;
        let known = Known { begin: begin(name), start: start as u32, length: name.len() as u32 };
        let is_there = |earlier: &Known| {
            earlier.begin == known.begin
                && earlier.length == known.length
                && self.text.get(earlier.start as usize..(earlier.start + earlier.length) as usize) == Some(name)
        };
        if self.count == NAMES_MAX || self.names[base..self.count].iter().any(is_there) {
            return None;
        }
        self.names[self.count] = known;
        self.count += 1;
        self.skip_white();
        self.expect(b':')?;
        self.skip_white();
        Some(name)
    }

    /// Whether another item follows, after a comma; if not, goes over the bracket.
    #[inline]
    fn goes_on(&mut self, bracket: u8) -> Option<bool> {
        self.skip_white();
        let byte = self.byte()?;
        self.at += 1;
        match byte {
            b',' => Some(true),
            _ if byte == bracket => Some(false),
            _ => None,
        }
    }

    /// Whether an object or array that was just opened has nothing in it.
    #[inline]
    fn is_empty(&mut self, bracket: u8) -> bool {
        self.skip_white();
        let is_empty = self.byte() == Some(bracket);
        self.at += usize::from(is_empty);
        is_empty
    }

    /// A value; `depth` counts the objects and arrays around it.
    fn value(&mut self, depth: usize) -> Option<()> {
        match self.byte()? {
            b'"' => self.string(),
            b'{' => {
                let base = self.count;
                self.object(depth)?;
                self.count = base;
                Some(())
            }
            b'[' => {
                self.open(depth)?;
                if !self.is_empty(b']') {
                    loop {
                        self.skip_white();
                        self.value(depth + 1)?;
                        if !self.goes_on(b']')? {
                            break;
                        }
                    }
                }
                Some(())
            }
            b't' => self.word("true"),
            b'f' => self.word("false"),
            b'n' => self.word("null"),
            _ => self.number(),
        }
    }

    /// An object. Its names stand behind those that are known before.
    #[inline]
    fn object(&mut self, depth: usize) -> Option<()> {
        self.open(depth)?;
        let base = self.count;
        if self.is_empty(b'}') {
            return Some(());
        }
        loop {
            self.name(base)?;
            self.value(depth + 1)?;
            if !self.goes_on(b'}')? {
                return Some(());
            }
        }
    }

    /// The data, and where its members are, if it is an object.
    fn data(&mut self) -> Option<Members> {
        if self.byte()? != b'{' {
            self.value(1)?;
            return Some(Members::default());
        }
        let (start, base) = (self.at as u32, self.count);
        self.object(1)?;
        let members = self.names[base..self.count].iter().map(|name| (name.start - start, name.length)).collect();
        self.count = base;
        Some(Members(members))
    }

    #[inline]
    fn open(&mut self, depth: usize) -> Option<()> {
        self.at += 1;
        (depth < self.depth_max).then_some(())
    }

    fn word(&mut self, word: &str) -> Option<()> {
        self.text.as_bytes().get(self.at..)?.starts_with(word.as_bytes()).then(|| self.at += word.len())
    }

    /// A string, with escapes of one character.
    #[inline]
    fn string(&mut self) -> Option<()> {
        self.at += 1;
        loop {
            self.at = plain_end(self.text.as_bytes(), self.at);
            match self.byte()? {
                b'"' => break,
                b'\\' if matches!(self.text.as_bytes().get(self.at + 1)?, b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                    self.at += 2;
                }
                _ => return None,
            }
        }
        self.at += 1;
        Some(())
    }

    #[inline]
    fn digits(&mut self) -> usize {
        let start = self.at;
        while self.byte().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        self.at - start
    }

    #[inline]
    fn number(&mut self) -> Option<()> {
        if self.byte()? == b'-' {
            self.at += 1;
        }
        let has_leading_zero = self.byte()? == b'0';
        let digits = self.digits();
        if digits == 0 || digits > DIGITS_MAX || has_leading_zero && digits > 1 {
            return None;
        }
        if self.byte() == Some(b'.') {
            self.at += 1;
            if self.digits() == 0 {
                return None;
            }
        }
        // What must not follow is refused by whoever looks for what does.
        Some(())
    }

    fn envelope(&mut self, draft: &mut Draft<'t>, limits: &Limits) -> Option<()> {
        self.expect(b'{')?;
        if self.is_empty(b'}') {
            return None;
        }
        loop {
            let name = self.name(0)?;
            if self.count > limits.attributes_max {
                return None;
            }
            let start = self.at;
            if name == "data" {
                draft.members = self.data()?;
                draft.data = Some(self.text.get(start..self.at)?);
            } else {
                let value = self.plain_string()?;
                self.attribute(draft, name, value, start, limits)?;
            }
            if !self.goes_on(b'}')? {
                return Some(());
            }
        }
    }

    /// An attribute with a text; `start` is where its quote stands.
    fn attribute(&mut self, draft: &mut Draft<'t>, name: &'t str, value: &'t str, start: usize, limits: &Limits) -> Option<()> {
        let slot = match name {
            "specversion" if value == SPEC_VERSION => &mut draft.specversion,
            "time" if value.len() <= limits.attribute_bytes_max => {
                draft.time_micros = Some(time_micros(value)?);
                &mut draft.time
            }
            "specversion" | "time" | "data_base64" => return None,
            _ => {
                attribute::check(name, value, limits).ok()?;
                match name {
                    "id" => &mut draft.id,
                    "source" => &mut draft.source,
                    "type" => &mut draft.kind,
                    "subject" => &mut draft.subject,
                    _ => {
                        if !is_text(name) {
                            attribute::check_name(name).ok()?;
                        }
                        draft.other.push((Cow::Borrowed(name), self.text.get(start..self.at)?));
                        return Some(());
                    }
                }
            }
        };
        *slot = Some(Cow::Borrowed(value));
        Some(())
    }
}

/// The first eight bytes of a name, or all of them.
#[inline]
fn begin(name: &str) -> u64 {
    let bytes = name.as_bytes();
    match bytes.get(..8).and_then(|eight| eight.try_into().ok()) {
        Some(eight) => u64::from_le_bytes(eight),
        None => bytes.iter().fold(0, |begin, byte| begin << 8 | u64::from(*byte)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ingest::structured::parsed;

    /// What the short way and the parser make of a text; the short way may have passed.
    fn both(text: &str) -> (Option<crate::event::Event>, Option<crate::event::Event>) {
        let limits = Limits::default();
        let short = read(text, &limits).and_then(|draft| draft.whole(text).ok());
        (short, parsed(text, &limits).ok())
    }

    fn assert_alike(text: &str) -> bool {
        let (short, long) = both(text);
        if let Some(short) = &short {
            assert!(long.as_ref() == Some(short), "{text}: the parser reads {long:?}, and the short way {short:?}");
        }
        short.is_some()
    }

    #[test]
    fn a_plain_event_takes_the_short_way() {
        for text in [
            r#" {"specversion":"1.0","id":"é1","source":"/s","type":"t"} "#,
            "{ \"specversion\" : \"1.0\" , \"id\":\"1\",\"source\":\"/s\",\r\n\t\"type\":\"t\", \"data\" : { } }",
            r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","subject":"x","time":"2026-01-02T03:04:05.5+01:00","datacontenttype":"application/json","region":"eu","data":{"a":[1,-0,0.25,-12.5,true,false,null,"x\n\"\\é",{"a":{}},[]],"b":[[ ]]}}"#,
            r#"{"data":"text","specversion":"1.0","id":"1","source":"/s","type":"t"}"#,
        ] {
            assert!(assert_alike(text), "{text}");
        }
    }

    #[test]
    fn what_the_parser_refuses_does_not_take_it() {
        let event = |data: &str| format!(r#"{{"specversion":"1.0","id":"1","source":"/s","type":"t","data":{data}}}"#);
        let deep = format!("{}{}", "[".repeat(40), "]".repeat(40));
        let wide = format!("{{{}}}", (0..60).map(|n| format!("\"n{n}\":0")).chain(["\"n1\":1".into()]).collect::<Vec<_>>().join(","));
        for data in [
            "",
            "01",
            "-",
            "1.",
            ".5",
            "+1",
            "1e400",
            "9223372036854775808",
            "tru",
            "nul",
            "[1,]",
            "[,1]",
            "{\"a\":1,}",
            "{\"a\" 1}",
            "{a:1}",
            r#"{"a":1,"a":2}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"[{"abcdefghi":1,"abcdefghi":2}]"#,
            r#""\ud800""#,
            r#""\x""#,
            "\"\u{1}\"",
            "\"",
            "[",
            "{",
            "1 2",
            "12x",
            &deep,
            &wide,
        ] {
            let text = event(data);
            let (short, long) = both(&text);
            assert!(short.is_none() && long.is_none(), "{text}");
        }
        for text in [
            r#"{"specversion":"1.0","id":"1","source":"/s","type":"t"}x"#,
            r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","id":"1"}"#,
            r#"{"specversion":"1.0","id":"","source":"/s","type":"t"}"#,
            r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","Region":"eu"}"#,
            r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","time":"now"}"#,
            r#"{"specversion":"1.0","id":"1","source":"/s"}"#,
            "{}",
            "[]",
            "",
        ] {
            let (short, long) = both(text);
            assert!(short.is_none() && long.is_none(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn it_reads_what_the_parser_reads(data in crate::testing::json(), id in ".{0,12}", extension in "[a-z_A]{1,8}", value in crate::testing::json()) {
            let event = serde_json::json!({"specversion": "1.0", "id": id, "source": "/s", "type": "t", "data": data, extension: value});
            assert_alike(&event.to_string());
            assert_alike(&serde_json::to_string_pretty(&event).expect("JSON"));
        }

        #[test]
        fn no_change_of_a_byte_makes_it_take_what_the_parser_refuses(place in 0usize..400, byte in proptest::sample::select(b"\"\\{}[],: 0e.-u1tn\x01a".to_vec()), cut in proptest::bool::ANY) {
            let whole = r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","time":"2026-01-02T03:04:05Z","region":"eu","data":{"a":[1,-0,0.25,-12.5,true,null,"x\n\\é",{"ab":{"c":9223372036854775807}},[]],"b":[[1e3]],"c":""}}"#;
            let mut bytes = whole.as_bytes().to_vec();
            let place = place % bytes.len();
            if cut {
                bytes.remove(place);
            } else {
                bytes[place] = byte;
            }
            if let Ok(text) = str::from_utf8(&bytes) {
                assert_alike(text);
            }
        }
    }
}
