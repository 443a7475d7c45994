//! The HTTP API as a document: one table of all operations, of which the OpenAPI document,
//! the page that shows it, and the checks that every request goes through are made.
//!
//! One file for each group of operations. A new route is described by an entry in one of
//! them: path, parameters, bodies, answers, and what it is refused for. A route without an
//! entry answers 404, a method without one 405, and a parameter of the query that no entry
//! has is refused.

mod about;
mod access;
mod backtests;
mod document;
mod events;
mod ledger;
mod operation;
mod page;
mod policies;
mod probes;
mod releases;
mod table;

pub(super) use document::DOCUMENT;
pub(super) use operation::{CSV, JSON, LINES, Operation};
pub(super) use page::{POLICY, page};
pub(super) use table::{Path, TABLE};

use operation::Parameter;
use serde_json::{Value, json};

use super::problem::Cause;

/// What a body that is collected may be refused for.
const COLLECTED: [Cause; 5] = [Cause::BodyTooLarge, Cause::BodyIdle, Cause::BodySlow, Cause::BodyCut, Cause::Crowded];

/// And one that may be compressed.
const CODED: [Cause; 4] = [Cause::ContentCoding, Cause::Corrupt, Cause::ExpandedTooLarge, Cause::ExpansionRatio];

/// The document, for whoever has no server.
pub fn document() -> &'static str {
    &DOCUMENT
}

/// Lower-case words joined by hyphens, as policies and publishers are named.
fn name() -> Value {
    json!({ "type": "string", "pattern": "^[a-z0-9]+(-[a-z0-9]+)*$", "maxLength": 64 })
}

fn policy() -> Parameter {
    Parameter::path("policy", "The policy's name.", name(), "negative-list")
}

fn publisher() -> Parameter {
    Parameter::path("publisher", "The publisher's name in the configuration.", name(), "market-office")
}

fn sequence(says: &'static str) -> Parameter {
    Parameter::path("sequence", says, json!({ "type": "integer", "format": "int64", "minimum": 0 }), "1")
}

/// A page's size, and where it begins.
fn limit(max: usize) -> Parameter {
    Parameter::query("limit", "Items on a page, at most.", json!({ "type": "integer", "minimum": 1, "maximum": max }))
}
