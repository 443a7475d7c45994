//! `/v1/releases` and the acts below it, `/v1/publishers/…/look` and `/v1/status`.

use schemars::JsonSchema;
use serde_json::{Value, json};

use super::operation::{Content, Operation, Schemas, TEXT};
use super::policies::page;
use super::{policy, publisher};
use crate::publishers::Looked;
use crate::runtime::Swap;
use crate::sandbox::LoadError;
use crate::server::problem::Cause;
use crate::server::releases::{ACT, Demote, List, Promote, Withdraw};
use crate::server::status::Status;

pub(super) fn operations(schemas: &mut Schemas) -> Vec<Operation> {
    let mut operations = vec![list(schemas)];
    for is_published in [false, true] {
        operations.extend(acts(schemas, is_published));
    }
    operations.extend([look(schemas), status(schemas)]);
    operations
}

fn list(schemas: &mut Schemas) -> Operation {
    let get = Operation::get("/v1/releases", "listReleases", "Releases that are judged with, and what they have shown")
        .says("By the name of the policy; of one policy first the release in force, then the one that is tried out.")
        .answers(200, "A page of releases.", vec![Content::json(schemas.written::<List>())]);
    page(get)
}

/// An act on the releases of a policy.
fn act<A: JsonSchema>(schemas: &mut Schemas, path: &'static str, id: &'static str, summary: &'static str, example: Value) -> Operation {
    let body = Content::json(schemas.read::<A>()).example(example);
    let operation = Operation::post(path, id, summary)
        .says("Without `access` in the configuration only from this machine. Who does it and why is recorded in the ledger; the answer names the first event for which it holds.")
        .takes(body)
        .answers(200, "It is done.", vec![Content::json(schemas.written::<Swap>())])
        .conditional()
        .refuses([Cause::NoSuchPolicy, Cause::Worker, Cause::Stopping])
        .refuses(LoadError::KINDS.map(Cause::Load))
        .refuses(ACT);
    match path.contains("{publisher}") {
        true => operation.with(publisher()).with(policy()),
        false => operation.with(policy()),
    }
}

fn acts(schemas: &mut Schemas, is_published: bool) -> [Operation; 3] {
    let who = "platform operations";
    let pick = |own: &'static str, published: &'static str| if is_published { published } else { own };
    let promote = pick("/v1/releases/{policy}/promote", "/v1/releases/{publisher}/{policy}/promote");
    let demote = pick("/v1/releases/{policy}/demote", "/v1/releases/{publisher}/{policy}/demote");
    let withdraw = pick("/v1/releases/{policy}/withdraw", "/v1/releases/{publisher}/{policy}/withdraw");
    [
        act::<Promote>(
            schemas,
            promote,
            pick("promote", "promotePublished"),
            "Lets a release that is tried out count for more",
            json!({ "by": who, "to": "enforce" }),
        )
        .refuses([Cause::Gate]),
        act::<Demote>(schemas, demote, pick("demote", "demotePublished"), "Lets a release count for less", json!({ "by": who })),
        act::<Withdraw>(
            schemas,
            withdraw,
            pick("withdraw", "withdrawPublished"),
            "Takes a release, or all of a policy, out of force",
            json!({ "by": who, "reason": "flags what the law allows" }),
        ),
    ]
}

fn look(schemas: &mut Schemas) -> Operation {
    Operation::post("/v1/publishers/{publisher}/look", "lookNow", "Looks into a publisher's repository now")
        .says("Without `access` in the configuration only from this machine. It is looked into anyway, every `poll-s` seconds of the configuration.")
        .with(publisher())
        .answers(200, "What came of it.", vec![Content::json(schemas.written::<Looked>())])
        .refuses([Cause::NotFound, Cause::ForeignHost, Cause::Repository])
}

fn status(schemas: &mut Schemas) -> Operation {
    let says = "A signed note whose text is `ephor status 1` and the JSON below.";
    Operation::get("/v1/status", "getStatus", "What is judged with, since when, and how it stands")
        .says("A note that the ledger's key has signed; or JSON alone, with `Accept: application/json`, and from a server that keeps no ledger.")
        .answers(200, "How it stands.", vec![Content::text(TEXT, says), Content::json(schemas.written::<Status>())])
}
