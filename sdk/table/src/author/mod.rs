//! A file of rules: read, checked, and put into a component.

mod check;
mod file;
mod lex;
mod moment;
mod names;
mod nearest;
mod parse;
mod place;
mod schema;
mod slot;

use std::fmt;
use std::ops::Range;

use toml::Spanned;

use crate::functions::Type;
use crate::program::{Expr, Field, Form, Keyed, Kind, Measure, PROGRAM_BYTES_MAX, Program, Rule, Setting, Window};
use check::Names;
use file::{FieldEntry, File, RuleEntry, SettingEntry, WindowEntry, WindowKind, in_order};

pub use slot::{NoSlot, install};

/// The prebuilt module that judges by the rules of a file, without any rules yet. Made of
/// `sdk/table/guest` with `make table`; a test holds it against what that gives.
pub const GUEST: &[u8] = include_bytes!("../../guest.wasm");

/// What a window keeps at most where the file does not say.
const MOST_DEFAULT: u32 = 1_000;
/// More would be a state that is written anew, as a whole, for each event of its key.
const MOST_MAX: u32 = 10_000;

/// What is wrong in a file, where, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Bytes: of the expression until it is known where that stands, then of the file.
    at: Range<usize>,
    line: usize,
    column: usize,
    what: String,
    remedy: String,
}

impl Problem {
    fn new(at: Range<usize>, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { at, line: 0, column: 0, what: what.into(), remedy: remedy.into() }
    }

    /// The line, from 1.
    #[must_use]
    pub const fn line(&self) -> usize {
        self.line
    }

    /// The column, from 1, in characters.
    #[must_use]
    pub const fn column(&self) -> usize {
        self.column
    }

    /// What is wrong.
    #[must_use]
    pub fn what(&self) -> &str {
        &self.what
    }

    /// What to do.
    #[must_use]
    pub fn remedy(&self) -> &str {
        &self.remedy
    }
}

/// `LINE:COLUMN: what is wrong; what to do`
impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, column, what, remedy, .. } = self;
        write!(out, "{line}:{column}: {what}; {remedy}")
    }
}

impl std::error::Error for Problem {}

/// Reads a file of rules.
///
/// # Errors
///
/// Every problem that was found, in the order of the file. Where the file is no TOML, or
/// has members that are not known or of another type, it is the first one only.
pub fn compile(text: &str) -> Result<Program, Vec<Problem>> {
    let file: File = match toml::from_str(text) {
        Ok(file) => file,
        Err(error) => {
            let problem = Problem::new(error.span().unwrap_or(0..0), first_line(error.message()), remedy(error.message()));
            return Err(located(text, vec![problem]));
        }
    };
    let mut author = Author { text, problems: Vec::new(), names: Names::default() };
    let program = author.program(&file);
    if author.problems.is_empty() {
        match program.to_bytes().map(|bytes| bytes.len()) {
            Ok(length) if length <= PROGRAM_BYTES_MAX => return Ok(program),
            Ok(length) => {
                let what = format!("the rules take {length} bytes in their component, at most {PROGRAM_BYTES_MAX}");
                author.problems.push(Problem::new(0..0, what, "make two policies of them"));
            }
            Err(error) => author.problems.push(Problem::new(0..0, error.to_string(), "report this as an error of Ephor")),
        }
    }
    Err(located(text, author.problems))
}

/// With lines and columns, in the order of the file.
fn located(text: &str, mut problems: Vec<Problem>) -> Vec<Problem> {
    problems.sort_by_key(|problem| problem.at.start);
    for problem in &mut problems {
        (problem.line, problem.column) = place::line_and_column(text, problem.at.start);
    }
    problems
}

fn first_line(message: &str) -> String {
    message.lines().next().unwrap_or_default().to_owned()
}

