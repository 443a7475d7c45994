//! Doors into single rooms for the fuzz targets (`tests/fuzz/`) and tests of hostile bytes. Not
//! part of the API.

use crate::column::{Cell, Kind};
use crate::event::Event;
use crate::policy::Grant;
use crate::policy::manifest::{AskedForm, Field};
use crate::projection::Plan;
use crate::sandbox::{self, Limits, LoadError};
use crate::server::fuzz as server;

/// What a policy would be shown of a field that it was granted plain.
#[derive(Debug, Clone, PartialEq)]
pub enum Shown {
    Absent,
    /// Of another type than declared; what it is instead.
    Mistyped(&'static str),
    Boolean(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    /// Microseconds since 1970.
    Time(i64),
    /// JSON source text.
    Json(String),
}

/// Takes fields, by pointer and type, out of an event, all in one walk.
pub fn project(event: &Event, fields: &[(String, Kind)]) -> Vec<Shown> {
    let asked = |(pointer, kind): &(String, Kind)| Field {
        pointer: pointer.clone(),
        kind: *kind,
        required: false,
        purpose: "compare".into(),
        form: AskedForm::Plain,
    };
    let fields: Vec<Field> = fields.iter().map(asked).collect();
    let mut plan = Plan::default();
    let slots = plan.add(&fields, &Grant::development());
    let mut cells = vec![Cell::Absent; plan.width()];
    plan.project(event, &mut cells);
    slots.into_iter().map(|slot| shown(&cells[slot])).collect()
}

fn shown(cell: &Cell<'_>) -> Shown {
    match cell {
        Cell::Absent => Shown::Absent,
        Cell::Mistyped(what) => Shown::Mistyped(what),
        Cell::Boolean(value) => Shown::Boolean(*value),
        Cell::Integer(value) => Shown::Integer(*value),
        Cell::Float(value) => Shown::Float(*value),
        Cell::Text(text) => Shown::Text(text.to_string()),
        Cell::Time(micros) => Shown::Time(*micros),
        Cell::Json(source) => Shown::Json((*source).to_string()),
    }
}

/// Whether a component goes on to the compiler; what it imports and exports.
///
/// # Errors
///
/// Why it does not.
pub fn gate(component: &[u8], limits: &Limits) -> Result<(Vec<String>, Vec<String>), LoadError> {
    sandbox::read(component, limits)
}

/// The parameters of a query, decoded.
///
/// # Errors
///
/// The first part that is not UTF-8.
pub fn query(text: &str) -> Result<Vec<(String, String)>, String> {
    server::query(text)
}

/// The cookies of a request with these `Cookie` headers; those that are no header's value
/// are left out.
pub fn cookies(values: &[&[u8]]) -> Vec<(String, String)> {
    server::cookies(values)
}

/// Which of these media types a client wants that sends these `Accept` headers.
pub fn preferred(values: &[&[u8]], offers: &[&str]) -> Option<usize> {
    server::preferred(values, offers)
}
