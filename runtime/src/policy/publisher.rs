//! `[publishers.NAME]` of the configuration: where a publisher's releases come from, and
//! what it was granted.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use super::coarse::{Axis, Coarse, GEOHASH_MAX, Unit};
use super::form::Form;
use super::manifest::{Action, NAMES_MAX, TEXT_BYTES_MAX, check_pointer, is_name};
use super::{Handling, Language, Mode};
use crate::column::time_micros;

/// Characters that a mask can leave readable, at most.
const KEEP_MAX: u32 = 64;

/// The least and the greatest step that a number can be coarse to.
const STEPS: (f64, f64) = (1e-12, 1e15);

/// Fields that a publisher can be granted, at most.
const FIELDS_MAX: usize = 1_000;

/// What a platform has settled for one publisher. The name is the key of the table:
/// lower-case words joined by hyphens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Publisher {
    /// Its repository: a folder, or an `http` or `https` URL.
    #[schemars(example = &"/srv/transport-office")]
    pub repository: String,
    /// The file of the root of trust that its repository is held to; relative to the
    /// folder of the configuration.
    #[schemars(example = &"transport-office.root.json")]
    pub root: PathBuf,
    /// Seconds between two looks into the repository.
    #[schemars(range(min = 1, max = 86_400))]
    pub poll_s: u64,
    /// What becomes of its policies while its repository is out of date.
    pub when_stale: WhenStale,
    /// Types of events that it may govern; `*` stands for any run of characters.
    #[schemars(extend("examples" = [["mobility.*"]]))]
    pub events: Vec<String>,
    /// Languages that its policies may bring the engine of along, and have the budget of
    /// `sandbox.languages` for: `javascript`, `python`. What is compiled to WebAssembly
    /// itself, as Rust is, needs no grant.
    pub languages: Vec<Language>,
    /// The strongest action of its rules: a finding that asks for more counts as this.
    pub action: Action,
    /// The mode in which its releases begin.
    pub begin: Mode,
    /// What the platform does with events that its policies leave undetermined.
    pub on_undetermined: Handling,
    /// Whether a release may say that it was in force before it was published.
    pub retroactive: bool,
    /// Until when all of this holds, as an RFC 3339 date-time: of what happens from then on
    /// none of its policies sees or judges anything. Absent: without an end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["2027-12-31T23:00:00Z"]))]
    pub until: Option<String>,
    /// Enters the derivation of its pseudonyms, and stands in them (`p1-…`). Another
    /// number gives other pseudonyms: a policy whose key is one begins without states,
    /// or is refused if it does not say that it may.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub pseudonym_generation: u32,
    /// The fields that it may see, by their JSON Pointer into the event, each with the
    /// most revealing form. What is not named is not seen. A pointer stands for that
    /// very field: it grants neither what is inside nor what is around.
    #[schemars(extend("examples" = [{"/data/vehicle": "plain", "/data/rider": "pseudonym", "/data/phone": {"form": "mask", "keep": 4}}]))]
    pub fields: BTreeMap<String, FieldForm>,
    /// What its policies may use, where that is less than the sandbox gives everybody.
    pub budget: Budget,
    /// What a release has to show before it is promoted.
    pub gate: Gate,
}

impl Default for Publisher {
    fn default() -> Self {
        Publisher {
            repository: String::new(),
            root: PathBuf::new(),
            poll_s: 60,
            when_stale: WhenStale::Keep,
            events: Vec::new(),
            languages: Vec::new(),
            action: Action::Flag,
            begin: Mode::Shadow,
            on_undetermined: Handling::Hold,
            retroactive: false,
            until: None,
            pseudonym_generation: 1,
            fields: BTreeMap::new(),
            budget: Budget::default(),
            gate: Gate::default(),
        }
    }
}

/// What becomes of a publisher's policies while its repository is out of date.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WhenStale {
    /// They go on judging, and every entry says that they are stale.
    #[default]
    Keep,
    /// They are asked no more until it is up to date; events that they would have judged
    /// are undetermined.
    Stop,
}

/// What a publisher's policies may use, at most. Absent: as much as the sandbox gives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Budget {
    /// Fuel for one event (`sandbox.event-fuel-max`).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1_000, max = u64::MAX / 4), extend("examples" = [5_000_000]))]
    pub event_fuel_max: Option<u64>,
    /// Bytes of memory of one instance (`sandbox.memory-bytes-max`).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1 << 16, max = 1u64 << 32), extend("examples" = [8_388_608]))]
    pub memory_bytes_max: Option<usize>,
}

