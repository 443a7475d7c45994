//! `/v1/openapi.json` and `/v1/docs`.

use serde_json::json;

use super::operation::{Content, Operation, Schemas};

pub(super) fn operations(_: &mut Schemas) -> Vec<Operation> {
    let document = json!({ "type": "object", "required": ["openapi", "info", "paths"] });
    vec![
        Operation::get("/v1/openapi.json", "getDocument", "The HTTP API as an OpenAPI 3.1 document")
            .answers(200, "This document.", vec![Content::json(document)])
            .tagged(),
        Operation::get("/v1/docs", "showDocument", "The same as a page to read")
            .answers(200, "The page.", vec![Content::text("text/html", "It loads nothing and needs no script.")])
            .tagged(),
    ]
}
