//! What a release sees of an event.

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::column::{Cell, Kind, Row};
use crate::digest::Digest;
use crate::event::Event;
use crate::policy::manifest::Field;
use crate::policy::{Grant, Manifest};
use crate::projection::{Plan, readable};
use crate::state::{self, Key};

/// How a release sees events: its fields, in the forms that its publisher was granted.
#[derive(Debug)]
pub struct View {
    pub(super) fields: Vec<Field>,
    pub(super) grant: Grant,
    plan: Plan,
    pub(super) slots: Vec<usize>,
    key: Vec<usize>,
}

/// A field of an event, as a policy sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// Where it stands in the event.
    pub pointer: String,
    /// What is declared.
    pub kind: Kind,
    /// Whether the policy is not asked without it.
    pub required: bool,
    /// What the policy needs it for.
    pub purpose: String,
    /// The form in which it is seen, in words.
    pub form: String,
    /// What is seen.
    pub value: SeenValue,
}

/// What a policy sees in the place of a value.
#[derive(Debug, Clone, PartialEq)]
pub enum SeenValue {
    /// Nothing: it is not there, `null`, or not granted.
    Absent,
    /// Something else than declared, and what; the policy is not asked.
    Mistyped(&'static str),
    /// This; a time as an RFC 3339 date-time.
    Value(Value),
}

impl View {
    /// How a release with this manifest sees events under a grant.
    pub fn new(manifest: &Manifest, grant: Grant) -> Self {
        let mut plan = Plan::default();
        let slots = plan.add(&manifest.fields, &grant);
        let key = manifest.keyed.iter().flat_map(|keyed| &keyed.key);
        let key = key.filter_map(|field| slots.get(usize::from(*field)).copied()).collect();
        View { fields: manifest.fields.clone(), grant, plan, slots, key }
    }

    pub(super) fn cells<'e>(&self, event: &'e Event) -> Vec<Cell<'e>> {
        let mut cells = vec![Cell::Absent; self.plan.width()];
        self.plan.project(event, &mut cells);
        cells
    }

    /// The fields of an event, in the order of the manifest.
    pub fn fields(&self, event: &Event) -> Vec<Seen> {
        let cells = self.cells(event);
        let seen = |(field, slot): (&Field, &usize)| {
            let mark = self.grant.show(field).mark();
            // What tells one publisher's pseudonyms from another's is for nobody to read.
            let form = if mark.starts_with("pseudonym") { "pseudonym".to_string() } else { mark };
            Seen {
                pointer: field.pointer.clone(),
                kind: field.kind,
                required: field.required,
                purpose: field.purpose.clone(),
                form,
                value: shown(&cells[*slot]),
            }
        };
        self.fields.iter().zip(&self.slots).map(seen).collect()
    }

    /// The commitment to what a release saw of an event (`columns` in its entry), with the
    /// event's salt.
    pub fn commitment(&self, event: &Event, salt: &[u8; 32]) -> Digest {
        let mut seen = salt.to_vec();
        self.grant.encode(Row::new(&self.slots, &self.cells(event)), &mut seen);
        Digest::of(&seen)
    }

    /// The key of an event, with the values of its fields; absent if there is none, or if a
    /// value of the event is missing or of another type than declared.
    pub(super) fn key(&self, event: &Event) -> Option<(Key, Vec<Value>)> {
        if self.key.is_empty() {
            return None;
        }
        let cells = self.cells(event);
        let readable = readable(&self.fields, Row::new(&self.slots, &cells)).is_ok();
        let key = || self.key.iter().map(|slot| &cells[*slot]);
        readable.then(|| (state::key(key()), key().map(Cell::to_value).collect()))
    }
}

fn shown(cell: &Cell<'_>) -> SeenValue {
    match cell {
        Cell::Absent => SeenValue::Absent,
        Cell::Mistyped(found) => SeenValue::Mistyped(found),
        Cell::Time(micros) => {
            let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(*micros) * 1_000).ok();
            SeenValue::Value(time.and_then(|time| time.format(&Rfc3339).ok()).map_or_else(|| (*micros).into(), Value::from))
        }
        cell => SeenValue::Value(cell.to_value()),
    }
}
