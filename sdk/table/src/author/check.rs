//! A tree as an expression whose names are known and whose types are right.

use std::ops::Range;

use super::Problem;
use super::moment;
use super::nearest::nearest;
use super::parse::{Name, Node, Syntax};
use crate::functions::{FUNCTIONS, Function, SPECIAL, Takes, Type};
use crate::program::{Call, Expr, Loop, Operator};

/// How deep a tree may be, which what judges goes down on a small stack.
const DEPTH_MAX: usize = 160;

/// What an expression can name.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Their types, and whether they are always there.
    pub(super) fields: Vec<(String, Type, bool)>,
    pub(super) settings: Vec<(String, Type)>,
    pub(super) lists: Vec<String>,
    /// Absent where windows cannot be asked.
    pub(super) windows: Option<Vec<String>>,
    /// Variables, the outermost first.
    pub(super) variables: Vec<(String, Type)>,
    /// Whether there is an event to look at.
    pub(super) has_event: bool,
}

/// Names that stand for something else than a variable.
const ROOTS: [&str; 4] = ["event", "settings", "lists", "windows"];

type Checked = Result<(Expr, Type), Problem>;

impl Names {
    pub(super) fn check(&mut self, node: &Node) -> Checked {
        Checker { names: self, depth: 0 }.check(node)
    }
}

struct Checker<'names> {
    names: &'names mut Names,
    depth: usize,
}

fn boxed(expr: Expr) -> Box<Expr> {
    Box::new(expr)
}

