//! Acts over HTTP: who may, how they are written, and who is behind them.

use hyper::http::request::Parts;
use serde::de::DeserializeOwned;

use super::Shared;
use super::body::RequestBody;
use super::policies::{check_json, check_local};
use super::problem::{Cause, Problem};
use crate::runtime::{By, CONFIGURATION};

/// Bytes of a request that acts.
const ACT_BYTES_MAX: usize = 32 << 10;

/// Reads what somebody on this machine wants done. No body is one without members.
pub(super) async fn read<A: DeserializeOwned>(shared: &Shared, parts: &Parts, body: &mut RequestBody) -> Result<A, Problem> {
    check_local(shared, parts)?;
    check_json(parts)?;
    let limits = &shared.limits;
    let bytes = body.collect(ACT_BYTES_MAX, limits.body_idle_timeout(), limits.body_timeout(), &shared.room).await?;
    let document: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
    serde_json::from_slice(document).map_err(|error| Problem::new(Cause::Query, format!("The body is not understood: {error}.")))
}

/// Who acts, and why. Everything that is done is recorded with it.
pub(super) fn by(by: String, reason: Option<String>) -> Result<By, Problem> {
    match by.trim() {
        "" => Err(Problem::new(Cause::Query, "Say in `by` who does this; it is recorded.")),
        CONFIGURATION => Err(Problem::new(Cause::Query, "Say in `by` who does this: the configuration does nothing over HTTP.")),
        _ => Ok(By { reason, ..By::new(by) }),
    }
}
