//! What a platform lets a publisher see and do.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::coarse::Coarse;
use super::form::{Form, MASK_KEEP, Show};
use super::manifest::{Action, AskedForm, Field, names};
use super::pseudonym::{Pseudonyms, Secret};
use super::publisher::{Budget, Gate, Publisher, WhenStale};
use super::{Handling, Language, Manifest, Mode};
use crate::column::{Column, Row, time_micros};
use crate::reserved;

/// What a policy's publisher may see of events, in which form, and what its findings
/// count for. Cheap to clone.
#[derive(Clone)]
pub struct Grant(Arc<Terms>);

struct Terms {
    /// Absent: everything is granted.
    publisher: Option<String>,
    fields: BTreeMap<String, Form>,
    secret: Secret,
    settled: Publisher,
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Grant").field(&self.0.publisher).finish()
    }
}

/// What a release asks for and its publisher was not granted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{message}")]
pub struct Missing {
    /// The field's pointer, `events` or `language`.
    pub what: String,
    /// What is asked and what is granted, for people.
    pub message: String,
}

/// What becomes of something that a policy asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It is given.
    Granted,
    /// The policy can do without, or with less, and will have to.
    Less,
    /// The policy is refused because of it.
    Missing,
}

impl Outcome {
    /// The word used in tables, the same that serde has.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Granted => "granted",
            Outcome::Less => "less",
            Outcome::Missing => "missing",
        }
    }
}

/// One thing that a policy asks for, held against the grant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// The field's pointer, `events`, `language` or `action`.
    pub what: String,
    /// What is asked.
    pub asked: String,
    /// What it is for, in the policy's words; empty where it says nothing.
    pub purpose: String,
    /// What is granted.
    pub granted: String,
    /// What becomes of it.
    pub outcome: Outcome,
    /// The same in a sentence.
    pub message: String,
}

impl Grant {
    /// Grants every declared field in the form that is asked for, all types of events,
    /// and every action. For development on one machine, and for vectors: pseudonyms
    /// are made with a key that everybody knows, so that they are the same everywhere.
    pub fn development() -> Self {
        let settled = Publisher {
            events: vec!["*".into(), reserved::VERDICT_TYPE.into()],
            languages: Language::ALL.into(),
            action: Action::Deny,
            begin: Mode::Enforce,
            retroactive: true,
            ..Publisher::default()
        };
        Grant(Arc::new(Terms { publisher: None, fields: BTreeMap::new(), secret: Secret::development(), settled }))
    }

    /// Grants what the configuration has for a publisher. Pseudonyms are derived from
    /// the secret.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the grant, each with its key.
    pub fn of(name: &str, publisher: &Publisher, secret: &Secret) -> Result<Self, Vec<String>> {
        let problems = publisher.grant_problems(name);
        if !problems.is_empty() {
            return Err(problems.iter().map(ToString::to_string).collect());
        }
        let forms = publisher.fields.iter().map(|(pointer, form)| Some((pointer.clone(), form.form().ok()?)));
        let fields = forms.flatten().collect();
        Ok(Grant(Arc::new(Terms { publisher: Some(name.to_string()), fields, secret: secret.clone(), settled: publisher.clone() })))
    }

    /// The publisher's name; absent in development.
    pub fn publisher(&self) -> Option<&str> {
        self.0.publisher.as_deref()
    }

    /// The strictest that a finding of the publisher can ask for.
    pub fn action(&self) -> Action {
        self.0.settled.action
    }

    /// What the platform does with events that a policy of the publisher leaves
    /// undetermined.
    pub fn on_undetermined(&self) -> Handling {
        self.0.settled.on_undetermined
    }

    /// The mode in which its releases begin.
    pub fn begin(&self) -> Mode {
        self.0.settled.begin
    }

    /// Whether its releases may say that they were in force before they were published.
    pub fn retroactive(&self) -> bool {
        self.0.settled.retroactive
    }

