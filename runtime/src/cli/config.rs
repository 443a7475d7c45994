//! `ephor config`: what can be configured, and what is wrong with a configuration.

use std::path::{Path, PathBuf};

use ephor::Config;
use ephor::config::Report;
use serde_json::json;

use super::exit::{Exit, Or as _, Outcome, failed};

/// What can be asked about configurations.
#[derive(clap::Subcommand)]
pub enum Verb {
    Reference(ReferenceArgs),
    Check(CheckArgs),
}

/// Prints a whole configuration file: every key, what it is for, its range and default.
///
/// What it prints is a configuration itself, which changes nothing.
#[derive(clap::Args)]
#[command(after_help = super::exit::help())]
pub struct ReferenceArgs {
    /// Prints the JSON Schema instead, with which editors complete and check files.
    #[arg(long)]
    json_schema: bool,
}

/// Says what is wrong with a configuration file, all of it at once, each with its place
/// and what to write instead.
///
/// Files that it names have to be there. Nothing is started, and nothing of what it names
/// is read.
#[derive(clap::Args)]
#[command(after_help = super::exit::help())]
pub struct CheckArgs {
    /// The file (TOML).
    #[arg(value_name = "FILE", default_value = "ephor.toml")]
    file: PathBuf,
    /// Says it as JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(verb: &Verb) -> Outcome {
    match verb {
        Verb::Reference(args) => {
            match args.json_schema {
                true => println!("{:#}", Config::json_schema()),
                false => print!("{}", Config::reference()),
            }
            Ok(())
        }
        Verb::Check(args) => check(args),
    }
}

fn check(args: &CheckArgs) -> Outcome {
    let checked = Config::check(&args.file).or_exit(Exit::Usage)?;
    let base = base(Some(&args.file));
    let mut problems = checked.problems.clone();
    problems.extend(checked.missing_files(&base));
    problems.extend(checked.missing_folders(&base));
    problems.sort_by_key(|problem| (problem.line, problem.column));
    let report = Report { file: args.file.clone(), problems };
    let count = report.problems.len();
    if args.json {
        println!("{}", json!(report));
    } else if count > 0 {
        println!("{report}");
    }
    match count {
        0 if args.json => Ok(()),
        0 => {
            println!("{}: nothing is wrong", args.file.display());
            Ok(())
        }
        1 => Err(failed(Exit::Usage, format!("1 problem in {}", args.file.display()))),
        many => Err(failed(Exit::Usage, format!("{many} problems in {}", args.file.display()))),
    }
}

/// Where relative paths in a configuration begin.
pub fn base(file: Option<&Path>) -> PathBuf {
    file.and_then(Path::parent).unwrap_or(Path::new("")).to_path_buf()
}