/// What to do about what the reader of TOML says.
fn remedy(message: &str) -> String {
    for (part, remedy) in [
        ("missing field `legal_basis`", "name the act and the article that the rule carries out: legal_basis = \"…\""),
        ("missing field `purpose`", "say why the policy needs the field, in one sentence"),
        ("missing field `message`", "give the message in at least one language: message.en = \"…\""),
        ("missing field `about`", "say in one sentence what the setting decides"),
        ("missing field `rule`", "add a [[rule]]"),
        ("missing field", "add it"),
        ("unknown field", "take one of these, or remove it"),
        ("unknown variant", "take one of these"),
        ("invalid type", "write a value of that type"),
        ("duplicate key", "give it once"),
    ] {
        if message.contains(part) {
            return remedy.to_owned();
        }
    }
    let more = message.lines().nth(1).unwrap_or("see what the lines before it look like");
    more.to_owned()
}

struct Author<'text> {
    text: &'text str,
    problems: Vec<Problem>,
    names: Names,
}

fn type_of(kind: Kind) -> Type {
    match kind {
        Kind::Boolean => Type::Boolean,
        Kind::Integer => Type::Integer,
        Kind::Float => Type::Float,
        Kind::Text => Type::Text,
        Kind::Time => Type::Time,
    }
}

