//! What a policy sees of an event: typed fields over the columns of a batch.

use std::fmt;

use crate::settings;
use crate::time::Time;
use crate::wit::ephor::policy::columns as wit;

pub use crate::wit::ephor::policy::{
    columns::Column,
    manifest::{Form, Kind},
};
pub use ephor_sdk_macros::{FieldEnum, Fields};

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
    /// If the batch has no such row, or a field is [unknown](Self::unknown).
    fn row(columns: &Self::Columns, row: usize) -> Self;
    /// Says where and what it is, if a field of an enum has a text that none of its
    /// variants stands for. The row is then undecided.
    ///
    /// # Panics
    ///
    /// If the batch has no such row.
    fn unknown(columns: &Self::Columns, row: usize) -> Option<String>;
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
pub const fn form(form: Form, kind: Kind, is_enum: bool) -> Form {
    match form {
        Form::Pseudonym | Form::Mask if is_enum => panic!("a variant stands for the plain text: a field of an enum must be plain"),
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
    /// ```
    /// use ephor_sdk::prelude::*;
    /// use ephor_sdk::serde::Deserialize;
    ///
    /// #[derive(Deserialize)]
    /// struct Item<'a> {
    ///     sku: &'a str,
    ///     quantity: u32,
    /// }
    ///
    /// let items: Vec<Item<'_>> = Json(r#"[{"sku": "A1", "quantity": 2}]"#).parse().unwrap();
    /// assert_eq!((items[0].sku, items[0].quantity), ("A1", 2));
    ///
    /// let error = Json(r#"[{"sku": "A1", "quantity": -2}]"#).parse::<Vec<Item<'_>>>().err().unwrap();
    /// assert_eq!(error.pointer, "/0/quantity");
    /// ```
    ///
    /// # Errors
    ///
    /// If the value is not what the type wants, with the place in it. A rule that
    /// cannot do without it should then say [`Out::undecided`](crate::Out::undecided).
    pub fn parse<T: serde::Deserialize<'batch>>(self) -> Result<T, JsonError> {
        settings::read_json(self.0).map_err(|(pointer, message)| JsonError { pointer, message })
    }
}

/// A JSON value is not what a type wants.
///
/// The message may have the value in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonError {
    /// Where in the value: an RFC 6901 JSON Pointer, empty for the whole of it.
    pub pointer: String,
    /// What is wrong there.
    pub message: String,
}

impl fmt::Display for JsonError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pointer, message } = self;
        if pointer.is_empty() { out.write_str(message) } else { write!(out, "{pointer}: {message}") }
    }
}

impl std::error::Error for JsonError {}

/// An enum over the texts that a field can be. Derive it:
///
/// ```
/// use ephor_sdk::prelude::*;
///
/// #[derive(FieldEnum, Clone, Copy, PartialEq)]
/// enum State {
///     #[value("available")]
///     Available,
///     #[value("on_trip")]
///     OnTrip,
/// }
///
/// #[derive(Fields)]
/// struct Vehicle {
///     #[field("/data/state", purpose = "tell riding from standing")]
///     state: State,
/// }
///
/// assert_eq!(State::of("on_trip").map(State::as_str), Some("on_trip"));
/// assert_eq!(State::VALUES, ["available", "on_trip"]);
/// ```
///
/// To the host the field is a text. An event whose text no variant stands for is
/// undecided, and the reason names the place, the text and the texts that are known;
/// so it is for an `Option`, because a rule must not take what it does not know for
/// what is missing. A variant with `#[other]` stands for all other texts.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say which texts it stands for",
    note = "add `#[derive(FieldEnum, Clone, Copy)]` to it"
)]
pub trait FieldEnum: Copy + 'static {
    /// The texts, in the order of their variants, without that of `#[other]`.
    const VALUES: &'static [&'static str];
    /// The variant that stands for a text.
    fn of(text: &str) -> Option<Self>;
    /// The text; for the variant with `#[other]`, `other`.
    fn as_str(self) -> &'static str;
}

#[doc(hidden)]
#[inline]
#[must_use]
pub fn enum_at<E: FieldEnum>(values: &Texts<'_>, row: usize) -> E {
    E::of(values.at(row)).expect("rows with unknown texts are undecided")
}

/// Characters of an unknown text that a reason shows.
const SHOWN_MAX: usize = 40;

#[doc(hidden)]
#[must_use]
pub fn unknown_enum<E: FieldEnum>(values: &Texts<'_>, row: usize) -> Option<String> {
    let text = values.at(row);
    if E::of(text).is_some() {
        return None;
    }
    let shown: String = text.chars().take(SHOWN_MAX).collect();
    Some(format!("expected {}, found {shown:?}", E::VALUES.join(", ")))
}

/// A type that a field can have: a [`Scalar`], which makes the field required,
/// or an `Option` of one, which makes it optional.
#[diagnostic::on_unimplemented(
    message = "a field cannot be a `{Self}`",
    note = "a field is a `bool`, `i64`, `f64`, `&str`, `Time`, `Json`, an enum with `#[derive(FieldEnum)]`, or an `Option` of one of them; take the one of these that holds its values (any whole number is an `i64`), and convert it where it is used"
)]
pub trait Value<'batch>: Sized {
    /// The kind that the manifest declares.
    const KIND: Kind;
    /// Whether the manifest declares the field as required.
    const REQUIRED: bool;
    /// Whether it is an enum over texts.
    const IS_ENUM: bool;
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
    /// What is in the row, if the type does not know it; see [`Fields::unknown`].
    fn unknown(column: &Self::Column, row: usize) -> Option<String>;
}

/// A type of JSON values, one for each [`Kind`], and every [`FieldEnum`].
pub trait Scalar<'batch>: Sized {
    /// The kind that the manifest declares.
    const KIND: Kind;
    /// Whether it is an enum over texts.
    const IS_ENUM: bool = false;
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
    /// What is in the row, if the type does not know it; see [`Fields::unknown`].
    #[inline]
    fn unknown(values: &Self::Values, row: usize) -> Option<String> {
        let _ = (values, row);
        None
    }
}

impl<'batch, T: Scalar<'batch>> Value<'batch> for T {
    const KIND: Kind = T::KIND;
    const REQUIRED: bool = true;
    const IS_ENUM: bool = T::IS_ENUM;
    type Column = T::Values;

    fn column(columns: &'batch [Column], index: usize) -> T::Values {
        values::<T>(columns, index).1
    }

    #[inline]
    fn at(column: &T::Values, row: usize) -> Self {
        T::at(column, row)
    }

    #[inline]
    fn unknown(column: &T::Values, row: usize) -> Option<String> {
        T::unknown(column, row)
    }
}

impl<'batch, T: Scalar<'batch>> Value<'batch> for Option<T> {
    const KIND: Kind = T::KIND;
    const REQUIRED: bool = false;
    const IS_ENUM: bool = T::IS_ENUM;
    type Column = (&'batch [u8], T::Values);

    fn column(columns: &'batch [Column], index: usize) -> Self::Column {
        values::<T>(columns, index)
    }

    #[inline]
    fn at((present, values): &Self::Column, row: usize) -> Self {
        bit(present, row).then(|| T::at(values, row))
    }

    #[inline]
    fn unknown((present, values): &Self::Column, row: usize) -> Option<String> {
        if T::IS_ENUM && bit(present, row) { T::unknown(values, row) } else { None }
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
