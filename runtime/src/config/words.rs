//! What to write instead of what is wrong.

use serde_json::Value;
use toml::de::DeValue;

use super::reference::{inline, whole};
use super::tree::{Node, Shape};

/// Characters of a value that a message shows.
const SHOWN_MAX: usize = 60;

/// What is no key because `ephor serve` is told it on its command line.
const OPTIONS: [&str; 5] = ["listen", "data", "cache", "policies", "dev"];

/// From this similarity on one key may have been meant for another.
const ALIKE: f64 = 0.84;

/// What a number counts, as its key says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Bytes,
    Microseconds,
    Milliseconds,
    Seconds,
    Days,
    /// Things, or the key says it.
    None,
}

impl Unit {
    pub fn of(path: &[impl AsRef<str>], node: &Node) -> Unit {
        if !matches!(node.shape, Shape::Integer { .. }) {
            return Unit::None;
        }
        let has = |path: Option<&str>, names: &[&str]| path.is_some_and(|name| name.split('-').any(|part| names.contains(&part)));
        let last = path.last().map(AsRef::as_ref);
        match () {
            () if has(last, &["bytes"]) => Unit::Bytes,
            () if has(last, &["us"]) => Unit::Microseconds,
            () if has(last, &["ms"]) => Unit::Milliseconds,
            () if has(last, &["s", "seconds"]) => Unit::Seconds,
            () if has(last, &["days"]) => Unit::Days,
            // The names in this table are those of sources.
            () if path.iter().rev().nth(1).is_some_and(|table| table.as_ref() == "heartbeats") => Unit::Seconds,
            () => Unit::None,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Unit::Bytes => "bytes",
            Unit::Microseconds => "microseconds",
            Unit::Milliseconds => "milliseconds",
            Unit::Seconds => "seconds",
            Unit::Days => "days",
            Unit::None => "",
        }
    }

    /// ` of bytes`, for behind a number's description.
    fn of_it(self) -> String {
        match self {
            Unit::None => String::new(),
            unit => format!(" of {}", unit.name()),
        }
    }

    /// The number that stands for `256 KiB` or `5 minutes` in this unit.
    fn convert(self, text: &str) -> Option<i128> {
        let text = text.trim();
        let digits = text.find(|c: char| !c.is_ascii_digit() && c != '_').unwrap_or(text.len());
        let number: i128 = text[..digits].replace('_', "").parse().ok()?;
        let suffix = text[digits..].trim().to_ascii_lowercase();
        const US: i128 = 1_000;
        const MS: i128 = 1_000 * US;
        const S: i128 = 1_000 * MS;
        let nanos = |per: i128| {
            let length = match suffix.as_str() {
                "us" | "µs" => US,
                "ms" | "millis" | "milliseconds" => MS,
                "s" | "sec" | "secs" | "second" | "seconds" => S,
                "m" | "min" | "mins" | "minute" | "minutes" => 60 * S,
                "h" | "hour" | "hours" => 3_600 * S,
                "d" | "day" | "days" => 86_400 * S,
                _ => return None,
            };
            let all = number.checked_mul(length)?;
            (all % per == 0).then_some(all / per)
        };
        if suffix.is_empty() {
            return Some(number);
        }
        match self {
            Unit::Bytes => {
                let times: i128 = match suffix.as_str() {
                    "b" | "bytes" => 1,
                    "k" | "kib" => 1 << 10,
                    "m" | "mib" => 1 << 20,
                    "g" | "gib" => 1 << 30,
                    "kb" => 1_000,
                    "mb" => 1_000_000,
                    "gb" => 1_000_000_000,
                    _ => return None,
                };
                number.checked_mul(times)
            }
            Unit::Microseconds => nanos(US),
            Unit::Milliseconds => nanos(MS),
            Unit::Seconds => nanos(S),
            Unit::Days => nanos(86_400 * S),
            Unit::None => None,
        }
    }
}

/// The number that a text stands for; `10%` is 0.1.
fn share(text: &str) -> Option<f64> {
    match text.trim().strip_suffix('%') {
        Some(percent) => percent.trim().parse::<f64>().ok().map(|percent| percent / 100.0),
        None => text.trim().parse().ok(),
    }
}

/// A whole number; none if it has more than a hundred bits.
pub(super) fn integer(value: &DeValue<'_>) -> Option<i128> {
    match value {
        DeValue::Integer(integer) => i128::from_str_radix(integer.as_str(), integer.radix()).ok(),
        _ => None,
    }
}

/// A number with or without a fraction.
pub(super) fn number(value: &DeValue<'_>) -> Option<f64> {
    match value {
        DeValue::Float(float) => float.as_str().parse().ok(),
        _ => integer(value).map(|integer| integer as f64),
    }
}

