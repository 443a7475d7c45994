//! Expressions, row by row.
//!
//! As in CEL, what cannot be computed is an error that `&&`, `||`, `all` and `exists`
//! pass over where the other side decides. What is left of it makes a row undecided.

use std::borrow::Cow;
use std::cmp::Ordering;

use ephor_sdk::reference::List;
use ephor_sdk::state::minor_units;
use ephor_sdk::text::words;
use ephor_table::program::{Call, Expr, Loop, Operator, Program};

use crate::calendar::Moment;
use crate::columns::Columns;
use crate::value::Value;
use crate::words::Words;

/// Why an expression has no value.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// The event does not have this field.
    Missing(u16),
    /// The list has no such key.
    Absent(u16),
    /// The window is not known well enough.
    Unknown(u16),
    /// The event is too late for the window.
    Late(u16),
    /// A number went beyond its type, and the like.
    Number(&'static str),
}

impl Fault {
    /// For the operator. Never with a value of the event.
    pub fn reason(&self, program: &Program) -> String {
        match self {
            Self::Missing(field) => format!("{} is not there", program.fields[usize::from(*field)].pointer),
            Self::Absent(list) => format!("the list {} does not have the key", program.lists[usize::from(*list)]),
            Self::Unknown(window) => {
                let window = &program.windows[usize::from(*window)];
                format!("the window {} had more than the {} that it keeps, or was not seen as a whole", window.name, window.most)
            }
            Self::Late(window) => format!("the event is too late for the window {}", program.windows[usize::from(*window)].name),
            Self::Number(what) => (*what).to_owned(),
        }
    }
}

const TOO_LARGE: Fault = Fault::Number("a number does not fit into 64 bits");
const NOT_FINITE: Fault = Fault::Number("a number is beyond what a float can be");
const BY_ZERO: Fault = Fault::Number("a number is divided by zero");
const NOT_A_NUMBER: Fault = Fault::Number("a text is no number");
const NO_MINOR_UNITS: Fault = Fault::Number("an amount has more decimal places than its currency");
const NOT_CONSTANT: Fault = Fault::Number("there is no event to look at");

type Given<'a> = Result<Value<'a>, Fault>;

/// What expressions are about.
pub struct Scope<'a> {
    /// By index, as all settings have values.
    pub settings: &'a [Value<'static>],
    /// What expressions were folded to.
    pub constants: &'a [Value<'static>],
    /// What texts are searched for, where it is known beforehand: by the expression that
    /// gives it, and whether it stands apart in all scripts.
    pub words: &'a [(Expr, bool, Words)],
    /// Absent where there is no event.
    pub row: Option<(&'a Columns<'a>, usize)>,
    /// The windows as they are with this row.
    pub windows: &'a [Given<'a>],
}

