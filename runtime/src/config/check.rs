//! Everything that is wrong with a configuration, at once, each with its place.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::{Map, Number, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::tree::{Node, Shape};
use super::words::{self, Unit};
use super::{Config, misfits};
use crate::policy::publisher::dotted;
use crate::repository::Location;

/// Parts of the key of a publisher's table: `publishers.NAME`.
const PUBLISHER: usize = 2;

/// One thing that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Line in the file, from 1 on.
    pub line: usize,
    /// Character in the line, from 1 on.
    pub column: usize,
    /// The key, with the tables that it is in; empty if the file is no TOML there.
    pub key: String,
    /// What is wrong, and what to write instead; a sentence that begins with the key.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Problem { line, column, key, message } = self;
        write!(f, "{line}:{column}: {key}{}{message}", if key.is_empty() { "" } else { " " })
    }
}

/// What a text is as a configuration.
#[derive(Debug, Clone)]
pub struct Checked {
    /// What can be used of it; everything if there are no problems.
    pub config: Config,
    /// What is wrong, in the order of the file.
    pub problems: Vec<Problem>,
    places: Places,
}

/// Where keys and values stand, in bytes from the beginning.
#[derive(Debug, Clone, Default)]
struct Places {
    /// Bytes at which lines begin.
    lines: Vec<usize>,
    text: String,
    keys: BTreeMap<Vec<String>, usize>,
    values: BTreeMap<Vec<String>, usize>,
}

impl Places {
    fn new(text: &str) -> Places {
        let lines = std::iter::once(0).chain(text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1));
        Places { lines: lines.collect(), text: text.to_string(), ..Places::default() }
    }

    fn problem(&self, at: usize, key: &[String], message: String) -> Problem {
        let line = self.lines.partition_point(|begin| *begin <= at).max(1);
        let begin = self.lines[line - 1];
        let column = self.text.get(begin..at).map_or(0, |before| before.chars().count()) + 1;
        Problem { line, column, key: dotted(key), message }
    }

    /// Where the value of a key is, or else the table that it would be in.
    fn of(&self, key: &[String]) -> usize {
        if let Some(at) = self.values.get(key) {
            return *at;
        }
        (1..=key.len()).rev().find_map(|length| self.keys.get(&key[..length])).copied().unwrap_or(0)
    }
}

impl Checked {
    /// Reads a text as a configuration. Files that it names are not looked at.
    pub fn new(text: &str) -> Checked {
        let mut places = Places::new(text);
        let (table, errors) = DeTable::parse_recoverable(text);
        if !errors.is_empty() {
            // What was read around an error may be anything.
            let problems = errors.iter().map(|error| {
                let at = error.span().map_or(0, |span| span.start);
                places.problem(at, &[], words::of_syntax(error.message(), text.get(at..).unwrap_or_default()))
            });
            return Checked { config: Config::default(), problems: in_order(problems.collect()), places };
        }
        let root = Node::root();
        let mut walk = Walk { root: &root, places: &mut places, problems: Vec::new(), wrong: Vec::new() };
        let taken = walk.table(&root, table.get_ref(), &mut Vec::new(), 0);
        let Walk { mut problems, wrong, .. } = walk;
        let config = match serde_path_to_error::deserialize::<_, Config>(Value::Object(taken)) {
            Ok(config) => config,
            Err(error) => {
                let key: Vec<String> = error.path().to_string().split('.').map(str::to_string).collect();
                problems.push(places.problem(places.of(&key), &key, format!("cannot be used: {}", error.inner())));
                Config::default()
            }
        };
        // What was wrong is not in what is looked at here, and was said.
        // What is wrong inside of a value is not what is wrong with it; tables are no values.
        let is_value = |key: &[String]| places.values.contains_key(key) || key.len() > PUBLISHER;
        let said = |key: &[String]| wrong.iter().any(|wrong| key.starts_with(wrong) || is_value(key) && wrong.starts_with(key));
        for misfit in misfits(&config).into_iter().filter(|misfit| !said(&misfit.key)) {
            problems.push(places.problem(places.of(&misfit.key), &misfit.key, misfit.message));
        }
        Checked { config, problems: in_order(problems), places }
    }

