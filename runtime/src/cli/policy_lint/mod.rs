//! `ephor policy lint`: what a compiler does not say about a policy's crate, and a reader
//! of the policy would ask about.
//!
//! The sources are parsed, not compiled: it takes milliseconds, and works on a crate that
//! does not compile yet. What that cannot know is decided for the author where a wrong
//! answer would be a false alarm, and against where it would be a policy that is not pure.

mod allow;
mod covered;
mod declared;
mod names;
mod pure;
pub mod source;
mod used;

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Serialize;

use super::exit::{self, Exit, Outcome, failed};
use super::policy_build::no_crate;
use super::policy_test::Paint;
use super::table::plain;
use allow::Allows;
use source::Crate;

const EXAMPLES: &str = "\
Examples:
  ephor policy lint                          the crate that you are in
  ephor policy lint policies/*               several
  ephor policy lint --json | jq .findings    for scripts

What is meant to be as it is, is said in the source, on the line or above it:
  // lint: allow(unbounded-state): the names are those of the key, at most 128 bytes
  provider: String,
An allowance needs its reason, and is itself reported once there is nothing to allow.
In a use, it holds for every place of the file that uses the name.";

/// Looks for what would keep a policy from being published.
///
/// It reports fields that are declared and never read, purposes and legal bases that say
/// nothing, rules that are never found or that no vector covers, messages in one language
/// only, states without a bound, memory beside the state, and whatever depends on a clock,
/// on chance, or on an order that is not the same everywhere. `ephor policy build` refuses
/// the last two as well. Tests in the sources are not looked at.
#[derive(clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{}\n{}", lints(), exit::help()))]
pub struct Args {
    /// Folders of crates.
    #[arg(value_name = "PATH", default_value = ".")]
    paths: Vec<PathBuf>,
    /// Prints all of it as JSON, with what is allowed and why.
    #[arg(long)]
    json: bool,
}

/// What is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Lint {
    UnusedField,
    ThinPurpose,
    ThinLegalBasis,
    OneLanguage,
    UnboundedState,
    Nondeterminism,
    HiddenMemory,
    RuleNeverFound,
    RuleWithoutVector,
    Vector,
    Allowance,
}

impl Lint {
    const ALL: [Lint; 11] = [
        Lint::UnusedField,
        Lint::ThinPurpose,
        Lint::ThinLegalBasis,
        Lint::OneLanguage,
        Lint::UnboundedState,
        Lint::Nondeterminism,
        Lint::HiddenMemory,
        Lint::RuleNeverFound,
        Lint::RuleWithoutVector,
        Lint::Vector,
        Lint::Allowance,
    ];

    fn name(self) -> &'static str {
        match self {
            Lint::UnusedField => "unused-field",
            Lint::ThinPurpose => "thin-purpose",
            Lint::ThinLegalBasis => "thin-legal-basis",
            Lint::OneLanguage => "one-language",
            Lint::UnboundedState => "unbounded-state",
            Lint::Nondeterminism => "nondeterminism",
            Lint::HiddenMemory => "hidden-memory",
            Lint::RuleNeverFound => "rule-never-found",
            Lint::RuleWithoutVector => "rule-without-vector",
            Lint::Vector => "vector",
            Lint::Allowance => "allowance",
        }
    }

    /// Why it matters.
    fn why(self) -> &'static str {
        match self {
            Lint::UnusedField => {
                "a platform decides by the declaration what it grants, and a field that nothing reads is asked for in vain"
            }
            Lint::ThinPurpose => "a platform decides by this sentence whether it grants the field",
            Lint::ThinLegalBasis => "it stands in every finding, and is what a platform, a court or the person concerned looks up",
            Lint::OneLanguage => "a finding is read by people whom one language does not reach",
            Lint::UnboundedState => "the host keeps a state for each key, and faults the event whose state has more than 64 KiB",
            Lint::Nondeterminism => {
                "the same events must give the same findings on any machine and in any later year; otherwise no replay holds"
            }
            Lint::HiddenMemory => {
                "a policy has no memory but its state: what it keeps beside it is gone after the call, and no replay has it"
            }
            Lint::RuleNeverFound => "a clause that the manifest declares and the code never finds is one that nobody carries out",
            Lint::RuleWithoutVector => "vectors are published with a release, and say to everybody what the clause means",
            Lint::Vector => "a vector that cannot be read shows nothing",
            Lint::Allowance => "an allowance is for whoever reads the policy next",
        }
    }
}

/// The lints, for `--help`.
fn lints() -> String {
    let width = Lint::ALL.iter().map(|lint| lint.name().len()).max().unwrap_or_default();
    let lines = Lint::ALL.iter().map(|lint| format!("  {:<width$}  {}", lint.name(), lint.why()));
    format!("Lints, and why:\n{}\n", lines.collect::<Vec<_>>().join("\n"))
}

/// A place in a file, both counted from 1; the column in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct At {
    line: usize,
    column: usize,
}

impl At {
    fn of(span: proc_macro2::Span) -> Self {
        let start = span.start();
        At { line: start.line, column: start.column + 1 }
    }
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Finding {
    /// As the author named it.
    file: String,
    #[serde(flatten)]
    at: At,
    lint: Lint,
    what: String,
    why: &'static str,
    /// What to do.
    remedy: String,
    /// Where else it may be allowed: the line of the use that brings a name in.
    #[serde(skip)]
    import: Option<usize>,
}

impl Finding {
    fn new(file: &str, at: At, lint: Lint, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Finding { file: file.to_string(), at, lint, what: what.into(), why: lint.why(), remedy: remedy.into(), import: None }
    }
}

/// A finding that its author has given a reason for.
#[derive(Debug, Serialize)]
struct Allowed {
    #[serde(flatten)]
    finding: Finding,
    reason: String,
}

/// What was found in a crate.
#[derive(Debug, Default, Serialize)]
struct Report {
    files: usize,
    findings: Vec<Finding>,
    allowed: Vec<Allowed>,
}

pub fn run(args: &Args) -> Outcome {
    let mut report = Report::default();
    for path in &args.paths {
        let of_crate = look(path)?;
        report.files += of_crate.files;
        report.findings.extend(of_crate.findings);
        report.allowed.extend(of_crate.allowed);
    }
    match args.json {
        true => print_json(&report),
        false => print(&report, Paint::of_stdout()),
    }
    .context("cannot print")?;
    refuse(report.findings.len())
}

fn refuse(findings: usize) -> Outcome {
    match findings {
        0 => Ok(()),
        1 => Err(failed(Exit::Refused, "1 finding")),
        several => Err(failed(Exit::Refused, format!("{several} findings"))),
    }
}

/// What keeps a component of a crate from being built: prints it, and refuses. What cannot
/// be parsed is the compiler's to complain about.
pub(super) fn refuse_impure(folder: &Path, shown: &Path) -> Outcome {
    let Ok(sources) = Crate::read(folder, shown) else { return Ok(()) };
    let mut findings = Vec::new();
    pure::look(&sources, &mut findings);
    let findings: Vec<Finding> = Allows::of(&sources).sort_out(findings).findings;
    if findings.is_empty() {
        return Ok(());
    }
    for finding in &findings {
        eprintln!("{}", text(finding, Paint::of_stderr()));
    }
    Err(failed(Exit::Refused, format!("{} depends on more than its event, settings, lists and state; nothing was built", shown.display())))
}

/// Everything that there is to say about a crate.
fn look(path: &Path) -> Outcome<Report> {
    if !path.join("Cargo.toml").is_file() {
        return Err(failed(Exit::Usage, no_crate(path, false)));
    }
    let sources = Crate::read(path, path)?;
    let mut findings = Vec::new();
    let declared = declared::look(&sources, &mut findings);
    used::look(&sources, &declared, &mut findings);
    pure::look(&sources, &mut findings);
    covered::look(path, &declared, &mut findings)?;
    let mut allows = Allows::of(&sources);
    let mut sorted = allows.sort_out(findings);
    sorted.findings.extend(allows.left());
    sorted.findings.sort();
    Ok(Report { files: sources.files.len(), ..sorted })
}

/// A finding as terminals and editors know it.
fn text(finding: &Finding, paint: Paint) -> String {
    let Finding { file, at, lint, what, why, remedy, .. } = finding;
    let place = format!("{file}:{}:{}", at.line, at.column);
    format!("{place}: {}: {}\n    why: {why}\n    do:  {}", paint.red(lint.name()), plain(what), plain(remedy))
}

fn print(report: &Report, paint: Paint) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for finding in &report.findings {
        writeln!(out, "{}", text(finding, paint))?;
    }
    let files = if report.files == 1 { "1 source file".to_string() } else { format!("{} source files", report.files) };
    let allowed = match report.allowed.len() {
        0 => String::new(),
        1 => ", 1 allowed with a reason".to_string(),
        several => format!(", {several} allowed with a reason"),
    };
    match report.findings.len() {
        0 => writeln!(out, "{files}: {}{allowed}", paint.green("nothing found")),
        1 => writeln!(out, "\n{files}: 1 finding{allowed}"),
        several => writeln!(out, "\n{files}: {several} findings{allowed}"),
    }
}

fn print_json(report: &Report) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, report)?;
    writeln!(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lints_are_called_as_json_has_them() {
        for lint in Lint::ALL {
            assert_eq!(serde_json::to_value(lint).expect("JSON"), lint.name());
        }
    }
}
