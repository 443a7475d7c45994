//! `ephor token`: bearer tokens for those who speak with a server.

use std::path::PathBuf;

use anyhow::Context as _;
use comfy_table::Cell;
use ephor::access::Role;
use ephor::access::tokens::{self, Made, Token, TokenError};
use serde_json::json;
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use super::exit::{self, Exit, Or as _, Outcome, failed};
use super::table::plain;
use super::{config, local, table};

/// What can be done with tokens.
#[derive(clap::Subcommand)]
pub enum Verb {
    // A sentence here would be shown in the place of all that their structs say.
    Create(Create),
    List(List),
    Rotate(Rotate),
    Revoke(Revoke),
}

/// Where tokens are known. A running server reads the file again when it changes.
#[derive(clap::Args)]
struct Place {
    /// The file with the digests of tokens; made if it is not there.
    #[arg(long, value_name = "FILE", required_unless_present = "config", conflicts_with = "config")]
    tokens: Option<PathBuf>,
    /// The configuration whose `access.tokens` names that file.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Prints it as JSON.
    #[arg(long)]
    json: bool,
}

/// Makes a token, and prints it: this once, for only its digest is kept.
///
/// A second token for the same name is another way in for the same somebody. Give it with
/// --token-file or in EPHOR_TOKEN to the verbs that speak with a server, or as
/// `Authorization: Bearer` to anything else.
#[derive(clap::Args)]
#[command(after_help = exit::help())]
pub struct Create {
    /// Whose it is; the ledger has this name behind everything that is done with it.
    #[arg(value_name = "NAME")]
    name: String,
    /// What it is good for: ingest, regulator:PUBLISHER, operator, auditor, metrics.
    #[arg(long = "role", value_name = "ROLE", required = true)]
    roles: Vec<Role>,
    /// How long it is good for, as `90d` or `12h` [default: until it is revoked].
    #[arg(long, value_name = "TIME", value_parser = duration)]
    expires: Option<Duration>,
    #[command(flatten)]
    place: Place,
}

/// Shows the tokens that there are, never what they are.
#[derive(clap::Args)]
#[command(after_help = exit::help())]
pub struct List {
    #[command(flatten)]
    place: Place,
}

/// Makes a token in the place of another one, for the same roles and as long a time.
#[derive(clap::Args)]
#[command(after_help = exit::help())]
pub struct Rotate {
    /// Whose, or the id of one.
    #[arg(value_name = "NAME|ID")]
    which: String,
    /// How long the one before is good for yet, as `24h` or `0s`.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "24h")]
    overlap: Duration,
    #[command(flatten)]
    place: Place,
}

/// Takes tokens away: they are good for nothing from now on.
#[derive(clap::Args)]
#[command(after_help = exit::help())]
pub struct Revoke {
    /// Whose, which means all of them, or the id of one.
    #[arg(value_name = "NAME|ID")]
    which: String,
    #[command(flatten)]
    place: Place,
}

pub fn run(verb: &Verb) -> Outcome {
    let now = OffsetDateTime::now_utc();
    let now = now.replace_nanosecond(0).unwrap_or(now);
    match verb {
        Verb::Create(Create { name, roles, expires, place }) => {
            let expires =
                expires.map(|time| now.checked_add(time).ok_or_else(|| failed(Exit::Usage, "that is too long a time"))).transpose()?;
            let made = edit(place, |tokens| tokens.create(name, roles, expires, now))?;
            show(place, &made)
        }
        Verb::Rotate(Rotate { which, overlap, place }) => {
            let made = edit(place, |tokens| tokens.rotate(which, *overlap, now))?;
            show(place, &made)
        }
        Verb::Revoke(Revoke { which, place }) => {
            let revoked = edit(place, |tokens| tokens.revoke(which))?;
            if place.json {
                println!("{}", json!({"revoked": revoked}));
                return Ok(());
            }
            for token in revoked {
                println!("{} of {} is good for nothing any more.", token.id, plain(&token.name));
            }
            Ok(())
        }
        Verb::List(List { place }) => list(place, now),
    }
}

impl Place {
    fn file(&self) -> Outcome<PathBuf> {
        if let Some(file) = &self.tokens {
            return Ok(file.clone());
        }
        let file = self.config.as_deref();
        let named = local::config(file)?.access.tokens_file(&config::base(file));
        named.ok_or_else(|| failed(Exit::Usage, "the configuration names no file of tokens: write [access] and tokens = \"tokens.json\""))
    }
}

fn edit<T>(place: &Place, change: impl FnOnce(&mut tokens::Tokens) -> Result<T, TokenError>) -> Outcome<T> {
    tokens::edit(&place.file()?, change).map_err(|error| {
        let exit = if matches!(error, TokenError::Write { .. } | TokenError::Random(_)) { Exit::Failed } else { Exit::Usage };
        failed(exit, error)
    })
}

/// The token on standard output, alone; what there is to say about it beside it.
fn show(place: &Place, made: &Made) -> Outcome {
    let Made { secret, token } = made;
    if place.json {
        println!(
            "{}",
            json!({"token": secret, "id": token.id, "name": token.name, "roles": token.roles, "expires": token.expires.map(when)})
        );
        return Ok(());
    }
    println!("{secret}");
    let until = token.expires.map_or("until it is revoked".into(), |expires| format!("until {}", when(expires)));
    eprintln!("For {} as {}, {until}. It is not shown again.", plain(&token.name), roles(token));
    Ok(())
}

fn list(place: &Place, now: OffsetDateTime) -> Outcome {
    let known = tokens::read(&place.file()?).context("cannot list tokens").or_exit(Exit::Usage)?;
    if place.json {
        println!("{}", json!({"tokens": known.all()}));
        return Ok(());
    }
    let mut rows = table::table(&["id", "name", "roles", "made", "expires", "rotated"]);
    for token in known.all() {
        let expires = match token.expires {
            Some(expires) if token.is_expired(now) => format!("{} (EXPIRED)", when(expires)),
            expires => expires.map_or("never".into(), when),
        };
        let rotated = token.rotated.map_or("never".into(), when);
        let cells = [token.id.clone(), plain(&token.name), roles(token), when(token.created), expires, rotated];
        rows.add_row(cells.map(Cell::new));
    }
    println!("{rows}");
    Ok(())
}

fn roles(token: &Token) -> String {
    token.roles.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn when(time: OffsetDateTime) -> String {
    time.format(&Rfc3339).unwrap_or_default()
}

/// `90d`, `12h`, `30m` or `5s`.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no time: write 90d, 12h, 30m or 5s");
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    let seconds = match unit {
        "d" => 86_400,
        "h" => 3_600,
        "m" => 60,
        "s" => 1,
        _ => return Err(wrong()),
    };
    let number: u32 = number.parse().map_err(|_| wrong())?;
    Ok(Duration::seconds(i64::from(number) * seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_unit() {
        assert_eq!(duration("90d"), Ok(Duration::days(90)));
        assert_eq!(duration("0s"), Ok(Duration::ZERO));
        for wrong in ["", "d", "90", "-1d", "1.5h", "1w", "9999999999d", "ä"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
