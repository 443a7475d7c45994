//! Tokens as a tree: the grammar of CEL, without maps and messages.

use std::ops::Range;

use super::Problem;
use super::lex::{RESERVED, Token, What, tokens};

/// How deep an expression may be nested. What judges goes as deep, on a small stack.
const DEPTH_MAX: usize = 48;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    /// Its bytes in the expression.
    pub(super) at: Range<usize>,
    pub(super) what: Syntax,
}

/// A name, and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Name {
    pub(super) at: Range<usize>,
    pub(super) text: String,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Syntax {
    Boolean(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Name(String),
    Select(Box<Node>, Name),
    Call(Option<Box<Node>>, Name, Vec<Node>),
    Not(Box<Node>),
    Negative(Box<Node>),
    /// With the operator's place.
    Binary(&'static str, Range<usize>, Box<Node>, Box<Node>),
    If(Box<Node>, Box<Node>, Box<Node>),
}

/// Reads an expression.
pub(super) fn parse(text: &str) -> Result<Node, Problem> {
    let mut parser = Parser { tokens: tokens(text)?, next: 0, depth: 0 };
    let node = parser.expression()?;
    match parser.peek().what {
        What::End => Ok(node),
        _ => Err(parser.unexpected("the end of the expression, or an operator such as && or ==")),
    }
}

struct Parser {
    tokens: Vec<Token>,
    next: usize,
    depth: usize,
}

/// From loosest to tightest; those of one line go from left to right.
const LEVELS: [&[&str]; 5] = [&["||"], &["&&"], &["==", "!=", "<=", ">=", "<", ">", "in"], &["+", "-"], &["*", "/", "%"]];

impl Parser {
    fn peek(&self) -> &Token {
        &self.tokens[self.next]
    }

    fn take(&mut self) -> Token {
        let token = self.tokens[self.next].clone();
        self.next = (self.next + 1).min(self.tokens.len() - 1);
        token
    }

    /// Takes the sign if it is next.
    fn sign(&mut self, sign: &str) -> Option<Range<usize>> {
        let token = self.peek();
        let is_next = matches!(&token.what, What::Sign(next) if *next == sign);
        is_next.then(|| self.take().at)
    }

    fn expect(&mut self, sign: &str) -> Result<Range<usize>, Problem> {
        self.sign(sign).ok_or_else(|| self.unexpected(&format!("`{sign}`")))
    }

    fn unexpected(&self, wanted: &str) -> Problem {
        let Token { at, what } = self.peek();
        let found = match what {
            What::Name(name) => format!("`{name}`"),
            What::Integer(_) | What::Float(_) => "a number".to_owned(),
            What::Text(_) => "a text".to_owned(),
            What::Sign("{") => {
                let remedy = "take a setting for what should be looked up, or a reference list";
                return Problem::new(at.clone(), "maps and messages are no part of these expressions", remedy);
            }
            What::Sign(sign) => format!("`{sign}`"),
            What::End => "the end of the expression".to_owned(),
        };
        Problem::new(at.clone(), format!("found {found}"), format!("expected {wanted}"))
    }

    fn expression(&mut self) -> Result<Node, Problem> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            let at = self.peek().at.clone();
            return Err(Problem::new(at, "the expression is nested too deeply", "make two rules of it"));
        }
        let node = self.conditional();
        self.depth -= 1;
        node
    }

    fn conditional(&mut self) -> Result<Node, Problem> {
        let condition = self.binary(0)?;
        if self.sign("?").is_none() {
            return Ok(condition);
        }
        let then = self.binary(0)?;
        self.expect(":")?;
        let otherwise = self.expression()?;
        let at = condition.at.start..otherwise.at.end;
        Ok(Node { at, what: Syntax::If(Box::new(condition), Box::new(then), Box::new(otherwise)) })
    }

    fn operator(&mut self, level: usize) -> Option<(&'static str, Range<usize>)> {
        let word = match &self.peek().what {
            What::Sign(sign) => sign,
            What::Name(name) if name == "in" => "in",
            _ => return None,
        };
        let operator = LEVELS[level].iter().find(|operator| **operator == word)?;
        Some((operator, self.take().at))
    }

    fn binary(&mut self, level: usize) -> Result<Node, Problem> {
        let operand = |parser: &mut Self| if level + 1 < LEVELS.len() { parser.binary(level + 1) } else { parser.unary() };
        let mut left = operand(self)?;
        let mut length = 0;
        while let Some((operator, place)) = self.operator(level) {
            // A chain is a tree that is as deep as it is long.
            length += 1;
            if length > DEPTH_MAX * 2 {
                return Err(Problem::new(
                    place,
                    "the expression is too long",
                    "make two rules of it, or ask whether a value is `in` a list",
                ));
            }
            let right = operand(self)?;
            let at = left.at.start..right.at.end;
            left = Node { at, what: Syntax::Binary(operator, place, Box::new(left), Box::new(right)) };
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Node, Problem> {
        if let Some(at) = self.sign("!") {
            let operand = self.deeper(Self::unary)?;
            return Ok(Node { at: at.start..operand.at.end, what: Syntax::Not(Box::new(operand)) });
        }
        if let Some(at) = self.sign("-") {
            if let Token { at: digits, what: What::Integer(number) } = self.peek().clone() {
                self.take();
                let at = at.start..digits.end;
                let number = 0_i64.checked_sub_unsigned(number).ok_or_else(|| too_large(at.clone()))?;
                return self.member(Node { at, what: Syntax::Integer(number) });
            }
            let operand = self.deeper(Self::unary)?;
            return Ok(Node { at: at.start..operand.at.end, what: Syntax::Negative(Box::new(operand)) });
        }
        let primary = self.primary()?;
        self.member(primary)
    }

    fn deeper(&mut self, parse: fn(&mut Self) -> Result<Node, Problem>) -> Result<Node, Problem> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            let at = self.peek().at.clone();
            return Err(Problem::new(at, "the expression is nested too deeply", "make two rules of it"));
        }
        let node = parse(self);
        self.depth -= 1;
        node
    }

    /// What stands behind a value, after dots.
    fn member(&mut self, mut node: Node) -> Result<Node, Problem> {
        let mut length = 0;
        loop {
            if let Some(at) = self.sign("[") {
                let remedy = "ask whether a value is `in` the list, or go through it with exists(x, …)";
                return Err(Problem::new(at, "single places of lists are no part of these expressions", remedy));
            }
            if self.sign(".").is_none() {
                return Ok(node);
            }
            length += 1;
            if length > DEPTH_MAX {
                return Err(Problem::new(self.peek().at.clone(), "the expression is too long", "make two rules of it"));
            }
            let name = self.name("a name")?;
            let start = node.at.start;
            if self.sign("(").is_some() {
                let (arguments, end) = self.list(")")?;
                node = Node { at: start..end, what: Syntax::Call(Some(Box::new(node)), name, arguments) };
            } else {
                node = Node { at: start..name.at.end, what: Syntax::Select(Box::new(node), name) };
            }
        }
    }

    fn name(&mut self, wanted: &str) -> Result<Name, Problem> {
        match self.peek().clone() {
            Token { at, what: What::Name(text) } => {
                self.take();
                Ok(Name { at, text })
            }
            _ => Err(self.unexpected(wanted)),
        }
    }

    /// Expressions up to a closing bracket, and where that ends.
    fn list(&mut self, close: &str) -> Result<(Vec<Node>, usize), Problem> {
        let mut items = Vec::new();
        loop {
            // A comma may stand behind the last one.
            if let Some(at) = self.sign(close) {
                return Ok((items, at.end));
            }
            if !items.is_empty() {
                self.expect(",").map_err(|problem| Problem { remedy: format!("expected `,` or `{close}`"), ..problem })?;
                if let Some(at) = self.sign(close) {
                    return Ok((items, at.end));
                }
            }
            items.push(self.expression()?);
        }
    }

    fn primary(&mut self) -> Result<Node, Problem> {
        let Token { at, what } = self.peek().clone();
        let what = match what {
            What::Name(text) if text == "true" || text == "false" => Syntax::Boolean(text == "true"),
            What::Name(text) if text == "null" => {
                let remedy = "whether a field is there is asked with has(event.name)";
                return Err(Problem::new(at, "there is no `null` here", remedy));
            }
            What::Name(text) if RESERVED.contains(&text.as_str()) => {
                return Err(self.unexpected("a value"));
            }
            What::Name(text) => {
                self.take();
                if self.sign("(").is_some() {
                    let (arguments, end) = self.list(")")?;
                    return Ok(Node { at: at.start..end, what: Syntax::Call(None, Name { at, text }, arguments) });
                }
                return Ok(Node { at, what: Syntax::Name(text) });
            }
            What::Integer(number) => Syntax::Integer(i64::try_from(number).map_err(|_| too_large(at.clone()))?),
            What::Float(number) => Syntax::Float(number),
            What::Text(text) => Syntax::Text(text),
            What::Sign("(") => {
                self.take();
                let inner = self.expression()?;
                self.expect(")")?;
                return Ok(inner);
            }
            What::Sign("[") => {
                self.take();
                let (items, end) = self.list("]")?;
                return Ok(Node { at: at.start..end, what: Syntax::List(items) });
            }
            _ => return Err(self.unexpected("a value, such as event.name, a number or a text")),
        };
        self.take();
        Ok(Node { at, what })
    }
}

