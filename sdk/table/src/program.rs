//! What a file of rules becomes, and what its component carries.
//!
//! Everything in it is checked: names are indices, and every expression has the types
//! that it needs. So whoever judges with it meets values that are missing or do not fit,
//! and nothing else that is wrong.

use serde::{Deserialize, Serialize};

/// Most bytes of a program: the room that a component has for it.
pub const PROGRAM_BYTES_MAX: usize = 64 << 10;

/// What marks the place in the prebuilt component where its program is put.
pub const MARKER: [u8; 16] = *b"ephor:table/slot";

/// A policy, as its file says it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Program {
    /// Lower-case words joined by hyphens.
    pub name: String,
    /// Semantic version of the policy.
    pub version: String,
    /// One sentence.
    pub summary: String,
    /// `CloudEvents` types, with `*` for any run of characters.
    pub events: Vec<String>,
    /// In the order of the manifest.
    pub fields: Vec<Field>,
    /// In the order of the file.
    pub settings: Vec<Setting>,
    /// JSON Schema (draft 2020-12) of the settings, as text.
    pub settings_schema: String,
    /// Names of reference lists.
    pub lists: Vec<String>,
    /// Absent for a policy without windows.
    pub keyed: Option<Keyed>,
    /// What is remembered of each key.
    pub windows: Vec<Window>,
    /// In the order of the manifest.
    pub rules: Vec<Rule>,
}

/// The kinds of values that a field or a setting has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// `true` or `false`.
    Boolean,
    /// A whole number within 64 bits.
    Integer,
    /// A number within binary64.
    Float,
    /// A text.
    Text,
    /// A point in time. Fields only.
    Time,
}

/// The form in which a field is needed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// The value as it is.
    #[default]
    Plain,
    /// A text that stands for the value, equal where values are.
    Pseudonym,
    /// A text of which only the end is readable.
    Mask,
    /// A less exact number or time.
    Coarse,
}

/// A value inside an event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Field {
    /// RFC 6901 JSON Pointer into the event.
    pub pointer: String,
    /// The type of its values.
    pub kind: Kind,
    /// Whether an event without it is unreadable.
    pub required: bool,
    /// Why the policy needs it.
    pub purpose: String,
    /// The most revealing form that the policy needs.
    pub form: Form,
}

/// Something that the publisher decides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Setting {
    /// Its member in the settings.
    pub name: String,
    /// The type of its value, or of each value if it is a list.
    pub kind: Kind,
    /// Whether it is a list.
    pub is_list: bool,
    /// What it is where the settings do not say.
    pub default: Option<Expr>,
    /// What has to hold for its value, which is variable 0; and what to say if it does not.
    pub must: Option<(Expr, String)>,
}

/// What windows are kept by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Keyed {
    /// Indices into the fields.
    pub key: Vec<u16>,
    /// Version of the encoding of a state.
    pub state_version: u32,
    /// Whether a release may begin without states that it cannot take over.
    pub resets: bool,
}

/// What events of a key are counted over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Window {
    /// For people who read why something is not known.
    pub name: String,
    /// Index of the field with the time of an event.
    pub at: u16,
    /// How long it is, in microseconds; positive.
    pub over: i64,
    /// Whether it moves with the event, or lies on the clock: by the hour, by the day.
    pub slides: bool,
    /// Which events count; absent: all.
    pub when: Option<Expr>,
    /// What is made of them.
    pub measure: Measure,
    /// Most events (of a sum or count), or different values, that are kept.
    pub most: u32,
}

/// What a window makes of its events.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Measure {
    /// How many there are.
    Count,
    /// The sum of this integer.
    Sum(Expr),
    /// How many different values this text has.
    Distinct(Expr),
}

/// What a finding asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Let through, marked for attention.
    Flag,
    /// Should not have effect.
    Deny,
}

/// How grave a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names are all there is to say")]
pub enum Severity {
    Low,
    Medium,
    High,
    Critical,
}

