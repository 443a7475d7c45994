//! The manifest: what a policy says about itself (`wit/manifest.wit`), checked.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::column::Kind;
use crate::reserved;

/// Most fields that a policy may declare.
pub const FIELDS_MAX: usize = 64;
/// Most event types, and reference lists, that a policy may name.
pub const NAMES_MAX: usize = 64;
/// Most reference lists of a policy: their versions stand in every entry.
pub const LISTS_MAX: usize = 8;
/// Most fields of a key.
pub const KEY_FIELDS_MAX: usize = 8;
/// Most languages of a rule's messages.
pub const LANGUAGES_MAX: usize = 32;
/// Bytes of any text in a manifest but the settings schema.
pub const TEXT_BYTES_MAX: usize = 2 << 10;
/// Most rules that a policy may declare.
pub const RULES_MAX: usize = 1_000;

/// A declared value inside an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Field {
    /// RFC 6901 JSON Pointer into the event.
    pub pointer: String,
    /// The type of its values.
    pub kind: Kind,
    /// Whether a row without it is unreadable.
    pub required: bool,
    /// Why the policy needs it.
    pub purpose: String,
    /// The most revealing form that the policy needs.
    #[serde(default)]
    pub form: AskedForm,
}

/// The most revealing form of a field that a policy needs. A host never gives more than
/// that, and never more than its grant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AskedForm {
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

impl AskedForm {
    /// The word used in tables, the same that serde has.
    pub fn name(self) -> &'static str {
        match self {
            AskedForm::Plain => "plain",
            AskedForm::Pseudonym => "pseudonym",
            AskedForm::Mask => "mask",
            AskedForm::Coarse => "coarse",
        }
    }

    /// The kinds that a field in this form can have, if not all.
    fn kinds(self) -> Option<&'static [Kind]> {
        match self {
            AskedForm::Plain => None,
            AskedForm::Pseudonym | AskedForm::Mask => Some(&[Kind::Text]),
            AskedForm::Coarse => Some(&[Kind::Integer, Kind::Float, Kind::Time]),
        }
    }
}

/// A message in one language; `{name}` stands for evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Message {
    /// BCP 47 language tag.
    pub language: String,
    /// The text.
    pub text: String,
}

/// What a finding asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Let through, marked for attention.
    Flag,
    /// Should not have effect.
    Deny,
}

impl Action {
    /// The word used in answers and entries, the same that serde has.
    pub fn name(self) -> &'static str {
        match self {
            Action::Flag => "flag",
            Action::Deny => "deny",
        }
    }
}

/// How grave a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names are all there is to say")]
pub enum Severity {
    Low,
    Medium,
    High,
    Critical,
}

impl Severity {
    /// The word used in answers and entries, the same that serde has.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Low => "low",
            Severity::Medium => "medium",
            Severity::High => "high",
            Severity::Critical => "critical",
        }
    }
}

/// One clause of a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Rule {
    /// Unique within the policy.
    pub id: String,
    /// What a finding asks for.
    pub action: Action,
    /// How grave a finding is.
    pub severity: Severity,
    /// The clause of law that the rule carries out.
    pub legal_basis: String,
    /// At least one; the first is the default.
    pub messages: Vec<Message>,
}

/// What the policy's state is kept by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keyed {
    /// Indices into the manifest's fields.
    pub key: Vec<u16>,
    /// A release with the same number takes over the states.
    pub state_version: u32,
    /// Other numbers whose states it can migrate.
    pub migrates_from: Vec<u32>,
    /// Whether it may begin without states where it can do neither.
    pub resets: bool,
    /// Whether it sets timers.
    pub timers: bool,
}

/// What a policy is, what it needs to see, and what it can say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The policy's name.
    pub name: String,
    /// The policy's own version.
    pub version: String,
    /// One sentence.
    pub summary: String,
    /// CloudEvents types it is asked about, `*` for any run of characters.
    pub events: Vec<String>,
    /// Its columns, in order.
    pub fields: Vec<Field>,
    /// Absent for a policy without state.
    pub keyed: Option<Keyed>,
    /// Its rules; findings name them by index.
    pub rules: Vec<Rule>,
    /// Reference lists that it looks things up in.
    pub lists: Vec<String>,
    /// JSON Schema of its settings, as text.
    pub settings_schema: String,
}

/// What is wrong with a manifest: where, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{place}: {problem}")]
pub struct ManifestError {
    /// Path inside the manifest, such as `fields[2].pointer`.
    pub place: String,
    /// What is wrong.
    pub problem: String,
}

