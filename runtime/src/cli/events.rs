//! `ephor events`: what a server has kept of events, and that it goes.

use std::io::Write as _;

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use super::client::{Client, Target, Upload, refusal};
use super::exit::{self, Exit, Or as _, Outcome};
use super::local;
use super::table::{grouped, plain};

/// What can be done with events that were judged.
#[derive(clap::Subcommand)]
pub enum Verb {
    /// Writes an event as it was sent to standard output; its attributes, if they were
    /// sent in headers, and its salt go to standard error. With the salt, what policies
    /// saw can be held against the commitments in the entry.
    Get(Get),
    /// Takes the content of events away for good. Their entries stay, with everything
    /// that proves them, and another entry says who wanted it.
    Erase(Erase),
}

#[derive(clap::Args)]
#[command(after_help = exit::help())]
pub struct Get {
    /// The sequence of its entry.
    #[arg(value_name = "SEQUENCE")]
    sequence: u64,
    /// The server.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8787")]
    at: Target,
}

#[derive(clap::Args)]
#[command(after_help = exit::help())]
pub struct Erase {
    /// Events about this subject.
    #[arg(long, value_name = "SUBJECT", required_unless_present = "id")]
    subject: Option<String>,
    /// Events of this source.
    #[arg(long, value_name = "SOURCE")]
    source: Option<String>,
    /// The one event with this id.
    #[arg(long, value_name = "ID", requires = "source")]
    id: Option<String>,
    /// Who wants it; recorded in the ledger.
    #[arg(long, value_name = "NAME")]
    by: String,
    /// Why; recorded in the ledger.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// The server.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8787")]
    at: Target,
    /// Prints what the server says as JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(verb: &Verb) -> Outcome {
    local::block_on(async {
        match verb {
            Verb::Get(args) => get(args).await,
            Verb::Erase(args) => erase(args).await,
        }
    })
}

async fn get(Get { sequence, at }: &Get) -> Outcome {
    let mut client = Client::connect(at).await?;
    let path = format!("/v1/events/{sequence}");
    let response = client.request("GET", &path, &[], Upload::Whole(None)).await?;
    if !response.status().is_success() {
        return Err(refusal(&format!("GET {path}"), response).await);
    }
    let (head, body) = response.into_parts();
    let body = body.collect().await.with_context(|| format!("lost the connection to {at}")).or_exit(Exit::Unreachable)?.to_bytes();
    for (name, value) in &head.headers {
        if name.as_str().starts_with("ce-") || ["content-type", "ephor-salt"].contains(&name.as_str()) {
            eprintln!("{name}: {}", plain(&String::from_utf8_lossy(value.as_bytes())));
        }
    }
    std::io::stdout().lock().write_all(&body).context("cannot write the event")?;
    Ok(())
}

async fn erase(args: &Erase) -> Outcome {
    let Erase { subject, source, id, by, reason, at, json } = args;
    let body = json!({"subject": subject, "source": source, "id": id, "by": by, "reason": reason});
    let mut client = Client::connect(at).await?;
    let answer = client.exchange("POST", "/v1/erasures", &[("content-type", "application/json")], Bytes::from(body.to_string())).await?;
    let erased: Value = serde_json::from_slice(&answer).context("the server's answer is not JSON")?;
    if *json {
        println!("{erased}");
        return Ok(());
    }
    let number = |name: &str| erased[name].as_u64().unwrap_or_default();
    let events = number("events");
    println!(
        "The content of {} is gone, which entry {} says. Their entries stay; copies elsewhere are not touched.",
        if events == 1 { "1 event".to_string() } else { format!("{} events", grouped(events)) },
        grouped(number("sequence"))
    );
    Ok(())
}
