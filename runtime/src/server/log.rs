//! The ledger for everybody: checkpoints, tiles and proofs under `/v1/log/` as C2SP
//! tlog-tiles has them, so that standard clients can follow.

use std::sync::Arc;

use hyper::Response;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};

use super::Shared;
use super::body::ResponseBody;
use super::problem::{Cause, Problem};
use crate::ledger::tree::{TileId, TreeError};
use crate::ledger::{Log, LogError};

/// The ledger, if there is one.
pub(super) fn of(shared: &Shared) -> Result<&Arc<Log>, Problem> {
    shared.runtime.log().ok_or_else(|| Problem::new(Cause::NoLedger, "This server keeps nothing; start it with a data directory."))
}

/// What is asked for below `/v1/log/`.
pub(super) async fn get(shared: &Arc<Shared>, path: &str) -> Result<Response<ResponseBody>, Problem> {
    let log = of(shared)?;
    match path {
        "key" => Ok(text(format!("{}\n", log.key()))),
        "checkpoint" => match log.latest() {
            // What was signed a moment ago may be behind already.
            Some((_, note)) => Ok(uncached(text(note.to_string()))),
            None => Err(Problem::new(Cause::NotFound, "Nothing is signed yet: the log has no entry, or its first checkpoint is to come.")),
        },
        _ => match (path.strip_prefix("proof/"), TileId::parse(path)) {
            (Some(sequence), _) => proof(log, sequence).await,
            (None, Some(tile)) => serve(log, tile).await,
            (None, None) => {
                let detail = "Below /v1/log/ there are checkpoint, key, proof/SEQUENCE, tile/L/N and tile/entries/N (C2SP tlog-tiles).";
                Err(Problem::new(Cause::NotFound, detail))
            }
        },
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
    Ok(uncached(text(proof.to_string())))
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

fn uncached(mut response: Response<ResponseBody>) -> Response<ResponseBody> {
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
