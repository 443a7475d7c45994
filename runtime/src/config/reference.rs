//! The reference: a whole configuration file with every default, and every key's comment.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::Value;

use super::tree::{Node, Shape};
use super::words::{Unit, as_whole, binary};

/// Characters of a comment's line.
const WIDTH: usize = 92;

const HEAD: &str = "\
# The configuration of `ephor`: every key, what it is for, and its default.
#
# A key that is left out has its default, so a file needs only what is to be other.
# Lines that begin with `#` and no space are examples. `ephor config check FILE` says
# what is wrong with a file, all of it at once; on SIGHUP, or when the file changes,
# `ephor serve` takes over what it can without a restart.
";

/// Writes it.
pub(super) fn write() -> String {
    let root = Node::root();
    let mut keys = BTreeSet::new();
    root.walk(&mut Vec::new(), &mut |path, _| keys.extend(path.last().map(ToString::to_string)));
    let mut out = Writer { out: HEAD.to_string(), keys };
    out.tables(&root, &mut Vec::new(), false);
    out.out
}

/// What a table of the operator's own is called in an example.
fn example_name(table: &str) -> &'static str {
    match table {
        "outgoing" => "fraud-team",
        _ => "transport-office",
    }
}

struct Writer {
    out: String,
    /// All names of keys: in comments they are written as in the file.
    keys: BTreeSet<String>,
}

impl Writer {
    /// The keys of a table, then the tables in it.
    fn tables(&mut self, table: &Node, path: &mut Vec<String>, is_example: bool) {
        let Shape::Table { keys, .. } = &table.shape else { return };
        for (name, node) in keys.iter().filter(|(_, node)| !is_table(node)) {
            path.push(name.clone());
            self.key(node, path, is_example);
            path.pop();
        }
        for (name, node) in keys.iter().filter(|(_, node)| is_table(node)) {
            path.push(name.clone());
            match &node.shape {
                Shape::Named { of, .. } if is_table(of) => {
                    let mut shown = path.clone();
                    shown.push(example_name(name).to_string());
                    path.push("NAME".into());
                    self.table_head(&node.doc, &shown);
                    let _ = writeln!(self.out, "#[{}]", shown.join("."));
                    self.tables(of, &mut shown, true);
                    path.pop();
                }
                Shape::Named { of, .. } => {
                    self.table_head(&node.doc, path);
                    self.facts(of, &[path.as_slice(), &["NAME".into()]].concat());
                    let _ = writeln!(self.out, "{}[{}]", if is_example { "#" } else { "" }, path.join("."));
                    for (name, value) in node.example.iter().filter_map(Value::as_object).flatten() {
                        let _ = writeln!(self.out, "#{name:?} = {}", inline(value));
                    }
                }
                _ => {
                    self.table_head(&node.doc, path);
                    let _ = writeln!(self.out, "{}[{}]", if is_example { "#" } else { "" }, path.join("."));
                    self.tables(node, path, is_example);
                }
            }
            path.pop();
        }
    }

    fn table_head(&mut self, doc: &str, path: &[String]) {
        // A table of its own begins apart.
        self.out.push_str(if path.len() == 1 { "\n\n" } else { "\n" });
        self.comment(doc);
    }

    fn key(&mut self, node: &Node, path: &[String], is_example: bool) {
        self.out.push('\n');
        self.comment(&node.doc);
        self.facts(node, path);
        let name = path.last().map(String::as_str).unwrap_or_default();
        let value = if is_example { node.example.as_ref().or(node.default.as_ref()) } else { node.default.as_ref() };
        match value {
            Some(value) => {
                let _ = writeln!(self.out, "{}{name} = {}", if is_example { "#" } else { "" }, inline(value));
            }
            // Absent by default; an example or the least of its range shows how it is written.
            None => {
                let shown = match (&node.example, &node.shape) {
                    (Some(example), _) => inline(example),
                    (None, Shape::Integer { min, .. }) => whole(*min),
                    (None, _) => "\"\"".into(),
                };
                let _ = writeln!(self.out, "#{name} = {shown}");
            }
        }
    }

    /// Range, unit and words, as far as the key has them.
    fn facts(&mut self, node: &Node, path: &[String]) {
        let unit = Unit::of(path, node);
        match &node.shape {
            Shape::Integer { min, max } => {
                let spelled = |number: i128| match binary(number).filter(|_| unit == Unit::Bytes) {
                    Some(binary) => format!("{} ({binary})", whole(number)),
                    None => whole(number),
                };
                let mut fact = format!("From {} to {}", spelled(*min), spelled(*max));
                if unit != Unit::None {
                    let _ = write!(fact, " {}", unit.name());
                }
                match node.default.as_ref().and_then(as_whole).and_then(binary).filter(|_| unit == Unit::Bytes) {
                    Some(binary) => {
                        let _ = write!(fact, "; the default is {binary}.");
                    }
                    None => fact.push('.'),
                }
                self.comment(&fact);
            }
            Shape::Number { min, max } => self.comment(&format!("From {min} to {max}.")),
            Shape::Boolean => self.comment("`true` or `false`."),
            Shape::Text { words, .. } => self.words(words),
            Shape::Either(branches) => {
                for branch in branches {
                    match &branch.shape {
                        Shape::Text { words, .. } => self.words(words),
                        Shape::Table { keys, .. } => {
                            let keys: Vec<&str> = keys.iter().map(|(key, _)| key.as_str()).collect();
                            let doc = if branch.doc.is_empty() { String::new() } else { format!(": {}", branch.doc) };
                            self.item(&format!("a table with {}{doc}", keys.join(", ")));
                        }
                        _ => {}
                    }
                }
            }
            Shape::List(_) | Shape::Named { .. } | Shape::Table { .. } => {}
        }
    }

