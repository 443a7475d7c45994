//! `ephor policy inspect`: what a component says about itself.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use comfy_table::Cell;
use ephor::sandbox::Inspection;

use super::exit::{self, Exit, Or as _, Outcome};
use super::local;
use super::table::{self, plain};

/// Shows what a component says about itself: fields with their purpose, rules
/// with their legal basis, what it imports, its size and digest.
#[derive(clap::Args)]
#[command(after_help = exit::help())]
pub struct Args {
    /// The component.
    file: PathBuf,
    /// Prints all of it as JSON, with the settings schema.
    #[arg(long)]
    json: bool,
    /// Configuration (TOML), for the limits that components are held to.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub fn run(args: &Args) -> Outcome {
    let config = local::config(args.config.as_deref())?;
    let component = std::fs::read(&args.file).with_context(|| format!("cannot read {}", args.file.display()))?;
    let worker = local::compiler()?;
    let inspection = local::block_on(async { Ok(ephor::inspect(&component, &worker, config.sandbox).await) })?
        .with_context(|| format!("{} is refused", args.file.display()))
        .or_exit(Exit::Refused)?;
    if args.json { print_json(&inspection) } else { print(args, &inspection) }.context("cannot print")?;
    Ok(())
}

fn print_json(inspection: &Inspection) -> std::io::Result<()> {
    let mut manifest = serde_json::to_value(&inspection.manifest)?;
    // The schema is text in the manifest because it is signed as such; for
    // reading it is JSON.
    if let Ok(schema) = serde_json::from_str(&inspection.manifest.settings_schema) {
        manifest["settings_schema"] = schema;
    }
    let document = serde_json::json!({
        "digest": inspection.digest.to_string(),
        "bytes": inspection.bytes,
        "language": inspection.language,
        "imports": inspection.imports,
        "exports": inspection.exports,
        "manifest": manifest,
    });
    let mut out = std::io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, &document)?;
    writeln!(out)
}

fn print(args: &Args, inspection: &Inspection) -> std::io::Result<()> {
    let manifest = &inspection.manifest;
    let none_or = |items: &[String]| if items.is_empty() { "none".to_string() } else { plain(&items.join(", ")) };
    let mut rows = table::table(&["policy", &plain(&manifest.name)]);
    let key = manifest.keyed.as_ref().map_or("none; every event by itself".to_string(), |keyed| {
        let fields: Vec<&str> =
            keyed.key.iter().filter_map(|at| manifest.fields.get(usize::from(*at))).map(|field| field.pointer.as_str()).collect();
        format!("by {} (version {})", plain(&fields.join(" and ")), keyed.state_version)
    });
    for (name, value) in [
        ("version", plain(&manifest.version)),
        ("summary", plain(&manifest.summary)),
        ("language", inspection.language.map_or("compiled to WebAssembly".into(), |language| format!("{language}, with its engine"))),
        ("asked about", none_or(&manifest.events)),
        ("state", key),
        ("reference lists", none_or(&manifest.lists)),
        ("settings", settings_in_short(&manifest.settings_schema)),
        ("imports", none_or(&inspection.imports)),
        ("exports", none_or(&inspection.exports)),
        ("size", format!("{} ({} bytes)", table::size(inspection.bytes), table::grouped(inspection.bytes))),
        ("digest", inspection.digest.to_string()),
    ] {
        rows.add_row([name.to_string(), value]);
    }
    println!("{}\n{rows}", args.file.display());
    let mut rows = table::table(&["field", "kind", "form", "required", "purpose"]);
    for field in &manifest.fields {
        rows.add_row([
            plain(&field.pointer),
            field.kind.to_string(),
            field.form.name().to_string(),
            if field.required { "yes" } else { "no" }.to_string(),
            plain(&field.purpose),
        ]);
    }
    table::print("What it sees of an event", &rows);
    let mut rows = table::table(&["rule", "action", "severity", "legal basis", "message"]);
    for rule in &manifest.rules {
        let message = rule.messages.first().map(|message| plain(&message.text)).unwrap_or_default();
        let others = rule.messages.len().saturating_sub(1);
        rows.add_row([
            Cell::new(plain(&rule.id)),
            table::action(rule.action),
            Cell::new(format!("{:?}", rule.severity).to_lowercase()),
            Cell::new(plain(&rule.legal_basis)),
            Cell::new(if others == 0 { message } else { format!("{message} (and in {others} more languages)") }),
        ]);
    }
    table::print("What it can find", &rows);
    std::io::stdout().flush()
}

/// The names of the settings; the schema in full is in `--json`.
fn settings_in_short(schema: &str) -> String {
    let Ok(schema) = serde_json::from_str::<serde_json::Value>(schema) else { return "no readable schema".into() };
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(|name| name.as_str()).collect();
    let names: Vec<String> = schema["properties"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, _)| if required.contains(&name.as_str()) { plain(name) } else { format!("{} (optional)", plain(name)) })
        .collect();
    if names.is_empty() { "none".into() } else { names.join(", ") }
}
