//! `/v1/events`, `/v1/events/{sequence}` and `/v1/erasures`.

use serde_json::{Value, json};

use super::operation::{BATCH, Content, EVENT, JSON, LINES, Operation, Parameter, Schemas};
use super::{CODED, COLLECTED, sequence};
use crate::ingest::RejectionKind;
use crate::runtime::Erased;
use crate::server::contents::Act;
use crate::server::problem::Cause;
use crate::server::{answer, releases};

pub(super) fn operations(schemas: &mut Schemas) -> Vec<Operation> {
    vec![submit(schemas), content(), erase(schemas)]
}

const SUBMIT: &str = "\
In four forms, told apart by the content type: one event in JSON (structured mode), an array of events (batch mode), one event a line without end, or one event with its attributes in `ce-` headers and its data as the body, in any other type (binary mode, shown here for JSON).

A single event is answered by its verdict or a problem. Of an array and of lines each item is answered by itself, in order: what is no valid event has an `error` in the place of a verdict, and the others are judged. Nothing valid at all is a 400 with what is wrong with each.

An event is known by `source` and `id`. Sent again, it is answered from the record, with `\"duplicate\": true`; so without an answer, send it again.

Answers to lines come while lines are sent. With `Prefer: return=minimal` clean events have none, and a summary comes last. A stream that the server ends early ends with an `error` that has `from_line`: what was not judged.";

fn submit(schemas: &mut Schemas) -> Operation {
    let event = schemas.by_hand("Event", event());
    let value = schemas.by_hand("Value", value());
    let finding = schemas.by_hand("Finding", answer::finding_schema());
    let fault = schemas.by_hand("Fault", answer::fault_schema());
    let verdict = schemas.by_hand("Verdict", answer::verdict_schema(&finding, &fault));
    let error = schemas.by_hand("NoVerdict", answer::error_schema());
    let summary = schemas.by_hand("Summary", answer::summary_schema());
    let item = json!({ "anyOf": [verdict, error] });
    let lines = Content::items(LINES, "One answer a line.", json!({ "anyOf": [verdict, error, summary] }));
    let says = "`return=minimal` leaves clean events out of the answers to lines (RFC 7240).";
    Operation::post("/v1/events", "submitEvents", "Has events judged")
        .says(SUBMIT)
        .with(Parameter::header("Prefer", says, json!({ "type": "string" })))
        .takes(Content::new(EVENT, event.clone()).example(example("1", "CIGAR BOX")))
        .takes(
            Content::new(BATCH, json!({ "type": "array", "items": event }))
                .example(json!([example("2", "WINE GLASS"), example("3", "TEAPOT")])),
        )
        .takes(Content::items(LINES, "One event a line.", event).text_example(LINE))
        .takes(Content::new(JSON, value).with_headers(&HEADERS).example(json!({ "description": "CIGAR BOX" })))
        .answers(
            200,
            "A verdict; for an array of events an array of answers; for lines one answer a line.",
            vec![Content::json(json!({ "anyOf": [verdict, { "type": "array", "items": item }] })), lines.clone()],
        )
        .header("Preference-Applied", "`return=minimal`, if that was asked for of lines.", json!({ "type": "string" }))
        .answers(400, "Of lines: what is wrong with each, where not one is taken.", vec![lines.clone()])
        .answers(408, "Of lines: the same, where they stopped coming.", vec![lines.clone()])
        .answers(413, "Of lines: the same, where they expand to too much.", vec![lines.clone()])
        .answers(503, "Of lines: the same, where the server stops.", vec![lines])
        .refuses(RejectionKind::ALL.into_iter().map(Cause::Event))
        .refuses([Cause::NothingValid, Cause::MediaType, Cause::Charset])
        .refuses([Cause::IdReused, Cause::OutsideHorizon, Cause::QueueFull, Cause::Stopping, Cause::LedgerFailed])
        .refuses(COLLECTED)
        .refuses(CODED)
}

const LINE: &str = r#"{"specversion":"1.0","id":"4","source":"/shop","type":"retail.invoice.line","data":{"description":"TEAPOT"}}"#;

const HEADERS: [&str; 4] = ["ce-specversion: 1.0", "ce-id: 5", "ce-source: /shop", "ce-type: retail.invoice.line"];

