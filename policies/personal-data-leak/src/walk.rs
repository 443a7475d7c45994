//! Every text in a JSON value, with its place.

use std::fmt;

use ephor_sdk::serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use ephor_sdk::serde_json;

use crate::Scanner;

/// Where in the event a text stands: the names and indices on the way from `/data`.
#[derive(Default)]
pub(crate) struct Place {
    steps: Vec<Step>,
    /// Whether the text is the last name itself, not what stands under it.
    is_name: bool,
}

enum Step {
    Name(String),
    Index(usize),
}

impl Place {
    /// What the text is called: the innermost name above it.
    pub(crate) fn name(&self) -> Option<&str> {
        let above = self.steps.len() - usize::from(self.is_name);
        self.steps[..above].iter().rev().find_map(|step| match step {
            Step::Name(name) => Some(name.as_str()),
            Step::Index(_) => None,
        })
    }

    /// The place as a JSON Pointer into the event. A name that is itself personal becomes
    /// `*`, for what stands in evidence is there for good.
    pub(crate) fn pointer(&self, scanner: &Scanner) -> String {
        let mut pointer = String::from("/data");
        for step in &self.steps {
            pointer.push('/');
            match step {
                Step::Name(name) if !scanner.spans(name, None).is_empty() => pointer.push('*'),
                Step::Name(name) => pointer.push_str(&escaped(name)),
                Step::Index(index) => pointer.push_str(&index.to_string()),
            }
        }
        pointer
    }

    /// Whether this is the place of these steps, escaped as in pointers; `*` is any.
    pub(crate) fn matches(&self, steps: &[String]) -> bool {
        let same = |step: &Step, wanted: &String| match step {
            _ if wanted == "*" => true,
            Step::Name(name) => escaped(name) == *wanted,
            Step::Index(index) => index.to_string() == *wanted,
        };
        !self.is_name && self.steps.len() == steps.len() && self.steps.iter().zip(steps).all(|(step, wanted)| same(step, wanted))
    }
}

fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// Calls `take` with each text of a JSON document: strings, the names of members, and
/// whole numbers by their digits.
///
/// # Errors
///
/// If it is no JSON, or nested deeper than 128 values.
pub(crate) fn texts(document: &str, take: impl FnMut(&Place, &str)) -> Result<(), serde_json::Error> {
    let mut walk = Walk { place: Place::default(), take };
    Value(&mut walk).deserialize(&mut serde_json::Deserializer::from_str(document))
}

struct Walk<F> {
    place: Place,
    take: F,
}

impl<F: FnMut(&Place, &str)> Walk<F> {
    fn text(&mut self, text: &str) {
        (self.take)(&self.place, text);
    }
}

struct Value<'walk, F>(&'walk mut Walk<F>);

impl<'de, F: FnMut(&Place, &str)> DeserializeSeed<'de> for Value<'_, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, F: FnMut(&Place, &str)> Visitor<'de> for Value<'_, F> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, number: u64) -> Result<(), E> {
        self.0.text(&number.to_string());
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.0.text(text);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<(), A::Error> {
        for index in 0.. {
            self.0.place.steps.push(Step::Index(index));
            let next = values.next_element_seed(Value(self.0));
            self.0.place.steps.pop();
            if next?.is_none() {
                return Ok(());
            }
        }
        Err(A::Error::custom("an endless list"))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some(name) = members.next_key::<String>()? {
            self.0.place.steps.push(Step::Name(name.clone()));
            self.0.place.is_name = true;
            self.0.text(&name);
            self.0.place.is_name = false;
            let value = members.next_value_seed(Value(self.0));
            self.0.place.steps.pop();
            value?;
        }
        Ok(())
    }
}