    /// The first event time at which it grants nothing any more, in microseconds since the
    /// Unix epoch; absent if it has no end.
    pub fn until(&self) -> Option<i64> {
        self.0.settled.until.as_deref().and_then(time_micros)
    }

    /// What becomes of its policies while its repository is out of date.
    pub fn when_stale(&self) -> WhenStale {
        self.0.settled.when_stale
    }

    /// What its policies may use, where that is less than the sandbox gives.
    pub fn budget(&self) -> Budget {
        self.0.settled.budget
    }

    /// What a release of it has to show before it is promoted.
    pub fn gate(&self) -> Gate {
        self.0.settled.gate
    }

    /// Whether a field of events is granted as it is.
    pub fn is_plain(&self, pointer: &str) -> bool {
        self.0.publisher.is_none() || self.0.fields.get(pointer) == Some(&Form::Plain)
    }

    /// Whether it may govern events of a type.
    pub fn governs(&self, kind: &str) -> bool {
        self.0.settled.events.iter().any(|pattern| names(pattern, kind))
    }

    /// Whether a policy was granted what it cannot do without.
    ///
    /// # Errors
    ///
    /// Everything that is missing.
    pub fn check(&self, manifest: &Manifest) -> Result<(), Vec<Missing>> {
        let missing = self.review(manifest).into_iter().filter(|ask| ask.outcome == Outcome::Missing);
        let missing: Vec<Missing> = missing.map(|Ask { what, message, .. }| Missing { what, message }).collect();
        if missing.is_empty() { Ok(()) } else { Err(missing) }
    }

    /// Holds everything that a policy asks for against the grant: its types of events,
    /// its fields, the strongest action of its rules.
    pub fn review(&self, manifest: &Manifest) -> Vec<Ask> {
        let events = manifest.events.iter().map(|pattern| self.review_events(pattern));
        let fields = manifest.fields.iter().map(|field| self.review_field(field));
        events.chain(fields).chain(self.review_action(manifest)).collect()
    }

    /// Holds the language that a policy brings the engine of against the grant; nothing
    /// for a policy that brings none.
    pub fn review_language(&self, language: Option<Language>) -> Option<Ask> {
        let language = language?;
        let granted: Vec<&str> = self.0.settled.languages.iter().map(|language| language.word()).collect();
        let (outcome, end) = match self.0.settled.languages.contains(&language) {
            true => (Outcome::Granted, String::new()),
            false => {
                let all = granted.iter().copied().chain([language.word()]).map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ");
                let table = self.publisher().unwrap_or("NAME");
                let why = "which brings its whole engine along: it takes a larger budget, which was not granted";
                (Outcome::Missing, format!(", {why}; write languages = [{all}] into [publishers.{table}] of the configuration to grant it"))
            }
        };
        Some(Ask {
            what: "language".into(),
            asked: language.word().into(),
            purpose: String::new(),
            granted: if granted.is_empty() { "not granted".into() } else { granted.join(", ") },
            outcome,
            message: format!("is written in {language}{end}"),
        })
    }

    fn review_events(&self, pattern: &str) -> Ask {
        let granted = &self.0.settled.events;
        let list = granted.iter().map(|pattern| format!("`{pattern}`")).collect::<Vec<_>>().join(", ");
        // A pattern is inside of another one if that matches it letter by letter: what a
        // `*` stands for only a `*` takes.
        let (outcome, end) = match granted.iter().any(|wider| names(wider, pattern)) {
            true => (Outcome::Granted, String::new()),
            false => (Outcome::Missing, format!("; granted are {list} only")),
        };
        Ask {
            what: "events".into(),
            asked: pattern.to_string(),
            purpose: String::new(),
            granted: granted.join(", "),
            outcome,
            message: format!("asks about events `{pattern}`{end}"),
        }
    }

