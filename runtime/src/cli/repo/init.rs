//! `ephor repo init`: a new repository, and its keys.

use std::path::{Path, PathBuf};

use ephor::digest::Digest;
use ephor::repository::{Author, Days, Plan, PublicKey, Role, Signer};
use time::OffsetDateTime;

use super::{beside, free_name, print_expiries, print_json, refused, unusable};
use crate::cli::exit::{self, Outcome};

/// Makes a repository for releases, and the keys that sign in it.
///
/// A repository is a folder of plain files: put it on any web server, or hand it over
/// on a stick. What makes it worth anything are the signatures, and they the keys: one
/// that says which keys count (root), one that signs releases, and one that says every
/// few days that nothing newer has been kept from anybody (timestamp).
#[derive(clap::Args)]
#[command(after_help = exit::help())]
pub struct Args {
    /// The folder to make; empty or not there.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Whose it is: lower-case words joined by hyphens. Platforms know you by it.
    #[arg(long, value_name = "NAME")]
    publisher: String,
    /// Folder for new private keys [default: DIR.keys].
    #[arg(long, value_name = "KEYS")]
    keys: Option<PathBuf>,
    /// One key for everything, where a single person does everything. Whoever gets
    /// it is you, and all platforms need a new root by hand.
    #[arg(long, conflicts_with_all = ["root_key", "release_key", "timestamp_key"])]
    one_key: bool,
    /// A key that you have for the root (PEM; of those who are not here, the public
    /// half); may be given several times.
    #[arg(long, value_name = "FILE")]
    root_key: Vec<PathBuf>,
    /// How many of the root's keys have to sign a change of keys.
    #[arg(long, value_name = "N", default_value_t = 1)]
    root_threshold: u64,
    /// A key that you have for releases; may be given several times.
    #[arg(long, value_name = "FILE")]
    release_key: Vec<PathBuf>,
    /// How many of the keys for releases have to sign each.
    #[arg(long, value_name = "N", default_value_t = 1)]
    release_threshold: u64,
    /// A key that you have for the timestamp.
    #[arg(long, value_name = "FILE")]
    timestamp_key: Vec<PathBuf>,
    /// Days that the root holds.
    #[arg(long, value_name = "DAYS", default_value_t = Days::default().root, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    root_days: u32,
    /// Days that a signature on releases holds.
    #[arg(long, value_name = "DAYS", default_value_t = Days::default().releases, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    release_days: u32,
    /// Days until platforms see that nobody has renewed the timestamp.
    #[arg(long, value_name = "DAYS", default_value_t = Days::default().timestamp, value_parser = clap::value_parser!(u32).range(1..=3_650))]
    timestamp_days: u32,
    /// Prints what was made as JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(args: Args) -> Outcome {
    let now = OffsetDateTime::now_utc();
    let folder = args.keys.clone().unwrap_or_else(|| beside(&args.dir));
    let mut made = Made { folder, signers: Vec::new(), files: Vec::new() };
    let outcome = build(&args, &mut made, now);
    if outcome.is_err() {
        // Keys of a repository that there is not are good for nothing.
        made.files.iter().for_each(|(_, file)| drop(std::fs::remove_file(file)));
    }
    let author = outcome?;
    let (root, _) = author.root();
    if args.json {
        let keys: Vec<_> = made.files.iter().map(|(role, file)| serde_json::json!({"role": role, "file": file})).collect();
        return print_json(&serde_json::json!({
            "publisher": args.publisher,
            "repository": args.dir,
            "root": args.dir.join("root.json"),
            "root_digest": Digest::of(&root).to_string(),
            "keys": keys,
        }));
    }
    print(&args, &made, &author, &root, now);
    Ok(())
}

struct Made {
    folder: PathBuf,
    signers: Vec<Signer>,
    files: Vec<(&'static str, PathBuf)>,
}

fn build(args: &Args, made: &mut Made, now: OffsetDateTime) -> Outcome<Author> {
    let days = Days { root: args.root_days, releases: args.release_days, timestamp: args.timestamp_days };
    let keys = if args.one_key {
        let key = generate(made, Role::Root)?;
        Role::ALL.map(|role| (role, vec![key.clone()], 1))
    } else {
        [
            (Role::Root, keys(made, Role::Root, &args.root_key)?, args.root_threshold),
            (Role::Releases, keys(made, Role::Releases, &args.release_key)?, args.release_threshold),
            (Role::Timestamp, keys(made, Role::Timestamp, &args.timestamp_key)?, 1),
        ]
    };
    let plan = Plan { publisher: args.publisher.clone(), keys, days };
    Author::init(&args.dir, &plan, &made.signers, now).map_err(refused)
}

/// The keys that were given for a role, or a new one.
fn keys(made: &mut Made, role: Role, given: &[PathBuf]) -> Outcome<Vec<PublicKey>> {
    if given.is_empty() {
        return Ok(vec![generate(made, role)?]);
    }
    let mut keys = Vec::new();
    for file in given {
        keys.push(PublicKey::load(file).map_err(unusable)?);
        if is_private(file) {
            made.signers.push(Signer::load(file).map_err(unusable)?);
        }
    }
    Ok(keys)
}

fn is_private(file: &Path) -> bool {
    std::fs::read_to_string(file).is_ok_and(|text| text.contains("PRIVATE KEY"))
}

fn generate(made: &mut Made, role: Role) -> Outcome<PublicKey> {
    let mut signer = Signer::generate().map_err(unusable)?;
    let file = free_name(&made.folder, role)?;
    signer.save(&file).map_err(unusable)?;
    let public = signer.public().clone();
    made.signers.push(signer);
    made.files.push((role.name(), file));
    Ok(public)
}

fn print(args: &Args, made: &Made, author: &Author, root: &[u8], now: OffsetDateTime) {
    let dir = args.dir.display();
    println!("Made the repository of {} in {dir}.\n", args.publisher);
    if !made.files.is_empty() {
        println!("New keys, which nobody else on this machine can read:");
    }
    for (role, file) in &made.files {
        let advice = match *role {
            _ if args.one_key => "signs everything. Keep a copy offline: without it nothing can be published any more.",
            "root" => "says which keys count. Take it offline now, in two copies; it is needed again to change keys.",
            "releases" => "signs releases, lists and withdrawals. Keep it where you publish, not on the web server.",
            _ => "says that this is the latest. May lie on the machine that runs `ephor repo refresh-timestamp` every day.",
        };
        println!("  {}\n      {advice}", file.display());
    }
    println!("\nGive every platform this file, by hand or by mail:\n  {dir}/root.json");
    println!("and let them compare its digest with you, on another way (by telephone, in the official gazette):\n  {}", Digest::of(root));
    println!("A platform follows you with these lines in its configuration:\n");
    println!("  [publishers.{}]", args.publisher);
    println!("  repository = \"https://…\"                # or a folder: where you put {dir}");
    println!("  root = \"{}.root.json\"\n", args.publisher);
    print_expiries(author, now);
    println!("Renew the timestamp before that: ephor repo refresh-timestamp {dir}");
}