impl Author<'_> {
    fn say(&mut self, at: Range<usize>, what: impl Into<String>, remedy: impl Into<String>) {
        self.problems.push(Problem::new(at, what, remedy));
    }

    fn program(&mut self, file: &File) -> Program {
        self.check_head(file);
        let lists = self.unique("list", file.lists.iter(), names::is_name, names::NAME);
        self.unique("field", file.fields.iter().map(|field| &field.name), names::is_identifier, names::IDENTIFIER);
        self.unique("setting", file.settings.keys(), names::is_identifier, names::IDENTIFIER);
        let windows = self.unique("window", file.windows.iter().map(|window| &window.name), names::is_identifier, names::IDENTIFIER);
        self.unique("rule", file.rules.get_ref().iter().map(|rule| &rule.id), names::is_name, names::NAME);

        let settings: Vec<Setting> = in_order(&file.settings).into_iter().map(|(name, entry)| self.setting(name, entry)).collect();
        self.names.settings = settings.iter().map(|setting| (setting.name.clone(), setting_type(setting))).collect();
        // A hyphen would be a minus.
        self.names.lists = lists.iter().map(|list| list.replace('-', "_")).collect();
        self.names.has_event = true;
        let fields: Vec<Field> = file.fields.iter().map(|field| self.field(field)).collect();
        let of_fields = file.fields.iter().zip(&fields);
        self.names.fields = of_fields.map(|(entry, field)| (entry.name.get_ref().clone(), type_of(field.kind), field.required)).collect();
        let keyed = self.keyed(file, &fields);
        let all_windows: Vec<Window> = file.windows.iter().filter_map(|window| self.window(window, file, &fields)).collect();
        self.names.windows = Some(windows);
        let rules = file.rules.get_ref().iter().map(|rule| self.rule(rule)).collect();
        if file.rules.get_ref().is_empty() {
            self.say(file.rules.span(), "the file has no rule", "add a [[rule]]");
        }
        Program {
            name: file.name.get_ref().clone(),
            version: file.version.get_ref().clone(),
            summary: file.summary.get_ref().clone(),
            events: file.events.get_ref().iter().map(|event| event.get_ref().clone()).collect(),
            settings_schema: schema::of(&file.settings, &settings),
            fields,
            settings,
            lists,
            keyed,
            windows: all_windows,
            rules,
        }
    }

    fn check_head(&mut self, file: &File) {
        if !names::is_name(file.name.get_ref()) {
            self.say(file.name.span(), format!("{:?} is no name of a policy", file.name.get_ref()), names::NAME);
        }
        let parts: Vec<&str> = file.version.get_ref().split(['-', '+']).next().unwrap_or_default().split('.').collect();
        let is_number = |part: &&str| !part.is_empty() && part.bytes().all(|it| it.is_ascii_digit());
        if parts.len() != 3
            || !parts.iter().all(is_number)
            || !file.version.get_ref().bytes().all(|it| it.is_ascii_graphic())
            || file.version.get_ref().len() > 64
        {
            self.say(file.version.span(), format!("{:?} is no version", file.version.get_ref()), "write it as \"1.0.0\"");
        }
        self.check_text(&file.summary, "say in one sentence what the policy does");
        if file.events.get_ref().is_empty() {
            self.say(file.events.span(), "the policy would never be asked", "name the types of events that it is about");
        }
        for event in file.events.get_ref() {
            self.check_text(event, "name the type of the events, such as \"shop.order.placed\"");
        }
        let first_too_many = |names: Vec<Range<usize>>, most: usize| names.get(most).cloned();
        for (what, most, places) in [
            ("event types", 64, file.events.get_ref().iter().map(Spanned::span).collect()),
            ("lists", 8, file.lists.iter().map(Spanned::span).collect()),
            ("fields", 64, file.fields.iter().map(|field| field.name.span()).collect()),
            ("windows", 64, file.windows.iter().map(|window| window.name.span()).collect()),
            ("rules", 1_000, file.rules.get_ref().iter().map(|rule| rule.id.span()).collect()),
            ("fields of a key", 8, file.key.iter().flat_map(|key| key.get_ref().fields.get_ref()).map(Spanned::span).collect()),
        ] {
            if let Some(place) = first_too_many(places, most) {
                self.say(place, format!("a policy has at most {most} {what}"), "make two policies of them");
            }
        }
    }

    fn check_text(&mut self, text: &Spanned<String>, remedy: &str) {
        if text.get_ref().trim().is_empty() {
            self.say(text.span(), "this text is empty", remedy);
        } else if text.get_ref().len() > names::TEXT_BYTES_MAX {
            self.say(text.span(), format!("this text has {} bytes, at most {}", text.get_ref().len(), names::TEXT_BYTES_MAX), "shorten it");
        }
    }

    /// Names that have a form and are there once.
    fn unique<'file>(
        &mut self,
        what: &str,
        all: impl Iterator<Item = &'file Spanned<String>>,
        has_form: fn(&str) -> bool,
        remedy: &str,
    ) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        for name in all {
            let text = name.get_ref();
            if !has_form(text) {
                self.say(name.span(), format!("{text:?} is no name of a {what}"), remedy);
            } else if found.contains(text) {
                self.say(name.span(), format!("there is a {what} {text:?} before"), "give each a name of its own");
            }
            found.push(text.clone());
        }
        found
    }

    /// An expression of a type; says what is wrong with it.
    fn expression(&mut self, source: &Spanned<String>, wanted: &[Type], why: &str) -> Option<(Expr, Type)> {
        let checked = parse::parse(source.get_ref()).and_then(|node| {
            let (expr, of) = self.names.check(&node)?;
            if !wanted.iter().any(|wanted| of.fits(wanted)) {
                let wanted: Vec<String> = wanted.iter().map(ToString::to_string).collect();
                return Err(Problem::new(node.at, format!("this is of type {of}, not {}", wanted.join(" or ")), why));
            }
            Ok((expr, of))
        });
        let literal = source.span();
        checked
            .map_err(|problem| {
                let start = place::inside(self.text, &literal, problem.at.start);
                self.problems.push(Problem { at: start..start, ..problem });
            })
            .ok()
    }

    fn field(&mut self, entry: &FieldEntry) -> Field {
        let FieldEntry { pointer, kind, optional, purpose, form, .. } = entry;
        if let Err(remedy) = names::check_pointer(pointer.get_ref()) {
            self.say(pointer.span(), format!("{:?} is no place in an event", pointer.get_ref()), remedy);
        }
        self.check_text(purpose, "say why the policy needs the field");
        let form_value = form.as_ref().map(|form| *form.get_ref()).unwrap_or_default();
        let kind = *kind.get_ref();
        let fits = match form_value {
            Form::Plain => true,
            Form::Pseudonym | Form::Mask => kind == Kind::Text,
            Form::Coarse => matches!(kind, Kind::Integer | Kind::Float | Kind::Time),
        };
        if let Some(form) = form.as_ref().filter(|_| !fits) {
            self.say(form.span(), "a field of this kind has no such form", "pseudonym and mask are texts; coarse are numbers and times");
        }
        Field { pointer: pointer.get_ref().clone(), kind, required: !optional, purpose: purpose.get_ref().clone(), form: form_value }
    }

    fn setting(&mut self, name: &Spanned<String>, entry: &SettingEntry) -> Setting {
        let (kind, is_list) = entry.kind.get_ref().parts();
        self.check_text(&entry.about, "say in one sentence what the setting decides");
        let default = entry.default.as_ref().and_then(|default| {
            let value = schema::value(default.get_ref(), kind, is_list);
            if value.is_none() {
                self.say(default.span(), "the default is of another kind than the setting", "write one of that kind");
            }
            value
        });
        let mut setting = Setting { name: name.get_ref().clone(), kind, is_list, default, must: None };
        setting.must = match (&entry.must, &entry.otherwise) {
            (None, None) => None,
            (Some(must), Some(otherwise)) => {
                self.check_text(otherwise, "say what would be right");
                self.names.variables.push(("value".to_owned(), setting_type(&setting)));
                let checked = self.expression(must, &[Type::Boolean], "`must` is a condition that holds for every good value");
                self.names.variables.pop();
                checked.map(|(expr, _)| (expr, otherwise.get_ref().clone()))
            }
            (Some(must), None) => {
                self.say(must.span(), "`must` says nothing to whoever breaks it", "add `otherwise` with what would be right");
                None
            }
            (None, Some(otherwise)) => {
                self.say(otherwise.span(), "`otherwise` without `must`", "add `must` with the condition, or remove it");
                None
            }
        };
        setting
    }

    fn keyed(&mut self, file: &File, fields: &[Field]) -> Option<Keyed> {
        let Some(key) = &file.key else {
            if let Some(window) = file.windows.first() {
                let remedy = "add a [key] with the fields that events are kept by: fields = [\"merchant\"]";
                self.say(window.name.span(), "windows need a key", remedy);
            }
            return None;
        };
        let (at, key) = (key.span(), key.get_ref());
        if file.windows.is_empty() {
            self.say(at, "nothing is remembered of the key", "add a [[window]], or remove the key");
        }
        if key.fields.get_ref().is_empty() {
            self.say(key.fields.span(), "the key has no field", "name the fields that events are kept by");
        }
        let mut indices = Vec::new();
        for name in key.fields.get_ref() {
            match self.field_index(name, file) {
                Some(index) if fields[index].required => indices.push(index as u16),
                Some(_) => self.say(name.span(), "a field of the key must always be there", "remove `optional` from the field"),
                None => {}
            }
        }
        Some(Keyed { key: indices, state_version: key.state_version, resets: key.resets })
    }

    fn field_index(&mut self, name: &Spanned<String>, file: &File) -> Option<usize> {
        let known = || file.fields.iter().map(|field| field.name.get_ref().as_str());
        let index = known().position(|known| known == name.get_ref());
        if index.is_none() {
            let remedy = nearest::nearest(name.get_ref(), known())
                .map_or_else(|| "add a [[field]]".to_owned(), |near| format!("did you mean {near:?}?"));
            self.say(name.span(), format!("there is no field {:?}", name.get_ref()), remedy);
        }
        index
    }

    fn window(&mut self, entry: &WindowEntry, file: &File, fields: &[Field]) -> Option<Window> {
        let at = match &entry.at {
            Some(at) => self.field_index(at, file)?,
            None => {
                let Some(index) = fields.iter().position(|field| field.pointer == "/time" && field.kind == Kind::Time) else {
                    let remedy = "add a [[field]] with pointer = \"/time\" and kind = \"time\", or name another field in `at`";
                    self.say(entry.name.span(), "nothing says when an event was", remedy);
                    return None;
                };
                index
            }
        };
        if fields[at].kind != Kind::Time || !fields[at].required {
            let place = entry.at.as_ref().map_or_else(|| entry.name.span(), Spanned::span);
            self.say(place, "a window goes by a required field of kind time", "take such a field");
        }
        let over = match moment::duration(entry.over.get_ref()) {
            Ok(over) if over > 0 => over,
            Ok(_) => {
                self.say(entry.over.span(), "a window has a length", "write one above zero, such as \"1h\"");
                1
            }
            Err(remedy) => {
                self.say(entry.over.span(), format!("{:?} is no duration", entry.over.get_ref()), remedy);
                1
            }
        };
        let most = entry.most.as_ref().map_or(MOST_DEFAULT, |most| *most.get_ref());
        if let Some(place) = entry.most.as_ref().filter(|_| !(1..=MOST_MAX).contains(&most)) {
            self.say(
                place.span(),
                format!("{most} events are too few or too many to keep"),
                format!("write a number from 1 to {MOST_MAX}"),
            );
        }
        let when = match &entry.when {
            Some(when) => Some(self.expression(when, &[Type::Boolean], "`when` is a condition")?.0),
            None => None,
        };
        let measure = match (*entry.kind.get_ref(), &entry.of) {
            (WindowKind::Count, None) => Measure::Count,
            (WindowKind::Count, Some(of)) => {
                self.say(of.span(), "a count has nothing to count of", "remove `of`, or make the kind \"sum\" or \"distinct\"");
                return None;
            }
            (_, None) => {
                self.say(entry.kind.span(), "a sum and a count of different values need `of`", "say of what: of = \"event.amount\"");
                return None;
            }
            (WindowKind::Sum, Some(of)) => {
                let why = "sums are of integers, which have no rounding; event.amount.minorUnits(2) makes cents of a float";
                Measure::Sum(self.expression(of, &[Type::Integer], why)?.0)
            }
            (WindowKind::Distinct, Some(of)) => Measure::Distinct(
                self.expression(of, &[Type::Text], "different values are counted of texts; string(…) makes one of a number")?.0,
            ),
        };
        let slides = entry.shape == file::Shape::Sliding;
        Some(Window { name: entry.name.get_ref().clone(), at: at as u16, over, slides, when, measure, most })
    }

    fn rule(&mut self, entry: &RuleEntry) -> Rule {
        self.check_text(&entry.legal_basis, "name the act and the article that the rule carries out");
        let for_each = entry.for_each.as_ref().and_then(|for_each| self.for_each(for_each));
        let is_bound = for_each.is_some();
        // What goes wrong with the list goes wrong once, not again wherever it is used.
        let is_known = is_bound || entry.for_each.is_none();
        let mut when = None;
        let mut evidence = Vec::new();
        if is_known {
            when = entry.when.as_ref().and_then(|when| self.expression(when, &[Type::Boolean], "`when` is a condition: true or false"));
            if entry.when.is_none() && !is_bound {
                self.say(entry.id.span(), "nothing says when the rule is broken", "add `when` with a condition, or `for_each`");
            }
            let values = [Type::Boolean, Type::Integer, Type::Float, Type::Text, Type::Time, Type::Duration];
            for (name, source) in in_order(&entry.evidence) {
                if name.get_ref().is_empty() || name.get_ref().contains(['{', '}']) {
                    self.say(name.span(), "this is no name of evidence", "take a word");
                }
                if let Some((expr, _)) =
                    self.expression(source, &values, "evidence is one value; for a list, make a finding of each with `for_each`")
                {
                    evidence.push((name.get_ref().clone(), expr));
                }
            }
        }
        if is_bound {
            self.names.variables.pop();
        }
        Rule {
            id: entry.id.get_ref().clone(),
            action: entry.action,
            severity: entry.severity,
            legal_basis: entry.legal_basis.get_ref().clone(),
            messages: self.messages(entry),
            for_each,
            when: when.map(|(expr, _)| expr),
            evidence,
        }
    }

    /// The list of a rule; its variable is known from here on.
    fn for_each(&mut self, for_each: &Spanned<std::collections::BTreeMap<Spanned<String>, Spanned<String>>>) -> Option<Expr> {
        let members = in_order(for_each.get_ref());
        let [(name, source)] = members[..] else {
            self.say(for_each.span(), "`for_each` goes through one list", "write it as for_each.word = \"event.text.words()\"");
            return None;
        };
        if !names::is_identifier(name.get_ref()) || check::check_variable(name.get_ref(), &name.span()).is_err() {
            self.say(name.span(), format!("{:?} is no name for each value", name.get_ref()), names::IDENTIFIER);
            return None;
        }
        let (expr, of) = self.expression(source, &[Type::List(Box::new(Type::Any))], "`for_each` goes through a list")?;
        let Type::List(of) = of else { return None };
        self.names.variables.push((name.get_ref().clone(), *of));
        Some(expr)
    }

    fn messages(&mut self, entry: &RuleEntry) -> Vec<(String, String)> {
        let messages = in_order(entry.message.get_ref());
        if messages.is_empty() {
            self.say(entry.message.span(), "the rule has no message", "give it in at least one language: message.en = \"…\"");
        }
        let known: Vec<&str> = entry.evidence.keys().map(|name| name.get_ref().as_str()).collect();
        let mut first: Option<Vec<&str>> = None;
        if let Some((language, _)) = messages.get(names::LANGUAGES_MAX) {
            self.say(language.span(), format!("a rule has at most {} languages", names::LANGUAGES_MAX), "leave some out");
        }
        for (language, text) in &messages {
            self.check_text(text, "say what was found");
            let bytes = language.get_ref().len() + text.get_ref().len();
            if text.get_ref().len() <= names::TEXT_BYTES_MAX && bytes > names::TEXT_BYTES_MAX {
                self.say(
                    text.span(),
                    format!("this text and its language have {bytes} bytes, at most {}", names::TEXT_BYTES_MAX),
                    "shorten it",
                );
            }
            if !names::is_language(language.get_ref()) {
                self.say(language.span(), format!("{:?} is no language", language.get_ref()), "write its tag, such as en or zh");
            }
            let mut used = names::placeholders(text.get_ref());
            for (place, name) in &used {
                if !known.contains(name) {
                    let remedy = nearest::nearest(name, known.iter().copied())
                        .map_or_else(|| format!("add it: evidence.{name} = \"…\""), |near| format!("did you mean {{{near}}}?"));
                    let at = place::inside(self.text, &text.span(), *place);
                    self.say(at..at, format!("the rule has no evidence {name:?}"), remedy);
                }
            }
            used.sort_by_key(|(_, name)| *name);
            let mut used: Vec<&str> = used.into_iter().map(|(_, name)| name).collect();
            used.dedup();
            match &first {
                None => first = Some(used),
                Some(first) if *first != used => {
                    let what = format!("the messages in {} and {} name different evidence", messages[0].0.get_ref(), language.get_ref());
                    self.say(text.span(), what, "name the same in all languages");
                }
                Some(_) => {}
            }
        }
        messages.into_iter().map(|(language, text)| (language.get_ref().clone(), text.get_ref().clone())).collect()
    }
}

fn setting_type(setting: &Setting) -> Type {
    let of = type_of(setting.kind);
    if setting.is_list { Type::List(Box::new(of)) } else { of }
}
