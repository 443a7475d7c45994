//! The functions that expressions can call: what is allowed is what stands here.

use crate::program::Call;

/// The type of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    /// `true` or `false`.
    Boolean,
    /// A whole number within 64 bits.
    Integer,
    /// A number within binary64.
    Float,
    /// A text.
    Text,
    /// A point in time.
    Time,
    /// The span between two points in time.
    Duration,
    /// Values of one type.
    List(Box<Type>),
    /// What the empty list has: fits every type.
    Any,
}

impl std::fmt::Display for Type {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            Self::Boolean => "boolean",
            Self::Integer => "integer",
            Self::Float => "float",
            Self::Text => "text",
            Self::Time => "time",
            Self::Duration => "duration",
            Self::List(of) if **of == Self::Any => "list",
            Self::List(of) => return write!(out, "list of {of}"),
            Self::Any => "value",
        })
    }
}

impl Type {
    /// Whether a value of this type can stand where `wanted` is.
    #[must_use]
    pub fn fits(&self, wanted: &Self) -> bool {
        match (self, wanted) {
            (Self::Any, _) | (_, Self::Any) => true,
            (Self::List(own), Self::List(wanted)) => own.fits(wanted),
            _ => self == wanted,
        }
    }
}

/// One way to call a function.
#[derive(Debug)]
pub struct Function {
    /// As it is written.
    pub name: &'static str,
    /// Whether the first of `takes` stands before the name: `text.size()`.
    pub is_member: bool,
    /// The types of the values that it is given.
    pub takes: &'static [Takes],
    /// The type of what it gives.
    pub gives: Takes,
    /// What does it.
    pub call: Call,
    /// Whether it is of CEL, with the meaning that it has there; the others are Ephor's.
    pub is_cel: bool,
}

/// Types that functions take and give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the types")]
pub enum Takes {
    Integer,
    Boolean,
    Float,
    Text,
    Time,
    Duration,
    Texts,
    List,
    /// A text such as `"+08:00"`, written down where it is used; may be left out.
    Offset,
}

impl Takes {
    /// The type.
    #[must_use]
    pub fn of(self) -> Type {
        match self {
            Self::Integer => Type::Integer,
            Self::Boolean => Type::Boolean,
            Self::Float => Type::Float,
            Self::Text | Self::Offset => Type::Text,
            Self::Time => Type::Time,
            Self::Duration => Type::Duration,
            Self::Texts => Type::List(Box::new(Type::Text)),
            Self::List => Type::List(Box::new(Type::Any)),
        }
    }
}

/// A function that stands before its values: `size(text)`.
const fn global(name: &'static str, takes: &'static [Takes], gives: Takes, call: Call) -> Function {
    Function { name, is_member: false, takes, gives, call, is_cel: true }
}

/// A function that stands behind its first value: `text.size()`.
const fn member(name: &'static str, takes: &'static [Takes], gives: Takes, call: Call) -> Function {
    Function { name, is_member: true, takes, gives, call, is_cel: true }
}

/// One that CEL does not have.
const fn own(name: &'static str, takes: &'static [Takes], gives: Takes, call: Call) -> Function {
    Function { name, is_member: true, takes, gives, call, is_cel: false }
}

use Takes::{Boolean, Duration, Float, Integer, List, Offset, Text, Texts, Time};

/// All functions. Some have one name, and take different types.
pub const FUNCTIONS: &[Function] = &[
    global("size", &[Text], Integer, Call::Characters),
    global("size", &[List], Integer, Call::Length),
    member("size", &[Text], Integer, Call::Characters),
    member("size", &[List], Integer, Call::Length),
    member("contains", &[Text, Text], Boolean, Call::Contains),
    member("startsWith", &[Text, Text], Boolean, Call::StartsWith),
    member("endsWith", &[Text, Text], Boolean, Call::EndsWith),
    member("lowerAscii", &[Text], Text, Call::LowerAscii),
    member("upperAscii", &[Text], Text, Call::UpperAscii),
    member("trim", &[Text], Text, Call::Trim),
    member("distinct", &[List], List, Call::Distinct),
    global("int", &[Float], Integer, Call::ToInteger),
    global("int", &[Text], Integer, Call::ToInteger),
    global("double", &[Integer], Float, Call::ToFloat),
    global("double", &[Text], Float, Call::ToFloat),
    global("string", &[Integer], Text, Call::ToText),
    global("string", &[Float], Text, Call::ToText),
    global("string", &[Boolean], Text, Call::ToText),
    global("string", &[Time], Text, Call::ToText),
    global("string", &[Duration], Text, Call::ToText),
    member("getFullYear", &[Time, Offset], Integer, Call::FullYear),
    member("getMonth", &[Time, Offset], Integer, Call::Month),
    member("getDate", &[Time, Offset], Integer, Call::Date),
    member("getDayOfMonth", &[Time, Offset], Integer, Call::DayOfMonth),
    member("getDayOfWeek", &[Time, Offset], Integer, Call::DayOfWeek),
    member("getDayOfYear", &[Time, Offset], Integer, Call::DayOfYear),
    member("getHours", &[Time, Offset], Integer, Call::Hours),
    member("getMinutes", &[Time, Offset], Integer, Call::Minutes),
    member("getSeconds", &[Time, Offset], Integer, Call::Seconds),
    member("getMilliseconds", &[Time, Offset], Integer, Call::Milliseconds),
    member("getHours", &[Duration], Integer, Call::DurationHours),
    member("getMinutes", &[Duration], Integer, Call::DurationMinutes),
    member("getSeconds", &[Duration], Integer, Call::DurationSeconds),
    member("getMilliseconds", &[Duration], Integer, Call::DurationMilliseconds),
    own("lower", &[Text], Text, Call::Lower),
    own("upper", &[Text], Text, Call::Upper),
    own("words", &[Text], Texts, Call::Words),
    own("hasWord", &[Text, Text], Boolean, Call::HasWord),
    own("listedWords", &[Text, Texts], Texts, Call::ListedWords),
    own("listedWholeWords", &[Text, Texts], Texts, Call::ListedWholeWords),
    own("minorUnits", &[Float, Integer], Integer, Call::MinorUnits),
];

/// What is written like a function and has rules of its own.
pub const SPECIAL: &[&str] = &["has", "all", "exists", "exists_one", "filter", "map", "timestamp", "duration", "contains", "get"];
