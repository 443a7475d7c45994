//! What a policy sees of an event: typed fields over the columns of a batch.

use crate::time::Time;
use crate::wit::ephor::policy::columns as wit;

pub use crate::wit::ephor::policy::{
    columns::Column,
    manifest::{Form, Kind},
};
pub use ephor_sdk_macros::Fields;

/// One row of a batch as a struct. Derive it: `#[derive(Fields)]`.
///
/// `'batch` is the life of the batch that texts are borrowed from.
#[diagnostic::on_unimplemented(message = "`{Self}` does not say what it sees of an event", note = "add `#[derive(Fields)]` to it")]
pub trait Fields<'batch>: Sized {
    /// What the manifest declares, in the order of the columns.
    const FIELDS: &'static [FieldDeclaration];
    /// The columns of a batch, one for each field.
    type Columns;
    /// Finds the columns of a batch.
    ///
    /// # Panics
    ///
    /// If a column is missing or not of the declared kind, which the host rules out.
    fn columns(columns: &'batch [Column]) -> Self::Columns;
    /// Reads one row.
    ///
    /// # Panics
    ///
    /// If the batch has no such row.
    fn row(columns: &Self::Columns, row: usize) -> Self;
}

/// One entry of `manifest.fields`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldDeclaration {
    /// RFC 6901 JSON Pointer into the event.
    pub pointer: &'static str,
    /// The type of its values.
    pub kind: Kind,
    /// Whether a row without it is given to the policy.
    pub required: bool,
    /// Why the policy needs to see it.
    pub purpose: &'static str,
    /// The most revealing form that it needs.
    pub form: Form,
}

/// The form of a field, at compile time.
///
/// # Panics
///
/// If a field of this kind cannot have it.
#[doc(hidden)]
#[must_use]
pub const fn form(form: Form, kind: Kind) -> Form {
    match form {
        Form::Plain => {}
        Form::Pseudonym => assert!(matches!(kind, Kind::Text), "a pseudonym is a text: the field must be a `&str`"),
        Form::Mask => assert!(matches!(kind, Kind::Text), "a masked value is a text: the field must be a `&str`"),
        Form::Coarse => {
            assert!(matches!(kind, Kind::Integer | Kind::Float | Kind::Time), "a coarse field must be an `i64`, an `f64` or a `Time`");
        }
    }
    form
}

/// The source text of a JSON value, for fields that have no simpler kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Json<'batch>(pub &'batch str);

impl<'batch> Json<'batch> {
    /// Reads the value into a type.
    ///
    /// # Errors
    ///
    /// If the value is not what the type wants. A rule that cannot do without
    /// it should then say [`Out::undecided`](crate::Out::undecided).
    pub fn parse<T: serde::Deserialize<'batch>>(self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.0)
    }
}

/// A type that a field can have: a [`Scalar`], which makes the field required,
/// or an `Option` of one, which makes it optional.
#[diagnostic::on_unimplemented(
    message = "a field cannot be a `{Self}`",
    note = "a field is a `bool`, `i64`, `f64`, `&str`, `Time` or `Json`, or an `Option` of one of them; take the one of these that holds its values (any whole number is an `i64`), and convert it where it is used"
)]
pub trait Value<'batch>: Sized {
    /// The kind that the manifest declares.
    const KIND: Kind;
    /// Whether the manifest declares the field as required.
    const REQUIRED: bool;
    /// Its column.
    type Column;
    /// Finds the column with this index.
    ///
    /// # Panics
    ///
    /// As [`Fields::columns`].
    fn column(columns: &'batch [Column], index: usize) -> Self::Column;
    /// Reads one row.
    ///
    /// # Panics
    ///
    /// If the batch has no such row.
    fn at(column: &Self::Column, row: usize) -> Self;
}

/// A type of JSON values, one for each [`Kind`].
pub trait Scalar<'batch>: Sized {
    /// The kind that the manifest declares.
    const KIND: Kind;
    /// The values of a column.
    type Values;
    /// The bitmap of present rows and the values, if the column is of this kind.
    fn values(column: &'batch Column) -> Option<(&'batch [u8], Self::Values)>;
    /// Reads one row.
    ///
    /// # Panics
    ///
    /// If the batch has no such row.
    fn at(values: &Self::Values, row: usize) -> Self;
}

impl<'batch, T: Scalar<'batch>> Value<'batch> for T {
    const KIND: Kind = T::KIND;
    const REQUIRED: bool = true;
    type Column = T::Values;

    fn column(columns: &'batch [Column], index: usize) -> T::Values {
        values::<T>(columns, index).1
    }

    #[inline]
    fn at(column: &T::Values, row: usize) -> Self {
        T::at(column, row)
    }
}