/// What a release has to show before it is promoted. Shares are from 0 to 1, if nothing
/// else is said.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Gate {
    /// Events that it has judged, at least.
    #[schemars(range(min = 0, max = 1u64 << 40))]
    pub events_min: u64,
    /// Share of them that it failed on, at most.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub fault_share_max: f64,
    /// Time that it took for an event, in microseconds, at the 99th percentile of batches.
    #[schemars(range(min = 1, max = 60_000_000))]
    pub p99_us_max: u64,
    /// Share of the time of one core that it took since it began, at most; more than 1
    /// where it may keep several busy.
    #[schemars(range(min = 0.001, max = 1_000.0))]
    pub core_share_max: f64,
    /// Share of them on which its verdict is another than that of the release in force,
    /// at most.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub difference_share_max: f64,
    /// Share of the keys that a canary is enforced for.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub canary_share: f64,
}

impl Default for Gate {
    fn default() -> Self {
        Gate {
            events_min: 10_000,
            fault_share_max: 0.001,
            p99_us_max: 500,
            core_share_max: 1.0,
            difference_share_max: 0.01,
            canary_share: 0.05,
        }
    }
}

/// A form as the configuration writes it: a word, or a table with what the form needs.
///
/// Any word is taken when it is read, so that all that is wrong with a configuration
/// can be said at once: [`FieldForm::form`] says whether it is a form.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FieldForm {
    /// `plain`, `pseudonym`, `mask`, `coarse` or `absent`.
    pub form: String,
    /// For `mask`: characters at the end that stay readable.
    pub keep: Option<u32>,
    /// For `coarse`: numbers become multiples of it.
    pub step: Option<f64>,
    /// For `coarse`: times become the beginning of their `minute`, `hour`, `day`, `month`
    /// or `year`, in UTC.
    pub unit: Option<String>,
    /// For `coarse`, with `axis`: the characters of a geohash; a coordinate becomes that
    /// of the middle of its cell.
    pub geohash: Option<u8>,
    /// `latitude` or `longitude`.
    pub axis: Option<String>,
}

impl JsonSchema for FieldForm {
    fn schema_name() -> Cow<'static, str> {
        "FieldForm".into()
    }

    // As it is written. `x-judged`: words are judged by `FieldForm::form`, which has more
    // to say of them than that they are others.
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "The most revealing form: a word, or a table with what the form needs.",
            "oneOf": [
                {"type": "string", "enum": ["plain", "pseudonym", "absent"], "x-judged": true},
                {
                    "type": "object",
                    "properties": {
                        "form": {"type": "string", "enum": ["mask", "coarse", "plain", "pseudonym", "absent"], "x-judged": true},
                        "keep": {"type": "integer", "minimum": 0, "maximum": KEEP_MAX, "examples": [4]},
                        "step": {"type": "number", "minimum": STEPS.0, "maximum": STEPS.1},
                        "unit": {"type": "string", "enum": ["minute", "hour", "day", "month", "year"], "x-judged": true},
                        "geohash": {"type": "integer", "minimum": 1, "maximum": GEOHASH_MAX},
                        "axis": {"type": "string", "enum": ["latitude", "longitude"], "x-judged": true},
                    },
                    "required": ["form"],
                    "additionalProperties": false,
                    "examples": [{"form": "mask", "keep": 4}],
                },
            ],
        })
    }
}

impl From<&str> for FieldForm {
    fn from(word: &str) -> Self {
        FieldForm { form: word.to_string(), ..FieldForm::default() }
    }
}

