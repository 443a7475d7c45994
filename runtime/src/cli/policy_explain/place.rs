//! Where a finding, its event and its release are: a data directory, a server, or files.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use ephor::event::Event;
use ephor::ingest::{self, Limits};
use ephor::ledger::verify::{Entries, EntryLine};
use ephor::ledger::{Kept, KeptEvents};
use http_body_util::BodyExt as _;

use crate::cli::client::{Client, Target, Upload, refusal};
use crate::cli::exit::{Exit, Or as _, Outcome, failed};
use crate::cli::replay;
use crate::cli::table::grouped;

/// Where it was recorded.
pub enum Place<'a> {
    Data(&'a Path),
    Server(&'a Target),
    Nowhere,
}

/// An event, or why there is none, and the salt of its commitments.
pub struct Content {
    pub event: Result<Event, String>,
    pub salt: Option<[u8; 32]>,
}

impl Place<'_> {
    /// The line of an entry.
    pub async fn line(&self, sequence: u64) -> Outcome<String> {
        let line = match self {
            Place::Data(directory) => {
                is_data(directory)?;
                let entry = Entries::new(directory, sequence).next().transpose();
                let entry = entry.map_err(|finding| failed(Exit::Damaged, format!("{}: {finding}", directory.display())))?;
                entry.filter(|entry| entry.sequence == sequence).map(|entry| entry.line)
            }
            Place::Server(target) => first_line(target, &format!("/v1/verdicts?from={sequence}")).await?,
            Place::Nowhere => {
                let problem = "a sequence says where in a log; name the log with --from-data DIR or --server URL";
                return Err(failed(Exit::Usage, problem));
            }
        };
        let line = line.ok_or_else(|| failed(Exit::Usage, format!("there is no entry {} in {self}", grouped(sequence))))?;
        String::from_utf8(line).with_context(|| format!("entry {sequence} is not UTF-8")).or_exit(Exit::Damaged)
    }

    /// What is kept of the event of an entry.
    pub async fn content(&self, sequence: u64) -> Outcome<Content> {
        match self {
            Place::Data(directory) => {
                let is_behind = |item: &Outcome<(u64, Result<Event, String>)>| item.as_ref().map_or(true, |(of, _)| *of >= sequence);
                let event = match kept(directory)?.find(is_behind).transpose()? {
                    Some((of, event)) if of == sequence => event,
                    _ => Err(NOT_KEPT.to_string()),
                };
                Ok(Content { event, salt: None })
            }
            Place::Server(target) => of_server(target, sequence).await,
            Place::Nowhere => Ok(Content { event: Err("only the line was given; give the event with --event".into()), salt: None }),
        }
    }

    /// The key of the ledger, where it can be read: with it salts, keys and pseudonyms are
    /// what they were.
    pub fn secret(&self) -> Option<Vec<u8>> {
        match self {
            Place::Data(directory) => replay::secret(&directory.join("ledger.key")).ok(),
            Place::Server(_) | Place::Nowhere => None,
        }
    }

    /// What is kept of releases.
    pub fn releases(&self) -> Option<PathBuf> {
        match self {
            Place::Data(directory) => Some(directory.join("releases")).filter(|folder| folder.is_dir()),
            Place::Server(_) | Place::Nowhere => None,
        }
    }
}

impl std::fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Place::Data(directory) => directory.display().fmt(f),
            Place::Server(target) => target.fmt(f),
            Place::Nowhere => f.write_str("no log"),
        }
    }
}

const NOT_KEPT: &str = "its content is not kept, or not any more; whoever sent it may have it: give it with --event";

fn is_data(directory: &Path) -> Outcome {
    match directory.join("FORMAT").is_file() {
        true => Ok(()),
        false => Err(failed(Exit::Usage, format!("{} is no data directory", directory.display()))),
    }
}

