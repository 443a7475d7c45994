//! The columns of a batch.

use std::borrow::Cow;

use ephor_sdk::fields::{Scalar as _, Texts};
use ephor_sdk::time::Time;
use ephor_sdk::wit::ephor::policy::columns::Column;

use crate::value::Value;

enum Of<'a> {
    Booleans(&'a [u8]),
    Integers(&'a [i64]),
    Floats(&'a [f64]),
    Texts(Texts<'a>),
    Times(&'a [i64]),
}

/// All columns, in the order of the fields.
pub struct Columns<'a>(Vec<(&'a [u8], Of<'a>)>);

impl<'a> Columns<'a> {
    /// # Panics
    ///
    /// If a column holds JSON, which no file of rules asks for.
    pub fn of(columns: &'a [Column]) -> Self {
        let of = |column: &'a Column| {
            let booleans = bool::values(column).map(|(present, values)| (present, Of::Booleans(values)));
            let integers = || i64::values(column).map(|(present, values)| (present, Of::Integers(values)));
            let floats = || f64::values(column).map(|(present, values)| (present, Of::Floats(values)));
            let times = || Time::values(column).map(|(present, values)| (present, Of::Times(values)));
            let texts = || <&str>::values(column).map(|(present, values)| (present, Of::Texts(values)));
            let found = booleans.or_else(integers).or_else(floats).or_else(times).or_else(texts);
            found.expect("a column is of the kind that its field declares")
        };
        Self(columns.iter().map(of).collect())
    }

    /// The value of a field in a row, if it is there.
    pub fn at(&self, field: u16, row: usize) -> Option<Value<'a>> {
        let (present, values) = &self.0[usize::from(field)];
        let is_there = present[row / 8] >> (row % 8) & 1 == 1;
        is_there.then(|| match values {
            Of::Booleans(values) => Value::Boolean(bool::at(values, row)),
            Of::Integers(values) => Value::Integer(values[row]),
            Of::Floats(values) => Value::Float(values[row]),
            Of::Times(values) => Value::Time(values[row]),
            Of::Texts(values) => Value::Text(Cow::Borrowed(<&str>::at(values, row))),
        })
    }
}
