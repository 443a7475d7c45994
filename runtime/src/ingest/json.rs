//! Strict JSON: accepted only if every parser would read the same.
//!
//! serde_json does the parsing; this adds what RFC 7493 (I-JSON) asks for and a
//! parser does not check: unique names, numbers that fit, a bound on depth. The
//! platform and the regulator must see the same value, whatever they parse with.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::rejection::RejectionKind;

/// The white space of JSON (RFC 8259, section 2).
pub(super) const WHITE_SPACE: [char; 4] = [' ', '\t', '\r', '\n'];

/// From here on an object's names are looked up in a set; below, comparing with
/// each is faster.
const NAMES_COMPARED_MAX: usize = 24;

/// What is wrong with a JSON text and where.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub kind: RejectionKind,
    /// RFC 6901 JSON Pointer from the value that was checked.
    pub pointer: String,
    pub detail: String,
}

/// Checks a whole JSON text. `depth` is the number of levels that its
/// surroundings already have.
pub(super) fn check(text: &str, depth: usize, depth_max: usize) -> Result<(), Fault> {
    let mut state = State { depth, depth_max, names: Vec::new(), wide: false, fault: None, path: Vec::new() };
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let outcome = Value(&mut state).deserialize(&mut deserializer).and_then(|()| deserializer.end());
    if let Err(error) = outcome {
        let pointer = state.path.iter().rev().map(String::as_str).collect();
        return Err(match state.fault {
            Some((kind, detail)) => Fault { kind, pointer, detail },
            None => syntax(&error, pointer),
        });
    }
    // serde_json reads an integer beyond 64 bits as a float without saying so.
    if state.wide
        && let Some(pointer) = find_wide_integer(text)
    {
        return Err(Fault { kind: RejectionKind::Number, pointer, detail: WIDE.into() });
    }
    Ok(())
}

const WIDE: &str = "the integer is beyond the signed 64-bit range; send it as a string";

/// What serde_json says, without repeating any of the text.
pub(super) fn syntax(error: &serde_json::Error, pointer: String) -> Fault {
    // The parser reports a number beyond binary64 like any other syntax error,
    // and gives no other way to tell.
    let detail = error.to_string();
    let kind = if detail.starts_with("number out of range") { RejectionKind::Number } else { RejectionKind::Syntax };
    Fault { kind, pointer, detail }
}

struct State<'de> {
    depth: usize,
    depth_max: usize,
    /// The names of the objects that are open, outermost first.
    names: Vec<Cow<'de, str>>,
    /// A float was met that may have been an integer in the text.
    wide: bool,
    fault: Option<(RejectionKind, String)>,
    /// Filled while an error unwinds, innermost step first: a valid text pays
    /// nothing for it.
    path: Vec<String>,
}

impl State<'_> {
    fn fail<E: de::Error>(&mut self, kind: RejectionKind, detail: impl Into<String>) -> E {
        self.fault = Some((kind, detail.into()));
        E::custom("refused")
    }

    fn enter<E: de::Error>(&mut self) -> Result<(), E> {
        self.depth += 1;
        if self.depth > self.depth_max {
            let max = self.depth_max;
            return Err(self.fail(RejectionKind::Depth, format!("more than {max} levels of objects and arrays")));
        }
        Ok(())
    }
}

struct Value<'s, 'de>(&'s mut State<'de>);

impl<'de> DeserializeSeed<'de> for Value<'_, 'de> {
    type Value = ();
    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E: de::Error>(self, value: u64) -> Result<(), E> {
        match i64::try_from(value) {
            Ok(_) => Ok(()),
            Err(_) => Err(self.0.fail(RejectionKind::Number, WIDE)),
        }
    }
    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.0.wide |= value.abs() >= i64::MAX as f64;
        Ok(())
    }
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let state = self.0;
        state.enter()?;
        let mut index = 0usize;
        loop {
            match items.next_element_seed(Value(state)) {
                Ok(Some(())) => index += 1,
                Ok(None) => break,
                Err(error) => {
                    state.path.push(format!("/{index}"));
                    return Err(error);
                }
            }
        }
        state.depth -= 1;
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let state = self.0;
        state.enter()?;
        let base = state.names.len();
        let mut many: Option<HashSet<Cow<'de, str>>> = None;
        while let Some(name) = members.next_key_seed(Name)? {
            let known = match &mut many {
                Some(set) => !set.insert(name.clone()),
                None => state.names[base..].contains(&name),
            };
            if known {
                state.path.push(step(&name));
                return Err(
                    state.fail(RejectionKind::DuplicateName, "the name is there twice in one object; parsers differ on which counts")
                );
            }
            state.names.push(name);
            if many.is_none() && state.names.len() - base > NAMES_COMPARED_MAX {
                many = Some(state.names[base..].iter().cloned().collect());
            }
            let own = state.names.len() - 1;
            if let Err(error) = members.next_value_seed(Value(state)) {
                // Objects inside that did not come to their end left their names.
                let name = step(&state.names[own]);
                state.path.push(name);
                return Err(error);
            }
        }
        state.names.truncate(base);
        state.depth -= 1;
        Ok(())
    }
}

