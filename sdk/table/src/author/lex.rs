//! Expressions as tokens: the lexis of CEL, without bytes and unsigned numbers.

use std::ops::Range;

use super::Problem;

/// A token, and the bytes of the expression that it has.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub(super) at: Range<usize>,
    pub(super) what: What,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum What {
    Name(String),
    /// Without a sign: the smallest integer has no positive twin.
    Integer(u64),
    Float(f64),
    Text(String),
    /// An operator, a bracket, or what separates.
    Sign(&'static str),
    End,
}

/// The longer first, so that `<=` is not `<`.
const SIGNS: [&str; 24] =
    ["&&", "||", "==", "!=", "<=", ">=", "<", ">", "+", "-", "*", "/", "%", "!", "?", ":", "(", ")", "[", "]", ".", ",", "{", "}"];

/// Names that CEL keeps for itself.
pub(super) const RESERVED: [&str; 21] = [
    "false",
    "true",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

/// The tokens of an expression; the last is its end.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, Problem> {
    let mut found = Vec::new();
    let mut at = 0;
    loop {
        let rest = &text[at..];
        let Some(first) = rest.chars().next() else {
            found.push(Token { at: at..at, what: What::End });
            return Ok(found);
        };
        if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        }
        if rest.starts_with("//") {
            at += rest.find('\n').unwrap_or(rest.len());
            continue;
        }
        let (length, what) = token(text, at, rest, first)?;
        found.push(Token { at: at..at + length, what });
        at += length;
    }
}

fn token(text: &str, at: usize, rest: &str, first: char) -> Result<(usize, What), Problem> {
    if let Some((length, value)) = quoted(at, rest)? {
        return Ok((length, What::Text(value)));
    }
    if first.is_ascii_alphabetic() || first == '_' {
        let length = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        return Ok((length, What::Name(rest[..length].to_owned())));
    }
    let is_fraction = first == '.' && rest[1..].starts_with(|c: char| c.is_ascii_digit());
    if first.is_ascii_digit() || is_fraction {
        return number(at, rest);
    }
    if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
        return Ok((sign.len(), What::Sign(sign)));
    }
    let remedy = match first {
        '=' => "to compare, write `==`".to_owned(),
        '&' => "to ask for both, write `&&`".to_owned(),
        '|' => "to ask for one of both, write `||`".to_owned(),
        '“' | '”' | '‘' | '’' | '「' | '」' => "texts stand in plain quotes: \"text\"".to_owned(),
        '，' | '（' | '）' | '。' | '：' | '＞' | '＜' | '＝' => {
            "write the sign in its narrow form, from the Latin keyboard".to_owned()
        }
        _ => "remove it, or put it into quotes if it is part of a text".to_owned(),
    };
    debug_assert!(text.is_char_boundary(at));
    Err(Problem::new(at..at + first.len_utf8(), format!("`{first}` means nothing here"), remedy))
}

fn number(at: usize, rest: &str) -> Result<(usize, What), Problem> {
    let is_hex = rest.starts_with("0x") || rest.starts_with("0X");
    let mut length = 0;
    let mut is_float = false;
    let bytes = rest.as_bytes();
    while let Some(&byte) = bytes.get(length) {
        let before = length.checked_sub(1).map(|before| bytes[before]);
        let next_is_digit = bytes.get(length + 1).is_some_and(u8::is_ascii_digit);
        match byte {
            b'0'..=b'9' => {}
            b'a'..=b'f' | b'A'..=b'F' | b'x' | b'X' if is_hex => {}
            b'.' if !is_float && next_is_digit => is_float = true,
            b'e' | b'E' => is_float = true,
            b'+' | b'-' if !is_hex && matches!(before, Some(b'e' | b'E')) => {}
            byte if byte.is_ascii_alphabetic() || byte == b'_' => {
                let remedy = if byte == b'u' || byte == b'U' {
                    "there are no unsigned numbers here; leave the `u` out"
                } else {
                    "write numbers in digits, and names of windows such as \"1h\" in quotes"
                };
                return Err(Problem::new(at..at + length + 1, "this is no number", remedy));
            }
            _ => break,
        }
        length += 1;
    }
    let digits = &rest[..length];
    let what = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(digits) => u64::from_str_radix(digits, 16).ok().map(What::Integer),
        None if is_float => digits.parse().ok().filter(|number: &f64| number.is_finite()).map(What::Float),
        None => digits.parse().ok().map(What::Integer),
    };
    what.map(|what| (length, what))
        .ok_or_else(|| Problem::new(at..at + length, format!("{digits} is no number that 64 bits have"), "write a smaller one"))
}

/// A text in quotes: its length in the expression, and what it says.
fn quoted(at: usize, rest: &str) -> Result<Option<(usize, String)>, Problem> {
    let is_raw = rest.starts_with(['r', 'R']) && rest[1..].starts_with(['"', '\'']);
    let open = usize::from(is_raw);
    let body = &rest[open..];
    let Some(quote) = ["\"\"\"", "'''", "\"", "'"].into_iter().find(|quote| body.starts_with(quote)) else { return Ok(None) };
    let unended =
        || Problem::new(at..at + open + quote.len(), "this text does not end", format!("write {quote} behind its last character"));
    let mut value = String::new();
    let mut place = open + quote.len();
    loop {
        let left = &rest[place..];
        if left.starts_with(quote) {
            return Ok(Some((place + quote.len(), value)));
        }
        let c = left.chars().next().filter(|c| quote.len() == 3 || *c != '\n').ok_or_else(unended)?;
        if c != '\\' || is_raw {
            value.push(c);
            place += c.len_utf8();
            continue;
        }
        let (length, c) = escape(left).ok_or_else(|| {
            let end = left.chars().nth(1).map_or(1, |c| 1 + c.len_utf8());
            let remedy = "known are \\n \\t \\r \\\\ \\\" \\' and \\u with four hexadecimal digits; a plain backslash is \\\\";
            Problem::new(at + place..at + place + end, "no character is written like this", remedy)
        })?;
        value.push(c);
        place += length;
    }
}

/// The length of an escape at the beginning of a text, and the character that it is.
fn escape(text: &str) -> Option<(usize, char)> {
    let letter = text[1..].chars().next()?;
    let digits = |count: usize| {
        let digits = text.get(2..2 + count).filter(|digits| digits.bytes().all(|it| it.is_ascii_hexdigit()))?;
        Some((2 + count, char::from_u32(u32::from_str_radix(digits, 16).ok()?)?))
    };
    let plain = match letter {
        'n' => '\n',
        't' => '\t',
        'r' => '\r',
        'a' => '\u{7}',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'v' => '\u{b}',
        '\\' | '"' | '\'' | '`' | '?' => letter,
        'x' | 'X' => return digits(2),
        'u' => return digits(4),
        'U' => return digits(8),
        '0'..='3' => {
            let digits = text.get(1..4).filter(|digits| digits.bytes().all(|it| (b'0'..=b'7').contains(&it)))?;
            return Some((4, char::from_u32(u32::from_str_radix(digits, 8).ok()?)?));
        }
        _ => return None,
    };
    Some((2, plain))
}
