//! `ephor repo`: what a regulator does with a repository of releases. Nobody needs to
//! know TUF for it: what the words mean is said where they are used.

pub mod add_key;
pub mod check;
pub mod init;
pub mod list;
pub mod refresh_timestamp;
pub mod release;
pub mod rotate;
pub mod withdraw;

mod source;
pub(super) mod vectors;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use ephor::repository::{Author, AuthorError, KeyError, PublicKey, Role, Signer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::exit::{Exit, Failed, Outcome, failed};

/// What can be done with a repository.
#[derive(clap::Subcommand)]
pub enum Verb {
    Init(init::Args),
    AddKey(add_key::Args),
    Rotate(rotate::Args),
    Release(release::Args),
    List(list::Args),
    Withdraw(withdraw::Args),
    RefreshTimestamp(refresh_timestamp::Args),
    Check(check::Args),
}

pub fn run(verb: Verb) -> Outcome {
    match verb {
        Verb::Init(args) => init::run(args),
        Verb::AddKey(args) => add_key::run(&args),
        Verb::Rotate(args) => rotate::run(&args),
        Verb::Release(args) => release::run(&args),
        Verb::List(args) => list::run(&args),
        Verb::Withdraw(args) => withdraw::run(args),
        Verb::RefreshTimestamp(args) => refresh_timestamp::run(&args),
        Verb::Check(args) => check::run(&args),
    }
}

/// What every verb that edits takes.
#[derive(clap::Args)]
struct Edited {
    /// The repository: a folder that `ephor repo init` has made.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Folder of private keys [default: DIR.keys].
    #[arg(long, value_name = "KEYS")]
    keys: Option<PathBuf>,
    /// A private key that is kept elsewhere; may be given several times.
    #[arg(long, value_name = "FILE")]
    key: Vec<PathBuf>,
    /// Prints what was done as JSON.
    #[arg(long)]
    json: bool,
}

impl Edited {
    fn open(&self) -> Outcome<Author> {
        Author::open(&self.dir).map_err(refused)
    }

    fn folder_of_keys(&self) -> PathBuf {
        self.keys.clone().unwrap_or_else(|| beside(&self.dir))
    }

    /// All private keys at hand.
    fn signers(&self) -> Outcome<Vec<Signer>> {
        let mut signers = Signer::load_all(&self.folder_of_keys()).map_err(unusable)?;
        for file in &self.key {
            signers.push(Signer::load(file).map_err(unusable)?);
        }
        if signers.is_empty() {
            let folder = self.folder_of_keys();
            return Err(failed(Exit::Usage, format!("there are no private keys in {}; name them with --key or --keys", folder.display())));
        }
        Ok(signers)
    }

    /// A new key for a role, in a file that is not there yet, or the public half of
    /// one that somebody else keeps.
    fn new_key(&self, role: Role, given: Option<&Path>) -> Outcome<(PublicKey, Option<Signer>)> {
        if let Some(file) = given {
            let public = PublicKey::load(file).map_err(unusable)?;
            return Ok((public, Signer::load(file).ok()));
        }
        let mut signer = Signer::generate().map_err(unusable)?;
        signer.save(&free_name(&self.folder_of_keys(), role)?).map_err(unusable)?;
        Ok((signer.public().clone(), Some(signer)))
    }