impl Checker<'_> {
    fn check(&mut self, node: &Node) -> Checked {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(Problem::new(node.at.clone(), "the expression is too long", "make two rules of it"));
        }
        let checked = self.check_here(node);
        self.depth -= 1;
        checked
    }

    fn check_here(&mut self, node: &Node) -> Checked {
        match &node.what {
            Syntax::Boolean(value) => Ok((Expr::Boolean(*value), Type::Boolean)),
            Syntax::Integer(value) => Ok((Expr::Integer(*value), Type::Integer)),
            Syntax::Float(value) => Ok((Expr::Float(*value), Type::Float)),
            Syntax::Text(value) => Ok((Expr::Text(value.clone()), Type::Text)),
            Syntax::List(items) => self.list(items),
            Syntax::Name(name) => self.name(&node.at, name),
            Syntax::Select(of, name) => self.select(of, name),
            Syntax::Call(None, name, arguments) => self.call(name, arguments),
            Syntax::Call(Some(of), name, arguments) => self.member(of, name, arguments),
            Syntax::Not(operand) => Ok((Expr::Not(boxed(self.wanted(operand, &Type::Boolean, "`!` is for conditions")?)), Type::Boolean)),
            Syntax::Negative(operand) => match self.check(operand)? {
                (expr, of @ (Type::Integer | Type::Float | Type::Duration)) => Ok((Expr::Negative(boxed(expr)), of)),
                (_, of) => Err(mismatch(operand, &of, "integer, float or duration", "`-` is for numbers")),
            },
            Syntax::Binary(operator, at, left, right) => self.binary(operator, at, left, right),
            Syntax::If(condition, then, otherwise) => {
                let condition = self.wanted(condition, &Type::Boolean, "what stands before `?` is a condition")?;
                let ((then, one), (other_expr, other)) = (self.check(then)?, self.check(otherwise)?);
                if !one.fits(&other) {
                    return Err(mismatch(otherwise, &other, &one.to_string(), "both sides of `:` need one type"));
                }
                let of = if one == Type::List(Box::new(Type::Any)) { other } else { one };
                Ok((Expr::If(boxed(condition), boxed(then), boxed(other_expr)), of))
            }
        }
    }

    fn wanted(&mut self, node: &Node, wanted: &Type, why: &str) -> Result<Expr, Problem> {
        let (expr, of) = self.check(node)?;
        if !of.fits(wanted) {
            return Err(mismatch(node, &of, &wanted.to_string(), why));
        }
        Ok(expr)
    }

    fn list(&mut self, items: &[Node]) -> Checked {
        let mut of = Type::Any;
        let mut list = Vec::with_capacity(items.len());
        for item in items {
            let (expr, own) = self.check(item)?;
            if !own.fits(&of) {
                return Err(mismatch(item, &own, &of.to_string(), "all values of a list have one type"));
            }
            of = own;
            list.push(expr);
        }
        Ok((Expr::List(list), Type::List(Box::new(of))))
    }

    fn name(&self, at: &Range<usize>, name: &str) -> Checked {
        let variables = &self.names.variables;
        // The innermost of a name hides the others.
        if let Some(index) = variables.iter().rposition(|(known, _)| known == name) {
            return Ok((Expr::Variable(index as u16), variables[index].1.clone()));
        }
        let what = format!("nothing is called `{name}`");
        if ROOTS.contains(&name) {
            return Err(Problem::new(at.clone(), format!("`{name}` stands before a name"), format!("write `{name}.` and the name")));
        }
        let whole = [
            ("event", self.names.fields.iter().any(|(known, ..)| known == name)),
            ("settings", self.names.settings.iter().any(|(known, _)| known == name)),
            ("windows", self.names.windows.iter().flatten().any(|known| known == name)),
        ];
        if let Some((root, _)) = whole.iter().find(|(_, has)| *has) {
            return Err(Problem::new(at.clone(), what, format!("did you mean `{root}.{name}`?")));
        }
        let known = variables.iter().map(|(known, _)| known.as_str()).chain(ROOTS);
        let remedy = nearest(name, known).map_or_else(
            || "fields are event.NAME, settings are settings.NAME, windows are windows.NAME; texts stand in quotes".to_owned(),
            |near| format!("did you mean `{near}`?"),
        );
        Err(Problem::new(at.clone(), what, remedy))
    }

    /// A name behind `event.` and the like: its index.
    fn index<'known>(name: &Name, what: &str, known: impl Iterator<Item = &'known str> + Clone) -> Result<u16, Problem> {
        if let Some(index) = known.clone().position(|known| known == name.text) {
            return Ok(index as u16);
        }
        let all: Vec<&str> = known.collect();
        let remedy = match (nearest(&name.text, all.iter().copied()), all.is_empty()) {
            (Some(near), _) => format!("did you mean `{near}`?"),
            (None, true) => format!("this file declares no {what}; add it"),
            (None, false) => format!("declared are {}; add it, or take one of these", all.join(", ")),
        };
        Err(Problem::new(name.at.clone(), format!("there is no {what} `{}`", name.text), remedy))
    }

    fn field(&self, name: &Name) -> Result<u16, Problem> {
        if !self.names.has_event {
            let remedy = "take `value`, which is what the settings say";
            return Err(Problem::new(name.at.clone(), "settings are looked at before there is an event", remedy));
        }
        Self::index(name, "field", self.names.fields.iter().map(|(known, ..)| known.as_str()))
    }

    fn select(&self, of: &Node, name: &Name) -> Checked {
        let root = match &of.what {
            Syntax::Name(root) if !self.names.variables.iter().any(|(known, _)| known == root) => root.as_str(),
            _ => "",
        };
        match root {
            "event" => {
                let index = self.field(name)?;
                Ok((Expr::Field(index), self.names.fields[usize::from(index)].1.clone()))
            }
            "settings" if !self.names.has_event => {
                let remedy = "take `value`, which is what the settings say";
                Err(Problem::new(name.at.clone(), "a setting is looked at by itself", remedy))
            }
            "settings" => {
                let index = Self::index(name, "setting", self.names.settings.iter().map(|(known, _)| known.as_str()))?;
                Ok((Expr::Setting(index), self.names.settings[usize::from(index)].1.clone()))
            }
            "windows" => {
                let Some(windows) = &self.names.windows else {
                    let remedy = "ask for windows in the `when`, `for_each` or `evidence` of a rule";
                    return Err(Problem::new(name.at.clone(), "windows cannot be asked for here", remedy));
                };
                Ok((Expr::Window(Self::index(name, "window", windows.iter().map(String::as_str))?), Type::Integer))
            }
            "lists" => {
                Self::index(name, "list", self.names.lists.iter().map(String::as_str))?;
                let list = &name.text;
                let remedy = format!("ask with lists.{list}.contains(key) or lists.{list}.get(key)");
                Err(Problem::new(of.at.start..name.at.end, "a reference list is no value", remedy))
            }
            _ => {
                if let Syntax::Name(name) = &of.what {
                    self.name(&of.at, name)?;
                }
                let remedy = format!("only event, settings, lists and windows have names; a function is `{}()`", name.text);
                Err(Problem::new(name.at.clone(), format!("there is nothing called `{}` in this value", name.text), remedy))
            }
        }
    }

    fn call(&mut self, name: &Name, arguments: &[Node]) -> Checked {
        match name.text.as_str() {
            "has" => {
                let [Node { what: Syntax::Select(of, field), .. }] = arguments else {
                    return Err(Problem::new(name.at.clone(), "`has` asks for a field of the event", "write has(event.name)"));
                };
                if of.what != Syntax::Name("event".to_owned()) {
                    let remedy = "write has(event.name); settings and windows are always there";
                    return Err(Problem::new(of.at.clone(), "`has` asks for a field of the event", remedy));
                }
                Ok((Expr::Has(self.field(field)?), Type::Boolean))
            }
            "timestamp" | "duration" => {
                let [Node { at, what: Syntax::Text(text) }] = arguments else {
                    let example = if name.text == "duration" { "duration(\"1h30m\")" } else { "timestamp(\"2026-01-31T00:00:00Z\")" };
                    let remedy = format!("write a text into it, such as {example}; a field of kind time needs nothing");
                    return Err(Problem::new(name.at.clone(), format!("`{}` takes a text that stands in the file", name.text), remedy));
                };
                if name.text == "duration" {
                    let micros =
                        moment::duration(text).map_err(|remedy| Problem::new(at.clone(), format!("{text:?} is no duration"), remedy))?;
                    return Ok((Expr::Duration(micros), Type::Duration));
                }
                let micros = moment::time(text).ok_or_else(|| {
                    Problem::new(
                        at.clone(),
                        format!("{text:?} is no point in time"),
                        "write it as \"2026-01-31T12:00:00Z\" or with +08:00 for Z",
                    )
                })?;
                Ok((Expr::Time(micros), Type::Time))
            }
            _ => self.function(name, None, arguments),
        }
    }

    fn member(&mut self, of: &Node, name: &Name, arguments: &[Node]) -> Checked {
        if let Syntax::Select(root, list) = &of.what
            && root.what == Syntax::Name("lists".to_owned())
        {
            return self.look_up(list, name, arguments);
        }
        let kind = match name.text.as_str() {
            "all" => Loop::All,
            "exists" => Loop::Exists,
            "exists_one" => Loop::ExistsOne,
            "filter" => Loop::Filter,
            "map" => Loop::Map,
            _ => return self.function(name, Some(of), arguments),
        };
        self.go_through(kind, of, name, arguments)
    }

    fn look_up(&mut self, list: &Name, name: &Name, arguments: &[Node]) -> Checked {
        let index = Self::index(list, "list", self.names.lists.iter().map(String::as_str))?;
        if !self.names.has_event {
            let remedy = "take the list in the `when` of a rule; it can be replaced without new settings";
            return Err(Problem::new(list.at.clone(), "settings cannot be held against a reference list", remedy));
        }
        let [key] = arguments else {
            return Err(Problem::new(name.at.clone(), "a look-up takes one key", format!("write lists.{}.contains(key)", list.text)));
        };
        let key = boxed(self.wanted(key, &Type::Text, "the keys of a list are texts; string(…) makes one of a number")?);
        match name.text.as_str() {
            "contains" => Ok((Expr::ListContains(index, key), Type::Boolean)),
            "get" => Ok((Expr::ListGet(index, key), Type::Text)),
            other => {
                let remedy = nearest(other, ["contains", "get"].into_iter()).unwrap_or("contains");
                Err(Problem::new(
                    name.at.clone(),
                    format!("a reference list has no function `{other}`"),
                    format!("did you mean `{remedy}`?"),
                ))
            }
        }
    }

    fn go_through(&mut self, kind: Loop, list: &Node, name: &Name, arguments: &[Node]) -> Checked {
        let (list_expr, of) = self.check(list)?;
        let Type::List(of) = of else {
            return Err(mismatch(list, &of, "list", &format!("`{}` goes through a list", name.text)));
        };
        let usage = || {
            let example = if kind == Loop::Map { "map(x, x + 1)" } else { "exists(x, x > 1)" };
            let remedy = format!("write it with a name for each value and what is asked of it, such as {example}");
            Problem::new(name.at.clone(), format!("`{}` is not called like this", name.text), remedy)
        };
        let [Node { what: Syntax::Name(variable), at }, conditions @ .., body] = arguments else { return Err(usage()) };
        if conditions.len() > usize::from(kind == Loop::Map) {
            return Err(usage());
        }
        check_variable(variable, at)?;
        let element = *of;
        let mut of_list = list_expr;
        self.names.variables.push((variable.clone(), element.clone()));
        let inner = conditions.iter().try_for_each(|condition| {
            let condition = self.wanted(condition, &Type::Boolean, "the middle part of `map` says which values are taken")?;
            let list = std::mem::replace(&mut of_list, Expr::Boolean(false));
            of_list = Expr::Loop(Loop::Filter, boxed(list), boxed(condition));
            Ok(())
        });
        let inner = inner.and_then(|()| match kind {
            Loop::Map => self.check(body),
            _ => Ok((self.wanted(body, &Type::Boolean, &format!("`{}` asks something of each value", name.text))?, Type::Boolean)),
        });
        self.names.variables.pop();
        let (body, of_body) = inner?;
        let gives = match kind {
            Loop::All | Loop::Exists | Loop::ExistsOne => Type::Boolean,
            Loop::Filter => Type::List(Box::new(element)),
            Loop::Map => Type::List(Box::new(of_body)),
        };
        Ok((Expr::Loop(kind, boxed(of_list), boxed(body)), gives))
    }

    fn function(&mut self, name: &Name, of: Option<&Node>, arguments: &[Node]) -> Checked {
        let named = || FUNCTIONS.iter().filter(|function| function.name == name.text);
        if named().next().is_none() {
            return Err(unknown(name));
        }
        let is_member = of.is_some();
        if !named().any(|function| function.is_member == is_member) {
            let way = if is_member { format!("{}(value)", name.text) } else { format!("value.{}()", name.text) };
            return Err(Problem::new(name.at.clone(), format!("`{}` is called the other way", name.text), format!("write {way}")));
        }
        let nodes: Vec<&Node> = of.into_iter().chain(arguments).collect();
        let mut given = Vec::with_capacity(nodes.len());
        for node in &nodes {
            given.push(self.check(node)?);
        }
        let found = named().filter(|function| function.is_member == is_member).find(|function| takes(function, &given));
        let Some(function) = found else {
            let types: Vec<String> = given.iter().map(|(_, of)| of.to_string()).collect();
            let shapes: Vec<String> = named().filter(|function| function.is_member == is_member).map(shape).collect();
            let what = format!("`{}` does not take {}", name.text, if types.is_empty() { "nothing".to_owned() } else { types.join(", ") });
            return Err(Problem::new(name.at.clone(), what, format!("it is called as {}", shapes.join(" or "))));
        };
        let gives = match (function.gives, function.call) {
            (_, Call::Distinct) => given[0].1.clone(),
            (gives, _) => gives.of(),
        };
        let mut values: Vec<Expr> = given.into_iter().map(|(expr, _)| expr).collect();
        if function.takes.last() == Some(&Takes::Offset) {
            let minutes = match values.get(1) {
                None => 0,
                Some(Expr::Text(text)) => moment::offset(text).ok_or_else(|| {
                    Problem::new(
                        nodes[1].at.clone(),
                        format!("{text:?} is no offset from UTC"),
                        "write it as \"+08:00\"; names of zones are not known",
                    )
                })?,
                Some(_) => {
                    let remedy = "write the text itself, such as \"+08:00\"";
                    return Err(Problem::new(nodes[1].at.clone(), "an offset from UTC has to stand here", remedy));
                }
            };
            values.truncate(1);
            values.push(Expr::Integer(minutes));
        }
        Ok((Expr::Call(function.call, values), gives))
    }

    fn binary(&mut self, operator: &str, at: &Range<usize>, left: &Node, right: &Node) -> Checked {
        if operator == "&&" || operator == "||" {
            let why = format!("both sides of `{operator}` are conditions");
            let (left, right) = (self.wanted(left, &Type::Boolean, &why)?, self.wanted(right, &Type::Boolean, &why)?);
            let expr = if operator == "&&" { Expr::And(boxed(left), boxed(right)) } else { Expr::Or(boxed(left), boxed(right)) };
            return Ok((expr, Type::Boolean));
        }
        let ((one, one_type), (other, other_type)) = (self.check(left)?, self.check(right)?);
        let Some((operator, gives)) = operation(operator, &one_type, &other_type) else {
            let are_numbers = matches!((&one_type, &other_type), (Type::Integer, Type::Float) | (Type::Float, Type::Integer));
            let remedy = match operator {
                _ if are_numbers => "write the number with a point, such as 2.0, or make a float with double(…)",
                "in" => "on the right of `in` stands a list of what is on the left",
                "==" | "!=" => "compare values of one type",
                "<" | "<=" | ">" | ">=" => "compare numbers, texts, times or durations with each other",
                _ => "take values of one type; string(…), int(…) and double(…) make one of another",
            };
            return Err(Problem::new(at.clone(), format!("`{operator}` does not take {one_type} and {other_type}"), remedy));
        };
        Ok((Expr::Binary(operator, boxed(one), boxed(other)), gives))
    }
}

