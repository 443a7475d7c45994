//! `ephor witness`: somebody else's eye on a log.
//!
//! It remembers the last checkpoint that it saw, looks whether the next one extends
//! it, and says so with a signature of its own. It remembers first and signs then: what
//! it signs in its life is one history, whenever it is stopped.

use std::fs::TryLockError;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, ensure};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use ephor::digest::Digest;
use ephor::ledger::checkpoint::Checkpoint;
use ephor::ledger::note::{Algorithm, Note, SignerKey, VerifierKey};
use hyper::StatusCode;

use super::client::{Target, refusal};
use super::connection::Connection;
use super::exit::{self, Exit, Failed, Or as _, Outcome, failed};
use super::local;
use super::log::fetch::Fetcher;
use super::log::source::{Signed, Source, log_key, note_file};
use super::log::{in_full, replace};
use super::table::{grouped, plain};

/// What a key file begins with, as other tools for notes have it.
const PRIVATE: &str = "PRIVATE+KEY+";

/// Where the server takes cosignatures.
const COSIGNATURES: &str = "/v1/log/cosignatures";

/// How often a checkpoint that the server does not know any more is fetched anew.
const TRIES: u32 = 3;

/// Watches over a log: checks that it only grows, and co-signs its checkpoints.
///
/// Should the log show two histories, it does not sign, keeps both checkpoints in
/// files beside --state, and ends.
#[derive(clap::Args)]
#[command(after_help = exit::help(), args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    watch: Option<Watch>,
    // Beside it: clap takes what has a flattened part of its own for absent.
    #[command(flatten)]
    connection: Connection,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// Makes a witness's key, and prints its public half.
    Keygen(Keygen),
}

#[derive(clap::Args)]
struct Keygen {
    /// What the witness is called: best a name on the network that is yours, such as
    /// example.com/witness.
    name: String,
    /// The file for the secret key; must not be there yet.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(clap::Args)]
struct Watch {
    /// The server whose log is watched.
    #[arg(long, value_name = "URL")]
    log: Target,
    /// The log's key, from whom you trust to know it, or a file with it.
    #[arg(long, value_name = "VKEY", value_parser = log_key)]
    key: VerifierKey,
    /// Where the last checkpoint is remembered; made if it is not there, and then the
    /// first checkpoint is taken as it is.
    #[arg(long, value_name = "FILE")]
    state: PathBuf,
    /// The witness's secret key; made if it is not there.
    #[arg(long, value_name = "FILE")]
    witness_key: PathBuf,
    /// Looks once, and ends.
    #[arg(long)]
    once: bool,
    /// Seconds between two looks.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    interval: u64,
}

pub fn run(args: Args) -> Outcome {
    match (args.verb, args.watch) {
        (Some(Verb::Keygen(keygen)), _) => {
            let key = make_key(&keygen.out, Some(&keygen.name))?;
            println!("{}", key.verifier());
            Ok(())
        }
        (None, Some(watch)) => {
            let log = args.connection.to(&watch.log)?;
            local::block_on(Watch { log, ..watch }.run())
        }
        (None, None) => Err(failed(Exit::Usage, "name a log, or `keygen`")),
    }
}

/// What came of one look.
enum Seen {
    /// The checkpoint was co-signed, and the server took it.
    Signed(Checkpoint),
    /// The server does not know the checkpoint: it has a newer one, or lost this one.
    Unknown,
    /// Nothing was signed in the log, or nothing new.
    Nothing,
}

impl Watch {
    async fn run(self) -> Outcome {
        let key = read_key(&self.witness_key)?;
        // Two witnesses with one memory could sign two histories.
        let _lock = lock(&self.state)?;
        if !self.once {
            println!("watching {} as {}", self.log, key.verifier());
        }
        let mut last = None;
        loop {
            let seen = self.look_again(&key, &mut last).await;
            let ended = match seen {
                Ok(Some(checkpoint)) => {
                    println!("co-signed {} entries, tree {}", grouped(checkpoint.size), checkpoint.root);
                    let _ = std::io::stdout().flush();
                    Ok(())
                }
                Ok(None) if self.once => Err(failed(Exit::Failed, "nothing was signed in the log yet; try again later")),
                Ok(None) => Ok(()),
                Err(failed) => Err(failed),
            };
            match ended {
                ended if self.once => return ended,
                Ok(()) => {}
                // The log is not what it was, or our own files are not: looking again
                // does not help.
                Err(ended) if matches!(ended.exit, Exit::Damaged | Exit::Usage | Exit::Refused) => return Err(ended),
                Err(Failed { error, .. }) => eprintln!("ephor: {error:#}; looking again in {} s", self.interval),
            }
            tokio::time::sleep(Duration::from_secs(self.interval)).await;
        }
    }