impl<'a> Scope<'a> {
    /// The value of an expression.
    pub fn eval(&self, expr: &'a Expr, variables: &mut Vec<Value<'a>>) -> Given<'a> {
        Ok(match expr {
            Expr::Boolean(value) => Value::Boolean(*value),
            Expr::Integer(value) => Value::Integer(*value),
            Expr::Float(value) => Value::Float(*value),
            Expr::Text(value) => Value::Text(Cow::Borrowed(value)),
            Expr::Time(value) => Value::Time(*value),
            Expr::Duration(value) => Value::Duration(*value),
            Expr::List(items) => Value::list(items.iter().map(|item| self.known(self.eval(item, variables)?)).collect::<Result<_, _>>()?),
            Expr::Constant(index) => self.constants[usize::from(*index)].borrowed(),
            Expr::Setting(index) => self.settings[usize::from(*index)].borrowed(),
            Expr::Variable(index) => variables[usize::from(*index)].clone(),
            Expr::Field(index) => {
                let (columns, row) = self.row.ok_or(NOT_CONSTANT)?;
                columns.at(*index, row).ok_or(Fault::Missing(*index))?
            }
            Expr::Has(index) => {
                let (columns, row) = self.row.ok_or(NOT_CONSTANT)?;
                Value::Boolean(columns.at(*index, row).is_some())
            }
            Expr::Window(index) => self.windows.get(usize::from(*index)).ok_or(NOT_CONSTANT)?.clone()?,
            Expr::Not(operand) => Value::Boolean(!self.condition(operand, variables)?),
            Expr::Negative(operand) => negative(&self.known(self.eval(operand, variables)?)?)?,
            Expr::And(one, other) => self.decided(one, other, false, variables)?,
            Expr::Or(one, other) => self.decided(one, other, true, variables)?,
            Expr::If(condition, then, otherwise) => match self.condition(condition, variables)? {
                true => self.eval(then, variables)?,
                false => self.eval(otherwise, variables)?,
            },
            Expr::Binary(operator, one, other) => {
                let (one, other) = (self.eval(one, variables)?, self.eval(other, variables)?);
                binary(*operator, one, &other).map_err(|fault| self.named(fault, expr))?
            }
            Expr::Call(call, arguments) => self.call(*call, arguments, variables)?,
            Expr::ListContains(list, key) => {
                let key = self.eval(key, variables)?;
                self.row.ok_or(NOT_CONSTANT)?;
                Value::Boolean(List::nth(*list).contains(&key.text()))
            }
            Expr::ListGet(list, key) => {
                let key = self.eval(key, variables)?;
                self.row.ok_or(NOT_CONSTANT)?;
                Value::Text(Cow::Owned(List::nth(*list).get(&key.text()).ok_or(Fault::Absent(*list))?))
            }
            Expr::Loop(kind, list, body) => self.go_through(*kind, list, body, variables)?,
        })
    }

    /// Whether a condition holds.
    pub fn condition(&self, expr: &'a Expr, variables: &mut Vec<Value<'a>>) -> Result<bool, Fault> {
        Ok(matches!(self.eval(expr, variables)?, Value::Boolean(true)))
    }

    /// Which window a fault of a comparison is about.
    fn named(&self, fault: Fault, expr: &Expr) -> Fault {
        match (fault, expr) {
            (Fault::Unknown(_), Expr::Binary(_, one, other)) => {
                let window = |expr: &Expr| if let Expr::Window(index) = expr { Some(*index) } else { None };
                Fault::Unknown(window(one).or_else(|| window(other)).unwrap_or_else(|| self.first_unknown()))
            }
            (fault, _) => fault,
        }
    }

    /// A value that is exact. What is only known not to be below something can be compared;
    /// in a list, a search for a number would not find it, as if it were another one.
    fn known(&self, value: Value<'a>) -> Given<'a> {
        match value {
            Value::AtLeast(_) => Err(Fault::Unknown(self.first_unknown())),
            value => Ok(value),
        }
    }

    fn first_unknown(&self) -> u16 {
        self.windows.iter().position(|window| matches!(window, Ok(Value::AtLeast(_)))).unwrap_or_default() as u16
    }

    /// `&&` and `||`: the side that is `decides` decides, whatever the other is.
    fn decided(&self, one: &'a Expr, other: &'a Expr, decides: bool, variables: &mut Vec<Value<'a>>) -> Given<'a> {
        let one = self.condition(one, variables);
        if one == Ok(decides) {
            return Ok(Value::Boolean(decides));
        }
        let other = self.condition(other, variables);
        if other == Ok(decides) {
            return Ok(Value::Boolean(decides));
        }
        one?;
        other.map(Value::Boolean)
    }

    fn go_through(&self, kind: Loop, list: &'a Expr, body: &'a Expr, variables: &mut Vec<Value<'a>>) -> Given<'a> {
        let Value::List(list) = self.eval(list, variables)? else { return Err(NOT_CONSTANT) };
        let mut asked = |value: &Value<'a>| {
            variables.push(value.clone());
            let given = self.eval(body, variables);
            variables.pop();
            given
        };
        let is_true = |given: &Given<'_>| matches!(given, Ok(Value::Boolean(true)));
        let is_false = |given: &Given<'_>| matches!(given, Ok(Value::Boolean(false)));
        match kind {
            Loop::All | Loop::Exists => {
                let decides = if kind == Loop::All { is_false } else { is_true };
                let mut fault = None;
                for value in list.iter() {
                    let given = asked(value);
                    if decides(&given) {
                        return given;
                    }
                    fault = fault.or(given.err());
                }
                fault.map_or(Ok(Value::Boolean(kind == Loop::All)), Err)
            }
            Loop::ExistsOne => {
                let mut count = 0;
                for value in list.iter() {
                    count += u32::from(is_true(&Ok(asked(value)?)));
                }
                Ok(Value::Boolean(count == 1))
            }
            Loop::Filter => {
                let mut kept = Vec::new();
                for value in list.iter() {
                    if is_true(&Ok(asked(value)?)) {
                        kept.push(value.clone());
                    }
                }
                Ok(Value::list(kept))
            }
            Loop::Map => Ok(Value::list(list.iter().map(|value| self.known(asked(value)?)).collect::<Result<_, _>>()?)),
        }
    }

    fn call(&self, call: Call, arguments: &'a [Expr], variables: &mut Vec<Value<'a>>) -> Given<'a> {
        let first = self.eval(&arguments[0], variables)?;
        let second = match arguments.get(1) {
            Some(argument) => self.eval(argument, variables)?,
            None => Value::Integer(0),
        };
        match (self.known(first)?, self.known(second)?) {
            (Value::Text(text), second) if matches!(call, Call::HasWord | Call::ListedWords | Call::ListedWholeWords) => {
                let whole = call == Call::ListedWholeWords;
                let known = self.words.iter().find(|(expr, is_whole, _)| *is_whole == whole && arguments.get(1) == Some(expr));
                let made;
                let words = match known {
                    Some((.., words)) => words,
                    None => {
                        made = Words::of(&second, whole);
                        &made
                    }
                };
                Ok(if call == Call::HasWord { Value::Boolean(words.is_in(&text)) } else { Value::list(words.listed(&text)) })
            }
            (Value::Text(text), second) => of_text(call, text, &second),
            (Value::List(list), _) => Ok(match call {
                Call::Distinct => distinct(&list),
                _ => Value::Integer(list.len() as i64),
            }),
            (Value::Time(micros), Value::Integer(minutes)) if call != Call::ToText => Ok(Value::Integer(of_time(call, micros, minutes))),
            (Value::Duration(micros), _) if call != Call::ToText => Ok(Value::Integer(match call {
                Call::DurationHours => micros / 3_600_000_000,
                Call::DurationMinutes => micros / 60_000_000,
                Call::DurationSeconds => micros / 1_000_000,
                _ => micros / 1_000,
            })),
            (Value::Float(value), second) if call != Call::ToText => match (call, second) {
                (Call::MinorUnits, Value::Integer(decimals)) => {
                    let units = u32::try_from(decimals).ok().and_then(|decimals| minor_units(value, decimals));
                    units.map(Value::Integer).ok_or(NO_MINOR_UNITS)
                }
                // Both ends are floats themselves; CEL takes neither.
                _ if value > -9_223_372_036_854_775_808.0 && value < 9_223_372_036_854_775_808.0 => Ok(Value::Integer(value as i64)),
                _ => Err(TOO_LARGE),
            },
            (Value::Integer(value), _) if call == Call::ToFloat => Ok(Value::Float(value as f64)),
            (first, _) => Ok(Value::Text(first.text())),
        }
    }
}