    /// Files that the configuration names, that are not there, and that it is of no use
    /// without. Relative paths begin at `base`.
    pub fn missing_files(&self, base: &Path) -> Vec<Problem> {
        let named = self.config.publishers.iter().filter(|(_, publisher)| !publisher.root.as_os_str().is_empty());
        let gone = named.map(|(name, publisher)| (vec!["publishers", name.as_str(), "root"], base.join(&publisher.root)));
        let doors = self.config.server.tls.files().map(|(key, file)| (vec!["server", "tls", key], base.join(file)));
        let access = self.config.access.files(base);
        let headers = self.config.telemetry.traces.headers_file.iter();
        let headers = headers.map(|file| (vec!["telemetry", "traces", "headers-file"], base.join(file)));
        let told = self.config.outgoing.iter().flat_map(|(name, destination)| {
            destination.files().into_iter().map(move |([table, key], file)| (vec!["outgoing", name.as_str(), table, key], base.join(file)))
        });
        let gone = gone.chain(doors).chain(access).chain(headers).chain(told).filter(|(_, file)| !file.is_file());
        in_order(gone.map(|(key, file)| self.gone(&key, "file", &file)).collect())
    }

    /// Folders that the configuration names and that are not there: they may come later.
    pub fn missing_folders(&self, base: &Path) -> Vec<Problem> {
        let Config { publishers, server, .. } = &self.config;
        let followed = publishers.iter().filter_map(|(name, publisher)| match publisher.repository.parse() {
            Ok(Location::Folder(folder)) => Some((vec!["publishers", name.as_str(), "repository"], folder)),
            _ => None,
        });
        let served = server.repositories.iter().map(|(name, folder)| (vec!["server", "repositories", name.as_str()], folder.clone()));
        let gone = followed.chain(served).map(|(key, folder)| (key, base.join(folder))).filter(|(_, folder)| !folder.is_dir());
        in_order(gone.map(|(key, folder)| self.gone(&key, "folder", &folder)).collect())
    }

    fn gone(&self, key: &[&str], what: &str, path: &Path) -> Problem {
        let key: Vec<String> = key.iter().map(ToString::to_string).collect();
        let message = format!("names the {what} {}, which is not there; relative paths begin where the configuration is", path.display());
        self.places.problem(self.places.of(&key), &key, message)
    }
}

fn in_order(mut problems: Vec<Problem>) -> Vec<Problem> {
    problems.sort_by_key(|problem| (problem.line, problem.column));
    problems
}

/// All that is wrong with a file, for whoever has to mend it.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Which file.
    pub file: PathBuf,
    /// What is wrong with it.
    pub problems: Vec<Problem>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.problems.iter().map(|problem| format!("{}:{problem}", self.file.display())).collect();
        f.write_str(&lines.join("\n"))
    }
}

/// A walk along a document and what it may have.
struct Walk<'w> {
    root: &'w Node,
    places: &'w mut Places,
    problems: Vec<Problem>,
    /// Keys that something is wrong with.
    wrong: Vec<Vec<String>>,
}

