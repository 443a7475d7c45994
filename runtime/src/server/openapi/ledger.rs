//! `/v1/verdicts`, `/v1/log/…` and `/v1/repositories/…`.

use serde_json::json;

use super::operation::{Content, JSON, LINES, OCTETS, Operation, Parameter, SERVER_SENT, Schemas, TEXT};
use super::{COLLECTED, limit, name, sequence};
use crate::ledger::Witnessed;
use crate::ledger::entry::Entry;
use crate::policy::Mode;
use crate::server::problem::Cause;
use crate::server::verdicts::{LIMIT_MAX, RATE_MAX};
use crate::verdict::Decision;

pub(super) fn operations(schemas: &mut Schemas) -> Vec<Operation> {
    let mut operations = vec![verdicts(schemas), checkpoint(), finished(), key(), witnesses(schemas), cosign(), proof()];
    operations.extend([tile(), entries()]);
    operations.extend(repositories());
    operations
}

const VERDICTS: &str = "\
The entries of the ledger as they become durable, from a sequence on, one a line. Filters go together: what is shown has all of them.

Without `limit` all of them come in one answer, and with `follow=true` it goes on with what is still to come, until the server stops; a blank line is a sign of life. With `limit` it is one page, and `Link` has the next one. A page may have fewer entries than that, even none, where a filter leaves most of them out: go on as long as there is a next one.

With `Accept: text/event-stream` they come as server-sent events, which always go on: `id` is the sequence, and a browser that lost its connection takes up where it was.";

fn verdicts(schemas: &mut Schemas) -> Operation {
    let entry = schemas.read::<Entry<'static>>();
    let (decision, mode) = (schemas.read::<Decision>(), schemas.read::<Mode>());
    let whole = json!({ "type": "integer", "minimum": 0, "maximum": u64::MAX });
    let text = json!({ "type": "string" });
    Operation::get("/v1/verdicts", "listEntries", "The record, entry by entry")
        .says(VERDICTS)
        .with(Parameter::query("from", "The first sequence; the first there is without it.", whole.clone()))
        .with(limit(LIMIT_MAX).tried("10"))
        .with(Parameter::query("follow", "Waits for what is still to come.", json!({ "type": "boolean" })))
        .with(Parameter::query(
            "rate",
            "For somebody who looks on: the latest entries, so many a second, as server-sent events, and behind them one of the type `left-out` with the number of those that were left out.",
            json!({ "type": "integer", "minimum": 2, "maximum": RATE_MAX }),
        ))
        .with(Parameter::query("policy", "Only what this policy was asked about, and its changes: NAME, or PUBLISHER/NAME.", text.clone()))
        .with(Parameter::query("verdict", "Only entries with this verdict.", decision))
        .with(Parameter::query(
            "mode",
            "Only entries in which a release in this mode has findings; with `policy`, one of that policy.",
            mode,
        ))
        .with(Parameter::query("subject", "Only events about this subject.", text.clone()))
        .with(Parameter::query("source", "Only what is about this source.", text))
        .with(Parameter::header("Last-Event-ID", "The sequence that was seen last, in the place of `from`.", whole))
        .answers(
            200,
            "Entries in one form only, as the tree has them.",
            vec![Content::items(LINES, "One entry a line.", entry.clone()), Content::items(SERVER_SENT, "One entry a message.", entry)],
        )
        .header("Link", "With `rel=\"next\"`: the next page, if there may be more.", json!({ "type": "string" }))
        .refuses([Cause::Header, Cause::NoLedger, Cause::NoSuchPolicy, Cause::LedgerFailed])
}

fn note(path: &'static str, id: &'static str, summary: &'static str, says: &'static str) -> Operation {
    Operation::get(path, id, summary).answers(200, says, vec![Content::text(TEXT, says)]).refuses([Cause::NoLedger])
}

fn checkpoint() -> Operation {
    note("/v1/log/checkpoint", "getCheckpoint", "The signed head of the log", "A checkpoint as a signed note (C2SP tlog-checkpoint).")
        .tagged()
        .refuses([Cause::NotFound])
}