    /// Looks, and once more if the log went on meanwhile. Gives what was co-signed,
    /// unless it is what was co-signed last.
    async fn look_again(&self, key: &SignerKey, last: &mut Option<Checkpoint>) -> Outcome<Option<Checkpoint>> {
        for _ in 0..TRIES {
            match self.look(key, last.as_ref()).await? {
                Seen::Signed(checkpoint) => {
                    *last = Some(checkpoint.clone());
                    return Ok(Some(checkpoint));
                }
                Seen::Nothing => return Ok(None),
                Seen::Unknown => {}
            }
        }
        Err(failed(Exit::Failed, format!("{} gives checkpoints that it does not know when they come back signed", self.log)))
    }

    /// One look at the log.
    async fn look(&self, key: &SignerKey, last: Option<&Checkpoint>) -> Outcome<Seen> {
        let remembered = self.remembered()?;
        if Fetcher::new(&self.log).checkpoint().await?.is_none() {
            return match remembered {
                None => Ok(Seen::Nothing),
                Some((old, _)) => Err(failed(Exit::Damaged, format!("the log was cut back to nothing: seen before were {}", state(&old)))),
            };
        }
        let mut signed = Source::Server(self.log.clone()).signed(Some(&self.key)).await?;
        if last == Some(&signed.checkpoint) {
            return Ok(Seen::Nothing);
        }
        if let Some((old, note)) = &remembered {
            self.compare(old, note, &mut signed).await?;
        }
        if remembered.is_none_or(|(old, _)| old != signed.checkpoint) {
            replace(&self.state, signed.note.to_string().as_bytes())?;
        }
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).context("the clock stands before 1970")?;
        signed.note.cosign(key, now.as_secs());
        self.hand_in(key, signed).await
    }

    /// What is remembered of the log.
    fn remembered(&self) -> Outcome<Option<(Checkpoint, Note)>> {
        if !self.state.exists() {
            return Ok(None);
        }
        let (_, note) = note_file(&self.state)?;
        let opened = in_full(Checkpoint::open(note.to_string().as_bytes(), &self.key));
        let what = || format!("{} is not what was remembered of this log; is it of another one?", self.state.display());
        opened.with_context(what).or_exit(Exit::Usage).map(Some)
    }

    /// Checks that the log extends what is remembered.
    async fn compare(&self, old: &Checkpoint, note: &Note, signed: &mut Signed) -> Outcome {
        let new = signed.checkpoint.clone();
        if new.size < old.size {
            return Err(self.forked(old, note, signed, "the log was cut back"));
        }
        if signed.root(old.size).await? != old.root {
            return Err(self.forked(old, note, signed, "the log was rewritten"));
        }
        Ok(())
    }

    /// The log has two histories: keeps what proves it, which is that both are signed.
    fn forked(&self, old: &Checkpoint, note: &Note, signed: &Signed, what: &str) -> Failed {
        let new = &signed.checkpoint;
        let mut text = format!("{what}: seen before were {}, and now {}", state(old), state(new));
        for (root, note) in [(old.root, note), (new.root, &signed.note)] {
            // Named for what is in it, so that none takes the place of another.
            let mut file = self.state.clone().into_os_string();
            file.push(format!(".fork-{}", &root.to_string()[..16]));
            let file = PathBuf::from(file);
            match replace(&file, note.to_string().as_bytes()) {
                Ok(()) => text.push_str(&format!("; see {}", file.display())),
                Err(error) => text.push_str(&format!("; {error:#}, so here it is:\n{note}")),
            }
        }
        failed(Exit::Damaged, plain_lines(&text))
    }

    /// Gives the cosignature to the log.
    async fn hand_in(&self, key: &SignerKey, signed: Signed) -> Outcome<Seen> {
        let headers = [("content-type", "text/plain; charset=utf-8")];
        let body = signed.note.to_string().into();
        let response = Fetcher::new(&self.log).request("POST", COSIGNATURES, &headers, &body).await?;
        match response.status() {
            status if status.is_success() => Ok(Seen::Signed(signed.checkpoint)),
            StatusCode::CONFLICT => Ok(Seen::Unknown),
            StatusCode::FORBIDDEN => {
                let Failed { exit, error } = refusal("the cosignature", response).await;
                Err(Failed { exit, error: error.context(format!("the log does not know this witness; its key is {}", key.verifier())) })
            }
            _ => Err(refusal("the cosignature", response).await),
        }
    }
}

fn state(checkpoint: &Checkpoint) -> String {
    format!("{} entries with the tree {}", grouped(checkpoint.size), checkpoint.root)
}

