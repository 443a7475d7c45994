//! The ledger for everybody: checkpoints, tiles and proofs under `/v1/log/` as C2SP
//! tlog-tiles has them, so that standard clients can follow.

use std::sync::Arc;

use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};

use super::Shared;
use super::body::{RequestBody, ResponseBody};
use super::problem::{Cause, Problem};
use crate::ledger::tree::{TileId, TreeError};
use crate::ledger::{CosignError, Log, LogError};

/// Bytes of a note with a cosignature.
const COSIGNATURE_BYTES_MAX: usize = 64 << 10;

/// The ledger, if there is one.
pub(super) fn of(shared: &Shared) -> Result<&Arc<Log>, Problem> {
    shared.runtime.log().ok_or_else(none)
}

/// That there is none.
pub(super) fn none() -> Problem {
    Problem::new(Cause::NoLedger, "This server keeps nothing; start it with a data directory.")
}

/// What is asked for below `/v1/log/`.
pub(super) async fn get(shared: &Arc<Shared>, path: &str) -> Result<Response<ResponseBody>, Problem> {
    let log = of(shared)?;
    match path {
        "key" => Ok(text(format!("{}\n", log.key()))),
        "checkpoint" => match log.latest() {
            Some((_, note)) => Ok(text(note.to_string())),
            None => Err(Problem::new(Cause::NotFound, "Nothing is signed yet: the log has no entry, or its first checkpoint is to come.")),
        },
        "checkpoint/final" => match log.finished() {
            Some((_, note)) => Ok(text(note.to_string())),
            None => Err(Problem::new(Cause::NotFound, "No checkpoint has been co-signed by as many witnesses as are required.")),
        },
        "witnesses" => {
            let standing = serde_json::to_vec(&log.witnessed()).unwrap_or_default();
            Ok(super::events::json([standing, b"\n".to_vec()].concat()))
        }
        _ => match (path.strip_prefix("proof/"), TileId::parse(path)) {
            (Some(sequence), _) => proof(log, sequence).await,
            (None, Some(tile)) => serve(log, tile).await,
            (None, None) => Err(super::protocol::not_found(&format!("/v1/log/{path}"))),
        },
    }
}

/// Takes a witness's cosignature: a checkpoint of this log as a note that has it.
pub(super) async fn cosign(shared: &Arc<Shared>, body: &mut RequestBody) -> Result<Response<ResponseBody>, Problem> {
    let log = of(shared)?;
    let limits = &shared.limits;
    let bytes = body.collect(COSIGNATURE_BYTES_MAX, limits.body_idle_timeout(), limits.body_timeout(), &shared.room).await?;
    let log = Arc::clone(log);
    let taken = tokio::task::spawn_blocking(move || log.cosign(&bytes)).await;
    let problem = |cause, error: CosignError| Err(Problem::new(cause, format!("{error}.")));
    match taken {
        Ok(Ok(())) => {
            let mut response = Response::new(ResponseBody::full(""));
            *response.status_mut() = StatusCode::NO_CONTENT;
            Ok(response)
        }
        Ok(Err(error @ CosignError::Note(_))) => problem(Cause::Cosignature, error),
        Ok(Err(error @ CosignError::Unknown)) => problem(Cause::UnknownCheckpoint, error),
        Ok(Err(error @ CosignError::Nobody(_))) => problem(Cause::UnknownWitness, error),
        Ok(Err(error @ CosignError::Kept(_))) => problem(Cause::LedgerFailed, error),
        Err(_) => Err(Problem::new(Cause::Internal, "The ledger could not be asked.")),
    }
}

/// A tile, read where waiting for the disk disturbs nobody.
async fn serve(log: &Arc<Log>, tile: TileId) -> Result<Response<ResponseBody>, Problem> {
    let bytes = blocking(log, move |log| log.tile(tile)).await?;
    let Some(bytes) = bytes else {
        return Err(Problem::new(Cause::NotFound, format!("The log has no {} yet.", tile.path())));
    };
    let mut response = Response::new(ResponseBody::full(bytes));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    // A tile never changes, whatever its width (tlog-tiles, "Tiles").
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
    Ok(response)
}

async fn proof(log: &Arc<Log>, sequence: &str) -> Result<Response<ResponseBody>, Problem> {
    let Ok(sequence) = sequence.parse::<u64>() else {
        return Err(Problem::new(Cause::NotFound, format!("{sequence:?} is not the sequence of an entry.")));
    };
    let proof = blocking(log, move |log| log.proof(sequence)).await?;
    Ok(text(proof.to_string()))
}

/// Asks the log where waiting for the disk disturbs nobody.
pub(super) async fn blocking<T: Send + 'static>(
    log: &Arc<Log>,
    ask: impl FnOnce(&Log) -> Result<T, LogError> + Send + 'static,
) -> Result<T, Problem> {
    let log = Arc::clone(log);
    let answer = tokio::task::spawn_blocking(move || ask(&log)).await;
    match answer {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error @ (LogError::Unsigned(_) | LogError::Tree(TreeError::TooLarge { .. } | TreeError::NoSuchLeaf { .. })))) => {
            Err(Problem::new(Cause::NotFound, format!("{error}.")))
        }
        Ok(Err(error)) => {
            tracing::error!(%error, "The ledger cannot be read");
            Err(Problem::new(Cause::LedgerFailed, format!("{error}.")))
        }
        Err(_) => Err(Problem::new(Cause::Internal, "The ledger could not be asked.")),
    }
}

fn text(body: String) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::full(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