/// Each value once, where it is first. By way of sorting: the words of a long text, each
/// held against all before it, would take all the fuel that there is for an event.
fn distinct<'a>(list: &[Value<'a>]) -> Value<'a> {
    let mut places: Vec<usize> = (0..list.len()).collect();
    // Equal ones stay in their order, so the first of them is kept.
    places.sort_by(|one, other| list[*one].order(&list[*other]));
    places.dedup_by(|other, one| list[*one].equals(&list[*other]));
    places.sort_unstable();
    Value::list(places.into_iter().map(|place| list[place].clone()).collect())
}

fn of_text<'a>(call: Call, text: Cow<'a, str>, second: &Value<'a>) -> Given<'a> {
    let part = || if let Value::Text(part) = second { part.as_ref() } else { "" };
    Ok(match call {
        Call::Characters => Value::Integer(text.chars().count() as i64),
        Call::Contains => Value::Boolean(text.contains(part())),
        Call::StartsWith => Value::Boolean(text.starts_with(part())),
        Call::EndsWith => Value::Boolean(text.ends_with(part())),
        Call::LowerAscii => Value::Text(Cow::Owned(text.to_ascii_lowercase())),
        Call::UpperAscii => Value::Text(Cow::Owned(text.to_ascii_uppercase())),
        Call::Lower => Value::Text(Cow::Owned(text.to_lowercase())),
        Call::Upper => Value::Text(Cow::Owned(text.to_uppercase())),
        Call::Trim => Value::Text(match text {
            Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
            Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
        }),
        Call::Words => Value::list(match text {
            Cow::Borrowed(text) => words(text).map(|word| Value::Text(Cow::Borrowed(word))).collect(),
            Cow::Owned(text) => words(&text).map(|word| Value::Text(Cow::Owned(word.to_owned()))).collect(),
        }),
        Call::ToInteger => Value::Integer(text.parse().map_err(|_| NOT_A_NUMBER)?),
        Call::ToFloat => Value::Float(text.parse().ok().filter(|value: &f64| value.is_finite()).ok_or(NOT_A_NUMBER)?),
        _ => Value::Text(text),
    })
}