    /// Edits with a new key for a role, which signs as well if its private half is at
    /// hand. Gives the key, and the file that was made for it; that is gone again if the
    /// edit does not come about.
    fn with_new_key(
        &self,
        role: Role,
        given: Option<&Path>,
        signers: &mut Vec<Signer>,
        edit: impl FnOnce(&PublicKey, &[Signer]) -> Result<(), AuthorError>,
    ) -> Outcome<(PublicKey, Option<PathBuf>)> {
        let (public, signer) = self.new_key(role, given)?;
        let made = signer.as_ref().filter(|_| given.is_none()).and_then(|signer| signer.path().map(PathBuf::from));
        signers.extend(signer);
        match edit(&public, signers) {
            Ok(()) => Ok((public, made)),
            Err(error) => {
                made.iter().for_each(|file| drop(std::fs::remove_file(file)));
                Err(refused(error))
            }
        }
    }
}

/// The folder of keys that belongs to a repository.
fn beside(dir: &Path) -> PathBuf {
    let mut name = dir.components().next_back().map_or_else(|| "repository".into(), |last| last.as_os_str().to_os_string());
    name.push(".keys");
    dir.parent().unwrap_or(Path::new("")).join(name)
}

/// `ROLE.pem`, or the first of `ROLE-2.pem`, `ROLE-3.pem`, … that there is nothing of.
fn free_name(folder: &Path, role: Role) -> Outcome<PathBuf> {
    make_private(folder)?;
    let taken = |name: &str| folder.join(name).exists() || folder.join(format!("{name}.revoked")).exists();
    let mut name = format!("{}.pem", role.name());
    let mut number = 1;
    while taken(&name) {
        number += 1;
        name = format!("{}-{number}.pem", role.name());
    }
    Ok(folder.join(name))
}

/// A folder that nobody else looks into.
fn make_private(folder: &Path) -> Outcome {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .with_context(|| format!("cannot make the folder of keys {}", folder.display()))?;
    Ok(())
}

/// The word of a role on the command line.
fn role(text: &str) -> Result<Role, String> {
    Role::ALL.into_iter().find(|role| role.name() == text).ok_or_else(|| {
        "one of: root (says which keys count), releases (signs releases, lists and withdrawals), timestamp (says that this is the latest)"
            .to_string()
    })
}

/// A time on the command line.
fn instant(text: &str) -> Result<OffsetDateTime, String> {
    OffsetDateTime::parse(text, &Rfc3339).map_err(|error| format!("{error}; write it as 2027-01-01T00:00:00Z"))
}

/// A time for people and scripts alike.
fn stamp(time: OffsetDateTime) -> String {
    time.format(&Rfc3339).unwrap_or_else(|_| time.to_string())
}

/// A day for people, with how far away it is.
fn day(time: OffsetDateTime, now: OffsetDateTime) -> String {
    let days = (time - now).whole_days();
    let away = match days {
        _ if time < now => "over".to_string(),
        0 => "less than a day".into(),
        1 => "1 day".into(),
        days => format!("{days} days"),
    };
    format!("{} ({away})", time.date())
}

/// Prints a document for scripts.
fn print_json(document: &serde_json::Value) -> Outcome {
    println!("{}", serde_json::to_string_pretty(document).context("cannot print")?);
    Ok(())
}

/// Until when the four signatures hold, for people.
fn print_expiries(author: &Author, now: OffsetDateTime) {
    let [(_, root), (_, targets), (_, snapshot), (_, timestamp)] = author.expiries();
    println!(
        "The signatures hold: timestamp until {}, releases until {}, root until {}.",
        day(timestamp, now),
        day(targets.min(snapshot), now),
        day(root, now)
    );
}

/// The exit code of an edit that did not come about.
fn refused(error: AuthorError) -> Failed {
    let exit = match &error {
        AuthorError::Io { .. } | AuthorError::Locked(_) => Exit::Failed,
        AuthorError::Key(error) => return Failed { exit: exit_of(error), error: error_of(error) },
        _ => Exit::Refused,
    };
    Failed { exit, error: anyhow::anyhow!("{error}") }
}

fn unusable(error: KeyError) -> Failed {
    Failed { exit: exit_of(&error), error: error_of(&error) }
}

fn exit_of(error: &KeyError) -> Exit {
    match error {
        KeyError::Exposed(_) | KeyError::Form { .. } => Exit::Usage,
        KeyError::Io { .. } | KeyError::Random(_) => Exit::Failed,
    }
}

fn error_of(error: &KeyError) -> anyhow::Error {
    anyhow::anyhow!("{error}")
}
