//! Requests to a destination, and what its answers mean.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Body, Certificate, Client, Response, StatusCode, Url};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use super::private::PublicOnly;
use super::secret::Place;

/// Bytes of an answer that are read.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// What became of an attempt.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It has them. With what it did not take of them all the same, if it says so.
    Taken { rejected: u64 },
    /// It will never take them as they are.
    Refused(String),
    /// It may take them later: not before this time, if it said one.
    Failed(String, Option<Duration>),
    /// It wants nothing any more (CloudEvents web hooks 1.0.2, 2.2: 410).
    Retired(String),
}

impl Outcome {
    pub fn failed(problem: impl Into<String>) -> Self {
        Outcome::Failed(problem.into(), None)
    }
}

/// Where requests go.
#[derive(Debug)]
pub(super) struct Endpoint {
    client: Client,
    url: Url,
    authorization: Option<Place>,
}

impl Endpoint {
    /// # Errors
    ///
    /// If certificates cannot be used.
    pub fn new(
        url: Url,
        timeout: Duration,
        private_targets: bool,
        ca: Option<&Path>,
        authorization: Option<Place>,
    ) -> Result<Self, String> {
        let agent = concat!("ephor/", env!("CARGO_PKG_VERSION"));
        let mut builder = Client::builder().user_agent(agent).timeout(timeout).redirect(reqwest::redirect::Policy::none()).no_proxy();
        if !private_targets {
            builder = builder.dns_resolver(PublicOnly).https_only(true);
        }
        if let Some(file) = ca {
            let wrong = |error: &dyn Error| format!("ca-file: {}: {error}", file.display());
            let pem = fs::read(file).map_err(|error| wrong(&error))?;
            let certificates = Certificate::from_pem_bundle(&pem).map_err(|error| wrong(&error))?;
            if certificates.is_empty() {
                return Err(format!("ca-file: {} has no certificate", file.display()));
            }
            builder = builder.tls_certs_only(certificates);
        }
        let client = builder.build().map_err(|error| format!("the client cannot be set up: {}", chain(&error)))?;
        Ok(Endpoint { client, url, authorization })
    }

    /// Sends a body. Gives the answer with the beginning of its body, or what became of the
    /// attempt.
    pub async fn post(&self, content_type: &'static str, headers: HeaderMap, body: impl Into<Body>) -> Result<Answer, Outcome> {
        let mut request = self.client.post(self.url.clone()).headers(headers).header(CONTENT_TYPE, content_type).body(body);
        if let Some(place) = &self.authorization {
            request = request.header(AUTHORIZATION, place.authorization().map_err(Outcome::failed)?);
        }
        let response = request.send().await.map_err(|error| Outcome::failed(chain(&error.without_url())))?;
        let (status, after) = (response.status(), retry_after(response.headers()));
        let body = read(response).await.map_err(|error| Outcome::failed(chain(&error.without_url())))?;
        Ok(Answer { status, after, body })
    }
}

/// An answer to a request.
pub(super) struct Answer {
    pub status: StatusCode,
    /// The beginning of it.
    pub body: Vec<u8>,
    after: Option<Duration>,
}

impl Answer {
    /// What it means. What is about the request is `Refused`; all else is about the
    /// destination or the way to it, such as a token that has run out, and can get better
    /// without what is told being another.
    pub fn outcome(&self) -> Outcome {
        let Answer { status, after, .. } = self;
        let said = || format!("it answered {status}");
        match status.as_u16() {
            200..300 => Outcome::Taken { rejected: 0 },
            400 | 409 | 411 | 413 | 415 | 422 | 431 => Outcome::Refused(said()),
            410 => Outcome::Retired(said()),
            300..400 => Outcome::Failed(format!("{}, and redirects are not followed", said()), *after),
            _ => Outcome::Failed(said(), *after),
        }
    }
}

async fn read(mut response: Response) -> reqwest::Result<Vec<u8>> {
    let mut body = Vec::new();
    while body.len() < ANSWER_BYTES_MAX
        && let Some(chunk) = response.chunk().await?
    {
        body.extend_from_slice(&chunk);
    }
    body.truncate(ANSWER_BYTES_MAX);
    Ok(body)
}

/// How long to wait (RFC 9110, 10.2.3): seconds, or a time.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = OffsetDateTime::parse(text, &Rfc2822).ok()?;
    (until - OffsetDateTime::now_utc()).try_into().ok()
}

/// An error with what is behind it.
fn chain(error: &dyn Error) -> String {
    let mut said = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let part = error.to_string();
        if !said.contains(&part) {
            said.push_str(": ");
            said.push_str(&part);
        }
        source = error.source();
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_to_come_back_is_seconds_or_a_date() {
        let of = |text: &str| retry_after(&HeaderMap::from_iter([(RETRY_AFTER, text.parse().expect("a value"))]));
        assert_eq!(of("120"), Some(Duration::from_secs(120)));
        assert_eq!(of("Wed, 21 Oct 2015 07:28:00 GMT"), None, "that was");
        assert!(of("Fri, 31 Dec 2100 23:59:59 GMT").is_some_and(|wait| wait > Duration::from_secs(86_400)));
        assert_eq!(of("soon"), None);
    }

    #[test]
    fn what_an_answer_means() {
        let word = |status: u16| {
            let answer = Answer { status: StatusCode::from_u16(status).expect("a status"), body: Vec::new(), after: None };
            match answer.outcome() {
                Outcome::Taken { .. } => "taken",
                Outcome::Refused(_) => "refused",
                Outcome::Failed(..) => "failed",
                Outcome::Retired(_) => "retired",
            }
        };
        for (expected, statuses) in [
            ("taken", &[200, 201, 202, 204][..]),
            ("refused", &[400, 413, 415, 422]),
            ("retired", &[410]),
            ("failed", &[301, 308, 401, 403, 404, 408, 425, 429, 500, 502, 503, 504]),
        ] {
            for status in statuses {
                assert_eq!(word(*status), expected, "{status}");
            }
        }
    }
}
