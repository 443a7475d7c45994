//! `ephor log tail`: entries as they come.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use ephor::ledger::verify::Entries;
use http_body_util::BodyExt as _;

use super::is_closed;
use super::source::{Source, damaged};
use crate::cli::client::{Client, Target, Upload, refusal};
use crate::cli::connection::Connection;
use crate::cli::exit::{self, Exit, Or as _, Outcome};
use crate::cli::local;

/// How many entries are shown when nothing is said.
const LAST: u64 = 10;

/// How long to wait before a directory is looked at again.
const PAUSE: Duration = Duration::from_millis(200);

/// Prints entries, one JSON object per line, as they stand in the log.
///
/// What is shown here is not checked against signatures; `ephor log verify` does that.
#[derive(clap::Args)]
#[command(after_help = exit::help())]
pub struct Args {
    /// The data directory, or the URL of a server.
    #[arg(value_name = "DIR|URL")]
    source: Source,
    #[command(flatten)]
    connection: Connection,
    /// The sequence to begin with [default: the last ten that are signed, and what
    /// comes after them].
    #[arg(long, value_name = "SEQUENCE")]
    from: Option<u64>,
    /// Goes on with entries as they come, until it is stopped.
    #[arg(long)]
    follow: bool,
}

pub fn run(mut args: Args) -> Outcome {
    args.source = args.source.by(&args.connection)?;
    local::block_on(tail(args))
}

async fn tail(args: Args) -> Outcome {
    let from = match args.from {
        Some(from) => from.max(1),
        None => args.source.size().await?.saturating_sub(LAST - 1).max(1),
    };
    match &args.source {
        Source::Directory(directory) => of_directory(directory, from, args.follow).await,
        Source::Server(target) => of_server(target, from, args.follow).await,
    }
}

async fn of_directory(directory: &Path, from: u64, follow: bool) -> Outcome {
    let mut entries = Entries::new(directory, from);
    let mut out = io::BufWriter::new(io::stdout());
    loop {
        for entry in entries.by_ref() {
            let entry = match entry {
                Ok(entry) => entry,
                Err(finding) => {
                    // What came before it is sound, and is shown.
                    let _ = out.flush();
                    return Err(damaged(finding));
                }
            };
            if !shown(out.write_all(&entry.line).and_then(|()| out.write_all(b"\n")))? {
                return Ok(());
            }
        }
        if !shown(out.flush())? || !follow {
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn of_server(target: &Target, from: u64, follow: bool) -> Outcome {
    let mut client = Client::connect(target).await?;
    let path = format!("/v1/verdicts?from={from}{}", if follow { "&follow=true" } else { "" });
    let response = client.request("GET", &path, &[("accept", "application/x-ndjson")], Upload::Whole(None)).await?;
    if !response.status().is_success() {
        return Err(refusal(&format!("GET {path}"), response).await);
    }
    let is_terminal = io::stdout().is_terminal();
    let mut body = response.into_body();
    while let Some(frame) = body.frame().await {
        let frame = frame.with_context(|| format!("lost the connection to {target}")).or_exit(Exit::Unreachable)?;
        let Ok(data) = frame.into_data() else { continue };
        let mut out = io::stdout().lock();
        let written = match is_terminal {
            // An entry has no control characters; a server may say what it likes.
            true => out.write_all(&data.iter().map(|byte| if *byte < b' ' && *byte != b'\n' { b'?' } else { *byte }).collect::<Vec<u8>>()),
            false => out.write_all(&data),
        };
        if !shown(written.and_then(|()| out.flush()))? {
            return Ok(());
        }
    }
    Ok(())
}

/// Whether somebody still reads.
fn shown(written: io::Result<()>) -> Outcome<bool> {
    match written {
        Ok(()) => Ok(true),
        Err(error) if is_closed(&error) => Ok(false),
        Err(error) => Err(error).context("cannot print").or_exit(Exit::Failed),
    }
}