pub(super) fn of_range(number: i128, min: &i128, max: &i128, unit: Unit) -> String {
    let unit = match unit {
        Unit::None => String::new(),
        unit => format!(" {}", unit.name()),
    };
    format!("is {number}, but must be from {} to {}{unit}", whole(*min), whole(*max))
}

/// A value of another type than the key has, or a word that is none of its words.
pub(super) fn of_type(node: &Node, value: &DeValue<'_>, path: &[String]) -> String {
    let is = format!("is {}", shown(value));
    let text = match value {
        DeValue::String(text) => Some(text.as_ref()),
        _ => None,
    };
    match &node.shape {
        Shape::Integer { min, max } => {
            let unit = Unit::of(path, node);
            let fits = |number: &i128| (*min..=*max).contains(number);
            let float = match value {
                DeValue::Float(float) => float.as_str().parse::<f64>().ok().filter(|float| float.fract() == 0.0).map(|float| float as i128),
                _ => None,
            };
            if let Some(number) = float.filter(fits) {
                return format!("{is}, which has a fraction or an exponent; write {}", whole(number));
            }
            match text.and_then(|text| unit.convert(text)).filter(fits) {
                Some(number) => format!("{is}, which is a text; write a whole number{} without quotes: {}", unit.of_it(), whole(number)),
                None => format!("{is}; write a whole number{} from {} to {}", unit.of_it(), whole(*min), whole(*max)),
            }
        }
        Shape::Number { min, max } => match text.and_then(share) {
            Some(number) => format!("{is}, which is a text; write the number without quotes: {number}"),
            None => format!("{is}; write a number from {min} to {max}"),
        },
        Shape::Boolean => format!("{is}; write true or false, without quotes"),
        Shape::Text { words, .. } if words.is_empty() => format!("{is}; write a text, in quotes"),
        Shape::Text { words, .. } => {
            let meant = text.and_then(|text| alike(text, words.iter().map(|(word, _)| word.as_str())));
            format!("{is}; write {}{}", either(words.iter().map(|(word, _)| format!("{word:?}")).collect()), did_you_mean(meant, '"'))
        }
        Shape::List(of) => match (&of.shape, text) {
            (Shape::Text { .. }, Some(text)) => format!("{is}; write a list of texts, also for one: [{text:?}]"),
            _ => format!("{is}; write a list, in brackets"),
        },
        Shape::Named { .. } => match (&node.example, value) {
            (_, DeValue::Array(_)) => format!("{is}; write a table for each name, such as [{}.NAME]", path.join(".")),
            (Some(example), _) => format!("{is}; write a table of names, such as {}", inline(example)),
            _ => format!("{is}; write a table for each name, such as [{}.NAME]", path.join(".")),
        },
        Shape::Table { .. } => format!("{is}; it is a table: write [{}], and its keys below", path.join(".")),
        Shape::Either(branches) => {
            let mut ways = Vec::new();
            let mut meant = None;
            for branch in branches {
                match &branch.shape {
                    Shape::Text { words, .. } => {
                        meant = text.and_then(|text| alike(text, words.iter().map(|(word, _)| word.as_str()))).map(str::to_string);
                        ways.extend(words.iter().map(|(word, _)| format!("{word:?}")));
                    }
                    _ => {
                        let example = node.example.as_ref().filter(|example| example.is_object()).or(branch.example.as_ref());
                        ways.extend(example.map(|example| format!("a table such as {}", inline(example))));
                    }
                }
            }
            format!("{is}; write {}{}", either(ways), did_you_mean(meant.as_deref(), '"'))
        }
    }
}

/// A key that there is not: the last of the path, in a table.
pub(super) fn of_unknown(root: &Node, table: &Node, path: &[String]) -> String {
    let Some((name, tables)) = path.split_last() else { return "is not known".into() };
    if tables.is_empty() && OPTIONS.contains(&name.as_str()) {
        return format!("is not a key here; `ephor serve --{name}` says that");
    }
    let keys: Vec<&str> = match &table.shape {
        Shape::Table { keys, .. } => keys.iter().map(|(key, _)| key.as_str()).collect(),
        _ => Vec::new(),
    };
    let is = "is not a key here";
    let as_written = kebab(name);
    if let Some(meant) = keys.iter().find(|key| **key == as_written) {
        return format!("{is}; did you mean `{meant}`?");
    }
    // A table that is misspelt may have the name of a key in another one.
    if let Some(meant) = alike(name, keys.iter().copied()).filter(|_| tables.is_empty()) {
        return format!("{is}; did you mean `{meant}`?");
    }
    let mut elsewhere = Vec::new();
    root.walk(&mut Vec::new(), &mut |other, _| {
        if other.last() == Some(&as_written.as_str()) && other.len() > 1 {
            elsewhere.push(other[..other.len() - 1].join("."));
        }
    });
    if let [only] = elsewhere.as_slice() {
        return format!("{is}; it is one of [{only}], so write it there");
    }
    if let Some(meant) = alike(name, keys.iter().copied()) {
        return format!("{is}; did you mean `{meant}`?");
    }
    match elsewhere.as_slice() {
        [] => format!("{is}; there are {}", listed(&keys)),
        several => format!("{is}; there is one in {}", either(several.iter().map(|table| format!("[{table}]")).collect())),
    }
}