/// The entries of a data directory, from the first on.
pub fn entries(directory: &Path) -> impl Iterator<Item = Outcome<(u64, String)>> + use<'_> {
    Entries::new(directory, 1).map(move |entry| {
        let EntryLine { sequence, line, .. } =
            entry.map_err(|finding| failed(Exit::Damaged, format!("{}: {finding}", directory.display())))?;
        let line = String::from_utf8(line).with_context(|| format!("entry {sequence} is not UTF-8")).or_exit(Exit::Damaged)?;
        Ok((sequence, line))
    })
}

/// What a data directory has kept of events, in the order of their entries.
pub fn kept(directory: &Path) -> Outcome<impl Iterator<Item = Outcome<(u64, Result<Event, String>)>> + use<>> {
    let cannot = format!("cannot read what is kept in {}", directory.display());
    let kept = KeptEvents::open(directory).with_context(|| cannot.clone())?;
    Ok(kept.map(move |item| match item.with_context(|| cannot.clone()) {
        Ok((sequence, Kept::Content(content))) => {
            let event = ingest::content(&content, &Limits::default());
            Ok((sequence, event.map_err(|rejection| format!("what is kept of it is no event: {rejection}"))))
        }
        Ok((sequence, Kept::Erased { by })) => Ok((sequence, Err(format!("its content was erased, which entry {by} says")))),
        Ok((sequence, _)) => Ok((sequence, Err("what is kept of it is of a kind that this program does not know".into()))),
        Err(error) => Err(error.into()),
    }))
}

/// The first line of an answer; nothing if there is none.
async fn first_line(target: &Target, path: &str) -> Outcome<Option<Vec<u8>>> {
    let mut client = Client::connect(target).await?;
    let response = client.request("GET", path, &[("accept", "application/x-ndjson")], Upload::Whole(None)).await?;
    if !response.status().is_success() {
        return Err(refusal(&format!("GET {path}"), response).await);
    }
    let (mut body, mut line) = (response.into_body(), Vec::new());
    while let Some(frame) = body.frame().await {
        let frame = frame.with_context(|| format!("lost the connection to {target}")).or_exit(Exit::Unreachable)?;
        let Ok(data) = frame.into_data() else { continue };
        line.extend_from_slice(&data);
        if let Some(end) = line.iter().position(|byte| *byte == b'\n') {
            line.truncate(end);
            break;
        }
    }
    Ok((!line.is_empty()).then_some(line))
}

/// What a server gives of an event, which it does on its own machine only.
async fn of_server(target: &Target, sequence: u64) -> Outcome<Content> {
    let mut client = Client::connect(target).await?;
    let path = format!("/v1/events/{sequence}");
    let response = client.request("GET", &path, &[], Upload::Whole(None)).await?;
    if !response.status().is_success() {
        let why = refusal(&format!("GET {path}"), response).await.error;
        return Ok(Content { event: Err(format!("{why:#}")), salt: None });
    }
    let (head, body) = response.into_parts();
    let body = body.collect().await.with_context(|| format!("lost the connection to {target}")).or_exit(Exit::Unreachable)?.to_bytes();
    let text = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
    let salt = text("ephor-salt").and_then(salt);
    let media_type = text("content-type");
    let limits = Limits::default();
    let event = match media_type {
        Some(media_type) if media_type.starts_with("application/cloudevents+json") => match str::from_utf8(&body) {
            Ok(text) => ingest::content(&ephor::content::Content::Structured(text.into()), &limits),
            Err(_) => ingest::structured(&body, &limits),
        },
        media_type => {
            let headers = head.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
            ingest::binary(headers, media_type, &body, &limits)
        }
    };
    Ok(Content { event: event.map_err(|rejection| format!("what the server gives is no event: {rejection}")), salt })
}

/// 32 bytes in hexadecimal.
fn salt(text: &str) -> Option<[u8; 32]> {
    ephor::digest::Digest::from_hex(text).map(|digest| *digest.bytes())
}