/// Text for a terminal, with its line breaks.
fn plain_lines(text: &str) -> String {
    text.split('\n').map(plain).collect::<Vec<_>>().join("\n")
}

/// Holds the memory for this process.
fn lock(state: &Path) -> Outcome<std::fs::File> {
    let mut file = state.to_path_buf().into_os_string();
    file.push(".lock");
    let open = || std::fs::OpenOptions::new().create(true).append(true).open(&file);
    let file = open().with_context(|| format!("cannot write beside {}", state.display())).or_exit(Exit::Usage)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(failed(Exit::Usage, format!("another witness has {}", state.display()))),
        Err(TryLockError::Error(error)) => Err(error).context("cannot lock the state").or_exit(Exit::Failed),
    }
}

/// Reads the secret key, or makes one.
fn read_key(file: &Path) -> Outcome<SignerKey> {
    match std::fs::read_to_string(file) {
        Ok(text) => parse_key(&text).with_context(|| format!("{} is not a witness's key", file.display())).or_exit(Exit::Usage),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let key = make_key(file, None)?;
            println!("made a key in {}; the log has to be told of it:\n{}", file.display(), key.verifier());
            Ok(key)
        }
        Err(error) => Err(error).with_context(|| format!("cannot read {}", file.display())).or_exit(Exit::Usage),
    }
}

/// Makes a key in a new file.
fn make_key(file: &Path, name: Option<&str>) -> Outcome<SignerKey> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| anyhow::anyhow!("the system gives no random numbers: {error}"))?;
    let key = new_key(&seed, name).or_exit(Exit::Usage)?;
    let write = || -> std::io::Result<()> {
        use std::os::unix::fs::OpenOptionsExt as _;
        let mut out = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
        out.write_all(secret_line(&key, &seed).as_bytes())?;
        out.sync_all()
    };
    write().with_context(|| format!("cannot make the key {}", file.display())).or_exit(Exit::Usage)?;
    Ok(key)
}

/// The key of a seed. Without a name it gets one that no other key has.
fn new_key(seed: &[u8; 32], name: Option<&str>) -> anyhow::Result<SignerKey> {
    let nameless = SignerKey::new("witness", Algorithm::Cosignature, seed)?;
    let own = format!("witness.invalid/{}", &Digest::of(nameless.verifier().public()).hex()[..16]);
    Ok(SignerKey::new(name.unwrap_or(&own), Algorithm::Cosignature, seed)?)
}

/// A secret key as a line: `PRIVATE+KEY+name+id+base64(type, seed)`.
fn secret_line(key: &SignerKey, seed: &[u8; 32]) -> String {
    let bytes = [&[Algorithm::Cosignature as u8][..], seed].concat();
    format!("{PRIVATE}{}+{:08x}+{}\n", key.verifier().name(), key.verifier().id(), BASE64_STANDARD.encode(bytes))
}

fn parse_key(text: &str) -> anyhow::Result<SignerKey> {
    let line = text.strip_prefix(PRIVATE).and_then(|line| line.strip_suffix('\n'));
    let mut parts = line.context("it does not begin as a secret key does, or has no end")?.splitn(3, '+');
    let (Some(name), Some(id), Some(bytes)) = (parts.next(), parts.next(), parts.next()) else {
        anyhow::bail!("a secret key has a name, an ID and bytes, with plus signs between");
    };
    let bytes = BASE64_STANDARD.decode(bytes).ok().context("its last part is not base64")?;
    let (kind, seed) = bytes.split_first().context("it is empty")?;
    ensure!(*kind == Algorithm::Cosignature as u8, "it is a key of another kind");
    let key = SignerKey::new(name, Algorithm::Cosignature, seed.try_into().ok().context("it does not have 32 bytes")?)?;
    ensure!(format!("{:08x}", key.verifier().id()) == id, "its ID is that of another key or name");
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("key");
        let made = make_key(&file, Some("example.com/w")).expect("a key");
        let text = std::fs::read_to_string(&file).expect("the file");
        assert_eq!(parse_key(&text).expect("the same").verifier(), made.verifier());
        assert!(make_key(&file, None).is_err_and(|failed| failed.exit == Exit::Usage), "a key is never written over");
        for wrong in ["", "PRIVATE+KEY+", &text.replace("PRIVATE", "PUBLIC"), &text.replace("example", "sample"), text.trim_end()] {
            assert!(parse_key(wrong).is_err(), "{wrong}");
        }
        assert!(new_key(&[1; 32], Some("two words")).is_err());
        assert!(new_key(&[1; 32], None).is_ok_and(|key| key.verifier().name().starts_with("witness.invalid/")));
    }
}
