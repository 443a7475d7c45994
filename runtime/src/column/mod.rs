//! Fields as values: one of one event (a cell), and one over many (a column, as
//! in `wit/columns.wit`).

mod cell;
mod row;

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) use cell::Cell;
pub use cell::time_micros;
pub(crate) use row::Row;

/// The type of a field's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// `true` or `false`.
    Boolean,
    /// A JSON number without fraction or exponent in the signed 64-bit range.
    Integer,
    /// Any finite JSON number, as IEEE 754 binary64.
    Float,
    /// A JSON string.
    Text,
    /// An RFC 3339 date-time; microseconds since the Unix epoch.
    Time,
    /// Any JSON value but `null`, as source text.
    Json,
}

impl Kind {
    /// The type with its article, for messages.
    pub fn noun(self) -> &'static str {
        match self {
            Kind::Boolean => "a boolean",
            Kind::Integer => "an integer",
            Kind::Float => "a number",
            Kind::Text => "a string",
            Kind::Time => "an RFC 3339 date-time",
            Kind::Json => "a JSON value",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Boolean => "boolean",
            Kind::Integer => "integer",
            Kind::Float => "float",
            Kind::Text => "text",
            Kind::Time => "time",
            Kind::Json => "json",
        })
    }
}

/// One bit per row, least significant bit first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Bitmap {
    pub bytes: Vec<u8>,
    rows: usize,
}

impl Bitmap {
    fn with_capacity(rows: usize) -> Self {
        Bitmap { bytes: Vec::with_capacity(rows.div_ceil(8)), rows: 0 }
    }

    fn push(&mut self, bit: bool) {
        if self.rows.is_multiple_of(8) {
            self.bytes.push(0);
        }
        if let Some(byte) = self.bytes.last_mut() {
            *byte |= u8::from(bit) << (self.rows % 8);
        }
        self.rows += 1;
    }
}

/// One field over some rows. Rows without a value have zero or the empty text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Column {
    Booleans { present: Bitmap, values: Bitmap },
    Integers { present: Bitmap, values: Vec<i64> },
    Floats { present: Bitmap, values: Vec<f64> },
    Texts { present: Bitmap, offsets: Vec<u32>, text: String },
    Times { present: Bitmap, values: Vec<i64> },
    Json { present: Bitmap, offsets: Vec<u32>, text: String },
}

impl Column {
    /// A column without rows, with room for some.
    pub fn new(kind: Kind, rows: usize) -> Self {
        let present = Bitmap::with_capacity(rows);
        let offsets = || {
            let mut offsets = Vec::with_capacity(rows + 1);
            offsets.push(0);
            offsets
        };
        match kind {
            Kind::Boolean => Column::Booleans { present, values: Bitmap::with_capacity(rows) },
            Kind::Integer => Column::Integers { present, values: Vec::with_capacity(rows) },
            Kind::Float => Column::Floats { present, values: Vec::with_capacity(rows) },
            Kind::Text => Column::Texts { present, offsets: offsets(), text: String::new() },
            Kind::Time => Column::Times { present, values: Vec::with_capacity(rows) },
            Kind::Json => Column::Json { present, offsets: offsets(), text: String::new() },
        }
    }

    /// Adds a row. A cell of another type than the column's counts as absent;
    /// the caller has sorted such rows out.
    pub fn push(&mut self, cell: &Cell<'_>) {
        match self {
            Column::Booleans { present, values } => {
                let value = if let Cell::Boolean(value) = cell { Some(*value) } else { None };
                present.push(value.is_some());
                values.push(value.unwrap_or_default());
            }
            Column::Integers { present, values } => {
                let value = if let Cell::Integer(value) = cell { Some(*value) } else { None };
                present.push(value.is_some());
                values.push(value.unwrap_or_default());
            }
            Column::Floats { present, values } => {
                let value = if let Cell::Float(value) = cell { Some(*value) } else { None };
                present.push(value.is_some());
                values.push(value.unwrap_or_default());
            }
            Column::Times { present, values } => {
                let value = if let Cell::Time(value) = cell { Some(*value) } else { None };
                present.push(value.is_some());
                values.push(value.unwrap_or_default());
            }
            Column::Texts { present, offsets, text } => {
                let value = if let Cell::Text(value) = cell { Some(&**value) } else { None };
                push_text(present, offsets, text, value);
            }
            Column::Json { present, offsets, text } => {
                let value = if let Cell::Json(value) = cell { Some(*value) } else { None };
                push_text(present, offsets, text, value);
            }
        }
    }
}

fn push_text(present: &mut Bitmap, offsets: &mut Vec<u32>, text: &mut String, value: Option<&str>) {
    present.push(value.is_some());
    text.push_str(value.unwrap_or_default());
    // Batches are bounded far below 4 GiB of text (`runtime::Limits`).
    offsets.push(text.len() as u32);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bitmaps_have_the_first_row_in_the_lowest_bit() {
        let mut bits = Bitmap::default();
        for row in 0..10 {
            bits.push(row % 3 == 0);
        }
        assert_eq!(bits.bytes, [0b0100_1001, 0b10]);
    }

    #[test]
    fn absent_rows_have_empty_values() {
        let mut texts = Column::new(Kind::Text, 3);
        for cell in [Cell::Text("ab".into()), Cell::Absent, Cell::Text("c".into())] {
            texts.push(&cell);
        }
        let Column::Texts { present, offsets, text } = texts else { panic!("a text column") };
        assert_eq!((present.bytes, offsets, text.as_str()), (vec![0b101], vec![0, 2, 2, 3], "abc"));
    }
}
