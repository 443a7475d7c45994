//! A log as a server gives it: checkpoint, key and tiles below `/v1/log/` (C2SP
//! tlog-tiles). Nothing that comes from there is believed here, and all of it is
//! bounded.

use std::ops::ControlFlow;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use ephor::ledger::note::{MAX_NOTE, VerifierKey};
use ephor::ledger::tree::{Hash, MAX_ENTRY, TILE_WIDTH, TileId, TileKind, bundle, unbundle};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::{Response, StatusCode};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::cli::client::{Client, Target, Upload, refusal};
use crate::cli::exit::{Exit, Or as _, Outcome, failed};
use crate::cli::table::plain;

/// Where a server has its log.
const PREFIX: &str = "/v1/log/";

/// Longest that a server may take for one answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Connections at a time for a whole log, and what each may be ahead by.
const CONNECTIONS: u64 = 6;
const AHEAD: usize = 4;

/// Longest key that is read.
const KEY_BYTES_MAX: usize = 4_096;

/// A server's log. Holds one connection, and makes a new one when that is gone.
pub struct Fetcher {
    target: Target,
    client: Option<Client>,
}

impl Fetcher {
    /// Connects with the first request.
    pub fn new(target: &Target) -> Self {
        Fetcher { target: target.clone(), client: None }
    }

    /// Asks once; again on a new connection if a kept one turns out to be closed.
    pub async fn request(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &Bytes) -> Outcome<Response<Incoming>> {
        let upload = || Upload::Whole((!body.is_empty()).then(|| body.clone()));
        if let Some(mut client) = self.client.take()
            && let Ok(response) = self.patiently(client.request(method, path, headers, upload())).await
        {
            self.client = Some(client);
            return Ok(response);
        }
        let mut client = self.patiently(Client::connect(&self.target)).await?;
        let response = self.patiently(client.request(method, path, headers, upload())).await?;
        self.client = Some(client);
        Ok(response)
    }

    async fn patiently<T>(&self, answer: impl Future<Output = Outcome<T>>) -> Outcome<T> {
        let late = || failed(Exit::Unreachable, format!("{} did not answer within {} s", self.target, PATIENCE.as_secs()));
        tokio::time::timeout(PATIENCE, answer).await.map_err(|_| late())?
    }

    /// A file of the log, of at most so many bytes; absent if there is none.
    async fn get(&mut self, name: &str, bytes_max: usize) -> Outcome<Option<Bytes>> {
        let path = format!("{PREFIX}{name}");
        let response = self.request("GET", &path, &[], &Bytes::new()).await?;
        if response.status() != StatusCode::NOT_FOUND && !response.status().is_success() {
            return Err(refusal(&format!("GET {path}"), response).await);
        }
        let is_there = response.status().is_success();
        let body = Limited::new(response.into_body(), bytes_max).collect();
        // Read in any case, so that the connection can be used again.
        let body = self.patiently(async { Ok(body.await) }).await?;
        let body = body.map_err(|error| anyhow::anyhow!("{error}")).with_context(|| format!("{path} cannot be read whole"));
        Ok(is_there.then_some(body.or_exit(Exit::Unreachable)?.to_bytes()))
    }

    /// The key that the server says it signs with.
    pub async fn key(&mut self) -> Outcome<Option<String>> {
        let key = self.get("key", KEY_BYTES_MAX).await?;
        Ok(key.map(|key| String::from_utf8_lossy(&key).trim_end_matches('\n').to_string()))
    }

    /// The same, as a key.
    pub async fn verifier(&mut self) -> Outcome<VerifierKey> {
        let key = self.key().await?.ok_or_else(|| failed(Exit::Refused, format!("{} has no log: no key is there", self.target)))?;
        let place = || format!("{} gives {:?} for its key", self.target, plain(&key));
        VerifierKey::parse(&key).with_context(place).or_exit(Exit::Damaged)
    }

    /// The latest signed checkpoint; absent if nothing was signed yet.
    pub async fn checkpoint(&mut self) -> Outcome<Option<Bytes>> {
        self.get("checkpoint", MAX_NOTE).await
    }