impl<'batch, T: Scalar<'batch>> Value<'batch> for Option<T> {
    const KIND: Kind = T::KIND;
    const REQUIRED: bool = false;
    type Column = (&'batch [u8], T::Values);

    fn column(columns: &'batch [Column], index: usize) -> Self::Column {
        values::<T>(columns, index)
    }

    #[inline]
    fn at((present, values): &Self::Column, row: usize) -> Self {
        bit(present, row).then(|| T::at(values, row))
    }
}

fn values<'batch, T: Scalar<'batch>>(columns: &'batch [Column], index: usize) -> (&'batch [u8], T::Values) {
    let Some(values) = columns.get(index).and_then(T::values) else {
        panic!("column {index} of the batch is missing or not of the declared kind");
    };
    values
}

/// A row of a bitmap: least significant bit first.
#[inline]
pub(crate) fn bit(bitmap: &[u8], row: usize) -> bool {
    bitmap[row / 8] >> (row % 8) & 1 == 1
}

/// The texts of a column.
#[derive(Clone, Copy, Debug)]
pub struct Texts<'batch> {
    offsets: &'batch [u32],
    text: &'batch str,
}

impl<'batch> Texts<'batch> {
    pub(crate) fn of(texts: &'batch wit::Texts) -> Self {
        Self { offsets: &texts.offsets, text: &texts.text }
    }

    #[inline]
    pub(crate) fn at(&self, row: usize) -> &'batch str {
        &self.text[self.offsets[row] as usize..self.offsets[row + 1] as usize]
    }
}

impl<'batch> Scalar<'batch> for bool {
    const KIND: Kind = Kind::Boolean;
    type Values = &'batch [u8];

    fn values(column: &'batch Column) -> Option<(&'batch [u8], Self::Values)> {
        match column {
            Column::Booleans(it) => Some((&it.present, &it.values)),
            _ => None,
        }
    }

    #[inline]
    fn at(values: &Self::Values, row: usize) -> Self {
        bit(values, row)
    }
}

impl<'batch> Scalar<'batch> for i64 {
    const KIND: Kind = Kind::Integer;
    type Values = &'batch [i64];

    fn values(column: &'batch Column) -> Option<(&'batch [u8], Self::Values)> {
        match column {
            Column::Integers(it) => Some((&it.present, &it.values)),
            _ => None,
        }
    }

    #[inline]
    fn at(values: &Self::Values, row: usize) -> Self {
        values[row]
    }
}

impl<'batch> Scalar<'batch> for f64 {
    const KIND: Kind = Kind::Float;
    type Values = &'batch [f64];

    fn values(column: &'batch Column) -> Option<(&'batch [u8], Self::Values)> {
        match column {
            Column::Floats(it) => Some((&it.present, &it.values)),
            _ => None,
        }
    }

    #[inline]
    fn at(values: &Self::Values, row: usize) -> Self {
        values[row]
    }
}

impl<'batch> Scalar<'batch> for Time {
    const KIND: Kind = Kind::Time;
    type Values = &'batch [i64];

    fn values(column: &'batch Column) -> Option<(&'batch [u8], Self::Values)> {
        match column {
            Column::Times(it) => Some((&it.present, &it.values)),
            _ => None,
        }
    }

    #[inline]
    fn at(values: &Self::Values, row: usize) -> Self {
        Self(values[row])
    }
}

impl<'batch> Scalar<'batch> for &'batch str {
    const KIND: Kind = Kind::Text;
    type Values = Texts<'batch>;

    fn values(column: &'batch Column) -> Option<(&'batch [u8], Self::Values)> {
        match column {
            Column::Texts(it) => Some((&it.present, Texts::of(it))),
            _ => None,
        }
    }

    #[inline]
    fn at(values: &Self::Values, row: usize) -> Self {
        values.at(row)
    }
}

impl<'batch> Scalar<'batch> for Json<'batch> {
    const KIND: Kind = Kind::Json;
    type Values = Texts<'batch>;

    fn values(column: &'batch Column) -> Option<(&'batch [u8], Self::Values)> {
        match column {
            Column::Json(it) => Some((&it.present, Texts::of(it))),
            _ => None,
        }
    }

    #[inline]
    fn at(values: &Self::Values, row: usize) -> Self {
        Json(values.at(row))
    }
}