fn finished() -> Operation {
    let says = "A checkpoint with as many cosignatures as are required (C2SP tlog-cosignature).";
    note("/v1/log/checkpoint/final", "getFinalCheckpoint", "The latest checkpoint that enough witnesses have co-signed", says)
        .tagged()
        .refuses([Cause::NotFound])
}

fn key() -> Operation {
    note("/v1/log/key", "getLogKey", "The key that checkpoints are signed with", "A verifier key (C2SP signed-note).").tagged()
}

fn witnesses(schemas: &mut Schemas) -> Operation {
    Operation::get("/v1/log/witnesses", "getWitnesses", "How far the witnesses are")
        .answers(200, "Entries that each of them has co-signed.", vec![Content::json(schemas.written::<Witnessed>())])
        .tagged()
        .refuses([Cause::NoLedger])
}

fn cosign() -> Operation {
    Operation::post("/v1/log/cosignatures", "addCosignature", "Takes a witness's cosignature")
        .takes(Content::text(TEXT, "A checkpoint of this log as a note, with the cosignature.").file("checkpoint.cosigned"))
        .answers(204, "It is kept.", Vec::new())
        .refuses([Cause::Cosignature, Cause::UnknownCheckpoint, Cause::UnknownWitness, Cause::NoLedger, Cause::LedgerFailed])
        .refuses(COLLECTED)
}

fn proof() -> Operation {
    note(
        "/v1/log/proof/{sequence}",
        "getProof",
        "The proof that an entry is in the log",
        "An inclusion proof on the latest checkpoint (C2SP tlog-proof).",
    )
    .with(sequence("The sequence of the entry."))
    .refuses([Cause::NotFound, Cause::LedgerFailed])
}

fn tiles(path: &'static str, id: &'static str, summary: &'static str, says: &'static str) -> Operation {
    let about = "The number of the tile in groups of three digits, all but the last with an `x` before it, and `.p/` with the width of one that is not full: `000`, `x001/067`, `x001/067.p/12`. Slashes stand as they are.";
    let tile = json!({ "type": "string", "pattern": r"^(x[0-9]{3}/)*[0-9]{3}(\.p/[1-9][0-9]{0,2})?$" });
    Operation::get(path, id, summary)
        .with(Parameter::path("tile", about, tile, "000.p/1").rest())
        .answers(200, says, vec![Content::text(OCTETS, says)])
        .tagged()
        .refuses([Cause::NotFound, Cause::NoLedger, Cause::LedgerFailed])
}

fn tile() -> Operation {
    let level = json!({ "type": "integer", "minimum": 0, "maximum": 63 });
    tiles("/v1/log/tile/{level}/{tile}", "getTile", "A tile of the log's tree", "Hashes, 32 bytes each (C2SP tlog-tiles).")
        .with(Parameter::path("level", "How far above the leaves.", level, "0"))
}

fn entries() -> Operation {
    let says = "Entries, each behind its length in 16 bits (C2SP tlog-tiles).";
    tiles("/v1/log/tile/entries/{tile}", "getEntryTile", "The entries of a tile", says)
}

fn repositories() -> [Operation; 3] {
    let file = |path, id, summary| {
        Operation::get(path, id, summary)
            .says("Everything in a repository is signed, or named by a digest in what is signed (The Update Framework).")
            .with(Parameter::path("repository", "Its name in `server.repositories` of the configuration.", name(), "market-office"))
            .answers(200, "The file.", vec![Content::new(JSON, json!({})), Content::text(OCTETS, "The file.")])
            .refuses([Cause::NotFound])
    };
    let text = json!({ "type": "string", "pattern": "^[A-Za-z0-9_+~-][A-Za-z0-9._+~-]*$" });
    let part = |name, example| Parameter::path(name, "A file that the repository has.", text.clone(), example);
    [
        file("/v1/repositories/{repository}/root.json", "getRepositoryRoot", "A repository's root of trust"),
        file("/v1/repositories/{repository}/metadata/{file}", "getRepositoryMetadata", "A repository's signed metadata")
            .with(part("file", "timestamp.json").rest()),
        file("/v1/repositories/{repository}/targets/{path}", "getRepositoryTarget", "A release's statement, component, settings or list")
            .with(part("path", "releases/negative-list/1.0.0.json").rest()),
    ]
}
