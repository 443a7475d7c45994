//! `/v1/backtests` and what is below it.

use hyper::Method;
use serde_json::json;

use super::COLLECTED;
use super::operation::{CSV, Content, JSON, LINES, Operation, Parameter, SERVER_SENT, Schemas};
use crate::backtest::{Example, KnownRelease, Status};
use crate::reference::ListError;
use crate::sandbox::LoadError;
use crate::server::backtests::{Asked, View};
use crate::server::problem::Cause;

pub(super) fn operations(schemas: &mut Schemas) -> Vec<Operation> {
    vec![list(schemas), begin(schemas), releases(schemas), get(schemas), delete(schemas), differences(schemas)]
}

fn number() -> Parameter {
    Parameter::path("number", "The back-test's number.", json!({ "type": "integer", "minimum": 0, "maximum": u64::MAX }), "1")
}

fn list(schemas: &mut Schemas) -> Operation {
    let all = json!({ "type": "array", "items": schemas.written::<View<'static>>() });
    let answer = json!({ "type": "object", "required": ["backtests"], "properties": { "backtests": all } });
    Operation::get("/v1/backtests", "listBacktests", "Back-tests that wait, run, or are over")
        .says("The latest first, without their results. As many are kept as `backtests.keep` in the configuration says; whoever sees some policies only sees those that are about one of these alone.")
        .answers(200, "All of them.", vec![Content::json(answer)])
}

const BEGIN: &str = "\
Recorded events are judged again beside the live ones, at the lowest priority, and what comes out is compared with what was recorded or with another release. Nothing that counts is changed. It takes what `ledger.events` in the configuration has kept of events.

Without `access` in the configuration only from this machine. In `multipart/form-data` the part `request` has what is asked, and `component`, `settings` and `list` are tried in the place of the release's own; as in `settings`, only in development mode.";

fn begin(schemas: &mut Schemas) -> Operation {
    let asked = schemas.read::<Asked>();
    let bytes = |media: &str| json!({ "type": "string", "contentMediaType": media });
    let form = json!({
        "type": "object",
        "required": ["request"],
        "additionalProperties": false,
        "properties": {
            "request": { "type": "string", "contentMediaType": JSON, "contentSchema": asked },
            "component": bytes("application/wasm"),
            "settings": bytes(JSON),
            "list": { "type": "array", "minItems": 1, "items": bytes("application/octet-stream") },
        },
    });
    let example = json!({ "policy": "negative-list", "warm_up": true, "by": "an analyst", "reason": "before it counts" });
    Operation::post("/v1/backtests", "beginBacktest", "Begins a back-test")
        .says(BEGIN)
        .takes(Content::new(JSON, asked).example(example))
        .takes(Content::new("multipart/form-data", form))
        .answers(202, "It waits for its turn, or runs.", vec![Content::json(schemas.written::<View<'static>>())])
        .header("Location", "Its address.", json!({ "type": "string" }))
        .refuses([Cause::NoSuchRelease, Cause::NothingKept, Cause::BacktestsFull])
        .refuses([Cause::DevelopmentOnly, Cause::ForeignHost])
        .refuses([Cause::ActMediaType, Cause::MediaType, Cause::Multipart, Cause::NoSuchPolicy, Cause::Worker])
        .refuses(LoadError::KINDS.into_iter().chain(ListError::KINDS).map(Cause::Load))
        .refuses(COLLECTED)
}

fn releases(schemas: &mut Schemas) -> Operation {
    let all = json!({ "type": "array", "items": schemas.written::<KnownRelease>() });
    let answer = json!({ "type": "object", "required": ["releases"], "properties": { "releases": all } });
    Operation::get("/v1/backtests/releases", "listTriable", "Releases that can be tried")
        .says("All that were put in force or tried out since the ledger began, by policy, the latest first.")
        .answers(200, "The releases.", vec![Content::json(answer)])
}

fn get(schemas: &mut Schemas) -> Operation {
    let view = schemas.written::<View<'static>>();
    let progress = schemas.written::<Status>();
    Operation::get("/v1/backtests/{number}", "getBacktest", "A back-test, and what came of it")
        .says("With `Accept: text/event-stream` how far it is, until it is over: events of the type `progress`, and at the end one that is named for its state, `done`, `failed` or `cancelled`.")
        .with(number())
        .answers(200, "How it stands.", vec![Content::json(view), Content::items(SERVER_SENT, "How far it is.", progress)])
        .refuses([Cause::NoSuchBacktest, Cause::NotFound])
}

fn delete(schemas: &mut Schemas) -> Operation {
    Operation::new(Method::DELETE, "/v1/backtests/{number}", "endBacktest", "Ends a back-test, or forgets it")
        .says("One that waits or runs is cancelled; one that is over is forgotten with its result. Without `access` in the configuration only from this machine; with it by whoever has asked for it, and the role operator.")
        .with(number())
        .answers(200, "As it stands then.", vec![Content::json(schemas.written::<View<'static>>())])
        .refuses([Cause::NoSuchBacktest, Cause::NotFound, Cause::ForeignHost, Cause::Forbidden])
}

fn differences(schemas: &mut Schemas) -> Operation {
    let says = "`ndjson` or `csv`, in the place of `Accept`.";
    Operation::get("/v1/backtests/{number}/differences", "getDifferences", "Every event whose verdict or findings would be other")
        .says("One a line; as CSV (RFC 4180) a row for each finding that is new or gone. As many are kept as `backtests.differences-max` in the configuration says.")
        .with(number())
        .with(Parameter::query("format", says, json!({ "enum": ["ndjson", "csv"] })))
        .answers(
            200,
            "The differences.",
            vec![
                Content::items(LINES, "One difference a line.", schemas.written::<Example>()),
                Content::text(CSV, "A header and rows."),
            ],
        )
        .header("Content-Disposition", "A name for the file.", json!({ "type": "string" }))
        .refuses([Cause::NoSuchBacktest, Cause::NotFound, Cause::NotDone])
}
