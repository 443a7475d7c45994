//! `/livez`, `/readyz` and `/metrics`.

use serde_json::json;

use super::operation::{Content, Operation, Schemas, TEXT};

pub(super) fn operations(_: &mut Schemas) -> Vec<Operation> {
    vec![live(), ready(), metrics()]
}

fn live() -> Operation {
    Operation::get("/livez", "isAlive", "Whether the process answers").answers(200, "It does.", vec![Content::text(TEXT, "`ok`")])
}

/// Written where it is answered: `routes::ready`.
fn ready() -> Operation {
    let yes = json!({
        "type": "object",
        "required": ["ready", "durability"],
        "properties": {
            "ready": { "const": true },
            "durability": { "enum": ["sync", "os", "none"], "description": "What an answer means for the disk; `none` if nothing is kept." },
        },
    });
    let no = json!({
        "type": "object",
        "required": ["ready", "reason"],
        "properties": { "ready": { "const": false }, "reason": { "type": "string" } },
    });
    Operation::get("/readyz", "isReady", "Whether it makes sense to send events here now")
        .says("No while the server stops, once the ledger has failed, and as long as nothing is known of what a publisher has published.")
        .answers(200, "Yes.", vec![Content::json(yes)])
        .answers(503, "No, and why.", vec![Content::json(no)])
}

fn metrics() -> Operation {
    let says = "OpenMetrics 1.0. Labels come from closed sets; no content of an event is one.";
    Operation::get("/metrics", "getMetrics", "Counters and gauges, for Prometheus").answers(
        200,
        says,
        vec![Content::text("application/openmetrics-text", says)],
    )
}