fn of_time(call: Call, micros: i64, minutes_east: i64) -> i64 {
    let at = Moment::of(micros, minutes_east);
    match call {
        Call::FullYear => at.year,
        Call::Month => at.month - 1,
        Call::Date => at.day,
        Call::DayOfMonth => at.day - 1,
        Call::DayOfWeek => at.day_of_week,
        Call::DayOfYear => at.day_of_year,
        Call::Hours => at.micros / 3_600_000_000,
        Call::Minutes => at.micros / 60_000_000 % 60,
        Call::Seconds => at.micros / 1_000_000 % 60,
        _ => at.micros / 1_000 % 1_000,
    }
}

fn negative<'a>(value: &Value<'a>) -> Given<'a> {
    match value {
        Value::Integer(value) => value.checked_neg().map(Value::Integer).ok_or(TOO_LARGE),
        Value::Duration(value) => value.checked_neg().map(Value::Duration).ok_or(TOO_LARGE),
        Value::Float(value) => Ok(Value::Float(-value)),
        _ => Err(NOT_CONSTANT),
    }
}

/// CEL goes on with infinity and with what is no number. Nothing is above the latter, and
/// nothing below it, so that a rule would be kept whatever its limit is.
fn finite<'a>(value: f64) -> Given<'a> {
    if value.is_finite() { Ok(Value::Float(value)) } else { Err(NOT_FINITE) }
}