impl FieldForm {
    /// The form that this is.
    ///
    /// # Errors
    ///
    /// What is wrong with it, and what would be right.
    pub fn form(&self) -> Result<Form, String> {
        let FieldForm { form, keep, step, unit, geohash, axis } = self;
        let given = [
            ("keep", keep.is_some()),
            ("step", step.is_some()),
            ("unit", unit.is_some()),
            ("geohash", geohash.is_some()),
            ("axis", axis.is_some()),
        ];
        let takes: &[&str] = match form.as_str() {
            "plain" | "pseudonym" | "absent" => &[],
            "mask" => &["keep"],
            "coarse" => &["step", "unit", "geohash", "axis"],
            _ => return Err(format!("has the form {form:?}; the forms are plain, pseudonym, mask, coarse and absent")),
        };
        if let Some((name, _)) = given.iter().find(|(name, given)| *given && !takes.contains(name)) {
            return Err(format!("has `{name}`, which the form {form} does not take"));
        }
        match form.as_str() {
            "plain" => Ok(Form::Plain),
            "pseudonym" => Ok(Form::Pseudonym),
            "mask" => match keep {
                Some(keep) if *keep <= KEEP_MAX => Ok(Form::Mask { keep: *keep }),
                Some(keep) => Err(format!("keeps {keep} characters, at most {KEEP_MAX}")),
                None => Err("masks, but does not say how much stays readable: { form = \"mask\", keep = 4 }".into()),
            },
            "coarse" => self.coarse().map(Form::Coarse),
            _ => Ok(Form::Absent),
        }
    }

    fn coarse(&self) -> Result<Coarse, String> {
        match (self.step, self.unit.as_deref(), self.geohash, self.axis.as_deref()) {
            (Some(step), None, None, None) if (STEPS.0..=STEPS.1).contains(&step) => Ok(Coarse::Step(step)),
            (Some(step), None, None, None) => Err(format!("has the step {step}; it must be from {:e} to {:e}", STEPS.0, STEPS.1)),
            (None, Some(unit), None, None) => match unit {
                "minute" => Ok(Coarse::Unit(Unit::Minute)),
                "hour" => Ok(Coarse::Unit(Unit::Hour)),
                "day" => Ok(Coarse::Unit(Unit::Day)),
                "month" => Ok(Coarse::Unit(Unit::Month)),
                "year" => Ok(Coarse::Unit(Unit::Year)),
                other => Err(format!("has the unit {other:?}; the units are minute, hour, day, month and year")),
            },
            (None, None, Some(length), Some(axis)) => {
                let axis = match axis {
                    "latitude" => Axis::Latitude,
                    "longitude" => Axis::Longitude,
                    other => return Err(format!("has the axis {other:?}; it is latitude or longitude")),
                };
                match length {
                    1..=GEOHASH_MAX => Ok(Coarse::Geohash { length, axis }),
                    _ => Err(format!("has a geohash of {length} characters; it must be from 1 to {GEOHASH_MAX}")),
                }
            }
            _ => Err("is coarse, but does not say how: by one of `step`, `unit`, or `geohash` together with `axis`".into()),
        }
    }
}

impl Serialize for FieldForm {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if *self == FieldForm::from(self.form.as_str()) {
            serializer.serialize_str(&self.form)
        } else {
            self.to_table().serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for FieldForm {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WordOrTable;
        impl<'de> Visitor<'de> for WordOrTable {
            type Value = FieldForm;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a form, such as \"plain\" or { form = \"mask\", keep = 4 }")
            }
            fn visit_str<E: de::Error>(self, word: &str) -> Result<FieldForm, E> {
                Ok(word.into())
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<FieldForm, A::Error> {
                let Table { form, keep, step, unit, geohash, axis } = Table::deserialize(MapAccessDeserializer::new(map))?;
                Ok(FieldForm { form, keep, step, unit, geohash, axis })
            }
        }
        deserializer.deserialize_any(WordOrTable)
    }
}

/// The same as a table.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    form: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    keep: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    step: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unit: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    geohash: Option<u8>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    axis: Option<String>,
}

impl FieldForm {
    fn to_table(&self) -> Table {
        let FieldForm { form, keep, step, unit, geohash, axis } = self.clone();
        Table { form, keep, step, unit, geohash, axis }
    }
}

/// What is wrong with the value of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Misfit {
    /// The key, with the tables that it is in.
    pub key: Vec<String>,
    /// What is wrong, and what would be right; a sentence that begins with the key.
    pub message: String,
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", dotted(&self.key), self.message)
    }
}

/// A key as TOML writes it: with dots, and in quotes what needs them.
pub(crate) fn dotted(key: &[String]) -> String {
    let is_bare = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    let part = |part: &String| if is_bare(part) { part.clone() } else { format!("{part:?}") };
    key.iter().map(part).collect::<Vec<_>>().join(".")
}

