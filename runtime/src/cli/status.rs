//! `ephor status`: what a server judges with, since when, and how its publishers stand.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use ephor::ledger::note::{Note, VerifierKey};
use serde_json::Value;

use super::client::{Client, Target};
use super::connection::Connection;
use super::exit::{self, Exit, Or as _, Outcome, failed};
use super::local;
use super::release::print_releases;
use super::table::{self, grouped, plain};

/// What the note of a status begins with.
const FIRST_LINE: &str = "ephor status 1\n";

/// Shows what a server judges with, since when, and how its publishers stand.
///
/// What the server says is a note that its ledger's key has signed: kept with --out, it
/// proves later what ran where and since when.
#[derive(clap::Args)]
#[command(after_help = exit::help())]
pub struct Args {
    /// The server.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8787")]
    at: Target,
    #[command(flatten)]
    connection: Connection,
    /// The log's key, from whom you trust to know it, or a file with it; the signature is
    /// checked with it.
    #[arg(long, value_name = "VKEY")]
    key: Option<String>,
    /// Keeps the signed note in a file.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Shows it again whenever it changes, until interrupted.
    #[arg(long)]
    follow: bool,
    /// Prints it as JSON.
    #[arg(long)]
    json: bool,
}

/// How often a server is asked.
const EVERY: Duration = Duration::from_secs(1);

pub fn run(args: &Args) -> Outcome {
    let key = args.key.as_deref().map(key).transpose()?;
    local::block_on(async {
        let mut client = Client::connect(&args.connection.to(&args.at)?).await?;
        let mut before = Value::Null;
        loop {
            let status = ask(&mut client, key.as_ref(), args).await?;
            // What moves with every event is no change.
            let mut still = status.clone();
            for member in ["at", "entries", "checkpoint"] {
                still[member] = Value::Null;
            }
            for release in still["releases"].as_array_mut().into_iter().flatten() {
                release["shown"] = Value::Null;
            }
            if still != before {
                print(&status, args);
                before = still;
            }
            if !args.follow {
                return Ok(());
            }
            tokio::time::sleep(EVERY).await;
        }
    })
}

fn key(text: &str) -> Outcome<VerifierKey> {
    let read = std::fs::read_to_string(text);
    let key = VerifierKey::parse(read.as_deref().map_or(text, str::trim));
    key.with_context(|| format!("{} is neither a key nor a file with one", plain(text))).or_exit(Exit::Usage)
}

async fn ask(client: &mut Client, key: Option<&VerifierKey>, args: &Args) -> Outcome<Value> {
    let answer = client.exchange("GET", "/v1/status", &[], Bytes::new()).await?;
    let json = match Note::parse(&answer) {
        Ok(note) => {
            if let Some(key) = key {
                let verified = note.verify([key]).context("the status is not signed by that key");
                verified.or_exit(Exit::Damaged)?;
            }
            if let Some(out) = &args.out {
                std::fs::write(out, &answer).with_context(|| format!("cannot write {}", out.display()))?;
            }
            let json = note.text().strip_prefix(FIRST_LINE).map(str::to_string);
            json.ok_or_else(|| failed(Exit::Failed, "the server's note is no status"))?
        }
        Err(_) if key.is_some() || args.out.is_some() => {
            return Err(failed(Exit::Refused, "the server keeps no ledger, so nothing that it says is signed"));
        }
        Err(_) => String::from_utf8_lossy(&answer).into_owned(),
    };
    Ok(serde_json::from_str(&json).context("the server's status is not JSON")?)
}

fn print(status: &Value, args: &Args) {
    if args.json {
        println!("{status}");
        return;
    }
    let at = plain(status["at"].as_str().unwrap_or_default());
    println!(
        "{at}: {} entries{}",
        grouped(status["entries"].as_u64().unwrap_or_default()),
        if status["ready"] == true { "" } else { ", NOT READY" }
    );
    print_releases(&status["releases"]);
    let publishers = status["publishers"].as_array().map(Vec::as_slice).unwrap_or_default();
    if publishers.is_empty() {
        return;
    }
    let mut rows = table::table(&["publisher", "repository", "snapshot", "last look", "holds until"]);
    for publisher in publishers {
        let text = |name: &str| plain(publisher[name].as_str().unwrap_or("never"));
        let snapshot = publisher["snapshot"].as_u64().map_or("none".into(), |version| version.to_string());
        let until = match publisher["stale_s"].as_u64() {
            Some(0) | None => text("expires"),
            Some(seconds) => format!("{} (STALE for {} s)", text("expires"), grouped(seconds)),
        };
        rows.add_row([text("publisher"), text("repository"), snapshot, text("checked"), until]);
    }
    println!("{rows}");
    for publisher in publishers {
        let name = plain(publisher["publisher"].as_str().unwrap_or_default());
        if let Some(message) = publisher["problem"]["message"].as_str() {
            println!(
                "{name} is not followed since {}: {}",
                plain(publisher["problem"]["since"].as_str().unwrap_or_default()),
                plain(message)
            );
        }
        for refused in publisher["refused"].as_array().into_iter().flatten() {
            let text = |name: &str| plain(refused[name].as_str().unwrap_or_default());
            println!("{} {} is refused: {}", text("policy"), text("version"), text("message"));
        }
        for pending in publisher["pending"].as_array().into_iter().flatten() {
            let text = |name: &str| plain(pending[name].as_str().unwrap_or_default());
            println!("{} {} waits until {}", text("policy"), text("version"), text("valid_from"));
        }
    }
}
