//! The table as an OpenAPI 3.1 document.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use super::access;
use super::operation::{Answer, Content, Example, Operation, Parameter};
use super::table::{TABLE, Table};
use crate::server::problem::Cause;

/// What is true of all operations.
pub(super) const DESCRIPTION: &str = "\
Takes events, answers each with a verdict, and shows the record of it.

**Errors.** Every refusal is a problem (RFC 9457, `application/problem+json`). `type` names what it is and does not change; `detail` says what to do and may. An error of the connection itself, before there is a request, has a status and no body.

**Queries.** A parameter that an operation does not have is refused with its name, and so is one that is there twice.

**Pages.** A list has a bounded page size, `limit`. Where there is more, `Link` with `rel=\"next\"` (RFC 8288) has the address of the next page; take it as it is. Its cursor stays valid while the list changes.

**Caching.** An answer with an `ETag` is not sent again to whoever has it: send the tag as `If-None-Match`, and the answer is 304. `If-Match` makes an act conditional on how a policy stands. `Range` is not looked at.

**Who may.** Where the configuration has `access`, each operation says which roles it takes; whoever shows nothing is answered 401, and whoever lacks the role 403. Where it has not, nobody shows who they are, and what acts is done from this machine only.

**Methods.** `HEAD` works wherever `GET` does, `OPTIONS` says which methods a path has. There are no answers to preflight requests of browsers: pages of other origins may not use this.

**Bodies.** Events and policies may be sent compressed (`Content-Encoding: gzip` or `zstd`), once.

**Changes.** Within `/v1` nothing is taken away or made to mean something else: there may be new paths, new parameters, new members of answers and new kinds of problems, so ignore members that you do not know. What is going to end has `deprecated` in this document and a `Deprecation` header (RFC 9745) for a year before it does, with a `Sunset` (RFC 8594) that says when; what is incompatible comes as `/v2` beside it.";

/// What any operation may be refused for.
pub(super) const COMMON: [Cause; 5] = [Cause::Query, Cause::NotAcceptable, Cause::UriTooLong, Cause::HeaderTooLarge, Cause::Internal];

/// The document as it is given out, with a new line at its end.
pub(in crate::server) static DOCUMENT: LazyLock<String> = LazyLock::new(|| format!("{:#}\n", document(&TABLE)));

