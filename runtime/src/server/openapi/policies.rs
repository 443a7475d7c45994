//! `/v1/policies` and what is below it.

use serde_json::{Value, json};

use super::operation::{Content, JSON, Operation, Parameter, Schemas, entity_tags};
use super::{CODED, COLLECTED, limit, policy, publisher};
use crate::reference::ListError;
use crate::runtime::Swap;
use crate::sandbox::LoadError;
use crate::server::list::LIMIT_MAX;
use crate::server::policies::{Removed, View};
use crate::server::problem::Cause;

pub(super) fn operations(schemas: &mut Schemas) -> Vec<Operation> {
    let own = |operation: Operation| operation.with(policy());
    let published = |operation: Operation| operation.with(publisher()).with(policy());
    let (one, of_publisher) = ("/v1/policies/{policy}", "/v1/policies/{publisher}/{policy}");
    vec![
        list(schemas),
        own(get(schemas, one, "getPolicy")),
        own(put(schemas, one, "putPolicy")),
        own(delete(schemas, one, "deletePolicy")),
        published(get(schemas, of_publisher, "getPublishedPolicy")),
        published(put(schemas, of_publisher, "putPublishedPolicy")),
        published(delete(schemas, of_publisher, "deletePublishedPolicy")),
    ]
}

/// The cursor of a list by policy.
pub(super) fn after() -> Parameter {
    let says = "Only policies whose names come after this one; `Link` has the address of the next page.";
    Parameter::query("after", says, json!({ "type": "string" }))
}

/// A list by policy.
pub(super) fn page(operation: Operation) -> Operation {
    operation.with(limit(LIMIT_MAX)).with(after()).header(
        "Link",
        "With `rel=\"next\"`: the next page, if there is more.",
        json!({ "type": "string" }),
    )
}

fn list(schemas: &mut Schemas) -> Operation {
    let policies = json!({ "type": "array", "items": schemas.written::<View<'static>>() });
    let answer = json!({ "type": "object", "required": ["policies"], "properties": { "policies": policies } });
    let get = Operation::get("/v1/policies", "listPolicies", "What is in force")
        .says("Policies by name, each with the release in force; one that is tried out without another has that one.")
        .answers(200, "A page of policies.", vec![Content::json(answer)]);
    page(get).tagged()
}

fn get(schemas: &mut Schemas, path: &'static str, id: &'static str) -> Operation {
    Operation::get(path, id, "One policy in force")
        .says("Its entity tag changes whenever a release of it is put in force, tried out, promoted, demoted or withdrawn.")
        .answers(200, "The policy.", vec![Content::json(schemas.written::<View<'static>>())])
        .tagged()
        .refuses([Cause::NoSuchPolicy])
}

fn put(schemas: &mut Schemas, path: &'static str, id: &'static str) -> Operation {
    let swap = schemas.written::<Swap>();
    let form = json!({
        "type": "object",
        "minProperties": 1,
        "additionalProperties": false,
        "properties": { "component": bytes("application/wasm"), "settings": bytes(JSON), "list": { "type": "array", "minItems": 1, "items": bytes("application/octet-stream") } },
    });
    let only_new = "`*`: only if there is no such policy yet.";
    Operation::new(hyper::Method::PUT, path, id, "Puts a component, settings or lists in force")
        .says("Only in development mode; without `access` in the configuration only from this machine. What is not sent stays as it is. The answer names the first event that is judged by the new release.")
        .with(Parameter::header("If-None-Match", only_new, entity_tags()))
        .takes(Content::new(JSON, json!({ "description": "Settings, by the policy's own schema." })).example(json!({ "words": ["CIGAR", "LANTERN"] })))
        .takes(Content::new("application/wasm", bytes("application/wasm")).file("negative-list.wasm"))
        .takes(Content::new("multipart/form-data", form))
        .answers(200, "The release took the place of another.", vec![Content::json(swap.clone())])
        .answers(201, "The policy is new.", vec![Content::json(swap)])
        .conditional()
        .refuses([Cause::PolicyMediaType, Cause::Multipart, Cause::DevelopmentOnly, Cause::ForeignHost])
        .refuses([Cause::NoSuchPolicy, Cause::Worker, Cause::Stopping])
        .refuses(LoadError::KINDS.into_iter().chain(ListError::KINDS).map(Cause::Load))
        .refuses(COLLECTED)
        .refuses(CODED)
}

fn bytes(media: &str) -> Value {
    json!({ "type": "string", "contentMediaType": media })
}

fn delete(schemas: &mut Schemas, path: &'static str, id: &'static str) -> Operation {
    Operation::new(hyper::Method::DELETE, path, id, "Takes a policy out of force")
        .says(
            "Only in development mode; without `access` in the configuration only from this machine. All that it remembered goes with it.",
        )
        .answers(200, "It is out of force.", vec![Content::json(schemas.written::<Removed<'static>>())])
        .conditional()
        .refuses([Cause::NoSuchPolicy, Cause::DevelopmentOnly, Cause::ForeignHost, Cause::Stopping])
}