impl Walk<'_> {
    fn say(&mut self, at: usize, key: &[String], message: String) {
        self.problems.push(self.places.problem(at, key, message));
        self.wrong.push(key.to_vec());
    }

    /// What is right in a table that begins at a place.
    fn table(&mut self, node: &Node, table: &DeTable<'_>, path: &mut Vec<String>, at: usize) -> Map<String, Value> {
        let mut taken = Map::new();
        for (key, value) in table {
            let (name, span) = (key.get_ref().to_string(), key.span());
            path.push(name.clone());
            self.places.keys.insert(path.clone(), span.start);
            match node.key(&name) {
                None => {
                    let message = words::of_unknown(self.root, node, path);
                    self.say(span.start, path, message);
                }
                Some(of) => {
                    if let Shape::Named { name_bytes: (min, max), .. } = &node.shape
                        && !(*min..=*max).contains(&(name.len() as u64))
                    {
                        self.say(span.start, path, format!("is a name of {} bytes; names here have from {min} to {max}", name.len()));
                    } else if let Some(value) = self.value(of, value, path) {
                        taken.insert(name, value);
                    }
                }
            }
            path.pop();
        }
        if let Shape::Table { required, .. } = &node.shape {
            for name in required.iter().filter(|name| !table.contains_key(name.as_str())) {
                self.say(at, path, format!("has no `{name}`, which it needs"));
            }
        }
        taken
    }

    /// A value, if it is right.
    fn value(&mut self, node: &Node, spanned: &Spanned<DeValue<'_>>, path: &mut Vec<String>) -> Option<Value> {
        let (value, at) = (spanned.get_ref(), spanned.span().start);
        if !matches!(value, DeValue::Table(_)) {
            self.places.values.insert(path.clone(), at);
        }
        match self.judge(node, value, path, at) {
            Ok(value) => value,
            Err(message) => {
                self.say(at, path, message);
                None
            }
        }
    }

    /// A value, or what is wrong with it as a whole; nothing where it was said already.
    fn judge(&mut self, node: &Node, value: &DeValue<'_>, path: &mut Vec<String>, at: usize) -> Result<Option<Value>, String> {
        let key = path.clone();
        let wanted = || words::of_type(node, value, &key);
        Ok(Some(match (&node.shape, value) {
            (Shape::Table { .. } | Shape::Named { .. }, DeValue::Table(table)) => {
                let at = self.places.keys.get(path).copied().unwrap_or(at);
                let taken = self.table(node, table, path, at);
                if let Shape::Table { required, .. } = &node.shape
                    && !required.iter().all(|name| taken.contains_key(name))
                {
                    return Ok(None);
                }
                Value::Object(taken)
            }
            (Shape::List(of), DeValue::Array(items)) => {
                let mut taken = Vec::new();
                for item in items {
                    let at = item.span().start;
                    match self.judge(of, item.get_ref(), path, at) {
                        Ok(item) => taken.extend(item),
                        Err(message) => self.say(at, path, format!("has an item that {message}")),
                    }
                }
                Value::Array(taken)
            }
            (Shape::Integer { min, max }, DeValue::Integer(_)) => {
                let number = words::integer(value).ok_or_else(wanted)?;
                if !(*min..=*max).contains(&number) {
                    return Err(words::of_range(number, min, max, Unit::of(path, node)));
                }
                Value::Number(u64::try_from(number).map(Number::from).or(i64::try_from(number).map(Number::from)).map_err(|_| wanted())?)
            }
            (Shape::Number { min, max }, DeValue::Integer(_) | DeValue::Float(_)) => {
                let number = words::number(value).ok_or_else(wanted)?;
                if !(*min..=*max).contains(&number) {
                    return Err(format!("is {number}, but must be from {min} to {max}"));
                }
                Value::Number(Number::from_f64(number).ok_or_else(wanted)?)
            }
            (Shape::Boolean, DeValue::Boolean(is)) => Value::Bool(*is),
            (Shape::Text { words, judged }, DeValue::String(text)) => {
                if !judged && !words.is_empty() && !words.iter().any(|(word, _)| word == text) {
                    return Err(wanted());
                }
                Value::String(text.to_string())
            }
            (Shape::Either(branches), _) => {
                let fits = |node: &&Node| {
                    matches!(
                        (&node.shape, value),
                        (Shape::Table { .. }, DeValue::Table(_))
                            | (Shape::Text { .. }, DeValue::String(_))
                            | (Shape::Integer { .. }, DeValue::Integer(_))
                    )
                };
                let branch = branches.iter().find(fits).ok_or_else(wanted)?;
                // The words of one branch alone would hide that there are others.
                let judged = self.judge(branch, value, path, at);
                return judged.map_err(|message| match value {
                    DeValue::String(_) => wanted(),
                    _ => message,
                });
            }
            _ => return Err(wanted()),
        }))
    }
}
