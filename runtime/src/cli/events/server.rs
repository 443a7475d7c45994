//! What a server has kept of events: gives an event out as it was sent, and takes the
//! content of events away.

use std::io::Write as _;

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use crate::cli::client::{Client, Target, Upload, refusal};
use crate::cli::connection::Connection;
use crate::cli::exit::{self, Exit, Or as _, Outcome};
use crate::cli::table::{grouped, plain};

#[derive(clap::Args)]
#[command(after_help = exit::help())]
pub struct Get {
    /// The sequence of its entry.
    #[arg(value_name = "SEQUENCE")]
    sequence: u64,
    /// The server.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8787")]
    at: Target,
    #[command(flatten)]
    connection: Connection,
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
    /// Who wants it; recorded in the ledger. Where the server knows whose the token or the
    /// certificate is, that is recorded.
    #[arg(long, value_name = "NAME", default_value = "")]
    by: String,
    /// Why; recorded in the ledger.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// The server.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8787")]
    at: Target,
    #[command(flatten)]
    connection: Connection,
    /// Prints what the server says as JSON.
    #[arg(long)]
    json: bool,
}

pub async fn get(Get { sequence, at, connection }: &Get) -> Outcome {
    let mut client = Client::connect(&connection.to(at)?).await?;
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

pub async fn erase(args: &Erase) -> Outcome {
    let Erase { subject, source, id, by, reason, at, connection, json } = args;
    let body = json!({"subject": subject, "source": source, "id": id, "by": by, "reason": reason});
    let mut client = Client::connect(&connection.to(at)?).await?;
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