    fn words(&mut self, words: &[(String, String)]) {
        if words.iter().all(|(_, doc)| doc.is_empty()) {
            if !words.is_empty() {
                self.comment(&format!("One of {}.", words.iter().map(|(word, _)| format!("{word:?}")).collect::<Vec<_>>().join(", ")));
            }
            return;
        }
        words.iter().for_each(|(word, doc)| self.item(&format!("{word:?}: {doc}")));
    }

    fn comment(&mut self, text: &str) {
        for paragraph in text.split("\n\n") {
            self.wrap(paragraph, "# ", "# ");
        }
    }

    fn item(&mut self, text: &str) {
        self.wrap(text, "# - ", "#   ");
    }

    fn wrap(&mut self, text: &str, first: &str, further: &str) {
        let mut line = first.to_string();
        let mut is_begun = false;
        let words: Vec<String> = text.split_whitespace().map(|word| self.word(word)).collect();
        for word in words {
            if is_begun && line.chars().count() + 1 + word.chars().count() > WIDTH {
                let _ = writeln!(self.out, "{line}");
                (line, is_begun) = (further.to_string(), false);
            }
            if is_begun {
                line.push(' ');
            }
            line.push_str(&word);
            is_begun = true;
        }
        if is_begun {
            let _ = writeln!(self.out, "{line}");
        }
    }

    /// `event_bytes_max` is `event-bytes-max` in the file.
    fn word(&self, word: &str) -> String {
        let parts: Vec<String> = word
            .split('`')
            .enumerate()
            .map(|(at, part)| {
                let key = part.replace('_', "-");
                if at % 2 == 1 && self.keys.contains(&key) { key } else { part.to_string() }
            })
            .collect();
        parts.join("`")
    }
}

fn is_table(node: &Node) -> bool {
    matches!(node.shape, Shape::Table { .. } | Shape::Named { .. })
}

/// A value as TOML writes it in one line.
pub(super) fn inline(value: &Value) -> String {
    match value {
        Value::Object(table) if table.is_empty() => "{}".into(),
        Value::Object(table) => {
            let is_bare = |key: &str| key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
            let pair = |(key, value): (&String, &Value)| {
                let key = if is_bare(key) { key.clone() } else { format!("{key:?}") };
                format!("{key} = {}", inline(value))
            };
            format!("{{ {} }}", table.iter().map(pair).collect::<Vec<_>>().join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", ")),
        // Strings of JSON are strings of TOML.
        _ => as_whole(value).map_or_else(|| value.to_string(), whole),
    }
}

/// A whole number, with underscores where it is long.
pub(super) fn whole(number: i128) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) && digits.len() > 4 {
            out.push('_');
        }
        out.push(digit);
    }
    if number < 0 { format!("-{out}") } else { out }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Checked, Config};

    #[test]
    fn the_reference_is_the_default() {
        let checked = Checked::new(&write());
        assert_eq!((checked.problems, checked.config), (Vec::new(), Config::default()));
    }

    /// Its examples as well: nobody should copy what is then refused.
    #[test]
    fn the_examples_of_the_reference_are_right() {
        let is_example = |line: &str| line.strip_prefix('#').filter(|rest| !rest.is_empty() && !rest.starts_with(' ')).map(str::to_string);
        let text: String = write().lines().map(|line| is_example(line).unwrap_or_else(|| line.to_string()) + "\n").collect();
        let checked = Checked::new(&text);
        // Of the ways to say something the reference shows all, and a file has one.
        let wrong: Vec<_> = checked.problems.iter().filter(|problem| !problem.message.contains("one of them")).collect();
        assert!(wrong.is_empty(), "{wrong:?}\n{text}");
        assert!(checked.config.publishers.contains_key("transport-office"));
        assert_eq!(checked.config.spine.heartbeats["/shop"], 60);
    }

    #[test]
    fn every_key_is_in_it() {
        let text = write();
        let root = Node::root();
        root.walk(&mut Vec::new(), &mut |path, node| {
            let name = path.last().copied().unwrap_or_default();
            let is_in = is_table(node)
                || name == "NAME"
                || text.lines().any(|line| line.trim_start_matches('#').starts_with(&format!("{name} = ")));
            assert!(is_in, "{}", path.join("."));
        });
    }

    #[test]
    fn long_numbers_are_grouped() {
        assert_eq!([0, 4_096, 65_536, 1 << 20, -12_345].map(whole), ["0", "4096", "65_536", "1_048_576", "-12_345"]);
    }
}