fn too_large(at: Range<usize>) -> Problem {
    Problem::new(at, "the number does not fit into 64 bits", "write a smaller one")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> String {
        let problem = parse(text).expect_err(text);
        format!("{}: {}; {}", problem.at.start, problem.what, problem.remedy)
    }

    #[test]
    fn says_where_an_expression_breaks_off() {
        assert_eq!(problem("a +"), "3: found the end of the expression; expected a value, such as event.name, a number or a text");
        assert_eq!(problem("a = 1"), "2: `=` means nothing here; to compare, write `==`");
        assert_eq!(problem("(a"), "2: found the end of the expression; expected `)`");
        assert_eq!(problem("f(a b)"), "4: found `b`; expected `,` or `)`");
        assert!(problem("'abc").starts_with("0: this text does not end"));
        assert!(problem("a ? 1").ends_with("expected `:`"));
        assert!(problem("1h").starts_with("0: this is no number"));
        assert!(problem(&"(".repeat(100)).contains("nested too deeply"));
        assert!(problem(&format!("{}a", "!".repeat(100))).contains("nested too deeply"));
        assert!(problem(&vec!["a"; 200].join(" + ")).contains("too long"));
        assert!(problem("9223372036854775808").contains("64 bits"));
        assert!(problem("{'a': 1}").contains("maps"));
    }

    #[test]
    fn reads_what_cel_has() {
        for text in [
            "-9223372036854775808",
            "0x1F + 1.5e3 + .5",
            "a.b.c(1, 2,).d || !x && y in [1, 2,]",
            "x ? y : z ? 1 : 2",
            "r'\\d' + '''it's''' + \"\\u4e2d\\x41\\101\\n\" // and so on",
        ] {
            assert!(parse(text).is_ok(), "{text}: {:?}", parse(text));
        }
        let Node { what: Syntax::Binary(operator, at, ..), .. } = parse("a + b * c").expect("parses") else { panic!() };
        assert_eq!((operator, at), ("+", 2..3));
    }
}