fn example(id: &str, description: &str) -> Value {
    json!({ "specversion": "1.0", "id": id, "source": "/shop", "type": "retail.invoice.line", "data": { "description": description } })
}

/// What `ingest/` takes for an event.
fn event() -> Value {
    const TEXT: &str = r"^[^\x00-\x1f\x7f-\x9f]+$";
    let text = |says: &str| json!({ "type": ["string", "null"], "pattern": TEXT, "description": says });
    let uri = r"^[^\x00-\x20\x7f-\x9f]+$";
    json!({
        "description": "A CloudEvent (CloudEvents 1.0.2, JSON format). An attribute that is null is not there. Names that begin with `dev.ephor.` and sources of the runtime itself are reserved.",
        "type": "object",
        "required": ["specversion", "id", "source", "type"],
        "properties": {
            "specversion": { "const": "1.0" },
            "id": { "type": "string", "pattern": TEXT, "description": "Unique within its source." },
            "source": { "type": "string", "pattern": uri, "description": "A URI reference." },
            "type": { "type": "string", "pattern": TEXT },
            "subject": text("Whom or what it is about."),
            "time": { "type": ["string", "null"], "format": "date-time", "description": "When it happened." },
            "datacontenttype": { "type": ["string", "null"], "pattern": "^[A-Za-z0-9.+-]+/[A-Za-z0-9.+-]+$" },
            "dataschema": { "type": ["string", "null"], "pattern": uri },
            "data": { "$ref": "#/components/schemas/Value" },
            "data_base64": {
                "type": ["string", "null"],
                "pattern": "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$",
                "description": "Data that is not JSON, in the place of `data`. No policy sees into it.",
            },
        },
        "propertyNames": { "pattern": "^([a-z0-9]+|data_base64)$" },
        "additionalProperties": {
            "description": "Extensions.",
            "anyOf": [
                { "type": ["string"], "pattern": r"^[^\x00-\x1f\x7f-\x9f]*$" },
                { "type": "integer", "minimum": i32::MIN, "maximum": i32::MAX },
                { "type": ["boolean", "null"] },
            ],
        },
        "not": { "required": ["data", "data_base64"] },
    })
}

fn value() -> Value {
    let own = json!({ "$ref": "#/components/schemas/Value" });
    json!({
        "description": "Any JSON that all parsers read the same: no name twice in an object, no lone surrogate, no integer beyond the signed 64-bit range (RFC 7493).",
        "anyOf": [
            { "type": ["boolean", "null", "string"] },
            { "type": "number", "minimum": i64::MIN, "maximum": i64::MAX },
            { "type": "array", "items": own },
            { "type": "object", "additionalProperties": own },
        ],
    })
}

fn content() -> Operation {
    let says = "In the mode in which it was sent: in binary mode with its attributes in `ce-` headers. Without `access` in the configuration only from this machine, and only what `ledger.events` in the configuration has kept.";
    Operation::get("/v1/events/{sequence}", "getEvent", "An event as it was sent")
        .says(says)
        .with(sequence("The sequence of its entry."))
        .answers(200, "The event's bytes, in its own type.", vec![Content::new("*/*", json!({ "description": "As it was sent." }))])
        .header(
            "ephor-salt",
            "With it the commitments in the entry can be checked.",
            json!({ "type": "string", "pattern": "^[0-9a-f]{64}$" }),
        )
        .tagged()
        .refuses([Cause::NotFound, Cause::NotKept, Cause::Erased, Cause::NoLedger, Cause::ForeignHost])
}

fn erase(schemas: &mut Schemas) -> Operation {
    let act =
        Content::json(schemas.read::<Act>()).example(json!({ "subject": "device-8241", "by": "privacy office", "reason": "asked for" }));
    Operation::post("/v1/erasures", "eraseContents", "Erases the content of events")
        .says("Of all events so far about a subject, of a source, or of one by source and id. Their entries stay. Answered once the content is gone; the entry of the erasure says who wanted it.")
        .takes(act)
        .answers(200, "It is gone.", vec![Content::json(schemas.written::<Erased>())])
        .refuses([Cause::NotKept, Cause::Stopping])
        .refuses(releases::ACT)
}