/// Whether a word can be the name of a variable.
pub(super) fn check_variable(name: &str, at: &Range<usize>) -> Result<(), Problem> {
    if ROOTS.contains(&name) {
        return Err(Problem::new(at.clone(), format!("`{name}` means something else"), "take another word for each value"));
    }
    Ok(())
}

/// What an operator does with these types, and the type that comes out.
fn operation(operator: &str, one: &Type, other: &Type) -> Option<(Operator, Type)> {
    use Type::{Boolean, Duration, Float, Integer, List, Text, Time};
    let are_numbers = |one: &Type, other: &Type| matches!((one, other), (Integer | Float, Integer | Float));
    let compares = are_numbers(one, other) || one.fits(other);
    let is_ordered = compares && !matches!(one, List(_));
    Some(match operator {
        "==" if compares => (Operator::Equal, Boolean),
        "!=" if compares => (Operator::NotEqual, Boolean),
        "<" if is_ordered => (Operator::Less, Boolean),
        "<=" if is_ordered => (Operator::LessOrEqual, Boolean),
        ">" if is_ordered => (Operator::Greater, Boolean),
        ">=" if is_ordered => (Operator::GreaterOrEqual, Boolean),
        "in" => match other {
            List(of) if are_numbers(one, of) || one.fits(of) => (Operator::In, Boolean),
            _ => return None,
        },
        "+" => match (one, other) {
            (Integer | Float | Text | Duration, _) if one == other => (Operator::Add, one.clone()),
            (List(of), List(_)) if one.fits(other) => (Operator::Add, if **of == Type::Any { other.clone() } else { one.clone() }),
            (Time, Duration) | (Duration, Time) => (Operator::Add, Time),
            _ => return None,
        },
        "-" => match (one, other) {
            (Integer | Float | Duration, _) if one == other => (Operator::Subtract, one.clone()),
            (Time, Time) => (Operator::Subtract, Duration),
            (Time, Duration) => (Operator::Subtract, Time),
            _ => return None,
        },
        "*" | "/" if one == other && matches!(one, Integer | Float) => {
            (if operator == "*" { Operator::Multiply } else { Operator::Divide }, one.clone())
        }
        "%" if (one, other) == (&Integer, &Integer) => (Operator::Remainder, Integer),
        _ => return None,
    })
}