    fn review_field(&self, field: &Field) -> Ask {
        let granted = self.granted(field);
        let shown = if self.0.publisher.is_none() || self.0.fields.contains_key(&field.pointer) {
            granted.to_string()
        } else {
            "not granted".into()
        };
        let (outcome, end) = match settle(field, granted) {
            Ok(Form::Plain) => (Outcome::Granted, String::new()),
            Ok(form) => (Outcome::Granted, format!("; given as {form}")),
            Err(why) => {
                let granted = if granted == Form::Absent { "not granted".into() } else { format!("granted as {granted}") };
                let why = why.map(|why| format!(", but {why}")).unwrap_or_default();
                match field.required {
                    true => (Outcome::Missing, format!("; {granted}{why}")),
                    false => (Outcome::Less, format!("; {granted}{why}: it is optional, and will always be absent")),
                }
            }
        };
        let (pointer, form, purpose) = (&field.pointer, field.form.name(), &field.purpose);
        Ask {
            what: pointer.clone(),
            asked: form.to_string(),
            purpose: purpose.clone(),
            granted: shown,
            outcome,
            message: format!("asks `{pointer}` {form} for '{purpose}'{end}"),
        }
    }

    /// Said only where it matters: a policy under a milder grant judges all the same.
    fn review_action(&self, manifest: &Manifest) -> Option<Ask> {
        let strongest = manifest.rules.iter().map(|rule| rule.action).max()?;
        let stronger: Vec<String> =
            manifest.rules.iter().filter(|rule| rule.action > self.action()).map(|rule| format!("`{}`", rule.id)).collect();
        let (outcome, end) = match stronger.is_empty() {
            true => (Outcome::Granted, String::new()),
            false => {
                let granted = self.action().name();
                (Outcome::Less, format!("; granted is {granted}: what {} finds counts as {granted}", stronger.join(", ")))
            }
        };
        Some(Ask {
            what: "action".into(),
            asked: strongest.name().into(),
            purpose: String::new(),
            granted: self.action().name().into(),
            outcome,
            message: format!("asks for the action {}{end}", strongest.name()),
        })
    }

    /// The most revealing form of a field that is granted.
    fn granted(&self, field: &Field) -> Form {
        match &self.0.publisher {
            None => Form::Plain,
            Some(_) => self.0.fields.get(&field.pointer).copied().unwrap_or(Form::Absent),
        }
    }

    /// The form in which a policy sees a field: what it asks for, if that is granted;
    /// otherwise nothing.
    pub(crate) fn show(&self, field: &Field) -> Show {
        match settle(field, self.granted(field)) {
            Ok(Form::Plain) => Show::Plain,
            Ok(Form::Pseudonym) => {
                let Terms { publisher, secret, settled, .. } = &*self.0;
                let publisher = publisher.as_deref().unwrap_or_default();
                Show::Pseudonym(Box::new(Pseudonyms::new(secret, publisher, &field.purpose, settled.pseudonym_generation)))
            }
            Ok(Form::Mask { keep }) => Show::Mask { keep },
            Ok(Form::Coarse(coarse)) => Show::Coarse(coarse),
            Ok(Form::Absent) | Err(_) => Show::Absent,
        }
    }

    /// Marks of the forms in which a policy sees the fields of its key; none if it sees
    /// all of them plain. States of keys that were seen in other forms are other keys'.
    pub(crate) fn key_marks(&self, manifest: &Manifest) -> Vec<String> {
        let key = manifest.keyed.iter().flat_map(|keyed| &keyed.key);
        let shows: Vec<Show> = key.filter_map(|field| manifest.fields.get(usize::from(*field))).map(|field| self.show(field)).collect();
        if shows.iter().all(|show| *show == Show::Plain) {
            return Vec::new();
        }
        shows.iter().map(Show::mark).collect()
    }