/// A member's name, borrowed where it has no escapes.
pub(super) struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;
    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }
    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }
    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_string()))
    }
}

/// One step of a JSON Pointer, escaped (RFC 6901, section 3).
pub(super) fn step(name: &str) -> String {
    format!("/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// The pointer to the first number of a valid text that is written as an
/// integer and does not fit 64 bits.
fn find_wide_integer(text: &str) -> Option<String> {
    match text.as_bytes().first()? {
        b'{' => serde_json::Deserializer::from_str(text).deserialize_map(Inside).ok().flatten(),
        b'[' => serde_json::Deserializer::from_str(text).deserialize_seq(Inside).ok().flatten(),
        b'-' | b'0'..=b'9' if !text.contains(['.', 'e', 'E']) && text.parse::<i64>().is_err() => Some(String::new()),
        _ => None,
    }
}

struct Inside;

impl<'de> Visitor<'de> for Inside {
    type Value = Option<String>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or array")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(name) = members.next_key_seed(Name)? {
            let value: &RawValue = members.next_value()?;
            if found.is_none() {
                found = find_wide_integer(value.get()).map(|rest| step(&name) + &rest);
            }
        }
        Ok(found)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let (mut found, mut index) = (None, 0usize);
        while let Some(value) = items.next_element::<&RawValue>()? {
            if found.is_none() {
                found = find_wide_integer(value.get()).map(|rest| format!("/{index}{rest}"));
            }
            index += 1;
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> (RejectionKind, String) {
        let fault = check(text, 0, 8).expect_err(text);
        (fault.kind, fault.pointer)
    }

    #[test]
    fn ht_14_ht_15_ht_16_what_two_parsers_could_read_differently_is_refused_with_its_place() {
        use RejectionKind::{Depth, DuplicateName, Number, Syntax};
        for (text, kind, pointer) in [
            (r#"{"a":1,"a":2}"#, DuplicateName, "/a"),
            (r#"{"a":1,"\u0061":2}"#, DuplicateName, "/a"),
            (r#"{"x":[0,{"a/b":{"c":1,"c":1}}]}"#, DuplicateName, "/x/1/a~1b/c"),
            (r#"{"n":9223372036854775808}"#, Number, "/n"),
            (r#"{"n":[-9223372036854775809]}"#, Number, "/n/0"),
            (r#"{"n":123456789012345678901234567890}"#, Number, "/n"),
            (r#"{"n":1e400}"#, Number, "/n"),
            (r"[[[[[[[[[0]]]]]]]]]", Depth, "/0/0/0/0/0/0/0/0"),
            (r#"{"s":"\ud800"}"#, Syntax, "/s"),
            (r#"{"s":01}"#, Syntax, ""),
            (r#"{"s":1}x"#, Syntax, ""),
            ("{\"s\":\"\u{1}\"}", Syntax, "/s"),
        ] {
            let (found_kind, found_pointer) = fault(text);
            assert_eq!(found_kind, kind, "{text}");
            if kind != Syntax || !pointer.is_empty() {
                assert_eq!(found_pointer, pointer, "{text}");
            }
        }
    }

    #[test]
    fn what_every_parser_reads_alike_is_accepted() {
        for text in [
            "null",
            "-0",
            "9223372036854775807",
            "-9223372036854775808",
            "1e300",
            "12345678901234567890.5",
            r#"{"a":{"a":{"a":1}},"b":{"a":1}}"#,
            r#"{"s":"\ud83d\ude00"}"#,
            "[[[[[[[[0]]]]]]]]",
        ] {
            assert_eq!(check(text, 0, 8), Ok(()), "{text}");
        }
    }

    #[test]
    fn ht_14_duplicates_are_found_among_many_names() {
        let names: Vec<String> = (0..5_000).map(|n| format!("\"n{n}\":0")).collect();
        let unique = format!("{{{}}}", names.join(","));
        assert_eq!(check(&unique, 0, 8), Ok(()));
        let twice = format!("{{{},\"n3\":1}}", names.join(","));
        assert_eq!(fault(&twice), (RejectionKind::DuplicateName, "/n3".into()));
    }

    proptest::proptest! {
        #[test]
        fn what_serde_json_writes_is_accepted(value in crate::testing::json()) {
            let text = value.to_string();
            proptest::prop_assert_eq!(check(&text, 0, 16), Ok(()), "{}", text);
        }

        #[test]
        fn what_is_accepted_serde_json_reads(text in r#"[\[\]{}:,"a\\u0-9eE.+-]{0,24}"#) {
            if check(&text, 0, 16).is_ok() {
                proptest::prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
            }
        }
    }
}