    /// A tile, cut to its width; absent if the server does not have it. A partial tile
    /// may be gone once the full one is there (tlog-tiles, "Partial tiles").
    pub async fn tile(&mut self, tile: TileId) -> Outcome<Option<Vec<u8>>> {
        let bytes_max = match tile.kind {
            TileKind::Hashes(_) => TILE_WIDTH as usize * Hash::LEN,
            TileKind::Entries => TILE_WIDTH as usize * (MAX_ENTRY + 2),
        };
        if let Some(bytes) = self.get(&tile.path(), bytes_max).await? {
            return Ok(Some(bytes.to_vec()));
        }
        if tile.is_full() {
            return Ok(None);
        }
        let full = TileId { width: TILE_WIDTH as u16, ..tile };
        Ok(self.get(&full.path(), bytes_max).await?.and_then(|bytes| cut(&bytes, tile)))
    }
}

/// The beginning of a full tile.
fn cut(bytes: &[u8], tile: TileId) -> Option<Vec<u8>> {
    let width = usize::from(tile.width);
    match tile.kind {
        TileKind::Hashes(_) => bytes.get(..width * Hash::LEN).map(<[u8]>::to_vec),
        TileKind::Entries => bundle(unbundle(bytes)?.get(..width)?.iter().copied()),
    }
}

/// The bundle that begins with the entry `index * 256 + 1`, in a log of this size.
pub fn entry_bundle(index: u64, size: u64) -> TileId {
    let width = size.saturating_sub(index * TILE_WIDTH).min(TILE_WIDTH);
    TileId { kind: TileKind::Entries, index, width: width as u16 }
}

/// How many bundles a log of this size has.
pub fn entry_bundles(size: u64) -> u64 {
    size.div_ceil(TILE_WIDTH)
}

/// Fetches tiles over several connections, works on each where it arrives, and hands
/// the results over in order, until `take` has enough.
pub async fn in_order<T: Send + 'static>(
    target: &Target,
    places: std::ops::Range<u64>,
    tile: impl Fn(u64) -> TileId + Clone + Send + 'static,
    work: impl Fn(TileId, Option<Vec<u8>>) -> T + Clone + Send + 'static,
    mut take: impl FnMut(T) -> ControlFlow<()>,
) -> Outcome {
    // Those that are still at work when this returns end with the set.
    let mut lanes = JoinSet::new();
    let mut receivers = Vec::new();
    let count = places.end.saturating_sub(places.start).min(CONNECTIONS);
    for lane in 0..count {
        let (sender, receiver) = mpsc::channel(AHEAD);
        receivers.push(receiver);
        let (mut fetcher, tile, work) = (Fetcher::new(target), tile.clone(), work.clone());
        let places = (places.start + lane..places.end).step_by(count as usize);
        lanes.spawn(async move {
            for place in places {
                let tile = tile(place);
                let done = fetcher.tile(tile).await.map(|bytes| work(tile, bytes));
                let is_last = done.is_err();
                if sender.send(done).await.is_err() || is_last {
                    return;
                }
            }
        });
    }
    for place in 0..places.end.saturating_sub(places.start) {
        let done = receivers[(place % count) as usize].recv().await;
        let done = done.ok_or_else(|| failed(Exit::Failed, "a connection to the log ended without a word"))?;
        if take(done?).is_break() {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bundles_have_the_width_that_is_left() {
        assert_eq!((entry_bundles(0), entry_bundles(1), entry_bundles(256), entry_bundles(257)), (0, 1, 1, 2));
        assert_eq!(entry_bundle(0, 300).path(), "tile/entries/000");
        assert_eq!(entry_bundle(1, 300).path(), "tile/entries/001.p/44");
    }

    #[test]
    fn a_full_tile_begins_with_the_partial_one() {
        let entries: Vec<Vec<u8>> = (0..=255).map(|byte| vec![byte; 3]).collect();
        let full = bundle(entries.iter().map(Vec::as_slice)).expect("short entries");
        assert_eq!(cut(&full, entry_bundle(0, 2)), bundle([[0; 3].as_slice(), &[1; 3]]));
        let hashes = TileId { kind: TileKind::Hashes(0), index: 0, width: 2 };
        assert_eq!(cut(&[7; 256 * 32], hashes), Some(vec![7; 64]));
        assert_eq!(cut(&[7; 63], hashes), None);
    }
}
