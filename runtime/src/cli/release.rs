//! `ephor release`: how releases stand on a server, and the platform's acts on them.

use anyhow::Context as _;
use bytes::Bytes;
use comfy_table::Cell;
use serde_json::{Value, json};

use super::client::{Client, Target};
use super::connection::Connection;
use super::exit::{self, Outcome};
use super::local;
use super::table::{self, grouped, plain};

/// What can be done with releases.
#[derive(clap::Subcommand)]
pub enum Verb {
    /// Shows every release that is judged with, and what is missing for its promotion.
    Status(Asked),
    /// Lets a release that is tried out count: for a share of the keys, or for everything.
    /// What it has shown is held against the gate of its publisher's grant first.
    Promote(Promote),
    /// Lets a canary count for nothing; without a canary, the release in force.
    Demote(Act),
    /// Takes a release out of force at once.
    Withdraw(Withdraw),
}

/// Whom to ask.
#[derive(clap::Args)]
pub struct Asked {
    /// The server.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8787")]
    at: Target,
    #[command(flatten)]
    connection: Connection,
    /// Prints what the server says as JSON.
    #[arg(long)]
    json: bool,
}

impl Asked {
    async fn connect(&self) -> Outcome<Client> {
        Client::connect(&self.connection.to(&self.at)?).await
    }
}

/// What every act takes.
#[derive(clap::Args)]
#[command(after_help = exit::help())]
pub struct Act {
    /// The policy: PUBLISHER/POLICY.
    #[arg(value_name = "POLICY")]
    policy: String,
    /// Who does it; recorded in the ledger. Where the server knows whose the token or the
    /// certificate is, that is recorded.
    #[arg(long, value_name = "NAME", default_value = "")]
    by: String,
    /// Why; recorded in the ledger.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    asked: Asked,
}

#[derive(clap::Args)]
pub struct Promote {
    /// canary or enforce.
    #[arg(long, value_name = "MODE", default_value = "enforce", value_parser = ["canary", "enforce"])]
    to: String,
    /// Keys for which a canary counts, from 0 to 1 [default: what the grant says].
    #[arg(long, value_name = "SHARE")]
    share: Option<f64>,
    #[command(flatten)]
    act: Act,
}

#[derive(clap::Args)]
pub struct Withdraw {
    /// The release [default: all of the policy; what it remembers is forgotten].
    #[arg(long, value_name = "ID")]
    release: Option<String>,
    #[command(flatten)]
    act: Act,
}

pub fn run(verb: &Verb) -> Outcome {
    local::block_on(async {
        match verb {
            Verb::Status(asked) => status(asked).await,
            Verb::Promote(Promote { to, share, act }) => send(act, "promote", json!({"to": to, "share": share})).await,
            Verb::Demote(act) => send(act, "demote", json!({})).await,
            Verb::Withdraw(Withdraw { release, act }) => send(act, "withdraw", json!({"release": release})).await,
        }
    })
}

async fn send(act: &Act, what: &str, mut body: Value) -> Outcome {
    let Act { policy, by, reason, asked } = act;
    body["by"] = by.as_str().into();
    body["reason"] = reason.as_deref().into();
    let path = format!("/v1/releases/{policy}/{what}");
    let mut client = asked.connect().await?;
    let answer = client.exchange("POST", &path, &[("content-type", "application/json")], body.to_string().into()).await?;
    let swap: Value = serde_json::from_slice(&answer).context("the server's answer is not JSON")?;
    if asked.json {
        println!("{swap}");
        return Ok(());
    }
    let text = |name: &str| plain(swap[name].as_str().unwrap_or_default());
    let (release, sequence) = (text("release"), grouped(swap["sequence"].as_u64().unwrap_or_default()));
    match what {
        "withdraw" => println!("{policy} {release} is out of force: from entry {sequence} on nothing is judged by it."),
        _ => println!("{policy} {release} is in mode {} from entry {sequence} on.", text("mode")),
    }
    if let Some(replaced) = swap["replaced"].as_str() {
        println!("It took the place of {}.", plain(replaced));
    }
    Ok(())
}

async fn status(asked: &Asked) -> Outcome {
    let mut client = asked.connect().await?;
    let answer = client.exchange("GET", "/v1/releases", &[("accept", "application/json")], Bytes::new()).await?;
    let document: Value = serde_json::from_slice(&answer).context("the server's answer is not JSON")?;
    if asked.json {
        println!("{document}");
        return Ok(());
    }
    print_releases(&document["releases"]);
    Ok(())
}

/// A table of releases, and below it what is missing for those that are tried out.
pub(super) fn print_releases(releases: &Value) {
    let releases = releases.as_array().map(Vec::as_slice).unwrap_or_default();
    if releases.is_empty() {
        println!("Nothing is judged with: every event is allowed.");
        return;
    }
    let mut rows = table::table(&["policy", "release", "mode", "since entry", "events", "finds", "faults", "differs", "p99"]);
    for release in releases {
        let text = |name: &str| plain(release[name].as_str().unwrap_or_default());
        let shown = &release["shown"];
        let count = |name: &str| shown[name].as_u64().unwrap_or_default();
        // Of a release in force these are not counted.
        let tried = |cell: fn(u64) -> Cell, name: &str| if release["mode"] == "enforce" { Cell::new("") } else { cell(count(name)) };
        let mode = match release["share"].as_f64() {
            Some(share) => format!("canary, {} %", share * 100.0),
            None => text("mode"),
        };
        let mode = if release["stale"] == true { format!("{mode} (stale)") } else { mode };
        rows.add_row([
            Cell::new(text("policy")),
            Cell::new(match release["language"].as_str() {
                Some(language) => format!("{} ({})", text("release"), plain(language)),
                None => text("release"),
            }),
            Cell::new(mode),
            table::number(release["since"].as_u64().unwrap_or_default()),
            tried(table::number, "events"),
            tried(table::number, "found"),
            tried(table::ought_to_be_zero, "faults"),
            tried(table::number, "differences"),
            Cell::new(format!("{} µs", shown["p99_us"].as_f64().unwrap_or_default())),
        ]);
    }
    println!("{rows}");
    for release in releases {
        let Some(lacks) = release["lacks"].as_array() else { continue };
        let name =
            format!("{} {}", plain(release["policy"].as_str().unwrap_or_default()), plain(release["release"].as_str().unwrap_or_default()));
        if lacks.is_empty() {
            println!("{name} may be promoted.");
        }
        for lack in lacks.iter().filter_map(Value::as_str) {
            println!("{name} is not promoted yet: {}.", plain(lack));
        }
        for example in release["shown"]["examples"].as_array().into_iter().flatten().take(3) {
            let text = |name: &str| plain(example[name].as_str().unwrap_or_default());
            println!(
                "  entry {}: {} in force, {} tried out (event {} of {})",
                grouped(example["sequence"].as_u64().unwrap_or_default()),
                text("in_force"),
                text("candidate"),
                text("id"),
                text("source")
            );
        }
    }
}