impl Manifest {
    /// Finds everything that a host would trip over; empty if nothing.
    pub fn problems(&self) -> Vec<ManifestError> {
        let mut problems = Vec::new();
        let mut say = |place: String, problem: String| problems.push(ManifestError { place, problem });
        if !is_name(&self.name) {
            say("name".into(), format!("{:?} is not lower-case words joined by hyphens", self.name));
        }
        if self.version.is_empty() || self.version.len() > 64 || !self.version.bytes().all(|b| b.is_ascii_graphic()) {
            say("version".into(), format!("{:?} is not a version number", self.version));
        }
        if self.events.is_empty() {
            say("events".into(), "names no event type; the policy would never be asked".into());
        }
        if self.events.len() > NAMES_MAX {
            say("events".into(), format!("names {} event types, at most {NAMES_MAX}", self.events.len()));
        }
        if self.lists.len() > LISTS_MAX {
            say("lists".into(), format!("names {} lists, at most {LISTS_MAX}", self.lists.len()));
        }
        for (index, list) in self.lists.iter().enumerate().take(LISTS_MAX) {
            if !is_name(list) {
                say(format!("lists[{index}]"), format!("{list:?} is not lower-case words joined by hyphens"));
            }
            if self.lists[..index].contains(list) {
                say(format!("lists[{index}]"), format!("{list:?} is there twice"));
            }
        }
        let texts = [("summary", std::slice::from_ref(&self.summary)), ("events", &self.events)];
        for (place, texts) in texts {
            if let Some(text) = texts.iter().find(|text| text.len() > TEXT_BYTES_MAX) {
                say(place.into(), format!("has a text of {} bytes, at most {TEXT_BYTES_MAX}", text.len()));
            }
        }
        if self.fields.len() > FIELDS_MAX {
            say("fields".into(), format!("has {} fields, at most {FIELDS_MAX}", self.fields.len()));
        }
        for (index, field) in self.fields.iter().enumerate() {
            if let Err(problem) = check_pointer(&field.pointer) {
                say(format!("fields[{index}].pointer"), format!("{:?} {problem}", field.pointer));
            }
            if let Some(kinds) = field.form.kinds().filter(|kinds| !kinds.contains(&field.kind)) {
                let kinds = kinds.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                let problem =
                    format!("is {}, which is of kind {kinds}; the kind of {} is {}", field.form.name(), field.pointer, field.kind);
                say(format!("fields[{index}].form"), problem);
            }
            if field.purpose.len() > TEXT_BYTES_MAX {
                say(format!("fields[{index}].purpose"), format!("has {} bytes, at most {TEXT_BYTES_MAX}", field.purpose.len()));
            }
            if field.purpose.trim().is_empty() {
                say(format!("fields[{index}].purpose"), format!("is empty; say why the policy needs {}", field.pointer));
            }
        }
        if let Some(keyed) = &self.keyed {
            if keyed.key.is_empty() {
                say("keyed.key".into(), "names no field; a key has at least one".into());
            }
            if keyed.migrates_from.len() > NAMES_MAX {
                say("keyed.migrates-from".into(), format!("names {} versions, at most {NAMES_MAX}", keyed.migrates_from.len()));
            }
            let mut versions = BTreeSet::from([keyed.state_version]);
            if let Some(version) = keyed.migrates_from.iter().find(|version| !versions.insert(**version)) {
                say("keyed.migrates-from".into(), format!("names version {version}, which is there twice or the release's own"));
            }
            if keyed.key.len() > KEY_FIELDS_MAX {
                say("keyed.key".into(), format!("names {} fields, at most {KEY_FIELDS_MAX}", keyed.key.len()));
            }
            for (index, field) in keyed.key.iter().enumerate().take(KEY_FIELDS_MAX) {
                match self.fields.get(usize::from(*field)) {
                    None => say(format!("keyed.key[{index}]"), format!("is {field}, but there are {} fields", self.fields.len())),
                    Some(field) if !field.required => say(
                        format!("keyed.key[{index}]"),
                        format!("is {}, which is not required; a key must always be there", field.pointer),
                    ),
                    Some(_) => {}
                }
            }
        }
        if self.rules.is_empty() || self.rules.len() > RULES_MAX {
            say("rules".into(), format!("has {} rules, from 1 to {RULES_MAX}", self.rules.len()));
        }
        let mut seen = BTreeSet::new();
        for (index, rule) in self.rules.iter().enumerate() {
            if !is_name(&rule.id) {
                say(format!("rules[{index}].id"), format!("{:?} is not lower-case words joined by hyphens", rule.id));
            }
            if !seen.insert(&rule.id) {
                say(format!("rules[{index}].id"), format!("{:?} is there twice", rule.id));
            }
            if rule.legal_basis.trim().is_empty() {
                say(format!("rules[{index}].legal-basis"), "is empty; name the clause that the rule carries out".into());
            }
            let texts = rule.messages.iter().map(|message| message.text.len() + message.language.len());
            if let Some(bytes) = texts.chain([rule.legal_basis.len()]).find(|bytes| *bytes > TEXT_BYTES_MAX) {
                say(format!("rules[{index}]"), format!("has a text of {bytes} bytes, at most {TEXT_BYTES_MAX}"));
            }
            if rule.messages.len() > LANGUAGES_MAX {
                say(format!("rules[{index}].messages"), format!("has {} languages, at most {LANGUAGES_MAX}", rule.messages.len()));
            }
            let mut languages = rule.messages.iter();
            if let Some(first) = languages.next()
                && let Some(other) = languages.find(|other| placeholders(&other.text) != placeholders(&first.text))
            {
                let (one, two) = (&first.language, &other.language);
                say(format!("rules[{index}].messages"), format!("the texts in {one} and {two} have different {{names}} of evidence"));
            }
            if rule.messages.is_empty() {
                say(format!("rules[{index}].messages"), "is empty; give the message in at least one language".into());
            }
        }
        problems
    }

