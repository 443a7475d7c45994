//! Acts over HTTP: who may, how they are written, and who is behind them.

use hyper::http::request::Parts;
use serde::de::DeserializeOwned;

use super::Shared;
use super::body::RequestBody;
use super::guard::Caller;
use super::policies::{check_json, check_local};
use super::problem::{Cause, Problem};
use crate::access;
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

/// Who acts, and why. Everything that is done is recorded with it: whoever has shown who
/// they are acts under that name and no other; whoever has not says it.
pub(super) fn by(parts: &Parts, by: String, reason: Option<String>) -> Result<By, Problem> {
    if let Caller(Some(identity)) = Caller::of(parts) {
        let who = identity.to_string();
        return match by.trim() {
            said if said.is_empty() || said == who || said == identity.name => Ok(By { reason, ..By::new(who) }),
            said => Err(Problem::new(
                Cause::Query,
                format!("{who} does this, and not {said:?}: leave `by` out. On whose behalf belongs into `reason`."),
            )),
        };
    }
    match by.trim() {
        "" => Err(Problem::new(Cause::Query, "Say in `by` who does this; it is recorded.")),
        CONFIGURATION => Err(Problem::new(Cause::Query, "Say in `by` who does this: the configuration does nothing over HTTP.")),
        said if access::is_shown(said) => {
            let detail = format!(
                "{said:?} is how somebody is recorded who has shown who they are, and nobody has: write `by` without the word before the colon."
            );
            Err(Problem::new(Cause::Query, detail))
        }
        _ => Ok(By { reason, ..By::new(by) }),
    }
}