impl Publisher {
    /// Everything that is wrong with it beyond the types and ranges of single keys, which
    /// are declared with the fields; empty if nothing. Nobody is given more than
    /// `event_fuel_max` and `memory_bytes_max`.
    pub(crate) fn problems(&self, name: &str, event_fuel_max: u64, memory_bytes_max: usize) -> Vec<Misfit> {
        let mut problems = self.grant_problems(name);
        let mut wrong = |rest: &str, message: String| problems.push(misfit(name, &rest.split('.').collect::<Vec<_>>(), message));
        if self.repository.trim().is_empty() {
            wrong("repository", "is missing; name the folder or the URL of the repository".into());
        }
        if self.root.as_os_str().is_empty() {
            wrong("root", "is missing; name the file of the trusted root".into());
        }
        let budgets = [
            ("budget.event-fuel-max", self.budget.event_fuel_max, event_fuel_max, "sandbox.event-fuel-max"),
            (
                "budget.memory-bytes-max",
                self.budget.memory_bytes_max.map(|bytes| bytes as u64),
                memory_bytes_max as u64,
                "sandbox.memory-bytes-max",
            ),
        ];
        for (rest, value, max, bound) in budgets {
            if let Some(value) = value.filter(|value| *value > max) {
                wrong(rest, format!("is {value}, but at most {max}, which {bound} gives everybody"));
            }
        }
        problems
    }

    /// The same for what makes its grant alone.
    pub(crate) fn grant_problems(&self, name: &str) -> Vec<Misfit> {
        let mut problems = Vec::new();
        let mut wrong = |rest: &[&str], message: String| problems.push(misfit(name, rest, message));
        if !is_name(name) {
            wrong(&[], "has a name that is not lower-case words joined by hyphens, such as transport-office".into());
        }
        if self.events.is_empty() {
            wrong(&["events"], "names no event type; name those that the publisher may govern, such as \"mobility.*\"".into());
        }
        if self.events.len() > NAMES_MAX {
            wrong(&["events"], format!("names {} event types, at most {NAMES_MAX}", self.events.len()));
        }
        for pattern in self.events.iter().filter(|pattern| pattern.trim().is_empty() || pattern.len() > TEXT_BYTES_MAX) {
            wrong(&["events"], format!("has a pattern of {} bytes, from 1 to {TEXT_BYTES_MAX}", pattern.trim().len()));
        }
        if let Some(until) = self.until.as_ref().filter(|until| time_micros(until).is_none()) {
            wrong(&["until"], format!("is {until:?}, which is no RFC 3339 date-time with a zone, such as \"2027-12-31T23:00:00Z\""));
        }
        if !(1..=1_000_000).contains(&self.pseudonym_generation) {
            wrong(&["pseudonym-generation"], format!("is {}, but must be from 1 to 1000000", self.pseudonym_generation));
        }
        if self.fields.len() > FIELDS_MAX {
            wrong(&["fields"], format!("names {} fields, at most {FIELDS_MAX}", self.fields.len()));
        }
        for (pointer, form) in &self.fields {
            let mut wrong = |message: String| wrong(&["fields", pointer.as_str()], message);
            if let Err(problem) = check_pointer(pointer) {
                wrong(problem.to_string());
            }
            match form.form() {
                Err(problem) => wrong(problem),
                // Otherwise what is withheld here would be seen there.
                Ok(Form::Plain) => {
                    let inside = |other: &str| other.strip_prefix(pointer.as_str()).is_some_and(|rest| rest.starts_with('/'));
                    let held = self.fields.iter().find(|(other, form)| inside(other) && form.form().is_ok_and(|form| form != Form::Plain));
                    if let Some((other, form)) = held {
                        wrong(format!("is plain, and {other}, which is {} only, is inside of it", form.form));
                    }
                }
                Ok(_) => {}
            }
        }
        problems
    }
}

