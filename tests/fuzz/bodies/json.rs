//! Another reader of JSON (RFC 8259), written without a look at the one that is tried: what
//! it says counts.

use std::collections::HashSet;

/// A value; numbers and order are as they were written.
#[derive(Debug, Clone, PartialEq)]
pub enum Json {
    Null,
    Boolean(bool),
    Number(String),
    Text(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

/// Deeper than that nothing is read.
const LEVELS_MAX: usize = 200;

/// Why a text has no value here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Not {
    /// No JSON; a text with half of a surrogate pair is none.
    Json,
    /// More levels than are read. What is behind was not looked at.
    Deep,
}

/// Reads a whole text.
pub fn read(text: &str) -> Result<Json, Not> {
    let mut reader = Reader { text, at: 0 };
    let value = reader.value(0)?;
    reader.space();
    if reader.at == text.len() { Ok(value) } else { Err(Not::Json) }
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn take(&mut self, word: &str) -> Result<(), Not> {
        if !self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            return Err(Not::Json);
        }
        self.at += word.len();
        Ok(())
    }

    fn value(&mut self, level: usize) -> Result<Json, Not> {
        self.space();
        match self.peek().ok_or(Not::Json)? {
            b'n' => self.take("null").map(|()| Json::Null),
            b't' => self.take("true").map(|()| Json::Boolean(true)),
            b'f' => self.take("false").map(|()| Json::Boolean(false)),
            b'"' => self.string().map(Json::Text),
            b'[' | b'{' if level == LEVELS_MAX => Err(Not::Deep),
            b'[' => self.array(level + 1),
            b'{' => self.object(level + 1),
            _ => self.number(),
        }
    }

    fn array(&mut self, level: usize) -> Result<Json, Not> {
        self.at += 1;
        let mut items = Vec::new();
        self.space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Json::Array(items));
        }
        loop {
            items.push(self.value(level)?);
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => break self.at += 1,
                _ => return Err(Not::Json),
            }
        }
        Ok(Json::Array(items))
    }

    fn object(&mut self, level: usize) -> Result<Json, Not> {
        self.at += 1;
        let mut members = Vec::new();
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Json::Object(members));
        }
        loop {
            self.space();
            let name = self.string()?;
            self.space();
            self.take(":")?;
            members.push((name, self.value(level)?));
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => break self.at += 1,
                _ => return Err(Not::Json),
            }
        }
        Ok(Json::Object(members))
    }

    fn number(&mut self) -> Result<Json, Not> {
        let begin = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits()?,
            _ => return Err(Not::Json),
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(Json::Number(self.text[begin..self.at].to_string()))
    }

    fn digits(&mut self) -> Result<(), Not> {
        let begin = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at > begin { Ok(()) } else { Err(Not::Json) }
    }

    fn string(&mut self) -> Result<String, Not> {
        self.take("\"")?;
        let mut units = Vec::new();
        loop {
            let letter = self.text[self.at..].chars().next().ok_or(Not::Json)?;
            self.at += letter.len_utf8();
            match letter {
                '"' => break,
                '\\' => units.push(self.escape()?),
                '\0'..='\u{1f}' => return Err(Not::Json),
                _ => units.extend_from_slice(letter.encode_utf16(&mut [0; 2])),
            }
        }
        String::from_utf16(&units).map_err(|_| Not::Json)
    }

    fn escape(&mut self) -> Result<u16, Not> {
        let letter = self.peek().ok_or(Not::Json)?;
        self.at += 1;
        Ok(match letter {
            b'"' | b'\\' | b'/' => letter.into(),
            b'b' => 8,
            b'f' => 12,
            b'n' => 10,
            b'r' => 13,
            b't' => 9,
            b'u' => {
                let digits = self.text.get(self.at..self.at + 4).ok_or(Not::Json)?;
                self.at += 4;
                let plain = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
                u16::from_str_radix(digits, 16).ok().filter(|_| plain).ok_or(Not::Json)?
            }
            _ => return Err(Not::Json),
        })
    }
}

impl Json {
    /// The member of this name, if it is an object that has one.
    pub fn get(&self, name: &str) -> Option<&Json> {
        let Json::Object(members) = self else { return None };
        members.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// What a JSON Pointer leads to (RFC 6901).
    pub fn pointer(&self, pointer: &str) -> Option<&Json> {
        pointer.split('/').skip(1).try_fold(self, |value, step| {
            let step = step.replace("~1", "/").replace("~0", "~");
            match value {
                Json::Object(_) => value.get(&step),
                Json::Array(items) => {
                    let index = step.parse::<usize>().ok().filter(|index| index.to_string() == step)?;
                    items.get(index)
                }
                _ => None,
            }
        })
    }

    /// Whether an object in it has two members of one name.
    pub fn has_duplicates(&self) -> bool {
        match self {
            Json::Array(items) => items.iter().any(Json::has_duplicates),
            Json::Object(members) => {
                let names: HashSet<&str> = members.iter().map(|(name, _)| name.as_str()).collect();
                names.len() < members.len() || members.iter().any(|(_, value)| value.has_duplicates())
            }
            _ => false,
        }
    }

    /// Whether it has a number that does not fit: an integer beyond 64 bits with a sign, or
    /// one beyond binary64.
    pub fn has_unfit_numbers(&self) -> bool {
        match self {
            Json::Number(text) => match integer(text) {
                Some(fits) => fits.is_none(),
                None => text.parse::<f64>().is_ok_and(f64::is_infinite),
            },
            Json::Array(items) => items.iter().any(Json::has_unfit_numbers),
            Json::Object(members) => members.iter().any(|(_, value)| value.has_unfit_numbers()),
            _ => false,
        }
    }

    /// Levels of objects and arrays.
    pub fn levels(&self) -> usize {
        match self {
            Json::Array(items) => 1 + items.iter().map(Json::levels).max().unwrap_or(0),
            Json::Object(members) => 1 + members.iter().map(|(_, value)| value.levels()).max().unwrap_or(0),
            _ => 0,
        }
    }
}

/// A number that is written as an integer, and its value if 64 bits hold it.
pub fn integer(text: &str) -> Option<Option<i64>> {
    (!text.contains(['.', 'e', 'E'])).then(|| text.parse().ok())
}