fn document(table: &Table) -> Value {
    let paths: Map<String, Value> = table
        .paths
        .iter()
        .map(|path| {
            let methods = path.operations.iter().map(|one| (one.method.as_str().to_ascii_lowercase(), operation(one)));
            (path.template.to_string(), Value::Object(methods.collect()))
        })
        .collect();
    let tags: Vec<Value> = Table::groups().map(|(name, says)| json!({ "name": name, "description": says })).collect();
    json!({
        "openapi": "3.1.1",
        "info": {
            "title": "Ephor",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "Supervision rules as small WebAssembly programs, beside a platform's own event stream.",
            "description": DESCRIPTION,
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "servers": [{ "url": "/" }],
        "security": access::security(),
        "tags": tags,
        "paths": paths,
        "components": { "schemas": table.schemas, "securitySchemes": access::schemes() },
    })
}

fn operation(operation: &Operation) -> Value {
    let mut members = Map::new();
    members.insert("operationId".into(), operation.id.into());
    members.insert("tags".into(), json!([operation.group]));
    members.insert("summary".into(), operation.summary.into());
    let says = [operation.description, &access::says(operation)].map(str::trim).join("\n\n");
    members.insert("description".into(), says.trim().into());
    if !access::asks_who(operation) {
        members.insert("security".into(), json!([]));
    }
    if !operation.parameters.is_empty() {
        members.insert("parameters".into(), operation.parameters.iter().map(parameter).collect());
    }
    if !operation.bodies.is_empty() {
        members.insert("requestBody".into(), json!({ "required": true, "content": contents(&operation.bodies) }));
    }
    let mut answers: BTreeMap<String, Value> = operation.answers.iter().map(|one| (one.status.to_string(), answer(one))).collect();
    if operation.is_tagged {
        answers.insert("304".into(), json!({ "description": "What was answered before still holds." }));
    }
    for (status, causes) in refusals(operation) {
        add_refusal(answers.entry(status.to_string()).or_insert(Value::Null), &causes);
    }
    members.insert("responses".into(), answers.into_iter().collect());
    Value::Object(members)
}

fn parameter(parameter: &Parameter) -> Value {
    let mut members = json!({
        "name": parameter.name,
        "in": parameter.place.name(),
        "required": parameter.is_required(),
        "description": parameter.says,
        "schema": parameter.schema,
    });
    if let Some(example) = parameter.example {
        let is_number = parameter.schema["type"] == "integer";
        members["example"] = if is_number { example.parse::<u64>().ok().into() } else { example.into() };
    }
    if parameter.is_rest {
        members["x-segments"] = "one or more; a slash in it stands as it is".into();
    }
    members
}

fn contents(contents: &[Content]) -> Map<String, Value> {
    let one = |content: &Content| {
        let mut members = json!({ "schema": content.schema });
        if let Some(item) = &content.item {
            members["x-item-schema"] = item.clone();
        }
        match &content.example {
            Some(Example::Json(value)) => members["example"] = value.clone(),
            Some(Example::Text(text)) => members["example"] = (*text).into(),
            Some(Example::File(_)) | None => {}
        }
        (content.media.to_string(), members)
    };
    contents.iter().map(one).collect()
}

fn answer(answer: &Answer) -> Value {
    let mut members = json!({ "description": answer.says });
    if !answer.contents.is_empty() {
        members["content"] = contents(&answer.contents).into();
    }
    if !answer.headers.is_empty() {
        let headers = answer.headers.iter();
        let headers: Map<String, Value> =
            headers.map(|(name, says, schema)| ((*name).to_string(), json!({ "description": says, "schema": schema }))).collect();
        members["headers"] = headers.into();
    }
    members
}

/// What an operation is refused for, by status.
pub(super) fn refusals(operation: &Operation) -> BTreeMap<u16, Vec<Cause>> {
    let mut by_status: BTreeMap<u16, Vec<Cause>> = BTreeMap::new();
    for cause in COMMON.iter().chain(&access::causes(operation)).chain(&operation.problems) {
        let causes = by_status.entry(cause.status().as_u16()).or_default();
        if !causes.iter().any(|known| known.kind() == cause.kind()) {
            causes.push(*cause);
        }
    }
    by_status
}

/// Describes a refusal, beside what may be described for its status already.
fn add_refusal(answer: &mut Value, causes: &[Cause]) {
    let types: Vec<String> = causes.iter().map(|cause| cause.urn()).collect();
    let says: Vec<String> = causes.iter().map(|cause| format!("`{}`: {}.", cause.kind(), cause.title())).collect();
    let schema = json!({ "allOf": [{ "$ref": "#/components/schemas/Problem" }], "properties": { "type": { "enum": types } } });
    if !answer.is_object() {
        *answer = json!({ "description": "" });
    }
    let before = answer["description"].as_str().unwrap_or_default();
    let between = if before.is_empty() { "" } else { " " };
    answer["description"] = format!("{before}{between}{}", says.join(" ")).into();
    if let Some(seconds) = causes.iter().any(|cause| cause.asks_back()).then(|| json!({ "type": "integer", "minimum": 0 })) {
        answer["headers"]["Retry-After"] = json!({ "description": "Seconds until it is worth trying again.", "schema": seconds });
    }
    if causes.contains(&Cause::Unauthenticated) {
        answer["headers"]["WWW-Authenticate"] =
            json!({ "description": "How to say who it is (RFC 6750, section 3).", "schema": { "type": "string" } });
    }
    answer["content"]["application/problem+json"] = json!({ "schema": schema });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every reference leads somewhere, and every schema is one.
    #[test]
    fn references_lead_somewhere() {
        fn walk(value: &Value, root: &Value) {
            match value {
                Value::Object(members) => {
                    if let Some(Value::String(reference)) = members.get("$ref") {
                        let found = root.pointer(reference.trim_start_matches('#'));
                        assert!(found.is_some(), "{reference} leads nowhere");
                    }
                    members.values().for_each(|value| walk(value, root));
                }
                Value::Array(items) => items.iter().for_each(|value| walk(value, root)),
                _ => {}
            }
        }
        let document = document(&TABLE);
        walk(&document, &document);
        for (name, schema) in document["components"]["schemas"].as_object().expect("schemas") {
            assert!(jsonschema::meta::is_valid(schema), "{name} is no schema");
        }
    }
}