/// Whether a function takes these values.
fn takes(function: &Function, given: &[(Expr, Type)]) -> bool {
    let least = function.takes.iter().filter(|takes| **takes != Takes::Offset).count();
    (least..=function.takes.len()).contains(&given.len()) && given.iter().zip(function.takes).all(|((_, of), takes)| of.fits(&takes.of()))
}

/// How a function is called, with types for values.
fn shape(function: &Function) -> String {
    let mut types = function.takes.iter().map(|takes| match takes {
        Takes::Offset => "\"+08:00\"".to_owned(),
        takes => takes.of().to_string(),
    });
    let first = function.is_member.then(|| types.next()).flatten().map(|first| format!("{first}.")).unwrap_or_default();
    format!("{first}{}({})", function.name, types.collect::<Vec<_>>().join(", "))
}

fn unknown(name: &Name) -> Problem {
    let known = FUNCTIONS.iter().map(|function| function.name).chain(SPECIAL.iter().copied());
    let remedy = match name.text.as_str() {
        "matches" => {
            "regular expressions are left out, for their cost has no bound; take contains, startsWith, endsWith or hasWord".to_owned()
        }
        "timestamp" | "duration" | "has" => format!("write {}(…) without anything before it", name.text),
        text => nearest(text, known).map_or_else(
            || "the functions that there are stand in sdk/book/table.md; what needs another is written in Rust".to_owned(),
            |near| format!("did you mean `{near}`?"),
        ),
    };
    Problem::new(name.at.clone(), format!("there is no function `{}`", name.text), remedy)
}

fn mismatch(node: &Node, found: &Type, wanted: &str, why: &str) -> Problem {
    Problem::new(node.at.clone(), format!("this is of type {found}, not {wanted}"), why)
}