    /// Makes the columns that the policy gets to see.
    ///
    /// The rows are in the granted forms already ([`Grant::show`]).
    pub(crate) fn view(&self, manifest: &Manifest, rows: &[Row<'_>]) -> Granted {
        let column = |(at, field): (usize, &Field)| {
            let mut column = Column::new(field.kind, rows.len());
            rows.iter().for_each(|row| column.push(row.field(at)));
            column
        };
        Granted { rows: rows.len(), columns: manifest.fields.iter().enumerate().map(column).collect() }
    }

    /// Appends what the policy gets to see of one row, as bytes that are equal if and
    /// only if it is.
    pub(crate) fn encode(&self, row: Row<'_>, out: &mut Vec<u8>) {
        row.fields().for_each(|cell| cell.encode(out));
    }
}

/// The form that a policy gets of a field: never more than it asks for, never more than
/// is granted. An error where what is granted is no use to it, with a reason where the
/// words do not say it.
fn settle(field: &Field, granted: Form) -> Result<Form, Option<&'static str>> {
    match (field.form, granted) {
        (AskedForm::Plain, Form::Plain) => Ok(Form::Plain),
        (AskedForm::Pseudonym, Form::Plain | Form::Pseudonym) => Ok(Form::Pseudonym),
        (AskedForm::Mask, Form::Plain) => Ok(Form::Mask { keep: MASK_KEEP }),
        (AskedForm::Mask, mask @ Form::Mask { .. }) => Ok(mask),
        (AskedForm::Coarse, Form::Plain) => Coarse::of_plain(field.kind).map(Form::Coarse).ok_or(None),
        (AskedForm::Coarse, Form::Coarse(coarse)) => match coarse.misfit(field.kind) {
            None => Ok(granted),
            Some(why) => Err(Some(why)),
        },
        _ => Err(None),
    }
}

/// Columns that went through the grant. Only these reach the sandbox.
#[derive(Debug)]
pub struct Granted {
    rows: usize,
    columns: Vec<Column>,
}