fn binary<'a>(operator: Operator, one: Value<'a>, other: &Value<'a>) -> Given<'a> {
    use Operator::{Add, Divide, Equal, Greater, GreaterOrEqual, In, Less, LessOrEqual, Multiply, NotEqual, Remainder, Subtract};
    if matches!(one, Value::AtLeast(_)) || matches!(other, Value::AtLeast(_)) {
        return bounded(operator, &one, other).map(Value::Boolean).ok_or(Fault::Unknown(0));
    }
    let ordered = |is: fn(Ordering) -> bool| Ok(Value::Boolean(one.compare(other).is_some_and(is)));
    match operator {
        Equal => Ok(Value::Boolean(one.equals(other))),
        NotEqual => Ok(Value::Boolean(!one.equals(other))),
        Less => ordered(Ordering::is_lt),
        LessOrEqual => ordered(Ordering::is_le),
        Greater => ordered(Ordering::is_gt),
        GreaterOrEqual => ordered(Ordering::is_ge),
        In => match other {
            Value::List(list) => Ok(Value::Boolean(list.iter().any(|value| one.equals(value)))),
            _ => Err(NOT_CONSTANT),
        },
        Add => add(one, other),
        Subtract => match (one, other) {
            (Value::Integer(one), Value::Integer(other)) => one.checked_sub(*other).map(Value::Integer).ok_or(TOO_LARGE),
            (Value::Float(one), Value::Float(other)) => finite(one - other),
            (Value::Time(one), Value::Duration(other)) => one.checked_sub(*other).map(Value::Time).ok_or(TOO_LARGE),
            (Value::Time(one), Value::Time(other)) | (Value::Duration(one), Value::Duration(other)) => {
                one.checked_sub(*other).map(Value::Duration).ok_or(TOO_LARGE)
            }
            _ => Err(NOT_CONSTANT),
        },
        Multiply => match (one, other) {
            (Value::Integer(one), Value::Integer(other)) => one.checked_mul(*other).map(Value::Integer).ok_or(TOO_LARGE),
            (Value::Float(one), Value::Float(other)) => finite(one * other),
            _ => Err(NOT_CONSTANT),
        },
        Divide | Remainder => match (one, other) {
            (_, Value::Integer(0)) => Err(BY_ZERO),
            (_, Value::Float(0.0)) => Err(BY_ZERO),
            (Value::Integer(one), Value::Integer(other)) if operator == Divide => {
                one.checked_div(*other).map(Value::Integer).ok_or(TOO_LARGE)
            }
            (Value::Integer(one), Value::Integer(other)) => one.checked_rem(*other).map(Value::Integer).ok_or(TOO_LARGE),
            (Value::Float(one), Value::Float(other)) => finite(one / other),
            _ => Err(NOT_CONSTANT),
        },
    }
}

fn add<'a>(one: Value<'a>, other: &Value<'a>) -> Given<'a> {
    match (one, other) {
        (Value::Integer(one), Value::Integer(other)) => one.checked_add(*other).map(Value::Integer).ok_or(TOO_LARGE),
        (Value::Float(one), Value::Float(other)) => finite(one + other),
        (Value::Text(one), Value::Text(other)) => Ok(Value::Text(Cow::Owned(one.into_owned() + other))),
        (Value::Duration(one), Value::Duration(other)) => one.checked_add(*other).map(Value::Duration).ok_or(TOO_LARGE),
        (Value::Time(one), Value::Duration(other)) | (Value::Duration(one), Value::Time(other)) => {
            one.checked_add(*other).map(Value::Time).ok_or(TOO_LARGE)
        }
        (Value::List(one), Value::List(other)) => Ok(Value::list(one.iter().chain(other.iter()).cloned().collect())),
        _ => Err(NOT_CONSTANT),
    }
}

/// What is known of a comparison with a number that may be larger.
fn bounded(operator: Operator, one: &Value<'_>, other: &Value<'_>) -> Option<bool> {
    use Operator::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
    let (least, other, operator) = match (one, other) {
        (Value::AtLeast(least), other) => (*least, other, operator),
        (one, Value::AtLeast(least)) => {
            let turned = match operator {
                Less => Greater,
                LessOrEqual => GreaterOrEqual,
                Greater => Less,
                GreaterOrEqual => LessOrEqual,
                same => same,
            };
            (*least, one, turned)
        }
        _ => return None,
    };
    let order = Value::Integer(least).compare(other)?;
    match operator {
        Greater if order.is_gt() => Some(true),
        GreaterOrEqual if order.is_ge() => Some(true),
        Less if order.is_ge() => Some(false),
        LessOrEqual if order.is_gt() => Some(false),
        Equal if order.is_gt() => Some(false),
        NotEqual if order.is_gt() => Some(true),
        _ => None,
    }
}