    /// Whether the policy is asked about events of this type.
    pub fn asks_about(&self, kind: &str) -> bool {
        self.events.iter().any(|pattern| names(pattern, kind))
    }
}

/// The names in braces of a message.
fn placeholders(text: &str) -> BTreeSet<&str> {
    text.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name).collect()
}

/// Lower-case words joined by hyphens.
pub fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 64
        && text.split('-').all(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()))
}

/// RFC 6901, and a place that an event can have: an attribute, or inside `data`.
pub(super) fn check_pointer(pointer: &str) -> Result<(), &'static str> {
    let Some(rest) = pointer.strip_prefix('/') else {
        return Err("does not begin with '/'; write it as /data/amount or /subject");
    };
    if pointer.len() > 1024 {
        return Err("is longer than 1,024 bytes");
    }
    let bytes = pointer.as_bytes();
    if bytes.iter().enumerate().any(|(at, byte)| *byte == b'~' && !matches!(bytes.get(at + 1), Some(b'0' | b'1'))) {
        return Err("has a '~' that is not followed by 0 or 1 (RFC 6901, section 3)");
    }
    let first = rest.split('/').next().unwrap_or_default();
    if first.is_empty() || !first.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()) {
        return Err("does not begin with the name of a CloudEvents attribute or with /data");
    }
    if first != "data" && rest.len() > first.len() {
        return Err("goes into an attribute; only /data has places inside");
    }
    Ok(())
}

/// Whether a pattern of event types has a type, or a narrower pattern. Types that only the
/// runtime submits have to be named: `*` is whatever a platform sends.
pub(crate) fn names(pattern: &str, kind: &str) -> bool {
    matches(pattern, kind) && (reserved::is_own_type(pattern) || !reserved::is_own_type(kind))
}

/// Whether `text` is `pattern` with each `*` standing for any run of characters.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let Some(last) = pattern.rsplit_once('*').map(|(_, last)| last) else { return rest.is_empty() };
    let middle_count = pattern.matches('*').count() - 1;
    for part in parts.take(middle_count) {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_run_of_characters() {
        for (pattern, text, expected) in [
            ("retail.*.line", "retail.invoice.line", true),
            ("retail.*.line", "retail.line", false),
            ("retail.*line", "retail.line", true),
            ("*", "", true),
            ("*", "anything", true),
            ("a", "a", true),
            ("a", "ab", false),
            ("a*b*c", "aXbYc", true),
            ("a*b*c", "abc", true),
            ("a*b*c", "acb", false),
            ("a*a", "a", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} on {text}");
        }
    }

    #[test]
    fn what_the_runtime_submits_has_to_be_named() {
        for (pattern, kind, expected) in [
            ("*", "retail.invoice.line", true),
            ("*", reserved::VERDICT_TYPE, false),
            ("d*", reserved::VERDICT_TYPE, false),
            (reserved::VERDICT_TYPE, reserved::VERDICT_TYPE, true),
            ("dev.ephor.*", reserved::VERDICT_TYPE, true),
            ("dev.ephor.*", "dev.ephorus", false),
        ] {
            assert_eq!(names(pattern, kind), expected, "{pattern} on {kind}");
        }
    }

    #[test]
    fn pointers_name_attributes_or_places_in_data() {
        for good in ["/data", "/data/a~1b", "/data/0/x", "/subject", "/region2"] {
            assert_eq!(check_pointer(good), Ok(()), "{good}");
        }
        for bad in ["", "data", "/", "/Data", "/subject/x", "/data/a~2"] {
            assert!(check_pointer(bad).is_err(), "{bad}");
        }
    }
}
