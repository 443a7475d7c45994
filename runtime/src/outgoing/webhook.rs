//! CloudEvents in HTTP requests, signed as Standard Webhooks has it.

use std::time::{SystemTime, UNIX_EPOCH};

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use super::http::{Endpoint, Outcome};
use super::secret::Place;
use super::select::Parcel;

/// One event.
const EVENT: &str = "application/cloudevents+json";

/// An array of events.
const BATCH: &str = "application/cloudevents-batch+json";

#[derive(Debug)]
pub(super) struct Webhook {
    pub endpoint: Endpoint,
    /// What requests are signed with.
    pub secret: Option<Place>,
    /// Whether events come alone, not in arrays.
    pub single: bool,
}

impl Webhook {
    /// Tells some of them, in one request.
    pub async fn tell(&self, parcels: &[Parcel]) -> Outcome {
        let (body, content_type) = match (self.single, parcels) {
            (true, [parcel]) => (parcel.event.clone(), EVENT),
            _ => (format!("[{}]", parcels.iter().map(|parcel| parcel.event.as_str()).collect::<Vec<_>>().join(",")), BATCH),
        };
        let headers = match self.headers(parcels, &body) {
            Ok(headers) => headers,
            Err(problem) => return Outcome::failed(problem),
        };
        match self.endpoint.post(content_type, headers, body).await {
            Ok(answer) => answer.outcome(),
            Err(outcome) => outcome,
        }
    }

    /// The same id each time that the same is told.
    fn headers(&self, parcels: &[Parcel], body: &str) -> Result<HeaderMap, String> {
        let mut headers = HeaderMap::new();
        if let (Some(secret), [first, .., last] | [first @ last]) = (&self.secret, parcels) {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
            let id = format!("verdicts-{}-{}", first.sequence, last.sequence);
            let signature = secret.signer()?.sign(&id, now, body);
            for (name, value) in [("webhook-id", id), ("webhook-timestamp", now.to_string()), ("webhook-signature", signature)] {
                let value = HeaderValue::try_from(value).map_err(|error| error.to_string())?;
                headers.insert(HeaderName::from_static(name), value);
            }
        }
        Ok(headers)
    }
}