impl Granted {
    /// Number of rows.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// The columns, in the order of the manifest's fields.
    pub(crate) fn columns(&self) -> &[Column] {
        &self.columns
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::column::{Cell, Kind};
    use crate::policy::coarse::Unit;
    use crate::policy::manifest::{Keyed, Message, Rule, Severity};
    use crate::policy::publisher::FieldForm;

    fn field(pointer: &str, kind: Kind, form: AskedForm, required: bool) -> Field {
        Field { pointer: pointer.into(), kind, required, purpose: "identify repeat buyers".into(), form }
    }

    fn manifest(fields: Vec<Field>) -> Manifest {
        let rule = |id: &str, action| Rule {
            id: id.into(),
            action,
            severity: Severity::Low,
            legal_basis: "Act".into(),
            messages: vec![Message { language: "en".into(), text: "x".into() }],
        };
        Manifest {
            name: "buyers".into(),
            version: "1.0.0".into(),
            summary: "Tests".into(),
            events: vec!["shop.order.*".into()],
            keyed: Some(Keyed { key: vec![0], state_version: 1, migrates_from: Vec::new(), resets: false, timers: false }),
            fields,
            rules: vec![rule("marks", Action::Flag), rule("stops", Action::Deny)],
            lists: Vec::new(),
            settings_schema: "{}".into(),
        }
    }

    /// A form as it stands in a configuration.
    fn form(text: &str) -> FieldForm {
        toml::from_str::<BTreeMap<String, FieldForm>>(&format!("x = {text}")).expect("a form").remove("x").expect("x")
    }

    fn grant(fields: &[(&str, &str)], events: &[&str]) -> Grant {
        let publisher = Publisher {
            events: events.iter().map(ToString::to_string).collect(),
            fields: fields.iter().map(|(pointer, text)| (pointer.to_string(), form(text))).collect(),
            ..Publisher::default()
        };
        Grant::of("office", &publisher, &Secret::from_bytes([7; 32])).expect("a grant")
    }

    const FORMS: [&str; 7] = [
        r#""plain""#,
        r#""pseudonym""#,
        r#"{ form = "mask", keep = 2 }"#,
        r#"{ form = "coarse", step = 100 }"#,
        r#"{ form = "coarse", unit = "day" }"#,
        r#"{ form = "coarse", geohash = 6, axis = "latitude" }"#,
        r#""absent""#,
    ];

    /// What each asked form gets of each granted one.
    #[test]
    fn pv_02_nobody_gets_more_than_asked_or_more_than_granted() {
        use AskedForm::{Coarse as AsksCoarse, Mask, Plain, Pseudonym};
        let expected: [(AskedForm, Kind, [Option<Form>; 7]); 7] = [
            (Plain, Kind::Json, [Some(Form::Plain), None, None, None, None, None, None]),
            (Pseudonym, Kind::Text, [Some(Form::Pseudonym), Some(Form::Pseudonym), None, None, None, None, None]),
            (Mask, Kind::Text, [Some(Form::Mask { keep: 4 }), None, Some(Form::Mask { keep: 2 }), None, None, None, None]),
            (
                AsksCoarse,
                Kind::Integer,
                [Some(Form::Coarse(Coarse::Digits)), None, None, Some(Form::Coarse(Coarse::Step(100.0))), None, None, None],
            ),
            (
                AsksCoarse,
                Kind::Time,
                [Some(Form::Coarse(Coarse::Unit(Unit::Hour))), None, None, None, Some(Form::Coarse(Coarse::Unit(Unit::Day))), None, None],
            ),
            (
                AsksCoarse,
                Kind::Float,
                [
                    Some(Form::Coarse(Coarse::Digits)),
                    None,
                    None,
                    Some(Form::Coarse(Coarse::Step(100.0))),
                    None,
                    Some(Form::Coarse(Coarse::Geohash { length: 6, axis: super::super::coarse::Axis::Latitude })),
                    None,
                ],
            ),
            (AsksCoarse, Kind::Text, [None; 7]),
        ];
        for (asked, kind, forms) in expected {
            for (granted, expected) in FORMS.iter().zip(forms) {
                let grant = grant(&[("/data/x", granted)], &["*"]);
                let field = field("/data/x", kind, asked, true);
                assert_eq!(settle(&field, grant.granted(&field)).ok(), expected, "{asked:?} of a {kind} granted {granted}");
                assert_eq!(grant.show(&field) == Show::Absent, expected.is_none());
                let missing = grant.check(&manifest(vec![field])).is_err();
                assert_eq!(missing, expected.is_none(), "{asked:?} of a {kind} granted {granted}");
            }
        }
    }

    #[test]
    fn what_is_missing_is_said_in_words() {
        let asks = manifest(vec![
            field("/data/buyer/phone", Kind::Text, AskedForm::Plain, true),
            field("/data/age", Kind::Integer, AskedForm::Plain, true),
            field("/data/price", Kind::Integer, AskedForm::Coarse, true),
            field("/data/note", Kind::Text, AskedForm::Plain, false),
        ]);
        let grant = grant(
            &[("/data/buyer/phone", FORMS[1]), ("/data/price", r#"{ form = "coarse", step = 0.5 }"#), ("/data/buyer", FORMS[6])],
            &["mobility.*", "shop.*.placed"],
        );
        let missing: Vec<String> = grant.check(&asks).expect_err("missing").iter().map(ToString::to_string).collect();
        assert_eq!(
            missing,
            [
                "asks about events `shop.order.*`; granted are `mobility.*`, `shop.*.placed` only",
                "asks `/data/buyer/phone` plain for 'identify repeat buyers'; granted as pseudonym",
                "asks `/data/age` plain for 'identify repeat buyers'; not granted",
                "asks `/data/price` coarse for 'identify repeat buyers'; granted as coarse (step 0.5), but an integer needs a step that is whole",
            ]
        );
        let less: Vec<String> = grant.review(&asks).into_iter().filter(|ask| ask.outcome == Outcome::Less).map(|ask| ask.message).collect();
        assert_eq!(
            less,
            [
                "asks `/data/note` plain for 'identify repeat buyers'; not granted: it is optional, and will always be absent",
                "asks for the action deny; granted is flag: what `stops` finds counts as flag",
            ]
        );
    }

    #[test]
    fn a_pattern_must_be_inside_of_one_that_is_granted() {
        for (granted, asked, inside) in [
            ("*", "*", true),
            ("shop.*", "shop.order.*", true),
            ("shop.*", "shop.order.placed", true),
            ("shop.order.*", "shop.*", false),
            ("shop.*.placed", "shop.*.order.placed", true),
            ("shop.*.placed", "shop.*", false),
            ("shop.order", "shop.order", true),
            ("shop.order", "shop.*", false),
            ("a*b*c", "a*c", false),
            ("a*c", "a*b*c", true),
            ("*.*", "*", false),
            ("*", reserved::VERDICT_TYPE, false),
            (reserved::VERDICT_TYPE, reserved::VERDICT_TYPE, true),
        ] {
            let grant = grant(&[("/data/x", FORMS[0])], &[granted]);
            let asks = Manifest { events: vec![asked.into()], ..manifest(vec![field("/data/x", Kind::Text, AskedForm::Plain, true)]) };
            assert_eq!(grant.check(&asks).is_ok(), inside, "{asked} inside of {granted}");
        }
    }

    #[test]
    fn everything_is_granted_in_development() {
        let asks = manifest(vec![
            field("/data/a", Kind::Text, AskedForm::Pseudonym, true),
            field("/data/b", Kind::Text, AskedForm::Mask, true),
            field("/data/c", Kind::Time, AskedForm::Coarse, true),
            field("/data/d", Kind::Json, AskedForm::Plain, true),
        ]);
        let grant = Grant::development();
        assert!(grant.review(&asks).iter().all(|ask| ask.outcome == Outcome::Granted));
        assert!((grant.governs("anything"), grant.action(), grant.publisher()) == (true, Action::Deny, None));
        let value = grant.show(&asks.fields[0]).show(Cell::Text("13800138000".into()));
        let again = Grant::development().show(&asks.fields[0]).show(Cell::Text("13800138000".into()));
        assert_eq!(value, again, "the same on every machine");
    }

    #[test]
    fn keys_in_other_forms_are_other_keys() {
        let with = |form, granted, generation| {
            let asks = manifest(vec![field("/data/a", Kind::Text, form, true)]);
            let publisher = Publisher {
                events: vec!["*".into()],
                fields: [("/data/a".to_string(), granted)].into(),
                pseudonym_generation: generation,
                ..Publisher::default()
            };
            Grant::of("office", &publisher, &Secret::from_bytes([7; 32])).expect("a grant").key_marks(&asks)
        };
        assert_eq!(with(AskedForm::Plain, "plain".into(), 1), Vec::<String>::new());
        let one = with(AskedForm::Pseudonym, "pseudonym".into(), 1);
        assert_eq!(one, with(AskedForm::Pseudonym, "plain".into(), 1), "the policy sees the same");
        assert_ne!(one, with(AskedForm::Pseudonym, "pseudonym".into(), 2));
        assert_ne!(one, Grant::development().key_marks(&manifest(vec![field("/data/a", Kind::Text, AskedForm::Pseudonym, true)])));
    }

    #[test]
    fn a_language_is_granted_by_its_name() {
        let grant = |languages| {
            let publisher = Publisher { events: vec!["*".into()], languages, ..Publisher::default() };
            Grant::of("office", &publisher, &Secret::development()).expect("a grant")
        };
        let python = grant(vec![Language::Python]);
        assert_eq!(python.review_language(None), None, "what brings no engine needs none");
        assert_eq!(python.review_language(Some(Language::Python)).map(|ask| ask.outcome), Some(Outcome::Granted));
        let ask = python.review_language(Some(Language::JavaScript)).expect("something is asked");
        assert_eq!((ask.outcome, ask.asked.as_str(), ask.granted.as_str()), (Outcome::Missing, "javascript", "python"));
        let remedy = "write languages = [\"python\", \"javascript\"] into [publishers.office] of the configuration";
        assert!(ask.message.contains(remedy), "{}", ask.message);
        let all = Language::ALL.map(|language| Grant::development().review_language(Some(language)).map(|ask| ask.outcome));
        assert_eq!(all, [Some(Outcome::Granted); 2]);
    }
}