/// One clause.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// Unique within the policy.
    pub id: String,
    /// What a finding asks for.
    pub action: Action,
    /// How grave a finding is.
    pub severity: Severity,
    /// The clause of law that it carries out.
    pub legal_basis: String,
    /// Language and text, the default first.
    pub messages: Vec<(String, String)>,
    /// A list; the rule is asked for each of its values, which is variable 0. Absent: once.
    pub for_each: Option<Expr>,
    /// Whether there is a finding; absent: always.
    pub when: Option<Expr>,
    /// What a finding rests on, by name.
    pub evidence: Vec<(String, Expr)>,
}

/// An expression whose types are right.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Expr {
    /// `true`, `false`
    Boolean(bool),
    /// `42`
    Integer(i64),
    /// `4.2`
    Float(f64),
    /// `"text"`
    Text(String),
    /// Microseconds since 1970-01-01T00:00:00Z.
    Time(i64),
    /// Microseconds.
    Duration(i64),
    /// `[a, b]`
    List(Vec<Expr>),
    /// What was computed when the policy was configured; never in a file's program.
    Constant(u16),
    /// `event.x`
    Field(u16),
    /// `has(event.x)`
    Has(u16),
    /// `settings.x`
    Setting(u16),
    /// `windows.x`
    Window(u16),
    /// A variable of a loop, or the `value` of a setting: the first is 0.
    Variable(u16),
    /// `!a`
    Not(Box<Expr>),
    /// `-a`
    Negative(Box<Expr>),
    /// `a && b`
    And(Box<Expr>, Box<Expr>),
    /// `a || b`
    Or(Box<Expr>, Box<Expr>),
    /// `a ? b : c`
    If(Box<Expr>, Box<Expr>, Box<Expr>),
    /// `a + b` and the like
    Binary(Operator, Box<Expr>, Box<Expr>),
    /// `f(a, b)`, `a.f(b)`
    Call(Call, Vec<Expr>),
    /// `lists.x.contains(key)`
    ListContains(u16, Box<Expr>),
    /// `lists.x.get(key)`
    ListGet(u16, Box<Expr>),
    /// `list.all(x, …)` and the like: the list, and what is asked of each value.
    Loop(Loop, Box<Expr>, Box<Expr>),
}

/// What stands between two expressions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are all there is to say")]
pub enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
}

/// What goes through a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are those of the language")]
pub enum Loop {
    All,
    Exists,
    ExistsOne,
    Filter,
    Map,
}

/// A function. What each does, and how it is written, is in [`crate::functions`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the functions are described where they are declared")]
pub enum Call {
    Characters,
    Length,
    Contains,
    StartsWith,
    EndsWith,
    LowerAscii,
    UpperAscii,
    Lower,
    Upper,
    Trim,
    Words,
    HasWord,
    ListedWords,
    ListedWholeWords,
    Distinct,
    ToInteger,
    ToFloat,
    ToText,
    MinorUnits,
    FullYear,
    Month,
    DayOfMonth,
    Date,
    DayOfWeek,
    DayOfYear,
    Hours,
    Minutes,
    Seconds,
    Milliseconds,
    DurationHours,
    DurationMinutes,
    DurationSeconds,
    DurationMilliseconds,
}

/// The program could not be written or read.
#[derive(Debug)]
pub struct Unreadable(postcard::Error);

impl std::fmt::Display for Unreadable {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "the bytes are not the rules of a policy: {}", self.0)
    }
}

impl std::error::Error for Unreadable {}

impl Program {
    /// The bytes that a component carries.
    ///
    /// # Errors
    ///
    /// None that a program of a file can have.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Unreadable> {
        postcard::to_extend(self, Vec::new()).map_err(Unreadable)
    }

    /// Reads what [`Self::to_bytes`] wrote.
    ///
    /// # Errors
    ///
    /// If the bytes are something else, or there are more.
    pub fn of_bytes(bytes: &[u8]) -> Result<Self, Unreadable> {
        match postcard::take_from_bytes(bytes).map_err(Unreadable)? {
            (program, []) => Ok(program),
            _ => Err(Unreadable(postcard::Error::SerdeDeCustom)),
        }
    }
}

impl Window {
    /// Tells the state of this window from those of others, whatever is asked of it.
    #[must_use]
    pub fn shape(&self) -> [u8; 2] {
        let measure = match &self.measure {
            Measure::Count => 0,
            Measure::Sum(_) => 1,
            Measure::Distinct(_) => 2,
        };
        [measure, u8::from(self.slides)]
    }
}