/// What the parser of TOML says, and what is likely meant.
pub(super) fn of_syntax(message: &str, rest: &str) -> String {
    if message.contains("duplicate key") {
        let name = rest.split([' ', '=', ']', '\n']).next().unwrap_or_default();
        return format!("`{name}` stands here for the second time; a key or a table stands once in a file, so put both together");
    }
    let hint = match message {
        _ if message.contains("string values must be quoted") => "; write texts in quotes",
        _ if message.contains("basic string") || message.contains("literal string") => "; close the quotes on the same line",
        _ => "",
    };
    format!("{message}{hint}")
}

/// A value as a message shows it. Texts are cut, and credentials in a URL are left out.
fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => {
            let text = without_credentials(text);
            let cut: String = text.chars().take(SHOWN_MAX).collect();
            let more = if cut.len() < text.len() { "…" } else { "" };
            format!("{cut:?}{more}")
        }
        DeValue::Integer(integer) => integer.to_string(),
        DeValue::Float(float) => float.as_str().to_string(),
        DeValue::Boolean(is) => is.to_string(),
        DeValue::Datetime(_) => "a time".into(),
        DeValue::Array(_) => "a list".into(),
        DeValue::Table(_) => "a table".into(),
    }
}

/// A text without what stands between `://` and `@`.
pub(super) fn without_credentials(text: &str) -> String {
    let parts = text.split_once("://").and_then(|(scheme, rest)| {
        let host = rest.split('/').next()?;
        let (_, after) = host.rsplit_once('@')?;
        Some(format!("{scheme}://…@{after}{}", &rest[host.len()..]))
    });
    parts.unwrap_or_else(|| text.to_string())
}

fn kebab(name: &str) -> String {
    name.trim().replace('_', "-").to_ascii_lowercase()
}

/// The word that was likely meant.
fn alike<'w>(name: &str, words: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    let name = kebab(name);
    let scored = words.map(|word| (strsim::jaro_winkler(&name, word), word)).filter(|(score, _)| *score >= ALIKE);
    scored.max_by(|(one, _), (other, _)| one.total_cmp(other)).map(|(_, word)| word)
}

fn did_you_mean(meant: Option<&str>, quote: char) -> String {
    meant.map(|meant| format!("; did you mean {quote}{meant}{quote}?")).unwrap_or_default()
}

/// `a, b or c`.
fn either(ways: Vec<String>) -> String {
    match ways.as_slice() {
        [ways @ .., last] if !ways.is_empty() => format!("{} or {last}", ways.join(", ")),
        _ => ways.concat(),
    }
}

/// Some of the keys, where there are many.
fn listed(keys: &[&str]) -> String {
    let some: Vec<String> = keys.iter().take(8).map(|key| format!("`{key}`")).collect();
    let more = if keys.len() > 8 { "; `ephor config reference` shows all" } else { "" };
    format!("{}{more}", some.join(", "))
}

/// Bytes for people, where they come out even; nothing where the number says as much.
pub(super) fn binary(bytes: i128) -> Option<String> {
    let units = [(1i128 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    units.iter().find(|(size, _)| bytes >= *size && bytes % size == 0).map(|(size, unit)| format!("{} {unit}", bytes / size))
}

/// A value of JSON as a whole number.
pub(super) fn as_whole(value: &Value) -> Option<i128> {
    value.as_u64().map(i128::from).or(value.as_i64().map(i128::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_are_converted_where_they_come_out_even() {
        for (unit, text, expected) in [
            (Unit::Bytes, "256 KiB", Some(262_144)),
            (Unit::Bytes, "1MB", Some(1_000_000)),
            (Unit::Milliseconds, "1s", Some(1_000)),
            (Unit::Seconds, "5 minutes", Some(300)),
            (Unit::Seconds, "1500 ms", None),
            (Unit::Days, "48h", Some(2)),
            (Unit::None, "4", Some(4)),
            (Unit::None, "4 threads", None),
            (Unit::Bytes, "lots", None),
        ] {
            assert_eq!(unit.convert(text), expected, "{text}");
        }
    }

    #[test]
    fn credentials_are_not_shown() {
        assert_eq!(without_credentials("https://me:secret@host/a@b"), "https://…@host/a@b");
        assert_eq!(without_credentials("https://host/a@b"), "https://host/a@b");
    }
}