fn misfit(publisher: &str, rest: &[&str], message: String) -> Misfit {
    let key = ["publishers", publisher].iter().chain(rest).map(ToString::to_string).collect();
    Misfit { key, message }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = r#"
        repository = "/srv/repo"
        root = "transport-office.root.json"
        poll-s = 30
        when-stale = "stop"
        events = ["mobility.*"]
        languages = ["python"]
        action = "deny"
        begin = "canary"
        on-undetermined = "refuse"
        retroactive = true
        until = "2027-12-31T23:00:00Z"
        pseudonym-generation = 2
        [fields]
        "/data/vehicle" = "plain"
        "/data/rider" = "pseudonym"
        "/data/phone" = { form = "mask", keep = 4 }
        "/data/price" = { form = "coarse", step = 100 }
        "/data/started" = { form = "coarse", unit = "hour" }
        "/data/lat" = { form = "coarse", geohash = 6, axis = "latitude" }
        "/data/card" = "absent"
        [budget]
        event-fuel-max = 5_000_000
        [gate]
        events-min = 10
    "#;

    fn read(text: &str) -> Publisher {
        toml::from_str(text).expect("a publisher")
    }

    #[test]
    fn every_form_can_be_written() {
        let publisher = read(WHOLE);
        assert_eq!(publisher.problems("transport-office", 10_000_000, 16 << 20), Vec::new());
        let forms: Vec<String> = publisher.fields.values().map(|form| form.form().expect("a form").to_string()).collect();
        assert_eq!(
            forms,
            ["absent", "coarse (geohash 6, latitude)", "mask (keep 4)", "coarse (step 100)", "pseudonym", "coarse (to the hour)", "plain"]
        );
        let again: Publisher = serde_json::from_value(serde_json::to_value(&publisher).expect("JSON")).expect("read back");
        assert_eq!(again, publisher);
    }

    #[test]
    fn all_that_is_wrong_is_said_at_once_with_its_key() {
        let publisher = read(
            r#"
            events = ["mobility.*", ""]
            pseudonym-generation = 0
            until = "next year"
            [fields]
            "data/x" = "plain"
            "/data/a" = "pseudonim"
            "/data/b" = "mask"
            "/data/c" = { form = "mask", keep = 65 }
            "/data/d" = { form = "plain", keep = 4 }
            "/data/e" = "coarse"
            "/data/f" = { form = "coarse", step = 0 }
            "/data/g" = { form = "coarse", unit = "week" }
            "/data/h" = { form = "coarse", geohash = 13, axis = "latitude" }
            "/data/i" = { form = "coarse", geohash = 6, axis = "height" }
            "/data/j" = { form = "coarse", step = 1, unit = "hour" }
            "/data/k" = { form = "coarse", geohash = 6 }
            "/data/buyer" = "plain"
            "/data/buyer/phone" = "pseudonym"
            [budget]
            event-fuel-max = 20_000_000
        "#,
        );
        let problems = publisher.problems("Office", 10_000_000, 16 << 20);
        let problems: Vec<String> = problems.iter().map(Misfit::to_string).collect();
        for part in [
            "publishers.Office has a name that is not lower-case words",
            "repository is missing",
            "root is missing",
            "events has a pattern of 0 bytes",
            "pseudonym-generation is 0",
            "until is \"next year\", which is no RFC 3339 date-time",
            "\"data/x\" does not begin with '/'",
            "\"/data/a\" has the form \"pseudonim\"; the forms are plain, pseudonym, mask, coarse and absent",
            "\"/data/b\" masks, but",
            "\"/data/c\" keeps 65",
            "\"/data/d\" has `keep`, which the form plain does not take",
            "\"/data/e\" is coarse, but does not say how",
            "\"/data/f\" has the step 0",
            "\"/data/g\" has the unit \"week\"",
            "\"/data/h\" has a geohash of 13",
            "\"/data/i\" has the axis \"height\"",
            "\"/data/j\" is coarse, but",
            "\"/data/k\" is coarse, but",
            "\"/data/buyer\" is plain, and /data/buyer/phone, which is pseudonym only",
            "budget.event-fuel-max is 20000000",
        ] {
            assert_eq!(problems.iter().filter(|problem| problem.contains(part)).count(), 1, "{part} in {problems:#?}");
        }
        assert_eq!(problems.len(), 20, "{problems:#?}");
        assert_eq!(Publisher::default().grant_problems("a").len(), 1, "no event type");
    }

    #[test]
    fn what_is_not_known_is_an_error_where_it_stands() {
        for (text, part) in [
            ("actoin = \"flag\"", "unknown field `actoin`"),
            ("action = \"block\"", "unknown variant `block`"),
            ("languages = [\"ruby\"]", "unknown variant `ruby`, expected `javascript` or `python`"),
            ("[fields]\n\"/data/a\" = { form = \"mask\", kep = 4 }", "unknown field `kep`"),
            ("[fields]\n\"/data/a\" = 7", "a form, such as \"plain\""),
            ("[gate]\nevents = 1", "unknown field `events`"),
        ] {
            let error = toml::from_str::<Publisher>(text).expect_err(text).to_string();
            assert!(error.contains(part), "{part} in {error}");
        }
    }
}
